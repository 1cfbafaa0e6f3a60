"""The numbers of every family of models on a GPU against those of the CPU of the same machine.

Owns the part losses of benchmarks/gpu.py. The checkpoints are the small ones of the tests, with random weights, and the
two that come with babycli. Each is asked about the same pictures and texts on the CPU in float32, and on the device in
float32 (babycli turns TensorFloat-32 off), bfloat16 and float16. An answer flips where another text, or another
picture, comes first than on the CPU. Where the folder of reference numbers is given, or lies beside the repository,
they are compared with those of the original code as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gpu_job import Job
from PIL import Image
from whole_commands import apart

from babycli.errors import BabycliError
from babycli.models import BUNDLED
from babycli.models.base import Model
from babycli.wording import first_line
from tests import checkpoints, hf_checkpoints, llava_checkpoints, v2_checkpoints
from tests.conftest import SHARED
from tests.models import test_clip, test_cvcl, test_dual, test_golden, test_llava_next, test_open_clip
from tests.models.loading import load, loglikelihood, picture, similarity, tokenize, write_json
from tests.reference import write_reference

NEAR = 2e-5
HALVES = ("bfloat16", "float16")
SIZES = ((40, 30), (60, 30), (30, 61), (28, 28), (90, 70), (64, 64))
WORDS = ("red", "ball", "cat", "blue")
TEXTS = ("ball", "red ball", "blue cat", "red cat")
DEMO_TEXTS = ("red ball", "blue star", "green car", "cup")
# What another version of a library may raise where it is not what babycli expects; the next checkpoint is tried.
FAULTS = (BabycliError, RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError)


@dataclass(frozen=True, slots=True)
class Specimen:
    """A checkpoint and what it is asked."""

    family: str
    name: str
    write: Callable[[Path], Path]
    texts: Sequence[str] = TEXTS
    prompt: str = ""


def measure_losses(job: Job) -> None:
    """Compares one checkpoint after the other, then the recorded numbers."""
    worst: dict[str, float] = {}
    for specimen in specimens(job.small):
        folder = job.work / "losses" / specimen.family / specimen.name.replace(" ", "_")
        folder.parent.mkdir(parents=True, exist_ok=True)
        what = f"{specimen.family}: {specimen.name}"
        try:
            apart, told = _compare(job, specimen, specimen.write(folder))
        except ImportError as error:  # this version of transformers wants a package that babycli does without
            job.say(what, f"not compared: {first_line(error, 'ImportError')}")
            continue
        except FAULTS as error:
            why = f"{type(error).__name__}: {first_line(error, '')[:200]}"
            job.say(what, f"failed: {why}", goal=f"≤ {NEAR:.0e}", reached=False)
            continue
        job.say(what, told, "float32 on the CPU", goal=f"≤ {NEAR:.0e} in float32", reached=apart <= NEAR)
        worst[what] = apart
    if worst:
        what = max(worst, key=lambda name: worst[name])
        job.say(f"losses of all {len(worst)} checkpoints in float32", f"at most {worst[what]:.1e} apart ({what})",
                "the CPU", goal=f"≤ {NEAR:.0e}", reached=worst[what] <= NEAR)  # fmt: skip
    _compare_recorded(job)


def specimens(small: bool) -> Iterator[Specimen]:
    """Gives every family's checkpoints; in the small form one or two of each."""

    def some(names: Sequence[str]) -> Sequence[str]:
        return names[:1] if small else names

    for name in ("babyllava-tiny", "babyllava-v2-tiny"):
        yield Specimen("babyllava", f"{name}, trained", lambda folder, name=name: BUNDLED[name], DEMO_TEXTS)  # type: ignore[misc]
    for trunk in some(("transformer", "model")):
        yield Specimen("babyllava", f"trunk {trunk}", partial(_write_small, trunk=trunk))
    for build in some(("tv", "timm")):
        yield Specimen("babyllava_v2", f"tower of {build}", partial(_write_v2, build=build), TEXTS, "How many?")
    for kind in ("the authors' format", "transformers' format"):
        yield Specimen("llava", kind, partial(_write_llava, kind=kind), TEXTS, "What is it?")
    for case in some(list(test_llava_next.CASES)):
        yield Specimen("llava_next", case, partial(_write_next, case=case), TEXTS, test_llava_next.PROMPT)
    for kind in some([*hf_checkpoints.KINDS, *hf_checkpoints.MORE_KINDS]):
        yield Specimen("hf", kind, partial(hf_checkpoints.write_hf, kind=kind), TEXTS, "What is in the image?")
    for kind in some(test_clip.KINDS):
        yield Specimen("clip", kind, partial(test_clip.write, kind=kind))
    yield Specimen("open_clip", "plain", test_open_clip.write, test_open_clip.TEXTS)
    for kind in some(list(test_dual.KINDS)):
        yield Specimen("dual", kind, partial(test_dual.write, kind=kind))
    yield Specimen("cvcl", "the published tower", _write_cvcl)


def _write_small(folder: Path, trunk: str) -> Path:
    """Weights of half the size of the tests': those are too large for float16."""
    weights = checkpoints.weights_of(trunk, len(checkpoints.SPECIAL) + len(WORDS), 0, 0.5)
    return checkpoints.write_checkpoint(folder, WORDS, trunk=trunk, weights=weights)


def _write_v2(folder: Path, build: str) -> Path:
    return v2_checkpoints.write_v2(folder, v2_checkpoints.tower_weights(build))


