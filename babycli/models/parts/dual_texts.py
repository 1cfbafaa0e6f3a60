"""Turning a text into the ids that a dual encoder of transformers reads, with its own tokenizer.

Owns padding and the limits of the text encoder. Never cuts a text off: one that is too long gets no answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babycli.domain import CannotAnswer
from babycli.errors import ModelError
from babycli.models.parts.tokenizer_trial import MEND
from babycli.models.parts.transformers_calls import reading
from babycli.models.parts.transformers_tokenizer import read_tokenizer
from babycli.wording import shortened

_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")


class DualTexts:
    """A tokenizer with the limits of a text encoder; texts are padded to ``padded_to`` positions if it is not None."""

    def __init__(self, folder: Path, config: Any, padded_to: int | None) -> None:
        if not any((folder / name).is_file() for name in _FILES):
            raise ModelError(f"the checkpoint {folder} has no tokenizer: none of {', '.join(_FILES)} is there", MEND)
        self._tokenizer: Any = read_tokenizer(folder, config=config)
        self._folder = folder
        self._padded_to = padded_to
        if padded_to is not None and self._tokenizer.pad_token_id is None:
            raise ModelError(f"the tokenizer of {folder} has no pad_token, and texts are padded for this model", MEND)
        text = config.text_config
        self._n_rows = int(text.vocab_size)
        # Counted as XLM-RoBERTa does, places begin behind that of the padding.
        offset = int(text.pad_token_id) + 1 if config.model_type == "altclip" else 0
        limits = (text.max_position_embeddings - offset, self._tokenizer.model_max_length, padded_to)
        self._n_positions = int(min(limit for limit in limits if limit is not None))
        # SigLIP 2 sees its padding unless the tokenizer says that there is a mask.
        self._masks = padded_to is not None and "attention_mask" in self._tokenizer.model_input_names

    def ids(self, text: str) -> tuple[int, ...] | CannotAnswer:
        """Makes the ids of a text; CannotAnswer if it is too long for the encoder. Raises ModelError for wrong ids."""
        with reading(f"{self._folder}: its tokenizer fails"):
            ids = list(self._tokenizer(text, padding=False, truncation=False, verbose=False)["input_ids"])
            if len(ids) > self._n_positions:
                return CannotAnswer(
                    f"the text {shortened(text)!r} takes {len(ids)} positions, and the text encoder has "
                    f"{self._n_positions}"
                )
            if self._padded_to is not None:
                ids = list(self._tokenizer(text, padding="max_length", max_length=self._padded_to)["input_ids"])
        beyond = sorted({i for i in ids if i >= self._n_rows})
        if beyond:
            raise ModelError(
                f"{self._folder}: its tokenizer gives ids {beyond} but only {self._n_rows} tokens are embedded",
                "check that tokenizer and weights come from the same training run",
            )
        return tuple(ids)

    def inputs(self, ids: Tensor) -> dict[str, Tensor]:
        """Makes the input of the text encoder of ids (n, length)."""
        mask = ids != self._tokenizer.pad_token_id if self._masks else torch.ones_like(ids, dtype=torch.bool)
        return {"input_ids": ids} | ({"attention_mask": mask.long()} if self._masks else {})
