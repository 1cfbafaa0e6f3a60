"""Loading a LLaVA-style model: the steps that the families babyllava and llava have in common.

Owns the arguments they share, the stop tokens, and the facts for run.json. Never decides what a config means: the
family files do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from babycli.errors import ModelError, UsageError
from babycli.models.base import ModelInfo, ModelSpec, Origin, Outline
from babycli.models.parts import adapters, checkpoint
from babycli.models.parts.adapters import Merged
from babycli.models.parts.answers import stop_ids
from babycli.models.parts.device_memory import free_bytes_of
from babycli.models.parts.greedy import FILE as GENERATION
from babycli.models.parts.greedy import read_greedy
from babycli.models.parts.kept_prefixes import KeptPrefixes
from babycli.models.parts.known_keys import Table, check_keys, is_number, note_on_unknown
from babycli.models.parts.llava_abilities import LLAVA_ABILITIES
from babycli.models.parts.llava_model import LlavaModel
from babycli.models.parts.llava_network import LlavaNetwork, is_beside_text, parts_of
from babycli.models.parts.origins import Glimpse, of_settings
from babycli.models.parts.pixels import PixelSpec
from babycli.models.parts.placement import device_map_of, spread
from babycli.models.parts.precision import full_precision, is_same, torch_dtype
from babycli.models.parts.prompts import LLAVA, SEVERAL_TURNS, TEMPLATES, default_template, shown
from babycli.models.parts.tokenizer import Tokenizer, load_tokenizer
from babycli.models.parts.towers import Tower
from babycli.models.parts.vision import quicken
from babycli.models.parts.weight_files import config_home
from babycli.wording import one_of


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint whose config has been read; ``config`` is in the original's names."""

    family: str
    spec: ModelSpec
    folder: Path
    config: Mapping[str, Any]
    trunk: str  # the language model's name inside the checkpoint: "transformer" or "model"
    n_tokens: int | None  # rows of the vocabulary to keep; None for all
    tokenizer: Tokenizer
    template: str  # a key of TEMPLATES
    template_says: str  # why it is this one
    pads: bool  # pictures are padded to squares; else the tower's own way makes them square
    notes: tuple[str, ...]  # for a reader of the numbers


def make_source(
    family: str,
    spec: ModelSpec,
    folder: Path,
    config: Mapping[str, Any],
    trunk: str,
    tokenizer: Tokenizer,
    n_tokens: int | None,
    unknown_keys: Sequence[str],
) -> Source:
    """Makes a Source, and checks the arguments that both families take, before any weight is read.

    ``unknown_keys`` are those of config.json that no table has. Raises UsageError or ModelError.
    """
    default = default_template(tokenizer.eos, _n_read(config)) if family == "babyllava" else LLAVA
    template = spec.args.get("conv_template", default)
    one_of(template, sorted(TEMPLATES), "conv_template")
    aspect = spec.args.get("image_aspect_ratio", config.get("image_aspect_ratio") or "square")
    if aspect not in ("pad", "square"):
        kind = UsageError if "image_aspect_ratio" in spec.args else ModelError
        raise kind(f"image_aspect_ratio {aspect!r} is not supported", "one of: pad, square")
    device_map_of(spec)
    notes = note_on_unknown(config_home(folder, spec.adapter) / "config.json", unknown_keys)
    says = "the default"
    if "conv_template" in spec.args:
        says = "as conv_template= says"
    elif template == SEVERAL_TURNS:
        says = f"as for BabyLLaVA-V2: it reads {_n_read(config):,} positions, and {tokenizer.eos} ends a text"
        notes = (*notes, f"the conversation template is {template}, {says}; conv_template= would set another")
    return Source(family, spec, folder, config, trunk, n_tokens, tokenizer, template, says, aspect == "pad", notes)


def _n_read(config: Mapping[str, Any]) -> float:
    """Gives the number of positions that the original reads of an input; 0 where config.json does not say it."""
    limits = (config.get(key) for key in ("max_position_embeddings", "n_positions", "tokenizer_model_max_length"))
    return min((limit for limit in limits if is_number(limit)), default=0)


def read_source(
    family: str, spec: ModelSpec, folder: Path, config: Mapping[str, Any], trunk: str, table: Table
) -> Source:
    """Reads the settings of a checkpoint in the original's format; ``table`` has the keys that its family knows."""
    unknown = check_keys(config_home(folder, spec.adapter) / "config.json", config, table)
    tokenizer = load_tokenizer(folder)
    return make_source(family, spec, folder, config, trunk, tokenizer, _n_tokens(config, tokenizer), unknown)


def _n_tokens(config: Mapping[str, Any], tokenizer: Tokenizer) -> int:
    """Counts the rows of the vocabulary that the original keeps: its loader may add tokens before it counts.

    Source: load_pretrained_model in llava/model/builder.py of BabyLLaVA @ 846ee9d.
    """
    added = ["<im_patch>"] if config.get("mm_use_im_patch_token", True) else []
    added += ["<im_start>", "<im_end>"] if config.get("mm_use_im_start_end", False) else []
    return tokenizer.size + sum(not tokenizer.knows(token) for token in added)


