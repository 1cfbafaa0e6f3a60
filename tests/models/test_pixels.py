"""From a picture to the numbers a tower reads: hand-worked small pictures, then the original's own pixels."""

from __future__ import annotations

import io
import json
import random
import resource
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from babycli.data.decoding import decode
from babycli.errors import DataError
from babycli.models.parts import pixels as parts_pixels
from babycli.models.parts.pixels import PixelSpec, to_pixels
from tests.checkpoints import write_checkpoint
from tests.conftest import Babycli
from tests.data.demo_copy import DemoCopy, make_dataset, replace
from tests.models.loading import WORDS, load

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
BACKGROUND = (123, 116, 103)  # int(mean * 255)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def normal(colour: tuple[int, int, int]) -> list[float]:
    return [(c / 255 - m) / s for c, m, s in zip(colour, MEAN, STD, strict=True)]


def colours(pixels: torch.Tensor) -> list[list[tuple[int, ...]]]:
    """The picture that was normalised, row by row."""
    back = pixels.double() * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    return [
        [tuple(round(float(c) * 255) for c in back[:, y, x]) for x in range(back.shape[2])] for y in range(len(back[0]))
    ]


def strip(*pixels: tuple[int, int, int], upright: bool = False) -> Image.Image:
    """A picture one pixel high, or wide."""
    row = np.array([pixels], np.uint8)
    return Image.fromarray(row.transpose(1, 0, 2).copy() if upright else row, "RGB")


def test_the_background_is_the_mean_colour() -> None:
    assert PixelSpec().background == BACKGROUND


@pytest.mark.parametrize(
    ("image", "square"),
    [
        (strip(RED), [[RED]]),
        # 2 x 1: one row too few, and (2 - 1) // 2 = 0 of it goes above
        (strip(RED, BLUE), [[RED, BLUE], [BACKGROUND, BACKGROUND]]),
        (strip(RED, BLUE, upright=True), [[RED, BACKGROUND], [BLUE, BACKGROUND]]),
        # 3 x 1: one row above, one below
        (strip(RED, BLUE, RED), [[BACKGROUND] * 3, [RED, BLUE, RED], [BACKGROUND] * 3]),
    ],
    ids=["1x1", "2x1", "1x2", "3x1"],
)
def test_padding_to_a_square(image: Image.Image, square: list[list[tuple[int, ...]]]) -> None:
    assert colours(to_pixels(image, PixelSpec(size=len(square)))) == square


def test_without_padding_a_picture_is_stretched() -> None:
    stretched = to_pixels(strip(RED, BLUE), PixelSpec(size=2, pad=False))
    assert colours(stretched) == [[RED, BLUE], [RED, BLUE]]


