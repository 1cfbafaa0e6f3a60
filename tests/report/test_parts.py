"""Breakdowns, controls and published rows of `babycli report`."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from babycli.report.group_plots import by_month
from babycli.tasks.phrases import differing_word
from babycli.tasks.sessions import day_of, session_of
from tests.conftest import Babycli
from tests.report.logs import drawn, groups, write_run

ALL = {"labeled_s": 0.6, "vtwt": 0.7, "baby_winoground": 0.3, "saycam_caption": 0.2}


def told(out: str) -> str:
    """Output with its line breaks taken for blanks."""
    return " ".join(out.split())


# ---------------------------------------------------------------- breakdowns


@pytest.mark.parametrize(
    ("by", "tasks"),
    [
        ("category", {"labeled_s"}),
        ("session", {"vtwt", "baby_winoground", "saycam_caption"}),
        ("word", {"vtwt", "baby_winoground"}),
    ],
)
def test_groups_have_the_means_of_their_trials(by: str, tasks: set[str], tmp_path: Path, babycli: Babycli) -> None:
    values = drawn(1, ALL)
    write_run(tmp_path, "m", values)
    found = list(csv.DictReader(io.StringIO(babycli("report", tmp_path, "--by", by, "--format", "csv").out)))
    assert {row["task"] for row in found} == tasks
    for row in found:
        of_trials = np.array(values[row["task"]][row["metric"]])
        names = np.array(groups(row["task"], len(of_trials))[by])
        chosen = of_trials[names == row["group"]]
        assert float(row["value"]) == pytest.approx(chosen.mean(), abs=1e-12)
        assert int(row["n_units"]) == len(chosen)
        assert float(row["ci95_low"]) <= chosen.mean() <= float(row["ci95_high"])
    assert sum(int(r["n_units"]) for r in found if r["task"] == min(tasks)) == len(
        next(iter(values[min(tasks)].values()))
    )


def test_sessions_go_by_the_day_of_recording(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6}))
    records = json.loads(babycli("report", tmp_path, "--by", "session", "--format", "json").out)
    days = [record["recorded_on"] for record in records]
    assert days == sorted(days)
    assert days[0] == "2013-01-01"
    assert "the child's age goes down the table" in told(babycli("report", tmp_path, "--by", "session").out)


def test_models_stand_side_by_side(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "lab/one", drawn(1, {"labeled_s": 0.6}))
    write_run(tmp_path, "lab/two", drawn(2, {"labeled_s": 0.3}))
    out = babycli("report", tmp_path, "--by", "category").out
    assert out.splitlines()[2].split() == ["category", "n", "lab/one", "lab/two"]
    assert len([line for line in out.splitlines() if line.strip().startswith("category")]) == 23  # and the heading


def test_many_models_are_shown_in_blocks_that_fit(
    tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for i in range(14):
        write_run(tmp_path, f"lab/model{i:02}", drawn(i, {"labeled_s": 0.6}))
    out = babycli("report", tmp_path, "--by", "category").out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert all(f"[{i + 1}] lab/model{i:02}" in out for i in range(12))
    assert ["category", "n", "lab/model12", "lab/model13"] in [line.split() for line in out.splitlines()]
    values = [
        row["value"] for row in json.loads(babycli("report", tmp_path, "--by", "category", "--format", "json").out)
    ]
    assert all(f" {100 * value:.1f}" in out for value in values)


def test_groups_that_no_run_knows_are_an_error(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"labeled_s": 0.6}))
    ran = babycli("report", tmp_path, "--by", "session")
    assert ran.code == 3
    assert "babycli eval --tasks vtwt" in ran.err


@pytest.mark.parametrize(
    ("name", "session", "day"),
    [
        ("S_20140420_1803_01_082_00.jpg", "S_20140420_1803", "2014-04-20"),
        ("A_20130101_0001_01_001_00.jpg", "A_20130101_0001", "2013-01-01"),
        ("S_20141399_1803_01_082_00.jpg", "", "None"),  # no such day
        ("demo_frame_001.png", "", "None"),
        ("", "", "None"),
    ],
)
def test_sessions_are_read_from_names(name: str, session: str, day: str) -> None:
    assert session_of(name) == session
    assert str(day_of(session)) == day


@pytest.mark.parametrize(
    ("right", "wrong", "kind"),
    [
        ("blue cloth", "red cloth", "first word (adjective)"),
        ("wash pan", "break pan", "first word (verb)"),
        ("banana slice", "apple slice", "first word (noun)"),
        ("see duck", "see apple", "second word"),
        ("see person", "touch pillow", "both words"),
        ("look", "see duck", "phrases of other lengths"),
    ],
)
def test_phrases_differ_by_a_word_of_a_kind(right: str, wrong: str, kind: str) -> None:
    assert differing_word(right, wrong) == kind


def test_published_phrases_differ_as_counted_by_hand(shared: Path) -> None:
    rows = list(csv.DictReader((shared / "labels/vtwt/vtwt.csv").open()))
    kinds = [differing_word(row["positive_phrase"], row["negative_phrase"]) for row in rows]
    assert len(rows) == 967
    assert kinds.count("both words") == 383
    assert kinds.count("second word") == 84
    assert len({session_of(row["image"]) for row in rows}) == 81


# ---------------------------------------------------------------- controls


def control_logs(root: Path, blind: dict[str, float]) -> None:
    write_run(root, "lab/m", drawn(1, ALL))
    write_run(root, "lab/m", drawn(2, blind), control="blind", date="20260102_120000")


def test_visual_gain_is_the_paired_difference_to_the_blind_run(tmp_path: Path, babycli: Babycli) -> None:
    control_logs(tmp_path, {"labeled_s": 0.25, "vtwt": 0.5})
    write_run(tmp_path, "lab/other", drawn(3, {"vtwt": 0.6}))
    records = json.loads(babycli("report", tmp_path, "--format", "json").out)
    by_row = {(r["model"], r["control"], r["task"], r["metric"]): r for r in records}
    seeing, blind = by_row["lab/m", None, "vtwt", "acc"], by_row["lab/m", "blind", "vtwt", "acc"]
    assert seeing["visual_gain"] == pytest.approx(seeing["value"] - blind["value"], abs=1e-12)
    assert seeing["visual_gain_low"] < seeing["visual_gain"] < seeing["visual_gain_high"]
    assert seeing["visual_gain_significant"]
    assert by_row["lab/m", None, "saycam_caption", "meteor"]["visual_gain"] is None  # was not run blind
    assert by_row["lab/other", None, "vtwt", "acc"]["visual_gain"] is None
    out = babycli("report", tmp_path, "--notes").out
    assert f"{100 * seeing['visual_gain']:+.1f}" in out
    assert (
        "visual gain: the score less the better of chance and the same model without pictures, on the same trials"
        in told(out)
    )
    assert "CONTROL ABOVE CHANCE" not in out


def test_no_gain_over_a_blind_run_of_other_weights(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.7}))
    write_run(tmp_path, "m", drawn(2, {"vtwt": 0.5}), control="blind", fingerprint="others", date="20260102_120000")
    records = json.loads(babycli("report", tmp_path, "--format", "json").out)
    assert [record["visual_gain"] for record in records] == [None, None]


def test_no_gain_over_a_blind_run_that_was_asked_otherwise(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.7}), prompts={"vtwt": "What is this?"})
    for date, prompt, share in (("20260102_120000", "What is this?", 0.5), ("20260103_120000", "Look:", 0.6)):
        write_run(tmp_path, "m", drawn(2, {"vtwt": share}), control="blind", date=date, prompts={"vtwt": prompt})
    records = json.loads(babycli("report", tmp_path, "--format", "json").out)
    seeing, asked_alike, _ = records
    assert seeing["visual_gain"] == pytest.approx(seeing["value"] - asked_alike["value"], abs=1e-12)


def test_a_later_blind_run_of_one_task_leaves_the_gain_of_the_others(tmp_path: Path, babycli: Babycli) -> None:
    control_logs(tmp_path, {"labeled_s": 0.25, "vtwt": 0.5})
    write_run(tmp_path, "lab/m", drawn(9, {"vtwt": 0.5}), control="blind", date="20260103_120000")
    records = json.loads(babycli("report", tmp_path, "--format", "json").out)
    seeing = {r["task"]: r for r in records if r["control"] is None}
    (last,) = [r for r in records if r["date"] == "20260103_120000"]
    assert seeing["labeled_s"]["visual_gain"] is not None
    assert seeing["vtwt"]["visual_gain"] == pytest.approx(seeing["vtwt"]["value"] - last["value"], abs=1e-12)


def test_a_control_above_chance_is_flagged_with_the_words_that_give_it_away(tmp_path: Path, babycli: Babycli) -> None:
    n = 300
    phrases = groups("vtwt", n)["phrases"]
    right = [float(phrase.startswith("hold")) or float(i % 2) for i, phrase in enumerate(phrases)]
    write_run(tmp_path, "m", {"vtwt": {"acc": right}}, control="shuffled")
    ran = babycli("report", tmp_path)
    assert ran.code == 0
    assert "A CONTROL ABOVE CHANCE: m (control: shuffled) gets 66.7 on vtwt acc" in told(ran.out)
    assert (
        "the word drop (100.0 of 100, in the right phrase of 0); hold (100.0 of 100, in the right phrase of 100)"
        in told(ran.out)
    )
    assert [word for word in ran.out.split() if word.endswith("^") and len(word) > 1] == ["66.7^"]


def test_a_category_gives_labeled_s_away(tmp_path: Path, babycli: Babycli) -> None:
    right = [1.0] * 200 + [0.25] * 2000
    write_run(tmp_path, "m", {"labeled_s": {"acc": right}}, control="blind", with_groups=False)
    assert "A CONTROL ABOVE CHANCE" in told(babycli("report", tmp_path).out)
    write_run(
        tmp_path / "known", "m", {"labeled_s": {"acc": [0.5 if i < 220 else 0.3 for i in range(2200)]}}, control="blind"
    )
    assert "with the category category00 (50.0 of 100); category01 (50.0 of 100)" in told(
        babycli("report", tmp_path / "known").out
    )


def test_a_lucky_random_control_is_not_flagged(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "control:random", drawn(1, {"vtwt": 0.9}), control="random")
    assert "ABOVE CHANCE" not in babycli("report", tmp_path).out


def test_names_stay_legible_beside_wide_numbers(
    tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    units = {"labeled_s": 12, "vtwt": 10, "baby_winoground": 9, "saycam_caption": 8}
    sure = {
        task: {m: [1.0] * units[task] for m in values}
        for task, values in drawn(1, dict.fromkeys(units, 0.5), units).items()
    }
    never = {task: {m: [0.0] * units[task] for m in values} for task, values in sure.items()}
    write_run(tmp_path, "lab/checkpoint", sure)
    write_run(tmp_path, "lab/checkpoint", never, control="blind", date="20260102_120000")
    write_run(tmp_path, "lab/other", drawn(3, ALL))
    out = babycli("report", tmp_path, "--notes").out
    assert all(len(line) <= 80 for line in out.splitlines())
    names = {line.strip().split("  ")[0] for line in out.splitlines()}
    assert {"chance", "n", "lab/other", "visual gain", "± 95 %"} <= names
    assert "+100.0" in out
    assert "differs" in out
    assert "n of labeled_s: lab/checkpoint 12" in told(out)
    assert "METEOR" in out


# ---------------------------------------------------------------- published rows


def test_published_rows_are_marked_and_stand_with_saycam_only(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6}))
    out = babycli("report", tmp_path, "--baselines", "paper").out
    assert "(published)" in out
    assert "arXiv 2504.09426" in out
    assert "not measured" in told(out)
    records = json.loads(babycli("report", tmp_path, "--baselines", "paper", "--format", "json").out)
    paper = {(r["model"], r["task"], r["metric"]): r["value"] for r in records if r["program"] == "published"}
    assert paper["CVCL", "baby_winoground", "group_score"] == 0.093
    assert paper["LLaVA-v1.5-7B", "saycam_caption", "meteor"] == 0.166
    assert ("CLIP-large", "saycam_caption", "meteor") not in paper
    adapted = "LLaVA-v1.5-7B is the released model, trained further with LoRA: wsashawn/llava_7b_lora_ft"
    for form in ("table", "html", "latex"):
        said = told(babycli("report", tmp_path, "--baselines", "paper", "--format", form).out).replace("\\_", "_")
        assert adapted in said
        assert "copied from two independent summaries of its table and not from the paper" in said
    demo = tmp_path / "demo"
    write_run(demo, "m", drawn(1, {"vtwt": 0.6}), data="demo")
    assert "published" not in babycli("report", demo, "--baselines", "paper").out
    assert babycli("report", tmp_path, "--baselines", "papers").code == 2


# ---------------------------------------------------------------- figures


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "start"),
    [
        pytest.param("f.png", b"\x89PNG", marks=pytest.mark.long, id="png"),
        pytest.param("f.pdf", b"%PDF", marks=pytest.mark.long, id="pdf"),
        pytest.param("f.svg", b"<?xml", id="svg"),
    ],
)
@pytest.mark.parametrize("words", [(), ("--by", "category"), ("--by", "session"), ("--compare", "lab/m", "step-20")])
def test_plots_are_drawn_the_same_each_time(
    words: tuple[str, ...], name: str, start: bytes, tmp_path: Path, babycli: Babycli
) -> None:
    logs = tmp_path / "logs"
    control_logs(logs, {"vtwt": 0.5})
    for step in (10, 20):
        write_run(logs, f"run/step-{step}", drawn(step, ALL))
    drawings = []
    for _ in range(2):
        ran = babycli("report", logs, *words, "--plot", tmp_path / name)
        assert ran.code == 0, ran.err
        assert "drew" in ran.err
        drawings.append((tmp_path / name).read_bytes())
    assert drawings[0].startswith(start)
    assert drawings[0] == drawings[1]
    if name == "f.svg":
        text = drawings[0].decode()
        assert "Labeled-S" in text or "VTWT" in text
        assert ("step-20" in text) == (words != ("--by", "x"))


@pytest.mark.parametrize(
    ("names", "is_series"),
    [
        (("run/step-10", "run/step-20"), True),
        (("run/global_step100", "run/global_step200"), True),
        (("run/my-ckpt_5k", "run/my-ckpt_10k"), True),
        (("run/EPOCH3.pt", "run/EPOCH12.pt"), True),
        (("lab/babystep1-vit", "lab/babystep2-vit"), False),
        (("lab/footsteps12", "lab/footsteps13"), False),
        (("lab/2step3", "lab/2step4"), False),
        (("lab/step-1v-chat", "lab/step-2v-chat"), False),
        (("lab/epoch1b", "lab/epoch3b"), False),
    ],
    ids=str,
)
def test_only_a_word_of_its_own_is_a_step(
    names: tuple[str, str], is_series: bool, tmp_path: Path, babycli: Babycli
) -> None:
    for seed, name in enumerate(names):
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6}, {"vtwt": 60}))
    assert ("<h3>Over training</h3>" in babycli("report", tmp_path, "--format", "html").out) == is_series


def test_a_step_in_thousands_is_so_many(tmp_path: Path, babycli: Babycli) -> None:
    for seed, name in enumerate(("ckpt-900", "ckpt-2k", "ckpt-1M")):
        write_run(tmp_path, f"run/{name}", drawn(seed, {"vtwt": 0.6}, {"vtwt": 60}))
    text = babycli("report", tmp_path, "--format", "html").out
    assert re.search("over 3 checkpoints: step 900 .*; step 2000 .*; step 1000000 ", text)


def test_a_plot_of_a_place_that_cannot_be_written_is_an_error(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path / "logs", "m", drawn(1, {"vtwt": 0.6}))
    (tmp_path / "file").touch()
    ran = babycli("report", tmp_path / "logs", "--plot", tmp_path / "file" / "f.pdf")
    assert ran.code == 3
    assert "f.pdf" in ran.err


def test_months_hold_the_trials_of_their_sessions(tmp_path: Path) -> None:
    from babycli.report.breakdown import break_down
    from babycli.report.load import load_logs
    from babycli.report.rows import make_rows

    values = drawn(1, {"vtwt": 0.6})
    write_run(tmp_path, "m", values)
    (found,) = break_down(make_rows(load_logs(tmp_path).runs), "session")
    months = by_month(found)
    of_trials = np.array(values["vtwt"]["acc"])
    january = np.array([name[2:8] == "201301" for name in groups("vtwt", 967)["session"]])
    assert [month.month for month in months] == [f"2013-{m:02}" for m in range(1, 13)]
    assert months[0].n_trials == january.sum()
    assert months[0].value == pytest.approx(of_trials[january].mean(), abs=1e-12)
    assert sum(month.n_trials for month in months) == 967


@pytest.mark.parametrize("n_months", [12, 200, *(pytest.param(n, marks=pytest.mark.long) for n in (3, 13, 40))])
def test_the_names_of_months_do_not_overlap(n_months: int, tmp_path: Path, babycli: Babycli) -> None:
    sessions = [f"S_{2012 + i % n_months // 12}{1 + i % n_months % 12:02}01_{i:04}" for i in range(967)]
    long = "lab/a-long-name-of-a-model-that-tells-of-all-its-settings-and-more/checkpoint-100000"
    write_run(tmp_path, long, drawn(1, {"vtwt": 0.7}), grouped={"vtwt": {"session": sessions}})
    assert babycli("report", tmp_path, "--by", "session", "--plot", tmp_path / "p.svg").code == 0
    texts = re.findall(
        r"<text [^>]*?([-.\d]+) +[-.\d]+\)?\"[^>]*>(\d{4}-\d\d)</text>", (tmp_path / "p.svg").read_text()
    )
    places = sorted((float(x), month) for x, month in texts)
    assert 3 <= len(places) <= 12
    assert [month for _, month in places] == sorted(month for _, month in places)
    apart = [right - left for (left, _), (right, _) in itertools.pairwise(places)]
    assert min(apart) > 38  # points; such a name is 36 wide


def test_a_forest_plot_has_a_key_units_and_only_rows_with_numbers(tmp_path: Path, babycli: Babycli) -> None:
    of_devcv = ("baby_pv", "baby_localize", "baby_leftright", "baby_spatialdetails")
    units = dict.fromkeys((*of_devcv, "vtwt", "baby_winoground", "saycam_caption"), 20)
    tasks = ("vtwt", "baby_winoground", "saycam_caption")
    write_run(tmp_path, "lab/a", drawn(1, dict.fromkeys(tasks, 0.5), units), data="demo", with_groups=False)
    of_b = dict.fromkeys(of_devcv, 0.5)
    write_run(tmp_path, "lab/b", drawn(2, of_b, units), data="demo", with_groups=False)
    write_run(tmp_path, "lab/b", drawn(2, of_b, units), data="demo", with_groups=False, control="blind", date="2026")
    ran = babycli("report", tmp_path, "--plot", tmp_path / "f.svg")
    assert ran.code == 0, ran.err
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "f.svg").read_text())
    once = ("model, 95 % interval", "control, 95 % interval", "chance", "Demo data: no results on SAYCam")
    assert [texts.count(text) for text in once] == [1, 1, 1, 1]
    assert "published" not in texts
    assert texts.count("METEOR × 100") == 1
    assert texts.count("%") > 5
    # The last strips have tasks of one model alone, and its names stand there without the other's.
    assert [texts.count(name) for name in ("lab/a (demo)", "lab/b (demo)", "lab/b (demo, control: blind)")] == [2, 3, 3]


def test_both_axes_of_scores_have_their_unit(tmp_path: Path, babycli: Babycli) -> None:
    for step in (10, 20):
        write_run(tmp_path, f"run/step-{step}", drawn(step, {"vtwt": 0.6}, {"vtwt": 20}), with_groups=False)
    assert babycli("report", tmp_path, "--plot", tmp_path / "f.svg").code == 0
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "f.svg").read_text())
    assert texts.count("%") == 2  # below the forest plot, and beside the learning curve


@pytest.mark.parametrize(
    "words", [(), ("--compare", "a", "b"), ("--by", "category"), ("--by", "session")], ids=" ".join
)
def test_a_figure_fits_a_paper_and_names_are_whole(words: tuple[str, ...], tmp_path: Path, babycli: Babycli) -> None:
    settings = "a-name-of-a-model-that-tells-all-of-its-settings-and-more"
    for seed, name in enumerate(("a", "b")):
        write_run(tmp_path, f"lab/{name}-{settings}", drawn(seed, ALL))
    words = tuple(f"{word}-{settings}" if len(word) == 1 else word for word in words)
    assert babycli("report", tmp_path, *words, "--plot", tmp_path / "f.svg").code == 0
    svg = (tmp_path / "f.svg").read_text()
    (width,) = re.findall(r'<svg [^>]*?width="([\d.]+)pt"', svg)
    assert float(width) / 72 < (3.5 if "--compare" in words else 7.3)  # inches: one column of a paper, or two
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for name in ("a", "b"):
        assert f"lab/{name}-{settings}" in "".join(text.removeprefix("− ") for text in texts)


def test_a_control_is_drawn_as_on_the_page(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"labeled_s": 0.7}))
    write_run(tmp_path, "m", drawn(2, {"labeled_s": 0.25}), control="blind", date="20260102_120000")
    page = babycli("report", tmp_path, "--format", "html", "--plot", tmp_path / "f.svg").out
    accent, quiet = (re.findall(rf"--{name}: (#\w+);", page)[0] for name in ("accent", "quiet"))
    drawn_marks = re.findall(r'<use [^>]*style="fill: (#\w+); stroke: (#\w+)', (tmp_path / "f.svg").read_text())
    assert {(accent, accent), ("#ffffff", quiet)} <= set(drawn_marks)
