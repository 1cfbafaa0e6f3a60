"""The precision of a run on a CPU: float16, which most only emulate, is refused before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

import babycli as package
from babycli.errors import UsageError
from tests.conftest import Babycli
from tests.evaluation.logs import only_run, read_json

FLOAT16 = ("--dtype", "float16", "--device", "cpu")
SOME = ("--tasks", "vtwt", "--limit", 2)
OWN = """
    class Mine:
        def __init__(self, device, dtype, **args):
            if dtype == "float16":
                raise AssertionError("it is made")

        def similarity(self, features, texts):
            return [0.5] * len(texts)

        def encode(self, images):
            return images
"""
WRAPPER = """
    from lmms_eval.api.model import lmms
    from lmms_eval.api.registry import register_model

    @register_model("mine")
    class Mine(lmms):
        def __init__(self, **arguments):
            raise AssertionError("it is made")
"""


def of_checkpoint(small: Path) -> tuple[object, ...]:
    return (small,)


def of_several(small: Path) -> tuple[object, ...]:
    return ("control:length", "--model", small)


def of_hub(small: Path) -> tuple[object, ...]:
    return ("nobody/no-such-model",)  # whose family nobody knows before it is fetched


def of_plugin(small: Path) -> tuple[object, ...]:
    Path("mine.py").write_text(dedent(OWN))
    return ("mine.py",)


def of_wrapper(small: Path) -> tuple[object, ...]:
    Path("wrapper.py").write_text(dedent(WRAPPER))
    return ("lmms:wrapper.py", "--model-args", "sign=loss")


NAMES: dict[str, Callable[[Path], tuple[object, ...]]] = {
    "a checkpoint": of_checkpoint,
    "one of several": of_several,
    "a model of the hub": of_hub,
    "a class of the user's": of_plugin,
    "a wrapper": of_wrapper,
}


def assert_refused(code: int, err: str) -> None:
    assert code == 2, err
    assert "float16 is not for a CPU" in err
    for mend in ("--dtype float32", "--dtype bfloat16", "--device cuda"):
        assert mend in err
    assert "loading" not in err
    assert not Path("logs").exists()


@pytest.mark.parametrize("kind", NAMES)
def test_float16_on_a_cpu_is_refused(kind: str, linked: Path, small: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", *NAMES[kind](small), *SOME, *FLOAT16)
    assert_refused(ran.code, ran.err)


@pytest.mark.parametrize("more", [("--dry-run",), ("--watch", "--watch-for", "1s"), ("--control", "blind")])
def test_it_is_refused_however_the_command_goes_on(
    more: tuple[str, ...], linked: Path, small: Path, babycli: Babycli
) -> None:
    name = "run/checkpoint-*" if "--watch" in more else small
    ran = babycli("eval", "--model", name, *SOME, *FLOAT16, *more)
    assert_refused(ran.code, ran.err)


def test_it_is_refused_as_lmms_eval_spells_it(linked: Path, small: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", small, *SOME, "--device", "cpu", "--model_args", "dtype=float16")
    assert_refused(ran.code, ran.err)


def test_it_is_refused_in_a_sweep(linked: Path, small: Path, babycli: Babycli) -> None:
    Path("sweep.toml").write_text(
        f'models = ["{small}"]\ntasks = ["vtwt"]\nlimit = 2\ndevice = "cpu"\ndtype = "float16"\n'
    )
    ran = babycli("eval", "--config", "sweep.toml")
    assert_refused(ran.code, ran.err)


def test_it_is_refused_in_python(linked: Path, small: Path) -> None:
    with pytest.raises(UsageError, match="float16 is not for a CPU"):
        package.evaluate(small, tasks="vtwt", limit=2, device="cpu", dtype="float16")
    assert not Path("logs").exists()


@pytest.mark.parametrize("name", ["control:length", "babyllava-tiny"])
def test_what_computes_nothing_takes_any(name: str, linked: Path, babycli: Babycli) -> None:
    """So does the constant control, for which the model is not loaded."""
    more = ("--control", "constant") if name == "babyllava-tiny" else ()
    ran = babycli("eval", "--model", name, *SOME, *FLOAT16, *more, "--batch-check", 0)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_two_that_it_names_are_computed(dtype: str, linked: Path, small: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", small, *SOME, "--device", "cpu", "--dtype", dtype, "--batch-check", 0)
    assert ran.code == 0, ran.err
    assert read_json(only_run() / "run.json")["model"]["dtype"] == dtype
