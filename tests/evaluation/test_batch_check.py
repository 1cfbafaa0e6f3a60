"""Scoring some trials again one by one: what a model that depends on its batch is found to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.conftest import Babycli

# Its scores are right for a single request; in a batch, the second half gets the first half's texts.
LEAKY = """
    class Leaky:
        def __init__(self, device, dtype): ...

        def loglikelihood(self, images, prompts, texts):
            shift = SHIFT if len(texts) > 1 else 0
            return [[-float(len(text)) - shift * i] for i, text in enumerate(texts)]

        def generate(self, images, prompts, max_new_tokens):
            return ["a ball" if len(images) == 1 else CAPTION for _ in images]
"""


@pytest.fixture
def dataset(dataset: Path, tmp_path: Path) -> Path:
    return shutil.copytree(dataset, tmp_path / "dataset", symlinks=True)


def run(babycli: Babycli, dataset: Path, model: object, *words: object) -> tuple[dict[str, Any], str]:
    logs = dataset.parent / "logs"
    ran = babycli("eval", "--model", model, "--data", dataset, "--output-path", logs, *words)
    assert ran.code == 0, ran.err
    results = sorted(logs.glob("*/*/*_results.json"))[-1]
    checked: dict[str, Any] = json.loads(results.read_text())["batch_check"]
    assert json.loads((results.parent / "run.json").read_text()).get("batch_check", {}) == checked
    return checked, ran.err


def leaky(folder: Path, shift: float, caption: str) -> Path:
    path = folder / "leaky.py"
    path.write_text(dedent(LEAKY).replace("SHIFT", str(shift)).replace("CAPTION", repr(caption)))
    return path


def test_a_model_that_depends_on_its_batch_is_found(babycli: Babycli, dataset: Path, tmp_path: Path) -> None:
    model = leaky(tmp_path, 100.0, "a cat")
    checked, err = run(babycli, dataset, model, "--batch-check", 10, "--batch-size", 8)
    assert checked["vtwt"]["n_trials"] == 10
    assert checked["vtwt"]["n_flipped"] > 0
    assert 100 <= checked["vtwt"]["max_difference"] <= 700
    assert checked["saycam_caption"] == {"seed": 0, "n_trials": 10, "n_flipped": 10, "max_difference": None}
    assert f"batch check: vtwt: {checked['vtwt']['n_flipped']} of 10 decisions flip one by one" in err


def test_a_drift_that_flips_nothing(babycli: Babycli, dataset: Path, tmp_path: Path) -> None:
    model = leaky(tmp_path, 1e-4, "a ball")
    checked, _ = run(babycli, dataset, model, "--batch-check", 5, "--batch-size", 8, "--tasks", "saycam_caption,vtwt")
    assert checked["vtwt"]["max_difference"] == pytest.approx(4e-4, abs=4e-4)
    assert checked["saycam_caption"]["n_flipped"] == 0


def test_half_precision_is_checked_without_being_asked(babycli: Babycli, dataset: Path) -> None:
    words = ("--tasks", "vtwt,saycam_caption", "--limit", 20)
    checked, err = run(babycli, dataset, "babyllava-tiny", "--dtype", "bfloat16", *words)
    assert {task: check["n_trials"] for task, check in checked.items()} == {"vtwt": 16, "saycam_caption": 16}
    assert 0 <= checked["vtwt"]["max_difference"] < 0.2
    assert "batch check: vtwt" in err


def test_float32_is_not_checked_unless_asked(babycli: Babycli, dataset: Path) -> None:
    words = ("--tasks", "vtwt", "--limit", 3)
    assert run(babycli, dataset, "babyllava-tiny", *words)[0] == {}
    checked, _ = run(babycli, dataset, "babyllava-tiny", *words, "--batch-check", 100)
    assert checked["vtwt"]["n_trials"] == 3
    assert checked["vtwt"]["max_difference"] <= 1e-5
    assert run(babycli, dataset, "babyllava-tiny", *words, "--dtype", "bfloat16", "--batch-check", 0)[0] == {}


def test_the_same_trials_are_drawn_again(babycli: Babycli, dataset: Path, tmp_path: Path) -> None:
    model = leaky(tmp_path, 100.0, "a cat")
    words = ("--batch-check", 10, "--batch-size", 8, "--tasks", "vtwt")
    assert run(babycli, dataset, model, *words)[0] == run(babycli, dataset, model, *words)[0]
