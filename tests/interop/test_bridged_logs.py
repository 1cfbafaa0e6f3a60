"""Logs that lmms-eval writes of the bridge's tasks: read as the tasks they are, recounted, audited and compared."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babycli.data.root import DatasetRoot
from babycli.interop.lmms.findings import LmmsKind
from babycli.interop.lmms.trial_documents import places_asked
from babycli.report.audit import Kind, RunAudit
from babycli.report.audit import audit as audit_lazily
from babycli.report.load import label_rows_of
from babycli.tasks import all_tasks, register
from babycli.tasks.vtwt import VisualTwoWordTest
from tests.conftest import Babycli
from tests.interop.lmms_logs import DATE, LABELS, TASKS, random_losses
from tests.report.logs import write_run
from tests.report.spoiled import spoiled as spoiled_bytes

LOGS = Path(__file__).parent / "bridge_logs"
OF_CHOICES = ("0.3.5", "0.5.0", "0.6.1", "0.6.1-offset")
CHOICES = TASKS[:3]
N_TRIALS = {"labeled_s": 2200, "vtwt": 967, "baby_winoground": 365, "saycam_caption": 294}


def results_of(folder: Path) -> Path:
    (path,) = folder.glob("*_results.json")
    return path


@pytest.fixture
def audit(dataset: Path) -> Callable[[Path, bool], RunAudit]:
    def run(path: Path, with_labels: bool) -> RunAudit:
        return audit_lazily(path, lambda: label_rows_of(DatasetRoot(dataset)) if with_labels else {})

    return run


@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("version", [*OF_CHOICES, "0.7.3"])
def test_what_lmms_eval_wrote_recounts_exactly(
    version: str, with_labels: bool, audit: Callable[[Path, bool], RunAudit]
) -> None:
    found = audit(results_of(LOGS / version), with_labels)
    assert {metric.task for metric in found.metrics} == ({"saycam_caption"} if version == "0.7.3" else set(TASKS))
    for metric in found.metrics:
        assert metric.logged is not None
        assert metric.fair == pytest.approx(metric.logged, abs=1e-12)
    named = {finding.kind for finding in found.findings if finding.is_grave}
    assert named <= {Kind.LIMIT, Kind.NONFINITE}
    assert Kind.LIMIT in named
    assert found.run.data == "demo"


def test_the_rows_of_an_offset_are_named(audit: Callable[[Path, bool], RunAudit]) -> None:
    found = audit(results_of(LOGS / "0.6.1-offset"), True)
    limits = {finding.task: finding.detail for finding in found.findings if finding.kind == Kind.LIMIT}
    assert limits == {
        "labeled_s": "only 24 of 480 rows: 20 to 43",
        "vtwt": "only 6 of 100 rows: 5 to 10",
        "baby_winoground": "only 12 of 80 rows: 10 to 21",
        "saycam_caption": "only 6 of 48 rows: 5 to 10",
    }


def test_a_report_shows_them_beside_ours_and_names_the_wrapper(babycli: Babycli, dataset: Path) -> None:
    ran = babycli("report", LOGS / "0.6.1", "--format", "json", "--data", dataset)
    assert ran.code == 0
    records = json.loads(ran.out)
    assert {record["task"] for record in records} == set(TASKS)
    assert {(record["model"], record["data"], record["scoring"]) for record in records} == {("formula", "demo", "fair")}
    assert all(record["fair_value"] == record["value"] for record in records)


def spoiled(folder: Path, task: str, change: Callable[[dict[str, Any]], None], tmp_path: Path) -> Path:
    """A copy of a log with every sample of a task changed."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (path,) = copy.glob(f"*_samples_babycli_{task}.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return results_of(copy)


def test_credit_that_the_answers_do_not_give_is_named(tmp_path: Path, audit: Callable[[Path, bool], RunAudit]) -> None:
    def turn(line: dict[str, Any]) -> None:
        line["acc"] = 1.0 - line["acc"]

    for task, with_labels, kind in (
        ("vtwt", False, Kind.LOGGED_DIFFERS),
        ("labeled_s", True, Kind.LOGGED_DIFFERS),
        ("labeled_s", False, Kind.UNREADABLE),  # the credit is all that tells which candidate is right
    ):
        path = spoiled(LOGS / "0.6.1", task, turn, tmp_path / f"{task}{with_labels}")
        assert (task, kind) in {(finding.task, finding.kind) for finding in audit(path, with_labels).findings}


