"""Recording sessions of SAYCam, as the names of its frames tell them.

Owns the pattern of the names. A frame is called after the child, the day, the session and the place in it:
``S_20140420_1803_01_082_00.jpg``. Frames of one session show the same room on the same day, so what a model gets right
in them is not independent.
"""

from __future__ import annotations

import re
from datetime import date

_FRAME = re.compile(r"([A-Z]_(\d{8})_\d{4})_")


def session_of(image: str) -> str:
    """``S_20140420_1803``; an empty string for a name that does not tell."""
    found = _FRAME.match(image)
    return found[1] if found and day_of(found[1]) else ""


def day_of(session: str) -> date | None:
    """The day on which a session was recorded."""
    found = _FRAME.match(f"{session}_")
    try:
        return date.fromisoformat(found[2]) if found else None
    except ValueError:
        return None
