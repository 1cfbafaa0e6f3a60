"""The demo: drawn pictures that come with babycli and stand in for those of all three sources of BabyVLM.

Its label files name them, and manifests/demo.json has the SHA-256 of all.
"""

from __future__ import annotations

from babycli.data.datasets import DataSet

DATA_SET = DataSet(
    "demo",
    "Demo data",
    note="DEMO DATA: drawn pictures that come with babycli; these are not results on SAYCam.",
    is_demo=True,
    order=9,
)
