"""Recording sessions of SAYCam, read from the names of its frames.

Owns the pattern of the names. A frame is named after the child, the day, the session and the place in it:
``S_20140420_1803_01_082_00.jpg``. Frames of one session show the same room on the same day, so a model's answers to
them are not independent.
"""

from __future__ import annotations

import re
from datetime import date

_FRAME = re.compile(r"([A-Z]_(\d{8})_\d{4})_")


def session_of(image: str) -> str:
    """Gives the session of a frame, ``S_20140420_1803``; "" for a name of another form."""
    match = _FRAME.match(image)
    return match[1] if match and day_of(match[1]) else ""


def day_of(session: str) -> date | None:
    """Gives the day on which a session was recorded; None for a name of another form."""
    match = _FRAME.match(f"{session}_")
    try:
        return date.fromisoformat(match[2]) if match else None
    except ValueError:
        return None
