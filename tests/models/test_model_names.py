"""What a user may type for a model: names, folders, hub ids, their arguments; and what is said when it is nothing."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from babycli.errors import UsageError
from babycli.models import BUNDLED, DEFAULT_MODEL, resolve
from tests.checkpoints import weights_of, write_checkpoint
from tests.conftest import REPOSITORY, Babycli
from tests.models.conftest import Evaluate
from tests.models.loading import N_TOKENS, WORDS, load, save, score
from tests.models.test_bad_checkpoints import assert_explained

HUB_ID = "someone/babyllava_small"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model", WORDS)


# ---------------------------------------------------------------- names


def test_a_folder(folder: Path) -> None:
    assert resolve(str(folder), {}).source == str(folder)
    assert resolve(str(folder), {}).family is None


def test_a_folder_below_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert Path(resolve("~/model", {}).source) == folder


def test_a_family_with_a_folder(folder: Path) -> None:
    resolved = resolve("babyllava", {"pretrained": str(folder)})
    assert resolved.source == str(folder)
    assert resolved.family is not None
    assert resolved.family.name == "babyllava"


def test_the_default_is_a_hub_id() -> None:
    assert resolve(DEFAULT_MODEL, {}).source == DEFAULT_MODEL == "wsashawn/babyllava_resnext_gpt2"


def test_a_bundled_name() -> None:
    assert Path(resolve("babyllava-tiny", {}).source) == BUNDLED["babyllava-tiny"]


def test_a_folder_comes_before_a_hub_id_of_that_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "someone").mkdir()
    shutil.copytree(folder, folder.parent / HUB_ID)
    monkeypatch.chdir(folder.parent)
    assert score(load(HUB_ID), "ball").is_finite


@pytest.mark.parametrize(
    "name", ["babylava", "no-such-model", "a/b/c", "/nowhere/model", "./model", "~/nowhere", "model/", ""]
)
def test_names_of_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="unknown model"):
        resolve(name, {})


def test_a_folder_beside_a_bare_name_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, babycli: Babycli
) -> None:
    (tmp_path / "checkpoint-5").mkdir()
    monkeypatch.chdir(tmp_path)
    ran = babycli("eval", "--model", "checkpoint-6")
    assert ran.code == 2
    assert "Did you mean 'checkpoint-5'?" in ran.err


# ---------------------------------------------------------------- usage errors: exit code 2


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--model", "babylava"], ["'babylava'", "Did you mean 'babyllava'?"]),
        (["--model", "babyllava-tini"], ["Did you mean 'babyllava-tiny'?"]),
        (["--model", "{parent}/modle"], ["modle", "Did you mean '{folder}'?"]),
        (["--model", "{folder}/config.json"], ["config.json", "file"]),
        (["--model", "babyllava"], ["babyllava", "not a checkpoint"]),
        (["--model", "babyllava", "--model-args", "pretrained="], ["babyllava"]),
        (["--model", "babyllava", "--model-args", "pretrained=/nowhere/x"], ["/nowhere/x"]),
        (
            ["--model", "{folder}", "--model-args", "conv_templat=plain"],
            ["'conv_templat'", "Did you mean 'conv_template'?"],
        ),
        (["--model", "{folder}", "--model-args", "zzz=1"], ["'zzz'"]),
        (["--model", "{folder}", "--model-args", "conv_template=baby_v2"], ["'baby_v2'", "Did you mean 'baby_v1'?"]),
        (["--model", "{folder}", "--model-args", "image_aspect_ratio=pat"], ["image_aspect_ratio", "'pat'"]),
        (["--model", "{folder}", "--model-args", "conv_template"], ["conv_template", "--model-args"]),
        (["--model", "{folder}", "--model-args", "dtype=float17"], ["'float17'"]),
        (["--model", "{folder}", "--dtype", "half"], ["'half'"]),
        (["--model", "{folder}", "--scoring", "fare"], ["'fare'", "Did you mean 'fair'?"]),
        (["--model", "{folder}", "--device", "gpu"], ["'gpu'"]),
        (["--model", "{folder}", "--device", "cuda:99"], ["'cuda:99'"]),
        (["--model", "{folder}", "--device", "cuda:x"], ["'cuda:x'"]),
        (["--model", "{folder}", "--device", "meta"], ["'meta'"]),
        (["--model", "{folder}", "--device", ""], ["''"]),
    ],
    ids=lambda value: " ".join(value[1:]) if value[0] == "--model" else "",
)
def test_usage_errors(words: list[str], names: list[str], folder: Path, evaluate: Evaluate) -> None:
    places = {"folder": str(folder), "parent": str(folder.parent)}
    ran = evaluate(*(word.format(**places) for word in words))
    assert_explained(ran, 2, *(name.format(**places) for name in names))


@pytest.mark.parametrize("name", ["model.pth", "resnet.pt", "model.safetensors", "pytorch_model.bin", "notes.txt"])
@pytest.mark.parametrize("beside", ["", "config.json", "open_clip_config.json"])
def test_a_file_for_a_model_is_told_what_is_needed(
    name: str, beside: str, tmp_path: Path, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of mine").mkdir()
    (tmp_path / "of mine" / name).write_bytes(b"weights")
    if beside:
        (tmp_path / "of mine" / beside).write_text("{}")
    monkeypatch.chdir(tmp_path)
    folder_named = "  mend: name its folder:  --model 'of mine'"
    needed = "  mend: name the folder that holds it beside its config.json (of open_clip: open_clip_config.json)"
    for words in (["--model", f"of mine/{name}"], ["--model-args", f"pretrained=of mine/{name}"]):
        ran = evaluate(*words)
        assert ran.code == 2
        said = f"babycli: --model of mine/{name} is a file, and a model is a folder of files"
        assert ran.err.splitlines()[-2:] == [said, folder_named if beside else needed]
    monkeypatch.chdir(tmp_path / "of mine")
    assert ("--model .\n" in evaluate("--model", name).err) == bool(beside)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has that device")
def test_a_device_that_is_not_here(folder: Path, evaluate: Evaluate) -> None:
    assert_explained(evaluate("--model", folder, "--device", "mps"), 2, "'mps'")


def test_two_models_at_once(folder: Path, evaluate: Evaluate) -> None:
    """One would be loaded and the other's name would stand in the logs."""
    other = write_checkpoint(folder.parent / "other", WORDS, seed=9)
    assert_explained(evaluate("--model", folder, "--model-args", f"pretrained={other}"), 2, "pretrained")


