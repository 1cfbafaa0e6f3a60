"""Whole checkpoints that are fuzzed: small ones of every family, how one file of them is damaged, and what must hold.

Owns packing a checkpoint into a case (a zip, so that a finding is unpacked with any program), and asking babycli about
it as `babycli models show` and `babycli eval` do. Never knows a format of files: the targets do.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import io
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from fuzz_target import damaged

Files = Mapping[str, bytes]
Damage = Callable[[Random, str, bytes], bytes]  # of a file, by its name
_MODEL = "model"
_BEGINNINGS = ("babycli: ", "  mend: ", "note: ")


@functools.cache
def checkpoints() -> Mapping[str, Files]:
    """Writes a small checkpoint of every family, and gives its files by their paths; what is loaded is in "model"."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "critical"}
    sys.path.append(str(Path(__file__).parent.parent))
    import torch

    from tests.checkpoints import write_checkpoint
    from tests.hf_checkpoints import KINDS, write_hf
    from tests.llava_checkpoints import TOWER, as_transformers, write_llava, write_tower
    from tests.models.test_clip import write as write_clip
    from tests.v2_checkpoints import plain_tower, write_v2

    torch.set_num_threads(1)  # a process that is forked has none of the others
    words = ["ball", "red", "blue", "a", "cat", "."]

    def llava(home: Path) -> None:
        write_llava(home / _MODEL)
        write_tower(home / TOWER)

    def llava_hf(home: Path) -> None:
        as_transformers(write_llava(home / "original"), write_tower(home / "tower"), home / _MODEL)

    writers: dict[str, Callable[[Path], object]] = {
        "babyllava": lambda home: write_checkpoint(home / _MODEL, words),
        "babyllava-llama": lambda home: write_checkpoint(home / _MODEL, words, trunk="model"),
        "babyllava-v2": lambda home: write_v2(home / _MODEL, plain_tower("v2")),
        "llava": llava,
        "llava-hf": llava_hf,
        **{f"clip-{kind}": functools.partial(_call, write_clip, kind) for kind in ("clip", "siglip")},
        **{f"hf-{kind}": functools.partial(_call, write_hf, kind) for kind in KINDS},
    }
    written = {}
    for name, write in writers.items():
        with tempfile.TemporaryDirectory(prefix="babycli-fuzz-") as folder, contextlib.redirect_stderr(io.StringIO()):
            write(Path(folder))
            read = [file for file in Path(folder).rglob("*") if file.is_file()]
            kept = [file for file in read if file.relative_to(folder).parts[0] not in ("original", "tower")]
            written[name] = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(kept)}
    return written


def _call(write: Callable[[Path, str], object], kind: str, home: Path) -> None:
    write(home / _MODEL, kind)


def pack(files: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def unpack(case: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(case)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def damage_one(
    patterns: Sequence[str], knowing: Damage, bytes_too: float = 0.15
) -> Callable[[Random, bytes, Sequence[bytes]], bytes]:
    """Makes the damage of a target: to one or two files of a checkpoint whose names match one of the patterns."""

    def damage(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
        files = unpack(sample)
        names = [name for name in files if any(fnmatch.fnmatch(Path(name).name, pattern) for pattern in patterns)]
        for name in rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2)))):
            if rng.random() < bytes_too:
                files[name] = damaged(rng, files[name], [files[name]])
            else:
                files[name] = knowing(rng, name, files[name])
        return pack(files)

    return damage


def attempt(case: bytes) -> str:
    """Shows and loads a checkpoint, and asks what was loaded; gives what is wrong with how babycli takes it."""
    with tempfile.TemporaryDirectory(prefix="babycli-fuzz-") as folder:
        for name, content in unpack(case).items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return shown(f"{folder}/{_MODEL}") or loaded(f"{folder}/{_MODEL}")


def shown(model: str) -> str:
    """Runs `babycli models show`; gives what is wrong with what it says, "" for nothing."""
    from babycli.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["models", "show", model])
    said = err.getvalue()
    if code not in (0, 5):
        return f"models show ends with {code}: {said}"
    return wrong_words(said, code) or ("an escape code on stdout" if "\x1b" in out.getvalue() else "")


def wrong_words(said: str, code: int) -> str:
    lines = said.splitlines()
    if foreign := [line for line in lines if not line.startswith(_BEGINNINGS)]:
        return f"words that are not babycli's own: {foreign[0]}"
    if sum(line.startswith("babycli: ") for line in lines) != (code != 0):
        return f"exit code {code}, and on stderr: {said}"
    return f"too many words: {said}" if len(said) > 3000 else "an escape code on stderr" if "\x1b" in said else ""


def loaded(model: str) -> str:
    """Loads a model as `babycli eval` does, and asks it something; gives what is wrong, "" for nothing."""
    from babycli.errors import BabycliError, ModelError
    from babycli.models import load_model, resolve
    from babycli.models.base import ModelSpec
    from babycli.wording import Scoring

    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # main() keeps those of libraries off stderr
            resolved = resolve(model, {})
            _ask(load_model(resolved, ModelSpec(resolved.source, model, {}, "cpu", "float32", Scoring.FAIR)))
    except BabycliError as error:
        if not isinstance(error, ModelError):
            return f"{type(error).__name__}: {error.message}"
    return f"words that are not babycli's own: {said}" if (said := err.getvalue()) else ""


def _ask(model: Any) -> None:
    from PIL import Image

    from babycli.domain import PICTURE, CannotAnswer, ask

    image = Image.frombytes("RGB", (40, 30), bytes(range(200)) * 18)
    seen = model.encode([model.preprocess(image)])
    context = ask("What is it?", PICTURE)
    tokens = model.tokenize(context, "a red ball.")
    abilities = model.info.abilities
    if not isinstance(tokens, CannotAnswer):
        if "similarity" in abilities.scores:
            model.similarity([tuple(seen)], [tokens])
        if "loglikelihood" in abilities.scores:
            model.loglikelihood([tuple(seen)], [tokens])
    if abilities.writes:
        read = model.read(context, 4)
        if not isinstance(read, CannotAnswer):
            list(model.generate([tuple(seen)], [read], 4))
