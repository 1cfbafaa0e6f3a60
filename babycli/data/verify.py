"""The check of a dataset: labels against manifests, images against labels and checksums; all problems are reported.

Owns the checks and their depths (DEPTHS). Never stops at the first problem and never mends one.

Each depth includes those before it. Checksums come from a manifest (then every file of a download is compared, and the
files must be just those of the manifest), else from the lock that `data link` wrote; the demo data bring their own.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from babycli.data.audit import Audit, Audited, Digests, audit
from babycli.data.checksums import ChecksumFile
from babycli.data.datasets import data_set_named
from babycli.data.examine import Finding
from babycli.data.images import ImageStore, open_archive, open_store
from babycli.data.inventory import Place
from babycli.data.labels import Labels, equal_pictures, read_labels, with_item_problems
from babycli.data.lock import Lock, LockedLink, labels_problem, read_lock
from babycli.data.manifest import (
    LabelledTask,
    Link,
    all_lie_outside,
    demo_digests,
    full_name,
    images_words,
    links_of,
    published,
)
from babycli.data.problems import SHOWN, Problem, ProblemKind, exit_code, in_order
from babycli.data.root import DatasetRoot
from babycli.data.sources import MAIN, link_command, reads_main, source_named
from babycli.data.zips import is_zip
from babycli.domain import ImageRef
from babycli.errors import DataError, ExitCode
from babycli.wording import Depth

# What each depth cannot see. It sees all that the depths before it see.
DEPTHS: Mapping[Depth, str] = {
    Depth.NAMES: "what is in a file of the right name",
    Depth.HEADER: "damage between the start and the end of a JPEG or PNG",
    Depth.CHECKSUM: "that the recorded bytes were wrong from the start",
    Depth.DECODE: "without a checksum: another picture, or damage that changes a part of a picture (seen in a PNG)",
}

VerifiedBy = Literal["hash", "stat"]


@dataclass(frozen=True, slots=True)
class Options:
    """How closely to look. ``depth`` None: as closely as the recorded checksums allow."""

    depth: Depth | None = None
    manifest: ChecksumFile | None = None
    full: bool = False  # read files that an earlier verify has read, too
    use_index: bool = True


@dataclass(frozen=True, slots=True)
class LinkSummary:
    link: Link
    target: Path
    n_images: int
    n_sound: int


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """The result for one task."""

    task: str
    data_set: str | None
    n_rows: int
    links: tuple[LinkSummary, ...]
    problems: tuple[Problem, ...]
    images_checked: bool  # not done while the label file is in doubt
    n_incomplete: int  # trials of which an image is missing or unsound
    n_complete: int  # the others; none where a link cannot be read


@dataclass(frozen=True, slots=True)
class Verified:
    """The result for a dataset, or for one folder or zip."""

    depth: Depth
    tasks: tuple[TaskSummary, ...]
    problems: tuple[Problem, ...]  # sorted, those of the tasks included
    n_files: int  # files looked into; 0 at depth names
    verified_by: VerifiedBy | None  # "stat" where a file was not read because it has not changed; None at depth names
    notes: tuple[str, ...]  # what was not compared, and why


def open_link(root: DatasetRoot, link: Link, names: Sequence[str]) -> ImageStore:
    """Opens the images behind a link that has no link_problem(); the names decide which folder of a zip is meant."""
    return open_store(root.path / link.path, names, root.index_folder)


def link_problem(root: DatasetRoot, task: str, link: Link) -> Problem | None:
    """Tells why nothing can be read through a link; None if it can be read."""
    state = root.link_state(link.path)
    place = root.path / link.path
    if state == "missing":
        detail = "there is nothing" if Path(link.path).is_absolute() else "no images are linked there yet"
        return Problem(task, ProblemKind.LINK_MISSING, str(place), detail)
    if state == "broken":
        target = root.link_target(link.path)
        why = "which leads back to itself" if root.is_loop(link.path) else "which is gone"
        return Problem(task, ProblemKind.LINK_BROKEN, str(place), f"it points to {target}, {why}")
    if place.is_dir():
        return None
    if not is_zip(place):
        return Problem(task, ProblemKind.LINK_BROKEN, str(place), "it leads neither to a folder nor to a whole zip")
    try:
        open_archive(place, root.index_folder)
    except DataError as error:
        return Problem(task, ProblemKind.LINK_BROKEN, str(place), error.message)
    return None


def link_words(
    root: DatasetRoot,
    tasks: Sequence[LabelledTask],
    asked: Iterable[LabelledTask],
    every: Iterable[LabelledTask],
    words: str,
) -> str:
    """Gives the command that links just what is not linked of these tasks; all of them where everything is.

    ``asked`` are all tasks of the command, which may want the main source, too; ``every`` task there is tells whether
    its pictures are linked for any of them.
    """
    if all_lie_outside(tasks):
        return f"name the folder or zip of its pictures:  {images_words(tasks[0].label_path)}"
    links = [link for task in tasks for link in links_of(task)]
    lacking = [link.source for link in links if link_problem(root, "", link) is not None]
    of_main = [link for task in every for link in links_of(task) if link.source == MAIN]
    has_main = any(link_problem(root, "", link) is None for link in of_main)
    return link_command(lacking or [link.source for link in links], words, _want_main(asked) and not has_main)


def _want_main(tasks: Iterable[LabelledTask]) -> bool:
    return any(link.source == MAIN for task in tasks for link in links_of(task))


def checked_labels(root: DatasetRoot, task: LabelledTask, lock: Lock | None = None) -> Labels:
    """Reads a task's labels, with the problems of the file and of its items.

    Label files that were linked with their images are compared with the lock, which is read if it is not given.
    """
    labels = read_labels(root.path / task.label_path, task)
    if task.data_set and labels.sha256:
        lock = read_lock(root) if lock is None else lock
        changed = labels_problem(lock, task, labels.path, labels.sha256)
        labels = replace(labels, problems=(changed, *labels.problems)) if changed is not None else labels
    return with_item_problems(labels)


def can_be_fetched(task: LabelledTask) -> bool:
    """Tells whether a task's labels are published, so that `data labels` gets them."""
    known = published(task.name)
    return known is not None and known.upstream is not None


