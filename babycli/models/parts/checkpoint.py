"""Checkpoint folders: finding one, and reading its config and its weight files.

Owns finding and reading the files. Never builds a module, never runs code out of a checkpoint: safetensors, or
torch.load with ``weights_only=True``. Whatever is wrong with a file is a ModelError that names it.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from babycli.errors import ModelError
from babycli.wording import first_line, listed

_HUB_MODULES = ("huggingface_hub", "requests", "httpx", "httpx2", "httpcore", "httpcore2")
_MODEL_MEND = "check the name and the network, or give a local folder:  --model path/to/checkpoint"
_TOWER_MEND = "say where the tower is:  --model-args vision_tower=PATH"
_SMALL_FILES = ["*.json", "*.model", "*.txt", "*.jinja"]


def fetch(source: str) -> Path:
    """Gives the path of a local checkpoint (a folder or a file of weights); fetches a hub id into the hub's cache."""
    local = Path(source).expanduser()
    if local.exists():
        return local
    for suffix in (".safetensors", ".bin", ".ckpt"):
        folder = _from_hub(source, [*_SMALL_FILES, f"*{suffix}"], "", _MODEL_MEND)
        if any(folder.glob(f"*{suffix}")):
            break
    return folder


def fetch_small(source: str) -> Path:
    """Does as fetch, but without the weights of a hub id."""
    local = Path(source).expanduser()
    return local if local.exists() else _from_hub(source, _SMALL_FILES, "", _MODEL_MEND)


def fetch_tower(source: str, wanted: bool, near: Path) -> Path:
    """Finds the weight file of a vision tower: a local file, the one in a folder, or ``<name>.pth`` of a hub id.

    ``wanted`` is true if the user named it, false if config.json does. A relative name is looked up in the working
    folder, then beside the checkpoint ``near``, then on the hub.
    """
    why = "" if wanted else "the weights hold no vision tower, and config.json names one that is not here: "
    path = _local_tower(source, near, why) or _from_hub(source, ["*.pth"], why, _TOWER_MEND)
    if path.is_file():
        return path
    files = sorted(path.glob("*.pth"))
    named = [f for f in files if f.stem == Path(source).name]
    if len(named or files) != 1:
        names = ", ".join(f.name for f in files) or "none"
        raise ModelError(f"expected one .pth file with the vision tower in {path}, found {names}", _TOWER_MEND)
    return (named or files)[0]


def fetch_tower_folder(source: str, wanted: bool, near: Path, with_weights: bool) -> Path:
    """Finds the folder of a vision tower that is a checkpoint of its own, as CLIP's; looked up as in fetch_tower."""
    why = "" if wanted else "config.json names a vision tower that is not here: "
    path = _local_tower(source, near, why)
    if path is not None and not path.is_dir():
        raise ModelError(f"{path} is a file; the vision tower is a folder with config.json and weights", _TOWER_MEND)
    if path is None:
        path = _from_hub(source, _SMALL_FILES, why, _TOWER_MEND)
        for suffix in (".safetensors", ".bin") if with_weights else ():
            path = _from_hub(source, [*_SMALL_FILES, f"*{suffix}"], why, _TOWER_MEND)
            if any(path.glob(f"*{suffix}")):
                break
    return path


def _local_tower(source: str, near: Path, why: str) -> Path | None:
    """Finds a tower on this disk; None for a name that can only be a hub id. Raises ModelError."""
    path = Path(source).expanduser()
    for place in (path, near.parent / path):
        if place.exists():
            return place
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise ModelError(f"{why}there is no file or folder {source}", _TOWER_MEND)
    return None


def _from_hub(repo_id: str, patterns: list[str], why: str, mend: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, allow_patterns=patterns))
    except Exception as error:
        # The HTTP library below it has changed (requests, httpx, httpx2), and its exceptions pass through.
        if not isinstance(error, (OSError, ValueError)) and type(error).__module__.split(".")[0] not in _HUB_MODULES:
            raise
        raise ModelError(f"{why}cannot get {repo_id!r} from the model hub: {first_line(error)}", mend) from error


