"""The scores of one model for its page on the Hugging Face hub, in both of its forms.

Owns which fields of them they are. The YAML is huggingface_hub's own.

    model-index             in the head of a model card: every metric of every task
    .eval_results/*.yaml    the main metric of each task, as results of a benchmark that is registered on the hub. The
                            tasks here are none, as their pictures are restricted: the user has to name one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from babycli.errors import UsageError
from babycli.report.one_model import Say, Score, model_id, moment, scores_of, trusted_row
from babycli.report.rows import TableRow
from babycli.wording import first_line, printable

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_METRICS = {"acc": "accuracy"}  # under the names that the hub has for them


def write(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    """Writes the head of a README.md. Raises as trusted_row()."""
    from huggingface_hub import ModelCardData  # which other forms need not wait for

    row = trusted_row(rows, "hf", say)
    results = [_result(score) for score in scores_of(row)]
    data = ModelCardData(model_name=printable(row.runs[0].name or model_id(row)), eval_results=results)
    say("note: this is the head of a README.md; if there is one, add  model-index  to its head")
    return f"---\n{data.to_yaml()}\n---\n"


def write_results_of(dataset: str, rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    """Writes a file for .eval_results/, of a benchmark on the hub. Raises as trusted_row(), UsageError for a bad id."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import HFValidationError, validate_repo_id, yaml_dump  # type: ignore[attr-defined]

    try:
        validate_repo_id(dataset)
    except HFValidationError as error:
        raise UsageError(f"--hub-dataset {dataset} cannot be a data set of the hub: {first_line(error)}") from error
    row = trusted_row(rows, "hf", say)
    mains = [score for score in scores_of(row) if score.metric == score.about.main_metric.name]
    entries = [
        EvalResultEntry(
            dataset_id=dataset,
            task_id=printable(score.about.name),
            value=score.cell.value,
            date=moment(score.run),
            notes=", ".join([f"{score.about.title} on {score.data_title}", *_notes(score)]),
        )
        for score in mains
    ]
    say("note: this is a file for the folder .eval_results of the model's repository")
    text: str = yaml_dump(eval_result_entries_to_yaml(entries))
    return text


def _notes(score: Score) -> list[str]:
    remarks = score.remarks
    told = [f"{key} {printable(str(remarks[key]))}" for key in ("n", "scoring", "limit", "prompt") if key in remarks]
    return [*told, _software(score)]


def _result(score: Score) -> EvalResult:
    from huggingface_hub import EvalResult

    task, metric = score.about, score.about.metric(score.metric)
    benchmark = f" of {task.benchmark.title}" if task.benchmark else ""
    is_dual = score.answers == "similarity"
    interval = score.cell.interval
    return EvalResult(
        task_type="zero-shot-image-classification" if is_dual else "image-text-to-text",
        task_name=printable(task.question or task.title),
        dataset_type=printable(task.name),
        dataset_name=printable(f"{task.title}{benchmark} on {score.data_title}"),
        dataset_config=printable(score.run.data),
        metric_type=_METRICS.get(metric.name, printable(metric.name)),
        metric_name=printable(metric.title),
        metric_value=score.cell.value,
        metric_args={
            **({} if interval is None else {"ci95_low": interval[0], "ci95_high": interval[1]}),
            **{key: printable(value) if isinstance(value, str) else value for key, value in score.remarks.items()},
            "evaluated_with": _software(score),
        },
    )


def _software(score: Score) -> str:
    identity = score.run.identity
    return score.run.program if identity is None else f"{score.run.program} {identity.software.babycli}"
