"""What the bytes of an image file are: a whole image or not, and which pixels.

Owns how closely to look, the limits of size, and everything that Pillow raises or says: nothing else in babycli opens
an image of the user's. Never reads a file and never resizes.

A damaged file makes Pillow raise almost anything (TypeError, OverflowError, AssertionError, MemoryError, struct.error
and more), so that this is the only place where every exception is caught: each of them means that this image cannot be
decoded.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import warnings
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError, features

from babycli.data.beginnings import what_begins
from babycli.data.cost import Watched, check_parts, check_work
from babycli.data.images import ImageError
from babycli.data.jpeg import MAX_PIXELS, JpegBombError, JpegError, check_scans, is_jpeg, jpeg_size
from babycli.data.jpeg_data import check_coded_data
from babycli.data.png import PNG, PNG_END, find_damage, lacks_rows, reaches_end
from babycli.data.problems import ProblemKind
from babycli.wording import all_of, one_line

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
MAX_SIDE = 65_535  # the most that a JPEG can have; what a model does with a picture grows with its longer side

_WRITTEN = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}
_FEATURES = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}  # what some builds of Pillow lack

_FORESEEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    MemoryError,
    Image.DecompressionBombError,
)  # with words of its own
_stderr_lock = threading.Lock()

# A picture that is odd but readable is no news to the user, and Pillow's words are no help: none of them is shown. Set
# once, because a filter that is set and taken back by several threads at once may stay or be lost.
warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)


def check_header(content: bytes, path: str) -> None:
    """Checks that the bytes are those of an image from its beginning to its end. Raises ImageError.

    It notices a file that is no image, one with too many pixels, and one that was cut off. JPEG and PNG are not decoded
    for that, as long as their structure is sound; damage to their pixels is not noticed. All other formats are decoded,
    for they do not say where they end.
    """
    with _explained(path):
        _look(content, path)


def check_pixels(content: bytes, path: str) -> None:
    """Checks that an image can be decoded, and that no part of its picture is missing. Raises ImageError.

    From a JPEG with a hole or without its second half libjpeg makes a picture that is partly grey, and says nothing;
    so does zlib with the rows of a PNG.
    """
    with _explained(path):
        if _look(content, path):
            return
        image = _open(content, path)
        if is_jpeg(content):
            check_coded_data(content)
            return
        _to_rgb(image)
        damaged_at = find_damage(content) if image.format == "PNG" else None
        if damaged_at is not None:
            detail = f"its data are damaged: the CRC-32 of those at byte {damaged_at} is wrong"
            raise ImageError(ProblemKind.UNDECODABLE, path, detail)
        if image.format == "PNG" and _is_last_row_black(image) and lacks_rows(content):
            detail = "its data end before the picture does, and the rest is black"
            raise ImageError(ProblemKind.TRUNCATED, path, detail)


def decode(content: bytes, path: str) -> Image.Image:
    """Decodes a picture to RGB, EXIF orientation not applied (as the original). Raises ImageError."""
    with _explained(path):
        return _to_rgb(_open(content, path))


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turns whatever a decoder raises into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except JpegBombError as error:
        raise ImageError(ProblemKind.SUSPICIOUS_SIZE, path, str(error)) from error
    except JpegError as error:
        kind = ProblemKind.TRUNCATED if error.is_truncated else ProblemKind.UNDECODABLE
        raise ImageError(kind, path, str(error)) from error
    except Image.DecompressionBombError as error:
        detail = f"more than {MAX_PIXELS:,} pixels; no image has so many"
        raise ImageError(ProblemKind.SUSPICIOUS_SIZE, path, detail) from error
    except MemoryError as error:
        detail = "there is not enough memory to decode it, or its header is damaged"
        raise ImageError(ProblemKind.UNDECODABLE, path, detail) from error
    except _FORESEEN as error:
        kind = ProblemKind.TRUNCATED if "truncated" in str(error).lower() else ProblemKind.UNDECODABLE
        raise ImageError(kind, path, one_line(error)) from error
    except Exception as error:  # where it did not foresee the damage; see the head of this file
        detail = f"it is damaged; Pillow stops with {type(error).__name__}"
        raise ImageError(ProblemKind.UNDECODABLE, path, detail) from error


def _open(content: bytes, path: str) -> Image.Image:
    """Reads the header of an image, whose pixels Pillow reads later. Raises ImageError, or what Pillow raises."""
    if is_jpeg(content):
        check_scans(content)
    check_parts(content, path)
    stream = Watched(content, path)
    is_common = content.startswith((b"\xff\xd8", PNG))  # Pillow loads its other decoders when one is asked for
    try:
        image = Image.open(stream, formats=FORMATS[:2] if is_common else _formats())
    except UnidentifiedImageError as error:
        what = what_begins(content)
        readable = [_WRITTEN.get(name, name) for name in _formats()]
        if what in readable:
            detail = (
                f"it begins as {what} does, and what should follow is missing, damaged or of a kind that is not read"
            )
            raise ImageError(ProblemKind.UNDECODABLE, path, detail) from error
        detail = f"it is {what or 'none'}; formats that are read: {all_of(readable)}"
        raise ImageError(ProblemKind.NOT_AN_IMAGE, path, detail) from error
    _check_size(*image.size, path)
    check_work(image, stream, path)
    return image


def _is_last_row_black(image: Image.Image) -> bool:
    return not any(image.crop((0, image.height - 1, image.width, image.height)).tobytes())


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.format != "TIFF":
        return image.convert("RGB")
    with _stderr_lock, _without_stderr():  # libtiff writes there what it finds wrong, past Python
        return image.convert("RGB")


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Lets file descriptor 2 lead nowhere. What other threads write meanwhile is lost too, so use it for moments."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@functools.cache
def _formats() -> tuple[str, ...]:
    """Gives those of FORMATS that the installed Pillow reads."""
    Image.init()
    is_there = {name: name in Image.OPEN for name in FORMATS}
    is_there |= {name: is_there[name] and bool(features.check(feature)) for name, feature in _FEATURES.items()}
    return tuple(name for name in FORMATS if is_there[name])


def _check_size(width: int, height: int, path: str) -> None:
    if width * height > MAX_PIXELS:
        detail = f"{width:,} by {height:,} pixels, and no more than {MAX_PIXELS:,} in all are decoded"
        raise ImageError(ProblemKind.SUSPICIOUS_SIZE, path, detail)
    if max(width, height) > MAX_SIDE:
        detail = f"{width:,} by {height:,} pixels, and no side may have more than {MAX_SIDE:,}"
        raise ImageError(ProblemKind.SUSPICIOUS_SIZE, path, detail)


def _look(content: bytes, path: str) -> bool:
    """Does the work of check_header(); tells whether the pixels were decoded for it."""
    if is_jpeg(content):
        return _look_at_jpeg(content, path)
    image = _open(content, path)
    if image.format == "PNG":
        if reaches_end(content):
            return False
        if PNG_END not in content:
            detail = f"{len(content)} bytes, and the end of the PNG is not among them"
            raise ImageError(ProblemKind.TRUNCATED, path, detail)
    try:
        _to_rgb(image)
    except _FORESEEN:
        raise
    except Exception:  # noqa: BLE001  # damage for which Pillow has no words, found when it is decoded; not a cut
        return False
    return True


def _look_at_jpeg(content: bytes, path: str) -> bool:
    try:
        _check_size(*jpeg_size(content), path)
    except JpegError as error:
        if not error.lacks_end:
            raise
        # Some cameras write data of their own instead of the end marker. Zeros are what a download was not filled with.
        try:
            for form in dict.fromkeys((content.rstrip(b"\0"), content)):
                _to_rgb(_open(form, path))
        except OSError:
            raise error from None
        return True
    return False
