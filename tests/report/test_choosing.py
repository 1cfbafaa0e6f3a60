"""What a reader chooses of a report: folders, rows, tasks, metrics, names, and the form of a file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from babycli.logs.identity import PROMPT_OPTION
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

UNITS = {"labeled_s": 44, "vtwt": 40, "baby_winoground": 30, "saycam_caption": 20}
SHARES = {"labeled_s": 0.5, "vtwt": 0.6, "baby_winoground": 0.3}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of logs, in the working folder."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "logs_a", "lab/alpha", drawn(1, SHARES, UNITS))
    write_run(tmp_path / "logs_a", "lab/alpha", drawn(2, SHARES, UNITS), control="blind", date="20260102_120000")
    write_run(tmp_path / "logs_b" / "one", "lab/beta", drawn(3, SHARES, UNITS))
    write_run(
        tmp_path / "logs_b" / "two",
        "gamma",
        drawn(4, {"saycam_caption": 0.3}, UNITS),
        config={"model": "hf", "limit": 20},
    )
    (tmp_path / "logs_b" / "notes.txt").write_text("mine")
    return tmp_path


def labels(out: str) -> list[str]:
    return list(dict.fromkeys(row["label"] for row in csv.DictReader(io.StringIO(out))))


def columns(out: str) -> list[str]:
    rows = csv.DictReader(io.StringIO(out))
    return list(dict.fromkeys(f"{row['task']} {row['metric']}" for row in rows))


def test_runs_of_several_folders_and_patterns_are_read_once(folders: Path, babycli: Babycli) -> None:
    every = ["gamma (limit 20)", "lab/alpha", "lab/alpha (control: blind)", "lab/beta"]
    for places in (("logs_a", "logs_b"), ("logs_a", "logs_b/*"), ("logs_*", "logs_a"), ("logs_[ab]",)):
        ran = babycli("report", *places, "--format", "csv")
        assert ran.code == 0, ran.err
        assert labels(ran.out) == every
    assert "logs_b/notes.txt" in babycli("report", "logs_a", "logs_b/*").err


def test_folders_may_stand_behind_compared_models(folders: Path, babycli: Babycli) -> None:
    ran = babycli("report", "--compare", "alpha", "beta", "logs_a", "logs_b")
    assert ran.code == 0, ran.err
    assert "lab/alpha − lab/beta" in ran.out


@pytest.mark.parametrize(("places", "said"), [(("logs_c*",), "logs_c*"), (("logs_a", "nowhere"), "nowhere")])
def test_a_place_that_is_not_there_is_told(places: tuple[str, ...], said: str, folders: Path, babycli: Babycli) -> None:
    ran = babycli("report", *places)
    assert ran.code == 3
    assert said in ran.err


def test_rows_tasks_and_metrics_are_chosen_in_the_order_given(folders: Path, babycli: Babycli) -> None:
    words = ("report", "logs_a", "logs_b", "--format", "csv")
    assert labels(babycli(*words, "--models", "beta,lab/alpha").out) == ["lab/beta", "lab/alpha"]
    assert labels(babycli(*words, "--models", "bet*").out) == ["lab/beta"]
    assert labels(babycli(*words, "--models", "lab/alpha (control: blind)", "--models", "g*").out) == [
        "lab/alpha (control: blind)",
        "gamma (limit 20)",
    ]
    assert "lab/alpha (control: blind)" not in labels(babycli(*words, "--no-controls").out)
    assert columns(babycli(*words, "--tasks", "vtwt,labeled_s", "--models", "beta").out) == [
        "vtwt acc",
        "labeled_s acc",
    ]
    mains = ["labeled_s acc", "vtwt acc", "baby_winoground group_score", "saycam_caption meteor"]
    assert sorted(columns(babycli(*words, "--metrics", "main").out)) == sorted(mains)
    some = babycli(*words, "--metrics", "text_score,image", "--models", "beta").out
    assert columns(some) == ["baby_winoground text_score", "baby_winoground image_score"]
    table = babycli("report", "logs_a", "--tasks", "vtwt,labeled_s", "--models", "lab/alpha").out
    assert table.split()[:2] == ["VTWT", "Labeled-S"]


def test_what_was_chosen_holds_for_comparisons_and_groups(folders: Path, babycli: Babycli) -> None:
    words = ("report", "logs_a", "logs_b", "--format", "json", "--tasks", "vtwt")
    compared = json.loads(babycli(*words, "--compare", "alpha", "beta").out)
    assert [record["task"] for record in compared] == ["vtwt"]
    assert compared[0]["p_holm"] == compared[0]["p_value"]
    grouped = json.loads(babycli(*words, "--by", "word", "--models", "beta").out)
    assert {(record["label"], record["task"]) for record in grouped} == {("lab/beta", "vtwt")}


def test_gains_are_those_of_controls_that_are_not_shown(folders: Path, babycli: Babycli) -> None:
    words = ("report", "logs_a", "--format", "json", "--tasks", "vtwt")
    (shown,) = json.loads(babycli(*words, "--no-controls").out)
    assert shown["visual_gain"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--models", "lab/alpa"), "Did you mean 'lab/alpha'?"),
        (("--models", "x*"), "'x*'"),
        (("--tasks", "vtwd"), "Did you mean 'vtwt'?"),
        (("--metrics", "group_scor"), "Did you mean 'group_score'?"),
        (("--metrics", "main,acc"), "--metrics main"),
        (("--rename", "lab/alpa=A"), "Did you mean 'lab/alpha'?"),
        (("--rename", "lab/alpha="), "cannot be shown"),
        (("--rename", "lab/alpha"), "has no ="),
        (("--rename", "=A"), "no old name"),
        (("--rename", "lab/alpha=lab/beta"), "two rows 'lab/beta'"),
        (("--audit", "--tasks", "vtwt"), "--audit looks at all"),
    ],
    ids=" ".join,
)
def test_an_unknown_name_is_refused(words: tuple[str, ...], said: str, folders: Path, babycli: Babycli) -> None:
    ran = babycli("report", "logs_a", "logs_b", *words)
    assert ran.code == 2
    assert said in ran.err


def test_a_new_name_keeps_what_stands_behind_it(folders: Path, babycli: Babycli) -> None:
    words = ("report", "logs_a", "logs_b", "--format", "csv")
    expected = ["gamma (limit 20)", "Alpha = 1", "Alpha = 1 (control: blind)", "B"]
    assert labels(babycli(*words, "--rename", "lab/alpha=Alpha = 1", "--rename", "beta=B").out) == expected
    (folders / "names").write_text("# for the paper\n\nlab/alpha = Alpha = 1\nlab/beta=B\n")
    renamed = babycli(*words, "--rename", "names").out
    assert labels(renamed) == expected
    models = {row["model"]: row["path"] for row in csv.DictReader(io.StringIO(renamed))}
    assert models == {"gamma": "gamma", "Alpha = 1": "lab/alpha", "B": "lab/beta"}
    assert "visual gain" in babycli("report", "logs_a", "--rename", "lab/alpha=A", "--models", "A").out
    (folders / "names").write_text("lab/alpha=A\n", encoding="utf-16")
    assert "names is not in UTF-8" in babycli(*words, "--rename", "names").err


def test_a_part_of_the_name_of_a_model_renames_its_controls_too(folders: Path, babycli: Babycli) -> None:
    words = ("report", "logs_a", "logs_b", "--format", "csv", "--rename")
    expected = ["gamma (limit 20)", "A", "A (control: blind)", "lab/beta"]
    assert labels(babycli(*words, "alpha=A").out) == expected
    assert labels(babycli(*words, "alph=A").out) == expected
    one = ["gamma (limit 20)", "lab/alpha", "A (control: blind)", "lab/beta"]
    assert labels(babycli(*words, "lab/alpha (control: blind)=A (control: blind)").out) == one


def test_the_beginning_of_a_name_goes_before_its_middle(tmp_path: Path, babycli: Babycli) -> None:
    for seed, name in enumerate(("lab/babyllava", "lab/llava-tiny", "lab/llama")):
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6}))
    words = ("report", tmp_path, "--format", "csv")
    assert labels(babycli(*words, "--models", "llava").out) == ["lab/llava-tiny"]
    assert labels(babycli(*words, "--rename", "llava=L").out) == ["lab/babyllava", "lab/llama", "L"]
    ran = babycli(*words, "--rename", "lla=L")
    assert (ran.code, "--rename 'lla' fits lab/llama and lab/llava-tiny" in ran.err) == (2, True)


@pytest.mark.parametrize("words", [("--models", "gamma"), ("--models", "gamm*", "--no-controls")])
def test_columns_that_no_chosen_row_has_go(words: tuple[str, ...], folders: Path, babycli: Babycli) -> None:
    said = babycli("report", "logs_a", "logs_b", *words, "--notes").out
    assert "METEOR" in said
    assert "VTWT" not in said
    assert "Wino" not in said


def test_columns_of_controls_alone_go_with_them(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "lab/alpha", drawn(1, {"vtwt": 0.6}, UNITS))
    write_run(tmp_path, "lab/alpha", drawn(2, SHARES, UNITS), control="blind", date="20260102_120000")
    assert "Labeled-S" in babycli("report", tmp_path).out
    assert "Labeled-S" not in babycli("report", tmp_path, "--no-controls").out


def test_tables_of_csv_and_json_can_be_joined(folders: Path, babycli: Babycli) -> None:
    words = ("report", "logs_a", "logs_b", "--format", "json")
    summary = json.loads(babycli(*words).out)
    grouped = json.loads(babycli(*words, "--by", "word").out)
    compared = json.loads(babycli(*words, "--compare", "alpha", "beta").out)
    known = {(record["model"], record["label"], record["path"]) for record in summary}
    assert known == {
        ("gamma", "gamma (limit 20)", "gamma"),
        ("lab/alpha", "lab/alpha", "lab/alpha"),
        ("lab/alpha", "lab/alpha (control: blind)", "lab/alpha"),
        ("lab/beta", "lab/beta", "lab/beta"),
    }
    assert {(record["model"], record["label"], record["path"]) for record in grouped} <= known
    assert {record["first"] for record in compared} == {"lab/alpha"}
    for record in (*summary, *grouped):
        assert {"control", "limit", "prompt", "scoring"} <= record.keys()
    assert {record["limit"] for record in summary if record["model"] == "gamma"} == {20}


@pytest.mark.parametrize(
    ("name", "begins"),
    [("t.md", "| model"), ("t.csv", "model,label,"), ("t.json", "["), ("t.tex", "% Needs"), ("t.html", "<!doctype")],
)
def test_the_form_follows_the_name_of_the_file(name: str, begins: str, folders: Path, babycli: Babycli) -> None:
    ran = babycli("report", "logs_a", "--output", name)
    assert ran.code == 0
    assert (folders / name).read_text().startswith(begins)
    assert "note:" not in ran.err
    babycli("report", "logs_a", "--output", name, "--format", "table")
    assert "Labeled-S" in (folders / name).read_text().split("\n")[0]


def test_a_task_that_was_run_again_with_equal_numbers_is_in_one_row(tmp_path: Path, babycli: Babycli) -> None:
    values = drawn(1, {"vtwt": 0.6, "labeled_s": 0.4})
    write_run(tmp_path, "lab/a", values)
    write_run(tmp_path, "lab/a", {"vtwt": values["vtwt"]}, date="20260102_120000")
    write_run(tmp_path, "lab/b", drawn(2, {"vtwt": 0.5}))
    found = json.loads(babycli("report", tmp_path, "--format", "json").out)
    assert {(r["label"], r["task"], r["n_equal_runs"], r["date"]) for r in found} == {
        ("lab/a", "vtwt", 2, "20260102_120000"),
        ("lab/a", "labeled_s", 1, "20260101_120000"),
        ("lab/b", "vtwt", 1, "20260101_120000"),
    }
    shown = " ".join(babycli("report", tmp_path).out.split())
    same = "equal runs (the same model, settings, data, software and numbers), of which the latest is shown"
    assert f"{same}: lab/a 2 of vtwt; --all-runs shows all." in shown
    assert "lab/a − lab/b" in babycli("report", tmp_path, "--compare", "a", "b").out
    assert len({r["label"] for r in json.loads(babycli("report", tmp_path, "--all-runs", "--format", "json").out)}) == 3


def test_equal_runs_are_counted_by_task(tmp_path: Path, babycli: Babycli) -> None:
    values, other = drawn(1, {"vtwt": 0.6, "labeled_s": 0.4}), drawn(2, {"vtwt": 0.5})
    write_run(tmp_path, "lab/a", values)
    write_run(tmp_path, "lab/a", {"labeled_s": values["labeled_s"]}, date="20260102_120000")  # another task
    write_run(tmp_path, "lab/a", {"vtwt": values["vtwt"]}, date="20260103_120000")
    write_run(tmp_path, "lab/a", {"vtwt": values["vtwt"]}, date="20260104_120000")
    write_run(tmp_path, "lab/b", {"vtwt": values["vtwt"]})
    write_run(tmp_path, "lab/b", {"labeled_s": values["labeled_s"]}, date="20260102_120000")
    for day in (1, 2):
        write_run(tmp_path, "lab/c", other, date=f"2026010{day}_120000")
    shown = " ".join(babycli("report", tmp_path).out.split())
    assert (
        "of which the latest is shown: lab/a 2 of labeled_s, lab/a 3 of vtwt, lab/c 2; --all-runs shows all." in shown
    )
    assert "equal runs" not in babycli("report", tmp_path, "--all-runs").out


def test_what_is_shown_twice_is_not_counted_as_left_out(tmp_path: Path, babycli: Babycli) -> None:
    """Two runs with one task in common and another in which they differ stay whole."""
    values = drawn(1, {"vtwt": 0.6, "labeled_s": 0.4})
    write_run(tmp_path, "lab/a", values)
    write_run(tmp_path, "lab/a", {**values, **drawn(3, {"vtwt": 0.5})}, date="20260102_120000")
    assert "equal runs" not in babycli("report", tmp_path).out
    write_run(tmp_path, "lab/a", values, date="20251231_120000")
    shown = " ".join(babycli("report", tmp_path).out.split())
    assert "equal runs" in shown
    assert "is shown: lab/a 20260101_120000 2; --all-runs" in shown


@pytest.mark.parametrize("words", [(), ("--all-runs",)])
def test_a_copy_of_a_run_is_told_by_its_place(words: tuple[str, ...], tmp_path: Path, babycli: Babycli) -> None:
    """Name and date are those of the run; so may be those of two runs on two machines, with other numbers."""
    place = write_run(tmp_path / "one", "lab/a", drawn(1, {"vtwt": 0.6}))
    other = write_run(tmp_path / "two", "lab/a", drawn(1 if words else 2, {"vtwt": 0.6}))
    ran = babycli("report", tmp_path, "--format", "json", *words)
    assert ran.code == 0, ran.err
    assert [row["label"] for row in json.loads(ran.out)] == [f"lab/a 20260101_120000 {path}" for path in (place, other)]
    folders = (place.parent, other.parent)
    assert "lab/a" in babycli("report", tmp_path, "--compare", *folders, *words).out


def test_a_run_of_which_one_number_is_another_stays_whole(tmp_path: Path, babycli: Babycli) -> None:
    values, other = drawn(1, {"vtwt": 0.6, "labeled_s": 0.4}), drawn(3, {"vtwt": 0.5})
    write_run(tmp_path, "lab/a", values)
    write_run(tmp_path, "lab/a", {**other, "labeled_s": values["labeled_s"]}, date="20260102_120000")
    write_run(tmp_path, "lab/a", {"labeled_s": values["labeled_s"]}, date="20260103_120000", scoring="reference")
    found = json.loads(babycli("report", tmp_path, "--format", "json").out)
    assert sorted((r["label"], r["task"]) for r in found) == [
        ("lab/a (reference)", "labeled_s"),
        ("lab/a 20260101_120000", "labeled_s"),
        ("lab/a 20260101_120000", "vtwt"),
        ("lab/a 20260102_120000", "labeled_s"),
        ("lab/a 20260102_120000", "vtwt"),
    ]


def test_a_control_of_a_control_is_named(tmp_path: Path, babycli: Babycli) -> None:
    for control, date in (("random", "20260101_120000"), ("blind", "20260102_120000")):
        write_run(tmp_path, "control:random?seed=1", drawn(1, {"vtwt": 0.5}), control=control, date=date)
    write_run(tmp_path, "lab/a", drawn(3, {"vtwt": 0.6}))
    expected = ["control:random?seed=1 (control: blind)", "control:random?seed=1", "lab/a"]
    assert labels(babycli("report", tmp_path, "--format", "csv").out) == expected
    shown = babycli("report", tmp_path, "--compare", "a", "random").out
    assert "lab/a − control:random?seed=1" in shown
    assert "blind" not in shown


def test_an_unknown_ending_of_a_file_is_refused(folders: Path, babycli: Babycli) -> None:
    ran = babycli("report", "logs_a", "-o", "table.xlsx")
    assert (ran.code, (folders / "table.xlsx").exists()) == (2, False)
    assert "no form of report ends in .xlsx" in ran.err
    assert "name it .txt, .md, .csv, .json, .tex or .html, or add --format" in ran.err
    assert babycli("report", "logs_a", "-o", "table.xlsx", "--format", "csv").code == 0
    ran = babycli("report", "logs_a", "-o", "a figure.png")
    assert (ran.code, (folders / "a figure.png").exists()) == (2, False)
    assert "mend: a figure is drawn with  --plot 'a figure.png'" in ran.err


def test_published_rows_that_stand_nowhere_are_told(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path / "demo", "lab/a", drawn(1, {"vtwt": 0.5}), data="demo")
    ran = babycli("report", tmp_path / "demo", "--baselines", "paper")
    assert ran.code == 0
    assert "note: no published row is shown: those of the paper are of SAYCam, these runs of Demo data" in ran.err
    write_run(tmp_path / "real", "lab/a", drawn(1, {"vtwt": 0.5}))
    assert "no published row" not in babycli("report", tmp_path / "real", "--baselines", "paper").err


def test_a_page_takes_groups_for_its_plot(folders: Path, babycli: Babycli) -> None:
    words = ("report", "logs_a", "--by", "category", "--format", "html")
    assert babycli(*words).code == 2
    ran = babycli(*words, "-o", "page.html", "--plot", "groups.svg")
    assert ran.code == 0, ran.err
    assert "Labeled-S acc" in (folders / "groups.svg").read_text()
    assert "<!doctype html>" in (folders / "page.html").read_text()


def test_groups_that_the_items_of_a_run_do_not_tell_are_no_advice_to_run_it(tmp_path: Path, babycli: Babycli) -> None:
    grouped = {"vtwt": {"word": ["first word (verb)"] * 40}}
    write_run(tmp_path, "lab/a", drawn(1, {"vtwt": 0.5}, UNITS), grouped=grouped)
    ran = babycli("report", tmp_path, "--by", "session")
    assert ran.code == 3
    assert "the runs of vtwt do not tell the session of any trial" in ran.err
    assert "break them down  --by word" in ran.err
    assert "evaluate them:  babycli eval --tasks labeled_s" in babycli("report", tmp_path, "--by", "category").err


def test_a_block_of_columns_has_only_the_rows_with_numbers_in_it(
    tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    write_run(tmp_path, "lab/a", drawn(1, {"labeled_s": 0.5}, UNITS))
    write_run(tmp_path, "lab/b", drawn(1, {"baby_winoground": 0.5}, UNITS))
    first, *others = babycli("report", tmp_path).out.split("model ")[1:]
    assert ("lab/a" in first, "lab/b" in first, first.count("\n  ± 95 %")) == (True, False, 1)
    shown = [("lab/a" in block, "lab/b" in block, block.count("\n  ± 95 %")) for block in others]
    assert set(shown) == {(False, True, 1)}


def test_names_stand_over_the_columns_of_groups_where_they_fit(
    folders: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("report", "logs_a", "logs_b", "--by", "category")
    monkeypatch.setenv("COLUMNS", "80")
    shown = babycli(*words).out
    assert shown.splitlines()[2].split() == ["lab/alpha"]
    assert shown.splitlines()[3].split() == ["category", "n", "lab/alpha", "(control:", "blind)", "lab/beta"]
    assert "[1]" not in shown
    monkeypatch.setenv("COLUMNS", "50")
    shown = babycli(*words).out
    assert shown.splitlines()[2].split() == ["[1]", "[2]", "[3]"]
    assert "[2] lab/alpha (control: blind)" in shown


def test_the_table_says_where_each_n_stands(folders: Path, babycli: Babycli) -> None:
    more = "More, and n of each row: babycli report --notes"
    assert more not in " ".join(babycli("report", "logs_a").out.split())
    write_run(folders / "logs_a", "lab/beta", drawn(3, SHARES, {**UNITS, "vtwt": 30}))
    assert more in " ".join(babycli("report", "logs_a").out.split())


@pytest.fixture
def tried(tmp_path: Path) -> Path:
    """Two models that were tried on a part of the trials and then run on all of them, and one that was only tried."""
    part: dict[str, Any] = {"config": {"limit": 20}, "date": "20251231_120000"}
    for i, name in enumerate(("lab/a", "lab/b")):
        write_run(tmp_path, name, drawn(i, {"vtwt": 0.6, "labeled_s": 0.4}))
        write_run(tmp_path, name, drawn(i, {"vtwt": 0.6}, {"vtwt": 20}), **part)
    write_run(tmp_path, "lab/c", drawn(5, {"vtwt": 0.6}, {"vtwt": 20}), **part)
    return tmp_path


LEFT_OUT = "2 runs of a part of the trials are left out, as the whole ones are here: --all-runs shows them."


@pytest.mark.parametrize("form", ["table", "md", "html", "latex"])
def test_a_part_is_left_out_beside_the_whole_and_the_table_says_so(form: str, tried: Path, babycli: Babycli) -> None:
    for words in ((), ("--notes",)):
        ran = babycli("report", tried, "--format", form, *words)
        shown = " ".join(ran.out.split())
        assert (ran.code, shown.count(LEFT_OUT), LEFT_OUT in ran.err) == (0, 1, False), ran.err
        assert "lab/a (limit 20)" not in shown
        assert "lab/c (limit 20)" in " ".join(shown.replace("}", " ").split())
    shown = " ".join(babycli("report", tried, "--format", form, "--all-runs").out.split())
    assert ("left out, as" in shown, "lab/b (limit 20)" in shown) == (False, True)


@pytest.mark.parametrize("words", [("--format", "json"), ("--format", "csv"), ("--by", "word"), ("--wrong",)])
def test_what_has_no_notes_leaves_parts_out_too(words: tuple[str, ...], tried: Path, babycli: Babycli) -> None:
    ran = babycli("report", tried, *words)
    assert (ran.code, f"note: {LEFT_OUT}\n" in ran.err) == (0, True), ran.err
    assert "lab/a (limit 20)" not in ran.out
    every = babycli("report", tried, *words, "--all-runs")
    assert ("left out" in every.err, len(every.out) > len(ran.out)) == (False, True)


def test_a_part_is_shown_where_it_is_named(tried: Path, babycli: Babycli) -> None:
    def labels(*words: object) -> tuple[list[str], str]:
        ran = babycli("report", tried, "--format", "json", *words)
        assert ran.code == 0, ran.err
        return list(dict.fromkeys(record["label"] for record in json.loads(ran.out))), ran.err

    assert labels("--models", "lab/a,lab/a (limit 20)") == (["lab/a", "lab/a (limit 20)"], "")
    folder = tried / "lab__b" / "20251231_120000"
    assert labels("--models", f"lab/a,{folder}")[0] == ["lab/a", "lab/b (limit 20)"]
    assert labels("--models", "*limit*")[0] == ["lab/c (limit 20)"]
    found, err = labels("--models", "lab/a*")
    assert (found, "note: 1 run of a part of the trials is left out, as the whole one is here" in err) == (
        ["lab/a"],
        True,
    )
    assert labels("--rename", "lab/a (limit 20)=try", "--models", "try")[0] == ["try"]
    ran = babycli("report", tried, "--compare", "lab/a (limit 20)", "lab/b (limit 20)")
    assert (ran.code, "lab/a (limit 20) − lab/b (limit 20)" in ran.out, ran.err) == (0, True, "")
    one = json.loads(babycli("report", tried, "--format", "eee", "--model", "lab/a (limit 20)").out)
    assert one["evaluation_results"]


def test_a_part_with_another_question_stays(tmp_path: Path, babycli: Babycli) -> None:
    part: dict[str, Any] = {"config": {"limit": 20}}
    few = drawn(2, {"vtwt": 0.6}, {"vtwt": 20})
    write_run(tmp_path, "a", drawn(1, {"vtwt": 0.6}))
    prompt: dict[str, Any] = {"prompts": {"vtwt": "Look:"}, "prompt_origins": {"vtwt": PROMPT_OPTION}}
    others: list[dict[str, Any]] = [
        {"control": "blind"},
        {"dtype": "bfloat16"},
        {"fingerprint": "other weights"},
        {"model_args": {"tiles": False}},
        {"labels_sha256": {"vtwt": "other labels"}},
        prompt,
    ]
    for day, other in enumerate(others, 2):
        write_run(tmp_path, "a", few, date=f"2026010{day}_120000", **part, **other)
    more = drawn(3, {"vtwt": 0.6, "labeled_s": 0.4}, {"vtwt": 20, "labeled_s": 20})
    write_run(tmp_path, "a", more, date="20260120_120000", **part)
    ran = babycli("report", tmp_path, "--format", "json")
    assert (ran.code, "left out" in ran.err) == (0, False)
    assert len({record["date"] for record in json.loads(ran.out)}) == 8


def test_a_part_stays_beside_a_control_of_that_part(tmp_path: Path, babycli: Babycli) -> None:
    part: dict[str, Any] = {"config": {"limit": 20}}
    few = drawn(2, {"vtwt": 0.6}, {"vtwt": 20})
    write_run(tmp_path, "a", drawn(1, {"vtwt": 0.6}))
    write_run(tmp_path, "a", few, date="20260102_120000", **part)
    write_run(tmp_path, "a", few, date="20260103_120000", control="blind", **part)
    shown = babycli("report", tmp_path).out
    assert ("visual gain" in shown, "left out, as" in shown) == (True, False)
    write_run(tmp_path, "a", drawn(4, {"vtwt": 0.5}), date="20260104_120000", control="blind")
    assert LEFT_OUT in " ".join(babycli("report", tmp_path).out.split())
