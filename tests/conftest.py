"""Fixtures that many tests share.

`babycli` runs a command line through main(argv) and gives its exit code, stdout and stderr. `shared` is the folder of
reference data beside the repository; tests that need it skip where it is absent.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from babycli.cli import main
from babycli.commands.demo import DOWNLOADS
from tests.data.demo_copy import DemoCopy, copy_demo

REPOSITORY = Path(__file__).parent.parent
SHARED = REPOSITORY.parent / "shared"


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


Babycli = Callable[..., Ran]


@pytest.fixture
def babycli(capsys: pytest.CaptureFixture[str]) -> Babycli:
    """`babycli("data", "status", cwd_or_path)` as a user would type it; every word becomes text."""

    def run(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the reference data beside the repository are absent")
    return SHARED


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's downloads, unpacked: saycam_images/, labeled_s_images/, synthetic_images/, labels/. Do not write."""
    folder = tmp_path_factory.mktemp("downloads")
    with zipfile.ZipFile(DOWNLOADS) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def demo(downloads: Path, tmp_path: Path) -> DemoCopy:
    """The demo data in a folder of the test's own, to be spoiled."""
    return copy_demo(downloads, tmp_path / "downloads")


@pytest.fixture
def link_words(downloads: Path) -> Sequence[object]:
    """The words that link all of the demo data."""
    return (
        *("data", "link", downloads / "saycam_images", "--labeled-s", downloads / "labeled_s_images"),
        *("--synthetic", downloads / "synthetic_images", "--from", downloads / "labels"),
    )


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in a new folder, as a user's first command does."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("BABYCLI_DATA", raising=False)
