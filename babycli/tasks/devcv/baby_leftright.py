"""Left/right: which of three pictures is the same as the first."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import SamePicture


class LeftRight(SamePicture):
    name = "baby_leftright"
    title = "Left/Right"
    short = "Left/Right"
    question = "which of 3 pictures is the same as the first, and not turned or mirrored"
    order = 13
    metrics = counted("acc", "acc", "acc", 1 / 3, is_main=True)
    n_images = 4


TASK = LeftRight()
