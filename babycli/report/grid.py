"""A table of texts, and how a terminal, Markdown and plain LaTeX write it.

Owns layout. Never knows what the texts mean.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from babycli.report.latex_text import latex_text
from babycli.wording import printable, printable_lines, written_in

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Tone = Literal["", "quiet", "alarm"]
MAX_FLOAT_LINES = 45  # of LaTeX that fit on a page
_LONG_LABEL = 30  # characters, with which the first column of a table over several pages breaks its lines
_COLUMNS = 4  # of numbers that fit into one of two columns of a page; a table of more is as wide as both
APART = r"\addlinespace[2pt]"  # between rows of several lines
MIN_NAME = 12  # columns of a terminal that names get at least
MAX_NAME = 20  # and as many where a part of a name is so long
_MARKDOWN = re.compile(
    r"[\\|`\[\]]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\*(?=[*\w])|~(?=~)|(?<=:)/(?=/)|(?<=\bwww)\.|(?<=\w)@(?=\w)",
    re.IGNORECASE,
)
MARKS = "=!?~-*^"  # behind a number: see tables.py for their meaning


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
    caption: str = ""  # in a paper, in the place of title and notes
    in_full: tuple[tuple[str, str], ...] = ()  # heads that say what those in short and their legend do, if they fit
    legend: tuple[str, ...] = ()  # those of the notes that heads in full make needless
    lead: tuple[str, ...] = ()  # what must be known to read it, where the notes come after many lines


def as_text(grid: Grid, width: int, is_terminal: bool, encoding: str = "utf-8") -> str:
    """Writes it for a terminal of that many columns, with colours if it is one; columns that do not fit follow.

    Signs that the terminal's encoding does not have are told in ASCII, before anything is set in columns.
    """
    from rich.console import Console

    grid = _printable(grid, encoding)
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=is_terminal, highlight=False, markup=False, emoji=False)
    lines = [line for section in grid.sections for line in section]
    columns = [_aligned([line.cells[i] for line in lines]) for i in range(len(grid.heads))]
    names = [part for line in lines for part in re.findall(r"[^-/_ ,]+[-/_ ,]*", line.label)]
    wide = MIN_NAME if grid.left else max(MIN_NAME, min(MAX_NAME, max(map(len, names), default=0)))
    room = width - wide - 2
    in_full = _widths(grid.in_full, columns) if grid.in_full else []
    if in_full and len(_blocks(grid.in_full, grid.left, in_full, room)) == 1:
        notes = tuple(note for note in grid.notes if note not in grid.legend)
        grid = replace(grid, heads=grid.in_full, notes=notes)
    if grid.title:
        console.print(grid.title, style="bold")
    for told in grid.lead:
        console.print(told)
    widths = _widths(grid.heads, columns)
    for block in _blocks(grid.heads, grid.left, widths, room):
        for_names = width - sum(widths[i] + 2 for i in block if i not in grid.left) - 2
        console.print(_rich_table(grid, block, columns, for_names))
    for note in grid.notes:
        console.print(note)
    return "\n".join(text.rstrip() for text in stream.getvalue().split("\n")).lstrip("\n")


def _printable(grid: Grid, encoding: str = "utf-8") -> Grid:
    """Gives the grid with a blank for each character that steers a terminal or ends a line; a title keeps its lines."""

    def told(text: str) -> str:
        return written_in(printable(text), encoding)

    return replace(
        grid,
        heads=tuple((told(over), told(under)) for over, under in grid.heads),
        sections=tuple(
            tuple(Line(told(line.label), tuple(map(told, line.cells)), line.tone) for line in section)
            for section in grid.sections
        ),
        notes=tuple(map(told, grid.notes)),
        lead=tuple(map(told, grid.lead)),
        in_full=tuple((told(over), told(under)) for over, under in grid.in_full),
        legend=tuple(map(told, grid.legend)),
        title=written_in(printable_lines(grid.title), encoding),
    )


def _widths(heads: Sequence[tuple[str, str]], columns: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, (*head, *column))) for head, column in zip(heads, columns, strict=True)]


def _blocks(
    heads: Sequence[tuple[str, str]], words: Sequence[int], widths: Sequence[int], room: int
) -> list[list[int]]:
    """Chooses the columns that stand side by side; columns of words are folded, and take what room there is."""
    needed = [0 if i in words else wide + 2 for i, wide in enumerate(widths)]
    blocks: list[list[int]] = [[]]
    used = 0
    for group in _under_one_head(heads):
        wide = sum(needed[i] for i in group)
        for n, i in enumerate(group):
            # A group that fits into a block is not divided.
            is_full = used + needed[i] > room or (n == 0 and used + wide > room >= wide)
            if blocks[-1] and is_full:
                blocks.append([])
                used = 0
            blocks[-1].append(i)
            used += needed[i]
    return blocks


def _under_one_head(heads: Sequence[tuple[str, str]]) -> list[list[int]]:
    """Gathers neighbouring columns with equal upper heads; a column without one is alone."""
    groups: list[list[int]] = []
    for i, (over, _) in enumerate(heads):
        if groups and over and heads[i - 1][0] == over:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _rich_table(grid: Grid, block: Sequence[int], columns: Sequence[Sequence[str]], room: int) -> RichTable:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    above = "\n" if any(grid.heads[i][0] for i in block) else ""
    table.add_column(f"{above}{grid.first}", overflow="fold", min_width=None if grid.left else min(MIN_NAME, room))
    for i in block:
        over, under = grid.heads[i]
        words = i in grid.left
        table.add_column(
            f"{over}{above}{under}", justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    styles = {"": None, "quiet": "dim", "alarm": "bold red"}
    cells = iter(zip(*(columns[i] for i in block), strict=True))
    for section in grid.sections:
        for line in section:
            label, texts = line.label if grid.left else _folded(line.label, room), next(cells)
            if any(line.cells[i] for i in block) or not any(line.cells):  # else it is in another block
                table.add_row(label, *texts, style=styles[line.tone])
        table.add_section()
    return table


def _folded(label: str, room: int) -> str:
    """Writes a name on as many lines as it needs, broken where its parts meet."""
    lines = [""]
    for part in re.findall(r"[^-/_ ,]+[-/_ ,]*|[-/_ ,]+", label):
        if lines[-1].strip() and len(lines[-1] + part.rstrip()) > max(room, MIN_NAME):
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _aligned(cells: Sequence[str]) -> list[str]:
    """Gives a column room behind the digits for its marks, so that points line up."""
    n_marks = [len(text) - len(text.rstrip(MARKS)) for text in cells]
    return [cell + " " * (max(n_marks) - n) for cell, n in zip(cells, n_marks, strict=True)]


def as_markdown(grid: Grid) -> str:
    grid = _printable(grid)
    heads = [_markdown(f"{over} {under}") for over, under in grid.heads]
    lines = [f"**{_markdown(grid.title)}**", ""] if grid.title else []
    lines += [*(f"{_markdown(line)}  " for line in grid.lead), ""] if grid.lead else []
    rule = "".join("---|" if i in grid.left else "---:|" for i in range(len(heads)))
    lines += [f"| {_markdown(grid.first)} | " + " | ".join(heads) + " |", "|---|" + rule]
    for section in grid.sections:
        lines += ["| " + " | ".join(map(_markdown, (line.label, *line.cells))) + " |" for line in section]
    return "\n".join([*lines, "", *(f"{_markdown(note)}  " for note in grid.notes)]) + "\n"


def _markdown(text: str) -> str:
    """Escapes what would end a cell, or begin HTML, code, emphasis or a link; an address is no link either."""
    return re.sub(_MARKDOWN, r"\\\g<0>", text.strip())


def as_latex(grid: Grid, made_by: str) -> str:
    """Writes a table environment with the notes as its caption, and what made it; its label is made of its title.

    Needs booktabs, graphicx and longtable.
    """
    kinds = "".join("p{0.5\\linewidth}" if i in grid.left else "r" for i in range(len(grid.heads)))
    heads = [latex_text(f"{over} {under}".strip()) for over, under in grid.heads]
    cells = [line.cells for section in grid.sections for line in section]
    columns = [_in_latex([of_line[i] for of_line in cells], i in grid.left) for i in range(len(grid.heads))]
    texts = zip(*columns, strict=True)
    bodies = [
        [" & ".join([latex_text(line.label), *next(texts)]) + r" \\" for line in section] for section in grid.sections
    ]
    body = [line for i, lines in enumerate(bodies) for line in ([r"\midrule"] if i else []) + lines]
    told = [f"{grid.title}." if grid.title else "", *grid.lead, *grid.notes]
    caption = f"{grid.caption or ' '.join(told).strip()} {made_by}."
    label = f"tab:{named}" if (named := re.sub(r"[^A-Za-z0-9]+", "-", grid.title).strip("-").lower()) else ""
    head = " & ".join([latex_text(grid.first), *heads]) + r" \\"
    needs = r"% Needs \usepackage{booktabs,graphicx,longtable}"
    has_long = len(body) > MAX_FLOAT_LINES and max(len(line.label) for of in grid.sections for line in of) > _LONG_LABEL
    first = r"p{0.33\linewidth}" if has_long and not grid.left else "l"  # no table over pages is made smaller
    return "\n".join([needs, *latex_table(latex_text(caption), label, first + kinds, [head], body), ""])


def _in_latex(cells: Sequence[str], are_words: bool) -> list[str]:
    """Writes a column; behind numbers without marks as much room as these take, so that points line up."""
    if are_words:
        return list(map(latex_text, cells))
    marks = [text[len(text.rstrip(MARKS)) :] if text.rstrip(MARKS)[-1:].isdigit() else "" for text in cells]
    longest = max(marks, key=len, default="")
    rooms = [latex_text(longest[len(of_cell) :]) if text else "" for text, of_cell in zip(cells, marks, strict=True)]
    return [latex_text(t) + (rf"\phantom{{{room}}}" if room else "") for t, room in zip(cells, rooms, strict=True)]


def latex_table(caption: str, label: str, columns: str, heads: Sequence[str], body: Sequence[str]) -> list[str]:
    """Writes a float, made smaller where it is too wide; over several pages where it is too long for one."""
    named = rf"\label{{{label}}}" if label else ""
    if len(body) - list(body).count(APART) > MAX_FLOAT_LINES:
        return [
            "% Such a table cannot stand in one of two columns: there it has pages of its own.",
            r"\csname if@twocolumn\endcsname\onecolumn\let\aftertable\twocolumn\else\let\aftertable\relax\fi",
            r"{\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{longtable}}{{{columns}}}",
            rf"\caption{{{caption}}}{named}\\",
            r"\toprule",
            *heads,
            r"\midrule",
            r"\endfirsthead",
            r"\toprule",
            *heads,
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *body,
            r"\end{longtable}}\aftertable",
        ]
    kind = "table*" if heads[-1].count(" & ") > _COLUMNS else "table"
    return [
        rf"\begin{{{kind}}}[t]",
        r"\centering",
        rf"\caption{{{caption}}}{named}",
        r"\smallskip",
        r"\footnotesize\setlength{\tabcolsep}{3pt}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *heads,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        rf"\end{{{kind}}}",
    ]
