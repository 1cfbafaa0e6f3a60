"""METEOR against numbers worked out by hand, the authors' recorded scores, and NLTK with its own data."""

from __future__ import annotations

import csv
import importlib.util
import json
import lzma
import random
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from babycli.tasks import meteor as module
from babycli.tasks.meteor import MeteorDataError, meteor, tokenize, wordnet

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
GOLDEN = SHARED / "reference" / "golden" / "meteor.jsonl"
DATA_DIR = Path(module.__file__).parent / "meteor_data"


def single_words(word: str, reader: Any = None) -> set[str]:
    """What METEOR takes from `synsets(word)`, by the public surface that NLTK uses."""
    synsets = (reader or wordnet()).synsets(word)
    return {lemma.name() for synset in synsets for lemma in synset.lemmas() if "_" not in lemma.name()}


# ---------------------------------------------------------------- by hand
#
# m words match in c runs; the prediction has p words and the reference r:
#
#     precision = m / p    recall = m / r    mean = precision recall / (0.9 precision + 0.1 recall)
#     score = mean (1 - 0.5 (c / m)^3)


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        # m = p = r = 5, c = 1: 1 - 0.5 / 125
        ("look at the ball .", "look at the ball .", 0.996),
        # case does not count
        ("Look at the ball .", "look at THE ball .", 0.996),
        ("red ball", "my shoe", 0.0),
        # `dogs` has the stem `dog`. m = p = r = 1, c = 1: 1 - 0.5
        ("dogs", "dog", 0.5),
        # the stem alone of two words: precision = recall = mean = 1/2, halved by c / m = 1
        ("two dogs", "a dog", 0.25),
        # `auto` is a synonym of `car`. m = p = r = 2, c = 1: 1 - 0.5 / 8
        ("the auto", "the car", 0.9375),
        # the stem `automobil` is nobody's synonym, so only `the` matches: 1/2 halved
        ("the automobile", "the car", 0.25),
        # recall weighs nine times as much: m = 2, c = 2, p = 2, r = 4: 0.5 / (0.9 + 0.05) / 2 = 5/19
        ("the big red ball", "the ball", 5 / 19),
        # and the other way round, p = 4, r = 2: 0.5 / (0.45 + 0.1) / 2 = 5/11
        ("the ball", "the big red ball", 5 / 11),
        # all five words match, none next to its neighbour: c / m = 1
        ("a big fish swims home", "home swims fish big a", 0.5),
        ("", "", 0.0),
        ("a ball", "", 0.0),
        ("", "a ball", 0.0),
        ("a ball", " \n ", 0.0),
    ],
)
def test_score_by_hand(reference: str, prediction: str, expected: float) -> None:
    assert meteor(reference, prediction) == pytest.approx(expected, abs=1e-12)


def test_exception_that_leads_to_a_compound() -> None:
    # The list of irregular nouns sends `comics` to `comic_strip` and `comic`. Without compounds in the index
    # the first is lost, and with it two words that nothing else connects to `comics`.
    assert single_words("comics") == {"strip", "funnies", "comic", "comedian"}
    assert meteor("waif", "street_children") == pytest.approx(0.5)  # stays an exception through the stemmer


def test_lower_case_word_beside_a_capitalised_homograph() -> None:
    # The genus Bubo and the swelling bubo share a key; a dictionary that keeps one of them loses the other.
    assert single_words("bubo") == {"Bubo", "bubo"}
    assert single_words("BUBOES") == {"Bubo", "bubo"}
    # Inventor Bell must not hide the thing that rings.
    assert meteor("the gong", "the bell") == pytest.approx(0.9375)


@pytest.mark.parametrize(
    ("word", "found", "not_found"),
    [
        ("geese", "goose", "geese"),  # irregular noun
        ("ran", "run", "ran"),  # irregular verb
        ("boxes", "box", "boxe"),
        ("babies", "baby", "babie"),
        ("firemen", "fireman", "firemen"),
        ("hiding", "hide", "hid"),
        ("biggest", "large", "biggest"),  # irregular adjective, and a synonym
        ("afraid", "afraid", "afraid(p)"),  # the marker is no part of the word
        ("ice_creams", "icecream", "ice_creams"),  # a compound that is looked up
    ],
)
def test_lookup_of_inflected_words(word: str, found: str, not_found: str) -> None:
    names = single_words(word)
    assert found in names
    assert not_found not in names


