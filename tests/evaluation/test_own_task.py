"""The example of docs/add_a_task.md: a task of several pictures and two turns in one file, from labels to report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image

from tests import checkpoints, hf_checkpoints
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import REPOSITORY, Babycli
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.evaluation.test_distributed import ended, start
from tests.evaluation.test_resume import stop_after
from tests.written_once import written_once

TASK = ("--tasks", "new_picture.py:TASK")
N_ITEMS = 12


def example() -> str:
    guide = (REPOSITORY / "docs" / "add_a_task.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    return str(code)


@pytest.fixture
def own(downloads: Path, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the task's file, its labels, and the demo's frames linked for it."""
    monkeypatch.chdir(tmp_path)
    Path("new_picture.py").write_text(example())
    names = sorted(path.name for path in (downloads / "saycam_images").iterdir())
    rows = [
        {"id": f"item {i}", "seen": names[i % 5], "new": names[(5 * i + 11) % len(names)], "answer": "AB"[i % 2]}
        for i in range(N_ITEMS)
    ]
    folder = tmp_path / "labels" / "new_picture"
    folder.mkdir(parents=True)
    (folder / "new_picture.json").write_text(json.dumps(rows))
    ran = babycli("data", "link", downloads / "saycam_images", *TASK, "--from", "labels")
    assert ran.code == 0, ran.err
    assert re.search(r"new_picture +ready", ran.out)
    return tmp_path


