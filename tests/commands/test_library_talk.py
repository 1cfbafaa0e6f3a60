"""Warnings and log lines during a command: those of libraries are not shown, those of a user's own file are."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest

from tests.conftest import Babycli

MODEL = '''
import fractions, logging, warnings

class Mine:
    """Warns in every way."""
    def __init__(self, device, dtype):
        library = {"__name__": "library"}
        exec(compile("import logging, warnings; warnings.warn('of a library');"
                     "logging.getLogger('library').warning('logged by a library')", fractions.__file__, "exec"),
             library)
        warnings.warn("of my own\\nin two \\x1b[2J lines")
        logging.getLogger("mine").warning("logged by %s", "me")
    def similarity(self, images, texts):
        return [0.0] * len(texts)
'''


def test_only_what_a_users_own_file_says_is_shown(
    babycli: Babycli, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MODEL)
    before = warnings.showwarning, logging.lastResort
    monkeypatch.setattr(logging.root, "handlers", [])  # those of pytest
    words = ["--tasks", "vtwt", "--limit", "1", "--data", dataset, "--output-path", tmp_path / "logs"]
    ran = babycli("eval", "--model", f"{file}:Mine", *words)
    assert ran.code == 0, ran.err
    assert f"{file}:11: UserWarning: of my own in two \\x1b[2J lines\n" in ran.err
    assert "\nmine: logged by me\n" in ran.err
    assert "of a library" not in ran.err
    assert "by a library" not in ran.err
    assert before == (warnings.showwarning, logging.lastResort)
