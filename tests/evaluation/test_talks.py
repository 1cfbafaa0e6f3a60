"""Conversations of the memory task, some at a time: what is encoded, what is read, and what stays the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlamaModel

from babycli.models.parts.kept_prefixes import KeptPrefixes
from babycli.models.parts.llava_model import LlavaModel
from babycli.models.parts.llava_network import LlavaNetwork
from tests.conftest import Babycli, Ran
from tests.evaluation.logs import lines, only_run, read_json, results
from tests.models.loading import load
from tests.v2_checkpoints import N_POSITIONS, tower_weights, write_v2
from tests.written_once import written_once

N_TALKS, N_LEARNT, N_TURNS = 5, 2, 6
N_PICTURES = 13
FIRST = "Touch the new image. (A) <image>"
LATER = "Let's try more. Touch the new image. (A) <image> (B) <image>"


def talk(n: int) -> dict[str, Any]:
    """Two things are learnt; each comes back twice, beside a new one. Conversations share pictures."""
    things = [f"thing{(3 * n + k) % N_PICTURES}" for k in range(3 * N_LEARNT)]
    shown = [[things[0]], [things[0], things[1]]]
    shown += [[things[old], things[2 + turn]] for turn, old in enumerate((1, 0, 0, 1))]
    questions = [FIRST] + [LATER] * (N_TURNS - 1)
    said = [
        {"from": who, "value": words}
        for question, pictures in zip(questions, shown, strict=True)
        for who, words in (("human", question), ("gpt", "AB"[len(pictures) - 1]))
    ]
    names = [f"{thing}.png" for pictures in shown for thing in pictures]
    return {"id": f"talk {n}", "labels": shown, "conversations": said, "image": names}


def vocabulary(n: int) -> dict[str, Any]:
    question = "Touch the image of 'ball' (A)<image> (B)<image> (C)<image> (D)<image>"
    names = [f"thing{(n + 4 * k) % N_PICTURES}.png" for k in range(4)]
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": "A"}]
    return {"id": f"word {n}", "conversations": said, "image": names}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_once(tmp_path_factory, "talks-v2", lambda folder: write_v2(folder, tower_weights("tv")))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset" / "devcv" / "own"
    (folder / "images").mkdir(parents=True)
    draw = np.random.default_rng(1)
    for i in range(N_PICTURES):
        values = draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / "images" / f"thing{i}.png")
    (folder / "baby_memory.json").write_text(json.dumps([talk(n) for n in range(N_TALKS)]))
    (folder / "baby_pv.json").write_text(json.dumps([vocabulary(n) for n in range(3)]))
    return tmp_path / "dataset"


def evaluated(babycli: Babycli, checkpoint: Path, data: Path, logs: Path, *words: object) -> Path:
    """The folder of a run on both tasks."""
    given = ("--tasks", "baby_memory,baby_pv", "--max-new-tokens", 3, "--data", data, "--output-path", logs)
    ran: Ran = babycli("eval", "--model", checkpoint, *given, *words)
    assert ran.code in (0, 7), ran.err  # 7: a random model's replies hold no answer
    return only_run(logs)


def told(folder: Path) -> dict[str, str]:
    """What was written at each turn, by what was read."""
    return {
        json.dumps(line["turns"]): line["generated"]
        for path in folder.glob("scores.rank*.jsonl")
        for line in lines(path)
        if "generated" in line
    }


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many pictures are encoded, and positions read by the language model."""
    counted: Counter[str] = Counter()
    encode, forward = LlavaNetwork.encode_images, LlamaModel.forward

    def encoding(network: LlavaNetwork, pixels: torch.Tensor) -> torch.Tensor:
        counted["pictures"] += len(pixels)
        return encode(network, pixels)

    def reading(model: Any, *args: Any, **given: Any) -> Any:
        embedded = given.get("inputs_embeds")
        counted["positions"] += (embedded if embedded is not None else given["input_ids"]).shape[:2].numel()
        return forward(model, *args, **given)

    monkeypatch.setattr(LlavaNetwork, "encode_images", encoding)
    monkeypatch.setattr(LlamaModel, "forward", reading)
    return counted


@pytest.mark.parametrize(("size", "n_blocks"), [(2, 3), (16, 1), pytest.param(1, 5, marks=pytest.mark.long)])
def test_each_picture_is_encoded_once_and_each_turn_read_once(
    size: int, n_blocks: int, checkpoint: Path, data: Path, tmp_path: Path, babycli: Babycli, counts: Counter[str]
) -> None:
    """Over both tasks and all turns, however many conversations are played at a time."""
    words = ("--batch-size", size, "--batch-check", 0)
    folder = evaluated(babycli, checkpoint, data, tmp_path / "logs", *words)
    assert read_json(folder / "run.json")["plan"]["rounds"] == n_blocks * N_TURNS
    assert counts["pictures"] == N_PICTURES
    model = load(checkpoint)
    assert isinstance(model, LlavaModel)
    n_last = 11 * N_POSITIONS + sum(len(model._tokenizer.encode(text)) + 6 for text in [FIRST] + [LATER] * 5)
    n_words = 3 * (4 * N_POSITIONS + 40)
    assert N_TALKS * 11 * N_POSITIONS < counts["positions"] <= 1.1 * N_TALKS * n_last + n_words


@pytest.mark.long
def test_how_many_at_a_time_changes_no_answer(
    checkpoint: Path, data: Path, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = evaluated(babycli, checkpoint, data, tmp_path / "plain", "--no-prefix-reuse")
    assert len(told(plain)) >= N_TALKS * N_TURNS
    for name, words in {"one": (1,), "two": (2,), "many": (16,)}.items():
        other = evaluated(babycli, checkpoint, data, tmp_path / name, "--batch-size", *words)
        assert told(other) == told(plain)
        assert results(other)["results"] == results(plain)["results"]
    with monkeypatch.context() as patch:  # nothing can be kept
        patch.setattr(KeptPrefixes, "max_bytes", 0)
        patch.setattr(KeptPrefixes, "keep", lambda *args: None)
        assert told(evaluated(babycli, checkpoint, data, tmp_path / "none")) == told(plain)


def test_both_ways_read_a_turn_once(
    checkpoint: Path, data: Path, tmp_path: Path, babycli: Babycli, counts: Counter[str]
) -> None:
    """What was read for the answers to be chosen from serves the reply that is written."""
    words = ("--batch-check", 0, "--answers", "written,chosen", "--tasks", "baby_memory")
    ran = babycli(
        *("eval", "--model", checkpoint, "--data", data, "--output-path", tmp_path / "logs"),
        *("--max-new-tokens", 3, *words),
    )
    assert ran.code in (0, 7), ran.err
    assert counts["pictures"] == len({name for n in range(N_TALKS) for name in talk(n)["image"]})
    assert counts["positions"] <= 1.3 * N_TALKS * (11 * N_POSITIONS + 6 * 40)


def test_a_model_plays_as_many_as_it_can_keep(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 layers, 2 heads of 8 numbers for keys and for values, in float32: 256 bytes a position."""
    model = load(checkpoint)
    n_positions = 29 * N_POSITIONS + 15 * 64
    for kept_bytes, n in ((10 * n_positions * 256, 10), (n_positions * 256 - 1, 0)):
        monkeypatch.setattr(KeptPrefixes, "max_bytes", kept_bytes)
        assert model.room_for_conversations(29, 15) == n
