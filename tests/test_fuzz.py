"""`make fuzz` in short: some damaged files of each format that babycli reads. `make fuzz` tries many more.

Each target tells what is right for them: see tools/fuzz_<target>.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

N_CASES = {
    "images": 500,
    "zips": 30,
    "manifests": 30,
    "labels": 40,
    "logs": 40,
    "configs": 10,
    "pickles": 10,
    "safetensors": 20,
    "tokenizers": 10,
    "trials": 40,
}
SHORT = ("images", "zips", "manifests")  # labels take longer, and the others wait for torch


@pytest.mark.parametrize("target", [n if n in SHORT else pytest.param(n, marks=pytest.mark.long) for n in N_CASES])
def test_damaged_files(target: str, tmp_path: Path) -> None:
    n = str(N_CASES[target])
    words = [sys.executable, str(REPOSITORY / "tools" / "fuzz.py"), target, "--cases", n, "--seed", "1"]
    ran = subprocess.run([*words, "--keep", str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{target}: {n} cases" in ran.stdout


def test_each_target_is_tried() -> None:
    tools = REPOSITORY / "tools"
    assert {path.stem.removeprefix("fuzz_") for path in tools.glob("fuzz_*.py") if "TARGET = " in path.read_text()} == (
        set(N_CASES)
    )
