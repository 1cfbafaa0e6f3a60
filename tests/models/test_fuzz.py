"""Damaged checkpoints, some of each kind; `make fuzz` tries many more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

N_CASES = 12


@pytest.mark.parametrize("name", ["configs", "pickles", "safetensors", "tokenizers"])
@pytest.mark.usefixtures("one_thread")
def test_damaged_checkpoints(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried in a process that is forked from this one, which has torch already."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "tools"))
    import fuzz

    assert fuzz.fuzz(fuzz.TARGETS[name], 1, range(N_CASES), time.monotonic() + 60, tmp_path) == N_CASES
    assert not {path.name: path.read_text() for path in tmp_path.glob("*.txt")}
