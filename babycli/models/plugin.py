"""A user's own model: one class in one file (``path/to/file.py:Class``), or an entry point of an installed package.

Owns the methods that such a class may have, and the checks of their results; docs/model_guide.md is the manual. Never
trusts it: a wrong number of answers, text for numbers or a loss for a log-probability ends the run.

    class Mine:
        def __init__(self, device, dtype, **args): ...              # args: --model-args, all text
        def loglikelihood(self, images, prompts, texts): ...        # per pair: log-probabilities of the text's tokens
        def similarity(self, images, texts): ...                    # or, per pair: a number, higher is nearer
        def match(self, images, others): ...                        # per pair of pictures: a number, higher is nearer
        def generate(self, images, prompts, max_new_tokens): ...    # per image: a text
        def encode(self, images): ...                               # optional: the others get its result as images
        max_images = 1                                              # more, or None: then each image is a list of them
        max_turns = 1                                               # more, or None: then each prompt is a list of turns
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from inspect import Parameter, getdoc, getsourcefile, isclass, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL.Image import Image

from babycli.domain import Context, Loglikelihood, Similarity, Text
from babycli.errors import ModelError, UsageError
from babycli.foreign import explained, fingerprint_of, import_file, named_file
from babycli.models.base import (
    Abilities,
    Family,
    Features,
    Model,
    ModelInfo,
    ModelSpec,
    Outline,
    Part,
    Pictures,
    Scores,
    Tokens,
)
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.prompts import filled, prompt_text, shown, words_of
from babycli.wording import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "babycli.models"
SCORERS: tuple[Scores, ...] = ("loglikelihood", "similarity")
METHODS = (*SCORERS, "match", "generate")
MOST = 1_000_000  # pictures or turns that a class may say it takes
ROUNDING = 1e-3  # by which a log-probability may exceed 0 in half precision


@dataclass(frozen=True, slots=True)
class Words(Tokens):
    """A request as words: a user's model does its own tokenising."""

    prompt: Any  # a text, or a list of turns for a model that takes several
    text: str


class PluginModel(Model):
    """A user's object as a model; see babycli.models.base. Pictures count as equal if their pixels are."""

    def __init__(self, own: Any, file: Path | None, info: ModelInfo) -> None:
        self._own = own
        self._file = file
        self.info = info

    def render(self, context: Context) -> str:
        if not hasattr(self._own, "render"):
            return _words_of(self._prompt(context))
        with self._explained("render"):
            rendered = self._own.render(self._prompt(context))
        if not isinstance(rendered, str):
            raise ModelError(f"{self.info.source}: render must return text, not {rendered!r}")
        return rendered

    def _prompt(self, context: Context) -> Any:
        """Gives the prompt as a text or, for a model that takes several turns, as a pair (role, text) for each turn.

        Of several turns nothing else tells whose a picture is, so there each has its place in a text.
        """
        if self.info.abilities.max_turns == 1:
            return prompt_text(context)
        return [(turn.role, shown(words_of(turn), Context((turn,)))) for turn in context.turns]

    def _images(self, pictures: Sequence[Pictures]) -> list[Any]:
        """Gives a picture for each request or, for a model that takes several, a list of pictures."""
        if self.info.abilities.max_images == 1:
            return [row[0].data for row in pictures]
        return [[features.data for features in row] for row in pictures]

    def preprocess(self, image: Image) -> Features:
        return Features(image, picture_digest(image))

    def encode(self, pixels: Sequence[Features]) -> list[Features]:
        if not hasattr(self._own, "encode"):
            return list(pixels)
        encoded = self._answers("encode", len(pixels), [f.data for f in pixels])
        return [Features(data, f.digest) for data, f in zip(encoded, pixels, strict=True)]

    def tokenize(self, context: Context, answer: str) -> Words:
        prompt = self._prompt(context)
        return Words(tuple(f"{prompt}\0{answer}".encode()), 0, 0, prompt, answer)

    def read(self, context: Context, max_new_tokens: int) -> Words:
        return self.tokenize(context, "")

    def loglikelihood(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        asked = cast(Sequence[Words], tokens)
        images, prompts, texts = self._images(pictures), [t.prompt for t in asked], [t.text for t in asked]
        answers = self._answers("loglikelihood", len(texts), images, prompts, texts)
        with self._explained("loglikelihood"):
            return [self._loglikelihood(answer) for answer in answers]

    def _loglikelihood(self, answer: Any) -> Loglikelihood:
        if isinstance(answer, Loglikelihood):
            return answer
        if not _is_list(answer):
            raise self._refusal("loglikelihood", answer, "a list of numbers for each text, its log-probabilities")
        logprobs = tuple(self._number("loglikelihood", x) for x in answer)
        if any(x > ROUNDING for x in logprobs):
            raise self._refusal("loglikelihood", max(logprobs), "log-probabilities (at most 0), not losses")
        return Loglikelihood(logprobs, False)

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        asked = cast(Sequence[Words], tokens)
        images, texts = self._images(pictures), [filled(_words_of(t.prompt), t.text) for t in asked]
        return self._similarities("similarity", images, texts)

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        images, others = ([pair[i].data for pair in pairs] for i in (0, 1))
        return self._similarities("match", images, others)

    def _similarities(self, method: str, images: list[Any], others: list[Any]) -> list[Similarity]:
        answers = self._answers(method, len(others), images, others)
        with self._explained(method):
            return [Similarity(self._number(method, answer)) for answer in answers]

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text]:
        images, prompts = self._images(pictures), [t.prompt for t in cast(Sequence[Words], tokens)]
        answers = self._answers("generate", len(images), images, prompts, max_new_tokens)
        for answer in answers:
            if not isinstance(answer, str) or not _is_unicode(answer):
                raise self._refusal("generate", answer, "a text for each image")
        return [Text(answer, (), True) for answer in answers]

    def _explained(self, method: str) -> contextlib.AbstractContextManager[None]:
        return explained(f"{self.info.source}: {method} failed", self._file)

    def _answers(self, method: str, n: int, *args: Any) -> list[Any]:
        """Calls a method, and gives its ``n`` answers. Raises ModelError for any other number, or for no list."""
        with self._explained(method):  # what a generator does comes only now
            returned = getattr(self._own, method)(*args)
            if not _is_list(returned):
                raise self._refusal(method, returned, f"a list of {n}")
            answers = list(itertools.islice(returned, n + 1))  # it may have no end
        if len(answers) != n:
            found = "more" if len(answers) > n else len(answers)
            raise ModelError(f"{self.info.source}: {method} returned {found} answers for {n} requests")
        return answers

    def _number(self, method: str, value: Any) -> float:
        """Reads a number of any kind that float() takes, except text. Raises ModelError."""
        if not isinstance(value, str | bytes):
            with contextlib.suppress(TypeError, ValueError, RuntimeError, OverflowError):
                return float(value)
        raise self._refusal(method, value, "numbers")

    def _refusal(self, method: str, returned: Any, expected: str) -> ModelError:
        with self._explained(method):
            shown = repr(returned)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return ModelError(
            f"{self.info.source}: {method} returned {shown}; expected is {expected}",
            "docs/model_guide.md has an example",
        )


