"""The settings of a checkpoint for its pictures: the file that holds them, and what they mean for LLaVA's CLIP tower.

    preprocessor_config.json   {"size": {"shortest_edge": 336}, ...}
    processor_config.json      {"image_processor": {"size": ...}, ...}     as transformers 5 saves them; it comes first

Owns reading them as transformers' CLIPImageProcessor does. Never opens a picture. A setting that cannot be followed is
refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from babycli.errors import ModelError
from babycli.models.parts import checkpoint
from babycli.models.parts.known_keys import PICTURES, check_keys, is_number, is_whole, note_on_unknown, shown
from babycli.models.parts.picture_bounds import check_bounds
from babycli.models.parts.pixels import PixelSpec

_NESTED, _PLAIN = "processor_config.json", "preprocessor_config.json"
# The classes of transformers that prepare pictures in this way, by their names in all of its versions.
_CLASS = re.compile(r"(CLIP|Llava)(ImageProcessor|FeatureExtractor)(Fast|Pil)?")
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_EDGE = 224  # to which CLIPImageProcessor resizes and crops where the file does not say it


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """The settings of an image processor, and the file that they are from."""

    file: Path
    settings: Mapping[str, Any]

    @property
    def notes(self) -> tuple[str, ...]:
        """The keys that babycli does not know, for the notes of a run."""
        return note_on_unknown(self.file, [key for key in self.settings if key not in PICTURES])

    def refuse(self, key: str, why: str) -> ModelError:
        """Makes the error for a setting that cannot be followed."""
        return ModelError(f"{self.file}: {key} {shown(self.settings.get(key))}: {why}")

    def on(self, key: str) -> bool:
        """Tells whether a step is taken: it is unless the file says false, or null, as in transformers."""
        return bool(self.settings.get(key, True))


def read_picture_settings(folder: Path) -> PictureSettings:
    """Reads the settings of a checkpoint folder, from the file that transformers would take.

    Raises ModelError if there is no such file, or if it is malformed.
    """
    found = find_picture_settings(folder)
    if found is None:
        raise ModelError(
            f"the checkpoint {folder} does not say how to prepare pictures: it has no {_PLAIN}",
            "copy that file of the training run into the folder",
        )
    return found


def find_picture_settings(folder: Path) -> PictureSettings | None:
    """Does as read_picture_settings, and gives None where there is no such file."""
    whole = checkpoint.read_json_object(folder / _NESTED, missing_ok=True)
    if "image_processor" in whole:
        file, settings = folder / _NESTED, whole["image_processor"]
        if not isinstance(settings, dict):
            raise ModelError(f"{file}: image_processor {shown(settings)} is not a JSON object")
    elif (folder / _PLAIN).is_file():
        file, settings = folder / _PLAIN, checkpoint.read_json_object(folder / _PLAIN)
    else:
        return None
    check_bounds(file, settings)
    return PictureSettings(file, settings)


def pixel_spec(pictures: PictureSettings, image_size: int, pads: bool, any_class: bool) -> PixelSpec:
    """Makes the spec by which a picture becomes (3, image_size, image_size), as CLIPImageProcessor makes it.

    ``pads``: pictures are made square before. ``any_class``: the file may name another class than CLIP's, because the
    original takes CLIP's whatever the file says. Raises ModelError for settings that mean something else.
    """
    settings = pictures.settings
    check_keys(pictures.file, settings, PICTURES)
    kind = settings.get("image_processor_type") or settings.get("feature_extractor_type")
    if not any_class and kind is not None and not _CLASS.fullmatch(str(kind)):
        raise ModelError(
            f"{pictures.file}: image_processor_type {shown(kind)} is not CLIP's, which this family follows",
            "try  --model hf",
        )
    shorter, stretch = _resize(pictures)
    crops = pictures.on("do_center_crop")
    ends = _pair(pictures, "crop_size") if crops else _uncropped(pictures, shorter, stretch, pads)
    if ends != (image_size, image_size):
        what = f"crop_size {shown(settings.get('crop_size'))}" if crops else f"size {shown(settings.get('size'))}"
        raise ModelError(
            f"{pictures.file}: {what} makes pictures of {ends[0]} x {ends[1]}, and the vision tower reads "
            f"{image_size} x {image_size}",
            "check that the file comes from the same checkpoint as the tower",
        )
    spec = PixelSpec(
        size=image_size,
        mean=_three(pictures, "image_mean", _MEAN, pads),
        std=_three(pictures, "image_std", _STD, False),
        pad=pads,
        resizes=pictures.on("do_resize"),
        shorter=shorter,
        stretch=stretch,
        crop=crops,
        resample=_resample(pictures),
        scale=_scale(pictures),
        normalises=pictures.on("do_normalize"),
    )
    if not spec.is_finite:
        names = ("rescale_factor", "image_mean", "image_std")
        said = ", ".join(f"{name} {shown(settings[name])}" for name in names if name in settings)
        raise ModelError(
            f"{pictures.file}: {said}: the values of a picture would be no numbers of float32",
            "copy that file of the training run into the folder",
        )
    return spec


def _resize(pictures: PictureSettings) -> tuple[int | None, tuple[int, int] | None]:
    """Reads ``size``: the length of the shorter edge, or (height, width); both None if pictures are not resized."""
    if not pictures.on("do_resize"):
        return None, None
    size = pictures.settings.get("size", _EDGE)
    is_shorter = isinstance(size, dict) and size.keys() == {"shortest_edge"}
    if is_shorter or (is_whole(size) and not pictures.settings.get("default_to_square")):
        return _whole(pictures, "size", size["shortest_edge"] if isinstance(size, dict) else size), None
    return None, _pair(pictures, "size")


def _uncropped(
    pictures: PictureSettings, shorter: int | None, stretch: tuple[int, int] | None, pads: bool
) -> tuple[int, int]:
    """Gives the height and width of pictures that are not cropped. Raises ModelError if they are not all the same."""
    if stretch is not None:
        return stretch
    if shorter is not None and pads:
        return shorter, shorter
    key = "do_center_crop" if shorter is not None else "do_resize"
    raise pictures.refuse(key, "pictures would keep their shape, and the vision tower reads squares")


def _pair(pictures: PictureSettings, key: str) -> tuple[int, int]:
    """Reads a height and width: ``336``, ``[336, 336]`` or ``{"height": 336, "width": 336}``."""
    size = pictures.settings.get(key, _EDGE)
    if isinstance(size, dict) and size.keys() == {"height", "width"}:
        return _whole(pictures, key, size["height"]), _whole(pictures, key, size["width"])
    if isinstance(size, list) and len(size) == 2:
        return _whole(pictures, key, size[0]), _whole(pictures, key, size[1])
    if is_whole(size):
        return _whole(pictures, key, size), _whole(pictures, key, size)
    raise pictures.refuse(key, "expected is a number of pixels, or height and width")


def _whole(pictures: PictureSettings, key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise pictures.refuse(key, "expected are whole numbers of pixels")
    return value


def _resample(pictures: PictureSettings) -> Image.Resampling:
    value = pictures.settings.get("resample", int(Image.Resampling.BICUBIC))
    if value is None and not pictures.on("do_resize"):  # nothing reads it
        return Image.Resampling.BICUBIC
    if not is_whole(value) or value not in list(Image.Resampling):
        raise pictures.refuse("resample", "expected is one of Pillow's filters, 0 to 5")
    return Image.Resampling(value)


def _scale(pictures: PictureSettings) -> float | None:
    """Reads the factor by which values from 0 to 255 are multiplied; None if they are not."""
    if not pictures.on("do_rescale"):
        return None
    value = pictures.settings.get("rescale_factor", 1 / 255)
    if not is_number(value) or value <= 0:  # by 0 all pictures would be one
        raise pictures.refuse("rescale_factor", "expected is a positive number")
    return float(value)


def _three(
    pictures: PictureSettings, key: str, default: tuple[float, float, float], is_colour: bool
) -> tuple[float, float, float]:
    """Reads a number for each of red, green and blue; one number stands for three unless it gives a colour too."""
    value = pictures.settings.get(key, default)
    if value is default or not (is_colour or pictures.on("do_normalize")):  # the latter: nothing reads it
        return default
    three = [value] * 3 if is_number(value) and not is_colour else value
    if not isinstance(three, list) or len(three) != 3 or not all(is_number(number) for number in three):
        raise pictures.refuse(key, "expected are three numbers, for red, green and blue")
    if key == "image_std" and min(three) <= 0:
        raise pictures.refuse(key, "expected are positive numbers, by which values are divided")
    red, green, blue = three
    return float(red), float(green), float(blue)
