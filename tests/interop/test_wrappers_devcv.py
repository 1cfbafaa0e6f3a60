"""Wrappers of lmms-eval on DevCV tasks: several pictures, several turns, through all three of their methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli, Ran
from tests.interop import devcv_wrapper
from tests.interop.devcv_wrapper import LABELS, SET, TURNS, WRAPPER
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_plugin import run_json, samples
from tests.written_once import written_once

TASKS = tuple(LABELS)
Evaluated = Callable[..., Ran]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dataset/ and checkpoint/. Do not write."""

    def write(folder: Path) -> None:
        devcv_wrapper.write_set(folder / "dataset")
        devcv_wrapper.write_checkpoint(folder / "checkpoint")

    return written_once(tmp_path_factory, "devcv-wrapper", write)


@pytest.fixture
def evaluate(babycli: Babycli, tiny: Path, tmp_path: Path) -> Evaluated:
    """`babycli eval` of the checkpoint, or of a wrapper's text, on the small set; logs go to a folder by name."""

    def run(logs: str, code: str | None, *words: object, args: str = "") -> Ran:
        model: object = tiny / "checkpoint"
        given = f"conv_template=baby_v1{args}"
        if code is not None:
            path = tmp_path / "model.py"
            path.write_text(code)
            model, given = f"lmms:{path}", f"sign=loss,pretrained={tiny / 'checkpoint'}{args}"
        tasks = () if "--tasks" in words else ("--tasks", ",".join(TASKS))
        common = ("--data", tiny / "dataset", "--output-path", tmp_path / logs, "--max-new-tokens", 6)
        return babycli("eval", "--model", model, "--model-args", given, *common, *tasks, *words)

    return run


def resps(logs: Path, task: str) -> list[list[list[Any]]]:
    return [line["resps"] for line in samples(logs, task)]


def test_texts_and_conversations_are_babyclis_own(evaluate: Evaluated, tmp_path: Path) -> None:
    for logs, code in (("own", None), ("wrapped", WRAPPER)):
        ran = evaluate(logs, code)
        assert ran.code == 0, ran.err
    for task in TASKS:
        assert resps(tmp_path / "wrapped", task) == resps(tmp_path / "own", task)
    replies = [line for task in TASKS for line in resps(tmp_path / "wrapped", task)]
    assert len({str(line) for line in replies}) > 4  # they tell the items apart
    memory = resps(tmp_path / "wrapped", "baby_memory")
    assert [len(turns) for turns in memory] == [len(TURNS)] * 3
    assert memory[0][0] == memory[2][0]
    assert memory[0] != memory[2]


def test_losses_are_babyclis_own(evaluate: Evaluated, tmp_path: Path) -> None:
    chosen = ("--answers", "chosen", "--tasks", "baby_pv,baby_leftright,baby_count")
    for logs, code in (("own", None), ("wrapped", WRAPPER)):
        ran = evaluate(logs, code, *chosen)
        assert ran.code == 0, ran.err
    for task, n in (("baby_pv", 4), ("baby_leftright", 3), ("baby_count", 12)):
        own, wrapped = (
            [score[0] for row in resps(tmp_path / logs, task) for score in row] for logs in ("own", "wrapped")
        )
        assert len(own) == n * len(LABELS[task])
        assert wrapped == pytest.approx(own, abs=2e-5)
        assert len(set(own)) > n


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            "self.pixels(visuals), gen_kwargs", "self.pixels(visuals[::-1]), gen_kwargs", marks=pytest.mark.long
        ),
        pytest.param(
            'doc["image"][shown : shown + n]', 'doc["image"][::-1][shown : shown + n]', marks=pytest.mark.long
        ),
        ('prompt += f" {response}<eos>" if response else ""', 'prompt += " A<eos>"'),
    ],
    ids=["order", "order in turns", "history"],
)
def test_another_order_or_history_is_noticed(old: str, new: str, evaluate: Evaluated, tmp_path: Path) -> None:
    """The comparison can fail."""
    assert WRAPPER.count(old) == 1
    for logs, code in (("own", None), ("wrapped", WRAPPER.replace(old, new))):
        assert evaluate(logs, code).code == 0
    assert [resps(tmp_path / "own", task) for task in TASKS] != [resps(tmp_path / "wrapped", task) for task in TASKS]


