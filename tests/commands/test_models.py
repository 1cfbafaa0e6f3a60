"""`babycli models` and `babycli models show`: what is listed, and what is told of a model without its weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from babycli.models import all_families
from babycli.tasks import select_tasks
from tests.checkpoints import write_checkpoint
from tests.conftest import Babycli
from tests.hf_checkpoints import write_hf
from tests.llava_checkpoints import write_llava, write_tower
from tests.models.loading import WORDS, load
from tests.models.test_clip import write as write_clip
from tests.models.test_dual import write as write_dual

FAMILIES = ["babyllava", "clip", "control", "cvcl", "dual", "llava", "llava_next", "lmms", "openai"]
FAMILIES += ["plugin", "replay", "hf"]


def test_every_family_is_listed_with_a_line_of_help(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = babycli("models")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= 80
    told = {" ".join(line.split()) for line in unwrapped(lines)}
    for family in all_families().values():
        assert f"{family.name} {family.summary}" in told
        assert f"offers {', '.join(family.abilities.words)}" in told
        for key, meaning in family.arguments.items():
            assert f"--model-args {key}=... {meaning}" in told


def unwrapped(lines: Sequence[str]) -> list[str]:
    """Joins the rows of an entry: those further in than the first of its kind."""
    joined: list[str] = []
    for line in lines:
        further = len(line) - len(line.lstrip()) in (19, 23) and not line.lstrip().startswith(
            ("offers", "--model-args")
        )
        if further:
            joined[-1] += " " + line
        else:
            joined.append(line)
    return joined


def test_the_list_for_a_program(babycli: Babycli) -> None:
    listed = json.loads(babycli("models", "--json").out)
    assert [family["name"] for family in listed] == FAMILIES  # hf, which reads anything, is asked last


@pytest.mark.parametrize("trunk", ["transformer", "model"])
def test_a_babyllava_without_its_weights(trunk: str, babycli: Babycli, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, trunk=trunk, config={"torch_dtype": "bfloat16"})
    expected = load(folder).info.n_parameters
    (folder / "model.safetensors").unlink()
    ran = babycli("models", "show", folder, "--json", "--model-args", "conv_template=baby_v1", "--dtype", "float16")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["n_parameters"] == expected == sum(part["n_parameters"] for part in found["parts"])
    assert [part["name"] for part in found["parts"]] == ["vision tower", "projector", "language model"]
    assert (found["dtype"], found["stored_dtype"]) == ("float16", "bfloat16")
    own = {name for name, prompt in found["prompts"].items() if prompt["origin"] != "task"}
    assert own == {task.name for benchmark in ("babyvlm", "machine_devbench") for task in select_tasks(benchmark)}
    assert found["prompts"]["baby_memory"]["rendered"] == ""
    assert found["prompts"]["vtwt"]["rendered"] == " USER: <image>\n ASSISTANT:"
    text = babycli("models", "show", folder).out
    assert f"{expected:,}" in text
    assert "runs in float32, stored as bfloat16" in text
    assert "in the words of the label file: baby_pv, baby_localize, " in text


def test_the_published_shape(babycli: Babycli, tmp_path: Path) -> None:
    """ResNeXt-50 32x4d without its classifier has 22,979,904 parameters (torchvision's 25,028,904 less 2,049,000)."""
    folder = write_checkpoint(tmp_path / "model", WORDS)
    config = json.loads((folder / "config.json").read_text())
    (folder / "model.safetensors").unlink()  # its names would tell that the tower is a ResNeXt
    del config["mm_vision_tower_shape"]
    (folder / "config.json").write_text(json.dumps(config | {"mm_hidden_size": 2048}))
    parts = json.loads(babycli("models", "show", folder, "--json").out)["parts"]
    assert parts[0]["n_parameters"] == 25_028_904 - 2_049_000
    (folder / "config.json").write_text(json.dumps(config | {"mm_vision_tower": "eminorhan/dino_say_vitl16"}))
    parts = json.loads(babycli("models", "show", folder, "--json").out)["parts"]
    assert parts[0]["what"] == "ViT-L/16, 197 positions of 1024"
    assert parts[0]["n_parameters"] == 304_326_632 - 1_025_000  # torchvision's vit_l_16 less its head


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (["nothing-here"], 2, "unknown model"),
        (["{folder}", "--model-args", "x=1"], 2, "no argument 'x'"),
        (["{folder}", "--model-args", "x"], 2, "--model-args"),
        (["{empty}"], 5, "no config.json"),
        (["control:none"], 2, "no control"),
    ],
)
def test_wrong_models(words: list[str], code: int, name: str, babycli: Babycli, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS)
    (tmp_path / "empty").mkdir()
    ran = babycli("models", "show", *(word.format(folder=folder, empty=tmp_path / "empty") for word in words))
    assert (ran.code, ran.out) == (code, "")
    assert name in ran.err
    assert "Traceback" not in ran.err


