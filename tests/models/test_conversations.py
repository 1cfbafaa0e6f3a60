"""Conversations: a later turn that goes on from what was read equals one that reads all of it again.

The slow twin is the same model told to keep nothing, so that every context is read from its first word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from babycli.domain import PICTURE, Context, Loglikelihood, Text, ask
from babycli.models.base import Model, Pictures, Tokens
from babycli.models.parts.kept_prefixes import KeptPrefix, KeptPrefixes
from babycli.models.parts.llava_model import LlavaModel
from babycli.wording import Scoring
from tests.checkpoints import write_roomy
from tests.models.loading import WORDS, features_of, load, read, tokenize

TRUNKS = ("transformer", "model")
ANSWERS = ("ball", "red cat", "a blue ball .")
N_NEW = 6
N_TALKS = 5  # the first two are the same, so is what is read of them
PLENTY = 1 << 30


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each trunk."""
    place = tmp_path_factory.mktemp("talks")
    return {trunk: write_roomy(place / trunk, WORDS, trunk=trunk) for trunk in TRUNKS}


@pytest.fixture(params=TRUNKS)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture(
    scope="module",
    params=[
        ("transformer", "plain"),
        ("model", "baby_v1"),
        pytest.param(("transformer", "baby_v1"), marks=pytest.mark.long),
        pytest.param(("model", "plain"), marks=pytest.mark.long),
    ],
    ids="-".join,
)
def model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> LlavaModel:
    trunk, template = request.param
    return checked(load(folders[trunk], conv_template=template))


def checked(model: Model) -> LlavaModel:
    assert isinstance(model, LlavaModel)
    assert model.info.abilities.keeps_prefixes
    return model


@dataclass(slots=True)
class Talk:
    """One conversation, as far as it is."""

    context: Context
    pictures: Pictures
    texts: list[Text] = field(default_factory=list)
    scores: list[list[Loglikelihood]] = field(default_factory=list)


def talk_through(model: LlavaModel, keeps: bool, batch: int) -> list[Talk]:
    """Four turns: two replies, a choice between answers, and a reply to the chosen one."""
    seen = features_of(model, 0, 1, 2, 3)
    talks = [Talk(ask("red <image>", PICTURE), (seen[max(0, i - 1)],)) for i in range(N_TALKS)]
    model.forget()
    write_all(model, talks, keeps, batch)
    for i, talk in enumerate(talks):
        talk.context = talk.context.followed_by(talk.texts[-1].text, " a ", PICTURE, " cat")
        talk.pictures = (*talk.pictures, seen[(max(1, i) + 1) % 4])
    write_all(model, talks, keeps, batch)
    for talk in talks:
        talk.context = talk.context.followed_by(talk.texts[-1].text, " blue ball")
    score_all(model, talks, keeps, batch)
    for talk in talks:
        losses = [score.mean_loss for score in talk.scores[-1]]
        talk.context = talk.context.followed_by(ANSWERS[losses.index(min(losses))], PICTURE)
        talk.pictures = (*talk.pictures, talk.pictures[0])
    write_all(model, talks, keeps, batch)
    score_all(model, talks, keeps, batch)
    return talks


def write_all(model: LlavaModel, talks: Sequence[Talk], keeps: bool, batch: int) -> None:
    asked = [read(model, talk.context, N_NEW) for talk in talks]
    for members in batches([[tokens] for tokens in asked], batch):
        some = [asked[i] for i in members]
        texts = model.generate([talks[i].pictures for i in members], some, N_NEW, keeps)
        for i, text in zip(members, texts, strict=True):
            talks[i].texts.append(text)


def score_all(model: LlavaModel, talks: Sequence[Talk], keeps: bool, batch: int) -> None:
    """With ``keeps`` as branches, else one answer at a time on the plain path."""
    asked = [[tokenize(model, talk.context, answer) for answer in ANSWERS] for talk in talks]
    scores: list[dict[Tokens, Loglikelihood]] = [{} for _ in talks]
    if not keeps:
        for talk, row, of_talk in zip(talks, asked, scores, strict=True):
            of_talk |= {tokens: model.loglikelihood([talk.pictures], [tokens])[0] for tokens in row}
    branches = [(i, list(row)) for i, tokens in enumerate(asked) for row in by_prefix(tokens)] if keeps else []
    for places in batches([row for _, row in branches], batch):
        members, rows = [branches[k][0] for k in places], [branches[k][1] for k in places]
        together = model.loglikelihood_of_branches([talks[i].pictures for i in members], rows, True)
        for i, row, found in zip(members, rows, together, strict=True):
            scores[i] |= zip(row, found, strict=True)
    for talk, row, of_talk in zip(talks, asked, scores, strict=True):
        talk.scores.append([of_talk[tokens] for tokens in row])


