"""`babycli data verify` and `data manifest`: a check that every file is there and right, and checksums for it.

Owns the words on the screen. The work is done in babycli/data/verify.py and checksums.py.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.chosen import SetOption, chosen_tasks
from babycli.commands.options import (
    DataOption,
    JsonOption,
    TasksOption,
    name_width,
    print_json,
    say,
    tell,
)
from babycli.commands.progress import progress_bar
from babycli.data.checksums import ChecksumFile, checksum_text
from babycli.data.datasets import data_set_named
from babycli.data.finding import check_source
from babycli.data.hashing import hash_files
from babycli.data.images import ImageError, open_store
from babycli.data.labels import Labels
from babycli.data.manifest import LabelledTask, all_lie_outside, full_name, lies_outside
from babycli.data.problems import SHOWN_IN_ALL, Problem, ProblemKind, exit_code, in_order, raise_for, told
from babycli.data.root import DatasetRoot
from babycli.data.sources import source_named
from babycli.data.verify import (
    DEPTHS,
    Options,
    TaskSummary,
    Verified,
    can_be_fetched,
    checked_labels,
    labels_mend,
    link_words,
    verify_dataset,
    verify_source,
)
from babycli.errors import DataError, UsageError
from babycli.files import is_aside, write_atomically
from babycli.tasks import all_tasks
from babycli.wording import Depth, one_of, tasks_words


def sound_labels(root: DatasetRoot, task: LabelledTask, asked: Sequence[LabelledTask]) -> Labels:
    """Reads the labels of a task, one of those ``asked`` for.

    Raises DataError or ChecksumError where anything is wrong with them.
    """
    with root.named():
        labels = checked_labels(root, task)
        raise_for(labels.problems, labels_mend(root, task, asked))
    return labels


def verify(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE",
            help="Folder or zip to compare with --manifest; default: all of the dataset.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[
        str | None,
        typer.Option(
            "--depth",
            metavar="|".join(Depth),
            help="How closely to look; default checksum where checksums are known, else header.",
            show_default=False,
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="Checksums of all files of a download, as sha256sum, b3sum or BagIt write them.",
            show_default=False,
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read files again that have not changed since.")] = False,
    no_index: Annotated[bool, typer.Option("--no-index", help="Neither use nor keep the findings of verify.")] = False,
    tasks: TasksOption = None,
    data_set: SetOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Check labels against the manifests and images against the labels; exit 3 or 4 if anything is wrong.

    What each depth adds to those before it, and what it cannot see:

      names: a file of that name is there; not what is in it.
      header: it begins and ends as an image; not damage in between.
      checksum: its bytes are those of the manifest or lock; not that they were wrong from the start.
      decode: it can be decoded as well; without checksums, not another picture, nor (but for PNG) all damage to pixels.

    Examples:
    # all that is linked, as closely as checksums are known
    babycli data verify
    # every picture of one task, decoded
    babycli data verify -t vtwt --depth decode
    # a download, beside the checksums that came with it
    babycli data verify path/to/saycam_images --manifest sha256.txt
    """
    wanted = None if depth is None else one_of(depth, Depth, "depth")
    if manifest and wanted == Depth.NAMES:
        raise UsageError("--depth names reads no image, so it cannot use --manifest", "use --depth header or deeper")
    if source is not None and manifest is None:
        raise UsageError(
            f"nothing to compare {source} with", f"babycli data verify {shlex.quote(str(source))} --manifest FILE"
        )
    options = Options(
        wanted,
        ChecksumFile.open(manifest) if manifest else None,
        full,
        use_index=not no_index,
    )
    root = DatasetRoot.find(data)
    chosen = chosen_tasks(root, tasks, data_set, needs_labels=True) if source is None else []
    with progress_bar("checking", unit=" files") as count:
        if source is None:
            verified = verify_dataset(root, chosen, options, count)
        else:
            check_source(source, root.index_folder)
            verified = verify_source(source, options, root.index_folder, count)
    if as_json:
        print_json(_verify_document(verified))
    elif source is None and root.why_not_there and not all_lie_outside(chosen):
        raise DataError(root.sentence, mending(root, chosen, verified.problems, tasks_words(tasks)))
    else:
        width = name_width(summary.task for summary in verified.tasks)
        for summary in verified.tasks:
            tell(_verify_line(summary, width))
        if source is not None:
            tell(f"{source}  {verified.n_files} files")
        lines = list(told(verified.problems, in_full=(ProblemKind.MISSING, ProblemKind.UNEXPECTED)))
        for line in lines[:SHOWN_IN_ALL]:
            tell(line)
        if len(lines) > SHOWN_IN_ALL:
            tell(f"and {len(lines) - SHOWN_IN_ALL} more problems; --json lists all")
        for note in verified.notes:
            say(note)
        if verified.problems:
            say(
                _mend(root, chosen, verified.problems, tasks_words(tasks))
                if source is None
                else _count(verified.problems)
            )
            if source is None and not all_lie_outside(chosen):
                say(root.sentence)
    raise typer.Exit(exit_code(verified.problems))


