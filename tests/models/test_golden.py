"""Every line that the authors' code computed on the reference checkpoints: ids, prompts, losses, captions.

The checkpoints are written anew by the script beside the recorded lines; the pictures are the recorded ones. The
large one (ViT-L/16, 2.4 GB) is tried when BABYCLI_TEST_LARGE=1.
"""

from __future__ import annotations

import csv
import json
import math
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from babycli.data.decoding import decode
from babycli.domain import Loglikelihood
from babycli.models.base import Model, Tokens
from tests.llava_checkpoints import as_transformers
from tests.models.loading import asked, context_and_answer, load, loglikelihood, similarity, tokenize, written
from tests.reference import write_reference

MOST_BETWEEN_MACHINES = 2e-5  # the threads of a matrix product alone make up to 4e-6
BATCH = 16
Line = dict[str, Any]
Recorded = Mapping[str, bytes]


@pytest.fixture(scope="session")
def recorded_images(shared: Path) -> Recorded:
    return pictures_in(shared)


def pictures_in(shared: Path) -> Recorded:
    """The JPEG files by their names in the label files."""
    folders = ("labeled_s_images/", "saycam_images/", "synthetic_images/")
    with tarfile.open(shared / "reference" / "golden" / "images_golden.tar") as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        content = {name: file.read() for name, file in files if file is not None}
    return {n.removeprefix(f): image for n, image in content.items() for f in folders if n.startswith(f)}


def lines_of(shared: Path, name: str) -> list[Line]:
    return [json.loads(line) for line in (shared / "reference" / "golden" / name).read_text().splitlines()]


def check(model: Model, lines: Sequence[Line], images: Recorded) -> None:
    """Compares every line; each picture is encoded once."""
    features = features_of(model, sorted({line["image"] for line in lines}), images)
    scored = [line for line in lines if line["kind"] == "loglikelihood"]
    tokens = [tokens_of(model, line) for line in scored]
    losses = {i: score.mean_loss for i, score in scores_of(model, tokens, [features[x["image"]] for x in scored])}
    off = {i: abs(losses[i] - line["loss"]) for i, line in enumerate(scored)}
    assert len(off) == len(scored)
    assert max(off.values()) <= MOST_BETWEEN_MACHINES
    assert all(math.isfinite(loss) for loss in losses.values())

    captions = [line for line in lines if line["kind"] == "generate_until"]
    for start in range(0, len(captions), BATCH):
        batch = captions[start : start + BATCH]
        (context,) = {line["context"] for line in batch}
        generated = written(model, [features[line["image"]] for line in batch], context, 25)
        for line, caption in zip(batch, generated, strict=True):
            assert model.render(asked(line["context"])) == line["prompt"]
            assert list(caption.token_ids) == line["output_ids"], line["image"]
            assert caption.text == line["text"]
            assert caption.is_finite
    assert len(scored) + len(captions) == len(lines)


def features_of(model: Model, names: Sequence[str], images: Recorded) -> dict[str, Any]:
    features: dict[str, Any] = {}
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        encoded = model.encode([model.preprocess(decode(images[name], name)) for name in batch])
        features |= dict(zip(batch, encoded, strict=True))
    return features


def tokens_of(model: Model, line: Line) -> Tokens:
    """The ids of a line, compared with the recorded ones."""
    tokens = tokenize(model, line["context"], line["continuation"].removeprefix(" "))
    context, answer = context_and_answer(tokens)
    assert model.render(asked(line["context"])) == line["context_prompt"]
    assert list(tokens.ids) == line["input_ids"]
    assert context == line["context_ids"]
    assert [-100] * len(context) + answer == line["labels"]
    return tokens


def scores_of(model: Model, tokens: Sequence[Tokens], features: Sequence[Any]) -> list[tuple[int, Loglikelihood]]:
    """All scores with their positions, batches of equal keys together."""
    groups: dict[Any, list[int]] = {}
    for i, one in enumerate(tokens):
        groups.setdefault(one.batch_key, []).append(i)
    scored: list[tuple[int, Loglikelihood]] = []
    for group in groups.values():
        for start in range(0, len(group), BATCH):
            batch = group[start : start + BATCH]
            scores = loglikelihood(model, [features[i] for i in batch], [tokens[i] for i in batch])
            scored += zip(batch, scores, strict=True)
    return scored


@pytest.fixture(scope="module")
def small(checkpoints: Path) -> Model:
    return load(checkpoints / "babyllava_resnext_gpt2")


@pytest.mark.long
def test_every_recorded_line(small: Model, shared: Path, recorded_images: Recorded) -> None:
    lines = lines_of(shared, "babyllava_resnext_gpt2.jsonl")
    assert len(lines) == 440
    check(small, lines, recorded_images)


@pytest.mark.long
def test_every_recorded_line_of_byte_pairs(checkpoints: Path, shared: Path, recorded_images: Recorded) -> None:
    lines = lines_of(shared, "babyllava_resnext_gpt2_bpe.jsonl")
    assert len(lines) == 12
    check(load(checkpoints / "babyllava_resnext_gpt2_bpe"), lines, recorded_images)


