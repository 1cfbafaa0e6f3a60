"""What commands import: help none of them, `report` no torch whatever it writes, and no other waits for its NumPy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.report.logs import drawn, write_run

SCRIPT = """
import itertools, sys
from babycli.cli import main
commands = itertools.groupby(sys.argv[2:], lambda word: word == "then")
code = max(main(list(words)) for is_between, words in commands if not is_between)
print(*sorted({name for name in sys.argv[1].split(",") if name in sys.modules}) or ["none"], file=sys.stderr)
sys.exit(code)
"""


def imported(watched: str, *words: object) -> str:
    """Which of the watched modules commands have imported, by name; "then" stands between two commands."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, watched, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


def test_reports_are_written_without_torch(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6, "saycam_caption": 0.2}))
    commands: list[object] = []
    for words in (("table",), ("json",), ("latex",), ("html",), ("table", "--compare", "a", "b")):
        commands += ["then", "report", tmp_path, "--format", *words]
    heavy = "torch,transformers,accelerate,nltk,scipy.stats,matplotlib"
    assert imported(heavy, *commands) == "none"


def test_help_waits_for_no_command() -> None:
    rooms = "tasks,models,data,logs,evaluation,report,domain,files,commands.eval,commands.report,commands.data"
    watched = [f"babycli.{room}" for room in rooms.split(",")]
    words = "--help then --version then data --help"
    assert imported(",".join([*watched, "PIL", "numpy", "orjson", "json", "multiprocessing"]), *words.split()) == "none"


def test_other_commands_do_not_wait_for_what_reports_need(tmp_path: Path) -> None:
    words = ("tasks", "then", "--version", "then", "data", "status", "--data", tmp_path)
    assert imported("numpy,scipy,jinja2,rich.table,babycli.report.writing", *words) == "none"
