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
        why = f"; {len(unfinished)} unfinished runs are" if unfinished else ""
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
    schema = document["babycli"].get("schema_version")
    if schema != SCHEMA_VERSION:
        raise DataError(
            f"{file} has schema version {schema}, this babycli reads {SCHEMA_VERSION}",
            "pip install --upgrade babycli",
        )
    try:
        return Run(
            path=file,
            model=document["model_name"],
            fingerprint=document["fingerprint"],
            data=document["data"],
            scoring=document["scoring"],
            dtype=document["dtype"],
            limit=document["config"]["limit"],
            date=document["date"],
            cells={
                (task, metric): Cell(
                    value=document["results"][task][f"{metric},none"],
                    n_units=document["n_units"][task],
                    n_ties=document["ties"][task],
                    n_nonfinite=document["nonfinite"][task],
                    n_skipped=len(document["skipped"][task]),
                    chance=chance,
                    ci95=tuple(document["ci95"][task][metric] or ()) or None,
                )
                for task, metrics in document["chance"].items()
                for metric, chance in metrics.items()
            },
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} lacks {error}: it is damaged", "evaluate again, or move that file away") from error
