"""Scores for an experiment tracker, Weights & Biases or MLflow: a run there for each row of a table.

Owns what is sent: numbers, their intervals, and the settings behind them; no path, no answer, nothing of the machine.
Their packages are optional and are imported when they are asked for; where they send to, and as whom, is up to their
own settings.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from babycli.errors import OutputError, UsageError
from babycli.report.one_model import Say, model_id, scores_of
from babycli.report.rows import TableRow, settings
from babycli.wording import first_line, one_of

_ODD = re.compile(r"[^\w./ -]", re.ASCII)  # what a name of a number may not hold there
_ID_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as a tracker has it."""

    id: str  # the same for the same runs, so that sending them twice makes no second entry
    name: str
    group: str  # of checkpoints, the training run; else ""
    step: int
    settings: Mapping[str, str | int | float]
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Tracker:
    """A program that keeps runs, with the Python package that talks to it."""

    name: str
    package: str
    takes: str  # what stands behind the colon of --to
    send: Callable[[Any, str, Entry], str]  # the package, the name behind the colon, a row; tells where it is now
    failure: Callable[[Any], type[Exception]]  # what the package raises
    mend: str


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to send a report: ``wandb:PROJECT``."""

    tracker: Tracker
    place: str


def parse_destination(text: str) -> Destination:
    """Reads what --to was given. Raises UsageError, also where the package is not installed."""
    name, _, place = text.partition(":")
    tracker = TRACKERS[one_of(name, TRACKERS, "--to")]
    if not place.strip():
        raise UsageError(f"--to {text} names no {tracker.takes}", f"--to {name}:{tracker.takes.upper()}")
    if find_spec(tracker.package) is None:
        raise UsageError(
            f"--to {name} needs the package {tracker.package}, which is not installed", f"pip install {tracker.package}"
        )
    return Destination(tracker, place)


def send(destination: Destination, rows: Sequence[TableRow], say: Say) -> None:
    """Sends each row. Raises OutputError where that fails."""
    tracker = destination.tracker
    package = import_module(tracker.package)
    for row in rows:
        try:
            where = tracker.send(package, destination.place, entry_of(row))
        except tracker.failure(package) as error:
            raise OutputError(f"{tracker.name} does not take {row.label}: {first_line(error)}", tracker.mend) from error
        say(f"sent {row.label} to {where}")


def entry_of(row: TableRow) -> Entry:
    """Makes what is sent of a row."""
    run, numbers = row.runs[0], {}
    for score in scores_of(row):
        name = _ODD.sub("_", f"{score.about.name}/{score.metric}")
        numbers[name] = score.cell.value
        if score.cell.interval is not None:
            numbers[f"{name}.ci95_low"], numbers[f"{name}.ci95_high"] = score.cell.interval
        numbers[f"{score.about.name}/n"] = float(score.cell.n_units)
    told = {
        "model": model_id(row),
        "control": row.control,
        "data": run.data,
        "scoring": run.scoring,
        "dtype": run.dtype,
        "limit": run.limit,
        "model_args": ", ".join(run.args),
        "weights_sha256": run.fingerprint,
        "program": run.program,
        "babycli": run.identity.software.babycli if run.identity else "",
        "date": run.date,
        "step": row.step,
    }
    kept = {key: value if isinstance(value, int | float) else str(value) for key, value in told.items() if value}
    return Entry(_id_of(row), row.label, "" if row.step is None else row.series, row.step or 0, kept, numbers)


def _id_of(row: TableRow) -> str:
    of_runs = [(run.control, run.date, sorted(run.cells), repr(settings(run))) for run in row.runs]
    return hashlib.sha256(repr(of_runs).encode(errors="backslashreplace")).hexdigest()[:_ID_CHARACTERS]


def _send_to_wandb(wandb: Any, project: str, entry: Entry) -> str:
    quiet = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,  # of the machine
        x_save_requirements=False,
    )
    run = wandb.init(
        project=project,
        id=entry.id,
        name=entry.name,
        group=entry.group or None,
        config=dict(entry.settings),
        resume="allow",
        save_code=False,
        settings=quiet,
    )
    try:
        if not run.resumed:
            run.log(dict(entry.numbers), step=entry.step)
        run.summary.update(dict(entry.numbers))
        where = str(run.dir if run.offline else run.url)
    finally:
        run.finish()
    return where


def _send_to_mlflow(mlflow: Any, experiment: str, entry: Entry) -> str:
    mlflow.set_experiment(experiment)
    sent = mlflow.search_runs(filter_string=f"tags.`babycli.id` = '{entry.id}'", output_format="list")
    words = {"run_id": sent[0].info.run_id} if sent else {"run_name": entry.name}
    with mlflow.start_run(**words) as run:
        mlflow.set_tags({"babycli.id": entry.id} | ({"babycli.training_run": entry.group} if entry.group else {}))
        mlflow.log_params(dict(entry.settings))
        if not sent:
            mlflow.log_metrics(dict(entry.numbers), step=entry.step)
    return f"{mlflow.get_tracking_uri()} as {run.info.run_id}"


TRACKERS = {
    tracker.name: tracker
    for tracker in (
        Tracker(
            "wandb",
            "wandb",
            "project",
            _send_to_wandb,
            lambda wandb: wandb.errors.Error,
            "wandb login,  or keep it here for  wandb sync :  WANDB_MODE=offline",
        ),
        Tracker(
            "mlflow",
            "mlflow",
            "experiment",
            _send_to_mlflow,
            lambda mlflow: mlflow.exceptions.MlflowException,
            "say where it is to go:  MLFLOW_TRACKING_URI=sqlite:///mlflow.db,  or the address of your server",
        ),
    )
}
