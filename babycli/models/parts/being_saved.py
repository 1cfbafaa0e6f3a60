"""Checkpoints that a training is writing at this moment: when is one whole?

Owns the signs, as far as names, sizes and the ends of files show them; no weight is read and torch is not imported.

    model.safetensors          its header says how long it is
    *.index.json               names the shards, which must all be there
    *.bin, *.pt, *.ckpt        a zip that torch writes from front to back: its end record comes last
    config.json and others     are JSON to the end
    trainer_state.json         is the last file that transformers' Trainer writes into a folder with training_args.bin

A sign shows that a file is whole, never that no other file will follow. So a folder must also have been left alone for
some seconds: few where the Trainer's last file is there, more where nothing tells which file is the last.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from babycli.files import open_to_read, read_file

SETTLED_S = 2.0  # with the Trainer's last file
SETTLED_OTHERWISE_S = 30.0
LAST_FILE = "trainer_state.json"
_OF_TRAINER = "training_args.bin"
_ZIPPED = (".bin", ".pt", ".pth", ".ckpt")
_OF_WEIGHTS = (".safetensors", *_ZIPPED)
_ASIDE = (".", "tmp-", "tmp_")  # in front of the name of what will be renamed when it is whole
State = tuple[tuple[str, int, int], ...]  # of each file: its name, its size, and when it was changed, in nanoseconds


def is_aside(path: Path) -> bool:
    """Tells whether a name is that of something unfinished, which gets another name at its end."""
    return path.name.startswith(_ASIDE) or path.name.endswith((".tmp", ".part", ".incomplete"))


def state_of(path: Path) -> State:
    """Gives how a checkpoint's files are now; () if it is gone."""
    try:
        files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
        states = [(file.name, file.stat()) for file in files]
    except OSError:  # it went away just now
        return ()
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in states)


def settles_in(state: State) -> float:
    """Gives the seconds for which a checkpoint must have been left alone."""
    return SETTLED_S if any(name == LAST_FILE for name, _, _ in state) else SETTLED_OTHERWISE_S


def why_not_whole(path: Path) -> str:
    """Tells what is still missing of a checkpoint; "" if it is whole, as far as its files show."""
    try:
        files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
        return next(filter(None, map(_why_not_whole, files)), "") or _why_not_all(path, files)
    except OSError as error:
        return str(error)


def _why_not_whole(file: Path) -> str:
    size = file.stat().st_size
    if file.suffix == ".safetensors":
        length = _declared_length(file)
        return "" if length == size else f"{file.name} has {size:,} of {length:,} bytes"
    if file.suffix in _ZIPPED:
        with open_to_read(file) as opened:
            start = opened.read(2)
        is_cut = len(start) < 2 or (start == b"PK" and not zipfile.is_zipfile(file))
        return f"{file.name} has no end yet" if is_cut else ""
    if file.suffix == ".json":
        try:
            json.loads(read_file(file))
        except (ValueError, RecursionError):
            return f"{file.name} is not JSON to its end"
    return ""


def _declared_length(file: Path) -> int:
    """Reads how long a safetensors file is to be; 8 if it does not say so yet.

    8 bytes      n, the length of the header
    n bytes      the header, JSON: {"name": {"data_offsets": [from, to], ...}, ...}
    the rest     the largest "to" bytes
    """
    with open_to_read(file) as opened:
        n = int.from_bytes(opened.read(8), "little")
        raw = opened.read(min(n, 100_000_000))
    if len(raw) < n:
        return 8 + n
    try:
        tensors = {name: entry for name, entry in json.loads(raw).items() if name != "__metadata__"}
        return 8 + n + max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError):
        return 8


def _shards(index: Path) -> list[str]:
    """Reads the names of the shards in an index; none of one that is damaged, which its reader will tell."""
    try:
        return sorted({str(shard) for shard in json.loads(read_file(index))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _why_not_all(path: Path, files: Sequence[Path]) -> str:
    """Tells which file of a folder is still to come; "" if none is known."""
    if path.is_file():
        return ""
    names = {file.name for file in files}
    for index in (file for file in files if file.name.endswith(".index.json")):
        if missing := [shard for shard in _shards(index) if not os.path.exists(path / shard)]:
            return f"{missing[0]} is not there yet"
    if _OF_TRAINER in names and LAST_FILE not in names:
        return f"{LAST_FILE} is not there yet"
    if not any(file.suffix in _OF_WEIGHTS and file.name != _OF_TRAINER for file in files):
        return "there are no weights yet"
    return ""
