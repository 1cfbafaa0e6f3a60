"""A working folder with the demo data linked, and a checkpoint, for tests that run `babycli eval`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.written_once import written_once


@pytest.fixture
def linked(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the demo data linked in ./dataset."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dataset, "dataset", symlinks=True)
    return tmp_path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with seeded random weights."""
    return written_once(tmp_path_factory, "small", lambda folder: write_checkpoint(folder, DEMO_WORDS, seed=3))
