"""Is this dataset what it should be? Labels against manifests, images against labels and checksums; all problems.

Owns the checks and their depths (DEPTHS). Never stops at the first problem and never mends one.

Each includes those before it. Checksums come from a manifest (then every file of a download is compared, and none may
be missing or too many), else from the lock that `data link` wrote; the demo data bring theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from babycli.data.audit import Audit, Audited, Digests, audit
from babycli.data.checksums import ChecksumFile
from babycli.data.examine import Finding
from babycli.data.images import ImageStore, open_archive, open_store
from babycli.data.inventory import Place
from babycli.data.labels import Labels, read_labels
from babycli.data.lock import Lock, LockedLink, read_lock
from babycli.data.manifest import Edition, Link, Manifest, demo_image_digests
from babycli.data.problems import SHOWN, Problem, ProblemKind
from babycli.data.root import DatasetRoot
from babycli.data.zips import is_zip
from babycli.domain import ImageRef, Row
from babycli.errors import DataError
from babycli.wording import Depth

# Each depth sees what those before it see; and this is what it cannot see.
DEPTHS: Mapping[Depth, str] = {
    Depth.NAMES: "what is in a file of the right name",
    Depth.HEADER: "damage between the start and the end of an image",
    Depth.CHECKSUM: "that the recorded bytes were wrong from the start",
    Depth.DECODE: "another picture in the place of one of which no checksum is known",
}

# (task name, rows) -> what is wrong with each malformed trial; the tasks know what makes a trial
StructureCheck = Callable[[str, Sequence[Row]], Sequence[str]]
# (task name, rows) -> the images of each trial
TrialImages = Callable[[str, Sequence[Row]], Mapping[str, Sequence[ImageRef]]]
VerifiedBy = Literal["hash", "stat"]


@dataclass(frozen=True, slots=True)
class Tasks:
    """What verify asks the tasks."""

    manifests: Sequence[Manifest]
    structure: StructureCheck
    trial_images: TrialImages


@dataclass(frozen=True, slots=True)
class Options:
    """How closely to look. ``depth`` None: as closely as what was recorded allows."""

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
    """What verify found about one task."""

    task: str
    edition: Edition | None
    n_rows: int
    links: tuple[LinkSummary, ...]
    problems: tuple[Problem, ...]
    images_checked: bool  # not done while the label file is in doubt


@dataclass(frozen=True, slots=True)
class Verified:
    """What verify found about a dataset, or about one source."""

    depth: Depth
    tasks: tuple[TaskSummary, ...]
    problems: tuple[Problem, ...]  # sorted, those of the tasks included
    n_files: int  # files looked into; 0 at depth names
    verified_by: VerifiedBy | None  # "stat" where a file was not read because it has not changed; None at depth names
    notes: tuple[str, ...]  # what was not compared, and why


def open_link(root: DatasetRoot, link: Link, names: Sequence[str]) -> ImageStore:
    """The images behind a link that has no link_problem; the names decide which folder of a zip is meant."""
    return open_store(root.path / link.path, names, root.index_folder)


def link_problem(root: DatasetRoot, task: str, link: Link) -> Problem | None:
    """Why nothing can be read through a link; None when something can."""
    state = root.link_state(link.path)
    place = root.path / link.path
    if state == "missing":
        return Problem(task, ProblemKind.LINK_MISSING, str(place), "no images are linked there yet")
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


def checked_labels(root: DatasetRoot, manifest: Manifest, structure: StructureCheck) -> Labels:
    """A task's labels with the problems of its trials added to those of its file."""
    labels = read_labels(root.path / manifest.label_path, manifest)
    malformed = [
        Problem(manifest.task, ProblemKind.TRIAL, str(labels.path), detail)
        for detail in (structure(manifest.task, labels.rows) if labels.rows else ())
    ]
    return replace(labels, problems=(*labels.problems, *malformed))


@dataclass(frozen=True, slots=True)
class _Linked:
    """A link that leads somewhere, and what is expected there."""

    task: str
    link: Link
    names: tuple[str, ...]  # images that the task reads, sorted
    store: ImageStore
    recorded: Digests | None


