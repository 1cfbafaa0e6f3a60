"""Each key of a checkpoint's config.json: used as transformers uses it, without effect, or refused by its name.

A table is gone through with a changed value for each key, and the numbers are compared with those of transformers'
own class, made from the same file.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPTextConfig,
    CLIPVisionConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlavaConfig,
    SiglipConfig,
    SiglipTextConfig,
    SiglipVisionConfig,
)

from babycli.errors import ModelError
from babycli.models.base import Model
from babycli.models.parts import known_keys
from babycli.models.parts.known_keys import Effect, Table
from tests.checkpoints import weights_of, write_checkpoint
from tests.conftest import Babycli
from tests.llava_checkpoints import EDGE, PATCH, as_transformers, write_llava, write_tower
from tests.models import test_clip
from tests.models.loading import (
    N_TOKENS,
    WORDS,
    features_of,
    load,
    picture,
    score,
    tokenize,
    write_json,
)
from tests.models.test_llava import PROMPT, direct, expand, pixels_of

# ---------------------------------------------------------------- whole tables

CLASSES: dict[str, tuple[Table, Any]] = {
    "llama": (known_keys.LLAMA, LlamaConfig),
    "gpt2": (known_keys.GPT2, GPT2Config),
    "llava": (known_keys.LLAVA_WHOLE, LlavaConfig),
    "clip": (known_keys.CLIP, CLIPConfig),
    "clip text": (known_keys.CLIP_TEXT, CLIPTextConfig),
    "clip vision": (known_keys.CLIP_VISION, CLIPVisionConfig),
    "siglip": (known_keys.SIGLIP, SiglipConfig),
    "siglip text": (known_keys.SIGLIP_TEXT, SiglipTextConfig),
    "siglip vision": (known_keys.SIGLIP_VISION, SiglipVisionConfig),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_table_has_every_key_that_transformers_reads_or_writes(name: str) -> None:
    table, config_class = CLASSES[name]
    read = {key for key in inspect.signature(config_class).parameters if key != "kwargs"}
    assert not sorted(read - table.keys())
    assert not sorted(config_class().to_dict().keys() - table.keys())


# What published checkpoints hold, by the names of the repositories they are in.
WRITTEN_BEFORE_4_30 = (
    "_name_or_path add_cross_attention architectures attention_dropout bad_words_ids begin_suppress_tokens "
    "bos_token_id chunk_size_feed_forward cross_attention_hidden_size decoder_start_token_id diversity_penalty "
    "do_sample dropout early_stopping encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty "
    "finetuning_task forced_bos_token_id forced_eos_token_id hidden_act hidden_size id2label initializer_factor "
    "initializer_range intermediate_size is_decoder is_encoder_decoder label2id layer_norm_eps length_penalty "
    "max_length min_length model_type no_repeat_ngram_size num_attention_heads num_beam_groups num_beams "
    "num_hidden_layers num_return_sequences output_attentions output_hidden_states output_scores pad_token_id prefix "
    "problem_type projection_dim pruned_heads remove_invalid_values repetition_penalty return_dict "
    "return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss "
    "tie_encoder_decoder tie_word_embeddings tokenizer_class top_k top_p torch_dtype torchscript transformers_version "
    "typical_p use_bfloat16"
)
PUBLISHED: dict[str, tuple[Table, str]] = {
    "liuhaotian/llava-v1.5-7b": (
        known_keys.LLAVA,
        "_name_or_path architectures bos_token_id eos_token_id freeze_mm_mlp_adapter freeze_mm_vision_resampler "
        "hidden_act hidden_size image_aspect_ratio initializer_range intermediate_size max_length "
        "max_position_embeddings mm_hidden_size mm_projector_type mm_resampler_type mm_use_im_patch_token "
        "mm_use_im_start_end mm_vision_select_feature mm_vision_select_layer mm_vision_tower model_type "
        "num_attention_heads num_hidden_layers num_key_value_heads pad_token_id pretraining_tp rms_norm_eps "
        "rope_scaling tie_word_embeddings torch_dtype transformers_version tune_mm_mlp_adapter "
        "tune_mm_vision_resampler unfreeze_mm_vision_tower use_cache use_mm_proj vocab_size",
    ),
    "a LLaVA of LLaVA-NeXT's trainer": (
        known_keys.LLAVA,
        "attention_bias attention_dropout add_faster_video add_time_instruction faster_token_stride force_sample "
        "freeze_mm_mlp_adapter image_aspect_ratio image_crop_resolution image_grid_pinpoints image_split_resolution "
        "mm_hidden_size mm_newline_position mm_patch_merge_type mm_projector_lr mm_projector_type mm_resampler_type "
        "mm_spatial_pool_mode mm_spatial_pool_stride mm_tunable_parts mm_use_im_patch_token mm_use_im_start_end "
        "mm_vision_select_feature mm_vision_select_layer mm_vision_tower mm_vision_tower_lr pos_skipping_range "
        "rope_theta tokenizer_model_max_length tokenizer_padding_side use_mm_proj use_pos_skipping "
        "vision_tower_pretrained",
    ),
    "wsashawn/babyllava_resnext_gpt2": (
        known_keys.BABYLLAVA_GPT2,
        "_name_or_path activation_function architectures attn_pdrop bos_token_id embd_pdrop eos_token_id "
        "freeze_mm_mlp_adapter image_aspect_ratio initializer_range layer_norm_epsilon mm_hidden_size "
        "mm_patch_merge_type mm_projector_lr mm_projector_type mm_use_im_patch_token mm_use_im_start_end "
        "mm_vision_select_feature mm_vision_select_layer mm_vision_tower model_type n_embd n_head n_inner n_layer "
        "n_positions reorder_and_upcast_attn resid_pdrop scale_attn_by_inverse_layer_idx scale_attn_weights "
        "summary_activation summary_first_dropout summary_proj_to_labels summary_type summary_use_proj "
        "tokenizer_model_max_length tokenizer_padding_side torch_dtype transformers_version tune_mm_mlp_adapter "
        "tune_vision_tower use_cache use_mm_proj vocab_size",
    ),
    "llava-hf/llava-1.5-7b-hf": (
        known_keys.LLAVA_WHOLE,
        "architectures ignore_index image_seq_length image_token_index model_type pad_token_id projector_hidden_act "
        "text_config tie_word_embeddings torch_dtype transformers_version vision_config vision_feature_layer "
        "vision_feature_select_strategy vocab_size multimodal_projector_bias dtype image_token_id",
    ),
    "its text_config": (
        known_keys.LLAMA,
        "_name_or_path architectures max_position_embeddings model_type rms_norm_eps torch_dtype vocab_size head_dim",
    ),
    "its vision_config": (
        known_keys.CLIP_VISION,
        "hidden_size image_size intermediate_size model_type num_attention_heads num_hidden_layers patch_size "
        "projection_dim vocab_size",
    ),
    "openai/clip-vit-large-patch14": (
        known_keys.CLIP,
        "_name_or_path architectures initializer_factor logit_scale_init_value model_type projection_dim text_config "
        "text_config_dict torch_dtype transformers_version vision_config vision_config_dict",
    ),
    "its text_config_dict": (
        known_keys.CLIP_TEXT,
        WRITTEN_BEFORE_4_30 + " max_position_embeddings vocab_size",
    ),
    "its vision_config_dict": (
        known_keys.CLIP_VISION,
        WRITTEN_BEFORE_4_30 + " image_size patch_size num_channels",
    ),
    "google/siglip-base-patch16-224": (
        known_keys.SIGLIP,
        "architectures initializer_factor model_type text_config torch_dtype transformers_version vision_config",
    ),
    "openai/clip-vit-large-patch14-336, preprocessor_config.json": (
        known_keys.PICTURES,
        "crop_size do_center_crop do_normalize do_resize feature_extractor_type image_mean image_std resample size",
    ),
    "llava-hf/llava-1.5-7b-hf, preprocessor_config.json": (
        known_keys.PICTURES,
        "_valid_processor_keys crop_size data_format default_to_square device disable_grouping do_center_crop "
        "do_convert_rgb do_normalize do_pad do_rescale do_resize image_mean image_processor_type image_std "
        "input_data_format pad_size processor_class resample rescale_factor return_tensors size",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_key_of_a_published_checkpoint_is_unknown(name: str) -> None:
    table, keys = PUBLISHED[name]
    assert not [key for key in keys.split() if key not in table]


# ---------------------------------------------------------------- a changed value for each key

Numbers = list[float]


@dataclass(frozen=True, slots=True)
class Kind:
    """A small checkpoint, the part of its config.json that is changed, and two ways to its numbers."""

    write: Callable[[Path], Path]
    part: str  # "" for config.json itself
    table: Table
    changed: Mapping[str, Any]  # for each key that is used, another value
    moves: str  # keys of these whose value, if it is taken at all, gives other numbers
    ours: Callable[[Model], Numbers]
    plain: Callable[[Path, Model], Numbers]  # of transformers' own class


def write_llava_whole(folder: Path) -> Path:
    tower = write_tower(folder / "openai" / "clip-small")
    return as_transformers(write_llava(folder / "original"), tower, folder / "model")


def write_llava_original(folder: Path) -> Path:
    write_tower(folder / "openai" / "clip-small")
    return write_llava(folder / "model")


def llava_scores(model: Model) -> Numbers:
    return list(score(model, "red cat", 0, PROMPT).token_logprobs)


def plain_llava_scores(folder: Path, model: Model) -> Numbers:
    tokens, network = tokenize(model, PROMPT, "red cat"), direct(folder)
    ids = torch.tensor([expand(tokens.ids, network.config.image_token_id)])
    with torch.inference_mode():
        logits = network(input_ids=ids, pixel_values=pixels_of(picture(0))).logits[0].log_softmax(-1)
    return [float(logits[i - 1, ids[0, i]]) for i in range(ids.shape[1] - tokens.n_answer, ids.shape[1])]


def write_babyllava(folder: Path) -> Path:
    return write_checkpoint(folder / "model", WORDS)


def text_scores(model: Model) -> Numbers:
    return list(score(model, "red cat").token_logprobs)


def plain_gpt2_scores(folder: Path, model: Model) -> Numbers:
    """transformers' GPT-2 behind the features that the rest of the model gives."""
    config = json.loads((folder / "config.json").read_text())
    network: Any = GPT2LMHeadModel(GPT2Config(**{k: v for k, v in config.items() if not k.startswith("mm_")}))
    weights = weights_of("transformer", N_TOKENS, 0)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert all(shapes[n] == w.shape for n, w in weights.items() if ".mm_" not in n and ".vision_tower." not in n)
    network.load_state_dict({n: w for n, w in weights.items() if n in shapes}, strict=False)
    (features,) = features_of(model, 0)
    ids = list(tokenize(model, "", "red cat").ids)[1:]
    with torch.inference_mode():
        embedded = torch.cat([features.data, network.transformer.wte(torch.tensor(ids))])
        logits = network.eval()(inputs_embeds=embedded[None]).logits[0].log_softmax(-1)
    return [float(logits[len(embedded) - len(ids) + i - 1, token]) for i, token in enumerate(ids)]


