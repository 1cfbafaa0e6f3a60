"""The modules that a wrapper written for lmms-eval imports: lmms-eval's own where it is installed, else a stand-in.

Owns the stand-in: the base class, the registry, the request type and the few tools that wrappers use. Never evaluates
anything, never replaces an installed package, and is in ``sys.modules`` only inside ``Provided.installed``.

Written from the interface of lmms-eval 0.7.2 and 0.7.3: lmms_eval/api/{model,registry,instance}.py and utils.py.
"""

from __future__ import annotations

import abc
import contextlib
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Self

from babycli.wording import whole_number

PACKAGE = "lmms_eval"
_LOGURU_LEVELS = {"trace": 5, "debug": 10, "info": 20, "success": 25, "warning": 30, "error": 40, "critical": 50}


@dataclass(frozen=True, slots=True)
class Provided:
    """Where a wrapper gets lmms-eval from. ``stand_ins`` are the modules that are not installed here."""

    stand_ins: Mapping[str, ModuleType]
    version: str | None  # of lmms-eval; None: the stand-in

    @contextlib.contextmanager
    def installed(self, **more: ModuleType) -> Iterator[None]:
        """Lets the stand-ins (and ``more``) be imported; afterwards sys.modules is as it was."""
        modules = {**self.stand_ins, **more}
        before = {name: sys.modules[name] for name in modules if name in sys.modules}
        sys.modules.update(modules)
        try:
            yield
        finally:
            for name in modules:
                sys.modules.pop(name, None)
            sys.modules.update(before)


def provide() -> Provided:
    """Finds the installed lmms-eval and loguru, or makes a fresh stand-in for what is missing of the two."""
    stand_ins: dict[str, ModuleType] = {}
    logger: Any = _Logger()
    if _is_installed("loguru"):
        logger = importlib.import_module("loguru").logger
    else:
        stand_ins["loguru"] = _module("loguru", logger=logger)
    if _is_installed(f"{PACKAGE}.api.model"):
        return Provided(stand_ins, _version())
    return Provided(stand_ins | _stand_in_modules(logger), None)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a parent package
        return False


def _version() -> str:
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


# ---------------------------------------------------------------- the stand-in


def _stand_in_modules(logger: Any) -> dict[str, ModuleType]:
    registry: dict[str, type[Lmms]] = {}

    def register_model(*names: str) -> Callable[[type[Lmms]], type[Lmms]]:
        def register(cls: type[Lmms]) -> type[Lmms]:
            if not issubclass(cls, Lmms):
                raise TypeError(f"{cls.__name__}, registered as {', '.join(names)}, must extend lmms")
            registry.update(dict.fromkeys(names, cls))
            return cls

        return register

    def get_model(name: str) -> type[Lmms]:
        if name not in registry:
            raise ValueError(f"no model is registered as {name!r}; there are: {', '.join(registry)}")
        return registry[name]

    api = {
        "model": _module(f"{PACKAGE}.api.model", lmms=Lmms, CacheHook=CacheHook),
        "registry": _module(
            f"{PACKAGE}.api.registry", MODEL_REGISTRY=registry, register_model=register_model, get_model=get_model
        ),
        "instance": _module(
            f"{PACKAGE}.api.instance", Instance=Instance, GenerationResult=GenerationResult, TokenCounts=TokenCounts
        ),
    }
    utils = _module(
        f"{PACKAGE}.utils",
        Collator=Collator,
        MultiTokenEOSCriteria=stop_criterion,
        chunks=chunks,
        eval_logger=logger,
        handle_arg_string=parse_value,
        simple_parse_args_string=parse_arguments,
        stop_sequences_criteria=stop_sequences_criteria,
    )
    package_api = _module(f"{PACKAGE}.api", **api)
    modules = [_module(PACKAGE, api=package_api, utils=utils), package_api, utils, *api.values()]
    return {module.__name__: module for module in modules}


