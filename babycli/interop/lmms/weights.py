"""The weights of a wrapper, as far as they can be found: how many, in which precision, on which device.

Owns where they are looked for. A wrapper need not say any of this. Never changes a weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a wrapper, as far as it keeps them where they can be found."""

    n_parameters: int | None  # None: no torch module was found
    dtypes: tuple[str, ...]  # of the numbers, the one of most first
    device: str | None


def weights_of(own: Any) -> Weights:
    """Looks at its ``model`` if that is a torch module, else at all modules, else at all tensors that it keeps."""
    model = getattr(own, "model", None)
    kept = [model] if isinstance(model, nn.Module) else [model, *vars(own).values()]
    # A pipeline of transformers, for one, keeps its network in ``model``.
    inner = [getattr(value, "model", None) for value in kept if not isinstance(value, str | nn.Module | torch.Tensor)]
    modules = {id(value): value for value in [*kept, *inner] if isinstance(value, nn.Module)}
    parameters = {id(weight): weight for module in modules.values() for weight in module.parameters()}
    found: list[torch.Tensor] = [*parameters.values()] or [value for value in kept if isinstance(value, torch.Tensor)]
    sizes: dict[str, int] = {}
    for tensor in found:
        if tensor.is_floating_point():
            name = str(tensor.dtype).removeprefix("torch.")
            sizes[name] = sizes.get(name, 0) + tensor.numel()
    return Weights(
        n_parameters=sum(weight.numel() for weight in parameters.values()) if modules else None,
        dtypes=tuple(sorted(sizes, key=lambda name: (-sizes[name], name))),
        device=str(found[0].device) if found else None,
    )