@pytest.mark.parametrize("word", ["", "_", "s", "ing", "zzzz", "the", "!", "``", "\u0130", "ein Wort"])
def test_lookup_never_trips(word: str) -> None:
    assert all(isinstance(name, str) and name for name in single_words(word))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("   ", []),
        ("what 's this ?", ["what", "'s", "this", "?"]),
        ("it's a ball", ["it", "'s", "a", "ball"]),
        # A full stop inside the text ends a sentence and is split off ...
        ("It is a cat. It is big.", ["It", "is", "a", "cat", ".", "It", "is", "big", "."]),
        ("see? no! yes.", ["see", "?", "no", "!", "yes", "."]),
        # ... unless Punkt knows the abbreviation, which it does from its parameters only.
        ("Dr. Smith has a cat.", ["Dr.", "Smith", "has", "a", "cat", "."]),
        # `however` is a listed sentence starter: after an abbreviation it starts one only with a capital.
        ("He left the u.s. However he is", ["He", "left", "the", "u.s", ".", "However", "he", "is"]),
        ("He left the u.s. however he is", ["He", "left", "the", "u.s.", "however", "he", "is"]),
        # NLTK before 3.10.1 leaves `'well` in one piece
        ("and, 'well': yes", ["and", ",", "'", "well", "'", ":", "yes"]),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


# ---------------------------------------------------------------- the authors' scores


def test_golden_scores_and_tokens() -> None:
    if not GOLDEN.is_file():
        pytest.skip(f"{GOLDEN} is absent: the recorded scores are not part of this repository")
    lines = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert lines
    for line in lines:
        assert tokenize(line["reference"]) == line["reference_tokens"]
        assert tokenize(line["prediction"]) == line["prediction_tokens"]
        assert meteor(line["reference"], line["prediction"]) == pytest.approx(line["score"], abs=1e-9, rel=0)


# ---------------------------------------------------------------- the slow twin: NLTK with its own data


@pytest.fixture(scope="module")
def nltk_wordnet() -> Any:
    nltk = pytest.importorskip("nltk")
    for place in ("corpora/wordnet", "corpora/wordnet.zip"):
        try:
            nltk.data.find(place)
        except LookupError:
            continue
        reader = nltk.corpus.wordnet
        reader.ensure_loaded()
        if reader.get_version() != "3.0":
            pytest.skip(f"NLTK's wordnet on this machine is {reader.get_version()}, not 3.0")
        return reader
    pytest.skip("NLTK's own wordnet data is not on this machine (set NLTK_DATA)")


def inflections(word: str) -> Iterator[str]:
    for ending in ("s", "es", "ed", "ing", "er", "est", "men"):
        yield word + ending
        yield word[:-1] + ending
    yield word[:-1] + "ies"
    yield word[:-1] + "ves"
    yield word.title()
    yield word.upper()


def test_lookup_equals_that_of_nltk(nltk_wordnet: Any) -> None:
    lemmas = sorted(set(nltk_wordnet.all_lemma_names()))
    irregular = sorted({form for part in wordnet().parts for form in part.exceptions})
    sample = random.Random(20250405).sample(lemmas, 10_000)
    words = [*lemmas, *irregular, *(form for word in sample for form in inflections(word))]
    assert len(lemmas) > 147_000
    different = [word for word in words if single_words(word) != single_words(word, nltk_wordnet)]
    assert different == []


