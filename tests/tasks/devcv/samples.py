"""The published label samples of the DevCV Toolbox, and which task each file is of.

Owns finding them in the folder of reference data; tests that need them skip where it is absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from babycli.domain import Row
from babycli.tasks import all_tasks
from babycli.tasks.base import Task

TASK_OF_FILE = {
    "picture_vocabulary": "baby_pv",
    "picture_vocab": "baby_pv",
    "picture_vocab_selected": "baby_pv",
    "localize": "baby_localize",
    "leftright": "baby_leftright",
    "spatialdetails": "baby_spatialdetails",
    "spatial": "baby_spatialdetails",
    "vdr-binary": "baby_vdr_binary",
    "vdr": "baby_vdr_binary",
    "vdr-open": "baby_vdr_open",
    "compare_real": "baby_compare_real",
    "who_has_more": "baby_compare_real",
    "compare_synthetic": "baby_compare_synthetic",
    "whohasmore_synthetic": "baby_compare_synthetic",
    "count": "baby_count",
    "memory": "baby_memory",
    "subitize": "baby_subitize",
}


def devcv_tasks() -> list[Task]:
    return [task for task in all_tasks().values() if task.benchmark is not None and task.benchmark.name == "devcv"]


def sample_files(devcv: Path) -> list[Path]:
    return sorted((devcv / "data").glob("*/*/*.json"))


def task_of(file: Path) -> Task:
    return all_tasks()[TASK_OF_FILE[file.stem]]


def rows_of(file: Path) -> list[Row]:
    rows: list[Row] = json.loads(file.read_text())
    return rows


def golden(devcv: Path, name: str) -> Iterator[Mapping[str, Any]]:
    for line in (devcv / "golden" / name).read_text().splitlines():
        yield json.loads(line)


def sample_of(devcv: Path, line: Mapping[str, Any]) -> tuple[Task, Row]:
    """The task and the label entry that a golden line was scored with."""
    file = devcv / "data" / line["source"] / line["split"] / f"{line['task']}.json"
    return task_of(file), rows_of(file)[line["item"]]
