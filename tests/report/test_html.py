"""`babycli report --format html`: what stands on the page, that it is whole and safe, and how a browser shows it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from PIL import Image

from babycli.domain import ImageRef
from babycli.report import html, item_sheets
from babycli.report.html_images import LONGEST_SIDE
from babycli.report.items import ShownItem
from tests.conftest import Babycli
from tests.report.browser import chromium, opened, serious_issues
from tests.report.logs import drawn, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHARES = {"labeled_s": 0.4, "vtwt": 0.6, "baby_winoground": 0.2, "saycam_caption": 0.15}
UNITS = {"labeled_s": 220, "vtwt": 120, "baby_winoground": 60, "saycam_caption": 48}
N_FILLERS = 6
EVIL = '<script>alert(1)</script>"onload="alert(2)\'{{ 7 * 7 }}&amp;'


@dataclass(slots=True)
class Seen(HTMLParser):
    """The elements of a page with their attributes, and the texts in those that are asked for."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    inside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = [tag]

    def handle_data(self, data: str) -> None:
        for tag in self.inside:
            self.texts.setdefault(tag, []).append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def seen(text: str) -> Seen:
    parser = Seen()
    parser.feed(text)
    return parser


def all_of(root: Path, units: dict[str, int] = UNITS) -> Path:
    """Runs of every kind: models, a series of checkpoints, controls, one above chance, demo data, one cut short."""
    better = {task: share + 0.2 for task, share in SHARES.items()}
    write_run(root, "lab/good", drawn(1, better, units), date="20260102_120000")
    write_run(root, "lab/weak", drawn(2, SHARES, units), ties={"vtwt": [3]})
    write_run(root, "lab/odd", drawn(3, SHARES, units), nonfinite={"vtwt": [1, 2]})
    for i, step in enumerate((500, 1000, 2000), 4):
        shares = {task: share + 0.04 * i for task, share in SHARES.items()}
        write_run(root, f"lab/small/checkpoint-{step}", drawn(i, shares, units))
    write_run(
        root,
        "lab/weak",
        drawn(7, SHARES | {"vtwt": 0.9}, units),
        date="20260301_120000",
        control="blind",
    )
    write_run(root, "tiny", drawn(8, {"vtwt": 0.7}, {"vtwt": 24}), data="demo")
    (root / "lab__late" / "20260101_130000").mkdir(parents=True)
    (root / "lab__late" / "20260101_130000" / "run.json").write_text("{}")
    return root


@pytest.fixture
def write(babycli: Babycli, tmp_path: Path) -> Any:
    """Writes the page of some logs and gives its text."""

    def page(logs: Path, *words: object) -> str:
        ran = babycli("report", logs, "--format", "html", "--output", tmp_path / "page.html", *words)
        assert ran.code == 0, ran.err
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    return page


def plain(text: str) -> str:
    """What a reader sees: without tags, each run of white space one space."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def row_of(text: str, label: str) -> str:
    """The summary's row of that label, as a reader sees it."""
    found = re.search(rf'<tr class="[^"]*"><th scope="row">{re.escape(label)}.*?</tr>', text, flags=re.DOTALL)
    assert found, label
    return plain(found[0])


def test_the_page_has_all_parts(write: Any, tmp_path: Path) -> None:
    text = write(all_of(tmp_path / "logs"), "--compare", "lab/good", "lab/odd", "--items", "--baselines", "paper")
    told = plain(text)
    headings = re.findall(r"<h[123][^>]*>(.*?)</h[123]>", text)
    assert headings == [
        "BabyVLM evaluation",
        "Differences",
        "SAYCam",
        "Controls above chance",
        "Scores and intervals",
        "Over training",
        "By category and word",
        "Demo data",
        "Scores and intervals",
        "By word",
        "Items",
        "Methods",
        "Runs without numbers",
        "Provenance",
    ]
    assert "evaluated 2026-01-01 to 2026-03-01" in told
    assert "chance 25.0 50.0 25.0 25.0 16.7 33.3 33.3" in told
    assert "n 220 120 60 60 60 60 60 48" in told
    assert "20260101_130000 has no results" in told
    assert '<html lang="en">' in text
    assert "<title>BabyVLM evaluation: 7 models, 2026-01-01 to 2026-03-01</title>" in text