def labels_mend(root: DatasetRoot, task: LabelledTask, asked: Iterable[LabelledTask]) -> str:
    """Gives what mends the label file of a task, one of those ``asked`` for.

    Where it lacks its pictures too, linking those brings both.
    """
    path = root.path / task.label_path
    is_new = not path.exists() and any(root.link_state(link.path) == "missing" for link in links_of(task))
    if task.data_set or (is_new and can_be_fetched(task)):
        return link_command(task.links, root.words, _want_main(asked))
    if can_be_fetched(task):
        kept = f"   (keeps the file that is there as {path.name}.old)" if path.exists() else ""
        return f"babycli data labels{root.words}{kept}"
    return f"put {path} right" if path.exists() else f"write {path}, the label file of {task.name}"


@dataclass(frozen=True, slots=True)
class _Linked:
    """A link that can be read, and the images that are expected there."""

    task: str
    link: Link
    names: tuple[str, ...]  # images that the task reads, sorted
    store: ImageStore
    recorded: Digests | None


_LinkKey = tuple[str, str]  # task and path: several tasks may read behind one link


def verify_dataset(
    root: DatasetRoot, tasks: Sequence[LabelledTask], options: Options, progress: Callable[[int], None]
) -> Verified:
    """Checks every task. ``progress`` gets counts of files. Raises DataError where nothing can be compared."""
    compares = options.depth not in (Depth.NAMES, Depth.HEADER)
    lock = read_lock(root) if compares or any(task.data_set for task in tasks) else Lock({})
    all_labels = [checked_labels(root, task, lock) for task in tasks]
    problems = [problem for labels in all_labels for problem in labels.problems]
    linked: list[_Linked] = []
    for labels in all_labels:
        task = full_name(labels.task)
        for link in links_of(labels.task):
            broken = link_problem(root, task, link)
            if broken is not None:
                problems.append(broken)
            elif not labels.problems:
                names = tuple(labels.image_names(link.path))
                recorded = recorded_digests(lock, labels.data_set, link)
                linked.append(_Linked(task, link, names, open_link(root, link, names), recorded))
    depth = options.depth or _possible_depth(linked, options.manifest)
    places, recorded_of, place_of = _distinct_places(linked, compares=depth in (Depth.CHECKSUM, Depth.DECODE))
    if options.depth == Depth.CHECKSUM and options.manifest is None and None in recorded_of:
        bare = {entry.task for entry, at in zip(linked, place_of, strict=True) if recorded_of[at] is None}
        raise _nothing_to_compare_with([task for task in tasks if full_name(task) in bare], sorted(problems))
    how = Audit(
        depth,
        options.manifest,
        root.index_folder if options.use_index else None,
        options.full,
        strict=options.depth == Depth.CHECKSUM,
    )
    audited = audit(places, recorded_of, how, progress)
    if not problems:
        linked_right = f"the right folders are linked (babycli data status{root.words})"
        _check_manifest_is_of_these(options.manifest, audited, linked_right, "SOURCE")
    of_links: dict[_LinkKey, tuple[Finding, ...]] = {}
    for entry, at in zip(linked, place_of, strict=True):
        own = set(entry.names)
        findings = tuple(finding for finding in audited.findings[at] if finding.name in own)
        of_links[entry.task, entry.link.path] = findings
        problems += _link_problems(root, lock.links.get(entry.link.path), entry, findings)
    for place, findings in zip(places, audited.findings, strict=True):
        needed = set(place.needed)
        beyond = [finding for finding in findings if finding.name not in needed]
        problems += [_problem("", place.store, finding) for finding in beyond]
    problems += [Problem("", unread.kind, unread.path, unread.detail) for unread in audited.problems]
    if depth in (Depth.CHECKSUM, Depth.DECODE):
        known = {(entry.task, entry.link.path): audited.known[at] for entry, at in zip(linked, place_of, strict=True)}
        problems += _duplicates(all_labels, linked, of_links, known)
    problems = in_order(problems)
    summaries = tuple(_task_summary(root, labels, of_links, problems) for labels in all_labels)
    notes = _notes(linked, place_of, recorded_of, audited, options)
    return Verified(depth, summaries, tuple(problems), *_how_verified(audited, depth), notes)


