"""From `babycli eval` to `babycli report`: what real runs on the demo data give a report."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from babycli.cli import main
from tests.conftest import Babycli
from tests.evaluation.logs import only_run, read_json, results
from tests.written_once import written_once


@pytest.fixture(scope="session")
def logs_of_two(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of two runs. Do not write."""

    def evaluate(folder: Path) -> None:
        words = ["--tasks", "vtwt,labeled_s", "--data", str(dataset), "--output-path", str(folder)]
        for seed in (1, 2):
            assert main(["eval", "--model", f"control:random?seed={seed}", *words]) == 0

    return written_once(tmp_path_factory, "two-random-runs", evaluate)


@pytest.fixture
def two_runs(linked: Path, logs_of_two: Path) -> None:
    shutil.copytree(logs_of_two, "logs")


PAIR = ("--compare", "control:random?seed=1", "control:random?seed=2")


def test_a_run_has_what_each_trial_got(linked: Path, babycli: Babycli) -> None:
    assert babycli("eval", "--model", "control:random?seed=1").code == 0
    (path,) = only_run().glob("*_outcomes.json")
    tasks = read_json(path)["tasks"]
    logged = results(only_run())
    assert set(tasks) == set(logged["n_units"])
    for name, task in tasks.items():
        assert len(task["trials"]) == logged["n_units"][name]
        for metric, values in task["values"].items():
            assert len(values) == len(task["trials"])
            assert sum(values) / len(values) == pytest.approx(logged["results"][name][f"{metric},none"], abs=1e-12)
    assert set(tasks["labeled_s"]["groups"]) == {"category"}
    assert set(tasks["vtwt"]["groups"]) == {"word", "phrases"}  # the demo's frames are of no session


def test_a_report_without_the_outcomes_file_is_the_same(two_runs: None, babycli: Babycli) -> None:
    words = ("report", "--format", "json")
    expected = babycli(*words).out
    for path in Path("logs").rglob("*_outcomes.json"):
        path.unlink()
    assert babycli(*words).out == expected


def test_items_name_phrases_and_images(two_runs: None, babycli: Babycli) -> None:
    found: list[dict[str, Any]] = json.loads(babycli("report", *PAIR, "--items", "--format", "json").out)
    vtwt = next(record for record in found if record["task"] == "vtwt")
    assert len(vtwt["items_only_first"]) == vtwt["only_first"] > 0
    named = {"trial", "positive_phrase", "negative_phrase", "image", "candidates", "first_value", "second_value"}
    assert set(vtwt["items_only_first"][0]) == named
    out = babycli("report", *PAIR, "--items").out
    assert vtwt["items_only_second"][0]["positive_phrase"] in out
    assert "only control:random?seed=2" in " ".join(out.split())


def test_no_picture_goes_into_a_page_unasked(two_runs: None, babycli: Babycli) -> None:
    page = babycli("report", *PAIR, "--items", "--format", "html")
    assert page.code == 0
    assert "data:image" not in page.out
    assert "demo_frame" in page.out  # names are no pictures


def test_pictures_come_with_a_warning(two_runs: None, babycli: Babycli) -> None:
    page = babycli("report", *PAIR, "--items", "--format", "html", "--with-images")
    assert page.code == 0
    assert page.out.count("data:image/jpeg;base64,") > 10
    assert "warning: this page holds pictures of the dataset" in page.err
    assert "do not publish this page" in page.out


def test_a_page_without_the_dataset_says_which_pictures_are_missing(two_runs: None, babycli: Babycli) -> None:
    page = babycli("report", *PAIR, "--items", "--format", "html", "--with-images", "--data", "nowhere")
    assert page.code == 0
    assert "data:image" not in page.out
    assert "note: no picture of nowhere could be shown" in page.err
    assert "give it with  --data DIR" in page.err


def test_controls_pass_an_audit_where_ties_share_the_credit(linked: Path, babycli: Babycli) -> None:
    assert babycli("eval", "--model", "control:constant", "--tasks", "vtwt,labeled_s").code == 0
    ran = babycli("report", "--audit", "logs")
    assert ran.code == 0
    told = " ".join(ran.out.split())
    assert "Labeled-S acc 25.0 25.0 120" in told
    assert "VTWT acc 50.0 50.0 100" in told
    assert "nothing found" in told


def test_ties_that_count_as_right_are_named_as_that(linked: Path, babycli: Babycli) -> None:
    words = ("eval", "--model", "control:constant", "--tasks", "vtwt,labeled_s", "--scoring", "reference")
    assert babycli(*words).code == 7
    told = " ".join(babycli("report").out.split())
    assert "Most of its trials are ties" in told
    assert "with the word" not in told
    ran = babycli("report", "--audit", "logs")
    assert ran.code == 7
    told = " ".join(ran.out.split())
    assert "Labeled-S acc 100.0 25.0 120" in told
    assert "VTWT acc 100.0 50.0 100" in told


def test_an_audit_names_outcomes_that_no_report_can_read(two_runs: None, babycli: Babycli) -> None:
    (path,) = Path("logs").glob("*seed_2/*/*_outcomes.json")
    path.write_bytes(path.read_bytes()[:200])
    ran = babycli("report", "--audit", "logs")
    assert ran.code == 7
    assert "is damaged" in ran.out
    assert "1 of 2 runs" in ran.err


def test_runs_on_other_images_are_not_compared(two_runs: None, babycli: Babycli, demo: Any) -> None:
    for path in Path("logs").glob("control_random_seed_2/*/*_results.json"):
        document = read_json(path)
        document["identity"]["data"]["images_sha256"]["vtwt"] = "0" * 64
        path.write_text(json.dumps(document))
    ran = babycli("report", *PAIR)
    assert ran.code == 3
    assert "were run on different images" in ran.err


