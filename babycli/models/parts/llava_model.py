"""A loaded LLaVA-style model: pictures among tokens, answers scored or written behind a context.

Owns the methods of the model, for the families babyllava and llava. Never reads a checkpoint and never decides which
answer is right. Checked against BabyLLaVA @ e783c78 and @ 45d046e, driven by babylmms-eval @ 82118a8.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from babycli.domain import NO_PICTURE, CannotAnswer, Context, ImageRef, Loglikelihood, Text
from babycli.errors import ModelError
from babycli.models.base import Features, Model, ModelInfo, Pictures, Tokens
from babycli.models.parts import answers, checkpoint
from babycli.models.parts.device_memory import on_device
from babycli.models.parts.feature_digests import row_digests
from babycli.models.parts.kept_prefixes import Element, KeptPrefix, KeptPrefixes, Reused, row_of, stacked
from babycli.models.parts.llava_lengths import Lengths
from babycli.models.parts.llava_network import LlavaNetwork
from babycli.models.parts.pixels import PixelSpec, to_pixels
from babycli.models.parts.precision import torch_dtype
from babycli.models.parts.prompts import TEMPLATES, pieces_of, shown
from babycli.models.parts.tokenizer import IMAGE_ID, Tokenizer
from babycli.wording import Scoring

_WORDS_OF_A_TURN = 64  # tokens of a question and its reply, or rather fewer


@dataclass(frozen=True, slots=True)
class LlavaTokens(Tokens):
    """A request with the ids of the context that it continues; none if it begins a conversation."""

    parent: tuple[int, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A context of a conversation: its ids, its pictures, and the part that has been read before."""

    tokens: LlavaTokens
    pictures: Pictures
    elements: tuple[Element, ...]
    n_read: int  # of these, those that lie wholly before the place where the original cuts its input off
    parent: tuple[Element, ...]
    reused: Reused


