"""What sha256sum, b3sum and BagIt write is read; what is malformed is named, never skipped."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest

from babycli.data import zips
from babycli.data.checksums import ChecksumFile, Checksums, checksum_text
from babycli.data.other_lists import what_is
from babycli.errors import DataError
from tests.conftest import Babycli
from tests.data.demo_copy import DemoCopy, skip_unless_permissions_count
from tests.data.zipped import zip_folder

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
        pytest.param(f"{A}  ./x/\n{B}  y//z/.\n", {"./x/": A, "y//z/.": B}, id="folders"),
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
        (f"{A}  x\n{B} y\n", "line 2"),
        (f"SHA256 (y) = {B}\nBLAKE3 (x) = {B}\n", "line 2"),
        (f"{'g' * 64}  x\n", "line 1"),
        (f"{A}  x\n\\{B}  a\\slash\n", "line 2: as this line begins with a backslash"),
        (f"\t \\{A} *a\\\r\n", "line 1: as this line begins with a backslash"),
    ],
)
def test_a_line_that_is_malformed_is_named(content: str, complaint: str) -> None:
    with pytest.raises(DataError, match=f"list, {complaint}"):
        read(content.encode())


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"{'d' * 32}  x", "its digests are of MD5"),
        (f"{'d' * 40} *x", "its digests are of SHA-1"),
        (f"{'d' * 128}  x", "its digests are of SHA-512 or BLAKE2b"),
        (f"MD5 (x) = {'d' * 32}", "its digests are of MD5"),
        (f"SHA3-256(x)= {A}", "its digests are of SHA3-256"),
        ("%%%% HASHDEEP-1.0", "this is a list of hashdeep"),
        ("; Generated by cfv", "this is a list of CRC-32 (.sfv)"),
        ("SHA256 hash of x:", "this is what certutil of Windows writes"),
        ("Algorithm       Hash      Path", "this is what Get-FileHash of PowerShell writes"),
        ("-----BEGIN PGP SIGNED MESSAGE-----", "gpg --decrypt"),
        ("<!DOCTYPE html>", "this is a web page"),
        ('{"x": 1}', "this is JSON"),
        ("\x01\x02\x00\x03", "this is no text"),
    ],
)
def test_a_list_of_another_program_is_named(line: str, what: str) -> None:
    with pytest.raises(DataError) as caught:
        read(f"{line}\n".encode())
    assert "list, line 1: expected a SHA-256 and a file name" in caught.value.message
    assert f"; {what}" in caught.value.message or f"; this is a list in a PGP signature; take it out:  {what}" in (
        caught.value.message
    )


def test_of_a_line_longer_than_any_path_only_the_ends_are_looked_at() -> None:
    """A file of a gigabyte without a line end would take minutes."""
    middle = "x" * 5000
    assert what_is(f"{middle}\0{middle}") == ""
    assert what_is(f"\0{middle}{middle}") == what_is(f"{middle}{middle}\0") == "this is no text"
    assert what_is(f"{middle}{middle} 1234abcd") == "this is a list of CRC-32 (.sfv)"


@pytest.mark.parametrize(
    "line", [f"{A} data/x", "x" * 32 + " data/x", f"{'d' * 31} data/x", "d" * 32, f"{'d' * 32}\x1d*data/x"]
)
def test_a_line_that_is_malformed_in_a_bag_is_named(line: str) -> None:
    Path("bag").mkdir()
    Path("bag/bagit.txt").write_text("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n")
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


def standard(digest: str, name: str) -> str:
    return f"{digest}  {name}"


DIALECTS: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "sha256 -r of BSD": ("", lambda digest, name: f"{digest} {name}"),
    "a tab": ("", lambda digest, name: f"{digest}\t{name}"),
    "indented": ("    ", standard),
    "indented by a tab": ("\t", lambda digest, name: f"{digest} *{name}"),
    "sha256sum --tag": ("", lambda digest, name: f"SHA256 ({name}) = {digest}"),
    "openssl 1": ("", lambda digest, name: f"SHA256({name})= {digest}"),
    "mixed": ("", lambda digest, name: standard(digest, name) if digest < "8" else f"SHA256 ({name}) = {digest}"),
    "a shell loop": ("", lambda digest, name: standard(digest, "./" + name.replace("/", "//"))),
    "a shell loop of BSD": ("", lambda digest, name: f"{digest} {name.replace('/', '/./')}"),
    "one folder down": ("", lambda digest, name: standard(digest, "sub/../" + name)),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_list_that_sha256sum_reads_is_read_alike(babycli: Babycli, source: Path, dialect: str) -> None:
    (source / "line\nend.jpg").unlink()
    indent, write = DIALECTS[dialect]
    files = {n: c for n, c in FILES.items() if "\n" not in n}
    lines = [indent + write(hashlib.sha256(content).hexdigest(), name) + "\n" for name, content in files.items()]
    Path("list").write_text("".join(lines), encoding="utf-8")
    if shutil.which("sha256sum"):
        words = ["sha256sum", "-c", "--strict", "--quiet", "../list"]
        assert subprocess.run(words, cwd=source, check=False).returncode == 0
    assert compared(babycli, "list") == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_that_windows_writes_is_read(babycli: Babycli, source: Path, encoding: str) -> None:
    assert babycli("data", "manifest", source, "-o", "list").code == 0
    text = Path("list").read_text("utf-8").replace("\n", "\r\n")
    Path("list").write_bytes(text.encode(encoding))
    assert compared(babycli, "list") == 0


def test_a_list_in_utf_32_is_read(babycli: Babycli, source: Path) -> None:
    lines = checksum_text({name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()})
    Path("list").write_bytes(os.fsdecode(lines).encode("utf-32"))
    assert compared(babycli, "list") == 0


def test_names_that_begin_with_a_space_cannot_pass_for_others() -> None:
    """As GNU coreutils have it: the first line tells how many signs stand between digest and name."""
    assert dict(read(f"{A} x\n{B}  y\n".encode()).by_name) == {"x": A, " y": B}
    assert dict(read(f"{A}  x\n{B}   y\n".encode()).by_name) == {"x": A, " y": B}
    assert dict(read(f"{A}  \n{B} y".encode()).by_name) == {" ": A, "y": B}
    with pytest.raises(DataError, match="line 2: expected a digest, two spaces"):
        read(f"{A}  x\n{B} y\n".encode())


@pytest.mark.parametrize(
    ("content", "algorithm"),
    [
        (f"{A}  x\nSHA256 (y) = {B}\n", "sha256"),
        (f"SHA2-256(y)= {B}\n{A}  x\n", "sha256"),
        (f"BLAKE3 (y) = {B}\n{A}  x\n", "blake3"),
        (f"{A}  x\n{B}  y\n", None),
    ],
)
def test_a_tag_tells_the_algorithm_of_all_lines(content: str, algorithm: str | None) -> None:
    checksums = read(content.encode())
    assert (checksums.algorithm, dict(checksums.by_name)) == (algorithm, {"x": A, "y": B})


def test_a_list_made_some_folders_up_is_understood(babycli: Babycli, source: Path) -> None:
    digests = {f"here/there/{n}": hashlib.sha256(content).hexdigest() for n, content in FILES.items()}
    digests["elsewhere/x"] = A  # of another download: not looked for in this one
    Path("list").write_bytes(checksum_text(digests))
    assert compared(babycli, "list") == 0


def test_a_list_inside_the_folder_does_not_miss_itself(babycli: Babycli, source: Path) -> None:
    assert babycli("data", "manifest", source, "-o", source / "list").code == 0
    assert compared(babycli, source / "list") == 0


def test_of_two_folders_with_the_same_names_the_one_of_this_name_is_meant(babycli: Babycli) -> None:
    digests = {}
    for folder in ("a", "b"):
        Path("all", folder).mkdir(parents=True)
        for name in ("1.jpg", "2.jpg"):
            Path("all", folder, name).write_text(f"{folder} {name}")
            digests[f"{folder}/{name}"] = hashlib.sha256(f"{folder} {name}".encode()).hexdigest()
    Path("list").write_bytes(checksum_text(digests))
    for folder in ("all", "all/a", "all/b"):
        ran = babycli("data", "verify", folder, "--manifest", "list")
        assert (ran.code, ran.out.count("\n")) == (0, 1)
    digests["1.jpg"] = A
    Path("list").write_bytes(checksum_text(digests))
    assert babycli("data", "verify", "all/b", "--manifest", "list").code == 0


def test_a_folder_of_the_same_name_inside_is_not_meant(babycli: Babycli) -> None:
    for folder in ("images", "images/images"):
        Path(folder).mkdir()
        for i in range(4):
            Path(folder, f"{i}.jpg").write_text(f"{folder} {i}")
    assert babycli("data", "manifest", "images", "-o", "list").code == 0
    assert babycli("data", "verify", "images", "--manifest", "list").code == 0


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_folder_of_a_bag_that_cannot_be_looked_into_is_one_problem(
    babycli: Babycli, source: Path, tmp_path: Path, is_linked: bool
) -> None:
    bag = Path("bag")
    bag.mkdir()
    source.rename(bag / "data")
    digests = {f"data/{n}": hashlib.sha256(content).hexdigest() for n, content in FILES.items()}
    (bag / "list").write_bytes(checksum_text(digests))
    if is_linked:
        (bag / "data").rename("elsewhere")
        (bag / "data").symlink_to("../elsewhere")
    else:
        skip_unless_permissions_count(tmp_path)
        (bag / "data").chmod(0)
    try:
        ran = babycli("data", "verify", bag, "--manifest", bag / "list")
    finally:
        Path("elsewhere" if is_linked else "bag/data").chmod(0o755)
    assert ran.code == 3
    assert [line.split(":")[0] for line in ran.out.splitlines()[1:]] == [
        f"{'NotAFile' if is_linked else 'Unreadable'} bag/data"
    ]


def test_a_list_deeper_in_the_folder_does_not_miss_itself(babycli: Babycli, source: Path) -> None:
    listing = source / "sub/list"
    for _ in range(2):
        assert babycli("data", "manifest", source, "-o", listing).code == 0
        assert babycli("data", "verify", source, "--manifest", listing).code == 0
    digests = {n: hashlib.sha256(content).hexdigest() for n, content in FILES.items()} | {"sub/list": A}
    listing.write_bytes(checksum_text(digests))
    words = ("data", "verify", source, "--manifest")
    assert babycli(*words, listing).code == 0
    listing.rename("list")
    ran = babycli(*words, "list")  # the same bytes, and now the file that they list is missing
    assert (ran.code, ran.out.count("Missing source/sub/list")) == (3, 1)


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_manifest_goes_where_it_is_sent(babycli: Babycli, source: Path, what: str) -> None:
    assert babycli("data", "manifest", source, "-o", "plain").code == 0
    expected = Path("plain").read_bytes()
    if what == "link":
        Path("real").write_bytes(b"old")
        Path("out").symlink_to("real")
        assert babycli("data", "manifest", source, "-o", "out").code == 0
        assert (Path("out").is_symlink(), Path("real").read_bytes()) == (True, expected)
        return
    os.mkfifo("out")
    reader = os.open("out", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert babycli("data", "manifest", source, "-o", "out").code == 0
        assert os.read(reader, 1 << 16) == expected
    finally:
        os.close(reader)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_manifest_goes_behind_what_standard_output_had(babycli: Babycli, source: Path, name: str) -> None:
    assert babycli("data", "manifest", source, "-o", "plain").code == 0
    Path("log").write_bytes(b"before\n")
    with Path("log").open("ab") as log:
        words = [sys.executable, "-m", "babycli", "data", "manifest", "source", "-o", name]
        subprocess.run(words, stdout=log, check=True)
    assert Path("log").read_bytes() == b"before\n" + Path("plain").read_bytes()


def test_damage_to_the_first_files_does_not_change_what_a_list_is_taken_for(babycli: Babycli) -> None:
    Path("many").mkdir()
    lines = []
    for i in range(300):
        Path("many", f"{i:03}").write_bytes(b"%d" % i)
        lines.append(f"{blake3.blake3(b'%d' % i).hexdigest()}  {i:03}\n")
    Path("list").write_text("".join(lines))
    for i in range(10):
        Path("many", f"{i:03}").write_bytes(b"damage")
    ran = babycli("data", "verify", "many", "--manifest", "list")
    assert (ran.code, ran.out.count("ChecksumMismatch")) == (4, 10)


def test_a_bag_s_own_files_are_not_too_many_but_others_in_its_data_are(babycli: Babycli, source: Path) -> None:
    bag = Path("bag")
    bag.mkdir()
    source.rename(bag / "data")
    (bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (bag / "bag-info.txt").write_text("Contact-Name: nobody\n")
    lines = [f"{hashlib.md5(c).hexdigest()}  data/{n}\n".replace("%", "%25") for n, c in FILES.items() if "\n" not in n]
    lines.append(f"{hashlib.md5(FILES['line' + chr(10) + 'end.jpg']).hexdigest()}  data/line%0Aend.jpg\n")
    (bag / "manifest-md5.txt").write_text("".join(lines))
    words = ("data", "verify", bag, "--manifest", bag / "manifest-md5.txt")
    assert babycli(*words).code == 0
    (bag / "data/more.jpg").touch()
    ran = babycli(*words)
    assert (ran.code, ran.out.count("Unexpected")) == (3, 1)


def test_a_list_that_lists_itself_is_not_missed(babycli: Babycli, source: Path) -> None:
    digests = {n: hashlib.sha256(content).hexdigest() for n, content in FILES.items()}
    digests["SHA256SUMS"] = hashlib.sha256(b"").hexdigest()  # as it was while it was written
    (source / "SHA256SUMS").write_bytes(checksum_text(digests))
    assert compared(babycli, source / "SHA256SUMS") == 0


def test_a_folder_that_was_emptied_lacks_every_file(babycli: Babycli, source: Path) -> None:
    assert babycli("data", "manifest", source, "-o", "list").code == 0
    shutil.rmtree(source)
    source.mkdir()
    ran = babycli("data", "verify", source, "--manifest", "list")
    assert (ran.code, ran.out.count("Missing")) == (3, len(FILES))


def test_a_list_may_come_through_a_pipe(babycli: Babycli, source: Path) -> None:
    assert babycli("data", "manifest", source, "-o", "list").code == 0
    read_end, write_end = os.pipe()
    os.write(write_end, Path("list").read_bytes())
    os.close(write_end)
    try:
        assert babycli("data", "verify", source, "--manifest", f"/dev/fd/{read_end}").code == 0
    finally:
        os.close(read_end)


def test_a_link_that_leads_back_to_itself_hides_no_other_file(babycli: Babycli, source: Path) -> None:
    assert babycli("data", "manifest", source, "-o", "list").code == 0
    (source / "loop").symlink_to("loop")
    ran = babycli("data", "verify", source, "--manifest", "list")
    assert (ran.code, ran.out.splitlines()[1:]) == (3, ["Unreadable source/loop: Too many levels of symbolic links"])


def test_files_in_a_folder_that_cannot_be_read_are_not_called_missing(
    babycli: Babycli, source: Path, tmp_path: Path
) -> None:
    skip_unless_permissions_count(tmp_path)
    assert babycli("data", "manifest", source, "-o", "list").code == 0
    (source / "sub").chmod(0)
    try:
        ran = babycli("data", "verify", source, "--manifest", "list")
    finally:
        (source / "sub").chmod(0o755)
    assert (ran.code, ran.out.count("source/sub")) == (3, 1)


def test_a_name_cannot_end_a_line_or_speak_to_the_terminal(babycli: Babycli, source: Path) -> None:
    assert babycli("data", "manifest", source, "-o", "list").code == 0
    (source / "a\n\x1b[31mred").touch()
    ran = babycli("data", "verify", source, "--manifest", "list")
    assert ran.out.splitlines()[1:] == ["Unexpected source/a\\x0a\\x1b[31mred: the list of checksums does not name it"]


@pytest.mark.parametrize("is_corrupt", [False, True])
def test_a_member_larger_than_any_image_is_hashed_all_the_same(
    babycli: Babycli, source: Path, is_corrupt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "film.mp4").write_bytes(bytes(range(256)) * 20_000)
    (source / "zeros").write_bytes(bytes(zips._PIECE_BYTES + 100))
    assert babycli("data", "manifest", source, "-o", "list").code == 0
    monkeypatch.setattr("babycli.data.images.MAX_MEMBER_BYTES", 1000)
    for method in (0, 8):
        archive = zip_folder(source, Path("a.zip"), method=method)
        if is_corrupt:
            raw = bytearray(archive.read_bytes())
            raw[raw.index(b"film.mp4") + 3_000] ^= 1
            archive.write_bytes(raw)
        ran = babycli("data", "verify", archive, "--manifest", "list")
        assert (ran.code != 0) == is_corrupt
        assert ran.out.count("film.mp4") == is_corrupt
    assert zips.MAX_MEMBER_BYTES > 1000


def test_a_subset_agrees_with_its_own_list(babycli: Babycli, demo: DemoCopy) -> None:
    assert babycli(*demo.link_words).code == 0
    assert babycli("data", "subset", "small").code == 0
    words = ("data", "verify", "small", "--manifest", "small/manifest-sha256.txt")
    assert [babycli(*words, *more).code for more in ((), (), ("--data", "small"), ("--data", "small"))] == [0] * 4
    (Path("small/saycam_images") / "more.jpg").touch()
    assert babycli(*words).code == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "list holds no checksums"),
        (b"# nothing yet\n", "list holds no checksums"),
        (f"{A}  .\\one.jpg\n".encode(), "list names none of the images; its first name is '.\\\\one.jpg'"),
        (f'{A}  "one.jpg"\n'.encode(), "list names none of the images; its first name is '\"one.jpg\"'"),
        (f"{A}  {'x' * 1_000_000}\n".encode(), f"list names none of the images; its first name is '{'x' * 60}'"),
    ],
    ids=["empty", "comment", "backslash", "quoted", "long"],
)
def test_a_list_of_other_files_shows_a_name(babycli: Babycli, source: Path, content: bytes, complaint: str) -> None:
    Path("list").write_bytes(content)
    ran = babycli("data", "verify", source, "--manifest", "list")
    assert ran.code == 3
    assert ran.err.startswith(f"babycli: {complaint}\n")
