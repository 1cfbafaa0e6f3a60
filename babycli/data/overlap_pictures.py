"""What pictures are by their bytes and by their look: SHA-256 and perceptual hashes, which are kept for the next time.

Owns the perceptual hash, its distances, and how the work is divided. The hash is that of the package ImageHash; which
hash, and from which distance on two pictures are alike, was measured: benchmarks/overlap.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from babycli.data.decoding import decode
from babycli.data.examine import is_settled
from babycli.data.images import ImageError, ImageStore
from babycli.data.index import VerifyIndex
from babycli.data.problems import ProblemKind
from babycli.data.workers import chunks, map_in_processes

if TYPE_CHECKING:
    from PIL.Image import Image

K = TypeVar("K")
SIDE = 16  # of the hash: its square are bits
BITS = SIDE * SIDE
DISTANCE = 40  # bits in which pictures that are alike may differ
MOST_DISTANCE = BITS // 4  # half of the bits differ between any two pictures
INSTALL = "pip install 'babycli[overlap]'"
_LEAST_CONTRAST = 4.0  # of 255: the standard deviation of a picture that shows anything
_THUMB = 4 * SIDE  # the side of what the hash is made of
_OF_NOTHING = hashlib.sha256().hexdigest()
_CHUNK = 128  # pictures in a task of a process
_BLOCK = 1 << 11  # pictures of a training that are compared at once


@dataclass(frozen=True, slots=True)
class Looked:
    """A picture; texts are hexadecimal."""

    sha256: str  # "" for one that cannot be read
    hash: str  # "" for one that cannot be decoded, or that shows nothing, and where hashes were not asked for
    mirrored: str  # the hash of its mirror image, likewise
    why: str = ""  # why it has no digest or hash


@dataclass(frozen=True, slots=True)
class Alike:
    """A picture of a training that looks like one of a trial."""

    index: int  # of the picture of the training
    distance: int
    is_mirrored: bool


def has_hashes() -> bool:
    """Tells whether the package ImageHash is installed."""
    return importlib.util.find_spec("imagehash") is not None


def hash_told() -> str:
    """Names the perceptual hash, with its version."""
    return f"phash of {SIDE} x {SIDE} bits, ImageHash {version('ImageHash')}"


def perceptual_hash(image: Image) -> str:
    """Makes the hash of a picture; "" for one of one colour, whose hash would be that of every such picture."""
    import imagehash

    # By the size of the hash's own thumbnail, so that fine noise is no contrast either.
    thumb = np.asarray(image.convert("L").resize((_THUMB, _THUMB)), np.float32)
    if float(thumb.std()) < _LEAST_CONTRAST:
        return ""
    return str(imagehash.phash(image, hash_size=SIDE))


@dataclass(frozen=True, slots=True)
class _Work:
    store: ImageStore
    names: Sequence[str]
    has_hashes: bool
    mirrors: bool


def look_at(
    store: ImageStore,
    names: Sequence[str],
    wants_hashes: bool,
    mirrors: bool,
    index_folder: Path | None,
    progress: Callable[[int], None],
) -> dict[str, Looked]:
    """Reads pictures of a store once; those that have not changed since an earlier command are not read again."""
    # Beside those of verify, of which the oldest would have to give way.
    folder = None if index_folder is None else index_folder / "overlap"
    index = VerifyIndex(folder, _belongs_to(store, wants_hashes, mirrors))
    found: dict[str, Looked] = {}
    done = False
    try:
        keys = dict(zip(names, _keys(store, names), strict=True))
        for name, key in keys.items():
            known = _looked(index.get(key)) if key else None
            if known is not None:
                found[name] = known
        progress(len(found))
        unknown = [name for name in names if name not in found]
        work = _Work(store, unknown, wants_hashes, mirrors)
        bounds = chunks(len(unknown), _CHUNK)
        for (start, end), of_chunk in zip(bounds, map_in_processes(_look, work, bounds), strict=True):
            for name, looked in zip(unknown[start:end], of_chunk, strict=True):
                found[name] = looked
                if keys[name] and looked.sha256:
                    index.put(keys[name], [looked.sha256, looked.hash, looked.mirrored, looked.why])
            progress(end - start)
        done = True
    finally:
        index.close(complete=done)
    return found


def _belongs_to(store: ImageStore, wants_hashes: bool, mirrors: bool) -> str:
    made_by = [hash_told(), version("pillow"), _LEAST_CONTRAST] if wants_hashes else []
    parts = json.dumps(["overlap", 1, store.identity, made_by, mirrors])
    return hashlib.sha256(parts.encode()).hexdigest()


def _keys(store: ImageStore, names: Sequence[str]) -> Iterator[str]:
    """Gives a key for each file that changes when the file does; "" for one that is too young for that."""
    now = time.time_ns()
    for name, state in zip(names, store.states(names), strict=True):
        if state is None or not is_settled(state, now):
            yield ""
        else:
            parts = (name, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
            yield hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _looked(kept: Any) -> Looked | None:
    """Reads what was kept; None for anything else."""
    if not isinstance(kept, list) or len(kept) != 4 or not all(isinstance(each, str) for each in kept):
        return None
    return Looked(*kept)


def _look(work: _Work, bounds: tuple[int, int]) -> list[Looked]:
    names = work.names[slice(*bounds)]
    if work.has_hashes:
        return [_look_at(work, name) for name in names]
    digests = (digest for digest, _ in work.store.digests(names, "sha256", frozenset(names)))
    return [_by_digest(work.store.place(name), digest) for name, digest in zip(names, digests, strict=True)]


def _by_digest(place: str, digest: str | ImageError) -> Looked:
    if isinstance(digest, ImageError):
        return Looked("", "", "", digest.message)
    if digest == _OF_NOTHING:
        return Looked("", "", "", ImageError(ProblemKind.EMPTY, place, "0 bytes").message)
    return Looked(digest, "", "")


def _look_at(work: _Work, name: str) -> Looked:
    from PIL import ImageOps

    try:
        content = work.store.read(name)
    except ImageError as error:
        return Looked("", "", "", error.message)
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        image = decode(content, work.store.place(name))
    except ImageError as error:
        return Looked(sha256, "", "", error.message)
    own = perceptual_hash(image)
    mirrored = perceptual_hash(ImageOps.mirror(image)) if own and work.mirrors else ""
    return Looked(sha256, own, mirrored, "" if own else f"{work.store.place(name)} is of one colour")


def find_alike(ours: Mapping[K, Looked], theirs: Sequence[str], most: int) -> dict[K, Alike]:
    """Finds for each of our pictures the nearest of theirs, given by its hash, if no more than ``most`` bits differ.

    Those without a hash are like nothing. Both ways round: as it is, and mirrored.
    """
    keys = [(name, is_mirrored) for name, of in ours.items() for is_mirrored in (False, True) if of.hash]
    places = [i for i, each in enumerate(theirs) if each]
    if not keys or not places:
        return {}
    signs = signs_of([ours[name].mirrored if is_mirrored else ours[name].hash for name, is_mirrored in keys])
    most_equal = np.full(len(keys), -BITS, np.float32)  # bits that are equal less those that differ
    at = np.zeros(len(keys), np.int64)
    for start in range(0, len(places), _BLOCK):
        products = signs @ signs_of([theirs[i] for i in places[start : start + _BLOCK]]).T
        nearest = products.argmax(axis=1)
        values = products[np.arange(len(keys)), nearest]
        better = values > most_equal
        most_equal[better], at[better] = values[better], nearest[better] + start
    distances = ((BITS - most_equal) / 2).astype(np.int64)
    found: dict[K, Alike] = {}
    for (name, is_mirrored), distance, place in zip(keys, distances.tolist(), at.tolist(), strict=True):
        known = found.get(name)
        if distance <= most and (known is None or distance < known.distance):
            found[name] = Alike(places[place], distance, is_mirrored)
    return found


def signs_of(hashes: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Writes hashes as rows of +1 and -1, whose products count the bits that are equal less those that differ."""
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), BITS // 8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
