"""`babycli runs`: list the runs of a folder, show one, delete some, give one another name.

Owns the words on the screen. The work is done in babycli/report/run_list.py and babycli/logs/.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from babycli.commands.command import Command, Group
from babycli.commands.options import JsonOption, print_json, say, tell
from babycli.commands.typed_words import check_paths
from babycli.errors import DataError, ExitCode, ResumeError, UsageError
from babycli.files import in_home
from babycli.logs.fields import mapping
from babycli.logs.removal import check_removable, remove_run
from babycli.logs.run_name import checked_name
from babycli.logs.runlog import rename_run
from babycli.logs.schema import RUN_FILE, read_run
from babycli.report import values
from babycli.report.run_list import UNDER_WAY, UNREADABLE, ListedRun, find_run, is_under_way, list_runs
from babycli.report.tables import in_table_order
from babycli.tasks.about import about, metric_of
from babycli.wording import did_you_mean, printable


class _Runs(Group):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the word list too, which those type who know other programs."""
        if not ctx.resilient_parsing:
            check_paths(self, args)
        first = next((i for i, word in enumerate(args) if word[:1] != "-" and args[i - 1 : i] != ["--logs"]), None)
        if first is not None and args[first] == "list":
            args = [*args[:first], *args[first + 1 :]]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and in_home(args[0]).is_dir():
            raise UsageError(
                f"{args[0]} is a folder, not a command", f"babycli runs --logs {shlex.quote(args[0])}  lists its runs"
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_Runs, invoke_without_command=True)
LogsOption = Annotated[Path, typer.Option("--logs", metavar="DIR", help="The folder of the runs.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Its folder, or enough of its name.", show_default=False)
]
_SHOWN = 10  # candidates in a message


@app.callback()
def runs(context: typer.Context, logs: LogsOption = Path("logs"), as_json: JsonOption = False) -> None:
    """List, show, rename and delete runs.

    Examples:
    # all runs in logs
    babycli runs
    # one of them, as it was run
    babycli runs show babyllava-tiny
    # what lies elsewhere, for a program
    babycli runs --logs path/to/logs --json
    """
    context.obj = in_home(logs)
    if context.invoked_subcommand is None:
        _list(in_home(logs), as_json)


def _list(logs: Path, as_json: bool) -> None:
    listed = list_runs(logs)
    if as_json:
        print_json([_document(run) for run in listed])
        return
    if not listed:
        say(f"no runs in {logs}")
    for run in listed:
        tell(f"{run.label}")
        tell(f"    {run.folder}  {run.how_far}" + (f": {run.why}" if run.why else ""))
        if run.tasks:
            tell(f"    {_numbers(run) or ', '.join(run.tasks)}")


@app.command(cls=Command)
def show(
    context: typer.Context, run: RunArgument, logs: LogsOption = Path("logs"), as_json: JsonOption = False
) -> None:
    """Show a run: what was evaluated, how, with which files and software.

    Examples:
    # by what reports call it
    babycli runs show babyllava-tiny
    # by its folder
    babycli runs show logs/babyllava-tiny/20261129_120000
    # for a program, of other logs
    babycli runs show babyllava-tiny --logs path/to/logs --json
    """
    found = _found(run, _logs(context, logs))
    logged = read_run(found.folder) or {}
    if as_json:
        print_json(_document(found) | {"run": logged})
        return
    tell(found.label)
    model, identity = logged.get("model"), logged.get("identity")
    facts: list[tuple[str, object]] = [("folder", found.folder), ("state", found.how_far), ("why", found.why)]
    if isinstance(model, dict):
        facts += [(key, model.get(key)) for key in ("family", "source", "fingerprint", "dtype", "device", "args")]
    facts += [(key, logged.get(key)) for key in ("data", "scoring", "limit", "control", "start", "end")]
    facts += _asked(identity) if isinstance(identity, dict) else []
    facts += [("command", shlex.join(map(str, command)) if isinstance(command := logged.get("command"), list) else "")]
    for name, fact in facts:
        if fact not in (None, "", {}):
            shown = ", ".join(f"{key} {value}" for key, value in fact.items()) if isinstance(fact, dict) else fact
            tell(f"  {name:<12} {shown}")
    if found.run is None:
        tell(f"  {'tasks':<12} {', '.join(found.tasks)}")
        return
    cells = found.run.cells
    for column in in_table_order(cells):
        if column in cells:
            tell(f"  {column[0]:<20} {metric_of(*column).title:<28} {_number(column, cells[column].value)}")


