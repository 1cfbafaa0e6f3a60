"""Evaluations within a training: a real Trainer on the CPU, and Lightning's hooks on a stand-in."""

from __future__ import annotations

import json
import logging
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPModel, Trainer, TrainingArguments

import babycli
from babycli.callbacks.trainer import EvaluationCallback
from babycli.errors import DataError, ModelError, UsageError
from babycli.models.parts.clip_model import ClipModel
from babycli.report.rows import training_runs
from tests.conftest import Babycli
from tests.models.test_clip import write as write_clip
from tests.test_api import processor_of, values
from tests.written_once import written_once


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_once(tmp_path_factory, "api-clip", lambda folder: write_clip(folder, "clip"))


class Pairs(torch.utils.data.Dataset[dict[str, Any]]):
    """Texts of two words and pictures of noise."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> dict[str, Any]:
        pixels = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(i))
        return {"input_ids": torch.tensor([2, 4 + i, 3]), "pixel_values": pixels, "return_loss": True}


def collated(rows: list[dict[str, Any]]) -> dict[str, Any]:
    batch = {name: torch.stack([row[name] for row in rows]) for name in ("input_ids", "pixel_values")}
    return batch | {"return_loss": True}


def trainer_for(clip: Path, folder: Path, **arguments: Any) -> Trainer:
    settings: dict[str, Any] = {"max_steps": 2, "save_steps": 1, "logging_steps": 1, "report_to": [], "seed": 0}
    settings |= {"per_device_train_batch_size": 4, "use_cpu": True, "disable_tqdm": True, "learning_rate": 0.05}
    network: Any = CLIPModel.from_pretrained(clip)
    return Trainer(
        model=network,
        args=TrainingArguments(output_dir=str(folder), remove_unused_columns=False, **settings | arguments),
        train_dataset=Pairs(),
        data_collator=collated,
        processing_class=processor_of(clip),
    )


def logged(trainer: Trainer) -> dict[int, dict[str, float]]:
    """By step, the numbers that the callback has given to the training's log."""
    lines: list[dict[str, Any]] = trainer.state.log_history
    ours = [{k: v for k, v in line.items() if "babycli" in k} for line in lines]
    return {line["step"]: of for line, of in zip(lines, ours, strict=True) if of}


def test_a_trainers_log_has_the_scores_of_its_checkpoints(
    clip: Path, dataset: Path, tmp_path: Path, babycli_command: Babycli
) -> None:
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 12, "data": dataset, "output_path": tmp_path / "logs"}
    trainer = trainer_for(clip, tmp_path / "run", bf16=True)
    trainer.add_callback(EvaluationCallback(trainer, **asked))
    trainer.train()
    numbers = logged(trainer)
    assert list(numbers) == [0, 1, 2]
    runs = babycli.read_runs(tmp_path / "logs")
    assert {run.step: run.model for run in runs.runs} == {
        step: str(tmp_path / "run" / f"checkpoint-{step}") for step in (0, 1, 2)
    }
    assert [s.value for s in runs.scores] == [numbers[step]["eval_babycli/vtwt_acc"] for step in (0, 1, 2)]
    # The curve of a report, and the same numbers as the checkpoint that was saved at that step.
    (curve,) = training_runs(runs.rows).values()
    assert [row.step for row in curve] == [0, 1, 2]
    saved = babycli.evaluate(tmp_path / "run" / "checkpoint-2", **asked | {"output_path": tmp_path / "saved"})
    in_training = {
        key: value
        for trial in runs.trials
        if "checkpoint-2" in trial.label
        for key, value in {(trial.task, trial.trial, trial.metric): trial.value}.items()
    }
    assert in_training == values(saved)
    plotted = babycli_command("report", tmp_path / "logs", "--plot", tmp_path / "curve.svg")
    assert plotted.code == 0, plotted.err
    assert "step" in (tmp_path / "curve.svg").read_text()


@pytest.fixture(name="babycli_command")
def _babycli_command(babycli: Babycli) -> Babycli:
    """The command line, under a name that is not that of the package."""
    return babycli


