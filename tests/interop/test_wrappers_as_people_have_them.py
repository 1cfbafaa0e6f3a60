"""Wrappers as people have them: methods that do nothing, bases of other files, old ones, and those that go by a task's
name, by a row's number or by what its document holds; and what is given to their constructors.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli
from tests.interop.test_wrappers import CAPTIONS, ONE_LOSS, ONE_TEXT, Runs, installed, runs, wrapper
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_plugin import run_json

__all__ = ["installed", "runs"]  # fixtures

CHOICES = ("--tasks", "vtwt", "--limit", 2)
# What a public wrapper's method is where the model cannot do it.
NOTHING = {
    "assert False": "assert False, 'We have not implemented this'",
    "assert 0, after words": "'''Scores.'''\neval_logger.error('no')\nprint('no')\nassert 0",
    "pass": "pass",
    "a docstring": "'''TODO'''",
    "an ellipsis": "...",
    "return": "# TODO\nreturn None",
    "raise": "raise NotImplementedError",
    "raise behind a branch": "if requests:\n    raise NotImplementedError('no')",
    "assert behind a branch": "for r in requests:\n    assert False, 'no'",
}


# ---------------------------------------------------------------- methods that do nothing


@pytest.mark.parametrize(
    "body",
    [pytest.param(body, id=name, marks=[] if name == "pass" else pytest.mark.long) for name, body in NOTHING.items()],
)
def test_a_method_that_does_nothing(body: str, runs: Runs) -> None:
    """Without --tasks, what it would do is left out; where it is asked for, it is an error."""
    head = "from loguru import logger as eval_logger"
    ran = runs(wrapper(body, head=head), *CAPTIONS)
    assert ran.code == 0, ran.err
    assert runs.captions == ["a ball"]
    assert_explained(runs(wrapper(body, head=head), *CHOICES), 5, "mine.py", "cannot do vtwt", "loglikelihood")
    ran = runs(wrapper(generate_until=body, head=head), *CHOICES)
    assert ran.code == 0, ran.err
    assert_explained(runs(wrapper(generate_until=body, head=head), *CAPTIONS), 5, "cannot do saycam_caption")


def test_what_it_cannot_do_is_left_out(runs: Runs, babycli: Babycli, dataset: Path, tmp_path: Path) -> None:
    runs.path.write_text(wrapper("assert False, 'only texts'"))
    words = ("--model-args", "sign=loss", "--data", dataset, "--output-path", tmp_path / "all", "--limit", 1)
    ran = babycli("eval", "--model", f"lmms:{runs.path}", *words)
    assert ran.code == 0, ran.err
    assert "left out labeled_s, vtwt, baby_winoground" in ran.err
    assert "it does not offer loglikelihood: all that loglikelihood does is  assert False, 'only texts'" in ran.err
    ran = babycli("models", "show", f"lmms:{runs.path}")
    assert "lmms, offers generate\n" in ran.out
    assert "all that loglikelihood does is  assert False, 'only texts'" in ran.out


@pytest.mark.parametrize(
    "body",
    [
        "import a_package_that_nobody_has",
        pytest.param("assert len(requests) > 99, 'too few'", marks=pytest.mark.long),
        pytest.param("raise ValueError('broken')", marks=pytest.mark.long),
    ],
)
def test_a_method_that_nobody_needs_may_fail(body: str, runs: Runs) -> None:
    assert runs(wrapper(generate_until=body), *CHOICES).code == 0
    assert any("generate_until was not tried: no task of this run asks for it" in n for n in runs.model["notes"])
    assert runs.can == (["loglikelihood"], False)
    assert_explained(runs(wrapper(generate_until=body), "--tasks", "vtwt,saycam_caption"), 5, "mine.py:")
    assert runs(wrapper(body), *CAPTIONS).code == 0
    assert_explained(runs(wrapper(body), *CHOICES), 5, "mine.py:")


def test_an_assertion_of_a_wrapper_is_no_refusal(runs: Runs) -> None:
    """Only ``assert False`` says that nothing is there."""
    ran = runs(wrapper("assert self.rank == 7, 'seven only'"), "--tasks", "vtwt,saycam_caption")
    assert_explained(ran, 5, "its loglikelihood raised AssertionError: seven only")


# ---------------------------------------------------------------- what is never asked for may be missing


def without(method: str, code: str) -> str:
    """The wrapper's text without a method."""
    return code.replace(f"    def {method}(", f"    def not_{method}(")


