"""The groups of DevCV items that are not independent of each other.

Owns the kind of group, and finding items that belong together: they share a picture, or come from one recording.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from babycli.domain import Row
from babycli.tasks.devcv.entries import pictures_of
from babycli.tasks.groups import Grouping
from babycli.tasks.sessions import session_of

SHARED = Grouping(
    "shared",
    "group with pictures or a recording in common",
    is_offered=False,
    is_derived=True,
    holds="items of the DevCV Toolbox",
)
_VIDEO = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of Ego4D, in ids and in the names of frames


def recording_of(row: Row) -> str:
    """Gives the session or video that an entry's id or first picture names; "" where neither does."""
    names = [row.get("id"), *pictures_of(row)[:1]]
    for name in names:
        if isinstance(name, str):
            session, video = session_of(PurePosixPath(name).name), _VIDEO.search(name)
            if session or video:
                return session or (video[0] if video else "")
    return ""


def shared_groups(rows: Sequence[Row]) -> list[str]:
    """Gives the group of each entry: its recording, else the first picture of the entries that hang together."""
    parents = list(range(len(rows)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    recordings = [recording_of(row) for row in rows]
    first: dict[tuple[str, str], int] = {}  # of a picture or recording, the first entry that has it
    for i, row in enumerate(rows):
        keys = [("picture", name) for name in pictures_of(row)]
        keys += [("recording", recordings[i])] if recordings[i] else []
        for key in keys:
            one, other = root(i), root(first.setdefault(key, i))
            parents[max(one, other)] = min(one, other)
    return [recordings[root(i)] or next(iter(pictures_of(rows[root(i)])), str(root(i))) for i in range(len(rows))]
