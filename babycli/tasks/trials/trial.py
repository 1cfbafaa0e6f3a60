"""A line of a trials file: what is shown, what is offered, and what is right.

Owns the form of a line. Never asks anything: kinds.py does.

    {"id": "1", "images": ["a.jpg"], "options": ["ball", "cup"], "answer": "ball"}
    {"id": "2", "options": [{"image": "a.jpg", "text": "ball"}, {"image": "b.jpg", "text": "ball"}], "answer": 0}
    {"id": "3", "context": "What is <image>?", "images": ["a.jpg"], "answer": ["a ball", "ball"], "metric": "exact"}
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict, get_args

from babycli.domain import IMAGE_PLACE, Context, ImageRef, Part, Role, Row, Turn, ask
from babycli.typed import Keywords
from babycli.wording import any_of, did_you_mean, listed

MetricName = Literal["choice", "exact", "meteor", "pairs"]
Speaker = Literal["user", "model", "assistant"]  # the last two are one
METRICS: tuple[MetricName, ...] = get_args(MetricName)
_PICTURE_NAME = re.compile(r".*\.(jpe?g|png|gif|webp|bmp|tiff?)", re.IGNORECASE | re.DOTALL)
_AROUND = " \t\r\n\"'`.,;:!?()[]*_“”‘’"
_NAMED = "a text or a whole number"


_Words = Annotated[str, Keywords({"pattern": r"\S"})]
_Index = Annotated[int, Keywords({"minimum": 0})]


class SaidTurn(TypedDict):
    """A turn of a context; pictures stand where the user's words say <image>."""

    role: Speaker
    content: _Words


class WrittenOption(TypedDict):
    """An option that is a picture, or a text about a picture."""

    image: _Words
    text: NotRequired[_Words]


class TrialLine(TypedDict):
    """A line of a trials file."""

    id: _Words | int
    context: NotRequired[_Words | Annotated[list[SaidTurn], Keywords({"minItems": 1})]]
    images: NotRequired[list[_Words]]
    options: NotRequired[Annotated[list[_Words | WrittenOption], Keywords({"minItems": 2})]]
    answer: NotRequired[_Words | _Index | Annotated[list[_Words | _Index], Keywords({"minItems": 1})]]
    metric: NotRequired[MetricName]
    group: NotRequired[_Words | int]
    cluster: NotRequired[_Words | int]
    meta: NotRequired[Any]


KEYS = tuple(TrialLine.__annotations__)


@dataclass(frozen=True, slots=True)
class Option:
    """What a trial offers: a text, a picture, or a text about a picture."""

    text: str = ""
    image: str = ""

    @property
    def name(self) -> str:
        """Its name for people: the text and, where it has one, the picture."""
        return f"{self.text} ({self.image})" if self.text and self.image else self.text or self.image


