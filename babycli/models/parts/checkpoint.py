"""Checkpoint folders: reading the config and the weights in their files.

Owns reading the files, and what training programs put around weights and their names. Never builds a module, never runs
code out of a checkpoint: safetensors, or torch.load with ``weights_only=True``. Whatever is wrong with a file is a
ModelError that names it. Which files are the weights is for weight_files.py to say.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from babycli.errors import ModelError, UnfitFileError
from babycli.files import file_digest, open_whole, read_file
from babycli.models.parts.lfs import check_fetched
from babycli.models.parts.pickles import check_pickles
from babycli.models.parts.unchanged import note_hashed
from babycli.wording import all_of, first_line, listed, one_line, shortened

# Keys under which training programs keep the weights, one level down.
_LEVELS = ("teacher", "state_dict", "model_state_dict", "model", "module")
_MOST_LEVELS = 8  # a pickle may hold itself
_OF_TRAINING = re.compile(  # what a training keeps beside its weights
    r"(?:^|[._ ])(?:optimi[sz]er|optim\b|(?:lr_)?scheduler|(?:grad_)?scaler|rng|random|callback|loop|queue|center|ema"
    "|loss|train_)",
    re.IGNORECASE,
)
# What wrappers of a training put in front of every name: DataParallel and DeepSpeed, torch.compile, FSDP, PEFT.
_WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "base_model.model.")
_UNMERGED = re.compile(r"\.(lora_[A-Za-z]\w*|base_layer|modules_to_save|original_module)\.")  # PEFT's names
SAVE_PLAIN = "save the model itself, without what the training wrapped around it, and give that folder"
MAX_LAYERS = 1_000
# num_hidden_layers, n_layer, depth, depths, encoder_layers; not mm_vision_select_layer
_DEPTH = re.compile(r"(?:^|_)(?:layers|n_layer|depths?|num_layer)$")
_SMALL_ADDEND = re.compile(r"(?:^|_)eps(?:ilon)?$")  # of a norm, so that it never divides by zero
_ROTARY = re.compile(r"^factor$|(?:^|_)rope_theta$")
_HEADS = re.compile(r"(?:^|_)heads?$")
_FLOATS = ("float32", "bfloat16", "float16", "float64")
_WHOLE = re.compile(r"(?:u?int\d+|bool|[IU]\d+|BOOL)$")  # torch's names, and those of safetensors
_MOST_DIMENSIONS, _MOST_NUMBERS = 64, 2**63  # of a tensor of torch
_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"} | {
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}

Thing = TypeVar("Thing")


def read_config(folder: Path) -> dict[str, Any]:
    """Reads config.json of a checkpoint folder. Raises ModelError."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a checkpoint: it has no config.json")
    config = read_json_object(folder / "config.json")
    check_counts(config, folder / "config.json")
    return config


def check_counts(settings: Mapping[str, Any], file: Path, within: str = "") -> None:
    """Checks that no part of a model is said to have more layers than any model has, or fewer heads than none.

    A network is built before its weights are read: one of a billion layers would never be, and one of -2 heads fails
    when it is run. Nor may a number be none, or so large that a network gives numbers, but not its own. Raises
    ModelError.
    """
    for name, value in settings.items():
        if isinstance(value, dict):
            check_counts(value, file, f"{within}{name}.")
            continue
        if isinstance(value, int | float) and (expected := _expected_of(name, value)):
            raise ModelError(
                f"{file}: {within}{name} is {shortened(str(value), 80)}; expected is {expected}",
                "copy config.json of the training run into the folder",
            )
        counts = [n for n in (value if isinstance(value, list) else [value]) if isinstance(n, int | float)]
        if _DEPTH.search(name) and any(n > MAX_LAYERS for n in counts):
            raise ModelError(f"{file}: {within}{name} is {value!r:.80}; expected are at most {MAX_LAYERS:,} layers")
        if _HEADS.search(name) and any(n < 0 for n in counts):
            raise ModelError(f"{file}: {within}{name} is {value!r:.80}; expected is a number of heads")


def _expected_of(name: str, number: float) -> str:
    """Tells what is expected of a setting of that name, if it is not that number; "" if it may be."""
    if isinstance(number, float) and not math.isfinite(number):  # in lists of limits some are infinite, as Mamba's
        return "a finite number"
    if _SMALL_ADDEND.search(name) and not 0 <= number < 1:
        return "a small positive number"
    return "a positive number" if _ROTARY.search(name) and number <= 0 else ""


