"""The audit of a run: every planted fault is named, and nothing else."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
import pytest

from babycli.data.root import DatasetRoot
from babycli.domain import Row
from babycli.interop.lmms.findings import LmmsKind
from babycli.report.audit import Kind, RunAudit
from babycli.report.audit import audit as audit_lazily
from babycli.report.load import label_rows_of, load_logs
from tests.conftest import Babycli
from tests.interop.lmms_logs import (
    LABELS,
    TASKS,
    WINOGROUND_METRICS,
    Log,
    constant_losses,
    make_log,
    random_losses,
)

Named = set[tuple[str, StrEnum]]

CHOICES = TASKS[:3]


def audit(path: Path, labels: Mapping[str, Sequence[Row]] | None = None) -> RunAudit:
    return audit_lazily(path, lambda: labels or {})


def named(found: RunAudit) -> Named:
    return {(finding.task, finding.kind) for finding in found.findings}


def detail(found: RunAudit, kind: Kind) -> str:
    (finding,) = [finding for finding in found.findings if finding.kind == kind]
    return finding.detail


def fair(found: RunAudit) -> dict[tuple[str, str], float | None]:
    return {(metric.task, metric.metric): metric.fair for metric in found.metrics}


@pytest.mark.parametrize(
    ("labels", "version"),
    [
        pytest.param(None, "0.3", id="no labels-0.3"),
        pytest.param(LABELS, "0.6", id="labels-0.6"),
        pytest.param(None, "0.6", id="no labels-0.6", marks=pytest.mark.long),
        pytest.param(LABELS, "0.3", id="labels-0.3", marks=pytest.mark.long),
    ],
)
def test_a_sound_log_has_no_fault(version: str, labels: Mapping[str, list[Row]] | None, tmp_path: Path) -> None:
    found = audit(make_log(version=version).write(tmp_path), labels)
    assert found.findings == ()
    assert len(found.metrics) == 8
    for metric in found.metrics:
        assert metric.logged is not None
        assert metric.fair == pytest.approx(metric.logged, abs=1e-6)


def test_a_constant_model_gets_chance_where_the_log_says_all(tmp_path: Path) -> None:
    log = make_log(losses=constant_losses)
    results = log.document["results"]
    assert (results["labeled_s"]["acc,none"], results["vtwt"]["acc,none"]) == (1.0, 1.0)
    assert results["baby_winoground"]["group_score,none"] == 0.0
    found = audit(log.write(tmp_path))
    assert named(found) == {(task, Kind.CONSTANT) for task in CHOICES}
    assert fair(found)["labeled_s", "acc"] == 0.25
    assert fair(found)["vtwt", "acc"] == 0.5
    assert all(fair(found)["baby_winoground", metric] == 0.0 for metric in WINOGROUND_METRICS)
    details = [finding.detail for finding in found.findings]
    assert "the log counts 2200 of them as right" in details[0]
    assert "the log counts 967 of them as right" in details[1]
    assert "right" not in details[2]


def test_a_constant_model_on_three_gpus(tmp_path: Path) -> None:
    """The lines of a trial come in another order there, so it is not always the right one that comes first."""
    found = audit(make_log(["labeled_s"], losses=constant_losses, n_ranks=3).write(tmp_path))
    assert named(found) == {("labeled_s", Kind.CONSTANT)}
    logged = found.metrics[0].logged
    assert logged is not None
    assert 0.3 < logged < 0.9
    assert found.metrics[0].fair == 0.25


@pytest.mark.parametrize(
    ("task", "n_constant", "kinds"),
    [
        ("vtwt", 483, {Kind.TIES}),
        ("vtwt", 484, {Kind.CONSTANT}),
        pytest.param("labeled_s", 1099, {Kind.TIES}, marks=pytest.mark.long),
        pytest.param("labeled_s", 1100, {Kind.CONSTANT}, marks=pytest.mark.long),
        ("baby_winoground", 182, set()),
        ("baby_winoground", 183, {Kind.CONSTANT}),
    ],
)
def test_half_of_the_trials_constant_is_a_constant_model(
    task: str, n_constant: int, kinds: set[Kind], tmp_path: Path
) -> None:
    rows = {"vtwt": 1, "labeled_s": 4, "baby_winoground": 2}[task]
    losses = random_losses()
    log = make_log([task], losses=lambda t, i, k: 2.5 if i < n_constant * rows else losses(t, i, k))
    assert named(audit(log.write(tmp_path))) == {(task, kind) for kind in kinds}


def test_ties_are_counted_with_what_they_are_worth(tmp_path: Path) -> None:
    losses = random_losses()

    def with_ties(task: str, row: int, answer: int) -> float:
        if task == "labeled_s" and row // 4 < 22 and row % 4 in (0, 2):
            return 0.5  # below all others: the right one and another
        if task == "labeled_s" and 22 <= row // 4 < 44 and row % 4 in (1, 2):
            return 0.5  # two wrong ones
        if task == "baby_winoground" and row < 20:
            return (0.5, losses(task, row, 1))[answer]  # image against image
        return 0.5 if task == "vtwt" and row < 10 else losses(task, row, answer)

    found = audit(make_log(CHOICES, losses=with_ties).write(tmp_path))
    assert named(found) == {("labeled_s", Kind.TIES), ("vtwt", Kind.TIES)}
    assert "in 22 of 2200 trials" in found.findings[0].detail
    assert "1.0 points of the logged" in found.findings[0].detail
    assert "in 10 of 967 trials" in found.findings[1].detail
    by_metric = {metric.task: metric for metric in found.metrics if metric.metric == "acc"}
    for task, n_lost in (("labeled_s", 11 / 2200), ("vtwt", 5 / 967)):
        logged, value = by_metric[task].logged, by_metric[task].fair
        assert logged is not None
        assert value == pytest.approx(logged - n_lost)


def test_losses_that_are_all_nan(tmp_path: Path) -> None:
    log = make_log(CHOICES)
    for task in CHOICES:
        for line in log.lines[task]:
            line["resps"] = [[["nan", "False"]] for _ in line["resps"]]
    log.document["results"]["vtwt"]["acc,none"] = 1.0  # Python's min: nothing is less than NaN
    log.document["results"]["baby_winoground"] |= {f"{metric},none": 0.0 for metric in WINOGROUND_METRICS}
    log.document["results"]["labeled_s"] = {"acc,none": None}  # there the original stops with an error
    found = audit(log.write(tmp_path))
    assert named(found) == {(task, Kind.NONFINITE) for task in CHOICES} | {("labeled_s", Kind.NO_NUMBER)}
    assert set(fair(found).values()) == {0.0}


def test_the_text_of_0_7_is_named_and_read_back(tmp_path: Path) -> None:
    log, sound = make_log(version="0.7"), make_log()
    found = audit(log.write(tmp_path / "text"))
    assert named(found) == {(task, LmmsKind.STRINGS) for task in CHOICES}
    assert fair(found) == fair(audit(sound.write(tmp_path / "numbers")))
    assert found.metrics[1].logged == 1.0


def test_text_without_a_number_has_no_fair_value(tmp_path: Path) -> None:
    log = make_log(["vtwt"], "0.7")
    log.lines["vtwt"][3]["filtered_resps"] = ["(", "("]
    log.lines["vtwt"][3]["resps"] = [["("], ["("]]
    found = audit(log.write(tmp_path))
    assert named(found) == {("vtwt", LmmsKind.STRINGS)}
    assert found.metrics[0].fair is None


# One fault each: what it does to a log, and what must be named.


def _in_field(log: Log) -> None:
    """Compared letter by letter, "10.0" is less than "9.0"."""
    for line in log.lines["labeled_s"]:
        line["acc"]["loss"] = str(line["acc"]["loss"])


def _nan_token(log: Log) -> None:
    log.lines["labeled_s"][3]["resps"][0][0][0] = math.nan
    log.lines["labeled_s"][3]["acc"]["loss"] = math.nan


def _no_row(log: Log) -> None:
    del log.lines["labeled_s"][402]


def _row_twice(log: Log) -> None:
    log.lines["labeled_s"].append(log.lines["labeled_s"][12])


def _vtwt_row_twice(log: Log) -> None:
    """The original averages it in."""
    lines = log.lines["vtwt"]
    lines += lines[:3]
    log.document["results"]["vtwt"]["acc,none"] = sum(line["acc"] for line in lines) / len(lines)


def _unknown_row(log: Log) -> None:
    log.lines["vtwt"][-1]["doc_id"] = 967


def _trial_of_five(log: Log) -> None:
    for place in (log.lines["labeled_s"][5]["doc"], log.lines["labeled_s"][5]["acc"]):
        place["trial_id"] = 0


def _lone_picture(log: Log) -> None:
    """Two frames and no synthetic picture."""
    line = log.lines["baby_winoground"][1]
    scores = {name.replace("img1", "img0"): value for name, value in line["group_score"].items()}
    line |= dict.fromkeys(WINOGROUND_METRICS, scores)


def _no_samples(log: Log) -> None:
    del log.lines["vtwt"]


def _not_available(log: Log) -> None:
    log.document["results"]["vtwt"]["acc,none"] = "N/A"


def _number_as_text(log: Log) -> None:
    log.document["results"]["baby_winoground"]["text_score,none"] = "0.31"


def _nan_result(log: Log) -> None:
    log.document["results"]["labeled_s"]["acc,none"] = math.nan


def _no_metric(log: Log) -> None:
    log.document["results"]["saycam_caption"] = {"alias": "saycam_caption"}


def _other_number(log: Log) -> None:
    log.document["results"]["baby_winoground"]["group_score,none"] += 1 / 365


def _other_meteor(log: Log) -> None:
    log.document["results"]["saycam_caption"]["meteor,none"] += 0.01


def _other_labels(log: Log) -> None:
    log.document["n-samples"]["vtwt"] = {"original": 966, "effective": 966}
    del log.lines["vtwt"][-1]
    lines = log.lines["vtwt"]
    log.document["results"]["vtwt"]["acc,none"] = sum(line["acc"] for line in lines) / len(lines)


def _broken_line(log: Log) -> None:
    lines = log.content("saycam_caption").splitlines(keepends=True)
    log.raw["saycam_caption"] = b"".join([*lines[:9], b'{"doc_id": 9, "doc\n', *lines[10:]])


def _half_written(log: Log) -> None:
    content = log.content("labeled_s")
    log.raw["labeled_s"] = content[: len(content) // 2]


def _fell_back(log: Log) -> None:
    log.document["config"]["model"] = "qwen_vl"


def _fell_back_from_its_own(log: Log) -> None:
    log.document["config"]["model"] = "llava"


PLANTS: Mapping[str, tuple[Callable[[Log], None], Named]] = {
    "in_field": (_in_field, {("labeled_s", LmmsKind.STRINGS)}),
    "nan_token": (_nan_token, {("labeled_s", Kind.NONFINITE)}),
    "no_row": (_no_row, {("labeled_s", Kind.ROWS_MISSING)}),
    "row_twice": (_row_twice, {("labeled_s", Kind.ROWS_REPEATED)}),
    "vtwt_row_twice": (_vtwt_row_twice, {("vtwt", Kind.ROWS_REPEATED)}),
    "unknown_row": (_unknown_row, {("vtwt", Kind.ROWS_UNKNOWN)}),
    "trial_of_five": (_trial_of_five, {("labeled_s", Kind.INCOMPLETE)}),
    "lone_picture": (_lone_picture, {("baby_winoground", Kind.INCOMPLETE)}),
    "no_samples": (_no_samples, {("vtwt", Kind.SAMPLES_MISSING)}),
    "not_available": (_not_available, {("vtwt", Kind.NO_NUMBER)}),
    "number_as_text": (_number_as_text, {("baby_winoground", Kind.NO_NUMBER)}),
    "nan_result": (_nan_result, {("labeled_s", Kind.NO_NUMBER)}),
    "no_metric": (_no_metric, {("saycam_caption", Kind.NO_NUMBER)}),
    "other_number": (_other_number, {("baby_winoground", Kind.LOGGED_DIFFERS)}),
    "other_meteor": (_other_meteor, {("saycam_caption", Kind.LOGGED_DIFFERS)}),
    "other_labels": (_other_labels, {("vtwt", Kind.LABELS_DIFFER)}),
    "broken_line": (_broken_line, {("saycam_caption", Kind.UNREADABLE)}),
    "half_written": (_half_written, {("labeled_s", Kind.UNREADABLE), ("labeled_s", Kind.ROWS_MISSING)}),
    "fell_back": (_fell_back, {("vtwt", LmmsKind.PROMPT)}),
    "fell_back_from_its_own": (_fell_back_from_its_own, {("vtwt", LmmsKind.PROMPT)}),
}


# Faults of kinds that others are of, too.
SHOWN_BY_OTHERS = ("row_twice", "trial_of_five", "number_as_text", "nan_result", "no_metric", "other_meteor")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in SHOWN_BY_OTHERS else name for name in PLANTS]
)
def test_a_planted_fault_is_named_and_nothing_else(name: str, tmp_path: Path) -> None:
    plant, expected = PLANTS[name]
    log = make_log(sorted({task for task, _ in expected}))
    plant(log)
    assert named(audit(log.write(tmp_path))) == expected


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5))])
def test_faults_planted_together_are_all_named(seed: int, tmp_path: Path) -> None:
    """At most one per task, beside the prompt, which is the whole run's: two in one task may hide each other."""
    rng = random.Random(seed)
    log = make_log()
    expected: Named = set()
    taken = set[str]()
    for name in rng.sample(sorted(PLANTS), 8):
        plant, of_plant = PLANTS[name]
        fell_back = {task for task in TASKS if (task, LmmsKind.PROMPT) in of_plant}
        tasks = {"prompt"} if fell_back else {task for task, _ in of_plant}
        if not tasks & taken:
            plant(log)
            taken |= tasks
            expected |= {(task, LmmsKind.PROMPT) for task in TASKS} if fell_back else of_plant
    assert len(taken) > 1
    assert named(audit(log.write(tmp_path))) == expected


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    log = make_log(["labeled_s"])
    for row in (403, 402, 9):
        del log.lines["labeled_s"][row]
    found = audit(log.write(tmp_path))
    assert detail(found, Kind.ROWS_MISSING) == (
        "3 of 8800 rows: 9, 402, 403; trials that lack one are left out: 2, 100"
    )
    assert found.metrics[0].n_trials == 2198


