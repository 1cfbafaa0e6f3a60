"""What is printed on screens that know only ASCII, and of names that have several lines or are not UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from babycli.wording import SIGNS, printable, written_in
from tests.conftest import REPOSITORY, Babycli
from tests.report.logs import drawn, write_run

ODD = "n\nl\tt\x1b[31mred"
ODD_SHOWN = r"n\nl\tt\x1b[31mred"
ALL_IN_ONE = """
import itertools, sys
from babycli.commands.streams import guard_streams
guard_streams()
from babycli.cli import main
commands = itertools.groupby(sys.argv[1:], lambda word: word == "then")
sys.exit(max(main(list(words)) for is_between, words in commands if not is_between))
"""


def run_in_ascii(folder: Path, *commands: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Runs commands in one process in a locale that has nothing but ASCII."""
    plain = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-c", ALL_IN_ONE, *(word for command in commands for word in ("then", *command))]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "HOME": str(folder), "COLUMNS": "100"}
    return subprocess.run(words, cwd=folder, env=environment | plain, capture_output=True, timeout=120, check=False)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for seed, name in enumerate(("lab/café", "lab/中")):
        write_run(tmp_path / "logs", name, drawn(seed, {"vtwt": 0.6 + seed / 10}))
    return tmp_path / "logs"


def test_signs_are_told_in_ascii_and_columns_stay(logs: Path, tmp_path: Path) -> None:
    ran = run_in_ascii(
        tmp_path,
        ["report", "logs", "--notes"],
        ["report", "logs", "--compare", "lab/café", "lab/中"],
        ["report", "logs", "--format", "md"],
        ["report", "logs", "--by", "session"],
        ["report", "logs", "--output", "out.md"],
        ["eval", "--help"],
        ["data", "status", "--data", "ordnér"],
        ["runs", "--logs", "logs"],
        ["tasks"],
    )
    assert ran.returncode == 0, ran.stderr
    out = ran.stdout.decode("ascii")
    assert ran.stderr.isascii()
    for sign in SIGNS:
        assert sign.encode("unicode_escape").decode() not in out
    head, of_first, interval = out.splitlines()[1], out.splitlines()[3], out.splitlines()[4]
    assert of_first.startswith(r" lab/caf\xe9 ")
    assert interval.startswith("  +- 95 %")
    assert len(head) == len(of_first) == len(interval)  # columns end where they did
    assert r"lab/caf\xe9 - lab/\u4e2d" in out
    assert r"ordn\xe9r" in out
    assert "lab/café" in (tmp_path / "out.md").read_text("utf-8")
    assert "±" in (tmp_path / "out.md").read_text("utf-8")


def test_json_stays_json_in_ascii(logs: Path, tmp_path: Path) -> None:
    ran = run_in_ascii(tmp_path, ["report", "logs", "--format", "json"])
    models = {record["model"] for record in json.loads(ran.stdout.decode("ascii"))}
    assert models == {"lab/café", "lab/中"}


def test_an_evaluation_in_ascii_is_the_same(dataset: Path, tmp_path: Path) -> None:
    """Also of a checkout of babycli whose changes are not ASCII, with a name and folders that are not."""
    words = ["--model", "control:constant", "--tasks", "vtwt", "--limit", "3", "--data", str(dataset)]
    ran = run_in_ascii(tmp_path, ["eval", *words, "--name", "café", "--output-path", "protokolle-ä"])
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "protokolle-ä").glob("*/*/run.json")
    run = json.loads(path.read_text("utf-8"))
    assert run["name"] == "café"
    assert run["command"][-1] == "protokolle-ä"


def test_a_folder_that_is_not_utf_8_takes_runs(dataset: Path, tmp_path: Path, babycli: Babycli) -> None:
    logs = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xffd"))
    words = ("--model", "control:constant", "--tasks", "vtwt", "--limit", 3, "--data", dataset, "--output-path", logs)
    assert babycli("eval", *words).code == 0
    again = babycli("eval", *words)
    assert again.code == 0
    assert "already evaluated" in again.err
    assert r"b\udcffd" in again.err
    assert babycli("report", logs).code == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_text_can_be_written(encoding: str) -> None:
    text = "± − … “x” café 中 \udcff \ud800 ─ 2²"
    told = written_in(printable(text), encoding)
    told.encode(encoding)
    assert ("−" in told) == (encoding == "utf-8")
    assert ("±" in told) == (encoding != "ascii")
    assert written_in("plain", encoding) == "plain"


@pytest.mark.parametrize(
    "words",
    [
        ("report", "X/logs"),
        ("report", "X/logs", "--format", "csv"),
        ("runs", "--logs", "X/none"),
        ("cite", "X/none"),
        ("eval", "--model", "X/none"),
        ("eval", "--model", "babyllava-tiny", "--data", "X/none"),
        ("eval", "--config", "X/s.toml"),
        ("eval", "--tasks", "X.py:T"),
        ("models", "show", "./X"),
        ("data", "link", "X/none"),
        ("data", "link", "--devcv", "X/none"),
        ("data", "link", "--devcv=saycam=X/none"),
        ("data", "labels", "--from", "X/none"),
        ("data", "verify", "--data", "X"),
        ("data", "verify", "--manifest", "X/none", "."),
        ("data", "manifest", "X/none", "-o", "o"),
        ("data", "extract", "X/a.zip", "X/out"),
        ("data", "subset", "X/out", "--data", "X"),
        ("submission", "check", "X.py"),
    ],
    ids=lambda words: " ".join(words),
)
def test_a_name_of_several_lines_stays_on_one(
    words: tuple[str, ...], empty_folder: None, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(ODD).mkdir()
    ran = babycli(*(word.replace("X", ODD) for word in words))
    assert ran.code in (2, 3, 5)
    lines = ran.err.splitlines()
    assert not any(line.startswith(("l\t", "l t")) for line in [*lines, *ran.out.splitlines()])
    assert any(shown in ran.err for shown in (ODD_SHOWN, ODD_SHOWN.replace(r"\n", r"\x0a").replace(r"\t", r"\x09")))
    assert "\x1b" not in ran.err + ran.out


def test_what_is_done_in_a_folder_of_several_lines_is_told_on_one(
    logs: Path, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / ODD
    logs.rename(odd)
    monkeypatch.chdir(odd)
    ran = babycli("report", odd, "--output", odd / "a.md", "--plot", odd / "a.svg")
    assert (ran.code, ran.out) == (0, "")
    assert len(ran.err.splitlines()) == 2
    assert f"wrote {tmp_path}/{ODD_SHOWN}/a.md" in ran.err
    audited = babycli("report", odd, "--audit")
    assert "red/lab__" in audited.out
    assert not any(line.startswith(("l\t", "l t")) for line in audited.out.splitlines())
    monkeypatch.setenv("BABYCLI_DATA", "no\nfolder")
    ran = babycli("eval", "--model", "babyllava-tiny", "--tasks", "vtwt")
    assert ran.code == 3
    assert r"/no\nfolder, which does not exist; --data DIR or the variable $BABYCLI_DATA names another" in ran.err
