"""Where a checkpoint lies: a folder or file on this disk, or a repository on the model hub, fetched into its cache.

    someone/model            the newest commit
    someone/model@chck_10M   a branch, a tag or a commit

Owns what is asked of the hub: small files first, then the weights that transformers would read, and no others. Never
reads a weight.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from babycli.errors import ModelError
from babycli.files import in_home
from babycli.models.parts.weight_files import (
    ADAPTER_CONFIG,
    ADAPTERS,
    OPEN_CLIP,
    OPEN_CLIP_CONFIG,
    PARTIAL,
    SINGLES,
    check_small_files,
    index_shards,
    named_by_config,
)
from babycli.wording import first_line, shortened

_HUB_MODULES = ("huggingface_hub", "requests", "httpx", "httpx2", "httpcore", "httpcore2")
_MODEL_MEND = "check the name and the network, or give a local folder:  --model path/to/checkpoint"
_TOWER_MEND = "say where the tower is:  --model-args vision_tower=PATH"
_SMALL_FILES = ("*.json", "*.model", "*.spm", "*.tiktoken", "*.txt", "*.jinja")


def fetch(source: str) -> Path:
    """Gives the path of a local checkpoint (a folder or a file of weights); fetches a hub id into the hub's cache."""
    local = in_home(source)
    if _exists(local):
        check_small_files(local)
        return local
    return _with_weights(source, ["*.ckpt", *PARTIAL], "", _MODEL_MEND)


def fetch_small(source: str) -> Path:
    """Does as fetch, but without the weights of a hub id."""
    local = in_home(source)
    if _exists(local):
        check_small_files(local)
        return local
    return _from_hub(source, _SMALL_FILES, "", _MODEL_MEND)


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # pathlib raises OSError for too long a name, as a file may say


def commit_of(folder: Path) -> str:
    """Gives the commit of a folder in the hub's cache, .../snapshots/<commit>; "" for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else ""


def fetch_tower(source: str, wanted: bool, near: Path) -> Path:
    """Finds the weight file of a vision tower: a local file, the one in a folder, or ``<name>.pth`` of a hub id.

    ``wanted`` is true if the user named it, false if config.json does. A relative name is looked up in the working
    folder, then beside the checkpoint ``near``, then on the hub.
    """
    why = "" if wanted else "the weights hold no vision tower, and config.json names one that is not here: "
    path = _local_tower(source, near, why) or _from_hub(source, ["*.pth"], why, _TOWER_MEND)
    if path.is_file():
        return path
    files = sorted(path.glob("*.pth"))
    named = [f for f in files if f.stem == Path(source).name]
    if len(named or files) != 1:
        names = ", ".join(f.name for f in files) or "none"
        raise ModelError(f"expected one .pth file with the vision tower in {path}, found {names}", _TOWER_MEND)
    return (named or files)[0]


def fetch_tower_folder(source: str, wanted: bool, near: Path, with_weights: bool) -> Path:
    """Finds the folder of a vision tower that is a checkpoint of its own, as CLIP's; looked up as in fetch_tower."""
    why = "" if wanted else "config.json names a vision tower that is not here: "
    path = _local_tower(source, near, why)
    if path is not None and not path.is_dir():
        raise ModelError(f"{path} is a file; the vision tower is a folder with config.json and weights", _TOWER_MEND)
    if path is not None:
        check_small_files(path)
        return path
    if with_weights:
        return _with_weights(source, [], why, _TOWER_MEND)
    return _from_hub(source, _SMALL_FILES, why, _TOWER_MEND)


def _with_weights(repo_id: str, others: Sequence[str], why: str, mend: str) -> Path:
    """Fetches the small files of a repository and its weights, found as in a folder; if it has none, ``others``."""
    for single in SINGLES:
        folder = _from_hub(repo_id, [*_SMALL_FILES, single], why, mend)
        if isinstance(name := named_by_config(folder), str):
            folder = _from_hub(repo_id, [*_SMALL_FILES, name], why, mend)
            is_index = name.endswith(".index.json") and (folder / name).is_file()
            shards = index_shards(folder / name) if is_index else []
            return _from_hub(repo_id, [*_SMALL_FILES, *shards], why, mend) if shards else folder
        if (folder / single).is_file():
            return folder
        if (folder / ADAPTER_CONFIG).is_file():
            return _from_hub(repo_id, [*_SMALL_FILES, *ADAPTERS, *PARTIAL], why, mend)
        index = folder / f"{single}.index.json"
        if index.is_file():
            return _from_hub(repo_id, [*_SMALL_FILES, *index_shards(index)], why, mend)
    for name in OPEN_CLIP if (folder / OPEN_CLIP_CONFIG).is_file() else ():
        if (_from_hub(repo_id, [*_SMALL_FILES, name], why, mend) / name).is_file():
            return folder
    return _from_hub(repo_id, [*_SMALL_FILES, *others], why, mend) if others else folder


def _local_tower(source: str, near: Path, why: str) -> Path | None:
    """Finds a tower on this disk; None for a name that can only be a hub id. Raises ModelError."""
    path = in_home(source)
    for place in (path, near.parent / path):
        if _exists(place):
            return place
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise ModelError(f"{why}there is no file or folder {source}", _TOWER_MEND)
    return None


def _from_hub(source: str, patterns: Sequence[str], why: str, mend: str) -> Path:
    from huggingface_hub import constants, snapshot_download

    repo_id, _, revision = source.partition("@")
    if str(in_home(constants.HF_HUB_CACHE)).startswith("~"):  # a user without a home, as in some containers
        raise ModelError(
            f"{why}there is no home folder in which {repo_id!r} from the model hub could be kept",
            "say where it may be:  export HF_HOME=DIR",
        )
    try:
        return Path(snapshot_download(repo_id, revision=revision or None, allow_patterns=list(patterns)))
    except Exception as error:
        # The HTTP library below it has changed (requests, httpx, httpx2), and its exceptions pass through.
        if not isinstance(error, (OSError, ValueError)) and type(error).__module__.split(".")[0] not in _HUB_MODULES:
            raise
        raise ModelError(
            f"{why}cannot get {shortened(source, 80)!r} from the model hub: {shortened(first_line(error))}", mend
        ) from error
