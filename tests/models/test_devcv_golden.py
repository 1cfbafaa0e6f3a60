"""Every line that the authors' code of BabyLLaVA-V2 computed: prompts, ids, positions, losses, replies; and pixels.

Both builds of the tower, single questions and up to 15 turns, alone and in batches, with conversations read again at
each turn and with what was read kept. A recorded reply is compared where no rounding could flip it. In a conversation
the recorded replies are the history, whatever our own were.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from babycli.data.decoding import decode
from babycli.domain import CannotAnswer, Text
from babycli.models.base import Features, Model, Tokens
from babycli.models.parts.llava_model import LlavaModel
from babycli.models.parts.pixels import PixelSpec, to_pixels
from babycli.wording import Scoring
from tests.models import devcv_golden
from tests.models.devcv_golden import Line, item_of, lines_of, picture_names, recorded_pictures, talk_in, write_devcv
from tests.models.loading import asked, context_and_answer, load, loglikelihood, read, tokenize
from tests.written_once import written_once

MOST_BETWEEN_MACHINES = 2e-5  # noise.json: other kernels move a loss by 1.0e-5
SURE = 1e-3  # a reply whose least margin is above it is the same on every machine
BATCH = 8


@pytest.fixture(scope="module")
def pictures(devcv: Path) -> Mapping[str, bytes]:
    return recorded_pictures(devcv)


def test_pixels_equal_the_original(devcv: Path, pictures: Mapping[str, bytes]) -> None:
    """Every colour mode and size, padded to squares and not; every 7919th value, round and round."""
    lines = [json.loads(line) for line in (devcv / "golden" / "model" / "preprocess.jsonl").read_text().splitlines()]
    for line in lines:
        pixels = to_pixels(decode(pictures[line["image"]], line["image"]), PixelSpec(pad=line["aspect"] == "pad"))
        assert [1, *pixels.shape] == line["shape"]
        places = torch.arange(64) * 7919 % pixels.numel()
        assert pixels.flatten()[places].tolist() == pytest.approx(line["samples"], abs=2e-6), line["image"]
        assert float(pixels.double().mean()) == pytest.approx(line["mean"], abs=1e-6)
    assert Counter(line["mode"] for line in lines).keys() == {"RGB", "RGBA", "L", "P"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A recorded turn, with what a model is asked there."""

    recorded: dict[str, Any]
    tokens: Tokens
    shown: tuple[Features, ...]
    max_new_tokens: int


@dataclass(slots=True)
class Build:
    """One of the two checkpoints, loaded, and the features of the pictures so far."""

    model: LlavaModel
    pictures: Mapping[str, bytes]
    known: dict[bytes, Features] = field(default_factory=dict)

    def features(self, names: Sequence[str]) -> tuple[Features, ...]:
        """Encodes each picture once, in batches."""
        new = [name for name in dict.fromkeys(names) if self.pictures[name] not in self.known]
        for start in range(0, len(new), BATCH):
            batch = {self.pictures[name]: name for name in new[start : start + BATCH]}
            encoded = self.model.encode([self.model.preprocess(decode(file, n)) for file, n in batch.items()])
            self.known |= zip(batch, encoded, strict=True)
        return tuple(self.known[self.pictures[name]] for name in names)


