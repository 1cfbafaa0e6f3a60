"""The examination of a wrapper that a leaderboard will run: does each of its methods do what the board's scores assume?

Owns the checks, and what each finding means for the score. A wrapper's own code is not read but run, on drawn pictures
(probes.py): a check that its answers cannot decide says so, and never counts as passed. Never changes a wrapper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from PIL.Image import Image

from babycli.errors import ModelError
from babycli.interop.lmms.probes import (
    FOUR,
    MOST_TOKENS,
    ONE,
    PlantedError,
    Probes,
    Readings,
    broken,
    picture,
)
from babycli.interop.lmms.questions import Question, Talk
from babycli.interop.lmms.sign import ROUNDING
from babycli.interop.lmms.wrapper import METHODS, MULTI_ROUND, NotOfferedError, Wrapper
from babycli.tasks.replies import is_empty, is_error_message

BATCH_SIZE = 16  # of the board
N_VARIED = 6  # conversations
_LONG = "the ball and the cup and the star and the fish and the tree"  # a right answer that is longer than any reply
_LOST = {
    "loglikelihood": "Looking While Listening (baby_winoground) counts 0 of the eleven",
    "generate_until": "nine of the eleven tasks count 0",
    MULTI_ROUND: "Memory counts 0 of the eleven",
}


class Verdict(StrEnum):
    OK = "ok"
    WRONG = "wrong"  # the score will not be the model's
    UNKNOWN = "?"  # its answers do not tell


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, with what it means for the score."""

    verdict: Verdict
    check: str  # what was checked, in a few words
    what: str


def inspect(wrapper: Wrapper) -> list[Finding]:
    """Examines a wrapper. Raises ModelError where it cannot be asked at all."""
    return [*_Inspection(wrapper).findings()]


