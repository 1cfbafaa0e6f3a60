"""Many questions at once: threads that answer them, and the order in which this is waited for.

Owns the threads. Never asks anything itself. A thread is one that does not keep the program alive: who interrupts a run
waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue

from babycli.domain import Answer
from babycli.models.base import Question

_Asked = tuple[int, Question]
_Given = tuple[int, Answer | BaseException]
DRAIN_S = 20.0  # for the questions under way when another has failed


class _Flow:
    """Threads that answer questions, each one at a time, until it is ended."""

    def __init__(self, answer: Callable[[Question], Answer], n_threads: int) -> None:
        self._answer, self._n_threads = answer, n_threads
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self.given: SimpleQueue[_Given] = SimpleQueue()
        for _ in range(n_threads):
            threading.Thread(target=self._work, daemon=True).start()

    def ask(self, asked: _Asked) -> None:
        self._asked.put(asked)

    def take_back(self) -> int:
        """Takes the questions back that no thread has begun, and tells how many they are."""
        n = 0
        while True:
            try:
                self._asked.get_nowait()
            except Empty:
                return n
            n += 1

    def end(self) -> None:
        self.take_back()
        for _ in range(self._n_threads):
            self._asked.put(None)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            n, question = asked
            try:
                self.given.put((n, self._answer(question)))
            except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
                self.given.put((n, error))


def answers_of(
    questions: Iterable[Question], answer: Callable[[Question], Answer], n_threads: int, finish: Callable[[], None]
) -> Iterator[tuple[int, Answer]]:
    """Gives the answers as they come, with the numbers of their questions.

    Questions are taken as there is room: one in each thread, and the next one for it. Where one fails, ``finish`` is
    called, the answers to those under way are given, and its error is raised.
    """
    flow, coming = _Flow(answer, n_threads), enumerate(questions)
    n_under_way = 0
    failure: BaseException | None = None
    is_over = False
    try:
        while n_under_way or not is_over:
            if not is_over and n_under_way < 2 * n_threads and flow.given.empty():
                asked = next(coming, None)
                is_over = asked is None
                if asked is not None:
                    flow.ask(asked)
                    n_under_way += 1
                continue
            try:
                n, given = flow.given.get(timeout=None if failure is None else DRAIN_S)
            except Empty:
                break
            n_under_way -= 1
            if not isinstance(given, BaseException):
                yield n, given
                continue
            if failure is None:
                failure, is_over = given, True
                n_under_way -= flow.take_back()
                finish()
    finally:
        flow.end()
    if failure is not None:
        raise failure
