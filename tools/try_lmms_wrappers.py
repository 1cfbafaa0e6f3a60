"""Gives every wrapper of a released lmms-eval to babycli's loader, and counts what becomes of them.

python tools/try_lmms_wrappers.py [VERSION] [FOLDER]      by default 0.7.3 and .venv-lmms

FOLDER gets an environment with that lmms-eval, all that it requires, and babycli; it is used again. Each file is
imported in a process of its own; the class that it registers is constructed as `babycli eval` does, without a network
and without arguments, so that only those that want no weights come to an end. Prints a table for docs/lmms.md, then a
line for each file. Needs PyPI the first time. Never asks a wrapper anything.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
import venv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
VERSION = "0.7.3"
KINDS = ("simple", "chat")  # the folders that wrappers lie in
INSIDE = "--inside"  # the word for the process in the environment
LIMIT_S = 180  # for one wrapper


class Verdict(StrEnum):
    """The ends that a wrapper may come to, in the order of the table."""

    CONSTRUCTED = "constructed"
    WEIGHTS = "asks for its weights"
    GPU = "asks for a GPU"
    ACCOUNT = "asks for an account, a key or a server"
    ARGUMENT = "asks for an argument"
    PACKAGE = "needs a package that lmms-eval does not install"
    VERSION = "needs another version of a package"
    FAILS = "fails otherwise"
    CHAT = "talks in chats: refused"
    SEVERAL = "registers several models: which one must be said"
    NONE = "registers no model"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one file."""

    kind: str  # "simple" or "chat"
    file: str
    verdict: str
    offers: str = ""  # of loglikelihood and generate_until, those whose code may give an answer
    detail: str = ""
    lmms_eval: str = ""  # what lmms-eval's own import of the file says; "" where it goes well


# ---------------------------------------------------------------- outside: the environment


def make_environment(folder: Path, version: str) -> Path:
    """Installs a version of lmms-eval with all that it requires, and babycli; gives the environment's Python."""
    place = folder.absolute() / f"wrappers-{version}"
    python, done = place / "bin" / "python", place / "installed"
    if not done.exists():
        venv.create(place, with_pip=True, clear=False)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        constraints = ("-c", str(REPOSITORY / "constraints.txt"))
        subprocess.run([*install, *constraints, str(REPOSITORY), f"lmms-eval=={version}"], check=True)
        if subprocess.run([str(python), "-c", "import torchvision"], stderr=subprocess.DEVNULL).returncode:
            # PyPI's torchvision wants PyTorch's CUDA libraries, and transformers stumbles over one that is broken.
            print("torchvision does not fit this build of torch and is taken out", flush=True)
            subprocess.run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision"], check=True)
        done.touch()
    return python


