"""`babycli data labels`, `data link` and `data unlink`: label files, and links to images.

Owns the words on the screen. The work is done in babycli/data/.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.chosen import SetOption, check_inside, chosen_tasks
from babycli.commands.data_machine_devbench import MachineDevBenchOption, ready_given
from babycli.commands.data_sets import (
    IMAGES,
    DevcvImagesOption,
    DevcvOption,
    SplitOption,
    found_sets,
    read_given,
    ready_sets,
    say_equal_pictures,
    tell_labels,
)
from babycli.commands.data_verify import sound_labels, tell_eval
from babycli.commands.options import (
    DataOption,
    FromOption,
    TasksOption,
    name_width,
    say,
    tell,
)
from babycli.commands.progress import progress_bar
from babycli.data.discovery import discover_others
from babycli.data.finding import check_source
from babycli.data.images import ImageError, ZipStore
from babycli.data.label_files import get_labels
from babycli.data.labels import Labels
from babycli.data.linking import LabelFile, LinkChoices, LinkReport, link_images
from babycli.data.machine_devbench import ReadyBenchmark
from babycli.data.manifest import LabelledTask, full_name, links_of
from babycli.data.root import DatasetRoot
from babycli.data.set_linking import ReadySet, remove_empty_folders, remove_linked_labels
from babycli.data.sources import MAIN, all_sources, link_command, source_named
from babycli.data.verify import link_problem
from babycli.data.zips import is_zip
from babycli.errors import DataError, ExitCode, UsageError
from babycli.evaluation.chosen import all_bound_tasks
from babycli.files import in_home
from babycli.tasks import select_tasks
from babycli.tasks.base import Task
from babycli.wording import LinkMode, did_you_mean, listed, one_of, tasks_words

_HOW = "How to link"
SET_WORDS = "babycli data link --devcv SET=DIR"


def labels(labels_from: FromOption = None, tasks: TasksOption = None, data: DataOption = None) -> None:
    """Fetch the label files, or import them; checked against the manifests.

    Examples:
    # all of BabyVLM, from its authors' repository
    babycli data labels
    # out of a clone of it, without the network
    babycli data labels --from path/to/babylmms-eval/dataset
    # of two tasks, into another folder
    babycli data labels -t vtwt,labeled_s -d path/to/dataset
    """
    check_inside(tasks)
    root = DatasetRoot.find(data)
    root.check_is_no_file()
    selected = select_tasks(tasks)
    chosen = [task for task in selected if not task.data_set]
    done = get_labels(root.path, chosen, _checked_source(labels_from), replace=True) if chosen else {}
    for task in chosen:
        tell(f"{task.name:<16} {done[task.name]:<14} {root.path / task.label_path}")
    if len(chosen) < len(selected) and tasks is not None:
        _say_what_links(root, [task for task in selected if task.data_set])


def _say_what_links(root: DatasetRoot, tasks: Sequence[Task]) -> None:
    """Says of tasks whose label files cannot be fetched what links them."""
    of_sets, others = ([task for task in tasks if bool(task.sets_of) == has_sets] for has_sets in (True, False))
    if of_sets:
        names = listed((task.name for task in of_sets), most=len(tasks))
        say(f"label files of {names} come with their pictures:  {SET_WORDS}{root.words}")
    if others:
        names = listed((task.name for task in others), most=len(tasks))
        command = link_command((source for task in others for source in task.links), root.words)
        say(f"label files of {names} come with their pictures:  {command}")


def _checked_source(source: Path | None) -> Path | None:
    if source is None or os.path.isdir(source):
        return source
    if not os.path.exists(source):
        raise DataError(f"there is no folder {source} to take label files from", "check the path given to --from")
    mend = "unpack it, and give the folder" if is_zip(source) else "give the folder that holds the label files"
    raise DataError(f"{source} is no folder, and label files are taken from one", mend)


def link(
    saycam: Annotated[
        Path | None, typer.Argument(metavar="SAYCAM", help="Folder or zip of SAYCam frames.", show_default=False)
    ] = None,
    labeled_s: Annotated[
        Path | None,
        typer.Option(
            "--labeled-s",
            metavar="DIR",
            help="Folder or zip of Labeled-S images, if not inside SAYCAM.",
            show_default=False,
            rich_help_panel=IMAGES,
        ),
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option(
            "--synthetic",
            metavar="DIR",
            help="Folder or zip of synthetic images.",
            show_default=False,
            rich_help_panel=IMAGES,
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=DIR",
            help="Folder or zip of any other source; may be repeated.",
            show_default=False,
            rich_help_panel=IMAGES,
        ),
    ] = None,
    devcv: DevcvOption = None,
    devcv_images: DevcvImagesOption = None,
    split: SplitOption = None,
    machine_devbench: MachineDevBenchOption = None,
    labels_from: FromOption = None,
    tasks: TasksOption = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Link even where images are missing.", rich_help_panel=_HOW)
    ] = False,
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            metavar="|".join(LinkMode),
            help="Link to the images, or put them into the dataset folder.",
            rich_help_panel=_HOW,
        ),
    ] = LinkMode.SYMLINK,
    relative: Annotated[
        bool, typer.Option("--relative", help="Make symlinks relative to their own folder.", rich_help_panel=_HOW)
    ] = False,
    data: DataOption = None,
) -> None:
    """Check folders or zips of images against the labels, then link them into the dataset folder.

    Examples:
    # all pictures of BabyVLM, where they lie below one folder
    babycli data link path/to/saycam_images
    # the zip of Databrary, and the other pictures apart from it
    babycli data link frames.txt --labeled-s path/to/labeled_s --synthetic path/to/synthetic_images
    # a set of the DevCV Toolbox
    babycli data link --devcv ego4d=path/to/devcv_toolbox_ego4d
    """
    check_inside(tasks)
    root = DatasetRoot.find(data)
    root.check_is_no_file()
    named = {"saycam": saycam, "labeled_s": labeled_s, "synthetic": synthetic}
    given = {name: in_home(path) for name, path in named.items() if path is not None}
    given |= _given_by_name(source or [], given, all_bound_tasks(root, tasks))
    given_sets = read_given(devcv or [], devcv_images or [], split)
    if not given and not given_sets and machine_devbench is None:
        raise UsageError("nothing to link", f"babycli data link path/to/saycam_images   or   {SET_WORDS}")
    choices_of_links = LinkChoices(allow_missing, one_of(mode, LinkMode, "mode"), relative)
    for path in given.values():
        check_source(path, root.index_folder if root.path.is_dir() else None)
    all_labels = _labels_there(root, tasks, given, labels_from) if given else []
    if saycam is not None:
        given |= _told(discover_others(root, given[MAIN], all_labels, given))
    sets = ready_sets(root, given_sets, tasks)
    if saycam is not None and not given_sets:
        sets = found_sets(root, given[MAIN], tasks)
    of_benchmark = ready_given(root, machine_devbench, tasks)
    ready: list[ReadySet | ReadyBenchmark] = [*sets, *of_benchmark]
    files = {full_name(file.labels.task): file for each in ready for file in each.files}
    all_labels = [labels for labels in all_labels if full_name(labels.task) not in files]
    all_labels += [file.labels for file in files.values()]
    given |= {each.source: each.images for each in ready}
    with progress_bar("reading images", unit=" images") as count:
        linked = link_images(root, all_labels, given, choices_of_links, count, list(files.values()))
    reports = linked.reports
    width = name_width(full_name(labels.task) for labels in all_labels)
    for labels in all_labels:
        name = full_name(labels.task)
        of_task = [report for report in reports if report.task == name]
        _print_task(root, labels.task, of_task, width, files.get(name), allow_missing)
        if name in files:
            say_equal_pictures(labels, of_task)
    if linked.changed:
        say(
            f"{len(linked.changed)} images have other bytes than when they were linked before: {listed(linked.changed)}"
        )
    for folder in linked.unused:
        say(f"no link leads to {folder} any more; to remove its images:  rm -r {shlex.quote(str(folder))}")
    if allow_missing:
        _say_how_to_evaluate(root, all_labels, reports, choices_of_links.mode)
    _say_wanted(saycam, reports, root.words + tasks_words(tasks))
    lacking = [report for report in reports if report.found and report.found.missing and report.was_given]
    if lacking and not allow_missing:
        raise typer.Exit(ExitCode.DATA)


def _told(found: Mapping[str, Path]) -> Mapping[str, Path]:
    """Says where sources were found that the user has not named."""
    for source, place in found.items():
        say(f"found {source_named(source).title} in {place}")
    return found


def _labels_there(
    root: DatasetRoot, tasks: str | None, given: Mapping[str, Path], labels_from: Path | None
) -> list[Labels]:
    """Gets label files that are missing, and reads those of the tasks that may be linked to the given folders."""
    chosen = [task for task in select_tasks(tasks) if not task.data_set]
    if chosen:
        done = set(get_labels(root.path, chosen, _checked_source(labels_from), replace=False).values())
        if done - {"already there", "not there"}:
            say(f"label files: {', '.join(sorted(done - {'not there'}))} into {root.path}")
    there = chosen_tasks(root, tasks, needs_labels=True)
    return [sound_labels(root, task, there) for task in there if not task.data_set or given.keys() & task.links.keys()]


def _given_by_name(words: Sequence[str], given: Mapping[str, Path], tasks: Sequence[LabelledTask]) -> dict[str, Path]:
    """Reads the folders of --source NAME=DIR. Raises UsageError for any other form, or an unknown source."""
    folders: dict[str, Path] = {}
    known = list(dict.fromkeys([*all_sources(), *(source for task in tasks for source in task.links)]))
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or not folder:
            raise UsageError(f"cannot read --source {word!r}", "write it as  --source NAME=DIR")
        if name not in known:
            raise UsageError(f"unknown source {name!r}.{did_you_mean(name, known)}", f"one of: {', '.join(known)}")
        if name in given or name in folders:
            raise UsageError(f"two folders are given for {name}", "give one")
        folders[name] = in_home(folder)
    return folders


def _print_task(
    root: DatasetRoot,
    task: LabelledTask,
    reports: Sequence[LinkReport],
    width: int,
    file: LabelFile | None,
    allow_missing: bool,
) -> None:
    name = full_name(task)
    broken = [link_problem(root, name, report.link) for report in reports]
    is_withheld = file is not None and not allow_missing and not all(report.is_complete for report in reports)
    places = [report.found for report in reports if report.found]
    is_lacking = {
        "missing": any(len(best.missing) > len(best.broken) for best in places),
        "broken": any(best.broken for best in places),
    }
    lacking = [word for word, holds in is_lacking.items() if holds]
    wanted = [report for report, problem in zip(reports, broken, strict=True) if problem and report.action == "wanted"]
    if is_withheld or any(report.action in ("incomplete", "withheld") for report in reports):
        state = "NOT LINKED"
    elif any(broken):
        state = "wants " + " and ".join(source_named(report.link.source).title for report in wanted)
    else:
        state = f"linked, images {' and '.join(lacking)}" if lacking else "ready"
    tell(f"{name:<{width}} {state}")
    for report in reports:
        _print_link(root, report)
        if file is not None:
            tell_labels(file, report)


def _print_link(root: DatasetRoot, report: LinkReport) -> None:
    best, source = report.found, source_named(report.link.source)
    place = root.path / report.link.path
    if report.action == "kept":
        tell(f"    {place} is a real folder and was left as it is; move it away to link another")
    if best is None:
        tell(f"    {place}: " + ("unchanged" if report.action == "unchanged" else f"give {source.link_words}"))
        return
    note = {"unchanged": ", unchanged", "withheld": ", not linked because its task is not complete"}.get(
        report.action, ""
    )
    in_zip = f", a zip of {len(best.store.archive)} files" if isinstance(best.store, ZipStore) else ""
    tell(f"    {best.n_found} of {best.n_names} {source.title} in {best.folder}{in_zip}{note}")
    if best.missing:
        broken = dict.fromkeys(best.broken)
        absent = [name + _note(best.why[name].detail) for name in best.missing if name not in broken]
        spoiled = [name + _note(": ".join(_error_words(best.why[name]))) for name in broken]
        for word, names in (("missing", absent), ("broken", spoiled)):
            if names:
                tell(f"    {word}: {listed(names)}")
        if report.action == "incomplete":
            tell("    complete the folder, or link it as it is with --allow-missing")


def _error_words(error: ImageError) -> list[str]:
    return [error.kind, error.detail] if error.detail else [error.kind]


def _note(text: str) -> str:
    return f" ({text})" if text else ""


def _say_wanted(saycam: Path | None, reports: Sequence[LinkReport], words: str) -> None:
    wanted = list(dict.fromkeys(report.link.source for report in reports if report.action == "wanted"))
    if wanted:
        first = shlex.quote(str(saycam)) + " " if saycam and MAIN not in wanted else ""
        rest = " ".join(source_named(source).link_words for source in wanted)
        say(f"for the rest:  babycli data link {first}{rest}{words}")


def _say_how_to_evaluate(
    root: DatasetRoot, all_labels: Sequence[Labels], reports: Sequence[LinkReport], mode: LinkMode
) -> None:
    """Says how the complete trials are evaluated of tasks that were linked though some trials are not complete."""
    partly, has_broken = [], False
    for labels in all_labels:
        own = [report for report in reports if report.task == full_name(labels.task)]
        lacking = {report.link.path: {*report.found.missing} for report in own if report.found is not None}
        if not any(lacking.values()) or any(link_problem(root, report.task, report.link) for report in own):
            continue
        if labels.n_complete(lacking):
            partly.append(labels.task)
            has_broken |= any(report.found.broken for report in own if report.found is not None)
    # What is not a link holds sound images alone. eval stops at one that is there and broken.
    is_in_way = has_broken and mode == LinkMode.SYMLINK
    tell_eval(root, partly, " (move the broken images away first)" if is_in_way else "", say)


def unlink(tasks: TasksOption = None, data_set: SetOption = None, data: DataOption = None) -> None:
    """Remove the links from the dataset folder. Images, label files and real folders stay.

    Label files that were linked with their images go too, unless they were changed since.

    Examples:
    # all links
    babycli data unlink
    # those of one task
    babycli data unlink -t vtwt
    # a set of the DevCV Toolbox
    babycli data unlink --set ego4d
    """
    check_inside(tasks)
    root = DatasetRoot.find(data)
    chosen = all_bound_tasks(root, tasks, data_set)
    of_sets = [task for task in all_bound_tasks(root, None) if task.data_set]
    gone = remove_linked_labels(root, [task.label_path for task in chosen if task.data_set])
    for label_path, is_gone in gone.items():
        tell(f"removed {root.path / label_path}" if is_gone else f"kept    {root.path / label_path}, not as linked")
    still = [task for task in of_sets if (root.path / task.label_path).exists()]
    held = {path for task in still for path in task.links.values()}
    was_linked = any(root.link_state(link.path) != "missing" for task in chosen for link in links_of(task))
    for path in dict.fromkeys(link.path for task in chosen for link in links_of(task)):
        if path in held:
            tell(f"kept    {root.path / path}, for the other tasks of its set")
        elif root.remove_link(path):
            tell(f"removed {root.path / path}")
        elif root.link_state(path) == "folder":
            tell(f"kept    {root.path / path}, a real folder")
    remove_empty_folders(root, list(gone))
    if not gone and not was_linked:
        say(f"no links were there; {root.sentence}")