def read_config(folder: Path) -> dict[str, Any]:
    """Reads config.json of a checkpoint folder. Raises ModelError."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a checkpoint: it has no config.json")
    return read_json_object(folder / "config.json")


def read_json_object(path: Path, missing_ok: bool = False) -> dict[str, Any]:
    """Reads a JSON object from a file; empty if the file is missing and ``missing_ok``. Raises ModelError."""
    if missing_ok and not path.is_file():
        return {}
    try:
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} is not a JSON object")
    return loaded


def weight_files(folder: Path) -> list[Path]:
    """Lists the weight files of a checkpoint folder: safetensors, else .bin; by the index of shards if there is one."""
    for single in ("model.safetensors", "pytorch_model.bin"):
        index = f"{single}.index.json"
        if (folder / index).is_file():
            try:
                names = sorted(set(json.loads((folder / index).read_bytes())["weight_map"].values()))
                paths = [folder / name for name in names]
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise ModelError(f"{folder / index} is not an index of weight files: {error!r}") from error
            missing = [path.name for path in paths if not path.is_file()]
            if missing:
                raise ModelError(f"the checkpoint {folder} lacks {len(missing)} of its weight files: {listed(missing)}")
            return paths
        if (folder / single).is_file():
            return [folder / single]
    raise ModelError(f"the checkpoint {folder} has no weights: neither model.safetensors nor pytorch_model.bin")


def read_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """Reads all tensors of the files, on the CPU, in the dtype they were saved in. Raises ModelError."""
    weights: dict[str, Tensor] = {}
    for file in files:
        loaded = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
        weights.update(loaded)
    return weights


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read the weights {file}: {first_line(error)}") from error


def _read_pickle(file: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot read the weights {file}: {first_line(error)}") from error
    for key in ("teacher", "state_dict", "model"):  # training checkpoints keep the weights one level down
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        raise ModelError(f"{file} holds a {type(loaded).__name__}, not weights by name")
    return {name: tensor for name, tensor in loaded.items() if isinstance(tensor, Tensor)}


def fingerprint(files: Iterable[Path]) -> str:
    """Gives the SHA-256 over the names and bytes of a checkpoint's files: same fingerprint, same model."""
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.name):
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{file.name}\0{digest}\n".encode())
    return whole.hexdigest()


def module_digest(module: nn.Module) -> str:
    """Gives the SHA-256 over the names and bytes of a module's weights, wherever they came from."""
    whole = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        whole.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def check_names(module: nn.Module, weights: Mapping[str, Tensor], what: str, ignored: frozenset[str]) -> None:
    """Checks names and shapes of weights. Raises ModelError listing the missing, unexpected and misshapen ones.

    ``ignored`` are names that a module declares and a checkpoint need not hold.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    missing = sorted(name for name in expected.keys() - weights.keys() if name not in ignored)
    unexpected = sorted(weights.keys() - expected.keys())
    reshaped = [
        f"{name} is {tuple(weights[name].shape)}, should be {expected[name]}"
        for name in sorted(expected.keys() & weights.keys())
        if tuple(weights[name].shape) != expected[name]
    ]
    problems = [
        f"{len(names)} {label}: {listed(names)}"
        for names, label in ((missing, "missing"), (unexpected, "unexpected"), (reshaped, "of a wrong shape"))
        if names
    ]
    if problems:
        raise ModelError(
            f"the weights of the {what} do not fit its config.json: " + "; ".join(problems),
            "check that config.json and the weight files come from the same training run",
        )


def with_counters(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gives the weights of a module, with those counters of batch norms that are missing: nothing reads them here."""
    zero = torch.zeros((), dtype=torch.long)
    return {name: weights.get(name, zero) for name in module.state_dict()}
