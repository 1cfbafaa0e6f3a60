"""The Machine-DevBench that `babycli data link` is given, and what it says of it.

Owns the option and the words on the screen. The work is done in babycli/data/machine_devbench.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.data_sets import IMAGES
from babycli.commands.options import say
from babycli.data.finding import check_source
from babycli.data.machine_devbench import ReadyBenchmark, ready_benchmark
from babycli.data.root import DatasetRoot
from babycli.errors import UsageError
from babycli.files import in_home
from babycli.tasks import all_tasks, select_tasks
from babycli.tasks.machine_devbench.common import STYLES, MachineDevBenchTask

MachineDevBenchOption = Annotated[
    Path | None,
    typer.Option(
        "--machine-devbench",
        metavar="DIR",
        help="Folder or zip of Machine-DevBench, with Lexical and Grammatical in it.",
        show_default=False,
        rich_help_panel=IMAGES,
    ),
]


def ready_given(root: DatasetRoot, given: Path | None, tasks: str | None) -> list[ReadyBenchmark]:
    """Makes it ready to be linked, if it is given, and says what was found. Raises DataError or UsageError."""
    if given is None:
        return []
    known = {task.name: task for task in all_tasks().values() if isinstance(task, MachineDevBenchTask)}
    wanted = [task.name for task in select_tasks(tasks) if task.name in known]
    if not wanted:
        raise UsageError("--tasks names no task of machine_devbench", f"one of: {', '.join(known)}")
    place = in_home(given)
    check_source(place, root.index_folder if root.path.is_dir() else None)
    made = ready_benchmark(root, place, known, STYLES, wanted)
    for remark in made.remarks:
        say(remark)
    return [made]
