"""How well `babycli data overlap` finds pictures that were changed, how often it errs, and how long names take.

    python benchmarks/overlap.py PICTURES [PICTURES ...] [--pictures 2000] [--names 600285]

PICTURES are folders of pictures that are not alike. Prints the tables of benchmarks/README.md: for each distance, which
share of the planted pictures is found, by kind, and how many of a million pairs of unrelated pictures are taken for
alike, with a 95 % interval (Clopper and Pearson's).
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy.stats import beta

from babycli.data.overlap_names import NameIndex
from babycli.data.overlap_pictures import BITS, hash_told, perceptual_hash, signs_of

DISTANCES = (20, 30, 40, 50, 60)
SEED = 0
Change = Callable[[Image.Image], Image.Image]


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """Gives a picture as a JPEG of that quality has it."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue())).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Cuts a frame off, so that width and height are so much smaller."""
    across, down = (int(side * share / 2) for side in image.size)
    return image.crop((across, down, image.width - across, image.height - down))


def window(image: Image.Image, shift: float) -> Image.Image:
    """Looks through a window of 88 % of a picture, which has moved by a share of its width and half of that down."""
    across, down = int(image.width * (0.06 + shift)), int(image.height * (0.06 + shift / 2))
    width, height = int(image.width * 0.88), int(image.height * 0.88)
    return image.crop((across, down, across + width, down + height))


KINDS: Mapping[str, tuple[Change, Change]] = {  # what the trial shows, and what the training has
    "the same": (lambda image: image, lambda image: image),
    "JPEG of quality 60": (lambda image: image, lambda image: encoded(image, 60)),
    "half as wide, quality 80": (
        lambda image: image,
        lambda image: encoded(image.resize((max(1, image.width // 2), max(1, image.height // 2))), 80),
    ),
    "mirrored, quality 90": (ImageOps.mirror, lambda image: encoded(ImageOps.mirror(image), 90)),  # by its mirror hash
    "a frame later: moved by 1 %": (lambda image: window(image, 0), lambda image: encoded(window(image, 0.01), 90)),
    "moved by 2 %": (lambda image: window(image, 0), lambda image: encoded(window(image, 0.02), 90)),
    "moved by 4 %": (lambda image: window(image, 0), lambda image: encoded(window(image, 0.04), 90)),
    "5 % cut off": (lambda image: image, lambda image: encoded(cropped(image, 0.05), 90)),
    "10 % cut off": (lambda image: image, lambda image: encoded(cropped(image, 0.1), 90)),
}


def main() -> int:
    """Measures, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="PICTURES")
    parser.add_argument("--pictures", type=int, default=2000, help="that are changed; all count as unrelated")
    parser.add_argument("--names", type=int, default=600_285)
    options = parser.parse_args()
    paths = sorted(path for folder in options.folders for path in folder.rglob("*") if path.is_file())
    random.Random(SEED).shuffle(paths)
    images = [Image.open(path).convert("RGB") for path in paths[: options.pictures]]
    print(f"{hash_told()}; {len(images):,} pictures changed, {len(paths):,} unrelated\n")
    print_found(images)
    print_false_alarms(paths)
    print_names(options.names)
    return 0


def print_found(images: Sequence[Image.Image]) -> None:
    """Prints the share of planted pictures that are found."""
    print("| planted | " + " | ".join(f"≤ {distance} bits" for distance in DISTANCES) + " |")
    print("|---|" + "---:|" * len(DISTANCES))
    for kind, (ours, theirs) in KINDS.items():
        pairs = [(perceptual_hash(ours(image)), perceptual_hash(theirs(image))) for image in images]
        told = [(first, second) for first, second in pairs if first and second]
        products = (signs_of([first for first, _ in told]) * signs_of([second for _, second in told])).sum(axis=1)
        distances = (BITS - products) / 2
        shares = [float((distances <= distance).sum()) / len(pairs) for distance in DISTANCES]
        print(f"| {kind} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |", flush=True)


def print_false_alarms(paths: Sequence[Path]) -> None:
    """Prints how many pairs of unrelated pictures are taken for alike, as they are or mirrored."""
    own, mirrored = [], []
    for path in paths:
        image = Image.open(path).convert("RGB")
        if made := perceptual_hash(image):
            own.append(made)
            mirrored.append(perceptual_hash(ImageOps.mirror(image)))
    signs, of_mirrored = signs_of(own), signs_of(mirrored)
    counts, n_pairs = dict.fromkeys(DISTANCES, 0), 0
    for i in range(len(own)):
        rest = signs[i + 1 :].T
        nearest = np.minimum((BITS - signs[i] @ rest) / 2, (BITS - of_mirrored[i] @ rest) / 2)
        n_pairs += len(nearest)
        for distance in DISTANCES:
            counts[distance] += int((nearest <= distance).sum())
    print(f"\n| {n_pairs:,} pairs, each both ways round | false alarms | in a million pairs | 95 % interval |")
    print("|---|---:|---:|---:|")
    for distance, n in counts.items():
        low = beta.ppf(0.025, n, n_pairs - n + 1) if n else 0.0
        high = beta.ppf(0.975, n + 1, n_pairs - n)
        print(f"| ≤ {distance} bits | {n} | {1e6 * n / n_pairs:.3f} | {1e6 * low:.3f} to {1e6 * high:.3f} |")


def print_names(n: int) -> None:
    """Prints how long so many names take beside those of 1,244 frames."""
    rng = random.Random(SEED)
    recordings = [
        f"S_2013{rng.randint(1, 12):02}{rng.randint(1, 28):02}_{rng.randint(600, 2430):04}_{i:02}" for i in range(99)
    ]
    names = [f"{rng.choice(recordings)}_{rng.randint(1, 480):03}_{rng.randint(0, 31):02}.jpg" for _ in range(n)]
    frames = dict.fromkeys(names[:: n // 1244])
    start = time.perf_counter()
    found = NameIndex(("frames", name) for name in frames).look_at(names)
    print(f"\n{n:,} names beside {len(frames):,} frames: {time.perf_counter() - start:.1f} s, {len(found):,} told")


if __name__ == "__main__":
    sys.exit(main())
