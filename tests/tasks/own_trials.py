"""Trials files for tests: BabyVLM's tasks as such files, and broken ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]


def write_trials(path: Path, lines: Iterable[Line | str]) -> Path:
    """Writes a trials file; a text is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8", errors="surrogatepass")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def by_key(rows: Sequence[dict[str, str]], key: str) -> dict[str, list[dict[str, str]]]:
    gathered: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        gathered.setdefault(row[key], []).append(row)
    return gathered


def labeled_s(dataset: Path) -> list[Line]:
    """Labeled-S as trials: each option is a picture with the word."""
    return [
        {
            "id": trial_id,
            "options": [{"image": row["image"], "text": row["target_category"]} for row in rows],
            "answer": next(i for i, row in enumerate(rows) if row["real_category"] == row["target_category"]),
            "group": rows[0]["target_category"],
            "cluster": rows[0]["target_category"],
        }
        for trial_id, rows in by_key(rows_of(dataset / "labeled_s/labeled_s.csv"), "trial_id").items()
    ]


def vtwt(dataset: Path) -> list[Line]:
    return [
        {
            "id": i,
            "images": [row["image"]],
            "options": [row["positive_phrase"], row["negative_phrase"]],
            "answer": row["positive_phrase"],
        }
        for i, row in enumerate(rows_of(dataset / "vtwt/vtwt.csv"))
    ]


def captions(dataset: Path) -> list[Line]:
    rows = rows_of(dataset / "SAYCam_caption/SAYCam_caption.csv")
    return [
        {"id": i, "images": [row["image"]], "answer": row["text"], "metric": "meteor"} for i, row in enumerate(rows)
    ]


def winoground(dataset: Path) -> list[Line]:
    found: list[Line] = []
    for instance_id, rows in by_key(rows_of(dataset / "baby_winoground/baby_winoground.csv"), "instance_id").items():
        positive, negative = sorted(rows, key=lambda row: row["image_tag"], reverse=True)
        found.append(
            {
                "id": instance_id,
                "images": [f"positive_images/{positive['image']}", f"negative_images/{negative['image']}"],
                "options": [positive["positive_phrase"], positive["negative_phrase"]],
                "metric": "pairs",
            }
        )
    return found


# The task, its trials, its metrics with the name of each in the trials' numbers, and where its pictures lie.
AS_TRIALS = {
    "labeled_s": (labeled_s, {"acc": "acc"}, "labeled_s/images"),
    "vtwt": (vtwt, {"acc": "acc"}, "vtwt/images"),
    "saycam_caption": (captions, {"meteor": "meteor"}, "SAYCam_caption/images"),
    "baby_winoground": (
        winoground,
        {
            name: name
            for name in (
                *("image_score", "text_score", "group_score"),
                *("positive_context_group_score", "negative_context_group_score"),
            )
        },
        "baby_winoground",
    ),
}
