"""One evaluation in several processes, as accelerate launch and torchrun start them.

Owns how they find and hear each other: torch.distributed with gloo, which needs no GPU; what travels is small. Never
decides what a process does. A process that dies is noticed by the others when they next wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from babycli.errors import BabycliError, ModelError, UsageError

Value = TypeVar("Value")
_MEETING = timedelta(minutes=10)  # so long the processes wait for each other at the start
_PATIENCE = timedelta(days=7)  # a process may have this much more to do than another; one that dies is noticed at once
_STARTED_BY = "start it with  accelerate launch --num_processes N -m babycli eval ...  or torchrun"


class ProcessesGoneError(ModelError):
    """Another process has ended early; nothing can be done together any more."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all ``n`` of a run; ``local_rank`` counts on this machine."""

    rank: int = 0
    n: int = 1
    local_rank: int = 0
    group: Any = None  # of torch.distributed

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, value: Value) -> Value:
        """The first process's value, in all."""
        if self.n == 1:
            return value
        import torch.distributed as dist

        box: list[Any] = [value]
        with self._waiting():
            dist.broadcast_object_list(box, src=0, group=self.group)
        shared: Value = box[0]
        return shared

    def gather(self, value: Value) -> list[Value]:
        """Every process's value by rank, in all; waits until each has given its own."""
        if self.n == 1:
            return [value]
        import torch.distributed as dist

        box: list[Any] = [None] * self.n
        with self._waiting():
            dist.all_gather_object(box, value, group=self.group)
        return box

    def together(self, action: Callable[[], Value]) -> Value:
        """What ``action`` gives here, if it succeeded in all processes; else its error, or word of another's."""
        own: BabycliError | None = None
        try:
            value = action()
        except BabycliError as error:
            own = error
        messages = self.gather(own and own.message)
        if own is not None:
            raise own
        for rank, message in enumerate(messages):
            if message is not None:
                raise ModelError(f"process {rank + 1} of {self.n} failed: {message}")
        return value

    def leave(self) -> None:
        """Ends the conversation, whether or not the others are still there."""
        if self.n > 1:
            import torch.distributed as dist

            dist.destroy_process_group()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # what gloo raises when a connection is gone
            raise ProcessesGoneError(
                f"another of the {self.n} processes ended before its work was done; its own message says why",
                "mend that and give the same command again: it goes on from the scores that are on disk",
            ) from error


def join() -> Processes:
    """The processes that this one was started among, by RANK and WORLD_SIZE of the environment; else it is alone.

    Raises UsageError where the environment is half set, ModelError where the others cannot be reached.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return Processes()
    try:
        rank, n, local_rank = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        address = f"{os.environ['MASTER_ADDR']}:{int(os.environ['MASTER_PORT'])}"
    except (KeyError, ValueError) as error:
        raise UsageError(f"WORLD_SIZE is set, but not all of what belongs to it: {error}", _STARTED_BY) from error
    import torch.distributed as dist

    try:
        dist.init_process_group("gloo", timeout=_MEETING)
        return Processes(rank, n, local_rank, dist.new_group(timeout=_PATIENCE, backend="gloo"))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"cannot reach the other processes at {address}: {error}", _STARTED_BY) from error
