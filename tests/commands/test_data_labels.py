"""`babycli data labels`, and the label files that `data link` gets when they are missing."""

from __future__ import annotations

import errno
import http.client
import io
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest

from tests.conftest import Babycli
from tests.data.demo_copy import (
    DATASET,
    LABEL_FILES,
    DemoCopy,
    links_in,
    skip_unless_permissions_count,
    snapshot,
)
from tests.data.zipped import zip_folder

UPSTREAM = (
    "https://raw.githubusercontent.com/ShawnKing98/babylmms-eval/82118a809a2036e658cb7e030b9776d7f620048d/dataset/"
)


pytestmark = pytest.mark.usefixtures("empty_folder")


def label_bytes(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in LABEL_FILES.values() if (folder / path).is_file()}


def change_a_byte(path: Path) -> bytes:
    """Another image number in the first row: still a sound file, but not the published one. Gives the new bytes."""
    content = path.read_bytes()
    changed = content.replace(b"_0", b"_1", 1)
    assert changed != content
    path.write_bytes(changed)
    return changed


# --- from a folder -------------------------------------------------------------------------------------------------


def layout_of_the_dataset(labels: Path, to: Path) -> Path:
    return Path(shutil.copytree(labels, to))


def layout_flat(labels: Path, to: Path) -> Path:
    to.mkdir()
    for path in LABEL_FILES.values():
        shutil.copy(labels / path, to)
    return to


def layout_of_a_checkout(labels: Path, to: Path) -> Path:
    shutil.copytree(labels, to / "dataset")
    return to


@pytest.mark.parametrize("layout", [layout_of_the_dataset, layout_flat, layout_of_a_checkout])
def test_label_files_are_taken_from_a_folder_however_they_lie_in_it(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path, layout: Callable[[Path, Path], Path]
) -> None:
    source = layout(demo.labels, tmp_path / "source")
    ran = babycli("data", "labels", "--from", source)
    assert (ran.code, ran.err) == (0, "")
    assert label_bytes(DATASET) == label_bytes(demo.labels)
    assert sorted(snapshot(DATASET)) == sorted(
        {*LABEL_FILES.values(), *(path.partition("/")[0] for path in LABEL_FILES.values())}
    )
    assert [line.split() for line in ran.out.splitlines()] == [
        [task, "copied", str(DATASET / path)] for task, path in LABEL_FILES.items()
    ]


@pytest.mark.parametrize(
    ("given", "mend"), [("labels.zip", "unpack it"), ("labeled_s.csv", "give the folder that holds the label files")]
)
def test_a_file_in_the_place_of_the_folder_is_called_so(
    babycli: Babycli, demo: DemoCopy, given: str, mend: str
) -> None:
    zip_folder(demo.labels, Path("labels.zip"))
    shutil.copy(demo.labels / LABEL_FILES["labeled_s"], "labeled_s.csv")
    for words in (("data", "labels", "--from", given), (*demo.link_words[:-1], given)):
        ran = babycli(*words)
        assert (ran.code, f"{given} is no folder" in ran.err, mend in ran.err) == (3, True, True)


def test_a_pipe_in_the_place_of_a_label_file_is_named(babycli: Babycli, demo: DemoCopy) -> None:
    place = demo.labels / LABEL_FILES["vtwt"]
    place.unlink()
    os.mkfifo(place)
    ran = babycli("data", "labels", "--from", demo.labels)
    assert (ran.code, f"cannot read {place}: it is a pipe" in ran.err) == (3, True)


def test_label_files_that_are_up_to_date_are_not_written_again(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "labels", "--from", demo.labels)
    before = snapshot(DATASET)
    ran = babycli("data", "labels", "--from", demo.labels)
    assert ran.code == 0
    assert snapshot(DATASET) == before
    assert ran.out.count("already there") == 4


def test_the_dataset_folder_itself_may_be_the_source(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "labels", "--from", demo.labels)
    before = snapshot(DATASET)
    assert babycli("data", "labels", "--from", DATASET).code == 0
    assert snapshot(DATASET) == before


def test_another_label_file_that_was_there_is_kept_as_old(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "labels", "--from", demo.labels)
    mine = change_a_byte(DATASET / "vtwt/vtwt.csv")
    before = snapshot(DATASET / "labeled_s")
    ran = babycli("data", "labels", "--from", demo.labels)
    assert ran.code == 0
    assert (DATASET / "vtwt/vtwt.csv.old").read_bytes() == mine
    assert label_bytes(DATASET) == label_bytes(demo.labels)
    assert snapshot(DATASET / "labeled_s") == before


@pytest.mark.parametrize("path", LABEL_FILES.values())
@pytest.mark.parametrize("command", ["labels", "link"])
def test_a_changed_label_file_is_not_taken(babycli: Babycli, demo: DemoCopy, command: str, path: str) -> None:
    change_a_byte(demo.labels / path)
    words = ("data", "labels", "--from", demo.labels) if command == "labels" else demo.link_words
    ran = babycli(*words)
    assert (ran.code, ran.out) == (4, "")
    assert path in ran.err
    assert snapshot(DATASET) == {}


