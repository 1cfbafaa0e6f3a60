"""A loaded vision-language model of transformers.

Owns reading its weights and the methods of the model. Never pads a row: rows are computed together only if they are
equally long and have pictures of equal shape, so that a score does not depend on its batch. A weight that is missing or
of a wrong shape is an error: transformers only warns, and goes on with random numbers.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL.Image import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, GenerationConfig, LogitsProcessor, LogitsProcessorList

from babycli.domain import CannotAnswer, Context, Loglikelihood, Text
from babycli.errors import ModelError
from babycli.files import in_home
from babycli.models.base import Features, Model, ModelInfo, ModelSpec, Origin, Outline, Pictures, Tokens
from babycli.models.parts import adapters, answers, checkpoint, hf_adapters
from babycli.models.parts.chat_rendering import BoundlessTemplateError
from babycli.models.parts.greedy import FILE as GENERATION
from babycli.models.parts.greedy import read_greedy
from babycli.models.parts.hf_abilities import ABILITIES
from babycli.models.parts.hf_chat import Chat, setting_files
from babycli.models.parts.hf_parts import parts_of
from babycli.models.parts.origins import glimpse, of_settings
from babycli.models.parts.pictures import check_thinness, picture_digest
from babycli.models.parts.placement import device_map_of
from babycli.models.parts.precision import full_precision, notes_on_broken, torch_dtype
from babycli.models.parts.quantised import note_on, small_weights
from babycli.models.parts.transformers_calls import reading
from babycli.models.parts.weight_files import find_weights
from babycli.wording import Scoring, listed

_AUTO: Any = AutoModelForImageTextToText  # some of its functions have no types
TEMPLATE = "chat"
_FEW_NUMBERS = 1 << 27  # half a gigabyte: so many can be made up, and then it is said which weights are missing


@dataclass(frozen=True, slots=True)
class ChatTokens(Tokens):
    """A request with its text, which the processor needs to put in the tokens of its pictures."""

    text: str
    is_plain: bool  # of one turn, with one picture at most: what every checkpoint can take


class HfModel(Model):
    """A loaded network; see babycli.models.base.Model for the contract of each method.

    The features of a picture are the picture itself: only a model's own processor knows how a picture becomes tokens.
    So only pictures of equal pixels are known to be equal for the model, and only they tie exactly.
    """

    def __init__(self, network: Any, chat: Chat, info: ModelInfo) -> None:
        self._network = network
        self._chat = chat
        self._keeps = "logits_to_keep" in inspect.signature(network.forward).parameters
        text_config = network.config.get_text_config(decoder=True)
        self._max_length: int | None = getattr(text_config, "max_position_embeddings", None)
        self._n_rows = int(network.get_input_embeddings().weight.shape[0])
        declared = network.generation_config.eos_token_id
        self._stop_ids = answers.stop_ids(declared, chat.folder / GENERATION)
        self.info = info

    def render(self, context: Context) -> str:
        return self._chat.render(context)

    def preprocess(self, image: Image) -> Image:
        check_thinness(image)
        return image

    def encode(self, pixels: Sequence[Image]) -> list[Features]:
        return [Features(image, picture_digest(image)) for image in pixels]

    def tokenize(self, context: Context, answer: str) -> ChatTokens | CannotAnswer:
        """Tokenises the conversation and the answer as one text; the ids beyond the prompt's own are scored.

        A space goes between the two unless the template ends in white space; no terminator is added.

            prompt    [ 9 872  6 3838 374 77091 198 ]         "<user>\\n<img>What is<assistant>\\n"
            whole     [ 9 872  6 3838 374 77091 198 3959 ]    "<user>\\n<img>What is<assistant>\\nball"
            scored                                  ^^^^      n_answer = 8 - 7

        A tokenizer may join the end of the prompt to the answer. Then both are scored as the one token they are:

            prompt    [ 9 872  6 3838 7 25 220 ]              "...<assistant>: "
            whole     [ 9 872  6 3838 7 25 4874 ]             "...<assistant>: ball"
            scored                         ^^^^               n_answer = 7 - 6

        A picture is one token (6) here; the processor replaces it by many later. The answer stays at the end.
        """
        rendered = self._rendered(context)
        if isinstance(rendered, CannotAnswer):
            return rendered
        whole = rendered + ("" if rendered[-1:].isspace() else " ") + answer
        prompt_ids, ids = self._chat.ids(rendered), self._chat.ids(whole)
        n_answer = len(ids) - answers.common_prefix(prompt_ids, ids)
        if why := self._chat.why_unreadable(context, ids):
            return CannotAnswer(why)
        key = (len(ids), len(context.places), n_answer)
        return ChatTokens(tuple(ids), n_answer, key, whole, _is_plain(context))

    def read(self, context: Context, max_new_tokens: int) -> ChatTokens | CannotAnswer:
        rendered = self._rendered(context)
        if isinstance(rendered, CannotAnswer):
            return rendered
        ids = self._chat.ids(rendered)
        if why := self._chat.why_unreadable(context, ids):
            return CannotAnswer(why)
        return ChatTokens(tuple(ids), 0, (len(ids), len(context.places)), rendered, _is_plain(context))

    def _rendered(self, context: Context) -> str | CannotAnswer:
        """Renders a context; CannotAnswer for one of several turns or pictures that the template refuses."""
        try:
            return self._chat.render(context)
        except BoundlessTemplateError:
            raise
        except ModelError as error:
            if _is_plain(context):
                raise
            return CannotAnswer(error.message)

    def loglikelihood(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens]
    ) -> list[Loglikelihood | CannotAnswer]:
        """Computes the log-probabilities of the last ``n_answer`` ids of each, in float32 whatever the model's dtype.

        positions   [ 9 872 i1 i2 .. i64 3838 77091 198 | 3959 13 ]
        predicts                                    ^^^   ^^^^         the logits at [-n_answer - 1 : -1]
        """
        n = tokens[0].n_answer
        if n == 0:
            return [Loglikelihood((), False) for _ in tokens]
        requests = cast(Sequence[ChatTokens], tokens)
        rows = [self._inputs(shown, t) for shown, t in zip(pictures, requests, strict=True)]
        for row, request in zip(rows, requests, strict=True):
            if not isinstance(row, CannotAnswer) and row["input_ids"][0, -n:].tolist() != list(request.ids[-n:]):
                raise ModelError(f"{self._chat.folder}: its processor changes the answer in {request.text[-80:]!r}")
        results, fitting = self._sorted_out(rows, 0)
        with torch.inference_mode():
            for members, batch in self._batches(fitting):
                scores = answers.scored(self._logits(batch, n), batch["input_ids"][:, -n:])
                results |= zip(members, scores, strict=True)
        return [results[i] for i in range(len(rows))]

    def generate(
        self, pictures: Sequence[Pictures], tokens: Sequence[Tokens], max_new_tokens: int, keeps: bool = False
    ) -> list[Text | CannotAnswer]:
        requests = cast(Sequence[ChatTokens], tokens)
        rows = [self._inputs(shown, t) for shown, t in zip(pictures, requests, strict=True)]
        results, fitting = self._sorted_out(rows, max_new_tokens)
        with torch.inference_mode():
            for members, batch in self._batches(fitting):
                watch = _NanWatch()
                new_ids = self._greedy(batch, max_new_tokens, watch)
                for i, row_ids, nans in zip(members, new_ids, watch.steps_by_row(), strict=True):
                    ids = answers.until_stop(row_ids, self._stop_ids)
                    text = self._chat.tokenizer.decode(ids, skip_special_tokens=True).strip()
                    results[i] = Text(text, tuple(ids), not any(nans[: len(ids)]))
        return [results[i] for i in range(len(rows))]

    def _inputs(self, pictures: Pictures, tokens: ChatTokens) -> dict[str, Tensor] | CannotAnswer:
        """Makes the network's input; CannotAnswer for several turns or pictures that the processor refuses."""
        try:
            return self._chat.inputs(tokens.text, [features.data for features in pictures], tokens.n_answer)
        except ModelError as error:
            if tokens.is_plain:
                raise
            return CannotAnswer(error.message)

    def _sorted_out(
        self, rows: Sequence[dict[str, Tensor] | CannotAnswer], n_new: int
    ) -> tuple[dict[int, Any], dict[int, dict[str, Tensor]]]:
        """Divides rows into those that the model cannot take, with their answers, and the others; both by index."""
        refused: dict[int, Any] = {}
        fitting: dict[int, dict[str, Tensor]] = {}
        for i, row in enumerate(rows):
            if isinstance(row, CannotAnswer):
                refused[i] = row
            elif why := self._why_too_long(row, n_new):
                refused[i] = CannotAnswer(why)
            else:
                fitting[i] = row
        return refused, fitting

    def _batches(self, rows: Mapping[int, dict[str, Tensor]]) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Gathers the rows that may be computed together; gives their indices and a batch. Nothing is padded.

        In every tensor the first dimension is that of the row's parts: one sequence of ids, or several patches.
        """
        alike: dict[Hashable, list[int]] = {}
        for i, row in rows.items():
            alike.setdefault(tuple((name, t.shape, t.dtype) for name, t in row.items()), []).append(i)
        for members in alike.values():
            names = rows[members[0]]
            yield members, {name: self._placed(torch.cat([rows[i][name] for i in members])) for name in names}

    def _placed(self, tensor: Tensor) -> Tensor:
        dtype = torch_dtype(self.info.dtype) if tensor.is_floating_point() else None
        return tensor.to(self.info.device, dtype)

    def _logits(self, batch: dict[str, Tensor], n_answer: int) -> Tensor:
        kept = {"logits_to_keep": n_answer + 1} if self._keeps else {}
        with reading(f"{self._chat.folder}: the network cannot take what its processor gives"):
            logits: Tensor = self._network(**batch, use_cache=False, **kept).logits
        return logits[:, -n_answer - 1 : -1]

    def _greedy(self, batch: dict[str, Tensor], max_new_tokens: int, watch: _NanWatch) -> list[list[int]]:
        """Runs transformers' greedy search with those settings of the checkpoint that it follows."""
        settings = copy.deepcopy(self._network.generation_config)
        with reading(f"{self._chat.folder}: captions cannot be generated, see its generation_config.json"):
            settings.update(do_sample=False, num_beams=1, max_new_tokens=max_new_tokens)
            sequences: Tensor = self._network.generate(
                **batch, generation_config=settings, logits_processor=LogitsProcessorList([watch])
            )
        # Most models return the prompt before the new ids, some do not.
        return [row[-watch.n_steps :] for row in sequences.tolist()]

    def _why_too_long(self, row: dict[str, Tensor], n_new: int) -> str:
        """Tells why a row is too long; "" if it is not. Raises ModelError for ids without an embedding."""
        ids = row["input_ids"]
        beyond = sorted(set(ids[ids >= self._n_rows].tolist()))
        if beyond:
            raise ModelError(
                f"{self._chat.folder}: its tokenizer gives ids {beyond} but only {self._n_rows} tokens are embedded",
                "check that tokenizer and weights come from the same training run",
            )
        length = ids.shape[1] + n_new
        if self._max_length is None or length <= self._max_length:
            return ""
        hint = "; tiles=false among --model-args would make pictures shorter" if self._chat.cuts_pictures else ""
        return f"a sequence of {length} positions does not fit the model's {self._max_length}{hint}"


