"""Calls to a server on the wire: what a connection, a header or a body may bring that no question asked for."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from babycli.errors import ModelError
from babycli.models.parts.server_address import Address
from babycli.models.parts.server_calls import Calls, Limits, RefusedError


@contextmanager
def talking(talk: Callable[[socket.socket, int], None]) -> Iterator[Calls]:
    """Runs a server whose every connection is handled by ``talk``, and gives the calls to it."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        n = 0
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            n += 1
            threading.Thread(target=answer_all, args=(connection, n), daemon=True).start()

    def answer_all(connection: socket.socket, n: int) -> None:
        with contextlib.suppress(OSError), connection:  # who asked has gone
            talk(connection, n)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield Calls(Address("http", "127.0.0.1", listening.getsockname()[1], "", "m"), "", Limits(5, 5))
    finally:
        listening.close()


def answer(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def take(connection: socket.socket) -> bool:
    """Takes a request; False where none comes any more."""
    return bool(connection.recv(1 << 16))


def test_a_second_answer_is_not_taken_for_that_to_the_next_question() -> None:
    def talk(connection: socket.socket, n: int) -> None:
        while take(connection):
            connection.sendall(answer(f"of {n}"))
            time.sleep(0.01)
            connection.sendall(answer("of nobody"))

    with talking(talk) as calls:
        told = []
        for _ in range(3):
            told.append(calls.get("/", str))
            time.sleep(0.1)  # the second answer has come
    assert told == ["of 1", "of 2", "of 3"]


def test_a_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    """Some servers say 408 before they close a connection that nobody uses."""

    def talk(connection: socket.socket, n: int) -> None:
        take(connection)
        connection.sendall(answer(n))
        time.sleep(0.01)
        connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    with talking(talk) as calls:
        for n in (1, 2):
            assert calls.get("/", int) == n
            time.sleep(0.1)
        assert calls.n_again == 0


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Tokyo"])
@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"])
def test_a_date_to_wait_for_is_in_gmt_in_any_of_its_forms(
    form: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    date = time.strftime(form, time.gmtime(time.time() + 60))
    try:
        assert_gives_up(f"Retry-After: {date}", r"asks to wait (59|60) s")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("after", ["1e300", "99999999999999999999", "Mon, 01 Jan 9999 00:00:00 GMT"])
def test_a_wait_without_end_is_said_in_few_digits(after: str) -> None:
    assert_gives_up(f"Retry-After: {after}", r"asks to wait 31536000 s\n")


@pytest.mark.parametrize("after", ["-5", "nan", "inf", "soon", "\xff", "0", ", ,", "Wed, 99 Foo 20 10"])
def test_a_wait_that_is_none_is_as_long_as_babycli_chooses(after: str) -> None:
    def talk(connection: socket.socket, n: int) -> None:
        take(connection)
        connection.sendall(refusal(f"Retry-After: {after}"))
        take(connection)
        connection.sendall(answer("well"))

    with talking(talk) as calls:
        assert calls.get("/", str) == "well"


def refusal(header: str) -> bytes:
    return f"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n{header}\r\n\r\n".encode("latin-1")


def assert_gives_up(header: str, words: str) -> None:
    def talk(connection: socket.socket, n: int) -> None:
        take(connection)
        connection.sendall(refusal(header))

    with talking(talk) as calls, pytest.raises(ModelError, match=words):
        calls.get("/", str)


def test_what_a_server_says_before_it_has_read_all_is_heard() -> None:
    """A gateway refuses a request with many pictures at its first bytes, and hangs up."""

    def talk(connection: socket.socket, n: int) -> None:
        take(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large")

    with talking(talk) as calls:
        for _ in range(3):
            with pytest.raises(RefusedError, match="413: too large"):
                calls.post("/", {"picture": "a" * 30_000_000}, str)


def packed(packing: str, body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Encoding: {packing}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


WELL = json.dumps("well " * 5000).encode()


@pytest.mark.parametrize(
    ("packing", "body"), [("gzip", gzip.compress(WELL)), ("Deflate", zlib.compress(WELL))], ids=["gzip", "deflate"]
)
def test_an_answer_that_a_gateway_packs_is_unpacked(packing: str, body: bytes) -> None:
    def talk(connection: socket.socket, n: int) -> None:
        take(connection)
        connection.sendall(packed(packing, body))

    with talking(talk) as calls:
        assert calls.get("/", str) == "well " * 5000


@pytest.mark.parametrize(
    ("packing", "body", "words"),
    [
        ("br", b"\x0b\x02\x80", "packed with br, which cannot be read here"),
        ("gzip", WELL, "packed with gzip, which cannot be read here"),
        ("gzip", gzip.compress(WELL)[:-9], "packed, and cut off or too large"),
        ("gzip", gzip.compress(bytes(100_000_000)), "packed, and cut off or too large"),
    ],
    ids=["br", "not packed", "cut off", "too large"],
)
def test_an_answer_that_cannot_be_unpacked_is_none(packing: str, body: bytes, words: str) -> None:
    def talk(connection: socket.socket, n: int) -> None:
        while take(connection):
            connection.sendall(packed(packing, body))

    with talking(talk) as calls, pytest.raises(ModelError, match=words):
        calls.get("/", str)


def test_a_status_counts_also_where_its_text_cannot_be_unpacked() -> None:
    def talk(connection: socket.socket, n: int) -> None:
        take(connection)
        connection.sendall(packed("br", b"?", "400 Bad Request"))

    with talking(talk) as calls, pytest.raises(RefusedError, match="400"):
        calls.get("/", str)
