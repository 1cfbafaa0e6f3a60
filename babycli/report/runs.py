"""A run as a report has it: what was evaluated, how, and its numbers.

Owns the records. load.py makes them of files.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from babycli.logs.identity import Coverage, Identity, Sample
from babycli.models.control import PREFIX
from babycli.report.logged import OURS, ways_of
from babycli.report.measure import Cell
from babycli.report.trials import TaskTrials
from babycli.tasks import all_tasks
from babycli.tasks.replies import Replies
from babycli.wording import AnswerWay, History


def short_name(model: str) -> str:
    """Gives the last two parts of a model's path or hub id."""
    return "/".join(model.strip("/").split("/")[-2:])


@dataclass(frozen=True, slots=True)
class Overlapped:
    """What the trials of a run were held against with ``--overlap``, and which of them are left."""

    told: str  # in words: "t (folder), by sha256 or name, as overlap.json says"
    only: str  # "clean" or "leaked" trials; "" for all
    kept: Mapping[str, tuple[int, int]]  # by task, the trials that are left and those that there were
    left_out: tuple[str, ...]  # tasks of which that does not tell
    whole: Mapping[str, TaskTrials]  # all trials that the run saw


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One evaluated model; ``cells`` by (task, metric)."""

    path: Path  # the results file
    program: str  # that made it: "babycli", "lmms-eval"
    model: str
    fingerprint: str  # of the weights: the same name may have meant another checkpoint
    data: str  # "saycam", "demo": the name of a set of data
    scoring: str
    dtype: str
    limit: float | None
    control: str  # "blind", "shuffled", "constant", else empty
    args: tuple[str, ...]  # --model-args with effect, as "key=value"
    date: str
    cells: Mapping[tuple[str, str], Cell]
    trials: Mapping[str, TaskTrials]  # by task; none where neither outcomes nor samples are there
    labels_sha256: Mapping[str, str]  # by task, where known
    images_sha256: Mapping[str, str]
    prompts: Mapping[str, str]  # what the model was asked, by task, where known
    own_prompts: Mapping[str, str]  # those of them that --prompt gave
    identity: Identity | None  # of a run of babycli
    replies: Mapping[str, Replies] = field(default_factory=dict)  # what the model wrote, counted, by task
    wrapper: str = ""  # the model's code as another program names it
    offset: int = 0  # rows that another program passed over first
    name: str = ""  # that the user gave to the run
    model_type: str = ""  # of the checkpoint, as transformers calls it; "" where the log does not say it
    title: str = ""  # the end of the model's path that tells it from the others of a report
    n_equal: Mapping[str, int] = field(default_factory=dict)  # by task, the equal runs of which this is the latest
    overlap: Overlapped | None = None  # with a training set

    @property
    def shown(self) -> str:
        """The name of the model in a report."""
        return self.name or self.title or short_name(self.model)

    def only(self, columns: Container[tuple[str, str]]) -> Run:
        """Gives it with what it has of these tasks and metrics."""
        cells = {column: cell for column, cell in self.cells.items() if column in columns}
        tasks = {task for task, _ in cells}
        return replace(
            self,
            cells=cells,
            trials={task: trials for task, trials in self.trials.items() if task in tasks},
            replies={task: replies for task, replies in self.replies.items() if task in tasks},
            own_prompts={task: prompt for task, prompt in self.own_prompts.items() if task in tasks},
        )

    def whole_trials(self, task: str) -> TaskTrials | None:
        """Gives all trials of a task that it saw, also where a report is of some of them."""
        return self.trials.get(task) if self.overlap is None else self.overlap.whole.get(task)

    @property
    def ways(self) -> tuple[AnswerWay, ...]:
        """The ways in which its answers were given; () where its tasks leave no choice, or the log does not say it."""
        tasks = self.identity.question.tasks if self.identity else {}
        having = [asked for name, asked in tasks.items() if name in all_tasks() and all_tasks()[name].ways]
        return tuple(dict.fromkeys(way for asked in having for way in ways_of(asked.answers)))

    @property
    def applied_control(self) -> str:
        """The control that was applied to the model; "" for none, and where the model is that control itself."""
        return "" if self.model.partition("?")[0] == f"{PREFIX}{self.control}" else self.control

    @property
    def sample(self) -> Sample | None:
        """The sample of the trials that it saw; None where it saw all of them, or the first."""
        return self.identity.question.sample if self.identity else None

    @property
    def is_of_part(self) -> bool:
        """Tells whether it saw a part of the trials alone: a limit, a sample, or without the first ones."""
        return self.limit is not None or self.sample is not None or bool(self.offset)

    def coverage(self, task: str) -> Coverage | None:
        """How much of a task its trials cover; None where they are all, or the log does not say it."""
        asked = self.identity.question.tasks.get(task) if self.identity else None
        return None if asked is None else asked.coverage

    @property
    def history(self) -> History:
        """What its conversations went on with."""
        return self.identity.question.history if self.identity else History.OWN

    @property
    def max_new_tokens(self) -> int | None:
        """How much each text could hold at most; None: as much as the task says."""
        return self.identity.question.max_new_tokens if self.identity else None

    @property
    def is_ours(self) -> bool:
        """Tells whether babycli made the run, not a program whose logs it reads."""
        return self.program == OURS


@dataclass(frozen=True, slots=True)
class Unread:
    """A run without numbers."""

    path: Path
    why: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Logs:
    runs: tuple[Run, ...]
    unread: tuple[Unread, ...]
