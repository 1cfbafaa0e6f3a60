"""Adapters: what a LoRA training changes in a base model, and what LLaVA's trainer saves beside it.

    adapter_config.json          of PEFT: the base, and how large the changes are
    adapter_model.safetensors    or .bin:  base_model.model.layers.0.q_proj.lora_A.weight  (rank, in)
                                           base_model.model.layers.0.q_proj.lora_B.weight  (out, rank)
    non_lora_trainables.bin      of LLaVA's trainer: whole weights, for instance the projector's
    config.json                  of LLaVA's trainer: that of the whole model, in place of the base's

Owns finding an adapter and its base, and merging its changes:  W + lora_B lora_A alpha / rank. Never reads the base. A
setting that means another sum is refused by its name.

Source: merge_and_unload of peft 0.21, and load_pretrained_model in llava/model/builder.py of LLaVA 1.5.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babycli.errors import ModelError
from babycli.models.parts import checkpoint
from babycli.models.parts.apart import command
from babycli.models.parts.known_keys import is_number, shown
from babycli.models.parts.precision import is_same
from babycli.models.parts.weight_files import ADAPTER_CONFIG, ADAPTERS, PARTIAL
from babycli.wording import all_of, listed, shortened

# Keys of adapter_config.json that decide what is added, that say how the training went, or that name what is in the
# file of weights anyway. Any other key must have a value that means nothing.
_USED = {"peft_type", "lora_alpha", "alpha_pattern", "use_rslora", "use_dora", "base_model_name_or_path"}
_IDLE = {"r", "rank_pattern", "lora_dropout", "target_modules", "exclude_modules", "modules_to_save", "bias"}
_IDLE |= {"auto_mapping", "inference_mode", "task_type", "revision", "init_lora_weights", "layers_to_transform"}
_IDLE |= {"layers_pattern", "fan_in_fan_out", "loftq_config", "eva_config", "corda_config", "lora_ga_config"}
_IDLE |= {"runtime_config", "ephemeral_gpu_offload", "megatron_core", "qalora_group_size", "peft_version"}
_IDLE |= {"ensure_weight_tying", "parent_library"}
_PREFIX = "base_model.model."
BY_PEFT = "merge it with PEFT first (merge_and_unload, then save_pretrained), and give the merged folder"
_OTHER_BASE = "say which model it was trained on:  --model-args base=PATH-OR-HUB-ID"
_COPY = "copy that file of the training run into the folder"
MATCHING_S = 20  # for patterns that take less than a millisecond
_MATCHING_BYTES = 1 << 30
_MATCHING = """
import json, re
patterns, modules = json.load(sys.stdin)
compiled = [re.compile(rf"(.*\\.)?({pattern})") for pattern in patterns]
print(json.dumps([next((i for i, p in enumerate(compiled) if p.fullmatch(module)), None) for module in modules]))
"""
# module.lora_A.weight, module.lora_embedding_A, and the length of each row in DoRA
_PART = re.compile(r"(?P<module>.+)\.(?P<part>lora_(embedding_)?[AB]|lora_magnitude_vector)(\.weight)?")


@dataclass(frozen=True, slots=True)
class Change:
    """What an adapter adds to one weight."""

    up: Tensor  # (out, rank)
    down: Tensor  # (rank, in)
    scale: float
    lengths: Tensor | None = None  # of the rows, in DoRA
    is_embedding: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """How many numbers go out and in."""
        return self.up.shape[0], self.down[0].numel()

    def fits(self, weight: Tensor, is_transposed: bool) -> bool:
        """Tells whether a weight has the shape that is changed; of a convolution, that of its rows."""
        n_out, n_in = self.shape
        expected = (n_in, n_out) if is_transposed or self.is_embedding else (n_out, n_in)
        return weight.dim() > 1 and weight.flatten(1).shape == expected

    def on(self, weight: Tensor, is_transposed: bool) -> Tensor:
        """Gives the weight with the change, in float32; ``is_transposed``: it is (in, out), as GPT-2's are."""
        flat = self.up.float().flatten(1) @ self.down.float().flatten(1)
        added = (flat.T if is_transposed or self.is_embedding else flat) * self.scale
        whole = weight.float() + added.reshape(weight.shape)
        if self.lengths is None:
            return whole
        rows = whole.T if is_transposed else whole
        lengths = self.lengths.float().flatten() / rows.flatten(1).norm(dim=1)
        scaled = rows * lengths.reshape(-1, *[1] * (rows.dim() - 1))
        turned: Tensor = scaled.T if is_transposed else scaled
        return turned


