"""babycli: data, evaluation and reports for vision-language models trained on what an infant sees and hears.

From Python: ``babycli.evaluate``, ``babycli.read_runs``, ``babycli.compare``, ``babycli.compare_humans``; see
docs/python.md.
"""

TYPE_CHECKING = False  # that of typing takes 5 ms, in which an interrupt would not find the handler of __main__
if TYPE_CHECKING:
    from babycli.api import compare, compare_humans, evaluate, read_runs

__version__: str  # given by __getattr__
__all__ = ["__version__", "compare", "compare_humans", "evaluate", "read_runs"]


def __getattr__(name: str) -> object:
    """Imports what is asked for when it is asked for, so that `import babycli` waits for nothing (PEP 562)."""
    if name == "__version__":  # which the installed package knows; looking it up takes 20 ms
        globals()[name] = _version()
        return globals()[name]
    if name in __all__:
        from babycli import api

        return getattr(api, name)
    raise AttributeError(f"module 'babycli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(__name__)
    except PackageNotFoundError:  # a folder of source that was not installed
        return "0+unknown"
