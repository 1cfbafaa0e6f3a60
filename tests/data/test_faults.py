"""Whatever goes wrong with a copy is named, and nothing else is: seeded rounds of planted faults.

A few rounds here and more in `make test-long`; `make faults` runs BABYCLI_FAULT_ROUNDS=500 of them.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from babycli.cli import main
from babycli.data import examine
from tests.conftest import Babycli
from tests.data.demo_copy import copy_demo
from tests.data.faults import FAULTS, Data, Planter, make_data, write_more_frames
from tests.data.zipped import zip_folder

N_ROUNDS = int(os.environ.get("BABYCLI_FAULT_ROUNDS", "80"))
SHORT = (0, 1, 2, 3, 27)  # rounds that plant all the faults
MANIFEST = "manifest.txt"


@pytest.fixture(scope="module")
def data(downloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("faults").resolve()
    demo = copy_demo(downloads, folder / "downloads", copies=True)
    write_more_frames(demo.saycam, random.Random("frames"))
    zipped = zip_folder(demo.synthetic, folder / "synthetic.zip")
    sources = (demo.saycam, "--labeled-s", demo.labeled_s, "--synthetic", zipped)
    words = ("data", "link", *sources, "--from", demo.labels, "--data", folder / "dataset")
    assert main([str(word) for word in words]) == 0
    parts = []
    for source in (demo.saycam, demo.labeled_s, zipped):
        assert main(["data", "manifest", str(source), "-o", str(folder / "part")]) == 0
        parts.append((folder / "part").read_bytes())
    (folder / MANIFEST).write_bytes(b"".join(parts))
    return make_data(demo, folder)


@pytest.fixture
def aside(data: Data) -> Iterator[Path]:
    """A folder on the file system of the data, to move originals to."""
    folder = data.dataset.parent / "aside"
    folder.mkdir()
    yield folder
    folder.rmdir()  # fails where something was not moved back


def reported(babycli: Babycli, data: Data, *words: object) -> tuple[int, dict[tuple[str, str], str]]:
    """Exit code, and the kind of every problem by task and real path."""
    ran = babycli("data", "verify", "--data", data.dataset, "--depth", "checksum", "--json", *words)
    problems = json.loads(ran.out)["problems"]
    found = {}
    for problem in problems:
        subject = Path(problem["subject"])
        is_link = subject.is_symlink() and subject.is_relative_to(data.dataset)
        real = subject if is_link else Path(os.path.realpath(subject.parent)) / subject.name
        found[problem["task"], str(real)] = problem["kind"]
    assert len(found) == len(problems)
    return ran.code, found


def differences(found: dict[tuple[str, str], str], expected: dict[tuple[str, str], set[str]]) -> list[object]:
    return [
        (at, found.get(at), expected.get(at))
        for at in found.keys() | expected
        if found.get(at) not in expected.get(at, ())
    ]


@pytest.mark.parametrize(
    "seed", [seed if seed in SHORT else pytest.param(seed, marks=pytest.mark.long) for seed in range(N_ROUNDS)]
)
def test_every_planted_fault_is_named_and_nothing_else(
    babycli: Babycli, data: Data, aside: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr(examine, "_RACY_NS", 0)  # what was just written is remembered, too
    rng = random.Random(seed)
    planter = Planter(data, rng, aside)
    try:
        for plant in rng.choices(FAULTS, k=rng.randint(1, 8)):
            plant(planter)
        expected = planter.expected()
        code, found = reported(babycli, data, "--manifest", data.dataset.parent / MANIFEST)
        assert differences(found, expected) == []
        only_checksums = set(found.values()) <= {"ChecksumMismatch"}
        assert code == (0 if not found else 4 if only_checksums else 3)
        again = reported(babycli, data, "--manifest", data.dataset.parent / MANIFEST)
        assert again == (code, found)  # what is known to be bad stays bad
    finally:
        for undo in reversed(planter.planted.undo):
            undo()


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 8))])
def test_without_a_manifest_faults_of_what_tasks_read_are_named(
    babycli: Babycli, data: Data, aside: Path, seed: int
) -> None:
    rng = random.Random(f"lock {seed}")
    planter = Planter(data, rng, aside)
    try:
        for plant in rng.choices(FAULTS, k=12):
            plant(planter)
        expected = {at: kinds for at, kinds in planter.expected().items() if at[0]}
        _, found = reported(babycli, data)
        assert differences(found, expected) == []
    finally:
        for undo in reversed(planter.planted.undo):
            undo()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3))])
def test_a_replaced_link_is_one_problem(babycli: Babycli, data: Data, aside: Path, seed: int) -> None:
    planter = Planter(data, random.Random(f"link {seed}"), aside)
    planter.replaced_link()
    try:
        for words in ((), ("--manifest", data.dataset.parent / MANIFEST)):
            code, found = reported(babycli, data, *words)
            assert code == 3
            assert differences(found, planter.expected()) == []
    finally:
        planter.planted.undo[0]()


def test_sound_data_have_no_problem_and_are_not_read_twice(
    babycli: Babycli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "_RACY_NS", 0)
    words = ("data", "verify", "--data", data.dataset, "--manifest", data.dataset.parent / MANIFEST, "--json")
    first, second, full, apart = (
        json.loads(babycli(*words, *more).out) for more in ((), (), ("--full",), ("--no-index",))
    )
    assert [document["problems"] for document in (first, second, full, apart)] == [[], [], [], []]
    assert [document["verified_by"] for document in (second, full, apart)] == ["stat", "hash", "hash"]
    assert {document["files"] for document in (first, second, full, apart)} == {len(data.files) + len(data.members)}
