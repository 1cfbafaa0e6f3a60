"""CVCL: its words, its two vectors against a slow path, its checkpoint file, and what is refused."""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from babycli.models.base import Features, Model
from babycli.models.cvcl import MAX_TOKENS, split_words
from babycli.models.parts.dual_encoder import cosines
from babycli.models.parts.vision import ResNeXt, ResNeXtSpec
from tests.conftest import Babycli
from tests.models.conftest import Evaluate
from tests.models.loading import load, picture, similarity, tokenize, write_json
from tests.models.slow_path import resnext
from tests.models.test_bad_checkpoints import assert_explained

WORDS = ("ball", "red", "cat", "do", "n't", "it", "'s", ".")
VOCAB = {word: i for i, word in enumerate(("<pad>", "<unk>", "<sos>", "<eos>", *WORDS))}
SIZE = 16
BIAS = "vision_encoder.model.fc.bias"


def weights_of(seed: int) -> dict[str, Tensor]:
    """The published shape of the image encoder, with a small embedding."""
    torch.manual_seed(seed)
    trunk = ResNeXt(ResNeXtSpec())
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_buffer("running_mean", torch.rand(module.num_features) / 5 - 0.1)
    vision = trunk.state_dict() | {f"fc.{n}": w for n, w in nn.Linear(2048, SIZE).state_dict().items()}
    words = torch.randn(len(VOCAB), SIZE)
    words[0] = 0
    return {f"vision_encoder.model.{n}": w for n, w in vision.items()} | {"text_encoder.embedding.weight": words}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return weights_of(0)


@pytest.fixture
def foreign() -> Iterator[types.ModuleType]:
    """A package that pickles its modules into a checkpoint and is gone when the checkpoint is read."""
    package, module = types.ModuleType("multimodal"), types.ModuleType("multimodal.multimodal")
    sys.modules |= {"multimodal": package, "multimodal.multimodal": module}
    for name in ("VisionEncoder", "TextEncoder"):
        setattr(module, name, type(name, (nn.Module,), {"__module__": "multimodal.multimodal"}))
    yield module
    for name in ("multimodal", "multimodal.multimodal"):
        sys.modules.pop(name, None)


def save(path: Path, weights: dict[str, Tensor], hyper: dict[str, Any] | None = None, **args: object) -> Path:
    settings = {"normalize_features": True, "text_encoder": "embedding", "embedding_type": "flat"} | args
    given = {"args": argparse.Namespace(**settings)} if hyper is None else hyper
    path.parent.mkdir(exist_ok=True)
    torch.save({"state_dict": weights, "hyper_parameters": given, "epoch": 1}, path)
    return path


