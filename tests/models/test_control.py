"""Controls: what they answer, worked out by hand, and how they are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Babycli
from tests.models.conftest import Evaluate
from tests.models.loading import load, picture, similarity, tokenize, written
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
    all_trials = ("--tasks", "vtwt,saycam_caption", "--limit", 1000)

    def run(name: str, logs: str, *words: object) -> list[Any]:
        assert evaluate("--model", name, *all_trials, "--output-path", tmp_path / logs, *words).code == 0
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


def test_a_pair_of_pictures_has_one_score_in_either_order() -> None:
    for name in ("control:random?seed=1", "control:constant"):
        model = load(name)
        one, other, third = model.encode([model.preprocess(picture(seed)) for seed in range(3)])
        scores = model.match([(one, other), (other, one), (one, third), (one, one)])
        assert scores[0] == scores[1] == model.match([(one, other)])[0]
        assert len(set(scores)) == (3 if "random" in name else 1)
    assert load("control:length").info.abilities.words == ("similarity", "generate")


@pytest.mark.parametrize(("pick", "ids"), [("A", "A"), ("top+left", "top left"), ("top left", "top left"), ("3", "3")])
def test_one_answer_for_all(pick: str, ids: str) -> None:
    model = load(f"control:letter?pick={pick}")
    features = model.encode([model.preprocess(picture(seed)) for seed in range(2)])
    texts = written(model, features, "Which? (A) this (B) that", 5)
    assert [text.text for text in texts] == [ids, ids]
    answers = [ids, ids.lower(), f" {ids}", "B", f"{ids}{ids}", ""]
    tokens = [tokenize(model, "Which? (A) this (B) that", answer) for answer in answers]
    values = [score.value for score in similarity(model, [features[0]] * len(tokens), tokens)]
    assert values == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert load("control:letter", pick=ids).info.fingerprint == model.info.fingerprint
    assert load("control:letter").info.fingerprint == load("control:letter?pick=A").info.fingerprint
    assert load("control:letter?pick=B").info.fingerprint != model.info.fingerprint


def test_colours_are_compared_by_hand() -> None:
    """Areas of 2 by 3 pixels are averaged to 32 by 32; the mean absolute difference of the 3,072 values is summed."""
    model = load("control:pixels")
    assert model.info.abilities.words == ("match",)
    images = [picture(seed, 64, 96) for seed in range(3)] + [Image.new("RGB", (64, 96), (10, 20, 30))]
    means = [np.asarray(image, dtype=float).reshape(32, 3, 32, 2, 3).mean((1, 3)) for image in images]
    features = model.encode([model.preprocess(image) for image in images])
    for i in range(4):
        for j in range(4):
            (score,) = model.match([(features[i], features[j])])
            assert score.value == pytest.approx(-np.abs(means[i] - means[j]).mean(), abs=0.5)
            assert (score.value == 0) == (i == j)
            assert [score] == model.match([(features[j], features[i])])


@pytest.mark.parametrize(
    ("colour", "other", "value"),
    [("black", "white", -255.0), ((0, 0, 9), (0, 3, 0), -4.0), ((200, 0, 0), (0, 0, 0), -200 / 3), ("red", "red", 0.0)],
)
def test_planes_of_any_shape_are_compared_exactly(colour: Any, other: Any, value: float) -> None:
    model = load("control:pixels")
    planes = [Image.new("RGB", (70, 33), colour), Image.new("RGB", (5, 9), other)]
    one, two = model.encode([model.preprocess(plane) for plane in planes])
    assert model.match([(one, two)])[0].value == value
    assert (one.digest == two.digest) == (value == 0)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("constant", "it writes 'look at that .', in which no letter"),
        ("random?seed=1", 'but the word "a"'),
        ("letter?pick=3", "it writes '3' and nothing else"),
        ("pixels", "it compares colours, and does not read"),
    ],
)
def test_show_and_the_log_say_what_its_answers_are(name: str, says: str, babycli: Babycli) -> None:
    ran = babycli("models", "show", f"control:{name}")
    assert ran.code == 0, ran.err
    assert says in " ".join(ran.out.split())
    assert any(says in note for note in load(f"control:{name}").info.notes)


def test_colours_answer_no_question_with_words(evaluate: Evaluate) -> None:
    ran = evaluate("--model", "control:pixels", "--tasks", "labeled_s,saycam_caption")
    assert_explained(ran, 5, "cannot do labeled_s, saycam_caption", "it offers match")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["control:constnt"], ["'constnt'", "Did you mean 'constant'?"]),
        (["control:"], ["''"]),
        (["control:random?seed=x"], ["'x'"]),
        (["control:random?sed=3"], ["sed=3"]),
        (["control:random?seed=-1"], ["'-1'"]),
        (["control:length?seed=1"], ["seed=1"]),
        (["control:length", "--model-args", "seed=1"], ["control:length' with seed"]),
        (["control:pixels?pick=A"], ["pick=A"]),
        (["control:random?pick=A"], ["pick=A"]),
        (["control:letter?seed=1"], ["seed=1"]),
        (["control:letter?pick="], ["of at most 40 characters, not ''"]),
        (["control:letter?pick=%07"], ["not '\\x07'"]),
        (["control:letter?pick=" + "a" * 41], ["aaaa"]),
        (["control:constant", "--model-args", "sed=1"], ["'sed'", "Did you mean 'seed'?"]),
        (["replay:x", "--model-args", "seed=1"], ["replay has no argument 'seed'"]),
        (["babyllava-tiny", "--model-args", "sed=1"], ["babyllava has no argument 'sed'"]),
        (["no/such", "--model-args", "sed=1"], ["no family of models has an argument 'sed'"]),
        (["control"], ["names a family"]),
        (["control", "--model-args", "pretrained=x"], ["takes no pretrained="]),
    ],
)
def test_wrong_names(words: list[str], names: list[str], evaluate: Evaluate) -> None:
    assert_explained(evaluate("--model", *words), 2, *names)
