"""Command lines of lmms-eval, as its users type them: what changes nothing is taken, what would is explained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from babycli.interop.lmms.typed_options import OPTIONS
from babycli.models import BUNDLED
from tests.conftest import Babycli

TINY = BUNDLED["babyllava-tiny"]
PLAN = ("--tasks", "vtwt", "--limit", "2", "--dry-run")


@pytest.fixture(autouse=True)
def _data(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BABYCLI_DATA", str(dataset))


@pytest.mark.parametrize(
    "words",
    [
        ["--log_samples"],
        ["--log_samples", "--log_samples_suffix", "tiny", "--verbosity=DEBUG"],
        ["--num_fewshot", "0"],
        ["--gen_kwargs", "temperature=0,do_sample=False,num_beams=1,top_p=None"],
        ["-x", "-w", "-c", "cache.db", "-n", "1"],
        ["--wandb_args", "project=a,name=b", "--timezone", "Europe/Berlin", "--process_with_media"],
        ["--use_cache", "dir", "--cache_requests=true", "--show_config", "--max_batch_size", "64", "--offset", "0"],
    ],
    ids=" ".join,
)
def test_what_changes_nothing_is_taken_and_said_once(words: Sequence[str], babycli: Babycli) -> None:
    plain = babycli("eval", "--model", "babyllava-tiny", *PLAN)
    ran = babycli("eval", "--model", "babyllava-tiny", *words, *PLAN)
    assert (ran.code, ran.out) == (0, plain.out), ran.err
    (line,) = [line for line in ran.err.splitlines() if line not in plain.err.splitlines()]
    assert line.startswith("note: options of lmms-eval that change nothing here: ")
    for word in words:
        assert not word.startswith("--") or word.partition("=")[0].replace("_", "-") in line


@pytest.mark.parametrize(
    ("words", "way"),
    [
        (["--num_fewshot", "5"], "no examples"),
        (["--num_fewshot=3"], "no examples"),
        (["--gen_kwargs", "temperature=0.7,max_new_tokens=5"], "--max-new-tokens N"),
        (["--gen_kwargs", "do_sample"], "--max-new-tokens N"),
        (["--apply_chat_template"], "chat_template=FILE"),
        (["--system_instruction", "be brief"], "--prompt TEXT"),
        (["--seed", "0,1234,1234,1234"], "--sample N --seed S"),
        (["--seed", "42"], "--sample N"),
        (["-n", "5"], "--limit N"),
        (["--repeats", "5"], "--limit N"),
        (["--offset", "10"], "--sample N"),
        (["--include_path", "tasks"], "--tasks path/to/file.py:TASK"),
        (["--batch_size", "auto:4"], "--batch-size auto"),
        (["--config", "runs.yaml"], "--save FILE"),
        (["--tasks", "list"], "babycli tasks"),
        (["--limit", "0.5"], "--sample N"),
        (["--limit", "-1"], "leave it out for all"),
        (["--max_tokens", "100000"], "--max-new-tokens N"),
        (["--power-analysis", "--effect-size", "0.03"], "babycli report --compare A B"),
        (["--num_fewshot"], "leave it out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_would_change_numbers_is_refused_with_the_way(words: Sequence[str], way: str, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "babyllava-tiny", "--tasks", "vtwt", "--dry-run", *words)
    assert (ran.code, ran.out) == (2, "")
    message, mend = ran.err.splitlines()[-2:]
    assert words[0].replace("_", "-") in message
    assert way in mend


def test_a_sample_has_a_seed_all_the_same(babycli: Babycli) -> None:
    words = ("--sample", "3", "--seed", "42", "--tasks", "vtwt", "--dry-run")
    ran = babycli("eval", "--model", "babyllava-tiny", *words)
    assert (ran.code, "vtwt" in ran.out, "lmms-eval" in ran.err) == (0, True, False)


def test_none_of_them_is_in_the_help(babycli: Babycli) -> None:
    page = babycli("eval", "--help").out
    own = {"--seed", "--limit", "--batch-size", "--config", "--tasks"}
    assert not [option.name for option in OPTIONS if f"{option.name} " in page and option.name not in own]
    assert all(option.why_idle or (option.refusal and option.mend) for option in OPTIONS)


@pytest.mark.parametrize("name", ["llava_hf", "qwen2_vl", "babyllava"])
def test_a_class_of_lmms_eval_means_its_checkpoint(name: str, babycli: Babycli) -> None:
    words = ("--model", name, "--model_args", f"pretrained={TINY},conv_template=plain,attn_implementation=sdpa")
    ran = babycli("eval", *words, "--batch_size", "1", "--output_path", "./logs/", *PLAN)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"{TINY} on demo: would be evaluated")
    assert "attn_implementation of lmms-eval's models changes nothing here" in ran.err
    assert (f"{name} of lmms-eval is  --model {TINY}  here" in ran.err) == (name != "babyllava")


def test_a_class_without_a_checkpoint_is_explained(babycli: Babycli) -> None:
    ran = babycli("eval", "--model=qwen2_vl", "--model_args=max_pixels=9", *PLAN)
    assert (ran.code, ran.out) == (2, "")
    assert "babycli eval --model PATH-OR-HUB-ID" in ran.err
    ran = babycli("eval", "--model", "llva", "--model_args", f"pretrained={TINY}", *PLAN)
    assert (ran.code, ran.out) == (2, "")
    assert f"--model {TINY}" in ran.err


def test_the_vllm_class_names_its_checkpoint_otherwise(babycli: Babycli) -> None:
    ran = babycli("eval", "-m", "vllm", *PLAN, "--model_args", f"model={TINY}")
    assert (ran.code, ran.out.startswith(f"{TINY} on demo")) == (0, True), ran.err
