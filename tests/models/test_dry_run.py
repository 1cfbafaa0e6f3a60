"""A dry run on a device that is not there: every family with a network does all it can, and planted mistakes are found.

`make cuda-dry-run` does the same with torch's CUDA build, on "cuda" and "cuda:1" and in all three dtypes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from babycli.models import all_families
from tests.conftest import REPOSITORY
from tests.models.dry_run.checkpoints import CASES, WITHOUT_NETWORK
from tests.models.dry_run.mistakes import CASE, PLANTED
from tests.models.dry_run.records import recorded
from tests.models.dry_run.steps import Tried, differences, try_model

DEVICE = "meta:1"
FULL = ("babyllava", "clip")  # of these float32 too; of the others it is left to `make cuda-dry-run`

pytestmark = pytest.mark.usefixtures("one_thread")


def tried(name: str, dtype: str, home: Path) -> Tried:
    return try_model(CASES[name], str(CASES[name].write(home)), DEVICE, dtype)


def test_no_family_is_forgotten() -> None:
    assert {case.family for case in CASES.values()} | set(WITHOUT_NETWORK) == set(all_families())
    assert set(recorded()) == set(CASES)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((pytest.param(name, "bfloat16", marks=() if n < 4 else pytest.mark.long)) for n, name in enumerate(CASES)),
        *((name, "float32") for name in FULL),
    ],
)
def test_a_family_stays_on_its_device_and_in_its_dtype(name: str, dtype: str, tmp_path: Path) -> None:
    found = tried(name, dtype, tmp_path)
    assert found.mistakes == []
    assert differences(found.counts, recorded()[name]) == []


@pytest.mark.skipif(torch.version.cuda is not None, reason="torch has a CUDA build")
def test_the_tool_says_what_it_lacks() -> None:
    words = [sys.executable, str(REPOSITORY / "tools" / "cuda_dry_run.py")]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "has no CUDA build" in ran.stderr
    assert "mend: make cuda-dry-run" in ran.stderr


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found(mistake: str, tmp_path: Path) -> None:
    with PLANTED[mistake].plant():
        found = tried(CASE, "bfloat16", tmp_path)
    told = [*found.mistakes, *differences(found.counts, recorded()[CASE])]
    assert PLANTED[mistake].found_in(told), told
