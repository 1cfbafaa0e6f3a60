"""Models that a server runs: what is asked of it, what it may do wrong, and where pictures go."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from babycli.logs.runlog import RunLog
from babycli.models.parts.server_chat import as_data_url
from tests.conftest import Babycli
from tests.data.devcv_sets import make_set, memory
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.models.fake_server import MODEL, FakeServer, Misbehaviour, Sent, is_hello, serving, some, written
from tests.models.test_bad_checkpoints import assert_explained
from tests.report.test_startup import imported

QUICK = ("--model-args", "timeout=1,patience=3")
CAPTIONS = ("--tasks", "saycam_caption", "--limit", 6)
PNG = "data:image/png;base64,"
KEY = "sk-a-key-that-no-file-may-hold"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FakeServer()) as state:
        yield state


@pytest.fixture
def work(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the demo data, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BABYCLI_DATA", str(dataset))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


pytestmark = pytest.mark.usefixtures("work")


def sent(**document: Any) -> Sent:
    return Sent(json.dumps(document).encode())


def spoiled(server: FakeServer, spoil: Callable[[dict[str, Any]], object], n: int = 1_000_000) -> Misbehaviour:
    """A good answer in which something is wrong, for the first ``n`` requests of tasks."""
    count = 0

    def misbehave(request: dict[str, Any]) -> Sent | None:
        nonlocal count
        if is_hello(request) or count >= n:
            return None
        count += 1
        document = server.chat(request)
        spoil(document)
        return Sent(json.dumps(document).encode())

    return misbehave


# ---------------------------------------------------------------- what is asked


def test_what_a_server_is_asked_and_what_the_log_says(server: FakeServer, babycli: Babycli, dataset: Path) -> None:
    ran = babycli("eval", "--model", server.name, *CAPTIONS, "--model-args", "price_in=3,price_out=15")
    assert ran.code == 0, ran.err
    request = next(each for each in server.asked if not is_hello(each))
    assert {k: v for k, v in request.items() if k != "messages"} == {
        "model": MODEL,
        "max_tokens": 25,
        "temperature": 0,
        "seed": 0,
    }
    (message,) = request["messages"]
    picture, words = message["content"]
    assert (message["role"], words["type"]) == ("user", "text")
    assert picture["type"] == "image_url"
    pictures = [Image.open(path).convert("RGB") for path in sorted((dataset / "vtwt/images").iterdir())]
    assert set(pictures_of(request)) <= {each.tobytes() for each in pictures}  # every pixel
    folder = only_run()
    run = read_json(folder / "run.json")
    assert run["model"]["notes"][0] == "asked of a server: scores are not reproducible to the digit"
    report = " ".join(babycli("report", "logs", "--notes").out.split())
    assert f"asked of a server, so not reproducible to the digit: 127.0.0.1:{server.port}/v1#tiny-vlm" in report
    assert (run["model"]["family"], run["model"]["n_parameters"]) == ("openai", None)
    usage = run["sessions"][0]["usage"]
    assert usage["n_requests"] == len(server.asked) == 9  # three to meet it
    assert usage["cost"] == pytest.approx((usage["prompt_tokens"] * 3 + usage["completion_tokens"] * 15) / 1e6)
    assert f"{usage['prompt_tokens']:,} tokens read, {usage['completion_tokens']:,} written, in 9 requests" in ran.err
    assert len(samples(folder, "saycam_caption")) == 6


def test_the_requests_of_a_batch_check_are_counted(server: FakeServer, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", server.name, *CAPTIONS, "--batch-check", 4, "--model-args", "price_in=3")
    assert ran.code == 0, ran.err
    run = read_json(only_run() / "run.json")
    usage = run["sessions"][0]["usage"]
    assert run["batch_check"]["saycam_caption"]["n_trials"] == 4
    assert usage["n_requests"] == len(server.asked) == 3 + 6 + 4  # three to meet it
    assert usage["cost"] == pytest.approx(usage["prompt_tokens"] * 3 / 1e6)
    assert f"{usage['prompt_tokens']:,} tokens read, {usage['completion_tokens']:,} written, in 13 requests" in ran.err
    assert run["status"] == "done"


def test_each_run_of_a_command_counts_its_own_requests(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of meeting the server are the first one's; no request is counted twice."""
    monkeypatch.setenv("BABYCLI_DATA", "data")
    for name, n_items in (("toys", 3), ("blocks", 2)):
        items = [memory(n, n_learned=1) for n in range(n_items)]
        make_set(Path(name), {"memory_test.json": items})
    assert babycli("data", "link", "--devcv", "toys=toys", "--devcv", "blocks=blocks").code == 0
    prices = ("--model-args", "price_in=3,price_out=15")
    ran = babycli("eval", "--model", server.name, "--tasks", "baby_memory", *prices)
    assert ran.code in (0, 7), ran.err  # 7: few of the fake's replies hold an answer
    runs = {run["data"]: run for path in Path("logs").glob("*/*/run.json") for run in [read_json(path)]}
    usages = {data: run["sessions"][0]["usage"] for data, run in runs.items()}
    counts = sorted(usage["n_requests"] for usage in usages.values())
    assert counts in ([2 * 3, 3 + 3 * 3], [3 + 2 * 3, 3 * 3])
    assert sum(counts) == len(server.asked)
    n_read = sum(usage["prompt_tokens"] for usage in usages.values())
    assert n_read == sum(server.chat(each)["usage"]["prompt_tokens"] for each in server.asked)
    for usage in usages.values():
        assert usage["cost"] == pytest.approx((usage["prompt_tokens"] * 3 + usage["completion_tokens"] * 15) / 1e6)
        assert f"{usage['prompt_tokens']:,} tokens read" in ran.err


