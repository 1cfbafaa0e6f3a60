"""`babycli eval --sample N`: which trials it takes, what is said of them, and with which runs it is compared."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli import read_runs
from babycli.domain import Item
from babycli.evaluation.sampling import sampled
from babycli.logs.identity import Sample
from babycli.tasks import all_tasks
from babycli.tasks.base import Task
from tests.conftest import Babycli
from tests.evaluation.logs import only_run, read_json, results, samples
from tests.evaluation.test_resume import interrupted
from tests.report.noise import items_of

MODEL = ("eval", "--model", "control:random", "--tasks", "vtwt,baby_winoground,labeled_s")


def told(text: str) -> str:
    return " ".join(text.split())


def ids(task: Task, items: Sequence[Item], n: int, seed: int = 0) -> list[str]:
    return [item.item_id for item in sampled(task, items, Sample(n, seed))]


@pytest.mark.parametrize("name", sorted(all_tasks()))
def test_a_sample_is_nested_and_has_its_number_in_the_order_of_the_file(name: str) -> None:
    task, items = items_of(name, 50)
    order = [item.item_id for item in items]
    before: list[str] = []
    for n in (1, 2, 7, 20, 49, 50, 51):
        chosen = ids(task, items, n)
        assert len(chosen) == min(n, 50)
        assert set(before) <= set(chosen)
        assert chosen == [item_id for item_id in order if item_id in set(chosen)]
        before = chosen
    assert ids(task, items, 20) == ids(task, list(items), 20) != ids(task, items, 20, seed=1)


def test_every_group_has_its_share_to_within_one() -> None:
    task, items = items_of("labeled_s", 440)  # 22 categories of 20
    sizes = Counter(item.groups["category"] for item in items)
    for n in (22, 66, 100, 333):
        counts = Counter(item.groups["category"] for item in sampled(task, items, Sample(n)))
        assert all(abs(counts[name] - n * size / 440) <= 1 for name, size in sizes.items())


def published(shared: Path, name: str) -> tuple[Task, list[Item]]:
    task = all_tasks()[name]
    rows = list(csv.DictReader((shared / "labels" / task.label_path).open()))
    return task, task.items(rows)


def test_of_the_published_labels_all_categories_are_there(shared: Path) -> None:
    task, items = published(shared, "labeled_s")
    assert len({item.groups["category"] for item in items[:60]}) == 1
    assert set(Counter(item.groups["category"] for item in sampled(task, items, Sample(66))).values()) == {3}


def test_tasks_about_the_same_frames_take_the_same_ones(shared: Path) -> None:
    of_task = {}
    for name in ("vtwt", "baby_winoground"):
        task, items = published(shared, name)
        of_task[name] = {item.images[0].name: item for item in items}, sampled(task, items, Sample(100))
    (of_vtwt, vtwt), (of_winoground, winoground) = of_task["vtwt"], of_task["baby_winoground"]
    there = {item.images[0].name for item in vtwt} & set(of_winoground)
    taken = there & {item.images[0].name for item in winoground}
    assert len(of_vtwt) == 967
    assert len(taken) > 0.8 * len(there) > 20


def test_what_is_covered_is_said_and_every_model_gets_the_same(linked: Path, babycli: Babycli) -> None:
    ran = babycli(*MODEL, "--sample", 12, "--output-path", "one")
    assert ran.code == 0, ran.err
    folder = only_run(Path("one"))
    n = read_json(folder / "run.json")["identity"]["question"]["tasks"]["labeled_s"]["coverage"]
    assert n["n_groups"] == n["n_groups_in_file"] > 1
    assert f"labeled_s: 12 trials of all {n['n_groups']} categories ({n['n_items_in_file']} trials in all)" in ran.err
    assert "(sample 12)" in ran.out
    (record,) = read_runs("one").runs
    assert (record.sample, record.sample_seed, record.limit, dict(record.prompts)) == (12, 0, None, {})
    covers = f"Labeled-S 12 trials of all {n['n_groups']} categories ({n['n_items_in_file']} trials in all)"
    for form in ("table", "html", "latex"):
        out = told(babycli("report", "one", "--format", form).out)
        assert covers in out
        assert "drawn without replacement" in out
        assert form == "html" or ("by cluster" not in out and "cluster-aware" not in out)
    (record, *_) = json.loads(babycli("report", "one", "--format", "json").out)
    assert (record["sample"], record["sample_seed"], record["limit"]) == (12, 0, None)
    low, high = record["ci95_of_all_low"], record["ci95_of_all_high"]
    assert record["ci95_low"] < low <= record["value"] <= high < record["ci95_high"]

    seed = ("--model-args", "seed=4", "--batch-size", "3", "--output-path", "two")
    assert babycli(*MODEL[:-1], "labeled_s,baby_winoground,vtwt", "--sample", 12, *seed).code == 0
    for task in ("vtwt", "baby_winoground", "labeled_s"):
        places = [[line["doc_id"] for line in samples(only_run(Path(name)), task)] for name in ("one", "two")]
        assert places[0] == places[1]
    assert len(samples(folder, "baby_winoground")) == 24  # instances, not rows
    plan = read_json(folder / "run.json")["plan"]
    assert plan["requests"] < 12 * 2 + 12 * 4 + 12 * 4  # VTWT and Baby Winoground share some

    audited = babycli("report", "--audit", "one")
    assert audited.code == 0
    assert f"labeled_s: a sample of the trials: 12 trials of all {n['n_groups']} categories" in told(audited.out)


def test_an_interval_of_a_sample_travels_alone(linked: Path, babycli: Babycli, small: Path) -> None:
    assert babycli("eval", "--model", small, "--tasks", "vtwt", "--sample", 12).code == 0
    exported = json.loads(babycli("report", "logs", "--format", "eee").out)["evaluation_results"][0]["score_details"]
    page = babycli("report", "logs", "--format", "html").out
    assert re.search(r"<i>of all trials \[[\d.]+, [\d.]+\]</i>", page)
    assert "  sample       n 12, seed 0\n" in babycli("runs", "show", only_run()).out
    assert exported["uncertainty"].keys() == {"num_samples", "confidence_interval"}  # no error of other trials
    assert exported["uncertainty"]["confidence_interval"]["method"] == "of a sample without replacement (Cochran 1977)"


def test_a_limit_says_what_it_covers(linked: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:random", "--tasks", "labeled_s", "--limit", 5)
    n = read_json(only_run() / "run.json")["identity"]["question"]["tasks"]["labeled_s"]["coverage"]
    covered = f"5 trials of {n['n_groups']} of {n['n_groups_in_file']} categories"
    assert n["n_groups"] < n["n_groups_in_file"]
    assert f"labeled_s: {covered}" in ran.err
    assert f"(limit 5) covers: Labeled-S {covered}" in told(ran.out)
    assert babycli("eval", "--model", "control:constant", "--tasks", "labeled_s", "--limit", 5).code == 0
    compared = babycli("report", "logs", "--compare", "control:random", "control:constant")
    assert f"(limit 5) covers: Labeled-S {covered}" in told(compared.out)
    page = babycli("report", "logs", "--format", "html").out
    assert f"Runs marked (limit 5) cover of the tasks: Labeled-S {covered}" in page.split('id="methods-text"')[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sample", 5, "--limit", 5), "--limit and --sample choose different trials"),
        (("--seed", 5), "--seed is of --sample, which was not given"),
        (("--sample", 0), ""),
    ],
)
def test_contradicting_options_are_refused(words: Sequence[object], said: str, babycli: Babycli) -> None:
    ran = babycli(*MODEL, *words)
    assert ran.code == 2
    assert said in ran.err


def test_a_sample_that_is_no_part_is_the_whole_task(linked: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:random", "--tasks", "vtwt", "--sample", 5000)
    assert ran.code == 0
    n = results(only_run())["n_units"]["vtwt"]
    assert f"vtwt: all of its {n} trials, as --sample 5000 is more" in ran.err
    (record,) = json.loads(babycli("report", "--format", "json").out)
    assert record["covers"] is None
    assert record["ci95_of_all_low"] is None


@pytest.mark.long
def test_a_run_goes_on_with_its_own_sample_only(
    linked: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = babycli(*MODEL, "--sample", 9, "--output-path", "whole")
    interrupted(babycli, monkeypatch, 10, *MODEL[1:], "--sample", 9)
    assert babycli(*MODEL, "--sample", 8).code == 0  # another run, no conflict
    assert babycli(*MODEL, "--sample", 9, "--seed", 1).code == 0
    assert len(list(Path("logs").rglob("run.json"))) == 3
    ran = babycli(*MODEL, "--sample", 9)
    assert len(list(Path("logs").rglob("run.json"))) == 3
    assert ran.out == whole.out


def compared(babycli: Babycli, first: str, second: str) -> Any:
    return babycli("report", "--compare", first, second, "--format", "json")


@pytest.mark.long
def test_samples_are_compared_on_the_trials_of_the_smaller(linked: Path, babycli: Babycli) -> None:
    vtwt = ("eval", "--tasks", "vtwt", "--model", "control:random", "--model-args")
    for seed, words in enumerate(((), ("--sample", 20), ("--sample", 8), ("--sample", 8, "--seed", 2), ("--limit", 8))):
        assert babycli(*vtwt, f"seed={seed}", *words).code == 0
    for first, second, n in (("seed=0)", "seed=1)", 20), ("seed=1)", "seed=2)", 8), ("seed=0)", "seed=2)", 8)):
        (record,) = json.loads(compared(babycli, first, second).out)
        assert record["n_units"] == n
    ran = compared(babycli, "seed=1)", "seed=2)")
    records = json.loads(babycli("report", "--format", "json").out)
    (smaller,) = [record for record in records if (record["sample"], record["sample_seed"]) == (8, 0)]
    assert json.loads(ran.out)[0]["second_value"] == pytest.approx(smaller["value"])
    assert "saw samples of other seeds (0 and 2)" in compared(babycli, "seed=1)", "seed=3)").err
    ran = compared(babycli, "seed=1)", "seed=4)")
    assert ran.code == 3
    assert "one the first 8 of each task (--limit), the other 20 of all groups (--sample)" in ran.err


def test_the_name_of_a_model_means_all_trials_beside_a_sample_of_them(linked: Path, babycli: Babycli) -> None:
    vtwt = ("eval", "--tasks", "vtwt", "--model")
    assert babycli(*vtwt, "control:random").code == 0
    assert babycli(*vtwt, "control:random", "--sample", 8).code == 0
    assert babycli(*vtwt, "control:constant", "--sample", 8).code == 0
    ran = compared(babycli, "control:random", "control:constant")
    (record,) = json.loads(ran.out)
    assert (record["first"], record["second"]) == ("control:random (demo)", "control:constant (demo, sample 8)")
    assert record["n_units"] == 8
    assert "note: 'control:random' is taken for control:random (demo); it also fits" in ran.err
    assert babycli(*vtwt, "control:constant", "--sample", 12).code == 0
    ran = compared(babycli, "control:random", "control:constant")
    assert (ran.code, "'control:constant' fits 2 rows" in ran.err) == (2, True)
