"""The demo data in a folder of the test's own, to be spoiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.demo_copy import DemoCopy, copy_demo


@pytest.fixture
def demo(downloads: Path, tmp_path: Path) -> DemoCopy:
    return copy_demo(downloads, tmp_path / "downloads")
