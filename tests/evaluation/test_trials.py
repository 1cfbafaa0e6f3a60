"""Trials of a user's own: the tasks of BabyVLM as trials files give the same numbers; runs of each kind of trial."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import hf_checkpoints
from tests.checkpoints import DEMO_WORDS, write_roomy
from tests.conftest import Babycli
from tests.evaluation.logs import final, only_run, read_json, results, samples
from tests.evaluation.test_resume import stop_after
from tests.models.test_clip import write as write_clip
from tests.tasks.own_trials import AS_TRIALS, vtwt, write_trials
from tests.written_once import written_once

PICTURES = ("a.png", "b.png", "c.png", "d.png")
COLOURS = ("red", "blue", "green", "yellow")
WORDS = [{"image": name, "text": "red ball"} for name in PICTURES]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with four pictures in ./pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BABYCLI_DATA", raising=False)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, (name, colour) in enumerate(zip(PICTURES, COLOURS, strict=True)):
        picture = Image.effect_noise((40 + seed, 30), 90).convert("RGB")
        Image.blend(picture, Image.new("RGB", picture.size, colour), 0.7).save(folder / name)
    return tmp_path


@pytest.fixture(scope="session")
def baby(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BabyLLaVA with room for several pictures."""
    return written_once(
        tmp_path_factory, "trials-baby", lambda folder: write_roomy(folder, DEMO_WORDS, trunk="transformer", seed=4)
    )


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_once(tmp_path_factory, "trials-clip", lambda folder: write_clip(folder, "clip"))


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_once(tmp_path_factory, "trials-qwen", lambda folder: hf_checkpoints.write_hf(folder, "qwen2_vl"))


