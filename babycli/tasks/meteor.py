"""METEOR of one caption against one reference, equal to NLTK's but computed without NLTK's data.

Owns the tokens, the score, and the two files in meteor_data/ that replace NLTK's downloads: WordNet's synonyms and
Punkt's English parameters. Never downloads, never looks into an NLTK data folder (so a score cannot depend on the
machine), never imports nltk before the first call, and never averages over rows.

All other code is NLTK's, so its release matters: before 3.10.1 its tokeniser splits `'well'` differently.
"""

from __future__ import annotations

import functools
import lzma
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from babycli.errors import DataError

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5

WORDNET_FILE = "wordnet30.txt.xz"
PUNKT_FILE = "punkt_english.txt.xz"
FORMAT_LINE = "babycli-meteor-data 1"

# Endings of inflected forms, with the endings of their base forms: WordNet's rules of detachment, a table for each
# part of speech. Each rule is tried once, and never on another rule's result; irregular forms skip the table.
_ENDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}


class MeteorDataError(DataError):
    """An error because a file in meteor_data/ is absent or damaged, so that no score can be computed."""

    def __init__(self, path: Traversable, problem: str) -> None:
        super().__init__(
            f"{path}: {problem}; the file ships with babycli",
            "pip install --force-reinstall --no-deps babycli  (in a checkout: python tools/build_meteor_data.py)",
        )


def meteor(reference: str, prediction: str) -> float:
    """Computes METEOR of `prediction` against `reference`, in [0, 1).

    An empty text on either side scores 0.0, as in NLTK. NLTK's oddity stays too: words that the stem stage does not
    match reach the synonym stage as stems, so `car` finds `auto` but not `automobile` (stem `automobil`).
    Raises MeteorDataError if a shipped file is unusable.
    """
    from nltk.translate.meteor_score import meteor_score  # type: ignore[import-untyped, unused-ignore]

    return float(
        meteor_score(
            [tokenize(reference)],
            tokenize(prediction),
            wordnet=wordnet(),
            alpha=ALPHA,
            beta=BETA,
            gamma=GAMMA,
        )
    )


def tokenize(text: str) -> list[str]:
    """Gives the tokens of NLTK's `word_tokenize`: it splits a text into sentences, then each into words.

    The order matters: a full stop is split off only at the end of a sentence, so "Hi. Bye." has four tokens
    and would have three if taken for one sentence. Raises MeteorDataError if Punkt's file is unusable.
    """
    from nltk.tokenize import NLTKWordTokenizer  # type: ignore[import-untyped, unused-ignore]

    words = NLTKWordTokenizer()
    return [token for sentence in _sentence_splitter().tokenize(text) for token in words.tokenize(sentence)]


