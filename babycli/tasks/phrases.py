"""By which word two phrases differ, and what kind of word it is.

Owns the names of these kinds. The phrases are two words without a sentence around them, so their kind is a guess from
WordNet 3.0: the one of adjective, verb and noun that both words can be. ``open door`` / ``close door`` counts as
adjectives; the position is certain, the kind is not.
"""

from __future__ import annotations

import functools

BOTH = "both words"
SECOND = "second word"
OTHER = "phrases of other lengths"
_BETWEEN = " / "


def differing_word(positive: str, negative: str) -> str:
    """``first word (verb)``, ``second word``, ``both words``, or that the phrases cannot be set side by side."""
    a, b = positive.split(), negative.split()
    if len(a) != 2 or len(b) != 2:
        return OTHER
    if a[0] == b[0]:
        return SECOND
    return BOTH if a[1] != b[1] else f"first word ({_kind(a[0], b[0])})"


def joined(right: str, wrong: str) -> str:
    """Both phrases in one text; see ``only_in``."""
    return f"{right}{_BETWEEN}{wrong}"


def only_in(phrases: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words that only the right phrase of joined phrases has, and those that only the wrong one has."""
    right, _, wrong = phrases.partition(_BETWEEN)
    a, b = frozenset(right.split()), frozenset(wrong.split())
    return a - b, b - a


@functools.cache
def _kind(one: str, other: str) -> str:
    from babycli.tasks.meteor import wordnet

    noun, verb, adjective, _ = wordnet().parts
    counts = [[len(list(part.synsets(word))) for part in (noun, verb, adjective)] for word in (one, other)]
    if all(as_adjective for _, _, as_adjective in counts):
        return "adjective"
    n_as_noun, n_as_verb = (sum(c[i] for c in counts) for i in (0, 1))
    return "verb" if all(c[1] for c in counts) and 2 * n_as_verb >= n_as_noun else "noun"
