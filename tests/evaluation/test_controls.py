"""`babycli eval --control`: what a model is shown, what the log says of it, and when a control is too good."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from babycli import evaluate
from babycli.data.root import DatasetRoot
from babycli.domain import AppliedControl, ImageRef, Item, Outcome, Row, Score, ask
from babycli.errors import UntrustedResultError
from babycli.evaluation.controls import Controls, shuffled
from babycli.evaluation.inputs import Inputs, TaskInput, read_inputs
from babycli.models import DEFAULT_MODEL, resolve
from babycli.models import control as control_models
from babycli.models.base import ModelSpec
from babycli.tasks import select_tasks
from babycli.tasks.base import Asking, Needs, Play, Task
from babycli.tasks.vtwt import VisualTwoWordTest
from babycli.wording import ControlKind, Scoring
from tests.checkpoints import DEMO_WORDS, write_checkpoint
from tests.conftest import Babycli
from tests.evaluation.fakes import INFO, FakeModel
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.evaluation.test_distributed import ended, start
from tests.evaluation.test_resume import interrupted
from tests.models.test_clip import write as write_clip

CHOICES = ("labeled_s", "vtwt", "baby_winoground")
SOME = ("--tasks", ",".join(CHOICES), "--limit", "12", "--batch-size", "4")
# Says which picture it was shown, whatever the text.
WHICH = """
import zlib
class Which:
    def __init__(self, device, dtype): pass
    def similarity(self, images, texts): return [zlib.crc32(image.tobytes()) for image in images]
"""
LONG = """
class Long:
    def __init__(self, device, dtype): pass
    def similarity(self, images, texts): return [len(text) for text in texts]
