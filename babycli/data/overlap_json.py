"""The pictures that training data name: JSON as LLaVA and those who followed have it, and JSON lines.

Owns which keys of an entry name pictures. A picture under any other key is an error, not an entry without pictures.

    [{"id": "0", "image": "a/0.jpg", "conversations": [...]}, ...]     LLaVA; of several pictures a list
    {"images": ["0.jpg"], "messages": [...]}                           a line each: LLaMA-Factory, TRL, ms-swift
    {"messages": [{"role": "user", "content": [{"type": "image", "image": "0.jpg"}, ...]}]}      Qwen-VL
    {"images": [{"file_name": "0.jpg", ...}], ...}                     COCO
    {"images": [{"frame_filenames": ["..._082_00.jpg"], ...}]}         multimodal-baby, of SAYCam
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from babycli.data.audit import is_named_as_image
from babycli.errors import DataError
from babycli.typed import from_json
from babycli.wording import all_of, shortened

PICTURES = ("image", "images", "image_path", "file_name", "frame_filenames")
FILMS = ("video", "videos", "video_filename")
_TALKS = ("conversations", "conversation", "messages")
_LISTS = ("images", "data")  # in which a whole has its entries
_OF_PICTURE = ("path", "image", "file_name", "url")  # of an object in the place of a name
_NO_NAMES = ("id", *_TALKS)  # whose texts may look like names
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
        within = next((key for key in _LISTS if _is_list_of_objects(document.get(key))), None)
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
        self._n_in_bytes = 0

    def read(self, form: str, entries: Iterator[tuple[str, Any]]) -> TrainingData:
        names: dict[str, None] = {}
        n, n_texts = 0, 0
        for place, entry in entries:
            n += 1
            if not isinstance(entry, dict):
                raise self._wrong(place, f"expected an object, got {entry!r:.60}")
            n_before = len(self._films), self._n_in_bytes
            found = list(self._pictures(place, entry))
            names.update(dict.fromkeys(found))
            n_texts += not found and n_before == (len(self._films), self._n_in_bytes) and not self._has_film(entry)
        if not names and not self._films:
            raise DataError(f"{self._origin} names no picture in {n:,} entries", _MEND)
        notes = [f"{n_texts:,} of {n:,} entries are text alone"] if n_texts else []
        if self._films:
            notes.append(f"{len(self._films):,} films are named: only their recordings are compared")
        if self._n_in_bytes:
            notes.append(f"{self._n_in_bytes:,} pictures are in the file itself, without a name, and are not compared")
        return TrainingData(form, tuple(names), tuple(self._films), n, tuple(notes))

    def _has_film(self, entry: Mapping[str, Any]) -> bool:
        return any(entry.get(key) for key in FILMS)

    def _pictures(self, place: str, entry: Mapping[str, Any]) -> Iterator[str]:
        for key, value in entry.items():
            if key in PICTURES:
                yield from self._names(place, key, value)
            elif key in FILMS:
                self._films.update(dict.fromkeys(self._names(place, key, value)))
            elif key in _TALKS:
                yield from self._in_talk(place, value)
            elif key not in _NO_NAMES:
                self._check_is_no_picture(place, key, value)

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
            elif named.strip():
                yield named.strip()

    def _in_talk(self, place: str, talk: Any) -> Iterator[str]:
        """Finds pictures that stand in the parts of a message."""
        for message in talk if isinstance(talk, list) else ():
            content = message.get("content") if isinstance(message, dict) else None
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict) and part.get("type") in ("image", "image_url"):
                    key = next((k for k in ("image", "image_url", "url", "path") if k in part), None)
                    if key is not None:
                        yield from self._names(place, key, part[key])

    def _check_is_no_picture(self, place: str, key: str, value: Any) -> None:
        for each in value[:1] if isinstance(value, list) else [value]:
            if isinstance(each, str) and len(each) < 300 and "\n" not in each and is_named_as_image(each.strip()):
                raise self._wrong(place, f"a picture stands under {key!r:.40}: {each!r:.60}")

    def _wrong(self, place: str, detail: str) -> DataError:
        return DataError(f"{self._origin}, {place}: {detail}", _MEND)
