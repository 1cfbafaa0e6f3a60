"""Other evaluation programs, each in a folder of its own that can be deleted.

Owns finding them. A package here brings commands, and adds what it has to the rooms below it: model families, readers
of logs and forms of reports. No room knows of it: only cli.py calls ``commands``, and
``register`` is called there and in api.py.
"""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from importlib import import_module
from types import ModuleType

from babycli.commands.on_use import OnUse


def commands() -> dict[str, OnUse]:
    """Gives the commands of every package here by name."""
    return {
        name: replace(command, before=register) for package in _packages() for name, command in package.COMMANDS.items()
    }


def register() -> None:
    """Lets every package here add what it has. Registering twice does no harm."""
    for package in _packages():
        package.register()


def _packages() -> list[ModuleType]:
    return [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