def wide(trunk: str, factory: pytest.TempPathFactory) -> Path:
    """A small BabyLLaVA with room for three pictures."""
    size = {"transformer": "n_positions", "model": "max_position_embeddings"}[trunk]

    def write(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            narrow = checkpoints.gpt2_settings
            patch.setattr(checkpoints, "gpt2_settings", lambda n: narrow(n) | {"n_positions": 512})
            write_checkpoint(folder, DEMO_WORDS, trunk=trunk, seed=5, config={size: 512})

    return written_once(factory, f"wide-{trunk}", write)


@pytest.fixture(params=["transformer", "model"])
def baby(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wide(request.param, tmp_path_factory)


@pytest.fixture
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def write(folder: Path) -> None:
        hf_checkpoints.write_hf(folder, "qwen2_vl")

    return written_once(tmp_path_factory, "own-task-qwen2-vl", write)


def told(folder: Path) -> list[tuple[Any, str]]:
    """All that was asked, and what was said, in no order."""
    return sorted(
        (json.dumps(line["turns"]), line["generated"])
        for path in folder.glob("scores.rank*.jsonl")
        for line in lines(path)
    )


def check(folder: Path, other: Path) -> None:
    assert told(folder) == told(other)
    assert results(folder)["results"] == results(other)["results"]
    assert samples(folder, "new_picture") == samples(other, "new_picture")


def test_data_commands_know_it(own: Path, babycli: Babycli) -> None:
    assert babycli("data", "verify", *TASK).code == 0
    status = json.loads(babycli("data", "status", *TASK, "--json").out)
    assert status["new_picture"]["ready"]
    assert status["new_picture"]["rows"] == N_ITEMS


def test_two_turns_with_the_models_own_words(own: Path, baby: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", baby, *TASK)
    assert ran.code == 0, ran.err
    folder = only_run(Path("logs"))
    said = lines(folder / "scores.rank0.jsonl")
    first = {json.dumps(line["turns"]): line["generated"] for line in said if len(line["turns"]) == 1}
    second = [line["turns"] for line in said if len(line["turns"]) == 3]
    assert len(first) == 5  # five pictures are seen first
    assert len(second) == N_ITEMS
    for turns in second:
        assert turns[1] == ["model", [first[json.dumps(turns[:1])]]]
        assert [part for part in turns[2][1] if isinstance(part, str)] == ["Touch the new picture. (A) ", " (B) ", ""][
            :2
        ]
        shown = [part["image"] for part in turns[2][1] if isinstance(part, dict)]
        assert turns[0][1][1]["image"] in shown
    logged = samples(folder, "new_picture")
    assert [line["doc"]["id"] for line in logged] == [f"item {i}" for i in range(N_ITEMS)]
    assert all(len(line["resps"]) == 2 for line in logged)
    assert "USER" not in logged[0]["prompt"]
    assert logged[0]["prompt"].count("<image>") == 3
    document = results(folder)
    assert document["results"]["new_picture"]["words,none"] > 0
    assert document["chance"]["new_picture"] == {"acc": 0.5, "words": None}
    counts = read_json(folder / "run.json")["plan"]
    assert counts["rounds"] == 2
    assert counts["requests"] == len(said)
    assert counts["images"] == len(
        {str(part) for line in said for _, parts in line["turns"] for part in parts if isinstance(part, dict)}
    )
    assert document["tasks"]["new_picture"]["title"] == "New Picture"


@pytest.mark.long
def test_it_does_not_matter_how_it_is_computed(own: Path, baby: Path, babycli: Babycli) -> None:
    assert babycli("eval", "--model", baby, *TASK, "--output-path", "plain").code == 0
    ways: dict[str, Sequence[object]] = {
        "one": ("--batch-size", 1),
        "seven": ("--batch-size", 7),
        "anew": ("--no-prefix-reuse",),
        "checked": ("--batch-check", N_ITEMS),
    }
    for name, words in ways.items():
        assert babycli("eval", "--model", baby, *TASK, *words, "--output-path", name).code == 0
        check(only_run(Path(name)), only_run(Path("plain")))
    check_of = read_json(only_run(Path("checked")) / "run.json")["batch_check"]["new_picture"]
    assert (check_of["n_trials"], check_of["n_flipped"]) == (N_ITEMS, 0)


@pytest.mark.parametrize(
    ("baby", "n_scores"),
    [
        pytest.param(trunk, n, marks=[] if (trunk, n) in (("transformer", 5), ("model", 9)) else pytest.mark.long)
        for trunk in ("transformer", "model")
        for n in (0, 3, 5, 9, 16)
    ],
    indirect=["baby"],
)
def test_it_goes_on_after_an_interruption(
    n_scores: int, own: Path, baby: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert babycli("eval", "--model", baby, *TASK, "--batch-size", 3, "--output-path", "whole").code == 0
    with monkeypatch.context() as patch:
        stop_after(n_scores, patch)
        ran = babycli("eval", "--model", baby, *TASK, "--batch-size", 3)
    assert ran.code == 130
    assert "the same command goes on" in ran.err
    assert babycli("eval", "--model", baby, *TASK, "--batch-size", 3).code == 0
    check(only_run(Path("logs")), only_run(Path("whole")))


@pytest.mark.long
def test_two_processes_are_as_one(own: Path, babycli: Babycli, tmp_path_factory: pytest.TempPathFactory) -> None:
    baby = wide("model", tmp_path_factory)
    assert babycli("eval", "--model", baby, *TASK, "--output-path", "one").code == 0
    rans = ended(start(2, "--model", baby, *TASK, "--batch-size", 2))
    assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
    folder = only_run(Path("logs"))
    assert len(list(folder.glob("scores.rank*.jsonl"))) == 2
    check(folder, only_run(Path("one")))


@pytest.mark.long
def test_a_model_of_transformers_plays_it(
    own: Path, qwen: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert babycli("eval", "--model", qwen, *TASK, "--output-path", "plain").code == 0
    plain = only_run(Path("plain"))
    assert results(plain)["unanswered"] == {"new_picture": 0}
    assert babycli("eval", "--model", qwen, *TASK, "--batch-size", 1, "--output-path", "single").code == 0
    check(only_run(Path("single")), plain)
    with monkeypatch.context() as patch:
        stop_after(8, patch)
        assert babycli("eval", "--model", qwen, *TASK).code == 130
    assert babycli("eval", "--model", qwen, *TASK).code == 0
    check(only_run(Path("logs")), plain)


@pytest.mark.parametrize("control", ["blind", "shuffled", "constant"])
def test_controls(control: str, own: Path, babycli: Babycli, tmp_path_factory: pytest.TempPathFactory) -> None:
    baby = wide("model", tmp_path_factory)
    ran = babycli("eval", "--model", baby, *TASK, "--control", control)
    assert ran.code == 0, ran.err
    said = lines(only_run(Path("logs")) / "scores.rank0.jsonl")
    images = {part["image"] for line in said for _, parts in line["turns"] for part in parts if isinstance(part, dict)}
    assert (images == {"no picture"}) == (control == "blind")


def test_the_cache_knows_conversations(own: Path, babycli: Babycli, tmp_path_factory: pytest.TempPathFactory) -> None:
    baby = wide("model", tmp_path_factory)
    assert babycli("eval", "--model", baby, *TASK, "--cache", "kept", "--output-path", "first").code == 0
    ran = babycli("eval", "--model", baby, *TASK, "--cache", "kept", "--output-path", "again")
    assert ran.code == 0
    assert "5 of 5 scores are on disk" in ran.err  # of the first round: five pictures are seen first
    first, again = (only_run(Path(place)) for place in ("first", "again"))
    assert len(lines(again / "scores.rank0.jsonl")) == len(lines(first / "scores.rank0.jsonl"))
    assert read_json(again / "run.json")["timings"]["vision"] == 0  # nothing was computed
    check(only_run(Path("again")), only_run(Path("first")))


def test_a_model_too_short_misses_and_says_so(own: Path, small: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", small, *TASK)
    assert ran.code == 7
    assert f"new_picture: {N_ITEMS} of {N_ITEMS} trials could not be answered and count as misses" in ran.err
    assert "does not fit the model's 128" in ran.err
    document = results(only_run(Path("logs")))
    assert document["unanswered"] == {"new_picture": N_ITEMS}
    assert document["results"]["new_picture"]["acc,none"] == 0.0


def test_a_model_of_one_picture_leaves_it_out(own: Path, babycli: Babycli) -> None:
    Path("narrow.py").write_text(
        "class Narrow:\n"
        "    def __init__(self, device, dtype): ...\n"
        "    def generate(self, images, prompts, max_new_tokens):\n"
        "        return ['a ball'] * len(prompts)\n"
    )
    ran = babycli("eval", "--model", "narrow.py", *TASK)
    assert ran.code == 5
    assert "it has up to 3 pictures at once, and the model takes 1" in ran.err


def test_a_class_that_takes_several_gets_lists(own: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("several.py").write_text(
        "class Several:\n"
        "    max_images = None\n"
        "    max_turns = None\n"
        "    asked = []\n"
        "    def __init__(self, device, dtype): ...\n"
        "    def generate(self, images, prompts, max_new_tokens):\n"
        "        self.asked.extend(zip(images, prompts))\n"
        "        Several.asked = self.asked\n"
        "        return [f'{len(i)} pictures, {len(p)} turns' for i, p in zip(images, prompts)]\n"
    )
    assert babycli("eval", "--model", "several.py", *TASK).code == 0
    texts = {line["generated"] for line in lines(only_run(Path("logs")) / "scores.rank0.jsonl")}
    assert texts == {"1 pictures, 1 turns", "3 pictures, 3 turns"}


def test_the_report_knows_it_from_its_runs(
    own: Path, babycli: Babycli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As in a process of its own, which has not seen the file."""
    from babycli import tasks

    baby = wide("model", tmp_path_factory)
    assert babycli("eval", "--model", baby, *TASK).code == 0
    audited = babycli("report", "logs", "--audit")
    assert audited.code == 0
    assert "nothing found" in audited.out
    words = results(only_run(Path("logs")))["results"]["new_picture"]["words,none"]
    assert re.search(rf"words said +{words:.2f} +{words:.2f} +\d", audited.out)  # in its own unit, not in percent
    tasks._registered.clear()
    for form in ("table", "md", "csv", "json", "latex", "html"):
        ran = babycli("report", "logs", "--format", form)
        assert ran.code == 0, ran.err
        assert "New Picture" in ran.out or "new_picture" in ran.out
    table = babycli("report", "logs").out
    assert "words" in table
    audited = babycli("report", "logs", "--audit")
    assert audited.code == 7  # a task whose file is not known is not checked, and says so
    assert "new_picture" in audited.out
    assert babycli("report", "logs", "--audit", *TASK).code == 0


LABEL_PATH = '    label_path = "new_picture/new_picture.json"  # inside the dataset folder\n'
MISTAKES = [
    ("TASK = NewPicture()", "TASK = 3", "TASK of new_picture.py is 3"),
    ("TASK = NewPicture()", "", "has no 'TASK'"),
    ("    unit", "    unit = = 1\n    unit", "SyntaxError"),
    (LABEL_PATH, "", "does not say its label_path"),
    ("yield [Write(context, max_new_tokens=8)]", "yield []", "expected is a list of Score, Match and Write"),
    ('"words": float(len(remark.split()))', "", "expected is an Outcome with acc, words"),
    ('"acc": float(is_right)', '"acc": 1.5', "gives item item 0 1.5 of acc; expected is a number from 0 to 1"),
    ("        remark = text_of(answers[0])", "        remark = row['nothing']", "KeyError: 'nothing'"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_a_mistake_in_the_file_is_named(
    old: str, new: str, message: str, own: Path, babycli: Babycli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = Path("new_picture.py").read_text()
    assert old in text
    Path("new_picture.py").write_text(text.replace(old, new))
    ran = babycli("eval", "--model", wide("model", tmp_path_factory), *TASK)
    assert ran.code == 2, ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_an_entry_point(own: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path("site") / "babies-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Name: babies\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[babycli.tasks]\nnew_picture = babies_task:TASK\n")
    (Path("site") / "babies_task.py").write_text(example())
    monkeypatch.syspath_prepend(str(Path("site").absolute()))
    from babycli import tasks

    tasks._registered.clear()
    tasks._installed.cache_clear()
    try:
        assert "new_picture" in babycli("tasks").out
        ran = babycli("eval", "--model", "control:random?seed=1", "--tasks", "new_picture")
        assert ran.code == 0, ran.err
    finally:
        tasks._installed.cache_clear()


def test_pictures_are_opened_once(
    own: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from babycli.models.parts.llava_model import LlavaModel

    seen = 0
    encode = LlavaModel.encode

    def counting(self: LlavaModel, pixels: Sequence[Any]) -> Any:
        nonlocal seen
        seen += len(pixels)
        return encode(self, pixels)

    monkeypatch.setattr(LlavaModel, "encode", counting)
    opened: list[Image] = []
    preprocess = LlavaModel.preprocess

    def noting(self: LlavaModel, image: Image) -> Any:
        opened.append(image)
        return preprocess(self, image)

    monkeypatch.setattr(LlavaModel, "preprocess", noting)
    assert babycli("eval", "--model", wide("model", tmp_path_factory), *TASK, "--batch-size", 2).code == 0
    said = lines(only_run(Path("logs")) / "scores.rank0.jsonl")
    images = {part["image"] for line in said for _, parts in line["turns"] for part in parts if isinstance(part, dict)}
    assert seen == len(opened) == len(images)
