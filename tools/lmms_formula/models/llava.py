"""The same model under the name llava."""

from lmms_formula.models.formula import Formula

__all__ = ["Formula"]
