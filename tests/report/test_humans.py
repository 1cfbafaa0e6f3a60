"""People beside models: every form of the report, every form of the file, and all that can be wrong with one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import babycli as program
from babycli.errors import DataError
from tests.conftest import REPOSITORY, Babycli, Ran
from tests.report.logs import write_run
from tests.report.test_overlap import write_list

Scores = Sequence[Sequence[float | None]]
Similarities = Sequence[Sequence[float]]
ODD = "a ∑, “cup”"  # a comma, quotes, and more than ASCII
HEAD = "trial,option,share,n\n"
# Of two trials a model likes the right phrase by 1: worked by hand in tests/test_likeness.py.
HAND = f"{HEAD}0,right 0,0.9,10\n0,wrong 0,0.1,10\n1,right 1,0.6,20\n1,wrong 1,0.4,20\n"
HAND_SCORES = [[-1.0, -2.0], [-4.0, -5.0]]


def vtwt_run(
    folder: Path, model: str, scores: Scores, *, is_loss: bool = True, control: str | None = None, **changes: Any
) -> Path:
    """A run of the two-word test with its samples. More is better; losses are logged with the other sign."""
    values = {"vtwt": {"acc": [0.5 if a == b else float((a or 0) > (b or 0)) for a, b in scores]}}
    path = write_run(folder, model, values, control=control, **changes)
    lines = []
    for i, of_row in enumerate(scores):
        doc = {"image": f"{i}.jpg", "positive_phrase": f"right {i}", "negative_phrase": f"wrong {i}"}
        given = [None if score is None else -score if is_loss else score for score in of_row]
        resps = [[number, False] if is_loss else [number] for number in given]
        lines.append(json.dumps({"doc_id": i, "doc": doc, "target": f"right {i}", "resps": resps}))
    path.with_name(path.name.replace("_results.json", "_samples_vtwt.jsonl")).write_text("\n".join(lines))
    return path


def labeled_s_run(folder: Path, model: str, scores: Similarities, names: Sequence[str] = ("a", "b", "c", "d")) -> Path:
    path = write_run(folder, model, {"labeled_s": {"acc": [float(max(of) == of[0]) for of in scores]}})
    lines = []
    for i, of_trial in enumerate(scores):
        for k, score in enumerate(of_trial):
            doc = {"trial_id": i, "target_category": "ball", "real_category": "cup" if k else "ball", "image": names[k]}
            lines.append(json.dumps({"doc_id": 4 * i + k, "doc": doc, "resps": [[score]]}))
    path.with_name(path.name.replace("_results.json", "_samples_labeled_s.jsonl")).write_text("\n".join(lines))
    return path


def put(folder: Path, text: str | bytes, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def of_json(ran: Ran, metric: str = "human_kl") -> list[Mapping[str, Any]]:
    assert ran.code == 0, ran.err
    return [record for record in json.loads(ran.out) if record["metric"] == metric]


def beside(babycli: Babycli, logs: Path, text: str | bytes, *words: object) -> list[Mapping[str, Any]]:
    return of_json(babycli("report", logs, "--humans", put(logs.parent, text), "--format", "json", *words))


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    logs = tmp_path / "logs"
    vtwt_run(logs, "lab/one", HAND_SCORES)
    return logs


def test_the_hand_worked_matrix(babycli: Babycli, hand: Path) -> None:
    (record,) = beside(babycli, hand, HAND)
    assert record["value"] == pytest.approx(0.06329, abs=1e-5)
    assert record["chance"] == pytest.approx(0.19410, abs=1e-5)
    assert record["temperature"] == pytest.approx(1.098612, abs=1e-6)
    assert record["model_right"] == 1.0
    assert record["people_right"] == pytest.approx(0.75)
    assert (record["n_units"], record["people_low"], record["people_high"]) == (2, 10, 20)
    assert (record["age"], record["nearest"], record["temperature_bound"]) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}0,0,0.9,10\n0,1,0.1,10\n1,1,0.4,20\n1,0,0.6,20\n",  # by index, in any order
        HAND.replace("\n", "\r\n"),
        "\ufeff" + HAND,
        HAND.replace("right 0", " right 0 ").replace("trial,", "Trial, ").replace("\n1", "\n\n1"),
        "n,share,trial,option\n10,.9,0,right 0\n10,1e-1,0,1\n20.0,0.60,1,0\n20,0.4,1,wrong 1",
        HAND.replace("trial,", "task,trial,").replace("\n0", "\nvtwt,0").replace("\n1", "\nvtwt,1"),
        "trial,image1,image2,n\n0,0.9,0.1,10\n1,0.6,0.4,20\n",
        "trial,prop,n\n0,0.9,10\n1,0.6,20\n",
        HAND.replace("0.4,20", "0.4,20\n9,x,1,5"),  # and a trial that no run has
        f"{HEAD}0,0,0.909,10\n0,1,0.101,10\n1,0,0.6,20\n1,1,0.4,20\n",  # rounded: sums to 1.01
    ],
)
def test_forms_of_the_file_that_say_the_same(babycli: Babycli, hand: Path, text: str) -> None:
    (record,) = beside(babycli, hand, text)
    assert record["value"] == pytest.approx(0.06329, abs=1e-5)
    assert (record["people_low"], record["people_high"]) == (10, 20)


def test_devbench_forms_have_ages_and_no_n(babycli: Babycli, hand: Path) -> None:
    """evals/lex-lwl/human.csv has these columns; lex-viz_vocab.R makes those of the other."""
    for text in (
        "age_bin,prop,trial\n1.5,0.9,0\n1.5,0.6,1\n2,0.5,0\n",
        "text1,age_bin,trial,image1,image2,image3\nx,1.5,0,0.9,0.1,\nx,1.5,1,0.6,0.4,\nx,2,0,0.5,0.5,\n",
    ):
        first, second = beside(babycli, hand, text)
        assert (first["age"], first["value"], first["people_low"]) == ("1.5", pytest.approx(0.06329, abs=1e-5), None)
        assert (second["age"], second["n_units"], second["chance"]) == ("2", 1, pytest.approx(0))


def test_similarities_are_taken_as_they_are(babycli: Babycli, tmp_path: Path) -> None:
    vtwt_run(tmp_path / "logs", "lab/clip", [[0.3, 0.2], [0.5, 0.4]], is_loss=False)
    (record,) = beside(babycli, tmp_path / "logs", HAND)
    assert record["value"] == pytest.approx(0.06329, abs=1e-5)
    assert record["temperature"] == pytest.approx(10.98612, abs=1e-4)


def test_pictures_are_options_by_their_names(babycli: Babycli, tmp_path: Path) -> None:
    names = ("ball/1.jpg", "cup/ü 1.jpg", ODD, "=1")
    labeled_s_run(tmp_path / "logs", "lab/clip", [[0.4, 0.3, 0.2, 0.1]] * 3, names)
    shares = (0.7, 0.2, 0.1, 0.0)
    stream = io.StringIO()
    rows = [(t, name, share, 12) for t in range(3) for name, share in zip(names, shares, strict=True)]
    csv.writer(stream).writerows([HEAD.strip().split(","), *rows])
    (record,) = beside(babycli, tmp_path / "logs", stream.getvalue())
    assert (record["n_units"], record["people_right"]) == (3, pytest.approx(0.7))


# ------------------------------------------------------------ forms of the report


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A model that is as the younger ones are, in 40 trials, and one that likes all alike. Do not write."""
    logs = tmp_path / "logs"
    vtwt_run(logs, "lab/one", [[0.4 * (i % 5), 0.0] for i in range(40)], is_loss=False)
    vtwt_run(logs, "control:constant", [[1.0, 1.0]] * 40, is_loss=False, control="constant")
    return logs


