"""Runs the babycli command line as its words say, with label files that nobody has published; for benchmarks/gpu.py.

    python benchmarks/gpu_command.py eval --model ...

Says on stderr the peaks of memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from babycli.cli import main
from babycli.data import manifest

PEAKS = "peaks of memory:"  # of this process in KiB, of the device in bytes


def run() -> int:
    peaks = [0]
    with mock.patch.object(manifest, "manifests", dict):
        if sys.argv[1] != "eval":
            return main(sys.argv[1:])
        import torch

        reset = torch.cuda.reset_peak_memory_stats

        def kept(device: object = None) -> None:
            peaks.append(torch.cuda.max_memory_allocated(device))  # type: ignore[arg-type]
            reset(device)  # type: ignore[arg-type]

        with mock.patch.object(torch.cuda, "reset_peak_memory_stats", kept):
            code = main(sys.argv[1:])
        if torch.cuda.is_available():
            peaks.append(torch.cuda.max_memory_allocated())
    peak_kib = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(PEAKS, peak_kib, max(peaks), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(run())
