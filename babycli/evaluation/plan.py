"""What there is to compute: the requests of all tasks, each distinct one once, gathered by image.

Owns de-duplication and order. Pure: no model, no files. Images are the same when their bytes are (SHA-256), so a
frame that two tasks show, or two names of one picture, is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    scores: tuple[ScoreKey, ...]
    generations: tuple[GenerateKey, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    work: tuple[ImageWork, ...]  # in the order in which the images first come up

    @property
    def n_requests(self) -> int:
        return sum(len(item.scores) + len(item.generations) for item in self.work)


def key_of(request: Request, sha256: Mapping[ImageRef, str]) -> Key:
    if isinstance(request, ScoreRequest):
        return ScoreKey(sha256[request.image], request.prompt, request.text)
    return GenerateKey(sha256[request.image], request.prompt, request.max_new_tokens)


def make_plan(requests: Iterable[Request], sha256: Mapping[ImageRef, str]) -> Plan:
    """The plan for some requests. ``sha256`` must hold every image asked about."""
    scores: dict[str, dict[ScoreKey, None]] = {}
    generations: dict[str, dict[GenerateKey, None]] = {}
    first: dict[str, ImageRef] = {}
    for request in requests:
        key = key_of(request, sha256)
        first.setdefault(key.image_sha256, request.image)
        if isinstance(key, ScoreKey):
            scores.setdefault(key.image_sha256, {})[key] = None
        else:
            generations.setdefault(key.image_sha256, {})[key] = None
    return Plan(
        tuple(
            ImageWork(digest, image, tuple(scores.get(digest, ())), tuple(generations.get(digest, ())))
            for digest, image in first.items()
        )
    )
