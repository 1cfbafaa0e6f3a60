"""The engine on contexts of several pictures and turns: what is encoded, what is kept, and what cannot be answered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from babycli.domain import (
    NO_PICTURE,
    Answer,
    CannotAnswer,
    Context,
    ImageRef,
    Loglikelihood,
    Request,
    Score,
    Text,
    Write,
    ask,
)
from babycli.evaluation import engine
from babycli.evaluation.memory import Batching
from babycli.evaluation.plan import Keys, make_plan
from babycli.evaluation.prefetch import FeatureStore
from babycli.logs.answers import Answered, Key, ScoreKey, merged, to_line
from babycli.models.base import Features, ModelInfo, Pictures, Tokens
from tests.evaluation.fakes import BRANCHING, INFO, BranchingModel, FakeModel

PLENTY = 1 << 40
TEXTS = ["a", "bb", "ball", "cup", "red ball"]
PROMPTS = ["", "what? ", "Is it <image>?", "<image> or <image>?"]
KEEPING = replace(BRANCHING, abilities=replace(BRANCHING.abilities, keeps_prefixes=True))


def ref(shade: int) -> ImageRef:
    return ImageRef("saycam", f"{shade}.png")


def shade_of(image: ImageRef) -> int:
    return int(image.name.removesuffix(".png"))


def sha256_of(requests: Iterable[Request]) -> dict[ImageRef, str]:
    return {image: f"sha-{image.name}" for request in requests for image in request.context.images}


def picture(image: ImageRef) -> Image.Image:
    return Image.new("RGB", (4, 4), (shade_of(image), 0, 0))


def how(batch_size: int = 4, room: int = PLENTY, reuse: bool = True) -> engine.How:
    return engine.How(Batching(batch_size), reuse, features=FeatureStore(room))


def run(
    requests: Sequence[Request],
    model: FakeModel,
    with_what: engine.How,
    going_on: Collection[Request] = (),
    done: Mapping[Key, Answered] | None = None,
) -> dict[Key, Answered]:
    """What is handed over."""
    done = done or {}
    answered: dict[Key, Answered] = {}

    def keep(one: Answered) -> None:
        assert one.key not in answered, "answered twice"
        assert one.key not in done, "answered although it was done"
        answered[one.key] = one

    plan = make_plan(requests, sha256_of(requests), going_on)
    engine.run(plan.units(with_what.batching.unit_images, done), model, picture, with_what, done, keep)
    return answered


def settled(requests: Sequence[Request], answered: Mapping[Key, Answered]) -> list[Answer]:
    """The answer of each request."""
    answers = engine.settled(make_plan(requests, sha256_of(requests)), answered)
    keys = Keys(sha256_of(requests))
    return [answers[keys.of(request)] for request in requests]


def loss(seen: Any, text: str) -> float:
    """Another one for each order of pictures, and for each text; ``seen`` is a colour, or several."""
    shades = [seen] if seen and isinstance(seen[0], int) else list(seen)
    return float(sum((i + 1) * pixel[0] for i, pixel in enumerate(shades)) + len(text) / 100)


def by_hand(request: Request) -> Answer:
    """What the fake model says, without an engine."""
    shades = [shade_of(image) for image in request.context.places]
    if isinstance(request, Write):
        pixels = [(shade, 0, 0) for shade in shades]
        return Text(str(pixels[0] if len(pixels) == 1 else tuple(pixels))[: request.max_new_tokens], (), True)
    words = ["".join(p for p in turn.parts if isinstance(p, str)) for turn in request.context.turns]
    assert isinstance(request, Score)
    n_letters = len("\n".join(words) + request.answer)
    return Loglikelihood((-(sum((i + 1) * shade for i, shade in enumerate(shades)) + n_letters / 100),), False)


def context(rng: random.Random) -> Context:
    prompt = rng.choice(PROMPTS)
    n = prompt.count("<image>") or rng.choice([0, 1, 1, 2, 3])
    images = [ref(rng.randrange(1, 9)) for _ in range(n)]
    made = ask(prompt, *images)
    for _ in range(rng.choice([0, 0, 1, 2])):
        made = made.followed_by(rng.choice(TEXTS), *rng.choice([(), (ref(rng.randrange(1, 9)),)]), rng.choice(TEXTS))
    return made


def some_requests(seed: int) -> list[Request]:
    rng = random.Random(seed)
    contexts = [context(rng) for _ in range(40)]
    requests: list[Request] = [Score(rng.choice(contexts), rng.choice(TEXTS)) for _ in range(150)]
    return [*requests, *(Write(rng.choice(contexts), 9) for _ in range(20))]


# ---------------------------------------------------------------- every request its own answer, every picture once


@pytest.mark.parametrize("kind", [FakeModel, BranchingModel])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("room", [0, PLENTY])
def test_answers_are_those_of_each_request_alone(room: int, batch_size: int, kind: type[FakeModel]) -> None:
    requests = some_requests(3)
    answers = settled(requests, run(requests, kind(loss), how(batch_size, room)))
    expected = [by_hand(request) for request in requests]
    for request, answer, wanted in zip(requests, answers, expected, strict=True):
        if isinstance(answer, Loglikelihood) and isinstance(wanted, Loglikelihood):
            assert answer.token_logprobs == pytest.approx(wanted.token_logprobs, abs=1e-9), request
        else:
            assert answer == wanted, request


@pytest.mark.parametrize("kind", [FakeModel, BranchingModel])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_each_picture_is_encoded_once_however_often_it_is_shown(batch_size: int, kind: type[FakeModel]) -> None:
    requests = some_requests(4)
    shown = Counter(image for request in requests for image in request.context.images)
    assert max(shown.values()) > 10
    model = kind(loss)
    run(requests, model, how(batch_size))
    assert model.encodings == {repr((shade_of(image), 0, 0)): 1 for image in shown}


def test_without_room_pictures_are_encoded_again_and_answers_are_equal() -> None:
    requests = some_requests(5)
    one, other = BranchingModel(loss), BranchingModel(loss)
    with_room, without = run(requests, one, how(2)), run(requests, other, how(2, room=0))
    assert list(without.items()) == list(with_room.items())
    assert other.encoded > one.encoded == len(one.encodings)
    assert other.batches == one.batches


def test_room_for_some_pictures_only() -> None:
    """A colour takes a mebibyte, as nothing tells how large it is."""
    requests = some_requests(6)
    expected = run(requests, FakeModel(loss), how(2))
    encoded = []
    for n_pictures in (0, 1, 3, 8):
        model = FakeModel(loss)
        assert run(requests, model, how(2, room=n_pictures << 20)) == expected
        encoded.append(model.encoded)
    assert encoded == sorted(encoded, reverse=True)
    assert encoded[0] > encoded[1] > encoded[-1] == 8


def test_a_picture_keeps_the_digest_of_its_first_encoding() -> None:
    """An encoder rounds otherwise in another batch: what is equal stays equal, kept or encoded again."""

    class Drifting(FakeModel):
        def encode(self, pixels: Sequence[Any]) -> list[Features]:
            return [Features(f.data, b"%d" % self.encodings[repr(f.data)] + f.digest) for f in super().encode(pixels)]

    a, b, c = (ask("", ref(n)) for n in (1, 2, 3))
    pairs: list[Request] = [Score(ask("", ref(n), ref(n)), "ball") for n in (1, 2, 3)]
    requests: list[Request] = [*(Score(one, "ball") for one in (a, b, c)), *pairs, Score(ask("", ref(1), ref(2)), "x")]
    inputs = []
    for room in (0, PLENTY):
        store = FeatureStore(room)
        answered = run(requests, Drifting(loss), engine.How(Batching(1), features=store))
        inputs.append([answered[key].input for key in answered])
    assert inputs[0] == inputs[1]


# ---------------------------------------------------------------- rounds


@dataclass
class KeepingModel(BranchingModel):
    """Notes which contexts it is told to keep."""

    info: ModelInfo = KEEPING
    kept: list[bool] = field(default_factory=list)

    def loglikelihood_of_branches(
        self, pictures: Sequence[Pictures], branches: Sequence[Sequence[Tokens]], keeps: bool = False
    ) -> list[list[Loglikelihood]]:
        self.kept.append(keeps)
        return super().loglikelihood_of_branches(pictures, branches, keeps)

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> Sequence[Text | CannotAnswer]:
        self.kept.append(keeps)
        return super().generate(pictures, tokens, max_new_tokens, keeps)


def test_pictures_of_conversations_are_encoded_once_in_all_rounds() -> None:
    contexts = [ask("", ref(n)) for n in range(1, 9)]
    first: list[Request] = [Write(one, 5) for one in contexts]
    with_what, model = how(3), FakeModel(loss)
    run(first, model, with_what, going_on=first)
    assert model.encoded == 8
    later = [one.followed_by("a ball", ref(9), "and this?") for one in contexts]
    second: list[Request] = [Score(one, text) for one in later for text in ("yes", "no")]
    run(second, model, with_what, going_on=second)
    assert model.encoded == 9
    last: list[Request] = [Score(one.followed_by("no", "sure?"), "yes") for one in later]
    answered = run(last, model, with_what, going_on=last)
    assert model.encoded == 9
    assert settled(last, answered) == settled(last, run(last, FakeModel(loss), how(1, room=0)))


def test_pictures_that_nobody_needs_any_more_are_given_up() -> None:
    """A question that is over is not gone on with: its picture makes room."""
    store = FeatureStore(2 << 20)
    with_what, model = engine.How(Batching(1), features=store), FakeModel(loss)
    over: list[Request] = [Score(ask("", ref(n)), "ball") for n in (1, 2, 3)]
    run(over, model, with_what)
    assert all(store.get(f"sha-{n}.png") is None for n in (1, 2, 3))
    going_on: list[Request] = [Write(ask("", ref(4)), 5)]
    run([*over, *going_on], model, with_what, going_on)
    assert store.get("sha-4.png") is not None
    run([Score(ask("", ref(5)), "ball")], model, with_what)  # the next round asks nothing more about picture 4
    assert store.get("sha-4.png") is None


@pytest.mark.parametrize("reuse", [True, False])
def test_only_contexts_that_may_go_on_are_kept(reuse: bool) -> None:
    going_on: list[Request] = [Score(ask("", ref(1)), "ball"), Write(ask("", ref(2)), 5)]
    others: list[Request] = [Score(ask("", ref(n)), "ball") for n in (3, 4)]
    others.append(Write(ask("", ref(5)), 5))
    model = KeepingModel(loss)
    requests = [*others, *going_on]
    answered = run(requests, model, how(100, reuse=reuse), going_on)
    if reuse:
        assert sorted(model.kept) == [False, False, True, True]
        assert model.batches == [2, 1, 1, 1]  # what is kept and what is not are never in one batch
    else:
        assert model.kept == [False, False]
    assert settled(requests, answered) == settled(requests, run(requests, FakeModel(loss), how(1)))


def test_a_run_that_goes_on_computes_the_batches_of_an_undisturbed_one() -> None:
    """The same contexts, of which some were answered before, with any of the pictures kept or not."""
    requests = some_requests(8)
    whole = run(requests, BranchingModel(loss), how(3))
    for n_done in (0, 1, 17, 60, len(whole)):
        done = dict(list(whole.items())[:n_done])
        model = BranchingModel(loss)
        rest = run(requests, model, how(3), done=done)
        assert {**done, **rest} == whole
        assert n_done < len(whole) or model.encoded == 0


# ---------------------------------------------------------------- equal ids, another answer (bug 7)


class Split(BranchingModel):
    """Its scores tell how many letters were the answer."""

    def _score(self, row: Pictures, tokens: Tokens) -> Loglikelihood:
        return Loglikelihood((-1.0,) * tokens.n_answer, False)


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_where_an_answer_begins_is_part_of_what_is_asked(batch_size: int, reuse: bool) -> None:
    """ "ab" and "c" are the ids of "a" and "bc", and another question."""
    requests: list[Request] = [
        Score(ask("ab", ref(1)), "c"),
        Score(ask("a", ref(1)), "bc"),
        Score(ask("", ref(1)), "abc"),
    ]
    answered = run(requests, Split(loss), how(batch_size, reuse=reuse))
    assert len({one.input for one in answered.values()}) == 3
    assert [len(a.token_logprobs) for a in settled(requests, answered) if isinstance(a, Loglikelihood)] == [1, 2, 3]


def test_equal_ids_and_equal_answers_in_other_words_are_one() -> None:
    class Forgetful(Split):
        """Reads letters as question marks, so that "cup" is "car"."""

        def tokenize(self, context: Context, answer: str) -> Tokens | CannotAnswer:
            return super().tokenize(context, "?" * len(answer))

    noise = random.Random(1)
    model = Forgetful(loss)
    model._score = lambda row, tokens: Loglikelihood((-noise.random(),), False)  # type: ignore[method-assign]
    requests: list[Request] = [Score(ask("", ref(n)), text) for n in (1, 1, 2) for text in ("cup", "car")]
    answers = settled(requests, run(requests, model, how(8)))
    assert answers[0] == answers[1] == answers[2] != answers[4]


# ---------------------------------------------------------------- what cannot be answered


class Refusing(FakeModel):
    """Sees only when it computes that a request is too long, as chat models do."""

    def _refused(self, tokens: Tokens) -> CannotAnswer | None:
        return CannotAnswer(f"{len(tokens.ids)} letters") if len(tokens.ids) > 6 else None

    def loglikelihood(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]
    ) -> Sequence[Loglikelihood | CannotAnswer]:
        scores = super().loglikelihood(pictures, tokens)
        return [self._refused(t) or score for t, score in zip(tokens, scores, strict=True)]

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> Sequence[Text | CannotAnswer]:
        texts = super().generate(pictures, tokens, max_new_tokens, keeps)
        return [self._refused(t) or text for t, text in zip(tokens, texts, strict=True)]


@pytest.mark.parametrize("batch_size", [1, 100])
@pytest.mark.parametrize(
    "model",
    [FakeModel(loss, longest=6), BranchingModel(loss, longest=6), Refusing(loss)],
    ids=["when it reads", "when it reads prefixes", "when it computes"],
)
def test_what_is_too_long_is_logged_with_its_reason_and_the_rest_is_answered(model: FakeModel, batch_size: int) -> None:
    contexts = [ask(prompt, *map(ref, shades)) for prompt, shades in (("", (1,)), ("what?", (2,)), ("", (3, 4)))]
    requests: list[Request] = [Score(one, text) for one in contexts for text in ("ball", "a", "red ball")]
    requests += [Write(one, 5) for one in [*contexts, ask("what is it?", ref(1))]]
    answered = run(requests, model, how(batch_size))
    answers = settled(requests, answered)
    for request, answer in zip(requests, answers, strict=True):
        words = "".join(part for part in request.context.turns[0].parts if isinstance(part, str))
        n = len(words) + len(request.context.places) + (len(request.answer) if isinstance(request, Score) else 0)
        assert isinstance(answer, CannotAnswer) == (n > 6), request
        if isinstance(answer, CannotAnswer):
            assert answer.why.startswith(f"{n} letters")
    assert sum(isinstance(answer, CannotAnswer) for answer in answers) == 6
    refused = [one for one in answered.values() if isinstance(one.answer, CannotAnswer)]
    assert len(refused) == 6
    assert {one.input for one in refused} == {""}
    assert all(one.content for one in refused)


def test_a_reason_is_read_from_the_log_and_not_asked_for_again(tmp_path: Path) -> None:
    requests: list[Request] = [
        *(Score(ask("", ref(1)), text) for text in ("ball", "red ball")),
        Write(ask("", ref(1)), 5),
    ]
    model = FakeModel(loss, longest=6)
    whole = run(requests, model, how())
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(b"".join(map(to_line, whole.values())))
    read = merged([path]).answers
    assert read == whole
    again = FakeModel(loss, longest=6)
    assert run(requests, again, how(), done=read) == {}
    assert again.encoded == 0


def test_equal_reasons_are_no_equal_inputs() -> None:
    """Of equal inputs all get the first one's score; a request that has none gives its reason to nobody."""
    requests: list[Request] = [Score(ask("", ref(1)), text) for text in ("a ball", "red ball", "a")]
    answers = settled(requests, run(requests, FakeModel(loss, longest=6), how()))
    assert [isinstance(answer, CannotAnswer) for answer in answers] == [True, True, False]
    assert len(set(answers)) == 3


