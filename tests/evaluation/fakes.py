"""A model without weights: its scores come from a function, and it notes what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL.Image import Image

from babycli.domain import Generation, Loglikelihood
from babycli.models.base import Features, ModelInfo, Tokens

INFO = ModelInfo("fake", "fake", "0" * 64, 0, "float32", "cpu", "plain", ("loglikelihood", "generate"))
BRANCHING = replace(INFO, shares_prefixes=True)


@dataclass
class FakeModel:
    """Features of a picture are its mean colour; a text's ids are its letters; ``loss`` decides a score."""

    loss: Callable[[Any, str], float]
    info: ModelInfo = INFO
    batches: list[int] = field(default_factory=list)
    encoded: int = 0

    def render(self, prompt: str) -> str:
        return f"<image>\n{prompt}"

    def preprocess(self, image: Image) -> Any:
        return image.resize((1, 1)).getpixel((0, 0))

    def encode(self, pixels: Sequence[Any]) -> list[Features]:
        self.encoded += len(pixels)
        return [Features(pixel, repr(pixel).encode()) for pixel in pixels]

    def tokenize(self, prompt: str, text: str) -> Tokens:
        ids = tuple(map(ord, prompt + text))
        return Tokens(ids, len(text), len(ids))

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        assert len({t.batch_key for t in tokens}) == 1, "a batch mixes shapes"
        self.batches.append(len(tokens))
        texts = ["".join(map(chr, t.ids)) for t in tokens]
        return [Loglikelihood((-self.loss(f.data, t),), False) for f, t in zip(features, texts, strict=True)]

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        self.batches.append(len(features))
        return [Generation(f"{f.data}"[:max_new_tokens], (), True) for f in features]


@dataclass
class BranchingModel(FakeModel):
    """The same, but a picture and a prompt are read once for all texts behind them."""

    info: ModelInfo = BRANCHING
    prefixes: list[tuple[Any, tuple[int, ...]]] = field(default_factory=list)

    def loglikelihood_of_branches(
        self, features: Sequence[Features], branches: Sequence[Sequence[Tokens]]
    ) -> list[list[Loglikelihood]]:
        shapes = {tuple(t.batch_key for t in row) for row in branches}
        assert len(shapes) == 1, "a batch mixes shapes"
        self.batches.append(len(branches))
        scored = []
        for seen, row in zip(features, branches, strict=True):
            (prefix,) = {t.ids[: len(t.ids) - t.n_answer] for t in row}
            self.prefixes.append((seen.data, prefix))
            scored.append([Loglikelihood((-self.loss(seen.data, "".join(map(chr, t.ids))),), False) for t in row])
        return scored
