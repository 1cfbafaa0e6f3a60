"""A wrapper file for lmms-eval: importing it, constructing what it registers, asking it, checking what it gives.

Owns every call into the wrapper's code. Whatever that code raises, and whatever it gives that its interface does not
promise, becomes a ModelError that says where and what was expected. Never decides what a score means: family.py does.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from babycli.errors import ModelError, UsageError
from babycli.files import in_home
from babycli.foreign import FromSource
from babycli.interop.lmms import PREFIX
from babycli.interop.lmms.calling import MODULE, explained, foreign, message_of
from babycli.interop.lmms.documents import Rows, Shown, on_disk
from babycli.interop.lmms.questions import SPLIT, Document, Question, Talk
from babycli.interop.lmms.refusals import end_of, is_refusal
from babycli.interop.lmms.stand_in import PACKAGE, Provided, provide
from babycli.interop.lmms.weights import Weights, modules_of, watched, weights_of
from babycli.wording import did_you_mean

MULTI_ROUND = "generate_until_multi_round"
METHODS = ("loglikelihood", "generate_until", MULTI_ROUND)


@dataclass(frozen=True, slots=True)
class Source:
    """The parts of ``lmms:path/to/model.py[:name]``."""

    file: Path
    name: str | None  # which of the file's registered models

    @classmethod
    def parse(cls, text: str) -> Source:
        """Reads a name. Raises UsageError for what names no file."""
        rest = text.removeprefix(PREFIX)
        if in_home(rest).is_file():
            return cls(in_home(rest), None)
        head, colon, name = rest.rpartition(":")
        if colon and in_home(head).is_file():
            return cls(in_home(head), name)
        path = in_home(rest)
        what = "is a folder" if path.is_dir() else "is no file"
        near = did_you_mean(path.name, [file.name for file in sorted(path.parent.glob("*.py"))])
        raise UsageError(
            f"{text}: {path} {what}.{near}",
            f"name the wrapper's file:  {PREFIX}path/to/model.py, or one of several in it:  "
            f"{PREFIX}path/to/model.py:registered_name",
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """A wrapper's number for one answer; ``sign`` says how to read it."""

    value: float
    is_greedy: bool


class NotOfferedError(Exception):
    """The wrapper says that it does not implement a method: it raised NotImplementedError at once, or the like."""


@dataclass(frozen=True, slots=True)
class WrapperClass:
    """A registered class, not yet constructed."""

    source: Source
    name: str  # as registered
    cls: type[Any]
    module: ModuleType
    provided: Provided

    @property
    def origin(self) -> str:
        """Where lmms-eval came from, for a run's notes."""
        version = self.provided.version
        if version is None:
            return "lmms-eval is not installed: the wrapper ran with babycli's stand-in for it"
        return f"the wrapper ran with lmms-eval {version}"

    @property
    def is_simple(self) -> bool:
        """Tells whether it takes a picture and a text; else chat messages."""
        return bool(getattr(self.cls, "is_simple", True))

    @contextlib.contextmanager
    def calling(self, what: str) -> Iterator[None]:
        with foreign(self.source.file, self.provided, self.module, what):
            yield

    def parameter(self, name: str) -> inspect.Parameter | None:
        """Finds an argument that the constructor names, or that of a base to which ``**kwargs`` may be passed on."""
        for base in self.cls.__mro__:
            constructor = vars(base).get("__init__")
            if constructor is None:
                continue
            parameters = inspect.signature(constructor).parameters
            if name in parameters:
                return parameters[name]
            if not _takes_any(parameters):
                return None
        return None

    @property
    def takes_any(self) -> bool:
        """Tells whether the constructor has ``**kwargs``."""
        return _takes_any(inspect.signature(self.cls.__init__).parameters)

    def why_not_offered(self, method: str) -> str:
        """Tells by its code alone that a method gives no answer: it is not defined, raises at once, or does nothing.

        "" where it may give one.
        """
        if method in getattr(self.cls, "__abstractmethods__", ()):
            return f"{method} is not defined"
        end = end_of(getattr(self.cls, method, None))
        return f"all that {method} does is  {end}" if end else ""

    def construct(self, args: Mapping[str, str], added: Mapping[str, Any]) -> Wrapper:
        """Constructs it as lmms-eval does: ``args`` as a text, and what the evaluator adds.

        A method that it does not define is missing only to those who ask for it.
        """
        cls = self.cls
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing and set(missing) <= set(METHODS):
            cls = type(cls.__name__, (cls,), {name: _undefined(name) for name in missing})
        elif missing:
            raise ModelError(
                f"{self.source.file}: {cls.__name__} does not define {', '.join(missing)}; expected are "
                f"{', '.join(METHODS)}",
                "define it; one that the model cannot do raises NotImplementedError",
            )
        if not self.is_simple:
            raise ModelError(
                f"{self.source.file}: {cls.__name__} is a chat wrapper (is_simple = False), which can only write; "
                "expected is one that takes a picture and a text",
                "run a wrapper of the simple kind",
            )
        text = ",".join(f"{key}={value}" for key, value in args.items())
        with self.calling(f"constructing {cls.__name__}"):
            own = cls.create_from_arg_string(text, dict(added))
        if not hasattr(own, "task_dict"):
            raise ModelError(
                f"{self.source.file}: a {cls.__name__} has no task_dict, where a wrapper finds its pictures",
                "let its __init__ begin with  super().__init__()",
            )
        return Wrapper(self, own)