# What a wrapper finds, written into its replies.
TELLING = """
    def generate_until(self, requests):
        res = []
        for words, wish, doc_to_visual, doc_id, task, split in [r.args for r in requests]:
            doc = self.task_dict[task][split][doc_id]
            sizes = [visual.size for visual in doc_to_visual(doc)]
            assert sizes == [visual.size for visual in doc_to_visual(dict(doc))]
            assert sizes == [Image.open(path).size for path in doc["image"]]
            res.append(json.dumps([words, wish["max_new_tokens"], sizes, doc_id, sorted(doc)]))
        return res

    def generate_until_multi_round(self, requests):
        res = []
        for words, wish, doc_to_visual, doc_to_text, doc_id, task, split in [r.args for r in requests]:
            doc = self.task_dict[task][split][doc_id]
            assert [v.size for v in doc_to_visual(doc)] == [Image.open(p).size for p in doc["image"]]
            assert doc_to_text(doc) == words
            told, round_idx, replies, info = [[words, len(doc["image"])]], 1, ["A"], None
            while True:
                visuals, words, is_over, replies, info = doc_to_text(
                    doc, previous_output=replies, round_idx=round_idx, previous_round_info=info
                )
                if is_over:
                    break
                told.append([words, [visual.size for visual in visuals]])
                replies, round_idx, info = [*replies, "A"], round_idx + 1, "mine"
            assert (visuals, words, replies, info) == (None, None, ["A"] * round_idx, "mine")
            doc["conversations"][0]["value"] = "spoiled"
            res.append(tuple(json.dumps(turn) for turn in told))
        return res
"""


def telling(methods: str = TELLING) -> str:
    head, _, _ = WRAPPER.partition("    def generate_until(")
    return head + methods


def test_what_a_wrapper_finds(evaluate: Evaluated, tmp_path: Path) -> None:
    """Pictures in their order, as PIL and as files; a conversation in the form of lmms-eval, its replies as texts."""
    ran = evaluate("logs", telling())
    assert ran.code == 0, ran.err

    def sizes(*numbers: int) -> list[list[int]]:
        return [[40 + 8 * number, 48] for number in numbers]

    (first,), (second,) = ([json.loads(r[0]) for r in row] for row in resps(tmp_path / "logs", "baby_pv"))
    assert first == [devcv_wrapper.DOG, 6, sizes(0, 1, 2, 3), 0, ["conversations", "id", "image"]]
    assert second == [devcv_wrapper.CUP, 6, sizes(3, 1, 0, 2), 1, ["conversations", "id", "image"]]
    ((without_place,),) = [[json.loads(r[0]) for r in row] for row in resps(tmp_path / "logs", "baby_count")[1:]]
    assert without_place[0] == "How many {cup} do you see?"
    talk = [json.loads(turn[0]) for turn in resps(tmp_path / "logs", "baby_memory")[1]]
    assert talk == [[TURNS[0], 5], [TURNS[1], sizes(4, 3)], [TURNS[2], sizes(5, 3)]]
    assert [line["doc"] for line in samples(tmp_path / "logs", "baby_memory")] == LABELS["baby_memory"]


