"""`babycli bridge lmms`: what it writes, when it refuses, and the functions that lmms-eval will call.

lmms-eval itself is not needed here; `make bridge-check` runs it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from babycli.data.labels import read_labels
from babycli.domain import Answer, Item, Loglikelihood, Outcome, Score
from babycli.interop.lmms import bridge_files
from babycli.interop.lmms.bridge_files.choices import BROKEN, NEWEST_WHOLE
from babycli.interop.lmms.sign import Sign
from babycli.interop.lmms.trial_documents import PREFIX
from babycli.tasks import all_tasks, register
from babycli.tasks.babyvlm import CAPTION, CHOICE
from babycli.tasks.base import Asking, Needs, Play, choose, loss_of, replay
from babycli.tasks.vtwt import VisualTwoWordTest
from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, DemoCopy, snapshot
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

DIR = Path("bridge")
CHOICES = ("labeled_s", "vtwt", "baby_winoground")
FUNCTIONS = ("captions.py", "choice_task.py", "choices.py", "documents.py")
N_DOCUMENTS = {"labeled_s": 120, "vtwt": 100, "baby_winoground": 40, "saycam_caption": 48}


@pytest.fixture
def linked(dataset: Path, empty_folder: None) -> None:
    shutil.copytree(dataset, DATASET, symlinks=True)


@pytest.fixture
def bridge(babycli: Babycli, linked: None) -> Path:
    assert babycli("bridge", "lmms", DIR).code == 0
    return DIR


def documents(task: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DIR / f"{task}.jsonl").read_text().splitlines()]


def load(name: str, folder: Path = DIR) -> ModuleType:
    """A file of the bridge as lmms-eval loads it, apart from any package."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_yaml(task: str) -> Any:
    loader_class: Any = type("Loader", (yaml.SafeLoader,), {})  # takes a function's name for the function
    loader_class.add_constructor("!function", lambda loader, node: f"!function {node.value}")
    return yaml.load((DIR / f"{task}.yaml").read_bytes(), loader_class)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes it look as if a version of lmms-eval were installed."""

    def make(version: str) -> None:
        folder = tmp_path / f"site-{version}"
        metadata = folder / f"lmms_eval-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: lmms_eval\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(folder))

    return make


def test_it_writes_all_tasks_and_says_what_to_run(babycli: Babycli, linked: None) -> None:
    ran = babycli("bridge", "lmms", DIR)
    assert ran.code == 0
    names = ",".join(PREFIX + task for task in N_DOCUMENTS)
    assert ran.out.startswith(f"python -m lmms_eval --include_path {DIR.absolute()} --tasks {names} --model MODEL ")
    assert ran.out.count("\n") == 1
    assert "babycli_labeled_s: 120 documents" in ran.err
    assert "lmms-eval is not installed beside babycli" in ran.err
    assert NEWEST_WHOLE in ran.err
    assert {path.name for path in DIR.iterdir()} == {
        *("README.txt", *FUNCTIONS),
        *(f"{task}{end}" for task in N_DOCUMENTS for end in (".yaml", ".jsonl")),
    }
    assert {task: len(documents(task)) for task in N_DOCUMENTS} == N_DOCUMENTS
    for name in FUNCTIONS:
        assert (DIR / name).read_bytes() == (Path(bridge_files.__path__[0]) / name).read_bytes()


def test_a_document_is_a_trial_and_names_its_pictures(bridge: Path) -> None:
    for task, shape in {
        "labeled_s": (4, 1, [[0, 0], [1, 0], [2, 0], [3, 0]]),
        "vtwt": (1, 2, [[0, 0], [0, 1]]),
        "baby_winoground": (2, 2, [[0, 0], [0, 1], [1, 0], [1, 1]]),
    }.items():
        for doc in documents(task):
            assert (len(doc["images"]), len(doc["texts"]), doc["asks"]) == shape
    for task in N_DOCUMENTS:
        for doc in documents(task):
            assert all(Path(image).is_absolute() for image in doc["images"])
            digests = [hashlib.sha256(Path(image).read_bytes()).hexdigest() for image in doc["images"]]
            assert digests == doc["sha256"]
    for doc in documents("labeled_s"):
        assert f"/labeled_s/images/{doc['texts'][0]}/" in doc["images"][doc["right"]]
    for doc in documents("baby_winoground"):
        assert ["positive_images" in image for image in doc["images"]] == [True, False]
    (caption, *_) = documents("saycam_caption")
    assert caption.keys() == {"trial_id", "images", "sha256", "target"}


def test_the_yaml_names_the_task_its_functions_and_its_prompts(bridge: Path) -> None:
    for name in N_DOCUMENTS:
        task, config = all_tasks()[name], read_yaml(name)
        assert config["task"] == f"babycli_{name}"
        assert config["dataset_kwargs"]["data_files"]["test"] == str(DIR.absolute() / f"{name}.jsonl")
        assert [metric["metric"] for metric in config["metric_list"]] == [metric.name for metric in task.metrics]
        wordings = CHOICE if name in CHOICES else CAPTION
        for like in ("default", "llava"):
            assert config["lmms_eval_specific_kwargs"][like] == {"pre_prompt": wordings[like], "post_prompt": ""}
        assert (config.get("class") == "!function choice_task.ChoiceTask") == (name in CHOICES)
        assert config["metadata"].get("sign") == ("logprob" if name in CHOICES else None)
        content = (DIR / f"{name}.jsonl").read_bytes()
        assert config["metadata"]["documents_sha256"] == hashlib.sha256(content).hexdigest()
        functions = [value for value in config.values() if str(value).startswith("!function ")]
        for function in functions:
            module, _, attribute = function.removeprefix("!function ").partition(".")
            assert f" {attribute}(" in (DIR / f"{module}.py").read_text()
    assert read_yaml("saycam_caption")["generation_kwargs"]["max_new_tokens"] == 25


def test_it_writes_the_same_each_time_and_replaces_its_own(babycli: Babycli, bridge: Path) -> None:
    first = {path.name: path.read_bytes() for path in bridge.iterdir()}
    (DIR / "__pycache__").mkdir()
    assert babycli("bridge", "lmms", DIR, "--sign", "loss").code == 0
    assert read_yaml("vtwt")["metadata"]["sign"] == "loss"
    (DIR / "__pycache__").rmdir()
    assert babycli("bridge", "lmms", DIR).code == 0
    assert {path.name: path.read_bytes() for path in bridge.iterdir()} == first
    ran = babycli("bridge", "lmms", DIR, "--tasks", "vtwt,saycam_caption")
    assert "--tasks babycli_vtwt,babycli_saycam_caption " in ran.out
    left = {path.stem for path in DIR.glob("*.yaml")} | {path.stem for path in DIR.glob("*.jsonl")}
    assert left == {"vtwt", "saycam_caption"}


def test_it_leaves_alone_what_is_not_a_bridge(babycli: Babycli, bridge: Path, tmp_path: Path) -> None:
    foreign, file = tmp_path / "foreign", tmp_path / "file"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    file.write_text("mine")
    (bridge / "mine.yaml").write_text("task: mine")
    unmarked = tmp_path / "unmarked"
    unmarked.mkdir()
    (unmarked / "vtwt.yaml").write_text("task: vtwt")
    for place, said in {
        foreign: "thesis.txt",
        file: "is not a folder",
        bridge: "mine.yaml",
        unmarked: "vtwt.yaml",
        tmp_path / "a*": "pattern",
        tmp_path / "\udcff": "UTF-8",
    }.items():
        before = snapshot(place) if place.is_dir() else None
        ran = babycli("bridge", "lmms", place)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
        assert before is None or snapshot(place) == before
    assert babycli("bridge", "lmms", "").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tasks", "vtwd"), "Did you mean 'vtwt'"),
        (("--sign", "los"), "Did you mean 'loss'"),
    ],
)
def test_a_misspelled_option_is_refused(babycli: Babycli, words: Sequence[str], said: str) -> None:
    ran = babycli("bridge", "lmms", DIR, *words)
    assert ran.code == 2
    assert said in ran.err
    assert not DIR.exists()


def test_missing_data_are_refused_and_nothing_is_written(babycli: Babycli, demo: DemoCopy) -> None:
    assert babycli("bridge", "lmms", DIR).code == 3
    assert babycli(*demo.link_words).code == 0
    demo.frame.unlink()
    ran = babycli("bridge", "lmms", DIR)
    assert ran.code == 3
    assert demo.frame.name in ran.err
    assert not DIR.exists()
    assert babycli("bridge", "lmms", DIR, "--tasks", "labeled_s").code == 0


def test_a_changed_image_is_a_wrong_checksum(babycli: Babycli, demo: DemoCopy) -> None:
    assert babycli(*demo.link_words).code == 0
    other = (demo.saycam / "demo_frame_000.png").read_bytes()
    demo.frame.unlink()
    demo.frame.write_bytes(other)
    assert babycli("bridge", "lmms", DIR).code == 4
    assert not DIR.exists()


def test_a_zip_is_refused_with_the_way_out(babycli: Babycli, demo: DemoCopy, tmp_path: Path) -> None:
    archive = zip_folder(demo.saycam, tmp_path / "frames.txt")
    words = ("--labeled-s", demo.labeled_s, "--synthetic", demo.synthetic, "--from", demo.labels)
    assert babycli("data", "link", archive, *words).code == 0
    ran = babycli("bridge", "lmms", DIR)
    assert ran.code == 3
    assert f"babycli data extract {archive} DEST --only-needed" in ran.err
    assert babycli("bridge", "lmms", DIR, "--tasks", "labeled_s").code == 0


@pytest.mark.parametrize("version", BROKEN)
def test_a_broken_lmms_eval_is_refused_for_choices(
    babycli: Babycli, linked: None, install: Callable[[str], None], version: str
) -> None:
    install(version)
    ran = babycli("bridge", "lmms", DIR)
    assert (ran.code, ran.out) == (2, "")
    assert f"lmms-eval {version} turns log-probabilities into text" in ran.err
    assert f"pip install lmms-eval=={NEWEST_WHOLE}" in ran.err
    assert not DIR.exists()
    assert babycli("bridge", "lmms", DIR, "--tasks", "saycam_caption").code == 0
    with pytest.raises(RuntimeError, match=f"lmms-eval {version} turns .* pip install lmms-eval=={NEWEST_WHOLE}"):
        load("choices").refuse_broken_version()


@pytest.mark.parametrize(("version", "said"), [(NEWEST_WHOLE, ""), ("0.8.0", "lmms-eval 0.8.0 is installed; ")])
def test_another_lmms_eval_is_not_refused(
    babycli: Babycli, linked: None, install: Callable[[str], None], version: str, said: str
) -> None:
    install(version)
    ran = babycli("bridge", "lmms", DIR)
    assert ran.code == 0
    assert (said in ran.err) if said else ("lmms-eval" not in ran.err)
    load("choices").refuse_broken_version()


def test_no_lmms_eval_is_no_reason_to_refuse(bridge: Path) -> None:
    load("choices").refuse_broken_version()


VTWT = {"trial_id": "7", "asks": [[0, 0], [0, 1]], "right": 0}
LABELED_S = {"trial_id": "7", "asks": [[0, 0], [1, 0], [2, 0], [3, 0]], "right": 2}
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("doc", "logprobs", "acc", "is_tie", "is_finite"),
    [
        (VTWT, [-1.0, -2.0], 1.0, False, True),
        (VTWT, [-2.0, -1.0], 0.0, False, True),
        (VTWT, [-1.0, -1.0], 0.5, True, True),
        (VTWT, [NAN, -9.0], 0.0, False, False),
        (VTWT, [-9.0, NAN], 1.0, False, False),
        (VTWT, [NAN, NAN], 0.0, False, False),
        (VTWT, [-INF, -INF], 0.0, False, False),
        (LABELED_S, [-1.0, -1.0, -1.0, -1.0], 0.25, True, True),
        (LABELED_S, [-3.0, -2.0, -1.0, -1.0], 0.5, True, True),
        (LABELED_S, [-1.0, -1.0, -2.0, -3.0], 0.0, False, True),
        (LABELED_S, [0.0, -1.0, -0.0, NAN], 0.5, True, False),
    ],
)
def test_a_choice_is_scored_fairly_with_either_sign(
    bridge: Path, doc: dict[str, Any], logprobs: list[float], acc: float, is_tie: bool, is_finite: bool
) -> None:
    choice = load("choices").choice
    wanted = {"trial_id": "7", "acc": acc, "is_tie": is_tie, "is_finite": is_finite}
    assert choice(doc, [(x, False) for x in logprobs], "logprob") == wanted
    assert choice(doc, [[-x, True] for x in logprobs], "loss") == wanted  # a cache gives lists


def test_an_answer_of_the_other_sign_is_no_answer(bridge: Path) -> None:
    choice = load("choices").choice
    with pytest.raises(RuntimeError, match="--sign loss"):
        choice(VTWT, [(1.5, False), (-1.0, False)], "logprob")
    with pytest.raises(RuntimeError, match="--sign logprob"):
        choice(VTWT, [(1.5, False), (-1.0, False)], "loss")


@pytest.mark.parametrize(
    "answer", ["(-1.0, False)", "-1.0", "", -1.0, ("-1.0", False), (-1.0,)], ids=lambda answer: repr(answer)
)
def test_what_is_no_pair_of_a_number_is_no_answer(bridge: Path, answer: object) -> None:
    with pytest.raises(RuntimeError, match="lmms-eval handed over"):
        load("choices").choice(VTWT, [answer, (-1.0, False)], "logprob")


def test_a_missing_answer_is_not_made_up(bridge: Path) -> None:
    with pytest.raises(RuntimeError, match="trial 7: 1 answers, should be 2"):
        load("choices").choice(VTWT, [(-1.0, False)], "logprob")


@pytest.mark.parametrize("sign", list(Sign))
@pytest.mark.parametrize("name", CHOICES)
def test_every_trial_is_decided_as_babycli_decides_it(bridge: Path, name: str, sign: str) -> None:
    task, choices, draw = all_tasks()[name], load("choices"), random.Random(0)
    items = read_labels(DATASET / task.label_path, task).items
    score = choices.winoground if name == "baby_winoground" else choices.choice
    for _ in range(5):
        for doc, item in zip(documents(name), items, strict=True):
            values = {
                (image, text): draw.choice([-0.5, -1.0, -1.5, NAN, -INF])
                for image in doc["images"]
                for text in doc["texts"]
            }
            answers: list[Answer] = []
            for request in next(task.play(item, Asking())):
                assert isinstance(request, Score)
                (shown,) = request.context.images
                image = str(Path.cwd() / DATASET / task.links[shown.source] / shown.name)
                answers.append(Loglikelihood((values[image, request.answer],), False))
            outcome = replay(task, item, Asking(), answers)
            asked = [values[doc["images"][image], doc["texts"][text]] for image, text in doc["asks"]]
            got = score(doc, [(x if sign == "logprob" else -x, False) for x in asked], sign)
            assert got == dict(outcome.values) | {
                "trial_id": outcome.item_id,
                "is_tie": outcome.is_tie,
                "is_finite": outcome.is_finite,
            }


class WrongPhrase(VisualTwoWordTest):
    """A task that the bridge has never heard of: the second candidate is the right one."""

    name = "wrong_phrase"

    def play(self, item: Item, asking: Asking) -> Play:
        answers = yield next(super().play(item, asking))
        choice = choose([loss_of(answer, asking.scoring) for answer in answers], 1)
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)


class BothPhrases(WrongPhrase):
    name = "both_phrases"

    def play(self, item: Item, asking: Asking) -> Play:
        yield next(super().play(item, asking))
        return Outcome(item.item_id, {"acc": 1.0})


class TwoTurns(WrongPhrase):
    name = "two_turns"
    needs = Needs("score", n_turns=2)


def test_any_task_with_one_right_candidate_has_a_bridge(babycli: Babycli, linked: None) -> None:
    register(WrongPhrase())
    assert babycli("bridge", "lmms", DIR, "--tasks", "wrong_phrase").code == 0
    assert read_yaml("wrong_phrase")["process_results"] == "!function choices.choice"
    docs = documents("wrong_phrase")
    assert len(docs) == N_DOCUMENTS["vtwt"]
    assert {doc["right"] for doc in docs} == {1}
    assert load("choices").choice(docs[0], [(-2.0, False), (-1.0, False)], "logprob")["acc"] == 1.0
    ran = babycli("bridge", "lmms", DIR)
    assert "babycli_wrong_phrase: 100 documents" in ran.err


def test_other_tasks_have_none(babycli: Babycli, linked: None) -> None:
    register(TwoTurns())
    ran = babycli("bridge", "lmms", DIR, "--tasks", "two_turns")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no bridge for two_turns" in ran.err
    assert f"one of: {', '.join(N_DOCUMENTS)}\n" in ran.err
    assert "two_turns" not in babycli("bridge", "lmms", DIR).out
    register(BothPhrases())
    ran = babycli("bridge", "lmms", "other", "--tasks", "both_phrases")
    assert ran.code == 2
    assert "there is no bridge for both_phrases: 2 candidates of 0 are right, should be one" in ran.err
    assert not Path("other").exists()


def test_a_caption_is_scored_by_babyclis_meteor(bridge: Path) -> None:
    caption = load("captions").caption
    doc = {"trial_id": "0", "target": "look at the ball"}
    assert caption(doc, ["look at the ball"])["meteor"] > 0.99
    assert caption(doc, [""])["meteor"] == 0.0


def test_captions_ask_for_babycli_before_any_model_is_asked(bridge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "babycli.tasks.meteor", None)
    with pytest.raises(ImportError, match="pip install --no-deps babycli"):
        load("captions")


def test_captions_ask_for_the_release_of_nltk(bridge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "3.9.1")
    with pytest.raises(ImportError, match=r"NLTK 3\.9\.1"):
        load("captions")


def test_a_picture_is_the_one_that_was_bridged(bridge: Path, tmp_path: Path) -> None:
    shown = load("documents")
    doc = documents("labeled_s")[0]
    (image,) = shown.picture(doc, 2)
    assert image.mode == "RGB"
    assert image.tobytes() == shown.pictures(doc)[2].tobytes()
    other = tmp_path / "other.png"
    other.write_bytes(Path(doc["images"][0]).read_bytes() + b"\0")
    with pytest.raises(RuntimeError, match="is not the image it was"):
        shown.picture(doc | {"images": [str(other)]}, 0)
    assert shown.prompt(doc, {"pre_prompt": "What? ", "post_prompt": "So!"}) == "What? So!"


class FakeConfigurableTask:
    """As much of lmms-eval's class as ours asks for."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = SimpleNamespace(**config)
        self.options: dict[str, Any] = {}
        self.dataset = {"test": documents("labeled_s")}
        self.args: object = None

    def build_all_requests(self, **options: Any) -> None:
        self.options = options


