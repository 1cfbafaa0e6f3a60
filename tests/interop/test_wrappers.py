"""Wrappers written for lmms-eval: what their numbers mean, what they find around them, and what they may do wrong.

Each test writes a wrapper's file. lmms-eval is not installed where these tests run, so the stand-in serves the
wrappers, except in the last part, where a small package of that name is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Babycli, Ran
from tests.models.conftest import Evaluate
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_plugin import run_json, samples

ONE_LOSS = "return [(1.0, False)] * len(requests)"
ONE_TEXT = "return ['a ball'] * len(requests)"
BY_LENGTH = "return [(float(args['times']) * (len(r.args[1]) - len(' ')), r.args[1][0] == ' ') for r in requests]"
NOT_OFFERED = "raise NotImplementedError('not yet')"

# The mean colour, from the picture that the task's document holds. What it has seen it paints over, and it remembers
# by a document's number, so a picture that is not its own copy or a number that changes hands is noticed.
BY_COLOUR = """
    answers = []
    for prompt, text, doc_to_visual, doc_id, task, split in [r.args for r in requests]:
        (image,) = doc_to_visual(self.task_dict[task][split][doc_id])
        colour = sum(ImageStat.Stat(image).mean) / 3
        image.paste((0, 0, 0), (0, 0, *image.size))
        assert seen.setdefault((task, split, doc_id), colour) == colour
        answers.append((args["times"] * (colour + len(text.strip())), False))
    return answers