def _is_plain(context: Context) -> bool:
    return len(context.turns) == 1 and len(context.places) <= 1


class _NanWatch(LogitsProcessor):
    """A watcher of the logits of every step: it changes none, and remembers which rows held NaN."""

    def __init__(self) -> None:
        self._steps: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._steps.append(scores.isnan().any(-1))
        return scores

    @property
    def n_steps(self) -> int:
        return len(self._steps)

    def steps_by_row(self) -> list[list[bool]]:
        steps: list[list[bool]] = torch.stack(self._steps, dim=1).tolist()
        return steps


def load(spec: ModelSpec, folder: Path, config: Any, chat: Chat) -> HfModel:
    """Loads the model of a checkpoint folder whose config and chat have been read."""
    found = find_weights(folder)
    stored = checkpoint.look_into(found.paths)
    dtype = torch_dtype(spec.dtype)
    is_small, small = small_weights(folder / "config.json", checkpoint.read_config(folder), spec.args, dtype)
    if not is_small:
        checkpoint.check_formats(stored.dtypes, folder)
    check_readable(folder, stored)
    check_size(folder, _without_weights(folder, config), stored)
    device_map = device_map_of(spec)
    placed: Any = device_map or ({"": spec.device} if is_small else None)
    own = read_greedy(folder)  # first, because transformers may refuse the file for what greedy search does not follow
    settings = {"generation_config": GenerationConfig.from_dict(dict(own.followed))} if own.is_declared else {}
    if small is not None:
        settings["quantization_config"] = small
    network, notes = read_network(_AUTO, folder, config, dtype, placed, **settings)
    if is_small:
        notes.append(note_on(network, small))
    if spec.adapter is not None:
        if is_small:
            raise ModelError(f"{spec.adapter}: an adapter is merged into whole weights", "leave load_in_… out")
        notes += hf_adapters.merge_into(spec.adapter, network, spec.dtype)
    network = (network if placed else network.to(spec.device)).eval()
    checkpoint.copy_from_files(network)
    if spec.dtype == "float32":
        full_precision()
    own_template = [in_home(spec.args["chat_template"])] if "chat_template" in spec.args else []
    files = [*setting_files(folder), *found.paths, *own_template, *adapters.files_of(spec.adapter)]
    notes += [*chat.notes(), *own.notes, *notes_on_broken(network.parameters()), *found.notes()]
    if spec.scoring == Scoring.REFERENCE:
        notes.append("scored as with --scoring fair: there is no original to follow")
    info = ModelInfo(
        family="hf",
        source=spec.source,
        fingerprint=checkpoint.fingerprint(files),
        n_parameters=int(network.num_parameters()),
        dtype=spec.dtype,
        device=spec.device,
        template=TEMPLATE,
        abilities=ABILITIES,
        notes=tuple(notes),
        model_type=network.config.model_type,
    )
    return HfModel(network, chat, info)


