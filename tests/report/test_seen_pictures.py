"""A page shows the pictures that a run has seen, or says that they are others now."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from babycli.report import html_images
from tests.conftest import Babycli
from tests.data.demo_copy import DemoCopy, make_dataset, replace
from tests.data.devcv_sets import TOOLBOX, make_set

pytestmark = pytest.mark.usefixtures("empty_folder")

LIMIT = 6


@pytest.fixture
def frames(babycli: Babycli, demo: DemoCopy) -> list[Path]:
    """Those that a run on the dataset has seen, in the order of the rows."""
    make_dataset(demo)
    ran = babycli("eval", "--model", "control:length", "--tasks", "vtwt", "--limit", LIMIT, "--output-path", "logs")
    assert ran.code == 0, ran.err
    names = re.findall(r'"image":"([^"]+)"', next(Path("logs").rglob("*samples_vtwt.jsonl")).read_text())
    return [demo.saycam / name for name in names]


def swap(first: Path, second: Path) -> None:
    content = first.read_bytes()
    replace(first, second.read_bytes())
    replace(second, content)


def page(babycli: Babycli, *words: object) -> tuple[int, list[str], str]:
    """How many pictures it holds, why others are not shown, and what was said."""
    ran = babycli("report", "logs", "--tasks", "vtwt", "--format", "html", "--wrong", "--with-images", *words)
    assert ran.code == 0, ran.err
    told = re.findall(r"no picture: ([^<]*)", ran.out)
    for remark in re.findall(r"warning: (VTWT: .*)", ran.err):
        assert f"Changed since:</strong> {remark}." in ran.out
    return ran.out.count('href="data:image'), told, ran.err


def test_pictures_that_are_the_same_are_shown(babycli: Babycli, frames: list[Path]) -> None:
    n_shown, told, said = page(babycli)
    assert n_shown > 1
    assert told == []
    assert "has seen" not in said


def spoil(frames: list[Path]) -> None:
    for frame in frames:
        replace(frame, frame.read_bytes() + b"!")


CHANGES: dict[str, tuple[Callable[[list[Path]], None], str]] = {
    "one is another": (lambda frames: replace(frames[0], frames[0].read_bytes() + b"!"), "1 of 6 pictures are not"),
    "all are others": (spoil, "6 of 6 pictures are not those that control:length has seen, and not shown"),
    "two are swapped": (lambda frames: swap(frames[0], frames[1]), "or not in the same places"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_picture_is_never_shown_in_silence(babycli: Babycli, frames: list[Path], change: str) -> None:
    n_before, _, _ = page(babycli)
    make, warning = CHANGES[change]
    make(frames)
    n_shown, told, said = page(babycli)
    assert f"VTWT: {warning}" in re.sub(r"the pictures are not those that control:length has seen, ", "", said)
    assert n_shown + len(told) == n_before
    assert n_shown == (0 if change != "one is another" else n_before - len(told))
    assert all("the picture that the run has seen" in why for why in told)


def test_another_picture_is_not_even_decoded(
    babycli: Babycli, frames: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(html_images, "_small", lambda content, name: decoded.append(name))
    spoil(frames)  # as bombs would be, which take seconds each
    n_shown, told, _ = page(babycli)
    assert (n_shown, decoded) == (0, [])
    assert set(told) == {"not the picture that the run has seen"}


def test_without_the_answers_nothing_tells_which_is_another(babycli: Babycli, frames: list[Path]) -> None:
    next(Path("logs").rglob("scores.rank0.jsonl")).unlink()
    assert page(babycli)[0] > 1
    replace(frames[0], frames[0].read_bytes() + b"!")
    n_shown, told, said = page(babycli)
    assert n_shown == 0
    assert set(told) == {"perhaps not the picture that the run has seen"}
    assert "or not in the same places, and not shown" in said


def test_pictures_of_a_set_are_compared_too(babycli: Babycli) -> None:
    make_set(Path("toys"), {"pv_test.json": TOOLBOX["pv_test.json"]})
    assert babycli("data", "link", "--devcv", "toys").code == 0
    eval_words = ("eval", "--model", "control:random", "--tasks", "baby_pv", "--output-path", "more")
    assert babycli(*eval_words).code == 0
    words = ("report", "more", "--format", "html", "--wrong", "--with-images")
    before = babycli(*words)
    assert 'href="data:image' in before.out
    assert "has seen" not in before.out + before.err
    for path in Path("toys/images").iterdir():
        path.write_bytes(path.read_bytes() + b"!")
    ran = babycli(*words)
    assert ran.code == 0
    assert 'href="data:image' not in ran.out
    assert "12 of 12 pictures are not those that control:random has seen, and not shown" in ran.err
