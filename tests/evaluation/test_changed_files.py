"""Pictures that change while a run goes on: an answer is of the bytes whose digests are logged, or there is none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from babycli.models.parts.llava_model import LlavaModel
from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run

FRAMES = Path("dataset/vtwt/images")
VTWT = ("--tasks", "vtwt", "--batch-size", 4, "--batch-check", 0)


@pytest.fixture
def own_frames(linked: Path) -> list[Path]:
    """The frames of the dataset as copies."""
    shutil.copytree(FRAMES.resolve(), "frames")
    FRAMES.unlink()
    FRAMES.symlink_to(Path("frames").resolve())
    return sorted(Path("frames").iterdir())


def swap(frames: list[Path]) -> None:
    contents = [path.read_bytes() for path in frames]
    for path, content in zip(frames, reversed(contents), strict=True):
        path.write_bytes(content)


def swap_behind_the_first_batch(patch: pytest.MonkeyPatch, frames: list[Path]) -> None:
    encode = LlavaModel.encode
    is_swapped = False

    def encode_and_swap(self: LlavaModel, pixels: Any) -> Any:
        nonlocal is_swapped
        if not is_swapped:
            is_swapped = True
            swap(frames)
        return encode(self, pixels)

    patch.setattr(LlavaModel, "encode", encode_and_swap)


@pytest.mark.parametrize("control", [(), ("--control", "shuffled")], ids=["real", "shuffled"])
def test_pictures_that_are_swapped_end_the_run(
    control: tuple[str, ...],
    own_frames: list[Path],
    small: Path,
    babycli: Babycli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = babycli("eval", "--model", small, *VTWT, *control, "--output-path", "sound")
    assert sound.code == 0, sound.err
    wanted = {line["key"]: line for line in told(Path("sound"))}
    with monkeypatch.context() as patch:
        swap_behind_the_first_batch(patch, own_frames)
        ran = babycli("eval", "--model", small, *VTWT, *control, "--cache", "cache")
    assert ran.code == 4
    assert "has changed since this run began" in ran.err
    assert all(line == wanted[line["key"]] for line in told(Path("logs")))
    swap(own_frames)
    again = babycli("eval", "--model", small, *VTWT, *control, "--cache", "cache")
    assert again.code == 0, again.err
    assert {line["key"]: line for line in told(Path("logs"))} == wanted


def told(logs: Path) -> list[dict[str, Any]]:
    """The answers of a run, each with what identifies it."""
    answers = lines(only_run(logs) / "scores.rank0.jsonl")
    return [line | {"key": repr((line["turns"], line.get("answer")))} for line in answers]
