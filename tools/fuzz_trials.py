"""Damaged files of a user's own: trials, what is made into trials, what people chose, and lists of a training set.

A case is the name of a kind, a newline, and the bytes of its file. Sound trials are also evaluated by controls, and
reported in every form.
"""

from __future__ import annotations

import atexit
import csv
import functools
import io
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from fuzz_command import Ran, run
from fuzz_target import Target, damaged
from fuzz_values import TEXTS, damaged_json

from babycli.commands.demo import DOWNLOADS

_DONE, _USAGE, _DATA, _CHECKSUM, _MODEL, _UNTRUSTED = 0, 2, 3, 4, 5, 7
_EVERY = 4  # of sound trials, a part is evaluated
_PICTURES = ("a.jpg", "b.jpg", "in/c.jpg")
_TRIALS: dict[str, list[dict[str, Any]]] = {
    "texts": [
        {"id": i, "images": [name], "options": ["a ball", "a cup"], "answer": i % 2, "group": "x", "cluster": str(i)}
        for i, name in enumerate(_PICTURES)
    ],
    "pictures": [
        {"id": str(i), "options": [{"image": n, "text": "ball"} for n in _PICTURES], "answer": [i]} for i in range(3)
    ],
    "compared": [
        {"id": i, "images": [n], "options": [{"image": o} for o in _PICTURES], "answer": i}
        for i, n in enumerate(_PICTURES)
    ],
    "letters": [
        {"id": i, "context": "(A) <image> (B) <image>?", "images": ["a.jpg", "b.jpg"], "options": ["A", "B"]}
        | {"answer": "AB"[i], "meta": {"n": [i, None]}}
        for i in range(2)
    ],
    "turns": [
        {"id": i, "images": ["a.jpg"], "answer": ["ball", "a ball"], "metric": "exact"}
        | {
            "context": [
                {"role": r, "content": c} for r, c in (("user", "<image>?"), ("model", "No."), ("user", "Now?"))
            ]
        }
        for i in range(2)
    ],
    "said": [{"id": i, "images": ["a.jpg"], "answer": "look at the ball", "metric": "meteor"} for i in range(2)],
    "pairs": [
        {"id": i, "images": ["a.jpg", "b.jpg"], "options": ["a ball", "a cup"], "metric": "pairs"} for i in range(2)
    ],
}
_LEVANTE = [
    {"trial_id": str(i), "item_uid": "u", "prompt": "A: <image1>; B: <image2>?", "options": ["ball", "cup"]}
    | {"option_labels": ["A", "B"], "correct_label": "B", "context_image_paths": [], "option_order_seed": 1}
    | {"option_image_paths": ["a.jpg", "b.jpg"], "context_type": "none", "option_type": "image"}
    for i in range(2)
]
_TABLE = b"id,image,options,answer,age\n1,a.jpg,ball|cup,ball,3\n2,b.jpg|a.jpg,1|2|3,2,4\n3,,a.jpg|b.jpg,a.jpg,5\n"
_DEVBENCH = b"text1,image1,image2,image3\nball,a.jpg,b.jpg,\na cup,b.jpg,a.jpg,in/c.jpg\n"
_TRAINING = [{"id": "1", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>"}]}, {"image": ["b"]}]
_NAMES = b"S_20140420_1803_01_082_00.jpg\nx/demo_frame_001.png\n# a word\n"
_SUMS = b"".join(b"%064x  x/%d.jpg\n" % (i, i) for i in range(3))
_CONVERTERS = {"levante": "from-levante", "table": "from-csv", "devbench": "from-devbench"}
_ENDING = {"levante": "jsonl", "table": "csv", "devbench": "csv", "people": "csv", "overlap": "json"}
_CELLS = (
    *TEXTS,
    '"',
    "a|b",
    "|",
    "../a.jpg",
    "a.jpg",
    "1",
    "-1",
    "0",
    "0.5",
    "1.0",
    "2",
    "NaN",
    "inf",
    "\ufeff",
    ";",
    "ball",
)


@functools.cache
def _made() -> Path:
    """A dataset folder with the demo's frames, and the logs of a control on them, that no case changes."""
    folder = Path(tempfile.mkdtemp(prefix="babycli-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(DOWNLOADS) as archive:
        archive.extractall(folder / "downloads")
    data = ("--data", folder / "dataset")
    frames, labels = folder / "downloads" / "saycam_images", folder / "downloads" / "labels"
    for words in (
        ("data", "link", frames, "--tasks", "vtwt", "--from", labels, *data),
        (
            "eval",
            "--model",
            "control:random",
            "--tasks",
            "vtwt",
            "--limit",
            "6",
            *data,
            "--output-path",
            folder / "logs",
        ),
        ("data", "overlap", frames, "--level", "name", "--tasks", "vtwt", *data, "--output", folder / "overlap.json"),
    ):
        ran = run(*words)
        if ran.code:
            raise RuntimeError(f"{ran}: {ran.err}")
    return folder


def _people() -> bytes:
    path = next((_made() / "dataset" / "vtwt").glob("*.csv"))
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))[:6]
    lines = ["trial,option,share,n,age"]
    for i, row in enumerate(rows):
        lines += [f"{i},{row['positive_phrase']},0.75,20,3", f"{i},{row['negative_phrase']},0.25,20,3"]
    return "\n".join(lines).encode() + b"\n"


def _as_lines(lines: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@functools.cache
def _samples() -> tuple[bytes, ...]:
    found = [b"%s\n%s" % (kind.encode(), _as_lines(lines)) for kind, lines in _TRIALS.items()]
    found += [b"levante\n" + _as_lines(_LEVANTE), b"table\n" + _TABLE, b"devbench\n" + _DEVBENCH]
    found += [b"people\n" + _people(), b"overlap\n" + (_made() / "overlap.json").read_bytes()]
    found += [b"training\n" + json.dumps(_TRAINING).encode(), b"training\n" + _as_lines(_TRAINING)]
    return (*found, b"training\n" + _NAMES, b"training\n" + _SUMS)


def _damaged(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
    name, _, content = sample.partition(b"\n")
    kind = name.decode()
    if rng.random() < 0.25:
        content = damaged(rng, content, [other.partition(b"\n")[2] for other in samples])
    elif kind in ("table", "devbench", "people"):
        content = _damaged_table(rng, content)
    else:
        content = damaged_json(rng, content, (*_PICTURES, "<image>", "choice", "exact", 0, 1, ["A", "B"]))
    return name + b"\n" + content


def _damaged_table(rng: Random, content: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    for _ in range(rng.choice((1, 1, 2))):
        at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
        column = rng.randrange(max(1, len(rows[at])))
        match rng.randrange(5):
            case 0 | 1 | 2:
                rows[at][column:] = [rng.choice(_CELLS), *rows[at][column + 1 :]]
            case 3:
                rows.insert(other, list(rows[at]))
            case _:
                del rows[at][column:]
    stream = io.StringIO()
    csv.writer(stream, lineterminator=rng.choice(("\n", "\r\n"))).writerows(rows)
    return stream.getvalue().encode(errors="surrogatepass")


def _attempt(case: bytes) -> str:
    name, _, content = case.partition(b"\n")
    kind = name.decode()
    with tempfile.TemporaryDirectory(prefix="babycli-fuzz-") as folder:
        path = Path(folder, f"own.{_ENDING.get(kind, 'jsonl' if kind in _TRIALS else 'txt')}")
        path.write_bytes(content)
        if kind in _CONVERTERS:
            return _converted(path, _CONVERTERS[kind])
        if kind == "people":
            return _reported("--humans", path)
        if kind == "overlap":
            return _reported("--overlap", path, "--by", "overlap") or _reported("--overlap", path, "--only", "clean")
        if kind == "training":
            on = ("--tasks", "vtwt", "--level", "sha256,name,within,recording", "--data", _made() / "dataset")
            return run("data", "overlap", path, *on, "--json").wrong((_DONE, _USAGE, _DATA))
        return _evaluated(path, zlib.crc32(case))


def _reported(*words: object) -> str:
    for form in ("table", "html", "json"):
        is_alone = form == "html" and "--by" in words  # a page has it in any case
        ran = run("report", _made() / "logs", *(words[:2] if is_alone else words), "--format", form)
        if wrong := ran.wrong((_DONE, _USAGE, _DATA, _CHECKSUM)):
            return wrong
    return ""


def _converted(path: Path, form: str) -> str:
    made = path.with_name("made.jsonl")
    ran = run("trials", form, path, "--output", made)
    if wrong := ran.wrong((_DONE, _DATA)):
        return wrong
    if made.exists() != (ran.code == _DONE):
        return f"{ran} ends with {ran.code}, and there {'is' if made.exists() else 'is no'} file"
    if ran.code:
        return ""
    checked = run("trials", "check", made)  # its pictures are not there, and names may lead out of the folder
    return checked.wrong((_DATA,)) or _unless(checked, "Missing", "UnsafeName", "CaseMismatch", "NotAFile")


def _unless(ran: Ran, *kinds: str) -> str:
    return "" if any(kind in ran.err for kind in kinds) else f"{ran} refuses what was made: {ran.err[:500]}"


def _evaluated(path: Path, key: int) -> str:
    checked = run("trials", "check", path, "--json")
    if wrong := checked.wrong((_DONE, _DATA)):
        return wrong
    if not checked.out:
        words = ("eval", "--model", "control:random", "--trials", path, "--output-path", path.parent / "logs")
        return run(*words).wrong((_DATA,))
    if not isinstance(json.loads(checked.out), dict):
        return f"{checked} prints no object"
    if key % _EVERY or not _draw(path.parent, json.loads(checked.out)["missing"]):
        return ""
    logs = path.parent / "logs"
    on_file = ("--trials", path, "--output-path", logs, "--data", path.parent / "none")
    for model in ("control:random", "control:letter?pick=A"):
        ran = run("eval", "--model", model, *on_file)
        if wrong := ran.wrong((_DONE, _MODEL, _UNTRUSTED)):
            return wrong
        if ran.code == _MODEL:
            return ""  # which a control cannot do: no letter compares pictures
    for form in ("--format html", "--format latex", "--by group", f"--audit --tasks {path}"):
        codes = {"--audit": (_DONE, _UNTRUSTED), "--by": (_DONE, _DATA)}.get(form.partition(" ")[0], (_DONE,))
        if wrong := run("report", logs, *form.split(" ")).wrong(codes):
            return wrong
    return ""


def _draw(folder: Path, missing: Sequence[str]) -> bool:
    """Writes a picture in each place where one is missing; tells whether files can lie in all of them."""
    picture = next((_made() / "downloads" / "saycam_images").iterdir()).read_bytes()
    for name in missing:
        place = Path(name)
        if folder not in place.parents:
            return False
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture)
        except (OSError, ValueError):
            return False
    return True


TARGET = Target("trials", _samples, _attempt, _damaged)
