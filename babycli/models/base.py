"""What a model is to the rest of babycli, and what a family file must offer.

Owns the protocol. Never imports torch: what passes between a model's methods (pixels, features, tokens) is the
family's own business and opaque to the engine.

A user's own model is simpler than this: see docs/model_guide.md and plugin.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL.Image import Image

from babycli.domain import Generation, Loglikelihood, Offer, Similarity
from babycli.wording import Scoring

# Arguments that say where a model comes from or lies, not what it computes.
_ARGS_WITHOUT_EFFECT = ("pretrained", "device_map")
DEVICE_MAP_HELP = "auto: spread a model that is too large for one GPU over all of them"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the user asked for."""

    source: str  # a folder, a hub id, or what a family without checkpoints understands ("control:length")
    name: str  # as the user wrote it; names the log folder
    args: Mapping[str, str]
    device: str  # "cpu", "cuda", "cuda:1"
    dtype: str  # "float32", "float16", "bfloat16"
    scoring: Scoring


def args_with_effect(args: Mapping[str, str]) -> dict[str, str]:
    """Those of --model-args on which scores depend."""
    return {key: value for key, value in args.items() if key not in _ARGS_WITHOUT_EFFECT}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What was loaded; goes into run.json."""

    family: str
    source: str
    fingerprint: str  # SHA-256 over config, tokenizer and weight files
    n_parameters: int | None  # None: not known, as of a user's own model
    dtype: str
    device: str
    template: str  # how a prompt is rendered: a conversation template, "chat" for the checkpoint's own, "none"
    offers: tuple[Offer, ...]
    notes: tuple[str, ...] = ()  # what a reader of the numbers should know
    prompts: Mapping[str, str] = field(default_factory=dict)  # by task, of a model that brings its own
    prompts_like: str = ""  # the family whose prompts it takes, if not its own
    shares_prefixes: bool = False  # fulfils SharesPrefixes


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a network, as `babycli models show` prints it."""

    name: str  # "vision tower"
    what: str  # "ResNeXt-50 32x4d, 49 positions of 2048"
    n_parameters: int | None  # None: not known


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a checkpoint without its weights."""

    family: str
    parts: tuple[Part, ...]
    stored_dtype: str | None  # what config.json says the weights are saved in
    template: str
    offers: tuple[Offer, ...]
    render: Callable[[str], str]  # a prompt as the model reads it
    prompts: Mapping[str, str] = field(default_factory=dict)
    prompts_like: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised request. Requests with equal ``batch_key`` may share a batch; equal ``ids``, equal scores.

    ids       [ 1, -200, 1154, 13,  301 ]
    answer                          ^^^   the last n_answer ids are scored
    """

    ids: tuple[int, ...]
    n_answer: int
    batch_key: Hashable
    # Images take so many positions more than their ids; known where prefixes are shared.
    n_image_positions: int = field(default=0, kw_only=True)

    @property
    def n_positions(self) -> int:
        return len(self.ids) + self.n_image_positions


@dataclass(frozen=True, slots=True)
class Features:
    """What a model sees of a picture. Equal digests, equal data: the model cannot tell the pictures apart."""

    data: Any
    digest: bytes


class Model(Protocol):
    """What every loaded model has. Pixels are opaque; lists keep the order of their arguments.

    ``info.offers`` says which of the protocols below it fulfils besides; a task's score comes from
    ``loglikelihood`` where there is one, else from ``similarity``.
    """

    info: ModelInfo

    def render(self, prompt: str) -> str:
        """The whole text of a prompt, template included, without an answer."""

    def preprocess(self, image: Image) -> Any:
        """What the vision tower reads of an RGB picture. Safe to call from any thread."""

    def encode(self, pixels: Sequence[Any]) -> list[Features]:
        """The visual features of a batch of preprocessed pictures, one each."""


class SharesPixels(Model, Protocol):
    """A model that says how it prepares pictures: another one with an equal key can use its pixels."""

    @property
    def pixels_key(self) -> Hashable:
        """All that ``preprocess`` depends on, the picture apart."""


