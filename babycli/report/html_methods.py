"""The words of a paper about the numbers: the methods paragraph, and where each run comes from.

Owns these words. They follow what the runs of the page really were: what was not done is not claimed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from babycli.bibliography import (
    BONETT_PRICE,
    COCHRAN,
    DAVISON_HINKLEY,
    EFRON_TIBSHIRANI,
    HOLM,
    KORN_GRAUBARD,
    MCNEMAR,
    MILLER,
    WILSON,
    Paper,
)
from babycli.data.datasets import data_set_named
from babycli.evaluation.prompts import OWN_WORDS
from babycli.logs.fields import mapping
from babycli.logs.schema import read_run
from babycli.report import values
from babycli.report.compare import Comparison
from babycli.report.families import is_in_families
from babycli.report.measure import SEED
from babycli.report.notes import SAMPLED, are_sampled, coverage, gain_notes, untold_gain_notes
from babycli.report.overlapped import overlap_notes
from babycli.report.provisos import broken_reply_notes, mixed_software, own_prompts, versions_of
from babycli.report.rows import Column, TableRow
from babycli.report.runs import Run
from babycli.report.statistics import intervals_of, papers_of_tests
from babycli.report.tables import Table, scores_of
from babycli.tasks.about import About, about, in_order, metric_of
from babycli.tasks.base import Benchmark
from babycli.wording import AnswerWay, History, Scoring, all_of, any_of

_DIGITS = 12  # of a commit or a digest, by which it is found
_MOST_NAMED = 20  # models in one sentence
_RULES: Mapping[str, str] = {
    Scoring.FAIR: "babycli's own rules (fair)",
    Scoring.REFERENCE: "those of the authors' code (reference)",
}
_WENT_ON = {History.OWN: "the model's own answers", History.GOLD: "the right answers"}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the numbers of one run come from, as pairs of a name and a text."""

    label: str
    date: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sourced:
    """A run with its run.json, empty where there is none."""

    label: str
    run: Run
    about: dict[str, Any]


def sourced(tables: Sequence[Table]) -> list[Sourced]:
    """Gives every run of the page with what its run.json says."""
    return [
        Sourced(row.label, run, read_run(run.path.parent) or {})
        for table in tables
        for row in table.rows
        for run in row.runs
    ]


def provenance(source: Sourced) -> Provenance:
    """Says where a run's numbers come from; a run.json that says less, or something odd, is shown as far as it goes."""
    run, about = source.run, source.about
    model = mapping(about.get("model"))
    tasks = mapping(about.get("tasks"))
    command = about.get("command")
    logged = about.get("sessions")
    sessions = [mapping(each) for each in logged if isinstance(each, dict)] if isinstance(logged, list) else []
    facts = [
        ("program", f"{run.program} {_text(about.get('babycli_version'))}".strip()),
        ("command", shlex.join(map(str, command)) if isinstance(command, list) else _text(command)),
        ("model", run.model),
        ("family", _text(model.get("family"))),
        ("model_type", _text(model.get("model_type"))),
        ("source", _text(model.get("source"))),
        ("commit", _text(model.get("commit"))),
        ("arguments", ", ".join(run.args)),
        ("fingerprint", run.fingerprint),
        ("parameters", f"{model['n_parameters']:,}" if isinstance(model.get("n_parameters"), int) else ""),
        ("dtype", run.dtype),
        ("device", _text(model.get("device"))),
        ("template", _text(model.get("template"))),
        ("scoring", run.scoring),
        ("answers", ", ".join(run.ways)),
        ("history", str(run.history) if AnswerWay.WRITTEN in run.ways else ""),
        ("new tokens", "" if run.max_new_tokens is None else f"at most {run.max_new_tokens}"),
        ("control", run.control),
        ("wrapper", run.wrapper),
        ("limit", "" if run.limit is None else f"{run.limit:g}"),
        ("sample", f"{run.sample.n} trials of each task, seed {run.sample.seed}" if run.sample else ""),
        ("offset", f"{run.offset}" if run.offset else ""),
        ("seed", _text(about.get("seed"))),
        *((f"prompt of {task}", _text(mapping(of).get("rendered_prompt"))) for task, of in tasks.items()),
        *(
            (f"labels of {task}", _sha256(mapping(tasks.get(task)).get("labels_sha256") or run.labels_sha256.get(task)))
            for task in dict.fromkeys(task for task, _ in run.cells)
        ),
        ("images", _sha256(mapping(about.get("images")).get("sha256"))),
        ("libraries", ", ".join(f"{name} {version}" for name, version in mapping(about.get("libraries")).items())),
        ("platform", _text(about.get("platform"))),
        ("evaluated", "; ".join(f"{_text(s.get('start'))} to {_text(s.get('end')) or '?'}" for s in sessions)),
        ("results", str(run.path)),
    ]
    return Provenance(source.label, run.date, tuple((name, text) for name, text in facts if text))


