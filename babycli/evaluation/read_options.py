"""The options of an evaluation, read from words: those of a command line, or of a call in Python.

Owns what the words of either mean, and what is refused, so that both ask for the same. Never evaluates anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from babycli.data.root import DatasetRoot
from babycli.errors import UsageError
from babycli.evaluation.chosen import chosen_tasks
from babycli.evaluation.inputs import Dialogue
from babycli.evaluation.options import Options
from babycli.evaluation.prompts import parse_prompts
from babycli.evaluation.sampling import sample_of
from babycli.logs.run_name import checked_name
from babycli.models import Resolved
from babycli.tasks.trials.named import trials_words
from babycli.wording import AnswerWay, ControlKind, Dtype, History, Scoring, one_of


def read_options(
    models: Sequence[str | Resolved],
    *,
    spelled: Callable[[str], str],
    model_args: Mapping[str, str],
    tasks: str | None,
    trials: Sequence[Path] = (),
    images: Path | None = None,
    data_set: str | None,
    root: DatasetRoot,
    output: Path,
    limit: int | None,
    sample: int | None,
    seed: int | None,
    control: str | None,
    prompts: Sequence[str],
    scoring: str,
    answers: str | None,
    history: str,
    max_new_tokens: int | None,
    batch_size: int | None,
    device: str | None,
    dtype: str | None,
    given: frozenset[str] | None = None,
    batch_check: int | None,
    reuse_prefixes: bool,
    reuse_features: bool,
    cache: Path | None,
    send_pictures_to: str | None,
    skip_missing: bool,
    resume: bool,
    rerun: bool,
    command: Sequence[str],
    name: str | None = None,
) -> Options:
    """Reads the options; babycli.evaluation.options tells what each is.

    ``spelled`` gives the name of an option as errors call it. ``tasks``, ``data_set`` and ``answers`` are lists between
    commas; the files ``trials``, whose pictures lie in ``images``, are tasks, too. ``given`` tells which of device and
    dtype the user named, if not those that are not None. Raises UsageError, and DataError for a set of data that is not
    linked and for a broken trials file.
    """
    tasks = (
        ",".join([*([] if tasks is None else [tasks]), *trials_words(trials, images)]) if trials or images else tasks
    )
    precision = one_of(Dtype.FLOAT32 if dtype is None else dtype, Dtype, spelled("dtype"))
    named = {"device": device, "dtype": dtype}
    return Options(
        models=models,
        model_args=model_args,
        tasks=chosen_tasks(root, tasks, data_set),
        task_names=tasks,
        root=root,
        output=output,
        limit=limit,
        sample=sample_of(sample, seed, limit),
        batch_size=batch_size,
        device=device,
        dtype=precision,
        given=frozenset(word for word, value in named.items() if value is not None) if given is None else given,
        scoring=one_of(scoring, Scoring, spelled("scoring")),
        ways=None if answers is None else _ways_of(answers, spelled("answers")),
        dialogue=Dialogue(one_of(history, History, spelled("history")), max_new_tokens),
        control=None if control is None else one_of(control, ControlKind, spelled("control")),
        skip_missing=skip_missing,
        prompts=parse_prompts(prompts),
        batch_check=batch_check,
        resume=resume,
        rerun=rerun,
        reuse_prefixes=reuse_prefixes,
        reuse_features=reuse_features,
        cache=cache,
        send_pictures_to=str(send_pictures_to or ""),
        command=command,
        name="" if name is None else _run_name(name, models, spelled("name")),
    )


def _run_name(name: str, models: Sequence[str | Resolved], option: str) -> str:
    """Checks the name of a run. Raises UsageError for what is no name, and for one name of several models."""
    if len(models) > 1:
        raise UsageError(
            f"{option} calls one run, and there are {len(models)} models", "leave it out, or give one model"
        )
    return checked_name(name)


def _ways_of(answers: str, option: str) -> tuple[AnswerWay, ...]:
    """Reads the names of ways of answering, and gives each once."""
    named = {one_of(word.strip(), AnswerWay, option) for word in answers.split(",")}
    return tuple(way for way in AnswerWay if way in named)
