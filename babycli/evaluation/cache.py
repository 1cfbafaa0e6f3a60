"""Scores kept across runs by what they are of: the same weights, image, prompt, text and precision, the same score.

    DIR/<digest of model and settings>/<time>-<random>.jsonl          score lines, as in a run's log

Owns where a model's scores lie. Never decides whether a score is right. Every run that adds scores writes a file of its
own, so nothing is locked; a torn last line is passed over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import orjson

from babycli.errors import OutputError
from babycli.evaluation.plan import Key
from babycli.evaluation.scorefile import Scored, merged, to_line
from babycli.models.base import ModelInfo, ModelSpec, args_with_effect
from babycli.wording import Scoring

_MEND = "choose another folder:  --cache DIR"
_FORMAT = 1  # changes when the same settings come to mean other scores


class ScoreCache:
    """The scores of one model in one folder of caches."""

    def __init__(self, folder: Path, info: ModelInfo, spec: ModelSpec) -> None:
        self.folder = folder / _digest(info, args_with_effect(spec.args), spec.scoring)[:32]
        self._had: set[Key] = set()

    def read(self) -> dict[Key, Scored]:
        """All of them. Raises DataError for a file that is damaged, OutputError where none can be added."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {error.strerror}", _MEND) from error
        if not os.access(self.folder, os.W_OK):
            raise OutputError(f"cannot write {self.folder}", _MEND)
        found = merged(sorted(self.folder.glob("*.jsonl")))
        self._had = set(found)
        return found

    def add(self, scores: Iterable[Scored]) -> None:
        """Keeps those that were not there when it was read. Raises OutputError."""
        new = [scored for scored in scores if scored.key not in self._had]
        if not new:
            return
        path = self.folder / f"{datetime.now(UTC):%Y%m%d_%H%M%S}-{uuid4().hex[:12]}.jsonl"
        try:
            with path.open("xb") as stream:
                stream.writelines(to_line(scored) for scored in new)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}", _MEND) from error


def _digest(info: ModelInfo, args: Mapping[str, str], scoring: Scoring) -> str:
    whole = [_FORMAT, info.family, info.fingerprint, info.dtype, info.template, args, scoring]
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()
