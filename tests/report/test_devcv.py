"""Reports of the DevCV Toolbox: means over tasks, sets of data, ways of answering, turns, controls."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli.cli import main
from babycli.data.datasets import data_set_named
from babycli.report.overall import counted_metric
from babycli.wording import AnswerWay
from tests.conftest import Babycli
from tests.report.devcv_data import SEER, right_answers, write_set
from tests.report.logs import drawn, write_run
from tests.written_once import written_once

ELEVEN = (
    *("baby_pv", "baby_winoground", "baby_localize", "baby_leftright", "baby_spatialdetails", "baby_vdr_binary"),
    *("baby_vdr_open", "baby_compare_real", "baby_compare_synthetic", "baby_count", "baby_memory"),
)
N = 12


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of data with a model that sees them and one that says more than it should, evaluated. Do not write."""

    def make(folder: Path) -> None:
        write_set(folder / "data", "ego4d", N, n_turns=6)
        write_set(folder / "data", "nih", 5, ("baby_pv", "baby_count"))
        (folder / "seer.py").write_text(SEER)
        evaluate(folder, "Scorer", "--answers", "written,chosen", "--set", "ego4d")
        evaluate(folder, "Seer", "--model-args", "says=It is a {}!,misses=3")
        evaluate(folder, "Scorer", "--answers", "written,chosen", "--set", "ego4d", "--control", "blind")

    return written_once(tmp_path_factory, "devcv", make)


def evaluate(folder: Path, name: str, *words: str) -> None:
    given = ["eval", "--model", f"{folder / 'seer.py'}:{name}", "--data", str(folder / "data"), "--tasks", "devcv"]
    assert main([*given, "--output-path", str(folder / "logs"), *words]) in (0, 7)  # the blind control may have luck


@pytest.fixture
def records(made: Path, babycli: Babycli) -> list[dict[str, Any]]:
    ran = babycli("report", made / "logs", "--format", "json")
    assert ran.code == 0, ran.err
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def of(records: Sequence[dict[str, Any]], model: str, data: str, control: str | None = None) -> dict[Any, Any]:
    return {
        (r["task"], r["metric"]): r
        for r in records
        if (r["model"].endswith(model), r["data"], r["control"]) == (True, data, control)
    }


PRIMARY = {"baby_vdr_binary": "acc_exact", "baby_vdr_open": "acc_exact", "baby_memory": "acc_testing_adjusted"}


def test_the_overall_mean_counts_a_missing_task_as_0(records: list[dict[str, Any]]) -> None:
    for model in ("Scorer", "Seer"):
        found = of(records, model, "ego4d")
        values = [found[task, PRIMARY.get(task, "acc")]["value"] for task in ELEVEN if task != "baby_winoground"]
        overall = found["devcv", "overall"]
        assert overall["value"] == pytest.approx(sum(values) / 11)
        assert overall["mean_of_run"] == pytest.approx(sum(values) / 10)
        assert (overall["n_units"], overall["unit"], overall["missing"]) == (10, "tasks", "baby_winoground")
    found = of(records, "Scorer", "ego4d")
    chosen = [found[t, f"{PRIMARY.get(t, 'acc')}_chosen"]["value"] for t in ELEVEN if t != "baby_winoground"]
    assert found["devcv", "overall_chosen"]["value"] == pytest.approx(sum(chosen) / 11)
    assert ("devcv", "overall_chosen") not in of(records, "Seer", "ego4d")
    assert of(records, "Seer", "nih")["devcv", "overall"]["n_units"] == 2


def test_subitizing_is_in_no_mean(made: Path, tmp_path: Path, babycli: Babycli) -> None:
    words = ("--model", f"{made / 'seer.py'}:Seer", "--data", made / "data", "--output-path", tmp_path)
    assert babycli("eval", *words, "--tasks", "baby_subitize", "--set", "ego4d").code == 0
    ran = babycli("report", tmp_path, "--notes")
    assert "Subitize" in ran.out
    assert "overall" not in ran.out


