"""LLaVA and BabyLLaVA without a picture, against the language model alone, unbatched and with every logit computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from babycli.domain import Context
from babycli.errors import ModelError
from babycli.models.base import Model
from tests.checkpoints import gpt2_settings, llama_settings, write_checkpoint
from tests.llava_checkpoints import N_TOKENS as LLAVA_N_TOKENS
from tests.llava_checkpoints import TOWER, write_llava, write_tower
from tests.models.loading import (
    BALL,
    BLUE,
    CAT,
    N_TOKENS,
    RED,
    WORDS,
    A,
    asked,
    branches,
    edit_json,
    features_of,
    load,
    pictures,
    score,
    tokenize,
    written,
)

SOS, EOS = 2, 3
TRUNKS = ("transformer", "model")
ANSWERS = {"ball": [BALL], "red cat": [RED, CAT]}
# What is left of a prompt; where nothing is, the token that begins a text.
PROMPTS = {"red <image> a": [RED, A], "blue": [BLUE], "": [SOS]}


def hidden(prompt: str) -> Context:
    """What a model is asked blind: the same words, and no picture."""
    return asked(prompt).without_images()


@pytest.fixture(scope="module", params=TRUNKS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("blind") / request.param, WORDS, trunk=request.param, seed=5)


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(folder)


@pytest.fixture(scope="module")
def alone(folder: Path) -> Any:
    """transformers' own language model with the checkpoint's weights; it has never heard of pictures."""
    return language_model(folder, N_TOKENS)


def language_model(folder: Path, n_tokens: int, **settings: Any) -> Any:
    weights = load_file(folder / "model.safetensors")
    is_gpt2 = any(name.startswith("transformer.h.") for name in weights)
    text: Any = GPT2LMHeadModel(GPT2Config(**gpt2_settings(n_tokens) | settings)) if is_gpt2 else None
    text = text or LlamaForCausalLM(LlamaConfig(**llama_settings(n_tokens) | settings))
    text.load_state_dict({n: w for n, w in weights.items() if "mm_projector" not in n and "vision" not in n}, False)
    text.tie_weights()
    return text.eval()


def losses(text: Any, context: list[int], answer: list[int]) -> list[float]:
    """The cross entropy of each id of the answer after the context."""
    with torch.no_grad():
        logits = text(torch.tensor([[*context, *answer]])).logits[0].float()
    found: list[float] = F.cross_entropy(logits[len(context) - 1 : -1], torch.tensor(answer), reduction="none").tolist()
    return found


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_blind_score_is_that_of_the_language_model_alone(answer: str, prompt: str, model: Model, alone: Any) -> None:
    tokens = tokenize(model, hidden(prompt), answer)
    assert list(tokens.ids) == [*PROMPTS[prompt], *ANSWERS[answer]]
    assert tokens.n_image_positions == 0
    found = score(model, answer, prompt=hidden(prompt))
    assert [-x for x in found.token_logprobs] == pytest.approx(
        losses(alone, PROMPTS[prompt], ANSWERS[answer]), abs=1e-5
    )


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_blind_prefix_read_once_gives_the_same(prompt: str, model: Model, alone: Any) -> None:
    row = [tokenize(model, hidden(prompt), answer) for answer in ANSWERS]
    (found,) = branches(model, features_of(model, 0), [row], hidden(prompt))
    for ids, one in zip(ANSWERS.values(), found, strict=True):
        assert [-x for x in one.token_logprobs] == pytest.approx(losses(alone, PROMPTS[prompt], ids), abs=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_blind_caption_is_the_language_models_own(prompt: str, model: Model, alone: Any) -> None:
    ids = list(PROMPTS[prompt])
    while len(ids) < len(PROMPTS[prompt]) + 4 and EOS not in ids:
        with torch.no_grad():
            ids.append(int(alone(torch.tensor([ids])).logits[0, -1].argmax()))
    (found,) = written(model, features_of(model, 0), hidden(prompt), 4)
    assert list(found.token_ids) == ids[len(PROMPTS[prompt]) :]


def test_the_picture_has_no_part_in_it(model: Model) -> None:
    for prompt in PROMPTS:
        assert hidden(prompt).places == hidden(prompt).images == ()
        assert pictures(features_of(model, 0, 1, 2), hidden(prompt)) == [(), (), ()]
    assert score(model, "ball", 0, hidden("")) == score(model, "ball", 1, hidden(""))
    assert score(model, "ball", seed=0) != score(model, "ball", seed=1)
    assert model.render(hidden("red <image> a")) == "red  a"
    assert model.render(asked("red <image> a")) == "red <image> a"  # the model that sees is as it was
    assert model.info.abilities.blind == "no image tokens"


def test_llava_is_blind_too(tmp_path: Path) -> None:
    write_tower(tmp_path / TOWER)
    folder = write_llava(tmp_path / "llava")
    model = load(folder, conv_template="v1")
    settings = {"bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 256}
    alone = language_model(folder, LLAVA_N_TOKENS, **settings)
    context = hidden("What's the object? <image>")
    tokens = tokenize(model, context, "ball")
    given, answer = list(tokens.ids[: -tokens.n_answer]), list(tokens.ids[-tokens.n_answer :])
    assert given[0] == 1
    assert min(tokens.ids) >= 0
    assert "<image>" not in model.render(context)
    found = score(model, "ball", prompt=context)
    assert [-x for x in found.token_logprobs] == pytest.approx(losses(alone, given, answer), abs=1e-5)


def test_a_tokenizer_with_nothing_to_begin_with_needs_words(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, seed=5)
    edit_json(folder / "tokenizer_config.json", bos_token=None, eos_token=None)
    model = load(folder)
    assert list(tokenize(model, hidden("blue"), "ball").ids) == [BLUE, BALL]
    for ask in (
        lambda: tokenize(model, hidden(""), "ball"),
        lambda: written(model, features_of(model, 0), hidden(""), 2),
    ):
        with pytest.raises(ModelError, match="no token to begin with") as caught:
            ask()
        assert "--prompt" in caught.value.mend
