"""Trains `babyllava-tiny`, the small BabyLLaVA-format model that comes with babycli, and writes it.

    python tools/train_demo_model.py [--steps 500] [--seed 7] [--output babycli/demo/babyllava-tiny]

Needs babycli's own dependencies and nothing else; about 5 minutes on two cores. The pictures are drawn by
demo_pictures.py from seeds "train:<n>"; the demo's own pictures come from seeds "demo:<n>", so the model is
evaluated on pictures it has never seen.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from demo_pictures import COLOURS, GROUNDS, SIZE, TOYS, draw, random_scene
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from babycli.models.parts.llava_network import LlavaNetwork
from babycli.models.parts.pixels import PixelSpec
from babycli.models.parts.towers import Tower
from babycli.models.parts.vision import ResNeXt, ResNeXtSpec, projector

SPECIAL = ("<pad>", "<unk>", "<sos>", "<eos>")
TOWER = ResNeXtSpec(depths=(1, 1, 1, 1), stem_channels=12, width=24, groups=4, expansion=1.0)
HIDDEN = 96


def vocabulary() -> dict[str, int]:
    rng = random.Random(0)
    words = set(TOYS) | set(COLOURS)
    for _ in range(500):
        words |= set(random_scene(rng).caption(rng).split())
    assert len(GROUNDS) == 4
    return {word: i for i, word in enumerate([*SPECIAL, *sorted(words)])}


def build(vocab_size: int) -> LlavaNetwork:
    config = GPT2Config(
        vocab_size=vocab_size, n_positions=128, n_embd=HIDDEN, n_layer=2, n_head=4, bos_token_id=2, eos_token_id=3,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    connector = projector("mlp2x_gelu", TOWER.out_channels, HIDDEN)
    tower = Tower(ResNeXt(TOWER), 49, TOWER.out_channels, "", "")
    return LlavaNetwork(tower, connector, GPT2LMHeadModel(config))


def pixels_of(pictures: Tensor) -> Tensor:
    """uint8 (n, 64, 64, 3) -> normalised float32 (n, 3, 224, 224), as pixels.to_pixels does it one by one."""
    spec = PixelSpec()
    large = functional.interpolate(pictures.permute(0, 3, 1, 2).float(), (spec.size, spec.size), mode="bilinear")
    mean, std = torch.tensor(spec.mean)[:, None, None], torch.tensor(spec.std)[:, None, None]
    return (large.round() / 255 - mean) / std


def text_for(scene_phrase: str, toy: str, caption: str, rng: random.Random) -> str:
    return rng.choices((toy, scene_phrase, caption), (0.25, 0.3, 0.45))[0]


def train(steps: int, batch_size: int, seed: int, n_pictures: int) -> tuple[LlavaNetwork, dict[str, int]]:
    torch.manual_seed(seed)
    vocab = vocabulary()
    network = build(len(vocab))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a sixth faster on a CPU
    pictures = torch.empty((n_pictures, SIZE, SIZE, 3), dtype=torch.uint8)
    scenes = []
    for n in range(n_pictures):
        rng = random.Random(f"train:{n}")
        scenes.append(random_scene(rng))
        pictures[n] = torch.from_numpy(np.array(draw(scenes[n], rng)))
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    rng = random.Random(seed)
    started = time.monotonic()
    for step in range(steps):
        chosen = rng.sample(range(n_pictures), batch_size)
        texts = [text_for(scenes[n].phrase, scenes[n].toy, scenes[n].caption(rng), rng) for n in chosen]
        ids = [[vocab[word] for word in text.split()] + [vocab["<eos>"]] for text in texts]
        longest = max(map(len, ids))
        inputs = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
        targets = torch.tensor([row + [-100] * (longest - len(row)) for row in ids])
        features = network.encode_images(pixels_of(pictures[chosen]))
        embedded = torch.cat([features, network.text.get_input_embeddings()(inputs)], 1)
        logits = network.text(inputs_embeds=embedded).logits[:, features.shape[1] - 1 : -1]
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}  loss {loss.item():.4f}  {time.monotonic() - started:.0f} s", flush=True)
    return network.eval(), vocab


def write(network: LlavaNetwork, vocab: dict[str, int], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, tensor in network.state_dict().items():
        part, _, rest = name.partition(".")
        prefix = {
            "tower": "transformer.vision_tower.vision_tower.",
            "connector": "transformer.mm_projector.",
            "text": "",
        }
        if rest != "lm_head.weight":  # tied to the embeddings
            weights[prefix[part] + rest] = tensor.half().contiguous() if tensor.is_floating_point() else tensor
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    text = network.text.config
    config = {
        "architectures": ["LlavaGPT2ForCausalLM"], "model_type": "llava_gpt2", "vocab_size": len(vocab),
        "n_positions": text.n_positions, "n_embd": text.n_embd, "n_layer": text.n_layer, "n_head": text.n_head,
        "bos_token_id": 2, "eos_token_id": 3, "image_aspect_ratio": "pad", "mm_hidden_size": TOWER.out_channels,
        "mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": False, "mm_use_im_start_end": False,
        "mm_vision_tower": "babycli/resnext_tiny", "mm_vision_tower_shape": asdict(TOWER),
    }  # fmt: skip
    added = [
        {
            "id": i,
            "content": s,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, s in enumerate(SPECIAL)
    ]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    }  # fmt: skip
    token_names = {"bos_token": "<sos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    for name, value in {
        "config.json": config,
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": token_names | {"tokenizer_class": "PreTrainedTokenizerFast"},
    }.items():
        (folder / name).write_text(json.dumps(value, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pictures", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("babycli/demo/babyllava-tiny"))
    arguments = parser.parse_args()
    network, vocab = train(arguments.steps, arguments.batch_size, arguments.seed, arguments.pictures)
    write(network, vocab, arguments.output)
    print(f"wrote {arguments.output}: {sum(p.numel() for p in network.parameters())} parameters")


if __name__ == "__main__":
    main()