def verify_dataset(root: DatasetRoot, tasks: Tasks, options: Options, progress: Callable[[int], None]) -> Verified:
    """Checks every task. ``progress`` gets counts of files. Raises DataError where nothing can be compared."""
    lock = read_lock(root) if options.depth not in (Depth.NAMES, Depth.HEADER) else Lock({})
    all_labels = [checked_labels(root, manifest, tasks.structure) for manifest in tasks.manifests]
    problems = [problem for labels in all_labels for problem in labels.problems]
    linked: list[_Linked] = []
    for labels in all_labels:
        task = labels.manifest.task
        for link in labels.manifest.links:
            broken = link_problem(root, task, link)
            if broken is not None:
                problems.append(broken)
            elif not labels.problems:
                names = tuple(labels.image_names(link))
                recorded = _recorded(lock, labels.edition, link)
                linked.append(_Linked(task, link, names, open_link(root, link, names), recorded))
    depth = options.depth or _possible_depth(linked, options.manifest)
    places, recorded_of, place_of = _places(linked, compares=depth in (Depth.CHECKSUM, Depth.DECODE))
    if options.depth == Depth.CHECKSUM and options.manifest is None and None in recorded_of:
        others = "".join(f"\n{problem}" for problem in sorted(problems)[:SHOWN])
        raise DataError(
            f"checksums of SAYCam images are not published, so there is nothing to compare with{others}",
            "record them:  babycli data link SAYCAM-FOLDER   or give your own:  babycli data verify --manifest FILE",
        )
    how = Audit(
        depth,
        options.manifest,
        root.index_folder if options.use_index else None,
        options.full,
        strict=options.depth == Depth.CHECKSUM,
    )
    audited = audit(places, recorded_of, how, progress)
    if not problems:
        _check_manifest_is_of_these(options.manifest, audited)
    of_links: dict[str, tuple[Finding, ...]] = {}
    for each, at in zip(linked, place_of, strict=True):
        own = set(each.names)
        findings = tuple(finding for finding in audited.findings[at] if finding.name in own)
        of_links[each.link.path] = findings
        problems += _link_problems(root, lock.links.get(each.link.path), each, findings)
    for place, findings in zip(places, audited.findings, strict=True):
        needed = set(place.needed)
        beyond = [finding for finding in findings if finding.name not in needed]
        problems += [_problem("", place.store, finding) for finding in beyond]
    problems += [Problem("", each.kind, each.path, each.detail) for each in audited.problems]
    if depth in (Depth.CHECKSUM, Depth.DECODE):
        known = {each.link.path: audited.known[at] for each, at in zip(linked, place_of, strict=True)}
        problems += _duplicates(tasks, all_labels, linked, of_links, known)
    problems = sorted(set(problems))
    summaries = tuple(_task_summary(root, labels, of_links, problems) for labels in all_labels)
    notes = _notes(linked, place_of, recorded_of, audited, options)
    return Verified(depth, summaries, tuple(problems), *_how_verified(audited, depth), notes)


def verify_source(source: Path, options: Options, index_folder: Path, progress: Callable[[int], None]) -> Verified:
    """Checks that a folder or zip holds just what a manifest lists, without any dataset. Raises DataError."""
    place = Place(open_store(source, [], index_folder), ())
    depth = options.depth or Depth.CHECKSUM
    how = Audit(depth, options.manifest, index_folder if options.use_index else None, options.full, strict=True)
    audited = audit([place], [None], how, progress)
    _check_manifest_is_of_these(options.manifest, audited)
    problems = {_problem("", place.store, finding) for finding in audited.findings[0]}
    problems |= {Problem("", each.kind, each.path, each.detail) for each in audited.problems}
    return Verified(depth, (), tuple(sorted(problems)), *_how_verified(audited, depth), ())


def _recorded(lock: Lock, edition: Edition | None, link: Link) -> Digests | None:
    """The SHA-256 that images behind a link should have; the demo's own go before what was found at linking."""
    if edition == "demo":
        prefix = f"{link.source}/"
        return {k.removeprefix(prefix): v for k, v in demo_image_digests().items() if k.startswith(prefix)}
    locked = lock.links.get(link.path)
    return locked.sha256 if locked is not None else None


def _possible_depth(linked: Sequence[_Linked], manifest: ChecksumFile | None) -> Depth:
    compares = manifest is not None or any(each.recorded is not None for each in linked)
    return Depth.CHECKSUM if compares else Depth.HEADER


