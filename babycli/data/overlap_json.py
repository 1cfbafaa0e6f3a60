"""The pictures that training data name: JSON as LLaVA and those who followed have it, and JSON lines.

Owns which keys of an entry, at any depth, name pictures. A picture under any other key is an error, not an
entry without pictures.

    [{"id": "0", "image": "a/0.jpg", "conversations": [...]}, ...]     LLaVA; of several pictures a list
    {"images": ["0.jpg"], "messages": [...]}                           a line each: LLaMA-Factory, TRL, ms-swift
    {"messages": [{"role": "user", "content": [{"type": "image", "image": "0.jpg"}, ...]}]}      Qwen-VL
    {"query": "Picture 1: <img>0.jpg</img>\nWhat is it?", ...}                                    the first Qwen-VL
    {"images": [{"file_name": "0.jpg", ...}], ...}                     COCO
    {"images": [{"frame_filenames": ["..._082_00.jpg"], ...}]}         multimodal-baby, of SAYCam
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from babycli.data.audit import is_named_as_image
from babycli.errors import DataError
from babycli.typed import from_json
from babycli.wording import all_of, shortened

PICTURES = ("image", "images", "image_path", "file_name", "frame_filenames")
FILMS = ("video", "videos", "video_filename", "video_path", "video_url")
_TALKS = ("conversations", "conversation", "messages")
_LISTS = ("images", "data")  # in which a whole has its entries
_OF_PICTURE = ("path", "image", "file_name", "image_url", "url")  # of an object in the place of a name
_PARTS = ("image", "image_url", "input_image")  # types of a part of a message that is a picture
_TAG = re.compile(r"<img>(.*?)</img>", re.DOTALL)  # in a text of the first Qwen-VL
_FILM_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg")
_NO_NAMES = ("id", "text", "value", "content", *_TALKS)  # whose texts may look like names
_MEND = f"pictures are read from the keys {all_of(PICTURES)}: a name, or a list of names"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The pictures and films that the entries of a file name, and what they do not tell."""

    form: str
    names: tuple[str, ...]
    films: tuple[str, ...]
    n_entries: int
    notes: tuple[str, ...]


def is_json(content: bytes) -> bool:
    """Tells whether a file begins as JSON does that holds entries."""
    return content.lstrip()[:1] in (b"[", b"{")


def parse_training_data(content: bytes, origin: str) -> TrainingData:
    """Reads training data. Raises DataError naming ``origin`` and the entry or line that cannot be read."""
    form = "training data (JSON)"
    if content.lstrip().startswith(b"{") and len(content.strip().split(b"\n", 1)) > 1 and not _is_whole(content):
        form, entries = "training data (JSON lines)", _lines(content, origin)
    else:
        entries = _whole(content, origin)
    return _Reader(origin).read(form, entries)


def _is_whole(content: bytes) -> bool:
    try:
        from_json(content)
    except ValueError:
        return False
    return True


