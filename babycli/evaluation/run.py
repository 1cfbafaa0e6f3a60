"""One model, from loading it to the files of its log.

Owns the order of these steps, not the steps themselves.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from babycli.errors import ModelError, OutputError
from babycli.evaluation import engine
from babycli.evaluation.cache import AnswerCache
from babycli.evaluation.conclusion import Evaluated, conclude, utc_now
from babycli.evaluation.controls import Controls
from babycli.evaluation.distributed import Processes
from babycli.evaluation.finished import Finished, SameRuns, is_unknown
from babycli.evaluation.identify import identify
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.memory import Batching, is_out_of_memory, mend_of_memory, unit_images_of
from babycli.evaluation.options import Options, Reporter
from babycli.evaluation.plan import Plan
from babycli.evaluation.playback import begin, check_control, recorded_tasks
from babycli.evaluation.prefetch import FeatureStore, Kept
from babycli.evaluation.progress import Progress, expected
from babycli.evaluation.prompts import choose_prompts, doable_tasks
from babycli.evaluation.results import plan_counts, provenance
from babycli.evaluation.resume import find_unfinished
from babycli.evaluation.rounds import Rounds, talks_at_once
from babycli.evaluation.timings import PHASES, Phase, Timings
from babycli.evaluation.trials import trials_of
from babycli.evaluation.under_way import UnderWay
from babycli.logs.answers import Answered, Key
from babycli.logs.fields import mapping
from babycli.logs.identity import Identity
from babycli.logs.run_name import name_of
from babycli.logs.runlog import RunLog, check_place, log_name, new_folder, rename_run
from babycli.models import Resolved, free_bytes_on, load_model, memory_of
from babycli.models.base import Model, ModelInfo, ModelSpec
from babycli.models.usage import Usage
from babycli.wording import ControlKind, all_of, listed


@dataclass(frozen=True, slots=True)
class Shared:
    """All that the models of one command share."""

    options: Options
    reporter: Reporter
    processes: Processes
    device: str
    controls: Controls
    pixels: Kept
    seen: Kept

    def spec(self, resolved: Resolved, args: Mapping[str, str]) -> ModelSpec:
        options = self.options
        where = (self.device, options.dtype, options.scoring, options.given)
        return ModelSpec(resolved.source, resolved.name, args, *where, send_pictures_to=options.send_pictures_to)


class ModelRun:
    """The evaluation of one model."""

    def __init__(self, shared: Shared, resolved: Resolved) -> None:
        self._shared, self._resolved = shared, resolved
        self._options, self._reporter, self._processes = shared.options, shared.reporter, shared.processes
        self.is_running = False  # requests may be under way in other processes
        runs = shared.options.output / log_name(resolved.name)
        self._logged_usage: Usage | None = None  # of the model, in the logs of runs before
        self._finished = SameRuns(shared.options, runs, shared.reporter.say)

    def evaluate(self, of_sets: Sequence[Inputs]) -> list[Evaluated]:
        """Loads the model, runs it and decides its tasks, a run for each set of data.

        Gives [] in all processes but the first.
        """
        options, reporter = self._options, self._reporter
        started, arguments = utc_now(), self._shared.controls.arguments(options.model_args)
        spec = self._shared.spec(self._resolved, arguments)
        repeated = self._repeated(
            lambda: self._finished.find_unloaded(self._resolved, spec, of_sets, self._shared.controls)
        )
        if repeated is not None:
            return repeated
        logs = options.output / log_name(spec.name)  # better looked at now than behind an hour of work
        self._processes.together(lambda: check_place(options.output, logs) if self._processes.is_first else None)
        if options.control != ControlKind.CONSTANT:
            reporter.say(f"loading {spec.name}{self._where(spec.device)}")
            self._say_without_effect(spec.name)
            spec = replace(spec, trials=trials_of(of_sets, options.prompts, options.scoring, options.ways))
        model = self._processes.together(lambda: _loaded(self._resolved, spec))
        for note in model.info.notes:
            reporter.say(f"note: {note}")
        tasks = [task_input.task for inputs in of_sets for task_input in inputs.tasks]
        abilities = model.info.abilities
        tasks = doable_tasks(
            tasks, options.tasks_were_named, spec.name, abilities, reporter.say, options.ways, options.scoring
        )
        if abilities.plays_back:
            check_control(spec.name, options.control)
            tasks = recorded_tasks(tasks, options.tasks_were_named, spec.name, model, reporter.say)
        prompts = choose_prompts(tasks, model.info, options.prompts, reporter.say)
        done: list[Evaluated] = []
        for inputs in of_sets:
            asked = inputs.asking(tasks, prompts, abilities.plays_back)
            if asked.tasks:
                done += self._evaluate(model, spec, asked, started)
                started = utc_now()
        return done

    def _evaluate(self, model: Model, spec: ModelSpec, inputs: Inputs, started: str) -> list[Evaluated]:
        """Runs the model on one set of data."""
        options, processes = self._options, self._processes
        if model.info.abilities.plays_back:
            processes.together(lambda: begin(model, inputs, self._reporter.say))
        inputs, control = processes.together(lambda: self._shared.controls.apply(model, spec, inputs))
        identity = identify(inputs, model, spec, options.limit, control, options.sample)
        repeated = None if is_unknown(model.info) else self._repeated(lambda: _listed(self._finished.find(identity)))
        if repeated is not None:
            return repeated
        unit_images = options.batch_size or unit_images_of(spec.device)
        n_talks = processes.n * processes.share(talks_at_once(inputs, model, unit_images))
        # Of a server nothing is kept here, and it is busy only with all conversations at once.
        rounds = Rounds(inputs, options.scoring, n_talks=None if model.info.abilities.answers_alone else n_talks)
        plan = rounds.plan
        about = provenance(inputs, plan, model, spec, identity)
        self._check_agreement(plan, identity)
        where = processes.together(
            lambda: self._folder(identity, log_name(spec.name)) if processes.is_first else Path()
        )
        self.is_running = True
        with RunLog(processes.share(where), identity.answers_digest, processes.rank) as log:
            batching = self._batching(spec.device, log.provenance)
            session: dict[str, Any] = {"start": started, "device": spec.device, "n_processes": processes.n}
            session["libraries"] = about["libraries"]
            self._say_updates(log.provenance, about["libraries"])
            if processes.is_first:
                log.write_provenance(
                    start=log.provenance.get("start", started),
                    status="running",
                    batch_size=batching.unit_images,
                    command=list(options.command),
                    name=options.name or name_of(log.provenance),
                    sessions=[*log.provenance.get("sessions", []), session],
                    **about,
                )
            with self._usage_kept(model, log, session):  # the batch check's, too
                with self._cached(model.info, identity, log) as cached:
                    timings = self._play(rounds, plan, model, inputs, batching, log, cached)
                    everywhere = processes.gather(timings.seconds)
                if not processes.is_first:
                    return []
                total: dict[Phase, float] = {phase: sum(seconds[phase] for seconds in everywhere) for phase in PHASES}
                session |= {"end": utc_now(), "timings": total, "batching": batching.events}
                return [conclude(options, self._reporter, rounds, model, inputs, log, total)]

    def _repeated(self, find: Callable[[], Sequence[Finished] | None]) -> list[Evaluated] | None:
        """Gives the finished runs that this command would repeat, of which it says so; None where there are none."""
        processes = self._processes
        found = processes.together(lambda: find() if processes.is_first else None)
        if not processes.share(bool(found)):
            return None
        for run in found or ():
            self._reporter.say(f"already evaluated: {run.folder}; --rerun does it again")
            if self._options.name not in ("", name_of(run.run)):
                rename_run(run.folder, self._options.name)
                self._note(f"it is called {self._options.name} now")
        return [Evaluated(run.results_path, run.results, run.replies, run.run["timings"]) for run in found or ()]

    def _play(
        self,
        rounds: Rounds,
        first: Plan,
        model: Model,
        inputs: Inputs,
        batching: Batching,
        log: RunLog,
        cached: Mapping[Key, Answered],
    ) -> Timings:
        """Plays all items to their ends, round by round. The first process plays; all processes compute."""
        processes = self._processes
        how = engine.How(
            batching,
            self._options.reuse_prefixes,
            pixels=self._shared.pixels,
            seen=self._shared.seen,
            features=FeatureStore(free_bytes_on(self._shared.device) // 8),  # where the model has put them
        )
        settled = engine.Settled()
        under_way = UnderWay(how.reuses_prefixes and model.info.abilities.keeps_prefixes)

        def next_plan(plan: Plan) -> Plan | None:
            if not processes.is_first:
                return None
            if processes.n > 1:
                log.reread()
            settled.add(plan, log.answers())
            rounds.tell(settled.answers)
            return None if rounds.is_over else rounds.plan

        if model.info.abilities.knows_rows:
            model.open_with(inputs.open_image)
        plan: Plan | None = first
        plans: list[Plan] = []
        n, whole = expected(rounds, first, processes.n)
        with self._reporter.bar("evaluating", n, " requests", whole) as count:
            progress = Progress(count)
            while plan is not None:
                plans.append(plan)
                how.features.later = plan.later
                if self._shared.device == "cpu":  # where it costs nothing
                    how.features.alone |= plan.shared
                if plan.begins:
                    model.forget()  # other conversations
                if model.info.abilities.knows_rows:
                    model.meet(processes.share(rounds.row_requests if processes.is_first else []))
                self._run(plan, len(plans), rounds, under_way, model, inputs, how, log, cached, progress)
                processes.gather(None)  # all that was computed is on the disk
                plan = processes.share(processes.together(functools.partial(next_plan, plan)))
        model.forget()
        if processes.is_first and len(plans) > 1:  # the first is in run.json already
            log.write_provenance(plan=plan_counts(plans))
        return how.timings

    @property
    def _is_elsewhere(self) -> bool:
        """Tells whether a server or a recording answers for the model."""
        family = self._resolved.family
        return family is not None and family.has_own_precision and not family.computes_here

    def _where(self, device: str) -> str:
        """Says where the model will run, and in which precision, where that is known before it is loaded."""
        if self._is_elsewhere:
            return ""
        family = self._resolved.family
        chooses = family is not None and family.has_own_precision and "dtype" not in self._options.given
        return f" on {device}" if chooses else f" on {device} in {self._options.dtype}"

    def _say_without_effect(self, name: str) -> None:
        """Tells that device and precision, where they are given, are not for this model."""
        given = self._options.given
        if self._is_elsewhere and given:
            words = all_of(f"--{word}" for word in sorted(given))
            self._note(f"{words} {'changes' if len(given) == 1 else 'change'} nothing: {name} is not computed here")

    def _folder(self, identity: Identity, model: str) -> Path:
        """Gives the folder of the unfinished run that is continued, else makes a new one."""
        options = self._options
        begun = find_unfinished(options.output / model, identity) if options.resume else None
        return begun or new_folder(options.output, model)

    @contextlib.contextmanager
    def _cached(self, info: ModelInfo, identity: Identity, log: RunLog) -> Iterator[Mapping[Key, Answered]]:
        """Gives the answers of the cache for the block, and adds those of the log to the cache afterwards."""
        folder = self._options.cache
        if folder is None or info.abilities.plays_back or not self._processes.is_first:
            yield {}
            return
        if is_unknown(info):
            self._note("no --cache for this model: babycli cannot tell whether its weights have changed")
            yield {}
            return
        cache = AnswerCache(folder, identity)
        try:
            cached = cache.read()
            self._say_damaged(cache.damaged)
            yield cached
        finally:
            try:
                log.reread()
                cache.add(log.answers().values())
            except OutputError as error:  # the run itself has lost nothing
                self._note(error.message)

    @contextlib.contextmanager
    def _usage_kept(self, model: Model, log: RunLog, session: dict[str, Any]) -> Iterator[None]:
        """Says and logs what a server was asked for, also where the block ends with an error: it was used all the same.

        Of several processes, each says what it asked for, and the first one's is logged.
        """
        try:
            yield
        except BaseException:
            with contextlib.suppress(OutputError):  # the first error is the one to be told
                self._keep_usage(model, log, session)
            raise
        self._keep_usage(model, log, session)

    def _keep_usage(self, model: Model, log: RunLog, session: dict[str, Any]) -> None:
        whole = model.usage
        if whole is not None:
            usage = whole if self._logged_usage is None else whole.since(self._logged_usage)
            self._logged_usage = whole
            self._reporter.say(usage.told)
            session["usage"] = asdict(usage)
            if self._processes.is_first:
                log.write_provenance()

    def _say_updates(self, run: Mapping[str, Any], now: Mapping[str, str]) -> None:
        """Tells which libraries have changed since any session; those that scores depend on are a conflict before."""
        logged = [mapping(part.get("libraries")) for part in (run, *run.get("sessions", []))]
        others = [pair for libraries in logged for pair in libraries.items() if pair[1] != now.get(pair[0])]
        if others:
            changed = dict.fromkeys(f"{name} {version} (now {now.get(name)})" for name, version in others)
            self._note(f"the run was begun with {listed(changed)}")

    def _say_damaged(self, lines: Sequence[str]) -> None:
        if lines:
            count = "1 damaged answer is" if len(lines) == 1 else f"{len(lines)} damaged answers are"
            self._note(f"{count} not used, but computed again: {listed(lines)}")

    def _batching(self, device: str, logged: Mapping[str, Any]) -> Batching:
        """Makes the batching: of the size asked for or, with auto, of the size with which the run began.

        The size of a continued run must not change, so that the borders of its units stay.
        """
        wanted = self._options.batch_size
        begun = logged.get("batch_size") or unit_images_of(device)
        size = wanted or self._processes.share(begun)
        return Batching(size, auto=wanted is None, probe=memory_of(device), note=self._note)

    def _note(self, message: str) -> None:
        self._reporter.say(f"note: {message}")

    def _check_agreement(self, plan: Plan, identity: Identity) -> None:
        """Checks that all processes have the same images, labels, weights and libraries. Raises ModelError."""
        if len(set(self._processes.gather((plan.digest, identity.answers_digest)))) > 1:
            raise ModelError(
                "the processes do not see the same images, labels, weights and versions of babycli and libraries",
                "give all machines the same files and the same environment, on a disk that they share",
            )

    def _run(
        self,
        plan: Plan,
        n_round: int,
        rounds: Rounds,
        under_way: UnderWay,
        model: Model,
        inputs: Inputs,
        how: engine.How,
        log: RunLog,
        cached: Mapping[Key, Answered],
        progress: Progress,
    ) -> None:
        """Computes this process's share of the answers of a plan that are not on disk yet."""
        processes, batching = self._processes, how.batching
        if processes.is_first:
            for key in plan.keys:
                if key in cached and key not in log.answers():
                    log.append(cached[key])
        done = processes.share(set(log.answers()) if processes.is_first else set())
        due = under_way.due(plan, batching.unit_images, done, processes.n, processes.rank)
        n_here = sum(ask.key not in done for unit in due.now for item in unit for ask in item.asks)
        n_done = n_before = sum(key in done for key in plan.keys)
        if processes.is_first and n_round == 1:
            self._say_damaged(log.damaged)
        if n_before and n_round == 1:
            self._reporter.say(f"{n_before} of {plan.n_requests} scores are on disk: {log.folder}")
        if due.n_conversations and processes.is_first:
            self._reporter.say(f"reading {due.n_conversations} conversations again that were under way")
        try:
            progress.begin(plan, rounds.tasks if processes.is_first else {}, done, due.again)

            def keep(answered: Answered) -> None:
                nonlocal n_done
                log.append(answered)
                n_done += 1
                progress.answered(answered)

            if due.now:
                engine.read_texts(plan, model)
            for units in due.again:
                engine.run(units, model, inputs.open_image, how, frozenset(), progress.read_again)
            engine.run(due.now, model, inputs.open_image, how, done, keep)
            log.sync()
        finally:
            if n_done < n_before + n_here:
                if processes.is_first:
                    with contextlib.suppress(OutputError):
                        log.write_provenance(status="stopped")
                n, n_whole = (n_done, plan.n_requests) if processes.n == 1 else (n_done - n_before, n_here)
                whose = "" if processes.n == 1 else " of the first process"
                whose += "" if n_round == 1 else f" of round {n_round}"
                self._reporter.say(
                    f"stopped after {n} of {n_whole} requests{whose}; the same command goes on: {log.folder}"
                )


def _listed(run: Finished | None) -> list[Finished] | None:
    return None if run is None else [run]


def _loaded(resolved: Resolved, spec: ModelSpec) -> Model:
    try:
        return load_model(resolved, spec)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"{spec.name} does not fit in the memory of {spec.device}",
            mend_of_memory(),
        ) from error
