"""Machine-DevBench from the manifests to the report: golden lines, models of each kind, resume, every form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Babycli
from tests.data.machine_devbench_set import draw, manifest
from tests.evaluation.logs import lines, only_run
from tests.evaluation.test_resume import interrupted
from tests.models.test_dual import write as write_dual
from tests.tasks.machine_devbench_golden import Line, golden_lines, item_of, numbered, task_named

pytestmark = pytest.mark.usefixtures("empty_folder")

LINES = [n if n in (0, 4, 11) else pytest.param(n, marks=pytest.mark.long) for n in range(12)]
MODEL = Path(__file__).parent / "golden_model.py"
DEMO = Path(__file__).parent.parent.parent / "babycli" / "demo" / "babyllava-tiny"


def link_golden(line: Line, folder: Path, babycli: Babycli) -> Path:
    """Draws and links a benchmark of a golden line's trials; gives the table of what the model is to say of them."""
    items: dict[tuple[str, str], list[Any]] = {}
    table: dict[str, list[Any]] = {}
    for number, style, trial in numbered(line):
        made = item_of(trial, number)
        items.setdefault((trial["task"], style), []).append(made)
        path = task_named(trial["task"]).manifest.format(style=style)
        names = [made[key] for key in task_named(trial["task"]).pictures]
        for which, (name, row) in enumerate(zip(names, trial["sim"], strict=True)):
            colour = 2 * number + which + 1
            table[str(colour)] = row
            place = (folder / path).parent / name
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (0, colour >> 8, colour & 255)).save(place)
    for (task, style), of_task in items.items():
        path = task_named(task).manifest.format(style=style)
        (folder / path).write_text(json.dumps(manifest(style, of_task)))
    ran = babycli("data", "link", "--machine-devbench", folder)
    assert ran.code == 0, ran.err
    written = folder.with_suffix(".json")
    written.write_text(json.dumps(table))
    return written


def report(babycli: Babycli, *words: object) -> list[dict[str, Any]]:
    ran = babycli("report", "--format", "json", *words)
    assert ran.code == 0, ran.err
    read: list[dict[str, Any]] = json.loads(ran.out)
    return read


@pytest.mark.parametrize("n", LINES)
def test_a_golden_line_from_its_manifests_to_the_report(n: int, shared: Path, babycli: Babycli, tmp_path: Path) -> None:
    golden = golden_lines(shared)
    if len(golden) <= n:
        pytest.skip("the reference data have no such line of Machine-DevBench")
    line = golden[n]
    table = link_golden(line, tmp_path / "golden", babycli)
    words = ("--model", f"{MODEL}:GoldenModel", "--model-args", f"table={table}", "--scoring", "reference")
    ran = babycli("eval", *words)
    has_nonfinite = "null" in json.dumps(line["trials"]) or '"inf"' in json.dumps(line["trials"])
    assert ran.code == (7 if has_nonfinite else 0), ran.err
    of_tasks = {task: of["accuracy"] for task, of in line["total"]["by_task"].items()}
    of_kinds = {kind: of["accuracy"] for kind, of in line["total"]["by_task_type"].items()}
    found = report(babycli)
    assert {each["task"]: each["value"] for each in found if each["metric"] == "acc"} == of_tasks
    of_families = {each["metric"]: each["value"] for each in found if each["task"] == "machine_devbench"}
    assert of_families == of_kinds | {"overall": line["overall"]["accuracy"]}
    assert all(each["fair_value"] is None or each["scoring"] == "reference" for each in found)
    ran = babycli("report", "--format", "egobabyvlm")
    assert (ran.code, "must not be trusted" in ran.err) == ((7, True) if has_nonfinite else (0, False))
    by_bin = report(babycli, "--by", "frequency_bin")
    for task, of in line["total"]["by_task"].items():
        assert {each["group"]: each["value"] for each in by_bin if each["task"] == task} == of["by_freq_bin"]
    by_style = report(babycli, "--by", "style")
    for style, of_style in line["summary"]["per_style"].items():
        values = {
            each["task"]: each["value"] for each in by_style if each["group"] == style and each["metric"] == "acc"
        }
        families = {
            each["metric"]: each["value"]
            for each in by_style
            if each["group"] == style and each["task"] == "machine_devbench"
        }
        assert values | families == of_style
    if "lex_nouns" in of_tasks:
        categories = {each["group"]: each["value"] for each in report(babycli, "--by", "category")}
        assert categories == line["total"]["by_task"]["lex_nouns"]["by_category"]


@pytest.fixture
def linked(babycli: Babycli, tmp_path: Path, empty_folder: None) -> Path:
    folder = draw(tmp_path / "MachineDevBench")
    assert babycli("data", "link", "--machine-devbench", folder).code == 0
    return folder


@pytest.fixture
def dual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dual(tmp_path_factory.mktemp("dual") / "metaclip", "metaclip_2")


