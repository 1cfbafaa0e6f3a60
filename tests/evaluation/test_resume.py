"""A run that was stopped at any moment goes on with the same command, and ends as if nothing had happened.

A few kills here; `make kills` makes BABYCLI_KILL_ROUNDS=100.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from babycli.cli import main
from babycli.logs.answers import merged
from babycli.logs.runlog import RunLog
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.evaluation.processes import Evaluation
from tests.models.test_clip import write as write_clip
from tests.written_once import written_once

N_ROUNDS = int(os.environ.get("BABYCLI_KILL_ROUNDS", "3"))
SOME = ("--tasks", "labeled_s,vtwt,saycam_caption", "--limit", "12", "--batch-size", "4")
NAMES = ("labeled_s", "vtwt", "saycam_caption")
FEW = ("--tasks", "vtwt", "--limit", "12", "--batch-size", "4")


class Undisturbed:
    """What the run gives when nothing happens to it."""

    def __init__(self, folder: Path) -> None:
        self.scores = (folder / "scores.rank0.jsonl").read_bytes()
        self.n_scores = self.scores.count(b"\n")
        self.numbers = results(folder)["results"]
        self.samples = {task: samples(folder, task) for task in NAMES}

    def check(self, folder: Path, exactly: bool = True) -> None:
        if exactly:
            assert (folder / "scores.rank0.jsonl").read_bytes() == self.scores
        assert results(folder)["results"] == self.numbers
        if exactly:
            assert {task: samples(folder, task) for task in NAMES} == self.samples
        assert read_json(folder / "run.json")["status"] == "done"


@pytest.fixture(scope="session")
def undisturbed_logs(dataset: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of the one run that the others are compared with. Do not write."""
    words = ["eval", "--model", str(small), *SOME, "--data", str(dataset), "--output-path"]

    def evaluate(folder: Path) -> None:
        assert main([*words, str(folder)]) == 0

    return written_once(tmp_path_factory, "undisturbed", evaluate)


@pytest.fixture
def undisturbed(linked: Path, undisturbed_logs: Path) -> Undisturbed:
    return Undisturbed(only_run(undisturbed_logs))


