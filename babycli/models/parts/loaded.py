"""A model that the user's own program has loaded, as the families read it: an evaluation in a training, or a notebook.

Owns which family it is of, the fingerprint of what it is at this moment, and how its processor is read. Never computes
a score: the families' own models do. as_it_was.py takes back what is changed here.

A processor and a config are read from files, as those of a checkpoint are: they are saved into a folder for that
moment. So a loaded model is asked exactly as the checkpoint that would be saved of it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate.utils import extract_model_from_parallel
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from transformers import GenerationConfig, PreTrainedModel

from babycli.errors import ModelError, UsageError
from babycli.files import temporary_folder
from babycli.models import Resolved, clip, hf, llava, plugin
from babycli.models.base import Abilities, Family, Loader, Model, ModelInfo, ModelSpec, Outline
from babycli.models.parts import checkpoint
from babycli.models.parts.greedy import read_greedy
from babycli.models.parts.precision import full_precision, notes_on_broken
from babycli.models.parts.transformers_calls import reading
from babycli.wording import Dtype, Scoring, listed

_SHARDED = "evaluate the checkpoints that it saves:  babycli eval --model 'RUN/checkpoint-*' --watch"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model: how an evaluation finds it, where it is, and the modules that must stay as they are."""

    resolved: Resolved
    device: str | None  # None: it does not tell
    dtype: str | None
    modules: Sequence[nn.Module]


def of_transformers(network: Any, processor: Any, name: str | None) -> Loaded:
    """Takes a network of transformers, within wrappers perhaps, with its processor.

    Raises UsageError without a processor, ModelError for a network that no family reads or that is not whole here.
    """
    module = _unwrapped(network)
    _check_is_here(network)
    if processor is None:
        raise UsageError(
            f"a {type(module).__name__} is asked through its processor, and none was given",
            "write  babycli.evaluate(model, processor=processor)",
        )
    family = _family_of(module)
    kind = family.name
    made = _family(kind, family.abilities, family.arguments, lambda spec, _: _model_of(kind, module, processor, spec))
    own_name = str(getattr(module.config, "_name_or_path", "") or type(module).__name__)
    resolved = Resolved(type(module).__name__, made, name or own_name)
    dtype = str(module.dtype).removeprefix("torch.")
    if dtype not in list(Dtype):
        raise ModelError(f"a model in {dtype} is not evaluated", f"load it as one of: {', '.join(Dtype)}")
    return Loaded(resolved, str(module.device), dtype, (network, module))


def of_plugin(own: Any, name: str | None) -> Loaded:
    """Takes an object of a user's own class, as docs/model_guide.md describes it. Raises ModelError."""
    source, abilities = type(own).__name__, plugin.abilities_of(own)
    inside = [value for value in getattr(own, "__dict__", {}).values() if isinstance(value, nn.Module)]
    modules = [own] if isinstance(own, nn.Module) else inside
    for module in modules:
        _check_is_here(module)
    first = next((parameter for module in modules for parameter in module.parameters()), None)

    def load(spec: ModelSpec, place: Path) -> Model:
        for module in modules:
            module.eval()
        return plugin.as_model(own, spec, {str(i): checkpoint.module_digest(m) for i, m in enumerate(modules)})

    family = _family("plugin", abilities, {}, load)
    dtype = None if first is None else str(first.dtype).removeprefix("torch.")
    return Loaded(
        Resolved(source, family, name or source),
        None if first is None else str(first.device),
        dtype if dtype in list(Dtype) else None,
        modules,
    )


def _family(name: str, abilities: Abilities, arguments: Mapping[str, str], load: Loader) -> Family:
    """Makes the family of a single model, which is in memory."""

    def no_outline(spec: ModelSpec, place: Path) -> Outline:
        raise AssertionError("babycli models show describes checkpoints")

    return Family(
        name=name,
        summary="a model that a program has loaded",
        abilities=abilities,
        arguments=arguments,
        recognises=lambda folder, config: False,
        load=load,
        outline=no_outline,
        has_checkpoints=False,
    )


def is_of_transformers(model: object) -> bool:
    """Tells whether a model is one of transformers, within wrappers perhaps."""
    return isinstance(model, nn.Module) and isinstance(_inside(model), PreTrainedModel)


def _inside(model: Any) -> Any:
    """Gives the network within the wrappers of a training, and within an adapter of PEFT; changes nothing."""
    inner = extract_model_from_parallel(model, keep_torch_compile=False)
    base = getattr(inner, "get_base_model", None)  # of PEFT: its layers compute with the adapter, wherever they are
    return base() if callable(base) else inner


def _unwrapped(model: Any) -> Any:
    inner = _inside(model)
    if not isinstance(inner, PreTrainedModel):
        raise ModelError(
            f"a {type(inner).__name__} is no model of transformers", "docs/model_guide.md: a class of your own"
        )
    return inner