"""


def spec_of(name: str) -> ModelSpec:
    return ModelSpec(name, name, {}, "cpu", "float32", Scoring.FAIR)


def inputs_of(tasks: str, limit: int | None = None) -> Inputs:
    return read_inputs(DatasetRoot.find(None), select_tasks(tasks), limit, False, lambda n: None)


def controls(kind: ControlKind | None, said: list[str]) -> Controls:
    @contextlib.contextmanager
    def bar(what: str, total: int | None) -> Iterator[Any]:
        yield lambda n: None

    return Controls(kind, said.append, bar)


class Shown(Task):
    """A task that does nothing but have pictures behind the links a, b, x and vtwt/images."""

    name = "shown"
    needs = Needs("score")
    links: Mapping[str, str] = {name: name for name in ("a", "b", "x", "vtwt/images")}

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return []

    def play(self, item: Item, asking: Asking) -> Play:
        yield []
        return Outcome(item.item_id, {})


def refs(source: str, *names: str) -> list[ImageRef]:
    return [ImageRef(source, name) for name in names]


def shuffled_in(own: Mapping[ImageRef, str], place: int = 0) -> dict[ImageRef, ImageRef]:
    """The picture to show instead of each, of a task that has them all."""
    item = Item("0", (0,), ({},), tuple(own))
    return shuffled(TaskInput(Shown(), cast(Any, None), (item,), ()), own, place)


# ---------------------------------------------------------------- shuffled


def test_every_image_gives_way_to_another_of_its_link() -> None:
    own = {ref: f"{ref.name}{ref.source[0]}" for link in ("a", "b") for ref in refs(link, *map(str, range(50)))}
    found = shuffled_in(own)
    assert set(found) == set(found.values()) == set(own)
    assert all(ref != other and ref.source == other.source for ref, other in found.items())
    one, two = ({ref.name: found[ref].name for ref in refs(link, *map(str, range(50)))} for link in ("a", "b"))
    assert one != two
    assert shuffled_in(dict(reversed(own.items()))) == found  # the order in which images come up has no part in it


def test_the_permutation_is_the_same_on_every_machine() -> None:
    own = {ref: ref.name * 64 for ref in refs("vtwt/images", "a", "b", "c", "d")}
    # By hand: the SHA-256 of "0 vtwt/images aaa..." begins with 83, that of b with 2a, of c with 4c, of d with cb.
    expected = {"b": "c", "c": "a", "a": "d", "d": "b"}
    assert {ref.name: other.name for ref, other in shuffled_in(own).items()} == expected
    second, third = {"b": "a", "c": "d", "a": "b", "d": "c"}, {"b": "d", "c": "b", "a": "c", "d": "a"}
    for place, wanted in enumerate((expected, second, third, expected, second)):
        assert {ref.name: other.name for ref, other in shuffled_in(own, place).items()} == wanted


def test_pictures_of_equal_bytes_count_as_one() -> None:
    own = dict(zip(refs("x", "a", "b", "c", "d"), ["1", "2", "3", "1"], strict=True))
    found = shuffled_in(own)
    a, _, _, d = own
    assert found[a] == found[d]
    assert all(own[ref] != own[other] for ref, other in found.items())
    assert {own[other] for other in found.values()} == set(own.values())
    assert shuffled_in({a: "1", d: "1"}) == {a: a, d: a}  # there is no other


def shown_in(folder: Path) -> dict[str, dict[tuple[str, str], float]]:
    """By task, which picture a model of WHICH was shown for each kind and name."""
    return {
        task: {
            (line["doc"].get("image_tag", ""), line["doc"]["image"]): line["resps"][0][0]
            for line in samples(folder, task)
        }
        for task in CHOICES
    }


def test_a_shuffled_run_shows_every_picture_in_another_place(linked: Path, babycli: Babycli) -> None:
    Path("which.py").write_text(WHICH)
    words = ("eval", "--model", "which.py:Which", "--tasks", ",".join(CHOICES))
    assert babycli(*words, "--output-path", "real").code == 0
    for place in ("one", "two"):
        ran = babycli(*words, "--control", "shuffled", "--output-path", place)
        assert ran.code == 0, ran.err
        assert "control shuffled of which.py:Which: another image of the same task and kind" in ran.err
    real, one, two = (only_run(Path(name)) for name in ("real", "one", "two"))
    own, found = shown_in(real), shown_in(one)
    assert found == shown_in(two)
    for task in CHOICES:
        for kind in {kind for kind, _ in own[task]}:
            before = {name: x for (of, name), x in own[task].items() if of == kind}
            after = {name: x for (of, name), x in found[task].items() if of == kind}
            assert set(after.values()) == set(before.values())  # frames among frames, synthetic among synthetic
            assert all(after[name] != before[name] for name in before)
    frames = {name: x for (kind, name), x in found["baby_winoground"].items() if kind == "positive"}
    both = {name for _, name in found["vtwt"]} & set(frames)
    assert both
    assert any(found["vtwt"]["", name] != frames[name] for name in both)  # each task has an order of its own

    control = {"kind": "shuffled", "how": "another image of the same task and kind", "seed": 0}
    run, without = read_json(one / "run.json"), read_json(real / "run.json")
    assert (run["control"], without["control"]) == (control, None)
    assert (results(one)["control"], results(real)["control"]) == (control, None)
    assert run["images"] == without["images"]
    assert results(one)["images_sha256"] == results(real)["images_sha256"]


def test_an_image_that_has_no_other_stays_and_it_is_said(linked: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:constant", "--tasks", "vtwt", "--limit", 1, "--control", "shuffled")
    assert ran.code == 0
    assert "note: vtwt/images has one image only, which stays where it is" in ran.err


# ---------------------------------------------------------------- blind


def images_in(score_lines: Sequence[Mapping[str, Any]]) -> set[str]:
    """The pictures that score lines name, each of which names at least one."""
    shown = [
        [part["image"] for _, parts in line["turns"] for part in parts if isinstance(part, dict)]
        for line in score_lines
    ]
    assert all(shown)
    return {name for names in shown for name in names}


def test_a_blind_babyllava_ties_wherever_the_text_is_the_same(linked: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "babyllava-tiny", "--control", "blind", "--batch-check", 4)
    assert ran.code == 0, ran.err
    assert "control blind of babyllava-tiny: no image tokens" in ran.err
    assert "Labeled-S" in ran.out
    folder = only_run()
    assert folder.parent.name == "babyllava-tiny"
    found, run = results(folder), read_json(folder / "run.json")
    assert run["control"] == found["control"] == {"kind": "blind", "how": "no image tokens", "seed": 0}
    assert found["results"]["labeled_s"]["acc,none"] == 0.25
    assert found["ties"]["labeled_s"] == found["n_units"]["labeled_s"]
    assert found["results"]["baby_winoground"]["group_score,none"] == 0
    assert len({line["resps"][0][0] for line in samples(folder, "saycam_caption")}) == 1
    assert run["model"]["family"] == "babyllava"
    assert run["tasks"]["labeled_s"]["rendered_prompt"] == "\n"
    assert images_in(lines(folder / "scores.rank0.jsonl")) == {"no picture"}
    assert run["plan"]["images"] == 0
    assert all(check["n_flipped"] == 0 for check in run["batch_check"].values())


def test_what_is_asked_makes_a_difference_to_a_blind_model(linked: Path, babycli: Babycli, small: Path) -> None:
    assert babycli("eval", "--model", small, "--tasks", "vtwt", "--control", "blind").code == 0
    phrases: dict[str, set[float]] = {}
    for line in samples(only_run(), "vtwt"):
        for column, (loss, _) in zip(("positive_phrase", "negative_phrase"), line["resps"], strict=True):
            phrases.setdefault(line["doc"][column], set()).add(loss)
    assert all(len(found) == 1 for found in phrases.values())
    assert len({loss for found in phrases.values() for loss in found}) > len(phrases) / 2


def test_other_models_see_planes_of_the_mean_colour(linked: Path) -> None:
    said: list[str] = []
    inputs = inputs_of("labeled_s,vtwt", 5)
    shown, control = controls(ControlKind.BLIND, said).apply(FakeModel(lambda *_: 0.0), spec_of("mine"), inputs)
    assert control == AppliedControl("blind", "mean colour", 0)
    assert said == ["control blind of mine: mean colour"]
    for ref in inputs.sha256:
        picture = inputs.open_image(ref)
        red, green, blue = (int(x + 0.5) for x in np.asarray(picture).reshape(-1, 3).mean(0))
        for task in shown.tasks:
            context = task.show(ask("what?", ref))
            (instead,) = context.images
            assert context == ask("what?", instead)
            plane = shown.open_image(instead)
            assert plane.size == picture.size
            assert plane.getcolors() == [(picture.width * picture.height, (red, green, blue))]
            name = f"mean colour {picture.width}x{picture.height} #{red:02x}{green:02x}{blue:02x}"
            assert shown.sha256[instead] == name
    assert shown.own_sha256 == inputs.sha256
    assert [shown.images_digest(t) for t in shown.tasks] == [inputs.images_digest(t) for t in inputs.tasks]


def test_planes_of_one_size_and_colour_are_one_picture(linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = iter([(10, 20, 30), (10, 20, 30), (10, 20, 31)])
    inputs = inputs_of("vtwt", 3)
    assert len(set(inputs.sha256.values())) == 3
    monkeypatch.setattr(Inputs, "open_image", lambda self, ref: Image.new("RGB", (4, 3), next(colours)))
    shown, _ = controls(ControlKind.BLIND, []).apply(FakeModel(lambda *_: 0.0), spec_of("mine"), inputs)
    (task,) = shown.tasks
    planes = [image for ref in inputs.sha256 for image in task.show(ask("", ref)).images]
    names = sorted(shown.sha256[plane] for plane in planes)
    assert names == ["mean colour 4x3 #0a141e"] * 2 + ["mean colour 4x3 #0a141f"]
    assert len(set(planes)) == 2


def test_an_image_that_cannot_be_decoded_ends_the_control(
    linked: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = Path("dataset/vtwt/images")
    copied = shutil.copytree(frames.resolve(), "frames")
    frames.unlink()
    frames.symlink_to(Path(copied).resolve())
    Path("dataset/babycli.lock").unlink()
    image = sorted(frames.glob("*.png"))[0]
    image.write_bytes(image.read_bytes()[:-40])
    ran = babycli("eval", "--model", "control:length", "--tasks", "vtwt", "--control", "blind")
    assert ran.code == 3, ran.err
    assert image.name in ran.err


def test_each_family_says_how_it_is_blind(linked: Path, babycli: Babycli, small: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "checkpoints" / "clip", "clip")
    Path("long.py").write_text(LONG)
    names = [small, clip, "long.py:Long", "control:random"]
    ran = babycli("eval", *(w for name in names for w in ("--model", name)), *SOME, "--control", "blind")
    assert ran.code == 0, ran.err
    how = {
        read_json(path)["model"]["family"]: read_json(path)["control"]["how"] for path in Path("logs").rglob("run.json")
    }
    assert how == {"babyllava": "no image tokens"} | dict.fromkeys(("clip", "plugin", "control"), "mean colour")
    (scores,) = Path("logs").glob("*clip/*/scores.rank0.jsonl")
    assert all(name.startswith("mean colour ") for name in images_in(lines(scores)))


def test_checkpoints_with_one_tower_are_blind_with_feature_reuse_too(
    linked: Path, babycli: Babycli, tmp_path: Path
) -> None:
    names = [write_checkpoint(tmp_path / "steps" / f"step-{i}", DEMO_WORDS, seed=i) for i in (1, 2)]
    words = [*(w for name in names for w in ("--model", name)), *SOME, "--control", "blind"]
    for place, more in (("kept", ("--feature-reuse",)), ("plain", ())):
        ran = babycli("eval", *words, *more, "--output-path", place)
        assert ran.code == 0, ran.err
    for name in names:
        kept, plain = (only_run(Path(place) / f"steps__{name.name}") for place in ("kept", "plain"))
        assert [samples(kept, task) for task in CHOICES] == [samples(plain, task) for task in CHOICES]


# ---------------------------------------------------------------- constant


def test_a_constant_stands_in_under_the_models_name(linked: Path, babycli: Babycli, tmp_path: Path) -> None:
    broken = write_checkpoint(tmp_path / "checkpoints" / "broken", DEMO_WORDS)
    (broken / "model.safetensors").write_bytes(b"never read")
    words = ("--model", broken, "--model-args", "conv_template=v1", "--control", "constant")
    ran = babycli("eval", *words)
    assert ran.code == 0, ran.err
    assert f"control constant of {broken}: every score is the same, the model is not loaded" in ran.err
    assert "loading" not in ran.err
    folder = only_run()
    assert folder.parent.name == "checkpoints__broken"
    found, run = results(folder), read_json(folder / "run.json")
    assert found["results"]["labeled_s"]["acc,none"] == 0.25
    assert found["results"]["vtwt"]["acc,none"] == 0.5
    winoground = found["results"]["baby_winoground"]
    assert [winoground[f"{kind}_score,none"] for kind in ("image", "text", "group")] == [0, 0, 0]
    assert "saycam_caption" in found["results"]
    assert run["control"]["kind"] == found["control"]["kind"] == "constant"
    assert run["model"]["name"] == found["model_name"] == str(broken)
    assert run["model"]["source"] == "control:constant"
    assert run["model"]["args"] == {}


def test_a_constant_needs_no_model_at_all(linked: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--control", "constant", *SOME)
    assert ran.code == 0, ran.err
    assert f"control constant of {DEFAULT_MODEL}" in ran.err
    assert only_run().parent.name == DEFAULT_MODEL.replace("/", "__")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--control", "blnd"], ["unknown --control 'blnd'", "Did you mean 'blind'?", "blind, shuffled, constant"]),
        (["--control", "constant", "--model", "nothing-like-it"], ["unknown model 'nothing-like-it'"]),
        (["--control", "constant", "--model-args", "conv=v1"], ["no argument 'conv'"]),
    ],
)
def test_what_is_misspelt_is_a_usage_error(words: list[str], said: list[str], linked: Path, babycli: Babycli) -> None:
    model = () if "--model" in words else ("--model", "babyllava-tiny")
    ran = babycli("eval", *model, *words)
    assert ran.code == 2
    assert all(part in ran.err for part in said), ran.err
    assert not Path("logs").exists()


# ---------------------------------------------------------------- the log


def test_a_task_has_the_digest_of_its_own_images(linked: Path, babycli: Babycli, small: Path) -> None:
    found = {}
    for tasks in ("vtwt", "vtwt,labeled_s", "labeled_s"):
        assert babycli("eval", "--model", small, "--tasks", tasks, "--limit", 3, "--output-path", tasks).code == 0
        folder = only_run(Path(tasks))
        run, document = read_json(folder / "run.json"), results(folder)
        found[tasks] = {name: task["images_sha256"] for name, task in run["tasks"].items()}
        assert document["images_sha256"] == found[tasks]
        assert document["labels_sha256"] == {name: task["labels_sha256"] for name, task in run["tasks"].items()}
        if "," not in tasks:
            assert found[tasks][tasks] == run["images"]["sha256"]
    assert found["vtwt,labeled_s"] == found["vtwt"] | found["labeled_s"]
    assert len(set(found["vtwt,labeled_s"].values())) == 2
    assert babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", 4, "--output-path", "more").code == 0
    assert results(only_run(Path("more")))["images_sha256"] != found["vtwt"]


@pytest.mark.parametrize("name", ["constant", "random?seed=3", "length"])
def test_a_control_model_is_a_control_too(name: str, linked: Path, babycli: Babycli) -> None:
    assert babycli("eval", "--model", f"control:{name}", "--tasks", "labeled_s", "--limit", 4).code == 0
    control = read_json(only_run() / "run.json")["control"]
    assert (control["kind"], control["seed"]) == (name.partition("?")[0], 3 if "3" in name else 0)
    assert control["how"]


def test_every_kind_of_control_model_is_described(linked: Path) -> None:
    model = FakeModel(lambda *_: 0.0, info=replace(INFO, family="control"))
    inputs = inputs_of("vtwt", 1)
    found = [controls(None, []).apply(model, spec_of(f"control:{kind}"), inputs)[1] for kind in control_models.KINDS]
    assert [each and each.kind for each in found] == list(control_models.KINDS)


def test_without_a_control_nothing_is_changed(linked: Path) -> None:
    said: list[str] = []
    model, inputs = FakeModel(lambda *_: 0.0), inputs_of("vtwt", 2)
    none = controls(None, said)
    assert none.apply(model, spec_of("mine"), inputs) == (inputs, None)
    assert none.standing_in([resolve("babyllava-tiny", {})]) == [resolve("babyllava-tiny", {})]
    assert none.arguments({"a": "b"}) == {"a": "b"}
    assert said == []


# ---------------------------------------------------------------- caches, resuming, processes


@pytest.mark.long
@pytest.mark.parametrize("kind", list(ControlKind))
@pytest.mark.parametrize("family", ["babyllava", "clip"])
def test_a_cache_of_the_real_run_changes_no_control(
    family: str, kind: str, linked: Path, babycli: Babycli, small: Path, tmp_path: Path
) -> None:
    model = small if family == "babyllava" else write_clip(tmp_path / "checkpoints" / "clip", "clip")
    words = ("eval", "--model", model, *SOME)
    assert babycli(*words, "--cache", "cache", "--output-path", "real").code == 0
    control = ("--control", kind)
    assert babycli(*words, *control, "--output-path", "plain").code == 0
    ran = babycli(*words, *control, "--cache", "cache", "--output-path", "cached")
    assert ran.code == 0, ran.err
    if kind != "shuffled":  # which may take what the real run found for the very pictures that it shows
        assert "on disk" not in ran.err
    again = babycli(*words, *control, "--cache", "cache", "--output-path", "again")
    n = len(lines(only_run(Path("again")) / "scores.rank0.jsonl"))
    assert f"{n} of {n} scores are on disk" in again.err
    plain, cached, real = (only_run(Path(name)) for name in ("plain", "cached", "real"))
    assert results(cached)["results"] == results(plain)["results"]
    assert results(only_run(Path("again")))["results"] == results(plain)["results"]
    assert [samples(cached, task) for task in CHOICES] != [samples(real, task) for task in CHOICES]
    ran = babycli(*words, "--cache", "cache", "--output-path", "real-again")  # and the other way round
    assert ran.code == 0
    assert [samples(only_run(Path("real-again")), task) for task in CHOICES] == [
        samples(real, task) for task in CHOICES
    ]


@pytest.mark.parametrize("kind", ["blind", pytest.param("shuffled", marks=pytest.mark.long)])
def test_a_control_goes_on_to_the_byte_and_the_real_run_is_left_alone(
    kind: str, linked: Path, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_clip(tmp_path / "checkpoints" / "clip", "clip")
    words = ("--model", model, *SOME)
    assert babycli("eval", *words, "--control", kind, "--output-path", "undisturbed").code == 0
    real = interrupted(babycli, monkeypatch, 9, *words)
    kept = {path.name: path.read_bytes() for path in real.iterdir()}
    shutil.move("logs", "aside")
    control = interrupted(babycli, monkeypatch, 11, *words, "--control", kind)
    shutil.copytree(Path("aside") / real.relative_to("logs"), control.parent / "29991231_000000")  # the latest of them
    real = control.parent / "29991231_000000"

    ran = babycli("eval", *words, "--control", kind)
    assert ran.code == 0, ran.err
    assert "11 of " in ran.err
    whole = only_run(Path("undisturbed"))
    assert (control / "scores.rank0.jsonl").read_bytes() == (whole / "scores.rank0.jsonl").read_bytes()
    assert results(control)["results"] == results(whole)["results"]
    assert {path.name: path.read_bytes() for path in real.iterdir()} == kept
    ran = babycli("eval", *words)
    assert ran.code == 0, ran.err
    assert "9 of " in ran.err
    assert list(real.glob("*_results.json"))


@pytest.mark.long
def test_a_real_run_does_not_go_on_with_a_control(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = interrupted(babycli, monkeypatch, 5, "--model", small, *SOME, "--control", "blind")
    for words in ((), ("--control", "shuffled"), ("--control", "constant")):
        ran = babycli("eval", "--model", small, *SOME, *words)
        assert ran.code == 0, ran.err
        assert "on disk" not in ran.err
    assert not list(blind.glob("*_results.json"))
    assert len(list(Path("logs").rglob("run.json"))) == 4


def test_a_control_that_is_made_in_another_way_is_a_conflict(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(babycli, monkeypatch, 5, "--model", small, *SOME, "--control", "blind")
    run = read_json(folder / "run.json")
    run["identity"]["question"]["control"]["how"] = "mean colour"
    (folder / "run.json").write_text(json.dumps(run))
    ran = babycli("eval", "--model", small, *SOME, "--control", "blind")
    assert ran.code == 6
    assert "control how: 'mean colour' in the log, 'no image tokens' now" in ran.err


@pytest.mark.long
@pytest.mark.parametrize("kind", ["blind", "shuffled"])
def test_several_processes_make_the_same_control(
    kind: str, linked: Path, babycli: Babycli, tmp_path: Path, small: Path
) -> None:
    model = small if kind == "shuffled" else write_clip(tmp_path / "checkpoints" / "clip", "clip")
    words = ("--model", model, *SOME, "--control", kind)
    assert babycli("eval", *words, "--output-path", "one").code == 0
    rans = ended(start(2, *words))
    assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
    assert rans[0].err.count(f"control {kind} of") == 1
    assert f"control {kind} of" not in rans[1].err
    one, several = only_run(Path("one")), only_run(Path("logs"))
    assert results(several)["results"] == results(one)["results"]
    assert min(len(lines(path)) for path in several.glob("scores.rank*.jsonl")) > 0


@pytest.mark.long
def test_a_process_may_have_nothing_to_do(linked: Path, small: Path) -> None:
    rans = ended(start(2, "--model", small, *SOME, "--control", "blind"))  # all images are one
    assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
    assert results(only_run())["results"]["labeled_s"]["acc,none"] == 0.25


# ---------------------------------------------------------------- what a control tells

TOLD = re.compile(
    r"^(?P<kind>\w+): VTWT acc (?P<value>[\d.]+) ±[\d.]+, (not )?above chance \(50\.0\)"
    r"(; with pictures (?P<seen>[\d.]+), gain (?P<gain>[+−][\d.]+) \[(?P<low>[+−][\d.]+), (?P<high>[+−][\d.]+)\]"
    r" over (?P<over>[a-z ]+))?$",
    re.MULTILINE,
)


def told_by(said: str) -> dict[str, str | None]:
    found = TOLD.search(said)
    assert found, said
    return found.groupdict()


@pytest.mark.parametrize("kind", ["blind", "shuffled"])
def test_a_control_says_how_it_stands_to_chance_and_to_the_run_with_pictures(
    kind: str, linked: Path, babycli: Babycli
) -> None:
    words = ("eval", "--model", "babyllava-tiny", "--tasks", "vtwt", "--output-path")
    alone = babycli(*words, "alone", "--control", kind)
    assert alone.code == 0, alone.err
    first = told_by(alone.err)
    assert (first["kind"], first["gain"]) == (kind, None)  # the run with pictures is in other logs
    seeing = babycli(*words, "both")
    assert seeing.code == 0
    assert TOLD.search(seeing.err) is None
    ran = babycli(*words, "both", "--control", kind)
    assert ran.code == 0, ran.err
    both = told_by(ran.err)
    records = json.loads(babycli("report", "both", "--format", "json").out)
    (shown,) = [record for record in records if record["metric"] == "acc" and not record["control"]]
    (control,) = [record for record in records if record["metric"] == "acc" and record["control"]]
    for name, value in (
        ("value", control["value"]),
        ("seen", shown["value"]),
        ("gain", shown["visual_gain"]),
        ("low", shown["visual_gain_low"]),
        ("high", shown["visual_gain_high"]),
    ):
        assert float((both[name] or "").replace("−", "-")) == pytest.approx(100 * value, abs=0.051), name
    over = {"wrong pictures": "shuffled", "no pictures": "blind", "chance": "chance"}
    assert over[both["over"] or ""] == shown["visual_gain_over"]


def test_a_metric_without_chance_level_and_another_control_have_no_gain(linked: Path, babycli: Babycli) -> None:
    words = ("eval", "--model", "babyllava-tiny", "--limit", 10)
    assert babycli(*words).code == 0
    ran = babycli(*words, "--control", "constant")
    assert ran.code == 0, ran.err
    told = [line for line in ran.err.splitlines() if line.startswith("constant: ")]
    assert len(told) == 4
    assert [line for line in told if "METEOR" in line and "which has no chance level" in line]
    assert "gain" not in "".join(told)


# ---------------------------------------------------------------- above chance


@pytest.fixture
def longer_is_right(linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right phrases of VTWT are longer than the wrong ones."""
    play = VisualTwoWordTest.play

    def giving_it_away(task: VisualTwoWordTest, item: Item, asking: Asking) -> Play:
        honest = play(task, item, asking)
        right, wrong = (request for request in next(honest) if isinstance(request, Score))
        answers = yield [replace(right, answer=f"{right.answer} there"), replace(wrong, answer="no")]
        try:
            honest.send(answers)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        raise AssertionError("it asks twice")

    monkeypatch.setattr(VisualTwoWordTest, "play", giving_it_away)


