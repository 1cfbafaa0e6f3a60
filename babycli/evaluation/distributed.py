"""The processes of one evaluation, as accelerate launch and torchrun start them.

Owns how they find each other and exchange values: torch.distributed with gloo, which needs no GPU, as the values are
small. Never decides what a process does. The others notice a dead process when they next wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from babycli.errors import BabycliError, ModelError, UsageError
from babycli.wording import whole_number

Value = TypeVar("Value")
_MEETING = timedelta(minutes=10)  # how long the processes wait for each other at the start
_PATIENCE = timedelta(days=7)  # how much longer than another a process may work; a dead one is noticed at once
_STARTED_BY = "start it with  accelerate launch --num_processes N -m babycli eval ...  or torchrun"
_MEET = (
    "start all of them, where the first can be reached by that name and nobody else uses that port; "
    "GLOO_SOCKET_IFNAME=NAME names the network of a machine whose own name leads elsewhere"
)


class ProcessesGoneError(ModelError):
    """An error because another process has ended early, so that nothing can be done together any more."""


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
        """Gives the first process's value in all processes."""
        if self.n == 1:
            return value
        import torch.distributed as dist

        box: list[Any] = [value]
        with self._waiting():
            dist.broadcast_object_list(box, src=0, group=self.group)
        shared: Value = box[0]
        return shared

    def gather(self, value: Value) -> list[Value]:
        """Gives the values of all processes, by rank, in all processes; waits until each has given its own."""
        if self.n == 1:
            return [value]
        import torch.distributed as dist

        box: list[Any] = [None] * self.n
        with self._waiting():
            dist.all_gather_object(box, value, group=self.group)
        return box

    def together(self, action: Callable[[], Value]) -> Value:
        """Runs ``action`` in all processes, and gives its result here if all succeeded.

        Raises this process's own error, else ModelError with the message of another process.
        """
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
        """Leaves the group of processes, whether or not the others are still there."""
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
    """Joins the processes that this one was started with, by RANK and WORLD_SIZE of the environment; else it is alone.

    Raises UsageError where only a part of these variables is set, ModelError where the others cannot be reached.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return Processes()
    try:
        rank, n, local_rank, port = map(_number_in, ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"))
        if not 0 <= rank < n or not 0 < port < 1 << 16:
            raise ValueError(f"RANK is {rank} of {n}, MASTER_PORT is {port}")
        address = f"{os.environ['MASTER_ADDR']}:{port}"
    except (KeyError, ValueError) as error:
        raise UsageError(f"WORLD_SIZE is set, but not all of what belongs to it: {error}", _STARTED_BY) from error
    import torch.distributed as dist

    try:
        dist.init_process_group("gloo", timeout=_MEETING)
        return Processes(rank, n, local_rank, dist.new_group(timeout=_PATIENCE, backend="gloo"))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"cannot meet the other processes at {address}: {error}", _MEET) from error


def _number_in(variable: str) -> int:
    """Reads a number in the environment. Raises KeyError or ValueError."""
    number = whole_number(os.environ[variable])
    if number is None:
        raise ValueError(f"{variable} is {os.environ[variable]!r:.40}")
    return number
