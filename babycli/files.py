"""Reading what is a file, and writing files so that none is ever half there, and no two commands write one at once.

Owns what is refused in the place of a file (a pipe, a device, what claims too many bytes), how a file takes its place
in one step, locks, and clones. Never knows what is in a file.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import io
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from babycli.errors import LIMITS, SHORTER, DataError, LargeFileError, UnfitFileError, is_lack_of_memory

try:
    import fcntl
except ImportError:  # Windows, where only --help and --version are of use
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

_WAIT_S = 30
_READER_S = 5  # in which the reader of a pipe must have opened it
_ASIDE = ".babycli.tmp"
_MAX_NAME_BYTES = 255  # of Linux and macOS, for each part of a path
_LEFT_S = 3600  # where there are no locks, what is older was left by a killed command
_FICLONE = 0x40049409  # Linux: _IOW(0x94, 9, int)
MAX_FILE_BYTES = 1 << 30  # no label file, list, lock, index or log is larger
_PIECE_BYTES = 1 << 20
HOLLOW_BYTES = 4 << 30  # a file this large may be hollow
_HOLLOW_RATIO = 16  # more than any file system that compresses makes of pictures and films
_OPEN_ALREADY = re.compile(r"/dev/(stdout|stderr)|(?:/dev|/proc/self)/fd/(\d{1,9})", re.ASCII)
_STANDARD = {"stdout": 1, "stderr": 2}
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_to_read(path: Path | str) -> io.BufferedReader:
    """Opens a regular file, or a link to one, to read its bytes.

    Raises OSError: UnfitFileError for a pipe, a socket or a device, without waiting for it.
    """
    _check_kind(os.stat(path), path)  # noqa: PTH116  # before opening: that alone may wait, or move a tape
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _check_kind(os.fstat(fd), path)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def read_file(path: Path | str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Reads a whole regular file. Raises OSError: UnfitFileError for what is none, or has more bytes than that."""
    with in_memory(path), open_to_read(path) as stream:
        size_bytes = _size_of(stream, path, max_bytes)
        content = stream.read(size_bytes + 1)
        while len(content) > size_bytes and len(content) <= max_bytes:  # it grows, or it is one of /proc, which say 0
            more = stream.read(_PIECE_BYTES)
            if not more:
                break
            content += more
    if len(content) > max_bytes:
        raise UnfitFileError(f"it has more than {max_bytes:,} bytes, and no more are read", path)
    return content


def check_size(path: Path | str, max_bytes: int = MAX_FILE_BYTES) -> None:
    """Checks that read_file would read a file, which another library is going to. Raises OSError as read_file does."""
    with open_to_read(path) as stream:
        _size_of(stream, path, max_bytes)


def _size_of(stream: io.BufferedReader, path: Path | str, max_bytes: int) -> int:
    size_bytes = os.fstat(stream.fileno()).st_size
    if size_bytes > max_bytes:
        raise UnfitFileError(f"it has {size_bytes:,} bytes, and at most {max_bytes:,} are read", path)
    return size_bytes


def open_whole(path: Path | str) -> io.BufferedReader:
    """Does as open_to_read, and refuses a file that is mostly a hole, too."""
    stream = open_to_read(path)
    if is_hollow(os.fstat(stream.fileno())):
        stream.close()
        raise UnfitFileError("it is a hole for the most part", path)
    return stream


def file_digest(path: Path | str) -> str:
    """Gives the SHA-256 of a file. Raises OSError as open_whole does."""
    with open_whole(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_hollow(status: os.stat_result) -> bool:
    """Tells whether most of a large file is a hole: bytes that nobody wrote, slow to read and worth nothing."""
    blocks = getattr(status, "st_blocks", None)  # Windows has none
    return blocks is not None and status.st_size >= HOLLOW_BYTES and blocks * 512 * _HOLLOW_RATIO < status.st_size


def _check_kind(status: os.stat_result, path: Path | str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), "something else")
    raise UnfitFileError(f"it is {kind}, not a file", path)


