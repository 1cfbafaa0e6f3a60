"""How lmms-eval's answers become credit in the choice tasks, and which versions of it cannot be used for them.

Copied as it is into the folder that `babycli bridge lmms` writes, and read there by lmms-eval. Owns the checks of
every answer and the scoring, which is babycli's own: ties share the credit, what is not finite is never right, Baby
Winoground compares strictly. Never imports babycli or lmms-eval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# These turn each answer, a pair (log-probability, is greedy), into text before it is scored: unwrap_generation_output
# in lmms_eval/api/instance.py, called from lmms_eval/evaluator.py. All releases before 0.7 hand it over as it is.
BROKEN = ("0.7", "0.7.1", "0.7.2", "0.7.3")
NEWEST_WHOLE = "0.6.1"

MEND = f"pip install lmms-eval=={NEWEST_WHOLE}"


def why_broken(version: str) -> str:
    """Says why a version of lmms-eval cannot score choices; "" for one that can, or that is not known."""
    if version not in BROKEN:
        return ""
    return f"lmms-eval {version} turns log-probabilities into text before they are scored, so it cannot score choices"


def refuse_broken_version() -> None:
    """Raises RuntimeError in a broken lmms-eval. What is no installed package passes: every answer is checked too."""
    import importlib.metadata  # slow to import, and every command of babycli imports this module

    try:
        version = importlib.metadata.version("lmms_eval")
    except importlib.metadata.PackageNotFoundError:
        return
    if why := why_broken(version):
        raise RuntimeError(f"{why}; mend: {MEND}")


def losses(doc: Mapping[str, Any], results: Sequence[Any], sign: str) -> list[float]:
    """Reads a trial's answers as losses, lower is better; ``sign`` says which of the two the wrapper returns."""
    if len(results) != len(doc["asks"]):
        raise RuntimeError(f"trial {doc['trial_id']}: {len(results)} answers, should be {len(doc['asks'])}")
    return [_loss(result, sign) for result in results]


def _loss(result: Any, sign: str) -> float:
    if not isinstance(result, tuple | list) or len(result) != 2 or isinstance(result[0], str):
        raise RuntimeError(
            f"lmms-eval handed over {result!r}, should be a pair (log-probability, is greedy); mend: {MEND}"
        )
    value = float(result[0])
    if sign == "logprob" and value > 0:
        raise RuntimeError(
            f"the model's wrapper returned {value}, and no log-probability is positive: it returns losses, as those of "
            "the LLaVA kind do; mend: babycli bridge lmms DIR --sign loss"
        )
    if sign == "loss" and value < 0:
        raise RuntimeError(
            f"the model's wrapper returned {value}, and no loss is negative: it returns log-probabilities; "
            "mend: babycli bridge lmms DIR --sign logprob"
        )
    return value if sign == "loss" else -value


def choice(doc: Mapping[str, Any], results: Sequence[Any], sign: str) -> dict[str, Any]:
    """Decides a choice: 1 when the right candidate's loss is the lowest, 1/k when k share the lowest, else 0."""
    candidates = losses(doc, results, sign)
    finite = [loss for loss in candidates if math.isfinite(loss)]
    lowest = min(finite, default=math.nan)
    sharing = finite.count(lowest)
    won = candidates[doc["right"]] == lowest
    return {
        "trial_id": doc["trial_id"],
        "acc": 1 / sharing if won else 0.0,
        "is_tie": won and sharing > 1,
        "is_finite": len(finite) == len(candidates),
    }


def winoground(doc: Mapping[str, Any], results: Sequence[Any], sign: str) -> dict[str, Any]:
    """Decides an instance of Baby Winoground; all comparisons are strict.

                 positive phrase   negative phrase
    frame             a                 b              text:   a < b and d < c
    synthetic         c                 d              image:  a < c and d < b
    """
    a, b, c, d = losses(doc, results, sign)
    image, text = a < c and d < b, a < b and d < c
    return {
        "trial_id": doc["trial_id"],
        "image_score": float(image),
        "text_score": float(text),
        "group_score": float(image and text),
        "positive_context_group_score": float(a < c and a < b),
        "negative_context_group_score": float(d < b and d < c),
        "is_tie": a in (b, c) or d in (b, c),
        "is_finite": all(math.isfinite(loss) for loss in (a, b, c, d)),
    }
