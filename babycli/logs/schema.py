"""The version of a run's files, and reading run.json.

Owns which versions this babycli reads. Version 1 is that of 0.1.0; version 2 has contexts of several pictures and turns
in its answer lines, and the identity of the run in run.json and results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from babycli.errors import DataError
from babycli.files import read_file
from babycli.typed import from_json

SCHEMA_VERSION: Final = 2
READABLE = (1, 2)
RUN_FILE = "run.json"
NAME_FORMAT = "%Y%m%d_%H%M%S"  # of a run's folder, in UTC: local time repeats an hour when summer ends


def check_schema(version: object) -> None:
    """Checks that this babycli reads a schema version. Raises DataError."""
    read = f"this babycli reads {' and '.join(map(str, READABLE))}"
    if type(version) is not int or version < READABLE[0]:
        raise DataError(
            f"has schema_version {version!r:.80}, and {read}", "put the file back as it was; or evaluate again"
        )
    if version not in READABLE:
        raise DataError(f"has schema_version {version}, and {read}: pip install --upgrade babycli")


def read_run(folder: Path) -> dict[str, Any] | None:
    """Reads run.json of a folder; None if there is none, or none that can be read."""
    try:
        run = from_json(read_file(folder / RUN_FILE))
    except (OSError, ValueError):
        return None
    return run if isinstance(run, dict) else None
