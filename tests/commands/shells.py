"""A real shell in a terminal of its own, and what it makes of TAB.

Owns how the line that is being typed is read back: a key writes it into a file. Never looks at where on the screen
anything is.
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pexpect
import pytest

SHOW = "\x07"  # Ctrl-G
END = "$"  # of the line, in the file
KEYS = {
    "bash": """
bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0'; bind 'set page-completions off'
bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
show() { printf '%s$' "$READLINE_LINE" > typed.line; }
bind -x '"\\C-g": show'
PS1='ready> '
""",
    "zsh": """
unsetopt BEEP AUTO_MENU; setopt NO_LIST_AMBIGUOUS; LISTMAX=1000
show() { print -rn -- "$BUFFER\\$" > typed.line }
zle -N show; bindkey '^G' show
PS1='ready> '
""",
}
WORDS = {"bash": ["--noprofile", "-i"], "zsh": ["-d", "-i"]}
START_FILE = {"bash": ".bashrc", "zsh": ".zshrc"}
_STEERING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|[\x07\r]")
_SECONDS = 20.0


class Terminal:
    """A shell that has just been started in a folder, its home, and has completed nothing yet."""

    def __init__(self, shell: str, folder: Path, **environment: str) -> None:
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        start = folder / START_FILE[shell]
        before = start.read_text() if start.exists() else ""
        start.write_text(before + KEYS[shell])
        self._shown = folder / "typed.line"
        everything = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}
        self._child = pexpect.spawn(
            shell,
            WORDS[shell],
            cwd=str(folder),
            env=everything,
            dimensions=(60, 200),
            encoding="utf-8",
            timeout=_SECONDS,
        )
        self._child.delaybeforesend = None
        self._child.expect_exact("ready> ")

    def complete(self, line: str) -> str:
        """Types a line into the empty one, presses TAB, gives the line as it is then, and empties it."""
        self._child.send(f"{line}\t")
        typed = self._line()
        self._child.send("\x15")  # Ctrl-U
        return typed

    def offered(self, line: str) -> set[str]:
        """Types a line, presses TAB, and gives the words that are shown below it."""
        self._line()  # all that was there has been shown
        self._read()
        self._child.send(f"{line}\t")
        self._line()
        time.sleep(0.05)
        self._child.send("\x15")
        self._line()
        shown = _STEERING.sub(" ", self._read())
        return set(shown.partition("\n")[2].split())

    def seconds(self, line: str) -> float:
        """Gives how long TAB takes behind a line."""
        self._child.send(line)
        self._line()
        start = time.perf_counter()
        self._child.send("\t")
        self._line()
        took = time.perf_counter() - start
        self._child.send("\x15")
        return took

    def close(self) -> None:
        self._child.close(force=True)

    def _line(self) -> str:
        self._shown.unlink(missing_ok=True)
        self._child.send(SHOW)
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            if self._shown.exists() and (typed := self._shown.read_text()).endswith(END):
                return typed.removesuffix(END)
            time.sleep(0.001)
        raise AssertionError(f"the shell shows no line: {self._read()!r}")

    def _read(self) -> str:
        read = ""
        while True:
            try:
                read += self._child.read_nonblocking(100_000, timeout=0.01)
            except pexpect.TIMEOUT:
                return read
