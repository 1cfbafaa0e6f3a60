"""The chat of a PaliGemma: one question with its pictures in front, read in both directions, and an answer behind it.

    <image><image>..<bos>What is in the image?\\n | ball        all before the bar is type 0 and sees all of it;
        0      0      0    0    0 0  0   0   0      1           the answer is type 1 and sees what is before it

Owns that form. Its own processor would end the whole text, answer and all, with a newline.

Source: processing_paligemma.py and modeling_paligemma.py of transformers 5.23.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from babycli.models.parts.hf_chat import Chat
from babycli.models.parts.transformers_calls import reading

_TEMPLATE = (
    "{% if messages | length > 1 %}{{ raise_exception('it knows one question and no conversation') }}{% endif %}"
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{{ bos_token }}"
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ '\n' }}"  # not as it is: a newline behind a tag is taken away
)


class PrefixChat(Chat):
    """A chat whose question is read in both directions."""

    only_template = _TEMPLATE

    def inputs(self, text: str, images: Sequence[Image], n_answer: int = 0) -> dict[str, Tensor]:
        processor: Any = self._processor
        ids = []
        for token in self.ids(text):
            ids += [token] * (processor.image_seq_length if token == processor.image_token_id else 1)
        types = [0] * (len(ids) - n_answer) + [1] * n_answer
        inputs = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types])}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if images:
            with reading(f"{self.folder}: its image processor fails"):
                seen = processor.image_processor(images=list(images), return_tensors="pt", **self._uncut)
            inputs["pixel_values"] = seen["pixel_values"]
        return inputs

    def _options(self, text: str) -> dict[str, bool]:
        return {"add_special_tokens": False}  # the BOS stands behind the pictures, and the template writes it
