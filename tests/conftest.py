"""Fixtures that many tests share.

`babycli` runs a command line through main(argv) and gives its exit code, stdout and stderr. `shared` is the folder of
reference data beside the repository; tests that need it skip where it is absent.

Each process computes with one thread: `make test` starts as many processes as there are processors.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, here and in the processes that tests start

from babycli import interop, tasks
from babycli.cli import main
from babycli.commands.demo import DOWNLOADS
from tests.data.demo_copy import DemoCopy, copy_demo, snapshot
from tests.reference import write_reference
from tests.written_once import written_once

REPOSITORY = Path(__file__).parent.parent
SHARED = REPOSITORY.parent / "shared"


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background, and so in what tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)

interop.register()  # as the commands do that need it

# Typer builds all commands anew for every command line, which a process that runs one of them does not notice.
typer.main.get_command = functools.cache(typer.main.get_command)


@pytest.fixture(autouse=True, scope="module")
def nothing_old_is_garbage() -> None:
    """Spares `babycli eval`, which collects garbage after each model, a look through all that tests have imported."""
    gc.collect()
    gc.freeze()


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
def checkpoints(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small ones of the reference data. Do not write."""
    return written_once(tmp_path_factory, "reference", lambda folder: write_reference(shared, folder, "a,c,d,e"))


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo's downloads, unpacked: saycam_images/, labeled_s_images/, synthetic_images/, labels/. Do not write."""

    def unpack(folder: Path) -> None:
        with zipfile.ZipFile(DOWNLOADS) as archive:
            archive.extractall(folder)

    folder = written_once(tmp_path_factory, "downloads", unpack)
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before, "a test wrote into an image that all tests share"


@pytest.fixture(autouse=True)
def _no_tasks_of_other_tests() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = dict(tasks._registered)
    yield
    tasks._registered.clear()
    tasks._registered.update(before)


@pytest.fixture(scope="session")
def devcv(shared: Path) -> Path:
    """The reference data of the DevCV Toolbox."""
    folder = shared / "reference" / "devcv"
    if not folder.is_dir():
        pytest.skip("the reference data have no DevCV")
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


@pytest.fixture(scope="session")
def dataset(downloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with all of the demo data linked. Do not write: a test that does takes a copy."""
    words: list[object] = ["data", "link", downloads / "saycam_images", "--labeled-s", downloads / "labeled_s_images"]
    words += ["--synthetic", downloads / "synthetic_images", "--from", downloads / "labels", "--data"]

    def link(folder: Path) -> None:
        assert main([str(word) for word in [*words, folder]]) == 0

    return written_once(tmp_path_factory, "dataset", link)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in a new folder, as a user's first command does."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("BABYCLI_DATA", raising=False)
