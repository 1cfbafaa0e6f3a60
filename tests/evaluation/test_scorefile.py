"""Score lines survive being written and read, whatever the score; a torn line is passed over, other damage is named."""

from __future__ import annotations

import math
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babycli.domain import Generation, Loglikelihood, Score, Similarity
from babycli.errors import DataError
from babycli.evaluation.plan import GenerateKey, Key, ScoreKey
from babycli.evaluation.scorefile import Scored, _from_fields, read_scores, to_line

HALF = Similarity(0.5)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TEXTS = st.text(max_size=20)
LOGPROBS = st.builds(Loglikelihood, st.lists(NUMBERS, max_size=4).map(tuple), st.booleans())
SCORES = st.builds(
    Scored,
    st.builds(ScoreKey, TEXTS, TEXTS, TEXTS),
    st.one_of(LOGPROBS, st.builds(Similarity, NUMBERS)),
    st.text("0123456789abcdef", min_size=1, max_size=32),
)
GENERATIONS = st.builds(
    Scored,
    st.builds(GenerateKey, TEXTS, TEXTS, st.integers(1, 99)),
    st.builds(Generation, TEXTS, st.lists(st.integers(0, 50_000), max_size=5).map(tuple), st.booleans()),
)


def written(scored: Scored) -> str:
    """All of it, with NaN equal to itself."""
    return repr(scored)


@given(st.one_of(SCORES, GENERATIONS))
def test_a_line_is_read_as_it_was_written(scored: Scored) -> None:
    line = to_line(scored)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert written(_from_fields(orjson.loads(line))) == written(scored)


def scored(text: str, score: Score = HALF) -> Scored:
    key: Key = ScoreKey("a" * 64, "", text)
    return Scored(key, score, "1")


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    whole = to_line(scored("ball")) + to_line(scored("cup"))
    for n_bytes in range(len(whole) + 1):
        path.write_bytes(whole[:n_bytes])
        assert len(list(read_scores(path))) == whole[:n_bytes].count(b"\n")


@pytest.mark.parametrize("damage", [b"{}\n", b"nonsense\n", b"[1, 2]\n", b"\n", b"\x00\x00\n", b'{"image": "a"}\n'])
def test_other_damage_is_named_with_its_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(to_line(scored("ball")) + damage + to_line(scored("cup")))
    with pytest.raises(DataError, match=r"scores.rank0.jsonl, line 2 is no score"):
        list(read_scores(path))


def test_infinities_and_nan_keep_their_kinds(tmp_path: Path) -> None:
    path = tmp_path / "scores.rank0.jsonl"
    path.write_bytes(to_line(scored("ball", Loglikelihood((math.nan, -math.inf, math.inf, -1.5), False))))
    (read,) = read_scores(path)
    assert isinstance(read.score, Loglikelihood)
    assert repr(read.score.token_logprobs) == "(nan, -inf, inf, -1.5)"
