"""The folder with which lmms-eval itself runs babycli's tasks: a YAML file and the documents of each, and functions.

Owns what is written there, for which tasks, and which folders may be written to. Never runs lmms-eval, never copies a
picture: a document names where it lies and its checksum.

    <task>.yaml     what lmms-eval reads first; brings the functions along
    <task>.jsonl    one document per item
    *.py            bridge_files/, as they are
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babycli.data.root import DatasetRoot
from babycli.data.zips import is_zip
from babycli.domain import Answer, Item, Loglikelihood, Request, Score, Write
from babycli.errors import DataError, TaskError, UsageError
from babycli.evaluation.inputs import Inputs, TaskInput, read_inputs
from babycli.files import explained, read_file, written_aside
from babycli.foreign import explained_for
from babycli.interop.lmms.bridge_files.choices import BROKEN, MEND, why_broken
from babycli.interop.lmms.sign import Sign
from babycli.interop.lmms.trial_documents import PREFIX, places_asked
from babycli.tasks import all_tasks, select_tasks
from babycli.tasks.base import DEFAULT, Asking, Task, replay

CHECKED = ("0.6.1", "0.6.0", "0.5.0", "0.4.0", "0.3.5")  # with tools/check_lmms_bridge.py
MARKER = "README.txt"
MARKER_LINE = "This folder was written by `babycli bridge lmms`; write it anew rather than edit it."
WORDINGS = (DEFAULT, "llava")  # names that lmms-eval's models have, too
_CHOICE = "choices.choice"  # of any task in which one candidate is right; its metric is "acc"
_SCORERS: Mapping[str, str] = {"baby_winoground": "choices.winoground", "saycam_caption": "captions.caption"}
_FUNCTIONS = ("captions.py", "choice_task.py", "choices.py", "documents.py")


@dataclass(frozen=True, slots=True)
class Bridge:
    """A folder as it was written."""

    folder: Path  # absolute
    n_documents: Mapping[str, int]  # by lmms-eval's name of the task

    @property
    def command(self) -> str:
        """The command to run next, where lmms-eval is installed."""
        tasks = ",".join(self.n_documents)
        return (
            f"python -m lmms_eval --include_path {shlex.quote(str(self.folder))} --tasks {tasks} --model MODEL "
            "--model_args pretrained=CHECKPOINT --batch_size 1 --output_path logs --log_samples"
        )


def bridgeable(names: str | None) -> list[Task]:
    """Gives the tasks of a comma-separated list, for None all that have a bridge. Raises UsageError."""
    if names is None:
        return _all_bridgeable()
    chosen = select_tasks(names)
    for task in chosen:
        if _scorer(task) is None:
            known = ", ".join(other.name for other in _all_bridgeable())
            raise UsageError(f"there is no bridge for {task.name}", f"one of: {known}")
    return chosen


def _all_bridgeable() -> list[Task]:
    return [task for task in all_tasks().values() if _scorer(task) is not None]


def _scorer(task: Task) -> str | None:
    """Names the function that decides a document of a task; None for a task that lmms-eval cannot run."""
    is_choice = task.needs.answer == "score" and [metric.name for metric in task.metrics] == ["acc"]
    is_asked_once = task.needs.n_turns == task.needs.n_images == 1 and DEFAULT in task.prompts
    is_of_set = bool(task.data_set)  # its label file and pictures come together, and are linked with babycli alone
    return _SCORERS.get(task.name, _CHOICE if is_choice and is_asked_once and not is_of_set else None)


def installed_version() -> str | None:
    """Finds the version of the lmms-eval beside babycli; None where there is none."""
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
    """Gives a note about a version that is not refused; "" for nothing."""
    checked = f"this was checked with {' and '.join(CHECKED)}"
    if version is None:
        broken = f"; {', '.join(BROKEN)} cannot score choices" if _has_choices(tasks) else ""
        return f"lmms-eval is not installed beside babycli; where it is: {checked}{broken}"
    return "" if version in CHECKED or not _has_choices(tasks) else f"lmms-eval {version} is installed; {checked}"


def _has_choices(tasks: Sequence[Task]) -> bool:
    return any(task.needs.answer == "score" for task in tasks)


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
    files |= {name: (Path(__file__).parent / "bridge_files" / name).read_text("utf-8") for name in _FUNCTIONS}
    n_documents = {}
    for of_task in inputs.tasks:
        name = of_task.task.name
        lines = [json.dumps(_document(of_task.task, item, inputs, root)) for item in of_task.items]
        documents = "".join(f"{line}\n" for line in lines)
        files[f"{name}.jsonl"] = documents
        files[f"{name}.yaml"] = _yaml(of_task, place / f"{name}.jsonl", _metadata(of_task, inputs, documents, sign))
        n_documents[PREFIX + name] = len(lines)
    _write(place, files)
    return Bridge(place, n_documents)


def _own_names() -> set[str]:
    """Lists all files that a bridge may put into its folder, whatever the tasks."""
    return {MARKER, *_FUNCTIONS, *(f"{task.name}{end}" for task in _all_bridgeable() for end in (".yaml", ".jsonl"))}


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
    with explained(folder / MARKER):
        is_ours = MARKER in there and read_file(folder / MARKER).startswith(MARKER_LINE.encode())
    foreign = sorted(name for name in there - _own_names() if not name.endswith(".babycli.tmp"))
    if foreign or (there and not is_ours):
        raise UsageError(f"{folder} holds files that are not a bridge's: {(foreign or sorted(there))[0]}", mend)


def _refuse_zips(root: DatasetRoot, task: Task) -> None:
    for link in task.links.values():
        place = root.path / link
        if is_zip(place):
            raise DataError(
                f"{place} leads to a zip, {root.link_target(link)}, and lmms-eval reads images from folders only",
                f"babycli data extract {shlex.quote(str(root.link_target(link)))} DEST --only-needed{root.words}"
                f"   and then  babycli data link  with DEST",
            )


def _document(task: Task, item: Item, inputs: Inputs, root: DatasetRoot) -> dict[str, Any]:
    """Describes an item: its pictures and texts, each once, and which picture is asked about with which text."""
    rows = tuple(item.rows[place] for place in places_asked(task, item))
    requests = _requests(task, replace(item, rows=rows))
    images = list(dict.fromkeys(image for request in requests for image in request.context.images))
    document: dict[str, Any] = {
        "trial_id": item.item_id,
        "images": [os.path.abspath(root.path / task.links[image.source] / image.name) for image in images],
        "sha256": [inputs.sha256[image] for image in images],
        "target": task.target(rows[0]),
    }
    asked = [request for request in requests if isinstance(request, Score)]
    if not asked:
        return document
    texts = list(dict.fromkeys(request.answer for request in asked))
    document |= {
        "texts": texts,
        "asks": [[images.index(request.context.images[0]), texts.index(request.answer)] for request in asked],
    }
    if _scorer(task) == _CHOICE:
        document["right"] = _right(task, item, len(asked))
    return document


def _requests(task: Task, item: Item) -> Sequence[Request]:
    """Lists all that the task asks about an item, without its prompt."""
    with _explained(task, item):
        return next(task.play(item, Asking()))


def _explained(task: Task, item: Item) -> AbstractContextManager[None]:
    return explained_for(task, f"{task.name}: play() fails for item {item.item_id}", TaskError)


def _right(task: Task, item: Item, n: int) -> int:
    """Finds the candidate that earns the credit when it alone is the likeliest: the task itself is asked."""
    right = []
    for place in range(n):
        answers: list[Answer] = [Loglikelihood((0.0 if i == place else -1.0,), False) for i in range(n)]
        with _explained(task, item):
            outcome = replay(task, item, Asking(), answers)
        if outcome.values["acc"] == 1.0:
            right.append(place)
    if len(right) != 1:
        raise UsageError(
            f"there is no bridge for {task.name}: {len(right)} candidates of {item.item_id} are right, should be one",
            "choose other tasks with --tasks",
        )
    return right[0]


def _metadata(of_task: TaskInput, inputs: Inputs, documents: str, sign: Sign) -> dict[str, Any]:
    """Gives what lmms-eval copies into its results, and by which its cache of answers knows that the data changed."""
    return {
        "version": of_task.task.version,
        **({"sign": sign} if of_task.task.needs.answer == "score" else {}),
        "data": inputs.data_set,
        "documents_sha256": hashlib.sha256(documents.encode()).hexdigest(),
        "images_sha256": inputs.images_digest(of_task),
    }


def _yaml(of_task: TaskInput, documents: Path, metadata: Mapping[str, Any]) -> str:
    """Writes the task's YAML file. Values are written as JSON, which is YAML; only function names are not."""
    task = of_task.task
    names = [name for name in WORDINGS if name in task.prompts]
    wordings = {name: {"pre_prompt": task.prompts[name], "post_prompt": ""} for name in names}
    metrics = [
        {"metric": metric.name, "aggregation": "mean", "higher_is_better": metric.higher_is_better}
        for metric in task.metrics
    ]
    lines = [f"# {MARKER_LINE}", f"task: {PREFIX}{task.name}"]
    if task.needs.answer == "score":
        lines += [
            "class: !function choice_task.ChoiceTask",
            "check_version: !function choices.refuse_broken_version",
            "picture: !function documents.picture",
            "output_type: multiple_choice",
        ]
    else:
        lines += ["output_type: generate_until", f"generation_kwargs: {_plain(_generation(of_task))}"]
    lines += [
        "dataset_path: json",
        f"dataset_kwargs: {_plain({'data_files': {'test': str(documents)}})}",
        "test_split: test",
        "num_fewshot: 0",
        "doc_to_text: !function documents.prompt",
        "doc_to_visual: !function documents.pictures",
        "doc_to_target: target",
        f"process_results: !function {_scorer(task)}",
        "metric_list:",
        *(f"  - {_plain(metric)}" for metric in metrics),
        "lmms_eval_specific_kwargs:",
        *(f"  {name}: {_plain(wording)}" for name, wording in wordings.items()),
        "metadata:",
        *(f"  {key}: {_plain(value)}" for key, value in metadata.items()),
    ]
    return "".join(f"{line}\n" for line in lines)


def _generation(of_task: TaskInput) -> dict[str, Any]:
    """Asks for a greedy text as long as the task wants; by default lmms-eval would stop at an empty line."""
    (request,) = _requests(of_task.task, of_task.items[0])
    assert isinstance(request, Write)
    return {
        "max_new_tokens": request.max_new_tokens,
        "do_sample": False,
        "temperature": 0,
        "num_beams": 1,
        "until": list(request.stop),
    }


def _plain(value: object) -> str:
    """Writes JSON that is YAML too: YAML knows no pairs of surrogates, so nothing is escaped that need not be."""
    return json.dumps(value, ensure_ascii=False)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes all files aside before the first takes its place; those of another choice of tasks go."""
    with contextlib.ExitStack() as stack:
        ready = [stack.enter_context(written_aside(folder / name, text.encode())) for name, text in files.items()]
        for put_in_place in ready:
            put_in_place()
    for name in sorted(_own_names() - files.keys()):
        with explained(folder / name):
            (folder / name).unlink(missing_ok=True)
