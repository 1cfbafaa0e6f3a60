"""`babycli submission`: what it writes, that what it writes agrees with babycli, and what it finds in other wrappers.

The faults are planted in the wrapper of devcv_wrapper.py, which has none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from babycli.models import BUNDLED
from tests.conftest import Babycli, Ran
from tests.interop.devcv_wrapper import SET, WRAPPER
from tests.interop.test_wrappers_devcv import tiny
from tests.models.test_bad_checkpoints import assert_explained

__all__ = ["tiny"]  # a fixture

Check = Callable[..., Ran]


@pytest.fixture
def made(babycli: Babycli, tiny: Path, tmp_path: Path) -> tuple[Ran, Path]:
    words = ("--model", tiny / "checkpoint", "--model-args", "conv_template=baby_v1", "--name", "Tiny 2.0")
    ran = babycli("submission", tmp_path / "mine", *words, "--data", tiny / "dataset", "--set", SET, "--limit", 2)
    return ran, tmp_path / "mine"


@pytest.fixture
def check(babycli: Babycli, tiny: Path, tmp_path: Path) -> Check:
    """`babycli submission check` of a wrapper's text, as JSON."""

    def run(code: str, *words: object) -> Ran:
        path = tmp_path / "model.py"
        path.write_text(code)
        return babycli(
            "submission",
            "check",
            path,
            "--model-args",
            f"pretrained={tiny / 'checkpoint'},conv_template=baby_v1",
            *words,
        )

    return run


def findings(ran: Ran) -> dict[str, dict[str, str]]:
    """The findings by check."""
    return {finding["check"]: finding for finding in json.loads(ran.out)["findings"]}


def of_kind(ran: Ran, verdict: str) -> list[str]:
    return [check for check, finding in findings(ran).items() if finding["verdict"] == verdict]


def replaced(old: str, new: str) -> str:
    assert old in WRAPPER
    return WRAPPER.replace(old, new)


# ---------------------------------------------------------------- what is written


@pytest.mark.long
def test_it_agrees(made: tuple[Ran, Path]) -> None:
    ran, _ = made
    assert ran.code == 0, ran.err + ran.out
    lines = ran.out.splitlines()
    assert not [line for line in lines if line.startswith("wrong")]
    for method, task, n in (
        ("generate_until", "baby_pv", 2),
        ("generate_until", "baby_count", 2),
        ("generate_until_multi_round", "baby_memory", 6),
        ("loglikelihood", "baby_leftright", 6),
        ("loglikelihood", "baby_count", 24),
    ):
        assert [line for line in lines if line.split()[:3] == ["ok", method, task] and f"{n} of {n} answers" in line]
    assert "what an organizer would see" in ran.out
    assert any("baby_memory" in line and "acc_testing_adjusted" in line for line in lines)
    assert "still to be filled in" in ran.err
    assert '"babycli_tiny_2_0": "BabycliModel"' in ran.err


@pytest.mark.long
def test_its_files(made: tuple[Ran, Path], tiny: Path) -> None:
    _, folder = made
    written = [path.name for path in folder.iterdir() if path.name != "__pycache__"]  # tests import model.py
    assert sorted(written) == ["model.py", "submission.json"]
    description = json.loads((folder / "submission.json").read_text())
    assert list(description) == [
        *("model_name", "checkpoint", "registered_model", "conv_template", "hf_model_url", "metadata"),
    ]
    assert description["model_name"] == "Tiny 2.0"
    assert description["checkpoint"] == ""  # a folder here is none of the organizers'
    assert description["conv_template"] == "baby_v1"
    assert description["metadata"]["num_parameters"] > 10_000
    code = (folder / "model.py").read_text()
    assert f'@register_model("{description["registered_model"]}")' in code
    assert str(tiny) not in code
    assert "type: ignore" not in code


@pytest.mark.long
def test_it_goes_on_with_a_hub_id(babycli: Babycli, made: tuple[Ran, Path], tiny: Path) -> None:
    _, folder = made
    words = ("--model", tiny / "checkpoint", "--model-args", "conv_template=baby_v1", "--checkpoint", "me/tiny")
    ran = babycli("submission", folder, *words, "--data", tiny / "dataset", "--set", SET, "--limit", 1)
    assert ran.code == 0, ran.err
    description = json.loads((folder / "submission.json").read_text())
    assert description["checkpoint"] == "me/tiny"
    assert description["hf_model_url"] == "https://huggingface.co/me/tiny"
    assert 'CHECKPOINT = "me/tiny"' in (folder / "model.py").read_text()


