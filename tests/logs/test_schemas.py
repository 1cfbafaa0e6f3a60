"""docs/schemas/: every file of a run is as the published JSON Schemas say, and a damaged one is not.

They are checked with the jsonschema package, which knows nothing of babycli.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from babycli.commands.demo import DEVCV
from tests.conftest import REPOSITORY, Babycli
from tests.evaluation.conftest import linked, small  # noqa: F401  # fixtures
from tests.evaluation.logs import lines, only_run, read_json
from tests.evaluation.test_resume import interrupted
from tests.report.logs import drawn, write_run

SCHEMAS = {path.name.partition(".")[0]: read_json(path) for path in (REPOSITORY / "docs" / "schemas").iterdir()}
MODEL = ("eval", "--model", "control:random?seed=1")


def documents(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every file of a run, and every line of its samples, with the name of its schema."""
    yield "run", read_json(folder / "run.json")
    for path in sorted(folder.glob(f"{folder.name}_*")):
        name = path.name.removeprefix(f"{folder.name}_")
        if name.startswith("samples_"):
            yield from (("sample", line) for line in lines(path))
        else:
            yield name.removesuffix(".json"), read_json(path)


def faults(kind: str, document: Any) -> list[str]:
    found = Draft202012Validator(SCHEMAS[kind]).iter_errors(document)
    return [f"{kind} {list(fault.absolute_path)}: {fault.message}" for fault in found]


def check(folder: Path) -> set[str]:
    """Checks all files of a run; gives the names of the schemas that said something about them."""
    told = list(documents(folder))
    assert [fault for kind, document in told for fault in faults(kind, document)] == []
    for kind, document in told:
        if kind != "sample":  # whose further fields are the metrics' own
            assert set(document) <= set(SCHEMAS[kind]["properties"])
    return {kind for kind, _ in told}


def test_the_schemas_are_what_the_types_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        assert (schema["$schema"], schema["$id"]) == (
            "https://json-schema.org/draft/2020-12/schema",
            f"urn:babycli:schema:{name}:{1 if name == 'overlap' else 2}",
        )
    monkeypatch.syspath_prepend(str(REPOSITORY / "tools"))
    from build_schemas import DOCUMENTS, schema_of

    assert {name: schema_of(name, document) for name, document in DOCUMENTS.items()} == SCHEMAS


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--baselines", "paper"),
        ("--compare", "lab/a", "lab/b"),
        ("--compare", "lab/a", "lab/b", "--items"),
        ("--wrong",),
        ("--by", "session"),
        ("--audit",),
    ],
    ids=" ".join,
)
def test_a_report_is_as_its_schema_says(words: tuple[str, ...], tmp_path: Path, babycli: Babycli) -> None:
    for seed, name in enumerate(("lab/a", "lab/b")):
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6, "saycam_caption": 0.2}))
    write_run(tmp_path, "lab/a", drawn(3, {"vtwt": 0.5}), control="blind", date="20260102_120000")
    records = json.loads(babycli("report", tmp_path, *words, "--format", "json").out)
    assert faults("report", records) == []
    kinds = SCHEMAS["report"]["$defs"].values()
    for record in records:
        assert record["schema_version"] == 2
        assert any(set(kind["required"]) <= set(record) <= set(kind["properties"]) for kind in kinds)
    del records[0]["task"]
    assert faults("report", records)


OWN = """
from babycli.tasks.vtwt import VisualTwoWordTest
class Mine(VisualTwoWordTest):
    name = "mine"
    benchmark = None
    def sample_fields(self, row, exchanges, outcome): return {"acc": {"got": outcome.values["acc"]}, "mine": [1]}
TASK = Mine()
"""


