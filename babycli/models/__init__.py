"""The registry of model families: every module here with a ``FAMILY`` is one; others are registered.

Owns the registry, and finding, checking and loading the model that a user names. Never imports torch itself.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import pkgutil
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from babycli.errors import ModelError, UsageError
from babycli.files import in_home
from babycli.models.base import Family, MemoryProbe, Model, ModelSpec, Outline
from babycli.models.broken_packages import check_torchvision
from babycli.models.machine_memory import check_address_space, free_bytes
from babycli.models.parts.unchanged import watching
from babycli.wording import Dtype, any_of, did_you_mean, listed, natural_order

DEFAULT_MODEL = "wsashawn/babyllava_resnext_gpt2"
BUNDLED = {name: Path(__file__).parent.parent / "demo" / name for name in ("babyllava-tiny", "babyllava-v2-tiny")}


_MOST_GUESSES = 3  # folders that are named where another was given
_OF_TRAINING = ("optimizer", "scheduler", "scaler", "rng_state", "training_args")  # files that hold no weights
_registered: list[Family] = []


def register_family(family: Family) -> None:
    """Adds a family that has no module here."""
    if family not in _registered:
        _registered.append(family)
        all_families.cache_clear()


@functools.cache
def all_families() -> Mapping[str, Family]:
    """Gives every family by name; general ones, which recognise many checkpoints, come last."""
    modules = [info for info in pkgutil.iter_modules(__path__) if not info.ispkg]
    candidates = [getattr(import_module(f"{__name__}.{info.name}"), "FAMILY", None) for info in modules]
    families = [*(family for family in candidates if family is not None), *_registered]
    return {family.name: family for family in sorted(families, key=lambda f: (f.is_general, f.name))}


def args_with_effect(family: str, args: Mapping[str, str]) -> dict[str, str]:
    """Gives the --model-args on which the answers of a family's models depend; all, where it is not known here."""
    known = all_families().get(family)
    return {key: value for key, value in args.items() if known is None or key not in known.without_effect}


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model that the user named: where its checkpoint is, and its family if the name tells."""

    source: str
    family: Family | None
    name: str  # names the log folder


def resolve(model: str, args: Mapping[str, str]) -> Resolved:
    """Finds the model that --model names, without the network. Raises UsageError for a name of nothing known."""
    families = all_families()
    claiming = None if model in families else next((f for f in families.values() if f.claims(model)), None)
    if claiming is not None and not claiming.has_checkpoints:
        return Resolved(model, claiming, model)
    if model in families:
        family, pretrained = families[model], args.get("pretrained")
        if not pretrained:
            raise UsageError(
                f"--model {model} names a family, not a checkpoint",
                f"say which:  --model {model} --model-args pretrained=PATH-OR-HUB-ID"
                if family.has_checkpoints
                else f"say which, as  babycli models  shows: {family.summary}",
            )
        if not family.has_checkpoints:
            raise UsageError(
                f"--model {model} takes no pretrained=",
                f"write the name alone, as  babycli models  shows: {family.summary}",
            )
        return Resolved(resolve(pretrained, {}).source, family, pretrained)
    if "pretrained" in args:
        raise UsageError(
            f"--model {model} and pretrained={args['pretrained']} name two checkpoints",
            f"give one:  --model {args['pretrained']}",
        )
    if model in BUNDLED:
        return Resolved(str(BUNDLED[model]), None, model)
    path = in_home(model)
    repo_id, _, revision = model.partition("@")
    if model and (path.is_dir() or (claiming is not None and path.is_file())):
        return Resolved(str(path), claiming, model)
    if is_path(model) and not path.exists():
        raise _no_such_folder(model, path)
    is_hub_id = repo_id.count("/") == 1 and not model.startswith((".", "/", "~")) and not repo_id.endswith("/")
    if is_hub_id and "@" in model and not revision:
        raise UsageError(
            f"--model {model} names no revision behind the @", f"name one, as  {repo_id}@main , or leave the @ out"
        )
    if is_hub_id and not path.exists() and claiming is None:
        return Resolved(model, None, model)
    if path.is_file():
        raise _file_alone(model, path)
    names = [*families, *BUNDLED, DEFAULT_MODEL]
    siblings = [str(entry) for entry in sorted(path.parent.glob("*")) if entry.is_dir()]
    raise UsageError(
        f"unknown model {model!r}: it is no folder, hub id or family known here."
        f"{did_you_mean(model, [*names, *siblings])}",
        f"give a checkpoint folder, a hub id such as {DEFAULT_MODEL}, or one of: {', '.join([*families, *BUNDLED])}",
    )


def is_path(model: str) -> bool:
    """Tells whether the name of a model is a path, as it is written, and not one of the model hub.

    A path begins with ``.``, ``/`` or ``~``, has several ``/``, or begins with a folder that exists.
    """
    first, slash, _ = model.partition("/")
    return bool(model) and (
        model[0] in "./~" or model.partition("@")[0].count("/") > 1 or (bool(slash) and Path(first).is_dir())
    )


def _file_alone(model: str, path: Path) -> UsageError:
    """Explains a file where a checkpoint's folder should be named: what lies beside it tells what the weights are."""
    from babycli.models.parts.weight_files import ADAPTER_CONFIG, OPEN_CLIP_CONFIG

    known = ("config.json", ADAPTER_CONFIG, OPEN_CLIP_CONFIG)
    mend = f"name the folder that holds it beside its config.json (of open_clip: {OPEN_CLIP_CONFIG})"
    if any((path.parent / name).is_file() for name in known):
        mend = f"name its folder:  --model {shlex.quote(os.path.dirname(model) or '.')}"  # noqa: PTH120  # as typed
    return UsageError(f"--model {model} is a file, and a model is a folder of files", mend)


