"""The records of a summary: a line for each row and metric with full precision, which csv and json carry.

Owns their fields. Never lays out a table; means over tasks, which are no metric of a task, are records too.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.data.sources.machine_devbench import MACHINE_DEVBENCH
from babycli.report.families import FamilyMean
from babycli.report.gain import Gain
from babycli.report.measure import Cell
from babycli.report.overall import BENCHMARK, Overall
from babycli.report.provisos import software_of
from babycli.report.rows import Column, TableRow
from babycli.report.runs import Run
from babycli.report.tables import Table, in_table_order
from babycli.tasks.about import about
from babycli.wording import AnswerWay, History

_GAIN_FIELDS = (
    "visual_gain",
    "visual_gain_low",
    "visual_gain_high",
    "visual_gain_p_holm",
    "visual_gain_significant",
    "visual_gain_over",  # what the score was held against
)


def records(table: Table) -> list[dict[str, object]]:
    """Makes a record per row and metric, with full precision: what csv and json carry."""
    found: list[dict[str, object]] = []
    in_order = in_table_order(c for row in table.rows for c in row.cells)
    # Those that no column shows, twins of others, come behind those of their task.
    in_order = [column for task in table.tasks for column in _of_task(task, table.columns, in_order)]
    places = {column: i for i, column in enumerate(in_order)}
    for row in table.rows:
        gain = table.gains.get(row.label)
        for run in row.runs:
            for column, cell in sorted(run.cells.items(), key=lambda item: places[item[0]]):
                found.append(_record(table.data, row, run, column, cell) | _gain_record(gain, column))
        found += [
            dict.fromkeys(found[0]) | _overall_record(table.data, row, overall)
            for overall in table.overalls.get(row.label, ())
        ]
        of_families = table.families.get(row.label, ())
        found += [dict.fromkeys(found[0]) | _family_record(table.data, row, mean) for mean in of_families]
    for published in table.baselines.rows if table.baselines else ():
        for column, value in published.values.items():
            empty: dict[str, object] = dict.fromkeys(found[0]) if found else {}
            task, metric = column
            found.append(
                empty
                | {
                    "model": published.label,
                    "label": published.label,
                    "data": table.data,
                    "task": task,
                    "metric": metric,
                    "value": value,
                }
                | {"chance": table.chance(column), "program": "published"}
                | {"results": table.baselines.source_of(published.label) if table.baselines else ""}
            )
    return found


def _of_task(task: str, *columns: Sequence[Column]) -> list[Column]:
    """Gives the columns of a task out of several lists, each once."""
    return list(dict.fromkeys(column for of_list in columns for column in of_list if column[0] == task))


def names_of(row: TableRow) -> dict[str, object]:
    """Gives what tells the rows of all tables apart, and joins them: the model in short, and with its settings."""
    return {"model": row.name, "label": row.label, "path": row.runs[0].model}


def settings_of(run: Run) -> dict[str, object]:
    """Gives the settings by which a reader chooses runs."""
    only = {} if run.overlap is None else {"only": run.overlap.only or None}
    return {"control": run.control or None, "scoring": run.scoring, "dtype": run.dtype, "limit": run.limit, **only}


def _overall_record(data: str, row: TableRow, overall: Overall) -> dict[str, object]:
    """Makes the record of a mean over tasks, of which ``n_units`` were run; a missing one counts 0."""
    return _mean_record(data, row, overall.of_all, overall.n_run) | {
        "task": BENCHMARK,
        "metric": "overall" if overall.way == AnswerWay.WRITTEN else f"overall_{overall.way}",
        "mean_of_run": overall.of_run,
        "missing": ",".join(overall.missing) or None,
    }


def _family_record(data: str, row: TableRow, mean: FamilyMean) -> dict[str, object]:
    """Makes the record of a mean over the tasks of a family, of which ``n_units`` were run."""
    names = {"task": MACHINE_DEVBENCH, "metric": mean.family}
    return _mean_record(data, row, mean.value, mean.n_tasks) | names


def _mean_record(data: str, row: TableRow, value: float, n_tasks: int) -> dict[str, object]:
    """Makes what the records of means over tasks have in common."""
    run = row.runs[0]
    return {
        **names_of(row),
        "data": data,
        "value": value,
        "n_units": n_tasks,
        "unit": "tasks",
        **settings_of(run),
        "sample": run.sample.n if run.sample else None,
        "model_args": ",".join(run.args),
        "date": run.date,
        "program": run.program,
        "name": run.name or None,
        "n_equal_runs": min(run.n_equal.values(), default=1),
        "results": str(run.path),
    }


def _record(data: str, row: TableRow, run: Run, column: Column, cell: Cell) -> dict[str, object]:
    task, metric = column
    plain, clustered = cell.ci95 or (None, None), cell.ci95_clustered or (None, None)
    of_all, coverage = cell.ci95_of_all or (None, None), run.coverage(task)
    return {
        **names_of(row),
        "data": data,
        "task": task,
        "metric": metric,
        "value": cell.value,
        "chance": cell.chance,
        "ci95_low": plain[0],
        "ci95_high": plain[1],
        "stderr": cell.stderr,
        "ci95_clustered_low": clustered[0],
        "ci95_clustered_high": clustered[1],
        "stderr_clustered": cell.stderr_clustered,
        "ci95_of_all_low": of_all[0],
        "ci95_of_all_high": of_all[1],
        "n_clusters": cell.n_clusters,
        "n_units": cell.n_units,
        "unit": about(task).unit,
        "ties": cell.n_ties,
        "nonfinite": cell.n_nonfinite,
        "unanswered": cell.n_unanswered,
        "no_answer": cell.n_no_answer,
        "skipped": cell.n_skipped,
        "fair_value": _fair_value(run, task, cell),
        **settings_of(run),
        "offset": run.offset or None,
        "sample": run.sample.n if run.sample else None,
        "sample_seed": run.sample.seed if run.sample else None,
        "covers": None if coverage is None else coverage.told(cell.n_units + cell.n_skipped, about(task).unit),
        "model_args": ",".join(run.args),
        "answers": ",".join(run.ways) or None,
        "history": str(run.history) if run.history != History.OWN else None,
        "max_new_tokens": run.max_new_tokens,
        "prompt": run.own_prompts.get(task),
        "software": software_of(run),
        "date": run.date,
        "program": run.program,
        "wrapper": run.wrapper or None,
        "name": run.name or None,
        "n_equal_runs": run.n_equal.get(task, 1),
        "results": str(run.path),
        "mean_of_run": None,
        "missing": None,
    }


def _fair_value(run: Run, task: str, cell: Cell) -> float | None:
    """Gives what fair scoring would; None where that is not known: of a reference run, or without the trials."""
    if cell.fair_value is not None:
        return cell.fair_value
    is_fair = run.scoring == "fair" or not run.is_ours  # whose trials are decided anew
    return cell.value if is_fair and task in run.trials else None


def _gain_record(gain: Gain | None, column: Column) -> dict[str, object]:
    pair = None if gain is None else gain.by_column.get(column)
    if gain is None or pair is None:
        return dict.fromkeys(_GAIN_FIELDS)
    low, high = pair.ci95
    numbers = (pair.difference, low, high, gain.p_holm(column), gain.is_significant(column), gain.over[column])
    return dict(zip(_GAIN_FIELDS, numbers, strict=True))
