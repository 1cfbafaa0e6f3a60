"""Conversation templates, against the text that LLaVA's conversation.py makes of them, written out."""

from __future__ import annotations

from pathlib import Path

import pytest

from babycli.models.parts.prompts import TEMPLATES, with_image
from tests.checkpoints import write_checkpoint
from tests.models.loading import WORDS, load

VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)

ASKED = {
    "plain": "<image>\n",
    "baby_plain": "<image>\n ",
    "baby_v1": " USER: <image>\n ASSISTANT:",
    "v1": f"{VICUNA} USER: <image>\n ASSISTANT:",
    "vicuna_v1": f"{VICUNA} USER: <image>\n ASSISTANT:",
}
ANSWERED = {
    "plain": "<image>\n ball",
    "baby_plain": "<image>\n  ball<eos>",
    "baby_v1": " USER: <image>\n ASSISTANT:  ball<eos>",
    "v1": f"{VICUNA} USER: <image>\n ASSISTANT:  ball</s>",
    "vicuna_v1": f"{VICUNA} USER: <image>\n ASSISTANT:  ball</s>",
}


def test_these_are_all_templates() -> None:
    assert set(TEMPLATES) == set(ASKED) == set(ANSWERED)


@pytest.mark.parametrize("name", ASKED)
def test_a_prompt_alone(name: str) -> None:
    assert TEMPLATES[name].render(with_image("")) == ASKED[name]


@pytest.mark.parametrize("name", ANSWERED)
def test_a_prompt_with_its_answer(name: str) -> None:
    assert TEMPLATES[name].render(with_image(""), " ball") == ANSWERED[name]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("", "<image>\n"),
        ("What is it?", "<image>\nWhat is it?"),
        ("What is <image> here?", "What is <image> here?"),  # says itself where the picture goes
    ],
)
def test_the_picture_comes_first_unless_the_question_places_it(question: str, text: str) -> None:
    assert with_image(question) == text


def test_a_question_goes_where_the_template_has_it() -> None:
    assert TEMPLATES["baby_v1"].render(with_image("Say it.")) == " USER: <image>\nSay it. ASSISTANT:"
    assert TEMPLATES["baby_plain"].render(with_image("Say it."), " ball") == "<image>\nSay it.  ball<eos>"


@pytest.mark.parametrize("name", ASKED)
def test_a_model_renders_with_its_template(name: str, tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path / "model", WORDS), conv_template=name)
    assert (model.render(""), model.info.template) == (ASKED[name], name)


def test_plain_is_the_template_of_one_that_asks_for_none(tmp_path: Path) -> None:
    assert load(write_checkpoint(tmp_path / "model", WORDS)).info.template == "plain"
