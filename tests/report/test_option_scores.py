"""What tasks name as the options of a choice is what they ask for the scores of, in that order, and a run tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babycli.report.load import load_logs
from babycli.report.option_scores import NO_CHOICE, WRITTEN, ScoredTask, scored_choices
from babycli.tasks import all_tasks
from babycli.tasks.machine_devbench.common import MachineDevBenchTask
from tests.conftest import Babycli
from tests.data.machine_devbench_set import adjective, draw, manifest, pair
from tests.report.devcv_data import write_set

OWN = """
from babycli.domain import Item, Metric, Outcome, Score, ask
from babycli.tasks.base import Needs, Task, choose, loss_of

class Own(Task):
    name = title = "own"
    question = "which word"
    metrics = (Metric("acc", "share", "acc", "acc", chance=1 / 3, is_main=True),)
    needs = Needs("score", n_images=0)
    label_path = "own/own.csv"
    columns = ("a", "b", "c")
    links = {}

    def items(self, rows):
        return [Item(str(i), (i,), (row,), ()) for i, row in enumerate(rows)]

    def play(self, item, asking):
        (row,) = item.rows
        answers = yield [Score(ask("which?"), row[column]) for column in self.columns]
        choice = choose([loss_of(answer, asking.scoring) for answer in answers], 1)
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)

    def options(self, item):
        OPTIONS

TASK = Own()
"""


@pytest.fixture(scope="module")
def scored(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ScoredTask]:
    """Every task of babycli as a control that guesses answered it, on the demo's data and drawn ones. Do not write."""
    from babycli.cli import main

    made = tmp_path_factory.mktemp("options")
    folder = made / "logs"
    write_set(made / "data", "ego4d", 3)
    drawn = {
        task.manifest.format(style="cartoon"): manifest(
            "cartoon", [(pair if name.startswith("gram_") else adjective)("cartoon", i) for i in range(3)]
        )
        for name, task in all_tasks().items()
        if isinstance(task, MachineDevBenchTask)
    }
    words = ["data", "link", "--machine-devbench", str(draw(made / "drawn", drawn)), "--data", str(made / "benchmark")]
    assert main(words) == 0
    for data, words in (
        (dataset, ["babyvlm"]),
        (made / "data", ["devcv", "--answers", "chosen"]),
        (made / "benchmark", ["machine_devbench"]),
    ):
        shown = ["--data", str(data), "--limit", "3", "--output-path", str(folder)]
        assert main(["eval", "--model", "control:random", "--tasks", *words, *shown]) == 0
    runs = load_logs(folder).runs
    return {task: scored_choices(run, task, dict) for run in runs for task in {task for task, _ in run.cells}}


@pytest.mark.parametrize("name", all_tasks())
def test_options_are_those_whose_scores_are_asked(name: str, scored: dict[str, ScoredTask]) -> None:
    found = scored[name]
    if name in ("baby_winoground", "saycam_caption", "baby_memory") or name.startswith("gram_"):
        assert (found.why_none, found.choices) == (NO_CHOICE, {})
        return
    assert len(found.choices) == 3
    for choice in found.choices.values():
        assert len(choice.options) == len(set(choice.options)) == len(choice.scores) > 1
        assert sum(choice.is_right) == 1


def test_options_stand_in_the_order_of_the_label_file(scored: dict[str, ScoredTask], dataset: Path) -> None:
    lines = (dataset / "vtwt" / "vtwt.csv").read_text().splitlines()
    columns = lines[0].split(",")
    for trial, choice in scored["vtwt"].choices.items():
        row = dict(zip(columns, lines[1 + int(trial)].split(","), strict=True))
        assert choice.options == (row["positive_phrase"], row["negative_phrase"])
        assert choice.is_right == (True, False)
    assert next(iter(scored["baby_compare_real"].choices.values())).options == ("A", "B")
    assert next(iter(scored["baby_vdr_binary"].choices.values())).options == ("left", "right")


def test_written_answers_have_no_distribution(tmp_path: Path, babycli: Babycli) -> None:
    write_set(tmp_path / "data", "ego4d", 3, ("baby_pv",))
    words = ("--data", tmp_path / "data", "--tasks", "baby_pv", "--output-path", tmp_path / "logs")
    assert babycli("eval", "--model", "control:random", "--answers", "written", *words).code == 0
    (run,) = load_logs(tmp_path / "logs").runs
    assert scored_choices(run, "baby_pv", dict).why_none == WRITTEN
    people = tmp_path / "people.csv"
    people.write_text("trial,option,share,n\n0,A,1,3\n")
    ran = babycli("report", tmp_path / "logs", "--humans", people)
    assert ran.code == 3
    assert "baby_pv has answers that are written only, and so no distribution" in ran.err


def run_own(babycli: Babycli, folder: Path, options: str) -> tuple[Path, str]:
    (folder / "data" / "own").mkdir(parents=True)
    (folder / "data" / "own" / "own.csv").write_text("a,b,c\nball,cup,dog\nsun,moon,star\n")
    (folder / "own.py").write_text(OWN.replace("OPTIONS", options))
    task = f"{folder / 'own.py'}:TASK"
    ran = babycli(
        "eval",
        "--model",
        "control:random",
        "--tasks",
        task,
        "--data",
        folder / "data",
        "--output-path",
        folder / "logs",
    )
    assert ran.code == 0, ran.err
    people = folder / "people.csv"
    people.write_text("trial,option,share,n\n0,ball,0,8\n0,cup,1,8\n0,dog,0,8\n")
    return people, task


def test_a_task_of_the_users_is_held_against_people(babycli: Babycli, tmp_path: Path) -> None:
    people, task = run_own(babycli, tmp_path, "return tuple(item.rows[0][column] for column in self.columns)")
    ran = babycli("report", tmp_path / "logs", "--humans", people, "--tasks", task, "--format", "json")
    assert ran.code == 0, ran.err
    (record,) = [record for record in json.loads(ran.out) if record["metric"] == "human_kl"]
    assert (record["task"], record["people_right"], record["n_units"]) == ("own", 1.0, 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("return ('cup',)", "options() names 1 candidates of item 0, and play() asks for 3 scores"),
        ("return 3", "options() gives 3 for item 0; expected is a tuple of texts"),
        ("return (1, 2, 3)", "options() gives (1, 2, 3) for item 0"),
        ("return item.rows[0]['colour']", "options() fails for item 0: KeyError"),
    ],
)
def test_mistakes_of_a_users_task_are_named(babycli: Babycli, tmp_path: Path, options: str, told: str) -> None:
    people, task = run_own(babycli, tmp_path, options)
    ran = babycli("report", tmp_path / "logs", "--humans", people, "--tasks", task)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
