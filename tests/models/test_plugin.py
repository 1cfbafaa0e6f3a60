"""A user's own model: the guide's example, what a class may have, and everything that it may do wrong."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from PIL import Image

from babycli import domain
from babycli.domain import PICTURE
from babycli.errors import ModelError
from babycli.foreign import import_file
from babycli.models import plugin
from babycli.models.plugin import PluginModel
from tests.conftest import REPOSITORY, Babycli
from tests.models.conftest import Evaluate
from tests.models.loading import load, read, tokenize
from tests.models.test_bad_checkpoints import assert_explained

TEXT_LENGTH = """
    class Mine:
        def __init__(self, device, dtype, factor="1"):
            self.factor = float(factor)

        def loglikelihood(self, images, prompts, texts):
            return [[-self.factor * image.width, -1.0] for image, text in zip(images, texts)]
"""


def write(path: Path, code: str) -> Path:
    path.write_text(dedent(code))
    return path


def samples(logs: Path, task: str) -> list[dict[str, Any]]:
    (path,) = logs.glob(f"*/*/*_samples_{task}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_json(logs: Path) -> dict[str, Any]:
    (path,) = logs.glob("*/*/run.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


# ---------------------------------------------------------------- the guide


def test_the_example_of_the_guide(evaluate: Evaluate, dataset: Path, tmp_path: Path) -> None:
    """Its scores are those that its own class computes, outside of babycli, for the same pictures."""
    guide = (REPOSITORY / "docs" / "model_guide.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    path = tmp_path / "colour_model.py"
    path.write_text(code)
    ran = evaluate("--model", f"{path}:ColourModel", "--model-args", "seed=3", "--limit", 3)
    assert ran.code == 0, ran.err
    assert "plugin has no prompt of its own for labeled_s" in ran.err

    namespace: dict[str, Any] = {}
    exec(code, namespace)
    own = namespace["ColourModel"]("cpu", "float32", seed="3")
    assert own.word("ball").tolist() != own.word("cup").tolist()
    lines = samples(tmp_path / "logs", "labeled_s")
    assert len(lines) == 12
    for line in lines:
        with Image.open(dataset / "labeled_s" / "images" / line["doc"]["image"]) as image:
            expected = own.similarity(own.encode([image.convert("RGB")]), [line["target"]])
        assert line["resps"] == [pytest.approx(expected, abs=1e-7)]
        assert line["acc"]["similarity"] == line["resps"][0][0]
    assert len({line["resps"][0][0] for line in lines}) > 4


def test_the_guide_names_every_method() -> None:
    guide = (REPOSITORY / "docs" / "model_guide.md").read_text()
    for method in (*plugin.METHODS, "encode", "render"):
        assert f"`{method}(" in guide


# ---------------------------------------------------------------- what a file may be called


def test_a_file_may_have_the_name_of_a_module_of_python(evaluate: Evaluate, tmp_path: Path) -> None:
    """And so may its neighbours: neither takes the place of what everybody else imports."""
    import random  # what it is, it stays

    sys.modules.pop("this", None)  # a module that nobody has imported yet
    write(tmp_path / "this.py", "raise AssertionError('not the one of Python')")
    write(tmp_path / "only_here.py", "VALUE = 2.0")
    code = """
        import contextlib, dataclasses, io, pickle
        import random
        with contextlib.redirect_stdout(io.StringIO()):
            import this
        from only_here import VALUE

        @dataclasses.dataclass
        class Setting:
            value: float

        class R:
            def __init__(self, device, dtype):
                self.setting = pickle.loads(pickle.dumps(Setting(VALUE + random.Random(0).random())))

            def loglikelihood(self, images, prompts, texts):
                return [[-self.setting.value] for _ in texts]
    """
    path = write(tmp_path / "random.py", code)
    ran = evaluate("--model", f"{path}:R", "--tasks", "vtwt", "--limit", 2)
    assert ran.code == 0, ran.err
    assert sys.modules["random"] is random
    assert sys.modules["this"].__file__ != str(tmp_path / "this.py")
    assert samples(tmp_path / "logs", "vtwt")[0]["resps"][0][0] == pytest.approx(2 + random.Random(0).random())
    assert not any(type(finder).__name__ == "_Neighbours" for finder in sys.meta_path)


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for value in (1, 2):
        (tmp_path / str(value)).mkdir()
        write(tmp_path / str(value) / "my model.v1.py", f"VALUE = {value}")
    first, second = (import_file(tmp_path / str(value) / "my model.v1.py") for value in (1, 2))
    assert (first.VALUE, second.VALUE) == (1, 2)
    assert first.__name__ != second.__name__
    assert sys.modules[first.__name__] is first


# ---------------------------------------------------------------- what a class may have


def test_loglikelihood_and_arguments(evaluate: Evaluate, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", TEXT_LENGTH)
    ran = evaluate("--model", path, "--model-args", "factor=0.25", "--tasks", "vtwt", "--limit", 2)
    assert ran.code == 0, ran.err
    for line in samples(tmp_path / "logs", "vtwt"):
        (first, second) = line["resps"]
        assert first == second
        assert first[1] is False
    run = run_json(tmp_path / "logs")
    assert run["model"]["args"] == {"factor": "0.25"}
    assert run["model"]["n_parameters"] is None
    assert run["model"]["abilities"]["scores"] == ["loglikelihood"]
    (scores,) = (tmp_path / "logs").glob("*/*/scores.rank0.jsonl")
    score = json.loads(scores.read_text().splitlines()[0])
    width = -score["token_logprobs"][0] / 0.25
    assert width == int(width) > 10
    assert score["n_tokens"] == 2


def test_every_argument_of_a_class_is_part_of_its_run(evaluate: Evaluate, babycli: Babycli, tmp_path: Path) -> None:
    """Also where it is called as one of a server's is, which changes nothing there."""
    path = write(
        tmp_path / "mine.py",
        TEXT_LENGTH.replace('factor="1"', 'timeout="1", pretrained=""').replace("float(factor)", "float(timeout)"),
    )
    for n, args in enumerate(("timeout=1", "timeout=2", "timeout=2,pretrained=x"), 1):
        ran = evaluate("--model", path, "--model-args", args, "--tasks", "vtwt", "--limit", 2)
        assert ran.code == 0, ran.err
        assert "already evaluated" not in ran.err
        assert len(list((tmp_path / "logs").glob("*/*/run.json"))) == n
    identities = [json.loads(path.read_text())["identity"] for path in (tmp_path / "logs").glob("*/*/run.json")]
    assert {json.dumps(identity["model"]["args"], sort_keys=True) for identity in identities} == {
        '{"timeout": "1"}',
        '{"timeout": "2"}',
        '{"pretrained": "x", "timeout": "2"}',
    }
    rows = json.loads(babycli("report", tmp_path / "logs", "--format", "json").out)
    shown = babycli("report", tmp_path / "logs", "--format", "md").out
    assert rows
    assert "timeout=1)" in shown
    assert "timeout=2)" in shown


