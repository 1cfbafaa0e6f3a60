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
N_THREADS = min(16, max(4, os.cpu_count() or 1))


class PixelMemory:
    """Keeps preprocessed pictures for the next model that prepares them alike, up to ``max_bytes``.

    A model says how it prepares by ``pixels_key``; what was kept for another key is dropped.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = self._max_bytes = max_bytes
        self._key: Hashable = None
        self._kept: dict[str, Any] = {}
        self._lock = threading.Lock()

    def prepare_for(self, model: Model) -> None:
        key = getattr(model, "pixels_key", None)
        if key is None or key != self._key:
            self._kept, self._left = {}, self._max_bytes
        self._key = key

    def get(self, sha256: str) -> Any:
        return self._kept.get(sha256)

    def keep(self, sha256: str, pixels: Any) -> None:
        size = getattr(pixels, "nbytes", None)
        with self._lock:
            if self._key is not None and size is not None and size <= self._left:
                self._left -= size
                self._kept[sha256] = pixels


class Pictures:
    """The preprocessed pictures of units, in their order. Use as a context manager."""

    def __init__(
        self, units: Sequence[Unit], model: Model, open_image: OpenImage, memory: PixelMemory, timings: Timings
    ) -> None:
        self._units = iter(units)
        self._model, self._open_image = model, open_image
        self._memory, self._timings = memory, timings
        self._ahead: deque[tuple[Unit, list[Future[Any]]]] = deque()
        self._pool = ThreadPoolExecutor(N_THREADS, "babycli-decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

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
            self._ahead.append((unit, [self._pool.submit(self._prepare, item) for item in unit]))

    def _prepare(self, item: ImageWork) -> Any:
        pixels = self._memory.get(item.sha256)
        if pixels is None:
            with self._timings.of("decode"):
                image = self._open_image(item.image)
            with self._timings.of("preprocess"):
                pixels = self._model.preprocess(image)
            self._memory.keep(item.sha256, pixels)
        return pixels