def _check_is_here(module: nn.Module) -> None:
    """Checks that all weights are whole, in this process, on a device. Raises ModelError."""
    sharded = [name for name, p in module.named_parameters() if isinstance(p, DTensor) or hasattr(p, "ds_id")]
    sharded += [name or "all" for name, each in module.named_modules() if isinstance(each, FullyShardedDataParallel)]
    if sharded:
        raise ModelError(
            f"the weights are spread over several processes (FSDP, DeepSpeed): {listed(sharded)}", _SHARDED
        )
    nowhere = [name for name, p in module.named_parameters() if p.is_meta]
    if nowhere:
        raise ModelError(f"weights without numbers (on the meta device): {listed(nowhere)}", "load them first")


def _family_of(network: Any) -> Family:
    """Finds the family that would read its checkpoint. Raises ModelError."""
    config = network.config.to_dict()
    for family in (llava.FAMILY, clip.FAMILY, hf.FAMILY):
        if family.recognises(Path(type(network).__name__), config):  # a folder that is not there
            return family
    raise ModelError(
        f"no family reads a loaded {type(network).__name__} (model_type {config.get('model_type')!r}); expected is a "
        "model of transformers that sees an image and scores or writes text, as LLaVA, CLIP, SigLIP, Qwen2-VL",
        "give babycli an object of a class of your own: docs/model_guide.md",
    )


def _model_of(kind: str, network: Any, processor: Any, spec: ModelSpec) -> Model:
    """Makes babycli's model of a network; see babycli.models.base.Loader."""
    makers: dict[str, Callable[[Any, Path, ModelSpec], Model]] = {"llava": _llava, "clip": _clip, "hf": _hf}
    # Autocast that a training's accelerator has put around it goes, and comes back with all other attributes.
    extract_model_from_parallel(network, keep_fp32_wrapper=False)
    vars(network).pop("_compiled_call_impl", None)
    network.eval()
    if spec.dtype == "float32":
        full_precision()
    with _settings_of(network, processor) as folder:
        try:
            model = makers[kind](network, folder, spec)
        except ModelError as error:
            raise ModelError(error.message.replace(str(folder), spec.name), error.mend) from error
        settings = checkpoint.fingerprint(file for file in folder.iterdir() if file.is_file())
    whole = hashlib.sha256(f"{settings} {checkpoint.module_digest(network)}".encode()).hexdigest()
    notes = (*model.info.notes, *(notes_on_broken(network.parameters()) if kind != "llava" else ()))
    model.info = replace(model.info, fingerprint=whole, notes=notes)
    return model


@contextlib.contextmanager
def _settings_of(network: Any, processor: Any) -> Iterator[Path]:
    """Saves config and processor into a folder for the block. Raises ModelError."""
    with temporary_folder() as folder:
        with reading(f"the processor, a {type(processor).__name__}, cannot be saved, as a training would save it"):
            network.config.save_pretrained(folder)
            if getattr(network, "generation_config", None) is not None:
                network.generation_config.save_pretrained(folder)
            processor.save_pretrained(folder)
        yield folder


def _hf(network: Any, folder: Path, spec: ModelSpec) -> Model:
    from babycli.models.parts.hf_model import TEMPLATE, HfModel

    _, chat = hf.config_and_chat(spec, folder)
    greedy = read_greedy(folder)
    if greedy.is_declared:  # else the network's own is what transformers makes of config.json
        network.generation_config = GenerationConfig.from_dict(dict(greedy.followed))
    notes = [*chat.notes(), *greedy.notes]
    if spec.scoring == Scoring.REFERENCE:
        notes.append("scored as with --scoring fair: there is no original to follow")
    chat.folder = Path(spec.name)  # for errors: the other is gone soon
    return HfModel(network, chat, _info("hf", network, spec, TEMPLATE, notes))


def _clip(network: Any, folder: Path, spec: ModelSpec) -> Model:
    from babycli.models.parts.clip_images import load_image_reader
    from babycli.models.parts.clip_model import ClipModel
    from babycli.models.parts.clip_texts import load_text_reader

    texts, images = load_text_reader(folder, network.config), load_image_reader(folder, network.config)
    return ClipModel(network, texts, images, _info("clip", network, spec, "none", images.notes))


def _llava(network: Any, folder: Path, spec: ModelSpec) -> Model:
    return llava.load(spec, folder, network.state_dict())


def _info(kind: str, network: Any, spec: ModelSpec, template: str, notes: Sequence[str]) -> ModelInfo:
    return ModelInfo(
        family=kind,
        source=spec.source,
        fingerprint="",  # set when all of it is read
        n_parameters=checkpoint.n_parameters(network),
        dtype=spec.dtype,
        device=spec.device,
        template=template,
        abilities={"hf": hf.FAMILY.abilities, "clip": clip.FAMILY.abilities}[kind],
        notes=tuple(notes),
        model_type=network.config.model_type,
    )
