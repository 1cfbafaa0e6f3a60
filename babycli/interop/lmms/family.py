"""Wrappers written for lmms-eval, as a leaderboard's submissions are: ``--model lmms:path/to/model.py``.

Owns what a wrapper's number means. lmms-eval's interface promises a log-probability, and many registered wrappers give
the mean loss, which has the other sign: the user must say which, and every number is held against it. Never guesses,
and never calls the wrapper itself: wrapper.py does.

    sign=loss       mean loss per token, at least 0      sign=logprob    log-probability of the answer, at most 0
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from babycli.domain import CannotAnswer, Context, Loglikelihood, Score, Text, Write, as_prompt
from babycli.errors import ModelError, UsageError
from babycli.foreign import fingerprint_of
from babycli.interop.lmms.additions import ABILITIES
from babycli.interop.lmms.questions import Asker, OpenImage, Question, Talk
from babycli.interop.lmms.sign import Sign, check_sign, goodness, read_sign
from babycli.interop.lmms.weights import Weights
from babycli.interop.lmms.wrapper import (
    METHODS,
    MULTI_ROUND,
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
    TrialKind,
)
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.precision import torch_dtype
from babycli.models.parts.prompts import prompt_text
from babycli.wording import History, all_of

N_TRIED = 2  # requests of each kind, before the run


@dataclass(frozen=True, slots=True)
class Asked(Tokens):
    """A request in words: how a wrapper tokenises is its own business. ``ids`` only tell requests apart."""

    wording: Context
    text: str


class LmmsModel(Model):
    """See babycli.models.base; features of a picture are the picture."""

    def __init__(self, wrapper: Wrapper, sign: Sign, info: ModelInfo) -> None:
        self._wrapper, self._sign = wrapper, sign
        self._asker = Asker()
        self._talks: dict[_Talked, tuple[str, ...]] = {}  # the replies of the conversations of this run
        self.info = info

    def open_with(self, open_image: OpenImage) -> None:
        self._asker.open_with(open_image)
        self._talks.clear()

    def meet(self, row_requests: Sequence[RowRequest]) -> None:
        self._wrapper.know(self._asker.learn(row_requests))

    def render(self, context: Context) -> str:
        return prompt_text(context)

    def preprocess(self, image: Image) -> Features:
        return Features(image, picture_digest(image))

    def encode(self, pixels: Sequence[Features]) -> list[Features]:
        return list(pixels)

    def tokenize(self, context: Context, answer: str) -> Asked | CannotAnswer:
        if context.n_turns > 1:
            return CannotAnswer(_NO_SCORES_IN_TALK)
        return _asked(context, answer)

    def read(self, context: Context, max_new_tokens: int) -> Asked:
        return _asked(context, "")

    def loglikelihood(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]
    ) -> Sequence[Loglikelihood | CannotAnswer]:
        questions = [self._asker.score(seen, asked.wording, asked.text) for seen, asked in _pairs(pictures, tokens)]
        scored = iter(self._wrapper.loglikelihood([q for q in questions if not q.is_in_conversation]))
        return [
            CannotAnswer(_NO_SCORES_IN_TALK) if q.is_in_conversation else self._meant(next(scored), q)
            for q in questions
        ]

    def _meant(self, scored: Scored, question: Question) -> Loglikelihood:
        check_sign(self._wrapper.registered.source.file, self._sign, scored.value, question.text)
        return Loglikelihood((goodness(self._sign, scored.value),), scored.is_greedy)

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text | CannotAnswer]:
        pairs = list(_pairs(pictures, tokens))
        questions = [self._asker.write(seen, asked.wording, max_new_tokens) for seen, asked in pairs]
        self._converse([pair for pair, q in zip(pairs, questions, strict=True) if q.is_in_conversation], max_new_tokens)
        texts = iter(self._wrapper.generate([q for q in questions if not q.is_in_conversation]))
        return [self._reply(q) if q.is_in_conversation else Text(next(texts), (), True) for q in questions]

    def _converse(self, pairs: Sequence[tuple[Pictures, Asked]], max_new_tokens: int) -> None:
        """Has the conversations to which requests belong, each once and as a whole."""
        wanted: dict[_Talked, Talk] = {}
        for seen, asked in pairs:
            document = self._asker.write(seen, asked.wording, max_new_tokens).document
            talked = (document.task, document.number, max_new_tokens)
            if document.turns and talked not in self._talks and talked not in wanted:
                wanted[talked] = self._asker.talk(seen, asked.wording, max_new_tokens)
        if wanted:
            self._talks |= zip(wanted, self._wrapper.converse(list(wanted.values())), strict=True)

    def _reply(self, question: Question) -> Text | CannotAnswer:
        """Gives the wrapper's reply in a turn, if the turns before are as the wrapper has had them."""
        document, wording = question.document, question.wording
        if not document.turns:
            return CannotAnswer("a conversation whose label row has no conversations, from which a wrapper reads it")
        replies = self._talks[document.task, document.number, question.max_new_tokens]
        own = [reply.strip() for reply in replies[: wording.n_turns - 1]]
        if [as_prompt(turn.parts).strip() for turn in wording.turns if turn.role == "model"] != own:
            return CannotAnswer("a wrapper goes on with its own replies, and these are others")
        return Text(replies[wording.n_turns - 1], (), True)

    def forget(self) -> None:
        self._talks.clear()


