"""The part of engine.py that compares bfloat16 with float32 on a CPU."""

from __future__ import annotations

import statistics
from pathlib import Path

from checkpoints import write_babyllava
from whole_commands import TASKS, Ran, apart, babycli, decisions_of, losses_of, phases_of, row, scores_of, words_of

from babycli.data.root import DatasetRoot
from babycli.evaluation.inputs import read_inputs
from babycli.tasks import select_tasks

TURNS = 2
TRIALS = 400  # of each task, where no --limit is given


def multiplies_bfloat16() -> bool:
    """Tells whether the processor has instructions for products in bfloat16; False where the system does not say it."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & words)


def measure_bfloat16(data: Path, work: Path, n_trials: int) -> None:
    """The same command in bfloat16 and in float32 on the CPU, by turns; and how far the scores are apart."""
    inputs = read_inputs(DatasetRoot.find(data), select_tasks(TASKS), n_trials, False, lambda n: None)
    checkpoint = write_babyllava(work / "models" / "bfloat16", words_of(inputs), 0)
    turns: list[tuple[Ran, Ran]] = []
    for i in range(TURNS):
        dtypes = ("bfloat16", "float32") if i % 2 else ("float32", "bfloat16")  # neither is always the later one
        words = ("--model", checkpoint, "--device", "cpu", "--batch-check", 0, "--limit", n_trials)
        both = {dtype: babycli(data, work / f"{dtype}-{i}", *words, "--dtype", dtype) for dtype in dtypes}
        turns.append((both["bfloat16"], both["float32"]))
    half_s, whole_s = (statistics.median(ran.processor_s for ran in rans) for rans in zip(*turns, strict=True))
    ratio = statistics.median(whole.processor_s / half.processor_s for half, whole in turns)
    goal = "≥ 1.8" if multiplies_bfloat16() else "none: this processor has neither AVX512_BF16 nor AMX"
    n_images = len({inputs.sha256[r.context.images[0]] for r in scores_of(inputs)})
    row(f"`--dtype bfloat16`, cpu: {n_images:,} images", f"{half_s:.1f} processor seconds", f"float32, {whole_s:.1f}",
        f"{ratio:.2f}", goal)  # fmt: skip
    for ran, dtype in zip(turns[-1], ("bfloat16", "float32"), strict=True):
        row(f"where the time went in {dtype}, seconds", phases_of(ran.run), "", "")
    half, whole = turns[-1]
    losses, exact = losses_of(half), losses_of(whole)
    difference = max(apart(losses[request], loss) for request, loss in exact.items())
    decided, truly = decisions_of(half), decisions_of(whole)
    n_flipped = sum(decided[trial] != values for trial, values in truly.items())
    row("its losses against those of float32", f"{difference:.4f} apart at most", f"{len(exact):,} requests", "")
    row("decisions that flip", f"{n_flipped}", f"{len(truly):,} trials", f"{n_flipped / len(truly):.4f}")
