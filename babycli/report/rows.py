"""Which runs make a row of a table, what the row is called, and which control belongs to which model.

Owns merging and naming. Runs of other tasks with the same settings share a row; two of the same task never do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from babycli.report.measure import Cell
from babycli.report.runs import Run
from babycli.report.trials import TaskTrials
from babycli.tasks.about import about
from babycli.wording import AnswerWay, History, all_of, natural_order, printable

Column = tuple[str, str]  # task, metric
PROMPT_CHARS = 32  # of a prompt in the name of a row
# A word of its own: babystep1, footsteps12, 2step3 and step1b are names, no places in a training run.
_STEP = re.compile(
    r"(?<![a-z0-9])(?:checkpoint|ckpt|steps?|epoch|iter|global_step)[-_]?([0-9]{1,15})([km]?)(?![a-z0-9])",
    re.IGNORECASE,
)
_SIZES = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True, eq=False)
class TableRow:
    """A model as it was evaluated."""

    label: str
    runs: tuple[Run, ...]  # with the same settings, each of other tasks
    name: str = ""  # of the model, as the label begins: rows of other settings and controls have it in common

    @property
    def cells(self) -> Mapping[Column, Cell]:
        return {column: cell for run in self.runs for column, cell in run.cells.items()}

    @property
    def control(self) -> str:
        return self.runs[0].control

    @property
    def is_model(self) -> bool:
        """Whether this is a run of the model that was named with --model, and not a control of it."""
        return not self.runs[0].applied_control

    @property
    def is_of_part(self) -> bool:
        """Whether it saw a part of the trials alone."""
        return self.runs[0].is_of_part

    @property
    def is_asked_as_usual(self) -> bool:
        """Whether it was asked with the family's own prompts, and is no control of a model."""
        return self.is_model and not any(run.own_prompts for run in self.runs)

    def run_of(self, task: str) -> Run | None:
        return next((run for run in self.runs if any(of == task for of, _ in run.cells)), None)

    def trials(self, task: str) -> TaskTrials | None:
        run = self.run_of(task)
        return None if run is None else run.trials.get(task)

    @property
    def step(self) -> int | None:
        """How far a training run was, where the name of its checkpoint says so."""
        steps = _STEP.findall(self.runs[0].model)
        if not steps:
            return None
        number, size = steps[-1]
        return int(number) * _SIZES[size.lower()]

    @property
    def series(self) -> str:
        """The name without the step: checkpoints of one training run have it in common."""
        return _STEP.sub("…", self.label)


def make_rows(runs: Sequence[Run]) -> list[TableRow]:
    """Makes the rows, in natural order of their names, each model followed by its controls."""
    merged: list[list[Run]] = []
    by_settings: dict[tuple[object, ...], list[list[Run]]] = {}
    for run in runs:
        alike = by_settings.setdefault((*settings(run), run.control, run.name), [])
        for row in alike:
            if all(_go_together(run, of) for of in row):
                row.append(run)
                break
        else:
            alike.append([run])
            merged.append(alike[-1])
    names = [label_of(row[0]) for row in merged]
    # Runs may have the weights in common, and differ in the code that read them, or in the ways of answering.
    names = [label_of(row[0], names.count(n) > 1) for n, row in zip(names, merged, strict=True)]
    labels = [f"{n} {row[0].date}" if names.count(n) > 1 else n for n, row in zip(names, merged, strict=True)]
    # A copy of a run has its name and its date, and runs on two machines may begin in one second.
    labels = [f"{n} {row[0].path}" if labels.count(n) > 1 else n for n, row in zip(labels, merged, strict=True)]
    rows = [TableRow(printable(label), tuple(row), row[0].shown) for label, row in zip(labels, merged, strict=True)]
    return sorted(
        rows, key=lambda row: (natural_order(row.runs[0].model), row.runs[0].args, row.control, row.runs[0].date)
    )


def _go_together(run: Run, other: Run) -> bool:
    """Tells whether runs of equal settings can share a row: of other tasks, and with answers given in the same ways."""
    tasks = {task for task, _ in run.cells}
    ways = {way for each in (run, other) if (way := each.ways)}
    return len(ways) < 2 and not any(task in tasks for task, _ in other.cells)