def by_prefix(row: Sequence[Tokens]) -> list[list[Tokens]]:
    """The answers that stand behind the same ids; not all do where a tokenizer ends every text."""
    alike: dict[tuple[int, ...], list[Tokens]] = {}
    for tokens in row:
        alike.setdefault(tokens.prefix, []).append(tokens)
    return list(alike.values())


def batches(rows: Sequence[Sequence[Tokens]], size: int) -> Iterator[list[int]]:
    """The places of rows that may share a batch, at most ``size`` of them."""
    alike: dict[Any, list[int]] = {}
    for i, row in enumerate(rows):
        alike.setdefault(tuple(tokens.batch_key for tokens in row), []).append(i)
    for members in alike.values():
        for start in range(0, len(members), size):
            yield members[start : start + size]


def check(talks: Sequence[Talk], expected: Sequence[Talk]) -> None:
    for talk, other in zip(talks, expected, strict=True):
        assert talk.context == other.context
        assert talk.texts == other.texts  # the same ids, not only the same words
        assert len(talk.scores) == 2
        for row, plain in zip(talk.scores, other.scores, strict=True):
            for one, two in zip(row, plain, strict=True):
                assert one.token_logprobs == pytest.approx(two.token_logprobs, abs=1e-5)
                assert one.is_greedy == two.is_greedy


@contextlib.contextmanager
def counting(model: LlavaModel) -> Iterator[list[int]]:
    """How many positions each pass through the language model reads."""
    read_here: list[int] = []

    def note(module: Any, args: Any, kwargs: Any) -> None:
        embedded = kwargs.get("inputs_embeds")
        given = embedded if embedded is not None else kwargs.get("input_ids", *args)
        read_here.append(given.shape[:2].numel())

    hook = model._network.text.base_model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield read_here
    finally:
        hook.remove()


# ---------------------------------------------------------------- the same, and less to read


@pytest.mark.parametrize("batch", [1, pytest.param(2, marks=pytest.mark.long), N_TALKS])
def test_what_is_kept_changes_nothing(batch: int, model: LlavaModel) -> None:
    plain = talk_through(model, keeps=False, batch=1)
    with room_for(model, PLENTY):
        check(talk_through(model, keeps=True, batch=batch), plain)
    assert plain[0].texts == plain[1].texts
    assert 2 < len({talk.context for talk in plain}) < N_TALKS  # some models said the same about two pictures
    assert len({text.text for talk in plain for text in talk.texts}) > 2


def test_a_later_turn_reads_only_what_is_new(model: LlavaModel) -> None:
    with counting(model) as all_of_it:
        talk_through(model, keeps=False, batch=1)
    with room_for(model, PLENTY), counting(model) as what_is_new:
        talk_through(model, keeps=True, batch=1)
    assert sum(what_is_new) < sum(all_of_it) / 2
    with room_for(model, PLENTY):
        seen = features_of(model, 0)
        context = ask("red <image>", PICTURE)
        (text,) = model.generate([tuple(seen)], [read(model, context, N_NEW)], N_NEW, True)
        later = context.followed_by(text.text, " blue")
        tokens = [tokenize(model, later, answer) for answer in ANSWERS]
        with counting(model) as positions:
            model.loglikelihood_of_branches([tuple(seen)], [tokens], True)
        assert positions[0] < 20 < 49 < tokens[0].n_positions  # the picture is not read again
        with counting(model) as positions:
            model.loglikelihood_of_branches([tuple(seen)], [tokens], True)
        assert positions[0] < 20  # so may another conversation that has begun alike
    with room_for(model, 0), counting(model) as positions:
        model.loglikelihood_of_branches([tuple(seen)], [tokens], True)
    assert positions[0] > 49


# ---------------------------------------------------------------- memory


