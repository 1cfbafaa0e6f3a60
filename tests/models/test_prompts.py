"""Conversation templates, against the text that LLaVA's conversation.py makes of them, written out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babycli.domain import Context, ImageRef, ask
from babycli.models.base import Model
from babycli.models.parts.prompts import PLACE, TEMPLATES, pieces_of, shown
from babycli.tasks.babyvlm import CAPTION, CHOICE
from babycli.wording import Scoring
from tests.checkpoints import write_checkpoint
from tests.models.devcv_golden import item_of, lines_of, talk_in
from tests.models.loading import WORDS, asked, context_and_answer, filler, load, read, tokenize

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
    "llava": f"{VICUNA} USER: <image>\n ASSISTANT:",
}
ANSWERED = {
    "plain": "<image>\n ball",
    "baby_plain": "<image>\n  ball<eos>",
    "baby_v1": " USER: <image>\n ASSISTANT:  ball<eos>",
    "v1": f"{VICUNA} USER: <image>\n ASSISTANT:  ball</s>",
    "vicuna_v1": f"{VICUNA} USER: <image>\n ASSISTANT:  ball</s>",
    "llava": f"{VICUNA} USER: <image>\n ASSISTANT:  ball</s>",
}


def text_of(template: str, context: Context, answer: str | None = None) -> str:
    return shown(TEMPLATES[template].render(context, answer), context)


def test_these_are_all_templates() -> None:
    assert set(TEMPLATES) == set(ASKED) == set(ANSWERED)


@pytest.mark.parametrize("name", ASKED)
def test_a_prompt_alone(name: str) -> None:
    assert text_of(name, asked()) == ASKED[name]


@pytest.mark.parametrize("name", ANSWERED)
def test_a_prompt_with_its_answer(name: str) -> None:
    assert text_of(name, asked(), " ball") == ANSWERED[name]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("", "<image>\n"),
        ("What is it?", "<image>\nWhat is it?"),
        ("What is <image> here?", "What is <image> here?"),  # says itself where the picture goes
    ],
)
def test_the_picture_comes_first_unless_the_question_places_it(question: str, text: str) -> None:
    assert text_of("plain", asked(question)) == text


def test_a_question_goes_where_the_template_has_it() -> None:
    assert text_of("baby_v1", asked("Say it.")) == " USER: <image>\nSay it. ASSISTANT:"
    assert text_of("baby_plain", asked("Say it."), " ball") == "<image>\nSay it.  ball<eos>"


# ---------------------------------------------------------------- several turns


TALK = ask("q1").followed_by("a1", "q2")
TALKS = {
    "plain": "q1a1q2",
    "baby_plain": "q1 a1<eos>q2 ",
    "baby_v1": " USER: q1 ASSISTANT: a1<eos>USER: q2 ASSISTANT:",
    "v1": f"{VICUNA} USER: q1 ASSISTANT: a1</s>USER: q2 ASSISTANT:",
    "vicuna_v1": f"{VICUNA} USER: q1 ASSISTANT: a1</s>USER: q2 ASSISTANT:",
    "llava": f"{VICUNA} USER: q1 ASSISTANT: a1</s>USER: q2 ASSISTANT:",
}


@pytest.mark.parametrize("name", TALKS)
def test_two_turns(name: str) -> None:
    assert text_of(name, TALK) == TALKS[name]


@pytest.mark.parametrize("prompt", [CHOICE["llava"], CAPTION["llava"]])
def test_prompts_of_llava_that_bring_the_roles_are_read_as_they_are(prompt: str) -> None:
    """Those of BabyVLM, whose code gave them to LLaVA without a template. In vicuna_v1 they would have two sets."""
    assert text_of("llava", asked(prompt)) == prompt
    assert text_of("llava", asked(prompt), " ball") == f"{prompt} ball"
    assert text_of("vicuna_v1", asked(prompt)).count("USER:") == 2
    words = "Touch the new image. (A) <image> (B) <image>"  # of a task that brings its own
    talk = ask(words, ImageRef("", "a"), ImageRef("", "b")).followed_by("A", "And now?")
    assert text_of("llava", talk) == f"{VICUNA} USER: {words} ASSISTANT: A</s>USER: And now? ASSISTANT:"


def test_two_turns_with_an_answer() -> None:
    assert text_of("baby_v1", TALK, "a2") == " USER: q1 ASSISTANT: a1<eos>USER: q2 ASSISTANT: a2<eos>"
    assert text_of("baby_plain", TALK, "a2") == "q1 a1<eos>q2 a2<eos>"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "q1q2"),
        ("baby_plain", "q1 q2 "),
        ("baby_v1", " USER: q1 ASSISTANT:USER: q2 ASSISTANT:"),
        ("v1", f"{VICUNA} USER: q1 ASSISTANT:USER: q2 ASSISTANT:"),
    ],
)
def test_a_reply_without_words_leaves_nothing(name: str, text: str) -> None:
    """Not even the terminator: conversation.py adds it to what was said, and nothing was."""
    assert text_of(name, ask("q1").followed_by("", "q2")) == text


def test_separator_and_terminator_take_turns_whoever_speaks() -> None:
    """Two questions in a row: conversation.py counts messages, and gives the second one the terminator."""
    asked_twice = Context((*ask("q1").turns, *ask("q2").turns))
    assert text_of("baby_v1", asked_twice) == " USER: q1 USER: q2<eos>ASSISTANT:"
    assert text_of("baby_v1", asked_twice, "a") == " USER: q1 USER: q2<eos>ASSISTANT: a "
    assert text_of("baby_plain", asked_twice, "a") == "q1 q2<eos>a "
    later = asked_twice.followed_by("a", "q3")
    assert text_of("baby_v1", later) == " USER: q1 USER: q2<eos>ASSISTANT: a USER: q3<eos>ASSISTANT:"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "a1q2"),
        ("baby_plain", "a1<eos>q2 "),
        ("baby_v1", " USER:ASSISTANT: a1<eos>USER: q2 ASSISTANT:"),
    ],
)
def test_a_question_without_words_leaves_its_role_alone(name: str, text: str) -> None:
    assert text_of(name, ask("").followed_by("a1", "q2")) == text


def test_pictures_stand_where_they_are_shown() -> None:
    one, other = ImageRef("saycam", "a"), ImageRef("saycam", "b")
    talk = ask("Is it <image>?", one).followed_by("no", one, other, "Which?").followed_by("", "(A) ", other)
    assert text_of("baby_v1", talk) == (
        " USER: Is it <image>? ASSISTANT: no<eos>USER: <image> <image>\nWhich? ASSISTANT:USER: (A) <image> ASSISTANT:"
    )
    blind = " USER: Is it ? ASSISTANT: no<eos>USER:  \nWhich? ASSISTANT:USER: (A)  ASSISTANT:"
    assert text_of("baby_v1", talk.without_images()) == blind


def test_a_sign_for_a_picture_in_somebodys_words_is_none() -> None:
    talk = ask(f"What is {PLACE}?").followed_by(f"a{PLACE}b", ImageRef("saycam", "a"), "?")
    assert pieces_of(TEMPLATES["baby_v1"].render(talk)) == [
        " USER: What is ? ASSISTANT: ab<eos>USER: ",
        "\n? ASSISTANT:",
    ]


# ---------------------------------------------------------------- what the authors' code made of conversations


@pytest.fixture(scope="module")
def reader(devcv: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with the template and the tokenizer of the recorded lines; its weights have no part in ids."""
    tokenizer = json.loads((devcv / "golden" / "model" / "assets" / "devcv_bpe.json").read_text())
    settings = {"max_position_embeddings": 8192}
    n_tokens = max(tokenizer["model"]["vocab"].values()) + 1
    folder = tmp_path_factory.mktemp("devcv") / "model"
    write_checkpoint(folder, filler(n_tokens), trunk="model", config=settings)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return load(folder, conv_template="baby_v1")


