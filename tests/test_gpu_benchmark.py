"""benchmarks/gpu.py: a part that fails or runs over is said and the others go on; the missing packages are named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "benchmarks" / "gpu.py"


def gpu(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def _beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))


@pytest.mark.long
def test_memory_that_runs_out_changes_no_number(tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = gpu("--device", "cpu", "--parts", "memory", "--output", out)
    assert ran.returncode == 0, ran.stdout + (out / "memory.stderr.txt").read_text()
    failed, same, whole = rows_in(out)
    assert "out of memory at a batch of 4: going on with 2" in failed["babycli"]
    assert failed["reached"] is same["reached"] is True
    assert whole["what"] == "memory: whole part"
    table = (out / "table.md").read_text()
    assert table.startswith("On ")
    assert table.count("\n|") == 2 + 3


@pytest.mark.long
def test_without_a_gpu_nothing_is_made_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu("--parts", "large", "--output", tmp_path).returncode == 1
    (row,) = rows_in(tmp_path)
    assert row["what"] == "large: failed"
    assert row["babycli"].endswith("sees no CUDA device here:  --device cpu  tries the small form")


@pytest.mark.long
def test_what_fails_or_runs_over_is_said_and_the_next_goes_on(tmp_path: Path) -> None:
    from gpu import Part, run_parts
    from gpu_rows import Row, Sheet

    def python(code: str) -> list[str]:
        return [sys.executable, "-S", "-c", code]

    sheet = Sheet(tmp_path)
    sheet.begin()
    writes = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); from pathlib import Path\n"
    writes += f"from gpu_rows import Row, Sheet; Sheet(Path({str(tmp_path)!r})).add(Row('slow', 'a figure', '1 s'))\n"
    parts = [
        Part("slow", 0.1, python(f"{writes}import time; time.sleep(600)")),
        Part("broken", 1, python("raise SystemExit('there is no such card')")),
        Part("killed", 1, python("import os; os.kill(os.getpid(), 9)")),
        Part("sound", 1, python("pass")),
    ]
    assert run_parts(parts, 60, sheet) == 3
    rows = sheet.rows()
    assert [row.what for row in rows] == ["a figure", "slow: stopped", "broken: failed", "killed: failed",
                                          "sound: whole part"]  # fmt: skip
    assert rows[0] == Row("slow", "a figure", "1 s")
    assert rows[1].babycli == "ran over its 2 s"
    assert rows[2].babycli.endswith("there is no such card")
    assert "exit code -9" in rows[3].babycli
    assert [row.reached for row in rows] == [None, False, False, False, None]


def test_made_up_label_files_have_the_sizes_of_the_published_ones(tmp_path: Path) -> None:
    """As manifests/ has them, of each task rows and pictures, and they are sound."""
    from gpu_labels import write_labels

    from babycli.data.labels import read_labels, with_item_problems
    from babycli.data.manifest import manifests
    from babycli.data.problems import ProblemKind
    from babycli.tasks import select_tasks

    write_labels(tmp_path)
    for task in select_tasks("babyvlm"):
        labels = with_item_problems(read_labels(tmp_path / Path(task.label_path).name, task))
        known = manifests()[task.name]
        assert len(labels.rows) == known.n_rows
        shown = {image for item in labels.items for image in item.images}
        assert {source: sum(i.source == source for i in shown) for source in known.n_pictures} == known.n_pictures
        assert {problem.kind for problem in labels.problems} == {ProblemKind.LABELS_CHECKSUM}  # not the published


def test_missing_packages_are_named_with_what_they_need(tmp_path: Path) -> None:
    ran = gpu(
        "--wheels", tmp_path, "--python", "3.12", "--has", "torch==2.11.0,transformers==5.17.0,numpy==2.4.6,tqdm==4.0"
    )
    assert ran.returncode == 1
    missing = {line.split()[1] for line in ran.stdout.splitlines() if line.startswith("missing: ")}
    assert {"nltk", "joblib", "matplotlib", "contourpy", "pytest", "tqdm"} <= missing  # joblib: nltk needs it
    assert not {"torch", "transformers", "numpy", "mpmath", "sphinx"} & missing  # mpmath: torch has it with it
    assert f"pip download --dest {tmp_path} --python-version 3.12 --only-binary :all: --no-deps" in ran.stdout
