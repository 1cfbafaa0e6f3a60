"""The vision towers of BabyLLaVA, in plain PyTorch: ResNeXt-50 32x4d and ViT-L/16, all spatial features kept.

Owns the modules and the names of their weights. Never reads a file and never sees an image: pixels come in
as a tensor (pixels.py makes it), weights as a state dict (checkpoint.py reads it).

Parameter names are torchvision's, because that is how BabyLLaVA checkpoints were saved.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class ResNeXtSpec:
    """The shape of a ResNeXt. The defaults are ResNeXt-50 32x4d (Xie et al. 2017, arXiv 1611.05431, table 1)."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    stem_channels: int = 64
    width: int = 128  # channels of the grouped convolution in the first stage
    groups: int = 32
    expansion: float = 2.0  # output channels of a block / width of its grouped convolution

    @classmethod
    def from_config(cls, shape: Mapping[str, Any]) -> ResNeXtSpec:
        """Reads a shape from JSON, which has lists in place of tuples."""
        given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in shape.items()}
        return cls(**given)

    @property
    def out_channels(self) -> int:
        return int((self.width << (len(self.depths) - 1)) * self.expansion)


class Bottleneck(nn.Module):
    def __init__(self, in_channels: int, width: int, out_channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return torch.relu_(x + shortcut)


class ResNeXt(nn.Module):
    """A ResNeXt trunk without pooling and classifier: (n, 3, 224, 224) -> (n, 49, channels), row by row."""

    def __init__(self, spec: ResNeXtSpec) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, spec.stem_channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(spec.stem_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = spec.stem_channels
        self.stages = len(spec.depths)
        for stage, depth in enumerate(spec.depths):
            width = spec.width << stage
            out_channels = int(width * spec.expansion)
            blocks = []
            for block in range(depth):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(channels, width, out_channels, stride, spec.groups))
                channels = out_channels
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        out: Tensor = x.flatten(2).transpose(1, 2)
        return out


def quicken(tower: nn.Module, device: str) -> None:
    """Makes a loaded ResNeXt in evaluation mode faster, in place; does nothing to another tower.

    Batch norms are merged into the convolutions before them, so that both take one pass over the memory instead of two;
    a feature changes by about 1e-6 of its size. On a CPU the channels of a pixel are put side by side in memory. Of the
    half precisions only bfloat16 on a CPU gains by it: it is merged in float32, and rounded once more.
    """
    if not isinstance(tower, ResNeXt):
        return
    dtype = tower.conv1.weight.dtype
    if dtype != torch.float32 and (dtype != torch.bfloat16 or device != "cpu"):
        return
    tower.float()
    fuse: Any = fuse_conv_bn_eval  # its types ask for the base class of all convolutions
    for block in [tower, *(m for m in tower.modules() if isinstance(m, Bottleneck))]:
        for i in (1, 2, 3):
            if hasattr(block, f"conv{i}"):
                folded = fuse(getattr(block, f"conv{i}"), getattr(block, f"bn{i}"))
                setattr(block, f"conv{i}", folded)
                setattr(block, f"bn{i}", nn.Identity())
        if isinstance(block, Bottleneck) and isinstance(block.downsample, nn.Sequential):
            convolution, norm = block.downsample
            block.downsample = fuse(convolution, norm)
    tower.to(dtype)
    if device == "cpu":
        channels_last: Any = {"memory_format": torch.channels_last}  # torch's types do not know of it
        tower.to(**channels_last)


@dataclass(frozen=True, slots=True)
class ViTSpec:
    """The shape of a ViT. The defaults are ViT-L/16 (Dosovitskiy et al. 2021, arXiv 2010.11929, table 1)."""

    hidden_size: int = 1024
    layers: int = 24
    heads: int = 16
    patch_size: int = 16
    image_size: int = 224
    is_scaled: bool = False  # with LayerScale (Touvron et al. 2021, arXiv 2103.17239), as DINOv2 trains them

    @property
    def positions(self) -> int:
        return (self.image_size // self.patch_size) ** 2 + 1


class LayerScale(nn.Module):
    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class ViTBlock(nn.Module):
    def __init__(self, hidden_size: int, heads: int, is_scaled: bool = False) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(hidden_size, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(hidden_size, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(hidden_size, eps=1e-6)
        # Positions 0 and 3 carry the weights in torchvision's MLP; 2 and 4 are its dropouts.
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, 4 * hidden_size),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(4 * hidden_size, hidden_size),
        )
        self.ls_1, self.ls_2 = (LayerScale(hidden_size) if is_scaled else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.ls_1(self.self_attention(y, y, y, need_weights=False)[0])
        out: Tensor = x + self.ls_2(self.mlp(self.ln_2(x)))
        return out


class ViTEncoder(nn.Module):
    def __init__(self, spec: ViTSpec) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, spec.positions, spec.hidden_size))
        blocks = {
            f"encoder_layer_{i}": ViTBlock(spec.hidden_size, spec.heads, spec.is_scaled) for i in range(spec.layers)
        }
        self.layers = nn.Sequential(OrderedDict(blocks))
        self.ln = nn.LayerNorm(spec.hidden_size, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ln(self.layers(x + self.pos_embedding))
        return out


class ViT(nn.Module):
    """A ViT encoder that keeps the class token: (n, 3, 224, 224) -> (n, 197, hidden), class token first."""

    def __init__(self, spec: ViTSpec) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, spec.hidden_size, spec.patch_size, spec.patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, spec.hidden_size))
        self.encoder = ViTEncoder(spec)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.conv_proj(pixels).flatten(2).transpose(1, 2)
        out: Tensor = self.encoder(torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], dim=1))
        return out


