"""Batches that grow while there is room and are halved when there is not, on a pretended device."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from babycli.errors import ModelError
from babycli.evaluation import memory
from babycli.evaluation.memory import MAX_ROWS, Batching, is_out_of_memory, mend_of_memory
from babycli.models import machine_memory
from babycli.models.machine_memory import free_bytes


class OutOfMemoryError(RuntimeError):
    """Named as torch's is, which this room does not import."""


class Device:
    """Memory for ``most`` rows."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self.released = 0
        self.batches: list[int] = []

    def compute(self, items: Sequence[int]) -> list[int]:
        self.batches.append(len(items))
        self.taken = max(self.taken, len(items))
        if len(items) > self.most:
            raise OutOfMemoryError("CUDA out of memory.\nmore lines")
        return [10 * item for item in items]

    def begin(self) -> None:
        self.taken = 0

    def room(self) -> float:
        return self.most / max(1, self.taken)

    def release(self) -> None:
        self.released += 1


def test_a_failed_batch_is_halved_until_it_fits_and_nothing_is_lost_or_doubled() -> None:
    device, said = Device(3), list[str]()
    batching = Batching(16, probe=device, note=said.append)
    assert batching.halving(device.compute, range(20)) == [10 * i for i in range(20)]
    assert device.batches == [16, 8, 4, 2, *[2] * 9]
    assert device.released == 3
    assert said == batching.events
    assert said[-1] == "out of memory at a batch of 4: going on with 2"
    device.batches.clear()
    batching.halving(device.compute, range(4))
    assert device.batches == [2, 2]  # it has learned


def test_what_only_saves_time_is_given_up_before_a_batch_is_halved() -> None:
    device, kept, notes = Device(3), [5, 2, 1], list[str]()

    def compute(items: Sequence[int]) -> list[int]:
        device.most = 8 - sum(kept)  # what is kept takes room
        return device.compute(items)

    def spare() -> bool:
        return bool(kept) and bool(kept.pop())

    batching = Batching(4, note=notes.append)
    batching.spare = spare
    assert batching.halving(compute, range(8)) == [10 * i for i in range(8)]
    assert kept == []
    assert device.batches == [4] * 5 or device.batches[-2:] == [4, 4]
    assert all("given up and read again" in note for note in notes)
    assert batching.n_rows == 4


def test_auto_grows_while_there_is_room_and_never_after_a_failure() -> None:
    device = Device(100)
    batching = Batching(16, auto=True, probe=device)
    sizes = []
    for _ in range(5):
        batching.begin()
        sizes.append(batching.n_rows)
        batching.halving(device.compute, range(batching.n_rows))
        batching.end()
    assert sizes == [16, 32, 64, 64, 64]
    device.most = 10
    batching.begin()
    batching.halving(device.compute, range(64))
    batching.end()
    device.most = 10_000
    batching.begin()
    batching.halving(device.compute, range(64))
    batching.end()
    assert batching.n_rows == 8
    assert MAX_ROWS >= 64


def test_a_fixed_size_does_not_grow() -> None:
    device = Device(10_000)
    batching = Batching(16, probe=device)
    batching.begin()
    batching.halving(device.compute, range(16))
    batching.end()
    assert batching.n_rows == 16


def test_growth_ends_somewhere() -> None:
    device = Device(10**9)
    batching = Batching(16, auto=True, probe=device)
    for _ in range(30):
        batching.begin()
        batching.halving(device.compute, range(batching.n_rows))
        batching.end()
    assert batching.n_rows == MAX_ROWS


def test_a_single_item_that_does_not_fit_is_a_model_error() -> None:
    with pytest.raises(ModelError, match=r"not enough memory for one image.*CUDA out of memory\.\n"):
        Batching(4).halving(Device(0).compute, range(4))


def test_other_errors_pass_through() -> None:
    def broken(items: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Batching(4).halving(broken, range(4))


def test_what_counts_as_out_of_memory() -> None:
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert not is_out_of_memory(RuntimeError("shapes"))


def test_what_onednn_cannot_make_is_for_lack_of_memory_only_where_that_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = RuntimeError("could not create a primitive")
    for limit in (None, 1 << 31):
        monkeypatch.setattr(memory, "address_space_bytes", lambda limit=limit: limit)
        assert is_out_of_memory(error) == (limit is not None)
        assert mend_of_memory().startswith("use  --dtype" if limit is None else "give it more memory:  ulimit -v")


def test_torch_is_not_imported_where_it_would_abort() -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (480 << 20, 480 << 20)); "
        "from babycli.cli import main; code = main(sys.argv[1:]); print('torch' in sys.modules); sys.exit(code)"
    )
    words = ("eval", "--model", "babyllava-tiny", "--device", "cpu")
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (3, "False\n")
    assert ran.stderr == (
        "babycli: a process may have 480 MiB of memory here (ulimit -v), and torch needs 1,024 MiB at least\n"
        "  mend: give it more memory:  ulimit -v unlimited, or a larger machine\n"
    )


def test_free_memory_is_a_sensible_number() -> None:
    assert 1 << 20 < free_bytes() < 1 << 50


def test_the_share_of_a_job_and_of_a_process_bounds_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(machine_memory, "_GROUPS", ((str(limit), str(used)),))
    whole = free_bytes()
    limit.write_text("9000000\n")
    used.write_text("1000000\n")
    assert free_bytes() == 8_000_000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_bytes() == 2_000_000
    used.write_text("9500000\n")
    assert free_bytes() == 0
    limit.write_text("max\n")
    assert free_bytes() == pytest.approx(whole / 4, rel=0.2)
