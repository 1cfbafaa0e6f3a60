"""Runs what `babycli bridge lmms` writes in lmms-eval itself, and compares with babycli trial by trial.

python tools/check_lmms_bridge.py [FOLDER]      FOLDER, by default .venv-lmms, gets an environment and is used again

The model is a formula of picture, prompt and text (tools/lmms_formula), so that both programs can be given the same
answers: many ties, some NaN, some infinite. The data are the demo's. Needs PyPI the first time. Never tests a wrapper
of lmms-eval's own. Each log is also audited by babycli, which must recount it exactly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms_formula.answers import caption, logprob

from babycli.cli import main as babycli
from babycli.commands.demo import DOWNLOADS
from babycli.data.root import DatasetRoot
from babycli.domain import Answer, Exchange, Item, Loglikelihood, Request, Score, Text
from babycli.evaluation.inputs import Inputs, TaskInput, read_inputs
from babycli.evaluation.prompts import Prompt
from babycli.evaluation.results import Decided, decide
from babycli.evaluation.rounds import Played
from babycli.interop.lmms.bridge import CHECKED
from babycli.interop.lmms.bridge_files.choices import BROKEN
from babycli.interop.lmms.trial_documents import PREFIX
from babycli.models.parts.prompts import prompt_text
from babycli.report.audit import Kind, audit
from babycli.report.load import label_rows_of
from babycli.tasks import all_tasks
from babycli.tasks.base import replay
from babycli.wording import Scoring

REPOSITORY = Path(__file__).parent.parent
TOLERANCE = 1e-12
# What of lmms-eval's long list of requirements is imported on the way of these tasks.
NEEDED = (
    *("accelerate", "datasets", "evaluate", "hf_transfer", "loguru", "nltk", "openai", "pillow", "pytablewriter"),
    *("pytz", "pyyaml", "sacrebleu", "sqlitedict", "tenacity", "torch", "tqdm", "transformers"),
)
CHOICES = ("labeled_s", "vtwt", "baby_winoground")
CAPTIONS = ("saycam_caption",)
INCOMPLETE = ("0.7.1", "0.7.2")  # as they are on PyPI; see lmms_formula/without_own_tasks.py


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment in which any version of lmms-eval can be run, each from a folder of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def make(self) -> None:
        if not self.python.exists():
            venv.create(self.folder, with_pip=True)
        self._pip("-c", str(REPOSITORY / "constraints.txt"), *NEEDED)

    def lmms_eval(self, version: str) -> Path:
        """Where a version lies, without what it requires."""
        target = self.folder / f"lmms-eval-{version}"
        if not target.is_dir():
            self._pip("--no-deps", "--target", str(target), f"lmms-eval=={version}")
        return target

    def _pip(self, *words: str) -> None:
        install = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *words], check=True)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of lmms-eval; ``output`` is a folder without results where it failed."""

    output: Path
    text: str

    @property
    def results(self) -> Mapping[str, Any]:
        (path,) = self.output.rglob("*_results.json")
        results: dict[str, Any] = json.loads(path.read_text())["results"]
        return results

    def samples(self, task: str) -> list[dict[str, Any]]:
        (path,) = self.output.rglob(f"*_samples_{PREFIX}{task}.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


class DisagreementError(Exception):
    """The two programs do not agree, or one did what it should not."""


class Check:
    """The runs of one version in a folder of their own."""

    def __init__(self, environment: Environment, version: str, data: Path, work: Path) -> None:
        self._environment = environment
        self._lmms_eval = environment.lmms_eval(version)
        self._version = version
        self._data = data
        self._work = work / version
        self._n_runs = 0

    def whole(self) -> None:
        """A version that hands answers over as they are: all tasks, both signs, caches, and the wrong sign."""
        tasks = (*CHOICES, *CAPTIONS)
        by_logprob, by_loss = self._bridge("logprob", tasks), self._bridge("loss", tasks)
        self._compare(self._run(by_logprob, tasks, "formula"), tasks, "default")
        self._compare(self._run(by_loss, tasks, "llava", "--model_args", "sign=loss"), tasks, "llava")
        caches = ("--use_cache", str(self._work / "cache"), "--cache_requests", "true")
        for _ in range(2):
            self._compare(self._run(by_logprob, tasks, "formula", *caches), tasks, "default")
        self._refused(self._run(by_logprob, CHOICES, "formula", "--model_args", "sign=loss"), "--sign loss")
        self._refused(self._run(by_loss, CHOICES, "formula"), "--sign logprob")

    def broken(self) -> None:
        """A version that does not: choices are refused, also by the command, and captions agree."""
        tasks = (*CHOICES, *CAPTIONS)
        bridge = self._bridge("logprob", tasks)
        said = f"lmms-eval {self._version} turns log-probabilities into text"
        for task in CHOICES:
            self._refused(self._run(bridge, (task,), "formula"), said)
        self._compare(self._run(bridge, CAPTIONS, "formula"), CAPTIONS, "default")
        # Without that refusal every single answer would be refused.
        yaml = bridge / "vtwt.yaml"
        yaml.write_text(yaml.read_text().replace("choices.refuse_broken_version", "builtins.dict"))
        self._refused(self._run(bridge, ("vtwt",), "formula"), "lmms-eval handed over '(")
        self._beside(said)

    def _bridge(self, sign: str, tasks: Sequence[str]) -> Path:
        folder = self._work / f"bridge-{sign}"
        self._work.mkdir(exist_ok=True)
        words = ["bridge", "lmms", str(folder), "--sign", sign, "--data", str(self._data), "--tasks", ",".join(tasks)]
        if babycli(words) != 0:
            raise DisagreementError(f"babycli {' '.join(words)}")
        return folder

    def _beside(self, said: str) -> None:
        """babycli with this version beside it."""
        words = [sys.executable, "-m", "babycli", "bridge", "lmms", str(self._work / "refused")]
        words += ["--data", str(self._data)]
        paths = os.pathsep.join([str(REPOSITORY), str(self._lmms_eval)])
        ran = subprocess.run(words, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
        if ran.returncode != 2 or said not in ran.stderr:
            raise DisagreementError(f"babycli beside lmms-eval {self._version}: exit {ran.returncode}: {ran.stderr}")
        print(f"lmms-eval {self._version}: refused by the command")

    def _run(self, bridge: Path, tasks: Sequence[str], model: str, *words: str) -> Run:
        self._n_runs += 1
        output = self._work / f"run{self._n_runs}"
        output.mkdir()
        names = ",".join(PREFIX + task for task in tasks)
        module = "lmms_formula.without_own_tasks" if self._version in INCOMPLETE else "lmms_eval"
        command = [str(self._environment.python), "-m", module, "--include_path", str(bridge), "--tasks", names]
        command += ["--model", model, "--batch_size", "1", "--output_path", str(output), "--log_samples", *words]
        paths = [str(self._lmms_eval), str(REPOSITORY / "tools"), str(REPOSITORY)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "LMMS_EVAL_PLUGINS": "lmms_formula",
            "HF_HOME": str(self._work / "hf"),
            "HF_HUB_OFFLINE": "1",
        }
        ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return Run(output, ran.stdout)

    def _refused(self, run: Run, said: str) -> None:
        if said not in run.text or list(run.output.rglob("*_results.json")):
            raise DisagreementError(f"lmms-eval {self._version}: not refused with {said!r}:\n{run.text[-3000:]}")
        print(f"lmms-eval {self._version}: refused as it should be: {said}")

    def _compare(self, run: Run, tasks: Sequence[str], wording: str) -> None:
        if not list(run.output.rglob("*_results.json")):
            raise DisagreementError(f"lmms-eval {self._version} gave no results:\n{run.text[-3000:]}")
        n_values = n_trials = n_ties = n_nonfinite = 0
        for decided in expected(self._data, tasks, wording):
            name = decided.input.task.name
            got = run.results[PREFIX + name]
            for metric, value in decided.result.metrics.items():
                self._same(got[f"{metric},none"], value.value, f"{name} {metric}")
                self._same(got[f"{metric}_stderr,none"], value.stderr, f"{name} stderr of {metric}")
                n_values += 2
            samples = sorted(run.samples(name), key=lambda sample: int(sample["doc_id"]))
            if [sample["trial_id"] for sample in samples] != [outcome.item_id for outcome in decided.outcomes]:
                raise DisagreementError(f"{name}: other trials")
            for sample, outcome in zip(samples, decided.outcomes, strict=True):
                for metric, share in outcome.values.items():
                    self._same(sample[metric], share, f"{name} {outcome.item_id} {metric}")
                if "is_tie" in sample and (sample["is_tie"], sample["is_finite"]) != (
                    outcome.is_tie,
                    outcome.is_finite,
                ):
                    raise DisagreementError(f"{name} {outcome.item_id}: tie or finite differ")
            n_trials += len(samples)
            n_ties += decided.result.ties
            n_nonfinite += decided.result.nonfinite
        self._recount(run, tasks)
        print(
            f"lmms-eval {self._version}: {n_values} metrics and errors and {n_trials} trials are babycli's "
            f"({n_ties} ties, {n_nonfinite} not finite; prompts: {wording})"
        )

    def _recount(self, run: Run, tasks: Sequence[str]) -> None:
        """What `babycli report --audit` makes of the log, with the label files and without, is what the log says."""
        (path,) = run.output.rglob("*_results.json")
        rows = label_rows_of(DatasetRoot(self._data))
        for labels in (dict, lambda: rows):
            found = audit(path, labels)
            if set(found.run.tasks) != set(tasks):
                raise DisagreementError(f"{path}: read are {', '.join(found.run.tasks)}")
            for metric in found.metrics:
                self._same(metric.logged or 0.0, metric.fair, f"recount of {metric.task} {metric.metric}")
            others = {f.kind for f in found.findings if f.is_grave} - {Kind.NONFINITE}
            if others:
                raise DisagreementError(f"{path}: the audit names {', '.join(sorted(others))}")

    def _same(self, got: float, wanted: float | None, what: str) -> None:
        if wanted is None or not abs(got - wanted) <= TOLERANCE:
            raise DisagreementError(f"lmms-eval {self._version}: {what} is {got!r}, should be {wanted!r}")


def expected(data: Path, tasks: Sequence[str], wording: str) -> list[Decided]:
    """What babycli's tasks make of the formula's answers."""
    chosen = [all_tasks()[name] for name in tasks]
    inputs = read_inputs(DatasetRoot(data), chosen, None, False, lambda _: None)
    inputs = inputs.asking(chosen, {task.name: Prompt(task.prompts[wording]) for task in chosen})
    return [
        decide(of_task, [_played(of_task, item, inputs) for item in of_task.items], Scoring.FAIR)
        for of_task in inputs.tasks
    ]


def _played(of_task: TaskInput, item: Item, inputs: Inputs) -> Played:
    asking = of_task.asking(Scoring.FAIR)
    requests = next(of_task.task.play(item, asking))
    exchanges = tuple(Exchange(request, _answer(request, inputs)) for request in requests)
    return Played(item, exchanges, replay(of_task.task, item, asking, [each.answer for each in exchanges]))


def _answer(request: Request, inputs: Inputs) -> Answer:
    (image,), prompt = request.context.images, prompt_text(request.context)
    pixels = inputs.open_image(image).tobytes()
    if isinstance(request, Score):
        return Loglikelihood((logprob(pixels, prompt, request.answer),), False)
    return Text(caption(pixels, prompt), (), True)


def _demo_data(folder: Path) -> Path:
    downloads, data = folder / "downloads", folder / "dataset"
    with zipfile.ZipFile(DOWNLOADS) as archive:
        archive.extractall(downloads)
    words = ["data", "link", str(downloads / "saycam_images"), "--labeled-s", str(downloads / "labeled_s_images")]
    words += ["--synthetic", str(downloads / "synthetic_images"), "--from", str(downloads / "labels")]
    if babycli([*words, "--data", str(data)]) != 0:
        raise DisagreementError("the demo's data cannot be linked")
    return data


def main() -> int:
    started = time.monotonic()
    environment = Environment(Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / ".venv-lmms").absolute())
    environment.make()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = _demo_data(work)
        try:
            for version in CHECKED:
                Check(environment, version, data, work).whole()
            for version in BROKEN:
                Check(environment, version, data, work).broken()
        except DisagreementError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"all as it should be, in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
