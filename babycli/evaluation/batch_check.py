"""The batch check: whether scores depend on the batch. Some items are scored again, one request at a time.

Owns the choice of items and the comparison. In half precision the products of a large batch round differently from
those of a single request, and a decision between two close scores may flip; in a user's own model, padding may be
wrong. Never changes a result: it only tells how far the numbers can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from babycli.domain import Answer, Loglikelihood, Similarity, Text
from babycli.errors import TaskError
from babycli.evaluation import engine
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.memory import Batching
from babycli.evaluation.plan import Keys, make_plan
from babycli.evaluation.results import Decided
from babycli.evaluation.rounds import Played
from babycli.foreign import explained_for
from babycli.logs.answers import Answered, Key
from babycli.models.base import Model
from babycli.tasks.base import Asking, ReplayError, Task, loss_of, replay
from babycli.wording import Dtype, Scoring

DEFAULT_TRIALS = 16  # of each task, in half precision


def trials_to_check(asked: int | None, dtype: Dtype, dtype_of_model: str) -> int:
    """Gives how many trials of each task are scored again: as many as asked, else none in float32.

    ``dtype_of_model`` is "" of a model that is not computed here: no precision was chosen for it.
    """
    return (DEFAULT_TRIALS if dtype_of_model and dtype != Dtype.FLOAT32 else 0) if asked is None else asked


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """The result of scoring ``n_trials`` items of a task again at batch size 1."""

    n_trials: int
    n_flipped: int  # items whose outcome or text changed
    max_difference: float | None  # between two scores of one request, in mean loss or similarity; None for texts


def check_batches(
    inputs: Inputs, decided: Sequence[Decided], model: Model, n_trials: int, seed: int, scoring: Scoring
) -> dict[str, BatchCheck]:
    """Scores up to ``n_trials`` items of each task again, drawn with ``seed``, and compares; gives the result by task.

    In a conversation, the requests are those of the run: the model's earlier replies are kept, not generated again.
    """
    checks = {}
    for decided_task in decided:
        drawn = Random(f"{seed} {decided_task.result.task}").sample(
            list(decided_task.played), min(n_trials, len(decided_task.played))
        )
        requests = [exchange.request for played in drawn for exchange in played.exchanges]
        plan = make_plan(requests, inputs.sha256)
        answered: list[Answered] = []
        one_by_one = engine.How(Batching(1), reuses_prefixes=False)
        engine.run(plan.units(1), model, inputs.open_image, one_by_one, (), answered.append)
        alone = engine.settled(plan, {a.key: a for a in answered})
        asking = decided_task.input.asking(scoring)
        checks[decided_task.result.task] = _compare_answers(
            decided_task.input.task, asking, drawn, alone, Keys(inputs.sha256)
        )
    return checks


def _compare_answers(
    task: Task, asking: Asking, drawn: Sequence[Played], alone: Mapping[Key, Answer], keys: Keys
) -> BatchCheck:
    flipped = 0
    differences: list[float] = []
    for played in drawn:
        batched = [exchange.answer for exchange in played.exchanges]
        singly = [alone[keys.of(exchange.request)] for exchange in played.exchanges]
        texts = [[a.text for a in answers if isinstance(a, Text)] for answers in (batched, singly)]
        flipped += texts[0] != texts[1] or not _decides_the_same(task, played, asking, singly)
        differences += [
            abs(loss_of(a, Scoring.FAIR) - loss_of(b, Scoring.FAIR))
            for a, b in zip(batched, singly, strict=True)
            if isinstance(a, Loglikelihood | Similarity) and isinstance(b, Loglikelihood | Similarity)
            if a.is_finite and b.is_finite
        ]
    return BatchCheck(len(drawn), flipped, max(differences, default=None))


def _decides_the_same(task: Task, played: Played, asking: Asking, answers: Sequence[Answer]) -> bool:
    with explained_for(task, f"{task.name}: play() fails for item {played.item.item_id}", TaskError):
        try:
            return replay(task, played.item, asking, answers).values == played.outcome.values
        except ReplayError:  # the play asks something else
            return False
