"""A small DevCV set, a checkpoint that can read it, and a wrapper for it in the form of the leaderboard's template.

The wrapper's network is the slow path (tests/models/slow_path.py), and its prompts and ids are its own: only the
pictures are prepared by babycli. What it gives is what any other implementation of the checkpoint should give.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints import SPECIAL, roomy_settings, write_roomy
from tests.models.loading import picture
from tests.models.slow_path import SlowPath

SET = "tiny"
WORDS = (
    *("USER", "ASSISTANT", ":", "A", "B", "C", "D", "(", ")", ".", "?", "'", "{", "}", "!"),
    *("Touch", "the", "image", "of", "new", "Let", "s", "try", "more", "How", "many", "do", "you", "see", "cup", "dog"),
    *("Which", "following", "is", "same", "as", "this", *map(str, range(1, 13))),
)
NEXT = "Let's try more. Touch the new image. (A) <image> (B) <image>"
TURNS = ("Touch the new image. (A) <image>", NEXT, NEXT)
DOG = "Touch the image of '{dog}' (A)<image> (B)<image> (C)<image> (D)<image>"
CUP = "<image><image><image><image>\n Touch the image of '{cup}' (A) the first image (B) the second image "
CUP += "(C) the third image (D) the fourth image."
SAME = "<image> Which of the following is the same as this? (A) <image> (B) <image> (C) <image>"


def entry(number: int, turns: dict[str, str] | list[tuple[str, str]], images: list[str], **more: Any) -> dict[str, Any]:
    pairs = turns.items() if isinstance(turns, dict) else turns
    said = [{"from": who, "value": text} for pair in pairs for who, text in zip(("human", "gpt"), pair, strict=True)]
    return {"id": f"item_{number}", **more, "conversations": said, "image": images}


def names(*numbers: int) -> list[str]:
    return [f"p/{number}.png" for number in numbers]


LABELS: dict[str, list[dict[str, Any]]] = {
    "baby_pv": [entry(0, {DOG: "B"}, names(0, 1, 2, 3)), entry(1, {CUP: "A"}, names(3, 1, 0, 2))],
    "baby_leftright": [entry(0, {SAME: "C"}, names(4, 5, 6, 4)), entry(1, {SAME: "A"}, names(6, 6, 2, 1))],
    "baby_count": [
        entry(0, {"<image> How many of {dog} do you see?": "3"}, names(0)),
        entry(1, {"How many {cup} do you see?": "7"}, names(5)),
    ],
    "baby_memory": [
        entry(
            number,
            list(zip(TURNS, ("A", *letters), strict=True)),
            names(*pictures),
            labels=[["dog"], ["dog", "cup"] if letters[0] == "B" else ["cup", "dog"], ["ball", "dog"]],
        )
        for number, letters, pictures in (
            (0, ("B", "A"), (0, 0, 1, 2, 0)),
            (1, ("A", "A"), (3, 4, 3, 5, 3)),
            (2, ("B", "A"), (0, 0, 6, 2, 0)),  # its first turn is that of item 0
        )
    ],
}


def write_set(dataset: Path) -> Path:
    """Lays the set into a dataset folder."""
    folder = dataset / "devcv" / SET
    (folder / "images" / "p").mkdir(parents=True)
    for number in range(7):
        picture(number, 40 + 8 * number, 48).save(folder / "images" / "p" / f"{number}.png")
    for task, entries in LABELS.items():
        (folder / f"{task}.json").write_text(json.dumps(entries))
    return dataset


def write_checkpoint(folder: Path) -> Path:
    """A checkpoint whose replies change with what it has read, and that hardly ever says what is no word.

    In a random network all that is read ends in nearly the same state: the words are made deaf to what is common to all
    of these.
    """
    write_roomy(folder, WORDS, trunk="model")
    weights = load_file(folder / "model.safetensors")
    slow = SlowPath.of(weights, "model", len(SPECIAL) + len(WORDS), **roomy_settings("model"))
    table, rng = slow.text.get_input_embeddings().weight, torch.Generator().manual_seed(0)
    seen = [slow.features(torch.randn(3, 224, 224, generator=rng)) for _ in range(4)]
    states = []
    with torch.no_grad():
        for n in range(40):
            words = table[torch.randint(4, len(table), (12,), generator=rng)]
            rows = torch.cat([seen[n % 4], words, seen[n // 4 % 4], words[: n % 5 + 1]])
            states.append(slow.text.model(inputs_embeds=rows[None]).last_hidden_state[0, -1])
    _, _, directions = torch.linalg.svd(torch.stack(states), full_matrices=False)
    common = directions[:2]
    head = weights["lm_head.weight"]
    head -= head @ common.T @ common
    for place, word in enumerate([*SPECIAL, *WORDS]):
        if not word.isalnum():
            head[place] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


WRAPPER = """
import json
from pathlib import Path

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.api.registry import register_model
from loguru import logger as eval_logger
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer

