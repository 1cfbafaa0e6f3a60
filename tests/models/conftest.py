"""The demo data, linked once for all tests of this folder that go through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from babycli.cli import main
from tests.conftest import Babycli, Ran

Evaluate = Callable[..., Ran]


@pytest.fixture(scope="session")
def dataset(downloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linked dataset folder. Do not write."""
    folder = tmp_path_factory.mktemp("dataset") / "dataset"
    words: list[object] = ["data", "link", downloads / "saycam_images", "--labeled-s", downloads / "labeled_s_images"]
    words += ["--synthetic", downloads / "synthetic_images", "--from", downloads / "labels", "--data", folder]
    assert main([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def evaluate(babycli: Babycli, dataset: Path, tmp_path: Path) -> Evaluate:
    """`babycli eval` with the given words on a trial of Labeled-S, or on other tasks if the words say so."""

    def run(*words: object) -> Ran:
        tasks = () if "--tasks" in words else ("--tasks", "labeled_s")
        limit = () if "--limit" in words else ("--limit", 1)
        return babycli("eval", "--data", dataset, "--output-path", tmp_path / "logs", *tasks, *limit, *words)

    return run
