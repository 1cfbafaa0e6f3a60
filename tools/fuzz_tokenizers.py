"""Damaged tokenizers: all four models of tokenizer.json with what goes around them, older forms, and chat templates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from fuzz_checkpoint import Files, attempt, checkpoints, damage_one, pack
from fuzz_target import Target, damaged
from fuzz_values import damaged_json

_FAMILIES = ("babyllava", "babyllava-v2", "clip-clip", "hf-qwen2_vl", "hf-idefics3", "hf-gemma3")
_FILES = (
    *("tokenizer.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "chat_template.*"),
)
_REGEX = {"Regex": "(?:a|b)+\\s*$"}
_NORMALIZERS: tuple[Any, ...] = (
    *({"type": kind} for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")),
    {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    {"type": "Replace", "pattern": _REGEX, "content": ""},
    {"type": "Replace", "pattern": {"String": ""}, "content": "x"},
    {"type": "Precompiled", "precompiled_charsmap": ""},
    {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
)
_PRE_TOKENIZERS: tuple[Any, ...] = (
    *({"type": kind} for kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts")),
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "CharDelimiterSplit", "delimiter": " "},
    {"type": "Digits", "individual_digits": True},
    {"type": "Punctuation", "behavior": "Isolated"},
    {"type": "FixedLength", "length": 0},
    {"type": "Split", "pattern": _REGEX, "behavior": "MergedWithNext", "invert": True},
    {"type": "Split", "pattern": {"String": ""}, "behavior": "Removed", "invert": False},
    {"type": "Sequence", "pretokenizers": []},
)
_POST_PROCESSORS: tuple[Any, ...] = (
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
    {"type": "BertProcessing", "sep": ["<eos>", 3], "cls": ["<sos>", 2]},
    {
        "type": "RobertaProcessing",
        "sep": ["</s>", 9],
        "cls": ["", 2**31],
        "trim_offsets": True,
        "add_prefix_space": True,
    },
    {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<sos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<sos>": {"id": "<sos>", "ids": [2, 5000], "tokens": ["<sos>", "?"]}},
    },
    {"type": "Sequence", "processors": []},
)
_DECODERS: tuple[Any, ...] = (
    *({"type": kind} for kind in ("ByteLevel", "ByteFallback", "Fuse", "BPEDecoder", "CTC")),
    {"type": "WordPiece", "prefix": "##", "cleanup": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
    {"type": "BPEDecoder", "suffix": "</w>"},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "Strip", "content": " ", "start": 2**32, "stop": 1},
    {"type": "Sequence", "decoders": [{"type": "Fuse"}]},
)
_AROUND = {
    "normalizer": _NORMALIZERS,
    "pre_tokenizer": _PRE_TOKENIZERS,
    "post_processor": _POST_PROCESSORS,
    "decoder": _DECODERS,
    "truncation": ({"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 5},),
    "padding": (
        {"strategy": {"Fixed": 2**40}, "direction": "Left", "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
    ),
}
_SPARE = (
    *("<pad>", "<unk>", "<sos>", "<eos>", "<image>", "[UNK]", "▁", "Ġ", "##", "Ċ", "<0x0A>", "a b", ["a", "b"], ["a"]),
    *({"String": "("}, {"Regex": "("}, {"Regex": "(a*)*$"}, {"Regex": ""}, {"__type": "AddedToken", "content": "<x>"}),
    *({"content": "<y>", "special": True}, {"content": ""}, {"id": 10**7, "content": "<z>", "special": True}),
    *("BPE", "Unigram", "WordLevel", "WordPiece", "Qwen2Tokenizer", "LlamaTokenizer", "GPT2Tokenizer", "CLIPTokenizer"),
    *("BertTokenizer", "T5Tokenizer", "LlavaGPT2Tokenizer", "TokenizersBackend", "MistralCommonBackend"),
)
_TEMPLATES = (
    *("{{ x.y }}", "{% for i in range(3) %}{{ i }}", "{{ messages[0]['content'][9] }}", "{{ raise_exception('x') }}"),
    *("{{ messages|tojson }}", "{% set a = [] %}{{ a.append(a) }}{{ a }}", "{{ ''.__class__.__mro__ }}", "{{ 1/0 }}"),
    *(
        "{% include 'x' %}",
        "{{ '%c'|format(10**9) }}",
        "{{ strftime_now('%') }}",
        "{% generation %}x{% endgeneration %}",
    ),
    *("{{ messages[0].content|join(9) }}", "{{ 'a' * 100000 }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    *("{{ 9**99999 }}", "{{ '\\ud800' }}", "{{ namespace(a=1).a }}", "{{ dict(a=1) + 1 }}", "{{ bos_token + 1 }}"),
)


def _samples() -> Sequence[bytes]:
    every = checkpoints()
    samples = [pack(every[name]) for name in (*_FAMILIES, "llava", "llava-hf")]
    words = every["babyllava"]
    whole = json.loads(words["model/tokenizer.json"])
    for model in _models(whole["model"]["vocab"]):
        changed = {"model/tokenizer.json": json.dumps(whole | {"model": model}).encode()}
        map_of_tokens = {
            "model/special_tokens_map.json": json.dumps({"bos_token": "<sos>", "unk_token": "<unk>"}).encode()
        }
        samples.append(pack({**words, **changed, **map_of_tokens}))
    return [*samples, *(pack(files) for files in _older(every))]


def _models(vocab: dict[str, int]) -> Sequence[Any]:
    """Gives the other models of the library, with the same tokens."""
    return (
        {
            "type": "WordPiece",
            "unk_token": "<unk>",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
        {
            "type": "Unigram",
            "unk_id": 1,
            "vocab": [[token, -float(i)] for token, i in vocab.items()],
            "byte_fallback": False,
        },
        {
            **{"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None},
            **{"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": True, "ignore_merges": False},
            **{"vocab": vocab, "merges": []},
        },
    )


def _older(every: dict[str, Files] | Any) -> Sequence[Files]:
    """Gives checkpoints with the files of tokenizers before tokenizer.json."""
    qwen = dict(every["hf-qwen2_vl"])
    model = json.loads(qwen.pop("model/tokenizer.json"))["model"]
    config = json.loads(qwen["model/tokenizer_config.json"]) | {"tokenizer_class": "Qwen2Tokenizer"}
    pairs = "\n".join(" ".join(pair) for pair in model["merges"])
    added = {token: len(model["vocab"]) + i for i, token in enumerate(("<|im_start|>", "<|im_end|>"))}
    bpe = qwen | {
        "model/vocab.json": json.dumps(model["vocab"]).encode(),
        "model/merges.txt": f"#version: 0.2\n{pairs}\n".encode(),
        "model/added_tokens.json": json.dumps(added).encode(),
        "model/tokenizer_config.json": json.dumps(config).encode(),
        "model/chat_template.json": json.dumps({"chat_template": "{{ messages }}"}).encode(),
    }
    clip = dict(every["clip-clip"])
    tokens = json.loads(clip.pop("model/tokenizer.json"))["model"]["vocab"]
    named = json.loads(clip["model/tokenizer_config.json"]) | {"tokenizer_class": "BertTokenizer"}
    pieces = clip | {
        "model/vocab.txt": "\n".join(tokens).encode(),
        "model/tokenizer_config.json": json.dumps(named).encode(),
    }
    return [bpe, pieces]


def _damaged(rng: Random, name: str, content: bytes) -> bytes:
    if name.endswith("tokenizer.json") and rng.random() < 0.4:
        whole = json.loads(content)
        for _ in range(rng.choice((1, 1, 2, 3))):
            part = rng.choice(list(_AROUND))
            whole[part] = rng.choice(_AROUND[part])
        content = json.dumps(whole).encode()
        return content if rng.random() < 0.3 else damaged_json(rng, content, _SPARE)
    if name.endswith(".json"):
        return damaged_json(rng, content, (*_SPARE, *_TEMPLATES))
    if name.endswith(".model"):
        return _damaged_pieces(rng, content)
    if name.endswith(".jinja"):
        text = content.decode()
        at = rng.choice([i for i, letter in enumerate(text) if letter in "{}%'"] or [0])
        return f"{text[:at]}{rng.choice((*_TEMPLATES, '', '{', '%}'))}{text[at + rng.choice((0, 1, 5)) :]}".encode()
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at : at + 1] = rng.choice(
        ([], [lines[at]] * 2, [b"a"], [b"a b c"], [b"\xff\xfe"], [b""], [b"zz yy"], lines[:at])
    )
    return b"\n".join(lines)


def _damaged_pieces(rng: Random, content: bytes) -> bytes:
    """Damages the fields of a SentencePiece model: its pieces, settings of its training and of its normalizer."""
    fields = _fields(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(fields))
        tag, held = fields[rng.choice((at, at, -1, -2))]
        match rng.randrange(6):
            case 0:
                del fields[at : at + rng.choice((1, 1, 10, len(fields)))]
                fields = fields or [(10, b"")]
            case 1:
                fields.insert(at, (tag, held))
            case 2:
                fields[at] = (tag, damaged(rng, held, [held]))
            case 3:
                fields[at] = (rng.choice((10, 18, 26, 34, 42, 82)), held)
            case 4:  # a piece with another text, score or kind
                text = rng.choice((b"", b"a", b"\xff", "▁".encode(), b"<0x41>", b"\0", b"x" * 5000))
                score = rng.choice((b"\0\0\0\0", b"\0\0\xc0\x7f", b"\0\0\x80\xff"))
                fields[at] = (
                    10,
                    b"\n" + _varint(len(text)) + text + b"\x15" + score + b"\x18" + bytes([rng.randrange(8)]),
                )
            case _:
                fields[at] = (
                    tag,
                    held + rng.choice((b"\x18\x02", b"\x18\x7f", b"\x10\x00", b"\x18\xff\xff\xff\xff\x0f")),
                )
    return b"".join(_varint(tag) + _varint(len(held)) + held for tag, held in fields)


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Reads the fields of a protobuf message that has only messages in it, each with its tag."""
    fields = []
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        size, at = _read_varint(message, at)
        fields.append((tag, message[at : at + size]))
        at += size
    return fields


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


TARGET = Target("tokenizers", _samples, attempt, damage_one(_FILES, _damaged, bytes_too=0.1))
