"""DevCV tasks for models that only compare, and for controls: which of them are played, and what comes of it.

The pictures are drawn here: a pattern of its own for each name, so that what is the same can be seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.hf_checkpoints import write_hf
from tests.llava_checkpoints import TOWER, write_llava, write_tower
from tests.models.test_clip import network_of
from tests.models.test_clip import write as write_clip
from tests.models.test_cvcl import VOCAB, save, weights_of
from tests.models.test_hf_several import Direct
from tests.written_once import written_once

COMPARED = ("baby_pv", "baby_leftright", "baby_spatialdetails")
SAME = "<image> Which of the following is the same as this? (A) <image> (B) <image> (C) <image>"
EXACTLY = "<image> Which of the following contains exactly this object? (A) <image> (B) <image> (C) <image>."
TOUCH = "Touch the new image. (A) <image>"
MORE = f"Let's try more. {TOUCH} (B) <image>"
DIRECTIONS = "'top', 'bottom', 'left', 'right', 'top right', 'top left', 'bottom right', or 'bottom left'"
N_SAME = 12
Entry = dict[str, Any]


def entry(name: str, turns: Sequence[tuple[str, str]], images: Sequence[str], **more: object) -> Entry:
    sides = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    return {"id": name, "conversations": sides, "image": [f"images/{image}" for image in images], **more}


def same(i: int) -> Entry:
    """The right option is another file of the same picture."""
    options = [f"same{i}_mirrored.jpg", f"same{i}_turned.jpg"]
    options.insert(i % 3, f"same{i}_again.jpg")
    return entry(f"leftright_{i}", [(SAME, "ABC"[i % 3])], [f"same{i}.jpeg", *options])


def memory(i: int) -> Entry:
    """Five objects are learnt, and tested twice each; a picture that comes back is the same file."""
    turns, images, labels = [(TOUCH, "A")], [f"m{i}_0.png"], [["0"]]
    old_ones = [0, 1, 2, 3, *range(5), *range(5)]
    for n, old in enumerate(old_ones, 1):
        shown = [str(old), str(n)] if (n + i) % 3 else [str(n), str(old)]
        turns.append((MORE, "AB"[shown.index(str(n))]))
        images += [f"m{i}_{k}.png" for k in shown]
        labels.append(shown)
    return entry(f"memory_{i}", turns, images, labels=labels)


LABELS: dict[str, list[Entry]] = {
    "baby_pv": [
        entry(
            f"pv_{i}",
            [(f"Touch the image of '{word}' (A)<image> (B)<image> (C)<image> (D)<image>", x)],
            [f"pv{i}_{k}.png" for k in range(4)],
        )
        for i, (x, word) in enumerate(zip("BBAD", ("ball", "red", "cat", "blue"), strict=True))
    ],
    "baby_leftright": [same(i) for i in range(N_SAME)],
    "baby_spatialdetails": [
        entry(f"details_{i}", [(EXACTLY, x)], [f"d{i}.png", *(f"d{i}_{k}.png" for k in range(3))])
        for i, x in enumerate("BCA")
    ],
    "baby_localize": [
        entry(
            f"localize_{i}",
            [
                (
                    "<image> Point at the box. Is it in the (A) top left or (B) top right or (C) bottom left or "
                    "(D) bottom right of the image?",
                    x,
                )
            ],
            [f"l{i}.png"],
        )
        for i, x in enumerate("BBC")
    ],
    "baby_count": [
        entry(f"count_{i}", [("<image> How many of bottle do you see?", x)], [f"c{i}.png"])
        for i, x in enumerate(["3", "1", "3", "12"])
    ],
    "baby_vdr_open": [
        entry(
            f"clip_{i}",
            [
                (
                    f"{'<image>' * 5} which part of the frame does the cart leave from? respond ONLY with one of: "
                    f"{DIRECTIONS}.",
                    x,
                )
            ],
            [f"v{i}_{k}.png" for k in range(5)],
        )
        for i, x in enumerate(["left", "top left", "bottom"])
    ],
    "baby_memory": [memory(0), memory(1)],
}
N_TURNS = {task: sum(len(e["conversations"]) // 2 for e in entries) for task, entries in LABELS.items()}
# In the order of the answers: the share of B, or of what else is picked, among the right ones.
SHARE_OF_B = {"baby_pv": 2 / 4, "baby_leftright": 1 / 3, "baby_spatialdetails": 1 / 3, "baby_localize": 2 / 3}


def drawn(name: str) -> Image.Image:
    """A pattern of 4 x 4 fields for each name up to what is done to it: mirrored, turned."""
    key = re.sub(r"_(again|mirrored|turned)$", "", Path(name).stem)
    fields = np.random.default_rng(list(key.encode())).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(fields, "RGB").resize((64, 48), Image.Resampling.NEAREST)
    if "mirrored" in name:
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture.transpose(Image.Transpose.ROTATE_180) if "turned" in name else picture


@pytest.fixture
def small_set(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the set ``small`` in ./dataset."""

    def write(folder: Path) -> None:
        (folder / "images" / "images").mkdir(parents=True)
        for task, entries in LABELS.items():
            (folder / f"{task}.json").write_text(json.dumps(entries))
            for name in {name for each in entries for name in each["image"]}:
                drawn(name).save(folder / "images" / name, quality=90 if "_again" in name else 95)

    made = written_once(tmp_path_factory, "devcv-small", write)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "dataset" / "devcv"
    folder.mkdir(parents=True)
    (folder / "small").symlink_to(made)
    return tmp_path


