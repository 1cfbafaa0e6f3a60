"""Does a wrapper say what babycli's own path says? Both are run on the same data, and their answers compared.

Owns the comparison. The runs are those of `babycli eval`, with logs in a folder of their own.

    generate_until               the written tasks of one turn
    generate_until_multi_round   the written tasks of several turns
    loglikelihood                the same questions, their answers chosen, and Baby Winoground
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from babycli.data.root import DatasetRoot
from babycli.evaluation.conclusion import Evaluated
from babycli.evaluation.inputs import Dialogue
from babycli.evaluation.options import Options, Reporter
from babycli.evaluation.suite import evaluate
from babycli.files import read_file
from babycli.interop.lmms.demo_data import WINOGROUND
from babycli.logs.samples import decoded
from babycli.tasks import select_tasks
from babycli.tasks.base import Task
from babycli.wording import AnswerWay, Dtype

MOST_TOKENS = 16  # of a text: enough to see whether two are the same
ROUNDING = {Dtype.FLOAT32: 1e-3}  # by which two losses of one answer may differ, as pictures are batched otherwise
ROUNDING_OF_HALF = 5e-2
_NOTHING = ({"cannot": ""},)
_UNTIL = "\n\n"  # where lmms-eval ends a text


@dataclass(frozen=True, slots=True)
class Asked:
    """A model to be run, as `babycli eval` names it."""

    model: str
    args: Mapping[str, str]
    device: str | None
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class Agreement:
    """The answers of both on one task."""

    method: str
    task: str
    n: int
    n_equal: int
    largest: float | None  # difference between two losses; None of texts
    own: Mapping[str, float]  # the scores, by metric
    wrapped: Mapping[str, float]
    first: str  # where they differ first, in words; ""

    @property
    def agrees(self) -> bool:
        return self.n_equal == self.n


def compare(
    own: Asked, wrapped: Asked, root: DatasetRoot, tasks: Sequence[Task], limit: int, logs: Path, reporter: Reporter
) -> list[Agreement]:
    """Runs both on the tasks, first as written and then as chosen answers. Raises as `babycli eval` does."""
    found: list[Agreement] = []
    one_turn = [task for task in tasks if task.needs.n_turns == 1]
    pairs = [task for task in select_tasks(WINOGROUND) if (root.path / task.label_path).is_file()]
    for way, of_way in ((AnswerWay.WRITTEN, tasks), (AnswerWay.CHOSEN, [*one_turn, *pairs])):
        runs = [
            _run(asked, root, of_way, way, limit, logs / f"{way}-{which}", reporter)
            for which, asked in (("own", own), ("wrapped", wrapped))
        ]
        for task in of_way:
            method = _method(task, way)
            found.append(_compared(method, task.name, runs[0][task.name], runs[1][task.name], wrapped.dtype))
    return found


def _method(task: Task, way: AnswerWay) -> str:
    if way == AnswerWay.CHOSEN:
        return "loglikelihood"
    return "generate_until" if task.needs.n_turns == 1 else "generate_until_multi_round"


@dataclass(frozen=True, slots=True)
class _Run:
    """A finished run of a task."""

    answers: Sequence[Sequence[Any]]  # of each row: what the samples log has
    scores: Mapping[str, float]


def _run(
    asked: Asked,
    root: DatasetRoot,
    tasks: Sequence[Task],
    way: AnswerWay,
    limit: int,
    logs: Path,
    reporter: Reporter,
) -> dict[str, _Run]:
    options = Options(
        models=[asked.model],
        model_args=asked.args,
        tasks=tasks,
        task_names=",".join(task.name for task in tasks),
        root=root,
        output=logs,
        limit=limit,
        device=asked.device,
        dtype=asked.dtype,
        ways=(way,),
        dialogue=Dialogue(max_new_tokens=MOST_TOKENS),
        prompts={WINOGROUND: ""},  # as the board asks it
        resume=False,
        rerun=True,
        command=[],
    )
    done, _ = evaluate(options, reporter)
    return {result.task: _read(evaluated, result.task) for evaluated in done for result in evaluated.results}


def _read(evaluated: Evaluated, task: str) -> _Run:
    path = evaluated.results_path
    samples = path.with_name(path.name.replace("_results.json", f"_samples_{task}.jsonl"))
    lines = [decoded(line) for line in read_file(samples).splitlines()]
    document = json.loads(read_file(path))["results"][task]
    scores = {
        name.partition(",")[0]: value
        for name, value in document.items()
        if isinstance(value, float) and name.endswith(",none") and not name.endswith("_stderr,none")
    }
    return _Run([line["resps"] for line in lines], scores)


def _compared(method: str, task: str, own: _Run, wrapped: _Run, dtype: Dtype) -> Agreement:
    n = n_equal = 0
    largest = 0.0 if method == "loglikelihood" else None
    first = ""
    for row, (ours, theirs) in enumerate(zip(own.answers, wrapped.answers, strict=True)):
        # Where a conversation got too long for the model, babycli's own path ends.
        both = zip_longest(ours, theirs, fillvalue=_NOTHING)
        for turn, (our, their) in enumerate(both, 1):
            n += 1
            difference = _difference(our, their)
            is_equal = difference <= ROUNDING.get(dtype, ROUNDING_OF_HALF)
            n_equal += is_equal
            if largest is not None:
                largest = max(largest, difference)
            if not is_equal and not first:
                first = f"row {row}, answer {turn}: {their[0]!r:.60} of the wrapper, {our[0]!r:.60} of babycli"
    return Agreement(method, task, n, n_equal, largest, own.scores, wrapped.scores, first)


def _difference(own: Sequence[Any], wrapped: Sequence[Any]) -> float:
    """Gives the difference of two answers: of losses, or infinite for other texts."""
    ours, theirs = own[0], wrapped[0]
    if isinstance(ours, float | int) and isinstance(theirs, float | int):
        return abs(ours - theirs)
    if isinstance(ours, str) and isinstance(theirs, str):
        # In a conversation the reply without blanks at its ends counts, which goes into the next turn.
        return 0.0 if ours.split(_UNTIL)[0].strip() == theirs.split(_UNTIL)[0].strip() else math.inf
    is_no_answer = isinstance(ours, dict) and (theirs in ("", None) or isinstance(theirs, dict))
    return 0.0 if is_no_answer else math.inf