# ---------------------------------------------------------------- settings that make another row


def rows_of(babycli: Babycli) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(babycli("report", "--format", "csv").out)))


def names_of(babycli: Babycli) -> list[str]:
    """The rows of the table, by their names."""
    return re.findall(r"^\| (\S*small .*?) +\|", babycli("report", "--format", "md").out, re.M)


def test_the_methods_name_what_a_reader_needs(linked: Path, small: Path, babycli: Babycli) -> None:
    """Models with their weights, prompts, scoring, controls, n and versions, as the logs of the runs have them."""
    words = ("eval", "--tasks", "vtwt,labeled_s", "--limit", 4)
    assert babycli(*words, "--model", small, "--prompt", "vtwt=what is it?").code == 0
    assert babycli(*words, "--model", small, "--prompt", "vtwt=what is it?", "--control", "blind").code == 0
    assert babycli(*words, "--model", "control:random?seed=3").code in (0, 7)
    runs = {(run["control"] or {}).get("kind"): run for run in map(read_json, Path("logs").glob("*/*/run.json"))}
    own, blind = runs[None], runs["blind"]
    name = "/".join(small.parts[-2:])

    def methods() -> str:
        assert babycli("report", "-o", "page.html").code == 0
        page = Path("page.html").read_text()
        (found,) = re.findall(r'<p class="box" id="methods-text">(.*?)</p>', page, flags=re.DOTALL)
        return html.unescape(found)

    said = methods()
    asked = {task: json.dumps(of["rendered_prompt"]) for task, of in own["tasks"].items()}
    assert asked["vtwt"] != asked["labeled_s"]
    assert f"The model is {name} (babyllava, fingerprint {own['model']['fingerprint'][:12]})." in said
    for task, title in (("vtwt", "Visual Two-Word Test"), ("labeled_s", "Labeled-S")):
        assert f"{asked[task]} in {title}" in said
    assert "Answers were scored by babycli's own rules (fair)." in said
    assert f"blind ({blind['control']['how']}) of {name}" in said
    assert f"control:random?seed=3 ({runs['random']['control']['how']})" in said
    assert "n = 4 trials" in said
    for library in ("torch", "transformers"):
        assert f"{library} {own['libraries'][library]}" in said
    for path in Path("logs").glob("*/*/run.json"):  # as of a model of the hub
        run = read_json(path)
        run["model"]["commit"] = "0123456789abcdef" * 2 + "01234567"
        path.write_text(json.dumps(run))
    assert f"The model is {name} (babyllava, commit 0123456789ab)." in methods()


def test_where_a_model_lies_parts_it_from_none_of_its_controls(linked: Path, small: Path, babycli: Babycli) -> None:
    spread = ("--model-args", "device_map=auto")
    assert babycli("eval", "--model", small, *spread, "--tasks", "vtwt").code == 0
    assert babycli("eval", "--model", small, "--tasks", "vtwt", "--control", "blind").code == 0
    assert [name.split("(")[1] for name in names_of(babycli)] == ["demo)", "demo, control: blind)"]
    own, blind = rows_of(babycli)
    assert float(own["visual_gain"]) == pytest.approx(float(own["value"]) - max(0.5, float(blind["value"])))


@pytest.mark.long
def test_each_prompt_has_a_row_that_says_so(linked: Path, small: Path, babycli: Babycli) -> None:
    asking = ("eval", "--model", small, "--tasks", "vtwt,labeled_s")
    long = "Look! " + "This is a very long question. " * 4
    for words in ((), ("--prompt", "what is it?"), ("--prompt", long), ("--prompt", "vtwt=what is it?")):
        assert babycli(*asking, *words).code == 0
    assert [name.partition("(")[2] for name in names_of(babycli)] == [
        "demo)",
        'demo, prompt "what is it?")',
        'demo, prompt "Look! This is a very long quest…")',
        'demo, prompt "what is it?" for vtwt)',
    ]
    asked = [(row["task"], row["prompt"]) for row in rows_of(babycli)]
    assert asked == [
        ("labeled_s", ""),
        ("vtwt", ""),
        ("labeled_s", "what is it?"),
        ("vtwt", "what is it?"),
        ("labeled_s", long),
        ("vtwt", long),
        ("labeled_s", ""),
        ("vtwt", "what is it?"),
    ]
    for form in ("table", "md", "latex", "html"):  # the page's methods paragraph too
        out = html.unescape(" ".join(babycli("report", "--notes", "--format", form).out.split()))
        note = "asked in other words than the family's own: "
        assert out.count(note) == (2 if form == "html" else 1), form
        assert "what is it?" in out.split(note)[1]
        assert ("Runs marked (prompt ...) were asked in other words" in out) == (form == "html")


def test_software_that_differs_is_named_beside_the_table(two_runs: None, babycli: Babycli) -> None:
    assert "MIXED SOFTWARE" not in babycli("report").out
    change_software("control_random_seed_2", torch="1.2.3")
    for words in ((), ("--format", "md"), ("--format", "latex"), ("--format", "html"), PAIR):
        out = " ".join(babycli("report", *words).out.split())
        assert "MIXED SOFTWARE, by which alone numbers may differ: torch" in out
        assert "1.2.3" in out


def change_software(model: str, **versions: str) -> None:
    """As if the run had been made with other versions."""
    (folder,) = Path("logs", model).iterdir()
    for path in (folder / "run.json", *folder.glob("*_results.json")):
        document = read_json(path)
        document["identity"]["software"] |= versions
        path.write_text(json.dumps(document))
