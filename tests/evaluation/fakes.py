"""A model without weights: its scores come from a function, and it notes what it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL.Image import Image

from babycli.domain import NO_PICTURE, CannotAnswer, Context, Loglikelihood, Part, Text
from babycli.models.base import Abilities, Features, Model, ModelInfo, Pictures, Tokens

ABILITIES = Abilities(scores=("loglikelihood",), writes=True, max_images=None, max_turns=None)
INFO = ModelInfo("fake", "fake", "0" * 64, 0, "float32", "cpu", "plain", ABILITIES)
BRANCHING = replace(INFO, abilities=replace(ABILITIES, shares_prefixes=True))
SEES = "\N{OBJECT REPLACEMENT CHARACTER}"  # a picture among the letters


@dataclass
class FakeModel(Model):
    """Features of a picture are its mean colour; a text's ids are its letters; ``loss`` decides a score.

    ``loss`` gets what is seen (of several pictures a tuple) and all words of context and answer.
    """

    loss: Callable[[Any, str], float]
    info: ModelInfo = INFO
    batches: list[int] = field(default_factory=list)
    encoded: int = 0
    encodings: Counter[str] = field(default_factory=Counter)  # how often each colour was encoded
    longest: int | None = None  # more letters than that are too many

    def render(self, context: Context) -> str:
        return spelt(context).replace(SEES, "<image>\n")

    def preprocess(self, image: Image) -> Any:
        return image.resize((1, 1)).getpixel((0, 0))

    def encode(self, pixels: Sequence[Any]) -> list[Features]:
        self.encoded += len(pixels)
        self.encodings.update(map(repr, pixels))
        return [Features(pixel, repr(pixel).encode()) for pixel in pixels]

    def tokenize(self, context: Context, answer: str) -> Tokens | CannotAnswer:
        return self._checked(spelt(context) + answer, len(answer))

    def read(self, context: Context, max_new_tokens: int) -> Tokens | CannotAnswer:
        return self._checked(spelt(context), 0)

    def _checked(self, letters: str, n_answer: int) -> Tokens | CannotAnswer:
        if self.longest is not None and len(letters) > self.longest:
            return CannotAnswer(f"{len(letters)} letters are more than {self.longest}")
        return Tokens(tuple(map(ord, letters)), n_answer, len(letters))

    def loglikelihood(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]
    ) -> Sequence[Loglikelihood | CannotAnswer]:
        assert len({t.batch_key for t in tokens}) == 1, "a batch mixes shapes"
        self.batches.append(len(tokens))
        return [self._score(row, t) for row, t in zip(pictures, tokens, strict=True)]

    def _score(self, row: Pictures, tokens: Tokens) -> Loglikelihood:
        letters = "".join(map(chr, tokens.ids))
        assert letters.count(SEES) == len(row), "a picture for each place"
        return Loglikelihood((-self.loss(seen(row), letters.replace(SEES, "")),), False)

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> Sequence[Text | CannotAnswer]:
        assert len({t.batch_key for t in tokens}) == 1, "a batch mixes shapes"
        self.batches.append(len(tokens))
        return [Text(f"{seen(row)}"[:max_new_tokens], (), True) for row in pictures]


@dataclass
class BranchingModel(FakeModel):
    """The same, but pictures and a prompt are read once for all texts behind them."""

    info: ModelInfo = BRANCHING
    prefixes: list[tuple[Any, tuple[int, ...]]] = field(default_factory=list)

    def loglikelihood_of_branches(
        self, pictures: Sequence[Pictures], branches: Sequence[Sequence[Tokens]], keeps: bool = False
    ) -> list[list[Loglikelihood]]:
        shapes = {tuple(t.batch_key for t in row) for row in branches}
        assert len(shapes) == 1, "a batch mixes shapes"
        self.batches.append(len(branches))
        scored = []
        for shown, row in zip(pictures, branches, strict=True):
            (prefix,) = {t.ids[: len(t.ids) - t.n_answer] for t in row}
            self.prefixes.append((seen(shown), prefix))
            scored.append([self._score(shown, t) for t in row])
        return scored


def spelt(context: Context) -> str:
    """All that is said, a line for each turn, SEES in the place of each picture."""
    return "\n".join("".join(_letters(part) for part in turn.parts) for turn in context.turns)


def _letters(part: Part) -> str:
    if isinstance(part, str):
        return part
    return "" if part == NO_PICTURE else SEES


def seen(row: Pictures) -> Any:
    """What is seen of one picture; of several, a tuple."""
    return row[0].data if len(row) == 1 else tuple(features.data for features in row)
