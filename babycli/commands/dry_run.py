"""What `babycli eval --dry-run` says: what would be computed.

Owns the words on the screen. The work is done in babycli/evaluation/dry_run.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.commands.options import name_width, print_json, tell
from babycli.commands.progress import duration
from babycli.evaluation.dry_run import Planned


def tell_plan(plans: Sequence[Planned]) -> None:
    """Tells each run that would be made, and the time of all."""
    for plan in plans:
        control = f", control {plan.control}" if plan.control else ""
        tell(f"{plan.model} on {plan.data}{control}: {_state(plan)}")
        width = name_width(task.name for task in plan.tasks)
        for task in plan.tasks:
            skipped = f", {task.skipped} left out because images are missing" if task.skipped else ""
            tell(f"  {task.name:<{width}} {task.n_items:>7} {task.unit:<14} {task.n_requests:>7} requests{skipped}")
        later = f", and up to {plan.n_later} in later turns" if plan.n_later else ""
        n_shared = sum(task.n_requests for task in plan.tasks) - plan.n_requests
        shared = f" (tasks share {n_shared})" if n_shared else ""
        told = f"{plan.n_requests} distinct requests{shared}{later}"
        tell(f"  {told}; {plan.n_images} distinct images, found on disk")
        if plan.n_cached is not None:
            tell(f"  {plan.n_cached} more are in the cache")
        if plan.seconds is not None:
            tell(f"  about {duration(plan.seconds)}, by {_counted(plan.n_tried, 'batch', 'batches')} that were tried")
    known = [plan.seconds for plan in plans if plan.seconds is not None]
    if len(known) == len(plans) > 1:
        tell(f"in all about {duration(sum(known))}, and the time to load the models")


def print_plan(plans: Sequence[Planned]) -> None:
    """Writes the runs that would be made as JSON."""
    print_json([_document(plan) for plan in plans])


def _document(plan: Planned) -> dict[str, object]:
    """Gives a run in the words of `babycli runs --json` where it has the same fields."""
    return {
        "model": plan.model,
        "data": plan.data,
        "control": plan.control,
        "state": "finished" if plan.finished else "unfinished" if plan.unfinished else "new",
        "folder": None if (there := plan.finished or plan.unfinished) is None else str(there),
        "tasks": [
            {
                "task": task.name,
                "n_units": task.n_items,
                "unit": task.unit,
                "requests": task.n_requests,
                "skipped": task.skipped,
            }
            for task in plan.tasks
        ],
        "requests": plan.n_requests,
        "requests_later": plan.n_later,
        "requests_done": plan.n_on_disk,
        "requests_cached": plan.n_cached,
        "images": plan.n_images,
        "seconds": plan.seconds,
        "batches_tried": plan.n_tried,
    }


def _state(plan: Planned) -> str:
    if plan.finished is not None:
        return f"already evaluated, {plan.finished}"
    if plan.unfinished is not None:
        return f"would go on, {plan.n_on_disk} requests are on disk in {plan.unfinished}"
    return "would be evaluated"


def _counted(n: int, one: str, several: str) -> str:
    return f"1 {one}" if n == 1 else f"{n} {several}"
