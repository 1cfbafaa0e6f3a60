"""Dual encoders of transformers against its own classes called directly, with texts padded as by its processors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from torch.nn.functional import normalize

from babycli.domain import CannotAnswer
from babycli.models.base import Model
from tests.conftest import Babycli
from tests.models.conftest import Evaluate
from tests.models.dry_run.pretended_device import TO_DEVICE, TO_HOST, PretendedDevice
from tests.models.loading import asked, edit_json, load, picture, save, similarity, tokenize, write_json
from tests.models.test_bad_checkpoints import assert_explained

pytestmark = pytest.mark.usefixtures("one_thread")

LIBRARY: Any = transformers
WORDS = ["a", "photo", "of", "red", "ball", "cat", "blue", "tree"]
SPECIAL = ["<pad>", "<unk>", "<start>", "<end>"]
TEXTS = ("ball", "red ball", "a photo of a blue cat")
N_TOKENS, N_POSITIONS, EDGE = len(SPECIAL) + len(WORDS), 20, 32
SIDE = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = (
    SIDE
    | {"vocab_size": N_TOKENS, "max_position_embeddings": N_POSITIONS, "pad_token_id": 0}
    | {
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
)
VISION = SIDE | {"image_size": EDGE, "patch_size": 8}
SQUARE = {"size": {"height": EDGE, "width": EDGE}}
CROPPED = {"size": {"shortest_edge": EDGE}, "crop_size": {"height": EDGE, "width": EDGE}}


def two_sides(name: str, **more: Any) -> Callable[[], tuple[Any, Any]]:
    """A network of two sides of equal settings; an image processor as CLIP's."""

    def make() -> tuple[Any, Any]:
        config = getattr(LIBRARY, f"{name}Config")(text_config=TEXT, vision_config=VISION, projection_dim=16, **more)
        return getattr(LIBRARY, f"{name}Model")(config), LIBRARY.CLIPImageProcessorPil(**CROPPED)

    return make


def align() -> tuple[Any, Any]:
    vision = {"image_size": EDGE, "kernel_sizes": [3, 3], "in_channels": [32, 16], "out_channels": [16, 24]} | {
        "depthwise_padding": [],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 6],
        "hidden_dim": 24,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    }
    config = LIBRARY.AlignConfig(text_config=TEXT, vision_config=vision, projection_dim=24)
    return LIBRARY.AlignModel(config), LIBRARY.EfficientNetImageProcessorPil(**SQUARE, do_center_crop=False)


def altclip() -> tuple[Any, Any]:
    text = TEXT | {"project_dim": 24, "pad_token_id": 1, "type_vocab_size": 1}
    config = LIBRARY.AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    return LIBRARY.AltCLIPModel(config), LIBRARY.CLIPImageProcessorPil(**CROPPED)


def blip() -> tuple[Any, Any]:
    text = TEXT | {"projection_dim": 16, "encoder_hidden_size": 32, "sep_token_id": 3}
    vision = VISION | {"initializer_range": 0.02}  # a ten-thousandth of a millionth by default: no picture would count
    config = LIBRARY.BlipConfig(text_config=text, vision_config=vision, projection_dim=16, image_text_hidden_size=16)
    return LIBRARY.BlipForImageTextRetrieval(config), LIBRARY.BlipImageProcessorPil(**SQUARE)


def flava() -> tuple[Any, Any]:
    sides = {"text_config": TEXT, "image_config": VISION, "multimodal_config": SIDE}
    config = LIBRARY.FlavaConfig(**sides, projection_dim=16, hidden_size=32)
    processor = LIBRARY.FlavaImageProcessorPil(**SQUARE, crop_size={"height": EDGE, "width": EDGE})
    return LIBRARY.FlavaModel(config), processor


def siglip2() -> tuple[Any, Any]:
    text = TEXT | {"projection_size": 32, "max_position_embeddings": 64}
    vision = SIDE | {"patch_size": 8, "num_patches": 16}
    config = LIBRARY.Siglip2Config(text_config=text, vision_config=vision)
    return LIBRARY.Siglip2Model(config), LIBRARY.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=12)


KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "align": align,
    "altclip": altclip,
    "blip": blip,
    "chinese_clip": two_sides("ChineseCLIP"),
    "flava": flava,
    "metaclip_2": two_sides("MetaClip2"),
    "siglip2": siglip2,
}


