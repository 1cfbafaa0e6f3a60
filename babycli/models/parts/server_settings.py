"""The settings of a server, as --model-args gives them, and the key, as the environment does.

Owns their defaults and bounds. Never shows a key, not even one that stands where the name of its variable should.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from babycli.errors import UsageError
from babycli.models.parts.server_calls import Limits
from babycli.wording import whole_number

KEY_ENV = "OPENAI_API_KEY"
_MOST_AT_ONCE = 1024
_MOST = 1e9  # seconds, which sockets can count, and prices
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost."""

    read: float
    written: float


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is asked."""

    concurrency: int
    limits: Limits
    key_env: str
    key: str = field(repr=False)  # "": none
    prices: Prices | None


def read_settings(args: Mapping[str, str]) -> Settings:
    """Reads all of them. Raises UsageError."""
    concurrency = whole_number(args.get("concurrency", "16")) or 0
    if not 1 <= concurrency <= _MOST_AT_ONCE:
        raise UsageError(
            f"concurrency={args['concurrency']}: expected is a number from 1 to {_MOST_AT_ONCE}",
            "--model-args concurrency=16",
        )
    limits = Limits(_positive(args, "timeout", 300.0), _positive(args, "patience", 600.0))
    key_env = args.get("key_env", KEY_ENV)
    prices = None
    if {"price_in", "price_out"} & args.keys():
        prices = Prices(_positive(args, "price_in", 0.0), _positive(args, "price_out", 0.0))
    return Settings(concurrency, limits, key_env, _key(key_env, "key_env" in args), prices)


def _positive(args: Mapping[str, str], key: str, default: float) -> float:
    try:
        value = float(args.get(key, default))
    except ValueError:
        value = math.nan
    is_price = key.startswith("price")
    if not 0 <= value <= _MOST or (value == 0 and not is_price):
        what = "a price for a million tokens" if is_price else "a number of seconds"
        raise UsageError(
            f"{key}={args[key]}: expected is {what}, up to {_MOST:,.0f}",
            f"--model-args {key}={3 if is_price else 600}",
        )
    return value


def _key(variable: str, was_named: bool) -> str:
    """Reads the key from the environment. Raises UsageError that shows nothing of it."""
    if _VARIABLE.fullmatch(variable) is None:
        raise UsageError(
            "key_env=...: this is no name of an environment variable, and a key perhaps, which every user of this "
            "machine can read there",
            "export MY_KEY=...    and then  --model-args key_env=MY_KEY",
        )
    key = os.environ.get(variable, "").strip()
    if was_named and not key:
        raise UsageError(f"key_env={variable}: the environment has no such variable", f"export {variable}=...")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(f"what the environment variable {variable} holds cannot be a key", "write it on one line")
    return key
