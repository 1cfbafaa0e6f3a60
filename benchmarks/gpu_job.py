"""What the parts of benchmarks/gpu.py share: where they work and on what, their rows, and whole commands of babycli.

Owns starting babycli with label files that nobody has published. Never measures anything by itself.
"""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from gpu_command import PEAKS
from gpu_rows import Row, Sheet
from whole_commands import Ran, apart, children_s

from babycli.cli import main as babycli
from babycli.data import manifest

ROOT = Path(__file__).parent.parent
COMMAND = Path(__file__).parent / "gpu_command.py"
DONE = (0, 7)  # 7: numbers of random weights need not be trusted
FEW = 1e-2  # of the trials, in the small form


@dataclass(frozen=True, slots=True)
class Job:
    """A part of the benchmark as it runs."""

    part: str
    device: str
    small: bool
    seconds: float  # it should end within these; beyond them it is stopped
    work: Path  # which the parts of a run share
    labels: Path | None  # published label files; None: they are made
    reference: Path | None  # the folder with the numbers that the original code computed
    sheet: Sheet

    @property
    def is_cuda(self) -> bool:
        return self.device.startswith("cuda")

    def say(
        self, what: str, ours: str, against: str = "", ratio: str = "", goal: str = "", reached: bool | None = None
    ) -> None:
        self.sheet.add(Row(self.part, what, ours, against, ratio, goal, reached, machine_name(self.device)))

    def judged(self, is_reached: bool) -> bool | None:
        """Gives a verdict on a speed; small shapes have none, as their time is that of starting."""
        return None if self.small else is_reached

    def free(self) -> None:
        """Gives memory that nothing uses back to the device, for the next command."""
        if self.is_cuda:
            torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole command, and the most that it had of the device's memory."""

    ran: Ran
    device_mib: float  # 0 on a CPU
    code: int

    @property
    def events(self) -> list[str]:
        """What became of the batch size, in the last session."""
        events: list[str] = self.ran.run["sessions"][-1]["batching"]
        return events


def check_device(device: str) -> None:
    """Ends this part where there is no such device, before anything is made for it."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} sees no CUDA device here:  --device cpu  tries the small form")


def machine_name(device: str) -> str:
    import transformers

    card = torch.cuda.get_device_name(torch.device(device)) if device.startswith("cuda") else _processor()
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{card}, Python {platform.python_version()}, {versions}"


def _processor() -> str:
    return f"{os.cpu_count()} cores of a CPU ({platform.machine()})"


def started(words: Sequence[object], more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Starts a whole command."""
    environment = {**os.environ, **(more or {}), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(COMMAND), *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def whole(logs: Path, *words: object) -> Whole:
    """Runs `babycli eval` as a process of its own. Raises RuntimeError with its words where it fails."""
    start, busy = time.perf_counter(), children_s()
    process = started(["eval", "--output-path", logs, *words])
    said = process.communicate()[1]
    seconds, processor_s = time.perf_counter() - start, children_s() - busy
    if process.returncode not in DONE:
        raise RuntimeError(f"babycli eval ended with {process.returncode}: {said[-2000:]}")
    peak_kib, device_bytes = said.rpartition(PEAKS)[2].split()[:2]
    run = json.loads((newest(logs) / "run.json").read_bytes())
    ran = Ran(seconds, processor_s, float(peak_kib) / 1024, run, newest(logs))
    return Whole(ran, float(device_bytes) / (1 << 20), process.returncode)


def inside(logs: Path, *words: object) -> Path:
    """Runs `babycli eval` in this process, where parts of it may be replaced; gives the folder of its run."""
    with mock.patch.object(manifest, "manifests", dict), redirect_stdout(io.StringIO()):
        code = babycli([str(word) for word in ("eval", "--output-path", logs, *words)])
    if code not in DONE:
        raise RuntimeError(f"babycli eval ended with {code}")
    return newest(logs)


def newest(logs: Path) -> Path:
    """Gives the folder of the last run below a folder."""
    return max(logs.rglob("run.json"), key=lambda path: path.stat().st_mtime_ns).parent


@dataclass(frozen=True, slots=True)
class Numbers:
    """All that a run computed and what it came to."""

    answers: Mapping[str, Any]  # by task and row: losses, texts
    results: Mapping[str, Any]  # by task: the metrics

    @classmethod
    def of(cls, run: Path) -> Numbers:
        answers: dict[str, Any] = {}
        for path in sorted(run.glob("*_samples_*.jsonl")):
            task = path.stem.partition("_samples_")[2]
            samples = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            answers |= {f"{task} {sample['doc_id']}": sample["resps"] for sample in samples}
        (results,) = run.glob("*_results.json")
        return cls(answers, json.loads(results.read_bytes())["results"])

    def furthest(self, other: Numbers) -> float:
        """Gives the largest difference of a loss. Raises RuntimeError where not the same was answered."""
        if self.answers.keys() != other.answers.keys() or not self.answers:
            raise RuntimeError(f"{len(self.answers)} rows against {len(other.answers)}")
        pairs = [(_flat(self.answers[key]), _flat(other.answers[key])) for key in self.answers]
        return max(apart(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))


def _flat(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for part in value for number in _flat(part)]
    return [float(value)] if isinstance(value, int | float) else []
