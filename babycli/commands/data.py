"""`babycli data ...`: label files, links to images, and whether they are what they should be.

Owns the words on the screen. The work is done in babycli/data/.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.data_copy import subset, unpack
from babycli.commands.data_verify import (
    links_document,
    sound_labels,
    task_manifests,
    task_questions,
    verify,
    write_manifest,
)
from babycli.commands.options import DataOption, FromOption, JsonOption, print_json, say
from babycli.commands.progress import progress_bar
from babycli.data.images import ImageError, ZipStore
from babycli.data.labels import get_labels
from babycli.data.linking import LinkChoices, LinkReport, check_source, link_images
from babycli.data.manifest import SOURCE_TITLES, Manifest, Source
from babycli.data.root import DatasetRoot
from babycli.data.verify import Options, TaskSummary, link_problem, verify_dataset
from babycli.errors import DataError, ExitCode, UsageError
from babycli.wording import Depth, LinkMode, listed, one_of

app = typer.Typer(no_args_is_help=True, help="Label files and images: fetch, link, check.")
app.command("verify")(verify)
app.command("manifest")(write_manifest)
app.command("extract")(unpack)
app.command("subset")(subset)

SHOWN_NAMES = 5
_OPTIONS: dict[Source, str] = {
    "saycam": "SAYCAM-FOLDER",
    "labeled_s": "--labeled-s DIR",
    "synthetic": "--synthetic DIR",
}


@app.command()
def labels(data: DataOption = None, source: FromOption = None) -> None:
    """Fetch the four label files, or import them; checked against the manifests."""
    root = DatasetRoot.find(data)
    done = get_labels(root.path, task_manifests(), _checked_source(source), replace=True)
    for manifest in task_manifests():
        print(f"{manifest.task:<16} {done[manifest.task]:<14} {root.path / manifest.label_path}")


def _checked_source(source: Path | None) -> Path | None:
    if source is not None and not os.path.isdir(source):
        raise DataError(f"there is no folder {source} to take label files from", "check the path given to --from")
    return source


@app.command()
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
        ),
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option("--synthetic", metavar="DIR", help="Folder or zip of synthetic images.", show_default=False),
    ] = None,
    source: FromOption = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Link even where images are missing.")] = False,
    mode: Annotated[
        str,
        typer.Option(
            "--mode", metavar="|".join(LinkMode), help="Link to the images, or put them into the dataset folder."
        ),
    ] = LinkMode.SYMLINK,
    relative: Annotated[bool, typer.Option("--relative", help="Links say the way from where they are.")] = False,
    data: DataOption = None,
) -> None:
    """Check folders or zips of images against the labels, then link them into the dataset folder."""
    choices: dict[Source, Path | None] = {"saycam": saycam, "labeled_s": labeled_s, "synthetic": synthetic}
    given = {kind: path.expanduser() for kind, path in choices.items() if path is not None}
    if not given:
        raise UsageError("nothing to link", "babycli data link path/to/saycam_images")
    choices_of_links = LinkChoices(allow_missing, one_of(mode, LinkMode, "mode"), relative)
    root = DatasetRoot.find(data)
    for path in given.values():
        check_source(path, root.index_folder if root.path.is_dir() else None)
    fetched = get_labels(root.path, task_manifests(), _checked_source(source), replace=False)
    if set(fetched.values()) != {"already there"}:
        say(f"label files: {', '.join(sorted(set(fetched.values())))} into {root.path}")
    all_labels = [sound_labels(root, manifest) for manifest in task_manifests()]
    with progress_bar("reading images", unit=" images") as count:
        linked = link_images(root, all_labels, given, choices_of_links, count)
    reports = linked.reports
    for manifest in task_manifests():
        _print_task(root, manifest, [report for report in reports if report.task == manifest.task])
    if linked.changed:
        say(
            f"{len(linked.changed)} images have other bytes than when they were linked before: {listed(linked.changed)}"
        )
    for folder in linked.unused:
        say(f"no link leads to {folder} any more; to remove its images:  rm -r {shlex.quote(str(folder))}")
    _say_wanted(root, saycam, reports)
    lacking = [report for report in reports if report.found and report.found.missing and report.was_given]
    if lacking and not allow_missing:
        raise typer.Exit(ExitCode.DATA)


def _print_task(root: DatasetRoot, manifest: Manifest, reports: Sequence[LinkReport]) -> None:
    broken = [link_problem(root, manifest.task, report.link) for report in reports]
    founds = [report.found for report in reports if report.found]
    is_lacking = {
        "missing": any(len(found.missing) > len(found.broken) for found in founds),
        "broken": any(found.broken for found in founds),
    }
    lacking = [word for word, holds in is_lacking.items() if holds]
    wanted = [report for report, problem in zip(reports, broken, strict=True) if problem and report.action == "wanted"]
    if any(report.action in ("incomplete", "withheld") for report in reports):
        state = "NOT LINKED"
    elif any(broken):
        state = "wants " + " and ".join(SOURCE_TITLES[report.link.source] for report in wanted)
    else:
        state = f"linked, images {' and '.join(lacking)}" if lacking else "ready"
    print(f"{manifest.task:<16} {state}")
    for report in reports:
        _print_link(root, report)


def _print_link(root: DatasetRoot, report: LinkReport) -> None:
    found = report.found
    place = root.path / report.link.path
    if report.action == "kept":
        print(f"    {place} is a real folder and was left as it is; move it away to link another")
    if found is None:
        print(
            f"    {place}: " + ("unchanged" if report.action == "unchanged" else f"give {_OPTIONS[report.link.source]}")
        )
        return
    note = {"unchanged": ", unchanged", "withheld": ", not linked because its task is not complete"}.get(
        report.action, ""
    )
    in_zip = f", a zip of {len(found.store.archive)} files" if isinstance(found.store, ZipStore) else ""
    print(f"    {found.n_found} of {found.n_names} {SOURCE_TITLES[report.link.source]} in {found.folder}{in_zip}{note}")
    if found.missing:
        broken = dict.fromkeys(found.broken)
        absent = [name + _note(found.why[name].detail) for name in found.missing if name not in broken]
        spoiled = [name + _note(": ".join(_words(found.why[name]))) for name in broken]
        for word, names in (("missing", absent), ("broken", spoiled)):
            if names:
                print(f"    {word}: {listed(names)}")
        if report.action == "incomplete":
            print("    complete the folder, or link it as it is with --allow-missing")


def _words(error: ImageError) -> list[str]:
    return [error.kind, error.detail] if error.detail else [error.kind]


def _note(text: str) -> str:
    return f" ({text})" if text else ""


def _say_wanted(root: DatasetRoot, saycam: Path | None, reports: Sequence[LinkReport]) -> None:
    wanted = list(dict.fromkeys(report.link.source for report in reports if report.action == "wanted"))
    if wanted:
        first = shlex.quote(str(saycam)) + " " if saycam and "saycam" not in wanted else ""
        say(f"for the rest:  babycli data link {first}{' '.join(_OPTIONS[source] for source in wanted)}{root.words}")


@app.command()
def status(as_json: JsonOption = False, data: DataOption = None) -> None:
    """Show what is there: label files, links and where they lead, and which tasks are ready."""
    root = DatasetRoot.find(data)
    with progress_bar("looking for images", unit=" images") as count:
        summaries = verify_dataset(root, task_questions(), Options(depth=Depth.NAMES), count).tasks
    if as_json:
        print_json({s.task: _status_document(s) for s in summaries})
        return
    print(f"dataset folder: {root.path}" + ("" if root.path.is_dir() else "  (not there yet)"))
    for summary in summaries:
        state = "not ready" if summary.problems else "ready"
        print(f"{summary.task:<16} {state}" + ("  (demo)" if summary.edition == "demo" else ""))
        for each in summary.links:
            counted = f"  {each.n_sound} of {each.n_images} images there" if summary.images_checked else ""
            if root.link_state(each.link.path) != "missing":
                print(f"    {each.link.path} -> {each.target}{counted}")
        for problem in summary.problems[:SHOWN_NAMES]:
            print(f"    {problem.kind} {problem.subject}" + (f": {problem.detail}" if problem.detail else ""))
        if len(summary.problems) > SHOWN_NAMES:
            print(f"    and {len(summary.problems) - SHOWN_NAMES} more; see  babycli data verify{root.words}")


def _status_document(summary: TaskSummary) -> dict[str, object]:
    return {
        "ready": not summary.problems,
        "data": summary.edition,
        "rows": summary.n_rows,
        "links": links_document(summary),
        "problems": [str(problem) for problem in summary.problems],
    }


@app.command()
def unlink(data: DataOption = None) -> None:
    """Remove the links from the dataset folder. Images, label files and real folders stay."""
    root = DatasetRoot.find(data)
    for manifest in task_manifests():
        for each in manifest.links:
            if root.remove_link(each.path):
                print(f"removed {root.path / each.path}")
            elif root.link_state(each.path) == "folder":
                print(f"kept    {root.path / each.path}, a real folder")
