"""Whole evaluations against what the original code computed (../shared/reference), line by line."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli

N_LINES = {"labeled_s": 160, "vtwt": 80, "baby_winoground": 160, "saycam_caption": 40}  # of 40 trials
TASKS = tuple(N_LINES)


@pytest.fixture(scope="module")
def images(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    with tarfile.open(shared / "reference" / "golden" / "images_golden.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def linked(shared: Path, images: Path, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folders = ("--labeled-s", images / "labeled_s_images", "--synthetic", images / "synthetic_images")
    words = ("data", "link", images / "saycam_images", *folders, "--from", shared / "labels", "--allow-missing")
    assert babycli(*words).code == 0
    return tmp_path


def evaluated(babycli: Babycli, checkpoint: Path, tasks: Sequence[str], limit: int, *more: object) -> Path:
    """The folder of a run over the first ``limit`` trials."""
    ran = babycli("eval", "--model", checkpoint, "--tasks", ",".join(tasks), "--limit", limit, *more)
    assert ran.code == 0, ran.err
    (folder,) = Path("logs").glob("*/*")
    return folder


def samples(folder: Path, task: str) -> dict[int, dict[str, Any]]:
    (path,) = folder.glob(f"*_samples_{task}.jsonl")
    return {line["doc_id"]: line for line in map(json.loads, path.read_text().splitlines())}


def check_lines(folder: Path, golden: Path, tasks: Sequence[str]) -> dict[str, int]:
    """Compares every golden line of these tasks; returns how many there were of each."""
    seen = dict.fromkeys(tasks, 0)
    logged = {task: samples(folder, task) for task in tasks}
    lines = [json.loads(line) for line in golden.read_text().splitlines()]
    for line in (line for line in lines if line["task"] in tasks):
        sample = logged[line["task"]][line["doc_id"]]
        assert sample["doc"]["image"] == line["image"]
        if line["kind"] == "loglikelihood":
            assert sample["resps"][line["choice"]][0] == pytest.approx(line["loss"], abs=2e-5)
            assert sample["prompt"] == line["context_prompt"]
        else:
            assert sample["resps"] == [[line["text"]]]
        seen[line["task"]] += 1
    return seen


@pytest.mark.long  # each model is held against its lines in tests/models, too
@pytest.mark.parametrize("tasks", [TASKS[1:], TASKS[:1]], ids=",".join)
def test_resnext_gpt2(tasks: Sequence[str], linked: Path, babycli: Babycli, checkpoints: Path, shared: Path) -> None:
    golden = shared / "reference" / "golden"
    scored = evaluated(babycli, checkpoints / "babyllava_resnext_gpt2", tasks, 40)
    seen = check_lines(scored, golden / "babyllava_resnext_gpt2.jsonl", tasks)
    assert seen == {task: N_LINES[task] for task in tasks}
    check_metrics(scored, golden, tasks, "fair")


@pytest.mark.long
def test_llava(linked: Path, babycli: Babycli, checkpoints: Path, shared: Path) -> None:
    """The family's own prompts, found without being told, and the tower beside the checkpoint."""
    golden = shared / "reference" / "golden"
    scored = evaluated(babycli, checkpoints / "llava-v1.5-tiny", TASKS, 40)
    assert check_lines(scored, golden / "llava-v1.5-tiny.jsonl", TASKS) == N_LINES
    check_metrics(scored, golden, TASKS, "fair", "llava-v1.5-tiny")
    run = json.loads((scored / "run.json").read_bytes())
    assert run["tasks"]["vtwt"]["prompt_origin"] == "llava"
    assert "openai/clip-vit-large-patch14-336" in run["model"]["notes"][0]


@pytest.mark.long
def test_resnext_gpt2_scored_as_the_original_does(
    linked: Path, babycli: Babycli, checkpoints: Path, shared: Path
) -> None:
    tasks = ("vtwt", "baby_winoground")
    scored = evaluated(babycli, checkpoints / "babyllava_resnext_gpt2", tasks, 40, "--scoring", "reference")
    check_metrics(scored, shared / "reference" / "golden", tasks, "reference")


def check_metrics(
    folder: Path, golden: Path, tasks: Sequence[str], scoring: str, checkpoint: str = "babyllava_resnext_gpt2"
) -> None:
    """The metrics of a 40-trial run of a checkpoint are the original's to the last digit."""

    (path,) = folder.glob("*_results.json")
    ours = json.loads(path.read_bytes())["results"]
    theirs: dict[str, dict[str, Any]] = {}
    for run in json.loads((golden / "aggregate.json").read_bytes())[checkpoint]:
        theirs |= run["results"]
    for task in tasks:
        for metric, value in theirs[task].items():
            if metric.endswith("_stderr,none") or metric == "alias":
                continue
            if scoring == "reference" or task != "baby_winoground":
                assert ours[task][metric] == value, (task, metric)
            else:  # the original averages these in float32
                assert ours[task][metric] == pytest.approx(value, abs=1e-7)
    if "vtwt" in tasks:
        error, their_error = ours["vtwt"]["acc_stderr,none"], theirs["vtwt"]["acc_stderr,none"]
        assert error == pytest.approx(their_error, rel=1e-15)  # Python 3.12 and newer lose less in a sum


@pytest.mark.long
def test_resnext_gpt2_with_a_bpe_tokenizer(linked: Path, babycli: Babycli, checkpoints: Path, shared: Path) -> None:
    tasks = ("labeled_s", "saycam_caption")
    folder = evaluated(babycli, checkpoints / "babyllava_resnext_gpt2_bpe", tasks, 4)
    seen = check_lines(folder, shared / "reference" / "golden" / "babyllava_resnext_gpt2_bpe.jsonl", tasks)
    assert seen == {"labeled_s": 8, "saycam_caption": 4}


def test_a_dino_file_serves_where_the_checkpoint_has_no_tower(
    linked: Path, babycli: Babycli, checkpoints: Path, shared: Path, tmp_path: Path
) -> None:
    """Checkpoint a without its tower, the tower from the float32 DINO file: near the golden losses, not equal."""
    from safetensors.torch import load_file, save_file

    source, bare = checkpoints / "babyllava_resnext_gpt2", tmp_path / "bare"
    bare.mkdir()
    for file in source.iterdir():
        if file.suffix == ".json":
            (bare / file.name).write_bytes(file.read_bytes())
    weights = {k: v for k, v in load_file(source / "model.safetensors").items() if ".vision_tower." not in k}
    save_file(weights, bare / "model.safetensors", metadata={"format": "pt"})
    tower = checkpoints / "eminorhan" / "dino_sfp_resnext50"
    folder = evaluated(babycli, bare, ["vtwt"], 4, "--model-args", f"vision_tower={tower}")
    golden = shared / "reference" / "golden" / "babyllava_resnext_gpt2.jsonl"
    lines = [line for line in map(json.loads, golden.read_text().splitlines()) if line["task"] == "vtwt"]
    for line in (line for line in lines if line["doc_id"] < 4):
        assert samples(folder, "vtwt")[line["doc_id"]]["resps"][line["choice"]][0] == pytest.approx(
            line["loss"], abs=0.2
        )
