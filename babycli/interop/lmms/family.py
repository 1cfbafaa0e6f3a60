"""Wrappers written for lmms-eval, as a leaderboard's submissions are: ``--model lmms:path/to/model.py``.

Owns what a wrapper's number means. lmms-eval's interface promises a log-probability, and many registered wrappers give
the mean loss, which has the other sign: the user must say which, and every number is held against it. Never guesses,
and never calls the wrapper itself: wrapper.py does.

    sign=loss       mean loss per token, at least 0      sign=logprob    log-probability of the answer, at most 0
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from babycli.domain import Context, Loglikelihood, Score, Text, Write
from babycli.errors import ModelError, UsageError
from babycli.foreign import fingerprint_of
from babycli.interop.lmms import ABILITIES
from babycli.interop.lmms.questions import Asker, Question
from babycli.interop.lmms.sign import Sign
from babycli.interop.lmms.weights import Weights
from babycli.interop.lmms.wrapper import (
    NotOfferedError,
    Scored,
    Source,
    Wrapper,
    WrapperClass,
    find,
)
from babycli.models.base import (
    Abilities,
    Features,
    Model,
    ModelInfo,
    ModelSpec,
    Outline,
    Part,
    Pictures,
    RowRequest,
    Tokens,
    Trial,
)
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.precision import torch_dtype
from babycli.models.parts.prompts import prompt_text
from babycli.wording import all_of

ROUNDING = 1e-6  # a probability of 1 may come out as a logarithm a little beyond 0
N_TRIED = 2  # requests of each kind, before the run


@dataclass(frozen=True, slots=True)
class Asked(Tokens):
    """A request in words: how a wrapper tokenises is its own business. ``ids`` only tell requests apart."""

    prompt: str
    text: str


class LmmsModel(Model):
    """See babycli.models.base; features of a picture are the picture."""

    def __init__(self, wrapper: Wrapper, sign: Sign, info: ModelInfo) -> None:
        self._wrapper, self._sign = wrapper, sign
        self._asker = Asker()
        self.info = info

    def meet(self, row_requests: Sequence[RowRequest]) -> None:
        self._wrapper.know(self._asker.learn(row_requests))

    def render(self, context: Context) -> str:
        return prompt_text(context)

    def preprocess(self, image: Image) -> Features:
        return Features(image, picture_digest(image))

    def encode(self, pixels: Sequence[Features]) -> list[Features]:
        return list(pixels)

    def tokenize(self, context: Context, answer: str) -> Asked:
        prompt, ids = prompt_text(context), tuple(answer.encode())
        return Asked((*prompt.encode(), 256, *ids), len(ids), None, prompt, answer)  # 256: no byte of a text

    def read(self, context: Context, max_new_tokens: int) -> Asked:
        return self.tokenize(context, "")

    def loglikelihood(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        questions = [self._asker.score(seen, asked.prompt, asked.text) for seen, asked in _asked(pictures, tokens)]
        scored = self._wrapper.loglikelihood(questions)
        return [self._meant(s, q) for s, q in zip(scored, questions, strict=True)]

    def _meant(self, scored: Scored, question: Question) -> Loglikelihood:
        check_sign(self._wrapper.registered, self._sign, scored.value, question.text)
        return Loglikelihood((_goodness(self._sign, scored.value),), scored.is_greedy)

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text]:
        questions = [self._asker.write(seen, asked.prompt, max_new_tokens) for seen, asked in _asked(pictures, tokens)]
        return [Text(text, (), True) for text in self._wrapper.generate(questions)]


def _asked(pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> Iterator[tuple[Features, Asked]]:
    """Pairs each request with its only picture."""
    for row, asked in zip(pictures, tokens, strict=True):
        assert isinstance(asked, Asked)
        (seen,) = row
        yield seen, asked


def load(spec: ModelSpec, place: Path) -> LmmsModel:
    """Imports and constructs the wrapper and tries it on the run's first requests; see babycli.models.base.Loader."""
    sign = read_sign(spec.args)
    registered = find(Source.parse(spec.source))
    args = {key: value for key, value in spec.args.items() if key != "sign"}
    added = added_arguments(registered, spec)
    wrapper = registered.construct(args, {key: value for key, value in added.items() if key not in args})
    trials = spec.trials(registered.name) if spec.trials is not None else ()
    tried = probe(wrapper, sign, trials)
    weights = wrapper.weights()
    info = ModelInfo(
        family="lmms",
        source=spec.source,
        fingerprint=fingerprint_of(registered.source.file, registered.name, spec.args),
        n_parameters=weights.n_parameters,
        dtype=_dtype(weights, spec),
        device=args.get("device") or added.get("device") or weights.device or "unknown",
        template="wrapper",
        abilities=tried.abilities,
        notes=(registered.origin, *tried.notes, *_precision_notes(weights, spec)),
        prompts_like=registered.name,
    )
    return LmmsModel(wrapper, sign, info)


def added_arguments(registered: WrapperClass, spec: ModelSpec) -> dict[str, Any]:
    """Gives what is added to ``--model-args``: what the user gave elsewhere, and what the constructor takes.

    Raises UsageError for what the user gave and the constructor does not take.
    """
    added: dict[str, Any] = {}
    for name, value in (("device", spec.device), ("dtype", spec.dtype)):
        parameter = registered.parameter(name)
        if name in spec.given and parameter is None and not registered.takes_any:
            raise UsageError(
                f"{registered.source.file}: --{name} {value} was given, and the constructor of "
                f"{registered.cls.__name__} takes no {name}",
                f"leave --{name} out; what the constructor does take goes into --model-args",
            )
        if name in spec.given:
            added[name] = torch_dtype(value) if name == "dtype" and _is_torch_dtype(parameter) else value
        elif name == "device" and parameter is not None:
            added[name] = value
    if registered.parameter("batch_size") is not None or registered.takes_any:
        added["batch_size"] = 1  # lmms-eval gives it always
    return added