@dataclass(frozen=True, slots=True)
class Whole:
    """A weight that an adapter puts in place of the base's."""

    tensor: Tensor
    file: Path

    @property
    def is_of_trainer(self) -> bool:
        """Tells whether LLaVA's trainer saved it: then its loader copies it into all that shares the weight."""
        return self.file.name in PARTIAL


@dataclass(frozen=True, slots=True)
class Adapter:
    """The changes of an adapter, and the weights that it puts in place of the base's."""

    changes: Mapping[str, Change]  # by the name of the weight
    whole: Mapping[str, Whole]


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a base."""

    notes: tuple[str, ...] = ()  # for the reader of the numbers
    unties: bool = False  # weights that are one in the base are so no longer


def read_adapter(folder: Path) -> Adapter:
    """Reads an adapter. Raises ModelError for one of a kind that cannot be merged here."""
    whole: dict[str, Whole] = {}
    changes: dict[str, Change] = {}
    files = [folder / name for name in _weights_of(folder)]
    for file in files:
        weights = checkpoint.read_weights([file], merged=False)
        if file.name in ADAPTERS:
            settings = _read_settings(folder / ADAPTER_CONFIG)
            changes, weights = _sorted_out(file, settings, weights)
        whole |= {name: Whole(tensor, file) for name, tensor in weights.items()}  # the trainer's last, as LLaVA loads
    if not files:
        raise ModelError(f"{folder} has no weights of an adapter: expected is {ADAPTERS[0]}", "copy it into the folder")
    if not changes and not whole:
        raise ModelError(f"{all_of(map(str, files))} holds no weights of an adapter: it would change nothing")
    return Adapter(changes, whole)


def _read_settings(file: Path) -> dict[str, Any]:
    settings = checkpoint.read_json_object(file)
    if settings.get("peft_type", "LORA") != "LORA":
        raise ModelError(
            f"{file}: an adapter of the kind {shown(settings['peft_type'])} is not merged here; expected is LORA",
            BY_PEFT,
        )
    for key, value in settings.items():
        if key not in _USED | _IDLE and value not in (None, False, [], {}):
            raise ModelError(
                f"{file}: {key} {shown(value)} makes another change than LoRA, which is not merged here",
                BY_PEFT,
            )
    alphas = {"lora_alpha": settings.get("lora_alpha", 8), **_patterns(file, settings)}
    for key, alpha in alphas.items():
        if not is_number(alpha) or not math.isfinite(alpha):
            raise ModelError(f"{file}: {key} {shown(alpha)}: expected is a number")
        if alpha == 0 and key == "lora_alpha":
            raise ModelError(f"{file}: {key} is 0: the adapter would change nothing", _COPY)
    for key in ("use_rslora", "use_dora"):
        if settings.get(key) not in (True, False, None):
            raise ModelError(f"{file}: {key} {shown(settings[key])}: expected is true or false")
    return settings


def _patterns(file: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Gives alpha_pattern: regular expressions for names of modules, each with its alpha. Raises ModelError."""
    patterns = settings.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise ModelError(f"{file}: alpha_pattern {shown(patterns)} is no object of patterns")
    return patterns


