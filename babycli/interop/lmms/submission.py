"""A submission to the BabyVLM leaderboard: the two files that it consists of.

Owns what is written, and which folders may be written to. model.py is submission_files/model.py with the model's name
and arguments in it. Never runs it: agreement.py and inspection.py do.

    submission.json     what the organizers read
    model.py            what they run
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.errors import UsageError
from babycli.files import explained, read_file, write_atomically
from babycli.models import all_families
from babycli.models.base import Outline

DESCRIPTION, WRAPPER = "submission.json", "model.py"
CLASS = "BabycliModel"
TEMPLATE = "conv_template"  # the argument in which the organizers give a template's name
_MARK = "Written by `babycli submission`."  # in model.py
_SOURCE = Path(__file__).parent / "submission_files" / WRAPPER
_MEND = "name another folder:  babycli submission DIR --model ..."


@dataclass(frozen=True, slots=True)
class Submission:
    """What is to be submitted."""

    name: str  # on the leaderboard
    checkpoint: str  # a hub id or an address from which the organizers fetch it; "": not known yet
    args: Mapping[str, str]  # --model-args
    dtype: str
    outline: Outline

    @property
    def registered(self) -> str:
        """The name under which lmms-eval knows the wrapper: there it is the name of a module, too."""
        return "babycli_" + re.sub(r"\W+", "_", self.name, flags=re.ASCII).strip("_").lower()

    @property
    def takes_template(self) -> bool:
        return TEMPLATE in all_families()[self.outline.family].arguments

    @property
    def description(self) -> dict[str, Any]:
        """The content of submission.json. What only people know is "", to be filled in."""
        outline = self.outline
        parts = {part.name: part.what for part in outline.parts}
        counts = [part.n_parameters for part in outline.parts]
        is_on_hub = bool(self.checkpoint) and "://" not in self.checkpoint
        return {
            "model_name": self.name,
            "checkpoint": self.checkpoint,
            "registered_model": self.registered,
            "conv_template": self.args.get(TEMPLATE, outline.template) if self.takes_template else "",
            "hf_model_url": f"https://huggingface.co/{self.checkpoint.partition('@')[0]}" if is_on_hub else "",
            "metadata": {
                "model_type": outline.family,
                "vision_encoder": parts.get("vision tower", ""),
                "language_model": parts.get("language model", ""),
                "training_data": "",
                "num_parameters": sum(n for n in counts if n is not None) if None not in counts else 0,
                "main_contributions": "",
                "model_description": "",
            },
        }

    @property
    def empty_fields(self) -> list[str]:
        """The names of the fields that are still to be filled in."""
        fields = self.description
        return [name for part in (fields, fields["metadata"]) for name, value in part.items() if value in ("", 0)]

    @property
    def code(self) -> str:
        """The content of model.py."""
        text = _SOURCE.read_text(encoding="utf-8")
        for old, new in (
            ('"NAME"', json.dumps(self.registered)),
            ('CHECKPOINT = ""', f"CHECKPOINT = {json.dumps(self.checkpoint)}"),
            ("ARGUMENTS: dict[str, str] = {}", f"ARGUMENTS: dict[str, str] = {json.dumps(dict(self.args))}"),
            ("TEMPLATES = False", f"TEMPLATES = {self.takes_template}"),
            ('DTYPE = "float32"', f"DTYPE = {json.dumps(self.dtype)}"),
            ("  # type: ignore[misc]", ""),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text


def write(folder: Path, submission: Submission) -> None:
    """Writes both files. Raises UsageError for a folder that holds anything else, or a model.py of somebody else."""
    check_folder(folder)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WRAPPER, submission.code.encode())
    description = json.dumps(submission.description, indent=2, ensure_ascii=False)
    write_atomically(folder / DESCRIPTION, f"{description}\n".encode())


def check_folder(folder: Path) -> None:
    """Raises UsageError where something of the user's would be written over."""
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder", _MEND)
    with explained(folder):
        there = {path.name for path in folder.iterdir()} - {"__pycache__"}
    foreign = sorted(there - {DESCRIPTION, WRAPPER})
    with explained(folder / WRAPPER):
        is_ours = WRAPPER in there and _MARK in read_file(folder / WRAPPER).decode(errors="replace")
    if foreign or (there and not is_ours):
        raise UsageError(
            f"{folder} holds files that `babycli submission` did not write: {(foreign or sorted(there))[0]}", _MEND
        )
