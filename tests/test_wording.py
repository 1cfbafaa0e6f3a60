"""Words that are put together the same way everywhere, and vocabularies."""

from __future__ import annotations

import orjson
import pytest

from babycli.errors import UsageError
from babycli.wording import Scoring, first_line, listed, natural_order, one_line, one_of, printable_lines, whole_number


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["step10", "step9", "step1"], ["step1", "step9", "step10"]),
        (["v1²", "v1", "v10", "v2"], ["v1", "v1²", "v2", "v10"]),  # ² is a digit to str.isdigit, not to int
        (["7" * 5000, "10", "007", "1" * 5000], ["007", "10", "1" * 5000, "7" * 5000]),
        (["a٣", "a2", "²", "10"], ["10", "a2", "a٣", "²"]),  # nor are digits of other scripts numbers
    ],
)
def test_names_are_sorted_by_their_numbers(names: list[str], expected: list[str]) -> None:
    assert sorted(names, key=natural_order) == expected


def test_a_list_of_names_says_how_many_it_leaves_out() -> None:
    assert listed(range(3)) == "0, 1, 2"
    assert listed((i for i in range(17)), most=5) == "0, 1, 2, 3, 4 and 12 more"
    assert listed(()) == ""


def test_an_error_becomes_a_line() -> None:
    error = ValueError("\n  first\nsecond " + "x" * 400)
    assert first_line(error) == "first"
    assert first_line(MemoryError()) == "MemoryError()"
    assert first_line(MemoryError(), "nothing") == "nothing"
    assert one_line(error).startswith("first second xxx")
    assert len(one_line(error)) == 300
    assert one_line(KeyError()) == "KeyError()"


def test_a_word_of_a_vocabulary_is_its_text() -> None:
    assert one_of("fair", Scoring, "--scoring") is Scoring.FAIR
    assert orjson.dumps({"scoring": Scoring.FAIR}) == b'{"scoring":"fair"}'
    assert f"{Scoring.FAIR} {Scoring.FAIR!r}" == "fair 'fair'"


def test_another_word_is_refused_with_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r"^unknown --scoring 'fai'\. Did you mean 'fair'\?\n") as raised:
        one_of("fai", Scoring, "--scoring")
    assert raised.value.mend == "one of: fair, reference"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("042", 42),
        ("9" * 18, 10**18 - 1),
        ("9" * 5000, None),
        ("²", None),
        ("٣", None),
        ("-1", None),
        ("", None),
        ("1\n", None),
    ],
)
def test_a_whole_number_is_one_that_a_count_can_be(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_what_steers_a_terminal_is_written_out() -> None:
    assert printable_lines("a\x1b[2J\tb\n\u202ec\udcff\x07é") == "a\\x1b[2J b\n\\u202ec\\udcff\\x07é"
