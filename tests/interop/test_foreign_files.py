"""What people have in their folders of logs: files that are no run, older and packed forms, and odd logs."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli
from tests.interop.lmms_logs import DATE, Log, make_log
from tests.report.logs import drawn, write_run

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 712345\n"
INSPECT = {
    "version": 2,
    "status": "success",
    "eval": {"task": "mmmu", "model": "openai/gpt-4o"},
    "plan": {"steps": []},
    "results": {"total_samples": 3, "completed_samples": 3, "scores": [{"name": "choice"}]},
}
NO_RUNS: dict[str, Any] = {
    "submissions/mmbench_en_dev_results.json": {"overall_acc": 0.61, "category_acc": {"action": 0.7}},
    "submissions/results_2025-01-01.json": [{"question_id": 1, "answer": "a"}],
    "all_results.json": {"epoch": 3.0, "eval_loss": 1.25},
    "lab/eval_results.json": {"epoch": 3.0, "results": {"eval_loss": 1.25}},
    "lab/results.json": {"results": {"vtwt": {"acc": 0.5}}},  # what `--format leaderboard` writes
    "inspect_results.json": INSPECT,
    "numbers_results.json": 3,
}


def vtwt(seed: int = 0, **changes: Any) -> Log:
    log = make_log(["vtwt"], limit=40)
    log.document["n-samples"]["vtwt"] = {"original": 967, "effective": 40}
    log.document |= changes
    return log


def whole() -> Log:
    return make_log(["vtwt"])


def dump(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def test_files_that_are_no_run_leave_a_sound_run_alone(babycli: Babycli, tmp_path: Path) -> None:
    whole().write(tmp_path / "lab")
    alone = babycli("report", "--audit", tmp_path)
    assert alone.code == 0
    for name, content in NO_RUNS.items():
        dump(tmp_path / name, content)
    (tmp_path / "torn_results.json").write_bytes(b'{"epoch": 3.')
    ran = babycli("report", "--audit", tmp_path)
    assert (ran.code, ran.out) == (0, alone.out)
    for name in (*NO_RUNS, "torn_results.json"):
        assert f"note: {tmp_path / name} is " in ran.err
    shown = babycli("report", tmp_path, "--format", "csv")
    assert shown.code == 0
    assert shown.out.count("\n") == 2


def test_an_audit_of_nothing_is_none(babycli: Babycli, tmp_path: Path) -> None:
    for name, content in NO_RUNS.items():
        dump(tmp_path / name, content)
    for words in (("report", "--audit"), ("report",), ("report", "--audit", "--format", "json")):
        ran = babycli(*words, tmp_path)
        assert (ran.code, ran.out) == (3, "")
        assert "all_results.json: is of no program" in ran.err
        assert "nothing found" not in ran.out + ran.err


@pytest.mark.parametrize("name", ["submissions/mmbench_en_dev_results.json", "inspect_results.json", "log.xlsx"])
@pytest.mark.parametrize("audit", [True, False])
def test_a_named_file_that_is_no_run_is_refused_with_what_to_name(
    name: str, audit: bool, babycli: Babycli, tmp_path: Path
) -> None:
    results = whole().write(tmp_path)
    if name in NO_RUNS:
        path = dump(tmp_path / name, NO_RUNS[name])
    else:
        path = tmp_path / name
        path.write_bytes(b"PK\x03\x04 a spreadsheet")
    ran = babycli("report", *(["--audit"] if audit else []), path)
    assert (ran.code, ran.out) == (3, "")
    assert f"babycli: {path} is " in ran.err
    assert str(results) in ran.err
    assert "fair column" not in ran.err


def test_a_samples_file_stands_for_its_run(babycli: Babycli, tmp_path: Path) -> None:
    for is_harness in (False, True):
        log = whole()
        log.is_harness = is_harness
        results = log.write(tmp_path / f"{is_harness}")
        (samples,) = results.parent.glob("*.jsonl")
        ran = babycli("report", "--audit", samples)
        assert ran.code == 0
        assert ran.out == babycli("report", "--audit", results).out
        results.unlink()
        ran = babycli("report", samples)
        assert ran.code == 3
        assert f"{samples} holds samples or answers, and the results of its run do not lie beside it" in ran.err


def test_another_file_of_a_run_of_ours_names_its_results(babycli: Babycli, tmp_path: Path) -> None:
    results = write_run(tmp_path, "lab/one", drawn(1, {"vtwt": 0.6}))
    ran = babycli("report", "--audit", results.parent / "run.json")
    assert ran.code == 3
    assert str(results) in ran.err


def test_a_damaged_run_is_no_file_that_is_none(babycli: Babycli, tmp_path: Path) -> None:
    path = whole().write(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    ran = babycli("report", "--audit", tmp_path)
    assert ran.code == 7
    assert "not whole JSON" in " ".join(ran.out.split())
    assert "mend: get the files that are named, or evaluate again" in ran.err


def test_a_log_of_other_tasks_is_told_as_that(babycli: Babycli, tmp_path: Path) -> None:
    log = vtwt(results={"mme": {"mme_perception_score,none": 1500.5}, "mmbench": {"gpt_eval_score,none": 61.0}})
    log.lines.clear()
    path = log.write(tmp_path)
    ran = babycli("report", tmp_path)
    assert ran.code == 3
    assert f"{path}: holds no task that is known here: mmbench, mme" in ran.err
    assert "damaged" not in ran.err
    assert "babycli eval" not in ran.err
    ran = babycli("report", "--audit", tmp_path, "--format", "json")
    assert ran.code == 7
    assert [record["task"] for record in json.loads(ran.out)] == ["mmbench", "mme"]
    assert "were not audited: no task mmbench or mme is known here" in ran.err


@pytest.mark.parametrize("with_alias", [True, False])
def test_a_group_is_no_task(with_alias: bool, babycli: Babycli, tmp_path: Path) -> None:
    log = whole()
    log.document["results"] |= {"babyvlm": {"alias": "babyvlm", " ": " "} if with_alias else {"acc,none": 0.5}}
    log.document["group_subtasks"] = {"babyvlm": ["labeled_s", "vtwt"], "outer": ["babyvlm"], "vtwt": []}
    log.document["results"]["outer"] = {"alias": "outer"}
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert ran.code == 0
    assert "nothing found" in ran.out
    assert "babyvlm" not in babycli("report", tmp_path).err


def test_a_group_without_its_members_is_not_passed_over(babycli: Babycli, tmp_path: Path) -> None:
    log = whole()
    log.document["results"] |= {"mmlu": {"acc,none": 0.5}}
    log.document["group_subtasks"] = {"mmlu": ["mmlu_law", "mmlu"], "vtwt": []}
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert ran.code == 7
    assert "mmlu: task not known here" in ran.out


def test_numbers_that_are_no_metrics_are_named(babycli: Babycli, tmp_path: Path) -> None:
    log = whole()
    log.document["results"]["vtwt"] |= {"acc,strict": 0.25, "loudness,none": 3.0, "acc_stderr,strict": 0.01}
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert ran.code == 0
    assert "nothing found" not in ran.out
    assert "vtwt: numbers that were not looked at: acc,strict, loudness,none\n" in ran.out


def test_samples_without_results_are_named(babycli: Babycli, tmp_path: Path) -> None:
    log = make_log(["vtwt", "saycam_caption"])
    del log.document["results"]["saycam_caption"]
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert ran.code == 0
    assert "nothing found" not in ran.out
    name = f"{DATE}_samples_saycam_caption.jsonl"
    assert f"numbers that were not looked at: the results have no number of {name}" in " ".join(ran.out.split())


# ---------------------------------------------------------------- older forms


def write_as_0_2(log: Log, folder: Path) -> Path:
    """Writes a log as lmms-eval 0.1 and 0.2 do: results.json, and a file of JSON for each task."""
    kept = {key: log.document[key] for key in ("results", "configs", "versions")}
    for task, lines in log.lines.items():
        dump(folder / f"{task}.json", {"args": {"model": "llava"}, "model_configs": {"task": task}, "logs": lines})
    return dump(folder / "results.json", kept | {"model_configs": log.document["config"], "git_hash": "0123abc"})


@pytest.mark.long
def test_the_layout_of_0_2_is_read(babycli: Babycli, tmp_path: Path) -> None:
    log = make_log(["vtwt", "saycam_caption"])
    folder = tmp_path / "0318_1559_base_llava_model_args_ab12cd"
    path = write_as_0_2(log, folder)
    audited = babycli("report", "--audit", tmp_path)
    assert audited.code == 0, audited.out
    assert "lab/checkpoint (lmms-eval, 0318_1559)" in audited.out
    for place in (path, folder / "vtwt.json"):
        assert babycli("report", "--audit", place).out == audited.out
    records = json.loads(babycli("report", tmp_path, "--format", "json").out)
    results = log.document["results"]
    logged = {task: of.get("acc,none", of.get("meteor,none")) for task, of in results.items()}
    assert {record["task"]: record["value"] for record in records} == logged
    (folder / "vtwt.json").write_text('{"args": {}}')
    assert 'holds no list "logs"' in babycli("report", "--audit", path).out.replace("\n", " ")


PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", [".gz", *(pytest.param(s, marks=pytest.mark.long) for s in (".bz2", ".xz"))])
def test_packed_files_are_read(suffix: str, babycli: Babycli, tmp_path: Path) -> None:
    whole().write(tmp_path)
    sound = babycli("report", "--audit", tmp_path, "--format", "csv")
    assert sound.code == 0
    for path in sorted(tmp_path.iterdir()):
        path.with_name(path.name + suffix).write_bytes(PACK[suffix](path.read_bytes()))
        path.unlink()
        ran = babycli("report", "--audit", tmp_path, "--format", "csv")
        assert ran.code == 0, ran.err
        assert ran.out.replace(f".json{suffix}", ".json") == sound.out
    samples = tmp_path / f"{DATE}_samples_vtwt.jsonl{suffix}"
    assert babycli("report", "--audit", samples).code == 0
    samples.write_bytes(samples.read_bytes()[:-20])
    torn = babycli("report", "--audit", tmp_path)
    assert torn.code == 7
    assert f"is no whole {suffix} file" in " ".join(torn.out.split())


def test_what_cannot_be_unpacked_here_is_named(babycli: Babycli, tmp_path: Path) -> None:
    whole().write(tmp_path)
    samples = tmp_path / f"{DATE}_samples_vtwt.jsonl"
    samples.rename(samples.with_name(samples.name + ".zst"))
    ran = babycli("report", "--audit", tmp_path)
    assert ran.code == 7
    assert "unpack it: unzstd" in " ".join(ran.out.split())


@pytest.mark.parametrize("pointer", [POINTER, b"/annex/objects/SHA256E-s712345--0123.jsonl\n"])
def test_a_pointer_is_not_counted_as_rows(pointer: bytes, babycli: Babycli, tmp_path: Path) -> None:
    log = whole()
    log.raw["vtwt"] = pointer
    path = log.write(tmp_path)
    ran = babycli("report", "--audit", tmp_path)
    told = " ".join(ran.out.split())
    assert ran.code == 7
    assert "vtwt: no samples: " in told
    assert "is a pointer of " in told
    assert "rows missing" not in told
    path.write_bytes(pointer)
    for words in (("report", "--audit"), ("report",)):
        ran = babycli(*words, tmp_path)
        assert ran.code == (7 if "--audit" in words else 3)
        assert "is a pointer of " in " ".join((ran.out + ran.err).split())


# ---------------------------------------------------------------- names


def unnamed(model: str, seed: int) -> Log:
    """A run without --model_args, as of an API: only --model says what it was of."""
    log = whole()
    log.document["config"] |= {"model": model, "model_args": ""}
    log.document |= {"model_source": model, "model_name": "", "model_name_sanitized": "", "date": f"2026010{seed}"}
    return log


def test_models_without_a_name_are_called_after_model(babycli: Babycli, tmp_path: Path) -> None:
    for seed, model in enumerate(("qwen_api", "gpt_api")):
        unnamed(model, seed).write(tmp_path / model / "vtwt")
    ran = babycli("report", tmp_path, "--format", "csv")
    assert ran.code == 0
    assert [line.split(",")[0] for line in ran.out.splitlines()[1:]] == ["gpt_api", "qwen_api"]
    assert babycli("report", tmp_path, "--compare", "qwen_api", "gpt_api").code == 0


def test_one_checkpoint_under_two_wrappers_is_two_rows(babycli: Babycli, tmp_path: Path) -> None:
    for model in ("babyllava", "clip"):
        make_log(["vtwt"], family=model).write(tmp_path / model)
    ran = babycli("report", tmp_path, "--format", "md")
    assert ran.code == 0
    assert "(lmms-eval babyllava, " in ran.out
    assert "(lmms-eval clip, " in ran.out


def test_other_rows_of_a_task_are_another_row_of_the_table(babycli: Babycli, tmp_path: Path) -> None:
    for offset in (0, 100):
        log = whole()
        log.document["config"] |= {"limit": 20.0, "offset": offset}
        log.document["n-samples"]["vtwt"]["effective"] = 20
        log.lines["vtwt"] = log.lines["vtwt"][offset : offset + 20]
        log.document["results"]["vtwt"]["acc,none"] = sum(line["acc"] for line in log.lines["vtwt"]) / 20
        path = log.write(tmp_path / str(offset))
        rows = "rows: 100 to 119" if offset else "only the first 20 of 967 rows"
        ran = babycli("report", "--audit", path)
        assert ran.code == 7
        assert rows in " ".join(ran.out.split())
        assert "rows missing" not in ran.out
    ran = babycli("report", tmp_path, "--notes", "--format", "md")
    assert "limit 20, offset 100" in ran.out
    assert "these are other trials" in ran.out
    ran = babycli("report", tmp_path, "--format", "csv")
    assert len(set(ran.out.splitlines())) == 3


def test_an_offset_alone_and_one_that_cuts_a_trial(babycli: Babycli, tmp_path: Path) -> None:
    log = make_log(["labeled_s"])
    log.document["config"]["offset"] = 8790  # in the middle of a trial; "effective" does not know of it
    log.lines["labeled_s"] = log.lines["labeled_s"][8790:]
    right = babycli("report", "--audit", log.write(tmp_path))
    told = " ".join(right.out.split())
    assert right.code == 7
    assert (
        "labeled_s: a limit in force: only 10 of 8800 rows: 8790 to 8799; a trial that is cut in two is left out"
        in told
    )
    assert "rows missing" not in told
    assert "incomplete" not in told


# ---------------------------------------------------------------- replies and signs


def captions(say: Callable[[int], str]) -> Log:
    return make_log(["saycam_caption"], captions=say)


@pytest.mark.parametrize(
    ("say", "told", "code"),
    [
        (lambda row: "", "294 of 294 replies are empty, without a word; the longest run of them is 294, from row 0", 7),
        pytest.param(
            lambda row: ("", " ", "\n", "</s>")[row % 4],
            "294 of 294 replies are empty, without a word",
            7,
            marks=pytest.mark.long,
        ),
        pytest.param(
            lambda row: "" if row % 2 else f"ball {row}", "147 of 294 replies are empty", 7, marks=pytest.mark.long
        ),
        (lambda row: "" if 10 <= row < 14 else f"ball {row}", "the longest run of them is 4, from row 10", 0),
        pytest.param(lambda row: "a ball", "294 of 294 replies are the same text: 'a ball'", 7, marks=pytest.mark.long),
        (lambda row: "A ball." if row < 200 else f"cup {row}", "200 of 294 replies are the same text", 7),
        (lambda row: f"[GENERATION_FAILED] row {row}", "294 of 294 replies are error messages", 7),
    ],
)
def test_replies_that_say_nothing_are_named(
    say: Callable[[int], str], told: str, code: int, babycli: Babycli, tmp_path: Path
) -> None:
    captions(say).write(tmp_path)
    ran = babycli("report", "--audit", tmp_path)
    assert ran.code == code
    assert told in " ".join(ran.out.split())
    assert "nothing found" not in ran.out
    if code:
        assert "mend: read the replies in the samples files" in ran.err
    shown = babycli("report", tmp_path)
    assert shown.code == 0
    assert told in " ".join(shown.out.split())


@pytest.mark.parametrize(
    ("task", "version"),
    [
        ("vtwt", "0.3"),
        pytest.param("vtwt", "0.6", marks=pytest.mark.long),
        pytest.param("labeled_s", "0.3", marks=pytest.mark.long),
        ("baby_winoground", "0.6"),
    ],
)
def test_log_probabilities_in_the_place_of_losses_are_turned_around(
    task: str, version: str, babycli: Babycli, tmp_path: Path
) -> None:
    def fair(log: Log, folder: Path) -> tuple[int, str, dict[str, float]]:
        ran = babycli("report", "--audit", log.write(folder), "--format", "json")
        records = json.loads(ran.out)
        values = {record["metric"]: record["fair"] for record in records if record["metric"]}
        return ran.code, " ".join(record["finding"] or "" for record in records), values

    sound = make_log([task], version)
    scores = {(task, line["doc_id"]): line["filtered_resps"] for line in sound.lines[task]}
    losses = {
        (task, row, k): float(number)
        for (_, row), pairs in scores.items()
        for k, number in enumerate(pairs[::2] if isinstance(pairs[0], str) else [pair[0] for pair in pairs])
    }
    turned = make_log([task], version, losses=lambda of, row, k: -losses[of, row, k])
    code, _, right = fair(sound, tmp_path / "sound")
    assert code == 0
    code, kinds, of_turned = fair(turned, tmp_path / "turned")
    assert (code, kinds.strip()) == (7, "log-probabilities in the place of losses")
    assert of_turned == right
    logged = turned.document["results"][task]
    assert all(logged[f"{metric},none"] != value for metric, value in right.items())
    shown = babycli("report", tmp_path / "turned")
    assert "log-probabilities in the place of losses" in shown.err


def test_log_probabilities_that_the_log_takes_as_such_are_no_fault(babycli: Babycli, tmp_path: Path) -> None:
    log = whole()
    for line in log.lines["vtwt"]:
        line["resps"] = [[[f"-{number}", flag]] for ((number, flag),) in line["resps"]]
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert ran.code == 0
    assert "the log takes the highest, so its choices are right" in " ".join(ran.out.split())


def test_an_empty_samples_file_is_no_sound_one(babycli: Babycli, tmp_path: Path) -> None:
    log = whole()
    log.document["n-samples"] = {"vtwt": {"original": 0, "effective": 0}}
    log.raw["vtwt"] = b"\n"
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert ran.code == 7
    assert "nothing found" not in ran.out


def test_some_losses_below_0_are_named(babycli: Babycli, tmp_path: Path) -> None:
    log = whole()
    for line in log.lines["vtwt"][:3]:
        line["resps"][0][0][0] = "-0.25"
        line["acc"] = 1.0
    log.document["results"]["vtwt"]["acc,none"] = sum(line["acc"] for line in log.lines["vtwt"]) / 967
    ran = babycli("report", "--audit", log.write(tmp_path))
    assert ran.code == 7
    assert "vtwt: losses below 0: 3 of 1934, the lowest -0.25, and no mean loss is negative" in " ".join(
        ran.out.split()
    )
