"""Other evaluation programs, each in a folder of its own that can be deleted.

Owns finding them. A package here adds what it has to the rooms below it, model families, readers of logs and forms of
reports, and brings commands. No room knows of it: only cli.py calls ``register``.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import typer


def register() -> dict[str, typer.Typer]:
    """Lets every package here add what it has; gives their commands by name."""
    commands: dict[str, typer.Typer] = {}
    for info in pkgutil.iter_modules(__path__):
        commands |= import_module(f"{__name__}.{info.name}").register()
    return commands
