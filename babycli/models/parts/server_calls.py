"""Calling a server over HTTP: what is tried again and for how long, and what may never happen on the way.

Owns connections, waits and time limits. Never knows what is asked: it sends JSON and gives JSON back.

    tried again     408, 409, 425, 429, 5xx but 501 and 505, a broken or silent connection; no JSON (a few times)
    waits           Retry-After, else twice as long each time, with jitter; all tries of a request within ``patience``
    given up        any other status, at once

Python's own http.client is used, and no package. What matters here they do not do: one deadline over connecting,
sending and reading, which a server that sends a byte a second meets too (httpx has a limit for each step), and a look
at the other end before a byte is sent. Nor is there one to rely on: huggingface-hub 1 brings httpx, and 2 another.
No redirect is followed and no proxy asked, so that pictures reach the named host or nobody. A key that a server
repeats is struck out.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from babycli import __version__
from babycli.errors import ModelError
from babycli.models.parts.server_address import Address
from babycli.models.parts.server_connection import MOST_BYTES, Connection
from babycli.typed import from_json
from babycli.wording import printable, shortened

Read = TypeVar("Read")

_AGAIN = frozenset({408, 409, 425, 429})  # and all from 500 on, but
_NEVER = frozenset({501, 505})  # not implemented, no such version of HTTP
_BUSY = frozenset({429, 503})
_MOST_MALFORMED = 3  # tries of a request that is answered with what cannot be read
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_YEAR_S = 365 * 24 * 3600.0
_SHOWN = 300  # characters of a body
_STRUCK_OUT = "[key]"
_ESCAPED = re.compile(r"\\u00([2-7][0-9a-fA-F])")  # a character of ASCII, as JSON may write it
_SECRET = 16  # characters of a key that no text holds by chance; "EMPTY" is none
_WRONG_ADDRESS = "check that this is the address of an OpenAI-compatible API, as a rule with /v1 at its end"
_OVERLOADED = (
    "see that the server runs and is not overloaded, and give the same command again: it goes on; "
    "--model-args concurrency=4 asks less at once, patience=3600 waits longer (seconds)"
)
_START = "start the server first, and check the address: docs/servers.md"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a server may take."""

    timeout_s: float  # for one try
    patience_s: float  # for all tries of a request together


class MalformedError(Exception):
    """An answer that cannot be what was asked for. Its text says why."""

    def __init__(self, why: str, mend: str = "") -> None:
        super().__init__(why)
        self.mend = mend


class BusyError(ModelError):
    """A server that had no time for a request, however long it was waited for. It may be able to answer it."""


