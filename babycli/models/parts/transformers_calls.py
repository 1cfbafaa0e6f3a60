"""Calling transformers to read a checkpoint's files: silently, and with one kind of error instead of many.

Owns its verbosity and progress bars during a call. Never hides an exception: that of a malformed file becomes a
ModelError, that of a bug stays as it is.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError
from transformers.utils import logging

from babycli.errors import BabycliError, ModelError
from babycli.models.parts.tokenizer_trial import is_panic
from babycli.models.parts.towers import BAD_SETTINGS
from babycli.wording import one_line

# The errors of transformers and the libraries below it for a folder that is no checkpoint of theirs.
_FAULTS = (
    *BAD_SETTINGS,
    OSError,
    ImportError,  # a package that this kind of model needs
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
)
_LOGGING: Any = logging  # its functions have no types


@contextmanager
def reading(failure: str) -> Iterator[None]:
    """Turns an exception of transformers over a malformed file into a ModelError "failure: reason"."""
    try:
        with quiet():
            yield
    except BabycliError:
        raise
    except BaseException as error:
        # The tokenizers library raises a bare Exception, or panics. If a GPU is out of memory, no file is to blame.
        is_fault = isinstance(error, _FAULTS) or type(error) is Exception or is_panic(error)
        if not is_fault or type(error).__name__ == "OutOfMemoryError":
            raise
        raise ModelError(f"{failure}: {one_line(error)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers' progress bars, reports and hints off the terminal."""
    verbosity, had_bars = _LOGGING.get_verbosity(), _LOGGING.is_progress_bar_enabled()
    _LOGGING.set_verbosity(_LOGGING.CRITICAL)
    _LOGGING.disable_progress_bar()
    try:
        yield
    finally:
        _LOGGING.set_verbosity(verbosity)
        if had_bars:
            _LOGGING.enable_progress_bar()