def test_resizing_down_averages() -> None:
    """Antialiased: two black and two white columns become grey, where sampling would give black or white."""
    row = strip(*[(0, 0, 0), (255, 255, 255)] * 224)
    middle = colours(to_pixels(row, PixelSpec(pad=False)))[0][100]
    assert all(abs(channel - 127.5) < 16 for channel in middle)


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
@pytest.mark.parametrize("size", [(3000, 2), (2, 3000), (1, 700), (700, 1), (301, 200), (200, 301)], ids=str)
def test_padding_in_bands_gives_the_pixels_of_padding_whole(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], resample: Image.Resampling
) -> None:
    """The whole square, padded and resized by Pillow alone, is what the original does."""
    monkeypatch.setattr(parts_pixels, "_MAX_PADDED", 1)
    monkeypatch.setattr(parts_pixels, "_MAX_BAND", 5_000)
    image = Image.frombytes("RGB", size, random.Random(str(size)).randbytes(size[0] * size[1] * 3))
    square = Image.new("RGB", (max(size), max(size)), BACKGROUND)
    square.paste(image, ((max(size) - size[0]) // 2, (max(size) - size[1]) // 2))
    whole = np.asarray(square.resize((224, 224), resample))
    for crop in (False, True):  # of a square, the middle is all of it
        got = to_pixels(image, PixelSpec(pad=True, crop=crop, resample=resample)).numpy()
        expected = (whole.transpose(2, 0, 1) / 255 - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
        assert np.abs(got - expected).max() < 1e-5


def test_a_long_picture_takes_little_memory() -> None:
    """As a square it would have 3.6 GB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = to_pixels(Image.new("RGB", (30_000, 2), BACKGROUND), PixelSpec())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000
    assert colours(pixels[:, :1, :1]) == colours(pixels[:, 112:113, 112:113]) == [[BACKGROUND]]


@pytest.mark.parametrize(
    ("size", "spec"),
    [
        ((60_000, 1), PixelSpec(pad=False, shorter=224, crop=True)),
        ((1, 60_000), PixelSpec(pad=False, shorter=224, crop=True)),
        ((1, 60_000), PixelSpec()),
    ],
)
def test_a_picture_too_thin_for_a_model_is_refused(size: tuple[int, int], spec: PixelSpec) -> None:
    with pytest.raises(DataError, match=f"{size[0]:,} by {size[1]:,} pixels is too thin"):
        to_pixels(Image.new("RGB", size), spec)


def test_eval_names_the_picture_that_is_too_thin(babycli: Babycli, demo: DemoCopy, empty_folder: None) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (1, 60_000)).save(stream, "PNG")
    replace(demo.frame, stream.getvalue())
    make_dataset(demo)
    words = [word for path in sorted(demo.labels.rglob("*.csv")) for word in path.read_text().replace(",", " ").split()]
    folder = write_checkpoint(Path("model"), [*dict.fromkeys([*WORDS, *words])])
    ran = babycli("eval", "--model", folder, "--tasks", "vtwt", "--output-path", "logs", "--device", "cpu")
    assert ran.code == 3
    assert demo.frame.name in ran.err
    assert "too thin" in ran.err


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (12, 200, 99), BACKGROUND])
def test_normalising_a_picture_of_one_colour(colour: tuple[int, int, int]) -> None:
    pixels = to_pixels(Image.new("RGB", (50, 50), colour), PixelSpec())
    assert pixels.shape == (3, 224, 224)
    assert pixels.dtype == torch.float32
    expected = torch.tensor(normal(colour))[:, None, None].expand(3, 224, 224)
    assert torch.allclose(pixels, expected, atol=1e-6, rtol=0)


def test_white_by_hand() -> None:
    pixels = to_pixels(Image.new("RGB", (1, 1), (255, 255, 255)), PixelSpec())
    assert pixels[:, 0, 0].tolist() == pytest.approx([2.248908, 2.428571, 2.64], abs=1e-5)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P"])
def test_only_rgb_is_taken(mode: str) -> None:
    with pytest.raises(ValueError, match=mode):
        to_pixels(Image.new(mode, (4, 4)), PixelSpec())


@pytest.mark.parametrize(
    ("declared", "argument", "pads"),
    [
        ("pad", None, True),
        ("square", None, False),
        (None, None, False),
        ("pad", "square", False),
        ("square", "pad", True),
    ],
)
def test_padding_follows_the_checkpoint_unless_the_user_says_otherwise(
    declared: str | None, argument: str | None, pads: bool, tmp_path: Path
) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, config={"image_aspect_ratio": declared})
    model = load(folder) if argument is None else load(folder, image_aspect_ratio=argument)
    pixels = model.preprocess(strip(RED, BLUE))
    assert colours(pixels[:, -1:, :1]) == [[BACKGROUND if pads else RED]]


# ---------------------------------------------------------------- the original's own pixels


@pytest.fixture(scope="module")
def golden_images(shared: Path) -> dict[str, bytes]:
    with tarfile.open(shared / "reference" / "golden" / "images_golden.tar") as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {name: file.read() for name, file in members if file is not None}


@pytest.fixture(scope="module")
def golden_lines(shared: Path) -> list[dict[str, Any]]:
    lines = (shared / "reference" / "golden" / "preprocess.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["processor"] in ("resnext", "vit")]


def pads_before_converting(line: dict[str, Any]) -> bool:
    """The original fills the square before it converts to RGB, which gives a CMYK picture another colour."""
    width, height = line["size"]
    return line["mode"] == "CMYK" and bool(width != height)


def pixels_of(line: dict[str, Any], images: dict[str, bytes]) -> torch.Tensor:
    name = str(line["image"])
    return to_pixels(decode(images[name], name), PixelSpec(pad=line["image_aspect_ratio"] == "pad"))


def test_pixels_equal_the_original(golden_lines: list[dict[str, Any]], golden_images: dict[str, bytes]) -> None:
    compared = 0
    for line in golden_lines:
        if "error" in line or pads_before_converting(line):
            continue
        pixels = pixels_of(line, golden_images)
        assert list(pixels.shape) == line["shape"]
        got = pixels.flatten()[line["index"]].tolist()
        assert got == pytest.approx(line["value"], abs=1e-6, rel=0), line["image"]
        assert float(pixels.double().mean()) == pytest.approx(line["mean"], abs=1e-6)
        assert float(pixels.double().std(correction=0)) == pytest.approx(line["std"], abs=1e-5)
        compared += 1
    assert compared == 64


def test_pixels_that_the_original_cannot_make(
    golden_lines: list[dict[str, Any]], golden_images: dict[str, bytes]
) -> None:
    lines = [line for line in golden_lines if "error" in line or pads_before_converting(line)]
    assert len(lines) == 10
    for line in lines:
        pixels = pixels_of(line, golden_images)
        assert pixels.shape == (3, 224, 224)
        assert bool(pixels.isfinite().all())
        width, height = line["size"]
        if width != height:  # the last row, or column, is background
            corner = pixels[:, -1:, -1:]
            assert colours(corner) == [[BACKGROUND]], line["image"]


def test_exif_orientation_is_not_applied() -> None:
    """As in the original: a picture that says "turn me" is read as it lies."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    written = io.BytesIO()
    strip(RED, BLUE, RED, BLUE).save(written, "PNG", exif=exif)
    assert decode(written.getvalue(), "turned.png").size == (4, 1)
