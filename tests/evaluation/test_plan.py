"""The plan, for requests of any kind: nothing is lost, nothing is there twice, and order and shares are stable."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from babycli.domain import GenerateRequest, ImageRef, Request, ScoreRequest
from babycli.evaluation.plan import ScoreKey, key_of, make_plan, shared_out

IMAGES = st.builds(ImageRef, st.sampled_from(["vtwt/images", "labeled_s/images"]), st.sampled_from("abcdefgh"))
PROMPTS = st.sampled_from(["", "what is this?"])
SCORES = st.builds(ScoreRequest, IMAGES, PROMPTS, st.sampled_from(["ball", "red ball", "cup"]))
WISHES = st.builds(GenerateRequest, IMAGES, PROMPTS, st.sampled_from([5, 25]))
REQUESTS = st.lists(st.one_of(SCORES, WISHES), max_size=60)


def digests(requests: list[Request]) -> dict[ImageRef, str]:
    """The images "a" and "b" have the same bytes, under whatever link."""
    return {r.image: "sha-ab" if r.image.name in "ab" else f"sha-{r.image.name}" for r in requests}


@given(REQUESTS)
def test_every_request_is_planned_once_and_nothing_else(requests: list[Request]) -> None:
    plan = make_plan(requests, digests(requests))
    assert Counter(plan.keys) == Counter({key_of(r, digests(requests)) for r in requests})
    assert plan.n_requests == len(plan.keys)
    assert len({item.sha256 for item in plan.work}) == len(plan.work)
    for item in plan.work:
        assert item.keys
        assert {key.image_sha256 for key in item.keys} == {item.sha256}
        assert digests(requests)[item.image] == item.sha256
    scores = [key for key in plan.keys if isinstance(key, ScoreKey)]
    assert plan.n_prefixes == len({(key.image_sha256, key.prompt) for key in scores})
    assert plan.n_texts == len({(key.prompt, key.text) for key in scores})


@given(REQUESTS)
def test_the_texts_of_a_prefix_stand_together(requests: list[Request]) -> None:
    for item in make_plan(requests, digests(requests)).work:
        prompts = [key.prompt for key in item.scores]
        changes = sum(a != b for a, b in pairwise(prompts))
        assert changes == max(0, len(set(prompts)) - 1)


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
    more: list[Request] = [*requests, ScoreRequest(ImageRef("vtwt/images", "z"), "", "ball")]
    assert make_plan(more, digests(more)).digest != plan.digest


@given(REQUESTS, st.integers(1, 5), st.integers(1, 4))
def test_processes_share_all_units_in_order_and_about_evenly(requests: list[Request], n: int, size: int) -> None:
    units = make_plan(requests, digests(requests)).units(size)
    shares = shared_out(units, n)
    assert len(shares) == n
    assert Counter(unit for share in shares for unit in share) == Counter(units)
    for share in shares:
        places = [units.index(unit) for unit in share]
        assert places == sorted(places)
    assert shared_out(units, n) == shares
    if len(units) >= n:
        assert all(shares)


def test_captions_come_last_and_images_of_one_shape_together() -> None:
    def ref(name: str) -> ImageRef:
        return ImageRef("vtwt/images", name)

    requests: list[Request] = [
        GenerateRequest(ref("a"), "", 25),
        ScoreRequest(ref("b"), "", "cup"),
        ScoreRequest(ref("b"), "", "ball"),
        ScoreRequest(ref("c"), "", "cup"),
        ScoreRequest(ref("d"), "", "cup"),
        ScoreRequest(ref("d"), "", "ball"),
        ScoreRequest(ref("e"), "", "cup"),
    ]
    plan = make_plan(requests, {r.image: r.image.name for r in requests})
    assert [item.sha256 for item in plan.work] == ["c", "e", "b", "d", "a"]
