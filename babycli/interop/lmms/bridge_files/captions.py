"""METEOR of a caption, as babycli computes it; needs babycli where lmms-eval runs.

Copied as it is into the folder that `babycli bridge lmms` writes, and read there by lmms-eval. Owns nothing but the way
to babycli's METEOR, whose data and release of NLTK the score depends on. Fails when it is loaded, before any model is
asked, rather than at the end.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

MEND = "where lmms-eval runs:  pip install --no-deps babycli; pip install 'nltk>=3.10.1'"

try:
    from babycli.tasks.meteor import meteor
except ImportError as error:
    raise ImportError(f"METEOR is computed by babycli, which is not installed here; mend: {MEND}") from error


def _check_nltk() -> None:
    release = importlib.metadata.version("nltk")
    if tuple(int(part) for part in release.split(".")[:3] if part.isdigit()) < (3, 10, 1):
        raise ImportError(f"NLTK {release} tokenises differently, so METEOR would differ; mend: {MEND}")


_check_nltk()


def caption(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    return {"trial_id": doc["trial_id"], "meteor": meteor(doc["target"], results[0])}
