"""The abilities of a model of transformers. Never imports torch: families are listed without it."""

from __future__ import annotations

from babycli.models.base import Abilities

ABILITIES = Abilities(scores=("loglikelihood",), writes=True, max_images=None, max_turns=None)
