"""`babycli report --format hf` and `--format eee`: what others read, checked with their own classes and rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from babycli.logs.run_name import NAME
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

ALL = {"labeled_s": 0.6, "vtwt": 0.7, "baby_winoground": 0.3, "saycam_caption": 0.2}
FORMS = ("hf", "eee")


def logged(path: Path) -> dict[str, dict[str, float]]:
    """The numbers of a results file by task and metric."""
    results = json.loads(path.read_text())["results"]
    return {
        task: {key.removesuffix(",none"): value for key, value in of_task.items() if key != "alias"}
        for task, of_task in results.items()
    }


def test_a_model_card_has_the_name_of_the_run(tmp_path: Path, babycli: Babycli) -> None:
    path = write_run(tmp_path, "lab/m", drawn(1, {"vtwt": 0.6}))
    (path.parent / "run.json").write_text(json.dumps({NAME: "BabyLLaVA, ours"}))
    assert babycli("report", tmp_path, "--format", "hf", "--output", tmp_path / "README.md").code == 0
    assert ModelCard.load(tmp_path / "README.md").data.model_name == "BabyLLaVA, ours"


def test_a_model_card_holds_every_number(tmp_path: Path, babycli: Babycli) -> None:
    path = write_run(tmp_path / "logs", "lab/m", drawn(1, ALL))
    write_run(tmp_path / "logs", "lab/m", drawn(2, {"vtwt": 0.5}), control="blind", date="20260102_120000")
    ran = babycli("report", tmp_path / "logs", "--format", "hf", "--output", tmp_path / "README.md")
    assert (ran.code, ran.out) == (0, "")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.model_name == "lab/m"
    results = card.data.eval_results
    assert results is not None
    named = {"accuracy": "acc"}
    read: dict[str, dict[str, float]] = {}
    for result in results:
        read.setdefault(result.dataset_type, {})[named.get(result.metric_type, result.metric_type)] = (
            result.metric_value
        )
    assert read == logged(path)
    (of_vtwt,) = [result for result in results if result.dataset_type == "vtwt"]
    assert of_vtwt.dataset_name == "Visual Two-Word Test of BabyVLM on SAYCam"
    assert of_vtwt.metric_args is not None
    assert of_vtwt.metric_args["ci95_low"] < of_vtwt.metric_value < of_vtwt.metric_args["ci95_high"]
    assert (of_vtwt.metric_args["n"], of_vtwt.metric_args["chance"]) == (967, 0.5)


def test_results_of_a_benchmark_on_the_hub(tmp_path: Path, babycli: Babycli) -> None:
    path = write_run(tmp_path, "lab/m", drawn(1, ALL))
    ran = babycli("report", tmp_path, "--format", "hf", "--hub-dataset", "lab/benchmark")
    assert ran.code == 0, ran.err
    entries = parse_eval_result_entries(yaml.safe_load(ran.out))
    main = {"labeled_s": "acc", "vtwt": "acc", "baby_winoground": "group_score", "saycam_caption": "meteor"}
    assert {entry.task_id: entry.value for entry in entries} == {
        task: logged(path)[task][metric] for task, metric in main.items()
    }
    assert {(entry.dataset_id, entry.date) for entry in entries} == {("lab/benchmark", "2026-01-01T12:00:00+00:00")}
    assert entries[1].notes is not None
    assert entries[1].notes.startswith("Visual Two-Word Test on SAYCam, n 967, scoring fair")
    ran = babycli("report", tmp_path, "--format", "hf", "--hub-dataset", "lab/bench/mark")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be a data set of the hub" in ran.err
    assert "add  --format hf" in babycli("report", tmp_path, "--hub-dataset", "lab/benchmark").err


def test_an_evaluation_holds_every_number(tmp_path: Path, babycli: Babycli) -> None:
    path = write_run(tmp_path, "/home/me/models/lab/m", drawn(1, ALL), fingerprint="0" * 64)
    ran = babycli("report", tmp_path, "--format", "eee")
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    # The fields that the schema of Every Eval Ever, version 0.3.0, wants; its validator finds no fault in them.
    assert set(document) == {
        *("schema_version", "evaluation_id", "evaluation_timestamp", "retrieved_timestamp"),
        *("source_metadata", "eval_library", "model_info", "evaluation_results"),
    }
    assert document["evaluation_timestamp"] == "2026-01-01T12:00:00+00:00"
    assert document["model_info"]["id"] == "lab/m"
    assert "/home" not in ran.out
    read: dict[str, dict[str, float]] = {}
    for result in document["evaluation_results"]:
        task, metric = result["evaluation_result_id"].split("/")
        read.setdefault(task, {})[metric] = result["score_details"]["score"]
        details = result["source_data"]["additional_details"]
        assert all(isinstance(text, str) for text in details.values())
        config = result["metric_config"]
        assert {"lower_is_better", "score_type", "min_score", "max_score"} <= set(config)
        interval = result["score_details"]["uncertainty"]["confidence_interval"]
        assert interval["lower"] <= result["score_details"]["score"] <= interval["upper"]
    assert read == logged(path)
    assert "fill in who you are" in ran.err


def test_every_eval_ever_takes_it(tmp_path: Path, babycli: Babycli) -> None:
    package = "every_eval_ever.eval_types"  # of every-eval-ever, which wants Python 3.12
    eval_types = pytest.importorskip(package, reason="the package every-eval-ever is not installed")
    write_run(tmp_path, "lab/m", drawn(1, ALL))
    log = eval_types.EvaluationLog.model_validate_json(babycli("report", tmp_path, "--format", "eee").out)
    assert len(log.evaluation_results) == 8


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"scoring": "reference", "ties": {"vtwt": [1, 2]}}, 7, "counts ties as right"),
        ({"nonfinite": {"vtwt": [3]}}, 7, "must not be trusted"),
        ({"control": "blind"}, 3, "is a control"),
    ],
)
def test_what_nobody_should_pass_on_is_refused(
    form: str, changes: dict[str, Any], code: int, said: str, tmp_path: Path, babycli: Babycli
) -> None:
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6}), **changes)
    ran = babycli("report", tmp_path, "--format", form)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


@pytest.mark.parametrize("form", FORMS)
def test_one_model_at_a_time(form: str, tmp_path: Path, babycli: Babycli) -> None:
    for name in ("a", "b"):
        write_run(tmp_path, name, drawn(1, {"vtwt": 0.6}))
    ran = babycli("report", tmp_path, "--format", form)
    assert (ran.code, ran.out) == (2, "")
    assert "of one row of the table, here are 2" in ran.err
    assert babycli("report", tmp_path, "--format", form, "--model", "b").code == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_part_of_the_items_and_drawn_pictures_are_said(form: str, tmp_path: Path, babycli: Babycli) -> None:
    units = {"vtwt": 40}
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6}, units), config={"model": "hf", "limit": 40}, data="demo")
    ran = babycli("report", tmp_path, "--format", form)
    assert ran.code == 0, ran.err
    assert "DEMO DATA" in ran.err
    assert "on a part of the items" in ran.err
    assert "Demo data" in ran.out
    assert "limit" in ran.out


@pytest.mark.parametrize("form", FORMS)
def test_odd_names_stay_text(form: str, tmp_path: Path, babycli: Babycli) -> None:
    name = "a: b\x1b[31m\u2028#- {x}\n---"
    write_run(tmp_path, "m", drawn(1, {"vtwt": 0.6}), model_name=name)
    ran = babycli("report", tmp_path, "--format", form)
    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.out
    if form == "hf":
        assert "model-index" in ModelCard(ran.out).content
    else:
        assert json.loads(ran.out)["model_info"]["id"].startswith("a: b")