def test_its_files_are_gone(evaluate: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert evaluate("logs", WRAPPER, "--tasks", "baby_memory").code == 0
    assert not list((tmp_path / "tmp").glob("babycli-*"))


def test_the_right_history_is_refused(evaluate: Evaluated) -> None:
    ran = evaluate("logs", WRAPPER, "--history", "gold", "--tasks", "baby_memory")
    assert_explained(ran, 5, "cannot do baby_memory", "goes on with the model's own replies, and --history gold")


def test_without_conversations_memory_is_left_out(evaluate: Evaluated, tmp_path: Path) -> None:
    head, _, _ = WRAPPER.partition("    def generate_until_multi_round(")
    code = head + "    def generate_until_multi_round(self, requests):\n        raise NotImplementedError\n"
    ran = evaluate("logs", code, "--tasks", "baby_count,baby_memory")
    assert_explained(ran, 5, "cannot do baby_memory", "15 turns, and the model takes 1")
    ran = evaluate("logs", code, "--tasks", "devcv")
    assert ran.code in (2, 5)  # the group is named, so all of it must be done


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("json.dumps(responses[:2])", "2 replies in a conversation of 3 turns"),
        ("json.dumps(dict.fromkeys(responses))", "the replies of each conversation"),
        ("responses[0]", "the replies of each conversation"),
        ("[1, 2, 3]", "a text (str) for each request"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_is_no_conversation(given: str, expected: str, evaluate: Evaluated) -> None:
    code = WRAPPER.replace("res.append(json.dumps(responses))", f"res.append({given})")
    assert_explained(evaluate("logs", code, "--tasks", "baby_memory"), 5, "model.py", expected)


def test_answers_in_a_conversation_are_not_scored(evaluate: Evaluated) -> None:
    ran = evaluate("logs", WRAPPER, "--answers", "chosen", "--tasks", "baby_memory")
    assert ran.code == 7, ran.err
    assert "an answer to be scored in a conversation, and a wrapper scores none there" in ran.err


def test_replies_that_change_are_no_answer(evaluate: Evaluated) -> None:
    """A wrapper that says something else when it is asked again: a reply behind another history is not the model's."""
    code = WRAPPER.replace(
        "responses.append(response)", 'self.n = getattr(self, "n", 0) + 1; responses.append(f"{response} {self.n}")'
    )
    ran = evaluate("logs", code, "--tasks", "baby_memory")
    assert ran.code == 0, ran.err
    assert "a wrapper goes on with its own replies, and these are others" in ran.err


def test_a_continued_run_asks_for_the_whole_conversation_again(
    evaluate: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate("whole", WRAPPER, "--tasks", "baby_memory").code == 0
    broken = WRAPPER.replace(
        "            res.append(json.dumps(responses))",
        '            assert not Path("stop").exists() or doc_id < 1\n            res.append(json.dumps(responses))',
    )
    monkeypatch.chdir(tmp_path)
    assert evaluate("cut", broken, "--tasks", "baby_memory", "--batch-size", 1).code == 0
    (scores,) = (tmp_path / "cut").glob("*/*/scores.rank0.jsonl")
    lines = scores.read_bytes().splitlines(keepends=True)
    scores.write_bytes(b"".join(lines[:4]))
    for path in scores.parent.glob("*_results.json"):
        path.unlink()
    run = scores.parent / "run.json"
    run.write_text(run.read_text().replace('"done"', '"stopped"'))
    assert evaluate("cut", broken, "--tasks", "baby_memory", "--batch-size", 1).code == 0
    assert resps(tmp_path / "cut", "baby_memory") == resps(tmp_path / "whole", "baby_memory")


def test_two_sets_in_one_command(evaluate: Evaluated, tiny: Path, tmp_path: Path) -> None:
    """Documents of the second set are behind those of the first: no number means two of them."""
    other = tmp_path / "dataset" / "devcv"
    other.mkdir(parents=True)
    (other / SET).symlink_to(tiny / "dataset" / "devcv" / SET)
    (other / "zwei").mkdir()
    (other / "zwei" / "images").symlink_to(tiny / "dataset" / "devcv" / SET / "images")
    entries = LABELS["baby_count"]
    (other / "zwei" / "baby_count.json").write_text(json.dumps(entries[::-1]))
    code = telling().replace("res.append(json.dumps([words", "res.append(json.dumps([task, words")
    words = ("--tasks", "baby_count", "--data", tmp_path / "dataset")
    ran = evaluate("logs", code, *words)
    assert ran.code == 0, ran.err
    told = [
        json.loads(line["resps"][0][0])
        for path in sorted((tmp_path / "logs").glob("*/*/*_samples_baby_count.jsonl"))
        for line in map(json.loads, path.read_text().splitlines())
    ]
    assert sorted((words, number) for _, words, _, _, number, _ in told) == sorted(
        [(entry["conversations"][0]["value"], n) for n, entry in enumerate([*entries, *entries[::-1]])]
    )


def test_models_show_says_what_is_lacking(evaluate: Evaluated, babycli: Babycli, tmp_path: Path) -> None:
    head, _, _ = WRAPPER.partition("    def generate_until_multi_round(")
    path = tmp_path / "model.py"
    path.write_text(
        head + "    def generate_until_multi_round(self, requests):\n        raise NotImplementedError('no')\n"
    )
    ran = babycli("models", "show", f"lmms:{path}")
    assert ran.code == 0, ran.err
    assert "all that generate_until_multi_round does is  raise NotImplementedError('no')" in ran.out


def test_run_json_names_what_was_not_tried(evaluate: Evaluated, tmp_path: Path) -> None:
    assert evaluate("logs", WRAPPER, "--tasks", "baby_count").code == 0
    notes = run_json(tmp_path / "logs")["model"]["notes"]
    assert any("generate_until_multi_round was not tried" in note for note in notes)
