"""Damaged logs: a report lists each run or says why not, and a run that goes on never uses an answer that was changed.

A case is a line with what is read and the name of the file, and the file's bytes:

    report PATH     a file of one of several runs, of babycli, of 0.1.0, and of lmms-eval
    resume PATH     run.json, or a file of answers, of a run that goes on
    replay PATH     a file of recorded replies

Owns these samples, which babycli writes itself as far as they are its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzz_command import Ran, run
from fuzz_target import Target, damaged
from fuzz_values import damaged_json

from babycli.commands.demo import DEVCV, DOWNLOADS

_TESTS = Path(__file__).parent.parent / "tests"
_OTHERS = ("old_runs/control_random_seed_3", "interop/bridge_logs/0.6.1")  # of 0.1.0, and of lmms-eval with the bridge
_DONE, _USAGE, _DATA, _MODEL, _RESUME, _UNTRUSTED = 0, 2, 3, 5, 6, 7
_SOUND = ("sound-a", "sound-b")
_N_ITEMS = 3
_DATE = "20260102_030405"
_TASKS = "labeled_s,vtwt,baby_winoground,saycam_caption"
_REPORTS = tuple(
    line.split()
    for line in (
        *("", "--format table", "--format md", "--format csv", "--format latex", "--format html", "--plot plot.svg"),
        *("--by category", "--by turn", "--audit", "--audit --format json", "--audit --format md"),
        *("--compare sound-a sound-b", "--compare sound-a sound-b --items --format json"),
        *("--compare sound-a sound-b --items --format html", "--format leaderboard --model sound-a"),
    )
)
_MODEL_FILE = '''
class Drawn:
    """Log-probabilities and replies that follow from the words alone, some of them no finite numbers."""

    def __init__(self, device, dtype):
        pass

    def loglikelihood(self, images, prompts, texts):
        return [[-1 - sum(text.encode()) % 7 / 8, float("-inf") if "n" in text else -2.0] for text in texts]

    def generate(self, images, prompts, max_new_tokens):
        return ["look at\\x1b that \\u2028 ."] * len(images)
'''


@dataclass(frozen=True, slots=True)
class _Places:
    """The folder of all samples: data, recorded replies, a model, and runs that have ended."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "dataset"

    @property
    def told(self) -> Path:
        return self.root / "told.jsonl"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def run(self, name: str, logs: Path) -> Ran:
        """Runs the evaluation of that name, or goes on with it. Names in its logs are the same each time."""
        models = {"told": "replay:told.jsonl", "drawn": "drawn.py:Drawn", "random": "control:random"}
        tasks = "baby_count,baby_memory" if name == "told" else _TASKS
        words = ("eval", "--model", models[name], "--tasks", tasks, "--data", "dataset", "--limit", _N_ITEMS)
        with contextlib.chdir(self.root):
            return run(*words, "--output-path", logs)


@functools.cache
def _made() -> _Places:
    """Makes all files of which cases are made; once, before the processes of the cases are forked."""
    places = _Places(Path(tempfile.mkdtemp(prefix="babycli-fuzz-logs-")))
    atexit.register(shutil.rmtree, places.root, ignore_errors=True)
    downloads = places.root / "downloads"
    for path, to in ((DOWNLOADS, ""), (DEVCV, "devcv")):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(downloads / to)
    linked = ("--labeled-s", downloads / "labeled_s_images", "--synthetic", downloads / "synthetic_images")
    sets = ("--devcv", downloads / "devcv", "--data", places.data)
    _must(run("data", "link", downloads / "saycam_images", *linked, "--from", downloads / "labels", *sets))
    (places.root / "drawn.py").write_text(_MODEL_FILE)
    places.told.write_text("".join(_told(downloads / "devcv")))
    for name in ("told", "drawn", "random"):
        _must(places.run(name, places.root / name))
        _date(places.root / name)
    for i, name in enumerate(("told", "drawn", "random", *_SOUND)):
        (folder,) = (places.root / ("drawn" if i > 2 else name)).glob("*/*")
        shutil.copytree(folder, places.logs / name / folder.name)
        if i > 2:
            _rename(places.logs / name / folder.name, name)
    for other in _OTHERS:
        for folder in [_TESTS / other, *(_TESTS / other).glob("*/")]:
            if any(folder.glob("*_results.json")):
                shutil.copytree(folder, places.logs / Path(other).name)
    _write_fork_s_log(places.logs / "fork", places.data)
    return places


def _date(logs: Path) -> None:
    """Gives a run another date, which is the same each time."""
    (folder,) = logs.glob("*/*")
    for path in folder.iterdir():
        path.write_text(path.read_text().replace(folder.name, _DATE))
        path.rename(path.with_name(path.name.replace(folder.name, _DATE)))
    folder.rename(folder.with_name(_DATE))


