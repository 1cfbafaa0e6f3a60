"""Spoils files of a log: a byte, a value, or its end."""

from __future__ import annotations

import json
import random
from typing import Any

_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    10**400,
    1e308,
    float("nan"),
    float("-inf"),
    "",
    "N/A",
    "(",
    "(x)",
    "\ud800",
    [],
    {},
    [[[]]],
    {"a": 1},
)


def spoiled(rng: random.Random, suffix: str, content: bytes) -> bytes:
    """The file with something wrong in it."""
    changed = bytearray(content)
    if rng.random() < 0.3:
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    else:
        changed = bytearray(_with_an_odd_value(rng, suffix, content))
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.2 else changed)


def _with_an_odd_value(rng: random.Random, suffix: str, content: bytes) -> bytes:
    lines = content.splitlines() if suffix == ".jsonl" else [content]
    which = rng.randrange(len(lines))
    document = json.loads(lines[which])
    places: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        node = stack.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(_ODD)
    lines[which] = json.dumps(document).encode()
    return b"\n".join(lines) + b"\n"
