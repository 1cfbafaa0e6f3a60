"""Times how babycli starts against `import typer`, as ratios of processor seconds measured in one run, by turns.

python benchmarks/start.py [--repeats 15]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

SCRIPT = [sys.executable, "-c", "from babycli.__main__ import start; start()"]  # as the installed `babycli` does
TYPER = [sys.executable, "-c", "import typer"]
STARTS = (
    ("`import babycli`", [sys.executable, "-c", "import babycli"], "≤ 1"),
    ("`babycli --help`", [*SCRIPT, "--help"], "≤ 2.5"),
    ("`babycli --version`", [*SCRIPT, "--version"], ""),
    ("`babycli data --help`", [*SCRIPT, "data", "--help"], ""),
    ("`babycli tasks`", [*SCRIPT, "tasks"], ""),
    ("`babycli models`", [*SCRIPT, "models"], ""),
    ("`babycli data status`", [*SCRIPT, "data", "status"], ""),
)


def cpu_s(words: list[str]) -> float:
    """Processor seconds of a process, its children included."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, words
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs is compiled, once
    commands = [TYPER, *(words for _, words, _ in STARTS)]
    for words in commands:
        cpu_s(words)  # writes compiled modules, and warms the page cache
    typer_s, *times = zip(*([cpu_s(words) for words in commands] for _ in range(repeats)), strict=True)
    print("| what | seconds | `import typer` | times as long | goal |\n| --- | --- | --- | --- | --- |")
    for (what, _, goal), of_one in zip(STARTS, times, strict=True):
        ratio = median(ours / theirs for ours, theirs in zip(of_one, typer_s, strict=True))
        print(f"| {what} | {median(of_one):.3f} | {median(typer_s):.3f} | {ratio:.2f} | {goal} |")


if __name__ == "__main__":
    main()
