"""Measures and tries babycli on a GPU with one command: no network, a few minutes, a table at the end.

    python benchmarks/gpu.py --minutes 7                     all parts on a GPU, into ./gpu-benchmark
    python benchmarks/gpu.py --device cpu                    the same on small shapes, to try this command itself
    python benchmarks/gpu.py --parts losses,memory           some parts
    python benchmarks/gpu.py --wheels DIR                    which packages are missing here; see gpu_wheels.py

Everything is made here with seeds: label files of the published sizes (or the published ones: --labels DIR),
pictures, and checkpoints of the published shapes with random weights. Each part is a process of its own with a share
of the minutes; what a part leaves over, the next ones have. One that runs over is stopped, and one that fails is
named, and the next goes on; the exit code is then 1. A goal that is not reached is a "no" in the table, and no error.
Rows are in rows.jsonl and table.md of --output as soon as they are measured.

    losses   every family in float32 on the GPU against the CPU, and in half precision       gpu_losses.py
    speed    BabyLLaVA in its published shape: the four tasks against a plain loop           gpu_speed.py
    large    the shapes of LLaVA-1.5-7B: against the loop, and against the chip's peak       gpu_speed.py
    memory   a batch that does not fit in the middle of a run                                gpu_faults.py
    talks    a conversation of DevCV's memory task against one pass over it                  gpu_talks.py
    processes  two processes on one GPU; a run that is killed and goes on                    gpu_faults.py
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from gpu_rows import Row, Sheet

ROOT = Path(__file__).parent.parent
PARTS = {  # name: share of the time, file, function
    "losses": (0.22, "gpu_losses", "measure_losses"),
    "speed": (0.25, "gpu_speed", "measure_speed"),
    "large": (0.25, "gpu_speed", "measure_large"),
    "memory": (0.07, "gpu_faults", "measure_memory"),
    "talks": (0.12, "gpu_talks", "measure_talks"),
    "processes": (0.09, "gpu_faults", "measure_processes"),
}
GRACE_S = 5  # from SIGTERM to SIGKILL


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the benchmark, as a command that writes its own rows."""

    name: str
    share: float
    command: Sequence[str]


def run_parts(parts: Sequence[Part], seconds: float, sheet: Sheet) -> int:
    """Runs each part within its share of the time that is left; says of each that fails or runs over that it did.

    Gives the number of those.
    """
    end, n_lost = time.monotonic() + seconds, 0
    for i, part in enumerate(parts):
        left = end - time.monotonic()
        limit = max(0.0, left) * part.share / sum(later.share for later in parts[i:])
        errors = sheet.lines.with_name(f"{part.name}.stderr.txt")
        start = time.monotonic()
        with errors.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(part.command, stderr=stream, process_group=0, cwd=ROOT)
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end_group(process)
        spent = f"{time.monotonic() - start:.0f} s"
        n_lost += code != 0
        if code is None:
            sheet.add(Row(part.name, f"{part.name}: stopped", f"ran over its {limit:.0f} s", reached=False))
        elif code:
            said = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = said[-1][:300] if said else "it said nothing"
            why = f"exit code {code} after {spent}: {last}"
            sheet.add(Row(part.name, f"{part.name}: failed", why, f"see {errors.name}", reached=False))
        else:
            sheet.add(Row(part.name, f"{part.name}: whole part", spent, f"of {limit:.0f} s"))
    return n_lost


def _end_group(process: subprocess.Popen[Any]) -> None:
    """Ends a part with all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _run_one(options: argparse.Namespace) -> None:
    """Runs a part in this process."""
    sys.path.insert(0, str(ROOT))  # for the tests' checkpoints, and babycli where it is not installed
    from gpu_job import Job, check_device

    check_device(options.device)
    _, file, function = PARTS[options.part]
    measure = getattr(import_module(file), function)
    sheet = Sheet(options.output)
    own = (options.part, options.device, options.small, options.seconds, options.work)
    measure(Job(*own, options.labels, options.reference, sheet))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="for all parts together; default 7, on a CPU 15")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small shapes and few trials; always on a CPU")
    parser.add_argument("--parts", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--labels", type=Path, help="a folder of the published label files; else they are made up")
    parser.add_argument("--reference", type=Path, help="the folder of numbers that the original code computed")
    parser.add_argument("--output", type=Path, default=Path("gpu-benchmark"))
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder; 20 GB for the large part")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="say what is missing here, and measure nothing")
    parser.add_argument("--has", help="with --wheels: what another machine has, as torch==2.11.0,numpy==2.4.6")
    parser.add_argument("--python", help="with --wheels: the Python of that machine, as 3.12")
    for hidden in ("--part", "--work", "--seconds"):
        parser.add_argument(hidden, type={"--work": Path, "--seconds": float}.get(hidden, str), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.wheels:
        from gpu_wheels import say_missing

        sys.exit(say_missing(options.wheels, options.has, options.python))
    if options.part:
        _run_one(options)
        return
    names = options.parts.split(",") if options.parts else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"unknown part {unknown[0]!r}: there are {', '.join(PARTS)}")
    sheet = Sheet(options.output.absolute())
    sheet.begin()
    signal.signal(signal.SIGTERM, _stop)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs is compiled, once
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with tempfile.TemporaryDirectory(dir=options.folder and options.folder.absolute()) as work:
        minutes = options.minutes or (15 if options.device == "cpu" else 7)
        seconds = minutes * 60
        whole = sum(PARTS[name][0] for name in names)
        common = ["--device", options.device, "--output", str(sheet.lines.parent), "--work", work]
        common += ["--small"] if options.small or options.device == "cpu" else []
        for name in ("labels", "reference"):
            if (given := getattr(options, name)) is not None:
                common += [f"--{name}", str(given.absolute())]
        parts = []
        for name in names:
            share = PARTS[name][0]
            command = [sys.executable, __file__, "--part", name, "--seconds", str(seconds * share / whole), *common]
            parts.append(Part(name, share, command))
        n_lost = run_parts(parts, seconds, sheet)
    print(f"\n{sheet.table}")
    sys.exit(1 if n_lost else 0)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
