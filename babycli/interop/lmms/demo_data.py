"""The demo's data laid out as a dataset folder, for a check that needs no data of the user's.

Owns the layout of that folder. Never checks the data: they come with babycli.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from babycli.commands.demo import DOWNLOADS
from babycli.data.root import DatasetRoot
from babycli.errors import DataError
from babycli.tasks import all_tasks
from babycli.tasks.base import Task

_ARCHIVE = DOWNLOADS.parent / "devcv.zip"
DEVCV, SET = "devcv", "demo"
WINOGROUND = "baby_winoground"


def lay_out(folder: Path) -> DatasetRoot:
    """Unpacks the demo's pictures and label files into a new folder, and links them. Raises DataError without them."""
    if not _ARCHIVE.is_file():
        raise DataError(
            f"{_ARCHIVE} is not there: the demo's DevCV set", "compare on your own data:  --data DIR --set NAME"
        )
    downloads, dataset = folder / "downloads", folder / "dataset"
    for archive, place in ((DOWNLOADS, downloads), (_ARCHIVE, downloads / "devcv")):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(place)
    of_set = dataset / DEVCV / SET
    of_set.mkdir(parents=True)
    (of_set / "images").symlink_to(downloads / "devcv")
    for task in devcv_tasks():
        (dataset / task.label_path).symlink_to(downloads / "devcv" / f"{task.name.removeprefix('baby_')}_test.json")
    (dataset / WINOGROUND).mkdir()
    (dataset / WINOGROUND / "positive_images").symlink_to(downloads / "saycam_images")
    (dataset / WINOGROUND / "negative_images").symlink_to(downloads / "synthetic_images")
    labels = f"{WINOGROUND}/{WINOGROUND}.csv"
    (dataset / labels).symlink_to(downloads / "labels" / labels)
    return DatasetRoot(dataset)


def devcv_tasks(data_set: str = SET) -> list[Task]:
    """Gives the tasks of DevCV on a set of data."""
    return [task.of_set(data_set) for task in all_tasks().values() if task.sets_of]
