"""What the names of pictures tell of an overlap: equal names, and frames of one utterance or of one recording.

Owns the pattern of the names of SAYCam's frames, and when two names are the same. Never opens a picture.

    S_20140420_1803_01_082_00.jpg
    | |        |    |  |   frame 0 to 31 of the utterance; 5 frames are a second
    | |        |    |  utterance of the recording, from 1 on
    | |        |    recording of that day, from 1 on
    | |        age: 18 months and 3 days
    | day
    child

The numbers are no minutes and seconds: the age is told by the day (in all 1,244 frames of BabyVLM's label files it is
the time since 17 October 2012), utterances go up to 480, frames to 31. So the names tell how far apart two frames of
one utterance are, and not how far apart two utterances are.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from babycli.data.audit import is_named_as_image

FRAMES_PER_S = 5
ASSUMED = (
    "Names of frames are read as child, day, age (months and days), recording, utterance, frame: "
    "S_20140420_1803_01_082_00 is frame 0 of utterance 82. 5 frames are a second, an utterance has at most 32. Names "
    "do not tell the seconds between utterances: `within` compares frames of one utterance alone."
)
_FRAME = re.compile(r"([A-Z]_[0-9]{8}_[0-9]{4}_[0-9]{2})_([0-9]{3,4})_([0-9]{2})")
_RECORDING = re.compile(r"([A-Z]_[0-9]{8}_[0-9]{4}_[0-9]{2})(?:\.[A-Za-z0-9]{2,4})?")


@dataclass(frozen=True, slots=True)
class Frame:
    """The place of a frame in what was recorded."""

    recording: str
    utterance: int
    number: int

    def seconds_to(self, other: Frame) -> float:
        """Gives the seconds between two frames of one utterance."""
        return abs(self.number - other.number) / FRAMES_PER_S


def path_of(name: str) -> str:
    """Gives a name with slashes between folders, without what an address has beside its path, and without ending."""
    if "://" in name:
        name = unquote(re.split(r"[?#]", name.partition("://")[2], maxsplit=1)[0])
    name = name.replace("\\", "/")
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)  # macOS writes an accent behind its letter
    return name.rpartition(".")[0] if is_named_as_image(name) else name


def frame_of(name: str) -> Frame | None:
    """Reads the name of a frame; None for a name of another form, such as that of a picture made of a frame."""
    match = _FRAME.fullmatch(path_of(name).rpartition("/")[2])
    return Frame(match[1], int(match[2]), int(match[3])) if match else None


def recording_of_film(name: str) -> str:
    """Gives the recording that a film is of; "" where its name does not tell."""
    match = _RECORDING.fullmatch(name.replace("\\", "/").rpartition("/")[2])
    return match[1] if match else ""


@dataclass(frozen=True, slots=True)
class NameMatch:
    """Names of the training that a picture of a trial is told by; "" where there is none."""

    same: str = ""
    nearest: str = ""  # the frame of the same utterance that is nearest in time
    seconds: float = 0.0  # to that one
    of_recording: str = ""


Key = tuple[str, str]  # a folder of pictures, and the name of one in it


class NameIndex:
    """The names of the pictures of trials, against which names of a training are held one after the other.

    Two names are the same if their last parts are, without ending. Where two pictures of one folder have that part in
    common, as ``ball/1.jpg`` and ``cup/1.jpg`` have, all folders that the trials name must be the same too.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_stem: dict[str, list[tuple[str, Key]]] = {}  # last part -> the path that is needed besides; ""
        self._by_recording: dict[str, list[tuple[Frame, Key]]] = {}
        paths = {key: path_of(key[1]) for key in keys}
        alike = Counter((folder, path.rpartition("/")[2]) for (folder, _), path in paths.items())
        for key, path in paths.items():
            stem = path.rpartition("/")[2]
            self._by_stem.setdefault(stem, []).append((path if alike[key[0], stem] > 1 else "", key))
            frame = frame_of(key[1])
            if frame is not None:
                self._by_recording.setdefault(frame.recording, []).append((frame, key))

    def look_at(self, names: Iterable[str], films: Iterable[str] = ()) -> Mapping[Key, NameMatch]:
        """Gives what the names of a training tell of each picture; those that they do not tell are absent.

        Of 600,285 names most are of recordings that no trial is of, and cost a look-up or two.
        """
        found: dict[Key, NameMatch] = {}
        for name in names:
            path = path_of(name)
            stem = path.rpartition("/")[2]
            for needed, key in self._by_stem.get(stem, ()):
                if not needed or path == needed or path.endswith(f"/{needed}"):
                    known = found.get(key, NameMatch())
                    found[key] = replace(known, same=known.same or name)
            match = _FRAME.fullmatch(stem)
            if match is not None and match[1] in self._by_recording:
                frame = Frame(match[1], int(match[2]), int(match[3]))
                for ours, key in self._by_recording[frame.recording]:
                    _tell_frame(found, key, ours, frame, name)
        for film in films:
            for _, key in self._by_recording.get(recording_of_film(film), ()):
                known = found.get(key, NameMatch())
                found[key] = replace(known, of_recording=known.of_recording or film)
        return found


def _tell_frame(found: dict[Key, NameMatch], key: Key, ours: Frame, frame: Frame, name: str) -> None:
    known = found.get(key)
    if known is None or not known.of_recording:
        known = replace(known or NameMatch(), of_recording=name)
        found[key] = known
    if frame.utterance == ours.utterance:
        seconds = frame.seconds_to(ours)
        if not known.nearest or seconds < known.seconds:
            found[key] = replace(known, nearest=name, seconds=seconds)
