"""LLaVA's later checkpoints in its authors' format, against transformers' classes filled with the same weights."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from babycli.models.base import Model
from tests.conftest import Babycli
from tests.hf_checkpoints import LIBRARY, TEXT, VISION, make_tokenizer
from tests.models.conftest import Evaluate
from tests.models.loading import edit_json, load, loglikelihood, picture, save, tokenize, write_json, written
from tests.models.test_bad_checkpoints import assert_explained

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPT = "What is in the image?"
EDGE, PATCH = 28, 7
GRID = [[28, 56], [56, 28], [56, 56]]
SIZES = ((40, 30), (60, 30), (30, 61), (28, 28))
SIDE = VISION | {"image_size": EDGE, "patch_size": PATCH, "num_hidden_layers": 3}
MEAN, STD = [0.5, 0.4, 0.5], [0.5, 0.5, 0.6]

VICUNA = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions. USER: <image>\nWhat is in the image? ASSISTANT:"
)
MISTRAL = "<s>[INST] <image>\nWhat is in the image? [/INST]"
QWEN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nWhat is in the image?"
    "<|im_end|>\n<|im_start|>assistant\n"
)


class Case:
    """A checkpoint in its authors' format, and what transformers makes of the same weights."""

    def __init__(self, kind: str, text: str, tower: str, aspect: str, conversation: str, **config: Any) -> None:
        self.kind, self.text, self.tower, self.aspect = kind, text, tower, aspect
        self.conversation, self.config = conversation, config
        self.gap = "" if conversation[-1].isspace() else " "

    @property
    def network(self) -> str:
        if not self.aspect.startswith("anyres"):
            return "Llava"
        return "LlavaNext" if self.aspect == "anyres" else "LlavaOnevision"


CASES = {
    "vicuna, tiles": Case("llava", "llama", "clip", "anyres", VICUNA),
    "mistral, tiles": Case("llava_mistral", "mistral", "clip", "anyres", MISTRAL),
    "qwen, at most 3 tiles": Case("llava_qwen", "qwen2", "siglip", "anyres_max_3", QWEN),
    "qwen, padded": Case("llava_qwen", "qwen2", "siglip", "pad", QWEN, tie_word_embeddings=True),
    "qwen, square": Case("llava_qwen", "qwen2", "siglip", "square", QWEN),
    "mistral, padded": Case("llava_mistral", "mistral", "clip", "pad", MISTRAL, mm_vision_select_feature="cls_patch"),
}


def tokenizer_of(case: Case) -> Any:
    if case.text == "qwen2":
        return make_tokenizer("<|im_start|>")
    return make_tokenizer(bos="<s>", eos="</s>")


