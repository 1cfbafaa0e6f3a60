"""The Machine-DevBench tasks: decisions and aggregation against the benchmark's own code, and against cases by hand.

The golden lines were made by its functions; those that are always run were worked by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli.domain import Answer, Loglikelihood, Outcome, Similarity
from babycli.errors import UsageError
from babycli.evaluation.prompts import doable_tasks
from babycli.models.base import Abilities
from babycli.report.breakdown import break_down
from babycli.report.families import FamilyMean, family_means
from babycli.report.rows import TableRow
from babycli.report.trials import TaskTrials, from_outcomes
from babycli.tasks import all_tasks, select_tasks
from babycli.tasks.base import Asking, as_float32, replay
from babycli.wording import Scoring
from tests.report.logs import fake_run
from tests.tasks.machine_devbench_golden import Line, golden_lines, item_of, numbered, scores, task_named

FAIR, REFERENCE = Asking(), Asking(scoring=Scoring.REFERENCE)
NAN, INF = math.nan, math.inf


def played(task_name: str, answers: Sequence[Answer], asking: Asking, **meta: object) -> Outcome:
    task = task_named(task_name)
    row = {"style": "realistic"} | item_of({"task": task_name, "meta": meta, "sim": []}, 0)
    (item,) = task.items([row])
    return replay(task, item, asking, answers)


def credit(task_name: str, values: Sequence[float], asking: Asking) -> float:
    return played(task_name, [Similarity(value) for value in values], asking).values["acc"]


# --- decisions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positive", "negative", "reference", "fair"),
    [
        (0.3, 0.2, 1.0, 1.0),
        (0.2, 0.3, 0.0, 0.0),
        (0.25, 0.25, 0.0, 0.5),
        (0.0, -0.0, 0.0, 0.5),
        (NAN, 0.1, 0.0, 0.0),
        (NAN, NAN, 0.0, 0.0),
        (INF, 0.1, 1.0, 0.0),  # a score that is not finite is never right under fair
        (INF, INF, 0.0, 0.0),
        (-INF, -INF, 0.0, 0.0),
        (0.1, NAN, 0.0, 1.0),  # as in every choice under fair: the best of the finite ones
        (0.1, -INF, 1.0, 1.0),
        (1e300, 1e299, 0.0, 1.0),  # in float32 both are infinite
    ],
)
def test_a_picture_is_chosen(positive: float, negative: float, reference: float, fair: float) -> None:
    assert credit("lex_nouns", [positive, negative], REFERENCE) == reference
    assert credit("lex_nouns", [positive, negative], FAIR) == fair


@pytest.mark.parametrize(
    ("sim", "reference", "fair"),
    [
        ([0.3, 0.2, 0.1, 0.4], 1.0, 1.0),
        ([0.3, 0.4, 0.4, 0.3], 0.0, 0.0),
        ([0.25] * 4, 0.0, 0.5),
        ([0.5, 0.25, 0.5, 0.25], 0.0, 0.5),  # who prefers a caption whatever is in the picture
        ([0.5, 0.5, 0.25, 0.25], 0.0, 0.5),  # who prefers a picture whatever is said
        ([NAN, 0.2, 0.1, 0.4], 0.0, 0.0),
        ([0.3, NAN, 0.1, 0.4], 0.0, 1.0),
        ([INF, 0.2, 0.1, 0.4], 1.0, 0.0),
        ([INF, 0.2, -INF, 0.4], 1.0, 0.0),
        ([INF, 0.2, 0.1, -INF], 0.0, 0.0),
        ([INF] * 4, 0.0, 0.0),
        # 1 + 2^-30 is 1 in float32, so that the sums are equal there and only there.
        ([1 + 2**-30, 1.0, 1.0, 1.0], 0.0, 1.0),
        # 2^24 + 1 has no float32: the sum is rounded to 2^24, and ties with the other one.
        ([2.0**24, 2.0**24, 0.0, 1.0], 0.0, 1.0),
    ],
)
def test_pictures_are_matched_with_captions(sim: list[float], reference: float, fair: float) -> None:
    assert credit("gram_counting", sim, REFERENCE) == reference
    assert credit("gram_counting", sim, FAIR) == fair


def test_less_loss_is_better() -> None:
    def loss(value: float) -> Loglikelihood:
        return Loglikelihood((-value,), False)

    assert played("lex_verbs", [loss(1), loss(2)], FAIR).values == {"acc": 1.0}
    assert played("lex_verbs", [loss(2), loss(1)], FAIR).values == {"acc": 0.0}
    assert played("gram_negation", [loss(1), loss(3), loss(3), loss(1)], FAIR).values == {"acc": 1.0}
    assert played("gram_negation", [loss(1), loss(1), loss(1), loss(1)], FAIR).values == {"acc": 0.5}


def test_what_is_too_large_for_float32_is_infinite() -> None:
    assert (as_float32(1e300), as_float32(-1e300), as_float32(0.1)) == (INF, -INF, 0.10000000149011612)


def test_reference_needs_a_similarity() -> None:
    said: list[str] = []
    tasks = select_tasks("machine_devbench")
    assert len(tasks) == 11
    writes, compares = Abilities(scores=("loglikelihood",)), Abilities(scores=("similarity",))
    assert doable_tasks(tasks, True, "m", compares, said.append, scoring=Scoring.REFERENCE) == tasks
    assert doable_tasks(tasks, True, "m", writes, said.append) == tasks
    with pytest.raises(UsageError, match="--scoring reference cannot be had of m in lex_nouns"):
        doable_tasks(tasks, True, "m", writes, said.append, scoring=Scoring.REFERENCE)
    assert not said
    both = [*tasks, all_tasks()["labeled_s"]]
    left = doable_tasks(both, False, "m", writes, said.append, scoring=Scoring.REFERENCE)
    assert [task.name for task in left] == ["labeled_s"]
    assert said[0].startswith("note: left out lex_nouns, lex_verbs,")


# --- aggregation ----------------------------------------------------------------------------------------------------


def trials_of(trials: Sequence[tuple[str, Line]], asking: Asking) -> dict[str, TaskTrials]:
    """Plays trials, each with its style, with the answers that they have."""
    by_task: dict[str, list[tuple[dict[str, Any], Line]]] = {}
    for number, (style, trial) in enumerate(trials):
        row = {"style": style} | item_of(trial, number)
        by_task.setdefault(trial["task"], []).append((row, trial))
    found = {}
    for name, of_task in by_task.items():
        task = task_named(name)
        items = task.items([row for row, _ in of_task])
        answers = [[Similarity(value) for value in scores(trial)] for _, trial in of_task]
        outcomes = [replay(task, item, asking, given) for item, given in zip(items, answers, strict=True)]
        found[name] = from_outcomes(task, items, outcomes)
    return found


def row_of(trials: Mapping[str, TaskTrials]) -> TableRow:
    return TableRow("m", tuple(fake_run(of_task, "", {"acc": 0.5}) for of_task in trials.values()))


def by_group(row: TableRow, kind: str) -> dict[str, dict[str, float]]:
    return {each.task: {group.group: group.value for group in each.groups} for each in break_down([row], kind)}


def as_the_original(trials: Mapping[str, TaskTrials]) -> Line:
    """Everything that the benchmark's own code gives of these trials, as babycli's report has it."""
    row = row_of(trials)
    bins, categories = by_group(row, "frequency_bin"), by_group(row, "category")
    values = {task: row.cells[task, "acc"].value for task in trials}
    means = {mean.family: mean.value for mean in family_means(values)}
    by_task: Line = {}
    for task in sorted(trials):
        by_task[task] = {"n_trials": trials[task].n, "by_freq_bin": bins[task], "accuracy": values[task]}
        if task == "lex_nouns":
            by_task[task]["by_category"] = categories[task]
    overall = means.pop("overall", 0.0)  # what the original says of no trials
    kinds = {family: {"accuracy": value} for family, value in means.items()}
    return {"overall": {"accuracy": overall}, "by_task_type": kinds, "by_task": by_task}


@pytest.fixture
def golden(shared: Path) -> list[Line]:
    found = golden_lines(shared)
    if not found:
        pytest.skip("the reference data have no Machine-DevBench")
    return found


def test_golden_lines_agree_exactly(golden: list[Line]) -> None:
    """Not approximately: predictions, each bin, task, category, style, family and the whole are the same floats."""
    for line in golden:
        for _, style, trial in numbered(line):
            (of_task,) = trials_of([(style, trial)], REFERENCE).values()
            assert of_task.values["acc"].tolist() == [1.0 - trial["prediction"]], trial
        of_styles = {
            style: trials_of([(style, trial) for trial in trials], REFERENCE)
            for style, trials in line["trials"].items()
        }
        assert {style: as_the_original(trials) for style, trials in of_styles.items()} == line["by_style"]
        every = trials_of([(style, trial) for _, style, trial in numbered(line)], REFERENCE)
        assert as_the_original(every) == line["total"]
        assert as_the_original(every)["overall"] == line["overall"]
        # The same by style through the breakdown of the pooled trials.
        of_total = by_group(row_of(every), "style")
        for style, trials in of_styles.items():
            expected = {task: of["accuracy"] for task, of in line["by_style"][style]["by_task"].items()}
            assert {task: of_total[task][style] for task in trials} == expected
            found = {mean.family: mean.value for mean in family_means(expected)} or {"overall": 0.0}
            assert expected | found == line["summary"]["per_style"][style]


RIGHT, WRONG, TIED = [[0.3], [0.2]], [[0.2], [0.3]], [[0.2], [0.2]]
HAND: list[tuple[str, Line]] = [
    # lex_nouns: [1,4) of three trials 2/3 (two bins as one), [8,16) 0/1, unknown 1/1: (2/3 + 0 + 1) / 3 = 5/9.
    ("realistic", {"task": "lex_nouns", "sim": RIGHT, "meta": {"frequency_bin": "[1,2)", "category": "toy"}}),
    ("realistic", {"task": "lex_nouns", "sim": WRONG, "meta": {"frequency_bin": "[2,4)", "category": "toy"}}),
    ("cartoon", {"task": "lex_nouns", "sim": RIGHT, "meta": {"frequency_bin": "[2,4)", "category": "food"}}),
    ("cartoon", {"task": "lex_nouns", "sim": TIED, "meta": {"frequency_bin": "[8,16)", "category": "food"}}),
    ("cartoon", {"task": "lex_nouns", "sim": RIGHT, "meta": {}}),
    # lex_adjectives: one bin, 1/2.
    ("realistic", {"task": "lex_adjectives", "sim": RIGHT, "meta": {"frequency_bin": "[4,8)"}}),
    ("cartoon", {"task": "lex_adjectives", "sim": WRONG, "meta": {"frequency_bin": "[4,8)"}}),
    # gram_counting: a plain mean, 1/3.
    ("realistic", {"task": "gram_counting", "sim": [[0.3, 0.1], [0.1, 0.3]], "meta": {"freq_bin": -1}}),
    ("realistic", {"task": "gram_counting", "sim": [[0.1, 0.3], [0.3, 0.1]], "meta": {"freq_bin": "[1,2)"}}),
    ("cartoon", {"task": "gram_counting", "sim": [[0.2, 0.2], [0.2, 0.2]], "meta": {"freq_bin": 3}}),
]


def test_a_case_that_was_worked_by_hand() -> None:
    found = as_the_original(trials_of(HAND, REFERENCE))
    nouns = found["by_task"]["lex_nouns"]
    assert nouns["by_freq_bin"] == {"[1,4)": 2 / 3, "[8,16)": 0.0, "unknown": 1.0}
    assert nouns["by_category"] == {"toy": 1 / 2, "food": 1 / 2, "unknown": 1.0}
    assert nouns["accuracy"] == pytest.approx(5 / 9, abs=1e-15)
    assert found["by_task"]["gram_counting"]["by_freq_bin"] == {"-1": 1.0, "[1,4)": 0.0, "3": 0.0}
    assert found["by_task_type"]["lexical"]["accuracy"] == pytest.approx((5 / 9 + 1 / 2) / 2, abs=1e-15)
    assert found["by_task_type"]["grammatical"]["accuracy"] == pytest.approx(1 / 3, abs=1e-15)
    assert found["overall"]["accuracy"] == pytest.approx(((5 / 9 + 1 / 2) / 2 + 1 / 3) / 2, abs=1e-15)
    fair = as_the_original(trials_of(HAND, Asking()))
    assert fair["by_task"]["lex_nouns"]["accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3, abs=1e-15)
    assert fair["by_task"]["gram_counting"]["accuracy"] == pytest.approx(1.5 / 3, abs=1e-15)


def test_the_mean_of_one_family_is_overall_where_the_other_is_not_there() -> None:
    assert family_means({"gram_a": 0.25, "gram_b": 0.75}) == (
        FamilyMean("grammatical", 0.5, 2),
        FamilyMean("overall", 0.5, 2),
    )
    assert family_means({}) == ()


def test_a_constant_model_gets_half_everywhere_under_fair() -> None:
    """Exactly, not about: on every task, bin, category and style, over unequal bins, and none under reference."""
    flat = [(style, trial | {"sim": [[0.1 for _ in row] for row in trial["sim"]]}) for style, trial in HAND * 7]
    found = as_the_original(trials_of(flat, FAIR))
    levels = [found["overall"]["accuracy"], *(each["accuracy"] for each in found["by_task_type"].values())]
    for task in found["by_task"].values():
        levels += [task["accuracy"], *task["by_freq_bin"].values(), *task.get("by_category", {}).values()]
    levels += [
        value for of_task in by_group(row_of(trials_of(flat, FAIR)), "style").values() for value in of_task.values()
    ]
    assert set(levels) == {0.5}
    assert as_the_original(trials_of(flat, REFERENCE))["overall"] == {"accuracy": 0.0}
