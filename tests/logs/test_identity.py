"""What makes two runs the same: it survives JSON, every part of it counts, and answers depend on some of them alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from babycli.domain import AppliedControl
from babycli.logs.identity import Coverage, Data, Identity, ModelIdentity, Question, Sample, Software, TaskQuestion
from babycli.wording import History, Scoring

VTWT = TaskQuestion(
    1, 10, ("3", "7"), "What is it?", "USER: What is it?", "loglikelihood", coverage=Coverage(967, "session", 8, 81)
)
CAPTION = TaskQuestion(2, 5, (), "", "", "generate", coverage=Coverage(294, "", 0, 0))
IDENTITY = Identity(
    ModelIdentity("babyllava", "a" * 64, "float32", "plain", {"conv_template": "plain"}),
    Question(
        Scoring.FAIR,
        AppliedControl("blind", "no image tokens", 3),
        10,
        {"vtwt": VTWT, "saycam_caption": CAPTION},
        sample=Sample(12, 1),
    ),
    Data("demo", {"vtwt": "b" * 64, "saycam_caption": "c" * 64}, {"vtwt": "d" * 64, "saycam_caption": "e" * 64}),
    Software("0.1.0", "f" * 40 + "+", "2.8.0", "5.1.0", "0.22.0", "12.0.0"),
)
PLAIN = replace(IDENTITY, question=replace(IDENTITY.question, control=None, limit=None, sample=None))


def other(value: Any) -> Any:
    """A value of the same kind that is another."""
    match value:
        case Scoring():
            return Scoring.REFERENCE
        case History():
            return History.GOLD
        case None:
            return 3  # of a number that is not given
        case str():
            return value + "x"
        case int():
            return value + 1
        case tuple():
            return (*value, "x")
        case dict():
            return value | {"more": "x"}
    raise AssertionError(f"a new kind of part: {value!r}")


def changed(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """The same value with one of its parts changed, for each part, however deep it lies; with the part's name."""
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            for name, part in changed(getattr(value, each.name), f"{where} {each.name}".strip()):
                yield name, replace(value, **{each.name: part})
    elif isinstance(value, dict) and value:
        for key, kept in value.items():
            for name, part in changed(kept, f"{where} {key}"):
                yield name, value | {key: part}
        yield where, dict(list(value.items())[1:])
    else:
        yield where, other(value)


CHANGES = dict(changed(IDENTITY))


def test_every_part_is_changed_here() -> None:
    """Else the tests below would not see a part that is new."""
    assert len(CHANGES) == 51
    assert {"model fingerprint", "model args conv_template", "question control seed", "question limit"} <= set(CHANGES)
    assert {"question tasks vtwt rendered_prompt", "data images_sha256 vtwt", "software revision"} <= set(CHANGES)


@pytest.mark.parametrize("identity", [IDENTITY, PLAIN, *CHANGES.values()])
def test_json_keeps_it(identity: Identity) -> None:
    document = identity.to_document()
    assert Identity.from_document(document) == identity
    assert Identity.from_document(json.loads(json.dumps(document))) == identity
    read = Identity.from_document(document)
    assert read.differences(identity) == identity.differences(read) == []
    assert read.answers_digest == identity.answers_digest
    assert type(read.question.scoring) is Scoring


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: None,
        lambda document: [],
        lambda document: {},
        lambda document: {key: value for key, value in document.items() if key != "software"},
        lambda document: document | {"model": document["model"] | {"colour": "red"}},
        lambda document: document | {"model": {"family": "babyllava"}},
        lambda document: document | {"question": document["question"] | {"scoring": "kind"}},
        lambda document: document | {"question": document["question"] | {"tasks": None}},
        lambda document: document | {"question": document["question"] | {"control": {"kind": "blind"}}},
        lambda document: document | {"question": document["question"] | {"limit": "ten"}},
        lambda document: document | {"question": document["question"] | {"limit": 10**400}},
        lambda document: document | {"question": document["question"] | {"history": ["own"]}},
        lambda document: document | {"model": document["model"] | {"fingerprint": ["a"]}},
        lambda document: document | {"model": document["model"] | {"args": {"seed": 1}}},
        lambda document: document | {"data": document["data"] | {"labels_sha256": []}},
    ],
)
def test_anything_else_is_no_identity(spoil: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        Identity.from_document(spoil(IDENTITY.to_document()))


@pytest.mark.parametrize("part", CHANGES)
def test_each_part_is_a_difference_and_is_named(part: str) -> None:
    (line,) = CHANGES[part].differences(IDENTITY)
    assert line.startswith(f"{part}")
    assert " in the log, " in line
    assert line.endswith(" now")
    assert IDENTITY.differences(CHANGES[part])
    assert CHANGES[part] != IDENTITY


def test_differences_by_hand() -> None:
    logged = replace(
        IDENTITY,
        model=replace(IDENTITY.model, fingerprint="9" * 64, dtype="bfloat16"),
        question=replace(PLAIN.question, tasks={"vtwt": replace(VTWT, prompt="", skipped=())}),
    )
    assert logged.differences(IDENTITY) == [
        "model dtype: 'bfloat16' in the log, 'float32' now",
        "model fingerprint: 9999999999999999... in the log, aaaaaaaaaaaaaaaa... now",
        "question control: None in the log, {'kind': 'blind', 'how': 'no image tokens', 'seed': 3} now",
        "question limit: None in the log, 10 now",
        "question sample: None in the log, {'n': 12, 'seed': 1} now",
        f"question tasks saycam_caption: None in the log, {CAPTION_NOW} now",
        "question tasks vtwt prompt: '' in the log, 'What is it?' now",
        "question tasks vtwt skipped: [] in the log, ['3', '7'] now",
    ]


CAPTION_NOW = (
    "{'version': 2, 'n_units': 5, 'skipped': [], 'prompt': '', 'rendered_prompt': '', "
    "'answers': 'generate', 'code': '', "
    "'coverage': {'n_items_in_file': 294, 'kind': '', 'n_groups': 0, 'n_groups_in_file': 0}}"
)


# ---------------------------------------------------------------- what an answer depends on


@pytest.mark.parametrize("part", CHANGES)
def test_answers_depend_on_model_scoring_and_software_alone(part: str) -> None:
    """Prompts, pictures and controls are part of each request, and the rest changes no answer."""
    depends = part.startswith(("model ", "software ")) or part == "question scoring"
    assert (CHANGES[part].answers_digest != IDENTITY.answers_digest) == depends


def test_no_two_of_these_share_answers() -> None:
    digests = [CHANGES[part].answers_digest for part in CHANGES if part.startswith(("model ", "software "))]
    assert len(set(digests)) == len(digests) == 5 + 1 + 6


def test_the_order_of_arguments_does_not_matter() -> None:
    one, two = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    digests = {replace(IDENTITY, model=replace(IDENTITY.model, args=args)).answers_digest for args in (one, two)}
    assert len(digests) == 1
