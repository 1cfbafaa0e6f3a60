"""The words of the domain: images, requests, scores, trials, metrics. Plain values, no behaviour beyond arithmetic.

Owns the types that travel between modules. Never imports another module of babycli, never does I/O.

    row -> trial -> request -> score -> outcome -> metric -> table
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Row = Mapping[str, str]  # one line of a label file, column -> text
Offer = Literal["loglikelihood", "similarity", "generate"]  # what a model can be asked for


@dataclass(frozen=True, slots=True, order=True)
class ImageRef:
    """An image as a label row names it: a link of the dataset folder and a name inside it."""

    link: str  # "vtwt/images"
    name: str  # "S_20140420_1803_01_082_00.jpg"


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Asks how well ``text`` follows ``prompt`` when the model sees ``image``, or how near it is to the image."""

    image: ImageRef
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Asks for a greedy continuation of ``prompt``, at most ``max_new_tokens`` long."""

    image: ImageRef
    prompt: str
    max_new_tokens: int


Request = ScoreRequest | GenerateRequest


@dataclass(frozen=True, slots=True)
class Loglikelihood:
    """Log-probability of an answer. All logprobs are natural logarithms (nats), so at most 0."""

    token_logprobs: tuple[float, ...]
    is_greedy: bool  # every answer token is the model's own first choice

    @property
    def n_tokens(self) -> int:
        return len(self.token_logprobs)

    @property
    def logprob_sum(self) -> float:
        return sum(self.token_logprobs)  # in float64: n times the same float32 is exact, so such answers tie

    @property
    def mean_loss(self) -> float:
        """Mean negative log-likelihood per token; lower is better; NaN for an answer without tokens."""
        return -self.logprob_sum / self.n_tokens if self.n_tokens else math.nan

    @property
    def is_finite(self) -> bool:
        return bool(self.token_logprobs) and all(math.isfinite(x) for x in self.token_logprobs)


@dataclass(frozen=True, slots=True)
class Similarity:
    """How near a text is to an image for a dual encoder; higher is nearer. A cosine, or the model's own measure."""

    value: float

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.value)


@dataclass(frozen=True, slots=True)
class Generation:
    text: str
    token_ids: tuple[int, ...]
    is_finite: bool  # no logit on the way was NaN


Score = Loglikelihood | Similarity | Generation


@dataclass(frozen=True, slots=True)
class Trial:
    """What counts as one: the label rows (indices into the label file) that are decided together."""

    trial_id: str
    row_indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial, scored. ``values`` maps each metric of the task to this trial's share of it, in [0, 1]."""

    trial_id: str
    values: Mapping[str, float]
    is_tie: bool = False
    is_finite: bool = True


@dataclass(frozen=True, slots=True)
class Metric:
    """A task's number: the mean of the trials' values."""

    value: float
    stderr: float | None  # sample standard error of the mean over trials; None for a single trial
    ci95: tuple[float, float] | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class AppliedControl:
    """What keeps a run's numbers from telling how well a model sees: they are what others are compared with."""

    kind: str  # a ControlKind, or that of a control model: "random", "length"
    how: str  # "no image tokens"
    seed: int  # of what is drawn at random


@dataclass(frozen=True, slots=True)
class TaskResult:
    task: str
    metrics: Mapping[str, Metric]
    n_units: int
    n_rows: int
    n_rows_in_file: int
    ties: int
    nonfinite: int
    skipped: tuple[str, ...] = field(default=())  # trials left out because an image is missing
