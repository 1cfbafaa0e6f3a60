"""The description of a source of pictures, of which each file of this package gives one.

Owns the type. Never looks at a disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from babycli.data.names import is_plain
from babycli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Source:
    """Pictures that belong together, in a folder or zip that a user gives to `babycli data link`."""

    name: str  # as tasks and pictures refer to it: "saycam"
    title: str  # in a sentence: "SAYCam frames"
    option: str = ""  # how `data link` takes it, if not as the general --source NAME=DIR
    inside: str = ""  # the source in whose folder it is looked for where none is given for it
    order: int = 100  # its place in lists; equal ones by name

    def __post_init__(self) -> None:
        if not is_plain(self.name):
            raise UsageError(f"{self.name!r} cannot name a source of pictures", "use letters, digits and _ only")

    @property
    def link_words(self) -> str:
        """The words with which the user gives its folder to `babycli data link`."""
        return self.option or f"--source {self.name}=DIR"

    def link_words_of(self, place: str) -> str:
        """Gives those words with a place in them, quoted as a shell wants it."""
        head = re.sub(r"[A-Z-]*\Z", "", self.link_words)  # all but the name of the place: DIR, SAYCAM-FOLDER
        return f"{head}{place}"
