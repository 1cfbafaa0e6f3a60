"""Several pictures and turns for models of transformers, against its own processors, templates and networks.

The other path is transformers alone: messages with the pictures in them go through ``apply_chat_template`` of the
checkpoint's processor class, then ``generate`` or a forward pass, one conversation at a time. The templates put words
and pictures where those of published checkpoints do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from babycli.domain import PICTURE, CannotAnswer, Context, Loglikelihood, Text, Turn
from babycli.errors import ModelError
from babycli.models.base import Model
from babycli.models.parts.hf_model import HfModel
from tests.conftest import Babycli
from tests.hf_checkpoints import (
    COLON_SPACE,
    KINDS,
    LIBRARY,
    MORE_KINDS,
    PICTURES_FIRST,
    STRIPPED,
    WITH_SYSTEM,
    chatml,
    write_hf,
)
from tests.models.conftest import Evaluate
from tests.models.loading import edit_json, load, read, tokenize
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_hf import PICTURES, context_of, places_of

pytestmark = pytest.mark.usefixtures("one_thread")

TEMPLATES = {
    "qwen2_5_vl": WITH_SYSTEM,
    "internvl": KINDS["internvl"].template,
    "smolvlm": COLON_SPACE,
    "gemma3": STRIPPED,
    "llava_onevision": PICTURES_FIRST,
}
# What is said, by user and model in turns, and which of PICTURES are shown.
ASKED = {
    "one picture": (["What is in <image>?"], (0,)),
    "two pictures": (["Is it more of it? (A) <image> (B) <image>"], (0, 3)),
    "four pictures": (["<image> It is the red? (A) <image> (B) <image> (C) <image>"], (1, 2, 3, 1)),
    "eight pictures": (["<image>" * 8 + " What is the car?"], (0, 1, 2, 3, 4, 5, 0, 2)),
    "three turns": (
        ["It is. (A) <image>", "A", "Is it? (A) <image> (B) <image>", "b", "Is it? (A) <image> (B) <image>"],
        (3, 0, 3, 4, 0),
    ),
    "nothing said": (["What is in <image>?", "", "<image> Is it?", "", "What?"], (0, 1)),
}
ANSWERS = ("A", "It is a ball.")


class Direct:
    """transformers called directly."""

    def __init__(self, name: str, folder: Path) -> None:
        kind = (KINDS | MORE_KINDS)[name]
        config = json.loads((folder / "config.json").read_text())
        self.network = getattr(LIBRARY, config["architectures"][0]).from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer: Any = LIBRARY.AutoTokenizer.from_pretrained(folder)
        _, _, images, keys = kind.make()
        # SmolVLM's is Idefics3's, with videos.
        own: Any = getattr(LIBRARY, "Idefics3Processor" if name == "smolvlm" else kind.processor)

        def check_argument_for_proper_class(self: Any, argument_name: str, argument: Any) -> Any:
            """Lets it be made without a part that reads videos, which would need torchvision."""
            return argument and own.check_argument_for_proper_class(self, argument_name, argument)

        without_videos = type(
            own.__name__, (own,), {"check_argument_for_proper_class": check_argument_for_proper_class}
        )
        videos = {"video_processor": None} if "video_processor" in own.get_attributes() else {}
        self.processor = without_videos(
            image_processor=images, tokenizer=self.tokenizer, chat_template=TEMPLATES[name], **videos, **keys
        )

    def messages(self, turns: Sequence[str], images: Sequence[Image.Image]) -> list[dict[str, Any]]:
        left = list(images)
        messages = []
        for i, said in enumerate(turns):
            content: list[dict[str, Any]] = []
            for n, words in enumerate(said.split("<image>")):
                content += [{"type": "image", "image": left.pop(0)}] if n else []
                content += [{"type": "text", "text": words}] if words or said == "" else []
            messages.append({"role": "assistant" if i % 2 else "user", "content": content})
        assert not left
        return messages

    def text(self, messages: list[dict[str, Any]]) -> str:
        text: str = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return text

    def logprobs(
        self, messages: list[dict[str, Any]], images: Sequence[Image.Image], answer: str, **settings: bool
    ) -> list[float]:
        text = self.text(messages)
        gap = "" if text[-1:].isspace() else " "
        bos = self.tokenizer.bos_token
        more = settings if bos is None else {**settings, "add_special_tokens": not text.startswith(bos)}
        inputs = self.processor(text=[text + gap + answer], images=[list(images)], return_tensors="pt", **more)
        n = len(self.tokenizer(gap + answer, add_special_tokens=False)["input_ids"])
        ids = inputs["input_ids"][0]
        assert self.tokenizer.decode(ids[-n:]) == gap + answer
        with torch.inference_mode():
            logprobs = self.network(**inputs).logits[0].float().log_softmax(-1)
        return [float(logprobs[i - 1, ids[i]]) for i in range(len(ids) - n, len(ids))]

    def written(self, messages: list[dict[str, Any]], n: int) -> list[int]:
        inputs = self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            out: Tensor = self.network.generate(**inputs, max_new_tokens=n, do_sample=False)
        ids: list[int] = out[0, inputs["input_ids"].shape[1] :].tolist()
        return ids


@dataclass(frozen=True, slots=True)
class Pair:
    """A checkpoint, and the two ways to it."""

    folder: Path
    ours: Model
    direct: Direct


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """A pair of each architecture, made on first use. Do not write into its folder."""
    folder, pairs = tmp_path_factory.mktemp("hf"), dict[str, Pair]()

    def pair(name: str) -> Pair:
        if name not in pairs:
            place = write_hf(folder / name, name, template=TEMPLATES[name])
            pairs[name] = Pair(place, load(place), Direct(name, place))
        return pairs[name]

    return pair


# ---------------------------------------------------------------- against transformers itself


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, marks=[] if name == "qwen2_5_vl" or case == "three turns" else pytest.mark.long)
        for name in TEMPLATES
        for case in ASKED
    ],
)
def test_what_is_read_scored_and_written_is_what_transformers_does(
    name: str, case: str, made: Callable[[str], Pair]
) -> None:
    pair = made(name)
    turns, shown = ASKED[case]
    context = context_of(turns)
    rows = [[PICTURES[(i + k) % len(PICTURES)] for i in shown] for k in range(2)]
    seen = [places_of(pair.ours, row) for row in rows]
    messages = [pair.direct.messages(turns, row) for row in rows]
    assert pair.ours.render(context) == pair.direct.text(messages[0])
    for answer in ANSWERS:
        tokens = tokenize(pair.ours, context, answer)
        together = pair.ours.loglikelihood(seen, [tokens, tokens])
        for row, message, pictures, score in zip(rows, messages, seen, together, strict=True):
            assert isinstance(score, Loglikelihood)
            assert score.token_logprobs == pytest.approx(pair.direct.logprobs(message, row, answer), abs=1e-5)
            (alone,) = pair.ours.loglikelihood([pictures], [tokens])
            assert isinstance(alone, Loglikelihood)
            assert alone.token_logprobs == pytest.approx(score.token_logprobs, abs=1e-5)
    asked = read(pair.ours, context, 6)
    for message, text in zip(messages, pair.ours.generate(seen, [asked, asked], 6), strict=True):
        assert isinstance(text, Text)
        assert list(text.token_ids) == pair.direct.written(message, 6)


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_picture_counts_in_its_own_place(name: str, made: Callable[[str], Pair]) -> None:
    """Also where the template collects them: another order of pictures is another question."""
    model = made(name).ours
    turns, shown = ASKED["four pictures"]
    tokens = tokenize(model, context_of(turns), "B")
    orders = [(0, 1, 2, 3), (0, 2, 1, 3), (3, 1, 2, 0), (1, 0, 2, 3)]
    losses = []
    for order in orders:
        (score,) = model.loglikelihood([places_of(model, [PICTURES[shown[0] + i] for i in order])], [tokens])
        assert isinstance(score, Loglikelihood)
        losses.append(score.mean_loss)
    assert min(abs(a - b) for i, a in enumerate(losses) for b in losses[:i]) > 3e-5


# ---------------------------------------------------------------- where a template puts pictures


COLLECTED = "its chat template puts all pictures of a turn in front of its words, not where they are said"
PICTURE_WRITTEN = "<|vision_start|><|image_pad|><|vision_end|>"
ALL_PICTURES = "{% for part in message['content'] %}{% if part['type'] == 'image' %}" + PICTURE_WRITTEN
ALL_PICTURES += "{% endif %}{% endfor %}"
BEHIND = chatml("").replace("<|im_end|>", ALL_PICTURES + "<|im_end|>", 1)
# All pictures of a conversation before its first turn.
AT_THE_START = "{% for message in messages %}" + ALL_PICTURES + "{% endfor %}" + chatml("")
ONE_TURN = "{% if messages | length > 1 %}{{ raise_exception('one message only') }}{% endif %}"
ONE_TURN += chatml(PICTURE_WRITTEN)
ONE_PICTURE = (
    "{% for message in messages %}"
    "{% if message['content'] | selectattr('type', 'equalto', 'image') | list | length > 1 %}"
    "{{ raise_exception('one image only') }}{% endif %}{% endfor %}" + chatml(PICTURE_WRITTEN)
)
FIRST_PICTURES_ONLY = chatml(PICTURE_WRITTEN).replace(
    "{% if part['type'] == 'image' %}" + PICTURE_WRITTEN,
    "{% if part['type'] == 'image' %}{% if message is sameas messages[0] %}" + PICTURE_WRITTEN + "{% endif %}",
)


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_a_template_that_moves_pictures_is_noted(name: str, made: Callable[[str], Pair]) -> None:
    assert made(name).ours.info.notes == ((COLLECTED,) if name == "llava_onevision" else ())


def test_the_log_and_show_say_that_pictures_are_moved(
    made: Callable[[str], Pair], evaluate: Evaluate, babycli: Babycli, tmp_path: Path
) -> None:
    folder = made("llava_onevision").folder
    ran = evaluate("--model", folder, "--tasks", "labeled_s")
    assert ran.code == 0, ran.err
    assert COLLECTED in ran.err
    (run,) = (tmp_path / "logs").glob("*/*/run.json")
    assert COLLECTED in json.loads(run.read_text())["model"]["notes"]
    assert COLLECTED in babycli("models", "show", folder).out
    assert COLLECTED not in babycli("models", "show", made("qwen2_5_vl").folder).out


@pytest.mark.parametrize(
    ("template", "notes"),
    [
        (BEHIND, ["all pictures of a turn behind its words"]),
        (AT_THE_START, ["all pictures of a turn in front of its words", "pictures of a later turn elsewhere"]),
        (ONE_TURN, ["cannot write two turns: ", "one message only"]),
        (ONE_PICTURE, ["cannot write two pictures: ", "one image only"]),
        (FIRST_PICTURES_ONLY, ["pictures of a later turn elsewhere"]),
        (chatml(PICTURE_WRITTEN), []),
    ],
    ids=["behind", "at the start", "one turn", "one picture", "first pictures only", "in place"],
)
def test_other_places(template: str, notes: list[str], made: Callable[[str], Pair], tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(template)
    found = " ".join(load(made("qwen2_5_vl").folder, chat_template=file).info.notes)
    assert all(note in found for note in notes)
    assert bool(found) == bool(notes)


# ---------------------------------------------------------------- what a checkpoint cannot take


TWO_TURNS = context_of(["What is in <image>?", "a ball", "And in <image>?"])


@pytest.mark.parametrize(
    ("template", "why"),
    [(ONE_TURN, "one message only"), (FIRST_PICTURES_ONLY, "its chat template shows 1 of 2 pictures")],
)
def test_turns_that_a_template_cannot_write_are_an_answer(
    template: str, why: str, made: Callable[[str], Pair], tmp_path: Path
) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(template)
    model = load(made("qwen2_5_vl").folder, chat_template=file)
    for refused in (model.tokenize(TWO_TURNS, "ball"), model.read(TWO_TURNS, 4)):
        assert isinstance(refused, CannotAnswer)
        assert why in refused.why
    several = context_of(["<image> or <image>?"])
    (score,) = model.loglikelihood([places_of(model, PICTURES[:2])], [tokenize(model, several, "ball")])
    assert isinstance(score, Loglikelihood)


def test_pictures_that_a_template_cannot_write_are_an_answer(made: Callable[[str], Pair], tmp_path: Path) -> None:
    """And the checkpoint is asked what it can write."""
    file = tmp_path / "own.jinja"
    file.write_text(ONE_PICTURE)
    model = load(made("qwen2_5_vl").folder, chat_template=file)
    refused = model.read(context_of(["<image> or <image>?"]), 4)
    assert isinstance(refused, CannotAnswer)
    assert "one image only" in refused.why
    read(model, TWO_TURNS, 4)


def test_pictures_that_a_processor_refuses_are_an_answer(
    made: Callable[[str], Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several pictures or turns; what every model must take ends the run instead."""
    model = made("gemma3").ours
    assert isinstance(model, HfModel)
    chat: Any = model._chat
    plain, several = (context_of([words]) for words in ("What is in <image>?", "<image> or <image>?"))
    own, n_taken = chat._processor, 1

    def narrow(text: Any, images: Sequence[Sequence[Image.Image]] = ((),), **more: Any) -> Any:
        if len(images[0]) > n_taken:
            raise ValueError("only one image is supported")
        return own(text=text, images=images, **more)

    monkeypatch.setattr(chat, "_processor", narrow)
    one, two = places_of(model, PICTURES[:1]), places_of(model, PICTURES[:2])
    tokens = [tokenize(model, context, "ball") for context in (several, plain)]
    refused, score = model.loglikelihood([two, one], tokens)
    assert isinstance(refused, CannotAnswer)
    assert "its processor fails" in refused.why
    assert "only one image is supported" in refused.why
    assert isinstance(score, Loglikelihood)
    texts = model.generate([two, one], [read(model, context, 3) for context in (several, plain)], 3)
    assert [type(text) for text in texts] == [CannotAnswer, Text]
    n_taken = 0
    with pytest.raises(ModelError, match="only one image is supported"):
        model.loglikelihood([one], tokens[1:])


