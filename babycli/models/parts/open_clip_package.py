"""Networks that only the package open_clip_torch can build: ResNets, CoCa, trunks of timm.

Owns calling the package. Never lets it read or fetch weights: babycli reads them, as those of every model, and the
package builds the network, cuts up the texts and prepares the pictures.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from babycli.domain import CannotAnswer
from babycli.errors import ModelError
from babycli.foreign import explained
from babycli.models.base import Part
from babycli.models.parts import checkpoint
from babycli.models.parts.clip_network import Filled
from babycli.models.parts.open_clip_folder import OpenClip
from babycli.models.parts.pictures import check_thinness
from babycli.models.parts.precision import in_dtype, notes_on_broken, torch_dtype
from babycli.models.parts.weight_files import OPEN_CLIP_CONFIG

PACKAGE, MODULE = "open_clip_torch", "open_clip"


class PackageNetwork(nn.Module):
    """A network of open_clip, called as one of transformers."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        vectors: Tensor = self.inner.encode_image(pixel_values)
        return vectors

    def get_text_features(self, input_ids: Tensor) -> Tensor:
        vectors: Tensor = self.inner.encode_text(input_ids)
        return vectors


class PackageTexts:
    """The package's tokenizer, with its padding; a text that it would cut off gets no answer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._n_positions = int(tokenizer.context_length)

    def ids(self, text: str) -> tuple[int, ...] | CannotAnswer:
        # With one position more, a text that is too long still fills all of them.
        more = self._tokenizer([text], context_length=self._n_positions + 1)[0].tolist()
        ids = self._tokenizer([text], context_length=self._n_positions)[0].tolist()
        n = next((i for i, (one, other) in enumerate(zip(more, ids, strict=False)) if one != other), None)
        if n is not None:
            return CannotAnswer(f"the text takes more than the {self._n_positions} positions of the text encoder")
        return tuple(ids)


class PackagePictures:
    """The package's preparation of pictures."""

    def __init__(self, transform: Any) -> None:
        self._transform = transform
        self.notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"open_clip_torch {self._transform}"

    def pixels(self, image: Image) -> Tensor:
        check_thinness(image)
        values: Tensor = self._transform(image)
        return values


def is_installed() -> bool:
    return importlib.util.find_spec(MODULE) is not None


def _check_installed(found: OpenClip) -> None:
    if not is_installed():
        raise ModelError(
            f"{found.file}: {found.why_other}, which transformers' CLIP does not have, so that only the package "
            f"{PACKAGE} can build this network",
            f"pip install {PACKAGE}",
        )


def build(folder: Path, found: OpenClip) -> PackageNetwork:
    """Builds the network on the meta device: its sizes are not to be believed yet. Raises ModelError."""
    _check_installed(found)
    with torch.device("meta"):
        return _built(folder, found.file, "meta")


def _built(folder: Path, file: Path, device: str) -> PackageNetwork:
    with explained(f"{file}: the package {PACKAGE} cannot build it", None):
        package: Any = importlib.import_module(MODULE)
        inner = package.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False, device=device)
    return PackageNetwork(inner)


def fill(folder: Path, outlined: PackageNetwork, weights: Mapping[str, Tensor], dtype: str) -> Filled:
    """Makes the network of ``outlined`` with these weights in ``dtype``. Raises ModelError."""
    given = in_dtype(weights, torch_dtype(dtype))
    try:
        checkpoint.check_names(outlined.inner, given, "open_clip model", frozenset())
    except ModelError as error:
        raise ModelError(f"{folder}: {error.message}", error.mend) from error
    network = _built(folder, folder / OPEN_CLIP_CONFIG, "cpu")
    network.inner.load_state_dict(given, assign=True)
    network.to(torch_dtype(dtype))
    return Filled(network, notes_on_broken(given.values()))


def texts_of(folder: Path) -> PackageTexts:
    """Gives the package's tokenizer for a folder. Raises ModelError."""
    with explained(f"{folder}: the package {PACKAGE} cannot read its tokenizer", None):
        package: Any = importlib.import_module(MODULE)
        return PackageTexts(package.get_tokenizer(f"local-dir:{folder}"))


def pictures_of(network: PackageNetwork) -> PackagePictures:
    package: Any = importlib.import_module(MODULE)
    visual: Any = network.inner.visual
    cfg = package.transform.PreprocessCfg(**visual.preprocess_cfg)
    return PackagePictures(package.transform.image_transform_v2(cfg, is_train=False))


def parts_of(network: PackageNetwork) -> tuple[Part, ...]:
    """Describes the parts of a network."""
    visual: Any = network.inner.visual
    n_visual = checkpoint.n_parameters(visual)
    n_rest = checkpoint.n_parameters(network) - n_visual
    kind = type(network.inner).__name__
    return (
        Part("image encoder", type(getattr(visual, "trunk", visual)).__name__, n_visual),
        Part("text encoder", f"and all else of {kind}", n_rest),
    )