@contextlib.contextmanager
def room_for(model: LlavaModel, max_bytes: int) -> Iterator[KeptPrefixes]:
    kept, model._kept = model._kept, KeptPrefixes(max_bytes)
    try:
        yield model._kept
    finally:
        model._kept = kept


def n_bytes_of_one(model: LlavaModel) -> int:
    """What the longest of the conversations takes when it is kept."""
    with room_for(model, PLENTY) as kept:
        talk_through(model, keeps=True, batch=1)
        return max(prefix.n_bytes for prefix in kept._kept.values())


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.long), N_TALKS])
def test_where_nothing_can_be_kept_all_is_read_again(batch: int, model: LlavaModel) -> None:
    plain = talk_through(model, keeps=False, batch=1)
    with room_for(model, 0) as kept:
        check(talk_through(model, keeps=True, batch=batch), plain)
        assert kept._kept == {}
        assert kept._n_bytes == 0


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.long), N_TALKS])
def test_room_for_one_of_them(batch: int, model: LlavaModel) -> None:
    plain = talk_through(model, keeps=False, batch=1)
    room = n_bytes_of_one(model)
    with room_for(model, room) as kept:
        check(talk_through(model, keeps=True, batch=batch), plain)
        assert 0 < kept._n_bytes <= room
        assert kept._n_bytes == sum(prefix.n_bytes for prefix in kept._kept.values())
        assert len(kept._kept) == 1


def test_what_is_kept_is_counted_and_given_back(model: LlavaModel) -> None:
    with room_for(model, PLENTY) as kept:
        talk_through(model, keeps=True, batch=N_TALKS)
        assert kept._n_bytes == sum(prefix.n_bytes for prefix in kept._kept.values()) > 0
        assert len(kept._kept) == 4 * (N_TALKS - 1)  # of each its four turns; two of them are the same
        model.forget()
        assert (kept._n_bytes, kept._kept) == (0, {})


def test_what_is_kept_is_given_up_where_memory_runs_out(model: LlavaModel) -> None:
    plain = talk_through(model, keeps=False, batch=1)
    with room_for(model, PLENTY) as kept:
        assert not model.spare_memory()  # there is nothing yet
    with room_for(model, PLENTY) as kept:
        check(talk_through(model, keeps=True, batch=N_TALKS), plain)
        before = kept._n_bytes
        assert model.spare_memory()
        assert (kept._n_bytes, kept._kept) == (0, {})
        check(talk_through(model, keeps=True, batch=N_TALKS), plain)
        assert 0 < kept._n_bytes <= before // 2


# ---------------------------------------------------------------- ways in which a conversation may go


def test_nothing_is_kept_unless_it_is_asked_for(model: LlavaModel) -> None:
    with room_for(model, PLENTY) as kept:
        talk_through(model, keeps=False, batch=2)
        assert kept._kept == {}


def test_another_picture_in_the_place_of_one_that_was_read(model: LlavaModel) -> None:
    """The words of a context are no sign that it has been read."""
    one, other = features_of(model, 0, 1)
    context = ask("red <image>", PICTURE)
    later = context.followed_by("ball", " blue")
    with room_for(model, PLENTY):
        model.generate([(one,)], [read(model, context, N_NEW)], N_NEW, True)
        for seen in (other, one):
            tokens = [tokenize(model, later, answer) for answer in ANSWERS]
            (row,) = model.loglikelihood_of_branches([(seen,)], [tokens], True)
            for one_answer, score in zip(tokens, row, strict=True):
                (plain,) = model.loglikelihood([(seen,)], [one_answer])
                assert score.token_logprobs == pytest.approx(plain.token_logprobs, abs=1e-5)


@pytest.mark.parametrize("reply", ["", "cat", "ball ball ball ball ball ball ball ball", "red<eos>blue"])
def test_a_reply_that_is_not_what_was_written(reply: str, model: LlavaModel) -> None:
    """A task may cut a reply, or put its own words into the model's mouth: what differs is read."""
    (seen,) = features_of(model, 2)
    context = ask("red <image>", PICTURE)
    later = context.followed_by(reply, " blue")
    with room_for(model, PLENTY):
        model.generate([(seen,)], [read(model, context, N_NEW)], N_NEW, True)
        asked = [tokenize(model, later, answer) for answer in ANSWERS]
        (row,) = model.loglikelihood_of_branches([(seen,)], [asked], True)
    for tokens, score in zip(asked, row, strict=True):
        (plain,) = model.loglikelihood([(seen,)], [tokens])
        assert score.token_logprobs == pytest.approx(plain.token_logprobs, abs=1e-5)


