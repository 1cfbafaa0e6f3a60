"""Reading pictures ahead of the model: threads decode and preprocess them; and keeping what was computed from them.

Owns how far ahead: the units that are computed at once, and as many again. Never encodes anything. Threads are enough,
because Pillow decodes and resizes without Python's lock. JPEGs are decoded in full size: libjpeg's reduced decoding
gives other pixels, and SAYCam's frames have the size that models read anyway.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from PIL.Image import Image

from babycli.domain import ImageRef
from babycli.errors import DataError
from babycli.evaluation.plan import Unit, Work
from babycli.evaluation.timings import Timings
from babycli.models.base import Features, Model, size_of

OpenImage = Callable[[ImageRef], Image]
N_THREADS = min(16, max(2, (os.cpu_count() or 1) // 2))  # on a CPU the model needs the cores too
_UNKNOWN_BYTES = 1 << 20  # of features that do not tell their size


class Kept:
    """Values computed from pictures, by SHA-256, kept for the next model that computes the same; up to ``max_bytes``.

    A key stands for all that the values depend on besides the picture; values of another key are dropped.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = self._max_bytes = max_bytes
        self._key: Hashable = None
        self._kept: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        return self._max_bytes > 0

    def start(self, key: Hashable) -> None:
        """Sets the key of all values from now on; None: no other model can use them, so none is kept."""
        if key is None or key != self._key:
            self._kept, self._left = {}, self._max_bytes
        self._key = key

    def get(self, sha256: str) -> Any:
        return self._kept.get(sha256)

    def keep(self, sha256: str, value: Any) -> None:
        size = size_of(value)
        with self._lock:
            if self._key is not None and size is not None and size <= self._left:
                self._left -= size
                self._kept[sha256] = value


class FeatureStore:
    """Features of pictures that are shown again: in other contexts, or in the next turns of a conversation.

    Up to ``max_bytes``; pictures beyond that are encoded again when they are needed. Those that only later rounds may
    show make room for the others. A picture keeps the digest of its first encoding, so that pictures with equal
    features stay equal.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._kept: dict[str, Features] = {}
        self._digests: dict[str, bytes] = {}
        self._uses: Counter[str] = Counter()
        self._going_on: set[str] = set()
        self.later: frozenset[str] = frozenset()  # pictures that later rounds may show
        self.alone: frozenset[str] = frozenset()  # pictures that are encoded one by one: equal whenever they are

    def start(self, units: Sequence[Unit]) -> None:
        """Counts how often each picture of these units will be needed."""
        self._uses = Counter(sha256 for unit in units for work in unit for sha256 in work.images)
        self._going_on = {sha256 for unit in units for work in unit if work.goes_on for sha256 in work.images}
        for sha256 in [sha256 for sha256 in self._kept if not self._is_needed(sha256)]:
            self._drop(sha256)

    def get(self, sha256: str) -> Features | None:
        return self._kept.get(sha256)

    def will_keep(self, sha256: str) -> bool:
        """Tells whether a picture is needed more than once, so that its features may be used again."""
        return self._uses[sha256] > 1 or sha256 in self._going_on or sha256 in self.later

    def keep(self, sha256: str, features: Features) -> Features:
        """Gives the features that are to be used, and keeps them if they will be needed again and there is room."""
        features = Features(features.data, self._digests.setdefault(sha256, features.digest), sha256)
        size = _size_of(features)
        if not self.will_keep(sha256) or sha256 in self._kept:
            return features
        if size > self._left and self._is_needed_now(sha256):
            for other in [other for other in self._kept if not self._is_needed_now(other)]:
                self._drop(other)
        if size <= self._left:
            self._left -= size
            self._kept[sha256] = features
        return features

    def used(self, work: Work) -> None:
        """Takes note that some work is done, and drops the features that are not needed any more."""
        for sha256 in work.images:
            self._uses[sha256] -= 1
            if not self._is_needed(sha256):
                self._drop(sha256)

    def _is_needed(self, sha256: str) -> bool:
        return self._is_needed_now(sha256) or sha256 in self.later

    def _is_needed_now(self, sha256: str) -> bool:
        return self._uses[sha256] > 0 or sha256 in self._going_on

    def _drop(self, sha256: str) -> None:
        gone = self._kept.pop(sha256, None)
        self._left += _size_of(gone) if gone else 0


def _size_of(features: Features) -> int:
    size = size_of(features.data)
    return _UNKNOWN_BYTES if size is None else size


@dataclass(frozen=True, slots=True)
class Taken:
    """The work of some units, with the pixels of the pictures to be encoded for it, by SHA-256."""

    work: Sequence[Work]
    pixels: Mapping[str, Any]


class Pictures:
    """The preprocessed pictures of units, in their order. A context manager.

    The pixels are None for a picture whose tower output is kept. A picture has no entry if its features are kept, or
    will be by then.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        model: Model,
        open_image: OpenImage,
        pixels: Kept,
        seen: Kept,
        features: FeatureStore,
        timings: Timings,
    ) -> None:
        self._units = iter(units)
        self._model, self._open_image = model, open_image
        self._pixels, self._seen, self._features, self._timings = pixels, seen, features, timings
        self._ahead: deque[tuple[Unit, dict[str, Future[Any]]]] = deque()
        self._coming: set[str] = set()  # pictures whose features will have been kept by then
        self._pool = ThreadPoolExecutor(N_THREADS, "babycli-decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)  # the running ones may still keep pixels for the next model

    def take(self, n_units: int) -> Taken | None:
        """Takes the next ``n_units``; None when all have been taken."""
        self._look_ahead(2 * n_units)
        work: list[Work] = []
        pixels: dict[str, Any] = {}
        for _ in range(min(n_units, len(self._ahead))):
            unit, futures = self._ahead.popleft()
            work += unit
            for sha256, future in futures.items():
                with self._timings.of("idle"):
                    pixels[sha256] = future.result()
        return Taken(work, pixels) if work else None

    def prepare(self, sha256: str, image: ImageRef) -> Any:
        """Gives the pixels of one picture: kept ones, else it is read and preprocessed now."""
        pixels = self._pixels.get(sha256)
        if pixels is None:
            with self._timings.of("decode"):
                picture = self._open_image(image)
            try:
                with self._timings.of("preprocess"):
                    pixels = self._model.preprocess(picture)
            except DataError as error:
                raise DataError(f"{image.source}/{image.name}: {error.message}", error.mend) from error
            self._pixels.keep(sha256, pixels)
        return pixels

    def _look_ahead(self, n_units: int) -> None:
        while len(self._ahead) < n_units:
            unit = next(self._units, None)
            if unit is None:
                return
            wanted = {
                sha256: image
                for work in unit
                for sha256, image in work.images.items()
                if sha256 not in self._coming and self._features.get(sha256) is None
            }
            self._coming |= {sha256 for sha256 in wanted if self._features.will_keep(sha256)}
            is_seen = all(self._seen.get(sha256) is not None for sha256 in wanted)
            prepare = _nothing if is_seen else self.prepare
            futures = {sha256: self._pool.submit(prepare, sha256, image) for sha256, image in wanted.items()}
            self._ahead.append((unit, futures))


def _nothing(sha256: str, image: ImageRef) -> None:
    """Stands in for prepare() for a picture that need not be read."""
