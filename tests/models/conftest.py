"""`babycli eval` on the linked demo data, for tests of models that go through the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import Babycli, Ran

Evaluate = Callable[..., Ran]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are only slowed down by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def evaluate(babycli: Babycli, dataset: Path, tmp_path: Path) -> Evaluate:
    """`babycli eval` with the given words on a trial of Labeled-S, or on other tasks if the words say so."""

    def run(*words: object) -> Ran:
        tasks = () if "--tasks" in words else ("--tasks", "labeled_s")
        limit = () if "--limit" in words else ("--limit", 1)
        return babycli("eval", "--data", dataset, "--output-path", tmp_path / "logs", *tasks, *limit, *words)

    return run
