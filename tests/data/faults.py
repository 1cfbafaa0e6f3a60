"""Faults that a copy of the data can have, planted at seeded places, and how each is mended again.

Owns the planting and what verify must say of it. Never calls babycli.
"""

from __future__ import annotations

import csv
import io
import os
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from tests.data.demo_copy import LABEL_FILES, LINKS, DemoCopy

N_MORE_FRAMES = 1_200
Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset of more files than a process looks at in one go: the demo's, and frames that no task reads."""

    dataset: Path
    demo: DemoCopy
    synthetic_zip: Path
    readers: dict[Path, list[str]]  # tasks that read a file
    files: list[Path]  # all that are no members of the zip
    members: list[str]

    def tasks_of(self, path: Path) -> list[str]:
        """A file that no task reads is reported once, with no task."""
        return self.readers.get(path, [""])


@dataclass(slots=True)
class Planted:
    """What must be reported: (task, path) -> the kinds that are right for it."""

    expected: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    undo: list[Undo] = field(default_factory=list)


def write_more_frames(folder: Path, rng: random.Random) -> None:
    for i in range(N_MORE_FRAMES):
        stream = io.BytesIO()
        Image.frombytes("L", (8, 8), rng.randbytes(64)).save(stream, "JPEG", comment=rng.randbytes(rng.randrange(900)))
        (folder / f"S_20140420_1803_{i // 100:02d}_{i % 100:03d}_00.jpg").write_bytes(stream.getvalue())


def make_data(demo: DemoCopy, folder: Path) -> Data:
    """Of linked demo data in ``folder``: what is there."""
    readers: dict[Path, list[str]] = {}
    zipped = folder / "synthetic.zip"
    for task, label_file in LABEL_FILES.items():
        with (demo.labels / label_file).open(newline="") as stream:
            for row in csv.DictReader(stream):
                link = f"{label_file.split('/')[0]}/images"
                if task == "baby_winoground":
                    link = f"baby_winoground/{row['image_tag']}_images"
                source = zipped if "negative" in link else demo.folder / LINKS[link]
                of_file = readers.setdefault(source / row["image"], [])
                of_file += [task] if task not in of_file else []
    files = sorted(p for source in (demo.saycam, demo.labeled_s) for p in source.rglob("*") if p.is_file())
    with zipfile.ZipFile(zipped) as archive:
        members = archive.namelist()
    return Data(folder / "dataset", demo, zipped, readers, files, members)