def why_no_file(path: Path | str) -> str:
    """Tells what is in the place of a file: a pipe, a folder, a link that leads nowhere; "" for a file, or nothing."""
    try:
        _check_kind(os.stat(path), path)  # noqa: PTH116  # pathlib raises for too long a name
    except UnfitFileError as error:
        return str(error.strerror)
    except IsADirectoryError:
        return "it is a folder, not a file"
    except OSError as error:
        if not os.path.islink(path):
            return ""
        if error.errno == errno.ELOOP:
            return "it is a link that leads back to itself"
        return f"it is a link to {os.readlink(path)}, and nothing is there"
    return ""


def in_home(path: Path | str) -> Path:
    """Gives a path whose ``~`` is the home folder; ``~`` of a user whom the system does not know stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # pathlib raises RuntimeError


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file: after a crash there is the old file or the new one. Raises DataError.

    A link is followed. A pipe or a device is written to directly; a reader of the pipe may leave before its end. So is
    what this process has open already (``/dev/stdout``), behind what was written to it before.
    """
    if match := _OPEN_ALREADY.fullmatch(str(path)):
        with explained(path), contextlib.suppress(BrokenPipeError):
            fd = _STANDARD[match[1]] if match[1] else int(match[2])
            with os.fdopen(os.dup(fd), "wb") as stream:
                stream.write(content)
        return
    if path.exists() and not path.is_file() and not path.is_dir():
        with explained(path), contextlib.suppress(BrokenPipeError), _open_to_pass_on(path) as stream:
            stream.write(content)
        return
    replace_file(Path(os.path.realpath(path)), content)


def _open_to_pass_on(path: Path) -> io.BufferedWriter:
    """Opens a pipe or a device to write to it. Raises OSError, also for a pipe that nobody comes to read."""
    end = time.monotonic() + _READER_S
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
            if time.monotonic() > end:
                raise OSError(errno.ENXIO, "nobody reads this pipe", str(path)) from error
            time.sleep(0.05)
        else:
            os.set_blocking(fd, True)
            return os.fdopen(fd, "wb")


def replace_file(path: Path, content: bytes) -> None:
    """Does as write_atomically, but replaces whatever is there, also a link or a pipe. Raises DataError."""
    with written_aside(path, content) as put_in_place:
        put_in_place()


def aside_of(path: Path) -> Path:
    """Gives a fresh path beside a file, at which it is written before it takes its place; nobody can foretell it."""
    return path.with_name(f"{_aside_start(path)}{os.urandom(8).hex()}{_ASIDE}")


def is_aside(path: Path, of: Path) -> bool:
    """Tells whether a path is where another file was being written, perhaps by a command that was killed."""
    return path.parent == of.parent and path.name.startswith(_aside_start(of)) and path.name.endswith(_ASIDE)


def _asides_of(path: Path) -> Iterator[Path]:
    return path.parent.glob(f"{glob.escape(_aside_start(path))}*{_ASIDE}")


def _aside_start(path: Path) -> str:
    """Gives what the names begin with at which a file is written; of a name too long for that, its digest."""
    name, most = path.name, _MAX_NAME_BYTES - len(f"..{'0' * 16}{_ASIDE}")
    raw = os.fsencode(name)
    return f".{name if len(raw) <= most else hashlib.sha256(raw).hexdigest()}."


@contextlib.contextmanager
def written_aside(path: Path, content: bytes) -> Iterator[Callable[[], None]]:
    """Writes a file beside its place, and gives the function that moves it there. Raises DataError.

    It keeps the permissions of the file that it replaces.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        aside, fd = _open_aside(path)
    try:
        with explained(path):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    os.fchmod(fd, status.st_mode & 0o777)
            with os.fdopen(os.dup(fd), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())

        def put_in_place() -> None:
            with explained(path):
                os.replace(aside, path)

        yield put_in_place
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()  # it is still there if it was not put in its place
        os.close(fd)


def _open_aside(path: Path) -> tuple[Path, int]:
    """Makes a fresh file beside a path, and locks it, which tells others that it is not a killed command's."""
    while True:
        aside = aside_of(path)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        lock_now(fd)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(aside.lstat(), os.fstat(fd)):
                return aside, fd
        os.close(fd)  # another command has taken it for left over in the moment before it was locked