def _lines(content: bytes, origin: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", from_json(line)
            except ValueError as error:
                raise DataError(
                    f"{origin}, line {number}: no sound JSON: {_why(error)}", "write an object a line"
                ) from error


def _whole(content: bytes, origin: str) -> Iterator[tuple[str, Any]]:
    try:
        document = from_json(content)
    except ValueError as error:
        place = f", line {error.lineno}" if isinstance(error, orjson.JSONDecodeError) else ""
        raise DataError(f"{origin}{place}: no sound JSON: {_why(error)}", "check that the file is whole") from error
    if isinstance(document, dict):
        lists = () if any(key in document for key in _TALKS) else _LISTS  # else one entry, whose pictures are objects
        within = next((key for key in lists if _is_list_of_objects(document.get(key))), None)
        if within is None and not any(key in document for key in (*PICTURES, *FILMS, *_TALKS)):
            keys = all_of(repr(key)[:40] for key in list(document)[:5]) or "none"
            raise DataError(
                f"{origin} is an object with the keys {keys}, and has no list of entries",
                f"training data are a list of entries, or an object with them in {' or '.join(_LISTS)}; {_MEND}",
            )
        document = [document] if within is None else document[within]
    yield from ((f"entry {number}", entry) for number, entry in enumerate(document, 1))


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _why(error: ValueError) -> str:
    return shortened(error.msg if isinstance(error, orjson.JSONDecodeError) else str(error), 120)


class _Reader:
    """A reader of entries, which counts what it cannot use."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._films: dict[str, None] = {}
        self._n_used = 0  # films, and pictures in the file itself
        self._n_in_bytes = 0
        self._elsewhere: list[str] = []  # in this entry: addresses and films that may say where its pictures are from

    def read(self, form: str, entries: Iterator[tuple[str, Any]]) -> TrainingData:
        names: dict[str, None] = {}
        n, n_texts = 0, 0
        for place, entry in entries:
            n += 1
            if not isinstance(entry, dict):
                raise self._wrong(place, f"expected an object, got {entry!r:.60}")
            n_before, self._elsewhere = self._n_used, []
            found = list(self._pictures(place, entry))
            names.update(dict.fromkeys(found))
            is_text = not found and n_before == self._n_used
            if is_text and self._elsewhere:
                raise self._wrong(place, self._elsewhere[0])
            n_texts += is_text
        if not names and not self._films:
            raise DataError(f"{self._origin} names no picture in {n:,} entries", _MEND)
        notes = []
        if n_texts:
            notes.append(f"{n_texts:,} of {n:,} entries {'is' if n_texts == 1 else 'are'} text alone")
        if self._films:
            films = f"{len(self._films):,} {'film is' if len(self._films) == 1 else 'films are'} named"
            notes.append(f"{films}: only recordings are compared")
        if self._n_in_bytes:
            are = "picture is" if self._n_in_bytes == 1 else "pictures are"
            notes.append(f"{self._n_in_bytes:,} {are} in the file itself, without a name, and not compared")
        return TrainingData(form, tuple(names), tuple(self._films), n, tuple(notes))

    def _pictures(self, place: str, entry: Mapping[str, Any]) -> Iterator[str]:
        """Finds the pictures of an entry, and of the objects in it."""
        of_picture = _OF_PICTURE if entry.get("type") in _PARTS else ()
        for key, value in entry.items():
            if key in PICTURES or (key in of_picture and value is not None):
                yield from self._names(place, key, value)
            elif key in FILMS:
                yield from self._frames_of_films(place, key, value)
            else:
                yield from self._others(place, key, value)

    def _names(self, place: str, key: str, value: Any) -> Iterator[str]:
        if value is None:
            return
        for each in value if isinstance(value, list) else [value]:
            named = each
            if isinstance(each, dict):
                named = next((each[k] for k in _OF_PICTURE if each.get(k)), "data:" if each.get("bytes") else None)
            if not isinstance(named, str):
                raise self._wrong(place, f"{key} is {value!r:.60}; expected is a name or a list of names")
            if named.startswith("data:"):
                self._n_in_bytes += 1
                self._n_used += 1
            elif named.strip():
                yield named.strip()

    def _frames_of_films(self, place: str, key: str, value: Any) -> Iterator[str]:
        """Gives the frames of a film that is told by a list of them, and keeps films."""
        for name in self._names(place, key, value):
            if is_named_as_image(name):
                yield name
            else:
                self._films[name] = None
                self._n_used += 1

    def _others(self, place: str, key: str, value: Any) -> Iterator[str]:
        """Finds pictures in what stands under another key, at any depth; a name of one there is an error."""
        if isinstance(value, dict):
            yield from self._pictures(place, value)
        elif isinstance(value, list):
            for each in value:
                yield from self._others(place, key, each)
        elif isinstance(value, str):
            if "<img>" in value:
                yield from (name.strip() for name in _TAG.findall(value) if name.strip())
            elif key not in _NO_NAMES and len(value) < 300 and "\n" not in value:
                self._check_is_no_picture(place, key, value.strip())

    def _check_is_no_picture(self, place: str, key: str, text: str) -> None:
        if is_named_as_image(text):
            told = f"a picture stands under {key!r:.40}: {text!r:.60}"
            if "://" not in text:
                raise self._wrong(place, told)
            self._elsewhere.append(told)
        elif text.lower().endswith(_FILM_ENDINGS):
            self._elsewhere.append(f"a film stands under {key!r:.40}: {text!r:.60}")

    def _wrong(self, place: str, detail: str) -> DataError:
        return DataError(f"{self._origin}, {place}: {detail}", _MEND)
