"""Memory: a conversation in which every picture but one is old, and the new one is to be touched.

The first third of the turns are learning: each shows the picture that was new the turn before, and a new one. In the
other two thirds, the testing, each learnt object comes back twice, beside a new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from babycli.domain import Row
from babycli.tasks.devcv import reference
from babycli.tasks.devcv.answers import LETTER
from babycli.tasks.devcv.dialogue import DevCVTask, counted
from babycli.tasks.devcv.entries import Question, objects_of
from babycli.tasks.devcv.turns import Credits
from babycli.tasks.groups import TURN


class BabyMemory(DevCVTask):
    name = "baby_memory"
    title = "Memory"
    question = "which picture is new, turn after turn"
    unit = "conversations"
    order = 20
    kind = LETTER
    metrics = (
        *counted("acc_learning", "learning", "learn", 1 / 2),
        *counted("acc_testing_raw", "testing", "test", 1 / 2),
        *counted("acc_testing_adjusted", "testing, both turns of an object", "memory", 1 / 4, is_main=True),
    )
    legend = "learn: learning turns; test: testing turns; memory: objects of which both testing turns are right"
    groupings = (*DevCVTask.groupings, TURN)
    max_new_tokens = 128
    n_images = 29
    n_turns = 15

    def structure_faults(self, questions: Sequence[Question]) -> Iterator[str]:
        if not questions or len(questions) % 3:
            yield f"has {len(questions)} turns, should have three for each object: one to learn it and two to test it"
        seen: set[str] = set()
        for n, question in enumerate(questions, 1):
            letters, objects = question.letters, [_name(thing) for thing in question.objects]
            due = 1 if n == 1 else 2
            if len(letters) != due:
                yield f"offers {len(letters)} letters in turn {n}, should offer {due}"
            if len(question.pictures) != len(letters):
                yield f"shows {len(question.pictures)} pictures in turn {n}, which offers {len(letters)}"
            if question.objects and len(objects) != len(letters):
                yield f"has labels for {len(objects)} pictures in turn {n}, which offers {len(letters)}"
            elif objects and self.right(question) in letters:
                old = objects[letters.index(self.right(question) or "")]
                others = [thing for thing in objects if thing != old]
                if old in seen and not all(other in seen for other in others):
                    yield f"has the answer {question.right} in turn {n}, whose label {old!r:.40} is not new"
            seen.update(objects)

    def count(self, credits: Credits, questions: Sequence[Question]) -> dict[str, float]:
        hits = [credit.get(self.right(q) or "", 0.0) for credit, q in zip(credits, questions, strict=True)]
        n = len(hits) // 3
        remembered = [hits[i] * hits[k] for i, k in pairs(questions)]
        return {
            "acc_learning": _mean(hits[:n]),
            "acc_testing_raw": _mean(hits[n:]),
            "acc_testing_adjusted": _mean(remembered),
        }

    def place(self, turn: int, n_turns: int) -> dict[str, Any]:
        return super().place(turn, n_turns) | {"phase": "learning" if turn < n_turns // 3 else "testing"}

    def count_as_authors(
        self, replies: Sequence[str | None], questions: Sequence[Question], row: Row
    ) -> dict[str, float]:
        counts = reference.memory(
            [LETTER.extract(reply) for reply in replies],
            [self.right(question) for question in questions],
            objects_of(row),
        )
        return {
            "acc_learning": counts.learning,
            "acc_testing_raw": counts.raw,
            "acc_testing_adjusted": counts.adjusted,
        }


def pairs(questions: Sequence[Question]) -> list[tuple[int, int]]:
    """Gives the two testing turns of each learnt object that comes back in exactly two.

    The old picture of a turn is the one that is not to be touched. It is known by its label or, in an entry without
    labels, by the name of its file.
    """
    n = len(questions) // 3
    learnt = {thing for question in questions[:n] for thing in _things(question).values()}
    turns: dict[str, list[int]] = {}
    for i, question in enumerate(questions[n:], n):
        right = LETTER.right(question)
        for thing in {thing for letter, thing in _things(question).items() if letter != right} & learnt:
            turns.setdefault(thing, []).append(i)
    return [(of_thing[0], of_thing[1]) for of_thing in turns.values() if len(of_thing) == 2]


def _things(question: Question) -> dict[str, str]:
    """Gives what each letter stands for: a label, or the name of a picture."""
    if question.objects:
        return dict(zip(question.letters, map(_name, question.objects), strict=False))
    return question.pictured_options


def _name(thing: str) -> str:
    """Gives the name of an object in the form in which names are compared."""
    return " ".join(thing.casefold().split())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


TASK = BabyMemory()
