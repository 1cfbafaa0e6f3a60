"""Names of any kind survive, and it does not matter whether files lie in a folder or in a zip."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babycli.cli import main
from babycli.data.checksums import checksum_text, parse_checksums
from babycli.data.images import FolderStore, ImageStore, open_store
from tests.data.zipped import write_zip

ODD = st.sampled_from(
    [b" ", b"\n", b"\r", b"\\", b"\\n", b"\xff", b"\xc3\xa9", b"e\xcc\x81", b"*", b"#", b"%0A", b"a", b"Z", b"."]
)
PART = st.one_of(st.lists(ODD, min_size=1, max_size=6).map(b"".join), st.binary(min_size=1, max_size=20)).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
)
NAME = st.lists(PART, min_size=1, max_size=3).map(b"/".join).map(os.fsdecode)
TREE = st.dictionaries(NAME, st.binary(max_size=300), min_size=1, max_size=8)
SETTINGS = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def is_tree(names: dict[str, bytes]) -> bool:
    """No name is a folder of another, nor the same as another to a disk that folds them."""
    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    is_folder = {each[:i] for each in folded for i, character in enumerate(each) if character == "/"}
    return len(set(folded)) == len(folded) and not is_folder.intersection(folded)


@contextmanager
def folder_of(tree: dict[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tree"
        for name, content in tree.items():
            try:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            except OSError:
                pytest.skip("this file system has not all names")
        yield folder


@SETTINGS
@given(st.dictionaries(NAME, st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=8))
def test_a_list_survives_being_written_and_read(digests: dict[str, str]) -> None:
    assert parse_checksums(checksum_text(digests), "list").by_name == digests


@SETTINGS
@given(TREE.filter(is_tree))
def test_a_folder_agrees_with_its_own_manifest(tree: dict[str, bytes]) -> None:
    with folder_of(tree) as folder:
        listing = folder.with_name("list")
        assert main(["data", "manifest", str(folder), "-o", str(listing)]) == 0
        expected = {name: hashlib.sha256(content).hexdigest() for name, content in tree.items()}
        assert parse_checksums(listing.read_bytes(), "list").by_name == expected
        words = ["data", "verify", str(folder), "--manifest", str(listing), "--no-index"]
        assert main(words) == 0
        name = min(tree)
        (folder / name).write_bytes(tree[name] + b"!")
        assert main(words) in (3, 4)  # one that begins as a JPEG is called truncated


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
@SETTINGS
@given(TREE.filter(is_tree).filter(lambda tree: not any("\r" in name for name in tree)))
def test_sha256sum_agrees_with_a_manifest(tree: dict[str, bytes]) -> None:
    """A carriage return is escaped by newer coreutils only."""
    with folder_of(tree) as folder:
        assert main(["data", "manifest", str(folder), "-o", str(folder.with_name("list"))]) == 0
        words = ["sha256sum", "-c", "--strict", "--quiet", "../list"]
        assert subprocess.run(words, cwd=folder, check=False).returncode == 0


@SETTINGS
@given(TREE.filter(is_tree), st.booleans())
def test_a_zip_is_as_good_as_its_folder(tree: dict[str, bytes], is_deflated: bool) -> None:
    with folder_of(tree) as folder:
        write_zip(tree, folder.with_name("zip"), is_deflated)
        stores: list[ImageStore] = [FolderStore(folder), open_store(folder.with_name("zip"), [])]
        names = sorted(tree)
        for store in stores:
            assert store.scan() == (names, [])
            assert [store.read(name) for name in names if tree[name]] == [tree[name] for name in names if tree[name]]
            problems = [store.problem(name) for name in names]
            assert [problem.kind if problem else "" for problem in problems] == [
                "" if tree[name] else "Empty" for name in names
            ]
            assert [d for d, _ in store.digests(names, "sha256")] == [
                hashlib.sha256(tree[name]).hexdigest() for name in names
            ]
