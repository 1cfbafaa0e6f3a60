"""`babycli submission ...`: the two files for the BabyVLM leaderboard, and the check of a model.py.

Owns the words on the screen. The work is done in submission.py, agreement.py and inspection.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babycli.commands.chosen import SetOption, chosen_tasks
from babycli.commands.command import HELP, Command, Group
from babycli.commands.options import (
    DataOption,
    JsonOption,
    ModelArgsOption,
    parse_args,
    print_json,
    say,
    tell,
    whole_number_of,
)
from babycli.commands.progress import progress_bar
from babycli.data.root import DatasetRoot
from babycli.errors import UntrustedResultError, UsageError
from babycli.files import in_home, temporary_folder
from babycli.interop.lmms import PREFIX
from babycli.wording import Dtype, one_of

if TYPE_CHECKING:
    from babycli.evaluation.options import Count
    from babycli.interop.lmms.agreement import Agreement, Asked
    from babycli.interop.lmms.inspection import Finding

_MADE = "write"  # the command that stands where a folder is named


class _Commands(Group):
    """Takes the name of a folder in the place of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *HELP):
            args = [_MADE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    help="""A submission to the BabyVLM leaderboard:  babycli submission DIR --model ...

    Examples:
    # write it for a model of the hub, and check it
    babycli submission my_submission -m wsashawn/babyllava_resnext_gpt2
    # for a checkpoint of your own, compared on more items
    babycli submission my_submission -m path/to/checkpoint -l 20
    # check a model.py that somebody has written
    babycli submission check path/to/model.py
    """,
)
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="D", help="cpu, cuda or cuda:N; default the GPU if there is one.",
                 show_default=False),
]  # fmt: skip
LimitOption = Annotated[
    int,
    typer.Option(
        "--limit",
        "-l",
        parser=whole_number_of("--limit", 1),
        metavar="N",
        help="Items of each task to compare on.",
    ),
]
DtypeOption = Annotated[str, typer.Option("--dtype", metavar="T", help=", ".join(Dtype))]


