"""Whole commands of babycli as benchmarks run them, what is read out of their logs, and the rows of a table."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.domain import Score
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.rounds import Rounds
from babycli.wording import Scoring

TASKS = "labeled_s,vtwt,baby_winoground"
PEAK = """
import sys
from babycli.cli import main
code = main(sys.argv[1:])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0], file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """A whole command."""

    seconds: float
    processor_s: float
    peak_mib: float
    run: dict[str, Any]  # run.json
    log: Path


def babycli(data: Path, logs: Path, *words: object, code: Path | None = None) -> Ran:
    """Runs a whole command, with the babycli of another checkout if one is given."""
    environment = None if code is None else {**os.environ, "PYTHONPATH": str(code)}
    command = ["eval", "--data", data, "--output-path", logs, "--tasks", TASKS, "--no-resume", *words]
    start, busy = time.perf_counter(), children_s()
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    seconds, processor_s = time.perf_counter() - start, children_s() - busy
    if ran.returncode:
        raise SystemExit(ran.stderr)
    newest = max(logs.rglob("run.json"), key=lambda path: path.stat().st_mtime_ns)
    return Ran(
        seconds, processor_s, float(ran.stderr.split()[-1]) / 1024, json.loads(newest.read_bytes()), newest.parent
    )


def children_s() -> float:
    """Gives the processor seconds of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(what: str, ours: str, against: str, ratio: str, goal: str = "") -> None:
    print(f"| {what} | {ours} | {against} | {ratio} | {goal} |", flush=True)


def scores_of(inputs: Inputs) -> list[Score]:
    """All that is scored, in the order of the label files."""
    return [request for request in Rounds(inputs, Scoring.FAIR).requests if isinstance(request, Score)]


def words_of(inputs: Inputs) -> list[str]:
    """All words that are asked for."""
    return sorted({word for request in scores_of(inputs) for word in request.answer.split()})


def phases_of(run: dict[str, Any]) -> str:
    return ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in run["timings"].items())


def apart(one: float, other: float) -> float:
    """Tells how far two numbers are apart: infinitely where one is none, which max() would pass over."""
    difference = abs(one - other)
    return difference if math.isfinite(difference) else math.inf


def losses_of(ran: Ran) -> dict[str, float]:
    """Gives the mean loss of each request of a run."""
    lines = [json.loads(line) for line in (ran.log / "scores.rank0.jsonl").read_text().splitlines()]
    return {json.dumps([line["turns"], line["text"]]): -line["logprob_sum"] / line["n_tokens"] for line in lines}


def decisions_of(ran: Ran) -> dict[tuple[str, str], Any]:
    """Gives the values of each trial of a run."""
    (path,) = ran.log.glob("*_outcomes.json")
    tasks = json.loads(path.read_bytes())["tasks"]
    return {
        (task, trial): [values[i] for values in of["values"].values()]
        for task, of in tasks.items()
        for i, trial in enumerate(of["trials"])
    }
