"""`babycli eval` on the linked demo data, for tests of models that go through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Babycli, Ran

Evaluate = Callable[..., Ran]


@pytest.fixture(scope="session")
def devcv(shared: Path) -> Path:
    """The reference data of the DevCV Toolbox."""
    folder = shared / "reference" / "devcv"
    if not folder.is_dir():
        pytest.skip("the reference data have no DevCV")
    return folder


@pytest.fixture
def evaluate(babycli: Babycli, dataset: Path, tmp_path: Path) -> Evaluate:
    """`babycli eval` with the given words on a trial of Labeled-S, or on other tasks if the words say so."""

    def run(*words: object) -> Ran:
        tasks = () if "--tasks" in words else ("--tasks", "labeled_s")
        limit = () if "--limit" in words else ("--limit", 1)
        return babycli("eval", "--data", dataset, "--output-path", tmp_path / "logs", *tasks, *limit, *words)

    return run