def test_every_recorded_turn_is_read_as_the_authors_code_reads_it(devcv: Path, reader: Model) -> None:
    """Several pictures, up to 15 turns with the model's own words, replies without words among them."""
    n_turns = n_empty = most_images = 0
    for line in lines_of(devcv, "", "generate", "multi_round"):
        replies = [turn["response"] for turn in line["turns"]]
        for i, turn in enumerate(line["turns"]):
            context = talk_in(item_of(devcv, line), replies[:i])
            assert reader.render(context) == turn["prompt"]
            tokens = read(reader, context, 1)
            assert list(tokens.ids) == turn["input_ids"]
            assert len(context.places) == turn["n_images"]
            n_turns += 1
            n_empty += "" in replies[:i]
            most_images = max(most_images, turn["n_images"])
    assert (n_turns, n_empty > 0, most_images) == (77, True, 50)


@pytest.mark.parametrize("scoring", list(Scoring))
def test_every_recorded_answer_is_read_as_the_authors_code_reads_it(
    scoring: Scoring, devcv: Path, reader: Model
) -> None:
    """The same in both ways of scoring: no <eos> ends a prompt here."""
    model = load(reader.info.source, conv_template="baby_v1", scoring=scoring)
    lines = lines_of(devcv, "", "loglikelihood")
    assert len(lines) == 12
    for line in lines:
        assert model.render(asked()) == line["context_prompt"]
        context, answer = context_and_answer(tokenize(model, "", line["phrase"]))
        assert context == line["context_ids"]
        assert context + answer == line["input_ids"]
        assert [-100] * len(context) + answer == line["labels"]


@pytest.mark.parametrize("name", ASKED)
def test_a_model_renders_with_its_template(name: str, tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path / "model", WORDS), conv_template=name)
    assert (model.render(asked("")), model.info.template) == (ASKED[name], name)


def test_plain_is_the_template_of_one_that_asks_for_none(tmp_path: Path) -> None:
    assert load(write_checkpoint(tmp_path / "model", WORDS)).info.template == "plain"