@pytest.mark.parametrize("where", ["stand-in", "installed"])
def test_a_wrapper_from_before_several_rounds(where: str, runs: Runs, request: pytest.FixtureRequest) -> None:
    if where == "installed":
        site = request.getfixturevalue("installed")
        model = site / "lmms_eval" / "api" / "model.py"
        lines = "    @abc.abstractmethod\n    def generate_until_multi_round(self, requests): ...\n\n"
        model.write_text(model.read_text().replace("    @classmethod", f"{lines}    @classmethod"))
        code = wrapper(takes="text, batch_size=1, device='cpu'")
    else:
        code = wrapper()
    ran = runs(without("generate_until_multi_round", code), "--tasks", "vtwt,saycam_caption")
    assert ran.code == 0, ran.err
    assert runs.captions == ["a ball"]


def test_a_method_that_is_not_defined(runs: Runs) -> None:
    code = without("generate_until", wrapper())
    assert runs(code, *CHOICES).code == 0
    assert_explained(runs(code, *CAPTIONS), 5, "cannot do saycam_caption", "generate_until is not defined")


# ---------------------------------------------------------------- which model a file registers

BASE = wrapper(names="'base'").replace("class Mine(", "class Base(")
DERIVED = """
from lmms_eval.api.registry import register_model
from base_wrapper import Base

@register_model({names})
class Mine(Base):
    def generate_until(self, requests):
        return ["derived"] * len(requests)
"""


@pytest.fixture
def base_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper in another file, which registers itself when it is imported."""
    (tmp_path / "base_wrapper.py").write_text(BASE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "base_wrapper", raising=False)


@pytest.mark.usefixtures("base_beside")
@pytest.mark.parametrize("names", ["'mine'", "'mine', 'also_mine'"])
def test_a_file_that_extends_a_wrapper(names: str, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = runs(DERIVED.format(names=names), *CAPTIONS)
    assert ran.code == 0, ran.err
    assert runs.captions == ["derived"]
    assert runs.model["prompts_like"] == "mine"
    monkeypatch.delitem(sys.modules, "base_wrapper")
    assert runs(DERIVED.format(names=names), *CAPTIONS, "--no-resume", name=":base").code == 0


@pytest.mark.usefixtures("base_beside")
def test_a_file_that_registers_two_of_its_own(runs: Runs) -> None:
    two = DERIVED.format(names="'one'") + DERIVED.format(names="'two'").replace("class Mine", "class Other")
    ran = runs(two, *CAPTIONS)
    assert_explained(ran, 2, "registers several models: one, two")
    assert "base" not in ran.err.replace("base_wrapper", "")


@pytest.mark.usefixtures("base_beside")
def test_a_file_that_only_imports_one(runs: Runs) -> None:
    assert runs("from base_wrapper import Base\n", *CAPTIONS).code == 0
    assert runs.model["prompts_like"] == "base"


# ---------------------------------------------------------------- task, split, document

NOTES_ALL = """\
with open(args["seen"], "a") as file:
    for r in requests:
        prompt, wanted, doc_to_visual, doc_id, task, split = r.args
        doc = self.task_dict[task][split][doc_id]
        (picture,) = doc_to_visual(doc)
        if args.get("copies"):
            assert picture.tobytes() == doc_to_visual(dict(doc))[0].tobytes()
        doc["changed"] = True
        seen = [task, split, doc_id, r.idx, r.task_name, r.doc_id, picture.size]
        file.write(json.dumps([*seen, self.task_dict[task][split][doc_id], wanted]) + "\\n")
