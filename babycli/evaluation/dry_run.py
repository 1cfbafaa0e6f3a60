"""What an evaluation would compute, without computing it: tasks, requests, pictures, and what is there already.

Owns the counts and, where it is asked for, the estimate of the time, for which a few real batches are computed. Never
writes a log.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from babycli.errors import ModelError
from babycli.evaluation import engine
from babycli.evaluation.cache import AnswerCache
from babycli.evaluation.finished import LoggedRun, SameRuns, has, has_asked, is_unknown
from babycli.evaluation.identify import identify, identify_as
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.memory import Batching, unit_images_of
from babycli.evaluation.options import Options, Reporter
from babycli.evaluation.plan import Plan, Unit, cost_of, cost_of_asks
from babycli.evaluation.playback import begin, recorded_tasks
from babycli.evaluation.prompts import choose_prompts, doable_tasks
from babycli.evaluation.rounds import Rounds
from babycli.evaluation.suite import Failed, Ready, passed_over, ready
from babycli.evaluation.trials import trials_of
from babycli.logs.answers import Key, merged
from babycli.logs.identity import Identity
from babycli.logs.runlog import check_place, log_name
from babycli.models import Resolved, load_model, memory_of, outline_model
from babycli.models.base import Model, ModelInfo, ModelSpec
from babycli.models.recalled import is_still
from babycli.wording import ControlKind

_TRIED = 4  # units, beside one to warm up with


@dataclass(frozen=True, slots=True)
class PlannedTask:
    name: str
    n_items: int
    unit: str  # "trials"
    n_requests: int  # distinct ones, of the first round; other tasks may send the same
    skipped: int  # items that lack a picture


@dataclass(frozen=True, slots=True)
class Planned:
    """The run of a model on one set of data, as it would be."""

    model: str
    data: str
    control: ControlKind | None
    tasks: tuple[PlannedTask, ...]
    n_requests: int  # distinct ones of all tasks
    n_later: int  # of later turns of conversations, at most
    n_images: int  # distinct ones that would be shown
    n_files: int  # pictures on disk, all of them found
    finished: Path | None  # the run that is the same; nothing would be computed
    unfinished: Path | None  # the run that would go on
    n_on_disk: int  # requests whose answers it has
    n_cached: int | None  # requests whose answers the cache has; None where that is not known, or there is no cache
    seconds: float | None  # that the rest would take
    n_tried: int  # units that were computed for the estimate


def plan_runs(options: Options, reporter: Reporter, estimates: bool) -> tuple[list[Planned], list[Failed]]:
    """Plans the runs of all models, and gives those of several that cannot be read, as an evaluation passes them over.

    Raises as an evaluation does before it begins.
    """
    prepared = ready(options, reporter)
    planned: list[Planned] = []
    failed: list[Failed] = []
    for resolved in prepared.models:
        try:
            planned += _of_model(prepared, resolved, estimates)
        except ModelError as error:
            if len(prepared.models) == 1:
                raise
            failed.append(passed_over(resolved, error, reporter))
    return planned, failed


def _of_model(prepared: Ready, resolved: Resolved, estimates: bool) -> list[Planned]:
    shared, options = prepared.shared, prepared.shared.options
    spec = shared.spec(resolved, shared.controls.arguments(options.model_args))
    runs = SameRuns(options, options.output / log_name(resolved.name), shared.reporter.say)
    recalled = runs.recalled(resolved, spec)
    is_played_back = resolved.family is not None and resolved.family.abilities.plays_back
    if estimates and options.control != ControlKind.CONSTANT:
        shared.reporter.say(f"loading {spec.name} on {spec.device}")
        trials = trials_of(prepared.of_sets, options.prompts, options.scoring, options.ways)
        spec = replace(spec, trials=trials)
    model = load_model(resolved, spec) if estimates or is_played_back else None
    if model is None and recalled is not None and not is_still(recalled):
        recalled = None
    info = model.info if model is not None else recalled or _outlined(resolved, spec)
    tasks = [task_input.task for inputs in prepared.of_sets for task_input in inputs.tasks]
    say = shared.reporter.say
    tasks = doable_tasks(tasks, options.tasks_were_named, spec.name, info.abilities, say, options.ways, options.scoring)
    if model is not None and info.abilities.plays_back:
        tasks = recorded_tasks(tasks, options.tasks_were_named, spec.name, model, say)
    prompts = choose_prompts(tasks, info, options.prompts, say)
    of_sets = [inputs.asking(tasks, prompts, info.abilities.plays_back) for inputs in prepared.of_sets]
    return [_planned(prepared, runs, spec, info, model, inputs) for inputs in of_sets if inputs.tasks]


def _outlined(resolved: Resolved, spec: ModelSpec) -> ModelInfo:
    """Gives the facts about a model that are known without its weights; its fingerprint is not one of them."""
    outline = outline_model(resolved, spec)
    return ModelInfo(
        family=outline.family,
        source=spec.source,
        fingerprint="",
        n_parameters=None,
        dtype=spec.dtype,
        device=spec.device,
        template=outline.template,
        abilities=outline.abilities,
        prompts=outline.prompts,
        prompts_like=outline.prompts_like,
    )


def _planned(
    prepared: Ready, runs: SameRuns, spec: ModelSpec, info: ModelInfo, model: Model | None, inputs: Inputs
) -> Planned:
    shared, options = prepared.shared, prepared.shared.options
    n_files = len({image for task in inputs.tasks for image in task.images})
    if model is not None:
        if info.abilities.plays_back:
            begin(model, inputs, shared.reporter.say)
        inputs, control = shared.controls.apply(model, spec, inputs)
        same = runs.latest(has(identify(inputs, model, spec, options.limit, control, options.sample)))
    else:
        same = runs.latest(has_asked(inputs, info, spec, options, shared.controls)) if info.fingerprint else None
    if same is None or not same.has_results:
        check_place(options.output, same.folder if same is not None else options.output / log_name(spec.name))
    rounds = Rounds(inputs, options.scoring)
    plan = rounds.plan
    known, identity = _on_disk(same), None if same is None else same.identity
    if identity is None and info.fingerprint:
        control = shared.controls.applied(info, spec, inputs)
        identity = identify_as(
            inputs, info, spec, options.limit, control, lambda t: "", options.sample
        )  # for its answers_digest
    cached = _cached(options, identity, info)
    done = known | (cached or frozenset())
    tried = _seconds(plan, rounds, model, spec, inputs, options, done) if model is not None else (None, 0)
    of_task = rounds.n_of_tasks
    return Planned(
        model=spec.name,
        data=inputs.data_set,
        control=options.control,
        tasks=tuple(
            PlannedTask(t.task.name, len(t.items), t.task.unit, of_task[t.task.name], len(t.skipped))
            for t in inputs.tasks
        ),
        n_requests=plan.n_requests,
        n_later=sum(times for _, times in rounds.later),
        n_images=plan.n_images,
        n_files=n_files,
        finished=same.folder if same is not None and same.has_results else None,
        unfinished=same.folder if same is not None and not same.has_results else None,
        n_on_disk=len(known),
        n_cached=None if cached is None else len(cached.intersection(plan.keys) - known),
        seconds=tried[0],
        n_tried=tried[1],
    )


def _on_disk(same: LoggedRun | None) -> frozenset[Key]:
    """Gives the requests that an unfinished run has answers to."""
    if same is None or same.has_results:
        return frozenset()
    return frozenset(merged(same.score_files, same.identity.answers_digest).answers)


def _cached(options: Options, identity: Identity | None, info: ModelInfo) -> frozenset[Key] | None:
    """Gives the requests that the cache has answers to; None without a cache, or where the weights are not known."""
    if options.cache is None or identity is None or is_unknown(info) or info.abilities.plays_back:
        return None
    return frozenset(AnswerCache(options.cache, identity).peek())


def _seconds(
    plan: Plan,
    rounds: Rounds,
    model: Model,
    spec: ModelSpec,
    inputs: Inputs,
    options: Options,
    done: Collection[Key],
) -> tuple[float | None, int]:
    """Estimates the seconds of what is not done: computes some units, evenly spread, and takes their pace for all.

    The first is computed twice, for the first time to warm up. Gives the number of units that were tried, too.
    """
    size = options.batch_size or unit_images_of(spec.device)
    units = plan.units(size, done)
    if not units:
        return 0.0, 0
    if model.info.abilities.knows_rows:
        model.open_with(inputs.open_image)
        model.meet(rounds.row_requests)
    chosen = [units[i * (len(units) - 1) // max(1, _TRIED - 1)] for i in range(_TRIED)]
    tried = [unit for i, unit in enumerate(chosen) if unit not in chosen[:i]]
    _timed(tried[0], plan, model, spec, inputs, options, size)
    paces = [(_timed(unit, plan, model, spec, inputs, options, size) / _cost(unit), unit) for unit in tried]
    model.forget()
    places = [units.index(unit) for unit in tried]
    seconds = 0.0
    for i, unit in enumerate(units):
        nearest = min(range(len(places)), key=lambda n: abs(places[n] - i))
        seconds += paces[nearest][0] * _cost(unit)
    later = sum(times * cost_of(request) for request, times in rounds.later)
    return seconds + later * paces[-1][0], len(tried)


def _timed(unit: Unit, plan: Plan, model: Model, spec: ModelSpec, inputs: Inputs, options: Options, size: int) -> float:
    """Computes a unit, and gives the seconds that it took."""
    batching = Batching(size, auto=options.batch_size is None, probe=memory_of(spec.device), note=lambda message: None)
    how = engine.How(batching, options.reuse_prefixes)
    start = time.perf_counter()
    engine.read_texts(Plan(unit), model)
    engine.run([unit], model, inputs.open_image, how, frozenset(), lambda answered: None)
    return time.perf_counter() - start


def _cost(unit: Unit) -> float:
    return sum(cost_of_asks(unit).values())
