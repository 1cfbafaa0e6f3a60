"""CLIP and SigLIP against transformers' own classes called directly, one pair at a time, and what they refuse."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from babycli.domain import CannotAnswer
from babycli.models.base import Model, Tokens
from tests.conftest import Babycli
from tests.models.conftest import Evaluate
from tests.models.loading import asked, edit_json, load, picture, similarity, tokenize, write_json
from tests.models.test_bad_checkpoints import assert_explained

WORDS = ["a", "photo", "of", "red", "ball", "cat", "blue", "tree"]
SPECIAL = ["<pad>", "<unk>", "<start>", "<end>"]
END = 3
KINDS = ("clip", "siglip")
TEXTS = ("ball", "red ball", "a photo of a blue cat")
EDGE = 24
N_POSITIONS = 12
TEXT = {"vocab_size": len(SPECIAL) + len(WORDS), "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2} | {
    "num_attention_heads": 4,
    "max_position_embeddings": N_POSITIONS,
    "projection_dim": 16,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": END,
}
VISION = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4} | {
    "image_size": EDGE,
    "patch_size": 8,
    "projection_dim": 16,
}


def write(folder: Path, kind: str, seed: int = 0) -> Path:
    """A small checkpoint as save_pretrained writes it, with a word-level tokenizer of the kind's own way."""
    torch.manual_seed(seed)
    text: dict[str, Any] = TEXT | ({"projection_size": 32} if kind == "siglip" else {})
    sides: dict[str, Any] = {"text_config": text, "vision_config": VISION}
    network: Any = (
        CLIPModel(CLIPConfig(**sides, projection_dim=16)) if kind == "clip" else SiglipModel(SiglipConfig(**sides))
    )
    for parameter in network.parameters():
        parameter.data *= 2 if parameter.dim() > 1 else 1  # so that pictures differ by more than rounding
    network.save_pretrained(folder)
    vocab = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    start = "<start> " if kind == "clip" else ""
    tokenizer.post_processor = TemplateProcessing(
        single=f"{start}$A <end>", special_tokens=[("<start>", 2), ("<end>", END)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "<end>", "bos_token": "<start>"}
    write_json(folder / "tokenizer_config.json", names | {"tokenizer_class": "PreTrainedTokenizerFast"})
    processor: Any = CLIPImageProcessorPil if kind == "clip" else SiglipImageProcessorPil
    size = {"shortest_edge": EDGE} if kind == "clip" else {"height": EDGE, "width": EDGE}
    crop = {"crop_size": {"height": EDGE, "width": EDGE}} if kind == "clip" else {}
    processor(size=size, **crop).save_pretrained(folder)
    return folder


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "model", request.param)


def network_of(folder: Path) -> Any:
    """transformers' own class, called directly."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    network_class: Any = CLIPModel if kind == "clip" else SiglipModel
    return network_class.from_pretrained(folder).eval()


def vector(folder: Path, network: Any, seed: int) -> Tensor:
    """Of one picture, by the image encoder and, in a CLIP, the projection."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    processor: Any = (CLIPImageProcessorPil if kind == "clip" else SiglipImageProcessorPil).from_pretrained(folder)
    with torch.inference_mode():
        pixels = processor(picture(seed), return_tensors="pt")["pixel_values"]
        pooled = network.vision_model(pixels).pooler_output
        found: Tensor = network.visual_projection(pooled) if kind == "clip" else pooled
    return found[0]


