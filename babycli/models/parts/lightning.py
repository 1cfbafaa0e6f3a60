"""PyTorch Lightning checkpoints (.ckpt), read without running anything that is in them.

Owns what of such a file may be read and as what. Never imports the package that the file was written by: the objects
that its hyper-parameters hold become inert records of their attributes.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babycli.errors import ModelError
from babycli.wording import first_line, listed

# Packages whose objects a training run leaves in its hyper-parameters. None of them is imported; whatever else a file
# names is no part of a model, and may be there to be run by a careless reader.
_PACKAGES = frozenset(
    {"argparse", "collections", "functools", "lightning", "lightning_fabric", "multimodal", "omegaconf", "pathlib"}
    | {"pytorch_lightning", "torch", "torchvision"}
)


class Record:
    """Stands for an object of a class that is not imported: only its attributes are kept."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Takes what the class would have been given."""


@dataclass(frozen=True, slots=True)
class Lightning:
    weights: Mapping[str, Tensor]
    hyper_parameters: Mapping[str, Any]  # objects in it are Records

    def attributes(self, name: str) -> Mapping[str, Any]:
        """The attributes of an object among the hyper-parameters; empty where there is no such object."""
        found = self.hyper_parameters.get(name)
        return vars(found) if isinstance(found, Record) else {}


def read_lightning(file: Path, device: str = "cpu") -> Lightning:
    """Weights and hyper-parameters of a .ckpt; on device "meta" the weights are not read, only their shapes.

    Raises ModelError for a file that is none, or that names code which has no place in a checkpoint.
    """
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(str(file))
        if foreign := sorted(name for name in named if name.split(".")[0] not in _PACKAGES):
            raise ModelError(
                f"{file} holds code, not only weights: it names {listed(foreign)}; nothing of it was run",
                "do not open this file with other programs; get the checkpoint from where it was published",
            )
        records = [(type(name.rsplit(".", 1)[-1], (Record,), {}), name) for name in named]
        with torch.serialization.safe_globals(list(records)):
            loaded = torch.load(file, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"cannot read {file}: {first_line(error)}; expected is a checkpoint of PyTorch Lightning"
        ) from error
    weights = loaded.get("state_dict") if isinstance(loaded, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise ModelError(f"{file} is no checkpoint of PyTorch Lightning: it has no weights in state_dict")
    settings = loaded.get("hyper_parameters")
    return Lightning(weights, settings if isinstance(settings, dict) else {})
