"""Notes of a report about what models wrote, and files of a run of ours that are not what they should be."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from babycli.tasks.replies import Reply, count_replies
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

EMPTY = count_replies([Reply(row, "" if row < 200 else f"ball {row}") for row in range(294)])
SAME = count_replies([Reply(row, "a ball") for row in range(294)])


def write(folder: Path, replies: object, control: str | None = None) -> Path:
    values = drawn(1, {"saycam_caption": 0.2})
    return write_run(folder, "lab/one", values, replies={"saycam_caption": replies}, control=control)


@pytest.mark.parametrize("form", ["table", "md", "latex", "html"])
def test_a_table_says_that_most_replies_are_none(form: str, babycli: Babycli, tmp_path: Path) -> None:
    write(tmp_path, EMPTY.to_document())
    ran = babycli("report", tmp_path, "--format", form)
    assert ran.code == 0
    told = " ".join(ran.out.split())
    assert "MOST REPLIES ARE NONE" in told
    assert "200 of 294 replies are empty, without a word; the longest run of them is 200, from row 0" in told


def test_one_text_for_all_is_told_of_a_model_only(babycli: Babycli, tmp_path: Path) -> None:
    write(tmp_path / "model", SAME.to_document())
    assert (
        "294 of 294 replies are the same text" in babycli("report", tmp_path / "model", "--notes", "--format", "md").out
    )
    write(tmp_path / "control", SAME.to_document(), "blind")
    assert "the same text" not in babycli("report", tmp_path / "control", "--notes", "--format", "md").out


def test_replies_of_a_control_are_not_told_as_the_models(babycli: Babycli, tmp_path: Path) -> None:
    write(tmp_path / "control", EMPTY.to_document(), "blind")
    told = " ".join(babycli("report", tmp_path, "--format", "md").out.split())
    assert "lab/one (control: blind) saycam_caption: " in told


def test_counts_that_are_none_are_a_damaged_run(babycli: Babycli, tmp_path: Path) -> None:
    write(tmp_path, {"n_empty": 3, "unheard_of": 1})
    ran = babycli("report", tmp_path)
    assert ran.code == 3
    assert "is damaged" in ran.err


def test_a_pointer_in_the_place_of_outcomes_is_named(babycli: Babycli, tmp_path: Path) -> None:
    path = write_run(tmp_path, "lab/one", drawn(1, {"vtwt": 0.6}))
    (outcomes,) = path.parent.glob("*_outcomes.json")
    outcomes.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 712345\n")
    ran = babycli("report", tmp_path)
    assert ran.code == 3
    assert "is a pointer of Git LFS, not the file; fetch it:  git lfs pull" in ran.err


def test_packed_files_of_a_run_are_read(babycli: Babycli, tmp_path: Path) -> None:
    path = write_run(tmp_path, "lab/one", drawn(1, {"vtwt": 0.6}))
    plain = babycli("report", tmp_path, "--format", "csv").out
    for file in (path, *path.parent.glob("*_outcomes.json")):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    ran = babycli("report", tmp_path, "--format", "csv")
    assert (ran.code, ran.out.replace(".json.gz", ".json")) == (0, plain)