@dataclass(frozen=True, slots=True)
class Trial:
    """A line of a trials file that is as it should be."""

    trial_id: str
    turns: tuple[tuple[Role, str], ...]  # who says what; none: it is asked as the tasks of BabyVLM are
    images: tuple[str, ...]
    options: tuple[Option, ...]
    right: tuple[int, ...]  # the places of the right options, from 0
    texts: tuple[str, ...]  # what may be written: of exact and meteor
    metric: MetricName
    group: str
    cluster: str

    @property
    def shows_options(self) -> bool:
        """Tells whether the options are pictures, or texts about pictures."""
        return any(option.image for option in self.options)

    @property
    def are_compared(self) -> bool:
        """Tells whether the options are pictures alone that are compared with a picture."""
        return self.shows_options and not self.turns and not any(option.text for option in self.options)

    @property
    def words(self) -> str:
        """The words that are scored for each of the options, which are pictures alone; "" for other trials."""
        is_words = self.shows_options and not self.images and not any(option.text for option in self.options)
        return self.turns[0][1] if is_words and self.turns else ""

    @property
    def n_shown(self) -> int:
        """The number of pictures in one of its contexts."""
        if self.metric == "pairs":
            return 1
        return len(self.images) + self.shows_options

    @property
    def n_turns(self) -> int:
        """The number of turns of the user."""
        return sum(role == "user" for role, _ in self.turns) or 1

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of all its pictures, in the order in which the line has them."""
        return (*self.images, *(option.image for option in self.options if option.image))

    def context(self, prompt: str, pictures: Sequence[ImageRef]) -> Context:
        """Makes the context that shows these pictures: in the trial's own words or, where it has none, in the prompt's.

        They stand where the words say ``<image>``, else in front of the first turn.
        """
        if not self.turns or self.words:
            return ask(prompt, *pictures)
        if not any(IMAGE_PLACE in text for _, text in self.turns):
            (_, first), *others = self.turns
            return Context((*ask(first, *pictures).turns, *(Turn(role, (text,)) for role, text in others)))
        left = list(pictures)
        turns: list[Turn] = []
        for role, text in self.turns:
            head, *tails = text.split(IMAGE_PLACE)
            parts: list[Part] = [head]
            for tail in tails:
                parts += [left.pop(0), tail]
            turns.append(Turn(role, tuple(parts)))
        return Context(tuple(turns))


class TrialError(ValueError):
    """A line is no trial; the text says why, behind the name of the line."""


def read_trial(row: Row) -> Trial:
    """Makes a trial of a line. Raises TrialError."""
    for key in row:
        if key not in KEYS:
            raise TrialError(f"has the key {key!r:.60}.{did_you_mean(str(key), KEYS)} The keys are {', '.join(KEYS)}")
    if "id" not in row:
        raise TrialError(f"has no id; write {_NAMED}")
    trial_id, metric = _name(row, "id"), _metric(row)
    turns, images, options = _turns(row), _images(row), _options(row)
    trial = Trial(
        trial_id,
        turns,
        images,
        options,
        right=_right(row["answer"], options) if metric == "choice" and "answer" in row else (),
        texts=_texts(row["answer"], options) if metric in ("exact", "meteor") and "answer" in row else (),
        metric=metric,
        group=_name(row, "group") if "group" in row else "",
        cluster=_name(row, "cluster") if "cluster" in row else "",
    )
    if metric == "pairs":
        _check_pair(trial, row)
    else:
        if "answer" not in row:
            raise TrialError("has no answer")
        _check_options(trial)
    _check_shown(trial)
    return trial


def bare(text: str) -> str:
    """Gives a text without what ``exact`` passes over: case, blanks beyond one, and marks and blanks around it."""
    return " ".join(unicodedata.normalize("NFC", text).strip(_AROUND).casefold().split())


def _name(row: Row, key: str) -> str:
    value = row[key]
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise TrialError(f"has the {key} {value!r:.60}, should be {_NAMED}")
    return str(value)


def _metric(row: Row) -> MetricName:
    if "metric" not in row and "options" not in row:
        raise TrialError("has no options: give it some, or say its metric, exact or meteor")
    value = row.get("metric", "choice")
    metric = next((name for name in METRICS if name == value), None)
    if metric is None:
        raise TrialError(f"has the metric {value!r:.60}, should be {any_of(METRICS)}")
    return metric


def _turns(row: Row) -> tuple[tuple[Role, str], ...]:
    """Reads the context: a text, or turns of user and model that begin and end with the user."""
    if "context" not in row:
        return ()
    context = row["context"]
    if isinstance(context, str):
        if not context.strip():
            raise TrialError("has an empty context; leave it out for the question of BabyVLM's tasks")
        return (("user", context),)
    if not isinstance(context, list) or not context:
        raise TrialError(f"has the context {context!r:.60}, should be a text or a list of turns")
    turns = [_turn(turn, n) for n, turn in enumerate(context, 1)]
    for n, (role, text) in enumerate(turns):
        if role != ("model" if n % 2 else "user"):
            raise TrialError(
                f"has turn {n + 1} of its context from {role}: user and model take turns, from the user on"
            )
        if role == "model" and IMAGE_PLACE in text:
            raise TrialError(f"has a place for a picture in turn {n + 1} of its context, which is the model's")
    if len(turns) % 2 == 0:
        raise TrialError("has a context that ends with the model; the last turn is the user's")
    return tuple(turns)


def _turn(turn: Any, n: int) -> tuple[Role, str]:
    what = f"turn {n} of its context"
    if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
        raise TrialError(f'has {turn!r:.60} as {what}, should be an object with "role" and "content"')
    role, content = turn["role"], turn["content"]
    if role not in get_args(Speaker):
        raise TrialError(f"has the role {role!r:.40} in {what}, should be user or model")
    if not isinstance(content, str) or not content.strip():
        raise TrialError(
            f"has the content {content!r:.40} in {what}, should be a text; pictures stand where it says <image>"
        )
    return "user" if role == "user" else "model", content


def _images(row: Row) -> tuple[str, ...]:
    images = row.get("images", [])
    if not isinstance(images, list) or not all(isinstance(name, str) and name.strip() for name in images):
        raise TrialError(f"has the images {images!r:.60}, should be a list of names")
    return tuple(images)


def _options(row: Row) -> tuple[Option, ...]:
    if "options" not in row:
        return ()
    options = row["options"]
    if not isinstance(options, list) or len(options) < 2:
        raise TrialError(f"has the options {options!r:.60}, should be a list of two or more")
    read = [_option(option, place) for place, option in enumerate(options)]
    twice = [option.name for option, n in Counter(read).items() if n > 1]
    if twice:
        raise TrialError(f"offers {twice[0]!r:.60} twice")
    for of in ("image", "text"):
        has = [bool(getattr(option, of)) for option in read]
        if any(has) and not all(has):
            n = has.index(False)
            raise TrialError(
                f"has option {n} (from 0) without {'a picture' if of == 'image' else of}, and others have one"
            )
    return tuple(read)


def is_picture_name(text: str) -> bool:
    """Tells whether a text is the name of a picture's file."""
    return _PICTURE_NAME.fullmatch(text) is not None


