"""babycli from Python: a loaded model is asked as its checkpoint is, and left as it was; runs are read and compared."""

from __future__ import annotations

import json
import math
import random
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

import babycli
from babycli.errors import DataError, ModelError, UntrustedResultError, UsageError
from babycli.models.parts.clip_model import ClipModel
from babycli.report.frames import Runs
from tests.conftest import Babycli
from tests.hf_checkpoints import LIBRARY, TEXT, VISION, chatml, make_tokenizer, write_hf
from tests.models.test_clip import write as write_clip
from tests.report.logs import drawn, write_run
from tests.written_once import written_once

LIBRARIES: Any = CLIPProcessor


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_once(tmp_path_factory, "api-clip", lambda folder: write_clip(folder, "clip"))


def processor_of(folder: Path) -> Any:
    images: Any = CLIPImageProcessorPil.from_pretrained(folder)
    return LIBRARIES(images, AutoTokenizer.from_pretrained(folder))


@pytest.fixture(name="run_babycli")
def _run_babycli(babycli: Babycli) -> Babycli:
    """The command line, under a name that is not that of the package."""
    return babycli


def values(runs: Runs) -> dict[tuple[str, str, str], float]:
    return {(trial.task, trial.trial, trial.metric): trial.value for trial in runs.trials}


def scores_in(logs: Path, name: str) -> list[float]:
    """Every score of a model's run, in the order of its log."""
    (file,) = logs.glob(f"{name}/*/scores.rank0.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["similarity"] if "similarity" in line else line.get("logprob_sum", 0.0) for line in lines]


def test_a_loaded_model_has_the_scores_of_its_checkpoint(clip: Path, dataset: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"tasks": ["vtwt", "labeled_s"], "limit": 8, "data": dataset, "output_path": tmp_path}
    saved = babycli.evaluate(clip, **asked)
    network: Any = CLIPModel.from_pretrained(clip)
    network.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # of the caller's own: the scores are those of the weights
        loaded = babycli.evaluate((network, processor_of(clip)), name="run/checkpoint-20", **asked)
    assert values(loaded) == values(saved)
    logged = [scores_in(tmp_path, name) for name in ("run__checkpoint-20", f"{clip.parent.name}__{clip.name}")]
    assert logged[0] == logged[1]
    assert len(logged[0]) > 20
    assert [run.step for run in loaded.runs] == [20]
    assert {score.task: score.n_units for score in loaded.scores} == {"vtwt": 8, "labeled_s": 8}

    with torch.no_grad():
        network.logit_scale += 1
    again = babycli.evaluate(network, processor=processor_of(clip), name="run/checkpoint-40", **asked)
    (first,), (second,) = loaded.runs, again.runs
    assert first.fingerprint != second.fingerprint


def llava() -> tuple[Any, Any]:
    """A LLaVA of transformers, which babycli reads with a network of its own."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer("<image>", bos="<s>", eos="</s>")
    tokenizer.chat_template = chatml("<image>")
    ids = {key: getattr(tokenizer, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = LIBRARY.LlavaConfig(
        text_config=LIBRARY.LlamaConfig(vocab_size=len(tokenizer), **TEXT, **ids),
        vision_config=LIBRARY.CLIPVisionConfig(**VISION, image_size=28, patch_size=14),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = LIBRARY.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    sizes = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    return LIBRARY.LlavaForConditionalGeneration(config), LIBRARY.LlavaProcessor(images, tokenizer, **sizes)


def idefics3(folder: Path) -> tuple[Any, Any]:
    write_hf(folder, "idefics3")
    network = LIBRARY.AutoModelForImageTextToText.from_pretrained(folder)
    return network, LIBRARY.AutoProcessor.from_pretrained(folder)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["llava", "idefics3"])
def test_so_has_one_that_writes(kind: str, dataset: Path, tmp_path: Path) -> None:
    network, processor = llava() if kind == "llava" else idefics3(tmp_path / "source")
    folder = tmp_path / "models" / kind
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    asked: dict[str, Any] = {"tasks": "vtwt,saycam_caption", "limit": 4, "data": dataset, "output_path": tmp_path}
    saved = babycli.evaluate(folder, **asked)
    network.train()
    with unchanged(network):
        loaded = babycli.evaluate(network, processor=processor, name="loaded", **asked)
    assert values(loaded) == values(saved)
    assert scores_in(tmp_path, "loaded") == scores_in(tmp_path, f"models__{kind}")


class unchanged:  # reads as a statement
    """Checks that a network, the generators and torch's switches are after the block as they were before it."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def _now(self) -> dict[str, Any]:
        modules = dict(self._network.named_modules())
        parameters = dict(self._network.named_parameters())
        settings = getattr(self._network, "generation_config", None)
        return {
            "modes": {name: module.training for name, module in modules.items()},
            "attributes": {name: {key: id(value) for key, value in vars(m).items()} for name, m in modules.items()},
            "tables": {
                name: {
                    key: [(k, id(v)) for k, v in value.items()]
                    for key, value in vars(m).items()
                    if isinstance(value, dict)
                }
                for name, m in modules.items()
            },
            "parameters": {name: (id(p), p.device, p.dtype, p.requires_grad) for name, p in parameters.items()},
            "values": [p.detach().clone() for p in parameters.values()],
            "grads": [None if p.grad is None else (id(p.grad), p.grad.clone()) for p in parameters.values()],
            "buffers": [(id(b), b.clone()) for b in self._network.buffers()],
            "settings": None if settings is None else settings.to_dict(),
            "config": self._network.config.to_dict(),  # type: ignore[operator, union-attr]
            "python": random.getstate(),
            "numpy": np.random.get_state(),
            "torch": torch.get_rng_state(),
            "modes of torch": (
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
                torch.is_autocast_enabled("cpu"),
            ),
            "switches": (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32),
        }

    def __enter__(self) -> None:
        self._before = self._now()

    def __exit__(self, *_: object) -> None:
        after = self._now()
        for what, before in self._before.items():
            assert same(before, after[what]), what


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor | np.ndarray):
        return bool((torch.as_tensor(one) == torch.as_tensor(other)).all())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


