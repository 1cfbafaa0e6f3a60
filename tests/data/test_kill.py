"""A command that is killed at any moment leaves the old state or the new one, and run again completes it.

A few kills of each here, of commands that take longer in `make test-long`; `make faults` makes BABYCLI_KILL_ROUNDS=50
of each.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Babycli
from tests.data.demo_copy import DATASET, DemoCopy, copy_demo, links_in
from tests.data.zipped import zip_folder

pytestmark = [pytest.mark.usefixtures("empty_folder"), pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")]

N_ROUNDS = int(os.environ.get("BABYCLI_KILL_ROUNDS", "2"))


def start(words: Sequence[object]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "babycli", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def seconds_undisturbed(words: Sequence[object]) -> float:
    began = time.monotonic()
    assert start(words).wait(timeout=120) == 0
    return time.monotonic() - began


def kill_after(words: Sequence[object], seconds: float) -> None:
    """SIGKILL to the command alone: its worker processes must end by themselves."""
    process = start(words)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    deadline = time.monotonic() + 10
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, "a worker process outlives its command"
        time.sleep(0.02)


def moments(seed: str, words: Sequence[object], reset: Callable[[], None]) -> list[float]:
    """When to kill: from the first import to the last write, most of them where work is done."""
    whole = seconds_undisturbed(words)
    reset()
    rng = random.Random(seed)
    return [rng.uniform(0.15, 1.0) * whole for _ in range(N_ROUNDS)]


def digests_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def remove(folder: Path) -> None:
    subprocess.run(["rm", "-rf", folder, folder.with_name(f".{folder.name}.babycli-partial")], check=True)


@pytest.fixture(params=[1_000, pytest.param(3_000, marks=pytest.mark.long)])
def many(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    rng = random.Random("many")
    for i in range(request.param):
        place = folder / f"{i % 7}" / f"S_{i:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(rng.randbytes(rng.randrange(1, 30_000)))
    return folder


@pytest.mark.long
def test_extract(babycli: Babycli, many: Path) -> None:
    zip_folder(many, Path("frames.txt"))
    expected = digests_in(many)
    dest = Path("dest")
    words = ("data", "extract", "frames.txt", dest)
    for moment in moments("extract", words, lambda: remove(dest)):
        kill_after(words, moment)
        assert not dest.exists() or digests_in(dest) == expected
        if random.Random(moment).random() < 0.5:  # else the next kill meets what this one left
            assert babycli(*words).code == 0
            assert digests_in(dest) == expected
            assert not list(Path().glob(".dest*"))
            remove(dest)
    assert babycli(*words).code == 0
    assert digests_in(dest) == expected


@pytest.mark.long
def test_subset(babycli: Babycli, demo: DemoCopy) -> None:
    assert babycli(*demo.link_words).code == 0
    dest, undisturbed = Path("dest"), Path("undisturbed")
    assert babycli("data", "subset", undisturbed).code == 0
    expected = digests_in(undisturbed)
    words = ("data", "subset", dest)
    for moment in moments("subset", words, lambda: remove(dest)):
        kill_after(words, moment)
        assert not dest.exists() or digests_in(dest) == expected
        assert babycli(*words).code == 0
        assert digests_in(dest) == expected
        assert not list(Path().glob(".dest*"))
        remove(dest)


@pytest.mark.long
def test_manifest(babycli: Babycli, many: Path) -> None:
    listing, old = Path("list"), b"old\n"
    words = ("data", "manifest", many, "-o", listing)
    times = moments("manifest", words, lambda: None)
    new = listing.read_bytes()
    for moment in times:
        listing.write_bytes(old)
        kill_after(words, moment)
        assert listing.read_bytes() in (old, new)
        assert babycli(*words).code == 0
        assert listing.read_bytes() == new


@pytest.mark.long
@pytest.mark.parametrize("mode", ["symlink", "copy"])
def test_link(babycli: Babycli, demo: DemoCopy, downloads: Path, tmp_path: Path, mode: str) -> None:
    other = copy_demo(downloads, tmp_path / "other")
    first, second = (*demo.link_words, "--mode", mode), (*other.link_words, "--mode", "symlink")
    times = moments(f"link {mode}", second, lambda: None)
    assert babycli(*first).code == 0
    old = links_in(DATASET)
    assert babycli(*second).code == 0
    new = links_in(DATASET)
    assert all(old[link] != new[link] for link in new)
    for moment in times:
        assert babycli(*first).code == 0
        kill_after(second, moment)
        assert all(text in (old[link], new[link]) for link, text in links_in(DATASET).items())
        assert babycli("data", "status").out.count("not ready") == 0
        assert babycli(*second).code == 0
        assert links_in(DATASET) == new
        assert babycli("data", "verify").code == 0
        left = {path.name for path in DATASET.rglob("*") if ".tmp" in path.name or "partial" in path.name}
        assert left == set()
