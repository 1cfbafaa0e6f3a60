"""Unpacking the bytes of a zip's member, for each method of compression that is supported.

Owns the methods: deflate, bzip2 and LZMA (PKWARE APPNOTE 6.3, sections 4.4.5 and 5.8); the last two are rare, and some
builds of Python lack them. Never reads a file, never gives more at once than it is asked for, and takes no more memory
for LZMA than the member's own size makes useful.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import bz2
    import lzma

_DEFLATED, _BZIP2, _LZMA = 8, 12, 14
METHODS = (_DEFLATED, _BZIP2, _LZMA)
_NAMES = {
    1: "Shrink",
    6: "Implode",
    _DEFLATED: "deflate",
    9: "Deflate64",
    _BZIP2: "bzip2",
    _LZMA: "LZMA",
    93: "Zstandard",
    95: "XZ",
    96: "JPEG",
    97: "WavPack",
    98: "PPMd",
    99: "AES",
}
_LZMA_HEAD_BYTES = 4  # version (2) | size of the properties (2)
_LZMA_PROPERTIES_BYTES = 5
_MIN_DICTIONARY_BYTES = 4096
_DICTIONARY_BEYOND = 1 << 28  # no larger one is of use: no image is larger


class UnpackError(Exception):
    """An error that says why packed bytes cannot be unpacked."""


class _Stream(Protocol):
    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes packed bytes, and gives at most so many unpacked ones."""

    @property
    def is_hungry(self) -> bool:
        """True if nothing more comes before other packed bytes are given."""


def name_of_method(method: int) -> str:
    """Gives the name of a method, or its number if it has none that is known."""
    return _NAMES.get(method, str(method))


class Unpacker:
    """The unpacking of one member, from its first packed byte to its last."""

    def __init__(self, method: int, size_bytes: int) -> None:
        """Begins. ``size_bytes`` is what the member says that it holds."""
        self._size_bytes = size_bytes
        self._head = b""
        self._stream: _Stream | None = None
        if method == _DEFLATED:
            self._stream = _Inflating()
        elif method == _BZIP2:
            self._stream = _begin_bzip2()

    def whole(self, packed: bytes) -> bytes:
        """Unpacks all bytes at once, and stops one byte beyond the size that the member says. Raises UnpackError."""
        parts, left = [], self._size_bytes + 1
        for piece in self.feed(packed, left):
            parts.append(piece)
            left -= len(piece)
            if left <= 0:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def feed(self, packed: bytes, max_length: int) -> Iterator[bytes]:
        """Takes the next packed bytes, and gives what they become, in pieces of at most so many bytes."""
        if self._stream is None:
            packed = self._begin_lzma(packed)
            if self._stream is None:
                return
        try:
            while True:
                piece = self._stream.decompress(packed, max_length)
                packed = b""
                if piece:
                    yield piece
                if self._stream.is_hungry:
                    return
        except (zlib.error, OSError, EOFError, MemoryError) as error:
            raise UnpackError(str(error) or type(error).__name__) from error

    def _begin_lzma(self, packed: bytes) -> bytes:
        """Reads the head of an LZMA member: version (2) | size (2) | lc, lp and pb in one byte | dictionary (4)."""
        self._head += packed
        if len(self._head) < _LZMA_HEAD_BYTES + _LZMA_PROPERTIES_BYTES:
            return b""
        if int.from_bytes(self._head[2:4], "little") != _LZMA_PROPERTIES_BYTES:
            raise UnpackError("its LZMA properties are damaged")
        rest, lc = divmod(self._head[4], 9)
        pb, lp = divmod(rest, 5)
        dictionary = int.from_bytes(self._head[5:9], "little")
        useful = max(_MIN_DICTIONARY_BYTES, min(dictionary, self._size_bytes, _DICTIONARY_BEYOND))
        self._stream = _Lzma(lc, lp, pb, useful)
        return self._head[_LZMA_HEAD_BYTES + _LZMA_PROPERTIES_BYTES :]


def _begin_bzip2() -> _Stream:
    try:
        import bz2
    except ImportError as error:
        raise UnpackError("this Python was built without bzip2") from error
    return _Buffered(bz2.BZ2Decompressor())


class _Inflating:
    """zlib gives back the input that it has not used, and keeps some output."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._got_nothing = False

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._stream.decompress(data or self._stream.unconsumed_tail, max_length)
        self._got_nothing = not piece
        return piece

    @property
    def is_hungry(self) -> bool:
        return self._stream.eof or (self._got_nothing and not self._stream.unconsumed_tail)


class _Buffered:
    """bz2 and lzma keep the input that they have not used."""

    def __init__(self, stream: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._stream = stream

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._stream.decompress(data, max_length)

    @property
    def is_hungry(self) -> bool:
        return self._stream.eof or self._stream.needs_input


class _Lzma(_Buffered):
    def __init__(self, lc: int, lp: int, pb: int, dictionary_bytes: int) -> None:
        try:
            import lzma
        except ImportError as error:
            raise UnpackError("this Python was built without LZMA") from error
        chain = [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": dictionary_bytes}]
        try:
            super().__init__(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain))
        except (lzma.LZMAError, ValueError) as error:
            raise UnpackError("its LZMA properties are damaged") from error
        self._damage = lzma.LZMAError

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return super().decompress(data, max_length)
        except self._damage as error:
            raise UnpackError(str(error)) from error
