"""Callbacks that evaluate a model while it is being trained; docs/python.md shows both.

    babycli.callbacks.trainer      for transformers' Trainer
    babycli.callbacks.lightning    for Lightning, where its package is installed

Owns what both have in common: when they evaluate, and the numbers that they give to the training's log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babycli import api
from babycli.errors import BabycliError, UsageError
from babycli.report.frames import Runs

_LOG = logging.getLogger("babycli")


class Evaluation:
    """The evaluation of a training: its options, those of babycli.evaluate, and what it is called in the logs."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        taken = [word for word in ("model", "processor", "name", "device", "dtype") if word in options]
        if taken:
            raise UsageError(f"{' and '.join(taken)} are the training's own", "leave them out")
        self._options = {"resume": False, **options}  # a training that is begun again has other weights at a step
        self._has_succeeded = False
        self._last_step = -1

    def run(self, model: Any, processor: Any, folder: str | Path, step: int) -> dict[str, float]:
        """Evaluates the model at a step, once; gives the main metric of each task, as ``babycli/vtwt_acc``.

        The first evaluation of a training raises what is wrong with its options or data. Later ones do not end a
        training: what went wrong is logged, and no number is given.
        """
        if step == self._last_step:
            return {}
        self._last_step = step
        name = f"{Path(folder)}/checkpoint-{step}"  # as the Trainer's own folders, whose curve it is
        try:
            runs = api.evaluate(model, processor=processor, name=name, **self._options)
        except BabycliError as error:
            if not self._has_succeeded:
                raise
            _LOG.warning("no evaluation at step %s: %s\n  mend: %s", step, error.message, error.mend or "-")
            return {}
        self._has_succeeded = True
        return main_metrics(runs)


def main_metrics(runs: Runs) -> dict[str, float]:
    """Gives the main metric of each task by a name for a training's log: "babycli/vtwt_acc".

    Of several sets of data, the name has the set's: "babycli/baby_count_saycam_acc".
    """
    by_path = {run.path: run.data for run in runs.runs}
    main = [score for score in runs.scores if score.is_main]
    tasks = [score.task for score in main]
    named = {}
    for score in main:
        of_set = f"_{by_path[score.path]}" if tasks.count(score.task) > 1 else ""
        named[f"babycli/{score.task}{of_set}_{score.metric}"] = score.value
    return named