@pytest.mark.parametrize("name", ["notes.txt", "model.py"])
def test_other_files_are_kept(name: str, babycli: Babycli, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    ran = babycli("submission", tmp_path, "--model", tiny / "checkpoint")
    assert_explained(ran, 2, name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_no_file_in_the_place_of_its_model(babycli: Babycli, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "model.py"
    os.mkfifo(path)
    ran = babycli("submission", path.parent, "--model", tiny / "checkpoint")
    assert (ran.code, f"babycli: cannot read {path}: it is a pipe, not a file\n" in ran.err) == (3, True)
    path.unlink()
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    assert f"cannot read {path}: it has 1,099," in babycli("submission", path.parent, "--model", "clip").err
    ran = babycli("submission", "check", path)
    assert (ran.code, f"babycli: cannot read {path}: it has 1,099," in ran.err) == (5, True)


def test_what_cannot_be_submitted(babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("submission", tmp_path / "new", "--model", "control:length")
    assert_explained(ran, 2, "cannot be submitted")
    assert_explained(babycli("submission", "", "--model", "control:length"), 2, "the path for DIR is empty")
    assert babycli("submission", tmp_path / "new").code == 2
    assert not (tmp_path / "new").exists()


def test_help_shows_both(babycli: Babycli) -> None:
    ran = babycli("submission", "--help")
    assert ran.code == 0
    assert "check" in ran.out
    assert "write" in ran.out
    assert babycli("submission").code in (0, 2)


@pytest.mark.long
def test_its_model_raises(made: tuple[Ran, Path], babycli: Babycli, tiny: Path) -> None:
    """The written model.py goes through the same examination as anybody's; no error becomes a reply."""
    _, folder = made
    args = ("--model-args", f"pretrained={tiny / 'checkpoint'}", "--json")
    ran = babycli("submission", "check", folder / "model.py", *args)
    assert ran.code == 0, ran.err
    assert not of_kind(ran, "wrong")
    found = findings(ran)
    for method in ("loglikelihood", "generate_until", "generate_until_multi_round"):
        assert found[f"{method}, exceptions"]["verdict"] == "ok"


# ---------------------------------------------------------------- what is found


@pytest.mark.long
def test_a_sound_wrapper(check: Check, tiny: Path) -> None:
    words = ("--model", tiny / "checkpoint", "--data", tiny / "dataset", "--set", SET, "--json")
    ran = check(WRAPPER, *words)
    assert ran.code == 0, ran.err
    assert of_kind(ran, "wrong") == []
    assert findings(ran)["turn 2 sees the reply of turn 1"]["verdict"] == "ok"
    assert findings(ran)["turn 2 sees turn 1"]["verdict"] == "ok"
    assert findings(ran)["order of pictures counts"]["verdict"] == "ok"
    agreement = json.loads(ran.out)["agreement"]
    assert agreement
    assert all(each["agrees"] for each in agreement)


SWALLOW = """try:
                output = self.write(prompt, self.pixels(visuals), gen_kwargs["max_new_tokens"])
            except Exception as e:
                eval_logger.error(f"Error {e}")
                output = ""
"""
MADE = 'output = self.write(prompt, self.pixels(visuals), gen_kwargs["max_new_tokens"])\n'
GOLD = 'gold = [t["value"] for t in doc["conversations"] if t["from"] == "gpt"]\n            '
FAULTS: dict[str, tuple[list[tuple[str, str]], set[str]]] = {
    "sign": (
        [("res.append((sum(losses) / len(losses), False))", "res.append((-sum(losses), False))")],
        {"sign of the loss"},
    ),
    "no picture in the loss": (
        [
            (
                "losses = self.slow.token_losses(self.pixels(visuals),",
                "visuals = [v.point(lambda x: 0) for v in visuals]\n            "
                "losses = self.slow.token_losses(self.pixels(visuals),",
            )
        ],
        {"loglikelihood, picture", "order of pictures counts"},
    ),
    "reversed": (
        [("self.pixels(visuals), gen", "self.pixels(visuals[::-1]), gen")],
        {"generate_until, order of pictures"},
    ),
    "reversed after conversion": (
        [("self.pixels(visuals), gen", "self.pixels([v.convert('RGB') for v in visuals][::-1]), gen")],
        {"generate_until, order of pictures"},
    ),
    "first only": (
        [("self.pixels(visuals), gen", "self.pixels(visuals[:1]) * len(visuals), gen")],
        {"generate_until, order of pictures"},
    ),
    "swallowed": ([(MADE, SWALLOW)], {"generate_until, exceptions"}),
    "swallowed in turns": (
        [
            ("pixels += self.pixels([Image.open(p)", "try:\n                    pixels += self.pixels([Image.open(p)"),
            (
                "shown + n]])\n",
                "shown + n]])\n                except Exception:\n                    "
                "pixels += self.pixels([Image.new('RGB', (9, 9))] * n)\n",
            ),
        ],
        {"generate_until_multi_round, exceptions"},
    ),
    "no history": (
        [('prompt += f"USER:', 'prompt, pixels = " ", pixels[-n:]\n                prompt += f"USER:')],
        {"turn 2 sees turn 1", "turn 2 sees the reply of turn 1"},
    ),
    "no replies in history": (
        [('prompt += f" {response}<eos>" if response else ""', "pass")],
        {"turn 2 sees the reply of turn 1"},
    ),
    "the right replies in history": (
        [
            ("prompt, pixels, responses, shown = ", GOLD + "prompt, pixels, responses, shown = "),
            ('prompt += f" {response}<eos>" if response else ""', 'prompt += f" {gold[len(responses)]}<eos>"'),
        ],
        {"generate_until_multi_round, right answers in its document", "turn 2 sees the reply of turn 1"},
    ),
    "another order of answers": (
        [
            (
                '            self.cache_hook.add_partial("generate_until", (ctx, gen_kwargs), [output])\n'
                "        return res",
                "        return sorted(res)",
            )
        ],
        {"generate_until, alone and with others"},
    ),
    "chance": (
        [
            (
                'until = gen_kwargs.pop("until")',
                "until = []\n            self.n = getattr(self, 'n', 0) + 1\n            ctx += ' dog' * self.n",
            )
        ],
        {
            "generate_until, alone and with others",
            "generate_until, twice the same",
            "generate_until, right answers in its document",
        },
    ),
    "no batch_size": (
        [("batch_size=1, ", ""), ("int(batch_size)", "1"), (", **kwargs", ""), ("        assert kwargs == {}\n", "")],
        {"arguments"},
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, check: Check) -> None:
    pairs, expected = FAULTS[fault]
    code = WRAPPER
    for old, new in pairs:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    ran = check(code, "--json")
    assert ran.code == 7, ran.out + ran.err
    wrong = set(of_kind(ran, "wrong"))
    assert expected & wrong
    assert wrong <= expected, findings(ran)
    assert "would not get its model's score" in ran.err


@pytest.mark.long
@pytest.mark.parametrize("method", ["loglikelihood", "generate_until", "generate_until_multi_round"])
def test_a_method_that_is_missing(method: str, check: Check) -> None:
    code = WRAPPER.replace(
        f"    def {method}(self, requests",
        f"    def {method}(self, requests):\n        raise NotImplementedError\n\n    def _{method}(self, requests",
    )
    ran = check(code)
    assert ran.code == 7
    (line,) = [line for line in ran.out.splitlines() if line.startswith("wrong")]
    assert method in line
    assert "0" in line  # what it means for the score


@pytest.mark.long
def test_what_the_examination_cannot_tell(check: Check) -> None:
    """Replies that are always the same decide nothing, and pass nothing."""
    code = WRAPPER.replace("return self.tokenizer.decode(new, skip_special_tokens=True)", 'return "A"')
    ran = check(code, "--json")
    assert findings(ran)["turn 2 sees turn 1"]["verdict"] == "?"
    assert findings(ran)["turn 2 sees the reply of turn 1"]["verdict"] == "?"


@pytest.mark.long
def test_right_answers_behind_which_it_says_the_same(check: Check) -> None:
    """Replies that never change do not tell that the right answers stand in the history; what is read does."""
    code = replaced("return self.tokenizer.decode(new, skip_special_tokens=True)", 'return "A"')
    for old, new in FAULTS["the right replies in history"][0]:
        assert code.count(old) == 1
        code = code.replace(old, new)
    ran = check(code, "--json")
    assert ran.code == 7
    found = findings(ran)["generate_until_multi_round, right answers in its document"]
    assert found["verdict"] == "wrong"
    assert "more to read" in found["what"]


@pytest.mark.long
def test_a_disagreement_is_found(check: Check, tiny: Path) -> None:
    """A prompt that is put otherwise, which nobody could find without the model's own path."""
    code = replaced(
        'f" USER: {self.question(ctx, visuals)} ASSISTANT:"', 'f" USER : see {self.question(ctx, visuals)} ASSISTANT:"'
    )
    words = ("--model", tiny / "checkpoint", "--data", tiny / "dataset", "--set", SET)
    ran = check(code, *words)
    assert ran.code == 7
    assert "generate_until on baby_" in ran.err
    assert "of the wrapper, " in ran.out


def test_what_cannot_be_loaded(babycli: Babycli, check: Check, tmp_path: Path) -> None:
    assert_explained(check("import a_package_that_nobody_has"), 5, "model.py")
    assert_explained(check("x = 1"), 5, "registers no model")
    assert_explained(babycli("submission", "check", tmp_path / "none.py"), 2, "is no file")
    assert_explained(check(replaced("super().__init__()", "super().__init__(); 1 / 0")), 5, "ZeroDivisionError")


@pytest.mark.long
def test_one_of_several(check: Check, babycli: Babycli, tiny: Path, tmp_path: Path) -> None:
    two = WRAPPER + '\n\n@register_model("second")\nclass Second(Tiny):\n    pass\n'
    assert_explained(check(two), 2, "registers several models")
    args = ("--model-args", f"pretrained={tiny / 'checkpoint'}")
    assert babycli("submission", "check", f"{tmp_path / 'model.py'}:second", *args).code == 0


@pytest.mark.long
def test_on_the_demos_data(babycli: Babycli, tmp_path: Path) -> None:
    """All eleven tasks and Baby Winoground, with the bundled model of DevCV."""
    name = next((name for name in BUNDLED if "v2" in name), None)
    if name is None:
        pytest.skip("no model of DevCV is bundled")
    ran = babycli("submission", tmp_path / "mine", "--model", name, "--limit", 1)
    assert ran.code == 0, ran.err
    assert len([line for line in ran.out.splitlines() if "answers are equal" in line]) == 11 + 10 + 1
