"""A working folder with the demo data linked, and a checkpoint, for tests that run `babycli eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import Babycli


@pytest.fixture
def linked(babycli: Babycli, link_words: Sequence[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the demo data linked in ./dataset."""
    monkeypatch.chdir(tmp_path)
    assert babycli(*link_words).code == 0
    return tmp_path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with seeded random weights."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "small", DEMO_WORDS, seed=3)
