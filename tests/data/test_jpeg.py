"""The walk through a JPEG against Pillow: sizes agree, every cut is seen, and what Pillow reads is not refused."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from babycli.data.jpeg import JpegError, is_jpeg, jpeg_size

WAYS: list[dict[str, object]] = [
    {},
    {"progressive": True},
    {"optimize": True},
    {"restart_marker_blocks": 2},
    {"quality": 100},
]


def picture(size: tuple[int, int], **options: object) -> bytes:
    stream = io.BytesIO()
    Image.frombytes("RGB", size, random.Random(str(size)).randbytes(size[0] * size[1] * 3)).save(
        stream,
        "JPEG",
        **options,
    )
    return stream.getvalue()


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (7, 50), (300, 200)])
def test_the_size_is_pillow_s(size: tuple[int, int], options: dict[str, object]) -> None:
    assert jpeg_size(picture(size, **options)) == size


def with_thumbnail() -> bytes:
    exif = Image.Exif()
    exif[0x9286] = picture((16, 16))  # a picture of its own in the header, with an end of its own
    return picture((100, 80), exif=exif)


@pytest.mark.parametrize("content", [*(picture((64, 48), **options) for options in WAYS), with_thumbnail()])
def test_every_cut_is_seen(content: bytes) -> None:
    for length in range(3, len(content) - 1):
        with pytest.raises(JpegError) as caught:
            jpeg_size(content[:length])
        is_at_inner_end = content[:length].rstrip(b"\0").endswith(b"\xff\xd9")  # of the thumbnail
        assert caught.value.is_truncated != is_at_inner_end


@pytest.mark.parametrize(
    "more", [b"trailer", b"trailer\xff\xda more", b"\xff", bytes(5000), picture((8, 8)), b"\xff\xd9"]
)
def test_what_follows_the_picture_is_no_fault(more: bytes) -> None:
    content = picture((64, 48)) + more
    Image.open(io.BytesIO(content)).load()
    assert jpeg_size(content) == (64, 48)


@pytest.mark.parametrize("between", [b"\xff\xff", b"\x00\x00", b"\xff\x00", b"junk"])
def test_what_pillow_passes_over_between_segments_is_no_fault(between: bytes) -> None:
    content = picture((64, 48))
    at = 4 + int.from_bytes(content[4:6], "big")  # behind the first
    content = content[:at] + between + content[at:]
    assert Image.open(io.BytesIO(content)).size == jpeg_size(content) == (64, 48)


def is_cut_off(content: bytes) -> bool:
    try:
        jpeg_size(content)
    except JpegError as error:
        return error.is_truncated
    return False


@pytest.mark.parametrize("seed", range(10))
def test_a_changed_byte_does_not_cut_a_picture_off(seed: int) -> None:
    rng = random.Random(seed)
    whole = picture((64, 48), progressive=bool(seed % 2))
    for _ in range(300):
        content = bytearray(whole)
        content[rng.randrange(2, len(content) - 2)] ^= 1 << rng.randrange(8)
        assert not is_cut_off(bytes(content))


def without_frame() -> bytes:
    content = picture((8, 8))
    at = content.index(b"\xff\xc0")
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def of_no_width() -> bytes:
    content = bytearray(picture((8, 8)))
    at = content.index(b"\xff\xc0")
    content[at + 7 : at + 9] = b"\0\0"
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (without_frame(), "no frame header"),
        (of_no_width(), "0 by 8 pixels"),
        (b"\xff\xd8\xff\xe0\x00\x01" + bytes(20), "a segment of 1 bytes at byte 2"),
        (b"\xff\xd8\xff\xd9" + bytes(20), "it ends at byte 2"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, complaint: str) -> None:
    assert is_jpeg(content)
    with pytest.raises(JpegError, match=complaint) as caught:
        jpeg_size(content)
    assert not caught.value.is_truncated


@pytest.mark.parametrize("seed", range(20))
def test_damage_raises_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    whole = picture((40, 30), progressive=bool(seed % 2))
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 3, 20))):
            content[rng.randrange(2, len(content))] = rng.randrange(256)
        try:
            jpeg_size(bytes(content))
        except JpegError:
            continue
