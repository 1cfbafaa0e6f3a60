"""Samples files of the DevCV tasks, as the authors' fork of lmms-eval writes them: a line is a conversation.

Owns what a reply and a document look like there. The fork's code for these tasks was not to be had, so little is taken
for granted: replies are found wherever they may stand, and a line whose document does not hold its conversation is
counted by what the model wrote, and decided by nobody. Its wrapper turns each exception into an empty reply.

    resps, filtered_resps    [["B"]], ["B"]; of several turns [["[\\"A\\", \\"B\\"]"]], a list in a text, or a list
    doc                      an entry of the label file, with or without its pictures
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babycli.domain import IMAGE_PLACE, Answer, NoReply, Row, Text
from babycli.interop.lmms.findings import LmmsKind
from babycli.interop.lmms.sample_lines import leaves_of
from babycli.logs.fields import mapping
from babycli.logs.samples import Sample, doc_id_of
from babycli.report.findings import Finding, Kind
from babycli.report.samples import Samples, read_samples
from babycli.tasks.base import Task, texts_of
from babycli.tasks.replies import Reply
from babycli.wording import listed

_LONG = 3  # empty replies in a row that are no chance


@dataclass(frozen=True, slots=True)
class ConversationLine(Sample):
    """A line with the right answer that it states, for where its document holds no conversation."""

    target: str


def read_conversations(path: Path, task: Task, n_rows: int | None, label_rows: Sequence[Row] | None) -> Samples:
    """Reads a samples file. ``label_rows`` give the conversations that documents lack, where they may be the same."""
    read = read_samples(path, task, n_rows, lambda line, of: (_parse(line, of),))
    lines = [line for line in read.lines if isinstance(line, ConversationLine)]
    if label_rows is not None and len(label_rows) == n_rows:
        lines = [replace(line, row=_joined(line.row, label_rows[line.doc_id])) for line in lines]
    whole = [replace(line, answers=_padded(line, task)) for line in lines if not task.why_undecidable([line.row])]
    others = [line for line in lines if task.why_undecidable([line.row])]
    findings = [*read.findings, *_exceptions(task, lines)]
    if others:
        places = listed(sorted({line.doc_id for line in others}))
        detail = f"{len(others)} of {len(lines)} documents hold no whole conversation: {places}; not counted again"
        findings.append(Finding(task.name, Kind.NOT_LOOKED_AT, detail, is_grave=False))
    return Samples(
        task,
        tuple(whole),
        read.n_unread + len({line.doc_id for line in others}),
        tuple(findings),
        is_comparable=not others,
        texts=tuple(_replies(others)),
    )


def _parse(line: Mapping[str, Any], task: Task) -> ConversationLine:
    """Reads a line. Raises ValueError for one without a reply."""
    doc_id, row = doc_id_of(line), _row(mapping(line.get("doc")))
    replies = next((found for key in ("filtered_resps", "resps") if (found := _texts(line.get(key), task))), None)
    if replies is None:
        raise ValueError("holds no reply")
    target = line.get("target")
    return ConversationLine(doc_id, row, tuple(replies), target if isinstance(target, str) else "")


def _texts(logged: object, task: Task) -> list[Answer]:
    """Finds the replies: one, or one for each turn. A text that holds a list of texts stands for these."""
    leaves = leaves_of(logged)
    if len(leaves) == 1 and task.needs.n_turns > 1 and isinstance(leaves[0], str):
        inner = _as_list(leaves[0])
        leaves = leaves if inner is None else inner
    replies: list[Answer] = []
    for leaf in leaves if task.needs.n_turns > 1 else leaves[:1]:
        if leaf is None:
            replies.append(NoReply(is_beyond=False))
        elif isinstance(leaf, str | int | float) and not isinstance(leaf, bool):
            replies.append(Text(str(leaf), (), True))
    return replies


def _as_list(text: str) -> list[Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _row(doc: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the entry of a document. Where its pictures have no names, they get some; what they show does not count."""
    row = dict(doc)
    messages = row.get("conversations")
    if not isinstance(messages, list):
        return row
    names = row.get("image")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        texts = [mapping(each).get("value") for each in messages if mapping(each).get("from") == "human"]
        n = sum(text.count(IMAGE_PLACE) for text in texts if isinstance(text, str))
        row["image"] = [f"{row.get('id')} picture {i}" for i in range(1, max(n, 1) + 1)]
    return row


def _joined(row: Row, label_row: Row) -> Row:
    """Gives the entry of the label file for one without a conversation, if its id is not another's."""
    is_other = "id" in row and row["id"] != label_row.get("id")
    return row if "conversations" in row or is_other else label_row


def _padded(line: ConversationLine, task: Task) -> tuple[Answer, ...]:
    """Gives an answer for each turn: fewer replies end early, and more stand behind the last one."""
    n = sum(mapping(message).get("from") == "human" for message in line.row["conversations"])
    answers = [*line.answers[:n], *(NoReply(is_beyond=True) for _ in range(n - len(line.answers)))]
    extra = tuple(text or "" for text in texts_of(line.answers[n:]))
    last = answers[-1]
    if extra and isinstance(last, Text):
        answers[-1] = replace(last, extra=extra)
    return tuple(answers)


def _replies(lines: Iterable[ConversationLine]) -> list[Reply]:
    """Gives what was written in lines that cannot be decided; a right answer of one turn is what the line states."""
    found = []
    for line in lines:
        texts = texts_of(line.answers)
        targets = line.target.split() if len(texts) > 1 else [line.target]
        known = targets if len(targets) == len(texts) else [""] * len(texts)
        found += [
            Reply(line.doc_id, text, target) for text, target in zip(texts, known, strict=True) if text is not None
        ]
    return found


def _exceptions(task: Task, lines: Sequence[ConversationLine]) -> list[Finding]:
    """Finds replies without any character, as the fork's wrapper writes them for an exception, and how they lie."""
    texts = [(line.doc_id, text or "") for line in sorted(lines, key=lambda each: each.doc_id)
             for text in texts_of(line.answers)]  # fmt: skip
    empty = [not text for _, text in texts]
    if not any(empty):
        return []
    longest = length = end = 0
    for i, is_nothing in enumerate(empty):
        length = length + 1 if is_nothing else 0
        if length > longest:
            longest, end = length, i
    first, last = texts[end + 1 - longest][0], texts[end][0]
    detail = f'{sum(empty)} of {len(texts)} replies are "", which is what the wrapper writes for an exception; '
    if longest == 1:
        detail += f"never two in a row, the first in row {first}"
    else:
        rows = f"row {first}" if first == last else f"rows {first} to {last}"  # a row of memory has many replies
        detail += f"up to {longest} in a row, {rows}"
    return [Finding(task.name, LmmsKind.EXCEPTIONS, detail, is_grave=longest >= _LONG)]