class _Inspection:
    def __init__(self, wrapper: Wrapper) -> None:
        self._wrapper, self._probes = wrapper, Probes()
        self._offers = {method for method in METHODS if not wrapper.registered.why_not_offered(method)}

    def findings(self) -> Iterator[Finding]:
        yield from self._construction()
        for method in METHODS:
            yield from self._offered(method)
        if "loglikelihood" in self._offers:
            yield from self._losses()
        if "generate_until" in self._offers:
            yield from self._texts()
        if MULTI_ROUND in self._offers:
            yield from self._talks()
        for method in METHODS:
            if method in self._offers:
                yield from self._swallowed(method)

    # ------------------------------------------------------------ construction and methods

    def _construction(self) -> Iterator[Finding]:
        registered = self._wrapper.registered
        lacking = [
            name
            for name in ("pretrained", "conv_template", "batch_size")
            if registered.parameter(name) is None and not registered.takes_any
        ]
        if lacking:
            what = f"the constructor takes no {' and no '.join(lacking)}, which the board gives: its run ends there"
            yield Finding(Verdict.WRONG, "arguments", what)
        else:
            yield Finding(Verdict.OK, "arguments", "the constructor takes what the board gives")
        size = self._wrapper.batch_size
        if size is not None and size != BATCH_SIZE and not lacking:
            what = f"batch_size={BATCH_SIZE} was given, and the wrapper says {size}: slower, no other scores"
            yield Finding(Verdict.UNKNOWN, "batch size", what)

    def _offered(self, method: str) -> Iterator[Finding]:
        why = self._wrapper.registered.why_not_offered(method)
        if not why:
            try:
                self._ask_once(method)
            except NotOfferedError as error:
                why = str(error)
        if why:
            self._offers.discard(method)
            yield Finding(Verdict.WRONG, f"{method} is there", f"{why}: {_LOST[method]}")
        else:
            yield Finding(Verdict.OK, f"{method} is there", "it answers")

    def _ask_once(self, method: str) -> object:
        if method == "loglikelihood":
            return self._loss(self._probes.question("", [picture(1)], "ball"))
        if method == "generate_until":
            return self._text(self._probes.question(ONE, [picture(1)]))
        return self._replies(self._probes.talk([picture(1), picture(1), picture(2)]))

    # ------------------------------------------------------------ loglikelihood

    def _losses(self) -> Iterator[Finding]:
        shown = [self._probes.question("", [picture(n)], text) for n in range(6) for text in ("ball", "a red cup")]
        losses = [scored.value for scored in self._wrapper.loglikelihood(shown)]
        yield _sign_finding(losses)
        alone = [self._loss(question) for question in shown]
        yield _same("loglikelihood, alone and with others", losses, alone, lambda a, b: abs(a - b) <= 1e-2)
        of_one_text = losses[::2]
        if len(set(of_one_text)) == 1:
            what = "the number is the same for six pictures: the picture does not reach the model, and pairs tie (0)"
            yield Finding(Verdict.WRONG, "loglikelihood, picture", what)
        else:
            yield Finding(Verdict.OK, "loglikelihood, picture", "the number changes with the picture")
        if all(math.isfinite(loss) and loss > ROUNDING for loss in losses):
            yield self._mean_or_sum()

    def _mean_or_sum(self) -> Finding:
        short = [(n, text) for n in range(3) for text in ("ball", "cup")]
        ratios = [
            self._loss(self._probes.question("", [picture(n)], " ".join([text] * 8)))
            / self._loss(self._probes.question("", [picture(n)], text))
            for n, text in short
        ]
        ratio = sum(ratios) / len(ratios)
        if ratio > 4:
            what = (
                f"an answer of eight times the words has {ratio:.1f} times the number: a sum, it seems; the board "
                "expects a mean, and with a sum the shorter phrase wins"
            )
            return Finding(Verdict.UNKNOWN, "mean or sum", what)
        return Finding(
            Verdict.OK, "mean or sum", f"an answer of eight times the words has {ratio:.1f} times the number"
        )

    # ------------------------------------------------------------ generate_until

    def _texts(self) -> Iterator[Finding]:
        yield self._order_read()
        yield self._order_seen()
        questions = [self._probes.question(FOUR, [picture(4 * n + k) for k in range(4)]) for n in range(4)]
        questions += [self._probes.question(ONE, [picture(n)]) for n in range(4)]
        together, alone = self._wrapper.generate(questions), [self._text(question) for question in questions]
        yield _same("generate_until, alone and with others", together, alone)
        yield _same("generate_until, twice the same", together, self._wrapper.generate(questions))
        answers = [self._probes.question(FOUR, [picture(4 * n + k) for k in range(4)], right="D") for n in range(4)]
        what = "right answers in its document"
        yield _unmoved("generate_until", what, alone[:4], [self._text(question) for question in answers])

    def _order_read(self) -> Finding:
        """Looks in which order the pictures of a question are read: as they are shown, if all is well."""
        check, readings = "generate_until, order of pictures", Readings()
        self._text(self._probes.question(FOUR, readings.watched([picture(n) for n in (3, 12, 21, 30)])))
        read = [place + 1 for place in readings.places]
        if read == [1, 2, 3, 4] and readings.last == [3, 2, 1, 0]:
            what = "four pictures are opened in their order and then read backwards: letters and pictures do not agree"
            return Finding(Verdict.WRONG, check, what)
        if read == [1, 2, 3, 4]:
            return Finding(Verdict.OK, check, "four pictures are read in their order")
        if len(read) < 4:
            what = f"of four pictures, it reads {_numbers(read)}: tasks with several pictures are guessed"
        else:
            what = f"four pictures are read in the order {_numbers(read)}: letters and pictures do not belong together"
        return Finding(Verdict.WRONG, check, what)

    def _order_seen(self) -> Finding:
        """Looks whether answers change with the order of pictures; by losses, if there are any: these always move."""
        check = "order of pictures counts"
        orders = [(0, 1, 2, 3), (3, 2, 1, 0), (0, 1, 2, 7), (1, 0, 2, 3)]
        sets = [[picture(5 * base + n) for n in order] for base in range(3) for order in orders]
        is_scored = "loglikelihood" in self._offers
        if is_scored:
            given: list[object] = [self._loss(self._probes.question(FOUR, shown, "A")) for shown in sets]
        else:
            given = [self._text(self._probes.question(FOUR, shown)) for shown in sets]
        same = [(given[i], *given[i + 1 : i + 4]) for i in range(0, len(given), 4)]
        if any(base not in (turned, swapped) for base, turned, _, swapped in same):
            return Finding(Verdict.OK, check, "another order of the same pictures gives another answer")
        if any(base != other for base, _, other, _ in same):
            what = "other pictures give another answer, another order of the same ones does not: their order is lost"
            return Finding(Verdict.WRONG if is_scored else Verdict.UNKNOWN, check, what)
        if is_scored:
            what = "with another fourth picture the number is the same: pictures after the first do not reach the model"
            return Finding(Verdict.WRONG, check, what)
        return Finding(Verdict.UNKNOWN, check, "it says the same to all pictures")

    # ------------------------------------------------------------ conversations

    def _talks(self) -> Iterator[Finding]:
        base = [[picture(3 * n), picture(3 * n), picture(3 * n + 1)] for n in range(N_VARIED)]
        said = [self._replies(self._probes.talk(shown)) for shown in base]
        yield _same(
            f"{MULTI_ROUND}, twice the same", said, self._wrapper.converse([self._probes.talk(s) for s in base])
        )
        yield self._rights_unread(base, said)
        yield self._history(said)
        yield self._own_reply(said)
        if "generate_until" in self._offers:
            yield self._one_turn()

    def _history(self, said: Sequence[tuple[str, ...]]) -> Finding:
        check = "turn 2 sees turn 1"
        first_changed = [self._replies(self._probes.talk([picture(50 + n), *_fresh(n)])) for n in range(N_VARIED)]
        own_changed = [
            self._replies(self._probes.talk([picture(3 * n), picture(60), picture(61)])) for n in range(N_VARIED)
        ]
        seconds = [replies[1] for replies in said]
        if any(a != b[1] for a, b in zip(seconds, first_changed, strict=True)):
            return Finding(Verdict.OK, check, "another picture in turn 1 changes the reply in turn 2")
        n_moved = sum(a != b[1] for a, b in zip(seconds, own_changed, strict=True))
        if n_moved >= 2:
            what = (
                f"other pictures in turn 2 change its reply ({n_moved} of {N_VARIED}), another in turn 1 never does: "
                "it has no history, so Memory is guessed"
            )
            return Finding(Verdict.WRONG, check, what)
        return Finding(Verdict.UNKNOWN, check, "its replies in turn 2 are the same whatever is shown")

    def _rights_unread(self, base: Sequence[list[Image]], said: Sequence[tuple[str, ...]]) -> Finding:
        """Puts other right answers into the documents, and long ones.

        A model may say the same behind any history. Where its network can be found, how much that reads tells it too.
        """
        what = "right answers in its document"
        others = [self._replies(self._probes.talk(shown, rights=("B", "A"))) for shown in base]
        others += [self._replies(self._probes.talk(shown, rights=(_LONG, _LONG))) for shown in base]
        finding = _unmoved(MULTI_ROUND, what, [*said, *said], others)
        if finding.verdict == Verdict.OK:
            short, long = (self._lengths(self._probes.talk(base[0], rights=(right, right))) for right in ("A", _LONG))
            if short != long:
                what_for = "longer ones give its network more to read in turn 2: they stand where its own reply belongs"
                return Finding(Verdict.WRONG, finding.check, what_for)
        return finding

    def _own_reply(self, said: Sequence[tuple[str, ...]]) -> Finding:
        """Lets it write one token in each turn instead of many: of what turn 2 sees, only the reply of turn 1 differs.

            many    turn 1 "a b c"    turn 2, behind "a b c", "d e f"
            one     turn 1 "a"        turn 2, behind "a", "d" if it begins as before, so "x" shows that it saw the reply

        Where its network can be found, how much that reads in turn 2 tells it too.
        """
        check = "turn 2 sees the reply of turn 1"
        short = [self._replies(self._probes.talk([picture(3 * n), *_fresh(n)], most=1)) for n in range(N_VARIED)]
        told = [(n, b) for n, b in enumerate(short) if said[n][0].strip() != b[0].strip()]
        if not told:
            what = "its replies in turn 1 are one token long, or do not heed max_new_tokens"
            return Finding(Verdict.UNKNOWN, check, what)
        if any(not said[n][1].strip().startswith(b[1].strip()) for n, b in told):
            return Finding(Verdict.OK, check, "a shorter reply in turn 1 changes how turn 2 begins")
        pictures = [picture(3 * told[0][0]), *_fresh(told[0][0])]
        lengths = [self._lengths(self._probes.talk(pictures, most=most)) for most in (1, MOST_TOKENS)]
        if all(len(read) == 2 for read in lengths):
            (_, short_read), (_, long_read) = lengths
            if long_read > short_read:
                return Finding(Verdict.OK, check, "a longer reply in turn 1 gives its network more to read in turn 2")
            what = (
                "a longer reply in turn 1 gives its network no more to read in turn 2: the reply is not in its history"
            )
            return Finding(Verdict.WRONG, check, what)
        what = f"{len(told)} shorter replies in turn 1 never change how turn 2 begins"
        return Finding(Verdict.UNKNOWN, check, what)

    def _lengths(self, talk: Talk) -> list[int]:
        """Gives how much its network reads at the beginning of each turn.

        Each token may be read alone, or with all before it again: a turn begins where the length grows otherwise.
        """
        with self._wrapper.watched() as lengths:
            self._replies(talk)
        return [length for before, length in zip([0, *lengths], lengths, strict=False) if length != before + 1]

    def _one_turn(self) -> Finding:
        check = "a conversation of one turn"
        shown = [[picture(4 * n + k) for k in range(4)] for n in range(4)]
        texts = [self._text(self._probes.question(FOUR, pictures)).strip() for pictures in shown]
        replies = [self._replies(self._probes.talk(pictures, (FOUR,), ("A",)))[0].strip() for pictures in shown]
        n_other = sum(a != b for a, b in zip(texts, replies, strict=True))
        if n_other:
            what = f"{n_other} of 4 questions get another reply than from generate_until: they are put differently"
            return Finding(Verdict.UNKNOWN, check, what)
        return Finding(Verdict.OK, check, "gets the reply that generate_until gives")

    # ------------------------------------------------------------ exceptions

    def _swallowed(self, method: str) -> Iterator[Finding]:
        check = f"{method}, exceptions"
        plants: list[tuple[str, Callable[[], object]]] = [
            ("a picture that cannot be read", lambda: self._planted(method, broken(5)))
        ]
        if method == "generate_until":
            plants.append(
                (
                    "a question with four places and one picture",
                    lambda: self._text(self._probes.question(FOUR, [picture(5)])),
                )
            )
        found = [self._reply_to(*plant) for plant in plants]
        with self._wrapper.failing(PlantedError("planted by babycli")) as can_fail:
            if can_fail:
                found.append(self._reply_to("an exception in its network", lambda: self._ask_once(method)))
        swallowed = [finding for finding in found if finding]
        if swallowed:
            what = f"{'; '.join(swallowed)}: counted as a wrong answer, and nobody is told"
            yield Finding(Verdict.WRONG, check, what)
        else:
            yield Finding(Verdict.OK, check, "errors are raised")

    def _planted(self, method: str, planted: Image) -> object:
        shown = [planted, picture(1), picture(2)]
        if method == MULTI_ROUND:
            return self._replies(self._probes.talk(shown))
        answer = "ball" if method == "loglikelihood" else ""
        question = self._probes.question(ONE if not answer else "", shown[:1], answer)
        return self._loss(question) if answer else self._text(question)

    def _reply_to(self, what: str, ask: Callable[[], object]) -> str:
        """Tells what a planted fault became; "" where it was raised, or gave what looks like a proper answer."""
        try:
            given = ask()
        except (ModelError, NotOfferedError):
            return ""
        texts = given if isinstance(given, tuple) else (given,)
        is_planted = "four places" not in what
        written = [text for text in texts if isinstance(text, str)]
        is_none = any(is_empty(text) or is_error_message(text) for text in written)
        return f"{what} became {given!r:.80}" if is_planted or is_none else ""

    # ------------------------------------------------------------ asking

    def _loss(self, question: Question) -> float:
        (scored,) = self._wrapper.loglikelihood([question])
        return scored.value

    def _text(self, question: Question) -> str:
        (text,) = self._wrapper.generate([question])
        return text

    def _replies(self, talk: Talk) -> tuple[str, ...]:
        (replies,) = self._wrapper.converse([talk])
        return replies


