"""A LLaVA-style network: tower, projector and language model, each filled from its share of the weights.

Owns the module tree and the split of a state dict. Never reads a file, never tokenises. A weight that is
missing, left over or of a wrong shape is an error: the original only warns, and scores with random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from babycli.errors import ModelError
from babycli.models.base import Part
from babycli.models.parts import checkpoint
from babycli.models.parts.known_keys import GPT2, LLAMA, used_by
from babycli.models.parts.precision import in_dtype, notes_on_broken
from babycli.models.parts.tokenizer import IMAGE_ID
from babycli.models.parts.towers import BAD_SETTINGS, Tower
from babycli.models.parts.vision import projector
from babycli.wording import one_line

HEAD = "lm_head.weight"
# Masks and constants that older versions of transformers saved with the weights; they are computed anew.
_LEGACY_BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")


class LlavaNetwork(nn.Module):
    """Tower, projector and language model. All sequences of a batch are equally long, so nothing is padded."""

    def __init__(self, tower: Tower, connector: nn.Module, text: Any) -> None:
        super().__init__()
        self.tower = tower.module
        self.tower_settings = tower.settings
        self.connector = connector
        self.text = text
        self.n_positions = tower.n_positions  # that an image takes in the sequence
        self.max_length: int | None = getattr(text.config, "max_position_embeddings", None)
        self.has_places = isinstance(text, GPT2LMHeadModel)  # a table of them, which ends; Llama computes them
        self.longest_input: float | None = None  # behind which the original cuts off what it reads
        self.greedy: Mapping[str, Any] = {}  # of generation_config.json, for instance a repetition penalty

    @property
    def n_rows(self) -> int:
        return int(self.text.get_input_embeddings().weight.shape[0])

    @property
    def bytes_per_position(self) -> int:
        """The size of the keys and values of one position, in all layers."""
        config = self.text.config
        n_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * n_heads * size * self.text.dtype.itemsize)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encodes pixels: (n, 3, 224, 224) -> (n, positions, hidden)."""
        # In one order of memory, whatever the tower's: in half precision a product of matrices rounds by it.
        out: Tensor = self.connector(self.tower(pixels).contiguous())
        return out

    def embed(self, ids: list[list[int]], features: list[list[Tensor]], device: torch.device) -> Tensor:
        """Embeds ids and image features as (n, length, hidden); each IMAGE_ID is replaced by the next features.

        ids         [ 1, -200,              1154, 13 ]      4 ids
        embedded    [ e1, f1 f2 ... f49, e1154, e13 ]      52 positions
        """
        # All words in one transfer: each to a GPU takes its time, however little it brings.
        words = [token for row in ids for token in row if token != IMAGE_ID]
        embedded = self.embed_ids(torch.tensor(words, dtype=torch.long, device=device))
        rows, first = [], 0
        for row, images in zip(ids, features, strict=True):
            pieces, start = [], 0
            places = [i for i, token in enumerate(row) if token == IMAGE_ID]
            for i, image in zip([*places, len(row)], [*images, None], strict=True):
                pieces.append(embedded[first : first + i - start])
                first += i - start
                if image is not None:
                    pieces.append(image)
                start = i + 1
            rows.append(torch.cat(pieces))
        return torch.stack(rows)

    def embed_ids(self, ids: Tensor) -> Tensor:
        """Embeds ids without pictures: (..., length) -> (..., length, hidden)."""
        out: Tensor = self.text.get_input_embeddings()(ids).to(ids.device)
        return out

    def read(self, embedded: Tensor, cache: Any) -> Tensor:
        """Reads texts that continue those in ``cache``, adds them to it, and gives their last hidden states."""
        out: Tensor = self.text.base_model(
            inputs_embeds=embedded, past_key_values=cache, use_cache=True
        ).last_hidden_state
        return out

    def head(self, hidden: Tensor) -> Tensor:
        """Computes logits: (n, length, hidden) -> (n, length, vocabulary)."""
        out: Tensor = self.text.get_output_embeddings()(hidden)
        return out

    def logits(self, embedded: Tensor, n_answer: int) -> Tensor:
        """Computes only the logits that predict the answer: (n, length, hidden) -> (n, n_answer, vocabulary)."""
        hidden = self._hidden(embedded, embedded.shape[1], [])
        out: Tensor = self.text.get_output_embeddings()(hidden[:, -n_answer - 1 : -1])
        return out

    def branch_logits(self, prefix: Tensor, answers: list[Tensor]) -> list[Tensor]:
        """Computes the logits of several answers behind one prefix.

        (n, n_prefix, hidden) and ids (n, n_answer) of each answer -> (n, n_answer, vocabulary) for each answer.

        An answer's last token predicts nothing and is left out; the other tokens follow the prefix, one answer after
        another. Each token sees the prefix and its own answer, and has the place as if its answer came right after the
        prefix:

                    prefix   | a1 a2 | b1 |         answers "a1 a2 a3" and "b1 b2"; an answer of one token adds nothing
            place   0  1  2  | 3  4  | 3  |
            a1      x  x  x  | x     |    |
            a2      x  x  x  | x  x  |    |
            b1      x  x  x  |       | x  |
            predicts      a1, b1      | a2 a3 | b2   read at 2 3 4 and at 2 5
        """
        n_prefix = prefix.shape[1]
        tails = [self.text.get_input_embeddings()(ids[:, :-1]).to(prefix.device) for ids in answers]
        hidden = self._hidden(torch.cat([prefix, *tails], dim=1), n_prefix, [t.shape[1] for t in tails])
        wanted, start = list[int](), n_prefix
        for tail in tails:
            wanted += [n_prefix - 1, *range(start, start + tail.shape[1])]
            start += tail.shape[1]
        logits: Tensor = self.text.get_output_embeddings()(hidden[:, torch.tensor(wanted, device=hidden.device)])
        return list(torch.split(logits, [1 + tail.shape[1] for tail in tails], dim=1))

    def _hidden(self, row: Tensor, n_prefix: int, lengths: list[int]) -> Tensor:
        """Computes the last hidden states of a prefix with branches of these lengths behind it."""
        masked: dict[str, Tensor] = {}
        if sum(n > 0 for n in lengths) > 1:  # else the row is an ordinary text
            branch = torch.tensor([0] * n_prefix + [i for i, n in enumerate(lengths, 1) for _ in range(n)])
            place = torch.tensor([*range(n_prefix), *(n_prefix + k for n in lengths for k in range(n))])
            sees = (branch[None] == 0) | (branch[None] == branch[:, None])
            sees &= torch.ones(len(branch), len(branch)).tril().bool()
            hides = torch.zeros(sees.shape, dtype=row.dtype).masked_fill(~sees, torch.finfo(row.dtype).min)
            masked = {
                "attention_mask": hides.to(row.device).expand(row.shape[0], 1, -1, -1),
                "position_ids": place.to(row.device).expand(row.shape[0], -1),
            }
        out: Tensor = self.text.base_model(inputs_embeds=row, use_cache=False, **masked).last_hidden_state
        return out

    def generate(self, embedded: Tensor, max_new_tokens: int, stop_ids: list[int], past: Any = None) -> Any:
        """Runs transformers' greedy search behind ``embedded``; ``past`` has the keys and values of its beginning.

        The result's ``sequences`` hold new ids only, its ``logits`` a tensor (n, vocabulary) for each step. Rows that
        have stopped are filled up with the first stop id, not with the tokenizer's padding token, which may have no
        row in the embeddings.
        """
        mask = torch.ones(embedded.shape[:2], dtype=torch.long, device=embedded.device)
        settings = GenerationConfig.from_dict(
            dict(self.greedy)
            | {
                "do_sample": False,
                "num_beams": 1,
                "max_new_tokens": max_new_tokens,
                "eos_token_id": stop_ids or None,
                "pad_token_id": stop_ids[0] if stop_ids else 0,
                "return_dict_in_generate": True,
                "output_logits": True,
            }
        )
        try:
            kept = {} if past is None else {"past_key_values": past}
            return self.text.generate(inputs_embeds=embedded, attention_mask=mask, generation_config=settings, **kept)
        except (ValueError, TypeError) as error:
            raise ModelError(f"captions cannot be generated with generation_config.json: {one_line(error)}") from error


