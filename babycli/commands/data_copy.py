"""`babycli data extract` and `data subset`: images copied to another folder.

Owns the words on the screen. The work is done in babycli/data/extract.py and subset.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.chosen import SetOption, check_inside, chosen_tasks
from babycli.commands.data_verify import sound_labels
from babycli.commands.options import DataOption, FromOption, TasksOption, say, tell
from babycli.commands.progress import progress_bar
from babycli.data.extract import check_members, extract
from babycli.data.finding import check_source
from babycli.data.images import ImageError, open_archive, open_zip_store
from babycli.data.label_files import get_labels
from babycli.data.manifest import LabelledTask, full_name, links_of
from babycli.data.problems import SHOWN_IN_ALL, Problem, ProblemKind, exit_code, raise_for, told
from babycli.data.root import DatasetRoot
from babycli.data.subset import MANIFEST_NAME, make_subset
from babycli.data.zip_entry import Member
from babycli.data.zips import ZipArchive
from babycli.errors import DataError, UsageError
from babycli.files import in_home
from babycli.wording import tasks_words


def unpack(
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="Any zip, whatever it is called.", show_default=False)],
    destination: Annotated[str, typer.Argument(metavar="DEST", help="Folder to unpack into.", show_default=False)],
    only_needed: Annotated[bool, typer.Option("--only-needed", help="Only the images that tasks read.")] = False,
    source: FromOption = None,
    tasks: TasksOption = None,
    data_set: SetOption = None,
    data: DataOption = None,
) -> None:
    """Unpack a zip, checked and in parallel; interrupted, the same command goes on.

    Examples:
    # the zip of Databrary, which is called .txt
    babycli data extract frames.txt path/to/saycam_images
    # just what tasks read
    babycli data extract frames.txt path/to/saycam_images --only-needed
    # just what one task reads
    babycli data extract frames.txt path/to/saycam_images --only-needed -t vtwt
    """
    if tasks is not None and not only_needed:
        raise UsageError("--tasks says which images are needed, so it goes with --only-needed", "add --only-needed")
    check_inside(tasks)
    root = DatasetRoot.find(data)
    check_source(archive, root.index_folder)
    if archive.is_dir():
        raise DataError(f"{archive} is a folder, not a zip", f"babycli data link {shlex.quote(str(archive))}")
    opened = open_archive(archive, root.index_folder)
    lacking: list[Problem] = []
    if only_needed:
        chosen = chosen_tasks(root, tasks, data_set)
        get_labels(root.path, [task for task in chosen if not task.data_set], source, replace=False)
        members, lacking = _needed(opened, root, chosen_tasks(root, tasks, data_set, needs_labels=True))
    else:
        members = list(opened.members())
    if not members:
        raise DataError(f"{archive} holds no files", "check the path")
    refused = check_members(opened, members)
    _tell(refused)
    if refused:
        say(f"{len(refused)} of {len(members)} members cannot be unpacked, or not safely, so nothing was")
        raise typer.Exit(exit_code(refused))
    with progress_bar("unpacking", sum(member.size_bytes for member in members), "B", scaled=True) as count:
        done = extract(opened, members, in_home(destination), count)
    _tell([*lacking, *done.problems])
    kept = f", {done.n_files - done.n_written} of them there already" if done.n_written < done.n_files else ""
    if done.problems:
        say(
            f"{len(done.problems)} of {len(members)} members cannot be read, so {destination} is not complete; the "
            f"other {done.n_files} are kept. With a whole zip the same command completes it."
        )
    else:
        say(f"{done.n_files} files in {destination}{kept}")
    raise typer.Exit(exit_code([*lacking, *done.problems]))


def _needed(
    archive: ZipArchive, root: DatasetRoot, tasks: Sequence[LabelledTask]
) -> tuple[list[Member], list[Problem]]:
    """Finds the members that tasks read, and the problems of links of which the zip holds some images but not all."""
    members: dict[str, Member] = {}
    lacking = []
    there: list[Problem] = []
    for task in tasks:
        labels = sound_labels(root, task, tasks)
        for link in links_of(task):
            names = labels.image_names(link.path)
            store = open_zip_store(archive, names)
            problems = []
            for name in names:
                try:
                    member = store.member(name)
                except ImageError as error:
                    problems.append(Problem(full_name(task), error.kind, error.path, error.detail))
                else:
                    members[member.name] = member
            lacking += problems if len(problems) < len(names) else []
            there += [problem for problem in problems if problem.kind != ProblemKind.MISSING]
    raise_for(there if not members else [], "unpack the zip with another program, and give the folder to  data link")
    if not members:
        raise DataError(f"{archive.path} holds none of the images that tasks read", "check the path")
    return list(members.values()), sorted(lacking)


def _tell(problems: Sequence[Problem]) -> None:
    lines = list(told(problems))
    for line in lines[:SHOWN_IN_ALL]:
        tell(line)
    if len(lines) > SHOWN_IN_ALL:
        tell(f"and {len(lines) - SHOWN_IN_ALL} more problems")


def subset(
    destination: Annotated[str, typer.Argument(metavar="DEST", help="New dataset folder.", show_default=False)],
    tasks: TasksOption = None,
    data_set: SetOption = None,
    data: DataOption = None,
) -> None:
    """Copy just the images that tasks read, with labels, links and checksums: a dataset folder for a cluster.

    Examples:
    # all that is linked
    babycli data subset path/to/copy
    # two tasks
    babycli data subset path/to/copy -t vtwt,baby_winoground
    # a set of the DevCV Toolbox, out of a dataset folder elsewhere
    babycli data subset path/to/copy --set ego4d -t devcv -d path/to/dataset
    """
    check_inside(tasks)
    root = DatasetRoot.find(data)
    chosen = chosen_tasks(root, tasks, data_set, needs_labels=True)
    all_labels = [sound_labels(root, task, chosen) for task in chosen]
    with progress_bar("copying", unit=" images") as count:
        result = make_subset(root, all_labels, in_home(destination), count)
    if result.was_there:
        mended = f"{result.n_written} images were put right" if result.n_written else "nothing was wrong"
        say(f"{destination} was there already: all of it was checked, and {mended}")
    else:
        say(f"{result.n_images} images in {destination}; to check them there:  sha256sum -c {MANIFEST_NAME}")
    say(f"to use it:  babycli eval --data {shlex.quote(destination)}{tasks_words(tasks)}")