@pytest.fixture(scope="module")
def whole(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint. Do not write."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    save(folder / "cvcl.ckpt", weights)
    write_json(folder / "vocab.json", VOCAB)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What there is beside the file of a checkpoint, which the test writes."""
    (tmp_path / "model").mkdir()
    write_json(tmp_path / "model" / "vocab.json", VOCAB)
    return tmp_path / "model"


def score(model: Model, seed: int, text: str) -> float:
    (features,) = model.encode([model.preprocess(picture(seed))])
    return similarity(model, [features], [tokenize(model, "", text)])[0].value


def seen(weights: dict[str, Tensor], seed: int) -> Tensor:
    """The vector of one picture; the ResNeXt written out."""
    image = picture(seed).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.tensor(list(image.tobytes()), dtype=torch.float32).view(224, 224, 3).permute(2, 0, 1) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (pixels - mean[:, None, None]) / std[:, None, None]
    vision = {n.removeprefix("vision_encoder.model."): w for n, w in weights.items() if n.startswith("vision")}
    with torch.inference_mode():
        mean_of_positions = resnext(vision, pixels, (3, 4, 6, 3), 32).mean(0)
        return vision["fc.weight"] @ mean_of_positions + vision["fc.bias"]


def slow(weights: dict[str, Tensor], seed: int, ids: list[int], cosine: bool) -> float:
    """One picture, one text, whose mean is taken over all 25 places as the original does."""
    shown = seen(weights, seed)
    padded = ids + [0] * (MAX_TOKENS - len(ids))
    said = weights["text_encoder.embedding.weight"][padded].sum(0) / len(ids)
    return float(shown @ said / (shown.norm() * said.norm() if cosine else 1))


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("red ball", ["red", "ball"]),
        ("Red BALL", ["red", "ball"]),
        ("don't", ["do", "n't"]),
        ("it's red.", ["it", "'s", "red", "."]),
        ("  red   zebra ", ["red", "zebra"]),
        ("red,ball", ["red", ",", "ball"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text, VOCAB) == words


def test_ids_as_an_utterance_and_as_a_word(whole: Path) -> None:
    model = load(whole)
    assert tokenize(model, "", "red zebra").ids == (2, VOCAB["red"], 1, 3)
    assert tokenize(load(whole, text="word"), "", "red zebra").ids == (VOCAB["red"], 1)
    long = tokenize(model, "", " ".join(["ball"] * 40)).ids
    assert (len(long), long[0], long[-1]) == (MAX_TOKENS, 2, 3)
    assert tokenize(model, "red {}", "ball").ids == tokenize(model, "", "red ball").ids


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("cosine", [True, pytest.param(False, marks=pytest.mark.long)])
def test_similarity_is_that_of_the_slow_path(cosine: bool, weights: dict[str, Tensor], tmp_path: Path) -> None:
    save(tmp_path / "model" / "cvcl.ckpt", weights, normalize_features=cosine)
    write_json(tmp_path / "model" / "vocab.json", VOCAB)
    model = load(tmp_path / "model")
    for seed in range(2):
        for text in ("ball", "red cat"):
            ids = list(tokenize(model, "", text).ids)
            assert score(model, seed, text) == pytest.approx(slow(weights, seed, ids, cosine), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("cosine", [pytest.param(True, marks=pytest.mark.long), False])
def test_two_pictures_are_compared_by_the_cosine(cosine: bool, weights: dict[str, Tensor], tmp_path: Path) -> None:
    """Whatever a picture and a text are compared by. The bias makes the pictures differ by more than rounding."""
    weights = weights | {BIAS: weights[BIAS] - seen(weights, 2)}
    save(tmp_path / "model" / "cvcl.ckpt", weights, normalize_features=cosine)
    write_json(tmp_path / "model" / "vocab.json", VOCAB)
    model = load(tmp_path / "model")
    one, other = model.encode([model.preprocess(picture(seed)) for seed in range(2)])
    expected = float(torch.cosine_similarity(seen(weights, 0), seen(weights, 1), dim=0))
    scores = model.match([(one, other), (other, one), (other, other)])
    assert [score.value for score in scores] == pytest.approx([expected, expected, 1.0], abs=1e-5)
    assert scores[0] == scores[1]
    assert scores[0].value < 0.9


def test_a_vector_without_a_direction_is_near_nothing() -> None:
    shown = [Features(torch.tensor(row), b"") for row in ([0.0, 0.0], [3.0, 4.0], [math.inf, 1.0], [-math.inf, 1.0])]
    pairs = [(shown[0], shown[1]), (shown[0], shown[0]), (shown[2], shown[1]), (shown[2], shown[3])]
    assert all(math.isnan(score.value) for score in cosines(pairs))


@pytest.mark.long
@pytest.mark.parametrize("n", [16, pytest.param(64, marks=pytest.mark.long)])
def test_the_batch_does_not_matter(n: int, whole: Path) -> None:
    model = load(whole)
    pixels = [model.preprocess(picture(seed)) for seed in range(n)]
    tokens = tokenize(model, "", "red ball")
    found = []
    for size in (1, 7, n):
        features = [f for i in range(0, n, size) for f in model.encode(pixels[i : i + size])]
        found.append([s.value for s in similarity(model, features, [tokens] * n)])
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert found[2] == pytest.approx(found[0], abs=1e-5)
    assert len(set(found[0])) == n


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.01), ("bfloat16", 0.05)])
def test_half_precision_is_near(dtype: str, tolerance: float, whole: Path) -> None:
    exact, half = score(load(whole), 0, "ball"), score(load(whole, dtype=dtype), 0, "ball")
    assert half == pytest.approx(exact, abs=tolerance)
    assert half != exact


def test_nan_weights_give_no_number(weights: dict[str, Tensor], folder: Path) -> None:
    broken = weights | {"vision_encoder.model.fc.bias": torch.full((SIZE,), math.nan)}
    save(folder / "cvcl.ckpt", broken)
    model = load(folder)
    assert any("NaN" in note for note in model.info.notes)
    assert math.isnan(score(model, 0, "ball"))


# ---------------------------------------------------------------- what the training run was told

TOLD = {"normalize_features": True, "text_encoder": "embedding", "embedding_type": "flat", "sim": "mean"}
FORMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "args is a Namespace": lambda told: {"hyper_parameters": {"args": argparse.Namespace(**told)}},
    "args is a dict": lambda told: {"hyper_parameters": {"args": told}},
    "flat": lambda told: {"hyper_parameters": {"lr": 0.1, "args": None, **told}},
    "a Namespace by itself": lambda told: {"hyper_parameters": argparse.Namespace(**told)},
    "the name before Lightning 1": lambda told: {"hparams": told},
}


# Enough to be refused before a network is made.
FEW = {
    "vision_encoder.model.fc.weight": torch.zeros(SIZE, 1),
    "text_encoder.embedding.weight": torch.zeros(len(VOCAB), SIZE),
}


@pytest.fixture(scope="module")
def cosine(weights: dict[str, Tensor]) -> float:
    """The similarity of the first picture and "ball" by the slow path."""
    return slow(weights, 0, [2, VOCAB["ball"], 3], cosine=True)


@pytest.mark.parametrize(
    "form", [*list(FORMS)[:2], *(pytest.param(form, marks=pytest.mark.long) for form in list(FORMS)[2:])]
)
def test_all_forms_of_hyper_parameters_are_one(
    form: str, weights: dict[str, Tensor], cosine: float, folder: Path, evaluate: Evaluate
) -> None:
    file = folder / "cvcl.ckpt"
    torch.save({"state_dict": weights, **FORMS[form](TOLD)}, file)
    assert score(load(folder), 0, "ball") == pytest.approx(cosine, abs=1e-5)
    for key, other in (("text_encoder", "cbow"), ("text_encoder", "lstm"), ("embedding_type", "spatial")):
        torch.save({"state_dict": FEW, **FORMS[form](TOLD | {key: other})}, file)
        assert_explained(evaluate("--model", folder), 5, "cvcl.ckpt", f"{key}={other!r}")


@pytest.mark.parametrize(
    "hyper",
    [None, {}, {"args": None}, {"args": {"lr": 0.1}}, {"normalize_features": "False"}, {"normalize_features": None}],
    ids=str,
)
def test_a_file_that_does_not_say_whether_it_is_a_cosine(
    hyper: object, folder: Path, evaluate: Evaluate, babycli: Babycli
) -> None:
    torch.save({"state_dict": FEW} | ({} if hyper is None else {"hyper_parameters": hyper}), folder / "cvcl.ckpt")
    for ran in (evaluate("--model", folder), babycli("models", "show", folder)):
        assert_explained(ran, 5, "cvcl.ckpt", "normalize_features", "args")
        assert "--model-args normalize_features=true" in ran.err
    given = evaluate("--model", folder, "--model-args", "normalize_features=yes")
    assert_explained(given, 2, "normalize_features", "'yes'")


def test_the_user_may_say_whether_it_is_a_cosine(weights: dict[str, Tensor], cosine: float, folder: Path) -> None:
    torch.save({"state_dict": weights}, folder / "cvcl.ckpt")
    dot = slow(weights, 0, [2, VOCAB["ball"], 3], cosine=False)
    assert abs(dot - cosine) > 0.01
    for word, expected in (("true", cosine), ("false", dot)):
        assert score(load(folder, normalize_features=word), 0, "ball") == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_weights_of_an_encoder_without_a_place(folder: Path, evaluate: Evaluate) -> None:
    for name in (
        "text_encoder.lstm.weight_ih_l0",
        "text_encoder.transformer_encoder.layers.0.norm1.weight",
        "model.text_embed.lstm.bias_hh_l0",
        "vision_encoder.projection.weight",
        "language_model.text_encoder.attention.attn_layer.bias",
    ):
        save(folder / "cvcl.ckpt", FEW | {name: torch.zeros(3)})
        assert_explained(evaluate("--model", folder), 5, "cvcl.ckpt", "no place", name)


def test_weights_of_the_language_model_beside_it_are_left(
    weights: dict[str, Tensor], cosine: float, folder: Path
) -> None:
    again = {"language_model.text_encoder.embedding.weight": weights["text_encoder.embedding.weight"]}
    others = {"language_model.output_layer.bias": torch.zeros(3), "model.logit_neg_log_temperature": torch.zeros(())}
    save(folder / "cvcl.ckpt", weights | again | others)
    assert score(load(folder), 0, "ball") == pytest.approx(cosine, abs=1e-5)


# ---------------------------------------------------------------- the file


def test_modules_among_the_hyper_parameters_are_not_imported(
    weights: dict[str, Tensor], foreign: types.ModuleType, tmp_path: Path
) -> None:
    """The vocabulary is read out of the pickled text encoder; a shell command in it would never run."""
    encoder = foreign.TextEncoder()
    encoder.vocab = VOCAB
    encoder.layer = nn.Linear(2, 2)
    hyper = {"text_encoder": encoder, "vision_encoder": foreign.VisionEncoder()}
    hyper["args"] = argparse.Namespace(normalize_features=True, optimizer=torch.optim.AdamW)
    path = save(tmp_path / "model" / "cvcl.ckpt", weights, hyper)
    for name in ("multimodal", "multimodal.multimodal"):
        del sys.modules[name]
    assert -1 <= score(load(path), 0, "red ball") <= 1
    assert "multimodal" not in sys.modules


def test_the_second_name_of_the_weights_serves_too(weights: dict[str, Tensor], whole: Path, folder: Path) -> None:
    expected = score(load(whole), 0, "ball")
    names = (("vision_encoder.model.", "model.image_embed.model."), ("text_encoder.", "model.text_embed."))
    renamed = dict(weights)
    for old, new in names:
        renamed = {n.replace(old, new, 1) if n.startswith(old) else n: w for n, w in renamed.items()}
    save(folder / "cvcl.ckpt", renamed)
    assert score(load(folder), 0, "ball") == expected


class _Attack:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_code_in_the_file_is_refused_and_not_run(weights: dict[str, Tensor], folder: Path, evaluate: Evaluate) -> None:
    proof = folder / "it-ran"
    save(folder / "cvcl.ckpt", weights, {"args": _Attack(f"touch {proof}")})
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, "cvcl.ckpt", "holds code", f"{os.system.__module__}.system")
    assert not proof.exists()


class _Evaluated:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


def without(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda weights: {n: w for n, w in weights.items() if n != name}


def test_what_is_no_cvcl(weights: dict[str, Tensor], folder: Path, evaluate: Evaluate) -> None:
    def refused(*names: str) -> None:
        assert_explained(evaluate("--model", folder / "cvcl.ckpt"), 5, *names)

    path = folder / "cvcl.ckpt"
    save(path, weights, {"args": _Evaluated()})
    refused("holds code", "builtins.eval")
    save(path, without("text_encoder.embedding.weight")(weights))
    refused("no CVCL", "expected are")
    save(path, without("vision_encoder.model.layer3.2.conv1.weight")(weights))
    refused("image encoder", "1 missing", "layer3.2.conv1.weight")
    save(path, weights, text_encoder="lstm")
    refused("text_encoder='lstm'", "expected")
    torch.save({"no": "weights"}, path)
    refused("no weights in state_dict")
    path.write_bytes(b"hello")
    refused("cvcl.ckpt", "expected is a checkpoint of PyTorch Lightning")
    save(path, weights | {BIAS: weights[BIAS].to("meta")})
    refused(f"the shape of {BIAS}, and not its numbers")
    save(path, weights | {BIAS: weights[BIAS].to_sparse()})
    refused(f"{BIAS} as a tensor of layout torch.sparse_coo")
    save(path, weights)
    write_json(folder / "vocab.json", VOCAB | {"far": True})
    refused("word to number")
    write_json(folder / "vocab.json", VOCAB | {"far": 999})
    refused("beyond", "far")
    write_json(folder / "vocab.json", {"ball": 0})
    refused("no vocabulary", "<sos>")
    (folder / "vocab.json").unlink()
    refused("no vocabulary")


def tuples_in_tuples() -> bytes:
    """A key that takes 2^40 steps to hash."""
    pair: tuple[Any, ...] = ()
    for _ in range(40):
        pair = (pair, pair)
    return b"\x80\x02}" + pickle.dumps(pair, 2)[2:-1] + b"K\x01s."


def hole(path: Path) -> None:
    path.write_bytes(b"PK")
    os.truncate(path, 1 << 40)


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "a pipe"),
    "a hole": (hole, "a hole"),
    "a key that takes days to hash": (lambda path: path.write_bytes(tuples_in_tuples()), "tuples in tuples"),
    "no dictionary": (lambda path: path.write_bytes(b"\x80\x02]q\x00}a."), "expected is a checkpoint of PyTorch"),
}


@pytest.mark.parametrize("how", UNFIT)
def test_what_torch_would_wait_for_or_not_end_with(how: str, folder: Path, evaluate: Evaluate) -> None:
    make, why = UNFIT[how]
    make(folder / "cvcl.ckpt")
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, "cvcl.ckpt", why)
    assert "weights_only" not in ran.err
    assert "trust" not in ran.err


def test_several_files_need_a_choice(weights: dict[str, Tensor], folder: Path, evaluate: Evaluate) -> None:
    save(folder / "cvcl.ckpt", FEW)
    save(folder / "other.ckpt", weights)
    assert_explained(evaluate("--model", folder), 5, "cvcl.ckpt, other.ckpt")
    assert evaluate("--model", folder / "other.ckpt").code == 0


def test_wrong_arguments(whole: Path, evaluate: Evaluate) -> None:
    given = evaluate("--model", whole, "--model-args", "text=wrod")
    assert_explained(given, 2, "'wrod'", "Did you mean 'word'?")
    given = evaluate("--model", whole, "--model-args", "vocab=/nowhere.json")
    assert_explained(given, 2, "/nowhere.json")
    assert_explained(evaluate("--model", whole / "none.ckpt"), 2, "none.ckpt")


def test_the_log_says_what_was_asked(whole: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    ran = evaluate("--model", "cvcl", "--model-args", f"pretrained={whole},text=word", "--tasks", "vtwt")
    assert ran.code == 0, ran.err
    (path,) = (tmp_path / "logs").glob("*/*/run.json")
    run = json.loads(path.read_text())
    assert run["model"]["family"] == "cvcl"
    assert run["model"]["args"]["text"] == "word"
    assert len(run["model"]["fingerprint"]) == 64


def test_show(whole: Path, babycli: Babycli) -> None:
    expected = load(whole).info.n_parameters
    for place in (whole, whole / "cvcl.ckpt"):
        ran = babycli("models", "show", place, "--json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["n_parameters"] == expected
