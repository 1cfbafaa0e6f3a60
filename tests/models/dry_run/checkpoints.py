"""A small model of every family that computes with torch, for the dry run.

Owns which they are. A family that is in neither list fails tests/models/test_dry_run.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.checkpoints import write_roomy
from tests.hf_checkpoints import write_hf
from tests.llava_checkpoints import TOWER, as_transformers, write_llava, write_tower
from tests.models import test_clip, test_cvcl, test_dual, test_llava_next, test_open_clip
from tests.models.loading import WORDS, write_json
from tests.v2_checkpoints import tower_weights, write_v2

# Families without a network of their own, and why nothing of theirs could lie on a wrong device.
WITHOUT_NETWORK = {
    "control": "a formula",
    "replay": "recorded answers",
    "openai": "a model that somebody else runs",
    "lmms": "a wrapper of lmms-eval's, which brings its own model",
}
_MODEL = "model"
_PLUGIN = '''
import torch


class Tiny:
    """A user's own model, with all that a class may have."""

    max_images = max_turns = None

    def __init__(self, device, dtype):
        torch.manual_seed(0)
        self.device, self.dtype = device, getattr(torch, dtype)
        self.read = torch.nn.Linear(3, 8).to(device, self.dtype)
        self.words = torch.nn.Linear(8, 256).to(device, self.dtype)

    def vectors(self, images):
        colours = [image[0].resize((1, 1)).getpixel((0, 0)) for image in images]
        return self.read(torch.tensor(colours, dtype=self.dtype, device=self.device))

    @torch.inference_mode()
    def loglikelihood(self, images, prompts, texts):
        logprobs = self.words(self.vectors(images)).float().log_softmax(-1).tolist()
        return [[row[byte] for byte in text.encode()] for row, text in zip(logprobs, texts)]

    @torch.inference_mode()
    def generate(self, images, prompts, max_new_tokens):
        return [chr(byte) for byte in self.words(self.vectors(images)).argmax(-1).tolist()]
'''


@dataclass(frozen=True, slots=True)
class Case:
    """A model: how its files are written into a folder, which words it knows, and its --model-args."""

    family: str
    write: Callable[[Path], Path | str]  # gives what --model is to be
    words: tuple[str, ...] = WORDS
    args: Mapping[str, str] = field(default_factory=dict)


def _llava(home: Path) -> Path:
    write_tower(home / TOWER)
    return write_llava(home / _MODEL)


def _llava_hf(home: Path) -> Path:
    return as_transformers(write_llava(home / "original"), write_tower(home / "tower"), home / _MODEL)


def _llava_next(name: str) -> Callable[[Path], Path]:
    def write(home: Path) -> Path:
        case = test_llava_next.CASES[name]
        return test_llava_next.write(home / _MODEL, case, test_llava_next.reference(case)[0])

    return write


def _cvcl(home: Path) -> Path:
    test_cvcl.save(home / _MODEL / "cvcl.ckpt", test_cvcl.weights_of(0))
    write_json(home / _MODEL / "vocab.json", test_cvcl.VOCAB)
    return home / _MODEL


def _plugin(home: Path) -> str:
    file = home / "tiny.py"
    file.write_text(_PLUGIN)
    return f"{file}:Tiny"


_DUAL_WORDS = ("ball", "red", "cat", "blue", "tree", "photo", "of", "a")
CASES: Mapping[str, Case] = {
    "babyllava": Case("babyllava", lambda home: write_roomy(home / _MODEL, WORDS, trunk="transformer")),
    "babyllava, Llama": Case("babyllava", lambda home: write_roomy(home / _MODEL, WORDS, trunk="model")),
    "babyllava, V2": Case("babyllava", lambda home: write_v2(home / _MODEL, tower_weights("timm"))),
    "llava": Case("llava", _llava),
    "llava, of transformers": Case("llava", _llava_hf),
    "llava_next": Case("llava_next", _llava_next("qwen, at most 3 tiles")),
    "cvcl": Case("cvcl", _cvcl, ("ball", "red", "cat", "do", "it", ".", "n't", "'s")),
    "clip": Case("clip", lambda home: test_clip.write(home / _MODEL, "clip"), _DUAL_WORDS),
    "siglip": Case("clip", lambda home: test_clip.write(home / _MODEL, "siglip"), _DUAL_WORDS),
    "open_clip": Case("clip", lambda home: test_open_clip.write(home / _MODEL), tuple(test_open_clip.WORDS)),
    "dual, BLIP": Case("dual", lambda home: test_dual.write(home / _MODEL, "blip"), _DUAL_WORDS),
    "dual, BLIP's pairs": Case(
        "dual", lambda home: test_dual.write(home / _MODEL, "blip"), _DUAL_WORDS, {"head": "itm"}
    ),
    "dual, SigLIP 2": Case("dual", lambda home: test_dual.write(home / _MODEL, "siglip2"), _DUAL_WORDS),
    "hf, Qwen2-VL": Case("hf", lambda home: write_hf(home / _MODEL, "qwen2_vl")),
    "hf, Gemma 3": Case("hf", lambda home: write_hf(home / _MODEL, "gemma3")),
    "plugin": Case("plugin", _plugin),
}
