"""What a model that somebody else runs was asked for.

Owns the counts, and how they are told. Never counts: the model does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model that somebody else runs was asked for, by this process."""

    n_requests: int  # that were answered
    n_again: int  # tries after one that had failed
    prompt_tokens: int
    completion_tokens: int
    cost: float | None  # at the prices that the user named

    def since(self, before: Usage) -> Usage:
        """Gives what was asked for after an earlier count."""
        return Usage(
            self.n_requests - before.n_requests,
            self.n_again - before.n_again,
            self.prompt_tokens - before.prompt_tokens,
            self.completion_tokens - before.completion_tokens,
            None if self.cost is None or before.cost is None else self.cost - before.cost,
        )

    @property
    def told(self) -> str:
        """Writes it for people: ``12,345 tokens read, 678 written, in 100 requests``."""
        words = (
            f"{self.prompt_tokens:,} tokens read, {self.completion_tokens:,} written, in {self.n_requests:,} requests"
        )
        words += f" ({self.n_again:,} more {'try' if self.n_again == 1 else 'tries'})" if self.n_again else ""
        return words if self.cost is None else f"{words}; cost {self.cost:.4f}"
