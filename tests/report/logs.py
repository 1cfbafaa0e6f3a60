"""Run folders as babycli writes them, made by hand for tests of reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from babycli.report.measure import measured
from babycli.report.runs import Run
from babycli.report.trials import TaskTrials
from babycli.tasks import all_tasks

UNITS = {"labeled_s": 2200, "vtwt": 967, "baby_winoground": 365, "saycam_caption": 294}
Values = Mapping[str, Mapping[str, Sequence[float]]]  # by task and metric, one for each trial


def drawn(seed: int, shares: Mapping[str, float], units: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Outcomes of trials drawn at random: every metric of a task with the same probability."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for task, share in shares.items():
        n = (units or UNITS)[task]
        metrics = all_tasks()[task].metrics
        values[task] = {m.name: (rng.random(n) < share).astype(float).tolist() for m in metrics}
        if task == "saycam_caption":
            values[task] = {"meteor": rng.beta(2, 2 / share - 2, n).round(6).tolist()}
    return values


def groups(task: str, n: int) -> dict[str, list[str]]:
    """Categories of 100 trials in a row; sessions of 12 frames; words in turn."""
    if task == "labeled_s":
        return {"category": [f"category{i * 22 // n:02}" for i in range(n)]}
    sessions = [f"S_2013{1 + i // 12 % 12:02}{1 + i // 144 % 28:02}_{i // 12:04}" for i in range(n)]
    if task == "saycam_caption":
        return {"session": sessions}
    words = [("first word (verb)", "second word", "both words")[i % 3] for i in range(n)]
    phrases = [f"{('read', 'hold', 'see')[i % 3]} book / {('eat', 'drop', 'touch')[i % 3]} book" for i in range(n)]
    return {"session": sessions, "word": words, "phrases": phrases}


def results_document(
    model: str, means: Mapping[str, Mapping[str, float]], n: Mapping[str, int], date: str
) -> dict[str, Any]:
    """The results file of a run as the first babycli wrote it: without ties, and without what later ones add."""
    return {
        "results": {t: {"alias": t} | {f"{m},none": v for m, v in ms.items()} for t, ms in means.items()},
        "versions": dict.fromkeys(means, 1),
        "config": {"model": "hf", "limit": None},
        "date": date,
        "model_name": model,
        "babycli": {"schema_version": 1, "version": "0.1.0"},
        "data": "saycam",
        "scoring": "fair",
        "dtype": "float32",
        "fingerprint": f"weights of {model}",
        "model_args": {},
        "n_units": dict(n),
        "ties": dict.fromkeys(means, 0),
        "nonfinite": dict.fromkeys(means, 0),
        "skipped": {t: [] for t in means},
        "chance": {t: {m: _chance(t, m) for m in ms} for t, ms in means.items()},
        "ci95": {t: {m: [v - 0.02, v + 0.02] for m, v in ms.items()} for t, ms in means.items()},
    }


def _chance(task: str, metric: str) -> float | None:
    """None for a task that only the log knows."""
    known = all_tasks().get(task)
    return None if known is None else known.metric(metric).chance


def write_run(
    root: Path,
    model: str,
    values: Values,
    *,
    date: str = "20260101_120000",
    ties: Mapping[str, Sequence[int]] | None = None,
    nonfinite: Mapping[str, Sequence[int]] | None = None,
    control: str | None = None,
    with_groups: bool = True,
    grouped: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    **changes: Any,
) -> Path:
    """A finished run; returns its results file. ``changes`` override top-level keys of it.

    ``grouped`` has the groups of trials by task and kind, for tasks that ``groups`` knows nothing of.
    """
    n = {task: len(next(iter(metrics.values()))) for task, metrics in values.items()}
    means = {t: {m: float(np.mean(of)) for m, of in ms.items()} for t, ms in values.items()}
    document = results_document(model, means, n, date) | {
        "ties": {t: len((ties or {}).get(t, ())) for t in values},
        "nonfinite": {t: len((nonfinite or {}).get(t, ())) for t in values},
        "labels_sha256": dict.fromkeys(values, "labels"),
        "images_sha256": dict.fromkeys(values, "images"),
        "control": None if control is None else {"kind": control, "how": "as the test says", "seed": 0},
    }
    tasks = {
        t: {
            "trials": [str(i) for i in range(n[t])],
            "groups": grouped[t] if grouped and t in grouped else groups(t, n[t]) if with_groups else {},
            "values": {m: list(of) for m, of in ms.items()},
            "ties": list((ties or {}).get(t, ())),
            "nonfinite": list((nonfinite or {}).get(t, ())),
        }
        for t, ms in values.items()
    }
    folder = root / model.replace("/", "__") / date
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"schema_version": 1, "babycli_version": "0.1.0", "status": "done"}))
    (folder / f"{date}_outcomes.json").write_text(json.dumps({"schema_version": 1, "tasks": tasks}))
    path = folder / f"{date}_results.json"
    path.write_text(json.dumps(changed(document, changes)))
    return path


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The document with other top-level keys; of its config, only what is named is another."""
    config = {"config": document["config"] | changes["config"]} if "config" in changes else {}
    return {**document, **changes, **config}


def fake_run(trials: TaskTrials, control: str, chances: Mapping[str, float | None]) -> Run:
    """A run of one task as a report has it once it is read."""
    cells = {(trials.task, m): replace(measured(trials, m), chance=chances[m]) for m in trials.values}
    of_task = {trials.task: trials}
    return Run(
        Path(control or "model"), "babycli", "m", "f", "saycam", "fair", "float32", None, control, (),
        "20260101_120000", cells, of_task, {}, {}, {}, {}, None,
    )  # fmt: skip