def _alphas(file: Path, settings: Mapping[str, Any], modules: Sequence[str]) -> dict[str, float]:
    """Gives the alpha of each module. Raises ModelError.

    A stranger's pattern may take years to be matched, and nothing can interrupt that: a process of its own does it.
    """
    patterns, plain = _patterns(file, settings), float(settings.get("lora_alpha", 8))
    if not patterns:
        return dict.fromkeys(modules, plain)
    try:
        matched = subprocess.run(
            command(_MATCHING, _MATCHING_BYTES),
            input=json.dumps([list(patterns), modules]),
            capture_output=True,
            text=True,
            timeout=MATCHING_S,
            check=True,
        )
        found: list[int | None] = json.loads(matched.stdout)
    except subprocess.TimeoutExpired as error:
        why = f"after {MATCHING_S} s it was not matched yet"
        raise ModelError(f"{file}: alpha_pattern {shown(patterns)} cannot be used: {why}", BY_PEFT) from error
    except subprocess.CalledProcessError as error:
        why = shortened((error.stderr.strip().splitlines() or ["it ends the process that matches it"])[-1])
        raise ModelError(f"{file}: alpha_pattern {shown(patterns)} cannot be used: {why}", BY_PEFT) from error
    values = list(map(float, patterns.values()))
    return {module: plain if i is None else values[i] for module, i in zip(modules, found, strict=True)}


