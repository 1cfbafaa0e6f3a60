"""Checksum manifests: the text that ``sha256sum -c`` reads, and what b3sum and BagIt write.

Owns those formats. Never hashes a file, and never decides what must be in a manifest.

    sha256sum     <digest>  <name>      <digest> *<name>      SHA256 (<name>) = <digest>      with -z, a NUL ends a line
    b3sum         <digest>  <name>                            BLAKE3 (<name>) = <digest>
    sha256 -r     <digest> <name>       in every line, if in the first
    rhash         <digest>  <name>      below comments that begin with a semicolon
    openssl dgst                                              SHA256(<name>)= <digest>        SHA2-256(<name>)= <digest>
    BagIt         <digest> <name>, in manifest-<algorithm>.txt beside bagit.txt (RFC 8493)

They are read as ``sha256sum -c`` does (GNU coreutils): lines may be indented, lines with and without a tag mixed, and a
name with a backslash or a line end is escaped, in a line that begins with a backslash. Stricter than that, a line that
is none of these is an error. What Windows writes as UTF-16 is read, too.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from babycli.data.bags import BOM, Bag, find_bag
from babycli.data.digests import ALGORITHMS
from babycli.data.other_lists import what_is
from babycli.errors import DataError, UnfitFileError
from babycli.files import MAX_FILE_BYTES, in_memory, open_to_read, raise_limit, read_file

_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64})[ \t](?P<name>.+)", re.DOTALL)
_TAGGED = re.compile(
    r"(?P<tag>SHA256|SHA2-256|BLAKE3) ?\((?P<name>.+)\)[ \t]*=[ \t]*(?P<digest>[0-9a-fA-F]{64})", re.DOTALL
)
_TAGS = {"SHA256": "sha256", "SHA2-256": "sha256", "BLAKE3": "blake3"}
_BAG_LINE = re.compile(  # between both is what bagit.py takes for space, and not for the end of a line
    r"(?P<digest>[0-9a-fA-F]+)[^\S\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+\**(?P<name>.+)", re.DOTALL
)
_OPEN_FILE = re.compile(r"/dev/(?:stdin|fd/\d+)|/proc/(?:self|\d+)/fd/\d+")  # that this process has open already
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}  # as GNU coreutils: such a line begins with a backslash
_ESCAPE = re.compile(r"\\[\\nr]")
_ONLY_ESCAPES = re.compile(rf"(?:[^\\]|{_ESCAPE.pattern})*")
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}
_ESCAPED = str.maketrans(_ESCAPES)
_COMMENTS = ("#", ";")  # the second is rhash's
_ODD = ("\\", "\r", "\0", "./", "//", "/.", "#")  # a list without these has plain lines, or is read line by line


@dataclass(frozen=True, slots=True)
class Checksums:
    """The digests (hexadecimal, lower case) in a manifest by file name, in the order of its lines."""

    algorithm: str | None  # None: SHA-256 or BLAKE3, whose plain lines look the same
    by_name: Mapping[str, str]

    def best_prefix(self, names: Iterable[str], place: str) -> str | None:
        """Finds the prefix ("saycam_images/") that the manifest puts before the file names of a place.

        The manifest may have been made some folders further up. None where none of the names is listed. Among
        prefixes that fit nearly as many names as the best one, the one is taken that the path of the place ends with.
        """
        wanted: dict[str, list[str]] = {}
        for name in names:
            wanted.setdefault(name.rsplit("/", 1)[-1], []).append(name)
        n_tail = min((len(file_name) for file_name in wanted), default=0)
        tails = {file_name[-n_tail:] for file_name in wanted}
        votes: dict[str, int] = {}
        for listed in [listed for listed in self.by_name if listed[-n_tail:] in tails]:  # splits few of 600,285 names
            for name in wanted.get(listed.rsplit("/", 1)[-1], ()):
                if listed == name or listed.endswith(f"/{name}"):
                    prefix = listed[: len(listed) - len(name)]
                    votes[prefix] = votes.get(prefix, 0) + 1
        enough = 0.9 * max(votes.values(), default=0)
        likely = [prefix for prefix, n in votes.items() if n >= enough]
        rank = {prefix: (-_n_shared(prefix, place), -votes[prefix], len(prefix), prefix) for prefix in likely}
        return min(likely, key=rank.__getitem__) if likely else None


def _n_shared(prefix: str, place: str) -> int:
    """Counts the last folders that both paths have in common."""
    pairs = zip(reversed(prefix.strip("/").split("/")), reversed(place.strip("/").split("/")), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


@dataclass(frozen=True)
class ChecksumFile:
    """A manifest on disk, whose lines are read when they are first asked for."""

    path: Path
    sha256: str
    bag: Bag | None  # of a BagIt manifest; None for any other
    _content: bytes | None  # of a pipe, which can be read only once; None for a file

    @classmethod
    def open(cls, path: Path) -> ChecksumFile:
        """Opens a manifest. Raises DataError for a file that cannot be read.

        A pipe that the shell has opened, as in ``--manifest <(...)``, is read; one with a name might never be written.
        """
        bag = find_bag(path)
        try:
            content = read_open_pipe(path)
            if content is not None:
                return cls(path, hashlib.sha256(content).hexdigest(), bag, content)
            with open_to_read(path) as stream:
                size_bytes = os.fstat(stream.fileno()).st_size
                if size_bytes > MAX_FILE_BYTES:
                    raise UnfitFileError(f"it has {size_bytes:,} bytes, and at most {MAX_FILE_BYTES:,} are read", path)
                return cls(path, hashlib.file_digest(stream, "sha256").hexdigest(), bag, None)
        except OSError as error:
            raise_limit(error)
            raise _unreadable(path, error) from error

    @property
    def identity(self) -> str:
        """A text that is equal for two manifests that say the same."""
        bag = self.bag
        return self.sha256 if bag is None else f"{self.sha256} {bag.algorithm} {bag.encoding} {bag.is_draft}"

    @functools.cached_property
    def checksums(self) -> Checksums:
        """The digests in the manifest. Raises DataError naming the line that cannot be read."""
        content = self._content
        if content is None:
            try:
                content = read_file(self.path)
            except OSError as error:
                raise_limit(error)
                raise _unreadable(self.path, error) from error
            if hashlib.sha256(content).hexdigest() != self.sha256:
                raise DataError(f"the checksum manifest {self.path} changed while it was used", "run it again")
        with in_memory(self.path):
            if self.bag is not None:
                return _parse_bag(content, str(self.path), self.bag)
            return parse_checksums(content, str(self.path))


def read_open_pipe(path: Path) -> bytes | None:
    """Reads a pipe that the shell has opened for this process, as in ``<(...)``; None for anything else.

    Raises OSError for one that gives too much.
    """
    if not _OPEN_FILE.match(str(path)) or path.is_file():
        return None
    with path.open("rb") as stream:
        content = stream.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise UnfitFileError(f"it gives more than {MAX_FILE_BYTES:,} bytes", path)
    return content


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read the checksum manifest {path}: {error.strerror}")


def checksum_text(digests: Mapping[str, str]) -> bytes:
    """Writes the lines that ``sha256sum`` would write for these files; ``-`` as ``./-``, for alone it is its input."""
    lines = []
    for name, digest in digests.items():
        escaped = name.translate(_ESCAPED) if name != "-" else "./-"
        lines.append(f"{chr(92) if chr(92) in escaped else ''}{digest}  {escaped}\n")
    return os.fsencode("".join(lines))


def parse_checksums(content: bytes, origin: str) -> Checksums:
    """Reads the lines of sha256sum or b3sum. Raises DataError naming ``origin``, the file, and the malformed line."""
    content = as_on_disk(content, origin)
    text = os.fsdecode(content)
    digests = _plain_lines(text)
    if digests is not None:
        return Checksums(None, digests)
    end = "\0" if content.endswith(b"\0") else "\n"
    return _Reader(origin).read(text.removeprefix(BOM).split(end), escapes=end == "\n")


def _plain_lines(text: str) -> dict[str, str] | None:
    """Reads all lines at once (SAYCam has 600,285), if each is plain and sound; else None: read it line by line."""
    if not text.endswith("\n") or any(odd in text for odd in _ODD):
        return None
    lines = text[:-1].split("\n")
    digests = {line[66:]: line[:64] for line in lines}
    joined = "".join(digests.values())
    try:
        n_bytes = len(bytes.fromhex(joined))  # passes over spaces
    except ValueError:
        return None
    is_whole = n_bytes == 32 * len(lines) and len(joined) == 64 * len(lines) and "" not in digests
    is_plain = joined == joined.lower() and {line[64:66] for line in lines} <= {"  ", " *"}
    return digests if is_whole and is_plain else None


def as_on_disk(content: bytes, origin: str) -> bytes:
    """Gives a list as its disk would have it, where Windows PowerShell has written it as UTF-16 or UTF-32."""
    if content[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        encoding = "utf-32"
    elif content[:2] == b"\xff\xfe" or (b"\t" <= content[:1] < b"\x7f" and content[1:2] == b"\0"):
        encoding = "utf-16-le"
    elif content[:2] == b"\xfe\xff" or (content[:1] == b"\0" and b"\t" <= content[1:2] < b"\x7f"):
        encoding = "utf-16-be"
    else:
        return content
    try:
        return os.fsencode(content.decode(encoding))
    except UnicodeError as error:
        name = encoding[:6].upper()
        raise DataError(f"{origin} is {name}, and damaged: {error}", "write it again, as UTF-8") from error


def _parse_bag(content: bytes, origin: str, bag: Bag) -> Checksums:
    reader = _Reader(origin)
    for number, line in enumerate(bag.lines(content, origin), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _BAG_LINE.fullmatch(line.lstrip())
        if match is None or len(match["digest"]) != ALGORITHMS[bag.algorithm]:
            raise reader.wrong(number, f"expected a digest of {bag.algorithm} and a file name, got {line[:60]!r}")
        reader.add(number, bag.name(match["name"]), match["digest"])
    return Checksums(bag.algorithm, reader.digests)


def _listed_name(name: str) -> str:
    """Gives the normal form of a name in a list: ``./a//b`` is ``a/b``, and ``a/../b`` is ``b``.

    A name that leads out of the folder stays as it is, to be shown, and so does one with a slash at its end.
    """
    if not any(odd in name for odd in ("//", "./", "/.")) or name.endswith(("/", "/.")):
        return name
    normal = posixpath.normpath(name)
    return name if normal.startswith(("..", "/")) or normal == "." else normal


class _Reader:
    """A reader that turns lines into digests and checks each line. ``origin`` is the file, for messages."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._algorithm: str | None = None
        self._has_one_space: bool | None = None  # between digest and name; None before the first plain line
        self.digests: dict[str, str] = {}

    def read(self, lines: list[str], escapes: bool) -> Checksums:
        for number, raw in enumerate(lines, 1):
            line = raw.removesuffix("\r") if escapes else raw  # no name ends so: a carriage return in one is escaped
            line = line.lstrip(" \t")
            if not line.strip() or line.startswith(_COMMENTS):
                continue
            plain = line.removeprefix("\\") if escapes else line
            tagged = _TAGGED.fullmatch(plain)
            match = tagged or _LINE.fullmatch(plain)
            if match is None:
                what = what_is(line.rstrip())
                why = f"; {what}, and lists of SHA-256 and BLAKE3 are read" if what else ""
                raise self.wrong(number, f"expected a SHA-256 and a file name, got {line[:60]!r}{why}")
            if tagged:
                self._tag(number, _TAGS[tagged["tag"]])
            name = match["name"] if tagged else self._plain_name(number, match["name"])
            if plain != line:
                if _ONLY_ESCAPES.fullmatch(name) is None:
                    detail = "as this line begins with a backslash, one in its name is written as two"
                    raise self.wrong(number, f"{detail}, got ... {name[:60]}")
                name = _ESCAPE.sub(lambda escaped: _UNESCAPES[escaped.group()], name)
            self.add(number, _listed_name(name), match["digest"])
        return Checksums(self._algorithm, self.digests)

    def _tag(self, number: int, algorithm: str) -> None:
        if self._algorithm not in (None, algorithm):
            raise self.wrong(number, f"{algorithm} among lines of {self._algorithm}")
        self._algorithm = algorithm

    def _plain_name(self, number: int, rest: str) -> str:
        """Reads the name behind a digest and a space. Whether a second sign stands before names, the first line tells.

        If it could change from line to line, a name that begins with a space could pass for another.
        """
        has_one_space = len(rest) == 1 or rest[0] not in " *"
        if has_one_space and self._has_one_space is False:
            raise self.wrong(number, f"expected a digest, two spaces and a file name, got ... {rest[:60]!r}")
        if self._has_one_space is None:
            self._has_one_space = has_one_space
        return rest if self._has_one_space else rest[1:]

    def add(self, number: int, name: str, digest: str) -> None:
        if self.digests.setdefault(name, digest.lower()) != digest.lower():
            raise self.wrong(number, f"another digest for {name!r} than before")

    def wrong(self, number: int, detail: str) -> DataError:
        return DataError(f"{self._origin}, line {number}: {detail}")
