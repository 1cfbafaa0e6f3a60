"""Means over seeds, and the entry of the EgoBabyVLM leaderboard: against NumPy, and what is refused or said."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babycli.cli import main
from tests.conftest import Babycli
from tests.data.machine_devbench_set import draw
from tests.report.logs import drawn, write_run
from tests.written_once import written_once

pytestmark = pytest.mark.usefixtures("empty_folder")

MODEL = Path(__file__).parent / "seeded_model.py"
SEEDS = (1, 2, 10)


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a drawn Machine-DevBench and the logs of those on it. Do not write."""

    def prepare(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            folder.mkdir(exist_ok=True)
            patch.delenv("BABYCLI_DATA", raising=False)
            patch.chdir(folder)
            assert main(["data", "link", "--machine-devbench", str(draw(folder / "m"))]) == 0
            for seed in SEEDS:
                evaluate(f"lab_clip_seed-{seed}", seed)
            evaluate("other", None)

    return written_once(tmp_path_factory, "seeded", prepare)


@pytest.fixture
def seeded(evaluated: Path, empty_folder: None) -> None:
    """Three seeds of one model, and a model without any, on a drawn Machine-DevBench."""
    for name in ("dataset", "logs"):
        shutil.copytree(evaluated / name, name, symlinks=True)


def evaluate(name: str, seed: int | None) -> None:
    args = [] if seed is None else ["--model-args", f"seed={seed}"]
    assert main(["eval", "--model", f"{MODEL}:SeededModel", *args, "--name", name]) == 0


def report(babycli: Babycli, *words: object) -> Any:
    ran = babycli("report", *words)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def values_of(babycli: Babycli) -> dict[tuple[str, str], list[float]]:
    """What the plain report has of the seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for each in report(babycli, "--models", "lab_clip*", "--format", "json"):
        found.setdefault((each["task"], each["metric"]), []).append(each["value"])
    return found


@pytest.mark.usefixtures("seeded")
def test_mean_and_deviation_are_numpys(babycli: Babycli) -> None:
    expected = values_of(babycli)
    assert {key: len(values) for key, values in expected.items()} == dict.fromkeys(expected, 3)
    found = report(babycli, "--seeds", "--format", "json")
    assert {(each["task"], each["metric"]) for each in found} == set(expected)
    for each in found:
        values = expected[each["task"], each["metric"]]
        assert each["value"] == pytest.approx(np.mean(values), abs=1e-15)
        assert each["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-15)
        assert (each["n_seeds"], each["seeds"], sorted(each["seed_values"])) == (3, "1, 2, 10", sorted(values))


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("form", ["table", "md", "csv", "latex", "html"])
def test_every_form_shows_them(form: str, babycli: Babycli) -> None:
    values = values_of(babycli)["machine_devbench", "overall"]
    words = () if form == "html" else ("--seeds",)
    ran = babycli("report", *words, "--format", form)
    assert ran.code == 0, ran.err
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(ran.out)))
        (overall,) = [row for row in rows if row["metric"] == "overall"]
        assert float(overall["std"]) == pytest.approx(np.std(values, ddof=1))
        return
    assert f"{100 * np.mean(values):.1f}" in ran.out
    deviation = f"{100 * np.std(values, ddof=1):.1f}"
    assert (f"±{deviation}" in ran.out) or (f"$\\pm${deviation}" in ran.out) or (f"\\pm{deviation}" in ran.out)
    assert "the standard deviation over seeds, of a sample (n" in ran.out.replace("\\,", " ")


@pytest.mark.usefixtures("seeded")
def test_the_entry_of_the_leaderboard(babycli: Babycli) -> None:
    values = values_of(babycli)
    words = (
        "--format",
        "egobabyvlm",
        "--model",
        "lab_clip",
        "--entry",
        "team=My Lab",
        "--entry",
        "training_data=BabyView",
    )
    ran = babycli("report", *words, "-o", "babyview_clip.json")
    assert ran.code == 0, ran.err
    entry = json.loads(Path("babyview_clip.json").read_text())
    multimodal = {}
    for family in ("lexical", "grammatical", "overall"):
        of_family = values["machine_devbench", family]
        multimodal[family] = f"{100 * np.mean(of_family):.1f} ± {100 * np.std(of_family, ddof=1):.1f}"
    assert entry == {
        "id": "babyview_clip",
        "model": "lab_clip",
        "team": "My Lab",
        "architecture": "contrastive",
        "training_data": "BabyView",
        "category": "baseline",
        "n_seeds": 3,
        "multimodal": multimodal,
    }
    assert "n_seeds is" not in ran.err
    assert "the category is taken to be baseline" in ran.err
    assert "note: without gram_subject_verb, gram_subject_adjective, gram_order_matters" in ran.err


@pytest.mark.usefixtures("seeded")
def test_a_single_seed_has_no_deviation_and_is_said(babycli: Babycli) -> None:
    ran = babycli(
        "report", "--format", "egobabyvlm", "--model", "other", "--entry", "id=my-id", "--entry", "model=Mine"
    )
    entry = json.loads(ran.out)
    assert (entry["n_seeds"], entry["id"], entry["model"], entry["team"]) == (1, "my-id", "Mine", "unknown")
    assert "±" not in json.dumps(entry, ensure_ascii=False)
    assert "n_seeds is 1, and the board asks for 3 or more" in ran.err
    assert "fill in team, training_data" in ran.err


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("name", ["my clip.json", ".json", "über.json", "-x.json"])
def test_a_file_whose_name_is_no_id_gives_none(name: str, babycli: Babycli) -> None:
    ran = babycli("report", "--format", "egobabyvlm", "--model", "other", "--output", f"./{name}")
    assert ran.code == 0, ran.err
    assert json.loads(Path(name).read_text())["id"] == "other"
    assert "the board wants a file to be called as its id:  other.json" in ran.err


@pytest.mark.usefixtures("seeded")
def test_several_models_and_others_than_these_are_refused(babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("report", "--format", "egobabyvlm")
    assert ran.code == 2
    assert "is of one model, here are 2:\n  lab_clip_seed-…" in ran.err
    ran = babycli("report", "--format", "egobabyvlm", "--models", "*clip*")
    assert (ran.code, json.loads(ran.out)["n_seeds"]) == (0, 3)
    write_run(tmp_path / "elsewhere", "m", drawn(0, {"vtwt": 0.6}))
    ran = babycli("report", tmp_path / "elsewhere", "--format", "egobabyvlm")
    assert (ran.code, "no model here was run on Machine-DevBench" in ran.err) == (3, True)
    ran = babycli("report", tmp_path / "elsewhere", "--seeds")
    assert (ran.code, "no row is called after the seed of its training" in ran.err) == (3, True)
    assert "--rename 'OLD=NAME seed-1'" in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--entry", "team=x"], "add  --format egobabyvlm"),
        (["--format", "egobabyvlm", "--entry", "tean=x"], "is no field of an entry. Did you mean 'team'?"),
        (["--format", "egobabyvlm", "--entry", "team"], "write it as  --entry KEY=VALUE"),
        (["--format", "egobabyvlm", "--entry", "team="], "cannot be shown"),
        (["--format", "egobabyvlm", "--entry", "team=a", "--entry", "team=b"], "gives team twice"),
        (
            ["--format", "egobabyvlm", "--entry", "category=top"],
            "no such category. Did you mean 'topline'",
        ),
        (["--format", "egobabyvlm", "--entry", "id=../x"], "cannot name a file of the board"),
        (["--format", "egobabyvlm", "--seeds"], "leave out --seeds"),
        (["--format", "html", "--seeds"], "a page has the means over seeds in any case"),
        (["--by", "style", "--seeds"], "--seeds is a report of its own"),
        (["--compare", "a", "b", "--seeds"], "--seeds is a report of its own"),
    ],
)
def test_words_that_do_not_go_together(words: list[str], told: str, babycli: Babycli) -> None:
    ran = babycli("report", *words)
    assert ran.code == 2
    assert told in ran.err


# --- names -----------------------------------------------------------------------------------------------------------


def runs_named(folder: Path, *names: str) -> None:
    for i, name in enumerate(names):
        write_run(folder, name, drawn(i, {"vtwt": 0.6}), date=f"20260101_12000{i}")


@pytest.mark.parametrize(
    ("names", "series"),
    [
        (["a/m_seed-1", "a/m_seed-2"], ["a/m_seed-…"]),
        (["a/seed1/last", "a/seed2/last"], ["seed-…/last"]),
        (["a/m-SEED=1", "a/m-SEED=02"], ["a/m-seed-…"]),
        (["a/m_seed-1_step-10", "a/m_seed-1_step-20"], ["a/m_seed-…_step-10", "a/m_seed-…_step-20"]),
        (["a/seedling1", "a/m_seed-1"], ["a/m_seed-…"]),
        (["m_seed-1 (sample 5 seed 1)", "m_seed-2 (sample 5 seed 1)"], ["m_seed-… (sample 5 seed 1)"]),
        (["a (sample 5 seed 1)", "a (sample 5 seed 2)", "m_seed-1"], ["m_seed-…"]),
    ],
)
def test_names_that_differ_in_a_seed_alone(names: list[str], series: list[str], babycli: Babycli) -> None:
    runs_named(Path("logs"), *names)
    found = report(babycli, "--seeds", "--format", "json")
    assert [each["label"] for each in found] == series


def test_a_seed_that_is_there_twice_is_refused(babycli: Babycli) -> None:
    runs_named(Path("logs"), "a/m_seed-1", "a/m_seed-01")
    ran = babycli("report", "--seeds")
    assert (ran.code, "seed 1 is there 2 times: a/m_seed-1, a/m_seed-01" in ran.err) == (3, True)
    page = babycli("report", "--format", "html")
    assert (page.code, "Not gathered: seed 1 is there 2 times" in page.out) == (0, True)


def test_seeds_on_other_labels_are_refused_and_equal_weights_are_said(babycli: Babycli) -> None:
    runs_named(Path("logs"), "a/m_seed-1")
    write_run(Path("logs"), "a/m_seed-2", drawn(5, {"vtwt": 0.6}), fingerprint="weights of a/m_seed-1")
    ran = babycli("report", "--seeds")
    assert (ran.code, "THE SAME WEIGHTS under several seeds of a/m_seed-…: 1, 2" in ran.out) == (0, True)
    write_run(Path("logs"), "a/m_seed-3", drawn(6, {"vtwt": 0.6}), labels_sha256={"vtwt": "others"})
    ran = babycli("report", "--seeds")
    assert (ran.code, "were run on different label files" in ran.err) == (3, True)


LEXICAL = {"lex_nouns": {"acc": [1.0, 0.0, 1.0, 1.0]}}
BOTH = {**LEXICAL, "gram_negation": {"acc": [0.0, 0.0, 1.0, 0.0]}}


def mdb_run(name: str, values: Any, **changes: Any) -> None:
    write_run(Path("logs"), name, values, with_groups=False, **changes)


def test_other_labels_of_a_task_that_the_first_seed_lacks_are_refused(babycli: Babycli) -> None:
    runs_named(Path("logs"), "m_seed-1")
    for seed in (2, 3):
        mdb_run(f"m_seed-{seed}", LEXICAL, labels_sha256={"lex_nouns": f"labels {seed}"})
    ran = babycli("report", "--seeds")
    assert ran.code == 3
    assert "lex_nouns of m_seed-2 and m_seed-3 were run on different label files" in ran.err


def test_means_over_other_tasks_in_each_seed_are_left_out(babycli: Babycli) -> None:
    mdb_run("m_seed-1", BOTH)
    mdb_run("m_seed-2", LEXICAL)
    found = {each["metric"]: each["value"] for each in report(babycli, "--seeds", "--format", "json")}
    assert found == {"acc": 0.25, "lexical": 0.75, "grammatical": 0.25}
    told = " ".join(babycli("report", "--seeds").out.split())
    assert "of fewer seeds of m_seed-…: gram_negation 1. Means over tasks that differ between seeds are left" in told


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_scores_that_must_not_be_trusted_are_said_of_their_seed(form: str, babycli: Babycli) -> None:
    mdb_run("m_seed-1", BOTH, nonfinite={"lex_nouns": [1]})
    mdb_run("m_seed-2", BOTH, skipped={"lex_nouns": [], "gram_negation": ["9"]})
    mdb_run("other", BOTH, nonfinite={"lex_nouns": [1]})
    told = " ".join(babycli("report", "--seeds", "--format", form).out.split()).replace("\\_", "_")
    assert "NON-FINITE scores: do not trust this number: m_seed-1 lex_nouns 1" in told
    assert "left out because images are missing: m_seed-2 gram_negation 1" in told
    assert "other lex_nouns" not in told


def test_controls_alone_make_no_entry(babycli: Babycli) -> None:
    mdb_run("m", BOTH, control="blind")
    ran = babycli("report", "--format", "egobabyvlm")
    assert ran.code == 3
    assert "there are numbers of controls alone, which no board has: m (control: blind)" in ran.err
    ran = babycli("report", "--no-controls")
    assert (ran.code, "leave out --models, --tasks, --metrics, --no-controls" in ran.err) == (3, True)


def test_a_rename_makes_them_seeds(babycli: Babycli) -> None:
    runs_named(Path("logs"), "a/first", "a/second")
    words = ("--rename", "a/first=clip seed-1", "--rename", "a/second=clip seed-2")
    found = report(babycli, "--seeds", "--format", "json", *words)
    assert [(each["label"], each["n_seeds"]) for each in found] == [("clip seed-…", 2)]
