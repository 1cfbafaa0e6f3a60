"""A wrapper file for lmms-eval: importing it, constructing what it registers, asking it, checking what it gives.

Owns every call into the wrapper's code. Whatever that code raises, and whatever it gives that its interface does not
promise, becomes a ModelError that says where and what was expected. Never decides what a score means: family.py does.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import linecache
import sys
import textwrap
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from babycli.errors import ModelError, UsageError
from babycli.files import in_home
from babycli.interop.lmms import PREFIX
from babycli.interop.lmms.questions import SPLIT, Document, Question, Rows, Shown
from babycli.interop.lmms.stand_in import PACKAGE, Provided, provide
from babycli.interop.lmms.weights import Weights, weights_of
from babycli.wording import did_you_mean, first_line

METHODS = ("loglikelihood", "generate_until", "generate_until_multi_round")
INSTALL = f"pip install {PACKAGE.replace('_', '-')}"
_MODULE = "babycli_lmms_wrapper"
_REFUSALS = ("NotImplementedError", "NotImplemented")
_SPEAKERS = ("eval_logger", "logger", "logging", "print", "warnings")
_SHOWN = 120  # characters of code


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
        with _foreign(self.source.file, self.provided, self.module, what):
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
        end = _end_of(getattr(self.cls, method, None))
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

    def know(self, documents: Sequence[Document]) -> None:
        """Puts documents where the wrapper looks for them; those that it has stay."""
        for document in documents:
            self._rows.setdefault(document.task, Rows()).add(document)
        for task, rows in self._rows.items():
            self._own.task_dict[task] = {SPLIT: rows}

    def loglikelihood(self, questions: Sequence[Question]) -> list[Scored]:
        """Raises NotOfferedError too."""
        given = self._ask("loglikelihood", questions, [" " + question.text for question in questions])
        return [self._scored(answer) for answer in given]

    def generate(self, questions: Sequence[Question]) -> list[str]:
        """Raises NotOfferedError too."""
        # A copy for each: wrappers take what they know out of theirs. What "until" holds is lmms-eval's default.
        given = self._ask("generate_until", questions, [_greedy(question.max_new_tokens) for question in questions])
        return [self._text(answer) for answer in given]

    def _ask(self, method: str, questions: Sequence[Question], wanted: Sequence[Any]) -> Sequence[Any]:
        """Calls a method once, with (prompt, wanted, doc_to_visual, doc_id, task, split) for each question."""
        shown = Shown(questions)
        self.know([question.document for question in questions])
        requests = [
            self._instance(
                request_type=method,
                arguments=(q.prompt, what, shown.doc_to_visual, q.document.number, q.document.task, SPLIT),
                idx=q.index,
                metadata={"task": q.document.task, "doc_id": q.document.number, "repeats": 1, "split": SPLIT},
            )
            for q, what in zip(questions, wanted, strict=True)
        ]
        try:
            with self.registered.calling(f"its {method}"):
                given = getattr(self._own, method)(requests)
        except ModelError as error:
            cause = error.__cause__
            # torch raises NotImplementedError as well, for an operation that a device lacks; a method that is not
            # implemented does not come so far as to look at a picture.
            if cause is not None and _is_refusal(cause) and not shown.was_looked_at:
                raise NotOfferedError(f"{method} raised {type(cause).__name__}: {_message(cause)}") from error
            raise
        if not isinstance(given, list | tuple) or len(given) != len(questions):
            what = f"{len(given)} answers" if isinstance(given, list | tuple) else f"{_shown(given)}"
            raise self._unexpected(method, f"{what} for {len(questions)} requests", "a list of one answer for each")
        return given

    def _scored(self, answer: Any) -> Scored:
        if isinstance(answer, list | tuple) and len(answer) == 2:
            value, is_greedy = map(_plain, answer)
            if isinstance(value, Real) and not isinstance(value, bool) and isinstance(is_greedy, bool):
                return Scored(float(value), is_greedy)
        raise self._unexpected("loglikelihood", _shown(answer), "a pair (float, bool) for each request")

    def _text(self, answer: Any) -> str:
        if self._result and isinstance(answer, self._result):
            answer = answer.text
        if isinstance(answer, str):
            return answer
        raise self._unexpected("generate_until", _shown(answer), "a text (str) for each request")

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
    with _explained(source.file, None, "importing lmms-eval"):
        provided = provide()
    spec = importlib.util.spec_from_file_location(_MODULE, source.file.absolute())
    if spec is None or spec.loader is None:
        raise ModelError(f"{source.file} is not a Python file: its name does not end in .py", "rename it")
    module = importlib.util.module_from_spec(spec)
    with _foreign(source.file, provided, module, "importing it"):
        registry = importlib.import_module(f"{PACKAGE}.api.registry").MODEL_REGISTRY
        before = dict(registry)
        spec.loader.exec_module(module)
        classes = {name: cls for name, cls in registry.items() if before.get(name) is not cls}
    own = {name: cls for name, cls in classes.items() if cls.__module__ == _MODULE}
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


def _end_of(method: Any) -> str:
    """Gives the only statement of a method that cannot give an answer, as ``assert False, "no"``; "" of all others.

    Docstrings and what is only said (to a logger or a terminal) do not count.
    """
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method)))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # no source, or not by itself one definition
        return ""
    if not isinstance(tree, ast.FunctionDef):
        return ""
    steps = [step for step in tree.body if not _says_only(step)]
    match steps[:1]:
        case [] | [ast.Return(value=None | ast.Constant(value=None))]:
            return "pass" if not steps else "return"
        case [ast.Assert(test=ast.Constant(value=value)) as step] if not value:
            return ast.unparse(step)[:_SHOWN]
        case [ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))) as step] if name in _REFUSALS:
            return ast.unparse(step)[:_SHOWN]
    return ""


def _says_only(step: ast.stmt) -> bool:
    match step:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(value=ast.Name(id=name)))):
            return name in _SPEAKERS
    return False


def _is_refusal(error: BaseException) -> bool:
    """Tells whether an error says that a method is not implemented: NotImplementedError, or a bare ``assert False``."""
    if isinstance(error, AssertionError):
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        return linecache.getline(frame.f_code.co_filename, line).strip().startswith(("assert False", "assert 0"))
    return isinstance(error, NotImplementedError)


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


# ---------------------------------------------------------------- code of others


@contextlib.contextmanager
def _foreign(file: Path, provided: Provided, module: ModuleType, what: str) -> Iterator[None]:
    """Surrounds a call into a wrapper: it finds what it imports, its prints go to stderr, its errors are explained."""
    with (
        provided.installed(**{_MODULE: module}),
        contextlib.redirect_stdout(sys.stderr),
        _explained(file, provided, what),
    ):
        yield


@contextlib.contextmanager
def _explained(file: Path, provided: Provided | None, what: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise _explain(error, file, provided, what) from error


def _explain(error: BaseException, file: Path, provided: Provided | None, what: str) -> ModelError:
    where, missing = _where(error, file), error.name if isinstance(error, ImportError) else None
    package = (missing or "").partition(".")[0]
    if package == PACKAGE and provided is not None and provided.version is None:
        return ModelError(
            f"{where}: the wrapper needs more of lmms-eval than babycli stands in for: {_message(error)}", INSTALL
        )
    if isinstance(error, ModuleNotFoundError) and package:
        return ModelError(
            f"{where}: the wrapper needs the module {missing!r}, which is not installed",
            f"pip install {package}   (or put the folder that holds it on PYTHONPATH)",
        )
    name = type(error).__name__
    return ModelError(f"{where}: {what} raised {name}: {_message(error)}", "mend the wrapper or its --model-args")


def _where(error: BaseException, file: Path) -> str:
    """Names the wrapper's own line that was running, else the last line at all, as ``file:line``."""
    absolute = str(file.absolute())  # as it was imported
    if isinstance(error, SyntaxError) and error.filename == absolute:
        return f"{file}:{error.lineno}"
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [line for name, line in frames if name == absolute]
    return f"{file}:{own[-1]}" if own else f"{file} (in {frames[-1][0]}:{frames[-1][1]})"


def _message(error: BaseException) -> str:
    return first_line(error, "(no message)")[:200]


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:60] + '...'} ({type(value).__name__})"
