"""Times the memory task of the DevCV Toolbox, 15 turns with 29 pictures, against one pass over its last context.

    python benchmarks/devcv.py                       BabyLLaVA-V2's layers, narrower, on the CPU
    python benchmarks/devcv.py --device cuda         the whole 1.1 billion parameters on a GPU
    python benchmarks/devcv.py --hidden 2048         the whole on a CPU

Weights, pictures and labels are made here, of the published shapes: ViT-L/16 with 197 positions a picture, 22 layers of
a Llama with grouped queries, about 6,000 positions at the last turn. One pass encodes each picture of a conversation
once and reads its last context once. The plain loop does what the original does: at every turn it encodes all pictures
so far and reads all turns anew. Replies are of two tokens everywhere, as those of a trained model are. On a CPU the
seconds are those of its processors, so that other programs count little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from checkpoints import BabyShape, write_babyllava_v2
from engine import NOT_MEASURED, precision
from PIL import Image
from whole_commands import PEAK, row

from babycli.cli import main as babycli
from babycli.domain import Context, ImageRef, ask
from babycli.evaluation import engine
from babycli.models import load_model, resolve
from babycli.models.base import Features, ModelSpec, Tokens
from babycli.models.parts.llava_network import LlavaNetwork
from babycli.wording import Scoring

SET = "bench"
N_LEARNT = 5
N_NEW = 2  # tokens of a reply: a letter and the end
FIRST = "Touch the new image. (A) <image>"
LATER = "Let's try more. Touch the new image. (A) <image> (B) <image>"
LETTERS = " a b c d 1 2 3 left right top bottom"
MIB = 1 << 20


# ------------------------------------------------------------ a set of the toolbox


def memory_item(n: int, pool: Sequence[str], rng: np.random.Generator) -> dict[str, Any]:
    """A conversation of 15 turns: each picture that is learnt comes back in two of the turns that test it."""
    drawn = [str(name) for name in rng.permutation(list(pool))[: 3 * N_LEARNT]]
    learnt, new = drawn[:N_LEARNT], iter(drawn[N_LEARNT:])
    old = learnt[:-1] + [str(name) for name in rng.permutation(learnt * 2)]
    shown = [[learnt[0]]]
    for turn, name in enumerate(old, 1):
        fresh = learnt[turn] if turn < N_LEARNT else next(new)
        shown.append([name, fresh] if rng.random() < 0.5 else [fresh, name])
    seen: set[str] = set()
    said: list[dict[str, str]] = []
    for pictures in shown:
        right = next(i for i, name in enumerate(pictures) if name not in seen)
        seen |= set(pictures)
        said += [{"from": "human", "value": LATER if said else FIRST}, {"from": "gpt", "value": "AB"[right]}]
    names = [name for pictures in shown for name in pictures]
    labels = [[name.removesuffix(".jpg") for name in pictures] for pictures in shown]
    return {"id": f"memory_{n}", "labels": labels, "conversations": said, "image": [f"images/{name}" for name in names]}


def choice_item(n: int, question: str, names: Iterable[str]) -> dict[str, Any]:
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": "A"}]
    return {"id": f"item_{n}", "conversations": said, "image": [f"images/{name}" for name in names]}


def write_set(data: Path, n_items: int, n_pictures: int) -> list[dict[str, Any]]:
    """Writes three tasks over the same pictures; gives the conversations."""
    rng = np.random.default_rng(0)
    folder = data / "devcv" / SET
    pictures = folder / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    pool = [f"thing{i}.jpg" for i in range(n_pictures)]
    for name in pool:
        small = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        Image.fromarray(small).resize((480, 360), Image.Resampling.BICUBIC).save(pictures / name, quality=90)
    talks = [memory_item(i, pool, rng) for i in range(n_items)]
    pv = "Touch the image of 'thing' (A)<image> (B)<image> (C)<image> (D)<image>"
    real = "Which image has more of thing? (A) <image> (B) <image>"
    tasks = {
        "baby_memory": talks,
        "baby_pv": [choice_item(i, pv, rng.choice(pool, 4, replace=False)) for i in range(2 * n_items)],
        "baby_compare_real": [choice_item(i, real, rng.choice(pool, 2, replace=False)) for i in range(2 * n_items)],
    }
    for task, items in tasks.items():
        (folder / f"{task}.json").write_text(json.dumps([_beside(item) for item in items]))
    return talks


def _beside(item: dict[str, Any]) -> dict[str, Any]:
    """An item with the names that its pictures have behind the link."""
    return item | {"image": [name.removeprefix("images/") for name in item["image"]]}


def contexts_of(talk: dict[str, Any], reply: str) -> Iterator[Context]:
    """What is asked at each turn, with one reply as the history."""
    names = iter(talk["image"])
    context: Context | None = None
    for said in talk["conversations"][::2]:
        question = said["value"]
        asked = ask(question, *[ImageRef(SET, next(names)) for _ in range(question.count("<image>"))])
        context = asked if context is None else context.followed_by(reply, *asked.turns[0].parts)
        yield context


# ------------------------------------------------------------ the measurement


@dataclass(slots=True)
class Clock:
    """Seconds of a GPU's host, or of a CPU's processors."""

    device: str
    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        start = self._now()
        try:
            yield
        finally:
            self.seconds += self._now() - start

    def _now(self) -> float:
        if self.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


@dataclass(slots=True)
class Watched:
    """What a command did inside: seconds of the engine, and how many pictures were encoded."""

    clock: Clock
    n_encoded: int = 0
    n_positions: int = 0  # read by the language model
    log: list[str] = field(default_factory=list)


def watch(words: Sequence[object], device: str) -> Watched:
    """Runs `babycli eval` in this process."""
    seen = Watched(Clock(device))
    run, encode = engine.run, LlavaNetwork.encode_images

    def timed(*arguments: Any) -> None:
        with seen.clock.running():
            run(*arguments)

    def counted(network: LlavaNetwork, pixels: torch.Tensor) -> torch.Tensor:
        seen.n_encoded += len(pixels)
        return encode(network, pixels)

    with mock.patch.object(engine, "run", timed), mock.patch.object(LlavaNetwork, "encode_images", counted):
        code = babycli([str(word) for word in words])
    if code not in (0, 7):  # a model of random weights writes what has no answer in it
        raise SystemExit(f"babycli eval ended with {code}")
    return seen


class Plain:
    """The same weights without what babycli does around them."""

    def __init__(self, checkpoint: Path, pictures: Path, device: str) -> None:
        resolved = resolve(str(checkpoint), {})
        spec = ModelSpec(resolved.source, "plain", {}, device, precision(device), Scoring.FAIR)
        self._model: Any = load_model(resolved, spec)
        self._pictures, self._device = pictures, device

    def features(self, names: Sequence[str], batch: int) -> list[Features]:
        found: list[Features] = []
        for start in range(0, len(names), batch):
            opened = [Image.open(self._pictures / name).convert("RGB") for name in names[start : start + batch]]
            found += self._model.encode([self._model.preprocess(image) for image in opened])
        return found

    def write(self, context: Context, shown: Sequence[Features], n_new: int) -> int:
        """Writes behind a context that is read from its first word; gives its positions."""
        tokens: Tokens = self._model.read(context.wording, n_new)
        self._model.generate([tuple(shown)], [tokens], n_new)
        return tokens.n_positions

    def one_pass(self, talk: dict[str, Any], clock: Clock) -> int:
        *_, last = contexts_of(talk, "a")
        names = [place.name.removeprefix("images/") for place in last.places]
        with clock.running():
            distinct = list(dict.fromkeys(names))
            known = dict(zip(distinct, self.features(distinct, 16), strict=True))
            return self.write(last, [known[name] for name in names], 1)

    def loop(self, talk: dict[str, Any], clock: Clock) -> None:
        for context in contexts_of(talk, "a"):
            names = [place.name.removeprefix("images/") for place in context.places]
            with clock.running():
                self.write(context, self.features(names, 16), N_NEW)


@dataclass(frozen=True, slots=True)
class TalkTimes:
    """Seconds for a conversation."""

    ours_s: float
    pass_s: float  # one pass over its last context
    n_positions: int  # of that
    loop_s: float | None  # a plain loop; None: it was not timed


def time_talks(
    checkpoint: Path, data: Path, talks: Sequence[dict[str, Any]], logs: Path, device: str, has_loop: bool = True
) -> TalkTimes:
    """One pass before babycli and one after, so that a machine that slows down slows both."""
    pictures = data / "devcv" / SET / "images"
    plain = Plain(checkpoint, pictures, device)
    passes, loop = Clock(device), Clock(device)
    plain.one_pass(talks[0], Clock(device))  # what only the first one needs
    half = len(talks) // 2
    n_positions = [plain.one_pass(talk, passes) for talk in talks[:half]]
    words = words_of(checkpoint, data, logs, device)
    seen = watch([*words, "--tasks", "baby_memory", "--limit", len(talks)], device)
    n_positions += [plain.one_pass(talk, passes) for talk in talks[half:]]
    if has_loop:
        plain.loop(talks[0], loop)
    n = len(talks)
    loop_s = loop.seconds if has_loop else None
    return TalkTimes(seen.clock.seconds / n, passes.seconds / n, n_positions[0], loop_s)


def measure_time(checkpoint: Path, data: Path, talks: Sequence[dict[str, Any]], work: Path, device: str) -> None:
    times = time_talks(checkpoint, data, talks, work / "time", device)
    ours_s, pass_s = times.ours_s, times.pass_s
    one_pass = f"one pass over its {times.n_positions:,} positions, {pass_s:.1f} s"
    row(f"a conversation of 15 turns, {device}", f"{ours_s:.1f} s", one_pass, f"{ours_s / pass_s:.2f} of it", "≤ 1.3")
    if times.loop_s is not None:
        row("the same in a plain loop", f"{ours_s:.1f} s", f"{times.loop_s:.1f} s, {times.loop_s / pass_s:.1f} passes",
            f"{times.loop_s / ours_s:.2f}")  # fmt: skip


def measure_encodings(checkpoint: Path, data: Path, n_pictures: int, n_items: int, work: Path, device: str) -> None:
    words = words_of(checkpoint, data, work / "encodings", device)
    tasks = ("--tasks", "baby_memory,baby_pv,baby_compare_real")
    seen = watch([*words, *tasks, "--batch-size", 2], device)
    row(f"pictures encoded, 3 tasks, {n_items} conversations two at a time", f"{seen.n_encoded}",
        f"{n_pictures} pictures", f"{seen.n_encoded / n_pictures:.2f}", "1.00")  # fmt: skip


def measure_peak(checkpoint: Path, data: Path, work: Path, device: str, few: int, many: int) -> None:
    """The peak of a command on many conversations against one on few, two at a time."""
    peaks = []
    for n in (few, many):
        words = words_of(checkpoint, data, work / f"peak{n}", device)
        words += ["--tasks", "baby_memory", "--limit", n, "--batch-size", 2]
        command = [sys.executable, "-c", PEAK, *map(str, words)]
        ran = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        if ran.returncode not in (0, 7):
            raise SystemExit(ran.stderr)
        peaks.append(float(ran.stderr.split()[-1]) / 1024)
    row(f"peak memory, {many} conversations two at a time", f"{peaks[1]:.0f} MiB", f"{few}, {peaks[0]:.0f} MiB",
        f"{peaks[1] / peaks[0]:.3f}", "≤ 1.10")  # fmt: skip


def words_of(checkpoint: Path, data: Path, logs: Path, device: str) -> list[object]:
    words: list[object] = ["eval", "--model", checkpoint, "--data", data, "--set", SET, "--output-path", logs]
    return [*words, "--device", device, "--dtype", precision(device), "--max-new-tokens", N_NEW, "--no-resume"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hidden", type=int, help="width of the language model; 512 on a CPU, else the published 2048")
    parser.add_argument("--items", type=int, default=4, help="conversations that are timed")
    parser.add_argument("--many", type=int, default=12, help="conversations of the measurement of memory; 0: none")
    parser.add_argument("--small-tower", action="store_true", help="time the language model: the tower costs nothing")
    parser.add_argument("--only-memory", action="store_true", help="time nothing")
    parser.add_argument("--threads", type=int, help="of a CPU; 1 where other programs run beside")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs is compiled, once
    if options.threads:
        torch.set_num_threads(options.threads)
    hidden = options.hidden or (512 if options.device == "cpu" else BabyShape().hidden)
    shape = BabyShape() if hidden == BabyShape().hidden else BabyShape.cut_to(hidden)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        work = Path(temporary)

        def make(name: str, of: BabyShape) -> Path:
            texts = [FIRST, LATER, LETTERS]
            return write_babyllava_v2(work / "models" / name, texts, of, torch.bfloat16, options.small_tower)

        row("what", "babycli", "against", "ratio", "goal")
        row("---", "---", "---", "---", "---")
        if not options.only_memory:
            checkpoint = make("llava_v2", shape)
            talks = write_set(work / "dataset", options.items, 4 * 3 * N_LEARNT)
            measure_time(checkpoint, work / "dataset", talks, work, options.device)
            if options.device == "cpu":
                row("a conversation of 15 turns, cuda", NOT_MEASURED, "", "", "≤ 1.3")
        if options.many:
            small = make("llava_v2_small", BabyShape.cut_to(128))
            write_set(work / "few", options.many, 2 * 3 * N_LEARNT)
            measure_encodings(small, work / "few", 2 * 3 * N_LEARNT, options.many, work, options.device)
            measure_peak(small, work / "few", work, options.device, 2, options.many)


if __name__ == "__main__":
    main()