MODELS = ("baby", "clip", "qwen")
EACH_KIND: dict[str, list[dict[str, Any]]] = {
    "texts": [
        {"id": name, "images": [name], "options": ["red ball", "blue car", "green tree"], "answer": i % 3}
        for i, name in enumerate(PICTURES)
    ],
    "pictures": [{"id": i, "options": WORDS, "answer": i} for i in range(4)],
    "words": [
        {"id": i, "context": "blue car", "options": [{"image": name} for name in PICTURES], "answer": [i, (i + 1) % 4]}
        for i in range(4)
    ],
    "compared": [
        {"id": i, "images": [name], "options": [{"image": other} for other in PICTURES], "answer": name}
        for i, name in enumerate(PICTURES)
    ],
    "letters": [
        {
            "id": i,
            "context": "look , <image> is red and <image> is blue .",
            "images": [PICTURES[i], PICTURES[(i + 1) % 4]],
            "options": ["red", "blue"],
            "answer": ("red", "blue")[i % 2],
            "group": COLOURS[i],
            "cluster": f"pair {i // 2}",
            "meta": {"note": ["any", 1, None]},
        }
        for i in range(4)
    ],
    "turns": [
        {
            "id": i,
            "context": [
                {"role": "user", "content": "Look: <image>"},
                {"role": "assistant", "content": "a ball ."},
                {"role": "user", "content": "What is <image>?"},
            ],
            "images": [PICTURES[i], PICTURES[3 - i]],
            "answer": ["red ball", "ball"],
            "metric": "exact",
        }
        for i in range(4)
    ],
    "said": [
        {"id": i, "images": [name], "answer": ["a red ball", "the ball"], "metric": "meteor"}
        for i, name in enumerate(PICTURES)
    ],
    "pairs": [
        {"id": i, "images": [name, PICTURES[(i + 1) % 4]], "options": ["red ball", "blue car"], "metric": "pairs"}
        for i, name in enumerate(PICTURES)
    ],
}
ALWAYS = {("baby", "texts"), ("clip", "words"), ("clip", "compared"), ("clip", "turns"), ("qwen", "letters")}
CANNOT = {
    ("baby", "compared"): "cannot do compared: expected is match",
    ("qwen", "compared"): "cannot do compared: expected is match",
    ("clip", "letters"): "cannot do letters: it has up to 2 pictures at once, and the model takes 1",
    ("clip", "turns"): "cannot do turns: expected is generate",
    ("clip", "said"): "cannot do said: expected is generate",
}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        pytest.param(model, kind, marks=() if (model, kind) in ALWAYS else pytest.mark.long)
        for model in MODELS
        for kind in EACH_KIND
    ],
)
def test_each_kind_with_each_model(
    model: str,
    kind: str,
    own: Path,
    babycli: Babycli,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Runs, is interrupted and resumed to the byte, is reported and audited; or the model cannot do it, with exit 5."""
    checkpoint = request.getfixturevalue(model)
    write_trials(Path(f"{kind}.jsonl"), EACH_KIND[kind])
    words = ("eval", "--model", checkpoint, "--trials", f"{kind}.jsonl", "--images", "pictures", "--batch-size", "2")
    whole = babycli(*words, "-o", "whole")
    if (model, kind) in CANNOT:
        assert whole.code == 5
        assert CANNOT[model, kind] in whole.err
        return
    assert whole.code == 0, whole.err
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        assert babycli(*words).code == 130
    ran = babycli(*words)
    assert ran.code == 0, ran.err
    assert "2 of" in ran.err
    assert "scores are on disk" in ran.err
    assert final(only_run())["_results.json"] == final(only_run(Path("whole")))["_results.json"]
    assert samples(only_run(), kind) == samples(only_run(Path("whole")), kind)
    document = results(only_run())
    assert document["n_units"] == {kind: len(EACH_KIND[kind])}
    assert [line["doc"] for line in samples(only_run(), kind)] == EACH_KIND[kind]
    assert str(own) not in json.dumps(document)
    report = babycli("report")
    assert report.code == 0, report.err
    assert kind in report.out
    audit = babycli("report", "--audit", "--tasks", f"{kind}.jsonl:pictures")
    assert audit.code == 0, audit.out + audit.err
    page = babycli("report", "-o", "report.html", "--items", "--with-images", "--tasks", f"{kind}.jsonl:pictures")
    assert page.code == 0, page.err
    assert Path("report.html").read_text().count("data:image/jpeg") >= len(EACH_KIND[kind])


@pytest.mark.parametrize("model", [pytest.param("small", marks=pytest.mark.long), "control:random?seed=2"])
def test_babyvlm_as_trials_gives_the_same_numbers(
    model: str, linked: Path, babycli: Babycli, request: pytest.FixtureRequest
) -> None:
    checkpoint = request.getfixturevalue(model) if model == "small" else model
    words = []
    for task, (trials, _, images) in AS_TRIALS.items():
        write_trials(Path(f"own_{task}.jsonl"), trials(Path("dataset")))
        words.append(f"own_{task}.jsonl:dataset/{images}")
    ran = babycli("eval", "--model", checkpoint, "--tasks", ",".join([*AS_TRIALS, *words]))
    assert ran.code == 0, ran.err
    document = results(only_run())
    for task, (_, metrics, _) in AS_TRIALS.items():
        own = f"own_{task}"
        for theirs, ours in metrics.items():
            for part in ("", "_stderr"):
                key = f"{part},none"
                assert document["results"][own][ours + key] == document["results"][task][theirs + key]
            assert document["ci95"][own][ours] == document["ci95"][task][theirs]
            assert document["chance"][own][ours] == document["chance"][task][theirs]
        assert document["ties"][own] == document["ties"][task]
    assert babycli("eval", "--model", checkpoint, "--tasks", ",".join(AS_TRIALS), "-o", "alone").code == 0
    plans = [read_json(only_run(Path(logs)) / "run.json")["plan"] for logs in ("logs", "alone")]
    assert plans[0] == plans[1]  # equal questions are asked once, whoever asks


def test_a_file_alone_needs_no_dataset_folder(own: Path, babycli: Babycli) -> None:
    write_trials(own / "pictures" / "words.jsonl", EACH_KIND["texts"])
    ran = babycli("eval", "--model", "control:constant", "--trials", "pictures/words.jsonl")
    assert ran.code == 0, ran.err
    document = results(only_run())
    assert document["results"]["words"]["acc,none"] == pytest.approx(1 / 3)
    assert document["ties"] == {"words": 4}
    assert not Path("dataset").exists()


def test_pictures_in_a_zip(own: Path, babycli: Babycli) -> None:
    shutil.make_archive("packed", "zip", "pictures")
    write_trials(Path("words.jsonl"), EACH_KIND["texts"])
    words = ("eval", "--model", "control:random", "--trials", "words.jsonl", "--images")
    assert babycli(*words, "packed.zip", "-o", "zip").code == 0
    assert babycli(*words, "pictures", "-o", "folder").code == 0
    first, second = (results(only_run(Path(name))) for name in ("zip", "folder"))
    assert first["results"] == second["results"]
    assert first["images_sha256"] == second["images_sha256"]  # wherever they lie


def test_files_whose_names_differ_in_marks_alone(own: Path, babycli: Babycli) -> None:
    Path("others").mkdir()
    shutil.copy("pictures/a.png", "others/b.png")  # a name that is another picture's, too
    lines = [{"id": 1, "images": ["b.png"], "options": ["red", "blue"], "answer": 0}]
    for name in ("my.words", "my-words"):
        write_trials(Path(f"{name}.jsonl"), lines)
    ran = babycli("eval", "--model", "control:random", "--tasks", "my.words.jsonl:pictures,my-words.jsonl:others")
    assert ran.code == 0, ran.err


def test_a_moved_file_is_the_same_run(own: Path, babycli: Babycli) -> None:
    write_trials(own / "pictures" / "words.jsonl", EACH_KIND["texts"])
    assert babycli("eval", "--model", "control:random", "--trials", "pictures/words.jsonl").code == 0
    Path("pictures").rename("elsewhere")
    ran = babycli("eval", "--model", "control:random", "--trials", "elsewhere/words.jsonl")
    assert ran.code == 0, ran.err
    assert "already evaluated" in ran.err


def test_another_file_or_picture_is_another_run(own: Path, babycli: Babycli) -> None:
    words = ("eval", "--model", "control:random", "--trials", "pictures/words.jsonl")
    write_trials(own / "pictures" / "words.jsonl", EACH_KIND["texts"])
    assert babycli(*words).code == 0
    write_trials(own / "pictures" / "words.jsonl", EACH_KIND["texts"][:3])
    assert "already evaluated" not in babycli(*words).err
    Image.new("RGB", (9, 9), "red").save(own / "pictures" / "a.png")
    assert "already evaluated" not in babycli(*words).err
    assert len(list(Path("logs").rglob("run.json"))) == 3


@pytest.mark.parametrize(
    ("control", "acc"),
    [
        ("--control=blind", None),
        pytest.param("--control=shuffled", None, marks=pytest.mark.long),
        pytest.param("--control=constant", 0.5, marks=pytest.mark.long),
    ],
)
def test_controls(control: str, acc: float | None, own: Path, baby: Path, babycli: Babycli) -> None:
    write_trials(Path("letters.jsonl"), EACH_KIND["letters"])
    words = ("eval", "--model", baby, "--trials", "letters.jsonl", "--images", "pictures")
    assert babycli(*words).code == 0
    ran = babycli(*words, control)
    assert ran.code == 0, ran.err
    assert results(only_run_of("control"))["n_units"] == {"letters": 4}
    if acc is not None:
        assert results(only_run_of("control"))["results"]["letters"]["acc,none"] == acc
    report = babycli("report", "--by", "group")
    assert report.code == 0, report.err
    assert "yellow" in report.out


def only_run_of(key: str) -> Path:
    """The folder of the one run with a control."""
    (found,) = (path.parent for path in Path("logs").rglob("run.json") if read_json(path)[key])
    return found


@pytest.mark.parametrize(
    ("model", "kind", "key", "value"),
    [
        ("control:letter?pick=blue", "letters", "acc", 0.5),
        ("control:letter?pick=red ball", "turns", "exact_match", 1.0),
        ("control:letter?pick=(Ball).", "turns", "exact_match", 1.0),
        ("control:letter?pick=balls", "turns", "exact_match", 0.0),
        ("control:pixels", "compared", "acc", 1.0),
        ("control:length", "texts", "acc", 0.25),
    ],
)
def test_control_models(model: str, kind: str, key: str, value: float, own: Path, babycli: Babycli) -> None:
    write_trials(Path(f"{kind}.jsonl"), EACH_KIND[kind])
    ran = babycli("eval", "--model", model, "--trials", f"{kind}.jsonl", "--images", "pictures")
    assert ran.code in (0, 7), ran.err
    assert results(only_run())["results"][kind][f"{key},none"] == value


def test_several_right_answers_share_a_tie(own: Path, babycli: Babycli) -> None:
    write_trials(Path("words.jsonl"), EACH_KIND["words"])
    assert babycli("eval", "--model", "control:constant", "--trials", "words.jsonl", "--images", "pictures").code == 0
    document = results(only_run())
    assert document["results"]["words"]["acc,none"] == 0.5
    assert document["chance"]["words"]["acc"] == 0.5


def test_chance_that_depends_on_the_trials(own: Path, babycli: Babycli) -> None:
    lines = [*EACH_KIND["texts"][:1], {"id": "two", "images": ["a.png"], "options": ["red", "blue"], "answer": 0}]
    write_trials(Path("mixed.jsonl"), lines)
    words = ("eval", "--model", "control:random", "--trials", "mixed.jsonl", "--images", "pictures")
    assert babycli(*words, "-o", "all").code == 0
    assert results(only_run(Path("all")))["chance"]["mixed"]["acc"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert babycli(*words, "--limit", "1", "-o", "one").code == 0
    assert results(only_run(Path("one")))["chance"]["mixed"]["acc"] == pytest.approx(1 / 3)


def test_from_python(own: Path) -> None:
    import babycli as package

    write_trials(Path("words.jsonl"), EACH_KIND["texts"])
    runs = package.evaluate("control:constant", trials="words.jsonl", images=Path("pictures"))
    (score,) = [score for score in runs.scores if score.task == "words"]
    assert score.value == pytest.approx(1 / 3)


def test_in_a_sweep_file(own: Path, babycli: Babycli) -> None:
    write_trials(Path("words.jsonl"), EACH_KIND["texts"])
    Path("sweeps").mkdir()
    words = ("eval", "--model", "control:constant", "--dry-run", "--save")
    assert babycli(*words, "sweeps/one.toml", "--trials", "words.jsonl", "--images", "pictures").code == 0
    assert babycli(*words, "sweeps/two.toml", "--tasks", "words.jsonl:pictures").code == 0
    text = Path("sweeps/one.toml").read_text()
    assert 'trials = ["../words.jsonl"]' in text
    assert 'images = "../pictures"' in text
    assert 'tasks = "../words.jsonl:../pictures"' in Path("sweeps/two.toml").read_text()
    for name in ("one", "two"):
        ran = babycli("eval", "--config", f"sweeps/{name}.toml", "-o", name)
        assert ran.code == 0, ran.err
        assert results(only_run(Path(name)))["n_units"] == {"words": 4}


def test_the_built_in_tasks_stay_out_unless_named(linked: Path, babycli: Babycli) -> None:
    write_trials(Path("own.jsonl"), vtwt(Path("dataset"))[:5])
    words = ("eval", "--model", "control:random", "--trials", "own.jsonl", "--images", "dataset/vtwt/images")
    assert babycli(*words, "-o", "alone").code == 0
    assert set(results(only_run(Path("alone")))["results"]) == {"own"}
    assert babycli(*words, "--tasks", "vtwt", "-o", "both").code == 0
    assert set(results(only_run(Path("both")))["results"]) == {"own", "vtwt"}


def test_people_beside_own_trials(own: Path, babycli: Babycli) -> None:
    """The file is named, as it tells what the options are; they are called by their texts, or by their pictures."""
    people = ["task,trial,option,share,n"]
    for kind in ("texts", "pictures"):
        write_trials(Path(f"{kind}.jsonl"), EACH_KIND[kind])
        for trial in EACH_KIND[kind]:
            for i, option in enumerate(trial["options"]):
                name = option if kind == "texts" else option["image"]
                people.append(f"{kind},{trial['id']},{name},{0.5 if i == 0 else 0.5 / (len(trial['options']) - 1)},12")
    Path("people.csv").write_text("\n".join(people) + "\n")
    named = ("--tasks", "texts.jsonl:pictures,pictures.jsonl:pictures")
    assert babycli("eval", "--model", "control:random", *named).code == 0
    ran = babycli("report", "--humans", "people.csv", *named)
    assert ran.code == 0, ran.err
    assert "texts beside people" in ran.out
    assert "pictures beside people" in ran.out