def _option(option: Any, place: int) -> Option:
    what = f"option {place} (from 0)"
    if isinstance(option, str):
        if not option.strip():
            raise TrialError(f"has nothing in {what}")
        if is_picture_name(option):
            raise TrialError(
                f'has the text {option!r:.60} as {what}; a picture is written  {{"image": "{option[:40]}"}}'
            )
        return Option(text=option)
    if not isinstance(option, dict) or not {"image"} <= set(option) <= {"image", "text"}:
        raise TrialError(
            f'has {option!r:.60} as {what}, should be a text or an object with "image" and, if need be, "text"'
        )
    if not all(isinstance(value, str) and value.strip() for value in option.values()):
        raise TrialError(f"has {option!r:.60} as {what}, should have texts that are not empty")
    return Option(option.get("text", ""), option.get("image", ""))


def _answers(answer: Any) -> list[Any]:
    given = answer if isinstance(answer, list) else [answer]
    if not given:
        raise TrialError("has an empty list as its answer")
    for each in given:
        if not isinstance(each, str | int) or isinstance(each, bool):
            raise TrialError(f"has the answer {each!r:.60}, should be an index from 0, a text, or a list of them")
    return given


def _right(answer: Any, options: Sequence[Option]) -> tuple[int, ...]:
    """Finds the right options."""
    places = [_place_of(each, options) for each in _answers(answer)]
    if len(set(places)) < len(places):
        raise TrialError(f"has the answer {answer!r:.60}, which names an option twice")
    if len(places) == len(options):
        raise TrialError("has no wrong option")
    return tuple(sorted(places))