def ages() -> str:
    lines = []
    for i in range(40):
        for age, share in (("4", 0.5 + 0.05 * (i % 5)), ("25", 0.99 - 0.01 * (i % 5))):
            lines += [f"{i},0,{share:.2f},20,{age}", f"{i},1,{1 - share:.2f},20,{age}"]
    return "\n".join([f"{HEAD.strip()},age", *lines])


@pytest.mark.parametrize("form", ["table", "md", "latex", "html"])
def test_every_form_shows_it_beside_accuracy(babycli: Babycli, two: Path, form: str) -> None:
    ran = babycli("report", two, "--humans", put(two.parent, ages()), "--format", form)
    assert ran.code == 0
    told = " ".join(ran.out.split())
    for words in (
        "Visual Two-Word Test beside people",
        "age 4",
        "age 25",
        "Tan et al. 2024, arXiv 2406.10215",
        "lab/one: 4 (in 100",
        "Near to none: control:constant (a control).",
        "20 of age 4, 20 of age 25",
    ):
        assert words in told
    assert told.index("age 4") < told.index("age 25")


def test_csv_has_a_line_for_each_number_with_its_interval(babycli: Babycli, two: Path) -> None:
    ran = babycli("report", two, "--humans", put(two.parent, ages()), "--format", "csv")
    records = [row for row in csv.DictReader(io.StringIO(ran.out)) if row["model"] == "lab/one"]
    assert [(row["metric"], row["age"]) for row in records] == [
        ("acc", ""),
        *((metric, age) for age in ("4", "25") for metric in ("human_kl", "human_pearson", "human_spearman")),
    ]
    for row in records[1:]:
        low, high = (row[f"ci95_clustered_{end}"] or row[f"ci95_{end}"] for end in ("low", "high"))
        assert float(low) <= float(row["value"]) <= float(high)
    assert [(row["nearest"], row["age"]) for row in records if row["metric"] == "human_kl"] == [
        ("True", "4"),
        ("False", "25"),
    ]
    assert float(records[2]["value"]) > 0.99  # both rise with i % 5
    assert float(records[5]["value"]) < -0.9


