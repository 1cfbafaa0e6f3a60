"""The answer that a careful person reads in a reply: a letter, a number, or a direction.

Owns the fair reading of replies; docs/devcv.md tells its rules, and where they differ from the original's. A reply in
which nothing, or more than one answer, can be read has none. Never compares an answer with the right one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from babycli.tasks.devcv.reference import as_whole

_Answer = TypeVar("_Answer")

# What follows the mark of an end is not of the reply any more.
_END = re.compile(
    r"<\|?/?(?:eos|s|end|im_end|eot_id|end_of_text|endoftext|end_of_turn)\|?>|\[(?:EOS|SEP)\]", re.IGNORECASE
)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_SPECIAL = re.compile(r"<\|?/?[a-z_]+\|?>|[\u200b\u200c\u200d\u2060\ufeff]", re.IGNORECASE)
_APOSTROPHES = re.compile(r"[\u2018\u2019\u02bc]")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # Chinese, Japanese, Korean: a word is not bounded

_ALONE = re.compile(r"[^\w]*([A-Da-d])[^\w]*")
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_STATED = re.compile(
    r"\b(?:answer|choice|option|letter)(?:\s+(?:is|was|would\s+be|will\s+be)\b\s*:?|\s*[:=-])\s*"
    r"(?:(?:the\s+)?(?:option|letter)\s+)?",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"[^\w.;:!?/]*(?:\b(?:or|and)\b|[/&])[^\w.;:!?/]*(?:(?:option|letter)\b[^\w.;:!?/]*)?", re.IGNORECASE
)
_LONGEST_JOINT = 24  # characters
_DENIED = re.compile(r"\b(?:not|isn't)\s+(?:the\s+)?[\W_]*$", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_FIRST = re.compile(r"[\W_]*")  # all before the first letter or digit
_MARKED_BEFORE = "([{\"'*`_<"
_MARKED_AFTER = ")]}\"'*`:>"
_CUE = re.compile(r"option|answer|choice|letter|choose|chose|pick|select|say|so|with|image|picture", re.IGNORECASE)
# A word behind an "A" that makes it a name and no article: "A is right", "A because it has more".
_VERB = re.compile(r"is|has|was|and|or|because|since|as|shows|contains|looks|matches|seems|appears", re.IGNORECASE)


def _tidy(reply: str) -> str:
    """Gives a reply up to the mark of its end, without thoughts, special tokens and invisible characters."""
    reply = _THOUGHT.sub(" ", reply)
    ends = [found.start() for found in _END.finditer(reply) if reply[: found.start()].strip()]
    whole = _SPECIAL.sub(" ", reply[: min(ends, default=len(reply))])
    return _UNSPACED.sub(" ", _APOSTROPHES.sub("'", whole)).strip()


# ---------------------------------------------------------------- letters


def letter_in(
    reply: str, letters: Collection[str], words: Mapping[str, str] | None = None, by_number: bool = False
) -> str | None:
    """Reads a letter. A reply without one may give the words of an option or, if asked ``by_number``, its place."""
    text = unicodedata.normalize("NFKC", _tidy(reply))
    named = _letters_named(text)
    if not named:
        named = _options_in_words(text, words or {})
    if not named and by_number:
        place = number_in(text)
        ordered = list(letters)
        return ordered[place - 1] if place is not None and 1 <= place <= len(ordered) else None
    return next(iter(named)) if len(named) == 1 and named <= set(letters) else None


def _letters_named(text: str) -> set[str]:
    """Finds the letters that a text names as options; of one that states its answer, those of the statement."""
    if alone := _ALONE.fullmatch(text):
        return {alone[1].upper()}
    stating = _follow(_STATED, text)
    named = list(_mentions(text, stating))
    stated = _stated(text, named, stating)
    return stated if len(stated) == 1 else {letter for letter, _ in named}


def _stated(text: str, found: Sequence[tuple[_Answer, int]], stating: Collection[int]) -> set[_Answer]:
    """Gives those of the answers found that a text states, with others that "or" or "and" joins to them."""
    stated: set[_Answer] = set()
    is_stated, since = False, 0
    for answer, start in found:
        joint = text[since : min(start, since + _LONGEST_JOINT)]
        is_stated = start in stating or (is_stated and _JOINED.fullmatch(joint) is not None)
        word = _WORD.match(text, start)
        since = word.end() if word else start + 1
        if is_stated:
            stated.add(answer)
    return stated


def _is_denied(text: str, start: int) -> bool:
    """Tells whether "not" stands before a place."""
    return _DENIED.search(text[max(0, start - 16) : start]) is not None


def _follow(pattern: re.Pattern[str], text: str) -> set[int]:
    """Gives the places of the first letter or digit behind each place where a pattern is found."""
    places: set[int] = set()
    for found in pattern.finditer(text):
        first = _FIRST.match(text, found.end())
        places.add(first.end() if first else len(text))
    return places


def _mentions(text: str, stating: Collection[int]) -> Iterator[tuple[str, int]]:
    """Gives each letter that a text names as an option, and where; ``stating`` are places behind "the answer is"."""
    tokens = list(_TOKEN.finditer(text))
    shouts = text.isupper() and sum(len(token[0]) > 1 for token in tokens) > 1
    for n, token in enumerate(tokens):
        if len(token[0]) != 1 or token[0].upper() not in "ABCD":
            continue
        if _is_of_word(text[token.start() - 1 : token.start()]) or text[token.end() : token.end() + 1] == "_":
            continue
        is_denied = n > 0 and tokens[n - 1][0].lower() in ("not", "isn't")
        if is_denied or (token[0] in "Aa" and _is_article(text, tokens, n, shouts, token.start() in stating)):
            continue
        yield token[0].upper(), token.start()


def _is_of_word(character: str) -> bool:
    return character == "_" or character.isalnum()


def _is_article(text: str, tokens: list[re.Match[str]], n: int, shouts: bool, is_stated: bool) -> bool:
    """Tells whether an "a" is a word of a sentence and no option."""
    token = tokens[n]
    between = text[tokens[n - 1].end() if n else 0 : token.start()]  # the word before and this one
    sign, after = between.rstrip()[-1:], text[token.end() : token.end() + 1]
    previous = tokens[n - 1][0].lower() if n else ""
    following = tokens[n + 1][0] if n + 1 < len(tokens) else ""
    if (sign and sign in _MARKED_BEFORE) or (after and after in _MARKED_AFTER):
        return False
    if _CUE.fullmatch(previous) or is_stated:
        may_be_article = token[0] == "a" and after.isspace() and previous not in ("option", "letter", "image")
        return may_be_article and following != "" and not _VERB.fullmatch(following)
    if not following:  # the last word is no article if a sign follows it, else the reply was cut off
        return token[0] == "a" and not text[token.end() :].strip()
    if not after.isspace():
        return False
    if len(following) == 1 and following.upper() in "ABCD":
        return token[0].isupper() != following.isupper()  # "A C" names two, "a C" one
    begins = n == 0 or (sign != "" and sign in ".!?:;") or "\n" in between
    return not _VERB.fullmatch(following) and (token[0] == "a" or begins or shouts)


def _options_in_words(text: str, words: Mapping[str, str]) -> set[str]:
    """Finds the options whose words a text has; of words within others, "left" in "top left", only the longer count."""
    plain = " ".join(found[0].lower() for found in _TOKEN.finditer(text))
    found: set[str] = set()
    for letter, of_option in sorted(words.items(), key=lambda option: -len(option[1])):
        short = _plain_option(of_option)
        pattern = re.compile(rf"\b{re.escape(short)}\b")
        if short and pattern.search(plain):
            found.add(letter)
            plain = pattern.sub(" ", plain)
    return found


def _plain_option(words: str) -> str:
    """Gives the words of an option without those that say nothing: "the first image" -> "first"."""
    own = (word[0].lower() for word in _TOKEN.finditer(words))
    return " ".join(word for word in own if word not in ("the", "image", "picture"))


# ---------------------------------------------------------------- numbers

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
          "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")  # fmt: skip
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_ONES = {word: number for number, word in enumerate(_UNITS) if number} | {"dozen": 12}
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)])[-\u2212])?(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<rest>[.,]\d+|[^\W\d_]+[\w]*)?|(?P<word>[^\W\d_]+)"
)
_HALF_A_DOZEN = re.compile(r"\bhalf\s+a\s+dozen\b", re.IGNORECASE)
_MULTIPLE = re.compile(r"\s+(?:hundred|thousand|million)", re.IGNORECASE)
_NOT_COUNTED_BEFORE = frozenset({"no", "this", "that", "the", "each", "every", "any", "which", "another"})  # "no one"
_TOTAL = re.compile(r"(?:\banswer(?:\s+is|\s*:)|\btotal(?:\s+of|\s+is|\s*:)|=)\s*", re.IGNORECASE)


def number_in(reply: str) -> int | None:
    """Reads a whole number, in digits or words."""
    text = _HALF_A_DOZEN.sub("six", _tidy(reply))
    found = [(value, start) for value, start in _numbers(text) if not _is_denied(text, start)]
    total = _stated(text, found, _follow(_TOTAL, text))
    values = total if len(total) == 1 else {value for value, _ in found}
    (value,) = values if len(values) == 1 else (None,)
    return value


def _numbers(text: str) -> Iterator[tuple[int | None, int]]:
    """Gives each number of a text with its place; None for one that is not whole, or less than zero."""
    previous, since_word = "", -1  # the word before, and where it ends
    tens, place, since = 0, -1, -1  # a "twenty" that a unit may follow, where it begins, and where it ends
    for found in _NUMBER.finditer(text):
        word = (found["word"] or "").lower()
        if tens and word in _UNITS[1:10] and re.fullmatch(r"[\s-]*", text[since : found.start()]):
            yield tens + _UNITS.index(word), place
            tens, previous = 0, word
            continue
        if tens:
            yield tens, place
            tens = 0
        if found["digits"]:
            rest = found["rest"] or ""
            is_whole = not rest or rest.lower() in ("x", "times") or not rest.strip(".,0")
            is_in_word = (rest[:1].isalpha() and not is_whole) or (
                since_word == found.start() and previous not in ("", "x")
            )
            if is_in_word:  # "1e3", "2nd", "B1"
                previous = rest
                continue
            value = as_whole(found["digits"].replace(",", ""))
            yield (value if is_whole and not found["sign"] else None), found.start()
        elif word in _TENS:
            tens, place, since = _TENS[word], found.start(), found.end()
        elif word == "zero" or (word in _ONES and not (word == "one" and previous in _NOT_COUNTED_BEFORE)):
            is_multiplied = _MULTIPLE.match(text, found.end())  # "ten thousand"
            yield None if is_multiplied else _ONES.get(word, 0), found.start()
        previous, since_word = word, found.end()
    if tens:
        yield tens, place


# ---------------------------------------------------------------- directions

_SIDES = {"upper": "top", "up": "top", "lower": "bottom", "down": "bottom"}
_WAYS = re.compile(
    r"\b(?:(?P<v1>top|bottom|upper|lower|up|down)[\s-]*(?P<h1>left|right)|(?P<h2>left|right)[\s-]+(?P<v2>top|bottom)"
    r"|(?P<alone>top|bottom|left|right))\b",
    re.IGNORECASE,
)


def direction_in(reply: str) -> str | None:
    """Reads a side or corner: "Top-Right.", "right top" and "the top right corner" are all "top right"."""
    text = unicodedata.normalize("NFKC", _tidy(reply)).replace("_", " ")
    named = {_way(found) for found in _WAYS.finditer(text) if not _is_denied(text, found.start())}
    return next(iter(named)) if len(named) == 1 else None


def _way(found: re.Match[str]) -> str:
    if found["alone"]:
        return found["alone"].lower()
    upright, across = (found["v1"] or found["v2"]).lower(), (found["h1"] or found["h2"]).lower()
    return f"{_SIDES.get(upright, upright)} {across}"
