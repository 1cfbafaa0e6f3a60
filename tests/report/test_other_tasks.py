"""Reports of tasks that are none of babycli's own: another unit, no chance level, numbers that are no shares.

Everything here is registered by the tests; the same runs are read once more where only their logs know the tasks.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import babycli.tasks
from babycli.domain import Item, Metric, Outcome, Row
from babycli.report.forms import ModelForm, PageForm, SheetForm, forms, register_form
from babycli.stats import bootstrap95, clustered95, wilson95
from babycli.tasks import about
from babycli.tasks.about import About
from babycli.tasks.base import Asking, Benchmark, Needs, Play, Task
from babycli.tasks.groups import SESSION, Grouping
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

N = 120
SHADE = Grouping("shade", "shade of the colour", is_drawn=True)
SHEETS = [name for name, form in forms().items() if isinstance(form, SheetForm)]


class _Made(Task):
    """A task without labels: its runs are written by the test."""

    needs = Needs("score")
    label_path = "nowhere.csv"
    columns = ("image",)
    links: Mapping[str, str] = {}

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return [Item(str(i), (i,), (row,), ()) for i, row in enumerate(rows)]

    def play(self, item: Item, asking: Asking) -> Play:
        yield []
        return Outcome(item.item_id, {metric.name: 0.0 for metric in self.metrics})


class Colours(_Made):
    """The fifth: right or wrong, and nobody knows what guessing gives."""

    name = "colours"
    title = "Colours"
    question = "which colour is the toy"
    unit = "scenes"
    metrics = (Metric("right", "share", "right", "right", is_main=True),)
    groupings = (SHADE,)
    cluster = "shade"
    item_columns = ("colour", "image")
    scored = "A colour was right where a reader of the answers says so."
    benchmark = Benchmark("toybench", "ToyBench", "Nobody et al. 2026")


class Naming(_Made):
    """The sixth: how many words are named, from none to any number; and how often a word is said wrongly."""

    name = "naming"
    title = "Naming on the go"
    short = "Naming"
    question = "what is there to see"
    unit = "walks"
    metrics = (
        Metric("words", "score", "words", "words", is_main=True),
        Metric("balance", "score", "balance", "bal"),
    )
    groupings = (SESSION,)
    cluster = "session"
    scored = "Words were counted."


class Mistakes(_Made):
    """Less is better, guessing gives 15 of 0 to 30."""

    name = "mistakes"
    title = "Mistakes"
    question = "how many mistakes are made"
    unit = "stories"
    metrics = (Metric("wrong", "score", "mistakes", "wrong", chance=15.0, bounds=(0.0, 30.0), higher_is_better=False),)
    groupings = (SHADE,)


TASKS = (Colours(), Naming(), Mistakes())
SESSIONS = [f"S_2013{1 + i // 12:02}05_{i // 6:04}" for i in range(N)]
SHADES = [("light", "dark", "pale")[i // 5 % 3] + str(i // 30) for i in range(N)]
GROUPED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "colours": {"shade": SHADES},
    "naming": {"session": SESSIONS},
    "mistakes": {"shade": SHADES},
}


def values(seed: int, skill: float) -> dict[str, dict[str, list[float]]]:
    """What a model of that skill, from 0 to 1, gets: more right, more words, fewer mistakes."""
    rng = np.random.default_rng(seed)
    return {
        "colours": {"right": (rng.random(N) < skill).astype(float).tolist()},
        "naming": {
            "words": np.round(rng.gamma(4, 4 * skill, N), 3).tolist(),
            "balance": np.round(rng.normal(-0.05 * skill, 0.01, N), 6).tolist(),
        },
        "mistakes": {"wrong": np.round(np.clip(rng.normal(24 - 20 * skill, 3, N), 0, 30), 3).tolist()},
    }


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks are known to babycli while the test lasts."""
    monkeypatch.setattr(babycli.tasks, "_registered", {})
    monkeypatch.setattr(about, "_logged", {})
    for task in TASKS:
        babycli.tasks.register(task)


GOOD, BAD = values(1, 0.8), values(2, 0.4)


def write_all(root: Path) -> Path:
    """A good and a bad model, two checkpoints, and a control that is better than chance; their logs tell the tasks."""
    facts = {task.name: About.of(task).to_document() for task in TASKS}
    chance = {task.name: {metric.name: metric.chance for metric in task.metrics} for task in TASKS}
    runs: list[tuple[str, Any, dict[str, Any]]] = [
        ("lab/good", GOOD, {}),
        ("lab/bad", BAD, {}),
        ("run/step-10", values(3, 0.5), {}),
        ("run/step-20", values(4, 0.6), {}),
        ("lab/good", values(5, 0.5), {"control": "blind", "date": "20260102_120000"}),
    ]
    for model, got, changes in runs:
        path = write_run(root, model, got, grouped=GROUPED, tasks=facts, chance=chance, **changes)
        assert json.loads(path.read_text())["tasks"]["colours"]["unit"] == "scenes"
    return root


