"""Help pages: every command's page fits the terminal, says all of its defaults, and has examples that work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from babycli.cli import app
from babycli.commands.help_pages import examples_in
from babycli.tasks import all_tasks
from tests.conftest import Babycli
from tests.docs.test_pages import known_options

LETTERS = {
    "-m": {"--model"},
    "-t": {"--tasks"},
    "-l": {"--limit"},
    "-b": {"--batch-size"},
    "-d": {"--data"},
    "-o": {"--output", "--output-path"},
    "-h": {"--help"},
}


def all_commands(words: tuple[str, ...] = (), command: Any = None, context: Any = None) -> Iterator[tuple[str, ...]]:
    """The words of every command and group, those of its parent before it."""
    if command is None:
        command = typer.main.get_command(app)
        context = command.make_context("babycli", [], resilient_parsing=True)
    yield words
    for name in list(getattr(command, "commands", {})):
        _, below, _ = command.resolve_command(context, [name])
        yield from all_commands(
            (*words, name), below, below.make_context(name, [], parent=context, resilient_parsing=True)
        )


COMMANDS = list(all_commands())


def found(words: tuple[str, ...]) -> Any:
    command: Any = typer.main.get_command(app)
    context = command.make_context("babycli", [], resilient_parsing=True)
    for word in words:
        _, command, _ = command.resolve_command(context, [word])
    return command


def parameters(words: tuple[str, ...]) -> list[Any]:
    return [param for param in found(words).params if not param.hidden]


def test_there_are_all_commands() -> None:
    assert len(COMMANDS) >= 28
    assert {("data", "link"), ("runs", "delete"), ("models", "show"), ("submission", "check")} <= set(COMMANDS)


def counts() -> list[tuple[tuple[str, ...], str]]:
    """The options that take a number, with their commands."""
    return [
        (words, param.opts[0])
        for words in COMMANDS
        for param in parameters(words)
        if param.metavar in ("N", "S", "N|auto") and param.opts[0].startswith("--")
    ]


def test_there_are_all_options_that_take_a_number() -> None:
    assert {option for _, option in counts()} == {
        *("--limit", "--sample", "--seed", "--max-new-tokens", "--batch-size", "--batch-check")
    }


@pytest.mark.parametrize("value", ["0.5", "x", "-1", "²", "1e3", "1_000", "99999999999999999999", ""])
@pytest.mark.parametrize(("words", "option"), counts(), ids=lambda value: "".join(value))
def test_a_bad_number_is_told_with_its_mend(words: tuple[str, ...], option: str, value: str, babycli: Babycli) -> None:
    needed = ["x", "--model", "control:random"] if words[0] == "submission" else []
    needed += ["--sample", "5"] if option == "--seed" else []  # of which it is
    ran = babycli(*words, *needed, option, value)
    assert (ran.code, ran.out) == (2, "")
    said, mend = ran.err.splitlines()
    assert said.startswith(f"babycli: {option}")
    assert value in said
    assert mend.startswith("  mend: ")
    assert option in mend


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_page_fits_any_terminal(words: tuple[str, ...], babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for columns in (40, 80, 120, 1000):
        monkeypatch.setenv("COLUMNS", str(columns))
        ran = babycli(*words, "--help")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(" ".join(["Usage: babycli", *words]))
        assert max(map(len, ran.out.splitlines())) <= columns
        assert not re.search("…|<bool>|<|│|\x1b|None|range", ran.out.replace("<image>", "").replace("> doctor.txt", ""))
        assert babycli(*words, "-h").out == ran.out
        texts.append(re.sub(r"\s+", "", ran.out.replace("\\\n", "").replace("  # ", "")))
        for param in parameters(words):
            for name in (*param.opts, *param.secondary_opts):
                assert param.param_type_name == "argument" or name in ran.out
    assert len(set(texts)) == 1, "the same words at every width"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_page_says_what_is_taken_without_an_option(
    words: tuple[str, ...], babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    page = " ".join(babycli(*words, "--help").out.split())
    for param in parameters(words):
        assert param.help, param.name
        if param.show_default and param.default not in (None, "", False, True):
            assert f"default {param.default}." in page
        if param.required and param.param_type_name == "option":
            assert "Required." in page


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_page_has_three_examples_that_parse(words: tuple[str, ...]) -> None:
    examples = examples_in(found(words).help)
    assert len(examples) == 3
    assert len({example.command for example in examples}) == 3
    has_own = False
    for example in examples:
        typed = tuple(shlex.split(re.split(" && | > ", example.command)[0]))
        assert typed[0] == "babycli"
        has_own = has_own or typed[1 : 1 + len(words)] == words or words[1:] == ("write",)
        given = {word.partition("=")[0] for word in typed if word.startswith("-")}
        assert given <= known_options(typed[1:]), example.command
        command, rest = leaf(typed[1:])
        command.make_context("babycli", rest)  # Typer reads every word
    assert has_own


def leaf(words: tuple[str, ...]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    context = command.make_context("babycli", [], resilient_parsing=True)
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    return command, rest


def test_a_letter_means_the_same_in_every_command() -> None:
    seen: dict[str, set[str]] = {"-h": {"--help"}}
    for words in COMMANDS:
        for param in found(words).params:
            letters = [name for name in param.opts if re.fullmatch("-.", name)]
            for letter in letters:
                seen.setdefault(letter, set()).update(name for name in param.opts if name.startswith("--"))
            has_one = set(param.opts) & set().union(*LETTERS.values())
            assert not has_one or letters, f"{words}: {param.opts}"
    assert seen == LETTERS


def test_commands_stand_in_the_order_of_the_work(babycli: Babycli) -> None:
    out = babycli("--help").out
    places = [
        out.index(f"\n  {name} ") for name in ("data", "eval", "report", "runs", "cite", "tasks", "demo", "bridge")
    ]
    assert places == sorted(places)
    out = babycli("eval", "--help").out
    places = [out.index(f"{name} ") for name in ("--model", "--tasks", "--prompt", "--batch-size", "--output-path")]
    assert places == sorted(places)


def test_an_example_that_is_broken_can_be_copied(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = babycli("data", "link", "-h").out
    shown = out.partition("Examples:\n")[2].replace("\\\n", "")
    commands = [" ".join(line.split()) for line in shown.splitlines() if not line.startswith("  #")]
    assert commands == [example.command for example in examples_in(found(("data", "link")).help)]


def test_every_kind_of_group_is_named(babycli: Babycli) -> None:
    kinds = {grouping.name for task in all_tasks().values() for grouping in task.groupings if grouping.is_offered}
    assert "number" in kinds
    shown = re.search(r"--by (\S+\|\S+)", babycli("report", "--help").out)
    assert shown is not None
    assert kinds <= {*shown[1].split("|")}
