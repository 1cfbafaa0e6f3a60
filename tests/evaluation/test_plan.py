"""The plan, for requests of any kind: nothing is lost, nothing is there twice, and order and shares are stable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from babycli.domain import ImageRef, Request, Score, Write, ask
from babycli.evaluation.plan import Keys, make_plan, shared_out
from babycli.logs.answers import Key, ScoreKey

IMAGES = st.builds(ImageRef, st.sampled_from(["saycam", "labeled_s"]), st.sampled_from("abcdefgh"))
PROMPTS = st.sampled_from(["", "what is this?"])
CONTEXTS = st.builds(
    lambda prompt, images: ask(prompt, *images),
    PROMPTS,
    st.one_of(st.tuples(IMAGES), st.lists(IMAGES, max_size=3)),
)
SCORES = st.builds(Score, CONTEXTS, st.sampled_from(["ball", "red ball", "cup"]))
WISHES = st.builds(Write, CONTEXTS, st.sampled_from([5, 25]))
REQUESTS = st.lists(st.one_of(SCORES, WISHES), max_size=60)


def digests(requests: Iterable[Request]) -> dict[ImageRef, str]:
    """The images "a" and "b" have the same bytes, under whatever link."""
    images = [image for request in requests for image in request.context.images]
    return {image: "sha-ab" if image.name in "ab" else f"sha-{image.name}" for image in images}


def key_of(request: Request) -> Key:
    return Keys(digests([request])).of(request)


def places_of(request: Request) -> tuple[str, ...]:
    """The digests of what is shown, in the order in which it is read."""
    return tuple(digests([request])[image] for image in request.context.places)


def prompt_of(request: Request) -> str:
    last = request.context.turns[0].parts[-1]
    assert isinstance(last, str)
    return last


@given(REQUESTS)
def test_every_request_is_planned_once_and_nothing_else(requests: list[Request]) -> None:
    plan = make_plan(requests, digests(requests))
    assert Counter(plan.keys) == Counter({key_of(r) for r in requests})
    assert plan.n_requests == len(plan.keys)
    assert len({tuple(item.images) for item in plan.work}) == len(plan.work)
    for item in plan.work:
        assert item.asks
        assert {tuple(dict.fromkeys(ask.places)) for ask in item.asks} == {tuple(item.images)}
        assert {digests(requests)[image]: image for image in item.images.values()} == item.images
    scores = [r for r in requests if isinstance(r, Score)]
    assert all(isinstance(ask.key, ScoreKey) for item in plan.work for ask in item.scores)
    assert plan.n_prefixes == len({(places_of(r), prompt_of(r)) for r in scores})
    assert plan.n_texts == len({(len(places_of(r)), prompt_of(r), r.answer) for r in scores})
    assert plan.n_images == len({digest for r in requests for digest in places_of(r)})


@given(REQUESTS)
def test_a_model_is_asked_in_the_words_of_the_request(requests: list[Request]) -> None:
    asked = {key_of(r): (r.context.wording, places_of(r), r.context.content(digests([r]))) for r in requests}
    for planned in make_plan(requests, digests(requests)).asks:
        assert (planned.wording, planned.places, planned.content) == asked[planned.key]


@given(REQUESTS)
def test_the_texts_of_a_prefix_stand_together(requests: list[Request]) -> None:
    for item in make_plan(requests, digests(requests)).work:
        contexts = [ask.key.context for ask in item.scores]
        changes = sum(a != b for a, b in pairwise(contexts))
        assert changes == max(0, len(set(contexts)) - 1)


@given(REQUESTS, st.integers(1, 9))
def test_units_are_the_work_cut_at_fixed_borders(requests: list[Request], size: int) -> None:
    plan = make_plan(requests, digests(requests))
    units = plan.units(size)
    assert tuple(item for unit in units for item in unit) == plan.work
    assert all(len(unit) == size for unit in units[:-1])
    assert plan == make_plan(list(requests), digests(requests))
    assert plan.digest == make_plan(requests, digests(requests)).digest


@given(REQUESTS.filter(bool))
def test_another_plan_has_another_digest(requests: list[Request]) -> None:
    plan = make_plan(requests, digests(requests))
    more: list[Request] = [*requests, Score(ask("", ImageRef("saycam", "z")), "ball")]
    assert make_plan(more, digests(more)).digest != plan.digest


@given(REQUESTS, st.integers(1, 5), st.integers(1, 4))
def test_processes_share_all_units_in_order_and_about_evenly(requests: list[Request], n: int, size: int) -> None:
    units = make_plan(requests, digests(requests)).units(size)
    shares = shared_out(units, n)
    assert len(shares) == n
    flat = [unit for share in shares for unit in share]
    assert len(flat) == len(units)
    assert all(unit in flat for unit in units)
    for share in shares:
        places = [units.index(unit) for unit in share]
        assert places == sorted(places)
    assert shared_out(units, n) == shares
    if len(units) >= n:
        assert all(shares)


def test_captions_come_last_and_images_of_one_shape_together() -> None:
    def score(name: str, answer: str) -> Score:
        return Score(ask("", ImageRef("saycam", name)), answer)

    requests: list[Request] = [
        Write(ask("", ImageRef("saycam", "a")), 25),
        score("b", "cup"),
        score("b", "ball"),
        score("c", "cup"),
        score("d", "cup"),
        score("d", "ball"),
        score("e", "cup"),
    ]
    plan = make_plan(requests, {image: image.name for image in digests(requests)})
    assert [[*item.images] for item in plan.work] == [["c"], ["e"], ["b"], ["d"], ["a"]]


def test_what_may_go_on_stands_apart_and_is_marked() -> None:
    """Rows that are kept and rows that are not are never in one batch."""
    requests: list[Request] = [Score(ask("", ImageRef("saycam", name)), "ball") for name in "abcd"]
    plan = make_plan(requests, {image: image.name for image in digests(requests)}, {requests[0], requests[2]})
    assert [[*item.images] for item in plan.work] == [["b"], ["d"], ["a"], ["c"]]
    assert [[ask.goes_on for ask in item.asks] for item in plan.work] == [[False], [False], [True], [True]]
    assert plan.digest != make_plan(requests, {image: image.name for image in digests(requests)}).digest


def test_pictures_in_another_order_are_other_work_and_one_shown_twice_is_read_once() -> None:
    a, b = ImageRef("saycam", "c"), ImageRef("saycam", "d")
    requests: list[Request] = [
        Score(ask("", a, b), "ball"),
        Score(ask("", b, a), "ball"),
        Score(ask("", a, b, a), "ball"),
        Score(ask("no picture"), "ball"),
    ]
    plan = make_plan(requests, digests(requests))
    assert [([*item.images], [ask.places for ask in item.asks]) for item in plan.work] == [
        (["sha-d", "sha-c"], [("sha-d", "sha-c")]),
        ([], [()]),
        (["sha-c", "sha-d"], [("sha-c", "sha-d"), ("sha-c", "sha-d", "sha-c")]),
    ]
    assert plan.n_images == 2
    assert plan.n_prefixes == 4
