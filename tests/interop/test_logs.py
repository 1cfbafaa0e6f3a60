"""lmms-eval's logs, read: every version gives the same trials, and nothing that a file holds stops the reader."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babycli.data.root import DatasetRoot
from babycli.domain import Row
from babycli.interop.lmms.findings import LmmsKind
from babycli.interop.lmms.results import HARNESS, LMMS
from babycli.report.audit import audit
from babycli.report.findings import Finding, Kind
from babycli.report.load import label_rows_of, load_logs
from babycli.report.logged import LoggedRun, LoggedTask, read_logged
from babycli.report.samples import decide
from babycli.report.trials import TaskTrials
from babycli.wording import Scoring
from tests.interop.lmms_logs import DATE, LABELS, TASKS, VERSIONS, WINOGROUND_METRICS, make_log, random_losses
from tests.report.spoiled import spoiled


@dataclass(frozen=True, slots=True)
class Read:
    """A run with its samples and what they give under fair scoring."""

    run: LoggedRun
    trials: Mapping[str, TaskTrials]
    faults: tuple[Finding, ...]

    @property
    def tasks(self) -> Mapping[str, LoggedTask]:
        return self.run.tasks

    @property
    def results(self) -> Mapping[tuple[str, str], float]:
        return self.run.results


def read(path: Path, labels: Mapping[str, Sequence[Row]] | None = None) -> Read:
    run = read_logged(path, lambda: labels or {})
    samples = {name: task.samples() for name, task in run.tasks.items()}
    decided = {name: decide(of_task, Scoring.FAIR).as_trials() for name, of_task in samples.items()}
    faults = [*run.faults]
    for name, task in run.tasks.items():
        faults += [*task.faults, *samples[name].findings]
    return Read(run, {name: trials for name, trials in decided.items() if trials is not None}, tuple(faults))


def kinds(found: Read) -> set[tuple[str, StrEnum]]:
    return {(fault.task, fault.kind) for fault in found.faults}


def same(one: TaskTrials, other: TaskTrials) -> bool:
    return one.trial_ids == other.trial_ids and all(
        np.array_equal(one.values[metric], other.values[metric]) for metric in one.values
    )


@pytest.mark.parametrize("version", ["0.3", pytest.param("0.6", marks=pytest.mark.long), "0.7"])
def test_a_log_of_each_version_gives_the_trials_behind_its_numbers(version: str, tmp_path: Path) -> None:
    found = read(make_log(version=version).write(tmp_path))
    run = found.run
    assert (run.model, run.date, run.limit, run.program) == ("lab/checkpoint", DATE, None, LMMS)
    assert run.model_args == "pretrained=lab/checkpoint,conv_template=plain"
    assert {task: trials.n for task, trials in found.trials.items()} == dict(
        zip(TASKS, (2200, 967, 365, 294), strict=True)
    )
    for (task, metric), value in run.results.items():
        if (version, task) != ("0.7", "vtwt"):  # there the original compares letters
            assert found.trials[task].values[metric].mean() == pytest.approx(value, abs=1e-6)
    assert len(run.results) == 8
    assert kinds(found) == ({(task, LmmsKind.STRINGS) for task in TASKS[:3]} if version == "0.7" else set())
    assert run.tasks["vtwt"].n_rows == run.tasks["vtwt"].n_evaluated == 967
    assert run.tasks["vtwt"].version == "Yaml"


def test_names_of_the_harness_and_its_arguments_as_an_object(tmp_path: Path) -> None:
    log = make_log(["vtwt"])
    log.is_harness = True
    log.document["config"]["model_args"] = {"pretrained": "a/b", "dtype": "float16"}
    log.document["date"] = 1714567890.5
    found = read(log.write(tmp_path))
    run = found.run
    assert (run.program, run.model, run.model_args) == (HARNESS, "a/b", "pretrained=a/b,dtype=float16")
    assert run.date == DATE
    assert found.trials["vtwt"].n == 967


@pytest.mark.parametrize(
    ("removed", "name"),
    [
        ((), "lab/checkpoint"),
        (("config",), "from model_name"),
        (("config", "model_name"), "from__model_name_sanitized"),
        (("model_name", "model_name_sanitized", "model_args"), "babyllava"),
        (("config", "model_name", "model_name_sanitized"), "from model_source"),
        (("config", "model_name", "model_name_sanitized", "model_source"), "the__folder"),
    ],
)
def test_the_model_is_named_by_what_there_is(removed: Sequence[str], name: str, tmp_path: Path) -> None:
    log = make_log(["vtwt"], limit=4)
    log.document |= {"model_name": "from model_name", "model_name_sanitized": "from__model_name_sanitized"}
    log.document["model_source"] = "from model_source"
    for key in removed:
        del (log.document["config"] if key == "model_args" else log.document)[key]
    assert read_logged(log.write(tmp_path / "the__folder")).model == name


def test_groups_need_what_the_samples_or_the_label_files_tell(tmp_path: Path) -> None:
    def groups(version: str, labels: Mapping[str, Sequence[Row]] | None) -> dict[str, set[str]]:
        run = read(make_log(version=version, limit=40).write(tmp_path / version), labels)
        return {task: set(trials.groups) for task, trials in run.trials.items()}

    frames = {"session", "word", "phrases"}
    whole = {"labeled_s": {"category"}, "vtwt": frames, "baby_winoground": frames, "saycam_caption": {"session"}}
    words = {"word", "phrases"}
    without_images = {"labeled_s": {"category"}, "vtwt": words, "baby_winoground": words, "saycam_caption": set()}
    without_phrases = {task: set[str]() for task in TASKS} | {"labeled_s": {"category"}}
    assert groups("0.3", LABELS) == groups("0.6", LABELS) == groups("0.7", LABELS) == whole
    assert groups("0.3", None) == without_images
    assert groups("0.6", None) == groups("0.7", None) == without_phrases


def test_runs_share_what_they_have_alike(tmp_path: Path) -> None:
    for name in ("one", "other"):
        make_log(["vtwt"], limit=40).write(tmp_path / name)
    one, other = (run.trials["vtwt"] for run in load_logs(tmp_path, lambda: LABELS).runs)
    assert one.trial_ids is other.trial_ids
    assert one.groups["session"] is other.groups["session"]


def test_label_rows_that_are_not_the_logs_are_named_and_not_used(tmp_path: Path) -> None:
    vtwt = list(LABELS["vtwt"])
    vtwt[5] = {**vtwt[5], "positive_phrase": "other words"}
    run = read(make_log(["vtwt"]).write(tmp_path), {"vtwt": vtwt})
    assert kinds(run) == {("vtwt", Kind.LABELS_DIFFER)}
    assert set(run.trials["vtwt"].groups) == {"word", "phrases"}
    shorter = read(make_log(["vtwt"]).write(tmp_path), {"vtwt": vtwt[:100]})
    assert kinds(shorter) == {("vtwt", Kind.LABELS_DIFFER)}


@pytest.mark.parametrize("n_ranks", [2, *(pytest.param(n, marks=pytest.mark.long) for n in (3, 8))])
def test_lines_rank_by_rank_with_padding_are_put_in_order(n_ranks: int, tmp_path: Path) -> None:
    log = make_log(n_ranks=n_ranks, limit=400)
    for lines in log.lines.values():
        lines += lines[: n_ranks - 1]
    run = read(log.write(tmp_path / "ranks"))
    alone = read(make_log(limit=400).write(tmp_path / "alone"))
    assert all(same(run.trials[task], alone.trials[task]) for task in TASKS)
    assert kinds(run) == {(task, Kind.ROWS_REPEATED) for task in TASKS}


def test_missing_rows_leave_the_other_trials_their_names(tmp_path: Path) -> None:
    log = make_log()
    for task, row in zip(TASKS, (17, 3, 8, 0), strict=True):
        del log.lines[task][row]
    trials = read(log.write(tmp_path)).trials
    lost = {task: str(place) for task, place in zip(TASKS, (4, 3, 4, 0), strict=True)}
    for task in TASKS:
        n = {"labeled_s": 2200, "vtwt": 967, "baby_winoground": 365, "saycam_caption": 294}[task]
        assert list(trials[task].trial_ids) == [str(i) for i in range(n) if str(i) != lost[task]]


@pytest.mark.parametrize("written", [float("nan"), "nan", None, float("inf"), "inf", 1e300, -float("inf"), 10**400])
def test_a_loss_that_is_not_finite_never_wins(written: Any, tmp_path: Path) -> None:
    log = make_log(["vtwt", "labeled_s"], limit=40)
    log.lines["vtwt"][7]["resps"][0][0][0] = written
    log.lines["labeled_s"][8]["resps"][0][0][0] = written
    run = read(log.write(tmp_path))
    assert kinds(run) == set()
    assert run.trials["vtwt"].nonfinite == (7,)
    assert run.trials["labeled_s"].nonfinite == (2,)
    assert run.trials["vtwt"].values["acc"][7] == run.trials["labeled_s"].values["acc"][2] == 0.0


def test_scores_are_found_where_only_the_metrics_own_field_has_them(tmp_path: Path) -> None:
    log = make_log(["labeled_s", "baby_winoground", "saycam_caption"], limit=40)
    whole = read(log.write(tmp_path / "whole"))
    for lines in log.lines.values():
        for line in lines:
            del line["resps"], line["filtered_resps"]
    bare = read(log.write(tmp_path / "bare"))
    assert kinds(bare) == set()
    assert all(same(bare.trials[task], whole.trials[task]) for task in log.lines)


def test_a_loss_written_without_its_flag_stays_a_loss(tmp_path: Path) -> None:
    """Only a similarity of ours has none, and that is a number; the higher of two losses must not win."""
    log = make_log(["vtwt"])
    whole = read(log.write(tmp_path / "whole"))
    for line in log.lines["vtwt"]:
        line["resps"] = [[[pair[0]] for pair in answer] for answer in line["resps"]]
    assert same(read(log.write(tmp_path / "bare")).trials["vtwt"], whole.trials["vtwt"])


def test_another_task_of_the_same_name_is_left_out(tmp_path: Path) -> None:
    log = make_log(["vtwt", "baby_winoground"])
    log.document["results"]["baby_winoground"] = {f"{m},none": 0.5 for m in WINOGROUND_METRICS[:3]}
    early = read(log.write(tmp_path / "early"))  # the fork's first version: the same samples, fewer metrics
    assert early.trials["baby_winoground"].n == 365
    for line in log.lines["baby_winoground"]:
        for metric in WINOGROUND_METRICS:
            line[metric] = 1.0
    run = read(log.write(tmp_path / "v2"))
    assert set(run.tasks) == {"vtwt"}
    assert kinds(run) == {("baby_winoground", LmmsKind.OTHER_TASK)}


def test_unknown_tasks_are_listed_and_keys_that_are_no_metrics_ignored(tmp_path: Path) -> None:
    log = make_log(["vtwt"])
    log.document["results"] |= {"mmmu_val": {"acc,none": 0.5}, "babycli_other": {"acc,none": 0.5}}
    log.document["results"]["vtwt"] |= {"paired_acc": 75.0, "loudness,none": 3.0, "samples": 967}
    run = read(log.write(tmp_path))
    assert run.run.unknown_tasks == ("babycli_other", "mmmu_val")
    assert set(run.results) == {("vtwt", "acc")}


@pytest.mark.long
@pytest.mark.parametrize("version", [*(pytest.param(v, marks=pytest.mark.long) for v in VERSIONS[:-1]), VERSIONS[-1]])
def test_no_spoiled_byte_or_value_stops_the_reader(version: str, tmp_path: Path) -> None:
    """A traceback here would hide all other runs of a report."""
    rng = random.Random(version)
    log = make_log(version=version, limit=8)
    for line in log.lines["saycam_caption"]:
        line["meteor"]["pred"] = "a"  # quick to score
    path = log.write(tmp_path)
    sound = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for _ in range(250):
        file = rng.choice(sorted(sound))
        file.write_bytes(spoiled(rng, file.suffix, sound[file]))
        read(path, LABELS)
        audit(path)
        file.write_bytes(sound[file])


def test_a_file_that_is_no_results_file_is_a_run_with_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "x_results.json"
    assert kinds(read(path)) == {("", Kind.UNREADABLE)}
    for content in (b"", b"\xff", b"[]", b"{}x", b'{"results": {"vtwt"', b"[" * 100000):
        path.write_bytes(content)
        run = read(path)
        assert kinds(run) == {("", Kind.UNREADABLE)}
        assert f"{path}:1:" in run.faults[0].detail
        assert not run.results


def test_a_broken_line_is_named_with_its_place(tmp_path: Path) -> None:
    log = make_log(["vtwt"])
    lines = log.content("vtwt").splitlines(keepends=True)
    lines[4] = lines[4][:30] + b"\n"
    log.raw["vtwt"] = b"".join(lines)
    run = read(log.write(tmp_path))
    (fault,) = run.faults
    assert "samples_vtwt.jsonl:5: not whole JSON" in fault.detail
    assert run.trials["vtwt"].n == 966


def test_a_whole_run_is_read_in_a_moment_and_without_torch(tmp_path: Path) -> None:
    path = make_log().write(tmp_path)
    read(path, LABELS)  # METEOR's and WordNet's files are read once
    start = time.process_time()  # of this process, whatever else runs
    read(path, LABELS)
    assert time.process_time() - start < 2.0  # 0.4 s
    modules = "babycli.report.audit, babycli.interop.lmms.results"
    code = f"import sys, {modules}; assert not {{'torch', 'nltk'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_reference_log_beside_the_published_labels(shared: Path) -> None:
    (path,) = (shared / "reference" / "logs_example").glob("*_results.json")
    labels = label_rows_of(DatasetRoot(shared / "labels"))
    assert set(labels) == set(TASKS)
    run = read(path, labels)
    assert kinds(run) == set()
    assert (run.run.model, run.run.limit) == ("checkpoints/ck/babyllava_resnext_gpt2", 4.0)
    assert run.trials["vtwt"].groups["session"][0] == "S_20140420_1803"
    assert {task: trials.n for task, trials in run.trials.items()} == dict(zip(TASKS, (1, 4, 2, 4), strict=True))
    for (task, metric), value in run.results.items():
        assert run.trials[task].values[metric].mean() == value


@pytest.mark.parametrize("checkpoint", ["babyllava_resnext_gpt2", "llava-v1.5-tiny"])
def test_golden_losses_give_the_originals_numbers(checkpoint: str, shared: Path, tmp_path: Path) -> None:
    golden = shared / "reference" / "golden"
    losses: dict[tuple[str, int, int], float] = {}
    texts: dict[int, str] = {}
    for line in map(json.loads, (golden / f"{checkpoint}.jsonl").read_text().splitlines()):
        if line["kind"] == "loglikelihood":
            losses[line["task"], line["doc_id"], line["choice"]] = line["loss"]
        else:
            texts[line["doc_id"]] = line["text"]
    labels = label_rows_of(DatasetRoot(shared / "labels"))
    for ran in json.loads((golden / "aggregate.json").read_bytes())[checkpoint]:
        log = make_log(
            list(ran["results"]),
            losses=lambda task, row, answer: losses[task, row, answer],
            captions=texts.__getitem__,
            limit=ran["limit_rows"],
            labels=labels,
        )
        log.document["results"] = ran["results"]
        run = read(log.write(tmp_path / str(ran["limit_rows"])), labels)
        assert kinds(run) == set()
        for (task, metric), value in run.results.items():
            assert run.trials[task].values[metric].mean() == pytest.approx(value, abs=1e-7)


def test_random_losses_are_all_different() -> None:
    losses = random_losses(1)
    assert len({losses("vtwt", i, k) for i in range(967) for k in (0, 1)}) == 2 * 967
