"""`babycli eval`: evaluate a model on tasks.

Owns the options and what is said while it runs. The work is done in babycli/evaluation/suite.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from babycli.commands.options import DataOption, say
from babycli.commands.progress import progress_bar
from babycli.domain import Scoring, TaskResult
from babycli.errors import UntrustedResultError, UsageError, did_you_mean
from babycli.models import DEFAULT_MODEL, DTYPES
from babycli.report.load import load_logs
from babycli.report.tables import make_tables, render
from babycli.tasks import all_tasks, select_tasks

DEFAULT_BATCH_SIZES = {"cpu": 16, "cuda": 128}


def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME|PATH|HUB-ID", help="Checkpoint folder, hub id, or family name."),
    ] = DEFAULT_MODEL,
    model_args: Annotated[
        str,
        typer.Option("--model-args", metavar="K=V,...", help="Arguments of the model family.", show_default=False),
    ] = "",
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", metavar="A,B", help="Tasks, separated by commas; default all.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Only the first N trials of each task.", show_default=False),
    ] = None,
    batch_size: Annotated[
        str, typer.Option("--batch-size", metavar="N|auto", help="Images and texts per batch.")
    ] = "auto",
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="D",
            help="cpu, cuda or cuda:N; default the GPU if there is one.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", metavar="T", help=" | ".join(DTYPES))] = "float32",
    scoring: Annotated[
        str,
        typer.Option("--scoring", metavar="fair|reference", help="Ours, or the original code's to the bit."),
    ] = "fair",
    output_path: Annotated[Path, typer.Option("--output-path", metavar="DIR", help="Where the logs go.")] = Path(
        "logs"
    ),
    skip_missing: Annotated[
        bool,
        typer.Option("--skip-missing", help="Leave out trials of which an image is missing, and say so."),
    ] = False,
    data: DataOption = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", hidden=True)] = False,
) -> None:
    """Evaluate a model on the BabyVLM tasks."""
    chosen = select_tasks(tasks)
    args = _parse_args(model_args)
    mode: Scoring = "reference" if _one_of(scoring, get_args(Scoring), "--scoring") == "reference" else "fair"
    precision = _one_of(args.pop("dtype", dtype), DTYPES, "--dtype")
    wanted_batch = _parse_batch_size(batch_size)
    if trust_remote_code:
        say("note: --trust-remote-code is not needed: babycli runs no code out of a checkpoint")

    from babycli.data.root import DatasetRoot
    from babycli.models import load_model, pick_device, resolve
    from babycli.models.base import ModelSpec

    resolved = resolve(model, args)
    from babycli.evaluation import suite
    from babycli.evaluation.runlog import RunLog, log_name

    with progress_bar("reading images") as count:
        inputs = suite.read_inputs(DatasetRoot.find(data), chosen, limit, skip_missing, count)
    plan = suite.plan_of(inputs)
    name = args.get("pretrained", model)
    with RunLog(output_path, log_name(name)) as log:
        started = suite.utc_now()
        log.write_provenance(command=context.obj or [], start=started, status="loading")
        placed = pick_device(device)
        say(f"loading {name} on {placed} in {precision}")
        loaded = load_model(resolved, ModelSpec(resolved.source, name, args, placed, precision, mode))
        for note in loaded.info.notes:
            say(f"note: {note}")
        size = wanted_batch or DEFAULT_BATCH_SIZES[placed.split(":")[0]]
        about = suite.provenance(inputs, loaded, context.obj or [], name, args, mode, size, limit)
        log.write_provenance(**about, start=started, status="running")
        finished = False
        try:
            with progress_bar("scoring", plan.n_requests) as count:
                results = suite.run(inputs, plan, loaded, mode, size, log, count)
            finished = True
        finally:
            if not finished:
                say(f"stopped; what was scored is in {log.folder}")
        ended = suite.utc_now()
        log.write_provenance(end=ended, status="done")
        document = suite.results_document(
            about | {"start": started, "end": ended, "schema_version": 1},
            results,
            log.timestamp,
            log_name(name),
        )
        path = log.write_results(document)
    columns = [(task.name, metric) for task in all_tasks().values() for metric in task.chance]
    sys.stdout.write(render(make_tables(load_logs(path).runs, columns), "table", 10_000))
    say(f"results: {path}")
    _raise_if_untrusted(results)


def _raise_if_untrusted(results: list[TaskResult]) -> None:
    broken = [f"{r.task} in {r.nonfinite} of {r.n_units}" for r in results if r.nonfinite]
    if broken:
        raise UntrustedResultError(
            f"the model gave scores that are not finite numbers ({', '.join(broken)}); they count as wrong",
            "look for NaN in the checkpoint, or try --dtype float32",
        )


def _parse_args(text: str) -> dict[str, str]:
    """``a=1,b=2`` as a mapping. Raises UsageError for a part without ``=`` or a repeated key."""
    parsed: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key or key in parsed:
            raise UsageError(f"cannot read {part!r} in --model-args", "write it as  --model-args key=value,key=value")
        parsed[key] = value
    return parsed


def _parse_batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"--batch-size must be a positive whole number or auto, not {text!r}")
    return int(text)


def _one_of(value: str, known: tuple[str, ...], option: str) -> str:
    if value not in known:
        raise UsageError(
            f"unknown {option} {value!r}.{did_you_mean(value, list(known))}", f"one of: {', '.join(known)}"
        )
    return value
