"""What a model is to the rest of babycli, and what a family file must offer.

Owns the protocol. Never imports torch: what passes between a model's methods (features, tokens) is the
family's own business and opaque to the engine.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL.Image import Image

from babycli.domain import Generation, Loglikelihood, Scoring


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the user asked for."""

    source: str  # a folder or a hub id
    name: str  # as the user wrote it; names the log folder
    args: Mapping[str, str]
    device: str  # "cpu", "cuda", "cuda:1"
    dtype: str  # "float32", "float16", "bfloat16"
    scoring: Scoring


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What was loaded; goes into run.json."""

    family: str
    source: str
    fingerprint: str  # SHA-256 over config, tokenizer and weight files
    n_parameters: int
    dtype: str
    device: str
    template: str
    notes: tuple[str, ...] = ()  # what a reader of the numbers should know


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised request. Requests with equal ``batch_key`` may share a batch; equal ``ids``, equal scores.

    ids       [ 1, -200, 1154, 13,  301 ]
    answer                          ^^^   the last n_answer ids are scored
    """

    ids: tuple[int, ...]
    n_answer: int
    batch_key: Hashable


@dataclass(frozen=True, slots=True)
class Features:
    """What a model sees of a picture. Equal digests, equal data: the model cannot tell the pictures apart."""

    data: Any
    digest: bytes


class Model(Protocol):
    """A loaded generative model. Pixels are opaque; lists keep the order of their arguments."""

    info: ModelInfo

    def render(self, prompt: str) -> str:
        """The whole text of a prompt, template included, without an answer."""

    def preprocess(self, image: Image) -> Any:
        """What the vision tower reads of an RGB picture. Safe to call from any thread."""

    def encode(self, pixels: Sequence[Any]) -> list[Features]:
        """The visual features of a batch of preprocessed pictures, one each."""

    def tokenize(self, prompt: str, text: str) -> Tokens:
        """The ids of a prompt followed by an answer. Raises ModelError if it cannot be scored."""

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        """Scores a batch of equal ``batch_key``."""

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        """Greedy continuations of one prompt, a picture each."""


class Loader(Protocol):
    def __call__(self, spec: ModelSpec, folder: Path) -> Model: ...


@dataclass(frozen=True, slots=True)
class Family:
    """A model family: one file in babycli/models/ with a module-level ``FAMILY``."""

    name: str
    summary: str  # one line, for `babycli models`
    offers: tuple[str, ...]  # of "loglikelihood", "similarity", "generate"
    arguments: Mapping[str, str]  # keys of --model-args, each with one line of help
    recognises: Any  # (config: dict) -> bool: is this config.json one of ours?
    load: Loader
