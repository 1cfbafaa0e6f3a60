"""Answer lines survive being written and read, whatever the answer; a torn line is passed over, other damage is named.

Lines of schema version 1, which 0.1.0 wrote, are read as the same requests and answers.
"""

from __future__ import annotations

import math
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babycli.domain import (
    Answer,
    CannotAnswer,
    Content,
    ImageRef,
    Loglikelihood,
    Request,
    Score,
    Similarity,
    Text,
    Write,
    ask,
    digest_of,
)
from babycli.evaluation.plan import Keys
from babycli.logs.answers import Answered, Key, ScoreKey, WriteKey, _from_line, merged, to_line

HALF = Similarity(0.5)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TEXTS = st.text(max_size=20)
LOGPROBS = st.builds(Loglikelihood, st.lists(NUMBERS, max_size=4).map(tuple), st.booleans())
PARTS = st.one_of(TEXTS, st.builds(lambda digest: {"image": digest}, TEXTS))
CONTENTS = st.lists(st.tuples(st.sampled_from(["user", "model"]), st.lists(PARTS, max_size=4).map(tuple))).map(tuple)
REFUSED = st.builds(CannotAnswer, TEXTS)
INPUTS = st.text("0123456789abcdef", min_size=1, max_size=32)


def score_of(content: Content, answer: str, given_answer: Answer, given_input: str) -> Answered:
    is_score = not isinstance(given_answer, CannotAnswer)
    return Answered(ScoreKey(digest_of(content), answer), content, given_answer, given_input if is_score else "")


def text_of(content: Content, n_new: int, stop: list[str], written: Answer) -> Answered:
    return Answered(WriteKey(digest_of(content), n_new, tuple(stop)), content, written)


SCORES = st.builds(score_of, CONTENTS, TEXTS, st.one_of(LOGPROBS, st.builds(Similarity, NUMBERS), REFUSED), INPUTS)
WRITTEN = st.builds(Text, TEXTS, st.lists(st.integers(0, 50_000), max_size=5).map(tuple), st.booleans())
GENERATIONS = st.builds(text_of, CONTENTS, st.integers(1, 99), st.lists(TEXTS, max_size=2), st.one_of(WRITTEN, REFUSED))


def written(answered: Answered) -> str:
    """All of it, with NaN equal to itself."""
    return repr(answered)


@given(st.one_of(SCORES, GENERATIONS))
def test_a_line_is_read_as_it_was_written(answered: Answered) -> None:
    line = to_line(answered, "0123")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert written(_from_line(line.rstrip(b"\n"), "0123")) == written(answered)


CONTENT: Content = (("user", ({"image": "a" * 64}, "")),)


def answered(answer: str, score: Answer = HALF) -> Answered:
    key: Key = ScoreKey(digest_of(CONTENT), answer)
    return Answered(key, CONTENT, score, "1")


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    whole = to_line(answered("ball")) + to_line(answered("cup"))
    for n_bytes in range(len(whole) + 1):
        path.write_bytes(whole[:n_bytes])
        assert len(merged([path]).answers) == whole[:n_bytes].count(b"\n")


@pytest.mark.parametrize(
    "damage",
    [
        b"{}\n",
        b"nonsense\n",
        b"[1, 2]\n",
        b"\n",
        b"\x00\x00\n",
        b'{"image": "a"}\n',
        b'{"turns": 3, "text": "ball", "similarity": 0.5, "input": "1"}\n',
        b'{"turns": [["user", [3]]], "text": "ball", "similarity": 0.5, "input": "1"}\n',
        b'{"turns": [["somebody", ["words"]]], "text": "ball", "similarity": 0.5, "input": "1"}\n',
        b'{"turns": [["user", ["words"]]], "text": 7, "similarity": 0.5, "input": "1"}\n',
        b'{"turns": [["user", ["words"]]], "text": "ball", "input": "1"}\n',
        b'{"turns": [["user", ["words"]]], "max_new_tokens": 3, "stop": [], "generated": "ball"}\n',
        b'{"turns": [["user", ["words"]]], "text": "ball", "cannot": 3}\n',
        b'{"image": "a", "prompt": "", "text": "ball"}\n',
    ],
)
def test_other_damage_is_named_with_its_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(to_line(answered("ball")) + damage + to_line(answered("cup")))
    logged = merged([path])
    assert logged.damaged == (f"{path}, line 2",)
    assert [key.answer for key in logged.answers if isinstance(key, ScoreKey)] == ["ball", "cup"]


