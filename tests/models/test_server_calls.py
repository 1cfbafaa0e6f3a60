"""Calls to a server on the wire: what a connection, a header or a body may bring that no question asked for."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from babycli.models.parts.server_address import Address
from babycli.models.parts.server_calls import Calls, Limits


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
