"""Runs the code of docs/notebook.ipynb from top to bottom, and keeps what it shows in the notebook.

    babycli demo babycli-demo
    python tools/run_notebook.py docs/notebook.ipynb

Owns what a cell shows: what it prints, and its last expression. Needs no Jupyter.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def outputs_of(notebook: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Runs the code cells one after the other; gives what each of them shows, in the notebook's own form."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for n, cell in enumerate([cell for cell in notebook["cells"] if cell["cell_type"] == "code"], 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            shown = _run("".join(cell["source"]), names)
        outputs: list[dict[str, Any]] = []
        if printed.getvalue():
            lines = printed.getvalue().splitlines(keepends=True)
            outputs.append({"output_type": "stream", "name": "stdout", "text": lines})
        if shown is not None:
            data = {"text/plain": repr(shown).splitlines(keepends=True)}
            if hasattr(shown, "_repr_html_"):
                data["text/html"] = shown._repr_html_().splitlines(keepends=True)
            outputs.append({"output_type": "execute_result", "execution_count": n, "metadata": {}, "data": data})
        yield outputs


def _run(source: str, names: dict[str, Any]) -> object:
    """Runs the code of a cell; gives the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def main() -> None:
    place = Path(sys.argv[1])
    notebook = json.loads(place.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for n, (cell, outputs) in enumerate(zip(cells, outputs_of(notebook), strict=True), 1):
        cell["outputs"], cell["execution_count"] = outputs, n
    place.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