@dataclass(frozen=True, slots=True)
class Lemma:
    """A word for a meaning; the words of a compound are joined by `_`."""

    text: str

    def name(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Synset:
    """Words that can stand for one another."""

    names: tuple[str, ...]

    def lemmas(self) -> list[Lemma]:
        return [Lemma(name) for name in self.names]


@dataclass(frozen=True, slots=True, eq=False)
class PartOfSpeech:
    """The lookup tables of one part of speech.

    `groups` maps a lower-case form to the groups it is in, one per line, names separated by blanks. A string
    rather than a list of tuples: 100,000 small containers cost more to make than a caption's dozen look-ups.
    """

    groups: Mapping[str, str]
    exceptions: Mapping[str, tuple[str, ...]]
    endings: tuple[tuple[str, str], ...]

    def base_forms(self, form: str) -> Iterator[str]:
        """Gives `form` itself and the forms that it may be an inflection of, each once, known to WordNet or not."""
        bases = self.exceptions.get(form)
        if bases is None:
            bases = tuple(
                form.removesuffix(ending) + base_ending for ending, base_ending in self.endings if form.endswith(ending)
            )
        yield from dict.fromkeys((form, *bases))

    def synsets(self, form: str) -> Iterator[Synset]:
        for base in self.base_forms(form):
            if lines := self.groups.get(base):
                for line in lines.split("\n"):
                    yield Synset(tuple(line.split(" ")))


@dataclass(frozen=True, slots=True, eq=False)
class WordNetLemmas:
    """WordNet 3.0, reduced to what METEOR asks of it: which single words share a synset with a word.

    The union of lemma names without `_` over `synsets(word)` equals that of NLTK's reader for every word. The
    synsets are not NLTK's one by one: groups that occur twice, that hold only compounds, or that are one word
    found in another group anyway, add nothing to the union and are not in the file.
    """

    parts: tuple[PartOfSpeech, ...]

    def synsets(self, word: str) -> list[Synset]:
        """Gives the synsets of `word`, in any case and inflection, over all parts of speech."""
        form = word.lower()
        return [synset for part in self.parts for synset in part.synsets(form)]


@functools.cache
def wordnet() -> WordNetLemmas:
    """Reads the shipped WordNet, once. Raises MeteorDataError."""
    tables = _read_tables(WORDNET_FILE, [name for part in _ENDINGS for name in (part, f"{part}.exc")])
    return WordNetLemmas(
        tuple(
            PartOfSpeech(_index(tables[part]), _exceptions(tables[f"{part}.exc"]), endings)
            for part, endings in _ENDINGS.items()
        )
    )


def _index(groups: list[str]) -> dict[str, str]:
    # Names keep their capitals: NLTK compares them with lower-cased words, so `Bubo` must not become `bubo`.
    # Keys have none, and a key collects the groups of all its homographs: the owl's genus and the swelling.
    index: dict[str, str] = {}
    for group in groups:
        for key in group.lower().split(" "):
            index[key] = f"{index[key]}\n{group}" if key in index else group
    return index


def _exceptions(lines: list[str]) -> dict[str, tuple[str, ...]]:
    # The base may be a compound (`comics` is a form of `comic_strip`); hence compounds stay in the index.
    return {form: tuple(bases) for form, *bases in (line.split(" ") for line in lines)}


@functools.cache
def _sentence_splitter() -> Any:
    from nltk.tokenize.punkt import (  # type: ignore[import-untyped, unused-ignore]
        PunktParameters,
        PunktSentenceTokenizer,
    )

    tables = _read_tables(PUNKT_FILE, ["abbrev_types", "collocations", "sent_starters", "ortho_context"])
    parameters = PunktParameters()
    parameters.abbrev_types = set(tables["abbrev_types"])
    parameters.collocations = {tuple(line.split("\t")) for line in tables["collocations"]}
    parameters.sent_starters = set(tables["sent_starters"])
    # Punkt asks for the context of any word that it meets; an unknown word has the context 0.
    parameters.ortho_context = defaultdict(int)
    for line in tables["ortho_context"]:
        word, context = line.split("\t")
        parameters.ortho_context[word] = int(context)
    return PunktSentenceTokenizer(parameters)


def _read_tables(name: str, expected: list[str]) -> dict[str, list[str]]:
    """Reads the tables of a file in meteor_data/: a format line, then for each table `<name> <n lines>` and its lines.

    The counts catch a file that is whole, but was written by another program: xz's own checksum cannot.
    """
    path = files("babycli.tasks") / "meteor_data" / name
    try:
        text = lzma.decompress(path.read_bytes()).decode("utf-8")
    except FileNotFoundError:
        raise MeteorDataError(path, "no such file") from None
    except (lzma.LZMAError, UnicodeDecodeError) as error:
        raise MeteorDataError(path, f"damaged ({error})") from error
    if not text.startswith(f"{FORMAT_LINE}\n"):
        raise MeteorDataError(path, f"starts with {text[:40]!r}, not with the line {FORMAT_LINE!r}")
    lines = text.split("\n")
    tables: dict[str, list[str]] = {}
    at = 1
    for table in expected:
        head, _, count = lines[at].partition(" ")
        if head != table or not count.isdecimal() or at + 1 + int(count) >= len(lines):
            raise MeteorDataError(path, f"line {at + 1} should open the table {table!r}: {lines[at][:40]!r}")
        tables[table] = lines[at + 1 : at + 1 + int(count)]
        at += 1 + int(count)
    # The last line ends with a newline too, so exactly one empty piece is left.
    if lines[at:] != [""]:
        raise MeteorDataError(path, f"goes on after its last table, at line {at + 1}")
    return tables
