"""`babycli trials`, and what `babycli eval --trials` says of a broken file: each fault with its line, and exit 3."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from scipy.stats import binomtest

from tests.conftest import REPOSITORY, Babycli
from tests.evaluation.test_trials import EACH_KIND
from tests.tasks.own_trials import write_trials

GOOD: dict[str, Any] = {"id": "1", "images": ["a.jpg"], "options": ["ball", "cup"], "answer": "ball"}
TURNS = [{"role": "user", "content": "What?"}, {"role": "model", "content": "A ball."}]


def but(**changes: Any) -> dict[str, Any]:
    """The good trial with other values; None takes a key away."""
    return {key: value for key, value in (GOOD | changes).items() if value is not None}


SECOND = but(id="2")
BROKEN: dict[str, tuple[list[Any], str]] = {
    "no JSON": ([GOOD, "{oops"], "line 2: Expecting property name"),
    "a list": (["[]"], "line 1 is [], should be an object; it has one object on each line"),
    "a text": (['"text"'], 'line 1 is "text", should be an object'),
    "cut off": ([GOOD, '{"id": "2", "images": ["a.jpg"'], "line 2: Expecting"),
    "two objects": ([json.dumps(GOOD) + json.dumps(SECOND)], "line 1: Extra data"),
    "deep": (['{"id":' + "[" * 100_000], "line 1: has objects in objects, too many levels deep"),
    "NaN": (['{"id": 1, "answer": NaN}'], "line 1: NaN is no number that JSON knows"),
    "a key twice": (['{"id": 1, "id": 2}'], "line 1: the key 'id' stands twice"),
    "half of a character": ([r'{"id": "\ud800"}'], "line 1 has half of a character"),
    "an unknown key": ([GOOD, but(id="2", anwser=1)], "line 2 has the key 'anwser'. Did you mean 'answer'?"),
    "no id": ([but(id=None)], "line 1 lacks id"),
    "an id of truth": ([but(id=True)], "line 1 has the id True, should be a text or a whole number"),
    "an id twice": ([GOOD, "", GOOD], "line 3 has the id '1', which line 1 has"),
    "ids alike": ([GOOD, but(id=1)], "line 2 has the id '1', which line 1 has"),
    "no answer": ([but(answer=None)], "line 1 has no answer"),
    "an index beyond": ([but(answer=2)], "line 1 has the answer 2, should be an index from 0 to 1"),
    "an index below": ([but(answer=-1)], "line 1 has the answer -1, should be an index from 0 to 1"),
    "half an index": ([but(answer=0.5)], "line 1 has the answer 0.5, should be an index from 0"),
    "an answer of truth": ([but(answer=False)], "line 1 has the answer False, should be an index"),
    "no answers": ([but(answer=[])], "line 1 has an empty list as its answer"),
    "another text": ([but(answer="dog")], "line 1 has the answer 'dog', which is none of its options: 'ball', 'cup'"),
    "an answer twice": ([but(answer=[0, "ball"])], "which names an option twice"),
    "all are right": ([but(answer=[0, 1])], "line 1 has no wrong option"),
    "one option": ([but(options=["ball"])], "line 1 has the options ['ball'], should be a list of two or more"),
    "an option twice": ([but(options=["ball", "ball"])], "line 1 offers 'ball' twice"),
    "an empty option": ([but(options=["ball", " "])], "line 1 has nothing in option 1 (from 0)"),
    "an option of null": ([but(options=["ball", 3])], "line 1 has 3 as option 1 (from 0), should be a text"),
    "an option's key": ([but(options=["ball", {"img": "b.jpg"}])], "has {'img': 'b.jpg'} as option 1 (from 0)"),
    "some options are pictures": (
        [but(options=["ball", {"image": "b.jpg"}])],
        "line 1 has option 0 (from 0) without a picture, and others have one",
    ),
    "names as texts": (
        [but(options=["a.jpg", "b.jpg"], answer=0)],
        'line 1 has the text \'a.jpg\' as option 0 (from 0); a picture is written  {"image": "a.jpg"}',
    ),
    "an answer that fits two": (
        [but(options=[{"image": "a.jpg", "text": "x"}, {"image": "b.jpg", "text": "x"}], images=None, answer="x")],
        "line 1 has the answer 'x', which fits options 0, 1; write an index from 0",
    ),
    "images of one text": ([but(images="a.jpg")], "line 1 has the images 'a.jpg', should be a list of names"),
    "no pictures": ([but(images=None)], "line 1 shows no picture; give it images"),
    "two and no context": ([but(images=["a.jpg", "b.jpg"])], "line 1 shows 2 pictures together and has no context"),
    "places": ([but(context="<image> or <image>?")], "line 1 has 2 places for pictures in its context, and shows 1"),
    "no context": ([but(context="")], "line 1 has an empty context"),
    "a context of null": (['{"id": 1, "options": ["a", "b"], "context": null}'], "line 1 has the context None"),
    "ends with the model": ([but(context=TURNS)], "line 1 has a context that ends with the model"),
    "begins with the model": ([but(context=TURNS[1:])], "line 1 has turn 1 of its context from model"),
    "a picture of the model's": (
        [but(context=[TURNS[0], {"role": "model", "content": "<image>"}, TURNS[0]])],
        "line 1 has a place for a picture in turn 2 of its context, which is the model's",
    ),
    "a role": ([but(context=[{"role": "system", "content": "x"}])], "line 1 has the role 'system' in turn 1"),
    "a turn's key": ([but(context=[{"role": "user", "text": "x"}])], 'should be an object with "role" and "content"'),
    "parts of a turn": ([but(context=[{"role": "user", "content": [{"type": "image"}]}])], "should be a text"),
    "a metric": ([but(metric="accuracy")], "line 1 has the metric 'accuracy', should be choice, exact, meteor or"),
    "no options and no metric": ([but(options=None)], "line 1 has no options: give it some, or say its metric"),
    "choice of nothing": ([but(options=None, metric="choice")], "line 1 has no options to choose from"),
    "meteor with options": ([but(metric="meteor")], "line 1 has options, and the metric meteor is for"),
    "exact with pictures": (
        [but(metric="exact", options=[{"image": "a.jpg"}, {"image": "b.jpg"}], answer=0)],
        "line 1 has pictures as options, and the metric exact compares",
    ),
    "an answer of exact twice": ([but(metric="exact", answer=["ball", 0])], "which names an option twice"),
    "all are right for exact": ([but(metric="exact", answer=["ball", "cup"])], "line 1 has no wrong option"),
    "alike for exact": (
        [but(metric="exact", options=["A.", "a", "b"], answer="b")],
        "line 1 offers 'a' twice, but for",
    ),
    "marks for exact": (
        [but(metric="exact", options=None, answer=["a", "..."])],
        "line 1 has the text '...', of which",
    ),
    "an empty answer": ([but(answer="")], "line 1 has the answer '', which is none of its options"),
    "an option without a picture": ([but(options=[{"text": "a"}, {"text": "b"}], answer=0)], "has {'text': 'a'} as"),
    "a blank name": ([but(images=[" "])], "line 1 has the images [' '], should be a list of names"),
    "two metrics": ([GOOD, but(id="2", metric="exact")], "line 2 has the metric exact, and trials before have choice"),
    "pairs of one": ([but(metric="pairs")], "line 1 has the metric pairs, and should have two images"),
    "pairs of equal pictures": ([but(metric="pairs", images=["a.jpg", "a.jpg"])], "line 1 shows 'a.jpg' twice"),
    "pairs with an answer": (
        [but(metric="pairs", images=["a.jpg", "b.jpg"])],
        "line 1 has an answer, and pairs have none",
    ),
    "some groups": ([but(group="x"), SECOND], "line 2 has no group, and the trials before have one"),
    "some clusters": ([GOOD, but(id="2", cluster="x")], "line 2 has a cluster, and the trials before have none"),
    "pictures alone and a picture": (
        [but(options=[{"image": "a.jpg"}, {"image": "b.jpg"}], context="Which?", answer=0)],
        "line 1 has pictures alone as options, and pictures or turns in its context",
    ),
    "pictures alone and nothing": (
        [but(options=[{"image": "a.jpg"}, {"image": "b.jpg"}], images=None, answer=0)],
        "line 1 has pictures alone as options, no context and 0 images",
    ),
    "two kinds of choice": (
        [GOOD, but(id="2", options=[{"image": "a.jpg"}, {"image": "b.jpg"}], answer=0)],
        "line 2 compares pictures alone or scores texts, and the trials before do not",
    ),
    "a way out": ([but(images=["../a.jpg"])], "UnsafeName ../a.jpg: in line 1 of"),
    "an absolute name": ([GOOD, but(id="2", images=["/etc/passwd"])], "UnsafeName /etc/passwd: in line 2 of"),
    "nothing": ([], "it has no trials"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BABYCLI_DATA", raising=False)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_refused_with_its_line(fault: str, babycli: Babycli) -> None:
    lines, message = BROKEN[fault]
    write_trials(Path("words.jsonl"), lines)
    for words in (("eval", "--model", "control:constant", "--trials"), ("trials", "check"), ("data", "verify", "-t")):
        ran = babycli(*words, "words.jsonl")
        assert ran.code == 3, ran.err
        assert message in ran.out + ran.err
        assert "mend: " in ran.err
        assert not Path("logs").exists()
        assert not Path("dataset").exists()


def test_all_broken_lines_are_named(babycli: Babycli) -> None:
    write_trials(Path("words.jsonl"), [GOOD, *({"id": i} for i in range(2, 10))])
    ran = babycli("trials", "check", "words.jsonl")
    assert ran.code == 3
    assert [f"line {n} has no options" in ran.err for n in range(1, 8)] == [False, *[True] * 5, False]
    assert "and 3 more" in ran.err


def test_other_encodings_and_what_is_no_file(babycli: Babycli) -> None:
    Path("sixteen.jsonl").write_bytes(json.dumps(GOOD).encode("utf-16"))
    Path("latin.jsonl").write_bytes(json.dumps(but(id="\xe9"), ensure_ascii=False).encode("latin-1"))
    Path("folder.jsonl").mkdir()
    os.mkfifo("pipe.jsonl")
    Path("words.csv").write_text("id\n1\n")
    for name, code, message in (
        ("sixteen.jsonl", 3, "not UTF-8 at byte 0"),
        ("latin.jsonl", 3, "not UTF-8 at byte"),
        ("folder.jsonl", 3, "cannot read folder.jsonl: Is a directory"),
        ("pipe.jsonl", 3, "pipe.jsonl"),
        ("nowhere.jsonl", 3, "there is no trials file nowhere.jsonl"),
        ("words.csv", 2, "words.csv is no trials file: its name should end in .jsonl"),
        ("a,b.jsonl", 2, "has a comma"),
    ):
        ran = babycli("eval", "--model", "control:constant", "--trials", name)
        assert ran.code == code, ran.err
        assert message in ran.err


def test_windows_line_ends_a_mark_of_bytes_and_blank_lines_are_read(babycli: Babycli) -> None:
    Image.new("RGB", (8, 8), "red").save("a.jpg")
    Path("words.jsonl").write_bytes(
        b"\xef\xbb\xbf" + b"\r\n\r\n".join(json.dumps(line).encode() for line in (GOOD, SECOND)) + b"\r\n \r\n"
    )
    ran = babycli("eval", "--model", "control:constant", "--trials", "words.jsonl")
    assert ran.code == 0, ran.err


def test_names_of_tasks(babycli: Babycli) -> None:
    Image.new("RGB", (8, 8), "red").save("a.jpg")
    for name in ("vtwt.jsonl", "my words (2).jsonl", "---.jsonl", "a/same.jsonl", "b/same.jsonl"):
        write_trials(Path(name), [but(images=["../a.jpg"] if "/" in name else ["a.jpg"])])
    words = ("eval", "--model", "control:constant", "--trials")
    taken = babycli(*words, "vtwt.jsonl")
    assert taken.code == 2
    assert "there is a task 'vtwt' already" in taken.err
    assert babycli(*words, "./---.jsonl").code == 2
    odd = babycli(*words, "my words (2).jsonl")
    assert odd.code == 0, odd.err
    assert "my_words_2" in odd.out
    twice = babycli(*words, "a/same.jsonl", "--trials", "b/same.jsonl")
    assert twice.code == 2
    assert "names two tasks 'same'" in twice.err
    alone = babycli("eval", "--model", "control:constant", "--images", "a")
    assert alone.code == 2
    assert "add  --trials FILE.jsonl" in alone.err


def test_missing_pictures_are_named_with_the_way_to_them(babycli: Babycli) -> None:
    write_trials(Path("words.jsonl"), [GOOD])
    ran = babycli("eval", "--model", "control:constant", "--trials", "words.jsonl", "--images", "nowhere")
    assert ran.code == 3
    assert "nowhere: there is nothing" in ran.err
    assert "words.jsonl:DIR" in ran.err
    assert "dataset folder" not in ran.err
    ran = babycli("eval", "--model", "control:constant", "--trials", "words.jsonl")
    assert ran.code == 3
    assert "Missing" in ran.err
    again = ran.err.partition("babycli data verify ")[2].partition("   ")[0]
    verified = babycli("data", "verify", *again.split())
    assert verified.code == 3
    assert "a.jpg" in verified.out + verified.err


@pytest.mark.parametrize(
    "words",
    [
        *(("data", "labels"), ("data", "link", "."), ("data", "unlink"), ("data", "subset", "copy")),
        *(("data", "croissant"), ("data", "extract", "a.zip", "copy", "--only-needed")),
    ],
)
def test_nothing_of_it_is_copied_or_linked(words: tuple[str, ...], babycli: Babycli) -> None:
    write_trials(Path("words.jsonl"), [GOOD])
    ran = babycli(*words, "--tasks", "words.jsonl")
    assert ran.code == 2, ran.err
    assert "outside of the dataset folder" in ran.err
    assert sorted(path.name for path in Path().iterdir()) == ["words.jsonl"]


def test_status_and_verify(babycli: Babycli) -> None:
    Image.new("RGB", (8, 8), "red").save("a.jpg")
    write_trials(Path("words.jsonl"), [GOOD])
    verified = babycli("data", "verify", "--tasks", "words.jsonl")
    assert verified.code == 0
    assert "data link" not in verified.err  # which would refuse them
    compared = babycli("data", "verify", "--tasks", "words.jsonl", "--depth", "checksum")
    assert compared.code == 3
    assert "mend: give your own:  babycli data verify --manifest FILE" in compared.err
    status = json.loads(babycli("data", "status", "--tasks", "words.jsonl", "--json").out)
    assert status["words"]["ready"]
    assert status["words"]["rows"] == 1


# ------------------------------------------------------------ check


def test_check(babycli: Babycli) -> None:
    """The counts, worked by hand: "a ball" is right in 3 of 4, is the longest in 3, and stands first in 2."""
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (8, 8), "red").save(name)
    trials = [
        {"id": 1, "images": ["a.jpg"], "options": ["a ball", "cup"], "answer": 0, "group": "x", "cluster": 1},
        {"id": 2, "images": ["b.jpg"], "options": ["dog", "a ball"], "answer": 1, "group": "x", "cluster": 1},
        {"id": 3, "images": ["a.jpg"], "options": ["a ball", "cup"], "answer": 0, "group": "y", "cluster": 2},
        {"id": 4, "images": ["a.jpg"], "options": ["a ball", "dog"], "answer": "dog", "group": "y", "cluster": 2},
    ]
    write_trials(Path("words.jsonl"), trials)
    ran = babycli("trials", "check", "words.jsonl", "--json")
    assert ran.code == 0, ran.err
    checked = json.loads(ran.out)
    assert (checked["n"], checked["n_pictures"], checked["n_clusters"]) == (4, 2, 2)
    assert checked["groups"] == {"x": 2, "y": 2}
    assert checked["chance"] == 0.5
    assert [(p["n_offered"], p["n_right"]) for p in checked["positions"]] == [(4, 2), (4, 2)]
    assert {c["name"]: c["share"] for c in checked["controls"]} == {
        "longest text": 0.75,
        "shortest text": 0.25,
        "always 'a ball'": 0.75,
    }
    assert checked["alike"] == [["1", "3"]]
    assert checked["shared"] == {"a.jpg": 3}
    interval = binomtest(2, 4).proportion_ci(method="wilson")
    assert checked["half_width"] == pytest.approx((interval.high - interval.low) / 2, abs=1e-9)
    assert checked["detectable"] == pytest.approx((1.959964 + 0.841621) * (0.5 / 4) ** 0.5, abs=1e-6)
    told = babycli("trials", "check", "words.jsonl")
    assert "longest text: 75.0 % [30.1, 95.4]" in told.out
    assert "ask the same     1, 3" in told.out
    assert "a.jpg in 3 trials" in told.out


def test_check_says_what_is_got_without_looking(babycli: Babycli) -> None:
    Image.new("RGB", (8, 8), "red").save("a.jpg")
    write_trials(Path("words.jsonl"), [but(id=i, options=["a red ball", "cup"], answer=0) for i in range(40)])
    ran = babycli("trials", "check", "words.jsonl")
    assert ran.code == 0
    assert "note: longest text beats chance, 100.0 %" in ran.err
    assert "note: always 'a red ball' beats chance" in ran.err
    assert "note: the first option is right in 100.0 % of the trials" in ran.err
    assert "note" not in ran.out


@pytest.mark.parametrize("name", ["words.txt", "words.JSONL", "my, words.jsonl"])
def test_check_refuses_the_names_that_eval_refuses(name: str, babycli: Babycli) -> None:
    write_trials(Path(name), [GOOD])
    refused = babycli("eval", "--model", "control:constant", "--trials", name)
    ran = babycli("trials", "check", name)
    assert (ran.code, ran.err) == (refused.code, refused.err)
    assert ran.code == 2


def test_check_of_too_few(babycli: Babycli) -> None:
    Image.new("RGB", (8, 8), "red").save("a.jpg")
    write_trials(Path("words.jsonl"), [GOOD])
    out = " ".join(babycli("trials", "check", "words.jsonl").out.split())
    assert "words.jsonl: 1 trial, metric choice" in out
    assert "too few trials for any difference to show" in out


def test_check_names_missing_pictures(babycli: Babycli) -> None:
    write_trials(Path("words.jsonl"), [GOOD])
    ran = babycli("trials", "check", "words.jsonl")
    assert ran.code == 3
    assert "1, 1 of them missing" in ran.out
    assert "Missing" in ran.err
    Path("empty").mkdir()
    empty = babycli("trials", "check", "words.jsonl", "--images", "empty")
    assert "name the folder or zip that has them:  babycli trials check words.jsonl --images DIR" in empty.err
    nowhere = babycli("trials", "check", "words.jsonl", "--images", "nowhere")
    assert nowhere.code == 3
    assert "there is no nowhere" in nowhere.err


# ------------------------------------------------------------ other forms


def converted(babycli: Babycli, *words: object) -> list[dict[str, Any]]:
    ran = babycli("trials", *words)
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_from_csv(babycli: Babycli) -> None:
    Path("words.csv").write_text(
        "trial_id,image,options,answer,question,category,age\n"
        "t1,a.jpg,ball | cup,ball,,toys,3\n"
        "t2,a.jpg|b.jpg,1|2|3,2,Which? <image><image>,toys,4\n"
        't3,,./c.jpg|d.jpg,d.jpg,"a ball, red",toys,5\n'
        "t4,c.jpg,yes|no,1,,food,6\n"
    )
    lines = converted(babycli, "from-csv", "words.csv")
    assert lines == [
        *(
            {"id": "t1", "group": "toys", "images": ["a.jpg"], "options": ["ball", "cup"], "answer": "ball"}
            | {"meta": {"age": "3"}},
            {"id": "t2", "context": "Which? <image><image>", "group": "toys", "images": ["a.jpg", "b.jpg"]}
            | {"options": ["1", "2", "3"], "answer": "2", "meta": {"age": "4"}},
            {"id": "t3", "context": "a ball, red", "group": "toys", "options": [{"image": "c.jpg"}, {"image": "d.jpg"}]}
            | {"answer": "d.jpg", "meta": {"age": "5"}},
            {"id": "t4", "group": "food", "images": ["c.jpg"], "options": ["yes", "no"], "answer": 1}
            | {"meta": {"age": "6"}},
        )
    ]
    ran = babycli("trials", "from-csv", "words.csv", "-o", "words.jsonl")
    assert "columns kept as meta, which nothing reads: age" in ran.err
    assert [json.loads(line) for line in Path("words.jsonl").read_text().splitlines()] == lines


def test_from_levante(babycli: Babycli, tmp_path: Path) -> None:
    base = {"item_uid": "u", "context_image_paths": [], "option_image_paths": [], "option_order_seed": 3}
    trials = [
        base
        | {"trial_id": "v", "prompt": "A: <image1>; B: <image2>", "option_labels": ["A", "B"], "correct_label": "B"}
        | {"option_image_paths": [f"{tmp_path}/assets/x.png", f"{tmp_path}/assets/y.png"]},
        base
        | {"trial_id": "m", "prompt": "<image0> 1 or 2?", "option_labels": ["A", "B"], "correct_label": "A"}
        | {"context_image_paths": ["m.png"]},
        base
        | {"trial_id": "n", "prompt": "Which is new?", "option_labels": ["A", "B"], "correct_label": "A"}
        | {"context_image_paths": ["m.png"], "option_image_paths": ["x.png", "y.png"], "of_theirs": 1},
        base
        | {"trial_id": "s", "prompt": "", "option_labels": [], "correct_label": "", "answer_format": "slider_position"},
    ]
    write_trials(Path("levante.jsonl"), trials)
    lines = converted(babycli, "from-levante", "levante.jsonl", "--images", "assets")
    meta = {"item_uid": "u", "option_order_seed": 3}
    assert lines == [
        {"id": "v", "context": "A: <image>; B: <image>", "images": ["x.png", "y.png"], "options": ["A", "B"]}
        | {"answer": "B", "meta": meta},
        {"id": "m", "context": "<image> 1 or 2?", "images": ["m.png"], "options": ["A", "B"], "answer": "A"}
        | {"meta": meta},
        {"id": "n", "context": "<image>Which is new?\nA: <image>\nB: <image>", "images": ["m.png", "x.png", "y.png"]}
        | {"options": ["A", "B"], "answer": "A", "meta": meta | {"of_theirs": 1}},
    ]
    ran = babycli("trials", "from-levante", "levante.jsonl", "--images", "assets")
    assert "keys kept as meta, which nothing reads: of_theirs" in ran.err
    assert "trials without options (slider_position) are left out: 1, the first on line 4" in ran.err
    Path("list.json").write_text(json.dumps(trials))
    assert converted(babycli, "from-levante", "list.json", "--images", "assets") == lines


def test_from_devbench(babycli: Babycli) -> None:
    Path("lwl.csv").write_text("text1,image1,image2,image3\nball,images/a.jpg,images/b.jpg,\ncup,c.jpg,d.jpg,e.jpg\n")
    assert converted(babycli, "from-devbench", "lwl.csv") == [
        {"id": "1", "answer": 0, "options": [{"image": f"images/{x}.jpg", "text": "ball"} for x in "ab"]},
        {"id": "2", "answer": 0, "options": [{"image": f"{x}.jpg", "text": "cup"} for x in "cde"]},
    ]
    Path("wino.csv").write_text("text1,text2,image1,image2,tag\na b,b a,a.jpg,b.jpg,swap\n")
    assert converted(babycli, "from-devbench", "wino.csv") == [
        {"id": "1", "images": ["a.jpg", "b.jpg"], "options": ["a b", "b a"], "metric": "pairs"}
        | {"meta": {"tag": "swap"}}
    ]


def test_names_of_columns_may_be_written_otherwise(babycli: Babycli) -> None:
    Path("words.csv").write_text("Image, OPTIONS,Answer ,Category,\na.jpg,ball|cup,cup,toys,\n")
    ran = babycli("trials", "from-csv", "words.csv")
    assert json.loads(ran.out) == GOOD | {"answer": "cup", "group": "toys", "meta": {"": ""}}
    assert "columns kept as meta, which nothing reads: one without a name" in ran.err


@pytest.mark.parametrize("end", ["", ",answer"])
def test_a_table_of_pairs_has_no_answers(end: str, babycli: Babycli) -> None:
    Path("pairs.csv").write_text(f"image,options,metric{end}\na.jpg|b.jpg,x y|y x,pairs{',' if end else ''}\n")
    (line,) = converted(babycli, "from-csv", "pairs.csv")
    assert line == {"id": "1", "images": ["a.jpg", "b.jpg"], "options": ["x y", "y x"], "metric": "pairs"}


def test_the_first_picture_of_devbench_is_that_of_its_number(babycli: Babycli) -> None:
    Path("a.csv").write_text("image10,image2,image1,text1\nj.jpg,b.jpg,a.jpg,ball\n")
    (line,) = converted(babycli, "from-devbench", "a.csv")
    assert ([option["image"] for option in line["options"]], line["answer"]) == (["a.jpg", "b.jpg", "j.jpg"], 0)


def test_levante_without_pictures_and_with_a_mark_of_bytes(babycli: Babycli) -> None:
    of_math = {"trial_id": "m", "prompt": "1 + 1?", "option_labels": ["A", "B"], "correct_label": "A"}
    shown = of_math | {"trial_id": "v", "context_image_paths": ["a.png"]}
    Path("list.json").write_text("\ufeff" + json.dumps([shown, of_math]))
    ran = babycli("trials", "from-levante", "list.json")
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["v"]
    assert "trials without pictures are left out: 1, the first on item 2" in ran.err


def test_a_file_is_not_written_over_itself(babycli: Babycli) -> None:
    Path("words.csv").write_text("image,options,answer\na.jpg,x|y,x\n")
    ran = babycli("trials", "from-csv", "words.csv", "-o", "./words.csv")
    assert ran.code == 2
    assert "is the file that is read" in ran.err
    assert Path("words.csv").read_text().startswith("image,options,answer\n")


@pytest.mark.parametrize(
    ("form", "name", "content", "message"),
    [
        (
            "from-csv",
            "a.csv",
            "image,answer\na.jpg,x\n",
            "a.csv has no column 'options'; its columns are",
        ),
        ("from-csv", "a.csv", "image,images,options,answer\n", "it has no trials"),
        ("from-csv", "a.csv", "image,images,options,answer\na,a,x|y,x\n", "two columns for images: image and images"),
        ("from-csv", "a.csv", "image,options,answer\na.jpg,x|y,x\nb.jpg,x,x\n", "line 3 has the options ['x']"),
        ("from-csv", "a.csv", "image,options,answer\na.jpg,x|y,z\n", "line 2 has the answer 'z'"),
        ("from-csv", "a.csv", "image,options,answer\n/x/a.jpg,x|y,x\n", "line 2 names /x/a.jpg, which is not below"),
        ("from-csv", "a.csv", "image,options,answer\na.jpg,x|y\n", "line 2 has 2 fields, should have 3"),
        ("from-levante", "a.jsonl", '{"trial_id": "1"}\n', "line 1 lacks prompt, option_labels, correct_label"),
        (
            "from-levante",
            "a.jsonl",
            '{"trial_id": "1", "prompt": "<image3>", "option_labels": ["A", "B"], "correct_label": "A"}\n',
            "line 1 has <image3> in its prompt, and no such picture",
        ),
        (
            "from-levante",
            "a.jsonl",
            '{"trial_id": "1", "prompt": "?", "option_labels": ["A", "B"], "correct_label": "A"}\n',
            "no trial of a.jsonl can be turned: trials without pictures are left out: 1, the first on line 1",
        ),
        (
            "from-levante",
            "a.jsonl",
            '{"trial_id": "1", "prompt": "?", "option_labels": [], "correct_label": "", "answer_format": "slider"}\n',
            "no trial of a.jsonl can be turned: trials without options (slider) are left out",
        ),
        ("from-devbench", "a.csv", "text,image\nball,a.jpg\n", "the columns text1, image1 are missing"),
        ("from-devbench", "a.csv", "text1,image1\nball,a.jpg\n", "has 1 columns of texts and 1 of pictures"),
        ("from-devbench", "a.csv", "text1,image1,image2\nball,a.jpg,../b.jpg\n", "line 2 names '../b.jpg', should be"),
        ("from-devbench", "a.csv", "text1,image1,image2,image3\nball,,b.jpg,c.jpg\n", "line 2 has nothing in image1"),
        ("from-csv", "a.csv", "image;options;answer\na.jpg;x|y;x\n", "save it with commas between the columns"),
        ("from-csv", "a.csv", "sep=,\nimage,options,answer\na.jpg,x|y,x\n", "a.csv begins with Excel's line sep="),
        ("from-csv", "a.csv", f"image,options,answer\na.jpg,x|y,{'9' * 5000}\n", "line 2 has the answer '999"),
        ("from-csv", "a.csv", "image,options,answer\na.jpg,2|3|4,1\n", "line 2 has the answer '1', which is none of"),
        ("from-csv", "a.csv", "image,options,answer\na.jpg,x|y,\n", "line 2 has no answer"),
        ("from-csv", "a.csv", "image,options,answer\nx\\a.jpg,x|y,x\n", "line 2 names 'x\\\\a.jpg', should be a name"),
        (
            "from-levante",
            "a.jsonl",
            '{"trial_id": "1", "prompt": "<image%s>", "option_labels": ["A", "B"], "correct_label": "A"}\n'
            % ("9" * 5000),
            "and no such picture",
        ),
        ("from-devbench", "a.csv", "text1,image1,image2\nball,a.jpg,\n", "line 2 has the options"),
    ],
)
def test_other_forms_are_refused_with_their_line(
    form: str, name: str, content: str, message: str, babycli: Babycli
) -> None:
    Path(name).write_text(content)
    ran = babycli("trials", form, name, "-o", "out.jsonl")
    assert ran.code == 3, ran.err
    assert message in ran.err
    assert not Path("out.jsonl").exists()


# ------------------------------------------------------------ schema


def test_the_schema_takes_what_is_read_and_the_examples() -> None:
    schema = json.loads((REPOSITORY / "docs" / "schemas" / "trial.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    valid = Draft202012Validator(schema)
    guide = (REPOSITORY / "docs" / "trials.md").read_text()
    examples = [json.loads(line) for line in guide.splitlines() if line.startswith('{"id"')]
    assert len(examples) >= 8
    for line in [*examples, *(line for lines in EACH_KIND.values() for line in lines)]:
        assert [error.message for error in valid.iter_errors(line)] == []
    for broken in (
        {"id": True},
        but(anwser=1),
        but(options=["x"]),
        but(images="a.jpg"),
        but(metric="x"),
        but(answer=0.5),
    ):
        assert not valid.is_valid(broken)


def test_the_examples_of_the_page_can_be_evaluated(babycli: Babycli) -> None:
    guide = (REPOSITORY / "docs" / "trials.md").read_text()
    blocks = [block.split("```")[0] for block in guide.split("```json\n")[1:]]
    assert len(blocks) >= 5
    for n, block in enumerate(blocks):
        lines = [json.loads(line) for line in block.splitlines()]
        for line in lines:
            for name in [*line.get("images", []), *(o["image"] for o in line.get("options", []) if "image" in o)]:
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (sum(name.encode()) % 256, len(name), 7)).save(name)
        write_trials(Path(f"block_{n}.jsonl"), lines)
    words = ("eval", "--control", "constant", "--model", "control:random")
    matching = [n for n, block in enumerate(blocks) if '"id": "6"' in block]  # which needs another ability
    for of_kind in ([n for n in range(len(blocks)) if n not in matching], matching):
        ran = babycli(*words, *(word for n in of_kind for word in ("--trials", f"block_{n}.jsonl")))
        assert ran.code in (0, 7), ran.err


def test_two_trials_show_no_difference(babycli: Babycli, tmp_path: Path) -> None:
    """2.80 times the root of 0.5 / n is more than 100 points for n below 4."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    for n, said in ((3, "two models: too few trials"), (4, "two models: a difference of 99.1 points or more")):
        (tmp_path / "few.jsonl").write_text("".join(f"{json.dumps(but(id=str(i)))}\n" for i in range(n)))
        assert said in " ".join(babycli("trials", "check", tmp_path / "few.jsonl").out.split())
