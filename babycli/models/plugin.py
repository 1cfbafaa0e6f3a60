"""A user's own model: one class in one file (``path/to/file.py:Class``), or an entry point of an installed package.

Owns what such a class may have and the checks of what it returns; docs/model_guide.md is its manual. Never trusts it:
a wrong number of answers, text for numbers or a loss for a log-probability end the run.

    class Mine:
        def __init__(self, device, dtype, **args): ...              # args: --model-args, all text
        def loglikelihood(self, images, prompts, texts): ...        # per pair: log-probabilities of the text's tokens
        def similarity(self, images, texts): ...                    # or, per pair: a number, higher is nearer
        def generate(self, images, prompts, max_new_tokens): ...    # per image: a text
        def encode(self, images): ...                               # optional: what the others get in place of images
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc, getsourcefile, isclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from babycli.domain import Generation, Loglikelihood, Offer, Similarity
from babycli.errors import ModelError, UsageError
from babycli.models.base import Family, Features, ModelInfo, ModelSpec, Outline, Part, Tokens
from babycli.models.parts.foreign import explained, fingerprint_of, import_file
from babycli.models.parts.pictures import picture_digest
from babycli.models.parts.prompts import filled
from babycli.wording import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "babycli.models"
METHODS: tuple[Offer, ...] = ("loglikelihood", "similarity", "generate")
ROUNDING = 1e-3  # by which a log-probability may exceed 0 in half precision
_FILE = re.compile(r"(?P<file>.*\.py)(:(?P<name>\w+))?")


@dataclass(frozen=True, slots=True)
class Words(Tokens):
    """A request in its own words: a user's model does its own tokenising."""

    prompt: str
    text: str


