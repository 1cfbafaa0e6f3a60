"""Turning a text into the ids that a CLIP or SigLIP text encoder reads.

Owns tokenising, padding and the limits of the text encoder. Never cuts a text off: one that is too long gets no answer.

    CLIP      <|startoftext|> a photo of a ball <|endoftext|>          no padding: the encoder is causal, and its output
                                                                       at <|endoftext|> is the vector
    SigLIP    a photo of a ball </s> </s> </s> ... </s>                padded on the right to all 64 positions, as in
                                                                       its training: the last output is the vector
"""

from __future__ import annotations

import html
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from babycli.domain import CannotAnswer
from babycli.errors import ModelError
from babycli.files import read_file
from babycli.models.parts import checkpoint
from babycli.models.parts.lfs import check_fetched
from babycli.models.parts.tokenizer import sentence_pieces
from babycli.models.parts.transformers_calls import reading
from babycli.models.parts.transformers_tokenizer import read_tokenizer

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # sentencepiece's sign for a space
_LEGACY_END = 2  # in configs of early CLIPs; transformers then takes the largest id for the end
_MEND = "check that tokenizer and weights come from the same training run"


class TextReader:
    """A tokenizer with the limits of the text encoder."""

    def __init__(self, folder: Path, encode: Callable[[str], list[int]], pad_id: int | None, config: Any) -> None:
        self._folder = folder
        self._encode = encode
        self._pad_id = pad_id  # None: nothing is padded
        self._n_positions = int(config.text_config.max_position_embeddings)
        self._n_rows = int(config.text_config.vocab_size)
        self._end_id = config.text_config.eos_token_id if config.model_type == "clip" else None

    def ids(self, text: str) -> tuple[int, ...] | CannotAnswer:
        """Makes the ids of a text; CannotAnswer if it is too long for the encoder. Raises ModelError for wrong ids."""
        with reading(f"the tokenizer of {self._folder} fails"):
            ids = self._encode(text)
        if len(ids) > self._n_positions:
            shown = text if len(text) <= 80 else f"{text[:77]}..."
            return CannotAnswer(
                f"the text {shown!r} takes {len(ids)} positions, and the text encoder has {self._n_positions}"
            )
        beyond = sorted({i for i in ids if i >= self._n_rows})
        if beyond:
            raise ModelError(
                f"the tokenizer gives ids {beyond} but the checkpoint embeds only {self._n_rows} tokens", _MEND
            )
        if self._end_id not in (None, _LEGACY_END, *ids):
            raise ModelError(
                f"the tokenizer puts no end of text (eos_token_id {self._end_id} of config.json) behind {text!r}, "
                "where the text encoder's vector is read",
                _MEND,
            )
        if self._pad_id is None:
            return tuple(ids)
        return (*ids, *[self._pad_id] * (self._n_positions - len(ids)))


def load_text_reader(folder: Path, config: Any, clean: Callable[[str], str] = str) -> TextReader:
    """Reads the tokenizer of a checkpoint; ``clean`` is done to a CLIP's texts before.

    Raises ModelError if its files are missing or unreadable.
    """
    settings = checkpoint.read_json_object(folder / "tokenizer_config.json", missing_ok=True)
    is_siglip = config.model_type == "siglip"
    pieces = folder / "spiece.model"
    if is_siglip and pieces.is_file() and str(settings.get("tokenizer_class", "Siglip")).startswith("Siglip"):
        tokens = checkpoint.read_json_object(folder / "special_tokens_map.json", missing_ok=True) | settings
        sentencepiece = _SiglipPieces(pieces, tokens)
        return TextReader(folder, sentencepiece.encode, sentencepiece.pad_id, config)
    tokenizer = _transformers_tokenizer(folder, config)
    if not is_siglip:
        return TextReader(folder, lambda text: _encode(tokenizer, clean(text)), None, config)
    if tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of {folder} has no pad_token, and a SigLIP reads padded texts")
    # All SigLIPs learned from lower-case texts. The Gemma tokenizer that checkpoints of SigLIP 2 name does not make
    # texts lower case; transformers' Siglip2Tokenizer does, but only model_type siglip2 gets it.
    lowers = settings.get("do_lower_case", True)
    return TextReader(
        folder, lambda text: _encode(tokenizer, text.lower() if lowers else text), int(tokenizer.pad_token_id), config
    )


def without_entities(text: str) -> str:
    """Cleans a text as open_clip does, but for repairs of broken characters: "a &amp;  b" becomes "a & b"."""
    return " ".join(html.unescape(html.unescape(text)).split())


def has_tokenizer(folder: Path) -> bool:
    """Tells whether a folder has the files of a tokenizer that transformers reads."""
    there = {file.name for file in folder.iterdir()}
    return any(kind <= there for kind in ({"tokenizer.json"}, {"vocab.json", "merges.txt"}, {"tokenizer.model"}))


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, padding=False, truncation=False, verbose=False)["input_ids"])


def _transformers_tokenizer(folder: Path, config: Any) -> Any:
    if not has_tokenizer(folder):  # transformers would invent a vocabulary of three tokens
        own = (
            "spiece.model nor tokenizer.json"
            if config.model_type == "siglip"
            else "tokenizer.json nor vocab.json with merges.txt"
        )
        raise ModelError(
            f"the checkpoint {folder} has no tokenizer: neither {own} is there",
            "copy the tokenizer files of the training run into that folder",
        )
    checkpoint.read_json_object(folder / "tokenizer.json", missing_ok=True)
    return read_tokenizer(folder, config=config)


class _SiglipPieces:
    """spiece.model, read by the sentencepiece library, with the same results as transformers' SiglipTokenizer.

    That class also needs the protobuf library. Source: tokenization_siglip.py of transformers 5.23.
    """

    def __init__(self, path: Path, tokens: dict[str, Any]) -> None:
        check_fetched(path)
        with reading(f"cannot read the tokenizer {path}"):
            self._model = sentence_pieces(read_file(path))
        self._path = path
        self._lowers = bool(tokens.get("do_lower_case", True))
        self._shield = _token_text(tokens.get("unk_token"), "<unk>")
        self._n_shield = len(self._model.encode(self._shield, out_type=str))
        self._end = self._id_of(_token_text(tokens.get("eos_token"), "</s>"))
        self.pad_id = self._id_of(_token_text(tokens.get("pad_token"), "</s>"))

    def encode(self, text: str) -> list[int]:
        """Makes the ids of a text: lower case, no punctuation; each word, also the first, has one space before it."""
        plain = (text.lower() if self._lowers else text).translate(str.maketrans("", "", string.punctuation))
        spaced = re.sub(r"\s+", " ", _SPACE + plain.replace(_SPACE, " ")).strip()
        # sentencepiece strips a space at the start of a text, so another text is put before it.
        ids = list(self._model.encode(self._shield + spaced))[self._n_shield :]
        return ids if ids and ids[-1] == self._end else [*ids, self._end]

    def _id_of(self, piece: str) -> int:
        token_id = int(self._model.piece_to_id(piece))
        if self._model.id_to_piece(token_id) != piece:
            raise ModelError(f"{self._path} has no piece {piece!r}, which the tokenizer's settings name")
        return token_id


def _token_text(entry: object, otherwise: str) -> str:
    """Gives the text of a special token, which JSON files write as a text or as an object that holds it."""
    if isinstance(entry, dict):
        entry = entry.get("content")
    return entry if isinstance(entry, str) and entry else otherwise
