"""A small Machine-DevBench that tests draw: manifests as they are published, and pictures with shapes in them.

Owns no expectation.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

Item = dict[str, Any]
STYLES = ("realistic", "cartoon")
NOUNS = (
    ("ball", "toy", "[1,2)"),
    ("star", "toy", "[2,4)"),
    ("house", "place", "[4,8)"),
    ("fish", "animal", "[4,8)"),
    ("tree", "place", "[16,32)"),
    ("cup", "food", "[16,32)"),
)
ADJECTIVES = (("red", "[4,8)"), ("blue", "[8,16)"), ("green", "[8,16)"))
KINDS = ("negation", "counting")


def noun(style: str, i: int) -> Item:
    word, category, of = NOUNS[i]
    other = NOUNS[(i + 1) % len(NOUNS)][0]
    return {
        "word": word,
        "category": category,
        "caption_positive": word,
        "caption_negative": other,
        "negative_word": other,
        "image_positive": f"{style}/{word}.png",
        "image_negative": f"{style}/{other}.png",
        "frequency_bin": of,
        "frequency_count": 2 + i,
        "frequency_quantile": i / len(NOUNS),
    }


def adjective(style: str, i: int) -> Item:
    word, of = ADJECTIVES[i]
    return {
        "word": word,
        "caption_positive": f"{word} ball",
        "caption_negative": "black ball",
        "image_positive": f"{style}/{word}/pos.png",
        "image_negative": f"{style}/{word}/neg.png",
        "frequency_bin": of,
        "frequency_count": 5,
        "frequency_quantile": 0.5,
    }


def pair(style: str, i: int) -> Item:
    return {
        "seq": f"seq_{i:02}",
        "caption_a": f"{ADJECTIVES[i % 3][0]} {NOUNS[i % 6][0]}",
        "caption_b": f"{NOUNS[i % 6][0]} {ADJECTIVES[(i + 1) % 3][0]}",
        "word": NOUNS[i % 6][0],
        "image_0": f"imgs/{style}/seq_{i:02}/img_0.png",
        "image_1": f"imgs/{style}/seq_{i:02}/img_1.png",
        "freq_bin": i if i % 2 else -1,
    }


def manifest(style: str, items: Sequence[Item], **more: object) -> dict[str, Any]:
    return {"description": "drawn", "style": style, "metadata": {"num_items": len(items)}, "items": [*items], **more}


def manifests(styles: Sequence[str] = STYLES) -> dict[str, dict[str, Any]]:
    """The manifests by their path."""
    made: dict[str, dict[str, Any]] = {}
    for style in styles:
        made[f"Lexical/Nouns/manifest_nouns_{style}.json"] = manifest(style, [noun(style, i) for i in range(6)])
        made[f"Lexical/Adjectives/manifest_adjectives_{style}.json"] = manifest(
            style, [adjective(style, i) for i in range(3)]
        )
        for kind in KINDS:
            path = f"Grammatical/gram_{kind}/manifest_grammatical_{kind}_{style}.json"
            made[path] = manifest(style, [pair(style, i) for i in range(4)], category=kind)
    return made


def write_picture(path: Path) -> None:
    """A picture of its own for each path: a shape on a ground, in colours that the path makes up."""
    key = zlib.crc32("/".join(path.parts[-5:]).encode())
    ground, shape = (key & 255, key >> 8 & 255, key >> 16 & 255), (key >> 24 & 255, key >> 4 & 255, key >> 12 & 255)
    image = Image.new("RGB", (48, 48), ground)
    ImageDraw.Draw(image).ellipse((4 + key % 9, 6, 30 + key % 13, 40), fill=shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def draw(
    folder: Path,
    made: Mapping[str, Mapping[str, Any]] | None = None,
    change: Callable[[dict[str, dict[str, Any]]], object] = lambda made: None,
) -> Path:
    """Writes manifests, changed as a test wants it, and draws the pictures that they named before the change."""
    whole = {path: dict(content) for path, content in (manifests() if made is None else made).items()}
    for path, content in whole.items():
        for item in content["items"]:
            for key in ("image_positive", "image_negative", "image_0", "image_1"):
                if key in item:
                    write_picture((folder / path).parent / item[key])
    change(whole)
    for path, content in whole.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content, indent=2), encoding="utf-8")
    return folder
