"""Which trials have pictures that are in a training set, and by what that is told: bytes, names, recordings, looks.

Owns the comparison. What names tell is in overlap_names.py, how pictures look in overlap_pictures.py, the forms of a
training set in overlap_training.py. Never imports a task, and never changes a file of the user's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.data.hashing import hash_files
from babycli.data.images import ImageStore
from babycli.data.labels import Labels
from babycli.data.lock import Lock
from babycli.data.manifest import full_name, links_of
from babycli.data.overlap_file import Found, TaskOverlap, TrainingTold, TrialOverlap
from babycli.data.overlap_levels import Level
from babycli.data.overlap_names import Key, NameIndex, NameMatch, frame_of
from babycli.data.overlap_pictures import INSTALL, Alike, Looked, find_alike, has_hashes, look_at
from babycli.data.overlap_training import Training
from babycli.data.root import DatasetRoot
from babycli.data.verify import link_problem, open_link, recorded_digests

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Looking:
    """How to look."""

    levels: tuple[Level, ...]
    within_s: int
    distance: int
    index_folder: Path | None


@dataclass(frozen=True, slots=True)
class _Ours:
    """The pictures of one task, and where they lie."""

    labels: Labels
    keys: Sequence[Key]  # by path of the link
    stores: Mapping[str, ImageStore]  # by path of the link
    unlinked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the pictures of all tasks."""

    sha256: Mapping[Key, str]
    looked: Mapping[Key, Looked]


@dataclass(frozen=True, slots=True)
class Compared:
    """The result: task by task, and what must be known of it."""

    training: tuple[TrainingTold, ...]
    tasks: tuple[TaskOverlap, ...]
    notes: tuple[str, ...]
    has_hashes: bool


def compare(
    root: DatasetRoot,
    lock: Lock,
    all_labels: Sequence[Labels],
    trainings: Sequence[Training],
    how: Looking,
    progress: Progress,
) -> Compared:
    """Compares the pictures of each task with all of the training sets.

    Pictures of trials are not read for their SHA-256 where the lock, or the demo, has it.
    """
    hashes = Level.NEAR in how.levels and has_hashes() and any(training.store for training in trainings)
    digests = Level.SHA256 in how.levels and any(training.store or training.digests for training in trainings)
    ours = [_pictures_of(root, labels) for labels in all_labels]
    known = _know(ours, lock, hashes, how, progress) if digests or hashes else _Known({}, {})
    index = NameIndex(dict.fromkeys(key for each in ours for key in each.keys))
    found: dict[Key, dict[Level, Found]] = {key: {} for each in ours for key in each.keys}
    notes = []
    for number, training in enumerate(trainings, 1):
        lead = f"[{number}] " if len(trainings) > 1 else ""
        look = _look(training, how, hashes, progress)
        if digests:
            by_digest = _by_digest(ours, known, training, look, progress)
            for key, name in by_digest.items():
                found[key].setdefault(Level.SHA256, Found(Level.SHA256, key[1], lead + name))
        for key, match in index.look_at(training.names, training.films).items():
            _add_names(found[key], key[1], match, lead, how.within_s)
        if hashes:
            names = [name for name, each in look.items() if each.hash]
            for key, alike in find_alike(known.looked, [look[name].hash for name in names], how.distance).items():
                _add_look(found[key], key[1], alike, lead + names[alike.index])
        notes += _notes(training, look)
    notes += [note for each in ours for note in _own_notes(each, known)]
    tasks = tuple(_task(each, found, known, trainings, how) for each in ours)
    told = tuple(TrainingTold(str(t.path), t.form, len(t.names), len(t.films), t.n_entries, t.notes) for t in trainings)
    return Compared(told, tasks, tuple(dict.fromkeys(notes)), hashes)


def _pictures_of(root: DatasetRoot, labels: Labels) -> _Ours:
    links = labels.task.links
    keys = dict.fromkeys((links[image.source], image.name) for item in labels.items for image in item.images)
    stores, unlinked = {}, []
    for link in links_of(labels.task):
        if link_problem(root, full_name(labels.task), link) is None:
            stores[link.path] = open_link(root, link, labels.image_names(link.path))
        else:
            unlinked.append(link.path)
    return _Ours(labels, tuple(keys), stores, tuple(unlinked))


def _know(ours: Sequence[_Ours], lock: Lock, hashes: bool, how: Looking, progress: Progress) -> _Known:
    """Finds digests and hashes of the pictures of all tasks; those of one store are read together."""
    sha256: dict[Key, str] = {}
    wanted: dict[str, dict[str, list[Key]]] = {}  # by store, and name there
    stores: dict[str, ImageStore] = {}
    for each in ours:
        for link in links_of(each.labels.task):
            recorded = recorded_digests(lock, each.labels.data_set, link) or {}
            store = each.stores.get(link.path)
            for name in each.labels.image_names(link.path):
                key = (link.path, name)
                if name in recorded:
                    sha256[key] = recorded[name]
                if store is not None and (hashes or name not in recorded):
                    stores[store.identity] = store
                    wanted.setdefault(store.identity, {}).setdefault(name, []).append(key)
    looked: dict[Key, Looked] = {}
    for identity, of_names in wanted.items():
        names = sorted(of_names)
        for name, look in look_at(stores[identity], names, hashes, True, how.index_folder, progress).items():
            for key in of_names[name]:
                looked[key] = look
                if look.sha256:
                    sha256.setdefault(key, look.sha256)
    return _Known(sha256, looked)


def _look(training: Training, how: Looking, hashes: bool, progress: Progress) -> Mapping[str, Looked]:
    """Reads the pictures of a training set, where there are some and their bytes or looks are wanted."""
    if training.store is None or not (hashes or Level.SHA256 in how.levels):
        return {}
    return look_at(training.store, training.at_hand, hashes, False, how.index_folder, progress)


