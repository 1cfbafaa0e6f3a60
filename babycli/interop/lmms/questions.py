"""Requests as BabyVLM's own fork of lmms-eval makes them: each about a document, which is a row of a label file.

Owns the numbers of documents, and how a wrapper finds a document and its picture. A request names the task, the split
"train" and the number of the row; the document has all columns of that row. Never calls a wrapper.

    task_dict["vtwt"]["train"][12]  ->  {"image": ..., "positive_phrase": ..., "negative_phrase": ...}
    doc_to_visual(document)         ->  [its picture]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL.Image import Image

from babycli.domain import Match, Row, Score
from babycli.models.base import Features, RowRequest
from babycli.models.parts.prompts import prompt_text

SPLIT = "train"  # as the fork names it: a label file alone has no other split


@dataclass(frozen=True, slots=True)
class Document:
    """A row of a label file, as a wrapper finds it: ``task_dict[task]["train"][number]``."""

    task: str
    number: int
    row: Row


@dataclass(frozen=True, slots=True)
class Question:
    """One request: a picture, the prompt, and either the answer to score or how long a text may get."""

    document: Document
    picture: Image
    prompt: str
    text: str = ""
    max_new_tokens: int = 0
    index: int = 0  # which of the requests about its document, from 0


class Asker:
    """Makes the questions for a wrapper: each with the document of the row that it is about.

    A document has one picture, as a wrapper may keep what it has seen by a document's number: where a row shows several
    pictures one by one, those after the first are documents of their own, with numbers behind those of all rows.
    """

    def __init__(self) -> None:
        # By picture, prompt, and the answer to score or the most tokens to write.
        self._known: dict[tuple[str, str, str | int], tuple[Document, int]] = {}
        self._documents: dict[tuple[str, int, str], Document] = {}  # by task, row and picture
        self._n_rows: dict[str, int] = {}  # by task: the numbers that are taken

    def learn(self, row_requests: Sequence[RowRequest]) -> list[Document]:
        """Learns the rows of requests, and gives their documents."""
        for row_request in row_requests:
            self._n_rows[row_request.task] = max(self._n_rows.get(row_request.task, 0), row_request.row_index + 1)
        shown = {(task, row_index) for task, row_index, _ in self._documents}
        for row_request in row_requests:
            if len(row_request.pictures) != 1 or isinstance(
                row_request.request, Match
            ):  # the engine answers for the wrapper that it cannot
                continue
            (picture,), of_row = row_request.pictures, (row_request.task, row_request.row_index)
            if (*of_row, picture) not in self._documents:
                number = row_request.row_index
                if of_row in shown:
                    number = self._n_rows[row_request.task]
                    self._n_rows[row_request.task] += 1
                shown.add(of_row)
                self._documents[*of_row, picture] = Document(row_request.task, number, row_request.row)
            request = row_request.request
            wanted = request.answer if isinstance(request, Score) else request.max_new_tokens
            document = self._documents[*of_row, picture]
            key = (picture, prompt_text(request.context), wanted)
            self._known.setdefault(key, (document, row_request.n_in_row))
        return list(self._documents.values())

    def score(self, seen: Features, prompt: str, answer: str) -> Question:
        document, index = self._known[seen.sha256, prompt, answer]
        return Question(document, seen.data, prompt, answer, index=index)

    def write(self, seen: Features, prompt: str, max_new_tokens: int) -> Question:
        document, index = self._known[seen.sha256, prompt, max_new_tokens]
        return Question(document, seen.data, prompt, max_new_tokens=max_new_tokens, index=index)


# ---------------------------------------------------------------- in a wrapper's hands


class Doc(dict[str, Any]):
    """A document in a wrapper's hands, which it may change: it remembers which one it was."""

    def __init__(self, document: Document) -> None:
        super().__init__(document.row)
        self.document = document


class Rows(Mapping[int, Doc]):
    """The documents of a task by their numbers; each look gives a copy, as a data set of lmms-eval does."""

    def __init__(self) -> None:
        self._documents: dict[int, Document] = {}

    def add(self, document: Document) -> None:
        self._documents.setdefault(document.number, document)

    def __getitem__(self, number: int) -> Doc:
        return Doc(self._documents[number])

    def __iter__(self) -> Iterator[int]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)


class Shown:
    """The pictures of one call, which a wrapper gets for their documents."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._pictures = {(q.document.task, q.document.number): q.picture for q in questions}
        self._documents = [q.document for q in questions]
        self.was_looked_at = False

    def doc_to_visual(self, doc: Mapping[str, Any]) -> list[Image]:
        """Gives a copy of a document's only picture. Raises KeyError for a document that is not asked about now."""
        self.was_looked_at = True
        document = doc.document if isinstance(doc, Doc) else self._of_copy(doc)
        return [self._pictures[document.task, document.number].copy()]

    def _of_copy(self, doc: Mapping[str, Any]) -> Document:
        """Finds the document that the wrapper has copied."""
        alike = {(d.task, d.number): d for d in self._documents if dict(d.row) == dict(doc)}
        if len({id(self._pictures[place]) for place in alike}) != 1:
            raise KeyError("no document, or more than one, is like this copy: give doc_to_visual the document itself")
        return next(iter(alike.values()))