def settings(run: Run) -> tuple[object, ...]:
    """Gives what two runs must have in common to be of one model; its control apart.

    Of a run of babycli that is its identity, less what belongs to a task: of prompts, those that the user gave.
    """
    return (run.data, run.history, run.max_new_tokens, *settings_of_scores(run))


def settings_of_scores(run: Run) -> tuple[object, ...]:
    """Gives what they must have in common on other sets of data, where the answers were given and not written."""
    asked = frozenset(asked_words(run).items())
    if run.identity is None:
        asked_for = (run.limit, run.offset, run.args, asked)
        return (run.program, run.model, run.wrapper, run.scoring, *asked_for)
    model = run.identity.model
    weights = (model.family, model.fingerprint, model.dtype, model.template, run.args)
    return (run.program, run.model, weights, run.scoring, run.limit, run.sample, asked)


def asked_words(run: Run) -> dict[str, tuple[str, ...]]:
    """Gives each prompt of the user with the tasks that it was for; no tasks where it was for all of them."""
    tasks = {task for task, _ in run.cells}
    words: dict[str, tuple[str, ...]] = {}
    for task, prompt in run.own_prompts.items():
        words[prompt] = (*words.get(prompt, ()), task)
    return {prompt: () if tasks <= set(asked) else asked for prompt, asked in words.items()}


def controls_of(row: TableRow, rows: Sequence[TableRow], kind: str) -> list[TableRow]:
    """Finds the controls of a kind that were run of the model of a row, in the order of the table."""
    wanted = settings(row.runs[0])
    found = [other for other in rows if other.control == kind and settings(other.runs[0]) == wanted]
    return [] if row.control else found


def training_runs(rows: Sequence[TableRow]) -> dict[str, list[TableRow]]:
    """Finds checkpoints whose names carry steps, by training run and in the order of steps; no controls."""
    found: dict[str, list[TableRow]] = {}
    for row in sorted(rows, key=lambda row: row.step or 0):
        if row.step is not None and not row.control:
            found.setdefault(row.series, []).append(row)
    return {name: of for name, of in found.items() if len({row.step for row in of}) > 1}


def label_of(run: Run, in_full: bool = False) -> str:
    """Names a run by its own name or the end of its model's path, and every setting that is not the default."""
    is_wrapped = in_full and run.wrapper not in ("", run.model)
    marks = [
        *([] if run.is_ours else [f"{run.program} {run.wrapper}" if is_wrapped else run.program]),
        *([run.data] if run.data == "demo" or _has_other_sets(run) else []),
        *([f"control: {run.applied_control}"] if run.applied_control else []),
        *([run.scoring] if run.scoring != "fair" and run.is_ours else []),
        *([f"limit {run.limit:g}"] if run.limit is not None else []),
        *([run.sample.told] if run.sample else []),
        *([f"offset {run.offset}"] if run.offset else []),
        *([f"only {run.overlap.only}"] if run.overlap and run.overlap.only else []),
        *([f"history {run.history}"] if run.history != History.OWN else []),
        *([f"{run.max_new_tokens} new tokens"] if run.max_new_tokens is not None else []),
        *([f"answers {all_of(run.ways)}"] if run.ways and (in_full or _only_chose(run)) else []),
        *([run.dtype] if run.dtype not in ("float32", "") else []),
        *run.args,
        *(
            f'prompt "{_shortened(text)}"' + (f" for {' and '.join(tasks)}" if tasks else "")
            for text, tasks in asked_words(run).items()
        ),
    ]
    return run.shown + (f" ({', '.join(marks)})" if marks else "")


def _only_chose(run: Run) -> bool:
    """Tells whether a model that scores texts, and so could be asked to write them, only chose among answers."""
    asked = run.identity.question.tasks.values() if run.identity else ()
    return run.ways == (AnswerWay.CHOSEN,) and any("loglikelihood" in task.answers for task in asked)


def _has_other_sets(run: Run) -> bool:
    """Tells whether a task of it is asked on several sets of data, so that a name without the set would be of all."""
    benchmarks = (about(task).benchmark for task, _ in run.cells)
    return any(benchmark is not None and benchmark.has_sets for benchmark in benchmarks)


def _shortened(prompt: str) -> str:
    words = " ".join(prompt.split())
    return words if len(words) <= PROMPT_CHARS else f"{words[: PROMPT_CHARS - 1]}…"
