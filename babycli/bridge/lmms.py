"""The folder with which lmms-eval itself runs babycli's tasks: a YAML file and the documents of each, and functions.

Owns what is written there, and which folders may be written to. Never runs lmms-eval, never copies a picture: a
document names where it lies and its checksum.

    <task>.yaml     what lmms-eval reads first; brings the functions along
    <task>.jsonl    one document per trial
    *.py            bridge/lmms_files/, as they are
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.bridge.lmms_files.choices import BROKEN, MEND, why_broken
from babycli.data.manifest import manifests
from babycli.data.root import DatasetRoot
from babycli.data.zips import is_zip
from babycli.domain import GenerateRequest, ImageRef, Loglikelihood, ScoreRequest, Trial
from babycli.errors import DataError, UsageError
from babycli.evaluation.inputs import Inputs, TaskInput, read_inputs
from babycli.evaluation.prompts import NO_PROMPT
from babycli.files import explained, written_aside
from babycli.tasks import select_tasks
from babycli.tasks.base import Task
from babycli.tasks.prompts import DEFAULT
from babycli.wording import Scoring, Sign

PREFIX = "babycli_"  # lmms-eval may have tasks of the same names
CHECKED = ("0.6.1", "0.6.0", "0.5.0", "0.4.0", "0.3.5")  # with tools/check_lmms_bridge.py
MARKER = "README.txt"
MARKER_LINE = "This folder was written by `babycli bridge lmms`; write it anew rather than edit it."
WORDINGS = (DEFAULT, "llava")  # names that lmms-eval's models have, too
_SCORERS: Mapping[str, str] = {
    "labeled_s": "choices.choice",
    "vtwt": "choices.choice",
    "baby_winoground": "choices.winoground",
    "saycam_caption": "captions.caption",
}
_FUNCTIONS = ("captions.py", "choice_task.py", "choices.py", "documents.py")


@dataclass(frozen=True, slots=True)
class Bridge:
    """A folder as it was written."""

    folder: Path  # absolute
    n_documents: Mapping[str, int]  # by lmms-eval's name of the task

    @property
    def command(self) -> str:
        """What to run next, where lmms-eval is installed."""
        tasks = ",".join(self.n_documents)
        return (
            f"python -m lmms_eval --include_path {shlex.quote(str(self.folder))} --tasks {tasks} --model MODEL "
            "--model_args pretrained=CHECKPOINT --batch_size 1 --output_path logs --log_samples"
        )


def bridgeable(names: str | None) -> list[Task]:
    """The tasks of a comma-separated list, all that can be bridged for None. Raises UsageError."""
    chosen = select_tasks(",".join(_SCORERS) if names is None else names)
    for task in chosen:
        if task.name not in _SCORERS:
            raise UsageError(f"there is no bridge for {task.name}", f"one of: {', '.join(_SCORERS)}")
    return chosen


def installed_version() -> str | None:
    """The lmms-eval beside babycli; None where there is none."""
    import importlib.metadata  # slow to import, and every command imports this module

    try:
        return importlib.metadata.version("lmms_eval")
    except importlib.metadata.PackageNotFoundError:
        return None


def check_version(version: str | None, tasks: Sequence[Task]) -> None:
    """Raises UsageError for a version that cannot score one of the tasks. Captions are scored by all."""
    why = why_broken(version or "")
    if why and _has_choices(tasks):
        raise UsageError(why, f"{MEND}   (captions are not concerned:  --tasks saycam_caption)")


def note_on(version: str | None, tasks: Sequence[Task]) -> str:
    """What there is to say about a version that is not refused; "" for nothing."""
    checked = f"this was checked with {' and '.join(CHECKED)}"
    if version is None:
        broken = f"; {', '.join(BROKEN)} cannot score choices" if _has_choices(tasks) else ""
        return f"lmms-eval is not installed beside babycli; where it is: {checked}{broken}"
    return "" if version in CHECKED or not _has_choices(tasks) else f"lmms-eval {version} is installed; {checked}"


def _has_choices(tasks: Sequence[Task]) -> bool:
    return any(task.needs == "score" for task in tasks)


def write_bridge(
    folder: Path, tasks: Sequence[Task], root: DatasetRoot, sign: Sign, progress: Callable[[int], None]
) -> Bridge:
    """Checks the data as `babycli eval` does and writes the folder. Raises UsageError, DataError or ChecksumError."""
    place = Path(os.path.realpath(folder))
    _check_folder(place)
    for task in tasks:
        _refuse_zips(root, task)
    inputs = read_inputs(root, tasks, None, False, progress)
    files = {MARKER: f"{MARKER_LINE}\n"}
    files |= {name: (Path(__file__).parent / "lmms_files" / name).read_text("utf-8") for name in _FUNCTIONS}
    n_documents = {}
    for item in inputs.tasks:
        name = item.task.name
        lines = [json.dumps(_document(item, trial, inputs, root)) for trial in item.trials]
        documents = "".join(f"{line}\n" for line in lines)
        files[f"{name}.jsonl"] = documents
        files[f"{name}.yaml"] = _yaml(item, place / f"{name}.jsonl", _metadata(item.task, inputs, documents, sign))
        n_documents[PREFIX + name] = len(lines)
    _write(place, files)
    return Bridge(place, n_documents)


def _own_names() -> set[str]:
    """All that a bridge may put into its folder, whatever the tasks."""
    return {MARKER, *_FUNCTIONS, *(f"{name}{end}" for name in _SCORERS for end in (".yaml", ".jsonl"))}


def _check_folder(folder: Path) -> None:
    """Raises where something of the user's is: lmms-eval runs what lies in the folder, and we replace it."""
    mend = "name another:  babycli bridge lmms DIR"
    if any("\udc80" <= letter <= "\udcff" for letter in str(folder)):
        raise UsageError(
            f"{str(folder)!r}: lmms-eval reads the path from a file in UTF-8, which this name is not", mend
        )
    if any(letter in str(folder) for letter in "*?["):
        raise UsageError(f"{folder}: lmms-eval takes a path with *, ? or [ for a pattern", mend)
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder", mend)
    with explained(folder):
        there = {path.name for path in folder.iterdir()} - {"__pycache__"}
        is_ours = MARKER in there and (folder / MARKER).read_bytes().startswith(MARKER_LINE.encode())
    foreign = sorted(name for name in there - _own_names() if not name.endswith(".babycli.tmp"))
    if foreign or (there and not is_ours):
        raise UsageError(f"{folder} holds files that are not a bridge's: {(foreign or sorted(there))[0]}", mend)


