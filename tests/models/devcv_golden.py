"""The lines that the authors' code of BabyLLaVA-V2 computed on small checkpoints, with these checkpoints and pictures.

Owns reading them, and the conversations that they were asked. Never runs a model. ../shared/reference/devcv has the
lines and the scripts that write the rest; 0.6 GB for each of the two builds of the tower.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babycli.domain import Context, ImageRef, ask

BUILDS = {"tv": "babyllava_v2_tiny", "timm": "babyllava_v2_tiny_timm"}
Line = dict[str, Any]


def lines_of(devcv: Path, build: str = "", *kinds: str) -> list[Line]:
    """The recorded lines, of one build and of some kinds if these are given."""
    lines = (devcv / "golden" / "model" / "devcv_dev.jsonl").read_text().splitlines()
    return [
        line
        for line in map(json.loads, lines)
        if (not build or line["checkpoint"] == BUILDS[build]) and (not kinds or line["kind"] in kinds)
    ]


def write_devcv(devcv: Path, folder: Path, build: str) -> Path:
    """Writes the checkpoint of a build and compares its digest."""
    script = devcv / "golden" / "model" / "make_devcv_checkpoint.py"
    command = [sys.executable, "-B", str(script), str(folder), "--only", build]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    sums = json.loads((script.parent / "checkpoint_sums.json").read_text())
    written = json.loads((folder / "sums.json").read_text())
    assert written[BUILDS[build]] == sums[BUILDS[build]], "not the checkpoint that the recorded lines are for"
    return folder / BUILDS[build]


def recorded_pictures(devcv: Path) -> dict[str, bytes]:
    """The files of the pictures in the recorded lines, by source, split, task and name."""
    with tarfile.open(devcv / "golden" / "model" / "images_golden.tar") as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {name: file.read() for name, file in files if file is not None}


def item_of(devcv: Path, line: Line) -> dict[str, Any]:
    """The item of a label sample that a line is about."""
    path = devcv / "data" / line["source"] / line["split"] / f"{line['task']}.json"
    item: dict[str, Any] = json.loads(path.read_text())[line["item"]]
    return item


def picture_names(line: Line, names: Sequence[str]) -> list[str]:
    """The names that the pictures of an item have among the recorded ones."""
    return ["/".join([line["source"], line["split"], line["task"], name]) for name in names]


def talk_in(item: Mapping[str, Any], replies: Sequence[str]) -> Context:
    """An item of a label sample, as far as ``replies`` go, and what is asked then.

    ``<image>`` says where a picture goes; where nothing does, the pictures stand in front.
    """
    names = iter(item["image"])
    asked = [turn["value"] for turn in item["conversations"] if turn["from"] == "human"]
    contexts: list[Context] = []
    for question in asked[: len(replies) + 1]:
        n_places = question.count("<image>")
        images = [ImageRef("devcv", next(names)) for _ in range(n_places)] if n_places else []
        if not n_places and len(asked) == 1:
            images = [ImageRef("devcv", name) for name in names]
        said = ask(question, *images)
        if contexts:
            said = contexts[-1].followed_by(replies[len(contexts) - 1], *said.turns[0].parts)
        contexts.append(said)
    return contexts[-1]