@pytest.fixture
def logs(registered: None, tmp_path: Path) -> Path:
    return write_all(tmp_path / "logs")


def told(out: str) -> str:
    """Output with its line breaks taken for blanks."""
    return " ".join(out.split())


def records(babycli: Babycli, logs: Path, *words: object) -> list[dict[str, Any]]:
    ran = babycli("report", logs, *words, "--format", "json")
    assert ran.code == 0, ran.err
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def row_of(out: str, label: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.strip().startswith(f"{label}  ")]
    return line.split()[1:]


# ---------------------------------------------------------------- summary


def test_numbers_stand_in_their_own_units(logs: Path, babycli: Babycli) -> None:
    out = babycli("report", logs).out
    head, sub, *_ = out.splitlines()
    assert head.split() == ["Colours", "Mistakes", "Naming", "Naming"]
    assert sub.split() == ["model", "right", "wrong", "words", "bal"]
    means = {(task, metric): np.mean(of) for task, metrics in GOOD.items() for metric, of in metrics.items()}
    assert row_of(out, "lab/good") == [
        f"{100 * means['colours', 'right']:.1f}",
        f"{means['mistakes', 'wrong']:.2f}",
        f"{means['naming', 'words']:.1f}",
        f"−{-means['naming', 'balance']:.4f}",
    ]
    assert row_of(out, "chance") == ["15.00"]
    assert row_of(out, "n") == [str(N)] * 4


def test_notes_speak_of_these_tasks_only(logs: Path, babycli: Babycli) -> None:
    out = told(babycli("report", logs, "--notes").out)
    assert "Shares of 100 %; mistakes as it is; words as it is; balance as it is." in out
    assert "n in scenes (stories, walks), not rows." in out
    assert "Less is better: Mistakes wrong." in out
    assert "Naming: Naming on the go; bal: balance." in out
    assert "Naming on the go by session" in out
    for word in ("METEOR", "Wino", "trials (", "captions"):
        assert word not in out


def test_tasks_of_babyvlm_beside_them_keep_their_notes(logs: Path, babycli: Babycli) -> None:
    write_run(logs, "lab/old", drawn(1, {"vtwt": 0.6}))
    out = told(babycli("report", logs, "--notes").out)
    assert "Shares of 100 %; mistakes as it is; words as it is; balance as it is." in out  # no captions, no METEOR
    assert "n in trials (scenes, stories, walks), not rows." in out


@pytest.mark.parametrize("form", ["table", "md", "latex", "html"])
def test_no_note_speaks_of_shares_where_there_are_none(
    form: str, registered: None, tmp_path: Path, babycli: Babycli
) -> None:
    for name, got in (("a", GOOD), ("b", BAD)):
        write_run(tmp_path, name, {"mistakes": got["mistakes"]}, grouped={"mistakes": {"shade": SHADES}})
    summary = told(babycli("report", tmp_path, "--notes", "--format", form).out)
    compared = told(babycli("report", tmp_path, "--compare", "a", "b", "--format", form).out)
    for out in (summary, compared):
        assert "mistakes as it is" in out
        for word in ("Shares of", "Scores in %", "Scores on SAYCam in %", "in points", "points,", "shares of trials"):
            assert word not in out
    if form != "html":
        assert "Shares" not in told(babycli("report", tmp_path, "--by", "shade", "--format", form).out)


def test_a_comparison_speaks_of_its_own_metrics(tmp_path: Path, babycli: Babycli) -> None:
    for seed, name in enumerate("ab"):
        write_run(tmp_path / "both", name, drawn(seed, {"vtwt": 0.6, "saycam_caption": 0.2}))
        write_run(tmp_path / "one", name, drawn(seed, {"vtwt": 0.6}))
    both, one = (told(babycli("report", tmp_path / logs, "--compare", "a", "b").out) for logs in ("both", "one"))
    assert "Differences in points, A minus B (A is named first), METEOR x 100, over the same trials" in both
    assert "Differences in points, A minus B (A is named first), over the same trials" in one


def test_a_share_has_wilsons_interval_without_a_chance_level(logs: Path, babycli: Babycli) -> None:
    by_metric = {r["metric"]: r for r in records(babycli, logs / "lab__good" / "20260101_120000")}
    right = by_metric["right"]
    assert right["chance"] is None
    assert right["unit"] == "scenes"
    assert (right["ci95_low"], right["ci95_high"]) == pytest.approx(wilson95(right["value"], N))
    clusters = np.array([sorted(set(SHADES)).index(shade) for shade in SHADES])
    expected = clustered95(np.array(GOOD["colours"]["right"]), clusters, True)
    assert (right["ci95_clustered_low"], right["ci95_clustered_high"]) == pytest.approx(expected)


