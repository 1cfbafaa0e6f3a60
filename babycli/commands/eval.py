"""`babycli eval`: evaluate a model on tasks.

Owns the options and what is said while it runs. The work is done in babycli/evaluation/suite.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, get_args

import typer

from babycli.commands.options import DataOption, ModelArgsOption, parse_args, say, terminal_width
from babycli.commands.progress import progress_bar
from babycli.data.root import DatasetRoot
from babycli.domain import Scoring, TaskResult
from babycli.errors import UntrustedResultError, UsageError, did_you_mean
from babycli.evaluation.batch_check import DEFAULT_TRIALS
from babycli.evaluation.prompts import parse_prompts
from babycli.evaluation.suite import Options
from babycli.evaluation.suite import evaluate as run_evaluation
from babycli.models import DEFAULT_MODEL, DTYPES
from babycli.report.load import load_logs
from babycli.report.tables import make_tables, render
from babycli.tasks import select_tasks


def evaluate(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|PATH|HUB-ID",
            help=f"Checkpoint, hub id, family, file.py:Class or control; default {DEFAULT_MODEL}.",
            show_default=False,
        ),
    ] = None,
    model_args: ModelArgsOption = "",
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
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="[TASK=]TEXT",
            help="Ask this, for one task or all, instead of the family's prompt; <image> says where the image goes.",
            show_default=False,
        ),
    ] = None,
    batch_check: Annotated[
        int | None,
        typer.Option(
            "--batch-check",
            min=0,
            metavar="N",
            help=f"Score N trials of each task again one by one; default {DEFAULT_TRIALS} in half precision, else 0.",
            show_default=False,
        ),
    ] = None,
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
    args = parse_args(model_args)
    mode: Scoring = "reference" if _one_of(scoring, get_args(Scoring), "--scoring") == "reference" else "fair"
    precision = _one_of(args.pop("dtype", dtype), DTYPES, "--dtype")
    wanted_batch = _parse_batch_size(batch_size)
    if trust_remote_code:
        say("note: --trust-remote-code is not needed: babycli runs no code out of a checkpoint")

    options = Options(
        model=args.pop("pretrained", DEFAULT_MODEL) if model is None else model,
        model_args=args,
        tasks=chosen,
        tasks_were_named=tasks is not None,
        root=DatasetRoot.find(data),
        output=output_path,
        limit=limit,
        batch_size=wanted_batch,
        device=device,
        dtype=precision,
        scoring=mode,
        skip_missing=skip_missing,
        prompts=parse_prompts(prompt or ()),
        batch_check=(0 if precision == "float32" else DEFAULT_TRIALS) if batch_check is None else batch_check,
        command=context.obj or [],
    )
    done = run_evaluation(options, _Terminal())
    sys.stdout.write(render(make_tables(load_logs(done.results_path).runs), "table", terminal_width()))
    say(f"results: {done.results_path}")
    _raise_if_untrusted(done.results)


class _Terminal:
    """Talks on stderr; see babycli.evaluation.suite.Reporter."""

    def say(self, message: str) -> None:
        say(message)

    def bar(self, what: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        return progress_bar(what, total)


def _raise_if_untrusted(results: Sequence[TaskResult]) -> None:
    broken = [f"{r.task} in {r.nonfinite} of {r.n_units}" for r in results if r.nonfinite]
    if broken:
        raise UntrustedResultError(
            f"the model gave scores that are not finite numbers ({', '.join(broken)})",
            "look for NaN in the checkpoint, or try --dtype float32",
        )


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
