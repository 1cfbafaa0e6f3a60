"""A checkpoint's tokenizer, read from its own files and nothing else.

Owns turning text into ids and back. Never guesses: transformers' AutoTokenizer may silently rebuild a byte-level BPE
for a GPT-2 checkpoint and ignore its tokenizer.json, so the files are read directly by the libraries that define them
(tokenizers, sentencepiece).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from babycli.errors import ModelError
from babycli.files import read_file
from babycli.models.parts import byte_pairs
from babycli.models.parts.checkpoint import read_json_object
from babycli.models.parts.lfs import check_fetched
from babycli.models.parts.tokenizer_trial import MEND, is_panic, try_tokenizer
from babycli.wording import listed, one_line

IMAGE_ID = -200  # stands for the image's positions in a list of ids


@dataclass(frozen=True, slots=True)
class Added:
    """A token that the checkpoint declares beside its vocabulary."""

    text: str
    is_special: bool  # dropped from generated text
    token_id: int | None  # None: the next free one


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens that the checkpoint's JSON files declare; None where it has no such token."""

    bos: str | None
    eos: str | None
    unk: str | None
    pad: str | None
    added: tuple[Added, ...]  # all of them, in the order in which transformers adds them


class _Backend(Protocol):
    size: int

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: list[int]) -> str: ...
    def id_of(self, token: str) -> int | None: ...


class Tokenizer:
    """A tokenizer: text to ids and back, special tokens and image positions included."""

    def __init__(self, file: Path, backend: _Backend, special: SpecialTokens, cleans_up: bool, wraps: bool) -> None:
        self.file = file  # that holds its vocabulary
        self._backend = backend
        self._cleans_up = cleans_up
        self._wraps = wraps  # puts every text between <sos> and <eos> (tokenizer_class LlavaGPT2Tokenizer)
        self.size = backend.size
        self.eos = special.eos  # the token that ends a text, as it is written; None if there is none
        self.bos_id = backend.id_of(special.bos) if special.bos else None
        self.eos_id = backend.id_of(special.eos) if special.eos else None

    def encode(self, text: str) -> list[int]:
        """Gives the ids of a text, with the tokens that the tokenizer itself adds, for instance a BOS."""
        return self._backend.encode(f"<sos> {text} <eos>" if self._wraps else text)

    def encode_pieces(self, texts: Sequence[str]) -> list[int]:
        """Gives the ids of a text that was split at its pictures, with IMAGE_ID for each picture.

        Each piece is tokenised on its own; the BOS, which each piece begins with, is kept once:

            "<image>\\n ball"  ->  ""       "\\n ball"
                                  [1]      [1, 1154, 13, 301]
                             ->   [1, -200,    1154, 13, 301]

        Source: tokenizer_image_token in LLaVA's llava/mm_utils.py.
        """
        pieces = [self.encode(text) for text in texts]
        starts_with_bos = bool(pieces[0]) and pieces[0][0] == self.bos_id
        skip = 1 if starts_with_bos else 0
        ids = pieces[0][:skip]
        for i, piece in enumerate(pieces):
            ids += [IMAGE_ID] if i else []
            ids += piece[skip:]
        return ids

    def knows(self, token: str) -> bool:
        """Tells whether a token has an id of its own."""
        return self._backend.id_of(token) is not None

    def decode(self, ids: list[int]) -> str:
        """Gives the text of generated ids, without special tokens; spaces are cleaned up if the checkpoint says so."""
        text = self._backend.decode(ids)
        return _clean_up(text) if self._cleans_up else text


def load_tokenizer(folder: Path) -> Tokenizer:
    """Reads the tokenizer of a checkpoint folder. Raises ModelError if its files are missing or unreadable."""
    config = read_json_object(folder / "tokenizer_config.json", missing_ok=True)
    special = _special_tokens(folder, config)
    # As in transformers 4, clean_up_tokenization_spaces is true where the file does not set it.
    cleans_up = bool(config.get("clean_up_tokenization_spaces", True))
    name = str(config.get("tokenizer_class", ""))
    fast, slow = folder / "tokenizer.json", folder / "tokenizer.model"
    backend: _Backend
    if slow.is_file() and (name.startswith("Llama") or not fast.is_file()):
        file = slow
        special = _with_names(special, "<s>", "</s>", "<unk>")
        backend = _SentencePiece(slow, special, legacy=config.get("legacy") is not False, config=config)
    elif fast.is_file():
        file = fast
        backend = _Tokenizers(fast, special)
    elif byte_pairs.is_byte_pairs(folder):
        file = folder / byte_pairs.VOCABULARY
        end = byte_pairs.END_OF_TEXT
        special = _with_names(special, end, end, end)
        backend = _Tokenizers(file, special, byte_pairs.as_tokenizer_json(folder, config))
    else:
        raise ModelError(
            f"the checkpoint {folder} has no tokenizer: neither tokenizer.json nor tokenizer.model is there, nor "
            "vocab.json with merges.txt",
            MEND,
        )
    return Tokenizer(file, backend, special, cleans_up, wraps=name == "LlavaGPT2Tokenizer")


