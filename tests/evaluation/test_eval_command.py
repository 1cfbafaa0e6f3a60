"""`babycli eval` as a user runs it: logs, exit codes, limits, faults, interruptions."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from babycli.models import BUNDLED
from tests.checkpoints import DEMO_WORDS, weights_of, word_tokenizer, write_checkpoint
from tests.conftest import Babycli
from tests.evaluation.logs import lines, only_run, results, samples
from tests.evaluation.processes import Evaluation


def test_the_log_holds_what_the_contract_says(linked: Path, babycli: Babycli, small: Path) -> None:
    ran = babycli("eval", "--model", small, "--limit", 3)
    assert ran.code == 0, ran.err
    folder = only_run()
    assert folder.parent.name == f"{small.parent.name}__small"
    timestamp = folder.name
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["run.json", "scores.rank0.jsonl", f"{timestamp}_outcomes.json", f"{timestamp}_results.json"]
        + [f"{timestamp}_samples_{t}.jsonl" for t in ("labeled_s", "vtwt", "baby_winoground", "saycam_caption")]
    )
    run = json.loads((folder / "run.json").read_bytes())
    assert run["schema_version"] == 2
    assert run["status"] == "done"
    assert run["command"] == ["babycli", "eval", "--model", str(small), "--limit", "3"]
    assert run["data"] == "demo"
    assert run["demo"] is True
    assert len(run["model"]["fingerprint"]) == len(run["images"]["sha256"]) == 64
    assert run["start"].endswith("+00:00")
    assert run["start"] <= run["end"]
    assert run["libraries"]["torch"] == torch.__version__
    assert {t: entry["n_units"] for t, entry in run["tasks"].items()} == dict.fromkeys(run["tasks"], 3)

    document = results(folder)
    assert document["n_units"] == {"labeled_s": 3, "vtwt": 3, "baby_winoground": 3, "saycam_caption": 3}
    assert document["n-samples"]["labeled_s"] == {"original": 480, "effective": 12}
    assert document["n-samples"]["baby_winoground"] == {"original": 80, "effective": 6}
    assert document["chance"]["vtwt"] == {"acc": 0.5}
    assert set(document["results"]["labeled_s"]) == {"alias", "acc,none", "acc_stderr,none"}
    assert document["date"] == timestamp
    assert document["demo"] is True
    low, high = document["ci95"]["vtwt"]["acc"]
    assert 0 <= low <= document["results"]["vtwt"]["acc,none"] <= high <= 1

    labeled = samples(folder, "labeled_s")
    assert [line["doc_id"] for line in labeled] == list(range(12))
    assert set(labeled[0]["doc"]) == {"trial_id", "target_category", "real_category", "image"}
    assert labeled[0]["prompt"] == "<image>\n"
    assert labeled[0]["target"] == labeled[0]["doc"]["target_category"] == "ball"
    ((loss, greedy),) = labeled[0]["resps"]
    assert isinstance(loss, float)
    assert isinstance(greedy, bool)
    assert labeled[0]["acc"]["loss"] == loss
    assert [len(line["resps"]) for line in samples(folder, "vtwt")] == [2, 2, 2]
    ((text,),) = samples(folder, "saycam_caption")[0]["resps"]
    assert isinstance(text, str)

    scores = lines(folder / "scores.rank0.jsonl")
    asked = {json.dumps([s["turns"], s.get("text"), s.get("max_new_tokens")]) for s in scores}
    assert len(asked) == len(scores)
    one = next(s for s in scores if "text" in s)
    assert one["n_tokens"] == len(one["token_logprobs"])
    assert one["logprob_sum"] == pytest.approx(sum(one["token_logprobs"]))


def test_metrics_follow_from_the_samples(linked: Path, babycli: Babycli, small: Path) -> None:
    assert babycli("eval", "--model", small, "--tasks", "labeled_s,vtwt", "--limit", 40).code == 0
    folder = only_run()
    trials: dict[int, list[tuple[float, bool]]] = {}
    for line in samples(folder, "labeled_s"):
        right = line["doc"]["real_category"] == line["doc"]["target_category"]
        trials.setdefault(line["doc"]["trial_id"], []).append((line["resps"][0][0], right))
    acc = sum(min(trial)[1] for trial in trials.values()) / len(trials)
    assert results(folder)["results"]["labeled_s"]["acc,none"] == pytest.approx(acc)
    pairs = [[loss for loss, _ in line["resps"]] for line in samples(folder, "vtwt")]
    credit = sum(1.0 if right < wrong else 0.5 * (right == wrong) for right, wrong in pairs) / len(pairs)
    assert results(folder)["results"]["vtwt"]["acc,none"] == pytest.approx(credit)


def test_scores_do_not_depend_on_the_batch(linked: Path, babycli: Babycli, small: Path) -> None:
    kept = []
    choices = ("labeled_s", "vtwt", "baby_winoground")
    words = ("eval", "--model", small, "--tasks", ",".join(choices), "--limit", 20, "--batch-size")
    for batch_size in ("1", "7", "64"):
        assert babycli(*words, batch_size).code == 0
        kept.append([samples(only_run(), task) for task in choices])
        shutil.rmtree("logs")
    flat = [[r[0] for task in of_run for line in task for r in line["resps"]] for of_run in kept]
    assert flat[1] == pytest.approx(flat[0], abs=1e-5)
    assert flat[2] == pytest.approx(flat[0], abs=1e-5)


def test_the_plain_path_gives_the_same_numbers(linked: Path, babycli: Babycli, small: Path) -> None:
    words = ("eval", "--model", small, "--limit", 12)
    assert babycli(*words, "--output-path", "reused").code == 0
    assert babycli(*words, "--no-prefix-reuse", "--output-path", "plain").code == 0
    reused, plain = only_run(Path("reused")), only_run(Path("plain"))
    assert results(reused)["results"] == results(plain)["results"]
    for task in ("labeled_s", "vtwt", "baby_winoground"):
        one, other = ([r for line in samples(f, task) for r in line["resps"]] for f in (reused, plain))
        assert [loss for loss, _ in one] == pytest.approx([loss for loss, _ in other], abs=1e-5)
        assert [greedy for _, greedy in one] == [greedy for _, greedy in other]


def test_profile_shows_where_the_time_went(linked: Path, babycli: Babycli, small: Path) -> None:
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", 5, "--profile")
    assert ran.code == 0
    table = ran.err[ran.err.index("phase") :]
    for phase, seconds in json.loads((only_run() / "run.json").read_bytes())["timings"].items():
        assert f"{phase:<14}{seconds:>9.2f}" in table


def test_two_runs_write_the_same(linked: Path, babycli: Babycli, small: Path) -> None:
    for name in ("one", "two"):
        assert babycli("eval", "--model", small, "--limit", 12, "--output-path", name).code == 0
    one, two = only_run(Path("one")), only_run(Path("two"))
    assert (one / "scores.rank0.jsonl").read_bytes() == (two / "scores.rank0.jsonl").read_bytes()
    assert samples(one, "saycam_caption") == samples(two, "saycam_caption")


def test_lmms_eval_spellings_are_understood(linked: Path, babycli: Babycli, small: Path) -> None:
    words = ["--model", "babyllava", "--model_args", f"pretrained={small},conv_template=plain", "--task", "vtwt"]
    ran = babycli(
        "eval", *words, "--batch_size", 16, "--output_path", "./elsewhere", "--limit", 2, "--trust_remote_code"
    )
    assert ran.code == 0, ran.err
    assert only_run(Path("elsewhere")).parent.name == f"{small.parent.name}__small"
    assert "not needed" in ran.err


@pytest.mark.parametrize("trunk", ["transformer", pytest.param("model", marks=pytest.mark.long)])
def test_a_model_that_ignores_the_image_gets_chance(trunk: str, linked: Path, babycli: Babycli, tmp_path: Path) -> None:
    n_tokens = len(word_tokenizer(DEMO_WORDS)["model"]["vocab"])
    weights = weights_of(trunk, n_tokens, seed=1)
    weights[f"{trunk}.mm_projector.2.weight"].zero_()
    blind = write_checkpoint(tmp_path / "blind", DEMO_WORDS, trunk=trunk, weights=weights)
    assert babycli("eval", "--model", blind, "--tasks", "labeled_s", "--batch-size", 7).code == 0
    document = results(only_run())
    assert document["results"]["labeled_s"]["acc,none"] == 0.25
    assert document["ties"]["labeled_s"] == 120


@pytest.mark.parametrize(("scoring", "vtwt"), [("fair", 0.5), ("reference", 1.0)])
def test_a_model_that_gives_every_candidate_the_same_score(
    scoring: str, vtwt: float, linked: Path, babycli: Babycli, tmp_path: Path
) -> None:
    n_tokens = len(word_tokenizer(DEMO_WORDS)["model"]["vocab"])
    weights = weights_of("model", n_tokens, seed=1)
    weights["lm_head.weight"].zero_()
    flat = write_checkpoint(tmp_path / "flat", DEMO_WORDS, trunk="model", weights=weights)
    words = ("--tasks", "labeled_s,vtwt,baby_winoground", "--limit", 20, "--scoring", scoring)
    ran = babycli("eval", "--model", flat, *words)
    assert ran.code == 0
    document = results(only_run())
    assert document["results"]["vtwt"]["acc,none"] == vtwt
    assert document["results"]["labeled_s"]["acc,none"] == (0.25 if scoring == "fair" else 1.0)  # right one is first
    assert document["results"]["baby_winoground"]["group_score,none"] == 0.0
    assert document["ties"] == {"labeled_s": 20, "vtwt": 20, "baby_winoground": 20}
    assert document["scoring"] == scoring
    assert "=" in ran.out


def test_nan_weights_end_in_exit_7_with_the_results_written(linked: Path, babycli: Babycli, tmp_path: Path) -> None:
    broken = tmp_path / "nan"
    shutil.copytree(BUNDLED["babyllava-tiny"], broken)
    weights = load_file(broken / "model.safetensors")
    weights["transformer.ln_f.weight"][3] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    ran = babycli("eval", "--model", broken, "--limit", 4)
    assert ran.code == 7
    assert "not finite" in ran.err
    assert "NaN" in ran.err
    document = results(only_run())
    assert document["nonfinite"] == {"labeled_s": 4, "vtwt": 4, "baby_winoground": 4, "saycam_caption": 4}
    assert document["results"]["vtwt"]["acc,none"] == 0.0
    assert document["results"]["saycam_caption"]["meteor,none"] == 0.0
    assert samples(only_run(), "vtwt")[0]["resps"][0][0] is None  # JSON has no NaN
    assert "!" in babycli("report", "logs").out


def spoiled(linked: Path, name: str, content: bytes | None) -> Path:
    """Gives the dataset its own copy of the frames, of which no lock says anything, and spoils one of them."""
    frames = linked / "frames"
    (linked / "dataset/babycli.lock").unlink()
    shutil.copytree((linked / "dataset/vtwt/images").resolve(), frames)
    (linked / "dataset/vtwt/images").unlink()
    (linked / "dataset/vtwt/images").symlink_to(frames)
    (frames / name).unlink()
    if content is not None:
        (frames / name).write_bytes(content)
    return frames / name


@pytest.mark.parametrize(
    ("content", "kind"),
    [(None, "Missing"), (b"", "Empty"), (b"hello, this is no picture", "NotAnImage"), (b"cut", "Truncated")],
)
def test_a_spoiled_image_is_named_before_anything_is_loaded(
    content: bytes | None, kind: str, linked: Path, babycli: Babycli, small: Path
) -> None:
    whole = (linked / "dataset/vtwt/images/demo_frame_002.png").read_bytes()
    spoiled(linked, "demo_frame_002.png", whole[:-200] if content == b"cut" else content)
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--data", Path("dataset").absolute())
    assert ran.code == 3
    assert kind in ran.err
    assert "demo_frame_002.png" in ran.err
    assert f"mend: babycli data verify --data {Path('dataset').absolute()} --tasks vtwt   shows all" in ran.err
    assert "; --skip-missing " in ran.err
    assert "loading" not in ran.err
    assert not Path("logs").exists()
    assert babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", 2).code == 0  # not among the first two


def test_skip_missing_scores_complete_trials_and_says_so(linked: Path, babycli: Babycli, small: Path) -> None:
    spoiled(linked, "demo_frame_002.png", None)
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--skip-missing")
    assert ran.code == 0
    assert "left out because images are missing" in ran.out
    document = results(only_run())
    assert document["n_units"] == {"vtwt": 99}
    assert document["skipped"] == {"vtwt": ["2"]}
    assert 2 not in [line["doc_id"] for line in samples(only_run(), "vtwt")]


def test_what_a_limit_covers_counts_the_trials_that_are_left_out(linked: Path, babycli: Babycli, small: Path) -> None:
    spoiled(linked, "demo_frame_002.png", None)
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", 5, "--skip-missing")
    assert ran.code == 0
    assert "(limit 5) covers: VTWT 5 of 100 trials, 1 of them left out." in " ".join(ran.out.split())
    audited = babycli("report", "logs", "--audit")
    assert "vtwt: a limit in force: only the first 5 of 100 trials\n" in audited.out
    assert "_results.json: a limit in force, trials left out\n" in audited.err
    mend = "get the images that are named:  babycli data verify ; evaluate all trials, without --limit"
    assert (audited.code, f"mend: {mend}" in audited.err) == (7, True)


def test_damage_in_the_middle_of_an_image_ends_the_run_with_its_name(
    linked: Path, babycli: Babycli, small: Path
) -> None:
    whole = bytearray((linked / "dataset/vtwt/images/demo_frame_050.png").read_bytes())
    whole[200:400] = bytes(200)
    spoiled(linked, "demo_frame_050.png", bytes(whole))
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--batch-size", 8)
    assert ran.code == 3
    assert "demo_frame_050.png" in ran.err
    scores = lines(only_run() / "scores.rank0.jsonl")
    assert 0 < len(scores) < 200  # what came before it is kept
    assert "unfinished" not in ran.err
    assert json.loads((only_run() / "run.json").read_bytes())["status"] == "stopped"
    report = babycli("report", "logs")
    assert report.code == 3
    assert "has no results: the run was stopped" in report.err


def test_a_label_file_with_a_changed_byte_is_refused(linked: Path, babycli: Babycli, small: Path) -> None:
    path = linked / "dataset/vtwt/vtwt.csv"
    path.write_bytes(path.read_bytes().replace(b"red", b"rad", 1))
    ran = babycli("eval", "--model", small, "--tasks", "vtwt")
    assert ran.code == 4
    assert "vtwt.csv" in ran.err
    assert babycli("eval", "--model", small, "--tasks", "labeled_s", "--limit", 1).code == 0


def test_a_task_without_links_is_refused_with_the_command_that_mends_it(
    linked: Path, babycli: Babycli, small: Path
) -> None:
    (linked / "dataset/labeled_s/images").unlink()
    ran = babycli("eval", "--model", small)
    assert ran.code == 3
    assert "labeled_s" in ran.err
    assert "babycli data link" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tasks", "vtwd"), "Did you mean 'vtwt'"),
        (("--tasks", ""), "unknown task ''"),
        (("--model", "babylava"), "Did you mean 'babyllava'"),
        (("--model", "babyllava"), "pretrained"),
        (("--model", "./no/such/folder"), "unknown model"),
        (("--scoring", "unfair"), "Did you mean 'fair'"),
        (("--dtype", "float8"), "unknown --dtype"),
        (("--batch-size", "none"), "--batch-size"),
        (("--batch-size", "0"), "--batch-size"),
        (("--model-args", "template"), "key=value"),
        (("--model-args", "device_map=balanced"), "device_map=auto"),
    ],
)
def test_bad_words_exit_2_without_a_trace(words: Sequence[str], said: str, linked: Path, babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "babyllava-tiny", *words)
    assert ran.code == 2
    assert said in ran.err
    assert not Path("logs").exists()


def test_limit_zero_is_a_usage_error(linked: Path, babycli: Babycli) -> None:
    assert babycli("eval", "--model", "babyllava-tiny", "--limit", 0).code == 2


def test_a_full_disk_is_said_and_keeps_the_scores(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from babycli.logs.runlog import RunLog

    append, n = RunLog.append, 0

    def full_after_five(self: RunLog, *arguments: Any) -> None:
        nonlocal n
        n += 1
        if n == 6:
            self._scores.close()
            self._scores = FullDisk()  # type: ignore[assignment]
        append(self, *arguments)

    monkeypatch.setattr(RunLog, "append", full_after_five)
    ran = babycli("eval", "--model", small, "--tasks", "vtwt")
    assert ran.code == 3
    assert "No space left on device" in ran.err
    assert "--output-path" in ran.err
    assert len(lines(only_run() / "scores.rank0.jsonl")) == 5


def limited_memory(monkeypatch: pytest.MonkeyPatch, most_rows: int) -> None:
    """As if a GPU had room for so many rows."""
    from babycli.models.parts.llava_model import LlavaModel

    whole = LlavaModel.loglikelihood_of_branches

    def limited(self: LlavaModel, pictures: Sequence[Any], branches: Sequence[Any], keeps: bool = False) -> Any:
        if len(branches) > most_rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return whole(self, pictures, branches, keeps)

    monkeypatch.setattr(LlavaModel, "loglikelihood_of_branches", limited)


@pytest.mark.parametrize("batch_size", ["auto", "8"])
def test_a_batch_that_does_not_fit_is_halved_and_the_run_goes_on(
    batch_size: str, linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("eval", "--model", small, "--tasks", "vtwt", "--limit", 40, "--batch-size", batch_size)
    assert babycli(*words, "--output-path", "roomy").code == 0
    limited_memory(monkeypatch, 3)
    ran = babycli(*words)
    assert ran.code == 0, ran.err
    assert "out of memory at a batch of" in ran.err
    assert ran.err.count("out of memory") == (3 if batch_size == "auto" else 2)  # 16 or 8, down to 2
    run = json.loads((only_run() / "run.json").read_bytes())
    assert run["sessions"][0]["batching"][-1] == "out of memory at a batch of 4: going on with 2"
    one, two = (
        [r[0] for line in samples(only_run(Path(logs)), "vtwt") for r in line["resps"]] for logs in ("roomy", "logs")
    )
    assert one == pytest.approx(two, abs=1e-6)


def test_a_model_that_does_not_fit_ends_in_exit_5(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr("babycli.evaluation.run.load_model", full)
    ran = babycli("eval", "--model", small, "--tasks", "vtwt")
    assert ran.code == 5
    assert "does not fit in the memory of cpu" in ran.err
    assert "device_map=auto" in ran.err


def test_one_image_that_does_not_fit_ends_in_exit_5(
    linked: Path, babycli: Babycli, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited_memory(monkeypatch, 0)
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--batch-size", 8)
    assert ran.code == 5
    assert "not enough memory for one image" in ran.err
    assert "Tried to allocate 20 GiB" in ran.err
    assert json.loads((only_run() / "run.json").read_bytes())["status"] == "stopped"


class FullDisk:
    def write(self, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_place_without_room_for_logs_is_found_before_the_model_is_loaded(
    linked: Path, babycli: Babycli, small: Path
) -> None:
    Path("file").write_text("in the way")
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--output-path", "file/logs")
    assert ran.code == 3
    assert "file/logs" in ran.err
    assert "loading" not in ran.err


def test_a_read_only_dataset_folder_is_fine_for_an_evaluation(linked: Path, babycli: Babycli, small: Path) -> None:
    (linked / "dataset").chmod(0o555)
    try:
        assert babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", 2).code == 0
    finally:
        (linked / "dataset").chmod(0o755)


@pytest.mark.long
def test_half_precision_is_near_float32(linked: Path, babycli: Babycli) -> None:
    for wanted in ("float32", "bfloat16"):
        words = ("--model", "babyllava-tiny", "--tasks", "vtwt", "--limit", 12, "--dtype", wanted)
        assert babycli("eval", *words, "--output-path", wanted).code == 0
    exact, half = (
        [r[0] for line in samples(only_run(Path(d)), "vtwt") for r in line["resps"]] for d in ("float32", "bfloat16")
    )
    assert half != exact
    assert half == pytest.approx(exact, rel=0.1, abs=0.2)
    assert "(demo, limit 12, bfloat16)" in babycli("report", "bfloat16").out


@pytest.mark.long
def test_images_of_any_mode_and_shape_are_scored(linked: Path, babycli: Babycli, small: Path, tmp_path: Path) -> None:
    name = "demo_frame_000.png"
    for mode, size in (("L", (30, 90)), ("RGBA", (64, 20)), ("P", (7, 7)), ("1", (1, 1)), ("I;16", (20, 10))):
        path = linked / "frames" / name
        if not path.parent.exists():
            spoiled(linked, name, None)
        Image.new(mode, size, 1).save(path)
        assert babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", 1).code == 0, mode


STOPPED = ("--tasks", "labeled_s,vtwt", "--batch-size", "2")


def wait_for_scores(folder: Path, process: subprocess.Popen[str] | Evaluation) -> None:
    """Until scores are being written."""
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in folder.glob("logs/*/*/scores.rank0.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.long
def test_ctrl_c_exits_130_and_leaves_the_scores(linked: Path, small: Path) -> None:
    words = [sys.executable, "-m", "babycli", "eval", "--model", str(small), *STOPPED]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_scores(linked, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "stopped after" in err
    assert lines(only_run() / "scores.rank0.jsonl")


def test_a_kill_leaves_readable_scores(linked: Path, small: Path) -> None:
    evaluation = Evaluation("--model", small, *STOPPED)
    wait_for_scores(linked, evaluation)
    evaluation.send_signal(signal.SIGKILL)
    assert evaluation.ended().code == -signal.SIGKILL
    assert lines(only_run() / "scores.rank0.jsonl")


def test_nothing_but_the_bar_is_on_stderr_and_no_bar_without_a_terminal(
    linked: Path, babycli: Babycli, small: Path
) -> None:
    ran = babycli("eval", "--model", small, "--tasks", "vtwt", "--limit", 2)
    assert ran.err.splitlines()[:2] == ["vtwt: 2 of 100 trials", f"loading {small} on cpu in float32"]
    assert ran.err.splitlines()[2].startswith("results: logs/")
    assert len(ran.err.splitlines()) == 3
