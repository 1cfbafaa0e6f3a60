"""From a text to the ids that a CLIP or SigLIP text encoder reads.

Owns tokenising, padding and the limits of the text encoder. Never cuts a text off: one that is too long is an error.

    CLIP      <|startoftext|> a photo of a ball <|endoftext|>          no padding: the encoder is causal, and its vector
                                                                       is what it says at <|endoftext|>
    SigLIP    a photo of a ball </s> </s> </s> ... </s>                padded on the right to all 64 positions, as in
                                                                       its training: the last one gives the vector
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from babycli.errors import ModelError
from babycli.models.parts import checkpoint
from babycli.models.parts.transformers_calls import reading

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # sentencepiece's sign for a space
_LEGACY_END = 2  # configs of early CLIPs say this; transformers then takes the largest id for the end
_MEND = "check that tokenizer and weights come from the same training run"


class TextReader:
    """A tokenizer, and what the text encoder can take of it."""

    def __init__(self, encode: Callable[[str], list[int]], pad_id: int | None, config: Any) -> None:
        self._encode = encode
        self._pad_id = pad_id  # None: nothing is padded
        self._n_positions = int(config.text_config.max_position_embeddings)
        self._n_rows = int(config.text_config.vocab_size)
        self._end_id = config.text_config.eos_token_id if config.model_type == "clip" else None

    def ids(self, text: str) -> tuple[int, ...]:
        """Raises ModelError for a text that the encoder cannot take whole."""
        ids = self._encode(text)
        if len(ids) > self._n_positions:
            shown = text if len(text) <= 80 else f"{text[:77]}..."
            raise ModelError(
                f"the text {shown!r} takes {len(ids)} positions, and the text encoder has {self._n_positions}",
                "ask with a shorter prompt:  --prompt TEXT",
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


def load_text_reader(folder: Path, config: Any) -> TextReader:
    """The tokenizer of a checkpoint. Raises ModelError where its files are missing or unreadable."""
    settings = checkpoint.read_json_object(folder / "tokenizer_config.json", missing_ok=True)
    is_siglip = config.model_type == "siglip"
    pieces = folder / "spiece.model"
    if is_siglip and pieces.is_file() and str(settings.get("tokenizer_class", "Siglip")).startswith("Siglip"):
        tokens = checkpoint.read_json_object(folder / "special_tokens_map.json", missing_ok=True) | settings
        sentencepiece = _SiglipPieces(pieces, tokens)
        return TextReader(sentencepiece.encode, sentencepiece.pad_id, config)
    tokenizer = _transformers_tokenizer(folder, is_siglip)
    if not is_siglip:
        return TextReader(lambda text: _encode(tokenizer, text), None, config)
    if tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of {folder} has no pad_token, and a SigLIP reads padded texts")
    # All SigLIPs learned from lower-case texts. The Gemma tokenizer that checkpoints of SigLIP 2 name does not see to
    # it; transformers has made up for that in Siglip2Tokenizer, which only model_type siglip2 gets.
    lowers = settings.get("do_lower_case", True)
    return TextReader(
        lambda text: _encode(tokenizer, text.lower() if lowers else text), int(tokenizer.pad_token_id), config
    )


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, padding=False, truncation=False, verbose=False)["input_ids"])


def _transformers_tokenizer(folder: Path, is_siglip: bool) -> Any:
    there = {file.name for file in folder.iterdir()}
    kinds = [{"tokenizer.json"}, {"vocab.json", "merges.txt"}, {"tokenizer.model"}]
    if not any(kind <= there for kind in kinds):  # transformers would make up a vocabulary of three tokens
        own = "spiece.model nor tokenizer.json" if is_siglip else "tokenizer.json nor vocab.json with merges.txt"
        raise ModelError(
            f"the checkpoint {folder} has no tokenizer: neither {own} is there",
            "copy the tokenizer files of the training run into that folder",
        )
    for name in ("tokenizer.json", "vocab.json", "special_tokens_map.json"):
        checkpoint.read_json_object(folder / name, missing_ok=True)
    with reading(f"cannot read the tokenizer of {folder}"):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


class _SiglipPieces:
    """spiece.model, read by the sentencepiece library in the ways of transformers' SiglipTokenizer.

    That one asks for the protobuf library besides. Source: tokenization_siglip.py of transformers 5.23.
    """

    def __init__(self, path: Path, tokens: dict[str, Any]) -> None:
        from sentencepiece import SentencePieceProcessor

        self._model: Any = SentencePieceProcessor()
        with reading(f"cannot read the tokenizer {path}"):
            self._model.load_from_serialized_proto(path.read_bytes())
        self._path = path
        self._lowers = bool(tokens.get("do_lower_case", True))
        self._shield = _text_of(tokens.get("unk_token"), "<unk>")
        self._n_shield = len(self._model.encode(self._shield, out_type=str))
        self._end = self._id_of(_text_of(tokens.get("eos_token"), "</s>"))
        self.pad_id = self._id_of(_text_of(tokens.get("pad_token"), "</s>"))

    def encode(self, text: str) -> list[int]:
        """Lower case, no punctuation, single spaces; each word with a space in front, the first too."""
        plain = (text.lower() if self._lowers else text).translate(str.maketrans("", "", string.punctuation))
        spaced = re.sub(r"\s+", " ", _SPACE + plain.replace(_SPACE, " ")).strip()
        # sentencepiece strips a leading space; behind another text it does not.
        ids = list(self._model.encode(self._shield + spaced))[self._n_shield :]
        return ids if ids and ids[-1] == self._end else [*ids, self._end]

    def _id_of(self, piece: str) -> int:
        found = int(self._model.piece_to_id(piece))
        if self._model.id_to_piece(found) != piece:
            raise ModelError(f"{self._path} has no piece {piece!r}, which the tokenizer's settings name")
        return found


def _text_of(entry: object, otherwise: str) -> str:
    """A special token as the JSON files write it: its text, or an object that holds it."""
    if isinstance(entry, dict):
        entry = entry.get("content")
    return entry if isinstance(entry, str) and entry else otherwise