def _no_such_folder(model: str, path: Path) -> UsageError:
    """Explains a path that leads nowhere: how far it leads, and what lies there with a name like it."""
    there = next((parent for parent in path.parents if parent.is_dir()), path.parent)
    wanted = path.relative_to(there).parts[0]
    names = [entry.name for entry in sorted(there.glob("*")) if entry.is_dir()]
    near = get_close_matches(wanted, names, _MOST_GUESSES)
    where = "this folder" if there == Path() else str(there)
    lost = f": there is no {wanted!r} in {where}" if there != path.parent else ""
    guess = f" Did you mean {any_of(repr(str(there / name)) for name in near)}?" if near else ""
    return UsageError(
        f"unknown model {model!r}: no such folder{lost}.{guess}",
        f"check the path; a model of the hub is named as {DEFAULT_MODEL}",
    )


def check_spec(resolved: Resolved, spec: ModelSpec) -> None:
    """Checks the arguments and the device, as far as possible without the checkpoint. Raises UsageError."""
    if spec.device != "cpu":
        _check_device(spec.device)
    families = [resolved.family] if resolved.family else list(all_families().values())
    if not all(any(key in family.arguments for family in families) for key in spec.args):
        with contextlib.suppress(ModelError):  # which says itself, later, what is wrong with the checkpoint
            own = local_family(resolved)
            families = [own] if own is not None else families
    _check_arguments(families, spec.args)
    if resolved.family is not None:
        resolved.family.check(spec)


def check_precision(family: Family | None, device: str, dtype: str) -> None:
    """Refuses float16 on a CPU, also of a family that is not known yet. Raises UsageError."""
    if is_emulated(family, device, dtype):
        raise UsageError(
            f"float16 is not for a CPU, most of which only emulate it: it takes many times as long as {Dtype.FLOAT32}",
            "--dtype float32, or --dtype bfloat16, which is faster on processors with AVX512_BF16; "
            "float16 works on a GPU:  --device cuda",
        )


def is_emulated(family: Family | None, device: str, dtype: str) -> bool:
    """Tells whether a model of this family would be computed in a precision that most devices of its kind have not."""
    computes = family is None or family.computes_here
    return computes and dtype == Dtype.FLOAT16 and device.partition(":")[0] == "cpu"


def local_family(resolved: Resolved) -> Family | None:
    """Finds the family of a local model without loading it; None if the model must be fetched first."""
    if resolved.family is not None or not Path(resolved.source).exists():
        return resolved.family
    check_address_space()
    from babycli.models.parts.weight_files import base_named_by, is_adapter

    place = Path(resolved.source)
    if not is_adapter(place):
        return _family_of(place, None)
    base = in_home(base_named_by(place))
    is_here = bool(base.name) and os.path.isdir(base)  # pathlib raises OSError for too long a name
    return _family_of(base, place) if is_here else None


