"""Label files: read strictly, checked against their manifest, fetched from upstream or imported from a folder.

Owns the bytes and rows of label files. Never opens an image; what makes a trial is the tasks' knowledge.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from babycli.data.manifest import Edition, Link, Manifest
from babycli.data.names import is_safe_name
from babycli.data.problems import Problem, ProblemKind
from babycli.domain import Row
from babycli.errors import ChecksumError, DataError
from babycli.files import keep_old, write_atomically

BOM = b"\xef\xbb\xbf"
FETCH_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Labels:
    """A label file as it is: its rows as far as they could be read, and all that is wrong with it."""

    manifest: Manifest
    path: Path
    sha256: str
    edition: Edition | None  # None when the bytes are no file we know
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]

    def image_names(self, link: Link) -> list[str]:
        """The distinct names that rows look for under a link, sorted."""
        rows = (row for row in self.rows if all(row[k] == v for k, v in link.where.items()))
        return sorted({row["image"] for row in rows})


def read_labels(path: Path, manifest: Manifest) -> Labels:
    """Reads a label file. A missing file or a malformed row is a problem in the result, not an exception."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        detail = "" if missing else str(error.strerror)
        kind = ProblemKind.LABELS_MISSING if missing else ProblemKind.UNREADABLE
        return Labels(manifest, path, "", None, (), (Problem(manifest.task, kind, str(path), detail),))
    sha256 = hashlib.sha256(raw).hexdigest()
    edition = manifest.edition_of(sha256)
    lines, malformed = _parse(raw, manifest)
    problems = [Problem(manifest.task, ProblemKind.LABELS_MALFORMED, str(path), detail) for detail in malformed]
    if edition is None:
        problems.insert(0, Problem(manifest.task, ProblemKind.LABELS_CHECKSUM, str(path), _difference(raw, manifest)))
        if not malformed and len(lines) not in (manifest.n_rows, manifest.demo_n_rows):
            detail = f"{len(lines)} rows, should be {manifest.n_rows}"
            problems.append(Problem(manifest.task, ProblemKind.LABELS_MALFORMED, str(path), detail))
    problems += [
        Problem(manifest.task, ProblemKind.UNSAFE_NAME, line.row["image"], f"in line {line.number} of {path}")
        for line in lines
        if not is_safe_name(line.row["image"])
    ]
    return Labels(manifest, path, sha256, edition, tuple(line.row for line in lines), tuple(problems))


@dataclass(frozen=True, slots=True)
class _Line:
    number: int  # of the first line that the row takes: a quoted field may go over several
    row: Row


def _parse(raw: bytes, manifest: Manifest) -> tuple[list[_Line], list[str]]:
    """The rows that are whole, and what is wrong with the others."""
    try:
        text = raw.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        return [], [f"not UTF-8 at byte {error.start}"]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[_Line] = []
    wrong: list[str] = []
    try:
        header = next(reader, [])
        lacking = [column for column in manifest.columns if column not in header]
        if lacking:
            what = f"column {lacking[0]} is" if len(lacking) == 1 else f"columns {', '.join(lacking)} are"
            return [], [f"the {what} missing; the header is {','.join(header)!r}"]
        before = reader.line_num
        for fields in reader:
            number, before = before + 1, reader.line_num
            if len(fields) != len(header):
                wrong.append(f"line {number} has {len(fields)} fields, should have {len(header)}")
                continue
            row = dict(zip(header, fields, strict=True))
            empty = [column for column in manifest.columns if not row[column].strip()]
            if empty:
                wrong.append(f"line {number} has nothing in {', '.join(empty)}")
                continue
            lines.append(_Line(number, row))
    except csv.Error as error:
        wrong.append(f"line {reader.line_num}: {error}")
    return lines, wrong


