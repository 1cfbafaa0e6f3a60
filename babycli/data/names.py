"""Names of files as others may give them: which are safe, and which are one to some disks.

Owns these rules. Never looks at a disk.
"""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath


def is_safe_name(name: str) -> bool:
    """True for a relative path that stays where it starts."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name


def folded_name(name: str) -> str:
    """The same for names that are one to a disk that ignores case or composes accents.

    Source: Unicode 16, section 3.13, D145 (canonical caseless matching).
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
