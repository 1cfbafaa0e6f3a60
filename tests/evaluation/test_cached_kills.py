"""A run in two processes with a cache, stopped again and again in any way, ends with the numbers of an undisturbed one.

One stop here; `make kills` makes BABYCLI_KILL_ROUNDS=100 of each kind of run.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli.cli import main
from tests.conftest import Ran
from tests.evaluation.logs import final, only_run
from tests.evaluation.processes import Evaluation
from tests.evaluation.test_devcv_kills import drawn, talking, words_of
from tests.evaluation.test_distributed import ended, start
from tests.models.test_clip import write as write_clip
from tests.written_once import written_once

__all__ = ["drawn", "talking"]  # fixtures

N_ROUNDS = int(os.environ.get("BABYCLI_KILL_ROUNDS", "1"))
N_IN_A_RUN = 5  # stops, before it is let to its end
PATIENCE_S = 3  # then what is left is killed, as launchers do: a process waits for one that was killed before they met
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WAYS_TO_END = {0, 5, 130, *(-number for number in SIGNALS)}  # 5: the other process is gone


def words_for(kind: str, request: pytest.FixtureRequest) -> Sequence[object]:
    """The words of an evaluation, but for its places."""
    if kind == "memory":
        words = words_of(request.getfixturevalue("talking"), request.getfixturevalue("drawn"), "")
        return words[: words.index("--output-path")]
    family, size = kind.split()
    model = request.getfixturevalue("small")
    tasks = "labeled_s,vtwt,baby_winoground" + (",saycam_caption" if family == "llava" else "")
    if family == "clip":
        factory = request.getfixturevalue("tmp_path_factory")
        model = written_once(factory, "clip", lambda folder: write_clip(folder, "clip"))
    words = ("--model", model, "--tasks", tasks, "--limit", 6, "--batch-size", size, "--batch-check", 0)
    return (*words, "--data", request.getfixturevalue("dataset"))


def lines_below(folder: Path) -> list[bytes]:
    """All answer lines below a folder, in an order that does not depend on who wrote them."""
    paths = [path for path in folder.rglob("*.jsonl") if "_samples_" not in path.name]
    return sorted(line for path in paths for line in path.read_bytes().splitlines())


def is_proper(ran: Ran) -> bool:
    """Whether it ended as babycli does; one may also be hit before babycli was there, and has not said a word."""
    return (ran.code in WAYS_TO_END and "Traceback" not in ran.err) or (ran.code, ran.err) == (1, "")


def all_of(logs: Path, cache: Path) -> dict[str, Any]:
    folder = only_run(logs)
    return final(folder) | {"scores": lines_below(folder), "cache": lines_below(cache)}


def stop(processes: Sequence[Evaluation], logs: Path, n_answers: int, rng: random.Random) -> list[Ran]:
    """Ends one of the processes, or both, in the way and at the moment that ``rng`` draws."""
    n = rng.randint(-n_answers // 4, n_answers)  # below 0: before there is any answer
    moment = time.monotonic() + (rng.uniform(0, 1) if n < 0 else 60)
    while time.monotonic() < moment and all(process.poll() is None for process in processes):
        if len(lines_below(logs)) >= n >= 0:
            break
        time.sleep(0.002)
    time.sleep(rng.choice((0, rng.uniform(0, 0.3))))  # also while results are written
    for process in rng.sample(processes, rng.randint(1, len(processes))):
        process.send_signal(rng.choice(SIGNALS))
        time.sleep(rng.choice((0, rng.uniform(0, 0.05))))
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and any(process.poll() is None for process in processes):
        time.sleep(0.01)
    for process in processes:
        process.send_signal(signal.SIGKILL)
    return ended(processes)


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize(
    "kind",
    ["llava auto", "llava 4", "clip auto", "memory"],
)
def test_kills_in_two_processes_with_a_cache_change_nothing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = words_for(kind, request)
    whole = ["eval", *map(str, words), "--output-path", "whole", "--cache", "whole-cache"]
    assert main(whole) == 0
    due = all_of(Path("whole"), Path("whole-cache"))
    assert due["scores"] == due["cache"]
    rng = random.Random(f"{kind} {N_ROUNDS}")
    n_stopped = 0
    for n in range(1, N_ROUNDS + 1):
        rans = stop(start(2, *words, "--cache", "cache"), Path("logs"), len(due["scores"]), rng)
        assert all(is_proper(ran) for ran in rans), rans
        n_stopped += any(ran.code != 0 for ran in rans)
        is_over = bool(list(Path("logs").rglob("*_results.json")))
        if not is_over and (n % N_IN_A_RUN == 0 or n == N_ROUNDS):
            rans = ended(start(2, *words, "--cache", "cache"))
            assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
            is_over = True
        if is_over:
            found = all_of(Path("logs"), Path("cache"))
            assert found | {"cache": due["cache"]} == due
            assert set(found["cache"]) <= set(
                due["cache"]
            )  # killed behind its results, a run leaves the cache as it was
            shutil.rmtree("logs")
            if rng.random() < 0.7:  # else the next run begins with what is in the cache
                shutil.rmtree("cache", ignore_errors=True)
    assert n_stopped >= N_ROUNDS // 2
