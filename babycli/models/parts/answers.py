"""Turning logits and ids into answers, for every family that predicts tokens.

Owns the arithmetic: which ids are an answer, their log-probabilities, where a text stops. Never runs a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babycli.domain import Loglikelihood
from babycli.errors import ModelError
from babycli.wording import shortened

_MOST_TOKENS = 1 << 31  # of any vocabulary


def common_prefix(a: list[int], b: list[int]) -> int:
    """Counts the ids with which both lists begin."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def scored(logits: Tensor, answers: Tensor) -> list[Loglikelihood]:
    """Scores answers (n, n_answer) in float32 by the logits (n, n_answer, vocabulary) of the positions before them."""
    return scored_columns([(logits, answers)])[0]


def scored_columns(columns: Iterable[tuple[Tensor, Tensor]]) -> list[list[Loglikelihood]]:
    """Scores several columns of logits and answers as ``scored`` does; all results come from a GPU in one transfer."""
    found: list[Tensor] = []
    for logits, answers in columns:
        logits = logits.float()
        picked = torch.log_softmax(logits, dim=-1).gather(-1, answers[..., None])[..., 0]
        # NaN never equals anything: the answer of a broken model never counts as greedy.
        greedy = (logits.argmax(-1) == answers).all(-1) & picked.isfinite().all(-1)
        found += [picked, greedy[:, None].float()]
    if not found:
        return []
    parts = torch.split(torch.cat(found, dim=1).cpu(), [part.shape[1] for part in found], dim=1)
    return [
        [Loglikelihood(tuple(p), bool(g)) for p, (g,) in zip(picked.tolist(), greedy.tolist(), strict=True)]
        for picked, greedy in zip(parts[::2], parts[1::2], strict=True)
    ]


def stop_ids(declared: object, where: Path) -> list[int]:
    """Gives the ids that end a text, as the file ``where`` declares them: one, a list, or none. Raises ModelError."""
    stops: list[Any] = [] if declared is None else declared if isinstance(declared, list) else [declared]
    if not all(isinstance(i, int) and abs(i) < _MOST_TOKENS for i in stops):
        raise ModelError(f"{where} declares eos_token_id {shortened(repr(declared), 80)}, which is no token id")
    return stops


def until_stop(ids: list[int], stops: list[int]) -> list[int]:
    """Cuts generated ids off after the first id that ends a text."""
    first = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return ids[: first + 1]
