"""PyTorch Lightning checkpoints (.ckpt), read without running anything that is in them.

Owns which parts of such a file may be read, and how. Never imports the package that wrote the file: objects in its
hyper-parameters become inert records of their attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babycli.errors import ModelError
from babycli.models.parts.checkpoint import check_merged, check_plain, unpickling, unwrapped
from babycli.wording import listed

# Packages whose objects a training run leaves in its hyper-parameters. None of them is imported. Any other name in a
# file is no part of a model, and may be an attack on a careless reader.
_PACKAGES = frozenset(
    {"argparse", "collections", "functools", "lightning", "lightning_fabric", "multimodal", "omegaconf", "pathlib"}
    | {"pytorch_lightning", "torch", "torchvision"}
)
_HYPER_PARAMETERS = ("hyper_parameters", "hparams", "module_arguments")  # the later names are those of early versions


class Record:
    """A stand-in for an object of a class that is not imported: it has only the attributes."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Accepts the arguments of the real class."""


@dataclass(frozen=True, slots=True)
class Lightning:
    weights: Mapping[str, Tensor]
    hyper_parameters: Mapping[str, Any]  # objects in it are Records

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Gives the attributes of an object among the hyper-parameters; empty if there is no such object."""
        return _fields(self.hyper_parameters.get(name))

    def arguments(self) -> Mapping[str, Any]:
        """Gives the arguments of the training run; empty if there are none. Lightning keeps them in three forms:

        {"args": Namespace(a=1)}    save_hyperparameters()            in __init__(self, args)
        {"args": {"a": 1}}          the same, for  vars(args)
        {"a": 1}                    save_hyperparameters(args)
        """
        flat = {key: value for key, value in self.hyper_parameters.items() if not isinstance(value, Record)}
        nested = _fields(flat.pop("args", None)) or self.attributes("args")
        return {**flat, **nested}


def _fields(value: object) -> Mapping[str, Any]:
    """Gives the attributes of a Record, or the entries of a dict; of anything else nothing."""
    if isinstance(value, Record):
        return vars(value)
    return value if isinstance(value, dict) else {}


def read_lightning(file: Path, device: str = "cpu") -> Lightning:
    """Reads weights and hyper-parameters of a .ckpt; on device "meta" not the weights, only their shapes.

    Raises ModelError for another kind of file, and for one that names code which has no place in a checkpoint.
    """
    with unpickling(file, "a checkpoint of PyTorch Lightning"):
        named = torch.serialization.get_unsafe_globals_in_checkpoint(str(file))
        if foreign := sorted(name for name in named if name.split(".")[0] not in _PACKAGES):
            raise ModelError(
                f"{file} holds code, not only weights: it names {listed(foreign)}; nothing of it was run",
                "do not open this file with other programs; get the checkpoint from where it was published",
            )
        records = [(type(name.rsplit(".", 1)[-1], (Record,), {}), name) for name in named]
        with torch.serialization.safe_globals(list(records)):
            loaded = torch.load(file, map_location=device, weights_only=True)
    weights = loaded.get("state_dict") if isinstance(loaded, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise ModelError(f"{file} is no checkpoint of PyTorch Lightning: it has no weights in state_dict")
    check_merged(weights, file)
    check_plain(weights, file, device)
    weights = unwrapped(weights)
    settings = next((loaded[key] for key in _HYPER_PARAMETERS if key in loaded), None)
    return Lightning(weights, _fields(settings))
