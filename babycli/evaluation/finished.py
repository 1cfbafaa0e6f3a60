"""Finding the finished run that a command would only repeat.

Owns when a run counts as the same: its identity is, and its files are as they were written. Never computes an answer
and never writes. Where the files of a checkpoint tell which model it is, that model is not even loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.domain import Estimate, TaskResult
from babycli.errors import ModelError, UsageError
from babycli.evaluation.batch_check import trials_to_check
from babycli.evaluation.controls import Controls
from babycli.evaluation.identify import identify_as
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.options import Options
from babycli.evaluation.prompts import choose_prompts, doable_tasks
from babycli.evaluation.resume import latest_first
from babycli.files import file_digest, read_file
from babycli.logs.answers import is_planted
from babycli.logs.fields import mapping, text
from babycli.logs.identity import Identity
from babycli.models import Resolved, args_with_effect
from babycli.models.base import ModelInfo, ModelSpec
from babycli.models.recalled import is_still, recall
from babycli.tasks.replies import Replies
from babycli.typed import from_json
from babycli.wording import listed

_SAME = (KeyError, TypeError, ValueError, AttributeError, OverflowError)  # of a log that somebody has edited


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with all of its files as they were written."""

    folder: Path
    run: Mapping[str, Any]  # its run.json
    document: Mapping[str, Any]  # its results

    @property
    def results_path(self) -> Path:
        return self.folder / f"{self.folder.name}_results.json"

    @property
    def results(self) -> list[TaskResult]:
        return [self._result(task) for task in self.document["n_units"]]

    @property
    def replies(self) -> dict[str, Replies]:
        """What the model wrote, counted; none of controls and recordings, as for a run that has just ended."""
        is_judged = self.run.get("control") is None and not self.run["model"]["abilities"]["plays_back"]
        counted = self.document["replies"] if is_judged else {}
        return {task: Replies.from_document(of_task) for task, of_task in counted.items()}

    def _result(self, task: str) -> TaskResult:
        of_task = {key: self.document[key][task] for key in ("n_units", "ties", "nonfinite", "unanswered", "no_answer")}
        rows, values = self.document["n-samples"][task], self.document["results"][task]
        estimates = {}
        for metric, chance in self.document["chance"][task].items():
            stderr, interval = values[f"{metric}_stderr,none"], self.document["ci95"][task][metric]
            estimates[metric] = Estimate(
                values[f"{metric},none"],
                None if stderr == "N/A" else stderr,
                None if interval is None else (interval[0], interval[1]),
                chance,
            )
        skipped = tuple(self.document["skipped"][task])
        return TaskResult(
            task, estimates, n_rows=rows["effective"], n_rows_in_file=rows["original"], skipped=skipped, **of_task
        )


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run of the same identity, finished or not."""

    folder: Path
    run: Mapping[str, Any]  # its run.json

    @property
    def identity(self) -> Identity:
        return Identity.from_document(self.run["identity"])

    @property
    def has_results(self) -> bool:
        return any(self.folder.glob("*_results.json"))

    @property
    def score_files(self) -> list[Path]:
        return [path for path in sorted(self.folder.glob("scores.rank*.jsonl")) if not is_planted(path)]

    @property
    def finished(self) -> Finished | None:
        if not self.has_results:
            return None
        document = from_json(read_file(self.folder / f"{self.folder.name}_results.json"))
        return Finished(self.folder, self.run, document)


class SameRuns:
    """The runs of a model, among which a command looks for one that is the same as its own."""

    def __init__(self, options: Options, runs: Path, say: Callable[[str], None]) -> None:
        self._options, self._runs, self._say = options, runs, say

    @property
    def _is_asked(self) -> bool:
        return self._options.resume and not self._options.rerun

    def find(self, identity: Identity) -> Finished | None:
        """Finds the latest run of this identity, if it is finished and undamaged."""
        same = self.latest(has(identity)) if self._is_asked else None
        return same.finished if same is not None else None

    def find_unloaded(
        self, resolved: Resolved, spec: ModelSpec, of_sets: Sequence[Inputs], controls: Controls
    ) -> list[Finished] | None:
        """Finds the finished runs of a model on every set of data; None where the model must be loaded to tell."""
        info = self.recalled(resolved, spec) if self._is_asked else None
        if info is None:
            return None
        tasks = [task_input.task for inputs in of_sets for task_input in inputs.tasks]
        options = self._options
        try:
            doable = doable_tasks(
                tasks, options.tasks_were_named, spec.name, info.abilities, _unsaid, options.ways, options.scoring
            )
        except (ModelError, UsageError):  # said when the model is loaded
            return None
        prompts = choose_prompts(doable, info, options.prompts, _unsaid)
        found: list[Finished] = []
        for inputs in of_sets:
            asked = inputs.asking(doable, prompts)
            if asked.tasks:
                same = self.latest(has_asked(asked, info, spec, options, controls))
                if same is None or same.finished is None:
                    return None
                found.append(same.finished)
        return found if found and is_still(info) else None

    def recalled(self, resolved: Resolved, spec: ModelSpec) -> ModelInfo | None:
        """Gives the model of the latest run that was of such a model, whose files' bytes are not compared yet."""
        for _, run in latest_first(self._runs):
            identity = mapping(mapping(run.get("identity")).get("model"))
            args = args_with_effect(text(identity.get("family")), spec.args)
            info = recall(resolved, spec, mapping(run.get("model"))) if identity.get("args") == args else None
            if info is not None:
                return info
        return None

    def latest(self, is_same: Callable[[Mapping[str, Any]], bool]) -> LoggedRun | None:
        """Gives the latest run that is the same; a finished one only as it was written, and with its batch check."""
        for run in self._alike(is_same):
            damaged = _damaged(run.folder, run.run) if run.has_results else ()
            if damaged:
                what = f"{run.folder} is finished, but not as it was written: {listed(damaged)}"
                self._say(f"note: {what}; it is evaluated again")
            elif not run.has_results or run.run.get("batch_check") or not self._is_checked(run):
                return run
        return None

    def _is_checked(self, run: LoggedRun) -> bool:
        """Tells whether the options ask for a batch check of such a run."""
        dtype = text(mapping(run.run.get("model")).get("dtype"))
        return trials_to_check(self._options.batch_check, self._options.dtype, dtype) > 0

    def _alike(self, is_same: Callable[[Mapping[str, Any]], bool]) -> Iterator[LoggedRun]:
        for folder, run in latest_first(self._runs):
            try:
                if is_same(run):
                    yield LoggedRun(folder, run)
            except _SAME:
                continue


