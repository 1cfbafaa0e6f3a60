"""Names of files that come from others: which are safe, and which are the same to some disks.

Owns these rules. Never looks at a disk.
"""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath


def is_safe_name(name: str) -> bool:
    """Tells whether a name is a relative path that stays where it starts."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name


def folded_name(name: str) -> str:
    """Folds a name so that names are equal which a disk that ignores case or composes accents takes for the same.

    Source: Unicode 16, section 3.13, D145 (canonical caseless matching).
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