def test_prompts_and_rendering(evaluate: Evaluate, tmp_path: Path) -> None:
    code = """
        class Mine:
            prompts = {"saycam_caption": "Say it."}
            prompts_like = "llava"

            def __init__(self, device, dtype): ...

            def render(self, prompt):
                return f"<<{prompt}>>"

            def loglikelihood(self, images, prompts, texts):
                return [[-len(prompt)] for prompt in prompts]

            def generate(self, images, prompts, max_new_tokens):
                return [f"{prompt} {max_new_tokens}" for prompt in prompts]
    """
    path = write(tmp_path / "mine.py", code)
    tasks = ("--tasks", "labeled_s,vtwt,saycam_caption")
    ran = evaluate("--model", f"{path}:Mine", *tasks, "--prompt", "vtwt=ab <image> c=d")
    assert ran.code == 0, ran.err
    logs = tmp_path / "logs"
    llava = "USER: What's the object in the image? <image> ASSISTANT:"
    assert samples(logs, "labeled_s")[0]["prompt"] == f"<<{llava}>>"
    assert samples(logs, "labeled_s")[0]["resps"] == [[len(llava), False]]
    assert samples(logs, "vtwt")[0]["prompt"] == "<<ab <image> c=d>>"
    assert samples(logs, "vtwt")[0]["resps"] == [[14, False], [14, False]]
    assert samples(logs, "saycam_caption")[0]["resps"] == [["Say it. 25"]]
    tasks_of = run_json(logs)["tasks"]
    origins = {name: task["prompt_origin"] for name, task in tasks_of.items()}
    assert origins == {"labeled_s": "llava", "vtwt": "--prompt", "saycam_caption": "model"}
    assert tasks_of["vtwt"]["rendered_prompt"] == "<<ab <image> c=d>>"