def _write_llava(folder: Path, kind: str) -> Path:
    tower = folder.parent / "openai" / "clip-small"
    if not tower.is_dir():
        llava_checkpoints.write_tower(tower)
    own = llava_checkpoints.write_llava(folder.parent / "original")
    return own if kind.startswith("the authors") else llava_checkpoints.as_transformers(own, tower, folder)


def _write_next(folder: Path, case: str) -> Path:
    network, _ = test_llava_next.reference(test_llava_next.CASES[case])
    return test_llava_next.write(folder / "model", test_llava_next.CASES[case], network)


def _write_cvcl(folder: Path) -> Path:
    test_cvcl.save(folder / "cvcl.ckpt", test_cvcl.weights_of(0))
    write_json(folder / "vocab.json", test_cvcl.VOCAB)
    return folder


def images() -> list[Image.Image]:
    return [
        Image.blend(picture(i, *size), Image.new("RGB", size, (i * 40, 90, 200 - i * 30)), 0.5)
        for i, size in enumerate(SIZES)
    ]


def numbers(folder: Path, specimen: Specimen, device: str, dtype: str) -> torch.Tensor:
    """The loss or the similarity of every picture (rows) with every text."""
    return numbers_of(load(folder, device=device, dtype=dtype), specimen.prompt, specimen.texts)


def numbers_of(model: Model, prompt: str, texts: Sequence[str]) -> torch.Tensor:
    features = model.encode([model.preprocess(image) for image in images()])
    is_loss = model.info.abilities.scores[0] == "loglikelihood"
    columns = []
    for text in texts:
        some = [tokenize(model, prompt, text)] * len(features)
        groups: dict[Any, list[int]] = {}
        for i, feature in enumerate(features):  # pictures of some models have different numbers of positions
            groups.setdefault(tuple(getattr(feature.data, "shape", ())), []).append(i)
        column = torch.zeros(len(features))
        for group in groups.values():
            shown, asked = [features[i] for i in group], [some[i] for i in group]
            if is_loss:
                found = [score.mean_loss for score in loglikelihood(model, shown, asked, prompt)]
            else:
                found = [-score.value for score in similarity(model, shown, asked)]
            column[group] = torch.tensor(found)
        columns.append(column)
    return torch.stack(columns, 1)


def n_flips(ours: torch.Tensor, right: torch.Tensor) -> int:
    """Counts the pictures for which another text is likeliest, and the texts for which another picture is."""
    return int((ours.argmin(1) != right.argmin(1)).sum() + (ours.argmin(0) != right.argmin(0)).sum())


def _compare(job: Job, specimen: Specimen, folder: Path) -> tuple[float, str]:
    right = numbers(folder, specimen, "cpu", "float32")
    if not (right.isfinite().all() and right.std() > 1e-4):
        raise ValueError(f"numbers that say nothing: {right.tolist()}")
    furthest, told = 0.0, []
    for dtype in ("float32", *HALVES):
        ours = numbers(folder, specimen, job.device, dtype)
        far = float((ours - right).abs().max())
        if dtype == "float32":
            furthest = far if far == far else float("inf")
        told.append(f"{dtype} {far:.1e} and {n_flips(ours, right)} of {sum(right.shape)} flip")
    return furthest, "; ".join(told)


def _compare_recorded(job: Job) -> None:
    """Compares with what other programs computed: open_clip, and the original code."""
    folder = test_open_clip.write(job.work / "losses" / "recorded_open_clip")
    found = torch.tensor(test_open_clip.cosines(load(folder, device=job.device)))
    far = float((found - torch.tensor(test_open_clip.RECORDED["plain"])).abs().max())
    job.say("open_clip's own numbers", f"{far:.1e} apart", "open_clip 3.3", goal=f"≤ {NEAR:.0e}", reached=far <= NEAR)
    shared = (job.reference or SHARED).absolute()
    if not (shared / "reference").is_dir():
        job.say(
            "the original code's numbers", "not compared: they lie beside no repository; --reference DIR names them"
        )
        return
    names = (
        {"e": "babyllava_resnext_gpt2_bpe"}
        if job.small
        else {"e": "babyllava_resnext_gpt2_bpe"}
        | {
            "a": "babyllava_resnext_gpt2",
            "c": "llava-v1.5-tiny",
        }
    )
    made = write_reference(shared, job.work / "reference", ",".join(names))
    for name in names.values():
        far, n = _furthest(job, made / name, shared / "reference" / "golden", name)
        job.say(f"the original code's losses, {name}", f"{far:.1e} apart in {n} lines", "the original on a CPU",
                goal=f"≤ {NEAR:.0e}", reached=far <= NEAR)  # fmt: skip


def _furthest(job: Job, folder: Path, golden: Path, name: str) -> tuple[float, int]:
    lines = [json.loads(line) for line in (golden / f"{name}.jsonl").read_text().splitlines()]
    scored = [line for line in lines if line["kind"] == "loglikelihood"]
    recorded = test_golden.pictures_in(golden.parent.parent)
    model = load(folder, device=job.device)
    features = test_golden.features_of(model, sorted({line["image"] for line in scored}), recorded)
    tokens = [test_golden.tokens_of(model, line) for line in scored]
    losses = test_golden.scores_of(model, tokens, [features[line["image"]] for line in scored])
    return max(apart(score.mean_loss, scored[i]["loss"]) for i, score in losses), len(losses)
