"""The inputs of a run: the labels, items and pictures of the chosen tasks, checked before any model is loaded.

Owns the checks, the choice of items (--limit, --sample, --skip-missing), and which link leads to a picture. Never
scores anything.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL.Image import Image

from babycli.data.datasets import OWN, joint_data_set
from babycli.data.decoding import check_header, decode
from babycli.data.digests import digest_of_places
from babycli.data.images import ImageError, ImageStore
from babycli.data.labels import Labels
from babycli.data.lock import Lock, lock_problem, read_lock
from babycli.data.manifest import all_lie_outside, full_name, lies_outside, links_of, logged_place
from babycli.data.problems import Problem, raise_for
from babycli.data.root import DatasetRoot
from babycli.data.sources import link_command
from babycli.data.verify import checked_labels, labels_mend, link_problem, link_words, open_link
from babycli.domain import Context, ImageRef, Item, Request
from babycli.errors import ChecksumError, DataError, TaskError
from babycli.evaluation.prompts import NO_PROMPT, Prompt
from babycli.evaluation.sampling import coverage_of, sampled
from babycli.foreign import explained_for
from babycli.logs.identity import Coverage, Sample
from babycli.tasks import all_tasks
from babycli.tasks.base import Asking, Task
from babycli.wording import History, Scoring

Show = Callable[[Context], Context]  # changes a context, for a control


def _as_it_is(context: Context) -> Context:
    return context


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The way in which texts are written, as the user chose it."""

    history: History = History.OWN
    max_new_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TaskInput:
    """A task with the items that will be evaluated."""

    task: Task
    labels: Labels
    items: tuple[Item, ...]
    skipped: tuple[str, ...]  # ids of items that are left out because one of their pictures cannot be read
    prompt: Prompt = NO_PROMPT  # set once the model is known
    show: Show = _as_it_is  # set by a control
    dialogue: Dialogue = Dialogue()
    is_recorded: bool = False  # set once the model is known: it plays back what was said elsewhere
    coverage: Coverage | None = None  # of a part of the task; None: of all of it

    @property
    def n_chosen(self) -> int:
        """The number of items that were to be evaluated, skipped ones included."""
        return len(self.items) + len(self.skipped)

    @property
    def row_indices(self) -> list[int]:
        """The indices of its rows, in file order."""
        return sorted(i for item in self.items for i in item.row_indices)

    def asking(self, scoring: Scoring) -> Asking:
        dialogue = self.dialogue
        return Asking(self.prompt.text, scoring, dialogue.history, dialogue.max_new_tokens, self.is_recorded)

    def shown(self, request: Request) -> Request:
        """Gives a request as the model gets it, changed by the control if there is one."""
        return replace(request, context=self.show(request.context))

    @property
    def images(self) -> dict[ImageRef, None]:
        """The pictures of its items, each once, in the order of the rows."""
        return dict.fromkeys(image for item in self.items for image in item.images)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The tasks of a run, all of one data set, and the pictures of their items."""

    data_set: str
    tasks: tuple[TaskInput, ...]
    places: Mapping[ImageRef, ImageStore]  # the store that holds each picture
    own_sha256: Mapping[ImageRef, str]  # of the pictures that items have
    made: Mapping[ImageRef, Callable[[], Image]] = field(default_factory=dict)  # pictures that a control draws
    made_sha256: Mapping[ImageRef, str] = field(default_factory=dict)

    @property
    def dialogue(self) -> Dialogue:
        return self.tasks[0].dialogue  # that of all

    @property
    def sha256(self) -> Mapping[ImageRef, str]:
        """The SHA-256 of all pictures that can be shown."""
        return {**self.own_sha256, **self.made_sha256}

    def asking(self, tasks: Sequence[Task], prompts: Mapping[str, Prompt], is_recorded: bool = False) -> Inputs:
        """Gives the inputs of those of its tasks that are among ``tasks``, as a model is asked in them."""
        fitted = {(task.name, task.data_set): task for task in tasks}
        asked = [
            replace(t, task=fitted[t.task.name, t.task.data_set], prompt=prompts[t.task.name], is_recorded=is_recorded)
            for t in self.tasks
            if (t.task.name, t.task.data_set) in fitted
        ]
        return replace(self, tasks=tuple(asked))

    def open_image(self, image: ImageRef) -> Image:
        """Opens a picture that is shown. What is decoded are the bytes whose digest the run logs.

        Raises DataError for one that cannot be decoded, ChecksumError for one that has changed since the run began, or
        can no longer be read.
        """
        if image in self.made:
            return self.made[image]()
        store = self.places[image]
        place = store.place(image.name)
        try:
            content = store.read(image.name)
        except DataError as error:
            raise _changed(f"{place} has changed since this run began: {error.message}") from error
        if hashlib.sha256(content).hexdigest() != self.own_sha256[image]:
            raise _changed(f"{place} has changed since this run began")
        return decode(content, place)

    def images_digest(self, task: TaskInput) -> str:
        """Gives the SHA-256 over place and bytes of the pictures of a task's items, each named by the task's link.

        A control does not change it: the run of a control is a run on the same pictures.
        """
        links = task.task.links
        names = sorted((logged_place(links, i.source), i.name, self.own_sha256[i]) for i in task.images)
        return digest_of_places(names)


def _changed(message: str) -> ChecksumError:
    return ChecksumError(
        message, "put the old file back, and the same command goes on; with the new one it begins a run of its own"
    )


def read_inputs(
    root: DatasetRoot,
    tasks: Sequence[Task],
    limit: int | None,
    skip_missing: bool,
    progress: Callable[[int], None],
    words: str = "",
    dialogue: Dialogue = Dialogue(),
    sample: Sample | None = None,
) -> Inputs:
    """Checks labels, links and pictures of the tasks, and reads every picture once for its digest.

    ``limit`` keeps the first items of each task, ``sample`` some of all of its groups; ``words`` makes another command
    mean the same tasks. Raises DataError or ChecksumError naming the first few problems.
    """
    with contextlib.nullcontext() if all_lie_outside(tasks) else root.named():
        return _read(root, tasks, limit, skip_missing, progress, root.words + words, dialogue, sample)


def _read(
    root: DatasetRoot,
    tasks: Sequence[Task],
    limit: int | None,
    skip_missing: bool,
    progress: Callable[[int], None],
    words: str,
    dialogue: Dialogue,
    sample: Sample | None,
) -> Inputs:
    stores: dict[str, ImageStore] = {}  # by link
    prepared = []
    lock = read_lock(root)
    verify = f"babycli data verify{words}"
    for task in tasks:
        labels = checked_labels(root, task, lock)
        links = links_of(task)
        broken = _links_amiss(root, task)
        if labels.problems or broken:
            mend = (
                labels_mend(root, task, tasks)
                if labels.problems
                else link_words(root, [task], tasks, all_tasks().values(), words)
            )
            raise_for(list(labels.problems) or broken, mend + _without(task, root, tasks, lock))
        stores |= {link.path: open_link(root, link, labels.image_names(link.path)) for link in links}
        prepared.append(_select(task, labels, stores, limit, sample, skip_missing, verify))
        _check_targets(prepared[-1])
    data_set = joint_data_set(task_input.labels.data_set or OWN for task_input in prepared)
    if data_set is None:
        raise DataError(
            f"{root.path} mixes label files of the demo with those of SAYCam", f"babycli data labels{root.words}"
        )
    places, sha256 = _read_pictures(prepared, stores, verify, progress)
    _check_lock(lock, prepared, stores, sha256, words)
    prepared = [replace(task_input, dialogue=dialogue) for task_input in prepared]
    return Inputs(data_set.name, tuple(prepared), places, sha256)


def _links_amiss(root: DatasetRoot, task: Task) -> list[Problem]:
    problems = (link_problem(root, full_name(task), link) for link in links_of(task))
    return [problem for problem in problems if problem is not None]


def _without(unfit: Task, root: DatasetRoot, tasks: Sequence[Task], lock: Lock) -> str:
    """Gives the words behind a mend that say how to evaluate those of the tasks whose data are there; "" for none."""
    others = [task for task in tasks if task is not unfit]
    ready = [t for t in others if not _links_amiss(root, t) and not checked_labels(root, t, lock).problems]
    names = ",".join(dict.fromkeys(task.name for task in ready))
    if not root.path.exists() and not lies_outside(unfit):
        return "   (or try it without data:  babycli demo)"
    return f"   (or evaluate what is there:  --tasks {names})" if names else ""


def _check_targets(task_input: TaskInput) -> None:
    """Checks that the task can tell the right answer of every row, before it is too late. Raises TaskError."""
    task = task_input.task
    for item in task_input.items:
        with explained_for(task, f"{task.name}: target() fails for item {item.item_id}", TaskError):
            targets = [task.target(row) for row in item.rows]
        wrong = [target for target in targets if not isinstance(target, str)]
        if wrong:
            raise TaskError(
                f"{task.name}: target() gives {wrong[0]!r:.40} for item {item.item_id}; expected is a text",
                "write  str(...)",
            )


def _read_pictures(
    prepared: Sequence[TaskInput], stores: Mapping[str, ImageStore], verify: str, progress: Callable[[int], None]
) -> tuple[dict[ImageRef, ImageStore], dict[ImageRef, str]]:
    """Reads every picture once, and gives the store that holds it and the SHA-256 of its bytes.

    Several links may lead to the pictures of one source. If they lead to different places, a picture of one name must
    have the same bytes in all of them: else nobody could tell which picture a number belongs to. Raises DataError.
    """
    places: dict[ImageRef, ImageStore] = {}
    digests: dict[ImageRef, str] = {}
    for task_input in prepared:
        for image in task_input.images:
            store = stores[task_input.task.links[image.source]]
            known = places.get(image)
            if known is not None and known.identity == store.identity:
                continue
            try:
                content = store.read(image.name)
                check_header(content, store.place(image.name))  # better now than after an hour on a GPU
            except ImageError as error:
                mend = f"{verify}   shows all such images; --skip-missing leaves out those that are not there"
                raise DataError(error.message, mend) from error
            digest = hashlib.sha256(content).hexdigest()
            if known is not None and digests[image] != digest:
                raise DataError(
                    f"{store.place(image.name)} has other bytes than {known.place(image.name)}: two pictures of one "
                    "name",
                    "babycli data link SAYCAM-FOLDER   lets all links lead to one folder",
                )
            places.setdefault(image, store)
            digests.setdefault(image, digest)
            progress(1)
    return places, digests


def _check_lock(
    lock: Lock,
    prepared: Sequence[TaskInput],
    stores: Mapping[str, ImageStore],
    sha256: Mapping[ImageRef, str],
    words: str,
) -> None:
    """Checks that every picture is the one that was linked. Raises ChecksumError."""
    locked = lock.links
    problems: list[Problem] = []
    for task_input in prepared:
        for image in task_input.images:
            link = task_input.task.links[image.source]
            recorded = locked[link].sha256.get(image.name) if link in locked else None
            problem = lock_problem(full_name(task_input.task), stores[link].place(image.name), recorded, sha256[image])
            problems += [problem] if problem is not None else []
    raise_for(
        sorted(problems),
        f"babycli data verify{words}   shows all of them; if the new images are right:  "
        f"{link_command((source for each in prepared for source in each.task.links), words)}",
    )


def _select(
    task: Task,
    labels: Labels,
    stores: Mapping[str, ImageStore],
    limit: int | None,
    sample: Sample | None,
    skip_missing: bool,
    verify: str,
) -> TaskInput:
    """Takes the first ``limit`` items, or a sample of them, and skips those that lack a picture.

    Raises DataError if none may be skipped.
    """
    items = labels.items[:limit] if sample is None else sampled(task, labels.items, sample)
    problems: dict[str, list[Problem]] = {}
    for item in items:
        for image in _each_once(item.images):
            missing = stores[task.links[image.source]].problem(image.name)
            if missing is not None:
                problem = Problem(full_name(task), missing.kind, missing.path, missing.detail)
                problems.setdefault(item.item_id, []).append(problem)
    if problems and not skip_missing:
        several = sorted({problem for of_item in problems.values() for problem in of_item})
        raise_for(
            several,
            f"{verify}   shows all of them; --skip-missing evaluates the complete trials only",
        )
    kept = tuple(item for item in items if item.item_id not in problems)
    if not kept:
        raise DataError(f"{task.name}: no trial has all of its images", verify)
    return TaskInput(task, labels, kept, tuple(problems), coverage=coverage_of(task, items, labels.items))


def _each_once(images: Iterable[ImageRef]) -> list[ImageRef]:
    return list(dict.fromkeys(images))
