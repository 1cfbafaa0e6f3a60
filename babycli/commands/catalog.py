"""`babycli tasks` and `babycli models`: what there is.

Owns the listing. Never loads a model.
"""

from __future__ import annotations

from babycli.commands.options import JsonOption, print_json
from babycli.data.manifest import manifests
from babycli.models import BUNDLED, DEFAULT_MODEL, all_families
from babycli.tasks import all_tasks


def tasks(as_json: JsonOption = False) -> None:
    """List the tasks."""
    if as_json:
        listed = [
            {
                "name": t.name,
                "title": t.title,
                "question": t.question,
                "version": t.version,
                "chance": dict(t.chance),
            }
            | {"rows": manifests()[t.name].n_rows}
            for t in all_tasks().values()
        ]
        print_json(listed)
        return
    for task in all_tasks().values():
        print(f"{task.name:<16} {task.title}: {task.question}")
        for metric, chance in task.chance.items():
            print(
                f"{'':<16}   {metric:<30} "
                + (f"chance {100 * chance:.1f} %" if chance is not None else "no chance level")
            )


def models(as_json: JsonOption = False) -> None:
    """List the model families."""
    if as_json:
        listed = [
            {"name": f.name, "summary": f.summary, "offers": f.offers, "arguments": dict(f.arguments)}
            for f in all_families().values()
        ]
        print_json(listed)
        return
    for family in all_families().values():
        print(f"{family.name:<16} {family.summary}")
        print(f"{'':<16}   offers {', '.join(family.offers)}")
        for key, meaning in family.arguments.items():
            print(f"{'':<16}   --model-args {key}=...  {meaning}")
    print(f"{'default':<16} {DEFAULT_MODEL}")
    for name in BUNDLED:
        print(f"{'bundled':<16} {name}: a small BabyLLaVA for the demo")
