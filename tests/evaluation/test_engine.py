"""The plan and the engine, on a model that notes what it is asked."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import pytest
from PIL import Image

from babycli.domain import Answer, CannotAnswer, Context, ImageRef, Loglikelihood, Request, Score, Text, Write, ask
from babycli.evaluation import engine
from babycli.evaluation.memory import Batching
from babycli.evaluation.plan import Ask, Keys, make_plan
from babycli.evaluation.timings import PHASES, as_table
from babycli.logs.answers import Answered, Key, ScoreKey
from babycli.models.base import Pictures, Tokens
from tests.evaluation.fakes import BranchingModel, FakeModel

EMPTY: Mapping[Key, Answered] = {}


def ref(n: int, source: str = "saycam") -> ImageRef:
    return ImageRef(source, f"{n}.png")


def score(image: ImageRef, prompt: str, answer: str) -> Score:
    return Score(ask(prompt, image), answer)


def write(image: ImageRef, prompt: str, max_new_tokens: int) -> Write:
    return Write(ask(prompt, image), max_new_tokens)


def key(name: str, prompt: str, answer: str) -> Key:
    """The key of a request about the picture of a digest."""
    return key_of(score(ImageRef("saycam", name.removeprefix("sha-")), prompt, answer))


def wish(name: str, prompt: str, max_new_tokens: int) -> Key:
    return key_of(write(ImageRef("saycam", name.removeprefix("sha-")), prompt, max_new_tokens))


def key_of(request: Request) -> Key:
    return Keys(sha256_of([request])).of(request)


def sha256_of(requests: Iterable[Request]) -> dict[ImageRef, str]:
    return {image: f"sha-{image.name}" for request in requests for image in request.context.images}


def shade_of(request: Request) -> int:
    (image,) = request.context.images
    return int(image.name.removesuffix(".png"))


def picture(image: ImageRef) -> Image.Image:
    return Image.new("RGB", (4, 4), (int(image.name.removesuffix(".png")), 0, 0))


def run(
    requests: list[Request], model: FakeModel, batch_size: int, done: Mapping[Key, Answered] = EMPTY, reuse: bool = True
) -> dict[Key, Answer]:
    plan = make_plan(requests, sha256_of(requests))
    return engine.settled(plan, {**done, **run_raw(requests, model, batch_size, done, reuse)})


def run_raw(
    requests: list[Request], model: FakeModel, batch_size: int, done: Mapping[Key, Answered] = EMPTY, reuse: bool = True
) -> dict[Key, Answered]:
    """What is handed over, in its order."""
    scores: dict[Key, Answered] = {}

    def keep(answered: Answered) -> None:
        assert answered.key not in scores, "scored twice"
        assert answered.key not in done, "scored although it was done"
        scores[answered.key] = answered

    plan = make_plan(requests, sha256_of(requests))
    engine.run(plan.units(batch_size, done), model, picture, engine.How(Batching(batch_size), reuse), done, keep)
    return scores


def answers_of(asks: Iterable[Ask]) -> list[str]:
    return [ask.key.answer for ask in asks if isinstance(ask.key, ScoreKey)]


def test_the_plan_holds_each_distinct_request_once() -> None:
    twice: list[Request] = [
        score(ref(1), "", "red ball"),
        score(ref(2), "", "red ball"),
        score(ref(1, "elsewhere"), "", "red ball"),
        score(ref(1), "", "blue ball"),
        write(ref(1), "", 25),
    ]
    plan = make_plan(twice, sha256_of(twice))
    assert [([*item.images], answers_of(item.scores), len(item.writes)) for item in plan.work] == [
        (["sha-2.png"], ["red ball"], 0),
        (["sha-1.png"], ["red ball", "blue ball"], 1),
    ]
    assert plan.n_requests == 4


def test_every_request_is_answered_with_its_own_score_whatever_the_batch() -> None:
    rng = random.Random(5)
    texts = ["a", "bb", "ball", "cup", "red ball", "a cup"]
    requests: list[Request] = [score(ref(rng.randrange(40)), "", rng.choice(texts)) for _ in range(200)]
    requests += [write(ref(n), "", 9) for n in range(11)]
    expected: dict[Key, Answer] = {}
    for request in requests:
        shade = shade_of(request)
        if isinstance(request, Score):
            expected[key_of(request)] = Loglikelihood((-(shade + len(request.answer)),), False)
        else:
            expected[key_of(request)] = Text(f"({shade}, 0, 0)"[:9], (), True)
    for batch_size in (1, 2, 7, 64, 1000):
        model = FakeModel(lambda pixel, text: pixel[0] + len(text))
        assert run(requests, model, batch_size) == expected
        distinct_images = {request.context.images for request in requests}
        assert model.encoded == len(distinct_images), "an image was encoded twice"


def test_batches_are_full_until_the_last() -> None:
    model = FakeModel(lambda pixel, text: 1.0)
    run([score(ref(n), "", "ball") for n in range(10)], model, 4)
    assert model.batches == [4, 4, 2]


def test_pictures_that_a_model_cannot_tell_apart_tie() -> None:
    class Blind(FakeModel):
        def preprocess(self, image: Image.Image) -> str:
            return "nothing"

    noise = random.Random(1)
    scores = run([score(ref(n), "", "ball") for n in range(10)], Blind(lambda *_: noise.random()), 4)
    assert len(scores) == 10
    assert len(set(scores.values())) == 1


def test_texts_with_the_same_ids_tie() -> None:
    class Forgetful(FakeModel):
        def tokenize(self, context: Context, answer: str) -> Tokens | CannotAnswer:
            return super().tokenize(context, "?" * len(answer))

    noise = random.Random(1)
    model = Forgetful(lambda pixel, text: noise.random())
    scores = run([score(ref(1), "", "cup"), score(ref(1), "", "car")], model, 2)
    assert scores[key("sha-1.png", "", "cup")] == scores[key("sha-1.png", "", "car")]


@pytest.mark.parametrize("kind", [FakeModel, BranchingModel])
def test_equal_ids_of_which_more_are_answer_have_a_score_of_their_own(kind: type[FakeModel]) -> None:
    class Counting(kind):  # type: ignore[valid-type, misc]
        """Its scores say how many letters are scored."""

        def _score(self, row: Pictures, tokens: Tokens) -> Loglikelihood:
            return Loglikelihood((-float(tokens.n_answer),), False)

    splits = [("", "abcd"), ("a", "bcd"), ("abc", "d")]
    requests: list[Request] = [score(ref(1), prompt, answer) for prompt, answer in splits]
    scores = run(requests, Counting(lambda *_: 0.0), 8)
    assert [scores[key_of(request)] for request in requests] == [Loglikelihood((-n,), False) for n in (4.0, 3.0, 1.0)]


def test_what_was_scored_before_a_crash_has_been_handed_over() -> None:
    def broken_after(limit: int) -> FakeModel:
        seen = 0

        def loss(pixel: object, text: str) -> float:
            nonlocal seen
            seen += 1
            if seen > limit:
                raise RuntimeError("the GPU fell over")
            return 1.0

        return FakeModel(loss)

    requests: list[Request] = [score(ref(n), "", "ball") for n in range(12)]
    kept: list[Key] = []
    units = make_plan(requests, sha256_of(requests)).units(4)
    with pytest.raises(RuntimeError, match="fell over"):
        engine.run(units, broken_after(8), picture, engine.How(Batching(4)), (), lambda s: kept.append(s.key))
    assert kept == [key(f"sha-{n}.png", "", "ball") for n in range(8)]


def test_a_generation_is_asked_for_by_prompt_and_length() -> None:
    requests: list[Request] = [write(ref(1), "", 3), write(ref(1), "", 5)]
    scores = run(requests, FakeModel(lambda *_: 0.0), 4)
    assert scores[wish("sha-1.png", "", 3)] == Text("(1,", (), True)
    assert scores[wish("sha-1.png", "", 5)] == Text("(1, 0", (), True)


TEXTS = ["a", "bb", "ball", "cup", "red ball", "a cup"]


def some_requests(seed: int) -> list[Request]:
    rng = random.Random(seed)
    prompts = ["", "what? "]
    requests: list[Request] = [
        score(ref(rng.randrange(30)), rng.choice(prompts), rng.choice(TEXTS)) for _ in range(200)
    ]
    return requests + [write(ref(n), "", 9) for n in range(11)]


@pytest.mark.parametrize("batch_size", [1, 3, 16, 100])
def test_each_prefix_is_read_once_and_scores_are_those_of_the_plain_path(batch_size: int) -> None:
    requests = some_requests(7)
    model = BranchingModel(lambda pixel, text: pixel[0] + len(text))
    scores = run(requests, model, batch_size)
    assert scores == run(requests, FakeModel(lambda pixel, text: pixel[0] + len(text)), batch_size)
    assert len(model.prefixes) == len(set(model.prefixes))
    assert len(model.prefixes) == make_plan(requests, sha256_of(requests)).n_prefixes
    plain = BranchingModel(lambda pixel, text: pixel[0] + len(text))
    assert run(requests, plain, batch_size, reuse=False) == scores
    assert not plain.prefixes


def test_a_prefix_with_very_many_texts_is_read_again_for_some() -> None:
    requests: list[Request] = [score(ref(1), "", f"{i:08}") for i in range(100)]
    model = BranchingModel(lambda pixel, text: float(text))
    scores = run(requests, model, 4)
    assert [scores[key("sha-1.png", "", f"{i:08}")] for i in range(100)] == [
        Loglikelihood((-float(i),), False) for i in range(100)
    ]
    assert len(model.prefixes) == 13  # 8 texts of 8 letters each: engine.MAX_BRANCH_TOKENS


@pytest.mark.parametrize("kind", [FakeModel, BranchingModel])
@pytest.mark.parametrize("n_done", [0, 1, 17, 60, 10_000])
def test_what_is_done_is_not_done_again_and_batches_stay_as_they_were(kind: type[FakeModel], n_done: int) -> None:
    requests = some_requests(8)

    def batch_dependent() -> FakeModel:
        """Its scores tell the size of the batch in which they were computed, as rounding does."""
        model = kind(lambda pixel, text: 0.0)
        model.loss = lambda pixel, text: pixel[0] + len(text) + model.batches[-1] * 1e-6
        return model

    whole = run_raw(requests, batch_dependent(), 8)
    done = dict(list(whole.items())[:n_done])
    model = batch_dependent()
    rest = run_raw(requests, model, 8, done)
    assert list({**done, **rest}.items()) == list(whole.items())
    if n_done >= len(whole):
        assert model.encoded == 0


def test_timings_tell_where_the_time_went() -> None:
    how = engine.How(Batching(4))
    requests = some_requests(9)
    units = make_plan(requests, sha256_of(requests)).units(4)
    engine.run(units, BranchingModel(lambda *_: 0.0), picture, how, (), lambda answered: None)
    seconds = how.timings.seconds
    assert all(seconds[phase] > 0 for phase in ("decode", "preprocess", "vision", "prefix", "continuation", "generate"))
    table = as_table(seconds)
    assert [line.split()[0] for line in table.splitlines()] == ["phase", *PHASES, "sum"]
