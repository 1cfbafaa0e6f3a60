"""babycli as a program calls it: evaluate a model, read runs, compare two of them. docs/python.md is the manual.

Owns how Python's words become what the rooms below take. The command line goes through the same rooms, so both give the
same logs and numbers. Every error is a BabycliError: it never ends the program that calls.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli import interop
from babycli.data.root import DatasetRoot
from babycli.errors import DataError, ModelError, UsageError
from babycli.evaluation.distributed import Processes
from babycli.evaluation.options import Count, Reporter
from babycli.evaluation.read_options import read_options
from babycli.evaluation.suite import evaluate as evaluate_all
from babycli.evaluation.trust import raise_if_untrusted
from babycli.models import DEFAULT_MODEL, Resolved, matching
from babycli.report import frames
from babycli.report.compare import compare as compare_rows
from babycli.report.compare import find_rows
from babycli.report.frames import Difference, Records, Runs
from babycli.report.gain import raise_if_above_chance
from babycli.report.load import label_rows_of, load_logs
from babycli.report.same_runs import latest_of_equal
from babycli.report.tables import in_table_order, make_tables
from babycli.wording import History, Scoring

if TYPE_CHECKING:
    from babycli.models.parts.loaded import Loaded
    from babycli.report.human_records import HumanLikeness

_LOG = logging.getLogger("babycli")
Words = str | Sequence[str]  # names, in a list or separated by commas


def evaluate(
    model: Any = DEFAULT_MODEL,
    *,
    processor: Any = None,
    name: str | None = None,
    model_args: Mapping[str, str] | None = None,
    tasks: Words | None = None,
    trials: str | Path | Sequence[str | Path] | None = None,
    images: str | Path | None = None,
    limit: int | None = None,
    sample: int | None = None,
    seed: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    prompt: str | Mapping[str, str] | None = None,
    batch_check: int | None = None,
    scoring: str = Scoring.FAIR,
    data_set: Words | None = None,
    answers: Words | None = None,
    history: str = History.OWN,
    max_new_tokens: int | None = None,
    control: str | None = None,
    output_path: str | Path = "logs",
    resume: bool = True,
    rerun: bool = False,
    cache: str | Path | None = None,
    send_pictures_to: str | None = None,
    prefix_reuse: bool = True,
    feature_reuse: bool = False,
    skip_missing: bool = False,
    data: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Runs:
    """Evaluates a model, or several, on tasks, and gives their runs. The options are those of `babycli eval`.

    ``model`` is a checkpoint folder, hub id, family or pattern; a list of these; or a model that is loaded: one of
    transformers with its ``processor`` (or both as a pair), or an object as docs/model_guide.md describes it. A loaded
    model is left as it was, also where its evaluation fails. ``name`` is what the log and the report call it: a name as
    ``runs/baby/checkpoint-500`` makes a learning curve. Of any other model it is what reports call the run. ``prompt``
    is a text for all tasks, or a text for each. What is said goes to the logger ``babycli``, or to ``reporter``.

    Raises a subclass of babycli.errors.BabycliError: UsageError, DataError, ChecksumError, ModelError, ResumeError,
    OutputError or, for a result that must not be trusted, UntrustedResultError; its log is written all the same.
    """
    interop.register()
    held = _held(model, processor, name)
    if held is None:
        models: Sequence[str | Resolved] = _found(model)
        where = (device, dtype)
    else:
        models = [held.resolved]
        if unfit := [word for word, value in (("device", device), ("dtype", dtype)) if value is not None]:
            raise UsageError(
                f"{' and '.join(unfit)} of a loaded model cannot be chosen", "leave it out, or move the model"
            )
        where = (held.device, held.dtype)
    options = read_options(
        models,
        spelled=str,
        model_args={key: str(value) for key, value in (model_args or {}).items()},
        tasks=_joined(tasks),
        trials=_paths(trials),
        images=None if images is None else Path(images),
        data_set=_joined(data_set),
        root=DatasetRoot.find(None if data is None else Path(data)),
        output=Path(output_path),
        limit=_positive("limit", limit),
        sample=_positive("sample", sample),
        seed=seed,
        control=control,
        prompts=_prompts(prompt),
        scoring=scoring,
        answers=_joined(answers),
        history=history,
        max_new_tokens=_positive("max_new_tokens", max_new_tokens),
        batch_size=_positive("batch_size", batch_size),
        device=where[0],
        dtype=where[1],
        given=None if held is None else frozenset(),
        batch_check=batch_check,
        reuse_prefixes=prefix_reuse,
        reuse_features=feature_reuse,
        cache=None if cache is None else Path(cache),
        send_pictures_to=send_pictures_to,
        skip_missing=skip_missing,
        resume=resume,
        rerun=rerun or held is not None,
        name=name if held is None else None,  # a loaded model is called so itself
        command=["babycli.evaluate", *(model.name if isinstance(model, Resolved) else model for model in models)],
    )
    with _left_alone(held):
        # A loaded model is this process's own, also in a training of several.
        done, failed = evaluate_all(options, reporter or _Logged(), None if held is None else Processes())
    if failed and not done:
        raise ModelError(f"no model could be evaluated: {', '.join(f.model for f in failed)}", "see the log above why")
    raise_if_untrusted(done)
    runs = Runs([run for each in done for run in load_logs(each.results_path).runs])
    raise_if_above_chance([each for table in runs.tables for each in table.suspicions], options.output)
    return runs


def read_runs(logs: str | Path | Sequence[str | Path] = "logs", *, data: str | Path | None = None) -> Runs:
    """Reads all runs below one folder, or several: ``.runs``, ``.scores`` and ``.trials`` are records.

    Each of the three makes a data frame with ``.to_pandas()``. Raises DataError where no run can be read.
    """
    interop.register()
    root = DatasetRoot.find(None if data is None else Path(data))
    labels = functools.cache(lambda: label_rows_of(root))
    places = [logs] if isinstance(logs, str | Path) else logs
    read = [load_logs(Path(place), labels) for place in places]
    return Runs([run for each in read for run in each.runs], [unread for each in read for unread in each.unread])


def compare(*models: str, logs: str | Path | Sequence[str | Path] | Runs = "logs") -> Records[Difference]:
    """Compares every two of these models on the items that both were given, as `babycli report --compare` does.

    A model is a row's label, a model's name or the end of it, or a run's folder; of several runs of a model, the one of
    all trials. Raises UsageError for a name that fits none or several, DataError where two were run on other items.
    """
    runs = logs if isinstance(logs, Runs) else read_runs(logs)
    if not runs.rows:
        raise DataError("there are no runs to compare", "evaluate two models first")
    latest = {row.label for row in runs.latest_rows}
    names_all = any(row.label in models and row.label not in latest for row in runs.rows)  # one of several equal runs
    rows = find_rows(models, runs.rows if names_all else runs.latest_rows, _Logged().say)
    columns = in_table_order(column for row in rows for column in row.cells)
    return frames.differences(compare_rows(rows, columns))


def compare_humans(
    humans: str | Path,
    *,
    logs: str | Path | Sequence[str | Path] = "logs",
    tasks: Words | None = None,
    data: str | Path | None = None,
) -> Records[HumanLikeness]:
    """Holds models against what people chose, as `babycli report --humans` does; ``humans`` is the CSV file.

    Raises DataError for a file that cannot be meant, with the line, or that no run can be held against.
    """
    from babycli.report.choosing import Choice, chosen, names_in
    from babycli.report.human_records import likeness_records
    from babycli.report.humans import beside_people
    from babycli.report.humans_file import read_people

    people, runs = read_people(Path(humans)), read_runs(logs, data=data)
    labels = functools.cache(lambda: label_rows_of(DatasetRoot.find(None if data is None else Path(data))))
    tables = make_tables(latest_of_equal(runs.as_read))
    return likeness_records(
        beside_people(chosen(tables, Choice(tasks=tuple(names_in(_joined(tasks) or "")))), people, labels)
    )


def _held(model: Any, processor: Any, name: str | None) -> Loaded | None:
    """Takes a model that is loaded; None for names. Raises UsageError for words that go with the other kind alone."""
    if isinstance(model, tuple) and len(model) == 2 and not isinstance(model[0], str | Path):
        if processor is not None:
            raise UsageError("the processor is given twice", "give it in the pair, or as processor=")
        model, processor = model
    words = [model] if isinstance(model, str | Path) else model
    if isinstance(words, list | tuple) and words and all(isinstance(word, str | Path) for word in words):
        if processor is not None:
            raise UsageError("processor= is for a loaded model", "leave it out")
        return None
    if isinstance(words, list | tuple | type) or words is None:
        raise UsageError(f"model is {model!r:.60}; expected is a name, names, or a loaded model", "docs/python.md")
    from babycli.models.parts import loaded

    if loaded.is_of_transformers(model):
        return loaded.of_transformers(model, processor, name)
    return loaded.of_plugin(model, name)


def _found(model: str | Path | Sequence[str | Path]) -> list[str]:
    names = [model] if isinstance(model, str | Path) else model
    return list(dict.fromkeys(found for each in names for found in matching(str(each))))


@contextlib.contextmanager
def _left_alone(held: Loaded | None) -> Iterator[None]:
    if held is None:
        yield
        return
    from babycli.models.parts.as_it_was import as_it_was

    with as_it_was(held.modules):
        yield


def _prompts(prompt: str | Mapping[str, str] | None) -> list[str]:
    if isinstance(prompt, Mapping):
        return [f"{task}={text}" for task, text in prompt.items()]
    return [] if prompt is None else [prompt]


def _joined(words: Words | None) -> str | None:
    return words if words is None or isinstance(words, str) else ",".join(words)


def _paths(files: str | Path | Sequence[str | Path] | None) -> list[Path]:
    if files is None:
        return []
    return [Path(file) for file in ([files] if isinstance(files, str | Path) else files)]


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{name} must be a positive whole number, not {value!r:.40}")
    return value


def _uncounted(n: int, weight: float | None = None, *, now: str = "", is_new: bool = True, more: float = 0.0) -> None:
    """Counts on no bar; see babycli.evaluation.options.Count."""


class _Logged:
    """The reporter that writes to Python's logging; see babycli.evaluation.options.Reporter."""

    def say(self, message: str) -> None:
        (_LOG.warning if message.startswith(("note:", "failed:")) else _LOG.info)("%s", message)

    @contextlib.contextmanager
    def bar(self, what: str, total: int | None, unit: str = "", whole: float | None = None) -> Iterator[Count]:
        yield _uncounted
