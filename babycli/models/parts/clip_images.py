"""Turning a decoded picture into the pixels that a CLIP or SigLIP image encoder reads, as its checkpoint says.

Owns reading preprocessor_config.json, through transformers' image processor for PIL. Never opens a picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from PIL.Image import Image, new
from torch import Tensor

# Not from transformers itself: version 5.17 hides the class there if torchvision is not installed.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from babycli.errors import ModelError
from babycli.models.parts.picture_settings import read_picture_settings
from babycli.models.parts.pictures import check_thinness
from babycli.models.parts.transformers_calls import reading


class ImageReader:
    """An image processor. Its calls keep no state, so any thread may make them."""

    def __init__(self, processor: Any, notes: tuple[str, ...]) -> None:
        self._processor = processor
        self.notes = notes  # for a reader of the numbers

    @property
    def key(self) -> str:
        """All its settings: equal keys, equal pixels."""
        return f"{type(self._processor).__name__} {self._processor.to_json_string()}"

    def pixels(self, image: Image) -> Tensor:
        """Turns an RGB picture into float32 (3, height, width). Raises DataError for one that is too thin."""
        check_thinness(image)
        values: Tensor = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        return values


def load_image_reader(folder: Path, config: Any) -> ImageReader:
    """Reads the image processor of a checkpoint. Raises ModelError if its pixels do not fit the image encoder.

    ``config`` is that of the whole model.
    """
    settings = read_picture_settings(folder)
    file, auto = settings.file, cast(Any, AutoImageProcessor)
    with reading(f"{file} describes no image processor"):
        processor = auto.from_pretrained(
            folder, config=config, backend="pil", trust_remote_code=False, local_files_only=True
        )
        reader = ImageReader(processor, settings.notes)
        shape = tuple(reader.pixels(new("RGB", (64, 48))).shape)
    size = config.vision_config.image_size
    expected = (config.vision_config.num_channels, *((size, size) if isinstance(size, int) else size))
    if shape != expected:
        raise ModelError(
            f"{file} makes pixels of shape {shape}; the image encoder in config.json reads {expected}",
            "check that both files come from the same checkpoint",
        )
    return reader
