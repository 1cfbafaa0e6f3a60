"""The dataset folder: where it is, and its links.

Owns the layout on disk. Never reads the content of a label file or an image.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.errors import ChecksumError, DataError
from babycli.files import aside_of, explained, in_home, remove_left_links

DEFAULT_FOLDER = "dataset"
ENVIRONMENT_VARIABLE = "BABYCLI_DATA"
OTHERS = f"--data DIR or the variable ${ENVIRONMENT_VARIABLE} names another"
INDEX_FOLDER = ".babycli"
LOCK_NAME = "babycli.lock"

_NO_FOLDER = "which is no folder"

LinkState = Literal["missing", "link", "broken", "folder", "other"]


@dataclass(frozen=True, slots=True)
class DatasetRoot:
    """A dataset folder; it need not exist yet."""

    path: Path
    words: str = ""  # " --data DIR", which makes another command mean this folder; "" where none is needed

    @classmethod
    def find(cls, option: Path | None) -> DatasetRoot:
        """Gives the folder that --data names, else $BABYCLI_DATA, else ./dataset. Raises DataError for a named file."""
        named = os.environ.get(ENVIRONMENT_VARIABLE) if option is None else option
        words = "" if option is None else f" --data {shlex.quote(str(option))}"
        root = cls(in_home(named or DEFAULT_FOLDER), words)
        if named:  # what lies at the default place may have nothing to do with babycli
            root.check_is_no_file()
        return root

    def check_is_no_file(self) -> None:
        """Checks that no file stands where the dataset folder is or will be. Raises DataError."""
        if self.why_not_there == _NO_FOLDER:
            place = shlex.quote(str(self.path))
            raise DataError(
                f"{self.path} is a file, where the dataset folder should be; it is left as it is",
                f"{OTHERS}; or move it away:  mv {place} {place}.mine",
            )

    @property
    def why_not_there(self) -> str:
        """Tells why there is no dataset folder, the one cause of all that is missing in it; "" where there is one."""
        try:
            mode = self.path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return "which is a link that leads nowhere" if os.path.islink(self.path) else "which does not exist"
        except OSError as error:
            return f"which cannot be read: {error.strerror}"
        return "" if stat.S_ISDIR(mode) else _NO_FOLDER

    @property
    def sentence(self) -> str:
        """Says where the dataset folder is, and what names another."""
        place = f"the dataset folder is {self.path.absolute()}"
        if why := self.why_not_there:
            return f"{place}, {why}; {OTHERS}"
        inner = self.path / DEFAULT_FOLDER
        if (inner / LOCK_NAME).exists() and not (self.path / LOCK_NAME).exists():
            return f"{place}; perhaps you mean the folder in it:  --data {shlex.quote(str(inner))}"
        return f"{place}; {OTHERS}"

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Lets errors about its data, in the block, say where it is; nothing but that if it is not there."""
        try:
            yield
        except (DataError, ChecksumError) as error:
            if self.why_not_there:
                error.message = self.sentence
            elif self.sentence not in error.message:
                error.message += f"\n{self.sentence}"
            raise

    @property
    def index_folder(self) -> Path:
        """The folder for indexes: in the dataset folder, else in the user's cache."""
        if self.path.is_dir():
            return self.path / INDEX_FOLDER
        home = os.path.expanduser("~")  # noqa: PTH111
        if home == "~":  # a user without a home, as in some containers: nothing can be kept
            return Path(os.devnull) / "babycli"
        return Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "babycli"

    def link_state(self, link_path: str) -> LinkState:
        place = self.path / link_path  # os.path's checks, unlike Path's, are false where we may not look
        if os.path.islink(place):
            return "link" if os.path.exists(place) else "broken"
        if os.path.isdir(place):
            return "folder"
        return "other" if os.path.lexists(place) else "missing"

    def link_target(self, link_path: str) -> Path:
        """Reads the path that a link holds; gives the place itself for a real folder."""
        return Path(self.link_text(link_path) or self.path / link_path)

    def link_text(self, link_path: str) -> str:
        """Reads the text of a link, the path that it holds; "" for what is no link."""
        place = self.path / link_path
        return os.readlink(place) if place.is_symlink() else ""

    def is_loop(self, link_path: str) -> bool:
        """Tells whether a link leads back to itself."""
        try:
            (self.path / link_path).stat()
        except OSError as error:
            return error.errno == errno.ELOOP
        return False

    def check_place(self, link_path: str) -> None:
        """Checks that no file stands in a link's place. Raises DataError, and leaves the file as it is."""
        place = self.path / link_path
        if self.link_state(link_path) == "other":
            raise DataError(
                f"{place} is a file, where a link to images should be; it is left as it is",
                f"move it away, for instance: mv {place} {place}.mine",
            )

    def link_text_to(self, link_path: str, target: Path, relative: bool) -> str:
        """Gives the text of a link that leads to a path: absolute or, if ``relative``, from the link's folder."""
        # Symlinks on the way are followed now: one of them may be the link that is replaced, and make it a loop.
        real = os.path.realpath(target)
        return os.path.relpath(real, os.path.realpath((self.path / link_path).parent)) if relative else real

    def leads_to(self, link_path: str, target: Path) -> bool:
        place = self.path / link_path
        return place.is_symlink() and os.path.realpath(place) == os.path.realpath(target)

    def set_links(self, texts: Mapping[str, str]) -> None:
        """Makes links, or points existing ones elsewhere, each in one step. All are made ready before the first is set.

        If the command is killed between two links, the others stay as they were; the lock, which is written last, shows
        that. What is not a link is never replaced: the system refuses, and that is a DataError.
        """
        ready = []
        try:
            for link_path, text in texts.items():
                place = self.path / link_path
                fresh = aside_of(place)
                with explained(place):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    remove_left_links(place)
                    ready.append((fresh, place))
                    fresh.symlink_to(text, target_is_directory=True)
            for fresh, place in ready:
                with explained(place):
                    os.replace(fresh, place)
        finally:
            for fresh, _ in ready:
                fresh.unlink(missing_ok=True)

    def remove_link(self, link_path: str) -> bool:
        """Removes a link, never what it points to. Gives False where there is no link; a real folder is not touched."""
        place = self.path / link_path
        if not place.is_symlink():
            return False
        with explained(place):
            place.unlink()
        return True
