"""The callback for Lightning (https://lightning.ai), whose package is not installed with babycli.

    Trainer(callbacks=[EvaluationCallback(lambda module: (module.model, module.processor), tasks="vtwt", every=500)])

Owns when it evaluates. The numbers go to all loggers of the training. Only the main process evaluates. Never changes
the model: see babycli.evaluate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from babycli.callbacks import Evaluation
from babycli.errors import UsageError

if TYPE_CHECKING:
    Callback = object
else:
    try:
        from lightning.pytorch.callbacks import Callback
    except ImportError:
        try:
            from pytorch_lightning.callbacks import Callback
        except ImportError as error:
            raise UsageError("the callback for Lightning needs its package", "pip install lightning") from error

_WHEN = ("validation",)


class EvaluationCallback(Callback):
    """Evaluates the model at the end of each validation, or every so many steps.

    ``model_of`` takes the LightningModule and gives what babycli.evaluate takes: a network of transformers and its
    processor, or an object as docs/model_guide.md describes it. ``every`` is "validation" or a number of optimizer
    steps. ``at_start`` evaluates before the first step, too: what is wrong with options or data is said then. The other
    options are those of babycli.evaluate.
    """

    def __init__(
        self,
        model_of: Callable[[Any], Any],
        *,
        every: str | int = "validation",
        at_start: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        is_number = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if every not in _WHEN and not is_number:
            raise UsageError(f"every={every!r}: expected is a number of steps, or one of: {', '.join(_WHEN)}")
        self._model_of, self._every, self._at_start = model_of, every, at_start
        self._evaluation = Evaluation(options)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self._at_start and trainer.global_step == 0:
            self._run(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if isinstance(self._every, int) and trainer.global_step % self._every == 0:
            self._run(trainer, pl_module)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._every == "validation" and not trainer.sanity_checking:
            self._run(trainer, pl_module)

    def _run(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        folder = trainer.log_dir or trainer.default_root_dir
        numbers = self._evaluation.run(self._model_of(pl_module), None, folder, trainer.global_step)
        for logger in trainer.loggers if numbers else ():
            logger.log_metrics(numbers, step=trainer.global_step)
