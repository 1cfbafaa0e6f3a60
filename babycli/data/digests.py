"""Hash functions, by the names that checksum files use, and the digest of many pictures together.

Owns which there are. Never reads a file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Protocol

from babycli.errors import DataError

# Name -> hexadecimal digits of a digest.
ALGORITHMS = {
    "sha256": 64,
    "blake3": 64,
    "md5": 32,
    "sha1": 40,
    "sha224": 56,
    "sha384": 96,
    "sha512": 128,
    "sha3_224": 56,
    "sha3_256": 64,
    "sha3_384": 96,
    "sha3_512": 128,
    "blake2b": 128,
    "blake2s": 64,
}


class Hash(Protocol):
    """A running digest, as hashlib and blake3 make them."""

    def update(self, data: bytes | memoryview, /) -> object:
        """Takes more bytes."""

    def hexdigest(self) -> str:
        """Gives the digest of all bytes so far."""


def algorithm_named(word: str) -> str | None:
    """Gives the algorithm of a name in any spelling, such as SHA3-256 or sha3256; None for an unknown one."""
    wanted = re.sub(r"[^a-z0-9]", "", word.lower())
    return next((name for name in ALGORITHMS if name.replace("_", "") == wanted), None)


def new_hash(algorithm: str) -> Hash:
    """Begins a digest. Raises DataError where the algorithm is not installed."""
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "blake3":
        return _blake3()
    return hashlib.new(algorithm, usedforsecurity=False)


def digest_of_places(places: Iterable[tuple[str, str, str]]) -> str:
    """Gives the SHA-256 over sorted (link, name, SHA-256) of pictures."""
    lines = [f"{link}/{name}\0{sha256}\n" for link, name, sha256 in places]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _blake3() -> Hash:
    try:
        import blake3
    except ImportError as error:
        raise DataError("these checksums are b3sum's, and BLAKE3 is not installed", "pip install blake3") from error
    hasher: Hash = blake3.blake3()
    return hasher
