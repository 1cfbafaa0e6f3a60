"""What there is to compute: the requests of all tasks, each distinct one once, gathered by image and cut into units.

Owns de-duplication, order and the borders of units. Pure: no model, no files. Images are the same when their bytes are
(SHA-256), so a frame that two tasks show, or two names of one picture, is encoded once.

    requests        12,194    what the label rows of the choice tasks ask
    scores          11,229    distinct (image, prompt, text)
    prefixes         8,178    distinct (image, prompt): what a generative model reads before the texts
    images           8,178    distinct bytes
    texts            1,379    distinct (prompt, text): what a dual encoder reads

A unit is a few images with all that is asked about them. With a fixed batch size nothing is computed across its border,
so that a run that was interrupted, or is shared by several processes, computes the very batches of an undisturbed one.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from babycli.domain import ImageRef, Request, ScoreRequest


@dataclass(frozen=True, slots=True)
class ScoreKey:
    """Identity of a score: the same key, the same score."""

    image_sha256: str
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class GenerateKey:
    image_sha256: str
    prompt: str
    max_new_tokens: int


Key = ScoreKey | GenerateKey


@dataclass(frozen=True, slots=True)
class ImageWork:
    """All that is asked about one image."""

    sha256: str
    image: ImageRef  # the first that has these bytes
    scores: tuple[ScoreKey, ...]  # those of one prompt side by side
    generations: tuple[GenerateKey, ...]

    @property
    def keys(self) -> tuple[Key, ...]:
        return (*self.scores, *self.generations)


Unit = tuple[ImageWork, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Images of which as much is asked stand side by side, else in the order in which they first come up."""

    work: tuple[ImageWork, ...]

    @property
    def keys(self) -> list[Key]:
        return [key for item in self.work for key in item.keys]

    @property
    def n_requests(self) -> int:
        return len(self.keys)

    @property
    def n_prefixes(self) -> int:
        return len({(key.image_sha256, key.prompt) for key in self.keys if isinstance(key, ScoreKey)})

    @property
    def n_texts(self) -> int:
        return len({(key.prompt, key.text) for key in self.keys if isinstance(key, ScoreKey)})

    @property
    def digest(self) -> str:
        """SHA-256 over all keys in their order: equal digests, equal plans."""
        whole = hashlib.sha256()
        for key in self.keys:
            whole.update(f"{key!r}\n".encode())
        return whole.hexdigest()

    def units(self, n_images: int, done: Container[Key] = ()) -> list[Unit]:
        """The work in units of ``n_images``, the last one perhaps smaller, without those that are wholly ``done``."""
        cut = [self.work[start : start + n_images] for start in range(0, len(self.work), n_images)]
        return [unit for unit in cut if any(key not in done for item in unit for key in item.keys)]


def key_of(request: Request, sha256: Mapping[ImageRef, str]) -> Key:
    if isinstance(request, ScoreRequest):
        return ScoreKey(sha256[request.image], request.prompt, request.text)
    return GenerateKey(sha256[request.image], request.prompt, request.max_new_tokens)


def make_plan(requests: Iterable[Request], sha256: Mapping[ImageRef, str]) -> Plan:
    """The plan for some requests. ``sha256`` must hold every image asked about."""
    scores: dict[str, dict[str, dict[ScoreKey, None]]] = {}  # by image, then prompt
    generations: dict[str, dict[GenerateKey, None]] = {}
    first: dict[str, ImageRef] = {}
    for request in requests:
        key = key_of(request, sha256)
        first.setdefault(key.image_sha256, request.image)
        if isinstance(key, ScoreKey):
            scores.setdefault(key.image_sha256, {}).setdefault(key.prompt, {})[key] = None
        else:
            generations.setdefault(key.image_sha256, {})[key] = None
    work = [
        ImageWork(
            digest,
            image,
            tuple(key for of_prompt in scores.get(digest, {}).values() for key in of_prompt),
            tuple(generations.get(digest, ())),
        )
        for digest, image in first.items()
    ]
    work.sort(key=lambda item: (len(item.generations), len(item.scores)))  # a batch wants rows of one shape
    return Plan(tuple(work))


def shared_out(units: Sequence[Unit], n_processes: int) -> list[list[Unit]]:
    """Every process's units, in their order, so that all processes have about as much to do."""
    shares: list[list[Unit]] = [[] for _ in range(n_processes)]
    loads = [(0.0, rank) for rank in range(n_processes)]
    for unit in units:
        load, rank = heapq.heappop(loads)
        shares[rank].append(unit)
        heapq.heappush(loads, (load + _cost(unit), rank))
    return shares


def _cost(unit: Unit) -> float:
    """How long a unit takes, in images encoded; roughly what a BabyLLaVA takes on a CPU."""
    n_tokens = sum(key.max_new_tokens for item in unit for key in item.generations)
    return len(unit) + 0.1 * sum(len(item.scores) for item in unit) + 0.05 * n_tokens