def test_repeated_rows_with_other_scores_are_told(tmp_path: Path) -> None:
    log = make_log(["vtwt"])
    again: dict[str, Any] = orjson.loads(orjson.dumps(log.lines["vtwt"][5]))
    again["resps"][0][0][0] = "99.0"
    log.lines["vtwt"] += [again, log.lines["vtwt"][6]]
    found = audit(log.write(tmp_path))
    assert detail(found, Kind.ROWS_REPEATED).startswith(
        "2 rows are logged more than once, 5, 6; each counts once; 1 of"
    )


@pytest.mark.parametrize("limit", [1, 6, 8, 402, 0.001])
def test_only_the_limit_is_named_for_what_it_cuts_off(limit: float, tmp_path: Path) -> None:
    n = math.ceil(8800 * limit) if limit < 1 else int(limit)
    log = make_log(["labeled_s"], limit=n if n >= 4 else 4)
    log.lines["labeled_s"] = log.lines["labeled_s"][:n]
    log.document["config"]["limit"] = limit
    log.document["n-samples"]["labeled_s"]["effective"] = n
    found = audit(log.write(tmp_path / "said"))
    assert named(found) == {("labeled_s", Kind.LIMIT)}
    assert ("cut in two" in found.findings[0].detail) == (n % 4 != 0)
    assert found.metrics[0].n_trials == n // 4
    assert (found.metrics[0].fair is None) == (n < 4)
    del log.document["n-samples"]
    assert named(audit(log.write(tmp_path / "computed"))) == {("labeled_s", Kind.LIMIT)}