def reference(case: Case) -> tuple[Any, Any]:
    """transformers' network with a row more than the checkpoint has, and its processor."""
    tokenizer = tokenizer_of(case)
    text = TEXT | {"vocab_size": len(tokenizer) + 1, "model_type": case.text}
    text["tie_word_embeddings"] = False
    tiles = {"image_grid_pinpoints": GRID} if case.aspect.startswith("anyres") else {}
    is_clip, full = case.tower == "clip", case.config.get("mm_vision_select_feature") == "cls_patch"
    vision = SIDE | {"model_type": f"{case.tower}_vision_model"}
    vision |= {} if is_clip else {"num_hidden_layers": 2, "vision_use_head": False}
    more = {"vision_aspect_ratio": case.aspect} if case.network == "LlavaOnevision" else {}
    strategy = "default" if is_clip and not full else "full"
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]}, replace_extra_special_tokens=False)
    torch.manual_seed(0)
    config = getattr(LIBRARY, f"{case.network}Config")(
        text_config=text,
        vision_config=vision,
        vision_feature_layer=-2 if is_clip else -1,
        vision_feature_select_strategy=strategy,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
        **tiles,
        **more,
    )
    network = getattr(LIBRARY, f"{case.network}ForConditionalGeneration")(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
        if case.config.get("tie_word_embeddings"):
            network.lm_head.weight.copy_(network.get_input_embeddings().weight)
    return network, processor_of(case, tokenizer, strategy)


def processor_of(case: Case, tokenizer: Any, strategy: str) -> Any:
    square, edge = {"height": EDGE, "width": EDGE}, {"shortest_edge": EDGE}
    look = {"image_mean": MEAN, "image_std": STD}
    common = {"tokenizer": tokenizer, "vision_feature_select_strategy": strategy}
    if case.network == "LlavaOnevision":
        images = LIBRARY.LlavaOnevisionImageProcessorPil(size=square, image_grid_pinpoints=GRID, **look)

        class WithoutVideos(LIBRARY.LlavaOnevisionProcessor):  # type: ignore[misc]
            def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
                return argument and super().check_argument_for_proper_class(name, argument)

        return WithoutVideos(images, num_image_tokens=16, vision_aspect_ratio=case.aspect, **common)
    if case.network == "LlavaNext":
        images = LIBRARY.LlavaNextImageProcessorPil(size=edge, crop_size=square, image_grid_pinpoints=GRID, **look)
        return LIBRARY.LlavaNextProcessor(images, patch_size=PATCH, num_additional_image_tokens=1, **common)
    if case.aspect == "pad":
        images = LIBRARY.LlavaImageProcessorPil(size=edge, crop_size=square, do_pad=True, **look)
    else:
        images = LIBRARY.SiglipImageProcessorPil(size=square, **look)
    n = int(case.tower == "clip")
    return LIBRARY.LlavaProcessor(images, patch_size=PATCH, num_additional_image_tokens=n, **common)


def original_name(name: str) -> str:
    for pattern, replacement in (
        (r"^model\.multi_modal_projector\.linear_1", "model.mm_projector.0"),
        (r"^model\.multi_modal_projector\.linear_2", "model.mm_projector.2"),
        (r"^model\.vision_tower\.(vision_model\.)?", "model.vision_tower.vision_tower.vision_model."),
        (r"^model\.language_model\.", "model."),
    ):
        name = re.sub(pattern, replacement, name)
    return name


def write(folder: Path, case: Case, network: Any, where: str = "in the weights") -> Path:
    """The authors' format; the tower is in the weights, or in a folder of its own with all of its layers."""
    folder.mkdir(parents=True)
    weights: dict[str, Tensor] = {original_name(n): w.clone() for n, w in network.state_dict().items()}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:-1]  # there is no token for pictures
    if case.config.get("tie_word_embeddings"):
        del weights["lm_head.weight"]
    tower = {n.removeprefix("model.vision_tower.vision_tower."): w for n, w in weights.items() if "vision_tower" in n}
    home = folder.parent / "towers" / case.tower
    home.mkdir(parents=True, exist_ok=True)
    write_json(home / "config.json", {"model_type": case.tower, "vision_config": SIDE})
    kind = "CLIPImageProcessor" if case.tower == "clip" else "SiglipImageProcessor"
    write_json(home / "preprocessor_config.json", {"image_processor_type": kind, "image_mean": MEAN, "image_std": STD})
    if where != "in the weights":
        weights = {name: w for name, w in weights.items() if "vision_tower" not in name}
        if case.tower == "siglip":  # with the layer and the head that LLaVA takes away
            last = {n.replace("layers.1.", "layers.2."): w + 1 for n, w in tower.items() if "layers.1." in n}
            tower |= last | {"vision_model.head.probe": torch.ones(1, 1, 32)}
        save(tower | {"logit_scale": torch.ones(())}, home / "model.safetensors")
    save(weights, folder / "model.safetensors")
    tokenizer_of(case).save_pretrained(folder)
    text = {k: v for k, v in TEXT.items() if k != "initializer_range"}
    settings = (
        text
        | {"vocab_size": len(weights["model.embed_tokens.weight"]), "model_type": case.kind}
        | {
            "mm_vision_tower": f"towers/{case.tower}",
            "mm_projector_type": "mlp2x_gelu",
            "mm_vision_select_layer": -2,
            "mm_vision_select_feature": "patch",
            "mm_use_im_start_end": False,
            "image_aspect_ratio": case.aspect,
            "mm_patch_merge_type": "spatial_unpad" if case.aspect.startswith("anyres") else "flat",
            "image_grid_pinpoints": GRID,
            "mm_tunable_parts": "mm_vision_tower,mm_mlp_adapter,mm_language_model"
            if where == "in the weights"
            else None,
            "tie_word_embeddings": False,
        }
    )
    write_json(folder / "config.json", settings | case.config)
    return folder


def images() -> list[Image.Image]:
    return [
        Image.blend(picture(i, *size), Image.new("RGB", size, (i * 60, 90, 200 - i * 50)), 0.5)
        for i, size in enumerate(SIZES)
    ]


def ask(model: Model) -> list[tuple[float, ...]]:
    features = model.encode([model.preprocess(image) for image in images()])
    tokens = [tokenize(model, PROMPT, "red cat")] * len(features)
    return [score.token_logprobs for score in loglikelihood(model, features, tokens, PROMPT)]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Path, Any, Any]]:
    def made(name: str, where: str = "in the weights") -> tuple[Path, Any, Any]:
        network, processor = reference(CASES[name])
        return write(tmp_path / "model", CASES[name], network, where), network, processor

    return made


_OFTEN = ("mistral, tiles", "qwen, at most 3 tiles", "qwen, padded")


