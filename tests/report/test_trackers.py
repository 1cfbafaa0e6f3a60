"""`babycli report --to wandb:PROJECT` and `--to mlflow:EXPERIMENT`, with stand-ins of both packages.

The stand-ins have the calls that babycli makes, as wandb 0.31 and mlflow 3.17 have them, and write down what they get.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli
from tests.report.logs import drawn, write_run

WANDB = """
import json
class errors:
    class Error(Exception): pass
class Settings:
    def __init__(self, **given): self.given = given
class Summary(dict): pass
class Run:
    resumed, offline, dir, url = False, False, "here", "https://there"
    def __init__(self, **given): self.given, self.summary, self.logged = given, Summary(), []
    def log(self, numbers, step): self.logged.append([step, numbers])
    def finish(self):
        line = {**self.given, "settings": self.given["settings"].given, "log": self.logged, "summary": self.summary}
        with open("wandb.jsonl", "a") as file: file.write(json.dumps(line) + "\\n")
def init(**given):
    if given["project"] == "closed": raise errors.Error("No API key configured.\\nUse wandb login.")
    return Run(**given)
"""
MLFLOW = """
import json
from types import SimpleNamespace
class exceptions:
    class MlflowException(Exception): pass
kept, now = {}, {}
def set_experiment(name):
    if name == "closed": raise exceptions.MlflowException("no such server")
    now["experiment"] = name
def search_runs(filter_string, output_format):
    assert output_format == "list"
    return [run for run in kept.values() if filter_string == f"tags.`babycli.id` = '{run.tags['babycli.id']}'"]
class start_run:
    def __init__(self, run_id=None, run_name=None):
        self.run = kept.setdefault(run_id or f"r{len(kept)}", SimpleNamespace(name=run_name, logs=[]))
        self.run.info = SimpleNamespace(run_id=next(key for key, run in kept.items() if run is self.run))
    def __enter__(self): now["run"] = self.run; return self.run
    def __exit__(self, *error):
        lines = [{"experiment": now["experiment"], "name": r.name, "tags": r.tags, "params": r.params, "log": r.logs}
                 for r in kept.values()]
        with open("mlflow.json", "w") as file: json.dump(lines, file)
def set_tags(tags): now["run"].tags = tags
def log_params(params): now["run"].params = params
def log_metrics(numbers, step): now["run"].logs.append([step, numbers])
def get_tracking_uri(): return "sqlite:///there"
"""
Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture(params=["wandb", "mlflow"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tracker, whose stand-in can be imported; the folder is the current one."""
    name: str = request.param
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / f"{name}.py").write_text({"wandb": WANDB, "mlflow": MLFLOW}[name])
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    return name


def sent(tracker: str) -> list[dict[str, Any]]:
    """What the stand-in has got: name, settings, and the numbers by step."""
    if tracker == "wandb":
        lines = [json.loads(line) for line in Path("wandb.jsonl").read_text().splitlines()]
        assert all(line["settings"]["x_disable_meta"] and not line["save_code"] for line in lines)
        assert all(line["summary"] == line["log"][0][1] for line in lines)
        return [line | {"place": line["project"], "told": line["config"]} for line in lines]
    return [
        line | {"place": line["experiment"], "told": line["params"], "id": line["tags"]["babycli.id"]}
        for line in json.loads(Path("mlflow.json").read_text())
    ]


def test_each_row_is_sent_with_its_numbers_and_its_step(tracker: str, babycli: Babycli) -> None:
    for step in (100, 200):
        name = f"/home/me/runs/baby/checkpoint-{step}"
        write_run(Path("logs"), name, drawn(step, {"vtwt": 0.6}), date=f"20260101_120{step}", fingerprint="f")
    ran = babycli("report", "--to", f"{tracker}:baby", "--format", "json")
    assert ran.code == 0, ran.err
    values = {record["model"].rsplit("-")[-1]: record for record in json.loads(ran.out)}
    rows = sent(tracker)
    assert [row["name"] for row in rows] == ["baby/checkpoint-100", "baby/checkpoint-200"]
    for row, at_step in zip(rows, ("100", "200"), strict=True):
        assert row["place"] == "baby"
        assert row["told"]["model"] == f"baby/checkpoint-{at_step}"
        assert "/home" not in json.dumps(row)
        ((at, numbers),) = row["log"]
        assert at == int(at_step)
        assert numbers["vtwt/acc"] == values[at_step]["value"]
        assert numbers["vtwt/acc.ci95_low"] < numbers["vtwt/acc"] < numbers["vtwt/acc.ci95_high"]
        assert numbers["vtwt/n"] == 967
    assert len({row["id"] for row in rows}) == 2
    assert ran.err.count("sent baby/checkpoint-") == 2


def test_what_was_sent_before_is_known_again(tracker: str, babycli: Babycli) -> None:
    write_run(Path("logs"), "m", drawn(1, {"vtwt": 0.6}))
    for _ in range(2):
        assert babycli("report", "--to", f"{tracker}:baby").code == 0
    rows = sent(tracker)
    assert len({row["id"] for row in rows}) == 1
    assert len(rows) == (2 if tracker == "wandb" else 1)  # wandb itself joins runs of one id
    assert all(len(row["log"]) == 1 for row in rows)


def test_what_the_package_refuses_is_said(tracker: str, babycli: Babycli) -> None:
    write_run(Path("logs"), "m", drawn(1, {"vtwt": 0.6}))
    ran = babycli("report", "--to", f"{tracker}:closed")
    assert ran.code == 3
    assert f"{tracker} does not take m: " in ran.err
    assert "mend: " in ran.err


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("wandb:baby", "pip install wandb"),
        ("mlflow:baby", "pip install mlflow"),
        ("wadb:baby", "Did you mean 'wandb'?"),
        ("wandb", "--to wandb:PROJECT"),
        ("mlflow: ", "--to mlflow:EXPERIMENT"),
    ],
)
def test_wrong_words_and_absent_packages_are_said_first(
    to: str, said: str, tmp_path: Path, babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babycli.report.trackers.find_spec", lambda name: None)
    ran = babycli("report", tmp_path, "--to", to)  # where there are no logs
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_an_audit_is_not_sent(tmp_path: Path, babycli: Babycli) -> None:
    assert babycli("report", tmp_path, "--audit", "--to", "wandb:baby").code == 2