def test_without_humans_nothing_is_added(babycli: Babycli, two: Path) -> None:
    assert "age" not in csv.DictReader(io.StringIO(babycli("report", two, "--format", "csv").out)).fieldnames  # type: ignore[operator]


def test_a_model_that_likes_all_alike_gets_uniform_and_is_near_to_nobody(babycli: Babycli, two: Path) -> None:
    records = [r for r in beside(babycli, two, ages()) if r["control"]]
    assert len(records) == 2
    for record in records:
        assert record["value"] == pytest.approx(record["chance"])
        assert (record["temperature"], record["nearest"], record["nearest_share"]) == (None, False, None)
    ran = babycli("report", two, "--humans", two.parent / "people.csv", "--format", "json")
    assert not [r for r in json.loads(ran.out) if r["control"] and r["metric"] in ("human_pearson", "human_spearman")]


def test_age_groups_that_tie_are_both_named(babycli: Babycli, two: Path) -> None:
    text = ages().replace(",25\n", ",old\n").replace(",25", ",old")
    twin = text + "\n" + "\n".join(line[:-1] + "5" for line in text.split("\n") if line.endswith(",4"))
    ran = babycli("report", two, "--humans", put(two.parent, twin), "--format", "md")
    assert "lab/one: 4 and 5, which tie" in ran.out


@pytest.mark.parametrize(("trials", "is_told"), [((0, 1, 2), False), ((1, 2, 3), True), ((0, 1), True)])
def test_age_groups_that_were_asked_other_trials_are_said(
    babycli: Babycli, two: Path, trials: Sequence[int], is_told: bool
) -> None:
    lines = [f"{i},0.6,{age}" for age, asked in (("4", (0, 1, 2)), ("5", trials)) for i in asked]
    ran = babycli("report", two, "--humans", put(two.parent, "\n".join(["trial,prop,age", *lines])))
    assert ran.code == 0, ran.err
    assert ("The groups were asked other trials" in " ".join(ran.out.split())) == is_told


