"""The task class of lmms-eval in which every request of a trial shows a picture of its own.

Copied as it is into the folder that `babycli bridge lmms` writes, and read there by lmms-eval. Owns how a document
becomes requests. Never reads a picture and never scores: the YAML file brings those functions along. lmms-eval's own
`multiple_choice` shows all pictures of a document in each of its requests, which is another task.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from lmms_eval.api.instance import Instance
from lmms_eval.api.task import ConfigurableTask

OURS = ("class", "check_version", "picture")  # keys of the YAML file that lmms-eval's own configuration has not


class ChoiceTask(ConfigurableTask):  # type: ignore[misc, unused-ignore]
    def __init__(self, config: Mapping[str, Any]) -> None:
        config["check_version"]()
        self._picture = config["picture"]
        self._score = config["process_results"]
        super().__init__(config={key: value for key, value in config.items() if key not in OURS})

    def build_all_requests(self, **options: Any) -> None:
        # lmms-eval tells its own tasks the model's name, and a class like this one only what was typed.
        wordings = self.config.lmms_eval_specific_kwargs
        self.lmms_eval_specific_kwargs = wordings.get(getattr(self.args, "model", None), wordings["default"])
        # Its cache of requests drops which picture a request shows.
        super().build_all_requests(**{**options, "cache_requests": False})

    def construct_requests(self, doc_id: int, ctx: str, **kwargs: Any) -> list[Any]:
        split = kwargs["metadata"]["split"]
        doc = self.dataset[split][doc_id]
        return [
            Instance(
                request_type="loglikelihood",
                arguments=(
                    ctx,
                    doc["texts"][text],
                    functools.partial(self._picture, index=image),
                    doc_id,
                    self.config.task,
                    split,
                ),
                idx=number,
                **kwargs,
            )
            for number, (image, text) in enumerate(doc["asks"])
        ]

    def process_results(self, doc: Mapping[str, Any], results: list[Any], full_docs: Any = None) -> dict[str, Any]:
        # lmms-eval's own would try five times what fails, and then hide why.
        scored: dict[str, Any] = self._score(doc, results, self.config.metadata["sign"])
        return scored