def test_scores_have_intervals_that_nothing_cuts_off(logs: Path, babycli: Babycli) -> None:
    by_metric = {r["metric"]: r for r in records(babycli, logs / "lab__good" / "20260101_120000")}
    words, balance = by_metric["words"], by_metric["balance"]
    assert (words["ci95_low"], words["ci95_high"]) == pytest.approx(bootstrap95(np.array(GOOD["naming"]["words"]), 0))
    assert 1 < words["ci95_clustered_low"] < words["value"] < words["ci95_clustered_high"]
    assert balance["ci95_clustered_low"] < balance["value"] < balance["ci95_clustered_high"] < 0


def test_an_interval_ends_where_its_metric_does(registered: None, tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", {"mistakes": {"wrong": [0.0] * 5 + [30.0]}}, grouped={"mistakes": {}})
    write_run(tmp_path, "n", {"mistakes": {"wrong": [0.0] * 6}}, grouped={"mistakes": {}})
    (record,) = records(babycli, tmp_path, "--compare", "m", "n")
    assert -30 <= record["ci95_low"] < 0 < record["ci95_high"] <= 30


@pytest.mark.parametrize("value", [31.0, -1.0])
def test_a_value_that_no_item_can_get_is_damage(
    value: float, registered: None, tmp_path: Path, babycli: Babycli
) -> None:
    write_run(tmp_path, "m", {"mistakes": {"wrong": [3.0, value]}}, grouped={"mistakes": {}})
    ran = babycli("report", tmp_path)
    assert ran.code == 3
    assert "mistakes has values of wrong outside of 0 to 30" in ran.err


@pytest.mark.parametrize("form", SHEETS)
def test_every_form_of_sheet_holds_all_metrics(form: str, logs: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs, "--notes", "--format", form)
    assert ran.code == 0, ran.err
    for words in (("Colours", "colours"), ("Mistakes", "mistakes"), ("Naming", "naming"), ("words",), ("scenes",)):
        assert any(word in ran.out for word in words)


def test_what_a_model_could_not_take_is_marked_and_told_everywhere(
    registered: None, tmp_path: Path, babycli: Babycli
) -> None:
    for name, got in (("a", GOOD), ("b", BAD)):
        path = write_run(tmp_path, name, {"colours": got["colours"]}, grouped=GROUPED)
        outcomes = path.with_name(path.name.replace("results", "outcomes"))
        document = json.loads(outcomes.read_text())
        document["tasks"]["colours"]["unanswered"] = [3, 7] if name == "b" else []
        outcomes.write_text(json.dumps(document))
    note = "too long for the model, or a picture too many; they count as misses: b colours 2"
    for form in ("table", "md", "latex", "html"):
        assert note in told(babycli("report", tmp_path, "--notes", "--format", form).out)
    latex = babycli("report", tmp_path, "--format", "latex").out
    (line,) = [line for line in latex.splitlines() if line.startswith("b &")]
    assert "{$^{***?}$}" in line
    assert "?: too long" in latex
    compared = "Could not be answered (too long for the model, or a picture too many; they count as misses): b 2 of 120"
    for form in ("table", "md", "latex", "html"):
        out = told(babycli("report", tmp_path, "--compare", "a", "b", "--format", form).out)
        assert f"{compared} in colours." in out


def test_visual_gain_and_chance_go_the_way_that_is_better(logs: Path, babycli: Babycli) -> None:
    write_run(logs, "lab/good", values(6, 0.5), grouped=GROUPED, control="shuffled", date="20260103_120000")
    ran = babycli("report", logs)
    (gain,) = [line for line in ran.out.splitlines() if line.startswith("  visual gain")]
    shown = gain.split()[2:]
    assert [text[0] for text in shown] == ["+", "−", "+", "−"]
    out = told(ran.out)
    mean = np.mean(values(5, 0.5)["mistakes"]["wrong"])
    assert f"A CONTROL BETTER THAN CHANCE: lab/good (control: blind) gets {mean:.2f} on mistakes wrong [" in out
    assert "chance is 15.00" in out
    assert "most in the trials with the shade of the colour" in out


@pytest.mark.parametrize("form", ["table", "md", "latex", "html"])
def test_a_note_says_which_gain_is_good_where_less_is_better(form: str, logs: Path, babycli: Babycli) -> None:
    note = "Where less is better, a gain below 0 is the good one."
    out = told(babycli("report", logs, "--notes", "--format", form).out)
    assert note in out


def test_no_note_speaks_of_gains_where_less_is_worse(registered: None, tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", {"colours": GOOD["colours"]}, grouped=GROUPED)
    write_run(tmp_path, "m", {"colours": BAD["colours"]}, grouped=GROUPED, control="shuffled", date="20260102_120000")
    out = told(babycli("report", tmp_path, "--notes").out)
    assert "visual gain: " in out
    assert "less is better" not in out


# ---------------------------------------------------------------- LaTeX


def test_bold_is_the_fewest_where_less_is_better(logs: Path, babycli: Babycli) -> None:
    latex = babycli("report", logs, "--format", "latex").out
    (good,) = [line for line in latex.splitlines() if line.startswith("lab/good &")]
    (bad,) = [line for line in latex.splitlines() if line.startswith("lab/bad &")]
    assert [r"\bfseries" in cell for cell in good.split("&")[1:]][:3] == [True, True, True]
    assert r"\bfseries" not in bad
    assert bad.split("&")[2].count("*") == 3
    assert "S[table-format=+2.1," in latex
    assert "S[table-format=+2.2," in latex
    assert "S[table-format=+1.4," in latex
    assert "−" not in latex.split(r"\midrule")[1].split(r"\bottomrule")[0]


def test_the_caption_speaks_of_these_tasks_only(logs: Path, babycli: Babycli) -> None:
    (caption,) = re.findall(r"\\caption\{(.*)\}", babycli("report", logs, "--format", "latex").out)
    assert ", mistakes as it is, words as it is, balance as it is; " in caption
    assert "cluster-aware by shade of the colour (Colours) or recording session (frames)" in caption
    assert "paired bootstrap for mistakes, words, balance and ties" in caption
    assert "Less is better: Mistakes wrong." in caption
    assert "METEOR" not in caption


@pytest.mark.parametrize(
    ("task", "label"), [("colours", "tab:toybench"), ("naming", "tab:results"), ("vtwt", "tab:babyvlm")]
)
def test_the_label_is_named_after_the_benchmark(
    task: str, label: str, registered: None, tmp_path: Path, babycli: Babycli
) -> None:
    got = drawn(1, {"vtwt": 0.6}) if task == "vtwt" else {task: GOOD[task]}
    write_run(tmp_path, "m", got, grouped={} if task == "vtwt" else GROUPED)
    assert rf"\label{{{label}}}" in babycli("report", tmp_path, "--format", "latex").out


# ---------------------------------------------------------------- comparisons


def test_tests_follow_the_kind_of_metric_and_not_its_chance(logs: Path, babycli: Babycli) -> None:
    by_metric = {r["metric"]: r for r in records(babycli, logs, "--compare", "lab/good", "lab/bad")}
    assert by_metric["right"]["test"] == "exact McNemar"
    assert {by_metric[name]["test"] for name in ("words", "balance", "wrong")} == {"paired bootstrap"}
    words = by_metric["words"]
    assert words["difference"] == pytest.approx(np.mean(GOOD["naming"]["words"]) - np.mean(BAD["naming"]["words"]))
    assert 1 < words["ci95_low"] < words["difference"] < words["ci95_high"]
    assert words["significant"]
    assert words["detectable_difference"] > 1


def test_the_better_one_has_fewer_mistakes(logs: Path, babycli: Babycli) -> None:
    by_metric = {r["metric"]: r for r in records(babycli, logs, "--compare", "lab/good", "lab/bad")}
    fewer = sum(a < b for a, b in zip(GOOD["mistakes"]["wrong"], BAD["mistakes"]["wrong"], strict=True))
    assert by_metric["wrong"]["only_first"] == fewer
    assert by_metric["wrong"]["difference"] < 0
    out = babycli("report", logs, "--compare", "lab/good", "lab/bad").out
    (line,) = [line for line in out.splitlines() if line.startswith(" Mistakes")]
    assert line.split()[3].startswith("−7.") or line.split()[3].startswith("−8.")
    assert "(of Mistakes mistakes, less)" in told(out)
    assert "mistakes as it is, words as it is" in told(out)


def test_one_item_without_bounds_tells_nothing(registered: None, tmp_path: Path, babycli: Babycli) -> None:
    for name, got in (("a", 3.0), ("b", 9.0)):
        write_run(tmp_path, name, {"naming": {"words": [got], "balance": [0.0]}}, grouped={"naming": {}})
    words, _ = records(babycli, tmp_path, "--compare", "a", "b")
    assert (words["p_value"], words["ci95_low"], words["ci95_high"]) == (1.0, None, None)
    out = babycli("report", tmp_path, "--compare", "a", "b", "--plot", tmp_path / "d.svg")
    assert "−∞" in out.out
    assert "+∞" in out.out
    assert r"$\infty$" in babycli("report", tmp_path, "--compare", "a", "b", "--format", "latex").out


def test_equal_large_differences_tie_in_the_bootstrap(registered: None, tmp_path: Path, babycli: Babycli) -> None:
    """Resampled means are sums in single precision: what is equal must count as equal in any unit."""
    a = [1e6 * (i % 2) for i in range(6)]
    for name, got in (("a", a), ("b", [0.0] * 6)):
        write_run(tmp_path, name, {"naming": {"words": got, "balance": [x / 1e6 for x in got]}}, grouped={"naming": {}})
    words, balance = records(babycli, tmp_path, "--compare", "a", "b")
    assert words["p_value"] == balance["p_value"]


@pytest.mark.parametrize("form", [*SHEETS, "html"])
def test_items_are_listed_in_every_form(form: str, logs: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs, "--compare", "lab/good", "lab/bad", "--items", "--format", form)
    assert ran.code == 0, ran.err
    first = next(i for i in range(N) if GOOD["mistakes"]["wrong"][i] < BAD["mistakes"]["wrong"][i])
    assert str(first) in ran.out


def test_csv_has_a_line_for_each_item(logs: Path, babycli: Babycli) -> None:
    words = ("--compare", "lab/good", "lab/bad", "--items")
    lines = list(csv.DictReader(io.StringIO(babycli("report", logs, *words, "--format", "csv").out)))
    expected = [
        (record["metric"], label, item["trial"])
        for record in records(babycli, logs, *words)
        for label, key in (("lab/good", "items_only_first"), ("lab/bad", "items_only_second"))
        for item in record[key]
    ]
    assert [(line["metric"], line["only"], line["trial"]) for line in lines] == expected
    assert list(lines[0])[:6] == ["first", "second", "task", "metric", "only", "trial"]


def test_csv_without_items_that_differ_says_what_it_would_hold(
    registered: None, tmp_path: Path, babycli: Babycli
) -> None:
    for name in "ab":
        write_run(tmp_path, name, {"colours": GOOD["colours"]}, grouped=GROUPED)
    out = babycli("report", tmp_path, "--compare", "a", "b", "--items", "--format", "csv").out
    (head,) = out.splitlines()
    assert head.startswith("first,second,task,metric,only,trial,colour,image,turn,question,candidate,right,first_score")


def test_items_on_other_groups_are_other_items(registered: None, tmp_path: Path, babycli: Babycli) -> None:
    other = {"colours": {"shade": ["dark", *SHADES[1:]]}}
    for name, grouped in (("a", GROUPED), ("b", other)):
        write_run(
            tmp_path,
            name,
            {"colours": GOOD["colours"]},
            grouped=grouped,
            labels_sha256={},
            images_sha256={},
        )
    ran = babycli("report", tmp_path, "--compare", "a", "b")
    assert ran.code == 3
    assert "different items: shade of 1 trials differ" in ran.err


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_names_cannot_steer_a_terminal_or_break_a_table(
    form: str, registered: None, tmp_path: Path, babycli: Babycli
) -> None:
    for model, got in (("a\n\n\x1b[31mb", GOOD), ("c", BAD)):
        path = write_run(tmp_path / "logs", model, {"colours": got["colours"]}, grouped=GROUPED)
        outcomes = path.with_name(path.name.replace("results", "outcomes"))
        document = json.loads(outcomes.read_text())
        document["tasks"]["colours"]["trials"] = [f"one\n{i}\x1b[2J\u2028\u202e|" for i in range(N)]
        outcomes.write_text(json.dumps(document))
    for words in ((), ("--compare", "a\n\n\x1b[31mb", "c", "--items"), ("--by", "shade")):
        ran = babycli("report", tmp_path / "logs", *words, "--format", form)
        assert ran.code == 0, ran.err
        assert all(line.isprintable() for line in ran.out.split("\n"))
        assert "[31mb" in ran.out
        if form == "md" and words:
            rows = [line for line in ran.out.split("\n") if "[2J" in line]
            assert all(line.startswith("| one ") and line.endswith(" |") for line in rows)


# ---------------------------------------------------------------- breakdowns


@pytest.mark.parametrize("form", SHEETS)
def test_a_kind_of_group_of_a_task_is_one_of_by(form: str, logs: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs, "--by", "shade", "--format", form)
    assert ran.code == 0, ran.err
    assert "light0" in ran.out


def test_groups_have_the_means_of_their_items_in_any_unit(logs: Path, babycli: Babycli) -> None:
    found = records(babycli, logs / "lab__good" / "20260101_120000", "--by", "shade")
    assert {r["task"] for r in found} == {"colours", "mistakes"}
    for record in found:
        of_items = np.array(GOOD[record["task"]][record["metric"]])[np.array(SHADES) == record["group"]]
        assert record["value"] == pytest.approx(of_items.mean())
        assert record["ci95_low"] <= record["value"] <= record["ci95_high"]
    out = babycli("report", logs / "lab__good" / "20260101_120000", "--by", "shade").out
    assert "Colours right by shade" in out
    assert "Mistakes mistakes by shade" in out


def test_an_unknown_kind_of_group_names_all_kinds(logs: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs, "--by", "shades")
    assert ran.code == 2
    assert "Did you mean 'shade'?" in ran.err
    assert "one of: category, session, word, number, turn, style, frequency_bin, shade" in ran.err


def test_an_unknown_kind_of_group_is_a_usage_error_without_logs_too(tmp_path: Path, babycli: Babycli) -> None:
    assert babycli("report", tmp_path / "nowhere", "--by", "colour").code == 2
    assert babycli("report", tmp_path / "nowhere", "--by", "word").code == 3


def test_a_kind_of_group_that_no_run_has_names_the_tasks_that_have_it(
    registered: None, tmp_path: Path, babycli: Babycli
) -> None:
    write_run(tmp_path, "m", {"naming": GOOD["naming"]}, grouped=GROUPED)
    ran = babycli("report", tmp_path, "--by", "shade")
    assert ran.code == 3
    assert "that is known for colours, mistakes" in ran.err


# ---------------------------------------------------------------- plots and pages


@pytest.mark.parametrize(
    "words",
    [
        (),
        pytest.param(("--by", "shade"), marks=pytest.mark.long),
        ("--by", "session"),
        ("--compare", "lab/good", "lab/bad"),
    ],
    ids=" ".join,
)
def test_everything_can_be_drawn(words: tuple[str, ...], logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    ran = babycli("report", logs, *words, "--plot", tmp_path / "f.svg")
    assert ran.code == 0, ran.err
    text = (tmp_path / "f.svg").read_text()
    assert "Naming on the go" in text or "Mistakes" in text
    if words[:1] == ("--compare",):
        for unit in ("points", "mistakes", "words", "balance"):
            assert f"difference in {unit}, 95 % interval" in text


def test_a_metric_without_bounds_is_drawn_without_colours(
    registered: None, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Naming, "groupings", (SHADE,))
    monkeypatch.setattr(Naming, "cluster", "")
    monkeypatch.setattr(about, "_about_task", About.of)
    for name, got in (("a", GOOD), ("b", BAD)):
        write_run(tmp_path, name, {"naming": got["naming"]}, grouped={"naming": {"shade": SHADES}})
    assert babycli("report", tmp_path, "--by", "shade", "--plot", tmp_path / "f.svg").code == 0
    text = babycli("report", tmp_path, "--format", "html").out
    (heat,) = re.findall(r'<table class="sortable heat.*?</table>', text, flags=re.DOTALL)
    assert set(re.findall(r'<td class="(h\d+)"', heat)) == {"h0"}
    assert "by shade, in words as it is.</span>" in heat


@pytest.fixture
def page(logs: Path, babycli: Babycli) -> str:
    ran = babycli("report", logs, "--format", "html", "--compare", "lab/good", "lab/bad", "--items")
    assert ran.code == 0, ran.err
    return ran.out


def test_the_page_speaks_of_these_tasks_only(page: str) -> None:
    assert "<h1>ToyBench evaluation</h1>" in page
    assert "BabyVLM" not in page
    assert "METEOR" not in page
    assert "Scores on SAYCam in %, mistakes as it is, words as it is, balance as it is;" in page
    assert "of stories and walks, those for which it got more, or less where less is better." in page
    (methods,) = re.findall(r'<p class="box" id="methods-text">(.*?)</p>', page, flags=re.DOTALL)
    assert "on Colours (n = 120 scenes: which colour is the toy) of ToyBench (Nobody et al. 2026)" in methods
    assert "; and on Mistakes (n = 120 stories: how many mistakes are made; chance 15.00 mistakes)" in methods
    assert "A colour was right where a reader of the answers says so. Words were counted." in methods
    assert "trials of one recording session or shade of the colour are alike" in methods
    assert "The interval of mistakes, words and balance is" in methods
    assert "Ties:" not in methods


def test_figures_hold_any_range_and_have_rows_in_the_order_of_the_table(page: str) -> None:
    figures = re.findall(r'<figcaption>(.*?)</figcaption>\s*(<svg viewBox="0 0 360.*?</svg>)', page, re.DOTALL)
    forests = {title: svg for title, svg in figures if " rows, from " in svg}
    in_table = list(dict.fromkeys(re.findall(r'<th scope="row">([^<]+)</th>', page)))
    assert len(forests) == 4
    assert len(figures) > len(forests)  # the learning curves
    for title in ("Mistakes mistakes", "Naming on the go words", "Colours right"):
        drawn_in = re.findall(r'<text x="12" y="[\d.]+">([^<]+)</text>', forests[title])
        assert drawn_in == [name for name in in_table if name in drawn_in]
        assert len(drawn_in) > 1
    for title, svg in figures:
        for x in re.findall(r' cx="([^"]+)"', svg):
            assert 10 <= float(x) <= 350, title
        for y in re.findall(r' cy="([^"]+)"', svg):
            assert float(y) > 0, title
    ticks = re.findall(
        r'<text class="s" x="[\d.]+" y="[\d.]+" text-anchor="\w+">([−\d.]+)</text>', forests["Mistakes mistakes"]
    )
    at = [float(text) for text in ticks]
    assert at == sorted(at)
    assert at[-1] > 10
    balance = forests["Naming on the go balance"]
    negative = re.findall(r'<text class="s" x="[\d.]+" y="[\d.]+" text-anchor="\w+">(−0\.\d+)</text>', balance)
    assert len(set(negative)) == len(negative) > 1


def test_heat_colours_go_from_chance_to_the_best(page: str) -> None:
    tables = re.findall(r'<table class="sortable heat.*?</table>', page, flags=re.DOTALL)
    captions = [re.search(r"<caption><span>(.*?)</span>", table) for table in tables]
    texts = [caption[1] for caption in captions if caption]
    assert texts == [
        "Colours right by shade, in %. The stronger the fill, the further from the worst (0.0).",
        "Mistakes mistakes by shade, in mistakes as it is. The stronger the fill, the further below chance (15.00); "
        "no fill: at chance or above.",
    ]
    cells = [(int(c), float(v)) for c, v in re.findall(r'<td class="h(\d+)" data-v="([^"]+)"', tables[1])]
    assert {colour for colour, value in cells if value >= 15} <= {0}
    assert all(colour == round(10 * (15 - value) / 15) for colour, value in cells if value < 15)
    assert "<h3>By shade</h3>" in page


# ---------------------------------------------------------------- tasks that only logs know


NOT_DESCRIBED = r"No task \S+ is known here, so its items are not described: .*? by --tasks FILE\.jsonl\. ?"
WORDS: list[tuple[str, ...]] = [
    *[("--format", form) for form in (*SHEETS, "html")],
    *[("--by", "shade", "--format", form) for form in SHEETS],
    ("--by", "session", "--format", "json"),
    *[("--compare", "lab/good", "lab/bad", "--items", "--format", form) for form in (*SHEETS, "html")],
]


@pytest.mark.parametrize(
    "words",
    [words if words[-1] in ("json", "html") else pytest.param(words, marks=pytest.mark.long) for words in WORDS],
    ids=" ".join,
)
def test_a_report_is_the_same_where_only_logs_know_the_tasks(
    words: tuple[str, ...], logs: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = babycli("report", logs, *words)
    assert here.code == 0, here.err
    monkeypatch.setattr(babycli_tasks(), "_registered", {})
    elsewhere = babycli("report", logs, *words)
    assert elsewhere.code == 0, elsewhere.err
    if "--items" in words:  # which are described by the task alone, and that is said
        told = " ".join(elsewhere.out.replace("-{}-", "--").split())
        assert bool(re.search(NOT_DESCRIBED, told)) == (words[-1] in ("table", "md", "latex"))
        assert re.sub(NOT_DESCRIBED, "", told) == " ".join(here.out.replace("-{}-", "--").split())
    else:
        assert elsewhere.out == here.out
    assert elsewhere.err == here.err


def babycli_tasks() -> Any:
    """The module, whose name the fixture ``babycli`` has taken in the tests."""
    return babycli.tasks


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_is_known_of_a_task_survives_its_document(task: Task) -> None:
    known = About.of(task)
    document = json.loads(json.dumps(known.to_document()))
    again = About.from_document(task.name, document)
    assert again == known
    assert [kind.day_of for kind in again.groupings] == [kind.day_of for kind in known.groupings]


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": []},
        {"metrics": [{"name": "right"}]},
        {"metrics": [{"name": "right", "kind": "odd", "title": "right", "short": "right"}]},
        {"metrics": [{"name": "right", "kind": "share", "title": "right", "short": "right", "chance": "much"}]},
        {"metrics": [{"name": "right", "kind": "score", "title": "right", "short": "right", "bounds": [1]}]},
        {"title": 3},
        {"unit": None},
        {"groupings": [{"name": "shade"}]},
    ],
)
def test_a_run_whose_tasks_are_described_badly_is_named_and_hides_no_other(
    change: dict[str, Any], tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(about, "_logged", {})
    facts = {"colours": About.of(TASKS[0]).to_document() | change}
    write_run(tmp_path, "odd", {"colours": GOOD["colours"]}, grouped=GROUPED, tasks=facts)
    write_run(tmp_path, "sound", drawn(1, {"vtwt": 0.6}))
    ran = babycli("report", tmp_path)
    assert ran.code == 0
    assert "sound" in ran.out
    assert "odd" in ran.err
    assert "is damaged" in ran.err


@pytest.fixture
def only_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of two models on a task that this process does not have."""
    monkeypatch.setattr(about, "_logged", {})
    facts = {"colours": About.of(TASKS[0]).to_document()}
    for name, got in (("a", GOOD), ("b", BAD)):
        write_run(tmp_path, name, {"colours": got["colours"]}, grouped=GROUPED, tasks=facts)
    return tmp_path


def test_an_audit_of_tasks_that_only_logs_know_ends_with_what_can_help(only_logged: Path, babycli: Babycli) -> None:
    ran = babycli("report", only_logged, "--audit")
    assert ran.code == 7
    assert "colours: task not known here" in ran.out
    assert "2 of 2 runs were not audited: no task colours is known here" in ran.err
    assert "install the package that has the task" in ran.err
    assert "use the fair column" not in ran.err


@pytest.mark.parametrize("is_named", [False, True])
def test_items_of_tasks_that_only_logs_know_are_told(is_named: bool, only_logged: Path, babycli: Babycli) -> None:
    """An item may be called after the place of its row, or after a column of it."""
    ids = [f"scene-{i * 7 % N}" if is_named else str(i) for i in range(N)]
    for results in only_logged.rglob("*_results.json"):
        outcomes = results.with_name(results.name.replace("results", "outcomes"))
        document = json.loads(outcomes.read_text())
        document["tasks"]["colours"]["trials"] = ids
        outcomes.write_text(json.dumps(document))
        rows = [{"name": f"scene-{i * 7 % N}", "colour": f"colour of {i}", "image": f"{i}.png"} for i in range(N)]
        lines = [json.dumps({"doc_id": i, "doc": row}) for i, row in enumerate(rows)]
        samples = results.with_name(results.name.replace("results.json", "samples_colours.jsonl"))
        samples.write_text("\n".join([*reversed(lines), "damaged", ""]))
    words = ("--compare", "a", "b", "--items")
    first = next(i for i in range(N) if GOOD["colours"]["right"][i] > BAD["colours"]["right"][i])
    (record,) = records(babycli, only_logged, *words)
    assert record["items_only_first"][0] == {
        "trial": ids[first],
        "colour": f"colour of {first}",
        "image": f"{first}.png",
        "first_value": 1.0,
        "second_value": 0.0,
    }
    for form in ("table", "md", "latex", "html"):
        assert f"colour of {first}" in babycli("report", only_logged, *words, "--format", form).out
    lines = babycli("report", only_logged, *words, "--format", "csv").out.splitlines()
    assert lines[0].startswith("first,second,task,metric,only,trial,colour,image,turn,")
    assert lines[1].startswith(f"a,b,colours,right,a,{ids[first]},colour of {first},{first}.png,")


def test_items_that_nothing_tells_of_have_no_heads(only_logged: Path, babycli: Babycli) -> None:
    words = ("--compare", "a", "b", "--items")
    head, *_ = babycli("report", only_logged, *words, "--format", "csv").out.splitlines()
    assert head.startswith("first,second,task,metric,only,trial,turn,")
    assert "item\n" not in babycli("report", only_logged, *words).out
    assert "| trial |  |" in babycli("report", only_logged, *words, "--format", "md").out


# ---------------------------------------------------------------- forms


def test_another_room_can_add_a_form(logs: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babycli.report.forms._forms", dict(forms()))
    register_form(SheetForm("count", "count", lambda sheet, terminal: f"{len(sheet.records)}\n", takes_audits=False))
    register_form(PageForm("tables", "count", lambda everything, say: f"{len(everything.tables)}\n"))
    register_form(ModelForm("labels", "count", lambda rows, every, say: f"{len(rows)}\n"))
    assert babycli("report", logs, "--format", "count").out == "20\n"
    assert babycli("report", logs, "--format", "tables").out == "1\n"
    assert babycli("report", logs, "--format", "labels").out == "5\n"
    assert "table, md, csv or json" in babycli("report", logs, "--audit", "--format", "count").err
    assert "one model's scores" in babycli("report", logs, "--by", "shade", "--format", "labels").err
    assert "by frequency_bin and by shade" in babycli("report", logs, "--by", "shade", "--format", "tables").err
    with pytest.raises(ValueError, match="already"):
        register_form(ModelForm("count", "count", lambda rows, every, say: ""))
