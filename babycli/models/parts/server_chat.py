"""A context as the messages of OpenAI's chat API, and a picture as a data URL.

Owns the form of both. Never changes a pixel: a picture is sent as PNG, which loses nothing. Where the server puts it
among the words, and what it puts around them, is the business of the server's own chat template.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageChops

from babycli.domain import NO_PICTURE, Context, ImageRef, Turn
from babycli.models.base import Features, Pictures, Tokens
from babycli.models.parts.pictures import picture_digest

Message = Mapping[str, Any]
_PNG = b"\x89PNG\r\n\x1a\n"
_NO_FILTER, _UP = b"\0", b"\2"  # PNG's filters: with the second, a row is what differs from the row above
_SENT_AS_IT_IS = 1 << 18  # bytes of pixels: 295 x 295, packed they are a quarter less


@dataclass(frozen=True, slots=True)
class Url:
    """A picture in a data URL."""

    text: str

    @property
    def nbytes(self) -> int:
        return len(self.text)


@dataclass(frozen=True, slots=True)
class Worded(Tokens):
    """A request in words: the server makes the tokens. ``ids`` only tell requests apart."""

    wording: Context
    answer: str


def as_data_url(image: Image.Image) -> Features:
    """Makes the data URL of an RGB picture."""
    url = "data:image/png;base64," + base64.b64encode(_png_of(image)).decode()
    return Features(Url(url), picture_digest(image))


def _png_of(image: Image.Image) -> bytes:
    """Writes an RGB picture as PNG: a small one as it is, in a tenth of the time that packing it would take.

    signature | IHDR: width, height, 8 bits, RGB | IDAT: rows, the filter before each | IEND
    """
    head = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 0)
    if 3 * image.width * image.height <= _SENT_AS_IT_IS:
        packed = zlib.compress(_rows_of(image, _NO_FILTER), 0)
    else:
        above = Image.new("RGB", image.size)
        above.paste(image, (0, 1))
        packer = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)  # nothing is looked for that comes twice
        packed = packer.compress(_rows_of(ImageChops.subtract_modulo(image, above), _UP)) + packer.flush()
    return _PNG + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _rows_of(image: Image.Image, png_filter: bytes) -> bytes:
    pixels, n = image.tobytes(), 3 * image.width
    return b"".join(png_filter + pixels[start : start + n] for start in range(0, len(pixels), n))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def worded(context: Context, answer: str) -> Worded:
    """Makes the request of a context followed by an answer."""
    # 256 and more are no bytes of a text: a turn begins, a picture, one that is not shown, an answer begins.
    ids: list[int] = []
    for turn in context.turns:
        ids.append(256)
        for part in turn.parts:
            ids += part.encode("utf-8", "surrogatepass") if isinstance(part, str) else [257 + (part == NO_PICTURE)]
    end = tuple(answer.encode("utf-8", "surrogatepass"))
    return Worded((*ids, 259, *end), len(end), None, context, answer)


def messages_of(context: Context, pictures: Pictures) -> list[Message]:
    """Makes the messages of a context, with a picture for each of its places.

    The model's turns are plain texts. In the user's, empty words are left out unless there is nothing else.
    """
    urls = (features.data.text for features in pictures)
    return [_message(turn, urls) for turn in context.turns]


def _message(turn: Turn, urls: Any) -> Message:
    if turn.role == "model":
        return {"role": "assistant", "content": "".join(part for part in turn.parts if isinstance(part, str))}
    content: list[Message] = []
    for part in turn.parts:
        if isinstance(part, ImageRef):
            if part != NO_PICTURE:
                content.append({"type": "image_url", "image_url": {"url": next(urls)}})
        elif part:
            content.append({"type": "text", "text": part})
    return {"role": "user", "content": content or [{"type": "text", "text": ""}]}
