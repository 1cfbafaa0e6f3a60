"""Packages that transformers trips over where they are installed but cannot be imported.

Owns the check, for `babycli doctor` and for the loading of models. Never repairs anything.
"""

from __future__ import annotations

import importlib
import importlib.util

from babycli.errors import ModelError
from babycli.foreign import explained

TORCHVISION_MEND = "pip uninstall torchvision, or install the one that fits: https://pytorch.org/get-started/locally"


def why_torchvision_is_broken() -> str:
    """Tells why the torchvision that is installed cannot be imported; "" if it can, or if there is none."""
    if importlib.util.find_spec("torchvision") is None:
        return ""
    try:
        with explained("importing it fails", None):
            importlib.import_module("torchvision")
    except ModelError as error:
        return error.message
    return ""


def check_torchvision() -> None:
    """Checks that transformers would not trip over torchvision. Raises ModelError."""
    if why := why_torchvision_is_broken():
        raise ModelError(
            f"the torchvision that is installed is broken, and transformers trips over it: {why}", TORCHVISION_MEND
        )
