"""The levels at which a picture of a trial may be in a training set.

Owns their names and what each says. Never compares anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from babycli.errors import UsageError
from babycli.wording import Vocabulary, one_of


class Level(Vocabulary):
    """A way in which a picture of a trial is in a training set; from the surest on, but for the last."""

    SHA256 = "sha256"
    NAME = "name"
    WITHIN = "within"
    NEAR = "near"
    RECORDING = "recording"


# A trial is leaked at any of these, unless other levels are asked for. To be of one recording is not to be seen: nearly
# all trials on SAYCam are of recordings that models of SAYCam were trained on.
LEAKING = (Level.SHA256, Level.NAME, Level.WITHIN, Level.NEAR)
MEANINGS: Mapping[Level, str] = {
    Level.SHA256: "a picture has the bytes of one of the training",
    Level.NAME: "a picture has the name of one of the training, whatever its folder and ending",
    Level.WITHIN: "a frame is of the same utterance of the same recording, no more seconds away than --within says",
    Level.NEAR: "a picture looks like one of the training, as it is or mirrored, by a perceptual hash",
    Level.RECORDING: "a frame is of a recording that frames or films of the training are of",
}


def levels_in(words: str) -> tuple[Level, ...]:
    """Reads the levels of ``--level``, in their order here. Raises UsageError for an unknown one, and for none."""
    named = {Level(one_of(word.strip(), Level, "--level")) for word in words.split(",") if word.strip()}
    if not named:
        raise UsageError("--level names no level", f"write  --level {','.join(LEAKING)}  or some of them")
    return tuple(level for level in Level if level in named)
