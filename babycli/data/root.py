"""The dataset folder: where it is, its links, and how files get into it without ever being half there.

Owns the layout on disk. Never reads the content of a label file or an image.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.errors import DataError

DEFAULT_FOLDER = "dataset"
ENVIRONMENT_VARIABLE = "BABYCLI_DATA"

LinkState = Literal["missing", "link", "broken", "folder", "other"]


@dataclass(frozen=True, slots=True)
class DatasetRoot:
    """A dataset folder; it need not exist yet."""

    path: Path

    @classmethod
    def find(cls, option: Path | None) -> DatasetRoot:
        """The folder that --data names, else $BABYCLI_DATA, else ./dataset."""
        return cls(option or Path(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_FOLDER))

    def link_state(self, link_path: str) -> LinkState:
        place = self.path / link_path
        if place.is_symlink():
            return "link" if place.exists() else "broken"
        if place.is_dir():
            return "folder"
        return "other" if place.exists() else "missing"

    def link_target(self, link_path: str) -> Path:
        """Where a link points, as it is written; the place itself for a real folder."""
        place = self.path / link_path
        return Path(os.readlink(place)) if place.is_symlink() else place

    def set_link(self, link_path: str, target: Path) -> bool:
        """Points a link to an absolute target, atomically. False when it already did.

        Raises DataError where something that is not a link is in the way: it is left alone.
        """
        place = self.path / link_path
        target = Path(os.path.abspath(target))
        if self.link_state(link_path) in ("folder", "other"):
            raise DataError(
                f"{place} is not a link but a real {'folder' if place.is_dir() else 'file'}; it is left as it is",
                f"move it away, for instance: mv {place} {place}.mine",
            )
        if place.is_symlink() and Path(os.readlink(place)) == target:
            return False
        with _explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = place.with_name(f".{place.name}.{os.getpid()}.tmp")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target, target_is_directory=True)
            os.replace(fresh, place)
        return True

    def remove_link(self, link_path: str) -> bool:
        """Removes a link, never what it points to. False when there is none; a real folder is left alone."""
        place = self.path / link_path
        if not place.is_symlink():
            return False
        with _explained(place):
            place.unlink()
        return True


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file: after a crash there is the old one or the new one. Raises DataError."""
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}",
            "choose another dataset folder with --data DIR, or make this one writable",
        ) from error
