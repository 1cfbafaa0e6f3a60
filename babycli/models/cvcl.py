"""CVCL (Vong et al. 2024, Science 383, 504-511): a ResNeXt-50 and word embeddings, trained together.

Owns how its checkpoint is read, its words and its two vectors. Checked against multimodal-baby @ d64c1bb:

    picture   RGB, stretched to 224 x 224 (bicubic), ImageNet mean and deviation -> ResNeXt-50 -> mean -> linear
    text      <sos> words <eos>                    -> mean of the word embeddings

``similarity`` is the cosine of the two where the checkpoint normalises its features, else their dot product; the
original's logit is that divided by the temperature (0.07).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from babycli import bibliography
from babycli.domain import Context, Similarity
from babycli.errors import ModelError, UsageError
from babycli.files import in_home
from babycli.models.base import (
    PLACES,
    Abilities,
    Family,
    Features,
    Model,
    ModelInfo,
    ModelSpec,
    Origin,
    Outline,
    Part,
    Pictures,
    Tokens,
)
from babycli.models.parts.prompts import filled, prompt_text
from babycli.wording import did_you_mean, listed, one_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from babycli.models.parts.lightning import Lightning
    from babycli.models.parts.pixels import PixelSpec

ABILITIES = Abilities(scores=("similarity",), shares_pixels=True, matches=True)
MAX_TOKENS = 25  # <sos> and <eos> included; the original cuts longer utterances
TEXTS = ("utterance", "word")
NORMALISES = "normalize_features"  # an argument of the training run, and of --model-args where the file has none
_VISION = ("vision_encoder.model.", "model.image_embed.model.")  # the same weights, under two names
_WORDS = ("text_encoder.embedding.weight", "model.text_embed.embedding.weight")
_ENCODERS = (
    "vision_encoder.",
    "model.image_embed.",
    "text_encoder.",
    "model.text_embed.",
    "language_model.text_encoder.",
)
_WORDS_AGAIN = "language_model.text_encoder.embedding.weight"  # the word embeddings, under a third name
_SPECIAL = ("<pad>", "<unk>", "<sos>", "<eos>")


class Cvcl(Model):
    """A loaded CVCL; the features of a picture are its vector (size of the embedding). See babycli.models.base."""

    def __init__(self, network: nn.ModuleDict, vocab: Mapping[str, int], info: ModelInfo, wraps: bool, cosine: bool):
        from babycli.models.parts.dual_encoder import TextVectors

        self._network = network
        self._vocab = vocab
        self._wraps = wraps
        self._cosine = cosine
        self._texts = TextVectors(self._encode_texts, cosine)
        self.info = info

    def render(self, context: Context) -> str:
        return prompt_text(context)

    @property
    def pixels_key(self) -> PixelSpec:
        from PIL import Image as Pillow

        from babycli.models.parts.pixels import PixelSpec

        return PixelSpec(pad=False, resample=Pillow.Resampling.BICUBIC)

    def preprocess(self, image: Image) -> Tensor:
        from babycli.models.parts.pixels import to_pixels

        return to_pixels(image, self.pixels_key)

    def encode(self, pixels: Sequence[Tensor]) -> list[Features]:
        import torch

        from babycli.models.parts.device_memory import on_device
        from babycli.models.parts.dual_encoder import as_features
        from babycli.models.parts.precision import torch_dtype

        with torch.inference_mode():
            batch = on_device(pixels, self.info.device, torch_dtype(self.info.dtype))
            vectors = self._network["fc"](self._network["trunk"](batch).mean(1))
        return as_features(vectors, self._cosine)

    def tokenize(self, context: Context, answer: str) -> Tokens:
        text = filled(prompt_text(context), answer)
        words = split_words(text, self._vocab)
        unknown = self._vocab["<unk>"]
        ids = [self._vocab.get(word, unknown) for word in words]
        if self._wraps:
            ids = [self._vocab["<sos>"], *ids[: MAX_TOKENS - 2], self._vocab["<eos>"]]
        if not ids:
            raise ModelError(f"the text {text!r} has no words")
        return Tokens(tuple(ids[:MAX_TOKENS]), len(ids), len(ids))

    def read_texts(self, tokens: Sequence[Tokens]) -> None:
        self._texts.read(tokens)

    def similarity(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Similarity]:
        return self._texts.similarity([row[0] for row in pictures], tokens)

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        """Compares two pictures by the cosine of their vectors, whether or not the model normalises them."""
        from babycli.models.parts.dual_encoder import cosines

        return cosines(pairs)

    def _encode_texts(self, ids: Sequence[tuple[int, ...]]) -> Tensor:
        import torch

        with torch.inference_mode():
            out: Tensor = self._network["words"](torch.tensor(ids, device=self.info.device)).float().mean(1)
        return out


def split_words(text: str, vocab: Mapping[str, int]) -> list[str]:
    """Splits the tasks' plain texts into words as the original's tokenizer does (spaCy's for English).

    A piece between spaces is a word if the vocabulary has it; else it is cut before n't, 's and the like, and at
    punctuation: "don't go." -> do n't go .
    """
    words: list[str] = []
    for piece in text.split():
        if piece in vocab or piece.lower() in vocab:
            words.append(piece if piece in vocab else piece.lower())
        else:
            cut = re.findall(r"n't|'\w+|\w+?(?=n't)|\w+|[^\w\s]", piece)
            words += [word if word in vocab else word.lower() for word in cut]
    return words


def load(spec: ModelSpec, place: Path) -> Cvcl:
    """Reads a .ckpt or the folder that holds one; see babycli.models.base.Loader."""
    from babycli.models.parts import checkpoint
    from babycli.models.parts.lightning import read_lightning
    from babycli.models.parts.precision import full_precision, in_dtype, notes_on_broken, torch_dtype
    from babycli.models.parts.vision import quicken
    from babycli.models.parts.weight_files import only

    wraps = _text_kind(spec) == "utterance"
    file = _ckpt(place)
    read = read_lightning(file)
    cosine = _is_cosine(spec, _settings(read, file), file)
    vocab, vocab_file = _vocabulary(spec, file, read)
    weights = in_dtype(read.weights, torch_dtype(spec.dtype))
    network = _network(weights, file)
    rows = len(weights[next(name for name in _WORDS if name in weights)])
    if beyond := sorted(word for word, i in vocab.items() if not 0 <= i < rows):
        raise ModelError(f"{file} embeds {rows} words, the vocabulary goes beyond: {listed(beyond)}")
    n_parameters = checkpoint.n_parameters(network)
    network = network.to(spec.device).eval()
    checkpoint.copy_from_files(network)
    if spec.dtype == "float32":
        full_precision()
    quicken(network["trunk"], spec.device)
    info = ModelInfo(
        family="cvcl",
        source=spec.source,
        fingerprint=checkpoint.fingerprint([file, *([vocab_file] if vocab_file else [])]),
        n_parameters=n_parameters,
        dtype=spec.dtype,
        device=spec.device,
        template="none",
        abilities=ABILITIES,
        notes=(*notes_on_broken(weights.values()), *(only(file).notes() if place.is_dir() else ())),
    )
    return Cvcl(network, vocab, info, wraps, cosine)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; without the .ckpt, by the published sizes. See babycli.models.base.Outliner."""
    from accelerate import init_empty_weights
    from torch import nn

    from babycli.models.parts import checkpoint
    from babycli.models.parts.lightning import read_lightning
    from babycli.models.parts.vision import ResNeXt, ResNeXtSpec
    from babycli.models.parts.weight_files import only

    _text_kind(spec)
    is_here = place.is_file() or any(place.glob("*.ckpt"))
    vocab = Origin("vocabulary", "as vocab= says" if "vocab" in spec.args else "beside the .ckpt, else in it")
    origins = (Origin("weights", "not here"), vocab)
    left_out: tuple[str, ...] = ()
    if is_here:
        file = _ckpt(place)
        read = read_lightning(file, "meta")
        _, vocab_file = _vocabulary(spec, file, read)
        vocab = Origin("vocabulary", "" if vocab_file else "in the weights' file", (vocab_file,) if vocab_file else ())
        origins = (Origin("weights", "", (file,)), vocab)
        left_out = tuple(path.name for path in only(file).left_out) if place.is_dir() else ()
        _is_cosine(spec, _settings(read, file), file)
        network: Any = _network(read.weights, file)
    else:
        n_words = len(checkpoint.read_json_object(place / "vocab.json"))
        with init_empty_weights():
            parts = {"trunk": ResNeXt(ResNeXtSpec()), "fc": nn.Linear(2048, 512), "words": nn.Embedding(n_words, 512)}
        network = nn.ModuleDict(parts)
    n_words, size = network["words"].weight.shape
    return Outline(
        family="cvcl",
        parts=(
            Part("image encoder", "ResNeXt-50 32x4d, mean of 49 positions", checkpoint.n_parameters(network["trunk"])),
            Part("projection", f"linear, 2048 to {size}", checkpoint.n_parameters(network["fc"])),
            Part("text encoder", f"mean of {n_words} words' embeddings", checkpoint.n_parameters(network["words"])),
        ),
        stored_dtype=str(network["words"].weight.dtype).removeprefix("torch.") if is_here else None,
        template="none",
        abilities=ABILITIES,
        render=prompt_text,
        origins=origins,
        left_out=left_out,
    )


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether a path is a .ckpt, or a folder with a .ckpt and no config.json."""
    return folder.suffix == ".ckpt" if folder.is_file() else not config and any(folder.glob("*.ckpt"))


def _ckpt(place: Path) -> Path:
    if place.is_file():
        return place
    files = sorted(place.glob("*.ckpt"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise ModelError(
            f"expected one .ckpt of CVCL in {place}, found {names}", f"name it:  --model {place / 'NAME.ckpt'}"
        )
    return files[0]


def _text_kind(spec: ModelSpec) -> str:
    kind = spec.args.get("text", TEXTS[0])
    if kind not in TEXTS:
        raise UsageError(f"unknown text={kind!r}.{did_you_mean(kind, list(TEXTS))}", f"one of: {', '.join(TEXTS)}")
    return kind


def _settings(read: Lightning, file: Path) -> Mapping[str, Any]:
    """Gives the arguments of the training run. Raises ModelError for a kind of CVCL that is not implemented."""
    settings = read.arguments()
    for key, known in (("text_encoder", "embedding"), ("embedding_type", "flat")):
        if settings.get(key, known) != known:
            raise ModelError(f"{file} was trained with {key}={settings[key]!r}; expected is a CVCL with {known!r}")
    return settings


def _is_cosine(spec: ModelSpec, settings: Mapping[str, Any], file: Path) -> bool:
    """Tells whether the two vectors are normalised; what the user says comes first. Raises ModelError if nothing does.

    Without it the same weights would give a dot product or a cosine, and nobody could tell which was trained.
    """
    wanted = spec.args.get(NORMALISES)
    if wanted is not None:
        return one_of(wanted, ("true", "false"), NORMALISES) == "true"
    value = settings.get(NORMALISES)
    if not isinstance(value, bool):
        what = f"says {NORMALISES}={value!r}" if NORMALISES in settings else f"has no {NORMALISES}"
        raise ModelError(
            f"{file} {what} among its hyper-parameters (args of the training run), so that it is not known whether its "
            "similarity is a cosine or a dot product",
            f"say it:  --model-args {NORMALISES}=true  or  {NORMALISES}=false",
        )
    return value


def _vocabulary(spec: ModelSpec, file: Path, read: Lightning) -> tuple[dict[str, int], Path | None]:
    """Reads the vocabulary, word -> row of the embeddings, and gives its file, None if it is in the .ckpt.

    It is in the named file, else in vocab.json beside the .ckpt, else in the .ckpt itself.
    """
    from babycli.models.parts import checkpoint
    from babycli.models.parts.known_keys import is_whole

    wanted = spec.args.get("vocab")
    path = in_home(wanted) if wanted else file.parent / "vocab.json"
    if wanted and not path.is_file():
        raise UsageError(f"there is no vocabulary {path}", "give vocab.json:  --model-args vocab=PATH")
    if path.is_file():
        vocab, where = checkpoint.read_json_object(path), str(path)
    else:
        vocab, where = dict(read.attributes("text_encoder").get("vocab") or {}), str(file)
        if not vocab:
            raise ModelError(
                f"{file} has no vocabulary: there is no {path}", "say where it is:  --model-args vocab=PATH"
            )
    missing = [token for token in _SPECIAL if token not in vocab]
    if missing or not all(is_whole(i) for i in vocab.values()):
        raise ModelError(f"{where} is no vocabulary of CVCL, word to number" + (f": no {missing}" if missing else ""))
    return vocab, path if path.is_file() else None


def _network(weights: Mapping[str, Tensor], file: Path) -> nn.ModuleDict:
    """Builds the ResNeXt trunk, linear layer and word embeddings, with their weights. Raises ModelError."""
    from accelerate import init_empty_weights
    from torch import nn

    from babycli.models.parts import checkpoint
    from babycli.models.parts.vision import ResNeXt, ResNeXtSpec

    prefix = next((p for p in _VISION if any(name.startswith(p) for name in weights)), None)
    words = next((weights[name] for name in _WORDS if name in weights), None)
    vision = {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)} if prefix else {}
    if words is None or words.dim() != 2 or "fc.weight" not in vision:
        raise ModelError(
            f"{file} is no CVCL: expected are a ResNeXt-50 (vision_encoder.model.*, with fc) and word embeddings "
            "(text_encoder.embedding.weight)"
        )
    if left := sorted(name for name in weights if name.startswith(_ENCODERS) and not _has_place(name)):
        raise ModelError(
            f"{file} has weights of an encoder that have no place in this model: {listed(left)}; expected is a CVCL "
            "whose text encoder is word embeddings alone (text_encoder=embedding)"
        )
    with init_empty_weights():
        trunk = ResNeXt(ResNeXtSpec())
        fc = nn.Linear(2048, words.shape[1])
        embedding = nn.Embedding(*words.shape)
    for what, module, share in (
        ("image encoder", trunk, {n: t for n, t in vision.items() if not n.startswith("fc.")}),
        ("projection", fc, {n.removeprefix("fc."): t for n, t in vision.items() if n.startswith("fc.")}),
        ("text encoder", embedding, {"weight": words}),
    ):
        counters = frozenset(name for name in module.state_dict() if name.endswith("num_batches_tracked"))
        checkpoint.check_names(module, share, what, counters)
        module.load_state_dict(checkpoint.with_counters(module, share), assign=True)
    return nn.ModuleDict({"trunk": trunk, "fc": fc, "words": embedding})


def _has_place(name: str) -> bool:
    return name.startswith(_VISION) or name in (*_WORDS, _WORDS_AGAIN)


FAMILY = Family(
    name="cvcl",
    summary="CVCL: ResNeXt-50 and word embeddings, a Lightning .ckpt (wkvong/cvcl_s_dino_resnext50_embedding)",
    abilities=ABILITIES,
    arguments={
        "pretrained": ".ckpt, folder or hub id of the checkpoint",
        "text": "utterance (<sos> words <eos>) or word (the bare words); default utterance",
        NORMALISES: "true (cosine) or false (dot product), where the .ckpt does not say it",
        "vocab": "vocab.json, where it does not lie beside the .ckpt",
    },
    papers=(bibliography.CVCL,),
    without_effect=PLACES,
    recognises=recognises,
    load=load,
    outline=outline,
    claims=lambda name: name.endswith(".ckpt"),
)
