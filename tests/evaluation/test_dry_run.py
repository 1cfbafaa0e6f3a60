"""A dry run, and sweep files: what they say of what an evaluation then does."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from babycli.logs.runlog import RunLog
from tests.conftest import REPOSITORY, Babycli
from tests.evaluation.logs import only_run, read_json

WORDS = ("eval", "--tasks", "vtwt,labeled_s", "--limit", 6)


def test_a_dry_run_counts_what_the_run_asks_and_writes_nothing(linked: Path, babycli: Babycli, small: Path) -> None:
    ran = babycli(*WORDS, "--model", small, "--dry-run")
    assert ran.code == 0, ran.err
    assert not Path("logs").exists()
    assert "would be evaluated" in ran.out
    (told,) = json.loads(babycli(*WORDS, "--model", small, "--dry-run", "--json").out)
    assert babycli(*WORDS, "--model", small).code == 0
    plan = read_json(only_run() / "run.json")["plan"]
    assert (told["state"], told["folder"]) == ("new", None)
    assert (told["requests"], told["images"]) == (plan["requests"], plan["images"])
    assert {task["task"]: (task["n_units"], task["unit"]) for task in told["tasks"]} == {
        "labeled_s": (6, "trials"),
        "vtwt": (6, "trials"),
    }
    (again,) = json.loads(babycli(*WORDS, "--model", small, "--dry-run", "--json").out)
    assert (again["state"], again["folder"]) == ("finished", str(only_run()))
    assert babycli(*WORDS, "--model", small, "--json").code == 2
    assert f"{plan['requests']} distinct requests; {plan['images']} distinct images" in ran.out
    assert "6 trials" in ran.out
    assert "already evaluated, logs/" in babycli(*WORDS, "--model", small, "--dry-run").out


def test_a_dry_run_tells_the_control_and_what_tasks_share(linked: Path, babycli: Babycli, small: Path) -> None:
    words = ("eval", "--tasks", "vtwt,baby_winoground", "--limit", 6, "--model", small, "--control", "blind")
    ran = babycli(*words, "--dry-run")
    assert ran.code == 0, ran.err
    assert f"{small} on demo, control blind: would be evaluated\n" in ran.out
    (told,) = json.loads(babycli(*words, "--dry-run", "--json").out)
    assert (told["control"], [task["requests"] for task in told["tasks"]]) == ("blind", [12, 24])
    shared = 12 + 24 - told["requests"]
    assert shared > 0
    assert f"  {told['requests']} distinct requests (tasks share {shared}); " in ran.out


def test_a_dry_run_knows_what_an_unfinished_run_and_the_cache_have(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RunLog.append

    def failing(self: RunLog, *arguments: object) -> None:
        if len(self.answers()) == 5:
            raise KeyboardInterrupt
        append(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append", failing)
        assert babycli(*WORDS, "--model", small, "--cache", "kept").code == 130
    assert "would go on, 5 requests are on disk" in babycli(*WORDS, "--model", small, "--dry-run").out
    ran = babycli(*WORDS, "--model", small, "--dry-run", "--cache", "kept", "--output-path", "others", "--estimate")
    assert "5 more are in the cache" in ran.out
    assert "batches that were tried" in ran.out
    assert not Path("others").exists()


def test_the_sweep_file_of_the_documentation_makes_all_runs_and_only_once(
    linked: Path, babycli: Babycli, small: Path
) -> None:
    guide = (REPOSITORY / "docs" / "runs.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    Path("sweeps").mkdir()
    shutil.copytree(small, "sweeps/checkpoints/small")
    Path("sweeps/sweep.toml").write_text(text.replace('data = "dataset"', 'data = "../dataset"'))
    ran = babycli("eval", "--config", "sweeps/sweep.toml")
    assert ran.code == 0, ran.err
    runs = [read_json(path) for path in sorted(Path("logs").rglob("run.json"))]
    kinds = {(run["model"]["name"], (run["control"] or {}).get("kind"), run["name"]) for run in runs}
    assert len(runs) == 4
    assert {kind for kind in kinds if kind[0] == "control:random"} == {("control:random", "random", "")}
    assert ran.err.count("note: no control blind of control:random: a control has no control\n") == 1
    assert ("sweeps/checkpoints/small", "blind", "") in kinds
    assert ("sweeps/checkpoints/small", None, "small, asked otherwise") in kinds
    again = babycli("eval", "--config", "sweeps/sweep.toml")
    assert again.err.count("already evaluated: ") == 4
    assert len(list(Path("logs").rglob("run.json"))) == 4


def test_a_sweep_makes_no_control_of_a_control(linked: Path, babycli: Babycli) -> None:
    shared = 'tasks = ["vtwt"]\nlimit = 2\n'
    Path("alone.toml").write_text(f'{shared}models = ["control:random", "control:length"]\ncontrols = ["blind"]\n')
    ran = babycli("eval", "--config", "alone.toml")
    assert (ran.code, Path("logs").exists()) == (2, False)
    assert "note: no control blind of control:random, control:length: a control has no control" in ran.err
    assert "babycli: alone.toml makes no run\n  mend: run the models without a control too" in ran.err
    Path("one.toml").write_text(f'{shared}model = "control:random"\ncontrols = ["shuffled", "none"]\n')
    assert babycli("eval", "--config", "one.toml").code == 0
    assert read_json(only_run() / "run.json")["control"]["kind"] == "random"
    ran = babycli("eval", "--config", "one.toml", "--control", "blind", "--output-path", "others")
    assert (ran.code, Path("others").exists()) == (2, False)
    own = ("--control", "blind", "--model", "control:random", "--output-path", "others")  # as it was said
    assert babycli("eval", "--config", "one.toml", *own).code == 0


def test_a_dry_run_writes_the_sweep_file_of_its_command(linked: Path, babycli: Babycli) -> None:
    words = ("eval", "--model", "control:random", "--tasks", "vtwt", "--limit", 3, "--data", "dataset")
    ran = babycli(*words, "--prompt", 'say "x"', "--no-prefix-reuse", "--dry-run", "--save", "kept.toml")
    assert ran.code == 0, ran.err
    assert not Path("logs").exists()
    assert babycli("eval", "--config", "kept.toml").code == 0
    run = read_json(only_run() / "run.json")
    assert (run["limit"], run["tasks"]["vtwt"]["prompt"]) == (3, 'say "x"')
    assert "--no-prefix-reuse" in run["command"]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("limits = 3", 2, "there is no option 'limits'. Did you mean 'limit'?"),
        ("limit = ", 3, "is no TOML"),
        ("", 3, "has no options"),
        ("models = 'a'", 2, "write a list of texts"),
        ("limit = true", 2, "write its value"),
        ("rerun = 'yes'", 2, "write  true  or  false"),
        ("models = ['a']\nmodel = 'b'", 2, "say the same"),
        ("[runs]\nlimit = 2", 3, "[[runs]]"),
        ("[[runs]]\nmodle = 'a'", 2, "'model'"),
        ("limit = [1, [2]]", 2, "write one value"),
        ("limit = 1979-05-27", 2, "a date or time"),
        pytest.param(f"{'a.' * 200}a = 1", 3, "a key of more than 100 parts", id="a deep key"),
        pytest.param("[" + "'a' . " * 200 + "a]", 3, "a key of more than 100 parts", id="a deep table"),
        pytest.param(f"limit = {[f'{i}.{i}' for i in range(500)]}", 2, "write one value", id="many dots, no deep key"),
        pytest.param(f"#{' ' * (1 << 20)}", 3, "at most 1,048,576 are read", id="large"),
    ],
)
def test_a_sweep_file_that_is_none(text: str, code: int, said: str, linked: Path, babycli: Babycli) -> None:
    Path("sweep.toml").write_text(text)
    ran = babycli("eval", "--config", "sweep.toml")
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert babycli("eval", "--config", "none.toml").code == 3


def test_a_sweep_file_in_utf_16_is_named_as_that(linked: Path, babycli: Babycli) -> None:
    Path("sweep.toml").write_text("limit = 1", encoding="utf-16")
    ran = babycli("eval", "--config", "sweep.toml")
    assert (ran.code, "sweep.toml is no TOML: it is not in UTF-8" in ran.err) == (3, True)


def test_a_folder_among_others_that_is_no_checkpoint_is_passed_over(
    linked: Path, small: Path, babycli: Babycli, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = babycli(*WORDS, "--model", empty, "--model", small, "--dry-run", "--json")
    assert ran.code == 5
    assert [plan["model"] for plan in json.loads(ran.out)] == [str(small)]
    assert f"failed: {empty} is not a checkpoint" in ran.err
    assert f"1 of 2 models could not be evaluated: {empty}" in ran.err
    assert babycli(*WORDS, "--model", empty, "--dry-run").code == 5


@pytest.mark.parametrize("kind", ["a file", "below a file", "the model's is a file", "a broken link", "read-only"])
def test_a_place_that_cannot_be_written_is_told_before_the_run(kind: str, linked: Path, babycli: Babycli) -> None:
    """In the words of the run."""
    words = ("eval", "--model", "control:random", "--tasks", "vtwt", "--limit", 2, "--output-path")
    place = Path("there")
    if kind == "a broken link":
        place.symlink_to("nowhere/at/all")
    elif kind in ("the model's is a file", "read-only"):
        place.mkdir()
    else:
        place.write_text("mine")
    if kind == "the model's is a file":
        (place / "control_random").write_text("mine")
    if kind == "read-only":
        place.chmod(0o555)
        if os.access(place, os.W_OK):
            pytest.skip("this user may write everywhere")
    named = place / "in/it" if kind == "below a file" else place
    dry, run = babycli(*words, named, "--dry-run"), babycli(*words, named)
    assert dry.code == run.code == 3
    (told,) = [line for line in run.err.splitlines() if "cannot write" in line]
    assert told.startswith(f"babycli: cannot write {named}: ")
    assert dry.err.splitlines()[-2:] == [
        told,
        "  mend: choose another place with --output-path DIR, or free some space",
    ]
    assert (dry.out, place.is_file()) == ("", kind in ("a file", "below a file"))