def test_winoground_comes_from_a_run_of_the_same_model(made: Path, tmp_path: Path, babycli: Babycli) -> None:
    model = "lab/m"
    write_run(tmp_path, model, drawn(1, {"baby_winoground": 0.5}))
    write_run(tmp_path, "lab/other", drawn(2, {"baby_winoground": 0.9}))
    values = {"baby_pv": {"acc": [1.0, 0.0, 1.0, 1.0], "acc_reference": [1.0, 0.0, 1.0, 1.0]}}
    write_run(tmp_path, model, values, date="20260103_120000", data="ego4d")
    found = json.loads(babycli("report", tmp_path, "--format", "json").out)
    group = next(r for r in found if r["model"] == model and r["metric"] == "group_score")["value"]
    (overall,) = (r for r in found if r["metric"] == "overall")
    assert overall["value"] == pytest.approx((group + 0.75) / 11)
    assert overall["mean_of_run"] == pytest.approx((group + 0.75) / 2)
    told = " ".join(babycli("report", tmp_path, "--notes").out.split())
    assert "Baby Winoground in the overall mean is of a run of the same model on SAYCam: lab/m (ego4d)." in told
    assert "overall: a missing task counts 0" in " ".join(babycli("report", tmp_path).out.split())  # not which of many


def test_the_only_task_that_is_missing_is_named(tmp_path: Path, babycli: Babycli) -> None:
    values = {
        task: {counted_metric(task, AnswerWay.WRITTEN) or "": [1.0] * 4} for task in ELEVEN if task != "baby_winoground"
    }
    write_run(tmp_path, "lab/m", values, data="ego4d")
    out = " ".join(babycli("report", tmp_path).out.split())
    assert "overall: a missing task (Baby Winoground) counts 0" in out


def test_no_task_of_the_leaderboard_no_mean(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"baby_winoground": 0.5, "vtwt": 0.6}))
    assert "overall" not in babycli("report", tmp_path).out


def test_sets_of_data_have_tables_of_their_own(made: Path, babycli: Babycli) -> None:
    ran = babycli("report", made / "logs", "--notes", "--format", "md")
    (_, first), (_, second) = _titled(ran.out)
    assert "(nih" not in first
    assert "(ego4d" not in second
    assert [title for title, _ in _titled(ran.out)] == [data_set_named(name).title for name in ("ego4d", "nih")]
    assert babycli("report", made / "logs", "--format", "latex").out.count(r"\begin{table*}") == 2


def _titled(text: str) -> list[tuple[str, str]]:
    """The tables of a Markdown text with their titles."""
    _, *parts = re.split(r"^\*\*(.*)\*\*$", text, flags=re.MULTILINE)
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_the_authors_number_is_a_column_only_where_it_differs(made: Path, babycli: Babycli) -> None:
    """ "It is a B!" is an A by their rules, and a number is a number in any words."""
    ran = babycli("report", made / "logs", "--notes", "--format", "md")
    heads = next(line for line in ran.out.splitlines() if line.startswith("| model")).split(" | ")
    assert "Localize acc (ref.)" in heads
    assert "Count acc" in heads
    assert "Count acc (ref.)" not in heads
    assert "by the rules of the authors' code" in ran.out


def test_every_metric_is_in_json_whether_a_column_or_not(records: list[dict[str, Any]]) -> None:
    found = of(records, "Seer", "ego4d")
    assert found["baby_count", "acc_reference"]["value"] == found["baby_count", "acc"]["value"]
    assert found["baby_localize", "acc_reference"]["value"] != found["baby_localize", "acc"]["value"]


def test_replies_without_an_answer_are_counted_apart(made: Path, tmp_path: Path, babycli: Babycli) -> None:
    words = ("--model", f"{made / 'seer.py'}:Seer", "--data", made / "data", "--output-path", tmp_path)
    more = ("--set", "ego4d", "--model-args", "says=no idea", "--tasks", "baby_pv,baby_memory")
    assert babycli("eval", *words, *more).code in (0, 7)
    (path,) = tmp_path.rglob("*_results.json")
    assert json.loads(path.read_text())["no_answer"] == {"baby_pv": N, "baby_memory": 6 * N}
    found = json.loads(babycli("report", tmp_path, "--format", "json").out)
    assert {r["task"]: r["no_answer"] for r in found if r["metric"] == "acc"} == {"baby_pv": N}
    ran = babycli("report", tmp_path, "--notes")
    assert f"baby_pv {N}, baby_memory {6 * N}" in " ".join(ran.out.split())
    assert "0.0~" in ran.out
    assert "replies without an answer in them" in babycli("report", tmp_path, "--format", "latex").out


