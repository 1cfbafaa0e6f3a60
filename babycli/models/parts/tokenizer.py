"""A checkpoint's tokenizer, read from its own files and nothing else.

Owns turning text into ids and back. Never guesses: transformers' AutoTokenizer may rebuild a byte-level BPE for
a GPT-2 checkpoint and drop its tokenizer.json without a word, so the files are handed to the libraries that
define them (tokenizers, sentencepiece) directly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from babycli.errors import ModelError
from babycli.models.parts.checkpoint import read_json_object
from babycli.models.parts.prompts import IMAGE_TOKEN

IMAGE_ID = -200  # stands for the image's positions in a list of ids


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The texts of the special tokens, as the checkpoint declares them; None where it has none."""

    bos: str | None
    eos: str | None
    unk: str | None
    pad: str | None
    others: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        named = (self.bos, self.eos, self.unk, self.pad)
        return tuple(dict.fromkeys([t for t in named if t] + list(self.others)))


class _Backend(Protocol):
    size: int

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: list[int]) -> str: ...
    def id_of(self, token: str) -> int | None: ...


class Tokenizer:
    """Text to ids and back, special tokens and image positions included."""

    def __init__(self, backend: _Backend, special: SpecialTokens, cleans_up: bool, wraps: bool) -> None:
        self._backend = backend
        self._cleans_up = cleans_up
        self._wraps = wraps  # puts every text between <sos> and <eos> (tokenizer_class LlavaGPT2Tokenizer)
        self.size = backend.size
        self.bos_id = backend.id_of(special.bos) if special.bos else None
        self.eos_id = backend.id_of(special.eos) if special.eos else None
        self.pad_id = backend.id_of(special.pad) if special.pad else self.eos_id

    def encode(self, text: str) -> list[int]:
        """The ids of a text, with what the tokenizer itself puts around it (a BOS, say)."""
        return self._backend.encode(f"<sos> {text} <eos>" if self._wraps else text)

    def encode_with_image(self, text: str) -> list[int]:
        """The ids of a text in which each ``<image>`` becomes IMAGE_ID.

        Each piece between images is tokenised on its own; the BOS that each of them brings is kept once:

            "<image>\\n ball"  ->  ""       "\\n ball"
                                  [1]      [1, 1154, 13, 301]
                             ->   [1, -200,    1154, 13, 301]

        Source: tokenizer_image_token in LLaVA's llava/mm_utils.py.
        """
        pieces = [self.encode(piece) for piece in text.split(IMAGE_TOKEN)]
        starts_with_bos = bool(pieces[0]) and pieces[0][0] == self.bos_id
        skip = 1 if starts_with_bos else 0
        ids = pieces[0][:skip]
        for i, piece in enumerate(pieces):
            ids += [IMAGE_ID] if i else []
            ids += piece[skip:]
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of generated ids: special tokens dropped, spaces cleaned up if the checkpoint says so."""
        text = self._backend.decode(ids)
        return (_clean_up(text) if self._cleans_up else text).strip()


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder. Raises ModelError where its files are missing or unreadable."""
    config = read_json_object(folder / "tokenizer_config.json", missing_ok=True)
    special = _special_tokens(folder, config)
    # transformers 4 takes clean_up_tokenization_spaces as true where the file says nothing; so do we.
    cleans_up = bool(config.get("clean_up_tokenization_spaces", True))
    name = str(config.get("tokenizer_class", ""))
    fast, slow = folder / "tokenizer.json", folder / "tokenizer.model"
    backend: _Backend
    if slow.is_file() and (name.startswith("Llama") or not fast.is_file()):
        # The names that LlamaTokenizer has where a file declares none.
        special = replace(special, bos=special.bos or "<s>", eos=special.eos or "</s>", unk=special.unk or "<unk>")
        backend = _SentencePiece(slow, special, legacy=config.get("legacy") is not False, config=config)
    elif fast.is_file():
        backend = _Tokenizers(fast, special)
    else:
        raise ModelError(
            f"the checkpoint {folder} has no tokenizer: neither tokenizer.json nor tokenizer.model is there",
            "copy the tokenizer files of the training run into that folder",
        )
    return Tokenizer(backend, special, cleans_up, wraps=name == "LlavaGPT2Tokenizer")


