"""Documents in a wrapper's hands: looked up in its task_dict, with pictures to open and functions that give more.

Owns what a wrapper finds around a request. A document is a copy of its row, as the data sets of lmms-eval give; where
the row lists its pictures, the list has paths of files that can be opened, as wrappers for DevCV do. The files are
there while the wrapper is asked. Never calls a wrapper.

    doc_to_visual(document)                             ->  its pictures
    doc_to_text(document, previous_output=[...],
                round_idx=2, previous_round_info=...)   ->  pictures and words of the third turn, is it over, ...
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from PIL.Image import Image

from babycli.domain import IMAGE_PLACE
from babycli.files import temporary_folder
from babycli.interop.lmms.questions import Document, Question, Talk

_Place = tuple[str, int]  # task and number of a document
# A turn as wrappers of lmms-eval ask for it: pictures, words, is it over, replies so far, the wrapper's own notes.
Turn = tuple[list[Image] | None, str | None, bool, list[str], Any]


class Doc(dict[str, Any]):
    """A document in a wrapper's hands, which it may change: it remembers which one it was."""

    def __init__(self, document: Document, paths: Sequence[str]) -> None:
        super().__init__(_content(document, paths))
        self.document = document


def _content(document: Document, paths: Sequence[str]) -> dict[str, Any]:
    content = copy.deepcopy(dict(document.row))
    return content | {"image": list(paths)} if paths else content


class Rows(Mapping[int, Doc]):
    """The documents of a task by their numbers; each look gives a copy, as a data set of lmms-eval does."""

    def __init__(self) -> None:
        self._documents: dict[int, Document] = {}
        self.paths: Mapping[_Place, Sequence[str]] = {}  # of the pictures that can be opened now

    def add(self, document: Document) -> None:
        self._documents.setdefault(document.number, document)

    def __getitem__(self, number: int) -> Doc:
        document = self._documents[number]
        return Doc(document, self.paths.get(_place(document), ()))

    def __iter__(self) -> Iterator[int]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)


class Shown:
    """The pictures of one call, which a wrapper gets for their documents."""

    def __init__(self, questions: Sequence[Question | Talk], paths: Mapping[_Place, Sequence[str]]) -> None:
        self._pictures = {_place(q.document): q.pictures for q in questions}
        self._documents = {_place(q.document): q.document for q in questions}
        self._paths = paths
        self.was_looked_at = False

    def doc_to_visual(self, doc: Mapping[str, Any]) -> list[Image]:
        """Gives copies of a document's pictures. Raises KeyError for a document that is not asked about now."""
        self.was_looked_at = True
        return [picture.copy() for picture in self._pictures[_place(self._document(doc))]]

    def doc_to_text(
        self,
        doc: Mapping[str, Any],
        previous_output: Sequence[str] = (),
        round_idx: int = 0,
        previous_round_info: Any = None,
        **kwargs: Any,
    ) -> str | Turn:
        """Gives a turn of a conversation, or that it is over; asked for nothing but a document, its first words."""
        self.was_looked_at = True
        document = self._document(doc)
        if not previous_output and not round_idx:
            return document.turns[0]
        replies = list(previous_output)
        if round_idx >= len(document.turns):
            return None, None, True, replies, previous_round_info
        n_before = sum(words.count(IMAGE_PLACE) for words in document.turns[:round_idx])
        words = document.turns[round_idx]
        pictures = self._pictures[_place(document)][n_before : n_before + words.count(IMAGE_PLACE)]
        return [picture.copy() for picture in pictures], words, False, replies, previous_round_info

    def _document(self, doc: Mapping[str, Any]) -> Document:
        """Finds the document that the wrapper has got, or has copied."""
        if isinstance(doc, Doc):
            return doc.document
        alike = {
            place: document
            for place, document in self._documents.items()
            if _content(document, self._paths.get(place, ())) == dict(doc)
        }
        if len({tuple(map(id, self._pictures[place])) for place in alike}) != 1:
            raise KeyError("no document, or more than one, is like this copy: give doc_to_visual the document itself")
        return next(iter(alike.values()))


@contextlib.contextmanager
def on_disk(questions: Sequence[Question | Talk]) -> Iterator[Mapping[_Place, Sequence[str]]]:
    """Writes the pictures of documents that list theirs to files, for the time of a call; gives their paths.

    They are PNGs, whatever their names end in: what is opened has the pixels that babycli has decoded.
    """
    listing = {_place(q.document): q for q in questions if _lists_pictures(q)}
    if not listing:
        yield {}
        return
    with temporary_folder("babycli-pictures-") as folder:
        paths: dict[_Place, list[str]] = {}
        for i, (place, question) in enumerate(listing.items()):
            paths[place] = []
            for k, (name, picture) in enumerate(zip(question.document.row["image"], question.pictures, strict=True)):
                path = Path(folder, f"{i}_{k}_{PurePosixPath(name).name}")
                picture.save(path, format="PNG", compress_level=0)
                paths[place].append(str(path))
        yield paths


def _lists_pictures(question: Question | Talk) -> bool:
    """Tells whether a document lists just the pictures that it is asked about."""
    names = question.document.row.get("image")
    return isinstance(names, list) and len(names) == len(question.pictures)


def _place(document: Document) -> _Place:
    return document.task, document.number
