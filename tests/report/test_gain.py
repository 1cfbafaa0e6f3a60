"""The visual gain: what it is held against, and how seldom a model that sees nothing has one."""

from __future__ import annotations

import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babycli.tasks import all_tasks, saycam_caption
from babycli.tasks.meteor import meteor
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run
from tests.report.noise import MODELS, Noise, gains, items_of
from tests.report.test_parts import told

BABYVLM = ("labeled_s", "vtwt", "baby_winoground", "saycam_caption")
CONTEXTS = ("positive_context_group_score", "negative_context_group_score")


# Of Machine-DevBench one lexical and one grammatical task: the others are of the same code.
ALIKE = {
    task.name
    for task in all_tasks().values()
    if task.data_set == "machine_devbench" and task.name not in ("lex_nouns", "gram_negation")
}


@pytest.fixture(autouse=True)
def _meteor_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saycam_caption, "meteor", functools.cache(meteor))


def counted(task: str, n: int, noise: Noise, n_models: int) -> tuple[Counter[Any], set[Any]]:
    """How often all of the interval of a gain is above 0, by control and metric; and which of these have gains."""
    found: Counter[Any] = Counter()
    measured = set()
    bound, items = items_of(task, n)
    for seed in range(n_models):
        for control, gain in zip(("blind", "shuffled"), gains(bound, items, noise, seed), strict=True):
            for column, pair in gain.by_column.items() if gain else ():
                measured.add((control, column[1]))
                found[control, column[1]] += pair.ci95[0] > 0  # without which no gain is called significant
    return found, measured


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(m, marks=[] if m.name == "all" else pytest.mark.long)
        for m in MODELS
        if m.name in ("independent", "all")
    ],
    ids=lambda m: m.name,
)
@pytest.mark.parametrize("task", BABYVLM)
def test_a_model_that_sees_nothing_has_no_gain(task: str, noise: Noise) -> None:
    n_models = 12
    found, measured = counted(task, 40, noise, n_models)
    assert {metric for control, metric in measured if control == "shuffled"} == {
        metric.name for metric in all_tasks()[task].metrics
    }
    assert sum(found.values()) <= 1 + 0.05 * n_models * len(measured)


@pytest.mark.long
@pytest.mark.parametrize("noise", MODELS, ids=lambda m: m.name)
@pytest.mark.parametrize("task", sorted(name for name in all_tasks() if name not in ALIKE))
def test_at_most_one_model_in_twenty_that_sees_nothing_has_a_gain(task: str, noise: Noise) -> None:
    if noise.is_dual and task.startswith("baby_") and task not in BABYVLM:
        pytest.skip("what dual encoders are asked there has no words")
    # At a rate of 5 %, no more are found in 97 % of cases. METEOR is compared by bootstrap, which takes long.
    n_models, most = (30, 4) if task == "saycam_caption" else (100, 9)
    found, measured = counted(task, 60, noise, n_models)
    assert measured
    assert not [key for key in measured if found[key] > most]


@pytest.mark.long
@pytest.mark.parametrize(("task", "n"), [("labeled_s", 2200), ("vtwt", 967), ("baby_winoground", 365)])
def test_so_it_is_with_as_many_trials_as_the_task_has(task: str, n: int) -> None:
    noise = next(model for model in MODELS if model.name == "all")
    found, measured = counted(task, n, noise, 40)
    assert not [key for key in measured if found[key] > 4]


# ---------------------------------------------------------------- what it is held against


