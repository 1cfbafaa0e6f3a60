"""`make fuzz` in short: a few cases of each format that babycli reads as rows, and as logs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.parametrize(("target", "n"), [("labels", 100), pytest.param("logs", 40, marks=pytest.mark.long)])
def test_damaged_files(target: str, n: int, tmp_path: Path) -> None:
    words = [sys.executable, str(REPOSITORY / "tools" / "fuzz.py"), target, "--cases", str(n), "--seed", "1"]
    ran = subprocess.run([*words, "--keep", tmp_path / "kept"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{n} cases" in ran.stdout
