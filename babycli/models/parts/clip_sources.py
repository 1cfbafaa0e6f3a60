"""The three ways to a CLIP's encoders: transformers' format, and open_clip's with and without its package.

Owns choosing between them, and what of each builds the network, reads the words, and prepares the pictures. Never reads
a weight, and never scores anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from PIL.Image import Image
from torch import Tensor

from babycli.domain import CannotAnswer
from babycli.errors import ModelError
from babycli.models.base import Part
from babycli.models.parts import clip_network, open_clip_package
from babycli.models.parts.clip_images import load_image_reader
from babycli.models.parts.clip_network import Filled
from babycli.models.parts.clip_texts import has_tokenizer, load_text_reader, without_entities
from babycli.models.parts.open_clip_folder import OpenClip, as_transformers, read_open_clip, renamed
from babycli.models.parts.open_clip_pictures import pictures_of


class Texts(Protocol):
    def ids(self, text: str) -> tuple[int, ...] | CannotAnswer:
        """Makes the ids that the text encoder reads."""


class Images(Protocol):
    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def key(self) -> str:
        """All settings: equal keys, equal pixels."""

    def pixels(self, image: Image) -> Tensor:
        """Turns an RGB picture into the float32 pixels that the image encoder reads."""


@dataclass(frozen=True, slots=True)
class Encoders:
    """A checkpoint whose settings have been read, and its network without weights."""

    network: Any
    fill: Callable[[Mapping[str, Tensor], str], Filled]  # makes the network of weights, in a dtype
    texts: Callable[[], Texts]
    images: Callable[[], Images]
    parts: Callable[[], tuple[Part, ...]]
    notes: tuple[str, ...] = ()
    model_type: str = ""  # of a checkpoint of transformers


def of_transformers(folder: Path, config: Mapping[str, Any]) -> Encoders:
    """Opens a checkpoint in transformers' format. Raises ModelError."""
    notes = clip_network.notes_on_keys(folder / "config.json", config)
    network = clip_network.build(folder / "config.json", config)
    return Encoders(
        network,
        fill=partial(clip_network.fill, folder, network),
        texts=partial(load_text_reader, folder, network.config),
        images=partial(load_image_reader, folder, network.config),
        parts=partial(clip_network.parts_of, network),
        notes=notes,
        model_type=config["model_type"],
    )


def of_open_clip(folder: Path) -> Encoders:
    """Opens a folder of open_clip. Raises ModelError."""
    found = read_open_clip(folder)
    if found.why_other:
        return _of_package(folder, found)
    config = as_transformers(found)
    clip_network.notes_on_keys(found.file, config)  # for its checks
    network = clip_network.build(found.file, config)
    size = network.config.vision_config.image_size
    return Encoders(
        network,
        fill=lambda weights, dtype: clip_network.fill(folder, network, renamed(weights), dtype),
        texts=lambda: _texts(folder, network.config),
        images=lambda: pictures_of(found.file, found.pictures, size),
        parts=partial(clip_network.parts_of, network),
    )


def _of_package(folder: Path, found: OpenClip) -> Encoders:
    network = open_clip_package.build(folder, found)
    return Encoders(
        network,
        fill=partial(open_clip_package.fill, folder, network),
        texts=partial(open_clip_package.texts_of, folder),
        images=partial(open_clip_package.pictures_of, network),
        parts=partial(open_clip_package.parts_of, network),
        notes=(f"its network is built by the package {open_clip_package.PACKAGE}: {found.why_other}",),
    )


def _texts(folder: Path, config: Any) -> Texts:
    """Reads the folder's tokenizer; the package has that of OpenAI's CLIP, which folders may lack."""
    if has_tokenizer(folder):
        return load_text_reader(folder, config, without_entities)
    if open_clip_package.is_installed():
        return open_clip_package.texts_of(folder)
    raise ModelError(
        f"{folder} has no tokenizer, and the package {open_clip_package.PACKAGE}, which has CLIP's own, is not "
        "installed",
        f"copy tokenizer.json of openai/clip-vit-base-patch32 into it, or pip install {open_clip_package.PACKAGE}",
    )
