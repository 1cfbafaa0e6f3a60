"""What commands import: help none of them, `report` no torch whatever it writes, and no other waits for its NumPy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.logs import drawn, write_run

SCRIPT = """
import sys
from babycli.cli import main
code = main(sys.argv[2:])
print(*sorted({name for name in sys.argv[1].split(",") if name in sys.modules}) or ["none"], file=sys.stderr)
sys.exit(code)
"""


def imported(watched: str, *words: object) -> str:
    """Which of the watched modules a command has imported, by name."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, watched, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("words", [("table",), ("json",), ("latex",), ("html",), ("table", "--compare", "a", "b")])
def test_reports_are_written_without_torch(words: tuple[str, ...], tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6, "saycam_caption": 0.2}))
    heavy = "torch,transformers,accelerate,nltk,scipy.stats,matplotlib"
    assert imported(heavy, "report", tmp_path, "--format", *words) == "none"


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("data", "--help")], ids=" ".join)
def test_help_waits_for_no_command(words: tuple[str, ...]) -> None:
    rooms = "tasks,models,data,logs,evaluation,report,domain,files,commands.eval,commands.report,commands.data"
    watched = [f"babycli.{room}" for room in rooms.split(",")]
    assert imported(",".join([*watched, "PIL", "numpy", "orjson", "json", "multiprocessing"]), *words) == "none"


@pytest.mark.parametrize("words", [("tasks",), ("data", "status"), ("--version",)])
def test_other_commands_do_not_wait_for_what_reports_need(words: tuple[str, ...], tmp_path: Path) -> None:
    where = ("--data", tmp_path) if words[0] == "data" else ()
    assert imported("numpy,scipy,jinja2,rich.table,babycli.report.writing", *words, *where) == "none"