def load_model(resolved: Resolved, spec: ModelSpec) -> Model:
    """Fetches and loads a checkpoint with the family that recognises it.

    Raises ModelError where that fails, UsageError for an argument that the family does not take.
    """
    if resolved.family is None or resolved.family.computes_here:
        check_address_space()
    if spec.device == "cpu" and (resolved.family is None or resolved.family.computes_here):
        from babycli.models.parts.device_memory import keep_freed_memory

        keep_freed_memory()
    place, commit = Path(resolved.source), ""
    if _is_fetched(resolved):
        from babycli.models.parts.hub import commit_of, fetch

        check_torchvision()
        place, spec = _with_base(resolved, spec, fetch)
        commit = commit_of(spec.adapter or place)
    family = _checked_family(resolved, place, spec)
    with watching(read_places(place, spec)) as watch:
        model = family.load(spec, place)
    model.info = replace(model.info, files=watch.files, commit=commit)
    return model


def read_places(place: Path, spec: ModelSpec) -> list[Path]:
    """Gives the places that a model may be read from: its checkpoint, its adapter, and what arguments may name."""
    own = [place] if spec.adapter is None else [place, spec.adapter]
    return [*own, *(in_home(value) for value in spec.args.values() if value)]


def outline_model(resolved: Resolved, spec: ModelSpec) -> Outline:
    """Describes a model without reading its weights. Raises as load_model does."""
    place = Path(resolved.source)
    if _is_fetched(resolved):
        from babycli.models.parts.hub import fetch_small

        check_torchvision()
        place, spec = _with_base(resolved, spec, fetch_small)
    return _checked_family(resolved, place, spec).outline(spec, place)


def pick_device(wanted: str | None, local_rank: int | None = None) -> str:
    """Chooses the device asked for, else the first GPU, else the CPU; several processes get the GPUs of their ranks."""
    if wanted not in (None, "cuda"):
        return str(wanted)
    check_address_space()
    import torch

    n_gpus = torch.cuda.device_count()
    if wanted is None and not n_gpus:
        return "cpu"
    return "cuda" if local_rank is None or not n_gpus else f"cuda:{local_rank % n_gpus}"


def memory_of(device: str) -> MemoryProbe | None:
    """Gives the probe of a device's memory; None for a device without one, which needs no large batches."""
    if not device.startswith("cuda"):
        return None
    from babycli.models.parts.device_memory import CudaMemory

    return CudaMemory(device)


def free_bytes_on(device: str) -> int:
    """Gives the free bytes of a device's memory; 0 if they are not known. torch is imported for a GPU alone."""
    if not device.startswith("cuda"):
        return free_bytes()
    from babycli.models.parts.device_memory import free_bytes_of

    return free_bytes_of(device)


def matching(pattern: str) -> list[str]:
    """Lists the checkpoints that match a pattern with ``*``, ``?`` or ``[``, step 9 before step 10; else the name.

    Raises UsageError if none matches.
    """
    has_no_files = any(f.claims(pattern) for f in all_families().values() if not f.has_checkpoints)
    if has_no_files or not glob.has_magic(pattern) or Path(pattern).exists():
        return [pattern]
    paths = glob.glob(str(in_home(pattern)))  # noqa: PTH207  # the user's own pattern, absolute perhaps
    checkpoints = [path for path in paths if is_checkpoint(path)]
    if not checkpoints:
        raise UsageError(f"no checkpoint is named {pattern!r}", "give folders, as  --model 'checkpoints/*'")
    return sorted(checkpoints, key=natural_order)


def is_checkpoint(path: str) -> bool:
    """Tells whether a path among others may be a model: a folder, or a file that a family claims."""
    return in_home(path).is_dir() or _is_claimed(path)


def has_own_precision(name: str) -> bool:
    """Tells whether a model of that name computes in what its own code chooses, unless told otherwise."""
    return any(family.claims(name) for family in all_families().values() if family.has_own_precision)


def _with_base(resolved: Resolved, spec: ModelSpec, fetch: Callable[[str], Path]) -> tuple[Path, ModelSpec]:
    """Fetches the checkpoint; of an adapter its base, and the spec then names the adapter. Raises ModelError."""
    from babycli.models.parts.weight_files import base_named_by, check_is_whole, is_adapter

    place = fetch(resolved.source)
    if not is_adapter(place):
        if "base" in spec.args:
            raise UsageError(
                f"base={spec.args['base']}: {resolved.name} is no adapter, but a whole model", "leave it out"
            )
        return place, spec
    base = spec.args.get("base") or base_named_by(place)
    if not base:
        check_is_whole(place)  # tells what it is
    try:
        return fetch(base), replace(spec, adapter=place)
    except ModelError as error:
        try:
            check_is_whole(place)
        except ModelError as what:
            raise ModelError(f"{what.message}. Of its base: {error.message}", what.mend) from error
        raise


