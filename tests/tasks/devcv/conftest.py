"""The reference data of the DevCV Toolbox; tests that need it skip where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def devcv(shared: Path) -> Path:
    folder = shared / "reference" / "devcv"
    if not folder.is_dir():
        pytest.skip("the reference data of the DevCV Toolbox is absent")
    return folder
