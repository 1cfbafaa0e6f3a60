"""Golden lines of Machine-DevBench: similarities, and what the benchmark's own code makes of them.

Owns reading them, and the manifests that would bring them about. No expectation but theirs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babycli.tasks import all_tasks
from babycli.tasks.machine_devbench.common import MachineDevBenchTask

Line = dict[str, Any]


def golden_lines(shared: Path) -> list[Line]:
    path = shared / "reference" / "machine_devbench" / "golden.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def scores(trial: Line) -> list[float]:
    """The similarities of a trial, pictures in order, each with all texts."""
    return [math.nan if value is None else float(value) for row in trial["sim"] for value in row]


def task_named(name: str) -> MachineDevBenchTask:
    task = all_tasks()[name]
    assert isinstance(task, MachineDevBenchTask)
    return task


def item_of(trial: Line, number: int) -> dict[str, Any]:
    """An item of a manifest for a trial; its texts and pictures are called after its number."""
    if trial["task"].startswith("lex_"):
        texts = {"word": f"w{number}", "caption_positive": f"t{number} 0", "caption_negative": f"t{number} x"}
        pictures = {"image_positive": f"p{number}_0.png", "image_negative": f"p{number}_1.png"}
    else:
        texts = {"seq": f"seq_{number}", "word": "", "caption_a": f"t{number} 0", "caption_b": f"t{number} 1"}
        pictures = {"image_0": f"p{number}_0.png", "image_1": f"p{number}_1.png"}
    return {**texts, **pictures, **trial["meta"]}


def numbered(line: Line) -> Iterator[tuple[int, str, Line]]:
    """Every trial of a line with a number of its own, and its style."""
    number = 0
    for style, trials in line["trials"].items():
        for trial in trials:
            yield number, style, trial
            number += 1
