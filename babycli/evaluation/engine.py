"""The engine, which runs units of a plan on a model: each picture is encoded once, each context is read once.

Owns batching. Never decides what is right, never writes a file: every answer goes to the caller at once.

    unit     [ image 1: prompt -> ball, cup | image 2: prompt -> ball | images 3, 4: prompt -> red ball, blue ball ]
    rows     [ 1 ball cup ]  [ 2 ball ]  [ 3 4 red ball, blue ball ]     one for each context, with its answers
    batches  rows of equal shape (equal batch keys) side by side, so nothing is ever padded

Requests that are equal for the model (equal features, equal tokens) are computed once within a unit. In different
units they are recognised by their ``input``, and Settled gives them one score: a product of matrices rounds differently
from row to row, and a model that ignores the image must tie exactly, not nearly.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeVar

from babycli.domain import Answer, CannotAnswer, Context, Loglikelihood, NoReply, Text
from babycli.errors import DataError
from babycli.evaluation.memory import Batching
from babycli.evaluation.plan import Ask, Plan, Unit, Work
from babycli.evaluation.prefetch import FeatureStore, Kept, OpenImage, Pictures
from babycli.evaluation.timings import Timings
from babycli.logs.answers import Answered, Key, MatchKey, ScoreKey, WriteKey
from babycli.models.base import Abilities, Features, Model, Question, Tokens

Entry = TypeVar("Entry")
OnAnswer = Callable[[Answered], None]
MAX_BRANCH_TOKENS = 64  # of all answers in one row; further answers of the same context go into another row


@dataclass(frozen=True, slots=True)
class How:
    """How units are run."""

    batching: Batching
    reuses_prefixes: bool = True  # False: every answer is a row of its own, with its whole context
    timings: Timings = field(default_factory=Timings)
    pixels: Kept = field(default_factory=lambda: Kept(0))
    seen: Kept = field(default_factory=lambda: Kept(0))  # outputs of vision towers
    features: FeatureStore = field(default_factory=lambda: FeatureStore(0))


@dataclass(slots=True)
class _Text:
    """A distinct answer behind a context, with all the requests that its score will answer."""

    tokens: Tokens
    asks: list[Ask]


@dataclass(frozen=True, slots=True)
class _Row:
    """A context with the answers to be scored behind it."""

    pictures: tuple[Features, ...]
    texts: Sequence[_Text]

    @property
    def shape(self) -> tuple[Hashable, ...]:
        return (self.keeps, *(text.tokens.batch_key for text in self.texts))

    @property
    def asks(self) -> Iterator[Ask]:
        return (ask for text in self.texts for ask in text.asks)

    @property
    def keeps(self) -> bool:
        return any(ask.keeps for ask in self.asks)

    @property
    def goes_on(self) -> bool:
        return any(ask.goes_on for ask in self.asks)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A text to be written behind a context."""

    ask: Ask
    key: WriteKey
    tokens: Tokens
    pictures: tuple[Features, ...]

    @property
    def shape(self) -> tuple[Hashable, ...]:
        return self.ask.keeps, self.key.max_new_tokens, self.tokens.batch_key


def run(
    units: Sequence[Unit], model: Model, open_image: OpenImage, how: How, done: Container[Key], on_answer: OnAnswer
) -> None:
    """Computes every answer of the units that is not in ``done``. Errors of the model and of image stores pass through.

    If only a part of a unit is done, all its pictures are encoded again: the batches are always those of the plan.
    """
    abilities = model.info.abilities
    if abilities.plays_back:
        for ask in (ask for unit in units for item in unit for ask in item.asks if ask.key not in done):
            on_answer(_played_back(ask, model))
        return
    how.pixels.start(model.pixels_key if abilities.shares_pixels else None)
    how.seen.start(model.vision_key if how.seen.is_open and abilities.shares_vision else None)
    how.features.start(units)
    how.batching.spare = model.spare_memory
    with Pictures(units, model, open_image, how.pixels, how.seen, how.features, how.timings) as pictures:
        computer = _Computer(model, how, pictures, done, on_answer)
        if abilities.answers_alone:
            computer.ask_each()
            return
        while (taken := pictures.take(how.batching.units_at_once)) is not None:
            how.batching.begin()
            computer.compute(taken.work, taken.pixels)
            how.batching.end()


