"""Chat templates that loop, grow, or do not give up: exit code 5 in bounded time and memory, and the file is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babycli.models.parts import chat_rendering
from tests.hf_checkpoints import KINDS, write_hf
from tests.models.conftest import Evaluate
from tests.models.loading import edit_json
from tests.models.test_bad_checkpoints import assert_explained

pytestmark = pytest.mark.usefixtures("one_thread")

GOOD = KINDS["qwen2_vl"].template
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
GROW = "{% set n = namespace(t='<image>') %}{% for a in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}"
SECOND_TURN = "{% if messages|length > 1 %}" + LOOP + "{% endif %}"
BOUNDLESS = {
    "loops for several turns alone": (SECOND_TURN, "not rendered yet"),
    "doubles its text": (GROW, "cannot be used"),
}
MORE = {
    "loops": (LOOP, "not rendered yet"),
    "loops in one step": ("{{ 7 ** (10 ** 9) > 0 }}", "not rendered yet"),
    "asks for all memory at once": ("{{ '%1000000000000d' % 1 }}", "all memory"),
    "writes too much": ("{{ 'word ' * 1000000 }}", "5,000,"),
}
FAILING = {
    "calls itself": ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "RecursionError"),
    "is nested too deep": ("{{ " + "(" * 300 + "1" + ")" * 300 + " }}", "chat template fails"),
    "raises": ("{{ raise_exception('no picture, please') }}", "no picture, please"),
    "is no Jinja": ("{% for %}", "TemplateSyntaxError"),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hf(tmp_path_factory.mktemp("checkpoint") / "qwen", "qwen2_vl")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process with less time than in use."""
    chat_rendering.end()
    monkeypatch.setattr(chat_rendering, "RENDER_S", 1)
    yield
    chat_rendering.end()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "how", [next(iter(BOUNDLESS)), *(pytest.param(how, marks=pytest.mark.long) for how in [*BOUNDLESS, *MORE][1:])]
)
def test_a_template_has_limits(how: str, checkpoint: Path, evaluate: Evaluate) -> None:
    spoiled, why = (BOUNDLESS | MORE)[how]
    file = checkpoint / "chat_template.jinja"
    file.write_text(spoiled + GOOD)
    ran = evaluate("--model", checkpoint)
    assert_explained(ran, 5, file, why)
    assert "dtype" not in ran.err


@pytest.mark.parametrize("how", FAILING)
def test_a_template_that_fails_is_named(how: str, checkpoint: Path, evaluate: Evaluate) -> None:
    """It fails alone: the process that has rendered it goes on."""
    spoiled, why = FAILING[how]
    file = checkpoint / "chat_template.jinja"
    file.write_text(spoiled + GOOD)
    assert_explained(evaluate("--model", checkpoint), 5, file, why)
    file.write_text(GOOD)
    assert evaluate("--model", checkpoint).code == 0


@pytest.mark.parametrize(
    "spoiled", ["{{ strftime_now('%d %b %Y') }}", "{{ [1, 2] | random }}"], ids=["strftime_now", "random"]
)
def test_a_template_that_changes_with_time_is_named(
    spoiled: str, checkpoint: Path, evaluate: Evaluate, request: pytest.FixtureRequest
) -> None:
    """A run of another day may ask something else, and its scores are others."""
    file = checkpoint / "chat_template.jinja"
    file.write_text(GOOD)
    assert "another time" not in evaluate("--model", checkpoint).err
    file.write_text(spoiled + GOOD)
    ran = evaluate("--model", checkpoint)
    assert ran.code == 0
    assert f"its chat template uses {request.node.callspec.id}: the same question may read otherwise" in ran.err


def test_the_file_that_holds_the_template_is_named(checkpoint: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    (checkpoint / "chat_template.jinja").write_text(GOOD)
    named = tmp_path / "own.jinja"
    named.write_text("{{ none.x.y }}")
    assert_explained(evaluate("--model", checkpoint, "--model-args", f"chat_template={named}"), 5, named)
    (checkpoint / "chat_template.jinja").unlink()
    edit_json(checkpoint / "tokenizer_config.json", chat_template="{{ none.x.y }}")
    assert_explained(evaluate("--model", checkpoint), 5, checkpoint / "tokenizer_config.json")


def test_a_conversation_is_rendered_as_transformers_does(checkpoint: Path) -> None:
    """Through its own apply_chat_template, with what a template may use: dates aside."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    template = (
        "{{ bos_token }}{% set n = namespace(i=0) %}{% for m in messages %}{% if loop.index0 > 5 %}{% break %}"
        "{% endif %}\n  {% generation %}{{ m | tojson(indent=1) }}{% endgeneration %}{% set n.i = n.i + 1 %}"
        "{% endfor %}"
        "{{ eos_token }}{{ n.i }}{{ dict(a=1) }}{{ add_generation_prompt }}{{ tools is none }}{{ undefined_name }}"
    )
    words = "é\ud83d <image> \"'\\ \u2028 {{ 1 }}"
    messages: Any = [
        {"role": role, "content": [{"type": "image"}, {"type": "text", "text": words}]}
        for role in ("user", "assistant")
    ]
    expected = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    tokens = dict(tokenizer.special_tokens_map)
    assert chat_rendering.render(checkpoint, template, messages, tokens) == expected
    assert expected.endswith("2{'a': 1}TrueTrue")


@pytest.mark.long
def test_limits_as_in_use(checkpoint: Path, evaluate: Evaluate) -> None:
    """The time is that of a processor, so that a busy machine changes nothing."""
    file = checkpoint / "chat_template.jinja"
    file.write_text(LOOP + GOOD)
    before = time.monotonic()
    assert_explained(evaluate("--model", checkpoint), 5, file, f"after {chat_rendering.RENDER_S} s")
    assert time.monotonic() - before > chat_rendering.RENDER_S - 0.5
