"""A checkpoint's tokenizer as transformers reads it, for the families whose networks are transformers' own.

Owns what is checked before: transformers reads whole files, however large, and a damaged one can end the process. Never
reads a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from babycli.errors import ModelError
from babycli.files import check_size
from babycli.models.parts.checkpoint import read_json_object
from babycli.models.parts.lfs import check_fetched
from babycli.models.parts.tokenizer_trial import MEND, try_tokenizer
from babycli.models.parts.transformers_calls import reading

_PATTERNS = ("*token*", "vocab.*", "merges.txt", "*.model")
_VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*.spm", "*.tiktoken", "tekken.json")


def read_tokenizer(folder: Path, **options: Any) -> Any:
    """Reads the tokenizer of a folder. Raises ModelError, also where transformers would make up one of few tokens."""
    if not any(file.is_file() for pattern in _VOCABULARIES for file in folder.glob(pattern)):
        raise ModelError(f"the checkpoint {folder} has no tokenizer: there is no tokenizer.json or vocabulary", MEND)
    check_files(file for pattern in _PATTERNS for file in sorted(folder.glob(pattern)))
    for name in ("tokenizer_config.json", "special_tokens_map.json", "vocab.json"):
        read_json_object(folder / name, missing_ok=True)
    if (folder / "tokenizer.json").is_file():
        try_tokenizer(folder / "tokenizer.json")
    with reading(f"{folder}: cannot read its tokenizer"):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)


def check_files(files: Iterable[Path]) -> None:
    """Checks that files that transformers reads whole are here, and not too large. Raises ModelError."""
    for file in files:
        if file.is_file():  # transformers passes over what is none
            check_fetched(file)
            try:
                check_size(file)
            except OSError as error:
                raise ModelError(f"cannot read {file}: {error.strerror}", MEND) from error
