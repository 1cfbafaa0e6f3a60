"""A command that was given before: nothing is computed again, unless it is another run or was spoilt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from babycli.evaluation import run
from tests.conftest import Babycli
from tests.evaluation.logs import only_run, read_json

TWO = ("--tasks", "vtwt", "--limit", 2)


@pytest.fixture
def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model can be loaded any more."""

    def load(*_: Any) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(run, "load_model", load)


def n_runs() -> int:
    return len(list(Path("logs").rglob("run.json")))


def test_a_finished_run_is_shown_and_its_model_is_not_loaded(
    linked: Path, babycli: Babycli, small: Path, request: pytest.FixtureRequest
) -> None:
    first = babycli("eval", "--model", small, *TWO)
    folder = only_run()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    request.getfixturevalue("unloadable")
    again = babycli("eval", "--model", small, *TWO)
    assert (again.code, again.out) == (0, first.out)
    assert f"already evaluated: {folder}; --rerun does it again" in again.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.long
def test_another_run_is_evaluated(linked: Path, babycli: Babycli, small: Path) -> None:
    assert babycli("eval", "--model", small, *TWO).code == 0
    others = [("--control", "blind"), ("--prompt", "What?"), ("--limit", 3)]
    for n, more in enumerate([*others, ("--rerun",)], 2):
        ran = babycli("eval", "--model", small, *TWO, *more)
        assert ran.code == 0
        assert "already evaluated" not in ran.err
        assert n_runs() == n
    for more in [*others, ()]:
        assert "already evaluated" in babycli("eval", "--model", small, *TWO, *more).err


def test_other_weights_in_the_same_folder_are_another_model(
    linked: Path, babycli: Babycli, small: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(small, mine)
    assert babycli("eval", "--model", mine, *TWO).code == 0
    (mine / "notes.md").write_text("a file that is not read")
    assert "already evaluated" in babycli("eval", "--model", mine, *TWO).err
    weights = next(path for path in mine.iterdir() if path.suffix in (".safetensors", ".bin"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    ran = babycli("eval", "--model", mine, *TWO)
    assert (ran.code, n_runs()) == (0, 2)
    assert "already evaluated" not in ran.err


@pytest.mark.long
def test_a_run_whose_files_were_spoilt_is_evaluated_again(linked: Path, babycli: Babycli, small: Path) -> None:
    assert babycli("eval", "--model", small, *TWO).code == 0
    for n, kind in enumerate(["results.json", "outcomes.json", "samples_vtwt.jsonl"], 2):
        folder = max(path.parent for path in Path("logs").rglob("run.json"))
        path = folder / f"{folder.name}_{kind}"
        path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
        ran = babycli("eval", "--model", small, *TWO)
        assert (ran.code, n_runs()) == (0, n)
        assert f"not as it was written: {path.name}; it is evaluated again" in ran.err


def test_a_model_of_ones_own_may_have_other_weights(linked: Path, babycli: Babycli, tmp_path: Path) -> None:
    code = (
        "class Mine:\n    def __init__(self, device, dtype):\n        pass\n\n"
        "    def similarity(self, images, texts):\n        return [float(len(text)) for text in texts]\n"
    )
    (tmp_path / "mine.py").write_text(code)
    for _ in range(2):
        ran = babycli("eval", "--model", f"{tmp_path / 'mine.py'}:Mine", *TWO)
        assert ran.code == 0, ran.err
    assert n_runs() == 2


@pytest.mark.long
def test_equal_runs_are_one_row(linked: Path, babycli: Babycli) -> None:
    for words in ((), ("--rerun",), ("--rerun", "--name", "mine")):
        assert babycli("eval", "--model", "control:random", *TWO, *words).code == 0
    records = json.loads(babycli("report", "logs", "--format", "json").out)
    assert {(record["model"], record["n_equal_runs"]) for record in records} == {("control:random", 2), ("mine", 1)}
    for form in ("table", "md", "html"):
        shown = babycli("report", "logs", "--format", form).out
        assert "--all-runs shows all" in shown, form
        assert "mine" in shown
    shown = babycli("report", "logs", "--all-runs").out
    assert shown.count("control:random (demo, limit 2) 2") == 2


def test_a_name_is_shown_instead_of_the_path_and_may_be_changed(linked: Path, babycli: Babycli) -> None:
    words = ("eval", "--model", "control:random", *TWO)
    assert "my model" in babycli(*words, "--name", "my model").out
    assert read_json(only_run() / "run.json")["name"] == "my model"
    ran = babycli(*words, "--name", "mine")
    assert "it is called mine now" in ran.err
    assert "mine (demo, limit 2)" in ran.out
    assert "mine" in babycli(*words).out
    assert n_runs() == 1


@pytest.mark.parametrize("name", ["", " a", "a\x1b[31m", "a\u202eb", "x" * 81])
def test_what_is_no_name(name: str, linked: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:random", *TWO, "--name", name)
    assert ran.code == 2
    assert "name" in ran.err
    assert "\x1b" not in ran.err


def test_a_path_that_is_none_is_not_asked_of_the_hub(linked: Path, babycli: Babycli) -> None:
    (linked / "baby" / "checkpoint-10").mkdir(parents=True)
    for name in ("baby/checkpoint-1", "./baby/checkpoint-1", str(linked / "baby" / "checkpoint-1")):
        ran = babycli("eval", "--model", name)
        assert ran.code == 2
        assert f"{name!r}: no such folder. Did you mean" in ran.err
        assert "baby/checkpoint-10'?" in ran.err