def test_score_equals_that_of_nltk(nltk_wordnet: Any) -> None:
    from nltk.tokenize import word_tokenize  # type: ignore[import-untyped, unused-ignore]
    from nltk.translate.meteor_score import meteor_score  # type: ignore[import-untyped, unused-ignore]

    try:
        word_tokenize("a. b.")
    except LookupError:
        pytest.skip("NLTK's own punkt_tab is not on this machine (set NLTK_DATA)")
    rng = random.Random(20250405)
    for reference, prediction in scrambled_pairs(rng, n_pairs=2_000, reader=nltk_wordnet):
        reference_tokens, prediction_tokens = word_tokenize(reference), word_tokenize(prediction)
        assert tokenize(reference) == reference_tokens
        assert tokenize(prediction) == prediction_tokens
        assert meteor(reference, prediction) == meteor_score([reference_tokens], prediction_tokens)


def scrambled_pairs(rng: random.Random, n_pairs: int, reader: Any) -> Iterator[tuple[str, str]]:
    """A text, and a version of it with words dropped, moved, inflected or swapped for synonyms."""
    texts = ["Look at the big dog. It runs to the car!", "put a hat on the baby", "a bell and Dr. Mason ."]
    for name in ("SAYCam_caption", "vtwt"):
        path = SHARED / "labels" / name / f"{name}.csv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    texts += [text for column, text in row.items() if column != "image"]
    for _ in range(n_pairs):
        reference = rng.choice(texts)
        if rng.random() < 0.3:
            reference = reference.capitalize() + rng.choice([" ", ". ", "! ", "... "]) + rng.choice(texts)
        words = []
        for word in reference.split():
            change = rng.random()
            if change < 0.1:
                continue
            if change < 0.35:
                word = rng.choice([word, *sorted(single_words(word, reader))])
            elif change < 0.45 and len(word) > 1:
                word = rng.choice(list(inflections(word)))
            words.append(word + ("." if change > 0.97 else ""))
        if rng.random() < 0.4:
            rng.shuffle(words)
        yield reference, " ".join(words)


# ---------------------------------------------------------------- offline, lazy, loud


def test_import_leaves_nltk_alone() -> None:
    code = "import sys, babycli.tasks.meteor; print('nltk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_nltk_data_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk  # type: ignore[import-untyped, unused-ignore]
    import nltk.data  # type: ignore[import-untyped, unused-ignore]
    import nltk.downloader  # type: ignore[import-untyped, unused-ignore]

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"NLTK was asked for data: {args} {kwargs}")

    for owner, name in [
        (nltk, "download"),
        (nltk.downloader, "download"),
        (nltk.data, "find"),
        (nltk.data, "load"),
    ]:
        monkeypatch.setattr(owner, name, refuse)
    monkeypatch.setattr(nltk.data, "path", [])
    wordnet.cache_clear()
    module._sentence_splitter.cache_clear()
    assert meteor("Look. An auto.", "Look. A car.") > 0


def test_each_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = module._read_tables

    def counted(name: str, expected: list[str]) -> dict[str, list[str]]:
        read.append(name)
        return original(name, expected)

    monkeypatch.setattr(module, "_read_tables", counted)
    wordnet.cache_clear()
    module._sentence_splitter.cache_clear()
    for _ in range(3):
        meteor("a car", "an auto")
    assert sorted(read) == ["punkt_english.txt.xz", "wordnet30.txt.xz"]


def put_shipped_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    """Make `content` the shipped WordNet file; None for no file."""
    folder = tmp_path / "meteor_data"
    folder.mkdir()
    if content is not None:
        (folder / module.WORDNET_FILE).write_bytes(content)

    def files(package: str) -> Traversable:
        assert package == "babycli.tasks"
        return tmp_path

    monkeypatch.setattr(module, "files", files)
    wordnet.cache_clear()


HEAD = f"{module.FORMAT_LINE}\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file"),
        (b"", "damaged"),
        (b"not xz at all", "damaged"),
        (lzma.compress(b"\xff\xfe"), "damaged"),
        (lzma.compress(b""), "starts with ''"),
        (lzma.compress(b"babycli-meteor-data 2\n"), "starts with 'babycli-meteor-data 2"),
        (lzma.compress(f"{HEAD}".encode()), "line 2 should open the table 'noun'"),
        (lzma.compress(f"{HEAD}verb 1\nrun\n".encode()), "line 2 should open the table 'noun'"),
        (lzma.compress(f"{HEAD}noun x\n".encode()), "line 2 should open the table 'noun'"),
        (lzma.compress(f"{HEAD}noun 2\ncat\n".encode()), "line 2 should open the table 'noun'"),
        (lzma.compress(f"{HEAD}noun 1\ncat\n".encode()), "line 4 should open the table 'noun.exc'"),
    ],
)
def test_unusable_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    put_shipped_file(tmp_path, monkeypatch, content)
    with pytest.raises(MeteorDataError) as caught:
        meteor("a car", "an auto")
    message = str(caught.value)
    assert problem in message
    assert module.WORDNET_FILE in message
    assert "pip install" in caught.value.mend


