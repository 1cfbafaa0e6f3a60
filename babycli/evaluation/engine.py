"""Runs a plan on a model: each image read, decoded and encoded once, its texts scored in batches of one shape.

Owns batching. Never decides what is right, never writes a file: every score goes to the caller as it comes.

Requests wait in a queue per batch key (equal length, image at the same place), so nothing is ever padded. A batch
always has the same number of rows, the last one filled up with repeats whose scores are dropped: a matrix product
may round differently for another number of rows, and a model that ignores the image must tie exactly, not nearly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from babycli.domain import ImageRef, Score
from babycli.evaluation.plan import GenerateKey, ImageWork, Key, Plan, ScoreKey
from babycli.models.base import Model, Tokens

OpenImage = Callable[[ImageRef], Image]
OnScore = Callable[[Key, Score], None]
DECODE_THREADS = 4


@dataclass(slots=True)
class _Waiting:
    """Requests of one batch key. Texts that tokenise alike share an entry, so they tie."""

    entries: dict[tuple[str, tuple[int, ...]], tuple[Any, Tokens, list[ScoreKey]]] = field(default_factory=dict)


def run(plan: Plan, model: Model, open_image: OpenImage, batch_size: int, on_score: OnScore) -> None:
    """Computes every score of the plan. What a model or an image store raises passes through."""
    queues: dict[Any, _Waiting] = {}
    captions: dict[tuple[str, int], list[tuple[GenerateKey, Any]]] = {}
    tokenised: dict[tuple[str, str], Tokens] = {}
    for chunk, pixels in _preprocessed(plan.work, model, open_image, batch_size):
        for item, features in zip(chunk, model.encode(pixels), strict=True):
            for key in item.scores:
                text = (key.prompt, key.text)
                if text not in tokenised:
                    tokenised[text] = model.tokenize(*text)
                tokens = tokenised[text]
                entries = queues.setdefault(tokens.batch_key, _Waiting()).entries
                entries.setdefault((item.sha256, tokens.ids), (features, tokens, []))[2].append(key)
            for wish in item.generations:
                captions.setdefault((wish.prompt, wish.max_new_tokens), []).append((wish, features))
        for queue in queues.values():
            while len(queue.entries) >= batch_size:
                _score(queue, model, batch_size, on_score)
        for (prompt, max_new_tokens), waiting in captions.items():
            while len(waiting) >= batch_size:
                _generate(waiting, model, prompt, max_new_tokens, batch_size, on_score)
    for queue in queues.values():
        while queue.entries:
            _score(queue, model, batch_size, on_score)
    for (prompt, max_new_tokens), waiting in captions.items():
        while waiting:
            _generate(waiting, model, prompt, max_new_tokens, batch_size, on_score)


def _score(queue: _Waiting, model: Model, batch_size: int, on_score: OnScore) -> None:
    ids = list(queue.entries)[:batch_size]
    entries = [queue.entries[i] for i in ids]
    filled = entries + [entries[-1]] * (batch_size - len(entries))
    scores = model.loglikelihood([features for features, _, _ in filled], [tokens for _, tokens, _ in filled])
    for i, (_, _, keys), score in zip(ids, entries, scores[: len(entries)], strict=True):
        for key in keys:
            on_score(key, score)
        del queue.entries[i]


def _generate(
    waiting: list[tuple[GenerateKey, Any]],
    model: Model,
    prompt: str,
    max_new_tokens: int,
    batch_size: int,
    on_score: OnScore,
) -> None:
    batch = waiting[:batch_size]
    for (key, _), text in zip(batch, model.generate([f for _, f in batch], prompt, max_new_tokens), strict=True):
        on_score(key, text)
    del waiting[:batch_size]


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