"""


def wrapper(
    loglikelihood: str = ONE_LOSS,
    generate_until: str = ONE_TEXT,
    *,
    init: str = "",
    takes: str = "batch_size=1, device='cpu', **kwargs",
    head: str = "",
    names: str = "'mine'",
) -> str:
    """The text of a file that registers one model, with these bodies of its methods."""

    def body(text: str) -> str:
        return indent(dedent(text).strip("\n"), " " * 8)

    return "\n".join(
        [
            "from PIL import ImageStat",
            "from lmms_eval.api.instance import Instance",
            "from lmms_eval.api.model import lmms",
            "from lmms_eval.api.registry import register_model",
            dedent(head),
            "args = {}",
            "seen = {}",
            f"@register_model({names})",
            "class Mine(lmms):",
            '    """Tries things."""',
            f"    def __init__(self, {takes}):",
            "        super().__init__()",
            "        args.update(locals().get('kwargs', {}))",
            body(init),
            "    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:",
            body(loglikelihood),
            "    def generate_until(self, requests: list[Instance]) -> list[str]:",
            body(generate_until),
            "    def generate_until_multi_round(self, requests):",
            "        raise NotImplementedError",
            "",
        ]
    )


class Runs:
    """`babycli eval` of a wrapper's text, and what it left behind."""

    def __init__(self, evaluate: Evaluate, folder: Path) -> None:
        self._evaluate, self.path, self.logs = evaluate, folder / "mine.py", folder / "logs"

    def __call__(self, code: str, *words: object, args: str = "sign=loss", name: str = "") -> Ran:
        self.path.write_text(code)
        return self._evaluate("--model", f"lmms:{self.path}{name}", *(("--model-args", args) if args else ()), *words)

    def samples(self, task: str = "labeled_s") -> list[dict[str, Any]]:
        return samples(self.logs, task)

    def results(self) -> dict[str, Any]:
        (path,) = self.logs.glob("*/*/*_results.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    @property
    def model(self) -> dict[str, Any]:
        found: dict[str, Any] = run_json(self.logs)["model"]
        return found

    @property
    def can(self) -> tuple[list[str], bool]:
        """How it scores, and whether it writes."""
        abilities = self.model["abilities"]
        return abilities["scores"], abilities["writes"]

    @property
    def captions(self) -> list[str]:
        return [line["resps"][0][0] for line in self.samples("saycam_caption")]

    def line(self, code: str, what: str) -> str:
        """``mine.py:LINE`` of a wrapper's text where ``what`` stands."""
        return f"{self.path}:{next(n for n, line in enumerate(code.splitlines(), 1) if what in line)}"


@pytest.fixture
def runs(evaluate: Evaluate, tmp_path: Path) -> Runs:
    return Runs(evaluate, tmp_path)


CAPTIONS = ("--tasks", "saycam_caption")


# ---------------------------------------------------------------- what a number means


@pytest.mark.parametrize(("sign", "times"), [("loss", 0.5), ("logprob", -0.5)])
def test_numbers_by_length(sign: str, times: float, runs: Runs) -> None:
    """The same for every picture: pictures tie, and of two phrases the shorter one wins."""
    ran = runs(wrapper(BY_LENGTH), "--tasks", "labeled_s,vtwt", "--limit", 5, args=f"sign={sign},times={times}")
    assert ran.code == 0, ran.err
    lines = runs.samples()
    assert len(lines) == 20
    assert [line["resps"] for line in lines] == [[[0.5 * len(line["target"]), True]] for line in lines]
    phrases = runs.samples("vtwt")
    right = 0.0
    for line in phrases:
        texts = [line["doc"]["positive_phrase"], line["doc"]["negative_phrase"]]
        assert line["resps"] == [[0.5 * len(text), True] for text in texts]
        right += 1 if len(texts[0]) < len(texts[1]) else 0.5 if len(texts[0]) == len(texts[1]) else 0
    assert 0 < right < len(phrases)
    results = runs.results()
    assert results["results"]["labeled_s"]["acc,none"] == 0.25
    assert results["ties"]["labeled_s"] == 5
    assert results["results"]["vtwt"]["acc,none"] == pytest.approx(right / len(phrases))


@pytest.mark.parametrize(("sign", "times"), [("loss", 2), ("logprob", -2)])
def test_numbers_by_colour(sign: str, times: int, runs: Runs, dataset: Path) -> None:
    """In batches of two, so that documents come and go."""
    words = ("--tasks", "labeled_s,vtwt", "--limit", 5, "--batch-size", 2)
    ran = runs(wrapper(BY_COLOUR), *words, args=f"sign={sign},times={times}")
    assert ran.code == 0, ran.err

    def expected(folder: str, image: str, text: str) -> float:
        with Image.open(dataset / folder / image) as picture:
            return 2 * (float(np.asarray(picture.convert("RGB")).mean()) + len(text))

    lines = runs.samples()
    losses = [expected("labeled_s/images", line["doc"]["image"], line["target"]) for line in lines]
    assert [line["resps"][0][0] for line in lines] == pytest.approx(losses, rel=1e-9)
    assert len(set(losses)) > 10
    hits = 0
    for first in range(0, 20, 4):
        darkest = lines[min(range(first, first + 4), key=lambda i: losses[i])]["doc"]
        hits += darkest["real_category"] == darkest["target_category"]
    assert runs.results()["results"]["labeled_s"]["acc,none"] == hits / 5
    for line in runs.samples("vtwt"):
        doc = line["doc"]
        both = [expected("vtwt/images", doc["image"], doc[k]) for k in ("positive_phrase", "negative_phrase")]
        assert [r[0] for r in line["resps"]] == pytest.approx(both, rel=1e-9)


def test_the_sign_must_be_said(runs: Runs) -> None:
    ran = runs(wrapper(), args="")
    assert_explained(ran, 2, "--model-args has no sign")
    assert "sign=loss|logprob" in ran.err
    assert_explained(runs(wrapper(), args="sign=los"), 2, "unknown sign 'los'")


@pytest.mark.parametrize(("sign", "value", "other"), [("loss", -2.5, "logprob"), ("logprob", 2.5, "loss")])
def test_a_sign_that_is_not_true(sign: str, value: float, other: str, runs: Runs) -> None:
    ran = runs(wrapper(f"return [({value}, False)] * len(requests)"), args=f"sign={sign}")
    assert_explained(ran, 5, "mine.py", f"gave {value} for 'ball'", f"sign={sign} is not true")
    assert f"--model-args sign={other}" in ran.err
    assert not runs.logs.exists()


def test_a_sign_that_turns_out_later(runs: Runs) -> None:
    """Every number is held against it, not only those of the trial before the run."""
    ran = runs(
        wrapper("seen[len(seen)] = 1\nreturn [(1.0 if len(seen) == 1 else -3.25, False)] * len(requests)"),
    )
    assert_explained(ran, 5, "gave -3.25 for 'ball'", "sign=loss is not true")
    assert "stopped after 0 of 4 requests" in ran.err


def test_a_probability_of_one_may_round(runs: Runs) -> None:
    assert runs(wrapper("return [(1e-9, True)] * len(requests)"), args="sign=logprob").code == 0
    assert runs.samples()[0]["resps"] == [[-1e-9, True]]


def test_zeros_cannot_be_checked(runs: Runs) -> None:
    assert runs(wrapper("return [(0.0, True)] * len(requests)")).code == 0
    assert any("could not be checked" in note for note in runs.model["notes"])


def test_nan_runs_through_and_is_not_trusted(runs: Runs) -> None:
    code = "seen[len(seen)] = 1\nreturn [(1.0 if len(seen) == 1 else float('nan'), False)] * len(requests)"
    assert runs(wrapper(code)).code == 7
    assert runs.results()["nonfinite"] == {"labeled_s": 1}
    assert_explained(runs(wrapper("return [(float('nan'), False)] * len(requests)")), 5, "gave nan", "finite")


def test_numbers_of_torch_and_numpy(runs: Runs) -> None:
    code = wrapper(
        "return [(torch.tensor(1.5), numpy.bool_(True)), [numpy.float32(2.5), torch.tensor(False)]] * 2",
        NOT_OFFERED,
        head="import numpy, torch",
    ).replace("* 2", "* (len(requests) // 2)")
    assert runs(code).code == 0
    assert [line["resps"] for line in runs.samples()] == [[[1.5, True]], [[2.5, False]]] * 2


# ---------------------------------------------------------------- captions


def test_settings_are_a_copy_for_each_caption(runs: Runs) -> None:
    """A wrapper takes out what it knows; two captions in one batch."""
    code = """
        texts = []
        for r in requests:
            wish = r.args[1]
            left = [wish.pop(key) for key in ("max_new_tokens", "temperature", "do_sample", "num_beams")]
            texts.append(f"{len(requests)} {left} {wish['until'].pop()!r} {wish}")
        return texts
    """
    ran = runs(wrapper(generate_until=code), *CAPTIONS, "--limit", 2)
    assert ran.code == 0, ran.err
    assert runs.captions == ["2 [25, 0, False, 1] '\\n\\n' {'until': []}"] * 2


def test_a_caption_with_its_cost(runs: Runs) -> None:
    code = "return [GenerationResult(text='a cup', token_counts=TokenCounts(output_tokens=2)) for r in requests]"
    head = "from lmms_eval.api.instance import GenerationResult, TokenCounts"
    assert runs(wrapper(generate_until=code, head=head), *CAPTIONS).code == 0
    assert runs.captions == ["a cup"]


def test_without_loglikelihood_it_writes_captions_only(runs: Runs, babycli: Babycli, dataset: Path) -> None:
    code = wrapper(NOT_OFFERED)
    ran = runs(code, "--tasks", "labeled_s,saycam_caption")
    assert_explained(ran, 5, "cannot do labeled_s", "offers generate")
    assert runs(code, *CAPTIONS).code == 0
    assert runs.captions == ["a ball"]
    assert runs.can == ([], True)
    assert any("loglikelihood was not tried: no task of this run asks for it" in note for note in runs.model["notes"])
    words = ("--data", dataset, "--output-path", runs.logs.parent / "all", "--limit", 1)
    ran = babycli("eval", "--model", f"lmms:{runs.path}", "--model-args", "sign=loss", *words)
    assert ran.code == 0
    assert "left out labeled_s, vtwt, baby_winoground" in ran.err


def test_without_generate_it_chooses_only(runs: Runs) -> None:
    code = wrapper(generate_until=NOT_OFFERED)
    assert_explained(runs(code, *CAPTIONS), 5, "cannot do saycam_caption", "raise NotImplementedError('not yet')")
    assert runs(code).code == 0
    assert runs.can == (["loglikelihood"], False)


# ---------------------------------------------------------------- what a wrapper finds around it


def test_what_it_imports(runs: Runs) -> None:
    """loguru and the tools of lmms_eval.utils, at the top and again while it works."""
    head = """
        from loguru import logger as eval_logger
        from lmms_eval import utils
        from lmms_eval.utils import Collator, stop_sequences_criteria
        eval_logger.add("file.log")
    """
    loglikelihood = """
        from loguru import logger
        logger.debug("asked {} times", len(requests))
        logger.bind(a=1).warning("loss of {n}", n=len(requests))
        by_length = Collator([r.args for r in requests], lambda args: -len(args[1]), lambda args: 0, grouping=True)
        answers = []
        for batch in by_length.get_batched(n=2):
            assert 1 <= len(batch) <= 2
            answers += [(float(len(args[1].strip())), False) for args in batch]
        return by_length.get_original(answers)
    """
    generate = """
        assert utils.simple_parse_args_string("a=1,b=[1,2],c=true,d=x") == {"a": 1, "b": "[1,2]", "c": True, "d": "x"}
        return [f"{len(chunk)}" for chunk in utils.chunks(requests, n=2) for r in chunk]
    """
    ran = runs(wrapper(loglikelihood, generate, head=head), "--tasks", "vtwt,saycam_caption", "--limit", 3)
    assert ran.code == 0, ran.err
    assert runs.captions == ["2", "2", "1"]
    for line in runs.samples("vtwt"):
        texts = [line["doc"]["positive_phrase"], line["doc"]["negative_phrase"]]
        assert line["resps"] == [[len(text), False] for text in texts]
    assert runs.model["notes"][0] == "lmms-eval is not installed: the wrapper ran with babycli's stand-in for it"


def test_its_arguments(runs: Runs) -> None:
    """As lmms-eval gives them, and without the sign."""
    code = wrapper(
        generate_until="return [f'{sorted(args.items())} {self.given}'] * len(requests)",
        init="self.given = (batch_size, device)",
    )
    assert runs(code, *CAPTIONS, args="sign=loss,pretrained=a/b,flag=true,n=3,rate=0.5,batch_size=4").code == 0
    assert runs.captions == ["[('flag', True), ('n', 3), ('pretrained', 'a/b'), ('rate', 0.5)] (4, 'cpu')"]


@pytest.mark.parametrize(
    ("takes", "words", "expected"),
    [
        ("**kwargs", (), "None"),
        ("dtype='auto', **kwargs", (), "auto"),
        ("dtype='auto', **kwargs", ("--dtype", "bfloat16"), "bfloat16"),
        ("dtype='auto', **kwargs", ("--dtype", "float32"), "float32"),
        ("dtype=torch.bfloat16, **kwargs", (), "torch.bfloat16"),
        ("dtype=torch.float16, **kwargs", ("--dtype", "bfloat16"), "torch.bfloat16"),
        ("*, dtype=torch.float16, **kwargs", ("--model-args", "sign=loss,dtype=bfloat16"), "torch.bfloat16"),
        ("dtype='float16', **kwargs", ("--model-args", "sign=loss,dtype=auto"), "auto"),
        ("**kwargs", ("--dtype", "bfloat16"), "bfloat16"),
    ],
)
def test_its_dtype(takes: str, words: tuple[str, ...], expected: str, runs: Runs) -> None:
    code = wrapper(
        generate_until="return [self.given] * len(requests)",
        init="given = locals()\nself.given = str(given.get('dtype', kwargs.get('dtype')))",
        takes=takes,
        head="import torch",
    )
    args = "" if "--model-args" in words else "sign=loss"
    assert runs(code, *CAPTIONS, *words, args=args).code == 0
    assert runs.captions == [expected]


def test_its_network_is_described(runs: Runs) -> None:
    code = wrapper(init="self.model = torch.nn.Linear(3, 2).half()", head="import torch")
    assert runs(code).code == 0
    assert (runs.model["n_parameters"], runs.model["dtype"]) == (8, "float16")


def test_what_it_prints_is_no_output(runs: Runs) -> None:
    ran = runs(
        wrapper("print('in the method')\n" + ONE_LOSS, init="print('in the constructor')", head="print('on top')")
    )
    assert ran.code == 0
    for text in ("on top", "in the constructor", "in the method"):
        assert text not in ran.out
        assert text in ran.err


@pytest.mark.parametrize(
    "code",
    [
        wrapper(),
        wrapper(init="1 / 0"),
        *(pytest.param(code, marks=pytest.mark.long) for code in (wrapper("raise KeyError('no')"), "1 +\n")),
    ],
)
def test_nothing_stays_behind(code: str, runs: Runs) -> None:
    runs(wrapper())  # what babycli itself imports only when it evaluates
    modules, path = dict(sys.modules), list(sys.path)
    runs(code)
    assert sys.path == path
    assert sys.modules == modules
    names = {name.partition(".")[0] for name in sys.modules}
    assert not names & {"lmms_eval", "loguru", "babycli_lmms_wrapper", "mine"}


def test_a_module_of_the_same_name_comes_back(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmms_eval", None)  # as where something has blocked it
    assert runs(wrapper()).code == 0
    assert sys.modules["lmms_eval"] is None
    assert "lmms_eval.api" not in sys.modules


# ---------------------------------------------------------------- prompts


def test_llava_gets_its_prompts(runs: Runs) -> None:
    code = wrapper("return [(float(len(r.args[0])), False) for r in requests]", names="'llava'")
    ran = runs(code)
    assert ran.code == 0
    assert "has no prompt of its own" not in ran.err
    prompt = "USER: What's the object in the image? <image> ASSISTANT:"
    assert runs.samples()[0]["prompt"] == prompt
    assert runs.samples()[0]["resps"] == [[len(prompt), False]]
    assert run_json(runs.logs)["tasks"]["labeled_s"]["prompt_origin"] == "llava"


def test_others_get_the_default_and_are_told(runs: Runs) -> None:
    code = wrapper("return [(float(len(r.args[0])), False) for r in requests]")
    ran = runs(code)
    assert ran.code == 0
    assert "lmms has no prompt of its own for labeled_s" in ran.err
    assert runs.samples()[0]["resps"] == [[0, False]]
    ran = runs(code, "--prompt", "What?", "--output-path", runs.logs.parent / "asked")
    assert "has no prompt of its own" not in ran.err
    assert samples(runs.logs.parent / "asked", "labeled_s")[0]["resps"] == [[5, False]]


# ---------------------------------------------------------------- several models, and models show


def two(first: str = "'one'", second: str = "'two'") -> str:
    return wrapper(names=first) + wrapper("return [(2.0, False)] * len(requests)", names=second)


def test_one_of_several(runs: Runs) -> None:
    ran = runs(two())
    assert_explained(ran, 2, "mine.py registers several models: one, two")
    assert f"--model lmms:{runs.path}:one" in ran.err
    ran = runs(two(), name=":tow")
    assert_explained(ran, 2, "registers no 'tow'. Did you mean 'two'?")
    assert "it registers: one, two" in ran.err
    assert runs(two(), name=":two").code == 0
    assert runs.samples()[0]["resps"] == [[2, False]]


def test_two_names_of_one_model(runs: Runs) -> None:
    assert runs(wrapper(names="'one', 'also'")).code == 0
    assert runs.model["prompts_like"] == "one"


def test_the_fingerprint_is_of_code_name_and_arguments(runs: Runs) -> None:
    def fingerprint(code: str, name: str, args: str) -> str:
        logs = runs.logs.parent / f"logs{len(found)}"
        assert runs(code, "--output-path", logs, name=name, args=args).code == 0
        result: str = run_json(logs)["model"]["fingerprint"]
        return result

    found: list[str] = []
    for case in (
        (two(), ":one", "sign=loss"),
        (two(), ":two", "sign=loss"),
        (two(), ":one", "sign=loss,a=1"),
        (two() + "# changed", ":one", "sign=loss"),
    ):
        found.append(fingerprint(*case))
    assert len(set(found)) == 4
    assert fingerprint(two(), ":one", "sign=loss") == found[0]


def test_models_show_constructs_nothing(babycli: Babycli, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(wrapper(init="1 / 0", names="'llava'"))
    ran = babycli("models", "show", f"lmms:{path}")
    assert ran.code == 0, ran.err
    assert "lmms, offers loglikelihood, generate" in ran.out
    assert "Mine: Tries things." in ran.out
    assert "stand-in" in ran.out
    assert "USER: What's the object in the image?" in ran.out
    ran = babycli("models", "show", f"lmms:{path}", "--json")
    assert json.loads(ran.out)["prompts"]["vtwt"]["origin"] == "llava"


def test_the_family_is_listed(babycli: Babycli) -> None:
    ran = babycli("models")
    assert "lmms:path/to/model.py:registered_name" in ran.out
    assert "sign=..." in ran.out


# ---------------------------------------------------------------- what is wrong

RAISES = "raise ValueError('spam')  # here"
WRONG: dict[str, tuple[str, list[str]]] = {
    "texts for pairs": (
        wrapper("return ['-1.0'] * len(requests)"),
        ["loglikelihood of Mine gave '-1.0' (str)", "a pair (float, bool)"],
    ),
    "one text for all": (wrapper("return 'ab'"), ["loglikelihood of Mine gave 'ab' (str)", "a list"]),
    "nothing": (
        wrapper("nothing = None\nreturn nothing"),
        ["gave None (NoneType) for 2 requests", "a list of one answer for each"],
    ),
    "too few": (wrapper("return [(1.0, False)]"), ["gave 1 answers for 2 requests", "a list of one answer for each"]),
    "too many": (wrapper("return [(1.0, False)] * 3"), ["gave 3 answers for 2 requests"]),
    "bare floats": (wrapper("return [1.5] * len(requests)"), ["gave 1.5 (float)", "a pair (float, bool)"]),
    "texts in pairs": (wrapper("return [('1.0', False)] * len(requests)"), ["gave ('1.0', False)", "(float, bool)"]),
    "truths in pairs": (wrapper("return [(True, False)] * len(requests)"), ["gave (True, False)", "(float, bool)"]),
    "numbers for texts": (
        wrapper(generate_until="return [3] * len(requests)"),
        ["generate_until of Mine gave 3 (int)", "a text (str)"],
    ),
    "too few texts": (wrapper(generate_until="return []"), ["generate_until of Mine gave 0 answers for 1 requests"]),
    "the constructor raises": (
        wrapper(init=RAISES),
        ["LINE", "constructing Mine raised ValueError: spam"],
    ),
    "the constructor exits": (
        wrapper(init="raise SystemExit('spam')  # here"),
        ["LINE", "constructing Mine raised SystemExit: spam"],
    ),
    "it panics": (
        wrapper("raise type('PanicException', (BaseException,), {})('spam')  # here"),
        ["LINE", "its loglikelihood raised PanicException: spam"],
    ),
    "loglikelihood raises": (wrapper(RAISES), ["LINE", "its loglikelihood raised ValueError: spam"]),
    "generate_until raises": (wrapper(generate_until=RAISES), ["LINE", "its generate_until raised ValueError: spam"]),
    "an operation is missing": (
        wrapper(
            "r = requests[0].args\nr[2](self.task_dict[r[4]][r[5]][r[3]])\nraise NotImplementedError('op')  # here"
        ),
        ["LINE", "its loglikelihood raised NotImplementedError: op"],
    ),
    "it offers nothing": (
        wrapper(NOT_OFFERED, NOT_OFFERED),
        ["Mine cannot do labeled_s, saycam_caption", "all that loglikelihood does is  raise NotImplementedError"],
    ),
    "another abstract method is missing": (
        wrapper(head="import abc\nclass Base(lmms):\n    @abc.abstractmethod\n    def look(self): ...").replace(
            "Mine(lmms)", "Mine(Base)"
        ),
        ["Mine does not define look;", "expected are loglikelihood, generate_until"],
    ),
    "it talks in chats": (
        wrapper().replace("    def __init__", "    is_simple = False\n    def __init__"),
        ["chat wrapper"],
    ),
    "its base is not made": (wrapper().replace("super().__init__()", "pass"), ["Mine has no task_dict"]),
    "no registered model": (
        wrapper().replace("@register_model('mine')", ""),
        ["registers no model", "@register_model"],
    ),
    "an empty file": ("", ["mine.py registers no model"]),
    "a class of another kind": (
        wrapper().replace("(lmms):", ":"),
        ["importing it raised TypeError", "Mine", "must extend lmms"],
    ),
    "a missing module": (
        wrapper(head="import no_such_package  # here"),
        ["LINE", "needs the module 'no_such_package'"],
    ),
    "a missing module of lmms-eval": (
        wrapper(head="from lmms_eval.models.model_utils.qwen import process  # here"),
        ["LINE", "needs more of lmms-eval than babycli stands in for", "lmms_eval.models"],
    ),
    "a missing tool of lmms-eval": (
        wrapper(head="from lmms_eval.utils import make_table  # here"),
        ["LINE", "needs more of lmms-eval than babycli stands in for", "make_table"],
    ),
    "a missing tool of lmms-eval, used later": (
        wrapper("utils.make_table()  # here", head="from lmms_eval import utils"),
        ["LINE", "babycli's stand-in for lmms_eval.utils has no make_table"],
    ),
    "a syntax error": ("x = (1 + # here\n", ["LINE", "importing it raised SyntaxError"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_wrappers(case: str, runs: Runs) -> None:
    code, names = WRONG[case]
    ran = runs(code, "--tasks", "labeled_s,saycam_caption")
    assert_explained(ran, 5, "mine.py", *(runs.line(code, "# here") if name == "LINE" else name for name in names))
    assert not runs.logs.exists()


def test_a_line_of_a_file_that_is_named_from_here(
    babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n\nraise KeyError('spam')\n"
    Path("mine.py").write_text(code)
    assert_explained(babycli("models", "show", "lmms:mine.py"), 5, "mine.py:3: importing it raised KeyError")
    Path("mine.py").write_text("\nx = (\n")
    assert_explained(babycli("models", "show", "lmms:./mine.py"), 5, "mine.py:2: importing it raised SyntaxError")


def test_it_may_leave_the_current_folder(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    leave = "import os; os.chdir('/')"
    assert runs(wrapper(f"{leave}\n{ONE_LOSS}", init=leave, head=leave), "--output-path", "logs").code == 0
    assert len(runs.samples()) == 4


def test_what_may_mend_it(runs: Runs) -> None:
    ran = runs(wrapper(head="from lmms_eval.models.model_utils.qwen import process"))
    assert "pip install lmms-eval" in ran.err
    ran = runs(wrapper(head="import no_such_package.deeper"))
    assert "pip install no_such_package" in ran.err


def test_wrong_names(evaluate: Evaluate, runs: Runs, tmp_path: Path) -> None:
    runs.path.write_text(wrapper())
    args = ("--model-args", "sign=loss")
    ran = evaluate("--model", f"lmms:{tmp_path / 'mien.py'}", *args)
    assert_explained(ran, 2, "mien.py is no file", "Did you mean 'mine.py'?")
    assert_explained(evaluate("--model", f"lmms:{tmp_path}", *args), 2, "is a folder")
    (tmp_path / "mine.txt").write_text(wrapper())
    assert_explained(evaluate("--model", f"lmms:{tmp_path / 'mine.txt'}", *args), 5, "not a Python file")


# ---------------------------------------------------------------- where lmms-eval is installed

PACKAGE = {
    "__init__.py": "",
    "api/__init__.py": "",
    "api/model.py": """
        import abc

        class lmms(abc.ABC):
            mark = "theirs"

            def __init__(self):
                self.task_dict = {}

            @abc.abstractmethod
            def loglikelihood(self, requests): ...

            @classmethod
            def create_from_arg_string(cls, text, config=None):
                return cls(text=text, **config)
    """,
    "api/registry.py": """
        MODEL_REGISTRY = {"older": object}

        def register_model(*names):
            def register(cls):
                MODEL_REGISTRY.update(dict.fromkeys(names, cls))
                return cls
            return register
    """,
    "api/instance.py": """
        class Instance:
            made = 0

            def __init__(self, request_type, arguments, idx, metadata):
                self.args = arguments
                Instance.made += 1
    """,
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package lmms_eval on sys.path, and none of it imported afterwards."""
    site = tmp_path / "site"
    for name, code in PACKAGE.items():
        path = site / "lmms_eval" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(code))
    info = site / "lmms_eval-9.8.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lmms_eval\nVersion: 9.8.7\n")
    monkeypatch.syspath_prepend(site)
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == "lmms_eval"]:
        del sys.modules[name]


def test_an_installed_lmms_eval_is_used(runs: Runs, installed: Path) -> None:
    code = wrapper(
        generate_until="return [f'{self.mark} {Instance.made} {self.text} {type(requests[0]) is Instance}']",
        init="self.text = args.pop('text')",
        head="from loguru import logger\nlogger.info('still stood in for')",
    )
    ran = runs(code, "--tasks", "labeled_s,saycam_caption", args="sign=loss,a=1,b=x")
    assert ran.code == 0, ran.err
    # 2 + 1 requests when it is tried, 4 of Labeled-S, and this one
    assert runs.captions == ["theirs 8 a=1,b=x True"]
    assert "the wrapper ran with lmms-eval 9.8.7" in runs.model["notes"]
    assert not any("stand-in" in note for note in runs.model["notes"])
    assert sys.modules["lmms_eval.api.model"].__file__ == str(installed / "lmms_eval" / "api" / "model.py")


def test_what_an_installed_lmms_eval_lacks(runs: Runs, installed: Path) -> None:
    """It is not mixed with the stand-in."""
    code = wrapper(head="from lmms_eval.utils import Collator  # here")
    assert_explained(runs(code), 5, runs.line(code, "# here"), "needs the module 'lmms_eval.utils'")


def test_an_installed_lmms_eval_that_cannot_be_imported(runs: Runs, installed: Path) -> None:
    (installed / "lmms_eval" / "__init__.py").write_text("raise RuntimeError('half of it')\n")
    assert_explained(runs(wrapper()), 5, "importing lmms-eval raised RuntimeError: half of it", "__init__.py:1")


def test_an_installed_lmms_eval_without_requests(runs: Runs, installed: Path) -> None:
    (installed / "lmms_eval" / "api" / "instance.py").unlink()
    code = wrapper().replace("from lmms_eval.api.instance import Instance", "Instance = object")
    assert_explained(runs(code), 5, "mine.py", "needs the module 'lmms_eval.api.instance'")