def test_a_changed_label_file_leaves_the_dataset_untouched(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "labels", "--from", demo.labels)
    change_a_byte(DATASET / "labeled_s/labeled_s.csv")
    before = snapshot(DATASET)
    change_a_byte(demo.labels / "SAYCam_caption/SAYCam_caption.csv")
    assert babycli("data", "labels", "--from", demo.labels).code == 4
    assert snapshot(DATASET) == before


@pytest.mark.parametrize("name", ["../up.png", "/etc/hostname", "a\\b.png", "ball/../../up.png"])
def test_a_label_file_whose_names_lead_out_of_the_folder_is_not_taken(
    babycli: Babycli, demo: DemoCopy, name: str
) -> None:
    path = demo.labels / "vtwt/vtwt.csv"
    path.write_text(path.read_text().replace("demo_frame_000.png", name, 1))
    assert babycli(*demo.link_words).code == 4
    assert snapshot(DATASET) == {}


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda raw: raw.replace(b"\n", b"\r\n"), "CRLF"),
        (lambda raw: b"\xef\xbb\xbf" + raw, "byte-order mark"),
    ],
)
def test_a_label_file_that_an_editor_changed_says_so(
    babycli: Babycli, demo: DemoCopy, spoil: Callable[[bytes], bytes], cause: str
) -> None:
    path = demo.labels / "vtwt/vtwt.csv"
    path.write_bytes(spoil(path.read_bytes()))
    ran = babycli("data", "labels", "--from", demo.labels)
    assert ran.code == 4
    assert cause in ran.err


def test_a_folder_that_lacks_a_label_file_gives_none(babycli: Babycli, demo: DemoCopy) -> None:
    (demo.labels / "baby_winoground/baby_winoground.csv").unlink()
    ran = babycli("data", "labels", "--from", demo.labels)
    assert ran.code == 3
    assert "baby_winoground.csv" in ran.err
    assert snapshot(DATASET) == {}


@pytest.mark.parametrize("name", ["nowhere", "file", "file/below", pytest.param("a" * 300, id="too long")])
@pytest.mark.parametrize("command", ["labels", "link"])
def test_a_path_to_label_files_that_is_no_folder_is_named(
    babycli: Babycli, demo: DemoCopy, command: str, name: str
) -> None:
    Path("file").touch()
    words = ("data", "link", demo.saycam) if command == "link" else ("data", "labels")
    ran = babycli(*words, "--from", name)
    assert ran.code == 3
    assert name in ran.err
    assert not DATASET.exists()


def test_a_dataset_path_that_cannot_be_is_named(babycli: Babycli, demo: DemoCopy) -> None:
    ran = babycli("data", "labels", "--from", demo.labels, "--data", "a" * 300)
    assert ran.code == 3
    assert "a" * 300 in ran.err


# --- when writing fails --------------------------------------------------------------------------------------------


