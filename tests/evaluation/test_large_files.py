"""Files for which a process has too little memory: the message names them, and none is passed over."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.conftest import Babycli


@pytest.mark.parametrize(
    ("place", "words", "file"),
    [
        ("babycli.files._size_of", "data verify", "dataset/babycli.lock"),
        ("babycli.data.labels.parse_rows", "data status", "dataset/labeled_s/labeled_s.csv"),
        ("babycli.data.checksums._plain_lines", "data verify --manifest list.txt", "list.txt"),
        ("babycli.report.samples.decoded", "report logs --audit", "_samples_vtwt.jsonl"),
        (
            "babycli.logs.answers._from_line",
            "eval --model control:constant --tasks vtwt --limit 2",
            "scores.rank0.jsonl",
        ),
    ],
)
@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")], ids=repr)
def test_the_file_that_memory_is_too_small_for_is_named(
    place: str,
    words: str,
    file: str,
    error: Exception,
    linked: Path,
    babycli: Babycli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    ran = babycli("eval", "--model", "control:constant", "--tasks", "vtwt", "--limit", 2)
    assert ran.code == 0, ran.err
    if words.startswith("eval"):  # as if it had been stopped
        for results in Path("logs").glob("*/*/*_*.json*"):
            results.unlink()
    Path("list.txt").write_text(f"{0:064x}  frame.png\n")
    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        ran = babycli(*words.split())
    assert ran.code == 3, ran.err
    said, mend = ran.err.splitlines()[-2:]
    assert said.startswith("babycli: the system refuses it: Cannot allocate memory, for ")
    assert said.endswith(file)
    assert mend == "  mend: give it more memory:  ulimit -v unlimited, or a larger machine"
