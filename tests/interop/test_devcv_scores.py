"""`babycli report --format leaderboard` for DevCV tasks: the scores file, and what is said and refused.

The validator here is written from what is known of the leaderboard's own: see "Scores file" in FACTS.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

KNOWN: Mapping[str, tuple[str, ...]] = {
    "baby_pv": ("acc",),
    "baby_winoground": ("group_score", "image_score", "text_score"),
    "baby_localize": ("acc",),
    "baby_leftright": ("acc",),
    "baby_spatialdetails": ("acc",),
    "baby_vdr_binary": ("acc_exact", "acc_adjacent"),
    "baby_vdr_open": ("acc_exact", "acc_adjacent"),
    "baby_compare_real": ("acc",),
    "baby_compare_synthetic": ("acc",),
    "baby_count": ("acc",),
    "baby_memory": ("acc_learning", "acc_testing_raw", "acc_testing_adjusted"),
}


def problems(text: str) -> list[str]:
    """What the leaderboard would not take, and what it would pass over."""
    document = json.loads(text)
    if not isinstance(document, dict):
        return ["no object"]
    results = document.get("results", document)
    found = [f"unknown task {task}" for task in results if task not in KNOWN]
    n_known = 0
    for task, metrics in results.items():
        if task in KNOWN and not isinstance(metrics, dict):
            found.append(f"{task} is no object")
            continue
        for name, value in metrics.items():
            if name not in KNOWN.get(task, ()):
                found.append(f"unknown metric {task} {name}")
                continue
            n_known += 1
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or math.isnan(value) or not 0 <= value <= 1:
                found.append(f"{task} {name} is {value!r}")
    return found if n_known else [*found, "no known task and metric"]


def shares(value: float, n: int = 20) -> list[float]:
    return [1.0] * round(value * n) + [0.0] * (n - round(value * n))


def written(**by_authors: float) -> dict[str, dict[str, list[float]]]:
    """Trials of tasks whose written answers have these shares by the authors' rules, and more by fair ones."""
    return {
        task: {
            name: of
            for metric in KNOWN[task]
            for name, of in (
                (metric, shares(min(1.0, value + 0.1))),
                (f"{metric}_reference", shares(value)),
                (f"{metric}_chosen", shares(1.0)),
            )
        }
        for task, value in by_authors.items()
    }


ALL = {task: 0.05 * i for i, task in enumerate(KNOWN) if task != "baby_winoground"}


def test_the_file_is_one_that_the_leaderboard_takes(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "lab/m", written(**ALL), data="ego4d")
    write_run(tmp_path, "lab/m", drawn(3, {"baby_winoground": 0.5}), date="20260105_120000")
    ran = babycli("report", tmp_path, "--format", "leaderboard", "--model", "lab/m (ego4d)")
    assert ran.code == 0, ran.err
    assert problems(ran.out) == []
    results: dict[str, Any] = json.loads(ran.out)["results"]
    assert {task: tuple(metrics) for task, metrics in results.items()} == KNOWN
    for task, value in ALL.items():
        assert results[task] == pytest.approx(dict.fromkeys(KNOWN[task], value))
    assert "11 of 11 tasks, written answers, counted by the authors' rules" in ran.err
    assert "fair scoring gives other numbers: baby_pv acc 0.00 (fair scoring: 10.00)" in ran.err
    assert "the leaderboard's file is the very same was not established" in ran.err
    assert "these are scores on" in ran.err


def test_what_is_missing_is_said(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "lab/m", written(baby_pv=0.5, baby_memory=0.25), data="ego4d")
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert ran.code == 0
    assert problems(ran.out) == []
    assert set(json.loads(ran.out)["results"]) == {"baby_pv", "baby_memory"}
    assert "counts 0 for what is missing: baby_winoground, baby_localize" in ran.err


def test_tasks_without_a_place_are_left_out(tmp_path: Path, babycli: Babycli) -> None:
    of_subitizing = {"baby_subitize": {"acc": shares(0.5), "acc_reference": shares(0.5)}}
    write_run(tmp_path, "lab/m", written(baby_pv=0.5) | of_subitizing, data="ego4d")
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert set(json.loads(ran.out)["results"]) == {"baby_pv"}
    assert "the leaderboard has no baby_subitize" in ran.err


def test_several_models_or_sets_have_to_be_chosen_from(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "lab/m", written(baby_pv=0.5), data="ego4d")
    write_run(tmp_path, "lab/m", written(baby_pv=0.25), data="nih", date="20260103_120000")
    write_run(tmp_path, "lab/other", written(baby_pv=0.75), data="ego4d")
    write_run(tmp_path, "lab/m", written(baby_pv=0.3), data="ego4d", control="blind", date="20260104_120000")
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert (ran.code, ran.out) == (2, "")
    for label in ("lab/m (ego4d)", "lab/m (nih)", "lab/other (ego4d)"):
        assert f'--model "{label}"' in ran.err
    assert "control" not in ran.err
    ran = babycli("report", tmp_path, "--format", "leaderboard", "--model", "lab/m (nih)")
    assert json.loads(ran.out) == {"results": {"baby_pv": {"acc": 0.25}}}
    assert babycli("report", tmp_path, "--format", "leaderboard", "--model", "nobody").code == 2
    assert babycli("report", tmp_path, "--model", "lab/m (nih)").code == 2


def test_a_reference_run_has_the_authors_numbers_already(tmp_path: Path, babycli: Babycli) -> None:
    values = {"baby_count": {"acc": shares(0.25), "acc_reference": shares(0.25)}}
    write_run(tmp_path, "lab/m", values, data="ego4d", scoring="reference")
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert json.loads(ran.out) == {"results": {"baby_count": {"acc": 0.25}}}
    assert "fair scoring gives" not in ran.err


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"data": "demo"}, 3, "demo data"),
        ({"control": "blind"}, 3, "is a control"),
        ({"config": {"limit": 20}}, 3, "a part of the items only"),
        ({"nonfinite": {"baby_pv": [3]}}, 7, "must not be trusted"),
        ({"replies": {"baby_pv": {"n": 20, "n_empty": 20}}}, 7, "must not be trusted"),
        ({"skipped": {"baby_pv": ["3"]}}, 3, "lacks items"),
    ],
)
def test_what_no_leaderboard_should_show_is_refused(
    changes: dict[str, Any], code: int, said: str, tmp_path: Path, babycli: Babycli
) -> None:
    write_run(tmp_path, "lab/m", written(baby_pv=0.5), **({"data": "ego4d"} | changes))
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_chosen_answers_are_in_no_scores_file(tmp_path: Path, babycli: Babycli) -> None:
    values = {"baby_pv": {"acc_chosen": shares(0.5)}, "baby_count": {"acc_chosen": shares(0.5)}}
    write_run(tmp_path, "lab/m", values, data="ego4d")
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert (ran.code, ran.out) == (3, "")
    assert "answers" in ran.err
