"""Mistakes in a task of the user's: each is named, before anything that was computed can be lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli import tasks
from babycli.foreign import import_file
from tests.conftest import Babycli
from tests.evaluation.test_own_task import N_ITEMS, TASK, own  # noqa: F401

pytestmark = pytest.mark.usefixtures("own")
MODEL = ("--model", "control:random?seed=1")
SHARE = 'Metric("acc", "share", "accuracy", "acc", chance=1 / 2, is_main=True)'


def change(old: str, new: str) -> None:
    path = Path("new_picture.py")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(babycli: Babycli, *messages: str) -> None:
    """The run ends with exit code 2 before it begins, and `data verify` says the same."""
    for words in (("eval", *MODEL), ("data", "verify")):
        ran = babycli(*words, *TASK)
        assert (ran.code, ran.out) == (2, ""), ran.err
        for message in messages:
            assert message in ran.err
        assert "Traceback" not in ran.err
    assert not Path("logs").exists()


# --- what a task says of itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../../evil", "", "a b,c", ".hidden", "-x", "a/b", "täsk", "a\n"])
def test_a_name_that_no_file_should_have(name: str, babycli: Babycli) -> None:
    change('name = "new_picture"', f"name = {name!r}")
    refused(babycli, f"TASK of new_picture.py: its name is {name!r}; expected is a name of letters, digits, _, - and .")


def test_a_name_with_points_and_dashes(babycli: Babycli) -> None:
    change('name = "new_picture"', 'name = "New-picture_1.0"')
    assert babycli("eval", *MODEL, *TASK).code == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"new_picture/new_picture.json"',
            '"../labels.json"',
            "its label_path is '../labels.json'; expected is a path",
        ),
        ('"new_picture/new_picture.json"', '"/labels.json"', "its label_path is '/labels.json'; expected is a path"),
        ('"new_picture/new_picture.json"', '""', "its label_path is ''; expected is a path"),
        ('"new_picture/images"', '"../images"', "its links['saycam'] is '../images'; expected is a path"),
        ('{"saycam": "new_picture/images"}', '"new_picture/images"', "its links is 'new_picture/images'; expected"),
        (
            'label_format = "json"',
            'label_format = "xml"',
            "its label_format is 'xml'; expected is 'csv', 'json' or",
        ),
        ('columns = ("id", "seen", "new", "answer")', 'columns = "id"', "its columns is 'id'; expected is a tuple"),
        ('("seen", "new")', '("seen")', "its item_columns is 'seen'; expected is a tuple"),
        ('title = "New Picture"', "title = 3", "its title is 3; expected is a text"),
        ('unit = "trials"', "unit = None", "its unit is None; expected is a text"),
        (
            SHARE,
            SHARE.replace("is_main=True", 'is_main=True, mean_over="chlid"'),
            "its metrics[0].mean_over is 'chlid'; expected is the name of one of its groupings, or nothing",
        ),
        (
            'unit = "trials"',
            'cluster = "child"',
            "its cluster is 'child'; expected is the name of one of its groupings",
        ),
        ('Needs("write", n_images=3, n_turns=2)', '"score"', "its needs is 'score'; expected is Needs(\"score\")"),
        ('Needs("write"', 'Needs("say"', "its needs.answer is 'say'; expected is 'score', 'loglikelihood'"),
        ("n_turns=2", 'n_turns="2"', "expected is whole numbers of images (0 or more) and turns (1 or more)"),
        ('"share"', '"percent"', "its metrics[0].kind is 'percent'; expected is 'share' or 'score'"),
        ("chance=1 / 2", "chance=50", "its metrics[0].chance is 50; expected is None or a finite number from 0 to 1"),
        ("chance=1 / 2", 'chance=float("nan")', "its metrics[0].chance is nan; expected is None or a finite number"),
        ('"words", "score"', '"acc", "score"', "its metrics[1].name is 'acc'; expected is a name that no other"),
        ('"words", "score"', '"a,b", "score"', "its metrics[1].name is 'a,b'; expected is a name of letters"),
        ('"words", "score"', '"target", "score"', "its metrics[1].name is 'target'; expected is another name than"),
        ('"words said", "words")', '"words said", "words", is_main=True)', "expected is one main metric"),
        (
            '"words said", "words")',
            '"words said", "words", bounds=(3, 1))',
            "its metrics[1].bounds is (3, 1); expected",
        ),
        (
            "metrics = (",
            "metrics = ()\n    others = (",
            "its metrics is (); expected is a tuple of at least one Metric",
        ),
        (
            "metrics = (",
            f"metrics = {SHARE}\n    others = (",
            "its metrics is an object of Metric; expected is a tuple",
        ),
    ],
)
def test_an_attribute_that_is_not_what_it_should_be(old: str, new: str, message: str, babycli: Babycli) -> None:
    change(old, new)
    refused(babycli, "TASK of new_picture.py: ", message)


# --- the outcome of an item -----------------------------------------------------------------------------------------

OUTCOME = '{"acc": float(is_right), "words": float(len(remark.split()))}'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (OUTCOME, '{"acc": 1.0, "words": float("nan")}', "item 0 nan of words; expected is a finite number\n"),
        (OUTCOME, '{"acc": 2, "words": 1}', "item 0 2 of acc; expected is a number from 0 to 1\n"),
        (OUTCOME, '{"acc": 1, "words": None}', "item 0 None of words; expected is a finite number\n"),
        (OUTCOME, '{"acc": 1, "word": 2}', "ends item item 0 with acc, word; expected is an Outcome with acc, words\n"),
        (OUTCOME, "{}", "ends item item 0 with no values; expected is an Outcome with acc, words\n"),
        ("return Outcome(", "return (", "ends item item 0 with a tuple; expected is an Outcome with acc, words\n"),
        ("item.item_id,\n", "'x',\n", "ends item item 0 with the outcome of 'x'; expected is its own id\n"),
        ("is_answered=", "answered=", "cannot play item item 0: TypeError: "),
    ],
)
def test_an_outcome_that_is_none(old: str, new: str, message: str, babycli: Babycli) -> None:
    change(old, new)
    if old == "return Outcome(":
        change("is_answered=not is_unanswered(answers),", "")
    ran = babycli("eval", *MODEL, *TASK)
    assert ran.code == 2, ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_numbers_of_numpy_are_numbers(babycli: Babycli) -> None:
    change("from babycli.domain", "import numpy as np\nfrom babycli.domain")
    change(OUTCOME, '{"acc": np.float32(is_right), "words": np.int64(3)}')
    ran = babycli("eval", *MODEL, *TASK)
    assert ran.code == 0, ran.err
    assert babycli("report", "logs").code == 0


def test_the_line_in_the_file_is_named_where_babycli_raises(babycli: Babycli) -> None:
    change('ask("Look at this. <image> What is it?", seen)', 'ask("<image> <image> <image>", seen, new)')
    ran = babycli("eval", *MODEL, *TASK)
    assert ran.code == 2, ran.err
    line = next(
        i for i, text in enumerate(Path("new_picture.py").read_text().splitlines(), 1) if "<image> <image>" in text
    )
    assert f"new_picture.py, line {line})" in ran.err


# --- items ----------------------------------------------------------------------------------------------------------

LABELS = Path("dataset/new_picture/new_picture.json")
ID = 'Item(row["id"], (i,), (row,), (self.picture(row["seen"]), self.picture(row["new"])))'


def labels() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(LABELS.read_text())
    return rows


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ('row["id"]', "i", ("item 1 of ", "the item_id 0; expected is a text", 'write  Item(str(row["id"]), ...)')),
        ('row["id"]', '" "', ("the item_id ' '; expected is a text",)),
        (
            "(i,)",
            "(i)",
            (
                "item 1 of ",
                ", 'item 0', with the row_indices 0; expected is a tuple of places",
            ),
        ),
        ("(i,)", "()", ("with the row_indices (); expected",)),
        ("(i,)", "(i + 1,)", ("item 12 of ", "with the row_indices (12,); expected is a tuple of places")),
        ("(i,)", "(-1,)", ("with the row_indices (-1,)",)),
        ("(i,)", "(i, i)", ("with the row_indices (0, 0)",)),
        ("(i,)", "(0,)", ("item 2 of ", "'item 1', of a row of 'item 0'")),
        ("(row,)", "row", ("with rows of dict; expected is a tuple",)),
        ("(row,)", "()", ("with rows of tuple; expected is a tuple with a row for each",)),
        ('self.picture(row["new"])', 'row["new"]', ("expected is a tuple of ImageRef", "(ImageRef('saycam', name),)")),
        ('(self.picture(row["seen"]), self.picture(row["new"]))', 'self.picture("x")', ("a tuple of ImageRef",)),
        (
            'ImageRef("saycam", name)',
            'ImageRef("sea", name)',
            ("new_picture shows pictures of 'sea'", "item item 0 of"),
        ),
        ('ImageRef("saycam", name)', "ImageRef(['saycam'], name)", ("shows pictures of ['saycam']",)),
        ('self.picture(row["new"])))', 'self.picture(row["new"])), {"n": i})', ("the groups {'n': 0}; expected",)),
        (ID, "row", ("item 1 of ", "as a dict; expected is an Item")),
        ("return [\n            Item", "[\n            Item", ("items() gives None for ", "a list of Item")),
        ("enumerate(rows)", "enumerate([])", ("items() gives [] for ", "a list of Item")),
        ('row["id"]', 'row["name"]', ("items() fails for ", "KeyError: 'name'", "new_picture.py, line 23)")),
    ],
)
def test_items_that_are_none(old: str, new: str, messages: Sequence[str], babycli: Babycli) -> None:
    change(old, new)
    refused(babycli, *messages)


def test_ids_that_are_numbers_in_the_labels(babycli: Babycli) -> None:
    LABELS.write_text(json.dumps([row | {"id": i} for i, row in enumerate(labels())]))
    refused(
        babycli, f"new_picture makes item 1 of {LABELS}, 0, with the item_id 0; expected is a text that is not empty"
    )
    change('Item(row["id"]', 'Item(str(row["id"])')
    assert babycli("eval", *MODEL, *TASK).code == 0


@pytest.mark.parametrize("words", [(), ("--skip-missing",)])
def test_an_id_of_two_items(words: Sequence[str], babycli: Babycli) -> None:
    rows = labels()
    rows[7]["id"] = rows[2]["id"]
    LABELS.write_text(json.dumps(rows))
    for command in (("eval", *MODEL, *words), ("data", "verify")):
        ran = babycli(*command, *TASK)
        assert ran.code == 3, ran.err
        assert "LabelsMalformed" in ran.out + ran.err
        assert "2 items have the id 'item 2': item 3, item 8" in ran.out + ran.err
    assert f"put {LABELS} right" in babycli("eval", *MODEL, *TASK).err


# --- errors in the methods of a task --------------------------------------------------------------------------------

TARGET = "    def target(self, row):\n"


def with_method(name: str, parameters: str, body: str) -> str:
    return f"    def {name}(self, {parameters}):\n        {body}\n\n{TARGET}"


@pytest.mark.parametrize("body", ["return [row['no'] for row in rows]", "return None", "return ['x']"])
def test_problems_that_fails(body: str, babycli: Babycli) -> None:
    change(TARGET, with_method("problems", "rows", body))
    refused(babycli, "new_picture: problems() fails for ", "Error: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('row["no"]', "target() fails for item item 0: KeyError: 'no' ("),
        ("3", "target() gives 3 for item item 0; expected is a text"),
    ],
)
def test_target_that_fails_does_so_before_anything_is_asked(body: str, message: str, babycli: Babycli) -> None:
    change('        return row["answer"]', f"        return {body}")
    ran = babycli("eval", *MODEL, *TASK)
    assert ran.code == 2, ran.err
    assert message in ran.err
    assert not Path("logs").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {'no': row['no']}", "sample_fields() fails for item item 0: KeyError: 'no' ("),
        pytest.param(
            "return None",
            "sample_fields() gives None for item item 0; expected is a dict of what JSON can hold",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "return {'acc': {1}}",
            "sample_fields() gives {'acc': {1}} for item item 0; expected is a dict",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "return {1: 1}", "sample_fields() gives {1: 1} for item item 0; expected is a dict", marks=pytest.mark.long
        ),
    ],
)
def test_sample_fields_that_fails_loses_no_answer(body: str, message: str, babycli: Babycli) -> None:
    change(TARGET, with_method("sample_fields", "row, exchanges, outcome", body))
    words = ("eval", *MODEL, *TASK, "--cache", "kept")
    ran = babycli(*words)
    assert ran.code == 2, ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err
    (folder,) = {path.parent for path in Path("logs").rglob("scores.rank0.jsonl")}
    assert f"its answers are kept in {folder}" in ran.err
    n_answers = len((folder / "scores.rank0.jsonl").read_text().splitlines())
    assert n_answers > N_ITEMS
    change(body, "return dict(outcome.values)")
    assert babycli(*words).code == 6  # a mended task is another task
    ran = babycli(*words, "--no-resume")
    assert ran.code == 0, ran.err


REPORTED = [
    ("why_undecidable", "rows", "return rows[0]['no']"),
    ("items", "rows", "return rows[0]['no']"),
    ("play", "item, asking", "yield item.rows[0]['no']"),
]


@pytest.mark.parametrize(("name", "parameters", "body"), REPORTED)
def test_what_fails_in_a_report_is_named(name: str, parameters: str, body: str, babycli: Babycli) -> None:
    assert babycli("eval", *MODEL, *TASK).code == 0
    Path("broken.py").write_text(
        "from new_picture import NewPicture\n\n\nclass Broken(NewPicture):\n"
        f"    def {name}(self, {parameters}):\n        {body}\n"
    )
    task = import_file(Path("broken.py")).Broken()
    tasks.register(task)
    ran = babycli("report", "logs", "--audit")
    assert ran.code == 2, ran.err
    assert f"new_picture: {name}() fails for " in ran.err
    assert "broken.py, line 6)" in ran.err
