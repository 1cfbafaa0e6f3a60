"""The runs below a folder as a list: what each is of, its main numbers, and how far it is.

Owns finding them and what is said of one that is not finished or cannot be read. Never writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babycli.errors import DataError
from babycli.files import lock_now, open_to_read
from babycli.logs.answers import is_planted
from babycli.logs.fields import count, mapping, text
from babycli.logs.run_name import name_of
from babycli.logs.schema import RUN_FILE, read_run
from babycli.report.load import load_logs
from babycli.report.readers import closed_folders, run_folders
from babycli.report.rows import Column, label_of
from babycli.report.runs import Run
from babycli.report.same_runs import titled
from babycli.tasks.about import about, is_known

FINISHED, STOPPED, UNDER_WAY, UNREADABLE = "finished", "unfinished", "under way", "unreadable"


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run of babycli."""

    folder: Path
    label: str  # as a report names it
    name: str  # that the user gave it
    model: str
    data: str
    tasks: tuple[str, ...]
    main: Mapping[Column, float]  # the main metric of each task
    date: str
    state: str  # FINISHED, STOPPED, UNDER_WAY or UNREADABLE
    n_done: int  # requests that are answered
    n_all: int | None  # of those that are known to come; None where the log does not say it
    why: str  # of an unreadable run: what is wrong
    run: Run | None  # with all numbers, of a finished one

    @property
    def how_far(self) -> str:
        """How far it is, in words."""
        if self.state in (FINISHED, UNREADABLE):
            return self.state
        return f"{self.state}, {self.n_done}" + ("" if self.n_all is None else f" of {self.n_all}") + " requests"


def list_runs(logs: Path) -> list[ListedRun]:
    """Lists the runs of babycli below a folder, or the one in it, by model and date. Raises DataError for no folder."""
    if not logs.is_dir():
        raise DataError(
            f"there is no folder {logs}",
            "run  babycli eval  first, or name the folder given to --output-path:  --logs DIR",
        )
    listed = [describe(folder) for folder in run_folders(logs)]
    listed += [_unread(folder, f"it cannot be looked into: {why}") for folder, why in closed_folders(logs)]
    titles = {run.path: run for run in titled([each.run for each in listed if each.run is not None])}
    return sorted(
        (each if each.run is None else _named(each, titles[each.run.path]) for each in listed),
        key=lambda each: (each.model, each.date, str(each.folder)),
    )


def describe(folder: Path) -> ListedRun:
    """Describes the run in a folder."""
    logged = read_run(folder)
    if logged is None:
        return _unread(folder, f"cannot read {RUN_FILE}")
    name, model = name_of(logged), text(mapping(logged.get("model")).get("name"))
    unfinished = ListedRun(
        folder,
        label=(name or "/".join(model.strip("/").split("/")[-2:])) + _marks(logged),
        name=name,
        model=model,
        data=text(logged.get("data")),
        tasks=tuple(map(str, mapping(logged.get("tasks")))),
        main={},
        date=folder.name,
        state=STOPPED,
        n_done=0,
        n_all=count(mapping(logged.get("plan")).get("requests")),
        why="",
        run=None,
    )
    finished = folder / f"{folder.name}_results.json"
    if not finished.is_file():
        n_done = sum(map(_n_lines, score_files(folder)))
        return replace(unfinished, state=UNDER_WAY if is_under_way(folder) else STOPPED, n_done=n_done)
    try:
        (run,) = load_logs(finished).runs
    except DataError as error:
        return _unread(folder, error.message)
    main = {column: cell.value for column, cell in run.cells.items() if _is_main(column)}
    return replace(unfinished, label=label_of(run), main=main, state=FINISHED, run=run)


def is_under_way(folder: Path) -> bool:
    """Tells whether a process is writing a run: it has locked its score file."""
    for path in score_files(folder):
        try:
            with open_to_read(path) as stream:
                if not lock_now(stream.fileno()):
                    return True
        except OSError:
            continue
    return False


def score_files(folder: Path) -> list[Path]:
    """Lists the score files of a run that are files."""
    return [path for path in sorted(folder.glob("scores.rank*.jsonl")) if not is_planted(path)]


def _named(listed: ListedRun, run: Run) -> ListedRun:
    return replace(listed, label=label_of(run), run=run)


def _unread(folder: Path, why: str) -> ListedRun:
    label = f"{folder.parent.name}/{folder.name}"
    return ListedRun(folder, label, "", "", "", (), {}, folder.name, UNREADABLE, 0, None, why, None)


def _marks(logged: Mapping[str, Any]) -> str:
    limit, control = logged.get("limit"), mapping(logged.get("control")).get("kind")
    marks = [f"control: {control}"] if control else []
    marks += [f"limit {limit}"] if limit is not None else []
    return f" ({', '.join(marks)})" if marks else ""


def _is_main(column: Column) -> bool:
    task, metric = column
    return is_known(task) and any(known.is_main for known in about(task).metrics if known.name == metric)


def _n_lines(path: Path) -> int:
    try:
        with open_to_read(path) as stream:
            return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    except OSError:
        return 0


def find_run(wanted: str, logs: Path, runs: Sequence[ListedRun]) -> list[ListedRun]:
    """Gives the runs that a user may mean: by the folder, by its whole name, or by a part of its name.

    A part has a letter or digit: "/" is in the path of every run, and means none of them.
    """
    place = Path(wanted)
    here = [run for run in runs if place.exists() and run.folder.samefile(place)]
    if here:
        return here
    names = [(run, {run.label, run.name, run.folder.name, str(run.folder.relative_to(logs))}) for run in runs]
    whole = [run for run, of in names if wanted and wanted in of]
    is_part = any(map(str.isalnum, wanted))
    return whole or [run for run, of in names if is_part and any(wanted in name for name in of)]
