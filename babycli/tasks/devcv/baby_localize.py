"""Localization: in which quarter of a picture an object is."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import LetterTask


class Localization(LetterTask):
    name = "baby_localize"
    title = "Localization"
    short = "Localize"
    question = "in which quarter of the picture the object is"
    order = 12
    metrics = counted("acc", "acc", "acc", 1 / 4, is_main=True)
    n_images = 1
    leaves_out_missing = True


TASK = Localization()