class Odd(nn.Module):
    """A part that an evaluation would leave marks in: a counter in a buffer, an attribute, all random generators."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.count: torch.Tensor
        self.register_buffer("count", torch.zeros(1))
        self.cache: dict[str, int] = {}
        self.last: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.count.add_(1)
        self.register_buffer("late", torch.ones(1))
        self.cache["seen"] = 1
        self.requires_grad_(False)
        self.last = torch.rand(1), random.random(), np.random.random()
        return self.inner(*args, **kwargs)


def in_training(folder: Path) -> Any:
    """A network in the middle of a step: with gradients, a frozen part, a part in evaluation mode, and hooks."""
    network: Any = CLIPModel.from_pretrained(folder)
    network.train()
    network.text_model.eval()
    network.visual_projection.weight.requires_grad_(False)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    network.vision_model.post_layernorm = Odd(network.vision_model.post_layernorm)
    network.vision_model.register_forward_hook(lambda *_: None)
    return network


def fails_in_the_middle(error: BaseException) -> Callable[..., Any]:
    def similarity(*_: Any) -> Any:
        torch.rand(1)
        raise error

    return similarity


@pytest.mark.parametrize("error", [None, ModelError("it fails"), RuntimeError("it fails"), KeyboardInterrupt()])
def test_a_loaded_model_is_left_as_it_was(
    clip: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None
) -> None:
    network, processor = in_training(clip), processor_of(clip)
    if error is not None:
        monkeypatch.setattr(ClipModel, "similarity", fails_in_the_middle(error))
    torch.backends.cudnn.allow_tf32 = True
    with unchanged(network):
        asked: dict[str, Any] = {"tasks": "vtwt", "limit": 2, "data": dataset, "output_path": tmp_path}
        if error is None:
            babycli.evaluate(network, processor=processor, **asked)
        else:
            with pytest.raises(type(error)):
                babycli.evaluate(network, processor=processor, **asked)


def test_an_object_of_ones_own_is_a_model(dataset: Path, tmp_path: Path) -> None:
    class Lengths(nn.Module):
        """Prefers long texts."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Linear(1, 1, bias=False)

        def similarity(self, images: list[Any], texts: list[str]) -> list[float]:
            assert not self.training
            return [len(text) * self.scale.weight.item() for text in texts]

    own = Lengths()
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 6, "data": dataset, "output_path": tmp_path}
    nn.init.ones_(own.scale.weight)
    long = babycli.evaluate(own, **asked)
    nn.init.constant_(own.scale.weight, -1)
    short = babycli.evaluate(own, **asked)
    assert long.runs[0].fingerprint != short.runs[0].fingerprint
    assert own.training
    decided = [(a.value, b.value) for a, b in zip(long.trials, short.trials, strict=True)]
    assert all(a + b == 1 for a, b in decided)
    assert {a for a, _ in decided} != {0.5}


