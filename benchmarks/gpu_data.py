"""The data set and the models that several parts of benchmarks/gpu.py work on; each is made by the first that needs it.

Owns what is read of the data set. Never measures anything.
"""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from checkpoints import write_babyllava
from engine import make_images
from gpu_job import COMMAND, FEW, Job
from gpu_labels import write_labels
from whole_commands import words_of

from babycli.data import manifest
from babycli.data.root import DatasetRoot
from babycli.evaluation.inputs import Inputs, read_inputs
from babycli.tasks import select_tasks


def linked(job: Job) -> Path:
    """Gives a dataset folder with stand-ins for all pictures; in the small form with a hundredth of the trials."""
    done = job.work / "dataset-is-whole"
    data = job.work / "dataset"
    if not done.exists():
        labels = job.labels or write_labels(job.work / "labels", FEW if job.small else 1.0)
        make_images(data, labels, job.work, [COMMAND])
        done.touch()
    return data


def inputs_of(data: Path, tasks: str, limit: int | None = None) -> Inputs:
    """Reads label files that nobody has published."""
    with mock.patch.object(manifest, "manifests", dict):
        return read_inputs(DatasetRoot.find(data), select_tasks(tasks), limit, False, lambda n: None)


def babyllava(job: Job, inputs: Inputs) -> Path:
    """Gives a BabyLLaVA of the published shape that knows all words; in the small form a small one."""
    folder = job.work / "models" / "babyllava"
    if (folder / "config.json").exists():
        return folder
    if not job.small:
        return write_babyllava(folder, words_of(inputs), 0)
    from tests.checkpoints import write_checkpoint

    return write_checkpoint(folder, words_of(inputs))