def verify_source(source: Path, options: Options, index_folder: Path, progress: Callable[[int], None]) -> Verified:
    """Checks that a folder or zip holds just what a manifest lists, without any dataset. Raises DataError."""
    place = Place(open_store(source, [], index_folder), ())
    depth = options.depth or Depth.CHECKSUM
    how = Audit(depth, options.manifest, index_folder if options.use_index else None, options.full, strict=True)
    audited = audit([place], [None], how, progress)
    _check_manifest_is_of_these(options.manifest, audited, f"{source} is the right folder", shlex.quote(str(source)))
    problems = [_problem("", place.store, finding) for finding in audited.findings[0]]
    problems += [Problem("", problem.kind, problem.path, problem.detail) for problem in audited.problems]
    if exit_code(problems) != ExitCode.DATA:  # files that are missing or too many explain another size
        problems += _payload_problems(place.store, options.manifest)
    return Verified(depth, (), tuple(in_order(problems)), *_how_verified(audited, depth), ())


def _payload_problems(store: ImageStore, manifest: ChecksumFile | None) -> list[Problem]:
    """Compares the size of a bag that is checked as a whole with what it says."""
    bag = manifest.bag if manifest is not None else None
    if bag is None or bag.lists_tags or store.identity != os.path.realpath(bag.folder):
        return []
    problem = bag.payload_problem()
    return [problem] if problem is not None else []


