"""The words that name a trials file: ``words.jsonl``, or ``words.jsonl:path/to/pictures``.

Owns their form. Never reads the file: see files.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.errors import UsageError
from babycli.files import in_home

_WORDS = re.compile(r"(?P<file>.*?\.jsonl)(:(?P<images>.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NamedTrials:
    """A trials file, and the folder or zip of its pictures, if that is named."""

    path: Path
    images: Path | None


def named_trials(words: str) -> NamedTrials | None:
    """Reads ``path/to/file.jsonl``, with or without ``:PICTURES``; None for what names no trials file."""
    match = _WORDS.fullmatch(words)
    if match is None:
        return None
    return NamedTrials(in_home(match["file"]), in_home(match["images"]) if match["images"] else None)


def trials_words(files: Sequence[Path], images: Path | None) -> list[str]:
    """Gives the words for --tasks that mean these trials files, with their pictures in a place. Raises UsageError."""
    words = [f"{file}:{images}" if images is not None else str(file) for file in files]
    for file, word in zip(files, words, strict=True):
        named = named_trials(word)
        if named is None or named.path != in_home(file):
            raise UsageError(f"{file} is no trials file: its name should end in .jsonl", "docs/trials.md has examples")
        if "," in word:
            raise UsageError(f"{word!r} has a comma, which divides names of tasks", "rename that file or folder")
    if images is not None and not files:
        raise UsageError("--images is the place of the pictures of a trials file", "add  --trials FILE.jsonl")
    return words
