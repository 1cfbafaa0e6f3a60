"""Reading the files of a run, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Of a results file, what tells when it was written.
TIMES = ("date", "total_evaluation_time_seconds")


def only_run(root: Path = Path("logs")) -> Path:
    """The folder of the one run below a folder."""
    (found,) = sorted(path.parent for path in root.rglob("run.json"))
    return found


def read_json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def results(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*_results.json")
    return read_json(path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def samples(folder: Path, task: str) -> list[dict[str, Any]]:
    (path,) = folder.glob(f"*_samples_{task}.jsonl")
    return lines(path)


def final(folder: Path) -> dict[str, Any]:
    """The final files of a run (results, samples, outcomes), without what tells when it was."""
    paths = folder.glob(f"{folder.name}_*")
    found: dict[str, Any] = {path.name.removeprefix(folder.name): path.read_text() for path in sorted(paths)}
    document = json.loads(found["_results.json"])
    return found | {"_results.json": {key: value for key, value in document.items() if key not in TIMES}}
