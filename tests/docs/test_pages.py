"""README.md and docs/: commands do what they say, links lead somewhere, and every page is in the site."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.core
import typer.main
import yaml

from babycli.cli import app, main
from babycli.commands.demo import DEVCV
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import REPOSITORY
from tests.docs.pages import DOCS, Command, anchors, blocks, commands, links, mentions, pages
from tests.written_once import written_once

RUN_ALWAYS = {"README.md"}
DONE = {0, 7}  # 7: not to be trusted, as are the random weights of the models here
V2 = REPOSITORY / "babycli" / "demo" / "babyllava-v2-tiny"


def known_options(words: tuple[str, ...]) -> set[str]:
    """The options of the command that the words call."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("babycli", [], resilient_parsing=True)
    for word in words:
        if not isinstance(command, typer.core.TyperGroup) or command.get_command(context, word) is None:
            break
        _, command, _ = command.resolve_command(context, [word])
        context = command.make_context(word, [], parent=context, resilient_parsing=True)
    below = command.commands.values() if isinstance(command, typer.core.TyperGroup) else ()  # one may be left out
    parameters = [parameter for each in (command, *below) for parameter in each.params]
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_option_exists(page: Path) -> None:
    for command in (*commands(page), *mentions(page)):
        given = {word.partition("=")[0] for word in command.of_babycli if word.startswith("--")}
        unknown = given - known_options(command.of_babycli) - {"--help", "--version"}
        assert not unknown, f"{command.place}: {' '.join(command.words)}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_commands_are_written_so_that_tests_find_them(page: Path) -> None:
    for block in blocks(page):
        hidden = [line for line in block.lines if line.startswith(("babycli ", "python -m babycli"))]
        assert not hidden or block.needs, f'{page.name}:{block.line}: write it in a block of ```console, behind "$ "'
    for command in commands(page):
        assert command.words[0] == "babycli" or command.needs, (
            f"{command.place}: <!-- needs: ... --> must stand above it"
        )


def test_every_page_is_in_the_site() -> None:
    def files(entries: list[object]) -> Iterator[str]:
        for entry in entries:
            values = list(entry.values()) if isinstance(entry, dict) else [entry]
            for value in values:
                yield from files(value) if isinstance(value, list) else [str(value)]

    site = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(files(site["nav"])) == sorted(page.name for page in DOCS.glob("*.md")), "mend: the nav of mkdocs.yml"


@pytest.mark.parametrize(
    "page", [*pages(), *(REPOSITORY / name for name in ("CONTRIBUTING.md", "SECURITY.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if path.startswith(("https://", "http://", "mailto:")):
            continue
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert page.parent != DOCS or DOCS in target.resolve().parents, f"{page.name}: {link} is not in the site"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_readme_is_short_and_names_both_commands() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) <= 5 * 1024
    assert "make demo" in text
    assert "make test" in text


@pytest.fixture(scope="session")
def evaluated(downloads: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's commands have been run. Do not write."""

    def prepare(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            (folder / "path" / "to").mkdir(parents=True)
            patch.chdir(folder)
            shutil.copytree(dataset, "dataset", symlinks=True)
            write_checkpoint(Path("path/to/checkpoint"), DEMO_WORDS, seed=3)
            write_checkpoint(Path("path/to/other"), DEMO_WORDS, seed=4)
            for command in commands(REPOSITORY / "README.md"):
                _run(command)

    return written_once(tmp_path_factory, "readme", prepare)


@pytest.fixture
def as_a_reader(evaluated: Path, downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, with all that the pages name."""
    folder = tmp_path / "reader"
    shutil.copytree(evaluated, folder, symlinks=True)
    monkeypatch.chdir(folder)
    to = folder / "path" / "to"
    with zipfile.ZipFile(DEVCV) as archive:
        archive.extractall(to / "devcv")
    for labels in (to / "devcv").glob("*.json"):
        labels.write_bytes(labels.read_bytes() + b"\n")  # else it is called demo, whatever a command says
    for name, target in {
        "saycam_images": downloads / "saycam_images",
        "copy": downloads / "saycam_images",
        "labeled_s": downloads / "labeled_s_images",
        "synthetic_images": downloads / "synthetic_images",
        "babylmms-eval": downloads / "labels",
        "devcv_toolbox_ego4d": to / "devcv",
        "any/folder": to / "devcv",
        "one": to / "checkpoint",
        "v2_checkpoint": V2,
    }.items():
        (to / name).parent.mkdir(exist_ok=True)
        (to / name).symlink_to(target)
    checkpoint = folder / "runs" / "babyllava" / "checkpoint-100"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.symlink_to(to / "checkpoint")
    with zipfile.ZipFile(folder / "frames.txt", "w") as archive:
        for picture in sorted((downloads / "saycam_images").iterdir()):
            archive.write(picture, f"frames/{picture.name}")
    return folder


def _run(command: Command) -> None:
    if not command.needs:
        assert main(command.of_babycli) in DONE, f"{command.place}: {' '.join(command.words)}"


def test_the_commands_of_the_readme_run(evaluated: Path) -> None:
    for written in ("table.tex", "report.html", "figure.pdf"):
        assert (evaluated / written).stat().st_size > 1000
    assert len(list((evaluated / "logs").iterdir())) == 3


@pytest.mark.long
@pytest.mark.parametrize("page", pages()[1:], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, as_a_reader: Path) -> None:
    if "--tasks devcv" in page.read_text(encoding="utf-8"):
        assert main(["data", "link", "--devcv", "ego4d=path/to/devcv"]) == 0
    for command in commands(page):
        _run(command)
