"""The word in which two phrases differ, and its kind.

Owns the names of the kinds. The phrases are two words without a sentence around them, so the kind is a guess from
WordNet 3.0: the one of adjective, verb and noun that both words can be. ``open door`` / ``close door`` counts as
adjectives. The position of the word is certain, its kind is not.
"""

from __future__ import annotations

import functools

BOTH = "both words"
SECOND = "second word"
OTHER = "phrases of other lengths"
_BETWEEN = " / "


def differing_word(positive: str, negative: str) -> str:
    """Gives ``first word (verb)``, ``second word``, ``both words``, or OTHER if they do not have two words each."""
    a, b = positive.split(), negative.split()
    if len(a) != 2 or len(b) != 2:
        return OTHER
    if a[0] == b[0]:
        return SECOND
    return BOTH if a[1] != b[1] else f"first word ({_kind(a[0], b[0])})"


def joined(right: str, wrong: str) -> str:
    """Joins both phrases in one text, which only_in() splits again."""
    return f"{right}{_BETWEEN}{wrong}"


def only_in(phrases: str) -> tuple[frozenset[str], frozenset[str]]:
    """Gives the words that only the right phrase of joined phrases has, and those that only the wrong one has."""
    right, _, wrong = phrases.partition(_BETWEEN)
    a, b = frozenset(right.split()), frozenset(wrong.split())
    return a - b, b - a


@functools.cache
def _kind(first: str, second: str) -> str:
    from babycli.tasks.meteor import wordnet

    noun, verb, adjective, _ = wordnet().parts
    counts = [[len(list(part.synsets(word))) for part in (noun, verb, adjective)] for word in (first, second)]
    if all(as_adjective for _, _, as_adjective in counts):
        return "adjective"
    n_as_noun, n_as_verb = (sum(c[i] for c in counts) for i in (0, 1))
    return "verb" if all(c[1] for c in counts) and 2 * n_as_verb >= n_as_noun else "noun"
