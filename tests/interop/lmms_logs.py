"""Logs as lmms-eval writes them, made up: a whole one of each version, to be spoiled by a test and written.

The numbers in the results are computed here from the losses by the rules of the original, not by babycli.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from babycli.domain import Row
from babycli.tasks.meteor import meteor

DATE = "20260102_030405"
TASKS = ("labeled_s", "vtwt", "baby_winoground", "saycam_caption")
VERSIONS = ("0.3", "0.6", "0.7")
N_ROWS = {"labeled_s": 8800, "vtwt": 967, "baby_winoground": 730, "saycam_caption": 294}
WINOGROUND_METRICS = (
    "image_score",
    "text_score",
    "group_score",
    "positive_context_group_score",
    "negative_context_group_score",
)
CAPTIONS = ("a red ball", "a blue cup", "two big dogs", "an open door")
QUESTION = "USER: What's the object in the image? <image> ASSISTANT:"

Losses = Callable[[str, int, int], float]  # task, row, answer

_meteor = functools.cache(meteor)  # the made-up captions are few


def label_rows() -> dict[str, list[Row]]:
    """Label files of the right size, with frames of a few sessions."""
    frames = [f"S_2013{1 + i % 9:02}05_10{i % 7:02}_01_{i:03}_00.jpg" for i in range(967)]
    words = [("red ball", "blue ball"), ("open door", "close door"), ("big cat", "big dog")]
    labeled_s: list[Row] = []
    for i in range(N_ROWS["labeled_s"]):
        trial = i // 4
        target, real = f"word{trial // 100}", f"word{(trial // 100 + i % 4) % 22}"
        row = {"trial_id": str(trial), "target_category": target, "real_category": real, "image": f"{real}/{i}.jpeg"}
        labeled_s.append(row)
    return {
        "labeled_s": labeled_s,
        "vtwt": [
            {"image": frame, "positive_phrase": words[i % 3][0], "negative_phrase": words[i % 3][1]}
            for i, frame in enumerate(frames)
        ],
        "baby_winoground": [
            {
                "instance_id": str(i // 2),
                "positive_phrase": words[i // 2 % 3][0],
                "negative_phrase": words[i // 2 % 3][1],
                "image": frames[i // 2] if i % 2 == 0 else frames[i // 2].replace(".jpg", "_neg.jpeg"),
                "image_tag": "negative" if i % 2 else "positive",
            }
            for i in range(N_ROWS["baby_winoground"])
        ],
        "saycam_caption": [{"image": frames[i], "text": f"look a {words[i % 3][0]} ."} for i in range(294)],
    }


LABELS = label_rows()


@functools.cache
def random_losses(seed: int = 0) -> Losses:
    """No two are alike, and float32 holds each."""
    rng = np.random.default_rng(seed)
    drawn = {task: (rng.permutation(2 * n) / 256 + 1).tolist() for task, n in N_ROWS.items()}
    return lambda task, row, answer: drawn[task][2 * row + answer]


def constant_losses(task: str, row: int, answer: int) -> float:
    return 2.5


@dataclass(slots=True)
class Log:
    """A run before it is written; tests change what they like."""

    document: dict[str, Any]
    lines: dict[str, list[dict[str, Any]]]
    is_harness: bool = False
    raw: dict[str, bytes] = field(default_factory=dict)  # by task, written instead of the lines

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (f"results_{DATE}.json" if self.is_harness else f"{DATE}_results.json")
        path.write_text(json.dumps(self.document, indent=2))
        for task in self.lines | self.raw:
            name = f"samples_{task}_{DATE}.jsonl" if self.is_harness else f"{DATE}_samples_{task}.jsonl"
            (folder / name).write_bytes(self.raw.get(task) or self.content(task))
        return path

    def content(self, task: str) -> bytes:
        return "".join(json.dumps(line) + "\n" for line in self.lines[task]).encode()


def make_log(
    tasks: Sequence[str] = TASKS,
    version: str = "0.3",
    *,
    losses: Losses | None = None,
    captions: Callable[[int], str] = lambda row: f"{CAPTIONS[row % len(CAPTIONS)]} on the floor",
    family: str = "babyllava",
    limit: float | None = None,
    labels: Mapping[str, Sequence[Row]] = LABELS,
    n_ranks: int = 1,
) -> Log:
    """A sound log; ``limit`` in rows. With several ranks, lines come rank by rank."""
    losses = losses or random_losses()
    document: dict[str, Any] = {
        "results": {},
        "configs": {},
        "versions": dict.fromkeys(tasks, "Yaml"),
        "n-samples": {},
        "config": {"model": family, "model_args": "pretrained=lab/checkpoint,conv_template=plain", "limit": limit},
        "date": DATE,
        "model_source": family,
        "model_name": "lab/checkpoint",
        "model_name_sanitized": "lab__checkpoint",
    }
    lines: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        n_all = N_ROWS[task]
        n = n_all if limit is None else min(n_all, int(limit))
        order = [row for rank in range(n_ranks) for row in range(rank, n, n_ranks)]
        lines[task] = [_line(task, row, labels[task][row], losses, captions, version) for row in order]
        document["results"][task] = {"alias": task} | _metrics(task, order, labels[task], losses, captions, version)
        document["n-samples"][task] = {"original": n_all, "effective": n}
        document["configs"][task] = {"task": task, "lmms_eval_specific_kwargs": wordings(family)}
    return Log(document, lines)


def wordings(family: str) -> dict[str, Any]:
    """As lmms-eval leaves them: the default's are merged in where the family has none."""
    empty = {"pre_prompt": "", "post_prompt": ""}
    found: dict[str, Any] = {"default": empty, "llava": {"pre_prompt": QUESTION, "post_prompt": ""}}
    return found if family in found else found | empty