def test_a_full_disk_loses_no_label_file(babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    babycli("data", "labels", "--from", demo.labels)
    mine = change_a_byte(DATASET / "vtwt/vtwt.csv")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    ran = babycli("data", "labels", "--from", demo.labels)
    assert ran.code == 3
    assert "No space left on device" in ran.err
    assert (DATASET / "vtwt/vtwt.csv").read_bytes() == mine
    assert [path for path in snapshot(DATASET) if path.endswith(".tmp")] == []


def test_what_was_put_aside_before_is_kept_too(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "labels", "--from", demo.labels)
    mine = change_a_byte(DATASET / "vtwt/vtwt.csv")
    (DATASET / "vtwt/vtwt.csv.old/mine").mkdir(parents=True)
    assert babycli("data", "labels", "--from", demo.labels).code == 0
    assert (DATASET / "vtwt/vtwt.csv.old1").read_bytes() == mine
    assert (DATASET / "vtwt/vtwt.csv.old/mine").is_dir()


@pytest.mark.parametrize("command", ["labels", "link"])
def test_a_read_only_dataset_with_another_label_file_is_an_error_that_names_it(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path, command: str
) -> None:
    skip_unless_permissions_count(tmp_path)
    babycli("data", "labels", "--from", demo.labels)
    change_a_byte(DATASET / "vtwt/vtwt.csv")
    before = snapshot(DATASET)
    (DATASET / "vtwt").chmod(0o555)
    try:
        ran = babycli(*(("data", "labels", "--from", demo.labels) if command == "labels" else demo.link_words))
    finally:
        (DATASET / "vtwt").chmod(0o755)
    assert ran.code == 3
    assert "vtwt.csv" in ran.err
    assert snapshot(DATASET) == before


# --- from the network ----------------------------------------------------------------------------------------------


class Upstream:
    """Stands in for urlopen: serves label files by URL from a folder, and remembers what was asked."""

    def __init__(self, labels: Path) -> None:
        self._labels = labels
        self.asked: list[str] = []

    def __call__(self, url: str, timeout: float | None = None) -> io.BytesIO:
        self.asked.append(url)
        return io.BytesIO((self._labels / url.removeprefix(UPSTREAM)).read_bytes())


class CutOff(io.BytesIO):
    """A download that breaks off."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise http.client.IncompleteRead(b"image,te", 4000)


def refuse(_url: str, timeout: float | None = None) -> io.BytesIO:
    raise AssertionError("the network was used")


def test_label_files_are_fetched_from_the_commit_that_the_manifests_name(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = Upstream(demo.labels)
    monkeypatch.setattr(urllib.request, "urlopen", upstream)
    ran = babycli("data", "labels")
    assert ran.code == 0
    assert upstream.asked == [UPSTREAM + path for path in LABEL_FILES.values()]
    assert label_bytes(DATASET) == label_bytes(demo.labels)
    assert ran.out.count("fetched") == 4


def test_link_fetches_label_files_that_are_missing(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", Upstream(demo.labels))
    ran = babycli("data", "link", demo.saycam)
    assert ran.code == 0
    assert label_bytes(DATASET) == label_bytes(demo.labels)
    assert links_in(DATASET)["vtwt/images"] == str(demo.saycam)


def test_label_files_that_are_there_need_no_network(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    babycli("data", "labels", "--from", demo.labels)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    assert babycli("data", "labels").out.count("already there") == 4
    assert babycli("data", "link", demo.saycam).code == 0


@pytest.mark.parametrize("words", [("data", "labels"), ("data", "link", "saycam_images")])
def test_a_label_file_that_is_not_the_published_is_not_taken_from_the_network(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    demo.saycam.rename("saycam_images")
    change_a_byte(demo.labels / "SAYCam_caption/SAYCam_caption.csv")
    monkeypatch.setattr(urllib.request, "urlopen", Upstream(demo.labels))
    ran = babycli(*words)
    assert (ran.code, ran.out) == (4, "")
    assert "SAYCam_caption.csv" in ran.err
    assert snapshot(DATASET) == {}


NETWORK_ERRORS: dict[str, Exception] = {
    "no network": urllib.error.URLError(OSError(errno.ENETUNREACH, "Network is unreachable")),
    "no such file": urllib.error.HTTPError(UPSTREAM, 404, "Not Found", Message(), None),
    "timeout": TimeoutError("timed out"),
    "reset": ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    "bad answer": http.client.BadStatusLine("garbage"),
    "bad proxy": http.client.InvalidURL("nonnumeric port: 'port'"),
}


@pytest.mark.parametrize("words", [("data", "labels"), ("data", "link", "saycam_images")])
@pytest.mark.parametrize("error", NETWORK_ERRORS.values(), ids=NETWORK_ERRORS.keys())
def test_without_the_network_the_message_says_how_to_go_on(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch, error: Exception, words: tuple[str, ...]
) -> None:
    demo.saycam.rename("saycam_images")

    def fail(_url: str, timeout: float | None = None) -> io.BytesIO:
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    ran = babycli(*words)
    assert (ran.code, ran.out) == (3, "")
    assert UPSTREAM in ran.err
    assert "give this command the checkout, or a folder that holds labeled_s/labeled_s.csv, vtwt/vtwt.csv, " in ran.err
    assert " and SAYCam_caption/SAYCam_caption.csv:  --from PATH\n" in ran.err
    assert snapshot(DATASET) == {}


def test_a_download_that_breaks_off_is_an_error_that_names_it(
    babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout=None: CutOff())
    ran = babycli("data", "labels")
    assert ran.code == 3
    assert UPSTREAM in ran.err
    assert snapshot(DATASET) == {}


@pytest.mark.parametrize(("words", "code"), [(("data", "labels"), 3), (("data", "link", "saycam_images"), 4)])
def test_without_the_network_a_changed_label_file_stays_as_it_is(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int
) -> None:
    demo.saycam.rename("saycam_images")
    babycli("data", "labels", "--from", demo.labels)
    change_a_byte(DATASET / "vtwt/vtwt.csv")
    before = snapshot(DATASET)

    def fail(_url: str, timeout: float | None = None) -> io.BytesIO:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    ran = babycli(*words)
    assert (ran.code, ran.out) == (code, "")
    assert "vtwt.csv" in ran.err or UPSTREAM in ran.err
    assert snapshot(DATASET) == before


def test_link_never_replaces_a_changed_label_file_unasked(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    babycli("data", "labels", "--from", demo.labels)
    change_a_byte(DATASET / "vtwt/vtwt.csv")
    before = snapshot(DATASET)
    monkeypatch.setattr(urllib.request, "urlopen", Upstream(demo.labels))
    ran = babycli("data", "link", demo.saycam)
    assert ran.code == 4
    assert "vtwt.csv" in ran.err
    assert "babycli data labels" in ran.err
    assert snapshot(DATASET) == before


def test_labels_fetches_what_was_changed_and_keeps_the_other_as_old(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    babycli("data", "labels", "--from", demo.labels)
    mine = change_a_byte(DATASET / "vtwt/vtwt.csv")
    monkeypatch.setattr(urllib.request, "urlopen", Upstream(demo.labels))
    assert babycli("data", "labels").code == 0
    assert label_bytes(DATASET) == label_bytes(demo.labels)
    assert (DATASET / "vtwt/vtwt.csv.old").read_bytes() == mine