def _sorted_out(
    file: Path, settings: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> tuple[dict[str, Change], dict[str, Tensor]]:
    """Divides an adapter's weights into changes, by the name of the weight that they change, and whole weights."""
    parts: dict[str, dict[str, Tensor]] = {}
    plain: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        name = name.removeprefix(_PREFIX)
        if match := _PART.fullmatch(name):
            parts.setdefault(match["module"], {})[match["part"]] = tensor
        elif ".lora_" in name:
            raise ModelError(f"{file}: {name} is no part of a LoRA that is merged here", BY_PEFT)
        else:
            plain[name.replace(".modules_to_save.", ".").replace(".base_layer.", ".")] = tensor
    alphas = _alphas(file, settings, list(parts))
    return {f"{m}.weight": _change(file, settings, m, alphas[m], found) for m, found in parts.items()}, plain


def _change(file: Path, settings: Mapping[str, Any], module: str, alpha: float, found: Mapping[str, Tensor]) -> Change:
    infix = "embedding_" if "lora_embedding_A" in found else ""
    up, down = found.get(f"lora_{infix}B"), found.get(f"lora_{infix}A")
    if up is None or down is None or up.dim() < 2 or down.dim() < 2 or up.flatten(1).shape[1] != down.shape[0]:
        raise ModelError(f"{file}: {module} lacks lora_A or lora_B, or they do not fit each other")
    rank = down.shape[0]
    if rank == 0:
        raise ModelError(f"{file}: {module} has lora_A and lora_B of rank 0: they would change nothing", _COPY)
    if settings.get("r", rank) != rank and not settings.get("rank_pattern"):  # PEFT refuses the shapes, too
        raise ModelError(f"{file}: {module} has the rank {rank}, and {ADAPTER_CONFIG} says r {settings['r']!r}", _COPY)
    lengths = found.get("lora_magnitude_vector")
    if infix and lengths is not None:
        raise ModelError(f"{file}: use_dora of embeddings ({module}) is not merged here", BY_PEFT)
    if settings.get("use_dora") and lengths is None:
        raise ModelError(f"{file}: use_dora is true, but {module} has no lora_magnitude_vector")
    if lengths is not None and lengths.numel() != up.shape[0]:
        raise ModelError(
            f"{file}: {module} has a lora_magnitude_vector of {lengths.numel()} numbers, and its lora_B has "
            f"{up.shape[0]} rows",
            _COPY,
        )
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    return Change(up, down, scale, lengths, bool(infix))


@torch.no_grad()
def merge(
    adapter: Path,
    weights: MutableMapping[str, Tensor],
    dtype: torch.dtype,
    is_transposed: Callable[[str], bool] = lambda name: False,
    in_model: Callable[[str], str] = str,
    tied: Sequence[Collection[str]] = (),
    is_added: Callable[[str], bool] = lambda name: False,
) -> Merged:
    """Merges the adapter in a folder into weights by name, which become ``dtype``.

    ``is_transposed`` tells of a weight whether it is (in, out); ``in_model`` gives the model's name of a weight for the
    adapter's. ``tied`` are the names, all of them in ``weights``, that are one weight in the base: PEFT gives each of
    them its own where the adapter has it whole. ``is_added`` tells of a weight whether the base may lack it. Raises
    ModelError where the base has no such weight, or one of another shape.
    """
    read = read_adapter(adapter)
    whole = {in_model(name): one for name, one in read.whole.items()}
    changes = {in_model(name): change for name, change in read.changes.items()}
    missing = [name for name in read.changes if in_model(name) not in weights]
    if missing:
        raise ModelError(
            f"{adapter} changes {len(missing)} weights that its base does not have: {listed(missing, 3)}", _OTHER_BASE
        )
    for name, one in whole.items():
        if name not in weights and not is_added(name):
            raise ModelError(f"{one.file} holds {name} {tuple(one.tensor.shape)}, and its base has none", _OTHER_BASE)
    together = _replaced_together(adapter, changes, whole, tied)
    for name, one in whole.items():
        tensor = one.tensor.to(dtype) if one.tensor.is_floating_point() else one.tensor
        weights.update(dict.fromkeys(together.get(name, [name]), tensor))
    for name, change in changes.items():  # on the weights that PEFT saves with the changes of embeddings, too
        is_turned = is_transposed(name)
        if not change.fits(weights[name], is_turned):
            raise ModelError(
                f"{adapter} changes {name} by {change.shape}, and in its base it is {tuple(weights[name].shape)}",
                _OTHER_BASE,
            )
        weights[name] = change.on(weights[name], is_turned).to(dtype)
    own = f", and {len(whole)} are the adapter's own" if whole else ""
    notes = [f"the adapter {adapter} is merged into its base: it changes {len(changes)} weights{own}"]
    parted = [names for names in tied if not all(is_same(weights[min(names)], weights[name]) for name in names)]
    notes += [f"{all_of(sorted(names))} are one weight in the base, and not with the adapter" for names in parted]
    for names in tied:
        if names not in parted:
            weights.update(dict.fromkeys(names, weights[min(names)]))
    return Merged(tuple(notes), bool(parted))


def _replaced_together(
    adapter: Path, changes: Collection[str], whole: Mapping[str, Whole], tied: Sequence[Collection[str]]
) -> dict[str, Collection[str]]:
    """Gives, for a whole weight of LLaVA's trainer, all the names of the weight that it replaces.

    Raises ModelError where programs would make different models of the adapter.
    """
    together: dict[str, Collection[str]] = {}
    for names in tied:
        changed = [name for name in names if name in changes]
        if changed:  # PEFT's sum, and what it trained, differ
            others = all_of(sorted(set(names) - set(changed)))
            raise ModelError(
                f"{adapter} changes {all_of(changed)}, and in its base {others} is the same weight, which would change "
                "too",
                BY_PEFT,
            )
        given = [name for name in names if name in whole]
        of_trainer = [name for name in given if whole[name].is_of_trainer]
        if of_trainer and not all(is_same(whole[given[0]].tensor, whole[name].tensor) for name in given):
            raise ModelError(
                f"{whole[of_trainer[0]].file} holds {of_trainer[0]}, the adapter has another for {all_of(given)}, and "
                "they are one weight in its base",
                BY_PEFT,
            )
        together |= dict.fromkeys(of_trainer, names)
    return together


def files_of(adapter: Path | None) -> list[Path]:
    """Lists the files of an adapter on which scores depend; none where there is no adapter."""
    if adapter is None:
        return []
    names = (*_weights_of(adapter), ADAPTER_CONFIG, "config.json")
    return [adapter / name for name in names if (adapter / name).is_file()]


def _weights_of(folder: Path) -> list[str]:
    """Lists the files of weights; of the same as safetensors and as .bin, PEFT takes the first."""
    there = [name for name in ADAPTERS if (folder / name).is_file()][:1]
    return there + [name for name in PARTIAL if os.path.lexists(folder / name)]  # what is no file is named there
