"""What families of every kind do with a decoded picture before anything is computed from it.

Owns the digest, for families that compute no features before they are asked, and which pictures are too thin to be
prepared. Never opens a file.
"""

from __future__ import annotations

from hashlib import sha256

from PIL.Image import Image

from babycli.errors import DataError

MAX_PREPARED = 1 << 27  # pixels of a picture that is resized before its middle is taken, or padded: half a gigabyte
_EDGE = 384  # pixels of the shorter edge that an image processor of transformers may ask for, or less


def picture_digest(image: Image) -> bytes:
    """Gives the SHA-256 over the size and pixels of an RGB picture."""
    return sha256(f"{image.size}".encode() + image.tobytes()).digest()


def check_thinness(image: Image, n_pixels: int | None = None) -> None:
    """Checks that preparing a picture cannot take all memory. Raises DataError, which does not know the picture's name.

    ``n_pixels`` is how many pixels it will have meanwhile. Where that is not known it is assumed that the picture is
    padded to a square, or that its shorter edge is enlarged.
    """
    width, height = image.size
    if n_pixels is None:
        longer, shorter = max(width, height), min(width, height)
        n_pixels = max(longer * longer, _EDGE * _EDGE * longer // shorter) if longer > 8 * shorter else width * height
    if n_pixels > MAX_PREPARED:
        raise too_thin(image, n_pixels)


def too_thin(image: Image, n_pixels: int) -> DataError:
    """Makes the error for a picture that would have ``n_pixels`` before it has the size that a model reads."""
    return DataError(
        f"a picture of {image.width:,} by {image.height:,} pixels is too thin: prepared for this model it would have "
        f"{n_pixels:,} pixels at first",
        "replace the picture, or take the trials with it out of the label file",
    )
