"""`babycli demo`: the whole way from downloads to a table, on data and models that come with babycli.

Owns the demo folder. Runs the very commands that a user would type, through the same main().
"""

from __future__ import annotations

import os
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.options import say, tell
from babycli.errors import DataError
from babycli.files import replace_file

_HERE = Path(__file__).parent.parent / "demo"
DOWNLOADS = _HERE / "downloads.zip"  # of BabyVLM
DEVCV = _HERE / "devcv.zip"  # of the DevCV Toolbox
MARKER = "This folder was made by `babycli demo`; delete it when you like.\n"


def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to work in.")] = Path("babycli-demo"),
) -> None:
    """Try babycli without any data: link, verify, evaluate and report on drawn pictures, offline.

    Examples:
    # in the folder babycli-demo
    babycli demo
    # in another one
    babycli demo path/to/try
    # its results once more, as a page
    babycli report babycli-demo/logs -o report.html
    """
    _unpack_downloads(folder)
    downloads, dataset, logs = folder / "downloads", folder / "dataset", folder / "logs"
    sources = [downloads / "saycam_images", "--labeled-s", downloads / "labeled_s_images"]
    sources += ["--synthetic", downloads / "synthetic_images", "--from", downloads / "labels"]
    sources += ["--devcv", downloads / "devcv"]
    places = ["--data", str(dataset), "--output-path", str(logs)]
    steps = [
        ["data", "link", *map(str, sources), "--data", str(dataset)],
        ["data", "verify", "--data", str(dataset)],
        ["eval", "--model", "babyllava-tiny", "--tasks", "babyvlm", *places],
        ["eval", "--model", "babyllava-v2-tiny", "--tasks", "devcv", *places],
        ["report", str(logs)],
    ]
    run: Callable[[list[str]], int] = context.meta["babycli.main"]
    for step in steps:
        tell(f"\n$ babycli {shlex.join(step)}", flush=True)
        code = run(step)
        if code:
            raise typer.Exit(code)
    say(f"\nAll of this is in {folder}{os.sep}. To go on:")
    for words, then in (
        (["report", str(logs), "-o", "report.html"], "the same as a page"),
        (["eval", "--model", "path/to/checkpoint", *places], "a model of yours on these data"),
        (["data", "link", "path/to/saycam_images"], "your own data"),
    ):
        say(f"  babycli {shlex.join(words)}    # {then}")


def _unpack_downloads(folder: Path) -> None:
    """Unpacks the "downloads" into the folder, over older ones. Raises DataError for a folder of other files."""
    marker = folder / "downloads" / "README.txt"
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not marker.is_file())):
        raise DataError(f"{folder} exists and is not a demo folder", "name another:  babycli demo DIR")
    say(f"unpacking the demo's downloads into {folder / 'downloads'}")
    try:
        (folder / "downloads").mkdir(parents=True, exist_ok=True)
        replace_file(marker, MARKER.encode())
        for path, to in ((DOWNLOADS, "downloads"), (DEVCV, "downloads/devcv")):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    place = folder / to / name
                    if os.path.lexists(place) and not os.path.isdir(place):
                        place.unlink()  # it may be a link or a pipe
                archive.extractall(folder / to)
    except OSError as error:
        raise DataError(
            f"cannot write the demo into {folder}: {error.strerror}", "name another:  babycli demo DIR"
        ) from error
