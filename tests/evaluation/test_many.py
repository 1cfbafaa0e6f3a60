"""Many checkpoints in one command: each evaluated, pictures decoded once, a broken one passed over."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from babycli.evaluation.inputs import Inputs
from babycli.evaluation.prefetch import Kept
from babycli.models import load_model, matching
from babycli.models.parts.vision import ResNeXt
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import Babycli
from tests.evaluation.logs import only_run, read_json, results, samples
from tests.llava_checkpoints import TOWER, write_llava, write_tower

SOME = ("--tasks", "labeled_s,vtwt", "--limit", "10")
STEPS = ("step-9", "step-10", "step-100")


@pytest.fixture
def checkpoints(linked: Path) -> Path:
    """Three checkpoints of a training run, and a file that is none."""
    for seed, name in enumerate(STEPS):
        write_checkpoint(linked / "checkpoints" / name, DEMO_WORDS, seed=seed)
    (linked / "checkpoints" / "trainer_state.json").write_text("{}")
    return linked / "checkpoints"


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images as they are decoded."""
    names: list[str] = []
    open_image = Inputs.open_image

    def noting(self: Inputs, image):  # type: ignore[no-untyped-def]
        names.append(image.name)
        return open_image(self, image)

    monkeypatch.setattr(Inputs, "open_image", noting)
    return names


def test_each_is_evaluated_as_it_is_alone_in_the_order_of_its_steps(
    checkpoints: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = decoded(monkeypatch)
    ran = babycli("eval", "--model", "checkpoints/*", *SOME)
    assert ran.code == 0, ran.err
    assert len(names) == len(set(names)), "an image was decoded twice"
    told = [line.split()[-1] for line in ran.err.splitlines() if line.startswith("model ")]
    assert told == [f"checkpoints/{name}" for name in STEPS]
    assert all(name in ran.out for name in STEPS)
    for name in STEPS:
        assert babycli("eval", "--model", checkpoints / name, *SOME, "--output-path", "alone").code == 0
        alone = only_run(Path("alone") / f"checkpoints__{name}")
        together = only_run(Path("logs") / f"checkpoints__{name}")
        assert results(together)["results"] == results(alone)["results"]
        assert samples(together, "vtwt") == samples(alone, "vtwt")


def test_the_option_given_again_names_several(checkpoints: Path, babycli: Babycli) -> None:
    words = ("--model", "checkpoints/step-9", "--model", "control:constant", "--model", "checkpoints/step-9")
    ran = babycli("eval", *words, *SOME)
    assert ran.code == 0, ran.err
    assert len(list(Path("logs").rglob("*_results.json"))) == 2


def test_a_broken_one_is_passed_over_and_the_command_exits_5(checkpoints: Path, babycli: Babycli) -> None:
    (checkpoints / "step-10" / "model.safetensors").write_bytes(b"cut off")
    ran = babycli("eval", "--model", "checkpoints/*", *SOME)
    assert ran.code == 5
    assert "failed: cannot read the weights" in ran.err
    assert "  mend: \n" not in ran.err
    assert "1 of 3 models could not be evaluated: checkpoints/step-10" in ran.err
    assert "step-9" in ran.out
    assert "step-100" in ran.out
    assert len(list(Path("logs").rglob("*_results.json"))) == 2


@pytest.mark.parametrize("content", ["{", *(pytest.param(other, marks=pytest.mark.long) for other in (None, "{}"))])
def test_a_folder_that_is_no_checkpoint_is_passed_over(
    content: str | None, checkpoints: Path, babycli: Babycli
) -> None:
    (checkpoints / "tensorboard").mkdir()
    if content is not None:
        (checkpoints / "tensorboard" / "config.json").write_text(content)
    ran = babycli("eval", "--model", "checkpoints/*", *SOME)
    assert ran.code == 5
    assert "1 of 4 models could not be evaluated: checkpoints/tensorboard" in ran.err
    assert len(list(Path("logs").rglob("*_results.json"))) == 3


def test_a_task_that_was_named_and_none_can_do_is_not_left_out_in_silence(checkpoints: Path, babycli: Babycli) -> None:
    for name in ("one", "two"):
        (checkpoints / f"{name}.py").write_text(
            "class Dual:\n"
            "    def __init__(self, device, dtype): pass\n"
            "    def similarity(self, images, texts): return [0.0] * len(texts)\n"
        )
    words = ("--model", "checkpoints/one.py:Dual", "--model", "checkpoints/two.py:Dual", "--limit", 3)
    ran = babycli("eval", *words, "--tasks", "vtwt,saycam_caption")
    assert ran.code == 5
    assert ran.err.count("cannot do saycam_caption") == 2
    assert babycli("eval", *words).code == 0


def test_one_that_cannot_do_a_named_task_is_passed_over(checkpoints: Path, babycli: Babycli) -> None:
    (checkpoints / "dual.py").write_text(
        "class Dual:\n"
        "    def __init__(self, device, dtype): pass\n"
        "    def similarity(self, images, texts): return [0.0] * len(texts)\n"
    )
    words = ("--model", "checkpoints/step-9", "--model", "checkpoints/dual.py:Dual", "--tasks", "saycam_caption")
    ran = babycli("eval", *words, "--limit", 3)
    assert ran.code == 5
    assert "cannot do saycam_caption" in ran.err
    assert len(list(Path("logs").rglob("*_results.json"))) == 1


def test_a_conflict_of_one_does_not_stop_the_others(checkpoints: Path, babycli: Babycli) -> None:
    assert babycli("eval", "--model", "checkpoints/step-10", *SOME).code == 0
    next(Path("logs").rglob("*_results.json")).unlink()
    write_checkpoint(checkpoints / "step-10", DEMO_WORDS, seed=77)
    ran = babycli("eval", "--model", "checkpoints/*", *SOME)
    assert ran.code == 6
    assert "model fingerprint" in ran.err
    assert len(list(Path("logs").rglob("*_results.json"))) == 2


def test_all_of_them_go_on_after_an_interruption(
    checkpoints: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 0

    def interrupted(*arguments):  # type: ignore[no-untyped-def]
        nonlocal n
        n += 1
        if n == 3:
            raise KeyboardInterrupt
        return load_model(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("babycli.evaluation.run.load_model", interrupted)
        assert babycli("eval", "--model", "checkpoints/*", *SOME).code == 130
    assert len(list(Path("logs").rglob("*_results.json"))) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "nowhere/*"), "no checkpoint is named 'nowhere/*'"),
        (("--model", "checkpoints/*", "--model", "elsewhere/checkpoints/*"), "would lie in one folder"),
        (("--model", "checkpoints/step-9", "--model", "babylava"), "unknown model 'babylava'"),
    ],
)
def test_bad_names_exit_2_before_anything_is_done(
    words: Sequence[str], said: str, checkpoints: Path, babycli: Babycli
) -> None:
    shutil.copytree(checkpoints, Path("elsewhere/checkpoints"))
    ran = babycli("eval", *words, *SOME)
    assert ran.code == 2
    assert said in ran.err
    assert not Path("logs").exists()


