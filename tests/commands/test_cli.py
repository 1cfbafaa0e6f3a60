"""The command line as a whole: help, listings, the demo, generated files."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from babycli import __version__
from babycli.commands import doctor
from babycli.data import label_files, manifest
from babycli.data.manifest import manifests, manifests_folder
from babycli.errors import LIMITS
from babycli.tasks import all_tasks, benchmarks, select_tasks
from tests.conftest import REPOSITORY, Babycli


def test_version(babycli: Babycli) -> None:
    assert babycli("--version").out == f"babycli {__version__}\n"


def test_an_unknown_command_is_met_with_the_nearest(babycli: Babycli) -> None:
    ran = babycli("evla")
    assert ran.code == 2
    assert "Did you mean 'eval'" in ran.err


def test_windows_is_told_to_use_wsl(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    import concurrent.futures.process  # noqa: F401  # modules of Windows are missing here, where these ask for them
    import multiprocessing.reduction  # noqa: F401

    monkeypatch.setattr(sys, "platform", "win32")
    for words in (["--version"], ["data", "link", "--help"]):
        assert babycli(*words).code == 0
    ran = babycli("tasks")
    assert (ran.code, ran.out) == (2, "")
    assert "babycli runs on Linux and macOS" in ran.err
    assert "WSL" in ran.err


POOR = """
import os, sys, typer, numpy, orjson, PIL.Image
sys.modules["fcntl"] = None
for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY", "readv", "fork", "sched_getaffinity"):
    if hasattr(os, name):
        delattr(os, name)