def _line(task: str, i: int, row: Row, losses: Losses, captions: Callable[[int], str], version: str) -> dict[str, Any]:
    typed = {k: int(v) if k in ("trial_id", "instance_id") else v for k, v in row.items()}
    line: dict[str, Any] = {
        "doc_id": i,
        "doc": {k: v for k, v in typed.items() if "image" not in k},
        "target": row.get("text") or row.get("image_tag") or row.get("target_category") or row["positive_phrase"],
        "arguments": {"0": " ", "1": "r"},
        "doc_hash": "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b",
    }
    if task == "saycam_caption":
        text = captions(i)
        line |= {"resps": [[text]], "filtered_resps": [text], "meteor": {"gt": row["text"], "pred": text}}
    else:
        n_answers = 1 if task == "labeled_s" else 2
        numbers = [losses(task, i, answer) for answer in range(n_answers)]
        pairs: list[Any] = [[str(number), "False"] for number in numbers]
        in_field: list[Any] = list(numbers)
        if version == "0.7":
            pairs, in_field = [f"({number}, False)" for number in numbers], ["(" for _ in numbers]
        line |= {"resps": [[pair] for pair in pairs], "filtered_resps": pairs}
        if task == "labeled_s":
            line["acc"] = {"loss": in_field[0]} | {k: v for k, v in typed.items() if k != "image"}
        elif task == "vtwt":
            line["acc"] = 1.0 if version == "0.7" else _vtwt(numbers)
        else:
            picture = "img0" if row["image_tag"] == "positive" else "img1"
            scores = {f"{picture}_phrase{k}_loss": in_field[k] for k in (0, 1)}
            line |= dict.fromkeys(WINOGROUND_METRICS, scores | {"instance_id": typed["instance_id"]})
    if version == "0.3":
        return line
    if len(line["resps"]) == 1:  # both lists are taken apart where there is one answer
        line["resps"], line["filtered_resps"] = line["resps"][0], line["filtered_resps"][0]
    if line["resps"] in (line["filtered_resps"], [line["filtered_resps"]]):
        del line["resps"]
    del line["doc"], line["arguments"]
    if version == "0.7":
        del line["target"]
    return line


def _vtwt(numbers: Sequence[float]) -> float:
    return float(min(range(2), key=lambda k: numbers[k]) == 0)


def _metrics(
    task: str, order: Sequence[int], rows: Sequence[Row], losses: Losses, captions: Callable[[int], str], version: str
) -> dict[str, Any]:
    """The original's aggregation, over the rows in the order of the log."""
    if task == "saycam_caption":
        return _logged("meteor", float(np.mean([_meteor(rows[i]["text"], captions(i)) for i in order])))
    if task == "vtwt":
        found = [1.0 if version == "0.7" else _vtwt([losses(task, i, k) for k in (0, 1)]) for i in order]
        return _logged("acc", float(np.mean(found))) | {"acc_stderr_clt,none": 0.01, "paired_acc": 80.0}
    if task == "labeled_s":
        lowest: dict[str, tuple[float, bool]] = {}
        for i in order:
            row, loss = rows[i], losses(task, i, 0)
            if loss < lowest.get(row["trial_id"], (np.inf, False))[0]:
                lowest[row["trial_id"]] = (loss, row["real_category"] == row["target_category"])
        return _logged("acc", sum(right for _, right in lowest.values()) / (len(order) // 4))
    m = np.array([[losses(task, i, k) for k in (0, 1)] for i in sorted(order)], dtype=np.float32).reshape(-1, 2, 2)
    a, b, c, d = m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1]
    hits = [
        (a < c) & (d < b),
        (a < b) & (d < c),
        (a < c) & (d < b) & (a < b) & (d < c),
        (a < c) & (a < b),
        (d < b) & (d < c),
    ]
    logged: dict[str, Any] = {}
    for metric, hit in zip(WINOGROUND_METRICS, hits, strict=True):
        logged |= _logged(metric, float(hit.astype(np.float32).mean()))
    return logged


def _logged(metric: str, value: float) -> dict[str, Any]:
    return {f"{metric},none": value, f"{metric}_stderr,none": "N/A", f"{metric}_stderr_clustered,none": 0.02}