def turns_of(task: str, folder: Path, metric: str) -> list[dict[str, Any]]:
    return [turn for line in samples(folder, task) for turn in line[metric]["turns"]]


# ---------------------------------------------------------------- dual encoders


def write_dual(name: str, folder: Path) -> Path:
    if name != "cvcl":
        return write_clip(folder / name, name)
    save(folder / name / "cvcl.ckpt", weights_of(0))
    (folder / name / "vocab.json").write_text(json.dumps(VOCAB))
    return folder / name


@pytest.mark.parametrize("name", ["clip", "siglip", pytest.param("cvcl", marks=pytest.mark.long)])
def test_a_dual_encoder_answers_what_nearness_can_and_says_so(name: str, small_set: Path, babycli: Babycli) -> None:
    model = write_dual(name, small_set)
    ran = babycli("eval", "--model", model, "--set", "small")
    assert ran.code in (0, 7), ran.err  # by luck, nothing of it is known to be right
    left_out = "baby_localize, baby_vdr_open, baby_count, baby_memory"
    assert f"note: left out {left_out}: " in ran.err
    assert "offers similarity, match only" in ran.err
    folder = only_run()
    assert sorted(read_json(folder / "run.json")["tasks"]) == sorted(COMPARED)
    assert results(folder)["unanswered"] == dict.fromkeys(COMPARED, 0)
    for task in COMPARED:
        assert set(results(folder)["results"][task]) >= {"acc_chosen,none"}
        assert "acc,none" not in results(folder)["results"][task]


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_nearest_picture_is_that_of_transformers(name: str, small_set: Path, babycli: Babycli) -> None:
    model = write_clip(small_set / name, name)
    ran = babycli("eval", "--model", model, "--set", "small", "--tasks", "baby_leftright,baby_spatialdetails")
    assert ran.code in (0, 7), ran.err
    network = network_of(model)
    processor: Any = (CLIPImageProcessorPil if name == "clip" else SiglipImageProcessorPil).from_pretrained(model)

    def vector(image: str) -> torch.Tensor:
        with Image.open(Path("dataset/devcv/small/images") / image) as opened, torch.inference_mode():
            pixels = processor(opened.convert("RGB"), return_tensors="pt")["pixel_values"]
            pooled = network.vision_model(pixels).pooler_output
            found: torch.Tensor = (network.visual_projection(pooled) if name == "clip" else pooled)[0]
        return found

    for task in ("baby_leftright", "baby_spatialdetails"):
        for each, line in zip(LABELS[task], samples(only_run(), task), strict=True):
            query, *options = map(vector, each["image"])
            expected = [float(torch.cosine_similarity(query, option, dim=0)) for option in options]
            assert [value for (value,) in line["resps"]] == pytest.approx(expected, abs=1e-6)
            nearest = "ABC"[expected.index(max(expected))]
            assert line["acc_chosen"]["turns"][0]["chosen"] == [nearest]
            assert line["acc_chosen"]["score"] == float(nearest == each["conversations"][1]["value"])


