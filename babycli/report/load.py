"""Runs as they lie on disk, read for a report.

Owns finding results files and turning them into rows. Never computes a metric anew and never writes. Reads what
evaluation/runlog.py writes; a run without results (still going, killed, out of disk) is counted, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from babycli.errors import DataError
from babycli.evaluation.runlog import RUN_FILE, SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one run."""

    value: float
    n_units: int
    n_ties: int
    n_nonfinite: int
    n_skipped: int
    chance: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluated model; ``cells`` by (task, metric)."""

    path: Path
    model: str
    fingerprint: str  # of the weights: the same name may have meant another checkpoint
    data: str  # "saycam" or "demo"
    scoring: str
    dtype: str
    limit: int | None
    args: tuple[str, ...]  # --model-args as "key=value", pretrained left out
    date: str
    cells: Mapping[tuple[str, str], Cell]


@dataclass(frozen=True, slots=True)
class Logs:
    runs: tuple[Run, ...]
    unfinished: tuple[Path, ...]  # run folders without results
    foreign: tuple[Path, ...]  # results files of another program


def load_logs(folder: Path) -> Logs:
    """All runs below a folder, or the one of a results file, sorted by model and date.

    Raises DataError where there is no folder, nothing in it, or a results file that is damaged.
    """
    if not folder.exists():
        raise DataError(
            f"there is no folder {folder}",
            "run  babycli eval  first, or name the folder given to --output-path",
        )
    files = [folder] if folder.is_file() else sorted(folder.rglob("*_results.json"))
    runs, foreign = [], []
    for file in files:
        document = _read(file)
        if "babycli" in document:
            runs.append(_run(file, document))
        else:
            foreign.append(file)
    done = {file.parent for file in files}
    started = [] if folder.is_file() else sorted(file.parent for file in folder.rglob(RUN_FILE))
    unfinished = [path for path in started if path not in done]
    if not runs:
        there = [
            f"{len(paths)} {what}"
            for paths, what in ((unfinished, "unfinished"), (foreign, "of other programs"))
            if paths
        ]
        why = f", only runs {' and '.join(there)}" if there else ""
        raise DataError(f"no results in {folder}{why}", "run  babycli eval  first")
    return Logs(tuple(sorted(runs, key=lambda r: (r.data, r.model, r.date))), tuple(unfinished), tuple(foreign))


def _read(file: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise DataError(f"cannot read the results {file}: {error}", "evaluate again, or move that file away") from error
    if not isinstance(document, dict):
        raise DataError(f"{file} is not a results file", "move that file away")
    return document


def _run(file: Path, document: dict[str, Any]) -> Run:
    own = document["babycli"]
    schema = own.get("schema_version") if isinstance(own, dict) else None
    if schema != SCHEMA_VERSION:
        raise DataError(
            f"{file} has schema version {schema}, this babycli reads {SCHEMA_VERSION}",
            "pip install --upgrade babycli",
        )
    try:
        return Run(
            path=file,
            model=_text(document["model_name"]),
            fingerprint=_text(document["fingerprint"]),
            data=_text(document["data"]),
            scoring=_text(document["scoring"]),
            dtype=_text(document["dtype"]),
            limit=document["config"]["limit"],
            args=tuple(f"{k}={v}" for k, v in sorted(document["model_args"].items()) if k != "pretrained"),
            date=_text(document["date"]),
            cells={
                (task, metric): _cell(document, task, metric, chance)
                for task, metrics in document["chance"].items()
                for metric, chance in metrics.items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{file} is damaged: {error!r}", "evaluate again, or move that file away") from error


def _cell(document: dict[str, Any], task: str, metric: str, chance: float | None) -> Cell:
    interval = document["ci95"][task][metric]
    return Cell(
        value=float(document["results"][task][f"{metric},none"]),
        n_units=int(document["n_units"][task]),
        n_ties=int(document["ties"][task]),
        n_nonfinite=int(document["nonfinite"][task]),
        n_skipped=len(document["skipped"][task]),
        chance=None if chance is None else float(chance),
        ci95=None if interval is None else (float(interval[0]), float(interval[1])),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