def test_a_precision_is_not_for_a_server(server: FakeServer, babycli: Babycli) -> None:
    """It changes nothing, and is said to; nothing is asked a second time because of it."""
    ran = babycli("eval", "--model", server.name, *CAPTIONS, "--dtype", "float16")
    assert ran.code == 0, ran.err
    assert f"note: --dtype changes nothing: {server.name} is not computed here" in ran.err
    assert len(server.asked) == 3 + 6
    run = read_json(only_run() / "run.json")
    assert "batch_check" not in run
    assert run["model"]["dtype"] == ""
    again = babycli("eval", "--model", server.name, *CAPTIONS, "--dtype", "bfloat16", "--device", "cpu")
    assert "note: --device and --dtype change nothing" in again.err
    assert again.code == 0


def test_how_many_are_asked_at_once_is_no_part_of_a_run(server: FakeServer, babycli: Babycli) -> None:
    for more in ("concurrency=4", "concurrency=8,timeout=9,patience=9,price_in=1"):
        ran = babycli("eval", "--model", server.name, *CAPTIONS, "--model-args", more)
        assert ran.code == 0, ran.err
    first, second = (read_json(path) for path in Path("logs").rglob("run.json"))
    assert first["identity"] == second["identity"]
    assert first["model"]["args"] != second["model"]["args"]  # what was given is kept all the same
    assert "(demo, limit 6) 2; --all-runs" in " ".join(babycli("report", "logs", "--notes").out.split())


def test_torch_is_not_imported(server: FakeServer, dataset: Path) -> None:
    """It takes longer to import than to ask a server a few hundred times."""
    recorded = {"task": "saycam_caption", "item": 0, "replies": ["a ball"]}
    Path("answers.jsonl").write_text(json.dumps(recorded))
    for words in (("--model", server.name, *CAPTIONS), ("--model", "replay:answers.jsonl")):
        assert imported("torch,transformers,accelerate", "then", "eval", *words, "--data", dataset) == "none"


def test_every_kind_of_task_with_scores_and_conversations(server: FakeServer, babycli: Babycli) -> None:
    assert babycli("eval", "--model", server.name, "--limit", 3).code == 0
    tasks = results(only_run())["results"]
    assert set(tasks) == {"labeled_s", "vtwt", "baby_winoground", "saycam_caption"}
    assert server.most_at_once > 1
    answers = [each for each in lines(only_run() / "scores.rank0.jsonl") if "logprobs" in json.dumps(each)]
    assert answers


