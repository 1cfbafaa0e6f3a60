"""Models as they are named on lmms-eval's command line: ``--model qwen2_vl --model_args pretrained=CHECKPOINT``.

Owns which names are classes of lmms-eval for checkpoints, whose family babycli finds by itself, and which arguments of
these classes change nothing here. Families of babycli that lmms-eval has too, as llava, stay as they are named.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.commands.options import parse_args, say
from babycli.commands.typed_words import split_option
from babycli.errors import UsageError
from babycli.files import in_home
from babycli.wording import all_of

_CLASSES = frozenset(
    (
        "aria",
        "async_hf",
        "async_hf_model",
        "cogvlm2",
        "fuyu",
        "gemma3",
        "gemma4",
        "glm4v",
        "huggingface",
        "idefics2",
        "instructblip",
        "internvl",
        "internvl2",
        "internvl3",
        "internvl3_5",
        "internvl_hf",
        "lfm2_5_vl",
        "llama4_scout",
        "llama_vision",
        "llava_hf",
        "llava_onevision",
        "llava_onevision1_5",
        "llava_onevision2",
        "llava_vid",
        "mantis",
        "minicpm_v",
        "mistral3_vl",
        "nanovlm",
        "phi3v",
        "phi4_multimodal",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_5",
        "qwen3_vl",
        "qwen_vl",
        "sglang",
        "tinyllava",
        "vila",
        "vllm",
        "vllm_generate",
    )
)
_OF_BOTH = frozenset(("llava", "babyllava"))
_CHECKPOINT = ("pretrained", "model", "model_version")
_IDLE = ("attn_implementation", "batch_size", "model_name", "trust_remote_code", "use_cache", "use_flash_attention_2")


def with_checkpoint(words: Sequence[str]) -> list[str]:
    """Puts a checkpoint in the place of lmms-eval's class for it, and says so.

    Raises UsageError where arguments name none.
    """
    models = _places(words, ("--model", "-m"))
    name = _value(words, models[0]) if len(models) == 1 else ""
    if name not in _CLASSES | _OF_BOTH or in_home(name).exists():
        return list(words)
    places = _places(words, ("--model-args",))
    args = parse_args(_value(words, places[-1])) if places else {}
    idle = [key for key in args if key in _IDLE]
    if idle:
        say(f"note: {all_of(idle)} of lmms-eval's models {'changes' if len(idle) == 1 else 'change'} nothing here")
    kept = {key: value for key, value in args.items() if key not in idle}
    if name in _CLASSES:
        checkpoint = next((kept.pop(key) for key in _CHECKPOINT if kept.get(key)), None)
        if checkpoint is None:
            raise UsageError(
                f"{name} is a model of lmms-eval, and no checkpoint is named", "babycli eval --model PATH-OR-HUB-ID"
            )
        say(f"note: {name} of lmms-eval is  --model {checkpoint}  here, whose family is found by itself")
        name = checkpoint
    given = ",".join(f"{key}={value}" for key, value in kept.items())
    read: list[str] = []
    for i, word in enumerate(words):
        if i == models[0].start:
            read += ["--model", name, *(["--model-args", given] if given else [])]
        if not any(i in place for place in (*models, *places)):
            read.append(word)
    return read


def _places(words: Sequence[str], names: Sequence[str]) -> list[range]:
    """Finds where an option stands with its value: in one word, or in two."""
    places = []
    for i, word in enumerate(words):
        name, value = split_option(word) if word.startswith("-") else ("", None)
        if name in names and (value is not None or i + 1 < len(words)):
            places.append(range(i, i + 1 + (value is None)))
    return places


def _value(words: Sequence[str], place: range) -> str:
    return words[place[-1]] if len(place) == 2 else split_option(words[place[0]])[1] or ""
