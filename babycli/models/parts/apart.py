"""Running Python in a process of its own, with limits: for libraries that a stranger's file can crash or keep for ever.

Owns how such a process is started, and how much memory it may have. Never knows what it does.
"""

from __future__ import annotations

import sys

_LIMITED = """
import sys
sys.path[:] = {path!r}
try:
    import resource
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    most = {n_bytes} if most == resource.RLIM_INFINITY else min(most, {n_bytes})
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
"""


def command(script: str, n_bytes: int, *words: str) -> list[str]:
    """Gives the command that runs a script with the packages of this process, and at most so much address space.

    The ``words`` are its ``sys.argv[1:]``. Nothing in the environment or in the working folder changes what it imports.
    """
    return [sys.executable, "-I", "-c", _LIMITED.format(path=sys.path, n_bytes=n_bytes) + script, *words]
