"""Subitizing: how many there are, where a glance tells. It has no place on the leaderboard."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import Counting


class Subitize(Counting):
    name = "baby_subitize"
    title = "Subitizing"
    short = "Subitize"
    question = "how many of the object there are, at a glance"
    order = 21
    metrics = counted("acc", "acc", "acc", None, is_main=True)
    n_images = 1


TASK = Subitize()
