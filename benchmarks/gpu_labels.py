"""Label files of the four tasks of BabyVLM with as many rows, pictures and words as the published ones, made up.

Owns their names, words and numbers, all drawn with a seed. Pictures are made by engine.make_images.
"""

from __future__ import annotations

import csv
import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

N_CATEGORIES, N_TRIALS, N_LABELED = 22, 2200, 6846
N_PHRASES, N_INSTANCES, N_CAPTIONS, N_CAPTIONS_ELSEWHERE = 967, 365, 294, 277
N_WORDS = 1800
CAPTION_WORDS = (4, 5, 6, 7, 7, 8, 8, 9, 10, 11, 13)


def write_labels(folder: Path, share: float = 1.0, seed: int = 0) -> Path:
    """Writes the label files of a share of the trials, at least of a few."""
    rng = random.Random(seed)
    words = _words(rng, N_WORDS)
    frames = (f"S_2013{rng.randint(101, 1231):04}_{n:05}_00.jpg" for n in itertools.count())
    _write(folder, "labeled_s", ("trial_id", "target_category", "real_category", "image"), _labeled(rng, words, share))
    phrases = [
        (next(frames), *(f"{rng.choice(words)} {rng.choice(words)}" for _ in range(2)))
        for _ in range(_part(N_PHRASES, share))
    ]
    _write(folder, "vtwt", ("image", "positive_phrase", "negative_phrase"), phrases)
    instances = []
    for i, (frame, right, wrong) in enumerate(phrases[: _part(N_INSTANCES, share)]):
        instances += [(i, right, wrong, frame, "positive")]
        instances += [(i, right, wrong, frame.replace(".jpg", "_neg.jpeg"), "negative")]
    columns = ("instance_id", "positive_phrase", "negative_phrase", "image", "image_tag")
    _write(folder, "baby_winoground", columns, instances)
    shown = [next(frames) for _ in range(_part(N_CAPTIONS_ELSEWHERE, share))]
    shown += [frame for frame, _, _ in phrases[-max(1, _part(N_CAPTIONS, share) - len(shown)) :]]
    captions = [(frame, " ".join([*rng.choices(words, k=rng.choice(CAPTION_WORDS)), "."])) for frame in shown]
    _write(folder, "SAYCam_caption", ("image", "text"), captions)
    return folder


def _part(n: int, share: float) -> int:
    return max(3, round(n * share))


def _labeled(rng: random.Random, words: Sequence[str], share: float) -> Iterable[tuple[object, ...]]:
    """Trials of four pictures of four categories, the right one first; every picture is shown once before any twice."""
    categories = sorted(words[:N_CATEGORIES])
    pictures = {}
    for n, category in enumerate(categories):
        own = range(n, _part(N_LABELED, share), N_CATEGORIES)
        pictures[category] = itertools.cycle([f"{category}/img_{100_000 + i}.jpeg" for i in own])
    n_trials = _part(N_TRIALS, share)
    for trial in range(n_trials):
        target = categories[trial * N_CATEGORIES // n_trials]
        others = rng.sample([category for category in categories if category != target], 3)
        for real in (target, *others):
            yield trial, target, real, next(pictures[real])


def _words(rng: random.Random, n: int) -> list[str]:
    """Gives distinct words of two to eight letters, five on average."""
    found: dict[str, None] = {}
    while len(found) < n:
        syllables = rng.choice((1, 2, 2, 2, 3, 3, 4))
        found["".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(syllables))] = None
    return list(found)


def _write(folder: Path, task: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{task}.csv").open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(columns)
        lines.writerows(rows)