"""
LABELS = {
    "labeled_s": "labeled_s/labeled_s.csv",
    "vtwt": "vtwt/vtwt.csv",
    "baby_winoground": "baby_winoground/baby_winoground.csv",
    "saycam_caption": "SAYCam_caption/SAYCam_caption.csv",
}
IDS = ("trial_id", "instance_id")


def rows_of(dataset: Path, task: str) -> list[dict[str, Any]]:
    """The label rows as lmms-eval reads them: ids as numbers."""
    with (dataset / LABELS[task]).open(newline="", encoding="utf-8") as file:
        return [{k: int(v) if k in IDS else v for k, v in row.items()} for row in csv.DictReader(file)]


def test_every_request_is_about_its_row(runs: Runs, dataset: Path, tmp_path: Path) -> None:
    """As in BabyVLM's fork of lmms-eval: the task's name, split train, the row's number and all its columns."""
    code = wrapper(NOTES_ALL + "return [(2.5, False)] * len(requests)", NOTES_ALL + ONE_TEXT, head="import json")
    seen = tmp_path / "seen"
    ran = runs(code, "--tasks", ",".join(LABELS), "--limit", 3, args=f"sign=loss,copies=1,seen={seen}")
    assert ran.code == 0, ran.err
    found = [json.loads(line) for line in seen.read_text().splitlines()]
    asked = {(task, doc_id, index) for task, _, doc_id, index, *_ in found}
    assert {task for task, *_ in asked} == set(LABELS)
    for task, split, doc_id, index, task_name, of_doc, _, doc, wanted in found:
        assert (split, task_name, of_doc) == ("train", task, doc_id)
        assert doc == rows_of(dataset, task)[doc_id]
        if task == "labeled_s":
            assert (index, wanted) == (0, f" {doc['target_category']}")
        elif task != "saycam_caption":
            assert wanted == f" {[doc['positive_phrase'], doc['negative_phrase']][index]}"
    # Two tasks may ask the same about a picture: that is asked once, for the first of them.
    assert {(doc_id, index) for task, doc_id, index in asked if task == "vtwt"} == {
        (i, j) for i in range(3) for j in (0, 1)
    }
    assert {doc_id for task, doc_id, _ in asked if task == "labeled_s"} == set(range(12))
    assert {doc_id for task, doc_id, _ in asked if task == "saycam_caption"} == set(range(3))


def test_a_wrapper_that_answers_out_of_a_log(runs: Runs, dataset: Path) -> None:
    """It knows what to say by the task's name and the row's number, and only for the rows of this run."""
    code = wrapper(
        "return [(LOSSES[r.args[4]][r.args[3]][r.idx], False) for r in requests]",
        "return [TEXTS[r.args[4]][r.args[3]] for r in requests]",
        head="LOSSES = {'vtwt': {i: (1 + i, 2 + i) for i in range(3)}}\n"
        "TEXTS = {'saycam_caption': {i: f'caption {i}' for i in range(3)}}",
    )
    ran = runs(code, "--tasks", "vtwt,saycam_caption", "--limit", 3)
    assert ran.code == 0, ran.err
    assert [line["resps"] for line in runs.samples("vtwt")] == [[[1 + i, False], [2 + i, False]] for i in range(3)]
    assert runs.captions == [f"caption {i}" for i in range(3)]


def test_a_control_shows_other_pictures_of_the_same_rows(runs: Runs, dataset: Path) -> None:
    code = wrapper(NOTES_ALL + ONE_LOSS, head="import json")
    seen = runs.logs.parent / "seen"
    ran = runs(code, "--control", "shuffled", args=f"sign=loss,seen={seen}")
    assert ran.code == 0, ran.err
    assert {json.loads(line)[2] for line in seen.read_text().splitlines()} == set(range(4))


SIDE = """
from babycli.domain import ImageRef, Item, Metric, Outcome, Score, ask
from babycli.tasks.base import Needs, Task, choose, loss_of


class WhichSide(Task):
    name, title, question = "which_side", "Which side", "which of two pictures of one row"
    metrics = (Metric("acc", "share", "acc", "acc", chance=0.5, is_main=True),)
    needs = Needs("score")
    prompts = {"default": ""}
    label_path, columns, links = "which_side/labels.csv", ("left", "right", "word"), {"saycam": "which_side/images"}

    def items(self, rows):
        return [Item(str(i), (i,), (row,), self._images(row)) for i, row in enumerate(rows)]

    def _images(self, row):
        return ImageRef("saycam", row["left"]), ImageRef("saycam", row["right"])

    def play(self, item, asking):
        (row,) = item.rows
        answers = yield [Score(ask(asking.prompt, image), row["word"]) for image in self._images(row)]
        choice = choose([loss_of(answer, asking.scoring) for answer in answers], 0)
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)


TASK = WhichSide()
"""


