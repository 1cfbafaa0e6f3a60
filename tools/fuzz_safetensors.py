"""Damaged safetensors: what babycli reads of a file has the names, shapes and dtypes that the library itself reads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

from fuzz_checkpoint import attempt, checkpoints, damage_one, pack, unpack
from fuzz_target import Target
from fuzz_values import damaged_json

_FAMILIES = ("babyllava", "babyllava-llama", "llava-hf", "clip-siglip", "hf-qwen2_vl")
_FILE = "model/model.safetensors"
_DTYPES: tuple[str, ...] = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F4",
    "F6_E2M3",
    "I64",
    "I32",
    "I16",
    "I8",
)
_DTYPES += ("U64", "U32", "U16", "U8", "BOOL", "C64", "f32", "")
_LENGTHS = (0, 1, 2, 8, 100, 100_000_000, 100_000_001, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def _samples() -> Sequence[bytes]:
    return [pack(checkpoints()[name]) for name in _FAMILIES]


def _damaged(rng: Random, name: str, content: bytes) -> bytes:
    """Damages the header, and makes its length right again, most of the time."""
    n = int.from_bytes(content[:8], "little")
    header, numbers = content[8 : 8 + n], content[8 + n :]
    if rng.random() < 0.3:
        header = damaged_json(rng, header, _DTYPES)
    else:
        whole = json.loads(header)
        for _ in range(rng.choice((1, 1, 2, 5))):
            _damage_entry(rng, whole, len(numbers))
        header = json.dumps(whole).encode()
    header += b" " * rng.choice((0, 0, 0, 1, 8, -len(header) % 8))
    length = (
        len(header) if rng.random() < 0.93 else rng.choice((*_LENGTHS, len(header) - 1, len(header) + 1, len(content)))
    )
    if rng.random() < 0.1:
        numbers = rng.choice((numbers[:-1], numbers + b"\0", b"", numbers * 2, numbers[: len(numbers) // 2]))
    return length.to_bytes(8, "little") + header + numbers


def _damage_entry(rng: Random, header: dict[str, Any], n_bytes: int) -> None:
    names = [name for name in header if name != "__metadata__"]
    if not names:
        return
    name, other = rng.choice(names), rng.choice(names)
    entry = header[name]
    start, end = entry["data_offsets"]
    match rng.randrange(11):
        case 0:
            entry["dtype"] = rng.choice(_DTYPES)
        case 1:  # of another type, as many bytes
            entry["dtype"], entry["shape"] = rng.choice(
                (("U8", [end - start]), ("I32", entry["shape"]), ("BF16", [*entry["shape"], 2]))
            )
        case 2:
            entry["shape"] = rng.choice(
                (
                    [],
                    [0],
                    [-1],
                    [2**32, 2**32],
                    [2**63, 2],
                    [1] * 1000,
                    [0, 2**63],
                    entry["shape"][::-1],
                    [1, *entry["shape"]],
                )
            )
        case 3:
            entry["data_offsets"] = rng.choice(
                (
                    [end, start],
                    [0, n_bytes],
                    [n_bytes, n_bytes],
                    [start, end + 4],
                    [start + 4, end + 4],
                    [0, 2**64 - 1],
                    [-4, 0],
                )
            )
        case 4:
            entry["data_offsets"] = header[other]["data_offsets"]  # two weights in one place, and a hole
        case 5:
            header[other] = entry  # the same weight twice
        case 6:
            header[
                rng.choice(
                    (
                        name + "x",
                        "",
                        "__metadata__",
                        "\0",
                        "module." + name,
                        "x" * 5000,
                        "\x1b[31m",
                        "a.lora_A.weight",
                        "../x",
                    )
                )
            ] = header.pop(name)
        case 7:
            del header[name]
        case 8:
            header["__metadata__"] = rng.choice(
                (None, 3, {}, {"format": "tf"}, {"format": 3}, {"a": {"b": "c"}}, {"format": "pt", "x": "\x1b]0;x\x07"})
            )
        case 9:
            header[f"{name}.more"] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}
        case _:
            entry[rng.choice(("extra", "strides", "requires_grad"))] = rng.choice((1, None, {}, "x"))


def _attempt(case: bytes) -> str:
    return _otherwise_read(unpack(case)[_FILE]) or attempt(case)


def _otherwise_read(content: bytes) -> str:
    """Compares what babycli reads of a file with what the library reads of its bytes; says what differs."""
    import safetensors

    from babycli.errors import ModelError
    from babycli.models.parts.checkpoint import look_into, read_weights

    with tempfile.NamedTemporaryFile(prefix="babycli-fuzz-", suffix=".safetensors") as file:
        file.write(content)
        file.flush()
        try:
            read = read_weights([Path(file.name)])
            seen = look_into([Path(file.name)])
        except ModelError:
            return ""
    try:
        theirs = dict(cast(Any, safetensors).deserialize(content))
    except safetensors.SafetensorError as error:
        return f"babycli reads what safetensors does not: {error}"
    ours = {seen.wrapper + name: (list(tensor.shape), tensor.nbytes) for name, tensor in read.items()}
    if ours != {name: (entry["shape"], len(entry["data"])) for name, entry in theirs.items()}:
        return "babycli reads other names, shapes or sizes than safetensors"
    dtypes = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in read.items()}
    named = {name: dtype for name, dtype in seen.dtypes.items() if dtype[:1].islower()}  # others by safetensors' names
    return "" if named == {name: dtypes[name] for name in named} else "two dtypes of one weight"


TARGET = Target("safetensors", _samples, _attempt, damage_one(["model.safetensors"], _damaged))