@pytest.mark.parametrize("name", [n if n in _OFTEN else pytest.param(n, marks=pytest.mark.long) for n in CASES])
def test_scores_and_captions_are_those_of_transformers(name: str, make: Callable[..., tuple[Path, Any, Any]]) -> None:
    folder, network, processor = make(name)
    case, model = CASES[name], load(folder)
    assert model.info.family == "llava_next"
    n = len(processor.tokenizer(case.gap + "red cat", add_special_tokens=False)["input_ids"])
    captions = written(model, model.encode([model.preprocess(image) for image in images()]), PROMPT, 4)
    bare = case.conversation.startswith("<s>")
    for image, score, caption in zip(images(), ask(model), captions, strict=True):
        text = case.conversation + case.gap + "red cat"
        whole = processor(text=[text], images=[[image]], return_tensors="pt", add_special_tokens=not bare)
        with torch.inference_mode():
            logits = network(**whole).logits[0][:, :-1].log_softmax(-1)  # without the picture's token
        ids = whole["input_ids"][0]
        assert score == pytest.approx([float(logits[i - 1, ids[i]]) for i in range(len(ids) - n, len(ids))], abs=2e-5)
        said = processor(text=[case.conversation], images=[[image]], return_tensors="pt", add_special_tokens=not bare)
        with torch.inference_mode():
            first = int(network(**said).logits[0, -1, :-1].argmax())
        assert caption.token_ids[:1] == ((first,) if first != processor.tokenizer.eos_token_id else ())
    assert len(set(ask(model))) == len(SIZES)  # the picture counts


@pytest.mark.parametrize("name", [pytest.param("mistral, tiles", marks=pytest.mark.long), "qwen, at most 3 tiles"])
def test_a_tower_of_its_own(name: str, make: Callable[..., tuple[Path, Any, Any]], tmp_path: Path) -> None:
    """The same numbers as with the tower in the weights; the key may have another name."""
    folder, network, _ = make(name, "beside them")
    beside = ask(load(folder))
    inside = write(tmp_path / "more" / "model", CASES[name], network)
    assert beside == ask(load(inside))
    config = json.loads((folder / "config.json").read_text())
    config["vision_tower"] = config.pop("mm_vision_tower")
    write_json(folder / "config.json", config)
    assert beside == ask(load(folder))
    assert beside == ask(load(folder, vision_tower=tmp_path / "towers" / CASES[name].tower))


def test_the_command_and_show(make: Callable[..., tuple[Path, Any, Any]], evaluate: Evaluate, babycli: Babycli) -> None:
    folder, network, _ = make("qwen, at most 3 tiles")
    ran = evaluate("--model", folder, "--tasks", "labeled_s,saycam_caption")
    assert ran.code == 0, ran.err
    assert "LlavaOnevisionForConditionalGeneration" in ran.err
    assert "no prompt of its own" not in ran.err
    shown = babycli("models", "show", folder, "--json")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["n_parameters"] == sum(p.numel() for p in network.parameters()) - 2 * 32  # a row


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mm_projector_type": "pooler"}, "mm_projector_type"),
        ({"mm_resampler_type": "perceiver"}, "mm_resampler_type"),
        ({"mm_patch_merge_type": "unpad"}, "mm_patch_merge_type"),
        ({"image_aspect_ratio": "crop_split"}, "image_aspect_ratio"),
        ({"image_grid_pinpoints": "(1x1),...,(6x6)"}, "image_grid_pinpoints"),
        ({"image_grid_pinpoints": [[28, -28]]}, "image_grid_pinpoints"),
        ({"image_grid_pinpoints": [[10**6, 10**6]]}, "image_grid_pinpoints"),
        ({"mm_vision_select_feature": "slicefour_patch"}, "mm_vision_select_feature"),
        ({"num_hidden_layers": 3}, "missing"),
        ({"mm_vision_tower": "towers/none"}, "towers/none"),
    ],
)
def test_what_is_refused(
    changes: dict[str, Any], says: str, make: Callable[..., tuple[Path, Any, Any]], evaluate: Evaluate
) -> None:
    folder, _, _ = make("mistral, tiles")
    edit_json(folder / "config.json", **changes)
    assert_explained(evaluate("--model", folder), 5, says)


@pytest.mark.parametrize("value", [0, "7"])
def test_a_tower_that_cannot_be(
    value: object, make: Callable[..., tuple[Path, Any, Any]], evaluate: Evaluate, tmp_path: Path
) -> None:
    folder, _, _ = make("mistral, tiles")
    for key in ("image_size", "patch_size", "num_hidden_layers"):
        file = tmp_path / "towers" / "clip" / "config.json"
        write_json(file, {"model_type": "clip", "vision_config": SIDE | {key: value}})
        assert_explained(evaluate("--model", folder), 5, file, key)


def test_a_weight_of_the_pictures_rows_is_missing(
    make: Callable[..., tuple[Path, Any, Any]], evaluate: Evaluate
) -> None:
    folder, _, _ = make("mistral, tiles")
    weights = load_file(folder / "model.safetensors")
    del weights["model.image_newline"]
    save(weights, folder / "model.safetensors")
    assert_explained(evaluate("--model", folder), 5, "1 missing", "image_newline")