def test_memory_by_turn(made: Path, babycli: Babycli) -> None:
    """Counted here from the replies in the samples."""
    ran = babycli("report", made / "logs", "--by", "turn", "--format", "json")
    found = [r for r in json.loads(ran.out) if "Seer" in r["model"]]
    assert [r["group"] for r in found] == ["1", "2", "3", "4", "5", "6"]
    right = right_answers(made / "data", "ego4d")["baby_memory"]
    (path,) = made.glob("logs/*Seer/*/*_samples_baby_memory.jsonl")
    replies = [[each[0] for each in json.loads(line)["resps"]] for line in path.read_text().splitlines()]
    for turn, record in enumerate(found):
        hits = [f"It is a {of[turn]}!" == said[turn] for of, said in zip(right, replies, strict=True)]
        assert record["value"] == pytest.approx(sum(hits) / N)
        assert record["n_units"] == N
        assert 0 <= record["ci95_low"] <= record["value"] <= record["ci95_high"] <= 1


def test_counting_by_true_number(made: Path, babycli: Babycli) -> None:
    ran = babycli("report", made / "logs", "--by", "number", "--format", "json")
    found = [r for r in json.loads(ran.out) if "Seer (ego4d" in r["label"] and r["task"] == "baby_count"]
    assert [r["group"] for r in found] == [str(i) for i in range(1, 13)]
    assert {r["n_units"] for r in found} == {1}


@pytest.mark.long
def test_rows_are_told_apart_by_how_answers_came_about(made: Path, tmp_path: Path, babycli: Babycli) -> None:
    words = ("--data", made / "data", "--output-path", tmp_path, "--set", "ego4d", "--tasks", "baby_memory")
    for more in ((), ("--history", "gold"), ("--max-new-tokens", "5"), ("--answers", "chosen")):
        assert babycli("eval", "--model", f"{made / 'seer.py'}:Scorer", *words, *more).code == 0
    labels = {r["label"] for r in json.loads(babycli("report", tmp_path, "--by", "turn", "--format", "json").out)}
    assert {label.partition("seer.py:")[2] for label in labels} == {
        "Scorer (ego4d)",
        "Scorer (ego4d, history gold)",
        "Scorer (ego4d, 5 new tokens)",
        "Scorer (ego4d, answers chosen)",
    }


def test_models_are_compared_item_by_item_and_turn_by_turn(made: Path, babycli: Babycli) -> None:
    labels = {r["label"] for r in json.loads(babycli("report", made / "logs", "--by", "turn", "--format", "json").out)}
    first, second = (next(x for x in labels if name in x and "control" not in x) for name in ("Scorer (", "Seer ("))
    ran = babycli("report", made / "logs", "--compare", first, second, "--items", "--format", "json")
    assert ran.code == 0, ran.err
    found = {(r["task"], r["metric"]): r for r in json.loads(ran.out)}
    assert ("baby_pv", "acc") in found
    assert not any(metric.endswith("_reference") for _, metric in found)
    listed = [item for r in found.values() for item in (*r["items_only_first"], *r["items_only_second"])]
    assert listed
    memory = found["baby_memory", "acc_testing_raw"]
    turns = [*memory["items_only_first"], *memory["items_only_second"]][0]["turns"]
    assert len(turns) == 6
    assert turns[0]["question"].startswith("Touch the new one. (A) <image>")
    assert {turn["second_said"] for turn in turns} <= {"It is a A!", "It is a B!"}
    assert {turn["first_read"] for turn in turns} <= {"A", "B"}


def test_a_page_shows_turns_and_a_figure_of_them(made: Path, tmp_path: Path, babycli: Babycli) -> None:
    labels = {r["label"] for r in json.loads(babycli("report", made / "logs", "--by", "turn", "--format", "json").out)}
    first, second = (next(x for x in labels if name in x and "control" not in x) for name in ("Scorer (", "Seer ("))
    words = ("--compare", first, second, "--items", "--format", "html", "--output", tmp_path / "page.html")
    assert babycli("report", made / "logs", *words).code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Memory, turn by turn" in page
    assert "Counting acc by number" in page
    assert "“It is a A!” → A" in page
    assert "data:image" not in page.replace('href="data:,"', "")
    assert babycli("report", made / "logs", *words, "--with-images", "--data", made / "data").code == 0
    assert "data:image/jpeg" in (tmp_path / "page.html").read_text()


