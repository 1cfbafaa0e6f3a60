"""Pictures of Machine-DevBench (Lin et al. 2026): they come with its manifests, in one folder or zip."""

from __future__ import annotations

from babycli.bibliography import EGOBABYVLM
from babycli.data.datasets import DataSet
from babycli.data.sources.base import Source

MACHINE_DEVBENCH = "machine_devbench"  # the name of the source, of the set of data, and of the benchmark
SOURCE = Source(MACHINE_DEVBENCH, "pictures of Machine-DevBench", option="--machine-devbench DIR", order=60)
DATA_SET = DataSet(MACHINE_DEVBENCH, "Machine-DevBench", papers=(EGOBABYVLM,), order=6)