def test_tasks_it_cannot_do_are_left_out_unless_asked_for(
    evaluate: Evaluate, babycli: Babycli, dataset: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "mine.py", TEXT_LENGTH)
    ran = evaluate("--model", path, "--tasks", "labeled_s,saycam_caption")
    assert_explained(ran, 5, "saycam_caption", "expected is generate", "offers loglikelihood")
    logs = tmp_path / "all"
    ran = babycli("eval", "--model", path, "--data", dataset, "--output-path", logs, "--limit", 1)
    assert ran.code == 0
    assert "left out saycam_caption" in ran.err
    assert sorted(run_json(logs)["tasks"]) == ["baby_winoground", "labeled_s", "vtwt"]


def test_a_helper_beside_the_file_is_found(evaluate: Evaluate, tmp_path: Path) -> None:
    write(tmp_path / "beside_mine.py", "LOGPROB = -3.5\n")
    path = write(
        tmp_path / "mine.py",
        """
        from beside_mine import LOGPROB

        class Mine:
            def __init__(self, device, dtype): ...
            def loglikelihood(self, images, prompts, texts):
                return [[LOGPROB]] * len(texts)
        """,
    )
    assert evaluate("--model", path).code == 0
    assert samples(tmp_path / "logs", "labeled_s")[0]["resps"] == [[3.5, False]]


