"""The files of a run as types: what run.json, results, outcomes and the lines of samples hold in this version.

Owns these types. The documents that evaluation/results.py makes are of them, and tools/build_schemas.py makes the
published JSON Schemas from them. What is read into a dataclass, as the identity of a run, has the fields of that one.
Never reads, writes or checks a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

from babycli.domain import AppliedControl
from babycli.logs.identity import Identity, Sample
from babycli.models.base import Abilities
from babycli.tasks.about import About
from babycli.tasks.replies import Replies
from babycli.typed import Keywords
from babycli.wording import Scoring

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """Marks a value that has the fields of a dataclass, as reading takes them."""

    kind: type[DataclassInstance]
    without: tuple[str, ...] = ()
    is_open: bool = False  # fields that a later version adds are passed over


_MORE_REPLIES = {"type": ["string", "null"]}  # of a recorded conversation, behind the answer of the last turn


def _entry(*first: Mapping[str, Any], rest: Mapping[str, Any] | bool = False) -> dict[str, Any]:
    return {"type": "array", "prefixItems": list(first), "minItems": len(first), "items": rest}


def _object(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


_NUMBER = {"type": ["number", "null"]}  # null for NaN and infinities
_ENTRIES = [
    _entry(_NUMBER, {"type": "boolean"}),
    _entry(_NUMBER),
    _entry({"type": "string"}, rest=_MORE_REPLIES),
    _entry(_object("cannot", {"type": "string"})),
    _entry(_object("no_reply", {"enum": ["null", "end"]}), rest=_MORE_REPLIES),
]

Count = Annotated[int, Keywords({"minimum": 0})]
Moment = Annotated[str, Keywords({"format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"})]
Stamp = Annotated[str, Keywords({"pattern": r"^\d{8}_\d{6}$"})]  # in the names of the run's folder and files
Seconds = Mapping[str, float]  # by phase
Versions = Mapping[str, str]  # by library
LoggedIdentity = Annotated[Any, FieldsOf(Identity)]
LoggedControl = Annotated[Any, FieldsOf(AppliedControl)]
LoggedAbout = Annotated[Any, FieldsOf(About, without=("name", "links"), is_open=True)]
LoggedReplies = Annotated[Any, FieldsOf(Replies)]
LoggedAbilities = Annotated[Any, FieldsOf(Abilities, is_open=True)]


class BatchCheckOfTask(TypedDict):
    """What scoring some items again one by one has shown."""

    seed: int
    n_trials: Count
    n_flipped: Count
    max_difference: float | None


class LoggedUsage(TypedDict):
    """What a server was asked for in a session, by the first process."""

    n_requests: Count
    n_again: Count
    prompt_tokens: Count
    completion_tokens: Count
    cost: float | None


class Session(TypedDict):
    """One stretch of a run; one that was cut off has no end."""

    start: Moment
    device: str
    n_processes: Count
    libraries: Versions
    end: NotRequired[Moment]
    timings: NotRequired[Seconds]
    batching: NotRequired[list[str]]
    usage: NotRequired[LoggedUsage]


class LoggedModel(TypedDict):
    name: str
    args: Mapping[str, str]
    family: str
    source: str
    fingerprint: str
    n_parameters: int | None
    dtype: str
    device: str
    template: str
    abilities: LoggedAbilities
    notes: list[str]
    prompts: Mapping[str, str]
    prompts_like: str
    model_type: NotRequired[str]
    commit: NotRequired[str]


class PlanCounts(TypedDict):
    """How much was asked: distinct pictures, contexts, texts and requests."""

    rounds: Count
    images: Count
    prefixes: Count
    texts: Count
    requests: Count


class TaskOfRun(TypedDict):
    version: int
    labels_sha256: str
    images_sha256: str
    n_units: Count
    skipped: list[str]
    prompt: str
    prompt_origin: str
    rendered_prompt: str


class Images(TypedDict):
    n: Count
    sha256: str


class RunFile(TypedDict):
    """run.json: where the numbers of a run come from. It is there from the beginning of the run on."""

    schema_version: Literal[2]
    start: Moment
    status: Literal["running", "stopped", "done"]
    batch_size: Count
    command: list[str]
    sessions: list[Session]
    identity: LoggedIdentity
    babycli_version: str
    data: str
    demo: bool
    model: LoggedModel
    control: LoggedControl | None
    scoring: Scoring
    limit: int | None
    sample: Sample | None
    name: str
    seed: int
    plan: PlanCounts
    tasks: Mapping[str, TaskOfRun]
    images: Images
    libraries: Versions
    platform: str
    batch_check: NotRequired[Mapping[str, BatchCheckOfTask]]
    end: NotRequired[Moment]
    timings: NotRequired[Seconds]
    files: NotRequired[Mapping[str, str]]
    watched: NotRequired[str]


class ResultsConfig(TypedDict):
    model: str
    model_args: str
    batch_size: Count
    device: str
    limit: int | None
    random_seed: int


class Written(TypedDict):
    """Which babycli wrote a file."""

    schema_version: Literal[2]
    version: str


class Rows(TypedDict):
    original: Count
    effective: Count


class TaskConfig(TypedDict):
    task: str
    num_fewshot: Literal[0]


NumbersOfTask = Annotated[
    Mapping[str, Any],
    Keywords(
        {
            "properties": {"alias": {"type": "string"}},
            "patternProperties": {
                "_stderr,none$": {"anyOf": [{"type": "number", "minimum": 0}, {"const": "N/A"}]},
                "^(?!.*_stderr,none$).*,none$": {"type": "number"},
            },
        }
    ),
]
Interval = tuple[float, float]
_LMMS = TypedDict(
    "_LMMS",
    {
        "results": Mapping[str, NumbersOfTask],
        "group_subtasks": Mapping[str, list[str]],
        "configs": Mapping[str, TaskConfig],
        "versions": Mapping[str, int],
        "n-shot": Mapping[str, int],
        "higher_is_better": Mapping[str, Mapping[str, bool]],
        "n-samples": Mapping[str, Rows],
        "config": ResultsConfig,
        "git_hash": str | None,
        "date": Stamp,
        "model_source": str,
        "model_name": str,
        "model_name_sanitized": str,
        "total_evaluation_time_seconds": str,
    },
)


class ResultsFile(_LMMS):
    """<stamp>_results.json: the numbers of a finished run. lmms-eval's fields come first, then babycli's own."""

    babycli: Written
    identity: LoggedIdentity
    tasks: Mapping[str, LoggedAbout]
    data: str
    demo: bool
    control: LoggedControl | None
    labels_sha256: Mapping[str, str]
    prompts: Mapping[str, str]
    prompt_origins: Mapping[str, str]
    images_sha256: Mapping[str, str]
    scoring: Scoring
    dtype: str
    fingerprint: str
    model_args: Mapping[str, str]
    n_units: Mapping[str, Count]
    ties: Mapping[str, Count]
    nonfinite: Mapping[str, Count]
    unanswered: Mapping[str, Count]
    no_answer: Mapping[str, Count]
    replies: Mapping[str, LoggedReplies]
    skipped: Mapping[str, list[str]]
    chance: Mapping[str, Mapping[str, float | None]]
    batch_check: Mapping[str, BatchCheckOfTask]
    ci95: Mapping[str, Mapping[str, Interval | None]]


Places = Annotated[list[Count], Keywords({"uniqueItems": True})]  # of trials, from 0


class OutcomesOfTask(TypedDict):
    """What each trial got. The lists are in the order of the trials, and as long."""

    trials: Annotated[list[str], Keywords({"minItems": 1})]
    groups: Mapping[str, list[str]]
    values: Mapping[str, list[float]]
    ties: Places
    nonfinite: Places
    unanswered: Places
    no_answer: NotRequired[Mapping[str, Annotated[int, Keywords({"minimum": 1})]]]


class OutcomesFile(TypedDict):
    """<stamp>_outcomes.json: the outcome of every trial, and the groups that it belongs to."""

    schema_version: Literal[2]
    tasks: Mapping[str, OutcomesOfTask]


class SampleLine(TypedDict):
    """A line of <stamp>_samples_<task>.jsonl: a label row with the model's answers, and a field of each metric."""

    doc_id: Count
    doc: Mapping[str, Any]
    target: str
    resps: Annotated[list[Any], Keywords({"items": {"anyOf": _ENTRIES}})]
    prompt: str