def read_json_object(path: Path, missing_ok: bool = False) -> dict[str, Any]:
    """Reads a JSON object from a file; empty if the file is missing and ``missing_ok``. Raises ModelError."""
    if missing_ok and not path.exists():
        return {}
    try:
        loaded = json.loads(read_file(path))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        check_fetched(path)
        raise ModelError(f"{path} is not JSON: {one_line(error)}") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} is not a JSON object")
    return loaded


def read_weights(files: Iterable[Path], merged: bool = True) -> dict[str, Tensor]:
    """Reads all tensors of the files, on the CPU, in the dtype they were saved in. Raises ModelError.

    What a training wrapped around them (``{"module": ...}``, "module." in front of every name) is taken off. Weights of
    an adapter are an error unless ``merged`` is false.
    """
    weights: dict[str, Tensor] = {}
    for file in files:
        loaded = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file).weights
        if merged:
            check_merged(loaded, file)
        check_formats({name: str(tensor.dtype).removeprefix("torch.") for name, tensor in loaded.items()}, file)
        _check_shapes({name: tensor.shape for name, tensor in loaded.items()}, file)
        weights.update(loaded)
    return unwrapped(weights)


@dataclass(frozen=True, slots=True)
class Stored:
    """The weights in some files, seen without reading them."""

    dtypes: Mapping[str, str]  # "float16", by the name of the weight
    wrapper: str  # what stands in front of every name, and is no part of it
    level: str  # the keys under which a pickle keeps its weights: "module", "state_dict.model"; "": none
    n_numbers: int  # in all of them

    @property
    def dtype(self) -> str:
        """The floating dtypes that they are saved in, the most frequent first: "float16 and float32"."""
        kinds = Counter(dtype for dtype in self.dtypes.values() if "float" in dtype)
        return all_of([dtype for dtype, _ in kinds.most_common()])


def look_into(files: Iterable[Path]) -> Stored:
    """Reads the names and dtypes of all tensors of the files. Raises ModelError."""
    dtypes: dict[str, str] = {}
    level = ""
    n_numbers = 0
    for file in files:
        if file.suffix == ".safetensors":
            seen = _look_into_safetensors(file)
            _check_shapes({name: weight.shape for name, weight in seen.items()}, file)
            dtypes.update({name: weight.dtype for name, weight in seen.items()})
            n_numbers += sum(math.prod(weight.shape) for weight in seen.values())
        else:
            read = _read_pickle(file, "meta")
            dtypes.update({name: str(w.dtype).removeprefix("torch.") for name, w in read.weights.items()})
            n_numbers += sum(weight.numel() for weight in read.weights.values())
            level = level or read.level
    return Stored(unwrapped(dtypes), wrapper_of(dtypes), level, n_numbers)


def wrapper_of(names: Collection[str]) -> str:
    """Tells what wrappers of a training have put in front of every name, as "module._orig_mod."; "" for nothing."""
    prefix, found = "", "."
    while names and found:
        found = next((w for w in _WRAPPERS if all(name.startswith(prefix + w) for name in names)), "")
        prefix += found
    return prefix


def unwrapped(by_name: Mapping[str, Thing]) -> dict[str, Thing]:
    """Gives weights, or what is known of them, under the names they had before the training wrapped the model."""
    prefix = wrapper_of(by_name)
    return {name.removeprefix(prefix): thing for name, thing in by_name.items()}


def check_merged(names: Collection[str], place: Path) -> None:
    """Checks that no weights in ``place`` are those of an adapter beside the model's own. Raises ModelError."""
    unmerged = sorted(name for name in names if _UNMERGED.search(f".{name}"))
    if unmerged:
        raise ModelError(
            f"{place}: {len(unmerged)} weights are those of an adapter that is not merged: {listed(unmerged, 2)}",
            "merge it first (PEFT: merge_and_unload, then save_pretrained), and give the merged folder",
        )


def check_formats(dtypes: Mapping[str, str], place: Path) -> None:
    """Checks that weights are stored in formats that networks compute in. Raises ModelError.

    Counters, positions and masks may be of whole numbers. ``dtypes`` are torch's names, or those of safetensors.
    """
    odd = [
        f"{name} as {dtype}"
        for name, dtype in dtypes.items()
        if dtype not in _FLOATS and not (_WHOLE.match(dtype) and not name.endswith("weight"))
    ]
    if odd:
        raise ModelError(
            f"{place} stores {len(odd)} of {len(dtypes)} weights in a format that is not read here: {listed(odd, 2)}",
            f"save them as one of {', '.join(_FLOATS)}",
        )


