"""`babycli eval`: evaluate a model on tasks.

Owns the options and what is said while it runs. The work is done in babycli/evaluation/suite.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.chosen import SetOption
from babycli.commands.evaluated import TerminalReporter, raise_if_failed, show, show_each
from babycli.commands.interrupts import ended_by_sigterm
from babycli.commands.options import (
    DATA,
    OUTPUT,
    DataOption,
    ModelArgsOption,
    parse_args,
    say,
    whole_number_of,
)
from babycli.commands.watching import SEVERAL, WatchForOption, WatchOption, WatchSettleOption, end, seconds_of
from babycli.data.root import DatasetRoot
from babycli.errors import UsageError
from babycli.evaluation.batch_check import DEFAULT_TRIALS
from babycli.evaluation.read_options import read_options
from babycli.evaluation.suite import evaluate as run_evaluation
from babycli.evaluation.trust import raise_if_untrusted
from babycli.evaluation.watch import Watch
from babycli.logs.runlog import log_name
from babycli.models import DEFAULT_MODEL, has_own_precision, matching
from babycli.wording import AnswerWay, ControlKind, Dtype, History, Scoring, whole_number

_WHAT, _ASKED, _COMPUTED = "What to evaluate", "How it is asked", "How it is computed"


def evaluate(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH|HUB-ID",
            help=f"Checkpoint, hub id[@revision], family, file.py:Class or control; several, as runs/*, are evaluated "
            f"one after the other. Default {DEFAULT_MODEL}.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    model_args: ModelArgsOption = "",
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            "-t",
            metavar="A,B",
            help="Tasks, benchmarks or file.py:TASK, between commas or spaces; default all.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    trials: Annotated[
        list[Path] | None,
        typer.Option(
            "--trials",
            metavar="FILE",
            help="Trials of your own, one on each line of a .jsonl file; these alone, unless --tasks is given, too.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Folder or zip of their pictures; default the file's own folder.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    data_set: SetOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-l",
            parser=whole_number_of("--limit", 1),
            metavar="N",
            help="Only the first N trials of each task.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            parser=whole_number_of("--sample", 1),
            metavar="N",
            help="N trials of each task, even over its groups.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            parser=whole_number_of("--seed", 0),
            metavar="S",
            help="Of --sample; default 0.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            "--control",
            metavar="|".join(ControlKind),
            help="Run a control: without images, with other images, or with the same score for everything.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="[TASK=]TEXT",
            help="Ask this, for one task or all, instead of the family's prompt; <image> says where the image goes.",
            show_default=False,
            rich_help_panel=_ASKED,
        ),
    ] = None,
    scoring: Annotated[
        str,
        typer.Option(
            "--scoring",
            metavar="|".join(Scoring),
            help="babycli's own way, or exactly the original code's.",
            rich_help_panel=_ASKED,
        ),
    ] = Scoring.FAIR,
    answers: Annotated[
        str | None,
        typer.Option(
            "--answers",
            metavar=",".join(AnswerWay),
            help="Where answers are of a closed set: what the model writes, or which it finds likeliest, or both.",
            show_default=False,
            rich_help_panel=_ASKED,
        ),
    ] = None,
    history: Annotated[
        str,
        typer.Option(
            "--history",
            metavar="|".join(History),
            help="Whether a conversation goes on with the model's own answers, or with the right ones.",
            rich_help_panel=_ASKED,
        ),
    ] = History.OWN,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-new-tokens",
            parser=whole_number_of("--max-new-tokens", 1),
            metavar="N",
            help="Of each text; default what the task says.",
            show_default=False,
            rich_help_panel=_ASKED,
        ),
    ] = None,
    batch_size: Annotated[
        str,
        typer.Option(
            "--batch-size",
            "-b",
            metavar="N|auto",
            help="Images per batch; auto: as many as there is room for.",
            rich_help_panel=_COMPUTED,
        ),
    ] = "auto",
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="D",
            help="cpu, cuda or cuda:N; default the GPU if there is one.",
            show_default=False,
            rich_help_panel=_COMPUTED,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype",
            metavar="T",
            help="float32, bfloat16, or float16 on a GPU; default float32, or what a wrapper's own code chooses.",
            show_default=False,
            rich_help_panel=_COMPUTED,
        ),
    ] = None,
    batch_check: Annotated[
        int | None,
        typer.Option(
            "--batch-check",
            parser=whole_number_of("--batch-check", 0),
            metavar="N",
            help=f"Score N trials of each task again one by one; default {DEFAULT_TRIALS} in half precision, else 0.",
            show_default=False,
            rich_help_panel=_COMPUTED,
        ),
    ] = None,
    prefix_reuse: Annotated[
        bool,
        typer.Option(
            "--prefix-reuse/--no-prefix-reuse",
            help="Read image and prompt once for all texts behind them, if possible.",
            rich_help_panel=_COMPUTED,
        ),
    ] = True,
    feature_reuse: Annotated[
        bool,
        typer.Option(
            "--feature-reuse/--no-feature-reuse",
            help="With several checkpoints: reuse the vision tower's output where the towers are the same.",
            rich_help_panel=_COMPUTED,
        ),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            help="Take the scores of earlier runs from this folder, and add new ones to it.",
            show_default=False,
            rich_help_panel=_COMPUTED,
        ),
    ] = None,
    send_pictures_to: Annotated[
        str | None,
        typer.Option(
            "--send-pictures-to",
            metavar="HOST",
            help="Let a server on this other machine see the pictures; your data agreement says who may.",
            show_default=False,
            rich_help_panel=_COMPUTED,
        ),
    ] = None,
    data: DataOption = None,
    skip_missing: Annotated[
        bool,
        typer.Option(
            "--skip-missing", help="Leave out trials of which an image is missing, and say so.", rich_help_panel=DATA
        ),
    ] = False,
    output_path: Annotated[
        Path, typer.Option("--output-path", "-o", metavar="DIR", help="Where the logs go.", rich_help_panel=OUTPUT)
    ] = Path("logs"),
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="TEXT", help="Call the run so in reports.", show_default=False, rich_help_panel=OUTPUT
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Go on with an unfinished run of the same model and tasks.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Evaluate again what is evaluated already.", rich_help_panel=OUTPUT)
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time went.", rich_help_panel=OUTPUT)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be computed.", rich_help_panel=SEVERAL)
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="With that, compute a few batches to tell the time.", rich_help_panel=SEVERAL),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="With --dry-run: write this as a sweep file.",
            show_default=False,
            rich_help_panel=SEVERAL,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="With --dry-run: write JSON for a program.", rich_help_panel=SEVERAL),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Make the runs of a sweep file (TOML).",
            show_default=False,
            rich_help_panel=SEVERAL,
        ),
    ] = None,
    watch: WatchOption = False,
    watch_for: WatchForOption = None,
    watch_settle: WatchSettleOption = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", hidden=True)] = False,
) -> None:
    """Evaluate a model on tasks of BabyVLM and the DevCV Toolbox, or on your own.

    Examples:
    # the model that comes with babycli, on twenty trials of two tasks
    babycli eval -m babyllava-tiny -t vtwt,labeled_s -l 20
    # all checkpoints of a training, each on all tasks, then a table of them
    babycli eval -m runs/baby/checkpoint-* -o logs/baby
    # what a model of the hub does without the pictures
    babycli eval -m wsashawn/babyllava_resnext_gpt2 -t babyvlm --control blind
    """
    if save is not None and not (dry_run or estimate):
        raise UsageError("--save writes what would be run", "add  --dry-run")
    if as_json and not (dry_run or estimate):
        raise UsageError(
            "--json writes what would be run", "add  --dry-run;  for results:  babycli report --format json"
        )
    if as_json and config is not None:
        raise UsageError("--json is of one command, and --config makes several", "leave out one of them")
    if save is not None or config is not None:
        from babycli.commands import sweep_runs

        if save is not None:
            sweep_runs.save(context, save, config, _models(model or []))
        if config is not None:
            sweep_runs.run(context, config)
            return
    root = DatasetRoot.find(data)
    args = parse_args(model_args)
    patterns = model or [args.pop("pretrained", DEFAULT_MODEL)]
    patience = seconds_of("--watch-for", watch, watch_for)
    settle = seconds_of("--watch-settle", watch, watch_settle)
    names = [] if watch else _models(patterns)
    # The code of a wrapper may know more words than babycli: "auto".
    is_its_own_word = args.get("dtype", Dtype.FLOAT32) not in list(Dtype) and all(map(has_own_precision, names))
    if trust_remote_code:
        say("note: --trust-remote-code is not needed: babycli runs no code out of a checkpoint")

    options = read_options(
        names,
        spelled=lambda option: f"--{option}",
        model_args=args,
        tasks=tasks,
        trials=trials or (),
        images=images,
        data_set=data_set,
        root=root,
        output=output_path,
        limit=limit,
        sample=sample,
        seed=seed,
        control=control,
        prompts=prompt or (),
        scoring=scoring,
        answers=answers,
        history=history,
        max_new_tokens=max_new_tokens,
        batch_size=_parse_batch_size(batch_size),
        device=device,
        dtype=dtype if is_its_own_word else args.pop("dtype", dtype),
        batch_check=batch_check,
        reuse_prefixes=prefix_reuse,
        reuse_features=feature_reuse,
        cache=cache,
        send_pictures_to=send_pictures_to,
        skip_missing=skip_missing,
        resume=resume,
        rerun=rerun,
        command=context.obj or [],
        name=name,
    )
    if dry_run or estimate:
        from babycli.commands.dry_run import print_plan, tell_plan
        from babycli.evaluation.dry_run import plan_runs

        planned, unread = plan_runs(options, TerminalReporter(), estimate)
        (print_plan if as_json else tell_plan)(planned)
        raise_if_failed(unread, len(options.models))
        return
    if watch:
        with ended_by_sigterm():
            end(Watch(options, patterns, patience, settle, TerminalReporter(), lambda done: show_each(done, profile)))
        return
    with ended_by_sigterm():
        done, failed = run_evaluation(options, TerminalReporter())
    suspicions = show(done, profile)
    raise_if_failed(failed, len(options.models))
    raise_if_untrusted(done)
    from babycli.report.gain import raise_if_above_chance

    raise_if_above_chance(suspicions, options.output)


def _models(named: Sequence[str]) -> list[str]:
    """Gives the checkpoints that names and patterns mean, each once. Raises UsageError for two with one log folder."""
    names = list(dict.fromkeys(name for pattern in named for name in matching(pattern)))
    by_log: dict[str, str] = {}
    for name in names:
        other = by_log.setdefault(log_name(name), name)
        if other != name:
            raise UsageError(f"the logs of {other} and {name} would lie in one folder, {log_name(name)}", "rename one")
    return names


def _parse_batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    size = whole_number(text)
    if not size:
        raise UsageError(
            f"--batch-size must be a positive whole number or auto, not {text!r:.40}", "write it as  --batch-size 16"
        )
    return size