def test_a_number_has_its_intervals_and_marks(write: Any, tmp_path: Path, babycli: Babycli) -> None:
    logs = all_of(tmp_path / "logs")
    row = row_of(write(logs), "lab/weak")
    record = next(csv.DictReader(io.StringIO(babycli("report", logs / "lab__weak", "--format", "csv").out)))
    ends = [100 * float(record[f"ci95_{which}"]) for which in ("clustered_low", "clustered_high", "low", "high")]
    assert f"{100 * float(record['value']):.1f}" in row
    assert "by cluster [{:.1f}, {:.1f}] independent [{:.1f}, {:.1f}]".format(*ends) in row
    assert "= (1 ties)" in row
    assert "gain" in row
    assert "! (2 scores that are not finite)" in row_of(write(logs), "lab/odd")


def test_the_demo_comes_last_and_is_stamped(write: Any, tmp_path: Path) -> None:
    text = write(all_of(tmp_path / "logs"))
    real, demo = text.split('<h2 id="part2">')
    assert "DEMO DATA" not in real
    assert "DEMO DATA" in demo
    assert "lab/good" not in demo.split('<h2 id="methods">')[0]


def test_published_rows_are_marked_and_have_no_interval(write: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "logs", "m", drawn(1, {"vtwt": 0.6}))
    text = write(tmp_path / "logs", "--baselines", "paper")
    rows = re.findall(r'<tr class="published">.*?</tr>', text, flags=re.DOTALL)
    assert len(rows) == 5
    assert all('<span class="tag">published</span>' in row and "±" not in row for row in rows)
    assert 'class="mark published"' in text
    assert "published, not measured" in plain(text)
    assert "Published scores are those of" in methods_of(text)


def test_a_control_above_chance_is_explained(write: Any, tmp_path: Path) -> None:
    told = plain(write(all_of(tmp_path / "logs")))
    assert "A CONTROL ABOVE CHANCE: lab/weak (control: blind)" in told
    assert "Where the excess over chance comes from: lab/weak (control: blind), VTWT acc" in told


def test_a_forest_plot_stays_readable_with_many_rows(write: Any, tmp_path: Path) -> None:
    for i in range(45):
        write_run(tmp_path / "logs", f"m{i}", drawn(i, {"vtwt": 0.5 + i / 100}, {"vtwt": 200}))
    text = write(tmp_path / "logs")
    assert text.count('<g class="mark') == 40
    assert "the 40 best rows" in plain(text)
    assert text.count('<tr class="measured">') == 45
    assert "The 40 best models of 45" in plain(text)


def test_no_line_of_a_forest_plot_crosses_a_name(write: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "logs", "lab/a", drawn(1, {"vtwt": 0.6}))
    write_run(tmp_path / "logs", "lab/b", drawn(2, {"vtwt": 0.5}))
    (svg,) = re.findall(r"<svg[^>]*>(?:(?!</svg>).)* rows, from .*?</svg>", write(tmp_path / "logs"), flags=re.DOTALL)
    names = [float(y) for y in re.findall(r'<text x="12" y="([\d.]+)">', svg)]
    assert len(names) == 2
    (chance,) = re.findall(r'class="chance" d="M[\d.]+ ([^"]*)"', svg)
    lines = re.findall(r'class="grid" d="M[\d.]+ ([^"]*)"', svg)
    assert len(lines) > 2
    for line in (chance, *lines):
        at, *moves = re.findall(r"^[\d.]+|[vm](?:0 )?\d+", line)
        y, drawn_from = float(at), []
        for move in moves:
            length = float(move.lstrip("vm").removeprefix("0 "))
            drawn_from += [(y, y + length)] if move.startswith("v") else []
            y += length
        assert len(drawn_from) == len(names)
        assert all(end <= name - 10 or start >= name + 3 for start, end in drawn_from for name in names)


