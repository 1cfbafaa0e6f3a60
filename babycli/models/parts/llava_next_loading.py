"""Loading LLaVA's later checkpoints in its authors' format as the classes of transformers that they are.

Owns the network filled under transformers' names, the processor and the chat template. Never decides what a config
means: parts/llava_next_config.py does. Never scores anything: parts/hf_model.py does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import init_empty_weights
from torch import Tensor
from transformers import GenerationConfig

from babycli.errors import ModelError
from babycli.files import in_home
from babycli.models.base import ModelInfo, ModelSpec, Origin, Outline
from babycli.models.parts import adapters, checkpoint, llava_loading
from babycli.models.parts.chat_templates import template_in
from babycli.models.parts.greedy import read_greedy
from babycli.models.parts.hf_abilities import ABILITIES
from babycli.models.parts.hf_chat import Chat, setting_files, without_videos
from babycli.models.parts.hf_model import TEMPLATE, HfModel
from babycli.models.parts.hf_parts import parts_of
from babycli.models.parts.hub import fetch_tower_folder
from babycli.models.parts.llava_network import HEAD, embeddings_of
from babycli.models.parts.llava_next_config import (
    Plan,
    as_in_checkpoint,
    is_of_tower,
    make_plan,
    renamed,
    tower_name,
)
from babycli.models.parts.origins import glimpse, of_settings
from babycli.models.parts.picture_settings import PictureSettings, read_picture_settings
from babycli.models.parts.placement import spread
from babycli.models.parts.precision import full_precision, in_dtype, notes_on_broken, torch_dtype
from babycli.models.parts.transformers_calls import reading
from babycli.models.parts.transformers_tokenizer import read_tokenizer
from babycli.models.parts.weight_files import config_home, find_weights

_LIBRARY: Any = transformers
_IMAGE = "<image>"
_TRUNK = "model"  # the language model's name in the original
_EMBEDDINGS = "model.language_model.embed_tokens.weight"
_TUNED = ("unfreeze_mm_vision_tower", "tune_vision_tower")
# A picture among the words of a message gets a line of its own, as in conversation.py of LLaVA-NeXT.
_PARTS = (
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
)
# By the kind of the language model: the conversations vicuna_v1, mistral_instruct and qwen_1_5 there.
_TEMPLATES = {
    "llama": "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the human's questions. {% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: " + _PARTS + " {% else %}ASSISTANT: " + _PARTS + "</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}",
    "mistral": "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST] " + _PARTS + " "
    "[/INST]{% else %} " + _PARTS + "</s>{% endif %}{% endfor %}",
    "qwen2": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% for message in messages %}<|im_start|>"
    "{{ message['role'] }}\n" + _PARTS + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% endif %}",
}


def load(spec: ModelSpec, folder: Path) -> HfModel:
    """Loads a checkpoint folder. Raises ModelError."""
    file, config = _config(spec, folder)
    found = find_weights(folder)
    weights = checkpoint.read_weights(found.paths)
    tied = (embeddings_of(_TRUNK), HEAD) if config.get("tie_word_embeddings") else ()
    merged = llava_loading.merge_adapter(spec, weights, _TRUNK, tied)
    config |= {"tie_word_embeddings": False} if merged.unties else {}
    tuned = any(config.get(key) for key in _TUNED) or "mm_vision_tower" in str(config.get("mm_tunable_parts") or "")
    uses_own = tuned and "vision_tower" not in spec.args and any(map(is_of_tower, weights))
    home = _tower_home(spec, folder, config, with_weights=not uses_own)
    plan = make_plan(file, config, home / "config.json", checkpoint.read_config(home))
    files = [*found.paths, *setting_files(folder), *adapters.files_of(spec.adapter), home / "config.json"]
    if not uses_own:
        tower = find_weights(home)
        weights = {name: tensor for name, tensor in weights.items() if not is_of_tower(name)}
        weights |= as_in_checkpoint(checkpoint.read_weights(tower.paths))
        files += tower.paths
    pictures = read_picture_settings(home)
    tokenizer = _tokenizer(folder)
    network = _filled(
        llava_loading.where(spec, folder),
        folder / "config.json",
        plan,
        tokenizer,
        in_dtype(renamed(plan, weights), torch_dtype(spec.dtype)),
    )
    del weights
    chat = _chat(spec, folder, plan, tokenizer, pictures)
    own = read_greedy(folder)
    followed = {"eos_token_id": tokenizer.eos_token_id} | dict(own.followed)
    network.generation_config = GenerationConfig.from_dict(followed)
    broken = notes_on_broken(network.parameters())
    network = spread(network, spec).eval()
    checkpoint.copy_from_files(network)
    if spec.dtype == "float32":
        full_precision()
    template = [in_home(spec.args["chat_template"])] if "chat_template" in spec.args else []
    tower_note = f"the vision tower is {'the checkpoint’s own' if uses_own else home}".replace("’", "'")
    class_note = f"read as transformers' {plan.network}ForConditionalGeneration"
    info = ModelInfo(
        family="llava_next",
        source=spec.source,
        fingerprint=checkpoint.fingerprint(dict.fromkeys([*files, pictures.file, *template])),
        n_parameters=checkpoint.n_parameters(network),
        dtype=spec.dtype,
        device=spec.device,
        template=TEMPLATE,
        abilities=ABILITIES,
        notes=(
            *merged.notes,
            class_note,
            tower_note,
            *pictures.notes,
            *chat.notes(),
            *own.notes,
            *broken,
            *found.notes(),
        ),
    )
    return HfModel(network, chat, info)


def outline(spec: ModelSpec, folder: Path) -> Outline:
    """Describes a checkpoint without reading its weights. Raises ModelError."""
    file, config = _config(spec, folder)
    home = _tower_home(spec, folder, config, with_weights=False)
    plan = make_plan(file, config, home / "config.json", checkpoint.read_config(home))
    tokenizer = _tokenizer(folder)
    chat = _chat(spec, folder, plan, tokenizer, read_picture_settings(home))
    seen = glimpse(folder, spec.source)
    stored = config.get("torch_dtype") or config.get("dtype")
    return Outline(
        family="llava_next",
        parts=tuple(parts_of(_built(file, plan, tokenizer, torch.device("meta")))),
        stored_dtype=seen.dtype or (stored if isinstance(stored, str) else None),
        template=TEMPLATE,
        abilities=ABILITIES,
        render=chat.render,
        origins=(
            seen.origin,
            Origin("vision tower", f"in the weights if it was tuned, else {home}"),
            *of_settings(setting_files(folder)),
        ),
        left_out=seen.left_out,
        notes=chat.notes(),
    )


def _config(spec: ModelSpec, folder: Path) -> tuple[Path, dict[str, Any]]:
    home = config_home(folder, spec.adapter)
    return home / "config.json", checkpoint.read_config(home)


def _tower_home(spec: ModelSpec, folder: Path, config: Mapping[str, Any], with_weights: bool) -> Path:
    wanted = spec.args.get("vision_tower")
    return fetch_tower_folder(wanted or str(tower_name(config)), bool(wanted), folder, with_weights)


def _tokenizer(folder: Path) -> Any:
    """Reads the tokenizer, with a token for pictures, which the original has not: it splits texts there."""
    tokenizer: Any = read_tokenizer(folder)
    with reading(f"{folder}: cannot read its tokenizer"):
        tokenizer.add_special_tokens({"additional_special_tokens": [_IMAGE]}, replace_extra_special_tokens=False)
    return tokenizer


def _built(file: Path, plan: Plan, tokenizer: Any, how: AbstractContextManager[Any]) -> Any:
    """Builds the network without weights, on the meta device or with real buffers. Raises ModelError."""
    tiles = {"image_grid_pinpoints": [list(pair) for pair in plan.grid]} if plan.grid else {}
    more = {"vision_aspect_ratio": plan.aspect} if plan.network == "LlavaOnevision" else {}
    with reading(f"{file} describes no {plan.network}"), how:
        config = getattr(_LIBRARY, f"{plan.network}Config")(
            text_config=dict(plan.text),
            vision_config=dict(plan.tower),
            vision_feature_layer=plan.layer,
            vision_feature_select_strategy=plan.strategy,
            image_token_index=tokenizer.convert_tokens_to_ids(_IMAGE),
            image_seq_length=plan.n_patches,
            tie_word_embeddings=False,  # the head is filled for itself
            **tiles,
            **more,
        )
        config.text_config.tie_word_embeddings = False
        return getattr(_LIBRARY, f"{plan.network}ForConditionalGeneration")(config)


def _filled(where: str, file: Path, plan: Plan, tokenizer: Any, weights: dict[str, Tensor]) -> Any:
    """Builds the network and fills it. The embeddings get a row for the picture's token, and the head gets none."""
    outlined = _built(file, plan, tokenizer, torch.device("meta"))  # its sizes are not to be believed yet
    if plan.text.get("tie_word_embeddings") and _EMBEDDINGS in weights:
        weights[HEAD] = weights[_EMBEDDINGS].clone()
    inside = {name.replace("vision_tower.vision_model.", "vision_tower."): name for name in outlined.state_dict()}
    given = {inside.get(name, name): tensor for name, tensor in weights.items()}
    try:
        checkpoint.check_names(outlined, given, f"{plan.network} model", frozenset())
    except ModelError as error:
        raise ModelError(f"{where}: {error.message}", error.mend) from error
    network = _built(file, plan, tokenizer, init_empty_weights())
    rows = given[_EMBEDDINGS]
    n_lacking = tokenizer.convert_tokens_to_ids(_IMAGE) + 1 - len(rows)
    if n_lacking > 0:
        given[_EMBEDDINGS] = torch.cat([rows, rows.new_zeros(n_lacking, rows.shape[1])])
        network.get_input_embeddings().num_embeddings += n_lacking
    for name, tensor in given.items():
        module, _, kind = name.rpartition(".")
        setattr(network.get_submodule(module), kind, torch.nn.Parameter(tensor, requires_grad=False))
    return network


