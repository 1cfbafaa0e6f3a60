"""The results of benchmarks/gpu.py: a line of JSON for each as it comes, and the same as a table.

Owns rows.jsonl and table.md in the folder of a run. Each row is on the disk before the next is measured.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

COLUMNS = ("what", "babycli", "against", "ratio", "goal", "reached")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of babycli and what it is compared with."""

    part: str
    what: str
    babycli: str
    against: str = ""
    ratio: str = ""
    goal: str = ""
    reached: bool | None = None  # None: there is no goal, or nothing was measured
    machine: str = ""  # the card's name and the versions; "" where the part did not come so far


class Sheet:
    """The rows of a run, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.lines, self.table = folder / "rows.jsonl", folder / "table.md"
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self) -> None:
        """Empties the folder's files of an earlier run."""
        self.lines.write_text("")
        self.table.write_text("")

    def add(self, row: Row) -> None:
        """Writes a row, and the whole table anew."""
        with self.lines.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        print(_line(row), flush=True)
        self.table.write_text(self.as_table(), encoding="utf-8")

    def rows(self) -> list[Row]:
        return [Row(**json.loads(line)) for line in self.lines.read_text(encoding="utf-8").splitlines()]

    def as_table(self) -> str:
        rows = self.rows()
        machine = next((row.machine for row in rows if row.machine), "")
        head = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
        return "\n".join([f"On {machine}:", "", *head, *map(_line, rows), ""])


def _line(row: Row) -> str:
    reached = {None: "", True: "yes", False: "no"}[row.reached]
    cells = (row.what, row.babycli, row.against, row.ratio, row.goal, reached)
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