@given(st.one_of(SCORES, GENERATIONS), st.data())
def test_no_changed_bit_goes_unnoticed(answered: Answered, data: st.DataObject) -> None:
    line = bytearray(to_line(answered))
    line[data.draw(st.integers(0, len(line) - 2))] ^= 1 << data.draw(st.integers(0, 7))
    path = Path(tempfile.gettempdir()) / f"answers-{os.getpid()}.jsonl"
    path.write_bytes(line)
    try:
        assert merged([path]).answers == {}
    finally:
        path.unlink()


def checked(fields: dict[str, Any]) -> bytes:
    """A line whose check fits whatever is in it."""
    line = orjson.dumps({name: value for name, value in fields.items() if name != "check"})
    return line[:-1] + b',"check":"%08x"}\n' % zlib.crc32(line)


WRITE = WriteKey(digest_of(CONTENT), 5, ("\n",))
SCORED = orjson.loads(to_line(answered("ball", Loglikelihood((-1.0, -2.5), True)), "0123"))
SAID = orjson.loads(to_line(Answered(WRITE, CONTENT, Text("a ball", (4, 3), True)), "0123"))


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (SCORED, {"similarity": 9.0}),
        (SCORED, {"generated": "a"}),
        (SCORED, {"token_logprobs": [True, False]}),
        (SCORED, {"token_logprobs": ["-1", "-2.5"]}),
        (SCORED, {"logprob_sum": -0.5}),
        (SCORED, {"n_tokens": 3}),
        (SCORED, {"greedy": "yes"}),
        (SCORED, {"greedy": None}),
        (SCORED, {"input": ["1"]}),
        (SCORED, {"prompt": "another"}),
        (SCORED, {"more": 1}),
        (SAID, {"token_ids": "43"}),
        (SAID, {"token_ids": [4, 3.5]}),
        (SAID, {"token_ids": [[4], 3]}),
        (SAID, {"max_new_tokens": 5.7}),
        (SAID, {"finite": "no"}),
        (SAID, {"text": "ball"}),
    ],
)
def test_what_nobody_writes_is_damaged_though_its_check_fits(
    line: dict[str, Any], change: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(checked(line) + checked(line | change))
    assert merged([path], "0123").damaged == (f"{path}, line 2",)


def test_a_sum_may_differ_in_its_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(checked(SCORED | {"logprob_sum": -3.5000000000000004}))
    assert merged([path], "0123").damaged == ()


def test_infinities_and_nan_keep_their_kinds(tmp_path: Path) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(to_line(answered("ball", Loglikelihood((math.nan, -math.inf, math.inf, -1.5), False))))
    (read,) = merged([path]).answers.values()
    assert isinstance(read.answer, Loglikelihood)
    assert repr(read.answer.token_logprobs) == "(nan, -inf, inf, -1.5)"


def test_lines_by_hand() -> None:
    """The format, which other programs may read."""
    content: Content = (("user", ("Is ", {"image": "9f"}, "?")), ("model", ("no",)), ("user", ("why?",)))
    turns = [["user", ["Is ", {"image": "9f"}, "?"]], ["model", ["no"]], ["user", ["why?"]]]
    score, wish = ScoreKey(digest_of(content), "ball"), WriteKey(digest_of(content), 5, ("\n",))
    cases: list[tuple[Answered, dict[str, Any]]] = [
        (
            Answered(score, content, Loglikelihood((-1.5, math.nan), True), "0a"),
            {"text": "ball", "logprob_sum": None, "n_tokens": 2, "greedy": True}
            | {"token_logprobs": [-1.5, None], "input": "0a"},
        ),
        (
            Answered(score, content, Similarity(-math.inf), "0a"),
            {"text": "ball", "similarity": "-inf", "input": "0a"},
        ),
        (Answered(score, content, CannotAnswer("too long")), {"text": "ball", "cannot": "too long"}),
        (
            Answered(wish, content, Text("a ball", (4, 3), True)),
            {"max_new_tokens": 5, "stop": ["\n"], "generated": "a ball", "token_ids": [4, 3], "finite": True},
        ),
        (
            Answered(wish, content, CannotAnswer("too long")),
            {"max_new_tokens": 5, "stop": ["\n"], "cannot": "too long"},
        ),
    ]
    for one, fields in cases:
        line = orjson.loads(to_line(one))
        check = line.pop("check")
        assert list(line)[-1] == "of"
        assert line == {"turns": turns, "prompt": "why?"} | fields | {"of": ""}
        assert check == f"{zlib.crc32(orjson.dumps(line)):08x}"


def test_of_lines_that_are_there_twice_the_first_counts(tmp_path: Path) -> None:
    one, other = tmp_path / "scores.rank0.jsonl", tmp_path / "scores.rank1.jsonl"
    one.write_bytes(to_line(answered("ball", Similarity(1.0))) + to_line(answered("ball", Similarity(2.0))))
    other.write_bytes(to_line(answered("ball", Similarity(3.0))) + to_line(answered("cup", Similarity(4.0))))
    found = merged([one, other])
    assert [(key.answer, given.answer) for key, given in found.answers.items() if isinstance(key, ScoreKey)] == [
        ("ball", Similarity(1.0)),
        ("cup", Similarity(4.0)),
    ]


# ---------------------------------------------------------------- schema version 1


IMAGE = ImageRef("saycam", "a.jpg")
SHA256 = {IMAGE: "9f" * 32}
# As babycli 0.1.0 wrote them.
OLD_LINES = (
    b'{"image":"%b","prompt":"","text":"ball","logprob_sum":-3.5,"n_tokens":2,"greedy":true,"token_logprobs":[-1.0,-2.5],'
    b'"input":"0a"}\n'
    b'{"image":"%b","prompt":"Is <image> a","text":"cup","similarity":null,"input":"0b"}\n'
    b'{"image":"%b","prompt":"Say it.","max_new_tokens":25,"generated":"a ball","token_ids":[4,3],"finite":false}\n'
).replace(b"%b", SHA256[IMAGE].encode())


def test_lines_of_version_1_are_the_requests_of_today(tmp_path: Path) -> None:
    """A run of 0.1.0 answers just the questions that the same command asks now."""
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(OLD_LINES)
    keys = Keys(SHA256)
    asked: list[Request] = [
        Score(ask("", IMAGE), "ball"),
        Score(ask("Is <image> a", IMAGE), "cup"),
        Write(ask("Say it.", IMAGE), 25),
    ]
    read = list(merged([path]).answers.values())
    assert [each.key for each in read] == [keys.of(request) for request in asked]
    assert [each.content for each in read] == [request.context.content(SHA256) for request in asked]
    assert [each.input for each in read] == ["0a", "0b", ""]
    assert read[0].answer == Loglikelihood((-1.0, -2.5), True)
    assert isinstance(read[1].answer, Similarity)
    assert math.isnan(read[1].answer.value)
    assert read[2].answer == Text("a ball", (4, 3), False)


def test_lines_of_both_versions_may_stand_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    new = Answered(Keys(SHA256).of(Score(ask("", IMAGE), "cup")), ask("", IMAGE).content(SHA256), HALF, "1")
    path.write_bytes(OLD_LINES + to_line(new))
    assert list(merged([path]).answers.values())[3:] == [new]


@pytest.mark.parametrize("key", ["prompt", "input", "token_logprobs", "text"])
def test_damage_of_version_1_is_named_too(key: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    line = orjson.loads(OLD_LINES.splitlines()[0])
    del line[key]
    path.write_bytes(OLD_LINES + orjson.dumps(line) + b"\n")
    assert merged([path]).damaged == (f"{path}, line 4",)
    assert len(merged([path]).answers) == 3
