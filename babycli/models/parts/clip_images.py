"""Turning a decoded picture into the pixels that a CLIP or SigLIP image encoder reads, as its checkpoint says.

Owns reading preprocessor_config.json, through transformers' image processor for PIL. Never opens a picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL.Image import Image, new
from torch import Tensor

# Not from transformers itself: version 5.17 hides the class there if torchvision is not installed.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from babycli.errors import ModelError
from babycli.models.parts import checkpoint
from babycli.models.parts.transformers_calls import reading

_FILES = ("preprocessor_config.json", "processor_config.json")  # a processor for images and texts saves the second


class ImageReader:
    """An image processor. Its calls keep no state, so any thread may make them."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    @property
    def key(self) -> str:
        """All its settings: equal keys, equal pixels."""
        return f"{type(self._processor).__name__} {self._processor.to_json_string()}"

    def pixels(self, image: Image) -> Tensor:
        """Turns an RGB picture of any size into float32 (3, height, width)."""
        values: Tensor = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        return values


def load_image_reader(folder: Path, vision_config: Any) -> ImageReader:
    """Reads the image processor of a checkpoint. Raises ModelError if its pixels do not fit the image encoder."""
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None:
        raise ModelError(
            f"the checkpoint {folder} does not say how to prepare pictures: it has no preprocessor_config.json",
            "copy that file of the training run into the folder",
        )
    checkpoint.read_json_object(file)
    auto: Any = AutoImageProcessor
    with reading(f"{file} describes no image processor"):
        reader = ImageReader(
            auto.from_pretrained(folder, backend="pil", trust_remote_code=False, local_files_only=True)
        )
        shape = tuple(reader.pixels(new("RGB", (64, 48))).shape)
    size = vision_config.image_size
    expected = (vision_config.num_channels, *((size, size) if isinstance(size, int) else size))
    if shape != expected:
        raise ModelError(
            f"{file} makes pixels of shape {shape}; the image encoder in config.json reads {expected}",
            "check that both files come from the same checkpoint",
        )
    return reader
