"""Turning a picture into pixels as open_clip does, with Pillow: resize, cut out the middle, normalise.

Owns the settings under preprocess_cfg. Never opens a picture. torchvision, with which open_clip does it, takes another
middle than transformers where an odd number of pixels is left over.

Source: image_transform in transform.py of open_clip 3.3, CenterCrop and Resize of torchvision 0.28.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from babycli.errors import ModelError
from babycli.models.parts.known_keys import is_number, is_whole, note_on_unknown, shown
from babycli.models.parts.pictures import check_thinness

_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_FILTERS["random"] = Image.Resampling.BICUBIC  # random in training alone
_MODES = ("shortest", "longest", "squash")
_KNOWN = {"mean", "std", "interpolation", "resize_mode", "fill_color", "size", "mode"}


@dataclass(frozen=True, slots=True)
class OpenClipPictures:
    """How pictures become (3, size, size)."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: Image.Resampling
    mode: str  # of _MODES: the edge that becomes ``size``; "squash" makes both
    fill: int  # around what is too small
    notes: tuple[str, ...]

    @property
    def key(self) -> str:
        """All settings: equal keys, equal pixels."""
        return f"open_clip {self.size} {self.mean} {self.std} {self.resample} {self.mode} {self.fill}"

    def pixels(self, image: Image.Image) -> Tensor:
        """Turns an RGB picture into float32 (3, size, size). Raises DataError for one that is too thin."""
        width, height = self._resized(image)
        check_thinness(image, width * height)
        values = np.asarray(self._middle(image.resize((width, height), self.resample)), dtype=np.float32)
        levels = torch.from_numpy(values.copy()).permute(2, 0, 1) / 255
        mean, std = (torch.tensor(three)[:, None, None] for three in (self.mean, self.std))
        return (levels - mean) / std

    def _resized(self, image: Image.Image) -> tuple[int, int]:
        width, height = image.size
        if self.mode == "squash":
            return self.size, self.size
        if self.mode == "longest":
            ratio = max(width, height) / self.size
            return round(width / ratio), round(height / ratio)
        longer = int(self.size * max(width, height) / min(width, height))
        return (self.size, longer) if width <= height else (longer, self.size)

    def _middle(self, image: Image.Image) -> Image.Image:
        """Cuts out the middle; what is smaller than that gets an edge first, the odd pixel to the right and below."""
        size = self.size
        width, height = max(size, image.width), max(size, image.height)
        if (width, height) != image.size:
            whole = Image.new("RGB", (width, height), (self.fill,) * 3)
            whole.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
            image = whole
        left, top = round((width - size) / 2), round((height - size) / 2)
        return image.crop((left, top, left + size, top + size))


def pictures_of(file: Path, settings: Mapping[str, Any], image_size: int) -> OpenClipPictures:
    """Reads preprocess_cfg of ``file``. Raises ModelError for what cannot be followed."""

    def refuse(key: str, expected: str) -> ModelError:
        return ModelError(f"{file}: preprocess_cfg.{key} {shown(settings.get(key))}: expected is {expected}")

    def three(key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        value = settings.get(key) or default
        values = [value] * 3 if is_number(value) else value
        if (
            not isinstance(values, list | tuple)
            or len(values) != 3
            or not all(is_number(v) and isfinite(v) for v in values)
        ):
            raise refuse(key, "three numbers, for red, green and blue")
        if key == "std" and 0 in values:
            raise refuse(key, "no 0, by which values would be divided")
        return tuple(float(v) for v in values)

    interpolation, mode = settings.get("interpolation") or "bicubic", settings.get("resize_mode") or "shortest"
    if not isinstance(interpolation, str) or interpolation not in _FILTERS:
        raise refuse("interpolation", " or ".join(_FILTERS))
    if mode not in _MODES:
        raise refuse("resize_mode", " or ".join(_MODES))
    if settings.get("size") not in (None, image_size, [image_size] * 2):
        raise refuse("size", f"the model's {image_size}")
    if settings.get("mode") not in (None, "RGB"):
        raise refuse("mode", '"RGB"')
    fill = settings.get("fill_color") or 0
    if not is_whole(fill) or not 0 <= fill <= 255:
        raise refuse("fill_color", "a whole number from 0 to 255")
    unknown = [f"preprocess_cfg.{key}" for key in settings if key not in _KNOWN]
    return OpenClipPictures(
        image_size,
        three("mean", _MEAN),
        three("std", _STD),
        _FILTERS[interpolation],
        mode,
        fill,
        note_on_unknown(file, unknown),
    )