def outline(spec: ModelSpec, folder: Path, config: Any, chat: Chat) -> Outline:
    """Makes the outline that `babycli models show` prints; the network is built without its weights."""
    seen = glimpse(folder, spec.source)
    network = _without_weights(folder, config)
    declared = checkpoint.read_config(folder)
    inner = declared.get("text_config")
    places = [declared, inner] if isinstance(inner, dict) else [declared]
    dtypes = [place.get(key) for place in places for key in ("dtype", "torch_dtype")]
    return Outline(
        family="hf",
        parts=tuple(parts_of(network)),
        stored_dtype=seen.dtype or next((dtype for dtype in dtypes if isinstance(dtype, str)), None),
        template=TEMPLATE,
        abilities=ABILITIES,
        render=chat.render,
        origins=(
            seen.origin,
            *(origin for origin in of_settings(setting_files(folder)) if origin.what != "template"),
            Origin("template", "the checkpoint's own" if chat.origin.parent == folder else "", (chat.origin,)),
        ),
        left_out=seen.left_out,
        notes=chat.notes(),
    )


def _without_weights(folder: Path, config: Any) -> Any:
    """Builds the network that config.json describes on the meta device. Raises ModelError."""
    with reading(f"{folder / 'config.json'}: it describes no model"), torch.device("meta"):
        return _AUTO.from_config(copy.deepcopy(config), trust_remote_code=False)


