"""Times `babycli eval` against a plain path that does what the original does, as ratios measured in one run.

    python benchmarks/engine.py --labels DIR                     stand-in images, BabyLLaVA, on the CPU
    python benchmarks/engine.py --labels DIR --device cuda       the same on a GPU, and LLaVA-1.5-7B
    python benchmarks/engine.py --data DATASET                   the images of a linked dataset folder
    python benchmarks/engine.py --labels DIR --against CHECKOUT  babycli against that of another checkout, by turns
    python benchmarks/engine.py --labels DIR --only-bfloat16     bfloat16 against float32, on the CPU

DIR holds the published label files (`babycli data labels` fetches them). Images, where none are given, and weights are
seeded noise of the published shapes. The plain path scores one request per forward pass: the image is opened, decoded
and encoded for each, and the vocabulary head runs over the whole text; float32 on a CPU, float16 on a GPU. Half of
BabyLLaVA's runs before babycli and half after, so that a machine that slows down slows both. Figures of babycli are of
whole commands; those of bfloat16 are processor seconds, which other programs change less than the time on the clock.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from checkpoints import SMALL_LLAVA, LlavaShape, write_babyllava, write_llava
from half_precision import TRIALS, measure_bfloat16
from PIL import Image
from whole_commands import TASKS, Ran, babycli, phases_of, row, scores_of, words_of

from babycli.data.root import DatasetRoot
from babycli.domain import Score
from babycli.evaluation.inputs import Inputs, read_inputs
from babycli.evaluation.prompts import choose_prompt
from babycli.models import load_model, resolve
from babycli.models.base import ModelSpec
from babycli.tasks import select_tasks
from babycli.wording import Scoring

IMPORTS = "import babycli.evaluation.suite, babycli.models.parts.llava_model"
MAX_LINKS = 50_000  # to one file; file systems have a limit
TURNS = 2  # of each command at least, of which the fastest counts
MIN_SECONDS = 40  # of turns of a short command
NOT_MEASURED = "not measured: no CUDA device here"


def precision(device: str) -> str:
    return "float32" if device == "cpu" else "float16"


class Plain:
    """What the original does, on the same weights."""

    def __init__(self, checkpoint: Path, inputs: Inputs, device: str, dtype: str = "") -> None:
        resolved = resolve(str(checkpoint), {})
        spec = ModelSpec(resolved.source, "plain", {}, device, dtype or precision(device), Scoring.FAIR)
        with mock.patch("babycli.models.parts.llava_loading.quicken"):
            model: Any = load_model(resolved, spec)
        self._model, self._inputs = model, inputs
        prompts = {t.task.name: choose_prompt(t.task, model.info.family, {}, "", {}) for t in inputs.tasks}
        self._asked = inputs.asking([t.task for t in inputs.tasks], prompts)
        self.requests = scores_of(self._asked)

    def score(self, request: Score) -> float:
        """The mean loss of one request."""
        model, network = self._model, self._model._network
        image = self._inputs.open_image(request.context.images[0])
        with torch.inference_mode():
            pixels = model.preprocess(image)[None].to(model.info.device, next(network.parameters()).dtype)
            features = network.encode_images(pixels)
            tokens = model.tokenize(request.context.wording, request.answer)
            embedded = network.embed([list(tokens.ids)], [[features[0]]], torch.device(model.info.device))
            logits = network.text(inputs_embeds=embedded, use_cache=False).logits[0, :-1].float()
            answer = torch.tensor(tokens.ids[-tokens.n_answer :], device=logits.device)
            loss = torch.nn.functional.cross_entropy(logits[-tokens.n_answer :], answer)
            return float(loss)

    def time_s(self, requests: Sequence[Score]) -> float:
        start = time.perf_counter()
        for request in requests:
            self.score(request)
        return time.perf_counter() - start


def tower_s(plain: Plain, device: str) -> dict[int, float]:
    """Seconds per image of the plain tower's forward pass, the best of several, by batch size."""
    network: Any = plain._model._network
    best: dict[int, float] = {}
    with torch.inference_mode():
        for _ in range(5):
            for n in (1, 2, 4, 8, 16) if device == "cpu" else (1, 16, 64, 256):
                pixels = torch.zeros(n, 3, 224, 224, device=device, dtype=next(network.parameters()).dtype)
                start = time.perf_counter()
                network.tower(pixels).sum().item()
                best[n] = min(best.get(n, 1e9), (time.perf_counter() - start) / n)
    return best


