"""Results that must not be trusted: scores that are no numbers, tasks without a single answer.

Owns when that is so. The log of such a run stays, so that one can look at it.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.errors import UntrustedResultError
from babycli.evaluation.conclusion import Evaluated


def raise_if_untrusted(done: Sequence[Evaluated]) -> None:
    """Raises UntrustedResultError for the first of these results that must not be trusted."""
    results = [result for evaluated in done for result in evaluated.results]
    broken = [f"{r.task} in {r.nonfinite} of {r.n_units}" for r in results if r.nonfinite]
    if broken:
        raise UntrustedResultError(
            f"the model gave scores that are not finite numbers ({', '.join(broken)})",
            "look for NaN in the checkpoint, or for answers without a token in its tokenizer; or try --dtype float32",
        )
    silent = [r.task for r in results if r.unanswered == r.n_units]
    if silent:
        raise UntrustedResultError(
            f"the model could not take a single one of the requests of {', '.join(silent)}, so the score says nothing",
            "see above why; a shorter --prompt, or a model with more positions",
        )
    for evaluated in done:
        mute = [
            f"{task}: {remark}"
            for task, replies in evaluated.replies.items()
            if replies.is_broken
            for remark in replies.remarks(sees=False)
        ]
        if mute:
            raise UntrustedResultError(
                f"most replies of the model are none, so the score says nothing ({'; '.join(mute)})",
                f"read the samples in {evaluated.results_path.parent}; a model's own code that catches exceptions may "
                "have said above what it met",
            )