def test_learning_curves_need_two_steps_of_one_series(write: Any, tmp_path: Path) -> None:
    text = write(all_of(tmp_path / "logs"))
    assert "lab/…" not in text
    assert "small/…" in text
    assert text.count("over 3 checkpoints: step 500") == 4
    write_run(tmp_path / "one", "lab/checkpoint-5", drawn(1, {"vtwt": 0.6}))
    assert "Over training" not in write(tmp_path / "one")


def test_heat_maps_show_each_group(write: Any, tmp_path: Path) -> None:
    values = {"labeled_s": {"acc": [1.0] * 220 + [0.0] * 220}}
    write_run(tmp_path / "logs", "half", values)
    (table,) = re.findall(r'<table class="sortable heat turned">.*?</table>', write(tmp_path / "logs"), flags=re.DOTALL)
    assert re.findall(r'<td class="h(\d+)" data-v="([01])">(\d+)</td>', table) == [
        *[("10", "1", "100")] * 11,
        *[("0", "0", "0")] * 11,
    ]
    assert table.count("n 20") == 22


def methods_of(text: str) -> str:
    found = re.search(r'<p class="box" id="methods-text">(.*?)</p>', text, flags=re.DOTALL)
    assert found
    return found[1]


def test_the_weights_of_one_name_are_as_many_models(write: Any, tmp_path: Path) -> None:
    for seed in (1, 2):
        values, date = drawn(seed, {"vtwt": 0.6}), f"2026010{seed}_120000"
        write_run(tmp_path / "logs", "file.py:Model", values, date=date, fingerprint=f"w{seed}", name=f"m seed-{seed}")
    text = write(tmp_path / "logs")
    assert "2 models were evaluated" in methods_of(text)
    assert "2 models, evaluated" in text


def test_methods_tell_what_was_done_and_nothing_else(write: Any, tmp_path: Path) -> None:
    logs = all_of(tmp_path / "logs")
    methods = methods_of(write(logs))
    for words in ("6 models were evaluated", "babycli 0.1.0", "n = 220 trials", "Wilson", "Miller", "1/k", "float32"):
        assert words in methods
    assert "McNemar" not in methods
    assert "Published" not in methods
    compared = methods_of(write(logs, "--compare", "lab/good", "lab/odd"))
    assert "McNemar" in compared
    assert "Holm" in compared


def test_provenance_comes_from_run_json(write: Any, tmp_path: Path) -> None:
    path = write_run(tmp_path / "logs", "m", drawn(1, {"vtwt": 0.6}, {"vtwt": 60}))
    about = {
        "babycli_version": "0.1.0",
        "command": ["babycli", "eval", "--model", "a b"],
        "model": {"family": "llava", "device": "cuda:0", "n_parameters": 1234567},
        "tasks": {"vtwt": {"labels_sha256": "abc", "rendered_prompt": "USER: <image>"}},
        "libraries": {"torch": "2.13.0"},
        "sessions": [{"start": "2026-01-01T12:00:00", "end": "2026-01-01T13:00:00"}],
    }
    (path.parent / "run.json").write_text(json.dumps(about))
    told = plain(write(tmp_path / "logs"))
    for words in (
        "babycli eval --model 'a b'",
        "cuda:0",
        "1,234,567",
        "SHA-256 abc",
        "torch 2.13.0",
        "USER: &lt;image&gt;",
        "2026-01-01T12:00:00 to 2026-01-01T13:00:00",
    ):
        assert words.replace("'", "&#39;") in told


@pytest.mark.parametrize("content", ["", "[]", '{"model": 3, "tasks": [], "sessions": [7], "libraries": null}'])
def test_an_odd_run_json_hides_nothing(content: str, write: Any, tmp_path: Path) -> None:
    path = write_run(tmp_path / "logs", "m", drawn(1, {"vtwt": 0.6}, {"vtwt": 60}))
    (path.parent / "run.json").write_text(content)
    assert "weights of m" in write(tmp_path / "logs")


def test_a_run_whose_trials_are_lost_still_has_its_numbers(write: Any, tmp_path: Path) -> None:
    path = write_run(tmp_path / "logs", "m", {"vtwt": {"acc": [1.0, 1.0, 1.0, 0.0]}})
    path.with_name(path.name.replace("_results", "_outcomes")).unlink()
    text = write(tmp_path / "logs")
    assert "75.0 ±2.0 independent [73.0, 77.0]" in row_of(text, "m")
    assert "By category and word" not in text


