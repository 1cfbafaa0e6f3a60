"""Scores and captions of small models, against the slow path: the same network written out once more, unbatched."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from babycli.domain import CannotAnswer
from babycli.errors import ModelError
from babycli.models.base import Model
from tests.checkpoints import SPECIAL, weights_of, write_checkpoint
from tests.models.loading import (
    BALL,
    BLUE,
    CAT,
    DOT,
    N_TOKENS,
    RED,
    WORDS,
    A,
    asked,
    edit_json,
    features_of,
    load,
    loglikelihood,
    picture,
    tokenize,
    write_json,
    written,
)
from tests.models.loading import score as score_alone
from tests.models.slow_path import IMAGE, SlowPath

EOS = 3
TRUNKS = ("transformer", "model")
SEEDS = {"transformer": 19, "model": 6}  # of weights that say something else about each of the pictures 0 to 3
ANSWERS = {"ball": [BALL], "red cat": [RED, CAT], "a blue ball .": [A, BLUE, BALL, DOT]}
PROMPTS = {"": [IMAGE], "red <image> a": [RED, IMAGE, A]}


@pytest.fixture(scope="module", params=TRUNKS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(
        tmp_path_factory.mktemp(request.param) / "model", WORDS, trunk=request.param, seed=SEEDS[request.param]
    )


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(folder)


@pytest.fixture(scope="module")
def slow(folder: Path) -> SlowPath:
    return slow_path_of(folder)


def slow_path_of(folder: Path, **settings: Any) -> SlowPath:
    weights = load_file(folder / "model.safetensors")
    trunk = "transformer" if any(name.startswith("transformer.h.") for name in weights) else "model"
    return SlowPath.of(weights, trunk, N_TOKENS, **settings)


# ---------------------------------------------------------------- one answer


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_scores_as_on_the_slow_path(answer: str, prompt: str, model: Model, slow: SlowPath) -> None:
    result = score_alone(model, answer, seed=1, prompt=prompt)
    losses = slow.token_losses(model.preprocess(picture(1)), PROMPTS[prompt], ANSWERS[answer])
    assert [-logprob for logprob in result.token_logprobs] == pytest.approx(losses, abs=1e-5)
    assert result.mean_loss == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    assert result.logprob_sum == pytest.approx(-sum(losses), abs=1e-5)


def test_the_score_depends_on_the_picture_and_on_the_answer(model: Model) -> None:
    """The numbers that agree above are not all the same number."""
    losses = {(a, seed): score_alone(model, a, seed).mean_loss for a in ("ball", "cat") for seed in (0, 1)}
    assert len({round(loss, 3) for loss in losses.values()}) == 4


def test_an_answer_is_greedy_when_each_word_is_the_first_choice(model: Model, slow: SlowPath) -> None:
    pixels = model.preprocess(picture(2))
    words = (*SPECIAL, *WORDS)
    first, second = slow.greedy(pixels, [IMAGE], 2, stop=-1)
    other = next(i for i in range(4, N_TOKENS) if i not in (first, second))
    assert score_alone(model, f"{words[first]} {words[second]}", seed=2).is_greedy
    assert not score_alone(model, f"{words[other]} {words[second]}", seed=2).is_greedy
    assert not score_alone(model, f"{words[first]} {words[other]}", seed=2).is_greedy


def test_the_terminator_is_scored_as_part_of_the_answer(folder: Path, slow: SlowPath) -> None:
    model = load(folder, conv_template="baby_plain")
    result = score_alone(model, "red cat", seed=1)
    losses = slow.token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT, EOS])
    assert [-logprob for logprob in result.token_logprobs] == pytest.approx(losses, abs=1e-5)


# ---------------------------------------------------------------- batches


def test_a_batch_scores_as_its_members_do(model: Model) -> None:
    answers = [f"{first} {second}" for first in WORDS for second in WORDS[:2]]
    features = features_of(model, *range(len(answers)))
    tokens = [tokenize(model, "", answer) for answer in answers]
    assert len({t.batch_key for t in tokens}) == 1
    together = loglikelihood(model, features, tokens)
    for i, answer in enumerate(answers):
        alone = score_alone(model, answer, seed=i)
        assert together[i].token_logprobs == pytest.approx(alone.token_logprobs, abs=1e-5)
        assert together[i].is_greedy == alone.is_greedy


def test_captions_in_a_batch_are_those_of_each_picture_alone(model: Model) -> None:
    together = written(model, features_of(model, 0, 1, 2, 3), "", 8)
    alone = [written(model, features_of(model, seed), "", 8)[0] for seed in range(4)]
    assert together == alone
    assert len({caption.token_ids for caption in alone}) == 4


# ---------------------------------------------------------------- captions


@pytest.mark.parametrize("n_new", [1, 4, 25])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_caption_is_the_greedy_one(seed: int, n_new: int, model: Model, slow: SlowPath) -> None:
    (caption,) = written(model, features_of(model, seed), "", n_new)
    expected = slow.greedy(model.preprocess(picture(seed)), [IMAGE], n_new, EOS)
    assert list(caption.token_ids) == expected
    assert len(caption.token_ids) <= n_new
    assert caption.is_finite
    words = [WORDS[i - 4] for i in expected if i >= 4]
    assert caption.text == " ".join(words).replace(" .", ".").strip()


@pytest.mark.parametrize("declared_in", ["config.json", "generation_config.json"])
def test_a_caption_ends_with_its_stop_token(declared_in: str, tmp_path: Path) -> None:
    """Any id may be declared to end a text: take the one that comes third, and nothing may follow it."""
    folder = write_checkpoint(tmp_path / "model", WORDS, seed=SEEDS["transformer"])
    slow, model = slow_path_of(folder), load(folder)
    pixels = [model.preprocess(picture(seed)) for seed in range(4)]
    stop = slow.greedy(pixels[0], [IMAGE], 3, stop=-1)[2]
    write_json(folder / "generation_config.json", {"eos_token_id": [stop]} if declared_in.startswith("gen") else {})
    if declared_in == "config.json":
        edit_json(folder / "config.json", eos_token_id=stop)
    model = load(folder)
    captions = written(model, model.encode(pixels), "", 12)
    assert [list(caption.token_ids) for caption in captions] == [slow.greedy(p, [IMAGE], 12, stop) for p in pixels]
    assert [caption.token_ids[-1] for caption in captions] == [stop] * 4
    assert len({len(caption.token_ids) for caption in captions}) > 1


def test_sampling_settings_of_a_checkpoint_do_not_make_captions_random(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, seed=SEEDS["transformer"])
    model = load(folder)
    greedy = written(model, features_of(model, 1, 2), "", 10)
    settings = '{"do_sample": true, "temperature": 9.0, "top_p": 0.9, "num_beams": 4, "max_length": 3}'
    (folder / "generation_config.json").write_text(settings)
    model = load(folder)
    assert written(model, features_of(model, 1, 2), "", 10) == greedy


# ---------------------------------------------------------------- what config.json says of the language model


@pytest.mark.parametrize(
    ("trunk", "settings"),
    [
        ("transformer", {"activation_function": "relu"}),
        ("transformer", {"layer_norm_epsilon": 0.1}),
        ("transformer", {"scale_attn_by_inverse_layer_idx": True}),
        ("transformer", {"attn_pdrop": 0.9, "embd_pdrop": 0.9, "resid_pdrop": 0.9}),
        ("model", {"rms_norm_eps": 0.1}),
        ("model", {"hidden_act": "gelu"}),
        ("model", {"num_attention_heads": 4, "num_key_value_heads": 4}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_settings_reach_the_language_model(trunk: str, settings: dict[str, Any], tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path / "model", WORDS, trunk=trunk, seed=6, config=settings))
    slow = slow_path_of(tmp_path / "model", **settings)
    losses = slow.token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT])
    assert score_alone(model, "red cat", seed=1).mean_loss == pytest.approx(sum(losses) / 2, abs=1e-5)
    changes = {"attn_pdrop"}.isdisjoint(settings)
    plain = slow_path_of(tmp_path / "model").token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT])
    assert (abs(sum(losses) - sum(plain)) > 1e-3) == changes


def test_rope_theta_reaches_llama(tmp_path: Path) -> None:
    """Old configs have it at the top; today's transformers keeps it in rope_parameters."""
    model = load(write_checkpoint(tmp_path / "model", WORDS, trunk="model", seed=6, config={"rope_theta": 50.0}))
    slow = slow_path_of(tmp_path / "model", rope_parameters={"rope_type": "default", "rope_theta": 50.0})
    losses = slow.token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT])
    assert score_alone(model, "red cat", seed=1).mean_loss == pytest.approx(sum(losses) / 2, abs=1e-5)
    plain = slow_path_of(tmp_path / "model").token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT])
    assert abs(sum(losses) - sum(plain)) > 1e-3


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.02), ("bfloat16", 0.15)])
def test_half_precision_is_near_float32(dtype: str, tolerance: float, trunk: str, tmp_path: Path) -> None:
    weights = weights_of(trunk, N_TOKENS, 1, mean_scale=0.4)  # the default's features exceed float16's range
    folder = write_checkpoint(tmp_path / "model", WORDS, trunk=trunk, weights=weights)
    exact, half = load(folder), load(folder, dtype=dtype)
    assert half.info.dtype == dtype
    features, exact_features = features_of(half, 0), features_of(exact, 0)
    for answer in ANSWERS:
        (wanted,) = loglikelihood(exact, exact_features, [tokenize(exact, "", answer)])
        (got,) = loglikelihood(half, features, [tokenize(half, "", answer)])
        assert got.mean_loss == pytest.approx(wanted.mean_loss, abs=tolerance)
        # Computed in float32 from the logits on: a logarithm of half precision would be a half-precision number.
        assert any(float(torch.tensor(x).to(getattr(torch, dtype))) != x for x in got.token_logprobs)
    (caption,) = written(half, features, "", 5)
    assert caption.is_finite
    assert len(caption.token_ids) <= 5


