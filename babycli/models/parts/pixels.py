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
        red, green, blue = (int(channel * 255) for channel in self.mean)
        return red, green, blue


def to_pixels(image: Image.Image, spec: PixelSpec) -> Tensor:
    """Turns an RGB picture of any size into float32 (3, size, size). Raises ValueError for another mode."""
    if image.mode != "RGB":
        raise ValueError(f"expected an RGB picture, got mode {image.mode}")
    if spec.pad:
        image = _padded(image, spec.background)
    if spec.resizes:
        image = image.resize(_resized(image.size, spec), spec.resample)
    if spec.crop:
        image = _cropped(image, spec.size)
    values = np.asarray(image)
    normal = np.empty((3, spec.size, spec.size), np.float32)
    for channel, table in enumerate(_levels(spec.mean, spec.std, spec.scale, spec.normalises)):
        np.take(table, values[:, :, channel], out=normal[channel])
    return torch.from_numpy(normal)


@functools.cache
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
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square
