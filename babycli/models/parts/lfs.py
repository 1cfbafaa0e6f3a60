"""Pointers of Git LFS: what a clone without that program has in the place of a repository's large files.

Owns knowing one, and the command that fetches the file. Never fetches it.
"""

from __future__ import annotations

from pathlib import Path

from babycli.errors import ModelError
from babycli.files import open_to_read

_POINTER = b"version https://git-lfs"


def check_fetched(file: Path) -> None:
    """Checks that a file is no pointer. Raises ModelError; what cannot be read is left to its reader."""
    try:
        with open_to_read(file) as stream:
            is_pointer = stream.read(len(_POINTER)) == _POINTER
    except OSError:
        return
    if is_pointer:
        raise ModelError(
            f"cannot read {file}: it is a pointer of Git LFS, not the file itself",
            f"fetch it:  git -C {file.parent} lfs pull",
        )
