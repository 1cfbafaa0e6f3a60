"""Runs what docs/cluster.md prints in a Slurm of its own, disturbs it, and compares the files with those of calm runs.

python tools/try_slurm.py       with Debian's packages munge, slurmctld, slurmd and slurm-client; no rights are needed

There are two nodes, and a process on each; Slurm takes other devices for GPUs. The numbers of processes and of
checkpoints are not the page's, all else is as it is printed there. The weights are random, the data are the demo's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from own_slurm import (
    ENDED,
    NODES,
    PLACE,
    Job,
    Slurm,
    SlurmError,
    live_apart,
    logs_of_daemons,
    missing_programs,
    run,
    wait_until,
)

from babycli.commands.demo import DOWNLOADS
from tests.docs.pages import DOCS, blocks, commands
from tests.evaluation.logs import final, only_run, read_json

PAGE = DOCS / "cluster.md"
PATIENCE = 600  # seconds, for machines that others use too
LOGS = Path("path/to/logs")
# Checkpoints of the array, and seeds: not every model of random weights writes captions.
CHECKPOINTS = {"checkpoint-100": 3, "checkpoint-200": 4, "checkpoint-1000": 5}
OF_ARRAY = {f"babyllava__{name}" for name in CHECKPOINTS}  # as logs call them
OF_JOB = {"to__checkpoint"}
A_PROCESS_EACH = "--ntasks-per-node=1"
FEWER = {"--nproc-per-node=4": "--nproc-per-node=1", "8": "2"}  # of what torchrun and accelerate are told


def main() -> int:
    """Runs all trials, and gives the exit code."""
    missing = missing_programs()
    if missing:
        print(f"not installed: {', '.join(missing)}\n  mend: apt install munge slurmctld slurmd slurm-client")
        return 2
    live_apart()
    os.environ |= {"PYTHONPATH": str(PAGE.parent.parent), "OMP_NUM_THREADS": "1"}
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    began = time.monotonic()
    try:
        trials = Trials(Slurm(n_cpus=32))
        for trial in (trials.requeue_and_lose_a_node, trials.stop_and_cancel, trials.share_a_cache, trials.by_hand):
            told = trial()
            print(f"{time.monotonic() - began:4.0f} s  {told}: the files are those of a calm run", flush=True)
    except SlurmError as error:
        said = [
            f"{log.parent.name}/{log.name}:\n{log.read_text()[-8000:]}" for log in sorted(PLACE.rglob("slurm-*.out"))
        ]
        print(*said, logs_of_daemons(), error, sep="\n\n")
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class Files:
    """What a run has written, without what tells when and in how many processes that was."""

    scores: Sequence[bytes]
    final: dict[str, Any]

    @classmethod
    def of(cls, logs: Path) -> Files:
        folder = only_run(logs)
        lines = [line for path in folder.glob("scores.rank*.jsonl") for line in path.read_bytes().splitlines()]
        return cls(sorted(lines), final(folder))


class Trials:
    """What is tried; each in a folder of its own, in which all is that the page names."""

    def __init__(self, slurm: Slurm) -> None:
        """Makes checkpoints and data, and evaluates them calmly."""
        self._slurm = slurm
        self._several, self._array = (block.lines for block in blocks(PAGE) if block.needs == "Slurm")
        _make_checkpoints()
        _link_data()
        _work_in("calm")
        for model in ("path/to/checkpoint", "runs/babyllava/checkpoint-*"):
            run("babycli", "eval", "--model", model, "--data", "path/to/dataset", "--output-path", str(LOGS))
        self._calm = {folder.name: Files.of(folder) for folder in LOGS.resolve().iterdir()}
        (self._n,) = (len(self._calm[model].scores) for model in OF_JOB)

    def requeue_and_lose_a_node(self) -> str:
        """Requeues a job in the middle, then cuts the power of one of its nodes: it goes on by itself each time."""
        _work_in("requeued")
        job = self._submit_several()
        self._reach_middle(job)
        job.requeue()
        job.wait_for("PENDING", seconds=PATIENCE)
        first = self._reach_middle(job)
        self._slurm.switch_off(NODES[1])
        job.wait_for("PENDING", seconds=PATIENCE)
        second = self._n_scores()
        self._slurm.switch_on(NODES[1])
        job.wait_for("COMPLETED", seconds=PATIENCE)
        self._compare(OF_JOB, [2, 2, 2])
        log = Path(f"slurm-{job.number}.out").read_text()
        for said in (f"\n{first} of {self._n} scores are on disk", "stopped after ", "ended before its work was done"):
            if said not in log:
                raise SlurmError(f"the log of the job does not say {said!r}")
        if "Traceback" in log:
            raise SlurmError("there is a traceback in the log of the job")
        return f"requeued at {first} of {self._n} scores, a node lost at {second}"

    def stop_and_cancel(self) -> str:
        """Ends a job as its time limit does, then by scancel: sbatch again goes on each time."""
        _work_in("stopped")
        n_scores = []
        for words, state in ((("--signal=TERM",), "FAILED"), ((), "CANCELLED")):
            job = self._submit_several()
            self._reach_middle(job)
            job.cancel(*words)
            job.wait_for(state, seconds=PATIENCE)
            n_scores.append(self._n_scores())
            if "the same command goes on" not in Path(f"slurm-{job.number}.out").read_text():
                raise SlurmError("babycli has not said its last word")
        self._submit_several().wait_for("COMPLETED", seconds=PATIENCE)
        self._compare(OF_JOB, [2, 2, 2])
        return f"SIGTERM at {n_scores[0]} of {self._n} scores, scancel at {n_scores[1]}"

    def share_a_cache(self) -> str:
        """Runs the array over the checkpoints; then once more, when the cache has all."""
        _work_in("array")
        script, words = _script("array.sh", self._array), f"--array=0-{len(CHECKPOINTS) - 1}"
        seconds: list[float] = []
        for logs in ("first", "second"):
            self._slurm.submit(script, words).wait_for("COMPLETED", seconds=PATIENCE)
            self._compare(OF_ARRAY, [1])
            seconds.append(sum(run["timings"]["vision"] for run in map(read_json, LOGS.rglob("run.json"))))
            LOGS.rename(logs)
        if not seconds[0] > seconds[1] == 0:
            raise SlurmError(f"with all in the cache, the towers worked for {seconds[1]} s")
        return f"an array over {len(CHECKPOINTS)} checkpoints with one cache, twice"

    def by_hand(self) -> str:
        """Starts torchrun and accelerate as somebody does who sits at both machines."""
        printed = [command.words for command in commands(PAGE) if command.needs == "two machines"]
        for launcher in ("torchrun", "accelerate"):
            _work_in(launcher)
            typed = [[FEWER.get(word, word) for word in words] for words in printed if words[0] == launcher]
            started = [
                subprocess.Popen(["srun", f"--nodelist={node}", "--output=slurm-%N.out", *typed[i % len(typed)]])
                for i, node in enumerate(NODES)
            ]
            for process in started:
                if process.wait(PATIENCE) != 0:
                    raise SlurmError(f"{launcher} ended with exit code {process.returncode}")
            self._compare(OF_JOB, [2])
        return "torchrun and accelerate by hand"

    def _submit_several(self) -> Job:
        return self._slurm.submit(_script("several.sh", self._several), A_PROCESS_EACH)

    def _n_scores(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in LOGS.rglob("scores.rank*.jsonl"))

    def _reach_middle(self, job: Job) -> int:
        """Waits until it has added scores to those that were there, whose number it gives. Raises SlurmError."""
        before = self._n_scores()
        wait_until(lambda: self._n_scores() > before or job.states <= ENDED, "there are more scores", PATIENCE)
        now = self._n_scores()
        if not before < now < self._n:
            raise SlurmError(
                f"job {job.number} is not in its middle: it began at {before} of {self._n} scores, has {now}"
            )
        return before

    def _compare(self, models: Set[str], n_processes: Sequence[int]) -> None:
        """Compares the runs of these models, which had sessions of so many processes. Raises SlurmError."""
        if {folder.name for folder in LOGS.iterdir()} != models:
            raise SlurmError(f"{LOGS.resolve()} has not the runs of {', '.join(sorted(models))}")
        for model in models:
            calm, found = self._calm[model], Files.of(LOGS / model)
            if found != calm:
                others = [name for name, content in calm.final.items() if found.final.get(name) != content]
                raise SlurmError(f"{model} is not as in a calm run: {', '.join(others) or 'its scores'}")
            sessions = read_json(only_run(LOGS / model) / "run.json")["sessions"]
            if [session["n_processes"] for session in sessions] != n_processes:
                raise SlurmError(f"{model} has had {len(sessions)} sessions, not of {n_processes} processes")


def _work_in(name: str) -> None:
    """Goes to a new folder, in which all is that the page names."""
    folder = PLACE / "work" / name
    for link in ("path/to/checkpoint", "path/to/dataset", "runs/babyllava"):
        (folder / link).parent.mkdir(parents=True, exist_ok=True)
        (folder / link).symlink_to(PLACE / Path(link).name)
    os.chdir(folder)


def _script(name: str, lines: Sequence[str]) -> Path:
    script = Path(name)
    script.write_text("\n".join([*lines, ""]))
    return script


def _make_checkpoints() -> None:
    from tests.checkpoints import DEMO_WORDS, TOWER_SHAPE, write_checkpoint  # brings torch, which takes seconds

    for name, seed in CHECKPOINTS.items():
        write_checkpoint(PLACE / "babyllava" / name, DEMO_WORDS, seed=seed)
    slow = TOWER_SHAPE | {"width": 64, "expansion": 0.125}  # so that a run can be met in its middle
    write_checkpoint(PLACE / "checkpoint", DEMO_WORDS, tower=slow)


def _link_data() -> None:
    downloads = PLACE / "downloads"
    with zipfile.ZipFile(DOWNLOADS) as archive:
        archive.extractall(downloads)
    words = ["babycli", "data", "link", "saycam_images", "--labeled-s", "labeled_s_images"]
    words += ["--synthetic", "synthetic_images", "--from", "labels", "--data", str(PLACE / "dataset")]
    run(*words, folder=downloads)


if __name__ == "__main__":
    sys.exit(main())
