"""Small sets of DevCV that tests make: entries as they are published, and a picture of its own for each name.

Owns no expectation.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

DIRECTIONS = "'top', 'bottom', 'left', 'right', 'top right', 'top left', 'bottom right', or 'bottom left'"


def picture(key: str) -> bytes:
    """A small whole picture that no other key has."""
    colour = zlib.crc32(key.encode())
    rows = b"".join(b"\0" + struct.pack(">I", colour)[:3] + struct.pack(">I", colour)[1:] for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def entry(entry_id: str, turns: Sequence[tuple[str, str]], images: Sequence[str], **more: object) -> Entry:
    messages = [
        {"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)
    ]
    return {"id": entry_id, "conversations": messages, "image": list(images), **more}


def count(i: int, answer: int | None = None) -> Entry:
    return entry(
        f"count_{i}",
        [("<image> How many of bottle do you see?", str(answer or i + 1))],
        [f"images/count_{i:04}.jpg"],
    )


def vocabulary(i: int) -> Entry:
    text = f"Touch the image of 'word{i}' (A)<image> (B)<image> (C)<image> (D)<image>"
    return entry(f"picture_vocabulary_{i}", [(text, "ABCD"[i % 4])], [f"images/pv_{i:04}_{k}.png" for k in range(4)])


def left_right(i: int) -> Entry:
    text = "<image> Which of the following is the same as this? (A) <image> (B) <image> (C) <image>"
    return entry(f"leftright_{i}", [(text, "ABC"[i % 3])], [f"images/lr_{i:04}_{k}.jpeg" for k in range(4)])


def leaves(i: int) -> Entry:
    text = f"{'<image>' * 5} which part of the frame does the cart leave from? respond ONLY with one of: {DIRECTIONS}."
    return entry(f"clip_{i}", [(text, "bottom left")], [f"images/vdr_{i:04}_{k}.jpg" for k in range(5)], gif="x.gif")


def memory(i: int, n_learned: int = 2) -> Entry:
    """A conversation that shows what is learned once, and then twice again, beside something new."""
    learned = [f"thing{k}" for k in range(n_learned)]
    shown = [[learned[0]], *([learned[k], learned[k - 1]] for k in range(1, n_learned))]
    shown += [[old, f"new{k}"] for k, old in enumerate([*learned, *learned])]
    turns = [("Touch the new image. (A) <image>", "A")]
    again = "Let's try more. Touch the new image. (A) <image> (B) <image>"
    turns += [(again, "A" if k < n_learned else "B") for k in range(1, len(shown))]
    names = [f"images/memory_{i:04}_{k}.jpg" for k in range(sum(map(len, shown)))]
    return entry(f"memory_task_{i}", turns, names, labels=shown)


def write_labels(path: Path, entries: Sequence[Entry]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=2), encoding="utf-8")
    return path


def write_pictures(folder: Path, entries: Sequence[Entry]) -> Path:
    """A picture for each name, of an item's old pictures in memory the same bytes again."""
    for each in entries:
        shown = [name for turn in each.get("labels", ()) for name in turn]
        for k, name in enumerate(each["image"]):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture(f"{each['id']} {shown[k]}" if shown else f"{folder} {name}"))
    return folder


def make_set(folder: Path, files: Mapping[str, Sequence[Entry]]) -> Path:
    """Label files by name, each with its pictures relative to itself."""
    for name, entries in files.items():
        path = write_labels(folder / name, entries)
        write_pictures(path.parent, entries)
    return folder


TOOLBOX: Mapping[str, Sequence[Entry]] = {
    "pv_test.json": [vocabulary(i) for i in range(3)],
    "leftright_test.json": [left_right(i) for i in range(3)],
    "vdr_open_test.json": [leaves(i) for i in range(2)],
    "count_test.json": [count(i) for i in range(4)],
    "memory_test.json": [memory(i) for i in range(2)],
}
TASKS = ("baby_pv", "baby_leftright", "baby_vdr_open", "baby_count", "baby_memory")