from tests.checkpoints import roomy_settings
from tests.models.loading import load
from tests.models.slow_path import SlowPath

EOS = 3


@register_model("tiny")
class Tiny(lmms):
    def __init__(self, pretrained, conv_template="baby_v1", batch_size=1, device="cpu", **kwargs):
        super().__init__()
        assert kwargs == {}
        assert conv_template == "baby_v1"
        self.batch_size_per_gpu = int(batch_size)
        self.tokenizer = Tokenizer.from_file(f"{pretrained}/tokenizer.json")
        n_tokens = self.tokenizer.get_vocab_size()
        weights = load_file(f"{pretrained}/model.safetensors")
        self.slow = SlowPath.of(weights, "model", n_tokens, **roomy_settings("model"))
        self._model = self.slow.text
        self._prepare = load(Path(pretrained), conv_template="baby_v1").preprocess

    def ids(self, text):
        ids = []
        for n, chunk in enumerate(text.split("<image>")):
            ids += ([-200] if n else []) + self.tokenizer.encode(chunk).ids
        return ids

    def pixels(self, visuals):
        return [self._prepare(visual.convert("RGB")) for visual in visuals]

    def write(self, prompt, pixels, n_new):
        new = self.slow.greedy(pixels, self.ids(prompt), n_new, EOS)
        return self.tokenizer.decode(new, skip_special_tokens=True)

    def question(self, words, visuals):
        if "<image>" not in words:
            words = " ".join(["<image>"] * len(visuals)) + "\\n" + words
        return words

    def loglikelihood(self, requests: list[Instance]):
        res = []
        for contexts, doc_to_target, doc_to_visual, doc_id, task, split in [reg.args for reg in requests]:
            visuals = doc_to_visual(self.task_dict[task][split][doc_id])
            context = self.ids(f" USER: {self.question(contexts, visuals)} ASSISTANT:")
            answer = self.ids(f" {doc_to_target}<eos>")
            losses = self.slow.token_losses(self.pixels(visuals), context, answer)
            res.append((sum(losses) / len(losses), False))
        return res

    def generate_until(self, requests: list[Instance]):
        res = []
        for req in requests:
            ctx, gen_kwargs, doc_to_visual, doc_id, task, split = req.args
            visuals = doc_to_visual(self.task_dict[task][split][doc_id])
            until = gen_kwargs.pop("until")
            prompt = f" USER: {self.question(ctx, visuals)} ASSISTANT:"
            output = self.write(prompt, self.pixels(visuals), gen_kwargs["max_new_tokens"])
            for u in until:
                output = output.split(u)[0]
            res.append(output)
            self.cache_hook.add_partial("generate_until", (ctx, gen_kwargs), [output])
        return res

    def generate_until_multi_round(self, requests: list[Instance]):
        res = []
        for req in requests:
            ctx, gen_kwargs, doc_to_visual, doc_to_text_fn, doc_id, task, split = req.args
            doc = self.task_dict[task][split][doc_id]
            prompt, pixels, responses, shown = " ", [], [], 0
            for turn in doc["conversations"]:
                if turn["from"] != "human":
                    continue
                n = turn["value"].count("<image>")
                pixels += self.pixels([Image.open(p) for p in doc["image"][shown : shown + n]])
                shown += n
                prompt += f"USER: {turn['value']} ASSISTANT:"
                response = self.write(prompt, pixels, gen_kwargs.get("max_new_tokens", 128)).strip()
                prompt += f" {response}<eos>" if response else ""
                responses.append(response)
            res.append(json.dumps(responses))
        return res
"""
