"""Writes completions/ for bash, zsh and fish.

python tools/build_completions.py            writes the three files
python tools/build_completions.py --check    exits 1 if what is committed differs
"""

from __future__ import annotations

import sys
from pathlib import Path

from typer.completion import get_completion_script  # type: ignore[attr-defined]

FOLDER = Path(__file__).parent.parent / "completions"
FILES = {"bash": "babycli.bash", "zsh": "_babycli", "fish": "babycli.fish"}


def main() -> int:
    stale = []
    for shell, name in FILES.items():
        script = get_completion_script(prog_name="babycli", complete_var="_BABYCLI_COMPLETE", shell=shell)
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(script + "\n")
        elif not path.is_file() or path.read_text() != script + "\n":
            stale.append(name)
    for name in stale:
        print(f"stale: completions/{name}; run  make completions", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