@pytest.mark.usefixtures("linked")
def test_a_constant_model_gets_half_in_every_number(babycli: Babycli) -> None:
    assert babycli("eval", "--model", "control:constant").code == 0
    assert {each["value"] for each in report(babycli)} == {0.5}
    for kind in ("style", "frequency_bin", "category", "word"):
        assert {each["value"] for each in report(babycli, "--by", kind)} == {0.5}


@pytest.mark.usefixtures("linked")
def test_a_generative_model_is_scored_by_loss_and_not_as_the_reference(babycli: Babycli) -> None:
    ran = babycli("eval", "--model", DEMO, "--scoring", "reference")
    assert ran.code == 2
    assert "--scoring reference cannot be had of" in ran.err
    assert "mend: use  --scoring fair" in ran.err
    assert not Path("logs").exists()
    ran = babycli("eval", "--model", DEMO)
    assert ran.code == 0, ran.err
    (log,) = Path("logs").rglob("*_samples_gram_negation.jsonl")
    first = json.loads(log.read_text().splitlines()[0])
    scores = {key: value for key, value in first["acc"].items() if key.endswith("_loss")}
    assert set(scores) == {f"image_{i}_caption_{c}_loss" for i in (0, 1) for c in "ab"}
    right = scores["image_0_caption_a_loss"] + scores["image_1_caption_b_loss"]
    crossed = scores["image_0_caption_b_loss"] + scores["image_1_caption_a_loss"]
    (outcomes,) = Path("logs").rglob("*_outcomes.json")
    values = json.loads(outcomes.read_bytes())["tasks"]["gram_negation"]["values"]["acc"]
    assert values[0] == float(right < crossed)


@pytest.mark.usefixtures("linked")
def test_a_dual_encoder_is_scored_both_ways_and_audited(babycli: Babycli, dual: Path) -> None:
    for scoring in ("fair", "reference"):
        ran = babycli("eval", "--model", dual, "--scoring", scoring)
        assert ran.code == 0, ran.err
    found = report(babycli)
    assert {each["scoring"] for each in found} == {"fair", "reference"}
    labels = list(dict.fromkeys(each["label"] for each in found))
    assert babycli("report", "--audit").code == 0
    ran = babycli("report", "--compare", *labels, "--format", "json")
    assert ran.code == 0, ran.err
    for each in json.loads(ran.out):
        assert each["difference"] == pytest.approx(each["first_value"] - each["second_value"], abs=1e-12)
        values = {of["value"] for of in found if of["task"] == each["task"] and of["metric"] == "acc"}
        assert {each["first_value"], each["second_value"]} == values


@pytest.mark.usefixtures("linked")
def test_people_stand_beside_lexical_tasks_and_grammatical_ones_say_why_not(babycli: Babycli) -> None:
    assert babycli("eval", "--model", "control:constant", "--tasks", "lex_adjectives,gram_negation").code == 0
    rows = json.loads(Path("dataset/machine_devbench/lex_adjectives.json").read_text())
    lines = [
        f"{i},{row[f'image_{side}']},{share},5"
        for i, row in enumerate(rows)
        for side, share in (("negative", 0.2), ("positive", 0.8))
    ]
    Path("people.csv").write_text("\n".join(["trial,option,share,n", *lines]))
    (found,) = (each for each in report(babycli, "--humans", "people.csv") if each["metric"] == "human_kl")
    assert (found["task"], found["n_units"], found["model_right"]) == ("lex_adjectives", 6, 0.5)
    assert found["people_right"] == pytest.approx(0.8)
    assert found["value"] == pytest.approx(math.log(2) + 0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    ran = babycli("report", "--humans", "people.csv", "--tasks", "gram_negation")
    assert (ran.code, "gram_negation is no single choice among scored candidates" in ran.err) == (3, True)


@pytest.mark.usefixtures("linked")
def test_an_interrupted_run_goes_on(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--model", DEMO, "--tasks", "machine_devbench")
    folder = interrupted(babycli, monkeypatch, 30, *words)
    assert len(lines(folder / "scores.rank0.jsonl")) == 30
    ran = babycli("eval", *words)
    assert ran.code == 0, ran.err
    assert "30 of" in ran.err
    whole = report(babycli)
    assert babycli("eval", *words, "--no-resume", "--output-path", "other").code == 0
    anew = report(babycli, "other")
    assert [each["value"] for each in whole] == [each["value"] for each in anew]
    assert only_run(Path("logs")) == folder


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("form", ["table", "md", "csv", "json", "latex", "html"])
def test_every_form_shows_the_means_over_tasks(form: str, babycli: Babycli) -> None:
    assert babycli("eval", "--model", "control:random?seed=3").code == 0
    numbers: Mapping[str, float] = {
        each["metric"]: each["value"] for each in report(babycli) if each["task"] == "machine_devbench"
    }
    assert list(numbers) == ["lexical", "grammatical", "overall"]
    out = babycli("report", "--format", form).out
    for family, value in numbers.items():
        shown = repr(value) if form in ("csv", "json") else f"{100 * value:.1f}"
        assert shown in out
        assert (family if form in ("csv", "json") else family[:7]) in out
    few = babycli("report", "--tasks", "lex_nouns", "--format", form).out
    assert "grammatical" not in few
