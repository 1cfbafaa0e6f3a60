"""Lists of checksums and bags, sound and damaged: read as ``sha256sum -c`` and bagit.py read them, or refused.

A line that sha256sum takes has the file, and the verdict on it, that sha256sum gives. A bag that bagit.py calls valid
is valid, but for lines that it passes over; and one that is valid bagit.py calls so, but for what _LENIENT says.
"""

from __future__ import annotations

import codecs
import functools
import hashlib
import logging
import os
import posixpath
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import bagit
from fuzz_target import Target, commanded, damaged

from babycli.data.checksums import ChecksumFile, Checksums
from babycli.errors import DataError

_FILES = {
    name: name.encode("utf-8", "surrogateescape") * 2
    for name in (
        *("a.jpg", "b.jpg", "sub/a.jpg", "sub/two words.jpg", "é.jpg", "cafe\u0301.jpg", "\udcff.jpg", "p%40.jpg"),
        *(" lead.jpg", "*star.jpg", "(x).jpg", "x) = y", "back\\slash", "line\nend", "cr\rend", "end ", "SHA256 (a)"),
    )
}
_PAYLOAD = {f"data/{name}": _FILES[name] for name in ("a.jpg", "sub/a.jpg", "é.jpg", "sub/two words.jpg", "p%40.jpg")}
_MARK = b"\n-- next --\n"  # between the files of a bag, in a case
_ENCODINGS = ("UTF-8", "utf-8", "UTF8", "ISO-8859-1", "windows-1252", "UTF-16", "UTF-16LE", "ASCII", "shift_jis")
_UNESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_LENIENT = (  # what bagit.py refuses, and babycli reads all the same: words of its errors
    *(
        "Unsupported bag version",
        "Bag version numbers",
        "Missing required tag",
        "invalid tag",
        "byte-order mark",
        "can't decode",
    ),
    *("multiple times with the same value", "not enough values to unpack", "object has no attribute", "must be str"),
)


def _digest(rng: Random, content: bytes, algorithm: str = "sha256") -> str:
    """Gives a digest, now and then a wrong one, and now and then in capitals."""
    right = hashlib.new(algorithm, content if rng.random() < 0.9 else b"other").hexdigest()
    return right if rng.random() < 0.95 else right.upper()


def _odd_form(rng: Random, name: str) -> str:
    if rng.random() < 0.8:
        return name
    return rng.choice((f"./{name}", name.replace("/", "//"), f"sub/../{name}", f"/{name}", f"../x/{name}", f"{name}/"))


def _gnu(line: Callable[[str, str], str]) -> Callable[[str, str], str]:
    """Makes a line escape its name as GNU coreutils do."""

    def escaped(digest: str, name: str) -> str:
        plain = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return ("\\" if plain != name else "") + line(digest, plain)

    return escaped


_LINES: tuple[Callable[[str, str], str], ...] = (
    _gnu(lambda digest, name: f"{digest}  {name}"),
    _gnu(lambda digest, name: f"{digest} *{name}"),
    _gnu(lambda digest, name: f"SHA256 ({name}) = {digest}"),
    lambda digest, name: f"SHA256 ({name}) = {digest}",
    lambda digest, name: f"SHA256({name})= {digest}",
    lambda digest, name: f"SHA2-256({name})= {digest}",
    lambda digest, name: f"{digest} {name}",
    lambda digest, name: f"{digest}\t{name}",
    lambda digest, name: f"  {digest}  {name}",
    lambda digest, name: f"\t \\{digest} *{name}",
    lambda digest, name: f"MD5 ({name}) = {digest[:32]}",
    lambda digest, name: f"BLAKE3 ({name}) = {digest}",
    lambda digest, name: "# a comment",
    lambda digest, name: "",
)


def _list(rng: Random) -> bytes:
    usual = rng.choice(_LINES[:9])
    lines = []
    for name in rng.sample(sorted(_FILES), rng.randrange(len(_FILES))):
        write = usual if rng.random() < 0.9 else rng.choice(_LINES)
        lines.append(write(_digest(rng, _FILES[name]), _odd_form(rng, name)))
    end = rng.choice(("\n", "\n", "\n", "\n", "\r\n", "\0"))
    text = end.join(lines) + (end if rng.random() < 0.9 else "")
    if rng.random() < 0.05:
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig")), "replace")
    return text.encode("utf-8", "surrogateescape")


