"""Two pictures compared, without a word: by the engine, and in a task of one's own from labels to report."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from babycli.domain import CannotAnswer, Context, Loglikelihood, Match, Request, Score, Similarity, Turn, Write, ask
from babycli.logs.answers import merged, to_line
from babycli.models.base import ModelInfo, Pictures
from tests.conftest import Babycli
from tests.evaluation.fakes import INFO, FakeModel
from tests.evaluation.logs import lines, only_run, read_json, results, samples
from tests.evaluation.test_distributed import ended, start
from tests.evaluation.test_engine_contexts import PLENTY, how, loss, ref, run, settled, shade_of
from tests.evaluation.test_resume import stop_after
from tests.models.test_clip import write as write_clip
from tests.written_once import written_once

MATCHING = replace(INFO, abilities=replace(INFO.abilities, matches=True))


@dataclass
class MatchingModel(FakeModel):
    """Two pictures are as near as their shades of red."""

    info: ModelInfo = MATCHING
    matched: list[int] = field(default_factory=list)  # the sizes of batches

    def match(self, pairs: Sequence[Pictures]) -> list[Similarity]:
        self.matched.append(len(pairs))
        return [self._nearness(one.data, other.data) for one, other in pairs]

    def _nearness(self, one: Any, other: Any) -> Similarity:
        return Similarity(-float(abs(one[0] - other[0])))


def pair(one: int, other: int) -> Match:
    return Match(Context((Turn("user", (ref(one), ref(other))),)))


def some_requests(seed: int) -> list[Request]:
    """Pairs, scores and texts, some of them about the same pictures."""
    rng = random.Random(seed)
    requests: list[Request] = [pair(rng.randrange(1, 9), rng.randrange(1, 9)) for _ in range(60)]
    requests += [Score(ask("which?", ref(rng.randrange(1, 9)), ref(rng.randrange(1, 9))), "A") for _ in range(20)]
    requests += [Write(ask("", ref(rng.randrange(1, 9)), ref(rng.randrange(1, 9))), 9) for _ in range(20)]
    rng.shuffle(requests)
    return requests


# ---------------------------------------------------------------- the engine


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("room", [0, PLENTY])
def test_each_pair_gets_its_own_answer(room: int, batch_size: int) -> None:
    requests, model = some_requests(1), MatchingModel(loss)
    for request, answer in zip(requests, settled(requests, run(requests, model, how(batch_size, room))), strict=True):
        if isinstance(request, Match):
            one, other = map(shade_of, request.context.places)
            assert answer == Similarity(-float(abs(one - other)))
        else:
            assert not isinstance(answer, Similarity)
    n_pairs = len({request for request in requests if isinstance(request, Match)})
    assert sum(model.matched) == n_pairs
    assert max(model.matched) <= batch_size
    if room:
        assert set(model.encodings.values()) == {1}


def test_pairs_that_were_answered_are_not_compared_again(tmp_path: Path) -> None:
    requests = some_requests(2)
    whole = run(requests, MatchingModel(loss), how(3))
    for n_done in (0, 5, 40, len(whole)):
        path = tmp_path / f"scores{n_done}.jsonl"
        path.write_bytes(b"".join(map(to_line, list(whole.values())[:n_done])))
        done = merged([path]).answers
        assert len(done) == n_done
        model = MatchingModel(loss)
        rest = run(requests, model, how(3), done=done)
        assert {**done, **rest} == whole
        assert n_done < len(whole) or not model.matched


def test_both_orders_of_a_pair_have_one_score() -> None:
    """Also of pictures that are encoded a second time, and come out a little different."""

    class Drifting(MatchingModel):
        n = 0

        def _nearness(self, one: Any, other: Any) -> Similarity:
            self.n += 1
            return Similarity(float(self.n))

    requests: list[Request] = [pair(1, 2), pair(3, 4), pair(2, 1), pair(1, 1)]
    answers = settled(requests, run(requests, Drifting(loss), how(1, room=0)))
    assert answers[0] == answers[2]
    assert len(set(answers)) == 3


def test_a_pair_and_its_words_are_two_requests() -> None:
    """What is scored of the same pictures has a digest of its own."""
    requests: list[Request] = [pair(1, 2), Score(pair(1, 2).context, "")]
    answered = run(requests, MatchingModel(loss), how())
    assert len({one.input for one in answered.values()}) == 2
    matched, scored = settled(requests, answered)
    assert isinstance(matched, Similarity)
    assert isinstance(scored, Loglikelihood)


@pytest.mark.parametrize(
    ("model", "request_", "why"),
    [
        (FakeModel(loss), pair(1, 2), "two pictures to be compared, and the model compares none"),
        (MatchingModel(loss), Match(ask("", ref(1))), "two pictures to be compared, and 1 are shown"),
        (MatchingModel(loss), Match(ask("", ref(1), ref(2), ref(3))), "two pictures to be compared, and 3 are shown"),
        (MatchingModel(loss), Match(pair(1, 2).context.without_images()), "and 0 are shown"),
    ],
)
def test_what_cannot_be_compared_is_an_answer(model: FakeModel, request_: Match, why: str) -> None:
    requests: list[Request] = [request_, Score(ask("", ref(1)), "cup")]
    refused, other = settled(requests, run(requests, model, how()))
    assert isinstance(refused, CannotAnswer)
    assert why in refused.why
    assert isinstance(other, Loglikelihood)


# ---------------------------------------------------------------- from labels to report


TASK = """
from babycli.domain import Context, ImageRef, Item, Match, Metric, Outcome, Turn
from babycli.tasks.base import Needs, Task, choose, loss_of


