"""How transformers is called where it reads a checkpoint's files: silently, and its many exceptions become one of ours.

Owns its verbosity and progress bars for the length of a call. Never hides an exception: what a malformed file raises
becomes a ModelError, a bug stays what it is.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers.utils import logging

from babycli.errors import BabycliError, ModelError
from babycli.models.parts.towers import BAD_SETTINGS
from babycli.wording import one_line

# What transformers and the libraries below it raise for a folder that is no checkpoint of theirs.
_FAULTS = (
    *BAD_SETTINGS,
    OSError,
    ImportError,  # a package that this kind of model needs
    IndexError,
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
    StrictDataclassError,
    TemplateError,
)
_LOGGING: Any = logging  # its functions have no types


@contextmanager
def reading(failure: str) -> Iterator[None]:
    """Raises ModelError, "failure: reason", for what a malformed file makes transformers raise."""
    try:
        with quiet():
            yield
    except BabycliError:
        raise
    except Exception as error:
        # The tokenizers library raises a bare Exception; an exhausted GPU is not the file's fault.
        is_fault = isinstance(error, _FAULTS) or type(error) is Exception
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