@pytest.mark.parametrize(
    ("model", "kind"),
    [("long.py:Long", "blind"), ("long.py:Long", "shuffled"), ("control:length", "length")],
)
def test_a_control_above_chance_is_not_to_be_trusted(
    model: str, kind: str, longer_is_right: None, babycli: Babycli
) -> None:
    Path("long.py").write_text(LONG)
    words = () if model.startswith("control:") else ("--control", kind)
    ran = babycli("eval", "--model", model, "--tasks", "labeled_s,vtwt", "--limit", 20, *words)
    assert ran.code == 7
    label = (
        f"{model} (demo, limit 20)" if model.startswith("control:") else f"{model} (demo, control: {kind}, limit 20)"
    )
    assert f"the labels or prompts may give answers away: {label} on vtwt acc\n" in ran.err  # labeled_s is at chance
    assert "babycli report logs" in ran.err
    told = " ".join(ran.out.split())
    assert "vtwt acc [83.9, 100.0], chance is 50.0" in told
    assert "most in the trials with the word" in told
    assert results(only_run())["results"]["vtwt"]["acc,none"] == 1.0


def test_python_is_told_of_a_control_above_chance(longer_is_right: None) -> None:
    with pytest.raises(UntrustedResultError, match="may give answers away: control:length"):
        evaluate("control:length", tasks="vtwt", limit=20)
    assert results(only_run())["results"]["vtwt"]["acc,none"] == 1.0


def test_the_model_itself_may_be_above_chance(longer_is_right: None, babycli: Babycli) -> None:
    Path("long.py").write_text(LONG)
    ran = babycli("eval", "--model", "long.py:Long", "--tasks", "vtwt", "--limit", 20)
    assert ran.code == 0, ran.err
    assert results(only_run())["results"]["vtwt"]["acc,none"] == 1.0


def test_each_model_with_such_a_control_is_named(longer_is_right: None, babycli: Babycli) -> None:
    Path("long.py").write_text(LONG)
    Path("other.py").write_text(LONG)
    words = ("--model", "long.py:Long", "--model", "other.py:Long", "--control", "blind")
    ran = babycli("eval", *words, "--tasks", "vtwt", "--limit", 20)
    assert ran.code == 7
    assert all(
        f"{name} (demo, control: blind, limit 20) on vtwt acc" in ran.err for name in ("long.py:Long", "other.py:Long")
    )
