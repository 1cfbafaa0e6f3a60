"""A model of babycli asked outside of a run: pictures and words in, texts and losses out.

Owns the batches, and what is kept of pictures and contexts between the turns of a conversation. A submission's
model.py asks here. Never catches an error: a picture that cannot be read, or words that do not fit their pictures,
raise. What the model itself cannot take is a CannotAnswer, as in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

from PIL.Image import Image

from babycli.domain import IMAGE_PLACE, PICTURE, CannotAnswer, Context, Loglikelihood, Text, ask
from babycli.errors import ModelError
from babycli.models import check_spec, load_model, pick_device, resolve
from babycli.models.base import Features, Model, ModelSpec, Pictures, Tokens
from babycli.wording import Dtype, Scoring

Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """All that a model reads before it answers: words, and the picture in each place of them."""

    context: Context
    pictures: tuple[Image, ...]

    @classmethod
    def begun(cls, words: str, pictures: Sequence[Image]) -> Self:
        """Begins with words of the user; the pictures go where these say ``<image>``, else in front of them.

        Raises ValueError for more or fewer places than pictures.
        """
        return cls(_said(words, pictures), tuple(pictures))

    def after(self, reply: str, words: str, pictures: Sequence[Image]) -> Self:
        """Gives the conversation a turn later: with the model's reply, and what the user says to it."""
        (turn,) = _said(words, pictures).turns
        return type(self)(self.context.followed_by(reply, *turn.parts), (*self.pictures, *pictures))


def _said(words: str, pictures: Sequence[Image]) -> Context:
    n_places = words.count(IMAGE_PLACE)
    if n_places not in (0, len(pictures)):
        raise ValueError(f"{words!r} has {n_places} places for pictures, and there are {len(pictures)}")
    return ask(words, *[PICTURE] * len(pictures))


class Speaker:
    """A loaded model. Dialogues are taken a batch at a time: not all of their pictures are in memory at once."""

    def __init__(self, model: Model, batch_size: int = 1) -> None:
        self.model, self._batch_size = model, max(1, batch_size)
        self._encoded: dict[int, tuple[Image, Features]] = {}  # by the picture's id, which holds while it lives

    @classmethod
    def load(
        cls,
        name: str,
        args: Mapping[str, str],
        device: str | None = None,
        dtype: str = Dtype.FLOAT32,
        batch_size: int = 1,
    ) -> Self:
        """Loads a model as --model names it. Raises UsageError, ModelError."""
        resolved = resolve(name, args)
        spec = ModelSpec(resolved.source, resolved.name, args, pick_device(device), dtype, Scoring.FAIR)
        check_spec(resolved, spec)
        model = load_model(resolved, spec)
        abilities = model.info.abilities
        if "loglikelihood" not in abilities.scores or not abilities.writes:
            raise ModelError(
                f"{name} offers {', '.join(abilities.words)}; expected is a model that writes and gives losses",
                "choose another model",
            )
        return cls(model, batch_size)

    def losses(self, asked: Iterable[tuple[Dialogue, str]]) -> Iterator[Loglikelihood | CannotAnswer]:
        """Scores the answer behind each dialogue."""
        for batch in _batches(asked, self._batch_size):
            tokens = [self.model.tokenize(dialogue.context, answer) for dialogue, answer in batch]
            yield from self._answers([dialogue for dialogue, _ in batch], tokens, self.model.loglikelihood)
            self.forget()

    def texts(self, asked: Iterable[tuple[Dialogue, int]]) -> Iterator[str | CannotAnswer]:
        """Writes a text of at most so many tokens behind each dialogue."""
        for batch in _batches(asked, self._batch_size):
            yield from self._written(batch, keeps=False)
            self.forget()

    def reply(self, dialogue: Dialogue, max_new_tokens: int) -> str | CannotAnswer:
        """Writes the reply in a conversation that goes on: until ``forget``, what has been read is not read again."""
        (reply,) = self._written([(dialogue, max_new_tokens)], keeps=True)
        return reply

    def forget(self) -> None:
        """Frees what is kept of pictures and contexts."""
        self._encoded.clear()
        self.model.forget()

    def _written(self, batch: Sequence[tuple[Dialogue, int]], keeps: bool) -> list[str | CannotAnswer]:
        lengths = dict.fromkeys(most for _, most in batch)
        written: dict[int, str | CannotAnswer] = {}
        for most in lengths:
            places = [place for place, (_, length) in enumerate(batch) if length == most]
            dialogues = [batch[place][0] for place in places]

            def generate(pictures: Sequence[Pictures], tokens: Sequence[Tokens], most: int = most) -> Sequence[object]:
                return self.model.generate(pictures, tokens, most, keeps)

            tokens = [self.model.read(dialogue.context, most) for dialogue in dialogues]
            answers = self._answers(dialogues, tokens, generate)
            written |= zip(places, map(_text, answers), strict=True)
        return [written[place] for place in range(len(batch))]

    def _answers(
        self,
        dialogues: Sequence[Dialogue],
        tokens: Sequence[Tokens | CannotAnswer],
        compute: Callable[[Sequence[Pictures], Sequence[Tokens]], Sequence[Given]],
    ) -> list[Given | CannotAnswer]:
        """Computes answers in batches of one shape; gives them in the order of the dialogues."""
        answers: dict[int, Given | CannotAnswer] = {}
        shapes: dict[Hashable, list[tuple[int, Tokens]]] = {}
        for place, given in enumerate(tokens):
            if isinstance(given, CannotAnswer):
                answers[place] = given
            else:
                shapes.setdefault(given.batch_key, []).append((place, given))
        for alike in shapes.values():
            pictures = [self._features(dialogues[place]) for place, _ in alike]
            computed = compute(pictures, [given for _, given in alike])
            answers |= {place: answer for (place, _), answer in zip(alike, computed, strict=True)}
        return [answers[place] for place in range(len(dialogues))]

    def _features(self, dialogue: Dialogue) -> Pictures:
        """Gives the features of a dialogue's pictures; each picture is encoded once until ``forget``."""
        new = [picture for picture in dialogue.pictures if id(picture) not in self._encoded]
        if new:
            pixels = [self.model.preprocess(picture.convert("RGB")) for picture in new]
            self._encoded |= {id(p): (p, f) for p, f in zip(new, self.model.encode(pixels), strict=True)}
        return [self._encoded[id(picture)][1] for picture in dialogue.pictures]


def _text(answer: object) -> str | CannotAnswer:
    assert isinstance(answer, Text | CannotAnswer)
    return answer if isinstance(answer, CannotAnswer) else answer.text


def _batches(asked: Iterable[tuple[Dialogue, Given]], size: int) -> Iterator[list[tuple[Dialogue, Given]]]:
    left = iter(asked)
    while batch := list(islice(left, size)):
        yield batch
