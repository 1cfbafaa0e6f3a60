"""`babycli cite`: whose papers are named for some runs, and that each entry is one."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from babycli import __version__, bibliography
from babycli.bibliography import Paper, own_entry
from babycli.models import all_families
from babycli.models.parts.hf_papers import PAPERS_OF
from babycli.tasks import all_tasks
from tests.conftest import REPOSITORY, Babycli
from tests.report.logs import drawn, write_run

PAPERS = list(
    dict.fromkeys(
        [
            *(paper for paper in vars(bibliography).values() if isinstance(paper, Paper)),
            *(paper for papers in PAPERS_OF.values() for paper in papers),
        ]
    )
)
ENTRY = re.compile(r"^@(?P<kind>\w+)\{(?P<key>[\w]+),\n(?P<fields>(?:  \w+ = \{.*\},\n)+)\}$", re.MULTILINE)


def entries(text: str) -> dict[str, dict[str, str]]:
    """Reads BibTeX: fields by key. Every line must be an entry's, a remark, or empty."""
    found = {}
    for match in ENTRY.finditer(text):
        lines = (line.removeprefix("  ").removesuffix("},").split(" = {", 1) for line in match["fields"].splitlines())
        assert match["key"] not in found
        found[match["key"]] = dict(lines)
    rest = [line for line in ENTRY.sub("", text).splitlines() if line]
    assert all(line.startswith("% ") and "@" not in line for line in rest)
    assert text.count("{") == text.count("}")
    return found


def test_papers_of_tasks_data_and_models(tmp_path: Path, babycli: Babycli) -> None:
    logs = tmp_path / "logs"
    write_run(logs, "wkvong/cvcl", drawn(1, {"labeled_s": 0.6, "vtwt": 0.7}), config={"model": "cvcl", "limit": None})
    ran = babycli("cite", logs)
    assert (ran.code, ran.err) == (0, "")
    assert list(entries(ran.out)) == [
        *("babycli", "wang2025babyvlm", "vong2024grounded", "orhan2020selfsupervised", "sullivan2021saycam"),
        *("wilson1927probable", "miller2024errorbars", "korn1998confidence"),
        *("ansel2024pytorch", "wolf2020transformers"),
    ]
    assert "% for Labeled-S; wkvong/cvcl\n@article{vong2024grounded,\n" in ran.out
    assert entries(ran.out)["babycli"]["note"] == "Version 0.1.0"


def test_a_drawn_picture_is_nobodys_and_an_odd_model_is_named(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "lab/a@b\x1b\n}", drawn(1, {"saycam_caption": 0.2}), data="demo")
    ran = babycli("cite", tmp_path)
    assert ran.code == 0
    assert list(entries(ran.out)) == [
        *("babycli", "wang2025babyvlm", "banerjee2005meteor", "miller2024errorbars"),
        *("ansel2024pytorch", "wolf2020transformers"),
    ]
    assert "\n% babycli knows no paper of: lab/a at b" in ran.out
    assert "\x1b" not in ran.out + ran.err
    assert "note: babycli knows no paper of lab/a@b" in ran.err


def test_a_local_checkpoint_is_named_as_in_the_report(tmp_path: Path, babycli: Babycli) -> None:
    logs, folder = tmp_path / "logs", "/home/somebody/secret/ck/x"
    for i, (family, control) in enumerate((("llava", None), ("llava", "blind"), ("own", None))):
        model = folder + "/other" * (family == "own")
        config = {"model": family, "limit": None}
        write_run(logs / str(i), model, drawn(i, {"vtwt": 0.7}), config=config, control=control)
    ran = babycli("cite", logs)
    assert ran.code == 0, ran.err
    assert re.search(r"^% for .*\bck/x", ran.out, flags=re.MULTILINE)
    assert "\n% babycli knows no paper of: x/other\n" in ran.out
    assert "secret" not in ran.out + ran.err


def test_another_program_is_cited_for_its_runs(babycli: Babycli) -> None:
    ran = babycli("cite", REPOSITORY / "tests" / "interop" / "bridge_logs" / "0.7.3")
    assert ran.code == 0, ran.err
    assert entries(ran.out)["zhang2024lmmseval"]["eprint"] == "2407.12772"
    assert "% for runs of lmms-eval\n" in ran.out
    assert "ansel2024pytorch" not in ran.out


