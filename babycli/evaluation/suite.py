"""One evaluation from end to end: check the data, plan, load the model, run it, decide, write the log.

Owns the order of these steps and nothing of what happens inside one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from babycli.data.root import DatasetRoot
from babycli.domain import Offer, Score, Scoring, TaskResult
from babycli.errors import ModelError, OutputError
from babycli.evaluation import engine
from babycli.evaluation.batch_check import check_batches
from babycli.evaluation.inputs import Inputs, read_inputs
from babycli.evaluation.plan import Key, make_plan
from babycli.evaluation.prompts import ANSWERED_BY, Prompt, can_do, choose_prompt
from babycli.evaluation.results import SEED, decide, provenance, results_document, sample_lines
from babycli.evaluation.runlog import RunLog, log_name
from babycli.models import check_spec, load_model, local_family, pick_device, resolve
from babycli.models.base import Model, ModelInfo, ModelSpec
from babycli.tasks.base import Task
from babycli.tasks.prompts import DEFAULT

BATCH_SIZES = {"cpu": 16}  # by device; a GPU takes more
GPU_BATCH_SIZE = 128


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants evaluated."""

    model: str
    model_args: Mapping[str, str]
    tasks: Sequence[Task]
    tasks_were_named: bool  # else all of them, and those that the model cannot do are left out
    root: DatasetRoot
    output: Path
    limit: int | None  # trials of each task
    batch_size: int | None  # None: by device
    device: str | None  # None: the first GPU, else the CPU
    dtype: str
    scoring: Scoring
    skip_missing: bool
    prompts: Mapping[str, str]  # by task, instead of the family's
    batch_check: int  # trials of each task to score again one by one
    command: Sequence[str]  # for run.json


class Reporter(Protocol):
    """How an evaluation talks while it runs."""

    def say(self, message: str) -> None: ...

    def bar(self, what: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A progress bar: a function that takes how many more are done."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    results_path: Path
    results: Sequence[TaskResult]


def evaluate(options: Options, reporter: Reporter) -> Evaluated:
    """Runs an evaluation. Whatever stops it, the scores so far stay readable in its folder.

    Raises UsageError, DataError, ChecksumError, ModelError or OutputError, each as its part documents.
    """
    resolved = resolve(options.model, options.model_args)
    device = pick_device(options.device)
    name = resolved.name
    spec = ModelSpec(resolved.source, name, options.model_args, device, options.dtype, options.scoring)
    check_spec(resolved, spec)
    family = local_family(resolved)
    tasks = options.tasks if family is None else _doable(options, options.tasks, name, family.offers, reporter)
    with reporter.bar("reading images", None) as count:
        inputs = read_inputs(options.root, tasks, options.limit, options.skip_missing, count)
    started = _utc_now()
    reporter.say(f"loading {name} on {device} in {options.dtype}")
    model = load_model(resolved, spec)
    tasks = _doable(options, tasks, name, model.info.offers, reporter)
    inputs = inputs.asking(_prompts(tasks, model.info, options.prompts, reporter))
    plan = make_plan(inputs.all_requests(), inputs.sha256)
    with RunLog(options.output, log_name(name)) as log:
        for note in model.info.notes:
            reporter.say(f"note: {note}")
        batch_size = options.batch_size or BATCH_SIZES.get(device, GPU_BATCH_SIZE)
        about = provenance(inputs, model, spec, batch_size, options.limit)
        log.write_provenance(command=list(options.command), start=started, status="running", **about)
        scores: dict[Key, Score] = {}
        try:
            with reporter.bar("scoring", plan.n_requests) as count:

                def keep(key: Key, score: Score) -> None:
                    scores[key] = score
                    log.append_score(key, score)
                    count(1)

                engine.run(plan, model, inputs.open_image, batch_size, keep)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's, which this room does not import
                raise
            raise ModelError(
                f"{device} has not enough memory for batches of {batch_size}: {str(error).splitlines()[0]}",
                f"use smaller ones:  --batch-size {max(1, batch_size // 2)}",
            ) from error
        finally:
            if len(scores) < plan.n_requests:
                with contextlib.suppress(OutputError):
                    log.write_provenance(status="stopped")
                reporter.say(f"stopped after {len(scores)} of {plan.n_requests} requests; scores: {log.folder}")
        if options.batch_check:
            log.write_provenance(batch_check=_batch_check(options, inputs, scores, model, reporter))
        decided = [decide(item, scores, inputs.sha256, options.scoring) for item in inputs.tasks]
        for of_task in decided:
            log.write_samples(of_task.result.task, sample_lines(of_task, model))
        log.write_provenance(end=_utc_now(), status="done")
        results = [of_task.result for of_task in decided]
        document = results_document(log.provenance, results, log.timestamp, log_name(name))
        return Evaluated(log.write_results(document), results)


def _batch_check(
    options: Options, inputs: Inputs, scores: Mapping[Key, Score], model: Model, reporter: Reporter
) -> dict[str, dict[str, Any]]:
    """For the log: what scoring some trials of each task again, one request at a time, showed."""
    found = check_batches(inputs, scores, model, options.batch_check, SEED, options.scoring)
    for task, check in found.items():
        drift = "" if check.max_difference is None else f", scores differ by up to {check.max_difference:.2g}"
        reporter.say(f"batch check: {task}: {check.n_flipped} of {check.n_trials} decisions flip one by one{drift}")
    return {task: {"seed": SEED} | asdict(check) for task, check in found.items()}


def _doable(
    options: Options, tasks: Sequence[Task], model: str, offers: Sequence[Offer], reporter: Reporter
) -> Sequence[Task]:
    """The tasks that a model with these offers can do. Raises ModelError for one that was asked for and is not."""
    doable = [task for task in tasks if can_do(task, offers)]
    beyond = ", ".join(task.name for task in tasks if task not in doable)
    if beyond and (options.tasks_were_named or not doable):
        able = f"leave it out:  --tasks {','.join(task.name for task in doable)}" if doable else "choose another model"
        expected = " or ".join(dict.fromkeys(o for t in tasks if t not in doable for o in ANSWERED_BY[t.needs]))
        raise ModelError(f"{model} cannot do {beyond}: expected is {expected}, it offers {', '.join(offers)}", able)
    if beyond:
        reporter.say(f"note: left out {beyond}: {model} offers {', '.join(offers)} only")
    return doable


def _prompts(
    tasks: Sequence[Task], info: ModelInfo, overrides: Mapping[str, str], reporter: Reporter
) -> dict[str, Prompt]:
    """The prompt of every task; a model without prompts of its own is told which it got."""
    chosen = {t.name: choose_prompt(t, info.family, info.prompts, info.prompts_like, overrides) for t in tasks}
    defaults = [task for task, prompt in chosen.items() if prompt.origin == DEFAULT]
    if defaults:
        text = "the image and no words" if "loglikelihood" in info.offers or "generate" in info.offers else "no words"
        reporter.say(
            f"note: {info.family} has no prompt of its own for {', '.join(defaults)}: asked with {text}; "
            "--prompt TEXT changes that"
        )
    return chosen


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