def test_llava_is_asked_in_the_template_that_it_knows(small_set: Path, babycli: Babycli) -> None:
    """Words that bring no roles get them; BabyVLM's prompts for LLaVA bring their own."""
    write_tower(small_set / TOWER)
    model = write_llava(small_set / "llava")
    ran = babycli("eval", "--model", model, "--set", "small", "--tasks", "baby_localize", "--limit", 1)
    assert ran.code in (0, 7), ran.err
    prompt = samples(only_run(), "baby_localize")[0]["prompt"]
    system, words = prompt.split(" USER: ")
    assert system.startswith("A chat between a curious user")
    assert words == f"{LABELS['baby_localize'][0]['conversations'][0]['value']} ASSISTANT:"
    assert read_json(only_run() / "run.json")["model"]["template"] == "llava"


@pytest.mark.long
@pytest.mark.parametrize("name", ["qwen2_5_vl", pytest.param("llava_onevision", marks=pytest.mark.long)])
def test_a_chat_model_plays_them_as_transformers_would(name: str, small_set: Path, babycli: Babycli) -> None:
    """Four pictures in a question, and 29 in the 15 turns of a conversation with its own replies."""
    model = write_hf(small_set / name, name)
    words = ("--tasks", "baby_leftright,baby_memory", "--limit", 1, "--answers", "written,chosen")
    ran = babycli("eval", "--model", model, "--set", "small", *words, "--max-new-tokens", 3)
    assert ran.code in (0, 7), ran.err
    folder = only_run()
    assert results(folder)["unanswered"] == {"baby_leftright": 0, "baby_memory": 0}
    direct = Direct(name, model)
    for task in ("baby_leftright", "baby_memory"):
        (line,) = samples(folder, task)
        images = [Image.open(Path("dataset/devcv/small/images") / image) for image in line["doc"]["image"]]
        left = list(line["resps"])
        said: list[str] = []
        for turn in line["doc"]["conversations"][::2]:
            said.append(turn["value"])
            shown = [image.convert("RGB") for image in images[: "".join(said).count("<image>")]]
            messages = direct.messages(said, shown)
            ((reply,), *losses), left = left[: 1 + turn["value"].count("(")], left[1 + turn["value"].count("(") :]
            if len(said) in (1, 9, 29):  # the first, a middle and the last turn
                for letter, (loss, _) in zip("ABC", losses, strict=False):
                    logprobs = direct.logprobs(messages, shown, letter)
                    assert loss == pytest.approx(-sum(logprobs) / len(logprobs), abs=1e-5)
                written = direct.tokenizer.decode(direct.written(messages, 3), skip_special_tokens=True)
                assert reply == written.strip()
            said.append(reply)
        assert left == []


# ---------------------------------------------------------------- control models


