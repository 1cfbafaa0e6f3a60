"""`babycli report --compare`: pairing, tests and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babycli import __version__, compare
from babycli.errors import UsageError
from babycli.logs.identity import PROMPT_OPTION
from babycli.logs.run_name import NAME
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

TASKS = {"labeled_s": 0.4, "vtwt": 0.6, "baby_winoground": 0.2, "saycam_caption": 0.15}


@pytest.fixture(scope="module")
def two() -> tuple[dict[str, Any], dict[str, Any]]:
    better = {task: share + 0.08 for task, share in TASKS.items()}
    return drawn(1, better), drawn(2, TASKS)


@pytest.fixture
def logs(two: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path) -> Path:
    write_run(tmp_path, "lab/a", two[0])
    write_run(tmp_path, "lab/b", two[1])
    return tmp_path


def records(babycli: Babycli, logs: Path, *words: object) -> list[dict[str, Any]]:
    ran = babycli("report", logs, "--compare", *words, "--format", "json")
    assert ran.code == 0, ran.err
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def test_choices_are_tested_by_mcnemar(
    logs: Path, two: tuple[dict[str, Any], dict[str, Any]], babycli: Babycli
) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for record in records(babycli, logs, "lab/a", "lab/b"):
        if record["task"] == "saycam_caption":
            continue
        a, b = (np.array(values[record["task"]][record["metric"]]) for values in two)
        table = [[int(((a == i) & (b == j)).sum()) for j in (1, 0)] for i in (1, 0)]
        assert record["test"] == "exact McNemar"
        assert record["p_value"] == pytest.approx(tables.mcnemar(table, exact=True).pvalue, rel=1e-9)
        assert (record["only_first"], record["only_second"]) == (table[0][1], table[1][0])
        assert record["difference"] == pytest.approx(a.mean() - b.mean(), abs=1e-12)
        assert record["ci95_low"] < record["difference"] < record["ci95_high"]


def test_p_values_are_adjusted_over_the_table(logs: Path, babycli: Babycli) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    found = records(babycli, logs, "lab/a", "lab/b")
    expected = multitest.multipletests([r["p_value"] for r in found], method="holm")[1]
    assert [r["p_holm"] for r in found] == pytest.approx(expected.tolist(), rel=1e-9)


def test_one_comparison_is_not_adjusted(logs: Path, babycli: Babycli) -> None:
    words = ("report", logs, "--compare", "lab/a", "lab/b")
    assert "adjusted for the" in babycli(*words).out
    assert "adjusted for the" not in babycli(*words, "--tasks", "labeled_s").out


def test_captions_and_ties_are_tested_by_bootstrap(tmp_path: Path, babycli: Babycli) -> None:
    a = drawn(1, {"saycam_caption": 0.3}) | {"vtwt": {"acc": [1.0, 0.5, 0.0] * 200}}
    b = drawn(2, {"saycam_caption": 0.15}) | {"vtwt": {"acc": [0.0, 0.5, 1.0] * 200}}
    write_run(tmp_path, "a", a)
    write_run(tmp_path, "b", b)
    by_task = {r["task"]: r for r in records(babycli, tmp_path, "a", "b")}
    assert {r["test"] for r in by_task.values()} == {"paired bootstrap"}
    assert by_task["saycam_caption"]["significant"]
    assert by_task["saycam_caption"]["p_value"] < 0.001
    assert by_task["vtwt"]["difference"] == 0
    assert not by_task["vtwt"]["significant"]


def test_the_smallest_difference_is_that_of_a_power_analysis(
    two: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path, babycli: Babycli
) -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    for name, values in zip("ab", two, strict=True):
        write_run(tmp_path, name, {"vtwt": values["vtwt"]}, with_groups=False)
    (record,) = records(babycli, tmp_path, "a", "b")
    spread = np.std(np.subtract(two[0]["vtwt"]["acc"], two[1]["vtwt"]["acc"]), ddof=1)
    assert power.normal_power(record["detectable_difference"], 967, 0.05, sigma=spread) == pytest.approx(0.8, abs=1e-3)


def test_three_models_are_compared_in_pairs(logs: Path, babycli: Babycli) -> None:
    write_run(logs, "lab/c", drawn(5, {"vtwt": 0.5}))
    pairs = {(r["first"], r["second"]) for r in records(babycli, logs, "lab/a", "lab/b", "lab/c")}
    assert pairs == {("lab/a", "lab/b"), ("lab/a", "lab/c"), ("lab/b", "lab/c")}
    out = babycli("report", logs, "--compare", "lab/a", "lab/b", "lab/c").out
    assert "lab/a − lab/b" in " ".join(out.split())


def test_a_model_against_itself_differs_in_nothing(tmp_path: Path, babycli: Babycli) -> None:
    for name in ("a", "b"):
        write_run(tmp_path, name, drawn(1, {"vtwt": 0.6}))
    (record,) = records(babycli, tmp_path, "a", "b")
    assert (record["difference"], record["p_value"], record["significant"]) == (0.0, 1.0, False)
    assert record["ci95_low"] < 0 < record["ci95_high"]


def test_one_caption_shows_nothing(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "a", {"saycam_caption": {"meteor": [0.0]}})
    write_run(tmp_path, "b", {"saycam_caption": {"meteor": [0.1]}})
    (record,) = records(babycli, tmp_path, "a", "b")
    assert (record["p_value"], record["ci95_low"], record["ci95_high"]) == (1.0, -1.0, 1.0)
    assert record["detectable_difference"] is None
    assert not record["significant"]


def test_values_are_those_of_the_trials_compared(logs: Path, babycli: Babycli) -> None:
    for record in records(babycli, logs, "lab/a", "lab/b"):
        assert record["first_value"] - record["second_value"] == pytest.approx(record["difference"], abs=1e-12)


def test_equal_models_could_have_shown_something(tmp_path: Path, babycli: Babycli) -> None:
    for name in ("a", "b"):
        write_run(tmp_path, name, drawn(1, {"vtwt": 0.6}, {"vtwt": 40}))
    (record,) = records(babycli, tmp_path, "a", "b")
    assert 0.05 < record["detectable_difference"] < 0.2


@pytest.mark.parametrize("what", ["labels_sha256", "images_sha256"])
def test_other_labels_or_images_are_refused(what: str, logs: Path, babycli: Babycli) -> None:
    changes: dict[str, Any] = {what: {"vtwt": "others"}}
    write_run(logs, "c", drawn(5, {"vtwt": 0.5}), **changes)
    ran = babycli("report", logs, "--compare", "lab/a", "c")
    assert ran.code == 3
    assert "vtwt: lab/a and c were run on different" in ran.err
    assert {"labels_sha256": "label files", "images_sha256": "images"}[what] in ran.err


def test_other_items_are_refused(logs: Path, babycli: Babycli) -> None:
    write_run(logs, "c", drawn(5, {"vtwt": 0.5}, {"vtwt": 40}))
    ran = babycli("report", logs, "--compare", "lab/a", "c")
    assert ran.code == 3
    assert "different items: 967 and 40, 40 of them the same" in ran.err


def test_other_limits_are_named_and_no_image_is_blamed(logs: Path, babycli: Babycli) -> None:
    for name, n in (("c", 60), ("d", 200)):
        digests = {"vtwt": f"{n} images"}
        write_run(logs, name, drawn(5, {"vtwt": 0.5}, {"vtwt": n}), limit=n, config={"limit": n}, images_sha256=digests)
    ran = babycli("report", logs, "--compare", "c", "d")
    assert (ran.code, ran.out) == (3, "")
    assert "saw other trials: the first 60 and the first 200 of each task (--limit)\n" in ran.err
    assert "with the same --limit" in ran.err
    assert "images" not in ran.err
    ran = babycli("report", logs, "--compare", "lab/a", "d")
    assert "saw other trials: all and the first 200 of each task (--limit)\n" in ran.err


def test_demo_and_saycam_are_not_compared(logs: Path, babycli: Babycli) -> None:
    write_run(logs, "c", drawn(5, {"vtwt": 0.5}), data="demo", labels_sha256={}, images_sha256={})
    ran = babycli("report", logs, "--compare", "lab/a", "c")
    assert ran.code == 3
    assert "different data (saycam and demo)" in ran.err


def test_other_phrases_are_refused_even_without_digests(logs: Path, babycli: Babycli) -> None:
    path = write_run(logs, "c", drawn(5, {"vtwt": 0.5}), labels_sha256={}, images_sha256={})
    outcomes = path.with_name("20260101_120000_outcomes.json")
    outcomes.write_text(outcomes.read_text().replace("hold book", "hold ball"))
    ran = babycli("report", logs, "--compare", "lab/a", "c")
    assert ran.code == 3
    assert "different items: phrases of 322 trials differ" in ran.err


def test_runs_without_trials_or_tasks_in_common_are_refused(logs: Path, babycli: Babycli) -> None:
    path = write_run(logs, "c", drawn(5, {"vtwt": 0.5}))
    path.with_name("20260101_120000_outcomes.json").unlink()
    ran = babycli("report", logs, "--compare", "lab/a", "c")
    assert ran.code == 3
    assert "no outcomes and no samples" in ran.err
    write_run(logs, "d", drawn(5, {"labeled_s": 0.5}))
    ran = babycli("report", logs, "--compare", "c", "d")
    assert "c and d have no task in common" in ran.err
    assert "mend: babycli eval --model d --tasks vtwt\n" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lab/a",), "needs two different models"),
        (("lab/a", "lab/a"), "needs two different models"),
        (("lab/a", "lab/x"), "no run is of a model 'lab/x'"),
        (("lab/a", "lab"), "fits 2 rows"),
    ],
)
def test_names_that_fit_none_or_several_are_usage_errors(
    words: tuple[str, ...], said: str, logs: Path, babycli: Babycli
) -> None:
    ran = babycli("report", logs, "--compare", *words)
    assert ran.code == 2
    assert said in ran.err


def test_models_can_be_named_by_their_end_or_their_folder(logs: Path, babycli: Babycli) -> None:
    whole = babycli("report", logs, "--compare", "lab/a", "lab/b").out
    assert babycli("report", logs, "--compare", "a", "b").out == whole
    assert babycli("report", logs, "--compare", "lab__a/20260101_120000", "b").out == whole
    assert babycli("report", "--compare", "a", "b", logs).out == whole
    assert babycli("report", logs, "--compare=a", "b").out == whole


def test_a_name_means_the_run_of_all_trials_beside_one_with_a_limit(
    logs: Path, two: tuple[dict[str, Any], dict[str, Any]], babycli: Babycli
) -> None:
    whole = babycli("report", logs, "--compare", "a", "b").out
    write_run(logs, "lab/a", drawn(6, {"vtwt": 0.6}, {"vtwt": 20}), date="20260102_120000", config={"limit": 20})
    write_run(logs, "lab/a", drawn(7, {"vtwt": 0.5}), date="20260103_120000", control="blind")
    ran = babycli("report", logs, "--compare", "a", "b")
    assert (ran.code, ran.out) == (0, whole)
    # Of several runs of all trials none is the one that is meant, and each label that is named can be given.
    write_run(logs, "lab/a", two[1], date="20260104_120000", dtype="bfloat16")
    ran = babycli("report", logs, "--compare", "a", "b")
    assert (ran.code, "'a' fits 3 rows" in ran.err) == (2, True)
    for label in ("lab/a", "lab/a (limit 20)", "lab/a (bfloat16)"):
        assert (label if label == "lab/a" else f"'{label}'") in ran.err
    assert "lab/a (bfloat16) − lab/b" in babycli("report", logs, "--compare", "lab/a (bfloat16)", "b").out


def test_tasks_stand_in_the_order_of_the_table_or_in_the_one_chosen(tmp_path: Path, babycli: Babycli) -> None:
    for seed, name in enumerate("ab"):  # logged in another order than a table has
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6, "labeled_s": 0.5}))
    for words, expected in (
        ((), ["labeled_s", "vtwt"]),
        (("--tasks", "labeled_s,vtwt"), ["labeled_s", "vtwt"]),
        (("--tasks", "vtwt,labeled_s"), ["vtwt", "labeled_s"]),
    ):
        found = json.loads(babycli("report", tmp_path, "--compare", "a,b", *words, "--format", "json").out)
        assert [each["task"] for each in found] == expected
    assert [each.task for each in compare("a", "b", logs=tmp_path)] == ["labeled_s", "vtwt"]


def test_a_name_never_means_a_part_beside_the_run_of_all_trials(
    tmp_path: Path, babycli: Babycli, caplog: pytest.LogCaptureFixture
) -> None:
    def part(n: int, day: int) -> dict[str, Any]:
        return {"config": {"limit": n}, "date": f"2026010{day}_120000"}

    write_run(tmp_path, "ck/a", drawn(1, {"vtwt": 0.6}))
    write_run(tmp_path, "ck/a", drawn(2, {"vtwt": 0.6}, {"vtwt": 20}), **part(20, 2))
    write_run(tmp_path, "ck/b", drawn(3, {"vtwt": 0.6}, {"vtwt": 30}), **part(30, 2))
    for names in (("a", "b"), ("ck/a", "ck/b")):
        ran = babycli("report", tmp_path, "--compare", *names)
        assert (ran.code, ran.out) == (3, "")
        assert "saw other trials: all and the first 30 of each task (--limit)\n" in ran.err
        assert "mend: evaluate both with the same --limit or --sample\n" in ran.err
    write_run(tmp_path, "ck/b", drawn(4, {"vtwt": 0.6}, {"vtwt": 20}), **part(20, 3))
    for first, second in (("a", "b"), ("ck/a", "ck/b"), ("b", "a")):
        ran = babycli("report", tmp_path, "--compare", first, second)
        refused = second if second.endswith("b") else first
        assert (ran.code, f"{refused!r} fits 2 rows" in ran.err) == (2, True), ran.err
        assert "'ck/b (limit 30)' or 'ck/b (limit 20)'" in ran.err
        with pytest.raises(UsageError, match="fits 2 rows"):
            compare(first, second, logs=tmp_path)
    ran = babycli("report", tmp_path, "--compare", "ck/a (limit 20)", "ck/b (limit 20)")
    assert (ran.code, "ck/a (limit 20) − ck/b (limit 20)" in ran.out, "note:" in ran.err) == (0, True, False)
    write_run(tmp_path, "ck/b", drawn(5, {"vtwt": 0.5}), date="20260104_120000")
    ran = babycli("report", tmp_path, "--compare", "a", "b")
    assert (ran.code, "ck/a − ck/b" in ran.out) == (0, True)
    note = "note: 'b' is taken for ck/b; it also fits ck/b (limit 30), ck/b (limit 20)\n"
    assert ran.err == f"note: 'a' is taken for ck/a; it also fits ck/a (limit 20)\n{note}"
    caplog.clear()
    (found, *_) = compare("a", "b", logs=tmp_path)
    assert (found.first, found.second, found.n_trials) == ("ck/a", "ck/b", 967)
    assert note.strip() in caplog.messages


def test_the_run_of_all_trials_is_meant_even_with_a_prompt(tmp_path: Path, babycli: Babycli) -> None:
    prompt: dict[str, Any] = {"prompts": {"vtwt": "Look:"}, "prompt_origins": {"vtwt": PROMPT_OPTION}}
    write_run(tmp_path, "a", drawn(1, {"vtwt": 0.6}), **prompt)
    write_run(tmp_path, "a", drawn(2, {"vtwt": 0.6}, {"vtwt": 20}), date="20260102_120000", config={"limit": 20})
    write_run(tmp_path, "b", drawn(3, {"vtwt": 0.5}))
    ran = babycli("report", tmp_path, "--compare", "a", "b")
    assert (ran.code, 'a (prompt "Look:") − b' in ran.out) == (0, True), ran.err
    assert "is taken for a (prompt" in ran.err


def test_a_part_of_one_model_is_not_passed_over_for_another_model(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "baby1", drawn(1, {"vtwt": 0.6}))
    write_run(tmp_path, "baby2", drawn(2, {"vtwt": 0.6}, {"vtwt": 20}), config={"limit": 20})
    write_run(tmp_path, "other", drawn(3, {"vtwt": 0.5}))
    ran = babycli("report", tmp_path, "--compare", "baby", "other")
    assert (ran.code, "'baby' fits 2 rows" in ran.err) == (2, True)


def test_a_name_means_the_run_without_a_prompt_or_a_name_where_all_have_a_limit(
    tmp_path: Path, babycli: Babycli
) -> None:
    part: dict[str, Any] = {"config": {"limit": 20}}
    write_run(tmp_path, "a", drawn(6, {"vtwt": 0.6}, {"vtwt": 20}), **part)
    write_run(tmp_path, "b", drawn(7, {"vtwt": 0.6}, {"vtwt": 20}), **part)
    prompt: dict[str, Any] = {"prompts": {"vtwt": "Look:"}, "prompt_origins": {"vtwt": PROMPT_OPTION}}
    write_run(tmp_path, "a", drawn(8, {"vtwt": 0.6}, {"vtwt": 20}), date="20260102_120000", **prompt, **part)
    named = write_run(tmp_path, "a", drawn(9, {"vtwt": 0.6}, {"vtwt": 20}), date="20260103_120000", **part)
    (named.parent / "run.json").write_text(json.dumps({NAME: "asked"}))
    ran = babycli("report", tmp_path, "--compare", "a", "b")
    assert (ran.code, "a (limit 20) − b (limit 20)" in ran.out) == (0, True), ran.err
    assert "asked (limit 20) − a (limit 20)" in babycli("report", tmp_path, "--compare", "asked", "a").out


def test_a_comparison_in_latex_has_a_label_and_names_the_version(tmp_path: Path, babycli: Babycli) -> None:
    for i, name in enumerate("ab"):
        write_run(tmp_path, name, drawn(i, {"vtwt": 0.6}, {"vtwt": 20}), config={"limit": 20})
    out = babycli("report", tmp_path, "--compare", "a", "b", "--format", "latex").out
    caption = next(line for line in out.splitlines() if line.startswith(r"\caption"))
    assert caption.endswith(r"\label{tab:a-limit-20-b-limit-20}")
    assert f"babycli {__version__}." in caption


def test_a_comparison_on_the_demo_s_data_says_so(tmp_path: Path, babycli: Babycli) -> None:
    for i, name in enumerate("ab"):
        write_run(tmp_path, name, drawn(i, {"vtwt": 0.6}), data="demo")
    for form in ("table", "md", "latex"):
        assert "DEMO DATA" in babycli("report", tmp_path, "--compare", "a", "b", "--format", form).out


@pytest.mark.parametrize("form", ["logs/{}/20260101_120000", "./logs/{}/20260101_120000/", "{}/20260101_120000"])
def test_relative_paths_name_runs(
    form: str,
    two: tuple[dict[str, Any], dict[str, Any]],
    tmp_path: Path,
    babycli: Babycli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the error that a name fits several rows says: give the folder of the run."""
    for name, values in zip(("m", "other"), two, strict=True):
        write_run(tmp_path / "logs", name, values)
    write_run(tmp_path / "logs", "m", drawn(5, TASKS), date="20260102_120000")
    monkeypatch.chdir(tmp_path)
    ran = babycli("report", "logs", "--compare", "m", "other")
    assert (ran.code, "or the folder of its run:  'm 20260101_120000' or 'm 20260102_120000'" in ran.err) == (2, True)
    ran = babycli("report", "logs", "--compare", form.format("m"), form.format("other"))
    assert ran.code == 0, ran.err
    assert "m 20260101_120000 − other" in ran.out
    monkeypatch.chdir(tmp_path / "logs" / "m")
    ran = babycli("report", "..", "--compare", "../m/20260102_120000", tmp_path / "logs/other/20260101_120000/")
    assert ran.code == 0, ran.err
    assert "m 20260102_120000 − other" in ran.out


