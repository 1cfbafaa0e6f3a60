"""What a model is asked in a DevCV task, and what its answers count: written, chosen, and of a dual encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from babycli.domain import (
    Answer,
    CannotAnswer,
    Context,
    Exchange,
    ImageRef,
    Loglikelihood,
    Match,
    Outcome,
    Request,
    Score,
    Similarity,
    Text,
    Turn,
    Write,
    ask,
)
from babycli.tasks import all_tasks
from babycli.tasks.base import Asking, Task
from babycli.wording import AnswerWay, History, Scoring
from tests.tasks.devcv.recorded import played
from tests.tasks.devcv.samples import devcv_tasks
from tests.tasks.devcv.test_labels import COUNT, LEFTRIGHT, VDR, change, entry, memory

NAN = math.nan
BOTH = (AnswerWay.WRITTEN, AnswerWay.CHOSEN)
PV = entry("Touch the image of 'cup' (A)<image> (B)<image> (C)<image> (D)<image>", "C", *"abcd")
OPEN = entry(
    "<image> which part? respond ONLY with one of: 'top', 'bottom', 'left', 'right', 'top right', 'top left', "
    "'bottom right', or 'bottom left'.",
    "top",
    "1.jpg",
)


AS_USUAL = Asking()


def loss(value: float) -> Loglikelihood:
    return Loglikelihood((-value,), is_greedy=False)


def picture(name: str) -> ImageRef:
    return ImageRef("devcv_ego4d", name)


def play(
    task: Task, row: dict[str, Any], rounds: Sequence[Sequence[Answer]], asking: Asking = AS_USUAL
) -> tuple[list[list[Request]], Outcome]:
    """Plays an item with the answers of each round; gives what was asked, and the outcome."""
    (item,) = task.items([row])
    game = task.play(item, asking)
    asked = []
    requests = next(game)
    for answers in rounds:
        asked.append(list(requests))
        assert len(requests) == len(answers)
        try:
            requests = game.send(answers)
        except StopIteration as end:
            return asked, end.value
    raise AssertionError(f"still asks {requests}")


def fitted(name: str, ways: tuple[AnswerWay, ...] | None, *abilities: str) -> Task:
    return all_tasks()[name].fitted(ways, abilities)


# ---------------------------------------------------------------- what is asked


def test_words_are_shown_as_the_label_has_them_with_pictures_in_their_places() -> None:
    task = fitted("baby_leftright", BOTH, "generate", "loglikelihood")
    asked, _ = play(task, LEFTRIGHT, [[Text("B", (), True), loss(1), loss(2), loss(3)]])
    shown = [picture(name) for name in ("q.jpg", "1.jpg", "2.jpg", "3.jpg")]
    words = ["", " Which is the same? (A) ", " (B) ", " (C) "]
    parts = [part for pair in zip(words, shown, strict=True) for part in pair]
    context = Context((Turn("user", (*parts, "")),))
    assert asked == [[Write(context, 32), *(Score(context, letter) for letter in "ABC")]]


def test_pictures_without_a_place_stand_in_front() -> None:
    task = fitted("baby_count", (AnswerWay.WRITTEN,), "generate")
    asked, _ = play(task, entry("How many bottle do you see?", "3", "1.jpg"), [[Text("3", (), True)]])
    assert asked == [[Write(ask("How many bottle do you see?", picture("1.jpg")), 32)]]


@pytest.mark.parametrize(
    ("task", "row", "closed_set"),
    [
        ("baby_leftright", LEFTRIGHT, ["A", "B", "C"]),
        ("baby_pv", PV, ["A", "B", "C", "D"]),
        ("baby_count", COUNT, [str(number) for number in range(1, 13)]),
        ("baby_vdr_binary", VDR, ["left", "right"]),
        (
            "baby_vdr_open",
            OPEN,
            ["top", "bottom", "left", "right", "top right", "top left", "bottom right", "bottom left"],
        ),
        ("baby_vdr_binary", entry("<image>\nWhere does it hide? (A) left (B) right", "B", "1.png"), ["A", "B"]),
    ],
)
def test_the_closed_set_is_that_of_the_question(task: str, row: dict[str, Any], closed_set: list[str]) -> None:
    chosen = fitted(task, (AnswerWay.CHOSEN,), "loglikelihood")
    asked, outcome = play(chosen, row, [[loss(1.0)] * len(closed_set)])
    assert [request.answer for request in asked[0] if isinstance(request, Score)] == closed_set
    assert outcome.is_tie
    assert outcome.values[chosen.main_metric.name] == pytest.approx(1 / len(closed_set))


def test_a_conversation_goes_on_with_the_models_own_words_or_with_the_right_ones() -> None:
    task = fitted("baby_memory", None, "generate", "loglikelihood")
    said = [" b\n", "the cup", "", "B", "B", "B"]
    rounds = [[Text(text, (), True)] for text in said]
    own, _ = play(task, memory(), rounds)
    gold, _ = play(task, memory(), rounds, Asking(history=History.GOLD))
    *_, last_own = [request.context for (request,) in own]
    *_, last_gold = [request.context for (request,) in gold]
    assert [turn.parts for turn in last_own.turns if turn.role == "model"] == [
        ("b",),
        ("the cup",),
        ("",),
        ("B",),
        ("B",),
    ]
    assert [turn.parts for turn in last_gold.turns if turn.role == "model"] == [(x,) for x in "ABABB"]
    assert [request.context.n_turns for (request,) in own] == [1, 2, 3, 4, 5, 6]
    assert len(last_own.places) == 11
    assert {request.max_new_tokens for (request,) in own if isinstance(request, Write)} == {128}


def test_a_conversation_that_is_only_chosen_goes_on_with_what_was_chosen() -> None:
    task = fitted("baby_memory", (AnswerWay.CHOSEN,), "loglikelihood")
    rounds = [
        [loss(1)],
        [loss(2), loss(1)],
        [loss(1), loss(1)],
        [loss(NAN), loss(NAN)],
        [loss(1), loss(2)],
        [loss(1), loss(2)],
    ]
    asked, outcome = play(task, memory(), rounds)
    *_, last = asked
    assert [turn.parts for turn in last[0].context.turns if turn.role == "model"] == [
        ("A",),
        ("B",),
        ("A",),
        ("",),
        ("A",),
    ]
    # learning: A and B are right. testing: right are A, B, B, A; given is a tie, nothing, A, A.
    assert outcome.values == {
        "acc_learning_chosen": 1.0,
        "acc_testing_raw_chosen": pytest.approx((0.5 + 0 + 0 + 1) / 4),
        "acc_testing_adjusted_chosen": 0.0,
    }
    assert not outcome.is_finite


def test_max_new_tokens_is_what_the_user_says() -> None:
    task = fitted("baby_count", None, "generate")
    asked, _ = play(task, COUNT, [[Text("12", (), True)]], Asking(max_new_tokens=5))
    assert [request.max_new_tokens for request in asked[0] if isinstance(request, Write)] == [5]


def test_a_turn_that_the_model_cannot_take_ends_the_conversation() -> None:
    task = fitted("baby_memory", None, "generate")
    rounds: list[list[Answer]] = [[Text(x, (), True)] for x in "ABAB"]
    _, outcome = play(task, memory(), [*rounds, [CannotAnswer("too long")]])
    assert not outcome.is_answered
    assert outcome.n_no_answer == 0
    assert outcome.values["acc_learning"] == 1.0
    assert outcome.values["acc_testing_raw"] == 0.5  # two were right, two were not reached
    assert outcome.values["acc_testing_adjusted"] == 0.0


# ---------------------------------------------------------------- what it counts


@pytest.mark.parametrize(
    ("losses", "credit"),
    [
        ((2, 1, 3), 1.0),
        ((1, 2, 3), 0.0),
        ((1, 1, 3), 0.5),
        ((1, 1, 1), 1 / 3),
        ((1, 3, 1), 0.0),
        ((NAN, 1, 3), 1.0),
        ((2, NAN, 3), 0.0),
        ((NAN, NAN, NAN), 0.0),
    ],
)
def test_the_lowest_loss_is_chosen(losses: tuple[float, ...], credit: float) -> None:
    task = fitted("baby_leftright", (AnswerWay.CHOSEN,), "loglikelihood")
    for scoring in Scoring:
        _, outcome = play(task, LEFTRIGHT, [[loss(value) for value in losses]], Asking(scoring=scoring))
        assert outcome.values == {"acc_chosen": pytest.approx(credit)}
        assert outcome.n_no_answer == 0


def test_a_chosen_direction_counts_beside_its_neighbours() -> None:
    task = fitted("baby_vdr_open", (AnswerWay.CHOSEN,), "loglikelihood")
    # In the order of the question: top, bottom, left, right, top right, top left, bottom right, bottom left.
    for losses, exact, adjacent in [
        ((1, 2, 2, 2, 2, 2, 2, 2), 1, 1),
        ((2, 2, 2, 2, 1, 2, 2, 2), 0, 1),
        ((2, 1, 2, 2, 2, 2, 2, 2), 0, 0),
        ((1, 2, 1, 2, 1, 2, 2, 2), 1 / 3, 2 / 3),
    ]:
        _, outcome = play(task, OPEN, [[loss(value) for value in losses]])
        assert outcome.values == {
            "acc_exact_chosen": pytest.approx(exact),
            "acc_adjacent_chosen": pytest.approx(adjacent),
        }


@pytest.mark.parametrize(
    ("task", "row", "reply", "fair", "by_authors", "lacks"),
    [
        ("baby_leftright", LEFTRIGHT, "b", 1, 1, (0, 0)),
        ("baby_leftright", LEFTRIGHT, "I'd say B", 1, 0, (0, 0)),
        ("baby_leftright", LEFTRIGHT, "a cat", 0, 0, (1, 0)),
        ("baby_leftright", LEFTRIGHT, "D", 0, 0, (1, 0)),
        ("baby_leftright", LEFTRIGHT, "B or C", 0, 1, (1, 0)),
        ("baby_leftright", LEFTRIGHT, "", 0, 0, (1, 1)),
        ("baby_count", COUNT, "twelve", 1, 0, (0, 1)),
        ("baby_count", COUNT, "12 or 13", 0, 1, (1, 0)),
        ("baby_count", COUNT, "15", 0, 0, (0, 0)),
        ("baby_count", COUNT, "9" * 5_000, 0, 0, (1, 1)),  # more digits than Python makes a number of
        ("baby_vdr_binary", VDR, "Left.", 1, 0, (0, 1)),
        ("baby_vdr_binary", VDR, "left", 1, 1, (0, 0)),
        ("baby_vdr_binary", VDR, "nowhere", 0, 0, (1, 1)),
    ],
)
def test_what_a_written_reply_counts(
    task: str, row: dict[str, Any], reply: str, fair: float, by_authors: float, lacks: tuple[int, int]
) -> None:
    main = all_tasks()[task].main_metric.name
    outcomes = [played(all_tasks()[task], row, [reply], scoring)[0] for scoring in Scoring]
    assert [outcome.values[main] for outcome in outcomes] == [fair, by_authors]
    assert [outcome.values[f"{main}_reference"] for outcome in outcomes] == [by_authors, by_authors]
    assert tuple(outcome.n_no_answer for outcome in outcomes) == lacks


def test_blanks_around_a_direction_are_those_of_a_models_decoder() -> None:
    """A byte-level decoder puts a blank in front; a reply that was recorded elsewhere is taken as it was said."""
    task = fitted("baby_vdr_binary", None, "generate")
    answers = [[Text(" left\n", (5,), True)]]
    _, of_model = play(task, VDR, answers, Asking(scoring=Scoring.REFERENCE))
    _, of_recording = play(task, VDR, answers, Asking(scoring=Scoring.REFERENCE, is_recorded=True))
    _, fair = play(task, VDR, answers, Asking(is_recorded=True))
    assert [outcome.values["acc_exact"] for outcome in (of_model, of_recording, fair)] == [1, 0, 1]


def test_the_text_of_a_model_that_is_nan_is_no_answer() -> None:
    task = fitted("baby_count", None, "generate")
    _, outcome = play(task, COUNT, [[Text("12", (), False)]])
    assert outcome.values["acc"] == 0.0
    assert not outcome.is_finite
    assert outcome.n_no_answer == 0


def test_memory_counts_objects_of_which_both_turns_are_right() -> None:
    task = all_tasks()["baby_memory"]  # right are A B | A B B A; cup: turns 3 and 5, ball: turns 4 and 6
    for replies, values in [
        ("ABABBA", (1, 1, 1)),
        ("BAABBA", (0, 1, 1)),
        ("ABABBB", (1, 0.75, 0.5)),
        ("ABABAA", (1, 0.75, 0.5)),
        ("ABBBBB", (1, 0.5, 0)),
    ]:
        outcome, _ = played(task, memory(), list(replies))
        names = ("acc_learning", "acc_testing_raw", "acc_testing_adjusted")
        assert tuple(outcome.values[name] for name in names) == values


def test_memory_knows_objects_whatever_the_number_of_replies() -> None:
    task = all_tasks()["baby_memory"]
    cases: list[tuple[list[str | None], tuple[float, ...], tuple[float, ...]]] = [
        (["A", "B", "A", "B", "B"], (1, 0.75, 0.5), (1, 0.75, 0.5)),
        (["A", "B", "A", "B"], (1, 0.5, 0), (1, 0.6, 0)),  # four replies: the authors' learning is one turn
        (["A", "B", "A", "B", "B", "A", "A", "A"], (1, 1, 1), (1, 1, 1 / 3)),
        ([None, "B", "A", "B", "B", "A"], (0.5, 1, 1), (0.5, 1, 1)),
    ]
    for replies, fair, by_authors in cases:
        names = ("acc_learning", "acc_testing_raw", "acc_testing_adjusted")
        ours, _ = played(task, memory(), replies)
        theirs, _ = played(task, memory(), replies, Scoring.REFERENCE)
        assert tuple(ours.values[name] for name in names) == pytest.approx(fair)
        assert tuple(theirs.values[name] for name in names) == pytest.approx(by_authors), replies


def test_memory_without_labels_knows_objects_by_their_pictures() -> None:
    task = all_tasks()["baby_memory"]

    def without_labels(row: dict[str, Any]) -> None:
        names = [name for of_turn in row.pop("labels") for name in of_turn]
        row["image"] = [f"{name}.jpg" for name in names]

    outcome, _ = played(task, change(memory(), without_labels), list("ABABBB"))
    assert outcome.values["acc_testing_adjusted"] == 0.5
    unknown, _ = played(task, change(memory(), lambda row: row.pop("labels")), list("ABABBA"))
    assert unknown.values["acc_testing_raw"] == 1.0
    assert unknown.values["acc_testing_adjusted"] == 0.0  # which turns are of one object is not known


def test_a_log_tells_what_was_read_in_each_turn() -> None:
    task = fitted("baby_memory", None, "generate")
    outcome, exchanges = played(all_tasks()["baby_memory"], memory(), ["A", "I'd say B", "a", "b", None])
    turns = task.sample_fields(memory(), exchanges, outcome)["acc_testing_adjusted"]["turns"]
    assert [turn["turn"] for turn in turns] == [1, 2, 3, 4, 5, 6]
    assert [turn["phase"] for turn in turns] == ["learning"] * 2 + ["testing"] * 4
    assert [turn["reply"] for turn in turns] == ["A", "I'd say B", "a", "b", None, None]
    assert [turn["extracted"] for turn in turns] == ["A", "B", "A", "B", None, None]
    assert [turn["extracted_reference"] for turn in turns] == ["A", "D", "A", "B", None, None]
    assert [turn["hit"] for turn in turns] == [1, 1, 1, 1, 0, 0]


# ---------------------------------------------------------------- which model is asked how


@pytest.mark.parametrize(
    ("abilities", "ways", "answer", "writes_too"),
    [
        (("loglikelihood", "generate"), None, "write", False),
        (("loglikelihood", "generate"), (AnswerWay.CHOSEN,), "loglikelihood", False),
        (("loglikelihood", "generate"), BOTH, "loglikelihood", True),
        (("loglikelihood",), None, "loglikelihood", False),
        (("generate",), BOTH, "loglikelihood", True),
        (("similarity", "generate"), BOTH, "score", True),
        (("similarity", "match"), (AnswerWay.WRITTEN,), "write", False),
    ],
)
def test_what_a_task_needs(
    abilities: tuple[str, ...], ways: tuple[AnswerWay, ...] | None, answer: str, writes_too: bool
) -> None:
    for task in devcv_tasks():
        once = task.fitted(ways, abilities)
        twice = once.fitted((AnswerWay.CHOSEN,), ("loglikelihood",)).fitted(ways, abilities)
        assert once.needs == twice.needs
        assert once.metrics == twice.metrics
        assert (once.needs.answer, once.needs.writes_too) == (answer, writes_too)
        assert sum(metric.is_main for metric in once.metrics) == 1


def test_metrics_are_those_of_the_ways() -> None:
    def names(ways: tuple[AnswerWay, ...]) -> list[str]:
        return [metric.name for metric in fitted("baby_vdr_open", ways, "generate", "loglikelihood").metrics]

    written = ["acc_exact", "acc_exact_reference", "acc_adjacent", "acc_adjacent_reference"]
    assert names((AnswerWay.WRITTEN,)) == written
    assert names((AnswerWay.CHOSEN,)) == ["acc_exact_chosen", "acc_adjacent_chosen"]
    assert sorted(names(BOTH)) == sorted([*written, "acc_exact_chosen", "acc_adjacent_chosen"])


def test_a_dual_encoder_compares_pictures_with_the_word() -> None:
    task = fitted("baby_pv", None, "similarity", "match")
    assert task.needs.answer == "similarity"
    nearness: list[Answer] = [Similarity(value) for value in (0.1, 0.2, 0.3, 0.2)]
    asked, outcome = play(task, PV, [nearness])
    assert asked == [[Score(ask("", picture(name)), "cup") for name in "abcd"]]
    assert outcome.values == {"acc_chosen": 1.0}


def test_a_dual_encoder_finds_the_picture_by_its_place_in_the_words() -> None:
    said = (
        "<image><image><image><image>\n Touch the image of 'cup' (A) the first image (B) the second image "
        "(C) the third image (D) the fourth image."
    )
    asked, _ = play(fitted("baby_pv", None, "similarity"), entry(said, "C", *"abcd"), [[Similarity(0.0)] * 4])
    assert asked == [[Score(ask("", picture(name)), "cup") for name in "abcd"]]


def test_four_pictures_in_one_are_more_than_a_dual_encoder_can_tell_apart() -> None:
    said = (
        "<image> Touch the image of 'roof' (A) top left image (B) top right image (C) bottom left image "
        "(D) bottom right image."
    )
    task = fitted("baby_pv", None, "similarity")
    asked, outcome = play(task, entry(said, "C", "1.png"), [[CannotAnswer("a text to be written")]])
    assert [type(request) for request in asked[0]] == [Write]
    assert not outcome.is_answered
    assert outcome.values == {"acc_chosen": 0.0}


@pytest.mark.parametrize("name", ["baby_leftright", "baby_spatialdetails"])
def test_a_dual_encoder_compares_pictures_with_the_first(name: str) -> None:
    task = fitted(name, None, "similarity", "match")
    assert task.needs.answer == "match"
    nearness: list[Answer] = [Similarity(value) for value in (0.3, 0.3, 0.1)]
    asked, outcome = play(task, LEFTRIGHT, [nearness])
    pairs = [(picture("q.jpg"), picture(name)) for name in ("1.jpg", "2.jpg", "3.jpg")]
    assert asked == [[Match(Context((Turn("user", pair),))) for pair in pairs]]
    assert outcome.values == {"acc_chosen": 0.5}
    assert outcome.is_tie
    fields = task.sample_fields(LEFTRIGHT, [Exchange(r, a) for r, a in zip(asked[0], nearness, strict=True)], outcome)
    assert fields["acc_chosen"]["turns"][0]["losses"] == {"A": -0.3, "B": -0.3, "C": -0.1}


def test_other_tasks_are_beyond_a_dual_encoder() -> None:
    beyond = [
        task.name
        for task in devcv_tasks()
        if task.fitted(None, ("similarity", "match")).needs.answer == "loglikelihood"
    ]
    assert len(beyond) == 8
    assert not {"baby_pv", "baby_leftright", "baby_spatialdetails"} & set(beyond)


def test_a_task_of_another_set_reads_its_own_files() -> None:
    for task in devcv_tasks():
        bound = task.of_set("nih")
        assert (bound.label_path, bound.links) == (f"devcv/nih/{task.name}.json", {"devcv_nih": "devcv/nih/images"})
        assert task.label_path == f"devcv/ego4d/{task.name}.json"
        (item,) = bound.items([COUNT])
        assert item.images == (ImageRef("devcv_nih", "1.jpg"),)


# ---------------------------------------------------------------- groups


def test_items_that_share_a_picture_or_a_recording_are_one_group() -> None:
    rows = [
        entry("<image>", "1", "a.jpg"),
        entry("<image>", "2", "b.jpg"),
        entry("<image>", "2", "c.jpg") | {"image": ["c.jpg", "a.jpg"]},
        entry("<image>", "2", "d.jpg") | {"id": "S_20130720_0903_02_clip_003"},
        entry("<image>", "2", "x/S_20130720_0903_07_010_00.jpg"),
        entry("<image>", "2", "e.jpg") | {"id": "3adf4f3a-3287-4621-b351-c624ff72761f/534_666_phone"},
        entry("<image>", "2", "f.jpg") | {"id": "3adf4f3a-3287-4621-b351-c624ff72761f/700_800_cup"},
    ]
    items = all_tasks()["baby_count"].items(rows)
    groups = [item.groups["shared"] for item in items]
    assert groups[0] == groups[2] != groups[1]
    assert groups[3] == groups[4] == "S_20130720_0903"
    assert groups[5] == groups[6] == "3adf4f3a-3287-4621-b351-c624ff72761f"
    assert [item.groups["session"] for item in items] == ["", "", "", "S_20130720_0903", "S_20130720_0903", "", ""]
    assert [item.groups["number"] for item in items] == ["1", *["2"] * 6]


def test_chance_of_counting_is_the_commonest_number() -> None:
    task = all_tasks()["baby_count"]
    items = task.items([entry("<image>", answer, "a.jpg") for answer in ("4", "4", "10", "1")])
    assert task.chance_of(task.main_metric, items) == 0.5
    assert all_tasks()["baby_pv"].chance_of(all_tasks()["baby_pv"].main_metric, []) == 0.25