def test_json_is_as_its_schema_says(babycli: Babycli, two: Path) -> None:
    schema = json.loads((REPOSITORY / "docs" / "schemas" / "report.schema.json").read_text())
    ran = babycli("report", two, "--humans", put(two.parent, ages()), "--format", "json")
    Draft202012Validator(schema).validate(json.loads(ran.out))


def test_a_page_with_comparisons_has_both(babycli: Babycli, two: Path) -> None:
    vtwt_run(two, "lab/two", [[0.1, 0.3]] * 40, is_loss=False)
    words = ("--humans", put(two.parent, ages()), "--format", "html", "--compare", "lab/one", "lab/two")
    ran = babycli("report", two, *words)
    assert ran.code == 0
    assert "Models beside people" in ran.out
    assert "Differences" in ran.out


def test_python_gives_the_same_records(babycli: Babycli, two: Path) -> None:
    records = beside(babycli, two, ages())
    found = program.compare_humans(two.parent / "people.csv", logs=two)
    assert [(each.label, each.age, each.divergence, each.is_nearest) for each in found] == [
        (record["label"], record["age"], record["value"], record["nearest"]) for record in records
    ]
    with pytest.raises(DataError):
        program.compare_humans(two.parent / "none.csv", logs=two)


# ------------------------------------------------------------ what is left out is named


def test_trials_that_no_run_has_are_named_and_counted(babycli: Babycli, hand: Path) -> None:
    text = HAND + "7,a,1,5\n8,b,0.5,5\n8,c,0.5,5\n"
    ran = babycli("report", hand, "--humans", put(hand.parent, text))
    told = "2 of 4 trials of people.csv are none of these runs': 7, 8."
    assert told in " ".join(ran.out.split())
    assert told not in ran.err
    assert told in babycli("report", hand, "--humans", hand.parent / "people.csv", "--format", "csv").err


@pytest.mark.parametrize(("only", "n", "chance", "right"), [("clean", 1, 0.0201, 0.6), ("leaked", 1, 0.3681, 0.9)])
def test_people_stand_beside_the_trials_that_are_left(
    babycli: Babycli, hand: Path, only: str, n: int, chance: float, right: float
) -> None:
    """The first trial is in a training set, the second is not; KL of uniform is ln 2 less the entropy of people."""
    overlap = write_list(str(hand.parent / "o.json"), n=2, leaked=[0])
    (record,) = beside(babycli, hand, HAND, "--overlap", overlap, "--only", only)
    assert (record["n_units"], record["people_right"]) == (n, pytest.approx(right))
    assert record["chance"] == pytest.approx(chance, abs=1e-4)
    ran = babycli("report", hand, "--humans", hand.parent / "people.csv", "--overlap", overlap, "--only", only)
    assert "are none of these runs'" not in ran.out


@pytest.mark.parametrize("name", ["", '""'])
def test_a_column_without_a_name_is_neither_an_age_nor_json(babycli: Babycli, hand: Path, name: str) -> None:
    """R's write.csv puts the numbers of rows into a first column without a name."""
    text = f"{name},trial,image1,image2\n1,0,0.9,0.1\n2,1,0.6,0.4\n"
    ran = babycli("report", hand, "--humans", put(hand.parent, text), "--format", "json")
    assert [(each["age"], each["n_units"]) for each in of_json(ran)] == [(None, 2)]
    assert "columns that are not read: one without a name" in ran.err
    text = "trial,image1,image2,\n0,0.9,0.1,\n1,0.6,0.4,\n"
    assert [(each["age"], each["n_units"]) for each in beside(babycli, hand, text)] == [(None, 2)]


def test_scores_that_are_not_finite_leave_a_trial_out_and_say_so(babycli: Babycli, hand: Path) -> None:
    vtwt_run(hand, "lab/nan", [[-1.0, -2.0], [-1.0, None]])
    ran = babycli("report", hand, "--humans", put(hand.parent, HAND), "--models", "lab/nan")
    assert "lab/nan: 1 trials are left out, as a score of theirs is missing or not finite." in " ".join(ran.out.split())


