"""Controls: runs whose numbers say how much of a score needs no looking.

    --control shuffled    every image gives way to another of its task and kind
    --control blind       the model sees no picture: its family leaves it out of the prompt, or a plane of the picture's
                          mean colour stands in its place
    --control constant    every score is the same, under the model's name; the model is not loaded

Owns what each of them shows to a model. Never scores anything: a control is a model and inputs like any other, so that
batches, processes, resuming and caches know nothing of it. Scores are told apart by what was shown: a picture that
gives way has another digest in the plan, never that of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import cast

from PIL import Image, ImageStat

from babycli.domain import AppliedControl, ImageRef
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.prefetch import N_THREADS
from babycli.evaluation.results import SEED
from babycli.models import Resolved, all_families
from babycli.models import control as control_models
from babycli.models.base import GoesBlind, Model, ModelSpec
from babycli.wording import ControlKind

CONSTANT_MODEL = f"{control_models.PREFIX}constant"
_HOW_OF_MODELS = {
    "constant": "every score is the same",
    "random": "a score is drawn for each image and text",
    "length": "the longest text wins",
}
_NO_PICTURE = "no picture"  # stands for a digest, as that of a plane does

Say = Callable[[str], None]
Bar = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]


class Controls:
    """What ``--control`` does to the models and inputs of one command; nothing where it is not given."""

    def __init__(self, kind: ControlKind | None, say: Say, bar: Bar) -> None:
        self._kind, self._say, self._bar = kind, say, bar
        self._planes: Mapping[str, _Plane] | None = None  # made once for all models that need them

    def standing_in(self, models: Sequence[Resolved]) -> list[Resolved]:
        """The models to load in the place of these, under their names."""
        if self._kind != ControlKind.CONSTANT:
            return list(models)
        constant = all_families()["control"]
        return [replace(model, source=CONSTANT_MODEL, family=constant) for model in models]

    def arguments(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """``--model-args`` as the models to load understand them."""
        return {} if self._kind == ControlKind.CONSTANT else given

    def apply(self, model: Model, spec: ModelSpec, inputs: Inputs) -> tuple[Model, Inputs, AppliedControl | None]:
        """The model and what it is shown, and what to say of it in the log. Raises DataError for a broken image."""
        if self._kind is None:
            return model, inputs, _of_control_model(model, spec)
        if self._kind == ControlKind.SHUFFLED:
            shown, how = self._shuffled(inputs), "another image of the same task and kind"
        elif self._kind == ControlKind.CONSTANT:
            shown, how = inputs, f"{_HOW_OF_MODELS['constant']}, the model is not loaded"
        elif hasattr(model, "blinded"):
            seeing = cast(GoesBlind, model)
            model, shown, how = seeing.blinded(), _without_pictures(inputs), seeing.blind_how
        else:
            shown, how = self._in_mean_colours(inputs), "mean colour"
        self._say(f"control {self._kind} of {spec.name}: {how}")
        return model, shown, AppliedControl(self._kind, how, SEED)

    def _shuffled(self, inputs: Inputs) -> Inputs:
        shown = shuffled(inputs.own_sha256)
        digests = {ref: inputs.own_sha256[other] for ref, other in shown.items()}
        for link in sorted({ref.link for ref, digest in digests.items() if digest == inputs.own_sha256[ref]}):
            self._say(f"note: {link} has one image only, which stays where it is")
        return replace(inputs, sha256=digests, show=lambda ref: inputs.open_own(shown[ref]))

    def _in_mean_colours(self, inputs: Inputs) -> Inputs:
        if self._planes is None:
            with self._bar("taking mean colours", len(set(inputs.own_sha256.values()))) as count:
                self._planes = _planes(inputs, count)
        by_ref = {ref: self._planes[digest] for ref, digest in inputs.own_sha256.items()}
        digests = {ref: plane.digest for ref, plane in by_ref.items()}
        return replace(inputs, sha256=digests, show=lambda ref: by_ref[ref].picture())


def shuffled(own_sha256: Mapping[ImageRef, str]) -> dict[ImageRef, ImageRef]:
    """The image to show in the place of each: another of its link, and every task and kind has links of its own.

    Pictures of equal bytes count as one, and give way together. They are put in an order that looks drawn but depends
    on SEED, link and bytes alone, so that it is the same with every Python, and each gives way to the next:

        names     a  b  c  d         a and d are one picture
        order     [c] [a d] [b]
        shown     c -> a,  a -> b,  d -> b,  b -> c
    """
    shown: dict[ImageRef, ImageRef] = {}
    for link in sorted({ref.link for ref in own_sha256}):
        refs = sorted(ref for ref in own_sha256 if ref.link == link)
        first: dict[str, ImageRef] = {}  # by digest
        for ref in refs:
            first.setdefault(own_sha256[ref], ref)
        order = sorted(first, key=lambda digest: sha256(f"{SEED} {link} {digest}".encode()).digest())
        after = dict(zip(order, [*order[1:], order[0]], strict=True))
        shown |= {ref: first[after[own_sha256[ref]]] for ref in refs}
    return shown


def _without_pictures(inputs: Inputs) -> Inputs:
    """All images are one to a model that does not look at it."""
    return replace(
        inputs, sha256=dict.fromkeys(inputs.own_sha256, _NO_PICTURE), show=lambda ref: Image.new("RGB", (1, 1))
    )


@dataclass(frozen=True, slots=True)
class _Plane:
    """A picture of one colour."""

    width: int
    height: int
    colour: tuple[int, int, int]

    @classmethod
    def of(cls, picture: Image.Image) -> _Plane:
        """In the size of an RGB picture and its mean colour; halves are rounded up."""
        red, green, blue = (int(mean + 0.5) for mean in ImageStat.Stat(picture).mean)
        return cls(picture.width, picture.height, (red, green, blue))

    @property
    def digest(self) -> str:
        """What the plan calls it: planes of one size and colour are one picture."""
        return f"mean colour {self.width}x{self.height} #{bytes(self.colour).hex()}"

    def picture(self) -> Image.Image:
        return Image.new("RGB", (self.width, self.height), self.colour)


def _planes(inputs: Inputs, count: Callable[[int], None]) -> dict[str, _Plane]:
    """The plane of every image, by the digest of its bytes. Raises DataError for one that cannot be decoded."""
    refs = {digest: ref for ref, digest in inputs.own_sha256.items()}
    planes = {}
    pool = ThreadPoolExecutor(N_THREADS, "babycli-colours")
    try:
        found = pool.map(lambda ref: _Plane.of(inputs.open_own(ref)), refs.values())
        for digest, plane in zip(refs, found, strict=True):
            planes[digest] = plane
            count(1)
    finally:
        pool.shutdown(cancel_futures=True)  # nobody waits for thousands of pictures behind a broken one
    return planes


def _of_control_model(model: Model, spec: ModelSpec) -> AppliedControl | None:
    """A control that was named with --model."""
    if model.info.family != "control":
        return None
    named = control_models.parse(spec.source, spec.args)
    return AppliedControl(named.kind, _HOW_OF_MODELS[named.kind], named.seed)
