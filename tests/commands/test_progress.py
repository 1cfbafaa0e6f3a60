"""Progress: how long the rest takes, and the lines in a file that is no terminal."""

from __future__ import annotations

import sys
import time

import pytest

from babycli.commands.progress import Pace, progress_bar


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def batch(pace: Pace, clock: Clock, seconds: float, n: int = 8) -> None:
    clock.now += seconds
    for _ in range(n):
        pace.count(1)


def test_the_first_batch_is_no_measure(clock: Clock) -> None:
    pace = Pace()
    pace.pass_over(400)  # on disk already
    batch(pace, clock, 60)  # warms up
    assert pace.left(1000) is None
    batch(pace, clock, 1)
    batch(pace, clock, 1)
    left = pace.left(1000)
    assert left == pytest.approx((1000 - 424) / 8, rel=0.01)


def test_an_answer_that_takes_long_counts_as_much(clock: Clock) -> None:
    """A hundred short ones, and ten that take fifty times as long."""
    pace = Pace()
    for _ in range(20):
        clock.now += 0.5
        for _ in range(5):
            pace.count(0.1)
    left = pace.left(100 * 0.1 + 10 * 5.0)
    assert left == pytest.approx(50.0, rel=0.1)


def test_in_a_file_there_is_a_line_a_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("evaluating", 600, " requests") as count:
        for _ in range(300):
            clock.now += 1
            count(1, now="vtwt")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0] == "evaluating vtwt: 60 of 600 requests (10%), 9 min left"
    assert lines[-1] == "evaluating vtwt: 300 of 600 requests (50%), 5 min left"


def test_a_share_that_is_not_of_what_is_counted_says_of_what(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("evaluating", 600, " requests", whole=1200.0) as count:
        for _ in range(70):
            clock.now += 1
            count(1, 4.0)
    assert "evaluating: 60 of 600 requests (20% of the work)" in capsys.readouterr().err


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bar("evaluating", 10, " requests", whole=20.0) as count:
        count(4, 2.0, is_new=False)
        for _ in range(6):
            time.sleep(0.03)
            count(1, 3.0, now="vtwt")
    err = capsys.readouterr().err
    assert "evaluating vtwt" in err
    assert " of 10 requests" in err
