"""`babycli tasks`, `babycli models` and `babycli models show`: what there is.

Owns the listing. Never reads the weights of a model.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.command import Command, Group
from babycli.commands.options import JsonOption, ModelArgsOption, parse_args, print_json, say, tell, tell_wrapped
from babycli.data.manifest import published
from babycli.domain import PICTURE, Metric, ask
from babycli.evaluation.prompts import OWN_WORDS, Prompt, choose_prompt, why_not
from babycli.files import in_home
from babycli.models import BUNDLED, DEFAULT_MODEL, all_families, outline_model, resolve
from babycli.models.base import ModelSpec, Outline
from babycli.models.plugin import plugins
from babycli.tasks import all_tasks
from babycli.tasks.base import DEFAULT, Benchmark, Task
from babycli.wording import AnswerWay, Scoring

models_app = typer.Typer(cls=Group, invoke_without_command=True)


def tasks(as_json: JsonOption = False) -> None:
    """List the tasks.

    Examples:
    # what is asked, and what guessing gives
    babycli tasks
    # for a program
    babycli tasks --json
    # what of them is ready to be evaluated
    babycli data status
    """
    if as_json:
        listed = [
            {
                "name": t.name,
                "title": t.title,
                "question": t.question,
                "version": t.version,
                "chance": {metric.name: metric.chance for metric in t.metrics},
                "metrics": [asdict(metric) for metric in t.metrics],
                "benchmark": t.benchmark.name if t.benchmark else None,
                "needs": asdict(t.needs),
                "rows": facts.n_rows if (facts := published(t.name)) else None,
            }
            for t in all_tasks().values()
        ]
        print_json(listed)
        return
    by_benchmark: dict[Benchmark | None, list[Task]] = {}
    for task in all_tasks().values():
        by_benchmark.setdefault(task.benchmark, []).append(task)
    width = max(map(len, all_tasks()))
    for benchmark, its_tasks in by_benchmark.items():
        if benchmark is None:
            tell("of no benchmark")
        else:
            name = benchmark.name
            tell_wrapped(f"{name} (--tasks {name}): {benchmark.title}, {benchmark.citation}", 6)
        for task in its_tasks:
            _tell_task(task, width)


def _tell_task(task: Task, width: int) -> None:
    """Tells of a task what it asks, its metrics, and the ways of answering that it leaves to choose."""
    tell_wrapped(f"  {task.name:<{width}} {task.title}: {task.question}", width + 5)
    as_written = task.fitted((AnswerWay.WRITTEN,), ("generate",)) if task.ways else task
    for metric in as_written.metrics:
        if not metric.twin_of:
            tell(f"{'':<{width}}     {metric.name:<30} {_chance(task, metric)}")
    if task.ways:
        tell(f"{'':<{width}}     --answers {' or '.join(task.ways)}")


def _chance(task: Task, metric: Metric) -> str:
    """Says what guessing gives."""
    if metric.chance is not None:
        return f"chance {_shown_value(metric, metric.chance)}"
    depends = type(task).chance_of is not Task.chance_of
    return "chance depends on the items" if depends else "no chance level"


def _shown_value(metric: Metric, value: float) -> str:
    """Writes a value of a metric for people."""
    return f"{metric.shown_scale * value:.1f}" + (" %" if metric.is_share else "")


@models_app.callback()
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the model families, or show one model.

    Examples:
    # families, and the arguments that they take
    babycli models
    # one model: its parts, its size, what it is asked
    babycli models show babyllava-tiny
    # for a program
    babycli models --json
    """
    if context.invoked_subcommand is not None:
        return
    if as_json:
        listed = [
            {"name": f.name, "summary": f.summary, "offers": f.abilities.words, "arguments": dict(f.arguments)}
            for f in all_families().values()
        ]
        print_json(listed)
        return
    for family in all_families().values():
        tell_wrapped(f"{family.name:<16} {family.summary}", 19)
        tell(f"{'':<16}   offers {', '.join(family.abilities.words)}")
        for key, meaning in family.arguments.items():
            tell_wrapped(f"{'':<16}   --model-args {key}=...  {meaning}", 23)
    tell(f"{'default':<16} {DEFAULT_MODEL}")
    for name, what in zip(BUNDLED, ("BabyLLaVA", "BabyLLaVA-V2"), strict=True):
        tell(f"{'bundled':<16} {name}: a small {what} for the demo")
    for name, point in sorted(plugins().items()):
        tell(f"{'installed':<16} {name}: {point.value}")
    say("more of one:  babycli models show MODEL")


