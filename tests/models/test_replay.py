"""Answers from elsewhere: what belongs to which row and turn, and what a file may not be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from babycli.logs.runlog import RunLog
from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.evaluation.test_distributed import ended, start
from tests.models.test_bad_checkpoints import assert_explained

# A conversation of three turns; an item gets the share of the turns in which "yes" was said.
TALK = """
from babycli.domain import ImageRef, Item, Metric, Outcome, Write, ask
from babycli.tasks.base import Needs, Task, text_of

class Talk(Task):
    name, title, question = "talk", "Talk", "?"
    metrics = (Metric("acc", "share", "accuracy", "acc", is_main=True),)
    needs = Needs("write", n_turns=3)
    label_path, label_format, columns, links = "talk.json", "json", ("a",), {"saycam": "vtwt/images"}

    def items(self, rows):
        return [Item(str(i), (i,), (row,), (ImageRef("saycam", row["a"]),)) for i, row in enumerate(rows)]

    def play(self, item, asking):
        context, hits = ask("1?", *item.images), 0
        for turn in "23.":
            (answer,) = yield [Write(context, asking.max_new_tokens or 8, ("|",))]
            hits += text_of(answer).strip() == "yes"
            context = context.followed_by(text_of(answer).strip(), turn + "?")
        return Outcome(item.item_id, {"acc": hits / 3})

