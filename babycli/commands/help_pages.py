"""Help pages: what a command says of itself, in lines that fit any terminal.

Owns their layout. Never knows a command: its words are its docstring, those of its parameters are their help texts, and
sections are their ``rich_help_panel``, in the order in which parameters are declared.

Behind a line ``Examples:`` a docstring has commands, each below a line ``# what it is for``. Lines that begin with two
spaces are the items of a list.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from babycli.commands.options import terminal_width

EXAMPLES = "Examples:"
_WIDEST, _NARROW = 100, 60  # columns: longer lines are hard to read; below, texts stand under what they explain
_INDENT = "  "
_HEAD = 28  # columns for the name of an option, with what is left of it
_PLAIN, _OTHER = "Options", "Other"
_FEW = 12  # options need no sections
_Rows = list[tuple[str, str]]


class Example(NamedTuple):
    purpose: str
    command: str


def page(command: Any, context: Any) -> str:
    """Writes the help page of a command or of a group of commands."""
    width = max(min(terminal_width(), _WIDEST), 20)
    blocks = [_usage(context.command_path, usage_pieces(command), width), *_paragraphs(command.help or "", width)]
    for sections in (_words_and_commands(command), _options(command, context)):
        heads = [head for rows in sections.values() for head, _ in rows]
        beside = min(max(map(len, heads), default=0), _HEAD) if width >= _NARROW else 0
        blocks += [f"{title}:\n{_listed(rows, width, beside)}" for title, rows in sections.items()]
    if examples := examples_in(command.help or ""):
        blocks.append("\n".join([EXAMPLES, *_shown(examples, width)]))
    return "\n\n".join(blocks) + "\n"


def first_paragraph(text: str) -> str:
    """Gives what a list of commands says of one."""
    return " ".join(text.partition("\n\n")[0].split())


def examples_in(text: str) -> list[Example]:
    """Gives the examples in a docstring."""
    lines = [line.strip() for line in text.partition(f"{EXAMPLES}\n")[2].splitlines()]
    purposes = (line.removeprefix("# ") for line in lines if line.startswith("# "))
    commands = (line for line in lines if line and not line.startswith("# "))
    return [Example(*both) for both in zip(purposes, commands, strict=True)]


def usage_pieces(command: Any) -> list[str]:
    """Gives what stands behind the name of a command: its words, then [OPTIONS]."""
    pieces = [_argument(param) for param in command.params if param.param_type_name == "argument" and not param.hidden]
    return [*pieces, "[OPTIONS]", *(["COMMAND ..."] if getattr(command, "commands", None) else [])]


def _argument(param: Any) -> str:
    shown = f"{_metavar(param)}{'' if param.nargs == 1 else '...'}"
    return shown if param.required else f"[{shown}]"


def _usage(name: str, pieces: Sequence[str], width: int) -> str:
    return textwrap.fill(" ".join(["Usage:", name, *pieces]), width, subsequent_indent=4 * " ", break_on_hyphens=False)


def _paragraphs(text: str, width: int) -> Iterator[str]:
    for paragraph in text.partition(EXAMPLES)[0].strip().split("\n\n"):
        items = re.split(r"^ {2}", paragraph, flags=re.MULTILINE)
        filled = [_filled(" ".join(items[0].split()), width)] if items[0].strip() else []
        filled += [_filled(" ".join(item.split()), width, _INDENT, 3 * _INDENT) for item in items[1:]]
        yield "\n".join(filled)


def _words_and_commands(command: Any) -> dict[str, _Rows]:
    """Gives the rows of each section for what stands behind a command's name."""
    sections: dict[str, _Rows] = {}
    for param in command.params:
        if param.param_type_name == "argument" and param.help and not param.hidden:
            sections.setdefault("Arguments", []).append((_metavar(param), _text(param)))
    for name, other in getattr(command, "commands", {}).items():
        if not other.hidden:
            panel = getattr(other, "rich_help_panel", None) or "Commands"
            sections.setdefault(panel, []).append((name, first_paragraph(other.help or "")))
    return sections


