"""Times the data side against the standard library, sha256sum and a bare loop, as ratios measured in one run.

    python benchmarks/data.py [--files 60000] [--entries 600285] [--folder DIR]

Makes its files (about 23 KB each, seeded) and zips in a temporary folder. Every figure is the best of several, warm,
both sides by turns; those of commands are of whole processes, start included, except where "in a running interpreter"
says that verify was called as a function.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from babycli.data.images import ImageStore, open_store
from babycli.data.workers import map_in_processes

REPEATS = 5
READS = 10_000
CHUNK = 256
MEASURED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t, {})"
OPEN_OURS = "from pathlib import Path; from babycli.data.zips import ZipArchive; archive = ZipArchive(Path({!r}), {})"
OPEN_THEIRS = "import zipfile; archive = zipfile.ZipFile({!r})"
# Not getrusage: its peak is the parent's where that was larger. Linux only.
PEAK_MIB = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024"
VERIFYING = """
import time
from pathlib import Path
from babycli.data.checksums import ChecksumFile
from babycli.data.verify import Options, verify_source
start = time.perf_counter()
options = Options(manifest=ChecksumFile.open(Path({!r})), use_index=False)
verified = verify_source(Path({!r}), options, Path({!r}), lambda n: None)
print(time.perf_counter() - start, verified.n_files, len(verified.problems))
"""
COMMAND = f"""
import sys
from babycli.cli import main
code = main(sys.argv[1:])
print({PEAK_MIB}, file=sys.stderr)
sys.exit(code)
"""


def name_of(i: int) -> str:
    return f"S_20140420_1803_{i // 100:05d}_{i % 100:02d}_00.jpg"


def make_files(folder: Path, n_files: int) -> list[str]:
    rng = random.Random(1)
    blob = rng.randbytes(1 << 20)
    folder.mkdir()
    for i in range(n_files):
        start, length = rng.randrange(1 << 19), int(rng.gauss(22_800, 4_000))
        (folder / name_of(i)).write_bytes(i.to_bytes(4, "big") + blob[start : start + max(1, length)])
    return [name_of(i) for i in range(n_files)]


def best_s(*actions: Callable[[], object]) -> list[float]:
    """The best time of each, the actions by turns."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(REPEATS):
        for of_action, action in zip(times, actions, strict=True):
            start = time.perf_counter()
            action()
            of_action.append(time.perf_counter() - start)
    return [min(of_action) for of_action in times]


def opening(code: str) -> tuple[float, float]:
    """Seconds and peak MiB of a fresh interpreter that opens a zip."""
    words = [sys.executable, "-c", MEASURED.format(code, PEAK_MIB)]
    runs = [tuple(map(float, subprocess.check_output(words, text=True).split())) for _ in range(REPEATS)]
    return min(run[0] for run in runs), min(run[1] for run in runs)


def babycli(words: Sequence[object]) -> float:
    """Runs a command; the peak MiB of its own process."""
    command = [sys.executable, "-c", COMMAND, *map(str, words)]
    ran = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return float(ran.stderr.split()[-1])


def hash_bare(folder: str, names: Sequence[str]) -> None:
    """The floor: what any program must do."""
    buffer = memoryview(bytearray(1 << 18))
    for name in names:
        path = f"{folder}/{name}"
        os.stat(path)  # noqa: PTH116
        fd = os.open(path, os.O_RDONLY)
        n = os.readv(fd, (buffer,))
        os.close(fd)
        hashlib.sha256(buffer[:n]).hexdigest()


def floor(folder: Path, names: Sequence[str]) -> None:
    n = os.cpu_count() or 1
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=hash_bare, args=(str(folder), names[i::n])) for i in range(n)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def read_all(store: ImageStore, names: Sequence[str]) -> int:
    return sum(len(store.read(name)) for name in names)


def reads(store: ImageStore, names: list[str], workers: int) -> None:
    """Chosen names, in as many processes; one reads in this one."""
    chunks = [names[i::workers] for i in range(workers)]
    list(map_in_processes(read_all, store, chunks))


def row(what: str, ours: str, theirs: str, ratio: str, goal: str = "") -> None:
    print(f"| {what} | {ours} | {theirs} | {ratio} | {goal} |", flush=True)


def measure_zip_opening(work: Path, n_entries: int) -> None:
    with zipfile.ZipFile(work / "entries.zip", "w") as archive:
        for i in range(n_entries):
            archive.writestr(zipfile.ZipInfo(name_of(i)), b"%d" % i)
    path = str(work / "entries.zip")
    ours_s, ours_mib = opening(OPEN_OURS.format(path, None))
    index = f"Path({str(work / 'index')!r})"
    opening(OPEN_OURS.format(path, index))
    again_s, again_mib = opening(OPEN_OURS.format(path, index))
    theirs_s, theirs_mib = opening(OPEN_THEIRS.format(path))
    theirs = f"`zipfile` {theirs_s:.2f} s, {theirs_mib:.0f} MiB"
    what = f"open a zip of {n_entries:,}"
    row(what, f"{ours_s:.2f} s, {ours_mib:.0f} MiB", theirs, f"{theirs_s / ours_s:.1f}", "≤ 1 s, ≤ 150 MB")
    row(f"{what}, with its index", f"{again_s:.2f} s, {again_mib:.0f} MiB", theirs, f"{theirs_s / again_s:.0f}")


