"""Small pictures of the items of a comparison, for those who may see them.

Owns reading them through the dataset folder's links, making them small, and the words of the warning. Reads no image
that was not asked for, and never writes one to the disk.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from babycli.data.decoding import decode
from babycli.data.images import ImageError, ImageStore
from babycli.data.manifest import Link, logged_place
from babycli.data.names import is_safe_name
from babycli.data.problems import ProblemKind
from babycli.data.root import DatasetRoot
from babycli.data.verify import link_problem, open_link
from babycli.domain import ImageRef
from babycli.errors import DataError
from babycli.report.logged import on_set
from babycli.report.runs import Run
from babycli.report.seen_pictures import Changed, Place, changed_since
from babycli.tasks import all_tasks
from babycli.tasks.about import about

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

    def changes(self, task: str, runs: Sequence[Run]) -> list[Changed]:
        """Tells of which of these runs the pictures of a task are no longer those that it has seen."""
        found = (changed_since(run, task, functools.partial(self._places, task)) for run in runs)
        return [changed for changed in found if changed is not None]

    def _places(self, task: str, images: Iterable[ImageRef]) -> dict[ImageRef, Place]:
        """Reads the pictures, and gives the link behind which each lies, and its digest."""
        by_source: dict[str, list[ImageRef]] = {}
        for image in images:
            by_source.setdefault(image.source, []).append(image)
        found: dict[ImageRef, Place] = {}
        for source, of_source in by_source.items():
            names = [image.name for image in of_source if is_safe_name(image.name)]
            store = self._store(task, source, names)
            digests: dict[str, str | ImageError] = {}
            if not isinstance(store, str):
                read = store.digests(names, "sha256", frozenset(names))
                digests = {name: digest for name, (digest, _) in zip(names, read, strict=True)}
            link = logged_place(_links(task, source), source)
            for image in of_source:
                digest = digests.get(image.name, "")
                found[image] = Place(link, digest if isinstance(digest, str) else "")
        return found

    def pictures(
        self, task: str, images: Sequence[ImageRef], at_most: int, changes: Sequence[Changed] = ()
    ) -> dict[ImageRef, Picture]:
        """Reads the first ``at_most`` pictures; for each that is not there, or not that of a run, says why."""
        stores: dict[str, ImageStore | str] = {}
        found = {}
        for i, image in enumerate(dict.fromkeys(images)):
            if i >= at_most:
                found[image] = Picture("", 0, 0, f"not shown: a page holds {MAX_PICTURES} pictures")
                continue
            if image.source not in stores:
                names = [other.name for other in images if other.source == image.source]
                stores[image.source] = self._store(task, image.source, names)
            found[image] = _read(stores[image.source], image.name, changes)
        return found

    def _store(self, task: str, source: str, names: Sequence[str]) -> ImageStore | str:
        """Opens what the link of a source leads to; where it leads nowhere, says what is wrong with it."""
        path = _links(task, source).get(source)
        if path is None:
            return f"nothing says where pictures of {source or 'that task'} lie"
        link = Link(path, source)
        problem = link_problem(self.root, task, link)
        if problem is not None:
            return problem.detail
        try:
            return open_link(self.root, link, names)
        except DataError as error:
            return error.message


def _links(task: str, source: str) -> Mapping[str, str]:
    """Gives where pictures of a task lie; of one that is asked on several sets, those of the set of this source."""
    known, benchmark = all_tasks().get(task), about(task).benchmark
    if known is None or benchmark is None or not benchmark.has_sets:
        return about(task).links
    return on_set(known, source.removeprefix(f"{benchmark.name}_")).links


def _read(store: ImageStore | str, name: str, changes: Sequence[Changed]) -> Picture:
    """Reads a picture, made small; another than a run has seen is not shown."""
    if not is_safe_name(name):  # a log may name anything: what lies outside of the folder is not read
        return Picture("", 0, 0, str(ProblemKind.UNSAFE_NAME))
    if isinstance(store, str):
        return Picture("", 0, 0, store)
    try:
        content = store.read(name)
        digest = hashlib.sha256(content).hexdigest() if changes else ""
        why_not = next((why for changed in changes if (why := changed.why_not_shown(digest))), "")
        return Picture("", 0, 0, why_not) if why_not else _small(content, name)
    except ImageError as error:
        return Picture("", 0, 0, str(error.kind))


def _small(content: bytes, name: str) -> Picture:
    image = decode(content, name)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    stream = io.BytesIO()
    image.info.clear()  # a comment in the file would be copied
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}", *image.size)
