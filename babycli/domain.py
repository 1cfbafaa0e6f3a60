"""The types of the domain: pictures, contexts, requests, answers, items, metrics. Plain values, little behaviour.

Owns the types that travel between modules. Never imports another module of babycli, never does I/O.

    label file -> items -> play: requests and answers -> outcomes -> numbers -> table

A task plays an item: it sends requests, gets answers, and then sends more requests or gives the item's outcome.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Row = Mapping[str, Any]  # a row of a label file: column -> text in CSV, key -> value in JSON
Role = Literal["user", "model"]

IMAGE_PLACE = "<image>"  # marks in a prompt where a picture goes


@dataclass(frozen=True, slots=True, order=True)
class ImageRef:
    """A picture as a label file names it. Its task says which folder of a dataset holds it."""

    source: str  # "saycam"
    name: str  # "S_20140420_1803_01_082_00.jpg"


PICTURE = ImageRef("", "a picture")  # stands for any picture, where only the words of a context count
NO_PICTURE = ImageRef("", "no picture")  # stands in the place of a picture that is not shown

Part = str | ImageRef


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of one side: words and pictures in their order.

    If a turn begins with a picture, the model's template decides how picture and words are joined. If it begins with
    words, be it only "", its parts are joined as they are.
    """

    role: Role
    parts: tuple[Part, ...]