class LlavaModel(Model):
    """A loaded network; see babycli.models.base.Model for the contract of each method.

    Features of a picture are a (positions, hidden) tensor: 49 positions for ResNeXt-50, 197 for ViT-L/16, 576 for CLIP.
    """

    def __init__(
        self,
        network: LlavaNetwork,
        tokenizer: Tokenizer,
        info: ModelInfo,
        scoring: Scoring,
        pixel_spec: PixelSpec,
        stop_ids: list[int],
        strips: bool,
        kept: KeptPrefixes,
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._scoring = scoring
        self._pixel_spec = pixel_spec
        self._stop_ids = stop_ids
        self._strips = strips  # BabyLLaVA's first wrapper strips spaces from a caption's ends, the others do not
        self._template = TEMPLATES[info.template]
        self._lengths = Lengths.of(network, scoring)
        self._kept = kept
        self._ends_all_texts = tokenizer.encode_pieces(["a"])[-1:] == [tokenizer.eos_id]  # with <eos>
        self.info = info

    @property
    def pixels_key(self) -> PixelSpec:
        return self._pixel_spec

    def render(self, context: Context) -> str:
        return shown(self._template.render(context), context)

    def preprocess(self, image: Image) -> Tensor:
        return to_pixels(image, self._pixel_spec)

    @functools.cached_property
    def _vision_key(self) -> tuple[object, ...]:
        network = self._network
        return checkpoint.module_digest(network.tower), network.tower_settings, self._pixel_spec, self.info.dtype

    @property
    def vision_key(self) -> tuple[object, ...]:
        return self._vision_key

    def encode(self, pixels: Sequence[Tensor]) -> list[Features]:
        with torch.inference_mode():
            return _as_features(self._network.encode_images(self._placed(pixels)))

    def see(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        with torch.inference_mode():
            return list(self._network.tower(self._placed(pixels)).cpu())

    def encode_seen(self, seen: Sequence[Tensor]) -> list[Features]:
        with torch.inference_mode():
            return _as_features(self._network.connector(self._placed(seen)))

    def _placed(self, rows: Sequence[Tensor]) -> Tensor:
        return on_device(rows, self.info.device, torch_dtype(self.info.dtype))

    def tokenize(self, context: Context, answer: str) -> LlavaTokens | CannotAnswer:
        """Tokenises context and answer as one text, as the original does.

        The original puts the answer after a space, and scores the ids beyond the prompt's length:

            prompt      [ 1, -200, 1154, 13 ]            "<image>\\n"
            whole       [ 1, -200, 1154, 13, 301 ]       "<image>\\n ball"
            scored                           ^^^         n_answer = 5 - 4

        A tokenizer that ends every text with <eos> ends the prompt with it too, so that this count is wrong:

            prompt      [ 2, 3, -200,  3 ]
            whole       [ 2, 3, -200, w1, w2,  3 ]
            reference                     ^^  ^^         n_answer = 6 - 4, w1 is never scored
            fair                      ^^  ^^  ^^         all that differs from the prompt
        """
        prompt_ids = self._prompt_ids(context)
        whole = self._tokenizer.encode_pieces(pieces_of(self._template.render(context, " " + answer)))
        is_reference = self._scoring == Scoring.REFERENCE
        start = len(prompt_ids) if is_reference else answers.common_prefix(prompt_ids, whole)
        return self._tokens(context, whole, max(0, len(whole) - start), 0)

    def read(self, context: Context, max_new_tokens: int) -> LlavaTokens | CannotAnswer:
        return self._tokens(context, self._prompt_ids(context), 0, max_new_tokens)

    def _tokens(self, context: Context, ids: list[int], n_answer: int, n_new: int) -> LlavaTokens | CannotAnswer:
        ids = self._begun(self._without_hidden(context, ids), n_answer)
        self._check_ids(ids)
        why = self._lengths.why_too_long(ids, n_answer, n_new)
        if why:
            return CannotAnswer(why)
        n_lost = min(n_answer, self._lengths.n_cut(ids))  # of the answer, in the original
        ids, n_answer = ids[: len(ids) - n_lost], n_answer - n_lost
        n_extra = ids.count(IMAGE_ID) * (self._network.n_positions - 1)
        parent = context.parent
        before = self._begun(self._without_hidden(parent, self._prompt_ids(parent)), 0) if parent is not None else []
        key = (_shape(ids), n_answer)
        return LlavaTokens(tuple(ids), n_answer, key, n_image_positions=n_extra, parent=tuple(before))

    def loglikelihood(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> list[Loglikelihood]:
        """Computes the log-probabilities of the last ``n_answer`` ids of each, in float32 whatever the model's dtype.

        positions   [ i1 i2 .. i49  13 | 301  88 ]      all rows are equally long: nothing is padded
        predicts                    ^^   ^^^            the hidden states at [-n_answer - 1 : -1]
        """
        n = tokens[0].n_answer
        if n == 0:
            return [Loglikelihood((), False) for _ in tokens]
        with torch.inference_mode():
            embedded = self._embedded([t.ids for t in tokens], pictures)
            logits = self._network.logits(embedded, n)
            wanted = torch.tensor([t.ids[-n:] for t in tokens], device=logits.device)
            return answers.scored(logits, wanted)

    def _embedded(self, ids: Sequence[Sequence[int]], pictures: Sequence[Pictures]) -> Tensor:
        """Embeds ids and pictures; with reference scoring, as far as the original reads them."""
        shown_here = [[features.data for features in row] for row in pictures]
        whole = self._network.embed([list(row) for row in ids], shown_here, torch.device(self.info.device))
        return whole[:, : whole.shape[1] - self._lengths.n_cut(ids[0])]

    def loglikelihood_of_branches(
        self, pictures: Sequence[Pictures], branches: Sequence[Sequence[Tokens]], keeps: bool = False
    ) -> list[list[Loglikelihood]]:
        """Scores columns of answers of one length behind the prefixes; see LlavaNetwork.branch_logits."""
        n_prefix = len(branches[0][0].prefix)
        with torch.inference_mode():
            if keeps:
                return self._branches_of_conversations(pictures, branches)
            prefix = self._embedded([row[0].prefix for row in branches], pictures)
            columns = [
                torch.tensor([t.ids[n_prefix:] for t in column], dtype=torch.long, device=prefix.device)
                for column in zip(*branches, strict=True)
            ]
            answered = [column for column in columns if column.shape[1]]
            logits = self._network.branch_logits(prefix, answered) if answered else []
            scored = iter(
                answers.scored_columns(
                    (column_logits, ids.to(column_logits.device))
                    for column_logits, ids in zip(logits, answered, strict=True)
                )
            )
        nothing = [Loglikelihood((), False)] * len(branches)
        by_column = [next(scored) if column.shape[1] else nothing for column in columns]
        return [list(row) for row in zip(*by_column, strict=True)]

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text]:
        if keeps:
            return self._texts_of_conversations(pictures, tokens, max_new_tokens)
        with torch.inference_mode():
            embedded = self._embedded([t.ids for t in tokens], pictures)
            output = self._network.generate(embedded, max_new_tokens, self._stop_ids)
        return self._written(output)

    def _written(self, output: Any) -> list[Text]:
        finite = torch.stack([~step.isnan().any(-1) for step in output.logits]).all(0).tolist()
        rows = [answers.until_stop(row, self._stop_ids) for row in output.sequences.tolist()]
        return [Text(self._caption(row), tuple(row), ok) for row, ok in zip(rows, finite, strict=True)]

    def room_for_conversations(self, n_images: int, n_turns: int) -> int | None:
        n_positions = n_images * self._network.n_positions + n_turns * _WORDS_OF_A_TURN
        return self._kept.max_bytes // (n_positions * self._network.bytes_per_position)

    def release(self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]) -> None:
        if not self._kept.is_empty:
            for shown_here, t in zip(pictures, tokens, strict=True):
                self._kept.drop(_elements(t.prefix, shown_here))

    def forget(self) -> None:
        self._kept.clear()

    def spare_memory(self) -> bool:
        return self._kept.give_up()

    # ------------------------------------------------------------ conversations: what was read is not read again

    def _branches_of_conversations(
        self, pictures: Sequence[Pictures], branches: Sequence[Sequence[Tokens]]
    ) -> list[list[Loglikelihood]]:
        """Reads the parts of each context that were not read before, keeps them, and scores the answers behind it."""
        prefixes = [self._prefix(shown_here, row[0]) for shown_here, row in zip(pictures, branches, strict=True)]
        results: dict[int, list[Loglikelihood]] = {}
        for members in _alike(prefixes):
            last, cache = self._read_on([prefixes[i] for i in members])
            n_positions = cache.get_seq_length()
            rows = [Reused(0, row_of(cache, k, n_positions)) for k in range(len(members))]
            for k, i in enumerate(members):
                context = prefixes[i]
                self._kept.keep(context.elements, context.parent, KeptPrefix(context.elements, rows[k].layers))
            columns = list(zip(*(branches[i] for i in members), strict=True))
            scored = iter(
                answers.scored_columns(self._column(last, rows, column) for column in columns if column[0].n_answer)
            )
            nothing = [Loglikelihood((), False)] * len(members)
            by_column = [next(scored) if column[0].n_answer else nothing for column in columns]
            results |= {i: [column[k] for column in by_column] for k, i in enumerate(members)}
        return [results[i] for i in range(len(prefixes))]

    def _column(self, last: Tensor, rows: Sequence[Reused], column: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        """Computes the logits of one answer behind each context, and gives its ids: ``last`` predicts the first.

        ``last`` is (n, 1, hidden). The answers have tokens.
        """
        n = column[0].n_answer
        wanted = torch.tensor([t.ids[-n:] for t in column], dtype=torch.long, device=self.info.device)
        hidden = last
        if n > 1:
            tail = self._network.embed_ids(wanted[:, :-1])
            hidden = torch.cat([last, self._network.read(tail, stacked(rows))], dim=1)
        logits = self._network.head(hidden)
        return logits, wanted.to(logits.device)

    def _texts_of_conversations(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int
    ) -> list[Text]:
        prefixes = [self._prefix(shown_here, t) for shown_here, t in zip(pictures, tokens, strict=True)]
        results: dict[int, Text] = {}
        for members in _alike(prefixes):
            some = [prefixes[i] for i in members]
            with torch.inference_mode():
                embedded = self._embedded([p.tokens.ids for p in some], [p.pictures for p in some])
                past = stacked([p.reused for p in some])
                output = self._network.generate(embedded, max_new_tokens, self._stop_ids, past)
                texts = self._written(output)
                for k, (prefix, text) in enumerate(zip(some, texts, strict=True)):
                    # The last written token has not been read by the network. Behind a context that was cut off,
                    # what was written does not continue its elements.
                    is_whole = prefix.n_read == len(prefix.elements)
                    elements = prefix.elements[: prefix.n_read] + (text.token_ids[:-1] if is_whole else ())
                    layers = row_of(output.past_key_values, k, self._n_positions_of(elements))
                    read = KeptPrefix(elements, layers)
                    self._kept.keep(prefix.elements, prefix.parent, read)
            results |= zip(members, texts, strict=True)
        return [results[i] for i in range(len(prefixes))]

    def _prefix(self, pictures: Pictures, tokens: Tokens) -> _Prefix:
        assert isinstance(tokens, LlavaTokens)
        elements = _elements(tokens.prefix, pictures)
        parent = _elements(tokens.parent, pictures)
        n_read = len(elements)
        if n_cut := self._lengths.n_cut(tokens.prefix):
            ends = list(itertools.accumulate(self._n_positions_of([element]) for element in elements))
            n_read = bisect.bisect_right(ends, ends[-1] - n_cut)
        kept = [self._kept.reuse(key, elements[:n_read], self._network.n_positions) for key in (elements, parent)]
        reused = max(kept, key=lambda reused: reused.n_elements)
        return _Prefix(tokens, pictures, elements, n_read, parent, reused)

    def _n_positions_of(self, elements: Sequence[Element]) -> int:
        return sum(self._network.n_positions if isinstance(element, bytes) else 1 for element in elements)

    def _read_on(self, prefixes: Sequence[_Prefix]) -> tuple[Tensor, Any]:
        """Reads the rest of contexts of which equally much was read before.

        Gives the last hidden states (n, 1, hidden), and the keys and values of the whole contexts.
        """
        embedded = self._embedded([p.tokens.prefix for p in prefixes], [p.pictures for p in prefixes])
        cache = stacked([p.reused for p in prefixes])
        hidden = self._network.read(embedded[:, prefixes[0].reused.n_positions :], cache)
        return hidden[:, -1:], cache

    # ------------------------------------------------------------ ids

    def _prompt_ids(self, context: Context) -> list[int]:
        ids = self._tokenizer.encode_pieces(pieces_of(self._template.render(context)))
        if self._scoring == Scoring.FAIR and self._ends_all_texts and ids[-1:] == [self._tokenizer.eos_id]:
            return ids[:-1]  # it ends no prompt
        return ids

    def _without_hidden(self, context: Context, ids: list[int]) -> list[int]:
        """Removes the ids of pictures that are not shown: ``[1, -200, 1154, 13]  ->  [1, 1154, 13]``."""
        hidden = [part == NO_PICTURE for turn in context.turns for part in turn.parts if isinstance(part, ImageRef)]
        if not any(hidden):
            return ids
        places = iter(hidden)
        return [token for token in ids if token != IMAGE_ID or not next(places)]

    def _begun(self, ids: list[int], n_answer: int) -> list[int]:
        """Puts a token in front where nothing is before the answer, for some token must predict its first.

            [ 301 ]  ->  [ 1, 301 ]

        It is the token that begins a text, or the one that ends it, as for a language model without a context
        (lm-evaluation-harness).
        """
        if len(ids) > n_answer:
            return ids
        first = next((token for token in (self._tokenizer.bos_id, self._tokenizer.eos_id) if token is not None), None)
        if first is None:
            raise ModelError(
                "without the image there is nothing before the answer, and the tokenizer has no token to begin with",
                "ask with words:  --prompt TEXT",
            )
        return [first, *ids]

    def _caption(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids)
        return text.strip() if self._strips else text

    def _check_ids(self, ids: list[int]) -> None:
        """Raises ModelError for ids without an embedding."""
        beyond = sorted({i for i in ids if i >= self._network.n_rows})
        if beyond:
            raise ModelError(
                f"the tokenizer gives ids {beyond} but the checkpoint embeds only {self._network.n_rows} tokens",
                "check that tokenizer and weights come from the same training run",
            )


def _as_features(encoded: Tensor) -> list[Features]:
    # Copies: a row that is kept must not keep its whole batch.
    return [Features(row.clone(), digest) for row, digest in zip(encoded, row_digests(encoded), strict=True)]


def _shape(ids: list[int]) -> tuple[int, ...]:
    return (len(ids), *(i for i, token in enumerate(ids) if token == IMAGE_ID))


def _elements(ids: Sequence[int], pictures: Pictures) -> tuple[Element, ...]:
    """Gives the ids, with the digest of the features in the place of each picture."""
    seen = iter(pictures)
    return tuple(next(seen).digest if token == IMAGE_ID else token for token in ids)


def _alike(prefixes: Sequence[_Prefix]) -> list[list[int]]:
    """Gathers the indices of contexts of which equally much was read before: these can be read on together."""
    gathered: dict[int, list[int]] = {}
    for i, prefix in enumerate(prefixes):
        gathered.setdefault(prefix.reused.n_positions, []).append(i)
    return list(gathered.values())