class SharesVision(Model, Protocol):
    """A model whose vision tower may be another's: what it gives can be kept for the next checkpoint.

    ``encode(pixels)`` equals ``encode_seen(see(pixels))``.
    """

    @property
    def vision_key(self) -> Hashable:
        """All that ``see`` depends on, the picture apart: the tower's weights and how pictures are prepared."""

    def see(self, pixels: Sequence[Any]) -> list[Any]:
        """What the tower gives for preprocessed pictures, in the machine's memory; each with ``nbytes``."""

    def encode_seen(self, seen: Sequence[Any]) -> list[Features]:
        """The visual features of pictures from what the tower gave."""


class ScoresText(Model, Protocol):
    """A model that can be asked for a text's score. Raises ModelError for a text that it cannot take."""

    def tokenize(self, prompt: str, text: str) -> Tokens:
        """The ids of a prompt followed by an answer."""


class OffersLoglikelihood(ScoresText, Protocol):
    """A generative model."""

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        """Scores a batch of equal ``batch_key``."""


class SharesPrefixes(OffersLoglikelihood, Protocol):
    """A generative model that reads a picture and a prompt once for all texts behind them."""

    def loglikelihood_of_branches(
        self, features: Sequence[Features], branches: Sequence[Sequence[Tokens]]
    ) -> list[list[Loglikelihood]]:
        """Scores rows of answers, a picture each.

        In a row all ids before the last ``n_answer`` are the same. Rows are alike: the i-th answers of all have equal
        ``batch_key``. Equals ``loglikelihood`` up to rounding (1e-5 in float32).
        """


class OffersSimilarity(ScoresText, Protocol):
    """A dual encoder. Its text is the prompt's ``{}`` filled with the answer (see parts/prompts.py: filled)."""

    def similarity(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Similarity]:
        """Scores pairs of equal ``batch_key``; a pair's value does not depend on its batch."""


class ReadsTexts(OffersSimilarity, Protocol):
    """A dual encoder that keeps the vectors of texts."""

    def read_texts(self, tokens: Sequence[Tokens]) -> None:
        """Encodes texts for later, in batches that depend on these texts and their order alone."""


class GoesBlind(Model, Protocol):
    """A model that `--control blind` asks without any picture.

    A family declares it by having these two. Of every other model, a user's own too, the pictures give way to planes of
    their mean colour: a model that must have a picture is then shown one in which there is nothing to see.
    """

    blind_how: str  # in a few words, for the log: "no image tokens"

    def blinded(self) -> Model:
        """The same weights, seeing nothing: scores do not depend on the picture, and all pictures are one."""


class OffersGenerate(Model, Protocol):
    """A model that writes text."""

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        """Greedy continuations of one prompt, a picture each."""


class MemoryProbe(Protocol):
    """A device whose memory can be watched."""

    def begin(self) -> None:
        """From here on the peak is taken."""

    def room(self) -> float:
        """How many times what was computed since ``begin`` would have fitted."""

    def release(self) -> None:
        """Gives back what is held for later, after an allocation has failed."""


class Loader(Protocol):
    def __call__(self, spec: ModelSpec, place: Path) -> Model:
        """Raises ModelError for what cannot be loaded, UsageError for a bad argument.

        ``place`` is the checkpoint folder, fetched; of a family without checkpoints, ``spec.source`` as a path.
        """


class Outliner(Protocol):
    def __call__(self, spec: ModelSpec, place: Path) -> Outline:
        """What `babycli models show` prints; reads no weights. Raises as a Loader."""


@dataclass(frozen=True, slots=True)
class Family:
    """A model family: one file in babycli/models/ with a module-level ``FAMILY``."""

    name: str
    summary: str  # one line, for `babycli models`
    offers: tuple[Offer, ...]
    arguments: Mapping[str, str]  # keys of --model-args, each with one line of help
    recognises: Callable[[Path, Mapping[str, Any]], bool]  # of a checkpoint folder and its config.json: one of ours?
    load: Loader
    outline: Outliner
    claims: Callable[[str], bool] = lambda name: False  # says the name after --model alone that it is one of ours?
    has_checkpoints: bool = True  # its source is a folder, a file of weights or a hub id, to be fetched
    takes_any_argument: bool = False  # it passes on arguments that it does not know
    is_general: bool = False  # asked last: it recognises what other families read better