def _nothing_to_compare_with(tasks: Sequence[LabelledTask], problems: Sequence[Problem]) -> DataError:
    others = "".join(f"\n{problem}" for problem in problems[:SHOWN])
    sources = list(dict.fromkeys(source for task in tasks for source in task.links))
    titles = " and ".join(source_named(source).title for source in sources)
    why = "SAYCam images are not published" if reads_main(sources) else f"{titles} are not known"
    return DataError(
        f"checksums of {why}, so there is nothing to compare with{others}",
        f"{'' if all_lie_outside(tasks) else f'record them:  {link_command(sources)}   or '}"
        "give your own:  babycli data verify --manifest FILE",
    )


def recorded_digests(lock: Lock, data_set: str | None, link: Link) -> Digests | None:
    """Gives the SHA-256 that images behind a link should have: the demo's own for demo data, else those of the lock."""
    if data_set is not None and data_set_named(data_set).is_demo:
        return demo_digests(link.source)
    locked = lock.links.get(link.path)
    return locked.sha256 if locked is not None else None


def _possible_depth(linked: Sequence[_Linked], manifest: ChecksumFile | None) -> Depth:
    compares = manifest is not None or any(entry.recorded is not None for entry in linked)
    return Depth.CHECKSUM if compares else Depth.HEADER


def _distinct_places(linked: Sequence[_Linked], compares: bool) -> tuple[list[Place], list[Digests | None], list[int]]:
    """Gives the distinct places behind links, the digests recorded for each, and the index of each link's place."""
    stores: list[ImageStore] = []
    needed: list[set[str]] = []
    recorded: list[dict[str, str] | None] = []
    place_of = []
    for entry in linked:
        own = dict(entry.recorded) if compares and entry.recorded is not None else None
        for i, store in enumerate(stores):
            if store.identity == entry.store.identity and _agree(own, recorded[i]):
                break
        else:
            i = len(stores)
            stores.append(entry.store)
            needed.append(set())
            recorded.append(None if own is None else {})
        needed[i].update(entry.names)
        of_place = recorded[i]
        if of_place is not None and own is not None:
            of_place.update(own)
        place_of.append(i)
    places = [Place(store, tuple(sorted(names))) for store, names in zip(stores, needed, strict=True)]
    return places, list(recorded), place_of


def _agree(first: Digests | None, second: Digests | None) -> bool:
    if first is None or second is None:
        return first is second
    return all(second.get(name, digest) == digest for name, digest in first.items())


def _check_manifest_is_of_these(manifest: ChecksumFile | None, audited: Audited, doubt: str, source: str) -> None:
    """Raises DataError for a list that names no file; ``doubt`` is what may be wrong where the list is right."""
    if manifest is not None and not any(audited.is_covered) and manifest.checksums is not None:
        anew = f"babycli data manifest {source} -o FILE"
        first = next(iter(manifest.checksums.by_name), None)
        if first is None:
            raise DataError(f"{manifest.path} holds no checksums", f"make it anew:  {anew}")
        mend = f"check that {doubt}; if so, make the list anew:  {anew}"
        if "\\" in first and "/" not in first:
            mend = f"write its names with slashes:  tr '\\\\' / < {shlex.quote(str(manifest.path))} > FILE"
        raise DataError(
            f"{manifest.path} names none of the images; its first name is {first[:60]!r}",
            mend,
        )


def _link_problems(
    root: DatasetRoot, locked: LockedLink | None, linked: _Linked, findings: Sequence[Finding]
) -> list[Problem]:
    """Gives the problems behind a link: a single one, not one for each image, if the link now leads elsewhere."""
    of_images = [_problem(linked.task, linked.store, finding) for finding in findings]
    target = root.link_text(linked.link.path)
    if locked is None or target == locked.target or linked.store.identity == locked.source:
        return of_images
    place, was = str(root.path / linked.link.path), locked.target or "a real folder"
    now = f"it points to {target}" if target else "it is a real folder"
    n_wrong = len({finding.name for finding in findings})
    if 2 * n_wrong > len(linked.names):
        detail = f"{now}, where {n_wrong} of {len(linked.names)} images are not those of {was}"
        return [Problem(linked.task, ProblemKind.WRONG_FOLDER, place, detail)]
    detail = f"{now}, and was linked to {was}" if target else f"{now}, and was a link to {was}"
    return [Problem(linked.task, ProblemKind.LINK_CHANGED, place, detail), *of_images]


