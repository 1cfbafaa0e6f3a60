"""The files of a run: run.json, scores.rank<r>.jsonl, results and samples.

Owns their names and format (the contract that report/load.py reads). Never computes a number. Whole files are
replaced atomically; scores are appended and flushed, so what was scored before a crash can be read.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from babycli.data.root import write_atomically
from babycli.domain import Generation, Score, Similarity
from babycli.errors import DataError, OutputError
from babycli.evaluation.plan import GenerateKey, Key

SCHEMA_VERSION = 1
RUN_FILE = "run.json"
SCORES_FILE = "scores.rank0.jsonl"


def log_name(source: str) -> str:
    """The folder of a model: the last two parts of its path or hub id, joined by ``__``."""
    parts = Path(source).expanduser().parts
    if any(part in (".", "..") for part in parts) or not parts:
        parts = Path(source).resolve().parts
    kept = [re.sub(r"[^\w.+-]", "_", part) for part in parts if part != "/"][-2:]
    return "__".join(kept)


class RunLog:
    """One run's folder, ``<output>/<model>/<YYYYMMDD_HHMMSS>/``. Use as a context manager.

    Raises OutputError when the disk is full or may not be written.
    """

    def __init__(self, output: Path, model: str) -> None:
        with _explained(output):
            while True:
                self.timestamp = datetime.now().strftime("%Y%m%d_%H%M%S")
                self.folder = output / model / self.timestamp
                self.folder.parent.mkdir(parents=True, exist_ok=True)
                try:
                    self.folder.mkdir()
                    break
                except FileExistsError:
                    time.sleep(0.1)  # another run began in this very second
            self._scores: BinaryIO = (self.folder / SCORES_FILE).open("ab")
        self.provenance: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what could be flushed has been; a full disk was reported when met
            self._scores.close()

    def write_provenance(self, **fields: Any) -> None:
        """Adds to run.json and writes it."""
        self.provenance |= {"schema_version": SCHEMA_VERSION} | fields
        self._write(self.folder / RUN_FILE, _pretty(self.provenance))

    def append_score(self, key: Key, score: Score) -> None:
        """A line of scores.rank0.jsonl, given to the operating system before this returns."""
        with _explained(self.folder / SCORES_FILE):
            self._scores.write(orjson.dumps(_score_line(key, score)) + b"\n")
            self._scores.flush()

    def write_results(self, results: Mapping[str, Any]) -> Path:
        path = self.folder / f"{self.timestamp}_results.json"
        self._write(path, _pretty(results))
        return path

    def write_samples(self, task: str, lines: Iterable[Mapping[str, Any]]) -> None:
        content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        self._write(self.folder / f"{self.timestamp}_samples_{task}.jsonl", content)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_atomically(path, content)
        except DataError as error:
            raise OutputError(error.message, _MEND) from error


def _score_line(key: Key, score: Score) -> dict[str, Any]:
    line: dict[str, Any] = {"image": key.image_sha256, "prompt": key.prompt}
    if isinstance(key, GenerateKey):
        assert isinstance(score, Generation)
        return line | {
            "max_new_tokens": key.max_new_tokens,
            "generated": score.text,
            "token_ids": score.token_ids,
            "finite": score.is_finite,
        }
    if isinstance(score, Similarity):
        return line | {"text": key.text, "similarity": score.value}
    assert not isinstance(score, Generation)
    return line | {
        "text": key.text,
        "logprob_sum": score.logprob_sum,
        "n_tokens": score.n_tokens,
        "greedy": score.is_greedy,
        "token_logprobs": score.token_logprobs,
    }


def _pretty(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


_MEND = "choose another place with --output-path DIR, or free some space"


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", _MEND) from error