def _words_of(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(text for _, text in prompt)


@dataclass(frozen=True, slots=True)
class _UserClass:
    """A user's class and its file."""

    own_class: type
    file: Path | None
    source: str


def load(spec: ModelSpec, place: Path) -> PluginModel:
    """Makes an object of the user's class; see babycli.models.base.Loader."""
    user_class = _find_class(spec.source)
    abilities = _abilities(user_class)
    _check_arguments(user_class, spec.args)
    with explained(f"{user_class.source}: cannot make a {user_class.own_class.__name__}", user_class.file):
        own = user_class.own_class(device=spec.device, dtype=spec.dtype, **spec.args)
    known = getattr(own, "n_parameters", None)
    return _as_model(own, user_class, spec, abilities, spec.args, known if isinstance(known, int) else None)


def _check_arguments(user_class: _UserClass, args: Mapping[str, str]) -> None:
    """Checks that the class can be made with these arguments, as far as it tells its own. Raises UsageError."""
    try:
        parameters = signature(user_class.own_class).parameters.values()
    except (TypeError, ValueError):  # it is not written in Python
        return
    if any(parameter.kind == Parameter.VAR_KEYWORD for parameter in parameters):
        return
    by_name, name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY), user_class.own_class.__name__
    known = [p.name for p in parameters if p.kind in by_name and p.name not in ("device", "dtype")]
    for key in args:
        if key not in known:
            raise UsageError(
                f"{user_class.source}: {name} has no argument {key!r}.{did_you_mean(key, known)}",
                f"--model-args takes: {', '.join(known)}" if known else "leave out --model-args",
            )


def abilities_of(own: object) -> Abilities:
    """Gives the abilities of an object that a program has made. Raises ModelError for one without any."""
    return _abilities(_class_of(own))


def as_model(own: object, spec: ModelSpec, digests: Mapping[str, str]) -> PluginModel:
    """Takes an object that a program has made as a model; ``digests`` are those of the networks in it, by name."""
    user_class = _class_of(own)
    return _as_model(own, user_class, spec, _abilities(user_class), digests, None)


def _class_of(own: object) -> _UserClass:
    file = getsourcefile(type(own)) if type(own).__module__ not in ("builtins", "__main__") else None
    is_file = file is not None and Path(file).is_file()
    return _UserClass(type(own), Path(file) if file and is_file else None, type(own).__name__)