def test_a_conversation_is_asked_with_all_its_pictures_and_the_replies_so_far(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABYCLI_DATA", "data")
    items = [memory(n, n_learned=1) for n in range(2)]
    make_set(Path("toys"), {"memory_test.json": items})
    assert babycli("data", "link", "--devcv", "toys").code == 0
    ran = babycli("eval", "--model", server.name, "--tasks", "baby_memory")
    assert ran.code in (0, 7), ran.err  # 7: few of the fake's replies hold an answer
    asked = {pictures_of(each): each for each in server.asked if not is_hello(each)}
    assert len(asked) == server.n_tasks_asked == 2 * 3
    for item in items:
        names = [Path("toys") / name for name in item["image"]]
        shown = [Image.open(name).convert("RGB").tobytes() for name in names]
        replies: list[str] = []
        for n_turns, n_pictures in enumerate((1, 3, 5), 1):
            request = asked[tuple(shown[:n_pictures])]  # in their order, each as often as it is shown
            messages = request["messages"]
            assert [each["role"] for each in messages] == ["user", "assistant"] * (n_turns - 1) + ["user"]
            assert [each["content"] for each in messages[1::2]] == replies
            for message, said in zip(messages[::2], item["conversations"][::2], strict=False):
                parts = [part.get("text", "<image>") for part in message["content"]]
                assert "".join(parts) == said["value"]
            replies.append(written(messages, request["max_tokens"]))


def pictures_of(request: dict[str, Any]) -> tuple[bytes, ...]:
    """The pixels of all pictures of a request, in order."""
    parts = [part for message in request["messages"] for part in message["content"] if message["role"] == "user"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith(PNG) for url in urls)
    opened = [Image.open(io.BytesIO(base64.b64decode(url.removeprefix(PNG)))) for url in urls]
    return tuple(picture.tobytes() for picture in opened)


def test_a_model_need_not_be_named_where_there_is_one(server: FakeServer, babycli: Babycli) -> None:
    assert babycli("eval", "--model", f"openai:{server.url}", *CAPTIONS).code == 0
    server.models.append({"id": "another"})
    ran = babycli("eval", "--model", f"openai:{server.url}", *CAPTIONS)
    assert_explained(ran, 5, "--model names none of its models", "tiny-vlm, another")


@pytest.mark.parametrize("status", [404, 500, 501])
def test_a_server_without_a_list_of_models(status: int, server: FakeServer, babycli: Babycli) -> None:
    server.no_list = status
    assert babycli("eval", "--model", server.name, *CAPTIONS).code == 0
    ran = babycli("eval", "--model", f"openai:{server.url}", *CAPTIONS)
    assert_explained(ran, 5, "--model names none of its models, and it lists none")


def test_other_lists_of_models(server: FakeServer, babycli: Babycli) -> None:
    server.listed = Sent(json.dumps(server.models).encode())  # Together's has no object around it
    assert babycli("eval", "--model", f"openai:{server.url}", *CAPTIONS).code == 0
    server.listed = Sent(b'{"object": "list", "data": null}')  # Ollama's, where it has none
    assert babycli("eval", "--model", server.name, *CAPTIONS, "--rerun").code == 0


@pytest.mark.parametrize(
    "version", [Sent(b"<html>"), Sent(b"", 302, {"Location": "/login"}), Sent(b"[]"), Sent(b"", 501)]
)
def test_a_gateway_that_does_not_know_the_version_of_vllm(version: Sent, server: FakeServer, babycli: Babycli) -> None:
    server.models[0]["owned_by"], server.version = "vllm", version
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert ran.code == 0, ran.err
    assert "version" not in read_json(only_run() / "run.json")["model"]["notes"][1]


def test_a_name_without_end_is_shown_shortened(server: FakeServer, babycli: Babycli) -> None:
    server.models[0]["root"] = "r" * 100_000
    assert babycli("eval", "--model", server.name, *CAPTIONS).code == 0
    assert len(read_json(only_run() / "run.json")["model"]["notes"][1]) < 500


def test_show_asks_the_server_what_it_is(server: FakeServer, babycli: Babycli) -> None:
    ran = babycli("models", "show", server.name)
    assert ran.code == 0, ran.err
    assert "offers loglikelihood, generate" in ran.out
    assert server.url in ran.out


def test_a_server_without_scores_writes(server: FakeServer, babycli: Babycli) -> None:
    server.scores = False
    ran = babycli("eval", "--model", server.name, "--limit", 2)
    assert ran.code == 0
    assert "prompt_logprobs is not in its answer" in ran.err
    assert "--answers written" in ran.err
    assert set(results(only_run())["results"]) == {"saycam_caption"}
    refused = babycli("eval", "--model", server.name, "--tasks", "vtwt")
    assert_explained(refused, 5, "cannot do vtwt")
    assert "prompt_logprobs is not in its answer" in refused.err


@pytest.mark.parametrize("busy", [Sent(b"", 429, {"Retry-After": "1"}), Sent(b"", 503)])
def test_a_server_that_is_busy_when_it_is_met_scores_all_the_same(
    busy: Sent, server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babycli.models.server._PROBE_PATIENCE_S", 0.01)  # for one that fails
    n = 0

    def misbehave(request: dict[str, Any]) -> Sent | None:
        nonlocal n
        n += "prompt_logprobs" in request
        return busy if "prompt_logprobs" in request and n == 1 else None

    server.misbehave = misbehave
    ran = babycli("eval", "--model", server.name, "--tasks", "vtwt", "--limit", 2)
    assert ran.code == 0, ran.err
    server.misbehave = lambda request: busy if "prompt_logprobs" in request else None
    ran = babycli("eval", "--model", server.name, "--limit", 2, "--rerun", "--model-args", "patience=1")
    assert_explained(ran, 5, f"it gave status {busy.status}")


def test_blind_sends_no_picture(server: FakeServer, babycli: Babycli) -> None:
    assert babycli("eval", "--model", server.name, *CAPTIONS, "--control", "blind").code == 0
    assert "image_url" not in json.dumps(server.asked)


# ---------------------------------------------------------------- what goes well in the end

PASSING = {
    "429": Sent(b'{"error": "slow down"}', 429),
    "408": Sent(b"", 408),
    "409": Sent(b"", 409),
    "500": Sent(b"<html>oops</html>", 500),
    "503": Sent(b"", 503),
    "broken": Sent(b"", breaks=True),
    "cut": Sent(b'{"choices": [{"mess', length=4000),
    "no JSON": Sent(b'{"choices": [{"mess'),
    "HTML": Sent(b"<html><body>please log in</body></html>"),
    "null": Sent(b"null"),
    "hang": Sent(b"{}" * 40, pause_s=0.05),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_tried_again(kind: str, server: FakeServer, babycli: Babycli) -> None:
    server.misbehave = some(1, PASSING[kind])
    ran = babycli("eval", "--model", server.name, *CAPTIONS, *QUICK)
    assert ran.code == 0, ran.err
    assert len(samples(only_run(), "saycam_caption")) == 6
    if kind != "broken":  # where the connection had been open before, that is no failure: a server may close it
        assert "(6 more tries)" in ran.err


def test_one_more_try_is_one(server: FakeServer, babycli: Babycli) -> None:
    server.misbehave = some(1, PASSING["503"])
    ran = babycli("eval", "--model", server.name, "--tasks", "saycam_caption", "--limit", 1)
    assert "(1 more try)" in ran.err


@pytest.mark.parametrize("form", ["seconds", pytest.param("date", marks=pytest.mark.long)])
def test_a_server_is_left_alone_for_as_long_as_it_asks(form: str, server: FakeServer, babycli: Babycli) -> None:
    after = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    server.misbehave = some(1, Sent(b"", 429, {"Retry-After": after}))
    start = time.monotonic()
    assert babycli("eval", "--model", server.name, *CAPTIONS, *QUICK).code == 0
    assert 1 <= time.monotonic() - start < 5


# ---------------------------------------------------------------- what ends a run

ENDING: dict[str, tuple[Sent, str]] = {
    "429": (Sent(b'{"error": "slow down"}', 429), 'it gave status 429: {"error": "slow down"}'),
    "asks for an hour": (Sent(b"", 429, {"Retry-After": "3600"}), "asks to wait 3600 s"),
    "500": (Sent(b"<html>oops</html>", 500), "it gave status 500: <html>oops</html>"),
    "broken": (Sent(b"", breaks=True), "the connection failed"),
    "slow": (Sent(b"{" * 400, pause_s=0.1), "it gave no whole answer in 0.5 s"),
    "HTML": (Sent(b"<html><body>please log in</body></html>"), "it gave no JSON: <html><body>please log in"),
    "cut": (Sent(b'{"choices": [{"mess'), 'it gave no JSON: {"choices"'),
    "an error": (Sent(b'{"error": {"message": "CUDA out of memory"}}'), "an error in the place of an answer: {"),
    "redirect": (Sent(b"", 307, {"Location": "http://example.com/v1"}), "http://example.com/v1, which is not followed"),
    "400": (Sent(b'{"error": "no pictures here"}', 400), "it refuses a request (status 400)"),
    "413": (Sent(b"<h1>413 Request Entity Too Large</h1>", 413), "it refuses a request (status 413)"),
    "401": (Sent(b'{"error": "who are you"}', 401), "it refuses a request (status 401)"),
    "404": (Sent(b'{"error": "no such model"}', 404), "it has no model 'tiny-vlm'"),
}


@pytest.mark.parametrize("kind", ENDING)
def test_what_does_not_pass_ends_with_one_error_and_nothing_is_lost(
    kind: str, server: FakeServer, babycli: Babycli
) -> None:
    bad, words = ENDING[kind]
    n_good = 3
    count = 0

    def misbehave(request: dict[str, Any]) -> Sent | None:
        nonlocal count
        if is_hello(request):
            return None
        with server.lock:
            count += 1
            return bad if count > n_good else None

    server.misbehave = misbehave
    command = ("eval", "--model", server.name, *CAPTIONS, "--model-args", "timeout=0.5,patience=1,concurrency=2")
    ran = babycli(*command)
    assert_explained(ran, 5, words)
    assert server.url in ran.err
    folder = only_run()
    assert len(lines(folder / "scores.rank0.jsonl")) == n_good
    assert read_json(folder / "run.json")["sessions"][0]["usage"]["n_requests"] >= n_good
    server.misbehave = lambda request: None
    before = server.n_tasks_asked
    assert babycli(*command).code == 0
    assert server.n_tasks_asked - before == 6 - n_good  # those that had been answered are not asked again
    assert only_run() == folder


SPOILED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no choices": (lambda d: d.pop("choices"), "no list of choices"),
    "two choices": (lambda d: d["choices"].append(d["choices"][0]), "2 choices, should be 1"),
    "no message": (lambda d: d["choices"][0].pop("message"), "message is None"),
    "another role": (lambda d: d["choices"][0]["message"].update(role="tool"), "'tool'"),
    "a list for a text": (lambda d: d["choices"][0]["message"].update(content=[]), "the content of its message is []"),
    "no end": (lambda d: d["choices"][0].update(finish_reason=None), "finish_reason is None"),
    "a tool": (lambda d: d["choices"][0].update(finish_reason="tool_calls"), "finish_reason is 'tool_calls'"),
    "no text": (lambda d: d["choices"][0]["message"].update(content=None), "it gave no text"),
    "no model": (lambda d: d.pop("model"), "model is None"),
    "another model": (lambda d: d.update(model="gpt-x"), "tiny-vlm was asked, and gpt-x answered"),
    "negative count": (lambda d: d["usage"].update(prompt_tokens=-1), "prompt_tokens is -1"),
    "count without end": (lambda d: d["usage"].update(prompt_tokens=2**63), "prompt_tokens is 9223372036854775808"),
    "thoughts alone": (lambda d: d["choices"][0]["message"].update(content="", reasoning_content="so"), "gave no text"),
    "thoughts, newer": (lambda d: d["choices"][0]["message"].update(content="\n", reasoning="so"), "gave no text"),
    "count in words": (lambda d: d["usage"].update(completion_tokens="3"), "completion_tokens is '3'"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_an_answer_of_another_form_is_none(kind: str, server: FakeServer, babycli: Babycli) -> None:
    spoil, words = SPOILED[kind]
    server.misbehave = spoiled(server, spoil)
    ran = babycli("eval", "--model", server.name, "--tasks", "saycam_caption", "--limit", 2, *QUICK)
    assert_explained(ran, 5, words)


def test_what_a_model_refuses_is_a_miss_that_is_counted(server: FakeServer, babycli: Babycli) -> None:
    refusal = {"content": None, "refusal": "I do not look at children."}
    server.misbehave = spoiled(server, lambda d: d["choices"][0]["message"].update(refusal), n=2)
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert ran.code == 0, ran.err
    assert "2 of 6 captions could not be answered" in ran.err
    assert "the model refuses: I do not look at children." in ran.err


def test_a_model_that_thinks_and_then_says_nothing_has_answered(server: FakeServer, babycli: Babycli) -> None:
    nothing = {"finish_reason": "stop", "message": {"role": "assistant", "content": "", "reasoning_content": "so"}}
    server.misbehave = spoiled(server, lambda d: d["choices"][0].update(nothing), n=2)
    assert babycli("eval", "--model", server.name, *CAPTIONS).code == 0


UNSCORED: dict[str, tuple[Callable[[list[Any]], object], str]] = {
    "one is missing": (lambda p: p.__setitem__(-1, None), "the log-probability of one token is missing"),
    "one is empty": (lambda p: p.__setitem__(-1, {}), "the log-probability of one token is missing"),
    "one too few": (lambda p: p.pop(), "log-probabilities for the"),
    "a text": (lambda p: p[-1].update({"7": {"logprob": "-1", "rank": 1}}), "logprob"),
    "above 0": (lambda p: p.__setitem__(-1, {"7": {"logprob": 0.5, "rank": 1}}), "0.5, should be a number up to 0"),
    "token without end": (lambda p: p.__setitem__(-1, {"9" * 5000: {"logprob": -0.5, "rank": 1}}), "names the token"),
    "no rank": (lambda p: p.__setitem__(-1, {"7": {"logprob": -0.5}}), "rank"),
    "two of one rank": (
        lambda p: p.__setitem__(-1, {str(i): {"logprob": -0.5, "rank": 1} for i in (1, 2)}),
        "does not tell which",
    ),
}


@pytest.mark.parametrize("kind", UNSCORED)
def test_a_log_probability_that_is_not_there_is_never_guessed(kind: str, server: FakeServer, babycli: Babycli) -> None:
    spoil, words = UNSCORED[kind]
    server.misbehave = spoiled(server, lambda document: spoil(document["prompt_logprobs"]))
    ran = babycli("eval", "--model", server.name, "--tasks", "vtwt", "--limit", 2, *QUICK)
    assert_explained(ran, 5, words)


def test_a_border_that_cannot_be_told_is_a_miss_that_is_counted(server: FakeServer, babycli: Babycli) -> None:
    def ends_the_turn(document: dict[str, Any]) -> None:
        place = {"9": {"logprob": -0.5, "rank": 1, "decoded_token": "<|im_end|>"}}
        document["prompt_logprobs"].append(place)
        document["usage"]["prompt_tokens"] += 1

    server.misbehave = spoiled(server, ends_the_turn, n=2)
    words = ("--tasks", "vtwt", "--limit", 4, "--model-args", "concurrency=1")
    ran = babycli("eval", "--model", server.name, *words)
    assert ran.code == 0, ran.err
    assert "1 of 4 trials could not be answered and count as misses: the server's tokens of the prompt" in ran.err


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_context_that_is_too_long_is_a_miss_that_is_counted(
    status: int, server: FakeServer, babycli: Babycli
) -> None:
    error = {"message": "This model's maximum context length is 16 tokens.", "code": "context_length_exceeded"}
    refusal = some(1_000, Sent(json.dumps({"error": error}).encode(), status))
    server.misbehave = lambda request: refusal(request) if len(server.asked) > 6 else None
    ran = babycli("eval", "--model", server.name, *CAPTIONS, "--model-args", "concurrency=1")
    assert ran.code == 0, ran.err
    assert "3 of 6 captions could not be answered" in ran.err
    assert "maximum context length is 16 tokens" in ran.err


def test_nobody_answers(server: FakeServer, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "openai:http://localhost:9/v1#m", *CAPTIONS)
    assert_explained(ran, 5, "http://localhost:9/v1: nobody answers there")
    assert "start the server first" in ran.err


def test_a_certificate_that_is_not_trusted(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distrust(*given: Any, **more: Any) -> Any:
        error = ssl.SSLCertVerificationError()
        error.verify_message = "self-signed certificate"
        raise error

    monkeypatch.setattr("ssl.SSLContext.wrap_socket", distrust)
    ran = babycli("eval", "--model", server.name.replace("http:", "https:"), *CAPTIONS)
    assert_explained(ran, 5, "its certificate is not trusted: self-signed certificate")
    assert "SSL_CERT_FILE" in ran.err


def test_a_server_that_does_not_speak_https(server: FakeServer, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", server.name.replace("http:", "https:"), *CAPTIONS)
    assert_explained(ran, 5, "it does not speak https")
    assert "write http://" in ran.err


# ---------------------------------------------------------------- resuming


@pytest.mark.parametrize("n_done", [0, 1, 5])
def test_a_run_that_was_stopped_goes_on(
    n_done: int, server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, n = RunLog.append, 0

    def failing(self: RunLog, *arguments: Any) -> None:
        nonlocal n
        if n == n_done:
            raise KeyboardInterrupt
        n += 1
        append(self, *arguments)

    command = ("eval", "--model", server.name, *CAPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append", failing)
        assert babycli(*command).code == 130
    assert babycli(*command).code == 0
    usage = read_json(only_run() / "run.json")["sessions"][-1]["usage"]
    assert usage["n_requests"] == 3 + 6 - n_done  # three to meet the server
    alone = samples(only_run(), "saycam_caption")
    assert babycli(*command, "--rerun", "--output-path", "again").code == 0
    assert samples(only_run(Path("again")), "saycam_caption") == alone


@pytest.mark.long
def test_what_is_broken_off_is_not_asked_again(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(request: dict[str, Any]) -> None:
        time.sleep(0 if is_hello(request) or server.n_tasks_asked < 4 else 2)

    def stop(self: RunLog, *arguments: Any) -> None:
        if server.n_tasks_asked >= 5:
            raise KeyboardInterrupt

    server.misbehave = slow
    monkeypatch.setattr(RunLog, "append", stop)
    words = ("--tasks", "saycam_caption", "--model-args", "concurrency=2")
    assert babycli("eval", "--model", server.name, *words).code == 130
    time.sleep(0.3)
    asked = [json.dumps(each) for each in server.asked if not is_hello(each)]
    assert len(set(asked)) == len(asked)


def test_another_model_behind_the_same_address_is_another_run(server: FakeServer, babycli: Babycli) -> None:
    command = ("eval", "--model", server.name, *CAPTIONS)
    server.misbehave = some(1_000, Sent(b"", 400))
    assert babycli(*command).code == 5
    server.misbehave = lambda request: None
    server.models[0]["root"] = "/models/other-weights"
    ran = babycli(*command)
    assert_explained(ran, 6)
    assert "model fingerprint" in ran.err
    del server.models[0]["root"]
    server.models[0]["created"] = 7  # vLLM writes the present time
    assert babycli(*command, "--model-args", "concurrency=3,timeout=9").code == 0


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (295, 295), (296, 296), (400, 301)])
def test_every_pixel_is_sent(size: tuple[int, int]) -> None:
    """Small pictures are sent as they are, large ones packed: Pillow reads the same out of both."""
    image = Image.merge("RGB", [Image.effect_noise(size, 90 + i) for i in range(3)])
    features = as_data_url(image)
    data = base64.b64decode(features.data.text.removeprefix(PNG))
    with Image.open(io.BytesIO(data)) as read:
        read.load()
        assert (read.format, read.mode, read.size) == ("PNG", "RGB", size)
        assert read.tobytes() == image.tobytes()


@pytest.mark.parametrize("prompt", ["What is it?", "Qu'est-ce que c'est, là ? 犬", 'say "x"\\n'])
def test_words_arrive_as_they_are(prompt: str, server: FakeServer, babycli: Babycli) -> None:
    assert babycli("eval", "--model", server.name, *CAPTIONS, "--prompt", prompt).code == 0
    asked = [each["messages"][0]["content"][1]["text"] for each in server.asked if not is_hello(each)]
    assert set(asked) == {prompt}


# ---------------------------------------------------------------- names and numbers

BAD_ADDRESSES = {
    "openai:": "names no server",
    "openai:localhost:8000#m": "names no server",
    "openai:ftp://localhost/v1#m": "names no server",
    "openai:http://localhost:port/v1#m": "a port or an IPv6 address is wrong",
    "openai:http://user:sk-hidden@localhost/v1#m": "holds a user or a query",
    "openai:http://localhost/v1?key=sk-hidden#m": "holds a user or a query",
    "openai:user:sk-hidden@localhost": "holds a user or a query",
    "openai:http://localhost:0/v1#m": "names no server",
    "openai:http://a..b/v1#m": "names no server",
    "openai:http://.example.com/v1#m": "names no server",
    f"openai:http://{'a' * 64}.example.com/v1#m": "names no server",
}


@pytest.mark.parametrize("name", BAD_ADDRESSES)
def test_an_address_that_is_none(name: str, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", name, *CAPTIONS)
    assert_explained(ran, 2, BAD_ADDRESSES[name])
    assert "sk-hidden" not in ran.err


NO_ARGUMENTS = ["concurrency=0", "concurrency=many", "timeout=-1", "timeout=1e12", "patience=nan", "patience=1e300"]


@pytest.mark.parametrize("argument", [*NO_ARGUMENTS, "price_in=free", "price_out=1e308"])
def test_an_argument_that_is_none(argument: str, server: FakeServer, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", server.name, *CAPTIONS, "--model-args", argument)
    assert_explained(ran, 2, argument)


# ---------------------------------------------------------------- keys


def test_a_key_is_sent_and_is_in_no_file_and_no_message(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    command = ("eval", "--model", server.name, *CAPTIONS, "--model-args", "key_env=MY_KEY")
    server.misbehave = some(1_000, Sent(f'{{"error": "you sent Bearer {KEY}"}}'.encode(), 401))
    ran = babycli(*command)
    assert_explained(ran, 5, "you sent Bearer [key]")
    assert "environment variable MY_KEY" in ran.err
    assert {each["Authorization"] for each in server.headers} == {f"Bearer {KEY}"}
    server.misbehave = lambda request: None
    assert babycli(*command).code == 0
    assert KEY not in ran.out + ran.err
    assert all(KEY not in path.read_text() for path in Path().rglob("*") if path.is_file())


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the list of processes is read in /proc")
@pytest.mark.long
def test_a_key_is_in_no_list_of_processes(server: FakeServer) -> None:
    listed: set[bytes] = set()

    def look(request: dict[str, Any]) -> None:
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                listed.add(place.read_bytes())

    server.misbehave = look
    command = [sys.executable, "-m", "babycli", "eval", "--model", server.name, *map(str, CAPTIONS)]
    ran = subprocess.run(command, env={**os.environ, "OPENAI_API_KEY": KEY}, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    assert {each["Authorization"] for each in server.headers} == {f"Bearer {KEY}"}
    assert any(server.name.encode() in line for line in listed)
    assert not any(KEY.encode() in line for line in listed)
    assert KEY.encode() not in ran.stdout + ran.stderr


def test_a_redirect_to_the_key_is_not_told(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.misbehave = some(1_000, Sent(b"", 307, {"Location": f"http://example.com/v1?key={KEY}"}))
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert_explained(ran, 5, "http://example.com/v1?key=[key], which is not followed")
    assert KEY not in ran.err


def test_an_answer_that_repeats_the_key_is_none(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.misbehave = spoiled(server, lambda d: d["choices"][0]["message"].update(content=KEY))
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert_explained(ran, 5, "repeats the key")
    assert all(KEY not in path.read_text() for path in Path().rglob("*") if path.is_file())


SLASHED = "sk/a+key/that=no/file/may/hold"
WRITTEN = {  # by servers in PHP and .NET, and in an address
    "slashes": SLASHED.replace("/", "\\/"),
    "numbers": SLASHED.replace("+", "\\u002B").replace("=", "\\u003d"),
    "percents": quote(SLASHED, safe=""),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_key_is_struck_out_however_a_server_writes_it(
    form: str, server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SLASHED)
    server.misbehave = some(1_000, Sent(f'{{"error": "you sent {WRITTEN[form]}"}}'.encode(), 400))
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert_explained(ran, 5, "you sent [key]")


@pytest.mark.parametrize("form", ["slashes", "numbers"])
def test_an_answer_that_repeats_the_key_in_escapes_is_none(
    form: str, server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SLASHED)
    reply = server.chat({"messages": [{"role": "user", "content": "?"}]})
    reply["choices"][0]["message"]["content"] = "@"
    server.misbehave = some(1_000, Sent(json.dumps(reply).replace("@", WRITTEN[form]).encode()))
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert_explained(ran, 5, "repeats the key")
    assert all(SLASHED not in path.read_text() for path in Path().rglob("*") if path.is_file())


def test_a_short_key_is_struck_out_of_what_is_wrong_with_an_answer(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "short-key")
    server.misbehave = spoiled(server, lambda d: d["choices"][0]["message"].update(role="short-key"))
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert_explained(ran, 5, "the role of its message is '[key]'")
    assert "short-key" not in ran.err


def test_a_key_in_the_place_of_its_variable_is_not_shown(server: FakeServer, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", server.name, *CAPTIONS, "--model-args", f"key_env={KEY}")
    assert_explained(ran, 2, "key_env=...: this is no name of an environment variable")
    assert KEY not in ran.err


@pytest.mark.parametrize("key", ["two words-of-a-key", "a-line\nanother", "schlüssel-geheim"])
def test_a_key_that_is_none_is_not_shown(
    key: str, server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    ran = babycli("eval", "--model", server.name, *CAPTIONS)
    assert_explained(ran, 2, "OPENAI_API_KEY")
    assert key not in ran.err


def test_a_key_that_is_not_there(server: FakeServer, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", server.name, *CAPTIONS, "--model-args", "key_env=NO_SUCH_KEY")
    assert_explained(ran, 2, "NO_SUCH_KEY")


# ---------------------------------------------------------------- where pictures go

ELSEWHERE = ["example.com", "192.168.0.7", "[2001:db8::1]", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0"]


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize("more", [(), ("--send-pictures-to", "example.org"), ("--control", "blind"), ("--dry-run",)])
def test_pictures_do_not_leave_the_machine_by_accident(
    host: str, more: tuple[str, ...], babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.create_connection", lambda *given: pytest.fail("it was called"))
    ran = babycli("eval", "--model", f"openai:https://{host}/v1#m", *CAPTIONS, *more)
    assert_explained(ran, 2, "which is not this machine", "SAYCam and BabyView show children", "agreement")
    assert f"--send-pictures-to {host.strip('[]')}" in ran.err


def test_a_host_that_is_named_word_for_word_is_called(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def refuse(place: Any, *given: Any) -> Any:
        called.append(place)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.net:3128")
    words = ("--model", "openai:https://API.example.com/v1#m", *CAPTIONS, "--send-pictures-to", "api.example.com")
    assert_explained(babycli("eval", *words), 5, "nobody answers there")
    assert called == [("api.example.com", 443)]  # and no proxy


def test_a_localhost_that_leads_elsewhere_is_sent_nothing(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    peer = socket.socket.getpeername

    class Elsewhere(socket.socket):
        def getpeername(self) -> Any:
            return ("192.0.2.1", peer(self)[1])

    connect = socket.create_connection

    def misled(*given: Any) -> Any:
        plain = connect(*given)
        return Elsewhere(fileno=plain.detach())

    monkeypatch.setattr("socket.create_connection", misled)
    ran = babycli("eval", "--model", f"openai:http://localhost:{server.port}/v1#{MODEL}", *CAPTIONS)
    assert_explained(ran, 5, "localhost leads to 192.0.2.1, which is not this machine")
    assert "/etc/hosts" in ran.err
    assert not server.asked


def test_a_sweep_asks_servers(server: FakeServer, babycli: Babycli) -> None:
    words = ("--model", server.name, "--tasks", "saycam_caption", "--limit", 2)
    assert babycli("eval", *words, "--dry-run", "--save", "sweeps/one.toml").code == 0
    assert server.name in Path("sweeps/one.toml").read_text()
    ran = babycli("eval", "--config", "sweeps/one.toml", "--output-path", "logs")
    assert ran.code == 0, ran.err
    assert server.n_tasks_asked == 2


def test_a_sweep_does_not_let_pictures_leave_the_machine(
    server: FakeServer, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = "openai:https://example.com/v1#m"
    Path("sweep.toml").write_text(f'models = ["{elsewhere}"]\ntasks = ["saycam_caption"]\nlimit = 1\n')
    monkeypatch.setattr("socket.create_connection", lambda *given: pytest.fail("it was called"))
    assert_explained(babycli("eval", "--config", "sweep.toml"), 2, "example.com, which is not this machine")
    with Path("sweep.toml").open("a") as file:
        file.write('send_pictures_to = "example.com"\n')
    ran = babycli("eval", "--config", "sweep.toml")
    assert_explained(ran, 2, "sweep.toml: send_pictures_to is not said in a file")
    assert "beside --config:  --send-pictures-to HOST" in ran.err


def test_a_sweep_that_is_saved_names_no_host_for_pictures(server: FakeServer, babycli: Babycli) -> None:
    words = ("--model", server.name, *CAPTIONS, "--send-pictures-to", "gpu7.lab.example")
    ran = babycli("eval", *words, "--dry-run", "--save", "sweep.toml")
    assert (ran.code, "--config sweep.toml --send-pictures-to gpu7.lab.example" in ran.err) == (0, True)
    first, *rest = Path("sweep.toml").read_text().splitlines()
    assert first == "# babycli eval --config sweep.toml --send-pictures-to gpu7.lab.example"
    assert not any("gpu7" in line for line in rest)
    assert babycli("eval", "--config", "sweep.toml", "--send-pictures-to", "gpu7.lab.example").code == 0


def test_python_asks_for_the_host_too(work: Path) -> None:
    import babycli
    from babycli.errors import UsageError

    with pytest.raises(UsageError, match=re.escape("--send-pictures-to example.com")):
        babycli.evaluate("openai:https://example.com/v1#m", tasks="saycam_caption", limit=1)
    with pytest.raises(UsageError, match=re.escape("--send-pictures-to example.com")):
        babycli.evaluate(
            "openai:https://example.com/v1#m",
            tasks="saycam_caption",
            limit=1,
            send_pictures_to=True,  # type: ignore[arg-type]
        )
    with pytest.raises(babycli.errors.ModelError, match="nobody answers"):
        babycli.evaluate(
            "openai:https://192.0.2.1/v1#m",
            tasks="saycam_caption",
            limit=1,
            send_pictures_to="192.0.2.1",
            model_args={"timeout": "0.1"},
        )
