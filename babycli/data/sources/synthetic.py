"""Synthetic pictures of Baby Winoground (Wang et al. 2025): each shows what the other of two phrases says."""

from __future__ import annotations

from babycli.data.sources.base import Source

SOURCE = Source("synthetic", "synthetic images", option="--synthetic DIR", order=3)
