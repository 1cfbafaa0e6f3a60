"""The memory task of the DevCV Toolbox on a GPU: what was read of a conversation is kept; see devcv.py.

Owns the part talks of benchmarks/gpu.py.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import torch
from checkpoints import BabyShape, write_babyllava_v2
from devcv import FIRST, LATER, LETTERS, N_LEARNT, time_talks, write_set
from gpu_job import Job

SMALL = BabyShape(64, 176, 4, 2, 1)


def measure_talks(job: Job) -> None:
    """Times conversations against one pass over their last contexts, and against a plain loop."""
    shape = SMALL if job.small else BabyShape()
    texts = [FIRST, LATER, LETTERS]
    model = write_babyllava_v2(job.work / "models" / "llava_v2", texts, shape, torch.bfloat16, job.small)
    data = job.work / "talks"
    talks = write_set(data, 1 if job.small else 4, 4 * 3 * N_LEARNT)
    with redirect_stdout(io.StringIO()):
        times = time_talks(model, data, talks, job.work / "talk-logs", job.device, has_loop=not job.small)
    ratio = times.ours_s / times.pass_s
    job.say(f"a conversation of 15 turns, BabyLLaVA-V2 of width {shape.hidden}", f"{times.ours_s:.2f} s",
            f"one pass over its {times.n_positions:,} positions, {times.pass_s:.2f} s", f"{ratio:.2f} of it", "≤ 1.3",
            reached=job.judged(ratio <= 1.3))  # fmt: skip
    if times.loop_s is not None:
        job.say("the same in a plain loop", f"{times.ours_s:.2f} s", f"{times.loop_s:.2f} s",
                f"{times.loop_s / times.ours_s:.1f}")  # fmt: skip
