"""How large the settings of a checkpoint may make a picture, and into how many pieces and tokens they may turn it.

Owns the bounds: far beyond any published model, and small enough for a computer's memory. Never reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babycli.errors import ModelError
from babycli.models.parts.known_keys import MOST_PIXELS, shown

_SIZES = ("size", "crop_size", "pad_size", "max_image_size", "image_size", "min_pixels")
_COUNTED = ("min_pixels", "merge_size")  # where one of them is, "shortest_edge" is a number of pixels in all
_MOST = {
    "patch_size": 256,
    "merge_size": 16,
    "temporal_patch_size": 16,
    "min_patches": 1000,
    "max_patches": 1000,
    "pan_and_scan_max_num_crops": 1000,
    "image_seq_len": 1 << 16,
    "image_seq_length": 1 << 16,
    "num_image_tokens": 1 << 16,
    "num_additional_image_tokens": 1 << 16,
}


def check_bounds(file: Path, settings: Mapping[str, Any], within: str = "") -> None:
    """Checks settings of ``file``, and those in them, which may be an image processor's. Raises ModelError."""
    is_counted = any(name in settings for name in _COUNTED)
    for name, value in settings.items():
        most = _MOST.get(name, MOST_PIXELS)
        if name == "min_pixels" or (name in _SIZES and is_counted and isinstance(value, dict)):
            most = MOST_PIXELS**2
        if (name in _SIZES or name in _MOST) and any(n > most for n in _numbers(value, is_counted)):
            raise ModelError(
                f"{file}: {within}{name} is {shown(value)}; at most {most:,} is read",
                "copy that file of the training run into the folder",
            )
        if isinstance(value, dict):
            check_bounds(file, value, f"{within}{name}.")


def _numbers(value: Any, is_counted: bool) -> list[float]:
    """Gives the numbers of a setting; without a bound from above on all pixels, which makes no picture larger."""
    if isinstance(value, dict):
        value = [number for key, number in value.items() if not (is_counted and key == "longest_edge")]
    numbers = value if isinstance(value, list) else [value]
    return [n for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
