"""Models that see nothing: what they get in a task, with the right pictures, with wrong ones, and without any.

Owns these models and the items that they are asked about. A model's loss is what it prefers of words and of pictures,
plus noise of its own for each picture and text; what it writes is drawn for each picture. So the right picture tells it
nothing. It is asked by the tasks themselves, and shown what the controls show.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from babycli.domain import (
    Answer,
    Context,
    ImageRef,
    Item,
    Loglikelihood,
    Match,
    Outcome,
    Request,
    Row,
    Score,
    Similarity,
    Text,
    Write,
)
from babycli.evaluation.controls import shuffled
from babycli.evaluation.inputs import TaskInput
from babycli.report.gain import Gain, visual_gain
from babycli.report.rows import TableRow
from babycli.report.runs import Run
from babycli.report.trials import TaskTrials, from_outcomes
from babycli.tasks import all_tasks
from babycli.tasks.base import Asking, Task
from babycli.wording import AnswerWay
from tests.data.devcv_sets import DIRECTIONS, entry
from tests.report.logs import fake_run

NOUNS = ("ball", "cup", "dog", "hand", "book", "car", "bed", "door", "toy", "cat")
CAPTIONS = [f"{a} {b} on the table" for a in ("a", "the small") for b in NOUNS[:6]]
BOTH = (AnswerWay.WRITTEN, AnswerWay.CHOSEN)


@dataclass(frozen=True, slots=True)
class Noise:
    """How a model that sees nothing answers."""

    name: str
    of_words: float = 0.0  # the spread of what it prefers of texts, against noise of spread 1
    of_right_words: float = 0.0  # how much more, on average, the phrases that are right
    of_pictures: float = 0.0  # the spread of what it prefers of pictures
    of_frames: float = 0.0  # how much more frames than synthetic ones
    has_levels: bool = False  # its losses are whole numbers, so that many are equal
    is_dual: bool = False  # similarities; a blind run of it sees mean colours


MODELS = (
    Noise("independent"),
    Noise("words", of_words=1.0, of_right_words=0.4),
    Noise("wrong words", of_words=1.0, of_right_words=-0.4),
    Noise("pictures", of_pictures=1.0, of_frames=1.0),
    Noise("all", of_words=2.0, of_right_words=0.5, of_pictures=1.0, of_frames=0.5),
    Noise("levels", of_words=0.5, of_pictures=0.5, has_levels=True),
    Noise("similarity", of_words=0.5, of_right_words=0.2, of_pictures=0.5, of_frames=0.5, is_dual=True),
)


class _Drawn:
    """One model of a kind: what is asked again has the same answer."""

    def __init__(self, noise: Noise, rng: random.Random) -> None:
        self._noise, self._rng = noise, rng
        self._kept: dict[object, Any] = {}
        self._numbers: dict[Context, int] = {}  # of all contexts so far: a context is slow to look up
        self._last: tuple[Context, int] | None = None
        self._favourites = [rng.random() ** 2 for _ in range(40)]

    def _normal(self, *key: object) -> float:
        if key not in self._kept:
            self._kept[key] = self._rng.gauss(0.0, 1.0)
        return cast(float, self._kept[key])

    def _number(self, context: Context) -> int:
        if self._last is None or self._last[0] is not context:
            self._last = context, self._numbers.setdefault(context, len(self._numbers))
        return self._last[1]

    def answer(self, request: Request, others: Sequence[Request]) -> Answer:
        if isinstance(request, Write):
            return self._written(request, [other.answer for other in others if isinstance(other, Score)])
        noise, text = self._noise, request.answer if isinstance(request, Score) else ""
        loss = self._normal(self._number(request.context), text) + noise.of_words * self._normal("word", text)
        loss -= noise.of_right_words if text.startswith("right") else 0.0
        for image in request.context.images if noise.of_pictures or noise.of_frames else ():
            loss += noise.of_pictures * self._normal("picture", image)
            loss -= noise.of_frames if image.source == "saycam" or "frame" in image.name else 0.0
        loss = float(round(loss)) if noise.has_levels else loss
        is_near = noise.is_dual or isinstance(request, Match)
        return Similarity(-loss) if is_near else Loglikelihood((-20.0 - loss,), is_greedy=False)

    def _written(self, request: Write, offered: Sequence[str]) -> Text:
        texts = list(offered) or CAPTIONS
        key = ("written", self._number(request.context))
        if key not in self._kept:
            weights = [self._favourites[i % 40] for i in range(len(texts))]
            self._kept[key] = self._rng.choices(texts, weights)[0]
        return Text(self._kept[key], (), True)


def _played(task: Task, items: Sequence[Item], model: _Drawn, show: Callable[[Context], Context]) -> list[Outcome]:
    """Plays all items as the engine does, with what a control shows."""
    outcomes = []
    for item in items:
        game = task.play(item, Asking("What is it?"))
        requests = next(game)
        while True:
            contexts = {id(request.context): request.context for request in requests}
            of_control = {key: show(context) for key, context in contexts.items()}
            shown = [_with(request, of_control[id(request.context)]) for request in requests]
            try:
                requests = game.send([model.answer(request, shown) for request in shown])
            except StopIteration as end:
                outcomes.append(end.value)
                break
    return outcomes


def _with(request: Request, context: Context) -> Request:
    if isinstance(request, Score):
        return Score(context, request.answer)
    return Match(context) if isinstance(request, Match) else Write(context, request.max_new_tokens)


def gains(task: Task, items: Sequence[Item], noise: Noise, seed: int) -> tuple[Gain | None, Gain | None]:
    """Gives the gain of one such model over its blind run, and over its run with wrong pictures."""
    rng = random.Random(f"{task.name} {noise.name} {seed}")
    model = _Drawn(noise, rng)
    images = {image: image.name for item in items for image in item.images}
    wrong = shuffled(TaskInput(task, cast(Any, None), tuple(items), ()), images)

    def blind(context: Context) -> Context:
        if not noise.is_dual:
            return context.without_images()
        return context.showing(lambda image: ImageRef("mean colour", f"{image.source} {image.name}"))

    runs = {
        control: _run(task, items, _played(task, items, model, show), control)
        for control, show in (
            ("", lambda context: context),
            ("blind", blind),
            ("shuffled", lambda context: context.showing(lambda image: wrong[image])),
        )
    }
    seeing, unseeing, other = (TableRow(control, (run,)) for control, run in runs.items())
    return visual_gain(seeing, [seeing, unseeing]), visual_gain(seeing, [seeing, unseeing, other])


def _run(task: Task, items: Sequence[Item], outcomes: Sequence[Outcome], control: str) -> Run:
    trials: TaskTrials = from_outcomes(task, items, outcomes)
    return fake_run(trials, control, {metric.name: task.chance_of(metric, items) for metric in task.metrics})


# ---------------------------------------------------------------- items


def items_of(name: str, n: int, seed: int = 0) -> tuple[Task, list[Item]]:
    """Makes a task's items, as many as are asked for, with right answers in places that are drawn."""
    task = all_tasks()[name]
    if task.ways:
        task = task.fitted(BOTH, ("generate", "loglikelihood"))
    rng = random.Random(f"{name} {seed}")
    rows = [row for i in range(n) for row in _ROWS.get(name, _letters)(i, n, rng)]
    return task, task.items(rows)


