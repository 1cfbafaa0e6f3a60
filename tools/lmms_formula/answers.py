"""The formula. Few levels, so that ties abound, and now and then what is not finite.

Never imports lmms-eval: both sides of the check compute their answers here.
"""

from __future__ import annotations

import hashlib
import math

WORDS = ("look", "there", "is", "a", "the", "red", "blue", "black", "ball", "boat", "fish", "cup", "on", "grass", ".")


def logprob(pixels: bytes, prompt: str, text: str) -> float:
    number = _number(pixels, f"{prompt}\0{text}")
    if number % 23 == 0:
        return math.nan
    return -math.inf if number % 29 == 0 else -(number % 7) / 7


def caption(pixels: bytes, prompt: str) -> str:
    numbers = [_number(pixels, f"{prompt}\0{i}") for i in range(8)]
    return " ".join(WORDS[number % len(WORDS)] for number in numbers[: 1 + numbers[0] % 8])


def _number(pixels: bytes, text: str) -> int:
    return int.from_bytes(hashlib.sha256(pixels + text.encode()).digest()[:6])
