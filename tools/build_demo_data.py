"""Builds the demo's "downloads": drawn pictures and label files of both benchmarks, with their checksums.

    python tools/build_demo_data.py            writes babycli/demo/{downloads,devcv}.zip and manifests/demo.json
    python tools/build_demo_data.py --check    exits 1 if what is committed shows other pictures or labels

A model is trained by a script of its own, and not here; the SHA-256 of its weights is recorded and compared.
All pictures come from seeds that begin with "demo:"; those that models are trained with begin with "train:".
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import random
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import devcv_set
from demo_pictures import COLOURS, TOYS, Scene, draw, random_scene
from PIL import Image

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "babycli" / "demo"
ARCHIVE = DEMO / "downloads.zip"
DEVCV_ARCHIVE = DEMO / "devcv.zip"
MODELS = ("babyllava-tiny", "babyllava-v2-tiny")  # which train_demo_model.py and train_devcv_model.py make
WEIGHTS = "model.safetensors"
MANIFEST = ROOT / "manifests" / "demo.json"
FOLDERS = {"saycam": "saycam_images", "labeled_s": "labeled_s_images", "synthetic": "synthetic_images"}

PICTURES_PER_TOY = 16
TRIALS_PER_TOY = 15
TWO_WORD_TRIALS = 100
INSTANCES = 40
CAPTIONS = 48


class Builder:
    """Collects files; every picture has a seed of its own, so none depends on how many there are."""

    def __init__(self) -> None:
        self.pictures: dict[tuple[str, str], Image.Image] = {}
        self.labels: dict[str, str] = {}
        self._rng = random.Random("demo:labels")
        self._drawn = 0

    def build(self) -> None:
        self._labeled_s()
        frames = [(f"demo_frame_{n:03}.png", random_scene(self._rng)) for n in range(TWO_WORD_TRIALS)]
        for name, scene in frames:
            self._picture("saycam", name, scene)
        negatives = [self._negative(scene, n) for n, (_, scene) in enumerate(frames)]
        self._csv(
            "vtwt",
            ("image", "positive_phrase", "negative_phrase"),
            [(name, scene.phrase, other.phrase) for (name, scene), other in zip(frames, negatives, strict=True)],
        )
        self._winoground(frames, negatives)
        self._csv(
            "SAYCam_caption",
            ("image", "text"),
            [(name, scene.caption(self._rng)) for name, scene in frames[-CAPTIONS:]],
        )

    def _labeled_s(self) -> None:
        for toy in TOYS:
            for n in range(PICTURES_PER_TOY):
                self._picture("labeled_s", f"{toy}/demo_{toy}_{n:02}.png", random_scene(self._rng, toy))
        rows = []
        for trial in range(TRIALS_PER_TOY * len(TOYS)):
            target = TOYS[trial % len(TOYS)]
            foils = self._rng.sample([toy for toy in TOYS if toy != target], 3)
            for shown in (target, *foils):
                name = f"{shown}/demo_{shown}_{self._rng.randrange(PICTURES_PER_TOY):02}.png"
                rows.append((trial, target, shown, name))
        self._csv("labeled_s", ("trial_id", "target_category", "real_category", "image"), rows)

    def _negative(self, scene: Scene, n: int) -> Scene:
        """Another colour, another toy, or both, in turn."""
        colour, toy = scene.colour, scene.toy
        if n % 3 != 1:
            colour = self._rng.choice([c for c in COLOURS if c != scene.colour])
        if n % 3 != 0:
            toy = self._rng.choice([t for t in TOYS if t != scene.toy])
        return Scene(toy, colour, scene.ground)

    def _winoground(self, frames: Sequence[tuple[str, Scene]], negatives: Sequence[Scene]) -> None:
        rows = []
        for n, ((name, scene), other) in enumerate(zip(frames[:INSTANCES], negatives, strict=False)):
            synthetic = name.replace(".png", "_neg.png")
            self._picture("synthetic", synthetic, other)
            for image, tag in ((name, "positive"), (synthetic, "negative")):
                rows.append((n, scene.phrase, other.phrase, image, tag))
        columns = ("instance_id", "positive_phrase", "negative_phrase", "image", "image_tag")
        self._csv("baby_winoground", columns, rows)

    def _picture(self, source: str, name: str, scene: Scene) -> None:
        self.pictures[source, name] = draw(scene, random.Random(f"demo:{self._drawn}"))
        self._drawn += 1

    def _csv(self, task: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        self.labels[task] = stream.getvalue()


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def label_name(task: str) -> str:
    return f"labels/{task}/{task}.csv"


@dataclass(frozen=True, slots=True)
class Download:
    """An archive of the demo: the files that its generator makes, by name."""

    archive: Path
    texts: Mapping[str, str]
    pictures: Mapping[str, Image.Image]
    tasks: Mapping[str, str]  # the task of each label file, by its name
    prefixes: Mapping[str, str]  # how names of pictures begin in the archive, and how in the manifest

    def write(self) -> None:
        files = {name: text.encode() for name, text in self.texts.items()}
        files |= {name: png(picture) for name, picture in self.pictures.items()}
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(self.archive, "w") as archive:
            for name, content in sorted(files.items()):
                info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, content)
        size_bytes = self.archive.stat().st_size
        print(f"wrote {self.archive.relative_to(ROOT)} ({size_bytes} bytes, {len(self.pictures)} pictures)")

    def read(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.archive) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def differences(self) -> list[str]:
        """What the committed archive shows differently; pixels are compared, since PNG bytes depend on zlib."""
        files = self.read()
        found = [name for name, text in self.texts.items() if files.get(name) != text.encode()]
        for name, picture in self.pictures.items():
            if name not in files or Image.open(io.BytesIO(files[name])).tobytes() != picture.tobytes():
                found.append(name)
        expected = len(self.texts) + len(self.pictures)
        if len(files) != expected:
            found.append(f"{len(files)} files in {self.archive.name}, should be {expected}")
        return found


def downloads() -> list[Download]:
    builder = Builder()
    builder.build()
    babyvlm = Download(
        ARCHIVE,
        {label_name(task): text for task, text in builder.labels.items()},
        {f"{FOLDERS[source]}/{name}": picture for (source, name), picture in builder.pictures.items()},
        {label_name(task): task.lower() for task in builder.labels},
        {f"{folder}/": f"{source}/" for source, folder in FOLDERS.items()},
    )
    devcv = devcv_set.build()
    tasks = {name: f"baby_{name.removesuffix('_test.json')}" for name in devcv.labels}
    return [babyvlm, Download(DEVCV_ARCHIVE, devcv.labels, devcv.pictures, tasks, {"images/": "devcv_demo/images/"})]


def manifest_of(made: Sequence[Download]) -> dict[str, object]:
    """The SHA-256 of all that is in the committed archives and of the models, and how many items a label file has."""
    images, labels = {}, {}
    for download in made:
        for name, content in sorted(download.read().items()):
            digest = hashlib.sha256(content).hexdigest()
            if name.endswith(".json"):
                labels[download.tasks[name]] = {"sha256": digest, "rows": len(json.loads(content))}
            elif name.endswith(".csv"):
                labels[download.tasks[name]] = {"sha256": digest, "rows": content.count(b"\n") - 1}
            else:
                prefix = next(prefix for prefix in download.prefixes if name.startswith(prefix))
                images[download.prefixes[prefix] + name.removeprefix(prefix)] = digest
    weights = {name: hashlib.sha256((DEMO / name / WEIGHTS).read_bytes()).hexdigest() for name in MODELS}
    return {"labels": labels, "images": images, "weights": weights}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    made = downloads()
    if not arguments.check:
        for download in made:
            download.write()
        MANIFEST.write_text(json.dumps(manifest_of(made), indent=1) + "\n")
        return 0
    found = [name for download in made for name in download.differences()]
    if json.loads(MANIFEST.read_text()) != manifest_of(made):
        found.append(str(MANIFEST.relative_to(ROOT)))
    for name in found:
        print(f"differs: {name}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
