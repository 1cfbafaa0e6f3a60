"""Turns the demo's DevCV questions into what a BabyLLaVA-V2 is trained on: its tokenizer, and rows of ids.

Owns the conversation as baby_v1 renders it, the tokenizer, and which ids are learnt. Never sees a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from devcv_items import LETTERS, Question
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ("<pad>", "<unk>", "<sos>", "<eos>")
PAD, SOS, EOS = 0, 2, 3
NOT_LEARNT = -100
QUERY = len(LETTERS)  # stands for the letter of a picture that is no option
IMAGE = "<image>"


def rendered(question: Question, gap: str = " ") -> str:
    """A conversation with its answers; ``gap`` is what lies between the colon and an answer."""
    turns = (f"USER: {asked} ASSISTANT:{gap}{answer}<eos>" for asked, answer in question.turns)
    return f" {''.join(turns)}"


def make_tokenizer(questions: Iterable[Question]) -> Tokenizer:
    """Trains a byte-level BPE that lower-cases, on the words of these questions."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [rendered(question).replace(IMAGE, "").replace("<eos>", "") for question in questions]
    alphabet = "abcdefghijklmnopqrstuvwxyz 0 1 2 3 4 5 6 7 8 9 , ; ! _ -"  # so that other words can be spelled
    trainer = trainers.BpeTrainer(vocab_size=6000, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator([*texts, alphabet], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<sos> $A", special_tokens=[("<sos>", SOS)])
    return tokenizer


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture in a row of ids: which, where its first position is, and what can be known of it there."""

    picture: int
    place: int
    letter: int  # the option that it is; QUERY for none
    is_right: int  # 1 or 0; NOT_LEARNT where that cannot be known yet


@dataclass(frozen=True, slots=True)
class Sequence:
    """A conversation as ids, with PAD at each position of a picture; ``learnt`` has the ids of the answers."""

    ids: tuple[int, ...]
    learnt: tuple[int, ...]
    pictures: tuple[Seen, ...]


class Reader:
    """Makes sequences; each piece of text between pictures is tokenised once."""

    def __init__(self, tokenizer: Tokenizer, n_positions: int) -> None:
        self._tokenizer, self._n_positions = tokenizer, n_positions
        self._known: dict[str, list[int]] = {}
        self._colon = self._ids(" ASSISTANT:")

    def read(self, question: Question, numbers: Mapping[str, int], gap: str = " ") -> Sequence:
        """``numbers`` are those of the pictures, by name."""
        ids, learnt, seen = [SOS], [NOT_LEARNT], []
        kinds = [kind for asked, answer in question.turns for kind in _options(asked, answer, len(question.turns))]
        names = iter(zip(question.pictures, kinds, strict=True))
        for i, piece in enumerate(rendered(question, gap).split(IMAGE)):
            if i:
                name, (letter, is_right) = next(names)
                seen.append(Seen(numbers[name], len(ids), letter, is_right))
                ids += [PAD] * self._n_positions
                learnt += [NOT_LEARNT] * self._n_positions
            is_answer = False
            here = self._ids(piece)
            for k, token in enumerate(here):
                is_answer = is_answer or here[max(0, k - len(self._colon)) : k] == self._colon
                ids.append(token)
                learnt.append(token if is_answer else NOT_LEARNT)
                is_answer = is_answer and token != EOS
        return Sequence(tuple(ids), tuple(learnt), tuple(seen))

    def _ids(self, piece: str) -> list[int]:
        if piece not in self._known:
            self._known[piece] = self._tokenizer.encode(piece, add_special_tokens=False).ids if piece else []
        return self._known[piece]


def _options(asked: str, answer: str, n_turns: int) -> Iterable[tuple[int, int]]:
    """Tells of each picture of a turn which option it is, and whether it is the right one.

    Of two pictures to be compared, the first alone does not tell.
    """
    n_before = asked.partition("(A)")[0].count(IMAGE)
    n_options = asked.count(IMAGE) - n_before
    yield from [(QUERY, NOT_LEARNT)] * n_before
    for k in range(n_options):
        is_known = n_turns > 1 or n_options != 2 or k > 0
        yield k, int(LETTERS[k] == answer) if is_known else NOT_LEARNT
