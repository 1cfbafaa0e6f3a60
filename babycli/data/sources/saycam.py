"""Frames of SAYCam (Sullivan et al. 2021), as Databrary delivers them: a folder, or the zip ``frames.txt``."""

from __future__ import annotations

from babycli.bibliography import SAYCAM
from babycli.data.datasets import DataSet
from babycli.data.sources.base import Source

SOURCE = Source("saycam", "SAYCam frames", option="SAYCAM-FOLDER", order=1)
# What BabyVLM's authors publish, with the pictures that it names.
DATA_SET = DataSet("saycam", "SAYCam", papers=(SAYCAM,), order=1)