ONE = replace(INFO, abilities=replace(INFO.abilities, max_images=1, max_turns=1))
TWO = replace(INFO, abilities=replace(INFO.abilities, max_images=2, max_turns=2))


@pytest.mark.parametrize(
    ("info", "context", "why"),
    [
        (ONE, ask("", ref(1)), ""),
        (ONE, ask("<image> or <image>?", ref(1)), ""),  # one picture in two places
        (ONE, ask("", ref(1), ref(2)), "2 pictures at once, and the model takes 1"),
        (ONE, ask("what?"), "no picture, and the model takes one"),
        (ONE, ask("", ref(1)).without_images(), "no picture, and the model takes one"),
        (ONE, ask("", ref(1)).followed_by("no", "sure?"), "2 turns, and the model takes 1"),
        (TWO, ask("", ref(1), ref(2)).followed_by("no", ref(1), "sure?"), ""),
        (TWO, ask("", ref(1), ref(2)).followed_by("no", ref(3), "?"), "3 pictures at once, and the model takes 2"),
        (TWO, ask("", ref(1)).followed_by("no", "sure?").followed_by("", "?"), "3 turns, and the model takes 2"),
        (TWO, ask("what?"), ""),
    ],
)
def test_a_picture_or_a_turn_too_many_is_an_answer(info: ModelInfo, context: Context, why: str) -> None:
    """Whatever a task has said that it needs: it is never shown in part."""
    requests: list[Request] = [Score(context, "ball"), Write(context, 5), Score(ask("", ref(1)), "cup")]
    answers = settled(requests, run(requests, FakeModel(loss, info), how()))
    assert [a.why for a in answers if isinstance(a, CannotAnswer)] == [why] * 2 * bool(why)
    assert answers[2] == by_hand(requests[2])
    if not why:
        assert answers[1] == by_hand(requests[1])


