"""Facts about each task for reports: its names, its metrics, its groups, and the sentences about it.

Owns these facts, which come from the tasks of this babycli or, for a task that it does not have, from the results of a
run. All of report/ asks here, and never looks for a task itself. Never reads a file.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from babycli.domain import Metric
from babycli.tasks import all_tasks
from babycli.tasks.base import Benchmark, Task
from babycli.tasks.checked import metrics_faults
from babycli.tasks.groups import KINDS, OVERLAP, Grouping
from babycli.typed import read_as
from babycli.wording import printable

_CHOSEN = "_chosen"  # ends the names of metrics of answers that are chosen, where written ones have metrics too
_KEYS = ("name", "cluster")  # are looked up elsewhere, and stay as they are
_FUNCTIONS = ("day_of", "halves")  # of a Grouping: no document holds them


@dataclass(frozen=True, slots=True)
class About:
    """The facts about one task, in the task's own words; babycli.tasks.base.Task explains each field."""

    name: str
    title: str
    metrics: tuple[Metric, ...]
    short: str = ""
    question: str = ""
    unit: str = "items"
    order: int = Task.order
    groupings: tuple[Grouping, ...] = ()
    cluster: str = ""
    item_columns: tuple[str, ...] = ()
    scored: str = ""
    tie_rule: str = ""
    tie_note: str = ""
    legend: str = ""
    benchmark: Benchmark | None = None
    links: Mapping[str, str] = field(default_factory=dict)  # never from a log, which may name any place

    @classmethod
    def of(cls, task: Task) -> About:
        """Makes the facts from a task of babycli or of the user's."""
        return cls(
            name=task.name,
            title=task.title,
            metrics=task.metrics,
            short=task.short or task.title,
            question=task.question,
            unit=task.unit,
            order=task.order,
            groupings=task.groupings,
            cluster=task.cluster,
            item_columns=task.item_columns,
            scored=task.scored,
            tie_rule=task.tie_rule,
            tie_note=task.tie_note or task.tie_rule,
            legend=task.legend,
            benchmark=task.benchmark,
            links=task.links,
        )

    def to_document(self) -> dict[str, Any]:
        """Gives the facts in values of JSON, for the results of a run; the task's name is the key there."""
        document = asdict(self)
        del document["name"], document["links"]
        for grouping in document["groupings"]:
            for function in _FUNCTIONS:
                del grouping[function]
        return document

    @classmethod
    def from_document(cls, name: str, raw: Mapping[str, Any]) -> About:
        """Reads the facts from the results of a run; fields that a later version has added are passed over.

        Raises TypeError or ValueError for damaged ones.
        """
        facts = read_as(cls, {**_printable_words(raw), "name": name, "links": {}}, passes_over=True)
        for attribute, value, expected in metrics_faults(facts.metrics):
            raise ValueError(f"task {name} has the {attribute} {value!r:.80}; expected is {expected}")
        groupings = tuple(_with_functions(grouping) for grouping in facts.groupings)
        return replace(facts, short=facts.short or facts.title, groupings=groupings)

    @property
    def main_metric(self) -> Metric:
        """The metric to show where there is room for one only."""
        return next((metric for metric in self.metrics if metric.is_main), self.metrics[0])

    def metric(self, name: str) -> Metric:
        """Gives the metric of that name. Raises KeyError."""
        return {metric.name: metric for metric in self.metrics}[name]

    def main_of(self, names: Iterable[str]) -> Metric | None:
        """Gives the metric to show of those that a run has; None where it has none."""
        had = set(names)
        there = [metric for metric in self.metrics if metric.name in had]
        chosen = f"{self.main_metric.name}{_CHOSEN}"
        first = [m for m in there if m == self.main_metric] or [m for m in there if m.name == chosen]
        return next(iter([*first, *there]), None)

    def main_chosen(self) -> Metric | None:
        """Gives the main metric of answers that are chosen, where written ones have metrics of their own."""
        return next((m for m in self.metrics if m.name == f"{self.main_metric.name}{_CHOSEN}"), None)

    def grouping(self, name: str) -> Grouping | None:
        """Gives the kind of group of that name; None where its items have no such groups."""
        return next((kind for kind in (*self.groupings, OVERLAP) if kind.name == name), None)


_logged: dict[str, About] = {}  # tasks that only the runs read in this process know


def learn(task: str, facts: About) -> None:
    """Makes a logged task known to this process; a task that this babycli has keeps its own facts.

    If several runs have facts about a task, the last ones count, but the metrics of all are kept.
    """
    earlier = _logged.get(task)
    kept = () if earlier is None else earlier.metrics
    names = {metric.name for metric in facts.metrics}
    metrics = (*facts.metrics, *(metric for metric in kept if metric.name not in names))
    _logged[task] = replace(facts, metrics=metrics)


def is_known(task: str) -> bool:
    """Tells whether there are facts about a task of that name."""
    return task in _logged or task in all_tasks()


def about(task: str) -> About:
    """Gives the facts about a task. Raises KeyError for an unknown name."""
    ours = all_tasks().get(task)
    return _logged[task] if ours is None else _about_task(ours)


def metric_of(task: str, metric: str) -> Metric:
    """Gives a metric of a task. Raises KeyError."""
    return about(task).metric(metric)


def is_of_chosen(metric: str) -> bool:
    """Tells whether a metric is of answers that are chosen, where a task has others for written ones."""
    return metric.endswith(_CHOSEN)


def known() -> list[About]:
    """Gives the facts about all known tasks, in the order of a table."""
    return in_order({*all_tasks(), *_logged})


def in_order(tasks: Iterable[str]) -> list[About]:
    """Gives the facts about these tasks, each once, in the order of a table."""
    return sorted((about(task) for task in set(tasks)), key=lambda task: (task.order, task.name))


def offered_groupings() -> list[str]:
    """Gives the names of all kinds of groups by which scores can be broken down."""
    kinds = [*(kind for task in known() for kind in task.groupings), *KINDS]
    return list(dict.fromkeys(kind.name for kind in kinds if kind.is_offered))


def drawn_groupings() -> list[str]:
    """Gives the names of the kinds of groups that a page always shows."""
    return list(dict.fromkeys(kind.name for task in known() for kind in task.groupings if kind.is_drawn))


@functools.lru_cache(maxsize=256)
def _about_task(task: Task) -> About:
    return About.of(task)


def _with_functions(grouping: Grouping) -> Grouping:
    """Gives a kind of group with the functions of babycli's kind of that name, if there is one."""
    ours = next((kind for kind in KINDS if kind.name == grouping.name), None)
    return grouping if ours is None else replace(grouping, day_of=ours.day_of, halves=ours.halves)


def _printable_words(raw: Any) -> Any:
    """Gives a document with its words fit to be printed, names of kinds apart, which are keys elsewhere."""
    if isinstance(raw, list):
        return list(map(_printable_words, raw))
    if not isinstance(raw, dict):
        return raw
    return {
        key: printable(value) if isinstance(value, str) and key not in _KEYS else _printable_words(value)
        for key, value in raw.items()
    }