TASK = Talk()
"""
PICTURES = (0, 0, 1, 0, 2, 1)  # of six items; those of 0, 1 and 3, and of 2 and 5, are the same requests
TOLD: Mapping[int, Sequence[str | None]] = {
    0: ["yes", "yes", "no"],
    1: ["no", "no", "no", "yes", None],
    2: [None, "yes"],
    3: ["yes", "yes", " yes ", ""],
    4: ["yes|no", "yes", None, "and", "yes"],
}
SAID = [
    [["yes"], ["yes"], ["no"]],
    [["no"], ["no"], ["no", "yes", None]],
    [[{"no_reply": "null"}], ["yes"], [{"no_reply": "end"}]],
    [["yes"], ["yes"], [" yes ", ""]],
    [["yes"], ["yes"], [{"no_reply": "null"}, "and", "yes"]],
    [[{"no_reply": "end"}]] * 3,
]
SHARES = [2 / 3, 0, 1 / 3, 1, 2 / 3, 0]
WORDS = ("--model", "replay:told.jsonl", "--tasks", "talk.py:TASK")


def line(item: int, *replies: object, **more: object) -> str:
    return json.dumps({"item": item, "replies": list(replies)} | more)


@pytest.fixture
def talk(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the demo data linked in ./dataset, the task, and what was told."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dataset, "dataset", symlinks=True)
    names = sorted(path.name for path in Path("dataset/vtwt/images").iterdir())
    Path("dataset/talk.json").write_text(json.dumps([{"a": names[i]} for i in PICTURES]))
    Path("talk.py").write_text(TALK)
    Path("told.jsonl").write_text("".join(f"{line(item, *told, task='talk')}\n" for item, told in TOLD.items()))
    return tmp_path


def outcomes(folder: Path, task: str = "talk") -> list[float]:
    (path,) = folder.glob("*_outcomes.json")
    (values,) = read_json(path)["tasks"][task]["values"].values()
    return list(values)


def test_each_row_has_its_own_answers_though_equal_questions_are_asked(talk: Path, babycli: Babycli) -> None:
    ran = babycli("eval", *WORDS)
    assert ran.code == 0, ran.err
    folder = only_run()
    assert [sample["resps"] for sample in samples(folder, "talk")] == SAID
    assert [sample["acc"] for sample in samples(folder, "talk")] == pytest.approx(SHARES)
    assert results(folder)["results"]["talk"]["acc,none"] == pytest.approx(sum(SHARES) / 6)
    asked = lines(folder / "scores.rank0.jsonl")
    assert sorted(each["place"] for each in asked) == [["talk", row, n] for row in range(6) for n in range(3)]
    assert "talk: told.jsonl has no line for 1 of 6 items" in ran.err
    assert "talk: 1 of 6 items have fewer replies than turns" in ran.err
    assert "talk: 3 of 6 items have more replies than turns" in ran.err


def test_the_log_names_the_file_and_its_digest(talk: Path, babycli: Babycli) -> None:
    assert babycli("eval", *WORDS).code == 0
    model = read_json(only_run() / "run.json")["model"]
    assert model["name"] == "replay:told.jsonl"
    assert model["fingerprint"] == sha256(Path("told.jsonl").read_bytes()).hexdigest()
    ran = babycli("report", "logs")
    assert ran.code == 0, ran.err
    assert "replay:told.jsonl" in ran.out
    assert babycli("report", "logs", "--format", "html", "--output", "page.html").code == 0
    assert "replay:told.jsonl" in Path("page.html").read_text()


@pytest.mark.parametrize("n_done", [0, 1, 7, 17])
def test_a_run_that_was_stopped_goes_on(
    n_done: int, talk: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, n = RunLog.append, 0

    def failing(self: RunLog, *arguments: Any) -> None:
        nonlocal n
        if n == n_done:
            raise KeyboardInterrupt
        n += 1
        append(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append", failing)
        assert babycli("eval", *WORDS).code == 130
    folder = only_run()
    told = Path("told.jsonl").read_text()
    Path("told.jsonl").write_text(told.replace('"no"', '"yes"', 1))
    ran = babycli("eval", *WORDS)
    assert ran.code == 6  # a file that has changed is another model
    assert "model fingerprint: " in ran.err
    Path("told.jsonl").write_text(told)
    assert babycli("eval", *WORDS).code == 0
    assert only_run() == folder
    assert outcomes(folder) == pytest.approx(SHARES)
    assert [sample["resps"] for sample in samples(folder, "talk")] == SAID


@pytest.mark.long
def test_two_processes_and_the_batch_check_agree(talk: Path, babycli: Babycli) -> None:
    rans = ended(start(2, *WORDS, "--batch-size", 1, "--batch-check", 6))
    assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
    folder = only_run()
    assert [sample["resps"] for sample in samples(folder, "talk")] == SAID
    assert outcomes(folder) == pytest.approx(SHARES)
    assert "batch check: talk: 0 of 6 decisions flip" in rans[0].err
    assert all(len(lines(folder / f"scores.rank{rank}.jsonl")) > 0 for rank in (0, 1))


def test_items_beyond_the_limit_are_not_asked(talk: Path, babycli: Babycli) -> None:
    ran = babycli("eval", *WORDS, "--limit", 2)
    assert ran.code == 0, ran.err
    assert outcomes(only_run()) == pytest.approx(SHARES[:2])
    assert "has no line" not in ran.err


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + line(0, "yes", "yes", "yes") + "\r\n" + line(1) + "\r\n\r\n\r\n",
        line(1) + "\n\n" + line(0, "yes", "yes", "yes", task=None),
        line(0, "yes", "yes", "yes", who="me\u2028") + "\n" + line(1, task="talk") + "\n" + line(99, task="vtwt"),
    ],
    ids=["byte-order mark and CRLF", "no task and no last line end", "more keys and tasks"],
)
def test_forms_of_a_file(content: str, talk: Path, babycli: Babycli) -> None:
    Path("told.jsonl").write_bytes(content.encode())
    ran = babycli("eval", *WORDS, "--limit", 2)
    assert ran.code == 0, ran.err
    assert outcomes(only_run()) == [1.0, 0.0]


GOOD = line(0, "yes", task="talk")


@pytest.mark.parametrize(
    ("content", "number", "said"),
    [
        (f"{GOOD}\n{GOOD}", 2, "item 0 of talk is in line 1 already"),
        (f"{GOOD}\n\n{line(0, 'no')}", 3, "item 0 of talk is in line 1 already"),
        (f"{line(3)}\n{line(3)}", 2, "item 3 is in line 1 already"),
        (f"{GOOD}\n{line(6, task='talk')}", 2, "there is no item 6 of talk: its label file has 6, 0 to 5"),
        (f"{GOOD}\n{line(0, task='tolk')}", 2, "there is no task 'tolk'. Did you mean 'talk'?"),
        (f"{GOOD}\n{GOOD[:-1]}", 2, "not JSON"),
        (f"{GOOD}\n{GOOD} {line(1)}", 2, "not JSON"),
        (f"[{GOOD},\n{line(1)}]", 1, "not JSON"),
        ('{"item": 0, "replies": [NaN]}', 1, "not JSON"),
        ("[0, []]", 1, "[0, []] is no JSON object"),
        ('{"task": "talk"}', 1, "it has no 'item' and no 'replies'"),
        ('{"item": 0, "reply": "yes"}', 1, "it has no 'replies'"),
        ('{"item": 0, "replies": "yes"}', 1, "replies is 'yes'; expected is a list of texts"),
        ('{"item": 0, "replies": null}', 1, "replies is None; expected is a list of texts"),
        ('{"item": 0, "replies": ["yes", 7]}', 1, "replies holds 7; expected is a text, or null"),
        ('{"item": 0, "replies": [["yes"]]}', 1, "replies holds ['yes']; expected is a text, or null"),
        ('{"item": "0", "replies": []}', 1, "item is '0'; expected is a number in the label file, from 0"),
        ('{"item": -1, "replies": []}', 1, "item is -1; expected is a number in the label file, from 0"),
        ('{"item": true, "replies": []}', 1, "item is True; expected is a number in the label file, from 0"),
        ('{"item": 1.0, "replies": []}', 1, "item is 1.0; expected is a number in the label file, from 0"),
        ('{"item": 0, "replies": [], "task": 3}', 1, "task is 3; expected is the name of a task"),
        ('{"item": 0, "replies": ["\udcff"]}', 1, "not JSON"),
    ],
)
def test_a_line_that_cannot_be_played_is_named(
    content: str, number: int, said: str, talk: Path, babycli: Babycli
) -> None:
    Path("told.jsonl").write_bytes(content.encode(errors="surrogateescape"))
    ran = babycli("eval", *WORDS)
    assert_explained(ran, 3)
    assert f"told.jsonl, line {number}: " in ran.err
    assert said in ran.err
    assert not list(Path().glob("logs/*/*/*_results.json"))


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("replay:none.jsonl", 3, "cannot read none.jsonl: No such file"),
        ("replay:dataset", 3, "cannot read dataset: "),
        ("replay:empty.jsonl", 3, "empty.jsonl has no lines"),
        ("replay:", 2, "--model replay: names no file"),
        ("replay", 2, "replay names a family, not a checkpoint"),
    ],
)
def test_a_file_that_is_none(model: str, code: int, said: str, talk: Path, babycli: Babycli) -> None:
    Path("empty.jsonl").write_text("\n \r\n")
    for words in (("eval", *WORDS[2:], "--model", model), ("models", "show", model)):
        ran = babycli(*words)
        assert_explained(ran, code)
        assert said in ran.err


def test_tasks_without_a_line_are_left_out_unless_they_are_named(talk: Path, babycli: Babycli) -> None:
    fish = "look , there is a black fish on the grass ."
    Path("fish.jsonl").write_text(line(0, fish, task="saycam_caption"))
    ran = babycli("eval", "--model", "replay:fish.jsonl")
    assert ran.code == 0, ran.err
    assert "note: left out labeled_s, vtwt, baby_winoground: replay:fish.jsonl offers generate only" in ran.err
    assert samples(only_run(), "saycam_caption")[0]["meteor"]["score"] > 0.9
    ran = babycli("eval", "--model", "replay:told.jsonl", "--tasks", "talk.py:TASK,saycam_caption")
    assert ran.code == 3
    assert "replay:told.jsonl has no line of saycam_caption" in ran.err
    assert "--tasks talk" in ran.err
    ran = babycli("eval", "--model", "replay:told.jsonl", "--tasks", "vtwt")
    assert ran.code == 5
    assert "cannot do vtwt: expected is loglikelihood or similarity, it offers generate" in ran.err


def test_a_line_without_a_task_needs_one_task(talk: Path, babycli: Babycli) -> None:
    Path("told.jsonl").write_text(line(0, "yes"))
    ran = babycli("eval", "--model", "replay:told.jsonl", "--tasks", "talk.py:TASK,saycam_caption")
    assert ran.code == 3
    assert "told.jsonl, line 1 names no task, and 2 are run: talk, saycam_caption" in ran.err


@pytest.mark.parametrize("control", ["blind", "shuffled"])
def test_a_control_by_other_pictures_is_refused(control: str, talk: Path, babycli: Babycli) -> None:
    ran = babycli("eval", *WORDS, "--control", control)
    assert_explained(ran, 2)
    assert f"--control {control} shows other pictures" in ran.err


def test_replies_without_a_word_are_said(talk: Path, babycli: Babycli) -> None:
    Path("told.jsonl").write_text("\n".join(line(item, "", " ", "yes") for item in range(6)))
    ran = babycli("eval", *WORDS)
    assert ran.code == 0, ran.err
    assert "12 of 18 replies are empty" in ran.err
    assert babycli("report", "--audit", "logs").code == 7


def test_what_there_is(talk: Path, babycli: Babycli) -> None:
    ran = babycli("models")
    assert "replay:FILE.jsonl" in ran.out
    ran = babycli("models", "show", "replay:told.jsonl")
    assert ran.code == 0, ran.err
    assert "5 items of talk" in ran.out
    assert "offers generate" in ran.out


def test_several_files_are_compared(talk: Path, babycli: Babycli) -> None:
    Path("other[1].jsonl").write_text("\n".join(line(item, "yes", "no", "no") for item in range(6)))
    ran = babycli("eval", *WORDS, "--model", "replay:other[1].jsonl")
    assert ran.code == 0, ran.err
    ran = babycli("report", "logs", "--compare", "replay:told.jsonl", "replay:other[1].jsonl")
    assert ran.code == 0, ran.err
    assert "+11.1" in ran.out  # 44.4 and 33.3


def test_max_new_tokens_is_another_setting(talk: Path, babycli: Babycli) -> None:
    for words in ((), ("--max-new-tokens", 3)):
        assert babycli("eval", *WORDS, *words).code == 0
    asked = [
        ({each["max_new_tokens"] for each in lines(path)}, read_json(path.parent / "run.json")["identity"]["question"])
        for path in sorted(Path("logs").rglob("scores.rank0.jsonl"))
    ]
    assert [n for n, _ in asked] == [{8}, {3}]
    assert [question["max_new_tokens"] for _, question in asked] == [None, 3]
    ran = babycli("report", "logs")
    assert ran.code == 0, ran.err
    rows = [row for row in ran.out.splitlines() if row.startswith(" replay:told.jsonl")]
    assert len({row.rsplit(maxsplit=1)[0] for row in rows}) == len(rows) == 2


def test_an_unfinished_run_with_other_max_new_tokens_is_a_conflict(
    talk: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: RunLog, *arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append", failing)
        assert babycli("eval", *WORDS, "--max-new-tokens", 3).code == 130
    ran = babycli("eval", *WORDS)
    assert ran.code == 6
    assert "question max_new_tokens: 3 in the log, None now" in ran.err
    assert babycli("eval", *WORDS, "--max-new-tokens", 0).code == 2
    assert babycli("eval", *WORDS, "--max-new-tokens", 3).code == 0
    assert len(list(Path("logs").rglob("run.json"))) == 1


def counting(n: int) -> list[dict[str, Any]]:
    talk = [{"from": "human", "value": "<image> How many balls do you see?"}, {"from": "gpt", "value": "2"}]
    return [{"id": "count_1", "conversations": talk, "image": ["a.png"]}] * n


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with two sets of one task: in each all items are the same, down to their ids."""
    monkeypatch.chdir(tmp_path)
    for n, name in ((3, "one"), (2, "other")):
        images = Path("dataset/devcv", name, "images")
        images.mkdir(parents=True)
        Image.new("RGB", (4, 4), "red").save(images / "a.png")
        (images.parent / "baby_count.json").write_text(json.dumps(counting(n)))