class Planter:
    """Plants each kind of fault at a place that the seed decides, never two in one file."""

    def __init__(self, data: Data, rng: random.Random, aside: Path) -> None:
        self._data = data
        self._rng = rng
        self._aside = aside  # where originals wait
        self._free = list(data.files)
        rng.shuffle(self._free)
        self.planted = Planted()

    def _take(self) -> Path:
        return self._free.pop()

    def _move_aside(self, path: Path) -> bytes:
        """Puts the original away, to be moved back to its place: the same inode and times."""
        content = path.read_bytes()
        kept = self._aside / f"{len(self.planted.undo)}"
        os.rename(path, kept)  # noqa: PTH104

        def undo() -> None:
            path.unlink(missing_ok=True)
            os.rename(kept, path)  # noqa: PTH104

        self.planted.undo.append(undo)
        return content

    def _expect(self, path: Path, *kinds: str) -> None:
        for task in self._data.tasks_of(path):
            self.planted.expected[task, str(path)] = set(kinds)

    def bit_flip(self) -> None:
        path = self._take()
        raw = bytearray(self._move_aside(path))
        raw[self._rng.randrange(len(raw))] ^= 1 << self._rng.randrange(8)
        path.write_bytes(raw)
        self._expect(path, "ChecksumMismatch", "NotAnImage", "Truncated")

    def bit_flip_with_the_old_time(self) -> None:
        """In place, the size kept and the time of change set back: only ctime tells."""
        path = self._take()
        status, old = path.stat(), path.read_bytes()
        raw = bytearray(old)
        raw[self._rng.randrange(len(raw) // 2, len(raw) - 20)] ^= 1
        path.write_bytes(raw)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

        def undo() -> None:
            path.write_bytes(old)

        self.planted.undo.append(undo)
        self._expect(path, "ChecksumMismatch", "Truncated")  # one that makes a marker of another byte

    def truncation(self) -> None:
        path = self._take()
        content = self._move_aside(path)
        path.write_bytes(content[: self._rng.randrange(1, len(content))])
        self._expect(path, "Truncated", "ChecksumMismatch", "NotAnImage")

    def zero_length(self) -> None:
        path = self._take()
        self._move_aside(path)
        path.touch()
        self._expect(path, "Empty")

    def missing(self) -> None:
        path = self._take()
        self._move_aside(path)
        self._expect(path, "Missing")

    def swap(self) -> None:
        one = self._take()
        two = next(path for path in reversed(self._free) if path.suffix == one.suffix)
        self._free.remove(two)
        first, second = self._move_aside(one), self._move_aside(two)
        one.write_bytes(second)
        two.write_bytes(first)
        self._expect(one, "ChecksumMismatch")
        self._expect(two, "ChecksumMismatch")

    def copied_over(self) -> None:
        trials = {path for path, tasks in self._data.readers.items() if {"labeled_s", "baby_winoground"} & set(tasks)}
        path = next(each for each in reversed(self._free) if each not in trials)  # equal bytes there are a fault more
        self._free.remove(path)
        other = next(each for each in reversed(self._free) if each.suffix == path.suffix)
        self._move_aside(path)
        path.write_bytes(other.read_bytes())
        self._expect(path, "ChecksumMismatch")

    def rename(self) -> None:
        path = self._take()
        new = path.with_name(f"renamed_{path.name}")
        new.write_bytes(self._move_aside(path))
        self.planted.undo.append(new.unlink)
        self._expect(path, "Missing")
        self._expect(new, "Unexpected")

    def case_change(self) -> None:
        path = self._take()
        new = path.with_name(path.name.swapcase())
        new.write_bytes(self._move_aside(path))
        self.planted.undo.append(new.unlink)
        self._expect(path, "CaseMismatch")

    def wrong_folder(self) -> None:
        path = next(path for path in reversed(self._free) if self._data.demo.labeled_s in path.parents)
        self._free.remove(path)
        others = sorted(p for p in self._data.demo.labeled_s.iterdir() if p != path.parent)
        new = self._rng.choice(others) / path.name
        if new.exists():
            return
        new.write_bytes(self._move_aside(path))
        self.planted.undo.append(new.unlink)
        self._expect(path, "WrongFolder")

    def one_too_many(self) -> None:
        new = self._data.demo.saycam / f"extra {self._rng.randrange(10**9)}.jpg"
        new.write_bytes(self._rng.randbytes(100))
        self.planted.undo.append(new.unlink)
        self._expect(new, "Unexpected")

    def corrupt_member(self) -> None:
        if any(subject.startswith(str(self._data.synthetic_zip)) for _, subject in self.planted.expected):
            return  # one at a time: each moves the zip aside
        name = self._rng.choice(self._data.members)
        raw = bytearray(self._data.synthetic_zip.read_bytes())
        with zipfile.ZipFile(self._data.synthetic_zip) as archive:
            info = archive.getinfo(name)
        at = info.header_offset + 30 + len(name) + self._rng.randrange(info.compress_size)
        raw[at] ^= 1 << self._rng.randrange(8)
        self._move_aside(self._data.synthetic_zip)
        self._data.synthetic_zip.write_bytes(raw)
        self._expect(self._data.synthetic_zip / name, "ChecksumMismatch")

    def replaced_link(self) -> None:
        link = self._data.dataset / "vtwt/images"
        if ("vtwt", str(link)) in self.planted.expected:
            return
        old = os.readlink(link)
        to = self._rng.choice([str(self._data.demo.labels), str(self._data.demo.labeled_s), "nowhere", "images"])
        link.unlink()
        link.symlink_to(to)

        def undo() -> None:
            link.unlink()
            link.symlink_to(old)

        self.planted.undo.append(undo)
        self.planted.expected["vtwt", str(link)] = {"LinkBroken", "WrongFolder"}

    def expected(self) -> dict[tuple[str, str], set[str]]:
        """What must be reported. Where its link leads elsewhere, a task has no images to be reported for."""
        expected = self.planted.expected
        link = ("vtwt", str(self._data.dataset / "vtwt/images"))
        if link not in expected:
            return expected
        changed = {link: expected[link]}
        for (task, path), kinds in expected.items():
            if task != "vtwt":
                changed[task, path] = kinds
            elif path != link[1] and self._data.readers[Path(path)] == ["vtwt"]:
                changed["", path] = kinds
        return changed

    def torn_index(self) -> None:
        """No fault of the data: verify must not even mention it."""
        for path in (self._data.dataset / ".babycli").glob("*"):
            raw = bytearray(path.read_bytes()) or bytearray(b"\n")  # another round may have emptied it
            at = self._rng.randrange(len(raw))
            harm = self._rng.randrange(4)
            if harm == 0:
                raw = raw[:at]
            elif harm == 1:
                raw[at] ^= 1 << self._rng.randrange(8)
            elif harm == 2:
                raw += self._rng.randbytes(50)
            else:
                raw = bytearray(b"another program's\n")
            path.write_bytes(raw)


FAULTS: tuple[Callable[[Planter], None], ...] = (
    Planter.bit_flip,
    Planter.bit_flip_with_the_old_time,
    Planter.truncation,
    Planter.zero_length,
    Planter.missing,
    Planter.swap,
    Planter.copied_over,
    Planter.rename,
    Planter.case_change,
    Planter.wrong_folder,
    Planter.one_too_many,
    Planter.corrupt_member,
    Planter.replaced_link,
    Planter.torn_index,
)