class Same(Task):
    name = "same"
    title = "Same"
    question = "which of 3 pictures is like the first"
    unit = "trials"
    metrics = (Metric("acc", "share", "accuracy", "acc", chance=1 / 3, is_main=True),)
    needs = Needs("match", n_images=2)
    label_path = "same/same.json"
    label_format = "json"
    columns = ("id", "image", "right")
    links = {"saycam": "same/images"}

    def items(self, rows):
        return [
            Item(row["id"], (i,), (row,), tuple(ImageRef("saycam", name) for name in row["image"]))
            for i, row in enumerate(rows)
        ]

    def play(self, item, asking):
        query, *options = item.images
        answers = yield [Match(Context((Turn("user", (query, option)),))) for option in options]
        choice = choose([loss_of(answer, asking.scoring) for answer in answers], item.rows[0]["right"])
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)


TASK = Same()
"""
OWN_CLASS = """
class Grey:
    def __init__(self, device, dtype): ...

    def encode(self, images):
        return [list(image.convert("L").resize((2, 2)).tobytes()) for image in images]

    def match(self, images, others):
        return [-sum(abs(a - b) for a, b in zip(one, other)) for one, other in zip(images, others)]
"""
N_ITEMS = 10
SCORES = "scores.rank0.jsonl"
SAME = ("--tasks", "same.py:TASK")


@pytest.fixture
def own(downloads: Path, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The rows of a working folder with the task, its labels and the demo's frames; in item 0 all options are one."""
    monkeypatch.chdir(tmp_path)
    Path("same.py").write_text(TASK)
    Path("grey.py").write_text(OWN_CLASS)
    names = sorted(path.name for path in (downloads / "saycam_images").iterdir())
    rows: list[dict[str, Any]] = [
        {"id": f"item {i}", "image": [names[(i * i + 7 * k * (i > 0)) % len(names)] for k in range(4)], "right": i % 3}
        for i in range(N_ITEMS)
    ]
    for i in (5, 6, 7):  # the query itself is among the options
        rows[i]["image"][1 + rows[i]["right"]] = rows[i]["image"][0]
    folder = tmp_path / "labels" / "same"
    folder.mkdir(parents=True)
    (folder / "same.json").write_text(json.dumps(rows))
    ran = babycli("data", "link", downloads / "saycam_images", *SAME, "--from", "labels")
    assert ran.code == 0, ran.err
    return rows


@pytest.fixture
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_once(tmp_path_factory, "matching-clip", lambda folder: write_clip(folder, "clip"))


def told(folder: Path) -> list[tuple[str, float]]:
    """All that was asked and answered, in no order."""
    return sorted(
        (json.dumps(line["turns"]), line["similarity"])
        for path in folder.glob("scores.rank*.jsonl")
        for line in lines(path)
    )


def check(folder: Path, other: Path) -> None:
    """Equal up to rounding: a picture that is encoded in another batch may come out a little different."""
    for (asked, value), (asked_too, value_too) in zip(told(folder), told(other), strict=True):
        assert asked == asked_too
        assert value == pytest.approx(value_too, abs=1e-6)
    assert results(folder)["results"] == results(other)["results"]
    accs = [[line["acc"] for line in samples(run, "same")] for run in (folder, other)]
    assert accs[0] == accs[1]


def test_a_dual_encoder_says_which_picture_is_like_another(
    own: list[dict[str, Any]], clip: Path, babycli: Babycli
) -> None:
    ran = babycli("eval", "--model", clip, *SAME)
    assert ran.code == 0, ran.err
    folder = only_run()
    of_items = samples(folder, "same")
    assert [len(line["resps"]) for line in of_items] == [3] * N_ITEMS
    for row, line in zip(own, of_items, strict=True):
        values = [value for (value,) in line["resps"]]
        best = max(values)
        assert line["acc"] == (1 / values.count(best) if values[row["right"]] == best else 0.0)
    assert of_items[0]["acc"] == 1 / 3  # three times the same picture
    assert [line["acc"] for line in of_items[5:8]] == [1.0] * 3
    document = results(folder)
    assert document["ties"] == {"same": 1}
    assert document["results"]["same"]["acc,none"] == pytest.approx(sum(x["acc"] for x in of_items) / N_ITEMS)
    logged = lines(folder / "scores.rank0.jsonl")
    assert all(set(line) == {"turns", "prompt", "match", "similarity", "input", "of", "check"} for line in logged)
    assert all([len(parts) for _, parts in line["turns"]] == [2] for line in logged)
    assert read_json(folder / "run.json")["plan"]["images"] == len({name for row in own for name in row["image"]})
    assert babycli("report", "logs").code == 0
    assert babycli("report", "logs", "--audit", *SAME).code == 0


