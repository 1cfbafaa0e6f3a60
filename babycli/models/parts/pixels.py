"""Turning a decoded picture into the tensor that a vision tower reads.

Owns padding, resizing and normalising. Never opens a file. The defaults follow CLIPImageProcessor as BabyLLaVA sets it
up (llava/model/multimodal_encoder/resnext_encoder.py @ 846ee9d): bilinear with antialiasing to a square, no crop,
ImageNet mean and standard deviation; LLaVA and CVCL have other settings in PixelSpec. Pictures arrive here as RGB. The
original pads before it converts, and so crashes on a non-square grayscale picture and pads a CMYK one with a wrong
colour.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from babycli.errors import ModelError


@dataclass(frozen=True, slots=True)
class PixelSpec:
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    pad: bool = True  # first pad to a square with the mean colour
    crop: bool = False  # resize the shorter edge to ``size`` and keep the middle of the longer, instead of stretching
    resample: Image.Resampling = Image.Resampling.BILINEAR

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
    resized = _cropped(image, spec) if spec.crop else image.resize((spec.size, spec.size), spec.resample)
    values = np.asarray(resized)
    normal = np.empty((3, spec.size, spec.size), np.float32)
    for channel, table in enumerate(_normalised(spec.mean, spec.std)):
        np.take(table, values[:, :, channel], out=normal[channel])
    return torch.from_numpy(normal)


@functools.cache
def _normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Makes the table (3, 256) of normalised values for each value of a channel, rounded as by CLIPImageProcessor."""
    scaled = (np.arange(256, dtype=np.float64)[:, None] * (1 / 255)).astype(np.float32)
    table = (scaled - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(table.T, dtype=np.float32)


def _cropped(image: Image.Image, spec: PixelSpec) -> Image.Image:
    """Resizes a picture and cuts out the middle square; sizes are rounded down as by CLIPImageProcessor.

    300 x 200 to 336:  504 x 336, then the columns 84 to 420.
    """
    width, height = image.size
    shorter = min(width, height)
    resized = image.resize((int(spec.size * width / shorter), int(spec.size * height / shorter)), spec.resample)
    left, top = (resized.width - spec.size) // 2, (resized.height - spec.size) // 2
    return resized.crop((left, top, left + spec.size, top + spec.size))


def _padded(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def clip_pixels(settings: Mapping[str, Any], image_size: int, pads: bool) -> PixelSpec:
    """Reads the settings of a CLIP checkpoint's preprocessor_config.json; defaults are those of CLIPImageProcessor.

    Raises ModelError unless they describe a square crop of the size that the tower reads.
    """
    sizes = {_edge(settings.get(key, image_size)) for key in ("size", "crop_size")}
    if sizes != {image_size}:
        raise ModelError(
            f"preprocessor_config.json: size {settings.get('size')!r} and crop_size {settings.get('crop_size')!r} "
            f"are not the {image_size} pixels that the vision tower reads"
        )
    return PixelSpec(
        size=image_size,
        mean=_three(settings, "image_mean", (0.48145466, 0.4578275, 0.40821073)),
        std=_three(settings, "image_std", (0.26862954, 0.26130258, 0.27577711)),
        pad=pads,
        crop=True,
        resample=Image.Resampling(settings.get("resample", Image.Resampling.BICUBIC)),
    )


def _edge(size: object) -> object:
    """Reads a size: ``336``, ``{"shortest_edge": 336}`` and ``{"height": 336, "width": 336}`` are all 336."""
    if not isinstance(size, dict):
        return size
    edges = {size[key] for key in ("shortest_edge", "height", "width") if size.get(key) is not None}
    return edges.pop() if len(edges) == 1 else None


def _three(settings: Mapping[str, Any], key: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = settings.get(key) or default
    return float(red), float(green), float(blue)
