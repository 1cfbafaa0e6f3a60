"""What TAB makes of a line in real shells, new ones: commands, options, and the values of options."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.shells import START_FILE, Terminal
from tests.conftest import REPOSITORY, Babycli

SCRIPTS = REPOSITORY / "completions"
FILE_NAMES = {"bash": "babycli.bash", "zsh": "_babycli", "fish": "babycli.fish"}
ON_FPATH = f"fpath=({SCRIPTS} $fpath); autoload -Uz compinit; compinit -u -D\n"
OLD_BASH = f"enable -n compopt; . {SCRIPTS}/babycli.bash\n"  # as that of macOS

LINES = {
    "babycli rep": "babycli report ",
    "babycli data li": "babycli data link ",
    "babycli runs sh": "babycli runs show ",
    "babycli eval --max": "babycli eval --max-new-tokens ",
    "babycli eval --no-res": "babycli eval --no-resume ",
    "babycli eval --tasks labeled_s,vt": "babycli eval --tasks labeled_s,vtwt",
    "babycli eval --tasks=labeled_s,vt": "babycli eval --tasks=labeled_s,vtwt",
    "babycli eval --tasks check": "babycli eval --tasks checkpoints/",
    "babycli eval --limit 3 --scoring r": "babycli eval --limit 3 --scoring reference ",
    "babycli eval --dtype=b": "babycli eval --dtype=bfloat16 ",
    "babycli eval --control sh": "babycli eval --control shuffled ",
    "babycli eval --answers written,c": "babycli eval --answers written,chosen",
    "babycli eval --model babyllava-v": "babycli eval --model babyllava-v2-tiny ",
    "babycli eval --model control:ra": "babycli eval --model control:random ",
    "babycli eval --model hub-": "babycli eval --model hub-user/tiny ",
    "babycli eval --model checkpoints/": "babycli eval --model checkpoints/step-1/",
    "babycli eval --model-args pretrained=che": "babycli eval --model-args pretrained=checkpoints/",
    "babycli eval --set mi": "babycli eval --set mine",
    "babycli eval --data=~/other --set el": "babycli eval --data=~/other --set else",
    "babycli eval --config sw": "babycli eval --config sweep\\ one.toml ",
    "babycli data link che": "babycli data link checkpoints/",
    "babycli data link --devcv ni": "babycli data link --devcv nih=",
    "babycli data link --devcv nih=che": "babycli data link --devcv nih=checkpoints/",
    "babycli report --format la": "babycli report --format latex ",
    "babycli report --metrics acc,mete": "babycli report --metrics acc,meteor",
    "babycli report logs --compare cl": "babycli report logs --compare clip",
    "babycli report logs --compare clip a/": "babycli report logs --compare clip a/babyllava ",
    "babycli report --model My": "babycli report --model My\\ best\\ \\(x\\) ",
    "babycli runs show a__": "babycli runs show a__babyllava/20260101_000000 ",
    "babycli submission che": "babycli submission check ",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, runs, checkpoints and a cache of the hub."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("dataset/devcv/mine", "dataset/devcv/saycam", "other/devcv/else", "checkpoints/step-1"):
        (folder / name).mkdir(parents=True)
    (folder / ".cache/huggingface/hub/models--hub-user--tiny").mkdir(parents=True)
    (folder / "sweep one.toml").touch()
    for run, name in (
        ("a__babyllava/20260101_000000", ""),
        ("clip/20260102_000000", "My best (x)"),
        ("$(touch planted)/20260103_000000", "`touch planted`"),
    ):
        (folder / "logs" / run).mkdir(parents=True)
        (folder / "logs" / run / "run.json").write_text(f'{{\n  "name": "{name}",\n  "tasks": {{}}\n}}\n')
    return folder


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, home: Path) -> Iterator[Terminal]:
    """A shell in that folder whose start file reads the script. It finds no babycli, and so no Python."""
    shell = request.param
    (home / START_FILE[shell]).write_text(f". {shlex.quote(str(SCRIPTS / FILE_NAMES[shell]))}\n")
    made = Terminal(shell, home)
    yield made
    made.close()


def test_lines_are_completed(terminal: Terminal) -> None:
    wrong = {}
    for line, wanted in LINES.items():
        typed = terminal.complete(line)
        if typed != wanted and typed != wanted.strip() + "=":  # zsh makes  --option=  of an option
            wrong[line] = typed
    assert not wrong


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_the_same_lines(home: Path) -> None:
    script = f"source {shlex.quote(str(SCRIPTS / FILE_NAMES['fish']))}; for line in $argv; complete -C $line; echo; end"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, *LINES],
        cwd=home,
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    offered = [[line.split("\t")[0] for line in block.splitlines()] for block in done.stdout.split("\n\n")]
    wrong = {}
    for (line, wanted), words in zip(LINES.items(), offered, strict=False):
        is_second = "--compare clip " in line  # which fish takes for a folder of runs
        if not is_second and shlex.split(wanted.strip())[-1] not in words:
            wrong[line] = words
    assert not wrong


def test_words_are_offered(terminal: Terminal, home: Path) -> None:
    assert {"data", "eval", "report", "runs", "tasks", "models", "doctor"} <= terminal.offered("babycli ")
    assert {"--sample", "--save", "--scoring", "--set"} <= (options := terminal.offered("babycli eval --s"))
    assert not {"--tasks", "eval"} & (options - {"eval"})
    assert {"vtwt", "baby_memory", "babyvlm", "devcv"} <= (tasks := terminal.offered("babycli eval --tasks "))
    assert "checkpoints/" not in tasks
    assert {"mine", "saycam"} <= (sets := terminal.offered("babycli eval --set "))
    assert "else" not in sets
    assert {"a/babyllava", "clip", "clip/20260102_000000"} <= terminal.offered("babycli report --compare ")
    assert {"babyllava-tiny", "cvcl", "checkpoints/"} <= terminal.offered("babycli eval --model ")
    assert not {"sweep", "checkpoints/"} & terminal.offered("babycli eval --scoring x")
    assert not (home / "planted").exists(), "the name of a run was run"


def test_tab_is_not_waited_for(terminal: Terminal) -> None:
    """It takes no longer than programs in Python to begin: 0.04 s where one takes 0.12."""
    took = min(terminal.seconds("babycli report --compare cl") for _ in range(3))
    begun = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import typer"], check=True)
        begun.append(time.perf_counter() - start)
    assert took < 3 * min(begun)


@pytest.mark.parametrize("start", ["line", pytest.param("fpath", marks=pytest.mark.long)])
def test_the_first_tab_of_a_new_zsh_completes(
    start: str, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ZDOTDIR", raising=False)
    if start == "line":
        assert babycli("--install-completion", "zsh").code == 0
    else:
        (tmp_path / ".zshrc").write_text(ON_FPATH)
    terminal = Terminal("zsh", tmp_path)
    assert terminal.complete("babycli eval --tasks vt") == "babycli eval --tasks vtwt"
    terminal.close()


def test_bash_of_macos_completes_too(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text(OLD_BASH)
    (tmp_path / "checkpoints").mkdir()
    terminal = Terminal("bash", tmp_path)
    for line in ("babycli rep", "babycli eval --scoring r", "babycli eval --model che", "babycli eval --tasks=vtwt,sa"):
        assert (
            terminal.complete(line)
            == {
                "babycli rep": "babycli report ",
                "babycli eval --scoring r": "babycli eval --scoring reference ",
                "babycli eval --model che": "babycli eval --model checkpoints/",
                "babycli eval --tasks=vtwt,sa": "babycli eval --tasks=vtwt,saycam_caption ",
            }[line]
        )
    terminal.close()


@pytest.mark.parametrize("shell", FILE_NAMES)
def test_the_script_is_shown_and_read_by_new_shells(
    shell: str, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("ZDOTDIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    shown = babycli("--show-completion", shell)
    assert (shown.code, shown.out) == (0, (SCRIPTS / FILE_NAMES[shell]).read_text())
    place = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/babycli.fish"}[shell]
    if shell != "fish":
        (tmp_path / place).write_text("alias mine=yours")  # without an end of line
        (tmp_path / place).chmod(0o600)
    assert babycli("--install-completion", shell).code == 0
    once = (tmp_path / place).read_text()
    assert babycli("--install-completion", shell).code == 0
    assert (tmp_path / place).read_text() == once
    assert str(SCRIPTS / FILE_NAMES[shell]) in once.splitlines()[-1]
    if shell != "fish":
        assert once.splitlines()[0] == "alias mine=yours"
        assert (tmp_path / place).stat().st_mode & 0o777 == 0o600


def test_an_unknown_shell_is_refused(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = babycli("--install-completion", "powershell")
    assert (ran.code, ran.err) == (2, "babycli: unknown shell 'powershell'.\n  mend: one of: bash, zsh, fish\n")
    monkeypatch.setenv("SHELL", "/usr/bin/elvish")
    monkeypatch.setattr("babycli.commands.completion._parent", lambda: Path(sys.executable).name)
    ran = babycli("--show-completion")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "babycli: which shell is this?\n  mend: name it:  babycli --show-completion bash\n"
