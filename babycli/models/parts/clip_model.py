"""A loaded CLIP or SigLIP: one vector for a picture, one for a text, and the cosine between them.

Owns the methods of the model. Never reads a checkpoint and never decides which answer is right.

The cosine orders pairs as the model's own logits do, which are  exp(logit_scale) * cosine (+ logit_bias). Two pictures
are compared by the cosine of their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from babycli.models.base import Features, ModelInfo
from babycli.models.parts.clip_sources import Images, Texts
from babycli.models.parts.device_memory import on_device
from babycli.models.parts.dual_encoder import DualEncoder, TextVectors, as_features, unwrapped
from babycli.models.parts.precision import torch_dtype


class ClipModel(DualEncoder):
    """A loaded network."""

    def __init__(self, network: Any, texts: Texts, images: Images, info: ModelInfo) -> None:
        self._network = network
        self._texts = texts
        self._images = images
        self._vectors = TextVectors(self._encode_texts, normalise=True)
        self.info = info

    @property
    def pixels_key(self) -> str:
        return self._images.key

    def preprocess(self, image: Image) -> Tensor:
        return self._images.pixels(image)

    def encode(self, pixels: Sequence[Tensor]) -> list[Features]:
        with torch.inference_mode():
            batch = on_device(pixels, self.info.device, torch_dtype(self.info.dtype))
            return as_features(unwrapped(self._network.get_image_features(pixel_values=batch)), normalise=True)

    def _encode_texts(self, ids: Sequence[tuple[int, ...]]) -> Tensor:
        # No attention mask: CLIP's texts are not padded, and SigLIP learned with its padding in sight.
        batch = torch.tensor(list(ids), dtype=torch.long, device=self.info.device)
        with torch.inference_mode():
            return unwrapped(self._network.get_text_features(input_ids=batch))