def losses(trainer: Trainer) -> list[float]:
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def test_a_training_goes_as_without_it(clip: Path, dataset: Path, tmp_path: Path) -> None:
    plain = trainer_for(clip, tmp_path / "plain", save_strategy="no", max_steps=3)
    plain.train()
    watched = trainer_for(clip, tmp_path / "watched", save_strategy="no", max_steps=3)
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 4, "data": dataset, "output_path": tmp_path / "logs"}
    watched.add_callback(EvaluationCallback(watched, every=2, at_start=False, **asked))
    watched.train()
    assert losses(watched) == losses(plain)
    assert list(logged(watched)) == [2]
    for one, other in zip(plain.model.parameters(), watched.model.parameters(), strict=True):  # type: ignore[union-attr]
        assert torch.equal(one, other)


def test_the_first_error_ends_a_training_and_a_later_one_does_not(
    clip: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 2, "data": dataset, "output_path": tmp_path / "logs"}
    trainer = trainer_for(clip, tmp_path / "run", save_strategy="no")
    trainer.add_callback(EvaluationCallback(trainer, every=1, **asked | {"data": tmp_path / "nothing"}))
    with pytest.raises(DataError):
        trainer.train()

    trainer = trainer_for(clip, tmp_path / "run", save_strategy="no")
    trainer.add_callback(EvaluationCallback(trainer, every=1, **asked))
    whole = ClipModel.similarity

    def similarity(self: ClipModel, *args: Any) -> Any:
        if trainer.state.global_step == 1:
            raise ModelError("it fails", "mend it")
        return whole(self, *args)

    monkeypatch.setattr(ClipModel, "similarity", similarity)
    with caplog.at_level(logging.WARNING, "babycli"):
        trainer.train()
    assert list(logged(trainer)) == [0, 2]
    assert "no evaluation at step 1: it fails" in caplog.text


def test_options_that_are_the_trainings_own(clip: Path, tmp_path: Path) -> None:
    trainer = trainer_for(clip, tmp_path / "run")
    with pytest.raises(UsageError, match="model and name are the training's own"):
        EvaluationCallback(trainer, model="x", name="y")
    with pytest.raises(UsageError, match="every='epoch'"):
        EvaluationCallback(trainer, every="epoch")


class Logger:
    """What Lightning's loggers have in common."""

    def __init__(self) -> None:
        self.lines: dict[int, Mapping[str, float]] = {}

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self.lines[step] = metrics


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The callback for Lightning, on a stand-in of the package where it is not installed."""
    name = "babycli.callbacks.lightning"
    callbacks = types.ModuleType("lightning.pytorch.callbacks")
    callbacks.Callback = type("Callback", (), {})  # type: ignore[attr-defined]
    for module in ("lightning", "lightning.pytorch"):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    monkeypatch.setitem(sys.modules, "lightning.pytorch.callbacks", callbacks)
    sys.modules.pop(name, None)
    yield __import__(name, fromlist=["EvaluationCallback"])
    sys.modules.pop(name, None)


def test_lightnings_loggers_get_the_numbers_by_step(clip: Path, dataset: Path, tmp_path: Path, lightning: Any) -> None:
    asked: dict[str, Any] = {"tasks": "vtwt", "limit": 2, "data": dataset, "output_path": tmp_path / "logs"}
    network: Any = CLIPModel.from_pretrained(clip)
    module = types.SimpleNamespace(network=network, processor=processor_of(clip))
    callback = lightning.EvaluationCallback(lambda m: (m.network, m.processor), every=2, **asked)
    loggers = [Logger(), Logger()]
    trainer = types.SimpleNamespace(
        global_step=0, is_global_zero=True, sanity_checking=False, loggers=loggers, log_dir=str(tmp_path / "run")
    )
    callback.on_train_start(trainer, module)
    for trainer.global_step in (1, 2):
        callback.on_train_batch_end(trainer, module, None, None, 0)
    callback.on_validation_end(trainer, module)
    assert [list(logger.lines) for logger in loggers] == [[0, 2], [0, 2]]
    assert list(loggers[0].lines[2]) == ["babycli/vtwt_acc"]
    trainer.is_global_zero, trainer.global_step = False, 4
    callback.on_train_batch_end(trainer, module, None, None, 0)
    assert [run.step for run in babycli.read_runs(tmp_path / "logs").runs] == [0, 2]
    assert json.loads(json.dumps(loggers[0].lines[0]))