def _remove_left(path: Path) -> None:
    """Removes what killed commands have left beside a file: what nobody has locked or, without locks, what is old."""
    for left in _asides_of(path):
        with contextlib.suppress(OSError):
            fd = os.open(left, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                is_old = time.time() - os.fstat(fd).st_mtime > _LEFT_S
                if is_old or _flock(fd) is True:
                    left.unlink()
            finally:
                os.close(fd)


def remove_left_links(path: Path) -> None:
    """Removes the links that a killed command has left beside a path; only for one who has locked the folder."""
    for left in _asides_of(path):
        if left.is_symlink():
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(prefix: str = "babycli-") -> Iterator[Path]:
    """Makes a folder for the block, and removes it. Raises DataError where there is no place or room for it."""
    mend = "name a folder with room:  export TMPDIR=DIR"
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot make a temporary folder: {error.strerror}", mend) from error
    with made as name:
        try:
            yield Path(name)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(f"cannot write in the temporary folder {name}: {error.strerror}", mend) from error


def keep_old(path: Path) -> None:
    """Keeps what is at a path, if anything, beside it as ``<name>.old``. Raises DataError.

    A file also stays in its place until the new one replaces it, so that nothing is lost if a later step fails.
    """
    names = (path.with_name(f"{path.name}.old{n or ''}") for n in range(1000))
    with explained(path):
        old = next(name for name in names if not os.path.lexists(name))
        if path.is_file():
            write_atomically(old, read_file(path))
        elif os.path.lexists(path):
            os.replace(path, old)


@contextlib.contextmanager
def in_memory(path: Path | str) -> Iterator[None]:
    """Names the file that the block reads, or takes apart, where memory is too small for it: raises LargeFileError."""
    try:
        yield
    except (OSError, MemoryError) as error:
        if isinstance(error, LargeFileError) or not is_lack_of_memory(error):
            raise
        raise LargeFileError(path) from error


def raise_limit(error: OSError) -> None:
    """Raises an error again that is a limit of the system's, so that no file is blamed for it."""
    if error.errno in LIMITS:
        raise error


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a DataError that names the path, but for a limit of the system's."""
    try:
        yield
    except UnfitFileError as error:  # what is there was to be read first
        raise DataError(f"cannot read {error.filename}: {error.strerror}", "move it away") from error
    except OSError as error:
        raise_limit(error)
        if isinstance(error, IsADirectoryError):
            raise DataError(
                f"cannot write {path}: a folder is there", "name a file, or move the folder away"
            ) from error
        mend = "make room or make that place writable, or name another (--data for the dataset, --output for a table)"
        raise DataError(
            f"cannot write {path}: {error.strerror}", SHORTER if error.errno == errno.ENAMETOOLONG else mend
        ) from error


def lock_now(fd: int) -> bool:
    """Locks an open file for this process without waiting; gives False if another process has locked it.

    Also gives True where there are no locks: NFS has none for folders, and other file systems have none at all.
    """
    return _flock(fd) is not False


def _flock(fd: int) -> bool | None:
    """Locks an open file if nobody else has; gives True if it is locked now, None where there are no locks."""
    if not _HAS_LOCKS:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def locked(folder: Path, makes: bool = False) -> Iterator[None]:
    """Locks a folder for the block; another command that locks it waits. Raises DataError after half a minute's wait.

    With ``makes``, a missing folder is made, also one that the other command has removed at its end.
    """
    end = time.monotonic() + _WAIT_S
    while (fd := _lock_folder(folder, makes)) is None:
        if time.monotonic() > end:
            raise DataError(f"another babycli is writing {folder}", "wait until it has ended")
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(fd)


def _lock_folder(folder: Path, makes: bool) -> int | None:
    """Opens and locks a folder; None if another process has locked or replaced it."""
    with explained(folder):
        if makes:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            if makes:
                return None  # removed by its holder, who is ending
            raise
    if not lock_now(fd):
        os.close(fd)
        return None
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(folder), os.fstat(fd)):  # noqa: PTH116
            return fd
    os.close(fd)
    return None


def clone(source: str, place: Path) -> None:
    """Makes a new file that shares its bytes on the disk with another. Raises OSError where that is not possible."""
    if sys.platform != "linux" or not _HAS_LOCKS:
        raise OSError(errno.EOPNOTSUPP, "only Linux file systems can do this here")
    with open(source, "rb") as original, place.open("wb") as copy:  # noqa: PTH123
        fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