def _frame(i: int) -> str:
    return f"S_2013{1 + i // 12 % 12:02}{1 + i // 144 % 28:02}_{i // 12:04}_01_{i:04}_00.jpg"


def _phrases(i: int) -> dict[str, str]:
    return {"positive_phrase": f"right {i}", "negative_phrase": f"other {i}"}


def _labeled_s(i: int, n: int, rng: random.Random) -> list[Row]:
    target = i * min(22, n) // n
    others = rng.sample([c for c in range(22) if c != target], 3)
    return [
        {"trial_id": str(i), "target_category": f"c{target}", "real_category": f"c{c}", "image": f"c{c}/{rng.random()}"}
        for c in (target, *others)
    ]


def _vtwt(i: int, n: int, rng: random.Random) -> list[Row]:
    return [{"image": _frame(i), **_phrases(i)}]


def _baby_winoground(i: int, n: int, rng: random.Random) -> list[Row]:
    frame, picture = {"image": _frame(i), "image_tag": "positive"}, {"image": f"{i}_neg", "image_tag": "negative"}
    return [{"instance_id": str(i), **_phrases(i), **row} for row in (frame, picture)]


def _caption(i: int, n: int, rng: random.Random) -> list[Row]:
    return [{"image": _frame(i), "text": f"there is a {rng.choice(NOUNS)} on the {rng.choice(('table', 'floor'))}"}]


