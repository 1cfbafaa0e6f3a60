"""Runs units of a plan on a model: each image read, decoded and encoded once, each prefix computed once.

Owns batching. Never decides what is right, never writes a file: every score goes to the caller as it comes.

    unit     [ image 1: prompt -> ball, cup | image 2: prompt -> ball | image 3: prompt -> red ball, blue ball ]
    rows     [ 1 ball cup ]  [ 2 ball ]  [ 3 red ball, blue ball ]     one per prefix, its texts behind it
    batches  rows of equal shape (equal batch keys) side by side, so nothing is ever padded

What is the same for the model within a unit (equal features, equal ids) is computed once. What is the same in different
units is told by its ``input``, and ``settled`` gives it one score: a product of matrices rounds differently from row to
row, and a model that ignores the image must tie exactly, not nearly.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar, cast

from babycli.domain import Generation, Score
from babycli.errors import DataError
from babycli.evaluation.memory import Batching
from babycli.evaluation.plan import GenerateKey, ImageWork, Key, Plan, ScoreKey, Unit
from babycli.evaluation.prefetch import Kept, OpenImage, Pictures
from babycli.evaluation.scorefile import Scored
from babycli.evaluation.timings import Timings
from babycli.models.base import (
    Features,
    Model,
    OffersGenerate,
    OffersLoglikelihood,
    OffersSimilarity,
    ReadsTexts,
    ScoresText,
    SharesPrefixes,
    SharesVision,
    Tokens,
)

Item = TypeVar("Item")
_Wish = tuple[GenerateKey, Features]
OnScore = Callable[[Scored], None]
MAX_BRANCH_TOKENS = 64  # of the answers behind one prefix; more make a row of their own


@dataclass(frozen=True, slots=True)
class How:
    """How units are run."""

    batching: Batching
    reuses_prefixes: bool = True  # False: every text is a row of its own, with its whole prefix
    timings: Timings = field(default_factory=Timings)
    pixels: Kept = field(default_factory=lambda: Kept(0))
    seen: Kept = field(default_factory=lambda: Kept(0))  # what vision towers gave


@dataclass(slots=True)
class _Text:
    """A distinct answer behind a prefix, and all the keys that its score will answer."""

    tokens: Tokens
    keys: list[ScoreKey]


@dataclass(frozen=True, slots=True)
class _Row:
    """A prefix with the answers that are scored behind it."""

    features: Features
    texts: Sequence[_Text]

    @property
    def shape(self) -> tuple[Hashable, ...]:
        return tuple(text.tokens.batch_key for text in self.texts)


def run(
    units: Sequence[Unit], model: Model, open_image: OpenImage, how: How, done: Container[Key], on_score: OnScore
) -> None:
    """Computes every score of the units that is not in ``done``. What a model or an image store raises passes through.

    A unit of which only a part is done has its images encoded again, all of them: the batches are those of the plan.
    """
    how.pixels.start(getattr(model, "pixels_key", None))
    how.seen.start(getattr(model, "vision_key", None) if how.seen.is_open else None)
    scorer = _Scorer(model, how, done, on_score)
    with Pictures(units, model, open_image, how.pixels, how.seen, how.timings) as pictures:
        while taken := list(pictures.take(how.batching.units_at_once)):
            how.batching.begin()
            scorer.compute([item for item, _ in taken], [pixels for _, pixels in taken])
            how.batching.end()


def read_texts(plan: Plan, model: Model) -> None:
    """Lets a dual encoder read all texts of a plan, in batches that do not depend on what is done already."""
    if hasattr(model, "read_texts"):
        texts = dict.fromkeys((key.prompt, key.text) for key in plan.keys if isinstance(key, ScoreKey))
        encoder = cast(ReadsTexts, model)
        encoder.read_texts([encoder.tokenize(*text) for text in texts])


def settled(plan: Plan, scores: Mapping[Key, Scored]) -> dict[Key, Score]:
    """Every score of a plan; of equal inputs each gets the score of the first. Raises DataError if any is missing."""
    missing = sum(key not in scores for key in plan.keys)
    if missing:
        raise DataError(f"{missing} of {plan.n_requests} scores are missing", "give the same command again")
    first: dict[str, Score] = {}
    final: dict[Key, Score] = {}
    for key in plan.keys:
        found = scores[key]
        final[key] = first.setdefault(found.input, found.score) if found.input else found.score
    return final


class _Scorer:
    def __init__(self, model: Model, how: How, done: Container[Key], on_score: OnScore) -> None:
        self._model, self._how, self._done, self._on_score = model, how, done, on_score
        self._is_generative = "loglikelihood" in model.info.offers
        self._branches = how.reuses_prefixes and model.info.shares_prefixes
        self._tokens: dict[tuple[str, str], Tokens] = {}

    def compute(self, items: Sequence[ImageWork], pixels: Sequence[Any]) -> None:
        """All that is asked about some images."""
        with self._how.timings.of("vision"):
            features = self._features(items, pixels)
        for rows in _by(self._rows(items, features), lambda row: row.shape).values():
            for some in self._in_batches(rows):
                if any(key not in self._done for row in some for text in row.texts for key in text.keys):
                    self._score(some)
        wishes = [(key, f) for item, f in zip(items, features, strict=True) for key in item.generations]
        for alike in _by(wishes, lambda wish: (wish[0].prompt, wish[0].max_new_tokens)).values():
            for batch in self._in_batches(alike):
                if any(key not in self._done for key, _ in batch):
                    self._generate(batch)

    def _features(self, items: Sequence[ImageWork], pixels: Sequence[Any]) -> list[Features]:
        halving, kept = self._how.batching.halving, self._how.seen
        if not kept.is_open or not hasattr(self._model, "vision_key"):
            return halving(self._model.encode, pixels)
        model = cast(SharesVision, self._model)
        new = [i for i, item in enumerate(items) if kept.get(item.sha256) is None]
        seen = dict(zip(new, halving(model.see, [pixels[i] for i in new]), strict=True))
        for i, output in seen.items():
            kept.keep(items[i].sha256, output)
        whole = [seen[i] if i in seen else kept.get(item.sha256) for i, item in enumerate(items)]
        return halving(model.encode_seen, whole)

    def _rows(self, items: Sequence[ImageWork], features: Sequence[Features]) -> list[_Row]:
        """The prefixes of some images, each distinct one once, with their distinct answers."""
        prefixes: dict[tuple[bytes, tuple[int, ...]], tuple[Features, dict[tuple[int, ...], _Text]]] = {}
        for item, seen in zip(items, features, strict=True):
            for key in item.scores:
                tokens = self._tokenized(key)
                given = tokens.ids[: len(tokens.ids) - tokens.n_answer] if self._branches else tokens.ids
                _, texts = prefixes.setdefault((seen.digest, given), (seen, {}))
                texts.setdefault(tokens.ids, _Text(tokens, [])).keys.append(key)
        return [_Row(seen, some) for seen, texts in prefixes.values() for some in _in_rows(texts.values())]

    def _tokenized(self, key: ScoreKey) -> Tokens:
        text = (key.prompt, key.text)
        if text not in self._tokens:
            self._tokens[text] = cast(ScoresText, self._model).tokenize(*text)
        return self._tokens[text]

    def _in_batches(self, whole: Sequence[Item]) -> Iterator[Sequence[Item]]:
        start = 0
        while start < len(whole):
            batch = whole[start : start + self._how.batching.n_rows]
            start += len(batch)
            yield batch

    def _score(self, batch: Sequence[_Row]) -> None:
        for row, scores in zip(batch, self._how.batching.halving(self._scores, batch), strict=True):
            for text, score in zip(row.texts, scores, strict=True):
                given = sha256(row.features.digest + repr(text.tokens.ids).encode()).hexdigest()[:32]
                for key in text.keys:
                    self._keep(Scored(key, score, given))

    def _scores(self, batch: Sequence[_Row]) -> list[Sequence[Score]]:
        """The scores of rows of one shape, a list for each row."""
        features = [row.features for row in batch]
        branches = [[text.tokens for text in row.texts] for row in batch]
        n_answer = sum(tokens.n_answer for row in branches for tokens in row)
        n_prefix = sum(row[0].n_positions - row[0].n_answer for row in branches)
        with self._how.timings.of_scores(n_prefix, n_answer):
            if self._branches:
                return list(cast(SharesPrefixes, self._model).loglikelihood_of_branches(features, branches))
            flat = [tokens for row in branches for tokens in row]
            if self._is_generative:
                return [[x] for x in cast(OffersLoglikelihood, self._model).loglikelihood(features, flat)]
            return [[x] for x in cast(OffersSimilarity, self._model).similarity(features, flat)]

    def _generate(self, batch: Sequence[_Wish]) -> None:
        for (key, _), text in zip(batch, self._how.batching.halving(self._texts, batch), strict=True):
            self._keep(Scored(key, text))

    def _texts(self, batch: Sequence[_Wish]) -> list[Generation]:
        """Texts for one prompt, a picture each."""
        key, _ = batch[0]
        with self._how.timings.of("generate"):
            model = cast(OffersGenerate, self._model)
            return model.generate([seen for _, seen in batch], key.prompt, key.max_new_tokens)

    def _keep(self, scored: Scored) -> None:
        if scored.key not in self._done:
            with self._how.timings.of("write"):
                self._on_score(scored)


def _in_rows(texts: Iterable[_Text]) -> Iterator[list[_Text]]:
    """The answers of one prefix, short ones first so that rows are alike, in rows of a bounded length."""
    row: list[_Text] = []
    n_tokens = 0
    for text in sorted(texts, key=lambda t: t.tokens.n_answer):
        n_tokens += text.tokens.n_answer
        if row and n_tokens > MAX_BRANCH_TOKENS:
            yield row
            row, n_tokens = [], text.tokens.n_answer
        row.append(text)
    yield row


def _by(items: Iterable[Item], shape: Callable[[Item], Hashable]) -> dict[Hashable, list[Item]]:
    """The items gathered by shape, both in order of appearance."""
    gathered: dict[Hashable, list[Item]] = {}
    for item in items:
        gathered.setdefault(shape(item), []).append(item)
    return gathered
