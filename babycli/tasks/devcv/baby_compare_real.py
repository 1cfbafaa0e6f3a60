"""Who has more, natural pictures: which of two has more of an object."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import LetterTask


class CompareReal(LetterTask):
    name = "baby_compare_real"
    title = "Who Has More (natural)"
    short = "More, real"
    question = "which of 2 natural pictures has more of the object"
    order = 17
    metrics = counted("acc", "acc", "acc", 1 / 2, is_main=True)
    n_images = 2


TASK = CompareReal()