@app.command(cls=Command)
def delete(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders, or enough of their names.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    logs: LogsOption = Path("logs"),
) -> None:
    """Delete runs, after a question. Files that babycli did not write stay.

    Examples:
    # one run
    babycli runs delete babyllava-tiny
    # two, which are told by their dates
    babycli runs delete 20261129_120000 20261129_130000
    # without a question
    babycli runs delete logs/tiny/20261129_120000 --yes
    """
    place = _logs(context, logs)
    listed = list_runs(place)
    found = list({run.folder: run for run in (_one(name, place, listed) for name in runs)}.values())
    for run in found:
        check_removable(run.folder, place)
        if is_under_way(run.folder):
            raise ResumeError(f"{run.folder} is being written by another process", "wait for it, or end it first")
    if not yes:
        for run in found:
            say(f"{run.folder}  {run.label}, {run.how_far}")
        if not _is_agreed(f"delete {len(found)} run{'s' if len(found) > 1 else ''}? [y/N] "):
            say("nothing was deleted")
            raise typer.Exit(ExitCode.USAGE)
    for run in found:
        kept = remove_run(run.folder)
        tell(f"deleted {run.folder}" + (f", but for {', '.join(kept)}, which babycli did not write" if kept else ""))


@app.command(cls=Command)
def rename(
    context: typer.Context,
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help='What reports call it; "": its model.')],
    logs: LogsOption = Path("logs"),
) -> None:
    """Give a run another name in reports; its folder stays.

    Examples:
    # a name for the table
    babycli runs rename babyllava-tiny "tiny, first try"
    # of one of several runs, by its date
    babycli runs rename 20261129_120000 baseline
    # no name: that of its model
    babycli runs rename baseline ""
    """
    found = _found(run, _logs(context, logs))
    checked = checked_name(name) if name else ""
    if found.state == UNREADABLE:
        raise DataError(f"{found.folder} cannot be read: {found.why}", "mend it, or evaluate again")
    if found.state == UNDER_WAY:
        raise ResumeError(f"{found.folder} is being written by another process", "wait until it has ended")
    rename_run(found.folder, checked)
    tell(f"{found.folder} is called {checked or found.model} now")


def _asked(identity: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Lists what the identity of a run says of its sample, its prompts and its software."""
    question = mapping(identity.get("question"))
    prompts = {task: mapping(of_task).get("prompt") for task, of_task in mapping(question.get("tasks")).items()}
    told = {task: repr(prompt) for task, prompt in prompts.items() if prompt}
    return [("sample", question.get("sample")), ("prompts", told), ("software", identity.get("software"))]


def _logs(context: typer.Context, own: Path) -> Path:
    """Gives the folder of --logs, behind `runs` or behind its command."""
    return in_home(own) if own != Path("logs") or not isinstance(context.obj, Path) else context.obj


def _is_agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", "add  --yes")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _found(wanted: str, logs: Path) -> ListedRun:
    return _one(wanted, logs, list_runs(logs))


def _one(wanted: str, logs: Path, runs: Sequence[ListedRun]) -> ListedRun:
    """Gives the run that a user means. Raises UsageError where none fits, or several, which it names."""
    found = find_run(wanted, logs, runs)
    if len(found) == 1:
        return found[0]
    shown = found or runs
    names = "".join("\n  " + printable(f"{run.folder}  {run.label}") for run in shown[:_SHOWN])
    more = f"\n  and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    if found:
        raise UsageError(f"{wanted!r} fits {len(found)} runs:{names}{more}", "give the folder of one")
    if (elsewhere := in_home(Path(wanted))).joinpath(RUN_FILE).is_file():
        its_logs = shlex.quote(str(elsewhere.parent.parent))
        raise UsageError(f"{wanted} is a run, but none of {logs}", f"name the folder of its logs:  --logs {its_logs}")
    if not runs:
        raise UsageError(f"there are no runs in {logs}", "name the folder of the runs:  --logs DIR")
    known = [name for run in runs for name in (run.label, run.folder.name)]
    raise UsageError(f"no run is called {wanted!r}.{did_you_mean(wanted, known)} There are:{names}{more}", "name one")


def _numbers(run: ListedRun) -> str:
    """Writes the main metric of each task."""
    shown = [column for column in in_table_order(run.main) if column in run.main]
    return ", ".join(f"{about(column[0]).short} {_number(column, run.main[column])}" for column in shown)


def _number(column: tuple[str, str], value: float) -> str:
    return values.number(metric_of(*column), value)


def _document(run: ListedRun) -> dict[str, object]:
    return {
        "folder": str(run.folder),
        "label": run.label,
        "name": run.name or None,
        "model": run.model,
        "data": run.data,
        "tasks": list(run.tasks),
        "main": {task: {metric: value} for (task, metric), value in run.main.items()},
        "date": run.date,
        "state": run.state,
        "requests_done": None if run.run is not None else run.n_done,
        "requests": run.n_all,
        "why": run.why or None,
    }
