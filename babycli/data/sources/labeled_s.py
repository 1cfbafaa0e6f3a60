"""Images of Labeled-S (Vong et al. 2024; Wang et al. 2025): a tree of its own, with a folder for each category."""

from __future__ import annotations

from babycli.data.sources.base import Source

SOURCE = Source("labeled_s", "Labeled-S images", option="--labeled-s DIR", inside="saycam", order=2)