def cosine(model: Model) -> Numbers:
    return test_clip.scores(model, range(1), ("red ball",), 1)


def plain_cosine(folder: Path, _: Model) -> Numbers:
    return [test_clip.direct(folder, 0, "red ball")]


VIT = {"hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2} | {
    "hidden_act": "relu",
    "layer_norm_eps": 0.5,
    "image_size": 32,
    "patch_size": 4,
    "num_channels": 1,
}
TEXT = {key: VIT[key] for key in list(VIT)[:6]} | {"vocab_size": 99, "max_position_embeddings": 9}
SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
KINDS: dict[str, Kind] = {
    "llama": Kind(
        write_llava_whole,
        "text_config",
        known_keys.LLAMA,
        {
            "vocab_size": 99,
            "hidden_size": 64,
            "intermediate_size": 40,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "hidden_act": "gelu",
            "max_position_embeddings": 200,
            "rms_norm_eps": 0.5,
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": False,  # true has tests of its own
            "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 100.0},
            "rope_scaling": {"type": "linear", "factor": 4.0},
            "rope_theta": 100.0,
            "partial_rotary_factor": 0.5,
            "original_max_position_embeddings": 64,
            "eos_token_id": 7,
        },
        "hidden_act rms_norm_eps rope_parameters rope_scaling rope_theta",
        llava_scores,
        plain_llava_scores,
    ),
    "gpt2": Kind(
        write_babyllava,
        "",
        known_keys.BABYLLAVA_GPT2,
        {
            "mm_vision_tower": "test/resnext50_other",  # there is one in the weights
            "mm_vision_tower_shape": {},
            "mm_projector_type": "linear",
            "mm_use_im_start_end": True,
            "mm_use_im_patch_token": True,
            "mm_hidden_size": 99,
            "image_aspect_ratio": "square",
            "tokenizer_model_max_length": 99,
            "vocab_size": 99,
            "n_positions": 99,
            "n_embd": 64,
            "n_layer": 3,
            "n_head": 4,
            "n_inner": 99,
            "activation_function": "relu",
            "layer_norm_epsilon": 0.5,
            "scale_attn_weights": False,
            "scale_attn_by_inverse_layer_idx": True,
            "reorder_and_upcast_attn": True,
            "add_cross_attention": True,
            "tie_word_embeddings": False,
            "hidden_size": 64,
            "max_position_embeddings": 99,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "eos_token_id": 7,
        },
        "n_head activation_function layer_norm_epsilon scale_attn_weights scale_attn_by_inverse_layer_idx "
        "num_attention_heads image_aspect_ratio",
        text_scores,
        plain_gpt2_scores,
    ),
    "tower of llava": Kind(
        write_llava_whole,
        "vision_config",
        known_keys.CLIP_VISION,
        VIT,
        "hidden_act layer_norm_eps num_attention_heads",
        llava_scores,
        plain_llava_scores,
    ),
    "text encoder of clip": Kind(
        lambda folder: test_clip.write(folder / "model", "clip"),
        "text_config",
        known_keys.CLIP_TEXT,
        TEXT | {"eos_token_id": 5},
        "hidden_act layer_norm_eps num_attention_heads",
        cosine,
        plain_cosine,
    ),
    "image encoder of clip": Kind(
        lambda folder: test_clip.write(folder / "model", "clip"),
        "vision_config",
        known_keys.CLIP_VISION,
        VIT,
        "hidden_act layer_norm_eps num_attention_heads",
        cosine,
        plain_cosine,
    ),
    "text encoder of siglip": Kind(
        lambda folder: test_clip.write(folder / "model", "siglip"),
        "text_config",
        known_keys.SIGLIP_TEXT,
        TEXT | {"projection_size": 16},
        "hidden_act layer_norm_eps num_attention_heads",
        cosine,
        plain_cosine,
    ),
    "image encoder of siglip": Kind(
        lambda folder: test_clip.write(folder / "model", "siglip"),
        "vision_config",
        known_keys.SIGLIP_VISION,
        VIT,
        "hidden_act layer_norm_eps num_attention_heads",
        cosine,
        plain_cosine,
    ),
    "llava": Kind(
        write_llava_whole,
        "",
        known_keys.LLAVA_WHOLE,
        {
            "text_config": SMALL | {"vocab_size": 9},
            "vision_config": SMALL | {"image_size": EDGE, "patch_size": PATCH},
            "multimodal_projector_bias": True,  # false, and tied words: they have tests of their own
            "tie_word_embeddings": False,
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "default",  # "full" gives more positions, which another test counts
        },
        "vision_feature_layer",
        llava_scores,
        plain_llava_scores,
    ),
    "clip": Kind(
        lambda folder: test_clip.write(folder / "model", "clip"),
        "",
        known_keys.CLIP,
        {
            "text_config": SMALL,
            "vision_config": SMALL,
            "text_config_dict": {},
            "vision_config_dict": test_clip.VISION | {"hidden_act": "relu"},
            "projection_dim": 24,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
        "vision_config_dict",
        cosine,
        plain_cosine,
    ),
    "siglip": Kind(
        lambda folder: test_clip.write(folder / "model", "siglip"),
        "",
        known_keys.SIGLIP,
        {"text_config": SMALL, "vision_config": SMALL, "tokenizer_class": "PreTrainedTokenizerFast"},
        "",
        cosine,
        plain_cosine,
    ),
}
ODD: dict[str, Any] = {
    "transformers_weights": None,  # it names a file, see test_weight_files.py
    "dtype": "float16",
    "torch_dtype": "bfloat16",
    "return_dict": False,
    "output_hidden_states": True,
    "output_attentions": True,
    "attn_implementation": "flash_attention_2",
    "_attn_implementation": "flash_attention_2",
    "experts_implementation": "eager",
    "id2label": None,
    "problem_type": None,
}


# A part of each format: of LLaVA's, of BabyLLaVA's, of a dual encoder's, and the whole of one.
_OFTEN = ("llama", "gpt2", "image encoder of siglip", "llava")
SOME_KINDS = [name if name in _OFTEN else pytest.param(name, marks=pytest.mark.long) for name in KINDS]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def folder(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kind.write(tmp_path_factory.mktemp("keys"))


Edit = Callable[[Mapping[str, Any]], Path]


@pytest.fixture
def edited(kind: Kind, folder: Path) -> Iterator[Edit]:
    """Sets keys of the part of config.json that is changed; the file is as before when the test is over."""
    file = folder / "config.json"
    before = file.read_text()

    def edit(changes: Mapping[str, Any]) -> Path:
        whole = json.loads(before)
        (whole[kind.part] if kind.part else whole).update(changes)
        write_json(file, whole)
        return folder

    yield edit
    file.write_text(before)


@pytest.mark.long
def test_each_key_that_is_used(kind: Kind, folder: Path, edited: Edit) -> None:
    used = {key for key, known in kind.table.items() if known.effect is Effect.USED}
    assert used == kind.changed.keys()
    model = load(folder)
    before = kind.ours(model)
    assert before == pytest.approx(kind.plain(folder, model), abs=1e-5)
    moved: set[str] = set()
    refused: dict[str, str] = {}
    for key, value in kind.changed.items():
        place = edited({key: value})
        try:
            model = load(place)
            found = kind.ours(model)
        except ModelError as error:
            refused[key] = str(error)
            continue
        assert found == pytest.approx(kind.plain(place, model), abs=1e-5), key
        if found != pytest.approx(before, abs=1e-4):
            moved.add(key)
    assert moved >= set(kind.moves.split())
    assert not [why for why in refused.values() if "config.json" not in why]


@pytest.mark.parametrize("kind", SOME_KINDS, indirect=True)
def test_the_keys_that_are_not_used(kind: Kind, folder: Path, edited: Edit) -> None:
    """All that are without effect get a value that they never have, at once; each that is refused gets its trial."""
    idle = {key: known for key, known in kind.table.items() if known.effect is Effect.NONE and key != "model_type"}
    odd = {key: ODD.get(key, "odd" if known.allows("odd") else 0.75) for key, known in idle.items()}
    before = kind.ours(load(folder))
    model = load(edited(odd))
    assert kind.ours(model) == before
    assert not [note for note in model.info.notes if "does not know" in note]
    for key, known in kind.table.items():
        if known.effect is Effect.REFUSED:
            with pytest.raises(ModelError, match=key):
                load(edited({key: "odd"}))


@pytest.mark.parametrize("kind", SOME_KINDS, indirect=True)
def test_a_key_of_the_future_is_named(kind: Kind, folder: Path, edited: Edit, babycli: Babycli) -> None:
    before = kind.ours(load(folder))
    place = edited({"new_gate": 2, "id2x": None})
    model = load(place)
    assert kind.ours(model) == before
    prefix = f"{kind.part}." if kind.part else ""
    expected = f"{place / 'config.json'}: babycli does not know and does not use {prefix}new_gate, {prefix}id2x"
    assert expected in model.info.notes
    assert f"note: {expected}" in babycli("models", "show", place).out


OTHERS: dict[str, tuple[Table, Callable[[Path], Path], Callable[[Model], Numbers]]] = {
    "llava in the original's format": (known_keys.LLAVA, write_llava_original, llava_scores),
    "babyllava with a Llama": (
        known_keys.BABYLLAVA_LLAMA,
        lambda folder: write_checkpoint(folder / "model", WORDS, trunk="model"),
        text_scores,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_keys_that_other_configs_do_not_use(name: str, tmp_path: Path) -> None:
    """Those that are used are Llama's, and some that have tests of their own."""
    table, write, numbers = OTHERS[name]
    folder = write(tmp_path)
    before = numbers(load(folder))
    whole = json.loads((folder / "config.json").read_text())
    idle = {key: known for key, known in table.items() if known.effect is Effect.NONE and key != "model_type"}
    odd = {key: "odd" if known.allows("odd") else 0.75 for key, known in idle.items()}
    write_json(folder / "config.json", whole | odd | {"transformers_weights": None})
    assert numbers(load(folder)) == before
    for key, known in table.items():
        if known.effect is Effect.REFUSED:
            write_json(folder / "config.json", whole | {key: "odd"})
            with pytest.raises(ModelError, match=key):
                load(folder)


def test_every_key_of_a_babyllava_v2_is_known(devcv: Path) -> None:
    """config.json as the authors' trainer writes it."""
    config = json.loads((devcv / "golden" / "model" / "assets" / "config_example.json").read_text())
    assert known_keys.check_keys(Path("config.json"), config, known_keys.BABYLLAVA_LLAMA) == []
