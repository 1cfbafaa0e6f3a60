"""What a run evaluates: the labels, trials and images of the chosen tasks, checked before any model is loaded.

Owns the checks and the choice of trials (--limit, --skip-missing). Never scores anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from PIL.Image import Image

from babycli.data.images import ImageStore, check_header, decode
from babycli.data.labels import Labels
from babycli.data.lock import lock_problem, read_lock
from babycli.data.manifest import Edition, manifests
from babycli.data.problems import Problem, raise_for
from babycli.data.root import DatasetRoot
from babycli.data.verify import checked_labels, link_problem, open_link
from babycli.domain import ImageRef, Request, Trial
from babycli.errors import DataError
from babycli.evaluation.prompts import NO_PROMPT, Prompt
from babycli.tasks import structure_problems
from babycli.tasks.base import Task


@dataclass(frozen=True, slots=True)
class TaskInput:
    """A task with what of its labels will be evaluated."""

    task: Task
    labels: Labels
    trials: tuple[Trial, ...]
    skipped: tuple[str, ...]  # trial ids left out because an image of theirs cannot be read
    prompt: Prompt = NO_PROMPT  # set once the model is known

    @property
    def row_indices(self) -> list[int]:
        """The rows in file order."""
        return sorted(i for trial in self.trials for i in trial.row_indices)

    def requests(self, row_index: int) -> tuple[Request, ...]:
        return self.task.requests(self.labels.rows[row_index], self.prompt.text)

    @property
    def images(self) -> dict[ImageRef, None]:
        """The images that its rows name, each once, in the order of the rows."""
        return dict.fromkeys(request.image for i in self.row_indices for request in self.requests(i))


@dataclass(frozen=True, slots=True)
class Inputs:
    """All tasks of a run, all of one edition of the data, and the images they name."""

    edition: Edition
    tasks: tuple[TaskInput, ...]
    stores: Mapping[str, ImageStore]  # by link
    own_sha256: Mapping[ImageRef, str]  # of the images that the rows name
    sha256: Mapping[ImageRef, str]  # of what is shown in their place: the same, unless there is a control
    show: Callable[[ImageRef], Image] | None = None  # what is shown in the place of an image; None: itself

    def all_requests(self) -> list[Request]:
        return [request for t in self.tasks for i in t.row_indices for request in t.requests(i)]

    def asking(self, prompts: Mapping[str, Prompt]) -> Inputs:
        """The same, for the tasks that ``prompts`` names, with their prompts."""
        tasks = [replace(t, prompt=prompts[t.task.name]) for t in self.tasks if t.task.name in prompts]
        refs = {ref for t in tasks for ref in t.images}
        own, shown = ({ref: x for ref, x in of.items() if ref in refs} for of in (self.own_sha256, self.sha256))
        return replace(self, tasks=tuple(tasks), own_sha256=own, sha256=shown)

    def open_image(self, image: ImageRef) -> Image:
        """What a model is shown for an image."""
        return self.open_own(image) if self.show is None else self.show(image)

    def open_own(self, image: ImageRef) -> Image:
        """The image itself, whatever is shown in its place."""
        store = self.stores[image.link]
        return decode(store.read(image.name), store.place(image.name))

    def images_digest(self, images: Iterable[ImageRef] | None = None) -> str:
        """SHA-256 over name and bytes of the images that rows name: of some of them, or of all.

        A control does not change it: a run of one is a run on these images.
        """
        refs = sorted(self.own_sha256 if images is None else images)
        lines = [f"{ref.link}/{ref.name}\0{self.own_sha256[ref]}\n" for ref in refs]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_inputs(
    root: DatasetRoot, tasks: Sequence[Task], limit: int | None, skip_missing: bool, progress: Callable[[int], None]
) -> Inputs:
    """Checks labels, links and images of the tasks, and reads every image once for its digest.

    ``limit`` keeps the first trials of each task. Raises DataError or ChecksumError naming the first few problems.
    """
    stores: dict[str, ImageStore] = {}
    prepared = []
    for task in tasks:
        manifest = manifests()[task.name]
        labels = checked_labels(root, manifest, structure_problems)
        raise_for(list(labels.problems), f"babycli data labels{root.words}")
        broken = [p for p in (link_problem(root, task.name, link) for link in manifest.links) if p is not None]
        raise_for(
            broken,
            f"babycli data link SAYCAM-FOLDER{root.words}   (or choose other tasks than {task.name} with --tasks)",
        )
        stores |= {link.path: open_link(root, link, labels.image_names(link)) for link in manifest.links}
        prepared.append(_select(task, labels, stores, limit, skip_missing))
    editions = {labels.edition for labels in (p.labels for p in prepared) if labels.edition}
    if len(editions) != 1:
        raise DataError(
            f"{root.path} mixes label files of the demo with those of SAYCam", f"babycli data labels{root.words}"
        )
    refs = dict.fromkeys(ref for p in prepared for ref in p.images)
    sha256 = {}
    for ref in refs:
        content = stores[ref.link].read(ref.name)
        check_header(content, stores[ref.link].place(ref.name))  # better now than after an hour on a GPU
        sha256[ref] = hashlib.sha256(content).hexdigest()
        progress(1)
    _check_lock(root, prepared, stores, sha256)
    return Inputs(editions.pop(), tuple(prepared), stores, sha256, sha256)


def _check_lock(
    root: DatasetRoot, prepared: Sequence[TaskInput], stores: Mapping[str, ImageStore], sha256: Mapping[ImageRef, str]
) -> None:
    """Raises ChecksumError where an image is not the one that was there when it was linked."""
    locked = read_lock(root).links
    problems: list[Problem] = []
    for each in prepared:
        for ref in each.images:
            recorded = locked[ref.link].sha256.get(ref.name) if ref.link in locked else None
            problem = lock_problem(each.task.name, stores[ref.link].place(ref.name), recorded, sha256[ref])
            problems += [problem] if problem is not None else []
    raise_for(
        sorted(problems),
        f"babycli data verify{root.words}   shows all of them; if the new images are right:  babycli data link "
        f"SAYCAM-FOLDER{root.words}",
    )


def _select(
    task: Task, labels: Labels, stores: Mapping[str, ImageStore], limit: int | None, skip_missing: bool
) -> TaskInput:
    """The first ``limit`` trials, without those of which an image is missing if that is allowed."""
    trials = task.trials(labels.rows)[:limit]
    problems: dict[str, list[Problem]] = {}
    for trial in trials:
        for i in trial.row_indices:
            for image in dict.fromkeys(request.image for request in task.requests(labels.rows[i], "")):
                found = stores[image.link].problem(image.name)
                if found is not None:
                    problem = Problem(task.name, found.kind, found.path, found.detail)
                    problems.setdefault(trial.trial_id, []).append(problem)
    if problems and not skip_missing:
        several = sorted({problem for of_trial in problems.values() for problem in of_trial})
        raise_for(
            several,
            "babycli data verify   shows all of them; --skip-missing evaluates the complete trials only",
        )
    kept = tuple(trial for trial in trials if trial.trial_id not in problems)
    if not kept:
        raise DataError(f"{task.name}: no trial has all of its images", "babycli data verify")
    return TaskInput(task, labels, kept, tuple(problems))
