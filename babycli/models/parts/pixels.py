"""From a decoded picture to the tensor a vision tower reads.

Owns padding, resizing and normalising. Never opens a file. Follows CLIPImageProcessor as BabyLLaVA sets it up
(llava/model/multimodal_encoder/resnext_encoder.py @ 846ee9d): bilinear with antialiasing to a square, no crop,
ImageNet mean and standard deviation. Unlike the original, which pads first and so crashes on a non-square
grayscale picture and pads a CMYK one with a wrong colour, pictures arrive here as RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PixelSpec:
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    pad: bool = True  # to a square of the mean colour, instead of stretching

    @property
    def background(self) -> tuple[int, int, int]:
        red, green, blue = (int(channel * 255) for channel in self.mean)
        return red, green, blue


def to_pixels(image: Image.Image, spec: PixelSpec) -> Tensor:
    """An RGB picture of any size as float32 (3, size, size). Raises ValueError for another mode."""
    if image.mode != "RGB":
        raise ValueError(f"expected an RGB picture, got mode {image.mode}")
    if spec.pad:
        image = _padded(image, spec.background)
    resized = image.resize((spec.size, spec.size), Image.Resampling.BILINEAR)
    scaled = (np.asarray(resized) * (1 / 255)).astype(np.float32)
    normal = (scaled - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1)))


def _padded(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square
