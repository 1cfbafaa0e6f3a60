"""Small pictures of the items of a comparison, for those who may see them.

Owns reading them through the dataset folder's links, making them small, and the words of the warning. Reads no image
that was not asked for, and never writes one to the disk.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from babycli.data.images import ImageError, ImageStore, decode
from babycli.data.manifest import manifests
from babycli.data.names import is_safe_name
from babycli.data.problems import ProblemKind
from babycli.data.root import DatasetRoot
from babycli.data.verify import link_problem, open_link
from babycli.errors import DataError

IMAGES_WARNING = (
    "this page holds pictures of the dataset. Those of SAYCam show scenes of children's lives, which Databrary's "
    "access agreement opens to authorised researchers only: do not publish this page, and do not pass it on to anyone "
    "without such access"
)
LONGEST_SIDE = 160
MAX_PICTURES = 600  # in one page, which would be too large to open otherwise
_QUALITY = 70


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a data: URI or, where there is none, why."""

    uri: str
    width: int
    height: int
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """The images of a dataset folder. Use ``pictures`` once for all that a page shows of a task."""

    root: DatasetRoot

    def pictures(self, task: str, names: Sequence[str], at_most: int) -> dict[str, Picture]:
        """The first ``at_most`` pictures by name; for each that is not there, why."""
        stores = self._stores(task, names)
        found = {}
        for i, name in enumerate(dict.fromkeys(names)):
            if i < at_most:
                found[name] = _first(stores, name)
            else:
                found[name] = Picture("", 0, 0, f"not shown: a page holds {MAX_PICTURES} pictures")
        return found

    def _stores(self, task: str, names: Sequence[str]) -> list[ImageStore | str]:
        """What the task's links lead to; where one leads nowhere, what is wrong with it."""
        stores: list[ImageStore | str] = []
        for link in manifests()[task].links:
            problem = link_problem(self.root, task, link)
            if problem is not None:
                stores.append(problem.detail)
                continue
            try:
                stores.append(open_link(self.root, link, names))
            except DataError as error:
                stores.append(error.message)
        return stores


def _first(stores: Sequence[ImageStore | str], name: str) -> Picture:
    """From the first link that has the image."""
    if not is_safe_name(name):  # a log may name anything: what lies outside of the folder is not read
        return Picture("", 0, 0, str(ProblemKind.UNSAFE_NAME))
    why = []
    for store in stores:
        if isinstance(store, str):
            why.append(store)
            continue
        try:
            return _small(store.read(name), name)
        except ImageError as error:
            why.append(str(error.kind))
    return Picture("", 0, 0, "; ".join(dict.fromkeys(why)))


def _small(content: bytes, name: str) -> Picture:
    image = decode(content, name)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    stream = io.BytesIO()
    image.info.clear()  # a comment in the file would be copied
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}", *image.size)
