"""Notes that a reader needs before comparing runs: other prompts, servers, other software, replies that are none.

Owns these sentences, for tables, comparisons, papers and leaderboards alike. Silent where there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from babycli.models.parts.server_address import NAME
from babycli.report.runs import Run

_UNKNOWN = "(not recorded)"
_TITLES = {"pillow": "Pillow", "revision": "babycli at commit"}


def provisos(runs: Sequence[Run]) -> list[str]:
    """Gives the sentences about some runs that stand beside each other."""
    return [*reply_notes(runs), *prompt_notes(runs), *server_notes(runs), *software_notes(runs)]


def reply_notes(runs: Iterable[Run]) -> list[str]:
    """Tells which runs have replies without a word, messages of failure, or one text for most pictures."""
    told = []
    for run in runs:
        for task, replies in run.replies.items():
            for remark in replies.remarks(sees=not run.control):
                lead = "MOST REPLIES ARE NONE, so the score says nothing" if replies.is_broken else "odd replies"
                model = f"{run.shown} (control: {run.control})" if run.control else run.shown
                told.append(f"{lead}: {model} {task}: {remark}.")
    return list(dict.fromkeys(told))


def broken_reply_notes(runs: Iterable[Run]) -> list[str]:
    """Tells which runs have replies of which most are none."""
    broken = [(run, {t: r for t, r in run.replies.items() if r.is_broken}) for run in runs]
    return reply_notes([replace(run, replies=replies) for run, replies in broken if replies])


def prompt_notes(runs: Iterable[Run]) -> list[str]:
    """Tells which prompts the user gave in the place of the family's own, and for which tasks."""
    told = own_prompts(runs)
    return [f"(prompt ...): asked in other words than the family's own: {told}."] if told else []


def own_prompts(runs: Iterable[Run]) -> str:
    """Lists the prompts that the user gave, each with its tasks; "" for none."""
    tasks: dict[str, dict[str, None]] = {}
    for run in runs:
        for task, prompt in run.own_prompts.items():
            tasks.setdefault(prompt, {})[task] = None
    return "; ".join(f'"{prompt}" ({", ".join(names)})' for prompt, names in tasks.items())


def server_notes(runs: Iterable[Run]) -> list[str]:
    """Tells which models a server ran."""
    asked = dict.fromkeys(run.shown for run in runs if run.identity and run.identity.model.family == NAME)
    return [f"asked of a server, so not reproducible to the digit: {', '.join(asked)}."] if asked else []


def software_notes(runs: Iterable[Run]) -> list[str]:
    """Tells in which versions of which software runs differ: their numbers may differ by that alone."""
    told = mixed_software(runs)
    return [f"MIXED SOFTWARE, by which alone numbers may differ: {told}."] if told else []


def mixed_software(runs: Iterable[Run]) -> str:
    """Lists the software in which runs differ, with its versions; "" for none."""
    known = versions_of(runs)
    return "; ".join(f"{name} {' and '.join(versions)}" for name, versions in known.items() if len(versions) > 1)


def versions_of(runs: Iterable[Run]) -> dict[str, list[str]]:
    """Gives the software that runs were made with, by name, each with all of its versions."""
    known = [_versions(run) for run in runs if run.identity is not None]
    versions: dict[str, set[str]] = {name: set() for of_run in known for name in of_run}
    for of_run in known:
        for name in versions:
            versions[name].add(of_run.get(name, _UNKNOWN))
    return {name: sorted(of) for name, of in versions.items()}


def software_of(run: Run) -> str | None:
    """Gives the versions that a run was made with, as far as it says so: ``babycli 0.2.0, torch 2.13.0, ...``."""
    return ", ".join(f"{name} {version}" for name, version in _versions(run).items()) or None


def _versions(run: Run) -> dict[str, str]:
    if run.identity is None:
        return {}
    versions = asdict(run.identity.software)
    return {_TITLES.get(name, name): version for name, version in versions.items() if version}
