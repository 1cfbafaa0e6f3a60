"""BabyLLaVA (Wang et al. 2025, arXiv 2504.09426): a vision tower, a projector, and a GPT-2 or Llama.

Owns the whole family: which configs are its own, how its parts are put together and what each request costs it.
Never reads a label file and never decides who is right. Checked against BabyLLaVA @ e783c78 and @ 45d046e,
driven by babylmms-eval @ 82118a8.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from babycli.domain import Generation, Loglikelihood, Scoring
from babycli.errors import ModelError, UsageError, did_you_mean
from babycli.models.base import Family, Features, ModelInfo, ModelSpec, Tokens
from babycli.models.parts.prompts import TEMPLATES, with_image

if TYPE_CHECKING:
    from torch import Tensor

    from babycli.models.parts.llava_network import LlavaNetwork
    from babycli.models.parts.tokenizer import Tokenizer

_TEXT_MODELS = {
    "llava_gpt2": "transformer",
    "llava_llama": "model",
    "llava": "model",
}  # model_type -> trunk name
_TOWER_NAME = re.compile(r"resnext50|vitl16|^wkvong/")


def recognises(config: dict[str, Any]) -> bool:
    """True for a LLaVA-style config whose tower is not CLIP (that would be LLaVA itself)."""
    kind = str(config.get("model_type"))
    if kind == "llava_gpt2":
        return True
    return kind in _TEXT_MODELS and bool(_TOWER_NAME.search(str(config.get("mm_vision_tower", ""))))


class BabyLlava:
    """A loaded BabyLLaVA; see babycli.models.base.Model for the contract of each method.

    Features of a picture are a (positions, hidden) tensor: 49 positions for ResNeXt-50, 197 for ViT-L/16.
    """

    def __init__(
        self,
        network: LlavaNetwork,
        tokenizer: Tokenizer,
        info: ModelInfo,
        scoring: Scoring,
        pixel_spec: Any,
        stop_ids: list[int],
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._scoring = scoring
        self._pixel_spec = pixel_spec
        self._stop_ids = stop_ids
        self._template = TEMPLATES[info.template]
        self.info = info

    def render(self, prompt: str) -> str:
        return self._template.render(with_image(prompt))

    def preprocess(self, image: Image) -> Tensor:
        from babycli.models.parts.pixels import to_pixels

        return to_pixels(image, self._pixel_spec)

    def encode(self, pixels: Sequence[Tensor]) -> list[Features]:
        import torch

        with torch.inference_mode():
            batch = torch.stack(list(pixels)).to(self.info.device, getattr(torch, self.info.dtype))
            encoded = self._network.encode_images(batch)
        raw = encoded.cpu().contiguous().view(torch.uint8).numpy()
        return [Features(data, sha256(row.tobytes()).digest()) for data, row in zip(encoded, raw, strict=True)]

    def tokenize(self, prompt: str, text: str) -> Tokens:
        """Prompt and answer as one text, tokenised as the original does.

        The original gives the answer after a space and scores whatever lies beyond the prompt's length:

            prompt      [ 1, -200, 1154, 13 ]            "<image>\\n"
            whole       [ 1, -200, 1154, 13, 301 ]       "<image>\\n ball"
            scored                           ^^^         n_answer = 5 - 4

        A tokenizer that ends every text with <eos> ends the prompt with it too, and then that count is off:

            prompt      [ 2, 3, -200,  3 ]
            whole       [ 2, 3, -200, w1, w2,  3 ]
            reference                     ^^  ^^         n_answer = 6 - 4, w1 is never scored
            fair                      ^^  ^^  ^^         all that differs from the prompt
        """
        prompt_ids = self._prompt_ids(prompt)
        whole = self._tokenizer.encode_with_image(self._template.render(with_image(prompt), " " + text))
        start = len(prompt_ids) if self._scoring == "reference" else _common_prefix(prompt_ids, whole)
        n_answer = max(0, len(whole) - start)
        self._check_length(whole, 0)
        return Tokens(tuple(whole), n_answer, (_shape(whole), n_answer))

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        """Log-probabilities of the last ``n_answer`` ids of each, in float32 whatever the model's dtype.

        positions   [ i1 i2 .. i49  13 | 301  88 ]      all rows are equally long: nothing is padded
        predicts                    ^^   ^^^            the hidden states at [-n_answer - 1 : -1]
        """
        import torch

        n = tokens[0].n_answer
        if n == 0:
            return [Loglikelihood((), False) for _ in tokens]
        with torch.inference_mode():
            embedded = self._network.embed([list(t.ids) for t in tokens], [f.data for f in features])
            logits = self._network.logits(embedded, n).float()
            logprobs = torch.log_softmax(logits, dim=-1)
            answers = torch.tensor([t.ids[-n:] for t in tokens], device=logits.device)
            picked = logprobs.gather(-1, answers[..., None])[..., 0].cpu()
            # NaN never equals anything: a broken model is never greedy-right.
            greedy = (logits.argmax(-1) == answers).all(-1).cpu() & picked.isfinite().all(-1)
        return [Loglikelihood(tuple(p), bool(g)) for p, g in zip(picked.tolist(), greedy.tolist(), strict=True)]

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        import torch

        ids = self._prompt_ids(prompt)
        self._check_length(ids, max_new_tokens)
        with torch.inference_mode():
            embedded = self._network.embed([ids] * len(features), [f.data for f in features])
            output = self._network.generate(embedded, max_new_tokens, self._stop_ids)
        finite = torch.stack([~step.isnan().any(-1) for step in output.logits]).all(0).tolist()
        return [
            Generation(self._tokenizer.decode(row), tuple(row), ok)
            for row, ok in zip(map(self._until_stop, output.sequences.tolist()), finite, strict=True)
        ]

    def _prompt_ids(self, prompt: str) -> list[int]:
        ids = self._tokenizer.encode_with_image(self.render(prompt))
        if self._scoring == "fair" and ids[-1] == self._tokenizer.eos_id:
            return ids[:-1]  # an <eos> that the tokenizer puts behind every text ends no prompt
        return ids

    def _until_stop(self, ids: list[int]) -> list[int]:
        stops = [i for i, token in enumerate(ids) if token in self._stop_ids]
        return ids[: stops[0] + 1] if stops else ids

    def _check_length(self, ids: list[int], n_new: int) -> None:
        network = self._network
        rows = network.n_rows
        beyond = sorted({i for i in ids if i >= rows})
        if beyond:
            raise ModelError(
                f"the tokenizer gives ids {beyond} but the checkpoint embeds only {rows} tokens",
                "check that tokenizer and weights come from the same training run",
            )
        length = len(ids) - 1 + network.n_positions + n_new
        if network.max_length is not None and length > network.max_length:
            raise ModelError(f"a sequence of {length} positions does not fit the model's {network.max_length}")


def _shape(ids: list[int]) -> tuple[int, ...]:
    from babycli.models.parts.tokenizer import IMAGE_ID

    return (len(ids), *(i for i, token in enumerate(ids) if token == IMAGE_ID))


def _common_prefix(a: list[int], b: list[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def load(spec: ModelSpec, folder: Path) -> BabyLlava:
    """Reads a checkpoint folder. Raises ModelError for anything that does not fit, UsageError for bad arguments."""
    import torch

    from babycli.models.parts import checkpoint
    from babycli.models.parts.llava_network import build_network, full_precision
    from babycli.models.parts.pixels import PixelSpec
    from babycli.models.parts.tokenizer import load_tokenizer

    config = checkpoint.read_config(folder)
    template = spec.args.get("conv_template", "plain")
    if template not in TEMPLATES:
        raise UsageError(
            f"unknown conv_template {template!r}.{did_you_mean(template, sorted(TEMPLATES))}",
            f"one of: {', '.join(sorted(TEMPLATES))}",
        )
    aspect = spec.args.get("image_aspect_ratio", config.get("image_aspect_ratio") or "square")
    if aspect not in ("pad", "square"):
        kind = UsageError if "image_aspect_ratio" in spec.args else ModelError
        raise kind(f"image_aspect_ratio {aspect!r} is not supported", "one of: pad, square")
    trunk = _TEXT_MODELS.get(str(config.get("model_type")))
    if trunk is None:
        raise ModelError(f"{folder / 'config.json'}: model_type {config.get('model_type')!r} is not a BabyLLaVA")
    tokenizer = load_tokenizer(folder)
    files = checkpoint.weight_files(folder)
    weights = checkpoint.read_weights(files)
    try:
        built = build_network(config, trunk, weights, _n_tokens(config, tokenizer), spec.args.get("vision_tower"))
    except ModelError as error:  # the parts do not know whose they are
        raise ModelError(f"{folder}: {error.message}", error.mend) from error
    network = built.network.to(spec.device, getattr(torch, spec.dtype)).eval()
    if spec.dtype == "float32":
        full_precision()
    kept = [folder / "config.json", *files, *([built.tower_file] if built.tower_file else [])]
    kept += [f for f in sorted([*folder.glob("*token*"), *folder.glob("generation_config.json")]) if f.is_file()]
    info = ModelInfo(
        family="babyllava",
        source=spec.source,
        fingerprint=checkpoint.fingerprint(kept),
        n_parameters=sum(p.numel() for p in network.parameters()),
        dtype=spec.dtype,
        device=spec.device,
        template=template,
        notes=built.notes,
    )
    generation = checkpoint.read_json_object(folder / "generation_config.json", missing_ok=True)
    network.generation_settings = generation
    declared = generation.get("eos_token_id", config.get("eos_token_id", tokenizer.eos_id))
    stops = [] if declared is None else declared if isinstance(declared, list) else [declared]
    if not all(isinstance(i, int) for i in stops):
        where = "generation_config.json" if "eos_token_id" in generation else "config.json"
        raise ModelError(f"{folder / where} declares eos_token_id {declared!r}, which is no token id")
    return BabyLlava(network, tokenizer, info, spec.scoring, PixelSpec(pad=aspect == "pad"), stops)


def _n_tokens(config: dict[str, Any], tokenizer: Tokenizer) -> int:
    """Rows of the vocabulary that the original keeps: its loader may add tokens of its own before it counts.

    Source: load_pretrained_model in llava/model/builder.py of BabyLLaVA @ 846ee9d.
    """
    added = ["<im_patch>"] if config.get("mm_use_im_patch_token", True) else []
    added += ["<im_start>", "<im_end>"] if config.get("mm_use_im_start_end", False) else []
    return tokenizer.size + sum(not tokenizer.knows(token) for token in added)


FAMILY = Family(
    name="babyllava",
    summary="BabyLLaVA: ResNeXt-50 or ViT-L/16 with GPT-2 or Llama, in the format its authors publish",
    offers=("loglikelihood", "generate"),
    arguments={
        "pretrained": "folder or hub id of the checkpoint",
        "conv_template": "conversation template: " + ", ".join(TEMPLATES),
        "vision_tower": "folder or file of the tower, where the checkpoint does not hold it",
        "image_aspect_ratio": "pad or square, instead of what config.json says",
    },
    recognises=recognises,
    load=load,
)
