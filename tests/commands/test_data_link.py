"""`babycli data link`: what is linked, what is not, and that nothing is ever lost on the way."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from babycli.commands.demo import DEVCV
from tests.conftest import Babycli
from tests.data.demo_copy import (
    DATASET,
    LINKS,
    VTWT_FRAME,
    DemoCopy,
    copy_demo,
    links_in,
    replace,
    skip_unless_permissions_count,
    snapshot,
)

SAYCAM_LINKS = ["vtwt/images", "SAYCam_caption/images", "baby_winoground/positive_images"]


pytestmark = pytest.mark.usefixtures("empty_folder")


def states_in(out: str) -> dict[str, str]:
    """What `link` says of every task: "ready", "wants …", "NOT LINKED"."""
    lines = (line.split(maxsplit=1) for line in out.splitlines() if line[0] != " ")
    return {task: state.strip() for task, state in lines}


def expected_links(folder: Path) -> dict[str, str]:
    return {link: str(folder / source) for link, source in LINKS.items()}


# --- what a user types ---------------------------------------------------------------------------------------------


def test_all_folders_given_makes_every_task_ready(babycli: Babycli, demo: DemoCopy) -> None:
    ran = babycli(*demo.link_words)
    assert ran.code == 0
    assert links_in(DATASET) == expected_links(demo.folder)
    assert [line.split() for line in ran.out.splitlines() if not line.startswith(" ")] == [
        ["labeled_s", "ready"],
        ["vtwt", "ready"],
        ["baby_winoground", "ready"],
        ["saycam_caption", "ready"],
    ]
    for count in (
        "126 of 126 Labeled-S images",
        "100 of 100 SAYCam frames",
        "40 of 40 SAYCam frames",
        "48 of 48 SAYCam frames",
        "40 of 40 synthetic images",
    ):
        assert count in ran.out


def test_the_saycam_folder_alone_links_what_it_serves_and_says_what_is_wanted(babycli: Babycli, demo: DemoCopy) -> None:
    ran = babycli("data", "link", demo.saycam, "--from", demo.labels)
    assert ran.code == 0
    states = states_in(ran.out)
    assert states["vtwt"] == states["saycam_caption"] == "ready"
    assert states["labeled_s"] == "wants Labeled-S images"
    assert states["baby_winoground"] == "wants synthetic images"
    assert "--labeled-s" in ran.err
    assert "--synthetic" in ran.err
    assert links_in(DATASET) == dict.fromkeys(SAYCAM_LINKS, str(demo.saycam))


def test_the_rest_may_be_linked_later(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "link", demo.saycam, "--from", demo.labels)
    ran = babycli("data", "link", "--labeled-s", demo.labeled_s, "--synthetic", demo.synthetic)
    assert ran.code == 0
    assert links_in(DATASET) == expected_links(demo.folder)
    assert ran.out.count(" ready\n") == 4


def test_nothing_given_is_a_usage_error(babycli: Babycli) -> None:
    ran = babycli("data", "link")
    assert (ran.code, ran.out) == (2, "")
    assert "nothing to link" in ran.err
    assert not DATASET.exists()


def test_underscores_in_options_are_accepted(babycli: Babycli, demo: DemoCopy) -> None:
    assert babycli("data", "link", "--labeled_s", demo.labeled_s, "--from", demo.labels).code == 0
    assert links_in(DATASET) == {"labeled_s/images": str(demo.labeled_s)}


# --- where the images may lie --------------------------------------------------------------------------------------


def test_frames_one_folder_deep_are_found(babycli: Babycli, demo: DemoCopy) -> None:
    outer = demo.folder / "outer"
    outer.mkdir()
    (outer / "another").mkdir()
    demo.saycam.rename(outer / "frames")
    assert babycli("data", "link", outer, "--from", demo.labels).code == 0
    assert links_in(DATASET) == dict.fromkeys(SAYCAM_LINKS, str(outer / "frames"))


def test_frames_two_folders_deep_are_not(babycli: Babycli, demo: DemoCopy) -> None:
    deep = demo.folder / "outer" / "middle"
    deep.mkdir(parents=True)
    demo.saycam.rename(deep / "frames")
    ran = babycli("data", "link", deep.parent, "--from", demo.labels)
    assert ran.code == 3
    assert links_in(DATASET) == {}


@pytest.mark.parametrize(
    ("option", "kind", "what", "right"),
    [
        ((), "labeled_s_images", "Labeled-S images, and none of 100 SAYCam frames", "--labeled-s "),
        ((), "synthetic_images", "synthetic images, and none of 100 SAYCam frames", "--synthetic "),
        (("--labeled-s",), "saycam_images", "SAYCam frames, and none of 126 Labeled-S images", ""),
        (("--labeled-s",), "synthetic_images", "synthetic images, and none of 126 Labeled-S images", "--synthetic "),
        (("--synthetic",), "saycam_images", "SAYCam frames, and none of 40 synthetic images", ""),
    ],
)
def test_images_of_another_kind_are_named_with_the_command_that_links_them(
    option: tuple[str, ...], kind: str, what: str, right: str, babycli: Babycli, demo: DemoCopy
) -> None:
    folder = (demo.folder / kind).rename(demo.folder / "my images")
    for given, place in ((folder, folder), (demo.folder / "outer", demo.folder / "outer" / "in it")):
        if given != place:
            given.mkdir()
            folder.rename(place)
        ran = babycli("data", "link", *option, given, "--from", demo.labels)
        assert ran.code == 3
        command = f"babycli data link {right}{shlex.quote(str(place))}"
        assert f"{given} holds {what}\n  mend: give it as what it is:  {command}\n" in ran.err
        assert links_in(DATASET) == {}
    words = shlex.split(command)[1:]
    assert babycli(*words).code == 0
    assert str(place) in links_in(DATASET).values()


def test_a_set_of_devcv_given_as_saycam_is_known_too(babycli: Babycli, demo: DemoCopy) -> None:
    with zipfile.ZipFile(DEVCV) as archive:
        archive.extractall("toolbox")
    ran = babycli("data", "link", "toolbox", "--from", demo.labels)
    assert ran.code == 3
    assert "mend: give it as what it is:  babycli data link --devcv demo=toolbox\n" in ran.err


@pytest.mark.parametrize("inside", ["", "labeled_s"])
def test_labeled_s_inside_the_saycam_folder_is_found(babycli: Babycli, demo: DemoCopy, inside: str) -> None:
    home = demo.saycam / inside
    shutil.copytree(demo.labeled_s, home, dirs_exist_ok=True)
    ran = babycli("data", "link", demo.saycam, "--from", demo.labels)
    assert ran.code == 0
    assert links_in(DATASET) == {
        "labeled_s/images": str(home),
        **dict.fromkeys(SAYCAM_LINKS, str(demo.saycam)),
    }


def test_a_labeled_s_folder_that_is_given_goes_before_the_one_inside(babycli: Babycli, demo: DemoCopy) -> None:
    shutil.copytree(demo.labeled_s, demo.saycam, dirs_exist_ok=True)
    assert babycli(*demo.link_words).code == 0
    assert links_in(DATASET)["labeled_s/images"] == str(demo.labeled_s)


@pytest.mark.parametrize(("option", "source"), [("--labeled-s", "labeled_s"), ("--synthetic", "synthetic")])
def test_the_other_folders_may_be_one_deep_too(babycli: Babycli, demo: DemoCopy, option: str, source: str) -> None:
    outer = demo.folder / "outer"
    outer.mkdir()
    (demo.folder / f"{source}_images").rename(outer / "inner")
    assert babycli("data", "link", option, outer, "--from", demo.labels).code == 0
    assert list(links_in(DATASET).values()) == [str(outer / "inner")]


def test_a_folder_of_links_to_frames_serves_as_well(babycli: Babycli, demo: DemoCopy) -> None:
    farm = demo.folder / "farm"
    farm.mkdir()
    for frame in demo.saycam.iterdir():
        (farm / frame.name).symlink_to(frame)
    assert babycli("data", "link", farm, "--from", demo.labels).code == 0
    assert links_in(DATASET)["vtwt/images"] == str(farm)


def test_a_relative_path_makes_a_link_that_holds_from_anywhere(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative = Path("..") / "downloads"
    ran = babycli("data", "link", relative / "saycam_images", "--from", relative / "labels")
    assert ran.code == 0
    assert links_in(DATASET)["vtwt/images"] == str(demo.saycam)
    monkeypatch.chdir("/")
    assert (tmp_path / "work" / DATASET / "vtwt/images" / VTWT_FRAME).is_file()


@pytest.mark.parametrize("name", ["with  two spaces", "köln 図 ✓", 'it\'s $HOME; "q" & *', "new\nline"])
def test_any_name_of_a_folder_works(babycli: Babycli, demo: DemoCopy, name: str) -> None:
    odd = demo.saycam.rename(demo.folder / name)
    assert babycli("data", "link", odd, "--from", demo.labels).code == 0
    assert links_in(DATASET) == dict.fromkeys(SAYCAM_LINKS, str(odd))
    assert babycli("data", "verify").out.count("SAYCam frames sound") == 3


def test_the_command_for_the_rest_can_be_pasted_into_a_shell(babycli: Babycli, demo: DemoCopy) -> None:
    odd = demo.saycam.rename(demo.folder / "it's my  folder")
    ran = babycli("data", "link", odd, "--from", demo.labels)
    command = next(line for line in ran.err.splitlines() if "babycli data link" in line)
    words = shlex.split(command.partition("babycli data link")[2])
    assert words == [str(odd), "--labeled-s", "DIR", "--synthetic", "DIR"]


# --- again, and to somewhere else ----------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    before = snapshot(DATASET)
    ran = babycli(*demo.link_words)
    assert ran.code == 0
    assert snapshot(DATASET) == before
    assert ran.out.count("unchanged") == 5


def test_linking_another_folder_replaces_the_links(babycli: Babycli, demo: DemoCopy, downloads: Path) -> None:
    babycli(*demo.link_words)
    other = copy_demo(downloads, demo.folder.parent / "other")
    assert babycli(*other.link_words).code == 0
    assert links_in(DATASET) == expected_links(other.folder)


def test_a_link_is_there_at_every_moment_of_its_replacement(
    babycli: Babycli, demo: DemoCopy, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    babycli(*demo.link_words)
    before = links_in(DATASET)
    other = copy_demo(downloads, demo.folder.parent / "other")
    seen: list[dict[str, str]] = []

    def watched(event: str) -> Callable[..., None]:
        real = getattr(os, event)

        def call(*args: object, **options: object) -> None:
            seen.append(links_in(DATASET))
            real(*args, **options)
            seen.append(links_in(DATASET))

        return call

    for event in ("replace", "rename", "symlink", "unlink", "remove"):
        monkeypatch.setattr(os, event, watched(event))
    assert babycli(*other.link_words).code == 0
    assert len(seen) >= 10
    assert all(moment.keys() == before.keys() for moment in seen)


def test_a_replacement_that_fails_leaves_the_old_link_and_no_litter(
    babycli: Babycli, demo: DemoCopy, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    babycli(*demo.link_words)
    before = snapshot(DATASET)
    other = copy_demo(downloads, demo.folder.parent / "other")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    ran = babycli(*other.link_words)
    assert ran.code == 3
    assert "No space left on device" in ran.err
    assert snapshot(DATASET) == before


@pytest.mark.parametrize("target", ["nowhere", "images"])
def test_a_link_that_leads_nowhere_is_replaced(babycli: Babycli, demo: DemoCopy, target: str) -> None:
    (DATASET / "vtwt").mkdir(parents=True)
    (DATASET / "vtwt/images").symlink_to(target)  # "images" leads to itself
    assert babycli(*demo.link_words).code == 0
    assert links_in(DATASET) == expected_links(demo.folder)


@pytest.mark.parametrize("given", ["dataset/vtwt/images", "dataset/vtwt", "my_frames", "my_dataset/vtwt/images"])
@pytest.mark.parametrize("dataset", ["dataset", "my_dataset"])
def test_a_link_of_the_dataset_given_as_the_source_never_leads_to_itself(
    babycli: Babycli, demo: DemoCopy, given: str, dataset: str
) -> None:
    babycli(*demo.link_words)
    Path("my_frames").symlink_to("dataset/vtwt/images")
    Path("my_dataset").symlink_to("dataset")
    babycli("data", "link", given, "--data", dataset)
    for link in SAYCAM_LINKS:
        assert (DATASET / link / "demo_frame_000.png").is_file()


# --- what stands in a link's place ---------------------------------------------------------------------------------


@pytest.mark.parametrize("link", LINKS)
def test_a_real_folder_in_the_place_of_a_link_is_left_alone(babycli: Babycli, demo: DemoCopy, link: str) -> None:
    place = DATASET / link
    shutil.copytree(demo.folder / LINKS[link], place)
    (place / "mine.txt").write_text("mine")
    before = snapshot(place)
    ran = babycli(*demo.link_words)
    assert ran.code == 0
    assert snapshot(place) == before
    assert str(place) in ran.out
    assert links_in(DATASET) == {k: v for k, v in expected_links(demo.folder).items() if k != link}


def test_a_task_is_not_called_ready_when_the_real_folder_in_its_place_is_empty(
    babycli: Babycli, demo: DemoCopy
) -> None:
    (DATASET / "vtwt/images").mkdir(parents=True)
    ran = babycli(*demo.link_words)
    states = states_in(ran.out)
    assert states["saycam_caption"] == "ready"
    assert states["vtwt"] != "ready"


def test_a_real_folder_for_which_nothing_was_given_is_no_failure(babycli: Babycli, demo: DemoCopy) -> None:
    (DATASET / "labeled_s/images").mkdir(parents=True)
    ran = babycli("data", "link", demo.saycam, "--from", demo.labels)
    assert ran.code == 0
    assert states_in(ran.out)["labeled_s"] != "ready"
    assert links_in(DATASET) == dict.fromkeys(SAYCAM_LINKS, str(demo.saycam))


def test_a_real_file_in_the_place_of_a_link_is_left_alone(babycli: Babycli, demo: DemoCopy) -> None:
    place = DATASET / "vtwt/images"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    ran = babycli(*demo.link_words)
    assert ran.code == 3
    assert str(place) in ran.out + ran.err
    assert place.read_text() == "mine"


# --- images that are not there -------------------------------------------------------------------------------------


def remove_frames(demo: DemoCopy, first: int, last: int) -> None:
    for i in range(first, last + 1):
        (demo.saycam / f"demo_frame_{i:03}.png").unlink()


def test_a_task_with_missing_images_is_not_linked_and_the_first_names_are_shown(
    babycli: Babycli, demo: DemoCopy
) -> None:
    remove_frames(demo, 41, 47)
    ran = babycli(*demo.link_words)
    assert ran.code == 3
    assert sorted(links_in(DATASET)) == sorted(link for link in LINKS if link != "vtwt/images")
    assert "93 of 100 SAYCam frames" in ran.out
    for shown in ("demo_frame_041.png", "demo_frame_042.png", "2 more", "--allow-missing"):
        assert shown in ran.out
    assert "demo_frame_047.png" not in ran.out


def test_an_earlier_link_of_a_task_with_missing_images_stays(babycli: Babycli, demo: DemoCopy, downloads: Path) -> None:
    babycli(*demo.link_words)
    before = snapshot(DATASET / "vtwt")
    other = copy_demo(downloads, demo.folder.parent / "other")
    other.frame.unlink()
    assert babycli(*other.link_words).code == 3
    assert snapshot(DATASET / "vtwt") == before
    assert links_in(DATASET)["SAYCam_caption/images"] == str(other.saycam)


def test_a_task_of_two_folders_is_linked_wholly_or_not_at_all(babycli: Babycli, demo: DemoCopy) -> None:
    (demo.synthetic / "demo_frame_003_neg.png").unlink()
    ran = babycli(*demo.link_words)
    assert ran.code == 3
    assert sorted(links_in(DATASET)) == ["SAYCam_caption/images", "labeled_s/images", "vtwt/images"]
    assert "demo_frame_003_neg.png" in ran.out


def spoil_nothing_there(image: Path) -> None:
    image.unlink()


def spoil_empty(image: Path) -> None:
    replace(image, b"")


def spoil_folder(image: Path) -> None:
    image.unlink()
    image.mkdir()


def spoil_dangling(image: Path) -> None:
    image.unlink()
    image.symlink_to("gone.png")


@pytest.mark.parametrize("spoil", [spoil_nothing_there, spoil_empty, spoil_folder, spoil_dangling])
def test_what_cannot_be_an_image_counts_as_missing(
    babycli: Babycli, demo: DemoCopy, spoil: Callable[[Path], None]
) -> None:
    spoil(demo.frame)
    ran = babycli(*demo.link_words)
    assert ran.code == 3
    assert "99 of 100 SAYCam frames" in ran.out
    assert VTWT_FRAME in ran.out
    assert "vtwt/images" not in links_in(DATASET)


def spoil_cut_off(image: Path) -> None:
    replace(image, image.read_bytes()[:-20])


def spoil_text(image: Path) -> None:
    replace(image, b"<html>404</html>")


@pytest.mark.parametrize("is_zip", [False, True])
@pytest.mark.parametrize(
    ("spoil", "why"), [(spoil_empty, "Empty: 0 bytes"), (spoil_text, "NotAnImage"), (spoil_cut_off, "Truncated: ")]
)
def test_a_file_that_is_no_whole_image_is_broken_and_its_task_not_ready(
    babycli: Babycli, demo: DemoCopy, spoil: Callable[[Path], None], why: str, is_zip: bool
) -> None:
    spoil(demo.frame)
    words = list(demo.link_words)
    if is_zip:
        words[2] = shutil.make_archive("frames", "zip", demo.saycam)
    ran = babycli(*words)
    assert ran.code == 3
    assert states_in(ran.out)["vtwt"] == "NOT LINKED"
    assert "99 of 100 SAYCam frames" in ran.out
    assert f"    broken: {VTWT_FRAME} ({why}" in ran.out
    assert "missing:" not in ran.out
    assert "vtwt/images" not in links_in(DATASET)
    ran = babycli(*words, "--allow-missing")
    assert ran.code == 0
    assert states_in(ran.out)["vtwt"] == "linked, images broken"
    assert states_in(ran.out)["saycam_caption"] == "ready"
    assert f"broken: {VTWT_FRAME} ({why}" in ran.out


def test_missing_and_broken_images_are_told_apart(babycli: Babycli, demo: DemoCopy) -> None:
    spoil_text(demo.frame)
    other = demo.frame.with_name("demo_frame_046.png")
    other.unlink()
    ran = babycli(*demo.link_words, "--allow-missing")
    assert states_in(ran.out)["vtwt"] == "linked, images missing and broken"
    assert f"    missing: {other.name}\n    broken: {VTWT_FRAME} (NotAnImage: it is a web page" in ran.out


def test_allow_missing_links_all_the_same_and_still_says_what_is_missing(babycli: Babycli, demo: DemoCopy) -> None:
    demo.frame.unlink()
    ran = babycli(*demo.link_words, "--allow-missing")
    assert ran.code == 0
    assert links_in(DATASET) == expected_links(demo.folder)
    assert "99 of 100 SAYCam frames" in ran.out
    assert VTWT_FRAME in ran.out
    states = states_in(ran.out)
    assert states["vtwt"] != "ready"
    assert states["saycam_caption"] == "ready"


# --- the wrong folder ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allow", [(), ("--allow-missing",)])
@pytest.mark.parametrize("wrong", [1, 3, 5])  # the word that is the path of SAYCam, Labeled-S, synthetic
def test_a_wrong_folder_links_nothing_at_all(
    babycli: Babycli, demo: DemoCopy, wrong: int, allow: tuple[str, ...]
) -> None:
    elsewhere = demo.folder / "holidays"
    elsewhere.mkdir()
    (elsewhere / "beach.png").write_bytes(demo.frame.read_bytes())
    words = list(demo.link_words)
    words[wrong + 1] = elsewhere
    ran = babycli(*words, *allow)
    assert ran.code == 3
    assert str(elsewhere) in ran.err
    assert links_in(DATASET) == {}


def test_a_wrong_folder_leaves_earlier_links_as_they_were(babycli: Babycli, demo: DemoCopy, downloads: Path) -> None:
    babycli(*demo.link_words)
    before = snapshot(DATASET)
    other = copy_demo(downloads, demo.folder.parent / "other")
    ran = babycli("data", "link", other.saycam, "--labeled-s", other.synthetic)
    assert ran.code == 3
    assert snapshot(DATASET) == before


@pytest.mark.parametrize("option", [(), ("--labeled-s",), ("--synthetic",)])
@pytest.mark.parametrize("name", ["nowhere", "frames.txt", "file/below", pytest.param("a" * 300, id="too long")])
def test_a_path_that_is_no_folder_is_named(
    babycli: Babycli, demo: DemoCopy, option: tuple[str, ...], name: str
) -> None:
    Path("frames.txt").write_bytes(b"PK\x03\x04")
    Path("file").touch()
    ran = babycli("data", "link", *option, name, "--from", demo.labels)
    assert ran.code == 3
    assert ran.err.count("Traceback") == 0
    assert name in ran.err
    assert links_in(DATASET) == {}


def test_a_zip_that_was_cut_off_is_refused(babycli: Babycli, demo: DemoCopy) -> None:
    Path("frames.txt").write_bytes(b"PK\x03\x04")
    ran = babycli("data", "link", "frames.txt", "--from", demo.labels)
    assert ran.code == 3
    assert "frames.txt is neither a folder of images nor a zip" in ran.err
    assert "download it again" in ran.err


# --- the dataset folder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "option", "expected"),
    [
        (None, None, "dataset"),
        ("", None, "dataset"),
        ("from_environment", None, "from_environment"),
        (None, "from_option", "from_option"),
        ("from_environment", "from_option", "from_option"),
    ],
)
def test_the_option_goes_before_the_variable_before_the_default(
    babycli: Babycli,
    demo: DemoCopy,
    monkeypatch: pytest.MonkeyPatch,
    environment: str | None,
    option: str | None,
    expected: str,
) -> None:
    if environment is not None:
        monkeypatch.setenv("BABYCLI_DATA", environment)
    words = ("--data", option) if option else ()
    assert babycli(*demo.link_words, *words).code == 0
    assert [entry.name for entry in Path().iterdir()] == [expected]
    assert links_in(Path(expected)) == expected_links(demo.folder)
    assert babycli("data", "verify", *words).code == 0


def test_a_file_in_place_of_the_dataset_folder_is_an_error_that_names_it(babycli: Babycli, demo: DemoCopy) -> None:
    DATASET.write_text("mine")
    ran = babycli(*demo.link_words)
    assert ran.code == 3
    assert str(DATASET) in ran.err
    assert "--data" in ran.err
    assert DATASET.read_text() == "mine"


def test_a_file_in_place_of_the_folder_of_a_link_is_an_error_that_names_it(babycli: Babycli, demo: DemoCopy) -> None:
    DATASET.mkdir()
    (DATASET / "vtwt").write_text("mine")
    ran = babycli(*demo.link_words)
    assert ran.code == 3
    assert str(DATASET / "vtwt") in ran.err
    assert (DATASET / "vtwt").read_text() == "mine"


def test_a_read_only_dataset_folder_is_an_error_that_names_it(babycli: Babycli, demo: DemoCopy, tmp_path: Path) -> None:
    skip_unless_permissions_count(tmp_path)
    DATASET.mkdir(mode=0o555)
    ran = babycli(*demo.link_words)
    assert ran.code == 3
    assert str(DATASET) in ran.err
    assert "--data" in ran.err


def test_a_dataset_that_became_read_only_keeps_its_links(
    babycli: Babycli, demo: DemoCopy, downloads: Path, tmp_path: Path
) -> None:
    skip_unless_permissions_count(tmp_path)
    babycli(*demo.link_words)
    before = snapshot(DATASET)
    other = copy_demo(downloads, tmp_path / "other")
    folders = [DATASET, *(DATASET / link for link in ("labeled_s", "vtwt", "SAYCam_caption", "baby_winoground"))]
    for folder in folders:
        folder.chmod(0o555)
    try:
        again, elsewhere = babycli(*demo.link_words), babycli(*other.link_words)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert again.code == 0
    assert elsewhere.code == 3
    assert "Permission denied" in elsewhere.err
    assert snapshot(DATASET) == before


def test_a_source_that_may_not_be_looked_into_is_an_error_that_names_it(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path
) -> None:
    skip_unless_permissions_count(tmp_path)
    locked = demo.folder / "locked_away"
    locked.mkdir(mode=0)
    try:
        ran = babycli("data", "link", locked / "saycam", "--from", demo.labels)
    finally:
        locked.chmod(0o755)
    assert ran.code == 3
    assert str(locked) in ran.err
