"""Rendering chat templates in a process of their own: a template is a program, and a stranger has written it.

Owns that process, its limits, and the words for a template that goes beyond them. It lives until babycli ends, because
a template may be harmless for one conversation and run for ever for the next. Never knows what a conversation is about.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from babycli.errors import ModelError
from babycli.models.parts.apart import command
from babycli.wording import shortened

RENDER_S = 3  # of a processor's time, where a template takes milliseconds
MAX_CHARACTERS = 1 << 20  # in a rendered conversation: more than any model reads
TEMPLATE_MEND = "give one:  --model-args chat_template=PATH"
_BYTES = 2 << 30
_BEYOND = "beyond"
_FAILED = "failed"
# A line in, a line out. The timer ends the process, also within a function of C that no exception could end.
_SERVE = """
import json, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from transformers.utils.chat_template_utils import render_jinja_template
seconds, most = map(int, sys.argv[1:])
for line in sys.stdin.buffer:
    asked = json.loads(line)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        text = str(render_jinja_template(**asked)[0][0])
        reply = {"text": text} if len(text) <= most else {"beyond": f"it makes a text of {len(text):,} characters"}
    except MemoryError:
        reply = {"beyond": "it takes all memory that a template may have"}
    except BaseException as error:
        reply = {"failed": f"{type(error).__name__}: {error}"[:1000]}
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\\n")
    sys.stdout.buffer.flush()
"""


class BoundlessTemplateError(ModelError):
    """A template that takes more time, memory or text than any needs: no answer is worth asking it again."""


def render(origin: Path, template: str, messages: Sequence[Mapping[str, Any]], tokens: Mapping[str, Any]) -> str:
    """Renders a conversation up to the answer with a template out of ``origin``; ``tokens`` are the special ones.

    Raises ModelError where it fails, BoundlessTemplateError where it goes beyond its limits.
    """
    asked = {**tokens, "conversations": [messages], "chat_template": template, "add_generation_prompt": True}
    reply = _reply(json.dumps(asked).encode() + b"\n")
    if beyond := reply.get(_BEYOND):
        raise BoundlessTemplateError(f"the chat template of {origin} cannot be used: {beyond}", TEMPLATE_MEND)
    if failed := reply.get(_FAILED):
        raise ModelError(f"{origin}: the chat template fails: {shortened(failed)}", TEMPLATE_MEND)
    return reply["text"]


@functools.cache
def start() -> subprocess.Popen[bytes]:
    """Starts the process that renders, which takes a second, unless it runs already; gives it."""
    atexit.register(end)
    return subprocess.Popen(
        command(_SERVE, _BYTES, str(RENDER_S), str(MAX_CHARACTERS)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # each thread reserves memory
    )


def end() -> None:
    """Ends the process that renders, if it runs."""
    atexit.unregister(end)
    if start.cache_info().currsize:
        server = start()
        start.cache_clear()
        server.kill()
        with contextlib.suppress(BrokenPipeError):
            server.communicate()


def _reply(asked: bytes) -> dict[str, str]:
    """Asks the process; the reply of one that ends instead is that the template goes beyond its limits."""
    server = start()
    try:
        with contextlib.suppress(BrokenPipeError):
            cast(IO[bytes], server.stdin).write(asked)
            cast(IO[bytes], server.stdin).flush()
        line = cast(IO[bytes], server.stdout).readline()
    except BaseException:  # an interruption: what it would still reply is not for the next question
        end()
        raise
    if line.endswith(b"\n"):
        reply: dict[str, str] = json.loads(line)
        return reply
    return {_BEYOND: _why_ended(server)}


def _why_ended(server: subprocess.Popen[bytes]) -> str:
    """Tells why the process gives no reply, and clears up behind it."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(1)
    end()
    status = server.returncode
    if status == -signal.SIGPROF:
        return f"after {RENDER_S} s a conversation was not rendered yet"
    return f"it ends the process that renders it ({signal.Signals(-status).name if status < 0 else status})"