def _refuse_zips(root: DatasetRoot, task: Task) -> None:
    for link in manifests()[task.name].links:
        place = root.path / link.path
        if is_zip(place):
            raise DataError(
                f"{place} leads to a zip, {root.link_target(link.path)}, and lmms-eval reads images from folders only",
                f"babycli data extract {shlex.quote(str(root.link_target(link.path)))} DEST --only-needed{root.words}"
                f"   and then  babycli data link  with DEST",
            )


def _document(item: TaskInput, trial: Trial, inputs: Inputs, root: DatasetRoot) -> dict[str, Any]:
    """A trial: its pictures and texts, each once, and which picture is asked about with which text."""
    task, rows = item.task, item.labels.rows
    # Baby Winoground's scorer wants the frame before the synthetic picture; the other tasks keep the file's order.
    indices = sorted(trial.row_indices, key=lambda i: rows[i].get("image_tag") == "negative")
    requests = [request for i in indices for request in item.requests(i)]
    images = list(dict.fromkeys(request.image for request in requests))
    document: dict[str, Any] = {
        "trial_id": trial.trial_id,
        "images": [_absolute(root, image) for image in images],
        "sha256": [inputs.sha256[image] for image in images],
        "target": task.target(rows[indices[0]]),
    }
    if any(isinstance(request, GenerateRequest) for request in requests):
        return document
    asked = [request for request in requests if isinstance(request, ScoreRequest)]
    texts = list(dict.fromkeys(request.text for request in asked))
    document |= {
        "texts": texts,
        "asks": [[images.index(request.image), texts.index(request.text)] for request in asked],
    }
    if "acc" in task.chance:
        document["right"] = _right(item, trial)
    return document