def _is_claimed(name: str) -> bool:
    return any(family.claims(name) for family in all_families().values())


def _is_fetched(resolved: Resolved) -> bool:
    return resolved.family is None or resolved.family.has_checkpoints


def _checked_family(resolved: Resolved, place: Path, spec: ModelSpec) -> Family:
    if _is_fetched(resolved):
        from babycli.models.parts.weight_files import check_is_whole

        check_is_whole(place)
    family = resolved.family or _family_of(place, spec.adapter)
    _check_arguments([family], spec.args)
    return family


def _family_of(place: Path, adapter: Path | None) -> Family:
    """Finds the family of a checkpoint; LLaVA's trainer saves the whole model's config with an adapter."""
    from babycli.models.parts.checkpoint import read_config
    from babycli.models.parts.weight_files import check_is_whole, check_small_files, config_home

    check_torchvision()
    check_small_files(place)
    check_is_whole(place)
    home = config_home(place, adapter)
    has_config = (home / "config.json").is_file()
    config = read_config(home) if has_config else {}
    for family in all_families().values():
        if family.recognises(place, config):
            return family
    if not has_config:
        raise _no_checkpoint(place)
    kinds = ", ".join(name for name, family in all_families().items() if family.has_checkpoints)
    tower = f" with vision tower {config['mm_vision_tower']!r}" if "mm_vision_tower" in config else ""
    raise ModelError(
        f"no model family reads {place}: its config.json says model_type {config.get('model_type')!r}{tower}; "
        "expected is a model that sees an image and scores or writes text",
        f"families: {kinds}; a model of another kind needs a file of its own: docs/model_guide.md",
    )


def _no_checkpoint(place: Path) -> ModelError:
    """Explains a folder without config.json: which folders directly in it are meant, or what the weights in it lack."""
    from babycli.models.parts.weight_files import ADAPTER_CONFIG, OPEN_CLIP_CONFIG

    marks = ("config.json", ADAPTER_CONFIG, OPEN_CLIP_CONFIG, "*.ckpt")
    folders = sorted((str(path) for path in place.glob("*") if path.is_dir()), key=natural_order)
    below = [repr(folder) for folder in folders if any(any(Path(folder).glob(mark)) for mark in marks)]
    what = f"{place} is not a checkpoint: it has no config.json"
    if below:
        more = f" It holds {len(below)} that may be one." if len(below) > _MOST_GUESSES else ""
        guess = f"Did you mean {any_of(below[:_MOST_GUESSES])}?"
        return ModelError(f"{what}. {guess}{more}", "name the folder that holds it")
    weights = sorted(path.name for path in place.glob("*") if not path.name.startswith(_OF_TRAINING))
    if saved := [name for name in weights if name.endswith((".safetensors", ".bin"))]:
        return ModelError(
            f"{what} beside {listed(saved)}", "copy config.json of the training run into it, and its other small files"
        )
    if bare := [name for name in weights if name.endswith((".pt", ".pth"))]:
        return ModelError(
            f"{what} beside {listed(bare)}, and weights alone, as those of a vision tower, are no model to evaluate",
            "name the folder of the whole model; where that lacks its tower:  --model-args vision_tower=PATH",
        )
    return ModelError(what, "name the folder that holds it")


def _check_arguments(families: Sequence[Family], args: Mapping[str, str]) -> None:
    """Checks that each argument is one of some of the families. Raises UsageError."""
    if any(family.takes_any_argument for family in families) and len(families) == 1:
        return
    known = list(dict.fromkeys(key for family in families for key in family.arguments))
    for key in args:
        if key not in known:
            whose = families[0].name if len(families) == 1 else "no family of models"
            raise UsageError(
                f"{whose} has {'no' if len(families) == 1 else 'an'} argument {key!r}.{did_you_mean(key, known)}",
                f"--model-args takes: {', '.join(known)}" if known else f"leave --model-args out: {whose} takes none",
            )


def _check_device(device: str) -> None:
    check_address_space()
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