def test_a_row_that_shows_its_pictures_one_by_one(
    babycli: Babycli, downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document has one picture, so the second is one of its own, with a number that no row has."""
    monkeypatch.chdir(tmp_path)
    Path("which_side.py").write_text(SIDE)
    names = sorted(path.name for path in (downloads / "saycam_images").iterdir())[:4]
    Path("labels/which_side").mkdir(parents=True)
    rows = [f"{names[0]},{names[1]},ball", f"{names[2]},{names[3]},cup"]
    Path("labels/which_side/labels.csv").write_text("\n".join(["left,right,word", *rows, ""]))
    task = ("--tasks", "which_side.py:TASK")
    assert babycli("data", "link", downloads / "saycam_images", *task, "--from", "labels").code == 0
    code = wrapper(NOTES_ALL + "return [(float(10 * r.args[3] + r.idx), False) for r in requests]", head="import json")
    Path("mine.py").write_text(code)
    ran = babycli("eval", "--model", "lmms:mine.py", "--model-args", "sign=loss,seen=seen", *task)
    assert ran.code == 0, ran.err
    numbers = {(doc_id, index) for _, _, doc_id, index, *_ in map(json.loads, Path("seen").read_text().splitlines())}
    assert numbers == {(0, 0), (2, 1), (1, 0), (3, 1)}


# ---------------------------------------------------------------- arguments that nobody gave


def test_a_device_goes_only_where_it_is_taken(runs: Runs) -> None:
    takes_none = wrapper(generate_until="return [f'given {args}'] * len(requests)", takes="batch_size=1, **kwargs")
    assert runs(takes_none, *CAPTIONS).code == 0
    assert runs.captions == ["given {}"]
    named = wrapper(generate_until="return [str(self.given)] * len(requests)", init="self.given = device")
    assert runs(named, *CAPTIONS, "--no-resume", "--output-path", runs.logs.parent / "named").code == 0
    bare = wrapper(takes="")
    assert runs(bare, *CAPTIONS, "--output-path", runs.logs.parent / "bare").code == 0
    ran = runs(bare, *CAPTIONS, "--device", "cpu")
    assert_explained(ran, 2, "mine.py", "--device cpu was given", "takes no device")
    assert "leave --device out" in ran.err
    assert_explained(runs(bare, *CAPTIONS, "--dtype", "float32"), 2, "--dtype float32 was given", "takes no dtype")


@pytest.mark.usefixtures("base_beside")
def test_a_constructor_that_passes_arguments_on(runs: Runs, tmp_path: Path) -> None:
    """What its base names is taken too."""
    (tmp_path / "base_wrapper.py").write_text(
        wrapper(
            names="'base'",
            takes="device='nowhere', dtype=torch.bfloat16, batch_size=7",
            init="self.given = f'{device} {dtype} {batch_size}'",
            head="import torch",
        ).replace("class Mine(", "class Base(")
    )
    code = DERIVED.format(names="'mine'").replace('["derived"]', "[self.given]")
    code += "    def __init__(self, own=1, **kwargs):\n        super().__init__(**kwargs)\n"
    assert runs(code, *CAPTIONS).code == 0
    assert runs.captions == ["cpu torch.bfloat16 1"]
    sys.modules.pop("base_wrapper")
    assert runs(code, *CAPTIONS, "--dtype", "float32", "--output-path", tmp_path / "other").code == 0
    assert run_json(tmp_path / "other")["model"]["notes"]


WEIGHTS = {
    "a model": ("self.model = torch.nn.Linear(3, 2).half()", 8, "float16"),
    "a private model": ("self._model = torch.nn.Linear(3, 2).bfloat16()", 8, "bfloat16"),
    "a pipeline": (
        "class Pipeline: model = torch.nn.Linear(3, 2).double()\nself.pipe = Pipeline()",
        8,
        "float64",
    ),
    "two": ("self.a = torch.nn.Linear(9, 2).half()\nself.b = torch.nn.Linear(1, 2)", 24, "float16"),
    "a tensor": ("self.bias = torch.zeros(3, dtype=torch.bfloat16)", None, "bfloat16"),
    "none": ("self.model = 'a name on a hub'", None, "unknown"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_the_precision_it_ran_in(kind: str, runs: Runs) -> None:
    init, n_parameters, dtype = WEIGHTS[kind]
    ran = runs(wrapper(init=init, head="import torch"))
    assert ran.code == 0, ran.err
    assert " in float32" not in ran.err
    assert (runs.model["n_parameters"], runs.model["dtype"]) == (n_parameters, dtype)
    said = "its precision is not known" if kind == "none" else f"its weights are in {dtype}"
    assert said in ran.err


def test_a_dtype_that_is_not_heeded(runs: Runs) -> None:
    ran = runs(wrapper(init="self.model = torch.nn.Linear(3, 2)", head="import torch"), "--dtype", "bfloat16")
    assert ran.code == 0, ran.err
    assert "its weights are in float32; dtype bfloat16 was asked for" in ran.err
    assert runs.model["dtype"] == "float32"


# ---------------------------------------------------------------- errors that became answers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("''", "3 of 4 replies are empty, without a word; the longest run of them is 3, from row 1"),
        ("'</s>\\n'", "3 of 4 replies are empty"),
        (
            "'[GENERATION_FAILED] no memory'",
            "3 of 4 replies are error messages; the first, in row 1: '[GENERATION_FAILED]",
        ),
    ],
)
def test_exceptions_that_are_swallowed(text: str, said: str, runs: Runs) -> None:
    """The trial and the first picture go well."""
    body = f"""
        texts = []
        for r in requests:
            try:
                seen[len(seen)] = 1
                if len(seen) > 2:
                    raise RuntimeError("no memory")
                texts.append("a ball")
            except RuntimeError:
                texts.append({text})
        return texts
    """
    ran = runs(wrapper(generate_until=body), *CAPTIONS, "--limit", 4)
    assert ran.code == 7
    assert f"note: saycam_caption: {said}" in ran.err
    assert "babycli: most replies of the model are none, so the score says nothing" in ran.err
    assert runs.results()["replies"]["saycam_caption"]["n"] == 4


def test_few_empty_replies_are_named_only(runs: Runs) -> None:
    body = "return ['' if r.args[3] == 2 else f'ball {r.args[3]}' for r in requests]"
    ran = runs(wrapper(generate_until=body), *CAPTIONS, "--limit", 4)
    assert ran.code == 0, ran.err
    assert "note: saycam_caption: 1 of 4 replies are empty, without a word" in ran.err


def test_one_caption_for_all_pictures(runs: Runs) -> None:
    ran = runs(wrapper(), *CAPTIONS, "--limit", 4)
    assert ran.code == 0, ran.err
    assert "note: saycam_caption: 4 of 4 replies are the same text: 'a ball'" in ran.err
    ran = runs(wrapper(), *CAPTIONS, "--limit", 4, "--control", "blind", "--output-path", runs.logs.parent / "blind")
    assert "the same text" not in ran.err


# ---------------------------------------------------------------- progress bars

BAR = "sys.stderr.write('\\rModel Responding:  50%|##  | 1/2'); sys.stderr.flush()\n"


@pytest.mark.parametrize("what", ["raises", "goes on"])
def test_a_message_below_a_progress_bar(what: str, runs: Runs) -> None:
    end = "raise ValueError('spam')" if what == "raises" else ONE_TEXT
    ran = runs(wrapper(generate_until=BAR + end, head="import sys"), *CAPTIONS)
    assert ran.code == (5 if what == "raises" else 0)
    lines = ran.err.replace("\r", "\n").splitlines()
    assert not [line for line in lines if "Model Responding" in line and not line.endswith("1/2")]
    if what == "raises":
        assert any(line.startswith("babycli: ") for line in lines)