def _must(ran: Ran) -> None:
    assert ran.code in (_DONE, _UNTRUSTED), f"{ran} ends with {ran.code}: {ran.err}"


def _told(folder: Path) -> Iterator[str]:
    """Gives recorded replies: right ones, a wrong one, none, and fewer than there are turns."""
    for task in ("count", "memory"):
        for i, entry in enumerate(json.loads((folder / f"{task}_test.json").read_text())[:_N_ITEMS]):
            replies = [message["value"] for message in entry["conversations"][1::2]]
            told = (replies, ["none", *replies[1:]], [None, *replies[1:-1]])[i % 3]
            yield json.dumps({"task": f"baby_{task}", "item": i, "replies": told}) + "\n"


def _rename(folder: Path, name: str) -> None:
    """Gives a run another model's name and weights."""
    (path,) = folder.glob("*_results.json")
    document = json.loads(path.read_bytes())
    document["model_name"] = document["identity"]["model"]["fingerprint"] = name
    path.write_text(json.dumps(document))


def _write_fork_s_log(folder: Path, data: Path) -> None:
    """Writes a log as lmms-eval 0.3 does, of VTWT and a task of the DevCV Toolbox."""
    folder.mkdir()
    lines: dict[str, list[Any]] = {"vtwt": [], "baby_count": []}
    for i, row in enumerate((data / "vtwt" / "vtwt.csv").read_text().splitlines()[1 : _N_ITEMS + 1]):
        image, positive, negative = row.split(",")
        pairs = [[str(2.5 + i), "False"], ["3.25", "False"]]
        doc = {"image": image, "positive_phrase": positive, "negative_phrase": negative}
        lines["vtwt"].append({"doc_id": i, "doc": doc, "target": positive, "resps": [[pair] for pair in pairs]})
        lines["vtwt"][-1] |= {"filtered_resps": pairs, "acc": float(2.5 + i < 3.25)}
    (labels,) = data.glob("devcv/*/baby_count.json")
    for i, entry in enumerate(json.loads(labels.read_text())[:_N_ITEMS]):
        said = entry["conversations"][1]["value"]
        doc = {key: value for key, value in entry.items() if key != "image"}
        lines["baby_count"].append(
            {"doc_id": i, "doc": doc, "target": said, "resps": [[said]], "filtered_resps": [said]}
        )
    document = {
        "results": {
            "vtwt": {"alias": "vtwt", "acc,none": 1 / 3, "acc_stderr,none": 0.1},
            "baby_count": {"alias": "baby_count", "acc,none": 1.0},
        },
        "configs": {
            task: {"task": task, "lmms_eval_specific_kwargs": {"default": {"pre_prompt": ""}}} for task in lines
        },
        "versions": dict.fromkeys(lines, "Yaml"),
        "n-samples": {task: {"original": _N_ITEMS, "effective": _N_ITEMS} for task in lines},
        "config": {"model": "llava", "model_args": "pretrained=lab/x,conv_template=plain", "limit": 3.0},
        "date": _DATE,
        "model_source": "llava",
        "group_subtasks": {"all": list(lines)},
    }
    (folder / f"{_DATE}_results.json").write_text(json.dumps(document, indent=2))
    for task, of_task in lines.items():
        path = folder / f"{_DATE}_samples_{task}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in of_task))


@functools.cache
def _samples() -> tuple[bytes, ...]:
    places = _made()
    found = [b"replay told.jsonl\n" + places.told.read_bytes()] * 4  # it is one file of many
    for path in sorted(p for p in places.logs.rglob("*") if p.is_file() and "sound" not in str(p)):
        found.append(b"report %s\n%s" % (str(path.relative_to(places.logs)).encode(), path.read_bytes()))
    for name in ("told", "drawn", "random"):
        for path in sorted([*(places.root / name).rglob("run.json"), *(places.root / name).rglob("scores.*")]):
            found.append(b"resume %s\n%s" % (str(path.relative_to(places.root)).encode(), path.read_bytes()))
    return tuple(found)