def test_some_of_a_batch_were_read_and_some_were_not(model: LlavaModel) -> None:
    seen = features_of(model, 0, 1, 2, 3)
    context = ask("red <image>", PICTURE)
    later = context.followed_by("ball", " blue")
    asked = read(model, later, N_NEW)
    plain = model.generate([(each,) for each in seen], [asked] * 4, N_NEW)
    with room_for(model, PLENTY):
        first = read(model, context, N_NEW)
        model.generate([(seen[1],), (seen[3],)], [first] * 2, N_NEW, True)
        assert model.generate([(each,) for each in seen], [asked] * 4, N_NEW, True) == plain


def test_a_blind_conversation(model: LlavaModel) -> None:
    """Nothing is seen in the places of pictures, and the same is read again and again."""
    context = ask("red <image>", PICTURE).without_images()
    with room_for(model, PLENTY):
        (text,) = model.generate([()], [read(model, context, N_NEW)], N_NEW, True)
        assert [text] == model.generate([()], [read(model, context, N_NEW)], N_NEW)
        later = context.followed_by(text.text, PICTURE, "blue").without_images()
        asked = [tokenize(model, later, answer) for answer in ANSWERS]
        (row,) = model.loglikelihood_of_branches([()], [asked], True)
    for tokens, score in zip(asked, row, strict=True):
        (plain,) = model.loglikelihood([()], [tokens])
        assert score.token_logprobs == pytest.approx(plain.token_logprobs, abs=1e-5)


@pytest.mark.parametrize(
    ("folder", "scoring"),
    [
        ("transformer", Scoring.FAIR),
        ("model", Scoring.REFERENCE),
        pytest.param("transformer", Scoring.REFERENCE, marks=pytest.mark.long),
        pytest.param("model", Scoring.FAIR, marks=pytest.mark.long),
    ],
    indirect=["folder"],
)
def test_a_tokenizer_that_ends_every_text(scoring: Scoring, folder: Path, tmp_path: Path) -> None:
    """<sos> and <eos> around every text: what ends one turn stands in the middle of the next."""
    wraps = {"tokenizer_class": "LlavaGPT2Tokenizer"}
    trunk = "transformer" if folder.name == "transformer" else "model"
    place = write_roomy(tmp_path / "wraps", WORDS, trunk=trunk, tokenizer_config=wraps)
    model = checked(load(place, scoring=scoring))
    plain = talk_through(model, keeps=False, batch=1)
    with room_for(model, PLENTY):
        check(talk_through(model, keeps=True, batch=N_TALKS), plain)


def test_half_precision_goes_the_same_way(folder: Path) -> None:
    model = checked(load(folder, dtype="bfloat16"))
    (seen,) = features_of(model, 0)
    context = ask("red <image>", PICTURE)
    with room_for(model, PLENTY) as kept:
        (text,) = model.generate([(seen,)], [read(model, context, N_NEW)], N_NEW, True)
        (prefix,) = kept._kept.values()
        assert {tensor.dtype for layer in prefix.layers for tensor in layer} == {seen.data.dtype}
        later = context.followed_by(text.text, " blue")
        asked = [tokenize(model, later, answer) for answer in ANSWERS]
        (row,) = model.loglikelihood_of_branches([(seen,)], [asked], True)
    for tokens, score in zip(asked, row, strict=True):
        (plain,) = model.loglikelihood([(seen,)], [tokens])
        assert score.token_logprobs == pytest.approx(plain.token_logprobs, rel=0.05, abs=0.1)


# ---------------------------------------------------------------- what is kept, by hand


def prefix_of(elements: Sequence[int | bytes], n_positions: int) -> KeptPrefix:
    keys = torch.arange(n_positions, dtype=torch.float32).view(1, 1, n_positions, 1)
    return KeptPrefix(tuple(elements), ((keys, keys + 100),))