def _check_shapes(shapes: Mapping[str, Sequence[int]], file: Path) -> None:
    """Checks that torch can count in every shape, also in one that is said to be empty. Raises ModelError."""
    for name, shape in shapes.items():
        if len(shape) > _MOST_DIMENSIONS or math.prod(size or 1 for size in shape) >= _MOST_NUMBERS:
            raise ModelError(
                f"{file}: no weight has the shape of {shortened(name, 80)}: {shortened(str(tuple(shape)), 80)}",
                "copy the file anew from where it was saved",
            )


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        open_whole(file).close()
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise _unreadable(file, error) from error


@dataclass(frozen=True, slots=True)
class _Seen:
    dtype: str
    shape: Sequence[int]


def _look_into_safetensors(file: Path) -> dict[str, _Seen]:
    from safetensors import SafetensorError, safe_open

    try:
        open_whole(file).close()
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            kinds = {name: _Seen(str(s.get_dtype()), s.get_shape()) for name, s in slices.items()}
    except (SafetensorError, OSError, MemoryError) as error:  # the last: there is less address space than it has bytes
        raise _unreadable(file, error) from error
    return {name: _Seen(_SAFETENSORS_DTYPES.get(s.dtype, s.dtype), s.shape) for name, s in kinds.items()}


@dataclass(frozen=True, slots=True)
class _Pickled:
    weights: dict[str, Tensor]
    level: str  # as in Stored


@contextmanager
def unpickling(file: Path, expected: str = "") -> Iterator[None]:
    """Looks a pickle through, and turns whatever torch raises over it in the block into a ModelError that names it.

    A damaged one calls torch's own functions with values that they do not expect, so that they raise almost anything.
    """
    try:
        check_pickles(file)
        yield
    except ModelError:
        raise
    except Exception as error:
        raise _unreadable(file, error, expected) from error


def _read_pickle(file: Path, device: str = "cpu") -> _Pickled:
    with unpickling(file):
        loaded = torch.load(file, map_location=device, weights_only=True)
    levels: list[str] = []
    while isinstance(loaded, dict) and (key := next((k for k in _LEVELS if isinstance(loaded.get(k), dict)), "")):
        if len(levels) == _MOST_LEVELS:
            raise ModelError(f"{file} holds no weights by name: one level lies in another without an end", SAVE_PLAIN)
        loaded = loaded[key]
        levels.append(key)
    if not isinstance(loaded, dict):
        raise ModelError(f"{file} holds a {type(loaded).__name__}, not weights by name")
    weights = {name: tensor for name, tensor in loaded.items() if isinstance(tensor, Tensor) and isinstance(name, str)}
    if loaded and not weights:
        deeper = [repr(key) for key, value in loaded.items() if isinstance(value, dict)]
        where = f"; they may be under the key {listed(deeper)}" if deeper else ""
        raise ModelError(f"{file} holds no weights by name{where}", SAVE_PLAIN)
    for key, value in loaded.items():
        if key not in weights and _is_of_model(str(key), value):
            raise ModelError(
                f"{file} holds weights by name, and {shortened(repr(key), 80)} in another form", SAVE_PLAIN
            )
    check_plain(weights, file, device)
    return _Pickled(weights, ".".join(levels))


def _is_of_model(key: str, value: object) -> bool:
    """Tells of what is no weight by its name whether it may be a part of the model: it is called so, or has tensors."""
    if key.endswith((".weight", ".bias")):
        return True
    if _OF_TRAINING.search(key):
        return False
    waiting, seen = [value], set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, Tensor):
            return True
        if isinstance(found, dict | list | tuple | set) and id(found) not in seen:  # one may lie in itself
            seen.add(id(found))
            waiting += found.values() if isinstance(found, dict) else found
    return False


def check_plain(weights: Mapping[str, Tensor], file: Path, device: str) -> None:
    """Checks that a pickle on ``device`` holds all numbers of its weights, row by row. Raises ModelError.

    Of weights that were kept elsewhere while a model was saved, on a disk or in another process, it has the shapes.
    """
    for name, tensor in weights.items():
        if tensor.is_nested or tensor.layout != torch.strided:
            what = "a nested tensor" if tensor.is_nested else f"a tensor of layout {tensor.layout}"
            raise ModelError(f"{file} stores {shortened(name, 80)} as {what}, which is not read here", SAVE_PLAIN)
        if tensor.is_meta and device != "meta":
            raise ModelError(
                f"{file} holds the shape of {shortened(name, 80)}, and not its numbers",
                "load the whole model into memory (no device_map, no offloading), and save it again",
            )


