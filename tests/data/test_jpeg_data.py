"""JPEGs from which a part of the picture is missing, which libjpeg fills up with grey: found; whole ones never are."""

from __future__ import annotations

import io
import random
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from babycli.data.jpeg import JpegError
from babycli.data.jpeg_data import check_coded_data
from tests.conftest import Babycli


def scene(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Flat ground, edges and noise, so that blocks of all kinds are in it."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, (90, 120, 60))
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        draw.ellipse((x, y, x + 40, y + 30), fill=(rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    half = (size[0] // 2 + 1, size[1] // 2 + 1)
    image.paste(Image.frombytes("RGB", half, rng.randbytes(half[0] * half[1] * 3)), (0, 0))
    return image


def jpeg(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


WAYS: list[dict[str, object]] = [
    {},
    {"quality": 100, "subsampling": 0},
    {"optimize": True},
    {"restart_marker_blocks": 3},
    {"progressive": True},
    {"progressive": True, "restart_marker_rows": 1},
]
WHOLE = jpeg(scene((200, 150)))
DATA = WHOLE.index(b"\xff\xda") + 14


def is_sound(content: bytes) -> bool:
    try:
        check_coded_data(content)
    except (JpegError, OSError):
        return False
    return True


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_whole_ones_are_sound(options: dict[str, object]) -> None:
    for i, size in enumerate([(1, 1), (8, 8), (17, 9), (120, 90), (90, 121)]):
        for mode in ("RGB", "L", "CMYK"):
            content = jpeg(scene(size, i).convert(mode), **options)
            check_coded_data(content)
            check_coded_data(content + b"what a maker adds")


@pytest.mark.parametrize("colour", ["black", "white", (128, 128, 128)])
@pytest.mark.parametrize("optimize", [False, True])
def test_a_plane_is_no_hole(colour: object, optimize: bool) -> None:
    for mode in ("RGB", "L"):
        image = Image.new("RGB", (900, 700), colour)  # type: ignore[arg-type]
        check_coded_data(jpeg(image.convert(mode), optimize=optimize))


@pytest.mark.parametrize("padding", [bytes(40), b"\xaa" * 40])
def test_padding_of_an_encoder_is_no_fault(padding: bytes) -> None:
    check_coded_data(WHOLE[:-2] + padding + b"\xff\xd9")


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_data_that_end_early_are_seen(options: dict[str, object]) -> None:
    whole = jpeg(scene((200, 150)), **options)
    last = whole.rindex(b"\xff\xda") + 14
    rng = random.Random(str(options))
    for _ in range(15):
        content = whole[: rng.randrange(last, len(whole) - 100)] + b"\xff\xd9"
        Image.open(io.BytesIO(content)).load()  # without a word
        assert not is_sound(content)


def test_every_hole_of_zeros_is_seen() -> None:
    rng = random.Random(1)
    for _ in range(60):
        at, n = rng.randrange(DATA, len(WHOLE) - 600), rng.choice((130, 512))
        content = WHOLE[:at] + bytes(n) + WHOLE[at + n :]
        Image.open(io.BytesIO(content)).load()
        assert not is_sound(content)


def test_most_lost_pieces_are_seen() -> None:
    rng = random.Random(2)
    seen = 0
    for _ in range(60):
        at = rng.randrange(DATA, len(WHOLE) - 600)
        seen += not is_sound(WHOLE[:at] + WHOLE[at + 512 :])
    assert seen > 50


def test_parts_between_restart_markers_in_another_order_are_seen() -> None:
    whole = jpeg(scene((200, 150)), restart_marker_blocks=3)
    first, second = whole.index(b"\xff\xd0"), whole.index(b"\xff\xd1")
    assert is_sound(whole)
    assert not is_sound(whole[:first] + whole[second:])


def test_verify_sees_it_at_depth_decode_alone(babycli: Babycli, empty_folder: None) -> None:
    Path("folder").mkdir()
    content = WHOLE[: len(WHOLE) // 2] + b"\xff\xd9"
    Path("folder/x.jpg").write_bytes(content)
    Path("list").write_text(f"{sha256(content).hexdigest()}  x.jpg\n")
    words = ("data", "verify", "folder", "--manifest", "list", "--depth")
    assert babycli(*words, "header").code == 0
    ran = babycli(*words, "decode")
    assert ran.code == 3
    assert "Truncated" in ran.out
    assert "its data end before the picture does" in ran.out
