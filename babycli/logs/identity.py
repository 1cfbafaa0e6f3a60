"""The identity of a run: two runs with equal identities are the same. It is written into run.json and results.

Owns its parts and how two of them are compared. Resuming compares it, the cache digests the parts that scores depend
on, and reports group by it and show every setting that is not the default. Never looks at a model or a file.

    model      family, weights, number format, template, arguments that change scores
    question   scoring, control, limit or sample, and for each task its version, items and prompt
    data       the data set, and the SHA-256 of labels and pictures
    software   babycli and its revision, and the libraries that compute

Device, batch size and the number of processes are not parts of it: they change a score by rounding alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from babycli.domain import AppliedControl
from babycli.logs.fields import mapping, text
from babycli.logs.json_bytes import json_bytes
from babycli.typed import read_as
from babycli.wording import History, Scoring, plural, printable

PROMPT_OPTION = "--prompt"  # the origin of a prompt that the user gave
_SHOWN = 16  # characters of a digest
_WITHOUT_EFFECT_IN_VERSION_1 = ("pretrained", "device_map")  # of --model-args, whatever the family
_CACHE_FORMAT = 2  # must change when the same settings begin to give other scores


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    family: str
    fingerprint: str  # SHA-256 over config, tokenizer and weight files
    dtype: str
    template: str
    args: Mapping[str, str]  # those of --model-args on which scores depend


@dataclass(frozen=True, slots=True)
class Sample:
    """The trials that ``--sample`` chooses: a larger one of the same seed holds the smaller."""

    n: int  # of each task
    seed: int = 0

    @property
    def told(self) -> str:
        """Writes it as the name of a row has it: ``sample 60``."""
        return f"sample {self.n}" + (f" seed {self.seed}" if self.seed else "")


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a task a part of its trials covers."""

    n_items_in_file: int
    kind: str  # of its groups: "category"; "" where it has none that have names
    n_groups: int  # in which it has trials
    n_groups_in_file: int

    def told(self, n: int, unit: str) -> str:
        """Writes what n items cover: ``60 trials of 1 of 22 categories (2,200 trials in all)``."""
        if not self.kind:
            return f"{n:,} of {self.n_items_in_file:,} {unit}"
        all_groups = f"{self.n_groups_in_file} {plural(printable(self.kind))}"
        groups = f"all {all_groups}" if self.n_groups == self.n_groups_in_file else f"{self.n_groups} of {all_groups}"
        return f"{n:,} {unit} of {groups} ({self.n_items_in_file:,} {unit} in all)"


@dataclass(frozen=True, slots=True)
class TaskQuestion:
    """The question of a task: its version, its items and its prompt."""

    version: int
    n_units: int
    skipped: tuple[str, ...]
    prompt: str
    rendered_prompt: str
    answers: str  # "loglikelihood", "similarity", "match" or "generate", or two of them joined by "+"
    code: str = ""  # SHA-256 of the file of a user's own task; of ours the software says it
    coverage: Coverage | None = None  # of --limit and --sample; None: of all trials, or of before it was logged


@dataclass(frozen=True, slots=True)
class Question:
    scoring: Scoring
    control: AppliedControl | None
    limit: int | None
    tasks: Mapping[str, TaskQuestion]
    history: History = History.OWN  # what conversations go on with
    max_new_tokens: int | None = None  # of each text; None: what the tasks say
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Data:
    name: str  # "saycam", "demo", ...
    labels_sha256: Mapping[str, str]  # by task
    images_sha256: Mapping[str, str]  # by task


@dataclass(frozen=True, slots=True)
class Software:
    babycli: str
    revision: str | None  # of a git checkout, behind it "+" and a digest of its changes; None: an installed package
    torch: str
    transformers: str
    tokenizers: str
    pillow: str


@dataclass(frozen=True, slots=True)
class Identity:
    model: ModelIdentity
    question: Question
    data: Data
    software: Software

    def to_document(self) -> dict[str, Any]:
        """Gives the identity in values of JSON."""
        document: dict[str, Any] = orjson.loads(json_bytes(asdict(self)))
        return document

    @classmethod
    def from_document(cls, raw: Any) -> Identity:
        """Reads the values that ``to_document`` gives. Raises TypeError or ValueError for anything else."""
        return read_as(cls, raw)

    @classmethod
    def of_version_1(cls, results: Mapping[str, Any], run: Mapping[str, Any]) -> Identity:
        """Makes it from results and run.json of 0.1.0; parts that they do not have are "".

        Raises KeyError, TypeError or ValueError for odd results. Of an odd run.json, which only adds to them, nothing
        is taken.
        """
        model, libraries, tasks = (mapping(run.get(key)) for key in ("model", "libraries", "tasks"))
        prompts = dict(results.get("prompts", {}))
        questions = {
            name: {
                "version": version,
                "n_units": results["n_units"][name],
                "skipped": results["skipped"][name],
                "prompt": prompts.get(name, ""),
                "rendered_prompt": text(mapping(tasks.get(name)).get("rendered_prompt")),
                "answers": "",
            }
            for name, version in results["versions"].items()
        }
        given = {str(key): text(value) for key, value in results["model_args"].items()}
        whole = {
            "model": {
                "family": results["config"]["model"],
                "fingerprint": results["fingerprint"],
                "dtype": results["dtype"],
                "template": text(model.get("template")),
                "args": {key: value for key, value in given.items() if key not in _WITHOUT_EFFECT_IN_VERSION_1},
            },
            "question": {
                "scoring": results["scoring"],
                "control": results.get("control"),
                "limit": results["config"]["limit"],
                "tasks": questions,
            },
            "data": {
                "name": results["data"],
                "labels_sha256": results.get("labels_sha256", {}),
                "images_sha256": results.get("images_sha256", {}),
            },
            "software": {
                "babycli": results["babycli"].get("version", ""),
                "revision": None,
                **{name: text(libraries.get(name)) for name in ("torch", "transformers", "tokenizers", "pillow")},
            },
        }
        return read_as(cls, whole)

    def differences(self, other: Identity) -> list[str]:
        """Gives a line for each part in which this identity, of a log, differs from ``other``, that of now."""
        return list(_differences("", self.to_document(), other.to_document()))

    @property
    def answers_digest(self) -> str:
        """The SHA-256 over all that an answer depends on besides the request itself."""
        whole = [_CACHE_FORMAT, asdict(self.model), self.question.scoring, asdict(self.software)]
        return hashlib.sha256(json_bytes(whole, orjson.OPT_SORT_KEYS)).hexdigest()


def _differences(where: str, logged: Any, now: Any) -> Iterator[str]:
    if isinstance(logged, dict) and isinstance(now, dict):
        for key in sorted(logged.keys() | now.keys()):
            yield from _differences(f"{where}{' ' if where else ''}{key}", logged.get(key), now.get(key))
    elif logged != now:
        yield f"{where}: {_abbreviated(logged)} in the log, {_abbreviated(now)} now"


def _abbreviated(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    is_digest = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return f"{text[:_SHOWN]}..." if is_digest else repr(value)
