"""A few damaged zips and lists of checksums; `make fuzz` tries many more.

What is right for them is told by zipfile, unzip, sha256sum and bagit.py: see tools/fuzz_zips.py and fuzz_manifests.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.parametrize("target", ["zips", "manifests"])
def test_some_damaged_files(target: str, tmp_path: Path) -> None:
    words = [sys.executable, str(REPOSITORY / "tools" / "fuzz.py"), target, "--cases", "50", "--seed", "1"]
    ran = subprocess.run([*words, "--keep", str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "50 cases" in ran.stdout
