"""The meaning of a wrapper's numbers: loss or log-probability.

Owns the two words for it, in which the bridge and the wrapper family agree.
"""

from __future__ import annotations

from babycli.wording import Vocabulary


class Sign(Vocabulary):
    """The kinds of number that a model's loglikelihood() returns in lmms-eval."""

    LOGPROB = "logprob"
    LOSS = "loss"
