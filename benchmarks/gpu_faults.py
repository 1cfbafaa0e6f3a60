"""What must not change the numbers of a run on a GPU: memory that runs out, a second process, a kill.

Owns the parts memory and processes of benchmarks/gpu.py. On a CPU, whose memory is not taken, a batch fails by a
planted error.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from gpu_data import babyllava, inputs_of, linked
from gpu_job import DONE, Job, Numbers, inside, newest, started
from torch import Tensor

from babycli.models.parts.llava_network import LlavaNetwork

TASKS = "labeled_s,vtwt"
NEAR = 2e-5  # as far as the original's numbers are matched in float32
FULL_BATCH, FAILING = 256, 3  # pictures a batch; the batch that finds no room
LEFT = 0.6  # of what a batch takes
PIECE, SMALLEST = 1 << 30, 4 << 20  # of the ballast; torch takes whole pieces of 2 MiB


class Ballast:
    """Takes the device's memory in the middle of a run, so that the next batch does not fit."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._taken: list[Tensor] = []
        self._n_calls, self._peak, self.n_bytes = 0, 0, 0
        self.is_planted = not device.startswith("cuda")

    def encode(self, network: LlavaNetwork, pixels: Tensor) -> Tensor:
        """Stands in for LlavaNetwork.encode_images."""
        self._n_calls += 1
        if self.is_planted:
            if self._n_calls == FAILING:
                raise torch.OutOfMemoryError("planted: out of memory")
            return _encode(network, pixels)
        if self._n_calls == FAILING:
            self._take()
        elif self._n_calls < FAILING:
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            seen = _encode(network, pixels)
            self._peak = max(self._peak, torch.cuda.max_memory_allocated() - before)
            return seen
        return _encode(network, pixels)

    def _take(self) -> None:
        """Takes all but a part of what a batch needs."""
        torch.cuda.empty_cache()
        while (rest := torch.cuda.mem_get_info()[0] - int(LEFT * self._peak)) > SMALLEST:
            self._taken.append(torch.empty(min(rest, PIECE), dtype=torch.uint8, device=self._device))
            self.n_bytes += self._taken[-1].numel()


_encode = LlavaNetwork.encode_images


def measure_memory(job: Job) -> None:
    """Compares a run in which a batch did not fit with one in which all did."""
    data = linked(job)
    model = babyllava(job, inputs_of(data, TASKS))
    n, limit = (4, 3) if job.small else (FULL_BATCH, 300)
    words: list[object] = ["--model", model, "--data", data, "--tasks", TASKS, "--limit", limit, "--no-resume"]
    words += ["--device", job.device, "--dtype", "float32", "--batch-size", n]
    undisturbed = Numbers.of(inside(job.work / "whole", *words))
    ballast = Ballast(job.device)
    with mock.patch.object(LlavaNetwork, "encode_images", lambda network, pixels: ballast.encode(network, pixels)):
        folder = inside(job.work / "short", *words)
    run = _read(folder)
    events = run["sessions"][-1]["batching"]
    is_halved = any("going on with" in event for event in events)
    how = "planted error" if ballast.is_planted else f"ballast of {ballast.n_bytes / 2**30:.1f} GiB"
    job.say("a batch that does not fit, in the middle of a run", "; ".join(events) or "nothing failed", how,
            goal="halved, goes on", reached=is_halved)  # fmt: skip
    _say_same(job, "its numbers", Numbers.of(folder), undisturbed, "the run in which all fitted")


def measure_processes(job: Job) -> None:
    """Compares a run of two processes, and one that was killed, with one that nothing happened to."""
    data = linked(job)
    model = babyllava(job, inputs_of(data, TASKS))
    n, limit = (4, 3) if job.small else (32, 300)
    words: list[object] = ["eval", "--model", model, "--data", data, "--tasks", TASKS, "--limit", limit]
    words += ["--device", "cuda" if job.is_cuda else job.device, "--dtype", "float32", "--batch-size", n]
    start = time.perf_counter()
    _ended(started([*words, "--output-path", job.work / "one"]))
    one_s = time.perf_counter() - start
    one = Numbers.of(newest(job.work / "one"))
    _measure_two(job, words, one, one_s)
    _measure_kill(job, words, one)


def _measure_two(job: Job, words: Sequence[object], one: Numbers, one_s: float) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    start = time.perf_counter()
    both = [
        started([*words, "--output-path", job.work / "two"], common | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    for process in both:
        _ended(process)
    two_s = time.perf_counter() - start
    job.say("two processes on one device", f"{two_s:.1f} s", f"one process, {one_s:.1f} s", f"{one_s / two_s:.2f}")
    n_wrote = sum(1 for path in newest(job.work / "two").glob("scores.rank*.jsonl") if path.stat().st_size)
    _say_same(job, f"its numbers, which {n_wrote} processes wrote", Numbers.of(newest(job.work / "two")), one,
              "one process", n_wrote == 2)  # fmt: skip


def _measure_kill(job: Job, words: Sequence[object], one: Numbers) -> None:
    logs = job.work / "killed"
    process = started([*words, "--output-path", logs])
    n_whole = sum(len(_lines(path)) for path in newest(job.work / "one").glob("scores.rank0.jsonl"))
    n_before = 0
    while process.poll() is None and n_before < n_whole // 3:
        n_before = sum(len(_lines(path)) for path in logs.rglob("scores.rank0.jsonl"))
        time.sleep(0.005)
    is_killed = process.poll() is None
    process.kill()
    process.communicate()
    n_before = sum(len(_lines(path)) for path in logs.rglob("scores.rank0.jsonl"))
    _ended(started([*words, "--output-path", logs]))
    run = _read(newest(logs))
    goes_on = is_killed and len(run["sessions"]) == 2 and len(list(logs.rglob("run.json"))) == 1
    job.say("a run that is killed", f"goes on behind {n_before} of {n_whole} scores" if goes_on else "does not go on",
            goal="goes on", reached=goes_on)  # fmt: skip
    _say_same(job, "its numbers", Numbers.of(newest(logs)), one, "the run that was not")


def _say_same(job: Job, what: str, ours: Numbers, other: Numbers, against: str, is_sound: bool = True) -> None:
    furthest, is_same = ours.furthest(other), _metrics(ours) == _metrics(other)
    job.say(what, f"{furthest:.1e} apart, metrics {'the same' if is_same else 'others'}", against,
            goal=f"≤ {NEAR:.0e}, the same metrics", reached=is_sound and is_same and furthest <= NEAR)  # fmt: skip


def _metrics(numbers: Numbers) -> dict[str, dict[str, float]]:
    return {
        task: {name: value for name, value in result.items() if isinstance(value, float)}
        for task, result in numbers.results.items()
    }


def _ended(process: Any) -> None:
    said = process.communicate()[1]
    if process.returncode not in DONE:
        raise RuntimeError(f"babycli eval ended with {process.returncode}: {said[-2000:]}")


def _read(folder: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
    return run


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()
