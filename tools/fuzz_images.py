"""Damaged images: babycli gives the pixels that Pillow gives, or an ImageError where Pillow raises anything at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from random import Random

from fuzz_target import Target, damaged
from PIL import Image

from babycli.data.decoding import FORMATS, check_header, check_pixels, decode
from babycli.data.images import ImageError
from babycli.data.problems import ProblemKind

_PNG = b"\x89PNG\r\n\x1a\n"
_WAYS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "CMYK", {"restart_marker_blocks": 1}),
    ("PNG", "RGB", {}),
    ("PNG", "P", {"transparency": b"\x00\x40\x80"}),
    ("PNG", "I;16", {}),
    ("GIF", "P", {}),
    ("BMP", "P", {}),
    ("BMP", "RGB", {}),
    ("TIFF", "RGB", {}),
    ("TIFF", "P", {}),
    ("TIFF", "L", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("PPM", "L", {}),
    ("PPM", "RGB", {}),
    ("WEBP", "RGB", {}),
    ("AVIF", "RGB", {}),
    ("JPEG2000", "RGB", {}),
)


def _samples() -> list[bytes]:
    rng = Random(1)
    noise = Image.frombytes("RGB", (24, 18), rng.randbytes(24 * 18 * 3))
    samples = []
    for kind, mode, options in _WAYS:
        image = noise.convert("L").convert(mode) if mode == "I;16" else noise.convert(mode)
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        samples.append(stream.getvalue())
    return samples


def _damaged(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
    content = damaged(rng, sample, samples)
    return _with_checksums(content) if content.startswith(_PNG) and rng.random() < 0.7 else content


def _with_checksums(png: bytes) -> bytes:
    """Makes the CRC-32 of every chunk right, so that damage gets beyond the first check."""
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(png):
        end = min(at + 8 + int.from_bytes(png[at : at + 4], "big"), len(png) - 4)
        parts += [png[at:end], struct.pack(">L", zlib.crc32(png[at + 4 : end]))]
        at = end + 4
    return b"".join([*parts, png[at:]])


def _attempt(content: bytes) -> str:
    ours = kind = None
    try:
        ours = decode(content, "x").tobytes()
    except ImageError as error:
        kind = error.kind
    if kind == ProblemKind.SUSPICIOUS_SIZE:
        return ""
    theirs = _pillow_s(content)
    if ours != theirs:
        return f"Pillow {'gives other pixels' if theirs and ours else 'reads it' if theirs else 'does not read it'}"
    is_sound = {}
    for check in (check_header, check_pixels):
        try:
            check(content, "x")
            is_sound[check] = True
        except ImageError:
            is_sound[check] = False
    if is_sound[check_pixels] and not (theirs and is_sound[check_header]):
        return "it is called sound, and is not"
    return ""


def _pillow_s(content: bytes) -> bytes | None:
    """Gives the pixels that Pillow by itself makes, None where it raises anything. libtiff's words go nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS).convert("RGB").tobytes()
    except Exception:  # noqa: BLE001  # what it raises does not matter
        return None
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


TARGET = Target("images", _samples, _attempt, _damaged)
