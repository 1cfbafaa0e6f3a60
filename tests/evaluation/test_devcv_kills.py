"""A conversation of 15 turns that is killed at any moment goes on, and ends as if nothing had happened.

A few kills here; `make kills` makes BABYCLI_KILL_ROUNDS=100 for each number of processes.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from babycli.cli import main
from tests.checkpoints import SPECIAL, weights_of, write_checkpoint
from tests.evaluation.logs import final, only_run, read_json
from tests.evaluation.processes import Evaluation
from tests.evaluation.test_distributed import start
from tests.written_once import written_once

N_ROUNDS = int(os.environ.get("BABYCLI_KILL_ROUNDS", "1"))
WORDS = [*("Touch", "the", "new", "image", ".", "Let", "'", "s", "try", "more", "(A)", "(B)", "A", "B", "a", "b")]
WORDS += ["ball", "red", "cat", "dog", "blue", "house", "sun", "tree"]
N_ITEMS, N_LEARNT, N_TURNS = 3, 5, 15
N_ANSWERS = N_ITEMS * N_TURNS
PLAYED = ("--tasks", "baby_memory", "--set", "drawn", "--max-new-tokens", 4, "--batch-size", 2)
SAMPLES = "_samples_baby_memory.jsonl"


def memory_entry(n: int) -> dict[str, Any]:
    """An item of memory: each of five objects is learnt, and comes back in two of ten later turns."""
    rng = random.Random(n)
    back = [f"old {i}" for i in range(N_LEARNT)] * 2
    rng.shuffle(back)
    shown = [["old 0"], *(["old " + str(i), "old " + str(i - 1)] for i in range(1, N_LEARNT))]
    shown += [[f"new {i}", old] for i, old in enumerate(back)]
    talk, images, labels = list[dict[str, str]](), list[str](), list[list[str]]()
    for turn, (new, *others) in enumerate(shown):
        options = [new, *others]
        rng.shuffle(options)
        images += [f"item {n}/{name}.png" for name in options]
        labels.append(options)
        offered = " ".join(f"({letter}) <image>" for letter, _ in zip("AB", options, strict=False))
        words = "Let's try more. " if turn else ""
        talk.append({"from": "human", "value": f"{words}Touch the new image. {offered}"})
        talk.append({"from": "gpt", "value": "AB"[options.index(new)]})
    return {"id": f"memory_{n}", "conversations": talk, "image": images, "labels": labels}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with a set of memory. Do not write."""

    def draw(folder: Path) -> None:
        of_set = folder / "devcv" / "drawn"
        entries = [memory_entry(n) for n in range(N_ITEMS)]
        names = dict.fromkeys(name for entry in entries for name in entry["image"])
        rng = random.Random("pictures")
        for name in names:
            place = of_set / "images" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.frombytes("RGB", (6, 6), rng.randbytes(108)).resize((48, 48)).save(place)
        (of_set / "baby_memory.json").write_text(json.dumps(entries))

    return written_once(tmp_path_factory, "drawn", draw)


@pytest.fixture(scope="session")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint with room for 29 pictures and all that is said of them.

    It attends to some things more than to others, so that what it says depends on what it is shown.
    """

    def write(folder: Path) -> None:
        weights = weights_of("model", len(SPECIAL) + len(dict.fromkeys(WORDS)), seed=6)
        for name, tensor in weights.items():
            factor = 4 if "self_attn" in name or "mm_projector.2" in name else 2 if "mlp" in name else 1
            weights[name] = tensor * factor
        config = {"max_position_embeddings": 4096}
        write_checkpoint(folder, WORDS, trunk="model", weights=weights, config=config)

    return written_once(tmp_path_factory, "talking", write)


def words_of(model: Path, data: Path, logs: str) -> Sequence[object]:
    more = ("--model-args", "conv_template=baby_v1")
    return ("--model", model, *more, *PLAYED, "--data", data, "--output-path", logs)


@pytest.fixture(scope="session")
def undisturbed(talking: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of the run that the others are compared with. Do not write."""

    def evaluate(folder: Path) -> None:
        assert main(["eval", *map(str, words_of(talking, drawn, str(folder)))]) == 0

    return written_once(tmp_path_factory, "memory", evaluate)


@pytest.mark.long
def test_the_undisturbed_run_is_worth_comparing_with(undisturbed: Path) -> None:
    """All turns were asked, and what was said differs from turn to turn and from item to item."""
    folder = only_run(undisturbed)
    said = [[text for (text,) in json.loads(line)["resps"]] for line in final(folder)[SAMPLES].splitlines()]
    assert [len(texts) for texts in said] == [N_TURNS] * N_ITEMS
    assert len({tuple(texts) for texts in said}) == N_ITEMS
    assert len({text for texts in said for text in texts}) > N_ITEMS
    # As many conversations at a time as a unit has pieces.
    n_blocks = math.ceil(N_ITEMS / int(PLAYED[PLAYED.index("--batch-size") + 1]))
    assert n_blocks > 1
    assert read_json(folder / "run.json")["plan"]["rounds"] == n_blocks * N_TURNS


def wait_until(n: int, processes: Sequence[Evaluation]) -> None:
    """Until so many answers are on disk, or the run is over."""
    while any(process.poll() is None for process in processes):
        if n_answers() >= n:
            return
        time.sleep(0.002)


def n_answers() -> int:
    return sum(path.read_bytes().count(b"\n") for path in Path("logs").glob("*/*/scores.rank*.jsonl"))


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("n_rounds", [N_ROUNDS, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("n_processes", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.long
def test_kills_in_the_middle_of_memory_change_nothing(
    n_processes: int,
    n_rounds: int,
    undisturbed: Path,
    talking: Path,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    due = final(only_run(undisturbed))
    rng = random.Random(f"kills {n_rounds} in {n_processes}")
    words = words_of(talking, drawn, "logs")
    n_killed = 0
    for _ in range(n_rounds):
        n_before = n_answers()
        processes = start(n_processes, *words)
        # One beyond the last: while results are written.
        wait_until(rng.randint(min(n_before + 1, N_ANSWERS), N_ANSWERS + 1), processes)
        time.sleep(rng.uniform(0, 0.02))
        for process in rng.sample(processes, n_processes):
            process.send_signal(signal.SIGKILL)
        n_killed += any(ran.code < 0 for ran in [process.ended() for process in processes])
        for folder in [path.parent for path in Path("logs").rglob("run.json")]:
            if any(folder.glob("*_results.json")):
                assert final(folder) == due
                shutil.rmtree(folder)
    rans = [process.ended() for process in start(n_processes, *words)]
    assert [ran.code for ran in rans] == [0] * n_processes, [ran.err for ran in rans]
    folder = only_run(Path("logs"))
    assert final(folder) == due
    assert read_json(folder / "run.json")["status"] == "done"
    assert n_killed >= n_rounds // 2