def _damaged(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
    head, _, content = sample.partition(b"\n")
    if rng.random() < 0.3:
        return head + b"\n" + damaged(rng, content, [other.partition(b"\n")[2] for other in samples])
    content = damaged_json(rng, content)
    if head.startswith(b"resume") and b"scores" in head and rng.random() < 0.4:
        content = b"".join(map(_with_check, content.splitlines(keepends=True)))
    return head + b"\n" + content


def _with_check(line: bytes) -> bytes:
    """Makes the check of a line of answers right, as somebody does who means to be believed."""
    body, mark, _ = line.rpartition(b',"check"')
    return body + b',"check":"%08x"}\n' % zlib.crc32(body + b"}") if mark else line


def _attempt(case: bytes) -> str:
    head, _, content = case.partition(b"\n")
    kind, _, name = head.decode().partition(" ")
    attempt = {"report": _report, "resume": _go_on, "replay": _replay}[kind]
    with tempfile.TemporaryDirectory(prefix="babycli-fuzz-") as folder, contextlib.chdir(folder):
        return attempt(Path(folder), name, content)


def _report(folder: Path, name: str, content: bytes) -> str:
    logs = folder / "logs"
    for each in (*_SOUND, name.partition("/")[0]):
        shutil.copytree(_made().logs / each, logs / each)
    (logs / name).write_bytes(content)
    ran = run("report", logs, "--format", "json", "--data", _made().data)
    if wrong := ran.wrong((_DONE,)):
        return wrong
    told = {record["results"] for record in json.loads(ran.out)}
    for path in logs.rglob("*_results.json"):
        if str(path) not in told and str(path) not in ran.err and "\\" not in ran.err:
            return f"{ran} says nothing of {path}: {ran.err[:1000]}"
    if not set(_SOUND) <= {record["model"] for record in json.loads(ran.out)}:
        return f"{ran} hides sound runs: {ran.err[:1000]}"
    words = _REPORTS[zlib.crc32(content) % len(_REPORTS)]
    if not words:
        return ""
    ran = run("report", *words, logs, "--data", _made().data)
    others = {"--audit": (_UNTRUSTED,), "--by": (_DATA,), "--compare": (_DATA,), "leaderboard": (_DATA, _USAGE)}
    return ran.wrong((_DONE, *next((codes for word, codes in others.items() if word in words), ())))


def _go_on(folder: Path, name: str, content: bytes) -> str:
    """Lets a run go on from a damaged file: it is refused, or its answers are those of the whole run."""
    of_run, places = name.partition("/")[0], _made()
    logs = folder / "logs"
    shutil.copytree(places.root / of_run, logs)
    (place,) = (path.parent for path in logs.rglob("run.json"))
    whole = _answers_in(place)
    original = (places.root / name).read_bytes()
    for path in place.glob("[0-9]*"):
        path.unlink()
    (folder / name.replace(of_run, "logs", 1)).write_bytes(content)
    ran = places.run(of_run, logs)
    if wrong := ran.wrong((_DONE, _DATA, _MODEL, _RESUME, _UNTRUSTED)):
        return wrong
    if ran.code in (_DONE, _UNTRUSTED) and not _is_forged(content, original):
        for other in sorted(path.parent for path in logs.rglob("*_results.json")):
            if _answers_in(other) != whole:
                return f"{ran} gives other answers: {ran.err[:1000]}"
    return ""


def _answers_in(folder: Path) -> Mapping[str, list[Any]]:
    found = {}
    for path in folder.glob("*_samples_*.jsonl"):
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        found[path.name.partition("_samples_")[2]] = [[line["doc_id"], line["resps"]] for line in lines]
    return found


def _is_forged(content: bytes, original: bytes) -> bool:
    """Tells whether a line has a right check, and is none that babycli wrote."""
    lines, ours = content.splitlines(keepends=True), set(original.splitlines(keepends=True))
    return any(line not in ours and _with_check(line) == line and b'"check"' in line for line in lines)


def _replay(folder: Path, name: str, content: bytes) -> str:
    """Replays a damaged file: it is refused, or the answers are those that Python's json reads in it."""
    path = folder / name
    path.write_bytes(content)
    words = ("--tasks", "baby_count,baby_memory", "--data", _made().data, "--limit", _N_ITEMS)
    ran = run("eval", "--model", f"replay:{path}", *words, "--output-path", folder / "logs")
    if wrong := ran.wrong((_DONE, _USAGE, _DATA, _UNTRUSTED)):
        return wrong
    if ran.code in (_USAGE, _DATA):
        return ""
    said: dict[tuple[str, int], list[str | None]] = {}
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            fields = json.loads(line)
            said[fields["task"], fields["item"]] = fields["replies"]
    for results in folder.rglob("*_results.json"):
        for task, lines in _answers_in(results.parent).items():
            task = task.removesuffix(".jsonl")
            for doc_id, entries in lines:
                flat = [None if isinstance(e, dict) else e for entry in entries for e in entry]
                told = said.get((task, doc_id), [])
                if flat[: len(told)] != told or any(flat[len(told) :]):
                    return f"{ran} answers {flat!r}, and {told!r} was told"
    return ""


TARGET = Target("logs", _samples, _attempt, _damaged)
