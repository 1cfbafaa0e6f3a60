"""The plan of a round: its distinct requests, gathered by their pictures and cut into units.

Owns de-duplication, order and the borders of units. Pure: no model, no files. Pictures are the same if their bytes are
(SHA-256), so a frame that two tasks show, or a picture with two names, is encoded once. The choice tasks have:

    requests        12,194    of all label rows
    scores          11,229    distinct (pictures, prompt, text)
    prefixes         8,178    distinct (pictures, prompt): a generative model reads them before the texts
    images           8,178    distinct bytes
    texts            1,379    distinct (prompt, text): a dual encoder reads them

A piece of work is the pictures of a context with all that is asked about just these pictures; a unit is some pieces of
work. With a fixed batch size no batch reaches over the border of a unit, so that a run that was interrupted, or is
shared by several processes, computes the same batches as an undisturbed run.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from babycli.domain import Content, Context, ImageRef, Match, Request, Score, Write, digest_of
from babycli.logs.answers import Key, MatchKey, ScoreKey, WriteKey


@dataclass(frozen=True, slots=True)
class Ask:
    """A distinct request, split into the words that a model reads and the pictures that it sees."""

    key: Key
    content: Content
    wording: Context
    places: tuple[str, ...]  # the SHA-256 of the picture in each place of the wording
    goes_on: bool  # of a conversation: longer contexts may begin with this one, and it with a shorter one
    is_both: bool = False  # behind its context answers are scored and a text is written

    @property
    def keeps(self) -> bool:
        """Tells whether what is read of its context can be used again."""
        return self.goes_on or self.is_both


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work: all that is asked about the same pictures."""

    images: Mapping[str, ImageRef]  # by SHA-256, in the order in which they are first read
    scores: tuple[Ask, ...]  # those of one context side by side
    matches: tuple[Ask, ...]
    writes: tuple[Ask, ...]

    @property
    def asks(self) -> tuple[Ask, ...]:
        return (*self.scores, *self.matches, *self.writes)

    @property
    def goes_on(self) -> bool:
        return any(ask.goes_on for ask in self.asks)