def test_trials_that_the_log_calls_not_finite_are_named(
    tmp_path: Path, audit: Callable[[Path, bool], RunAudit]
) -> None:
    def lose(line: dict[str, Any]) -> None:
        line["is_finite"] = False

    found = audit(spoiled(LOGS / "0.5.0", "vtwt", lose, tmp_path), True)
    told = [f.detail for f in found.findings if (f.task, f.kind) == ("vtwt", Kind.NONFINITE)]
    assert any(detail.startswith("the log calls ") for detail in told)


def test_numbers_of_the_other_sign_than_the_log_says_are_named(
    tmp_path: Path, audit: Callable[[Path, bool], RunAudit]
) -> None:
    def turn(line: dict[str, Any]) -> None:
        line["resps"] = [[[str(-float(answer[0][0])), "False"]] for answer in line["resps"]]

    found = audit(spoiled(LOGS / "0.6.1", "vtwt", turn, tmp_path), True)
    assert ("vtwt", LmmsKind.SIGN) in {(finding.task, finding.kind) for finding in found.findings}


def bridged_log(task: str, sign: str = "logprob", stated: bool = True, n_nan: int = 0) -> dict[str, Any]:
    """A whole log of a choice task, made here by the rules of the bridge: results, and samples under ``lines``."""
    losses = random_losses(3)
    lines: list[dict[str, Any]] = []
    given: list[dict[str, float]] = []
    for i, item in enumerate(all_tasks()[task].items(LABELS[task])):
        rows = [item.row_indices[place] for place in places_asked(all_tasks()[task], item)]
        n = 1 if task == "labeled_s" else 2
        numbers = [math.nan if i < n_nan else losses(task, row, k) for row in rows for k in range(n)]
        right = next((k for k, r in enumerate(item.rows) if r.get("real_category") == r.get("target_category")), 0)
        credit = {"acc": float(min(range(len(numbers)), key=lambda k: numbers[k]) == right and i >= n_nan)}
        if task == "baby_winoground":
            a, b, c, d = numbers
            hits = (a < c and d < b, a < b and d < c, a < c and d < b and a < b and d < c, a < c and a < b)
            credit = dict(
                zip([m.name for m in all_tasks()[task].metrics], map(float, (*hits, d < b and d < c)), strict=True)
            )
        given.append(credit)
        written = [str(-x if sign == "logprob" else x) for x in numbers]
        lines.append(
            {"doc_id": i, "target": all_tasks()[task].target(LABELS[task][rows[0]]), "trial_id": item.item_id}
            | {"resps": [[[number, "False"]] for number in written], "is_tie": False, "is_finite": i >= n_nan}
            | credit
        )
    name = f"babycli_{task}"
    metadata = {"sign": sign, "data": "saycam", "images_sha256": "images"} if stated else {}
    names = [metric.name for metric in all_tasks()[task].metrics]
    means = {f"{metric},none": sum(credit[metric] for credit in given) / len(lines) for metric in names}
    return {
        "results": {name: {"alias": name} | means},
        "configs": {name: {"task": name, "metadata": metadata}},
        "n-samples": {name: {"original": len(lines), "effective": len(lines)}},
        "config": {"model": "formula", "model_args": "pretrained=lab/bridged", "limit": None},
        "date": DATE,
        "lines": lines,
    }