def measure_hashing(work: Path, names: list[str]) -> None:
    files, zipped, listing = work / "files", work / "files.zip", work / "list"
    babycli(["data", "manifest", files, "-o", listing])
    inside: list[float] = []

    def verify() -> None:
        babycli(["data", "verify", files, "--manifest", listing, "--no-index", "--data", work / "none"])

    def verify_inside() -> None:
        code = VERIFYING.format(str(listing), str(files), str(work / "none"))
        seconds, *counts = subprocess.check_output([sys.executable, "-c", code], text=True).split()
        assert counts == [str(len(names)), "0"]
        inside.append(float(seconds))

    def sha256sum() -> None:
        words = ["xargs", "-P2", "-n512", "sha256sum"]
        subprocess.run(words, input="\n".join(names), text=True, cwd=files, stdout=subprocess.DEVNULL, check=True)

    def verify_zip() -> None:
        babycli(["data", "verify", zipped, "--manifest", listing, "--no-index", "--data", work / "none"])

    def manifest() -> None:
        babycli(["data", "manifest", files, "-o", listing])

    ours_s, theirs_s, floor_s, zip_s, manifest_s, _ = best_s(
        verify, sha256sum, lambda: floor(files, names), verify_zip, manifest, verify_inside
    )
    inside_s = min(inside)
    what = f"`data verify`, {len(names):,} files, all read"
    sums, bare = f"`sha256sum`, two at a time, {theirs_s:.2f} s", f"a bare loop on each core, {floor_s:.2f} s"
    row(what, f"{ours_s:.2f} s", sums, f"{theirs_s / ours_s:.2f}", "≥ 2")
    row(what, f"{ours_s:.2f} s", bare, f"{floor_s / ours_s:.2f}", "≥ 0.75")
    what = f"the same in a running interpreter, {len(names):,} files"
    row(what, f"{inside_s:.2f} s", sums, f"{theirs_s / inside_s:.2f}", "≥ 2")
    row(what, f"{inside_s:.2f} s", bare, f"{floor_s / inside_s:.2f}", "≥ 0.75")
    row(f"`data manifest`, {len(names):,} files", f"{manifest_s:.2f} s", sums, f"{theirs_s / manifest_s:.2f}")
    row("`data verify` of the same files in a zip", f"{zip_s:.2f} s", f"in a folder, {ours_s:.2f} s",
        f"{ours_s / zip_s:.2f}", "≥ 0.8")  # fmt: skip


def measure_second_verify(work: Path, n_entries: int) -> None:
    many, listing = work / "many", work / "many.list"
    many.mkdir()
    for i in range(n_entries):
        (many / name_of(i)).write_bytes(b"%d" % i)
    time.sleep(2.1)  # younger files are not trusted
    babycli(["data", "manifest", many, "-o", listing])
    words = ["data", "verify", many, "--manifest", listing, "--data", work / "none"]
    start = time.perf_counter()
    babycli(words)
    first_s = time.perf_counter() - start
    mib = 0.0

    def again() -> None:
        nonlocal mib
        mib = babycli(words)

    (again_s,) = best_s(again)
    what = f"`data verify` again, {n_entries:,} files, none changed"
    row(what, f"{again_s:.2f} s, {mib:.0f} MiB", f"the first time, {first_s:.2f} s", f"{first_s / again_s:.1f}",
        "≤ 3 s, ≤ 150 MB")  # fmt: skip


def measure_random_reads(work: Path, names: list[str]) -> None:
    chosen = random.Random(2).choices(names, k=READS)
    folder, zipped = (open_store(work / source, names) for source in ("files", "files.zip"))
    for workers in (1, 2):
        folder_s, zip_s = best_s(
            lambda n=workers: reads(folder, chosen, n),  # type: ignore[misc]
            lambda n=workers: reads(zipped, chosen, n),  # type: ignore[misc]
        )
        what = f"{READS:,} random reads from a zip, {workers} {'process' if workers == 1 else 'processes'}"
        row(what, f"{zip_s:.2f} s", f"from a folder, {folder_s:.2f} s", f"{folder_s / zip_s:.2f}", "≥ 0.8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--entries", type=int, default=600_285)
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        work = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs is compiled, once
        names = make_files(work / "files", options.files)
        with zipfile.ZipFile(work / "files.zip", "w") as archive:
            for name in names:
                archive.write(work / "files" / name, name)
        row("what", "babycli", "against", "times as fast", "goal")
        row("---", "---", "---", "---", "---")
        measure_zip_opening(work, options.entries)
        measure_hashing(work, names)
        measure_random_reads(work, names)
        measure_second_verify(work, options.entries)


if __name__ == "__main__":
    main()