class Wrapper:
    """A constructed wrapper. Every method raises ModelError for whatever goes wrong inside it."""

    def __init__(self, registered: WrapperClass, own: Any) -> None:
        self.registered, self._own = registered, own
        self._rows: dict[str, Rows] = {}  # by task
        with registered.calling(f"importing {PACKAGE}.api.instance"):
            api = importlib.import_module(f"{PACKAGE}.api.instance")
        self._instance = api.Instance
        self._result: type[Any] | tuple[()] = getattr(api, "GenerationResult", ())

    def weights(self) -> Weights:
        """Finds what it computes with: its ``model`` if that is a torch module, else all modules that it keeps."""
        with self.registered.calling("looking at its model"):
            return weights_of(self._own)

    @contextlib.contextmanager
    def failing(self, error: Exception) -> Iterator[bool]:
        """Lets its network raise the error for the time of the block; gives whether it keeps one that can be found."""

        def fail(*_: object) -> None:
            raise error

        with self.registered.calling("looking at its model"):
            hooks = [module.register_forward_pre_hook(fail) for module in modules_of(self._own)]
        try:
            yield bool(hooks)
        finally:
            for hook in hooks:
                hook.remove()

    def watched(self) -> AbstractContextManager[list[int]]:
        """Gives the lengths of what its network, if it can be found, reads during a block; see weights.py."""
        return watched(modules_of(self._own))

    @property
    def batch_size(self) -> int | None:
        """The number of requests that it says it takes at once; None if it does not say."""
        given = getattr(self._own, "batch_size", None)
        return given if isinstance(given, int) else None

    def know(self, documents: Sequence[Document]) -> None:
        """Puts documents where the wrapper looks for them; those that it has stay."""
        for document in documents:
            self._rows.setdefault(document.task, Rows()).add(document)
        for task, rows in self._rows.items():
            self._own.task_dict[task] = {SPLIT: rows}

    def loglikelihood(self, questions: Sequence[Question]) -> list[Scored]:
        """Raises NotOfferedError too."""
        given = self._ask("loglikelihood", questions, [(" " + question.text,) for question in questions])
        return [self._scored(answer) for answer in given]

    def generate(self, questions: Sequence[Question]) -> list[str]:
        """Raises NotOfferedError too."""
        # A copy for each: wrappers take what they know out of theirs. What "until" holds is lmms-eval's default.
        given = self._ask("generate_until", questions, [(_greedy(question.max_new_tokens),) for question in questions])
        return [self._text("generate_until", answer) for answer in given]

    def converse(self, talks: Sequence[Talk]) -> list[tuple[str, ...]]:
        """Has whole conversations; gives the replies of each, one for each turn. Raises NotOfferedError too."""
        given = self._ask(MULTI_ROUND, talks, [(_greedy(talk.max_new_tokens),) for talk in talks])
        return [self._replies(answer, talk) for answer, talk in zip(given, talks, strict=True)]

    def _ask(
        self, method: str, questions: Sequence[Question | Talk], wanted: Sequence[tuple[Any, ...]]
    ) -> Sequence[Any]:
        """Calls a method once, with (prompt, wanted, doc_to_visual, doc_id, task, split) for each question.

        In a conversation there is doc_to_text behind doc_to_visual.
        """
        if not questions:
            return []
        self.know([question.document for question in questions])
        with on_disk(questions) as paths:
            for rows in self._rows.values():
                rows.paths = paths
            shown = Shown(questions, paths)
            functions = (shown.doc_to_visual, *([shown.doc_to_text] if method == MULTI_ROUND else []))
            requests = [
                self._instance(
                    request_type=method,
                    arguments=(q.prompt, *what, *functions, q.document.number, q.document.task, SPLIT),
                    idx=q.index,
                    metadata={"task": q.document.task, "doc_id": q.document.number, "repeats": 1, "split": SPLIT},
                )
                for q, what in zip(questions, wanted, strict=True)
            ]
            return self._called(method, requests, shown)

    def _called(self, method: str, requests: Sequence[Any], shown: Shown) -> Sequence[Any]:
        try:
            with self.registered.calling(f"its {method}"):
                given = getattr(self._own, method)(requests)
        except ModelError as error:
            cause = error.__cause__
            # torch raises NotImplementedError as well, for an operation that a device lacks; a method that is not
            # implemented does not come so far as to look at a picture.
            if cause is not None and is_refusal(cause) and not shown.was_looked_at:
                raise NotOfferedError(f"{method} raised {type(cause).__name__}: {message_of(cause)}") from error
            raise
        if not isinstance(given, list | tuple) or len(given) != len(requests):
            what = f"{len(given)} answers" if isinstance(given, list | tuple) else f"{_shown(given)}"
            raise self._unexpected(method, f"{what} for {len(requests)} requests", "a list of one answer for each")
        return given

    def _scored(self, answer: Any) -> Scored:
        if isinstance(answer, list | tuple) and len(answer) == 2:
            value, is_greedy = map(_plain, answer)
            if isinstance(value, Real) and not isinstance(value, bool) and isinstance(is_greedy, bool):
                return Scored(float(value), is_greedy)
        raise self._unexpected("loglikelihood", _shown(answer), "a pair (float, bool) for each request")

    def _text(self, method: str, answer: Any) -> str:
        if self._result and isinstance(answer, self._result):
            answer = answer.text
        if isinstance(answer, str):
            return answer
        raise self._unexpected(method, _shown(answer), "a text (str) for each request")

    def _replies(self, answer: Any, talk: Talk) -> tuple[str, ...]:
        """Reads the replies of a conversation: a JSON list in a text, as DevCV's wrapper gives, or a list of texts."""
        expected = "the replies of each conversation, as a list of texts or its JSON"
        given = answer
        if not isinstance(answer, list | tuple):
            try:
                given = json.loads(self._text(MULTI_ROUND, answer))
            except ValueError as error:
                raise self._unexpected(MULTI_ROUND, _shown(answer), expected) from error
        if not isinstance(given, list | tuple):
            raise self._unexpected(MULTI_ROUND, _shown(answer), expected)
        replies = tuple(self._text(MULTI_ROUND, reply) for reply in given)
        if len(replies) != len(talk.document.turns):
            what = f"{len(replies)} replies in a conversation of {len(talk.document.turns)} turns"
            raise self._unexpected(MULTI_ROUND, what, "one for each turn")
        return replies

    def _unexpected(self, method: str, given: str, expected: str) -> ModelError:
        file, name = self.registered.source.file, self.registered.cls.__name__
        return ModelError(
            f"{file}: {method} of {name} gave {given}; expected is {expected}",
            f"mend {method}, or let it raise NotImplementedError if the model cannot do that",
        )