@models_app.command(cls=Command)
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for babycli eval --model.")],
    model_args: ModelArgsOption = "",
    dtype: Annotated[str, typer.Option("--dtype", metavar="T", help="As for babycli eval.")] = "float32",
    as_json: JsonOption = False,
) -> None:
    """Show a model's architecture, size, precision and what each task asks it, without reading its weights.

    Examples:
    # a checkpoint
    babycli models show path/to/checkpoint
    # one of the hub, at a revision
    babycli models show wsashawn/babyllava_resnext_gpt2@main
    # in another template, for a program
    babycli models show babyllava-tiny --model-args conv_template=plain --json
    """
    args = parse_args(model_args)
    resolved = resolve(model, args)
    spec = ModelSpec(resolved.source, resolved.name, args, "cpu", dtype, Scoring.FAIR)
    outline = outline_model(resolved, spec)
    asked = _prompts_by_task(outline)
    known = [part.n_parameters for part in outline.parts]
    total = None if None in known else sum(n for n in known if n is not None)
    if as_json:
        print_json(
            {
                "model": model,
                "family": outline.family,
                "source": resolved.source,
                "offers": outline.abilities.words,
                "abilities": asdict(outline.abilities),
                "dtype": dtype,
                "stored_dtype": outline.stored_dtype,
                "n_parameters": total,
                "parts": [{"name": p.name, "what": p.what, "n_parameters": p.n_parameters} for p in outline.parts],
                "template": outline.template,
                "prompts": asked,
                "notes": outline.notes,
                "reads": [asdict(origin) | {"files": [str(f) for f in origin.files]} for origin in outline.origins],
                "left_out": outline.left_out,
            }
        )
        return
    stored = f", stored as {outline.stored_dtype}" if outline.stored_dtype else ""
    tell(f"{model}: {outline.family}, offers {', '.join(outline.abilities.words)}")
    chooses = all_families()[outline.family].has_own_precision
    if not outline.abilities.plays_back:
        tell(f"  runs in {'what its own code chooses, or in --dtype' if chooses else dtype}{stored}")
    for part in outline.parts:
        tell(f"  {part.name:<16} {'' if part.n_parameters is None else f'{part.n_parameters:,}':>15}  {part.what}")
    tell(f"  {'parameters':<16} {'not known' if total is None else f'{total:,}':>15}")
    for note in outline.notes:
        tell(f"  note: {note}")
    _print_origins(outline, in_home(resolved.source))
    tell(f"prompts, template {outline.template}:")
    own_words = [task for task, prompt in asked.items() if prompt["origin"] == OWN_WORDS]
    for task, prompt in asked.items():
        if task not in own_words:
            tell(f"  {task:<16} {prompt['rendered']!r}" + ("" if prompt["origin"] != DEFAULT else "  (default)"))
    if own_words:
        tell(f"  in the words of the label file: {', '.join(own_words)}")


def _print_origins(outline: Outline, home: Path) -> None:
    """Prints where each part of a model is read from; files of its own folder by their names."""
    if outline.origins:
        tell("reads:")
    for origin in outline.origins:
        files = ", ".join(file.name if file.parent == home else str(file) for file in origin.files)
        where = f"{files} ({origin.where})" if files and origin.where else files or origin.where
        tell(f"  {origin.what:<16} {where}")
    if outline.left_out:
        tell(f"  {'not read':<16} {', '.join(outline.left_out)}")


def _prompts_by_task(outline: Outline) -> dict[str, dict[str, str]]:
    """Gives, for each task that the model can do, the prompt that the task asks it with."""
    chosen = {
        task.name: choose_prompt(task, outline.family, outline.prompts, outline.prompts_like, {})
        for task in all_tasks().values()
        if not why_not(task, outline.abilities)
    }
    return {
        name: {"prompt": prompt.text, "origin": prompt.origin, "rendered": _rendered(outline, prompt)}
        for name, prompt in chosen.items()
    }


def _rendered(outline: Outline, prompt: Prompt) -> str:
    """Renders a prompt with one picture as the model reads it; "" for a task that brings its own words."""
    return "" if prompt.origin == OWN_WORDS else outline.render(ask(prompt.text, PICTURE))
