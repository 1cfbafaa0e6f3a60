"""What a release is: a version from the tag, and a page on PyPI whose pictures and links work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.pages import links

TOLD = {"BABYCLI_REPOSITORY": "https://example.org/somebody/babycli", "BABYCLI_TAG": "v1.2.3"}
METADATA = "from hatchling.cli import hatchling; import sys; sys.exit(hatchling())"


def hatchling(folder: Path, *words: str, **environment: str) -> str:
    """What hatchling says of the project in a folder."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", METADATA, *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What hatchling needs of the repository, without git."""
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "README.md", "tools/package_page.py"):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    return tmp_path


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.long
def test_the_version_is_that_of_the_tag(source: Path) -> None:
    assert hatchling(source, "version") == "0.1.0.dev0"  # neither git nor what git archive writes
    git(source, "init")
    git(source, "add", ".")
    git(source, "commit", "-m", "one")
    git(source, "tag", "base20")  # no version
    assert re.fullmatch(r"0\.1\.0\.dev1\+g[0-9a-f]+", hatchling(source, "version"))
    git(source, "tag", "-a", "v3.4.0", "-m", "3.4.0")
    assert hatchling(source, "version") == "3.4.0"
    git(source, "commit", "--allow-empty", "-m", "two")
    assert re.fullmatch(r"3\.4\.1\.dev1\+g[0-9a-f]+", hatchling(source, "version"))


def test_the_version_is_that_of_an_archive(source: Path) -> None:
    (source / ".git_archival.txt").write_text("node: 0123456789abcdef\ndescribe-name: v3.4.0\n")
    assert hatchling(source, "version") == "3.4.0"
    template = (REPOSITORY / ".git_archival.txt").read_text(encoding="utf-8")
    assert "describe-name: $Format:%(describe:" in template


def test_links_and_pictures_work_on_pypi(source: Path) -> None:
    told = json.loads(hatchling(source, "metadata", **TOLD))
    (source / "page.md").write_text(told["readme"]["text"], encoding="utf-8")
    base = TOLD["BABYCLI_REPOSITORY"]
    addresses = list(links(source / "page.md"))
    assert f"{base}/raw/v1.2.3/docs/demo.svg" in addresses
    assert f"{base}/blob/v1.2.3/docs/data.md" in addresses
    assert all(address.startswith("https://") for address in addresses)
    assert told["urls"]["Source"] == base

    untold = json.loads(hatchling(source, "metadata", BABYCLI_REPOSITORY="", BABYCLI_TAG=""))
    (source / "page.md").write_text(untold["readme"]["text"], encoding="utf-8")
    assert all(address.startswith("https://") for address in links(source / "page.md"))
    assert "Source" not in untold["urls"]
    assert "![" not in untold["readme"]["text"]


def test_the_version_costs_the_command_line_nothing() -> None:
    code = "import sys, babycli.cli; assert 'importlib.metadata' not in sys.modules; print(babycli.__version__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.match(r"\d", ran.stdout)
