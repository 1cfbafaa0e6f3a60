"""Who is right, on hand-worked losses: ties, NaN, infinity; ours and the original's way."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence

import pytest

from babycli.domain import Answer, CannotAnswer, Loglikelihood, Outcome, Row, Text
from babycli.errors import UsageError
from babycli.tasks import all_tasks, select_tasks
from babycli.tasks.baby_winoground import TASK as WINOGROUND
from babycli.tasks.base import Asking, Task, replay
from babycli.tasks.labeled_s import TASK as LABELED_S
from babycli.tasks.saycam_caption import TASK as CAPTION
from babycli.tasks.vtwt import TASK as VTWT
from babycli.wording import Scoring

NAN, INF = math.nan, math.inf


def loglikelihood(loss: float) -> Loglikelihood:
    return Loglikelihood((-loss,), is_greedy=False)


def outcome(task: Task, rows: Sequence[Row], answers: Sequence[Answer], scoring: Scoring = Scoring.FAIR) -> Outcome:
    """What the one item of some rows gets for answers in the order in which they are asked for."""
    (item,) = task.items(rows)
    return replay(task, item, Asking("", scoring), answers)


def labeled_s(losses: Sequence[float], scoring: Scoring = Scoring.FAIR, right: int = 0) -> Outcome:
    rows = [
        {
            "trial_id": "0",
            "target_category": "ball",
            "real_category": "ball" if i == right else f"c{i}",
            "image": f"{i}",
        }
        for i in range(4)
    ]
    return outcome(LABELED_S, rows, [loglikelihood(x) for x in losses], scoring)


def vtwt(losses: Sequence[float], scoring: Scoring = Scoring.FAIR) -> Outcome:
    row = {"image": "a", "positive_phrase": "p", "negative_phrase": "n"}
    return outcome(VTWT, [row], [loglikelihood(x) for x in losses], scoring)


@pytest.mark.parametrize(
    ("losses", "fair", "reference", "tie"),
    [
        ([1, 2, 3, 4], 1, 1, False),
        ([2, 1, 3, 4], 0, 0, False),
        ([1, 1, 1, 1], 1 / 4, 1, True),  # a model that never looks: chance, where the original gives 100 %
        ([1, 1, 3, 4], 1 / 2, 1, True),
        ([2, 1, 1, 4], 0, 0, False),  # the tie is among the wrong ones
        ([NAN, 2, 3, 4], 0, 0, False),
        ([NAN, NAN, NAN, NAN], 0, 0, False),
        ([1, NAN, 3, 4], 1, 1, False),
        ([INF, 2, 3, 4], 0, 0, False),
        ([-INF, 2, 3, 4], 0, 1, False),  # minus infinity is no score; the original takes it for the best
    ],
)
def test_labeled_s(losses: list[float], fair: float, reference: float, tie: bool) -> None:
    assert labeled_s(losses).values == {"acc": fair}
    assert labeled_s(losses).is_tie is tie
    assert labeled_s(losses, Scoring.REFERENCE).values == {"acc": reference}
    assert labeled_s(losses).is_finite is all(map(math.isfinite, losses))


def test_labeled_s_reference_gives_a_tie_to_the_first_in_file_order() -> None:
    assert labeled_s([1, 1, 1, 1], Scoring.REFERENCE, right=3).values == {"acc": 0}
    assert labeled_s([1, 1, 1, 1], Scoring.FAIR, right=3).values == {"acc": 1 / 4}


@pytest.mark.parametrize(
    ("losses", "fair", "reference"),
    [
        ([1, 2], 1, 1),
        ([2, 1], 0, 0),
        ([1, 1], 1 / 2, 1),
        ([NAN, 1], 0, 1),  # nothing is smaller than NaN, so the original takes the first
        ([1, NAN], 1, 1),
        ([NAN, NAN], 0, 1),
        ([INF, INF], 0, 1),
        ([INF, 1], 0, 0),
    ],
)
def test_vtwt(losses: list[float], fair: float, reference: float) -> None:
    assert vtwt(losses).values == {"acc": fair}
    assert vtwt(losses, Scoring.REFERENCE).values == {"acc": reference}


def test_reference_sees_a_tie_where_float32_does() -> None:
    almost = [1.0 + 1e-9, 1.0]
    assert vtwt(almost).values == {"acc": 0}
    assert vtwt(almost, Scoring.REFERENCE).values == {"acc": 1}


WINOGROUND_ROWS = [
    {"instance_id": "0", "positive_phrase": "p", "negative_phrase": "n", "image": tag, "image_tag": tag}
    for tag in ("positive", "negative")
]


@pytest.mark.parametrize(
    ("abcd", "image", "text", "group", "positive", "negative"),
    [
        # (frame, positive), (frame, negative), (synthetic, positive), (synthetic, negative)
        ((1, 2, 2, 1), 1, 1, 1, 1, 1),
        ((1, 5, 4, 3), 1, 1, 1, 1, 1),
        ((1, 2, 3, 4), 0, 0, 0, 1, 0),
        ((3, 5, 4, 4.5), 1, 0, 0, 1, 0),
        ((4, 5, 3, 2), 0, 1, 0, 0, 1),
        ((3, 4, 3, 1), 0, 1, 0, 0, 1),
        ((1, 1, 1, 1), 0, 0, 0, 0, 0),  # a tie is a miss
        ((1, 1, 2, 0.5), 1, 0, 0, 0, 1),
        ((NAN, 2, 2, 1), 0, 0, 0, 0, 1),
        ((NAN, NAN, NAN, NAN), 0, 0, 0, 0, 0),
    ],
)
@pytest.mark.parametrize("scoring", list(Scoring))
def test_winoground(
    abcd: tuple[float, ...], image: int, text: int, group: int, positive: int, negative: int, scoring: Scoring
) -> None:
    a, b, c, d = map(loglikelihood, abcd)
    assert outcome(WINOGROUND, WINOGROUND_ROWS, [a, b, c, d], scoring).values == {
        "image_score": image,
        "text_score": text,
        "group_score": group,
        "positive_context_group_score": positive,
        "negative_context_group_score": negative,
    }


def test_winoground_does_not_mind_the_order_of_its_rows() -> None:
    a, b, c, d = map(loglikelihood, (1, 2, 2, 1))
    assert outcome(WINOGROUND, WINOGROUND_ROWS[::-1], [c, d, a, b]).values["group_score"] == 1


def test_winoground_chance_is_that_of_random_losses() -> None:
    orders = [(a, b, c, d) for a in range(4) for b in range(4) for c in range(4) for d in range(4)]
    orders = [order for order in orders if len(set(order)) == 4]  # all 24 orders of four distinct losses
    chance = {metric.name: metric.chance for metric in WINOGROUND.metrics}
    totals = dict.fromkeys(chance, 0.0)
    for order in orders:
        a, b, c, d = map(loglikelihood, order)
        values = outcome(WINOGROUND, WINOGROUND_ROWS, [a, b, c, d]).values
        totals = {metric: total + values[metric] / 24 for metric, total in totals.items()}
    assert totals == pytest.approx(chance)


def test_a_caption_from_nan_logits_scores_nothing() -> None:
    row = {"image": "a", "text": "a red ball"}
    said = [Text("a red ball", (1,), is_finite=False)]
    assert outcome(CAPTION, [row], said).values == {"meteor": 0.0}
    assert outcome(CAPTION, [row], said, Scoring.REFERENCE).values["meteor"] > 0.9


def test_an_item_that_cannot_be_answered_is_a_miss() -> None:
    """Whichever of its requests it is; nothing that another answer holds makes up for it."""
    no, good, bad = CannotAnswer("too long"), loglikelihood(1), loglikelihood(2)
    rows: dict[Task, list[Row]] = {
        VTWT: [{"image": "a", "positive_phrase": "p", "negative_phrase": "n"}],
        LABELED_S: [
            {"trial_id": "0", "target_category": "ball", "real_category": real, "image": real}
            for real in ("ball", "cup", "cat", "car")
        ],
        WINOGROUND: list(WINOGROUND_ROWS),
        CAPTION: [{"image": "a", "text": "a red ball"}],
    }
    answers: dict[Task, list[Answer]] = {
        VTWT: [good, bad],
        LABELED_S: [good, bad, bad, bad],
        WINOGROUND: [good, bad, bad, good],
        CAPTION: [Text("a red ball", (1,), True)],
    }
    for task, given in answers.items():
        whole = outcome(task, rows[task], given)
        assert whole.is_answered
        assert all(value > 0.9 for value in whole.values.values())
        for i in range(len(given)):
            for scoring in Scoring:
                missed = outcome(task, rows[task], [*given[:i], no, *given[i + 1 :]], scoring)
                assert not missed.is_answered
                assert missed.is_finite
                assert not missed.is_tie
                assert set(missed.values.values()) == {0.0}
                assert missed.values.keys() == whole.values.keys()


def test_a_play_with_another_number_of_answers_is_not_decided() -> None:
    row = {"image": "a", "positive_phrase": "p", "negative_phrase": "n"}
    for n, words in ((1, "asks for more"), (3, "1 answers more")):
        with pytest.raises(ValueError, match=words):
            outcome(VTWT, [row], [loglikelihood(1)] * n)


def rows_of(task: str, text: str) -> list[Row]:
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize(
    ("task", "text", "complaint"),
    [
        ("labeled_s", "trial_id,target_category,real_category,image\n7,a,a,1\n7,a,b,2\n7,a,c,3", "trial 7 has 3 rows"),
        (
            "labeled_s",
            "trial_id,target_category,real_category,image\n0,a,a,1\n0,a,a,2\n0,a,c,3\n0,a,d,4",
            "2 rows whose",
        ),
        (
            "labeled_s",
            "trial_id,target_category,real_category,image\n0,a,a,1\n0,b,c,2\n0,a,d,3\n0,a,e,4",
            "more than one",
        ),
        (
            "labeled_s",
            "trial_id,target_category,real_category,image\n0,a,a,1\n0,a,b,1\n0,a,c,3\n0,a,d,4",
            "image twice",
        ),
        ("vtwt", "image,positive_phrase,negative_phrase\n1,red ball,red ball", "same phrase twice"),
        (
            "baby_winoground",
            "instance_id,positive_phrase,negative_phrase,image,image_tag\n3,p,n,1,positive",
            "instance 3",
        ),
        (
            "baby_winoground",
            "instance_id,positive_phrase,negative_phrase,image,image_tag\n0,p,n,1,positive\n0,p,x,2,negative",
            "other phrases",
        ),
        (
            "baby_winoground",
            "instance_id,positive_phrase,negative_phrase,image,image_tag\n0,p,n,1,positive\n0,p,n,2,sideways",
            "sideways",
        ),
    ],
)
def test_malformed_trials_are_named(task: str, text: str, complaint: str) -> None:
    (problem,) = all_tasks()[task].problems(rows_of(task, text))
    assert complaint in problem.detail


def test_tasks_are_selected_in_the_order_asked_for() -> None:
    assert [task.name for task in select_tasks("vtwt, labeled_s,vtwt")] == ["vtwt", "labeled_s"]
    assert [task.name for task in select_tasks("babyvlm")] == ["labeled_s", "vtwt", "baby_winoground", "saycam_caption"]
    assert [task.name for task in select_tasks(None)][:4] == [task.name for task in select_tasks("babyvlm")]


def test_an_unknown_task_is_met_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'labeled_s'"):
        select_tasks("labled_s")


@pytest.mark.parametrize("task", all_tasks().values(), ids=lambda task: task.name)
def test_every_task_describes_itself(task: object) -> None:
    for field in ("name", "title", "question", "version", "unit", "metrics", "integer_columns"):
        assert getattr(task, field) is not None