def test_an_entry_point(evaluate: Evaluate, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package, by its metadata, names a class; `babycli models` lists it."""
    write(tmp_path / "their_package.py", TEXT_LENGTH)
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[babycli.models]\nour-model = their_package:Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert evaluate("--model", "our-model").code == 0
    assert run_json(tmp_path / "logs")["model"]["source"] == "our-model (their_package:Mine)"
    assert "our-model" in babycli("models").out


def test_weights_that_are_no_files(evaluate: Evaluate, tmp_path: Path) -> None:
    """A pipe is not waited for, and a folder is none of them, whatever it is called."""
    path = write(tmp_path / "mine.py", TEXT_LENGTH.replace("float(factor)", "2.0"))
    weights = tmp_path / "weights"
    (weights / "folder.bin").mkdir(parents=True)
    words = ("--model", path, "--model-args", f"factor={weights}")
    assert evaluate(*words).code == 0
    os.mkfifo(weights / "config.json")
    assert_explained(evaluate(*words), 5, weights / "config.json", "a pipe", "factor=")


def test_the_fingerprint_is_of_code_arguments_and_weights(evaluate: Evaluate, tmp_path: Path) -> None:
    def fingerprint(logs: str, *words: object) -> str:
        assert evaluate("--model", f"{path}:Mine", "--output-path", tmp_path / logs, *words).code == 0
        found: str = run_json(tmp_path / logs)["model"]["fingerprint"]
        return found

    path = write(tmp_path / "mine.py", TEXT_LENGTH.replace("float(factor)", "1"))
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"one")
    first = fingerprint("a", "--model-args", f"factor={weights}")
    assert fingerprint("b", "--model-args", f"factor={weights}") == first
    weights.write_bytes(b"two")
    second = fingerprint("c", "--model-args", f"factor={weights}")
    path.write_text(path.read_text() + "\n# changed\n")
    third = fingerprint("d", "--model-args", f"factor={weights}")
    assert len({first, second, third, fingerprint("e")}) == 4


def test_weights_that_are_a_hole_are_not_read(evaluate: Evaluate, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", TEXT_LENGTH.replace("float(factor)", "1"))
    weights = tmp_path / "weights.bin"
    with weights.open("wb") as stream:
        stream.truncate(1 << 40)
    ran = evaluate("--model", path, "--model-args", f"factor={weights}", "--tasks", "vtwt", "--limit", 1)
    assert ran.code == 5
    assert f"cannot read {weights}, which factor= names: it is a hole for the most part" in ran.err


def test_nan_runs_through_and_is_not_trusted(evaluate: Evaluate, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", TEXT_LENGTH.replace("-1.0]", "float('nan')]"))
    ran = evaluate("--model", path)
    assert ran.code == 7
    assert samples(tmp_path / "logs", "labeled_s")[0]["resps"] == [[None, False]]
    (results,) = (tmp_path / "logs").glob("*/*/*_results.json")
    assert json.loads(results.read_text())["nonfinite"] == {"labeled_s": 1}


# ---------------------------------------------------------------- several pictures, several turns


SEVERAL = """
    class Several:
        max_images = {images}
        max_turns = {turns}

        def __init__(self, device, dtype): ...

        def loglikelihood(self, images, prompts, texts):
            self.asked = images, prompts, texts
            return [[-1.0] for _ in texts]

        def similarity(self, images, texts):
            self.asked = images, texts
            return [1.0 for _ in texts]

        def generate(self, images, prompts, max_new_tokens):
            self.asked = images, prompts, max_new_tokens
            return ["a ball" for _ in prompts]
"""
A, B = (Image.new("RGB", (2, 2), colour) for colour in ("red", "blue"))
TWO = domain.ask("Is <image> like <image>?", PICTURE, PICTURE)


def several(tmp_path: Path, images: int | None, turns: int | None) -> tuple[PluginModel, Any]:
    """A model of a class that takes so many, and the object of that class."""
    model = load(write(tmp_path / "several.py", SEVERAL.format(images=images, turns=turns)))
    assert isinstance(model, PluginModel)
    assert (model.info.abilities.max_images, model.info.abilities.max_turns) == (images, turns)
    return model, model._own


def test_a_class_that_takes_several_pictures_gets_a_list_for_each_request(tmp_path: Path) -> None:
    model, own = several(tmp_path, 2, 1)
    one, other = model.encode([model.preprocess(image) for image in (A, B)])
    tokens = [tokenize(model, TWO, "ball"), tokenize(model, "what?", "cup")]
    model.loglikelihood([(one, other), (other,)], tokens)
    assert own.asked == ([[A, B], [B]], ["Is <image> like <image>?", "what?"], ["ball", "cup"])
    model.similarity([(one, one), (other,)], tokens)
    assert own.asked == ([[A, A], [B]], ["Is <image> like <image>? ball", "what? cup"])
    model.generate([(other, one)], [read(model, TWO, 5)], 5)
    assert own.asked == ([[B, A]], ["Is <image> like <image>?"], 5)
    assert model.render(TWO) == "Is <image> like <image>?"


def test_a_class_that_takes_several_turns_gets_a_list_of_them(tmp_path: Path) -> None:
    model, own = several(tmp_path, None, None)
    one, other = model.encode([model.preprocess(image) for image in (A, B)])
    talk = domain.ask("Which?", PICTURE, PICTURE).followed_by("the ball", "Is ", PICTURE, " it?")
    said = [("user", "<image> <image>\nWhich?"), ("model", "the ball"), ("user", "Is <image> it?")]
    model.loglikelihood([(one, other, one)], [tokenize(model, talk, "yes")])
    assert own.asked == ([[A, B, A]], [said], ["yes"])
    model.similarity([(one, other, one)], [tokenize(model, talk, "yes")])
    assert own.asked == ([[A, B, A]], ["<image> <image>\nWhich?\nthe ball\nIs <image> it? yes"])
    model.generate([(one, other, one)], [read(model, talk, 5)], 5)
    assert own.asked == ([[A, B, A]], [said], 5)
    assert model.render(talk) == "<image> <image>\nWhich?\nthe ball\nIs <image> it?"


def test_whose_a_picture_is_can_be_told(tmp_path: Path) -> None:
    """The same words and the same picture, shown in the first turn or in the second, are two questions."""
    model, _ = several(tmp_path, 1, None)
    first = domain.ask("a", PICTURE).followed_by("b", "c")
    second = domain.ask("a").followed_by("b", PICTURE, "c")
    assert tokenize(model, first, "x").identity != tokenize(model, second, "x").identity
    model, _ = several(tmp_path, 2, 1)
    front = domain.Context((domain.Turn("user", (PICTURE, PICTURE, "a b")),))
    among = domain.Context((domain.Turn("user", (PICTURE, "a ", PICTURE, "b")),))
    assert model.render(front) == "a b"
    assert model.render(among) == "<image>a <image>b"


@pytest.mark.parametrize("attribute", ["images", "turns"])
@pytest.mark.parametrize("value", ["0", "-1", "'2'", "2.0"])
def test_a_bound_must_be_a_whole_number(attribute: str, value: str, evaluate: Evaluate, tmp_path: Path) -> None:
    code = SEVERAL.format(**{"images": 1, "turns": 1} | {attribute: value})
    ran = evaluate("--model", write(tmp_path / "several.py", code))
    assert_explained(ran, 5, "several.py", f"max_{attribute} is {value}", "whole number from 1 to 1,000,000, or None")


# ---------------------------------------------------------------- two pictures


def test_two_pictures_are_compared_by_their_encodings(tmp_path: Path) -> None:
    code = """
        class Mine:
            def __init__(self, device, dtype): ...

            def encode(self, images):
                return [image.getpixel((0, 0))[0] for image in images]

            def match(self, images, others):
                return [-abs(one - other) for one, other in zip(images, others)]
    """
    model = load(write(tmp_path / "mine.py", code))
    assert model.info.abilities.words == ("match",)
    one, other = model.encode([model.preprocess(image) for image in (A, B)])
    scores = model.match([(one, other), (one, one), (other, one)])
    assert [score.value for score in scores] == [-255.0, 0.0, -255.0]


@pytest.mark.parametrize(
    ("body", "names"),
    [("return [1.0]", ["match returned 1 answers for 2 requests"]), ("return ['a'] * 2", ["'a'", "numbers"])],
)
def test_wrong_numbers_for_two_pictures(body: str, names: list[str], tmp_path: Path) -> None:
    model = load(write(tmp_path / "mine.py", of("match(self, images, others)", body)))
    one, other = model.encode([model.preprocess(image) for image in (A, B)])
    with pytest.raises(ModelError) as refused:
        model.match([(one, other), (one, one)])
    assert all(name in str(refused.value) for name in names)


# ---------------------------------------------------------------- what is wrong


def of(method: str, body: str) -> str:
    return f"""
        class Mine:
            def __init__(self, device, dtype): ...
            def {method}:
                {body}
    """


LOGLIKELIHOOD = "loglikelihood(self, images, prompts, texts)"
SIMILARITY = "similarity(self, images, texts)"
PANIC = "raise type('PanicException', (BaseException,), {})('as libraries in Rust do')"
WRONG: dict[str, tuple[str, list[str]]] = {
    "no method": (
        "class Mine:\n    def score(self): ...\n",
        ["expected is", "loglikelihood", "similarity", "it has: score"],
    ),
    "text for numbers": (of(LOGLIKELIHOOD, "return ['-1.0'] * len(texts)"), ["'-1.0'", "a list of numbers"]),
    "text in the list": (of(LOGLIKELIHOOD, "return [['-1.0']] * len(texts)"), ["'-1.0'", "numbers"]),
    "a number for a list": (of(LOGLIKELIHOOD, "return [-1.0] * len(texts)"), ["-1.0", "a list of numbers"]),
    "a loss": (of(LOGLIKELIHOOD, "return [[2.5]] * len(texts)"), ["2.5", "log-probabilities", "not losses"]),
    "too few": (of(LOGLIKELIHOOD, "return [[-1.0]]"), ["1 answers for 4 requests"]),
    "nothing": (of(LOGLIKELIHOOD, "pass"), ["None", "a list of 4"]),
    "one text": (of("similarity(self, images, texts)", "return 'abcd'"), ["'abcd'", "a list of 4"]),
    "pairs for numbers": (of("similarity(self, images, texts)", "return [(1, 2)] * len(texts)"), ["(1, 2)", "numbers"]),
    "keys for numbers": (of(SIMILARITY, "return dict.fromkeys(range(len(texts)), 0.5)"), ["{0: 0.5", "a list of 4"]),
    "numbers in no order": (of(SIMILARITY, "return {float(i) for i in range(4)}"), ["{0.0", "a list of 4"]),
    "bytes for numbers": (of(SIMILARITY, "return bytes(len(texts))"), ["b'", "a list of 4"]),
    "answers without an end": (
        of(SIMILARITY, "import itertools; return itertools.repeat(0.5)"),
        ["more answers for 4 requests"],
    ),
    "a generator raises": (
        of(SIMILARITY, "yield 0.5; raise KeyError('spam')"),
        ["KeyError", "spam", "mine.py, line 5"],
    ),
    "a number raises": (
        of(SIMILARITY, "return [type('N', (), {'__float__': lambda own: 1 / 0})() for _ in texts]"),
        ["ZeroDivisionError", "mine.py, line 5"],
    ),
    "it ends the program": (of(LOGLIKELIHOOD, "raise SystemExit"), ["SystemExit", "mine.py, line 5"]),
    "it ends the program as it is made": (
        of("loglikelihood(self)", "...").replace("): ...", "): raise SystemExit(0)"),
        ["cannot make a Mine", "SystemExit: 0"],
    ),
    "it ends the program as it is imported": ("import sys\nsys.exit('done')\n", ["SystemExit: done"]),
    "it panics": (of(LOGLIKELIHOOD, PANIC), ["PanicException", "mine.py, line 5"]),
    "it raises": (of(LOGLIKELIHOOD, "raise KeyError('spam')"), ["KeyError", "spam", "mine.py, line 5"]),
    "a wrong signature": (of("similarity(self, images)", "return [1.0]"), ["similarity failed", "TypeError"]),
    "it cannot be made": (of(LOGLIKELIHOOD, "pass").replace("dtype)", "dtyp)"), ["cannot make a Mine", "dtype"]),
    "a syntax error": ("class Mine\n", ["cannot import", "SyntaxError", "line 1"]),
    "a missing package": ("import no_such_package\n", ["no_such_package"]),
    "prompts are no dict": (
        TEXT_LENGTH.replace("class Mine:", "class Mine:\n        prompts = 3"),
        ["prompts", "dict"],
    ),
    "half a character in its prompts": (
        TEXT_LENGTH.replace("class Mine:", "class Mine:\n        prompts = {'labeled_s': '\\ud800'}"),
        ["prompts", "'\\ud800'"],
    ),
    "more pictures than can be written down": (
        TEXT_LENGTH.replace("class Mine:", "class Mine:\n        max_images = 10**400"),
        ["max_images is 1000", "from 1 to 1,000,000"],
    ),
    "several classes": ("class A: ...\nclass B: ...\n", ["A, B"]),
    "no class": ("x = 1\n", ["none"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_classes(case: str, evaluate: Evaluate, tmp_path: Path) -> None:
    code, names = WRONG[case]
    ran = evaluate("--model", write(tmp_path / "mine.py", code))
    assert_explained(ran, 5, "mine.py", *names)


def test_it_may_leave_the_current_folder(evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is imported, made and asked: the paths of the command line still begin where the command was given."""
    monkeypatch.chdir(tmp_path)
    leave = f"__import__('os').chdir({str(REPOSITORY)!r})"
    code = of(LOGLIKELIHOOD, f"{leave}; return [[-1.0]] * len(texts)").replace("): ...", f"): {leave}")
    write(tmp_path / "mine.py", f"{leave}\n{dedent(code)}")
    ran = evaluate("--model", "mine.py", "--output-path", "logs", "--tasks", "vtwt")
    assert ran.code == 0, ran.err
    assert len(samples(tmp_path / "logs", "vtwt")) == 1


def test_wrong_captions(evaluate: Evaluate, tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.py", of("generate(self, images, prompts, max_new_tokens)", "return [3] * len(images)")
    )
    assert_explained(evaluate("--model", path, "--tasks", "saycam_caption"), 5, "generate returned 3", "a text")


def test_wrong_names(evaluate: Evaluate, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", TEXT_LENGTH)
    assert_explained(evaluate("--model", f"{path}:Mien"), 5, "no class 'Mien'", "Did you mean 'Mine'?")
    assert_explained(evaluate("--model", tmp_path / "other.py:Mine"), 2, "there is no file", "other.py")


def test_an_argument_that_the_class_has_not(evaluate: Evaluate, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", TEXT_LENGTH)
    ran = evaluate("--model", path, "--model-args", "facto=2")
    assert_explained(ran, 2, "Mine has no argument 'facto'", "Did you mean 'factor'?")
    assert "mend: --model-args takes: factor\n" in ran.err
    path = write(tmp_path / "none.py", TEXT_LENGTH.replace(', factor="1"', "").replace("float(factor)", "1.0"))
    assert "leave out --model-args" in evaluate("--model", path, "--model-args", "facto=2").err
    path = write(tmp_path / "any.py", TEXT_LENGTH.replace('factor="1"', 'factor="1", **others'))
    assert evaluate("--model", path, "--model-args", "facto=2", "--tasks", "vtwt", "--limit", 1).code == 0


def test_a_file_leaves_nothing_on_the_path(evaluate: Evaluate, tmp_path: Path) -> None:
    before = list(sys.path)
    evaluate("--model", write(tmp_path / "mine.py", "raise RuntimeError('no')\n"))
    assert sys.path == before


def test_a_file_that_changes_in_the_same_second_is_compiled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "own.py"
    for value in (1, 2):
        file.write_text(f"VALUE = {value}\n")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert value == import_file(file).VALUE
    assert [path.name for path in tmp_path.iterdir()] == ["own.py"]  # and nothing is left beside it


# ---------------------------------------------------------------- replies that are none

WRITES = """
    import sys

    class Mine:
        n = 0

        def __init__(self, device, dtype): ...

        def generate(self, images, prompts, max_new_tokens):
            BODY
"""


def test_replies_without_a_word_are_not_trusted(evaluate: Evaluate, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", WRITES.replace("BODY", "return ['' if i.width else 'a' for i in images]"))
    ran = evaluate("--model", path, "--tasks", "saycam_caption", "--limit", 3)
    assert ran.code == 7
    said = "saycam_caption: 3 of 3 replies are empty, without a word; the longest run of them is 3, from row 0"
    assert f"note: {said}" in ran.err
    assert f"so the score says nothing ({said})" in ran.err


def test_a_message_is_not_glued_to_a_progress_bar(evaluate: Evaluate, tmp_path: Path) -> None:
    body = "sys.stderr.write('\\r 50%|##  |'); raise ValueError('spam')"
    ran = evaluate("--model", write(tmp_path / "mine.py", WRITES.replace("BODY", body)), "--tasks", "saycam_caption")
    assert ran.code == 5
    lines = ran.err.replace("\r", "\n").splitlines()
    assert " 50%|##  |" in lines
    assert any(line.startswith("babycli: ") and "spam" in line for line in lines)