def is_unknown(info: ModelInfo) -> bool:
    """Tells whether the weights of a model may have changed without its fingerprint: those of a user's own."""
    return info.n_parameters is None and not info.abilities.plays_back


def has(identity: Identity) -> Callable[[Mapping[str, Any]], bool]:
    """Makes the test for runs of an identity."""
    return lambda run: Identity.from_document(run["identity"]) == identity


def has_asked(
    inputs: Inputs, info: ModelInfo, spec: ModelSpec, options: Options, controls: Controls
) -> Callable[[Mapping[str, Any]], bool]:
    """Makes the test for runs that ask this model the same. Equal prompts are rendered alike, as the software is."""
    control = controls.applied(info, spec, inputs)

    def is_same(run: Mapping[str, Any]) -> bool:
        logged = Identity.from_document(run["identity"])
        tasks = logged.question.tasks
        return logged == identify_as(
            inputs,
            info,
            spec,
            options.limit,
            control,
            lambda t: tasks[t.task.name].rendered_prompt,
            options.sample,
        )

    return is_same


def _damaged(folder: Path, run: Mapping[str, Any]) -> list[str]:
    """Names the files of a finished run that are gone or have other bytes than it wrote."""
    written = mapping(run.get("files"))
    needed = [f"{folder.name}_{kind}.json" for kind in ("outcomes", "results")]
    return [name for name in dict.fromkeys([*needed, *written]) if not _is_as_written(folder / name, written.get(name))]


def _is_as_written(path: Path, sha256: object) -> bool:
    try:
        return path.name == str(path.relative_to(path.parent)) and file_digest(path) == sha256
    except (OSError, ValueError):
        return False


def _unsaid(message: str) -> None:
    """Says nothing: of a model that is not loaded, its run has said it."""
