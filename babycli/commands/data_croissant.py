"""`babycli data croissant`: the linked dataset and its checksums as Croissant metadata.

Owns the command. The document is made in babycli/data/croissant.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.chosen import SetOption, check_inside, chosen_tasks
from babycli.commands.data_verify import sound_labels
from babycli.commands.options import DataOption, TasksOption, say
from babycli.data.lock import read_lock
from babycli.data.root import DatasetRoot
from babycli.files import write_atomically


def croissant(
    tasks: TasksOption = None,
    data_set: SetOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.", show_default=False)
    ] = None,
    data: DataOption = None,
) -> None:
    """Write the linked dataset, its files and their SHA-256, as Croissant metadata (JSON-LD).

    Examples:
    # all that is linked
    babycli data croissant -o croissant.json
    # the data of one task
    babycli data croissant -t vtwt -o vtwt.json
    # a set of the DevCV Toolbox
    babycli data croissant -t devcv --set ego4d -o ego4d.json
    """
    import json  # which help need not wait for

    from babycli.data.croissant import document

    check_inside(tasks)
    root = DatasetRoot.find(data)
    chosen = chosen_tasks(root, tasks, data_set, needs_labels=True)
    labels = [sound_labels(root, task, chosen) for task in chosen]
    made = document(labels, read_lock(root), root.words)
    text = json.dumps(made, indent=1) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    write_atomically(output, text.encode())
    say(f"{len(made['distribution'])} files of {root.path} in {output}")