def _places(linked: Sequence[_Linked], compares: bool) -> tuple[list[Place], list[Digests | None], list[int]]:
    """Each folder once, whatever number of links lead to it: places, what is recorded of them, each link's place."""
    stores: list[ImageStore] = []
    needed: list[set[str]] = []
    recorded: list[dict[str, str] | None] = []
    place_of = []
    for each in linked:
        own = dict(each.recorded) if compares and each.recorded is not None else None
        for i, store in enumerate(stores):
            if store.identity == each.store.identity and _agree(own, recorded[i]):
                break
        else:
            i = len(stores)
            stores.append(each.store)
            needed.append(set())
            recorded.append(None if own is None else {})
        needed[i].update(each.names)
        of_place = recorded[i]
        if of_place is not None and own is not None:
            of_place.update(own)
        place_of.append(i)
    places = [Place(store, tuple(sorted(names))) for store, names in zip(stores, needed, strict=True)]
    return places, list(recorded), place_of


def _agree(one: Digests | None, other: Digests | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(other.get(name, digest) == digest for name, digest in one.items())


def _check_manifest_is_of_these(manifest: ChecksumFile | None, audited: Audited) -> None:
    if manifest is not None and not any(audited.is_covered) and manifest.checksums is not None:
        raise DataError(
            f"{manifest.path} names none of the images", "make it anew:  babycli data manifest SOURCE -o FILE"
        )


def _link_problems(
    root: DatasetRoot, locked: LockedLink | None, linked: _Linked, findings: Sequence[Finding]
) -> list[Problem]:
    """A link that was pointed elsewhere is one problem, not one for each image that is not there."""
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
    tasks: Tasks,
    all_labels: Sequence[Labels],
    linked: Sequence[_Linked],
    of_links: Mapping[str, Sequence[Finding]],
    known: Mapping[str, Digests],
) -> list[Problem]:
    """Images of one trial that must be different and have the same bytes."""
    stores = {each.link.path: each.store for each in linked}
    found = {(path, each.name): each.digest for path, findings in of_links.items() for each in findings}
    problems = []
    for labels in all_labels:
        task = labels.manifest.task
        trials = tasks.trial_images(task, labels.rows) if not labels.problems else {}
        for trial_id, images in trials.items():
            first: dict[str, ImageRef] = {}
            for image in dict.fromkeys(images):
                digest = found.get((image.link, image.name)) or known.get(image.link, {}).get(image.name)
                other = first.setdefault(digest, image) if digest else image
                if other != image:
                    same = stores[other.link].place(other.name)
                    detail = f"the same bytes as {same}, in trial {trial_id}, where they must differ"
                    place = stores[image.link].place(image.name)
                    problems.append(Problem(task, ProblemKind.DUPLICATE, place, detail))
    return problems


def _task_summary(
    root: DatasetRoot, labels: Labels, of_links: Mapping[str, Sequence[Finding]], problems: Sequence[Problem]
) -> TaskSummary:
    links = []
    for link in labels.manifest.links:
        names = labels.image_names(link) if not labels.problems else []
        n_wrong = len({finding.name for finding in of_links.get(link.path, ())})
        n_sound = len(names) - n_wrong if link.path in of_links else 0
        leads = root.link_state(link.path) in ("link", "folder")
        target = root.link_target(link.path) if leads else root.path / link.path
        links.append(LinkSummary(link, target, len(names), n_sound))
    task = labels.manifest.task
    of_task = tuple(problem for problem in problems if problem.task == task)
    return TaskSummary(task, labels.edition, len(labels.rows), tuple(links), of_task, not labels.problems)


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
    """Links whose images were not compared with any checksum although others were, or could have been."""
    if options.depth in (Depth.NAMES, Depth.HEADER) and options.manifest is None:
        return ()
    bare = [
        each.link.path
        for each, at in zip(linked, place_of, strict=True)
        if recorded[at] is None and not audited.is_covered[at]
    ]
    if not bare:
        return ()
    by = "the manifest says nothing of" if options.manifest is not None else "no checksums are recorded of"
    return (f"{by} {', '.join(bare)}: their bytes were not compared  (babycli data link records them)",)
