"""GPT-2 tokenizers of vocab.json and merges.txt alone, against transformers' own class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from babycli.models.parts.tokenizer import load_tokenizer
from tests.checkpoints import write_checkpoint
from tests.conftest import Babycli
from tests.models.conftest import Evaluate
from tests.models.loading import filler, load, score, write_json
from tests.models.test_bad_checkpoints import assert_explained

SENTENCES = ["What is in the image? It is a ball. It's a red cat, isn't it?", "The baby sees 2 blue cars.\n  Where?"]
TEXTS = ("ball", " a red  cat.", "<sos> It's <eos>", "naïve 球 \u2028 12345\n\n", "", "<|endoftext|>x<pad>")
NAMES = {"bos_token": "<sos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"}
CONFIGS: dict[str, dict[str, Any]] = {
    "as BabyLLaVA's": NAMES | {"tokenizer_class": "GPT2Tokenizer"},
    "with a space in front": NAMES | {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True},
    "without a word": {"tokenizer_class": "GPT2Tokenizer"},
}


def byte_pairs(folder: Path, **config: Any) -> int:
    """Writes the files that GPT2Tokenizer.save_pretrained of transformers 4 leaves; gives the number of tokens."""
    folder.mkdir(exist_ok=True)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<pad>", "<unk>", "<sos>", "<eos>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(SENTENCES * 4, trainer)
    made = json.loads(core.to_str())["model"]
    write_json(folder / "vocab.json", made["vocab"])
    lines = ["#version: 0.2", *(" ".join(pair) for pair in made["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    return len(made["vocab"])


@pytest.mark.parametrize("case", CONFIGS)
def test_ids_and_texts_are_those_of_transformers(case: str, tmp_path: Path) -> None:
    byte_pairs(tmp_path, **CONFIGS[case])
    ours = load_tokenizer(tmp_path)
    theirs: Any = transformers.GPT2Tokenizer.from_pretrained(tmp_path)
    assert ours.size == len(theirs)
    assert (ours.bos_id, ours.eos_id) == (theirs.bos_token_id, theirs.eos_token_id)
    for text in TEXTS:
        ids = theirs(text)["input_ids"]
        assert ours.encode(text) == ids
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)


def test_a_checkpoint_with_them_is_read(tmp_path: Path, evaluate: Evaluate, babycli: Babycli) -> None:
    n_tokens = byte_pairs(tmp_path / "words", **CONFIGS["as BabyLLaVA's"])
    folder = write_checkpoint(tmp_path / "model", filler(n_tokens))
    (folder / "tokenizer.json").unlink()
    for file in (tmp_path / "words").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert score(load(folder), "ball").n_tokens == len(load_tokenizer(folder).encode(" ball"))
    assert evaluate("--model", folder).code == 0
    shown = babycli("models", "show", folder)
    assert "vocab.json" in shown.out
    before = load(folder).info.fingerprint
    (folder / "merges.txt").write_text("#version: 0.2\n")
    assert load(folder).info.fingerprint != before
    (folder / "merges.txt").unlink()
    assert_explained(evaluate("--model", folder), 5, "has no tokenizer", "vocab.json with merges.txt")


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("merges.txt", b"#version: 0.2\na b c\n", "line 2"),
        ("merges.txt", b"\xff\xfe", "merges.txt"),
        ("merges.txt", b"#version: 0.2\nq zz\n", "vocab.json"),
        ("vocab.json", b"[]", "vocab.json is not a JSON object"),
        ("vocab.json", b'{"a": "b"}', "vocab.json"),
    ],
)
def test_files_that_are_none(file: str, content: bytes, says: str, tmp_path: Path, evaluate: Evaluate) -> None:
    folder = write_checkpoint(tmp_path / "model", filler(byte_pairs(tmp_path / "words")))
    (folder / "tokenizer.json").unlink()
    for each in (tmp_path / "words").iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    (folder / file).write_bytes(content)
    assert_explained(evaluate("--model", folder), 5, says)