def test_the_table_names_the_test_and_the_stars(logs: Path, babycli: Babycli) -> None:
    out = babycli("report", logs, "--compare", "lab/a", "lab/b").out
    assert "***" in out
    assert "exact McNemar for choices, paired bootstrap for the rest" in " ".join(out.split())
    assert all(len(line) <= 100 for line in out.splitlines())


@pytest.mark.parametrize("form", ["md", "csv", "latex"])
def test_other_formats_hold_the_same_comparisons(form: str, logs: Path, babycli: Babycli) -> None:
    out = babycli("report", logs, "--compare", "lab/a", "lab/b", "--format", form).out
    n = len(records(babycli, logs, "lab/a", "lab/b"))
    lines = [line for line in out.splitlines() if line.startswith(("| ", "lab/a,")) or line.endswith(r"\\")]
    assert len(lines) == n + (form != "csv")


def test_csv_has_the_items(logs: Path, babycli: Babycli) -> None:
    words = ("--compare", "lab/a", "lab/b", "--items")
    lines = list(csv.DictReader(io.StringIO(babycli("report", logs, *words, "--format", "csv").out)))
    expected = [
        (record["task"], record["metric"], label, item["trial"])
        for record in records(babycli, logs, *words[1:])
        for label, key in (("lab/a", "items_only_first"), ("lab/b", "items_only_second"))
        for item in record[key]
    ]
    assert len(expected) > 1000
    assert [(line["task"], line["metric"], line["only"], line["trial"]) for line in lines] == expected


