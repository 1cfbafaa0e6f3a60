"""The forms in which a report is written: ``--format`` takes their names.

Owns the register, and how a sheet becomes text. Never knows what a report says. Another room adds a form with
``register_form``; what writes it is imported when it is asked for, so that no command waits for it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli.wording import printable, written_in

if TYPE_CHECKING:
    from babycli.data.root import DatasetRoot
    from babycli.report.compare import Comparison
    from babycli.report.grid import Grid
    from babycli.report.item_sheets import ItemList
    from babycli.report.rows import TableRow
    from babycli.report.runs import Unread
    from babycli.report.sheet import Sheet
    from babycli.report.tables import Table

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where text will be read; a file has the width of the terminal, and no colours."""

    width: int
    has_colours: bool
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Everything:
    """All that was asked for, for a form that shows it on one page."""

    tables: Sequence[Table]
    comparisons: Sequence[Comparison]
    items: Sequence[ItemList]
    unread: Sequence[Unread]
    pictures_of: DatasetRoot | None  # whose pictures may be shown
    people: Sequence[Grid] = ()  # models beside people, a table for each task


@dataclass(frozen=True, slots=True)
class SheetForm:
    """Writes one sheet: a summary, a comparison, a breakdown or an audit."""

    name: str
    extension: str  # of a file that holds it
    write: Callable[[Sheet, Terminal], str]
    takes_audits: bool = True


@dataclass(frozen=True, slots=True)
class PageForm:
    """Writes everything at once, breakdowns included."""

    name: str
    extension: str
    write: Callable[[Everything, Say], str]


@dataclass(frozen=True, slots=True)
class ModelForm:
    """Writes the scores of one model, and refuses others: the rows that the user chose, and all that there are."""

    name: str
    extension: str
    write: Callable[[Sequence[TableRow], Sequence[TableRow], Say], str]


Form = SheetForm | PageForm | ModelForm
_forms: dict[str, Form] = {}
_DELETE = "\x7f"  # json leaves it as it is
_BEGINS_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the latter: the same in full width


def register_form(form: Form) -> None:
    """Adds a form. Raises ValueError for a name that another one has."""
    if _forms.get(form.name, form) != form:
        raise ValueError(f"there is a form {form.name!r} already")
    _forms[form.name] = form


def forms() -> Mapping[str, Form]:
    """Gives all forms by name, in the order in which they were registered."""
    return _forms


def form_of_file(path: Path) -> Form | None:
    """Gives the form that the ending of a file's name stands for, the first of several; None for any other."""
    ending = path.suffix.removeprefix(".").lower()
    return next((form for form in _forms.values() if ending and form.extension == ending), None)


def _as_text(sheet: Sheet, terminal: Terminal) -> str:
    from babycli.report import grid

    return "\n".join(
        grid.as_text(each, terminal.width, terminal.has_colours, terminal.encoding) for each in sheet.grids
    )


def _as_markdown(sheet: Sheet, terminal: Terminal) -> str:
    from babycli.report import grid

    return "\n".join(grid.as_markdown(each) for each in sheet.grids)


def _as_csv(sheet: Sheet, terminal: Terminal) -> str:
    """Writes a line per record or, of what records have in lists, a line per entry."""
    if sheet.lines is not None:
        names, records = sheet.lines.names, sheet.lines.records
    elif sheet.records:
        names = tuple(name for name, value in sheet.records[0].items() if not isinstance(value, list))
        records = sheet.records
    else:
        return ""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(_no_formula, names))
    for record in records:
        writer.writerow([_no_formula(record.get(name)) for name in names])
    return stream.getvalue()


def _no_formula(value: Any) -> Any:
    """Puts a ' before a text that a spreadsheet would run as a formula; other values stay as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_BEGINS_FORMULA) else text


def as_json(document: Any) -> str:
    """Writes JSON, in which no name steers a terminal: what is not printable is escaped, as JSON can.

    What is no Unicode in a name, as of a file that is not UTF-8, is told as ``\\udcff``.
    """
    import orjson

    from babycli.logs.json_bytes import json_bytes

    text = json_bytes(document, orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return "\n".join(line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n"))


def json_in(text: str, encoding: str) -> str:
    """Gives JSON in the characters of an encoding; others are escaped, as JSON can."""
    return text if written_in(text, encoding) == text else "".join(c if c.isascii() else _as_escape(c) for c in text)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return _as_escape(character) if character != _DELETE else "\\u007f"


def _as_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _as_json(sheet: Sheet, terminal: Terminal) -> str:
    from babycli.logs.schema import SCHEMA_VERSION

    return as_json([{"schema_version": SCHEMA_VERSION, **record} for record in sheet.records])


def _as_latex(sheet: Sheet, terminal: Terminal) -> str:
    from babycli import __version__
    from babycli.report import grid

    made_by = f"babycli {__version__}"
    return sheet.latex() if sheet.latex else "\n".join(grid.as_latex(each, made_by) for each in sheet.grids)


def _as_page(everything: Everything, say: Say) -> str:
    from babycli.report import html

    images = None if everything.pictures_of is None else html.Images(everything.pictures_of)
    page = html.page(
        everything.tables, everything.comparisons, everything.items, everything.unread, images, everything.people
    )
    if page.has_pictures:
        say(f"warning: {html.IMAGES_WARNING}")
    elif images is not None:
        say(
            f"note: no picture of {images.root.path} could be shown; the page says why beside each item. Is another "
            "folder that of the dataset, give it with  --data DIR;  trials of your own are named by  "
            "--tasks FILE.jsonl:PICTURES"
        )
    for remark in page.remarks:
        say(f"warning: {printable(remark)}")
    return page.text


def _as_model_card(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    from babycli.report import model_card

    return model_card.write(rows, every, say)


def results_on_hub(dataset: str) -> ModelForm:
    """Gives the form ``hf`` for results of a benchmark that is registered on the hub."""

    def write(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
        from babycli.report import model_card

        return model_card.write_results_of(dataset, rows, every, say)

    return ModelForm(MODEL_CARD.name, "yaml", write)


def _as_every_eval_ever(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    from babycli.report import every_eval_ever

    return every_eval_ever.write(rows, every, say)


def _as_egobabyvlm(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    from babycli.report import egobabyvlm

    return egobabyvlm.write(rows, say, egobabyvlm.Entry())


TABLE = SheetForm("table", "txt", _as_text)
LATEX = SheetForm("latex", "tex", _as_latex, takes_audits=False)
MODEL_CARD = ModelForm("hf", "md", _as_model_card)
EGOBABYVLM = ModelForm("egobabyvlm", "json", _as_egobabyvlm)
for _form in (
    TABLE,
    SheetForm("md", "md", _as_markdown),
    SheetForm("csv", "csv", _as_csv),
    SheetForm("json", "json", _as_json),
    LATEX,
    PageForm("html", "html", _as_page),
    MODEL_CARD,
    ModelForm("eee", "json", _as_every_eval_ever),
    EGOBABYVLM,
):
    register_form(_form)
