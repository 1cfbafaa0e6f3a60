"""Logs as the DevCV fork of lmms-eval writes them, made up from replies that were given to the authors' own functions.

The numbers in the results are what those functions returned, not what babycli counts.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATE = "20260102_030405"
# Tasks of the leaderboard by the folders of the published samples, with the authors' names of their metrics.
TASKS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "leftright": ("baby_leftright", {"acc": "accuracy"}),
    "spatialdetails": ("baby_spatialdetails", {"acc": "accuracy"}),
    "localize": ("baby_localize", {"acc": "accuracy"}),
    "compare_real": ("baby_compare_real", {"acc": "accuracy"}),
    "count": ("baby_count", {"acc": "accuracy"}),
    "vdr-open": ("baby_vdr_open", {"acc_exact": "accuracy_exact", "acc_adjacent": "accuracy_adjacent"}),
    "memory": (
        "baby_memory",
        {
            "acc_learning": "learning_accuracy",
            "acc_testing_raw": "testing_raw_accuracy",
            "acc_testing_adjusted": "testing_adjusted_accuracy",
        },
    ),
}


@dataclass(slots=True)
class Line:
    """A conversation with what was replied, and what the authors' function gave for it."""

    entry: dict[str, Any]
    replies: list[str]
    result: Mapping[str, float]


@dataclass(slots=True)
class ForkLog:
    """A log, to be spoiled and written."""

    lines: dict[str, list[Line]] = field(default_factory=dict)  # by task

    def write(self, folder: Path, has_conversations: bool = True) -> Path:
        """Writes it; returns the results file. Documents may lack their conversations."""
        folder.mkdir(parents=True, exist_ok=True)
        names = dict(TASKS.values())
        results = {
            task: {"alias": task}
            | {f"{name},none": sum(line.result[theirs] for line in of_task) / len(of_task)
               for name, theirs in names[task].items()}
            for task, of_task in self.lines.items()
        }  # fmt: skip
        document = {
            "results": results,
            "configs": {task: {"task": task} for task in self.lines},
            "versions": dict.fromkeys(self.lines, 1.0),
            "n-samples": {task: {"original": len(of), "effective": len(of)} for task, of in self.lines.items()},
            "config": {"model": "babyllava_v2", "model_args": "pretrained=lab/babyllava,conv_template=baby_v1"},
            "date": DATE,
        }
        for task, of_task in self.lines.items():
            samples = [_sample(i, line, has_conversations) for i, line in enumerate(of_task)]
            (folder / f"{DATE}_samples_{task}.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples))
        path = folder / f"{DATE}_results.json"
        path.write_text(json.dumps(document))
        return path


def _sample(i: int, line: Line, has_conversations: bool) -> dict[str, Any]:
    right = [message["value"] for message in line.entry["conversations"][1::2]]
    said: str = line.replies[0] if len(right) == 1 else json.dumps(line.replies)
    doc = line.entry if has_conversations else {"id": line.entry["id"]}
    return {
        "doc_id": i,
        "doc": {key: value for key, value in doc.items() if key != "image"},  # pictures are no JSON
        "target": " ".join(right),
        "resps": [[said]],
        "filtered_resps": [said],
    }


def recorded(shared: Path, at_most: int = 30) -> ForkLog:
    """The log of replies that were given to the authors' functions for single items of these tasks."""
    folder = shared / "reference" / "devcv"
    log = ForkLog()
    for raw in (folder / "golden" / "scoring.jsonl").read_text().splitlines():
        line = json.loads(raw)
        if line["task"] not in TASKS or not _is_plain(line["responses"]):
            continue
        task, metrics = TASKS[line["task"]]
        entry = _entries(folder / "data" / line["source"] / line["split"] / f"{line['task']}.json")[line["item"]]
        n_turns = len(entry["conversations"]) // 2
        if task == "baby_memory" and "labels" not in entry:
            continue
        if len(log.lines.get(task, ())) == at_most:
            continue
        if all(theirs in line["result"] for theirs in metrics.values()) and len(line["responses"]) == n_turns:
            log.lines.setdefault(task, []).append(Line(entry, line["responses"], line["result"]))
    return log


def _is_plain(responses: Sequence[object]) -> bool:
    """Whether the wrapper could have written them: texts, of which it strips those of several turns."""
    return bool(responses) and all(isinstance(each, str) and each == each.strip() for each in responses)


@functools.cache
def _entries(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found
