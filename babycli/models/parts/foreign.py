"""Running code that is not ours: a user's model file, or a package's entry point.

Owns importing a file, calling into it so that its failures name its own line, and what identifies it in a log. Never
knows what the code offers.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from babycli.errors import BabycliError, ModelError
from babycli.wording import first_line

_WEIGHTS = ("*.json", "*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.model")


class _Neighbours(MetaPathFinder):
    """Finds the modules of a folder before all others, except by the names of the standard library."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname in sys.stdlib_module_names:  # a module imported once is so for all of us
            return None
        return PathFinder.find_spec(fullname, [self._folder], target)


def import_file(path: Path) -> ModuleType:
    """Gives the module of a .py file, which can import the other files of its folder. Raises ModelError.

    Its name in sys.modules is no other module's, whatever the file is called.
    """
    path = path.absolute()
    name = f"_babycli_{re.sub(r'[^a-zA-Z0-9_]', '_', path.stem)}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # the suffix is .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by name
    neighbours = _Neighbours(path.parent)
    sys.meta_path.insert(0, neighbours)
    try:
        with explained(f"cannot import {path}", path):
            spec.loader.exec_module(module)
    finally:
        sys.meta_path.remove(neighbours)
    return module


@contextlib.contextmanager
def explained(what: str, file: Path | None) -> Iterator[None]:
    """Turns whatever foreign code raises into a ModelError that says ``what`` failed and at which line of ``file``."""
    try:
        yield
    except BabycliError:
        raise
    except ModuleNotFoundError as error:
        raise ModelError(f"{what}: {error}", f"pip install {error.name}") from error
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's; the evaluation says what to do about it
            raise
        said = first_line(error, "no message")
        raise ModelError(f"{what}: {type(error).__name__}: {said}{_place(error, file)}") from error


def _place(error: BaseException, file: Path | None) -> str:
    """The innermost line of the user's own file, else where the error arose."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and Path(frame.filename) == file.absolute()]
    frame = (own or frames)[-1]
    return f" ({frame.filename}, line {frame.lineno})"


def fingerprint_of(code: Path | None, name: str, args: Mapping[str, str]) -> str:
    """SHA-256 over the code's bytes, its name and arguments, and the weight files that arguments name.

    An argument counts as a name of files if it is a file or folder here.
    """
    whole = hashlib.sha256(f"{name}\0".encode())
    if code is not None:
        whole.update(code.read_bytes())
    for key, value in sorted(args.items()):
        whole.update(f"\0{key}={value}".encode())
        path = Path(value).expanduser()
        files = [path] if path.is_file() else sorted(f for pattern in _WEIGHTS for f in path.glob(pattern))
        for file in files if value else []:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            whole.update(f"\0{file.name} {digest}".encode())
    return whole.hexdigest()
