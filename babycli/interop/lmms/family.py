"""Wrappers written for lmms-eval, as a leaderboard's submissions are: ``--model lmms:path/to/model.py``.

Owns what a wrapper's number means. lmms-eval's interface promises a log-probability, and many registered wrappers give
the mean loss, which has the other sign: the user must say which, and every number is held against it. Never guesses,
and never calls the wrapper itself: wrapper.py does.

    sign=loss       mean loss per token, at least 0      sign=logprob    log-probability of the answer, at most 0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage
from PIL import ImageDraw
from PIL.Image import Image

from babycli.domain import Context, Loglikelihood, Text
from babycli.errors import ModelError, UsageError
from babycli.foreign import fingerprint_of
from babycli.interop.lmms import ABILITIES
from babycli.interop.lmms.sign import Sign
from babycli.interop.lmms.wrapper import NotOfferedError, Question, Scored, Source, Wrapper, WrapperClass, find
from babycli.models.base import Abilities, Features, Model, ModelInfo, ModelSpec, Outline, Part, Pictures, Tokens
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.prompts import prompt_text
from babycli.tasks.babyvlm import CAPTION, CHOICE
from babycli.tasks.base import DEFAULT

ROUNDING = 1e-6  # a probability of 1 may come out as a logarithm a little beyond 0
PROBE_TEXTS = ("ball", "the red ball is on the table")
PROBE_TOKENS = 25
DEFAULT_DTYPE = "float32"


@dataclass(frozen=True, slots=True)
class Asked(Tokens):
    """A request in words: how a wrapper tokenises is its own business. ``ids`` only tell requests apart."""

    prompt: str
    text: str


class LmmsModel(Model):
    """See babycli.models.base; features of a picture are the picture."""

    def __init__(self, wrapper: Wrapper, sign: Sign, info: ModelInfo) -> None:
        self._wrapper, self._sign = wrapper, sign
        self.info = info

    def render(self, context: Context) -> str:
        return prompt_text(context)

    def preprocess(self, image: Image) -> Features:
        return _seen(image)

    def encode(self, pixels: Sequence[Features]) -> list[Features]:
        return list(pixels)

    def tokenize(self, context: Context, answer: str) -> Asked:
        prompt, ids = prompt_text(context), tuple(answer.encode())
        return Asked((*prompt.encode(), 256, *ids), len(ids), None, prompt, answer)  # 256: no byte of a text

    def read(self, context: Context, max_new_tokens: int) -> Asked:
        return self.tokenize(context, "")

    def loglikelihood(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        questions = [
            Question(seen.data, seen.digest, asked.prompt, asked.text) for seen, asked in _asked(pictures, tokens)
        ]
        scored = self._wrapper.loglikelihood(questions)
        return [self._meant(s, q) for s, q in zip(scored, questions, strict=True)]

    def _meant(self, scored: Scored, question: Question) -> Loglikelihood:
        check_sign(self._wrapper.registered, self._sign, scored.value, question.text)
        return Loglikelihood((_goodness(self._sign, scored.value),), scored.is_greedy)

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text]:
        questions = [
            Question(seen.data, seen.digest, asked.prompt, max_new_tokens=max_new_tokens)
            for seen, asked in _asked(pictures, tokens)
        ]
        return [Text(text, (), True) for text in self._wrapper.generate(questions)]


def _asked(pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> Iterator[tuple[Features, Asked]]:
    """Pairs each request with its only picture."""
    for row, asked in zip(pictures, tokens, strict=True):
        assert isinstance(asked, Asked)
        (seen,) = row
        yield seen, asked


def load(spec: ModelSpec, place: Path) -> LmmsModel:
    """Imports and constructs the wrapper and tries it on a picture; see babycli.models.base.Loader."""
    sign = read_sign(spec.args)
    registered = find(Source.parse(spec.source))
    args = {key: value for key, value in spec.args.items() if key != "sign"}
    given = dict(args)
    if "dtype" not in given and (spec.dtype != DEFAULT_DTYPE or registered.takes("dtype")):
        given["dtype"] = spec.dtype  # `babycli eval` has taken it out of --model-args
    added = {"batch_size": 1, "device": spec.device}
    wrapper = registered.construct(given, {key: value for key, value in added.items() if key not in given})
    tried = probe(wrapper, sign)
    network = wrapper.network()
    info = ModelInfo(
        family="lmms",
        source=spec.source,
        fingerprint=fingerprint_of(registered.source.file, registered.name, spec.args),
        n_parameters=None if network is None else sum(weight.numel() for weight in network.parameters()),
        dtype=_dtype(network),
        device=given.get("device", spec.device),
        template="wrapper",
        abilities=tried.abilities,
        notes=(registered.origin, *tried.notes),
        prompts_like=registered.name,
    )
    return LmmsModel(wrapper, sign, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Imports the file and constructs nothing; see babycli.models.base.Outliner."""
    registered = find(Source.parse(spec.source))
    doc = (registered.cls.__doc__ or "").strip().splitlines()
    what = f"{registered.cls.__name__}: {doc[0]}" if doc else registered.cls.__name__
    return Outline(
        family="lmms",
        parts=(Part(registered.name, what, None),),
        stored_dtype=None,
        template="wrapper",
        abilities=ABILITIES,
        render=prompt_text,
        prompts_like=registered.name,
        notes=(registered.origin, "the wrapper puts its own template around a prompt"),
    )


