"""The results files that a user means by a folder, by a results file, or by another file of a run.

Owns what a named place stands for, and the words for one that holds no run. Never reads a number.
"""

from __future__ import annotations

from pathlib import Path

from babycli.errors import DataError
from babycli.logs.content import plain_name
from babycli.report.documents import read_document, stamp
from babycli.report.logged import read_logged, why_no_run
from babycli.report.readers import results_files, results_files_in
from babycli.wording import any_of

_MOST_NAMED = 3  # results files in a message


def results_at(place: Path) -> list[Path]:
    """Finds the files below a folder that are named like results, or the results that a named file belongs to.

    Of a folder, some may be no run: ``why_no_run`` tells. Raises DataError for a place that is not there, and for a
    named file that is no run.
    """
    if place.is_dir():
        return results_files(place)
    if not place.exists():
        raise DataError(
            f"there is no folder {place}", "run  babycli eval  first, or name the folder given to --output-path"
        )
    beside = [path for path in results_files_in(place.parent) if path != place]
    if plain_name(place).endswith(".jsonl"):
        owners = [path for path in beside if _is_dated_alike(path, place)]
        no_run = "holds samples or answers, and the results of its run do not lie beside it"
    else:
        no_run = why_no_run(read_document(place))
        owners = [path for path in beside if _has_samples_in(path, place)] if no_run else [place]
    if not owners:
        raise DataError(f"{place} {no_run}", _mend(place))
    return owners[:1]


def _is_dated_alike(results: Path, samples: Path) -> bool:
    dated = stamp(results)
    return any(letter.isdigit() for letter in dated) and dated in samples.name


def _has_samples_in(results: Path, place: Path) -> bool:
    """Tells whether the run of a results file has the samples of one of its tasks there."""
    return any(task.samples_path.name == plain_name(place) for task in read_logged(results).tasks.values())


def _mend(place: Path) -> str:
    """Says what to name instead: the results files near by, as far as they are runs."""
    near = [*results_files_in(place.parent), *results_files_in(place.parent.parent)]
    runs = [str(path) for path in near if path != place and not why_no_run(read_document(path))]
    if runs:
        return f"name the results of a run:  babycli report {any_of(runs[:_MOST_NAMED])}"
    return "name the results of a run, which end in _results.json, or the folder of its logs"
