"""`babycli report --overlap`: scores on leaked and on clean trials in every form, and numbers of one of them alone."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from babycli.stats import difference95
from babycli.tasks import all_tasks
from tests.conftest import REPOSITORY, Babycli
from tests.report.logs import drawn, write_run

pytestmark = pytest.mark.usefixtures("empty_folder")
N = 60
LEAKED = range(0, N, 3)
TRAINING = {
    "path": "train.json",
    "form": "list of names",
    "n_pictures": 9,
    "n_films": 0,
    "n_entries": None,
    "notes": [],
}


def write_list(
    path: str = "o.json",
    tasks: Sequence[str] = ("vtwt",),
    labels: str = "labels",
    n: int = N,
    leaked: Sequence[int] = LEAKED,
    level: str = "sha256",
    **changes: Any,
) -> Path:
    """A list of overlaps in which these trials are leaked at one level."""
    document = {
        "schema_version": 1,
        "kind": "overlap",
        "babycli_version": "0",
        "within_s": 5,
        "distance": 40,
        "hashed_by": "",
        "training": [
            {
                "path": "train.json",
                "form": "list of names",
                "n_pictures": 9,
                "n_films": 0,
                "n_entries": None,
                "notes": [],
            }
        ],
        "tasks": [
            {
                "task": task,
                "data_set": "",
                "labels_sha256": labels,
                "n_pictures": n,
                "untold": {"near": "ImageHash is not installed"},
                "trials": [
                    {
                        "trial": str(i),
                        "found": [{"level": level, "picture": f"{i}.jpg", "training": "x.jpg"}] if i in leaked else [],
                    }
                    for i in range(n)
                ],
            }
            for task in tasks
        ],
        "notes": [],
    }
    Path(path).write_text(json.dumps(document | changes))
    return Path(path)


def write_model(
    name: str = "lab/model", seed: int = 1, tasks: Sequence[str] = ("vtwt",), **more: Any
) -> dict[str, Any]:
    values = drawn(seed, dict.fromkeys(tasks, 0.7), dict.fromkeys(tasks, N))
    write_run(Path("logs"), name, values, with_groups=False)
    return values


def records(babycli: Babycli, *words: object) -> list[dict[str, Any]]:
    ran = babycli("report", "logs", "--overlap", "o.json", *words, "--format", "json")
    assert ran.code == 0, ran.err
    found: list[dict[str, Any]] = json.loads(ran.out)
    schema = json.loads((REPOSITORY / "docs" / "schemas" / "report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


def test_the_scores_are_those_of_each_group_with_the_interval_of_their_difference(babycli: Babycli) -> None:
    values = np.array(write_model()["vtwt"]["acc"])
    write_list()
    is_leaked = np.isin(np.arange(N), LEAKED)
    found = {record["group"]: record for record in records(babycli, "--by", "overlap")}
    for group, chosen in (("leaked", is_leaked), ("clean", ~is_leaked)):
        right, n = int(values[chosen].sum()), int(chosen.sum())
        assert (found[group]["value"], found[group]["n_units"]) == (pytest.approx(right / n), n)
        wilson = proportion_confint(right, n, method="wilson")
        assert [found[group]["ci95_low"], found[group]["ci95_high"]] == pytest.approx(list(wilson))
    difference = found["leaked − clean"]
    assert difference["value"] == pytest.approx(values[is_leaked].mean() - values[~is_leaked].mean())
    newcombe = confint_proportions_2indep(
        values[is_leaked].sum(), is_leaked.sum(), values[~is_leaked].sum(), (~is_leaked).sum(), method="newcomb"
    )
    assert [difference["ci95_low"], difference["ci95_high"]] == pytest.approx(list(newcombe))


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """His examples of method 10: 56 of 70 and 48 of 80, 9 of 10 and 3 of 10, 10 of 10 and 0 of 10."""
    for (a, m, b, n), expected in {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (10, 10, 0, 10): (0.6075, 1.0),
    }.items():
        first, second = proportion_confint(a, m, method="wilson"), proportion_confint(b, n, method="wilson")
        assert difference95(a / m, first, b / n, second) == pytest.approx(expected, abs=6e-5)


def test_clean_alone_is_what_a_run_of_the_clean_trials_would_show(babycli: Babycli) -> None:
    values = write_model(tasks=("vtwt", "baby_winoground"))
    write_list(tasks=("vtwt", "baby_winoground"))
    clean = [i for i in range(N) if i not in LEAKED]
    of_clean = {t: {m: [of[i] for i in clean] for m, of in metrics.items()} for t, metrics in values.items()}
    write_run(Path("alone"), "lab/model", of_clean, with_groups=False)
    ran = babycli("report", "alone", "--format", "json")
    alone = {(r["task"], r["metric"]): r for r in json.loads(ran.out)}
    found = records(babycli, "--only", "clean")
    assert len(found) == len(alone) == 6
    for record in found:
        other = alone[record["task"], record["metric"]]
        for field in ("value", "chance", "ci95_low", "ci95_high", "stderr", "n_units", "ties", "fair_value"):
            assert record[field] == other[field], field
        assert (record["only"], record["label"]) == ("clean", "lab/model (only clean)")


@pytest.mark.parametrize("words", [(), ("--format", "md"), ("--format", "latex"), ("--notes",), ("--format", "html")])
def test_every_form_says_that_trials_are_left_out(babycli: Babycli, words: tuple[str, ...]) -> None:
    write_model()
    write_list()
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean", *words)
    assert ran.code == 0
    said = (
        "(only clean): trials of which no picture is in train.json (list of names), by sha256, name or within 5 s, as"
    )
    assert f"{said} o.json says: VTWT 40 of 60." in " ".join(ran.out.split())
    assert "lab/model (only clean)" in " ".join(ran.out.split()) or "(only clean) &" in ran.out


@pytest.mark.parametrize("form", ["table", "md", "latex", "html", "csv"])
def test_every_form_shows_both_groups_and_their_difference(babycli: Babycli, form: str) -> None:
    write_model()
    write_model("lab/other", seed=5)
    write_list()
    by = () if form == "html" else ("--by", "overlap")
    ran = babycli("report", "logs", "--overlap", "o.json", *by, "--format", form)
    assert ran.code == 0
    for word in ("leaked", "clean", "leaked $-$ clean" if form == "latex" else "leaked − clean", "train.json"):
        assert word in ran.out
    if form == "csv":
        lines = list(csv.DictReader(io.StringIO(ran.out)))
        assert [(line["model"], line["group"]) for line in lines] == [
            (model, group) for model in ("lab/model", "lab/other") for group in ("leaked", "clean", "leaked − clean")
        ]
    else:
        assert "Newcombe" in ran.out


def test_a_page_names_the_model_of_each_table(babycli: Babycli) -> None:
    write_model("lab/one", tasks=("vtwt", "labeled_s"))
    write_model("lab/two", seed=5)
    write_list(tasks=("vtwt", "labeled_s"))
    page = babycli("report", "logs", "--overlap", "o.json", "--format", "html").out
    tables = page.partition("<h3>Leaked and clean trials</h3>")[2].partition("<h3>")[0].split("<table>")[1:]
    heads = [re.findall(r'<th scope="col">([^<]+)</th>', table) for table in tables]
    assert heads == [["trials", "n", "lab/one"], ["trials", "n", "lab/one", "lab/two"]]


def test_a_terminal_without_the_minus_sign_gets_another(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model()
    write_list()
    monkeypatch.setattr("babycli.commands.report.terminal_encoding", lambda: "ascii")
    ran = babycli("report", "logs", "--overlap", "o.json", "--by", "overlap")
    assert "leaked - clean" in ran.out


def test_levels_decide_what_is_leaked(babycli: Babycli) -> None:
    write_model()
    write_list(level="recording")
    found = {record["group"]: record["n_units"] for record in records(babycli, "--by", "overlap")}
    assert found == {"clean": N}
    found = {
        record["group"]: record["n_units"] for record in records(babycli, "--by", "overlap", "--level", "recording")
    }
    assert found == {"leaked": 20, "clean": 40, "leaked − clean": N}


def test_clusters_widen_the_intervals(babycli: Babycli) -> None:
    values = drawn(3, {"vtwt": 0.7}, {"vtwt": N})
    write_run(Path("logs"), "lab/model", values)
    write_list()
    found = {record["group"]: record for record in records(babycli, "--by", "overlap")}
    share, n = found["clean"]["value"], found["clean"]["n_units"]
    assert (found["clean"]["ci95_low"], found["clean"]["ci95_high"]) != pytest.approx(
        proportion_confint(round(share * n), n, method="wilson")
    )


def test_a_difference_of_two_models_is_of_the_clean_trials(babycli: Babycli) -> None:
    first = np.array(write_model()["vtwt"]["acc"])
    second = np.array(write_model("lab/other", seed=5)["vtwt"]["acc"])
    write_list()
    (record,) = records(babycli, "--only", "clean", "--compare", "lab/model", "lab/other")
    clean = ~np.isin(np.arange(N), LEAKED)
    assert record["difference"] == pytest.approx((first - second)[clean].mean())
    assert record["n_units"] == 40
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean", "--compare", "lab/model", "lab/other")
    assert "VTWT 40 of 60." in " ".join(ran.out.split())


def test_the_list_of_other_labels_is_refused(babycli: Babycli) -> None:
    write_model()
    write_list(labels="others")
    ran = babycli("report", "logs", "--overlap", "o.json", "--by", "overlap")
    assert (ran.code, ran.out) == (4, "")
    assert "o.json is of other labels of vtwt (others…) than the run" in ran.err


def test_a_trial_that_the_list_does_not_know_is_named(babycli: Babycli) -> None:
    write_model()
    write_list(n=N - 2)
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean")
    assert (ran.code, ran.out) == (3, "")
    assert "o.json has no trial '58', '59' of vtwt" in ran.err


def test_tasks_that_the_list_does_not_know_are_left_out_and_named(babycli: Babycli) -> None:
    write_model(tasks=("vtwt", "labeled_s"))
    write_list()
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean")
    assert ran.code == 0
    assert "note: o.json does not tell which trials of labeled_s are leaked" in ran.err
    assert "Left out, as nothing tells which of their trials are leaked: labeled_s." in " ".join(ran.out.split())
    assert "Labeled-S" not in ran.out
    write_list(tasks=("saycam_caption",))
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean")
    assert (ran.code, ran.out) == (3, "")
    assert "o.json tells of no trial of vtwt, labeled_s; it is of saycam_caption" in ran.err


def test_nothing_is_said_of_tasks_that_are_not_shown(babycli: Babycli) -> None:
    write_model(tasks=("vtwt", "labeled_s", "saycam_caption"))
    write_list(tasks=("vtwt", "labeled_s"))
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean", "-t", "vtwt")
    assert (ran.code, ran.err) == (0, "")
    write_list(tasks=("vtwt",), leaked=range(N), path="all.json")
    for words, said in (
        (("all.json", "-t", "vtwt"), "babycli: no trial of vtwt is clean"),
        (("o.json", "-t", "saycam_caption"), "babycli: o.json tells of no trial of saycam_caption; it is of vtwt"),
    ):
        ran = babycli("report", "logs", "--only", "clean", "--overlap", *words)
        assert ran.code == 3
        assert ran.err.startswith(said)


def test_no_clean_trial_at_all(babycli: Babycli) -> None:
    write_model()
    write_list(leaked=range(N))
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean")
    assert (ran.code, ran.out) == (3, "")
    assert "no trial of vtwt is clean, by sha256, name or within 5 s" in ran.err
    ran = babycli("report", "logs", "--overlap", "o.json", "--by", "overlap")
    assert ran.code == 0
    assert "No trial of vtwt is clean." in ran.out
    assert "leaked − clean" not in ran.out


def test_a_level_that_was_not_looked_at_is_named_with_the_reason(babycli: Babycli) -> None:
    write_model()
    write_list()
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean", "--level", "near")
    assert ran.code == 3
    assert "o.json tells nothing at the level near: ImageHash is not installed" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "overlap"), "--by overlap needs to know which trials"),
        (("--only", "clean"), "--only needs to know"),
        (("--level", "name"), "--level needs to know"),
        (("--overlap", "o.json"), "--overlap alone changes nothing"),
        (("--overlap", "o.json", "--only", "both"), "unknown --only 'both'"),
        (("--overlap", "o.json", "--only", "clean", "--by", "overlap"), "--only leaves one of the groups"),
        (("--overlap", "o.json", "--only", "clean", "--baselines", "paper"), "published numbers are of all trials"),
        (("--overlap", "o.json", "--audit"), "--audit looks at all that is in the logs"),
        (("--overlap", "o.json", "--only", "clean", "--format", "hf"), "--format hf is read as numbers of all trials"),
        (("--overlap", "o.json", "--by", "overlap", "--format", "html"), "a page shows leaked and clean trials"),
    ],
)
def test_words_that_do_not_go_together(babycli: Babycli, words: tuple[str, ...], said: str) -> None:
    write_model()
    write_list()
    ran = babycli("report", "logs", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "mend: " in ran.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "other"}, "is no list of overlaps"),
        ({"schema_version": 2}, "is of schema 2, and this babycli knows 1"),
        ({"within_s": "5"}, "within_s is '5', should be int"),
        ({"more": 1}, "Overlap has 'more', which none has"),
        ({"tasks": []}, "it has no tasks"),
        ({"training": [{"path": "x"}]}, "training has no form"),
    ],
)
def test_another_file_is_refused(babycli: Babycli, change: dict[str, Any], said: str) -> None:
    write_model()
    write_list(**change)
    ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean")
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err
    assert "babycli data overlap TRAINING -o FILE" in ran.err


def test_a_trial_twice_or_found_where_nothing_is_told_is_refused(babycli: Babycli) -> None:
    write_model()
    for level, twice, said in (("near", False, "which is untold"), ("name", True, "has the trial '1' twice")):
        document = json.loads(write_list(level=level).read_text())
        if twice:
            document["tasks"][0]["trials"][0]["trial"] = "1"
        Path("o.json").write_text(json.dumps(document))
        ran = babycli("report", "logs", "--overlap", "o.json", "--only", "clean")
        assert (ran.code, ran.out) == (3, "")
        assert said in ran.err
    for content in ("", "[", "5", "null"):
        Path("o.json").write_text(content)
        assert babycli("report", "logs", "--overlap", "o.json", "--only", "clean").code == 3


def test_no_task_has_a_kind_of_group_of_that_name() -> None:
    assert not [task.name for task in all_tasks().values() if any(k.name == "overlap" for k in task.groupings)]
