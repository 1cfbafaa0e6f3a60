"""Turning a decoded picture into the tensor that a vision tower reads.

Owns padding, resizing and normalising. Never opens a file. The defaults follow CLIPImageProcessor as BabyLLaVA sets it
up (llava/model/multimodal_encoder/resnext_encoder.py @ 846ee9d): bilinear with antialiasing to a square, no crop,
ImageNet mean and standard deviation; LLaVA and CVCL have other settings in PixelSpec. Pictures arrive here as RGB. The
original pads before it converts, and so crashes on a non-square grayscale picture and pads a CMYK one with a wrong
colour.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from babycli.models.parts.pictures import check_thinness, too_thin

_MAX_PADDED = 1 << 26  # pixels of a padded square that is made in one piece: every photograph's
_MAX_BAND = 1 << 22  # pixels of a larger one that are made at once
_MAX_PADDED_IN_ALL = 1 << 30  # and one after the other: 10 seconds of a core


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """The steps from a picture to the tensor: pad, resize, crop, rescale, normalise."""

    size: int = 224  # the edge of the square that comes out, in pixels
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    pad: bool = True  # first pad to a square with the mean colour
    resizes: bool = True  # stretched to size x size, unless one of the next two says otherwise
    shorter: int | None = None  # the length that the shorter edge gets; the longer keeps its proportion
    stretch: tuple[int, int] | None = None  # height and width
    crop: bool = False  # then keep the middle, size x size, and black where the picture is smaller
    resample: Image.Resampling = Image.Resampling.BILINEAR
    scale: float | None = 1 / 255  # by which the values 0 to 255 are multiplied; None: they are not
    normalises: bool = True  # subtract the mean, divide by the deviation

    @property
    def background(self) -> tuple[int, int, int]:
        """The mean colour; what lies beyond black or white is that."""
        red, green, blue = (min(max(int(channel * 255), 0), 255) for channel in self.mean)
        return red, green, blue

    @property
    def is_finite(self) -> bool:
        """Whether every value of a picture becomes a number of float32."""
        return bool(np.isfinite(_levels(self.mean, self.std, self.scale, self.normalises)).all())


def to_pixels(image: Image.Image, spec: PixelSpec) -> Tensor:
    """Turns an RGB picture into float32 (3, size, size).

    Raises ValueError for another mode, DataError for a picture that is too thin.
    """
    if image.mode != "RGB":
        raise ValueError(f"expected an RGB picture, got mode {image.mode}")
    values = np.asarray(_prepared(image, spec))
    normal = np.empty((3, spec.size, spec.size), np.float32)
    for channel, table in enumerate(_levels(spec.mean, spec.std, spec.scale, spec.normalises)):
        np.take(table, values[:, :, channel], out=normal[channel])
    return torch.from_numpy(normal)


@functools.cache
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def _levels(
    mean: tuple[float, ...], std: tuple[float, ...], scale: float | None, normalises: bool
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Makes the table (3, 256) of what becomes of each value of a channel, rounded as by CLIPImageProcessor."""
    values = np.arange(256, dtype=np.float64)[:, None]
    scaled = (values if scale is None else values * scale).astype(np.float32)
    if not normalises:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # which changes no bit
    table = (scaled - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(table.T, dtype=np.float32)


def _prepared(image: Image.Image, spec: PixelSpec) -> Image.Image:
    """Pads, resizes and crops a picture as the settings say. Raises DataError if it is too thin for that."""
    side = max(image.size)
    pads = spec.pad and image.width != image.height
    size = (side, side) if pads else image.size
    if spec.resizes:
        size = _resized(size, spec)
    check_thinness(image, size[0] * size[1])
    if pads and side * side > _MAX_PADDED:
        if not spec.resizes:
            raise too_thin(image, side * side)
        image = _padded_rows(image, spec, size[0])
    elif pads:
        image = _padded(image, spec.background)
    if spec.resizes:
        image = image.resize(size, spec.resample)
    return _cropped(image, spec.size) if spec.crop else image


def _resized(size: tuple[int, int], spec: PixelSpec) -> tuple[int, int]:
    """Gives width and height after resizing, rounded down as by CLIPImageProcessor: 300 x 200 to 336 is 504 x 336."""
    if spec.shorter is not None:
        width, height = size
        edge = min(width, height)
        return int(spec.shorter * width / edge), int(spec.shorter * height / edge)
    height, width = spec.stretch or (spec.size, spec.size)
    return width, height


def _cropped(image: Image.Image, size: int) -> Image.Image:
    """Cuts out the middle square, as CLIPImageProcessor does: of 504 x 336 the columns 84 to 420.

    A picture that is smaller lies in the middle of a black square.
    """
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _padded(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    width, height = image.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def _padded_rows(image: Image.Image, spec: PixelSpec, n_columns: int) -> Image.Image:
    """Gives the padded square with its rows resized, (n_columns, side). Raises DataError for too tall and thin a one.

    The square itself is never held: that of 30000 x 2 pixels has 3.6 GB.
    Pillow resizes the rows of a square first and then its columns, each by itself; rows of the background stay as they
    are. So the picture is padded and resized in bands, and resizing the columns of the result gives the very pixels.
    """
    width, height = image.size
    side = max(width, height)
    if side * height > _MAX_PADDED_IN_ALL:
        raise too_thin(image, side * height)
    rows = Image.new("RGB", (n_columns, side), spec.background)
    left, top = (side - width) // 2, (side - height) // 2
    n_rows = max(1, _MAX_BAND // side)
    for y in range(0, height, n_rows):
        band = image.crop((0, y, width, min(y + n_rows, height)))
        padded = Image.new("RGB", (side, band.height), spec.background)
        padded.paste(band, (left, 0))
        rows.paste(padded.resize((n_columns, band.height), spec.resample), (0, top + y))
    return rows
