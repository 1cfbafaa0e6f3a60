"""Commands in a process of their own: what they import, on which screens they can write; and their help."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from babycli import cli
from babycli.commands import data_group
from babycli.commands.on_use import OnUse
from tests.conftest import REPOSITORY, Babycli
from tests.data.demo_copy import copy_demo

COMMANDS = ["data", "eval", "report", "tasks", "models", "doctor", "demo"]
DATA_COMMANDS = ["labels", "link", "verify", "manifest", "extract", "subset", "status", "unlink"]

LIGHT = """
import json, sys
from babycli.cli import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    heavy = sorted({"torch", "transformers", "accelerate", "tokenizers", "safetensors"} & set(sys.modules))
    print("heavy:", code, *heavy, file=sys.stderr)
"""


def heavy_of(commands: list[list[str]], folder: Path) -> list[str]:
    """One after the other in a fresh interpreter: the exit code of each, and which heavy modules there are then."""
    ran = subprocess.run(
        [sys.executable, "-c", LIGHT, json.dumps(commands)],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [line.removeprefix("heavy: ") for line in ran.stderr.splitlines() if line.startswith("heavy: ")]


def test_no_model_library_is_imported(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    codes = {
        "--help": "0",
        "--version": "0",
        "tasks": "0",
        "models": "0",
        "data status": "0",
        "data verify": "3",
        "data unlink": "0",
        "eval --help": "0",
        "report logs": "3",
    }
    found = heavy_of([line.split() for line in codes], tmp_path)
    assert dict(zip(codes, found, strict=True)) == codes


def test_linking_and_verifying_import_no_model_library(tmp_path: Path, downloads: Path) -> None:
    link = ["data", "link", str(downloads / "saycam_images"), "--from", str(downloads / "labels")]
    assert heavy_of([link, ["data", "verify", "--depth", "decode"]], tmp_path) == ["0", "3"]


def test_the_check_itself_sees_a_model_library(tmp_path: Path) -> None:
    """Where nothing heavy could be noticed, the tests above would mean nothing."""
    (tmp_path / "torch.py").touch()
    ran = subprocess.run(
        [sys.executable, "-c", "import torch\n" + LIGHT, '[["--version"]]'],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{REPOSITORY}", "PATH": ""},
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr.splitlines()[-1] == "heavy: 0 torch"


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (["status"], "ascii"),
        (["verify", "--json"], "ascii"),
        (["verify"], "utf-8"),
        *(
            pytest.param(words, encoding, marks=pytest.mark.long)
            for words, encoding in (
                (["status"], "utf-8"),
                (["status", "--json"], "ascii"),
                (["status", "--json"], "utf-8"),
                (["verify"], "ascii"),
                (["verify", "--json"], "utf-8"),
            )
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_the_screen_cannot_show_does_not_stop_a_command(
    tmp_path: Path, downloads: Path, words: list[str], encoding: str
) -> None:
    demo = copy_demo(downloads, tmp_path / "downloads")
    shutil.copytree(demo.labels, tmp_path / "dataset")
    (tmp_path / "dataset/vtwt/vtwt.csv").write_bytes(b"image,positive_phrase,negative_phrase\na.png,b,c\n")
    try:
        odd = demo.saycam.rename(demo.folder / os.fsdecode(b"caf\xe9"))  # not UTF-8
    except OSError:
        pytest.skip("this file system has only UTF-8 names")
    (tmp_path / "dataset/SAYCam_caption/images").symlink_to(odd)
    ran = subprocess.run(
        [sys.executable, "-m", "babycli", "data", *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, b"Traceback" in ran.stderr) == ({"status": 0, "verify": 3}[words[0]], False)
    if "--json" in words:
        assert set(json.loads(ran.stdout)) >= ({"vtwt"} if "status" in words else {"tasks", "problems"})


def test_the_commands_are_those_of_the_contract(babycli: Babycli) -> None:
    for words, commands in (([], COMMANDS), (["data"], DATA_COMMANDS)):
        assert set(commands) <= set(re.findall(r"^  (\w+)", babycli(*words, "--help").out, re.MULTILINE))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        *(([name], command) for name, command in cli.COMMANDS.items()),
        *((["data", name], command) for name, command in data_group.COMMANDS.items()),
    ],
    ids=lambda value: "" if isinstance(value, OnUse) else "-".join(value),
)
def test_a_list_of_commands_says_of_each_what_its_own_help_says(
    babycli: Babycli, words: list[str], command: OnUse
) -> None:
    """The list is written without importing the command."""
    own, line = (" ".join(text.split()) for text in (babycli(*words, "--help").out, command.help))
    assert f" {line} " in own


@pytest.mark.parametrize(
    "words", [[], *([c] for c in COMMANDS), *(["data", c] for c in DATA_COMMANDS)], ids=lambda words: " ".join(words)
)
def test_help_explains_the_command(babycli: Babycli, words: list[str]) -> None:
    ran = babycli(*words, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert " ".join(["Usage: babycli", *words]) in ran.out


@pytest.mark.parametrize("words", [["dat"], ["data", "lnk"], ["data", "link", "--nosuch"], ["data", "verify", "extra"]])
def test_an_unknown_word_is_a_usage_error(babycli: Babycli, words: list[str]) -> None:
    ran = babycli(*words)
    assert (ran.code, ran.out) == (2, "")
    assert words[-1] in ran.err
