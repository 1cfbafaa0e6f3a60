"""Two pictures and two phrases that are to be matched, as Winoground asks (Thrush et al. 2022).

Owns the metrics and the rule: all comparisons are strict, so a tie is a miss. Never asks a model.

               its phrase   the other's
    first          a             b          text:   a < b and d < c
    second         c             d          image:  a < c and d < b
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.domain import Answer, Item, Metric, Outcome
from babycli.tasks.base import finite

# Four independent losses: of their 24 orders, 6 have a and d right for the images, and so on. To prefer one phrase,
# or frames, is of no use for the first three; but who prefers the positive phrase has a as the least of the three
# losses of the positive context in up to half of all instances, and who prefers frames as well in all.
METRICS = (
    Metric("image_score", "share", "image", "image", chance=1 / 4),
    Metric("text_score", "share", "text", "text", chance=1 / 4),
    Metric("group_score", "share", "group", "group", chance=1 / 6, is_main=True),
    Metric("positive_context_group_score", "share", "pos.ctx", "pos", chance=1 / 3, bias_beats_chance=True),
    Metric("negative_context_group_score", "share", "neg.ctx", "neg", chance=1 / 3, bias_beats_chance=True),
)


def outcome_of_pair(item: Item, first: Sequence[float], second: Sequence[float], answers: Sequence[Answer]) -> Outcome:
    """Decides a pair from its losses, lower is better: ``first`` has a and b, ``second`` c and d."""
    (a, b), (c, d) = first, second
    hits = {
        "image_score": a < c and d < b,
        "text_score": a < b and d < c,
        "group_score": a < c and d < b and a < b and d < c,
        "positive_context_group_score": a < c and a < b,
        "negative_context_group_score": d < b and d < c,
    }
    values = {metric: float(hit) for metric, hit in hits.items()}
    return Outcome(item.item_id, values, a in (b, c) or d in (b, c), finite(answers))