def _verify_line(summary: TaskSummary, width: int) -> str:
    rows = f"{summary.n_rows} rows" + (" (demo)" if is_demo(summary) else "")
    if not summary.images_checked:
        return f"{summary.task:<{width}} {rows}; images not checked until the label file is right"
    images = ", ".join(f"{s.n_sound} of {s.n_images} {source_named(s.link.source).title} sound" for s in summary.links)
    return f"{summary.task:<{width}} {rows}; {images}"


def is_demo(summary: TaskSummary) -> bool:
    return summary.data_set is not None and data_set_named(summary.data_set).is_demo


def _count(problems: Sequence[Problem]) -> str:
    kinds = Counter(problem.kind.value for problem in problems)
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: {counts}."


def _mend(root: DatasetRoot, tasks: Sequence[LabelledTask], problems: Sequence[Problem], words: str) -> str:
    return f"{_count(problems)} To mend:  {mending(root, tasks, problems, words)}"


def mending(root: DatasetRoot, tasks: Sequence[LabelledTask], problems: Sequence[Problem], words: str) -> str:
    """Gives the command or step to take first: label files before images, which cannot be checked without them."""
    label_files = {str(root.path / task.label_path) for task in tasks}
    of_labels = {p.task for p in problems if p.subject in label_files or p.kind == ProblemKind.UNSAFE_NAME}
    doubtful = [task for task in tasks if full_name(task) in of_labels]
    if doubtful:
        return labels_mend(root, next((task for task in doubtful if can_be_fetched(task)), doubtful[0]), tasks)
    changed = {problem.task for problem in problems if problem.kind == ProblemKind.CHECKSUM}
    wanting = changed or {problem.task for problem in problems}
    of_images = [task for task in tasks if full_name(task) in wanting] or tasks
    link = link_words(root, of_images, tasks, all_tasks().values(), root.words + words)
    if changed:
        return f"put the right files back; if those that are there are right:  {link}"
    return link if all_lie_outside(of_images) else f"{link}  (after completing the folder)"


def tell_eval(
    root: DatasetRoot, tasks: Iterable[LabelledTask], first: str = "", says: Callable[[str], None] = tell
) -> None:
    """Tells the command that evaluates the complete trials of tasks, and what is to be done ``first``.

    Says nothing of a task in a file of the user's own and of one of several sets, which are called in other ways.
    """
    plain = [task for task in tasks if full_name(task) == task.name and not lies_outside(task)]
    names = [task.name for task in plain if task.name in all_tasks()]
    if names:
        eval_ = f"babycli eval --model MODEL --tasks {','.join(names)} --skip-missing{root.words}"
        says(f"To evaluate the complete trials{first}:  {eval_}")


def _verify_document(verified: Verified) -> dict[str, object]:
    return {
        "ok": not verified.problems,
        "depth": verified.depth,
        "cannot_see": DEPTHS[verified.depth],
        "verified_by": verified.verified_by,
        "files": verified.n_files,
        "tasks": {
            s.task: {
                "data": s.data_set,
                "rows": s.n_rows,
                "images_checked": s.images_checked,
                "links": links_document(s),
            }
            for s in verified.tasks
        },
        "problems": [
            {"task": p.task, "kind": p.kind.value, "subject": p.subject, "detail": p.detail} for p in verified.problems
        ],
        "notes": list(verified.notes),
    }


def links_document(summary: TaskSummary) -> dict[str, object]:
    return {
        entry.link.path: {"target": str(entry.target), "images": entry.n_images, "sound": entry.n_sound}
        for entry in summary.links
    }


def write_manifest(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder or zip.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write.", show_default=False)],
) -> None:
    """Write the SHA-256 of every file in a folder or zip, for `verify --manifest` and `sha256sum -c`.

    Examples:
    # of a folder
    babycli data manifest path/to/saycam_images -o sha256.txt
    # of the files in a zip, without unpacking it
    babycli data manifest frames.txt -o sha256.txt
    # of a dataset folder, to check a copy of it
    babycli data manifest dataset -o dataset.txt
    """
    check_source(source)
    store = open_store(source, [])
    names, problems = store.scan()
    real, own = Path(os.path.realpath(source)), Path(os.path.realpath(output))
    if own.is_relative_to(real):
        # The manifest does not list itself, nor the file beside it that a killed command was writing.
        names = [name for name in names if real / name != own and not is_aside(real / name, own)]
    if not names and not problems:
        raise DataError(f"{source} holds no files", "check the path")
    digests = {}
    with progress_bar("hashing", len(names), " files") as count:
        for name, digest in hash_files(store, names, count):
            if isinstance(digest, ImageError):
                problems.append(digest)
            else:
                digests[name] = digest
    found = [Problem("", problem.kind, problem.path, problem.detail) for problem in problems]
    raise_for(in_order(found), "put readable files there, or take them away; then make the list again")
    write_atomically(output, checksum_text(digests))
    say(f"{len(digests)} files of {source} in {output}")
