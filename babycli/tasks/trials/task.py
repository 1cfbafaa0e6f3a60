"""The task that a trials file makes.

Owns its facts, which follow from the trials. Its file and its pictures lie where the user has them, outside of the
dataset folder: its paths are absolute, and no log has them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.domain import Exchange, ImageRef, Item, Metric, Outcome, Row
from babycli.tasks.base import Asking, LabelFormat, Needs, Play, StructureProblem, Task, is_unanswered
from babycli.tasks.groups import CLUSTER, GROUP
from babycli.tasks.replies import Reply
from babycli.tasks.trials.kinds import kind_of
from babycli.tasks.trials.trial import Trial, TrialError, read_trial


class TrialsTask(Task):
    """A task of a user's own trials."""

    unit = "trials"
    label_format: LabelFormat = "jsonl"
    columns = ("id",)
    item_columns = ("id",)
    order = 200

    def __init__(self, name: str, file: Path, images: Path, trials: Sequence[Trial]) -> None:
        self.name = self.title = name
        self.file, self.images = file, images
        self.source = f"trials_{re.sub(r'[^A-Za-z0-9_]', lambda odd: f'_{ord(odd[0]):x}_', name)}"
        self.label_path, self.links = str(file.absolute()), {self.source: str(images.absolute())}
        self._kind = kind = kind_of(trials)
        self.question, self.scored, self.papers = kind.question, kind.scored, kind.papers
        self.tie_rule, self.tie_note, self.legend = kind.tie_rule, kind.tie_note, kind.legend
        self.metrics = kind.metrics(trials)
        self.needs = _needs(trials, kind.need)
        self.prompts: Mapping[str, str] = kind.prompts if any(_takes_prompt(trial) for trial in trials) else {}
        groupings = {GROUP: trials[0].group, CLUSTER: trials[0].cluster}
        self.groupings = tuple(grouping for grouping, value in groupings.items() if value)
        self.cluster = CLUSTER.name if trials[0].cluster else ""
        self._metric = trials[0].metric

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return [self._item(i, row) for i, row in enumerate(rows)]

    def _item(self, i: int, row: Row) -> Item:
        trial = read_trial(row)
        groups = {grouping.name: getattr(trial, grouping.name) for grouping in self.groupings}
        return Item(trial.trial_id, (i,), (row,), tuple(self._picture(name) for name in trial.pictures), groups)

    def _picture(self, name: str) -> ImageRef:
        return ImageRef(self.source, name)

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        read = read_trials(rows)
        return [
            StructureProblem(str(rows[i].get("id", i)), f"trial {i + 1} {fault}") for i, fault in read.faults.items()
        ] or self._changes(read.sound)

    def _changes(self, trials: Sequence[Trial]) -> list[StructureProblem]:
        """Finds out whether the trials are still those that the task was made of."""
        kind = kind_of(trials)
        is_same = trials[0].metric == self._metric and kind.metrics(trials) == self.metrics
        if is_same and _needs(trials, kind.need) == self.needs:
            return []
        return [StructureProblem("", "it was changed while it was read; give the command again")]

    def distinct(self, item: Item) -> Sequence[Sequence[ImageRef]]:
        trial = read_trial(item.rows[0])
        if trial.metric == "pairs":
            return (item.images,)
        pictures = [option.image for option in trial.options if option.image]
        return ([self._picture(name) for name in pictures],) if len(set(pictures)) == len(pictures) else ()

    def play(self, item: Item, asking: Asking) -> Play:
        trial = read_trial(item.rows[0])
        answers = yield self._kind.requests(trial, self.source, asking)
        if is_unanswered(answers):
            return self.miss(item)
        return self._kind.outcome(item, trial, answers)

    def options(self, item: Item) -> tuple[str, ...]:
        """Gives the names of the options of a choice: their texts or, where those are alike, their pictures."""
        trial = read_trial(item.rows[0])
        if trial.metric != "choice":
            return ()
        texts = [option.text for option in trial.options]
        are_told_apart = all(texts) and len(set(texts)) == len(texts)
        return tuple(texts) if are_told_apart else tuple(o.image or o.text for o in trial.options)

    def why_no_reference(self, abilities: Collection[str]) -> str:
        """Tells that there is no original code that trials of one's own could follow."""
        return "trials of your own have no original code to follow"

    def why_undecidable(self, rows: Sequence[Row]) -> str:
        return super().why_undecidable(rows) or next(iter(read_trials(rows).faults.values()), "")

    def target(self, row: Row) -> str:
        trial = read_trial(row)
        right = [trial.options[place].name for place in trial.right] or list(trial.texts)
        return " / ".join(right or [option.text for option in trial.options])

    def replies(self, place: int, row: Row, texts: Sequence[str | None]) -> list[Reply]:
        trial = read_trial(row)
        target = trial.texts[0] if trial.texts else ""
        return [Reply(place, text, target, self._kind.read(trial, text)) for text in texts if text is not None]

    def sample_fields(self, row: Row, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        return self._kind.fields(read_trial(row), exchanges, outcome)

    def n_turns_of(self, row: Row) -> int:
        return read_trial(row).n_turns

    def chance_of(self, metric: Metric, items: Sequence[Item]) -> float | None:
        if metric.chance is not None or not metric.is_main:
            return metric.chance
        return self._kind.chance([read_trial(item.rows[0]) for item in items])


@dataclass(frozen=True, slots=True)
class ReadTrials:
    """The lines of a trials file, read once."""

    sound: tuple[Trial, ...]
    faults: Mapping[int, str]  # by the place of the line among them, from 0


def read_trials(rows: Sequence[Row], places: Sequence[str] = ()) -> ReadTrials:
    """Reads the lines of a trials file, and finds what is wrong with them; ``places`` are their names: "line 12"."""
    faults: dict[int, str] = {}
    sound: list[Trial] = []
    first: Trial | None = None
    ids: dict[str, int] = {}
    for place, row in enumerate(rows):
        try:
            trial = read_trial(row)
            first = first or trial
            _check_alike(trial, first)
            if trial.trial_id in ids:
                other = ids[trial.trial_id]
                where = places[other] if places else f"trial {other + 1}"
                raise TrialError(f"has the id {trial.trial_id!r:.60}, which {where} has")
        except TrialError as error:
            faults[place] = str(error)
        else:
            ids[trial.trial_id] = place
            sound.append(trial)
    return ReadTrials(tuple(sound), faults)


def _check_alike(trial: Trial, first: Trial) -> None:
    """Checks that a trial can be counted with the first one. Raises TrialError."""
    if trial.metric != first.metric:
        raise TrialError(
            f"has the metric {trial.metric}, and trials before have {first.metric}: give each metric a file of its own"
        )
    if trial.are_compared != first.are_compared:
        raise TrialError(
            "compares pictures alone or scores texts, and the trials before do not: give them a file of their own"
        )
    for key in ("group", "cluster"):
        if bool(getattr(trial, key)) != bool(getattr(first, key)):
            has, others = ("a", "have none") if getattr(trial, key) else ("no", "have one")
            raise TrialError(f"has {has} {key}, and the trials before {others}")


def _takes_prompt(trial: Trial) -> bool:
    return not trial.are_compared and (not trial.turns or bool(trial.words))


def _needs(trials: Sequence[Trial], need: Any) -> Needs:
    return Needs(need, max(trial.n_shown for trial in trials), max(trial.n_turns for trial in trials))
