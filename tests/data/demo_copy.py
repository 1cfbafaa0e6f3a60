"""Copies of the demo data that a test may spoil, and what a folder looks like before and after a command.

Owns no expectation: what must come out stands in the tests.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

DATASET = Path("dataset")  # the default dataset folder; tests change into a folder of their own

LABEL_FILES = {
    "labeled_s": "labeled_s/labeled_s.csv",
    "vtwt": "vtwt/vtwt.csv",
    "baby_winoground": "baby_winoground/baby_winoground.csv",
    "saycam_caption": "SAYCam_caption/SAYCam_caption.csv",
}

# link -> the folder of the demo's downloads that it leads to
LINKS = {
    "labeled_s/images": "labeled_s_images",
    "vtwt/images": "saycam_images",
    "SAYCam_caption/images": "saycam_images",
    "baby_winoground/positive_images": "saycam_images",
    "baby_winoground/negative_images": "synthetic_images",
}

# Of the demo's frames 0 to 39 are Winoground's too and 52 to 99 have captions: this one is VTWT's alone.
VTWT_FRAME = "demo_frame_045.png"


@dataclass(frozen=True, slots=True)
class DemoCopy:
    """The demo's downloads in a folder of their own."""

    folder: Path

    @property
    def saycam(self) -> Path:
        return self.folder / "saycam_images"

    @property
    def labeled_s(self) -> Path:
        return self.folder / "labeled_s_images"

    @property
    def synthetic(self) -> Path:
        return self.folder / "synthetic_images"

    @property
    def labels(self) -> Path:
        return self.folder / "labels"

    @property
    def frame(self) -> Path:
        """A frame that only VTWT reads."""
        return self.saycam / VTWT_FRAME

    @property
    def link_words(self) -> tuple[object, ...]:
        given = (self.saycam, "--labeled-s", self.labeled_s, "--synthetic", self.synthetic, "--from", self.labels)
        return ("data", "link", *given)


def copy_demo(downloads: Path, folder: Path, copies: bool = False) -> DemoCopy:
    """Without ``copies`` the images are hard links, for speed: replace() them, never write into them."""
    shutil.copytree(downloads, folder, copy_function=shutil.copy2 if copies else os.link)
    for path in LABEL_FILES.values():
        replace(folder / "labels" / path, (downloads / "labels" / path).read_bytes())
    return DemoCopy(folder)


def replace(path: Path, content: bytes) -> None:
    """Another file in the place of this one."""
    path.unlink()
    path.write_bytes(content)


def make_dataset(demo: DemoCopy) -> None:
    """What `babycli data link` makes of all the demo data, in ./dataset."""
    shutil.copytree(demo.labels, DATASET)
    for link, source in LINKS.items():
        (DATASET / link).symlink_to(demo.folder / source)


def links_in(dataset: Path) -> dict[str, str]:
    """Every link of a dataset folder and where it points, as it is written."""
    return {link: os.readlink(dataset / link) for link in LINKS if (dataset / link).is_symlink()}


def snapshot(folder: Path) -> dict[str, object]:
    """All that is below a folder, its links not followed; equal only when no file or link was written anew."""
    found: dict[str, object] = {}
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent) / name for name in folders + files):
            name, status = str(path.relative_to(folder)), path.lstat()
            if path.is_dir() and not path.is_symlink():
                found[name] = "folder"
            else:
                content = os.readlink(path) if path.is_symlink() else path.read_bytes()
                found[name] = (content, status.st_ino, status.st_mtime_ns)
    return found


def skip_unless_permissions_count(folder: Path) -> None:
    """Skips for a user to whom mode bits mean nothing, such as root."""
    locked = folder / "locked"
    locked.touch()
    locked.chmod(0)
    if os.access(locked, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        pytest.skip("this user may read and write everything")