class PluginModel:
    """Makes a user's object a model; see babycli.models.base. Pictures count as equal when their pixels are."""

    def __init__(self, own: Any, file: Path | None, info: ModelInfo) -> None:
        self._own = own
        self._file = file
        self.info = info

    def render(self, prompt: str) -> str:
        if not hasattr(self._own, "render"):
            return prompt
        rendered = self._call("render", prompt)
        if not isinstance(rendered, str):
            raise ModelError(f"{self.info.source}: render must return text, not {rendered!r}")
        return rendered

    def preprocess(self, image: Image) -> Features:
        return Features(image, picture_digest(image))

    def encode(self, pixels: Sequence[Features]) -> list[Features]:
        if not hasattr(self._own, "encode"):
            return list(pixels)
        encoded = self._answers("encode", len(pixels), [f.data for f in pixels])
        return [Features(data, f.digest) for data, f in zip(encoded, pixels, strict=True)]

    def tokenize(self, prompt: str, text: str) -> Words:
        return Words(tuple(f"{prompt}\0{text}".encode()), 0, 0, prompt, text)

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Words]) -> list[Loglikelihood]:
        images, prompts, texts = [f.data for f in features], [t.prompt for t in tokens], [t.text for t in tokens]
        return [self._loglikelihood(x) for x in self._answers("loglikelihood", len(texts), images, prompts, texts)]

    def _loglikelihood(self, answer: Any) -> Loglikelihood:
        if isinstance(answer, Loglikelihood):
            return answer
        if isinstance(answer, str) or not hasattr(answer, "__iter__"):
            raise self._refusal("loglikelihood", answer, "a list of numbers for each text, its log-probabilities")
        logprobs = tuple(self._number("loglikelihood", x) for x in answer)
        if any(x > ROUNDING for x in logprobs):
            raise self._refusal("loglikelihood", max(logprobs), "log-probabilities (at most 0), not losses")
        return Loglikelihood(logprobs, False)

    def similarity(self, features: Sequence[Features], tokens: Sequence[Words]) -> list[Similarity]:
        images, texts = [f.data for f in features], [filled(t.prompt, t.text) for t in tokens]
        answers = self._answers("similarity", len(texts), images, texts)
        return [Similarity(self._number("similarity", answer)) for answer in answers]

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        images, prompts = [f.data for f in features], [prompt] * len(features)
        answers = self._answers("generate", len(images), images, prompts, max_new_tokens)
        for answer in answers:
            if not isinstance(answer, str):
                raise self._refusal("generate", answer, "a text for each image")
        return [Generation(answer, (), True) for answer in answers]

    def _call(self, method: str, *args: Any) -> Any:
        with explained(f"{self.info.source}: {method} failed", self._file):
            return getattr(self._own, method)(*args)

    def _answers(self, method: str, n: int, *args: Any) -> list[Any]:
        """What a method returns, one for each of ``n``."""
        returned = self._call(method, *args)
        if isinstance(returned, str) or not hasattr(returned, "__iter__"):
            raise self._refusal(method, returned, f"a list of {n}")
        answers = list(returned)
        if len(answers) != n:
            raise ModelError(f"{self.info.source}: {method} returned {len(answers)} answers for {n} requests")
        return answers

    def _number(self, method: str, value: Any) -> float:
        """A number of any kind that float() takes, but no text. Raises ModelError."""
        if not isinstance(value, str | bytes):
            with contextlib.suppress(TypeError, ValueError, RuntimeError, OverflowError):
                return float(value)
        raise self._refusal(method, value, "numbers")

    def _refusal(self, method: str, returned: Any, expected: str) -> ModelError:
        shown = repr(returned)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return ModelError(
            f"{self.info.source}: {method} returned {shown}; expected is {expected}",
            "docs/model_guide.md has an example",
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """A class and where it is written."""

    own_class: type
    file: Path | None
    source: str


def load(spec: ModelSpec, place: Path) -> PluginModel:
    """Makes an object of the user's class; see babycli.models.base.Loader."""
    found = _find(spec.source)
    offers = _offers(found)
    with explained(f"{found.source}: cannot make a {found.own_class.__name__}", found.file):
        own = found.own_class(device=spec.device, dtype=spec.dtype, **spec.args)
    known = getattr(own, "n_parameters", None)
    info = ModelInfo(
        family="plugin",
        source=found.source,
        fingerprint=fingerprint_of(found.file, found.own_class.__qualname__, spec.args),
        n_parameters=known if isinstance(known, int) else None,
        dtype=spec.dtype,
        device=spec.device,
        template="own",
        offers=offers,
        prompts=_prompts(found),
        prompts_like=str(getattr(found.own_class, "prompts_like", "")),
    )
    return PluginModel(own, found.file, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """What the class says of itself; no object is made. See babycli.models.base.Outliner."""
    found = _find(spec.source)
    summary = (getdoc(found.own_class) or "no docstring").splitlines()[0]
    return Outline(
        family="plugin",
        parts=(Part("class", f"{found.own_class.__name__}: {summary}", None),),
        stored_dtype=None,
        template="own",
        offers=_offers(found),
        render=lambda prompt: prompt,
        prompts=_prompts(found),
        prompts_like=str(getattr(found.own_class, "prompts_like", "")),
    )


def claims(name: str) -> bool:
    """True for path/to/file.py, with or without :Class, and for the name of an entry point."""
    return bool(_FILE.fullmatch(name)) or name in plugins()


def plugins() -> Mapping[str, EntryPoint]:
    """The entry points of installed packages in the group babycli.models, by name."""
    from importlib.metadata import entry_points  # slow to import, and every command imports this module

    return {point.name: point for point in entry_points(group=GROUP)}


def _find(source: str) -> _Found:
    match = _FILE.fullmatch(source)
    if match is None:
        point = plugins()[source]
        with explained(f"cannot load the entry point {source} = {point.value}", None):
            found = point.load()
        if not isclass(found):
            raise ModelError(f"the entry point {source} = {point.value} is {found!r}; expected is a class")
        file = getsourcefile(found)
        return _Found(found, Path(file) if file else None, f"{source} ({point.value})")
    path = Path(match["file"]).expanduser()
    if not path.is_file():
        raise UsageError(f"unknown model {source!r}: there is no file {path}", "write  --model path/to/file.py:Class")
    module = import_file(path)
    classes = {
        name: value for name, value in vars(module).items() if isclass(value) and value.__module__ == module.__name__
    }
    wanted = match["name"] or (next(iter(classes)) if len(classes) == 1 else None)
    if wanted not in classes:
        listed = ", ".join(classes) or "none"
        what = f"no class {wanted!r}" if wanted else "more than one class, or none"
        raise ModelError(
            f"{path} has {what}; its classes: {listed}.{did_you_mean(wanted or '', list(classes))}",
            f"write  --model {path}:CLASS",
        )
    return _Found(classes[wanted], path, source)


def _offers(found: _Found) -> tuple[Offer, ...]:
    """The methods that the class has. Raises ModelError for a class that has none of them."""
    offers = tuple(name for name in METHODS if callable(getattr(found.own_class, name, None)))
    if not offers:
        near = [n for n in vars(found.own_class) if not n.startswith("_")]
        raise ModelError(
            f"{found.source}: the class {found.own_class.__name__} has no method to ask; expected is one or more of: "
            f"{', '.join(METHODS)}; it has: {', '.join(near) or 'none'}",
            "docs/model_guide.md has an example",
        )
    return offers


def _prompts(found: _Found) -> dict[str, str]:
    prompts = getattr(found.own_class, "prompts", {})
    if not isinstance(prompts, dict) or not all(isinstance(x, str) for pair in prompts.items() for x in pair):
        raise ModelError(f"{found.source}: prompts is {prompts!r}; expected is a dict of task names and texts")
    return prompts


FAMILY = Family(
    name="plugin",
    summary="your own model: path/to/file.py:Class, or an entry point babycli.models; docs/model_guide.md",
    offers=METHODS,
    arguments={},
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=claims,
    has_checkpoints=False,
    takes_any_argument=True,
)