Unit = tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The work of a round, sorted by how much each piece asks; equal pieces keep the order of their first requests."""

    work: tuple[Work, ...]
    later: frozenset[str] = frozenset()  # the SHA-256 of the pictures that conversations may show in later rounds
    begins: bool = True  # no context goes on from one of an earlier round

    @property
    def asks(self) -> list[Ask]:
        return [ask for item in self.work for ask in item.asks]

    @property
    def keys(self) -> list[Key]:
        return [ask.key for ask in self.asks]

    @property
    def n_requests(self) -> int:
        return len(self.keys)

    @property
    def n_images(self) -> int:
        return len({sha256 for item in self.work for sha256 in item.images})

    @property
    def n_prefixes(self) -> int:
        return len({key.context for key in self.keys if isinstance(key, ScoreKey)})

    @property
    def shared(self) -> frozenset[str]:
        """The SHA-256 of the pictures that are shown more than once, now or in later rounds."""
        times = Counter(sha256 for item in self.work for sha256 in item.images)
        going_on = (sha256 for item in self.work if item.goes_on for sha256 in item.images)
        return self.later.union(going_on, (sha256 for sha256, n in times.items() if n > 1))

    @property
    def n_texts(self) -> int:
        return len({(ask.wording, ask.key.answer) for ask in self.asks if isinstance(ask.key, ScoreKey)})

    @property
    def digest(self) -> str:
        """The SHA-256 over all keys in their order: equal digests, equal plans."""
        whole = hashlib.sha256()
        for key in self.keys:
            whole.update(f"{key!r}\n".encode())
        return whole.hexdigest()

    def units(self, n_work: int, done: Container[Key] = ()) -> list[Unit]:
        """Cuts the work into units of ``n_work`` pieces or fewer; units all ``done`` are left out.

        Conversations have units of their own, so that those of one unit stay together in all rounds.
        """
        parts = [tuple(item for item in self.work if item.goes_on == goes_on) for goes_on in (False, True)]
        cut = [part[start : start + n_work] for part in parts for start in range(0, len(part), n_work)]
        return [unit for unit in cut if any(ask.key not in done for item in unit for ask in item.asks)]


class Keys:
    """The keys of requests, made from the SHA-256 of the pictures. Contexts are digested once and remembered."""

    def __init__(self, sha256: Mapping[ImageRef, str]) -> None:
        self._sha256 = sha256
        self._known: dict[Context, tuple[str, Content]] = {}

    def of(self, request: Request) -> Key:
        context, _ = self._identity(request.context)
        if isinstance(request, Score):
            return ScoreKey(context, request.answer)
        if isinstance(request, Match):
            return MatchKey(context)
        return WriteKey(context, request.max_new_tokens, request.stop, request.place)

    def ask(self, request: Request, goes_on: bool, is_both: bool = False) -> Ask:
        context = request.context
        places = tuple(self._sha256[image] for image in context.places)
        return Ask(self.of(request), self._identity(context)[1], context.wording, places, goes_on, is_both)

    def _identity(self, context: Context) -> tuple[str, Content]:
        if context not in self._known:
            content = context.content(self._sha256)
            self._known[context] = digest_of(content), content
        return self._known[context]


def make_plan(
    requests: Iterable[Request],
    sha256: Mapping[ImageRef, str],
    going_on: Collection[Request] = frozenset(),
    both: Collection[Request] = frozenset(),
) -> Plan:
    """Makes the plan for some requests. ``sha256`` must hold every picture asked about.

    ``going_on`` are the requests of conversations; ``both`` are those of items that want answers scored and a text
    written behind one context.
    """
    keys = Keys(sha256)
    scores: dict[tuple[str, ...], dict[str, dict[Key, Ask]]] = {}  # by pictures, then context
    others: dict[tuple[str, ...], dict[Key, Ask]] = {}
    images: dict[tuple[str, ...], dict[str, ImageRef]] = {}
    for request in requests:
        ask = keys.ask(request, request in going_on, request in both)
        shown = tuple(dict.fromkeys(ask.places))
        if shown not in images:
            images[shown] = dict(zip(reversed(ask.places), reversed(request.context.places), strict=True))
        if isinstance(ask.key, ScoreKey):
            scores.setdefault(shown, {}).setdefault(ask.key.context, {}).setdefault(ask.key, ask)
        else:
            others.setdefault(shown, {}).setdefault(ask.key, ask)
    work = [
        Work(
            {sha: images[shown][sha] for sha in shown},
            tuple(ask for of_context in scores.get(shown, {}).values() for ask in of_context.values()),
            tuple(ask for key, ask in others.get(shown, {}).items() if isinstance(key, MatchKey)),
            tuple(ask for key, ask in others.get(shown, {}).items() if isinstance(key, WriteKey)),
        )
        for shown in images
    ]
    work.sort(key=lambda item: (item.goes_on, len(item.writes), len(item.scores)))  # a batch wants rows of one shape
    return Plan(tuple(work))


def shared_out(units: Sequence[Unit], n_processes: int) -> list[list[Unit]]:
    """Shares the units out among processes, so that all have about equally much to do; the units keep their order."""
    shares: list[list[Unit]] = [[] for _ in range(n_processes)]
    loads = [(0.0, rank) for rank in range(n_processes)]
    for unit in units:
        load, rank = heapq.heappop(loads)
        shares[rank].append(unit)
        heapq.heappush(loads, (load + _cost(unit), rank))
    return shares


def _cost(unit: Unit) -> float:
    """Estimates the time that a unit takes, in encoded images; roughly right for a BabyLLaVA on a CPU."""
    return sum(max(1, len(item.images)) + sum(_cost_behind(ask.key) for ask in item.asks) for item in unit)


def _cost_behind(asked: Key | Request) -> float:
    """Estimates the time that an answer takes beside that of its pictures."""
    return 0.05 * asked.max_new_tokens if isinstance(asked, WriteKey | Write) else 0.1


def cost_of(request: Request) -> float:
    """Estimates the time that a request takes with a picture of its own."""
    return 1 + _cost_behind(request)


def cost_of_asks(work: Iterable[Work]) -> dict[Key, float]:
    """Estimates the time that each answer of some work takes; the pictures of a piece are shared out to its answers."""
    return {
        ask.key: max(1, len(item.images)) / len(item.asks) + _cost_behind(ask.key) for item in work for ask in item.asks
    }
