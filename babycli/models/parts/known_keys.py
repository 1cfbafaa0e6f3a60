"""The keys of config.json and preprocessor_config.json, and what becomes of each in the families that read them.

    used             it decides what is computed: the network, the vocabulary or the pictures are made by it
    without effect   it says how to compute, train or sample, and not what a network computes; it is dropped
    refused          it would change what is computed, in a way that babycli does not: only its plain value is taken

Owns the tables, and checking a file against them. A key may also be bound to some values, whatever becomes of it. Never
reads a file, and never builds anything: the families do. A key that no table has is named in the notes of a run and by
`babycli models show`; it is handed on only if transformers' class of the installed version has it.

Sources: the config and image processor classes of transformers 4.21 to 5.23, and what the trainers of LLaVA, LLaVA-NeXT
and BabyLLaVA write into model.config.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeGuard

from babycli.errors import ModelError
from babycli.wording import listed

_MOST_CHARACTERS = 80  # of a value in a message
MOST_PIXELS = 1 << 12  # on a side of what a vision tower reads
_LARGEST = 3e38
_MOST_KEYS = 12  # in a note
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


class Effect(Enum):
    USED = "used"
    NONE = "without effect"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Key:
    """A known key: what becomes of it, and the values that it may have."""

    effect: Effect
    allows: Callable[[object], bool]
    expected: str  # the allowed values, in words; "" where all are


Table = dict[str, Key]


def check_keys(file: Path, settings: Mapping[str, Any], table: Table, part: str = "", mend: str = "") -> list[str]:
    """Gives the keys that the table does not know, each with the name of its part of the file, as "text_config.x".

    Raises ModelError for a value that is not allowed; the message names file, key and value.
    """
    prefix = f"{part}." if part else ""
    for name, value in settings.items():
        key = table.get(name)
        if key is not None and not key.allows(value):
            raise ModelError(
                f"{file}: {prefix}{name} {shown(value)} is not supported; expected is {key.expected}",
                mend,
            )
    return [prefix + name for name in settings if name not in table]


def note_on_unknown(file: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Gives a note that names the unknown keys of a file; nothing if there are none."""
    unknown = list(names)
    return (f"{file}: babycli does not know and does not use {listed(unknown, _MOST_KEYS)}",) if unknown else ()


