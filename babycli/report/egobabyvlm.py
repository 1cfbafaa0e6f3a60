"""The multimodal part of an entry of the EgoBabyVLM leaderboard: lexical, grammatical and overall, over seeds.

Owns which fields of it they are, which the user must give, and what is said of numbers that the board would not have.
Vision and language are other evaluations, and are left out, as the board has it of what was not run.

Source: docs/leaderboard/ of facebookresearch/egobabyvlm @ 33ce498: submit.html and the entries in submissions/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babycli.errors import DataError, UntrustedResultError, UsageError
from babycli.report.families import GRAMMATICAL, LEXICAL, OVERALL, family_means, is_in_families, values_of
from babycli.report.forms import ModelForm, Say, as_json
from babycli.report.one_model import scores_of
from babycli.report.rows import TableRow
from babycli.report.seeds import Seeds, Spread, gather, same_weights, spread
from babycli.report.tables import NONFINITE
from babycli.wording import Scoring, any_of, did_you_mean, listed, printable

NAME = "egobabyvlm"
CATEGORIES = ("baseline", "topline", "reference", "offshelf")
FIELDS = ("id", "model", "team", "architecture", "training_data", "category", "report_url", "code_url")
_UNKNOWN = "unknown"
_ENOUGH = 3  # seeds that the board asks for
_ASKED = (  # tasks that the board's numbers are of
    *("lex_nouns", "lex_adjectives", "gram_subject_verb", "gram_subject_adjective", "gram_negation"),
    *("gram_order_matters", "gram_prepositions", "gram_comparatives", "gram_counting", "gram_embedded_relative"),
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields that the user gives, and the file that it is written to."""

    fields: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None


def read_entry(words: Sequence[str], output: Path | None) -> Entry:
    """Reads the words of --entry, each ``KEY=VALUE``. Raises UsageError."""
    fields: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key, value = key.strip(), value.strip()
        if not equals:
            raise UsageError(f"cannot read --entry {word!r}", "write it as  --entry KEY=VALUE")
        if key not in FIELDS:
            raise UsageError(
                f"--entry {key!r} is no field of an entry.{did_you_mean(key, FIELDS)}", f"one of: {', '.join(FIELDS)}"
            )
        if key in fields:
            raise UsageError(f"--entry gives {key} twice", "give it once")
        if not value or not value.isprintable():
            raise UsageError(f"--entry {key} has the value {value!r}, which cannot be shown", "write a text")
        fields[key] = value
    if fields.get("category", CATEGORIES[0]) not in CATEGORIES:
        raise UsageError(
            f"--entry category={fields['category']}: the board has no such category"
            f".{did_you_mean(fields['category'], CATEGORIES)}",
            f"one of: {', '.join(CATEGORIES)}",
        )
    if "id" in fields and not _ID.fullmatch(fields["id"]):
        raise UsageError(
            f"--entry id={fields['id']} cannot name a file of the board", "use letters, digits, _, - and . only"
        )
    return Entry(fields, output)


