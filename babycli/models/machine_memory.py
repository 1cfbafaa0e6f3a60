"""The memory that this process may use: of the machine, or of a batch job's share of it.

Owns reading the system's counters. Never allocates anything.
"""

from __future__ import annotations

import os
from pathlib import Path

from babycli.wording import whole_number


def free_bytes() -> int:
    """Gives the bytes that this process may use without swapping: of the machine or the job's share; 0 if not known.

    The processes of a run on one machine divide them.
    """
    rooms = [room for room in (_machine_bytes(), *map(_group_bytes, _GROUPS)) if room is not None]
    n_processes = whole_number(os.environ.get("LOCAL_WORLD_SIZE", "1")) or 1
    return max(0, min(rooms, default=0)) // n_processes


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