_Talked = tuple[str, int, int]  # task and number of a document, and how long a reply may get
_NO_SCORES_IN_TALK = "an answer to be scored in a conversation, and a wrapper scores none there"


def _asked(context: Context, answer: str) -> Asked:
    # 256 and more are no bytes of a text: a turn begins, a picture, an answer begins.
    ids: list[int] = []
    for turn in context.turns:
        ids.append(256)
        for part in turn.parts:
            ids += part.encode() if isinstance(part, str) else [257]
    end = tuple(answer.encode())
    return Asked((*ids, 258, *end), len(end), None, context, answer)


def _pairs(pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> Iterator[tuple[Pictures, Asked]]:
    """Pairs each request with its pictures."""
    for row, asked in zip(pictures, tokens, strict=True):
        assert isinstance(asked, Asked)
        yield row, asked


def load(spec: ModelSpec, place: Path) -> LmmsModel:
    """Imports and constructs the wrapper and tries it on the run's first requests; see babycli.models.base.Loader."""
    sign = read_sign(spec.args)
    registered = find(Source.parse(spec.source))
    args = {key: value for key, value in spec.args.items() if key != "sign"}
    added = added_arguments(registered, spec)
    wrapper = registered.construct(args, {key: value for key, value in added.items() if key not in args})
    trials = spec.trials(registered.name, by_code(registered).words) if spec.trials is not None else ()
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
    lacks = [registered.why_not_offered(method) for method in METHODS]
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


# ---------------------------------------------------------------- trying a wrapper


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
    offered: set[TrialKind] = set()
    lacking: list[str] = []
    notes: list[str] = []
    for trial in trials:
        method = _METHODS[trial.answer]
        why = registered.why_not_offered(method)
        if not why and trial.answer == "converse" and trial.history == History.GOLD:
            why = f"{method} goes on with the model's own replies, and --history gold wants the right ones"
        try:
            if not why and trial.row_requests:
                notes += _try(wrapper, sign, trial)
        except NotOfferedError as error:
            why = str(error)
        if why:
            lacking.append(trial.task)
            notes.append(f"it does not offer {_OFFERS[trial.answer]}: {why}")
        else:
            offered.add(trial.answer)
    if trials and not offered:
        raise ModelError(
            f"{registered.source.file}: {registered.cls.__name__} cannot do {', '.join(lacking)}: {'; '.join(notes)}",
            "choose other tasks with --tasks, or mend the method",
        )
    tried = {trial.answer for trial in trials}
    for answer, method in _METHODS.items():
        if trials and answer not in tried and (answer != "converse" or not registered.why_not_offered(method)):
            notes.append(f"{method} was not tried: no task of this run asks for it")
    return Tried(_abilities(offered) if trials else by_code(registered), tuple(notes))


_METHODS: dict[TrialKind, str] = {"score": "loglikelihood", "write": "generate_until", "converse": MULTI_ROUND}
_OFFERS: dict[TrialKind, str] = {"score": "loglikelihood", "write": "generate", "converse": "several turns"}


def by_code(registered: WrapperClass) -> Abilities:
    """Gives the abilities of a wrapper that is not tried: all but methods whose code tells that they give nothing."""
    return _abilities({answer for answer, method in _METHODS.items() if not registered.why_not_offered(method)})


def _abilities(offered: Collection[TrialKind]) -> Abilities:
    return replace(
        ABILITIES,
        scores=ABILITIES.scores if "score" in offered else (),
        writes=not {"write", "converse"}.isdisjoint(offered),
        max_turns=None if "converse" in offered else 1,
    )


def _try(wrapper: Wrapper, sign: Sign, trial: Trial) -> list[str]:
    """Asks the first requests of a kind, and gives notes on the sign. Raises ModelError, NotOfferedError."""
    first = {row_request.row_index: row_request.pictures for row_request in reversed(trial.row_requests)}
    row_requests = [each for each in trial.row_requests if each.pictures == first[each.row_index]][:N_TRIED]
    asker = Asker(trial.open_image)
    wrapper.know(asker.learn(row_requests))
    asked = [(_opened(trial, row_request), row_request.request) for row_request in row_requests]
    if trial.answer == "converse":
        talks = [asker.talk(seen, r.context.wording, r.max_new_tokens) for seen, r in asked if isinstance(r, Write)]
        wrapper.converse([talk for talk in talks if talk.document.turns])
        return []
    if trial.answer == "write":
        wrapper.generate(
            [asker.write(seen, r.context.wording, r.max_new_tokens) for seen, r in asked if isinstance(r, Write)]
        )
        return []
    questions = [asker.score(seen, r.context.wording, r.answer) for seen, r in asked if isinstance(r, Score)]
    scored, registered = wrapper.loglikelihood(questions), wrapper.registered
    for answer, question in zip(scored, questions, strict=True):
        if not math.isfinite(answer.value):
            raise ModelError(
                f"{registered.source.file}: loglikelihood gave {answer.value} for {question.text!r} and the first "
                f"picture of {trial.task}; expected is a finite number",
                "look for NaN in the checkpoint, or for a dtype that the device cannot compute in",
            )
        check_sign(registered.source.file, sign, answer.value, question.text)
    return list(_sign_notes(sign, scored))


def _opened(trial: Trial, row_request: RowRequest) -> list[Features]:
    """Opens the pictures of a request, in their places."""
    places = zip(row_request.request.context.places, row_request.pictures, strict=True)
    return [Features(trial.open_image(image), b"", sha256) for image, sha256 in places]


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
