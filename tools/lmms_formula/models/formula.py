"""The model as lmms-eval wants it: loglikelihood() and generate_until() over its requests."""

from __future__ import annotations

from typing import Any

from lmms_eval.api.model import lmms

from lmms_formula.answers import caption, logprob


class Formula(lmms):  # type: ignore[misc, unused-ignore]
    def __init__(self, sign: str = "logprob", **ignored: Any) -> None:
        super().__init__()
        self._sign = sign

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        answers = []
        for context, text, doc_to_visual, doc_id, task, split in [request.args for request in requests]:
            (image,) = doc_to_visual(self.task_dict[task][split][doc_id])
            value = logprob(image.tobytes(), context, text)
            answers.append((value if self._sign == "logprob" else -value, False))
        return answers

    def generate_until(self, requests: list[Any]) -> list[str]:
        answers = []
        for context, _, doc_to_visual, doc_id, task, split in [request.args for request in requests]:
            (image,) = doc_to_visual(self.task_dict[task][split][doc_id])
            answers.append(caption(image.tobytes(), context))
        return answers

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        raise NotImplementedError("no task asks for it")