def read_texts(plan: Plan, model: Model) -> None:
    """Lets a dual encoder read all texts of a plan, in batches that do not depend on which answers are done already."""
    if _score_kind(model) == "similarity":
        texts = dict.fromkeys((ask.wording, ask.key.answer) for ask in plan.asks if isinstance(ask.key, ScoreKey))
        tokens = [model.tokenize(wording, answer) for wording, answer in texts]
        model.read_texts([text_tokens for text_tokens in tokens if isinstance(text_tokens, Tokens)])


def _score_kind(model: Model) -> str:
    return next(iter(model.info.abilities.scores), "")


class Settled:
    """The final answers: all equal inputs get the score of the first of them, in the order of the plans."""

    def __init__(self) -> None:
        self._first: dict[str, Answer] = {}
        self.answers: dict[Key, Answer] = {}

    def add(self, plan: Plan, answered: Mapping[Key, Answered]) -> None:
        """Adds the answers of a plan. Raises DataError if any is missing."""
        missing = sum(key not in answered for key in plan.keys)
        if missing:
            raise DataError(f"{missing} of {plan.n_requests} scores are missing", "give the same command again")
        for key in plan.keys:
            if key not in self.answers:
                given = answered[key]
                self.answers[key] = self._first.setdefault(given.input, given.answer) if given.input else given.answer


def settled(plan: Plan, answered: Mapping[Key, Answered]) -> dict[Key, Answer]:
    """Gives the final answers of one plan. Raises DataError if any is missing."""
    whole = Settled()
    whole.add(plan, answered)
    return whole.answers