def _by_digest(
    ours: Sequence[_Ours], known: _Known, training: Training, look: Mapping[str, Looked], progress: Progress
) -> dict[Key, str]:
    """Finds the pictures whose bytes are in a training, with their name there."""
    theirs: dict[str, str] = {}
    for name, each in look.items():
        theirs.setdefault(each.sha256, name)
    for name, digest in training.digests.items():
        theirs.setdefault(digest, name)
    theirs.pop("", None)
    algorithm = training.algorithm if training.digests else "sha256"
    found = {key: theirs[digest] for key, digest in known.sha256.items() if digest in theirs}
    if algorithm is None and not found and importlib.util.find_spec("blake3"):
        algorithm = "blake3"  # whose plain lines look as those of SHA-256
    if algorithm in (None, "sha256"):
        return found
    digests = _digests_by(ours, str(algorithm), progress)
    return {key: theirs[digest] for key, digest in digests.items() if digest in theirs}


def _digests_by(ours: Sequence[_Ours], algorithm: str, progress: Progress) -> dict[Key, str]:
    """Reads the pictures of all tasks once more, for a list whose digests are by another algorithm."""
    found = {}
    for each in ours:
        for path, store in each.stores.items():
            names = each.labels.image_names(path)
            for name, digest in hash_files(store, names, progress, algorithm, are_images=True):
                if isinstance(digest, str):
                    found[path, name] = digest
    return found


def _add_names(found: dict[Level, Found], name: str, match: NameMatch, lead: str, within_s: int) -> None:
    if match.same:
        found.setdefault(Level.NAME, Found(Level.NAME, name, lead + match.same))
    if match.nearest and match.seconds <= within_s:
        known = found.get(Level.WITHIN)
        if known is None or known.seconds is None or match.seconds < known.seconds:
            found[Level.WITHIN] = Found(Level.WITHIN, name, lead + match.nearest, seconds=match.seconds)
    if match.of_recording:
        found.setdefault(Level.RECORDING, Found(Level.RECORDING, name, lead + match.of_recording))


def _add_look(found: dict[Level, Found], name: str, alike: Alike, training: str) -> None:
    known = found.get(Level.NEAR)
    if known is None or known.distance is None or alike.distance < known.distance:
        found[Level.NEAR] = Found(Level.NEAR, name, training, distance=alike.distance, is_mirrored=alike.is_mirrored)


def _task(
    ours: _Ours,
    found: Mapping[Key, Mapping[Level, Found]],
    known: _Known,
    trainings: Sequence[Training],
    how: Looking,
) -> TaskOverlap:
    task = ours.labels.task
    trials = []
    for item in ours.labels.items:
        keys = dict.fromkeys((task.links[image.source], image.name) for image in item.images)
        of_item = [found[key][level] for key in keys for level in how.levels if level in found[key]]
        trials.append(TrialOverlap(item.item_id, tuple(of_item)))
    untold = _untold(ours, known, trainings, how)
    return TaskOverlap(task.name, task.data_set, ours.labels.sha256, len(ours.keys), untold, tuple(trials))


def _untold(ours: _Ours, known: _Known, trainings: Sequence[Training], how: Looking) -> dict[str, str]:
    """Tells at which levels nothing is known of a task, and why."""
    reasons: dict[Level, str] = {}
    no_pictures = "none of its pictures can be read" if ours.stores else f"no pictures at {', '.join(ours.unlinked)}"
    if not any(training.store or training.digests for training in trainings):
        reasons[Level.SHA256] = "names alone are known of the training"
    elif not any(key in known.sha256 for key in ours.keys):
        reasons[Level.SHA256] = no_pictures
    if not any(training.store for training in trainings):
        reasons[Level.NEAR] = "no pictures of the training are at hand"
    elif not has_hashes():
        reasons[Level.NEAR] = f"ImageHash is not installed:  {INSTALL}"
    elif not any(key in known.looked and known.looked[key].hash for key in ours.keys):
        reasons[Level.NEAR] = no_pictures
    if not any(frame_of(name) for _, name in ours.keys):
        reasons[Level.WITHIN] = reasons[Level.RECORDING] = "the names of its pictures tell no recording"
    return {
        str(level): reasons[level] if level in how.levels else "not asked for"
        for level in Level
        if level in reasons or level not in how.levels
    }


def _notes(training: Training, look: Mapping[str, Looked]) -> list[str]:
    notes = [f"{training.path}: {note}" for note in training.notes]
    if why := _why_unread(look.values()):
        notes.append(f"{training.path}: {why}")
    return notes


def _own_notes(ours: _Ours, known: _Known) -> list[str]:
    name = full_name(ours.labels.task)
    notes = [f"{name}: no pictures can be read at {path}; their names are compared" for path in ours.unlinked]
    if why := _why_unread(known.looked[key] for key in ours.keys if key in known.looked):
        notes.append(f"{name}: {why}")
    return notes


def _why_unread(looks: Iterable[Looked]) -> str:
    """Says how many pictures could not be compared by bytes or look, and why; "" for none."""
    told = []
    failed = [each for each in looks if each.why]
    for some, what in (
        ([each.why for each in failed if not each.sha256], "cannot be read, so names alone are compared"),
        ([each.why for each in failed if each.sha256], "not compared by look"),
    ):
        if some:
            be = "" if what.startswith("cannot") else "is " if len(some) == 1 else "are "
            told.append(f"{len(some):,} picture{'' if len(some) == 1 else 's'} {be}{what} ({some[0]})")
    return "; ".join(told)
