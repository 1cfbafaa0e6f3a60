"""The pretended device of the dry run: it computes what the CPU does, and sees what a GPU would refuse or wait for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.models.dry_run.pretended_device import TO_DEVICE, TO_HOST, WAIT, PretendedDevice

DEVICE, OTHER = "meta:1", "meta:0"


def test_a_network_computes_what_it_does_on_the_cpu() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.LazyLinear(4), nn.LayerNorm(4))
    pixels = torch.randn(2, 3, 6, 6)
    expected = network(pixels).argmax(-1).tolist(), network(pixels)[1, 2].item()
    device = PretendedDevice(DEVICE)
    with device.pretending(), torch.inference_mode():
        moved = network.to(DEVICE)
        device.counts.clear()
        out = moved(pixels.to(DEVICE))
        assert str(out.device) == DEVICE
        assert (out.argmax(-1).tolist(), out[1, 2].item()) == expected
    assert device.counts == {TO_DEVICE: 1, TO_HOST: 1, WAIT: 1}


@pytest.mark.parametrize(
    ("work", "counts"),
    [
        (lambda x: x.cpu(), {TO_HOST: 1}),
        (lambda x: x.tolist(), {TO_HOST: 1}),
        (lambda x: torch.zeros(3).copy_(x), {TO_HOST: 1}),
        (lambda x: bool((x > 0).all()), {WAIT: 1}),
        (lambda x: [float(value) for value in x], {WAIT: 3}),
        (lambda x: x[x > 1], {WAIT: 1}),
        (lambda x: x.nonzero(), {WAIT: 1}),
        (lambda x: x + torch.ones(3).pin_memory().to(DEVICE, non_blocking=True), {TO_DEVICE: 1}),
        (lambda x: x * torch.tensor([1, 2, 3], device=x.device), {TO_DEVICE: 1}),
        (lambda x: x[torch.tensor([0, 2])], {TO_DEVICE: 1}),
        (lambda x: x.index_put((torch.tensor([0, 1]),), torch.tensor(1.0)), {TO_DEVICE: 1}),
        (lambda x: torch.tensor([x[0], x[1]], device=x.device), {WAIT: 2, TO_DEVICE: 1}),
        (lambda x: x * 2 + torch.arange(3, device=x.device).softmax(-1, torch.float32).to(x.dtype), {}),
    ],
)
def test_what_passes_between_device_and_machine_is_counted(
    work: Callable[[Tensor], object], counts: dict[str, int]
) -> None:
    device = PretendedDevice(DEVICE)
    with device.pretending():
        x = torch.tensor([0.5, 1.5, 2.5], device=DEVICE)
        device.counts.clear()
        work(x)
    assert device.counts == counts


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: nn.Linear(3, 2)(x),
        lambda x: torch.ones(3)[x.long()],
        lambda x: x.index_put((torch.tensor([0, 1]),), torch.ones(2)),
        lambda x: x + torch.ones(3, device=OTHER),
        lambda x: torch.ones(3).to(OTHER),
        lambda x: x.to(OTHER),
    ],
)
def test_tensors_on_two_devices_are_refused(work: Callable[[Tensor], object]) -> None:
    device = PretendedDevice(DEVICE)
    with device.pretending(), pytest.raises(RuntimeError, match=r"same device|goes (to|from)"):
        work(torch.ones(3, device=DEVICE))


def test_it_is_gone_afterwards() -> None:
    with PretendedDevice(DEVICE).pretending():
        assert torch.ones(2, device=DEVICE).tolist() == [1, 1]
    assert torch.ones(2, device=DEVICE).is_meta
    assert type(torch.ones(2, device=DEVICE)) is Tensor
    assert type(nn.Linear(1, 1).to(torch.float64).weight) is nn.Parameter
