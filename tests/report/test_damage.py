"""Runs that are damaged in one field: listed with the reason, never a traceback, and never in the way of the others."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

DEEP = json.loads("[" * 300 + "]" * 300)  # more levels than a log is read with
WORDS = (
    (),
    ("--format", "latex"),
    ("--format", "html"),
    ("--by", "session"),
    ("--compare", "sound", "other"),
)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for seed, name in enumerate(("sound", "other")):
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6}, {"vtwt": 60}))
    return tmp_path


def damaged(logs: Path, kind: str, changes: dict[str, Any]) -> Path:
    """A run whose results or outcomes file says something else; ``changes`` by the path of keys, joined by dots."""
    results = write_run(logs, "damaged", drawn(3, {"vtwt": 0.6}, {"vtwt": 60}))
    path = results if kind == "results" else results.with_name("20260101_120000_outcomes.json")
    document = json.loads(path.read_text())
    for keys, value in changes.items():
        *way, last = keys.split(".")
        place = document
        for key in way:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(document))
    return results


@pytest.mark.parametrize(
    "words",
    [pytest.param(words, marks=pytest.mark.long) if "html" in words else words for words in WORDS],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("results", {"config.limit": "ten"}),
        ("results", {"config.limit": [3]}),
        ("results", {"labels_sha256": None}),
        ("results", {"labels_sha256": ["x"]}),
        ("results", {"labels_sha256": {"vtwt": 7}}),
        ("results", {"images_sha256": {"vtwt": None}}),
        ("results", {"prompts": 3}),
        ("results", {"control": "blind"}),
        ("results", {"model_args": []}),
        ("results", {"skipped.vtwt": 3}),
        ("results", {"results.vtwt": []}),
        ("results", {"results.vtwt": {"acc,none": "0.5"}}),
        ("results", {"results.vtwt": {"acc,none": 10**400}}),
        ("results", {"config.limit": 10**400}),
        ("results", {"fingerprint": ["a", "b"]}),
        ("results", {"model_args": {"x": DEEP}}),
        ("results", {"chance.vtwt": DEEP}),
        ("outcomes", {"tasks.vtwt.ties": DEEP}),
        ("results", {"dtype": {}}),
        ("results", {"chance.vtwt": {"acc": [0.5]}}),
        ("results", {"versions.vtwt": 10**400}),
        ("results", {"replies": {"vtwt": {"n": "many"}}}),
        ("results", {"tasks": {"new": {"title": "New", "metrics": [{"name": "acc", "kind": "share"}]}}}),
        ("results", {"tasks": {"new": {"title": 3, "metrics": []}}}),
        ("outcomes", {"tasks.vtwt.groups": {"session": [None] * 60}}),
        ("outcomes", {"tasks.vtwt.trials": []}),
        ("outcomes", {"tasks.vtwt.trials": ["1"]}),
        ("outcomes", {"tasks.vtwt.trials": ["1"] * 60}),
        ("outcomes", {"tasks.vtwt.ties": [0, 0, 0]}),
        ("outcomes", {"tasks.vtwt.ties": [60]}),
        ("outcomes", {"tasks.vtwt.nonfinite": "x"}),
        ("outcomes", {"tasks.vtwt.values": {"acc": [2.0] * 60}}),
        ("outcomes", {"tasks.vtwt.values": {"acc": [None] * 60}}),
        ("outcomes", {"tasks": []}),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else str(next(iter(value))),
)
def test_a_field_that_is_wrong_hides_nothing(
    kind: str, changes: dict[str, Any], words: tuple[str, ...], logs: Path, babycli: Babycli
) -> None:
    path = damaged(logs, kind, changes)
    ran = babycli("report", logs, *words)
    assert ran.code == 0, ran.err
    assert "sound" in ran.out
    assert str(path) in ran.err
    assert "Warning" not in ran.err


@pytest.mark.parametrize(
    "about", [{"babycli_version": {}}, {"babycli_version": [1]}, {"sessions": 3}, {"seed": {}}], ids=str
)
def test_a_run_json_that_says_odd_things_is_shown_as_far_as_it_goes(
    about: dict[str, Any], logs: Path, babycli: Babycli
) -> None:
    results = next(logs.rglob("*_results.json"))
    (results.parent / "run.json").write_text(json.dumps(about))
    ran = babycli("report", logs, "--format", "html")
    assert ran.code == 0, ran.err
    assert "sound" in ran.out


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_task_of_a_later_babycli_is_told_and_left_out(words: tuple[str, ...], logs: Path, babycli: Babycli) -> None:
    path = write_run(logs, "later", drawn(3, {"vtwt": 0.6}, {"vtwt": 60}))
    document = json.loads(path.read_text())
    document["results"]["new_task"] = {"acc,none": 0.5}
    document["chance"]["new_task"] = {"acc": 0.5}
    path.write_text(json.dumps(document))
    ran = babycli("report", logs, *words)
    assert ran.code == 0, ran.err
    assert "also has tasks that a report does not read: new_task" in ran.err


def test_outcomes_that_cannot_be_opened_hide_nothing(logs: Path, babycli: Babycli) -> None:
    path = damaged(logs, "results", {})
    outcomes = path.with_name("20260101_120000_outcomes.json")
    outcomes.unlink()
    outcomes.mkdir()  # cannot be read as a file, by root neither
    ran = babycli("report", logs)
    assert ran.code == 0
    assert "sound" in ran.out
    assert str(path) in ran.err


def test_nan_in_the_results_of_lmms_eval_is_read(tmp_path: Path, babycli: Babycli) -> None:
    document = {"results": {"labeled_s": {"acc,none": 0.5}, "vtwt": {"acc,none": float("nan")}}, "config": {}}
    (tmp_path / "20260101_120000_results.json").write_text(json.dumps(document))
    ran = babycli("report", tmp_path)
    assert ran.code == 0
    assert "50.0" in ran.out


def test_counts_beyond_all_files_are_told_in_a_moment(tmp_path: Path, babycli: Babycli) -> None:
    """The rows that lack are named one by one, and a claim of 10^15 rows must not make as many names."""
    sound = write_run(tmp_path, "sound", drawn(1, {"vtwt": 0.6}, {"vtwt": 60}))
    for n, more in ((10**15, 10**400), (10**400, 10**15)):
        document = {
            "results": {"vtwt": {"acc,none": 0.5}, "labeled_s": {"acc,none": n}},
            "config": {"model": "x", "limit": more},
            "n-samples": {"vtwt": {"original": n, "effective": n}},
        }
        path = tmp_path / "20260101_120000_results.json"
        path.write_text(json.dumps(document))
        lines = [{"doc_id": i, "filtered_resps": [["2.5", "False"], ["3.5", "False"]]} for i in (0, 3, n)]
        path.with_name("20260101_120000_samples_vtwt.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        ran = babycli("report", "--audit", tmp_path, "--data", tmp_path)
        assert ran.code == 7
        assert path.name in ran.out.replace("\n", "")
        shown = babycli("report", tmp_path, "--data", tmp_path)
        assert shown.code == 0
        assert "sound" in shown.out
    assert sound.exists()


def test_an_audit_lists_unfinished_runs_too(logs: Path, babycli: Babycli) -> None:
    folder = logs / "sound" / "20260102_120000"
    folder.mkdir()
    (folder / "run.json").write_text('{"status": "running"}')
    ran = babycli("report", "--audit", logs)
    assert f"{folder} has no results: the run was stopped or is still going" in ran.err


def test_a_results_file_cut_in_two_is_named_by_its_path(logs: Path, babycli: Babycli) -> None:
    path = damaged(logs, "results", {})
    path.write_text(path.read_text()[:200])
    ran = babycli("report", "--audit", logs)
    assert ran.code == 7
    assert path.name in ran.out.replace("\n", "")
    assert "not whole JSON" in ran.out.replace("\n", " ")
    assert "lmms-eval" not in ran.out


def test_a_folder_that_cannot_be_looked_into_is_named(
    logs: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of somebody else: a table without its runs is not the whole table."""
    closed = write_run(logs, "closed", drawn(3, {"vtwt": 0.6}, {"vtwt": 60})).parent.parent
    scandir = os.scandir

    def refuse(folder: str | Path) -> Any:
        if Path(folder) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    ran = babycli("report", logs)
    assert (ran.code, "sound" in ran.out, "closed" in ran.out) == (0, True, False)
    assert f"{closed} cannot be looked into, so its runs are missing: Permission denied" in ran.err
    listed = babycli("runs", "--logs", logs)
    assert "cannot be looked into: Permission denied" in listed.out + listed.err
    ran = babycli("report", closed)
    assert (ran.code, ran.out, "cannot be looked into" in ran.err, "right to read that folder" in ran.err) == (
        3,
        "",
        True,
        True,
    )
