"""Whole files, locks and clones."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from babycli import files
from babycli.errors import DataError
from babycli.files import aside_of, is_aside, lock_now, locked, temporary_folder, write_atomically


def test_a_lock_is_had_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "scores"
    with path.open("ab") as first, path.open("ab") as second:
        assert lock_now(first.fileno())
        assert not lock_now(second.fileno())
        first.close()
        assert lock_now(second.fileno())


def test_a_locked_folder_keeps_others_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_WAIT_S", 0)
    with locked(tmp_path), pytest.raises(DataError, match="another babycli is writing"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_two_who_write_one_file_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([n]) * 100_000 for n in range(8)]
    threads = [threading.Thread(target=write_atomically, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_without_locks_files_are_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_HAS_LOCKS", False)
    write_atomically(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    with (tmp_path / "file").open("rb") as first, (tmp_path / "file").open("rb") as second:
        assert lock_now(first.fileno())
        assert lock_now(second.fileno())
    with pytest.raises(OSError, match="only Linux"):
        files.clone(str(tmp_path / "file"), tmp_path / "clone")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_file_keeps_its_permissions(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == mode


def test_a_planted_file_is_neither_used_nor_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    os.mkfifo(tmp_path / ".file.babycli.tmp")
    os.mkfifo(tmp_path / ".file.0123456789abcdef.babycli.tmp")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert aside_of(path) != aside_of(path)


def test_a_pipe_is_written_to_if_somebody_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(files, "_READER_S", 0.1)
    with pytest.raises(DataError, match="nobody reads this pipe"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    content = b"new" * 100_000  # more than a pipe holds
    for n_bytes in (len(content), 1):
        got: list[bytes] = []
        reader = threading.Thread(target=lambda n=n_bytes, got=got: got.append(read_some(path, n)))
        reader.start()
        write_atomically(path, content)
        reader.join()
        assert got == [content[:n_bytes]]
    assert path.is_fifo()


def read_some(path: Path, n_bytes: int) -> bytes:
    with path.open("rb", buffering=0) as stream:
        read = b""
        while len(read) < n_bytes:
            read += stream.read(n_bytes - len(read))
        return read


def test_what_killed_commands_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a[b]"
    left, written, other = aside_of(path), aside_of(path), aside_of(tmp_path / "ab")
    for each in (left, written, other):
        each.write_bytes(b"half")
    with written.open("ab") as stream:  # by a command that goes on
        assert lock_now(stream.fileno())
        write_atomically(path, b"new")
    assert not left.exists()
    assert written.exists()
    assert other.exists()
    assert is_aside(left, path)
    assert not is_aside(other, path)
    assert not is_aside(path, path)


def test_without_locks_only_what_is_old_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_HAS_LOCKS", False)
    path = tmp_path / "file"
    old, young = aside_of(path), aside_of(path)
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (0, 0))
    write_atomically(path, b"new")
    assert not old.exists()
    assert young.exists()


def test_a_temporary_folder_without_a_place_or_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(code: int) -> None:
        with temporary_folder() as folder:
            raise OSError(code, os.strerror(code), str(folder))

    with pytest.raises(DataError, match=r"cannot write in the temporary folder .*: No space left") as raised:
        fill(errno.ENOSPC)
    assert "TMPDIR" in raised.value.mend
    with pytest.raises(PermissionError):  # what else goes wrong in the block is for others to say
        fill(errno.EACCES)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(DataError, match="cannot make a temporary folder: No such file"):
        fill(0)


def test_a_limit_on_the_size_of_files_is_named(tmp_path: Path) -> None:
    command = f'ulimit -f 0; {shlex.quote(sys.executable)} -m babycli cite --output "$0/papers.bib" 2>&1 | tail -n 2'
    ran = subprocess.run(["bash", "-c", command, tmp_path], capture_output=True, text=True, check=False)
    mend = "let a process write larger files:  ulimit -f unlimited"
    assert ran.stdout == f"babycli: the system refuses it: File too large\n  mend: {mend}\n"
    assert list(tmp_path.iterdir()) == []