def write_log(log: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in log["results"]:
        lines = "".join(json.dumps(line) + "\n" for line in log["lines"])
        (folder / f"{DATE}_samples_{name}.jsonl").write_text(lines)
    path = folder / f"{DATE}_results.json"
    path.write_text(json.dumps({key: value for key, value in log.items() if key != "lines"}))
    return path


SIGNS = (("logprob", True), ("loss", False))
SOME_LOGS = (("labeled_s", "logprob", True), ("vtwt", "loss", False), ("baby_winoground", "loss", True))


@pytest.mark.parametrize(
    ("task", "sign", "stated", "with_labels"),
    [
        pytest.param(task, sign, stated, labels, marks=[] if (task, sign, labels) in SOME_LOGS else pytest.mark.long)
        for task in CHOICES
        for sign, stated in SIGNS
        for labels in (True, False)
    ],
)
def test_a_whole_log_has_no_fault(task: str, sign: str, stated: bool, with_labels: bool, tmp_path: Path) -> None:
    path = write_log(bridged_log(task, sign, stated), tmp_path / "log")
    found = audit_lazily(path, lambda: LABELS if with_labels else {})
    assert found.findings == ()
    assert {metric.n_trials for metric in found.metrics} == {N_TRIALS[task]}
    assert [metric.fair for metric in found.metrics] == [metric.logged for metric in found.metrics]
    assert found.run.unknown_tasks == ()


@pytest.mark.parametrize("task", [*CHOICES[1:], pytest.param(CHOICES[0], marks=pytest.mark.long)])
def test_trials_that_are_not_finite_are_no_sound_log(task: str, babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("report", "--audit", write_log(bridged_log(task, n_nan=145), tmp_path / "log"))
    assert ran.code == 7
    assert "nothing found" not in ran.out
    assert f"non-finite losses: NaN or infinite in 145 of {N_TRIALS[task]} trials" in " ".join(ran.out.split())


def test_it_is_compared_with_a_run_of_ours_on_the_same_pictures(babycli: Babycli, tmp_path: Path) -> None:
    log = bridged_log("vtwt")
    write_log(log, tmp_path / "theirs")
    values = {"vtwt": {"acc": [line["acc"] for line in log["lines"]]}}
    for images, code in (("images", 0), ("others", 3)):
        ours = tmp_path / images
        write_run(ours, f"lab/{images}", values, with_groups=False, images_sha256={"vtwt": images})
        shutil.copytree(tmp_path / "theirs", ours / "theirs")
        ran = babycli("report", ours, "--compare", "lab/bridged", f"lab/{images}", "--format", "json")
        assert ran.code == code, ran.err
        if code == 0:
            (record,) = json.loads(ran.out)
            assert (record["difference"], record["n_units"]) == (0.0, 967)
        else:
            assert "different images" in ran.err


def test_label_files_of_other_trials_are_not_used(tmp_path: Path) -> None:
    path = write_log(bridged_log("vtwt"), tmp_path / "log")
    others = {"vtwt": [LABELS["vtwt"][1], *LABELS["vtwt"][1:]]}
    found = audit_lazily(path, lambda: others)
    assert {(finding.task, finding.kind) for finding in found.findings} == {("vtwt", Kind.LABELS_DIFFER)}
    fewer = audit_lazily(path, lambda: {"vtwt": LABELS["vtwt"][:100]})
    assert [finding.is_grave for finding in fewer.findings] == [False]
    assert fewer.metrics[0].fair == fewer.metrics[0].logged


def test_the_same_task_under_both_names_is_named(tmp_path: Path) -> None:
    log = bridged_log("vtwt")
    log["results"]["vtwt"] = {"acc,none": 0.5}
    found = audit_lazily(write_log(log, tmp_path / "log"))
    assert {(finding.task, finding.kind) for finding in found.findings} == {("vtwt", LmmsKind.TWICE)}
    assert found.metrics[0].fair == found.metrics[0].logged


class OtherTest(VisualTwoWordTest):
    """A task of a user's own, whose rows no log tells."""

    name = "other_test"


def test_a_task_of_ones_own_wants_its_label_file(tmp_path: Path) -> None:
    register(OtherTest())
    log = bridged_log("vtwt")
    log["results"] = {"babycli_other_test": log["results"]["babycli_vtwt"]}
    log["n-samples"] = {"babycli_other_test": log["n-samples"]["babycli_vtwt"]}
    path = write_log(log, tmp_path / "log")
    sound = audit_lazily(path, lambda: {"other_test": LABELS["vtwt"]})
    assert sound.metrics[0].fair == sound.metrics[0].logged
    (finding,) = audit_lazily(path).findings
    assert finding.kind == Kind.UNREADABLE
    assert "--data DIR" in finding.detail
    assert replace(finding, detail="").is_grave


def test_no_spoiled_byte_or_value_stops_the_reader(tmp_path: Path) -> None:
    """A traceback here would hide all other runs of a report."""
    rng = random.Random("bridged")
    shutil.copytree(LOGS / "0.6.1", tmp_path / "log")
    path = results_of(tmp_path / "log")
    sound = {file: file.read_bytes() for file in (tmp_path / "log").iterdir()}
    for _ in range(60):
        file = rng.choice(sorted(sound))
        file.write_bytes(spoiled_bytes(rng, file.suffix, sound[file]))
        audit_lazily(path)
        file.write_bytes(sound[file])
