"""Wrappers written for lmms-eval, as a leaderboard's submissions are: ``--model lmms:path/to/model.py``.

Owns what a wrapper's number means. lmms-eval's interface promises a log-probability, and many registered wrappers give
the mean loss, which has the other sign: the user must say which, and every number is held against it. Never guesses,
and never calls the wrapper itself: parts/lmms_wrapper.py does.

    sign=loss       mean loss per token, at least 0      sign=logprob    log-probability of the answer, at most 0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as Pictures
from PIL import ImageDraw
from PIL.Image import Image

from babycli.domain import Generation, Loglikelihood, Offer
from babycli.errors import ModelError, UsageError
from babycli.models.base import Family, Features, ModelInfo, ModelSpec, Outline, Part, Tokens
from babycli.models.parts.foreign import fingerprint_of
from babycli.models.parts.lmms_wrapper import (
    PREFIX,
    NotOfferedError,
    Question,
    Scored,
    Source,
    Wrapper,
    WrapperClass,
    find,
)
from babycli.models.parts.pictures import picture_digest
from babycli.tasks.prompts import CAPTION, CHOICE, DEFAULT
from babycli.wording import Sign

OFFERS: tuple[Offer, ...] = ("loglikelihood", "generate")
ROUNDING = 1e-6  # a probability of 1 may come out as a logarithm a little beyond 0
PROBE_TEXTS = ("ball", "the red ball is on the table")
PROBE_TOKENS = 25
DEFAULT_DTYPE = "float32"


@dataclass(frozen=True, slots=True)
class Asked(Tokens):
    """A request in words: how a wrapper tokenises is its own business. ``ids`` only tell requests apart."""

    prompt: str
    text: str


class LmmsModel:
    """See babycli.models.base; features of a picture are the picture."""

    def __init__(self, wrapper: Wrapper, sign: Sign, info: ModelInfo) -> None:
        self._wrapper, self._sign = wrapper, sign
        self.info = info

    def render(self, prompt: str) -> str:
        return prompt

    def preprocess(self, image: Image) -> Features:
        return _seen(image)

    def encode(self, pixels: Sequence[Features]) -> list[Features]:
        return list(pixels)

    def tokenize(self, prompt: str, text: str) -> Asked:
        answer = tuple(text.encode())
        return Asked((*prompt.encode(), 256, *answer), len(answer), None, prompt, text)  # 256: no byte of a text

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        questions = [
            Question(f.data, f.digest, t.prompt, t.text)
            for f, t in zip(features, tokens, strict=True)
            if isinstance(t, Asked)
        ]
        scored = self._wrapper.loglikelihood(questions)
        return [self._meant(s, q) for s, q in zip(scored, questions, strict=True)]

    def _meant(self, scored: Scored, question: Question) -> Loglikelihood:
        check_sign(self._wrapper.of, self._sign, scored.value, question.text)
        return Loglikelihood((_goodness(self._sign, scored.value),), scored.is_greedy)

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        questions = [Question(f.data, f.digest, prompt, max_new_tokens=max_new_tokens) for f in features]
        return [Generation(text, (), True) for text in self._wrapper.generate(questions)]


def load(spec: ModelSpec, place: Path) -> LmmsModel:
    """Imports and constructs the wrapper and tries it on a picture; see babycli.models.base.Loader."""
    sign = read_sign(spec.args)
    found = find(Source.parse(spec.source))
    args = {key: value for key, value in spec.args.items() if key != "sign"}
    given = dict(args)
    if "dtype" not in given and (spec.dtype != DEFAULT_DTYPE or found.takes("dtype")):
        given["dtype"] = spec.dtype  # `babycli eval` has taken it out of --model-args
    added = {"batch_size": 1, "device": spec.device}
    wrapper = found.construct(given, {key: value for key, value in added.items() if key not in given})
    tried = probe(wrapper, sign)
    network = wrapper.network()
    info = ModelInfo(
        family="lmms",
        source=spec.source,
        fingerprint=fingerprint_of(found.source.file, found.name, spec.args),
        n_parameters=None if network is None else sum(weight.numel() for weight in network.parameters()),
        dtype=_dtype(network),
        device=given.get("device", spec.device),
        template="wrapper",
        offers=tried.offers,
        notes=(found.origin, *tried.notes),
        prompts_like=found.name,
    )
    return LmmsModel(wrapper, sign, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """The file is imported, and nothing is constructed."""
    found = find(Source.parse(spec.source))
    said = (found.cls.__doc__ or "").strip().splitlines()
    what = f"{found.cls.__name__}: {said[0]}" if said else found.cls.__name__
    return Outline(
        family="lmms",
        parts=(Part(found.name, what, None),),
        stored_dtype=None,
        template="wrapper",
        offers=OFFERS,
        render=lambda prompt: prompt,
        prompts_like=found.name,
        notes=(found.origin, "the wrapper puts its own template around a prompt"),
    )


# ---------------------------------------------------------------- the sign


def read_sign(args: Mapping[str, str]) -> Sign:
    """What the user says that a number means. Raises UsageError where they do not say."""
    match args.get("sign"):
        case "loss":
            return Sign.LOSS
        case "logprob":
            return Sign.LOGPROB
        case given:
            raise UsageError(
                ("--model-args has no sign" if given is None else f"unknown sign {given!r}")
                + ": lmms-eval promises a log-probability, many of its wrappers give the mean loss, and the wrong one "
                "turns every choice around",
                "look at what the wrapper's loglikelihood puts in its result:  sign=loss  for loss.item(), as LLaVA's, "
                " sign=logprob  for a sum of log-probabilities; then  --model-args sign=loss|logprob",
            )


def check_sign(of: WrapperClass, sign: Sign, value: float, text: str) -> None:
    """Raises ModelError for a number that cannot be what the user says it is. NaN passes: the run reports it."""
    if _goodness(sign, value) <= ROUNDING or math.isnan(value):
        return
    other, bound = ("logprob", "at least") if sign == Sign.LOSS else ("loss", "at most")
    raise ModelError(
        f"{of.source.file}: loglikelihood gave {value:.6g} for {text!r}, and a {sign} is {bound} 0: "
        f"sign={sign} is not true of this wrapper",
        f"read its loglikelihood; if that is what it gives:  --model-args sign={other}",
    )


def _goodness(sign: Sign, value: float) -> float:
    return -value if sign == Sign.LOSS else value


@dataclass(frozen=True, slots=True)
class Tried:
    offers: tuple[Offer, ...]
    notes: tuple[str, ...]


def probe(wrapper: Wrapper, sign: Sign) -> Tried:
    """Asks the wrapper about a drawn picture: what it offers, and whether its numbers fit the sign.

    Raises ModelError where they do not, and for whatever goes wrong.
    """
    of, seen = wrapper.of, _seen(_drawing())
    scored: list[Scored] = []
    offers: list[Offer] = []
    notes: list[str] = []

    def attempt(offer: Offer, ask: Callable[[], object]) -> None:
        try:
            ask()
            offers.append(offer)
        except NotOfferedError as error:
            notes.append(f"it does not offer {offer}: {error}")

    choice, caption = (prompts.get(of.name, prompts[DEFAULT]) for prompts in (CHOICE, CAPTION))
    texts = [Question(seen.data, seen.digest, choice, text) for text in PROBE_TEXTS]
    attempt("loglikelihood", lambda: scored.extend(wrapper.loglikelihood(texts)))
    wish = Question(seen.data, seen.digest, caption, max_new_tokens=PROBE_TOKENS)
    attempt("generate", lambda: wrapper.generate([wish]))
    if not offers:
        raise ModelError(
            f"{of.source.file}: {of.cls.__name__} offers nothing: {'; '.join(notes)}",
            "a wrapper needs loglikelihood or generate_until",
        )
    for answer, text in zip(scored, PROBE_TEXTS, strict=False):
        if not math.isfinite(answer.value):
            raise ModelError(
                f"{of.source.file}: loglikelihood gave {answer.value} for {text!r} and a drawn picture; expected is a "
                "finite number",
                "look for NaN in the checkpoint, or for a dtype that the device cannot compute in",
            )
        check_sign(of, sign, answer.value, text)
    return Tried(tuple(offers), (*notes, *(_sign_notes(sign, scored) if scored else ())))


def _sign_notes(sign: Sign, scored: Sequence[Scored]) -> Iterator[str]:
    if sign == Sign.LOSS:
        yield "sign=loss: a number is the wrapper's mean loss per token; how many tokens there are is not known"
    else:
        yield (
            "sign=logprob: a number is the wrapper's log-probability of a whole answer; how many tokens there are is "
            "not known, so an answer of few tokens is favoured"
        )
    if all(answer.value == 0 for answer in scored):
        yield f"every number was 0 when the wrapper was tried, so that sign={sign} could not be checked"


# ---------------------------------------------------------------- parts


def _seen(image: Image) -> Features:
    return Features(image, picture_digest(image))


def _drawing() -> Image:
    """A red ball on a brown table."""
    image = Pictures.new("RGB", (224, 224), (190, 210, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 150, 224, 224), fill=(130, 90, 50))
    draw.ellipse((72, 72, 152, 152), fill=(210, 30, 30))
    return image


def _dtype(network: Any) -> str:
    first = None if network is None else next(iter(network.parameters()), None)
    return "unknown" if first is None else str(first.dtype).removeprefix("torch.")


FAMILY = Family(
    name="lmms",
    summary="a wrapper written for lmms-eval: lmms:path/to/model.py, or lmms:path/to/model.py:registered_name",
    offers=OFFERS,
    arguments={
        "sign": "loss or logprob: what the wrapper's loglikelihood gives (must be given; it is checked)",
        "batch_size": "the wrapper's own, 1 unless given; every other argument goes to the wrapper too",
    },
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=lambda name: name.startswith(PREFIX),
    has_checkpoints=False,
    takes_any_argument=True,
)