def merge_adapter(
    spec: ModelSpec,
    weights: dict[str, Tensor],
    trunk: str,
    tied: Sequence[str],
    in_model: Callable[[str], str] = str,
) -> Merged:
    """Merges the adapter, if there is one, into the weights of its base; see adapters.merge. Raises ModelError.

    ``tied`` are the names of weights that are one in the base, which is the first of them that is there.
    """
    there = [name for name in tied if name in weights]
    notes = tuple(
        f"config.json ties {name} to {there[0]}: the {name} in the weights, which differs, is not used"
        for name in there[1:]
        if not is_same(weights[name], weights[there[0]])
    )
    if spec.adapter is None:
        return Merged(notes)
    groups = [tied] if there else []
    weights |= {name: weights[there[0]] for names in groups for name in names}
    merged = adapters.merge(
        spec.adapter,
        weights,
        torch_dtype(spec.dtype),
        lambda name: name.startswith("transformer.h."),  # GPT-2's are (in, out); all others of these networks (out, in)
        in_model,
        groups,
        lambda name: is_beside_text(name, trunk),
    )
    return replace(merged, notes=(*notes, *merged.notes))


@contextmanager
def naming(spec: ModelSpec, place: Path) -> Iterator[None]:
    """Names the checkpoint, and its adapter if there is one, in the errors of parts that do not know its name."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{where(spec, place)}: {error.message}", error.mend) from error


def where(spec: ModelSpec, place: Path) -> str:
    """Says where weights came from that do not fit: from an adapter, too, if there is one."""
    return f"{place}" if spec.adapter is None else f"{spec.adapter} on its base {place}"


def finish(
    source: Source, network: LlavaNetwork, pixels: PixelSpec, files: Sequence[Path], notes: Sequence[str]
) -> LlavaModel:
    """Makes the loaded model. ``files`` are the weight files, for the fingerprint; the folder's settings are added."""
    spec, folder = source.spec, source.folder
    n_parameters = checkpoint.n_parameters(network)
    network = spread(network, spec).eval()
    if spec.dtype == "float32":
        full_precision()
    quicken(network.tower, spec.device)
    checkpoint.copy_from_files(network)
    greedy = read_greedy(folder)
    kept = dict.fromkeys([*files, *_setting_files(folder), *adapters.files_of(spec.adapter)])
    info = ModelInfo(
        family=source.family,
        source=spec.source,
        fingerprint=checkpoint.fingerprint(kept),
        n_parameters=n_parameters,
        dtype=spec.dtype,
        device=spec.device,
        template=source.template,
        abilities=LLAVA_ABILITIES,
        notes=(*notes, *source.notes, *greedy.notes),
    )
    network.longest_input = source.config.get("tokenizer_model_max_length")
    network.greedy, key = greedy.followed, "eos_token_id"
    declared = greedy.followed.get(key, source.config.get(key, source.tokenizer.eos_id))
    stops = stop_ids(declared, folder / (GENERATION if key in greedy.followed else "config.json"))
    return LlavaModel(
        network,
        source.tokenizer,
        info,
        spec.scoring,
        pixels,
        stops,
        strips=source.family == "babyllava" and source.template != SEVERAL_TURNS,
        kept=KeptPrefixes(free_bytes_of(spec.device) // 4),
    )


def _setting_files(folder: Path) -> list[Path]:
    """Lists the files of a folder, beside its weights, that a model's answers depend on."""
    names = ("config.json", "vocab.json", "merges.txt", "generation_config.json")
    files = [*folder.glob("*token*"), *(folder / name for name in names)]
    return sorted(file for file in files if file.is_file())


def sketch(
    source: Source,
    network: LlavaNetwork,
    tower: Tower,
    seen: Glimpse,
    homes: Sequence[Origin],
    notes: Sequence[str],
) -> Outline:
    """Makes the outline that `babycli models show` prints, from a network without weights.

    ``homes`` say where the tower, and how pictures are prepared, is read from.
    """
    template = TEMPLATES[source.template]
    stored = source.config.get("torch_dtype") or source.config.get("dtype")
    read = {"vocab.json", "merges.txt"} if source.tokenizer.file.name == "vocab.json" else {source.tokenizer.file.name}
    kinds = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")
    unread = [name for name in kinds if name not in read]
    settings = [file for file in _setting_files(source.folder) if file.name not in unread]
    return Outline(
        family=source.family,
        parts=parts_of(network, tower, source.config),
        stored_dtype=seen.dtype or (stored if isinstance(stored, str) else None),
        template=source.template,
        abilities=LLAVA_ABILITIES,
        render=lambda context: shown(template.render(context), context),
        notes=(*notes, *source.notes),
        origins=(
            seen.origin,
            *homes,
            *of_settings(settings),
            Origin("template", f"{source.template}, {source.template_says}"),
        ),
        left_out=(*seen.left_out, *(name for name in unread if (source.folder / name).is_file())),
    )
