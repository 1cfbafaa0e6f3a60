"""The model families of babycli, found by looking: every module here with a ``FAMILY`` is one.

Owns the registry and the way from what a user typed to a loaded model. Never imports torch itself.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from babycli.errors import ModelError, UsageError, did_you_mean
from babycli.models.base import Family, Model, ModelSpec

DEFAULT_MODEL = "wsashawn/babyllava_resnext_gpt2"
BUNDLED = {"babyllava-tiny": Path(__file__).parent.parent / "demo" / "babyllava-tiny"}
DTYPES = ("float32", "float16", "bfloat16")


@functools.cache
def all_families() -> Mapping[str, Family]:
    """Every family by name."""
    modules = [info for info in pkgutil.iter_modules(__path__) if not info.ispkg]
    families = [getattr(import_module(f"{__name__}.{info.name}"), "FAMILY", None) for info in modules]
    return {family.name: family for family in families if family is not None}


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model the user named: where its checkpoint is, and its family if the name says so."""

    source: str
    family: Family | None


def resolve(model: str, args: Mapping[str, str]) -> Resolved:
    """Makes sense of --model without touching the network. Raises UsageError for a name that is nothing."""
    families = all_families()
    if model in families:
        pretrained = args.get("pretrained")
        if not pretrained:
            raise UsageError(
                f"--model {model} names a family, not a checkpoint",
                f"say which:  --model {model} --model-args pretrained=PATH-OR-HUB-ID",
            )
        return Resolved(resolve(pretrained, {}).source, families[model])
    if "pretrained" in args:
        raise UsageError(
            f"--model {model} and pretrained={args['pretrained']} name two checkpoints",
            f"give one:  --model {args['pretrained']}",
        )
    if model in BUNDLED:
        return Resolved(str(BUNDLED[model]), None)
    path = Path(model).expanduser()
    if model and path.is_dir():
        return Resolved(str(path), None)
    is_hub_id = model.count("/") == 1 and not model.startswith((".", "/", "~")) and not model.endswith("/")
    if is_hub_id and not path.exists():
        return Resolved(model, None)
    names = [*families, *BUNDLED, DEFAULT_MODEL]
    siblings = [str(entry) for entry in sorted(path.parent.glob("*")) if entry.is_dir()] if "/" in model else []
    what = "is a file, not a checkpoint folder" if path.is_file() else "is no folder, hub id or family known here"
    raise UsageError(
        f"unknown model {model!r}: it {what}.{did_you_mean(model, [*names, *siblings])}",
        f"give a checkpoint folder, a hub id such as {DEFAULT_MODEL}, or one of: {', '.join([*families, *BUNDLED])}",
    )


def check_spec(resolved: Resolved, spec: ModelSpec) -> None:
    """What can be known of a bad argument or device without the checkpoint. Raises UsageError."""
    _check_device(spec.device)
    _check_arguments([resolved.family] if resolved.family else list(all_families().values()), spec.args)


def load_model(resolved: Resolved, spec: ModelSpec) -> Model:
    """Fetches and loads a checkpoint with the family that recognises it.

    Raises ModelError where that fails, UsageError for an argument that the family does not take.
    """
    from babycli.models.parts.checkpoint import fetch, read_config

    folder = fetch(resolved.source)
    family = resolved.family or _family_of(folder, read_config(folder))
    _check_arguments([family], spec.args)
    return family.load(spec, folder)


def pick_device(wanted: str | None) -> str:
    """The device asked for, else the first GPU, else the CPU."""
    if wanted is not None:
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _family_of(folder: Path, config: Mapping[str, object]) -> Family:
    for family in all_families().values():
        if family.recognises(config):
            return family
    raise ModelError(
        f"no model family reads {folder}: its config.json says model_type {config.get('model_type')!r} with vision "
        f"tower {config.get('mm_vision_tower')!r}",
        f"families: {', '.join(all_families())}",
    )


def _check_arguments(families: Sequence[Family], args: Mapping[str, str]) -> None:
    """Raises UsageError for an argument that none of the families takes."""
    known = list(dict.fromkeys(key for family in families for key in family.arguments))
    for key in args:
        if key not in known:
            raise UsageError(
                f"{' or '.join(family.name for family in families)} has no argument {key!r}.{did_you_mean(key, known)}",
                f"--model-args takes: {', '.join(known)}",
            )


def _check_device(device: str) -> None:
    import torch

    try:
        parsed = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"unknown device {device!r}", "use cpu, cuda, cuda:N or mps") from error
    if parsed.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"unknown device {device!r}", "use cpu, cuda, cuda:N or mps")
    if parsed.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("there is no device 'mps' here", "use --device cpu")
    if parsed.type == "cuda" and (parsed.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"there is no device {device!r}: torch sees {torch.cuda.device_count()} GPUs", "use --device cpu"
        )
