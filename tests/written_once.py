"""What tests read and never change, written once for all the processes that run them.

Owns where such files lie and who writes them. Never cleans up: pytest removes its old folders itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def written_once(factory: pytest.TempPathFactory, name: str, write: Callable[[Path], object]) -> Path:
    """Gives the folder that ``write`` fills: the process that comes first fills it, the others wait. Do not write.

    ``write`` gets the folder before it exists. If it fails, the next process tries anew.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has a folder of its own in that of the session
    folder = base / "written-once" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        done = folder.with_name(f"{name}.done")
        if not done.exists():
            write(folder)
            done.touch()
    return folder
