"""`--scoring reference` gives the numbers and the extracted answers of the authors' code, on every line recorded of it.

Lines with replies that are no text (numbers, lists) are compared function by function: no file of replies has such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli.domain import Row
from babycli.tasks import all_tasks
from babycli.tasks.devcv import reference
from babycli.wording import Scoring
from tests.tasks.devcv.recorded import extracted, played
from tests.tasks.devcv.samples import golden, rows_of, sample_of, task_of

# Of the original's result, the number that each of our metrics has.
NUMBERS = {
    "acc": "accuracy",
    "acc_exact": "accuracy_exact",
    "acc_adjacent": "accuracy_adjacent",
    "acc_learning": "learning_accuracy",
    "acc_testing_raw": "testing_raw_accuracy",
    "acc_testing_adjusted": "testing_adjusted_accuracy",
}


def is_of_texts(replies: Sequence[object]) -> bool:
    return all(reply is None or isinstance(reply, str) for reply in replies)


def due(result: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, float]:
    """The numbers of a result; a result with one accuracy has it for exact and adjacent directions alike."""
    return {m: result.get(NUMBERS[m], result.get("accuracy", 0.0)) for m in metrics if m in NUMBERS}


def test_what_the_authors_read_in_a_string(devcv: Path) -> None:
    for line in golden(devcv, "scoring_extract.jsonl"):
        assert reference.extract_letter(line["text"]) == line["letter"], line
        assert reference.extract_number(line["text"]) == line["number"], line


def test_every_recorded_reply_is_scored_as_the_authors_do(devcv: Path) -> None:
    n_lines, n_errors = 0, 0
    for line in golden(devcv, "scoring.jsonl"):
        result, replies = line["result"], line["responses"]
        if not is_of_texts(replies):
            continue
        task, row = sample_of(devcv, line)
        outcome, exchanges = played(task, row, replies, Scoring.REFERENCE)
        n_lines += 1
        if "error" in result:  # the original stops; here the item counts, with what cannot be counted as wrong
            n_errors += 1
            assert outcome.values[task.main_metric.name] == 0.0
            continue
        names = [metric.name for metric in task.metrics]
        assert {m: outcome.values[m] for m in due(result, names)} == pytest.approx(due(result, names), abs=1e-12), line
        assert all(outcome.values[f"{m}_reference"] == outcome.values[m] for m in due(result, names))
        if "extracted" in result:
            n = min(len(replies), len(exchanges))
            own = extracted(task, row, outcome, exchanges)
            assert own[:n] == [None if x is None else str(x) for x in result["extracted"]][:n], line
    assert n_lines > 1400
    assert n_errors < 20


@pytest.mark.parametrize("function", ["extract_letter", "extract_number"])
def test_replies_that_are_no_text_are_read_as_the_authors_do(devcv: Path, function: str) -> None:
    of_function = [
        line
        for line in golden(devcv, "scoring.jsonl")
        if not is_of_texts(line["responses"]) and "extracted" in line["result"]
        if ("count" in line["function"]) == (function == "extract_number")
    ]
    assert of_function
    for line in of_function:
        assert [getattr(reference, function)(reply) for reply in line["responses"]] == line["result"]["extracted"]


def test_memory_with_odd_labels(devcv: Path) -> None:
    for line in golden(devcv, "scoring_memory_synthetic.jsonl"):
        row = memory_row(line["labels"], line["gold"])
        outcome, _ = played(all_tasks()["baby_memory"], row, line["responses"], Scoring.REFERENCE)
        for metric in ("acc_learning", "acc_testing_raw", "acc_testing_adjusted"):
            assert outcome.values[metric] == pytest.approx(line["result"][NUMBERS[metric]], abs=1e-12), line


def memory_row(labels: Sequence[Sequence[str]], gold: Sequence[str]) -> Row:
    conversations = []
    for n, letter in enumerate(gold):
        said = "Touch the new image. (A) <image>" + (" (B) <image>" if n else "")
        conversations += [{"from": "human", "value": said}, {"from": "gpt", "value": letter}]
    names = [f"{n}.jpg" for n in range(2 * len(gold) - 1)]
    return {"id": "memory", "labels": labels, "conversations": conversations, "image": names}


def replies_of_set(name: str, row: Row) -> list[str] | None:
    """The replies of a set of the summaries, by its name; None for a set whose name does not tell them."""
    gold = [turn["value"] for turn in row["conversations"] if turn["from"] == "gpt"]
    if name == "gold":
        return gold
    if name == "gold lower case with a period":
        return [f"{letter.lower()}." for letter in gold]
    if name == "empty":
        return [""] * len(gold)
    return [name.removeprefix("always ")] * len(gold) if name.startswith("always ") else None


def test_means_over_files_are_those_of_the_authors(devcv: Path) -> None:
    summaries = json.loads((devcv / "golden" / "scoring_summary.json").read_text())
    n_sets = 0
    for file, summary in summaries.items():
        path = devcv / "data" / f"{file}.json"
        if not path.exists():
            continue
        task = task_of(path)
        # The original stops at a memory entry without labels, and its means leave such out.
        rows = [row for row in rows_of(path) if task.name != "baby_memory" or "labels" in row]
        for name, means in summary["sets"].items():
            replies = [replies_of_set(name, row) for row in rows]
            given = [one for one in replies if one is not None]
            if len(given) < len(rows):
                continue
            n_sets += 1
            outcomes = [played(task, row, own, Scoring.REFERENCE)[0] for row, own in zip(rows, given, strict=True)]
            for metric, number in NUMBERS.items():
                if f"avg_{number}" in means and metric in outcomes[0].values:
                    mean = sum(outcome.values[metric] for outcome in outcomes) / len(outcomes)
                    assert mean == pytest.approx(means[f"avg_{number}"], abs=1e-12), (file, name)
    assert n_sets > 300