class _Tokenizers:
    """tokenizer.json, read by the tokenizers library; declared special tokens are made special."""

    def __init__(self, path: Path, special: SpecialTokens) -> None:
        from tokenizers import AddedToken
        from tokenizers import Tokenizer as Backend

        # The library raises bare Exception for a malformed file, so its text is all there is to go by.
        try:
            self._backend: Any = Backend.from_file(str(path))
        except Exception as error:
            raise ModelError(f"cannot read the tokenizer {path}: {error}") from error
        # One that the file lacks (a late [PAD], say) gets the next id, as transformers does it.
        self._backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special.all])
        self._backend.no_truncation()
        self._backend.no_padding()
        self.size = int(self._backend.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        return list(self._backend.encode(text).ids)

    def decode(self, ids: list[int]) -> str:
        return str(self._backend.decode(ids, skip_special_tokens=True))

    def id_of(self, token: str) -> int | None:
        found: int | None = self._backend.token_to_id(token)
        return found


# A second normalizer_spec { add_dummy_prefix: false } behind a serialised sentencepiece ModelProto (field 3 in
# both messages): protobuf merges the two, and the later value wins.
_NO_DUMMY_PREFIX = b"\x1a\x02\x18\x00"


class _SentencePiece:
    """tokenizer.model, read by the sentencepiece library, with the ways of transformers' slow LlamaTokenizer.

    ``legacy`` (true where tokenizer_config.json says nothing) puts a space in front of every piece of text
    between special tokens; without it, only the whole text gets one.
    """

    def __init__(self, path: Path, special: SpecialTokens, legacy: bool, config: dict[str, Any]) -> None:
        from sentencepiece import SentencePieceProcessor

        self._legacy = legacy
        self._model: Any = SentencePieceProcessor()
        try:
            proto = path.read_bytes()
            self._model.load_from_serialized_proto(proto if legacy else proto + _NO_DUMMY_PREFIX)
        except (OSError, RuntimeError) as error:
            raise ModelError(f"cannot read the tokenizer {path}: {error}") from error
        self._special_ids = {t: self._model.piece_to_id(t) for t in special.all}
        self.size = int(self._model.get_piece_size())
        for token, i in self._special_ids.items():
            if self._model.id_to_piece(i) != token:  # a late [PAD], say, gets the next id, as in transformers
                self._special_ids[token] = self.size
                self.size += 1
        longest_first = sorted(self._special_ids, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(re.escape(t) for t in longest_first) + ")")
        self._unk = special.unk or "<unk>"
        bos, eos = self._special_ids.get(special.bos or ""), self._special_ids.get(special.eos or "")
        self._head = [bos] if bos is not None and config.get("add_bos_token", True) else []
        self._tail = [eos] if eos is not None and config.get("add_eos_token") else []

    def encode(self, text: str) -> list[int]:
        if text and not self._legacy:
            text = "\N{LOWER ONE EIGHTH BLOCK}" + text.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")
        ids: list[int] = []
        for part in self._split.split(text):
            if part in self._special_ids:
                ids.append(self._special_ids[part])
            elif part:
                ids += self._encode_part(part)
        if not self._legacy and len(ids) > 1 and ids[1] in self._special_ids.values():
            # The space put in front of the text, alone before a special token, is none of the text's.
            ids = ids[1:] if self._model.id_to_piece(ids[0]) == "\N{LOWER ONE EIGHTH BLOCK}" else ids
        return self._head + ids + self._tail

    def _encode_part(self, part: str) -> list[int]:
        if self._legacy or not part.startswith(("\N{LOWER ONE EIGHTH BLOCK}", " ")):
            return list(self._model.encode(part))
        # Without its dummy prefix, sentencepiece strips a leading space; behind an unknown token it does not.
        shield = len(self._model.encode(self._unk, out_type=str))
        return list(self._model.encode(self._unk + part))[shield:]

    def decode(self, ids: list[int]) -> str:
        drop = set(self._special_ids.values())
        return str(self._model.decode([i for i in ids if i not in drop]))

    def id_of(self, token: str) -> int | None:
        return self._special_ids.get(token)


def _special_tokens(folder: Path, config: dict[str, Any]) -> SpecialTokens:
    token_map = read_json_object(folder / "special_tokens_map.json", missing_ok=True)

    def text_of(entry: object) -> str | None:
        if isinstance(entry, dict):
            entry = entry.get("content")
        return entry if isinstance(entry, str) and entry else None

    def named(key: str) -> str | None:
        return text_of(config.get(key)) or text_of(token_map.get(key))

    added = config.get("added_tokens_decoder", {})
    if not isinstance(added, dict):
        raise ModelError(f"{folder / 'tokenizer_config.json'}: added_tokens_decoder is not a JSON object")
    others = [text_of(t) for t in added.values() if isinstance(t, dict) and t.get("special")]
    return SpecialTokens(
        named("bos_token"),
        named("eos_token"),
        named("unk_token"),
        named("pad_token"),
        tuple(t for t in others if t),
    )


def _clean_up(text: str) -> str:
    """Takes out the spaces that English tokenisation leaves before punctuation and contractions.

    Same replacements, in the same order, as transformers' clean_up_tokenization.
    """
    for spaced, plain in (
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ):
        text = text.replace(spaced, plain)
    return text
