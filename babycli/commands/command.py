"""The commands of babycli and their groups, as Typer has them but for their help pages and how words are read.

Owns what is the same for all of them. Never knows one: help_pages.py and typed_words.py do the work.
"""

from __future__ import annotations

from typing import Any

import typer.core

from babycli.commands import help_pages
from babycli.errors import UsageError

HELP = ("-h", "--help")


class Command(typer.core.TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # else a line that is being typed
            from babycli.commands import foreign_options, typed_words  # which a list of commands need not wait for

            typed_words.check_paths(self, args)
            args = foreign_options.without_them(self, args)
            args = typed_words.in_single_words(self, ctx.command_path, args)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return help_pages.usage_pieces(self)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_pages.page(self, ctx))


class Group(typer.core.TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {*HELP, *(name for param in self.params for name in (*param.opts, *param.secondary_opts))}
        if not ctx.resilient_parsing and args and args[0].startswith("-") and args[0].partition("=")[0] not in own:
            command = next((word for word in args if word in self.list_commands(ctx)), "")
            if command and _has(self.resolve_command(ctx, [command])[1], args[0].partition("=")[0]):
                raise UsageError(
                    f"{args[0]} stands before the command {command}",
                    f"its options stand behind it:  {ctx.command_path} {command} {args[0]} ...",
                )
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return help_pages.usage_pieces(self)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_pages.page(self, ctx))


def _has(command: Any, option: str) -> bool:
    return any(option in (*param.opts, *param.secondary_opts) for param in command.params)
