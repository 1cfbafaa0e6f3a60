"""Images that are damaged, huge, cut off or only odd: what verify, eval, report and extract say of them.

Pillow by itself tells which of them are pictures; the damaged ones are built byte by byte, or cut by the test.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from babycli.data.decoding import MAX_SIDE, decode
from babycli.data.images import MAX_IMAGE_BYTES
from babycli.data.jpeg import MAX_PIXELS
from tests.conftest import Babycli, Ran
from tests.data.demo_copy import VTWT_FRAME, DemoCopy, make_dataset, replace

pytestmark = pytest.mark.usefixtures("empty_folder")

NOISE = Image.frombytes("RGB", (64, 48), random.Random(1).randbytes(64 * 48 * 3))
RARE = ("GIF", "BMP", "TIFF", "PPM", "WEBP", "AVIF", "JPEG2000")


def saved(kind: str, image: Image.Image = NOISE, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pillow_reads(content: bytes) -> bool:
    try:
        Image.open(io.BytesIO(content)).convert("RGB")
    except Exception:  # noqa: BLE001  # what it raises is what the test is about
        return False
    return True


def verify(babycli: Babycli, content: bytes, depth: str) -> Ran:
    """Of a folder with one image, x.jpg, in a list with its right checksum."""
    folder = Path("folder")
    folder.mkdir(exist_ok=True)
    (folder / "x.jpg").write_bytes(content)
    Path("list").write_text(f"{sha256(content).hexdigest()}  x.jpg\n")
    return babycli("data", "verify", folder, "--manifest", "list", "--depth", depth)


# ---------------------------------------------------------------- whatever Pillow raises


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, *chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">2L5B", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(*changed: tuple[int, int, int, bytes]) -> bytes:
    """A grey picture of 8 x 8, its 64 bytes of pixels first, with some tags (number, type, count, value) changed."""
    sound = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    tags = {number: (4, 1, struct.pack("<L", value)) for number, value in sound.items()}
    tags |= {number: (kind, count, value) for number, kind, count, value in changed}
    directory, tail = struct.pack("<H", len(tags)), b""
    end = 8 + 64 + 2 + 12 * len(tags) + 4
    for number, (kind, count, value) in sorted(tags.items()):
        if len(value) > 4:
            value, tail = struct.pack("<L", end + len(tail)), tail + value
        directory += struct.pack("<HHL", number, kind, count) + value
    return b"II*\0" + struct.pack("<L", 72) + b"\x80" * 64 + directory + bytes(4) + tail


def offset_as_a_float() -> bytes:
    return tiff((273, 11, 1, struct.pack("<f", 8.5)))  # TypeError


def palette_below_zero() -> bytes:
    return tiff((262, 4, 1, struct.pack("<L", 3)), (320, 8, 768, b"\xff\xff" * 768))  # OverflowError


def transparency_without_a_palette() -> bytes:
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return png(1, 1, 8, 3, chunk(b"tRNS", b"\0"), pixels)  # AssertionError


DAMAGED = (offset_as_a_float, palette_below_zero, transparency_without_a_palette)


def test_the_undamaged_tiff_is_sound(babycli: Babycli) -> None:
    assert verify(babycli, tiff(), "decode").code == 0


@pytest.mark.parametrize("make", DAMAGED)
def test_verify_names_what_cannot_be_decoded(babycli: Babycli, make: object) -> None:
    content = make()  # type: ignore[operator]
    assert not pillow_reads(content)
    ran = verify(babycli, content, "decode")
    assert ran.code == 3
    assert "Undecodable" in ran.out
    assert "x.jpg" in ran.out
    assert ran.err.count("Traceback") == 0


def spoil_a_frame(demo: DemoCopy, content: bytes) -> None:
    replace(demo.frame, content)
    make_dataset(demo)


EVAL = ("eval", "--model", "control:length", "--tasks", "vtwt", "--output-path", "logs")


def test_eval_names_what_cannot_be_decoded(babycli: Babycli, demo: DemoCopy) -> None:
    spoil_a_frame(demo, offset_as_a_float())
    ran = babycli(*EVAL)
    assert ran.code == 3
    assert f"Undecodable: {Path('dataset/vtwt/images')}/{VTWT_FRAME}" in ran.err
    assert "data verify" in ran.err


def test_a_report_with_pictures_tells_what_cannot_be_decoded(babycli: Babycli, demo: DemoCopy) -> None:
    make_dataset(demo)
    for seed in "12":
        model = ("--model", f"control:random?seed={seed}")
        assert babycli("eval", *model, "--tasks", "vtwt", "--output-path", "logs").code == 0
    for frame in demo.saycam.iterdir():
        replace(frame, offset_as_a_float())
    for path in Path("logs").rglob("*_results.json"):  # a log without digests, from which no change can be told
        document = json.loads(path.read_text())
        document["identity"]["data"]["images_sha256"] = {}
        path.write_text(json.dumps(document))
    names = [f"control:random?seed={seed} (demo)" for seed in "12"]
    words = ("--compare", *names, "--items", "--format", "html", "--with-images", "--output", "page.html")
    ran = babycli("report", "logs", *words)
    assert ran.code == 0, ran.err
    assert "Undecodable" in Path("page.html").read_text()


# ---------------------------------------------------------------- a PNG without its last rows


def png_of_rows(n_rows: int, value: int = 200, interlaced: int = 0) -> bytes:
    """Of 40 rows that its header promises, all of one grey."""
    header = struct.pack(">2L5B", 30, 40, 8, 0, 0, 0, interlaced)
    packed = zlib.compress((b"\0" + bytes([value]) * 30) * n_rows)
    parts = chunk(b"IDAT", packed[:9]) + chunk(b"IDAT", packed[9:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + parts + chunk(b"IEND", b"")


def test_a_png_whose_rows_end_early_is_cut_off(babycli: Babycli) -> None:
    assert verify(babycli, png_of_rows(40), "decode").code == 0
    content = png_of_rows(20)
    pixels = Image.open(io.BytesIO(content)).convert("RGB")  # Pillow shows it, half black
    assert pixels.getpixel((0, 39)) == (0, 0, 0) != pixels.getpixel((0, 0))
    ran = verify(babycli, content, "decode")
    assert (ran.code, "Truncated folder/x.jpg: its data end before the picture does" in ran.out) == (3, True)


def test_damage_at_the_end_of_a_png_is_seen_though_decoders_say_nothing(babycli: Babycli) -> None:
    content = bytearray(saved("PNG", Image.linear_gradient("L")))
    sound = Image.open(io.BytesIO(content)).tobytes()
    at = next(at for at in range(len(content) - 17, 0, -1) if _other_pixels(bytes(content), at, sound))
    content[at] ^= 1
    ran = verify(babycli, bytes(content), "decode")
    assert (ran.code, "Undecodable folder/x.jpg: its data are damaged" in ran.out) == (3, True)


def _other_pixels(content: bytes, at: int, sound: bytes) -> bool:
    """Tells whether one other bit there gives another picture, of which Pillow says nothing."""
    other = bytearray(content)
    other[at] ^= 1
    try:
        return Image.open(io.BytesIO(other)).tobytes() != sound
    except OSError:
        return False


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_a_black_png_is_whole(babycli: Babycli, mode: str) -> None:
    assert verify(babycli, saved("PNG", Image.new(mode, (33, 7))), "decode").code == 0
    assert verify(babycli, saved("PNG", Image.new(mode, (33, 7))) + b"more", "decode").code == 0


# ---------------------------------------------------------------- sizes


def sparse(path: Path, size: int) -> None:
    path.write_bytes(b"\xff\xd8\xff\xe0")
    os.truncate(path, size)


@pytest.mark.parametrize("depth", ["header", "decode"])
@pytest.mark.parametrize("size", [MAX_IMAGE_BYTES + 1, 1 << 40])
def test_a_file_larger_than_images_are_is_not_read(babycli: Babycli, size: int, depth: str) -> None:
    verify(babycli, b"x", depth)
    sparse(Path("folder/x.jpg"), size)
    ran = babycli("data", "verify", "folder", "--manifest", "list", "--depth", depth)
    assert ran.code == 3
    assert "SuspiciousSize" in ran.out
    assert f"{size:,} bytes" in ran.out


@pytest.mark.parametrize(
    "words", [EVAL, ("data", "verify"), ("data", "subset", "small"), ("data", "verify", "--depth", "decode")], ids=str
)
def test_a_frame_larger_than_images_are_is_refused_by_every_command(
    babycli: Babycli, demo: DemoCopy, words: Sequence[str]
) -> None:
    demo.frame.unlink()
    sparse(demo.frame, 1 << 40)
    make_dataset(demo)
    ran = babycli(*words)
    assert ran.code == 3
    assert "SuspiciousSize" in ran.out + ran.err
    assert VTWT_FRAME in ran.out + ran.err


@pytest.mark.parametrize(("width", "height"), [(40_000_000, 1), (1, MAX_SIDE + 1), (20_000, MAX_PIXELS // 20_000 + 1)])
def test_an_image_of_too_many_pixels_is_refused_unread(babycli: Babycli, width: int, height: int) -> None:
    ran = verify(babycli, png(width, height, 8, 2, chunk(b"IDAT", b"")), "header")
    assert ran.code == 3
    assert "SuspiciousSize folder/x.jpg" in ran.out
    assert " pixels" in ran.out


def test_a_jpeg_of_too_many_pixels_is_refused_unread(babycli: Babycli) -> None:
    content = bytearray(saved("JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">2H", 60_000, 50_000)
    ran = verify(babycli, bytes(content), "header")
    assert ran.code == 3
    assert "SuspiciousSize" in ran.out


# ---------------------------------------------------------------- cut off


@pytest.mark.parametrize("kind", ["JPEG", "PNG", *RARE])
def test_header_sees_a_cut(babycli: Babycli, kind: str) -> None:
    whole = saved(kind)
    assert verify(babycli, whole, "header").code == 0
    for share in (0.3, 0.6, 0.95):
        content = whole[: int(len(whole) * share)]
        assert not pillow_reads(content)
        ran = verify(babycli, content, "header")
        assert ran.code == 3, share
        assert "x.jpg" in ran.out


def test_a_cut_tiff_whose_directory_is_lost_is_not_called_no_image(babycli: Babycli) -> None:
    ran = verify(babycli, saved("TIFF", compression="tiff_lzw")[:5000], "header")
    assert ran.code == 3
    assert "it begins as TIFF does" in ran.out


def test_what_each_depth_does_not_see_is_said(babycli: Babycli) -> None:
    verify(babycli, saved("JPEG"), "header")
    told = {}
    for depth in ("header", "decode"):
        ran = babycli("data", "verify", "folder", "--manifest", "list", "--depth", depth, "--json")
        told[depth] = json.loads(ran.out)["cannot_see"]
    assert "a JPEG or PNG" in told["header"]
    assert "a part of a picture" in told["decode"]


# ---------------------------------------------------------------- odd, and whole


def without_end(trailer: bytes) -> bytes:
    content = saved("JPEG")
    assert content.endswith(b"\xff\xd9")
    return content[:-2] + trailer


@pytest.mark.parametrize("depth", ["header", "decode"])
@pytest.mark.parametrize(
    "content",
    [
        saved("PNG") + bytes(5000),
        saved("PNG") + b"more of a larger picture" * 100,
        without_end(b"a maker's own data" * 60),
        saved("JPEG") + b"a maker's own data",
        saved("GIF")[:-1],
        saved("AVIF"),
        saved("JPEG2000"),
        saved("WEBP"),
    ],
    ids=["png with zeros", "png with data", "jpeg without end", "jpeg with data", "gif without end", *RARE[5:], "webp"],
)
def test_what_pillow_reads_whole_is_sound(babycli: Babycli, content: bytes, depth: str) -> None:
    assert pillow_reads(content)
    ran = verify(babycli, content, depth)
    assert ran.code == 0, ran.out


def test_a_jpeg_that_was_not_filled_up_is_cut_off(babycli: Babycli) -> None:
    """Zeros are where a download stopped; Pillow takes them for pixels."""
    whole = saved("JPEG")
    assert pillow_reads(whole[:2000] + bytes(len(whole) - 2000))
    ran = verify(babycli, whole[:2000] + bytes(len(whole) - 2000), "header")
    assert ran.code == 3
    assert "Truncated" in ran.out


@pytest.mark.parametrize(
    "more",
    [b"\xff\x80\x00\x00\x00\xa7\xff\xd9", b"\xff\xc4\x00\x20" + bytes(100)],
    ids=["a marker that is none", "a table of zeros"],
)
def test_a_jpeg_whose_picture_is_whole_and_what_follows_is_damaged(babycli: Babycli, more: bytes) -> None:
    """Pillow reads it in vain, so an evaluation would end there."""
    content = without_end(more)
    assert not pillow_reads(content)
    assert verify(babycli, content, "decode").code == 3


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"<!DOCTYPE html><html>log in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x00\x00\x00\x01Bud1\x00\x00" + bytes(90), ".DS_Store"),
        (b"\xef\xbb\xbf<!-- x --><head><title>404</title>", "a web page"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "XML"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg/>', "SVG"),
        (b'{"error": "not found"}', "JSON"),
        (b"/annex/objects/SHA256E-s9--ab.jpg\n", "git annex get"),
        (gzip.compress(saved("JPEG")), "a gzip file"),
        (bytes(4000), "zeros"),
        (saved("TGA"), "TGA"),
        (saved("PCX"), "PCX"),
        (saved("ICO"), "an icon"),
        (saved("QOI"), "QOI"),
        (saved("DDS"), "DDS"),
    ],
)
def test_what_is_no_image_here_is_named(babycli: Babycli, content: bytes, what: str) -> None:
    ran = verify(babycli, content, "header")
    assert ran.code == 3
    assert what in ran.out
    assert "JPEG 2000" in ran.out


def test_a_jpeg_of_which_nothing_is_left_is_called_a_jpeg(babycli: Babycli) -> None:
    ran = verify(babycli, b"\xff\xd8", "decode")
    assert ran.code == 3
    assert "it begins as JPEG does" in ran.out


FRAME = b"\xff\xc0\x00\x11\x08"  # of a JPEG of three layers: its marker, length and bits


@pytest.mark.parametrize("depth", ["header", "decode"])
@pytest.mark.parametrize(
    ("frame", "why"),
    [(b"\xff\xc1\x00\x11\x0c", "a JPEG of 12 bits"), (b"\xff\xc5\x00\x11\x08", "a coding that is not read (SOF5)")],
)
def test_a_jpeg_of_a_form_that_is_not_read_is_named(babycli: Babycli, frame: bytes, why: str, depth: str) -> None:
    content = saved("JPEG").replace(FRAME, frame, 1)
    assert not pillow_reads(content)
    ran = verify(babycli, content, depth)
    assert (ran.code, "Undecodable folder/x.jpg: it is a JPEG" in ran.out, why in ran.out) == (3, True, True)


def test_what_macos_puts_beside_an_image_is_no_image(babycli: Babycli) -> None:
    verify(babycli, saved("PNG"), "header")
    double = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(60)
    Path("folder/._x.jpg").write_bytes(double)
    with Path("list").open("a") as stream:
        stream.write(f"{sha256(double).hexdigest()}  ._x.jpg\n")
    words = ("data", "verify", "folder", "--manifest", "list", "--depth", "decode")
    assert babycli(*words).code == 0
    Path("folder/._x.jpg").write_bytes(double + b"!")
    assert babycli(*words).code == 4


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM"])
def test_a_picture_of_one_colour_in_a_zip_is_no_bomb(babycli: Babycli, kind: str) -> None:
    content = saved(kind, Image.new("RGB", (1600, 1200)))
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("mask.bmp", content)
        packed = archive.infolist()[0].compress_size
    assert len(content) > 1000 * packed
    assert babycli("data", "extract", "a.zip", "out").code == 0
    assert Path("out/mask.bmp").read_bytes() == content


def test_no_library_speaks_to_the_user() -> None:
    """Pillow warns in Python, and libtiff writes past it."""
    folder = Path("folder")
    folder.mkdir()
    several_alphas = saved("PNG", NOISE.quantize(4), transparency=b"\x00\x40\x80\xff")
    fax = bytearray(saved("TIFF", NOISE.convert("1"), compression="group4"))
    fax[40:80] = bytes(40)
    jpeg = saved("TIFF", compression="jpeg")
    at = jpeg.index(b"\xff\xdb")
    for i, content in enumerate((several_alphas, bytes(fax), jpeg[:at] + bytes(60) + jpeg[at + 60 :])):
        (folder / f"{i}.png").write_bytes(content)
    words = [sys.executable, "-m", "babycli", "data", "manifest", "folder", "-o", "list"]
    subprocess.run(words, check=True, capture_output=True)
    words = [sys.executable, "-m", "babycli", "data", "verify", "folder", "--manifest", "list", "--depth", "decode"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 3)
    for word in ("Warning", "site-packages", "JPEGLib", "Fax4Decode"):
        assert word not in ran.stderr
    assert len(ran.stderr.splitlines()) <= 2, ran.stderr


# ---------------------------------------------------------------- pixels, and many more kinds of damage


@pytest.mark.parametrize("kind", ["JPEG", "PNG", *RARE])
def test_pixels_are_pillow_s(kind: str) -> None:
    content = saved(kind)
    assert decode(content, "x").tobytes() == Image.open(io.BytesIO(content)).convert("RGB").tobytes()
