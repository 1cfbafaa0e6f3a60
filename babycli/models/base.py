"""The base class of models, and the parts that a family file must have.

Owns the base class and the abilities of models. Never imports torch: the values that pass between a model's methods
(pixels, features, tokens) are the family's own and opaque to the engine.

A user's own model is simpler than this: see docs/model_guide.md and plugin.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from PIL.Image import Image

from babycli.bibliography import Paper
from babycli.domain import (
    Answer,
    CannotAnswer,
    Context,
    ImageRef,
    Loglikelihood,
    NoReply,
    Request,
    Row,
    RowPlace,
    Similarity,
    Text,
)
from babycli.models.usage import Usage
from babycli.wording import History, Scoring

PLACES = ("pretrained", "base", "device_map")  # arguments that say where a model comes from or lies
BASE_HELP = "folder or hub id of the model that a LoRA adapter is of, instead of the one that it names"
DEVICE_MAP_HELP = "auto: spread a model that is too large for one GPU over all of them"

Scores = Literal["loglikelihood", "similarity"]


@dataclass(frozen=True, slots=True)
class Abilities:
    """The abilities of a model, known before its weights are read."""

    scores: tuple[Scores, ...] = ()  # how it scores an answer; if it has two ways, the first is used
    writes: bool = False
    max_images: int | None = 1  # in one context; None: as many as it has positions for
    max_turns: int | None = 1  # of the user; None: as many as it has positions for
    shares_prefixes: bool = False  # it reads a context once for all answers behind it: loglikelihood_of_branches
    keeps_prefixes: bool = False  # it need not read a conversation again for the next turn, if told to keep it
    shares_pixels: bool = False  # its pixels may be used by another model with an equal pixels_key
    shares_vision: bool = False  # its tower's output may be used by another model: see() and encode_seen()
    blind: str = ""  # how it does without pictures, in a few words for the log: "no image tokens"; "": it cannot
    matches: bool = False  # it tells how near two pictures are: match()
    knows_rows: bool = False  # it is told of which rows its requests are: meet()
    plays_back: bool = False  # it was asked before; its answers belong to rows: begin() and recorded()
    answers_alone: bool = False  # it is asked a request at a time, many at once: answer_each()

    @property
    def words(self) -> tuple[str, ...]:
        """The abilities in words for people: "loglikelihood", "similarity", "match", "generate"."""
        return (*self.scores, *(["match"] if self.matches else []), *(["generate"] if self.writes else []))

    def why_beyond(self, n_images: int, n_turns: int) -> str:
        """Tells why this model cannot take so many pictures at once, or so many turns; "" where it can."""
        if self.max_images is not None and n_images > self.max_images:
            return f"{n_images} pictures at once, and the model takes {self.max_images}"
        if self.max_turns is not None and n_turns > self.max_turns:
            return f"{n_turns} turns, and the model takes {self.max_turns}"
        return ""


@dataclass(frozen=True, slots=True)
class RowRequest:
    """The row that a request is of; of equal requests, the first row that sends it."""

    task: str
    row_index: int  # its place in the label file, from 0
    row: Row  # all of its columns; ids as the log has them
    n_in_row: int  # of the requests about this row, which one, from 0
    request: Request  # as the model gets it
    pictures: tuple[str, ...]  # the SHA-256 of the picture in each place of its context
    # The pictures of its item, asked about already or not, each with the one that the model is shown in its place.
    shown: Mapping[ImageRef, ImageRef] = field(default_factory=dict)


TrialKind = Literal["score", "write", "converse"]  # a text in a conversation of several turns


@dataclass(frozen=True, slots=True)
class AskedTask:
    """A task of a run, for a model that plays back."""

    name: str
    n_turns: tuple[int, ...]  # of the user, in each row of the label file
    row_indices: tuple[int, ...]  # of the rows that are asked


@dataclass(frozen=True, slots=True)
class Trial:
    """The first requests of a run of one kind, for a family that tries its models before the run."""

    task: str
    answer: TrialKind
    row_requests: tuple[RowRequest, ...]
    open_image: Callable[[ImageRef], Image]
    history: History = History.OWN  # what a conversation goes on with


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The model that the user asked for, and how it is to run."""

    source: str  # a folder, a hub id, or what a family without checkpoints understands ("control:length")
    name: str  # as the user wrote it; names the log folder
    args: Mapping[str, str]
    device: str  # "cpu", "cuda", "cuda:1"
    dtype: str  # "float32", "float16", "bfloat16"
    scoring: Scoring
    given: frozenset[str] = frozenset()  # of device and dtype, those that the user named
    adapter: Path | None = None  # the folder of an adapter that is merged into the checkpoint
    # Gives the trials, one for each kind of answer that the chosen tasks ask for, with the prompts of a family, of a
    # model with the abilities that these words name.
    trials: Callable[[str, Collection[str]], Sequence[Trial]] | None = None
    send_pictures_to: str = ""  # the host, other than this machine, that the user lets pictures go to