class _Tokenizers:
    """tokenizer.json, read by the tokenizers library; declared special tokens are made special.

    ``content`` is what is read where that is not what is in the file.
    """

    def __init__(self, path: Path, special: SpecialTokens, content: bytes | None = None) -> None:
        from tokenizers import AddedToken
        from tokenizers import Tokenizer as Backend

        try_tokenizer(path, content)
        self._path = path
        with self._called():
            self._backend: Any = Backend.from_buffer(content or read_file(path))
            for token in special.added:  # a token that the file lacks (for instance a later [PAD]) gets the next id
                new = AddedToken(token.text, special=token.is_special, normalized=not token.is_special)
                if token.is_special:
                    self._backend.add_special_tokens([new])
                elif self._backend.token_to_id(token.text) is None:
                    self._backend.add_tokens([new])
            self._backend.no_truncation()
            self._backend.no_padding()
        self.size = int(self._backend.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        with self._called():
            return list(self._backend.encode(text).ids)

    def decode(self, ids: list[int]) -> str:
        with self._called():
            return str(self._backend.decode(ids, skip_special_tokens=True))

    @contextmanager
    def _called(self) -> Iterator[None]:
        """Names the file where the library fails: it raises bare Exception, and panics with a BaseException."""
        try:
            yield
        except BaseException as error:
            if type(error) is not Exception and not is_panic(error):
                raise
            raise ModelError(f"the tokenizer {self._path} fails: {one_line(error)}", MEND) from error

    def id_of(self, token: str) -> int | None:
        token_id: int | None = self._backend.token_to_id(token)
        return token_id


# A second normalizer_spec { add_dummy_prefix: false } behind a serialised sentencepiece ModelProto (field 3 in
# both messages): protobuf merges the two, and the later value wins.
_NO_DUMMY_PREFIX = b"\x1a\x02\x18\x00"


def sentence_pieces(proto: bytes) -> Any:
    """Makes a processor of the sentencepiece library. Raises RuntimeError or, for pieces not in UTF-8, ValueError."""
    from sentencepiece import SentencePieceProcessor

    processor: Any = SentencePieceProcessor()
    processor.load_from_serialized_proto(proto)
    for i in range(processor.get_piece_size()):
        processor.id_to_piece(i)
    return processor


class _SentencePiece:
    """tokenizer.model, read by the sentencepiece library, with the same results as transformers' slow LlamaTokenizer.

    ``legacy`` (true where tokenizer_config.json does not set it) puts a space in front of every piece of text
    between special tokens; without it, only the whole text gets one.
    """

    def __init__(self, path: Path, special: SpecialTokens, legacy: bool, config: dict[str, Any]) -> None:
        self._legacy = legacy
        try:
            proto = read_file(path)
            self._model = sentence_pieces(proto if legacy else proto + _NO_DUMMY_PREFIX)
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            check_fetched(path)
            raise ModelError(f"cannot read the tokenizer {path}: {one_line(error)}") from error
        self._added_ids: dict[str, int] = {}
        self.size = int(self._model.get_piece_size())
        for token in special.added:
            known = int(self._model.piece_to_id(token.text))
            if self._model.id_to_piece(known) != token.text:
                known = self.size if token.token_id is None else token.token_id
                self.size += 1
            self._added_ids[token.text] = known
        self._special_ids = {self._added_ids[token.text] for token in special.added if token.is_special}
        longest_first = sorted(self._added_ids, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(re.escape(t) for t in longest_first) + ")")
        self._unk = special.unk or "<unk>"
        bos, eos = self._added_ids.get(special.bos or ""), self._added_ids.get(special.eos or "")
        self._head = [bos] if bos is not None and config.get("add_bos_token", True) else []
        self._tail = [eos] if eos is not None and config.get("add_eos_token") else []

    def encode(self, text: str) -> list[int]:
        if text and not self._legacy:
            text = "\N{LOWER ONE EIGHTH BLOCK}" + text.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")
        ids: list[int] = []
        for part in self._split.split(text):
            if part in self._added_ids:
                ids.append(self._added_ids[part])
            elif part:
                ids += self._encode_part(part)
        if not self._legacy and len(ids) > 1 and ids[1] in self._special_ids:
            # The space that was put in front of the text, if a special token follows it, is not part of the text.
            ids = ids[1:] if self._model.id_to_piece(ids[0]) == "\N{LOWER ONE EIGHTH BLOCK}" else ids
        return self._head + ids + self._tail

    def _encode_part(self, part: str) -> list[int]:
        if self._legacy or not part.startswith(("\N{LOWER ONE EIGHTH BLOCK}", " ")):
            return list(self._model.encode(part))
        # Without its dummy prefix, sentencepiece strips a leading space, so an unknown token is put before it.
        shield = len(self._model.encode(self._unk, out_type=str))
        return list(self._model.encode(self._unk + part))[shield:]

    def decode(self, ids: list[int]) -> str:
        n = self._model.get_piece_size()
        texts = {i: text for text, i in self._added_ids.items() if i >= n}
        out = ""
        run: list[int] = []
        for i in [i for i in ids if i not in self._special_ids]:
            if i in texts:
                out, run = out + self._model.decode(run) + texts[i], []
            elif i < n:  # ids beyond, of rows that weights have in excess, stand for nothing, as in transformers
                run.append(i)
        out = str(out + self._model.decode(run))
        # Removes the space that encode() put in front; with ``legacy`` the library adds and removes it itself.
        return out if self._legacy else out.removeprefix(" ")

    def id_of(self, token: str) -> int | None:
        piece = int(self._model.piece_to_id(token))
        return self._added_ids.get(token, piece if self._model.id_to_piece(piece) == token else None)


# transformers' order: the tokens of added_tokens_decoder, then these, then the additional ones.
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_MORE = ("additional_special_tokens", "extra_special_tokens")


def _special_tokens(folder: Path, config: dict[str, Any]) -> SpecialTokens:
    """Reads the tokens that tokenizer_config.json, special_tokens_map.json and added_tokens.json declare."""
    token_map = read_json_object(folder / "special_tokens_map.json", missing_ok=True)

    def text_of(entry: object) -> str | None:
        if isinstance(entry, dict):
            entry = entry.get("content")
        return entry if isinstance(entry, str) and entry else None

    named = {key: text_of(config.get(key)) or text_of(token_map.get(key)) for key in _NAMED}
    declared = [config.get(key) or token_map.get(key) or [] for key in _MORE]
    for key, tokens in zip(_MORE, declared, strict=True):
        if not isinstance(tokens, list | dict):
            file = folder / ("tokenizer_config.json" if config.get(key) else "special_tokens_map.json")
            raise ModelError(f"{file}: {key} is {tokens!r:.80}; expected is a list of tokens", MEND)
    more = [text_of(t) for tokens in declared for t in (tokens.values() if isinstance(tokens, dict) else tokens)]
    added = {a.text: a for a in _declared_with_ids(folder, config)}
    for text in (*named.values(), *more):
        if text:
            added[text] = Added(text, True, added[text].token_id if text in added else None)
    for text in added:
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ModelError(f"{folder}: the token {text!r} of its tokenizer holds half of a character", MEND)
    return SpecialTokens(
        named["bos_token"], named["eos_token"], named["unk_token"], named["pad_token"], tuple(added.values())
    )


def _declared_with_ids(folder: Path, config: dict[str, Any]) -> list[Added]:
    """Reads added_tokens_decoder, or added_tokens.json of older versions, in the order of ids. Raises ModelError."""
    where = f"{folder / 'tokenizer_config.json'}: added_tokens_decoder"
    decoder = config.get("added_tokens_decoder")
    if decoder is None:
        where = str(folder / "added_tokens.json")
        older = read_json_object(folder / "added_tokens.json", missing_ok=True)
        decoder = {i: {"content": text, "special": False} for text, i in older.items()}
    try:
        tokens = [Added(str(t["content"]), bool(t.get("special")), int(i)) for i, t in decoder.items()]
        if negative := [token.text for token in tokens if (token.token_id or 0) < 0]:
            raise ValueError(f"the id of {listed(negative)} is negative")
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{where} is not a list of tokens by id: {one_line(error)}", MEND) from error
    return sorted(tokens, key=lambda token: token.token_id or 0)


def _with_names(special: SpecialTokens, bos: str, eos: str, unk: str) -> SpecialTokens:
    """Adds the tokens that the tokenizer's class has by default where no file declares them."""
    bos, eos, unk = special.bos or bos, special.eos or eos, special.unk or unk
    known = {token.text for token in special.added}
    more = tuple(Added(text, True, None) for text in dict.fromkeys((bos, eos, unk)) if text not in known)
    return replace(special, bos=bos, eos=eos, unk=unk, added=(*special.added, *more))


def _clean_up(text: str) -> str:
    """Removes the spaces that English tokenisation leaves before punctuation and contractions.

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