def direct(folder: Path, seed: int, text: str, network: Any = None) -> float:
    """The cosine out of transformers' own logits for one picture and one text; its network is read if not given."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    network = network or network_of(folder)
    processor: Any = (CLIPImageProcessorPil if kind == "clip" else SiglipImageProcessorPil).from_pretrained(folder)
    vocab = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    words = [vocab[word] for word in text.split()]
    ids = [2, *words, END] if kind == "clip" else [*words, END] + [0] * (N_POSITIONS - len(words) - 1)
    with torch.inference_mode():
        pixels = processor(picture(seed), return_tensors="pt")["pixel_values"]
        logit = network(input_ids=torch.tensor([ids]), pixel_values=pixels).logits_per_image
        if kind == "siglip":
            logit = logit - network.logit_bias
        return float(logit / network.logit_scale.exp())


def scores(model: Model, seeds: range, texts: tuple[str, ...], batch: int) -> list[float]:
    """Every picture with every text, in batches of equal keys."""
    pixels = [model.preprocess(picture(seed)) for seed in seeds]
    features = [f for i in range(0, len(pixels), batch) for f in model.encode(pixels[i : i + batch])]
    found = {}
    for text in texts:
        tokens: Tokens = tokenize(model, "", text)
        for i in range(0, len(features), batch):
            some = features[i : i + batch]
            for j, score in enumerate(similarity(model, some, [tokens] * len(some))):
                found[i + j, text] = score.value
    return [found[i, text] for i in range(len(features)) for text in texts]


# ---------------------------------------------------------------- numbers


def test_cosines_are_those_of_transformers(folder: Path) -> None:
    model, network = load(folder), network_of(folder)
    expected = [direct(folder, seed, text, network) for seed in range(3) for text in TEXTS]
    assert scores(model, range(3), TEXTS, 1) == pytest.approx(expected, abs=1e-6)
    assert scores(model, range(3), TEXTS, 3) == pytest.approx(expected, abs=1e-6)
    assert max(expected) - min(expected) > 1e-3
    assert model.info.abilities.words == ("similarity", "match")


def test_the_batch_does_not_matter(folder: Path) -> None:
    model = load(folder)
    alone = scores(model, range(64), TEXTS, 1)
    for batch in (7, 64):
        assert scores(model, range(64), TEXTS, batch) == pytest.approx(alone, abs=1e-5)


def test_equal_pictures_and_equal_texts_tie(folder: Path) -> None:
    model = load(folder)
    one, other, again = (model.encode([model.preprocess(picture(seed))])[0] for seed in (0, 1, 0))
    assert one.digest == again.digest != other.digest
    tokens = tokenize(model, "", "ball")
    assert similarity(model, [one], [tokens]) == similarity(model, [other, again], [tokens] * 2)[1:]
    assert tokenize(model, "", "zebra") == tokenize(model, "", "horse")  # both unknown to the vocabulary


def test_two_pictures_are_compared_by_their_vectors(folder: Path) -> None:
    """By transformers' own class, in either order, in any batch."""
    model, network = load(folder), network_of(folder)
    vectors = [vector(folder, network, seed) for seed in range(4)]
    features = model.encode([model.preprocess(picture(seed)) for seed in range(4)])
    chosen = [(a, b) for a in range(4) for b in range(4)]
    together = model.match([(features[a], features[b]) for a, b in chosen])
    for (a, b), score in zip(chosen, together, strict=True):
        expected = torch.cosine_similarity(vectors[a], vectors[b], dim=0)
        assert score.value == pytest.approx(float(expected), abs=1e-6)
        assert model.match([(features[b], features[a])]) == [score]
    assert [together[chosen.index((a, a))].value for a in range(4)] == pytest.approx([1.0] * 4, abs=1e-15)
    assert len({score.value for score in together}) > 6


def test_a_prompt_is_filled_with_the_text(folder: Path) -> None:
    model = load(folder)
    assert tokenize(model, "a photo of a {}", "red ball") == tokenize(model, "", "a photo of a red ball")
    assert tokenize(model, "a photo of", "ball") == tokenize(model, "", "a photo of ball")


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.01), ("bfloat16", 0.05)])
def test_half_precision_is_near(dtype: str, tolerance: float, folder: Path) -> None:
    exact, half = scores(load(folder), range(4), TEXTS, 4), scores(load(folder, dtype=dtype), range(4), TEXTS, 4)
    assert half == pytest.approx(exact, abs=tolerance)
    assert half != exact


