"""docs/notebook.ipynb runs from top to bottom, and shows what it showed when it was written."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def texts(outputs: list[dict[str, object]]) -> list[str]:
    """The kinds of a cell's outputs."""
    return [str(output["output_type"]) for output in outputs]


def test_the_notebook_runs(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    notebook = json.loads((REPOSITORY / "docs" / "notebook.ipynb").read_text())
    monkeypatch.chdir(tmp_path)
    Path("babycli-demo").mkdir()
    Path("babycli-demo/dataset").symlink_to(dataset)
    kept = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    run = runpy.run_path(str(REPOSITORY / "tools" / "run_notebook.py"))
    now = list(run["outputs_of"](notebook))
    assert [texts(of_cell) for of_cell in now] == [texts(of_cell) for of_cell in kept]
    shown = [cell["data"]["text/plain"] for of_cell in now for cell in of_cell if "data" in cell]
    said = [cell["data"]["text/plain"] for of_cell in kept for cell in of_cell if "data" in cell]
    assert shown[0] == said[0]
    printed = [cell["text"] for of_cell in now for cell in of_cell if "text" in cell]
    assert printed == [cell["text"] for of_cell in kept for cell in of_cell if "text" in cell]
