"""A run with conversations that goes on ends with the very bytes of an undisturbed one, wherever it was cut off.

Pictures are shared by conversations, turns and tasks, and are encoded again; what was read is read again. On a CPU
neither changes the last digit of a score.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from babycli.models.parts.kept_prefixes import KeptPrefixes
from babycli.models.parts.llava_network import LlavaNetwork
from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run
from tests.evaluation.test_talks import N_TALKS, N_TURNS, checkpoint, counts, data, vocabulary
from tests.v2_checkpoints import N_POSITIONS

__all__ = ["checkpoint", "counts", "data"]  # fixtures

WORDS = ("--tasks", "baby_memory,baby_pv", "--max-new-tokens", 3, "--batch-size", 2, "--batch-check", 0)


def evaluated(babycli: Babycli, checkpoint: Path, data: Path, logs: Path, *words: object) -> Path:
    given = WORDS[2:] if "--tasks" in words else WORDS
    ran = babycli("eval", "--model", checkpoint, "--data", data, "--output-path", logs, *given, *words)
    assert ran.code in (0, 7), ran.err
    return only_run(logs)


def cut_off(whole: Path, logs: Path, n: int) -> None:
    """Makes logs of a run that was killed when it had so many answers."""
    folder = logs / whole.parent.name / whole.name
    shutil.copytree(whole, folder)
    for path in folder.iterdir():
        if path.name != "run.json" and not path.name.startswith("scores."):
            path.unlink()
    scores = folder / "scores.rank0.jsonl"
    scores.write_bytes(b"".join(scores.read_bytes().splitlines(keepends=True)[:n]))


@pytest.mark.long
@pytest.mark.parametrize("answers", ["chosen", "written,chosen"])
def test_a_run_that_goes_on_gives_the_very_scores(
    answers: str, checkpoint: Path, data: Path, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = LlavaNetwork.encode_images

    def rounding(network: LlavaNetwork, pixels: torch.Tensor) -> torch.Tensor:
        """As a large tower, which rounds otherwise in another batch."""
        return encode(network, pixels) * (1 + 1e-6 * len(pixels))

    monkeypatch.setattr(LlavaNetwork, "encode_images", rounding)
    words = ("--answers", answers)
    whole = evaluated(babycli, checkpoint, data, tmp_path / "whole", *words)
    due = (whole / "scores.rank0.jsonl").read_bytes()
    samples = {path.name: path.read_bytes() for path in whole.glob("samples_*")}
    n_lines = due.count(b"\n")
    assert n_lines > N_TALKS * N_TURNS
    rng = random.Random(answers)
    for n in (1, n_lines - 1, rng.randrange(1, n_lines)):
        cut_off(whole, tmp_path / str(n), n)
        again = evaluated(babycli, checkpoint, data, tmp_path / str(n), *words)
        assert again.name == whole.name
        assert (again / "scores.rank0.jsonl").read_bytes() == due, f"cut off after {n} of {n_lines}"
        assert {path.name: path.read_bytes() for path in again.glob("samples_*")} == samples


def test_a_finished_conversation_is_not_read_again(
    checkpoint: Path, data: Path, tmp_path: Path, babycli: Babycli, counts: Counter[str]
) -> None:
    """Two at a time are played; where only an answer of the last is missing, the four before are left alone."""
    whole = evaluated(babycli, checkpoint, data, tmp_path / "whole")
    n_whole = counts["positions"]
    n_lines = len(lines(whole / "scores.rank0.jsonl"))
    counts.clear()
    cut_off(whole, tmp_path / "cut", n_lines - 1)
    evaluated(babycli, checkpoint, data, tmp_path / "cut")
    assert 0 < counts["positions"] < 1.1 * n_whole / N_TALKS


@pytest.mark.parametrize("reuses", [True, False])
def test_both_ways_read_a_question_of_one_turn_once(
    reuses: bool,
    checkpoint: Path,
    data: Path,
    tmp_path: Path,
    babycli: Babycli,
    counts: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read for the answers to be chosen from serves the reply, and is given up when its unit is done."""
    entries = [vocabulary(n) for n in range(5)]
    (data / "devcv" / "own" / "baby_pv.json").write_text(json.dumps(entries))
    n_kept: list[int] = []
    drop = KeptPrefixes.drop

    def dropping(kept: KeptPrefixes, context: tuple[int | bytes, ...]) -> None:
        drop(kept, context)
        n_kept.append(len(kept._kept))

    monkeypatch.setattr(KeptPrefixes, "drop", dropping)
    words = ("--tasks", "baby_pv", "--answers", "written,chosen", *(() if reuses else ("--no-prefix-reuse",)))
    evaluated(babycli, checkpoint, data, tmp_path / "logs", *words)
    n_pictures = len(entries) * 4 * N_POSITIONS
    if reuses:
        assert n_pictures < counts["positions"] < 2 * n_pictures
        assert max(n_kept) < 2  # a unit has two, of which one was dropped
        assert n_kept[-1] == 0
    else:
        assert counts["positions"] > 4 * n_pictures  # for each letter, and for the reply
        assert not n_kept
