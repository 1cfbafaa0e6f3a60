"""Trains `babyllava-v2-tiny`, the small model in BabyLLaVA-V2's format that comes with babycli, and writes it.

    python tools/train_devcv_model.py [--tower-steps 1500] [--steps 3400] [--output babycli/demo/babyllava-v2-tiny]

Needs babycli's own dependencies and nothing else; about 10 minutes on one core. First the vision tower learns to say
what lies where in a picture, then projector and language model learn to answer, on features of the finished tower. All
pictures and items are drawn anew from seeds that begin with "train:"; those of the demo begin with "demo:".
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path

import torch
from devcv_items import ASKERS, Album, Question, Sizes, make_album, memory
from devcv_texts import EOS, NOT_LEARNT, PAD, SOS, Reader, Sequence, make_tokenizer
from devcv_tower import SPEC, drawn, features_of, for_large_pictures, reduced, train_tower
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from babycli.models.parts.vision import ViT, projector

SEED = "train:devcv"  # of the pictures
ITEMS_SEED = 7  # of the items, and of all that is random in the training
ALBUM = Sizes(portraits=40, crowds=200, mixed=800, places=300, sides=500, walks=50)
TOWER_STEPS = 1500
STEPS = 3400
RATE = 2.5e-3
HIDDEN, INTERMEDIATE, LAYERS, HEADS = 96, 192, 4, 4
KNOWN_AFTER = 2  # layers, behind which a picture is asked which option it is, and whether the right one
POSITIONS = 1000  # of all sequences of a step, about
ITEMS_PER_TASK = 1500
ITEMS_FOR_WORDS = 150  # of each task, from which the tokenizer is made
LONGEST = 8192  # positions, as the published ones have
WEIGHTS = {"vdr_binary": 0.6, "vdr_open": 0.6, "compare_real": 0.7, "compare_synthetic": 0.7}  # how often; else 1
LEARNT = (1, 2, 3, 5)  # toys to remember


@dataclass(slots=True)
class Network:
    """The parts that learn to answer; ``letter`` and ``right`` are used in training only."""

    text: LlamaForCausalLM
    connector: nn.Module
    letter: nn.Linear
    right: nn.Linear

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for part in (self.text, self.connector, self.letter, self.right) for p in part.parameters()]


def build(vocab_size: int) -> Network:
    config = LlamaConfig(
        vocab_size=vocab_size, hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS // 2, max_position_embeddings=LONGEST,
        tie_word_embeddings=False, rms_norm_eps=1e-5, pad_token_id=PAD, bos_token_id=SOS, eos_token_id=EOS,
    )  # fmt: skip
    text = LlamaForCausalLM(config)
    connector = projector("mlp2x_gelu", SPEC.hidden_size, HIDDEN)
    for name, parameter in [*text.named_parameters(), *connector.named_parameters()]:
        if parameter.dim() == 2:
            spread = 0.02 if "lm_head" in name else 0.1 if "embed" in name else 0.06
            nn.init.normal_(parameter, std=spread / 2 if "o_proj" in name or "down_proj" in name else spread)
    _look_for_the_like(text)
    return Network(text, connector, nn.Linear(HIDDEN, 5), nn.Linear(HIDDEN, 2))


@torch.no_grad()
def _look_for_the_like(text: LlamaForCausalLM) -> None:
    """Lets one head of each pair begin with queries equal to keys: it looks at what is like the place itself."""
    size = HIDDEN // HEADS
    for layer in text.model.layers[:KNOWN_AFTER]:
        queries, keys = layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight
        for pair in range(HEADS // 2):
            queries[2 * pair * size : (2 * pair + 1) * size] = keys[pair * size : (pair + 1) * size]


@dataclass(frozen=True, slots=True)
class Losses:
    answers: Tensor
    pictures: Tensor  # which option a picture is, and whether the right one
    is_right: Tensor  # of each id of an answer


def losses_of(network: Network, sequences: Several[Sequence], features: Tensor) -> Losses:
    longest = max(len(sequence.ids) for sequence in sequences)
    ids = torch.tensor([[*s.ids, *[PAD] * (longest - len(s.ids))] for s in sequences])
    learnt = torch.tensor([[*s.learnt, *[NOT_LEARNT] * (longest - len(s.ids))] for s in sequences])
    seen = [(row, picture) for row, sequence in enumerate(sequences) for picture in sequence.pictures]
    rows = torch.tensor([row for row, _ in seen])
    places = torch.tensor([picture.place for _, picture in seen])
    n_positions = features.shape[1]
    embedded = network.text.get_input_embeddings()(ids).clone()
    all_places = places[:, None] + torch.arange(n_positions)
    shown = features[torch.tensor([picture.picture for _, picture in seen])]
    embedded[rows[:, None], all_places] = network.connector(shown)
    out = network.text.model(inputs_embeds=embedded, output_hidden_states=True)
    targets = learnt[:, 1:]
    is_learnt = targets != NOT_LEARNT
    logits = network.text.lm_head(out.last_hidden_state[:, :-1][is_learnt])
    letters = torch.tensor([picture.letter for _, picture in seen])
    right = torch.tensor([picture.is_right for _, picture in seen])
    at_pictures = out.hidden_states[KNOWN_AFTER][rows, places]
    pictures = functional.cross_entropy(network.letter(at_pictures), letters)
    if (right != NOT_LEARNT).any():
        pictures = pictures + functional.cross_entropy(network.right(at_pictures), right, ignore_index=NOT_LEARNT)
    answers = functional.cross_entropy(logits, targets[is_learnt])
    return Losses(answers, pictures, logits.argmax(-1) == targets[is_learnt])


def all_questions(album: Album) -> dict[str, list[Question]]:
    """Asks about the pictures of an album: items to learn from, by task."""
    rng = random.Random(ITEMS_SEED)
    return {
        task: [
            memory(album, n, rng, rng.choice(LEARNT)) if task == "memory" else ask(album, n, rng)
            for n in range(ITEMS_PER_TASK)
        ]
        for task, ask in ASKERS.items()
    }


def tokenizer_of(questions: Mapping[str, list[Question]]) -> Tokenizer:
    return make_tokenizer(question for asked in questions.values() for question in asked[:ITEMS_FOR_WORDS])


def alike(sequences: Several[Sequence], rng: random.Random) -> list[Sequence]:
    """Draws sequences of about one length, as many as a step may have."""
    first = rng.choice(sequences)
    n = max(2, min(32, POSITIONS // len(first.ids)))
    near = [s for s in rng.sample(sequences, 300) if abs(len(s.ids) - len(first.ids)) < 60]
    return [first, *near[: n - 1]]


def train_text(features: Tensor, sequences: Mapping[str, list[Sequence]], vocab_size: int, steps: int) -> Network:
    torch.manual_seed(ITEMS_SEED)
    network = build(vocab_size)
    optimiser = torch.optim.AdamW(network.parameters, RATE, weight_decay=0.01, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.05)
    rng = random.Random(ITEMS_SEED)
    tasks = list(sequences)
    started = time.process_time()
    share = dict.fromkeys(tasks, 0.0)  # of right ids, as it moves
    for step in range(steps):
        task = rng.choices(tasks, [WEIGHTS.get(task, 1.0) for task in tasks])[0]
        losses = losses_of(network, alike(sequences[task], rng), features)
        optimiser.zero_grad()
        (losses.answers + 0.5 * losses.pictures).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters, 1.0)
        optimiser.step()
        schedule.step()
        share[task] += 0.1 * (losses.is_right.float().mean().item() - share[task])
        if step % 100 == 99:
            shares = "  ".join(f"{task} {value:.2f}" for task, value in share.items())
            print(f"answers: step {step + 1}  {time.process_time() - started:.0f} s  {shares}", flush=True)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tower-steps", type=int, default=TOWER_STEPS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--output", type=Path, default=Path("babycli/demo/babyllava-v2-tiny"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    album = make_album(SEED, ALBUM)
    views = list(album.views.values())
    pixels = reduced(drawn(views))
    tower = train_tower(views, pixels, arguments.tower_steps, ITEMS_SEED)
    features = features_of(tower, pixels)
    questions = all_questions(album)
    tokenizer = tokenizer_of(questions)
    reader = Reader(tokenizer, SPEC.positions)
    numbers = {name: n for n, name in enumerate(album.views)}
    sequences = {
        task: [reader.read(question, numbers, _gap(n)) for n, question in enumerate(asked)]
        for task, asked in questions.items()
    }
    network = train_text(features, sequences, tokenizer.get_vocab_size(), arguments.steps)
    write(for_large_pictures(tower), network, tokenizer, arguments.output)


def _gap(n: int) -> str:
    """What lies before the answers of the n-th item: two spaces in a few, as where answers are chosen.

    The right answers of items repeat after 24 of them, at the latest, and must not tell from the spaces.
    """
    return "  " if n // 24 % 6 == 0 else " "


def write(tower: ViT, network: Network, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes a checkpoint as BabyLLaVA-V2's authors do, in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "model.vision_tower.vision_tower.": tower.state_dict(),
        "model.mm_projector.": network.connector.state_dict(),
        "": network.text.state_dict(),
    }
    weights = {prefix + name: t.half().contiguous() for prefix, part in parts.items() for name, t in part.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_settings(tokenizer, folder)
    print(f"wrote {folder}: {sum(weight.numel() for weight in weights.values())} parameters")


def write_settings(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the files beside the weights."""
    token_names = {"bos_token": "<sos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LONGEST, "padding_side": "right"}
    for name, value in {
        "config.json": config_of(tokenizer.get_vocab_size()),
        "tokenizer_config.json": token_names | settings,
    }.items():
        (folder / name).write_text(json.dumps(value, indent=1) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"))


def config_of(vocab_size: int) -> dict[str, object]:
    """Makes config.json, with the keys that the authors' training writes, and the shape of the small tower."""
    shape = {name: getattr(SPEC, name) for name in ("hidden_size", "layers", "heads", "patch_size")}
    return {
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava_llama", "vocab_size": vocab_size,
        "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": HEADS // 2, "hidden_act": "silu",
        "max_position_embeddings": LONGEST, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "rope_scaling": None, "attention_bias": False, "tie_word_embeddings": False, "torch_dtype": "float16",
        "pad_token_id": PAD, "unk_token_id": 1, "bos_token_id": SOS, "eos_token_id": EOS, "use_cache": True,
        "image_aspect_ratio": "pad", "mm_hidden_size": SPEC.hidden_size, "mm_patch_merge_type": "flat",
        "mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": False, "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch", "mm_vision_select_layer": -2, "mm_vision_tower": "vit_scratch",
        "mm_vision_tower_shape": shape,
        "tokenizer_model_max_length": LONGEST, "tokenizer_padding_side": "right", "use_mm_proj": True,
    }  # fmt: skip


if __name__ == "__main__":
    main()
