"""What the user asks of an evaluation, and the way in which it tells how far it is.

Owns the two types. Never evaluates anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from babycli.data.root import DatasetRoot
from babycli.evaluation.inputs import Dialogue
from babycli.logs.identity import Sample
from babycli.models import Resolved
from babycli.tasks.base import Task
from babycli.wording import AnswerWay, ControlKind, Dtype, Scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of an evaluation, as the user gave them; babycli/evaluation/read_options.py reads them from words."""

    models: Sequence[str | Resolved]  # by name, or found already
    model_args: Mapping[str, str]
    tasks: Sequence[Task]
    task_names: str | None  # as they were written; None: all, and those that the model cannot do are left out
    root: DatasetRoot
    output: Path
    limit: int | None = None  # trials of each task
    sample: Sample | None = None  # trials of each task, instead of the first ones
    batch_size: int | None = None  # None: auto
    device: str | None = None  # None: the first GPU, else the CPU
    dtype: Dtype = Dtype.FLOAT32
    given: frozenset[str] = frozenset()  # of device and dtype, those that the user named
    scoring: Scoring = Scoring.FAIR
    dialogue: Dialogue
    ways: Sequence[AnswerWay] | None = None  # of answering, where tasks have a choice; None: theirs
    control: ControlKind | None = None
    skip_missing: bool = False
    prompts: Mapping[str, str]  # by task, instead of the family's
    batch_check: int | None = None  # trials of each task to score again one by one; None: some in half precision
    resume: bool = True
    rerun: bool = False  # also where a finished run is the same
    reuse_prefixes: bool = True
    reuse_features: bool = False  # keep what vision towers give for checkpoints with the same tower
    cache: Path | None = None  # a folder of scores to take from and add to
    send_pictures_to: str = ""  # the host, other than this machine, that pictures may go to
    command: Sequence[str]  # for run.json
    name: str = ""  # of the run, in reports; "": the model's

    @property
    def tasks_were_named(self) -> bool:
        return self.task_names is not None


class Count(Protocol):
    """Counts how many more are done, on a progress bar."""

    def __call__(
        self, n: int, weight: float | None = None, *, now: str = "", is_new: bool = True, more: float = 0.0
    ) -> None:
        """Counts ``n`` more.

        ``weight`` is the share of the bar's whole that they are, if not their number, and ``more`` is added to the
        whole. ``now`` says what is being done; what is not ``is_new`` was done before the bar began.
        """


class Reporter(Protocol):
    """The way in which a running evaluation tells its progress to the user."""

    def say(self, message: str) -> None: ...

    def bar(
        self, what: str, total: int | None, unit: str = "", whole: float | None = None
    ) -> AbstractContextManager[Count]:
        """Shows a progress bar, and gives the function that counts: it takes how many more are done."""
