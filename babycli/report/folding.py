"""Long names on several lines, for figures and papers.

Owns where a name may be broken. Never shortens one.
"""

from __future__ import annotations

import re


def fold(name: str, room: int) -> list[str]:
    """Gives a name on as many lines as it needs, its settings on lines of their own."""
    lead, bracket, settings = name.partition(" (")
    if len(name) <= room or not bracket:
        return _folded(name, room)
    return [*_folded(lead, room), *_folded(f"({settings}", room)]


def _folded(text: str, room: int) -> list[str]:
    """Breaks a text where its parts meet, or within a part that is too long."""
    lines = [""]
    for part in re.findall(rf"[^-/_ ,]{{1,{room}}}[-/_ ,]*|[-/_ ,]+", text):
        if lines[-1] and len(lines[-1] + part.rstrip()) > room:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]
