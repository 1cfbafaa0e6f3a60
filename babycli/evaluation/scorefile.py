"""Score lines: what scores.rank<r>.jsonl and a cache hold, a line of JSON for each score.

Owns their format, both ways. Never computes a score and never decides which file is read.

    {"image": sha256, "prompt": ..., "text": ..., "logprob_sum": ..., "n_tokens": ..., "greedy": ...,
     "token_logprobs": [...], "input": ...}
    {"image": sha256, "prompt": ..., "text": ..., "similarity": ..., "input": ...}
    {"image": sha256, "prompt": ..., "max_new_tokens": ..., "generated": ..., "token_ids": [...], "finite": ...}

``input`` is a digest of what the model was given, features and ids: equal inputs must get equal scores. NaN is null, as
JSON has no name for it; infinities are the texts "inf" and "-inf".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from babycli.domain import Generation, Loglikelihood, Score, Similarity
from babycli.errors import DataError
from babycli.evaluation.plan import GenerateKey, Key, ScoreKey


@dataclass(frozen=True, slots=True)
class Scored:
    """A score, and what identifies the input that it is of; empty for a generation."""

    key: Key
    score: Score
    input: str = ""


def to_line(scored: Scored) -> bytes:
    """The line of a score, with its newline."""
    return orjson.dumps(_fields(scored)) + b"\n"


def _fields(scored: Scored) -> dict[str, Any]:
    key, score = scored.key, scored.score
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
        return line | {"text": key.text, "similarity": _to_json(score.value), "input": scored.input}
    assert isinstance(score, Loglikelihood)
    return line | {
        "text": key.text,
        "logprob_sum": _to_json(score.logprob_sum),
        "n_tokens": score.n_tokens,
        "greedy": score.is_greedy,
        "token_logprobs": [_to_json(x) for x in score.token_logprobs],
        "input": scored.input,
    }


def read_scores(path: Path) -> Iterator[Scored]:
    """The scores of a file in its order. A torn last line, which a kill leaves, is passed over.

    Raises DataError for a file that cannot be read or holds anything else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the scores {path}: {error.strerror}") from error
    for number, line in enumerate(content[: whole_bytes(content)].splitlines(), 1):
        try:
            yield _from_fields(orjson.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}, line {number} is no score: {error!r}", "move that file away, what it holds is scored again"
            ) from error


def merged(paths: Iterable[Path]) -> dict[Key, Scored]:
    """The scores of several files; of those that are there twice, the first. Raises as read_scores."""
    found: dict[Key, Scored] = {}
    for path in paths:
        for scored in read_scores(path):
            found.setdefault(scored.key, scored)
    return found


def whole_bytes(content: bytes) -> int:
    """How many bytes of a score file its whole lines take."""
    return content.rfind(b"\n") + 1


def _from_fields(line: dict[str, Any]) -> Scored:
    if "generated" in line:
        generated = Generation(line["generated"], tuple(line["token_ids"]), line["finite"])
        return Scored(GenerateKey(line["image"], line["prompt"], line["max_new_tokens"]), generated)
    key = ScoreKey(line["image"], line["prompt"], line["text"])
    if "similarity" in line:
        return Scored(key, Similarity(_from_json(line["similarity"])), line["input"])
    logprobs = tuple(_from_json(x) for x in line["token_logprobs"])
    return Scored(key, Loglikelihood(logprobs, line["greedy"]), line["input"])


def _to_json(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _from_json(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
