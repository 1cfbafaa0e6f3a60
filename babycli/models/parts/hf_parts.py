"""The parts of a network of transformers, in words: what `babycli models show` lists.

Owns which module is which part, by transformers' names. Never builds a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from babycli.models.base import Part

# The names of parts, with words that tell them in transformers' names.
_PART_NAMES = {
    "vision tower": ("vision", "visual", "image"),
    "projector": ("project", "connector", "merger", "adapter", "aligner"),
    "language model": ("language", "text", "lm_head", "llm"),
}


def parts_of(network: Any) -> Iterator[Part]:
    """Gives the network's parts in its own order. A parameter that parts share is counted in the first of them."""
    trunk: nn.Module = network.base_model
    inside = list(trunk.named_children())
    outside = [(name, child) for name, child in network.named_children() if child is not trunk]
    gathered: dict[str, list[nn.Module]] = {}
    for name, child in [*inside, *outside] if trunk is not network else inside:
        gathered.setdefault(_part_name(name), []).append(child)
    seen: set[int] = set()
    for name, modules in gathered.items():
        n = sum(p.numel() for p in _unseen(modules, seen))
        if n:
            yield Part(name, _in_words(modules[0]), n)
    if n := sum(p.numel() for p in _unseen([network], seen)):
        yield Part("other", "parameters of no part, as scales and signs between pictures", n)


def _part_name(name: str) -> str:
    return next((part for part, words in _PART_NAMES.items() if any(word in name for word in words)), name)


def _unseen(modules: Iterable[nn.Module], seen: set[int]) -> Iterator[Tensor]:
    for module in modules:
        for parameter in module.parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter


def _in_words(module: nn.Module) -> str:
    config = getattr(module, "config", None)
    sizes = (("num_hidden_layers", "layers"), ("depth", "layers"), ("hidden_size", "wide"))
    known = [f"{value} {word}" for key, word in sizes if isinstance(value := getattr(config, key, None), int)]
    return ", ".join([type(module).__name__, *known])