@pytest.mark.parametrize(
    "words",
    [
        ("--tasks", "babyvlm", "--limit", "3"),
        ("--tasks", "babyvlm", "--limit", "3", "--scoring", "reference", "--batch-check", "2"),
        ("--tasks", "vtwt,saycam_caption", "--limit", "2", "--prompt", "saycam_caption=Say it: <image>"),
        ("--tasks", "mine.py:TASK", "--limit", "2"),
    ],
    ids=["all tasks", "reference", "prompt", "own task"],
)
def test_runs_of_a_model_without_weights(words: tuple[str, ...], linked: Path, babycli: Babycli) -> None:  # noqa: F811
    Path("mine.py").write_text(OWN)
    ran = babycli(*MODEL, *words)
    assert ran.code == 0, ran.err
    assert check(only_run()) == {"run", "results", "outcomes", "sample"}


@pytest.mark.parametrize(
    ("answers", "tasks"),
    [
        ("written", "baby_pv,baby_memory,baby_count"),
        pytest.param("written", "devcv", marks=pytest.mark.long),
        pytest.param("chosen", "devcv", marks=pytest.mark.long),
    ],
)
def test_a_run_of_conversations(answers: str, tasks: str, empty_folder: None, babycli: Babycli) -> None:
    assert babycli("data", "link", "--devcv", f"demo={DEVCV}").code == 0
    ran = babycli(*MODEL, "--tasks", tasks, "--limit", "1", "--answers", answers)
    assert ran.code == 0, ran.err
    assert check(only_run()) == {"run", "results", "outcomes", "sample"}


@pytest.mark.long
def test_runs_that_were_stopped_went_on_or_are_controls(
    linked: Path,  # noqa: F811
    small: Path,  # noqa: F811
    babycli: Babycli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--model", small, "--tasks", "vtwt,saycam_caption", "--limit", "4")
    folder = interrupted(babycli, monkeypatch, 3, *words)
    assert check(folder) == {"run"}
    assert babycli("eval", *words).code == 0
    assert check(folder) == {"run", "results", "outcomes", "sample"}
    shutil.rmtree("logs")
    assert babycli("eval", *words, "--control", "blind").code == 0
    check(only_run())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> dict[str, dict[str, Any]]:
    """The files of a run by their schemas."""
    from babycli.cli import main

    logs = tmp_path_factory.mktemp("logs")
    words = [*MODEL, "--tasks", "vtwt,saycam_caption", "--limit", "3", "--data", dataset, "--output-path", logs]
    assert main([str(word) for word in words]) == 0
    return dict(documents(only_run(logs)))


def put(*path: str | int, value: Any) -> Callable[[Any], None]:
    def damage(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return damage


def drop(*path: str) -> Callable[[Any], None]:
    def damage(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return damage


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("run", drop("identity")),
        ("run", put("schema_version", value=3)),
        ("run", put("status", value="over")),
        ("run", put("identity", "model", "weights", value="x")),
        ("run", put("sessions", 0, "start", value="yesterday")),
        ("run", put("tasks", "vtwt", "n_units", value=-1)),
        ("results", drop("results")),
        ("results", drop("identity", "question", "tasks", "vtwt", "version")),
        ("results", put("results", "vtwt", "acc,none", value="0.5")),
        ("results", put("results", "vtwt", "acc_stderr,none", value=-0.1)),
        ("results", put("ci95", "vtwt", "acc", value=[0.1])),
        ("results", put("n_units", "vtwt", value=2.5)),
        ("results", put("tasks", "vtwt", "metrics", 0, "kind", value="mark")),
        ("results", put("replies", "saycam_caption", "n", value="3")),
        ("results", put("date", value="today")),
        ("outcomes", put("tasks", "vtwt", "values", "acc", 0, value=None)),
        ("outcomes", put("tasks", "vtwt", "ties", value=[1, 1])),
        ("outcomes", put("tasks", "vtwt", "trials", value=[])),
        ("sample", drop("doc")),
        ("sample", put("doc_id", value=-1)),
        ("sample", put("resps", 0, value=[1.5, "yes"])),
        ("sample", put("resps", 0, value=[{"cannot": 3}])),
    ],
)
def test_a_damaged_file_is_none(kind: str, damage: Callable[[Any], None], told: dict[str, dict[str, Any]]) -> None:
    document = json.loads(json.dumps(told[kind]))
    assert faults(kind, document) == []
    damage(document)
    assert faults(kind, document) != []
