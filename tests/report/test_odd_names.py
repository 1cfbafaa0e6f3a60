"""Names in logs may be anything: no form of the report lets one steer a terminal, run, or break the table around it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

ESCAPE = "\x1b]0;title\x07\x1b[2J\x7f\x9b2J\u202e\u200b"
UNITS = {"vtwt": 30}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def log(logs: Path, *models: str) -> None:
    for seed, model in enumerate(models):
        path = write_run(logs, f"model {seed}", drawn(seed, {"vtwt": 0.7}, UNITS))
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"model_name": model}))


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1+1", "\r=1+1", " =1+1", "\uff1d1+1", "\uff201"]
)
def test_no_cell_of_csv_is_a_formula(name: str, logs: Path, babycli: Babycli) -> None:
    log(logs, name, "sound-1")
    rows = list(csv.DictReader(io.StringIO(babycli("report", logs, "--format", "csv").out)))
    assert {row["model"] for row in rows} == {f"'{name}".replace("\t", " ").replace("\r", " "), "sound-1"}
    assert all(re.fullmatch(r"[-0-9.e]*", row["value"]) for row in rows)
    assert json.loads(babycli("report", logs, "--format", "json").out)[0]["model"] in (name, "sound-1")


def test_markdown_has_as_many_cells_in_every_row_and_no_html(logs: Path, babycli: Babycli) -> None:
    log(logs, r"mine\| 99.9 \| b", "<img src=x onerror=alert(1)>", "[here](x)", "`code", "a://b.c www.d.e &lt;i&gt;")
    out = babycli("report", logs, "--format", "md").out
    table = [line for line in out.split("\n") if line.startswith("|")]
    assert len({len(re.findall(r"(?:\\.|[^|\\])+", line.strip("|"))) for line in table}) == 1
    assert r"mine\\\| 99.9 \\\| b" in out
    assert r"\<img" in out
    assert r"\[here\](x)" in out
    assert r"\`code" in out
    assert r"b.c www\.d.e \&lt;i\&gt;" in out
    assert "://" not in out


def test_a_dollar_is_no_formula_in_a_plot(logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    log(logs, r"$\frac{1$ and $x$", "b")
    ran = babycli("report", logs, "--plot", tmp_path / "plot.svg")
    assert ran.code == 0, ran.err
    assert r"$\frac{1$ and $x$" in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize("name", ["\udcff", ESCAPE, "\U0001f600 \u6f22", "x" * 20_000, "_x"])
@pytest.mark.parametrize(
    "words", ["", *(pytest.param(words, marks=pytest.mark.long) for words in ("--by word", "--compare a b"))]
)
def test_any_name_is_drawn(name: str, words: str, logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    log(logs, f"a{name}", name, "b")
    ran = babycli("report", logs, *words.split(), "--plot", tmp_path / "plot.png")
    assert ran.code == 0, ran.err
    assert "arning" not in ran.err
    assert (tmp_path / "plot.png").stat().st_size


@pytest.mark.parametrize("name", ["9" * 5000, "v²", "checkpoint-" + "1" * 400, "٣" * 20])
@pytest.mark.parametrize("form", ["table", *(pytest.param(form, marks=pytest.mark.long) for form in ("csv", "html"))])
def test_digits_are_no_trouble(name: str, form: str, logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    log(logs, name, "checkpoint-20", "checkpoint-100")
    ran = babycli("report", logs, "--format", form, "--plot", tmp_path / "plot.svg")
    assert ran.code == 0, ran.err
    assert name[:12] in ran.out


@pytest.mark.parametrize("form", ["table", "md", "csv", "json", "latex", "html"])
def test_a_name_that_is_no_unicode_is_told(form: str, logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    log(logs, "a", "b")
    logs.rename(tmp_path / "\udcff")
    (tmp_path / "\udcff" / "c").mkdir()
    (tmp_path / "\udcff" / "c" / "run.json").write_text('{"status": "stopped"}')
    ran = babycli("report", tmp_path / "\udcff", "--format", form, "--output", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "\\udcff" in ran.err
    assert babycli("report", tmp_path / "\udcff", "--compare", tmp_path / "\udcff" / "x", "b").code == 2


def test_what_is_said_of_a_run_steers_no_terminal(logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    log(logs, ESCAPE, "b")
    odd = tmp_path / f"logs{ESCAPE}"
    logs.rename(odd)
    (odd / "c").mkdir()
    (odd / "c" / "run.json").write_text("{}")
    for line in ("", "--audit", "--compare a b", f"--compare b {ESCAPE}", "--by word"):
        for form in ("table", "md", "csv", "json", "latex", "html"):
            ran = babycli("report", odd, *line.split(), "--format", form)
            assert not {c for c in ran.out + ran.err if not (c.isprintable() or c == "\n")}
    assert "\\x1b]0;title\\x07" in babycli("report", odd).out
    for ran in (
        babycli("data", "status", "--data", odd),
        babycli("data", "verify", odd, "--manifest", odd / "none"),
    ):
        assert "\x1b" not in ran.out + ran.err
        assert "\\x1b]0;title" in ran.out + ran.err