def test_a_reply_without_words_goes_on(made: Callable[[str], Pair]) -> None:
    """SmolVLM's template looks at the first part of each message."""
    talk = Context((Turn("user", (PICTURE, "What?")), Turn("model", ("",)), Turn("user", ("Where?",))))
    rendered = made("smolvlm").ours.render(talk)
    assert rendered.endswith("<image>What?<end_of_utterance>\nAssistant: <end_of_utterance>\nUser: Where?"
                             "<end_of_utterance>\nAssistant:")  # fmt: skip


# ---------------------------------------------------------------- pictures that are not cut into tiles


@pytest.mark.parametrize(("name", "setting"), [("smolvlm", "do_image_splitting"), ("internvl", "crop_to_patches")])
def test_without_tiles_pictures_are_read_as_transformers_does(
    name: str, setting: str, made: Callable[[str], Pair]
) -> None:
    pair = made(name)
    uncut = load(pair.folder, tiles="false")
    turns, shown = ASKED["four pictures"]
    images = [PICTURES[i] for i in shown]
    messages = pair.direct.messages(turns, images)
    tokens = tokenize(uncut, context_of(turns), "A")
    (score,) = uncut.loglikelihood([places_of(uncut, images)], [tokens])
    assert isinstance(score, Loglikelihood)
    without, cut = (pair.direct.logprobs(messages, images, "A", **{setting: cuts}) for cuts in (False, True))
    assert score.token_logprobs == pytest.approx(without, abs=1e-5)
    assert without != pytest.approx(cut, abs=1e-4)


