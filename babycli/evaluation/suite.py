"""One evaluation from end to end: check the data, plan, load the model, run it, decide, write the log.

Owns the order of these steps and nothing of what happens inside one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from babycli.data.root import DatasetRoot
from babycli.domain import Score, Scoring, TaskResult
from babycli.errors import ModelError, OutputError
from babycli.evaluation import engine
from babycli.evaluation.inputs import read_inputs
from babycli.evaluation.plan import Key, make_plan
from babycli.evaluation.results import decide, provenance, results_document, sample_lines
from babycli.evaluation.runlog import RunLog, log_name
from babycli.models import check_spec, load_model, pick_device, resolve
from babycli.models.base import ModelSpec
from babycli.tasks.base import Task

BATCH_SIZES = {"cpu": 16}  # by device; a GPU takes more
GPU_BATCH_SIZE = 128


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants evaluated."""

    model: str
    model_args: Mapping[str, str]
    tasks: Sequence[Task]
    root: DatasetRoot
    output: Path
    limit: int | None  # trials of each task
    batch_size: int | None  # None: by device
    device: str | None  # None: the first GPU, else the CPU
    dtype: str
    scoring: Scoring
    skip_missing: bool
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
    name = options.model_args.get("pretrained", options.model)
    spec = ModelSpec(resolved.source, name, options.model_args, device, options.dtype, options.scoring)
    check_spec(resolved, spec)
    with reporter.bar("reading images", None) as count:
        inputs = read_inputs(options.root, options.tasks, options.limit, options.skip_missing, count)
    plan = make_plan(inputs.all_requests(), inputs.sha256)
    started = _utc_now()
    reporter.say(f"loading {name} on {device} in {options.dtype}")
    model = load_model(resolved, spec)
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
        decided = [decide(item, scores, inputs.sha256, options.scoring) for item in inputs.tasks]
        for of_task in decided:
            log.write_samples(of_task.result.task, sample_lines(of_task, model))
        log.write_provenance(end=_utc_now(), status="done")
        results = [of_task.result for of_task in decided]
        document = results_document(log.provenance, results, log.timestamp, log_name(name))
        return Evaluated(log.write_results(document), results)


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
