"""The signals that end a command before it is done.

Owns what is remembered of them: what is raised while a library is imported may come out as any other error. Owns the
exit code that they give.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from babycli.errors import ExitCode

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has not both
_heard: list[int] = []  # the signals


def heed_all() -> None:
    """Lets SIGTERM and SIGHUP end a command as Ctrl-C does, with nothing left half-written, unless they are ignored."""
    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)


def heed_no_more() -> None:
    """Lets a command that is done come to its end, whatever signal comes now."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _ENDING:
        if signal.getsignal(number) is interrupt:
            signal.signal(number, signal.SIG_DFL)


def interrupt(number: int, _frame: object) -> None:
    """Raises KeyboardInterrupt. A handler of signals."""
    _heard.append(number)
    raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Tells whether interrupt() has been called in this process."""
    return bool(_heard)


def interrupt_as_by_hand(_number: int, frame: object) -> None:
    """Does as interrupt() on Ctrl-C. A handler of other signals."""
    interrupt(signal.SIGINT, frame)


def exit_code() -> int:
    """Gives the exit code of a command that a signal has ended."""
    return ExitCode.INTERRUPTED if _heard[:1] in ([], [signal.SIGINT]) else 128 + _heard[0]


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM, which batch systems send before they kill, end a run as Ctrl-C does: with a last message."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt_as_by_hand)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