@app.command(_MADE, cls=Command)
def write(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="New folder, or one of an earlier submission.")],
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="NAME|PATH|HUB-ID", help="As for babycli eval.", show_default=False),
    ],
    model_args: ModelArgsOption = "",
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="On the leaderboard; default the model's.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="HUB-ID|URL",
            help="From where the organizers fetch the weights; default --model, if that is a hub id.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    limit: LimitOption = 3,
    data: DataOption = None,
    data_set: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write submission.json and model.py, and check them: the wrapper beside babycli's own path, on the demo's data.

    With --data or --set, on your own data.

    Examples:
    # for a model of the hub
    babycli submission my_submission -m wsashawn/babyllava_resnext_gpt2
    # for a checkpoint of your own, whose weights the organizers fetch from the hub
    babycli submission my_submission -m path/to/checkpoint --checkpoint your/model
    # compared on more items, of your own data
    babycli submission my_submission -m path/to/checkpoint -l 20 -d path/to/dataset
    """
    from babycli.interop.lmms import submission
    from babycli.models import check_spec, outline_model, pick_device, resolve
    from babycli.models.base import ModelSpec
    from babycli.wording import Scoring

    root = _root(data, data_set)
    place, args, precision = in_home(folder), parse_args(model_args), one_of(dtype, Dtype, "--dtype")
    submission.check_folder(place)
    resolved = resolve(model, args)
    spec = ModelSpec(resolved.source, resolved.name, args, pick_device(device), precision, Scoring.FAIR)
    check_spec(resolved, spec)
    outline = outline_model(resolved, spec)
    lacking = {"loglikelihood", "generate"} - set(outline.abilities.words)
    if lacking or outline.abilities.max_turns == 1 or outline.family == "lmms":
        offered = ", ".join(outline.abilities.words)
        raise UsageError(
            f"{model} cannot be submitted: the board asks for losses, texts and conversations, and it offers {offered}",
            "choose another model" if outline.family != "lmms" else f"babycli submission check {model}",
        )
    is_here = Path(resolved.source).exists()
    made = submission.Submission(
        name=name or Path(resolved.name).name,
        checkpoint=checkpoint if checkpoint is not None else "" if is_here else resolved.source,
        args={key: value for key, value in args.items() if key != "pretrained"},
        dtype=precision,
        outline=outline,
    )
    submission.write(place, made)
    say(f"wrote {place / submission.DESCRIPTION} and {place / submission.WRAPPER}")
    wrapper = place / submission.WRAPPER
    own = _asked(model, args, device, precision)
    given = {"pretrained": resolved.source, **made.args}
    wrapped = _asked(f"{PREFIX}{wrapper}", {"sign": "loss", **given}, device, precision)
    findings = _inspected(wrapper, None, given, device)
    if not as_json:
        _show_findings(findings)
    agreements = _compared(own, wrapped, limit, root, data_set)
    if as_json:
        _print(findings, agreements)
    else:
        _show_agreements(agreements)
    if empty := made.empty_fields:
        say(f"still to be filled in, in {place / submission.DESCRIPTION}: {', '.join(empty)}")
    say(
        f"the organizers need babycli (pip install babycli), and in lmms_eval/models/__init__.py the line  "
        f'"{made.registered}": "{submission.CLASS}"'
    )
    _raise_for(findings, agreements, wrapper)


@app.command("check", cls=Command)
def check(
    file: Annotated[
        str,
        typer.Argument(
            metavar="MODEL.PY", help="A wrapper for lmms-eval, of anybody; MODEL.PY:NAME where it has several classes."
        ),
    ],
    model_args: Annotated[
        str, typer.Option("--model-args", metavar="K=V,...", help="Arguments of its constructor.", show_default=False)
    ] = "",
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH|HUB-ID",
            help="A model of babycli that it must agree with, on the demo's data or --data.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    limit: LimitOption = 3,
    data: DataOption = None,
    data_set: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a model.py: sign of the loss, order of pictures, history, errors turned into replies. It runs its code.

    Examples:
    # what is wrong with a wrapper
    babycli submission check path/to/model.py
    # its class, with the arguments of its constructor
    babycli submission check path/to/model.py:MyModel --model-args pretrained=path/to/checkpoint
    # beside the same model as babycli runs it
    babycli submission check path/to/model.py -m path/to/checkpoint -l 10
    """
    root = _root(data, data_set)
    args = parse_args(model_args)
    sign = args.pop("sign", "loss")
    source = file.removeprefix(PREFIX)
    precision = one_of(dtype, Dtype, "--dtype")
    path, _, name = source.partition(".py:")
    findings = _inspected(in_home(f"{path}.py" if name else source), name or None, args, device)
    if not as_json:
        _show_findings(findings)
    agreements: Sequence[Agreement] = ()
    if model is not None:
        conv = {key: value for key, value in args.items() if key == "conv_template"}
        agreements = _compared(
            _asked(model, conv, device, precision),
            _asked(f"{PREFIX}{source}", args | {"sign": sign}, device, precision),
            limit,
            root,
            data_set,
        )
    if as_json:
        _print(findings, agreements)
    elif agreements:
        _show_agreements(agreements)
    _raise_for(findings, agreements, source)


def _asked(model: str, args: Mapping[str, str], device: str | None, dtype: Dtype) -> Asked:
    from babycli.interop.lmms.agreement import Asked

    return Asked(model, args, device, dtype)


class _Quiet:
    """A reporter that shows only how far a run is; see babycli.evaluation.options.Reporter."""

    def say(self, message: str) -> None:
        pass

    def bar(
        self, what: str, total: int | None, unit: str = "", whole: float | None = None
    ) -> AbstractContextManager[Count]:
        return progress_bar(what, total, unit, whole=whole)


