"""Running code that is not babycli's: a user's model or task file, or a package's entry point.

Owns importing a file, calling into it so that errors name the line in it, and the fingerprint by which a log identifies
it. Never knows what the code offers.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from babycli.errors import BabycliError, ModelError, UnfitFileError
from babycli.files import file_digest, in_home, read_file
from babycli.wording import first_line

_FILE = re.compile(r"(?P<file>.*\.py)(:(?P<name>\w+))?", re.DOTALL)
_imported: dict[str, bytes] = {}  # by path, the bytes that were run
_WEIGHTS = ("*.json", "*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.model")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """The file and the name in ``path/to/file.py:Name``."""

    path: Path
    name: str | None


def named_file(words: str) -> NamedFile | None:
    """Reads ``path/to/file.py``, with or without ``:Name``; None for what names no Python file."""
    match = _FILE.fullmatch(words)
    return NamedFile(in_home(match["file"]), match["name"]) if match else None


class _Neighbours(MetaPathFinder):
    """An import hook that finds the modules of a folder before all others, but never hides the standard library."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname in sys.stdlib_module_names:  # sys.modules is shared by all code
            return None
        return PathFinder.find_spec(fullname, [self._folder], target)


class FromSource(SourceFileLoader):
    """A loader that compiles a file each time, and never waits for what is no file.

    Python takes compiled code for that of a file of equal size that was changed in the same second, and a run would not
    be of the file whose digest its log has.
    """

    def get_data(self, path: str | bytes) -> bytes:
        return read_file(os.fsdecode(path))

    def get_code(self, fullname: str) -> CodeType:
        source = _imported[self.path] = self.get_data(self.path)
        code: CodeType = self.source_to_code(source, self.path)
        return code


def import_file(path: Path, kind: type[BabycliError] = ModelError) -> ModuleType:
    """Gives the module of a .py file, which can import the other files of its folder. Raises ``kind``.

    Its name in sys.modules is unique, whatever the file is called.
    """
    path = path.absolute()
    name = f"_babycli_{re.sub(r'[^a-zA-Z0-9_]', '_', path.stem)}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=FromSource(name, str(path)))
    assert spec is not None
    assert spec.loader is not None  # the suffix is .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by name
    neighbours = _Neighbours(path.parent)
    sys.meta_path.insert(0, neighbours)
    try:
        with explained(f"cannot import {path}", path, kind):
            spec.loader.exec_module(module)
    finally:
        sys.meta_path.remove(neighbours)
    return module


@contextlib.contextmanager
def explained(what: str, file: Path | None, kind: type[BabycliError] = ModelError) -> Iterator[None]:
    """Turns any exception of foreign code into ``kind``, saying that ``what`` failed and at which line of ``file``."""
    try:
        with kept_place():
            yield
    except BabycliError:
        raise
    except ModuleNotFoundError as error:
        raise kind(f"{what}: {error}", f"pip install {error.name}") from error
    except UnfitFileError as error:
        raise kind(f"{what}: {error.strerror}") from error
    except BaseException as error:  # also that of sys.exit(), and of a library in Rust that panics
        if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "OutOfMemoryError":
            raise  # the latter is torch's; the evaluation says what to do about it
        text = first_line(error, "no message")
        raise kind(f"{what}: {type(error).__name__}: {text}{_place(error, file)}") from error


@contextlib.contextmanager
def kept_place() -> Iterator[None]:
    """Comes back to the current folder, which foreign code may leave: the paths of data and logs may begin there."""
    try:
        place = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:  # it has been removed: nothing begins there
        place = ""
    try:
        yield
    finally:
        if place:
            os.chdir(place)


def is_own(thing: object) -> bool:
    """Tells whether an object is of a class of babycli's own, and not of a user's."""
    return type(thing).__module__.startswith("babycli.")


def explained_for(thing: object, what: str, kind: type[BabycliError]) -> contextlib.AbstractContextManager[None]:
    """Explains the mistakes of a user's object, and names the line in its file; babycli's own keep a traceback."""
    if is_own(thing):
        return contextlib.nullcontext()
    with contextlib.suppress(TypeError, OSError):  # it was not made from a file
        file = inspect.getsourcefile(type(thing))
        return explained(what, Path(file) if file else None, kind)
    return explained(what, None, kind)


def _place(error: BaseException, file: Path | None) -> str:
    """Gives the innermost line of the user's own file, else the line that raised the error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and Path(frame.filename) == file.absolute()]
    frame = (own or frames)[-1]
    return f" ({frame.filename}, line {frame.lineno})"


def code_of(file: Path) -> bytes:
    """Gives the bytes of a file of code: those that import_file() ran, whatever has become of the file since."""
    return _imported.get(str(file.absolute())) or read_file(file)


def fingerprint_of(code: Path | None, name: str, args: Mapping[str, str]) -> str:
    """Gives the SHA-256 over the code's bytes, its name and arguments, and the weight files that arguments name.

    An argument names weight files if it is the path of a file or folder that exists. Raises ModelError.
    """
    whole = hashlib.sha256(f"{name}\0".encode())
    if code is not None:
        whole.update(code_of(code))
    for key, value in sorted(args.items()):
        whole.update(f"\0{key}={value}".encode())
        path = in_home(value)
        files = (
            [path]
            if path.is_file()
            else sorted(f for pattern in _WEIGHTS for f in path.glob(pattern) if not f.is_dir())
        )
        for file in files if value else []:
            try:
                whole.update(f"\0{file.name} {file_digest(file)}".encode())
            except OSError as error:
                raise ModelError(f"cannot read {file}, which {key}= names: {error.strerror}") from error
    return whole.hexdigest()
