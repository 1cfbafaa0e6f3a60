"""Making the identity of a run that is about to begin.

Owns where its parts come from: the loaded model, the inputs, and the installed packages. It is made once, before the
first answer.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import subprocess
from collections.abc import Callable
from pathlib import Path

import babycli
from babycli.domain import PICTURE, AppliedControl, Context, ask
from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.evaluation.prompts import OWN_WORDS, answers_of
from babycli.foreign import code_of, is_own
from babycli.logs.identity import Data, Identity, ModelIdentity, Question, Sample, Software, TaskQuestion
from babycli.models import args_with_effect
from babycli.models.base import Model, ModelInfo, ModelSpec
from babycli.tasks.base import Task

_GIT_S = 10
_COVERED = ("--", "babycli", "manifests")


def identify(
    inputs: Inputs,
    model: Model,
    spec: ModelSpec,
    limit: int | None,
    control: AppliedControl | None,
    sample: Sample | None = None,
) -> Identity:
    """Gives the identity of a run: the model, the question, the data, and the software."""
    return identify_as(inputs, model.info, spec, limit, control, lambda t: model.render(_example(t)), sample)


def identify_as(
    inputs: Inputs,
    info: ModelInfo,
    spec: ModelSpec,
    limit: int | None,
    control: AppliedControl | None,
    render: Callable[[TaskInput], str],
    sample: Sample | None = None,
) -> Identity:
    """Gives the identity of a run of a model of which only the facts are known, and how it renders a task's prompt."""
    return Identity(
        ModelIdentity(
            info.family, info.fingerprint, info.dtype, info.template, args_with_effect(info.family, spec.args)
        ),
        Question(
            spec.scoring,
            control,
            limit,
            {t.task.name: _question(t, info, render) for t in inputs.tasks},
            inputs.dialogue.history,
            inputs.dialogue.max_new_tokens,
            sample,
        ),
        Data(
            inputs.data_set,
            {t.task.name: t.labels.sha256 for t in inputs.tasks},
            {t.task.name: inputs.images_digest(t) for t in inputs.tasks},
        ),
        _software(),
    )


def _question(task_input: TaskInput, info: ModelInfo, render: Callable[[TaskInput], str]) -> TaskQuestion:
    task, prompt = task_input.task, task_input.prompt
    return TaskQuestion(
        version=task.version,
        n_units=len(task_input.items),
        skipped=task_input.skipped,
        prompt=prompt.text,
        rendered_prompt="" if prompt.origin == OWN_WORDS else render(task_input),
        answers=answers_of(task, info.abilities),
        code=_code(task),
        coverage=task_input.coverage,
    )


def _example(task_input: TaskInput) -> Context:
    """Gives an example of what a model is asked in a task: one picture and the prompt."""
    return task_input.show(ask(task_input.prompt.text, PICTURE))


def _code(task: Task) -> str:
    if is_own(task):
        return ""
    file = inspect.getsourcefile(type(task))
    return hashlib.sha256(code_of(Path(file))).hexdigest() if file else ""


@functools.cache  # what is imported does not change any more
def _software() -> Software:
    from importlib.metadata import version  # slow to import, and every command imports this module

    return Software(
        babycli.__version__,
        _revision(Path(babycli.__file__).parent.parent),
        *(version(package) for package in ("torch", "transformers", "tokenizers", "pillow")),
    )


def _revision(checkout: Path) -> str | None:
    """Gives the commit of a git checkout of babycli; None for an installed package.

    If files differ from it, "+" follows, and the beginning of a SHA-256 over how they differ.
    """
    if not (checkout / ".git").exists():
        return None
    try:
        commit, *changes = (
            subprocess.run(
                ["git", "-C", str(checkout), *words], capture_output=True, timeout=_GIT_S, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", *_COVERED), ("diff", "HEAD", *_COVERED))
        )
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout of somebody else's
        return None
    if not any(changes):
        return commit.decode()
    return f"{commit.decode()}+{hashlib.sha256(bytes(1).join(changes)).hexdigest()[:8]}"
