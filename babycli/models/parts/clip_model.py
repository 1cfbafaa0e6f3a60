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

from babycli.domain import CannotAnswer, Context, Similarity
from babycli.models.base import Features, Model, ModelInfo, Pictures, Tokens
from babycli.models.parts.clip_sources import Images, Texts
from babycli.models.parts.device_memory import on_device
from babycli.models.parts.dual_encoder import TextVectors, as_features, cosines
from babycli.models.parts.precision import torch_dtype
from babycli.models.parts.prompts import filled, prompt_text


class ClipModel(Model):
    """A loaded network; see babycli.models.base.Model for the contract of each method.

    Features of a picture are its vector: float32, of length 1, on the CPU whatever the device.
    """

    def __init__(self, network: Any, texts: Texts, images: Images, info: ModelInfo) -> None:
        self._network = network
        self._texts = texts
        self._images = images
        self._vectors = TextVectors(self._encode_texts, normalise=True)
        self.info = info

    @property
    def pixels_key(self) -> str:
        return self._images.key

    def render(self, context: Context) -> str:
        return prompt_text(context)

    def preprocess(self, image: Image) -> Tensor:
        return self._images.pixels(image)

    def encode(self, pixels: Sequence[Tensor]) -> list[Features]:
        with torch.inference_mode():
            batch = on_device(pixels, self.info.device, torch_dtype(self.info.dtype))
            return as_features(_unwrapped(self._network.get_image_features(pixel_values=batch)), normalise=True)

    def tokenize(self, context: Context, answer: str) -> Tokens | CannotAnswer:
        """Makes the ids of the filled prompt. Texts share a batch if they are equally long; none is padded for that."""
        ids = self._texts.ids(filled(prompt_text(context), answer))
        return ids if isinstance(ids, CannotAnswer) else Tokens(ids, len(ids), len(ids))

    def read_texts(self, tokens: Sequence[Tokens]) -> None:
        self._vectors.read(tokens)

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        return self._vectors.similarity([row[0] for row in pictures], tokens)

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        return cosines(pairs)

    def _encode_texts(self, ids: Sequence[tuple[int, ...]]) -> Tensor:
        # No attention mask: CLIP's texts are not padded, and SigLIP learned with its padding in sight.
        batch = torch.tensor(list(ids), dtype=torch.long, device=self.info.device)
        with torch.inference_mode():
            return _unwrapped(self._network.get_text_features(input_ids=batch))


def _unwrapped(encoded: Any) -> Tensor:
    """Takes the vectors out of the object in which some versions of transformers wrap them."""
    vectors: Tensor = encoded if isinstance(encoded, Tensor) else encoded.pooler_output
    return vectors
