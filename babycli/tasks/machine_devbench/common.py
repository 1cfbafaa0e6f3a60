"""The common parts of the Machine-DevBench tasks: their source, the keys of their items, and their groups.

Owns what an item of a manifest must have, and the faults of one that has not. The tasks are in lexical.py and
grammatical.py; babycli/data/machine_devbench.py makes their label files of the manifests of both styles.

Source: the datasets and ResultAggregator in evaluation/ of facebookresearch/egobabyvlm @ 33ce498.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from babycli import bibliography
from babycli.data.sources.machine_devbench import MACHINE_DEVBENCH
from babycli.domain import ImageRef, Item, Metric, Row
from babycli.tasks.babyvlm import CHOICE
from babycli.tasks.base import Benchmark, Needs, StructureProblem, Task
from babycli.tasks.groups import FREQUENCY, STYLE, Grouping
from babycli.wording import listed

BENCHMARK = Benchmark(MACHINE_DEVBENCH, "Machine-DevBench", "Lin et al. 2026, arXiv 2605.19130")
STYLES = ("realistic", "cartoon")
KEY_OF_STYLE = "style"
WORD_ASKED = Grouping("word", "word that is asked for")
UNKNOWN = "unknown"  # the group of an item that does not say its own
_LOWEST, _POOLED = ("[1,2)", "[2,4)"), "[1,4)"
_EMPTY = "(empty)"
_COUNTS = (
    *("frequency", "frequency_count", "frequency_quantile", "freq", "freq_count", "freq_quantile"),
    *("count", "quantile"),
)
_BIN_KEYS = ("frequency_bin", "freq_bin")
_ALIKE = 0.8  # how like a key that is missing another must be to be taken for it
_WIDTH = 60


def bin_of(row: Row, key: str) -> str:
    """Gives the frequency bin of an item: the two lowest are one, and a missing one is unknown."""
    name = str(row.get(key, UNKNOWN))
    return _POOLED if name in _LOWEST else name or _EMPTY


def named(row: Row, key: str) -> str:
    """Gives the group that an item says under a key; unknown where it does not."""
    return str(row.get(key, UNKNOWN)) or _EMPTY


class MachineDevBenchTask(Task):
    """A task of Machine-DevBench. Its class says which texts and pictures an item has, and how they are asked."""

    unit = "trials"
    metrics = (Metric("acc", "share", "accuracy", "acc", chance=1 / 2, is_main=True),)
    needs = Needs("score")
    prompts = CHOICE
    benchmark = BENCHMARK
    papers = (bibliography.EGOBABYVLM,)
    data_set = MACHINE_DEVBENCH
    label_format = "json"
    links: Mapping[str, str] = {MACHINE_DEVBENCH: f"{MACHINE_DEVBENCH}/images"}
    groupings: tuple[Grouping, ...] = (STYLE, FREQUENCY, WORD_ASKED)
    cluster = WORD_ASKED.name
    bin_key: str  # under which an item says its frequency bin
    texts: tuple[str, ...]  # keys that must hold words
    words: tuple[str, ...]  # keys that must be there, and may hold ""
    pictures: tuple[str, ...]  # keys of names of pictures
    optional: tuple[str, ...] = ()  # keys of words that may be missing
    manifest: str  # the path of its manifests, with {style} for the style

    def __init__(self, name: str, title: str, short: str, question: str, order: int) -> None:
        self.name, self.title, self.short, self.question, self.order = name, title, short, question, order
        self.label_path = f"{MACHINE_DEVBENCH}/{name}.json"

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that an item may have."""
        return (KEY_OF_STYLE, *self.words, *self.texts, *self.pictures, *self.optional, self.bin_key, *_COUNTS)

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return [
            Item(str(i), (i,), (row,), tuple(self.picture(row, key) for key in self.pictures), self.groups(row))
            for i, row in enumerate(rows)
        ]

    def groups(self, row: Row) -> dict[str, str]:
        """Gives the groups of an item."""
        return {
            STYLE.name: named(row, KEY_OF_STYLE),
            FREQUENCY.name: bin_of(row, self.bin_key),
            WORD_ASKED.name: str(row.get("word", "")),  # "" where it is not known, and so in no cluster
        }

    def picture(self, row: Row, key: str) -> ImageRef:
        """Gives the picture that an item names under a key; a row of a log may lack it."""
        return ImageRef(MACHINE_DEVBENCH, row.get(key, ""))

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        return [
            StructureProblem(str(i), f"item {i} (from 0), {row.get('word')!r:.40}, {fault}")
            for i, row in enumerate(rows)
            for fault in self.faults(row)
        ]

    def why_undecidable(self, rows: Sequence[Row]) -> str:
        return super().why_undecidable(rows) or next((fault for row in rows for fault in self.faults(row)), "")

    def faults(self, row: Row) -> Iterator[str]:
        """Finds what is wrong with an item, key by key."""
        needed = (KEY_OF_STYLE, *self.words, *self.texts, *self.pictures)
        lacking = [key for key in needed if key not in row]
        if lacking:
            yield f"lacks {listed(lacking)}; its keys are {listed(map(repr, row)) or 'none'}"
        for key in self.unread(row):
            meant = self._meant(key, row)
            if meant:
                yield f"has {key!r:.{_WIDTH}} and no {meant!r}"
        if KEY_OF_STYLE in row and row[KEY_OF_STYLE] not in STYLES:
            yield f"has the style {row[KEY_OF_STYLE]!r:.40}, should have one of {', '.join(STYLES)}"
        for key in (*self.texts, *self.pictures):
            if key in row and not (isinstance(row[key], str) and row[key].strip()):
                yield f"has the {key} {row[key]!r:.{_WIDTH}}, should be a text that is not empty"
        for key in (*self.words, *self.optional):
            if key in row and not isinstance(row[key], str):
                yield f"has the {key} {row[key]!r:.{_WIDTH}}, should be a text"
        if self.bin_key in row and type(row[self.bin_key]) not in (str, int):
            what = f"{row[self.bin_key]!r:.{_WIDTH}}, should be a text as '[4,8)', or a whole number"
            yield f"has the {self.bin_key} {what}"
        for key in _COUNTS:
            if key in row and not (type(row[key]) in (int, float) and row[key] >= 0):
                yield f"has the {key} {row[key]!r:.{_WIDTH}}, should be a number, 0 or above"

    def unread(self, row: Row) -> list[str]:
        """Gives the keys of an item that nothing reads; what a later release of the benchmark adds is among them."""
        return [key for key in row if key not in self.keys]

    def _meant(self, key: str, row: Row) -> str:
        """Gives the key that an item lacks and another of its keys may be meant for; "" for none."""
        if key in _BIN_KEYS and self.bin_key not in row:
            return self.bin_key
        lacking = [known for known in (*self.words, *self.optional, self.bin_key) if known not in row]
        return next(iter(get_close_matches(key.lower(), lacking, n=1, cutoff=_ALIKE)), "")

    def why_no_reference(self, abilities: Collection[str]) -> str:
        score = next((word for word in abilities if word in ("similarity", "loglikelihood")), "")
        if score == "similarity":
            return ""
        return "the benchmark's own code compares similarities of pictures and texts, and the model has none"

    def sample_fields(self, row: Row, exchanges: Sequence[Any], outcome: Any) -> dict[str, Any]:
        return dict.fromkeys(outcome.values, {KEY_OF_STYLE: row.get(KEY_OF_STYLE, "")} | self.score_fields(exchanges))

    def score_fields(self, exchanges: Sequence[Any]) -> dict[str, Any]:
        """Gives the scores of an item for its line of the samples log."""
        raise NotImplementedError