def write_whole_llava(folder: Path) -> Path:
    write_tower(folder.parent / "openai" / "clip-small")
    return write_llava(folder)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_checkpoint(folder, WORDS),
        write_whole_llava,
        lambda folder: write_clip(folder, "clip"),
        lambda folder: write_clip(folder, "siglip"),
        lambda folder: write_dual(folder, "chinese_clip"),
        lambda folder: write_hf(folder, "qwen2_vl"),
    ],
    ids=["babyllava", "llava", "clip", "siglip", "dual", "hf"],
)
def test_a_model_without_a_tokenizer_is_refused_as_eval_refuses_it(
    write: Callable[[Path], Path], babycli: Babycli, dataset: Path, tmp_path: Path
) -> None:
    folder = write(tmp_path / "model")
    assert babycli("models", "show", folder).code == 0
    for file in [*folder.glob("*token*"), *folder.glob("vocab.*")]:
        file.unlink()
    shown = babycli("models", "show", folder)
    assert (shown.code, shown.out) == (5, "")
    assert "tokenizer" in shown.err
    ran = babycli("eval", "--model", folder, "-d", dataset, "-t", "vtwt", "-l", 1, "--output-path", tmp_path / "out")
    assert (ran.code, ran.err.splitlines()[-2:]) == (5, shown.err.splitlines()[-2:])


def test_of_a_folder_above_checkpoints_those_directly_in_it_are_named(babycli: Babycli, tmp_path: Path) -> None:
    parent = tmp_path / "runs"
    for name in ("checkpoint-1000", "checkpoint-500", "logs"):
        (parent / name).mkdir(parents=True)
    write_checkpoint(parent / "checkpoint-500", WORDS)
    what = f"babycli: {parent} is not a checkpoint: it has no config.json. Did you mean "
    for words in (("models", "show", parent), ("eval", "--model", parent)):
        ran = babycli(*words)
        assert (ran.code, ran.out) == (5, "")
        assert ran.err == f"{what}'{parent}/checkpoint-500'?\n  mend: name the folder that holds it\n"
    (parent / "checkpoint-1000" / "cvcl.ckpt").write_text("")
    ran = babycli("models", "show", parent)
    assert f"{what}'{parent}/checkpoint-500' or '{parent}/checkpoint-1000'?\n" in ran.err
    for step in range(2000, 5000, 1000):
        (parent / f"checkpoint-{step}").mkdir()
        (parent / f"checkpoint-{step}" / "adapter_config.json").write_text("{}")
    ran = babycli("models", "show", parent)
    assert f"or '{parent}/checkpoint-2000'? It holds 5 that may be one.\n" in ran.err


@pytest.mark.parametrize(
    ("names", "what", "mend"),
    [
        ("dino.pth", "beside dino.pth, and weights alone, as those of a vision tower, are no model", "whole model"),
        ("model.safetensors", "beside model.safetensors\n", "copy config.json of the training run into it"),
        (
            "model.safetensors optimizer.pt scheduler.pt rng_state.pth training_args.bin",  # what a Trainer leaves
            "beside model.safetensors\n",
            "copy config.json of the training run into it",
        ),
    ],
)
def test_weights_without_config_json_are_no_model(
    names: str, what: str, mend: str, babycli: Babycli, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    for name in names.split():
        (tmp_path / "model" / name).write_bytes(b"weights")
    for words in (("models", "show"), ("eval", "--model")):
        ran = babycli(*words, tmp_path / "model")
        assert ran.code == 5
        assert f"is not a checkpoint: it has no config.json {what}" in ran.err
        assert mend in ran.err.splitlines()[-1]