def test_pretrained_alone_names_the_model(folder: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--model-args", f"pretrained={folder}").code == 0
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [f"{folder.parent.name}__{folder.name}"]


def test_a_usage_error_needs_no_data_and_leaves_no_logs(folder: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate("--model", "babylava")
    assert not (tmp_path / "logs").exists()


# ---------------------------------------------------------------- the conversation template in the results


def test_the_template_is_in_the_prompt_of_every_sample(folder: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--model", folder, "--model-args", "conv_template=baby_v1").code == 0
    (samples,) = (tmp_path / "logs").rglob("*_samples_labeled_s.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert {line["prompt"] for line in lines} == {" USER: <image>\n ASSISTANT:"}
    assert len(lines) == 4
    (run,) = (tmp_path / "logs").rglob("run.json")
    assert json.loads(run.read_text())["model"]["template"] == "baby_v1"


def test_lmms_evals_spelling(folder: Path, evaluate: Evaluate) -> None:
    ran = evaluate(
        "--model", "babyllava", "--model_args", f"pretrained={folder},conv_template=plain", "--batch_size", 1
    )
    assert ran.code == 0


# ---------------------------------------------------------------- the hub


class Hub:
    """A repository on the hub: gives what is asked for, and remembers what that was."""

    def __init__(self, files: Path, cache: Path) -> None:
        self._files = files
        self._cache = cache
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def snapshot_download(self, repo_id: str, allow_patterns: Sequence[str] = ("*",), **options: Any) -> str:
        self.asked.append((repo_id, tuple(allow_patterns)))
        self._cache.mkdir(exist_ok=True)
        for file in self._files.iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, self._cache)
        return str(self._cache)

    def asks_for(self, name: str) -> list[bool]:
        """For each call, whether a file of that name would be fetched."""
        return [any(fnmatch.fnmatch(name, pattern) for pattern in patterns) for _, patterns in self.asked]


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    repository = Hub(folder, tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.snapshot_download", repository.snapshot_download)
    return repository


def test_a_hub_model_with_safetensors(hub: Hub, folder: Path, tmp_path: Path) -> None:
    save(weights_of("transformer", N_TOKENS, 9), folder / "pytorch_model.bin")  # other weights, twice the download
    model = load(HUB_ID)
    assert score(model, "ball") == score(load(folder), "ball")
    assert {repo_id for repo_id, _ in hub.asked} == {HUB_ID}
    assert hub.asks_for("model.safetensors")[0]
    assert not any(hub.asks_for("pytorch_model.bin"))
    assert not (tmp_path / "cache" / "pytorch_model.bin").exists()


def test_a_revision_of_a_hub_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluate: Evaluate, babycli: Babycli
) -> None:
    """A branch, and the commit that it stood for; the same model under another name of the commit is the same model."""
    commits, asked = {"chck_10M": "1" * 40, None: "2" * 40, "refs/pr/1": "3" * 40}, []
    cache = tmp_path / "models--someone--baby" / "snapshots"
    for i, commit in enumerate(commits.values()):
        shutil.copytree(folder, cache / commit)
        save(weights_of("transformer", N_TOKENS, i), cache / commit / "model.safetensors")

    def snapshot_download(repo_id: str, revision: str | None = None, **options: object) -> str:
        asked.append(repo_id)
        if revision not in commits:
            raise OSError(f"404 Client Error. Revision Not Found: {revision}")
        return str(cache / commits[revision])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    scores = set()
    for revision, commit in commits.items():
        model = load("someone/baby" + (f"@{revision}" if revision else ""))
        assert model.info.commit == commit
        scores.add(score(model, "ball"))
    assert len(scores) == 3
    assert set(asked) == {"someone/baby"}
    ran = evaluate("--model", "someone/baby@chck_10M", "--limit", 1)
    assert ran.code == 0, ran.err
    (run,) = (tmp_path / "logs").glob("someone__baby_chck_10M/*/run.json")
    assert json.loads(run.read_text())["model"]["commit"] == "1" * 40
    assert_explained(evaluate("--model", "someone/baby@chck_99M"), 5, "'someone/baby@chck_99M'", "Revision Not Found")
    assert_explained(evaluate("--model", "someone/baby@"), 2, "no revision behind the @")
    assert babycli("models", "show", "someone/baby@refs/pr/1").code == 0


def test_a_hub_model_with_bin_files_only(hub: Hub, folder: Path) -> None:
    expected = score(load(folder), "ball")
    save(weights_of("transformer", N_TOKENS, 0), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert score(load(HUB_ID), "ball") == expected
    assert hub.asks_for("pytorch_model.bin") == [False, True]


def test_code_and_other_peoples_files_stay_on_the_hub(hub: Hub) -> None:
    load(HUB_ID)
    for name in ("modeling_llava.py", "optimizer.pt", "tf_model.h5", "training_args.bin"):
        assert not any(hub.asks_for(name)), name


def test_an_evaluation_of_a_hub_model(hub: Hub, evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--model", HUB_ID).code == 0
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["someone__babyllava_small"]


def http_error(name: str) -> Callable[[], Exception]:
    """An error of whatever HTTP library the installed huggingface_hub is built on."""
    library: Any = import_module(HfHubHTTPError.__mro__[1].__module__.split(".")[0])
    return lambda: getattr(library, name)("cannot connect to huggingface.co")


def refusal(kind: type[HfHubHTTPError], status: int, text: str) -> Callable[[], Exception]:
    library: Any = import_module(HfHubHTTPError.__mro__[1].__module__.split(".")[0])
    request = library.Request("GET", f"https://huggingface.co/api/models/{HUB_ID}")
    return lambda: kind(text, response=library.Response(status, request=request))


HUB_ERRORS: dict[str, Callable[[], Exception]] = {
    "not in the cache": lambda: LocalEntryNotFoundError("Got: ConnectError\nAn error happened while trying to locate"),
    "connection refused": lambda: ConnectionRefusedError(111, "Connection refused"),
    "connection": lambda: ConnectionError("HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded"),
    "offline": lambda: OfflineModeIsEnabled("Cannot reach the hub: offline mode is enabled."),
    "timeout": http_error("ReadTimeout"),
    "proxy": http_error("ProxyError"),
    "connect": http_error("ConnectError"),
    "no such repository": refusal(RepositoryNotFoundError, 404, "404 Client Error.\n\nRepository Not Found for url"),
    "server error": refusal(HfHubHTTPError, 503, "503 Server Error: Service Unavailable"),
    "disk full": lambda: OSError(28, "No space left on device"),
}


def test_without_a_home_the_hub_has_no_place(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~nosuchuser/hub")
    ran = babycli("models", "show", HUB_ID, "--model-args", "conv_template=baby_v1")
    assert_explained(ran, 5, "there is no home folder", HUB_ID)
    assert "export HF_HOME=DIR" in ran.err


@pytest.mark.parametrize("what", HUB_ERRORS)
def test_a_hub_that_does_not_answer(what: str, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repo_id: str, **options: object) -> str:
        raise HUB_ERRORS[what]()

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    ran = evaluate("--model", HUB_ID)
    assert_explained(ran, 5, HUB_ID)
    assert "mend:" in ran.err
    assert len(ran.err) < 900


@pytest.mark.parametrize("name", ["some one/model", "someone/mo--del", "someone/model.git"])
def test_a_hub_id_that_cannot_be(name: str, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_explained(evaluate("--model", name), 5, name)


@pytest.mark.long
def test_offline_for_real(dataset: Path, tmp_path: Path) -> None:
    words = ["eval", "--model", HUB_ID, "--tasks", "labeled_s", "--limit", "1", "--data", str(dataset)]
    ran = subprocess.run(
        [sys.executable, "-m", "babycli", *words],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 5
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert HUB_ID in ran.stderr
    assert len(ran.stderr) < 900