def test_tiles_must_be_a_setting_of_the_checkpoint(made: Callable[[str], Pair], evaluate: Evaluate) -> None:
    ran = evaluate("--model", made("gemma3").folder, "--model-args", "tiles=false")
    assert_explained(ran, 2, "tiles=false", "has no setting for tiles")
    ran = evaluate("--model", made("smolvlm").folder, "--model-args", "tiles=no")
    assert_explained(ran, 2, "unknown tiles 'no'")


def test_what_does_not_fit_is_told_of_tiles(made: Callable[[str], Pair], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made("smolvlm").folder, tmp_path / "short"))
    config = json.loads((folder / "config.json").read_text())
    edit_json(folder / "config.json", text_config=config["text_config"] | {"max_position_embeddings": 100})
    turns, shown = ASKED["four pictures"]
    images = [PICTURES[i] for i in shown]
    answers: list[Loglikelihood | CannotAnswer] = []
    for model in (load(folder), load(folder, tiles="false")):
        answers += model.loglikelihood([places_of(model, images)], [tokenize(model, context_of(turns), "A")])
    refused, score = answers
    assert isinstance(refused, CannotAnswer)
    assert refused.why.endswith("the model's 100; tiles=false among --model-args would make pictures shorter")
    assert isinstance(score, Loglikelihood)
