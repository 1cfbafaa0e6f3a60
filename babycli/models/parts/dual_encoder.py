"""The common part of dual encoders: one vector for a picture, one for a text, and their product.

Owns the products, of a picture with a text and of two pictures, keeping the vectors of texts, and the methods of those
that fill a prompt with each text. Never knows how a vector is made: the families do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Protocol

from torch import Tensor

from babycli.domain import CannotAnswer, Context, Similarity
from babycli.models.base import Features, Model, Pictures, Tokens
from babycli.models.parts.prompts import filled, prompt_text

TEXTS_AT_ONCE = 64


class EncodeTexts(Protocol):
    def __call__(self, ids: Sequence[tuple[int, ...]]) -> Tensor:
        """Computes the vectors (n, size) of texts of one length, on any device and in any dtype."""


def as_features(vectors: Tensor, normalise: bool) -> list[Features]:
    """Makes features of the vectors (n, size) of pictures: float32 on the CPU, each with the digest of its bytes."""
    ready = _ready(vectors, normalise)
    return [Features(row, sha256(row.numpy().tobytes()).digest()) for row in ready]


class TextVectors:
    """The vectors of texts, and their products with those of pictures; each distinct text is encoded once."""

    def __init__(self, encode: EncodeTexts, normalise: bool) -> None:
        self._encode = encode
        self._normalise = normalise
        self._known: dict[tuple[int, ...], Tensor] = {}

    def read(self, tokens: Sequence[Tokens]) -> None:
        """Encodes the texts that are new, in batches of one length."""
        by_length: dict[int, list[tuple[int, ...]]] = {}
        for ids in dict.fromkeys(t.ids for t in tokens if t.ids not in self._known):
            by_length.setdefault(len(ids), []).append(ids)
        for alike in by_length.values():
            for start in range(0, len(alike), TEXTS_AT_ONCE):
                some = alike[start : start + TEXTS_AT_ONCE]
                self._known |= zip(some, _ready(self._encode(some), self._normalise), strict=True)

    def similarity(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Similarity]:
        """Computes dot products, each summed alone and rounded once: equal vectors have equal values in any batch."""
        self.read(tokens)
        return [Similarity(_product(f.data, self._known[t.ids])) for f, t in zip(features, tokens, strict=True)]


class TextReader(Protocol):
    def ids(self, text: str) -> tuple[int, ...] | CannotAnswer:
        """Makes the ids of a text; CannotAnswer for one that is too long."""


class DualEncoder(Model):
    """The methods of a network that reads a text by itself; see babycli.models.base.Model for the contract of each.

    Features of a picture are its vector: float32, of length 1, on the CPU whatever the device.
    """

    _texts: TextReader
    _vectors: TextVectors

    def render(self, context: Context) -> str:
        return prompt_text(context)

    def tokenize(self, context: Context, answer: str) -> Tokens | CannotAnswer:
        """Makes the ids of the filled prompt. Texts share a batch if they are equally long; none is padded for that."""
        ids = self._texts.ids(filled(prompt_text(context), answer))
        return ids if isinstance(ids, CannotAnswer) else Tokens(ids, len(ids), len(ids))

    def read_texts(self, tokens: Sequence[Tokens]) -> None:
        self._vectors.read(tokens)

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        return self._vectors.similarity([row[0] for row in pictures], tokens)

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        return cosines(pairs)


def unwrapped(encoded: Any) -> Tensor:
    """Takes the vectors out of transformers' object; FLAVA's has all positions, of which the first counts."""
    vectors: Tensor = encoded if isinstance(encoded, Tensor) else encoded.pooler_output
    return vectors[:, 0] if vectors.dim() == 3 else vectors


def cosines(pairs: Sequence[Pictures]) -> list[Similarity]:
    """Computes the cosine of the two vectors of each pair: the same in any batch and in either order.

    The vectors may have any length. A zero row has no direction, so its cosine is NaN.
    """
    return [Similarity(_cosine(one.data, other.data)) for one, other in pairs]


def _cosine(one: Tensor, other: Tensor) -> float:
    lengths = math.sqrt(_product(one, one)) * math.sqrt(_product(other, other))
    return _product(one, other) / lengths if lengths else math.nan


def _product(one: Tensor, other: Tensor) -> float:
    """Computes a dot product whose terms are added exactly and rounded once; NaN for infinities of both signs."""
    terms = (one.double() * other.double()).tolist()
    try:
        return math.fsum(terms)
    except ValueError:
        return math.nan


def _ready(vectors: Tensor, normalise: bool) -> Tensor:
    """Gives the rows in float32; with ``normalise`` of length 1, or NaN for a zero row."""
    wide = vectors.detach().cpu().double()
    ready: Tensor = (wide / wide.norm(dim=-1, keepdim=True) if normalise else wide).float()
    return ready
