"""Runs a plan on a model: each image read, decoded and encoded once, its texts scored in batches of one shape.

Owns batching. Never decides what is right, never writes a file: every score goes to the caller as it comes.

Requests wait in a queue per batch key (equal length, image at the same place), so nothing is ever padded. What is
the same for the model (equal features, equal ids) is computed once and the score shared: a product of matrices
rounds differently from row to row, and a model that ignores the image must tie exactly, not nearly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

from PIL.Image import Image

from babycli.domain import ImageRef, Score
from babycli.evaluation.plan import GenerateKey, ImageWork, Key, Plan, ScoreKey
from babycli.models.base import (
    Features,
    Model,
    OffersGenerate,
    OffersLoglikelihood,
    OffersSimilarity,
    ScoresText,
    Tokens,
)

OpenImage = Callable[[ImageRef], Image]
OnScore = Callable[[Key, Score], None]
DECODE_THREADS = 4


@dataclass(frozen=True, slots=True)
class _Input:
    """What a model is given for a score. Equal inputs, equal score."""

    features_digest: bytes
    ids: tuple[int, ...]


@dataclass(slots=True)
class _Pending:
    """An input that waits for its batch, and all the keys that its score will answer."""

    features: Features
    tokens: Tokens
    keys: list[ScoreKey]


def run(plan: Plan, model: Model, open_image: OpenImage, batch_size: int, on_score: OnScore) -> None:
    """Computes every score of the plan. What a model or an image store raises passes through."""
    scorer = _Scorer(model, batch_size, on_score)
    captioner = _Captioner(model, batch_size, on_score)
    for chunk, pixels in _preprocessed(plan.work, model, open_image, batch_size):
        for item, features in zip(chunk, model.encode(pixels), strict=True):
            for key in item.scores:
                scorer.add(key, features)
            for wish in item.generations:
                captioner.add(wish, features)
    scorer.finish()
    captioner.finish()


class _Scorer:
    """Gathers texts into batches of one shape, and computes each distinct input once in the whole run."""

    def __init__(self, model: Model, batch_size: int, on_score: OnScore) -> None:
        self._batch_size, self._on_score = batch_size, on_score
        self._model = cast(ScoresText, model)
        self._tokens: dict[tuple[str, str], Tokens] = {}
        self._queues: dict[Hashable, dict[_Input, _Pending]] = {}
        self._done: dict[_Input, Score] = {}

    def add(self, key: ScoreKey, features: Features) -> None:
        text = (key.prompt, key.text)
        if text not in self._tokens:
            self._tokens[text] = self._model.tokenize(*text)
        tokens = self._tokens[text]
        given = _Input(features.digest, tokens.ids)
        if given in self._done:
            self._on_score(key, self._done[given])
            return
        queue = self._queues.setdefault(tokens.batch_key, {})
        queue.setdefault(given, _Pending(features, tokens, [])).keys.append(key)
        if len(queue) == self._batch_size:
            self._flush(queue)

    def finish(self) -> None:
        for queue in self._queues.values():
            if queue:
                self._flush(queue)

    def _flush(self, queue: dict[_Input, _Pending]) -> None:
        pending = list(queue.values())
        scores = self._scores([p.features for p in pending], [p.tokens for p in pending])
        for given, score in zip(queue, scores, strict=True):
            self._done[given] = score
            for key in queue[given].keys:
                self._on_score(key, score)
        queue.clear()

    def _scores(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> Sequence[Score]:
        if "loglikelihood" in self._model.info.offers:
            return cast(OffersLoglikelihood, self._model).loglikelihood(features, tokens)
        return cast(OffersSimilarity, self._model).similarity(features, tokens)


class _Captioner:
    """Gathers pictures that want a text for the same prompt into batches."""

    def __init__(self, model: Model, batch_size: int, on_score: OnScore) -> None:
        self._batch_size, self._on_score = batch_size, on_score
        self._model = cast(OffersGenerate, model)
        self._queues: dict[tuple[str, int], list[tuple[GenerateKey, Features]]] = {}

    def add(self, key: GenerateKey, features: Features) -> None:
        queue = self._queues.setdefault((key.prompt, key.max_new_tokens), [])
        queue.append((key, features))
        if len(queue) == self._batch_size:
            self._flush(queue)

    def finish(self) -> None:
        for queue in self._queues.values():
            if queue:
                self._flush(queue)

    def _flush(self, queue: list[tuple[GenerateKey, Features]]) -> None:
        first = queue[0][0]
        texts = self._model.generate([features for _, features in queue], first.prompt, first.max_new_tokens)
        for (key, _), text in zip(queue, texts, strict=True):
            self._on_score(key, text)
        queue.clear()


def _preprocessed(
    work: Sequence[ImageWork], model: Model, open_image: OpenImage, batch_size: int
) -> Iterator[tuple[tuple[ImageWork, ...], list[Any]]]:
    """Chunks of images with their pixels; the next chunk is read and decoded while this one is computed."""

    def prepare(item: ImageWork) -> Any:
        return model.preprocess(open_image(item.image))

    with ThreadPoolExecutor(DECODE_THREADS) as pool:
        ahead: tuple[tuple[ImageWork, ...], list[Future[Any]]] | None = None
        try:
            for start in range(0, len(work), batch_size):
                chunk = tuple(work[start : start + batch_size])
                submitted = [pool.submit(prepare, item) for item in chunk]
                if ahead is not None:
                    yield ahead[0], [future.result() for future in ahead[1]]
                ahead = (chunk, submitted)
            if ahead is not None:
                yield ahead[0], [future.result() for future in ahead[1]]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