def methods(tables: Sequence[Table], comparisons: Sequence[Comparison], sources: Sequence[Sourced]) -> str:
    """Writes a paragraph for a paper; of the first table, which is SAYCam's where there is one."""
    table = tables[0]
    own = [source for source in sources if source.run.data == table.data]
    sentences = [table.data_note] if table.data_note else []
    sentences += [
        _what(table, own),
        *_source(table),
        *_models(own),
        *_asked(own),
        *_scoring(table),
        *_controls(own),
        *_intervals(table),
    ]
    sentences += [*gain_notes(table, "Visual gain is "), *untold_gain_notes(table)]
    sentences += [*_conditions(table.runs), *broken_reply_notes(table.runs)]
    if comparisons:
        sentences += _tests(comparisons)
    if table.baselines is not None:
        sentences.append(
            f"Published scores are those of {table.baselines.title}, {table.baselines.source}; they were not measured "
            f"here, have no intervals and were not tested{table.baselines.models_told}."
        )
    return " ".join(sentences)


def weights_of(row: TableRow) -> tuple[str, str]:
    """Tells what makes the model of a row another model: its name, and what tells its weights."""
    return row.runs[0].model, row.runs[0].fingerprint


def _what(table: Table, sources: Sequence[Sourced]) -> str:
    n_models = len({weights_of(row) for row in table.rows if not row.control})
    runs = [source.run for source in sources]
    versions = {v for s in sources if (v := _text(s.about.get("babycli_version"))) and s.run.is_ours}
    seeds = {str(source.about["seed"]) for source in sources if source.about.get("seed") is not None}
    libraries = {name: of for name, of in versions_of(runs).items() if not name.startswith("babycli")}
    known = {**libraries, "weights in": {run.dtype for run in runs if run.dtype}, "seed": seeds}
    how = ", ".join(f"{what} {_and(those)}" for what, those in known.items() if those)
    programs = [f"babycli {_and(versions)}".strip()] if any(run.is_ours for run in runs) else []
    programs += [f"{other} (its logs read by babycli)" for other in sorted({r.program for r in runs if not r.is_ours})]
    return (
        f"{n_models} model{'' if n_models == 1 else 's'} {'was' if n_models == 1 else 'were'} evaluated with "
        f"{' and '.join(programs)}{f' ({how})' if how else ''} on {_tasks(table)}."
    )


def _source(table: Table) -> list[str]:
    """Names the data with its papers; nothing of data that has none."""
    data_set = data_set_named(table.data)
    cited = "; ".join(paper.short for paper in data_set.papers)
    return [f"The data are those of {data_set.title} ({cited})."] if cited else []


def _models(sources: Sequence[Sourced]) -> list[str]:
    """Names the models, each with what tells its weights: the commit of the hub or, where none is known, a digest."""
    weights = {(source.run.model, source.run.fingerprint): source for source in sources if not source.run.control}
    named = []
    for source in weights.values():
        logged = mapping(source.about.get("model"))
        commit, family = _text(logged.get("commit")), _text(logged.get("family"))
        digest = f"fingerprint {source.run.fingerprint[:_DIGITS]}" if source.run.fingerprint else ""
        facts = [family, f"commit {commit[:_DIGITS]}" if commit else digest, *source.run.args]
        of_weights = ", ".join(filter(None, facts))
        named.append(source.run.shown + (f" ({of_weights})" if of_weights else ""))
    if not named:
        return []
    more = len(named) - _MOST_NAMED
    told = [*named[:_MOST_NAMED], *([f"and {more} more, which the table names"] if more > 0 else [])]
    return [f"The model{' is' if len(named) == 1 else 's are'} {'; '.join(told)}."]


def _asked(sources: Sequence[Sourced]) -> list[str]:
    """Says what the models read before an answer, as far as their logs have it."""
    of_models: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    own = [source for source in sources if not source.run.control] or sources
    for source in own:
        tasks = mapping(source.about.get("tasks"))
        by_prompt: dict[str, list[str]] = {}
        for task in dict.fromkeys(task for task, _ in source.run.cells):
            if prompt := _prompt(mapping(tasks.get(task))):
                by_prompt.setdefault(prompt, []).append(about(task).title)
        for prompt, asked in by_prompt.items():
            of_models.setdefault((prompt, tuple(asked)), {})[source.run.shown] = None
    n_models = len({source.run.shown for source in own})
    told = []
    for (prompt, titles), models in of_models.items():
        whose = all_of(models) if len(models) <= _MOST_NAMED else f"{len(models)} models"
        told.append(f"{prompt} in {all_of(titles)}" + (f" ({whose})" if len(models) < n_models else ""))
    return [f"Prompts, as the models read them: {'; '.join(told)}."] if told else []


