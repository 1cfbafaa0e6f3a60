"""How people beside models are shown: a table for each task under the summary, and records.

Owns layout and words. The numbers come from humans.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.likeness import LEAST, MOST, RESAMPLES, Correlation
from babycli.report.grid import Grid, Line
from babycli.report.humans import Agreement, Beside, RowBeside, tasks_not_compared
from babycli.report.humans_file import People
from babycli.report.option_scores import NO_CHOICE
from babycli.report.records import names_of, settings_of
from babycli.report.rows import TableRow
from babycli.tasks.about import about
from babycli.wording import all_of, listed, printable

SOURCE = "Tan et al. 2024, arXiv 2406.10215"
KL, PEARSON, SPEARMAN = "human_kl", "human_pearson", "human_spearman"
_HEADS = (("", "n"), ("right", "%"), ("", "KL"), ("KL of", "uniform"), ("", "beta"), ("", "r"), ("", "rho"))
_NONE = ("",) * len(_HEADS)
# Those of them that only some records have.
FIELDS = (
    "age",
    "people_low",
    "people_high",
    "model_right",
    "people_right",
    "temperature",
    "temperature_bound",
    "nearest",
    "nearest_share",
)


def as_grid(beside: Beside, people: People) -> Grid:
    """Makes the table of a task: age groups one below the other, in each all models and then people themselves."""
    sections = []
    for age in beside.ages:
        lines = [Line(f"age {age}", _NONE)] if age else []
        of_age = [(row.row.label, each) for row in beside.rows for each in row.of_ages if each.age == age]
        for label, each in of_age:
            lines += _lines(label, each)
        if of_age:
            fullest = max((each for _, each in of_age), key=lambda each: each.likeness.n_trials)
            lines.append(
                Line("people", (str(fullest.likeness.n_trials), _percent(fullest.likeness.people_right), *_NONE[2:]))
            )
            sections.append(tuple(lines))
    title = f"{about(beside.task).title} beside people"
    told, rest = _told(beside), [*_nearest(beside), *_asked(beside), *left_out(beside, people)]
    caption = " ".join([f"{title}.", *told, *rest])
    return Grid("model", _HEADS, tuple(sections), (*told, *rest), title, caption=caption)


def _lines(label: str, each: Agreement) -> list[Line]:
    like = each.likeness
    temperature = like.fit.temperature
    beta = "any" if temperature is None else f"{like.fit.bound}{temperature:.3g}"
    correlations = (like.pearson, like.spearman)
    lines = [
        Line(
            label,
            (
                str(like.n_trials),
                _percent(like.model_right),
                _nats(like.fit.divergence),
                _nats(like.uniform),
                beta,
                *("" if of.value is None else _of_one(of.value) for of in correlations),
            ),
        )
    ]
    for end, name in enumerate((" 95 % from", " 95 % to")):
        ends = [None if of.ci95 is None else of.ci95[end] for of in correlations]
        if like.ci95 is not None:
            shown = ("" if value is None else _of_one(value) for value in ends)
            lines.append(Line(name, ("", "", _nats(like.ci95[end]), "", "", *shown), "quiet"))
    return lines


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _nats(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def _of_one(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _told(beside: Beside) -> list[str]:
    """Says what the columns are."""
    clusters = sorted({each.likeness.n_clusters is not None for row in beside.rows for each in row.of_ages})
    has_ends = any(each.likeness.ci95 is not None for row in beside.rows for each in row.of_ages)
    by = f" by {about(beside.task).cluster}" if clusters == [True] else ""
    return [
        f"KL: mean Kullback-Leibler divergence (nats) of softmax(beta x score) from people's shares, over n trials; "
        f"beta of {LEAST:g} to {MOST:g} fits best ({SOURCE}). The score is the mean log-likelihood per token, or the "
        "similarity. KL of uniform: of a model that likes all options alike.",
        "r, rho: correlation over trials (Pearson, Spearman) of how likely the right option is for the model with the "
        "share of people who chose it.",
        f"95 %: bootstrap of trials{by}, {RESAMPLES} resamples, beta of KL fitted anew in each."
        if has_ends
        else f"No intervals: a single {about(beside.task).cluster if by else 'trial'} does not tell how it varies.",
    ]


def _nearest(beside: Beside) -> list[str]:
    """Says which age group each row is nearest to."""
    if not any(len(row.of_ages) > 1 for row in beside.rows):
        return []
    of_several = [row for row in beside.rows if len(row.of_ages) > 1]
    told = "; ".join(f"{row.row.label}: {_nearest_of(row)}" for row in of_several if row.nearest) or "of no row here"
    by_why = {
        "not surely nearer than uniform": [row.row.label for row in of_several if not (row.nearest or row.row.control)],
        "a control": [row.row.label for row in of_several if row.row.control],
    }
    none = "".join(f" Near to none: {', '.join(labels)} ({why})." for why, labels in by_why.items() if labels)
    differ = any(row.trials_differ for row in of_several)
    other = " The groups were asked other trials, so their KL differ for that, too." if differ else ""
    scale = " Any model is nearer to people who guess more: hold KL against that of uniform."
    return [f"Nearest age group (lowest KL): {told}.{none}{scale}{other}"]


def _nearest_of(row: RowBeside) -> str:
    nearest = row.nearest
    shares = [each.likeness.nearest_share for each in nearest]
    told = "" if shares[0] is None or len(nearest) > 1 else f" (in {100 * shares[0]:.0f} % of resamples)"
    return f"{all_of(each.age for each in nearest)}{', which tie' if len(nearest) > 1 else ''}{told}"


def _asked(beside: Beside) -> list[str]:
    """Says how many people answered a trial."""
    known = {each.age: each.n_people for row in beside.rows for each in row.of_ages if each.n_people is not None}
    told = [
        f"{low}{f' to {high}' if high > low else ''}{f' of age {age}' if age else ''}"
        for age, (low, high) in sorted(known.items(), key=lambda item: beside.ages.index(item[0]))
    ]
    return [f"People who answered a trial: {', '.join(told)}."] if told else []


def left_out(beside: Beside, people: People) -> list[str]:
    """Says what of the file, and which rows, the numbers are not of."""
    unit = about(beside.task).unit
    notes = [f"{label} {why}." for label, why in beside.silent]
    notes += [
        f"{label}: {n} {unit} are left out, as a score of theirs is missing or not finite."
        for label, n in beside.unscored
    ]
    if beside.n_unknown:
        which = f"{listed(beside.unknown, 5, None)}{' ...' if beside.n_unknown > len(beside.unknown) else ''}"
        notes.append(
            f"{beside.n_unknown} of {beside.n_trials} trials of {people.path.name} are none of these runs': {which}."
        )
    return list(map(printable, notes))


def file_notes(found: Sequence[Beside], people: People) -> list[str]:
    """Says of a file what no number was made of: columns, and tasks."""
    unread = [f"columns that are not read: {listed(people.unread, 10)}"] if people.unread else []
    return [
        *unread,
        *(
            f"{n} trials of {task} are held against nothing: no run here has it, or it {NO_CHOICE}"
            for task, n in tasks_not_compared(people, found).items()
        ),
    ]


def records(found: Sequence[Beside]) -> list[dict[str, object]]:
    """Makes a record for each row, age group and number, with full precision."""
    return [
        record
        for beside in found
        for row in beside.rows
        for each in row.of_ages
        for record in _records(beside, row, each)
    ]


def _records(beside: Beside, row: RowBeside, each: Agreement) -> list[dict[str, object]]:
    like, nearest = each.likeness, row.nearest
    common = {
        **_about(beside, row.row),
        "n_units": like.n_trials,
        "n_clusters": like.n_clusters,
        "age": each.age or None,
        "people_low": each.n_people[0] if each.n_people else None,
        "people_high": each.n_people[1] if each.n_people else None,
        "model_right": like.model_right,
        "people_right": like.people_right,
        "temperature": like.fit.temperature,
        "temperature_bound": like.fit.bound or None,
    }
    ends = "ci95_clustered" if like.n_clusters is not None else "ci95"
    divergence = Correlation(like.fit.divergence, like.ci95)
    share = like.nearest_share if nearest else None
    of_group: dict[str, object]
    of_group = {"nearest": each in nearest, "nearest_share": share} if len(row.of_ages) > 1 else {}
    return [
        common
        | {
            "metric": name,
            "value": of.value,
            f"{ends}_low": of.ci95[0] if of.ci95 else None,
            f"{ends}_high": of.ci95[1] if of.ci95 else None,
        }
        | ({"chance": like.uniform} | of_group if name == KL else {})
        for name, of in ((KL, divergence), (PEARSON, like.pearson), (SPEARMAN, like.spearman))
        if of.value is not None
    ]


def _about(beside: Beside, row: TableRow) -> dict[str, object]:
    run = row.run_of(beside.task)
    assert run is not None  # it has scores of the task
    return {
        **names_of(row),
        "data": beside.data,
        "task": beside.task,
        "unit": about(beside.task).unit,
        **settings_of(run),
        "sample": run.sample.n if run.sample else None,
        "model_args": ",".join(run.args),
        "date": run.date,
        "program": run.program,
        "name": run.name or None,
        "results": str(run.path),
    }