@dataclass(frozen=True, slots=True)
class Shares:
    """A checkpoint's weights, divided among the parts, under the parts' own names."""

    tower: Mapping[str, Tensor]
    connector: Mapping[str, Tensor]
    text: Mapping[str, Tensor]
    notes: tuple[str, ...]


def tower_prefix(trunk: str) -> str:
    """Gives what stands in front of the names of a tower's weights in a checkpoint."""
    return f"{trunk}.vision_tower.vision_tower."


def is_beside_text(name: str, trunk: str) -> bool:
    """Tells of a weight whether a language model has none of that name: it is the tower's, the projector's or old."""
    return name.startswith((tower_prefix(trunk), f"{trunk}.mm_projector.")) or name.endswith(_LEGACY_BUFFERS)


def tied_weights(config: Mapping[str, Any], trunk: str) -> tuple[str, ...]:
    """Names the weights of which config.json says that they are one, the one that is read first. Raises ModelError."""
    return (embeddings_of(trunk), HEAD) if _text_config(config, trunk).tie_word_embeddings else ()


def embeddings_of(trunk: str) -> str:
    return f"{trunk}.wte.weight" if trunk == "transformer" else f"{trunk}.embed_tokens.weight"


def split(weights: Mapping[str, Tensor], trunk: str, dtype: torch.dtype) -> Shares:
    """Divides a state dict with LLaVA's names among the parts, in ``dtype``; integers stay as they are."""
    own_tower, connector_prefix = tower_prefix(trunk), f"{trunk}.mm_projector."
    tower, connector, text = {}, {}, {}
    for name, value in in_dtype(weights, dtype).items():
        if name.startswith(own_tower):
            tower[name.removeprefix(own_tower)] = value
        elif name.startswith(connector_prefix):
            connector[name.removeprefix(connector_prefix)] = value
        elif not name.endswith(_LEGACY_BUFFERS):
            text[name] = value
    return Shares(tower, connector, text, notes_on_broken(weights.values()))