def test_the_real_tie(small: Model, shared: Path) -> None:
    """VTWT row 210: two phrases that are the same ids to this tokenizer, so no score may tell them apart."""
    with (shared / "labels" / "vtwt" / "vtwt.csv").open(newline="", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[210]
    assert row["positive_phrase"] != row["negative_phrase"]
    assert tokenize(small, "", row["positive_phrase"]) == tokenize(small, "", row["negative_phrase"])


def test_the_tower_as_its_authors_publish_it(
    small: Model, checkpoints: Path, recorded_images: Recorded, tmp_path: Path
) -> None:
    """The DINO file, rounded to bfloat16 as the checkpoint's own tower is, gives the same numbers."""
    published = checkpoints / "eminorhan" / "dino_sfp_resnext50" / "dino_sfp_resnext50.pth"
    content = torch.load(published, weights_only=True)
    teacher = {n: w.bfloat16() if w.is_floating_point() else w for n, w in content["teacher"].items()}
    torch.save(content | {"teacher": teacher}, tmp_path / "tower.pth")
    other = load(checkpoints / "babyllava_resnext_gpt2", vision_tower=tmp_path / "tower.pth")
    name = next(iter(recorded_images))
    tokens = tokenize(small, "", "ball")
    one, two = (
        loglikelihood(model, [features_of(model, [name], recorded_images)[name]], [tokens]) for model in (small, other)
    )
    assert one == two


@pytest.mark.long
def test_every_recorded_line_of_llava(checkpoints: Path, shared: Path, recorded_images: Recorded) -> None:
    """The tower lies beside the checkpoint, where config.json's name for it leads."""
    lines = lines_of(shared, "llava-v1.5-tiny.jsonl")
    assert len(lines) == 440
    model = load(checkpoints / "llava-v1.5-tiny")
    check(model, lines, recorded_images)
    assert model.info.notes == (f"the vision tower is {checkpoints / 'openai' / 'clip-vit-large-patch14-336'}",)


@pytest.mark.parametrize(
    "naming", [pytest.param("language_model.model.", marks=pytest.mark.long), "model.language_model."]
)
def test_llava_in_the_format_of_transformers(
    naming: str, checkpoints: Path, shared: Path, recorded_images: Recorded, tmp_path: Path
) -> None:
    """The same weights under the names that transformers gives them, the tower among them, score the same."""
    lines = lines_of(shared, "llava-v1.5-tiny.jsonl")
    some = [*lines[::20], *[line for line in lines if line["kind"] == "generate_until"][:4]]
    tower = checkpoints / "openai" / "clip-vit-large-patch14-336"
    folder = as_transformers(checkpoints / "llava-v1.5-tiny", tower, tmp_path / "hf", naming)
    check(load(folder), some, recorded_images)


CVCL = Path("wkvong", "cvcl_s_dino_resnext50_embedding")


@pytest.fixture(scope="module")
def cvcl_features(checkpoints: Path, shared: Path, recorded_images: Recorded) -> dict[str, Any]:
    """Every recorded picture; it takes half a minute on one thread."""
    names = sorted({line["image"] for line in lines_of(shared, "cvcl.jsonl")})
    return features_of(load(checkpoints / CVCL), names, recorded_images)


@pytest.mark.long
@pytest.mark.parametrize("given", ["folder", "file"])
def test_every_recorded_line_of_cvcl(
    given: str, checkpoints: Path, shared: Path, recorded_images: Recorded, cvcl_features: dict[str, Any]
) -> None:
    """As an utterance, and as the bare word of the other published evaluation."""
    folder = checkpoints / CVCL
    place = folder if given == "folder" else folder / f"{folder.name}.ckpt"
    lines = lines_of(shared, "cvcl.jsonl")
    assert len(lines) == 400
    for text in ("utterance", "word"):
        model = load(place, text=text)
        own = features_of(model, list(cvcl_features)[:BATCH], recorded_images)
        assert all(torch.equal(own[name].data, cvcl_features[name].data) for name in own)  # so is the rest
        features = cvcl_features | own
        for line in lines:
            tokens = tokenize(model, "", line["phrase"])
            (score,) = similarity(model, [features[line["image"]]], [tokens])
            if text == "utterance":
                assert list(tokens.ids) == line["input_ids"][: line["length"]]
                assert score.value == pytest.approx(line["cosine"], abs=1e-5)
                assert score.value / 0.07 == pytest.approx(line["logit"], abs=1e-4)
            elif "logit_no_sos_eos" in line:
                assert list(tokens.ids) == line["input_ids"][1 : line["length"] - 1]
                assert score.value / 0.07 == pytest.approx(line["logit_no_sos_eos"], abs=1e-4)
        for line in lines[:4]:
            first = features[line["image"]].data[:8].tolist()
            assert first == pytest.approx(line["image_feature_first8"], abs=1e-5)


@pytest.mark.skipif(os.environ.get("BABYCLI_TEST_LARGE") != "1", reason="writes 2.4 GB; set BABYCLI_TEST_LARGE=1")
def test_every_recorded_line_of_the_large_model(
    shared: Path, recorded_images: Recorded, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write_reference(shared, tmp_path_factory.mktemp("large"), "b")
    lines = lines_of(shared, "babyllava_vitl16_llama.jsonl")
    assert len(lines) == 12
    check(load(folder / "babyllava_vitl16_llama"), lines, recorded_images)