# ---------------------------------------------------------------- finding the class


def find(source: Source) -> WrapperClass:
    """Imports the file and finds the model that it registers, the one that ``source`` names if there are several.

    A file that extends another wrapper imports it, and so registers it too: the models of a file are the classes that
    it defines itself, if there are such. Raises ModelError for a file that cannot be imported or registers none,
    UsageError for a choice that is missing.
    """
    with explained(source.file, None, "importing lmms-eval"):
        provided = provide()
    if source.file.suffix != ".py":
        raise ModelError(f"{source.file} is not a Python file: its name does not end in .py", "rename it")
    loader = FromSource(MODULE, str(source.file.absolute()))
    spec = importlib.util.spec_from_file_location(MODULE, source.file.absolute(), loader=loader)
    assert spec is not None  # a loader is given
    module = importlib.util.module_from_spec(spec)
    with foreign(source.file, provided, module, "importing it"):
        registry = importlib.import_module(f"{PACKAGE}.api.registry").MODEL_REGISTRY
        before = dict(registry)
        loader.exec_module(module)
        classes = {name: cls for name, cls in registry.items() if before.get(name) is not cls}
    own = {name: cls for name, cls in classes.items() if cls.__module__ == MODULE}
    name = _choose(source, classes, own or classes)
    return WrapperClass(source, name, classes[name], module, provided)


def _choose(source: Source, classes: Mapping[str, type[Any]], own: Mapping[str, type[Any]]) -> str:
    """Chooses the name of a registered class: the one asked for, else that of the file's only model."""
    if not classes:
        raise ModelError(
            f"{source.file} registers no model; expected is a class that extends lmms_eval.api.model.lmms, decorated "
            '@register_model("name")',
            "decorate the wrapper's class, or name the file where it is",
        )
    if source.name is not None and source.name not in classes:
        raise UsageError(
            f"{source.file} registers no {source.name!r}.{did_you_mean(source.name, list(classes))}",
            f"it registers: {', '.join(classes)}",
        )
    if source.name is None and len(set(own.values())) > 1:
        raise UsageError(
            f"{source.file} registers several models: {', '.join(own)}",
            f"say which:  --model {PREFIX}{source.file}:{next(iter(own))}",
        )
    return source.name or next(iter(own))


def _takes_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


def _undefined(method: str) -> Any:
    def undefined(self: Any, requests: Any) -> Any:
        raise NotImplementedError(f"{method} is not defined")

    return undefined


def _greedy(max_new_tokens: int) -> dict[str, Any]:
    return {
        "max_new_tokens": max_new_tokens,
        "temperature": 0,
        "do_sample": False,
        "num_beams": 1,
        "until": ["\n\n"],
    }


def _plain(value: Any) -> Any:
    """Makes a number that numpy or torch holds one of Python's own."""
    return value.item() if getattr(value, "shape", None) == () else value


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:60] + '...'} ({type(value).__name__})"
