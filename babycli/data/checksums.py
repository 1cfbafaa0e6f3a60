"""Checksum manifests: the text that ``sha256sum -c`` reads, and what b3sum and BagIt write.

Owns those formats. Never hashes a file, and never decides what must be in a manifest.

    sha256sum   <digest>  <name>      <digest> *<name>      SHA256 (<name>) = <digest>      with -z, a NUL ends a line
    b3sum       <digest>  <name>                            BLAKE3 (<name>) = <digest>
    BagIt       <digest> <name>, in manifest-<algorithm>.txt beside bagit.txt (RFC 8493)

A name with a backslash or a line end is escaped, and its line begins with a backslash (GNU coreutils); in BagIt a line
end in a name is %0A or %0D, and a percent sign %25.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from babycli.data.digests import ALGORITHMS
from babycli.errors import DataError

_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)", re.DOTALL)
_TAGGED = re.compile(r"(?P<tag>SHA256|BLAKE3) \((?P<name>.+)\) = (?P<digest>[0-9a-fA-F]{64})", re.DOTALL)
_BAG_NAME = re.compile(r"(?:tag)?manifest-(?P<algorithm>[a-z0-9]+)\.txt")
_BAG_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]+)[ \t]+\*?(?P<name>.+)", re.DOTALL)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}  # as GNU coreutils: such a line begins with a backslash
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}
_BAG_UNESCAPES = {"%0A": "\n", "%0D": "\r", "%25": "%"}
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


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
    bag_algorithm: str | None  # of a BagIt manifest; None for any other
    _content: bytes | None  # of a pipe, which can be read only once; None for a file

    @classmethod
    def open(cls, path: Path) -> ChecksumFile:
        """Opens a manifest. Raises DataError for a file that cannot be read."""
        bag = _BAG_NAME.fullmatch(path.name)
        in_bag = bag is not None and bag["algorithm"] in ALGORITHMS and (path.parent / "bagit.txt").is_file()
        algorithm = bag["algorithm"] if bag is not None and in_bag else None
        try:
            with path.open("rb") as stream:
                if path.is_file():
                    return cls(path, hashlib.file_digest(stream, "sha256").hexdigest(), algorithm, None)
                content = stream.read()
                return cls(path, hashlib.sha256(content).hexdigest(), algorithm, content)
        except OSError as error:
            raise _unreadable(path, error) from error

    @property
    def identity(self) -> str:
        """A text that is equal for two manifests that say the same."""
        return f"{self.sha256} {self.bag_algorithm}"

    @functools.cached_property
    def checksums(self) -> Checksums:
        """The digests in the manifest. Raises DataError naming the line that cannot be read."""
        content = self._content
        if content is None:
            try:
                content = self.path.read_bytes()
            except OSError as error:
                raise _unreadable(self.path, error) from error
            if hashlib.sha256(content).hexdigest() != self.sha256:
                raise DataError(f"the checksum manifest {self.path} changed while it was used", "run it again")
        if self.bag_algorithm is not None:
            return _parse_bag(content, str(self.path), self.bag_algorithm)
        return parse_checksums(content, str(self.path))


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read the checksum manifest {path}: {error.strerror}")


def checksum_text(digests: Mapping[str, str]) -> bytes:
    """Writes the lines that ``sha256sum`` would write for these files."""
    lines = []
    for name, digest in digests.items():
        escaped = "".join(_ESCAPES.get(c, c) for c in name)
        lines.append(f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n")
    return os.fsencode("".join(lines))


def parse_checksums(content: bytes, origin: str) -> Checksums:
    """Reads the lines of sha256sum or b3sum. Raises DataError naming ``origin``, the file, and the malformed line."""
    text = os.fsdecode(content)
    digests = _plain_lines(text)
    if digests is not None:
        return Checksums(None, digests)
    end = "\0" if content.endswith(b"\0") else "\n"
    return _Reader(origin).read(text.removeprefix(_BOM).split(end), escapes=end == "\n")


def _plain_lines(text: str) -> dict[str, str] | None:
    """Reads all lines at once (SAYCam has 600,285), if each is plain and sound; else None: read it line by line."""
    if not text.endswith("\n") or any(odd in text for odd in ("\\", "\r", "\0", "./", "#")):
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


def _parse_bag(content: bytes, origin: str, algorithm: str) -> Checksums:
    reader = _Reader(origin)
    for number, line in enumerate(os.fsdecode(content).removeprefix(_BOM).replace("\r", "\n").split("\n"), 1):
        if not line:
            continue
        match = _BAG_LINE.fullmatch(line)
        if match is None or len(match["digest"]) != ALGORITHMS[algorithm]:
            raise reader.wrong(number, f"expected a digest of {algorithm} and a file name, got {line[:60]!r}")
        name = re.sub(
            "%(?:0A|0D|25)", lambda escaped: _BAG_UNESCAPES[escaped.group().upper()], match["name"], flags=re.I
        )
        reader.add(number, name, match["digest"], algorithm)
    return Checksums(algorithm, reader.digests)


class _Reader:
    """A reader that turns lines into digests and checks each line. ``origin`` is the file, for messages."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._algorithm: str | None = None
        self.digests: dict[str, str] = {}

    def read(self, lines: list[str], escapes: bool) -> Checksums:
        for number, raw in enumerate(lines, 1):
            line = raw.removesuffix("\r") if escapes else raw  # no name ends so: a carriage return in one is escaped
            if not line.strip() or line.startswith("#"):
                continue
            plain = line.removeprefix("\\") if escapes else line
            match = _TAGGED.fullmatch(plain) or _LINE.fullmatch(plain)
            if match is None:
                raise self.wrong(number, f"expected a SHA-256 and a file name, got {line[:60]!r}")
            name = match["name"]
            if plain != line:
                name = re.sub(r"\\[\\nr]", lambda escaped: _UNESCAPES[escaped.group()], name)
            tag = match.groupdict().get("tag")
            self.add(number, name, match["digest"], tag.lower() if tag else None)
        return Checksums(self._algorithm, self.digests)

    def add(self, number: int, name: str, digest: str, algorithm: str | None) -> None:
        name = name.removeprefix("./")
        if self.digests and algorithm != self._algorithm:
            raise self.wrong(number, f"{algorithm or 'plain'} among lines of another kind")
        self._algorithm = algorithm
        if self.digests.setdefault(name, digest.lower()) != digest.lower():
            raise self.wrong(number, f"another digest for {name!r} than before")

    def wrong(self, number: int, detail: str) -> DataError:
        return DataError(f"{self._origin}, line {number}: {detail}")
