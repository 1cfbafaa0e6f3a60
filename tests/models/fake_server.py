"""A server that speaks OpenAI's chat API in a thread, as well or as badly as a test wants.

Its model is deterministic: what it writes depends on the words and pictures of the messages alone, and so do its
log-probabilities, in vLLM's form, where a test lets it give them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

MODEL = "tiny-vlm"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a server sends for a request."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # as Content-Length says; None: as it is
    pause_s: float = 0.0  # before every byte
    breaks: bool = False  # the connection is cut instead


Misbehaviour = Callable[[dict[str, Any]], Sent | None]  # None: it behaves


@dataclass
class FakeServer:
    """The state of a server; ``misbehave`` is asked first, for each chat request."""

    scores: bool = True
    model: str = MODEL
    says: str = ""  # as what it answers; "": as its model
    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": MODEL, "object": "model", "owned_by": "me"}])
    no_list: int = 0  # the status that it has instead of a list of models
    listed: Sent | None = None  # in place of the list
    version: Sent = Sent(b'{"version": "0.99"}')
    latency_s: float = 0.0
    misbehave: Misbehaviour = lambda request: None
    asked: list[dict[str, Any]] = field(default_factory=list)  # the bodies of all chat requests
    headers: list[Mapping[str, str]] = field(default_factory=list)
    n_at_once: int = 0
    most_at_once: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def name(self) -> str:
        """What --model is given."""
        return f"openai:{self.url}#{self.model}"

    @property
    def n_tasks_asked(self) -> int:
        """The number of requests of tasks: all but those by which the server is met."""
        return sum(not is_hello(request) for request in self.asked)

    def chat(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers as a good server does."""
        text = written(request["messages"], request.get("max_tokens", 16))
        prompt = tokens_of(request)
        document = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.says or self.model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"},
            ],
            "usage": {"prompt_tokens": len(prompt), "completion_tokens": len(text.split())},
        }
        if self.scores and "prompt_logprobs" in request:
            document["prompt_logprobs"] = logprobs_of(prompt)
        return document


def is_hello(request: Mapping[str, Any]) -> bool:
    return "Say yes." in json.dumps(request["messages"][0])


def digest_of(value: Any) -> int:
    return int.from_bytes(sha256(json.dumps(value, sort_keys=True).encode()).digest()[:4], "big")


def written(messages: Any, n_words: int) -> str:
    words = ("ball", "yes", "a", "red", "cat", "two", "the", "baby", "no", "car")
    drawn = digest_of(messages)
    return " ".join(words[drawn // 7**i % len(words)] for i in range(min(n_words, 1 + drawn % 4)))


def tokens_of(request: Mapping[str, Any]) -> list[str]:
    """The tokens of a prompt: a word each, one for a picture, and those of the template."""
    tokens = ["<s>"]
    messages = request["messages"]
    for message in messages:
        tokens.append(f"<{message['role']}>")
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "image_url":
                tokens.append(f"<image {digest_of(part)}>")
            else:
                tokens += [f" {word}" for word in part["text"].split()]
        if message is not messages[-1] or not request.get("continue_final_message"):
            tokens.append("</s>")
    return tokens if request.get("continue_final_message") else [*tokens, "<assistant>"]


def logprobs_of(tokens: list[str]) -> list[Any]:
    """A log-probability for each token but the first, which depends on all before it."""
    places: list[Any] = [None]
    for n in range(1, len(tokens)):
        drawn = digest_of(tokens[: n + 1])
        rank = 1 + drawn % 3
        entry = {"logprob": -(drawn % 9973) / 1000 - 0.001, "rank": rank, "decoded_token": tokens[n]}
        place = {str(digest_of(tokens[n]) % 100_003): entry}
        if rank > 1:
            place["100003"] = {"logprob": -0.0005, "rank": 1, "decoded_token": " best"}
        places.append(place)
    return places


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ClassVar[FakeServer]

    def do_GET(self) -> None:
        if self.path == "/v1/models" and self.state.no_list:
            self._send(Sent(b"Internal Server Error", self.state.no_list))
        elif self.path == "/v1/models":
            self._send(self.state.listed or Sent(json.dumps({"object": "list", "data": self.state.models}).encode()))
        elif self.path == "/version":
            self._send(self.state.version)
        else:
            self._send(Sent(b'{"detail": "Not Found"}', 404))

    def do_POST(self) -> None:
        state = self.state
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.asked.append(request)
            state.headers.append(dict(self.headers))
            state.n_at_once += 1
            state.most_at_once = max(state.most_at_once, state.n_at_once)
        try:
            time.sleep(state.latency_s)
            self._send(state.misbehave(request) or Sent(json.dumps(state.chat(request)).encode()))
        finally:
            with state.lock:
                state.n_at_once -= 1

    def _send(self, sent: Sent) -> None:
        if sent.breaks:
            self.close_connection = True
            return
        self.send_response(sent.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent.body) if sent.length is None else sent.length))
        for key, value in sent.headers.items():
            self.send_header(key, value)
        try:
            if not sent.pause_s:
                self.end_headers()
                self.wfile.write(sent.body)
            else:
                self.end_headers()
                for n in range(len(sent.body)):
                    time.sleep(sent.pause_s)
                    self.wfile.write(sent.body[n : n + 1])
        except OSError:  # who asked has gone
            self.close_connection = True
        if sent.length is not None and sent.length > len(sent.body):
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(state: FakeServer) -> Iterator[FakeServer]:
    """Runs the server for the block."""
    handler = type("Handler", (_Handler,), {"state": state})
    server = _Server(("127.0.0.1", 0), handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def some(n: int, sent: Sent) -> Misbehaviour:
    """Sends this for the first ``n`` tries of every request of a task, and then behaves."""
    tries: Counter[int] = Counter()

    def misbehave(request: dict[str, Any]) -> Sent | None:
        if is_hello(request):
            return None
        tries[digest_of(request)] += 1
        return sent if tries[digest_of(request)] <= n else None

    return misbehave
