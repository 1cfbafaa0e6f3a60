"""Pictures that change while a run goes on: an answer is of the bytes whose digests are logged, or there is none."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babycli.logs.answers import Answered
from babycli.logs.runlog import RunLog
from babycli.models.parts import checkpoint
from babycli.models.parts.llava_model import LlavaModel
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import Babycli
from tests.data.devcv_sets import left_right, make_set
from tests.data.zipped import zip_folder
from tests.evaluation.logs import lines, only_run, read_json
from tests.hf_checkpoints import write_hf
from tests.models.test_clip import write as write_clip

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
        aside = Path(f"aside-{path.name}")
        aside.write_bytes(content)
        aside.replace(path)  # a file that is being written could be read half


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


@pytest.mark.parametrize(
    "control",
    [pytest.param((), id="real"), pytest.param(("--control", "shuffled"), id="shuffled", marks=pytest.mark.long)],
)
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


OWN_MODEL = """
class Own:
    def __init__(self, device, dtype): pass
    def similarity(self, images, texts): return [float(len(t)) for t in texts]
"""


def as_zip(frames: list[Path]) -> Path:
    """The frames in a zip, which the link leads to."""
    path = Path("frames.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for frame in frames:
            archive.write(frame, frame.name)
    FRAMES.unlink()
    FRAMES.symlink_to(path.resolve())
    return path


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def make_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to(Path(__file__))


def flip_bytes(path: Path) -> None:
    """In place; of a zip, headers and directory stay as they are."""
    content = bytearray(path.read_bytes())
    for at in range(60, len(content) * 3 // 4, 97):
        content[at] ^= 64
    path.write_bytes(content)


@pytest.mark.parametrize("is_zip", [False, True], ids=["folder", "zip"])
def test_pictures_that_cannot_be_read_any_more_end_the_run(
    is_zip: bool, own_frames: list[Path], babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own.py").write_text(OWN_MODEL)
    words = ("--model", "own.py:Own", "--tasks", "vtwt", "--limit", 30, "--batch-size", 1, "--batch-check", 0)
    sound = babycli("eval", *words, "--output-path", "sound")
    assert sound.code == 0, sound.err
    wanted = {line["key"]: line for line in told(Path("sound"))}
    changed = [as_zip(own_frames)] if is_zip else own_frames
    contents = {path: path.read_bytes() for path in changed}
    damages: list[Callable[[Path], None]] = [cut_in_half, empty, flip_bytes]
    damages += [] if is_zip else [Path.unlink, make_a_pipe, make_a_folder, relink]
    append = RunLog.append
    for n, damage in enumerate(damages):
        is_damaged = False

        def append_and_damage(self: RunLog, answered: Answered) -> None:
            nonlocal is_damaged
            append(self, answered)
            if not is_damaged:
                is_damaged = True
                for path in changed:
                    damage(path)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(RunLog, "append", append_and_damage)
            ran = babycli("eval", *words, "--output-path", str(n))
        assert ran.code == 4, (damage, ran.err)
        assert "has changed since this run began" in ran.err
        for path, content in contents.items():
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            path.write_bytes(content)
        again = babycli("eval", *words, "--output-path", str(n))
        assert again.code == 0, again.err
        assert {line["key"]: line for line in told(Path(str(n)))} == wanted


def told(logs: Path) -> list[dict[str, Any]]:
    """The answers of a run, each with what identifies it."""
    answers = lines(only_run(logs) / "scores.rank0.jsonl")
    return [line | {"key": repr((line["turns"], line.get("text")))} for line in answers]


@pytest.mark.parametrize("edited", ["own.py", "own_task.py"])
def test_code_that_is_edited_is_logged_as_it_was_run(
    edited: str, linked: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of a model and of a task, edited while the model is loaded."""
    Path("own.py").write_text(
        f"{OWN_MODEL}from pathlib import Path\n"
        "if Path('edit').exists():\n"
        "    for name in Path('edit').read_text().split(): Path(name).write_text(Path(name).read_text() + '# later')\n"
    )
    Path("own_task.py").write_text(
        "from babycli.tasks.vtwt import VisualTwoWordTest as Vtwt\nclass Own(Vtwt):\n    name = 'own'\nTASK = Own()\n"
    )
    words = ("--model", "own.py:Own", "--tasks", "own_task.py:TASK", "--limit", 2, "--batch-check", 0)
    first = babycli("eval", *words, "--output-path", "sound")
    assert first.code == 0, first.err
    Path("edit").write_text(edited)
    assert babycli("eval", *words).code == 0
    assert Path(edited).read_text().endswith("# later")
    sound, now = (read_json(only_run(Path(logs)) / "run.json")["identity"] for logs in ("sound", "logs"))
    assert now == sound