@pytest.fixture(scope="module", params=devcv_golden.BUILDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def build(
    name: str, devcv: Path, pictures: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Build]:
    """The template is not given: the checkpoint tells it."""
    folder = written_once(tmp_path_factory, f"devcv_{name}", lambda folder: write_devcv(devcv, folder, name))
    model = load(folder / devcv_golden.BUILDS[name], scoring=Scoring.REFERENCE)
    assert isinstance(model, LlavaModel)
    assert model.info.template == "baby_v1"
    yield Build(model, pictures)
    model.forget()


@pytest.mark.long
def test_every_recorded_loss(build: Build, name: str, devcv: Path) -> None:
    lines = lines_of(devcv, name, "loglikelihood")
    assert lines
    tokens = []
    for line in lines:
        tokens.append(tokenize(build.model, "", line["phrase"]))
        context, answer = context_and_answer(tokens[-1])
        assert build.model.render(asked()) == line["context_prompt"]
        assert context == line["context_ids"]
        assert context + answer == line["input_ids"]
        assert [-100] * len(context) + answer == line["labels"]
        assert tokens[-1].n_positions == line["positions"]
    seen = build.features([f"winoground/{line['image']}" for line in lines])
    alone = [loglikelihood(build.model, [f], [t])[0].mean_loss for f, t in zip(seen, tokens, strict=True)]
    expected = [line["loss"] for line in lines]
    assert alone == pytest.approx(expected, abs=MOST_BETWEEN_MACHINES)
    for group in alike(tokens, lambda t: t.batch_key):
        scores = loglikelihood(build.model, [seen[i] for i in group], [tokens[i] for i in group])
        assert [s.mean_loss for s in scores] == pytest.approx([expected[i] for i in group], abs=MOST_BETWEEN_MACHINES)


@pytest.mark.long
@pytest.mark.parametrize("way", ["alone", "batched", "kept", "kept and batched"])
def test_every_recorded_reply(way: str, build: Build, name: str, devcv: Path) -> None:
    build.model.forget()
    lines = lines_of(devcv, name, "generate", "multi_round")
    n_rounds = max(len(line["turns"]) for line in lines)
    n_compared = 0
    for i in range(n_rounds):
        turns = [turn_of(build, devcv, line, i) for line in lines if i < len(line["turns"])]
        groups = alike(turns, lambda turn: (turn.max_new_tokens, turn.tokens.batch_key))
        for group in groups if "batched" in way else [[k] for k in range(len(turns))]:
            n_compared += check(build.model, [turns[k] for k in group], "kept" in way)
    sure = [turn for line in lines for turn in line["turns"] if is_sure(turn)]
    assert n_compared == len(sure)
    assert n_compared >= (75 if name == "tv" else 2)


def turn_of(build: Build, devcv: Path, line: Line, i: int) -> Turn:
    """What is asked in turn ``i``, with prompt, ids and positions compared."""
    recorded = line["turns"][i]
    context = talk_in(item_of(devcv, line), [turn["response"] for turn in line["turns"][:i]])
    assert build.model.render(context) == recorded["prompt"]
    tokens = read(build.model, context.wording, recorded["max_new_tokens"])
    assert list(tokens.ids) == recorded["input_ids"]
    assert tokens.n_positions == recorded["positions"]
    shown = build.features(picture_names(line, [place.name for place in context.places]))
    assert len(shown) == recorded["n_images"]
    return Turn(recorded, tokens, shown, recorded["max_new_tokens"])


def check(model: Model, turns: Sequence[Turn], keeps: bool) -> int:
    """Compares the replies of a batch; gives how many of them no rounding could flip."""
    n_new = turns[0].max_new_tokens
    texts = model.generate([turn.shown for turn in turns], [turn.tokens for turn in turns], n_new, keeps)
    for turn, text in zip(turns, texts, strict=True):
        assert isinstance(text, Text)
        if is_sure(turn.recorded):
            assert list(text.token_ids) == turn.recorded["generated_ids"]
            assert text.text == turn.recorded["text_raw"]
            assert text.text.strip() == turn.recorded["response"].strip()
    return sum(is_sure(turn.recorded) for turn in turns)


def is_sure(turn: Mapping[str, Any]) -> bool:
    return float(min(turn["min_margin"], turn["first_margin"])) > SURE


def alike(things: Sequence[Any], key: Callable[[Any], Any]) -> list[list[int]]:
    """The places of things with equal keys, at most BATCH together."""
    gathered: dict[Any, list[int]] = {}
    for i, thing in enumerate(things):
        gathered.setdefault(key(thing), []).append(i)
    return [g[start : start + BATCH] for g in gathered.values() for start in range(0, len(g), BATCH)]


@pytest.mark.long
def test_fair_scoring_answers_no_question_that_the_original_loses(build: Build, name: str, devcv: Path) -> None:
    """NIH's fifty frames have 9,871 positions, and the original reads 8,192: not the question."""
    model = load(build.model.info.source)
    for line in lines_of(devcv, name, "generate", "multi_round"):
        for i, turn in enumerate(line["turns"]):
            context = talk_in(item_of(devcv, line), [before["response"] for before in line["turns"][:i]])
            asked_here = model.read(context.wording, turn["max_new_tokens"])
            assert isinstance(asked_here, CannotAnswer) == (turn["positions"] > turn["positions_fed"])
