"""`babycli eval` in processes of their own, to be killed or to work together.

Owns how they start and end: forked from a process that has imported torch and transformers, as importing takes longer
than most evaluations of tests. The launchers and Ctrl-C have tests that start Python itself. Never expects anything.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from babycli.cli import run
from tests.conftest import REPOSITORY, Ran

_FORKING = multiprocessing.get_context("forkserver")
_NETWORKS = [f"transformers.models.{name}.modeling_{name}" for name in ("gpt2", "llama", "clip")]
_FORKING.set_forkserver_preload(["babycli.cli", "torch.distributed", "scipy.stats", *_NETWORKS])


class Evaluation:
    """A running `babycli eval` with the given words, in the current folder; its environment has ``more``."""

    def __init__(self, *words: object, more: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        outputs = [Path(self._folder.name) / name for name in ("out", "err")]
        for output in outputs:
            output.touch()  # it may be killed before it has said a word
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **(more or {})}
        typed = ["babycli", "eval", *map(str, words)]
        self._out, self._err = outputs
        self._process = _FORKING.Process(target=_evaluate, args=(typed, environment, Path.cwd(), *outputs))
        self._process.start()

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def ended(self, seconds: float = 180) -> Ran:
        """What came of it. Waits for its end."""
        self._process.join(seconds)
        code = self.poll()
        if code is None:
            self._process.kill()
            raise TimeoutError(f"it still ran after {seconds} seconds: {self._err.read_text()}")
        ran = Ran(code, self._out.read_text(), self._err.read_text())
        self._folder.cleanup()
        return ran


def _evaluate(typed: list[str], environment: dict[str, str], folder: Path, out: Path, err: Path) -> None:
    gc.freeze()  # what was forked is never garbage
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # as Python opens it for a process
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = typed
    run()
