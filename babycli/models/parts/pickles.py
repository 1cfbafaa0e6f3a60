"""The pickle in a file of weights, looked through before torch reads it.

Owns the bound on tuples in tuples (a key of 30 levels of pairs takes minutes to hash, of 40 levels days, and nothing
can interrupt that), and on what a file unpacks to. Never builds an object, so nothing that a pickle asks for is done.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from babycli.errors import ModelError
from babycli.files import open_whole

MAX_NESTED = 16  # levels; torch itself uses 2
_MAX_BYTES = 256 << 20  # of the pickle alone: the numbers lie beside or behind it
_MAX_RATIO = 100  # of what a file unpacks to and its size; torch.save packs nothing
_ZIP = b"PK\x03\x04"
_N_LEGACY = 5  # pickles at the start of a file of torch before 1.6: marks, the weights' names, and where they lie
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


def check_pickles(file: Path) -> None:
    """Checks that no tuple of a file is nested too deeply, and that it is about as large as what is in it.

    What is no pickle is left to torch, which says so. Raises ModelError; OSError or BadZipFile for a file that cannot
    be read, UnfitFileError for what is no file, or a hole.
    """
    for stream in _pickles(file):
        try:
            deepest = _deepest(stream)
        except (ValueError, IndexError, KeyError, EOFError):
            return
        if deepest > MAX_NESTED:
            raise ModelError(
                f"cannot read the weights {file}: it holds tuples in tuples, more than {MAX_NESTED} levels deep",
                "save the weights alone, best as safetensors",
            )


def _pickles(file: Path) -> Iterator[IO[bytes]]:
    """Gives the pickles of a file, which torch takes for a zip if it begins as one."""
    with open_whole(file) as stream:
        is_zip = stream.read(len(_ZIP)) == _ZIP
        stream.seek(0)
        for _ in range(0 if is_zip else _N_LEGACY):
            yield stream  # each begins where the one before ended
    if not is_zip:
        return
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        pickled = [member for member in members if member.filename.rsplit("/", 1)[-1].lower() == "data.pkl"]
        n_bytes = sum(member.file_size for member in members)
        if n_bytes > _MAX_RATIO * file.stat().st_size or any(member.file_size > _MAX_BYTES for member in pickled):
            raise ModelError(
                f"cannot read the weights {file}: it is packed, and {n_bytes:,} bytes would come out of it",
                "save the weights alone, best as safetensors",
            )
        for member in pickled:
            yield io.BytesIO(archive.read(member))


def _deepest(stream: IO[bytes]) -> int:
    """Gives how many levels of tuples are in one another, at most; it stops where there are too many.

    Every opcode tells what it takes from the stack and what it puts there, so values need not be built:

        BINGET 1    [ .. t ]            t is a tuple of n levels
        BINGET 1    [ .. t t ]
        TUPLE2      [ .. (t t) ]        n + 1 levels
    """
    mark = -1
    stack: list[int] = []  # the levels of each value, or a mark
    memo: dict[int, int] = {}
    deepest = 0
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in _GETS:
            stack.append(memo.get(int(argument or 0), 0))
            continue
        if name in _PUTS or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else int(argument or 0)] = stack[-1]
            continue
        if name == "MARK":
            stack.append(mark)
            continue
        taken: list[int] = []
        before = opcode.stack_before
        if pickletools.markobject in before or pickletools.stackslice in before:
            while stack and (level := stack.pop()) != mark:
                taken.append(level)
            for _ in before[: before.index(pickletools.markobject)]:
                taken.append(stack.pop())
        else:
            taken = [stack.pop() for _ in before]
        level = max(taken, default=0) + (name in _TUPLES)
        deepest = max(deepest, level)
        if deepest > MAX_NESTED:  # torch might hash it before it comes to what is no pickle
            return deepest
        stack += [level] * len(opcode.stack_after)
    return deepest
