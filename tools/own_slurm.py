"""A Slurm of two nodes on one machine, of which nothing is left when its process ends, however that comes about.

Owns its daemons, and the namespaces of Linux in which they live: with processes, a network and files of their own. Each
node has a name, an address and processes of its own, so that it can lose its power. Never knows what is run on it.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

PLACE = Path("/boot")  # every Linux has it, and no program reads it; the memory mounted there is these processes' own
NODES = ("node1", "node2")
ENDED = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL"}
_HEAD = "head"
_GPUS = ("null", "zero", "full", "random")  # devices of every Linux; Slurm does not look what they are
_PROGRAMS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "scancel",
    "scontrol",
    "sinfo",
    "srun",
    "setpriv",
    "unshare",
    "mount",
    "hostname",
)
_SUPERUSERS = os.pathsep + os.pathsep.join(["/usr/sbin", "/sbin"])  # where daemons are, and a user's shell may not look
_APART = ("unshare", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc")
_LIVES_APART = "BABYCLI_LIVES_APART"
_CONFIG = f"""\
ClusterName=own
SlurmctldHost={_HEAD}
SlurmUser={getpass.getuser()}
SlurmdUser={getpass.getuser()}
# cred_expire is also how long a job that is requeued waits: two minutes, if nothing is said.
AuthInfo=socket={PLACE}/munge/socket,cred_expire=5
StateSaveLocation={PLACE}/state
SlurmctldPidFile={PLACE}/slurmctld.pid
SlurmdPidFile={PLACE}/%n.pid
SlurmdSpoolDir={PLACE}/%n
SlurmdParameters=config_overrides
SlurmdTimeout=5
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
GresTypes=gpu
PartitionName=all Nodes=ALL Default=YES
"""


class SlurmError(Exception):
    """A command failed, or what was waited for did not come."""


def missing_programs() -> Sequence[str]:
    """Gives the names of the programs that are not installed."""
    os.environ["PATH"] += _SUPERUSERS
    return [program for program in _PROGRAMS if shutil.which(program) is None]


def live_apart() -> None:
    """Starts this program again in namespaces of its own, unless it is there already; PLACE is empty and its own there.

    The program is the first process there: when it ends, the kernel kills all others, and forgets their files. It dies
    with the one that started it, which no signal leaves waiting.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    if _LIVES_APART not in os.environ:
        as_user = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
        words = ["setpriv", "--pdeathsig=KILL", *_APART, "--net", *as_user, sys.executable, *sys.argv]
        sys.exit(subprocess.run(words, env=os.environ | {_LIVES_APART: "yes"}).returncode)
    run("mount", "-t", "tmpfs", "tmpfs", str(PLACE))
    os.chdir(PLACE)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


@dataclass(frozen=True, slots=True)
class Job:
    """A job, or an array of them."""

    number: str

    @property
    def states(self) -> set[str]:
        """In which states it is; several for an array."""
        return set(re.findall(r"\bJobState=(\w+)", run("scontrol", "--oneliner", "show", "job", self.number)))

    def wait_for(self, state: str, seconds: float) -> None:
        """Waits until all of it is in this state. Raises SlurmError if it ends in another."""
        wait_until(lambda: self.states == {state} or self.states <= ENDED, f"job {self.number} is {state}", seconds)
        if self.states != {state}:
            raise SlurmError(f"job {self.number} is {', '.join(self.states)}, should be {state}")

    def requeue(self) -> None:
        """Stops it, to be begun again."""
        run("scontrol", "requeue", self.number)

    def cancel(self, *words: str) -> None:
        """Ends it; ``words`` may name a signal."""
        run("scancel", *words, self.number)


class Slurm:
    """A running one, with the current folder on its disks. For a program that lives apart."""

    def __init__(self, n_cpus: int) -> None:
        """Starts it; each node has so many processors, as far as Slurm knows. Raises SlurmError."""
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        addresses = {name: f"10.0.0.{i}" for i, name in enumerate((_HEAD, *NODES), 1)}
        _connect(addresses)
        for folder in ("munge", "state", *NODES):
            (PLACE / folder).mkdir(mode=0o755)
        key = PLACE / "munge" / "key-file"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = [f"--{name}={key.with_name(name)}" for name in (key.name, "pid-file", "seed-file", "socket")]
        self._start("munged", "munged", "--foreground", "--force", *files)
        (PLACE / "gres.conf").write_text("".join(f"Name=gpu File=/dev/{name}\n" for name in _GPUS))
        nodes = [
            f"NodeName={name} NodeAddr={addresses[name]} Port={port} CPUs={n_cpus} Gres=gpu:{len(_GPUS)}\n"
            for port, name in enumerate(NODES, 6818)
        ]
        config = PLACE / "slurm.conf"
        config.write_text("".join([_CONFIG, *nodes]))
        os.environ["SLURM_CONF"] = str(config)
        self._start("slurmctld", "slurmctld", "-D")
        for name in NODES:
            self.switch_on(name)

    def switch_on(self, node: str) -> None:
        """Starts a node, and waits until Slurm knows it. Raises SlurmError."""
        self._start(node, *_APART, "sh", "-c", f"hostname {node}; slurmd -D -N {node}; exit $?")
        state = ("sinfo", "--noheader", f"--nodes={node}", "--format=%t")
        wait_until(lambda: run(*state).strip() in ("idle", "mix", "alloc"), f"{node} is there", 60)

    def switch_off(self, node: str) -> None:
        """Ends a node and all that runs there at once, as a power cut does."""
        self._daemons[node].kill()
        self._daemons[node].wait()

    def submit(self, script: Path, *words: str) -> Job:
        """Hands in a script; ``words`` are for sbatch."""
        return Job(run("sbatch", "--parsable", *words, str(script)).strip())

    def _start(self, name: str, *words: str) -> None:
        with (PLACE / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _connect(addresses: dict[str, str]) -> None:
    """Makes the network, which leads nowhere, and gives the addresses their names.

    127.0.0.1 is not enough: libraries that ask for addresses that are in use do not count it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS: up
        for i, address in enumerate(map(socket.inet_aton, addresses.values())):
            request = struct.pack("16sHH4s16x", f"lo:{i}".encode(), socket.AF_INET, 0, address)
            fcntl.ioctl(any_socket, 0x8916, request)  # SIOCSIFADDR
    hosts = PLACE / "hosts"
    hosts.write_text("".join(f"{ip} {name}\n" for name, ip in {"localhost": "127.0.0.1", **addresses}.items()))
    run("mount", "--bind", str(hosts), "/etc/hosts")
    run("hostname", _HEAD)


def wait_until(holds: Callable[[], bool], what: str, seconds: float) -> None:
    """Waits until something holds. Raises SlurmError after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SlurmError(f"waited in vain for {seconds:g} seconds until {what}")
        time.sleep(0.05)


def logs_of_daemons() -> str:
    """Gives the last of what each of them has said."""
    return "\n\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in sorted(PLACE.glob("*.log")))


def run(*words: str, folder: Path | None = None) -> str:
    """Runs a command, and gives its output. Raises SlurmError."""
    ran = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    if ran.returncode:
        raise SlurmError(f"{' '.join(words)}: exit code {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout
