"""The conversations that were under way when a run ended: what of them is read again before it goes on.

Owns the choice of units. Never runs them. What was kept of a conversation (keys and values, features of pictures) is
lost when a run ends. It comes back by reading its turns again, one after the other and in the same batches, and not the
whole of it at once: sums would be rounded in another way, and an answer would depend on the moment of a kill.

    round 1 to 4    answered before         nothing is read
    round 5         an answer is missing    the conversations of rounds 1 to 4 are read again, then round 5
    round 6         no answer is there      goes on from what was kept
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from babycli.evaluation.plan import Plan, Unit, shared_out
from babycli.logs.answers import Key


@dataclass(frozen=True, slots=True)
class Due:
    """The units of one process for a round."""

    again: Sequence[Sequence[Unit]]  # of earlier rounds, one after the other; their answers are known
    now: Sequence[Unit]

    @property
    def n_conversations(self) -> int:
        return max((sum(map(len, units)) for units in self.again), default=0)


@dataclass(slots=True)
class UnderWay:
    """The rounds of the conversations that are played now, as far as this command has not read them."""

    keeps: bool  # the model keeps what it has read
    _behind: list[list[Unit]] = field(default_factory=list)

    def due(self, plan: Plan, n_work: int, done: Container[Key], n_processes: int, rank: int) -> Due:
        """Chooses the units of a round. Conversations are shared out by the plan alone: they stay where they were."""
        if plan.begins:
            self._behind = []
        missing = plan.units(n_work, done)
        now = shared_out([unit for unit in missing if not _goes_on(unit)], n_processes)[rank]
        talks = [unit for unit in (plan.units(n_work) if self.keeps else missing) if _goes_on(unit)]
        share = shared_out(talks, n_processes)[rank]
        if not any(_goes_on(unit) for unit in missing):
            if share:
                self._behind.append(share)
            return Due((), now)
        again, self._behind = self._behind, []
        return Due(again, [*now, *share])


def _goes_on(unit: Unit) -> bool:
    return unit[0].goes_on
