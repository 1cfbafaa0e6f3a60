"""Folders as zips, for tests.

Owns no expectation.
"""

from __future__ import annotations

import zipfile
from pathlib import Path


def zip_folder(folder: Path, path: Path, inside: str = "", method: int = zipfile.ZIP_STORED) -> Path:
    """A zip of all files below a folder, named from it behind ``inside``."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, inside + str(file.relative_to(folder)))
    return path
