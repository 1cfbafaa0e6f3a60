"""Controls: runs that show how much of a score a model gets without looking at the pictures.

    --control shuffled    every picture is replaced by another of its task and kind; one that is shown in several
                          places of a context by another in each, so that equal pictures are not equal any more
    --control blind       the model sees no picture: its family leaves it out of the context, or a plane of the
                          picture's mean colour stands in its place; where a task shows several pictures, one plane of
                          all its pictures' mean colour stands for each of them, so that colours cannot be compared
    --control constant    every score is the same; the log has the model's name, but the model is not loaded

Owns how each control changes a context. Never scores anything: a control is a model and inputs like any other, so that
batches, processes, resuming and caches know nothing of it. Answers are identified by what was shown: a plane that
replaces a picture has a digest of its own, never that of a file.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from hashlib import sha256

from PIL import Image, ImageStat

from babycli.data.manifest import logged_place
from babycli.domain import PICTURE, AppliedControl, Context, ImageRef
from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.evaluation.prefetch import N_THREADS
from babycli.evaluation.results import SEED
from babycli.models import Resolved, all_families
from babycli.models import control as control_models
from babycli.models.base import Model, ModelInfo, ModelSpec
from babycli.wording import ControlKind

CONSTANT_MODEL = f"{control_models.PREFIX}constant"
_HOW_OF_MODELS = {
    "constant": "every score is the same",
    "random": "a score is drawn for each image and text",
    "length": "the longest text wins",
    "letter": "it always answers",  # and what
    "pixels": "the picture wins that is nearest in 32 x 32 colours",
}
_PLANES = "mean colour"  # the source name of the pictures that are drawn here
_ONE_PLANE = f"{_PLANES}; one for all where a task shows several"

Say = Callable[[str], None]
Bar = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]


class Controls:
    """The ``--control`` of a command, applied to its models and inputs; without the option it changes nothing."""

    def __init__(self, kind: ControlKind | None, say: Say, bar: Bar) -> None:
        self._kind, self._say, self._bar = kind, say, bar
        self._planes: Mapping[str, _Plane] | None = None  # drawn once for all models that need them

    def standing_in(self, models: Sequence[Resolved]) -> list[Resolved]:
        """Gives the models to load in place of these, under the same names."""
        if self._kind != ControlKind.CONSTANT:
            return list(models)
        constant = all_families()["control"]
        return [replace(model, source=CONSTANT_MODEL, family=constant) for model in models]

    def arguments(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Gives the ``--model-args`` for the models to load."""
        return {} if self._kind == ControlKind.CONSTANT else given

    def apply(self, model: Model, spec: ModelSpec, inputs: Inputs) -> tuple[Inputs, AppliedControl | None]:
        """Gives the inputs to show the model, and the control for the log. Raises DataError for a broken image."""
        control = self.applied(model.info, spec, inputs)
        if self._kind is None:
            return inputs, control
        if self._kind == ControlKind.SHUFFLED:
            shown = self._shuffled(inputs)
        elif self._kind == ControlKind.CONSTANT:
            shown = inputs
        elif model.info.abilities.blind:
            shown = _showing(inputs, lambda task: Context.without_images)
        else:
            shown = self._in_mean_colours(inputs)
        assert control is not None
        self._say(f"control {self._kind} of {spec.name}: {control.how}")
        return shown, control

    def applied(self, info: ModelInfo, spec: ModelSpec, inputs: Inputs) -> AppliedControl | None:
        """Gives the control for the log of a run of a model with these facts, without applying it."""
        if self._kind is None:
            return _of_control_model(info, spec)
        if self._kind == ControlKind.SHUFFLED:
            how = "another image of the same task and kind"
        elif self._kind == ControlKind.CONSTANT:
            how = f"{_HOW_OF_MODELS['constant']}, the model is not loaded"
        else:
            how = info.abilities.blind or (_ONE_PLANE if any(map(_shows_several, inputs.tasks)) else _PLANES)
        return AppliedControl(self._kind, how, SEED)

    def _shuffled(self, inputs: Inputs) -> Inputs:
        def show(task: TaskInput) -> Callable[[Context], Context]:
            @functools.cache
            def others(place: int) -> Mapping[ImageRef, ImageRef]:
                return shuffled(task, inputs.own_sha256, place)

            for source in sorted(task.task.links, key=lambda source: task.task.links[source]):
                if any(i == other and i.source == source for i, other in others(0).items()):
                    link = logged_place(task.task.links, source)
                    self._say(f"note: {link} has one image only, which stays where it is")
            return lambda context: _by_place(context, lambda image, place: others(place)[image])

        return _showing(inputs, show)

    def _in_mean_colours(self, inputs: Inputs) -> Inputs:
        if self._planes is None:
            with self._bar("taking mean colours", len(set(inputs.own_sha256.values()))) as count:
                self._planes = _planes(inputs, count)
        own = {image: self._planes[digest] for image, digest in inputs.own_sha256.items()}
        drawn: dict[ImageRef, Callable[[], Image.Image]] = {}

        def show(task: TaskInput) -> Callable[[Context], Context]:
            planes = own
            if _shows_several(task):
                planes = dict.fromkeys(own, _Plane.of_all([own[image] for image in task.images]))
            drawn.update((plane.image, plane.picture) for plane in planes.values())
            return lambda context: _by_place(context, lambda image, place: planes[image].image)

        shown = _showing(inputs, show)
        return replace(shown, made=drawn, made_sha256={image: f"{image.source} {image.name}" for image in drawn})