def _as_model(
    own: object,
    user_class: _UserClass,
    spec: ModelSpec,
    abilities: Abilities,
    identified_by: Mapping[str, str],
    n_parameters: int | None,
) -> PluginModel:
    info = ModelInfo(
        family="plugin",
        source=user_class.source,
        fingerprint=fingerprint_of(user_class.file, user_class.own_class.__qualname__, identified_by),
        n_parameters=n_parameters,
        dtype=spec.dtype,
        device=spec.device,
        template="own",
        abilities=abilities,
        prompts=_own_prompts(user_class),
        prompts_like=str(getattr(user_class.own_class, "prompts_like", "")),
    )
    return PluginModel(own, user_class.file, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes the class without making an object of it; see babycli.models.base.Outliner."""
    user_class = _find_class(spec.source)
    summary = (getdoc(user_class.own_class) or "no docstring").splitlines()[0]
    return Outline(
        family="plugin",
        parts=(Part("class", f"{user_class.own_class.__name__}: {summary}", None),),
        stored_dtype=None,
        template="own",
        abilities=_abilities(user_class),
        render=prompt_text,
        prompts=_own_prompts(user_class),
        prompts_like=str(getattr(user_class.own_class, "prompts_like", "")),
    )


def claims(name: str) -> bool:
    """Tells whether a name is path/to/file.py, with or without :Class, or the name of an entry point."""
    return named_file(name) is not None or name in plugins()


def plugins() -> Mapping[str, EntryPoint]:
    """Gives the entry points of installed packages in the group babycli.models, by name."""
    from importlib.metadata import entry_points  # slow to import, and every command imports this module

    return {point.name: point for point in entry_points(group=GROUP)}


def _find_class(source: str) -> _UserClass:
    named = named_file(source)
    if named is None:
        point = plugins()[source]
        with explained(f"cannot load the entry point {source} = {point.value}", None):
            loaded = point.load()
        if not isclass(loaded):
            raise ModelError(f"the entry point {source} = {point.value} is {loaded!r}; expected is a class")
        file = getsourcefile(loaded)
        return _UserClass(loaded, Path(file) if file else None, f"{source} ({point.value})")
    path = named.path
    if not path.is_file():
        raise UsageError(f"unknown model {source!r}: there is no file {path}", "write  --model path/to/file.py:Class")
    module = import_file(path)
    classes = {
        name: value for name, value in vars(module).items() if isclass(value) and value.__module__ == module.__name__
    }
    wanted = named.name or (next(iter(classes)) if len(classes) == 1 else None)
    if wanted not in classes:
        listed = ", ".join(classes) or "none"
        what = f"no class {wanted!r}" if wanted else "more than one class, or none"
        raise ModelError(
            f"{path} has {what}; its classes: {listed}.{did_you_mean(wanted or '', list(classes))}",
            f"write  --model {path}:CLASS",
        )
    return _UserClass(classes[wanted], path, source)


def _abilities(user_class: _UserClass) -> Abilities:
    """Gives the abilities of a class: its methods, and the pictures and turns it takes. Raises ModelError for none."""
    offered = [name for name in METHODS if callable(getattr(user_class.own_class, name, None))]
    if not offered:
        near = [n for n in vars(user_class.own_class) if not n.startswith("_")]
        raise ModelError(
            f"{user_class.source}: the class {user_class.own_class.__name__} has no method to ask; expected is one or "
            f"more of: {', '.join(METHODS)}; it has: {', '.join(near) or 'none'}",
            "docs/model_guide.md has an example",
        )
    return Abilities(
        scores=tuple(name for name in SCORERS if name in offered),
        writes="generate" in offered,
        matches="match" in offered,
        max_images=_bound(user_class, "max_images"),
        max_turns=_bound(user_class, "max_turns"),
    )


def _bound(user_class: _UserClass, name: str) -> int | None:
    value = getattr(user_class.own_class, name, 1)
    if value is None or (isinstance(value, int) and 1 <= value <= MOST):
        return value
    raise ModelError(
        f"{user_class.source}: {name} is {value!r:.80}; expected is a whole number from 1 to {MOST:,}, or None for any"
    )


def _own_prompts(user_class: _UserClass) -> dict[str, str]:
    prompts = getattr(user_class.own_class, "prompts", {})
    if not isinstance(prompts, dict) or not all(
        isinstance(x, str) and _is_unicode(x) for pair in prompts.items() for x in pair
    ):
        raise ModelError(
            f"{user_class.source}: prompts is {prompts!r:.200}; expected is a dict of task names and texts"
        )
    return prompts


FAMILY = Family(
    name="plugin",
    summary="your own model: path/to/file.py:Class, or an entry point babycli.models; docs/model_guide.md",
    abilities=Abilities(scores=SCORERS, writes=True, max_images=None, max_turns=None, matches=True),
    arguments={},
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=claims,
    has_checkpoints=False,
    takes_any_argument=True,
)


def _is_list(value: object) -> bool:
    """Tells whether a value is a list, an array or a generator: what has no order, or gives keys or bytes, is none."""
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes | bytearray | Mapping | Set)


def _is_unicode(text: str) -> bool:
    """Tells whether a text can be written into a log: it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
