"""How much time babycli adds to a server's own: 1,000 captions, 16 at once, of a server that takes 20 ms for each.

    python benchmarks/servers.py [--requests 1000] [--concurrency 16] [--latency 0.02]

The server is a process of its own, whose answers cost next to nothing. The goal: less than 2 s more than the server
needs, which is requests x latency / concurrency. The pictures have the size of SAYCam's frames, and all differ; reading
them and writing them as PNG is part of the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image, ImageChops

from babycli.cli import main as babycli

MODEL = "fast"
_END = b"\r\n\r\n"


async def _serve(latency_s: float, told: Connection) -> None:
    """Answers every request after ``latency_s``; tells its port."""
    listed = json.dumps({"data": [{"id": MODEL}]})
    choice = {"index": 0, "message": {"role": "assistant", "content": "a ball"}, "finish_reason": "stop"}
    answer = json.dumps({"model": MODEL, "choices": [choice], "usage": {"prompt_tokens": 600, "completion_tokens": 2}})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(_END)).decode().lower()
                length = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
                await reader.readexactly(length)
                await asyncio.sleep(latency_s if length else 0)
                body = answer if length else listed
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=1 << 22)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _run_server(latency_s: float, told: Connection) -> None:
    asyncio.run(_serve(latency_s, told))


def _write_data(folder: Path, n: int) -> None:
    """Writes a task of ``n`` captions, each of a picture of its own."""
    (folder / "pictures").mkdir()
    rows = []
    noise = Image.merge("RGB", [Image.effect_noise((224, 224), 20) for _ in "RGB"])
    for i in range(n):
        name = f"{i:05}.jpg"
        ImageChops.offset(noise, i % 224, i // 224).save(folder / "pictures" / name, quality=80)
        rows.append({"picture": name})
    (folder / "captions.json").write_text(json.dumps(rows))
    (folder / "captions.py").write_text(_TASK)


_TASK = """
from babycli.domain import ImageRef, Item, Metric, Outcome, Write, ask
from babycli.tasks.base import Needs, Task, text_of

class Captions(Task):
    name, title, question = "captions", "Captions", "?"
    metrics = (Metric("acc", "share", "accuracy", "acc", is_main=True),)
    needs = Needs("write")
    label_path, label_format, columns, links = "captions.json", "json", ("picture",), {"drawn": "pictures"}

    def items(self, rows):
        return [Item(str(i), (i,), (row,), (ImageRef("drawn", row["picture"]),)) for i, row in enumerate(rows)]

    def play(self, item, asking):
        (answer,) = yield [Write(ask("What is it?", *item.images), 20)]
        return Outcome(item.item_id, {"acc": float(text_of(answer) == "a ball")})

TASK = Captions()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds of the server for a request")
    chosen = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_run_server, args=(chosen.latency, there), daemon=True)
    server.start()
    port = here.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_data(folder, chosen.requests)
        words = ["eval", "--model", f"openai:http://127.0.0.1:{port}/v1#{MODEL}", "--data", str(folder)]
        words += ["--tasks", f"{folder}/captions.py:TASK", "--output-path", str(folder / "logs"), "--profile"]
        start = os.times()
        code = babycli([*words, "--model-args", f"concurrency={chosen.concurrency}"])
        end = os.times()
        (run,) = folder.glob("logs/*/*/run.json")
        logged = json.loads(run.read_text())
    server.terminate()
    assert logged["sessions"][0]["usage"]["n_requests"] >= chosen.requests  # none is the same as another
    seconds = sum(logged["timings"][phase] for phase in ("idle", "generate", "write"))
    needed = chosen.requests * chosen.latency / chosen.concurrency
    print(
        f"{chosen.requests} requests, {chosen.concurrency} at once, {chosen.latency * 1000:g} ms each: "
        f"the server needs {needed:.2f} s, the run took {seconds:.2f}, so {seconds - needed:.2f} s more "
        f"(goal: less than 2); whole command {end.elapsed - start.elapsed:.2f} s, "
        f"of which {end.user - start.user:.2f} on a core"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
