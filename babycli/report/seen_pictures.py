"""Whether the pictures behind the links are still those that a run has seen, by the digests in its log.

Owns that comparison. Never shows a picture, and never decides where pictures lie.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from babycli.data.digests import digest_of_places
from babycli.domain import ImageRef
from babycli.logs.content import read_content
from babycli.report.logged import logged_items
from babycli.report.run_list import score_files
from babycli.report.runs import Run
from babycli.tasks.about import about

_SEEN = re.compile(rb'"image": ?"([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Place:
    """A picture in a dataset folder."""

    link: str
    sha256: str  # "" where it cannot be read


@dataclass(frozen=True, slots=True)
class Changed:
    """The pictures of a task are not those that a run has seen, or not in the same places."""

    run: Run
    task: str
    n_others: int  # that the run has not seen; 0 where nothing tells which these are
    n_pictures: int
    seen: frozenset[str]  # SHA-256 of what its answers are of

    def why_not_shown(self, sha256: str) -> str:
        """Tells why a picture of these bytes is not shown; "" for one that is."""
        if not self.n_others:
            return "perhaps not the picture that the run has seen"
        return "" if sha256 in self.seen else "not the picture that the run has seen"

    @property
    def words(self) -> str:
        """The change in words."""
        title, name = about(self.task).short, self.run.shown
        if self.n_others:
            these = f"{self.n_others} of {self.n_pictures} pictures are not those that {name} has seen, and not shown"
        else:
            these = f"the pictures are not those that {name} has seen, or not in the same places, and not shown"
        return f"{title}: {these}"


def changed_since(
    run: Run, task: str, places_of: Callable[[Iterable[ImageRef]], Mapping[ImageRef, Place]]
) -> Changed | None:
    """Compares the pictures of a run's items as they are now with its log; None where they are the same.

    Also gives None where the log has no digest, or does not name all of its items' pictures.
    """
    logged, trials = run.images_sha256.get(task), run.whole_trials(task)
    if not logged or trials is None:
        return None
    items = logged_items(run.path, task, trials.trial_ids)
    images = dict.fromkeys(image for item in items.values() for image in item.images)
    if set(items) != set(trials.trial_ids) or not images or not all(image.name for image in images):
        return None
    now = places_of(images)
    if digest_of_places(sorted((place.link, image.name, place.sha256) for image, place in now.items())) == logged:
        return None
    has_seen_own = not run.control or run.model.startswith("control:")  # not those of others, or none
    seen = _seen(run.path.parent) if has_seen_own else frozenset[str]()
    n_others = sum(place.sha256 not in seen for place in now.values()) if seen else 0
    return Changed(run, task, n_others, len(now), seen)


def _seen(folder: Path) -> frozenset[str]:
    """Gathers the SHA-256 of all pictures that the answers of a run are of; none where its answers are not there."""
    found: set[str] = set()
    for path in score_files(folder):
        try:
            found.update(digest.decode() for digest in _SEEN.findall(read_content(path)))
        except (OSError, ValueError):
            return frozenset()
    return frozenset(found)