def test_colours_solve_left_and_right_without_reading(small_set: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:pixels", "--set", "small")
    assert ran.code == 7  # that is what the control is for
    assert "control:pixels" in ran.err
    assert "baby_leftright" in ran.err
    folder = only_run()
    found = results(folder)["results"]
    assert sorted(found) == ["baby_leftright", "baby_spatialdetails"]
    assert found["baby_leftright"]["acc_chosen,none"] == 1.0
    assert results(folder)["ties"]["baby_leftright"] == 0
    assert "left out baby_pv" in ran.err
    control = read_json(folder / "run.json")["control"]
    assert control == {"kind": "pixels", "how": "the picture wins that is nearest in 32 x 32 colours", "seed": 0}
    for line in samples(folder, "baby_leftright"):
        values = sorted(value for (value,) in line["resps"])
        assert values[-1] > -3 > values[-2]  # JPEG's own noise, and another picture


def test_one_letter_gets_what_the_labels_give_it(small_set: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:letter?pick=B", "--set", "small", "--answers", "written,chosen")
    assert ran.code in (0, 7), ran.err
    folder = only_run()
    found = results(folder)["results"]
    for task, share in SHARE_OF_B.items():
        assert found[task]["acc,none"] == found[task]["acc_chosen,none"] == pytest.approx(share), task
    memory_turns = turns_of("baby_memory", folder, "acc_learning")
    assert {turn["reply"] for turn in memory_turns} == {"B"}
    right = [turn["gold"] == "B" for turn in memory_turns]
    assert sum(right) / len(right) == pytest.approx(
        (5 * found["baby_memory"]["acc_learning,none"] + 10 * found["baby_memory"]["acc_testing_raw,none"]) / 15
    )
    # A letter is no number and no direction: no answer where it is written, a tie of all where it is chosen.
    assert found["baby_count"]["acc,none"] == found["baby_vdr_open"]["acc_exact,none"] == 0
    assert found["baby_count"]["acc_chosen,none"] == pytest.approx(1 / 12)
    assert found["baby_vdr_open"]["acc_exact_chosen,none"] == pytest.approx(1 / 8)
    no_answer = results(folder)["no_answer"]
    assert {task: n for task, n in no_answer.items() if n} == {"baby_count": 4, "baby_vdr_open": 3, "baby_memory": 2}
    assert read_json(folder / "run.json")["control"]["how"] == "it always answers B"


@pytest.mark.parametrize(
    ("pick", "task", "metric", "share"),
    [("3", "baby_count", "acc", 2 / 4), ("left", "baby_vdr_open", "acc_exact", 1 / 3)],
)
def test_another_answer_for_all(
    pick: str, task: str, metric: str, share: float, small_set: Path, babycli: Babycli
) -> None:
    words = ("--set", "small", "--tasks", task, "--answers", "written,chosen")
    assert babycli("eval", "--model", f"control:letter?pick={pick}", *words).code == 0
    found = results(only_run())["results"][task]
    assert found[f"{metric},none"] == found[f"{metric}_chosen,none"] == pytest.approx(share)


def test_a_constant_is_at_chance_and_says_nothing(small_set: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:constant", "--set", "small", "--answers", "written,chosen")
    assert ran.code == 0, ran.err
    document = results(only_run())
    found = document["results"]
    chances = {"baby_pv": 1 / 4, "baby_leftright": 1 / 3, "baby_spatialdetails": 1 / 3, "baby_localize": 1 / 4}
    for task, chance in (chances | {"baby_count": 1 / 12}).items():
        assert found[task]["acc_chosen,none"] == pytest.approx(chance), task
        assert found[task]["acc,none"] == 0.0
    assert found["baby_memory"]["acc_testing_raw_chosen,none"] == pytest.approx(1 / 2)
    assert found["baby_memory"]["acc_testing_adjusted_chosen,none"] == pytest.approx(1 / 4)
    assert document["no_answer"] == N_TURNS
    assert document["unanswered"] == dict.fromkeys(LABELS, 0)


def test_random_words_are_no_answers_and_random_scores_are(small_set: Path, babycli: Babycli) -> None:
    words = ("--set", "small", "--tasks", "baby_leftright,baby_count", "--answers", "written,chosen")
    for seed in (1, 2):
        ran = babycli("eval", "--model", f"control:random?seed={seed}", *words, "--output-path", str(seed))
        assert ran.code == 0, ran.err
    one, two = (only_run(Path(str(seed))) for seed in (1, 2))
    chosen = [[turn["chosen"] for turn in turns_of("baby_leftright", run, "acc_chosen")] for run in (one, two)]
    assert all(len(letters) == 1 for of_run in chosen for letters in of_run)
    assert chosen[0] != chosen[1]
    assert {letter for (letter,) in chosen[0] + chosen[1]} == set("ABC")
    assert results(one)["no_answer"]["baby_count"] == 4
    assert results(one)["results"]["baby_count"]["acc,none"] == 0


@pytest.mark.parametrize("ways", ["written", "written,chosen"])
def test_what_only_compares_is_told_to_choose(ways: str, small_set: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:pixels", "--set", "small", "--answers", ways)
    assert (ran.code, ran.out) == (5, "")
    assert "or  --answers chosen" in ran.err


# ---------------------------------------------------------------- --control


# Answers what was shown before, or is shown twice, by the pixels alone.
REMEMBERS = """
class Remembers:
    max_images = None
    max_turns = None

    def __init__(self, device, dtype): ...

    def encode(self, images):
        return [image.tobytes() for image in images]

    def generate(self, images, prompts, max_new_tokens):
        return [self.answer(shown, turns[-1][1]) for shown, turns in zip(images, prompts)]

    def answer(self, shown, words):
        n = words.count("<image>")
        if "new image" in words:
            before, options = shown[: len(shown) - n], shown[len(shown) - n :]
            new = [letter for letter, image in zip("AB", options) if image not in before]
            return new[0] if len(new) == 1 else "neither"
        query, *options = shown
        return next((letter for letter, image in zip("ABC", options) if image == query), "none")
"""


@pytest.fixture
def remembers(small_set: Path) -> Path:
    """A model that remembers, and a set in which the picture that is the same is the same file."""
    Path("remembers.py").write_text(REMEMBERS)
    folder = Path("dataset/devcv/exact")
    folder.mkdir()
    (folder / "images").symlink_to(Path("dataset/devcv/small/images").resolve())
    entries = json.loads(json.dumps(LABELS["baby_leftright"]))
    for each in entries:
        each["image"] = [each["image"][0], *(name.replace("_again.jpg", ".jpeg") for name in each["image"][1:])]
    (folder / "baby_leftright.json").write_text(json.dumps(entries))
    (folder / "baby_memory.json").write_text(json.dumps(LABELS["baby_memory"]))
    return folder


def shown_in(folder: Path) -> dict[str, list[str]]:
    """The pictures of each context, by its words and the pictures themselves."""
    contexts = [line["turns"] for line in lines(folder / "scores.rank0.jsonl")]
    return {
        json.dumps(turns): [part["image"] for _, parts in turns for part in parts if isinstance(part, dict)]
        for turns in contexts
    }


@pytest.mark.parametrize("control", ["", "blind", "shuffled", "constant"])
def test_a_control_leaves_nothing_to_remember(control: str, remembers: Path, babycli: Babycli) -> None:
    words = ("eval", "--model", "remembers.py", "--set", "exact", *(("--control", control) if control else ()))
    ran = babycli(*words)
    assert ran.code == 0, ran.err
    folder = only_run()
    found = results(folder)["results"]
    learning, adjusted = (found["baby_memory"][f"acc_{name},none"] for name in ("learning", "testing_adjusted"))
    accuracy = found["baby_leftright"]["acc,none"]
    pictures = shown_in(folder).values()
    assert max(map(len, pictures)) == 29
    if control in ("", "constant"):
        assert {len(set(shown)) for shown in pictures} >= {1, 2, 3, 15}
        assert (learning, adjusted, accuracy) == ((1.0, 1.0, 1.0) if not control else (0.0, 0.0, 0.0))
    elif control == "blind":
        assert {len(set(shown)) for shown in pictures} == {1}
        assert learning == 1 / 5  # the only picture of the first turn
        assert accuracy == pytest.approx(
            sum(e["conversations"][1]["value"] == "A" for e in LABELS["baby_leftright"]) / 12
        )
    else:
        assert accuracy < 0.5
        assert adjusted < 0.5
        of_turns = sorted(pictures, key=len)
        for longer in of_turns:  # a conversation goes on with the pictures that it began with
            assert len(longer) in (1, 4) or longer[:-2] in of_turns
    if control:
        assert read_json(folder / "run.json")["control"]["kind"] == control