def _unreadable(file: Path, error: Exception, expected: str = "") -> ModelError:
    """Makes the error for a file of weights that cannot be read. Raises that of a pointer to one."""
    check_fetched(file)
    expected = expected and f"; expected is {expected}"
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):  # torch's text recommends to run it
        return ModelError(
            f"cannot read the weights {file}: it is no pickle, or it holds more than weights, and babycli runs no code "
            f"out of a checkpoint{expected}",
            "save the weights alone, best as safetensors (model.save_pretrained, or save_model of safetensors.torch)",
        )
    if isinstance(error, NotImplementedError):  # of a tensor that torch cannot load without its numbers
        return ModelError(
            f"cannot read the weights {file}: it holds a tensor of a kind that is not read here, as a nested one",
            SAVE_PLAIN,
        )
    what = error.strerror if isinstance(error, UnfitFileError) else first_line(error)
    if isinstance(error, LookupError):  # of torch's reader of pickles, whose text is a number or "index out of range"
        what = "it is no sound pickle"
    mend = "" if isinstance(error, OSError | MemoryError) else "copy or download that file again"
    return ModelError(f"cannot read the weights {file}: {what}{expected}", mend)


def fingerprint(files: Iterable[Path]) -> str:
    """Gives the SHA-256 over the names and bytes of a checkpoint's files: same fingerprint, same model.

    Raises ModelError for a file that cannot be read, has changed since loading began, or is mostly a hole.
    """
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.name):
        try:
            digest = file_digest(file)
            note_hashed(file)
        except OSError as error:
            raise ModelError(f"cannot read {file}: {error.strerror}") from error
        whole.update(f"{file.name}\0{digest}\n".encode())
    return whole.hexdigest()


def module_digest(module: nn.Module) -> str:
    """Gives the SHA-256 over the names and bytes of a module's weights, wherever they came from."""
    whole = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        whole.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def copy_from_files(module: Any) -> None:
    """Copies the weights on the CPU, which may be mapped from a file: what becomes of the file then changes nothing."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


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
    no_floats = [
        f"{name} is {str(weights[name].dtype).removeprefix('torch.')}"
        for name, tensor in module.state_dict().items()
        if name in weights and tensor.is_floating_point() and not weights[name].is_floating_point()
    ]
    renaming = why_unexpected(unexpected, missing)
    problems = [
        f"{len(names)} {label}: {listed(names, 1 if renaming else 5)}"
        for names, label in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (reshaped, "of a wrong shape"),
            (no_floats, "no floating-point numbers"),
        )
        if names
    ]
    if problems:
        raise ModelError(
            f"the weights of the {what} do not fit its config.json: " + "; ".join([*problems, *renaming]),
            SAVE_PLAIN if renaming else "check that config.json and the weight files come from the same training run",
        )


def why_unexpected(unexpected: Collection[str], missing: Collection[str]) -> list[str]:
    """Tells, in a list, what is too much in the unexpected names where the rest is a missing one; [] for nothing.

    "module.h.0.bias" is unexpected, "h.0.bias" is missing: "module." It is of use where that holds for most names.
    """
    wanted = set(missing)
    for wrapper in _WRAPPERS:
        inside = [name for name in unexpected if not name.startswith(wrapper) and name.replace(wrapper, "") in wanted]
        if inside:
            return [f"{len(inside)} of the unexpected are missing ones with {wrapper!r} in the name"]
    prefixes = Counter(
        name[:i] for name in unexpected for i in range(1, len(name)) if name[i - 1] == "." and name[i:] in wanted
    )
    if not prefixes:
        return []
    prefix, n = prefixes.most_common(1)[0]
    if 2 * n < len(unexpected):
        return []
    return [f"{n} of the unexpected are missing ones with {prefix!r} in front of the name"]


def with_counters(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gives the weights of a module, with those counters of batch norms that are missing: nothing reads them here."""
    zero = torch.zeros((), dtype=torch.long)
    return {name: weights.get(name, zero) for name in module.state_dict()}
