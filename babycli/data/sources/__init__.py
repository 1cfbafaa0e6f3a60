"""The registry of sources of pictures: every module here with a ``SOURCE`` is one.

Owns the registry, and the words that ask the user for a source. To add a source, write its file; no list needs an edit.
A source that only a user's own task names needs no file: it is shown by its name, or described with register(). A
module may have a ``DATA_SET`` as well, see datasets.py. One with a ``source_for(name)`` describes sources whose names
a user makes up.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import ModuleType

from babycli.data.sources.base import Source
from babycli.errors import UsageError

MAIN = "saycam"  # the source that `data link` takes without an option

_registered: dict[str, Source] = {}


def all_sources() -> Mapping[str, Source]:
    """Gives every source that has a description, by name, in the order of lists."""
    sources = {**_built_in(), **_registered}
    return dict(sorted(sources.items(), key=lambda item: (item[1].order, item[0])))


def source_named(name: str) -> Source:
    """Gives the source of that name; a source with nothing but the name if nobody has described it."""
    return all_sources().get(name) or _made_up(name) or Source(name, f"{name} images")


def reads_main(sources: Iterable[str]) -> bool:
    """Tells whether pictures of any of these sources are looked for in the folder of the main source."""
    return any(MAIN in (name, source_named(name).inside) for name in sources)


def link_command(sources: Iterable[str], words: str = "", wants_main: bool = False) -> str:
    """Gives the command that links pictures of these sources.

    Pictures that may lie in the folder of the main source are not named beside it: `data link` asks for them where they
    do not. So it is too if the command ``wants_main`` besides, and that folder is not linked yet.
    """
    names = list(dict.fromkeys(sources))
    if not names or MAIN in names or (wants_main and reads_main(names)):
        names = [MAIN, *(name for name in names if name != MAIN and source_named(name).inside != MAIN)]
    return f"babycli data link {' '.join(source_named(name).link_words for name in names)}{words}"


def register(source: Source) -> None:
    """Describes a source for this process, replacing an earlier description. Raises UsageError for a built-in name."""
    if source.name in _built_in():
        raise UsageError(f"there is a source {source.name!r} already", "give yours a name of its own")
    _registered[source.name] = source


def _made_up(name: str) -> Source | None:
    makers = (module.source_for for module in source_modules() if "source_for" in vars(module))
    return next((source for maker in makers if (source := maker(name)) is not None), None)


@functools.cache
def _built_in() -> Mapping[str, Source]:
    return {module.SOURCE.name: module.SOURCE for module in source_modules() if "SOURCE" in vars(module)}


@functools.cache
def source_modules() -> list[ModuleType]:
    """Imports the modules of this package."""
    return [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