def assemble(
    config: Mapping[str, Any], trunk: str, n_tokens: int | None, tower: Tower, shares: Shares | None
) -> LlavaNetwork:
    """Builds the network of a checkpoint, on the CPU; without ``shares``, parameters are on the meta device.

    ``trunk`` is the language model's name inside the checkpoint ("transformer" or "model"). ``n_tokens`` is the size of
    the tokenizer: rows of the vocabulary beyond it are cut off, as the original's resize_token_embeddings does, so that
    they take no share of the probability. None keeps all rows, as transformers does. Raises ModelError.
    """
    text = _text_model(config, trunk, None if shares is None else dict(shares.text), n_tokens)
    kind, wide = str(config.get("mm_projector_type", "linear")), text.config.hidden_size
    bias = bool(config.get("mm_projector_bias", True))
    if kind == "identity" and tower.size != wide:
        raise ModelError(
            f"config.json: mm_projector_type 'identity' joins a vision tower of width {tower.size} to a language model "
            f"of width {wide}; it can only join equal widths"
        )
    declared = config.get("mm_hidden_size")
    if shares is not None and kind != "identity" and declared not in (None, tower.size):
        raise ModelError(f"config.json: mm_hidden_size is {declared!r}, and the vision tower is {tower.size} wide")
    try:
        with init_empty_weights():
            connector = projector(kind, tower.size, wide, bias)
    except ValueError as error:
        raise ModelError(f"config.json: {one_line(error)}") from error
    if shares is not None:
        checkpoint.check_names(connector, shares.connector, "projector", frozenset())
        connector.load_state_dict(shares.connector, assign=True)
    return LlavaNetwork(tower, connector, text)


def parts_of(network: LlavaNetwork, tower: Tower, config: Mapping[str, Any]) -> tuple[Part, ...]:
    """Describes the parts of a network."""
    text = network.text.config
    rows, wide = network.n_rows, text.hidden_size
    n_heads, n_layers = text.num_attention_heads, text.num_hidden_layers
    kind = {"gpt2": "GPT-2", "llama": "Llama"}.get(text.model_type, text.model_type)
    return (
        Part("vision tower", tower.what, checkpoint.n_parameters(network.tower)),
        Part(
            "projector",
            f"{config.get('mm_projector_type', 'linear')}, {tower.size} to {wide}",
            checkpoint.n_parameters(network.connector),
        ),
        Part(
            "language model",
            f"{kind}, {n_layers} layers, {wide} wide, {n_heads} heads, {rows} tokens",
            checkpoint.n_parameters(network.text),
        ),
    )


def _text_model(config: Mapping[str, Any], trunk: str, weights: dict[str, Tensor] | None, n_tokens: int | None) -> Any:
    """Builds transformers' own GPT-2 or Llama, filled from ``weights`` if there are any. Raises ModelError."""
    model_class: Any = GPT2LMHeadModel if trunk == "transformer" else LlamaForCausalLM
    text_config = _text_config(config, trunk)
    with _building(text_config.model_type), torch.device("meta"):
        expected = model_class(text_config)
    if getattr(text_config, "activation_function", None) == "gelu_new":
        text_config.activation_function = "gelu_pytorch_tanh"  # the same function in one pass over the memory
    rows = expected.get_input_embeddings().weight.shape[0]
    tied = bool(text_config.tie_word_embeddings)
    if weights is not None:
        if tied:
            weights.pop(HEAD, None)  # transformers would take the embeddings anyway
        checkpoint.check_names(expected, weights, "language model", frozenset({HEAD}) if tied else frozenset())
    text_config.vocab_size = n_rows = min(n_tokens or rows, rows)
    with _building(text_config.model_type), init_empty_weights():  # buffers stay real: a checkpoint has no rotary ones
        model = model_class(text_config)
    if weights is not None:
        for name in [embeddings_of(trunk)] if tied else [embeddings_of(trunk), HEAD]:
            weights[name] = weights[name][:n_rows].clone()
        model.load_state_dict(weights, strict=False, assign=True)  # check_names was strict; a tied head is missing
    model.tie_weights()
    return model


def _text_config(config: Mapping[str, Any], trunk: str) -> Any:
    config_class: Any = GPT2Config if trunk == "transformer" else LlamaConfig
    with _building(config_class.model_type):
        return config_class(**used_by(config_class, config, GPT2 if trunk == "transformer" else LLAMA))


@contextmanager
def _building(kind: str) -> Iterator[None]:
    try:
        yield
    except BAD_SETTINGS as error:
        raise ModelError(f"config.json does not describe a {kind} model: {one_line(error)}") from error
