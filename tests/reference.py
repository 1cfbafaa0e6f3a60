"""The checkpoints that the reference numbers are for, written anew by the script beside those numbers.

Owns the check that they are the very ones. Never computes with them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def write_reference(shared: Path, folder: Path, which: str) -> Path:
    """Writes the checkpoints with the letters ``which`` of ../shared/reference and compares their digests."""
    script = shared / "reference" / "make_checkpoints.py"
    subprocess.run(
        [sys.executable, "-B", str(script), str(shared / "labels"), str(folder), "--only", which],
        check=True,
        capture_output=True,
        timeout=600,
    )
    sums = json.loads((shared / "reference" / "golden" / "checkpoint_sums.json").read_text())
    written = json.loads((folder / "sums.json").read_text())
    assert written == {name: sums[name] for name in written}, "not the checkpoints that the reference numbers are for"
    return folder