# A context in plain values, as it is in JSON: roles with their words and pictures.
Content = tuple[tuple[str, tuple[str | Mapping[str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class Context:
    """All that a model reads before its answer."""

    turns: tuple[Turn, ...]

    @property
    def places(self) -> tuple[ImageRef, ...]:
        """The pictures in the order in which they are read; one that is shown twice is there twice. No NO_PICTURE."""
        parts = (part for turn in self.turns for part in turn.parts)
        return tuple(part for part in parts if isinstance(part, ImageRef) and part != NO_PICTURE)

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """The pictures that are shown, each once, in the order in which they are first read."""
        return tuple(dict.fromkeys(self.places))

    @property
    def wording(self) -> Context:
        """The context with PICTURE for each picture: equal for all contexts that differ in their pictures alone."""
        return self.showing(lambda image: PICTURE)

    @property
    def n_turns(self) -> int:
        """The number of turns of the user."""
        return sum(turn.role == "user" for turn in self.turns)

    @property
    def parent(self) -> Context | None:
        """The context before the last reply of the model; None if it has not replied yet."""
        return Context(self.turns[:-2]) if len(self.turns) > 2 else None

    def showing(self, other: Callable[[ImageRef], ImageRef]) -> Context:
        """Gives the context with ``other(picture)`` in the place of each picture; NO_PICTURE stays."""

        def shown(part: Part) -> Part:
            return other(part) if isinstance(part, ImageRef) and part != NO_PICTURE else part

        return Context(tuple(Turn(turn.role, tuple(shown(part) for part in turn.parts)) for turn in self.turns))

    def without_images(self) -> Context:
        """Gives the context with NO_PICTURE in the place of each picture."""
        return self.showing(lambda image: NO_PICTURE)

    def followed_by(self, reply: str, *parts: Part) -> Context:
        """Gives the conversation a turn later: with the model's reply, and what the user says to it."""
        return Context((*self.turns, Turn("model", (reply,)), Turn("user", parts)))

    def content(self, sha256: Mapping[ImageRef, str]) -> Content:
        """Gives the context as logs have it, with the SHA-256 of each picture's bytes.

        ``(("user", ({"image": "9f86..."}, "words")),)``
        """
        return tuple(
            (
                turn.role,
                tuple({"image": _digest_of(p, sha256)} if isinstance(p, ImageRef) else p for p in turn.parts),
            )
            for turn in self.turns
        )


def digest_of(content: Content) -> str:
    """Gives the SHA-256 over roles, words and pictures: equal digests, equal contexts."""
    whole = hashlib.sha256()
    for role, parts in content:
        whole.update(b"\0turn\0" + role.encode())
        for part in parts:
            kind, text = (b"words", part) if isinstance(part, str) else (b"image", part["image"])
            encoded = text.encode("utf-8", "surrogatepass")
            whole.update(b"\0%s %d\0" % (kind, len(encoded)) + encoded)
    return whole.hexdigest()


def _digest_of(image: ImageRef, sha256: Mapping[ImageRef, str]) -> str:
    return NO_PICTURE.name if image == NO_PICTURE else sha256[image]


def as_prompt(parts: Sequence[object]) -> str:
    """Gives the parts of a turn in the form of --prompt: words, and ``<image>`` for what are no words, a picture.

    Pictures before all words are left out.
    """
    n_leading = next((i for i, part in enumerate(parts) if isinstance(part, str)), len(parts))
    are_all_in_front = all(isinstance(part, str) for part in parts[n_leading:])
    shown = parts[n_leading:] if are_all_in_front else parts
    return "".join(part if isinstance(part, str) else IMAGE_PLACE for part in shown)


def ask(prompt: str, *images: ImageRef) -> Context:
    """Makes a context of one turn of the user: the pictures go where the prompt says ``<image>``, else in front of it.

        ask("What is it?", a)               picture a, "What is it?"
        ask("Is <image> like <image>?", a, b)   "Is ", picture a, " like ", picture b, "?"

    A single picture goes into all places. Raises ValueError for any other number of places than pictures.
    """
    pieces = prompt.split(IMAGE_PLACE)
    n_places = len(pieces) - 1
    if not n_places:
        return Context((Turn("user", (*images, prompt)),))
    shown = images * n_places if len(images) == 1 else images
    if len(shown) != n_places:
        raise ValueError(f"the prompt {prompt!r} has {n_places} places for pictures, and {len(images)} are to be shown")
    parts: list[Part] = [pieces[0]]
    for image, piece in zip(shown, pieces[1:], strict=True):
        parts += [image, piece]
    return Context((Turn("user", tuple(parts)),))


@dataclass(frozen=True, slots=True)
class Score:
    """A request to score ``answer``: how well it follows the context, or how near it is to the picture."""

    context: Context
    answer: str


@dataclass(frozen=True, slots=True)
class Match:
    """A request to tell how near two pictures are. The context shows them, and has no words."""

    context: Context


@dataclass(frozen=True, slots=True)
class RowPlace:
    """The place of a request in a run: its row, and which of the requests about this row it is."""

    task: str
    row_index: int  # in the label file, from 0
    n: int  # from 0, over all turns


@dataclass(frozen=True, slots=True)
class Write:
    """A request for a greedy continuation of at most ``max_new_tokens``, cut off before the first text of ``stop``."""

    context: Context
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    place: RowPlace | None = None  # set where answers belong to rows: of two equal requests, each has its own


Request = Score | Match | Write


@dataclass(frozen=True, slots=True)
class Loglikelihood:
    """The log-probability of an answer, token by token. All are natural logarithms (nats), so at most 0."""

    token_logprobs: tuple[float, ...]
    is_greedy: bool  # every answer token is the model's own first choice

    @property
    def n_tokens(self) -> int:
        return len(self.token_logprobs)

    @property
    def logprob_sum(self) -> float:
        return sum(self.token_logprobs)  # in float64: n times the same float32 is exact, so such answers tie

    @property
    def mean_loss(self) -> float:
        """The mean negative log-likelihood per token; lower is better; NaN for an answer without tokens."""
        return -self.logprob_sum / self.n_tokens if self.n_tokens else math.nan

    @property
    def is_finite(self) -> bool:
        return bool(self.token_logprobs) and all(math.isfinite(x) for x in self.token_logprobs)


@dataclass(frozen=True, slots=True)
class Similarity:
    """The nearness of a picture to a text, or to another; higher is nearer. A cosine, or the model's own measure."""

    value: float

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.value)


# The replies of a recorded conversation that went on for longer than the item, behind the last turn; None: no reply.
Extra = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a model wrote."""

    text: str
    token_ids: tuple[int, ...]
    is_finite: bool  # no logit on the way was NaN
    extra: Extra = ()


@dataclass(frozen=True, slots=True)
class NoReply:
    """The answer of a recorded conversation to a request for a text where it has none."""

    is_beyond: bool  # it ended before; else it has nothing in this place
    extra: Extra = ()

    @property
    def is_finite(self) -> bool:
        return True  # it holds no number at all


@dataclass(frozen=True, slots=True)
class CannotAnswer:
    """The answer to a request that the model cannot take (too long, too many pictures). A miss, counted apart."""

    why: str

    @property
    def is_finite(self) -> bool:
        return True  # it holds no number at all


Answer = Loglikelihood | Similarity | Text | NoReply | CannotAnswer


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a task, which counts as one: the label rows that are decided together."""

    item_id: str
    row_indices: tuple[int, ...]  # into the label file, in its order
    rows: tuple[Row, ...]
    images: tuple[ImageRef, ...]  # all that it may show, in the order of its rows
    groups: Mapping[str, str] = field(default_factory=dict)  # its group, by kind of group; "" where it is not known


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one item. ``values`` has the item's value for each metric of the task; in [0, 1] for a share."""

    item_id: str
    values: Mapping[str, float]
    is_tie: bool = False
    is_finite: bool = True
    is_answered: bool = True  # False: the model could not take one of its requests
    n_no_answer: int = 0  # replies in which there is no answer: misses, counted apart


MetricKind = Literal["share", "score"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of a task: the mean over its items, or over the means of their groups.

    A ``share`` is the part of the items that is right, shown as percent; a ``score`` is any other mean, shown times
    ``scale``. ``chance`` is the value that guessing gives; None where nothing can be guessed.
    """

    name: str  # the key in logs: "group_score"
    kind: MetricKind
    title: str  # in full: "group"
    short: str  # for the head of a column
    chance: float | None = None
    is_main: bool = False  # shown where there is room for one metric only
    scale: float = 1.0  # of a score: METEOR is shown times 100
    bounds: tuple[float, float] | None = None  # of a score: the least and most that an item can get; None: any
    higher_is_better: bool = True
    log_tolerance: float = 1e-6  # how far a log's number may be from the number computed from its samples
    twin_of: str = ""  # the metric that it equals as a rule: tables show it only where the two differ
    bias_beats_chance: bool = False  # preferring words or kinds of pictures may beat it, and nothing tells by how much
    mean_over: str = ""  # the kind of group whose groups' means it is the mean of; "": the mean over all items

    @property
    def is_share(self) -> bool:
        return self.kind == "share"

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the most that an item can get."""
        return (0.0, 1.0) if self.is_share else self.bounds or (-math.inf, math.inf)

    @property
    def shown_scale(self) -> float:
        """The factor by which tables multiply the number."""
        return 100.0 if self.is_share else self.scale


@dataclass(frozen=True, slots=True)
class Estimate:
    """The value of a metric with its uncertainty."""

    value: float
    stderr: float | None  # sample standard error of the mean over items; None for a single item
    ci95: tuple[float, float] | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class AppliedControl:
    """The control of a run: its numbers do not tell how well a model sees; other runs are compared with them."""

    kind: str  # a ControlKind, or that of a control model: "random", "length"
    how: str  # "no image tokens"
    seed: int  # of what is drawn at random


@dataclass(frozen=True, slots=True)
class TaskResult:
    task: str
    metrics: Mapping[str, Estimate]
    n_units: int
    n_rows: int
    n_rows_in_file: int
    ties: int
    nonfinite: int
    unanswered: int
    no_answer: int = 0  # replies in which there is no answer
    skipped: tuple[str, ...] = ()  # items left out because an image is missing


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its answer, from the play of an item."""

    request: Request
    answer: Answer