def stop_after(n_scores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the machine went away when so many scores are on disk."""
    append, n = RunLog.append, 0

    def failing(self: RunLog, *arguments: Any) -> None:
        nonlocal n
        if n == n_scores:
            raise KeyboardInterrupt
        n += 1
        append(self, *arguments)

    monkeypatch.setattr(RunLog, "append", failing)


def interrupted(babycli: Babycli, monkeypatch: pytest.MonkeyPatch, n_scores: int, *words: object) -> Path:
    """The folder of a run that was interrupted."""
    with monkeypatch.context() as patch:
        stop_after(n_scores, patch)
        ran = babycli("eval", *words)
    assert ran.code == 130, ran.err
    assert f"stopped after {n_scores} of" in ran.err
    assert "the same command goes on" in ran.err
    return only_run(Path("logs"))


@pytest.mark.parametrize("n_scores", [0, 23, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 5, 40))])
def test_the_same_command_goes_on_to_the_byte(
    n_scores: int, undisturbed: Undisturbed, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, n_scores, "--model", small, *SOME)
    assert len(lines(folder / "scores.rank0.jsonl")) == n_scores
    assert read_json(folder / "run.json")["status"] == "stopped"
    ran = babycli("eval", "--model", small, *SOME)
    assert ran.code == 0, ran.err
    if n_scores:
        assert f"{n_scores} of {undisturbed.n_scores} scores are on disk" in ran.err
    undisturbed.check(folder)
    sessions = read_json(folder / "run.json")["sessions"]
    assert len(sessions) == 2
    assert "end" not in sessions[0]
    assert sessions[1]["timings"]["vision"] > 0


def test_a_torn_line_is_cut_off_and_scored_again(
    undisturbed: Undisturbed, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 20, "--model", small, *SOME)
    scores = folder / "scores.rank0.jsonl"
    scores.write_bytes(scores.read_bytes()[:-17])
    assert babycli("eval", "--model", small, *SOME).code == 0
    undisturbed.check(folder)


def test_a_run_killed_between_its_last_score_and_its_results_goes_on(
    undisturbed: Undisturbed, babycli: Babycli, small: Path
) -> None:
    assert babycli("eval", "--model", small, *SOME).code == 0
    folder = only_run(Path("logs"))
    next(folder.glob("*_results.json")).unlink()
    assert babycli("eval", "--model", small, *SOME).code == 0
    undisturbed.check(folder)


def test_what_is_done_is_not_gone_on_with(linked: Path, babycli: Babycli, small: Path) -> None:
    for words in ((), ("--rerun",)):
        assert babycli("eval", "--model", small, *FEW, *words).code == 0
    assert len(list(Path("logs").rglob("run.json"))) == 2


def test_another_batch_size_gives_the_same_decisions(
    undisturbed: Undisturbed, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 21, "--model", small, *SOME)
    assert babycli("eval", "--model", small, *SOME[:-1], "7").code == 0
    undisturbed.check(folder, exactly=False)
    asked = {request_of(line): line.get("logprob_sum") for line in lines(folder / "scores.rank0.jsonl")}
    for line in map(json.loads, undisturbed.scores.splitlines()):
        assert asked[request_of(line)] == pytest.approx(line.get("logprob_sum"), abs=1e-6)


def request_of(line: Mapping[str, Any]) -> str:
    return json.dumps([line["turns"], line.get("text")])


def test_auto_goes_on_at_the_borders_it_began_with(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--model", small, "--tasks", "vtwt")
    assert babycli("eval", *words, "--output-path", "undisturbed").code == 0
    folder = interrupted(babycli, monkeypatch, 33, *words)
    assert babycli("eval", *words).code == 0
    whole = only_run(Path("undisturbed")) / "scores.rank0.jsonl"
    assert (folder / "scores.rank0.jsonl").read_bytes() == whole.read_bytes()


def test_no_resume_starts_anew(linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(babycli, monkeypatch, 10, "--model", small, *FEW)
    ran = babycli("eval", "--model", small, *FEW, "--no-resume")
    assert ran.code == 0
    assert "on disk" not in ran.err
    assert sorted(read_json(path)["status"] for path in Path("logs").rglob("run.json")) == ["done", "stopped"]


@pytest.mark.parametrize("words", [("--tasks", "labeled_s"), pytest.param(("--limit", "3"), marks=pytest.mark.long)])
def test_another_question_starts_a_run_of_its_own(
    words: tuple[str, str], linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(babycli, monkeypatch, 10, "--model", small, *SOME)
    others = SOME[2:] if words[0] == "--tasks" else SOME
    assert babycli("eval", "--model", small, *others, *words).code == 0
    assert len(list(Path("logs").rglob("run.json"))) == 2


def change_dtype(small: Path) -> Sequence[object]:
    return ("--dtype", "bfloat16")


def change_prompt(small: Path) -> Sequence[object]:
    return ("--prompt", "vtwt=what is this?")


def change_scoring(small: Path) -> Sequence[object]:
    return ("--scoring", "reference")


def change_weights(small: Path) -> Sequence[object]:
    write_checkpoint(small, DEMO_WORDS, seed=4)
    return ()


def change_an_image(small: Path) -> Sequence[object]:
    image = Path("dataset/vtwt/images/demo_frame_003.png")
    frames = Path("frames")
    shutil.copytree(image.parent.resolve(), frames)
    image.parent.unlink()
    image.parent.symlink_to(frames.resolve())
    Path("dataset/babycli.lock").unlink()
    Image.new("RGB", (30, 30), "red").save(image)
    return ()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (change_dtype, "model dtype: 'float32' in the log, 'bfloat16' now"),
        (change_prompt, "tasks vtwt prompt: '' in the log, 'what is this?' now"),
        (change_scoring, "scoring: 'fair' in the log, 'reference' now"),
        (change_weights, "model fingerprint: "),
        (change_an_image, "data images_sha256 vtwt: "),
    ],
)
def test_a_change_is_a_conflict_that_is_shown(
    change: Callable[[Path], Sequence[object]],
    shown: str,
    linked: Path,
    babycli: Babycli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = write_checkpoint(tmp_path / "checkpoints" / "small", DEMO_WORDS, seed=3)
    words = ("--model", small, *FEW)
    folder = interrupted(babycli, monkeypatch, 10, *words)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    more = change(small)
    ran = babycli("eval", *words, *more)
    assert ran.code == 6
    assert shown in ran.err
    assert str(folder) in ran.err
    assert "--no-resume" in ran.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert babycli("eval", *words, *more, "--no-resume").code == 0


def test_the_run_that_was_begun_last_is_gone_on_with(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where their names are the other way round: those of older runs are in local time, which repeats an hour."""
    older = interrupted(babycli, monkeypatch, 10, "--model", small, *FEW)
    later = older.with_name("20201025_020000")
    older = older.rename(older.with_name("20201025_025959"))
    shutil.copytree(older, later)
    for folder, start in ((older, "2020-10-25T00:59:59.000+00:00"), (later, "2020-10-25T01:00:00.000+00:00")):
        run = read_json(folder / "run.json")
        (folder / "run.json").write_text(json.dumps(run | {"start": start}))
    assert babycli("eval", "--model", small, *FEW).code == 0
    assert [bool(list(folder.glob("*_results.json"))) for folder in (older, later)] == [False, True]


def test_a_run_is_named_after_the_time_in_utc(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")  # a quarter of an hour beside every full hour
        time.tzset()
        ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", "2")
    time.tzset()
    assert ran.code == 0
    folder = only_run()
    named = datetime.strptime(folder.name, "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
    started = datetime.fromisoformat(read_json(folder / "run.json")["start"])
    assert abs(named - started) < timedelta(minutes=5)


@pytest.mark.long
def test_an_old_unfinished_run_is_no_conflict_once_a_later_one_is_done(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = interrupted(babycli, monkeypatch, 10, "--model", small, *SOME)
    other = ("eval", "--model", small, *SOME, "--dtype", "bfloat16")
    assert babycli(*other).code == 6
    assert babycli(*other, "--no-resume").code == 0
    assert babycli(*other).code == 0
    assert not list(old.glob("*_results.json"))
    assert babycli("eval", "--model", small, *SOME).code == 0  # and what is asked as then goes on
    assert list(old.glob("*_results.json"))


def test_a_dual_encoder_goes_on_to_the_byte(
    linked: Path, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_clip(tmp_path / "checkpoints" / "clip", "clip")
    words = ("--model", model, "--tasks", "labeled_s,vtwt", "--limit", 12, "--batch-size", 4)
    assert babycli("eval", *words, "--output-path", "undisturbed").code == 0
    folder = interrupted(babycli, monkeypatch, 29, *words)
    assert babycli("eval", *words).code == 0
    whole = only_run(Path("undisturbed")) / "scores.rank0.jsonl"
    assert (folder / "scores.rank0.jsonl").read_bytes() == whole.read_bytes()


def test_a_changed_label_file_is_a_conflict(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 10, "--model", small, *SOME)
    run = read_json(folder / "run.json")
    # A label file that babycli takes has one digest: change the log.
    run["identity"]["data"]["labels_sha256"]["vtwt"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(run))
    ran = babycli("eval", "--model", small, *SOME)
    assert ran.code == 6
    assert "data labels_sha256 vtwt: 0000000000000000... in the log" in ran.err


def lose_a_key(content: bytes) -> bytes:
    return content.replace(b'"turns"', b'"tirns"', 1)


def flip_a_bit(content: bytes) -> bytes:
    at = content.index(b'"token_logprobs":[') + 25
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def edit_a_number(content: bytes) -> bytes:
    first, rest = content.split(b"\n", 1)
    line = json.loads(first)
    line["token_logprobs"] = [0.0 for _ in line["token_logprobs"]]
    return json.dumps(line).encode() + b"\n" + rest


def swap_pictures(content: bytes) -> bytes:
    first, second, *rest = [json.loads(line) for line in content.splitlines()]
    first["turns"], second["turns"] = second["turns"], first["turns"]
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in (first, second, *rest))


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        swap_pictures,
        *(pytest.param(damage, marks=pytest.mark.long) for damage in (lose_a_key, edit_a_number)),
    ],
)
def test_damaged_scores_are_named_and_computed_again(
    damage: Callable[[bytes], bytes],
    linked: Path,
    babycli: Babycli,
    small: Path,
    undisturbed_logs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = interrupted(babycli, monkeypatch, 10, "--model", small, *SOME)
    scores = folder / "scores.rank0.jsonl"
    scores.write_bytes(damage(scores.read_bytes()))
    ran = babycli("eval", "--model", small, *SOME)
    assert ran.code == 0, ran.err
    assert re.search(r"note: [12] damaged answers? .*scores.rank0.jsonl, line 1", ran.err)
    whole = only_run(undisturbed_logs)
    assert results(folder)["results"] == results(whole)["results"]
    assert merged([scores]).answers == merged([whole / "scores.rank0.jsonl"]).answers


def test_answers_of_another_model_are_not_taken(
    linked: Path, babycli: Babycli, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that another run has written, whole as they are, in a score file and in a cache."""
    other = write_checkpoint(tmp_path / "checkpoints" / "other", DEMO_WORDS, seed=4)
    words = ("--tasks", "vtwt", "--limit", 4, "--batch-check", 0)
    for model, name in ((small, "whole"), (other, "other")):
        assert babycli("eval", "--model", model, *words, "--output-path", name, "--cache", f"cache-{name}").code == 0
    (cached,) = Path("cache-whole").glob("*/*.jsonl")
    foreign = only_run(Path("other")) / "scores.rank0.jsonl"
    shutil.copy(foreign, cached)
    folder = interrupted(babycli, monkeypatch, 2, "--model", small, *words)
    (folder / "scores.rank1.jsonl").write_bytes(foreign.read_bytes())
    ran = babycli("eval", "--model", small, *words, "--cache", "cache-whole")
    assert ran.code == 0, ran.err
    n = len(lines(foreign))
    for path in (folder / "scores.rank1.jsonl", cached):
        assert f"note: {n} damaged answers are not used, but computed again: {path}, line 1" in ran.err
    assert results(folder)["results"] == results(only_run(Path("whole")))["results"]
    assert (folder / "scores.rank0.jsonl").read_bytes() == (only_run(Path("whole")) / "scores.rank0.jsonl").read_bytes()


ODD: list[dict[str, Any]] = [
    {"sessions": None},
    {"sessions": [{"start": "yesterday"}]},
    {"batch_size": 0},
    {"start": 3},
    {"schema_version": 3},
]
MORE_ODD: list[dict[str, Any]] = [
    {"sessions": [3]},
    {"sessions": [{"start": "2026-01-01T00:00:00+00:00", "end": 3}]},
    {"sessions": [{"start": "2026-01-01T00:00:00+00:00", "timings": {"x": "y"}}]},
    {"sessions": {"a": 1}},
    {"batch_size": "4"},
    {"batch_size": True},
]


@pytest.mark.parametrize("odd", [*ODD, *(pytest.param(odd, marks=pytest.mark.long) for odd in MORE_ODD)], ids=repr)
def test_an_edited_run_json_is_named(
    odd: dict[str, Any], linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 2, "--model", small, *SOME)
    run = read_json(folder / "run.json")
    (folder / "run.json").write_text(json.dumps(run | odd))
    ran = babycli("eval", "--model", small, *SOME)
    assert ran.code == 6
    assert f"{folder / 'run.json'} is damaged" in ran.err


def test_a_run_that_is_being_written_is_left_alone(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 10, "--model", small, *FEW)
    with RunLog(folder, ""):
        ran = babycli("eval", "--model", small, *FEW)
        assert ran.code == 6
        assert "is being written by another process" in ran.err
        assert babycli("eval", "--model", small, *FEW, "--no-resume").code == 0


def test_the_scores_of_more_processes_are_gone_on_with_by_one(
    undisturbed: Undisturbed, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 24, "--model", small, *SOME)
    scores = lines(folder / "scores.rank0.jsonl")
    for rank in range(3):
        text = "".join(json.dumps(score) + "\n" for score in scores[rank::3])
        (folder / f"scores.rank{rank}.jsonl").write_text(text)
    assert babycli("eval", "--model", small, *SOME).code == 0
    undisturbed.check(folder, exactly=False)


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_kills_at_random_moments_change_nothing(undisturbed: Undisturbed, small: Path) -> None:
    rng = random.Random(f"kills {N_ROUNDS}")
    words = ("--model", small, *SOME)
    for _ in range(N_ROUNDS):
        process = Evaluation(*words)
        wait_until(rng.randrange(undisturbed.n_scores + 20), process)  # beyond the last: while results are written
        time.sleep(rng.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.ended()
        for folder in [path.parent for path in Path("logs").rglob("run.json")]:
            scores = (folder / "scores.rank0.jsonl").read_bytes()
            assert undisturbed.scores.startswith(scores[: scores.rfind(b"\n") + 1])
            if any(folder.glob("*_results.json")):
                undisturbed.check(folder)
                shutil.rmtree(folder)
    assert Evaluation(*words).ended().code == 0
    undisturbed.check(only_run(Path("logs")))


def wait_until(n_scores: int, process: Evaluation) -> None:
    """Until so many scores are on disk, or the run is over."""
    while process.poll() is None:
        found = list(Path("logs").glob("*/*/scores.rank0.jsonl"))
        if found and sum(path.read_bytes().count(b"\n") for path in found) >= n_scores:
            return
        time.sleep(0.002)


def test_sigterm_ends_a_run_with_a_last_word(linked: Path, small: Path) -> None:
    process = Evaluation("--model", small, "--tasks", "labeled_s,vtwt", "--batch-size", 1)
    wait_until(1, process)
    assert process.poll() is None
    process.terminate()
    ran = process.ended()
    assert ran.code == 130
    assert "stopped after" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("plant", "name"),
    [
        ("link", "scores.rank0.jsonl"),
        ("pipe", "scores.rank1.jsonl"),
        pytest.param("link", "scores.rank1.jsonl", marks=pytest.mark.long),
        pytest.param("pipe", "scores.rank0.jsonl", marks=pytest.mark.long),
    ],
)
def test_what_is_planted_as_scores_is_named(
    plant: str, name: str, linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 4, "--model", small, *SOME)
    Path("precious").write_text("of somebody else")
    (folder / name).unlink(missing_ok=True)
    if plant == "link":
        (folder / name).symlink_to(Path("precious").resolve())
    else:
        os.mkfifo(folder / name)
    ran = babycli("eval", "--model", small, *SOME)
    assert ran.code == 6
    assert f"{folder / name} is a link, a pipe or a device" in ran.err
    assert Path("precious").read_text() == "of somebody else"


def test_a_planted_link_is_not_written_through(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 4, "--model", small, *FEW)
    Path("precious").write_text("of somebody else")
    stamp = folder.name
    run = (folder / "run.json").read_bytes()
    Path("run").write_bytes(run)
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to(Path("run").resolve())
    for name in ("outcomes.json", "samples_vtwt.jsonl"):
        (folder / f"{stamp}_{name}").symlink_to(Path("precious").resolve())
    ran = babycli("eval", "--model", small, *FEW)
    assert ran.code == 0, ran.err
    assert Path("precious").read_text() == "of somebody else"
    assert Path("run").read_bytes() == run
    assert read_json(folder / "run.json")["status"] == "done"


def test_other_libraries_are_said(linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(babycli, monkeypatch, 4, "--model", small, *FEW)
    run = read_json(folder / "run.json")
    run["libraries"] |= {"python": "3.9.1", "accelerate": "0.1"}
    run["sessions"][0]["libraries"] |= {"python": "3.9.1", "numpy": "1.2"}  # the session after it had numpy as now
    (folder / "run.json").write_text(json.dumps(run))
    ran = babycli("eval", "--model", small, *FEW)
    assert ran.code == 0, ran.err
    said = r"note: the run was begun with python 3\.9\.1 \(now 3.*\), accelerate 0\.1 \(now .*\), numpy 1\.2 \(now "
    assert re.search(said, ran.err)
    assert ran.err.count("3.9.1") == 1


@pytest.mark.parametrize(
    "package",
    ["torch", *(pytest.param(name, marks=pytest.mark.long) for name in ("transformers", "tokenizers", "pillow"))],
)
def test_another_version_of_what_scores_depend_on_is_a_conflict(
    package: str, linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 4, "--model", small, *SOME)
    run = read_json(folder / "run.json")
    run["identity"]["software"][package] = "0.9.8"
    (folder / "run.json").write_text(json.dumps(run))
    ran = babycli("eval", "--model", small, *SOME)
    assert ran.code == 6
    assert f"software {package}: '0.9.8' in the log" in ran.err