def _showing(inputs: Inputs, show: Callable[[TaskInput], Callable[[Context], Context]]) -> Inputs:
    """Gives the same inputs with contexts changed: ``show(task)`` is the change for the contexts of a task."""
    return replace(inputs, tasks=tuple(replace(task, show=show(task)) for task in inputs.tasks))


def _by_place(context: Context, other: Callable[[ImageRef, int], ImageRef]) -> Context:
    """Gives the context with ``other(picture, place)`` in each place, counted from 0; what stands for any stays."""
    places = itertools.count()
    return context.showing(lambda image: image if image == PICTURE else other(image, next(places)))


def _shows_several(task: TaskInput) -> bool:
    """Tells whether a task shows several pictures together, which could be compared."""
    needs = task.task.needs
    return needs.answer == "match" or needs.n_images > 1


def shuffled(task: TaskInput, own_sha256: Mapping[ImageRef, str], place: int = 0) -> dict[ImageRef, ImageRef]:
    """Gives the picture to show in a place of a context instead of each picture of a task.

    It is another one behind the same link, so of the same kind. Pictures of equal bytes count as one. They are put in
    an order that looks random but depends on SEED, link and bytes alone, so that it is the same with every Python. In
    the first place, each is replaced by the next; in each further place, by the one after that:

        names     a  b  c  d         a and d are one picture
        order     [c] [a d] [b]
        place 0   c -> a,  a -> b,  d -> b,  b -> c
        place 1   c -> b,  a -> c,  d -> c,  b -> a
        place 2   as place 0: no picture is ever shown as itself
    """
    shown: dict[ImageRef, ImageRef] = {}
    for source in task.task.links:
        link = logged_place(task.task.links, source)
        images = sorted(image for image in task.images if image.source == source)
        first: dict[str, ImageRef] = {}  # by digest
        for image in images:
            first.setdefault(own_sha256[image], image)
        order = sorted(first, key=lambda digest: sha256(f"{SEED} {link} {digest}".encode()).digest())
        step = 1 + place % max(1, len(order) - 1)
        after = dict(zip(order, [*order[step:], *order[:step]], strict=True))
        shown |= {image: first[after[own_sha256[image]]] for image in images}
    return shown


@dataclass(frozen=True, slots=True)
class _Plane:
    """A picture of one colour."""

    width: int
    height: int
    colour: tuple[int, int, int]

    @classmethod
    def of(cls, picture: Image.Image) -> _Plane:
        """Makes the plane with the size and mean colour of an RGB picture; halves are rounded up."""
        red, green, blue = (int(mean + 0.5) for mean in ImageStat.Stat(picture).mean)
        return cls(picture.width, picture.height, (red, green, blue))

    @classmethod
    def of_all(cls, planes: Sequence[_Plane]) -> _Plane:
        """Makes one plane for many: with the mean of their colours and their most frequent size, of such the least."""
        sizes = Counter((plane.width, plane.height) for plane in planes)
        width, height = min(sizes, key=lambda size: (-sizes[size], size))
        bands = zip(*[plane.colour for plane in planes], strict=True)
        red, green, blue = (int(sum(band) / len(planes) + 0.5) for band in bands)
        return cls(width, height, (red, green, blue))

    @property
    def image(self) -> ImageRef:
        """Its reference in a context: planes of one size and colour are one picture."""
        return ImageRef(_PLANES, f"{self.width}x{self.height} #{bytes(self.colour).hex()}")

    def picture(self) -> Image.Image:
        return Image.new("RGB", (self.width, self.height), self.colour)


def _planes(inputs: Inputs, count: Callable[[int], None]) -> dict[str, _Plane]:
    """Gives the plane for every image, by the digest of its bytes. Raises DataError for one that cannot be decoded."""
    refs = {digest: ref for ref, digest in inputs.own_sha256.items()}
    planes = {}
    pool = ThreadPoolExecutor(N_THREADS, "babycli-colours")
    try:
        drawn = pool.map(lambda ref: _Plane.of(inputs.open_image(ref)), refs.values())
        for digest, plane in zip(refs, drawn, strict=True):
            planes[digest] = plane
            count(1)
    finally:
        pool.shutdown(cancel_futures=True)  # after a broken picture, the rest of thousands is not waited for
    return planes


def _of_control_model(info: ModelInfo, spec: ModelSpec) -> AppliedControl | None:
    """Gives the control for the log where --model itself names a control; else None."""
    if info.family != "control":
        return None
    named = control_models.parse(spec.source, spec.args)
    how = f"{_HOW_OF_MODELS[named.kind]} {named.pick}".rstrip()
    return AppliedControl(named.kind, how, named.seed)
