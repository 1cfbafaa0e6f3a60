"""Placing the parts of a network: all on one device or, with device_map=auto, spread over all GPUs.

Owns the argument and the spreading, which accelerate does. Never computes anything.
"""

from __future__ import annotations

import os
from typing import Any

from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory

from babycli.errors import ModelError, UsageError
from babycli.models.base import ModelSpec
from babycli.wording import one_line


def device_map_of(spec: ModelSpec) -> str | None:
    """Reads device_map of --model-args; None on a CPU, where nothing is spread. Raises UsageError unless ``auto``."""
    wanted = spec.args.get("device_map")
    if wanted not in (None, "auto"):
        raise UsageError(f"device_map {wanted!r} is not supported", "write  device_map=auto, or leave it out")
    if wanted is not None and os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("each of several processes would spread its model over all devices", "leave out  device_map")
    return None if spec.device == "cpu" else wanted


def spread(network: Any, spec: ModelSpec) -> Any:
    """Puts a LlavaNetwork on its device; with device_map=auto, the language model on all GPUs, the rest on one."""
    if device_map_of(spec) is None:
        return network.to(spec.device)
    network.tower.to(spec.device)
    network.connector.to(spec.device)
    text = network.text
    blocks = list(text._no_split_modules or [])
    memory = get_balanced_memory(text, no_split_module_classes=blocks)
    try:
        network.text = dispatch_model(text, infer_auto_device_map(text, memory, no_split_module_classes=blocks))
    except ValueError as error:  # it would have to lie on a disk in part
        raise ModelError(
            f"{spec.name} does not fit in the memory of all devices: {one_line(error)}", "use more of them"
        ) from error
    return network
