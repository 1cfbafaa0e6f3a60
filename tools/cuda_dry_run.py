"""Runs every family of models on a GPU that is not there, and tells where it would go wrong or wait.

python tools/cuda_dry_run.py [--planted | --record]

    --planted   only shows that planted mistakes are found, one of each kind
    --record    writes the transfers and waits of all steps into cuda_dry_run.json, to which later runs are held

Models are small and random. Each encodes pictures, scores (several answers to one context, several pictures, a second
turn) and writes, on "cuda" and "cuda:1", in float32, float16 and bfloat16. The tensors say that they lie on the GPU and
hold their numbers on the CPU (tests/models/dry_run/pretended_device.py), so all values are real. It ends with 1 where

    a tensor is on another device than the one it meets, or than the one that was asked for
    a weight, or what goes into or comes out of a layer, is in another dtype than the one asked for
    a log-softmax is not in float32
    a step has another number of transfers or waits than is recorded, or one that grows with the rows

`make test` does a part of this without torch's CUDA build, on a device that it calls "meta:1".

It cannot see what needs a real GPU: memory, speed, the rounding of CUDA's kernels and the dtypes that one of them
lacks, races between streams, device_map=auto, load_in_4bit, NCCL. A copy stands in for pinned memory. It does not look
at a dtype between two layers, at networks that the package of open_clip builds, or at wrappers of lmms-eval, which
bring their own. What transformers itself transfers or waits for is recorded, but may grow with the rows.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
DEVICES = ("cuda", "cuda:1")
DTYPES = ("float32", "float16", "bfloat16")
MEND = "make cuda-dry-run"


def main() -> int:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = words.add_mutually_exclusive_group()
    what.add_argument("--planted", action="store_true")
    what.add_argument("--record", action="store_true")
    given = words.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "critical"}
    import torch

    if torch.version.cuda is None:
        print(f"torch {torch.__version__} has no CUDA build: it cannot name the device 'cuda'", file=sys.stderr)
        print(f"  mend: {MEND}    makes an environment that has one, 6 GB, and needs no GPU", file=sys.stderr)
        return 2
    sys.path.insert(0, str(REPOSITORY))
    torch.set_num_threads(1)
    begin = time.monotonic()
    n_wrong = 0 if given.planted else _try_all(given.record)
    n_wrong += 0 if given.record else _try_planted()
    print(f"{'all is well' if not n_wrong else f'{n_wrong} wrong'}, {time.monotonic() - begin:.0f} seconds")
    return 1 if n_wrong else 0


def _try_all(records: bool) -> int:
    """Tries all models, prints a line for each and its mistakes, and gives the number of those that went wrong."""
    from tests.models.dry_run.checkpoints import CASES
    from tests.models.dry_run.records import record, recorded
    from tests.models.dry_run.steps import Counts, differences, try_model

    found: dict[str, Counts] = {}
    n_wrong, before = 0, {} if records else recorded()
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory(prefix="babycli-dry-run-") as home:
            source = str(case.write(Path(home)))
            for device in DEVICES:
                for dtype in DTYPES:
                    tried = try_model(case, source, device, dtype)
                    expected = found.setdefault(name, tried.counts) if records else before.get(name, {})
                    told = [*tried.mistakes, *differences(tried.counts, expected)]
                    n_calls = sum(n for counts in tried.counts.values() for n in counts.values())
                    print(
                        f"{name:24} {device:7} {dtype:9} {len(tried.counts):3} steps, {n_calls:3} transfers and waits"
                        f"  {'WRONG' if told else 'ok'}",
                        *told,
                        sep="\n    ",
                        flush=True,
                    )
                    n_wrong += bool(told)
    if records and not n_wrong:
        record(found)
    return n_wrong


def _try_planted() -> int:
    """Plants one mistake after another, prints what is told of each, and gives the number of those not found."""
    from tests.models.dry_run.checkpoints import CASES
    from tests.models.dry_run.mistakes import CASE, PLANTED
    from tests.models.dry_run.records import recorded
    from tests.models.dry_run.steps import differences, try_model

    n_missed = 0
    with tempfile.TemporaryDirectory(prefix="babycli-dry-run-") as home:
        source = str(CASES[CASE].write(Path(home)))
        for mistake, planted in PLANTED.items():
            with planted.plant():
                tried = try_model(CASES[CASE], source, DEVICES[-1], DTYPES[-1])
            told = [*tried.mistakes, *differences(tried.counts, recorded()[CASE])]
            found = [text for text in told if planted.found_in([text])]
            print(f"planted: {mistake:36} {'found' if found else 'NOT FOUND'}", *(found or told)[:1], sep="\n    ")
            n_missed += not found
    return n_missed


if __name__ == "__main__":
    sys.exit(main())
