"""The weights of a wrapper, as far as they can be found: how many, in which precision, on which device.

Owns where they are looked for. A wrapper need not say any of this. Never changes a weight.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
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
    kept, modules = _kept(own), modules_of(own)
    parameters = {id(weight): weight for module in modules for weight in module.parameters()}
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


def modules_of(own: Any) -> list[nn.Module]:
    """Finds the torch modules that a wrapper keeps where they can be found."""
    kept = _kept(own)
    # A pipeline of transformers, for one, keeps its network in ``model``.
    inner = [getattr(value, "model", None) for value in kept if not isinstance(value, str | nn.Module | torch.Tensor)]
    return [*{id(value): value for value in [*kept, *inner] if isinstance(value, nn.Module)}.values()]


@contextlib.contextmanager
def watched(modules: Sequence[nn.Module]) -> Iterator[list[int]]:
    """Gives the lengths of the sequences that networks are given during the block, in order; steps of one are left out.

    They are written down when a network is called: its ids or embeddings have a row for each sequence.
    """
    lengths: list[int] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [kwargs.get("inputs_embeds"), kwargs.get("input_ids"), *args[:1]]
        length = next((t.shape[1] for t in given if isinstance(t, torch.Tensor) and t.dim() in (2, 3)), 1)
        lengths.extend([length] if length > 1 else [])

    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in modules]
    try:
        yield lengths
    finally:
        for hook in hooks:
            hook.remove()


def _kept(own: Any) -> list[Any]:
    model = getattr(own, "model", None)
    return [model] if isinstance(model, nn.Module) else [model, *vars(own).values()]
