"""The settings of greedy search in generation_config.json: which are followed, and which are left out and named.

Owns the choice. Never writes a text. The originals write by greedy search over one sequence, so what changes which
token is the likeliest (a repetition penalty) is followed; what asks for another search, for several texts or for other
machinery is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.errors import ModelError
from babycli.models.parts.checkpoint import read_json_object
from babycli.wording import listed

FILE = "generation_config.json"


def _is_penalty(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_id(value: Any) -> bool:
    return _is_count(value)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_id, value))


def _is_lists_of_ids(value: Any) -> bool:
    return isinstance(value, list) and all(_is_ids(entry) and entry for entry in value)


# What greedy search follows, and the values that each may have.
_FOLLOWED: Mapping[str, tuple[Callable[[Any], object], str]] = {
    "bos_token_id": (_is_id, "the id of a token"),
    "pad_token_id": (lambda value: isinstance(value, int), "the id of a token"),
    "eos_token_id": (lambda value: _is_id(value) or (_is_ids(value) and value), "the id of a token, or a list of them"),
    "repetition_penalty": (_is_penalty, "a number above 0"),
    "no_repeat_ngram_size": (_is_count, "a whole number"),
    "min_length": (_is_count, "a whole number"),
    "min_new_tokens": (_is_count, "a whole number"),
    "bad_words_ids": (_is_lists_of_ids, "a list of lists of ids"),
    "suppress_tokens": (_is_ids, "a list of ids"),
    "begin_suppress_tokens": (_is_ids, "a list of ids"),
}
# Those without an effect on greedy search over one sequence, of which nothing need be said.
_WITHOUT_EFFECT = frozenset(
    [
        "do_sample",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "epsilon_cutoff",
        "eta_cutoff",
        "max_length",
        "max_new_tokens",
        "num_beams",
        "length_penalty",
        "early_stopping",
        "use_cache",
        "transformers_version",
        "_from_model_config",
        "output_scores",
        "output_logits",
        "output_attentions",
        "output_hidden_states",
        "return_dict_in_generate",
        "renormalize_logits",
        "chat_format",
        "max_window_size",
        "decoder_start_token_id",
        "trust_remote_code",
    ]
)
_MOST_NAMED = 12  # in a note
_PLAIN: tuple[Any, ...] = (None, False, 0, 1, 1.0, [], {})  # values of other settings that ask for nothing


@dataclass(frozen=True, slots=True)
class Greedy:
    """The settings of a checkpoint that its texts are written with."""

    is_declared: bool  # there is a file of settings
    followed: Mapping[str, Any]
    notes: tuple[str, ...]  # for a reader of the numbers: what is not followed


def read_greedy(folder: Path) -> Greedy:
    """Reads generation_config.json of a checkpoint folder; nothing is followed if there is none.

    Raises ModelError for a file that is no JSON object, and for a value that greedy search cannot follow.
    """
    file = folder / FILE
    declared = read_json_object(file, missing_ok=True)
    followed = {name: value for name, value in declared.items() if name in _FOLLOWED and value is not None}
    for name, value in followed.items():
        allows, expected = _FOLLOWED[name]
        if not allows(value):
            raise ModelError(f"{file}: {name} is {value!r:.80}; expected is {expected}", f"mend it, or remove {name}")
    others = [
        f"{name} {value!r:.40}"
        for name, value in declared.items()
        if name not in _FOLLOWED and name not in _WITHOUT_EFFECT and value not in _PLAIN
    ]
    notes = (f"{file}: greedy search does not follow {listed(others, _MOST_NAMED)}",) if others else ()
    return Greedy(bool(declared), followed, notes)
