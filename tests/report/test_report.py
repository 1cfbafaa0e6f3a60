"""`babycli report` on run folders made by hand: what stands in the table, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from babycli.logs.schema import SCHEMA_VERSION
from tests.conftest import Babycli
from tests.report.logs import UNITS, changed, results_document


def write_run(
    root: Path,
    model: str,
    values: dict[str, dict[str, float]],
    *,
    date: str = "20260101_120000",
    **changes: Any,
) -> Path:
    """A results file as babycli writes it; ``changes`` override top-level keys."""
    document = results_document(model, values, {task: UNITS[task] for task in values}, date)
    folder = root / model.replace("/", "__") / date
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    path = folder / f"{date}_results.json"
    path.write_text(json.dumps(changed(document, changes)))
    return path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    write_run(root, "lab/one", {"labeled_s": {"acc": 0.54321}, "vtwt": {"acc": 0.75}})
    write_run(root, "lab/two", {"vtwt": {"acc": 0.5}, "saycam_caption": {"meteor": 0.1234}})
    return root


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if line.strip()]


def test_models_go_down_and_metrics_across_with_chance_and_n(logs: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs)
    assert ran.code == 0
    assert ran.err == ""
    head, sub, rule, *body = rows(ran.out)
    assert (head, sub) == (["Labeled-S", "VTWT", "Caption"], ["model", "acc", "acc", "METEOR"])
    assert set("".join(rule)) == {"─"}
    assert body[:6] == [
        ["lab/one", "54.3", "75.0"],
        ["±", "95", "%", "±2.0", "±2.0"],
        ["lab/two", "50.0", "12.3"],
        ["±", "95", "%", "±2.0", "±2.0"],
        ["chance", "25.0", "50.0"],
        ["n", "2200", "967", "294"],
    ]
    assert " ".join(body[6]) == "%; METEOR x 100; ± 95 % interval. More: babycli report --notes"
    assert len(body) == 7
    assert "n in trials" in babycli("report", logs, "--notes").out


def test_numbers_stand_under_their_headings(logs: Path, babycli: Babycli) -> None:
    head, sub, _, one, _, two, *_ = babycli("report", logs).out.splitlines()
    assert one.index("75.0") + 4 == sub.index("acc", sub.index("acc") + 1) + 3
    assert two.index("50.0") == one.index("75.0")
    assert head.index("VTWT") + 4 == one.index("75.0") + 4


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_long_name_is_broken_where_its_parts_meet(
    width: int, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    name = "lab/" + "babyllava_" * 5
    write_run(tmp_path, name, {"vtwt": {"acc": 0.75}, "labeled_s": {"acc": 0.5}})
    out = babycli("report", tmp_path).out
    table = out.split("chance")[0].splitlines()
    assert all(len(line) <= width for line in out.splitlines())
    assert next(line for line in table if "lab/" in line).split()[-2:] == ["50.0", "75.0"]
    written = "".join(line.split()[0] for line in table[3:] if line.strip() and "±" not in line)
    assert written == name


def test_colours_are_for_terminals_only(logs: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in babycli("report", logs).out
    monkeypatch.setattr("babycli.commands.report.has_colours", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in babycli("report", logs).out


def test_a_file_has_no_colours_whatever_stdout_is(
    logs: Path, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babycli.commands.report.has_colours", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert babycli("report", logs, "--output", tmp_path / "t.txt").code == 0
    text = (tmp_path / "t.txt").read_text()
    assert "lab/one" in text
    assert "\x1b" not in text


def test_a_file_whose_name_is_of_another_form_is_told(logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs, "--format", "table", "--output", tmp_path / "t.html")
    assert ran.code == 0
    assert "note: it holds the format table, as --format says; its name is that of html" in ran.err
    for words in (("t.txt",), ("t.html", "--format", "html"), ("t",), ("t.json", "--format", "json")):
        assert "note:" not in babycli("report", logs, "--output", tmp_path / words[0], *words[1:]).err


def test_ties_nonfinite_and_skipped_are_marked_and_counted(tmp_path: Path, babycli: Babycli) -> None:
    changes: dict[str, Any] = {"ties": {"vtwt": 3}, "nonfinite": {"vtwt": 2}, "skipped": {"vtwt": ["7"]}}
    write_run(tmp_path, "m", {"vtwt": {"acc": 0.5}}, **changes)
    out = babycli("report", tmp_path).out
    told = " ".join(out.split())
    assert ["m", "50.0=!-"] in rows(out)
    assert "= ties. More:" in told
    explained = " ".join(babycli("report", tmp_path, "--notes").out.split())
    assert ": m vtwt 3" in explained
    assert "Winoground" not in explained  # of which there is no run
    assert "! NON-FINITE scores: do not trust this number: m vtwt 2" in told
    assert "- trials left out because images are missing: m vtwt 1" in told


def test_demo_runs_never_stand_beside_real_ones(logs: Path, babycli: Babycli) -> None:
    write_run(logs, "babyllava-tiny", {"vtwt": {"acc": 1.0}}, data="demo")
    out = babycli("report", logs).out
    real, demo = out.split("babyllava-tiny (demo)")
    assert "lab/one" in real
    assert "DEMO DATA" not in real
    assert "DEMO DATA" in demo
    assert "lab/" not in demo


def test_runs_of_other_tasks_share_a_row_and_runs_of_the_same_do_not(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", {"vtwt": {"acc": 0.5}}, date="20260101_120000")
    write_run(tmp_path, "m", {"labeled_s": {"acc": 0.3}}, date="20260101_130000")
    assert ["m", "30.0", "50.0"] in rows(babycli("report", tmp_path).out)
    write_run(tmp_path, "m", {"vtwt": {"acc": 0.6}}, date="20260102_120000")
    out = rows(babycli("report", tmp_path).out)
    assert ["m", "20260101_120000", "30.0", "50.0"] in out
    assert ["m", "20260102_120000", "60.0"] in out


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "other"},
        {"scoring": "reference"},
        {"dtype": "float16"},
        {"config": {"limit": 5}},
        {"model_args": {"conv_template": "baby_plain"}},
    ],
)
def test_runs_under_other_settings_do_not_share_a_row(change: dict[str, Any], tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", {"vtwt": {"acc": 0.5}})
    write_run(tmp_path, "m", {"labeled_s": {"acc": 0.3}}, date="20260101_130000", **change)
    out = babycli("report", tmp_path).out
    assert not any("30.0" in line and "50.0" in line for line in out.splitlines()[3:5])


def test_reference_and_limited_runs_say_so(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", {"vtwt": {"acc": 0.5}}, scoring="reference", config={"limit": 40}, dtype="float16")
    assert "m (reference, limit 40, float16)" in babycli("report", tmp_path).out


def test_csv_has_full_precision_and_a_line_per_number(logs: Path, babycli: Babycli) -> None:
    table = list(csv.DictReader(io.StringIO(babycli("report", logs, "--format", "csv").out)))
    assert [(r["model"], r["task"], r["metric"], r["value"]) for r in table] == [
        ("lab/one", "labeled_s", "acc", "0.54321"),
        ("lab/one", "vtwt", "acc", "0.75"),
        ("lab/two", "vtwt", "acc", "0.5"),
        ("lab/two", "saycam_caption", "meteor", "0.1234"),
    ]
    assert table[0]["unit"] == "trials"
    assert table[3]["chance"] == ""


def test_json_agrees_with_csv(logs: Path, babycli: Babycli) -> None:
    records = json.loads(babycli("report", logs, "--format", "json").out)
    assert [record["value"] for record in records] == [0.54321, 0.75, 0.5, 0.1234]
    assert records[0]["ci95_low"] == pytest.approx(0.52321)


def test_markdown_is_a_table(logs: Path, babycli: Babycli) -> None:
    lines = babycli("report", logs, "--format", "md").out.splitlines()
    assert lines[0] == "| model | Labeled-S acc | VTWT acc | Caption METEOR |"
    assert lines[1] == "|---|---:|---:|---:|"
    assert lines[2] == "| lab/one | 54.3 | 75.0 |  |"
    assert all(line.count("|") == 5 for line in lines[:6])


def test_output_goes_to_a_file(logs: Path, babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("report", logs, "--format", "md", "--output", tmp_path / "table.md")
    assert ran.out == ""
    assert (tmp_path / "table.md").read_text().startswith("| model |")


def test_a_folder_in_the_place_of_the_output_is_named(logs: Path, babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("report", logs, "--output", tmp_path)
    assert ran.code == 3
    assert f"cannot write {tmp_path}: a folder is there\n  mend: name a file" in ran.err


def test_one_results_file_can_be_named(logs: Path, babycli: Babycli) -> None:
    (path,) = logs.glob("lab__one/*/*_results.json")
    out = babycli("report", path).out
    assert "lab/one" in out
    assert "lab/two" not in out


def test_an_unknown_format_is_a_usage_error(logs: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs, "--format", "tabel")
    assert ran.code == 2
    assert "Did you mean 'table'?" in ran.err
    assert "table, md, csv, json, latex, html, hf, eee, egobabyvlm, leaderboard" in ran.err


def test_nothing_to_report_exits_3(tmp_path: Path, babycli: Babycli) -> None:
    assert "no results" in babycli("report", tmp_path).err
    assert babycli("report", tmp_path).code == babycli("report", tmp_path / "nowhere").code == 3


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"babycli": {"schema_version": 1}}', '{"babycli": {}}', '{"babycli": "0.1"}']
)
def test_a_damaged_results_file_is_named_and_hides_nothing(content: str, logs: Path, babycli: Babycli) -> None:
    (logs / "x_results.json").write_text(content)
    ran = babycli("report", logs)
    assert ran.code == 0
    assert "lab/one" in ran.out
    assert "x_results.json" in ran.err
    assert "Traceback" not in ran.err
    alone = babycli("report", logs / "x_results.json")
    assert alone.code == 3
    assert "x_results.json" in alone.err


def test_a_later_schema_asks_for_a_later_babycli(logs: Path, babycli: Babycli) -> None:
    write_run(logs, "new", {"vtwt": {"acc": 1.0}}, babycli={"schema_version": SCHEMA_VERSION + 1, "version": "9"})
    ran = babycli("report", logs)
    assert ran.code == 0
    assert "new" not in ran.out
    assert "pip install --upgrade" in ran.err


def test_runs_without_results_and_files_that_are_none_are_told(logs: Path, babycli: Babycli) -> None:
    (logs / "lab__one" / "20260101_130000").mkdir()
    (logs / "lab__one" / "20260101_130000" / "run.json").write_text('{"status": "stopped"}')
    (logs / "their_results.json").write_text('{"results": {}}')
    ran = babycli("report", logs)
    assert ran.code == 0
    assert "20260101_130000 has no results: the run was stopped\n" in ran.err
    assert "their_results.json is of no program that is known here" in ran.err


@pytest.mark.parametrize(
    "change",
    [{"chance": []}, {"model_name": 3}, {"results": {"vtwt": {"acc,none": "N/A"}}}, {"ci95": {"vtwt": {"acc": 1}}}],
)
def test_a_results_file_with_a_wrong_value_is_named(change: dict[str, Any], tmp_path: Path, babycli: Babycli) -> None:
    path = write_run(tmp_path, "m", {"vtwt": {"acc": 0.5}}, **change)
    ran = babycli("report", tmp_path)
    assert ran.code == 3
    assert str(path) in ran.err


def test_model_arguments_stand_in_the_name_and_the_records(tmp_path: Path, babycli: Babycli) -> None:
    args = {"pretrained": "m", "conv_template": "baby_plain"}
    write_run(tmp_path, "m", {"vtwt": {"acc": 0.5}}, model_args=args)
    assert "m (conv_template=baby_plain)" in babycli("report", tmp_path).out
    assert (
        json.loads(babycli("report", tmp_path, "--format", "json").out)[0]["model_args"] == "conv_template=baby_plain"
    )
