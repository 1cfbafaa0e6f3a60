"""The memory that this process may use: of the machine, or of a batch job's share of it.

Owns reading the system's counters. Never allocates anything.
"""

from __future__ import annotations

import os
from pathlib import Path

from babycli.errors import MORE_MEMORY, DataError
from babycli.wording import whole_number

_TORCH_BYTES = 1 << 30  # of address space; with less, its libraries end the process, or raise anything, as they load


def free_bytes() -> int:
    """Gives the bytes that this process may use without swapping: of the machine or the job's share; 0 if not known.

    The processes of a run on one machine divide them.
    """
    rooms = [room for room in (_machine_bytes(), *map(_group_bytes, _GROUPS)) if room is not None]
    n_processes = whole_number(os.environ.get("LOCAL_WORLD_SIZE", "1")) or 1
    return max(0, min(rooms, default=0)) // n_processes


def address_space_bytes() -> int | None:
    """Gives the bytes that this process may map (``ulimit -v``); None if there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def check_address_space() -> None:
    """Checks, before torch is imported, that it can be. Raises DataError."""
    limit = address_space_bytes()
    if limit is not None and limit < _TORCH_BYTES:
        raise DataError(
            f"a process may have {limit >> 20:,} MiB of memory here (ulimit -v), and torch needs "
            f"{_TORCH_BYTES >> 20:,} MiB at least",
            MORE_MEMORY,
        )


# Limit and use of a container or batch job (cgroups 2 and 1), as seen from inside it.
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def _machine_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _group_bytes(files: tuple[str, str]) -> int | None:
    try:
        limit, used = (Path(file).read_text().strip() for file in files)
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdigit() else None