def _right(item: TaskInput, trial: Trial) -> int:
    """The candidate that earns the credit when it alone is the likeliest: the task itself is asked."""
    rows = [item.labels.rows[i] for i in trial.row_indices]
    counts = [len(item.requests(i)) for i in trial.row_indices]
    for right in range(sum(counts)):
        flat = [Loglikelihood((0.0 if i == right else -1.0,), False) for i in range(sum(counts))]
        scores = [[flat.pop(0) for _ in range(count)] for count in counts]
        if item.task.outcome(trial, rows, scores, Scoring.FAIR).values["acc"] == 1.0:
            return right
    raise AssertionError(f"{item.task.name} {trial.trial_id}: no candidate is right")


def _absolute(root: DatasetRoot, image: ImageRef) -> str:
    return os.path.abspath(root.path / image.link / image.name)


def _metadata(task: Task, inputs: Inputs, documents: str, sign: Sign) -> dict[str, Any]:
    """What lmms-eval writes into its results, and by which its cache of answers knows that the data changed."""
    return {
        "version": task.version,
        **({"sign": sign} if task.needs == "score" else {}),
        "data": inputs.edition,
        "documents_sha256": hashlib.sha256(documents.encode()).hexdigest(),
        "images_sha256": inputs.asking({task.name: NO_PROMPT}).images_digest(),
    }


def _yaml(item: TaskInput, documents: Path, metadata: Mapping[str, Any]) -> str:
    """The task's YAML file. Values are written as JSON, which is YAML; only function names are not."""
    task = item.task
    wordings = {name: {"pre_prompt": task.prompts[name], "post_prompt": ""} for name in WORDINGS}
    lines = [f"# {MARKER_LINE}", f"task: {PREFIX}{task.name}"]
    if task.needs == "score":
        lines += [
            "class: !function choice_task.ChoiceTask",
            "check_version: !function choices.refuse_broken_version",
            "picture: !function documents.picture",
            "output_type: multiple_choice",
        ]
    else:
        lines += ["output_type: generate_until", f"generation_kwargs: {_plain(_generation(item))}"]
    lines += [
        "dataset_path: json",
        f"dataset_kwargs: {_plain({'data_files': {'test': str(documents)}})}",
        "test_split: test",
        "num_fewshot: 0",
        "doc_to_text: !function documents.prompt",
        "doc_to_visual: !function documents.pictures",
        "doc_to_target: target",
        f"process_results: !function {_SCORERS[task.name]}",
        "metric_list:",
        *(f"  - {_plain({'metric': m, 'aggregation': 'mean', 'higher_is_better': True})}" for m in task.chance),
        "lmms_eval_specific_kwargs:",
        *(f"  {name}: {_plain(wording)}" for name, wording in wordings.items()),
        "metadata:",
        *(f"  {key}: {_plain(value)}" for key, value in metadata.items()),
    ]
    return "".join(f"{line}\n" for line in lines)


def _generation(item: TaskInput) -> dict[str, Any]:
    """Greedy, as long as the task wants, and stopped by no text: by default lmms-eval stops at an empty line."""
    (request,) = item.requests(item.row_indices[0])
    assert isinstance(request, GenerateRequest)
    return {
        "max_new_tokens": request.max_new_tokens,
        "do_sample": False,
        "temperature": 0,
        "num_beams": 1,
        "until": [],
    }


def _plain(value: object) -> str:
    """JSON that is YAML too: YAML knows no pairs of surrogates, so nothing is escaped that need not be."""
    return json.dumps(value, ensure_ascii=False)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """All files are written aside before the first takes its place; those of another choice of tasks go."""
    with contextlib.ExitStack() as stack:
        ready = [stack.enter_context(written_aside(folder / name, text.encode())) for name, text in files.items()]
        for put_in_place in ready:
            put_in_place()
    for name in sorted(_own_names() - files.keys()):
        with explained(folder / name):
            (folder / name).unlink(missing_ok=True)