def test_nan_weights_give_no_number(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    next(w for n, w in weights.items() if n.startswith("vision_model") and n.endswith("weight")).fill_(math.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load(folder)
    assert any("NaN" in note for note in model.info.notes)
    assert all(math.isnan(value) for value in scores(model, range(2), TEXTS, 2))
    one, other = model.encode([model.preprocess(picture(seed)) for seed in range(2)])
    assert all(math.isnan(score.value) for score in model.match([(one, other), (one, one)]))


def test_a_text_that_does_not_fit_is_not_cut(folder: Path) -> None:
    model = load(folder)
    n_special = 2 if tokenize(model, "", "ball").ids[0] == 2 else 1  # <start>, which only CLIP has, and <end>
    assert len(tokenize(model, "", " ".join(["ball"] * (N_POSITIONS - n_special))).ids) == N_POSITIONS
    refused = model.tokenize(asked(), " ".join(["ball"] * (N_POSITIONS + 1 - n_special)))
    assert isinstance(refused, CannotAnswer)
    assert re.search(rf"{N_POSITIONS + 1} positions.*{N_POSITIONS}", refused.why)


# ---------------------------------------------------------------- the command


def logged(logs: Path, pattern: str) -> str:
    (path,) = logs.glob(f"*/*/{pattern}")
    return path.read_text()


def test_the_log_holds_similarities(folder: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    ran = evaluate("--model", folder, "--tasks", "labeled_s,vtwt,baby_winoground", "--limit", 2)
    assert ran.code == 0, ran.err
    line = json.loads(logged(tmp_path / "logs", "*_samples_vtwt.jsonl").splitlines()[0])
    assert [len(response) for response in line["resps"]] == [1, 1]
    assert all(-1 <= response[0] <= 1 for response in line["resps"])
    winoground = json.loads(logged(tmp_path / "logs", "*_samples_baby_winoground.jsonl").splitlines()[0])
    assert winoground["image_score"]["img0_phrase0_similarity"] == winoground["resps"][0][0]
    score = json.loads(logged(tmp_path / "logs", "scores.rank0.jsonl").splitlines()[0])
    assert set(score) == {"turns", "prompt", "text", "similarity", "input", "of", "check"}


def test_captions_are_left_out_unless_asked_for(
    folder: Path, evaluate: Evaluate, babycli: Babycli, dataset: Path, tmp_path: Path
) -> None:
    ran = evaluate("--model", folder, "--tasks", "saycam_caption")
    assert_explained(ran, 5, "saycam_caption", "expected is generate", "it offers similarity")
    ran = babycli("eval", "--model", folder, "--data", dataset, "--output-path", tmp_path / "all", "--limit", 1)
    assert ran.code == 0, ran.err
    assert "left out saycam_caption" in ran.err
    tasks = json.loads(logged(tmp_path / "all", "run.json"))["tasks"]
    assert list(tasks) == ["labeled_s", "vtwt", "baby_winoground"]


def test_show_needs_no_weights(folder: Path, babycli: Babycli) -> None:
    expected = load(folder).info.n_parameters
    (folder / "model.safetensors").unlink()
    ran = babycli("models", "show", folder, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["n_parameters"] == expected


# ---------------------------------------------------------------- what is refused


def set_config(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        write_json(folder / "config.json", json.loads((folder / "config.json").read_text()) | changes)

    return change


def without_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["logit_scale"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def cut_off(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


WRONG: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "vision only": (set_config(model_type="clip_vision_model"), ["'clip_vision_model'", "expected is"]),
    "text only": (set_config(model_type="gpt2"), ["'gpt2'", "expected is"]),
    "an unknown type": (set_config(model_type="nothing"), ["'nothing'", "expected is"]),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ["no weights"]),
    "a weight is missing": (without_a_tensor, ["1 missing", "logit_scale"]),
    "cut off": (cut_off, ["model.safetensors"]),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ["no tokenizer"]),
    "no image processor": (lambda f: (f / "preprocessor_config.json").unlink(), ["preprocessor_config.json"]),
    "another layer count": (set_config(text_config=TEXT | {"num_hidden_layers": 3}), ["missing"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_folders(case: str, folder: Path, evaluate: Evaluate) -> None:
    spoil, names = WRONG[case]
    spoil(folder)
    assert_explained(evaluate("--model", folder), 5, *names)
    if case == "vision only":
        assert_explained(evaluate("--model", "clip", "--model-args", f"pretrained={folder}"), 5, *names, "text_config")


# ---------------------------------------------------------------- keys of config.json


def test_what_says_how_to_compute_changes_nothing(folder: Path, babycli: Babycli, evaluate: Evaluate) -> None:
    before = scores(load(folder), range(2), TEXTS, 1)
    edit_json(folder / "config.json", return_dict=False, attn_implementation="flash_attention_2", torch_dtype="float16")
    assert scores(load(folder), range(2), TEXTS, 1) == before
    assert evaluate("--model", folder).code == 0
    edit_json(folder / "config.json", quantization_config={"load_in_8bit": True})
    for ran in (evaluate("--model", folder), babycli("models", "show", folder)):
        assert_explained(ran, 5, folder / "config.json", "quantization_config")


def test_an_image_encoder_that_cannot_be(tmp_path: Path, evaluate: Evaluate) -> None:
    folder = write(tmp_path / "model", "siglip")
    vision = json.loads((folder / "config.json").read_text())["vision_config"]
    edit_json(folder / "config.json", vision_config=vision | {"image_size": [EDGE, EDGE]})
    assert_explained(evaluate("--model", folder), 5, folder / "config.json", "vision_config.image_size [24, 24]")
    edit_json(folder / "config.json", vision_config=vision | {"vision_use_head": False})
    assert_explained(evaluate("--model", folder), 5, folder / "config.json", "vision_config.vision_use_head false")


def test_settings_of_pictures_that_are_not_known_are_named(folder: Path, evaluate: Evaluate, babycli: Babycli) -> None:
    before = load(folder).preprocess(picture(0))
    edit_json(folder / "preprocessor_config.json", do_sharpen=True)
    assert torch.equal(load(folder).preprocess(picture(0)), before)
    note = f"{folder / 'preprocessor_config.json'}: babycli does not know and does not use do_sharpen"
    assert note in evaluate("--model", folder).err
    assert note in babycli("models", "show", folder).out


def test_no_library_warns_of_ids_that_nothing_reads(
    folder: Path, babycli: Babycli, caplog: pytest.LogCaptureFixture
) -> None:
    """transformers' own defaults of some ids lie beyond a small vocabulary, SigLIP's even beyond its own."""
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        assert babycli("models", "show", folder).code == 0
        assert babycli("models", "show", "babyllava-tiny").code == 0
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages == []
