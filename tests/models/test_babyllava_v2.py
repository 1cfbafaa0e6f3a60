"""BabyLLaVA-V2: small checkpoints against a network written out in plain steps, and what they say of themselves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from babycli.domain import PICTURE, CannotAnswer, Context, Text, ask
from babycli.models.base import Features
from babycli.models.parts.llava_model import LlavaModel
from babycli.models.parts.pixels import PixelSpec, to_pixels
from babycli.wording import Scoring
from tests.conftest import Babycli, Ran
from tests.llava_checkpoints import TOWER, clip_weights, weights_in, write_llava, write_tower
from tests.models import slow_path
from tests.models.conftest import Evaluate
from tests.models.loading import (
    branches,
    features_of,
    load,
    loglikelihood,
    picture,
    read,
    save,
    tokenize,
    write_json,
)
from tests.v2_checkpoints import (
    N_POSITIONS,
    PREFIX,
    SHAPE,
    plain_tower,
    text_settings,
    tower_weights,
    v2_weights,
    write_v2,
)

BUILDS = ("tv", "timm")
N_NEW = 6
PROJECTOR = "model.mm_projector."
EOS = 3
QUESTION = "<image> How many of bottle do you see?"


@dataclass(frozen=True, slots=True)
class Plain:
    """The network in plain steps: nothing is batched, and nothing kept but the features of pictures."""

    weights: dict[str, Tensor]
    text: Any
    known: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, build: str) -> Plain:
        weights = v2_weights(plain_tower(build))
        text: Any = LlamaForCausalLM(LlamaConfig(**text_settings()))
        text.load_state_dict({n: w for n, w in weights.items() if not n.startswith((PREFIX, PROJECTOR))})
        return cls(weights, text)

    def features(self, seed: int) -> Tensor:
        """Those of picture(seed)."""
        if seed not in self.known:
            tower, projector = (slow_path.under(self.weights, prefix) for prefix in (PREFIX, PROJECTOR))
            pixels = to_pixels(picture(seed), PixelSpec())
            with torch.no_grad():
                x = slow_path.vit(tower, pixels, SHAPE["layers"], SHAPE["heads"], SHAPE["patch_size"])
                hidden = F.gelu(F.linear(x, projector["0.weight"], projector["0.bias"]))
                self.known[seed] = F.linear(hidden, projector["2.weight"], projector["2.bias"])
        return self.known[seed]

    def embedded(self, ids: Sequence[int], seeds: Sequence[int]) -> Tensor:
        table, left = self.text.get_input_embeddings().weight, iter(seeds)
        return torch.cat([self.features(next(left)) if i == slow_path.IMAGE else table[i][None] for i in ids])

    def greedy(self, ids: Sequence[int], seeds: Sequence[int], most: int | None = None) -> list[int]:
        """The likeliest id again and again behind the first ``most`` positions."""
        row, new = self.embedded(ids, seeds)[:most], list[int]()
        with torch.no_grad():
            while len(new) < N_NEW and EOS not in new:
                new.append(int(self.text(inputs_embeds=row[None]).logits[0, -1].argmax()))
                row = torch.cat([row, self.text.get_input_embeddings().weight[new[-1]][None]])
        return new

    def loss(self, ids: Sequence[int], n_answer: int, seeds: Sequence[int]) -> float:
        with torch.no_grad():
            logits = self.text(inputs_embeds=self.embedded(ids, seeds)[None]).logits[0]
        return float(F.cross_entropy(logits[-n_answer - 1 : -1], torch.tensor(list(ids[-n_answer:]))))


@pytest.fixture(scope="module", params=BUILDS)
def build(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plain(build: str) -> Plain:
    return Plain.of(build)


@pytest.fixture(scope="module")
def folder(build: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_v2(tmp_path_factory.mktemp("v2") / build, tower_weights(build))


@pytest.fixture(scope="module")
def model(folder: Path) -> LlavaModel:
    return checked(load(folder))


def checked(model: object) -> LlavaModel:
    assert isinstance(model, LlavaModel)
    return model


def said(i: int, n_turns: int, replies: Sequence[str]) -> tuple[Context, list[int]]:
    """A conversation over several pictures as far as the replies to it go, and the seeds of its pictures."""
    first = ask(QUESTION, PICTURE) if i % 2 else ask("<image> <image> Touch the new image. (A)", PICTURE, PICTURE)
    context, seeds = first, [i] if i % 2 else [i, i + 1]
    for k in range(n_turns - 1):
        question = ask("Let's try more. (A) <image> (B) <image>", PICTURE, PICTURE).turns[0]
        context = context.followed_by(replies[k], *question.parts)
        seeds += [seeds[-1], i + 2 + k]
    return context, seeds


# ---------------------------------------------------------------- against the plain network


def test_features_equal_the_plain_tower(model: LlavaModel, plain: Plain) -> None:
    for seed in range(3):
        expected = plain.features(seed)
        assert expected.shape == (N_POSITIONS, 32)
        assert torch.allclose(features_of(model, seed)[0].data, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "together", "keeps"),
    [
        pytest.param(*way, marks=[] if way in (("tv", False, False), ("timm", True, True)) else pytest.mark.long)
        for way in itertools.product(BUILDS, (False, True), (False, True))
    ],
    indirect=["build"],
)
def test_conversations_equal_the_plain_network(keeps: bool, together: bool, model: LlavaModel, plain: Plain) -> None:
    """Four conversations of four turns, of two shapes; the history is our own, without the spaces around it."""
    model.forget()
    replies: list[list[str]] = [[], [], [], []]
    for n_turns in (1, 2, 3, 4):
        talks = [said(i, n_turns, replies[i]) for i in range(4)]
        tokens = [read(model, context, N_NEW) for context, _ in talks]
        shown: list[Sequence[Features]] = [features_of(model, *seeds) for _, seeds in talks]
        groups = [[i] for i in range(4)]
        if together:
            by_key: dict[Any, list[int]] = {}
            for i in range(4):
                by_key.setdefault(tokens[i].batch_key, []).append(i)
            groups = list(by_key.values())
        for group in groups:
            texts = model.generate([shown[i] for i in group], [tokens[i] for i in group], N_NEW, keeps)
            for i, text in zip(group, texts, strict=True):
                assert isinstance(text, Text)
                assert list(text.token_ids) == plain.greedy(tokens[i].ids, talks[i][1])
                replies[i].append(text.text.strip())
    assert len({tuple(row) for row in replies}) > 1


def test_losses_equal_the_plain_network(model: LlavaModel, plain: Plain) -> None:
    words = ("left", "right", "top left", "2")
    for i in range(2):
        context, seeds = said(i, 2, ["a"])
        shown, tokens = features_of(model, *seeds), [tokenize(model, context, word) for word in words]
        expected = [plain.loss(t.ids, t.n_answer, seeds) for t in tokens]
        alone = [model.loglikelihood([shown], [t])[0].mean_loss for t in tokens]
        (row,) = model.loglikelihood_of_branches([shown], [tokens])
        assert alone == pytest.approx(expected, abs=2e-5)
        assert [score.mean_loss for score in row] == pytest.approx(expected, abs=2e-5)


def test_a_reply_keeps_its_spaces(model: LlavaModel) -> None:
    """The wrapper of the leaderboard strips nothing; that of the first version strips captions."""
    texts = [reply(model, seed) for seed in range(8)]
    assert any(text.startswith(" ") for text in texts)
    first = load(model.info.source, conv_template="plain")
    assert all(text == text.strip() for text in (reply(checked(first), seed) for seed in range(8)))


def reply(model: LlavaModel, seed: int) -> str:
    context = ask(QUESTION, PICTURE)
    (text,) = model.generate([features_of(model, seed)], [read(model, context, N_NEW)], N_NEW)
    assert isinstance(text, Text)
    return text.text


# ---------------------------------------------------------------- inputs that the original cuts off

CUT = 3 * N_POSITIONS + 40  # positions: in the middle of the fourth picture, or of the words before it


@pytest.fixture(scope="module")
def short(build: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("short") / build
    return write_v2(folder, tower_weights(build), tokenizer_model_max_length=CUT)


@pytest.mark.parametrize(
    ("build", "keeps"),
    [
        pytest.param(build, keeps, marks=[] if (build, keeps) == ("timm", True) else pytest.mark.long)
        for build in BUILDS
        for keeps in (False, True)
    ],
    indirect=["build"],
)
def test_reference_scoring_reads_what_the_original_reads(keeps: bool, short: Path, plain: Plain) -> None:
    """The second turn is cut off, and all later ones begin with the same positions, so they get the same reply."""
    model = checked(load(short, scoring=Scoring.REFERENCE, conv_template="baby_v1"))
    for i in range(4):
        replies: list[str] = []
        for n_turns in (1, 2, 3, 4):
            context, seeds = said(i, n_turns, replies)
            tokens, shown = read(model, context, N_NEW), features_of(model, *seeds)
            (text,) = model.generate([shown], [tokens], N_NEW, keeps)
            assert isinstance(text, Text)
            assert list(text.token_ids) == plain.greedy(tokens.ids, seeds, CUT)
            assert tokens.n_positions > CUT or n_turns == 1 or i % 2
            replies.append(text.text.strip())
        assert replies[2] == replies[3]


def test_fair_scoring_gives_no_answer_there(short: Path) -> None:
    model = load(short, conv_template="baby_v1")
    whole, cut = said(0, 1, [])[0], said(0, 3, ["a", "b"])[0]
    read(model, whole, N_NEW)
    for refused in (model.read(cut, N_NEW), model.tokenize(cut, "left")):
        assert isinstance(refused, CannotAnswer)
        assert f"is cut off by the original after {CUT} (tokenizer_model_max_length)" in refused.why


def test_an_answer_that_the_original_reads_in_part(short: Path, plain: Plain) -> None:
    """Its loss is the mean over what is left; of an answer of which nothing is left there is none."""
    model = load(short, scoring=Scoring.REFERENCE, conv_template="baby_v1")
    context, seeds = said(1, 2, ["a"])
    n_words = CUT - read(model, context, 1).n_positions
    assert n_words > 0
    answer = " ".join(["left"] * n_words * 2)
    tokens = tokenize(model, context, answer)
    assert tokens.n_positions == CUT
    shown = features_of(model, *seeds)
    expected = plain.loss(tokens.ids, n_words, seeds)
    assert tokens.n_answer == n_words
    assert loglikelihood_of(model, shown, tokens) == pytest.approx(expected, abs=2e-5)
    lost = model.tokenize(said(0, 3, ["a", "b"])[0], "left")
    assert isinstance(lost, CannotAnswer)
    assert "nothing of the answer" in lost.why


def loglikelihood_of(model: Any, shown: Sequence[Features], tokens: Any) -> float:
    loss: float = model.loglikelihood([shown], [tokens])[0].mean_loss
    return loss


def test_a_llama_writes_on_beyond_its_length_in_reference_scoring(build: str, tmp_path: Path, plain: Plain) -> None:
    n_read = read(load(write_v2(tmp_path / "long", tower_weights(build))), ask(QUESTION, PICTURE), 1).n_positions
    limits = {"max_position_embeddings": n_read + 1, "tokenizer_model_max_length": n_read + 1}
    folder = write_v2(tmp_path / "full", tower_weights(build), **limits)
    model = load(folder, scoring=Scoring.REFERENCE, conv_template="baby_v1")
    tokens, shown = read(model, ask(QUESTION, PICTURE), N_NEW), features_of(model, 2)
    (text,) = model.generate([shown], [tokens], N_NEW)
    assert isinstance(text, Text)
    assert list(text.token_ids) == plain.greedy(tokens.ids, [2])
    refused = load(folder, conv_template="baby_v1").read(ask(QUESTION, PICTURE), N_NEW)
    assert isinstance(refused, CannotAnswer)


# ---------------------------------------------------------------- which model a checkpoint is

NAMES = ("vit_scratch", "/home/somebody/epoch_400.pth", "towers/resnext50.pth", "openai/clip-vit-large", "", None)


@pytest.mark.parametrize("named", NAMES)
def test_the_weights_tell_the_tower_and_its_name_does_not(
    named: str | None, build: str, model: LlavaModel, tmp_path: Path
) -> None:
    other = load(write_v2(tmp_path / "other", tower_weights(build), mm_vision_tower=named))
    assert (other.info.family, other.info.template) == ("babyllava", "baby_v1")
    assert torch.equal(features_of(other, 1)[0].data, features_of(model, 1)[0].data)


def test_weights_in_shards_are_told_by_their_index(build: str, folder: Path, model: LlavaModel, tmp_path: Path) -> None:
    """Of a checkpoint as it is saved in several files."""
    weights = weights_in(folder)
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    for file in folder.iterdir():
        if file.suffix == ".json":
            (sharded / file.name).write_bytes(file.read_bytes())
    index: dict[str, str] = {}
    for k, start in enumerate(range(0, len(weights), 20)):
        part = dict(list(weights.items())[start : start + 20])
        save(part, sharded / f"pytorch_model-{k}.bin")
        index |= dict.fromkeys(part, f"pytorch_model-{k}.bin")
    write_json(sharded / "pytorch_model.bin.index.json", {"weight_map": index})
    assert torch.equal(features_of(load(sharded), 1)[0].data, features_of(model, 1)[0].data)


@pytest.mark.parametrize("named", ["vitl16.pth", "/home/somebody/resnext50", TOWER])
def test_a_clip_tower_makes_it_a_llava(named: str, tmp_path: Path) -> None:
    """Under any name, if the weights of CLIP are there."""
    write_tower(tmp_path / "openai" / "clip-small")
    folder = write_llava(
        tmp_path / "llava", own_tower=clip_weights(2), unfreeze_mm_vision_tower=True, mm_vision_tower=named
    )
    if named == TOWER:
        info = load(folder).info
        assert (info.family, info.template) == ("llava", "llava")
    else:
        info = load(folder, vision_tower=tmp_path / TOWER).info
        assert info.family == "llava"


def test_register_and_mask_tokens_are_left_out_and_named(
    build: str, model: LlavaModel, tmp_path: Path, babycli: Babycli
) -> None:
    others = {"register_tokens": torch.ones(1, 4, 32), "mask_token": torch.ones(1, 32)}
    folder = write_v2(tmp_path / "other", tower_weights(build) | others)
    other = load(folder)
    assert torch.equal(features_of(other, 1)[0].data, features_of(model, 1)[0].data)
    note = "of the vision tower's weights not used, as in the original: mask_token, register_tokens"
    assert note in other.info.notes
    assert note in babycli("models", "show", folder).out


def test_a_tower_of_its_own_file(build: str, folder: Path, model: LlavaModel, tmp_path: Path) -> None:
    """As DINOv2's trainer saves it: under "teacher", with heads that are no part of the tower."""
    wrapped = {f"backbone.{name}": w for name, w in tower_weights(build, seed=5).items()}
    heads = {"dino_head.mlp.0.weight": torch.ones(2, 2), "ibot_head.last_layer.weight": torch.ones(2, 2)}
    torch.save({"teacher": wrapped | heads}, tmp_path / "tower.pth")
    other = load(folder, vision_tower=tmp_path / "tower.pth")
    again = load(write_v2(tmp_path / "again", tower_weights(build, seed=5)))
    assert torch.equal(features_of(other, 1)[0].data, features_of(again, 1)[0].data)
    assert not torch.equal(features_of(other, 1)[0].data, features_of(model, 1)[0].data)


