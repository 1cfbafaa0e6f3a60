"""Every file that a user may give is opened in files.py, which refuses what is none: nothing is opened elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import babycli

PRODUCT = Path(babycli.__file__).parent
OPENING = {"open", "read_text", "read_bytes", "ZipFile", "load_file", "safe_open", "exec_module"}
OF_LIBRARIES = {"torch.load", "numpy.load", "np.load", "os.fdopen"}
NOT_FILES = {"Image.open", "ChecksumFile.open", "Tree.open"}  # bytes that were read, or another name for open_to_read

ALLOWED = {
    # babycli's own files
    "commands/completion.py": {"script_of(_shell(context, SHOW)).read_text", "place.open"},  # to append, behind a check
    "commands/demo.py": {"zipfile.ZipFile"},
    "data/manifest.py": {"(manifests_folder() / f'{name}.json').read_bytes"},
    "interop/lmms/bridge.py": {"(Path(__file__).parent / 'bridge_files' / name).read_text"},
    "interop/lmms/demo_data.py": {"zipfile.ZipFile"},
    "interop/lmms/submission.py": {"_SOURCE.read_text"},
    "report/baselines.py": {"(manifests_folder() / 'baselines.json').read_bytes"},
    "report/html.py": {"(_HERE / name).read_text"},
    "tasks/meteor.py": {"path.read_bytes"},
    # of the system
    "commands/streams.py": {"open", "os.open"},  # numbers of streams, and /dev/null
    "data/decoding.py": {"os.open"},  # /dev/null
    "models/machine_memory.py": {"Path('/proc/meminfo').read_text", "Path(file).read_text"},
    # checked in their own way, as they are opened
    "data/checksums.py": {"path.open"},  # a pipe that the shell has opened
    "data/images.py": {"os.open", "os.fdopen"},  # a file of thousands: without waiting, and its kind is looked at
    "data/index.py": {"os.open"},  # to write, behind a check
    "evaluation/cache.py": {"path.open"},  # a new file
    "interop/lmms/bridge_files/documents.py": {"Path(path).read_bytes"},  # without babycli, behind a check
    "logs/runlog.py": {"self._scores_path.open"},  # to append, behind a check
    # code that was read by FromSource
    "foreign.py": {"spec.loader.exec_module"},
    "interop/lmms/wrapper.py": {"loader.exec_module"},
    # weights, whose kind and size are checked when they are found and hashed
    "models/parts/checkpoint.py": {"load_file", "safe_open", "torch.load"},
    "models/parts/lightning.py": {"torch.load"},
    "models/parts/pickles.py": {"zipfile.ZipFile"},
}


def calls_that_open(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            last = function.rpartition(".")[2]
            if (last in OPENING or function in OF_LIBRARIES) and function not in NOT_FILES:
                found.add(function)
    return found


def test_files_are_opened_in_one_place() -> None:
    found = {str(path.relative_to(PRODUCT)): calls_that_open(path) for path in sorted(PRODUCT.rglob("*.py"))}
    del found["files.py"]
    assert {name: calls for name, calls in found.items() if calls} == ALLOWED
