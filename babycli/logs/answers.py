"""Answer lines, of which scores.rank<r>.jsonl and a cache consist: a line of JSON for each answer of a model.

Owns writing and reading them, and the key that identifies a request. Never computes an answer and never decides which
file is read.

    {"turns": [["user", [{"image": sha256}, "words"]]], "prompt": "words", "text": ..., "logprob_sum": ...,
     "n_tokens": ..., "greedy": ..., "token_logprobs": [...], "input": ...}
    {"turns": ..., "prompt": ..., "text": ..., "similarity": ..., "input": ...}
    {"turns": ..., "prompt": ..., "max_new_tokens": ..., "stop": [...], "generated": ..., "token_ids": [...],
     "finite": ...}
    {"turns": ..., "prompt": ..., "match": true, "similarity": ..., "input": ...}       of two pictures
    {"turns": ..., ..., "cannot": why}        in place of any of these
    {"turns": ..., "max_new_tokens": ..., ..., "place": [task, row, n], "no_reply": "null"}
                                    of a recorded conversation, whose answers belong to rows; or "end"

``prompt`` is the last turn in the form of --prompt, for a reader; ``text`` is the answer that was scored.

Each ends with ``"of": ..., "check": "<CRC-32 of the line without it>"``. ``of`` is the beginning of a digest of all
that answers depend on besides their requests (Identity.answers_digest). A line that a disk or somebody has changed is
damaged, and so is one that another model or setting gave, copied from elsewhere: it is passed over, as if the request
had not been answered yet.

``input`` is a digest of the features and ids that the model got: equal inputs must get equal scores. NaN is null, as
JSON has no name for it; infinities are the texts "inf" and "-inf".

Runs of 0.1.0 have lines of another form, with one picture and one prompt (schema version 1):

    {"image": sha256, "prompt": ..., "text": ..., "logprob_sum": ..., ...}
    {"image": sha256, "prompt": ..., "max_new_tokens": ..., "generated": ..., "token_ids": [...], "finite": ...}
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from babycli.domain import (
    PICTURE,
    Answer,
    CannotAnswer,
    Content,
    Extra,
    Loglikelihood,
    NoReply,
    RowPlace,
    Similarity,
    Text,
    as_prompt,
    ask,
    digest_of,
)
from babycli.errors import DataError
from babycli.files import in_memory, read_file

_NO_REPLY = {False: "null", True: "end"}  # by whether the recorded conversation ended before
_CHECK = b',"check":"%08x"}\n'
_CHECK_BYTES = len(_CHECK % 0) - 1  # at the end of a line
_OF_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class ScoreKey:
    """The identity of a request for a score: the same key, the same answer."""

    context: str  # digest of its content
    answer: str


@dataclass(frozen=True, slots=True)
class WriteKey:
    """The identity of a request for a text."""

    context: str
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    place: RowPlace | None = None


@dataclass(frozen=True, slots=True)
class MatchKey:
    """The identity of a request to compare two pictures."""

    context: str


Key = ScoreKey | MatchKey | WriteKey


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with its request, and the digest of the input that was scored; "" for a text."""

    key: Key
    content: Content
    answer: Answer
    input: str = ""


@dataclass(frozen=True, slots=True)
class Logged:
    """The answers of some files by their keys; where a key occurs twice, the first counts."""

    answers: dict[Key, Answered]
    damaged: tuple[str, ...]  # "FILE, line N" of each line that is not as it was written


def to_line(answered: Answered, answers_digest: str = "") -> bytes:
    """Gives the line of an answer, with its newline; ``answers_digest`` says what gave it."""
    line = orjson.dumps(_to_fields(answered) | {"of": answers_digest[:_OF_CHARACTERS]})
    return line[:-1] + _CHECK % zlib.crc32(line)


def _to_fields(answered: Answered) -> dict[str, Any]:
    key, answer = answered.key, answered.answer
    line: dict[str, Any] = {"turns": answered.content, "prompt": _prompt(answered.content)}
    match key:
        case ScoreKey():
            line["text"] = key.answer
        case MatchKey():
            line["match"] = True
        case WriteKey():
            line |= {"max_new_tokens": key.max_new_tokens, "stop": key.stop}
            if key.place is not None:
                line["place"] = [key.place.task, key.place.row_index, key.place.n]
    match answer:
        case CannotAnswer():
            return line | {"cannot": answer.why}
        case NoReply():
            return line | {"no_reply": _NO_REPLY[answer.is_beyond]} | _extra_field(answer)
        case Text():
            written = {"generated": answer.text, "token_ids": answer.token_ids, "finite": answer.is_finite}
            return line | written | _extra_field(answer)
        case Similarity():
            return line | {"similarity": _to_json(answer.value), "input": answered.input}
        case Loglikelihood():
            return line | {
                "logprob_sum": _to_json(answer.logprob_sum),
                "n_tokens": answer.n_tokens,
                "greedy": bool(answer.is_greedy),
                "token_logprobs": [_to_json(x) for x in answer.token_logprobs],
                "input": answered.input,
            }


def _extra_field(answer: Text | NoReply) -> dict[str, Any]:
    return {"extra": answer.extra} if answer.extra else {}


def _read(path: Path, answers_digest: str | None) -> Iterator[Answered | None]:
    """Reads the lines of a file; gives None for a damaged one. A torn last line is left out."""
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(f"cannot read the scores {path}: {error.strerror}") from error
    for line in content[: whole_bytes(content)].split(b"\n")[:-1]:
        try:
            yield _from_line(line, answers_digest)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            yield None


