"""The meaning of a wrapper's numbers: loss or log-probability.

Owns the two words for it, in which the bridge and the wrapper family agree, and what a number may be. Never calls a
wrapper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from babycli.errors import ModelError, UsageError
from babycli.wording import Vocabulary

ROUNDING = 1e-6  # a probability of 1 may come out as a logarithm a little beyond 0


class Sign(Vocabulary):
    """The kinds of number that a model's loglikelihood() returns in lmms-eval."""

    LOGPROB = "logprob"
    LOSS = "loss"


def read_sign(args: Mapping[str, str]) -> Sign:
    """Reads what a number of the wrapper means. Raises UsageError where ``--model-args`` does not say it."""
    match args.get("sign"):
        case "loss":
            return Sign.LOSS
        case "logprob":
            return Sign.LOGPROB
        case given:
            raise UsageError(
                ("--model-args has no sign" if given is None else f"unknown sign {given!r}")
                + ": lmms-eval promises a log-probability, many of its wrappers give the mean loss, and the wrong one "
                "turns every choice around",
                "look at what the wrapper's loglikelihood puts in its result:  sign=loss  for loss.item(), as LLaVA's, "
                " sign=logprob  for a sum of log-probabilities; then  --model-args sign=loss|logprob",
            )


def check_sign(file: Path, sign: Sign, value: float, text: str) -> None:
    """Raises ModelError for a number that cannot be what the user says it is. NaN passes: the run reports it."""
    if goodness(sign, value) <= ROUNDING or math.isnan(value):
        return
    other, bound = ("logprob", "at least") if sign == Sign.LOSS else ("loss", "at most")
    raise ModelError(
        f"{file}: loglikelihood gave {value:.6g} for {text!r}, and a {sign} is {bound} 0: "
        f"sign={sign} is not true of this wrapper",
        f"read its loglikelihood; if that is what it gives:  --model-args sign={other}",
    )


def goodness(sign: Sign, value: float) -> float:
    return -value if sign == Sign.LOSS else value
