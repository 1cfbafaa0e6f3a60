"""Running a wrapper's code: it finds what it imports, its prints go to stderr, and its errors are explained.

Owns the words for whatever that code raises, with the file and the line. Never decides which code runs.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from babycli.errors import ModelError, UnfitFileError
from babycli.foreign import kept_place
from babycli.interop.lmms.stand_in import PACKAGE, Provided
from babycli.wording import first_line

INSTALL = f"pip install {PACKAGE.replace('_', '-')}"
MODULE = "babycli_lmms_wrapper"


@contextlib.contextmanager
def foreign(file: Path, provided: Provided, module: ModuleType, what: str) -> Iterator[None]:
    """Surrounds a call into a wrapper: it finds what it imports, its prints go to stderr, its errors are explained."""
    with (
        provided.installed(**{MODULE: module}),
        contextlib.redirect_stdout(sys.stderr),
        explained(file, provided, what),
    ):
        yield


@contextlib.contextmanager
def explained(file: Path, provided: Provided | None, what: str) -> Iterator[None]:
    try:
        with kept_place():
            yield
    except UnfitFileError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
    except BaseException as error:  # also that of sys.exit(), and of a library in Rust that panics
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _explain(error, file, provided, what) from error


def _explain(error: BaseException, file: Path, provided: Provided | None, what: str) -> ModelError:
    where, missing = _where(error, file), error.name if isinstance(error, ImportError) else None
    package = (missing or "").partition(".")[0]
    if package == PACKAGE and provided is not None and provided.version is None:
        return ModelError(
            f"{where}: the wrapper needs more of lmms-eval than babycli stands in for: {message_of(error)}", INSTALL
        )
    if isinstance(error, ModuleNotFoundError) and package:
        return ModelError(
            f"{where}: the wrapper needs the module {missing!r}, which is not installed",
            f"pip install {package}   (or put the folder that holds it on PYTHONPATH)",
        )
    name = type(error).__name__
    return ModelError(f"{where}: {what} raised {name}: {message_of(error)}", "mend the wrapper or its --model-args")


def _where(error: BaseException, file: Path) -> str:
    """Names the wrapper's own line that was running, else the last line at all, as ``file:line``."""
    absolute = str(file.absolute())  # as it was imported
    if isinstance(error, SyntaxError) and error.filename == absolute:
        return f"{file}:{error.lineno}"
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [line for name, line in frames if name == absolute]
    return f"{file}:{own[-1]}" if own else f"{file} (in {frames[-1][0]}:{frames[-1][1]})"


def message_of(error: BaseException) -> str:
    return first_line(error, "(no message)")[:200]