def test_statistics_are_cited_as_the_methods_paragraph_has_them(tmp_path: Path, babycli: Babycli) -> None:
    logs, page = tmp_path / "logs", tmp_path / "page.html"
    for i, name in enumerate(("lab/a", "lab/b")):
        write_run(logs, name, drawn(i, {"vtwt": 0.6 + i / 5, "saycam_caption": 0.2 + i / 10}))
    report = babycli("report", logs, "--format", "html", "--compare", "lab/a", "lab/b", "--output", page)
    assert report.code == 0, report.err
    found = re.search(r'id="methods-text">(.*?)</p>', page.read_text(), flags=re.DOTALL)
    assert found
    methods = html.unescape(found[1])
    assert "The data are those of SAYCam (Sullivan et al. 2021)." in methods
    cited = entries(babycli("cite", logs).out)
    for names, year, key, place in (
        ("Wilson", 1927, "wilson1927probable", "Journal of the American Statistical Association 22 209--212"),
        ("Miller", 2024, "miller2024errorbars", ""),
        ("Korn & Graubard", 1998, "korn1998confidence", "Survey Methodology 24 193--201"),
        ("McNemar", 1947, "mcnemar1947note", "Psychometrika 12 153--157"),
        ("Davison & Hinkley", 1997, "davison1997bootstrap", ""),
        ("Holm", 1979, "holm1979simple", "Scandinavian Journal of Statistics 6 65--70"),
        ("Bonett & Price", 2012, "bonett2012adjusted", "Journal of Educational and Behavioral Statistics 37 479--488"),
    ):
        assert re.search(rf"{names}('s)? \(?{year}", methods), names
        entry = cited[key]
        assert entry["year"] == str(year)
        assert place in ("", " ".join(entry.get(field, "") for field in ("journal", "volume", "pages")))
    assert not {"efron1993bootstrap", "cochran1977sampling"} & set(cited)  # no such interval stands in this table


def test_a_file_and_the_default_folder(tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = babycli("cite")
    assert ran.code == 0
    assert list(entries(ran.out)) == ["babycli"]
    assert "this is babycli alone" in ran.err
    assert babycli("cite", "nowhere").code == 3
    write_run(Path("logs"), "m", drawn(1, {"vtwt": 0.7}))
    assert babycli("cite", "--output", "papers.bib").out == ""
    assert "wang2025babyvlm" in entries(Path("papers.bib").read_text())


def test_every_task_and_every_family_of_checkpoints_has_a_paper() -> None:
    assert [task.name for task in all_tasks().values() if not task.papers] == []
    ours = [family for family in all_families().values() if family.has_checkpoints]
    assert [family.name for family in ours if not family.papers] == ["hf"]  # which reads anybody's


def test_entries_are_whole() -> None:
    assert len({paper.key for paper in PAPERS}) == len(PAPERS)
    for paper in PAPERS:
        assert entries(paper.to_bibtex())[paper.key]["title"] == f"{{{paper.title}}}"
        assert all(name == "others" or ", " in name or paper.is_by_a_group for name in paper.authors)
        assert paper.doi or paper.arxiv or paper.pages or paper.kind == bibliography.KIND_BOOK
        assert re.fullmatch(r"|\d{4}\.\d{5}", paper.arxiv)


def test_a_version_of_a_log_is_no_bibtex() -> None:
    entry = own_entry(["0.1.0", "1}, x = {\x1b[2J\\input{y}", "9" * 5000]).to_bibtex()
    assert entries(entry)["babycli"]["note"].startswith("Versions 0.1.0, 1???x???")
    assert len(entry) < 500
    assert entry.replace("\n", "").isprintable()


def test_the_citation_file_says_the_same() -> None:
    file: dict[str, Any] = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    own = own_entry([])
    assert (own.title, own.authors) == (file["title"], tuple(author["name"] for author in file["authors"]))
    assert file.get("version", __version__) == __version__
    ours = {paper.title: paper for paper in PAPERS}
    for reference in file["references"]:
        paper = ours[reference["title"]]
        names = tuple(f"{author['family-names']}, {author['given-names']}" for author in reference["authors"])
        assert (paper.authors, paper.year, paper.doi) == (names, reference["year"], reference.get("doi", ""))
        arxiv = [entry["value"].removeprefix("arXiv:") for entry in reference.get("identifiers", ())]
        assert arxiv in ([], [paper.arxiv])
        if "start" in reference:
            pages = f"{reference['start']}--{reference['end']}"
            assert (paper.venue, paper.volume, paper.pages) == (reference["journal"], str(reference["volume"]), pages)


def test_intervals_of_samples_and_of_trials_without_clusters_are_cited(
    dataset: Path, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--model", "control:random?seed=1", "--tasks", "vtwt", "--data", dataset, "--sample", 10)
    assert babycli("eval", *words, "--output-path", "sampled").code == 0
    sampled = entries(babycli("cite", "sampled").out)
    assert sampled["cochran1977sampling"]["publisher"] == "Wiley"
    assert "wilson1927probable" in sampled  # with another n
    assert "korn1998confidence" not in sampled
    write_run(Path("plain"), "m", drawn(1, {"saycam_caption": 0.2}), with_groups=False)
    plain = entries(babycli("cite", "plain").out)
    assert plain["efron1993bootstrap"]["publisher"] == r"Chapman \& Hall"
    assert not {"wilson1927probable", "cochran1977sampling", "miller2024errorbars"} & set(plain)
