"""Checkpoints evaluated as a training saves them: by a slow writer, after a restart, and those that vanish."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file

from babycli.commands import watching
from babycli.evaluation import watch
from babycli.models.parts import being_saved
from babycli.models.parts.being_saved import why_not_whole
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import Babycli
from tests.evaluation.logs import read_json

SOME = ("--tasks", "vtwt", "--limit", "3")
WATCH = ("eval", "--model", "run/checkpoint-*", "--watch", *SOME)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths, so that no test waits."""
    monkeypatch.setitem(watching._SECONDS, "s", 0.4)
    monkeypatch.setattr(watch, "POLL_S", 0.01)
    monkeypatch.setattr(watch, "TRIED_ANYWAY_S", 0.8)
    monkeypatch.setattr(being_saved, "SETTLED_S", 0.05)
    monkeypatch.setattr(being_saved, "SETTLED_OTHERWISE_S", 0.2)


def save_slowly(source: Path, folder: Path, seconds: float, *, in_pieces_of: int = 4) -> None:
    """Writes a checkpoint file by file, each in pieces, as a trainer does; its last file comes last."""
    folder.mkdir(parents=True)
    files = [file for file in sorted(source.iterdir()) if file.is_file()]
    for file in files:
        content = file.read_bytes()
        step = max(1, len(content) // in_pieces_of)
        with (folder / file.name).open("wb", buffering=0) as opened:
            for i in range(0, len(content), step):
                opened.write(content[i : i + step])
                time.sleep(seconds / len(files) / in_pieces_of)
                if file.suffix == ".safetensors" and not i:
                    time.sleep(0.3)  # longer than a folder must be left alone
    torch.save({}, folder / "training_args.bin")
    time.sleep(seconds / len(files))
    (folder / "trainer_state.json").write_text("{}")


def in_background(action: Callable[[], object], after_s: float = 0) -> threading.Thread:
    thread = threading.Timer(after_s, action)
    thread.start()
    return thread


def runs_of(logs: Path) -> list[str]:
    """The folders of models, once for each finished run."""
    return sorted(file.parent.parent.name for file in logs.glob("*/*/*_results.json"))


@pytest.mark.long
def test_a_slow_writer_is_waited_for_and_nothing_is_done_twice(linked: Path, small: Path, babycli: Babycli) -> None:
    writer = in_background(lambda: save_slowly(small, Path("run/checkpoint-10"), 0.6))
    ran = babycli(*WATCH, "--watch-for", "1s")
    writer.join()
    assert ran.code == 0, ran.err
    assert runs_of(Path("logs")) == ["run__checkpoint-10"]
    assert "failed" not in ran.err
    assert "passed over" not in ran.err
    assert "checkpoint-10" in ran.out
    whole = babycli("eval", "--model", small, *SOME, "--output-path", "alone")
    assert whole.code == 0

    def values(logs: str) -> object:
        (file,) = Path(logs).glob("*/*/*_outcomes.json")
        return read_json(file)

    assert values("logs") == values("alone")

    shutil.copytree("run/checkpoint-10", "run/checkpoint-9")  # a step before it, as after a restart
    again = babycli(*WATCH, "--watch-for", "1s")
    assert again.code == 0, again.err
    assert again.err.count("loading ") == 1
    assert runs_of(Path("logs")) == ["run__checkpoint-10", "run__checkpoint-9"]

    write_checkpoint(Path("run/other"), DEMO_WORDS, seed=5)  # saved anew under the same name: another checkpoint
    shutil.copytree("run/other", "run/checkpoint-9", dirs_exist_ok=True)
    assert babycli(*WATCH, "--watch-for", "1s").code == 0
    assert runs_of(Path("logs")) == ["run__checkpoint-10", "run__checkpoint-9", "run__checkpoint-9"]


@pytest.mark.long
def test_a_checkpoint_may_be_left_alone_for_longer(
    linked: Path, small: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that shows changes late: it looks whole, and quiet for longer than it must be."""
    monkeypatch.setattr(watch, "SHORT_S", 0.5)
    shutil.copytree(small, "run/checkpoint-1")
    kept = Path("run/checkpoint-1/config.json").read_text()
    more = in_background(lambda: Path("run/checkpoint-1/config.json").write_text(kept + "\n"), 0.6)
    ran = babycli(*WATCH, "--watch-for", "1s", "--watch-settle", "2s")
    more.join()
    assert ran.code == 0, ran.err
    assert ran.err.count("loading ") == 1  # after the change, which comes when 0.2 s have long gone by
    assert "until its files have been left alone for 0.8 s\n" in ran.err
    shutil.copytree(small, "run/checkpoint-2")
    monkeypatch.setattr(being_saved, "SETTLED_OTHERWISE_S", 60.0)
    assert babycli(*WATCH, "--watch-for", "1s", "--watch-settle", "0s").code == 0  # for shorter, too
    assert runs_of(Path("logs")) == ["run__checkpoint-1", "run__checkpoint-2"]


@pytest.mark.parametrize("option", ["--watch-for", "--watch-settle"])
def test_times_of_a_watch_are_times_and_of_a_watch(option: str, linked: Path, babycli: Babycli) -> None:
    for words, said, mend in (
        ((*WATCH, option, "5"), f"{option} must be a time, not '5'", "write it as  90s, 30m, 2h or 1h30m"),
        (("eval", *SOME, option, "5s"), f"{option} is for --watch", "add  --watch"),
    ):
        ran = babycli(*words)
        assert (ran.code, ran.err) == (2, f"babycli: {said}\n  mend: {mend}\n")


@pytest.mark.long
def test_the_end_waits_for_one_that_is_left_alone_and_says_so(
    linked: Path, small: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(being_saved, "SETTLED_OTHERWISE_S", 1.0)
    monkeypatch.setattr(watch, "SHORT_S", 0.5)
    shutil.copytree(small, "run/checkpoint-1")
    ran = babycli(*WATCH, "--watch-for", "1s")
    assert ran.code == 0
    assert runs_of(Path("logs")) == ["run__checkpoint-1"]
    assert ran.err.count("waiting for run/checkpoint-1: until its files have been left alone for 1 s\n") == 1


@pytest.mark.long
def test_one_that_vanishes_and_one_that_is_broken_are_passed_over(linked: Path, small: Path, babycli: Babycli) -> None:
    for step in (1, 2, 3):
        shutil.copytree(small, f"run/checkpoint-{step}")
    Path("run/checkpoint-1/config.json").write_text("{")  # and nobody goes on writing it
    Path("run/checkpoint-2/model.safetensors").unlink()
    in_background(lambda: shutil.rmtree("run/checkpoint-2"), after_s=0.4)
    shutil.copytree(small, "run/tmp-checkpoint-4")
    ran = babycli(*WATCH, "--watch-for", "2s")
    assert ran.code == 5
    assert runs_of(Path("logs")) == ["run__checkpoint-3"]
    assert "waiting for run/checkpoint-1: config.json is not JSON to its end" in ran.err
    assert "passed over run/checkpoint-1: " in ran.err
    assert "passed over run/checkpoint-2: it is gone before it was evaluated" in ran.err
    assert "babycli: checkpoints that were passed over: " in ran.err


def test_one_that_is_never_whole_is_named_at_the_end(
    linked: Path, small: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "TRIED_ANYWAY_S", 600.0)
    shutil.copytree(small, "run/checkpoint-1")
    Path("run/checkpoint-1/training_args.bin").touch()
    ran = babycli(*WATCH, "--watch-for", "1s")
    assert (ran.code, runs_of(Path("logs"))) == (5, [])
    assert "passed over run/checkpoint-1: it is not whole yet: training_args.bin" in ran.err


def test_numbers_that_are_none_are_said_and_the_watch_goes_on(linked: Path, small: Path, babycli: Babycli) -> None:
    for step in (1, 2):
        shutil.copytree(small, f"run/checkpoint-{step}")
    weights = load_file("run/checkpoint-1/model.safetensors")
    save_file(
        {name: w * torch.nan if w.is_floating_point() else w for name, w in weights.items()},
        "run/checkpoint-1/model.safetensors",
    )
    ran = babycli(*WATCH, "--watch-for", "1s")
    assert ran.code == 7
    assert runs_of(Path("logs")) == ["run__checkpoint-1", "run__checkpoint-2"]
    assert "passed over run/checkpoint-1: the model gave scores that are not finite" in ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(linked: Path, babycli: Babycli, number: signal.Signals) -> None:
    in_background(lambda: os.kill(os.getpid(), number), after_s=0.4)
    ran = babycli(*WATCH)
    assert ran.code == 130
    assert "stopped watching; the same command goes on" in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--watch-for", "2h"), "--watch-for is for --watch"),
        (("--watch", "--watch-for", "2 hours"), "--watch-for must be a time"),
        (("--watch",), "--watch waits for checkpoints that are not there yet"),
    ],
)
def test_words_that_do_not_fit(linked: Path, small: Path, babycli: Babycli, words: tuple[str, ...], told: str) -> None:
    ran = babycli("eval", "--model", small, *SOME, *words)
    assert ran.code == 2
    assert told in ran.err


def test_a_pattern_that_nothing_ever_had_is_no_success(linked: Path, babycli: Babycli) -> None:
    ran = babycli(*WATCH, "--watch-for", "1s")
    assert ran.code == 2
    assert "no checkpoint was named 'run/checkpoint-*' for 0.4 s" in ran.err


def test_missing_data_are_told_before_the_first_checkpoint_comes(empty_folder: None, babycli: Babycli) -> None:
    ran = babycli(*WATCH)
    assert ran.code == 3
    assert "mend: " in ran.err


def test_a_file_is_whole_at_its_last_byte_alone(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-1"
    shutil.copytree(small, folder)
    torch.save({"weight": torch.zeros(100)}, folder / "optimizer.pt")
    assert why_not_whole(folder) == ""
    for file in ("model.safetensors", "optimizer.pt", "config.json"):
        content = (folder / file).read_bytes()
        for n in (0, 1, 7, 9, len(content) // 2, len(content) - 2):
            (folder / file).write_bytes(content[:n])
            assert file in why_not_whole(folder), (file, n)
        (folder / file).write_bytes(content)
    assert why_not_whole(folder) == ""


@pytest.mark.parametrize("end", ["Infinity", "1e400", "null", '"x"', "[" * 2000 + "]" * 2000])
def test_a_header_that_tells_no_length_is_none(end: str, small: Path, tmp_path: Path) -> None:
    header = f'{{"a": {{"data_offsets": [0, {end}]}}}}'.encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "model.safetensors" in why_not_whole(tmp_path)


def test_a_shard_or_the_last_file_that_is_not_there_yet_is_waited_for(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-1"
    shutil.copytree(small, folder)
    torch.save({}, folder / "training_args.bin")
    assert why_not_whole(folder) == "trainer_state.json is not there yet"
    (folder / "trainer_state.json").write_text("{}")
    assert why_not_whole(folder) == ""
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors").rename(folder / shards["a"])
    (folder / "model.safetensors.index.json").write_bytes(orjson.dumps({"weight_map": shards}))
    assert why_not_whole(folder) == f"{shards['b']} is not there yet"
    (folder / shards["a"]).unlink()
    (folder / "model.safetensors.index.json").unlink()
    assert why_not_whole(folder) == "there are no weights yet"
    assert json.loads((folder / "trainer_state.json").read_text()) == {}