def write(folder: Path, kind: str) -> Path:
    """A small checkpoint as save_pretrained writes it, with a word-level tokenizer."""
    torch.manual_seed(0)
    network, images = KINDS[kind]()
    for parameter in network.parameters():
        parameter.data *= 3 if parameter.dim() > 1 else 1  # so that pictures differ by more than rounding
    network.save_pretrained(folder)
    images.save_pretrained(folder)
    pad, unk = ("<unk>", "<pad>") if kind == "altclip" else ("<pad>", "<unk>")
    vocab = {word: i for i, word in enumerate([pad, unk, *SPECIAL[2:], *WORDS])}
    if kind == "altclip":
        vocab["<pad>"], vocab["<unk>"] = 1, 0
    tokenizer = Tokenizer(WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    marks = [("<start>", 2), ("<end>", 3)]
    tokenizer.post_processor = TemplateProcessing(single="<start> $A <end>", special_tokens=marks)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "<end>", "bos_token": "<start>"}
    inputs = ["input_ids"] if kind == "siglip2" else ["input_ids", "attention_mask"]
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": inputs, "padding_side": "right"}
    write_json(folder / "tokenizer_config.json", names | settings)
    return folder


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "model", request.param)


def direct(folder: Path, kind: str, head: str = "itc") -> Tensor:
    """Three pictures with three texts (3, 3), by the class that made the checkpoint; the texts share a batch."""
    made, images = KINDS[kind]()
    network = type(made).from_pretrained(folder).eval()
    seen = images(images=[picture(seed, 40 + 9 * seed, 30) for seed in range(3)], return_tensors="pt")
    tokenizer = LIBRARY.AutoTokenizer.from_pretrained(folder)
    how = {"padding": "max_length", "max_length": 64} if kind == "siglip2" else {"padding": True}
    texts = tokenizer(list(TEXTS), return_tensors="pt", **how)
    texts.pop("token_type_ids", None)
    with torch.inference_mode():
        if kind == "blip" and head == "itm":
            one = {name: values[:, None] for name, values in texts.items()}
            rows = [
                [network(pixel_values=p[None], **{n: v[i] for n, v in one.items()}).itm_score[0] for i in range(3)]
                for p in seen["pixel_values"]
            ]
            return torch.tensor([[float(score[1] - score[0]) for score in row] for row in rows])
        if kind == "blip":
            found: Tensor = network(**seen, **texts, use_itm_head=False).itm_score
            return found
        if kind == "flava":
            picture_vectors = network.image_projection(network.image_model(**seen).last_hidden_state[:, 0])
            text_vectors = network.text_projection(network.text_model(**texts).last_hidden_state[:, 0])
            return normalize(picture_vectors, dim=-1) @ normalize(text_vectors, dim=-1).T
        logits: Tensor = network(**seen, **texts).logits_per_image
        scale = 1 / network.temperature if kind == "align" else network.logit_scale.exp()
        cosines: Tensor = (logits - getattr(network, "logit_bias", 0)) / scale
        return cosines


def scores(model: Model, batch: int = 3) -> Tensor:
    pixels = [model.preprocess(picture(seed, 40 + 9 * seed, 30)) for seed in range(3)]
    features = [f for i in range(0, 3, batch) for f in model.encode(pixels[i : i + batch])]
    tokens = [tokenize(model, "", text) for text in TEXTS]
    return torch.tensor([[similarity(model, [f], [t])[0].value for t in tokens] for f in features])


def kind_in(folder: Path) -> str:
    return str(json.loads((folder / "config.json").read_text())["model_type"])


def test_cosines_are_those_of_transformers(folder: Path) -> None:
    expected = direct(folder, kind_in(folder))
    model = load(folder)
    assert torch.allclose(scores(model), expected, atol=2e-6)
    assert (expected.max(0).values - expected.min(0).values).min() > 1e-4  # the picture counts
    assert (expected.max(1).values - expected.min(1).values).min() > 1e-4  # and the words
    assert model.info.family == "dual"
    assert not model.info.notes


@pytest.mark.parametrize("kind", ["blip", "flava"])
def test_two_pictures_are_compared(kind: str, tmp_path: Path) -> None:
    model = load(write(tmp_path / "model", kind))
    one, other = model.encode([model.preprocess(picture(seed)) for seed in range(2)])
    assert model.match([(one, one), (one, other)])[0].value == pytest.approx(1)
    assert model.match([(one, other)]) == model.match([(other, one)])


