"""LLaVA in both formats: against transformers' own class called directly, and where its tower comes from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaForConditionalGeneration

from babycli.models.base import Model
from tests.conftest import Babycli
from tests.llava_checkpoints import (
    EDGE,
    N_TOKENS,
    PATCH,
    VISION,
    as_transformers,
    clip_weights,
    weights_in,
    write_llava,
    write_tower,
)
from tests.models.conftest import Evaluate
from tests.models.loading import edit_json, load, loglikelihood, picture, score, tokenize, written
from tests.models.test_bad_checkpoints import assert_explained

PROMPT = "USER: What's the object in the image? <image> ASSISTANT:"
TEXTS = ("ball", "red cat", "blue")
IMAGE = -200
POSITIONS = (EDGE // PATCH) ** 2
Folders = tuple[Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A checkpoint of the original's format with its tower beside it, and the same model as transformers saves it."""
    tower = write_tower(tmp_path / "openai" / "clip-small")
    original = write_llava(tmp_path / "llava")
    return original, as_transformers(original, tower, tmp_path / "hf")


# ---------------------------------------------------------------- the independent, slow path


def direct(folder: Path) -> Any:
    """transformers' own class, filled by its own loader."""
    config = LlavaConfig.from_pretrained(folder)
    read: Any = LlavaForConditionalGeneration.from_pretrained
    model, report = read(folder, config=config, output_loading_info=True, dtype=torch.float32)
    assert not report["missing_keys"]
    return model.eval()


