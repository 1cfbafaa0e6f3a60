"""A prefix that is read once for all texts behind it gives the scores of the plain path, which reads it for each."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from babycli.models.base import Model, Tokens
from tests.checkpoints import write_checkpoint
from tests.llava_checkpoints import TOWER, write_llava, write_tower
from tests.models.loading import WORDS, branches, features_of, load, loglikelihood, tokenize, written

TEXTS = ["ball", "red ball", "blue cat", "a red ball .", "cat", "a", "blue blue blue ball cat ."]


@pytest.fixture(scope="module", params=["gpt2", "llama", "llava"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("prefixes") / request.param
    if request.param == "llava":
        write_tower(folder.parent / TOWER)
        write_llava(folder)
    else:
        write_checkpoint(folder, WORDS, trunk={"gpt2": "transformer", "llama": "model"}[request.param], seed=4)
    loaded = load(folder)
    assert loaded.info.abilities.shares_prefixes
    return loaded


def losses(model: Model, seeds: list[int], rows: list[list[Tokens]]) -> list[list[tuple[float, ...]]]:
    scored = branches(model, features_of(model, *seeds), rows)
    return [[score.token_logprobs for score in row] for row in scored]


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS[:1],
        TEXTS,
        [TEXTS[-1]] * 2,
        *(pytest.param(texts, marks=pytest.mark.long) for texts in (TEXTS[1:3], TEXTS[:2], TEXTS[::-1])),
    ],
)
@pytest.mark.parametrize("prompt", [pytest.param("", marks=pytest.mark.long), "red"])
def test_branches_equal_the_plain_path(model: Model, texts: list[str], prompt: str) -> None:
    seeds = [0, 1, 2]
    rows = [[tokenize(model, prompt, text) for text in texts] for _ in seeds]
    branched = losses(model, seeds, rows)
    for seed, row in zip(seeds, branched, strict=True):
        for text, found in zip(texts, row, strict=True):
            (plain,) = loglikelihood(model, features_of(model, seed), [tokenize(model, prompt, text)])
            assert found == pytest.approx(plain.token_logprobs, abs=1e-5)
            assert len(found) == plain.n_tokens


def test_a_branch_does_not_see_its_neighbours(model: Model) -> None:
    rng = random.Random(3)
    wanted = tokenize(model, "", "red ball")
    found = set()
    for _ in range(6):
        others = [tokenize(model, "", text) for text in rng.sample(TEXTS, rng.randrange(1, 4))]
        place = rng.randrange(len(others) + 1)
        row = [*others[:place], wanted, *others[place:]]
        found.add(tuple(round(x, 4) for x in losses(model, [5], [row])[0][place]))
    assert len(found) == 1


def test_whether_an_answer_is_greedy_is_the_same(model: Model) -> None:
    texts = [*WORDS, "ball ball"]
    tokens = [tokenize(model, "", text) for text in texts]
    features = features_of(model, *range(8))
    together = branches(model, features, [tokens] * 8)
    for seen, row in zip(features, together, strict=True):
        assert [s.is_greedy for s in row] == [loglikelihood(model, [seen], [t])[0].is_greedy for t in tokens]
    if len(tokens[0].ids) - tokens[0].n_answer == len(tokens[1].ids) - tokens[1].n_answer == 1:
        assert all(sum(s.is_greedy for s in row[: len(WORDS)]) <= 1 for row in together)


def test_an_answer_without_tokens_is_no_score(model: Model) -> None:
    whole = tokenize(model, "", "ball")
    n_prefix = len(whole.ids) - whole.n_answer
    empty = Tokens(whole.ids[:n_prefix], 0, "empty")
    (row,) = branches(model, features_of(model, 0), [[empty, whole]])
    assert row[0].token_logprobs == ()
    assert not row[0].is_finite
    assert row[1].token_logprobs == pytest.approx(losses(model, [0], [[whole]])[0][0], abs=1e-6)
    ((alone,),) = branches(model, features_of(model, 0), [[empty]])
    assert alone.token_logprobs == ()


def test_half_precision_goes_the_same_way() -> None:
    for dtype in ("float16", "bfloat16"):
        model = load("babyllava-tiny", dtype=dtype)
        row = [tokenize(model, "", text) for text in TEXTS[1:4]]
        found = losses(model, [0], [row])[0]
        for tokens, logprobs in zip(row, found, strict=True):
            (plain,) = loglikelihood(model, features_of(model, 0), [tokens])
            assert logprobs == pytest.approx(plain.token_logprobs, rel=0.05, abs=0.1)


@pytest.mark.parametrize("trunk", ["transformer", "model"])
def test_device_map_auto_gives_the_same_scores(trunk: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "spread", WORDS, trunk=trunk, seed=4)
    found = []
    for model in (load(folder), load(folder, device_map="auto")):
        row = [tokenize(model, "", text) for text in TEXTS]
        scored = losses(model, [0, 1], [row, row])
        found.append((scored, written(model, features_of(model, 0), "", 5)))
    assert found[0] == found[1]
