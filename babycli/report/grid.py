"""A table of texts, and how a terminal, Markdown and plain LaTeX write it.

Owns layout. Never knows what the texts mean.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "quiet", "alarm"]
MARKS = "=!-*^"  # behind a number: see tables.py for their meaning


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    cells: tuple[str, ...]
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """``heads`` has two texts for each column, the second nearer to the numbers; sections are set apart by rules."""

    first: str  # heads the labels
    heads: tuple[tuple[str, str], ...]
    sections: tuple[tuple[Line, ...], ...]
    notes: tuple[str, ...] = ()
    title: str = ""
    left: tuple[int, ...] = ()  # columns of words, which are aligned on the left


def as_text(grid: Grid, width: int, is_terminal: bool) -> str:
    """For a terminal of that many columns; colours only where it is one."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=is_terminal, highlight=False, markup=False, emoji=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    lines = [line for section in grid.sections for line in section]
    columns = [_aligned([line.cells[i] for line in lines]) for i in range(len(grid.heads))]
    widths = [max(map(len, (*head, *column))) for head, column in zip(grid.heads, columns, strict=True)]
    room = width - sum(w + 2 for i, w in enumerate(widths) if i not in grid.left) - 2
    table.add_column(f"\n{grid.first}", overflow="fold")
    for i, (over, under) in enumerate(grid.heads):
        words = i in grid.left
        table.add_column(f"{over}\n{under}", justify="left" if words else "right", no_wrap=not words, overflow="fold")
    styles = {"": None, "quiet": "dim", "alarm": "bold red"}
    cells = iter(zip(*columns, strict=True))
    for section in grid.sections:
        for line in section:
            label = line.label if grid.left else _folded(line.label, room)
            table.add_row(label, *next(cells), style=styles[line.tone])
        table.add_section()
    if grid.title:
        console.print(grid.title, style="bold")
    console.print(table)
    for note in grid.notes:
        console.print(note)
    return "\n".join(text.rstrip() for text in stream.getvalue().split("\n")).lstrip("\n")


def _folded(label: str, room: int) -> str:
    """A name on as many lines as it needs, broken where its parts meet."""
    lines = [""]
    for part in re.findall(r"[^-/_ ,]+[-/_ ,]*|[-/_ ,]+", label):
        if lines[-1].strip() and len(lines[-1] + part.rstrip()) > max(room, 12):
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _aligned(cells: Sequence[str]) -> list[str]:
    """A column with room behind the digits for its marks, so that points line up."""
    n_marks = [len(text) - len(text.rstrip(MARKS)) for text in cells]
    return [cell + " " * (max(n_marks) - n) for cell, n in zip(cells, n_marks, strict=True)]


def as_markdown(grid: Grid) -> str:
    heads = [f"{over} {under}".strip() for over, under in grid.heads]
    lines = [f"**{grid.title}**", ""] if grid.title else []
    rule = "".join("---|" if i in grid.left else "---:|" for i in range(len(heads)))
    lines += [f"| {grid.first} | " + " | ".join(heads) + " |", "|---|" + rule]
    for section in grid.sections:
        lines += ["| " + " | ".join(_cell(text) for text in (line.label, *line.cells)) + " |" for line in section]
    return "\n".join([*lines, "", *(f"{note}  " for note in grid.notes)]) + "\n"


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|")


# What stands between them is made smaller where it is too wide, and only there.
FIT_BEGIN = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
FIT_END = "}"


def as_latex(grid: Grid) -> str:
    """A table environment; needs booktabs and graphicx. The notes are its caption."""
    kinds = "".join("p{0.7\\linewidth}" if i in grid.left else "r" for i in range(len(grid.heads)))
    heads = [latex_text(f"{over} {under}".strip()) for over, under in grid.heads]
    bodies = []
    for section in grid.sections:
        bodies.append([" & ".join(latex_text(t) for t in (line.label, *line.cells)) + r" \\" for line in section])
    inner = [line for i, body in enumerate(bodies) for line in ([r"\midrule"] if i else []) + body]
    caption = " ".join([f"{grid.title}." if grid.title else "", *grid.notes]).strip()
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs,graphicx}",
            r"\begin{table}[t]",
            r"\centering",
            r"\caption{" + latex_text(caption) + "}",
            r"\smallskip",
            r"\footnotesize",
            FIT_BEGIN,
            rf"\begin{{tabular}}{{l{kinds}}}",
            r"\toprule",
            " & ".join([latex_text(grid.first), *heads]) + r" \\",
            r"\midrule",
            *inner,
            r"\bottomrule",
            r"\end{tabular}",
            FIT_END,
            r"\end{table}",
            "",
        ]
    )


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    special = {c: "\\" + c for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "−": r"$-$",
        "…": r"\dots{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
    return "".join(special.get(c, c) for c in text)
