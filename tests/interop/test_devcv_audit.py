"""Logs of the DevCV fork of lmms-eval: what a report shows of them, and what the audit finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Babycli
from tests.interop.devcv_logs import TASKS, ForkLog, recorded


@pytest.fixture
def log(shared: Path) -> ForkLog:
    return recorded(shared)


def test_the_authors_numbers_are_what_their_samples_give(log: ForkLog, tmp_path: Path, babycli: Babycli) -> None:
    assert set(log.lines) == {task for task, _ in TASKS.values()}
    assert sum(map(len, log.lines.values())) > 150
    path = log.write(tmp_path)
    ran = babycli("report", "--audit", path, "--format", "json")
    records = json.loads(ran.out)
    found = {record["finding"] for record in records if record["finding"]}
    assert not found & {"logged number differs from its own samples", "task not known here", "unreadable"}
    logged = {(r["task"], r["metric"]): r["logged"] for r in records if r["metric"] and r["logged"] is not None}
    results = json.loads(path.read_text())["results"]
    assert logged == {
        (task, key.partition(",")[0]): value
        for task, metrics in results.items()
        for key, value in metrics.items()
        if key != "alias"
    }


def test_a_number_that_the_samples_do_not_give_is_named(log: ForkLog, tmp_path: Path, babycli: Babycli) -> None:
    path = log.write(tmp_path)
    document = json.loads(path.read_text())
    document["results"]["baby_count"]["acc,none"] += 0.01
    path.write_text(json.dumps(document))
    ran = babycli("report", "--audit", path)
    assert ran.code == 7
    assert "baby_count: logged number differs from its own samples: acc is logged as" in " ".join(ran.out.split())


def test_a_table_has_the_logged_numbers_beside_those_of_fair_scoring(
    log: ForkLog, tmp_path: Path, babycli: Babycli
) -> None:
    path = log.write(tmp_path)
    ran = babycli("report", path, "--format", "json")
    assert ran.code == 0, ran.err
    records = {(r["task"], r["metric"]): r for r in json.loads(ran.out)}
    logged = json.loads(path.read_text())["results"]["baby_count"]["acc,none"]
    assert records["baby_count", "acc"]["value"] == logged
    assert records["baby_count", "acc_reference"]["value"] == pytest.approx(logged)
    assert records["baby_count", "acc"]["fair_value"] not in (None, logged)
    assert "*  not what fair scoring of its own samples gives" in " ".join(babycli("report", path).out.split(" "))
    assert records["devcv", "overall"]["n_units"] == len(TASKS)


def test_empty_replies_in_a_row_are_exceptions(log: ForkLog, tmp_path: Path, babycli: Babycli) -> None:
    for line in log.lines["baby_leftright"]:
        line.replies = ["b"] if line.replies == [""] else line.replies
    for line in log.lines["baby_leftright"][10:16]:
        line.replies = [""]
    path = log.write(tmp_path)
    told = " ".join(babycli("report", "--audit", path).out.split())
    assert "baby_leftright: exceptions turned into empty replies: 6 of" in told
    assert "up to 6 in a row, rows 10 to 15" in told


def test_single_empty_replies_are_told_as_such(log: ForkLog, tmp_path: Path, babycli: Babycli) -> None:
    for i, line in enumerate(log.lines["baby_leftright"]):
        line.replies = [""] if i in (4, 7) else ["b"]
    told = " ".join(babycli("report", "--audit", log.write(tmp_path)).out.split())
    assert "which is what the wrapper writes for an exception; never two in a row, the first in row 4" in told


def test_one_letter_for_all_is_named_whatever_words_are_around_it(
    log: ForkLog, tmp_path: Path, babycli: Babycli
) -> None:
    for i, line in enumerate(log.lines["baby_spatialdetails"]):
        line.replies = [("B", "b.", "The answer is B", "(B)")[i % 4]]
    n = len(log.lines["baby_spatialdetails"])
    for line in log.lines["baby_memory"]:
        line.replies = ["a"] * len(line.replies)
    n_turns = sum(len(line.replies) for line in log.lines["baby_memory"])
    ran = babycli("report", "--audit", log.write(tmp_path))
    told = " ".join(ran.out.split())
    assert ran.code == 7
    assert f"baby_spatialdetails: odd replies: {n} of {n} replies give the same answer: 'B'" in told
    assert f"baby_memory: odd replies: {n_turns} of {n_turns} replies are the same text: 'a'" in told


def test_right_answers_are_no_odd_replies(log: ForkLog, tmp_path: Path, babycli: Babycli) -> None:
    """Half of a memory's answers are one letter, and each turn has a right answer of its own."""
    for of_task in log.lines.values():
        for line in of_task:
            line.replies = [message["value"] for message in line.entry["conversations"][1::2]]
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert "odd replies" not in ran.out
    assert "exceptions" not in ran.out


def test_documents_without_conversations_are_counted_by_their_replies(
    log: ForkLog, tmp_path: Path, babycli: Babycli
) -> None:
    for line in log.lines["baby_localize"][:5]:
        line.replies = [""]
    path = log.write(tmp_path, has_conversations=False)
    ran = babycli("report", "--audit", path)
    told = " ".join(ran.out.split())
    assert "baby_localize: exceptions turned into empty replies: " in told
    n = len(log.lines["baby_localize"])
    assert f"baby_localize: numbers that were not looked at: {n} of {n} documents hold no whole conversation" in told
    assert "rows missing" not in told
    shown = babycli("report", path, "--format", "csv")
    assert shown.code == 0
    assert "baby_localize,acc," in shown.out


def test_the_published_sets_are_known_by_their_sizes(log: ForkLog, tmp_path: Path, babycli: Babycli) -> None:
    path = log.write(tmp_path)
    document = json.loads(path.read_text())
    document["n-samples"]["baby_count"] = {"original": 1015, "effective": len(log.lines["baby_count"])}
    document["results"] = {"baby_count": document["results"]["baby_count"]}
    path.write_text(json.dumps(document))
    (record, *_) = json.loads(babycli("report", path, "--format", "json").out)
    assert record["data"] == "ego4d"