def merged(paths: Iterable[Path], answers_digest: str | None = None) -> Logged:
    """Reads the answers of several files: those that belong to ``answers_digest``; with None all, also of version 1.

    Raises DataError for a file that cannot be read.
    """
    answers: dict[Key, Answered] = {}
    damaged = []
    for path in paths:
        with in_memory(path):
            for number, answered in enumerate(_read(path, answers_digest), 1):
                if answered is None:
                    damaged.append(f"{path}, line {number}")
                else:
                    answers.setdefault(answered.key, answered)
    return Logged(answers, tuple(damaged))


def is_planted(path: Path) -> bool:
    """Tells whether something stands in the place of a file of answers that is none: a link, a folder, a pipe."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def whole_bytes(content: bytes) -> int:
    """Counts the bytes of a score file up to the end of its last whole line."""
    return content.rfind(b"\n") + 1


def _prompt(content: Content) -> str:
    return as_prompt(content[-1][1]) if content else ""


def _from_line(line: bytes, answers_digest: str | None = None) -> Answered:
    """Reads a line. Raises ValueError for one that fails its check or is of others, and others for odd fields."""
    fields = orjson.loads(line)
    if "turns" not in fields and answers_digest is None:
        return _from_old_fields(fields)
    body = line[:-_CHECK_BYTES] + b"}"
    if line[-_CHECK_BYTES:] + b"\n" != _CHECK % zlib.crc32(body):
        raise ValueError("its check does not fit")
    if answers_digest is not None and fields["of"] != answers_digest[:_OF_CHARACTERS]:
        raise ValueError("another model or setting gave it")
    answered = _from_fields(fields)
    if answers_digest is not None and orjson.dumps(_as_written(answered, fields)) != body:
        raise ValueError("nobody writes it so")
    return answered


def _as_written(answered: Answered, fields: dict[str, Any]) -> dict[str, Any]:
    """Gives the fields of an answer's line. Versions of Python differ in the last digit of a sum: it is as it is."""
    written = _to_fields(answered) | {"of": fields["of"]}
    ours, logged = written.get("logprob_sum"), fields.get("logprob_sum")
    if isinstance(ours, float) and isinstance(logged, float) and math.isclose(ours, logged):
        written["logprob_sum"] = logged
    return written


def _from_fields(line: dict[str, Any]) -> Answered:
    content = _parse_content(line["turns"])
    context = digest_of(content)
    key: Key
    if "text" in line:
        key = ScoreKey(context, _string(line["text"]))
    elif "match" in line:
        key = MatchKey(context)
    else:
        stop = tuple(map(_string, line["stop"]))
        key = WriteKey(context, int(line["max_new_tokens"]), stop, _parse_place(line.get("place")))
    if "cannot" in line:
        return Answered(key, content, CannotAnswer(_string(line["cannot"])))
    if "no_reply" in line:
        is_beyond = {text: beyond for beyond, text in _NO_REPLY.items()}[line["no_reply"]]
        return Answered(key, content, NoReply(is_beyond, _parse_extra(line)))
    if isinstance(key, WriteKey):
        extra = _parse_extra(line)
        return Answered(key, content, _parse_text(line, extra))
    return Answered(key, content, _parse_score(line), _string(line["input"]))


def _from_old_fields(line: dict[str, Any]) -> Answered:
    """Reads a line of schema version 1."""
    content = ask(line["prompt"], PICTURE).content({PICTURE: line["image"]})
    context = digest_of(content)
    if "generated" in line:
        return Answered(WriteKey(context, int(line["max_new_tokens"])), content, _parse_text(line))
    return Answered(ScoreKey(context, _string(line["text"])), content, _parse_score(line), _string(line["input"]))


def _parse_text(line: dict[str, Any], extra: Extra = ()) -> Text:
    ids = line["token_ids"]
    if not isinstance(ids, list) or not all(type(i) is int for i in ids):
        raise TypeError(f"{ids!r:.80} are no ids")
    return Text(_string(line["generated"]), tuple(ids), _boolean(line["finite"]), extra)


def _parse_score(line: dict[str, Any]) -> Similarity | Loglikelihood:
    if "similarity" in line:
        return Similarity(_from_json(line["similarity"]))
    return Loglikelihood(tuple(_from_json(x) for x in line["token_logprobs"]), _boolean(line["greedy"]))


def _parse_place(raw: Any) -> RowPlace | None:
    if raw is None:
        return None
    task, row_index, n = raw
    return RowPlace(_string(task), int(row_index), int(n))


def _parse_extra(line: dict[str, Any]) -> Extra:
    return tuple(None if reply is None else _string(reply) for reply in line.get("extra", ()))


def _parse_content(turns: Any) -> Content:
    """Reads a list of turns. Raises TypeError or ValueError for anything else."""
    content = tuple((_string(role), tuple(_parse_part(part) for part in parts)) for role, parts in turns)
    if any(role not in ("user", "model") for role, _ in content):
        raise ValueError(f"there is a side that is neither user nor model in {turns!r:.80}")
    return content


def _parse_part(part: Any) -> str | dict[str, str]:
    return {"image": _string(part["image"])} if isinstance(part, dict) else _string(part)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.80} is neither true nor false")
    return value


def _to_json(value: float) -> float | str | None:
    if math.isfinite(value):
        return float(value)
    return None if math.isnan(value) else str(value)


def _from_json(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
