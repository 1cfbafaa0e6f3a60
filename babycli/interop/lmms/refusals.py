"""How a method of a wrapper says that it is not implemented: by its code, or by what it raises.

Owns the forms in which wrappers say so. Never calls a method.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
import traceback
from typing import Any

_REFUSALS = ("NotImplementedError", "NotImplemented")
_SPEAKERS = ("eval_logger", "logger", "logging", "print", "warnings")
_SHOWN = 120  # characters of code


def end_of(method: Any) -> str:
    """Gives the only statement of a method that cannot give an answer, as ``assert False, "no"``; "" of all others.

    Docstrings and what is only said (to a logger or a terminal) do not count.
    """
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method)))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # no source, or not by itself one definition
        return ""
    if not isinstance(tree, ast.FunctionDef):
        return ""
    steps = [step for step in tree.body if not _says_only(step)]
    match steps[:1]:
        case [] | [ast.Return(value=None | ast.Constant(value=None))]:
            return "pass" if not steps else "return"
        case [ast.Assert(test=ast.Constant(value=value)) as step] if not value:
            return ast.unparse(step)[:_SHOWN]
        case [ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))) as step] if name in _REFUSALS:
            return ast.unparse(step)[:_SHOWN]
    return ""


def _says_only(step: ast.stmt) -> bool:
    match step:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(value=ast.Name(id=name)))):
            return name in _SPEAKERS
    return False


def is_refusal(error: BaseException) -> bool:
    """Tells whether an error says that a method is not implemented: NotImplementedError, or a bare ``assert False``."""
    if isinstance(error, AssertionError):
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        return linecache.getline(frame.f_code.co_filename, line).strip().startswith(("assert False", "assert 0"))
    return isinstance(error, NotImplementedError)