def check_size(folder: Path, network: Any, stored: checkpoint.Stored) -> None:
    """Checks that the weights are not far fewer than config.json says: transformers would make up the rest first.

    ``network`` is the one that it describes, without weights.
    """
    n_described = sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))
    if n_described > max(2 * stored.n_numbers, _FEW_NUMBERS):
        raise ModelError(
            f"{folder / 'config.json'} describes a model of {n_described:,} numbers, and the weight files hold "
            f"{stored.n_numbers:,}",
            "check that config.json and the weight files come from the same training run",
        )


def check_readable(folder: Path, stored: checkpoint.Stored) -> None:
    """Checks that transformers finds weights under their names, and nothing around them. Raises ModelError."""
    if stored.wrapper:
        checkpoint.check_merged(stored.dtypes, folder)
        raise ModelError(
            f"the names of all weights in {folder} begin with {stored.wrapper!r}, which a wrapper of the training put "
            "there, and transformers does not take it off",
            checkpoint.SAVE_PLAIN,
        )
    if stored.level:
        raise ModelError(
            f"the weights in {folder} are under the key {stored.level!r}, where transformers does not look for them",
            checkpoint.SAVE_PLAIN,
        )


def read_network(
    kind: Any, folder: Path, config: Any, dtype: torch.dtype, device_map: Any = None, **settings: Any
) -> tuple[Any, list[str]]:
    """Reads a network of a class of transformers with all its weights. Raises ModelError.

    Gives it, and notes on weights that are not used.
    """
    with reading(f"{folder}: transformers cannot load it"):
        network, report = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            device_map=device_map,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are counted below
            **settings,
        )
    spare = sorted(report["unexpected_keys"])
    checkpoint.check_merged(spare, folder)
    reshaped = [f"{name} is {tuple(given)}, should be {tuple(own)}" for name, given, own in report["mismatched_keys"]]
    problems = [
        f"{len(names)} {label}: {listed(sorted(names))}"
        for names, label in ((report["missing_keys"], "missing"), (reshaped, "of a wrong shape"))
        if names
    ]
    if problems:
        problems += checkpoint.why_unexpected(spare, report["missing_keys"])
        raise ModelError(
            f"the weights of {folder} do not fit its config.json: " + "; ".join(problems),
            "check that config.json and the weight files come from the same training run",
        )
    return network, [f"weights without a place in the model, left out: {listed(spare)}"] if spare else []
