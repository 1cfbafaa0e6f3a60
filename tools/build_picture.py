"""Draws docs/demo.svg, the picture in the README, from a real run of `babycli demo`.

python tools/build_picture.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "demo.svg"
WIDTH = 100


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "babycli", "demo"],
            cwd=folder,
            env=os.environ | {"COLUMNS": str(WIDTH)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    for line in done.stdout.strip().splitlines():
        console.print(Text(line, style="bold cyan" if line.startswith("$") else ""))
    PICTURE.parent.mkdir(exist_ok=True)
    console.save_svg(str(PICTURE), title="babycli demo")
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
