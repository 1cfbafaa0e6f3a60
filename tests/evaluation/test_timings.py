"""Phases share the time of a run out: no second counts twice."""

from __future__ import annotations

import contextlib

import pytest

from babycli.evaluation.timings import Timings


def test_a_phase_within_another_is_not_counted_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    timings = Timings()
    with timings.of("generate"):
        now += 1
        with contextlib.suppress(OSError), timings.of("idle"):
            now += 2
            raise OSError
        with timings.of("write"):
            now += 4
        now += 8
    with timings.of("generate"):
        now += 16
    spent = {phase: seconds for phase, seconds in timings.seconds.items() if seconds}
    assert spent == {"generate": 1 + 8 + 16, "idle": 2, "write": 4}
