"""Evaluations from end to end: check the data, plan, load each model, run it, decide, write its log.

Owns the order of these steps and nothing of what happens inside one.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from babycli.data.root import DatasetRoot
from babycli.domain import Offer, Score, TaskResult
from babycli.errors import BabycliError, ExitCode, ModelError, OutputError, ResumeError
from babycli.evaluation import engine
from babycli.evaluation.batch_check import check_batches
from babycli.evaluation.cache import ScoreCache
from babycli.evaluation.controls import Controls
from babycli.evaluation.distributed import Processes, ProcessesGoneError, join
from babycli.evaluation.inputs import Inputs, read_inputs
from babycli.evaluation.memory import MORE_MEMORY, Batching, free_bytes, is_out_of_memory
from babycli.evaluation.plan import Key, Plan, make_plan, shared_out
from babycli.evaluation.prefetch import Kept
from babycli.evaluation.prompts import ANSWERED_BY, Prompt, can_do, choose_prompt
from babycli.evaluation.results import (
    SEED,
    decide,
    outcomes_document,
    provenance,
    results_document,
    sample_lines,
)
from babycli.evaluation.resume import find_unfinished
from babycli.evaluation.runlog import RunLog, log_name, new_folder
from babycli.evaluation.scorefile import Scored
from babycli.evaluation.timings import PHASES, Phase, Timings
from babycli.models import OFFERS, Resolved, check_spec, load_model, local_family, memory_of, pick_device, resolve
from babycli.models.base import Model, ModelInfo, ModelSpec
from babycli.tasks.base import Task
from babycli.tasks.prompts import DEFAULT
from babycli.wording import ControlKind, Scoring

UNIT_IMAGES = {"cpu": 16}  # with --batch-size auto, by device
GPU_UNIT_IMAGES = 32  # of which several are computed at once where there is room


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants evaluated."""

    models: Sequence[str]
    model_args: Mapping[str, str]
    tasks: Sequence[Task]
    tasks_were_named: bool  # else all of them, and those that the model cannot do are left out
    root: DatasetRoot
    output: Path
    limit: int | None  # trials of each task
    batch_size: int | None  # None: auto
    device: str | None  # None: the first GPU, else the CPU
    dtype: str
    scoring: Scoring
    control: ControlKind | None
    skip_missing: bool
    prompts: Mapping[str, str]  # by task, instead of the family's
    batch_check: int  # trials of each task to score again one by one
    resume: bool
    reuse_prefixes: bool
    reuse_features: bool  # keep what vision towers give for checkpoints with the same tower
    cache: Path | None  # a folder of scores to take from and add to
    command: Sequence[str]  # for run.json