def test_items_that_are_the_same_are_told_apart(counted: None, babycli: Babycli) -> None:
    Path("told.jsonl").write_text("\n".join(line(i, reply) for i, reply in enumerate(["two", "three", "2"])))
    ran = babycli("eval", "--model", "replay:told.jsonl", "--tasks", "baby_count", "--set", "one")
    assert ran.code == 0, ran.err
    (path,) = only_run().glob("*_outcomes.json")
    assert read_json(path)["tasks"]["baby_count"]["values"]["acc"] == [1.0, 0.0, 1.0]


def test_a_file_is_of_one_set(counted: None, babycli: Babycli) -> None:
    Path("told.jsonl").write_text("\n".join(line(i, "2", task="baby_count") for i in range(3)))
    words = ("eval", "--model", "replay:told.jsonl", "--tasks", "baby_count")
    ran = babycli(*words)
    assert_explained(ran, 2)
    assert "does not say of which set its items are, and baby_count is asked on one, other" in ran.err
    ran = babycli(*words, "--set", "other")
    assert_explained(ran, 3)
    assert "told.jsonl, line 3: there is no item 2 of baby_count: its label file has 2, 0 to 1" in ran.err
    assert babycli(*words, "--set", "one").code == 0


def test_answers_that_were_not_written_cannot_be_chosen(counted: None, babycli: Babycli) -> None:
    Path("told.jsonl").write_text(line(0, "2"))
    ran = babycli("eval", "--model", "replay:told.jsonl", "--tasks", "baby_count", "--answers", "written,chosen")
    assert_explained(ran, 5)
    assert "cannot do baby_count" in ran.err
