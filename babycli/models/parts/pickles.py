"""The pickle in a file of weights, looked through before torch reads it.

Owns the bound on tuples in tuples: a key of 30 levels of pairs takes minutes to hash, of 40 levels days, and nothing
can interrupt that. Never builds an object, so nothing that a pickle asks for is done.
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
_N_LEGACY = 5  # pickles at the start of a file of torch before 1.6: marks, the weights' names, and where they lie
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


def check_nesting(file: Path) -> None:
    """Checks that no tuple of a pickled file is nested too deeply.

    Raises ModelError, and OSError where it cannot be read: UnfitFileError for what is no file, or a hole.
    What is no pickle is left to torch, which says so.
    """
    open_whole(file).close()
    try:
        deepest = max((_deepest(stream) for stream in _pickles(file)), default=0)
    except (ValueError, IndexError, KeyError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError):
        return
    if deepest > MAX_NESTED:
        raise ModelError(
            f"cannot read the weights {file}: it holds tuples in tuples, more than {MAX_NESTED} levels deep",
            "save the weights alone, best as safetensors",
        )


def _pickles(file: Path) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if member.filename.rsplit("/", 1)[-1] == "data.pkl" and member.file_size <= _MAX_BYTES:
                    yield io.BytesIO(archive.read(member))
        return
    with file.open("rb") as stream:
        for _ in range(_N_LEGACY):
            yield stream  # each begins where the one before ended


def _deepest(stream: IO[bytes]) -> int:
    """Gives how many levels of tuples are in one another, at most.

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
        stack += [level] * len(opcode.stack_after)
    return deepest
