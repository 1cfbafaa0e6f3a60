"""Picture vocabulary: which of four pictures shows a word. The originals of the NIH have all four in one picture."""

from __future__ import annotations

from babycli.tasks.devcv.dialogue import counted
from babycli.tasks.devcv.single import PictureWord


class PictureVocabulary(PictureWord):
    name = "baby_pv"
    title = "Picture Vocabulary"
    short = "Pict. voc."
    question = "which of 4 pictures shows the word"
    order = 11
    metrics = counted("acc", "acc", "acc", 1 / 4, is_main=True)
    n_images = 4


TASK = PictureVocabulary()
