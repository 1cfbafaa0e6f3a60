"""Commands that are imported when they are used, so that none waits for what another one needs.

Owns how a group lists them unseen, and how each takes its place. Never knows which there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
import typer.core
import typer.main

from babycli.commands.command import Command, Group


@dataclass(frozen=True, slots=True)
class OnUse:
    """Where a command is, or a Typer with commands of its own, and what a list of commands says of it."""

    module: str
    attribute: str
    help: str  # the first line of its own help
    section: str = "Commands"  # of the list
    before: Callable[[], None] = lambda: None  # runs before it is imported


def group_of(commands: Mapping[str, OnUse]) -> type[typer.core.TyperGroup]:
    """Makes a ``cls`` for typer.Typer, whose group has these commands."""

    class GroupOnUse(Group):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self._waiting = dict(commands)
            for name, command in commands.items():
                self.add_command(Command(name, help=command.help, rich_help_panel=command.section))

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, command, rest = super().resolve_command(ctx, args)
            if name in self._waiting:
                command = _imported(name, self._waiting.pop(name))
                self.add_command(command)
            return name, command, rest

    return GroupOnUse


def _imported(name: str, command: OnUse) -> Any:
    """Imports a command, and builds it as Typer builds those that it knows from the start."""
    command.before()
    found = getattr(import_module(command.module), command.attribute)
    around = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name, rich_help_panel=command.section)
    else:
        around.command(name, cls=Command, rich_help_panel=command.section)(found)
    return typer.main.get_group(around).commands[name]