def form_with(entry: Entry) -> ModelForm:
    """Gives the form for an entry with these fields."""

    def write_it(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
        return write(rows, say, entry)

    return ModelForm(NAME, "json", write_it)


def write(rows: Sequence[TableRow], say: Say, entry: Entry) -> str:
    """Writes the entry of the one model that is there, over its seeds.

    Raises UsageError for several models, DataError where none was run on Machine-DevBench, and UntrustedResultError for
    numbers that nobody should pass on.
    """
    seeds = _only_model(rows)
    for _, row in seeds.rows:
        _check(row)
    of_seeds = [{mean.family: mean.value for mean in family_means(values_of(row))} for _, row in seeds.rows]
    tasks = [sorted(values_of(row)) for _, row in seeds.rows]
    if any(of_seed != tasks[0] for of_seed in tasks):
        counts = ", ".join(f"seed {seed}: {len(of)}" for (seed, _), of in zip(seeds.rows, tasks, strict=True))
        raise DataError(
            f"the seeds of {seeds.label} were not run on the same tasks ({counts})", "evaluate each on all tasks"
        )
    multimodal = {
        family: _told(spread(of_seed[family] for of_seed in of_seeds))
        for family in (LEXICAL, GRAMMATICAL, OVERALL)
        if family in of_seeds[0]
    }
    name = printable(entry.fields.get("model", seeds.name.rsplit("/", 1)[-1]))
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "model"
    stem = "" if entry.output is None else entry.output.stem
    document: dict[str, object] = {
        "id": entry.fields.get("id", stem if _ID.fullmatch(stem) else slug),
        "model": name,
        "team": entry.fields.get("team", _UNKNOWN),
        "architecture": entry.fields.get("architecture", _architecture(seeds)),
        "training_data": entry.fields.get("training_data", _UNKNOWN),
        "category": entry.fields.get("category", CATEGORIES[0]),
        "n_seeds": seeds.n,
        "multimodal": multimodal,
        **{key: entry.fields[key] for key in ("report_url", "code_url") if key in entry.fields},
    }
    _say_what_lacks(document, seeds, tasks[0], entry, say)
    return as_json(document)


def _only_model(rows: Sequence[TableRow]) -> Seeds:
    """Finds the one model among the rows, its seeds together; controls are passed over."""
    fitting = [row for row in rows if not row.control and any(is_in_families(task) for task, _ in row.cells)]
    if not fitting:
        controls = [row.label for row in rows if any(is_in_families(task) for task, _ in row.cells)]
        if controls:
            raise DataError(
                f"of Machine-DevBench there are numbers of controls alone, which no board has: {listed(controls, 10)}",
                "babycli eval --model PATH --tasks machine_devbench",
            )
        raise DataError(
            "no model here was run on Machine-DevBench",
            "babycli data link --machine-devbench DIR,  then  babycli eval --tasks machine_devbench",
        )
    gathered, others = gather(fitting)
    found = [*gathered, *(Seeds(row.label, ((0, row),)) for row in others)]
    if len(found) > 1:
        labels = "\n  ".join(seeds.label for seeds in found[:20])
        raise UsageError(
            f"--format {NAME} is of one model, here are {len(found)}:\n  {labels}",
            "choose one with  --models 'PATTERN',  in which * is any text; seeds of one model are named alike but for  "
            "seed-1, seed-2",
        )
    return found[0]


def _check(row: TableRow) -> None:
    for score in scores_of(row):
        cell = score.cell
        if is_in_families(score.about.name) and (NONFINITE.count(cell) or cell.fair_value is not None):
            raise UntrustedResultError(
                f"{score.about.name} of {row.label} must not be trusted",
                f"babycli report --audit {score.run.path}  says why",
            )


def _told(over_seeds: Spread) -> str:
    """Writes percent as the board does: ``53.4 ± 0.7``; of a single seed without a standard deviation."""
    mean = f"{100 * over_seeds.mean:.1f}"
    return mean if over_seeds.std is None else f"{mean} ± {100 * over_seeds.std:.1f}"


def _architecture(seeds: Seeds) -> str:
    """Names the kind of model by how it was asked, in the board's words."""
    asked = {score.answers for _, row in seeds.rows for score in scores_of(row) if is_in_families(score.about.name)}
    return {"similarity": "contrastive", "loglikelihood": "generative"}.get("".join(asked), _UNKNOWN)


def _say_what_lacks(document: Mapping[str, object], seeds: Seeds, tasks: Sequence[str], entry: Entry, say: Say) -> None:
    """Tells the user what the board would ask about this entry."""
    unknown = [key for key in FIELDS if document.get(key) == _UNKNOWN]
    if unknown:
        say(f"note: fill in {', '.join(unknown)}:  " + " ".join(f"--entry {key}=TEXT" for key in unknown))
    if "category" not in entry.fields:
        say(f"note: the category is taken to be {CATEGORIES[0]};  --entry category={any_of(CATEGORIES)}  says another")
    if entry.output is not None and document["id"] != entry.output.stem:
        say(f"note: the board wants a file to be called as its id:  {document['id']}.json")
    if seeds.n < _ENOUGH:
        say(f"note: n_seeds is {seeds.n}, and the board asks for {_ENOUGH} or more")
    for note in same_weights(seeds):
        say(f"warning: {note}")
    lacking = [task for task in _ASKED if task not in tasks]
    if lacking:
        say(f"note: without {listed(lacking, most=len(lacking))}, which the board's means are over too")
    runs = [run for _, row in seeds.rows for run in row.runs]
    if any(run.is_of_part for run in runs):
        say("note: these are numbers on a part of the trials")
    own = [score for _, row in seeds.rows for score in scores_of(row) if is_in_families(score.about.name)]
    n_ties = sum(score.cell.n_ties for score in own if score.run.scoring == Scoring.FAIR)
    if n_ties:
        say(
            f"note: {n_ties} ties got half a point each, which the board's code counts as wrong; as it does:  "
            "babycli eval --scoring reference"
        )