from babycli.cli import main
print([main(line.split()) for line in sys.argv[1:]])
"""


def test_commands_start_without_what_only_posix_has() -> None:
    lines = ("--help", "--version", "data link --help", "tasks")
    ran = subprocess.run(
        [sys.executable, "-c", POOR, *lines], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("[0, 0, 0, 0]\n")
    for said in ("Usage: babycli [", f"babycli {__version__}\n", "Usage: babycli data link", "labeled_s"):
        assert said in ran.stdout


def test_tasks_lists_every_metric_and_its_chance(babycli: Babycli) -> None:
    out = babycli("tasks").out
    groups = {part.partition(" ")[0]: part for part in re.split(r"\n(?=\S)", out)}
    assert list(groups) == benchmarks() == ["babyvlm", "devcv", "machine_devbench"]
    for name, part in groups.items():
        assert part.startswith(f"{name} (--tasks {name}): ")
        names = re.findall(r"^  (\w+) ", part, flags=re.MULTILINE)
        assert names == [task.name for task in select_tasks(name)]
    assert "group_score                    chance 16.7 %" in out
    assert "meteor                         no chance level" in out
    listed = json.loads(babycli("tasks", "--json").out)
    assert [task["rows"] for task in listed if task["benchmark"] == "babyvlm"] == [8800, 967, 730, 294]
    assert {task["rows"] for task in listed if task["benchmark"] == "devcv"} == {None}
    (counting,) = [task for task in listed if task["name"] == "baby_count"]
    assert counting["chance"] == dict.fromkeys(("acc", "acc_reference", "acc_chosen"))
    assert "acc                            chance depends on the items\n" in out
    assert "--answers written or chosen\n" in out


def test_a_task_need_not_be_part_of_the_demo(babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(manifests_folder(), tmp_path / "manifests")
    path = tmp_path / "manifests" / "demo.json"
    demo = json.loads(path.read_text())
    del demo["labels"]["vtwt"]
    path.write_text(json.dumps(demo))
    monkeypatch.setattr(manifest, "manifests_folder", lambda: tmp_path / "manifests")
    manifests.cache_clear()
    try:
        assert manifests()["vtwt"].data_set_of("0" * 64) is None
        assert manifests()["vtwt"].demo_n_rows is None
        for words in (["tasks"], ["tasks", "--json"], ["data", "status", "--json", "--data", tmp_path / "none"]):
            ran = babycli(*words)
            assert (ran.code, ran.err) == (0, "")
            assert "vtwt" in ran.out
    finally:
        manifests.cache_clear()


def test_models_lists_families_and_their_arguments(babycli: Babycli) -> None:
    out = babycli("models").out
    assert "babyllava" in out
    assert "conv_template" in out
    assert "wsashawn/babyllava_resnext_gpt2" in out
    assert json.loads(babycli("models", "--json").out)[0]["offers"] == ["loglikelihood", "generate"]


def test_doctor_is_content_here(babycli: Babycli) -> None:
    ran = babycli("doctor")
    assert ran.code == 0
    assert "all is well" in ran.out


def test_doctor_notices_a_broken_torchvision(babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    ran = babycli("doctor")
    assert ran.code == 5
    assert "pip uninstall torchvision" in ran.out
    assert doctor.__doc__


def test_every_task_of_one_set_has_a_manifest_and_every_manifest_a_task() -> None:
    of_one_set = {name for name, task in all_tasks().items() if not task.data_set}
    assert set(manifests()) == of_one_set
    assert sorted(path.stem for path in manifests_folder().glob("*.json")) == sorted([*of_one_set, "demo", "baselines"])


ABOVE_CHANCE = {
    "babyllava-tiny": {"labeled_s": "acc", "vtwt": "acc", "baby_winoground": "group_score"},
    "babyllava-v2-tiny": {
        "baby_localize": "acc",
        "baby_compare_real": "acc",
        "baby_compare_synthetic": "acc",
        "baby_count": "acc",
        "baby_subitize": "acc",
    },
}


@pytest.mark.long
def test_demo_runs_the_commands_a_user_would_and_beats_chance(babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("demo", tmp_path / "demo")
    assert ran.code == 0, ran.err
    assert [line.split()[2] for line in ran.out.splitlines() if line.startswith("$ babycli")] == [
        "data",
        "data",
        "eval",
        "eval",
        "report",
    ]
    assert ran.out.count("DEMO DATA") == 3
    for model, clearly_above in ABOVE_CHANCE.items():
        (path,) = (tmp_path / "demo" / "logs" / model).glob("*/*_results.json")
        document = json.loads(path.read_bytes())
        assert document["demo"] is True
        assert len(document["results"]) == (11 if model == "babyllava-v2-tiny" else 4)
        for task, metric in clearly_above.items():
            low, _ = document["ci95"][task][metric]
            assert low > document["chance"][task][metric], f"{model}: {task} is not clearly above chance"
    first, second = sorted((tmp_path / "demo" / "downloads" / "saycam_images").iterdir())[:2]
    first.unlink()
    os.mkfifo(first)
    second.unlink()
    second.symlink_to(tmp_path / "outside")
    assert babycli("demo", tmp_path / "demo").code == 0  # again, over the same folder
    assert not (tmp_path / "outside").exists()


def test_demo_leaves_other_folders_alone(babycli: Babycli, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    ran = babycli("demo", tmp_path)
    assert ran.code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("tool", ["build_completions.py", "build_demo_data.py"])
def test_generated_files_are_what_their_generators_make(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "tools" / tool, "--check"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_bug_keeps_its_traceback_and_exits_1(tmp_path: Path) -> None:
    script = "import babycli.report.writing as w; w.load_places = lambda *a: 1 / 0\nfrom babycli.cli import run; run()"
    done = subprocess.run([sys.executable, "-c", script, "report"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    "error", [MemoryError(), ImportError("libtorch_cpu.so: failed to map segment from shared object")], ids=repr
)
def test_too_little_memory_is_said(error: Exception, babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("babycli.report.writing.load_places", fail)
    ran = babycli("report")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.endswith("  mend: give it more memory:  ulimit -v unlimited, or a larger machine\n")


@pytest.mark.parametrize(
    "words", [["tasks", "--json"], pytest.param(["data", "status"], marks=pytest.mark.long)], ids=" ".join
)
def test_a_reader_that_goes_away_is_no_error(words: list[str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "babycli", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert (process.returncode, err) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_said() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "babycli", "tasks"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert done.stderr.strip() == "babycli: cannot write to standard output: No space left on device"


def started(*words: object, shell: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a shell, where ``shell`` has ``"$@"`` in its place."""
    command = [sys.executable, "-m", "babycli", *map(str, words)]
    return subprocess.run(["bash", "-c", shell, "bash", *command], capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ["tasks"],
        ["--help"],
        *(pytest.param(words, marks=pytest.mark.long) for words in (["tasks", "--json"], ["data", "status"])),
    ],
    ids=" ".join,
)
def test_a_closed_stdout_is_said(words: list[str], tmp_path: Path) -> None:
    done = started(*words, shell='"$@" >&-', cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "babycli: cannot write to standard output: Bad file descriptor\n"


@pytest.mark.parametrize(
    "how",
    ["2>&-", *(pytest.param(how, marks=pytest.mark.long) for how in ("2>/dev/full", "<&- 2>&-", "<&- 2>/dev/full"))],
)
def test_what_cannot_be_said_is_not_said(how: str, tmp_path: Path) -> None:
    said = started("tasks", shell=f'"$@" {how}', cwd=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("babyvlm (")
    wrong = started("report", "nothing", shell=f'"$@" {how}', cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (3, "", "")


def test_no_file_is_written_through_a_closed_stream(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.txt").write_text("a")
    done = started("data", "manifest", "pictures", "-o", "list.txt", shell='"$@" <&- >&- 2>&-', cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "list.txt").read_text().endswith("  a.txt\n")


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("delay_s", [0.05, 0.2, *(pytest.param(s, marks=pytest.mark.long) for s in (0.02, 0.1, 0.4))])
def test_interrupts_at_any_moment_end_it_quietly(delay_s: float, n: int, tmp_path: Path) -> None:
    script = "import babycli.__main__ as m; print('begins', flush=True); m.start()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "doctor"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        time.sleep(delay_s)
        for _ in range(n):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        _, err = process.communicate()
    assert "Traceback" not in err
    assert process.returncode in ((130, 0) if delay_s == 0.4 else (130,))  # by then it may have ended


def test_nothing_slow_comes_before_the_handler_of_interrupts() -> None:
    """What is imported first is what cannot be interrupted quietly yet."""
    script = "import sys; before = set(sys.modules); import babycli.__main__; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )
    assert {"babycli", "babycli.__main__"} <= set(done.stdout.split())
    assert not {"typing", "babycli.errors", "babycli.cli"} & set(done.stdout.split()), done.stdout


BECOMES = """
import os, signal, sys, time
import babycli.__main__, babycli.report.writing
from babycli.errors import ModelError

def load_places(*_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    except KeyboardInterrupt:
        raise {}

babycli.report.writing.load_places = load_places
sys.argv[1:] = ["report"]
babycli.__main__.start()
"""


@pytest.mark.parametrize("error", ["ImportError('cannot load module more than once per process')", "ModelError('x')"])
def test_an_interrupt_that_comes_out_as_another_error_is_one(error: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BECOMES.format(error)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


ENDED = """
import os, signal, sys
import babycli.__main__

replace = os.replace

def replace_at_last(*places):
    os.kill(os.getpid(), signal.{})
    replace(*places)

os.replace = replace_at_last
sys.argv[1:] = ["data", "manifest", "pictures", "-o", "list.txt"]
babycli.__main__.start()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long), signal.SIGINT])
def test_a_signal_leaves_nothing_half_written(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.txt").write_text("a")
    script = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)" + ENDED.format(number.name)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As after nohup."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.txt").write_text("a")
    script = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" + ENDED.format("SIGHUP")
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "list.txt").is_file()


POORER = """
import sys
import babycli.__main__

class NoMemory:
    def find_spec(self, name, path=None, target=None):
        if name == "{}":
            raise {}

sys.meta_path.insert(0, NoMemory())
babycli.__main__.start()
"""


@pytest.mark.parametrize(
    ("module", "error"),
    [("babycli.cli", "MemoryError"), ("typer", "ImportError('libtiff.so.6: failed to map segment')")],
)
def test_without_memory_to_start_one_line_is_said(module: str, error: str) -> None:
    done = subprocess.run([sys.executable, "-c", POORER.format(module, error)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "babycli: there is not memory enough to start it\n"
        "  mend: give it more memory:  ulimit -v unlimited, or a larger machine\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "--model", "~nosuchuser/x"],
        ["eval", "--model", "~nosuchuser/*"],
        ["eval", "--tasks", "~nosuchuser/x.py:TASK"],
        ["models", "show", "~nosuchuser/x"],
        ["data", "status", "--data", "~nosuchuser/x"],
        ["data", "link", "~nosuchuser/x"],
        ["data", "verify", "~nosuchuser/x"],
        ["data", "labels", "--from", "~nosuchuser/x"],
        ["report", "~nosuchuser/x"],
    ],
    ids=" ".join,
)
def test_a_home_of_nobody_is_a_name_like_any_other(
    words: list[str], tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = babycli(*words)
    assert ran.code in (0, 2, 3, 5)
    assert "~nosuchuser/" in ran.out + ran.err


@pytest.mark.parametrize("n", [9, *(pytest.param(n, marks=pytest.mark.long) for n in (11, 13, 16, 24))])
def test_with_few_open_files_no_file_is_blamed(n: int, dataset: Path, downloads: Path, tmp_path: Path) -> None:
    """The work is done, or the limit is named."""
    shell = f'ulimit -n {n}; exec timeout -k 5 60 "$@"'
    for words in (
        ("data", "verify", "--data", dataset, "--full"),
        ("data", "manifest", downloads, "-o", "list"),
        ("data", "subset", "copy", "--data", dataset),
    ):
        done = started(*words, shell=shell, cwd=tmp_path)
        if done.returncode:
            assert done.returncode == 3
            assert done.stderr.endswith("  mend: let a process open more files:  ulimit -n 1024\n")
            assert "Unreadable" not in done.stdout


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_an_error_that_names_a_file_tells_to_raise_a_limit_where_there_is_one(
    number: int, downloads: Path, empty_folder: None, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, max_bytes: int) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(label_files, "read_file", refused)
    ran = babycli("data", "labels", "--from", downloads / "labels")
    assert ran.code == 3
    assert ran.err.endswith(f"  mend: {LIMITS[number]}\n")


@pytest.mark.parametrize("option", ["--limit", "--max-new-tokens", "--batch-check", "--batch-size"])
@pytest.mark.parametrize("number", ["9" * 20, "1" + "0" * 400, "9" * 5000, "\u00b2", "\u0663", "-2", "nan", ""])
def test_no_option_takes_a_number_beyond_all_counts(option: str, number: str, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:constant", f"{option}={number}", "--data", "nowhere")
    assert ran.code == 2
    assert option in ran.err


@pytest.mark.parametrize("number", ["9" * 5000, "\u00b2", "1e400"])
def test_a_seed_is_a_number(number: str, babycli: Babycli, dataset: Path) -> None:
    ran = babycli("eval", "--model", f"control:random?seed={number}", "--data", dataset, "--tasks", "vtwt")
    assert ran.code == 2
    assert "must be a whole number" in ran.err


@pytest.mark.parametrize("name", ["n" * 5000, "n/" * 5000], ids=["long", "deep"])
def test_a_name_that_is_too_long_is_said(name: str, babycli: Babycli) -> None:
    for words in (
        *(("report", name), ("report", "--tasks", f"{name}.py"), ("data", "status", "--data", name), ("demo", name)),
        *(("eval", "--model", name), ("models", "show", name), ("data", "unlink", "--data", name)),
    ):
        ran = babycli(*words)
        assert ran.code == 3
        assert "too long" in ran.err


def test_words_of_the_user_turn_no_text_around(babycli: Babycli) -> None:
    odd = "\u202e\x9b2J\x1b]0;x\x07\u200b"
    for words in ((odd,), ("tasks", odd), ("eval", f"--{odd}"), ("eval", "--limit", odd), ("report", "--by", odd)):
        ran = babycli(*words)
        assert ran.code == 2
        assert not {c for c in ran.err if not (c.isprintable() or c == "\n")}


@pytest.mark.parametrize("size", ["\u00b2", "9" * 5000, "1000000000", "-5", ""])
def test_an_odd_size_of_the_terminal_is_passed_over(
    size: str, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", size)
    monkeypatch.setenv("LINES", size)
    assert babycli("tasks").code == 0
    assert babycli("--help").code == 0
