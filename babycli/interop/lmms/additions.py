"""What lmms-eval adds to the rooms below: a family of models, a reader of logs and a form of reports.

Owns what is registered, and nothing of what it does: the modules here are imported when they are asked for, so that no
command waits for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from babycli.bibliography import Paper
from babycli.interop.lmms import PREFIX
from babycli.models.base import Abilities, Family, Model, ModelSpec, Outline
from babycli.report.forms import ModelForm, Say
from babycli.report.readers import Reader

if TYPE_CHECKING:
    from babycli.report.documents import Document
    from babycli.report.logged import Labels, LoggedRun
    from babycli.report.rows import TableRow

# Of a wrapper that defines all of its methods.
ABILITIES = Abilities(scores=("loglikelihood",), writes=True, max_images=None, max_turns=None, knows_rows=True)


def _load(spec: ModelSpec, place: Path) -> Model:
    from babycli.interop.lmms.family import load

    return load(spec, place)


def _outline(spec: ModelSpec, place: Path) -> Outline:
    from babycli.interop.lmms.family import outline

    return outline(spec, place)


def _read(document: Document, labels: Labels) -> LoggedRun:
    from babycli.interop.lmms.results import read

    return read(document, labels)


def _recognises(document: Document) -> bool:
    from babycli.interop.lmms.results import is_a_run

    return is_a_run(document)


def _write_leaderboard(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    from babycli.interop.lmms.leaderboard import write

    return write(rows, every, say)


FAMILY = Family(
    name="lmms",
    summary="a wrapper written for lmms-eval: lmms:path/to/model.py, or lmms:path/to/model.py:registered_name",
    abilities=ABILITIES,
    arguments={
        "sign": "loss or logprob: what the wrapper's loglikelihood gives (must be given; it is checked)",
        "batch_size": "the wrapper's own, 1 unless given; every other argument goes to the wrapper too",
    },
    recognises=lambda folder, config: False,
    load=_load,
    outline=_outline,
    claims=lambda name: name.startswith(PREFIX),
    has_checkpoints=False,
    takes_any_argument=True,
    without_effect=("pretrained", "device_map"),  # its fingerprint tells them apart
    has_own_precision=True,
)
LMMS_EVAL = Paper(
    "zhang2024lmmseval",
    "LMMs-Eval: Reality Check on the Evaluation of Large Multimodal Models",
    (
        *("Zhang, Kaichen", "Li, Bo", "Zhang, Peiyuan", "Pu, Fanyi", "Cahyono, Joshua Adrian", "Hu, Kairui"),
        *("Liu, Shuai", "Zhang, Yuanhan", "Yang, Jingkang", "Li, Chunyuan", "Liu, Ziwei"),
    ),
    2024,
    arxiv="2407.12772",
)
READER = Reader(
    program="lmms-eval",
    names=("*_results.json", "results_*.json", "results.json"),
    recognises=_recognises,
    read=_read,
    papers=(LMMS_EVAL,),
)
LEADERBOARD = ModelForm("leaderboard", "json", _write_leaderboard)
