"""`babycli eval --watch`: its options, how a time is read, and what its end says.

Owns these. The work is done in babycli/evaluation/watch.py.
"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from babycli.errors import ExitCode, ModelError, UntrustedResultError, UsageError
from babycli.evaluation.watch import Watch

SEVERAL = "Several runs, and before a long one"
_TIME = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch", help="Evaluate checkpoints as they appear, each when it is whole.", rich_help_panel=SEVERAL
    ),
]
WatchForOption = Annotated[
    str | None,
    typer.Option(
        "--watch-for",
        metavar="TIME",
        help="With --watch: end after 90s, 30m or 2h without a new one.",
        show_default=False,
        rich_help_panel=SEVERAL,
    ),
]


WatchSettleOption = Annotated[
    str | None,
    typer.Option(
        "--watch-settle",
        metavar="TIME",
        help="With --watch: leave a checkpoint alone until nothing has changed for so long; default 2s, or 30s where "
        "no file tells the end.",
        show_default=False,
        rich_help_panel=SEVERAL,
    ),
]


def seconds_of(option: str, watch: bool, text: str | None) -> float | None:
    """Reads ``90s``, ``30m``, ``2h`` or ``1h30m`` in seconds; None where it was not given. Raises UsageError."""
    if text is None:
        return None
    if not watch:
        raise UsageError(f"{option} is for --watch", "add  --watch")
    parts = _TIME.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        raise UsageError(f"{option} must be a time, not {text!r:.40}", "write it as  90s, 30m, 2h or 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def end(watch: Watch) -> None:
    """Runs a watch to its end. Raises ModelError if checkpoints failed, UntrustedResultError if only results did."""
    watch.run()
    if watch.failed:
        names = ", ".join(failure.model for failure in watch.failed)
        is_untrusted = all(failure.exit_code == ExitCode.UNTRUSTED for failure in watch.failed)
        kind = UntrustedResultError if is_untrusted else ModelError
        raise kind(f"checkpoints that were passed over: {names}", "see above why")
