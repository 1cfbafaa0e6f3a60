"""Several pictures in one context, in one turn or more: against the slow path and transformers, alone or in batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from babycli.domain import PICTURE, CannotAnswer, Context, Loglikelihood, Text, ask
from babycli.models.base import Model, Pictures, Tokens
from tests.checkpoints import ROOM, roomy_settings, write_roomy
from tests.llava_checkpoints import TOWER, as_transformers, write_llava, write_tower
from tests.models.dry_run.pretended_device import TO_DEVICE, TO_HOST, PretendedDevice
from tests.models.loading import (
    BALL,
    BLUE,
    CAT,
    N_TOKENS,
    RED,
    WORDS,
    A,
    features_of,
    load,
    picture,
    read,
    tokenize,
)
from tests.models.slow_path import IMAGE, SlowPath
from tests.models.test_llava import direct, expand, pixels_of

EOS = 3
TALK = ask("red <image>", PICTURE).followed_by("ball", PICTURE, "a")
# What is asked, which pictures are shown in its places, and the ids by hand.
CASES: dict[str, tuple[Context, tuple[int, ...], list[int]]] = {
    "two in front": (ask("red", PICTURE, PICTURE), (0, 1), [IMAGE, IMAGE, RED]),
    "the other order": (ask("red", PICTURE, PICTURE), (1, 0), [IMAGE, IMAGE, RED]),
    "one in two places": (ask("red <image> a <image>", PICTURE), (2, 2), [RED, IMAGE, A, IMAGE]),
    "three among words": (
        ask("<image><image> a <image> blue", *[PICTURE] * 3),
        (3, 0, 3),
        [IMAGE, IMAGE, A, IMAGE, BLUE],
    ),
    "two turns": (TALK, (1, 2), [RED, IMAGE, BALL, IMAGE, A]),
    "a picture in the first turn": (
        ask("", PICTURE).followed_by("ball cat", " red"),
        (1,),
        [IMAGE, BALL, CAT, RED],
    ),
    "four turns": (
        TALK.followed_by("", " red").followed_by(" cat", " blue"),
        (0, 3),
        [RED, IMAGE, BALL, IMAGE, A, RED, CAT, BLUE],
    ),
}
ANSWERS = {"ball": [BALL], "red cat": [RED, CAT], "a blue ball": [A, BLUE, BALL]}


@pytest.fixture(scope="module", params=["transformer", "model"])
def trunk(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(trunk: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_roomy(tmp_path_factory.mktemp("several") / trunk, WORDS, trunk=trunk)


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(folder)


@pytest.fixture(scope="module")
def slow(trunk: str, folder: Path) -> SlowPath:
    return SlowPath.of(load_file(folder / "model.safetensors"), trunk, N_TOKENS, **roomy_settings(trunk))


def shown(model: Model, seeds: Sequence[int]) -> Pictures:
    """What the model sees in the places of one context; each picture is encoded once."""
    distinct = list(dict.fromkeys(seeds))
    features = dict(zip(distinct, features_of(model, *distinct), strict=True))
    return tuple(features[seed] for seed in seeds)


def scored(model: Model, rows: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
    scores = model.loglikelihood(rows, tokens)
    return [score for score in scores if isinstance(score, Loglikelihood)]


# ---------------------------------------------------------------- BabyLLaVA


@pytest.mark.parametrize("case", CASES)
def test_ids_and_losses_are_those_of_the_slow_path(case: str, model: Model, slow: SlowPath) -> None:
    context, seeds, ids = CASES[case]
    pixels = [model.preprocess(picture(seed)) for seed in seeds]
    for answer, answer_ids in ANSWERS.items():
        tokens = tokenize(model, context, answer)
        assert list(tokens.ids) == ids + answer_ids
        assert tokens.n_positions == len(ids) + len(answer_ids) + 48 * len(seeds)
        (score,) = scored(model, [shown(model, seeds)], [tokens])
        losses = slow.token_losses(pixels, ids, answer_ids)
        assert [-logprob for logprob in score.token_logprobs] == pytest.approx(losses, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_what_the_slow_path_writes(case: str, model: Model, slow: SlowPath) -> None:
    context, seeds, ids = CASES[case]
    (text,) = model.generate([shown(model, seeds)], [read(model, context, 6)], 6)
    assert isinstance(text, Text)
    pixels = [model.preprocess(picture(seed)) for seed in seeds]
    assert list(text.token_ids) == slow.greedy(pixels, ids, 6, EOS)


def test_the_order_of_pictures_counts(model: Model) -> None:
    context = ask("red", PICTURE, PICTURE)
    tokens = tokenize(model, context, "ball")
    scores = scored(model, [shown(model, seeds) for seeds in ((0, 1), (1, 0), (0, 0))], [tokens] * 3)
    losses = [score.mean_loss for score in scores]
    assert min(abs(losses[0] - losses[1]), abs(losses[0] - losses[2]), abs(losses[1] - losses[2])) > 1e-3


def test_a_batch_of_several_pictures_scores_and_writes_as_its_members_do(model: Model) -> None:
    pairs = [(a, b) for a in range(4) for b in range(3)]
    context = ask("red <image> blue <image>", PICTURE, PICTURE)
    rows = [shown(model, pair) for pair in pairs]
    tokens = [tokenize(model, context, f"{word} ball") for word in (*WORDS, *WORDS)]
    assert len({t.batch_key for t in tokens}) == 1
    together = scored(model, rows, tokens)
    for row, one, score in zip(rows, tokens, together, strict=True):
        (alone,) = scored(model, [row], [one])
        assert score.token_logprobs == pytest.approx(alone.token_logprobs, abs=1e-5)
    asked = read(model, context, 8)
    texts = model.generate(rows, [asked] * len(rows), 8)
    assert list(texts) == [model.generate([row], [asked], 8)[0] for row in rows]
    assert len(set(texts)) > 2


@pytest.mark.parametrize("n_rows", [1, 4])
def test_a_batch_passes_to_a_gpu_and_back_at_once(n_rows: int, folder: Path) -> None:
    context, seeds, _ = CASES["two turns"]
    device = PretendedDevice("meta:1")
    with device.pretending():
        model = load(folder, device="meta:1")
        tokens = [tokenize(model, context, "a blue ball")] * n_rows
        rows = [shown(model, [seed + 10 * i for seed in seeds]) for i in range(n_rows)]
        device.counts.clear()
        model.loglikelihood(rows, tokens)
        assert device.counts[TO_DEVICE] == 2  # what is embedded, and what is scored
        device.counts.clear()
        model.loglikelihood_of_branches(rows, [[one, tokenize(model, context, "ball")] for one in tokens])
    assert device.counts[TO_DEVICE] == 4  # what is embedded, two columns of answers, the places of their logits
    assert device.counts[TO_HOST] == 1  # the scores of all answers


def test_other_places_of_pictures_are_no_batch(model: Model) -> None:
    """Rows of a batch are stacked: their pictures must stand in the same places."""
    keys = {
        tokenize(model, context, "ball").batch_key
        for context in (
            ask("red <image> blue <image>", PICTURE, PICTURE),
            ask("<image> red <image> blue", PICTURE, PICTURE),
            ask("red <image> blue a", PICTURE),
            ask("red <image> blue cat a", PICTURE),
        )
    }
    assert len(keys) == 4


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("keeps", [pytest.param(False, marks=pytest.mark.long), True])
def test_branches_equal_the_plain_path(keeps: bool, case: str, model: Model) -> None:
    context, seeds, _ = CASES[case]
    places = len(seeds)
    rows = [shown(model, [(seed + i) % 4 for seed in seeds]) for i in range(3)]
    tokens = [tokenize(model, context, answer) for answer in ANSWERS]
    model.forget()
    together = model.loglikelihood_of_branches(rows, [tokens] * 3, keeps)
    for row, scores in zip(rows, together, strict=True):
        assert len(row) == places
        for one, score in zip(tokens, scores, strict=True):
            (plain,) = scored(model, [row], [one])
            assert score.token_logprobs == pytest.approx(plain.token_logprobs, abs=1e-5)
            assert score.is_greedy == plain.is_greedy


def test_pictures_that_do_not_fit_are_an_answer(model: Model) -> None:
    """512 positions hold ten pictures of 49 and 22 words."""
    ten, eleven = (ask(" ".join(["<image>"] * n), *[PICTURE] * n) for n in (10, 11))
    assert isinstance(model.tokenize(ten, " ".join(["ball"] * 22)), Tokens)
    assert isinstance(model.read(ten, 22), Tokens)
    for refused in (
        model.tokenize(ten, " ".join(["ball"] * 23)),
        model.read(ten, 23),
        model.tokenize(eleven, "ball"),
        model.read(TALK.followed_by(" ".join(["ball"] * 500), "red"), 1),
    ):
        assert isinstance(refused, CannotAnswer)
        assert f"does not fit the model's {ROOM}" in refused.why


# ---------------------------------------------------------------- LLaVA


LLAVA_TALK = ask("USER: <image> or <image>? ASSISTANT:", PICTURE, PICTURE)
LLAVA_CASES = {
    "two pictures": (LLAVA_TALK, (0, 1)),
    "one in two places": (LLAVA_TALK, (2, 2)),
    "two turns": (LLAVA_TALK.followed_by("ball", "USER: red cat"), (1, 0)),
    "two turns with three": (LLAVA_TALK.followed_by("ball", "USER: ", PICTURE, " cat"), (1, 0, 2)),
}


@pytest.fixture(scope="module")
def llavas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Any]:
    """A LLaVA of the original's format, and the same by transformers' own class."""
    folder = tmp_path_factory.mktemp("llava")
    tower = write_tower(folder / TOWER)
    original = write_llava(folder / "llava")
    return load(original), direct(as_transformers(original, tower, folder / "hf"))


@pytest.mark.parametrize("case", LLAVA_CASES)
def test_llava_scores_several_pictures_as_transformers_does(case: str, llavas: tuple[Model, Any]) -> None:
    model, slow = llavas
    context, seeds = LLAVA_CASES[case]
    pixels = torch.cat([pixels_of(picture(seed)) for seed in seeds])
    row = shown(model, seeds)
    answers = [tokenize(model, context, text) for text in ("ball", "red cat", "blue")]
    for keeps in (False, True):
        (branched,) = model.loglikelihood_of_branches([row], [answers], keeps)
        for tokens, branch in zip(answers, branched, strict=True):
            ids = torch.tensor([expand(tokens.ids, slow.config.image_token_id)])
            with torch.inference_mode():
                logits = slow(input_ids=ids, pixel_values=pixels).logits[0].log_softmax(-1)
            n = tokens.n_answer
            expected = [float(logits[i - 1, ids[0, i]]) for i in range(ids.shape[1] - n, ids.shape[1])]
            (score,) = scored(model, [row], [tokens])
            assert score.token_logprobs == pytest.approx(expected, abs=1e-5)
            assert branch.token_logprobs == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("case", LLAVA_CASES)
def test_llava_writes_about_several_pictures_as_transformers_does(case: str, llavas: tuple[Model, Any]) -> None:
    model, slow = llavas
    context, seeds = LLAVA_CASES[case]
    asked = read(model, context, 6)
    (text,) = model.generate([shown(model, seeds)], [asked], 6)
    assert isinstance(text, Text)
    ids = torch.tensor([expand(asked.ids, slow.config.image_token_id)])
    out = slow.generate(
        input_ids=ids, pixel_values=torch.cat([pixels_of(picture(seed)) for seed in seeds]),
        attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    assert list(text.token_ids) == out[0, ids.shape[1] :].tolist()