@pytest.fixture
def choice_task(bridge: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Labeled-S as lmms-eval would make it."""
    modules = {
        "lmms_eval": ModuleType("lmms_eval"),
        "lmms_eval.api": ModuleType("lmms_eval.api"),
        "lmms_eval.api.instance": SimpleNamespace(Instance=SimpleNamespace),
        "lmms_eval.api.task": SimpleNamespace(ConfigurableTask=FakeConfigurableTask),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    config = read_yaml("labeled_s")
    for key, value in config.items():
        if str(value).startswith("!function "):
            module_name, _, attribute = value.removeprefix("!function ").partition(".")
            config[key] = getattr(load(module_name), attribute)
    return config["class"](config=config)


def test_each_request_shows_a_picture_of_its_own(choice_task: Any) -> None:
    doc = documents("labeled_s")[3]
    requests = choice_task.construct_requests(3, "", metadata={"split": "test"})
    shown = load("documents").pictures(doc)
    assert len(requests) == 4
    for number, request in enumerate(requests):
        context, text, doc_to_visual, doc_id, task, split = request.arguments
        assert (request.idx, request.request_type) == (number, "loglikelihood")
        assert (context, text, doc_id, task, split) == ("", doc["texts"][0], 3, "babycli_labeled_s", "test")
        (image,) = doc_to_visual(doc)
        assert image.tobytes() == shown[number].tobytes()


def test_the_wording_is_that_of_the_model_and_requests_are_not_cached(choice_task: Any) -> None:
    choice_task.build_all_requests(limit=3, cache_requests=True)
    assert choice_task.options == {"limit": 3, "cache_requests": False}
    assert choice_task.lmms_eval_specific_kwargs["pre_prompt"] == CHOICE["default"]
    choice_task.args = SimpleNamespace(model="llava")
    choice_task.build_all_requests()
    assert choice_task.lmms_eval_specific_kwargs["pre_prompt"] == CHOICE["llava"]


def test_the_task_scores_with_the_sign_it_was_written_with(choice_task: Any) -> None:
    doc = documents("labeled_s")[0]
    assert choice_task.process_results(doc, [(-1.0, False)] * 4)["acc"] == 0.25
    with pytest.raises(RuntimeError, match="--sign loss"):
        choice_task.process_results(doc, [(1.0, False)] * 4)