def test_columns_and_tasks_that_nothing_reads_are_named(babycli: Babycli, hand: Path) -> None:
    lines = HAND.strip().split("\n")
    text = "\n".join(
        ["colour,task," + lines[0], *(f"red,vtwt,{line}" for line in lines[1:]), "red,baby_winoground,1,0,1,5"]
    )
    ran = babycli("report", hand, "--humans", put(hand.parent, text))
    assert ran.code == 0
    assert "columns that are not read: colour" in ran.err
    assert "1 trials of baby_winoground are held against nothing" in ran.err


def test_old_runs_without_outcomes_are_read_too(babycli: Babycli, hand: Path) -> None:
    for path in hand.rglob("*_outcomes.json"):
        path.unlink()
    (record,) = beside(babycli, hand, HAND)
    assert record["value"] == pytest.approx(0.06329, abs=1e-5)


def test_why_there_is_no_interval(babycli: Babycli, hand: Path) -> None:
    """Both trials are of one recording session."""
    told = " ".join(babycli("report", hand, "--humans", put(hand.parent, HAND)).out.split())
    assert "No intervals: a single session does not tell how it varies." in told
    assert "bootstrap" not in told


def test_a_run_of_fewer_trials_is_compared_on_those(babycli: Babycli, hand: Path) -> None:
    vtwt_run(hand, "lab/part", HAND_SCORES[:1], config={"limit": 1})
    by_label = {record["model"]: record["n_units"] for record in beside(babycli, hand, HAND)}
    assert by_label == {"lab/one": 2, "lab/part": 1}


def test_nothing_is_less_than_nothing(babycli: Babycli, tmp_path: Path) -> None:
    """Of a model that is as people are, KL is 0 but for the last digits, on either side."""
    people = "".join(f"{t},right {t},0.7,9\n{t},wrong {t},0.3,9\n" for t in (0, 1))
    vtwt_run(tmp_path / "logs", "lab/one", [[-1.0, -2.0], [-4.0, -5.0]])
    ran = babycli("report", tmp_path / "logs", "--humans", put(tmp_path, f"{HEAD}{people}"))
    assert " 0.000 " in ran.out
    assert "−0.000" not in ran.out