def used_by(config_class: Any, settings: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Gives the settings with which to make a config of transformers: those that are used.

    A key that the table does not know is among them if the class has a parameter of that name. Ids of tokens without
    effect are none: the class's defaults may lie beyond the vocabulary, of which transformers would warn.
    """
    own = inspect.signature(config_class).parameters
    idle = [name for name in _IDS if name in own and name in table and table[name].effect is Effect.NONE]
    return dict.fromkeys(idle) | {
        name: value
        for name, value in settings.items()
        if (table[name].effect is Effect.USED if name in table else name in own)
    }


def shown(value: object) -> str:
    """Writes a value as JSON, cut to the length that a message may have."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."


def is_number(value: object) -> TypeGuard[float]:
    """Tells whether a value is a number that a network can compute with: not NaN, and not beyond float32."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# ------------------------------------------------------------ the making of tables


def _used(names: str) -> dict[str, Key]:
    return dict.fromkeys(names.split(), Key(Effect.USED, lambda value: True, ""))


def _idle(names: str) -> dict[str, Key]:
    return dict.fromkeys(names.split(), Key(Effect.NONE, lambda value: True, ""))


def _only(names: str, *allowed: object) -> dict[str, Key]:
    """Makes keys that are refused unless they have one of the values; true is not 1 here."""
    texts = {json.dumps(value) for value in allowed}
    key = Key(Effect.REFUSED, lambda value: json.dumps(value) in texts, " or ".join(sorted(texts)))
    return dict.fromkeys(names.split(), key)


def _bound(names: str, effect: Effect, allows: Callable[[object], bool], expected: str) -> dict[str, Key]:
    return dict.fromkeys(names.split(), Key(effect, allows, expected))


def _is_share(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)


def _is_switch(value: object) -> bool:
    return value is None or (isinstance(value, int) and value in (0, 1))


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_PIXELS


def _dropouts(names: str) -> dict[str, Key]:
    """Makes keys that only training uses; a network cannot be made from a share below 0 or above 1."""
    return _bound(names, Effect.NONE, _is_share, "a share from 0 to 1")


# ------------------------------------------------------------ what transformers writes into every config

_PROVENANCE = _idle(
    "model_type architectures _name_or_path name_or_path _commit_hash transformers_version auto_map torch_dtype dtype "
    "tokenizer_class base_model_name_or_path unsloth_version unsloth_fixed "
    "transformers_weights"  # says which file holds the weights, not what they mean: weight_files.py follows it
)
_HOW_TO_COMPUTE = _idle(
    "attn_implementation _attn_implementation _attn_implementation_internal _attn_implementation_autoset "
    "_flash_attn_2_enabled use_flash_attn experts_implementation _experts_implementation "
    "_experts_implementation_internal chunk_size_feed_forward gradient_checkpointing torchscript use_bfloat16 "
    "tf_legacy_loss pretraining_tp use_cache return_dict use_return_dict output_attentions _output_attentions "
    "output_hidden_states"
)
_TRAINING = _idle(
    "initializer_range initializer_factor id2label label2id num_labels problem_type finetuning_task "
    "task_specific_params prefix ignore_index"
)
_ENCODER_DECODER = _idle(
    "is_decoder is_encoder_decoder add_cross_attention cross_attention_hidden_size tie_encoder_decoder "
    "decoder_start_token_id sep_token_id"
)
# transformers reads how to write from generation_config.json alone; a config.json may still hold these.
_WRITING = _idle(
    "max_length max_new_tokens min_length min_new_tokens do_sample early_stopping num_beams num_beam_groups "
    "diversity_penalty temperature top_k top_p min_p typical_p epsilon_cutoff eta_cutoff repetition_penalty "
    "encoder_repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids "
    "num_return_sequences output_scores output_logits return_dict_in_generate forced_bos_token_id "
    "forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens "
    "begin_suppress_tokens num_assistant_tokens num_assistant_tokens_schedule assistant_confidence_threshold "
    "assistant_lookbehind target_lookbehind penalty_alpha"
)
_OTHER_NETWORK = _only("quantization_config compression_config per_layer_config", None) | _only(
    "pruned_heads", None, {}
)
COMMON: Table = (
    _used("transformers_weights")
    | _PROVENANCE
    | _HOW_TO_COMPUTE
    | _TRAINING
    | _ENCODER_DECODER
    | _WRITING
    | _OTHER_NETWORK
)

# ------------------------------------------------------------ language models

_TOKENS = _used("eos_token_id") | _idle("bos_token_id pad_token_id unk_token_id")
LLAMA: Table = (
    COMMON
    | _TOKENS
    | _used(
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
        "hidden_act max_position_embeddings rms_norm_eps attention_bias mlp_bias tie_word_embeddings rope_parameters "
        "rope_scaling rope_theta partial_rotary_factor original_max_position_embeddings"
    )
    | _dropouts("attention_dropout")
    | _idle("max_sequence_length")
)
GPT2: Table = (
    COMMON
    | _TOKENS
    | _used(
        "vocab_size n_positions n_embd n_layer n_head n_inner activation_function layer_norm_epsilon "
        "scale_attn_weights scale_attn_by_inverse_layer_idx reorder_and_upcast_attn add_cross_attention "
        "tie_word_embeddings hidden_size max_position_embeddings num_attention_heads num_hidden_layers"
    )
    | _dropouts("resid_pdrop embd_pdrop attn_pdrop summary_first_dropout summary_last_dropout")
    | _idle("n_ctx summary_type summary_use_proj summary_activation summary_proj_to_labels predict_special_tokens")
)

# ------------------------------------------------------------ LLaVA and BabyLLaVA in the original's format

_LLAVA_BOTH = (
    _used(
        "mm_vision_tower mm_projector_type mm_use_im_start_end mm_use_im_patch_token image_aspect_ratio mm_hidden_size"
    )
    | _bound(
        "tokenizer_model_max_length",  # longer inputs are cut off by the original
        Effect.USED,
        lambda value: value is None or (is_number(value) and value > 0),
        "a number of positions",
    )
    | _only("mm_patch_merge_type", None, "flat")
    | _only("mm_resampler_type", None)
    | _only("s2", None, False)
    | _idle(
        "use_mm_proj freeze_backbone freeze_mm_mlp_adapter freeze_mm_vision_resampler tune_mm_mlp_adapter "
        "tune_mm_vision_resampler pretrain_mm_mlp_adapter mm_projector_lr mm_vision_tower_lr vision_tower_pretrained "
        "tokenizer_padding_side image_grid_pinpoints image_crop_resolution image_split_resolution s2_scales "
        "mm_spatial_pool_stride mm_spatial_pool_mode mm_spatial_pool_out_channels mm_newline_position "
        "mm_pooling_position add_faster_video faster_token_stride add_time_instruction force_sample delay_load "
        "mm_mask_drop_mode mm_mask_drop_skip_percentage mm_mask_drop_ratio mm_mask_drop_ratio_upper "
        "mm_mask_drop_ratio_lower mm_perceiver_depth mm_perceiver_latents mm_perceiver_ff_mult mm_perceiver_pretrained "
        "mm_qformer_depth mm_qformer_latents mm_qformer_pretrained use_pos_skipping pos_skipping_range"
    )
)
_TOWER_CHOICE = "mm_vision_select_layer mm_vision_select_feature"
_TOWER_TUNING = "mm_tunable_parts unfreeze_mm_vision_tower tune_vision_tower"


def _is_list_of_parts(value: object) -> bool:
    return (
        value is None or isinstance(value, str) or (isinstance(value, list) and all(isinstance(p, str) for p in value))
    )


LLAVA: Table = (
    LLAMA
    | _LLAVA_BOTH
    | _used("mm_vision_select_feature unfreeze_mm_vision_tower tune_vision_tower")
    | _bound("mm_vision_select_layer", Effect.USED, is_whole, "the number of one layer")
    | _bound("mm_tunable_parts", Effect.USED, _is_list_of_parts, "names of parts, with commas between them")
)
# Its towers give all positions of their last layer, and the checkpoint's own weights of them come first.
_BABYLLAVA = _LLAVA_BOTH | _used("mm_vision_tower_shape") | _idle(f"{_TOWER_CHOICE} {_TOWER_TUNING}")
BABYLLAVA_LLAMA: Table = LLAMA | _BABYLLAVA
BABYLLAVA_GPT2: Table = GPT2 | _BABYLLAVA

# ------------------------------------------------------------ CLIP, SigLIP, and LLaVA in the format of transformers

_VIT = _used("hidden_size intermediate_size num_hidden_layers num_attention_heads hidden_act layer_norm_eps")
_VIT |= _bound("image_size patch_size", Effect.USED, _is_length, f"a whole number of pixels, {MOST_PIXELS:,} at most")
_VIT |= _bound("num_channels", Effect.USED, lambda value: is_whole(value) and value == 3, "3")
_TEXT = _used(
    "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads max_position_embeddings hidden_act "
    "layer_norm_eps"
)
_ENCODER = COMMON | _dropouts("attention_dropout dropout") | _idle("bos_token_id pad_token_id tie_word_embeddings")
CLIP_VISION: Table = _ENCODER | _VIT | _idle("eos_token_id projection_dim vocab_size")
CLIP_TEXT: Table = _ENCODER | _TEXT | _used("eos_token_id") | _idle("projection_dim")
SIGLIP_VISION: Table = _ENCODER | _VIT | _idle("eos_token_id projection_dim") | _only("vision_use_head", True)
SIGLIP_TEXT: Table = _ENCODER | _TEXT | _used("projection_size") | _idle("eos_token_id projection_dim")
# transformers' AutoTokenizer takes the class from config.json where tokenizer_config.json names none.
_WHOLE = (
    COMMON | _used("text_config vision_config tokenizer_class") | _idle("logit_scale_init_value tie_word_embeddings")
)
CLIP: Table = _WHOLE | _used("projection_dim text_config_dict vision_config_dict")
SIGLIP: Table = _WHOLE | _only("text_config_dict vision_config_dict", None)


def _is_one_layer(value: object) -> bool:
    return is_whole(value) or (isinstance(value, list) and len(value) == 1 and is_whole(value[0]))


LLAVA_WHOLE: Table = (
    COMMON
    | _used("text_config vision_config tie_word_embeddings")
    | _bound("multimodal_projector_bias", Effect.USED, _is_switch, "true or false")
    | _bound("vision_feature_layer", Effect.USED, _is_one_layer, "the number of one layer")
    | _bound(
        "vision_feature_select_strategy",
        Effect.USED,
        lambda value: value in ("default", "full"),
        '"default" or "full"',
    )
    | _only("projector_hidden_act", "gelu")
    | _idle("image_token_index image_token_id image_seq_length vocab_size bos_token_id eos_token_id pad_token_id")
)

# ------------------------------------------------------------ preprocessor_config.json

_SWITCHES = "do_resize do_center_crop do_rescale do_normalize do_pad default_to_square"
PICTURES: Table = (
    _bound(_SWITCHES, Effect.USED, _is_switch, "true, false or null")
    | _used("size crop_size resample rescale_factor image_mean image_std")
    | _only("use_square_size", None, False)
    | _only("pad_size", None)
    | _idle(
        "image_processor_type feature_extractor_type processor_class _processor_class auto_map do_convert_rgb "
        "data_format input_data_format device disable_grouping return_tensors image_seq_length _valid_processor_keys "
        "_valid_kwargs_names model_input_names patch_size num_additional_image_tokens vision_feature_select_strategy "
        "image_token transformers_version"
    )
)
