"""Visual delayed response, two choices: through which of two opposite sides or corners something leaves the frame."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import Leaving


class VDRBinary(Leaving):
    name = "baby_vdr_binary"
    title = "Visual Delayed Response (2 choices)"
    short = "VDR 2"
    question = "through which of 2 opposite sides or corners the object leaves the frame"
    order = 15
    metrics = (
        *counted("acc_exact", "exact", "exact", 1 / 2, is_main=True),
        *counted("acc_adjacent", "exact or adjacent", "adjac.", 1 / 2),
    )
    n_images = 10


TASK = VDRBinary()
