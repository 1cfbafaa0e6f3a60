"""The models of one command, one after the other, on the same data.

Owns which of them are run, and what becomes of the others when one fails. Never looks into a run.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from babycli.errors import BabycliError, ExitCode, ModelError, ResumeError
from babycli.evaluation.conclusion import Evaluated
from babycli.evaluation.controls import Controls
from babycli.evaluation.distributed import Processes, ProcessesGoneError, join
from babycli.evaluation.inputs import Inputs, TaskInput, read_inputs
from babycli.evaluation.options import Count, Options, Reporter
from babycli.evaluation.prefetch import Kept
from babycli.evaluation.prompts import doable_tasks, why_not
from babycli.evaluation.run import ModelRun, Shared
from babycli.models import Resolved, check_precision, check_spec, is_emulated, local_family, pick_device, resolve
from babycli.models.base import Abilities
from babycli.models.machine_memory import free_bytes
from babycli.tasks.base import Task
from babycli.wording import Scoring, tasks_words


@dataclass(frozen=True, slots=True)
class Failed:
    """A checkpoint that could not be evaluated, among others that could."""

    model: str
    exit_code: ExitCode  # not the error, whose traceback would hold the model in memory


@dataclass(frozen=True, slots=True)
class Ready:
    """All that an evaluation has before its first model is loaded."""

    shared: Shared
    models: Sequence[Resolved]
    of_sets: Sequence[Inputs]  # for each set of data


def evaluate(
    options: Options, reporter: Reporter, processes: Processes | None = None
) -> tuple[list[Evaluated], list[Failed]]:
    """Evaluates every model. If there are several, one that fails is passed over. Scores so far stay on disk.

    Without ``processes``, those that this one was started with work together, and only the first of them gets the
    evaluated models. Raises UsageError, DataError, ChecksumError,
    ModelError, ResumeError or OutputError, as documented where each arises.
    """
    processes = processes or join()
    try:
        return _evaluate_all(_ready(options, reporter if processes.is_first else _Silent(), processes))
    except BabycliError as error:
        if not processes.is_first:
            error.message = f"process {processes.rank + 1} of {processes.n}: {error.message}"
        raise
    finally:
        processes.leave()


class _Silent:
    """The reporter of all processes but the first."""

    def say(self, message: str) -> None:
        pass

    @contextlib.contextmanager
    def bar(self, what: str, total: int | None, unit: str = "", whole: float | None = None) -> Iterator[Count]:
        yield _uncounted


def _uncounted(n: int, weight: float | None = None, *, now: str = "", is_new: bool = True, more: float = 0.0) -> None:
    """Counts nothing."""


def _shared(options: Options, reporter: Reporter, processes: Processes, models: Sequence[Resolved]) -> Shared:
    rank = processes.local_rank if processes.n > 1 else None
    computes_here = any(model.family is None or model.family.computes_here for model in models)
    room = free_bytes() // 3 if len(options.models) > 1 else 0
    return Shared(
        options,
        reporter,
        processes,
        device=pick_device(options.device, rank) if computes_here else options.device or "cpu",
        controls=Controls(options.control, reporter.say, reporter.bar),
        pixels=Kept(room),
        seen=Kept(room if options.reuse_features else 0),
    )


def ready(options: Options, reporter: Reporter) -> Ready:
    """Makes the models and inputs ready for one process, without loading anything. Raises as ``evaluate`` does."""
    return _ready(options, reporter, Processes())


def _ready(options: Options, reporter: Reporter, processes: Processes) -> Ready:
    models = [model if isinstance(model, Resolved) else resolve(model, options.model_args) for model in options.models]
    shared = _shared(options, reporter, processes, models)
    for resolved in models:
        check_spec(resolved, shared.spec(resolved, options.model_args))
    models = shared.controls.standing_in(models)
    for resolved in models:
        _check_precision(resolved, shared)
    with reporter.bar("reading images", None, " images") as count:
        tasks = _tasks_of_any(models, options, reporter)
        of_sets = _inputs(tasks, options, count)
    for task_input in (each for inputs in of_sets for each in inputs.tasks):
        _say_coverage(task_input, options, reporter)
    return Ready(shared, models, of_sets)


def _check_precision(resolved: Resolved, shared: Shared) -> None:
    """Refuses a precision that few devices of its kind compute in. A model loaded by a program is its own choice."""
    options = shared.options
    if "dtype" in options.given:
        check_precision(resolved.family, shared.device, options.dtype)
    elif is_emulated(resolved.family, shared.device, options.dtype):
        shared.reporter.say(
            f"note: {resolved.name} is in {options.dtype}, which most CPUs only emulate: there float32 is many times "
            "as fast"
        )


def _evaluate_all(prepared: Ready) -> tuple[list[Evaluated], list[Failed]]:
    shared, models, of_sets = prepared.shared, prepared.models, prepared.of_sets
    reporter = shared.reporter
    done: list[Evaluated] = []
    failed: list[Failed] = []
    for i, resolved in enumerate(models, 1):
        if len(models) > 1:
            reporter.say(f"model {i} of {len(models)}: {resolved.name}")
        run = ModelRun(shared, resolved)
        try:
            done += run.evaluate(of_sets)
        except (ModelError, ResumeError) as error:
            is_alone = isinstance(error, ProcessesGoneError) or (shared.processes.n > 1 and run.is_running)
            if len(models) == 1 or is_alone:
                raise  # the other processes may not have failed
            failed.append(passed_over(resolved, error, reporter))
        gc.collect()  # the model, before the next one is loaded
    return done, failed


def passed_over(resolved: Resolved, error: BabycliError, reporter: Reporter) -> Failed:
    """Says why a model is passed over, and gives it for the end."""
    reporter.say(f"failed: {error.in_full}")
    return Failed(resolved.name, error.exit_code)


def check_inputs(options: Options, reporter: Reporter) -> None:
    """Checks the labels and pictures of the tasks, as every evaluation does first. Raises DataError, ChecksumError."""
    with reporter.bar("reading images", None, " images") as count:
        _inputs(options.tasks, options, count)


def _inputs(tasks: Sequence[Task], options: Options, count: Count) -> list[Inputs]:
    return [
        read_inputs(
            options.root,
            of_set,
            options.limit,
            options.skip_missing,
            count,
            tasks_words(options.task_names),
            options.dialogue,
            options.sample,
        )
        for of_set in _by_set(tasks)
    ]


def _say_coverage(task_input: TaskInput, options: Options, reporter: Reporter) -> None:
    """Says how much of a task a part of its trials covers."""
    task, n = task_input.task, len(task_input.labels.items)
    if task_input.coverage is not None:
        reporter.say(f"{task.name}: {task_input.coverage.told(task_input.n_chosen, task.unit)}")
    elif options.sample is not None and options.sample.n > n:
        reporter.say(f"{task.name}: all of its {n:,} {task.unit}, as --sample {options.sample.n} is more")


def _by_set(tasks: Sequence[Task]) -> list[list[Task]]:
    """Gathers the tasks by the set of data that they are bound to; those that are bound to none are together."""
    gathered: dict[str, list[Task]] = {}
    for task in tasks:
        gathered.setdefault(task.data_set, []).append(task)
    return list(gathered.values())


def _tasks_of_any(models: Sequence[Resolved], options: Options, reporter: Reporter) -> Sequence[Task]:
    """Gives the tasks that any of the models can do, as far as that is known before they are loaded."""
    tasks = options.tasks
    if len(models) == 1:
        family = local_family(models[0])
        if family is None:
            return tasks
        knows_way = len(family.abilities.scores) < 2  # else the loaded model has one of the ways, or both
        scoring = options.scoring if knows_way else Scoring.FAIR
        name, say = models[0].name, reporter.say
        return doable_tasks(tasks, options.tasks_were_named, name, family.abilities, say, options.ways, scoring)
    if options.tasks_were_named:
        return tasks
    able: list[Abilities] = []
    for resolved in models:
        try:
            family = local_family(resolved)
        except ModelError:  # reported when it is loaded
            continue
        if family is None:  # it may do anything
            return tasks
        able.append(family.abilities)
    doable = [task for task in tasks if any(not why_not(task.fitted(options.ways, a.words), a) for a in able)]
    return doable or tasks