def _prompt(task: Mapping[str, Any]) -> str:
    """Writes the prompt of a task with its template, in quotes; "" where the log does not have it."""
    rendered = task.get("rendered_prompt")
    if not isinstance(rendered, str):
        return ""
    if not rendered and task.get("prompt_origin") == OWN_WORDS:
        return "the words of each item"
    return json.dumps(rendered, ensure_ascii=False)


def _controls(sources: Sequence[Sourced]) -> list[str]:
    """Names the controls that were run, how each was made, and of which models."""
    found: dict[str, dict[str, None]] = {}
    for source in sources:
        run = source.run
        if run.control:
            how = _text(mapping(source.about.get("control")).get("how"))
            what = (run.applied_control or run.shown) + (f" ({how})" if how else "")
            found.setdefault(what, {}).update({run.shown: None} if run.applied_control else {})
    told = [
        what + (f" of {all_of(models) if len(models) <= _MOST_NAMED else f'{len(models)} models'}" if models else "")
        for what, models in found.items()
    ]
    return [f"Controls: {'; '.join(told)}."] if told else []


def _tasks(table: Table) -> str:
    """Names the tasks with their benchmarks: ``Labeled-S (n = 2,200 trials: ...) of BabyVLM (Wang et al. 2025)``."""
    by_benchmark: dict[Benchmark | None, list[str]] = {}
    for task in in_order(table.tasks):
        columns = [column for column in table.columns if column[0] == task.name]
        units = sorted({n for column in columns for n in table.units(column)})
        if units:
            question = f": {task.question}" if task.question else ""
            n = any_of(f"{count:,}" for count in units)
            told = f"{task.title} (n = {n} {task.unit}{question}{_chances(columns)})"
            by_benchmark.setdefault(task.benchmark, []).append(told)
    return "; and on ".join(
        "; ".join(tasks) + (f" of {benchmark.title} ({benchmark.citation})" if benchmark else "")
        for benchmark, tasks in by_benchmark.items()
    )


def _chances(columns: Sequence[Column]) -> str:
    """Writes ``; chance 25.0 %``, or nothing where nothing can be guessed."""
    metrics = [metric for column in columns if (metric := metric_of(*column)).chance is not None]
    shares = {values.number(metric, metric.chance or 0.0) for metric in metrics if metric.is_share}
    scores = [
        f"{values.number(metric, metric.chance or 0.0)} {metric.title}" for metric in metrics if not metric.is_share
    ]
    told = [*([f"{_and(shares)} %"] if shares else []), *scores]
    return f"; chance {all_of(told)}" if told else ""


def _scoring(table: Table) -> list[str]:
    tasks, runs = in_order(table.tasks), table.runs
    ways = [way for way in AnswerWay if any(way in run.ways for run in runs)]
    rules = {run.scoring: _RULES.get(run.scoring, run.scoring) for run in runs if run.is_ours}
    told_of = [f"Answers were scored by {_and(rules.values())}."] if rules else []
    told_of += [f"Answers of closed sets were {all_of(ways)}."] if ways else []
    lengths = {run.max_new_tokens for run in runs if run.max_new_tokens is not None}
    told_of += [f"Texts had at most {any_of(map(str, sorted(lengths)))} new tokens."] if lengths else []
    if any(task.unit == "conversations" for task in tasks) and AnswerWay.WRITTEN in ways:
        went_on = [_WENT_ON[history] for history in History if any(run.history == history for run in runs)]
        told_of.append(f"Conversations went on with {any_of(went_on)}.")
    chosen = [task for task in tasks if task.tie_rule]
    told = _sentences(chosen)
    if chosen:
        ties = "; ".join(dict.fromkeys(task.tie_rule for task in chosen))
        if any(run.scoring != "reference" for run in runs):
            told.append(f"Ties: {ties}. A score that is not finite is never right.")
        if any(run.scoring == "reference" and run.is_ours for run in runs):
            are_lost = all(is_in_families(task.name) for task in chosen)
            ties = "a tie is wrong" if are_lost else "the first of equal candidates wins"
            told.append(f"Runs marked (reference) were scored as the authors' code does, in which {ties}.")
    told += [each for each in _sentences([task for task in tasks if not task.tie_rule]) if each not in told]
    if any(run.limit is not None for run in runs):
        told.append("Runs marked (limit N) saw only the first N trials of each task.")
    told += overlap_notes(runs)
    told += [f"Runs marked ({which}) cover of the tasks: {covered}." for which, covered in coverage(runs).items()]
    return [*told_of, *told, *([f"Runs marked (sample N) saw {SAMPLED}."] if are_sampled(runs) else [])]


