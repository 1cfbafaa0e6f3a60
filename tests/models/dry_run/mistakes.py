"""Mistakes that are planted in babycli, one of each kind, to show that the dry run finds them.

Owns the mistakes, all in the family babyllava, and by which words of the dry run each must be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from babycli.domain import Loglikelihood
from babycli.models.parts import answers, feature_digests, llava_model
from babycli.models.parts.device_memory import on_device
from babycli.models.parts.llava_network import LlavaNetwork

CASE = "babyllava, Llama"  # of the dry run, in which they are planted


@dataclass(frozen=True, slots=True)
class Planted:
    """A mistake: what stands in the place of what, and what must be said of it."""

    place: object
    name: str
    mistake: Callable[..., object]
    told: str  # a regular expression, found in one of the mistakes that are told

    def plant(self) -> AbstractContextManager[object]:
        return patch.object(self.place, self.name, self.mistake)

    def found_in(self, mistakes: Sequence[str]) -> bool:
        return any(re.search(self.told, text) for text in mistakes)


_embed, _encode, _digests, _branches = (
    LlavaNetwork.embed,
    LlavaNetwork.encode_images,
    feature_digests.row_digests,
    LlavaNetwork.branch_logits,
)


def _embed_on_cpu(self: LlavaNetwork, *args: Any) -> Tensor:
    return _embed(self, *args).cpu()


def _on_the_first(rows: Sequence[Tensor], device: str, dtype: torch.dtype) -> Tensor:
    return on_device(rows, device.partition(":")[0] + ":0", dtype)


def _mask_on_cpu(self: LlavaNetwork, prefix: Tensor, ids: list[Tensor]) -> list[Tensor]:
    return [logits + torch.zeros(logits.shape[1:], dtype=logits.dtype) for logits in _branches(self, prefix, ids)]


def _encode_in_float32(self: LlavaNetwork, pixels: Tensor) -> Tensor:
    seen = self.tower(pixels).float()
    out: Tensor = self.connector.float()(seen).to(pixels.dtype)
    self.connector.to(pixels.dtype)
    return out


def _scored_in_half(columns: Iterable[tuple[Tensor, Tensor]]) -> list[list[Loglikelihood]]:
    return [_read(torch.log_softmax(logits, dim=-1), wanted) for logits, wanted in columns]


def _scored_without_log_softmax(columns: Iterable[tuple[Tensor, Tensor]]) -> list[list[Loglikelihood]]:
    return [_read(logits.softmax(-1).log(), wanted) for logits, wanted in columns]


def _read(logprobs: Tensor, wanted: Tensor) -> list[Loglikelihood]:
    picked = logprobs.gather(-1, wanted[..., None])[..., 0]
    return [Loglikelihood(tuple(row), False) for row in picked.tolist()]


def _embed_with_a_look(self: LlavaNetwork, *args: Any) -> Tensor:
    out = _embed(self, *args)
    assert not bool(out.isinf().any())
    return out


def _embed_through_the_machine(self: LlavaNetwork, *args: Any) -> Tensor:
    out = _embed(self, *args)
    return out.cpu().to(out.device)


def _digests_row_by_row(rows: Tensor) -> list[bytes]:
    return [_digests(row[None])[0] for row in rows]


PLANTED: Mapping[str, Planted] = {
    "a tensor stays on the CPU": Planted(LlavaNetwork, "embed", _embed_on_cpu, r"llava_network\.py:\d+: .*same device"),
    "a term is made on the CPU": Planted(LlavaNetwork, "branch_logits", _mask_on_cpu, r"branches: .*same device"),
    "pictures go to the first GPU": Planted(llava_model, "on_device", _on_the_first, r"encode: .*goes to \w+:0"),
    "a layer computes in float32": Planted(
        LlavaNetwork, "encode_images", _encode_in_float32, r"Linear: weight in float32"
    ),
    "log-softmax in half precision": Planted(answers, "scored_columns", _scored_in_half, r"log-softmax in b?float16"),
    "log-softmax in another way": Planted(
        answers, "scored_columns", _scored_without_log_softmax, r"no log-softmax was seen"
    ),
    "a look at a value in the hot loop": Planted(
        LlavaNetwork, "embed", _embed_with_a_look, r"score: wait 1 times, recorded is 0"
    ),
    "a way through the machine's memory": Planted(
        LlavaNetwork, "embed", _embed_through_the_machine, r"score: to host 2 times, recorded"
    ),
    "digests row by row": Planted(
        llava_model, "row_digests", _digests_row_by_row, r"encode: to host grows with the rows"
    ),
}
