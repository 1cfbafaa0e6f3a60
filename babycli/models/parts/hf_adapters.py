"""Merging an adapter into a network of transformers that has been loaded.

Owns the names of weights: an adapter has those of the version of transformers that it was trained with. Never reads a
file: parts/adapters.py does.

Source: get_model_conversion_mapping and rename_source_key of transformers 5.23, by which it renames a checkpoint's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.nn import Parameter
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming, rename_source_key
from transformers.pytorch_utils import Conv1D

from babycli.errors import ModelError
from babycli.models.parts import adapters
from babycli.models.parts.precision import torch_dtype


def merge_into(adapter: Path, network: Any, dtype: str) -> tuple[str, ...]:
    """Merges an adapter into a loaded network; gives notes for the reader of the numbers. Raises ModelError.

    An adapter has the names of the version of transformers that it was trained with; the network's may be newer.
    Weights that are one in the network are parted where the adapter parts them.
    """
    modules = dict(network.named_modules())
    weights = dict(network.named_parameters(remove_duplicate=False))
    renamings = [step for step in get_model_conversion_mapping(network) if isinstance(step, WeightRenaming)]
    prefix = network.base_model_prefix

    def in_network(name: str) -> str:
        if name in weights:
            return name
        return str(rename_source_key(name, renamings, [], prefix, weights)[0])

    names_of: dict[int, list[str]] = {}
    for name, weight in weights.items():
        names_of.setdefault(id(weight), []).append(name)
    changed = dict(weights)
    merged = adapters.merge(
        adapter,
        changed,
        torch_dtype(dtype),
        lambda name: isinstance(modules[name.rpartition(".")[0]], Conv1D),
        in_network,
        [names for names in names_of.values() if len(names) > 1],
    )
    replaced: dict[int, Parameter] = {}
    for name, tensor in changed.items():
        if tensor is not weights[name]:
            if tensor.shape != weights[name].shape:
                raise ModelError(f"{adapter}: {name} {tuple(tensor.shape)} has no place in its base of that shape")
            module, _, kind = name.rpartition(".")
            new = Parameter(tensor.to(weights[name].device), requires_grad=False)
            setattr(modules[module], kind, replaced.setdefault(id(tensor), new))
    return merged.notes
