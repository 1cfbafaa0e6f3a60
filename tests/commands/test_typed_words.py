"""Several words behind one option: tasks, models that a shell has put in the place of a pattern, compared models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from babycli.models import BUNDLED
from tests.conftest import Babycli

TINY = BUNDLED["babyllava-tiny"]


@pytest.fixture
def runs(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in a folder with the checkpoints of a training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BABYCLI_DATA", str(dataset))
    folder = tmp_path / "runs"
    folder.mkdir()
    for step in (9, 10, 100):
        (folder / f"checkpoint-{step}").symlink_to(TINY)
    (folder / "README.md").write_text("of the training")


def planned(babycli: Babycli, *words: str) -> tuple[list[str], list[str]]:
    """The models and tasks of an evaluation, by what --dry-run says of it."""
    ran = babycli("eval", *words, "--limit", 2, "--dry-run")
    assert ran.code == 0, ran.err
    models = [line.partition(" on ")[0] for line in ran.out.splitlines() if ": would be evaluated" in line]
    tasks = [line.split()[0] for line in ran.out.splitlines() if " trials " in line]
    return models, list(dict.fromkeys(tasks))


@pytest.mark.parametrize(
    "words",
    [
        ["--tasks", "vtwt,labeled_s"],
        ["--tasks", " vtwt  labeled_s "],
        ["--tasks", "vtwt", "labeled_s"],
        ["--tasks=vtwt", "labeled_s,vtwt"],
        ["--tasks", "vtwt,", "labeled_s"],
        ["-t", "vtwt", "--tasks", "labeled_s"],
        ["-tvtwt", "--task", "labeled_s"],
    ],
    ids=" ".join,
)
def test_tasks_stand_between_commas_or_spaces(words: Sequence[str], runs: None, babycli: Babycli) -> None:
    assert planned(babycli, "-m", "babyllava-tiny", *words) == (["babyllava-tiny"], ["vtwt", "labeled_s"])


@pytest.mark.parametrize("file", ["my tasks/mine.py:TASK", "my tasks/mine.py"])
def test_the_path_of_a_task_may_have_spaces(file: str, runs: None, babycli: Babycli) -> None:
    Path("my tasks").mkdir()
    Path("my tasks/mine.py").write_text("raise ImportError('so it was found')")
    ran = babycli("eval", "-m", "babyllava-tiny", "-t", f"vtwt,{file}", "--dry-run")
    assert ran.code == 2
    assert "so it was found" in ran.err


def test_words_behind_tasks_stay_words_of_the_command(
    runs: None, downloads: Path, tmp_path: Path, babycli: Babycli
) -> None:
    """Where it has any: a folder, and what names no task."""
    words = ("--from", downloads / "labels", "--data", tmp_path / "new")
    ran = babycli("data", "link", *words, "--tasks", "vtwt", downloads / "saycam_images")
    assert (ran.code, ran.out.split()[:2]) == (0, ["vtwt", "ready"])
    ran = babycli("data", "link", *words, "--tasks", "vtwt", "saycam_caption", downloads / "saycam_images")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines() if not line.startswith(" ")] == ["vtwt", "saycam_caption"]
    ran = babycli("report", "--tasks", "vtwt", "nowhere")
    assert (ran.code, "nowhere" in ran.err) == (3, True)


def test_sets_and_metrics_may_be_given_again(runs: None, babycli: Babycli) -> None:
    ran = babycli("eval", "-m", "babyllava-tiny", "--tasks", "devcv", "--set", "one", "--set", "other")
    assert (ran.code, "'one'" in ran.err) == (3, True)


@pytest.mark.parametrize("option", [["--model"], ["-m"], ["--model="]], ids=" ".join)
def test_a_pattern_need_not_be_quoted(option: Sequence[str], runs: None, babycli: Babycli) -> None:
    """What bash and zsh put in the place of runs/*."""
    expanded = sorted(f"runs/{path.name}" for path in Path("runs").iterdir())
    words = [option[0] + expanded[0], *expanded[1:]] if option[0].endswith("=") else [*option, *expanded]
    assert planned(babycli, *words, "-t", "vtwt") == (
        ["runs/checkpoint-9", "runs/checkpoint-10", "runs/checkpoint-100"],
        ["vtwt"],
    )
    ran = babycli("eval", *words, "-t", "none")
    assert "note: left out, as no checkpoints: runs/README.md" in ran.err


def test_an_order_that_a_user_has_chosen_stays(runs: None, babycli: Babycli) -> None:
    models = ["runs/checkpoint-9", "runs/checkpoint-100", "runs/checkpoint-10"]
    assert planned(babycli, "-m", *models, "-t", "vtwt")[0] == models
    both = ["babyllava-tiny", "runs/checkpoint-9"]
    assert planned(babycli, "-t", "vtwt", "-m", *both)[0] == both


@pytest.mark.parametrize(
    ("words", "message", "mend"),
    [
        (["-m", "runs/checkpoint-9", "runs/chekpoint-10"], "no such folder", "Did you mean 'runs/checkpoint-10'"),
        (["-m", "runs/checkpoint-9", "some/name"], "'some/name' belongs to no option", "--model some/name"),
        (["-m", "runs/checkpoint-9", "vtwt"], "'vtwt' belongs to no option", "--tasks vtwt"),
        (["runs/checkpoint-9"], "'runs/checkpoint-9' belongs to no option", "--model runs/checkpoint-9"),
        (["-t", "vtwt", "runs/checkpoint-9"], "belongs to no option", "--model runs/checkpoint-9"),
        (["babyllava-tiny"], "'babyllava-tiny' belongs to no option", "--model babyllava-tiny"),
        (["-l", "3", "lab/baby"], "'lab/baby' belongs to no option", "--model lab/baby"),
        (["-t", "vtwt", "vtwd"], "unknown task 'vtwd'", "Did you mean 'vtwt'"),
        (["--prompt", "Look", "at", "this"], "'at' is neither an option", "in quotes:  --prompt 'Look at ...'"),
        (["-l", "3", "5"], "'5' is neither an option nor the value of one", "mend: babycli eval --help"),
        (["-m", "runs/README.md", "runs/README.md"], "none of these is a folder: runs/README.md", "runs/*"),
        (["--modl", "x"], "No such option: --modl", "--model"),
        (["-t"], "requires an argument", "-t"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_word_out_of_place_is_refused(
    words: Sequence[str], message: str, mend: str, runs: None, babycli: Babycli
) -> None:
    ran = babycli("eval", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert mend in ran.err


def test_an_option_before_its_command_is_told_its_place(babycli: Babycli) -> None:
    for words, mend in (
        (["-m", "babyllava-tiny", "eval"], "babycli eval -m ..."),
        (["data", "--data=x", "status"], "babycli data status --data=x ..."),
    ):
        ran = babycli(*words)
        assert (ran.code, ran.out) == (2, "")
        assert "stands before the command" in ran.err
        assert f"mend: its options stand behind it:  {mend}\n" in ran.err
    assert "No such option: --nothing" in babycli("--nothing").err
    for words in (["--verison", "doctor"], ["runs", "--log", "x", "show", "y"]):  # no options of these commands
        assert "No such option" in babycli(*words).err
    assert babycli("--version").code == babycli("data", "--help").code == 0


def test_a_word_that_another_command_does_not_take(runs: None, babycli: Babycli) -> None:
    ran = babycli("data", "status", "runs/checkpoint-9")
    assert (ran.code, ran.out) == (2, "")
    assert "'runs/checkpoint-9' is neither an option nor the value of one" in ran.err
    assert "babycli data status --help" in ran.err


def test_a_watch_needs_the_pattern_itself(runs: None, babycli: Babycli) -> None:
    ran = babycli("eval", "--watch", "-m", *sorted(f"runs/{path.name}" for path in Path("runs").iterdir()))
    assert (ran.code, ran.out) == (2, "")
    assert "--model 'runs/checkpoint-*' --watch" in ran.err


def test_a_sweep_file_has_each_model_and_task(runs: None, babycli: Babycli) -> None:
    words = (
        "-m",
        "runs/checkpoint-10",
        "runs/checkpoint-9",
        "-t",
        "vtwt",
        "labeled_s",
        "--dry-run",
        "--save",
        "s.toml",
    )
    assert babycli("eval", *words).code == 0
    assert Path("s.toml").read_text().splitlines()[1:] == [
        'models = ["runs/checkpoint-9", "runs/checkpoint-10"]',
        'tasks = "vtwt,labeled_s"',
    ]


@pytest.mark.parametrize(
    ("model", "saved"),
    [
        ("replay:said.jsonl", "replay:../said.jsonl"),
        ("openai:http://localhost:8000/v1#a/b", "openai:http://localhost:8000/v1#a/b"),
        ("control:letter?pick=A", "control:letter?pick=A"),
        ("lmms:own.py", "lmms:../own.py"),
    ],
)
def test_a_sweep_file_moves_the_paths_in_names_of_models_alone(
    model: str, saved: str, runs: None, babycli: Babycli
) -> None:
    Path("said.jsonl").write_text('{"task": "vtwt", "item": 0, "replies": ["a"]}')
    Path("own.py").write_text("")
    Path("sweeps").mkdir()
    babycli("eval", "-m", model, "-t", "vtwt", "--dry-run", "--save", "sweeps/s.toml")
    assert f'models = ["{saved}"]' in Path("sweeps/s.toml").read_text()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["report", ""], "LOGS"),
        (["report", "logs", "-o", ""], "--output"),
        (["data", "status", "--data="], "--data"),
        (["data", "link", ""], "SAYCAM"),
        (["data", "manifest", "images", "-o", ""], "--output"),
        (["data", "subset", ""], "DEST"),
        (["data", "extract", "frames.zip", ""], "ZIP or DEST"),
        (["data", "link", "-t", "vtwt", "--allow-missing", ""], "SAYCAM"),
        (["data", "verify", "--json", ""], "SOURCE"),
        (["runs", "--logs", ""], "--logs"),
        (["runs", "delete", "x", "--logs", ""], "--logs"),
        (["eval", "--model", "control:random", "--tasks", "vtwt", "--output-path", ""], "--output-path"),
        (["eval", "--model", "control:random", "--tasks", "vtwt", "--cache", ""], "--cache"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else words,
)
def test_an_empty_path_is_not_the_current_folder(
    words: list[str], what: str, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell leaves one in the place of a variable that is not set."""
    monkeypatch.chdir(tmp_path)
    ran = babycli(*words)
    assert (ran.code, ran.out) == (2, "")
    assert f"babycli: the path for {what} is empty\n" in ran.err
    assert list(tmp_path.iterdir()) == []