def test_nothing_is_loaded_from_elsewhere(write: Any, tmp_path: Path) -> None:
    text = write(all_of(tmp_path / "logs"), "--compare", "lab/good", "lab/odd", "--items", "--baselines", "paper")
    page = seen(text)
    leads = {"href", "src", "srcset", "action", "data", "poster"}
    links = [value for _, of in page.elements for name, value in of.items() if name in leads]
    assert links
    assert all(value and (value.startswith("#") or value == "data:,") for value in links)
    assert not {tag for tag, _ in page.elements} & {"iframe", "object", "embed", "base", "form", "img", "foreignobject"}
    assert "@import" not in text
    assert "url(" not in text
    assert not any(name.startswith("on") or name == "style" for _, of in page.elements for name in of)


def test_only_the_pages_own_script_and_style_may_run(write: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "logs", "m", drawn(1, {"vtwt": 0.6}, {"vtwt": 60}))
    text = write(tmp_path / "logs")
    (policy,) = (of["content"] for of in seen(text).named("meta") if of.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_text_of_logs_stays_text(write: Any, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    changes: dict[str, Any] = {"dtype": EVIL, "scoring": "fair", "model_args": {EVIL: EVIL}}
    for i, step in enumerate((1, 2)):
        path = write_run(logs, f"m{step}", drawn(i, SHARES, UNITS), model_name=f"{EVIL}-step-{step}", **changes)
        (path.parent / "run.json").write_text(
            json.dumps({"command": EVIL, "platform": EVIL, "libraries": {EVIL: EVIL}})
        )
    path = write_run(logs, "blind", drawn(3, SHARES | {"vtwt": 0.99}, UNITS), control="blind", model_name=EVIL)
    (path.parent / "x_results.json").write_text("{")
    text = write(logs, "--compare", "step-1", "step-2", "--items")
    page = seen(text)
    assert len(page.named("script")) == 1
    assert "<script>alert" not in text
    assert "{{ 7 * 7 }}" in text  # a template in a name is not run
    assert not any(name.startswith("on") for _, of in page.elements for name in of)
    assert "&lt;script&gt;alert(1)" in text
    for part in ("Over training", "Differences", "Controls above chance", "Runs without numbers"):
        assert f">{part}</h" in text  # else that part has not been looked at


class TestImages:
    """With the demo's pictures, which are nobody's. The items stand in for those of real samples."""

    NAMES = ("demo_frame_000.png", "demo_frame_045.png", "nowhere.png", "../../../etc/passwd")

    @pytest.fixture
    def page(
        self, write: Any, tmp_path: Path, link_words: Any, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
    ) -> Any:
        assert babycli(*link_words, "--data", tmp_path / "data").code == 0
        refs = [ImageRef("saycam", name) for name in self.NAMES]
        found = [ShownItem(str(i), {"image": ref.name}, (ref,), (), (1.0, 0.0)) for i, ref in enumerate(refs)]
        of_both = iter((found, found[:1]))
        monkeypatch.setattr(item_sheets, "shown_items", lambda *_: next(of_both))
        for i in range(2):
            write_run(tmp_path / "logs", f"m{i}", drawn(i, {"vtwt": 0.6}, {"vtwt": 60}))
        words = ("--compare", "m0", "m1", "--items", "--data", tmp_path / "data")
        return lambda *more: write(tmp_path / "logs", *words, *more)

    def test_there_are_none_without_being_asked_for(self, page: Any) -> None:
        text = page()
        assert "data:image" not in text
        assert "Restricted" not in text
        assert "demo_frame_000.png" in text

    def test_only_those_of_the_items_small_and_each_once(self, page: Any) -> None:
        text = page("--with-images")
        uris = re.findall(r'<image id="p\d+" href="data:image/jpeg;base64,([^"]+)"', text)
        assert len(uris) == 2
        for uri in uris:
            picture = Image.open(io.BytesIO(base64.b64decode(uri)))
            assert picture.format == "JPEG"
            assert max(picture.size) <= LONGEST_SIDE
            assert not picture.getexif()
        assert text.count('<use href="#p0"/>') == 2

    def test_one_that_is_not_there_is_told(self, page: Any) -> None:
        told = plain(page("--with-images"))
        assert "no picture: Missing" in told
        assert "no picture: UnsafeName" in told

    def test_the_page_says_who_may_see_it(self, page: Any, babycli: Babycli) -> None:
        text = page("--with-images")
        assert html.IMAGES_WARNING in unescape(plain(text))
        head = seen(text.split("</head>")[0])
        assert any(of.get("name") == "rights" and "Databrary" in str(of["content"]) for of in head.named("meta"))

    def test_a_dataset_without_links_is_told(self, page: Any, tmp_path: Path, babycli: Babycli) -> None:
        assert babycli("data", "unlink", "--data", tmp_path / "data").code == 0
        told = plain(page("--with-images"))
        assert "no picture: no images are linked there yet" in told


def test_a_comment_in_a_picture_stays_behind(tmp_path: Path) -> None:
    from babycli.report.html_images import _small

    stream = io.BytesIO()
    Image.new("RGB", (900, 300), "red").save(stream, "JPEG", comment=b"a name", exif=Image.Exif())
    picture = _small(stream.getvalue(), "x.jpg")
    content = base64.b64decode(picture.uri.partition(",")[2])
    assert b"a name" not in content
    assert (picture.width, picture.height) == (160, 53)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all that a page may have."""
    from babycli.cli import main

    folder = tmp_path_factory.mktemp("page")
    few_items = UNITS | {"vtwt": 40, "baby_winoground": 20, "saycam_caption": 16}  # a browser takes long over many
    logs, path = all_of(folder / "logs", few_items), folder / "page.html"
    for i in range(N_FILLERS):
        write_run(logs, f"filler/{i}", drawn(20 + i, {"vtwt": 0.3 + i / 20}, {"vtwt": 60}))
    rising = {"labeled_s": {"acc": [float(i % 10 <= i // 20) for i in range(220)]}}  # so that each colour is there
    write_run(logs, "lab/rising", rising)
    words = ["--compare", "lab/good", "lab/odd", "lab/small/checkpoint-500", "--items", "--baselines", "paper"]
    assert main(["report", str(logs), "--format", "html", "--output", str(path), *words]) == 0
    return path


VTWT = 'th[data-name="VTWT acc"]'
SHOWN = """[...document.querySelector("#part1-table").tBodies[0].rows].filter((row) => !row.hidden)
  .map((row) => parseFloat(row.cells[2].dataset.v)).map((value) => (isNaN(value) ? null : value))"""
# The items of the first comparisons; all of them keep axe busy for long.
OPEN = """document.querySelectorAll("details:not(#items ~ details:nth-of-type(n+4))")
  .forEach((each) => { each.open = true; })"""


def shown(page: Page) -> list[float]:
    """The VTWT column from the top down; rows without a number left out, which must come last."""
    values: list[float | None] = page.evaluate(SHOWN)
    numbers = [value for value in values if value is not None]
    assert values[: len(numbers)] == numbers
    return numbers


def test_a_click_on_a_heading_sorts_by_its_numbers(browser: Browser, written: Path) -> None:
    with opened(browser, written) as found:
        head = found.page.locator(f"#part1-table {VTWT}")
        before = found.page.evaluate(SHOWN)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert shown(found.page) == sorted(shown(found.page), reverse=True)
        assert len(shown(found.page)) == len(before) - 1  # one has no such number
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert shown(found.page) == sorted(shown(found.page))
        found.page.locator('#part1-table th[data-name="model"] button').click()
        assert found.page.evaluate(SHOWN) == before
        assert head.get_attribute("aria-sort") is None


def test_the_keyboard_sorts_too(browser: Browser, written: Path) -> None:
    with opened(browser, written) as found:
        button = found.page.locator(f"#part1-table {VTWT} button")
        button.focus()
        found.page.keyboard.press("Enter")
        assert shown(found.page) == sorted(shown(found.page), reverse=True)
        found.page.keyboard.press("Space")
        assert shown(found.page) == sorted(shown(found.page))
        assert "ascending" in found.page.locator("#told").inner_text()
        found.page.locator(".skip").focus()
        found.page.keyboard.press("Enter")
        assert found.page.evaluate("document.activeElement.id") == "main"


def test_models_can_be_found_and_intervals_shown(browser: Browser, written: Path) -> None:
    with opened(browser, written) as found:
        found.page.locator('input[type="search"]').fill("FILLER")
        assert len(found.page.evaluate(SHOWN)) == N_FILLERS
        interval = found.page.locator("#part1-table td i:visible")
        assert interval.count() == 0
        found.page.locator("input.wide").first.check()
        assert interval.count() > 0


def test_methods_are_copied(browser: Browser, written: Path) -> None:
    with opened(browser, written) as found:
        found.page.locator("#copy").click()
        assert found.page.locator("#copy").inner_text() == "Copied"
        found.page.locator('input[type="search"]').focus()
        found.page.keyboard.press("Control+V")
        pasted = found.page.locator('input[type="search"]').input_value()
        assert pasted.strip() == found.page.locator("#methods-text").inner_text().strip()
        assert pasted


def test_nothing_leaves_the_page_and_nothing_complains(browser: Browser, written: Path) -> None:
    with opened(browser, written) as found:
        found.page.evaluate(OPEN)
        found.page.locator(f"#part1-table {VTWT} button").click()
        found.page.locator("#copy").click()
        found.page.wait_for_timeout(300)
        assert found.requests[0] == written.as_uri()
        assert all(url.startswith(("file:", "data:")) for url in found.requests)
        assert len([url for url in found.requests if url.startswith("file:")]) == 1
        assert found.complaints == []


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1280),
        pytest.param("dark", 360, marks=pytest.mark.long),
        pytest.param("light", 360, marks=pytest.mark.long),
        pytest.param("dark", 1280, marks=pytest.mark.long),
    ],
)
def test_axe_finds_no_serious_issue(
    browser: Browser, written: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, written, width, scheme) as found:
        found.page.evaluate(OPEN)
        found.page.locator("input.wide").first.check()
        found.page.locator(f"#part1-table {VTWT} button").click()
        assert serious_issues(found.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_every_colour_and_in_figures(
    browser: Browser, written: Path, scheme: Literal["light", "dark"]
) -> None:
    """axe leaves out what stands in an SVG."""
    with opened(browser, written, scheme=scheme) as found:
        pairs = found.page.evaluate(PAIRS)
        assert {"h1", "h10", "mark measured"} <= {name for name, *_ in pairs}
        assert [pair for pair in pairs if contrast(*pair[1:]) < 4.5] == []


# Every fill of a heat map with its text, every text of a figure on the page: name, ink, ground as [r, g, b].
PAIRS = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const page = getComputedStyle(document.body).backgroundColor;
  const pairs = new Map();
  for (const cell of document.querySelectorAll("td[class^=h]:not(.h0)")) {
    const style = getComputedStyle(cell);
    pairs.set(cell.className, [cell.className, rgb(style.color), rgb(style.backgroundColor)]);
  }
  for (const text of document.querySelectorAll("svg text")) {
    const name = text.classList.contains("s") ? "small" : text.parentElement.getAttribute("class") ?? "text";
    pairs.set(name, [name, rgb(getComputedStyle(text).fill), rgb(page)]);
  }
  return [...pairs.values()];
})()"""


def contrast(ink: list[int], ground: list[int]) -> float:
    """The ratio of WCAG 2.2."""

    def luminance(colour: list[int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(ink), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", [320, *(pytest.param(w, marks=pytest.mark.long) for w in (360, 768))])
def test_the_page_never_scrolls_sideways(browser: Browser, written: Path, width: int) -> None:
    with opened(browser, written, width) as found:
        found.page.evaluate(OPEN)
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        found.page.locator("#part1-table").evaluate("(table) => { table.parentElement.scrollLeft = 300; }")
        first = found.page.locator("#part1-table tbody th").first
        box = first.bounding_box()
        assert box
        assert 0 <= box["x"] < 60  # the names stay in sight
