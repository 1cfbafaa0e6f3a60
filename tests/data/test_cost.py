"""Small image files that would keep a decoder busy for minutes, or take all memory: refused in moments, by name.

Each is built byte by byte. What is a little below the bound is decoded by Pillow, and sound.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from babycli.data.decoding import decode
from tests.conftest import Babycli
from tests.data.demo_copy import DemoCopy, make_dataset, replace

pytestmark = pytest.mark.usefixtures("empty_folder")

SLOW_BYTES = 1 << 20  # 64 times as many are allowed, which take seconds
NOISE = Image.frombytes("RGB", (64, 48), random.Random(1).randbytes(64 * 48 * 3))


def saved(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    NOISE.save(stream, kind, **options)
    return stream.getvalue()


def scanned(n_more: int, size: tuple[int, int] | None = None) -> bytes:
    """A progressive JPEG whose last scan comes once more, again and again; it may claim another size."""
    content = bytearray(saved("JPEG", progressive=True))
    if size is not None:
        at = content.index(b"\xff\xc2") + 5
        content[at : at + 4] = struct.pack(">2H", *size)
    last = bytes(content[content.rindex(b"\xff\xda") : -2])
    return bytes(content[:-2]) + last * n_more + b"\xff\xd9"


def with_segments(marker: int, body: bytes, n: int) -> bytes:
    content = saved("JPEG")
    return content[:2] + (b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body) * n + content[2:]


def with_chunks(kind: bytes, body: bytes, n: int) -> bytes:
    content = saved("PNG")
    chunk = struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
    return content[:33] + chunk * n + content[33:]


def with_comments(n: int) -> bytes:
    content = saved("GIF")
    at = 13 + 3 * 256  # behind the palette
    return content[:at] + b"!\xfe\x01a\0" * n + content[at:]


def with_strips(n: int) -> bytes:
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 1, 279: 200}
    directory = b"".join(
        struct.pack("<HHLL", tag, 4, n if tag in (273, 279) else 1, value) for tag, value in tags.items()
    )
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + directory + bytes(4 + 82 + 8 * n)


def with_tags(n: int) -> bytes:
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, n) + struct.pack("<HHQQ", 256, 4, 1, 8) * n


def run_lengths(n: int) -> bytes:
    head = struct.pack("<LHHLLLLHHLLLLLL", 0, 0, 0, 54 + 1024, 40, 64, 48, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + head + bytes(1024) + b"\x40\x07\0\0" * 48 + bytes(n)


def wide_jp2() -> bytes:
    content = bytearray(saved("JPEG2000"))
    at = content.index(b"ihdr") + 4
    content[at : at + 8] = struct.pack(">2L", 13_000, 13_000)
    return bytes(content)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "JPEG of 300 scans": (lambda: scanned(300), "more than 200 scans"),
    "JPEG of 21 scans, and huge": (lambda: scanned(20, (13_000, 13_000)), "scans, and no image has so many"),
    "JPEG with 65 EXIFs": (lambda: with_segments(0xE1, b"Exif\0\0a", 65), "more than 64 segments of EXIF"),
    "JPEG with 1,001 comments": (lambda: with_segments(0xFE, b"", 1_001), "more than 1,000 segments"),
    "PNG with 110,000 chunks": (lambda: with_chunks(b"abCd", b"", 110_000), "more pieces than any image"),
    "PNG with 1,001 profiles": (
        lambda: with_chunks(b"iCCP", b"k\0\0" + zlib.compress(bytes(9)), 1_001),
        "1,001 compressed texts and profiles",
    ),
    "GIF with 110,000 comments": (lambda: with_comments(110_000), "more pieces than any image"),
    "TIFF with a million strips": (lambda: with_strips(1_000_001), "1,000,001 numbers in tag 273"),
    "BigTIFF with 65,536 tags": (lambda: with_tags(65_536), "65,536 tags"),
    "BMP with too many run lengths": (lambda: run_lengths(SLOW_BYTES), "no image that is written like this"),
    "PPM with too much text": (lambda: b"P3 64 48 255\n" + b"0 " * SLOW_BYTES, "no image that is written like this"),
    "JPEG 2000 of half a gigabyte": (wide_jp2, "too many for the memory"),
}


@pytest.fixture(autouse=True)
def _few_slow_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babycli.data.cost._MAX_SLOW_BYTES", SLOW_BYTES)


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("depth", ["header", "decode"])
def test_verify_names_it(babycli: Babycli, name: str, depth: str) -> None:
    make, why = BOMBS[name]
    content = make()
    Path("folder").mkdir()
    Path("folder/x.jpg").write_bytes(content)
    Path("list").write_text(f"{sha256(content).hexdigest()}  x.jpg\n")
    ran = babycli("data", "verify", "folder", "--manifest", "list", "--depth", depth)
    assert ran.code == 3
    assert "SuspiciousSize folder/x.jpg" in ran.out
    assert why in ran.out


@pytest.mark.long
@pytest.mark.parametrize(
    "words", [("eval", "--model", "control:length", "--tasks", "vtwt"), ("data", "verify")], ids=str
)
def test_other_commands_name_it_too(babycli: Babycli, demo: DemoCopy, words: tuple[str, ...]) -> None:
    replace(demo.frame, scanned(300))
    make_dataset(demo)
    ran = babycli(*words)
    assert ran.code == 3
    assert "more than 200 scans" in ran.out + ran.err


@pytest.mark.parametrize(
    "content",
    [
        scanned(100),
        with_segments(0xFE, b"", 900),
        with_segments(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000), 200),
        saved("JPEG")[:2] + b"\xff" * 100_000 + saved("JPEG")[2:],
        with_chunks(b"tEXt", b"k\0v", 1_000),
        with_comments(1_000),
        run_lengths(SLOW_BYTES - 10_000),
        saved("TIFF", tile_size=(16, 16)),
    ],
    ids=["scans", "comments", "a depth map in XMP", "fill bytes", "texts", "GIF", "BMP", "TIFF"],
)
def test_what_real_files_may_have_is_decoded(content: bytes) -> None:
    assert decode(content, "x").tobytes() == Image.open(io.BytesIO(content)).convert("RGB").tobytes()
