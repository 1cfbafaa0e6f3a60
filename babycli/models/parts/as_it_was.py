"""Leaving a user's loaded network as it was, also where an evaluation of it fails in the middle.

Owns what is remembered and given back: of each module every attribute (its mode, hooks, buffers, generation settings),
whether each parameter takes gradients, the state of all random generators, and torch's switches. Never touches the
values of parameters, which an evaluation only reads.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_SETTINGS = ("config", "generation_config")  # objects that transformers may change in place


@contextlib.contextmanager
def as_it_was(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Leaves, after the block, these modules, the random generators and torch's switches as they were before it.

    Within the block torch computes without autocast, so that scores are those of the weights as they are.
    """
    remembered = [_Remembered(module) for module in dict.fromkeys(m for each in modules for m in each.modules())]
    takes_gradients = [(p, p.requires_grad) for each in modules for p in each.parameters()]
    switches = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    devices = sorted({p.device.type for p, _ in takes_gradients} | {"cpu"})
    with contextlib.ExitStack() as around:
        around.enter_context(_random_state())
        for device in devices:
            around.enter_context(torch.autocast(device, enabled=False))
        try:
            yield
        finally:
            for each in remembered:
                each.restore()
            for parameter, value in takes_gradients:
                parameter.requires_grad_(value)
            torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = switches


@contextlib.contextmanager
def _random_state() -> Iterator[None]:
    """Gives Python's, NumPy's and torch's generators, on all devices in use, their states back after the block."""
    pythons, numpys, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda: Any = torch.cuda  # some of its functions have no types
    gpus = cuda.get_rng_state_all() if cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)
        torch.set_rng_state(torchs)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)


class _Remembered:
    """A module's attributes as they were: which objects, and of those that may change in place, their contents."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._attributes = dict(vars(module))
        # Those of a module's own: its parameters, buffers, children and hooks, by name.
        self._tables = {name: dict(value) for name, value in self._attributes.items() if isinstance(value, dict)}
        self._buffers = {name: b.detach().clone() for name, b in module._buffers.items() if b is not None}
        found = [self._attributes[name] for name in _SETTINGS if hasattr(self._attributes.get(name), "__dict__")]
        self._settings = [
            (settings, {key: _copied(value) for key, value in vars(settings).items()}) for settings in found
        ]

    def restore(self) -> None:
        vars(self._module).clear()
        vars(self._module).update(self._attributes)
        for name, table in self._tables.items():
            held = self._attributes[name]
            held.clear()
            held.update(table)
        with torch.no_grad():
            for name, value in self._buffers.items():
                buffer: Tensor | None = self._module._buffers[name]
                if buffer is not None and not torch.equal(buffer, value):
                    buffer.copy_(value)
        for settings, before in self._settings:
            vars(settings).clear()
            vars(settings).update(before)


def _copied(value: Any) -> Any:
    """Copies what may change in place; the config of a part is that part's own, and remembered with it."""
    return copy.deepcopy(value) if isinstance(value, dict | list | set) else value