class RefusedError(Exception):
    """A status that no further try will change."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body  # its first characters, on one line, without the key


class _AgainError(Exception):
    """A try that failed and may go well another time."""

    def __init__(self, why: str, mend: str = _OVERLOADED) -> None:
        super().__init__(why)
        self.mend = mend
        self.wait_s: float | None = None
        self.is_malformed = False
        self.is_busy = False


@dataclass(slots=True)
class Calls:
    """The calls to one server. Safe to use from any thread; connections stay open for the next call."""

    address: Address
    key: str = field(repr=False)  # sent as a bearer; "": none
    limits: Limits
    n_again: int = 0  # tries after one that had failed
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _idle: list[Connection] = field(default_factory=list)
    _busy: set[Connection] = field(default_factory=set)
    _ending: threading.Event = field(default_factory=threading.Event)

    def reach(self) -> None:
        """Checks that somebody is there, without a request. Raises ModelError."""
        connection = Connection(self.address)
        connection.begin(self.limits.timeout_s)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise self.failed(
                f"its certificate is not trusted: {error.verify_message}",
                "check the address; a certificate of your own is named with  export SSL_CERT_FILE=FILE",
            ) from error
        except ssl.SSLError as error:
            raise self.failed(f"it does not speak https: {error.reason}", "write http:// if it is so") from error
        except OSError as error:
            raise self.failed(
                f"nobody answers there: {error.strerror or str(error) or 'no answer in time'}", _START
            ) from error
        finally:
            connection.close()

    def get(self, path: str, read: Callable[[Any], Read]) -> Read:
        """Gets ``path``, below the address, and gives what ``read`` makes of its JSON.

        ``read`` raises MalformedError. Raises RefusedError, and ModelError where the tries are used up.
        """
        return self._tried("GET", self.address.path + path, b"", read)

    def get_of_host(self, path: str, read: Callable[[Any], Read], patience_s: float) -> Read:
        """Gets ``path`` from the root of the host, where servers tell their version. Raises as ``get`` does."""
        return self._tried("GET", path, b"", read, patience_s)

    def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[Any], Read], patience_s: float | None = None
    ) -> Read:
        """Posts JSON. Raises as ``get`` does.

        With ``patience_s`` that is all the time for a server that fails; one that is busy has the whole patience.
        """
        return self._tried("POST", self.address.path + path, _as_json(body), read, patience_s)

    def finish(self) -> None:
        """Lets tries that are under way come to their ends, and begins no other."""
        self._ending.set()

    def close(self) -> None:
        """Breaks off all that is under way."""
        self._ending.set()
        with self._lock:
            connections = list(self._busy)
        for connection in connections:
            connection.break_off()

    def failed(self, why: str, mend: str = "") -> ModelError:
        """Makes the error that names the server."""
        return ModelError(f"{self.address.url}: {why}", mend)

    def _tried(
        self, method: str, path: str, body: bytes, read: Callable[[Any], Read], patience_s: float | None = None
    ) -> Read:
        begun, jitter = time.monotonic(), Random(zlib.crc32(body))
        n_malformed, n = 0, 0
        while True:
            n += 1
            try:
                return self._once(method, path, body, read)
            except _AgainError as error:
                n_malformed += error.is_malformed
                is_waited_for = patience_s is None or (error.is_busy and method == "POST")
                patience = self.limits.patience_s if is_waited_for else patience_s
                wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(n - 1, 16)) * jitter.uniform(0.5, 1)
                wait = max(wait, error.wait_s or 0)
                spent = time.monotonic() - begun
                is_over = n_malformed >= _MOST_MALFORMED or spent + wait > patience
                if is_over or self._ending.is_set():
                    asked = f", and asks to wait {error.wait_s:.0f} s" if error.wait_s is not None else ""
                    tries = "" if n == 1 else f" ({n} tries in {spent:.0f} s)"
                    failed = self.failed(f"{error}{asked}{tries}", error.mend)
                    raise (BusyError(failed.message, failed.mend) if error.is_busy else failed) from error
            self._ending.wait(wait)
            with self._lock:
                self.n_again += 1

    def _once(self, method: str, path: str, body: bytes, read: Callable[[Any], Read]) -> Read:
        """Tries once. Raises _AgainError, RefusedError, ModelError."""
        status, headers, packed = self._exchanged(method, path, body)
        try:
            content = _unpacked(headers, packed)
        except MalformedError as error:
            if status == 200:
                raise self._malformed(str(error), None, error.mend) from error
            content = b""  # the status says enough
        is_broken = method == "GET" and status == 500  # as the list of models of a server that cannot make it
        if status in _AGAIN or (status >= 500 and status not in _NEVER and not is_broken):
            again = _AgainError(f"it gave status {status}: {self._shown(content)}")
            again.wait_s, again.is_busy = _retry_after(headers), status in _BUSY
            raise again
        if 300 <= status < 400:
            where = self._shown((headers.get("Location") or "nowhere").encode())
            raise self.failed(
                f"it sends its callers elsewhere (status {status}), to {where}, which is not followed",
                "give --model the address where the server itself is",
            )
        if status != 200:
            raise RefusedError(status, self._shown(content))
        try:
            document = from_json(content)
        except ValueError as error:
            raise self._malformed("it gave no JSON", content) from error
        # As it is read: "/" may be written "\/", and any character "\u" with its number.
        if len(self.key) >= _SECRET and orjson.dumps(self.key)[1:-1] in orjson.dumps(document):
            raise self.failed("it repeats the key in its answer, which no log may hold", "ask another server")
        try:
            return read(document)
        except MalformedError as error:
            raise self._malformed(str(error), content, error.mend) from error

    def _malformed(self, why: str, content: bytes | None, mend: str = "") -> _AgainError:
        """Makes the error for an answer that cannot be read; None where its body is nothing to show."""
        shown = "" if content is None else f": {self._shown(content)}"
        again = _AgainError(self._shown(why.encode()) + shown, mend or _WRONG_ADDRESS)
        again.is_malformed = True
        return again

    def _exchanged(self, method: str, path: str, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Sends a request and reads its answer within the time for one try."""
        with self._connection() as connection:
            connection.begin(self.limits.timeout_s)
            connection.close_if_used_up()
            was_open = connection.sock is not None
            try:
                try:
                    return connection.exchange(method, path, body, self._headers())
                except (ConnectionError, http.client.BadStatusLine):
                    if not was_open or self._ending.is_set():
                        raise
                    connection.close()  # the server had closed it meanwhile
                    return connection.exchange(method, path, body, self._headers())
            except TimeoutError as error:
                connection.close()
                raise _AgainError(f"it gave no whole answer in {self.limits.timeout_s:g} s") from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise _AgainError(f"the connection failed: {self._shown(why.encode())}") from error

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Lends a connection to the block: one that is open if there is one."""
        with self._lock:
            connection = self._idle.pop() if self._idle else Connection(self.address)
            self._busy.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._busy.discard(connection)
                self._idle.append(connection)

    def _headers(self) -> dict[str, str]:
        bearer = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"babycli/{__version__}",
        } | bearer

    def _shown(self, content: bytes) -> str:
        """Gives the first characters of a body for a message, without the key."""
        text = content.decode("utf-8", "replace")
        if self.key:
            text = _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text).replace("\\/", "/")
            for form in (self.key, quote(self.key, safe="")):
                text = text.replace(form, _STRUCK_OUT)
        return shortened(printable(" ".join(text[: 2 * _SHOWN].split())), _SHOWN) or "an empty answer"


def _as_json(body: Mapping[str, Any]) -> bytes:
    """Writes JSON in UTF-8; a text with half a surrogate pair, which UTF-8 has not, with its escape."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return json.dumps(body).encode()


def _unpacked(headers: http.client.HTTPMessage, content: bytes) -> bytes:
    """Gives a body as it was before a gateway packed it, which was not asked for. Raises MalformedError."""
    packing = headers.get("Content-Encoding", "").strip().lower()
    if packing in ("", "identity") or not content:
        return content
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib, whichever it is
    try:
        whole = unpacker.decompress(content, MOST_BYTES)
    except zlib.error as error:
        raise MalformedError(
            f"its answer is packed with {shortened(printable(packing), 40)}, which cannot be read here",
            "switch that off in the server or the gateway before it: it was not asked for",
        ) from error
    if not unpacker.eof:
        raise MalformedError("its answer is packed, and cut off or too large")
    return whole


def _retry_after(headers: http.client.HTTPMessage) -> float | None:
    """Reads for how many seconds a server asks to be left alone: a number, or a date; None for anything else.

    A date without a time zone, as C's asctime writes it, is in GMT. More than a year is a year.
    """
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(seconds, _YEAR_S) if 0 < seconds < float("inf") else None
