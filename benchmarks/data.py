"""Times the data side against the standard library and sha256sum, as ratios measured in one run.

    python benchmarks/data.py [--files 60000] [--entries 600285] [--folder DIR]

Makes its files (about 23 KB each, seeded) and zips in a temporary folder. Every figure is the best of three, warm.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from babycli.data.images import ImageStore, open_store

REPEATS = 3
READS = 10_000
OPEN_OURS = "from pathlib import Path; from babycli.data.zips import ZipArchive; archive = ZipArchive(Path({!r}))"
OPEN_THEIRS = "import zipfile; archive = zipfile.ZipFile({!r})"
MEASURED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t, {})"
# Not getrusage: its peak is the parent's where that was larger. Linux only.
PEAK_MIB = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024"


def make_files(folder: Path, n_files: int) -> list[str]:
    rng = random.Random(1)
    blob = rng.randbytes(1 << 20)
    names = [f"S_20140420_1803_{i // 100:05d}_{i % 100:02d}_00.jpg" for i in range(n_files)]
    folder.mkdir()
    for i, name in enumerate(names):
        start, length = rng.randrange(1 << 19), int(rng.gauss(22_800, 4_000))
        (folder / name).write_bytes(i.to_bytes(4, "big") + blob[start : start + max(1, length)])
    return names


def best_s(action: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def opening(code: str) -> tuple[float, float]:
    """Seconds and peak MiB of a fresh interpreter that opens a zip."""
    words = [sys.executable, "-c", MEASURED.format(code, PEAK_MIB)]
    runs = [tuple(map(float, subprocess.check_output(words, text=True).split())) for _ in range(REPEATS)]
    return min(run[0] for run in runs), min(run[1] for run in runs)


def reads(store: ImageStore, names: list[str], workers: int) -> None:
    chunks = [names[i : i + 256] for i in range(0, len(names), 256)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda chunk: [len(store.read(name)) for name in chunk], chunks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--entries", type=int, default=600_285)
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        work = Path(temporary)
        names = make_files(work / "files", options.files)
        with zipfile.ZipFile(work / "files.zip", "w") as archive:
            for name in names:
                archive.write(work / "files" / name, name)
        with zipfile.ZipFile(work / "entries.zip", "w") as archive:
            for i in range(options.entries):
                archive.writestr(zipfile.ZipInfo(f"S_20140420_1803_{i // 100:05d}_{i % 100:02d}_00.jpg"), b"%d" % i)

        path = str(work / "entries.zip")
        (ours_s, ours_mib), (theirs_s, theirs_mib) = opening(OPEN_OURS.format(path)), opening(OPEN_THEIRS.format(path))
        print(f"| open a zip of {options.entries:,} | {ours_s:.2f} s, {ours_mib:.0f} MiB", end=" | ")
        print(f"`zipfile` {theirs_s:.2f} s, {theirs_mib:.0f} MiB | {theirs_s / ours_s:.1f} times as fast |")

        listing = "\n".join(names)
        sums = ["xargs", "-P2", "-n512", "sha256sum"]
        theirs_s = best_s(
            lambda: subprocess.run(sums, input=listing, text=True, cwd=work / "files", stdout=subprocess.DEVNULL)
        )
        for source in ("files", "files.zip"):
            words = ["data", "manifest", str(work / source), "-o", str(work / "list")]
            command = [sys.executable, "-m", "babycli", *words]
            ours_s = best_s(lambda words=command: subprocess.run(words, check=True, stderr=subprocess.DEVNULL))  # type: ignore[misc]
            print(f"| `data manifest`, {options.files:,} files, {source} | {ours_s:.2f} s", end=" | ")
            print(f"`sha256sum`, two at a time {theirs_s:.2f} s | {theirs_s / ours_s:.2f} times as fast |")

        chosen = random.Random(2).choices(names, k=READS)
        for workers in (1, 2):
            folder, zipped = (open_store(work / source, names) for source in ("files", "files.zip"))
            folder_s = best_s(lambda store=folder, n=workers: reads(store, chosen, n))  # type: ignore[misc]
            zip_s = best_s(lambda store=zipped, n=workers: reads(store, chosen, n))  # type: ignore[misc]
            print(f"| {READS:,} random reads from a zip, {workers} threads | {zip_s:.2f} s", end=" | ")
            print(f"from a folder {folder_s:.2f} s | {folder_s / zip_s:.2f} times as fast |")


if __name__ == "__main__":
    main()
