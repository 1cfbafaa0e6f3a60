"""Damaged pickles with weights (.bin, .ckpt), some of which ask for code to be run, which must not happen."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import pickle
import pickletools
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import fuzz_checkpoint
from fuzz_checkpoint import checkpoints, damage_one, pack
from fuzz_target import Target, damaged

_RAN = "BABYCLI_FUZZ_RAN"  # what a pickle's code would put into the environment
_FAMILIES = ("babyllava", "llava-hf", "clip-clip", "hf-qwen2_vl")


class _Code:
    """An object whose pickle runs a function when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._called = (function, arguments)

    def __reduce__(self) -> Any:
        return self._called


_CODES = (
    _Code(os.putenv, _RAN, "1"),
    _Code(os._exit, 3),
    _Code(exec, f"import os; os.environ['{_RAN}'] = '1'"),
    _Code(eval, f"__import__('os').environ.__setitem__('{_RAN}', '1')"),
    _Code(getattr, "x", "upper"),
    _Code(functools.partial, os.system),
)


def _samples() -> Sequence[bytes]:
    import torch
    from safetensors.torch import load

    samples = []
    for name in _FAMILIES:
        files = dict(checkpoints()[name])
        weights = load(files.pop("model/model.safetensors"))
        for is_zip in (True, False):
            for value in (weights, {"module": weights}):
                stream = io.BytesIO()
                torch.save(value, stream, _use_new_zipfile_serialization=is_zip)
                samples.append(pack({**files, "model/pytorch_model.bin": stream.getvalue()}))
    stream = io.BytesIO()
    rows = torch.ones(4, 3)
    kinds = {"normalize_features": True, "text_encoder": "embedding", "embedding_type": "flat"}
    settings = {"args": argparse.Namespace(**kinds), "path": Path("x")}
    torch.save({"state_dict": {"text_encoder.embedding.weight": rows}, "hyper_parameters": settings}, stream)
    samples.append(pack({"model/cvcl.ckpt": stream.getvalue(), "model/vocab.json": b'{"<pad>": 0, "<unk>": 1}'}))
    return samples


def _damaged(rng: Random, name: str, content: bytes) -> bytes:
    """Damages the pickle inside a file, which is behind the zip's checksums, or the opcodes of an older one."""
    if not content.startswith(b"PK"):
        return _with_code(rng, content) if rng.random() < 0.5 else damaged(rng, content, [content])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    inner = next(member for member in members if member.endswith("data.pkl"))
    match rng.randrange(6):
        case 0 | 1:
            members[inner] = damaged(rng, members[inner], [members[inner]])
        case 2 | 3:
            members[inner] = _with_code(rng, members[inner])
        case 4:
            members.pop(rng.choice(list(members)))
        case _:
            other = rng.choice(list(members))
            members[other] = damaged(rng, members[other] or b"x", [members[inner]])
    stream = io.BytesIO()
    with zipfile.ZipFile(
        stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        for member, held in members.items():
            archive.writestr(member, held)
    return stream.getvalue()


def _with_code(rng: Random, content: bytes) -> bytes:
    """Puts code, or odd values, in front of an opcode of a pickle, or in place of one."""
    starts = [2]
    with contextlib.suppress(ValueError):
        starts += [at for _, _, at in pickletools.genops(content) if at]
    at = rng.choice(starts)
    odd = rng.choice(
        (*_CODES, 10**5000, float("nan"), "\ud800" * 3, b"x" * 10, (((((),),),),), {"a": {1, 2}}, bytearray(9))
    )
    inserted = pickle.dumps(odd, 2)[2:-1]
    if rng.random() < 0.3:
        inserted = rng.choice(
            (
                b"(",
                b"t",
                b"0",
                b"1",
                b"R",
                b"b",
                b"cos\nsystem\n",
                b"c__builtin__\neval\n",
                b"Q",
                b"}",
                b"s",
                b"N",
                b"K\x01",
                b"h\x00",
                b"j\xff\xff\xff\xff",
                b"\x8a\xff" + b"\x7f" * 255,
                b"X\xff\xff\xff\x7f",
                b"q\x00",
            )
        )
    end = at + rng.choice((0, 0, 1))
    return content[:at] + inserted + content[end:]


def _attempt(case: bytes) -> str:
    os.environ.pop(_RAN, None)
    wrong = fuzz_checkpoint.attempt(case)
    if _RAN in os.environ or os.getenv(_RAN):
        return "code out of the file was run"
    return wrong


TARGET = Target("pickles", _samples, _attempt, damage_one(["*.bin", "*.ckpt"], _damaged))