def test_the_matching_head_of_a_blip(tmp_path: Path, evaluate: Evaluate) -> None:
    folder = write(tmp_path / "model", "blip")
    model, expected = load(folder, head="itm"), direct(folder, "blip", "itm")
    assert torch.allclose(scores(model), expected, atol=5e-6)
    assert not torch.allclose(scores(model), scores(load(folder)), atol=1e-2)
    assert_explained(evaluate("--model", folder, "--model-args", "head=both"), 2, "head")
    other = write(tmp_path / "other", "altclip")
    assert_explained(evaluate("--model", other, "--model-args", "head=itm"), 2, "only a BLIP")


def test_features_of_pairs_pass_to_the_machine_once_a_batch(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "blip")
    pictures = [picture(seed) for seed in range(3)]
    on_cpu = load(folder, head="itm")
    expected = [features.digest for features in on_cpu.encode([on_cpu.preprocess(image) for image in pictures])]
    device = PretendedDevice("meta:1")
    with device.pretending():
        model = load(folder, device="meta:1", head="itm")
        device.counts.clear()
        features = model.encode([model.preprocess(image) for image in pictures])
    assert device.counts == {TO_DEVICE: 1, TO_HOST: 1}
    assert [one.digest for one in features] == expected


def test_a_blip_that_writes_captions_is_none_of_these(tmp_path: Path, evaluate: Evaluate) -> None:
    folder = write(tmp_path / "model", "blip")
    edit_json(folder / "config.json", architectures=["BlipForConditionalGeneration"])
    ran = evaluate("--model", "dual", "--model-args", f"pretrained={folder}")
    assert_explained(ran, 5, "'blip' is no dual encoder", "BlipForImageTextRetrieval")


@pytest.mark.parametrize("kind", ["siglip2", "altclip", "chinese_clip"])
def test_a_text_that_does_not_fit_is_not_cut(kind: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", kind)
    model = load(folder)
    most = {"siglip2": 64, "altclip": N_POSITIONS - 2}.get(kind, N_POSITIONS)
    tokenizer = LIBRARY.AutoTokenizer.from_pretrained(folder)
    lengths = {n: len(tokenizer(" ".join(["ball"] * n))["input_ids"]) for n in range(1, 70)}
    fitting = max(n for n, length in lengths.items() if length <= most)
    assert not isinstance(model.tokenize(asked(), " ".join(["ball"] * fitting)), CannotAnswer)
    refused = model.tokenize(asked(), " ".join(["ball"] * (fitting + 1)))
    assert isinstance(refused, CannotAnswer)
    assert f"{lengths[fitting + 1]} positions, and the text encoder has {most}" in refused.why


def test_the_command_and_show(tmp_path: Path, evaluate: Evaluate, babycli: Babycli) -> None:
    folder = write(tmp_path / "model", "siglip2")
    ran = evaluate("--model", folder, "--tasks", "labeled_s,vtwt", "--limit", 2)
    assert ran.code == 0, ran.err
    assert "no prompt of its own" not in ran.err
    cited = babycli("cite", tmp_path / "logs").out
    assert "tschannen2025siglip2" in cited
    assert "jia2021align" not in cited  # another of the family
    shown = babycli("models", "show", folder, "--json")
    assert json.loads(shown.out)["n_parameters"] == load(folder).info.n_parameters


def drop(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save({name: w for name, w in weights.items() if name != "logit_scale"}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (drop, ["1 missing", "logit_scale"]),
        (lambda f: (f / "tokenizer.json").unlink(), ["no tokenizer"]),
        (lambda f: (f / "preprocessor_config.json").unlink(), ["preprocessor_config.json"]),
        (lambda f: edit_json(f / "config.json", text_config=TEXT | {"vocab_size": 9}), ["of a wrong shape"]),
        (lambda f: edit_json(f / "config.json", vision_config="none"), ["config.json"]),
    ],
)
def test_wrong_folders(spoil: Callable[[Path], object], says: list[str], tmp_path: Path, evaluate: Evaluate) -> None:
    folder = write(tmp_path / "model", "chinese_clip")
    spoil(folder)
    assert_explained(evaluate("--model", folder), 5, *says)