def _inspected(path: Path, name: str | None, args: Mapping[str, str], device: str | None) -> list[Finding]:
    """Constructs a wrapper as the board does, and examines it."""
    from babycli.interop.lmms.inspection import BATCH_SIZE, inspect
    from babycli.interop.lmms.wrapper import Source, find

    if not path.is_file():
        raise UsageError(f"{path} is no file", "babycli submission check path/to/model.py")
    registered = find(Source(path, name))
    added: dict[str, Any] = {"batch_size": BATCH_SIZE, "device": device}
    takes = {
        key: value for key, value in added.items() if registered.takes_any or registered.parameter(key) is not None
    }
    say(f"examining {path}: {registered.name}")
    return inspect(registered.construct(args, {key: value for key, value in takes.items() if key not in args}))


def _root(data: Path | None, data_set: str | None) -> DatasetRoot | None:
    """Gives the dataset folder that the user means; None for the demo's data. Raises DataError."""
    return None if data is None and data_set is None else DatasetRoot.find(data)


def _compared(
    own: Asked, wrapped: Asked, limit: int, named: DatasetRoot | None, data_set: str | None
) -> list[Agreement]:
    """Runs both: on the set that the user names, else on the demo's data."""
    from babycli.interop.lmms.agreement import compare
    from babycli.interop.lmms.demo_data import DEVCV, devcv_tasks, lay_out

    where = "the demo's data" if named is None else "your data"
    say(f"comparing {wrapped.model} with {own.model} on {where}, {limit} items of each task")
    with temporary_folder("babycli-submission-") as folder:
        root = lay_out(folder) if named is None else named
        tasks = devcv_tasks() if named is None else chosen_tasks(root, DEVCV, data_set)
        return compare(own, wrapped, root, tasks, limit, folder / "logs", _Quiet())


# ---------------------------------------------------------------- words


def _show_findings(findings: Sequence[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        tell(f"{finding.verdict:<5}  {finding.check:<{width}}  {finding.what}", flush=True)


def _show_agreements(agreements: Sequence[Agreement]) -> None:
    tell("\nbeside babycli's own path:")
    for agreement in agreements:
        verdict = "ok" if agreement.agrees else "wrong"
        tell(f"{verdict:<5}  {agreement.method:<26}  {agreement.task:<22}  {_words(agreement)}")
    tell("\nwhat an organizer would see, on these items:")
    for agreement in agreements:
        if agreement.method != "loglikelihood" or agreement.task == "baby_winoground":
            scores = ", ".join(
                f"{name} {value:.4f}" for name, value in agreement.wrapped.items() if "_reference" not in name
            )
            tell(f"       {agreement.task:<22}  {scores}")


def _print(findings: Sequence[Finding], agreements: Sequence[Agreement]) -> None:
    """Prints all of it as JSON."""
    print_json(
        {
            "findings": [asdict(finding) for finding in findings],
            "agreement": [asdict(agreement) | {"agrees": agreement.agrees} for agreement in agreements],
        }
    )


def _words(agreement: Agreement) -> str:
    counted = f"{agreement.n_equal} of {agreement.n} answers are equal"
    if agreement.largest is not None:
        counted += f", losses differ by up to {agreement.largest:.2g}"
    return counted + (f"; {agreement.first}" if agreement.first else "")


def _raise_for(findings: Sequence[Finding], agreements: Sequence[Agreement], wrapper: object) -> None:
    from babycli.interop.lmms.inspection import Verdict

    wrong = [finding.check for finding in findings if finding.verdict == Verdict.WRONG]
    wrong += [f"{a.method} on {a.task}" for a in agreements if not a.agrees]
    if wrong:
        raise UntrustedResultError(
            f"{wrapper} would not get its model's score: {'; '.join(dict.fromkeys(wrong))}",
            f"see above what each means; then again:  babycli submission check {shlex.quote(str(wrapper))}",
        )