def test_what_models_show_says(build: str, folder: Path, babycli: Babycli) -> None:
    out = babycli("models", "show", folder).out
    assert "ViT, 2 layers" + (" with LayerScale" if build == "timm" else "") + ", 50 positions of 32" in out
    says = "baby_v1, as for BabyLLaVA-V2: it reads 8,192 positions, and <eos> ends a text"
    assert f"template         {says}" in out
    assert f"the conversation template is {says}; conv_template= would set another" in out
    chosen = babycli("models", "show", folder, "--model-args", "conv_template=plain").out
    assert "plain, as conv_template= says" in chosen
    assert "unk_token_id" not in out


@pytest.mark.parametrize(
    ("config", "template"),
    [
        ({}, "baby_v1"),
        ({"tokenizer_model_max_length": 4096}, "baby_v1"),
        ({"tokenizer_model_max_length": 2048}, "plain"),  # as the first version was trained
        ({"max_position_embeddings": 2048}, "plain"),
    ],
)
def test_the_template_is_that_of_the_version(config: dict[str, int], template: str, tmp_path: Path) -> None:
    model = load(write_v2(tmp_path / "model", tower_weights("tv"), **config))
    assert model.info.template == template
    assert load(model.info.source, conv_template="v1").info.template == "v1"


def test_a_babyvlm_task_is_asked_with_the_same_template(folder: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    """Two spaces stand before a word, and <eos> behind it: loglikelihood of the leaderboard's wrapper."""
    ran: Ran = evaluate("--model", folder)
    assert ran.code == 0, ran.err
    assert "the conversation template is baby_v1" in ran.err
    samples = next((tmp_path / "logs").rglob("*_samples_labeled_s.jsonl")).read_text()
    assert r" USER: <image>\n ASSISTANT:" in samples
    context = ask("", PICTURE)
    model = load(folder)
    tokens = tokenize(model, context, "ball")
    assert tokens.ids[-1] == EOS
    n = tokens.n_answer
    assert n == len(tokens.ids) - len(read(model, context, 1).ids)
    assert len(branches(model, features_of(model, 0), [[tokens]])) == 1
    assert loglikelihood(model, features_of(model, 0), [tokens])[0].n_tokens == n