def _is_torch_dtype(parameter: Parameter | None) -> bool:
    """Tells whether an argument is a torch.dtype, by its default."""
    return parameter is not None and isinstance(parameter.default, torch.dtype)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Imports the file and constructs nothing; see babycli.models.base.Outliner."""
    registered = find(Source.parse(spec.source))
    doc = (registered.cls.__doc__ or "").strip().splitlines()
    what = f"{registered.cls.__name__}: {doc[0]}" if doc else registered.cls.__name__
    lacks = [registered.why_not_offered(method) for method in ("loglikelihood", "generate_until")]
    notes = [registered.origin, *filter(None, lacks)]
    if not registered.is_simple:
        notes.append("it is a chat wrapper (is_simple = False), which babycli eval does not run")
    return Outline(
        family="lmms",
        parts=(Part(registered.name, what, None),),
        stored_dtype=None,
        template="wrapper",
        abilities=by_code(registered),
        render=prompt_text,
        prompts_like=registered.name,
        notes=(*notes, "the wrapper puts its own template around a prompt"),
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


def probe(wrapper: Wrapper, sign: Sign, trials: Sequence[Trial]) -> Tried:
    """Asks the wrapper the first requests of the run: what it offers of what is needed, and whether its numbers fit.

    What no task of the run asks for is not tried. Raises ModelError where it offers nothing of what is needed, where
    its numbers do not fit the sign, and for whatever goes wrong.
    """
    registered = wrapper.registered
    offered: set[str] = set()
    lacking: list[str] = []
    notes: list[str] = []
    for trial in trials:
        what, method = ("loglikelihood", "loglikelihood") if trial.answer == "score" else ("generate", "generate_until")
        why = registered.why_not_offered(method)
        try:
            if not why and trial.row_requests:
                notes += _try(wrapper, sign, trial)
        except NotOfferedError as error:
            why = str(error)
        if why:
            lacking.append(trial.task)
            notes.append(f"it does not offer {what}: {why}")
        else:
            offered.add(trial.answer)
    if trials and not offered:
        raise ModelError(
            f"{registered.source.file}: {registered.cls.__name__} cannot do {', '.join(lacking)}: {'; '.join(notes)}",
            "choose other tasks with --tasks, or mend the method",
        )
    for answer, method in (("score", "loglikelihood"), ("write", "generate_until")):
        if trials and answer not in {trial.answer for trial in trials}:
            notes.append(f"{method} was not tried: no task of this run asks for it")
    abilities = replace(ABILITIES, scores=ABILITIES.scores if "score" in offered else (), writes="write" in offered)
    return Tried(abilities if trials else by_code(registered), tuple(notes))


def by_code(registered: WrapperClass) -> Abilities:
    """Gives the abilities of a wrapper that is not tried: all but methods whose code tells that they give nothing."""
    why_not = registered.why_not_offered
    return replace(
        ABILITIES, scores=() if why_not("loglikelihood") else ABILITIES.scores, writes=not why_not("generate_until")
    )


def _try(wrapper: Wrapper, sign: Sign, trial: Trial) -> list[str]:
    """Asks the first requests of a kind, and gives notes on the sign. Raises ModelError, NotOfferedError."""
    first = {row_request.row_index: row_request.pictures for row_request in reversed(trial.row_requests)}
    row_requests = [each for each in trial.row_requests if each.pictures == first[each.row_index]][:N_TRIED]
    asker = Asker()
    wrapper.know(asker.learn(row_requests))
    questions = []
    for row_request in row_requests:
        (image,) = row_request.request.context.images
        seen = Features(trial.open_image(image), b"", row_request.pictures[0])
        prompt, request = prompt_text(row_request.request.context), row_request.request
        if isinstance(request, Score):
            questions.append(asker.score(seen, prompt, request.answer))
        elif isinstance(request, Write):
            questions.append(asker.write(seen, prompt, request.max_new_tokens))
    if trial.answer == "write":
        wrapper.generate(questions)
        return []
    scored, registered = wrapper.loglikelihood(questions), wrapper.registered
    for answer, question in zip(scored, questions, strict=True):
        if not math.isfinite(answer.value):
            raise ModelError(
                f"{registered.source.file}: loglikelihood gave {answer.value} for {question.text!r} and the first "
                f"picture of {trial.task}; expected is a finite number",
                "look for NaN in the checkpoint, or for a dtype that the device cannot compute in",
            )
        check_sign(registered, sign, answer.value, question.text)
    return list(_sign_notes(sign, scored))


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


# ---------------------------------------------------------------- precision


def _dtype(weights: Weights, spec: ModelSpec) -> str:
    """Gives the number format of most weights, else the one that the user gave, else "unknown"."""
    return next(iter(weights.dtypes), spec.dtype if "dtype" in spec.given else "unknown")


def _precision_notes(weights: Weights, spec: ModelSpec) -> Iterator[str]:
    if not weights.dtypes:
        yield "its precision is not known: it keeps no torch module where one could be found"
    elif "dtype" not in spec.given and "dtype" not in spec.args:
        yield f"its weights are in {all_of(weights.dtypes)}, as its own code chose: --dtype was not given"
    elif weights.dtypes != (asked := spec.args.get("dtype", spec.dtype),):
        yield f"its weights are in {all_of(weights.dtypes)}; dtype {asked} was asked for"