def test_rows_missing_below_a_limit_are_missing(tmp_path: Path) -> None:
    log = make_log(["labeled_s", "vtwt"], limit=400)
    del log.lines["labeled_s"][7], log.lines["vtwt"][7]
    tasks = ("labeled_s", "vtwt")
    assert named(audit(log.write(tmp_path))) == {(t, k) for t in tasks for k in (Kind.LIMIT, Kind.ROWS_MISSING)}


def test_tasks_that_are_not_known_are_named(tmp_path: Path) -> None:
    log = make_log(["vtwt"])
    log.document["results"] |= {"mmmu_val": {"acc,none": 0.5}, "a_group": {"alias": "a_group"}}
    log.document["group_subtasks"] = {"a_group": ["mmmu_val", "vtwt"], "mmmu_val": [], "vtwt": []}
    assert named(audit(log.write(tmp_path / "beside"))) == {("mmmu_val", Kind.UNKNOWN_TASK)}
    del log.document["results"]["vtwt"], log.lines["vtwt"]
    assert named(audit(log.write(tmp_path / "alone"))) == {("mmmu_val", Kind.UNKNOWN_TASK)}
    log.document["results"] = {}
    assert named(audit(log.write(tmp_path / "none"))) == {("", Kind.UNREADABLE)}


