"""The errors that a user can cause or meet, each with its exit code. cli.main() turns them into messages.

Owns the words on the system's limits, too. Never raised for a bug: a bug keeps its traceback and exits 1.
"""

from __future__ import annotations

import errno
import os
from enum import IntEnum

MORE_MEMORY = "give it more memory:  ulimit -v unlimited, or a larger machine"
SHORTER = "give a shorter name"
_NO_ROOM = ("failed to map segment", "cannot allocate memory")  # for a library that is loaded


class ExitCode(IntEnum):
    DONE = 0
    BUG = 1
    USAGE = 2
    DATA = 3  # missing or malformed
    CHECKSUM = 4
    MODEL = 5
    RESUME = 6
    UNTRUSTED = 7
    INTERRUPTED = 130


LIMITS = {  # what the system refuses whichever file it is, and the mend
    errno.EMFILE: "let a process open more files:  ulimit -n 1024",
    errno.ENFILE: "the whole system has too many files open: end other programs, or raise  fs.file-max",
    errno.EAGAIN: "let this user have more processes:  ulimit -u 1024",
    errno.ENOMEM: MORE_MEMORY,
    errno.EFBIG: "let a process write larger files:  ulimit -f unlimited",
}


class UnfitFileError(OSError):
    """An OSError for what is no file that can be read, or claims too many bytes; ``strerror`` says which."""

    def __init__(self, detail: str, path: os.PathLike[str] | str) -> None:
        super().__init__(errno.EINVAL, detail, str(path))

    def __reduce__(self) -> tuple[object, ...]:
        return UnfitFileError, (self.strerror, self.filename)


class LargeFileError(MemoryError):
    """A MemoryError for a file, ``filename``, that memory is too small for. No OSError: such are passed over."""

    def __init__(self, path: os.PathLike[str] | str) -> None:
        super().__init__(str(path))
        self.filename = str(path)


class BabycliError(Exception):
    """An error with its message, which names the path or value, and in ``mend`` the command or step that mends it."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        if mend:
            self.add_note(f"mend: {mend}")  # under the traceback of a program that does not catch it

    @property
    def in_full(self) -> str:
        """The message, and in a line of its own what mends it, if that is known."""
        return f"{self.message}\n  mend: {self.mend}" if self.mend else self.message


class UsageError(BabycliError):
    exit_code = ExitCode.USAGE


class TaskError(UsageError):
    """A user's own task that cannot be imported, or is not a proper task."""


class DataError(BabycliError):
    exit_code = ExitCode.DATA


class ChecksumError(BabycliError):
    exit_code = ExitCode.CHECKSUM


class ModelError(BabycliError):
    exit_code = ExitCode.MODEL


class ResumeError(BabycliError):
    """An unfinished run that cannot be continued."""

    exit_code = ExitCode.RESUME


class UntrustedResultError(BabycliError):
    exit_code = ExitCode.UNTRUSTED


class OutputError(BabycliError):
    """A place for results that cannot be written (disk full, read-only)."""

    exit_code = ExitCode.DATA


def is_lack_of_memory(error: BaseException) -> bool:
    """Tells whether an error says that there is not enough memory, also for a library that is loaded."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    is_no_room = isinstance(error, ImportError) and any(words in str(error).lower() for words in _NO_ROOM)
    return is_no_room or isinstance(error, MemoryError)