def _conditions(runs: Sequence[Run]) -> list[str]:
    """Says under which other conditions some of the runs were made."""
    prompts, versions = own_prompts(runs), mixed_software(runs)
    return [
        *([f"Runs marked (prompt ...) were asked in other words than the family's own: {prompts}."] if prompts else []),
        *([f"The runs differ in software, by which alone numbers may differ: {versions}."] if versions else []),
    ]


def _sentences(tasks: Sequence[About]) -> list[str]:
    """Says how answers of these tasks are scored, once; of a task that says more than another, only its own words."""
    told = list(dict.fromkeys(task.scored for task in tasks if task.scored))
    return [text for text in told if not any(other != text and other.startswith(text) for other in told)]


def _intervals(table: Table) -> list[str]:
    found = intervals_of(table)
    present = {column for column, _ in found.cells}
    metrics = [metric_of(*column) for column in table.columns if column in present]
    names = dict.fromkeys(metric.title for metric in metrics if not metric.is_share)
    by = " or ".join(sorted({_cluster_of(about(task)) for (task, _), cell in found.cells if cell.ci95_clustered}))
    told = []
    if found.has(shares=True, by_cluster=True):
        told.append(
            f"95 % intervals of shares are {_whose(WILSON)} with the number of trials divided by the design effect, as "
            f"trials of one {by} are alike: clustered standard errors as in {MILLER.names} ({MILLER.year}, arXiv "
            f"{MILLER.arxiv}) with the correction C/(C − 1) for C clusters, and the interval of "
            f"{KORN_GRAUBARD.names} ({KORN_GRAUBARD.year})."
        )
    if found.has(shares=True, by_cluster=False):
        lead = "Where no clusters are known, they" if told else "95 % intervals of shares"
        told.append(f"{lead} are {_whose(WILSON)}.")
    if found.over_groups:
        told.append(
            f"Of accuracies that are means over each {' or '.join(found.over_groups)}, the standard error is that of a "
            f"stratified mean with equal strata ({COCHRAN.short}), and the number of trials is the effective one, 1 "
            "over the sum of their squared weights."
        )
    ways = (
        (True, f"its mean plus and minus t clustered standard errors ({MILLER.short})"),
        (False, f"the percentile bootstrap's ({EFRON_TIBSHIRANI.short}; seed {SEED})"),
    )
    of_scores = [how for is_clustered, how in ways if found.has(shares=False, by_cluster=is_clustered)]
    if of_scores:
        told.append(f"The interval of {all_of(names)} is {', or where no clusters are known '.join(of_scores)}.")
    return told


def _whose(paper: Paper) -> str:
    """Writes ``Wilson's (1927)``."""
    return f"{paper.names}'s ({paper.year})"


def _of(paper: Paper) -> str:
    """Writes ``Holm (1979)``."""
    return f"{paper.names} ({paper.year})"


def _cluster_of(task: About) -> str:
    """Names what its clusters are, in full: ``recording session``."""
    kind = task.grouping(task.cluster)
    return task.cluster if kind is None else kind.title


def _tests(comparisons: Sequence[Comparison]) -> list[str]:
    pairs = [((each.task, each.metric), each.paired) for each in comparisons]
    used = papers_of_tests(pairs)
    for_others = all_of([*scores_of(in_order(comparison.task for comparison in comparisons)), "ties"])
    known = {
        MCNEMAR: f"the exact test of {_of(MCNEMAR)} for choices",
        DAVISON_HINKLEY: f"a paired bootstrap ({DAVISON_HINKLEY.short}; seed {SEED}) for {for_others}",
    }
    named = [words for test, words in known.items() if test in used]
    n = len(comparisons)
    clustered = any(pair.n_clusters for _, pair in pairs)
    of_shares = (
        f"Intervals of paired differences of shares are those of {_of(BONETT_PRICE)}"
        + (", widened for clusters of trials that are alike." if clustered else "."),
    )
    return [
        f"Models were compared on the same trials by {' and '.join(named)}; p values were adjusted for {n} "
        f"comparison{'' if n == 1 else 's'} by the method of {_of(HOLM)}.",
        *(of_shares if BONETT_PRICE in used else ()),
        "The smallest true difference that so many trials show with 80 % power is given beside each difference.",
    ]


def _and(texts: Iterable[str]) -> str:
    return all_of(sorted(texts))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _sha256(value: object) -> str:
    return f"SHA-256 {value}" if value else ""
