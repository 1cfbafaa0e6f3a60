"""Names of files that come from others: their normal form, which are safe, and which are the same to some disks.

Owns these rules. Never looks at a disk.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

MAX_DEPTH = 32  # folders around a file: images lie in no deeper ones
MAX_NAME_BYTES = 4096  # no system has longer paths
_DRIVE = re.compile(r"[A-Za-z]:")
_PLAIN = re.compile(r"[A-Za-z0-9_]+")


def is_plain(name: str) -> bool:
    """Tells whether a name may be a part of the names of folders and options: letters, digits and _ only."""
    return _PLAIN.fullmatch(name) is not None


def normal_name(name: str) -> str:
    """Drops the parts of a path that say nothing: ``./a//b`` is ``a/b``.

    What makes a name unsafe stays: a slash at its beginning, ``..``, and a last part that is no name.
    """
    if "//" not in name and "./" not in name:
        return name
    *folders, last = name.split("/")
    if not last:
        return name  # of a folder
    start = "/" if name.startswith("/") else ""
    return start + "".join(f"{folder}/" for folder in folders if folder not in ("", ".")) + last


def leads_astray(name: str) -> str:
    """Tells why a name of an archive or a list is not followed from a folder, even to read; "" for one that is."""
    if name.rsplit("/", 1)[-1] in ("", "."):
        return "no name of a file"
    if name.startswith("/"):
        return "an absolute name"
    if ".." in name.split("/"):
        return "it leads out of the folder"
    if "\0" in name or len(name) > MAX_NAME_BYTES:
        return "a name that no system can have"
    return ""


def why_not_written(name: str) -> str:
    """Tells why no file of this name is written into a folder; "" for a name that every system reads alike."""
    why = leads_astray(name)
    if why:
        return why
    if _DRIVE.match(name):
        return "an absolute name"
    if any(part == ".." for part in name.replace("\\", "/").split("/")):
        return "it leads out of the folder"
    if any(character in name for character in "\\\n\r"):
        return "a name that not every system reads alike"
    if name.count("/") > MAX_DEPTH:
        return f"it lies {name.count('/')} folders deep, and no image does"
    return ""


def is_safe_name(name: str) -> bool:
    """Tells whether a name is a relative path that stays where it starts."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name


def folded_name(name: str) -> str:
    """Folds a name so that names are equal which a disk that ignores case or composes accents takes for the same.

    Source: Unicode 16, section 3.13, D145 (canonical caseless matching).
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
