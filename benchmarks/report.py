"""How long and how much memory `babycli report` takes over 500 runs of the full suite, in every format.

    python benchmarks/report.py [--runs 500]

Makes the logs (results, outcomes and run.json as babycli eval writes them, with as many trials as the published label
files have) in a temporary folder, then runs the command once for each format and says seconds, peak memory, and whether
torch was imported. The logs are in the page cache: what is timed is the command, start included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
FORMATS = ("table", "md", "csv", "json", "latex", "html")
_RUN = """
import sys
from babycli.cli import main
code = main(sys.argv[1:])
print("torch" if "torch" in sys.modules else "no torch", file=sys.stderr)
sys.exit(code)
"""


def make_logs(folder: Path, n_runs: int) -> None:
    """Checkpoints of a few training runs, each a little better than the one before."""
    sys.path.insert(0, str(ROOT))
    from tests.report.logs import drawn, write_run

    for i in range(n_runs):
        series, step = divmod(i, 25)
        share = 0.3 + 0.4 * step / 25
        shares = {
            "labeled_s": share,
            "vtwt": 0.3 + share,
            "baby_winoground": share / 2,
            "saycam_caption": 0.1 + share / 5,
        }
        write_run(folder, f"series{series:02}/checkpoint-{100 * (step + 1)}", drawn(i, shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    n_runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        logs = Path(name) / "logs"
        make_logs(logs, n_runs)
        print(f"| format | seconds | peak MiB | torch | bytes written |\n|---|---:|---:|---|---:|   {n_runs} runs")
        for form in FORMATS:
            output = Path(name) / f"report.{form}"
            command = [sys.executable, "-c", _RUN, "report", str(logs), "--format", form, "--output", str(output)]
            start = time.perf_counter()
            done = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
            assert done.stderr is not None
            said = done.stderr.read().splitlines()
            _, status, usage = os.wait4(done.pid, 0)
            seconds = time.perf_counter() - start
            if status:
                sys.exit("\n".join(said))
            size = output.stat().st_size
            print(f"| {form} | {seconds:.2f} | {usage.ru_maxrss / 1024:.0f} | {said[-1]} | {size:,} |", flush=True)


if __name__ == "__main__":
    main()
