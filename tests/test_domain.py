"""Contexts: where pictures go, what is left of one without them, and what makes two of them the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babycli.domain import (
    NO_PICTURE,
    PICTURE,
    CannotAnswer,
    Content,
    Context,
    ImageRef,
    Loglikelihood,
    Turn,
    ask,
    digest_of,
)

A, B, C = (ImageRef("saycam", f"{name}.jpg") for name in "abc")
SHA256 = {A: "1" * 64, B: "2" * 64, C: "3" * 64}


# ---------------------------------------------------------------- ask


@pytest.mark.parametrize(
    ("prompt", "images", "parts"),
    [
        ("What is it?", (A,), (A, "What is it?")),
        ("", (A,), (A, "")),
        ("What is it?", (), ("What is it?",)),
        ("Which?", (A, B, C), (A, B, C, "Which?")),
        ("Which?", (A, A), (A, A, "Which?")),
        ("<image> What is it?", (A,), ("", A, " What is it?")),
        ("Is <image> like <image>?", (A, B), ("Is ", A, " like ", B, "?")),
        ("<image><image>", (A, B), ("", A, "", B, "")),
        ("Is <image> like <image>?", (A, A), ("Is ", A, " like ", A, "?")),
        ("Is <image> like <image>, or <image>?", (A,), ("Is ", A, " like ", A, ", or ", A, "?")),  # one in all places
    ],
)
def test_pictures_go_where_the_prompt_says_else_in_front(
    prompt: str, images: tuple[ImageRef, ...], parts: tuple[str | ImageRef, ...]
) -> None:
    context = ask(prompt, *images)
    assert context == Context((Turn("user", parts),))
    assert context.places == tuple(part for part in parts if isinstance(part, ImageRef))
    assert context.images == tuple(dict.fromkeys(context.places))


@pytest.mark.parametrize(
    ("prompt", "images", "words"),
    [
        ("Is <image> it?", (), "has 1 places for pictures, and 0 are"),
        ("Is <image> it?", (A, B), "has 1 places for pictures, and 2 are"),
        ("Is <image> like <image>, or <image>?", (A, B), "has 3 places for pictures, and 2 are"),
    ],
)
def test_as_many_places_as_pictures_are_expected(prompt: str, images: tuple[ImageRef, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ask(prompt, *images)
    assert repr(prompt) in str(caught.value)


# ---------------------------------------------------------------- what is made of a context


TALK = ask("Is <image> like <image>?", A, B).followed_by("no", C, "And this?").followed_by("", "Like <this>?", A)


def test_a_conversation_by_hand() -> None:
    assert TALK.turns == (
        Turn("user", ("Is ", A, " like ", B, "?")),
        Turn("model", ("no",)),
        Turn("user", (C, "And this?")),
        Turn("model", ("",)),
        Turn("user", ("Like <this>?", A)),
    )
    assert TALK.places == (A, B, C, A)
    assert TALK.images == (A, B, C)


def test_the_parent_is_what_was_read_before_the_last_answer() -> None:
    assert TALK.parent == ask("Is <image> like <image>?", A, B).followed_by("no", C, "And this?")
    assert TALK.parent is not None
    assert TALK.parent.parent == ask("Is <image> like <image>?", A, B)
    assert ask("Is <image> like <image>?", A, B).parent is None
    assert ask("", A).parent is None


def test_without_pictures_the_words_and_places_stay() -> None:
    blind = TALK.without_images()
    assert blind.places == blind.images == ()
    assert blind.turns[0] == Turn("user", ("Is ", NO_PICTURE, " like ", NO_PICTURE, "?"))
    assert blind.turns[2] == Turn("user", (NO_PICTURE, "And this?"))
    assert blind.without_images() == blind
    assert blind.showing(lambda image: A) == blind  # the place of none stays one
    assert blind.wording == blind
    assert TALK.places == (A, B, C, A)  # a context is not changed


def test_another_picture_is_shown_in_the_place_of_each() -> None:
    others = {A: B, B: C, C: A}
    shown = TALK.showing(others.__getitem__)
    assert shown.places == (B, C, A, B)
    assert [turn.role for turn in shown.turns] == [turn.role for turn in TALK.turns]
    assert shown.showing({b: a for a, b in others.items()}.__getitem__) == TALK


def test_contexts_that_differ_by_what_is_shown_have_one_wording() -> None:
    one, other = ask("Is <image> like <image>?", A, B), ask("Is <image> like <image>?", C, C)
    assert one.wording == other.wording == ask("Is <image> like <image>?", PICTURE, PICTURE)
    assert one.wording != ask("Is <image> like <image>?", A, B).without_images().wording
    assert one.wording.wording == one.wording
    assert ask("x", A).wording != ask("x", A, B).wording
    assert TALK.parent is not None
    assert TALK.parent.wording == TALK.wording.parent


# ---------------------------------------------------------------- identity


DIFFERENT = {
    "one turn": ask("Is it?", A),
    "no picture": ask("Is it?"),
    "a place without a picture": ask("Is it?", A).without_images(),
    "another picture": ask("Is it?", B),
    "other words": ask("Is it", A),
    "the picture twice": ask("Is it?", A, A),
    "two pictures": ask("Is it?", A, B),
    "the other order": ask("Is it?", B, A),
    "the picture behind the words": Context((Turn("user", ("Is it?", A)),)),
    "the picture among the words": ask("Is <image> it?", A),
    "words run together": Context((Turn("user", ("Is ", "it?")),)),
    "cut in another place": Context((Turn("user", ("Is", " it?")),)),
    "cut in three": Context((Turn("user", ("Is", " ", "it?")),)),
    "an empty word": Context((Turn("user", ("Is it?", "")),)),
    "said by the model": Context((Turn("model", ("Is it?",)),)),
    "two turns": Context((Turn("user", ("Is ",)), Turn("user", ("it?",)))),
    "two sides": Context((Turn("user", ("Is ",)), Turn("model", ("it?",)))),
    "a turn without words": Context((Turn("user", ("Is it?",)), Turn("model", ()))),
    "a talk": ask("Is it?", A).followed_by("no", "Sure?"),
    "another reply": ask("Is it?", A).followed_by("yes", "Sure?"),
    "no reply": ask("Is it?", A).followed_by("", "Sure?"),
    "the picture later": ask("Is it?").followed_by("no", A, "Sure?"),
    "nothing": Context(()),
    "a name for words": ask("Is it?" + SHA256[A]),
    "the words of a digest": Context((Turn("user", (SHA256[A], "Is it?")),)),
    "the words of none": Context((Turn("user", (NO_PICTURE.name, "Is it?")),)),
    "zeros": Context((Turn("user", ("Is it?\0words 1\0a",)),)),
    "what zeros might mean": Context((Turn("user", ("Is it?", "a")),)),
}


def digest(context: Context) -> str:
    return digest_of(context.content(SHA256))


def test_each_is_a_context_of_its_own() -> None:
    for one, other in combinations(DIFFERENT, 2):
        assert DIFFERENT[one] != DIFFERENT[other], (one, other)
        assert digest(DIFFERENT[one]) != digest(DIFFERENT[other]), (one, other)


def test_a_picture_is_its_bytes_whatever_it_is_called() -> None:
    again = ImageRef("elsewhere", "copy.jpg")
    sha256 = {**SHA256, again: SHA256[A]}
    assert digest_of(ask("Is it?", again).content(sha256)) == digest(ask("Is it?", A))


def test_a_digest_by_hand() -> None:
    """The digest stands in caches and decides what --resume finds: it may not change from version to version."""
    context = ask("Ä<image>", A).followed_by("no", "")
    written = (
        b"\0turn\0user\0words 2\0\xc3\x84\0image 64\0"
        + b"1" * 64
        + b"\0words 0\0"
        + b"\0turn\0model\0words 2\0no"
        + b"\0turn\0user\0words 0\0"
    )
    assert digest(context) == hashlib.sha256(written).hexdigest()


def test_content_is_what_json_can_hold() -> None:
    assert TALK.content(SHA256) == (
        ("user", ("Is ", {"image": SHA256[A]}, " like ", {"image": SHA256[B]}, "?")),
        ("model", ("no",)),
        ("user", ({"image": SHA256[C]}, "And this?")),
        ("model", ("",)),
        ("user", ("Like <this>?", {"image": SHA256[A]})),
    )
    blind = TALK.without_images().content({})  # needs to know of no picture
    assert blind[2] == ("user", ({"image": "no picture"}, "And this?"))
    with pytest.raises(KeyError):
        ask("", A).content({})


PARTS = st.one_of(st.text(max_size=3), st.sampled_from([A, B, NO_PICTURE]))
TURNS = st.builds(Turn, st.sampled_from(["user", "model"]), st.lists(PARTS, max_size=3).map(tuple))
CONTEXTS = st.builds(Context, st.lists(TURNS, max_size=3).map(tuple))


def as_lists(content: Content) -> object:
    """The same in JSON, which tells lists and words apart: the slow way to compare two contents."""
    return json.dumps([[role, [dict(p) if isinstance(p, Mapping) else p for p in parts]] for role, parts in content])


@given(CONTEXTS, CONTEXTS)
def test_equal_digests_are_equal_contents(one: Context, other: Context) -> None:
    contents = one.content(SHA256), other.content(SHA256)
    assert (digest(one) == digest(other)) == (as_lists(contents[0]) == as_lists(contents[1])) == (one == other)


@given(CONTEXTS)
def test_without_and_with_pictures_the_turns_are_the_same(context: Context) -> None:
    for made in (context.without_images(), context.wording, context.showing(lambda image: C)):
        assert [(turn.role, len(turn.parts)) for turn in made.turns] == [
            (turn.role, len(turn.parts)) for turn in context.turns
        ]
        assert [[p for p in turn.parts if isinstance(p, str)] for turn in made.turns] == [
            [p for p in turn.parts if isinstance(p, str)] for turn in context.turns
        ]
    assert context.without_images().places == ()
    assert context.wording.places == (PICTURE,) * len(context.places)
    assert context.showing(lambda image: C).places == (C,) * len(context.places)


@given(CONTEXTS.filter(lambda context: context.turns), st.text(max_size=3), st.lists(PARTS, max_size=3))
def test_the_parent_of_the_next_turn_is_the_context(context: Context, reply: str, parts: list[str | ImageRef]) -> None:
    later = context.followed_by(reply, *parts)
    assert later.parent == context
    assert later.turns[: len(context.turns)] == context.turns


# ---------------------------------------------------------------- answers


def test_a_request_that_cannot_be_answered_is_no_broken_number() -> None:
    assert CannotAnswer("too long").is_finite


def test_the_mean_loss_is_that_of_all_tokens() -> None:
    assert Loglikelihood((-1.0, -2.0), True).mean_loss == 1.5
    assert Loglikelihood((-1.0, -2.0), True).logprob_sum == -3.0
    assert math.isnan(Loglikelihood((), False).mean_loss)
    assert not Loglikelihood((), False).is_finite
    assert not Loglikelihood((-1.0, math.nan), False).is_finite
