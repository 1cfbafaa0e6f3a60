"""Which prompt a task gets: the user's, the model's, the family's or the default, and how --prompt is read."""

from __future__ import annotations

import pytest

from babycli.errors import UsageError
from babycli.evaluation.prompts import Prompt, choose_prompt, parse_prompts
from babycli.tasks import all_tasks
from tests.conftest import Babycli

LLAVA = "USER: What's the object in the image? <image> ASSISTANT:"
TASKS = [task.name for task in all_tasks().values() if task.prompts]


def test_one_text_for_all() -> None:
    assert parse_prompts(["What is it?"]) == dict.fromkeys(TASKS, "What is it?")


def test_one_for_each_task() -> None:
    given = parse_prompts(["vtwt=a = b", "labeled_s="])
    assert given == {"vtwt": "a = b", "labeled_s": ""}


def test_a_text_may_hold_an_equals_sign() -> None:
    for text in ("1 + 1 = ?", "x=1, what is it?", "<image>=?"):
        assert parse_prompts([text]) == dict.fromkeys(TASKS, text)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["vtvt=hello"], "vtvt.*Did you mean 'vtwt'"),
        (["labeled-s=hello"], "labeled-s.*Did you mean 'labeled_s'"),
        (["vtwt =hello"], "vtwt .*Did you mean 'vtwt'"),
        (["a", "vtwt=b"], "twice for vtwt"),
        (["vtwt=a", "vtwt=b"], "twice"),
    ],
)
def test_wrong_prompts(given: list[str], names: str) -> None:
    with pytest.raises(UsageError, match=names):
        parse_prompts(given)


def test_wrong_prompts_exit_2(babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:constant", "--prompt", "vtvt=hello")
    assert (ran.code, ran.out) == (2, "")
    assert "vtvt" in ran.err


@pytest.mark.parametrize(
    ("family", "of_model", "like", "overrides", "expected"),
    [
        ("llava", {}, "", {}, Prompt(LLAVA, "llava")),
        ("babyllava", {}, "", {}, Prompt("", "babyllava")),
        ("plugin", {}, "", {}, Prompt("", "default")),
        ("plugin", {}, "llava", {}, Prompt(LLAVA, "llava")),
        ("plugin", {"vtwt": "mine"}, "llava", {}, Prompt("mine", "model")),
        ("plugin", {"vtwt": "mine"}, "llava", {"vtwt": "yours"}, Prompt("yours", "--prompt")),
        ("lmms", {}, "some_wrapper", {"labeled_s": "other"}, Prompt("", "default")),
    ],
)
def test_the_strongest_wins(
    family: str, of_model: dict[str, str], like: str, overrides: dict[str, str], expected: Prompt
) -> None:
    assert choose_prompt(all_tasks()["vtwt"], family, of_model, like, overrides) == expected
