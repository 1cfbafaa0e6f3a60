"""Reading what a server gives: every field that is used is checked, and what is not as it should be is no answer.

Owns the forms of OpenAI's API and of vLLM's log-probabilities of a prompt. Never calls anybody and never guesses.

    prompt            [ ...  <|im_start|> assistant \\n ]
    with its answer   [ ...  <|im_start|> assistant \\n  red  ball ]
    scored                                               ^^^  ^^^^    what is behind the whole prompt
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from babycli.domain import CannotAnswer, Loglikelihood
from babycli.models.parts.server_calls import MalformedError
from babycli.wording import printable, shortened

AN_ERROR = "see what the server says, in its own log too; the same command goes on"
_MINUS_INFINITY = -9999.0  # what vLLM writes for it, as JSON has no such number
_BLANKS = "\u0120\u010a\u2581"  # how tokenizers write a blank or a new line, where they are not decoded
_UNKNOWN = "\ufffd"  # for bytes that are a part of a character
_MOST = 1 << 40  # of what is counted; the sum of any number of them fits into 64 bits
_MOST_DIGITS = 18  # of the number of a token
_THOUGHTS = ("reasoning_content", "reasoning")  # of a model, where they stand beside its answer


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request of the chat API."""

    model: str
    text: str | None
    refusal: str  # why the model gives no text, in its words; "" where it does not say
    has_only_thoughts: bool  # its tokens were used up by them
    why_ended: str  # "stop", "length" or "content_filter"
    prompt_tokens: int
    completion_tokens: int
    system_fingerprint: str
    prompt: Any = None  # prompt_logprobs, as it is


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token of a prompt, with its log-probability."""

    token_id: int
    logprob: float
    is_first_choice: bool
    text: str


def read_reply(document: Any) -> Reply:
    """Reads a reply. Raises MalformedError."""
    whole = _object(document, "the answer")
    choices = whole.get("choices")
    if choices is None and whole.get("error"):
        raise MalformedError("it gave an error in the place of an answer", AN_ERROR)
    if not isinstance(choices, list) or len(choices) != 1:
        n = f"{len(choices)} choices" if isinstance(choices, list) else "no list of choices"
        raise MalformedError(f"it gave {n}, should be 1")
    choice = _object(choices[0], "choices[0]")
    message = _object(choice.get("message"), "message")
    role, text, why = message.get("role"), message.get("content"), choice.get("finish_reason")
    if role != "assistant":
        raise MalformedError(f"the role of its message is {reprlib.repr(role)}, should be 'assistant'")
    if not (text is None or isinstance(text, str)):
        raise MalformedError(f"the content of its message is {reprlib.repr(text)}, should be a text")
    if why not in ("stop", "length", "content_filter"):
        raise MalformedError(f"its finish_reason is {reprlib.repr(why)}, should be 'stop' or 'length'")
    refusal = message.get("refusal")
    usage = whole.get("usage")
    counts = _object(usage, "usage") if usage is not None else {}
    fingerprint = whole.get("system_fingerprint")
    return Reply(
        _text(whole.get("model"), "model"),
        text,
        refusal if text is None and isinstance(refusal, str) else "",
        why == "length" and not (text or "").strip() and any(message.get(name) for name in _THOUGHTS),
        why,
        _count(counts.get("prompt_tokens", 0), "prompt_tokens"),
        _count(counts.get("completion_tokens", 0), "completion_tokens"),
        fingerprint if isinstance(fingerprint, str) else "",
        whole.get("prompt_logprobs"),
    )


def read_models(document: Any) -> dict[str, Mapping[str, Any]]:
    """Reads the list of models: what the server tells of each, by name. Raises MalformedError.

    Some give the bare list, and null for one without models.
    """
    data = document if isinstance(document, list) else _object(document, "the list of models").get("data", "")
    if data is None:
        return {}
    if not isinstance(data, list):
        raise MalformedError("it gave no list of models")
    entries = [_object(entry, "a model") for entry in data]
    return {_text(entry.get("id"), "the id of a model"): entry for entry in entries}


def read_scored(reply: Reply) -> tuple[ScoredToken, ...]:
    """Reads the log-probabilities of all tokens of a prompt but the first, which has none. Raises MalformedError."""
    prompt = reply.prompt
    if not isinstance(prompt, list) or not prompt:
        raise MalformedError(f"prompt_logprobs is {reprlib.repr(prompt)}, should be a list with a place for each token")
    if prompt[0] is not None:
        raise MalformedError("the first token of prompt_logprobs has a log-probability: nothing stands before it")
    if reply.prompt_tokens not in (0, len(prompt)):
        raise MalformedError(
            f"it gave {len(prompt)} log-probabilities for the {reply.prompt_tokens} tokens of a prompt"
        )
    return tuple(_scored(place, n) for n, place in enumerate(prompt[1:], 1))


def _scored(place: Any, n: int) -> ScoredToken:
    """Reads a place: the token that is there, and the likeliest one if it is another."""
    where = f"prompt_logprobs[{n}]"
    if not isinstance(place, dict) or not 1 <= len(place) <= 2:
        raise MalformedError(f"{where} is {reprlib.repr(place)}: the log-probability of one token is missing")
    tokens = [_token(key, entry, where) for key, entry in place.items()]
    there = [token for token in tokens if not token.is_first_choice] if len(tokens) == 2 else tokens
    if len(there) != 1:
        raise MalformedError(f"{where} does not tell which of its two tokens is there")
    return there[0]


def _token(key: str, entry: Any, where: str) -> ScoredToken:
    fields = _object(entry, where)
    logprob, rank, text = fields.get("logprob"), fields.get("rank"), fields.get("decoded_token")
    if not key.isdecimal() or len(key) > _MOST_DIGITS:
        raise MalformedError(f"{where} names the token {reprlib.repr(key)}, should be a number")
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or not logprob <= 0:
        raise MalformedError(f"the logprob of {where} is {reprlib.repr(logprob)}, should be a number up to 0")
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise MalformedError(f"the rank of {where} is {reprlib.repr(rank)}, should be a number from 1")
    value = -math.inf if logprob <= _MINUS_INFINITY else float(logprob)
    return ScoredToken(int(key), value, rank == 1, text if isinstance(text, str) else _UNKNOWN)


def score_of(prompt: Sequence[ScoredToken], whole: Sequence[ScoredToken], answer: str) -> Loglikelihood | CannotAnswer:
    """Gives the log-probabilities of the tokens of an answer, and of nothing else; else why they cannot be told."""
    n = len(prompt)
    if [token.token_id for token in whole[:n]] != [token.token_id for token in prompt]:
        return CannotAnswer("the server's tokens of the prompt change when the answer follows: no border can be told")
    tokens = whole[n:]
    read = "".join(token.text for token in tokens)
    if _UNKNOWN in read:
        return CannotAnswer(f"the server's tokens of {shortened(answer, 40)!r} cannot be read one by one")
    if not tokens or _letters(read) != _letters(answer):
        shown = shortened(printable(read), 60)
        return CannotAnswer(
            f"behind the prompt the server reads {shown!r}, and the answer is {shortened(answer, 40)!r}"
        )
    return Loglikelihood(tuple(token.logprob for token in tokens), all(token.is_first_choice for token in tokens))


def _letters(text: str) -> str:
    return "".join(_kept(text))


def _kept(text: str) -> Iterator[str]:
    return (character for character in text if not character.isspace() and character not in _BLANKS)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is {reprlib.repr(value)}, should be an object")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{what} is {reprlib.repr(value)}, should be a text")
    return value


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise MalformedError(f"{what} is {reprlib.repr(value)}, should be a count")
    return value
