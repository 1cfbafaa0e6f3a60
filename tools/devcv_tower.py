"""Trains the vision tower of the demo's DevCV model to say what lies where in a drawn picture.

Owns the tower's shape, its training, and the features that it gives. Never sees a question.

Pictures of 64 x 64 are enlarged to 224 x 224, where a patch of 56 x 56 has the content of 16 x 16. So the tower learns
on pictures that are reduced again, by a linear map that keeps patches apart, with a patch embedding of 16 x 16; at the
end that map is multiplied into the embedding, which then reads 56 x 56. It is the same tower, and thrice as fast.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from demo_pictures import COLOURS, SIZE, TOYS
from devcv_pictures import MOST, N_CELLS, View, draw
from torch import Tensor, nn
from torch.nn import functional

from babycli.models.parts.pixels import PixelSpec
from babycli.models.parts.vision import ViT, ViTSpec

SPEC = ViTSpec(hidden_size=64, layers=3, heads=4, patch_size=56)
BATCH_SIZE = 64
LEARNING_RATE = 3e-3
_NONE = 0  # the class of a patch in whose cell no toy has its centre


def reduced(pictures: Sequence[Tensor]) -> Tensor:
    """uint8 (64, 64, 3) each -> float32 (n, 3, 64, 64): enlarged and normalised as by pixels.py, and reduced."""
    spec = PixelSpec()
    mean, std = torch.tensor(spec.mean)[:, None, None], torch.tensor(spec.std)[:, None, None]
    enlarge = functional.interpolate(torch.eye(SIZE)[:, None], spec.size, mode="linear")[:, 0].T
    reduce = _reduction(spec.size, SIZE)
    rows = []
    for picture in pictures:
        large = enlarge @ picture.permute(2, 0, 1).float() @ enlarge.T
        rows.append(reduce @ ((large.round() / 255 - mean) / std) @ reduce.T)
    return torch.stack(rows)


def _reduction(size: int, to: int) -> Tensor:
    """Makes the matrix (to, size) that averages neighbours."""
    return functional.interpolate(torch.eye(size)[:, None], to, mode="area")[:, 0].T


def drawn(views: Sequence[View]) -> list[Tensor]:
    return [torch.from_numpy(np.array(draw(view))) for view in views]


@dataclass(frozen=True, slots=True)
class Shown:
    """What pictures show: in each patch the toy and colour whose centre is there, and of the whole picture."""

    kinds: Tensor  # (n, 16)
    colours: Tensor  # (n, 16)
    numbers: Tensor  # (n): how many toys
    only_kind: Tensor  # (n): of the only toy; of the first, where there are more
    only_colour: Tensor
    places: Tensor  # (n, 2): of the only toy, as shares of the edges

    @classmethod
    def of(cls, views: Sequence[View]) -> Shown:
        n = len(views)
        kinds, colours = (torch.full((n, N_CELLS * N_CELLS), _NONE) for _ in range(2))
        places = torch.zeros((n, 2))
        for row, view in enumerate(views):
            for toy in reversed(view.toys):
                x = 1 - toy.x if view.mirrored else toy.x
                y = 1 - toy.y if view.upside_down else toy.y
                column, line = (min(N_CELLS - 1, max(0, int(share * N_CELLS))) for share in (x, y))
                kinds[row, line * N_CELLS + column] = TOYS.index(toy.kind) + 1
                colours[row, line * N_CELLS + column] = list(COLOURS).index(toy.colour) + 1
                places[row] = torch.tensor((x, y))
        return cls(
            kinds,
            colours,
            torch.tensor([len(view.toys) for view in views]),
            torch.tensor([TOYS.index(view.toys[0].kind) for view in views]),
            torch.tensor([list(COLOURS).index(view.toys[0].colour) for view in views]),
            places,
        )


class Guesses(nn.Module):
    """Linear guesses on a tower's output at what a picture shows; used in training only."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.kinds = nn.Linear(size, len(TOYS) + 1)
        self.colours = nn.Linear(size, len(COLOURS) + 1)
        self.number = nn.Linear(size, MOST + 1)
        self.kind = nn.Linear(size, len(TOYS))
        self.colour = nn.Linear(size, len(COLOURS))
        self.place = nn.Linear(size, 2)

    def loss(self, features: Tensor, shown: Shown, chosen: Tensor) -> Tensor:
        whole, patches = features[:, 0], features[:, 1:].flatten(0, 1)
        alone = shown.numbers[chosen] == 1
        entropy = functional.cross_entropy
        return (
            4 * entropy(self.kinds(patches), shown.kinds[chosen].flatten())
            + 2 * entropy(self.colours(patches), shown.colours[chosen].flatten())
            + entropy(self.number(whole), shown.numbers[chosen])
            + entropy(self.kind(whole)[alone], shown.only_kind[chosen][alone])
            + entropy(self.colour(whole)[alone], shown.only_colour[chosen][alone])
            + 10 * functional.mse_loss(self.place(whole)[alone], shown.places[chosen][alone])
        )


def train_tower(views: Sequence[View], pixels: Tensor, steps: int, seed: int) -> ViT:
    """Trains a tower on reduced pictures; its patch embedding is (64, 3, 16, 16)."""
    torch.manual_seed(seed)
    tower = ViT(SPEC)
    tower.conv_proj = nn.Conv2d(3, SPEC.hidden_size, SIZE // N_CELLS, SIZE // N_CELLS)
    nn.init.normal_(tower.encoder.pos_embedding, std=0.02)
    nn.init.normal_(tower.class_token, std=0.02)
    guesses = Guesses(SPEC.hidden_size)
    shown = Shown.of(views)
    parameters = [*tower.parameters(), *guesses.parameters()]
    optimiser = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(seed)
    started = time.process_time()
    for step in range(steps):
        chosen = torch.randint(len(views), (BATCH_SIZE,), generator=generator)
        loss = guesses.loss(tower(pixels[chosen]), shown, chosen)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 250 == 249:
            print(f"tower: step {step + 1}  loss {loss.item():.3f}  {time.process_time() - started:.0f} s", flush=True)
    return tower.eval()


@torch.no_grad()
def features_of(tower: ViT, pixels: Tensor) -> Tensor:
    """(n, 3, 64, 64) -> (n, 17, 64)."""
    return torch.cat([tower(part) for part in torch.split(pixels, 256)])


@torch.no_grad()
def for_large_pictures(tower: ViT) -> ViT:
    """Gives the same tower for pictures of 224 x 224: the reduction goes into its patch embedding."""
    large = ViT(SPEC)
    weights = dict(tower.state_dict())
    reduce = _reduction(SPEC.patch_size, SIZE // N_CELLS)  # (16, 56)
    weights["conv_proj.weight"] = torch.einsum("ocij,ix,jy->ocxy", weights["conv_proj.weight"], reduce, reduce)
    large.load_state_dict(weights)
    return large.eval()