def records(babycli: Babycli, logs: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Those of the model, by task and metric."""
    found = json.loads(babycli("report", logs, "--format", "json").out)
    return {(record["task"], record["metric"]): record for record in found if record["control"] is None}


def write(logs: Path, shares: dict[str, float], control: str | None, day: int) -> dict[str, Any]:
    values = drawn(day, shares)
    write_run(logs, "m", values, control=control, date=f"202601{day:02}_120000")
    return values


def mean(values: dict[str, Any], task: str, metric: str) -> float:
    return float(np.mean(values[task][metric]))


def test_a_blind_run_below_chance_gives_way_to_chance(tmp_path: Path, babycli: Babycli) -> None:
    shares = {"vtwt": 0.7, "baby_winoground": 0.35, "saycam_caption": 0.2}
    seeing = write(tmp_path, shares, None, 1)
    blind = write(tmp_path, {"vtwt": 0.6, "baby_winoground": 0.0, "saycam_caption": 0.1}, "blind", 2)
    found = records(babycli, tmp_path)
    for metric, chance in (("image_score", 1 / 4), ("text_score", 1 / 4), ("group_score", 1 / 6)):
        of_metric = found["baby_winoground", metric]
        assert of_metric["visual_gain_over"] == "chance"
        assert of_metric["visual_gain"] == pytest.approx(of_metric["value"] - chance)
        assert of_metric["visual_gain_low"] < of_metric["visual_gain"] < of_metric["visual_gain_high"]
    assert found["baby_winoground", "group_score"]["visual_gain_significant"]
    of_vtwt = found["vtwt", "acc"]
    assert of_vtwt["visual_gain_over"] == "blind"
    assert of_vtwt["visual_gain"] == pytest.approx(mean(seeing, "vtwt", "acc") - mean(blind, "vtwt", "acc"))
    assert of_vtwt["visual_gain_significant"]
    for untold in (*(("baby_winoground", metric) for metric in CONTEXTS), ("saycam_caption", "meteor")):
        assert found[untold]["visual_gain"] is None
    note = "A run without pictures does not tell the visual gain of Wino pos, Wino neg, Caption METEOR: one with"
    for form in ("table", "latex"):
        assert note in told(babycli("report", tmp_path, "--notes", "--format", form).out)


@pytest.mark.parametrize("form", ["table", "md"])
def test_each_line_of_a_gain_has_a_name_of_its_own(form: str, tmp_path: Path, babycli: Babycli) -> None:
    """Also where blanks before it are not shown."""
    for day, control in enumerate((None, "blind", "shuffled"), 1):
        write(tmp_path, {"vtwt": 0.7 if control is None else 0.5}, control, day)
    record = records(babycli, tmp_path)["vtwt", "acc"]
    lines = babycli("report", tmp_path, "--format", form).out.splitlines()
    for name, field in (("visual gain", ""), ("gain, 95 % from", "_low"), ("gain, 95 % to", "_high")):
        shown = f"{100 * record[f'visual_gain{field}']:+.1f}"
        if form == "md":
            assert f"| {name} | {shown} |" in lines
        else:
            assert [line.split()[-1] for line in lines if line.strip().startswith(name)] == [shown]


FORMS = (("table",), ("md",), ("table", "--notes"), ("latex",), ("html",))


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_a_table_says_what_the_gain_of_each_column_is_over(
    form: tuple[str, ...], tmp_path: Path, babycli: Babycli
) -> None:
    logs = tmp_path / "logs"
    write(logs, {"baby_winoground": 0.5, "labeled_s": 0.6, "vtwt": 0.7}, None, 1)
    write(logs, {"labeled_s": 0.3}, "shuffled", 2)
    write(logs, {"baby_winoground": 0.0, "vtwt": 0.6}, "blind", 3)
    named = {"shuffled": ["Labeled-S acc"], "blind": ["VTWT acc"], "chance": ["Wino image", "Wino text", "Wino group"]}
    over: dict[str, list[str]] = {}
    for column, record in records(babycli, logs).items():
        if record["visual_gain_over"]:
            over.setdefault(record["visual_gain_over"], []).append(column[0])
    assert {kind: len(columns) for kind, columns in over.items()} == {kind: len(of) for kind, of in named.items()}
    words = "; over ".join(f"{kind} in {', '.join(named[kind])}" for kind in ("blind", "chance", "shuffled"))
    said = told(babycli("report", logs, "--format", *form).out)
    assert f"over {words}" in said
    alone = told(babycli("report", logs, "--format", *form, "--tasks", "vtwt").out)
    assert "over blind" in alone
    assert "over shuffled" not in alone


def test_rows_that_differ_in_what_their_gain_is_over_are_named(tmp_path: Path, babycli: Babycli) -> None:
    """Up to four; of more rows, csv and json say it of each."""
    for day, blind in enumerate((0.2, 0.8), 1):
        for control, share in ((None, 0.9), ("blind", blind)):
            values = drawn(day, {"vtwt": share})
            write_run(tmp_path, f"m{day}", values, control=control, date=f"202601{day + 2 * bool(control):02}_120000")
    assert "visual gain over blind in VTWT acc (m2); over chance in VTWT acc (m1)" in told(
        babycli("report", tmp_path).out
    )
    for day in range(5, 9):
        for control in (None, "blind"):
            values = drawn(day, {"vtwt": 0.9 if control is None else 0.1})
            write_run(tmp_path, f"m{day}", values, control=control, date=f"202601{day + 5 * bool(control):02}_120000")
    assert "visual gain over blind or chance (csv and json say which)." in told(babycli("report", tmp_path).out)


def test_wrong_pictures_count_where_they_were_shown(tmp_path: Path, babycli: Babycli) -> None:
    seeing = write(tmp_path, {"baby_winoground": 0.5, "saycam_caption": 0.2, "vtwt": 0.7}, None, 1)
    wrong = write(tmp_path, {"baby_winoground": 0.3, "saycam_caption": 0.1}, "shuffled", 2)
    write(tmp_path, {"baby_winoground": 0.0, "saycam_caption": 0.1, "vtwt": 0.4}, "blind", 3)
    found = records(babycli, tmp_path)
    for column in [c for c in found if c[0] != "vtwt"]:
        assert found[column]["visual_gain_over"] == "shuffled"
        assert found[column]["visual_gain"] == pytest.approx(mean(seeing, *column) - mean(wrong, *column))
        assert found[column]["visual_gain_significant"]
    assert found["vtwt", "acc"]["visual_gain_over"] == "chance"
    latex = babycli("report", tmp_path, "--format", "latex", "--tasks", "vtwt").out.splitlines()
    gain, half = latex[(at := latex.index(next(line for line in latex if "visual gain &" in line))) : at + 2]
    record = found["vtwt", "acc"]
    lead = 100 * record["visual_gain"]
    low, high = (100 * record[f"visual_gain_{side}"] for side in ("low", "high"))
    assert gain == rf"\quad visual gain & {lead:+.1f} \\"
    assert half == rf" & \pm {max(high - lead, lead - low):.1f} \\"
    sentence = (
        "the score less that of the same model with wrong pictures or, where that was not run, the better of chance "
        "and the same model without pictures, on the same trials"
    )
    for form in ("table", "html"):
        assert sentence in told(babycli("report", tmp_path, "--notes", "--format", form).out)


def test_a_model_that_is_worse_than_blind_has_no_significant_gain(tmp_path: Path, babycli: Babycli) -> None:
    write(tmp_path, {"vtwt": 0.5}, None, 1)
    write(tmp_path, {"vtwt": 0.8}, "blind", 2)
    record = records(babycli, tmp_path)["vtwt", "acc"]
    assert record["visual_gain_high"] < 0
    assert record["visual_gain_significant"] is False


def test_a_blind_run_that_tells_no_gain_has_no_row_of_it(tmp_path: Path, babycli: Babycli) -> None:
    write(tmp_path, {"saycam_caption": 0.2}, None, 1)
    write(tmp_path, {"saycam_caption": 0.1}, "blind", 2)
    out = babycli("report", tmp_path, "--notes").out
    assert " visual gain  " not in out
    assert "does not tell the visual gain of Caption METEOR: one with wrong pictures" in told(out)


def test_what_is_said_of_gains_is_of_what_is_shown(tmp_path: Path, babycli: Babycli) -> None:
    """A caption speaks of no column that was left out, and of no option."""
    shares = {"vtwt": 0.8, "saycam_caption": 0.2}
    write(tmp_path, shares, None, 1)
    write(tmp_path, shares, "blind", 2)
    whole, part = (babycli("report", tmp_path, "--format", "latex", *words).out for words in ((), ("--tasks", "vtwt")))
    assert "visual gain of Caption METEOR" in whole
    assert "Visual gain: " in part
    assert "METEOR" not in part
    for caption in (whole, part):
        assert "paired 95" in caption
        assert "-control" not in caption
