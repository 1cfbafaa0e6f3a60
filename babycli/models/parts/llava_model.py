"""How a LLaVA-style network answers requests: pictures in front of tokens, answers scored behind the prompt.

Owns the methods of a loaded model that the families babyllava and llava share. Never reads a checkpoint and never
decides who is right. Checked against BabyLLaVA @ e783c78 and @ 45d046e, driven by babylmms-eval @ 82118a8.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from babycli.domain import Generation, Loglikelihood
from babycli.errors import ModelError
from babycli.models.base import Features, ModelInfo, Tokens
from babycli.models.parts import answers, checkpoint
from babycli.models.parts.device_memory import on_device
from babycli.models.parts.feature_digests import row_digests
from babycli.models.parts.llava_network import LlavaNetwork
from babycli.models.parts.pixels import PixelSpec, to_pixels
from babycli.models.parts.precision import torch_dtype
from babycli.models.parts.prompts import IMAGE_TOKEN, TEMPLATES, with_image
from babycli.models.parts.tokenizer import IMAGE_ID, Tokenizer
from babycli.wording import Scoring


class LlavaModel:
    """A loaded network; see babycli.models.base.Model for the contract of each method.

    Features of a picture are a (positions, hidden) tensor: 49 positions for ResNeXt-50, 197 for ViT-L/16, 576 for CLIP.
    """

    blind_how = "no image tokens"

    def __init__(
        self,
        network: LlavaNetwork,
        tokenizer: Tokenizer,
        info: ModelInfo,
        scoring: Scoring,
        pixel_spec: PixelSpec,
        stop_ids: list[int],
        strips: bool,
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._scoring = scoring
        self._pixel_spec = pixel_spec
        self._stop_ids = stop_ids
        self._strips = strips  # BabyLLaVA's wrapper takes the spaces off a caption's ends, LLaVA's does not
        self._template = TEMPLATES[info.template]
        self._is_blind = False
        self.info = info

    def blinded(self) -> LlavaModel:
        """The same weights without pictures: no request has an image token, and the tower is never asked."""
        blind = copy.copy(self)
        blind._is_blind = True
        return blind

    @property
    def pixels_key(self) -> PixelSpec:
        return self._pixel_spec

    def render(self, prompt: str) -> str:
        rendered = self._template.render(with_image(prompt))
        return rendered.replace(IMAGE_TOKEN, "") if self._is_blind else rendered

    def preprocess(self, image: Image) -> Tensor:
        return torch.empty(0) if self._is_blind else to_pixels(image, self._pixel_spec)

    @functools.cached_property
    def vision_key(self) -> tuple[object, ...]:
        network = self._network
        return checkpoint.module_digest(network.tower), network.tower_settings, self._pixel_spec, self.info.dtype

    def encode(self, pixels: Sequence[Tensor]) -> list[Features]:
        if self._is_blind:
            return [Features(torch.empty(0, device=self.info.device), b"no picture") for _ in pixels]
        with torch.inference_mode():
            return _as_features(self._network.encode_images(self._placed(pixels)))

    def see(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        if self._is_blind:
            return list(pixels)
        with torch.inference_mode():
            return list(self._network.tower(self._placed(pixels)).cpu())

    def encode_seen(self, seen: Sequence[Tensor]) -> list[Features]:
        if self._is_blind:
            return self.encode(seen)
        with torch.inference_mode():
            return _as_features(self._network.connector(self._placed(seen)))

    def _placed(self, rows: Sequence[Tensor]) -> Tensor:
        return on_device(rows, self.info.device, torch_dtype(self.info.dtype))

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
        start = len(prompt_ids) if self._scoring == Scoring.REFERENCE else answers.common_prefix(prompt_ids, whole)
        n_answer = max(0, len(whole) - start)
        whole = self._without_image(whole, n_answer) if self._is_blind else whole
        self._check_length(whole, 0)
        n_extra = whole.count(IMAGE_ID) * (self._network.n_positions - 1)
        return Tokens(tuple(whole), n_answer, (_shape(whole), n_answer), n_image_positions=n_extra)

    def loglikelihood(self, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        """Log-probabilities of the last ``n_answer`` ids of each, in float32 whatever the model's dtype.

        positions   [ i1 i2 .. i49  13 | 301  88 ]      all rows are equally long: nothing is padded
        predicts                    ^^   ^^^            the hidden states at [-n_answer - 1 : -1]
        """
        n = tokens[0].n_answer
        if n == 0:
            return [Loglikelihood((), False) for _ in tokens]
        with torch.inference_mode():
            embedded = self._network.embed([list(t.ids) for t in tokens], [f.data for f in features])
            logits = self._network.logits(embedded, n)
            wanted = torch.tensor([t.ids[-n:] for t in tokens], device=logits.device)
            return answers.scored(logits, wanted)

    def loglikelihood_of_branches(
        self, features: Sequence[Features], branches: Sequence[Sequence[Tokens]]
    ) -> list[list[Loglikelihood]]:
        """Columns of answers of one length behind the prefixes; see LlavaNetwork.branch_logits."""
        first = branches[0][0]
        n_prefix = len(first.ids) - first.n_answer
        with torch.inference_mode():
            prefix = self._network.embed([list(row[0].ids[:n_prefix]) for row in branches], [f.data for f in features])
            columns = [
                torch.tensor([t.ids[n_prefix:] for t in column], dtype=torch.long, device=prefix.device)
                for column in zip(*branches, strict=True)
            ]
            answered = [column for column in columns if column.shape[1]]
            logits = self._network.branch_logits(prefix, answered) if answered else []
            scored = iter([answers.scored(of, ids.to(of.device)) for of, ids in zip(logits, answered, strict=True)])
        nothing = [Loglikelihood((), False)] * len(branches)
        by_column = [next(scored) if column.shape[1] else nothing for column in columns]
        return [list(row) for row in zip(*by_column, strict=True)]

    def generate(self, features: Sequence[Features], prompt: str, max_new_tokens: int) -> list[Generation]:
        ids = self._prompt_ids(prompt)
        ids = self._without_image(ids, 0) if self._is_blind else ids
        self._check_length(ids, max_new_tokens)
        with torch.inference_mode():
            embedded = self._network.embed([ids] * len(features), [f.data for f in features])
            output = self._network.generate(embedded, max_new_tokens, self._stop_ids)
        finite = torch.stack([~step.isnan().any(-1) for step in output.logits]).all(0).tolist()
        rows = [answers.until_stop(row, self._stop_ids) for row in output.sequences.tolist()]
        return [Generation(self._caption(row), tuple(row), ok) for row, ok in zip(rows, finite, strict=True)]

    def _prompt_ids(self, prompt: str) -> list[int]:
        ids = self._tokenizer.encode_with_image(self._template.render(with_image(prompt)))
        if self._scoring == Scoring.FAIR and ids[-1] == self._tokenizer.eos_id:
            return ids[:-1]  # an <eos> that the tokenizer puts behind every text ends no prompt
        return ids

    def _without_image(self, ids: list[int], n_answer: int) -> list[int]:
        """The ids of a request to a model that sees nothing.

            [ 1, -200, 1154, 13, 301 ]  ->  [ 1, 1154, 13, 301 ]       n_answer stays as it is
            [    -200,          301 ]   ->  [ 1,           301 ]       something must predict the first of the answer

        A prompt that was the image alone leaves nothing: then the token with which the tokenizer begins a text, or
        ends one, stands before the answer, as language models are asked without a context (lm-evaluation-harness).
        """
        kept = [token for token in ids if token != IMAGE_ID]
        if len(kept) > n_answer:
            return kept
        first = next((token for token in (self._tokenizer.bos_id, self._tokenizer.eos_id) if token is not None), None)
        if first is None:
            raise ModelError(
                "without the image there is nothing before the answer, and the tokenizer has no token to begin with",
                "ask with words:  --prompt TEXT",
            )
        return [first, *kept]

    def _caption(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids)
        return text.strip() if self._strips else text

    def _check_length(self, ids: list[int], n_new: int) -> None:
        network = self._network
        rows = network.n_rows
        beyond = sorted({i for i in ids if i >= rows})
        if beyond:
            raise ModelError(
                f"the tokenizer gives ids {beyond} but the checkpoint embeds only {rows} tokens",
                "check that tokenizer and weights come from the same training run",
            )
        length = len(ids) + ids.count(IMAGE_ID) * (network.n_positions - 1) + n_new
        if network.max_length is not None and length > network.max_length:
            raise ModelError(f"a sequence of {length} positions does not fit the model's {network.max_length}")


def _as_features(encoded: Tensor) -> list[Features]:
    return [Features(row, digest) for row, digest in zip(encoded, row_digests(encoded), strict=True)]


def _shape(ids: list[int]) -> tuple[int, ...]:
    return (len(ids), *(i for i, token in enumerate(ids) if token == IMAGE_ID))
