"""The weight files of a checkpoint folder: which of them are read, which are left out, and what is no whole model.

Owns the order in which a folder's files are looked for: transformers' own (the library that wrote and read the
checkpoints of all families), file by file. Every family, the fingerprint, `babycli models show` and the fetching from
the hub ask here. Never reads a weight.

Source: from_pretrained in modeling_utils.py of transformers 5.23; LLaVA's own loader calls an older one of equal order.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.errors import ModelError
from babycli.files import why_no_file
from babycli.models.parts.checkpoint import read_json_object
from babycli.wording import listed, shortened

SINGLES = ("model.safetensors", "pytorch_model.bin")  # each before its own index of shards
ADAPTER_CONFIG = "adapter_config.json"
OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # beside it, in open_clip's own order
# What LLaVA's trainer writes in place of a whole model: beside a LoRA adapter, and after the projector's pre-training.
PARTIAL = ("non_lora_trainables.bin", "mm_projector.bin")
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_NAMED_BY_CONFIG = "transformers_weights"  # a key of config.json with which transformers is told another file
_INDEX = ".index.json"
_MEND_OF_INDEX = "copy the index of the training run into the folder"
_OF_WEIGHTS = (".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".h5", ".msgpack", ".gguf")
# What a training run leaves in the same folder, and what is no weights of a model.
_OF_TRAINING = ("training_args.bin", "optimizer*", "scheduler*", "scaler*", "sampler*", "rng_state*", "random_states*")
_SMALL = ("*config.json", "*token*.json", "vocab.json", "merges.txt", "chat_template.*", "*.index.json", "*.model")
_DISTRIBUTED = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The weight files of a folder that are read, and the others there."""

    paths: tuple[Path, ...]
    left_out: tuple[Path, ...]

    def notes(self, *also_read: Path) -> tuple[str, ...]:
        """Gives a note on a second set of weights for the reader of the numbers; ``also_read`` are read as well."""
        others = [path.name for path in self.left_out if path not in also_read]
        if not others:
            return ()
        return (f"the weights are {listed(path.name for path in self.paths)}; not read: {listed(others)}",)


def find_weights(folder: Path) -> WeightFiles:
    """Finds the weight files of a checkpoint folder. Raises ModelError.

    The first that is there: model.safetensors, the shards of its index, pytorch_model.bin, the shards of its index. A
    name with a variant (model.fp16.safetensors) is read only by who asks for it, and nobody does here. Weights of
    open_clip come last.
    """
    check_is_whole(folder)
    if shards := [path.name for path in _weights_in(folder) if _DISTRIBUTED.fullmatch(path.name)]:
        raise ModelError(
            f"the checkpoint {folder} holds the shards of a distributed training: {listed(shards)}",
            "save the whole model on one process (save_pretrained), and give that folder",
        )
    first = _first(folder)
    if first is None:
        raise ModelError(f"the checkpoint {folder} has no weights: {_why_none(folder)}", _mend_for_none(folder))
    if first.suffix == ".json":
        return _with_others(_shards(first), {first})
    index = folder / (first.name + _INDEX)
    if index.is_file():
        index_shards(index)  # it is not read, but whoever copied it here means it
    return _with_others([first], {first})


def only(file: Path) -> WeightFiles:
    """Gives a file of weights that is read for itself, with the others of its folder."""
    return _with_others([file], set())


