"""babycli without what it knows of lmms-eval: the folder deleted, the main way runs, and nothing misses it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.interop.lmms_logs import make_log
from tests.written_once import written_once

pytestmark = pytest.mark.long  # a copy of the package, in a process of its own
Run = Callable[..., subprocess.CompletedProcess[str]]
FORMS = ("table", "md", "csv", "json", "latex", "html")


@pytest.fixture(scope="session")
def work(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package without interop/lmms, and in logs/ a run on the demo's data."""

    def write(folder: Path) -> None:
        for name in ("babycli", "manifests"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.rmtree(folder / "babycli" / "interop" / "lmms")
        words = ["eval", "--model", "babyllava-tiny", "--data", str(dataset)]
        ran = _run(folder, words)
        assert ran.returncode == 0, ran.stderr
        assert "Labeled-S" in ran.stdout

    return written_once(tmp_path_factory, "without", write)


# Reads the words of commands line by line, and writes what came of each: many commands need Python started once.
SERVER = """
import contextlib, io, json, sys
from babycli.cli import main
answers = sys.stdout
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(json.loads(line))
    print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)
"""


@pytest.fixture(scope="session")
def run(work: Path) -> Iterator[Run]:
    """A command of the copy, in a process of its own that all commands share."""
    python = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        python, cwd=work, env=_environment(work), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        words_of, answers = server.stdin, server.stdout

        def run(*words: object) -> subprocess.CompletedProcess[str]:
            typed = [str(word) for word in words]
            print(json.dumps(typed), file=words_of, flush=True)
            return subprocess.CompletedProcess(typed, *json.loads(answers.readline()))

        yield run
        words_of.close()


def _run(folder: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "babycli", *words]
    return subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False)


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}


def test_the_copy_is_what_runs(work: Path) -> None:
    words = [sys.executable, "-c", "import babycli.interop; print(babycli.interop.__file__)"]
    ran = subprocess.run(words, cwd=work, env=os.environ | {"PYTHONPATH": str(work)}, capture_output=True, text=True)
    assert Path(ran.stdout.strip()) == work / "babycli" / "interop" / "__init__.py"


@pytest.mark.parametrize("words", [("--help",), ("report", "--help"), ("tasks",), ("models",), ("models", "--json")])
def test_what_lists_knows_nothing_of_it(words: Sequence[str], run: Run) -> None:
    ran = run(*words)
    assert ran.returncode == 0, ran.stderr
    assert not [word for word in ("bridge", "lmms", "leaderboard") if word in ran.stdout]


@pytest.mark.parametrize("form", FORMS)
def test_own_runs_are_reported(form: str, run: Run) -> None:
    ran = run("report", "logs", "--format", form)
    assert ran.returncode == 0, ran.stderr
    assert "babyllava-tiny" in ran.stdout


def test_own_runs_are_audited(run: Run) -> None:
    ran = run("report", "logs", "--audit")
    assert ran.returncode == 0, ran.stderr
    assert "nothing found" in ran.stdout


def test_own_runs_are_compared(work: Path, run: Run, tmp_path: Path) -> None:
    """A run with its twin under another name."""
    shutil.copytree(work / "logs", tmp_path / "both" / "one")
    shutil.copytree(work / "logs", tmp_path / "both" / "other")
    (path,) = (tmp_path / "both" / "other").rglob("*_results.json")
    path.write_text(path.read_text().replace('"model_name": "babyllava-tiny"', '"model_name": "twin"'))
    ran = run("report", tmp_path / "both", "--compare", "babyllava-tiny", "twin", "--items")
    assert ran.returncode == 0, ran.stderr
    assert "babyllava-tiny (demo) − twin (demo)" in ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bridge", "lmms", "folder"), "bridge"),
        (("report", "logs", "--format", "leaderboard"), "unknown format 'leaderboard'"),
        (("models", "show", "lmms:model.py"), "unknown model 'lmms:model.py'"),
    ],
)
def test_what_it_adds_is_not_there(words: Sequence[str], said: str, run: Run) -> None:
    ran = run(*words)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_logs_that_nobody_reads_are_told(work: Path, run: Run) -> None:
    path = make_log(["vtwt"], limit=4).write(work / "theirs")
    ran = run("report", "theirs")
    assert ran.returncode == 3
    assert "is of no program that is known here" in ran.stderr
    ran = run("report", "theirs", "--audit")
    assert ran.returncode == 3
    assert f"{path.relative_to(work)}: is of no program that is known here" in ran.stderr
    assert "nothing found" not in ran.stdout
