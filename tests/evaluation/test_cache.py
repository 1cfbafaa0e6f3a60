"""`babycli eval --cache DIR`: a score is computed once for the same weights, image, prompt, text and precision."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli.errors import OutputError
from babycli.evaluation.cache import AnswerCache
from babycli.models.parts.llava_model import LlavaModel
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run, results, samples

SOME = ("--limit", "10", "--batch-size", "4")
CACHED = (*SOME, "--cache", "cache")
TASKS = ("labeled_s", "vtwt", "baby_winoground", "saycam_caption")


class Counts:
    """How many pictures a model has encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.encoded = 0
        encode = LlavaModel.encode

        def counting(model: LlavaModel, pixels: Sequence[Any]) -> Any:
            self.encoded += len(pixels)
            return encode(model, pixels)

        monkeypatch.setattr(LlavaModel, "encode", counting)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    return Counts(monkeypatch)


def test_a_second_run_computes_nothing_and_says_the_same(
    linked: Path, babycli: Babycli, small: Path, counts: Counts
) -> None:
    for name in ("one", "two"):
        counts.encoded = 0
        ran = babycli("eval", "--model", small, *CACHED, "--output-path", name)
        assert ran.code == 0, ran.err
    assert counts.encoded == 0
    n = len(lines(only_run(Path("one")) / "scores.rank0.jsonl"))
    assert f"{n} of {n} scores are on disk" in ran.err
    one, two = only_run(Path("one")), only_run(Path("two"))
    assert results(two)["results"] == results(one)["results"]
    assert {t: samples(two, t) for t in TASKS} == {t: samples(one, t) for t in TASKS}
    (file,) = Path("cache").glob("*/*.jsonl")  # the second run had nothing to add
    assert len(lines(file)) == n


def test_a_part_that_is_known_is_not_computed_again(
    linked: Path, babycli: Babycli, small: Path, counts: Counts
) -> None:
    assert babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt", "--output-path", "one").code == 0
    counts.encoded = 0
    ran = babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt,labeled_s", "--output-path", "two")
    assert ran.code == 0
    assert "20 of " in ran.err
    assert babycli("eval", "--model", small, *SOME, "--tasks", "vtwt,labeled_s", "--output-path", "three").code == 0
    cached, plain = only_run(Path("two")), only_run(Path("three"))
    assert results(cached)["results"] == results(plain)["results"]


def test_a_copy_of_the_checkpoint_is_known(linked: Path, babycli: Babycli, tmp_path: Path, counts: Counts) -> None:
    for name in ("one", "two"):
        counts.encoded = 0
        model = write_checkpoint(tmp_path / "checkpoints" / name, DEMO_WORDS, seed=3)
        assert babycli("eval", "--model", model, *CACHED).code == 0
    assert counts.encoded == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--prompt", "what is this?"),
        ("--scoring", "reference"),
        pytest.param(("--dtype", "bfloat16"), marks=pytest.mark.long),
        pytest.param(("--model-args", "conv_template=v1"), marks=pytest.mark.long),
    ],
)
def test_what_changes_a_score_is_computed_anew(
    words: Sequence[str], linked: Path, babycli: Babycli, small: Path, counts: Counts
) -> None:
    assert babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt").code == 0
    counts.encoded = 0
    ran = babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt", *words)
    assert ran.code == 0, ran.err
    assert counts.encoded >= 10
    assert "on disk" not in ran.err


def test_other_weights_are_computed_anew(linked: Path, babycli: Babycli, small: Path, tmp_path: Path) -> None:
    other = write_checkpoint(tmp_path / "other", DEMO_WORDS, seed=4)
    for model in (small, other):
        assert "on disk" not in babycli("eval", "--model", model, *CACHED, "--tasks", "vtwt").err
    assert len(list(Path("cache").glob("*/*.jsonl"))) == 2