def test_as_much_is_reused_as_both_begin_with() -> None:
    """A picture takes three positions here; the last element is always left to be read."""
    kept = KeptPrefixes(PLENTY)
    context = (2, b"a", 7)
    kept.keep(context, (), prefix_of((2, b"a", 7, 31, 3), 7))
    cases: list[tuple[tuple[int | bytes, ...], int, int]] = [
        ((2, b"a", 7, 31, 3, 12), 5, 7),
        ((2, b"a", 7, 31, 3), 4, 6),
        ((2, b"a", 7, 31, 9, 3), 4, 6),
        ((2, b"a", 7), 2, 4),
        ((2, b"b", 7, 31, 3), 1, 1),
        ((5, b"a", 7), 0, 0),
        ((2,), 0, 0),
    ]
    for elements, n_elements, n_positions in cases:
        reused = kept.reuse(context, elements, 3)
        assert (reused.n_elements, reused.n_positions) == (n_elements, n_positions), elements
    assert kept.reuse((2, b"a"), (2, b"a", 7, 31, 3, 12), 3).n_positions == 0  # nothing was kept of that context
    assert kept.reuse((), (2, b"a", 7, 31, 3, 12), 3).n_positions == 0


def test_a_parent_stays_while_there_is_room() -> None:
    """The oldest of those that have been gone on from gives way first, and one that has not never does."""
    kept = KeptPrefixes(2 * 4 * 20)  # twenty positions
    kept.keep((1,), (), prefix_of((1,), 4))
    kept.keep((2,), (), prefix_of((2,), 4))
    kept.keep((2, 5), (2,), prefix_of((2, 5), 5))
    kept.keep((1, 5), (1,), prefix_of((1, 5), 5))
    assert list(kept._kept) == [(1,), (2,), (2, 5), (1, 5)]
    kept.keep((3,), (), prefix_of((3,), 6))
    assert list(kept._kept) == [(1,), (2, 5), (1, 5), (3,)]
    assert kept._n_bytes == 2 * 4 * 20
    kept.keep((1, 6), (1,), prefix_of((1, 6), 5))  # too little room, even in its parent's place
    assert list(kept._kept) == [(2, 5), (1, 5), (3,)]
    assert kept._n_bytes == 2 * 4 * 16
    kept.keep((3,), (), prefix_of((3,), 7))  # read again
    assert kept._n_bytes == 2 * 4 * 17


def test_the_next_turn_takes_the_place_of_its_parent_where_room_is_short_and_the_first_ones_stay() -> None:
    kept = KeptPrefixes(2 * 4 * 10)  # ten positions
    kept.keep((1,), (), prefix_of((1,), 4))
    kept.keep((2,), (), prefix_of((2,), 4))
    kept.keep((3,), (), prefix_of((3,), 4))  # no room
    assert list(kept._kept) == [(1,), (2,)]
    kept.keep((1, 5), (1,), prefix_of((1, 5), 6))
    assert list(kept._kept) == [(2,), (1, 5)]
    assert kept._n_bytes == 2 * 4 * 10
    kept.keep((2, 5), (2,), prefix_of((2, 5), 60))  # has outgrown it
    assert list(kept._kept) == [(1, 5)]
    assert kept._n_bytes == 2 * 4 * 6


# ---------------------------------------------------------------- words that are no words


def test_a_sign_of_a_picture_in_an_answer_is_no_picture(model: LlavaModel) -> None:
    context = ask("red", PICTURE)
    plain, marked = model.tokenize(context, "ball"), model.tokenize(context, "ball\N{OBJECT REPLACEMENT CHARACTER}")
    assert isinstance(plain, Tokens)
    assert isinstance(marked, Tokens)
    assert marked.ids == plain.ids


def test_where_nothing_is_asked_a_token_stands_before_the_answer(model: LlavaModel) -> None:
    if model.info.template != "plain":
        pytest.skip("the role names are something")
    tokens = model.tokenize(ask(""), "ball")
    assert isinstance(tokens, Tokens)
    assert len(tokens.ids) == tokens.n_answer + 1
    (score,) = model.loglikelihood([()], [tokens])
    assert len(score.token_logprobs) == tokens.n_answer


def test_an_eos_of_a_reply_stays_in_the_next_prompt(folder: Path) -> None:
    """Only one that the tokenizer puts behind every text is taken away; this tokenizer puts none."""
    model = checked(load(folder, conv_template="baby_plain"))
    silent = ask("red", PICTURE).followed_by("ball")  # the user says nothing
    read = model.read(silent, 4)
    assert isinstance(read, Tokens)
    assert read.ids[-1] == model._tokenizer.eos_id
