"""The transfers and waits that are recorded of every step of a dry run, in tools/cuda_dry_run.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.models.dry_run.steps import Counts

FILE = Path(__file__).parents[3] / "tools" / "cuda_dry_run.json"


def recorded() -> Mapping[str, Counts]:
    """Reads them, by model."""
    read: Mapping[str, Counts] = json.loads(FILE.read_text())
    return read


def record(counts: Mapping[str, Counts]) -> None:
    """Writes them, a line for each step."""
    models = []
    for name, steps in counts.items():
        lines = ",\n".join(f"    {json.dumps(step)}: {json.dumps(found)}" for step, found in steps.items())
        models.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    FILE.write_text("{\n" + ",\n".join(models) + "\n}\n")
