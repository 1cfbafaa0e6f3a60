"""preprocessor_config.json: LLaVA's pictures are those of transformers' own image processor, or the load is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPImageProcessorPil
from transformers.processing_utils import ImagesKwargs

from babycli.errors import ModelError
from babycli.models.parts.known_keys import PICTURES, Effect
from babycli.models.parts.picture_settings import pixel_spec, read_picture_settings
from babycli.models.parts.pixels import PixelSpec, to_pixels
from tests.conftest import Babycli
from tests.llava_checkpoints import EDGE, as_transformers, write_llava, write_tower
from tests.models.conftest import Evaluate
from tests.models.loading import edit_json, load, picture, write_json
from tests.models.test_bad_checkpoints import assert_explained

SHAPES = ((40, 30), (30, 40), (33, 33), (20, 61))
BOX = {"height": EDGE, "width": EDGE}
WHOLE = {"size": {"shortest_edge": EDGE}, "crop_size": BOX, "image_processor_type": "CLIPImageProcessor"}


def test_every_setting_of_transformers_is_in_the_table() -> None:
    assert not sorted(ImagesKwargs.__annotations__.keys() - PICTURES.keys())
    assert not sorted(CLIPImageProcessorPil().to_dict().keys() - PICTURES.keys())


def ours(settings: Mapping[str, Any], folder: Path, pads: bool = False) -> list[torch.Tensor]:
    """The pixels of a picture of each shape. Raises ModelError."""
    folder.mkdir(exist_ok=True)
    write_json(folder / "preprocessor_config.json", settings)
    spec = pixel_spec(read_picture_settings(folder), EDGE, pads, any_class=False)
    return [to_pixels(picture(i, *shape), spec) for i, shape in enumerate(SHAPES)]


def plain(folder: Path) -> list[torch.Tensor]:
    processor: Any = CLIPImageProcessorPil.from_pretrained(folder)
    pixels = [processor(picture(i, *shape), return_tensors="pt") for i, shape in enumerate(SHAPES)]
    return [made["pixel_values"][0].float() for made in pixels]


FOLLOWED: dict[str, dict[str, Any]] = {
    "as it was": {},
    "no normalising": {"do_normalize": False},
    "no rescaling": {"do_rescale": False},
    "neither": {"do_rescale": False, "do_normalize": False},
    "another factor": {"rescale_factor": 1 / 127.5},
    "a factor without effect": {"rescale_factor": 3, "do_rescale": False},
    "no resizing": {"do_resize": False},
    "numbers for switches": {"do_resize": 1, "do_normalize": 0},
    "null for a switch": dict.fromkeys(("do_resize", "do_rescale", "do_pad")),
    "null for what is not read": dict.fromkeys(("do_normalize", "image_mean", "image_std", "default_to_square")),
    "null for a filter": {"resample": None, "do_resize": False},
    "stretched": {"size": BOX},
    "stretched, by a list": {"size": [EDGE, EDGE]},
    "stretched, not cropped": {"size": BOX, "do_center_crop": False},
    "stretched to another shape": {"size": {"height": 50, "width": 30}},
    "the shorter edge, by a number": {"size": 32},
    "a number means a square": {"size": 32, "default_to_square": True},
    "a smaller picture than is cut out": {"size": {"shortest_edge": 19}},
    "an odd difference": {"size": {"height": EDGE + 3, "width": EDGE - 3}},
    "cropped to a number": {"crop_size": EDGE},
    "another mean": {"image_mean": [0.1, 0.5, 0.9], "image_std": [2, 1, 0.5]},
    "one mean for all": {"image_mean": 0.5, "image_std": 0.25},
    "nearest": {"resample": 0},
    "lanczos": {"resample": 1},
    "bilinear": {"resample": 2},
    "not converted": {"do_convert_rgb": False, "data_format": "channels_first", "device": "cpu"},
    "older names": {"image_processor_type": "CLIPFeatureExtractor", "feature_extractor_type": "CLIPFeatureExtractor"},
    "a fast class": {"image_processor_type": "CLIPImageProcessorFast"},
    "LLaVA's class": {"image_processor_type": "LlavaImageProcessor"},
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_settings_that_are_followed(case: str, tmp_path: Path) -> None:
    made = ours(WHOLE | FOLLOWED[case], tmp_path / "ck")
    for mine, theirs in zip(made, plain(tmp_path / "ck"), strict=True):
        assert mine.dtype == torch.float32
        assert torch.allclose(mine, theirs, atol=1e-6, rtol=1e-6)


def test_the_settings_above_are_no_empty_words(tmp_path: Path) -> None:
    """Each table row that is about what is done to a picture gives other pixels than the file without it."""
    before = ours(WHOLE, tmp_path / "ck")[0]
    same = {"as it was", "cropped to a number", "not converted", "older names", "a fast class", "LLaVA's class"}
    for case, settings in FOLLOWED.items():
        assert torch.equal(ours(WHOLE | settings, tmp_path / "ck")[0], before) == (case in same), case


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another size": ({"crop_size": 24}, "crop_size 24"),
    "no square": ({"crop_size": {"height": EDGE, "width": 30}}, "crop_size"),
    "null for a size": ({"size": None}, "size null"),
    "null for the crop": ({"crop_size": None}, "crop_size null"),
    "null for a switch": ({"do_center_crop": None}, "do_center_crop null"),
    "null for a factor": ({"rescale_factor": None}, "rescale_factor null"),
    "no factor": ({"rescale_factor": 0}, "rescale_factor 0"),
    "a factor below zero": ({"rescale_factor": -1.0}, "rescale_factor -1.0"),
    "a deviation below zero": ({"image_std": [1, -1, 1]}, "image_std [1, -1, 1]"),
    "no deviation": ({"image_std": [1, 0, 1]}, "image_std [1, 0, 1]"),
    "null for a mean": ({"image_mean": None}, "image_mean null"),
    "no crop": ({"do_center_crop": False}, "do_center_crop false"),
    "neither resized nor cropped": ({"do_center_crop": False, "do_resize": False}, "do_resize false"),
    "stretched to another size": ({"do_center_crop": False, "size": {"height": 9, "width": 9}}, "size"),
    "a longest edge": ({"size": {"shortest_edge": EDGE, "longest_edge": 99}}, "size"),
    "most pixels": ({"size": {"min_pixels": 4, "max_pixels": 99}}, "size"),
    "height alone": ({"size": {"height": EDGE}}, "size"),
    "a text for a size": ({"size": "28"}, "size"),
    "a text in a size": ({"size": {"shortest_edge": "28"}}, "size"),
    "null in a size": ({"size": {"shortest_edge": None}}, "size"),
    "a fraction": ({"size": 28.5}, "size"),
    "nothing": ({"size": 0}, "size"),
    "a list of three": ({"crop_size": [28, 28, 28]}, "crop_size"),
    "null for a filter": ({"resample": None}, "resample null"),
    "a text for a filter": ({"resample": "bicubic"}, "resample"),
    "a filter that Pillow has not": ({"resample": 9}, "resample 9"),
    "a text for a switch": ({"do_normalize": "false"}, "do_normalize"),
    "a list for a switch": ({"do_rescale": [True]}, "do_rescale"),
    "a text for a factor": ({"rescale_factor": "1/255"}, "rescale_factor"),
    "two means": ({"image_mean": [0.5, 0.5]}, "image_mean"),
    "a text for a mean": ({"image_mean": "0.5"}, "image_mean"),
    "null in a deviation": ({"image_std": [1, 1, None]}, "image_std"),
    "a deviation of nothing": ({"image_std": [1, 1, 0]}, "image_std"),
    "a mean beyond all values": ({"image_mean": [3e38] * 3}, "image_mean [3e+38"),
    "a deviation below all values": ({"image_std": [1e-300] * 3}, "image_std [1e-300"),
    "a factor beyond all values": ({"rescale_factor": 3e38}, "rescale_factor 3e+38"),
    "padding in a batch": ({"pad_size": {"height": 99, "width": 99}}, "pad_size"),
    "a square of 224": ({"use_square_size": True}, "use_square_size"),
    "another class": ({"image_processor_type": "SiglipImageProcessor"}, "image_processor_type"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_are_refused(case: str, tmp_path: Path) -> None:
    settings, name = REFUSED[case]
    with pytest.raises(ModelError, match=r"preprocessor_config.json: ") as raised:
        ours(WHOLE | settings, tmp_path / "ck")
    assert name in raised.value.message


def test_a_size_that_the_file_does_not_say_is_that_of_the_class(tmp_path: Path) -> None:
    for key in ("size", "crop_size"):
        settings = {k: v for k, v in WHOLE.items() if k != key} | {"do_center_crop": key == "crop_size"}
        with pytest.raises(ModelError, match="224"):
            ours(settings, tmp_path / "ck", pads=True)


def test_every_key_of_the_table_has_been_tried() -> None:
    tried = {key for settings in FOLLOWED.values() for key in settings}
    tried |= {key for settings, _ in REFUSED.values() for key in settings}
    assert not [k for k, known in PICTURES.items() if known.effect is not Effect.NONE and k not in tried]


def test_padded_pictures_are_square_without_a_crop(tmp_path: Path) -> None:
    cropped = ours(WHOLE, tmp_path / "one", pads=True)
    whole = ours(WHOLE | {"do_center_crop": False}, tmp_path / "other", pads=True)
    assert all(torch.equal(one, other) for one, other in zip(cropped, whole, strict=True))
    with pytest.raises(ModelError, match="image_mean"):  # it gives the colour of the padding
        ours(WHOLE | {"image_mean": 0.5}, tmp_path / "one", pads=True)


# ---------------------------------------------------------------- through the commands


@pytest.fixture
def llavas(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    """A LLaVA in each format, with the folder whose settings of pictures it follows; pictures are not padded."""
    tower = write_tower(tmp_path / "openai" / "clip-small")
    original = write_llava(tmp_path / "llava", image_aspect_ratio="square")
    whole = as_transformers(original, tower, tmp_path / "hf")
    edit_json(whole / "preprocessor_config.json", do_pad=False)
    return {"original": (original, tower), "transformers": (whole, whole)}


@pytest.mark.parametrize("which", [pytest.param("original", marks=pytest.mark.long), "transformers"])
def test_both_formats_follow_and_refuse(
    which: str, llavas: dict[str, tuple[Path, Path]], evaluate: Evaluate, babycli: Babycli
) -> None:
    folder, home = llavas[which]
    file = home / "preprocessor_config.json"
    edit_json(file, do_normalize=False, size=BOX)
    assert torch.allclose(load(folder).preprocess(picture(0)), plain_pixels(home), atol=1e-6)
    ran = evaluate("--model", folder)
    assert ran.code == 0, ran.err
    assert "does not know" not in ran.err

    edit_json(file, do_sharpen=True)
    note = f"{file}: babycli does not know and does not use do_sharpen"
    assert note in evaluate("--model", folder, "--no-resume").err
    assert note in babycli("models", "show", folder).out

    edit_json(file, do_center_crop=False, size=EDGE)
    for ran in (evaluate("--model", folder), babycli("models", "show", folder)):
        assert_explained(ran, 5, file, "do_center_crop false")

    file.unlink()
    assert_explained(evaluate("--model", folder), 5, home, "has no preprocessor_config.json")


def plain_pixels(folder: Path) -> torch.Tensor:
    processor: Any = CLIPImageProcessorPil.from_pretrained(folder)
    pixels: torch.Tensor = processor(picture(0), return_tensors="pt")["pixel_values"][0]
    return pixels


@pytest.mark.parametrize("which", ["original", "transformers"])
def test_the_newer_file_comes_first(
    which: str, llavas: dict[str, tuple[Path, Path]], evaluate: Evaluate, babycli: Babycli
) -> None:
    """transformers 5 saves the settings inside processor_config.json, and reads them from there."""
    folder, home = llavas[which]
    before = load(folder)
    settings = json.loads((home / "preprocessor_config.json").read_text())
    file = home / "processor_config.json"
    write_json(file, {"processor_class": "LlavaProcessor", "image_processor": settings | {"image_std": [1, 1, 1]}})
    after = load(folder)
    assert torch.allclose(after.preprocess(picture(0)), plain_pixels(home), atol=1e-6)
    assert not torch.equal(after.preprocess(picture(0)), before.preprocess(picture(0)))
    assert after.info.fingerprint != before.info.fingerprint
    write_json(file, {"processor_class": "LlavaProcessor"})  # as 4.45 to 4.57 save it
    assert torch.equal(load(folder).preprocess(picture(0)), before.preprocess(picture(0)))
    wrongs: tuple[object, ...] = ([], None, "x")
    for wrong in wrongs:
        write_json(file, {"image_processor": wrong})
        assert_explained(evaluate("--model", folder), 5, file, "image_processor")
    write_json(file, {"image_processor": settings | {"resample": "bicubic"}})
    assert_explained(babycli("models", "show", folder), 5, file, 'resample "bicubic"')


def test_the_newer_file_may_say_not_to_pad(llavas: dict[str, tuple[Path, Path]]) -> None:
    folder, _ = llavas["transformers"]
    cropped = load(folder).preprocess(picture(0))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    write_json(folder / "processor_config.json", {"image_processor": settings})
    assert torch.equal(load(folder).preprocess(picture(0)), cropped)
    write_json(folder / "processor_config.json", {"image_processor": settings | {"do_pad": True}})
    assert not torch.equal(load(folder).preprocess(picture(0)), cropped)


def test_a_mean_without_bounds(llavas: dict[str, tuple[Path, Path]], evaluate: Evaluate) -> None:
    """A colour of padding beyond white is white, as Pillow has it; what is beyond float32 is refused."""
    folder, home = llavas["original"]
    edit_json(folder / "config.json", image_aspect_ratio="pad")
    edit_json(home / "preprocessor_config.json", image_mean=[1e30, -1e30, 300], image_std=[1e30, 1e30, 1e30])
    white = PixelSpec(mean=(1e30, -1e30, 300.0)).background
    assert white == (255, 0, 255)
    assert load(folder).preprocess(picture(0, 20, 61)).isfinite().all()
    edit_json(home / "preprocessor_config.json", image_mean=[3e38] * 3, image_std=[0.1] * 3)
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, home, "no numbers of float32")
    assert "Warning" not in ran.err