def overwrite(path: Path, other: Path) -> None:
    """In place, as a training that saves again does."""
    with path.open("r+b") as stream:
        stream.write(other.read_bytes())


KINDS = ["babyllava", "llama", "clip", "hf"]


def write_two(kind: str) -> None:
    """Writes two checkpoints of a family, equal but for their weights."""
    writers: dict[str, Callable[[Path, int], Path]] = {
        "babyllava": lambda folder, seed: write_checkpoint(folder, DEMO_WORDS, seed=seed),
        "llama": lambda folder, seed: write_checkpoint(folder, DEMO_WORDS, seed=seed, trunk="model"),
        "clip": lambda folder, seed: write_clip(folder, "clip", seed=seed),
        "hf": lambda folder, seed: write_hf(folder, "qwen2_vl", seed=seed),
    }
    for name, seed in (("model", 1), ("other", 2)):
        writers[kind](Path(name), seed)


@pytest.mark.parametrize("kind", ["babyllava", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])])
def test_weights_that_are_overwritten_while_they_are_read_are_no_model(
    kind: str, linked: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_two(kind)
    copy = checkpoint.copy_from_files

    def copy_and_overwrite(module: Any) -> None:
        copy(module)
        overwrite(Path("model/model.safetensors"), Path("other/model.safetensors"))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "copy_from_files", copy_and_overwrite)
        ran = babycli("eval", "--model", "model", *VTWT, "--limit", 4)
    assert ran.code == 5
    assert "model/model.safetensors has changed while the model was being loaded" in ran.err
    assert not Path("logs").exists()
    assert babycli("eval", "--model", "model", *VTWT, "--limit", 4).code == 0


@pytest.mark.parametrize("kind", ["babyllava", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])])
def test_weights_that_are_overwritten_change_nothing(
    kind: str, linked: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_two(kind)
    sound = babycli("eval", "--model", "model", *VTWT, "--limit", 4, "--output-path", "sound")
    assert sound.code == 0, sound.err
    append = RunLog.append

    def append_and_overwrite(self: RunLog, answered: Answered) -> None:
        append(self, answered)
        overwrite(Path("model/model.safetensors"), Path("other/model.safetensors"))

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append", append_and_overwrite)
        ran = babycli("eval", "--model", "model", *VTWT, "--limit", 4)
    assert ran.code == 0, ran.err
    assert Path("model/model.safetensors").read_bytes() == Path("other/model.safetensors").read_bytes()
    assert told(Path("logs")) == told(Path("sound"))


@pytest.mark.parametrize("is_zip", [False, True], ids=["folder", "zip"])
@pytest.mark.usefixtures("empty_folder")
def test_pictures_of_a_set_that_are_swapped_end_the_run(
    is_zip: bool, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_set(Path("toys"), {"leftright_test.json": [left_right(i) for i in range(40)]})
    given = zip_folder(Path("toys"), Path("toys.zip")) if is_zip else Path("toys")
    assert babycli("data", "link", "--devcv", given).code == 0
    append = RunLog.append

    def append_and_swap(self: RunLog, answered: Answered) -> None:
        append(self, answered)
        pictures = sorted(Path("toys/images").iterdir())
        swap(pictures)
        if is_zip:
            given.write_bytes(zip_folder(Path("toys"), Path("again.zip")).read_bytes())

    words = ("eval", "--model", "control:pixels", "--tasks", "baby_leftright", "--batch-size", 1, "--batch-check", 0)
    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append", append_and_swap)
        ran = babycli(*words, "--cache", "cache")
    assert (ran.code, "has changed since this run began" in ran.err) == (4, True)
    assert not list(Path("logs").rglob("*_results.json"))


@pytest.mark.parametrize("how", ["emptied", "longer", "overwritten", "called encrypted"])
def test_a_zip_that_is_rewritten_in_place_is_named_as_that(
    how: str, own_frames: list[Path], babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_zip(own_frames)
    before = path.read_bytes()
    after = {
        "emptied": b"",
        "longer": b"more" + before,
        "overwritten": bytes(len(before)),
        "called encrypted": before.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
    }[how]
    append = RunLog.append

    def append_and_rewrite(self: RunLog, answered: Answered) -> None:
        append(self, answered)
        path.write_bytes(after)

    Path("own.py").write_text(OWN_MODEL)
    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append", append_and_rewrite)
        ran = babycli("eval", "--model", "own.py:Own", "--tasks", "vtwt", "--batch-size", 1, "--batch-check", 0)
    assert ran.code == 4
    assert "has changed since this run began" in ran.err
    assert "the zip was changed while it was read" in ran.err
