"""What sha256sum, b3sum and BagIt write is read; what is malformed is named, never skipped."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import blake3
import pytest

from babycli.data.checksums import ChecksumFile, Checksums, checksum_text
from babycli.errors import DataError
from tests.conftest import Babycli

pytestmark = pytest.mark.usefixtures("empty_folder")

A, B = "a" * 64, "b" * 64
FILES = {"one.jpg": b"1", "sub/two words.jpg": b"22", "p%40.jpg": b"333", "é.jpg": b"4444", "line\nend.jpg": b"5"}


def read(content: bytes, name: str = "list") -> Checksums:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content)
    return ChecksumFile.open(Path(name)).checksums


@pytest.fixture
def source() -> Path:
    for name, content in FILES.items():
        Path("source", name).parent.mkdir(parents=True, exist_ok=True)
        Path("source", name).write_bytes(content)
    return Path("source")


def compared(babycli: Babycli, manifest: Path | str) -> int:
    """Exit code of comparing the source with a list, which a changed file must turn into 4."""
    code = babycli("data", "verify", "source", "--manifest", manifest).code
    Path("source/one.jpg").write_bytes(b"2")
    assert babycli("data", "verify", "source", "--manifest", manifest).code == 4
    return code


@pytest.mark.parametrize("option", ["--text", "--binary", "--tag", "--zero"])
@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum(babycli: Babycli, source: Path, option: str) -> None:
    words = ["sha256sum", option, *sorted(FILES)]
    Path("list").write_bytes(subprocess.run(words, cwd=source, check=True, capture_output=True).stdout)
    assert compared(babycli, "list") == 0


@pytest.mark.parametrize("form", ["{digest}  {name}\n", "BLAKE3 ({name}) = {digest}\n"])
def test_b3sum(babycli: Babycli, source: Path, form: str) -> None:
    """Its plain lines look like sha256sum's: the files tell which they are."""
    lines = []
    for name, content in FILES.items():
        escaped = name.replace("\n", "\\n")
        line = form.format(digest=blake3.blake3(content).hexdigest(), name=escaped)
        lines.append(("\\" if escaped != name else "") + line)
    Path("list").write_text("".join(lines))
    assert compared(babycli, "list") == 0


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("gap", [" ", "  ", "\t"])
def test_bagit(babycli: Babycli, source: Path, algorithm: str, gap: str) -> None:
    bag = Path("bag")
    bag.mkdir()
    source.rename(bag / "data")
    Path("source").symlink_to("bag/data")
    (bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    lines = []
    for name, content in FILES.items():
        quoted = name.replace("%", "%25").replace("\n", "%0A")
        lines.append(f"{hashlib.new(algorithm, content).hexdigest()}{gap}data/{quoted}\n")
    (bag / f"manifest-{algorithm}.txt").write_text("".join(lines))
    assert compared(babycli, bag / f"manifest-{algorithm}.txt") == 0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(f"{A}  x\r\n{B}  y\r\n", {"x": A, "y": B}, id="CRLF"),
        pytest.param(f"\N{ZERO WIDTH NO-BREAK SPACE}{A}  x\n", {"x": A}, id="byte-order mark"),
        pytest.param(f"# made by hand\n\n{A}  x\n", {"x": A}, id="comment"),
        pytest.param(f"{A.upper()} *x\n", {"x": A}, id="upper case, binary"),
        pytest.param(f"{A}  x", {"x": A}, id="no last line end"),
        pytest.param(f"{A}  ./x\n{B}  ./y/z\n", {"x": A, "y/z": B}, id="from find"),
        pytest.param(f"{A}  x\n{A}  x\n", {"x": A}, id="twice the same"),
        pytest.param(f"\\{A}  a\\\\b\\nc\\rd\n", {"a\\b\nc\rd": A}, id="escaped"),
        pytest.param(f"{A}  a\\nb\n", {"a\\nb": A}, id="a backslash in a line that is not escaped"),
        pytest.param(f"{A}  a\nb\0{B}  c\0", {"a\nb": A, "c": B}, id="NUL at line ends"),
        pytest.param(f"{A}  /abs/x\n", {"/abs/x": A}, id="absolute"),
        pytest.param("", {}, id="empty"),
    ],
)
def test_how_a_list_is_read(content: str, expected: dict[str, str]) -> None:
    assert dict(read(content.encode()).by_name) == expected


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (f"{A}  x\nhello\n", "line 2"),
        (f"{A}  x\n{B[1:]}  y\n", "line 2"),
        (f"{A}  x\n{B}  x\n", "line 2: another digest for 'x'"),
        (f"{A}  x\nSHA256 (y) = {B}\n", "line 2"),
        (f"SHA256 (y) = {B}\nBLAKE3 (x) = {B}\n", "line 2"),
        (f"{A}  \n", "line 1"),
        (f"{A} x\n", "line 1"),
        (f"{'g' * 64}  x\n", "line 1"),
    ],
)
def test_a_line_that_is_malformed_is_named(content: str, complaint: str) -> None:
    with pytest.raises(DataError, match=f"list, {complaint}"):
        read(content.encode())


@pytest.mark.parametrize("line", [f"{A} data/x", "x" * 32 + " data/x", f"{'d' * 31} data/x", "d" * 32])
def test_a_line_that_is_malformed_in_a_bag_is_named(line: str) -> None:
    Path("bag").mkdir()
    Path("bag/bagit.txt").touch()
    with pytest.raises(DataError, match="line 2"):
        read(f"{'0' * 32}  data/y\n{line}\n".encode(), "bag/manifest-md5.txt")


@pytest.mark.parametrize("name", ["../outside.jpg", "sub/../../outside.jpg", "/outside.jpg"])
def test_a_name_that_leads_out_is_named_and_never_followed(babycli: Babycli, source: Path, name: str) -> None:
    Path("outside.jpg").write_bytes(b"out")
    digests = {n: hashlib.sha256(content).hexdigest() for n, content in FILES.items()}
    digests[name] = hashlib.sha256(b"out").hexdigest()
    Path("list").write_bytes(checksum_text(digests))
    ran = babycli("data", "verify", "source", "--manifest", "list")
    assert ran.code == 3
    assert ran.out.count("UnsafeName") == 1
    assert name.removeprefix("/") in ran.out


def test_a_list_made_some_folders_up_is_understood(babycli: Babycli, source: Path) -> None:
    digests = {f"here/there/{n}": hashlib.sha256(content).hexdigest() for n, content in FILES.items()}
    digests["elsewhere/x"] = A  # of another download: not looked for in this one
    Path("list").write_bytes(checksum_text(digests))
    assert compared(babycli, "list") == 0


def test_a_list_inside_the_folder_does_not_miss_itself(babycli: Babycli, source: Path) -> None:
    assert babycli("data", "manifest", source, "-o", source / "list").code == 0
    assert compared(babycli, source / "list") == 0