def _options(command: Any, context: Any) -> dict[str, _Rows]:
    """Gives the rows of each section of options; those of no section come last, and with them that of the page."""
    shown = [param for param in command.get_params(context) if param.param_type_name == "option" and not param.hidden]
    if len(shown) <= _FEW:
        return {_PLAIN: [(_names(param), _text(param)) for param in shown]}
    sections: dict[str, _Rows] = {}
    for param in sorted(shown, key=lambda param: _panel(param) == _OTHER):
        sections.setdefault(_panel(param), []).append((_names(param), _text(param)))
    return sections


def _panel(param: Any) -> str:
    return str(getattr(param, "rich_help_panel", None) or _OTHER)


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper()).strip("[].")


def _names(param: Any) -> str:
    """Writes ``-l, --limit N``; long names stand below each other, whether there is a short one or not."""
    short = [name for name in param.opts if not name.startswith("--")]
    long = [name for name in (*param.opts, *param.secondary_opts) if name.startswith("--")]
    words = f"{short[0] + ', ' if short else '    '}{', '.join(long)}"
    return words if param.is_flag else f"{words} {param.metavar or 'TEXT'}"


def _text(param: Any) -> str:
    """Gives the text of a parameter, with its default behind it."""
    if param.name == "help" and param.is_eager:
        return "Show this page."
    text, default = (param.help or "").strip(), _default(param)
    if not default:
        return f"{text}{'' if not param.required or param.param_type_name == 'argument' else ' Required.'}"
    return f"{text.removesuffix('.')}; default {default}."


def _default(param: Any) -> str:
    if not param.show_default or param.required or param.default in (None, "", False) or callable(param.default):
        return ""
    if param.default is True:
        return str(param.opts[0]) if getattr(param, "secondary_opts", None) else ""
    return str(param.default)


def _listed(rows: _Rows, width: int, beside: int) -> str:
    """Writes names with their texts behind ``beside`` columns; below them where that is 0, or a name is longer."""
    texts = " " * (len(_INDENT) + beside + 2) if beside else 3 * _INDENT
    lines: list[str] = []
    for head, text in rows:
        filled = _filled(text, width, texts, texts).splitlines()
        if filled and len(head) <= beside:
            lines.append(f"{_INDENT + head:<{len(texts)}}{filled.pop(0).lstrip()}")
        else:
            lines += _broken(_INDENT + (head if beside else head.strip()), width)
        lines += filled
    return "\n".join(lines)


def _broken(head: str, width: int) -> Iterator[str]:
    """Breaks the name of an option between the words that it may be, where it is wider than the terminal."""
    while len(head) > width:
        end = max(head.rfind(sign, 4, width) for sign in "|, ") + 1 or width
        yield head[:end].rstrip()
        head = 4 * _INDENT + head[end:].lstrip()
    yield head


def _filled(text: str, width: int, first: str = "", later: str = "") -> str:
    return textwrap.fill(text, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)


def _shown(examples: Iterable[Example], width: int) -> Iterator[str]:
    """Writes examples so that they can be copied whole: a line that goes on has a ``\\`` at its end."""
    for purpose, command in examples:
        yield _filled(purpose, width, f"{_INDENT}# ", f"{_INDENT}# ")
        line = _INDENT
        for piece in _pieces(command, width - 3 * len(_INDENT) - 2):
            if line.strip() and len(line) + len(piece) + 1 > width - 2:
                yield f"{line} \\"
                line = 2 * _INDENT
            line += f" {piece}" if line.strip() else piece
        yield line


def _pieces(command: str, room: int) -> Iterator[str]:
    """Takes a command apart, each option with its value, where they have room on one line."""
    for piece in re.split(r" (?=-)", command):
        yield from [piece] if len(piece) <= room else piece.split(" ")