def is_adapter(folder: Path) -> bool:
    """Tells whether a folder holds an adapter, or what LLaVA's trainer saves beside one, and no whole model."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if _first(folder) is not None or any(name.endswith(".ckpt") for name in names):
        return False
    return ADAPTER_CONFIG in names or any(name in names for name in PARTIAL)


def base_named_by(folder: Path) -> str:
    """Gives the base model that an adapter names; "" if it names none. Raises ModelError."""
    for file, key in ((ADAPTER_CONFIG, "base_model_name_or_path"), ("config.json", "_name_or_path")):
        named = read_json_object(folder / file, missing_ok=True).get(key)
        if isinstance(named, str) and named:
            return named
    return ""


def config_home(folder: Path, adapter: Path | None) -> Path:
    """Gives the folder whose config.json counts: LLaVA's trainer saves the whole model's with an adapter."""
    return adapter if adapter is not None and (adapter / "config.json").is_file() else folder


def check_is_whole(folder: Path) -> None:
    """Checks that a folder is no part of a model: an adapter or a projector. Raises ModelError that says what it is."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    adapters = [name for name in ADAPTERS if name in names]
    is_whole = _first(folder) is not None or any(name.endswith(".ckpt") for name in names)
    if ADAPTER_CONFIG in names and (adapters or not is_whole):
        settings = read_json_object(folder / ADAPTER_CONFIG)
        peft_type = settings.get("peft_type", "LORA")
        kind = "a LoRA adapter" if peft_type == "LORA" else f"an adapter ({peft_type})"
        base = shortened(str(settings.get("base_model_name_or_path") or "a model that it does not name"), 100)
        if is_whole:
            raise ModelError(
                f"{folder} holds whole weights, and beside them {kind} of {base} ({ADAPTER_CONFIG}): where PEFT is "
                "installed, transformers adds the adapter, else not",
                f"merge the adapter into the weights, or move {listed([ADAPTER_CONFIG, *adapters])} to another folder "
                "to evaluate the weights alone",
            )
        raise ModelError(f"{folder} is {kind} of {base}, not a whole model", _mend_for_adapter(folder, names, base))
    if is_whole:
        return
    if adapters:
        raise ModelError(
            f"{folder} is no whole model: {adapters[0]} is an adapter, and no {ADAPTER_CONFIG} says of which model",
            "merge it into its model first, and give the merged folder",
        )
    for name, what in zip(PARTIAL, ("what was trained beside a LoRA adapter", "a projector"), strict=True):
        if name in names:
            base = str(read_json_object(folder / "config.json", missing_ok=True).get("_name_or_path") or "BASE")
            raise ModelError(
                f"{folder} is no whole model: {name} is {what}, as LLaVA's trainer saves it; the language model is "
                f"another checkpoint, {base}",
                _mend_with_llava(folder, base),
            )


def index_shards(index: Path) -> list[str]:
    """Reads the names of the shards in an index. Raises ModelError."""
    return sorted({str(Path(file)) for file in weight_map(index).values()})


def weight_map(index: Path) -> dict[str, str]:
    """Reads which shard holds each weight from an index. Raises ModelError."""
    by_name = read_json_object(index).get("weight_map")
    if not isinstance(by_name, dict):
        raise ModelError(f"{index} is no index of weight files: it has no weight_map by name", _MEND_OF_INDEX)
    for file in by_name.values():
        if not isinstance(file, str) or not _names_weights(file):
            detail = f"{shortened(repr(file), 80)} is no name of a file of weights"
            raise ModelError(f"{index} is no index of weight files: {detail}", _MEND_OF_INDEX)
    return {name: str(Path(file)) for name, file in by_name.items()}


def _names_weights(file: str) -> bool:
    path = Path(file)
    return file.isprintable() and bool(path.name) and path.suffix in ("", *_OF_WEIGHTS)


def is_of_open_clip(folder: Path) -> bool:
    """Tells whether a folder holds a model for open_clip alone; many hold the same one for transformers as well."""
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        return False
    first = _first(folder)
    return first.name in OPEN_CLIP if first is not None else not (folder / "config.json").is_file()


def _first(folder: Path) -> Path | None:
    """Finds the file that transformers looks at first: one with all weights, or an index of shards."""
    candidates = [name for single in SINGLES for name in (single, single + _INDEX)]
    if (folder / OPEN_CLIP_CONFIG).is_file():
        candidates += OPEN_CLIP
    paths = [folder / name for name in [*_named_and_there(folder), *candidates]]
    for path in paths:
        if path.is_file():
            return path
        if not path.is_dir():  # a tool of DeepSpeed makes a folder of that name, and others pass over it
            check_no_other(path)
    return None


def check_no_other(file: Path) -> None:
    """Checks that nothing but a file is in the place of one of a checkpoint. Raises ModelError: it is not "missing"."""
    if what := why_no_file(file):
        raise ModelError(f"cannot read {file}: {what}", "copy or download that file again")


def check_small_files(folder: Path) -> None:
    """Checks that the settings and the tokenizer of a checkpoint that are there are files. Raises ModelError.

    Most of them may be missing, and are replaced by what is usual: not where one was meant to be there.
    """
    for pattern in _SMALL:
        for file in sorted(folder.glob(pattern)):
            check_no_other(file)


def named_by_config(folder: Path) -> Any:
    """Gives the file that config.json names for transformers to read, unchecked; None if it names none."""
    return read_json_object(folder / "config.json", missing_ok=True).get(_NAMED_BY_CONFIG)


