"""What is fuzzed: samples of a format, how they are damaged, and what must hold for whatever comes of it.

Owns the type, the damage that suits any format, and how a command is run and what it wrote is read. Never knows a
format: each has a file fuzz_<name>.py of its own.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import typer.main

from babycli.cli import main

# Typer builds all commands anew for every command line, which a process that runs one of them does not notice.
typer.main.get_command = functools.cache(typer.main.get_command)

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
    """Damages a sample in one to four ways: bits, bytes, numbers, pieces lost, doubled or of another sample."""
    content = bytearray(sample)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(content) + 1)
        if rng.random() < 0.5:
            at = min(at, rng.randrange(200))  # most that is read with care is near the beginning
        n = rng.choice((1, 2, 4, 16, 100, len(content) // 3))
        match rng.randrange(8):
            case 0:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                content[at : at + 1] = bytes(b ^ 1 << rng.randrange(8) for b in content[at : at + 1])
            case 2:
                width = rng.choice((2, 4))
                number = rng.choice(_NUMBERS) & (1 << 8 * width) - 1
                content[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
            case 3:
                del content[at : at + n]
            case 4:
                del content[at:]
            case 5:
                content[at:at] = content[at : at + n]
            case 6:
                content[at : at + n] = bytes(n)
            case _:
                other = rng.choice(samples)
                start = rng.randrange(len(other))
                content[at : at + n] = other[start : start + n]
    return bytes(content)


def commanded(*words: object) -> int:
    """Runs a command line, whose words on both streams go nowhere, and gives its exit code."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return main([os.fspath(word) if isinstance(word, Path) else str(word) for word in words])


def files_in(folder: Path) -> dict[str, bytes]:
    """Reads all files below a folder, by name; of a link, where it leads."""
    found = {}
    for above, _, names in os.walk(folder):
        for name in names:
            place = Path(above, name)
            is_link = place.is_symlink()
            found[str(place.relative_to(folder))] = os.fsencode(place.readlink()) if is_link else place.read_bytes()
    return found


@dataclass(frozen=True, slots=True)
class Target:
    """A format that babycli reads.

    ``attempt`` gets the bytes of a damaged sample and gives what is wrong with how babycli takes them, "" for nothing.
    Whatever it raises is a finding, too; so are a hang, much memory, and words on stderr.
    """

    name: str
    samples: Callable[[], Sequence[bytes]]
    attempt: Callable[[bytes], str]
    damage: Callable[[Random, bytes, Sequence[bytes]], bytes] = damaged
