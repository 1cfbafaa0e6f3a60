"""Visual delayed response, all choices: through which of the eight sides and corners something leaves the frame."""

from __future__ import annotations

from dataclasses import replace

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import Leaving


class VDROpen(Leaving):
    name = "baby_vdr_open"
    title = "Visual Delayed Response (8 choices)"
    short = "VDR 8"
    question = "through which of 8 sides and corners the object leaves the frame"
    order = 16
    # Things leave to the left and right more often than to the top: who prefers these words beats chance.
    metrics = tuple(
        replace(metric, bias_beats_chance=True)
        for metric in (
            *counted("acc_exact", "exact", "exact", 1 / 8, is_main=True),
            *counted("acc_adjacent", "exact or adjacent", "adjac.", 3 / 8),
        )
    )
    n_images = 10


TASK = VDROpen()