class _Computer:
    def __init__(self, model: Model, how: How, pictures: Pictures, done: Container[Key], on_answer: OnAnswer) -> None:
        self._model, self._how, self._pictures, self._done, self._on_answer = model, how, pictures, done, on_answer
        self._branches = how.reuses_prefixes and model.info.abilities.shares_prefixes
        self._keeps = how.reuses_prefixes and model.info.abilities.keeps_prefixes
        self._tokens: dict[tuple[Context, str | int], Tokens | CannotAnswer] = {}

    def compute(self, work: Sequence[Work], pixels: Mapping[str, Any]) -> None:
        """Computes all that is asked about some pictures, whose pixels are given by SHA-256."""
        with self._how.timings.of("vision"):
            features = self._features(work, pixels)
        rows = self._rows(work, features)
        for alike in _by(rows, lambda row: row.shape).values():
            for batch in self._in_batches(alike):
                if self._is_wanted(batch[0].keeps, (ask for row in batch for ask in row.asks)):
                    self._score(batch)
        for some in self._in_batches([ask for item in work for ask in item.matches]):
            if any(ask.key not in self._done for ask in some):
                self._match(some, features)
        wishes = self._wishes(work, features)
        for similar in _by(wishes, lambda wish: wish.shape).values():
            for wished in self._in_batches(similar):
                if self._is_wanted(wished[0].ask.keeps, (wish.ask for wish in wished)):
                    self._write(wished)
        self._release(rows, wishes)
        for item in work:
            self._how.features.used(item)

    def ask_each(self) -> None:
        """Asks a model that answers requests alone, across all units: each request as soon as there is room for it."""
        waiting: dict[int, tuple[Ask, str]] = {}  # by the number of the question
        with closing(self._model.answer_each(self._questions(waiting))) as answers:
            while True:
                with self._how.timings.of("generate"):
                    answered = next(answers, None)
                if answered is None:
                    return
                ask, given = waiting.pop(answered[0])
                answer = _stopped(answered[1], ask.key.stop) if isinstance(ask.key, WriteKey) else answered[1]
                is_score = isinstance(answer, Loglikelihood)
                self._keep(Answered(ask.key, ask.content, answer, given if is_score else ""))

    def _questions(self, waiting: dict[int, tuple[Ask, str]]) -> Iterator[Question]:
        """Gives the questions that are not done; ``waiting`` gets the request of each, and what its score is of."""
        n = 0
        while (taken := self._pictures.take(1)) is not None:
            features = self._features(taken.work, taken.pixels)
            for item in taken.work:
                for ask in (ask for ask in item.asks if ask.key not in self._done):
                    if isinstance(ask.key, MatchKey):
                        self._keeps_off(ask)
                        continue
                    tokens = self._tokenized(ask)
                    if isinstance(tokens, CannotAnswer):
                        self._keep(Answered(ask.key, ask.content, tokens))
                        continue
                    pictures = tuple(features[name] for name in ask.places)
                    waiting[n] = ask, _given(pictures, tokens)
                    n += 1
                    yield Question(pictures, tokens, ask.key.max_new_tokens if isinstance(ask.key, WriteKey) else None)
                self._how.features.used(item)

    def _is_wanted(self, keeps: bool, asks: Iterable[Ask]) -> bool:
        """Tells whether a batch is to be computed: an answer is missing, or another goes on from what it reads."""
        return (keeps and self._keeps) or any(ask.key not in self._done for ask in asks)

    def _release(self, rows: Sequence[_Row], wishes: Sequence[_Wish]) -> None:
        """Frees what was kept for the two ways of answering, where no conversation goes on from it."""
        if not self._keeps:
            return
        over = [(row.pictures, row.texts[0].tokens) for row in rows if row.keeps and not row.goes_on]
        over += [(wish.pictures, wish.tokens) for wish in wishes if wish.ask.is_both and not wish.ask.goes_on]
        self._model.release([pictures for pictures, _ in over], [tokens for _, tokens in over])

    def _features(self, work: Sequence[Work], pixels: Mapping[str, Any]) -> dict[str, Features]:
        """Gives the features of each picture of some work, by SHA-256."""
        store = self._how.features
        wanted = {sha: image for item in work for sha, image in item.images.items()}
        known = {sha: kept for sha in wanted if sha not in pixels and (kept := store.get(sha)) is not None}
        new = [sha for sha in wanted if sha not in known]
        together = [sha for sha in new if sha not in store.alone]
        for names in (together, *([sha] for sha in new if sha in store.alone)):
            if names:
                ready = [pixels[sha] if sha in pixels else self._pictures.prepare(sha, wanted[sha]) for sha in names]
                encoded = self._encoded(names, ready)
                known |= {sha: store.keep(sha, feature) for sha, feature in zip(names, encoded, strict=True)}
        return known

    def _encoded(self, names: Sequence[str], pixels: Sequence[Any]) -> list[Features]:
        halving, kept = self._how.batching.halving, self._how.seen
        if not kept.is_open or not self._model.info.abilities.shares_vision:
            return halving(self._model.encode, pixels)
        new = [i for i, name in enumerate(names) if kept.get(name) is None]
        seen = dict(zip(new, halving(self._model.see, [pixels[i] for i in new]), strict=True))
        for i, output in seen.items():
            kept.keep(names[i], output)
        whole = [seen[i] if i in seen else kept.get(name) for i, name in enumerate(names)]
        return halving(self._model.encode_seen, whole)

    def _rows(self, work: Sequence[Work], features: Mapping[str, Features]) -> list[_Row]:
        """Gives the distinct contexts of some work, with their distinct answers."""
        contexts: dict[Hashable, tuple[tuple[Features, ...], dict[Hashable, _Text]]] = {}
        for item in work:
            for ask in item.scores:
                tokens = self._tokenized(ask)
                if isinstance(tokens, CannotAnswer):
                    self._keep(Answered(ask.key, ask.content, tokens))
                    continue
                pictures = tuple(features[name] for name in ask.places)
                given: Hashable = tokens.prefix if self._branches else tokens.identity
                _, texts = contexts.setdefault((_joint_digest(pictures), given), (pictures, {}))
                texts.setdefault(tokens.identity, _Text(tokens, [])).asks.append(ask)
        return [_Row(pictures, some) for pictures, texts in contexts.values() for some in _in_rows(texts.values())]

    def _tokenized(self, ask: Ask) -> Tokens | CannotAnswer:
        """Gives the tokens of a request; they are made once for all pictures."""
        if why := _why_beyond(ask, self._model.info.abilities):
            return CannotAnswer(why)
        key = ask.key
        assert isinstance(key, ScoreKey | WriteKey)
        what = (ask.wording, key.answer if isinstance(key, ScoreKey) else key.max_new_tokens)
        if what not in self._tokens:
            if isinstance(key, ScoreKey):
                self._tokens[what] = self._model.tokenize(ask.wording, key.answer)
            else:
                self._tokens[what] = self._model.read(ask.wording, key.max_new_tokens)
        return self._tokens[what]

    def _in_batches(self, whole: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
        start = 0
        while start < len(whole):
            batch = whole[start : start + self._how.batching.n_rows]
            start += len(batch)
            yield batch

    def _score(self, batch: Sequence[_Row]) -> None:
        for row, scores in zip(batch, self._how.batching.halving(self._scores, batch), strict=True):
            for text, score in zip(row.texts, scores, strict=True):
                given = _given(row.pictures, text.tokens)
                for ask in text.asks:
                    is_score = not isinstance(score, CannotAnswer)
                    self._keep(Answered(ask.key, ask.content, score, given if is_score else ""))

    def _scores(self, batch: Sequence[_Row]) -> list[Sequence[Answer]]:
        """Computes the scores of rows of one shape, a list for each row."""
        pictures = [row.pictures for row in batch]
        branches = [[text.tokens for text in row.texts] for row in batch]
        n_answer = sum(tokens.n_answer for row in branches for tokens in row)
        n_prefix = sum(row[0].n_positions - row[0].n_answer for row in branches)
        model = self._model
        with self._how.timings.of_scores(n_prefix, n_answer):
            if self._branches:
                keeps = self._keeps and batch[0].keeps
                return list(model.loglikelihood_of_branches(pictures, branches, keeps))
            flat = [tokens for row in branches for tokens in row]
            score = model.loglikelihood if _score_kind(model) == "loglikelihood" else model.similarity
            return [[x] for x in score(pictures, flat)]

    def _match(self, batch: Sequence[Ask], features: Mapping[str, Features]) -> None:
        """Compares the two pictures of each of some requests. Equal pairs have equal scores by themselves."""
        able = [ask for ask in batch if not self._keeps_off(ask)]
        pairs = [tuple(features[name] for name in ask.places) for ask in able]
        with self._how.timings.of("vision"):
            scores = self._how.batching.halving(self._model.match, pairs)
        for ask, pair, score in zip(able, pairs, scores, strict=True):
            in_any_order = _joint_digest(sorted(pair, key=lambda features: features.digest))
            self._keep(Answered(ask.key, ask.content, score, sha256(b"match" + in_any_order).hexdigest()[:32]))

    def _keeps_off(self, ask: Ask) -> bool:
        """Answers a request that the model cannot take, and tells whether it did."""
        why = _why_beyond(ask, self._model.info.abilities)
        if why:
            self._keep(Answered(ask.key, ask.content, CannotAnswer(why)))
        return bool(why)

    def _wishes(self, work: Sequence[Work], features: Mapping[str, Features]) -> list[_Wish]:
        wishes = []
        for item in work:
            for ask in item.writes:
                tokens = self._tokenized(ask)
                if isinstance(tokens, CannotAnswer):
                    self._keep(Answered(ask.key, ask.content, tokens))
                    continue
                assert isinstance(ask.key, WriteKey)
                wishes.append(_Wish(ask, ask.key, tokens, tuple(features[name] for name in ask.places)))
        return wishes

    def _write(self, batch: Sequence[_Wish]) -> None:
        for wish, written in zip(batch, self._how.batching.halving(self._texts, batch), strict=True):
            self._keep(Answered(wish.key, wish.ask.content, _stopped(written, wish.key.stop)))

    def _texts(self, batch: Sequence[_Wish]) -> list[Text | NoReply | CannotAnswer]:
        """Generates the texts behind contexts of one shape."""
        first = batch[0]
        keeps = self._keeps and first.ask.keeps
        with self._how.timings.of("generate"):
            pictures, tokens = [wish.pictures for wish in batch], [wish.tokens for wish in batch]
            return list(self._model.generate(pictures, tokens, first.key.max_new_tokens, keeps))

    def _keep(self, answered: Answered) -> None:
        if answered.key not in self._done:
            with self._how.timings.of("write"):
                self._on_answer(answered)


def _played_back(ask: Ask, model: Model) -> Answered:
    """Answers a request from what was recorded, without a look at its pictures."""
    key, why = ask.key, _why_beyond(ask, model.info.abilities)
    if why:
        return Answered(key, ask.content, CannotAnswer(why))
    assert isinstance(key, WriteKey)
    assert key.place is not None
    return Answered(key, ask.content, _stopped(model.recorded(key.place), key.stop))


def _why_beyond(ask: Ask, abilities: Abilities) -> str:
    """Tells why a model with these abilities cannot take a context, however short it is; "" where it can."""
    n_images = len(set(ask.places))
    if isinstance(ask.key, ScoreKey) and not abilities.scores:
        return "an answer to be scored, and the model only writes"
    if isinstance(ask.key, WriteKey) and not abilities.writes:
        return "a text to be written, and the model only scores"
    if isinstance(ask.key, MatchKey):
        if not abilities.matches:
            return "two pictures to be compared, and the model compares none"
        return "" if len(ask.places) == 2 else f"two pictures to be compared, and {len(ask.places)} are shown"
    if abilities.max_images == 1 and not n_images and not abilities.blind:
        return "no picture, and the model takes one"
    return abilities.why_beyond(n_images, ask.wording.n_turns)


def _joint_digest(pictures: Sequence[Features]) -> bytes:
    return b"".join(features.digest for features in pictures)


def _given(pictures: Sequence[Features], tokens: Tokens) -> str:
    """Gives the digest of all that a score depends on: equal requests have equal ones."""
    return sha256(_joint_digest(pictures) + repr(tokens.identity).encode()).hexdigest()[:32]


def _stopped(written: Entry, stop: Sequence[str]) -> Entry | Text:
    """Cuts a written text off before the first of the texts that end it."""
    if not isinstance(written, Text):
        return written
    ends = [at for text in stop if (at := written.text.find(text)) >= 0]
    return replace(written, text=written.text[: min(ends)]) if ends else written


def _in_rows(texts: Iterable[_Text]) -> Iterator[list[_Text]]:
    """Divides the answers of one context into rows of a bounded length, short answers first, so that rows are alike."""
    row: list[_Text] = []
    n_tokens = 0
    for text in sorted(texts, key=lambda t: t.tokens.n_answer):
        n_tokens += text.tokens.n_answer
        if row and n_tokens > MAX_BRANCH_TOKENS:
            yield row
            row, n_tokens = [], text.tokens.n_answer
        row.append(text)
    yield row


def _by(items: Iterable[Entry], shape: Callable[[Entry], Hashable]) -> dict[Hashable, list[Entry]]:
    """Gathers the items by shape; shapes and items keep their order of appearance."""
    gathered: dict[Hashable, list[Entry]] = {}
    for item in items:
        gathered.setdefault(shape(item), []).append(item)
    return gathered