def _named_and_there(folder: Path) -> list[str]:
    """Gives the file that config.json names, in a list; an empty one if it names none. Raises ModelError."""
    config = folder / "config.json"
    name = named_by_config(folder)
    if name is None:
        return []
    # Not resolved: in the hub's cache each file is a link out of the folder.
    is_name = isinstance(name, str) and name.endswith((".safetensors", f".safetensors{_INDEX}"))
    path = Path(os.path.abspath(folder / name)) if is_name else folder
    if not path.is_relative_to(os.path.abspath(folder)) or not path.is_file():
        raise ModelError(
            f"{config}: {_NAMED_BY_CONFIG} {name!r} is no file of weights in the folder",
            f"name one that is there, as NAME.safetensors or NAME.safetensors{_INDEX}, or remove the key",
        )
    return [str(name)]


def _shards(index: Path) -> list[Path]:
    names = index_shards(index)
    if not names:
        raise ModelError(f"{index} names no file of weights", _MEND_OF_INDEX)
    paths = [index.parent / name for name in names]
    for path in paths:
        _check_inside(path, index)
        check_no_other(path)
    missing = [shortened(path.name) for path in paths if not _is_file(path)]
    if missing:
        whole = [name for name in SINGLES if (index.parent / name).is_file()]
        raise ModelError(
            f"the checkpoint {index.parent} lacks {len(missing)} of its weight files: {listed(missing)}, which "
            f"{index.name} names",
            "copy them into the folder" + (f", or remove {index.name} to read {whole[0]}" if whole else ""),
        )
    return paths


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # pathlib raises OSError for too long a name


def _check_inside(path: Path, index: Path) -> None:
    """Checks that a shard lies in the folder of its index, or is a file of the hub's cache. Raises ModelError."""
    folder = index.parent
    is_inside = Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))
    real, real_folder = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    # The cache:  models--a--b/snapshots/<commit>/NAME -> ../../blobs/<digest>
    blobs = real_folder.parent.parent / "blobs"
    if not is_inside or not (real.is_relative_to(real_folder) or real.parent == blobs):
        raise ModelError(
            f"{index} names {shortened(str(path))}, which is outside the checkpoint's folder",
            "copy the shard into the folder",
        )


def _with_others(read: Iterable[Path], known: set[Path]) -> WeightFiles:
    paths = tuple(read)
    known |= set(paths)
    folder = paths[0].parent
    others = [*_weights_in(folder), *sorted(folder.glob(f"*{_INDEX}")), *folder.glob(ADAPTER_CONFIG)]
    return WeightFiles(paths, tuple(path for path in others if path not in known))


def _weights_in(folder: Path) -> list[Path]:
    """Lists all files of a folder that may hold weights of some model."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in _OF_WEIGHTS
        and not any(fnmatch.fnmatch(path.name, pattern) for pattern in _OF_TRAINING)
        and path.is_file()
    )


def _why_none(folder: Path) -> str:
    if folders := [name for name in SINGLES if (folder / name).is_dir()]:
        return f"{folders[0]} is a folder, not a file"
    others = [path.name for path in _weights_in(folder)]
    there = f"; {listed(others)} has not a name that transformers looks for" if others else " is there"
    return f"neither {SINGLES[0]} nor {SINGLES[1]}{there}"


def _mend_for_none(folder: Path) -> str:
    others = [path for path in _weights_in(folder) if path.suffix in (".safetensors", ".bin")]
    if len(others) != 1:
        return "copy the weights into the folder"
    name = next(name for name in SINGLES if name.endswith(others[0].suffix))
    return f"if it is the whole model:  mv {others[0]} {folder / name}"


def _mend_for_adapter(folder: Path, names: set[str], base: str) -> str:
    if PARTIAL[0] in names:
        return _mend_with_llava(folder, base)
    return (
        "say where its base is:  --model-args base=PATH-OR-HUB-ID ; or merge it first (PEFT: merge_and_unload, then "
        "save_pretrained), and give the merged folder"
    )


def _mend_with_llava(folder: Path, base: str) -> str:
    words = f"--model-path {folder} --model-base {base} --save-model-path WHOLE"
    return (
        "say where its base is:  --model-args base=PATH-OR-HUB-ID ; or merge both first, in LLaVA's repository:  "
        f"python scripts/merge_lora_weights.py {words}"
    )
