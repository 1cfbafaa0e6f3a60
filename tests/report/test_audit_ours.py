"""The audit of runs of our own, with their samples as the only witness."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from babycli.data.manifest import manifests
from babycli.domain import Answer, Exchange, Loglikelihood, Score, Similarity, Text, ask
from babycli.logs.samples import response
from babycli.report.audit import Kind, audit
from babycli.report.logged import OURS
from babycli.report.samples import decide
from babycli.tasks import all_tasks
from babycli.tasks.base import Asking, replay
from babycli.wording import Scoring
from tests.conftest import Babycli
from tests.interop.lmms_logs import CAPTIONS, LABELS, N_ROWS, TASKS, Log, Losses, random_losses
from tests.interop.test_audit import detail, fair, named
from tests.report.spoiled import spoiled

_REQUEST = Score(ask(""), "")  # no task looks at what it asked when it logs a row


def our_log(losses: Losses, scoring: Scoring, limit: int | None = None, as_similarity: bool = False) -> Log:
    """A run of `babycli eval`, made by the tasks themselves."""
    document: dict[str, Any] = {
        "results": {},
        "n-samples": {},
        "config": {"model": "fake", "limit": limit},
        "model_name": "lab/ours",
        "date": "20260102_030405",
        "babycli": {"schema_version": 1, "version": "0.1.0"},
        "data": "saycam",
        "scoring": scoring,
        "nonfinite": dict.fromkeys(TASKS, 0),
        "skipped": {task: [] for task in TASKS},
    }
    lines: dict[str, list[dict[str, Any]]] = {}
    for name, task in ((name, all_tasks()[name]) for name in all_tasks() if name in TASKS):
        rows, of_task, outcomes = LABELS[name], [], []
        for item in task.items(rows)[:limit]:
            answers = [_answers(name, i, losses, as_similarity) for i in item.row_indices]
            outcome = replay(task, item, Asking(scoring=scoring), [answer for of_row in answers for answer in of_row])
            outcomes.append(outcome)
            for i, of_row in zip(item.row_indices, answers, strict=True):
                line = {
                    "doc_id": i,
                    "doc": rows[i],
                    "target": task.target(rows[i]),
                    "resps": [response(answer) for answer in of_row],
                }
                exchanges = [Exchange(_REQUEST, answer) for answer in of_row]
                of_task.append(line | {"prompt": ""} | task.sample_fields(rows[i], exchanges, outcome))
        lines[name] = of_task
        metrics = {f"{m.name},none": sum(o.values[m.name] for o in outcomes) / len(outcomes) for m in task.metrics}
        document["results"][name] = metrics
        document["n-samples"][name] = {"original": N_ROWS[name], "effective": len(of_task)}
        document["nonfinite"][name] = sum(not outcome.is_finite for outcome in outcomes)
    log = Log(document, lines)
    log.raw = {task: b"".join(orjson.dumps(line) + b"\n" for line in of_task) for task, of_task in lines.items()}
    return log


def _answers(task: str, row: int, losses: Losses, as_similarity: bool) -> list[Answer]:
    if task == "saycam_caption":
        return [Text(f"{CAPTIONS[row % len(CAPTIONS)]} on the floor", (), True)]
    numbers = [losses(task, row, k) for k in range(1 if task == "labeled_s" else 2)]
    return [Similarity(-x) if as_similarity else Loglikelihood((-x,), False) for x in numbers]


@pytest.mark.parametrize("as_similarity", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("scoring", [Scoring.FAIR, pytest.param(Scoring.REFERENCE, marks=pytest.mark.long)])
def test_a_sound_run_of_ours_has_no_fault(scoring: Scoring, as_similarity: bool, tmp_path: Path) -> None:
    found = audit(our_log(random_losses(), scoring, as_similarity=as_similarity).write(tmp_path), lambda: LABELS)
    assert found.findings == ()
    assert (found.run.program, found.run.model, found.run.scoring) == (OURS, "lab/ours", scoring)
    for metric in found.metrics:
        assert metric.fair == metric.logged
    trials = decide(found.run.tasks["vtwt"].samples(), Scoring.FAIR).as_trials()
    assert trials is not None
    assert set(trials.groups) == {"session", "word", "phrases"}


@pytest.mark.long
def test_ties_in_a_run_of_ours_are_won_by_position_only_under_reference(tmp_path: Path) -> None:
    losses = random_losses()

    def with_ties(task: str, row: int, answer: int) -> float:
        return 0.5 if task == "vtwt" and row < 10 else losses(task, row, answer)

    assert named(audit(our_log(with_ties, Scoring.FAIR).write(tmp_path / "fair"))) == set()
    found = audit(our_log(with_ties, Scoring.REFERENCE).write(tmp_path / "reference"))
    assert named(found) == {("vtwt", Kind.TIES)}


def test_replies_without_a_word_of_a_run_of_ours_are_named(tmp_path: Path) -> None:
    log = our_log(random_losses(), Scoring.FAIR, limit=40)
    lines = log.lines["saycam_caption"]
    log.document["results"]["saycam_caption"]["meteor,none"] = 0.0
    log.raw["saycam_caption"] = b"".join(orjson.dumps(line | {"resps": [[" "]]}) + b"\n" for line in lines)
    found = audit(log.write(tmp_path))
    assert named(found) == {(task, Kind.LIMIT) for task in TASKS} | {("saycam_caption", Kind.REPLIES)}
    assert detail(found, Kind.REPLIES).endswith("the longest run of them is 40, from row 0")


def test_a_control_may_say_the_same_of_every_picture(tmp_path: Path) -> None:
    log = our_log(random_losses(), Scoring.FAIR, limit=40)
    lines = log.lines["saycam_caption"]
    log.raw["saycam_caption"] = b"".join(orjson.dumps(line | {"resps": [["a ball"]]}) + b"\n" for line in lines)
    log.document["results"] = {"saycam_caption": {}}
    assert ("saycam_caption", Kind.REPLIES) in named(audit(log.write(tmp_path / "model")))
    log.document["control"] = {"kind": "blind"}
    assert ("saycam_caption", Kind.REPLIES) not in named(audit(log.write(tmp_path / "control")))


def test_losses_below_0_of_a_run_of_ours_are_named(tmp_path: Path) -> None:
    losses = random_losses()
    log = our_log(lambda t, i, k: -0.5 if (t, i, k) == ("vtwt", 7, 0) else losses(t, i, k), Scoring.FAIR, limit=40)
    found = audit(log.write(tmp_path))
    assert named(found) == {(task, Kind.LIMIT) for task in TASKS} | {("vtwt", Kind.SIGN)}
    similar = our_log(lambda t, i, k: -losses(t, i, k), Scoring.FAIR, limit=40, as_similarity=True)
    assert Kind.SIGN not in {kind for _, kind in named(audit(similar.write(tmp_path / "similarities")))}


def test_the_limit_of_a_run_of_ours_counts_trials(tmp_path: Path) -> None:
    found = audit(our_log(random_losses(), Scoring.FAIR, limit=10).write(tmp_path))
    assert named(found) == {(task, Kind.LIMIT) for task in TASKS}
    assert found.findings[0].detail == "only the first 10 of 2200 trials"


def test_an_audit_of_limited_runs_names_the_control_and_sends_nobody_to_an_equal_column(
    dataset: Path, tmp_path: Path, babycli: Babycli
) -> None:
    words = ("--model", "babyllava-tiny", "--tasks", "vtwt", "--limit", 3, "--data", dataset)
    assert babycli("eval", *words, "--control", "blind", "--output-path", tmp_path).code == 0
    ran = babycli("report", tmp_path, "--audit")
    assert ran.code == 7
    assert ran.out.startswith("babyllava-tiny (control: blind) (babycli, 20")
    (path,) = tmp_path.rglob("*_results.json")
    assert ran.err == (
        f"babycli: 1 of 1 runs have numbers that must not be trusted as they are:\n  {path}: a limit in force\n"
        "  mend: evaluate all trials, without --limit, or say of which ones the numbers are:  babycli eval\n"
    )


def test_skipped_and_non_finite_trials_of_a_run_of_ours(tmp_path: Path) -> None:
    losses = random_losses()
    log = our_log(lambda t, i, k: math.nan if (t, i) == ("vtwt", 3) else losses(t, i, k), Scoring.FAIR)
    log.document["skipped"]["saycam_caption"] = ["293"]
    log.document["n-samples"]["saycam_caption"]["effective"] = 293
    log.lines["saycam_caption"].pop()
    kept = log.lines["saycam_caption"]
    log.raw["saycam_caption"] = b"".join(orjson.dumps(line) + b"\n" for line in kept)
    log.document["results"]["saycam_caption"]["meteor,none"] = sum(x["meteor"]["score"] for x in kept) / 293
    found = audit(log.write(tmp_path))
    assert named(found) == {("vtwt", Kind.NONFINITE), ("saycam_caption", Kind.SKIPPED)}
    assert "293" in detail(found, Kind.SKIPPED)


def test_captions_that_came_of_nan_keep_the_number_that_was_logged(tmp_path: Path) -> None:
    """Which captions they are, a samples file does not tell."""
    log = our_log(random_losses(), Scoring.FAIR)
    log.document["nonfinite"]["saycam_caption"] = 4
    log.document["results"]["saycam_caption"]["meteor,none"] = 0.123
    found = audit(log.write(tmp_path))
    assert named(found) == {("saycam_caption", Kind.NONFINITE)}
    assert fair(found)["saycam_caption", "meteor"] == 0.123


def test_a_run_of_the_demo_is_held_to_the_demos_label_files(tmp_path: Path) -> None:
    log = our_log(random_losses(), Scoring.FAIR, limit=manifests()["vtwt"].demo_n_rows)
    n = manifests()["vtwt"].demo_n_rows
    log.document["data"] = "demo"
    log.document["results"] = {"vtwt": log.document["results"]["vtwt"]}
    log.raw = {"vtwt": log.raw["vtwt"]}
    log.lines = {"vtwt": log.lines["vtwt"]}
    log.document["n-samples"]["vtwt"] = {"original": n, "effective": n}
    assert named(audit(log.write(tmp_path))) == set()


@pytest.mark.long
@pytest.mark.parametrize("scoring", list(Scoring))
def test_no_spoiled_byte_or_value_stops_the_audit(scoring: Scoring, tmp_path: Path) -> None:
    """A traceback here would hide all other runs."""
    rng = random.Random(f"ours {scoring}")
    path = our_log(random_losses(), scoring, limit=4).write(tmp_path)
    sound = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for _ in range(250):
        file = rng.choice(sorted(sound))
        file.write_bytes(spoiled(rng, file.suffix, sound[file]))
        audit(path)
        file.write_bytes(sound[file])


def test_a_task_that_is_not_known_is_named(tmp_path: Path) -> None:
    log = our_log(random_losses(), Scoring.FAIR, limit=4)
    log.document["results"]["a_task_of_mine"] = {"acc,none": 0.5}
    found = audit(log.write(tmp_path / "beside"))
    assert named(found) == {(task, Kind.LIMIT) for task in TASKS} | {("a_task_of_mine", Kind.UNKNOWN_TASK)}
    log.document["results"] = {"a_task_of_mine": {"acc,none": 0.5}}
    log.raw, log.lines = {}, {}
    assert named(audit(log.write(tmp_path / "alone"))) == {("a_task_of_mine", Kind.UNKNOWN_TASK)}
