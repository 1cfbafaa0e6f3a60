"""Intervals of the summary against statsmodels and SciPy, from the files of a run to the record of `report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Babycli
from tests.report.logs import drawn, groups, write_run

TASKS = {"labeled_s": 0.4, "vtwt": 0.6, "baby_winoground": 0.2, "saycam_caption": 0.15}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return drawn(3, TASKS)


@pytest.fixture
def records(values: dict[str, Any], tmp_path: Path, babycli: Babycli) -> dict[tuple[str, str], dict[str, Any]]:
    write_run(tmp_path, "m", values)
    found = json.loads(babycli("report", tmp_path, "--format", "json").out)
    return {(record["task"], record["metric"]): record for record in found}


def test_shares_have_wilsons_interval(records: dict[tuple[str, str], dict[str, Any]], values: dict[str, Any]) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for task in ("labeled_s", "vtwt", "baby_winoground"):
        for metric, of_trials in values[task].items():
            expected = proportion.proportion_confint(sum(of_trials), len(of_trials), method="wilson")
            record = records[task, metric]
            assert (record["ci95_low"], record["ci95_high"]) == pytest.approx(expected, abs=1e-12)
            assert record["n_units"] == len(of_trials)


def test_fractional_credit_of_ties_counts_as_such(tmp_path: Path, babycli: Babycli) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    credit = [1.0] * 300 + [0.5] * 100 + [0.25] * 40 + [0.0] * 527
    write_run(tmp_path, "m", {"vtwt": {"acc": credit}}, ties={"vtwt": list(range(300, 440))})
    (record,) = json.loads(babycli("report", tmp_path, "--format", "json").out)
    expected = proportion.proportion_confint(sum(credit), 967, method="wilson")
    assert (record["ci95_low"], record["ci95_high"]) == pytest.approx(expected, abs=1e-12)
    assert record["ties"] == 140


def test_clustered_standard_errors_are_those_of_a_regression(
    records: dict[tuple[str, str], dict[str, Any]], values: dict[str, Any]
) -> None:
    linear = pytest.importorskip("statsmodels.api")
    for (task, metric), kind in {
        ("labeled_s", "acc"): "category",
        ("vtwt", "acc"): "session",
        ("baby_winoground", "group_score"): "session",
        ("saycam_caption", "meteor"): "session",
    }.items():
        of_trials = np.array(values[task][metric])
        names = groups(task, len(of_trials))[kind]
        fitted = linear.OLS(of_trials, np.ones(len(of_trials))).fit(
            cov_type="cluster", cov_kwds={"groups": np.unique(names, return_inverse=True)[1]}
        )
        record = records[task, metric]
        assert record["stderr_clustered"] == pytest.approx(fitted.bse[0], rel=1e-9)
        assert record["n_clusters"] == len(set(names))
        assert record["ci95_clustered_low"] < record["value"] < record["ci95_clustered_high"]


def test_meteor_has_a_seeded_bootstrap_interval(
    records: dict[tuple[str, str], dict[str, Any]], values: dict[str, Any]
) -> None:
    stats = pytest.importorskip("scipy.stats")
    of_trials = values["saycam_caption"]["meteor"]
    found = stats.bootstrap((of_trials,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    record = records["saycam_caption", "meteor"]
    # Two bootstraps of some 10,000 resamples differ by a few percent of a standard error.
    tolerance = 0.1 * record["stderr"]
    assert (record["ci95_low"], record["ci95_high"]) == pytest.approx((found.low, found.high), abs=tolerance)


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, values: dict[str, Any], babycli: Babycli) -> None:
    write_run(tmp_path, "m", values)
    for form in ("table", "json", "csv", "md", "latex"):
        assert babycli("report", tmp_path, "--format", form).out == babycli("report", tmp_path, "--format", form).out


def test_without_clusters_the_plain_interval_is_shown(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", {"vtwt": {"acc": [1.0, 0.0] * 100}}, with_groups=False)
    (record,) = json.loads(babycli("report", tmp_path, "--format", "json").out)
    assert record["ci95_clustered_low"] is record["n_clusters"] is None
    assert "Wilson's for shares" in babycli("report", tmp_path, "--notes").out


def test_outcomes_that_do_not_give_the_results_are_refused(tmp_path: Path, babycli: Babycli) -> None:
    path = write_run(tmp_path, "m", {"vtwt": {"acc": [1.0, 0.0, 0.0, 0.0]}})
    path.write_text(path.read_text().replace('"acc,none": 0.25', '"acc,none": 0.75'))
    ran = babycli("report", tmp_path)
    assert ran.code == 3
    assert "vtwt acc is 0.75, its trials give 0.25" in ran.err
    assert str(path) in ran.err


@pytest.mark.parametrize("content", ["", "[]", '{"tasks": {"vtwt": {}}}', '{"tasks": {"vtwt": 3}}'])
def test_a_damaged_outcomes_file_is_named(content: str, tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "sound", {"vtwt": {"acc": [1.0, 0.0]}})
    path = write_run(tmp_path, "broken", {"vtwt": {"acc": [1.0, 0.0]}})
    path.with_name("20260101_120000_outcomes.json").write_text(content)
    ran = babycli("report", tmp_path)
    assert ran.code == 0
    assert "sound" in ran.out
    assert f"{path} is not shown, as 20260101_120000_outcomes.json is damaged: " in ran.err
    assert "Error(" not in ran.err


def test_a_task_whose_trials_are_all_in_one_cluster_is_named(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path / "one", "m", {"vtwt": {"acc": [1.0, 0.0] * 5}})  # of one session
    told = " ".join(babycli("report", tmp_path / "one", "--notes", "--format", "md").out.split())
    assert "All in one cluster: VTWT." in told
    write_run(tmp_path / "one", "n", {"vtwt": {"acc": [1.0, 0.0] * 50}})
    told = " ".join(babycli("report", tmp_path / "one", "--notes", "--format", "md").out.split())
    assert "All in one cluster: VTWT of m." in told
    write_run(tmp_path / "many", "m", {"vtwt": {"acc": [1.0, 0.0] * 50}})
    assert "All in one cluster" not in babycli("report", tmp_path / "many", "--notes", "--format", "md").out