def _problem(task: str, store: ImageStore, finding: Finding) -> Problem:
    return Problem(task, finding.kind, store.place(finding.name), finding.detail)


def _duplicates(
    all_labels: Sequence[Labels],
    linked: Sequence[_Linked],
    of_links: Mapping[_LinkKey, Sequence[Finding]],
    known: Mapping[_LinkKey, Digests],
) -> list[Problem]:
    """Finds images of one item that have the same bytes, where they must differ."""
    stores = {(entry.task, entry.link.path): entry.store for entry in linked}
    actual = {(key, finding.name): finding.digest for key, findings in of_links.items() for finding in findings}
    problems = []
    for labels in all_labels:
        task, name = labels.task, full_name(labels.task)

        def digest_of(image: ImageRef, name: str = name, links: Mapping[str, str] = task.links) -> str | None:
            key = (name, links[image.source])
            return actual.get((key, image.name)) or known.get(key, {}).get(image.name)

        for item in labels.items if not labels.problems else ():
            for other, image in equal_pictures(labels, item, digest_of):
                same = stores[name, task.links[other.source]].place(other.name)
                detail = f"the same bytes as {same}, in trial {item.item_id}, where they must differ"
                place = stores[name, task.links[image.source]].place(image.name)
                problems.append(Problem(name, ProblemKind.DUPLICATE, place, detail))
    return problems


def _task_summary(
    root: DatasetRoot, labels: Labels, of_links: Mapping[_LinkKey, Sequence[Finding]], problems: Sequence[Problem]
) -> TaskSummary:
    task = full_name(labels.task)
    links = []
    for link in links_of(labels.task):
        names = labels.image_names(link.path) if not labels.problems else []
        n_wrong = len({finding.name for finding in of_links.get((task, link.path), ())})
        n_sound = len(names) - n_wrong if (task, link.path) in of_links else 0
        target = root.link_target(link.path)
        links.append(LinkSummary(link, target, len(names), n_sound))
    of_task = tuple(problem for problem in problems if problem.task == task)
    n_items = len(labels.items) if not labels.problems else 0
    n_complete = _n_complete(labels, of_links) if n_items else 0
    return TaskSummary(
        task,
        labels.data_set,
        len(labels.rows),
        tuple(links),
        of_task,
        images_checked=not labels.problems,
        n_incomplete=n_items - n_complete,
        n_complete=n_complete,
    )


def _n_complete(labels: Labels, of_links: Mapping[_LinkKey, Sequence[Finding]]) -> int:
    """Counts the items all of whose images are sound; none where a link cannot be read."""
    paths, name = labels.task.links, full_name(labels.task)
    if any((name, path) not in of_links for path in paths.values()):
        return 0
    wrong = {path: {finding.name for finding in of_links[name, path]} for path in paths.values()}
    return labels.n_complete(wrong)


def _how_verified(audited: Audited, depth: Depth) -> tuple[int, VerifiedBy | None]:
    n_files = audited.n_hashed + audited.n_trusted
    if depth == Depth.NAMES:
        return 0, None
    return n_files, "stat" if audited.n_trusted else "hash"


def _notes(
    linked: Sequence[_Linked],
    place_of: Sequence[int],
    recorded: Sequence[Digests | None],
    audited: Audited,
    options: Options,
) -> tuple[str, ...]:
    """Names the links whose images were not compared with any checksum, though checksums were asked for."""
    if options.depth in (Depth.NAMES, Depth.HEADER) and options.manifest is None:
        return ()
    bare = [
        entry.link.path
        for entry, at in zip(linked, place_of, strict=True)
        if recorded[at] is None and not audited.is_covered[at]
    ]
    if not bare:
        return ()
    by = "the manifest says nothing of" if options.manifest is not None else "no checksums are recorded of"
    hint = "" if all(Path(path).is_absolute() for path in bare) else "  (babycli data link records them)"
    return (f"{by} {', '.join(dict.fromkeys(bare))}: their bytes were not compared{hint}",)