_TIMM_TO_TORCHVISION = (
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "encoder.pos_embedding"),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^norm\.", "encoder.ln."),
    (r"^blocks\.(\d+)\.norm([12])\.", r"encoder.layers.encoder_layer_\1.ln_\2."),
    (r"^blocks\.(\d+)\.ls([12])\.", r"encoder.layers.encoder_layer_\1.ls_\2."),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layers.encoder_layer_\1.mlp.0."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layers.encoder_layer_\1.mlp.3."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.encoder_layer_\1.self_attention.in_proj_"),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.encoder_layer_\1.self_attention.out_proj."),
)
# Parts of pre-training and classification checkpoints that are not the trunk; a tower does not use them.
_NOT_TRUNK = re.compile(r"^(head|heads|fc|dino_head|ibot_head)\.")
# Tokens of DINOv2's training, or of a ViT trained with registers. The original's tower has no place for them.
_OTHER_TOKENS = frozenset({"register_tokens", "reg_token", "mask_token"})
_WRAPPER = re.compile(r"^(module\.|backbone\.|encoder\.(?!layers\.|ln\.|pos_embedding))+")


def torchvision_names(by_name: Mapping[str, Thing]) -> dict[str, Thing]:
    """Gives the trunk's weights of a DINO checkpoint (eminorhan/dino_*), or facts on them, under torchvision's names.

    So do those of DINOv2, in timm's names. Wrapper prefixes (``module.``, ``backbone.``, and ``encoder.`` unless it
    belongs to torchvision's ViT) are removed; projection heads, any classifier, and the tokens that ``other_tokens``
    names are left out.
    """
    renamed = {}
    for name, thing in by_name.items():
        plain = _WRAPPER.sub("", name)
        if _NOT_TRUNK.match(plain) or plain in _OTHER_TOKENS:
            continue
        for pattern, replacement in _TIMM_TO_TORCHVISION:
            plain = re.sub(pattern, replacement, plain)
        renamed[plain] = thing
    return renamed


def other_tokens(names: Iterable[str]) -> list[str]:
    """Gives the names of register and mask tokens, which are no part of a tower here."""
    return sorted(name for name in names if _WRAPPER.sub("", name) in _OTHER_TOKENS)


def projector(kind: str, vision_size: int, text_size: int, bias: bool = True) -> nn.Module:
    """Makes the layers between tower and language model: ``linear``, ``identity`` or ``mlp<N>x_gelu``.

    Raises ValueError for another kind. Names follow LLaVA's nn.Sequential (0, 2, 4 are the linear layers).
    """
    if kind == "linear":
        return nn.Linear(vision_size, text_size, bias)
    if kind == "identity":
        return nn.Identity()
    match = re.fullmatch(r"mlp([1-9]\d*)x_gelu", kind)
    if match is None or len(match[1]) > 2:
        raise ValueError(f"mm_projector_type {kind!r:.40} is not one of linear, identity, mlp<N>x_gelu with N < 100")
    layers: list[nn.Module] = [nn.Linear(vision_size, text_size, bias)]
    for _ in range(int(match.group(1)) - 1):
        layers += [nn.GELU(), nn.Linear(text_size, text_size, bias)]
    return nn.Sequential(*layers)