def test_a_model_that_was_loaded_in_float16_is_a_choice_of_its_own(
    clip: Path, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Most CPUs only emulate it, and that is said; but it is not converted, and not refused."""
    network: Any = CLIPModel.from_pretrained(clip, dtype=torch.float16)
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 1, "data": dataset, "output_path": tmp_path, "batch_check": 0}
    (run,) = babycli.evaluate(network, processor=processor_of(clip), name="mine", **asked).runs
    assert run.dtype == "float16"
    assert "mine is in float16, which most CPUs only emulate: there float32" in caplog.text
    assert next(network.parameters()).dtype == torch.float16


def test_errors_are_babyclis_own(clip: Path, dataset: Path, tmp_path: Path) -> None:
    network: Any = CLIPModel.from_pretrained(clip)
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 2, "data": dataset, "output_path": tmp_path}
    with pytest.raises(UsageError, match="processor"):
        babycli.evaluate(network, **asked)
    with pytest.raises(UsageError, match="dtype of a loaded model"):
        babycli.evaluate(network, processor=processor_of(clip), dtype="float16", **asked)
    with pytest.raises(UsageError, match="unknown model") as raised:
        babycli.evaluate("no-such-model", **asked)
    assert any(line.startswith("mend: ") for line in traceback.format_exception(raised.value))
    with pytest.raises(UsageError, match="there is no 'no-such' in this folder"):
        babycli.evaluate("no-such/path/to/model", **asked)
    with pytest.raises(UsageError, match="limit must be"):
        babycli.evaluate(clip, **asked | {"limit": 0})
    with pytest.raises(DataError):
        babycli.evaluate(clip, **asked | {"data": tmp_path / "nothing"})
    with pytest.raises(ModelError, match="has no method to ask"):
        babycli.evaluate(object(), **asked)
    with pytest.raises(ModelError, match="no family reads a loaded BertModel"):
        babycli.evaluate(LIBRARY.BertModel(LIBRARY.BertConfig(num_hidden_layers=1)), processor=1, **asked)
    with torch.device("meta"), pytest.raises(ModelError, match="meta device"):
        babycli.evaluate(CLIPModel(network.config), processor=processor_of(clip), **asked)
    with torch.no_grad():
        network.visual_projection.weight.fill_(math.nan)
    with pytest.raises(UntrustedResultError, match="not finite"):
        babycli.evaluate(network, processor=processor_of(clip), **asked)


def test_a_run_of_a_checkpoint_has_a_name_if_one_is_given(dataset: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 2, "data": dataset, "output_path": tmp_path}
    runs = babycli.evaluate("control:random", name="by luck", **asked)
    assert runs.scores[0].label.startswith("by luck (")
    with pytest.raises(UsageError, match="name calls one run, and there are 2 models"):
        babycli.evaluate(["control:random", "control:constant"], name="both", **asked)
    with pytest.raises(UsageError, match="is no name for a run"):
        babycli.evaluate("control:random", name=" ", **asked)
    with pytest.raises(UsageError, match="processor= is for a loaded model"):
        babycli.evaluate("control:random", processor=1, **asked)


SHARDED = """
import os, sys, torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
import babycli
from babycli.errors import ModelError

os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1], RANK="0", WORLD_SIZE="1")
dist.init_process_group("gloo")
cpu, mesh = torch.device("cpu"), init_device_mesh("cpu", (1,))