def _bag(rng: Random, samples: Sequence[bytes]) -> bytes:
    """Gives algorithm, bagit.txt, manifest, fetch.txt and tag manifest in one."""
    algorithm = rng.choice(("sha256", "sha512", "md5", "sha1"))
    encoding = rng.choice(_ENCODINGS) if rng.random() < 0.5 else "UTF-8"
    version = rng.choice(("0.97", "0.97", "1.0", "2.0"))
    lines = []
    for name, content in _PAYLOAD.items():
        gap = rng.choice((" ", "  ", "  ", "\t", " *"))
        lines.append(f"{_digest(rng, content, algorithm)}{gap}{_odd_form(rng, name)}")
    if rng.random() < 0.1:
        lines += rng.choice((["# a comment"], [""], lines[:1], ["x"]))
    ends = rng.choice(("\n", "\n", "\r\n", "\r"))
    bagit_txt = f"BagIt-Version: {version}\nTag-File-Character-Encoding: {encoding}\n".encode()
    manifest = (ends.join(lines) + ends).encode(codecs.lookup(encoding).name, "replace")
    fetch = rng.choice((b"", b"", b"https://example.org/x 5 data/a.jpg\n", b"x 5 data/a.jpg\n", b"http://h/x - ../y\n"))
    parts = [bagit_txt, manifest, fetch]
    if rng.random() < 0.5:
        at = rng.randrange(3)
        parts[at] = damaged(rng, parts[at], samples)
    tags = {"bagit.txt": parts[0], f"manifest-{algorithm}.txt": parts[1]}
    tag_lines = [f"{_digest(rng, content, algorithm)}  {name}\n" for name, content in tags.items()]
    tag_manifest = "".join(tag_lines).encode(codecs.lookup(encoding).name)
    if rng.random() < 0.1:
        tag_manifest = damaged(rng, tag_manifest, samples)
    return _MARK.join([algorithm.encode(), *parts, tag_manifest])


def _samples() -> list[bytes]:
    rng = Random(1)
    return [_list(rng) for _ in range(20)] + [b"  data/\xff\n%0A%0D%25 = (\\n) #"]


