"""Fixtures of the models' tests, for wrappers, which are models."""

from __future__ import annotations

from tests.models.conftest import evaluate

__all__ = ["evaluate"]
