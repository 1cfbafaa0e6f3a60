"""The end of a run whose answers are all there: its tasks decided, what must be said of them, the files of its log.

Never asks a model anything but to score trials of the batch check again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babycli.domain import CannotAnswer, TaskResult
from babycli.errors import TaskError
from babycli.evaluation.batch_check import check_batches, trials_to_check
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.options import Options, Reporter
from babycli.evaluation.results import SEED, Decided, decide, outcomes_document, results_document, sample_lines
from babycli.evaluation.rounds import Rounds
from babycli.evaluation.timings import PHASES, Phase
from babycli.logs.runlog import RunLog
from babycli.models.base import Model
from babycli.tasks.replies import Replies
from babycli.wording import Scoring


@dataclass(frozen=True, slots=True)
class Evaluated:
    results_path: Path
    results: Sequence[TaskResult]
    replies: Mapping[str, Replies]  # by task, what the model wrote; none of controls and recordings
    timings: Mapping[Phase, float]  # seconds by phase, of this command


def conclude(
    options: Options,
    reporter: Reporter,
    rounds: Rounds,
    model: Model,
    inputs: Inputs,
    log: RunLog,
    timings: Mapping[Phase, float],
) -> Evaluated:
    """Decides every task, and writes the files that only a finished run has.

    Raises TaskError where what a task gives of a trial cannot be written.
    """
    decided = [decide(task_input, rounds.played(task_input), options.scoring) for task_input in inputs.tasks]
    sees = log.provenance.get("control") is None
    for of_task in decided:
        of_replies = () if of_task.replies is None else of_task.replies.remarks(sees)
        for remark in (*_unanswered(of_task), *of_replies):
            reporter.say(f"note: {of_task.result.task}: {remark}")
    n_trials = trials_to_check(options.batch_check, options.dtype, model.info.dtype)
    if n_trials:
        log.write_provenance(batch_check=_batch_check(n_trials, options.scoring, inputs, decided, model, reporter))
    for of_task in decided:
        try:
            log.write_samples(of_task.result.task, sample_lines(of_task, model))
        except TaskError as error:
            mend = (
                f"mend it; its answers are kept in {log.folder}, but a task that was changed begins a run of its "
                "own:  --no-resume"
            )
            raise TaskError(error.message, mend) from error
    log.write_outcomes(outcomes_document(decided))
    log.write_provenance(end=utc_now(), status="done", timings=_summed(log.provenance["sessions"]))
    document = results_document(log.provenance, decided, log.timestamp, log.folder.parent.name)
    path = log.write_results(document)  # last: a run without results counts as unfinished
    # What was recorded may well have no words in it: it is counted, and said.
    is_judged = sees and not model.info.abilities.plays_back
    replies = {d.result.task: d.replies for d in decided if is_judged and d.replies is not None}
    return Evaluated(path, [of_task.result for of_task in decided], replies, timings)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _unanswered(decided: Decided) -> list[str]:
    result = decided.result
    answers = (exchange.answer for play in decided.played for exchange in play.exchanges)
    why = next((answer.why for answer in answers if isinstance(answer, CannotAnswer)), "")
    count = f"{result.unanswered} of {result.n_units} {decided.input.task.unit}"
    return [f"{count} could not be answered and count as misses: {why}"] if why else []


def _batch_check(
    n_trials: int, scoring: Scoring, inputs: Inputs, decided: Sequence[Decided], model: Model, reporter: Reporter
) -> dict[str, dict[str, Any]]:
    """Runs the batch check, tells the user its result for each task, and gives the results for the log."""
    checks = check_batches(inputs, decided, model, n_trials, SEED, scoring)
    for task, check in checks.items():
        drift = "" if check.max_difference is None else f", scores differ by up to {check.max_difference:.2g}"
        reporter.say(f"batch check: {task}: {check.n_flipped} of {check.n_trials} decisions flip one by one{drift}")
    return {task: {"seed": SEED} | asdict(check) for task, check in checks.items()}


def _summed(sessions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Sums the seconds by phase over all sessions that were not cut off."""
    return {phase: sum(s["timings"][phase] for s in sessions if "timings" in s) for phase in PHASES}
