"""Controls: what they answer, worked out by hand, and how they are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models.conftest import Evaluate
from tests.models.loading import load, picture, similarity, tokenize
from tests.models.test_bad_checkpoints import assert_explained

ALL_TRIALS = ("--tasks", "labeled_s,vtwt,baby_winoground,saycam_caption", "--limit", 1000)


def results(logs: Path) -> dict[str, Any]:
    (path,) = logs.glob("*/*/*_results.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def samples(logs: Path, task: str) -> list[dict[str, Any]]:
    (path,) = logs.glob(f"*/*/*_samples_{task}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_constant_is_exactly_at_chance(evaluate: Evaluate, tmp_path: Path) -> None:
    ran = evaluate("--model", "control:constant", *ALL_TRIALS)
    assert ran.code == 0, ran.err
    found = results(tmp_path / "logs")
    assert found["results"]["labeled_s"]["acc,none"] == 0.25
    assert found["results"]["vtwt"]["acc,none"] == 0.5
    assert found["results"]["baby_winoground"]["text_score,none"] == 0  # strict: a tie is a miss
    assert found["ties"] == found["n_units"] | {"saycam_caption": 0}
    captions = {line["resps"][0][0] for line in samples(tmp_path / "logs", "saycam_caption")}
    assert captions == {"look at that ."}
    assert 0 < found["results"]["saycam_caption"]["meteor,none"] < 0.3


def test_the_longest_text_wins(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--model", "control:length", *ALL_TRIALS).code == 0
    lines = samples(tmp_path / "logs", "vtwt")
    for line in lines:
        lengths = [len(line["doc"][column]) for column in ("positive_phrase", "negative_phrase")]
        assert line["resps"] == [[lengths[0]], [lengths[1]]]
        credit = 0.5 if lengths[0] == lengths[1] else float(lengths[0] > lengths[1])
        assert line["acc"] == credit
    assert {line["acc"] for line in lines} == {0.0, 0.5, 1.0}
    assert results(tmp_path / "logs")["results"]["labeled_s"]["acc,none"] == 0.25


def test_random_is_near_chance_and_drawn_from_its_seed(evaluate: Evaluate, tmp_path: Path) -> None:
    def run(name: str, logs: str, *words: object) -> list[Any]:
        assert evaluate("--model", name, *ALL_TRIALS, "--output-path", tmp_path / logs, *words).code == 0
        of_vtwt = [line["resps"] for line in samples(tmp_path / logs, "vtwt")]
        return of_vtwt + [line["resps"] for line in samples(tmp_path / logs, "saycam_caption")]

    third = run("control:random?seed=3", "a")
    assert run("control:random?seed=3", "b", "--batch-size", 7) == third
    assert run("control:random", "c", "--model-args", "seed=3") == third
    assert run("control:random", "d") != third
    accuracy = results(tmp_path / "a")["results"]["vtwt"]
    assert abs(accuracy["acc,none"] - 0.5) < 4 * accuracy["acc_stderr,none"]
    values = [value for responses in third for (value,) in responses if isinstance(value, float)]
    assert len(set(values)) > 150
    assert all(0 <= value < 1 for value in values)


def test_random_depends_on_picture_and_text() -> None:
    model = load("control:random?seed=1")
    one, other = model.encode([model.preprocess(picture(seed)) for seed in range(2)])
    ball, cat = tokenize(model, "", "ball"), tokenize(model, "", "cat")
    values = [similarity(model, [f], [t])[0].value for f in (one, other) for t in (ball, cat)]
    assert len(set(values)) == 4
    assert similarity(model, [other, one], [cat, ball]) == [
        similarity(model, [other], [cat])[0],
        similarity(model, [one], [ball])[0],
    ]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["control:constnt"], ["'constnt'", "Did you mean 'constant'?"]),
        (["control:"], ["''"]),
        (["control:random?seed=x"], ["'x'"]),
        (["control:random?sed=3"], ["sed=3"]),
        (["control:random?seed=-1"], ["'-1'"]),
        (["control:length?seed=1"], ["seed=1"]),
        (["control:constant", "--model-args", "sed=1"], ["'sed'", "Did you mean 'seed'?"]),
        (["control"], ["names a family"]),
        (["control", "--model-args", "pretrained=x"], ["takes no pretrained="]),
    ],
)
def test_wrong_names(words: list[str], names: list[str], evaluate: Evaluate) -> None:
    assert_explained(evaluate("--model", *words), 2, *names)