def main() -> int:
    words = sys.argv[1:]
    version = words[0] if words else VERSION
    folder = Path(words[1]) if len(words) > 1 else REPOSITORY / ".venv-lmms"
    python = make_environment(folder, version)
    started = time.monotonic()
    settings = {
        "PYTHONPATH": str(REPOSITORY),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    words = [str(python), __file__, INSIDE]
    outcomes = []
    with subprocess.Popen(
        words, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as inside:
        assert inside.stdout is not None
        for line in inside.stdout:
            outcome = Outcome(**json.loads(line))
            print(f"{outcome.kind}/{outcome.file}: {outcome.verdict}", file=sys.stderr, flush=True)
            outcomes.append(outcome)
    if inside.returncode:
        raise subprocess.CalledProcessError(inside.returncode, words)
    print(f"lmms-eval {version}, {len(outcomes)} files, in {time.monotonic() - started:.0f} s\n")
    print("\n".join(table(outcomes)))
    print()
    for outcome in outcomes:
        offers = f" ({outcome.offers})" if outcome.offers else ""
        print(
            f"{outcome.kind}/{outcome.file}: {outcome.verdict}{offers}  {outcome.detail}  {outcome.lmms_eval}".rstrip()
        )
    at_import = [o for o in outcomes if not o.offers and o.verdict in (Verdict.PACKAGE, Verdict.VERSION, Verdict.FAILS)]
    ours_alone = [outcome for outcome in at_import if not outcome.lmms_eval]
    print(f"\nimported by lmms-eval itself, and not by babycli: {len(ours_alone)}")
    return 0


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Makes the lines of a Markdown table: a row for each verdict, and for what the importable ones offer."""
    counts = Counter((outcome.kind, outcome.verdict) for outcome in outcomes)
    offered = Counter((outcome.kind, outcome.offers) for outcome in outcomes if outcome.offers)
    yield f"| | {' | '.join(KINDS)} |"
    yield f"|---|{'---|' * len(KINDS)}"
    for verdict in Verdict:
        if any(counts[kind, verdict] for kind in KINDS):
            yield f"| {verdict} | {' | '.join(str(counts[kind, verdict]) for kind in KINDS)} |"
    for offers in sorted({offers for _, offers in offered}):
        yield f"| offers {offers} | {' | '.join(str(offered[kind, offers]) for kind in KINDS)} |"


# ---------------------------------------------------------------- inside: the wrappers


def try_all() -> None:
    """Writes the outcome of each file of the installed lmms-eval as a line of JSON."""
    stdout, sys.stdout = sys.stdout, sys.stderr  # what wrappers print is none
    spec = find_spec("lmms_eval")
    assert spec is not None
    assert spec.origin is not None
    for module in ("torch", "transformers", "lmms_eval.api.model", "lmms_eval.models", "babycli.interop.lmms.family"):
        importlib.import_module(module)  # once for all
    forks = multiprocessing.get_context("fork")
    for kind in KINDS:
        for path in sorted((Path(spec.origin).parent / "models" / kind).glob("*.py")):
            if path.stem != "__init__":
                print(json.dumps(asdict(_tried(forks, kind, path))), file=stdout, flush=True)


def _tried(forks: multiprocessing.context.ForkContext, kind: str, path: Path) -> Outcome:
    receiver, sender = forks.Pipe(duplex=False)
    process = forks.Process(target=_try, args=(sender, kind, path))
    process.start()
    sender.close()
    try:
        found = receiver.recv() if receiver.poll(LIMIT_S) else None
    except EOFError:  # it has ended the process
        found = None
    process.kill()
    process.join()
    return found or Outcome(kind, path.name, Verdict.FAILS, detail=f"no end after {LIMIT_S} s, or the process ended")


def _try(sender: Connection, kind: str, path: Path) -> None:
    sender.send(_outcome(kind, path))


def _outcome(kind: str, path: Path) -> Outcome:
    from babycli.errors import ModelError, UsageError
    from babycli.interop.lmms import PREFIX
    from babycli.interop.lmms.family import added_arguments
    from babycli.interop.lmms.wrapper import Source, find
    from babycli.models.base import ModelSpec
    from babycli.wording import Scoring

    source = f"{PREFIX}{path}"
    try:
        registered = find(Source.parse(source))
    except UsageError as error:
        return Outcome(kind, path.name, Verdict.SEVERAL, detail=error.message)
    except ModelError as error:
        verdict = Verdict.NONE if error.__cause__ is None else _verdict_of_import(error)
        return Outcome(kind, path.name, verdict, "", _first(error), _import_of_lmms_eval(kind, path))
    methods = [m for m in ("loglikelihood", "generate_until") if not registered.why_not_offered(m)]
    offers = " and ".join(methods) or "neither"
    if not registered.is_simple:
        return Outcome(kind, path.name, Verdict.CHAT, offers)
    try:
        registered.construct({}, added_arguments(registered, ModelSpec(source, source, {}, "cpu", "", Scoring.FAIR)))
    except ModelError as error:
        return Outcome(kind, path.name, _verdict_of_constructor(error), offers, _first(error))
    return Outcome(kind, path.name, Verdict.CONSTRUCTED, offers)


def _first(error: Exception) -> str:
    return str(error).splitlines()[0].rpartition("/")[2][:200]


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _verdict_of_import(error: BaseException) -> Verdict:
    for cause in _causes(error):
        if isinstance(cause, ModuleNotFoundError):
            return Verdict.PACKAGE
        if isinstance(cause, ImportError | AttributeError):
            return Verdict.VERSION
    return Verdict.FAILS


_MARKS = (
    (Verdict.GPU, ("cuda", "nvidia", "gpu")),
    (
        Verdict.ACCOUNT,
        ("api_key", "api key", "api_token", "credential", "connection error", "connect to", "openai", "endpoint"),
    ),
    (
        Verdict.ARGUMENT,
        ("required positional", "must be provided", "must be specified", "please provide", "is required"),
    ),
)
_OFFLINE = ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "EntryNotFoundError", "RepositoryNotFoundError")


def _verdict_of_constructor(error: BaseException) -> Verdict:
    causes = list(_causes(error))
    text = " ".join(str(cause) for cause in causes).lower()
    if any(type(cause).__name__ in _OFFLINE for cause in causes) or "offline" in text or "huggingface.co" in text:
        return Verdict.WEIGHTS
    if any(isinstance(cause, ImportError) for cause in causes):
        return Verdict.PACKAGE
    for verdict, marks in _MARKS:
        if any(mark in text for mark in marks):
            return verdict
    if any(isinstance(cause, NameError) for cause in causes):  # it has caught the error of its import
        return Verdict.PACKAGE
    return Verdict.FAILS


def _import_of_lmms_eval(kind: str, path: Path) -> str:
    try:
        importlib.import_module(f"lmms_eval.models.{kind}.{path.stem}")
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever it is, lmms-eval cannot import it either
        return f"lmms-eval itself: {type(error).__name__}"
    return ""


if __name__ == "__main__":
    if sys.argv[1:] == [INSIDE]:
        try_all()
    else:
        sys.exit(main())