def size_of(value: Any) -> int | None:
    """Gives the size of pixels or features in bytes; None for values that do not tell it."""
    if isinstance(value, Image):
        return value.width * value.height * len(value.getbands())
    size = getattr(value, "nbytes", None)
    return size if isinstance(size, int) else None


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The files that a model was read from, by which a later command tells without loading it that it is the same."""

    places: tuple[str, ...]  # the checkpoint, and what arguments name
    listing: str  # SHA-256 over the names of all files there
    hashed: tuple[str, ...]  # those that the fingerprint is of


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about a loaded model, for run.json."""

    family: str
    source: str
    fingerprint: str  # SHA-256 over config, tokenizer and weight files
    n_parameters: int | None  # None: not known, as of a user's own model
    dtype: str
    device: str
    template: str  # how a prompt is rendered: a conversation template, "chat" for the checkpoint's own, "none"
    abilities: Abilities
    notes: tuple[str, ...] = ()  # for a reader of the numbers
    prompts: Mapping[str, str] = field(default_factory=dict)  # by task, of a model that brings its own
    prompts_like: str = ""  # the family whose prompts it takes, if not its own
    model_type: str = ""  # as a config.json of transformers has it; "" where there is none
    commit: str = ""  # of the hub's repository, for which its name or branch stood; "" for a local model
    files: FilesRead | None = None  # None where its fingerprint is not of files alone


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a network, as `babycli models show` prints it."""

    name: str  # "vision tower"
    what: str  # "ResNeXt-50 32x4d, 49 positions of 2048"
    n_parameters: int | None  # None: not known


@dataclass(frozen=True, slots=True)
class Origin:
    """The place from which a part of a model is read, as `babycli models show` prints it."""

    what: str  # "weights", "vision tower", "tokenizer", "template"
    where: str  # in words; "" where the files say it all
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """The description of a checkpoint, made without its weights."""

    family: str
    parts: tuple[Part, ...]
    stored_dtype: str | None  # of the weights in their files; of files that are not here, what config.json says
    template: str
    abilities: Abilities
    render: Callable[[Context], str]  # a context as the model reads it
    prompts: Mapping[str, str] = field(default_factory=dict)
    prompts_like: str = ""
    notes: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    left_out: tuple[str, ...] = ()  # files of the folder that look like weights or tokenizers, and are not read


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised request. Requests with equal ``batch_key`` may share a batch.

    ids       [ 1, -200, 1154, 13,  301 ]
    answer                          ^^^   the last n_answer ids are scored

    Requests with equal ``identity`` and equal pictures have equal scores. The identity holds where the answer begins.
    """

    ids: tuple[int, ...]
    n_answer: int
    batch_key: Hashable
    # The positions that images take beyond their ids; set where prefixes are shared.
    n_image_positions: int = field(default=0, kw_only=True)

    @property
    def n_positions(self) -> int:
        return len(self.ids) + self.n_image_positions

    @property
    def prefix(self) -> tuple[int, ...]:
        """The ids before the answer."""
        return self.ids[: len(self.ids) - self.n_answer]

    @property
    def identity(self) -> tuple[tuple[int, ...], int]:
        return self.ids, self.n_answer


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a picture. Equal digests mean equal data: the model cannot tell the pictures apart."""

    data: Any
    digest: bytes
    sha256: str = ""  # of the bytes of the picture; set by the engine


Pictures = Sequence[Features]  # of one request: the features of the picture in each place of its context, in order


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a model that ``answers_alone``."""

    pictures: Pictures
    tokens: Tokens
    max_new_tokens: int | None  # of the text to be written; None: the answer is to be scored