def _module(module_name: str, **content: Any) -> ModuleType:
    """Makes a module with some content, which says what it is when asked for more."""

    def missing(attribute: str) -> Any:
        raise AttributeError(f"babycli's stand-in for {module_name} has no {attribute}: pip install lmms-eval")

    module = ModuleType(module_name)
    module.__spec__ = ModuleSpec(module_name, None, is_package=True)
    module.__path__ = []  # a package, in which nothing more is found
    module.__dict__.update(content, __getattr__=missing)
    return module


class CacheHook:
    """Takes partial results and keeps none."""

    def __init__(self, cachinglm: object = None) -> None:
        pass

    def add_partial(self, attr: str, req: object, res: object) -> None:
        pass


class Lmms(abc.ABC):
    """The base class of a wrapper, ``lmms_eval.api.model.lmms``."""

    is_simple: bool = True  # requests carry a picture and a text; else chat messages

    def __init__(self) -> None:
        self._rank = 0
        self._world_size = 1
        self.cache_hook: Any = CacheHook()
        self.task_dict: dict[str, Any] = {}

    @abc.abstractmethod
    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Gives the log-probability of each continuation, and whether it is the model's own first choice."""

    @abc.abstractmethod
    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Writes greedy texts."""

    @abc.abstractmethod
    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Writes greedy texts of a conversation; no task here asks for one."""

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: Mapping[str, Any] | None = None) -> Self:
        """Constructs from ``a=1,b=x`` and from what the evaluator adds; an added None is left out."""
        added = {key: value for key, value in (additional_config or {}).items() if value is not None}
        return cls(**parse_arguments(arg_string), **added)

    @property
    def rank(self) -> int:
        return self._rank

    @property
    def world_size(self) -> int:
        return self._world_size

    def set_cache_hook(self, cache_hook: Any) -> None:
        self.cache_hook = cache_hook


@dataclass
class TokenCounts:
    """The cost of an answer, where a wrapper states it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass
class GenerationResult:
    """A generated text with its cost; a wrapper may give it in place of a plain text."""

    text: str
    token_counts: TokenCounts | None = None


@dataclass
class Instance:
    """One request. ``metadata`` holds task, doc_id and repeats, which are unpacked."""

    request_type: str
    arguments: Any
    idx: int
    metadata: dict[str, Any] = field(default_factory=dict)
    resps: list[Any] = field(default_factory=list)
    filtered_resps: dict[str, Any] = field(default_factory=dict)
    raw_filtered_resps: dict[str, Any] = field(default_factory=dict)
    token_counts: list[TokenCounts | None] = field(default_factory=list)
    task_name: str | None = None
    doc_id: int | None = None
    repeats: int | None = None
    doc: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.task_name, self.doc_id, self.repeats = (self.metadata[key] for key in ("task", "doc_id", "repeats"))

    @property
    def args(self) -> tuple[Any, ...]:
        return self.arguments if isinstance(self.arguments, tuple) else (self.arguments,)


# ---------------------------------------------------------------- lmms_eval.utils


def parse_arguments(text: str) -> dict[str, Any]:
    """Reads ``a=1,b=x``, values as Python's own; a comma inside quotes, braces or brackets separates nothing."""
    parts, start, depth, quote = [], 0, 0, ""
    for i, letter in enumerate(text):
        if letter in "'\"" and (not i or text[i - 1] != "\\"):
            quote = letter if not quote else "" if quote == letter else quote
        elif not quote:
            depth += (letter in "{[") - (letter in "}]")
            if letter == "," and depth == 0:
                parts.append(text[start:i])
                start = i + 1
    pairs = (part.strip().split("=", 1) for part in [*parts, text[start:]] if part.strip())
    return {key: parse_value(value) for key, value in pairs}


