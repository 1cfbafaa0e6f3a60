"""Runs of 0.1.0, kept in tests/old_runs as they were written, stay readable; and the numbers of today are theirs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from babycli.cli import main
from babycli.logs.answers import merged
from tests.conftest import REPOSITORY, Babycli
from tests.evaluation.logs import only_run, read_json, results
from tests.written_once import written_once

OLD = REPOSITORY / "tests" / "old_runs"
RECORDED = OLD / "checkpoint" / "20261128_222624"  # the whole demo, with the bundled checkpoint
TASKS = ("labeled_s", "vtwt", "baby_winoground", "saycam_caption")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "old"))


@pytest.fixture(scope="session")
def now(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of today that repeats the recorded one. Do not write."""

    def evaluate(folder: Path) -> None:
        shutil.copytree(REPOSITORY / "babycli" / "demo" / "babyllava-tiny", folder / "checkpoint")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert main(["eval", "--model", "checkpoint", "--data", str(dataset)]) == 0

    return only_run(written_once(tmp_path_factory, "run-of-today", evaluate) / "logs")


def test_todays_answers_are_those_of_the_recorded_run(now: Path) -> None:
    then, today = (merged([folder / "scores.rank0.jsonl"]).answers for folder in (RECORDED, now))
    assert len(then) == 707
    assert [(key, a.content, a.answer) for key, a in today.items()] == [
        (key, a.content, a.answer) for key, a in then.items()
    ]
    assert results(now)["results"] == results(RECORDED)["results"]
    for task in TASKS:
        name = f"samples_{task}.jsonl"
        assert next(now.glob(f"*_{name}")).read_bytes() == next(RECORDED.glob(f"*_{name}")).read_bytes()
    outcomes = [read_json(next(folder.glob("*_outcomes.json")))["tasks"] for folder in (RECORDED, now)]
    for task in TASKS:
        assert outcomes[1][task].pop("unanswered") == []
        assert outcomes[1][task] == outcomes[0][task]


@pytest.mark.parametrize("form", ["table", "md", "csv", "json", "latex", "html"])
def test_old_runs_are_reported(form: str, old: Path, babycli: Babycli) -> None:
    ran = babycli("report", old, "--format", form)
    assert ran.code == 0, ran.err
    assert "59.2" in ran.out or "0.5916666666666667" in ran.out
    assert "checkpoint" in ran.out


def test_old_runs_are_all_there(old: Path, babycli: Babycli) -> None:
    ran = babycli("report", old, "--format", "json")
    runs = {(r["model"], r["control"], r["scoring"], r["limit"]) for r in json.loads(ran.out)}
    assert runs == {
        ("checkpoint", None, "fair", None),
        ("checkpoint", "blind", "fair", 4),
        ("checkpoint", None, "reference", 4),
        ("control:random?seed=3", "random", "fair", 4),
    }


def test_an_old_run_is_audited(old: Path, babycli: Babycli) -> None:
    ran = babycli("report", old / "checkpoint" / RECORDED.name, "--audit")
    assert ran.code == 0, ran.err + ran.out
    assert "nothing found" in ran.out


def test_old_and_new_are_compared_on_the_same_items(now: Path, tmp_path: Path, babycli: Babycli) -> None:
    folders = (tmp_path / "checkpoint" / now.name, tmp_path / "before" / RECORDED.name)
    for run, folder in zip((now, RECORDED), folders, strict=True):
        shutil.copytree(run, folder)
    ran = babycli("report", tmp_path, "--compare", *folders, "--format", "json")
    assert ran.code == 0, ran.err
    records = json.loads(ran.out)
    assert len(records) == 8
    assert all(record["difference"] == 0 and record["n_units"] for record in records)


def test_an_unfinished_old_run_is_not_gone_on_with(linked: Path, babycli: Babycli) -> None:
    folder = Path(shutil.copytree(RECORDED, Path("logs") / "checkpoint" / RECORDED.name))
    for path in (*folder.glob("*_results.json"), *folder.glob("*_outcomes.json")):
        path.unlink()
    before = (folder / "scores.rank0.jsonl").read_bytes()
    shutil.copytree(REPOSITORY / "babycli" / "demo" / "babyllava-tiny", "checkpoint")
    ran = babycli("eval", "--model", "checkpoint")
    assert ran.code == 6
    assert str(folder) in ran.err
    assert "of before identities were logged" in ran.err
    assert "--no-resume" in ran.err
    assert (folder / "scores.rank0.jsonl").read_bytes() == before


@pytest.mark.parametrize("version", [0, 3, "2", 2.0, None, True])
def test_an_unknown_schema_version_is_named(version: object, old: Path, babycli: Babycli) -> None:
    (path,) = (old / "checkpoint" / RECORDED.name).glob("*_results.json")
    document = json.loads(path.read_bytes())
    document["babycli"]["schema_version"] = version
    path.write_text(json.dumps(document))
    ran = babycli("report", path)
    assert ran.code == 3
    assert f"has schema_version {version!r}, and this babycli reads 1 and 2" in ran.err
    assert ("pip install --upgrade babycli" in ran.err) is (version == 3)  # the others are of no version