# ---------------------------------------------------------------- where a text ends


class Talking(FakeModel):
    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> Sequence[Text | CannotAnswer]:
        self.batches.append(len(tokens))
        return [Text("a red ball. And\na cup.", (4, 5, 6), True) for _ in tokens]


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ((), "a red ball. And\na cup."),
        (("\n",), "a red ball. And"),
        ((".",), "a red ball"),
        (("\n", "."), "a red ball"),
        (("cup", "ball", "nowhere"), "a red "),
        (("nowhere",), "a red ball. And\na cup."),
        (("a red",), ""),
    ],
)
def test_a_text_is_cut_off_before_the_first_of_those_that_end_it(stop: tuple[str, ...], text: str) -> None:
    (answer,) = settled([Write(ask("", ref(1)), 9, stop)], run([Write(ask("", ref(1)), 9, stop)], Talking(loss), how()))
    assert answer == Text(text, (4, 5, 6), True)


def test_texts_that_end_differently_are_different_requests() -> None:
    requests: list[Request] = [Write(ask("", ref(1)), 9, stop) for stop in ((), (".",), ("\n",), ("\n", "."))]
    requests.append(Write(ask("", ref(1)), 8))
    model = Talking(loss)
    assert len(run(requests, model, how())) == 5
    assert model.batches == [4, 1]  # what ends a text is no matter of the model's


# ---------------------------------------------------------------- contexts without pictures


def test_a_context_without_pictures_needs_none() -> None:
    def nothing(image: ImageRef) -> Image.Image:
        raise AssertionError("a picture is read")

    contexts = [ask("red <image>", ref(1)).without_images(), ask("words alone")]
    requests: list[Request] = [*(Score(one, "ball") for one in contexts), Write(contexts[0], 5)]
    plan = make_plan(requests, {})
    assert (plan.n_images, plan.n_prefixes, len(plan.work)) == (0, 2, 1)
    answered: list[Answered] = []
    engine.run(plan.units(4), FakeModel(lambda seen, text: len(text)), nothing, how(), (), answered.append)
    losses = [one.answer.mean_loss for one in answered if isinstance(one.answer, Loglikelihood)]
    assert losses == [len("red ball"), len("words aloneball")]
    assert answered[0].content == (("user", ("red ", {"image": NO_PICTURE.name}, "")),)
    keys = [one.key for one in answered if isinstance(one.key, ScoreKey)]
    assert len(set(keys)) == 2
