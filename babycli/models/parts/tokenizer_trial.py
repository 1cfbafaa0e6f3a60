"""Trying a tokenizer.json in a process of its own, before this process reads it.

Owns what is tried. The library is written in Rust: a file that it does not expect can make it panic, take all memory,
run for ever, or end the process as a whole. Never gives a tokenizer: tokenizer.py and hf_chat.py read it.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from babycli.errors import ModelError
from babycli.files import read_file, temporary_folder
from babycli.models.parts.apart import command
from babycli.models.parts.lfs import check_fetched
from babycli.wording import shortened

TRIAL_S = 20
_TRIAL_BYTES = 3 << 30  # the largest vocabularies take a quarter of that
MEND = "copy the tokenizer files of the training run into that folder"
_TRIAL = """
from tokenizers import Tokenizer
try:
    tokenizer = Tokenizer.from_file(sys.argv[1])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if getattr(tokenizer.model, "dropout", None):
        raise ValueError("its dropout splits words at random, so that no number could be had again")
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    if len(set(vocabulary.values())) < len(vocabulary):
        words = {}
        for word, i in sorted(vocabulary.items()):
            if words.setdefault(i, word) != word:
                raise ValueError(f"{words[i]!r} and {word!r} have one id, {i}")
    for text in ("", " ", "USER: Which of them is a ball? (A) ", "a\\n b"):
        tokenizer.decode(tokenizer.encode(text).ids)
except BaseException as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(1)
"""


def is_panic(error: BaseException) -> bool:
    """Tells whether an error is a panic of a library in Rust, which is no Exception."""
    return type(error).__name__ == "PanicException"


def try_tokenizer(file: Path, content: bytes | None = None) -> None:
    """Reads a tokenizer.json and a few texts with it; ``content`` is one made of other files, of which ``file`` is one.

    Raises ModelError if that cannot be done.
    """
    try:
        content = read_file(file) if content is None else content
    except OSError as error:
        raise ModelError(f"cannot read the tokenizer {file}: {error.strerror}", MEND) from error
    if why := _why_unfit(content):
        check_fetched(file)
        raise ModelError(f"cannot use the tokenizer {file}: {why}", MEND)


@functools.lru_cache(maxsize=64)
def _why_unfit(content: bytes) -> str:
    """Tells why a tokenizer cannot be used; "" if it can."""
    with temporary_folder() as folder:
        file = folder / "tokenizer.json"
        file.write_bytes(content)
        return _tried(file)


def _tried(file: Path) -> str:
    try:
        tried = subprocess.run(
            command(_TRIAL, _TRIAL_BYTES, str(file)),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"after {TRIAL_S} s it was not read yet"
    if tried.returncode and tried.stdout:
        return shortened(tried.stdout)
    if tried.returncode:
        last = (tried.stderr.strip().splitlines() or ["no reason was given"])[-1]
        return f"it ends the process that reads it: {shortened(last)}"
    return ""
