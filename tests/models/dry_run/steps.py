"""The steps of a dry run: all that a model can do, one after another, on the pretended device.

Owns what counts as a mistake:

    a tensor on another device than the one it meets, or than the one that was asked for
    a weight, or what goes into or comes out of a layer, in another dtype than the one asked for
    a log-softmax that is not in float32
    another number of transfers and waits in a step than is recorded
    a number of babycli's own transfers or waits that grows with the number of rows; transformers has such waits
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from babycli.domain import PICTURE, Context, Loglikelihood, Similarity, Text, ask
from babycli.errors import BabycliError
from babycli.models.base import Features, Model, Pictures, Tokens
from tests.models.dry_run.checkpoints import Case
from tests.models.dry_run.pretended_device import OF_TRANSFORMERS, Placed, PretendedDevice, watch_dtypes
from tests.models.loading import load, picture, read, tokenize

Counts = Mapping[str, Mapping[str, int]]  # by step: how often each kind of transfer or wait
PROMPT = "a"
N_NEW = 2  # tokens of a text
FEW, MANY = 2, 3  # rows


@dataclass(slots=True)
class Tried:
    """The result of a dry run of one model."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


class _Watch:
    """Counts what passes to and from the device, by step."""

    def __init__(self, device: PretendedDevice) -> None:
        self._device = device
        self.counts: dict[str, dict[str, int]] = {}
        self.now = "load"

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.now = name
        self._device.counts.clear()
        yield
        self.counts[name] = dict(sorted(self._device.counts.items()))

    def taken(self) -> dict[str, dict[str, int]]:
        """Gives the counts so far, and begins anew."""
        taken, self.counts = self.counts, {}
        return taken


def try_model(case: Case, source: str, device: str, dtype: str) -> Tried:
    """Loads a model and lets it do all it can with few rows and with many, on a device that is not there."""
    pretended, tried = PretendedDevice(device), Tried()
    watch = _Watch(pretended)
    handle = watch_dtypes(getattr(torch, dtype), pretended.mistakes)
    try:
        with pretended.pretending():
            model = load(source, dtype=dtype, device=device, **dict[str, Any](case.args))
            _walk(model, case, range(1), watch)  # what is made once and kept is made now
            watch.taken()
            _walk(model, case, range(1, 1 + FEW), watch)
            tried.counts = watch.taken()
            _walk(model, case, range(10, 10 + MANY), watch)
            tried.mistakes += _grown(tried.counts, watch.taken())
        if "loglikelihood" in model.info.abilities.scores and not pretended.n_log_softmax:
            tried.mistakes.append("no log-softmax was seen, so that its dtype is not known")
    except (BabycliError, RuntimeError, TypeError, AssertionError) as error:
        tried.mistakes.append(f"{watch.now}: {_told(error)}")
    finally:
        handle.remove()
    tried.mistakes += [f"{text} ({n} times)" for text, n in Counter(pretended.mistakes).items()]
    return tried


def differences(found: Counts, recorded: Counts) -> list[str]:
    """Tells where the transfers and waits are not those that are recorded."""
    return [
        f"{step}: {kind} {found.get(step, {}).get(kind, 0)} times, recorded is {recorded.get(step, {}).get(kind, 0)}"
        for step in {**recorded, **found}
        for kind in sorted({*found.get(step, {}), *recorded.get(step, {})})
        if found.get(step, {}).get(kind, 0) != recorded.get(step, {}).get(kind, 0)
    ]


def _grown(few: Counts, many: Counts) -> list[str]:
    return [
        f"{step}: {kind} grows with the rows, {few[step].get(kind, 0)} times for {FEW} and {n} for {MANY}"
        for step, counts in many.items()
        for kind, n in counts.items()
        if n > few[step].get(kind, 0) and OF_TRANSFORMERS not in kind
    ]


