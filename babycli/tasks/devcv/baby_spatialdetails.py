"""Spatial details: which of three pictures has exactly the object of the first; up to four in those of the NIH."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import SamePicture


class SpatialDetails(SamePicture):
    name = "baby_spatialdetails"
    title = "Spatial Details"
    short = "Details"
    question = "which of 3 pictures contains exactly the object of the first"
    order = 14
    metrics = counted("acc", "acc", "acc", 1 / 3, is_main=True)
    n_images = 4


TASK = SpatialDetails()
