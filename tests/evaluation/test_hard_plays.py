"""Plays that a task of one's own may come to: another way in the batch check, odd requests, memory that runs out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run, read_json, results, samples

HEAD = """
from babycli.domain import ImageRef, Item, Metric, Outcome, Score, Write, ask
from babycli.tasks.base import Needs, Task

class Two(Task):
    name, title, question = "two", "Two", "?"
    metrics = (Metric("acc", "share", "accuracy", "acc", is_main=True),)
    needs = Needs("score", n_turns=2)
    label_path, label_format, columns, links = "two.json", "json", ("a",), {"saycam": "vtwt/images"}

    def items(self, rows):
        return [Item(str(i), (i,), (row,), (ImageRef("saycam", row["a"]),)) for i, row in enumerate(rows)]

    def play(self, item, asking):
"""
TAIL = "\nTASK = Two()\n"
# Its scores depend on how many pictures are scored at once.
ROUNDING = """
class Rounding:
    def __init__(self, device, dtype): ...
    def loglikelihood(self, images, prompts, texts):
        return [[-float(len(images))] for image in images]
    max_turns = 2
"""
GOES_ON_OR_NOT = """
        context = ask("q", *item.images)
        (one,) = yield [Score(context, "a")]
        if one.mean_loss < 1.5:
            yield [Score(context.followed_by("a", "sure?"), "b")]
        return Outcome(item.item_id, {"acc": 1.0})
"""


@pytest.fixture
def write_task(linked: Path) -> Callable[[str], None]:
    names = sorted(path.name for path in Path("dataset/vtwt/images").iterdir())[:6]
    Path("dataset/two.json").write_text("[" + ",".join(f'{{"a": "{name}"}}' for name in names) + "]")

    def write(play: str) -> None:
        Path("two.py").write_text(HEAD + play + TAIL)

    return write


def test_an_item_that_takes_another_way_one_by_one_has_flipped(
    write_task: Callable[[str], None], babycli: Babycli
) -> None:
    write_task(GOES_ON_OR_NOT)
    Path("rounding.py").write_text(ROUNDING)
    words = ("--tasks", "two.py:TASK", "--batch-size", 3, "--batch-check", 6)
    ran = babycli("eval", "--model", "rounding.py", *words)
    assert ran.code == 0, ran.err
    assert "6 of 6 decisions flip one by one" in ran.err
    assert results(only_run())["results"]["two"]["acc,none"] == 1.0


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("Write(context, 0)", "max_new_tokens is 0; expected is 1 or more"),
        ('Write(context, 4, "xy")', "stop is 'xy'; expected is a tuple of texts, none empty"),
        ('Write(context, 4, ("x", ""))', "stop is ('x', ''); expected is a tuple of texts, none empty"),
        ('Score(ask("", ImageRef("saycam", "other.png")), "a")', "it shows other.png, which is not among the item's"),
        ("3", "it asks [3]"),
    ],
)
def test_requests_that_nothing_can_answer(
    request_: str, message: str, write_task: Callable[[str], None], babycli: Babycli
) -> None:
    write_task(f"""
        context = ask("q", *item.images)
        yield [{request_}]
        return Outcome(item.item_id, {{"acc": 1.0}})
""")
    ran = babycli("eval", "--model", "control:random", "--tasks", "two.py:TASK")
    assert ran.code == 2, ran.err
    assert "two cannot play item 0" in ran.err
    assert message in ran.err


def test_a_play_that_fails_before_it_asks(write_task: Callable[[str], None], babycli: Babycli) -> None:
    write_task("        raise LookupError('no play')")
    ran = babycli("eval", "--model", "control:random", "--tasks", "two.py:TASK")
    assert ran.code == 2
    assert "two cannot play item 0: LookupError: no play" in ran.err
    assert "two.py, line " in ran.err


def test_a_kind_of_request_that_was_not_declared_is_a_miss(write_task: Callable[[str], None], babycli: Babycli) -> None:
    write_task("""
        answers = yield [Score(ask("q", *item.images), "a"), Write(ask("q", *item.images), 4)]
        return Outcome(item.item_id, {"acc": 0.0}, is_answered=False)
""")
    Path("rounding.py").write_text(ROUNDING)
    ran = babycli("eval", "--model", "rounding.py", "--tasks", "two.py:TASK")
    assert ran.code == 7
    assert "a text to be written, and the model only scores" in ran.err


def test_a_changed_task_file_is_another_question(
    write_task: Callable[[str], None], babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = """
        yield [Score(ask("q", *item.images), "a")]
        return Outcome(item.item_id, {"acc": 1.0})
"""
    for text in (play, play.replace("1.0", "0.0")):
        write_task(text)
        for model in ("control:random?seed=1", "control:random?seed=2"):
            words = ("eval", "--model", model, "--tasks", "two.py:TASK", "--output-path", f"logs{text is play}")
            assert babycli(*words).code == 0
    shutil.move("logsTrue/control_random_seed_1", "one")
    shutil.move("logsFalse/control_random_seed_2", "one/second")
    first, second = "control:random?seed=1", "control:random?seed=2"
    ran = babycli("report", "one", "--compare", first, second)
    assert ran.code == 3
    assert "different files or versions of the task two" in ran.err
    codes = {read_json(path)["identity"]["question"]["tasks"]["two"]["code"] for path in Path("one").rglob("run.json")}
    assert len(codes) == 2


def test_items_of_several_rows_keep_all_their_answers(linked: Path, babycli: Babycli) -> None:
    names = sorted(path.name for path in Path("dataset/vtwt/images").iterdir())[:4]
    Path("dataset/two.json").write_text("[" + ",".join(f'{{"a": "{name}"}}' for name in names) + "]")
    Path("two.py").write_text(
        HEAD.replace("n_turns=2", "n_images=2, n_turns=2")
        .replace(
            'return [Item(str(i), (i,), (row,), (ImageRef("saycam", row["a"]),)) for i, row in enumerate(rows)]',
            "return [Item(str(i), (i, i + 1), rows[i : i + 2], "
            'tuple(ImageRef("saycam", row["a"]) for row in rows[i : i + 2])) for i in range(0, len(rows), 2)]',
        )
        .replace("label_path,", "rows_per_item = 2\n    label_path,")
        + """
        context = ask("q", *item.images)
        (one,) = yield [Score(context, "a")]
        answers = yield [Score(context.followed_by("a", "sure?"), text) for text in "bc"]
        return Outcome(item.item_id, {"acc": 1.0})
"""
        + TAIL
    )
    Path("rounding.py").write_text(ROUNDING.replace("max_turns = 2", "max_turns, max_images = 2, 2"))
    assert babycli("eval", "--model", "rounding.py", "--tasks", "two.py:TASK").code == 0
    assert [len(line["resps"]) for line in samples(only_run(), "two")] == [3, 0, 3, 0]
    assert len(lines(only_run() / "scores.rank0.jsonl")) == 6
    audited = babycli("report", "logs", "--audit")
    assert audited.code == 0, audited.out
    assert "nothing found" in audited.out
