"""How far a run is: over all of its rounds, what was on disk already, and conversations that are read again.

Owns what counts how much. A score, a text of many tokens and a picture take very different times, so that the rest is
reckoned in costs (plan.py) and not in requests. Never shows anything.

    requests    ###########............     counted: 11 of 23
    costs       ####.......................    by which the rest is reckoned: the texts come last
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from babycli.evaluation.options import Count
from babycli.evaluation.plan import Plan, Unit, cost_of, cost_of_asks
from babycli.evaluation.rounds import Rounds
from babycli.logs.answers import Answered, Key


def expected(rounds: Rounds, plan: Plan, n_processes: int) -> tuple[int, float]:
    """Gives how many requests each process will answer in the whole run, about, and their cost."""
    now, later = cost_of_asks(plan.work), list(rounds.later)
    n = len(now) + sum(times for _, times in later)
    whole = sum(now.values()) + sum(times * cost_of(request) for request, times in later)
    return -(-n // n_processes), whole / n_processes


class Progress:
    """How far a run is, told to a progress bar."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._costs: Mapping[Key, float] = {}
        self._tasks: Mapping[Key, str] = {}

    def begin(
        self, plan: Plan, tasks: Mapping[Key, str], done: Container[Key], again: Sequence[Sequence[Unit]]
    ) -> None:
        """Begins a round, of which some answers are there. The units of ``again`` are read once more."""
        self._costs, self._tasks = cost_of_asks(plan.work), tasks
        on_disk = [key for key in plan.keys if key in done]
        if on_disk:
            self._count(len(on_disk), sum(self._costs[key] for key in on_disk), is_new=False)
        if again:
            read = cost_of_asks([work for units in again for unit in units for work in unit])
            self._count(0, 0.0, now="reading conversations again", more=sum(read.values()))
            self._costs = {**read, **self._costs}

    def answered(self, answered: Answered) -> None:
        key = answered.key
        self._count(1, self._costs.get(key, 0.0), now=self._tasks.get(key, ""))

    def read_again(self, answered: Answered) -> None:
        """Counts an answer that was known, of a conversation that is read again."""
        self._count(0, self._costs.get(answered.key, 0.0))