def pixels_of(image: Image.Image) -> Tensor:
    """Padded by hand to the mean colour, the rest by transformers' CLIP processor."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), (122, 116, 104))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    processor = CLIPImageProcessorPil(size={"shortest_edge": EDGE}, crop_size={"height": EDGE, "width": EDGE})
    pixels: Tensor = processor(square, return_tensors="pt")["pixel_values"]
    return pixels


def expand(ids: Sequence[int], image_token: int) -> list[int]:
    return [x for i in ids for x in ([image_token] * POSITIONS if i == IMAGE else [i])]


@pytest.mark.parametrize("which", [0, 1], ids=["original", "transformers"])
def test_losses_are_those_of_transformers(which: int, folders: Folders) -> None:
    slow, model = direct(folders[1]), load(folders[which])
    token = slow.config.image_token_id
    for seed in range(3):
        for text in TEXTS:
            tokens = tokenize(model, PROMPT, text)
            ids = torch.tensor([expand(tokens.ids, token)])
            with torch.inference_mode():
                logits = slow(input_ids=ids, pixel_values=pixels_of(picture(seed))).logits[0].log_softmax(-1)
            n = tokens.n_answer
            expected = [float(logits[i - 1, ids[0, i]]) for i in range(ids.shape[1] - n, ids.shape[1])]
            assert score(model, text, seed, PROMPT).token_logprobs == pytest.approx(expected, abs=1e-5)
            assert n == len(text.replace(" ", "")) + text.count(" ") + 1  # a piece for each letter and space


@pytest.mark.parametrize("which", [0, 1], ids=["original", "transformers"])
def test_captions_are_those_of_transformers(which: int, folders: Folders) -> None:
    slow, model = direct(folders[1]), load(folders[which])
    features = model.encode([model.preprocess(picture(seed)) for seed in range(4)])
    captions = written(model, features, PROMPT, 6)
    prompt = list(tokenize(model, PROMPT, "ball").ids)
    prompt = prompt[: -tokenize(model, PROMPT, "ball").n_answer]
    for seed, caption in enumerate(captions):
        ids = torch.tensor([expand(prompt, slow.config.image_token_id)])
        out = slow.generate(
            input_ids=ids, pixel_values=pixels_of(picture(seed)), attention_mask=torch.ones_like(ids),
            max_new_tokens=6, do_sample=False, eos_token_id=2, pad_token_id=0,
        )  # fmt: skip
        assert list(caption.token_ids) == out[0, ids.shape[1] :].tolist()


def test_the_batch_does_not_matter(folders: Folders) -> None:
    model = load(folders[0])
    features = model.encode([model.preprocess(picture(seed)) for seed in range(64)])
    tokens = tokenize(model, PROMPT, "ball")
    alone = [loglikelihood(model, [f], [tokens])[0].mean_loss for f in features]
    for size in (7, 64):
        for start in range(0, 64, size):
            some = features[start : start + size]
            together = loglikelihood(model, some, [tokens] * len(some))
            expected = pytest.approx(alone[start : start + size], abs=1e-5)
            assert [s.mean_loss for s in together] == expected


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.03), ("bfloat16", 0.3)])
def test_half_precision_is_near(dtype: str, tolerance: float, folders: Folders) -> None:
    exact, half = load(folders[0]), load(folders[0], dtype=dtype)
    assert half.info.dtype == dtype
    for text in TEXTS:
        wanted = score(exact, text, 0, PROMPT).mean_loss
        got = score(half, text, 0, PROMPT).mean_loss
        assert got == pytest.approx(wanted, abs=tolerance)
        assert got != wanted


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    "size", [(40, 30), (20, 61), *(pytest.param(s, marks=pytest.mark.long) for s in ((30, 40), (33, 33)))]
)
@pytest.mark.parametrize("aspect", ["pad", "square"])
def test_pictures_are_prepared_as_transformers_does(size: tuple[int, int], aspect: str, folders: Folders) -> None:
    model = load(folders[0], image_aspect_ratio=aspect)
    image = picture(3, *size)
    processor = CLIPImageProcessorPil(size={"shortest_edge": EDGE}, crop_size={"height": EDGE, "width": EDGE})
    expected = pixels_of(image) if aspect == "pad" else processor(image, return_tensors="pt")["pixel_values"]
    assert torch.allclose(model.preprocess(image), expected[0], atol=1e-6)


@pytest.mark.parametrize(("do_pad", "pads"), [(True, True), (None, True), (False, False)])
def test_the_transformers_format_may_say_not_to_pad(do_pad: bool | None, pads: bool, folders: Folders) -> None:
    if do_pad is not None:
        edit_json(folders[1] / "preprocessor_config.json", do_pad=do_pad)
    one, other = load(folders[1]), load(folders[0], image_aspect_ratio="pad" if pads else "square")
    assert torch.equal(one.preprocess(picture(0)), other.preprocess(picture(0)))


def test_another_size_than_the_tower_reads_is_refused(folders: Folders, evaluate: Evaluate) -> None:
    edit_json(folders[1] / "preprocessor_config.json", crop_size=24)
    assert_explained(evaluate("--model", folders[1]), 5, "preprocessor_config.json", "24", str(EDGE))


# ---------------------------------------------------------------- the tower


def notes(model: Model) -> str:
    return "; ".join(model.info.notes)


def loss(model: Model) -> float:
    return score(model, "ball", 0, PROMPT).mean_loss


def test_the_repository_comes_before_the_shards_unless_the_tower_was_tuned(tmp_path: Path) -> None:
    tower = write_tower(tmp_path / "openai" / "clip-small", seed=1)
    plain = load(write_llava(tmp_path / "plain"))
    same = load(write_llava(tmp_path / "same", own_tower={n: w.half() for n, w in clip_weights(1).items()}))
    other = load(write_llava(tmp_path / "other", own_tower=clip_weights(2)))
    tuned = load(write_llava(tmp_path / "tuned", own_tower=clip_weights(2), unfreeze_mm_vision_tower=True))
    assert loss(plain) == loss(same) == loss(other)
    assert notes(plain) == notes(same) == f"the vision tower is {tower}"
    assert "the checkpoint holds another, which is not used" in notes(other)
    assert abs(loss(tuned) - loss(plain)) > 1e-3
    assert notes(tuned) == "the vision tower is the checkpoint's own: its config.json says unfreeze_mm_vision_tower"
    second = write_tower(tmp_path / "second", seed=2)
    assert loss(load(tmp_path / "plain", vision_tower=second)) == loss(tuned)
    assert len({plain.info.fingerprint, same.info.fingerprint, other.info.fingerprint, tuned.info.fingerprint}) == 4


def test_a_tuned_tower_needs_no_weights_in_the_repository(tmp_path: Path) -> None:
    tower = write_tower(tmp_path / "openai" / "clip-small")
    (tower / "pytorch_model.bin").unlink()
    folder = write_llava(tmp_path / "tuned", own_tower=clip_weights(2), tune_vision_tower=True)
    assert score(load(folder), "ball").is_finite


@pytest.mark.parametrize(
    ("parts", "is_tuned"),
    [
        ("mm_vision_tower,mm_mlp_adapter,mm_language_model", True),
        ("mm_mlp_adapter,mm_language_model", False),
        *(
            pytest.param(parts, is_tuned, marks=pytest.mark.long)
            for parts, is_tuned in ((["mm_mlp_adapter", "mm_vision_tower"], True), ("", False), (None, False))
        ),
    ],
    ids=str,
)
def test_the_trainer_of_llava_next_says_which_parts_were_tuned(
    parts: object, is_tuned: bool, tmp_path: Path, babycli: Babycli
) -> None:
    write_tower(tmp_path / "openai" / "clip-small", seed=1)
    tuned = load(write_llava(tmp_path / "tuned", own_tower=clip_weights(2), unfreeze_mm_vision_tower=True))
    plain = load(write_llava(tmp_path / "plain"))
    model = load(write_llava(tmp_path / "next", own_tower=clip_weights(2), mm_tunable_parts=parts))
    assert loss(model) == loss(tuned if is_tuned else plain) != loss(plain if is_tuned else tuned)
    assert ("own: its config.json says mm_tunable_parts" in notes(model)) == is_tuned
    if is_tuned:  # what the user says comes first
        assert loss(load(tmp_path / "next", vision_tower=tmp_path / "openai" / "clip-small")) == loss(plain)


def test_the_notes_are_in_the_log(tmp_path: Path, evaluate: Evaluate) -> None:
    write_tower(tmp_path / "openai" / "clip-small")
    ran = evaluate("--model", write_llava(tmp_path / "llava", own_tower=clip_weights(2)))
    assert ran.code == 0, ran.err
    assert "holds another, which is not used" in ran.err
    (run,) = (tmp_path / "logs").glob("*/*/run.json")
    assert "holds another, which is not used" in json.loads(run.read_text())["model"]["notes"][0]


def test_the_class_token_can_be_kept_and_the_layer_chosen(tmp_path: Path) -> None:
    write_tower(tmp_path / "openai" / "clip-small")
    different: tuple[dict[str, Any], ...] = (
        {},
        {"mm_vision_select_feature": "cls_patch"},
        {"mm_vision_select_layer": -1},
        {"mm_vision_select_layer": 2},
        {"mm_vision_select_layer": -2},
    )
    losses = [loss(load(write_llava(tmp_path / f"llava{i}", **settings))) for i, settings in enumerate(different)]
    assert len({*losses}) == 3  # layer 2 of three is the penultimate
    assert losses[0] == losses[3] == losses[4]


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no tower anywhere": ({"mm_vision_tower": "/nowhere/clip"}, ["/nowhere/clip"]),
    "no such layer": ({"mm_vision_select_layer": -9}, ["no layer -9"]),
    "no such feature": ({"mm_vision_select_feature": "cls"}, ["mm_vision_select_feature", "'cls'"]),
    "an odd aspect": ({"image_aspect_ratio": "crop"}, ["'crop'", "pad, square"][:1]),
    "an odd projector": ({"mm_projector_type": "spatial"}, ["mm_projector_type", "'spatial'"]),
    "another width": ({"hidden_size": 64}, ["language model", "wrong shape"]),
    "another width of the tower": ({"mm_hidden_size": 999}, ["mm_hidden_size", "999", str(VISION)]),
    "no projector between unequal widths": ({"mm_projector_type": "identity"}, ["mm_projector_type", str(VISION)]),
    "a projector without a name": ({"mm_projector_type": None}, ["mm_projector_type"]),
    "a list of layers": ({"mm_vision_select_layer": [-2, -5]}, ["mm_vision_select_layer", "[-2, -5]"]),
    "a list of one layer": ({"mm_vision_select_layer": [-2]}, ["mm_vision_select_layer", "[-2]"]),
    "a text for a layer": ({"mm_vision_select_layer": "-2"}, ["mm_vision_select_layer", '"-2"']),
    "no layer": ({"mm_vision_select_layer": None}, ["mm_vision_select_layer", "null"]),
    "half a layer": ({"mm_vision_select_layer": -1.5}, ["mm_vision_select_layer"]),
    "true for a layer": ({"mm_vision_select_layer": True}, ["mm_vision_select_layer", "true"]),
    "a list of features": ({"mm_vision_select_feature": ["patch"]}, ["mm_vision_select_feature"]),
    "slices of layers": ({"mm_vision_select_feature": "slicefour_patch"}, ["mm_vision_select_feature"]),
    "a number for tuned parts": ({"mm_tunable_parts": 3}, ["mm_tunable_parts"]),
    "several scales": ({"s2": True, "s2_scales": "336,672"}, ["s2"]),
    "a resampler": ({"mm_resampler_type": "perceiver"}, ["mm_resampler_type", "perceiver"]),
    "a newline behind each picture": ({"mm_patch_merge_type": "spatial_unpad"}, ["mm_patch_merge_type"]),
    "quantised": ({"quantization_config": {"load_in_4bit": True}}, ["quantization_config"]),
    "pruned": ({"pruned_heads": {"0": [1]}}, ["pruned_heads"]),
    "no number of positions": ({"tokenizer_model_max_length": "2048"}, ["tokenizer_model_max_length"]),
    "a dropout of a hundred": ({"attention_dropout": 100}, ["attention_dropout"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_configs(case: str, tmp_path: Path, evaluate: Evaluate) -> None:
    write_tower(tmp_path / "openai" / "clip-small")
    settings, names = WRONG[case]
    assert_explained(evaluate("--model", write_llava(tmp_path / "llava", **settings)), 5, *names)


HARMLESS: dict[str, Any] = {
    "attn_implementation": "flash_attention_2",
    "return_dict": False,
    "output_hidden_states": True,
    "torch_dtype": "float16",
    "mm_hidden_size": VISION,
    "mm_patch_merge_type": "flat",
    "mm_projector_lr": 2e-5,
    "mm_spatial_pool_stride": 2,
    "tokenizer_model_max_length": 1e30,
    "use_pos_skipping": True,
    "quantization_config": None,
    "pruned_heads": {},
    "repetition_penalty": 1.3,
}


def test_what_says_nothing_of_the_network_changes_nothing(tmp_path: Path) -> None:
    write_tower(tmp_path / "openai" / "clip-small")
    plain, model = load(write_llava(tmp_path / "plain")), load(write_llava(tmp_path / "other", **HARMLESS))
    assert loss(model) == loss(plain)
    assert notes(model) == notes(plain)


def test_where_the_original_cuts_its_input_off_there_is_no_answer(tmp_path: Path, evaluate: Evaluate) -> None:
    """Behind tokenizer_model_max_length the original drops what it reads, answers included."""
    write_tower(tmp_path / "openai" / "clip-small")
    folder = write_llava(tmp_path / "llava")
    n_positions = tokenize(load(folder), PROMPT, "ball").n_positions
    edit_json(folder / "config.json", tokenizer_model_max_length=n_positions)
    assert tokenize(load(folder), PROMPT, "ball").n_positions == n_positions
    edit_json(folder / "config.json", tokenizer_model_max_length=POSITIONS + 5)
    ran = evaluate("--model", folder)
    assert ran.code == 7
    assert f"is cut off by the original after {POSITIONS + 5} (tokenizer_model_max_length)" in ran.err


def test_a_tower_that_is_no_clip(tmp_path: Path, evaluate: Evaluate) -> None:
    tower = write_tower(tmp_path / "openai" / "clip-small")
    edit_json(tower / "config.json", model_type="vit")
    assert_explained(evaluate("--model", write_llava(tmp_path / "llava")), 5, "'vit'", "expected is CLIP")


def test_a_tower_without_one_weight(tmp_path: Path, evaluate: Evaluate) -> None:
    tower = write_tower(tmp_path / "openai" / "clip-small")
    weights = {n: w for n, w in weights_in(tower).items() if "layers.1.mlp.fc1.bias" not in n}
    torch.save(weights, tower / "pytorch_model.bin")
    names = ("vision tower", "1 missing", "layers.1.mlp.fc1.bias")
    assert_explained(evaluate("--model", write_llava(tmp_path / "llava")), 5, *names)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"vision_feature_layer": [-2, -5]}, "[-2, -5]"),
        ({"vision_feature_layer": "-2"}, "vision_feature_layer"),
        ({"vision_feature_layer": None}, "vision_feature_layer"),
        ({"vision_feature_select_strategy": ["full"]}, "vision_feature_select_strategy"),
        ({"projector_hidden_act": "relu"}, '"relu"'),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"text_config": "llama"}, "'llava'"),
    ],
)
def test_a_transformers_config_that_is_not_llava(
    change: dict[str, object], name: str, folders: Folders, evaluate: Evaluate
) -> None:
    edit_json(folders[1] / "config.json", **change)
    assert_explained(evaluate("--model", "llava", "--model-args", f"pretrained={folders[1]}"), 5, name)


@pytest.mark.parametrize(
    "value", [[28, 28], None, 0, *(pytest.param(v, marks=pytest.mark.long) for v in ("28", 28.5, True))], ids=str
)
@pytest.mark.parametrize("key", ["image_size", "patch_size"])
def test_a_tower_whose_size_is_no_number(
    key: str, value: object, folders: Folders, evaluate: Evaluate, tmp_path: Path
) -> None:
    for file in (folders[1] / "config.json", tmp_path / "openai" / "clip-small" / "config.json"):
        vision = json.loads(file.read_text())["vision_config"]
        edit_json(file, vision_config=vision | {key: value})
    for folder in folders:
        assert_explained(evaluate("--model", folder), 5, "config.json", key)


def test_a_list_of_one_layer_is_that_layer(folders: Folders) -> None:
    """As in transformers, which puts the features of all layers of the list side by side."""
    for layer in (-1, -2):
        edit_json(folders[1] / "config.json", vision_feature_layer=layer)
        expected = loss(load(folders[1]))
        edit_json(folders[1] / "config.json", vision_feature_layer=[layer])
        assert loss(load(folders[1])) == expected


# ---------------------------------------------------------------- models show


@pytest.mark.parametrize("which", [0, 1], ids=["original", "transformers"])
def test_show_needs_no_weights(which: int, folders: Folders, babycli: Babycli) -> None:
    expected = load(folders[which]).info.n_parameters
    shutil.copytree(folders[which].parent / "openai", folders[which].parent / "shown" / "openai")
    shown = folders[which].parent / "shown" / "llava"
    shutil.copytree(folders[which], shown)
    for file in (shown.parent).rglob("*"):
        if file.suffix in (".bin", ".safetensors"):
            file.unlink()
    ran = babycli("models", "show", shown, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["n_parameters"] == expected
    assert found["family"] == "llava"
    assert found["prompts"]["vtwt"] == {"prompt": PROMPT, "origin": "llava", "rendered": PROMPT}
    text = babycli("models", "show", shown).out
    assert f"{expected:,}" in text
    assert "CLIP ViT, 3 layers" in text


def test_the_published_size(babycli: Babycli, tmp_path: Path) -> None:
    """liuhaotian/llava-v1.5-7b: Llama-2-7B's 6,738,415,616 parameters, and a projector of two layers."""
    tower = write_tower(tmp_path / "openai" / "clip-small")
    vision: dict[str, Any] = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
    }
    vision |= {"image_size": 336, "patch_size": 14, "projection_dim": 768, "model_type": "clip_vision_model"}
    edit_json(tower / "config.json", vision_config=vision)
    edit_json(tower / "preprocessor_config.json", size=336, crop_size=336)
    text: dict[str, Any] = {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
    }
    folder = write_llava(tmp_path / "llava", **text, num_key_value_heads=32, vocab_size=32000)
    edit_json(folder / "tokenizer_config.json", added_tokens_decoder=_reserved(32000))
    found = json.loads(babycli("models", "show", folder, "--json", "--dtype", "bfloat16").out)
    sizes = {part["name"]: part["n_parameters"] for part in found["parts"]}
    assert sizes["language model"] == 6_738_415_616
    assert sizes["projector"] == 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    assert found["parts"][0]["what"].endswith("576 positions of 1024")


def _reserved(size: int) -> dict[str, dict[str, object]]:
    """Tokens that fill a small test vocabulary up to the published size."""
    return {str(i): {"content": f"<r{i}>", "special": False} for i in range(N_TOKENS, size)}
