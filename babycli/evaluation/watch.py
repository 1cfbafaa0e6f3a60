"""Checkpoints of a training, evaluated as they appear.

Owns which is evaluated next, and when there is nothing more to wait for. models/parts/being_saved.py tells whether one
is whole. Never looks into a run: one checkpoint after the other goes through babycli.evaluation.suite.

A checkpoint that was evaluated is marked in its run.json, with a digest of what was asked and of how its files were.
So the same command, given again, does nothing twice; a checkpoint whose files have changed is another one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import babycli
from babycli.data.root import LOCK_NAME
from babycli.errors import BabycliError, ModelError, ResumeError, UntrustedResultError, UsageError
from babycli.evaluation.conclusion import Evaluated
from babycli.evaluation.options import Options, Reporter
from babycli.evaluation.suite import Failed, check_inputs, evaluate
from babycli.evaluation.trust import raise_if_untrusted
from babycli.files import in_home, read_file
from babycli.logs.runlog import log_name, mark_watched
from babycli.logs.schema import read_run
from babycli.models import check_precision, matching, pick_device
from babycli.models.parts.being_saved import State, is_aside, settles_in, state_of, why_not_whole

POLL_S = 1.0
SHORT_S = 5.0  # a wait about which nothing need be said
_UNITS = (("h", 3600), ("min", 60), ("s", 1))
TRIED_ANYWAY_S = 600.0  # a checkpoint that is not whole, and that nobody writes any more
# Options that change no score, or that are digested in another form.
_WITHOUT_EFFECT = (
    *("models", "tasks", "task_names", "root", "output", "batch_size", "device", "batch_check"),
    *("resume", "reuse_prefixes", "reuse_features", "cache", "send_pictures_to", "command", "given", "rerun", "name"),
)


@dataclass(slots=True)
class _Seen:
    """A checkpoint as it was when it was last looked at."""

    state: State
    since: float  # it has not changed since then
    is_settled: bool = False  # it was evaluated, or tried, as it is
    said: str = ""


@dataclass(slots=True)
class Watch:
    """A watch over checkpoints.

    ``patience_s`` is how long it waits for a new one, None: until it is ended. ``settle_s`` is how long one must have
    been left alone, None: as long as its files tell.
    """

    options: Options
    patterns: Sequence[str]
    patience_s: float | None
    settle_s: float | None
    reporter: Reporter
    show: Callable[[Sequence[Evaluated]], None]  # is told the results of each
    failed: list[Failed] = field(default_factory=list)
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _said_to_settle: set[str] = field(default_factory=set)
    _has_seen_any: bool = False

    def run(self) -> None:
        """Evaluates checkpoints until none has come for ``patience_s``. ``failed`` names those that could not be.

        Raises the errors that are no checkpoint's own: UsageError, DataError, ChecksumError, OutputError.
        """
        if not any(map(glob.has_magic, self.patterns)):
            raise UsageError("--watch waits for checkpoints that are not there yet", "--model 'RUN/checkpoint-*'")
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UsageError("--watch is for one process", "start it without  accelerate launch  or  torchrun")
        say = self.reporter.say
        if "dtype" in self.options.given:  # better now than when the first checkpoint comes
            check_precision(None, pick_device(self.options.device), self.options.dtype)
        if self.options.tasks_were_named:
            check_inputs(self.options, self.reporter)
        say(f"watching {', '.join(self.patterns)}")
        last_event = time.monotonic()
        try:
            while self.patience_s is None or self._settles() or time.monotonic() - last_event <= self.patience_s:
                if self._look() | self._evaluate_next():
                    last_event = time.monotonic()
                else:
                    time.sleep(POLL_S)
        except KeyboardInterrupt:
            say("stopped watching; the same command goes on")
            raise
        waited = next(f"{self.patience_s / s:g} {unit}" for unit, s in _UNITS if self.patience_s >= s or s == 1)
        if not self._has_seen_any:
            raise UsageError(
                f"no checkpoint was named {' or '.join(map(repr, self.patterns))} for {waited}",
                "--model 'RUN/checkpoint-*', with the folder of the training",
            )
        for name, seen in self._seen.items():
            if not seen.is_settled:
                self._fail(name, f"it is not whole yet: {seen.said}")
        say(f"no new checkpoint for {waited}: done")

    def _look(self) -> bool:
        """Looks at all checkpoints, and tells whether anything has changed."""
        now, changed = time.monotonic(), False
        found = {name: state for name in self._names() if (state := state_of(in_home(name)))}
        for name in [name for name in self._seen if name not in found]:
            gone = self._seen.pop(name)
            changed = True
            if not gone.is_settled:
                self._fail(
                    name, "it is gone before it was evaluated; a training keeps as many as save_total_limit says"
                )
        for name, state in found.items():
            seen = self._seen.get(name)
            if seen is None or seen.state != state:
                changed = self._has_seen_any = True
                self._seen[name] = _Seen(state, now, self._was_evaluated(name, state))
        return changed

    def _names(self) -> list[str]:
        names: list[str] = []
        for pattern in self.patterns:
            try:
                names += matching(pattern)
            except UsageError:  # there is none yet
                continue
        return [name for name in dict.fromkeys(names) if not is_aside(Path(name))]

    def _settles(self) -> bool:
        """Tells whether a checkpoint is there of which it is not known yet whether it is whole."""
        return any(not seen.is_settled and not seen.said for seen in self._seen.values())

    def _evaluate_next(self) -> bool:
        """Evaluates the first checkpoint that is whole; tells whether there was one."""
        for name, seen in self._seen.items():
            left_alone_s = time.monotonic() - seen.since
            settles_s = settles_in(seen.state) if self.settle_s is None else self.settle_s
            if seen.is_settled:
                continue
            if left_alone_s < settles_s:
                if settles_s > SHORT_S and name not in self._said_to_settle:
                    self.reporter.say(f"waiting for {name}: until its files have been left alone for {settles_s:g} s")
                    self._said_to_settle.add(name)
                continue
            why = why_not_whole(in_home(name))
            if why and left_alone_s < TRIED_ANYWAY_S:
                if why != seen.said:
                    self.reporter.say(f"waiting for {name}: {why}")
                    seen.said = why
                continue
            seen.is_settled = True
            self._evaluate(name, seen.state)
            return True
        return False

    def _evaluate(self, name: str, state: State) -> None:
        self.reporter.say(f"evaluating {name}")
        try:
            done, _ = evaluate(replace(self.options, models=[name]), self.reporter)
        except (ModelError, ResumeError, OSError) as error:
            is_gone = not state_of(in_home(name))
            if isinstance(error, OSError) and not is_gone:
                raise
            self._fail(name, "it went away while it was being read" if is_gone else str(error), error)
            return
        self.show(done)
        try:
            raise_if_untrusted(done)
        except UntrustedResultError as error:
            self._fail(name, error.message, error)
        for evaluated in done:
            mark_watched(evaluated.results_path.parent, self._digest(state))

    def _fail(self, name: str, why: str, error: Exception | None = None) -> None:
        mend = f"\n  mend: {error.mend}" if isinstance(error, BabycliError) and error.mend else ""
        self.reporter.say(f"passed over {name}: {why}{mend}")
        kind = type(error) if isinstance(error, BabycliError) else ModelError
        self.failed.append(Failed(name, kind.exit_code))

    def _was_evaluated(self, name: str, state: State) -> bool:
        digest = self._digest(state)
        folders = sorted((self.options.output / log_name(name)).glob("*/"))
        marked = [folder for folder in folders if (read_run(folder) or {}).get("watched") == digest]
        return any(any(folder.glob("*_results.json")) for folder in marked)

    def _digest(self, state: State) -> str:
        """Gives the SHA-256 over how a checkpoint's files are, what it is asked, and the data that are linked."""
        options = self.options
        asked = [(f.name, getattr(options, f.name)) for f in fields(options) if f.name not in _WITHOUT_EFFECT]
        tasks = [(task.name, task.data_set, task.version) for task in options.tasks]
        lock = options.root.path / LOCK_NAME
        linked = read_file(lock) if lock.is_file() else b""
        whole = repr((state, asked, tasks, str(options.root.path.absolute()), babycli.__version__)).encode()
        return hashlib.sha256(whole + linked).hexdigest()