@pytest.mark.parametrize(
    "words",
    [
        ("--items", "--by", "word"),
        ("--wrong", "--compare", "lab/a", "lab/b"),
        ("--compare", "lab/a", "lab/b", "--by", "word"),
        ("--compare", "lab/a", "lab/b", "--with-images"),
        ("--format", "leaderboard", "--by", "word"),
        ("--audit", "--plot", "x.pdf"),
        ("--plot", "x.gif"),
        ("--by", "colour"),
        ("--by", "word", "--format", "html"),
        ("--by", "word", "--baselines", "paper"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(words: tuple[str, ...], logs: Path, babycli: Babycli) -> None:
    assert babycli("report", logs, *words).code == 2


@pytest.mark.parametrize("form", ["table", "md", "html", "latex"])
def test_an_unknown_detectable_difference_is_explained_where_it_occurs(
    form: str, logs: Path, tmp_path: Path, babycli: Babycli
) -> None:
    """Of trials of one recording session, or that all differ by the same, nothing can be told."""
    reason = "?: not known, as a single cluster does not tell how much it varies, so the interval is all that can be."
    one = tmp_path / "one"
    for i, name in enumerate("ab"):
        write_run(one, name, drawn(i, {"vtwt": 0.6}, {"vtwt": 10}))  # of the first session
    shown = " ".join(babycli("report", one, "--compare", "a", "b", "--format", form).out.split())
    assert shown.count(reason) == 1
    assert "100" in shown
    scores = {"saycam_caption": {"meteor": [0.2, 0.4, 0.3] * 20}}
    same = tmp_path / "same"
    for name in "ab":
        write_run(same, name, scores)
    shown = " ".join(babycli("report", same, "--compare", "a", "b", "--format", form).out.split())
    assert shown.count("?: not known, as all trials differ by the same.") == 1
    assert "not known, as" not in babycli("report", logs, "--compare", "lab/a", "lab/b", "--format", form).out