def _letters(i: int, n: int, rng: random.Random) -> list[Row]:
    return _of_letters("ABC", i, rng)


def _two_letters(i: int, n: int, rng: random.Random) -> list[Row]:
    return _of_letters("AB", i, rng)


def _four_letters(i: int, n: int, rng: random.Random) -> list[Row]:
    return _of_letters("ABCD", i, rng)


def _of_letters(letters: str, i: int, rng: random.Random) -> list[Row]:
    text = "Touch the image. " + " ".join(f"({letter}) <image>" for letter in letters)
    return [entry(f"item_{i}", [(text, rng.choice(letters))], [f"{i}_{k}.jpg" for k in range(len(letters))])]


def _leaves(i: int, n: int, rng: random.Random) -> list[Row]:
    words = [word.strip(" '") for word in DIRECTIONS.replace(" or ", " ").split(",")]
    right = rng.choices(words, (1, 1, 4, 4, 1, 1, 1, 1))[0]
    return [entry(f"item_{i}", [(f"<image> Where does it leave? One of: {DIRECTIONS}.", right)], [f"{i}.jpg"])]


def _left_or_right(i: int, n: int, rng: random.Random) -> list[Row]:
    return [entry(f"item_{i}", [("<image> Where does it hide? 'left' or 'right'.", rng.choice(("left", "right")))],
                  [f"{i}.jpg"])]  # fmt: skip


def _number(i: int, n: int, rng: random.Random) -> list[Row]:
    right = rng.choices(range(1, 6), (5, 4, 3, 2, 1))[0]
    return [entry(f"item_{i}", [("<image> How many of cup do you see?", str(right))], [f"{i}.jpg"])]


def _memory(i: int, n: int, rng: random.Random) -> list[Row]:
    things = [f"thing{k}" for k in range(3)]
    shown = [[things[0]], [things[1], things[0]], [things[2], things[1]]]
    shown += [[old, f"new{k}"] for k, old in enumerate([*things, *things])]
    for pair in shown:
        rng.shuffle(pair)
    new = [
        next(t for t in pair if k == 0 or t not in {x for p in shown[:k] for x in p}) for k, pair in enumerate(shown)
    ]
    turns = [
        (" ".join(f"({letter}) <image>" for letter, _ in zip("AB", pair, strict=False)), "AB"[pair.index(right)])
        for pair, right in zip(shown, new, strict=True)
    ]
    names = [f"{i}_{k}.jpg" for k in range(sum(map(len, shown)))]
    return [entry(f"item_{i}", turns, names, labels=shown)]


def _lexical(i: int, n: int, rng: random.Random) -> list[Row]:
    of_word = {"word": f"word {i // 2}", "frequency_bin": rng.choice(("[1,2)", "[4,8)", "[8,16)", "[8,16)"))}
    texts = {"caption_positive": f"right {i // 2}", "caption_negative": f"other {i // 2}"}
    pictures = {"image_positive": f"{i}_a.png", "image_negative": f"{i}_b.png"}
    return [{"style": rng.choice(("realistic", "cartoon")), **of_word, **texts, **pictures}]


def _grammatical(i: int, n: int, rng: random.Random) -> list[Row]:
    of_word = {"style": rng.choice(("realistic", "cartoon")), "word": f"word {i // 2}"}
    return [of_word | {"caption_a": f"right {i}", "caption_b": f"other {i}", "image_0": f"{i}_a", "image_1": f"{i}_b"}]


_ROWS: Mapping[str, Callable[[int, int, random.Random], list[Row]]] = {
    "labeled_s": _labeled_s,
    "vtwt": _vtwt,
    "baby_winoground": _baby_winoground,
    "saycam_caption": _caption,
    "baby_pv": _four_letters,
    "baby_localize": _four_letters,
    "baby_compare_real": _two_letters,
    "baby_compare_synthetic": _two_letters,
    "baby_vdr_binary": _left_or_right,
    "baby_vdr_open": _leaves,
    "baby_count": _number,
    "baby_subitize": _number,
    "baby_memory": _memory,
    "lex_nouns": _lexical,
    "gram_negation": _grammatical,
}
