"""Who has more, synthetic pictures: which of two has more of an object."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import LetterTask


class CompareSynthetic(LetterTask):
    name = "baby_compare_synthetic"
    title = "Who Has More (synthetic)"
    short = "More, synth."
    question = "which of 2 synthetic pictures has more of the object"
    order = 18
    metrics = counted("acc", "acc", "acc", 1 / 2, is_main=True)
    n_images = 2


TASK = CompareSynthetic()