# ---------------------------------------------------------------- NaN


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("part", ["vision_tower.vision_tower.conv1.weight", "mm_projector.0.bias"])
def test_nan_weights_give_nothing_that_can_win(part: str, trunk: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, trunk=trunk)
    weights = load_file(folder / "model.safetensors")
    weights[f"{trunk}.{part}"].fill_(math.nan)
    model = load(write_checkpoint(tmp_path / "broken", WORDS, trunk=trunk, weights=weights))
    assert any("NaN" in note for note in model.info.notes)
    for answer in (*ANSWERS, "<pad>"):  # where all is NaN, torch's argmax is 0, the id of <pad>
        result = score_alone(model, answer)
        assert not result.is_finite
        assert math.isnan(result.mean_loss)
        assert not result.is_greedy
    (caption,) = written(model, features_of(model, 0), "", 4)
    assert not caption.is_finite


def test_one_nan_row_of_the_vocabulary_spoils_every_probability(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, trunk="model")
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][CAT] = math.nan
    model = load(write_checkpoint(tmp_path / "broken", WORDS, trunk="model", weights=weights))
    for answer in ("ball", "cat"):  # torch's argmax takes NaN for the largest, so "cat" would be the first choice
        result = score_alone(model, answer)
        assert not result.is_finite
        assert not result.is_greedy


# ---------------------------------------------------------------- limits


def test_an_answer_without_tokens_is_no_score(model: Model) -> None:
    """Nothing was asked, so nothing may look like an answer: an error, or a score that is not finite."""
    with contextlib.suppress(ModelError):
        result = score_alone(model, " ")
        assert math.isnan(result.mean_loss)
        assert not result.is_finite


@pytest.mark.parametrize(("n_words", "fits"), [(79, True), (80, False)])
def test_a_sequence_may_fill_the_models_positions(n_words: int, fits: bool, model: Model) -> None:
    """128 positions, of which a picture takes 49."""
    answer = " ".join(["ball"] * n_words)
    if fits:
        assert len(score_alone(model, answer).token_logprobs) == n_words
    else:
        refused = model.tokenize(asked(), answer)
        assert isinstance(refused, CannotAnswer)
        assert re.search(r"129.*128", refused.why)