def matrix_rate(device: str, n: int = 8192) -> float:
    """FLOP/s of a large product of matrices in half precision, the best of several."""
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    best = 1e9
    for _ in range(10):
        wait()
        start = time.perf_counter()
        for _ in range(5):
            a @ b
        wait()
        best = min(best, (time.perf_counter() - start) / 5)
    return 2 * n**3 / best


def make_images(data: Path, labels: Path, work: Path, command: Sequence[object] = ("-m", "babycli")) -> None:
    """Links stand-ins for all images that the labels name: seeded, smooth noise, JPEG of 224 x 224."""
    rng = np.random.default_rng(0)

    def save(path: Path, small: np.ndarray[Any, Any]) -> None:
        Image.fromarray(small).resize((224, 224), Image.Resampling.BICUBIC).save(path, quality=90)

    made: dict[Path, Future[None]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for task in select_tasks("babyvlm"):
            found = [path for path in labels.rglob("*.csv") if path.stem.lower() == task.name]
            if not found:
                raise SystemExit(f"{labels} holds no label file of {task.name}: get it with  babycli data labels")
            with found[0].open(newline="") as stream:
                items = task.items(list(csv.DictReader(stream)))
            for image in dict.fromkeys(image for item in items for image in item.images):
                path = work / image.source / image.name
                if path not in made and not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    made[path] = threads.submit(save, path, rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
    for each in made.values():
        each.result()
    words = [sys.executable, *command, "data", "link", work / "saycam", "--labeled-s", work / "labeled_s"]
    words += ["--synthetic", work / "synthetic", "--from", labels]
    subprocess.run([*map(str, words), "--data", str(data)], check=True, stdout=subprocess.DEVNULL)


def measure_babyllava(data: Path, inputs: Inputs, work: Path, device: str, share: int, limit: Sequence[object]) -> None:
    first, second = (write_babyllava(work / "models" / name, words_of(inputs), i) for i, name in enumerate("ab"))
    plain = Plain(first, inputs, device)
    n_images = len({inputs.sha256[r.context.images[0]] for r in plain.requests})
    requests = plain.requests[::share]
    half = len(requests) // 2
    for request in requests[:5]:
        plain.score(request)
    tower = tower_s(plain, device)
    before_s = plain.time_s(requests[:half])
    on = ("--device", device, "--dtype", precision(device), "--batch-check", 0, *limit)
    ours = babycli(data, work / "one", "--model", first, *on, "--cache", work / "cache")
    after_s = plain.time_s(requests[half:])
    tower = {n: min(seconds, tower[n]) for n, seconds in tower_s(plain, device).items()}
    plain_s = (before_s + after_s) * len(plain.requests) / len(requests)
    whole = f"{len(plain.requests):,} requests on {n_images:,} images"
    del plain
    gc.collect()
    sampled = "" if share == 1 else f", from every {share}rd request"
    goal = "≥ 1.6" if device == "cpu" else "≥ 15, ≤ 25 s"
    row(f"BabyLLaVA, {device}: {whole}", f"{ours.seconds:.0f} s, {ours.peak_mib:.0f} MiB",
        f"one request at a time, {plain_s:.0f} s{sampled}", f"{plain_s / ours.seconds:.2f}", goal)  # fmt: skip
    n = min(tower, key=lambda size: tower[size])
    floor_s = n_images * tower[n]
    row("the same against the vision floor", f"{ours.seconds:.0f} s",
        f"{floor_s:.0f} s: {1e3 * tower[n]:.1f} ms an image at batches of {n} (at 1: {1e3 * tower[1]:.1f})",
        f"{ours.seconds / floor_s:.2f} of it", "≤ 1.15")  # fmt: skip
    print_phases(ours.run)
    both = babycli(data, work / "two", "--model", first, "--model", second, *on)
    row("a second checkpoint in the same command", f"{both.seconds - ours.seconds:.0f} s more",
        f"the first, {ours.seconds:.0f} s", f"{ours.seconds / (both.seconds - ours.seconds):.2f}")  # fmt: skip
    seen = babycli(data, work / "seen", "--model", first, "--model", second, *on, "--feature-reuse")
    row("the same, with the tower's features kept (`--feature-reuse`)", f"{seen.seconds - ours.seconds:.0f} s more",
        f"the first, {ours.seconds:.0f} s", f"{ours.seconds / (seen.seconds - ours.seconds):.2f}")  # fmt: skip
    again = babycli(data, work / "again", "--model", first, *on, "--cache", work / "cache")
    start = babycli(data, work / "start", "--model", first, *on, "--limit", 1)
    start_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    imports_s = time.perf_counter() - start_s
    row("a rerun with all scores in the cache", f"{again.seconds:.1f} s", f"one trial of each, {start.seconds:.1f} s",
        f"{start.seconds / again.seconds:.2f}", "start-up only")  # fmt: skip
    row("start-up", f"one trial of each, {start.seconds:.1f} s", f"importing torch and transformers, {imports_s:.1f} s",
        f"{imports_s / start.seconds:.2f} of it")  # fmt: skip


def print_phases(run: dict[str, Any]) -> None:
    row("where the time went, seconds", phases_of(run), "", "")


def measure_memory(data: Path, inputs: Inputs, work: Path, n_frames: int, device: str) -> None:
    """The peak of a command with all of SAYCam's frames in the folder against one with those that tasks read."""
    checkpoint = write_babyllava(work / "models" / "memory", words_of(inputs), 0)
    link = data / "vtwt" / "images"
    words = ("--model", checkpoint, "--limit", 200, "--device", device)
    few = babycli(data, work / "few", *words)
    frames = link.resolve()
    n_here = sum(1 for _ in frames.iterdir())
    added = [frames / f"S_20130101_{i:08}.jpg" for i in range(n_frames - n_here)]
    try:
        for i, path in enumerate(added):
            if i % MAX_LINKS:
                os.link(added[i - i % MAX_LINKS], path)
            else:
                path.write_bytes(b"not read")
        many = babycli(data, work / "many", *words)
    finally:
        for path in added:
            path.unlink(missing_ok=True)
    row(f"peak memory with {n_frames:,} linked frames", f"{many.peak_mib:.0f} MiB",
        f"with {n_here:,}, {few.peak_mib:.0f} MiB", f"{many.peak_mib / few.peak_mib:.3f}", "≤ 1.10")  # fmt: skip


def measure_against(data: Path, inputs: Inputs, work: Path, device: str, code: Path, limit: Sequence[object]) -> None:
    """The same commands with the babycli of another checkout, by turns; its scores are compared as well."""
    first, second = (write_babyllava(work / "models" / name, words_of(inputs), i) for i, name in enumerate("ab"))
    on = ("--device", device, "--dtype", precision(device), "--batch-check", 0, *limit)
    kinds: dict[str, tuple[object, ...]] = {
        "one checkpoint": ("--model", first),
        "two checkpoints": ("--model", first, "--model", second),
        "two checkpoints, --feature-reuse": ("--model", first, "--model", second, "--feature-reuse"),
        "--no-prefix-reuse": ("--model", first, "--no-prefix-reuse"),
        "a rerun with all scores in the cache": ("--model", first),
        "one trial of each": ("--model", first, "--limit", 1),
    }
    for what, words in kinds.items():
        turns: dict[Path | None, list[Ran]] = {None: [], code: []}
        while len(turns[None]) < TURNS or sum(ran.seconds for ran in turns[None]) < MIN_SECONDS:
            for place, ran in turns.items():
                side = "ours" if place is None else "theirs"
                is_first = what == "one checkpoint" and not ran
                cache = ("--cache", work / f"cache-{side}") if "cache" in what or is_first else ()
                ran.append(babycli(data, work / f"against-{side}", *on, *words, *cache, code=place))
        ours, theirs = (min(ran.seconds for ran in turns[place]) for place in (None, code))
        peaks = [min(ran.peak_mib for ran in turns[place]) for place in (None, code)]
        row(what, f"{ours:.1f} s, {peaks[0]:.0f} MiB", f"before, {theirs:.1f} s, {peaks[1]:.0f} MiB",
            f"{ours / theirs:.3f} of it", "≤ 1.05")  # fmt: skip


def flop_of(shape: LlavaShape, n_weights: int, n_prefix: float) -> float:
    """FLOP of one image and its prompt: all weights but those of words at every position, and attention."""
    n_text = n_weights - 2 * shape.n_tokens * shape.hidden
    attention = 4 * shape.layers * shape.hidden * n_prefix
    return n_prefix * (2 * n_text + attention)


def measure_llava(
    data: Path, inputs: Inputs, work: Path, device: str, shape: LlavaShape, share: int, limit: Sequence[object]
) -> None:
    texts = [request.answer for request in scores_of(inputs)]
    texts += ["USER: What's the object in the image? ASSISTANT: abcdefghijklmnopqrstuvwxyz ,.'?:"]
    dtype = torch.float32 if device == "cpu" else torch.float16
    checkpoint = write_llava(work / "llava" / "llava-v1.5", texts, shape, 0, dtype)
    plain = Plain(checkpoint, inputs, device)
    n_images = len({inputs.sha256[r.context.images[0]] for r in plain.requests})
    requests = plain.requests[:: 40 * share]
    for request in requests[:3]:
        plain.score(request)
    plain_s = plain.time_s(requests) * len(plain.requests) / len(requests)
    n_positions = (shape.image_size // shape.patch) ** 2
    n_prefix = (
        sum(len(plain._model.tokenize(r.context.wording, r.answer).ids) for r in requests) / len(requests) + n_positions
    )
    n_weights = sum(p.numel() for p in plain._model._network.parameters())
    del plain
    gc.collect()
    on = ("--device", device, "--dtype", precision(device), "--batch-check", 0, *limit)
    ours = babycli(data, work / "llava-logs", "--model", checkpoint, *on)
    row(f"LLaVA-1.5-7B's shapes, {device}", f"{ours.seconds:.0f} s",
        f"one request at a time, {plain_s:.0f} s, from every {40 * share}th request", f"{plain_s / ours.seconds:.2f}",
        "≥ 4")  # fmt: skip
    print_phases(ours.run)
    if device == "cpu":
        return
    flop = n_images * flop_of(shape, n_weights, n_prefix)
    seconds = sum(ours.run["timings"][phase] for phase in ("vision", "prefix", "continuation"))
    rate, peak = flop / seconds, matrix_rate(device)
    row("its use of the matrix rate", f"{rate / 1e12:.0f} TFLOP/s", f"{peak / 1e12:.0f} TFLOP/s measured here",
        f"{rate / peak:.2f}", "≥ 0.50")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, help="a linked dataset folder")
    where.add_argument("--labels", type=Path, help="a folder of label files; images are made")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--share", type=int, default=1, help="time the plain path on every N-th request only")
    parser.add_argument("--limit", type=int, help="the first N trials of each task only")
    parser.add_argument("--frames", type=int, default=600_285, help="for the measurement of memory; 0 leaves it out")
    parser.add_argument("--only-memory", action="store_true", help="measure nothing else")
    parser.add_argument("--only-bfloat16", action="store_true", help="compare bfloat16 with float32 on the CPU alone")
    parser.add_argument("--small-llava", action="store_true", help="try the part on LLaVA with a small one")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare with the babycli there, nothing else")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs is compiled, once
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        work = Path(temporary)
        data = options.data or work / "dataset"
        if options.labels:
            make_images(data, options.labels, work)
        inputs = read_inputs(DatasetRoot.find(data), select_tasks(TASKS), options.limit, False, lambda n: None)
        limit = () if options.limit is None else ("--limit", options.limit)
        row("what", "babycli", "against", "ratio", "goal")
        row("---", "---", "---", "---", "---")
        if options.against:
            measure_against(data, inputs, work, options.device, options.against, limit)
            return
        if options.only_bfloat16:
            measure_bfloat16(data, work, options.limit or TRIALS)
            return
        if not options.only_memory:
            measure_babyllava(data, inputs, work, options.device, options.share, limit)
            if options.device == "cpu":
                measure_bfloat16(data, work, options.limit or TRIALS)
        if options.frames and options.labels:
            measure_memory(data, inputs, work, options.frames, options.device)
        if options.only_memory:
            return
        if options.device.startswith("cuda"):
            measure_llava(data, inputs, work, options.device, LlavaShape(), options.share, limit)
        elif options.small_llava:
            measure_llava(data, inputs, work, options.device, SMALL_LLAVA, options.share, limit)
        else:
            for what, goal in (("BabyLLaVA, cuda", "≥ 15, ≤ 25 s"), ("LLaVA-1.5-7B's shapes, cuda", "≥ 4"),
                               ("its use of the matrix rate", "≥ 0.50")):  # fmt: skip
                row(what, NOT_MEASURED, "", "", goal)


if __name__ == "__main__":
    main()