def test_steps_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("run-2-step-10", "run-2-step-9", "run-10-step-1", "run-2-final"):
        (tmp_path / name).mkdir()
    (tmp_path / "run-file").touch()
    found = [Path(name).name for name in matching(f"{tmp_path}/run-*")]
    assert found == ["run-2-final", "run-2-step-9", "run-2-step-10", "run-10-step-1"]
    assert matching("control:random?seed=3") == ["control:random?seed=3"]
    assert matching("org/name") == ["org/name"]


class Pixels:
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def test_pixels_are_kept_for_models_that_prepare_alike_and_within_bounds() -> None:
    kept = Kept(100)
    kept.start("a")
    first, second, third = Pixels(60), Pixels(50), Pixels(40)
    kept.keep("1", first)
    kept.keep("2", second)  # one too many
    kept.keep("3", third)
    kept.start("a")
    assert [kept.get(name) for name in "123"] == [first, None, third]
    kept.start("b")
    assert [kept.get(name) for name in "123"] == [None, None, None]
    kept.keep("1", first)
    for _ in range(2):
        kept.start(None)  # a model that does not say how it prepares
        assert kept.get("1") is None
        kept.keep("1", first)


@pytest.mark.parametrize("reuse", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_tower_that_checkpoints_share_sees_each_picture_once_if_wished(
    reuse: bool, checkpoints: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    towers = {name: load_file(checkpoints / name / "model.safetensors") for name in STEPS}
    for name in ("step-10", "step-100"):  # the last has a tower of its own
        shared = towers["step-9" if name == "step-10" else name]
        own = {k: shared[k] if ".vision_tower." in k else v for k, v in towers[name].items()}
        save_file(own, checkpoints / name / "model.safetensors", {"format": "pt"})
    n_seen, forward = 0, ResNeXt.forward

    def counting(self: ResNeXt, pixels: Tensor) -> Tensor:
        nonlocal n_seen
        n_seen += len(pixels)
        return forward(self, pixels)

    monkeypatch.setattr(ResNeXt, "forward", counting)
    words = ("--feature-reuse",) if reuse else ()
    assert babycli("eval", "--model", "checkpoints/*", *SOME, *words).code == 0
    n_images = read_json(only_run(Path("logs/checkpoints__step-9")) / "run.json")["plan"]["images"]
    assert n_seen == n_images * (2 if reuse else 3)
    assert babycli("eval", "--model", "checkpoints/step-10", *SOME, "--output-path", "alone").code == 0
    one, other = (only_run(Path(logs) / "checkpoints__step-10") for logs in ("logs", "alone"))
    assert (one / "scores.rank0.jsonl").read_bytes() == (other / "scores.rank0.jsonl").read_bytes()


def test_towers_of_equal_weights_and_other_settings_are_not_taken_for_one(
    linked: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tower(linked / "checkpoints" / TOWER)
    for name, layer in (("penultimate", -2), ("last", -1)):
        write_llava(linked / "checkpoints" / name, mm_vision_select_layer=layer)
    words = ("--model", "checkpoints/penultimate", "--model", "checkpoints/last", *SOME)
    assert babycli("eval", *words, "--feature-reuse").code == 0
    assert babycli("eval", *words, "--output-path", "plain").code == 0
    for name in ("penultimate", "last"):
        one, other = (only_run(Path(logs) / f"checkpoints__{name}") for logs in ("logs", "plain"))
        assert (one / "scores.rank0.jsonl").read_bytes() == (other / "scores.rank0.jsonl").read_bytes()