def parse_value(text: str) -> bool | int | float | str:
    """Reads ``true``, ``3`` and ``0.5`` as what they mean; anything else stays a text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = whole_number(text)
    if number is not None:
        return number
    try:
        return float(text)
    except ValueError:
        return text


def chunks(items: Iterable[Any], n: int = 0, fn: Callable[[int, Iterable[Any]], int] | None = None) -> Iterator[Any]:
    """Gives lists of ``n`` items, or of as many as ``fn`` says; the last may be shorter."""
    chunk: list[Any] = []
    for i, item in enumerate(items):
        chunk.append(item)
        if len(chunk) == (fn(i, items) if fn else n):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class Collator:
    """Sorts requests, in groups of equal settings, into batches, and puts the answers back in order.

    items             a0  b1  a2        a, b: the settings a request is grouped by
    get_batched       [a0, a2] [b1]     order = 0, 2, 1
    get_original      answers [x, y, z] -> [x, z, y]
    """

    def __init__(
        self,
        arr: Sequence[Any],
        sort_fn: Callable[[Any], Any],
        group_fn: Callable[[Any], Any] = lambda item: item[1],
        grouping: bool = False,
    ) -> None:
        self._items, self._sort, self._group, self._grouping = list(enumerate(arr)), sort_fn, group_fn, grouping
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._items)

    def get_batched(self, n: int = 1, batch_fn: Callable[[int, Iterable[Any]], int] | None = None) -> Iterator[Any]:
        groups = self.group(self._items, lambda item: self._group(item[1])) if self._grouping else {0: self._items}
        for members in groups.values():
            ordered = sorted(members, key=lambda item: self._sort(item[1]))
            self._order.extend(index for index, _ in ordered)
            yield from chunks([item for _, item in ordered], n, batch_fn)

    def get_original(self, newarr: Sequence[Any]) -> list[Any]:
        if len(newarr) != len(self._order):
            raise ValueError(f"{len(newarr)} answers for {len(self._order)} requests")
        by_index = dict(zip(self._order, newarr, strict=True))
        return [by_index[index] for index, _ in self._items]

    @staticmethod
    def group(arr: Iterable[Any], fn: Callable[[Any], Any]) -> dict[Hashable, list[Any]]:
        groups: dict[Hashable, list[Any]] = defaultdict(list)
        for item in arr:
            key = fn(item)
            groups[repr(sorted(key.items())) if isinstance(key, dict) else key].append(item)
        return groups

    get_chunks = staticmethod(chunks)


def stop_criterion(sequence: str, tokenizer: Any, initial_decoder_input_length: int, batch_size: int) -> Any:
    """Stops generation when every row has written ``sequence``."""
    from transformers import StoppingCriteria

    # Two tokens more than the sequence has: a tokenizer may write it in other pieces than it reads it.
    lookback = len(tokenizer.encode(sequence, add_special_tokens=False)) + 2
    is_done = [False] * batch_size

    class StopAt(StoppingCriteria):  # type: ignore[misc, unused-ignore]
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            tails = tokenizer.batch_decode(input_ids[:, initial_decoder_input_length:][:, -lookback:])
            for i, tail in enumerate(tails):
                is_done[i] = is_done[i] or sequence in tail
            return all(is_done)

    return StopAt()


def stop_sequences_criteria(
    tokenizer: Any, stop_sequences: Sequence[str], initial_decoder_input_length: int, batch_size: int
) -> Any:
    from transformers import StoppingCriteriaList

    return StoppingCriteriaList(
        [stop_criterion(text, tokenizer, initial_decoder_input_length, batch_size) for text in stop_sequences]
    )


class _Logger:
    """``loguru.logger`` for those who only log: passes on to Python's logging, which shows warnings and worse."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(PACKAGE)

    def log(self, level: str | int, message: object, *args: Any, **kwargs: Any) -> None:
        number = level if isinstance(level, int) else _LOGURU_LEVELS.get(level.lower(), logging.INFO)
        self._logger.log(number, "%s", str(message).format(*args, **kwargs) if args or kwargs else message)

    def exception(self, message: object, *args: Any, **kwargs: Any) -> None:
        self.log("error", message, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Logs with debug, info and so on; add, remove, bind and the like do nothing and give the logger itself."""
        if name in _LOGURU_LEVELS:
            return lambda message, *args, **kwargs: self.log(name, message, *args, **kwargs)
        if name in ("add", "remove", "configure", "enable", "disable", "level", "opt", "bind", "patch"):
            return lambda *args, **kwargs: self
        raise AttributeError(f"babycli's stand-in for loguru.logger has no {name}: pip install loguru")
