"""`babycli report --format leaderboard`: what goes into an entry, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babycli.tasks import register
from babycli.tasks.base import Benchmark
from babycli.tasks.vtwt import VisualTwoWordTest
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

ALL = {"labeled_s": 0.6, "vtwt": 0.7, "baby_winoground": 0.3, "saycam_caption": 0.2}


def test_a_leaderboard_entry_has_fractions_and_not_our_winoground(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, ALL))
    write_run(tmp_path, "m", drawn(2, {"vtwt": 0.5}), control="blind", date="20260102_120000")
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert ran.code == 0
    entry: dict[str, Any] = json.loads(ran.out)
    assert set(entry) == {"results"}
    assert {task: set(metrics) for task, metrics in entry["results"].items()} == {
        "labeled_s": {"acc"},
        "vtwt": {"acc"},
        "saycam_caption": {"meteor"},
    }
    assert all(0 <= value <= 1 for metrics in entry["results"].values() for value in metrics.values())
    assert "the leaderboard means another task by that name" in ran.err


@pytest.mark.parametrize(
    ("tasks", "changes", "code", "said"),
    [
        ({"baby_winoground": 0.3}, {}, 3, "must not be mixed"),
        ({"vtwt": 0.6}, {"data": "demo"}, 3, "demo data"),
        ({"vtwt": 0.6}, {"scoring": "reference"}, 7, "counts ties as right"),
        ({"vtwt": 0.6}, {"nonfinite": {"vtwt": [3]}}, 7, "must not be trusted"),
        (
            {"saycam_caption": 0.2},
            {"replies": {"saycam_caption": {"n": 294, "n_empty": 294}}},
            7,
            "must not be trusted",
        ),
        ({"vtwt": 0.6}, {"control": "blind"}, 3, "is a control"),
    ],
)
def test_what_does_not_belong_on_a_leaderboard_is_refused(
    tasks: dict[str, float], changes: dict[str, Any], code: int, said: str, tmp_path: Path, babycli: Babycli
) -> None:
    write_run(tmp_path, "m", drawn(1, tasks), **changes)
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert ran.code == code
    assert said in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("n", [40, 966])
def test_a_leaderboard_wants_every_trial(n: int, tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6}, {"vtwt": n}), config={"limit": n})
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert ran.code == 3
    assert f"has {n} of 967 trials" in ran.err


def test_a_leaderboard_takes_no_number_without_its_trials(tmp_path: Path, babycli: Babycli) -> None:
    path = write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6}))
    path.with_name("20260101_120000_outcomes.json").unlink()
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert ran.code == 3
    assert "that can be counted" in ran.err


def test_a_leaderboard_entry_is_of_one_model(tmp_path: Path, babycli: Babycli) -> None:
    for name in ("a", "b"):
        write_run(tmp_path, name, drawn(1, {"vtwt": 0.6}))
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert ran.code == 2
    assert "one row of the table, here are 2" in ran.err


class OfNobody(VisualTwoWordTest):
    name = "of_nobody"
    benchmark = Benchmark("nobody", "Nobody", "nobody")


class Unpublished(VisualTwoWordTest):
    name = "unpublished"


def test_a_task_that_the_leaderboard_does_not_have_is_left_out(tmp_path: Path, babycli: Babycli) -> None:
    register(OfNobody())
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6, "of_nobody": 0.6}, {"vtwt": 967, "of_nobody": 10}))
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert ran.code == 0
    assert set(json.loads(ran.out)["results"]) == {"vtwt"}
    assert "the leaderboard has no of_nobody" in ran.err
    write_run(tmp_path / "alone", "m", drawn(1, {"of_nobody": 0.6}, {"of_nobody": 10}))
    ran = babycli("report", tmp_path / "alone", "--format", "leaderboard")
    assert (ran.code, ran.out) == (3, "")
    assert "--tasks labeled_s,vtwt,saycam_caption" in ran.err


def test_what_nothing_is_published_of_is_in_no_entry(tmp_path: Path, babycli: Babycli) -> None:
    register(Unpublished())
    write_run(tmp_path, "m", drawn(1, {"unpublished": 0.6}, {"unpublished": 967}))
    ran = babycli("report", tmp_path, "--format", "leaderboard")
    assert (ran.code, ran.out) == (3, "")
    assert "the leaderboard has no unpublished" in ran.err
