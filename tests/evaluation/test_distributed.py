"""One evaluation in several processes gives what one gives; a process that dies ends it, and it can be gone on with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from babycli.errors import DataError
from babycli.evaluation.distributed import join
from tests.checkpoints import DEMO_WORDS, weights_of, word_tokenizer, write_checkpoint
from tests.conftest import REPOSITORY, Babycli, Ran
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.evaluation.processes import Evaluation

SOME = ("--tasks", "labeled_s,vtwt,saycam_caption", "--limit", "12", "--batch-size", "4")
TASKS = ("labeled_s", "vtwt", "saycam_caption")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(n: int, *words: object, port: int | None = None) -> list[Evaluation]:
    """As the launchers do: variables of the environment tell them of each other."""
    common = {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port or free_port())}
    return [Evaluation(*words, more={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(n)]


def ended(processes: Sequence[Evaluation]) -> list[Ran]:
    return [process.ended() for process in processes]


@pytest.mark.long
@pytest.mark.parametrize("n", [2, 3])
def test_several_processes_decide_as_one_does(n: int, linked: Path, babycli: Babycli, small: Path) -> None:
    assert ended(start(1, "--model", small, *SOME, "--output-path", "one"))[0].code == 0
    rans = ended(start(n, "--model", small, *SOME))
    assert [ran.code for ran in rans] == [0] * n, [ran.err for ran in rans]
    assert "METEOR" in rans[0].out
    assert [ran.out for ran in rans[1:]] == [""] * (n - 1)
    one, several = only_run(Path("one")), only_run(Path("logs"))
    assert results(several)["results"] == results(one)["results"]
    assert {t: samples(several, t) for t in TASKS} == {t: samples(one, t) for t in TASKS}
    files = sorted(several.glob("scores.rank*.jsonl"))
    assert [path.name for path in files] == [f"scores.rank{rank}.jsonl" for rank in range(n)]
    shares = [len(lines(path)) for path in files]
    assert sum(shares) == len(lines(one / "scores.rank0.jsonl"))
    assert min(shares) > 0
    session = read_json(several / "run.json")["sessions"][0]
    assert session["n_processes"] == n
    assert session["timings"]["vision"] > 0


@pytest.mark.long
def test_a_model_that_ignores_the_image_ties_across_processes(linked: Path, babycli: Babycli, tmp_path: Path) -> None:
    weights = weights_of("transformer", len(word_tokenizer(DEMO_WORDS)["model"]["vocab"]), seed=1)
    weights["transformer.mm_projector.2.weight"].zero_()
    blind = write_checkpoint(tmp_path / "blind", DEMO_WORDS, weights=weights)
    rans = ended(start(2, "--model", blind, "--tasks", "labeled_s", "--limit", 40, "--batch-size", 3))
    assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
    document = results(only_run(Path("logs")))
    assert document["results"]["labeled_s"]["acc,none"] == 0.25
    assert document["ties"]["labeled_s"] == 40


@pytest.mark.long
def test_a_process_that_dies_ends_the_run_and_the_same_command_goes_on(
    linked: Path, babycli: Babycli, small: Path
) -> None:
    assert babycli("eval", "--model", small, *SOME, "--output-path", "one").code == 0
    processes = start(3, "--model", small, *SOME[:-1], 1)
    while not list(Path("logs").glob("*/*/scores.rank1.jsonl")):
        assert processes[1].poll() is None, processes[1].ended()
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGKILL)
    rans = ended(processes)
    assert rans[1].code == -signal.SIGKILL
    assert rans[0].code == 5
    assert "another of the 3 processes ended before its work was done" in rans[0].err
    assert "same command" in rans[0].err
    assert rans[2].code == 5
    assert "process 3 of 3" in rans[2].err
    assert "Traceback" not in rans[0].err + rans[2].err
    folder = only_run(Path("logs"))
    assert not list(folder.glob("*_results.json"))
    rans = ended(start(2, "--model", small, *SOME[:-1], 1))
    assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
    assert results(only_run(Path("logs")))["results"] == results(only_run(Path("one")))["results"]


def test_one_process_that_cannot_load_is_told_by_all(linked: Path, small: Path, tmp_path: Path) -> None:
    rans = ended(start(2, "--model", small, *SOME, "--model-args", "vision_tower=/nowhere"))
    assert [ran.code for ran in rans] == [5, 5]
    assert "/nowhere" in rans[0].err
    assert "process 2 of 2: " in rans[1].err


def test_a_conflict_is_told_by_all_processes_and_none_waits(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert babycli("eval", "--model", small, *SOME).code == 0
    next(only_run(Path("logs")).glob("*_results.json")).unlink()
    rans = ended(start(2, "--model", small, *SOME, "--dtype", "bfloat16"))
    assert rans[0].code == 6
    assert "model dtype: 'float32' in the log, 'bfloat16' now" in rans[0].err
    assert rans[1].code != 0
    assert "process 1 of 2 failed" in rans[1].err


@pytest.mark.long
@pytest.mark.parametrize("launcher", [pytest.param("accelerate", marks=pytest.mark.long), "torchrun"])
def test_the_launchers_start_it(launcher: str, linked: Path, small: Path) -> None:
    if launcher == "accelerate":
        module = [
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes=2",
            f"--main_process_port={free_port()}",
        ]
        module += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "-m"]
    else:
        module = ["torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m"]
    words = ["babycli", "eval", "--model", small, "--tasks", "vtwt", "--limit", 8, "--batch-size", 2]
    ran = subprocess.run(
        [sys.executable, "-m", *module, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("VTWT\n") == 1  # the head of one table
    assert ran.stderr.count("results: ") == 1
    assert len(list(only_run(Path("logs")).glob("scores.rank*.jsonl"))) == 2


def test_an_environment_that_is_half_set_is_a_usage_error(
    babycli: Babycli, linked: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    ran = babycli("eval", "--model", small, *SOME)
    assert ran.code == 2
    assert "RANK" in ran.err
    assert "accelerate launch" in ran.err


def test_a_machine_whose_network_is_not_found_is_told_how_to_name_it(
    linked: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nowhere0")
    ran = ended(start(2, "--model", small, *SOME))[0]
    assert ran.code == 5
    assert "cannot meet the other processes at 127.0.0.1:" in ran.err
    assert "nowhere0" in ran.err
    assert "GLOO_SOCKET_IFNAME=NAME" in ran.err
    assert "torchrun" not in ran.err  # whoever reads this has started it with something of the kind


def test_alone_nothing_is_exchanged() -> None:
    alone = join()
    assert (alone.rank, alone.n) == (0, 1)
    assert alone.share(5) == 5
    assert alone.gather(6) == [6]
    assert alone.together(lambda: 7) == 7

    def broken() -> int:
        raise DataError("no such file", "look")

    with pytest.raises(DataError, match="no such file"):
        alone.together(broken)
