"""The network of BabyLLaVA once more, the long way: no batches, no tricks, every logit computed, written for reading.

    picture -> tower -> (positions, vision) -> projector -> (positions, hidden)
    ids [ -200, 9, 7 ]  -> [ 49 picture rows, row 9, row 7 ] -> language model -> (51, vocabulary) logits

The towers and the projector are written out from their papers with torch.nn.functional; the language model is
transformers' own, filled by name. Nothing here comes from babycli.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tests.checkpoints import gpt2_settings, llama_settings

Weights = Mapping[str, Tensor]
IMAGE = -200


def under(weights: Weights, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): w.float() for name, w in weights.items() if name.startswith(prefix)}


def resnext(weights: Weights, pixels: Tensor, depths: Sequence[int], groups: int) -> Tensor:
    """One (3, height, width) picture -> (positions, channels), row by row."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, weights[f"{name}.weight"], weights[f"{name}.bias"], training=False)

    x = F.relu(norm(F.conv2d(pixels[None], weights["conv1.weight"], stride=2, padding=3), "bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = F.relu(norm(F.conv2d(x, weights[f"{name}.conv1.weight"]), f"{name}.bn1"))
            y = F.conv2d(y, weights[f"{name}.conv2.weight"], stride=stride, padding=1, groups=groups)
            y = F.relu(norm(y, f"{name}.bn2"))
            y = norm(F.conv2d(y, weights[f"{name}.conv3.weight"]), f"{name}.bn3")
            if f"{name}.downsample.0.weight" in weights:
                x = norm(F.conv2d(x, weights[f"{name}.downsample.0.weight"], stride=stride), f"{name}.downsample.1")
            x = F.relu(x + y)
    return x[0].flatten(1).T


def vit(weights: Weights, pixels: Tensor, layers: int, heads: int, patch_size: int) -> Tensor:
    """One picture -> (1 + patches, hidden), class token first; LayerNorm with eps 1e-6, exact GELU.

    With LayerScale, if its weights are there: what attention and MLP add is multiplied first.
    """

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-6)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def scaled(x: Tensor, name: str) -> Tensor:
        return x * weights.get(f"{name}.gamma", torch.ones(x.shape[-1]))

    patches = F.conv2d(pixels[None], weights["conv_proj.weight"], weights["conv_proj.bias"], stride=patch_size)
    x = torch.cat([weights["class_token"][0], patches[0].flatten(1).T]) + weights["encoder.pos_embedding"][0]
    for i in range(layers):
        name = f"encoder.layers.encoder_layer_{i}"
        attention = under(weights, f"{name}.self_attention.")
        qkv = F.linear(norm(x, f"{name}.ln_1"), attention["in_proj_weight"], attention["in_proj_bias"])
        q, k, v = (part.view(len(x), heads, -1).transpose(0, 1) for part in qkv.chunk(3, dim=-1))
        mixed = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(-1) @ v
        attended = linear(mixed.transpose(0, 1).flatten(1), f"{name}.self_attention.out_proj")
        x = x + scaled(attended, f"{name}.ls1")
        x = x + scaled(linear(F.gelu(linear(norm(x, f"{name}.ln_2"), f"{name}.mlp.0")), f"{name}.mlp.3"), f"{name}.ls2")
    return norm(x, "encoder.ln")


@dataclass(frozen=True, slots=True)
class SlowPath:
    """A checkpoint written by tests/checkpoints.py with its default tower: ResNeXt of one block a stage, two groups."""

    weights: Weights
    trunk: str
    text: Any

    @classmethod
    def of(cls, weights: Weights, trunk: str, n_tokens: int, **settings: Any) -> SlowPath:
        text: Any = GPT2LMHeadModel(GPT2Config(**gpt2_settings(n_tokens) | settings))
        if trunk == "model":
            text = LlamaForCausalLM(LlamaConfig(**llama_settings(n_tokens) | settings))
        vision = (f"{trunk}.vision_tower.", f"{trunk}.mm_projector.")
        own = {name: tensor.float() for name, tensor in weights.items() if not name.startswith(vision)}
        found = text.load_state_dict(own, strict=False)
        assert not found.unexpected_keys
        assert set(found.missing_keys) <= {"lm_head.weight"}
        text.tie_weights()
        return cls(weights, trunk, text.eval())

    def features(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            tower = under(self.weights, f"{self.trunk}.vision_tower.vision_tower.")
            x = resnext(tower, pixels, (1, 1, 1, 1), 2)
            w = under(self.weights, f"{self.trunk}.mm_projector.")
            return F.linear(F.gelu(F.linear(x, w["0.weight"], w["0.bias"])), w["2.weight"], w["2.bias"])

    def logits(self, seen: Sequence[Tensor], ids: Sequence[int]) -> Tensor:
        """The logits at every position of the sequence; ``seen`` has a picture's features for each place."""
        table = self.text.get_input_embeddings().weight
        left = iter(seen)
        rows = [next(left) if token == IMAGE else table[token][None] for token in ids]
        assert next(left, None) is None, "more pictures than places"
        with torch.no_grad():
            out: Tensor = self.text(inputs_embeds=torch.cat(rows)[None]).logits[0].float()
        return out

    def token_losses(
        self, pixels: Tensor | Sequence[Tensor], context: Sequence[int], answer: Sequence[int]
    ) -> list[float]:
        """The cross entropy of each id of the answer; the logits at a position predict the next one.

        One picture is shown in every place, of several each in its own.
        """
        logits = self.logits(self._seen(pixels, context), [*context, *answer])
        before = logits[len(logits) - len(answer) - 1 : -1]
        return F.cross_entropy(before, torch.tensor(answer), reduction="none").tolist()

    def greedy(self, pixels: Tensor | Sequence[Tensor], context: Sequence[int], n_new: int, stop: int) -> list[int]:
        """The likeliest id again and again, the whole sequence computed anew each time; ``stop`` is the last."""
        seen = self._seen(pixels, context)
        new: list[int] = []
        while len(new) < n_new and stop not in new:
            new.append(int(self.logits(seen, [*context, *new])[-1].argmax()))
        return new

    def _seen(self, pixels: Tensor | Sequence[Tensor], context: Sequence[int]) -> list[Tensor]:
        if isinstance(pixels, Tensor):
            return [self.features(pixels)] * list(context).count(IMAGE)
        return [self.features(each) for each in pixels]