def test_a_log_of_tasks_that_are_not_known_is_no_sound_one(tmp_path: Path, babycli: Babycli) -> None:
    log = make_log(["vtwt"])
    log.document["results"] = {"mmmu_val": {"acc,none": 0.5}}
    ran = babycli("report", log.write(tmp_path), "--audit", "--format", "md")
    assert ran.code == 7
    assert "mmmu_val: task not known here: " in ran.out
    assert "nothing found" not in ran.out


def test_a_limit_that_cuts_nothing_off_is_none(tmp_path: Path) -> None:
    for limit in (-1, 0, 967, 5000, "all", None):
        log = make_log(["vtwt"])
        log.document["config"]["limit"] = limit
        assert named(audit(log.write(tmp_path / f"{limit}"))) == set()


@pytest.mark.parametrize("family", ["babyllava", "llava", "clip", "cvcl", ""])
def test_an_empty_prompt_is_no_fault_where_it_is_meant(family: str, tmp_path: Path) -> None:
    log = make_log(["vtwt", "labeled_s"], family=family, limit=8)
    assert {kind for _, kind in named(audit(log.write(tmp_path)))} == {Kind.LIMIT}


def test_a_default_with_words_is_no_fault(tmp_path: Path) -> None:
    log = make_log(["vtwt"], family="qwen_vl")
    wordings = log.document["configs"]["vtwt"]["lmms_eval_specific_kwargs"]
    wordings["pre_prompt"] = wordings["default"]["pre_prompt"] = "What is this?"
    found = audit(log.write(tmp_path))
    assert named(found) == set()
    assert found.run.tasks["vtwt"].prompt == "What is this?"


def test_the_reference_log_has_a_limit_and_nothing_else(shared: Path) -> None:
    (path,) = (shared / "reference" / "logs_example").glob("*_results.json")
    for labels in (None, label_rows_of(DatasetRoot(shared / "labels"))):
        found = audit(path, labels)
        assert named(found) == {(task, Kind.LIMIT) for task in TASKS}
        assert all(metric.fair == metric.logged for metric in found.metrics)


def test_the_run_that_is_audited_has_its_trials_in_a_report(tmp_path: Path) -> None:
    found = audit(make_log(["vtwt"], losses=constant_losses).write(tmp_path))
    (run,) = load_logs(found.run.path).runs
    assert run.trials["vtwt"].n == 967
    assert len(run.trials["vtwt"].ties) == 967
    assert replace(found.run, tasks={}).results == {}