def _damaged(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
    if rng.random() < 0.3:
        return _bag(rng, samples)
    content = _list(rng)
    return damaged(rng, content, samples) if rng.random() < 0.5 else content


def _attempt(content: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="babycli-fuzz-manifests-") as name:
        folder = Path(name)
        parts = content.split(_MARK)
        if len(parts) == 5:
            return _wrong_bag(folder / "bag", *parts)
        (folder / "list").write_bytes(content)
        _write(folder / "source", _FILES)
        return _wrong_list(folder, content)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _wrong_list(folder: Path, content: bytes) -> str:
    try:
        ours = ChecksumFile.open(folder / "list").checksums
    except DataError as error:
        ours = None
        refusal = error.message
    code = commanded("data", "verify", folder / "source", "--manifest", folder / "list", "--data", folder / "data")
    if code not in (0, 3, 4) or (ours is None and code != 3):
        return f"verify ended with {code}"
    if shutil.which("sha256sum") is None or _is_wide(content):
        return ""
    theirs, n_improper = _sha256sum_s(folder)
    n_blank = sum(not line.strip() for line in content.split(b"\n"))
    if ours is None:
        is_doubtful = "another digest" in refusal or "blake3" in refusal.lower()
        return f"sha256sum reads it; babycli says {refusal}" if theirs and not n_improper and not is_doubtful else ""
    if n_improper > n_blank and ours.algorithm is None:
        return f"babycli reads {len(ours.by_name)} names, and sha256sum finds {n_improper} improper lines"
    wrong = _wrong_names(ours, theirs)
    if not wrong and code != 0 and set(theirs) == set(_FILES) and set(theirs.values()) == {"OK"}:
        return f"sha256sum finds nothing wrong, and verify ended with {code}"
    return wrong


def _is_wide(content: bytes) -> bool:
    """Tells whether a list has what babycli alone reads: UTF-16, a byte-order mark, NUL at line ends."""
    return b"\0" in content or content.startswith((b"\xff\xfe", b"\xfe\xff", codecs.BOM_UTF8))


def _wrong_names(ours: Checksums, theirs: dict[str, str]) -> str:
    """Compares the verdicts on each file; ``theirs`` has sha256sum's by the name as it is listed."""
    by_normal = {_normal(name): digest for name, digest in ours.by_name.items()}
    for name, verdict in theirs.items():
        content = _FILES.get(_normal(name))
        is_same = content is not None and by_normal.get(_normal(name)) == hashlib.sha256(content).hexdigest()
        if verdict != "OK" and ".." in name.split("/"):
            continue  # through a folder that is not there: no system finds it, and babycli need not look
        if is_same != (verdict == "OK") and (verdict == "OK" or content is not None):
            return f"{name!r} is {verdict} to sha256sum, and babycli has {by_normal.get(_normal(name))}"
    return ""


def _normal(name: str) -> str:
    return posixpath.normpath(name) + ("/" if name.endswith(("/", "/.")) else "")


def _sha256sum_s(folder: Path) -> tuple[dict[str, str], int]:
    """Gives sha256sum's verdict on each name, and how many lines it finds improper."""
    words = ["sha256sum", "--check", "--strict", "../list"]
    ran = subprocess.run(
        words, check=False, cwd=folder / "source", stdin=subprocess.DEVNULL, capture_output=True, env={"LC_ALL": "C"}
    )
    verdicts = {}
    for line in os.fsdecode(ran.stdout).split("\n")[:-1]:
        name, _, verdict = line.rpartition(": ")
        if name.startswith("\\"):
            name = re.sub(r"\\[\\nr]", lambda escaped: _UNESCAPES[escaped.group()], name[1:])
        verdicts[name] = verdict
    found = re.search(rb"(\d+) lines? (?:is|are) improperly", ran.stderr)
    return verdicts, int(found[1]) if found else 0


def _wrong_bag(bag: Path, algorithm: bytes, bagit_txt: bytes, manifest: bytes, fetch: bytes, tags: bytes) -> str:
    name = f"manifest-{algorithm.decode()}.txt"
    _write(bag, _PAYLOAD)
    files = {"bagit.txt": bagit_txt, name: manifest, f"tag{name}": tags} | ({"fetch.txt": fetch} if fetch else {})
    _write(bag, files)
    verify = functools.partial(commanded, "data", "verify", bag, "--data", bag.parent / "data", "--manifest")
    codes = [verify(bag / name), verify(bag / f"tag{name}")]
    if set(codes) - {0, 3, 4}:
        return f"verify ended with {codes}"
    theirs = _bagit_s(bag)
    is_right = not any(codes)
    if is_right and theirs and not any(words in theirs for words in _LENIENT):
        return f"verify finds nothing wrong with a bag of which bagit.py says {theirs}"
    if not theirs and not is_right and not _passes_over(bag, [manifest, tags, fetch]):
        return f"bagit.py calls it valid, and verify ended with {codes}"
    return ""


def _passes_over(bag: Path, tag_files: Sequence[bytes]) -> bool:
    """Tells whether bagit.py passes over a part of these files: a line of one word, or half a character at the end."""
    try:
        texts = [content.decode(bagit.Bag(str(bag)).encoding) for content in tag_files]
    except UnicodeError:
        return True
    return any(len(line.split()) == 1 for text in texts for line in text.splitlines())


def _bagit_s(bag: Path) -> str:
    """Gives what bagit.py finds wrong with a bag, "" for nothing."""
    logging.disable()
    try:
        bagit.Bag(str(bag)).validate()
    except Exception as error:  # noqa: BLE001  # not all that it raises is a BagError
        return f"{type(error).__name__} {error}"
    return ""


TARGET = Target("manifests", _samples, _attempt, _damaged)
