"""A GPT-2 tokenizer of vocab.json and merges.txt alone, as trainings with GPT-2's own class leave it.

Owns writing both as the one tokenizer.json that the tokenizers library reads. Never tokenises.

Source: tokenization_gpt2.py of transformers 5.23.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babycli.errors import ModelError
from babycli.files import read_file
from babycli.models.parts.checkpoint import read_json_object
from babycli.models.parts.lfs import check_fetched

VOCABULARY, MERGES = "vocab.json", "merges.txt"
END_OF_TEXT = "<|endoftext|>"  # begins and ends a text where no file says otherwise


def is_byte_pairs(folder: Path) -> bool:
    return (folder / VOCABULARY).is_file() and (folder / MERGES).is_file()


def as_tokenizer_json(folder: Path, config: Mapping[str, Any]) -> bytes:
    """Gives the tokenizer.json of a folder; ``config`` is its tokenizer_config.json. Raises ModelError."""
    vocab = read_json_object(folder / VOCABULARY)
    level = {"type": "ByteLevel", "add_prefix_space": bool(config.get("add_prefix_space")), "trim_offsets": True}
    level["use_regex"] = True
    whole: dict[str, object] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": vocab,
            "merges": _read_merges(folder / MERGES),
        },
    }
    return json.dumps(whole).encode()


def _read_merges(file: Path) -> list[list[str]]:
    """Reads the pairs that are joined, the first line first. Raises ModelError."""
    check_fetched(file)
    try:
        lines = read_file(file).decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read the tokenizer {file}: {error}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not (number == 1 and line.startswith("#version")):
            pair = line.split()
            if len(pair) != 2:
                raise ModelError(f"{file}, line {number}: {line!r:.80} is not two pieces with a space between them")
            pairs.append(pair)
    return pairs
