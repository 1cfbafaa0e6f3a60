"""Does a score depend on what else was in its batch? Some trials are scored again, one request at a time.

Owns the choice of trials and the comparison. In half precision the products of a large batch round differently from
those of a single request, and a decision between two close scores may flip; in a model of one's own, padding may be
wrong. Never changes a result: it only says how far the numbers can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from babycli.domain import Generation, Score
from babycli.evaluation import engine
from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.evaluation.memory import Batching
from babycli.evaluation.plan import Key, make_plan
from babycli.evaluation.results import decide
from babycli.evaluation.scorefile import Scored
from babycli.models.base import Model
from babycli.tasks.base import loss_of
from babycli.wording import Scoring

DEFAULT_TRIALS = 16  # of each task, in half precision


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """What scoring ``n_trials`` trials of a task again at batch size 1 gave."""

    n_trials: int
    n_flipped: int  # trials whose outcome, or caption, is another
    max_difference: float | None  # between two scores of one request, in mean loss or similarity; None for captions


def check_batches(
    inputs: Inputs, scores: Mapping[Key, Score], model: Model, n_trials: int, seed: int, scoring: Scoring
) -> dict[str, BatchCheck]:
    """Scores up to ``n_trials`` trials of each task again, drawn with ``seed``, and compares."""
    found = {}
    for whole in inputs.tasks:
        drawn = Random(f"{seed} {whole.task.name}").sample(whole.trials, min(n_trials, len(whole.trials)))
        part = replace(whole, trials=tuple(drawn))
        scored: list[Scored] = []
        plan = make_plan(replace(inputs, tasks=(part,)).all_requests(), inputs.sha256)
        one_by_one = engine.How(Batching(1), reuses_prefixes=False)
        engine.run(plan.units(1), model, inputs.open_image, one_by_one, (), scored.append)
        alone = engine.settled(plan, {each.key: each for each in scored})
        found[whole.task.name] = _compare(part, scores, alone, inputs, scoring)
    return found


def _compare(
    part: TaskInput, batched: Mapping[Key, Score], alone: Mapping[Key, Score], inputs: Inputs, scoring: Scoring
) -> BatchCheck:
    one, other = (decide(part, scores, inputs.sha256, scoring) for scores in (batched, alone))
    flipped = 0
    for trial in part.trials:
        first = trial.row_indices[0]
        texts = [
            [a.text for i in trial.row_indices for a in d.answers[i] if isinstance(a, Generation)] for d in (one, other)
        ]
        flipped += texts[0] != texts[1] or one.outcomes[first].values != other.outcomes[first].values
    differences = [
        abs(loss_of(batched[key], Scoring.FAIR) - loss_of(score, Scoring.FAIR))
        for key, score in alone.items()
        if not isinstance(score, Generation) and score.is_finite and batched[key].is_finite
    ]
    return BatchCheck(len(part.trials), flipped, max(differences, default=None))