def test_what_was_scored_before_an_interruption_is_in_the_cache(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LlavaModel, "generate", interrupt)
        assert babycli("eval", "--model", small, *CACHED).code == 130
    (file,) = Path("cache").glob("*/*.jsonl")
    assert lines(file)
    file.write_bytes(file.read_bytes()[:-5])  # torn by a kill
    assert babycli("eval", "--model", small, *CACHED, "--output-path", "new").code == 0


def test_a_damaged_answer_in_a_cache_is_named_and_computed_again(linked: Path, babycli: Babycli, small: Path) -> None:
    assert babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt").code == 0
    (file,) = Path("cache").glob("*/*.jsonl")
    first, rest = file.read_bytes().split(b"\n", 1)
    edited = json.loads(first)
    edited["token_logprobs"] = [0.0]
    file.write_bytes(b"nonsense\n" + json.dumps(edited).encode() + b"\n" + rest)
    ran = babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt", "--output-path", "again")
    assert ran.code == 0
    assert f"note: 2 damaged answers are not used, but computed again: {file}, line 1, {file}, line 2" in ran.err
    assert results(only_run(Path("again")))["results"] == results(only_run(Path("logs")))["results"]


@pytest.mark.long
def test_what_is_planted_in_a_cache_is_named(linked: Path, babycli: Babycli, small: Path) -> None:
    words = ("eval", "--model", small, "--limit", 2, "--cache", "cache", "--tasks", "vtwt")
    assert babycli(*words).code == 0
    (file,) = Path("cache").glob("*/*.jsonl")
    file.rename("elsewhere.jsonl")
    for plant in ("link", "pipe", "folder"):
        if plant == "link":
            file.symlink_to(Path("elsewhere.jsonl").resolve())
        elif plant == "pipe":
            os.mkfifo(file)
        else:
            file.mkdir()
        for how in ("--no-resume", "--dry-run"):
            ran = babycli(*words, how)
            assert ran.code == 3
            assert f"{file} is a link, a pipe or a device" in ran.err
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink()


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_computed(
    linked: Path, babycli: Babycli, small: Path, counts: Counts
) -> None:
    Path("cache").write_text("in the way")
    ran = babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt")
    assert ran.code == 3
    assert f"{Path('cache').absolute()} is no folder\n  mend: choose another folder:  --cache DIR" in ran.err
    assert counts.encoded == 0


def test_what_stands_in_the_place_of_a_caches_folder_is_named(linked: Path, babycli: Babycli, small: Path) -> None:
    words = ("eval", "--model", small, "--limit", 2, "--cache", "cache", "--tasks", "vtwt")
    assert babycli(*words).code == 0
    (folder,) = Path("cache").iterdir()
    folder.rename("elsewhere")
    for plant in ("nowhere", "/dev/full"):
        folder.symlink_to(plant)
        for how in ("--no-resume", "--dry-run"):
            ran = babycli(*words, how)
            assert ran.code == 3
            assert f"cannot write {folder}: {folder} is no folder" in ran.err
        folder.unlink()


def test_a_disk_that_fills_up_costs_the_cache_and_not_the_run(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("cannot write cache: No space left on device", "")

    monkeypatch.setattr(AnswerCache, "add", full)
    ran = babycli("eval", "--model", small, *CACHED, "--tasks", "vtwt")
    assert ran.code == 0
    assert "note: cannot write cache" in ran.err


def test_a_model_of_ones_own_is_not_kept(linked: Path, babycli: Babycli) -> None:
    Path("own.py").write_text(
        "class Own:\n"
        "    def __init__(self, device, dtype): pass\n"
        "    def similarity(self, images, texts): return [float(len(t)) for t in texts]\n"
    )
    ran = babycli("eval", "--model", "own.py:Own", *CACHED, "--tasks", "vtwt")
    assert ran.code == 0
    assert "no --cache for this model" in ran.err
    assert not Path("cache").exists()
