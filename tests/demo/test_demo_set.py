"""The demo's DevCV set and its model: the published form, new pictures, and what they weigh."""

from __future__ import annotations

import json
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from babycli.commands.demo import DEVCV
from babycli.models import BUNDLED
from tests.conftest import REPOSITORY, Babycli

MODEL = BUNDLED["babyllava-v2-tiny"]
FILES = (
    *("pv", "localize", "leftright", "spatialdetails", "vdr_binary", "vdr_open"),
    *("compare_real", "compare_synthetic", "count", "memory", "subitize"),
)


@pytest.fixture(scope="module")
def files() -> Mapping[str, bytes]:
    with zipfile.ZipFile(DEVCV) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "tools"))


def items_of(files: Mapping[str, bytes], task: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(files[f"{task}_test.json"])
    return items


def said(item: Mapping[str, Any], who: str) -> list[str]:
    return [turn["value"] for turn in item["conversations"] if turn["from"] == who]


def test_the_set_and_its_model_are_at_most_6_megabytes() -> None:
    parts = [DEVCV, *MODEL.iterdir()]
    assert sum(part.stat().st_size for part in parts) <= 6_000_000


@pytest.mark.parametrize("task", FILES)
def test_every_item_has_its_pictures_and_an_answer_to_each_turn(files: Mapping[str, bytes], task: str) -> None:
    items = items_of(files, task)
    assert len(items) >= 12
    assert len({item["id"] for item in items}) == len(items)
    for item in items:
        asked, answered = said(item, "human"), said(item, "gpt")
        assert sum(text.count("<image>") for text in asked) == len(item["image"])
        assert len(asked) == len(answered) == len(item["conversations"]) / 2
        assert all(name in files for name in item["image"])
        assert ("bb" in item) == (task == "localize")
        assert ("labels" in item) == (task == "memory")


@pytest.mark.parametrize("task", [task for task in FILES if task != "memory"])
def test_no_answer_is_more_frequent_than_another(files: Mapping[str, bytes], task: str) -> None:
    answers = Counter(answer for item in items_of(files, task) for answer in said(item, "gpt"))
    assert len(answers) > 1
    assert len(set(answers.values())) == 1


def test_memory_is_built_as_the_published_one(files: Mapping[str, bytes]) -> None:
    """Of 3 B turns the first B are learning: each shows what is new and, but for the first, what was new before it."""
    lengths = set()
    for item in items_of(files, "memory"):
        labels, letters = item["labels"], said(item, "gpt")
        n_turns = len(labels)
        n_learned = n_turns // 3
        lengths.add(n_turns)
        assert n_turns == 3 * n_learned == len(letters)
        assert (len(labels[0]), letters[0]) == (1, "A")
        known: list[str] = []
        for shown, letter in zip(labels, letters, strict=True):
            (new,) = set(shown) - set(known)
            assert shown["AB".index(letter)] == new
            known.append(new)
        for before, turn in zip(known, labels[1:n_learned], strict=False):
            assert before in turn
        again = Counter(label for shown in labels[n_learned:] for label in shown if label in known[:n_learned])
        assert again == dict.fromkeys(known[:n_learned], 2)
    assert lengths == {15, 6, 3}


def test_no_picture_of_the_demo_was_trained_with(tools: None) -> None:
    import devcv_set
    import train_devcv_model
    from devcv_items import make_album

    shown = make_album(devcv_set.SEED, devcv_set.SIZES).views.values()
    trained = set(make_album(train_devcv_model.SEED, train_devcv_model.ALBUM).views.values())
    assert not trained & set(shown)
    drawn_again = {view.seed for view in trained} & {view.seed for view in shown}
    assert not drawn_again


def test_the_model_has_the_shape_and_the_words_that_its_recipe_gives_it(tools: None) -> None:
    import train_devcv_model
    from devcv_items import make_album

    written = json.loads((MODEL / "config.json").read_text())
    album = make_album(train_devcv_model.SEED, train_devcv_model.ALBUM)
    tokenizer = train_devcv_model.tokenizer_of(train_devcv_model.all_questions(album))
    assert json.loads((MODEL / "tokenizer.json").read_text()) == json.loads(tokenizer.to_str())
    assert written == train_devcv_model.config_of(tokenizer.get_vocab_size())


def test_the_model_is_above_chance_where_its_answers_are_chosen(babycli: Babycli, tmp_path: Path) -> None:
    """Two spaces are before an answer that is scored, and one is before an answer that is written."""
    with zipfile.ZipFile(DEVCV) as archive:
        archive.extractall(tmp_path / "downloads")
    assert babycli("data", "link", "--devcv", tmp_path / "downloads", "--data", tmp_path / "data").code == 0
    tasks = ["baby_compare_synthetic", "baby_count", "baby_subitize"]
    words = ("--answers", "chosen", "--data", tmp_path / "data", "--output-path", tmp_path / "logs")
    ran = babycli("eval", "--model", "babyllava-v2-tiny", "--tasks", ",".join(tasks), *words)
    assert ran.code == 0, ran.err
    (path,) = (tmp_path / "logs").glob("*/*/*_results.json")
    document = json.loads(path.read_bytes())
    for task in tasks:
        low, _ = document["ci95"][task]["acc_chosen"]
        assert low > 0.5, f"{task}: {low}"


@pytest.fixture(autouse=True)
def _forget_tools() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == REPOSITORY / "tools":
            del sys.modules[name]
