"""Requests as BabyVLM's own fork of lmms-eval makes them: each about a document, which is a row of a label file.

Owns the numbers of documents, and which document a request is about. A request names the task, the split "train" and
the number of the row; the document has all that the row has. Never calls a wrapper.

    task_dict["vtwt"]["train"][12]       ->  {"image": ..., "positive_phrase": ..., "negative_phrase": ...}
    task_dict["baby_memory"]["train"][3] ->  {"id": ..., "conversations": [...], "image": [...], "labels": [...]}

A conversation is asked about in one call: the wrapper reads all turns from the document, and goes on with its own
replies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL.Image import Image

from babycli.domain import Context, ImageRef, Match, Request, Row, Score
from babycli.models.base import Pictures, RowRequest
from babycli.models.parts.prompts import prompt_text

SPLIT = "train"  # as the fork names it: a label file alone has no other split
TURNS, SPEAKER, WORDS = "conversations", "from", "value"  # keys of a row of DevCV
USER = "human"

OpenImage = Callable[[ImageRef], Image]


@dataclass(frozen=True, slots=True)
class Document:
    """A row of a label file, as a wrapper finds it: ``task_dict[task]["train"][number]``."""

    task: str
    number: int
    row: Row

    @property
    def turns(self) -> tuple[str, ...]:
        """The words of the user's turns, if the row holds a conversation."""
        turns = self.row.get(TURNS)
        if not isinstance(turns, list) or not all(isinstance(turn, dict) and WORDS in turn for turn in turns):
            return ()
        return tuple(turn[WORDS] for turn in turns if turn.get(SPEAKER) == USER)


@dataclass(frozen=True, slots=True)
class Question:
    """One request: pictures, the prompt, and either the answer to score or how long a text may get.

    In a conversation it is about one turn, with the pictures and words of those before.
    """

    document: Document
    pictures: tuple[Image, ...]
    wording: Context
    text: str = ""
    max_new_tokens: int = 0
    index: int = 0  # which of the requests about its document, from 0

    @property
    def prompt(self) -> str:
        return prompt_text(self.wording)

    @property
    def is_in_conversation(self) -> bool:
        return len(self.document.turns) > 1 or self.wording.n_turns > 1


@dataclass(frozen=True, slots=True)
class Talk:
    """A whole conversation, to be had in one call, with all pictures of its document in their order there."""

    document: Document
    pictures: tuple[Image, ...]
    max_new_tokens: int  # of each reply
    index: int = 0

    @property
    def prompt(self) -> str:
        return self.document.turns[0]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a request: the document of the first row that sends it."""

    document: Document
    index: int
    images: tuple[ImageRef, ...]  # of the document, as they are shown


_Key = tuple[
    tuple[str, ...], Context, str | int
]  # pictures, words, and the answer to score or the most tokens to write


class Asker:
    """Makes the questions for a wrapper: each with the document of the row that it is about.

    A document has the pictures of one request, as a wrapper may keep what it has seen by a document's number: where a
    row shows several pictures one by one, those after the first are documents of their own, with numbers behind those
    of all rows. All turns of a conversation are about one document.
    """

    def __init__(self, open_image: OpenImage | None = None) -> None:
        self._open_image = open_image
        self._known: dict[_Key, _Known] = {}
        self._documents: dict[tuple[str, int, tuple[str, ...]], Document] = {}  # by task, row and pictures
        self._n_rows: dict[str, int] = {}  # by task: the numbers that are taken
        self._before: dict[str, int] = {}  # by task: those that another set of data has taken

    def open_with(self, open_image: OpenImage) -> None:
        """Begins a run on another set of data: its rows get numbers behind those of the set before."""
        self._open_image, self._before = open_image, dict(self._n_rows)
        self._known.clear()
        self._documents.clear()

    def learn(self, row_requests: Sequence[RowRequest]) -> list[Document]:
        """Learns the rows of requests, and gives their documents."""
        for row_request in row_requests:
            n_rows = self._before.get(row_request.task, 0) + row_request.row_index + 1
            self._n_rows[row_request.task] = max(self._n_rows.get(row_request.task, 0), n_rows)
        shown = {(task, row_index) for task, row_index, _ in self._documents}
        for row_request in row_requests:
            if isinstance(row_request.request, Match):  # the engine answers for the wrapper that it cannot
                continue
            task, row_index, pictures = row_request.task, row_request.row_index, row_request.pictures
            number = self._before.get(task, 0) + row_index
            document = Document(task, number, row_request.row)
            of_document = (task, row_index, () if len(document.turns) > 1 else pictures)
            if of_document not in self._documents:
                if (task, row_index) in shown:
                    document = Document(task, self._n_rows[task], row_request.row)
                    self._n_rows[task] += 1
                shown.add((task, row_index))
                self._documents[of_document] = document
            document = self._documents[of_document]
            key = (pictures, row_request.request.context.wording, wanted_of(row_request.request))
            self._known.setdefault(key, _Known(document, row_request.n_in_row, _images_of(row_request)))
        return list(self._documents.values())

    def score(self, pictures: Pictures, wording: Context, answer: str) -> Question:
        known = self._of(pictures, wording, answer)
        return Question(known.document, _seen(pictures), wording, answer, index=known.index)

    def write(self, pictures: Pictures, wording: Context, max_new_tokens: int) -> Question:
        known = self._of(pictures, wording, max_new_tokens)
        seen = _seen(pictures)
        return Question(known.document, seen, wording, max_new_tokens=max_new_tokens, index=known.index)

    def talk(self, pictures: Pictures, wording: Context, max_new_tokens: int) -> Talk:
        """Gives the conversation to which a request belongs, with the pictures of all its turns."""
        assert self._open_image is not None
        known = self._of(pictures, wording, max_new_tokens)
        return Talk(known.document, tuple(map(self._open_image, known.images)), max_new_tokens)

    def _of(self, pictures: Pictures, wording: Context, wanted: str | int) -> _Known:
        return self._known[tuple(features.sha256 for features in pictures), wording, wanted]


def wanted_of(request: Request) -> str | int:
    """Gives what a request wants: the answer to score, or the most tokens to write."""
    assert not isinstance(request, Match)
    return request.answer if isinstance(request, Score) else request.max_new_tokens


def _seen(pictures: Pictures) -> tuple[Image, ...]:
    return tuple(features.data for features in pictures)


def _images_of(row_request: RowRequest) -> tuple[ImageRef, ...]:
    """Gives the pictures that a row names in "image", as they are shown, in its order; () of a row that names none."""
    names = row_request.row.get("image")
    if not isinstance(names, list):
        return ()
    shown: Mapping[str, ImageRef] = {image.name: other for image, other in row_request.shown.items()}
    return tuple(shown[name] for name in names if name in shown)
