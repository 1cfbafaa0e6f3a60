"""The scores of one model in the JSON of Every Eval Ever, a common schema for results of many programs (version 0.3.0).

Owns which of its fields they are. Answers to single items are left out: label files and names of frames are not ours
to pass on. Who evaluated is not in a log either, and is for the user to fill in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from babycli.report.forms import as_json
from babycli.report.one_model import Say, Score, model_id, moment, scores_of, trusted_row
from babycli.report.rows import TableRow
from babycli.report.runs import Run

SCHEMA_VERSION = "0.3.0"
UNKNOWN = "unknown"
_CONFIDENCE = 0.95
_ASK_FOR = (
    "note: fill in who you are:  source_organization_name,  and  evaluator_relationship,  which is first_party where "
    "the model is yours and third_party where it is another's"
)


def write(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    """Writes one evaluation. Raises as trusted_row()."""
    row = trusted_row(rows, "eee", say)
    name, now = model_id(row), f"{time.time():.0f}"
    scores = list(scores_of(row))
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"babycli/{name}/{now}",
        "retrieved_timestamp": now,
        **_given("evaluation_timestamp", moment(row.runs[0])),
        "source_metadata": {
            "source_name": "babycli",
            "source_type": "evaluation_run",
            "source_organization_name": UNKNOWN,
            "evaluator_relationship": "other",
        },
        "eval_library": _library(row.runs[0]),
        "model_info": _model(row, name),
        "evaluation_results": [_result(score) for score in scores],
    }
    say(_ASK_FOR)
    if document["model_info"]["developer"] == UNKNOWN:
        say("note: fill in  developer  and, with it, the model's  id,  as lab/model")
    return as_json(document)


def _given(key: str, value: Any) -> dict[str, Any]:
    """Gives a field that may be left out."""
    return {} if value is None or value == "" else {key: value}


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    """Gives further details, which have to be texts."""
    return {key: str(value) for key, value in values.items() if value not in (None, "")}


def _library(run: Run) -> dict[str, Any]:
    if run.identity is None:
        return {"name": run.program, "version": UNKNOWN}
    software = run.identity.software
    details = _texts({"revision": software.revision, "torch": software.torch, "pillow": software.pillow})
    return {"name": run.program, "version": software.babycli, "additional_details": details}


def _model(row: TableRow, name: str) -> dict[str, Any]:
    run = row.runs[0]
    developer = name.partition("/")[0] if "/" in name else UNKNOWN
    known: dict[str, Any] = {"name": name, "id": name, "developer": developer}
    if run.identity is not None:
        known["inference_engine"] = {"name": "transformers", "version": run.identity.software.transformers}
    of_model = run.identity.model if run.identity else None
    details = {
        "deployment_type": "self_deployed",
        "model_availability": UNKNOWN,
        "family": of_model.family if of_model else run.wrapper,
        "weights_sha256": run.fingerprint,
        "dtype": run.dtype,
        "template": of_model.template if of_model else "",
        "args": ", ".join(run.args),
    }
    return known | {"additional_details": _texts(details)}


def _result(score: Score) -> dict[str, Any]:
    task, cell = score.about, score.cell
    benchmark = {"benchmark": task.benchmark.title, "paper": task.benchmark.citation} if task.benchmark else {}
    data = _texts({**benchmark, "data": score.data_title, **score.remarks})
    return {
        "evaluation_result_id": f"{task.name}/{score.metric}",
        "evaluation_name": task.name,
        "source_data": {
            "dataset_name": f"{task.title} on {score.data_title}",
            "source_type": "other",
            "additional_details": data,
        },
        **_given("evaluation_timestamp", moment(score.run)),
        "metric_config": _metric(score),
        "score_details": {
            "score": cell.value,
            "details": _texts({"chance": cell.chance, "n_clusters": cell.n_clusters}),
            **_given("uncertainty", _uncertainty(score)),
        },
        **_given("generation_config", _generation(score)),
    }


def _metric(score: Score) -> dict[str, Any]:
    metric, task = score.about.metric(score.metric), score.about
    low, high = (_bound(limit) for limit in metric.limits)
    is_accuracy = metric.is_share and metric.name == "acc"
    return {
        "evaluation_description": task.question or task.title,
        "metric_id": "accuracy" if is_accuracy else metric.name if metric.name == "meteor" else _own_id(score),
        "metric_name": metric.title,
        "metric_kind": "accuracy" if metric.is_share else metric.name,
        "metric_unit": "proportion" if metric.is_share else "points",
        "lower_is_better": not metric.higher_is_better,
        "score_type": "continuous",
        "min_score": low,
        "max_score": high,
        "additional_details": _texts({"scored": task.scored, "ties": task.tie_rule}),
    }


def _own_id(score: Score) -> str:
    return f"{score.about.name}.{score.metric}"


def _bound(limit: float) -> float | str:
    return limit if math.isfinite(limit) else "Infinity" if limit > 0 else "-Infinity"


def _uncertainty(score: Score) -> dict[str, Any] | None:
    """Gives the interval that a table shows, and the standard error that goes with it."""
    cell = score.cell
    is_clustered, is_of_all = cell.is_by_cluster, cell.ci95_of_all is not None
    stderr = None if is_of_all else cell.stderr_clustered if is_clustered else cell.stderr
    plain = "Wilson score" if score.about.metric(score.metric).is_share else "bootstrap"
    known: dict[str, Any] = {"num_samples": cell.n_units}
    if stderr is not None:
        known["standard_error"] = {"value": stderr, "method": "clustered" if is_clustered else "analytic"}
    if cell.interval is not None:
        low, high = cell.interval
        method = f"clustered by {score.about.cluster}" if is_clustered else plain
        if is_of_all:
            method = "of a sample without replacement (Cochran 1977)"
        known["confidence_interval"] = {
            "lower": low,
            "upper": high,
            "confidence_level": _CONFIDENCE,
            "method": method,
        }
    return known


def _generation(score: Score) -> dict[str, Any] | None:
    """Says how a text was written, and what was asked; None where there is nothing to say."""
    writes = "generate" in score.answers
    args = _given("prompt_template", score.prompt) | ({"temperature": 0.0} if writes else {})
    args |= _given("max_tokens", score.run.max_new_tokens if writes else None)
    return {"generation_args": args} if args else None
