"""Reading the files of a run, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


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