def test_truncated_or_extended_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (DATA_DIR / module.WORDNET_FILE).read_bytes()
    put_shipped_file(tmp_path, monkeypatch, whole[:-100])
    with pytest.raises(MeteorDataError, match="damaged"):
        wordnet()
    (tmp_path / "meteor_data" / module.WORDNET_FILE).write_bytes(
        lzma.compress(lzma.decompress(whole) + b"more\n", preset=0)
    )
    with pytest.raises(MeteorDataError, match="goes on after its last table"):
        wordnet()


@pytest.fixture(autouse=True)
def shipped_files_afterwards() -> Iterator[None]:
    yield
    wordnet.cache_clear()


# ---------------------------------------------------------------- where the files come from


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    path = ROOT / "tools" / "build_meteor_data.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


def test_sources_and_licence_travel_with_the_data(builder: ModuleType) -> None:
    sources = (DATA_DIR / "SOURCES.md").read_text(encoding="utf-8")
    for pin in builder.PINS:
        assert pin.sha256 in sources
        assert f"`{pin.package}` {pin.version}" in sources
    licence = (DATA_DIR / "WORDNET_LICENSE").read_text(encoding="utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence
    assert licence.rstrip().endswith("agrees to preserve same.")


def test_builder_reads_wordnet_files(builder: ModuleType) -> None:
    notice = "  1 WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.  \n"
    files: dict[str, str] = {}
    for part in builder.PARTS_OF_SPEECH:
        files |= {f"data.{part}": notice, f"index.{part}": notice, f"{part}.exc": ""}
    files["data.adj"] += "00000080 00 s 02 afraid(p) 0 Scared 0 001 ! 00000080 a 0101 | feeling fear  \n"
    files["index.adj"] += "afraid a 1 0 1 0 00000080  \nscared a 1 0 1 0 00000080  \n"
    files["adj.exc"] = "offer off\noffer offer\n"
    assert builder.wordnet_text(files) == (
        f"{HEAD}noun 0\nnoun.exc 0\nverb 0\nverb.exc 0\n"
        "adj 1\nScared afraid\nadj.exc 1\noffer offer\nadv 0\nadv.exc 0\n"
    )
    assert builder.wordnet_licence(files) == notice[4:].rstrip() + "\n"
    files["index.adj"] = notice
    with pytest.raises(builder.BuildError, match=r"index\.adj"):
        builder.wordnet_text(files)


def test_builder_leaves_out_only_what_adds_nothing(builder: ModuleType) -> None:
    groups = [("dog",), ("dog", "hot_dog"), ("cat",), ("cat",), ("sea_cow", "sea_bear"), ("Cat", "feline")]
    assert builder.useful_groups(groups) == ["Cat feline", "cat", "dog hot_dog"]


def test_builder_refuses_another_archive(
    builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--source-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert builder.main(arguments) == 1
    assert "no such file" in capsys.readouterr().err
    (tmp_path / builder.WORDNET_PYPI.filename).write_bytes(b"something else")
    assert builder.main(arguments) == 1
    assert builder.WORDNET_PYPI.sha256 in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_builder_check_sees_a_difference(builder: ModuleType, tmp_path: Path) -> None:
    built = {"a.xz": "one\n", "b": "two\n"}
    assert builder.check(built, tmp_path) == 1
    for name, text in built.items():
        builder.write(tmp_path / name, text)
    assert builder.check(built, tmp_path) == 0
    builder.write(tmp_path / "b", "three\n")
    assert builder.check(built, tmp_path) == 1
