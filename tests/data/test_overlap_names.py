"""What the names of SAYCam's frames tell: held against the published label files, and in bounded work."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from babycli.data.overlap_names import Frame, NameIndex, frame_of, path_of, recording_of_film

BORN = date(2012, 10, 17)


@pytest.fixture(scope="module")
def frames(shared: Path) -> list[str]:
    names: dict[str, None] = {}
    for task in ("vtwt", "baby_winoground", "SAYCam_caption"):
        with (shared / "labels" / task / f"{task}.csv").open() as file:
            names.update(dict.fromkeys(row["image"] for row in csv.DictReader(file)))
    return [name for name in names if "_neg" not in name]


def test_all_published_frames_are_read_and_bear_the_reading_out(frames: list[str]) -> None:
    read = [frame_of(name) for name in frames]
    assert (len(frames), sum(frame is None for frame in read)) == (1244, 0)
    found = [frame for frame in read if frame is not None]
    assert max(frame.number for frame in found) == 31  # so many frames has an utterance
    assert max(frame.utterance for frame in found) == 480  # no seconds
    for frame in found:
        _, day, age, _ = frame.recording.split("_")
        months, days = int(age[:2]), int(age[2:])
        recorded = date.fromisoformat(day)
        year, month = divmod(BORN.month - 1 + months, 12)
        whole_months = date(BORN.year + year, month + 1, BORN.day)
        assert (recorded - whole_months).days == days, frame  # no time of day


def test_a_frame_is_no_picture_made_of_one(frames: list[str]) -> None:
    assert frame_of("a/b/S_20140420_1803_01_082_05.png") == Frame("S_20140420_1803_01", 82, 5)
    assert frame_of("S_20140420_1803_01_082_05") == Frame("S_20140420_1803_01", 82, 5)
    for other in ("S_20140420_1803_01_082_00_neg.jpeg", "demo_frame_001.png", "S_2014_1803_01_082_00.jpg", ""):
        assert frame_of(other) is None
    assert recording_of_film("x\\S_20140420_1803_01.mp4") == "S_20140420_1803_01"
    assert recording_of_film("S_20140420.mp4") == ""


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b.jpg", "a/b"),
        ("a\\b.JPEG", "a/b"),
        ("https://host/a/b.jpg?width=2", "host/a/b"),
        ("file:///a/b.jpg", "/a/b"),
        ("b.tar", "b.tar"),
        ("be\u0301.jpg", "b\u00e9"),
    ],
)
def test_a_name_without_what_says_nothing(name: str, path: str) -> None:
    assert path_of(name) == path


def test_the_nearest_frame_is_found_as_by_looking_at_all_pairs() -> None:
    ours = [f"S_20140420_1803_01_{u:03}_{f:02}.jpg" for u in (1, 2) for f in range(0, 32, 7)]
    theirs = [f"S_20140420_1803_01_{u:03}_{f:02}.jpg" for u in (2, 3) for f in range(0, 32, 5)]
    found = NameIndex(("", name) for name in ours).look_at(theirs)
    for name in ours:
        frame = frame_of(name)
        assert frame is not None
        same = [other for each in theirs if (other := frame_of(each)) and other.utterance == frame.utterance]
        nearest = min((abs(other.number - frame.number) / 5 for other in same), default=None)
        assert (found["", name].seconds if found["", name].nearest else None) == nearest
