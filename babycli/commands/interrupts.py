"""The signals that end a command before it is done.

Owns what is remembered of them: what is raised while a library is imported may come out as any other error.
"""

from __future__ import annotations

_heard: list[int] = []  # the signals


def interrupt(number: int, _frame: object) -> None:
    """Raises KeyboardInterrupt. A handler of signals."""
    _heard.append(number)
    raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Tells whether interrupt() has been called in this process."""
    return bool(_heard)