def _chat(spec: ModelSpec, folder: Path, plan: Plan, tokenizer: Any, pictures: PictureSettings) -> Chat:
    """Makes the chat: transformers' own processor of that class, for one picture or for tiles."""
    images = _images(plan, pictures)
    common = {"tokenizer": tokenizer, "vision_feature_select_strategy": plan.strategy, "image_token": _IMAGE}
    kind = without_videos(getattr(_LIBRARY, f"{plan.network}Processor"))
    with reading(f"{folder}: transformers cannot make its processor"):
        if plan.network == "LlavaOnevision":
            n = plan.n_patches + plan.has_class
            processor = kind(
                images, video_processor=None, num_image_tokens=n, vision_aspect_ratio=plan.aspect, **common
            )
        else:
            patch, n_class = plan.tower["patch_size"], int(plan.has_class)
            processor = kind(images, patch_size=patch, num_additional_image_tokens=n_class, **common)
    given = spec.args.get("chat_template")
    template = _TEMPLATES[plan.text["model_type"]] if given is None else template_in(given)
    chat = Chat(folder, processor, template, folder if given is None else in_home(given), cuts_pictures=True)
    chat.check()
    return chat


def _images(plan: Plan, pictures: PictureSettings) -> Any:
    """Makes the image processor that resizes with Pillow, with the mean and deviation of the tower's."""
    square = {"height": plan.edge, "width": plan.edge}
    edge = {"shortest_edge": plan.edge}
    keys = ("image_mean", "image_std", "resample", "rescale_factor")
    settings = {key: pictures.settings[key] for key in keys if key in pictures.settings}
    with reading(f"{pictures.file}: transformers cannot make an image processor of it"):
        if plan.network == "LlavaNext":
            grid = [list(pair) for pair in plan.grid]
            return _LIBRARY.LlavaNextImageProcessorPil(
                size=edge if plan.has_class else square, crop_size=square, image_grid_pinpoints=grid, **settings
            )
        if plan.network == "LlavaOnevision":
            grid = [list(pair) for pair in plan.grid]
            return _LIBRARY.LlavaOnevisionImageProcessorPil(size=square, image_grid_pinpoints=grid, **settings)
        pads = plan.aspect == "pad"
        if not (pads or plan.has_class):
            return _LIBRARY.SiglipImageProcessorPil(size=square, **settings)
        return _LIBRARY.LlavaImageProcessorPil(size=edge, crop_size=square, do_pad=pads, **settings)
