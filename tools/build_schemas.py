"""Writes docs/schemas/: the JSON Schemas (2020-12) of a run's files, of the records of a report, and of own trials.

They are made from the types in babycli/logs/documents.py, babycli/report/record_types.py and
babycli/tasks/trials/trial.py.

python tools/build_schemas.py            writes the files
python tools/build_schemas.py --check    exits 1 if what is committed differs
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from babycli.data.overlap_file import OVERLAP_SCHEMA, Overlap
from babycli.logs.documents import FieldsOf, OutcomesFile, ResultsFile, RunFile, SampleLine
from babycli.logs.schema import SCHEMA_VERSION
from babycli.report.record_types import Report
from babycli.tasks.trials.trial import SaidTurn, TrialLine, WrittenOption
from babycli.typed import Keywords

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"
DOCUMENTS = {
    "run": RunFile,
    "results": ResultsFile,
    "outcomes": OutcomesFile,
    "sample": SampleLine,
    "report": Report,
    "overlap": Overlap,
    "trial": TrialLine,
}
CLOSED = (TrialLine, SaidTurn, WrittenOption)  # what a user writes: a key that is none is a mistake
_VERSIONS = {"overlap": OVERLAP_SCHEMA}  # of documents that are no part of a run, nor of its report
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}

Schema = dict[str, Any]


def schema_of(name: str, document: Any) -> Schema:
    """Makes the schema of a document, with those of the objects in it under ``$defs``."""
    parts: dict[str, Schema] = {}
    whole = _of_fields(document, parts) if is_typeddict(document) else _of(document, parts)
    number = _VERSIONS.get(name, SCHEMA_VERSION)
    heading = {
        "$schema": DIALECT,
        "$id": f"urn:babycli:schema:{name}:{number}",
        "title": f"babycli {name}, version {number}",
    }
    return heading | whole | {"$defs": dict(sorted(parts.items()))}


def _of(kind: Any, parts: dict[str, Schema], is_open: bool = False) -> Schema:
    """Makes the schema of a value of a type; objects are added to ``parts``, and referred to.

    With ``is_open``, dataclasses may have fields that this babycli does not know.
    """
    of, inner = get_origin(kind), get_args(kind)
    if of is Annotated:
        return _of_marked(inner[0], inner[1:], parts)
    if of is NotRequired:
        return _of(inner[0], parts)
    if of in (types.UnionType, Union):
        return {"anyOf": [_of(each, parts, is_open) for each in inner]}
    if of is Literal:
        return {"enum": list(inner)}
    if of is Mapping:
        return {"type": "object", "additionalProperties": _of(inner[1], parts, is_open)}
    if of is list or (of is tuple and inner[-1] is ...):
        return {"type": "array", "items": _of(inner[0], parts, is_open)}
    if of is tuple:
        entries = [_of(each, parts, is_open) for each in inner]
        return {"type": "array", "prefixItems": entries, "items": False, "minItems": len(entries)}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [str(each) for each in kind]}
    if is_typeddict(kind):
        return _kept(kind.__name__, lambda: _of_fields(kind, parts), parts)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _of_dataclass(FieldsOf(kind, is_open=is_open), parts)
    return {} if kind is Any else {"type": _PLAIN[kind]}


def _of_marked(kind: Any, marks: tuple[Any, ...], parts: dict[str, Schema]) -> Schema:
    schema = _of(kind, parts)
    for mark in marks:
        if isinstance(mark, FieldsOf):
            schema = _of_dataclass(mark, parts)
        elif isinstance(mark, Keywords):
            schema = {**schema, **mark.keywords}
    return schema


def _kept(name: str, make: Callable[[], Schema], parts: dict[str, Schema]) -> Schema:
    if name not in parts:
        parts[name] = {}  # it may hold others of its kind
        parts[name] = make()
    return {"$ref": f"#/$defs/{name}"}


def _of_fields(kind: Any, parts: dict[str, Schema]) -> Schema:
    """Makes the schema of a TypedDict; fields that a later version adds may be there, unless it is one of CLOSED."""
    fields = get_type_hints(kind, include_extras=True)
    properties = {name: _of(of, parts) for name, of in fields.items()}
    required = [name for name, of in fields.items() if get_origin(of) is not NotRequired]
    closed = {"additionalProperties": False} if kind in CLOSED else {}
    return {**_described(kind), "type": "object", "properties": properties, "required": required, **closed}


def _of_dataclass(mark: FieldsOf, parts: dict[str, Schema]) -> Schema:
    """Makes the schema of an object that is read into a dataclass; functions are in no document."""
    hints, none = get_type_hints(mark.kind, include_extras=True), dataclasses.MISSING
    fields = [
        field
        for field in dataclasses.fields(mark.kind)
        if field.name not in mark.without and not _is_function(hints[field.name])
    ]

    def make() -> Schema:
        return {
            **_described(mark.kind),
            "type": "object",
            "properties": {field.name: _of(hints[field.name], parts, mark.is_open) for field in fields},
            "required": [f.name for f in fields if f.default is none and f.default_factory is none],
            **({} if mark.is_open else {"additionalProperties": False}),
        }

    return _kept(mark.kind.__name__, make, parts)


def _is_function(kind: Any) -> bool:
    return any(get_origin(each) is Callable for each in (kind, *get_args(kind)))


def _described(kind: type) -> Schema:
    """Gives the first paragraph of a docstring as a description; nothing for one that Python wrote."""
    words = (kind.__doc__ or "").partition("\n\n")[0]
    is_written = words and words != dict.__doc__ and not words.startswith(f"{kind.__name__}(")
    return {"description": " ".join(words.split())} if is_written else {}


def main() -> int:
    """Writes the files, or says which of them are stale."""
    made = {
        FOLDER / f"{name}.schema.json": json.dumps(schema_of(name, kind), indent=2, ensure_ascii=False) + "\n"
        for name, kind in DOCUMENTS.items()
    }
    if "--check" not in sys.argv:
        FOLDER.mkdir(exist_ok=True)
        for path, text in made.items():
            path.write_text(text)
        return 0
    stale = [path.name for path, text in made.items() if not path.is_file() or path.read_text() != text]
    for name in stale:
        print(f"stale: docs/schemas/{name}; run  python tools/build_schemas.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
