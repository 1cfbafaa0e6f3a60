"""What a trials file is worth before any model has seen it.

Owns the counts: where the right answers stand, what is there twice, what is got without looking, and how small a
difference its trials can show. Never looks at a picture.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from babycli.domain import Row
from babycli.stats import detectable_difference, wilson95
from babycli.tasks.base import choose_any
from babycli.tasks.trials.kinds import Constant, best_text, kind_of
from babycli.tasks.trials.trial import MetricName, Trial, read_trial

_WHAT = ("context", "images", "options", "answer", "metric")  # of a trial: two that agree in it ask the same


@dataclass(frozen=True, slots=True)
class Position:
    """A place among the options, from 0."""

    place: int
    n_offered: int  # trials that have an option there
    n_right: int  # of them, those in which it is right


@dataclass(frozen=True, slots=True)
class Control:
    """What is got without a look at the pictures; a share of the trials."""

    name: str  # "longest text"
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Checked:
    """The counts of a trials file."""

    metric: MetricName
    n: int
    n_pictures: int
    n_clusters: int  # 0: no clusters
    groups: Mapping[str, int]  # trials by group
    chance: float | None
    positions: tuple[Position, ...]
    controls: tuple[Control, ...]
    alike: tuple[tuple[str, ...], ...]  # ids of trials that ask the same
    shared: Mapping[str, int]  # pictures of several trials, and how many these are
    half_width: float | None  # of the interval of a share of one half
    detectable: float | None  # the difference of two models that is found in four of five times
    is_biased: bool

    @property
    def first_share(self) -> float:
        """The share of the trials whose first option is right."""
        return self.positions[0].n_right / self.positions[0].n_offered if self.positions else 0.0

    @property
    def suspicions(self) -> list[Control]:
        """The controls that beat chance beyond doubt."""
        return [c for c in self.controls if self.chance is not None and c.interval[0] > self.chance]


def check_trials(rows: Sequence[Row]) -> Checked:
    """Counts what there is to say of the trials, which are sound."""
    trials = [read_trial(row) for row in rows]
    n, kind = len(trials), kind_of(trials)
    pictures = Counter(name for trial in trials for name in set(trial.pictures))
    is_choice, is_share = trials[0].metric == "choice", trials[0].metric != "meteor"
    best = best_text(trials)
    controls = [*(_controls(trials) if is_choice else ()), *(_constant(best, n) if best is not None else ())]
    by_content: dict[str, list[str]] = {}
    for row, trial in zip(rows, trials, strict=True):
        content = json.dumps([row.get(key) for key in _WHAT], sort_keys=True)
        by_content.setdefault(content, []).append(trial.trial_id)
    return Checked(
        metric=trials[0].metric,
        n=n,
        n_pictures=len(pictures),
        n_clusters=len({trial.cluster for trial in trials if trial.cluster}),
        groups=dict(Counter(trial.group for trial in trials if trial.group)),
        chance=kind.chance(trials),
        positions=tuple(_positions(trials)) if is_choice else (),
        controls=tuple(controls),
        alike=tuple(tuple(ids) for ids in by_content.values() if len(ids) > 1),
        shared={name: n_trials for name, n_trials in pictures.most_common() if n_trials > 1},
        half_width=_half_width(n) if is_share else None,
        detectable=detectable_difference(math.sqrt(0.5 / n)) if is_share else None,
        is_biased=any(metric.bias_beats_chance for metric in kind.metrics(trials) if metric.is_main),
    )


def _positions(trials: Sequence[Trial]) -> Iterable[Position]:
    for place in range(max(len(trial.options) for trial in trials)):
        offering = [trial for trial in trials if place < len(trial.options)]
        yield Position(place, len(offering), sum(place in trial.right for trial in offering))


def _controls(trials: Sequence[Trial]) -> Iterable[Control]:
    """Gives what rules get that never look, as the model control:length."""
    if not all(trial.shows_options for trial in trials):
        yield _control("longest text", trials, lambda trial: [-float(len(option.text)) for option in trial.options])
        yield _control("shortest text", trials, lambda trial: [float(len(option.text)) for option in trial.options])


def _control(name: str, trials: Sequence[Trial], losses: Callable[[Trial], list[float]]) -> Control:
    share = sum(choose_any(losses(trial), trial.right).credit for trial in trials) / len(trials)
    return Control(name, share, wilson95(share, len(trials)))


def _constant(best: Constant, n: int) -> Iterable[Control]:
    yield Control(f"always {best.text!r}", best.share, wilson95(best.share, n))


def _half_width(n: int) -> float:
    low, high = wilson95(0.5, n)
    return (high - low) / 2
