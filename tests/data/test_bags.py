"""BagIt bags that bagit.py calls valid are valid, and of those it refuses only what is wrong is blamed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import bagit
import pytest

from tests.conftest import Babycli, Ran

pytestmark = pytest.mark.usefixtures("empty_folder")

BAG = Path("bag")
VERSION, ENCODING = "BagIt-Version: 1.0\n", "Tag-File-Character-Encoding: UTF-8\n"
PAYLOAD = {"data/a.jpg": b"one", "data/sub/é.jpg": b"two"}


def lines(files: Mapping[str, bytes], algorithm: str = "sha256") -> str:
    return "".join(f"{hashlib.new(algorithm, content).hexdigest()}  {name}\n" for name, content in files.items())


def make_bag(encoding: str = "UTF-8", written: str = "utf-8", algorithms: tuple[str, ...] = ("sha256",)) -> None:
    """A bag as bagit.py 1.9 writes one, with a tag manifest for each algorithm."""
    for name, content in PAYLOAD.items():
        Path(BAG, name).parent.mkdir(parents=True, exist_ok=True)
        Path(BAG, name).write_bytes(content)
    tags = {"bagit.txt": f"BagIt-Version: 1.0\nTag-File-Character-Encoding: {encoding}\n".encode()}
    tags["bag-info.txt"] = "Payload-Oxum: 6.2\n".encode(written)
    for algorithm in algorithms:
        tags[f"manifest-{algorithm}.txt"] = lines(PAYLOAD, algorithm).encode(written)
    for name, content in tags.items():
        Path(BAG, name).write_bytes(content)
    for algorithm in algorithms:
        Path(BAG, f"tagmanifest-{algorithm}.txt").write_bytes(lines(tags, algorithm).encode(written))


def verify(babycli: Babycli, manifest: str = "manifest-sha256.txt") -> Ran:
    return babycli("data", "verify", BAG, "--manifest", BAG / manifest, "--no-index")


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("UTF-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("ISO-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
        ("UTF-16", "utf-16"),
        ("UTF-16LE", "utf-16-le"),
        ("UTF-16BE", "utf-16-be"),
    ],
)
def test_the_encoding_that_bagit_txt_says_is_heeded(babycli: Babycli, encoding: str, written: str) -> None:
    make_bag(encoding, written)
    assert [verify(babycli, name).code for name in ("manifest-sha256.txt", "tagmanifest-sha256.txt")] == [0, 0]
    Path(BAG, "data/sub/é.jpg").write_bytes(b"2")
    assert verify(babycli).code == 4


@pytest.mark.parametrize("encoding", ["klingon", "zip", "unicode_escape", "punycode", "x" * 40, "coding: utf-8"])
def test_an_encoding_that_is_not_known_is_named(babycli: Babycli, encoding: str) -> None:
    make_bag(encoding)
    ran = verify(babycli)
    assert (ran.code, f"the encoding {encoding} is not known" in ran.err) == (3, True)


@pytest.mark.parametrize("algorithm", ["sha3_256", "sha3-512", "blake2b", "blake2s"])
def test_the_rarer_algorithms_of_bagit_py_are_read(babycli: Babycli, algorithm: str) -> None:
    make_bag(algorithms=(algorithm.replace("-", "_"),))
    for path in BAG.glob("*manifest-*"):
        path.rename(path.with_name(path.name.replace("_", "-" if "-" in algorithm else "_")))
    assert verify(babycli, f"manifest-{algorithm}.txt").code == 0
    Path(BAG, "data/sub/é.jpg").write_bytes(b"2")
    assert verify(babycli, f"manifest-{algorithm}.txt").code == 4


def test_a_bag_of_an_unknown_algorithm_is_no_list_of_sha256(babycli: Babycli) -> None:
    make_bag()
    Path(BAG, "manifest-sha256.txt").rename(Path(BAG, "manifest-sm3.txt"))
    ran = verify(babycli, "manifest-sm3.txt")
    assert (ran.code, "the algorithm sm3 is not known" in ran.err, ran.out) == (3, True, "")


def test_bytes_in_another_encoding_than_said_are_named(babycli: Babycli) -> None:
    make_bag("ASCII")
    ran = verify(babycli)
    assert (ran.code, "bag/manifest-sha256.txt is not ascii" in ran.err) == (3, True)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "md5"])
def test_tag_manifests_of_several_algorithms_need_not_list_each_other(babycli: Babycli, algorithm: str) -> None:
    make_bag(algorithms=("sha256", "sha512", "md5"))
    ran = verify(babycli, f"tagmanifest-{algorithm}.txt")
    assert (ran.code, ran.out) == (0, "bag  5 files\n")
    Path(BAG, "more.txt").write_text("a tag file that no manifest lists is allowed")
    assert verify(babycli, f"tagmanifest-{algorithm}.txt").code == 0
    Path(BAG, "bag-info.txt").write_text("changed")
    assert verify(babycli, f"tagmanifest-{algorithm}.txt").code == 4
    Path(BAG, "bag-info.txt").unlink()
    ran = verify(babycli, f"tagmanifest-{algorithm}.txt")
    assert (ran.code, ran.out.count("Missing bag/bag-info.txt")) == (3, 1)


@pytest.mark.parametrize("name", ["/tmp/foo", "../foo", "data/../../foo"])
def test_of_a_bag_with_an_unsafe_name_only_that_is_blamed(babycli: Babycli, name: str) -> None:
    make_bag()
    with Path(BAG, "manifest-sha256.txt").open("a") as stream:
        stream.write(lines({name: b"x"}))
    ran = verify(babycli)
    assert (ran.code, len(ran.out.splitlines())) == (3, 2)
    assert ran.out.splitlines()[1].startswith("UnsafeName ")
    assert ran.out.splitlines()[1].endswith(name)


def test_names_are_read_as_bagit_py_reads_them(babycli: Babycli) -> None:
    make_bag()
    text = lines({"./data//a.jpg": b"one", "data/x/../sub/é.jpg": b"two"}).replace("  ", " \t **", 1)
    text = text.replace("é.jpg\n", "é.jpg/ \t\n")
    Path(BAG, "manifest-sha256.txt").write_text(f"# of a tool\n\n  {text}", encoding="utf-8")
    assert verify(babycli).code == 0
    Path(BAG, "data/more.jpg").touch()
    assert verify(babycli).out.count("Unexpected") == 1


@pytest.mark.parametrize(
    ("version", "percent", "is_right"), [("0.97", "%25", False), ("1.0", "%25", True), ("0.97", "%", True)]
)
def test_from_version_1_0_on_a_percent_sign_is_escaped(
    babycli: Babycli, version: str, percent: str, is_right: bool
) -> None:
    """bagit.py writes bags of version 0.97, and a percent sign as it is."""
    make_bag()
    Path(BAG, "bagit.txt").write_text(f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n")
    Path(BAG, "data/100%.jpg").write_bytes(b"x")
    Path(BAG, "bag-info.txt").write_text("Payload-Oxum: 7.3\n")
    Path(BAG, "manifest-sha256.txt").write_text(lines(PAYLOAD) + lines({f"data/100{percent}.jpg": b"x"}))
    assert (verify(babycli).code == 0) == is_right
    Path(BAG, "data/100%.jpg").rename(Path(BAG, "data/100%25.jpg"))
    assert (verify(babycli).code == 0) == (not is_right)


def test_a_file_that_is_still_to_be_fetched_is_missing_with_its_address(babycli: Babycli) -> None:
    make_bag()
    Path(BAG, "fetch.txt").write_text(
        "https://example.org/a.jpg 3? data/a.jpg\nhttps://example.org/e - data/sub/é.jpg\nhttps://example.org/x - .\n"
        "\0\x02https://example.org/a.jpg 3 data/a.jpg\nfile: 1 data/sub/é.jpg\n"
    )
    assert verify(babycli).code == 0
    Path(BAG, "data/a.jpg").unlink()
    ran = verify(babycli)
    assert ran.code == 3
    assert ran.out.splitlines()[1:] == [
        "Missing bag/data/a.jpg: not fetched yet; fetch.txt has it at \\x00\\x02https://example.org/a.jpg"
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("https://example.org/x 3 ../x", "UnsafeName bag/../x: in fetch.txt"),
        ("https://example.org/x 3 /etc/x", "UnsafeName /etc/x: in fetch.txt"),
        ("https://example.org/x 3 ~/x", "UnsafeName bag/~/x: in fetch.txt"),
        ("example 3 data/x", "fetch.txt, line 1: expected a URL"),
        ("https://example.org/x", "fetch.txt, line 1: expected a URL"),
    ],
)
def test_a_fetch_txt_that_is_not_safe_is_refused(babycli: Babycli, line: str, told: str) -> None:
    make_bag()
    Path(BAG, "fetch.txt").write_text(line + "\n")
    ran = verify(babycli)
    assert (ran.code, told in ran.out + ran.err) == (3, True)


# ---------------------------------------------------------------- what a bag says of itself


@pytest.mark.parametrize("version", ["0.93", "0.96", "0.97", "1.0", "1", "1.7"])
def test_versions_of_bagit_py_are_read(babycli: Babycli, version: str) -> None:
    make_bag()
    Path(BAG, "bagit.txt").write_text(f"BagIt-Version : {version} \nTag-File-Character-Encoding: UTF-8\n")
    assert verify(babycli).code == 0


@pytest.mark.parametrize(
    "version", ["0.92", "2.0", "-1.0", "1.0.1", "1.x", "one", "", "1.", "9" * 5000, "1.0 folded", "\u0661.0"]
)
def test_a_version_that_is_not_known_is_named(babycli: Babycli, version: str) -> None:
    make_bag()
    Path(BAG, "bagit.txt").write_text(f"BagIt-Version: {version}\n{ENCODING}", encoding="utf-8")
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        ran = verify(babycli, manifest)
        assert (ran.code, ran.out, f"bag/bagit.txt: BagIt-Version '{version[:20]}" in ran.err) == (3, "", True)
        assert len(ran.err) < 300


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (ENCODING, "says no BagIt-Version"),
        (VERSION, "says no Tag-File-Character-Encoding"),
        ("bagit-version: 1.0\n" + ENCODING, "says no BagIt-Version"),
        (VERSION + VERSION + ENCODING, "says 2 times BagIt-Version"),
        (VERSION + ENCODING + "Tag-File-Character-Encoding: UTF-16\n", "says 2 times Tag-File-Character-Encoding"),
        ("\ufeff" + VERSION + ENCODING, "begins with a byte-order mark"),
    ],
)
def test_a_bagit_txt_that_bagit_py_refuses_is_refused(babycli: Babycli, said: str, told: str) -> None:
    make_bag()
    Path(BAG, "tagmanifest-sha256.txt").unlink()
    assert is_valid_for_bagit_py()
    Path(BAG, "bagit.txt").write_text(said, encoding="utf-8")
    assert not is_valid_for_bagit_py()
    ran = verify(babycli)
    assert (ran.code, ran.out, f"bag/bagit.txt {told}" in ran.err) == (3, "", True)
    assert "a bagit.txt has the lines  BagIt-Version: 1.0  and  Tag-File-Character-Encoding: UTF-8" in ran.err


def is_valid_for_bagit_py() -> bool:
    try:
        return bool(bagit.Bag(str(BAG)).is_valid())
    except (bagit.BagError, TypeError, AttributeError):  # the last two are how it takes a tag that is there twice
        return False


def say(info: str | bytes, name: str = "bag-info.txt") -> None:
    Path(BAG, name).write_bytes(info.encode() if isinstance(info, str) else info)


@pytest.mark.parametrize(
    "info",
    [
        "Payload-Oxum: 6.2",
        "Payload-Oxum:\n  6.2 \n",
        "A: b\r\n folded\r\n\r\nPayload-Oxum : 06.02\r\nPayload-Oxum: 9.9\r\n",
        "A: Payload-Oxum: 9.9\n Payload-Oxum: 8.8\nPayload-Oxum: 6.2\n",
        "Contact-Name: nobody\n",
        "",
    ],
)
def test_the_size_that_a_bag_says_is_right(babycli: Babycli, info: str) -> None:
    make_bag()
    say(info)
    ran = verify(babycli)
    assert (ran.code, ran.out) == (0, "bag  2 files\n")


@pytest.mark.parametrize("info", ["Payload-Oxum: 7.2\n", "Payload-Oxum: 6.3\nPayload-Oxum: 6.2\n", "Payload-Oxum: 0.0"])
def test_the_size_that_a_bag_says_is_wrong(babycli: Babycli, info: str) -> None:
    make_bag()
    say(info)
    ran = verify(babycli)
    said = info.split()[1]
    assert (ran.code, ran.out.splitlines()[1:]) == (
        4,
        [f"PayloadMismatch bag/bag-info.txt: Payload-Oxum is {said}, bytes and files, and data holds 6.2"],
    )
    assert (
        verify(babycli, "tagmanifest-sha256.txt").out.count("PayloadMismatch") == 0
    )  # the payload is not its business
    make_bag()
    Path(BAG, "data/a.jpg").write_bytes(b"other")
    ran = verify(babycli)
    assert (ran.code, [line.split()[0] for line in ran.out.splitlines()[1:]]) == (
        4,
        ["ChecksumMismatch", "PayloadMismatch"],
    )


def test_where_a_bag_of_an_old_version_says_its_size(babycli: Babycli) -> None:
    make_bag()
    Path(BAG, "bagit.txt").write_text("BagIt-Version: 0.95\nTag-File-Character-Encoding: UTF-8\n")
    say("Payload-Oxum: 9.9\n")
    assert verify(babycli).code == 0
    say("Payload-Oxum: 9.9\n", "package-info.txt")
    assert verify(babycli).out.count("PayloadMismatch bag/package-info.txt") == 1


@pytest.mark.parametrize(
    ("encoding", "written"), [("UTF-16", "utf-16"), ("ISO-8859-1", "latin-1"), ("windows-1252", "cp1252")]
)
def test_the_size_is_read_in_the_encoding_of_the_bag(babycli: Babycli, encoding: str, written: str) -> None:
    make_bag(encoding, written)
    say("Contact-Name: Zoé\nPayload-Oxum: 6.3\n".encode(written))
    ran = verify(babycli)
    assert (ran.code, ran.out.count("Payload-Oxum is 6.3")) == (4, 1)


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ("Payload-Oxum: 6\n", "'6' is no number of bytes"),
        ("Payload-Oxum: six.two\n", "'six.two' is no"),
        ("Payload-Oxum: -6.2\n", "'-6.2' is no"),
        ("Payload-Oxum: 6.2.1\n", "'6.2.1' is no"),
        ("Payload-Oxum: 6.\u00b2\n", "is no number of bytes"),
        ("Payload-Oxum:\n", "'' is no number of bytes"),
        ("Payload-Oxum: 6\n .2\n", "is no number of bytes"),
        (f"Payload-Oxum: {'6' * 9999}.2\n", "is no number of bytes"),
        ("A: b\nno colon\n", "line 2: expected a name, a colon and a value, got 'no colon'"),
    ],
)
def test_a_size_that_cannot_be_read_is_named(babycli: Babycli, info: str, told: str) -> None:
    make_bag()
    say(info)
    ran = verify(babycli)
    assert (ran.code, "bag/bag-info.txt" in ran.err, told in ran.err) == (3, True, True)
    assert len(ran.err) < 300