def test_the_methods_say_each_rule_once(made: Path, babycli: Babycli) -> None:
    page = babycli("report", made / "logs", "--format", "html").out
    (methods,) = re.findall(r'<p class="box" id="methods-text">(.*?)</p>', page, flags=re.DOTALL)
    assert methods.count("A written reply counted for the one answer") == 1
    assert "Blanks around a written direction were dropped" in methods


def test_gain_from_pictures(records: list[dict[str, Any]]) -> None:
    found, blind = of(records, "Scorer", "ego4d"), of(records, "Scorer", "ego4d", "blind")
    record = found["baby_compare_real", "acc"]
    assert record["visual_gain"] == pytest.approx(record["value"] - blind["baby_compare_real", "acc"]["value"])
    assert found["baby_compare_real", "acc_reference"]["visual_gain"] is None


def test_a_control_that_solves_a_task_is_flagged(tmp_path: Path, babycli: Babycli) -> None:
    values = {"baby_leftright": {"acc": [1.0] * 40, "acc_reference": [1.0] * 40}}
    write_run(tmp_path, "control:pixels", values, control="pixels", data="ego4d")
    told = " ".join(babycli("report", tmp_path, "--notes").out.split())
    assert told.count("A CONTROL ABOVE CHANCE: control:pixels") == 1
    assert "A control that never reads the question solves it" in told
    page = babycli("report", tmp_path, "--format", "html").out
    assert "A control that never reads the question solves it" in page


def test_results_have_the_keys_of_the_fork(made: Path) -> None:
    (path,) = _written(made)
    results = json.loads(path.read_text())["results"]
    assert set(results) == {*ELEVEN, "baby_subitize"} - {"baby_winoground"}
    for task, keys in {
        "baby_pv": ("acc",),
        "baby_vdr_open": ("acc_exact", "acc_adjacent"),
        "baby_memory": ("acc_learning", "acc_testing_raw", "acc_testing_adjusted"),
    }.items():
        for key in keys:
            assert 0 <= results[task][f"{key},none"] <= 1
            assert isinstance(results[task][f"{key}_stderr,none"], float)


def _written(made: Path) -> list[Path]:
    paths = sorted(made.glob("logs/*Scorer/*/*_results.json"))
    return [path for path in paths if json.loads(path.read_text())["control"] is None]


def test_clusters_are_told_in_words(made: Path, babycli: Babycli) -> None:
    told = " ".join(babycli("report", made / "logs", "--notes", "--format", "md").out.split())
    assert "group with pictures or a recording in common (" in told
    assert "by shared" not in told


def test_an_audit_names_a_control(made: Path, babycli: Babycli) -> None:
    told = " ".join(babycli("report", made / "logs", "--audit").out.split())
    assert told.count("Scorer (control: blind) (babycli, ") == 1
    assert told.count("(babycli, ") > 1


def test_an_audit_of_our_own_log_finds_nothing(made: Path, babycli: Babycli) -> None:
    (path,) = _written(made)
    ran = babycli("report", "--audit", path)
    assert ran.code == 0
    assert "nothing found" in ran.out


def test_a_reply_that_was_changed_in_the_log_is_found(made: Path, tmp_path: Path, babycli: Babycli) -> None:
    (path,) = _written(made)
    for file in path.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (samples,) = tmp_path.glob("*_samples_baby_count.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    lines[0]["resps"][0] = ["99"]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = babycli("report", "--audit", tmp_path / path.name)
    assert ran.code == 7
    assert "baby_count: logged number differs" in " ".join(ran.out.split())


def test_eighty_columns_are_enough(made: Path, monkeypatch: pytest.MonkeyPatch, babycli: Babycli) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = babycli("report", made / "logs")
    assert max(map(len, ran.out.splitlines())) <= 80
    heads = [line.split() for line in ran.out.splitlines() if line.lstrip().startswith("overall ")]
    assert len(heads) == 2