def test_a_class_of_ones_own_does_so_too(own: list[dict[str, Any]], babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "grey.py", *SAME)
    assert ran.code == 0, ran.err
    assert [line["acc"] for line in samples(only_run(), "same")][5:8] == [1.0] * 3
    ran = babycli("eval", "--model", "babyllava-tiny", *SAME)
    assert ran.code == 5
    assert "expected is match, it offers loglikelihood, generate" in ran.err


def test_it_does_not_matter_how_it_is_computed(own: list[dict[str, Any]], clip: Path, babycli: Babycli) -> None:
    assert babycli("eval", "--model", clip, *SAME, "--batch-size", 64, "--output-path", "plain").code == 0
    for name, words in {"one": ("--batch-size", 1), "checked": ("--batch-size", 64, "--batch-check", N_ITEMS)}.items():
        assert babycli("eval", "--model", clip, *SAME, *words, "--output-path", name).code == 0
    checked, plain, one = (only_run(Path(name)) for name in ("checked", "plain", "one"))
    check(one, plain)
    check(checked, plain)
    found = read_json(checked / "run.json")["batch_check"]["same"]
    assert (found["n_trials"], found["n_flipped"]) == (N_ITEMS, 0)
    assert 0 <= found["max_difference"] < 1e-6


@pytest.mark.parametrize("n_scores", [7, *(pytest.param(n, marks=pytest.mark.long) for n in (0, 20))])
def test_it_goes_on_after_an_interruption(
    n_scores: int, own: list[dict[str, Any]], clip: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("eval", "--model", clip, *SAME, "--batch-size", 3)
    assert babycli(*words, "--output-path", "whole").code == 0
    with monkeypatch.context() as patch:
        stop_after(n_scores, patch)
        assert babycli(*words).code == 130
    assert babycli(*words).code == 0
    check(only_run(), only_run(Path("whole")))


def test_a_cache_holds_what_was_compared(own: list[dict[str, Any]], clip: Path, babycli: Babycli) -> None:
    words = ("eval", "--model", clip, *SAME, "--cache", "kept")
    assert babycli(*words, "--output-path", "first").code == 0
    ran = babycli(*words, "--output-path", "again")
    assert ran.code == 0
    first, again = only_run(Path("first")), only_run(Path("again"))
    n = len(lines(first / "scores.rank0.jsonl"))
    assert f"{n} of {n} scores are on disk" in ran.err
    assert samples(again, "same") == samples(first, "same")


@pytest.mark.long
def test_two_processes_are_as_one(own: list[dict[str, Any]], clip: Path, babycli: Babycli) -> None:
    words = ("--model", clip, *SAME, "--batch-size", 2)
    assert babycli("eval", *words, "--output-path", "one").code == 0
    rans = ended(start(2, *words))
    assert [ran.code for ran in rans] == [0, 0], [ran.err for ran in rans]
    folder = only_run()
    assert min(len(lines(path)) for path in folder.glob("scores.rank*.jsonl")) > 0
    check(folder, only_run(Path("one")))


def test_a_blind_model_sees_one_plane_for_all(own: list[dict[str, Any]], clip: Path, babycli: Babycli) -> None:
    """Planes of each picture's own colour would be as near to each other as the pictures."""
    ran = babycli("eval", "--model", clip, *SAME, "--control", "blind")
    assert ran.code == 0, ran.err
    names = {name for row in own for name in row["image"]}
    pictures = [Image.open(Path("dataset/same/images") / name) for name in sorted(names)]
    colours = [[int(mean + 0.5) for mean in ImageStat.Stat(picture).mean] for picture in pictures]
    mean = bytes(int(sum(band) / len(names) + 0.5) for band in zip(*colours, strict=True))
    (size,) = {picture.size for picture in pictures}
    (line,) = lines(only_run() / SCORES)  # all pairs are one
    (plane,) = {part["image"] for _, parts in line["turns"] for part in parts}
    assert plane == f"mean colour {size[0]}x{size[1]} #{mean.hex()}"
    assert [x["acc"] for x in samples(only_run(), "same")] == [1 / 3] * N_ITEMS
    assert read_json(only_run() / "run.json")["control"]["how"] == "mean colour; one for all where a task shows several"


def test_a_picture_that_is_shuffled_is_another_in_each_place(
    own: list[dict[str, Any]], clip: Path, babycli: Babycli
) -> None:
    """Else the query that is among its options would be found again."""
    assert babycli("eval", "--model", clip, *SAME, "--output-path", "real").code == 0
    ran = babycli("eval", "--model", clip, *SAME, "--control", "shuffled")
    assert ran.code in (0, 7), ran.err
    paths = (only_run(Path("real")) / SCORES, only_run() / SCORES)
    real, control = ([line["turns"] for line in lines(path)] for path in paths)
    assert sum(one["image"] == other["image"] for ((_, (one, other)),) in real) > 3
    assert not any(one["image"] == other["image"] for ((_, (one, other)),) in control)
    assert [x["acc"] for x in samples(only_run(), "same")][5:8] != [1.0] * 3
