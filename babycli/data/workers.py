"""A pool of processes for work on many files: threads would wait for each other's locks.

Owns the pool: how many processes, how much each gets at a time, and that none outlives the command. Never reads a
file itself.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from babycli.errors import DataError

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")

CHUNK = 512  # files in a task: a task for each file would cost more than its hash
_MIN_PROCESSES = 4
_MAX_PROCESSES = 32
_AHEAD = 4  # tasks that wait for each process
_WATCH_S = 0.2

_held: Any = None  # in a worker: what every task of its pool needs


def chunks(n_items: int, size: int = CHUNK) -> list[tuple[int, int]]:
    """Cuts items into tasks of ``size`` and gives the bounds (from, to) of each."""
    return [(start, min(start + size, n_items)) for start in range(0, n_items, size)]


def n_processes() -> int:
    """Gives the number of worker processes: as many as this process may use cores, within bounds."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(_MIN_PROCESSES, min(cores, _MAX_PROCESSES))


def map_in_processes(
    function: Callable[[Shared, Task], Result], shared: Shared, tasks: Sequence[Task]
) -> Iterator[Result]:
    """Computes ``function(shared, task)`` for every task, in their order.

    ``shared`` is sent to each process once; where processes are forked, it is not even copied. This process does the
    work itself where there is a single task, or where the system allows too few files, processes or threads.
    Raises what ``function`` raises, and DataError where a process dies.
    """
    if len(tasks) <= 1:
        yield from (function(shared, task) for task in tasks)
        return
    n = min(n_processes(), len(tasks))
    left = iter(tasks)
    try:
        pool = _pool(n, shared)
        waiting = deque(pool.submit(_run, function, task) for task in islice(left, n * _AHEAD))
    except (OSError, RuntimeError):  # RuntimeError of threads
        for child in multiprocessing.active_children():
            child.kill()  # it would wait for work for ever
        yield from (function(shared, task) for task in tasks)
        return
    try:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(_run, function, task) for task in islice(left, 1))
    except BrokenProcessPool as error:
        raise DataError("a worker process was killed, perhaps because memory ran out", "run it again") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(n: int, shared: object) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    return ProcessPoolExecutor(n, context, _begin, (shared, os.getpid()))


def _begin(shared: object, parent: int) -> None:
    global _held  # a pool gives its processes no other place to keep it
    _held = shared
    gc.freeze()  # what was forked is never looked through again, so its memory stays shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command itself ends its pool
    for name in ("SIGTERM", "SIGHUP"):  # not as the command heeds them
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process soon after the command that started it is gone, perhaps killed."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


def _run(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_held, task)
