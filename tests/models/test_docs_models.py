"""docs/models.md: its table is what the code reads and refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transformers import CONFIG_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from babycli.models import all_families, hf
from babycli.models.parts.dual_abilities import KINDS
from babycli.models.parts.llava_next_config import TEXT_KINDS
from tests import hf_checkpoints
from tests.conftest import REPOSITORY
from tests.models import test_hf_torchvision
from tests.models.conftest import Evaluate
from tests.models.loading import write_json
from tests.models.test_bad_checkpoints import assert_explained

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (REPOSITORY / "docs" / "models.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith("|---")
][1:]


def types_of(family: str) -> set[str]:
    """The model types of the rows whose family begins with these words."""
    rows = [row for row in ROWS if row[2].startswith(family)]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row[1]) if name in CONFIG_MAPPING}


def test_every_family_has_a_row() -> None:
    named = {family for row in ROWS for family in re.split(r"[,:]", row[2])[:1]}
    assert named - {"refused"} == {name for name, family in all_families().items() if family.has_checkpoints}


def test_the_kinds_of_each_family() -> None:
    assert types_of("dual") == set(KINDS)
    assert types_of("refused") == set(hf.REFUSED)
    assert types_of("clip") == {"clip", "siglip"}
    told = " ".join(row[1] for row in ROWS if row[2] in ("llava", "llava_next"))
    assert all(f"`{kind}`" in told for kind in TEXT_KINDS)


def test_models_of_transformers_are_those_that_are_compared() -> None:
    read = {"llava"} | types_of("hf") - types_of("hf, with torchvision") - {"model_type"}
    assert read == set(hf_checkpoints.KINDS) | set(hf_checkpoints.MORE_KINDS) | {"paligemma"}  # test_paligemma.py
    wanting = types_of("hf, with torchvision") - {"llava"} | {"pixtral"}
    assert wanting == set(test_hf_torchvision.KINDS)


@pytest.mark.parametrize("kind", hf.REFUSED)
def test_what_is_refused(kind: str, evaluate: Evaluate, tmp_path: Path) -> None:
    assert CONFIG_MAPPING[kind] in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    write_json(tmp_path / "config.json", {"model_type": kind})
    ran = evaluate("--model", tmp_path)
    assert_explained(ran, 5, f"a {kind} is not read", hf.REFUSED[kind])
    assert "docs/model_guide.md" in ran.err
