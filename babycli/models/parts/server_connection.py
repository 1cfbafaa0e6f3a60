"""A connection to a server over HTTP, with one deadline over connecting, sending and reading.

Owns the socket, and the look at its other end before a byte is sent. Never tries anything twice, but for what a server
says of a request before it has read it.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from babycli.errors import ModelError
from babycli.models.parts.server_address import Address, is_loopback

MOST_BYTES = 1 << 26  # of an answer
_CONNECT_S = 30.0


class Connection(http.client.HTTPConnection):
    """A connection that keeps a deadline over everything: a server that sends a byte a second meets it too."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.host, address.port)
        self._address = address
        self._deadline = 0.0

    def begin(self, seconds: float) -> None:
        """Sets the time for what comes."""
        self._deadline = time.monotonic() + seconds

    def exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        cut_off: ConnectionError | None = None
        try:
            self.request(method, path or "/", body or None, dict(headers))
        except ConnectionError as error:  # as of who refuses a long request before it is all there
            cut_off = error
        try:
            response = self.getresponse()
        except (ConnectionError, http.client.BadStatusLine):
            if cut_off is not None:
                raise cut_off from None
            raise
        content = response.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            self.close()
            raise http.client.HTTPException(f"an answer of more than {MOST_BYTES:,} bytes")
        if response.length:  # read(n) does not tell that the end is missing
            raise http.client.IncompleteRead(b"", response.length)
        response.close()
        if cut_off is not None:
            self.close()
        return response.status, response.headers, content

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), min(_CONNECT_S, self._left()))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = plain.getpeername()[0]
            if self._address.is_this_machine and not is_loopback(peer):
                raise ModelError(
                    f"{self._address.url}: {self.host} leads to {peer}, which is not this machine: nothing was sent",
                    f"see what /etc/hosts says of {self.host}, or name the machine itself: docs/servers.md",
                )
            whole = plain
            if self._address.scheme == "https":
                whole = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        except (OSError, ModelError):
            plain.close()
            raise
        self.sock = _Timed(whole, self._left)

    def close_if_used_up(self) -> None:
        """Closes it where something has come since the last answer: its end, or what belongs to no question.

        A second answer to one request would otherwise be taken for that to the next.
        """
        if isinstance(self.sock, _Timed) and self.sock.has_more():
            self.close()

    def break_off(self) -> None:
        """Ends it from another thread, which waits for it."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Timed:
    """A socket, as http.client uses it, each of whose steps has the time that is left."""

    def __init__(self, whole: socket.socket, left: Callable[[], float]) -> None:
        self._whole, self._left = whole, left

    def sendall(self, data: Any) -> None:
        self._whole.settimeout(self._left())
        self._whole.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._whole, self._left))

    def has_more(self) -> bool:
        """Tells whether there is something to read, or the end, without waiting for it."""
        waiting = select.poll()
        waiting.register(self._whole, select.POLLIN)
        return bool(waiting.poll(0))

    def shutdown(self, how: int) -> None:
        self._whole.shutdown(how)

    def close(self) -> None:
        self._whole.close()


class _Reader(io.RawIOBase):
    """The bytes of a socket, within the time that is left."""

    def __init__(self, whole: socket.socket, left: Callable[[], float]) -> None:
        self._whole, self._left = whole, left
        self._bytes = whole.makefile("rb", buffering=0)  # keeps the socket open until all is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._whole.settimeout(self._left())
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()