def _difference(raw: bytes, manifest: Manifest) -> str:
    """Why the digest is another: a named harmless-looking cause where there is one."""

    def known(candidate: bytes) -> bool:
        return manifest.edition_of(hashlib.sha256(candidate).hexdigest()) is not None

    if known(raw.replace(b"\r\n", b"\n")):
        return "its line ends are CRLF, should be LF; an editor or git changed them"
    if known(raw.removeprefix(BOM)):
        return "it begins with a byte-order mark; an editor or spreadsheet put it there"
    if known(raw.removeprefix(BOM).replace(b"\r\n", b"\n")):
        return "it begins with a byte-order mark and its line ends are CRLF; a spreadsheet saved it"
    return f"its SHA-256 is {hashlib.sha256(raw).hexdigest()[:16]}…, should be {manifest.sha256[:16]}…"


def get_labels(dataset: Path, manifests: Sequence[Manifest], source: Path | None, replace: bool) -> Mapping[str, str]:
    """Puts label files into a dataset folder, from upstream or from ``source``; all that are needed or none.

    Without ``source``, missing files are fetched, and with ``replace`` also those that are not the published ones.
    With it, every file that differs is taken from there. What is replaced is kept beside it as ``<name>.old``.
    Returns what was done, by task: "already there", "fetched" or "copied". Raises ChecksumError for a file that is
    not what the manifest says, DataError where one cannot be had.
    """
    current = {m.task: read_labels(dataset / m.label_path, m) for m in manifests}
    needed = [m for m in manifests if source is not None or _must_fetch(current[m.task], current.values(), replace)]
    origin = "upstream" if source is None else str(source)
    contents = {m.task: _checked(_fetch(m) if source is None else _import(source, m), m, origin) for m in needed}
    editions = {m.edition_of(hashlib.sha256(contents[m.task]).hexdigest()) for m in needed}
    editions |= {current[m.task].edition for m in manifests if m not in needed} - {None}
    if len(editions) > 1:
        raise DataError(
            f"{dataset} would mix label files of the demo with those of SAYCam",
            "use another dataset folder:  --data DIR",
        )
    done = dict.fromkeys(current, "already there")
    for m in needed:
        if current[m.task].sha256 == hashlib.sha256(contents[m.task]).hexdigest():
            continue
        keep_old(dataset / m.label_path)
        write_atomically(dataset / m.label_path, contents[m.task])
        done[m.task] = "fetched" if source is None else "copied"
    return done


def _must_fetch(labels: Labels, all_labels: Iterable[Labels], replace: bool) -> bool:
    is_missing = any(problem.kind == ProblemKind.LABELS_MISSING for problem in labels.problems)
    all_demo = {each.edition for each in all_labels} == {"demo"}
    return is_missing or (replace and not all_demo and labels.edition != "saycam")


def _checked(raw: bytes, manifest: Manifest, origin: str) -> bytes:
    if manifest.edition_of(hashlib.sha256(raw).hexdigest()) is None:
        raise ChecksumError(
            f"the label file {manifest.label_path} from {origin} is not the published: {_difference(raw, manifest)}",
            f"take {manifest.upstream_path} of {manifest.repository} at commit {manifest.commit[:7]}",
        )
    return raw


def _import(source: Path, manifest: Manifest) -> bytes:
    """From a folder of label files, a dataset folder, or a checkout of the upstream repository."""
    name = PurePosixPath(manifest.label_path).name
    for candidate in (source / manifest.label_path, source / manifest.upstream_path, source / name):
        if candidate.is_file():
            try:
                return candidate.read_bytes()
            except OSError as error:
                raise DataError(f"cannot read {candidate}: {error.strerror}") from error
    raise DataError(
        f"no label file {name} in {source}: looked for {manifest.label_path}, {manifest.upstream_path} and {name}",
        f"give the dataset folder of a checkout of {manifest.repository}",
    )


def _fetch(manifest: Manifest) -> bytes:
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(manifest.url, timeout=FETCH_TIMEOUT_S) as response:
            raw: bytes = response.read()
            return raw
    except (OSError, HTTPException) as error:  # URLError and TimeoutError are OSErrors
        raise DataError(
            f"cannot fetch the label file {manifest.label_path} from {manifest.url}: {getattr(error, 'reason', error)}",
            f"without network: clone {manifest.repository} elsewhere and run  babycli data labels --from PATH/dataset",
        ) from error
