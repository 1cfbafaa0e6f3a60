"""Whole runs of DevCV tasks through the command line, on the published samples with drawn pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Babycli
from tests.tasks.devcv.samples import TASK_OF_FILE, rows_of


def lay_out(folder: Path, root: Path, name: str) -> Path:
    """Makes a set of the label samples of a folder, with a small picture of one colour for each name."""
    of_set = root / "devcv" / name
    of_set.mkdir(parents=True)
    for file in sorted(folder.glob("*.json")):
        (of_set / f"{TASK_OF_FILE[file.stem]}.json").write_bytes(file.read_bytes())
        for image in (image for row in rows_of(file) for image in row["image"]):
            place = of_set / "images" / image
            place.parent.mkdir(parents=True, exist_ok=True)
            red, green, blue = sha256(image.encode()).digest()[:3]
            Image.new("RGB", (8, 8), (red, green, blue)).save(place)
    return root


@pytest.fixture(scope="module")
def ego4d(devcv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(devcv / "data" / "ego4d_sample" / "all", tmp_path_factory.mktemp("ego4d"), "ego4d")


def results_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(output.rglob("*_results.json"))]


def outcomes_of(output: Path) -> dict[str, Any]:
    (path,) = output.rglob("*_outcomes.json")
    tasks: dict[str, Any] = json.loads(path.read_text())["tasks"]
    return tasks


def run(babycli: Babycli, data: Path, output: Path, words: Sequence[object]) -> None:
    tasks = () if "--tasks" in words else ("--tasks", "devcv")
    ran = babycli("eval", *tasks, "--data", data, "--output-path", output, *words)
    assert ran.code in (0, 7), ran.err  # 7: a control is above chance, as "always A" is where A is right too often


def test_who_always_says_a_gets_what_the_authors_give_for_it(
    babycli: Babycli, ego4d: Path, devcv: Path, tmp_path: Path
) -> None:
    summaries = json.loads((devcv / "golden" / "scoring_summary.json").read_text())
    run(babycli, ego4d, tmp_path, ["--model", "control:letter?pick=A", "--scoring", "reference"])
    (results,) = results_of(tmp_path)
    assert results["data"] == "ego4d"
    compared = 0
    for file, task in TASK_OF_FILE.items():
        means = summaries.get(f"ego4d_sample/all/{file}", {"sets": {}})["sets"].get("always A")
        if means is None:
            continue
        of_task = results["results"][task]
        for metric, number in [
            ("acc", "accuracy"),
            ("acc_learning", "learning_accuracy"),
            ("acc_testing_raw", "testing_raw_accuracy"),
            ("acc_testing_adjusted", "testing_adjusted_accuracy"),
        ]:
            if f"{metric},none" in of_task:
                compared += 1
                assert of_task[f"{metric},none"] == pytest.approx(means[f"avg_{number}"])
                assert of_task[f"{metric}_reference,none"] == of_task[f"{metric},none"]
    assert compared == 9  # six tasks of letters, and the three numbers of memory
    assert results["no_answer"]["baby_vdr_open"] == results["n_units"]["baby_vdr_open"] == 5
    assert results["no_answer"]["baby_pv"] == 0


def test_both_ways_of_one_run(babycli: Babycli, ego4d: Path, tmp_path: Path) -> None:
    run(babycli, ego4d, tmp_path, ["--model", "control:constant", "--answers", "written,chosen"])
    (results,) = results_of(tmp_path)
    of_tasks = results["results"]
    # A model to which all is alike: every choice is a tie, and what it writes is no answer.
    assert of_tasks["baby_pv"]["acc_chosen,none"] == 0.25
    assert of_tasks["baby_leftright"]["acc_chosen,none"] == pytest.approx(1 / 3)
    assert of_tasks["baby_count"]["acc_chosen,none"] == pytest.approx(1 / 12)
    assert of_tasks["baby_vdr_open"]["acc_exact_chosen,none"] == 0.125
    assert of_tasks["baby_vdr_open"]["acc_adjacent_chosen,none"] == 0.375
    assert of_tasks["baby_memory"]["acc_testing_adjusted_chosen,none"] == 0.25
    assert of_tasks["baby_pv"]["acc,none"] == 0.0
    assert results["no_answer"] == results["n_units"] | {"baby_memory": 15 * results["n_units"]["baby_memory"]}
    assert {task["answers"] for task in results["identity"]["question"]["tasks"].values()} == {"generate+similarity"}


def test_a_count_is_compared_with_the_commonest_number(
    babycli: Babycli, ego4d: Path, devcv: Path, tmp_path: Path
) -> None:
    run(babycli, ego4d, tmp_path, ["--model", "control:random", "--tasks", "baby_count"])
    rows = rows_of(devcv / "data" / "ego4d_sample" / "all" / "count.json")
    numbers = [row["conversations"][1]["value"] for row in rows]
    (results,) = results_of(tmp_path)
    assert results["chance"]["baby_count"]["acc"] == Counter(numbers).most_common(1)[0][1] / len(numbers)
    assert outcomes_of(tmp_path)["baby_count"]["groups"]["number"] == numbers


def test_items_of_equal_ids_are_told_apart(babycli: Babycli, devcv: Path, tmp_path: Path) -> None:
    """Published files have such ids; an item is called after its place."""
    data = lay_out(devcv / "data" / "ego4d_sample" / "all", tmp_path / "data", "ego4d")
    place = data / "devcv" / "ego4d" / "baby_compare_synthetic.json"
    rows = json.loads(place.read_text())
    place.write_text(json.dumps([row | {"id": "count_3"} for row in rows]))
    run(babycli, data, tmp_path / "logs", ["--model", "control:random", "--tasks", "baby_compare_synthetic"])
    assert outcomes_of(tmp_path / "logs")["baby_compare_synthetic"]["trials"] == ["0", "1", "2", "3", "4"]
    (samples,) = (tmp_path / "logs").rglob("*_samples_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["doc"] for line in lines] == json.loads(place.read_text())
    assert [turn["gold"] for line in lines for turn in line["acc"]["turns"]] == [line["target"] for line in lines]


def test_every_set_has_a_run_of_its_own(babycli: Babycli, devcv: Path, ego4d: Path, tmp_path: Path) -> None:
    lay_out(devcv / "data" / "nih_toolbox_sample" / "all", tmp_path / "data", "nih")
    lay_out(devcv / "data" / "babyview_sample" / "test", tmp_path / "data", "babyview")
    words = ["--model", "control:random", "--data", tmp_path / "data", "--output-path", tmp_path / "logs"]
    assert babycli("eval", "--tasks", "devcv", *words).code in (0, 7)
    by_set = {results["data"]: results["results"] for results in results_of(tmp_path / "logs")}
    assert set(by_set) == {"babyview", "nih"}
    assert "baby_subitize" in by_set["babyview"]
    assert "baby_subitize" not in by_set["nih"]
    # The NIH's own delayed response offers letters, and its memory has 30 turns.
    assert by_set["nih"]["baby_vdr_binary"]["acc_exact,none"] == by_set["nih"]["baby_vdr_binary"]["acc_adjacent,none"]
    (samples,) = (tmp_path / "logs").rglob("*_samples_baby_memory.jsonl")
    assert len(json.loads(samples.read_text())["resps"]) == 30
