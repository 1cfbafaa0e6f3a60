"""Kinds of groups that items belong to, for reports that break scores down.

Owns their names and their use in reports. A task says which of them its items have, and may define more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from babycli.tasks.phrases import only_in
from babycli.tasks.sessions import day_of as day_of_session

Halves = Callable[[str], tuple[frozenset[str], frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """A kind of group."""

    name: str  # the key in logs, and what --by takes: "session"
    title: str  # in a sentence: "recording session"
    is_offered: bool = True  # scores can be broken down by it
    is_drawn: bool = False  # a page shows scores by it as a heat map
    is_derived: bool = False  # computed from items by rules that may change: runs on equal items may differ in it
    holds: str = ""  # the name of what is in such a group: "frames"; "" for the items of its tasks
    day_of: Callable[[str], date | None] | None = None  # gives a group's day, if it has one; names sort by day
    dated_by: str = ""  # the event of that day: "recording"
    age: str = ""  # the quantity that grows from day to day: "the child's age"
    is_of_turns: bool = False  # its groups are no items, but the turns of them: the first, the second ...
    is_of_wholes: bool = False  # each of its groups is a whole benchmark, in which a metric's mean is taken alike
    is_by_number: bool = False  # its groups stand in the order of the first number in their names
    halves: Halves | None = None  # for a pair of phrases: gives the words only in the right one, and only in the wrong


CATEGORY = Grouping("category", "category", is_drawn=True)
SESSION = Grouping(
    "session", "recording session", holds="frames", day_of=day_of_session, dated_by="recording", age="the child's age"
)
WORD = Grouping("word", "word in which the phrases differ", is_drawn=True, is_derived=True)
PHRASES = Grouping("phrases", "pair of phrases", is_offered=False, halves=only_in)

NUMBER = Grouping("number", "true number", is_drawn=True)
TURN = Grouping("turn", "turn", is_drawn=True, is_of_turns=True)
OVERLAP = Grouping("overlap", "overlap with a training set")  # of all tasks, where a report is given a list of it
STYLE = Grouping("style", "style of the pictures", is_drawn=True, is_of_wholes=True)
FREQUENCY = Grouping("frequency_bin", "frequency bin of the word", is_drawn=True, is_by_number=True)

GROUP = Grouping("group", "group", is_drawn=True)  # of a user's own trials
CLUSTER = Grouping("cluster", "cluster")

KINDS = (  # those that come with babycli
    *(CATEGORY, SESSION, WORD, PHRASES, NUMBER, TURN, OVERLAP, STYLE, FREQUENCY),
    *(GROUP, CLUSTER),
)
