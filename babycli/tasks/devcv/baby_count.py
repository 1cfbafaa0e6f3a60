"""Counting: how many of an object there are, from 1 to 12."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import Counting


class Count(Counting):
    name = "baby_count"
    title = "Counting"
    short = "Count"
    question = "how many of the object there are"
    order = 19
    metrics = counted("acc", "acc", "acc", None, is_main=True)
    n_images = 1


TASK = Count()