class Own:
    def __init__(self, network): self.network = network
    def similarity(self, images, texts): return [0.0 for _ in texts]

for network in (
    fully_shard(torch.nn.Linear(2, 2), mesh=mesh),
    FullyShardedDataParallel(torch.nn.Linear(2, 2), device_id=cpu),
    FullyShardedDataParallel(torch.nn.Linear(2, 2), device_id=cpu, use_orig_params=True),
):
    try:
        babycli.evaluate(Own(network), data=sys.argv[2], output_path=sys.argv[3])
    except ModelError as error:
        print("--watch" in error.mend, error.message)
dist.destroy_process_group()
"""


@pytest.mark.long
def test_weights_that_are_spread_over_processes_are_no_whole_model(dataset: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [sys.executable, "-c", SHARDED, port, str(dataset), str(tmp_path)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.stdout.count("True the weights are spread over several processes") == 3, ran.stderr


def test_runs_are_read_and_compared_as_the_report_does(tmp_path: Path, run_babycli: Babycli) -> None:
    for seed, name in enumerate("ab"):
        write_run(tmp_path, name, drawn(seed, {"vtwt": 0.6, "saycam_caption": 0.2}))
    runs = babycli.read_runs(tmp_path)
    table = json.loads(run_babycli("report", tmp_path, "--format", "json").out)
    told = {(r["model"], r["task"], r["metric"]): r["value"] for r in table}
    assert {(s.model, s.task, s.metric): s.value for s in runs.scores} == told
    frame = runs.scores.to_pandas()
    assert list(frame["value"]) == [score.value for score in runs.scores]
    trials = runs.trials.to_pandas()
    joined = trials[trials.metric == "acc"].groupby("label")["value"].mean()
    assert {s.label: pytest.approx(s.value) for s in runs.scores if s.metric == "acc"} == joined.to_dict()
    assert "session" in trials.columns

    found = {(d.task, d.metric): d for d in babycli.compare("a", "b", logs=runs)}
    shown = json.loads(run_babycli("report", tmp_path, "--format", "json", "--compare", "a", "b").out)
    for line in shown:
        record = found[line["task"], line["metric"]]
        assert record.difference == pytest.approx(line["difference"])
        assert record.p_holm == pytest.approx(line["p_holm"])
    assert len(found) == len(shown) > 1
    with pytest.raises(UsageError, match="no run is of a model 'c'"):
        babycli.compare("a", "c", logs=tmp_path)
    # A run that was made twice is one, as in a report, and can be named apart all the same.
    write_run(tmp_path, "a", drawn(0, {"vtwt": 0.6, "saycam_caption": 0.2}), date="20260102_120000")
    again = {(d.task, d.metric): d.difference for d in babycli.compare("a", "b", logs=tmp_path)}
    assert again == {column: difference.difference for column, difference in found.items()}
    labels = sorted({score.label for score in babycli.read_runs(tmp_path).scores})
    assert labels == ["a 20260101_120000", "a 20260102_120000", "b"]
    assert len(babycli.compare(labels[0], "b", logs=tmp_path)) == len(found)


def test_without_pandas_a_frame_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, "a", drawn(0, {"vtwt": 0.6}))
    monkeypatch.setitem(sys.modules, "pandas", None)
    runs = babycli.read_runs([tmp_path])
    assert len(runs.runs) == 1
    with pytest.raises(UsageError, match="pandas, which is not installed"):
        runs.runs.to_pandas()


def test_importing_babycli_waits_for_nothing() -> None:
    code = (
        "import babycli, sys; print(*sorted(n for n in sys.modules if n.partition('.')[0] in sys.argv[1].split(',')))"
    )
    watched = "typer,torch,transformers,numpy,PIL,orjson,babycli,pandas"
    ran = subprocess.run([sys.executable, "-c", code, watched], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["babycli"]
    assert {"evaluate", "read_runs", "compare"} <= set(dir(babycli))
    with pytest.raises(AttributeError):
        _ = babycli.evaluation_of_nothing