class Reporter(Protocol):
    """How an evaluation talks while it runs."""

    def say(self, message: str) -> None: ...

    def bar(self, what: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A progress bar: a function that takes how many more are done."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    results_path: Path
    results: Sequence[TaskResult]
    timings: Mapping[Phase, float]  # seconds by phase, of this command


@dataclass(frozen=True, slots=True)
class Failed:
    """A checkpoint that could not be evaluated, among others that could."""

    model: str
    exit_code: ExitCode  # not the error, whose traceback would hold the model in memory


def evaluate(options: Options, reporter: Reporter) -> tuple[list[Evaluated], list[Failed]]:
    """Evaluates every model; one that cannot be is passed over if there are others. Scores so far stay on disk.

    Only the first of several processes gets what was evaluated. Raises UsageError, DataError, ChecksumError,
    ModelError, ResumeError or OutputError, each as its part documents.
    """
    processes = join()
    try:
        return _Suite(options, reporter if processes.is_first else _Silent(), processes).evaluate()
    except BabycliError as error:
        if not processes.is_first:
            error.message = f"process {processes.rank + 1} of {processes.n}: {error.message}"
        raise
    finally:
        processes.leave()


class _Silent:
    """The reporter of all processes but the first."""

    def say(self, message: str) -> None:
        pass

    @contextlib.contextmanager
    def bar(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        yield lambda n: None


class _Suite:
    """The models of one command, on the same inputs."""

    def __init__(self, options: Options, reporter: Reporter, processes: Processes) -> None:
        self._options, self._reporter, self._processes = options, reporter, processes
        self._device = pick_device(options.device, processes.local_rank if processes.n > 1 else None)
        room = free_bytes() // 3 if len(options.models) > 1 else 0
        self._pixels = Kept(room)
        self._seen = Kept(room if options.reuse_features else 0)
        self._controls = Controls(options.control, reporter.say, reporter.bar)
        self._is_running = False

    def evaluate(self) -> tuple[list[Evaluated], list[Failed]]:
        options, reporter = self._options, self._reporter
        models = [resolve(model, options.model_args) for model in options.models]
        for resolved in models:
            check_spec(resolved, self._spec(resolved, options.model_args))
        models = self._controls.standing_in(models)
        with reporter.bar("reading images", None) as count:
            inputs = read_inputs(options.root, self._tasks(models), options.limit, options.skip_missing, count)
        done: list[Evaluated] = []
        failed: list[Failed] = []
        for i, resolved in enumerate(models, 1):
            if len(models) > 1:
                reporter.say(f"model {i} of {len(models)}: {resolved.name}")
            try:
                done += self._evaluate(resolved, inputs)
            except (ModelError, ResumeError) as error:
                is_alone = isinstance(error, ProcessesGoneError) or (self._processes.n > 1 and self._is_running)
                if len(models) == 1 or is_alone:
                    raise  # the other processes may not have failed
                reporter.say(f"failed: {error.message}\n  mend: {error.mend}")
                failed.append(Failed(resolved.name, error.exit_code))
            self._is_running = False
            gc.collect()  # the model, before the next one is loaded
        return done, failed

    def _spec(self, resolved: Resolved, args: Mapping[str, str]) -> ModelSpec:
        options = self._options
        return ModelSpec(resolved.source, resolved.name, args, self._device, options.dtype, options.scoring)

    def _tasks(self, models: Sequence[Resolved]) -> Sequence[Task]:
        """The tasks that any of the models can do, as far as that is known before they are loaded."""
        tasks = self._options.tasks
        if len(models) == 1:
            family = local_family(models[0])
            return tasks if family is None else self._doable(tasks, models[0].name, family.offers)
        if self._options.tasks_were_named:
            return tasks
        offers: set[Offer] = set()
        for resolved in models:
            try:
                family = local_family(resolved)
            except ModelError:  # said when it is loaded
                continue
            offers |= set(OFFERS if family is None else family.offers)
        doable = [task for task in tasks if can_do(task, sorted(offers))]
        return doable or tasks

    def _doable(self, tasks: Sequence[Task], model: str, offers: Sequence[Offer]) -> Sequence[Task]:
        """The tasks that a model with these offers can do. Raises ModelError for one that was asked for and is not."""
        doable = [task for task in tasks if can_do(task, offers)]
        beyond = ", ".join(task.name for task in tasks if task not in doable)
        if beyond and (self._options.tasks_were_named or not doable):
            able = f"leave it out:  --tasks {','.join(t.name for t in doable)}" if doable else "choose another model"
            expected = " or ".join(dict.fromkeys(o for t in tasks if t not in doable for o in ANSWERED_BY[t.needs]))
            raise ModelError(f"{model} cannot do {beyond}: expected is {expected}, it offers {', '.join(offers)}", able)
        if beyond:
            self._reporter.say(f"note: left out {beyond}: {model} offers {', '.join(offers)} only")
        return doable

    def _evaluate(self, resolved: Resolved, inputs: Inputs) -> list[Evaluated]:
        """One model: loaded, run and decided; nothing from the processes that are not the first."""
        options, reporter, processes = self._options, self._reporter, self._processes
        started = _utc_now()
        spec = self._spec(resolved, self._controls.arguments(options.model_args))
        if options.control != ControlKind.CONSTANT:
            reporter.say(f"loading {spec.name} on {spec.device} in {options.dtype}")
        model = processes.together(lambda: _loaded(resolved, spec))
        model, inputs, control = processes.together(lambda: self._controls.apply(model, spec, inputs))
        tasks = self._doable([item.task for item in inputs.tasks], spec.name, model.info.offers)
        inputs = inputs.asking(_prompts(tasks, model.info, options.prompts, reporter))
        plan = make_plan(inputs.all_requests(), inputs.sha256)
        about = provenance(inputs, plan, model, spec, options.limit, control)
        self._check_agreement(plan, model.info)
        found = processes.together(lambda: self._folder(about, log_name(spec.name)) if processes.is_first else Path())
        self._is_running = True
        with RunLog(processes.share(found), processes.rank) as log:
            for note in model.info.notes:
                reporter.say(f"note: {note}")
            batching = self._batching(spec.device, log.provenance)
            session: dict[str, Any] = {"start": started, "device": spec.device, "n_processes": processes.n}
            session["libraries"] = about["libraries"]
            if processes.is_first:
                log.write_provenance(
                    start=log.provenance.get("start", started),
                    status="running",
                    batch_size=batching.unit_images,
                    command=list(options.command),
                    sessions=[*log.provenance.get("sessions", []), session],
                    **about,
                )
            with self._cached(plan, model.info, spec, log):
                timings = self._run(plan, model, inputs, batching, log)
                everywhere = processes.gather(timings.seconds)
            if not processes.is_first:
                return []
            total: dict[Phase, float] = {phase: sum(seconds[phase] for seconds in everywhere) for phase in PHASES}
            session |= {"end": _utc_now(), "timings": total, "batching": batching.events}
            path, results = self._conclude(plan, model, inputs, log)
            return [Evaluated(path, results, total)]

    def _conclude(self, plan: Plan, model: Model, inputs: Inputs, log: RunLog) -> tuple[Path, Sequence[TaskResult]]:
        """Decides every task from the scores on disk, and writes what a finished run has besides them."""
        options = self._options
        scores = engine.settled(plan, log.scores())
        if options.batch_check:
            log.write_provenance(batch_check=_batch_check(options, inputs, scores, model, self._reporter))
        decided = [decide(item, scores, inputs.sha256, options.scoring) for item in inputs.tasks]
        for of_task in decided:
            log.write_samples(of_task.result.task, sample_lines(of_task, model))
        log.write_outcomes(outcomes_document(decided))
        log.write_provenance(end=_utc_now(), status="done", timings=_summed(log.provenance["sessions"]))
        results = [of_task.result for of_task in decided]
        document = results_document(log.provenance, results, log.timestamp, log.folder.parent.name)
        return log.write_results(document), results  # last: a run without results is gone on with

    def _folder(self, about: Mapping[str, Any], model: str) -> Path:
        """The folder of the run to go on with, else a new one."""
        options = self._options
        found = find_unfinished(options.output / model, about) if options.resume else None
        return found or new_folder(options.output, model)

    @contextlib.contextmanager
    def _cached(self, plan: Plan, info: ModelInfo, spec: ModelSpec, log: RunLog) -> Iterator[None]:
        """Puts what a cache knows into the log, and afterwards what the log has into the cache."""
        folder = self._options.cache
        if folder is None or not self._processes.is_first:
            yield
            return
        if info.n_parameters is None:
            self._note("no --cache for a model of your own: babycli cannot tell whether its weights have changed")
            yield
            return
        cache = ScoreCache(folder, info, spec)
        known, had = cache.read(), log.scores()
        for key in plan.keys:
            if key in known and key not in had:
                log.append_score(known[key])
        try:
            yield
        finally:
            try:
                cache.add(log.scores().values())
            except OutputError as error:  # the run itself has lost nothing
                self._note(error.message)

    def _batching(self, device: str, logged: Mapping[str, Any]) -> Batching:
        """As large as asked for; with auto the size that the run was begun with, so that its borders stay."""
        wanted = self._options.batch_size
        begun = logged.get("batch_size") or UNIT_IMAGES.get(device, GPU_UNIT_IMAGES)
        size = wanted or self._processes.share(begun)
        return Batching(size, auto=wanted is None, probe=memory_of(device), note=self._note)

    def _note(self, message: str) -> None:
        self._reporter.say(f"note: {message}")

    def _check_agreement(self, plan: Plan, info: ModelInfo) -> None:
        """Raises ModelError unless all processes have the same images, labels and weights before them."""
        if len(set(self._processes.gather((plan.digest, info.fingerprint)))) > 1:
            raise ModelError(
                "the processes do not see the same images, labels and weights",
                "give all machines the same files, on a disk that they share",
            )

    def _run(self, plan: Plan, model: Model, inputs: Inputs, batching: Batching, log: RunLog) -> Timings:
        """Scores what is not on disk yet, this process its share."""
        how = engine.How(batching, self._options.reuse_prefixes, pixels=self._pixels, seen=self._seen)
        processes = self._processes
        done = processes.share(set(log.scores()) if processes.is_first else set())
        share = shared_out(plan.units(batching.unit_images, done), processes.n)[processes.rank]
        n_here = sum(key not in done for unit in share for item in unit for key in item.keys)
        n_done = n_before = sum(key in done for key in plan.keys)
        if n_before:
            self._reporter.say(f"{n_before} of {plan.n_requests} scores are on disk: {log.folder}")
        try:
            with self._reporter.bar("scoring", n_here) as count:

                def keep(scored: Scored) -> None:
                    nonlocal n_done
                    log.append_score(scored)
                    n_done += 1
                    count(1)

                if share:
                    engine.read_texts(plan, model)
                engine.run(share, model, inputs.open_image, how, done, keep)
            log.sync()
        finally:
            if n_done < n_before + n_here:
                if processes.is_first:
                    with contextlib.suppress(OutputError):
                        log.write_provenance(status="stopped")
                n, of = (n_done, plan.n_requests) if processes.n == 1 else (n_done - n_before, n_here)
                whose = "" if processes.n == 1 else " of the first process"
                self._reporter.say(f"stopped after {n} of {of} requests{whose}; the same command goes on: {log.folder}")
        return how.timings


def _batch_check(
    options: Options, inputs: Inputs, scores: Mapping[Key, Score], model: Model, reporter: Reporter
) -> dict[str, dict[str, Any]]:
    """For the log: what scoring some trials of each task again, one request at a time, showed."""
    found = check_batches(inputs, scores, model, options.batch_check, SEED, options.scoring)
    for task, check in found.items():
        drift = "" if check.max_difference is None else f", scores differ by up to {check.max_difference:.2g}"
        reporter.say(f"batch check: {task}: {check.n_flipped} of {check.n_trials} decisions flip one by one{drift}")
    return {task: {"seed": SEED} | asdict(check) for task, check in found.items()}


def _prompts(
    tasks: Sequence[Task], info: ModelInfo, overrides: Mapping[str, str], reporter: Reporter
) -> dict[str, Prompt]:
    """The prompt of every task; a model without prompts of its own is told which it got."""
    chosen = {t.name: choose_prompt(t, info.family, info.prompts, info.prompts_like, overrides) for t in tasks}
    defaults = [task for task, prompt in chosen.items() if prompt.origin == DEFAULT]
    if defaults:
        text = "the image and no words" if "loglikelihood" in info.offers or "generate" in info.offers else "no words"
        reporter.say(
            f"note: {info.family} has no prompt of its own for {', '.join(defaults)}: asked with {text}; "
            "--prompt TEXT changes that"
        )
    return chosen


def _loaded(resolved: Resolved, spec: ModelSpec) -> Model:
    try:
        return load_model(resolved, spec)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"{spec.name} does not fit in the memory of {spec.device}",
            MORE_MEMORY,
        ) from error


def _summed(sessions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds by phase of all sessions that came to their end."""
    return {phase: sum(s["timings"][phase] for s in sessions if "timings" in s) for phase in PHASES}


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
