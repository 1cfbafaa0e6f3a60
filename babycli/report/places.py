"""The results files that a user means by a folder, by a results file, or by another file of a run.

Owns what a named place stands for, and the words for one that holds no run. Never reads a number.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from babycli.errors import DataError
from babycli.logs.content import plain_name
from babycli.report.documents import read_document, stamp
from babycli.report.logged import read_logged, why_no_run
from babycli.report.readers import results_files, results_files_in, run_folders
from babycli.report.runs import Unread
from babycli.wording import any_of, natural_order

_MOST_NAMED = 3  # results files in a message


def places_of(words: Sequence[Path]) -> list[Path]:
    """Gives the places that words mean, each once; a word with ``*``, ``?`` or ``[`` that is none is a pattern.

    Raises DataError for a pattern that nothing fits.
    """
    places: dict[Path, None] = {}
    for word in words:
        if word.exists() or not glob.has_magic(str(word)):
            places[word] = None
            continue
        paths = glob.glob(str(word), recursive=True)  # noqa: PTH207  # the user's own pattern, absolute perhaps
        found = sorted(paths, key=natural_order)
        if not found:
            raise DataError(f"nothing fits the pattern {word}", "name folders of logs, or a pattern that fits some")
        places |= dict.fromkeys(map(Path, found))
    return list(places)


def results_of(places: Sequence[Path]) -> tuple[list[Path], list[Unread]]:
    """Finds the results files at several places, each once, and the places that hold no run.

    Of a single place, and of one that is not there, raises DataError as ``results_at`` does.
    """
    files: dict[Path, Path] = {}
    without: list[Unread] = []
    for place in places:
        try:
            found = results_at(place)
        except DataError as error:
            if len(places) == 1 or not place.exists():
                raise
            without.append(Unread(place, error.message.removeprefix(f"{place} "), error.mend))
            continue
        if not found and not run_folders(place) and len(places) > 1:
            without.append(Unread(place, "holds no run"))
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values()), without


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
