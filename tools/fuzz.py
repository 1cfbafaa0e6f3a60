"""Tries babycli on damaged files until the time is over, and keeps the files that it does not take as it should.

    python tools/fuzz.py [TARGET ...] [--seconds 3600] [--cases N] [--seed N] [--keep FOLDER]
    python tools/fuzz.py TARGET --seed N --only CASE

Every case is drawn from seed and number alone, so that the second form makes it again. A finding is any exception,
words on stderr, more than 30 s of computing, 2 minutes or 4 GB, the death of the process, and what the target itself
says. Ends 1 if there are any.

To add a format, write fuzz_<name>.py with a TARGET and name it below.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from random import Random

from fuzz_target import Target

TARGETS = (
    "images",
    "zips",
    "manifests",
    "labels",
    "logs",
    "configs",
    "pickles",
    "safetensors",
    "tokenizers",
    "trials",
)

_BATCH = 500  # cases in one process
_MAX_S = 30  # of computing: the machine may have other work
_MAX_WAIT_S = 120
_MAX_BYTES = 4 << 30
_SHOWN = 20


def target_of(name: str) -> Target:
    """Imports a target, so that trying one does not wait for the libraries of all."""
    target: Target = import_module(f"fuzz_{name}").TARGET
    return target


def make_case(target: Target, samples: Sequence[bytes], seed: int, number: int) -> bytes:
    rng = Random(f"{target.name} {seed} {number}")
    return target.damage(rng, rng.choice(samples), samples)


def run_batch(target: Target, seed: int, numbers: Sequence[int], until: float, keep: Path) -> None:
    """Runs in a process of its own, and writes what it finds; ``now`` names the case that was tried last."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, _MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    words = os.open(keep / "stderr", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(words, 2)
    now = os.open(keep / "now", os.O_WRONLY | os.O_CREAT)
    samples = target.samples()
    for number in numbers:
        os.pwrite(now, b"%20d" % number, 0)
        content = make_case(target, samples, seed, number)
        signal.setitimer(signal.ITIMER_PROF, _MAX_S)
        signal.alarm(_MAX_WAIT_S)
        try:
            wrong = target.attempt(content)
        except Exception:  # noqa: BLE001  # each is a finding
            wrong = traceback.format_exc()
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        said = os.pread(words, 1000, 0)
        if said:
            os.ftruncate(words, 0)
            os.lseek(words, 0, os.SEEK_SET)
            wrong = wrong or f"on stderr: {said.decode(errors='replace')}"
        if wrong:
            write_finding(target, seed, number, content, wrong, keep)
        if time.monotonic() >= until:
            return


def write_finding(target: Target, seed: int, number: int, content: bytes, wrong: str, keep: Path) -> None:
    name = f"{target.name}-{seed}-{number}"
    (keep / name).write_bytes(content)
    (keep / f"{name}.txt").write_text(wrong)


def fuzz(target: Target, seed: int, numbers: range, until: float, keep: Path) -> int:
    """Tries the cases until the time is over; gives how many were tried."""
    context = multiprocessing.get_context("fork")
    samples = target.samples()
    at = numbers.start
    while at < numbers.stop and time.monotonic() < until:
        batch = range(at, min(at + _BATCH, numbers.stop))
        process = context.Process(target=run_batch, args=(target, seed, batch, until, keep))
        process.start()
        process.join()
        last = int((keep / "now").read_text())
        at = last + 1
        if process.exitcode:
            is_hang = process.exitcode in (-signal.SIGPROF, -signal.SIGALRM)
            how = f"took more than {_MAX_S} s" if is_hang else f"died: {process.exitcode}"
            write_finding(target, seed, last, make_case(target, samples, seed, last), how, keep)
    return at - numbers.start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=3600, help="for all targets together [%(default)s]")
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="of each target, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the one case to try")
    parser.add_argument("--keep", type=Path, help="where findings are written [a new folder]")
    options = parser.parse_args()
    keep = options.keep or Path(tempfile.mkdtemp(prefix="babycli-fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    names = options.targets or TARGETS
    numbers = range(options.cases) if options.only is None else range(options.only, options.only + 1)
    for name in names:
        until = time.monotonic() + options.seconds / len(names)
        print(f"{name}: {fuzz(target_of(name), options.seed, numbers, until, keep)} cases, seed {options.seed}")
    findings = sorted(keep.glob("*.txt"))
    for path in findings[:_SHOWN]:
        print(f"\n{path.with_suffix('')}\n{path.read_text()}")
    print(f"{len(findings)} findings" + (f" in {keep}" if findings else ""))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
