"""A model of babycli as a wrapper of lmms-eval, for the BabyVLM leaderboard. Written by `babycli submission`.

It needs babycli where it runs:  pip install babycli

    generate_until               the label's words, with the pictures where they say <image>, else in front of them
    generate_until_multi_round   every turn of the item, with the model's own replies before it; a JSON list of replies
    loglikelihood                the mean loss per token of the answer, its terminator included: lower is better

An error is raised, never turned into a reply. What the model cannot take (too long, say) is no answer and said in the
log: the reply "", or an infinite loss.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.api.registry import register_model
from PIL import Image

from babycli.domain import CannotAnswer
from babycli.interop.lmms.asking import Dialogue, Speaker

CHECKPOINT = ""  # unless pretrained= names another
ARGUMENTS: dict[str, str] = {}  # --model-args of babycli
TEMPLATES = False  # does this kind of model take conv_template=?
DTYPE = "float32"


@register_model("NAME")
class BabycliModel(lmms):  # type: ignore[misc]
    def __init__(
        self,
        pretrained: str = CHECKPOINT,
        conv_template: str | None = None,
        batch_size: int | str = 1,
        device: str | None = None,
        dtype: str = DTYPE,
        **arguments: Any,
    ) -> None:
        super().__init__()
        own = ARGUMENTS | {key: str(value) for key, value in arguments.items()}
        if conv_template and TEMPLATES:
            own["conv_template"] = conv_template
        self.batch_size = int(batch_size)
        self.speaker = Speaker.load(pretrained, own, device, dtype, self.batch_size)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        asked = (
            (Dialogue.begun(words, self.pictures(doc_to_visual, doc_id, task, split)), wish.get("max_new_tokens", 1024))
            for words, wish, doc_to_visual, doc_id, task, split in (request.args for request in requests)
        )
        texts = self.speaker.texts(asked)
        return [cut(text_of(text), request.args[1]) for text, request in zip(texts, requests, strict=True)]

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        answers = []
        for _, wish, _, _, doc_id, task, split in (request.args for request in requests):
            doc = self.task_dict[task][split][doc_id]
            left = [open_picture(picture) for picture in doc["image"]]
            dialogue, replies = None, list[str]()
            for turn in doc["conversations"]:
                if turn["from"] != "human":
                    continue  # the right answer, which the model does not see
                words = turn["value"]
                n_pictures = words.count("<image>")
                shown, left = left[:n_pictures], left[n_pictures:]
                if dialogue is None:
                    dialogue = Dialogue.begun(words, shown)
                else:
                    dialogue = dialogue.after(replies[-1], words, shown)
                reply = self.speaker.reply(dialogue, wish.get("max_new_tokens", 128))
                replies.append(text_of(reply).strip())
            self.speaker.forget()
            answers.append(json.dumps(replies))
        return answers

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        asked = []
        for words, answer, doc_to_visual, doc_id, task, split in (request.args for request in requests):
            text = answer if isinstance(answer, str) else answer(self.task_dict[task][split][doc_id])
            asked.append((words, text.removeprefix(" "), (doc_to_visual, doc_id, task, split)))
        scores = self.speaker.losses(
            (Dialogue.begun(words, self.pictures(*where)), text) for words, text, where in asked
        )
        return [loss_of(score) for score in scores]

    def pictures(self, doc_to_visual: Any, doc_id: int, task: str, split: str) -> list[Image.Image]:
        """Gives the pictures of a document, in its order."""
        return [open_picture(picture) for picture in doc_to_visual(self.task_dict[task][split][doc_id])]


def open_picture(picture: Any) -> Image.Image:
    """Gives a picture in RGB, of one that is open already or of a path."""
    image = picture if isinstance(picture, Image.Image) else Image.open(picture)
    return image.convert("RGB")


def text_of(reply: str | CannotAnswer) -> str:
    if isinstance(reply, CannotAnswer):
        logging.warning("no answer: %s", reply.why)
        return ""
    return reply


def loss_of(score: Any) -> tuple[float, bool]:
    if isinstance(score, CannotAnswer):
        logging.warning("no answer: %s", score.why)
        return float("inf"), False
    return score.mean_loss, score.is_greedy


def cut(text: str, wish: dict[str, Any]) -> str:
    """Cuts a text off before what ends it."""
    ends = wish.get("until") or []
    for end in [ends] if isinstance(ends, str) else ends:
        text = text.split(end)[0]
    return text
