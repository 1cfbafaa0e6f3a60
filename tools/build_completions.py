"""Writes completions/ for bash, zsh and fish from the command line as it is.

python tools/build_completions.py            writes the three files
python tools/build_completions.py --check    exits 1 if what is committed differs
"""

from __future__ import annotations

import sys
from pathlib import Path

from completion_bash import bash_script
from completion_fish import fish_script
from completion_tree import tree
from completion_zsh import zsh_script

from babycli.commands.completion import FILE_NAMES, Shell

FOLDER = Path(__file__).parent.parent / "completions"
WRITERS = {Shell.BASH: bash_script, Shell.ZSH: zsh_script, Shell.FISH: fish_script}


def main() -> int:
    """Writes the files, or says which of them are stale."""
    root = tree()
    made = {FOLDER / FILE_NAMES[shell]: write(root) for shell, write in WRITERS.items()}
    if "--check" not in sys.argv:
        for path, script in made.items():
            path.write_text(script, encoding="utf-8")
        return 0
    stale = [path.name for path, script in made.items() if not path.is_file() or path.read_text("utf-8") != script]
    for name in stale:
        print(f"stale: completions/{name}; run  make completions", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