def _place_of(answer: str | int, options: Sequence[Option]) -> int:
    if isinstance(answer, int):
        if not 0 <= answer < len(options):
            raise TrialError(f"has the answer {answer}, should be an index from 0 to {len(options) - 1}")
        return answer
    if not options:
        raise TrialError("has no options to choose from")
    fitting = [n for n, option in enumerate(options) if answer and answer in (option.text, option.image, option.name)]
    if len(fitting) != 1:
        how = f"fits options {listed(fitting)}; write an index from 0" if fitting else "is none of its options"
        raise TrialError(f"has the answer {answer!r:.60}, which {how}: {listed(repr(o.name) for o in options)}")
    return fitting[0]


def _texts(answer: Any, options: Sequence[Option]) -> tuple[str, ...]:
    """Reads the texts that are right: those of the options that are named or, without options, what stands there."""
    if options:
        return tuple(options[place].text for place in _right(answer, options))
    given = _answers(answer)
    wrong = [each for each in given if not isinstance(each, str) or not each.strip()]
    if wrong:
        raise TrialError(f"has the answer {wrong[0]!r:.60}, should be a text that is not empty")
    return tuple(given)


def _check_options(trial: Trial) -> None:
    if trial.metric == "choice":
        if not trial.options:
            raise TrialError("has no options to choose from")
        return
    if trial.metric == "meteor" and trial.options:
        raise TrialError("has options, and the metric meteor is for what the model writes itself")
    if trial.shows_options:
        raise TrialError(
            "has pictures as options, and the metric exact compares what the model writes: name them by letters"
        )
    if trial.metric == "exact":
        _check_exact(trial)


def _check_exact(trial: Trial) -> None:
    """Checks that its texts are told apart by what the metric exact compares."""
    texts = [option.text for option in trial.options if option.text] or list(trial.texts)
    marks = [text for text in texts if not bare(text)]
    if marks:
        raise TrialError(
            f"has the text {marks[0]!r:.60}, of which the metric exact, which passes over marks, reads nothing"
        )
    alike = [text for text, n in Counter(map(bare, texts)).items() if n > 1]
    if alike and trial.options:
        raise TrialError(f"offers {alike[0]!r:.60} twice, but for case, blanks and marks, which exact passes over")


def _check_pair(trial: Trial, row: Mapping[str, Any]) -> None:
    if len(trial.images) != 2 or len(trial.options) != 2 or trial.shows_options:
        raise TrialError("has the metric pairs, and should have two images and two texts as options")
    if len(set(trial.images)) != 2:
        raise TrialError(f"shows {trial.images[0]!r:.60} twice")
    if "answer" in row:
        raise TrialError("has an answer, and pairs have none: the first text belongs to the first picture")


def _check_shown(trial: Trial) -> None:
    """Checks that each picture has its place."""
    are_alone = trial.shows_options and not any(option.text for option in trial.options)
    if are_alone and trial.turns and (trial.images or len(trial.turns) > 1):
        raise TrialError(
            "has pictures alone as options, and pictures or turns in its context: show all pictures in the context and "
            'offer letters, as in  "(A) <image> (B) <image>"  with the options ["A", "B"]'
        )
    n_places = sum(text.count(IMAGE_PLACE) for _, text in trial.turns)
    if are_alone:
        if n_places:
            raise TrialError(
                "has a place for a picture in its context, whose words are scored for each option: leave it out"
            )
        if not trial.turns and len(trial.images) != 1:
            raise TrialError(
                f"has pictures alone as options, no context and {len(trial.images)} images; should have one image, "
                "with which they are compared, or a context of words"
            )
        return
    n_shown = trial.n_shown
    if not n_shown:
        raise TrialError("shows no picture; give it images")
    if n_places and n_places != n_shown:
        of_options = ", one of them the option's" if trial.shows_options else ""
        of_pair = " at a time" if trial.metric == "pairs" else ""
        raise TrialError(f"has {n_places} places for pictures in its context, and shows {n_shown}{of_options}{of_pair}")
    if not trial.turns and n_shown > 1:
        raise TrialError(
            f"shows {n_shown} pictures together and has no context: say in it where each stands, by <image>"
        )
