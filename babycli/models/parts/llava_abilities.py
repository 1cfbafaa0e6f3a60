"""The abilities of LLaVA-style models, in both families. Never imports torch: families are listed without it."""

from __future__ import annotations

from babycli.models.base import Abilities

LLAVA_ABILITIES = Abilities(
    scores=("loglikelihood",),
    writes=True,
    max_images=None,
    max_turns=None,
    shares_prefixes=True,
    keeps_prefixes=True,
    shares_pixels=True,
    shares_vision=True,
    blind="no image tokens",
)
