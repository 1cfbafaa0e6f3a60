"""The callback for transformers' Trainer.

    trainer.add_callback(EvaluationCallback(trainer, tasks="vtwt", every=500))

Owns when it evaluates. The numbers go through ``trainer.log``, and so to whatever the training reports to: W&B,
TensorBoard, a file. Only the main process evaluates; the others wait for it at their next step. Never changes the
model: see babycli.evaluate.
"""

from __future__ import annotations

from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from babycli.callbacks import Evaluation
from babycli.errors import UsageError

_WHEN = ("save", "evaluate")
_OF_EVALUATION = "eval_"  # where transformers' reporters see it, "eval_" becomes "eval/"; what lacks it, "train/..."


class EvaluationCallback(TrainerCallback):
    """Evaluates the model at each save, at each evaluation of the Trainer, or every so many steps.

    ``every`` is "save", "evaluate" or a number of steps. ``processor`` is the Trainer's own (processing_class) unless
    one is given. ``at_start`` evaluates before the first step, too: what is wrong with options or data is said then,
    not hours later. The other options are those of babycli.evaluate.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        every: str | int = "save",
        processor: Any = None,
        at_start: bool = True,
        **options: Any,
    ) -> None:
        is_number = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if every not in _WHEN and not is_number:
            raise UsageError(f"every={every!r}: expected is a number of steps, or one of: {', '.join(_WHEN)}")
        self._trainer, self._every, self._processor, self._at_start = trainer, every, processor, at_start
        self._evaluation = Evaluation(options)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._at_start and state.global_step == 0:
            self._run(args, state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if isinstance(self._every, int) and state.global_step % self._every == 0:
            self._run(args, state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._every == "save":
            self._run(args, state)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._every == "evaluate":
            self._run(args, state)

    def _run(self, args: TrainingArguments, state: TrainerState) -> None:
        if not state.is_world_process_zero:
            return
        processor = self._processor if self._processor is not None else self._trainer.processing_class
        numbers = self._evaluation.run(self._trainer.model, processor, str(args.output_dir), state.global_step)
        if numbers:
            is_due = self._trainer.control.should_log  # the Trainer's own line; to log takes the wish away
            self._trainer.log({f"{_OF_EVALUATION}{name}": number for name, number in numbers.items()})
            self._trainer.control.should_log = is_due