# ---------------------------------------------------------------- the sign


def read_sign(args: Mapping[str, str]) -> Sign:
    """Reads what a number of the wrapper means. Raises UsageError where ``--model-args`` does not say it."""
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


def check_sign(registered: WrapperClass, sign: Sign, value: float, text: str) -> None:
    """Raises ModelError for a number that cannot be what the user says it is. NaN passes: the run reports it."""
    if _goodness(sign, value) <= ROUNDING or math.isnan(value):
        return
    other, bound = ("logprob", "at least") if sign == Sign.LOSS else ("loss", "at most")
    raise ModelError(
        f"{registered.source.file}: loglikelihood gave {value:.6g} for {text!r}, and a {sign} is {bound} 0: "
        f"sign={sign} is not true of this wrapper",
        f"read its loglikelihood; if that is what it gives:  --model-args sign={other}",
    )


def _goodness(sign: Sign, value: float) -> float:
    return -value if sign == Sign.LOSS else value


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of trying a wrapper."""

    abilities: Abilities
    notes: tuple[str, ...]


def probe(wrapper: Wrapper, sign: Sign) -> Tried:
    """Asks the wrapper about a drawn picture: what it offers, and whether its numbers fit the sign.

    Raises ModelError where they do not, and for whatever goes wrong.
    """
    registered, seen = wrapper.registered, _seen(_drawing())
    notes: list[str] = []

    def offers(what: str, ask: Callable[[], object]) -> bool:
        try:
            ask()
        except NotOfferedError as error:
            notes.append(f"it does not offer {what}: {error}")
            return False
        return True

    choice, caption = (prompts.get(registered.name, prompts[DEFAULT]) for prompts in (CHOICE, CAPTION))
    texts = [Question(seen.data, seen.digest, choice, text) for text in PROBE_TEXTS]
    scored: list[Scored] = []
    scores = offers("loglikelihood", lambda: scored.extend(wrapper.loglikelihood(texts)))
    wish = Question(seen.data, seen.digest, caption, max_new_tokens=PROBE_TOKENS)
    writes = offers("generate", lambda: wrapper.generate([wish]))
    if not scores and not writes:
        raise ModelError(
            f"{registered.source.file}: {registered.cls.__name__} offers nothing: {'; '.join(notes)}",
            "a wrapper needs loglikelihood or generate_until",
        )
    for answer, text in zip(scored, PROBE_TEXTS, strict=False):
        if not math.isfinite(answer.value):
            raise ModelError(
                f"{registered.source.file}: loglikelihood gave {answer.value} for {text!r} and a drawn picture; "
                "expected is a finite number",
                "look for NaN in the checkpoint, or for a dtype that the device cannot compute in",
            )
        check_sign(registered, sign, answer.value, text)
    abilities = Abilities(ABILITIES.scores if scores else (), writes)
    return Tried(abilities, (*notes, *(_sign_notes(sign, scored) if scored else ())))


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
    """Draws a red ball on a brown table."""
    image = PillowImage.new("RGB", (224, 224), (190, 210, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 150, 224, 224), fill=(130, 90, 50))
    draw.ellipse((72, 72, 152, 152), fill=(210, 30, 30))
    return image


def _dtype(network: Any) -> str:
    first = None if network is None else next(iter(network.parameters()), None)
    return "unknown" if first is None else str(first.dtype).removeprefix("torch.")