def test_only_clean_trials_are_held_against_people(
    babycli: Babycli, hand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    more = "2,right 2,1,5\n2,wrong 2,0,5\n3,right 3,0.2,5\n3,wrong 3,0.8,5\n"
    vtwt_run(tmp_path / "more", "lab/one", [*HAND_SCORES, [-1.0, -9.0], [-2.0, -1.0]])
    only = ("--overlap", write_list(n=4, leaked=(2, 3)), "--only", "clean")
    (alone,) = beside(babycli, hand, HAND)
    (record,) = beside(babycli, tmp_path / "more", HAND + more, *only)
    for field in ("value", "chance", "n_units", "temperature", "model_right", "people_right"):
        assert record[field] == pytest.approx(alone[field]), field
    told = babycli("report", tmp_path / "more", "--humans", put(tmp_path, HAND + more), *only)
    assert "none of these runs'" not in told.out + told.err


# ------------------------------------------------------------ what is wrong with a file

WRONG: dict[str, tuple[str | bytes, int | None, str]] = {
    "empty": ("", None, "is empty"),
    "blank": ("\n \n", None, "is empty"),
    "header alone": (HEAD, None, "has no line below its header"),
    "semicolons": (HAND.replace(",", ";"), 1, "its columns are separated by ';'"),
    "tabs": (HAND.replace(",", "\t"), 1, "separated by '\\t'"),
    "json": ('{"label": "1_s0_i0", "score": 0.5}\n', 1, "this is JSON"),
    "latin-1": (HAND.replace("right 0", "rïght").encode("latin-1"), 2, "is no UTF-8"),
    "utf-16": (HAND.encode("utf-16"), 1, "is no UTF-8"),
    "nul": (HAND.replace("0.9", "0\0"), 2, "the share is '0\\x00'"),
    "open quote": (HAND.replace("right 1", '"right 1'), 4, "is no line of a CSV file"),
    "no n": ("trial,option,share\n0,0,1\n", 1, "lacks the column n; its columns are 'trial', 'option', 'share'"),
    "no trial": ("prop,age_bin\n0.5,2\n", 1, "lacks the column trial"),
    "answers": ("targetWord,answerWord,age_group\na,b,5\n", 1, "has a line for each answer: count them"),
    "twice a column": ("trial,option,share,n,n\n0,0,1,5,5\n", 1, "has the column n twice"),
    "two ages": ("trial,option,share,n,age,age_bin\n0,0,1,5,1,1\n", 1, "both age and age_bin are age groups"),
    "image2 alone": ("trial,image2,image3\n0,.5,.5\n", 1, "should have all from image1 on"),
    "fields": (HAND.replace("0.9,10", "0,9,10"), 2, "has 5 fields, should have 4"),
    "nan": (HAND.replace("0.9", "nan"), 2, "the share is 'nan', should be a number of 0 to 1"),
    "NA": (HAND.replace("0.9", "NA"), 2, "the share is 'NA'"),
    "inf": (HAND.replace("0.9", "inf"), 2, "the share is 'inf'"),
    "underscore": (HAND.replace("0.9", "0_9"), 2, "the share is '0_9'"),
    "other digits": (HAND.replace("0.9", "٠.٩"), 2, "the share is '٠.٩'"),
    "negative": (HAND.replace("0.1", "-0.1"), 3, "the share is '-0.1'"),
    "percent": (HAND.replace("0.9", "90"), 2, "divide by 100"),
    "percent sign": (HAND.replace("0.9", "90%"), 2, "divide by 100"),
    "huge": (HAND.replace("0.9", "1e999"), 2, "the share is '1e999'"),
    "no share": (HAND.replace("0.9", ""), 2, "the share is ''"),
    "n 0": (HAND.replace(",10", ",0", 1), 2, "n is '0', should be how many people"),
    "n negative": (HAND.replace(",10", ",-3", 1), 2, "n is '-3'"),
    "n half": (HAND.replace(",10", ",1.5", 1), 2, "n is '1.5'"),
    "n long": (HAND.replace(",10", "," + "9" * 5000, 1), 2, "n is '9999"),
    "n of the option": (HAND.replace("0.1,10", "0.1,1"), 3, "n is 1, and 10 in line 2 of the same trial"),
    "no trial name": (HAND.replace("\n1,right", "\n,right"), 4, "has nothing in trial"),
    "no age": (HAND.replace("\n", ",\n").replace(",n,", ",n,age", 1), 2, "has nothing in age"),
    "sum": (HAND.replace("0.4", "0.5"), 4, "the shares of trial 1 sum to 1.1, should sum to 1"),
    "sum just beyond": (HAND.replace("0.4", "0.411"), 4, "sum to 1.011"),
    "all 0": (HAND.replace("0.6", "0").replace("0.4", "0"), 4, "sum to 0, should"),
    "twice": (HAND + "1,wrong 1,0.4,20\n", 6, "the option 'wrong 1' is there twice: line 5 has the same"),
    "twice by index": (HAND + "1,1,0.4,20\n", 6, "is there twice: line 5"),
    "twice unknown": (HAND + "9,x,1,5\n9,x,1,5\n", 7, "is there twice: line 6"),
    "twice prop": ("trial,prop\n0,0.5\n0,0.5\n", 3, "the trial is there twice: line 2"),
    "lacking": (HAND.replace("1,wrong 1,0.4,20\n", ""), 4, "has shares of 1 of its 2 options; lacking is 'wrong 1'"),
    "no option": (HAND.replace("wrong 1", "Wrong 1"), 5, "'Wrong 1' is no option; the options of trial 1 are"),
    "index too large": (HAND.replace("wrong 1", "2"), 5, "'2' is no option"),
    "negative index": (HAND.replace("wrong 1", "-1"), 5, "'-1' is no option"),
    "wide too long": ("trial,image1,image2,image3\n0,.5,.3,.2\n", 2, "has a share of option 3; the options of trial 0"),
    "wide hole": ("trial,image1,image2\n0,,1\n", 2, "the share is ''"),
    "wide empty": ("trial,image1,image2\n0,,\n", 2, "has no shares of trial '0'"),
    "unknown task": (HAND.replace("trial,", "task,trial,").replace("\n0", "\nvtwd,0").replace("\n1", "\nvtwt,1"), 2,
                     "unknown task 'vtwd'. Did you mean 'vtwt'?"),
    "other trials": (HAND.replace("\n0", "\na").replace("\n1", "\nb"), None, "no trial in it is one of the runs"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_broken_file_is_refused_with_its_line(babycli: Babycli, hand: Path, what: str) -> None:
    text, line, told = WRONG[what]
    path = put(hand.parent, text)
    ran = babycli("report", hand, "--humans", path)
    assert (ran.code, ran.out) == (3, "")
    assert told in ran.err
    assert "mend:" in ran.err
    assert f"{path}{'' if line is None else f':{line}:'}" in ran.err


def test_a_picture_that_a_trial_shows_twice_is_named_by_its_index(babycli: Babycli, tmp_path: Path) -> None:
    labeled_s_run(tmp_path / "logs", "lab/clip", [[0.4, 0.3, 0.2, 0.1]], ("a", "b", "b", "c"))
    text = f"{HEAD}0,a,1,9\n0,b,0,9\n0,2,0,9\n0,c,0,9\n"
    ran = babycli("report", tmp_path / "logs", "--humans", put(tmp_path, text))
    assert ran.code == 3
    assert "people.csv:3: 'b' is several options" in ran.err
    (record,) = beside(babycli, tmp_path / "logs", text.replace("0,b", "0,1"))
    assert record["n_units"] == 1


def test_options_that_are_numbers_are_never_taken_for_an_index(babycli: Babycli, tmp_path: Path) -> None:
    labeled_s_run(tmp_path / "logs", "lab/clip", [[0.4, 0.3, 0.2, 0.1]], ("1", "2", "3", "4"))
    right = f"{HEAD}0,1,1,9\n0,2,0,9\n0,3,0,9\n0,4,0,9\n"
    (record,) = beside(babycli, tmp_path / "logs", right)
    assert record["people_right"] == 1
    ran = babycli("report", tmp_path / "logs", "--humans", put(tmp_path, right.replace("0,4,", "0,0,")))
    assert (ran.code, "'0' is no option" in ran.err) == (3, True)


@pytest.mark.parametrize("place", ["none.csv", "."])
def test_a_place_without_a_file_is_named(babycli: Babycli, hand: Path, place: str) -> None:
    ran = babycli("report", hand, "--humans", hand.parent / place)
    assert ran.code == 3
    assert "cannot read what people chose" in ran.err


def test_several_tasks_need_to_be_told_apart(babycli: Babycli, hand: Path) -> None:
    labeled_s_run(hand, "lab/two", [[0.4, 0.3, 0.2, 0.1]] * 2)
    ran = babycli("report", hand, "--humans", put(hand.parent, HAND))
    assert ran.code == 3
    assert "does not say which task its trials are of: labeled_s, vtwt" in ran.err
    assert "--tasks labeled_s" in ran.err
    (record,) = beside(babycli, hand, HAND, "--tasks", "vtwt")
    assert record["task"] == "vtwt"


def test_several_sets_of_data_need_to_be_told_apart(babycli: Babycli, hand: Path) -> None:
    vtwt_run(hand, "lab/other", HAND_SCORES, data="demo")
    ran = babycli("report", hand, "--humans", put(hand.parent, HAND))
    assert (ran.code, "does not say which set of data" in ran.err) == (3, True)


def test_runs_without_any_distribution_are_refused(babycli: Babycli, tmp_path: Path) -> None:
    write_run(tmp_path / "logs", "lab/one", {"saycam_caption": {"meteor": [0.1, 0.2]}})
    ran = babycli("report", tmp_path / "logs", "--humans", put(tmp_path, HAND))
    assert ran.code == 3
    assert "saycam_caption is no single choice among scored candidates" in ran.err
    write_run(tmp_path / "more", "lab/one", {"vtwt": {"acc": [1.0, 0.0]}})
    ran = babycli("report", tmp_path / "more", "--humans", put(tmp_path, HAND))
    assert (ran.code, "vtwt has no samples that tell its scores" in ran.err) == (3, True)


@pytest.mark.parametrize(
    "words",
    [
        ("--by", "session"),
        ("--audit",),
        ("--compare", "a", "b"),
        ("--items",),
        ("--wrong",),
        ("--format", "hf"),
        ("--format", "eee"),
    ],
)
def test_words_that_do_not_go_with_it(babycli: Babycli, hand: Path, words: Sequence[str]) -> None:
    ran = babycli("report", hand, "--humans", put(hand.parent, HAND), *words)
    assert (ran.code, ran.out) == (2, "")


# ------------------------------------------------------------ real runs


def test_models_on_the_demo(babycli: Babycli, dataset: Path, tmp_path: Path) -> None:
    """Labeled-S of the demo, asked and logged as babycli does; people who are what the control drew."""
    logs = tmp_path / "logs"
    words = ("--data", dataset, "--tasks", "labeled_s", "--output-path", logs, "--limit", "30")
    assert babycli("eval", "--model", "control:random?seed=1", *words).code == 0
    (path,) = logs.rglob("*_samples_labeled_s.jsonl")
    rows = [HEAD.strip()]
    for line in map(json.loads, path.read_text().splitlines()):
        is_best = line["resps"][0][0] == max(
            other["resps"][0][0]
            for other in map(json.loads, path.read_text().splitlines())
            if other["doc"]["trial_id"] == line["doc"]["trial_id"]
        )
        rows.append(f"{line['doc']['trial_id']},{line['doc']['image']},{float(is_best)},15")
    (record,) = beside(babycli, logs, "\n".join(rows))
    assert (record["n_units"], record["model_right"]) == (30, record["people_right"])
    assert record["value"] < record["chance"] / 2
    assert record["n_clusters"] == 8 or record["n_clusters"] > 1


def test_a_log_that_does_not_name_its_pictures_takes_an_index(babycli: Babycli, tmp_path: Path) -> None:
    labeled_s_run(tmp_path / "logs", "lab/clip", [[0.4, 0.3, 0.2, 0.1]], ("", "", "", ""))
    people = put(tmp_path, f"{HEAD}0,a,1,9\n")
    ran = babycli("report", tmp_path / "logs", "--humans", people)
    assert ran.code == 3
    assert "people.csv:2: 'a' cannot be told: the log of a run does not name the options of trial 0" in ran.err
    (record,) = beside(babycli, tmp_path / "logs", f"{HEAD}0,0,1,9\n0,1,0,9\n0,2,0,9\n0,3,0,9\n")
    assert record["people_right"] == 1


def test_names_of_ages_neither_steer_a_terminal_nor_run_as_code(babycli: Babycli, two: Path) -> None:
    text = ages().replace(",25\n", ",\x1b[31m<script>\n").replace(",25", ",\x1b[31m<script>").replace(",4\n", ",=1+1\n")
    people = put(two.parent, text)
    for form in ("table", "md", "csv", "json", "latex", "html"):
        ran = babycli("report", two, "--humans", people, "--format", form)
        assert ran.code == 0
        assert "\x1b" not in ran.out
        assert form != "html" or "[31m<script>" not in ran.out
        assert form != "csv" or ",'=1+1," in ran.out
