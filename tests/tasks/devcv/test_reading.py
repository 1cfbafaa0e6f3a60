"""What a careful person reads in a reply, also where the authors' code reads something else."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import pytest

from babycli.tasks.devcv import reference
from babycli.tasks.devcv.answers import DIRECTIONS
from babycli.tasks.devcv.reading import direction_in, letter_in, number_in
from tests.tasks.devcv.samples import golden

QUARTERS = {"A": "top left", "B": "top right", "C": "bottom left", "D": "bottom right"}
SIGNS = ("{x}", " {x}\n", "({x})", "{x}.", "{x})", "{x}:", "**{x}**", "'{x}'", '"{x}"', "[{x}]", "\\boxed{{{x}}}")
PLACES = {"A": "the first image", "B": "the second image", "C": "the third image", "D": "the fourth image"}


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        # A letter alone, with whatever signs.
        *(
            (form.format(x=x), "B")
            for x in "Bb"
            for form in ("{x}", " {x}\n", "({x})", "{x}.", "**{x}**", "'{x}'", "[{x}]")
        ),
        *(
            (form.format(x=x), "A")
            for x in "Aa"
            for form in ("{x}", "({x})", "{x}.", '"{x}"', "{x})", "{x}:", "\\boxed{{{x}}}")
        ),
        ("\uff21", "A"),
        ("\u200bC", "C"),
        ("a<eos>user: c", "A"),
        ("B</s>", "B"),
        # Sentences.
        ("Answer: a", "A"),
        ("**Answer:** C", "C"),
        ("the answer is b.", "B"),
        ("The answer is a", "A"),
        ("The correct answer is: A. It has more.", "A"),
        ("option a because it has more", "A"),
        ("option-b", "B"),
        ("i'd say a", "A"),
        ("I'd go with B", "B"),
        ("c'est B", "B"),
        ("It is a dog, so B", "B"),
        ("A cat is shown in C", "C"),
        ("A because it has more", "A"),
        ("A, because it has more", "A"),
        ("not B, so A", "A"),
        ("The answer is B, because A is smaller", "B"),
        ("A and B. The answer is B", "B"),
        ("The answer is A or B", None),
        ("Answer: (B) / (A)", None),
        ("答案是B", "B"),
        ('{"answer": "D"}', "D"),
        ("<think>A or B? It has more.</think>B", "B"),
        ("<think>A or", None),
        # The article, and contractions.
        ("a cat", None),
        ("A cat", None),
        ("the answer is a dog", None),
        ("It is a picture of a cup", None),
        ("I think this is a", None),
        ("IT IS A DOG", None),
        ("I'd rather not", None),
        ("c'est la vie", None),
        # None, or several.
        ("", None),
        ("E", None),
        ("AB", None),
        ("B1", None),
        ("A or B", None),
        ("B/A", None),
        ("A and B", None),
        ("A is wrong, B", None),
        ("I don't know", None),
        ("<eos>", None),
    ],
)
def test_a_letter(reply: str, letter: str | None) -> None:
    assert letter_in(reply, "ABCD") == letter


def test_a_letter_that_is_not_offered_is_no_answer() -> None:
    assert letter_in("C", "AB") is None
    assert letter_in("C or B", "AB") is None
    assert reference.extract_letter("C") == "C"


@pytest.mark.parametrize(
    ("reply", "words", "letter"),
    [
        ("top left", QUARTERS, "A"),
        ("It is in the Bottom-Right corner.", QUARTERS, "D"),
        ("A bottle is in the top right", QUARTERS, "B"),
        ("left", QUARTERS, None),
        ("top left or top right", QUARTERS, None),
        ("B: top left", QUARTERS, "B"),  # the letter counts
        ("the second image", PLACES, "B"),
        ("the first or the second", PLACES, None),
    ],
)
def test_the_words_of_an_option_count_for_its_letter(reply: str, words: dict[str, str], letter: str | None) -> None:
    assert letter_in(reply, "ABCD", words) == letter


def test_a_number_counts_where_the_question_wants_one() -> None:
    assert letter_in("2", "ABC", {}, by_number=True) == "B"
    assert letter_in("two", "ABC", {}, by_number=True) == "B"
    assert letter_in("4", "ABC", {}, by_number=True) is None
    assert letter_in("2", "ABC") is None


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("7", 7),
        (" 12\n", 12),
        ("0", 0),
        ("seven", 7),
        ("Eleven.", 11),
        ("twelve", 12),
        ("a dozen", 12),
        ("twenty one", 21),
        ("twenty-one", 21),
        ("no one, 7", 7),
        ("There are 3 of them", 3),
        ("two, that is 2", 2),
        ("1,000", 1000),
        ("3.0", 3),
        ("4x", 4),
        ("٣", 3),
        ("有3个", 3),
        ("1 red and 2 green, total: 3", 3),
        ("The answer is 5, not 4", 5),
        ("The answer is 3 or 4", None),
        ("not 3, but 4", 4),
        ("half a dozen", 6),
        ("2 and 18, total: twenty", 20),
        ("20 and 1, total: twenty one", 21),
        ("", None),
        ("many", None),
        ("someone", None),
        ("no one", None),
        ("-3", None),
        ("3.7", None),
        ("½", None),
        ("²", None),
        ("1e3", None),
        ("2nd", None),
        ("B1", None),
        ("3-4", None),
        ("3 or 4", None),
        ("I count two, maybe 3", None),
        ("ten thousand", None),
    ],
)
def test_a_number(reply: str, number: int | None) -> None:
    assert number_in(reply) == number


@pytest.mark.parametrize(
    ("reply", "direction"),
    [
        *((direction, direction) for direction in DIRECTIONS),
        (" left", "left"),
        ("LEFT.", "left"),
        ("'top right'", "top right"),
        ("top-right", "top right"),
        ("top  right", "top right"),
        ("topright", "top right"),
        ("right top", "top right"),
        ("lower left", "bottom left"),
        ("The left side of the frame", "left"),
        ("It leaves through the bottom right corner.", "bottom right"),
        ("", None),
        ("center", None),
        ("top, left", None),
        ("left or right", None),
        ("left, not right", "left"),
        ("not the left", None),
        ("from left to right", None),
        ("top right, right", None),
        ("lefft", None),
    ],
)
def test_a_direction(reply: str, direction: str | None) -> None:
    assert direction_in(reply) == direction


def test_replies_of_one_letter_or_number_are_read_alike(devcv: Path) -> None:
    """Beyond the traps, both readings agree: what the authors read in a plain reply is what a person reads."""
    plain = [line for line in golden(devcv, "scoring_extract.jsonl") if line["text"].strip(" \n.()[]'*:").isalnum()]
    letters = [line for line in plain if line["text"].strip(" \n.()[]'*:").lower() in "abcd"]
    numbers = [line for line in plain if line["text"].strip(" \n.()[]'*:").isdecimal()]
    assert len(letters) > 20
    assert len(numbers) > 20
    assert all(letter_in(line["text"], "ABCD") == line["letter"] for line in letters if line["text"].strip())
    assert all(number_in(line["text"]) == line["number"] for line in numbers)


@pytest.mark.parametrize("words", ["a ", "(A)", "the answer is ", "1,", "twenty ", "total: ", "no one ", "top "])
def test_a_reply_of_any_length_is_read_at_once(words: str) -> None:
    long = words * (40_000 // len(words))
    start = perf_counter()
    letter_in(long, "ABC", QUARTERS, by_number=True)
    direction_in(long)
    assert perf_counter() - start < 2
