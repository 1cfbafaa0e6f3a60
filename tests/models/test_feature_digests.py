"""Digests of what a model sees: the same for the same, others for others, however small the difference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from babycli.models.parts.feature_digests import row_digests
from tests.models.dry_run.checkpoints import CASES
from tests.models.dry_run.pretended_device import TO_HOST, PretendedDevice
from tests.models.loading import load, picture


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_are_told_apart_by_any_single_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    row = torch.randn(7, 33, generator=generator).to(dtype)
    changed = []
    n_bits = 8 * row.element_size()
    for i in range(0, row.numel(), 5):
        for bit in range(n_bits):
            whole = row.clone().view(torch.int32 if n_bits == 32 else torch.int16)
            flag = -(1 << bit) if bit == n_bits - 1 else 1 << bit
            whole.view(-1)[i] ^= flag
            changed.append(whole.view(dtype))
    found = row_digests(torch.stack([row, row.clone(), *changed]))
    assert found[0] == found[1]
    assert len(set(found)) == len(changed) + 1


def test_a_digest_does_not_depend_on_the_batch() -> None:
    rows = torch.randn(5, 4, 9, generator=torch.Generator().manual_seed(2))
    assert row_digests(rows) == [row_digests(row[None])[0] for row in rows]
    assert len(row_digests(rows.transpose(1, 2))[0]) == 16
    assert set(row_digests(rows.flip(1))).isdisjoint(row_digests(rows))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["babyllava", "babyllava, Llama", "babyllava, V2", "llava", "llava, of transformers"])
def test_features_are_the_same_by_way_of_what_a_tower_saw(name: str, dtype: str, tmp_path: Path) -> None:
    """A tower gives its positions in another order of memory than they have when they come back from the machine."""
    model = load(CASES[name].write(tmp_path), dtype=dtype)
    assert model.info.abilities.shares_vision
    pixels = [model.preprocess(picture(seed)) for seed in range(3)]
    seen = model.encode_seen(model.see(pixels))
    assert [one.digest for one in model.encode(pixels)] == [one.digest for one in seen]


def test_only_the_digests_pass_between_a_gpu_and_the_machine() -> None:
    rows = torch.randn(5, 4, 11, generator=torch.Generator().manual_seed(3))
    device = PretendedDevice("meta:1")
    with device.pretending():
        placed = rows.to("meta:1")
        first = row_digests(placed)
        device.counts.clear()
        assert row_digests(placed) == first == row_digests(rows)
    assert device.counts == {TO_HOST: 1}
