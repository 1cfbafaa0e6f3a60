"""BagIt bags, as far as a list of checksums in one needs them: its encoding, how much they say that they hold, and
which files are still to be fetched.

Owns bagit.txt, bag-info.txt and fetch.txt (RFC 8493, sections 2.1.1, 2.2.2 and 2.2.3), which it reads as bagit.py 1.9
does. Never reads a manifest (checksums.py does), and never fetches a file.
"""

from __future__ import annotations

import codecs
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.data.digests import ALGORITHMS, algorithm_named
from babycli.data.problems import Problem, ProblemKind
from babycli.errors import DataError
from babycli.files import raise_limit, read_file
from babycli.wording import all_of, shortened

PAYLOAD = "data"  # the folder that the manifests of a bag, all together, list whole
_MANIFEST_NAME = re.compile(r"(?P<tag>tag)?manifest-(?P<algorithm>[A-Za-z0-9_-]+)\.txt")
_VERSION, _ENCODING = "BagIt-Version", "Tag-File-Character-Encoding"  # of bagit.txt, in just these letters
_MEND = f"get the bag again, or mend it: a bagit.txt has the lines  {_VERSION}: 1.0  and  {_ENCODING}: UTF-8"
_VERSION_NUMBER = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII)
_FIRST_VERSION, _WITH_BAG_INFO, _BEYOND = (0, 93), (0, 96), (2,)
_OXUM = re.compile(r"(\d{1,20})\.(\d{1,20})", re.ASCII)
_ENCODINGS = re.compile(  # those of text; Python has others, which unpack or compute
    r"ascii|utf-(?:8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d+|cp\d+|koi8-[rut]|mac-roman|shift_jis|euc_(?:jp|kr)"
    r"|gb(?:2312|k|18030)|big5(?:hkscs)?"
)
_FETCH_LINE = re.compile(r"(?P<url>\S+)[ \t]+\S+[ \t]+(?P<name>.+)")  # the length between them is for who fetches it
_URL = re.compile(r"[\0-\x1f]*(?:[A-Za-z][A-Za-z0-9+.-]*://[^/\s]|file:)", re.IGNORECASE)  # as urllib.parse has it
_UNESCAPES = {"%0A": "\n", "%0D": "\r", "%25": "%"}
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Bag:
    """The bag in which a manifest lies."""

    folder: Path
    algorithm: str  # of the manifest
    encoding: str  # of the manifest and of fetch.txt, as Python names it
    lists_tags: bool  # it is a tag manifest, which need not list all files beside it, and no other tag manifest
    version: tuple[int, ...]

    @property
    def is_draft(self) -> bool:
        """Tells whether it is of a version before 1.0, in which a percent sign stands for itself."""
        return self.version < (1,)

    def lines(self, content: bytes, origin: str) -> list[str]:
        """Decodes a tag file into its lines. Raises DataError naming ``origin``, the file."""
        if self.encoding == "utf-8":
            text = os.fsdecode(content)  # names are bytes on the disk, sound UTF-8 or not
        else:
            try:
                text = content.decode(self.encoding)
            except UnicodeError as error:
                raise DataError(
                    f"{origin} is not {self.encoding}, the encoding that bagit.txt beside it says: {error}",
                    "put the encoding in bagit.txt right, or get the bag again",
                ) from error
        return _lines(text.removeprefix(BOM))

    def name(self, written: str) -> str:
        """Reads a name of a tag file: as bagit.py does, without what says nothing in a path and spaces at its end.

        A line end is %0A or %0D in it, and from version 1.0 on a percent sign %25. A name that leads out of the bag
        stays as it is, to be shown.
        """
        escapes = "%(?:0A|0D)" if self.is_draft else "%(?:0A|0D|25)"
        name = written.strip()
        normal = posixpath.normpath(name)
        name = name if normal.startswith("..") else normal
        return re.sub(escapes, lambda escaped: _UNESCAPES[escaped.group().upper()], name, flags=re.IGNORECASE)

    def payload_problem(self) -> Problem | None:
        """Compares the payload with the Payload-Oxum in bag-info.txt, if there is one: its bytes and files.

        Of several the first counts. Raises DataError for a file or value that cannot be read.
        """
        path = self.folder / ("bag-info.txt" if self.version >= _WITH_BAG_INFO else "package-info.txt")
        said = next((value for name, value in _tags(self._lines_of(path), path) if name == "Payload-Oxum"), None)
        if said is None:
            return None
        match = _OXUM.fullmatch(said)
        if match is None:
            raise DataError(
                f"{path}: Payload-Oxum {shortened(said, 60)!r} is no number of bytes and of files, as 279164409832.1198"
            )
        n_bytes = n_files = 0
        for folder, _, names in os.walk(self.folder / PAYLOAD):
            for name in names:
                try:
                    n_bytes += Path(folder, name).stat().st_size
                except OSError as error:
                    raise DataError(f"cannot read {folder}/{name}: {error.strerror}") from error
            n_files += len(names)
        if (int(match[1]), int(match[2])) == (n_bytes, n_files):
            return None
        detail = f"Payload-Oxum is {said}, bytes and files, and {PAYLOAD} holds {n_bytes}.{n_files}"
        return Problem("", ProblemKind.PAYLOAD, str(path), detail)

    def _lines_of(self, path: Path) -> list[str]:
        try:
            content = read_file(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise_limit(error)
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        return self.lines(content, str(path))

    def fetched(self) -> Mapping[str, str]:
        """Reads fetch.txt: the address of each file that the bag may lack, by name. Raises DataError."""
        path = self.folder / "fetch.txt"
        urls = {}
        for number, line in enumerate(self._lines_of(path), 1):
            if not line.strip():
                continue
            match = _FETCH_LINE.fullmatch(line.strip())
            if match is None or not _URL.match(match["url"]):
                raise DataError(f"{path}, line {number}: expected a URL, a length and a file name, got {line[:60]!r}")
            urls[self.name(match["name"])] = match["url"]
        return urls


def find_bag(manifest: Path) -> Bag | None:
    """Finds the bag that a manifest belongs to, by its name and bagit.txt beside it; None for any other list.

    Raises DataError for a bagit.txt that bagit.py refuses, and for an algorithm, encoding or version that is not known.
    """
    match = _MANIFEST_NAME.fullmatch(manifest.name)
    path = manifest.parent / "bagit.txt"
    if match is None or not os.path.lexists(path):
        return None
    algorithm = algorithm_named(match["algorithm"])
    if algorithm is None:
        raise DataError(
            f"{manifest}: the algorithm {match['algorithm']} is not known; {all_of(sorted(ALGORITHMS))} are",
            "a bag may have several manifests: give another",
        )
    try:
        content = read_file(path, 1 << 20)
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if content.startswith(codecs.BOM_UTF8):
        raise DataError(f"{path} begins with a byte-order mark, which no bag may have there", _MEND)
    said = list(_tags(_lines(content.decode("utf-8", "replace")), path))
    stated = _only(_ENCODING, said, path)
    try:
        encoding = codecs.lookup(stated).name
    except (LookupError, ValueError):
        encoding = ""
    if not _ENCODINGS.fullmatch(encoding):
        raise DataError(
            f"{path}: the encoding {shortened(stated, 60)} is not known, so the names in {manifest} cannot be read",
            "convert the manifest to UTF-8 with iconv, and name UTF-8 in bagit.txt",
        )
    encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    version = _version(_only(_VERSION, said, path), path)
    return Bag(manifest.parent, algorithm, encoding, match["tag"] is not None, version)


def _only(name: str, tags: Sequence[tuple[str, str]], path: Path) -> str:
    """Gives the value of a tag that a bagit.txt must have, once, spelled so. Raises DataError."""
    values = [value for of, value in tags if of == name]
    if len(values) != 1:
        raise DataError(f"{path} says {f'{len(values)} times' if values else 'no'} {name}", _MEND)
    return values[0]


def _version(said: str, path: Path) -> tuple[int, ...]:
    match = _VERSION_NUMBER.fullmatch(said)
    version = tuple(int(part) for part in match.groups() if part is not None) if match else ()
    if not _FIRST_VERSION <= version < _BEYOND:
        raise DataError(f"{path}: {_VERSION} {shortened(said, 60)!r}: 0.93 to 1.0 are read", _MEND)
    return version


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _tags(lines: Iterable[str], path: Path) -> Iterator[tuple[str, str]]:
    """Reads what the lines of a tag file say, in their order. Raises DataError.

    A line that begins with a space belongs to the value before it.
    """
    name, value = "", ""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line[0].isspace() and name:
            value += f"\n{line}"
            continue
        if name:
            yield name, value.strip()
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise DataError(f"{path}, line {number}: expected a name, a colon and a value, got {line[:60]!r}")
    if name:
        yield name, value.strip()
