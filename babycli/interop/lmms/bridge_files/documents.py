"""The pictures and the prompt of a document of the bridge.

Copied as it is into the folder that `babycli bridge lmms` writes, and read there by lmms-eval. Owns reading pictures.
Never imports babycli or lmms-eval, and never scores anything.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image


def picture(doc: Mapping[str, Any], index: int) -> list[Image.Image]:
    """Opens one picture of a trial, in the list that lmms-eval expects; the very bytes that were there when bridged.

    lmms-eval tells Pillow to fill up truncated files silently, so nothing but the checksum would tell.
    """
    path = doc["images"][index]
    content = Path(path).read_bytes() if Path(path).is_file() else b""  # a pipe would be waited for
    if hashlib.sha256(content).hexdigest() != doc["sha256"][index]:
        raise RuntimeError(f"{path} is not the image it was; if the new one is right, run babycli bridge lmms again")
    return [Image.open(io.BytesIO(content)).convert("RGB")]


def pictures(doc: Mapping[str, Any]) -> list[Image.Image]:
    """Opens all pictures of a trial."""
    return [image for index in range(len(doc["images"])) for image in picture(doc, index)]


def prompt(doc: Mapping[str, Any], wording: Mapping[str, str]) -> str:
    """Joins what every trial is asked; ``wording`` is what lmms_eval_specific_kwargs has for the model."""
    return wording["pre_prompt"] + wording["post_prompt"]
