"""A model behind a server gives what the same model gives here: scores within rounding, and texts to the letter.

Two servers: one made here, which renders a conversation with transformers' own functions and gives log-probabilities of
a prompt as vLLM does; and `transformers serve`, where the packages that it needs are installed.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.conftest import Babycli
from tests.evaluation.logs import only_run, samples
from tests.hf_checkpoints import COLON_SPACE, write_hf
from tests.models.fake_server import FakeServer, serving
from tests.models.loading import load
from tests.models.test_bad_checkpoints import assert_explained

pytestmark = pytest.mark.usefixtures("one_thread", "work")

WORDS = ("--limit", 6)
TASKS = ("vtwt", "baby_winoground", "saycam_caption")
SERVE_S = 300  # in which transformers' server must be there


@pytest.fixture
def work(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BABYCLI_DATA", str(dataset))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


class Serving(FakeServer):
    """A server with a checkpoint of transformers."""

    def of(self, folder: Path) -> Serving:
        self.loaded: Any = load(folder)
        return self

    def chat(self, request: dict[str, Any]) -> dict[str, Any]:
        with self.lock, torch.inference_mode():
            return self._chat(request)

    def _chat(self, request: dict[str, Any]) -> dict[str, Any]:
        chat, network = self.loaded._chat, self.loaded._network
        messages: list[dict[str, Any]] = []
        images: list[Image.Image] = []
        for message in request["messages"]:
            content = message["content"]
            parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                if part["type"] == "image_url":
                    _, _, encoded = part["image_url"]["url"].partition("base64,")
                    images.append(Image.open(io.BytesIO(base64.b64decode(encoded))))
            typed = [{"type": "image"} if part["type"] == "image_url" else part for part in parts]
            messages.append({"role": message["role"], "content": typed})
        goes_on = bool(request.get("continue_final_message"))
        text = chat.tokenizer.apply_chat_template(
            messages,
            chat_template=(chat.folder / "chat_template.jinja").read_text(),
            tokenize=False,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
        )
        inputs = chat.inputs(text, images)
        ids = inputs["input_ids"][0].tolist()
        written = network.generate(**inputs, do_sample=False, max_new_tokens=request["max_tokens"])[0, len(ids) :]
        document: dict[str, Any] = {
            "model": self.model,
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": chat.tokenizer.decode(written, skip_special_tokens=True),
                    },
                    "finish_reason": "length",
                }
            ],
            "usage": {"prompt_tokens": len(ids), "completion_tokens": len(written)},
        }
        if "prompt_logprobs" in request:
            logprobs = network(**inputs).logits[0].float().log_softmax(-1)
            document["prompt_logprobs"] = [None, *map(self._place, logprobs, ids[1:])]
        return document

    def _place(self, logprobs: torch.Tensor, token: int) -> dict[str, Any]:
        def entry(which: int, rank: int) -> dict[str, Any]:
            text = self.loaded._chat.tokenizer.decode([which])
            return {"logprob": logprobs[which].item(), "rank": rank, "decoded_token": text}

        best = int(logprobs.argmax())
        place = {str(token): entry(token, 1 + int((logprobs > logprobs[token]).sum()))}
        return place if token == best else place | {str(best): entry(best, 1)}


@pytest.mark.parametrize(
    ("kind", "template"),  # SmolVLM's has a blank behind "Assistant:", which no server adds to one that lacks it
    [("qwen2_vl", ""), pytest.param("smolvlm", COLON_SPACE, marks=pytest.mark.long)],
)
def test_scores_and_texts_are_those_of_the_model_itself(
    kind: str, template: str, babycli: Babycli, tmp_path: Path
) -> None:
    folder = write_hf(tmp_path / "checkpoint", kind, template=template)
    ran = babycli("eval", "--model", folder, "--tasks", ",".join(TASKS), *WORDS, "--output-path", "here")
    assert ran.code == 0, ran.err
    with serving(Serving().of(folder)) as server:
        ran = babycli("eval", "--model", server.name, "--tasks", ",".join(TASKS), *WORDS, "--output-path", "there")
    assert ran.code == 0, ran.err
    here, there = only_run(Path("here")), only_run(Path("there"))
    for task in TASKS:
        for ours, theirs in zip(samples(here, task), samples(there, task), strict=True):
            assert ours["doc_id"] == theirs["doc_id"]
            for own, asked in zip(ours["resps"], theirs["resps"], strict=True):
                if task == "saycam_caption":
                    assert own == asked  # greedy texts, to the letter
                else:
                    assert asked[0] == pytest.approx(own[0], abs=2e-5)
                    assert asked[1] == own[1]


def _lacks() -> str:
    """The packages that `transformers serve` needs and that are not installed."""
    needed = ("fastapi", "uvicorn", "starlette", "openai", "pydantic", "rich")
    return ", ".join(name for name in needed if importlib.util.find_spec(name) is None)


@contextmanager
def transformers_serving(folder: Path) -> Iterator[str]:
    """The address of `transformers serve` with a checkpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--device", "cpu"]
    with Path("serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "--dtype", "float32", "--port", str(port)],
            stdout=log,
            stderr=log,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    try:
        end = time.monotonic() + SERVE_S
        while True:
            assert process.poll() is None, Path("serve.log").read_text()
            assert time.monotonic() < end, Path("serve.log").read_text()
            try:
                urllib.request.urlopen(f"http://localhost:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://localhost:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.long
@pytest.mark.skipif(bool(_lacks()), reason=f"transformers serve needs packages that are not installed: {_lacks()}")
def test_transformers_serve_writes_what_the_model_itself_writes(babycli: Babycli, tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "checkpoint", "llava")  # its processor needs no torchvision
    tasks = ("--tasks", "saycam_caption", "--limit", 12)
    assert babycli("eval", "--model", folder, *tasks, "--output-path", "here").code == 0
    with transformers_serving(folder) as address:
        ran = babycli("eval", "--model", f"openai:{address}#{folder}", *tasks, "--output-path", "there")
        assert ran.code == 0, ran.err
        assert "the server gives no log-probabilities of a prompt (status 422" in ran.err
        refused = babycli("eval", "--model", f"openai:{address}#{folder}", "--tasks", "vtwt")
        assert_explained(refused, 5, "cannot do vtwt")
        other = babycli("eval", "--model", f"openai:{address}#another", *tasks)
        assert_explained(other, 5, "Server is pinned to")
    here, there = (samples(only_run(Path(where)), "saycam_caption") for where in ("here", "there"))
    assert [each["resps"] for each in there] == [each["resps"] for each in here]
