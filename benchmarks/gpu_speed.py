"""How fast whole commands are on a GPU, against a plain loop that asks one request a pass and decodes its picture anew.

Owns the parts speed and large of benchmarks/gpu.py. The loop is timed on a part of the requests, spread evenly over
all, half of them before and half after babycli; its seconds for all are reckoned from that.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from checkpoints import SMALL_LLAVA, LlavaShape, write_babyllava, write_llava
from engine import Plain, flop_of, matrix_rate, precision
from gpu_data import inputs_of, linked
from gpu_job import Job, Whole, whole
from whole_commands import scores_of, words_of

from babycli.domain import Score, Write
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.rounds import Rounds
from babycli.evaluation.timings import BESIDE
from babycli.wording import Scoring

ALL, CHOICES = "labeled_s,vtwt,baby_winoground,saycam_caption", "labeled_s,vtwt,baby_winoground"
LOOP = 0.1  # of a part's time for the loop before babycli, and as much after it
N_LARGE = 150  # trials of each task
COMPUTING = ("vision", "prefix", "continuation")


@dataclass(slots=True)
class Pace:
    """How long the loop took for some of the requests of one kind."""

    n_all: int
    n: int = 0
    seconds: float = 0.0

    @property
    def whole_s(self) -> float:
        return self.seconds * self.n_all / self.n

    @property
    def told(self) -> str:
        return f"{self.n:,} of {self.n_all:,}"


class Loop(Plain):
    """The plain loop, captions included."""

    def __init__(self, checkpoint: Path, inputs: Inputs, device: str, dtype: str = "") -> None:
        super().__init__(checkpoint, inputs, device, dtype)
        asked = Rounds(self._asked, Scoring.FAIR).requests
        self.writes = [request for request in asked if isinstance(request, Write)]

    def write(self, request: Write) -> None:
        model = self._model
        (picture,) = model.encode([model.preprocess(self._inputs.open_image(request.context.images[0]))])
        tokens = model.read(request.context.wording, request.max_new_tokens)
        model.generate([(picture,)], [tokens], request.max_new_tokens)

    def time(self, paces: Sequence[Pace], half: int, seconds: float) -> None:
        """Times requests of both kinds until the seconds are over, at least a few of each."""
        kinds: tuple[Sequence[Score | Write], ...] = (self.requests, self.writes)
        for requests, pace in zip(kinds, paces, strict=True):
            some = spread(requests)[half::2]
            end = time.perf_counter() + seconds / len(paces)
            for n, request in enumerate(some):
                start = time.perf_counter()
                if isinstance(request, Score):
                    self.score(request)
                else:
                    self.write(request)
                pace.n, pace.seconds = pace.n + 1, pace.seconds + time.perf_counter() - start
                if n >= 2 and time.perf_counter() > end:
                    break


def spread(requests: Sequence[Score | Write]) -> list[Score | Write]:
    """Orders requests so that those in front are spread evenly over all."""
    n = len(requests)
    step = next(step for step in range(int(n * 0.618) or 1, n + 2) if _are_coprime(step, n))
    return [requests[i * step % n] for i in range(n)]


def _are_coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


def measure_speed(job: Job) -> None:
    """Times the four tasks as one command, the first time and again.

    Each is a process of its own. The pictures and the weights have just been written, so that they come from the
    machine's memory; the first time, nothing else on the device was computed with them.
    """
    data = linked(job)
    inputs = inputs_of(data, ALL)
    model = write_babyllava(job.work / "models" / "published", words_of(inputs), 0)
    words: list[object] = ["--data", data, "--tasks", ALL, "--no-resume", "--device", job.device]
    words += ["--dtype", precision(job.device), "--batch-check", 0, "--model", model]
    loop = Loop(model, inputs, job.device)
    paces = [Pace(len(loop.requests)), Pace(len(loop.writes))]
    asked: list[Score | Write] = [*loop.requests, *loop.writes]
    n_images = len({inputs.sha256[request.context.images[0]] for request in asked})
    first = whole(job.work / "first", *words)
    _say_phases(job, "the first time", first)
    loop.score(loop.requests[0])  # what only the first one needs
    loop.write(loop.writes[0])
    loop.time(paces, 0, _loop_s(job))
    again = whole(job.work / "again", *words)
    _say_phases(job, "again", again)
    loop.time(paces, 1, _loop_s(job))
    loop_s = sum(pace.whole_s for pace in paces)
    told = f"one request a pass, {loop_s:.0f} s, reckoned from {paces[0].told} scores and {paces[1].told} captions"
    n_requests = paces[0].n_all + paces[1].n_all
    what = f"BabyLLaVA, {precision(job.device)}: {n_requests:,} requests on {n_images:,} images"
    for name, ran in (("the first time", first.ran), ("again", again.ran)):
        ratio = loop_s / ran.seconds
        job.say(f"{what}, {name}", f"{ran.seconds:.1f} s, {ran.peak_mib:.0f} MiB", told, f"{ratio:.1f}",
                "≥ 15, ≤ 25 s", reached=job.judged(ratio >= 15 and ran.seconds <= 25))  # fmt: skip


def measure_large(job: Job) -> None:
    """Times a part of the choice tasks with the shapes of LLaVA-1.5-7B, and compares with the chip's peak."""
    data = linked(job)
    limit = 3 if job.small else N_LARGE
    inputs, all_inputs = inputs_of(data, CHOICES, limit), inputs_of(data, CHOICES)
    shape, dtype = (SMALL_LLAVA if job.small else LlavaShape()), "bfloat16"
    texts = [request.answer for request in scores_of(all_inputs)]
    texts += ["USER: What's the object in the image? ASSISTANT: abcdefghijklmnopqrstuvwxyz ,.'?:"]
    start = time.perf_counter()
    model = write_llava(job.work / "large" / "llava-v1.5", texts, shape, 0, torch.bfloat16)
    made_s = time.perf_counter() - start
    loop = Loop(model, inputs, job.device, dtype)
    pace = Pace(len(loop.requests))
    n_images = n_images_of(inputs)
    n_weights = sum(weight.numel() for weight in loop._model._network.parameters())
    n_patches = (shape.image_size // shape.patch) ** 2
    lengths = [len(loop._model.tokenize(r.context.wording, r.answer).ids) + n_patches for r in loop.requests]
    n_prefix = sum(lengths) / len(lengths)
    for request in loop.requests[:2]:
        loop.score(request)
    _time_scores(loop, pace, 2 * _loop_s(job))
    peak = matrix_rate(job.device, 8192 if job.is_cuda else 512)
    del loop
    gc.collect()
    job.free()
    words: list[object] = ["--data", data, "--tasks", CHOICES, "--limit", limit]
    words += ["--no-resume", "--device", job.device]
    ours = whole(job.work / "large-logs", *words, "--dtype", dtype, "--batch-check", 0, "--model", model)
    _say_phases(job, "LLaVA", ours)
    loop_s, ran = pace.whole_s, ours.ran
    seconds = sum(ran.run["timings"][phase] for phase in COMPUTING)
    job.say(f"LLaVA-1.5 of {n_weights / 1e9:.1f} billion weights, {dtype}: {pace.n_all:,} scores on {n_images:,} "
            f"images", f"{ran.seconds:.1f} s; making the weights, {made_s:.0f} s more, is not counted",
            f"one request a pass, {loop_s:.0f} s, reckoned from {pace.told}",
            f"{loop_s / ran.seconds:.1f}")  # fmt: skip
    n_all, n_all_images = len(scores_of(all_inputs)), n_images_of(all_inputs)
    all_s = ran.seconds + _run_s(ours) * (n_all_images / n_images - 1)
    all_loop_s = loop_s * n_all / pace.n_all
    job.say(f"the same, reckoned for all {n_all:,} scores on {n_all_images:,} images", f"{all_s:.0f} s",
            f"{all_loop_s:.0f} s", f"{all_loop_s / all_s:.1f}", "≥ 4",
            reached=job.judged(all_loop_s / all_s >= 4))  # fmt: skip
    rate = n_images * flop_of(shape, n_weights, n_prefix) / seconds
    n_tokens = n_images * n_prefix
    job.say("its pace while it computes", f"{n_images / seconds:.1f} images, {n_tokens / seconds:,.0f} tokens and "
            f"{pace.n_all / seconds:.1f} scores a second", f"the loop, {pace.n / pace.seconds:.1f} scores a second",
            f"{loop_s / seconds:.1f}")  # fmt: skip
    job.say("its share of the chip's peak", f"{rate / 1e12:.3g} TFLOP/s",
            f"{peak / 1e12:.3g} TFLOP/s by a product of bfloat16 matrices in this run", f"{rate / peak:.2f}", "≥ 0.50",
            reached=job.judged(rate / peak >= 0.5))  # fmt: skip
    job.say("its peak of the device's memory", f"{ours.device_mib:,.0f} MiB" if job.is_cuda else "not on a CPU",
            f"weights, {2 * n_weights / 2**20:,.0f} MiB")  # fmt: skip
    job.say("its batches grow", "; ".join(ours.events) or "they do not")


def _loop_s(job: Job) -> float:
    """The seconds for the loop before babycli, and as many after it."""
    return 1.0 if job.small else LOOP * job.seconds


def _time_scores(loop: Loop, pace: Pace, seconds: float) -> None:
    end = time.perf_counter() + seconds
    for request in spread(loop.requests):
        if pace.n >= 3 and time.perf_counter() > end:
            return
        start = time.perf_counter()
        assert isinstance(request, Score)
        loop.score(request)
        pace.n, pace.seconds = pace.n + 1, pace.seconds + time.perf_counter() - start


def _say_phases(job: Job, which: str, ran: Whole) -> None:
    phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in ran.ran.run["timings"].items())
    job.say(f"where the time went, {which}, seconds", f"{phases}, start and end {ran.ran.seconds - _run_s(ran):.2f}",
            f"the whole command, {ran.ran.seconds:.1f}")  # fmt: skip


def _run_s(ran: Whole) -> float:
    """The seconds of a run without start and end; pictures are decoded and resized beside it."""
    timings = ran.ran.run["timings"]
    return float(sum(seconds for phase, seconds in timings.items() if phase not in BESIDE))


def n_images_of(inputs: Inputs) -> int:
    return len({inputs.sha256[request.context.images[0]] for request in scores_of(inputs)})