def _fresh(n: int) -> list[Image]:
    return [picture(3 * n), picture(3 * n + 1)]


def _sign_finding(losses: Sequence[float]) -> Finding:
    check = "sign of the loss"
    if any(math.isnan(loss) for loss in losses):
        return Finding(Verdict.WRONG, check, "it gives NaN: look for NaN in the checkpoint, or try another precision")
    negative = [loss for loss in losses if loss < -ROUNDING]
    if negative:
        what = (
            f"it gives {negative[0]:.4g}, a log-probability; the board takes the lower number for the better phrase: "
            "every choice of Looking While Listening is turned around; give the mean loss"
        )
        return Finding(Verdict.WRONG, check, what)
    if all(abs(loss) <= ROUNDING for loss in losses):
        return Finding(Verdict.UNKNOWN, check, "every number is 0")
    return Finding(Verdict.OK, check, "numbers are at least 0, as losses are")


def _same(
    check: str,
    first: Sequence[object],
    second: Sequence[object],
    alike: Callable[..., bool] = lambda a, b: bool(a == b),
) -> Finding:
    n_other = sum(not alike(a, b) for a, b in zip(first, second, strict=True))
    if not n_other:
        return Finding(Verdict.OK, check, f"{len(first)} answers are the same")
    if sorted(map(repr, first)) == sorted(map(repr, second)):
        what = f"{n_other} of {len(first)} answers are those of other requests: they come back in another order"
    else:
        what = f"{n_other} of {len(first)} answers are others, so that the score depends on chance or on neighbours"
    return Finding(Verdict.WRONG, check, what)


def _unmoved(method: str, what: str, first: Sequence[object], second: Sequence[object]) -> Finding:
    check = f"{method}, {what}"
    n_other = sum(a != b for a, b in zip(first, second, strict=True))
    if n_other:
        return Finding(Verdict.WRONG, check, f"other ones change {n_other} of {len(first)} replies: it reads them")
    return Finding(Verdict.OK, check, "other ones change no reply")


def _numbers(read: Sequence[int]) -> str:
    return ", ".join(map(str, read)) or "none"
