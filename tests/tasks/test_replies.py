"""Texts that a model wrote, counted: what is no reply, and what is the same reply for all."""

from __future__ import annotations

import pytest

from babycli.tasks.replies import Replies, Reply, count_replies, is_empty, is_error_message


def counted(*texts: str, targets: tuple[str, ...] = ()) -> Replies:
    return count_replies(
        Reply(row, text, target) for row, (text, target) in enumerate(zip(texts, targets or texts, strict=True))
    )


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n\t", "...", "</s>", "<|endoftext|>\n", "[PAD] [PAD]", "<unk></s> .", "__"]
)
def test_no_word(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize("text", ["a", "3", "球", "</s>ball", "<b> it", "[PADDLE]", "é"])
def test_a_word(text: str) -> None:
    assert not is_empty(text)


@pytest.mark.parametrize(
    "text",
    [
        "[GENERATION_FAILED] no such file",
        "[ERROR] Unknown",
        "Error: timeout",
        "error: timeout",
        "Error processing image: cannot identify image file",
        "RuntimeError: CUDA out of memory",
        "torch.cuda.OutOfMemoryError: CUDA out of memory",
        "API Error: 429",
        "CUDA error: device-side assert triggered",
        "Traceback (most recent call last):\n  File",
        "\nValueError: x",
    ],
)
def test_an_error_message(text: str) -> None:
    assert is_error_message(text)


@pytest.mark.parametrize(
    "text", ["a terror", "he made an error", "a ball. Error: no", "[a] ball", "the exception is: a dog"]
)
def test_no_error_message(text: str) -> None:
    assert not is_error_message(text)


def test_the_longest_run_and_its_first_row() -> None:
    found = counted("", "a", "", " ", "</s>", "b", "", "")
    assert (found.n, found.n_empty, found.n_longest, found.longest_from) == (8, 6, 3, 2)
    assert found.is_broken
    assert found.remarks() == ("6 of 8 replies are empty, without a word; the longest run of them is 3, from row 2",)


def test_rows_are_put_in_order() -> None:
    found = count_replies([Reply(12, "a"), Reply(10, ""), Reply(11, "")])
    assert (found.n_longest, found.longest_from) == (2, 10)


def test_half_is_broken_and_less_is_not() -> None:
    assert counted("", "a", "b", "").is_broken
    few = counted("", "a", "b")
    assert not few.is_broken
    assert few.remarks() == ("1 of 3 replies are empty, without a word",)
    assert not count_replies([]).is_broken


def test_error_messages_and_empty_ones_count_together() -> None:
    found = counted("", "Error: 1", "a", "b")
    assert found.is_broken
    assert found.remarks()[1] == "1 of 4 replies are error messages; the first, in row 1: 'Error: 1'"


def test_one_text_for_all() -> None:
    found = counted("A ball.", "a  ball", "a ball", targets=("x", "y", "a ball"))
    assert found.is_constant
    assert not found.is_broken
    assert found.remarks() == ("3 of 3 replies are the same text: 'A ball.'",)


def test_one_text_for_most() -> None:
    assert counted("a", "a", "a", "b", "c", targets=("q",) * 5).is_constant
    assert not counted("a", "a", "b", "c", targets=("q",) * 4).is_constant
    assert not counted("a").is_constant


def test_a_right_answer_may_be_frequent() -> None:
    """Of yes and no, one is the answer to most questions; but not to all."""
    targets = ("yes", "yes", "no", "yes", "no")
    assert not counted("yes", "yes", "yes", "yes", "no", targets=targets).is_constant
    assert counted("Yes.", "yes", "yes", "yes", "yes", targets=targets).is_constant


def test_it_is_kept_in_json() -> None:
    found = counted("", "a", "a")
    assert Replies.from_document(found.to_document()) == found