def _walk(model: Model, case: Case, seeds: Sequence[int], watch: _Watch) -> None:
    """Takes all steps with a row for each seed. The words of a row are those of all, its pictures are its own."""
    can = model.info.abilities
    pixels = [model.preprocess(picture(seed)) for seed in seeds]
    with watch.step("encode"):
        features = model.encode(pixels)
    _check_features(features, model)
    if can.shares_vision:
        with watch.step("see"):
            seen = model.see(pixels)
        with watch.step("encode seen"):
            _check_features(model.encode_seen(seen), model)
    shown = [(seen_here,) for seen_here in features]
    texts = list(case.words)
    if "similarity" in can.scores:
        some = _alike(model, texts, seeds)
        with watch.step("read texts"):
            model.read_texts(some)
        with watch.step("similarity"):
            _check(model.similarity(shown, some), Similarity, len(seeds))
    if can.matches:
        with watch.step("match"):
            _check(model.match([(one, features[0]) for one in features]), Similarity, len(seeds))
    if "loglikelihood" in can.scores:
        _score(model, texts, shown, watch)
    if can.writes:
        _write(model, shown, watch)


def _score(model: Model, texts: Sequence[str], shown: Sequence[Pictures], watch: _Watch) -> None:
    can, n = model.info.abilities, len(shown)
    with watch.step("score"):
        _check(model.loglikelihood(shown, [tokenize(model, PROMPT, texts[0])] * n), Loglikelihood, n)
    if can.max_images is None:
        two = ask(PROMPT, PICTURE, PICTURE)
        with watch.step("score of two pictures"):
            both = [(one[0], shown[0][0]) for one in shown]
            _check(model.loglikelihood(both, [tokenize(model, two, texts[0])] * n), Loglikelihood, n)
    if can.shares_prefixes:
        rows = [[tokenize(model, PROMPT, text) for text in texts[:3]]] * n
        with watch.step("branches"):
            _check_rows(model.loglikelihood_of_branches(shown, rows), n)
    if can.keeps_prefixes:
        later = ask(PROMPT, PICTURE).followed_by(texts[0], PROMPT)
        for name, context in (("first turn, kept", ask(PROMPT, PICTURE)), ("second turn, kept", later)):
            rows = [[tokenize(model, context, text) for text in texts[:3]]] * n
            with watch.step(f"branches: {name}"):
                _check_rows(model.loglikelihood_of_branches(shown, rows, keeps=True), n)
        model.forget()


def _write(model: Model, shown: Sequence[Pictures], watch: _Watch) -> None:
    first, n = ask(PROMPT, PICTURE), len(shown)
    with watch.step("generate"):
        texts = model.generate(shown, [read(model, first, N_NEW)] * n, N_NEW)
    _check(texts, Text, n)
    if model.info.abilities.keeps_prefixes:
        for name, context in (("first turn, kept", first), ("second turn, kept", first.followed_by(PROMPT, PROMPT))):
            with watch.step(f"generate: {name}"):
                _check(model.generate(shown, [_read(model, context)] * n, N_NEW, keeps=True), Text, n)
        model.forget()


def _read(model: Model, context: Context) -> Tokens:
    return read(model, context, N_NEW)


def _alike(model: Model, texts: Sequence[str], seeds: Sequence[int]) -> list[Tokens]:
    """Gives texts of one length, a new one for each row as far as there are any."""
    tokens = [tokenize(model, "", text) for text in texts]
    common = Counter(t.batch_key for t in tokens).most_common(1)[0][0]
    some = [t for t in tokens if t.batch_key == common]
    first = {1: 0, FEW: 1, MANY: 1 + FEW}[len(seeds)]
    return [some[(first + i) % len(some)] for i in range(len(seeds))]


def _check_features(features: Sequence[Features], model: Model) -> None:
    assert len({f.digest for f in features}) == len(features), "different pictures have equal digests"
    for data in (f.data for f in features):
        if isinstance(data, Placed):
            assert data.dtype == getattr(torch, model.info.dtype), f"features in {data.dtype}"
        elif isinstance(data, torch.Tensor):
            assert data.dtype == torch.float32, f"vectors on the CPU in {data.dtype}"


def _check(answers: Sequence[object], kind: type, n: int) -> None:
    assert [type(answer) for answer in answers] == [kind] * n, f"expected are {n} {kind.__name__}: {answers}"


def _check_rows(rows: Sequence[Sequence[object]], n: int) -> None:
    assert len(rows) == n
    for row in rows:
        _check(row, Loglikelihood, 3)


def _told(error: BaseException) -> str:
    """Tells an error, and the last line of babycli that led to it."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    frames = [(frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(root.__traceback__)]
    own = [(name, line) for name, line in frames if name.startswith("babycli.")]
    where = f"{own[-1][0].replace('.', '/')}.py:{own[-1][1]}: " if own else ""
    return f"{where}{type(root).__name__}: {root}"
