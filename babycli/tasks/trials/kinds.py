"""How the trials of each metric are asked and counted.

Owns the requests, the outcomes, and what guessing gives. Never reads a line: trial.py does.

    choice    each option is scored; the best is the answer, equal ones share the credit
    exact     a text is written, and is right if it is one of the answers but for case, blanks and marks around it
    meteor    a text is written, and has the METEOR of the answer that it is most like
    pairs     two pictures and two texts are matched, as in Baby Winoground
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from babycli import bibliography
from babycli.bibliography import Paper
from babycli.domain import (
    Answer,
    Context,
    Exchange,
    ImageRef,
    Item,
    Match,
    Metric,
    Outcome,
    Request,
    Score,
    Turn,
    Write,
)
from babycli.stats import wilson95
from babycli.tasks import pairs
from babycli.tasks.babyvlm import CAPTION, CHOICE, CHOICE_SCORED, SHARED_CREDIT, SHARED_CREDIT_NOTE
from babycli.tasks.base import Asking, Need, choose_any, finite, is_unanswered, loss_of, text_of
from babycli.tasks.meteor import meteor
from babycli.tasks.trials.trial import MetricName, Trial, bare
from babycli.wording import Scoring

MAX_NEW_TOKENS = 25  # as in SAYCam Caption


class Kind(ABC):
    """What the trials of one metric have alike."""

    need: Need = "score"
    question: ClassVar[str]
    scored: ClassVar[str]
    tie_rule: str = ""
    tie_note: str = ""
    legend: str = ""
    prompts: ClassVar[Mapping[str, str]] = CHOICE  # of trials without a context
    papers: tuple[Paper, ...] = ()

    @abstractmethod
    def metrics(self, trials: Sequence[Trial]) -> tuple[Metric, ...]:
        """Gives the metrics, with the chance of these trials."""

    @abstractmethod
    def requests(self, trial: Trial, source: str, asking: Asking) -> list[Request]:
        """Gives what is asked of a trial."""

    @abstractmethod
    def outcome(self, item: Item, trial: Trial, answers: Sequence[Answer]) -> Outcome:
        """Decides a trial from the answers to all of its requests."""

    def chance(self, trials: Sequence[Trial]) -> float | None:
        """Gives what guessing gives in the main metric; None where nothing can be guessed."""
        levels = [level for level in map(_chance, trials) if level is not None]
        return sum(levels) / len(levels) if len(levels) == len(trials) else None

    def fields(self, trial: Trial, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        """Gives the field of each metric in a line of the samples log."""
        return dict(outcome.values)

    def read(self, trial: Trial, text: str) -> str:
        """Gives the option that is read in what was written; "" where there is none."""
        return ""


class Choosing(Kind):
    question = "which of the options is right"
    scored = CHOICE_SCORED
    tie_rule = SHARED_CREDIT
    tie_note = SHARED_CREDIT_NOTE

    def __init__(self, compares: bool = False) -> None:
        if compares:
            self.need = "match"

    def metrics(self, trials: Sequence[Trial]) -> tuple[Metric, ...]:
        return (_share("acc", "accuracy", "acc", trials),)

    def requests(self, trial: Trial, source: str, asking: Asking) -> list[Request]:
        shown = [ImageRef(source, name) for name in trial.images]
        asked: list[Request] = []
        for option in trial.options:
            with_option = [*shown, ImageRef(source, option.image)] if option.image else shown
            if trial.are_compared:
                asked.append(Match(Context((Turn("user", tuple(with_option)),))))
            else:
                context = trial.context(asking.prompt, with_option)
                asked.append(Score(context, option.text or trial.words))
        return asked

    def outcome(self, item: Item, trial: Trial, answers: Sequence[Answer]) -> Outcome:
        losses = [loss_of(answer, Scoring.FAIR) for answer in answers]
        choice = choose_any(losses, trial.right)
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)


class Writing(Kind):
    """A text is written, and compared with the answers."""

    need: Need = "write"

    def requests(self, trial: Trial, source: str, asking: Asking) -> list[Request]:
        context = trial.context(asking.prompt, [ImageRef(source, name) for name in trial.images])
        return [Write(context, asking.max_new_tokens or MAX_NEW_TOKENS)]

    def outcome(self, item: Item, trial: Trial, answers: Sequence[Answer]) -> Outcome:
        (answer,) = answers
        is_finite = finite(answers)  # the text of a model whose logits are NaN is no answer
        text = text_of(answer)
        value = self.value(trial, text) if is_finite else 0.0
        lacks = bool(trial.options) and is_finite and not is_unanswered(answers) and not self.read(trial, text)
        return Outcome(item.item_id, {self.name: value}, is_finite=is_finite, n_no_answer=int(lacks))

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the metric."""

    @abstractmethod
    def value(self, trial: Trial, text: str) -> float:
        """Gives what a text gets."""

    def fields(self, trial: Trial, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        said = text_of(exchanges[0].answer) if exchanges else ""
        return {self.name: {"gt": list(trial.texts), "pred": said, "score": outcome.values[self.name]}}


class Exact(Writing):
    question = "write the right answer"
    scored = (
        "A written answer is right if it is one of the trial's answers; case, and blanks and marks around it, do not "
        "count."
    )
    name = "exact_match"

    def metrics(self, trials: Sequence[Trial]) -> tuple[Metric, ...]:
        return (_share(self.name, "exact match", "exact", trials),)

    def value(self, trial: Trial, text: str) -> float:
        return float(bare(text) in map(bare, trial.texts))

    def read(self, trial: Trial, text: str) -> str:
        return next((option.text for option in trial.options if bare(option.text) == bare(text)), "")


class Captioning(Writing):
    question = "say what is right"
    scored = (
        "Written answers were scored with METEOR (Banerjee & Lavie 2005), against the nearest of a trial's answers."
    )
    prompts = CAPTION
    papers = (bibliography.METEOR,)
    name = "meteor"

    def metrics(self, trials: Sequence[Trial]) -> tuple[Metric, ...]:
        return (
            Metric(
                self.name, "score", "METEOR", "METEOR", None, True, scale=100.0, bounds=(0.0, 1.0), log_tolerance=5e-4
            ),
        )

    def value(self, trial: Trial, text: str) -> float:
        return max(meteor(reference, text) for reference in trial.texts)


class Pairing(Kind):
    question = "match 2 images with 2 texts"
    scored = CHOICE_SCORED
    tie_rule = "in pairs a tie is a miss"
    legend = "pos, neg: context of the first and of the second picture"
    papers = (bibliography.WINOGROUND,)

    def metrics(self, trials: Sequence[Trial]) -> tuple[Metric, ...]:
        return pairs.METRICS

    def chance(self, trials: Sequence[Trial]) -> float | None:
        return next(metric.chance for metric in pairs.METRICS if metric.is_main)

    def requests(self, trial: Trial, source: str, asking: Asking) -> list[Request]:
        return [
            Score(trial.context(asking.prompt, [ImageRef(source, name)]), option.text)
            for name in trial.images
            for option in trial.options
        ]

    def outcome(self, item: Item, trial: Trial, answers: Sequence[Answer]) -> Outcome:
        losses = [loss_of(answer, Scoring.FAIR) for answer in answers]
        return pairs.outcome_of_pair(item, losses[:2], losses[2:], answers)


def kind_of(trials: Sequence[Trial]) -> Kind:
    """Gives the kind of these trials, which are all of one."""
    kinds: Mapping[MetricName, Kind] = {
        "choice": Choosing(trials[0].are_compared),
        "exact": Exact(),
        "meteor": Captioning(),
        "pairs": Pairing(),
    }
    return kinds[trials[0].metric]


def is_biased(trials: Sequence[Trial]) -> bool:
    """Tells whether who always gives one text beats guessing beyond doubt, without a look at any picture."""
    chances, best = sum(map(_guessed, trials)) / len(trials), best_text(trials)
    return best is not None and wilson95(best.share, len(trials))[0] > chances


@dataclass(frozen=True, slots=True)
class Constant:
    """What is got by giving one text wherever it is offered, and by guessing elsewhere."""

    text: str
    share: float


def best_text(trials: Sequence[Trial]) -> Constant | None:
    """Finds the text that gets most if it is always given; None where texts are not offered."""
    gains: defaultdict[str, float] = defaultdict(float)
    for trial in trials:
        if (trial.right or trial.texts) and not trial.shows_options:
            right = {trial.options[place].text for place in trial.right} or set(trial.texts)
            for option in trial.options:
                gains[option.text] += (option.text in right) - _guessed(trial)
    if not gains:
        return None
    text = max(gains, key=lambda text: gains[text])
    return Constant(text, (sum(map(_guessed, trials)) + gains[text]) / len(trials))


def _share(name: str, title: str, short: str, trials: Sequence[Trial]) -> Metric:
    """Makes a main metric. Its chance stands in it if it is that of every trial; else it depends on the items."""
    levels = {_chance(trial) for trial in trials}
    chance = levels.pop() if len(levels) == 1 else None
    return Metric(name, "share", title, short, chance, is_main=True, bias_beats_chance=is_biased(trials))


def _chance(trial: Trial) -> float | None:
    """Gives what guessing among the options gets; None where there are none."""
    return len(trial.right or trial.texts) / len(trial.options) if trial.options else None


def _guessed(trial: Trial) -> float:
    return _chance(trial) or 0.0
