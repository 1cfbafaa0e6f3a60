"""`babycli runs`: what is listed, which run is meant, and what is never deleted."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Babycli
from tests.tasks.own_trials import write_trials

FIRST, SECOND = "20260101_120000", "20260102_120000"


@pytest.fixture(scope="module")
def made(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from babycli.cli import main

    logs = tmp_path_factory.mktemp("runs") / "logs"
    words = ["eval", "--model", "control:random", "--tasks", "vtwt", "--limit", "2", "--data", str(dataset)]
    assert main([*words, "--output-path", str(logs)]) == 0
    return logs


@pytest.fixture
def logs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of one model: the first is finished, the second has no results."""
    monkeypatch.chdir(tmp_path)
    (run,) = (path.parent for path in made.rglob("run.json"))
    for stamp in (FIRST, SECOND):
        copied = Path("logs/control_random") / stamp
        shutil.copytree(run, copied)
        for path in copied.glob(f"{run.name}_*"):
            path.rename(copied / path.name.replace(run.name, stamp))
    (Path("logs/control_random") / SECOND / f"{SECOND}_results.json").unlink()
    return Path("logs")


def test_runs_are_listed_with_numbers_and_how_far_they_are(logs: Path, babycli: Babycli) -> None:
    broken = logs / "other" / "20260103_120000"
    broken.mkdir(parents=True)
    (broken / "run.json").write_text("{")
    out = babycli("runs").out
    assert f"logs/control_random/{FIRST}  finished" in out
    assert "VTWT" in out
    assert f"logs/control_random/{SECOND}  unfinished, 4 of 4 requests" in out
    assert "unreadable: cannot read run.json" in out
    listed = json.loads(babycli("runs", "--json").out)
    assert [run["state"] for run in listed] == ["unreadable", "finished", "unfinished"]
    assert listed[1]["main"]["vtwt"].keys() == {"acc"}


def test_the_word_list_is_taken_and_a_folder_is_told_how_it_is_given(logs: Path, babycli: Babycli) -> None:
    assert babycli("runs", "list", "--logs", logs).out == babycli("runs", "--logs", logs).out != ""
    assert babycli("runs", "--json", "list").out == babycli("runs", "--json").out
    assert babycli("runs", "--logs", "list", "list").code == babycli("runs", "--logs", "list").code == 3
    ran = babycli("runs", logs)
    assert ran.code == 2
    assert f"{logs} is a folder, not a command\n  mend: babycli runs --logs {logs}  lists its runs" in ran.err
    assert babycli("runs", "no-such-word").code == 2


@pytest.mark.parametrize("name", [f"logs/control_random/{FIRST}", FIRST, "20260101"])
def test_enough_of_a_name_means_a_run(name: str, logs: Path, babycli: Babycli) -> None:
    shown = json.loads(babycli("runs", "show", name, "--json").out)
    assert shown["folder"] == f"logs/control_random/{FIRST}"
    assert shown["run"]["model"]["name"] == "control:random"
    assert "fingerprint" in babycli("runs", "show", name).out


def test_a_name_that_fits_several_or_none_is_refused(logs: Path, babycli: Babycli) -> None:
    ran = babycli("runs", "show", "2026")
    assert ran.code == 2
    assert FIRST in ran.err
    assert SECOND in ran.err
    assert babycli("runs", "show", "nothing").code == 2


@pytest.mark.parametrize("command", ["show", "delete"])
def test_a_run_of_other_logs_says_what_they_are(command: str, logs: Path, babycli: Babycli) -> None:
    shutil.copytree(logs, "other logs")
    ran = babycli("runs", command, f"other logs/control_random/{FIRST}")
    assert ran.code == 2
    assert "is a run, but none of logs\n" in ran.err
    assert "--logs 'other logs'\n" in ran.err


def test_a_run_is_renamed_and_its_numbers_stay(logs: Path, babycli: Babycli) -> None:
    assert babycli("runs", "rename", FIRST, "my run").code == 0
    assert "my run (demo, limit 2)" in babycli("report", "logs").out
    assert babycli("runs", "show", "my run").code == 0
    assert babycli("runs", "rename", "my run", "a\x1bb").code == 2
    assert babycli("runs", "rename", "my run", "").code == 0
    assert "my run" not in babycli("runs").out


def test_a_run_is_deleted_after_a_question_alone(logs: Path, babycli: Babycli) -> None:
    folder = logs / "control_random" / FIRST
    (folder / "notes.txt").write_text("mine")
    ran = babycli("runs", "delete", FIRST)  # nobody is there to be asked
    assert ran.code == 2
    assert (folder / "run.json").exists()
    ran = babycli("runs", "delete", FIRST, SECOND, "--yes")
    assert ran.code == 0, ran.err
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert "notes.txt" in ran.out
    assert not (logs / "control_random" / SECOND).exists()


@pytest.mark.parametrize("word", ["", "/", ".", "_", " "])
def test_a_word_without_letters_means_no_run(word: str, logs: Path, babycli: Babycli) -> None:
    """An empty variable of a script, with a slash behind it, must not delete the only run there is."""
    assert babycli("runs", "delete", SECOND, "--yes").code == 0
    ran = babycli("runs", "delete", word, "--yes")
    assert ran.code == 2
    assert "no run is called" in ran.err
    assert babycli("runs", "show", FIRST).code == 0


def test_a_run_under_way_is_neither_deleted_nor_renamed(logs: Path, babycli: Babycli) -> None:
    folder = logs / "control_random" / SECOND
    with (folder / "scores.rank0.jsonl").open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert "under way, 4 of 4" in babycli("runs").out
        assert babycli("runs", "delete", SECOND, "--yes").code == 6
        assert babycli("runs", "rename", SECOND, "x").code == 6
    assert (folder / "run.json").exists()


def test_nothing_outside_and_nothing_behind_a_link_is_deleted(logs: Path, babycli: Babycli, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / FIRST
    shutil.move(logs / "control_random" / FIRST, outside)
    (logs / "linked").symlink_to(outside.parent)
    for name in (outside, logs / "linked" / FIRST, f"logs/../elsewhere/{FIRST}"):
        assert babycli("runs", "delete", name, "--yes").code == 2
    foreign = logs / "foreign"
    foreign.mkdir()
    (foreign / "run.json").write_text('{"of": "another program"}')
    assert babycli("runs", "delete", "foreign", "--yes").code == 3
    assert (outside / "run.json").exists()
    assert (foreign / "run.json").exists()


def test_the_command_can_be_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, babycli: Babycli) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    write_trials(Path("my words.jsonl"), [{"id": 1, "images": ["a.png"], "options": ["a", "b"], "answer": 0}])
    assert babycli("eval", "--model", "control:random", "--trials", "my words.jsonl").code == 0
    (folder,) = Path("logs/control_random").iterdir()
    assert "babycli eval --model control:random --trials 'my words.jsonl'\n" in babycli("runs", "show", folder).out
