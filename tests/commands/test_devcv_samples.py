"""Every published label sample of DevCV links, verifies and is evaluated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.test_data_devcv import states
from tests.conftest import Babycli
from tests.data.devcv_sets import write_pictures

pytestmark = pytest.mark.usefixtures("empty_folder")

N_SAMPLES = 76
SELECTED = "nih_toolbox_sample/all/picture_vocab_selected.json"  # beside all words: a set of its own


@pytest.fixture
def samples(shared: Path) -> Path:
    folder = shared / "reference/devcv/data"
    if not folder.is_dir():
        pytest.skip("the label samples of DevCV are absent")
    return folder


def link_all(babycli: Babycli, samples: Path, pictures: Path) -> Iterator[str]:
    """Links each folder of samples as a set, and gives the tasks that are ready."""
    given = {folder.parent.name: folder for folder in sorted(samples.glob("*/*")) if folder.is_dir()}
    for name, folder in [(folder.parent.name, folder) for folder in sorted(samples.glob("*/*")) if folder.is_dir()]:
        apart = pictures / name / folder.name
        ran = babycli("data", "link", "--devcv", f"{name}={folder}", "--devcv-images", apart)
        assert ran.code == 0, ran.err
        assert set(states(ran.out).values()) == {"ready"}
        yield from states(ran.out)
    assert given
    apart = pictures / Path(SELECTED).parent
    ran = babycli("data", "link", "--devcv", f"nih_selected={samples / SELECTED}", "--devcv-images", apart)
    assert (ran.code, states(ran.out)) == (0, {"baby_pv@nih_selected": "ready"})
    yield "baby_pv@nih_selected"


def n_items(samples: Path) -> int:
    return sum(len(json.loads(path.read_bytes())) for path in samples.glob("*/*/*.json"))


def test_all_samples_link_and_verify_with_any_pictures(babycli: Babycli, samples: Path, tmp_path: Path) -> None:
    for path in samples.glob("*/*/*.json"):
        write_pictures(tmp_path / "pictures" / path.relative_to(samples).with_suffix(""), json.loads(path.read_bytes()))
    ready = list(link_all(babycli, samples, tmp_path / "pictures"))
    assert len(set(ready)) == N_SAMPLES
    ran = babycli("data", "verify", "--json")
    verified = json.loads(ran.out)
    assert (ran.code, verified["depth"], verified["problems"]) == (0, "checksum", [])
    assert sum(of["rows"] for of in verified["tasks"].values()) == n_items(samples)


@pytest.mark.long
def test_all_samples_are_evaluated_with_the_drawn_pictures(babycli: Babycli, samples: Path, tmp_path: Path) -> None:
    script = samples.parent / "golden/model/make_devcv_images.py"
    words = [sys.executable, "-B", str(script), str(samples), str(tmp_path / "pictures")]
    subprocess.run(words, check=True, capture_output=True, timeout=600)
    ready = set(link_all(babycli, samples, tmp_path / "pictures"))
    assert len(ready) == N_SAMPLES
    assert babycli("data", "verify").code == 0
    ran = babycli("eval", "--model", "control:constant", "--tasks", "devcv", "--output-path", "logs")
    assert ran.code == 0, ran.err
    evaluated: dict[str, int] = {}
    for path in Path("logs").rglob("*_results.json"):
        document = json.loads(path.read_bytes())
        name = json.loads((path.parent / "run.json").read_bytes())["identity"]["data"]["name"]
        evaluated |= {f"{task}@{name}": n["effective"] for task, n in document["n-samples"].items()}
    assert evaluated.keys() == ready
    assert sum(evaluated.values()) == n_items(samples)
