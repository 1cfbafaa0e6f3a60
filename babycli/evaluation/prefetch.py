"""Pictures on their way to the model: read, decoded and preprocessed ahead of it, by threads.

Owns how far ahead: as many units as are computed at once, and as many again. Never encodes anything. Threads are
enough: Pillow decodes and resizes without Python's lock. JPEGs are decoded whole: the reduced decoding that libjpeg
offers gives other pixels, and SAYCam's frames are of the size that models read anyway.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from PIL.Image import Image

from babycli.domain import ImageRef
from babycli.evaluation.plan import ImageWork, Unit
from babycli.evaluation.timings import Timings
from babycli.models.base import Model

OpenImage = Callable[[ImageRef], Image]
N_THREADS = min(16, max(2, (os.cpu_count() or 1) // 2))  # on a CPU the model wants the cores too


class Kept:
    """What was made of pictures, by SHA-256, for the next model that makes the same of them; up to ``max_bytes``.

    A key stands for all that it depends on, the picture apart; what was kept for another key is dropped.
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
        """What comes from now on depends on ``key``; None: nobody else can use it."""
        if key is None or key != self._key:
            self._kept, self._left = {}, self._max_bytes
        self._key = key

    def get(self, sha256: str) -> Any:
        return self._kept.get(sha256)

    def keep(self, sha256: str, value: Any) -> None:
        size = getattr(value, "nbytes", None)
        with self._lock:
            if self._key is not None and size is not None and size <= self._left:
                self._left -= size
                self._kept[sha256] = value


class Pictures:
    """The preprocessed pictures of units, in their order; None for units that the tower has seen. A context manager."""

    def __init__(
        self, units: Sequence[Unit], model: Model, open_image: OpenImage, pixels: Kept, seen: Kept, timings: Timings
    ) -> None:
        self._units = iter(units)
        self._model, self._open_image = model, open_image
        self._pixels, self._seen, self._timings = pixels, seen, timings
        self._ahead: deque[tuple[Unit, list[Future[Any]]]] = deque()
        self._pool = ThreadPoolExecutor(N_THREADS, "babycli-decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)  # those at work would keep their pixels for the next model

    def take(self, n_units: int) -> Iterator[tuple[ImageWork, Any]]:
        """The images of the next ``n_units`` with their pixels; none when all have been taken."""
        self._look_ahead(2 * n_units)
        for _ in range(min(n_units, len(self._ahead))):
            unit, futures = self._ahead.popleft()
            for item, future in zip(unit, futures, strict=True):
                with self._timings.of("idle"):
                    pixels = future.result()
                yield item, pixels

    def _look_ahead(self, n_units: int) -> None:
        while len(self._ahead) < n_units:
            unit = next(self._units, None)
            if unit is None:
                return
            is_seen = all(self._seen.get(item.sha256) is not None for item in unit)
            prepare = _nothing if is_seen else self._prepare
            self._ahead.append((unit, [self._pool.submit(prepare, item) for item in unit]))

    def _prepare(self, item: ImageWork) -> Any:
        pixels = self._pixels.get(item.sha256)
        if pixels is None:
            with self._timings.of("decode"):
                image = self._open_image(item.image)
            with self._timings.of("preprocess"):
                pixels = self._model.preprocess(image)
            self._pixels.keep(item.sha256, pixels)
        return pixels


def _nothing(item: ImageWork) -> None:
    """The pixels of a picture that need not be read."""
