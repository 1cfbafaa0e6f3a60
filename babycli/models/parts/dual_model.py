"""A loaded dual encoder of transformers, other than CLIP and SigLIP: ALIGN, AltCLIP, Chinese-CLIP, FLAVA, and others.

Owns the methods of the models. Never reads a checkpoint and never decides which answer is right.

    DualModel   one vector for a picture, one for a text, and the cosine between them
    PairModel   BLIP's matching head: it reads the text with the picture in sight, and says how well they match
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image, new
from torch import Tensor

# Not from transformers itself: version 5.17 hides the class there if torchvision is not installed.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from babycli.domain import Similarity
from babycli.models.base import Features, ModelInfo, Pictures, Tokens
from babycli.models.parts.device_memory import on_device
from babycli.models.parts.dual_encoder import DualEncoder, TextVectors, as_features, unwrapped
from babycli.models.parts.dual_texts import DualTexts
from babycli.models.parts.picture_settings import read_picture_settings
from babycli.models.parts.pictures import check_thinness
from babycli.models.parts.precision import torch_dtype
from babycli.models.parts.transformers_calls import reading

_IMAGES: Any = AutoImageProcessor
_Pixels = Mapping[str, Tensor]  # the input of the image encoder, of one picture


class DualModel(DualEncoder):
    """A loaded network."""

    _texts: DualTexts

    def __init__(self, network: Any, texts: DualTexts, folder: Path, info: ModelInfo) -> None:
        self._network = network
        self._texts = texts
        self._processor = read_image_processor(folder, network.config)
        self._is_blip = network.config.model_type == "blip"  # whose two vectors no method of its class gives
        self._vectors = TextVectors(self._encode_texts, normalise=True)
        self.info = info

    def preprocess(self, image: Image) -> _Pixels:
        check_thinness(image)
        return {name: values[0] for name, values in self._processor(images=image, return_tensors="pt").items()}

    def encode(self, pixels: Sequence[_Pixels]) -> list[Features]:
        with torch.inference_mode():
            return as_features(self._image_vectors(self._placed(pixels)), normalise=True)

    def _placed(self, pixels: Sequence[_Pixels]) -> dict[str, Tensor]:
        """Puts the inputs of several pictures side by side on the device, floats in the network's dtype."""
        device, dtype = self.info.device, torch_dtype(self.info.dtype)
        batch = {name: [row[name] for row in pixels] for name in pixels[0]}
        return {
            name: on_device(rows, device, dtype) if rows[0].is_floating_point() else torch.stack(rows).to(device)
            for name, rows in batch.items()
        }

    def _image_vectors(self, inputs: dict[str, Tensor]) -> Tensor:
        if self._is_blip:
            seen = self._network.vision_model(**inputs).last_hidden_state[:, 0]
            vectors: Tensor = self._network.vision_proj(seen)
            return vectors
        return unwrapped(self._network.get_image_features(**inputs))

    def _encode_texts(self, ids: Sequence[tuple[int, ...]]) -> Tensor:
        batch = torch.tensor(list(ids), dtype=torch.long, device=self.info.device)
        with torch.inference_mode():
            if self._is_blip:
                read = self._network.text_encoder(**self._texts.inputs(batch)).last_hidden_state[:, 0]
                vectors: Tensor = self._network.text_proj(read)
                return vectors
            return unwrapped(self._network.get_text_features(**self._texts.inputs(batch)))


class PairModel(DualModel):
    """BLIP with its matching head. Features of a picture are the outputs of the image encoder at all positions."""

    def encode(self, pixels: Sequence[_Pixels]) -> list[Features]:
        with torch.inference_mode():
            seen = self._network.vision_model(**self._placed(pixels)).last_hidden_state
        read = seen.float().cpu().numpy()  # of all rows at once
        return [Features(row.clone(), sha256(own.tobytes()).digest()) for row, own in zip(seen, read, strict=True)]

    def read_texts(self, tokens: Sequence[Tokens]) -> None:
        """Reads nothing: a text is read with its picture."""

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        """Computes how much the head is for a match: the difference of its two logits, of which a softmax is made."""
        with torch.inference_mode():
            seen = torch.stack([row[0].data for row in pictures])
            ids = torch.tensor([t.ids for t in tokens], dtype=torch.long, device=seen.device)
            mask = torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device)
            read = self._network.text_encoder(
                **self._texts.inputs(ids), encoder_hidden_states=seen, encoder_attention_mask=mask
            ).last_hidden_state
            against, for_it = self._network.itm_head(read[:, 0]).float().unbind(-1)
        return [Similarity(value) for value in (for_it - against).tolist()]

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        raise NotImplementedError


def read_image_processor(folder: Path, config: Any) -> Any:
    """Reads the image processor of a checkpoint, and tries it. Raises ModelError."""
    file = read_picture_settings(folder).file
    with reading(f"{file} describes no image processor"):
        processor = _IMAGES.from_pretrained(
            folder, config=config, backend="pil", trust_remote_code=False, local_files_only=True
        )
        processor(images=new("RGB", (64, 48)), return_tensors="pt")
    return processor