class Model(ABC):
    """A loaded model. Results are in the order of the arguments; ``info.abilities`` says which methods may be called.

    Contexts hold no real pictures (``Context.wording``): PICTURE stands where a picture goes, and NO_PICTURE where one
    is left out. The pictures are passed separately, as features, one for each PICTURE.
    """

    info: ModelInfo

    @abstractmethod
    def render(self, context: Context) -> str:
        """Gives the whole text of a context, template included, without an answer."""

    @abstractmethod
    def preprocess(self, image: Image) -> Any:
        """Makes the pixels that the vision tower reads from an RGB picture. Safe to call from any thread."""

    @abstractmethod
    def encode(self, pixels: Sequence[Any]) -> list[Features]:
        """Computes the features of a batch of preprocessed pictures."""

    @property
    def pixels_key(self) -> Hashable:
        """All that ``preprocess`` depends on besides the picture: a model with an equal key can use its pixels."""
        return None

    @property
    def vision_key(self) -> Hashable:
        """All that ``see`` depends on besides the picture: the tower's weights and how pictures are prepared."""
        return None

    def see(self, pixels: Sequence[Any]) -> list[Any]:
        """Computes the tower's outputs for preprocessed pictures, in the machine's memory; each has ``nbytes``."""
        raise AssertionError(f"{self.info.family} has no tower of its own")

    def encode_seen(self, seen: Sequence[Any]) -> list[Features]:
        """Computes the features of pictures from the tower's outputs.

        ``encode(pixels)`` equals ``encode_seen(see(pixels))``.
        """
        raise AssertionError(f"{self.info.family} has no tower of its own")

    def tokenize(self, context: Context, answer: str) -> Tokens | CannotAnswer:
        """Makes the ids of a context followed by an answer; CannotAnswer for one that the model cannot take."""
        raise AssertionError(f"{self.info.family} scores nothing")

    def loglikelihood(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]
    ) -> Sequence[Loglikelihood | CannotAnswer]:
        """Scores a batch of equal ``batch_key``; CannotAnswer for a request that is too long with its pictures."""
        raise AssertionError(f"{self.info.family} is not generative")

    def loglikelihood_of_branches(
        self, pictures: Sequence[Pictures], branches: Sequence[Sequence[Tokens]], keeps: bool = False
    ) -> list[list[Loglikelihood]]:
        """Scores rows of answers: each row has one context, with several answers behind it.

        In a row all ids before the last ``n_answer`` are the same. Rows are alike: the i-th answers of all rows have
        equal ``batch_key``. Equals ``loglikelihood`` up to rounding (1e-5 in float32). ``keeps``: longer contexts that
        begin with these may come later, so the model should keep what it has read.
        """
        raise AssertionError(f"{self.info.family} shares no prefixes")

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        """Scores pairs of picture and text of equal ``batch_key``; a pair's score does not depend on its batch.

        The text is the prompt's ``{}`` filled with the answer (see parts/prompts.py: filled).
        """
        raise AssertionError(f"{self.info.family} is no dual encoder")

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        """Compares the two pictures of each pair; a pair's score does not depend on its batch or its order."""
        raise AssertionError(f"{self.info.family} compares no pictures")

    def read_texts(self, tokens: Sequence[Tokens]) -> None:  # noqa: B027  # most have nothing to do
        """Encodes texts for later, in batches that depend only on these texts and their order."""

    def read(self, context: Context, max_new_tokens: int) -> Tokens | CannotAnswer:
        """Makes the ids of a context that gets so many new tokens; CannotAnswer if the model cannot take it."""
        raise AssertionError(f"{self.info.family} writes nothing")

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> Sequence[Text | NoReply | CannotAnswer]:
        """Writes greedy continuations of contexts of equal ``batch_key``; ``keeps`` as for branches."""
        raise AssertionError(f"{self.info.family} writes nothing")

    def answer_each(self, questions: Iterable[Question]) -> Generator[tuple[int, Answer], None, None]:
        """Answers questions, and gives each answer as it comes with the number of its question, from 0.

        They are taken as there is room for them. Where one fails, those under way are still answered before it raises.
        Only of a model that ``answers_alone``.
        """
        raise AssertionError(f"{self.info.family} is asked in batches")

    @property
    def usage(self) -> Usage | None:
        """What it was asked for since it was loaded; None of a model that is run here."""
        return None

    def open_with(self, open_image: Callable[[ImageRef], Image]) -> None:  # noqa: B027
        """Learns that a run begins, and how its pictures are opened; only of a model that ``knows_rows``."""

    def meet(self, row_requests: Sequence[RowRequest]) -> None:  # noqa: B027
        """Learns of which rows the requests of the next round are; only of a model that ``knows_rows``."""

    def recorded_tasks(self, known: Collection[str]) -> frozenset[str] | None:
        """Gives the tasks that it has answers for; None if it does not know of which they are.

        Raises DataError for one that is not among all ``known`` tasks; only of a model that ``plays_back``.
        """
        raise AssertionError(f"{self.info.family} plays nothing back")

    def begin(self, asked: Sequence[AskedTask]) -> Sequence[str]:
        """Learns the tasks of a run; gives notes for the user. Raises DataError for answers that belong to no row."""
        raise AssertionError(f"{self.info.family} plays nothing back")

    def recorded(self, place: RowPlace) -> Text | NoReply:
        """Gives the answer to a request of a run that has begun; only of a model that ``plays_back``."""
        raise AssertionError(f"{self.info.family} plays nothing back")

    def room_for_conversations(self, n_images: int, n_turns: int) -> int | None:
        """Estimates how many conversations of so many pictures and turns it can keep; None where nothing is kept."""
        return None

    def release(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> None:  # noqa: B027
        """Frees what was kept of these contexts: nothing goes on from them."""

    def forget(self) -> None:  # noqa: B027
        """Frees all that was kept of contexts."""

    def spare_memory(self) -> bool:
        """Frees it because memory has run out, and keeps less from now on; tells whether there was any."""
        return False


class MemoryProbe(Protocol):
    """A device whose memory can be watched."""

    def begin(self) -> None:
        """Begins to measure the peak of memory in use."""

    def room(self) -> float:
        """Gives how many times the memory taken since ``begin`` would fit into the device."""

    def release(self) -> None:
        """Gives memory that is held for later back to the device, after an allocation has failed."""


class Loader(Protocol):
    def __call__(self, spec: ModelSpec, place: Path) -> Model:
        """Loads a model. Raises ModelError if it cannot be loaded, UsageError for a bad argument, DataError for data.

        ``place`` is the checkpoint folder, already fetched, or ``spec.source`` for a family without checkpoints.
        """


class Outliner(Protocol):
    def __call__(self, spec: ModelSpec, place: Path) -> Outline:
        """Makes the outline that `babycli models show` prints; reads no weights. Raises as a Loader."""


@dataclass(frozen=True, slots=True)
class Family:
    """A model family: one file in babycli/models/ with a module-level ``FAMILY``."""

    name: str
    summary: str  # one line, for `babycli models`
    abilities: Abilities  # of its models; if they differ, all that any of them has
    arguments: Mapping[str, str]  # keys of --model-args, each with one line of help
    recognises: Callable[[Path, Mapping[str, Any]], bool]  # is a checkpoint folder, with its config.json, one of it?
    load: Loader
    outline: Outliner
    claims: Callable[[str], bool] = lambda name: False  # does the name after --model alone tell the family?
    has_checkpoints: bool = True  # its source is a folder, a file of weights or a hub id, to be fetched
    takes_any_argument: bool = False  # it passes on arguments that it does not know
    without_effect: tuple[str, ...] = ()  # arguments on which no answer depends: they are no part of a run's identity
    computes_here: bool = True  # in some precision, on a device of this machine; a server and a recording do not
    has_own_precision: bool = False  # its models choose one themselves unless --dtype is given
    papers: tuple[Paper, ...] = ()  # of its models; of several, those that a model is of
    papers_of: Mapping[str, tuple[Paper, ...]] = field(default_factory=dict)  # of models of a model_type
    check: Callable[[ModelSpec], None] = lambda spec: None  # raises UsageError for what is wrong before data are read
    is_general: bool = False  # asked last, as it recognises checkpoints that other families read better
