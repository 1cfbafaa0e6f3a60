"""Weights of 4 and 8 bits, as bitsandbytes computes with them.

    --model-args load_in_4bit=true     whole weights are made small while they are read
    quantization_config in config.json the checkpoint holds small weights

Owns which of them are read, and the reason for the others. Never reads a weight: transformers does.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from babycli.errors import ModelError, UsageError
from babycli.models.parts.known_keys import shown
from babycli.wording import one_of

PACKAGE = "bitsandbytes"
_SETTINGS: Any = BitsAndBytesConfig  # its parameters have no types
# Of the others, the package that transformers asks for.
_PACKAGES = {"gptq": "gptqmodel", "awq": "gptqmodel", "compressed-tensors": "compressed-tensors", "hqq": "hqq"}
_PACKAGES |= {"aqlm": "aqlm", "quanto": "optimum-quanto", "torchao": "torchao", "fbgemm_fp8": "fbgemm-gpu"}


def small_weights(
    file: Path, declared: Mapping[str, Any], args: Mapping[str, str], dtype: torch.dtype
) -> tuple[bool, Any]:
    """Tells whether weights are small, and gives what to tell transformers so; None where the checkpoint tells it.

    ``declared`` is config.json. Raises ModelError for what cannot be read, UsageError for arguments that cannot be.
    """
    own = declared.get("quantization_config")
    four = one_of(args.get("load_in_4bit", "false"), ("true", "false", "fp4", "nf4"), "load_in_4bit")
    eight = one_of(args.get("load_in_8bit", "false"), ("true", "false"), "load_in_8bit")
    if four != "false" and eight != "false":
        raise UsageError("load_in_4bit and load_in_8bit exclude each other", "leave one out")
    asked = four != "false" or eight != "false"
    if own is not None:
        _check_own(file, own)
        if asked:
            raise UsageError(f"{file}: its weights are small already: quantization_config", "leave load_in_… out")
    if own is None and not asked:
        return False, None
    if importlib.util.find_spec(PACKAGE) is None:
        why = f"{file}: quantization_config says" if own is not None else "load_in_4bit and load_in_8bit need"
        raise ModelError(f"{why} {PACKAGE}, which is not installed", f"pip install {PACKAGE}")
    if own is not None:
        return True, None
    if eight != "false":
        return True, _SETTINGS(load_in_8bit=True)
    kind = "fp4" if four == "true" else four
    return True, _SETTINGS(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_compute_dtype=dtype)


def _check_own(file: Path, own: object) -> None:
    if not isinstance(own, dict):
        raise ModelError(f"{file}: quantization_config {shown(own)} is not a JSON object")
    is_old = bool(own.get("load_in_4bit") or own.get("load_in_8bit"))
    method = str(own.get("quant_method", PACKAGE if is_old else ""))
    if method == PACKAGE:
        return
    needs = f", for which transformers needs {_PACKAGES[method]}," if method in _PACKAGES else ""
    raise ModelError(
        f"{file}: its weights are small by the method {method!r} (quantization_config){needs} and which "
        f"is not read here; expected is {PACKAGE}",
        "give the checkpoint that it was made from, with  --model-args load_in_4bit=true  if it is too large",
    )


def note_on(network: Any, small: Any) -> str:
    """Gives a note for the reader of the numbers."""
    config = small or network.config.quantization_config
    bits = f"4 bits ({config.bnb_4bit_quant_type})" if config.load_in_4bit else "8 bits"
    return f"weights are computed with in {bits}, by {PACKAGE} {version(PACKAGE)}"
