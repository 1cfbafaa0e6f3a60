"""Ids of prompts and answers, against the libraries that define the files and against encodings written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from babycli.models.parts.tokenizer import Tokenizer, load_tokenizer
from babycli.wording import Scoring
from tests.checkpoints import SPECIAL, word_tokenizer, write_checkpoint
from tests.models.loading import (
    BALL,
    BLUE,
    CAT,
    DOT,
    N_TOKENS,
    RED,
    WORDS,
    A,
    context_and_answer,
    edit_json,
    features_of,
    filler,
    letter_pieces,
    load,
    picture,
    score,
    tokenize,
    write_json,
    write_sentencepiece_checkpoint,
    written,
)
from tests.models.slow_path import SlowPath

PAD, UNK, SOS, EOS = range(4)
IMAGE = -200
NAMES = {"bos_token": "<sos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
FAST = NAMES | {"tokenizer_class": "PreTrainedTokenizerFast"}


def word_level(folder: Path, config: Mapping[str, Any] = FAST, words: tuple[str, ...] = WORDS) -> Tokenizer:
    write_json(folder / "tokenizer.json", word_tokenizer(words))
    write_json(folder / "tokenizer_config.json", config)
    return load_tokenizer(folder)


def encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text with pictures where it says ``<image>``."""
    return tokenizer.encode_pieces(text.split("<image>"))


# ---------------------------------------------------------------- word level


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("\n ball", [BALL]),
        ("red ball .", [RED, BALL, DOT]),
        ("red ball.", [RED, BALL, DOT]),
        ("zebra ball", [UNK, BALL]),
        ("ball<eos>", [BALL, EOS]),
        (" <sos> a cat <eos> ", [SOS, A, CAT, EOS]),
    ],
)
def test_words(text: str, ids: list[int], tmp_path: Path) -> None:
    assert word_level(tmp_path).encode(text) == ids


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<image>\n", [IMAGE]),
        ("<image>\n ball", [IMAGE, BALL]),
        ("a <image> ball", [A, IMAGE, BALL]),
        ("<image><image> red", [IMAGE, IMAGE, RED]),
        ("red", [RED]),
    ],
)
def test_a_picture_in_the_text(text: str, ids: list[int], tmp_path: Path) -> None:
    assert encoded(word_level(tmp_path), text) == ids


def test_special_tokens_that_only_the_config_declares(tmp_path: Path) -> None:
    """tokenizer.json has <eos> as a word among words: it must not be taken apart into "<", "eos", ">"."""
    file = word_tokenizer(WORDS) | {"added_tokens": []}
    write_json(tmp_path / "tokenizer.json", file)
    write_json(tmp_path / "tokenizer_config.json", FAST)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("ball<eos>") == [BALL, EOS]
    assert tokenizer.decode([SOS, BALL, EOS]) == "ball"
    assert tokenizer.size == len(SPECIAL) + len(WORDS)


def test_special_tokens_of_the_other_file(tmp_path: Path) -> None:
    """Older checkpoints keep their names in special_tokens_map.json, as texts or as objects."""
    write_json(tmp_path / "tokenizer.json", word_tokenizer(WORDS))
    write_json(tmp_path / "special_tokens_map.json", {"bos_token": {"content": "<sos>"}, "eos_token": "<eos>"})
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_id) == (SOS, EOS)


def test_a_declared_token_that_is_new_gets_the_next_id(tmp_path: Path) -> None:
    tokenizer = word_level(tmp_path, FAST | {"pad_token": "[PAD]"})
    assert tokenizer.size == len(SPECIAL) + len(WORDS) + 1
    assert tokenizer.knows("[PAD]")


def test_truncation_and_padding_of_the_file_are_off(tmp_path: Path) -> None:
    """As in transformers, which switches both off unless a call asks for them."""
    library = Library.from_str(json.dumps(word_tokenizer(WORDS)))
    library.enable_truncation(2)
    library.enable_padding(length=8, pad_id=PAD, pad_token="<pad>")
    library.save(str(tmp_path / "tokenizer.json"))
    write_json(tmp_path / "tokenizer_config.json", FAST)
    assert load_tokenizer(tmp_path).encode("a red ball .") == [A, RED, BALL, DOT]


# ---------------------------------------------------------------- back to text


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([], ""),
        ([EOS], ""),
        ([SOS, A, RED, BALL, EOS, PAD, PAD], "a red ball"),
        ([A, BALL, DOT], "a ball."),
        ([UNK, BALL], "ball"),  # the unknown token is special too
    ],
)
def test_decoding_drops_special_tokens_and_cleans_up(ids: list[int], text: str, tmp_path: Path) -> None:
    assert word_level(tmp_path).decode(ids) == text


@pytest.mark.parametrize(("says", "text"), [(None, "a ball."), (True, "a ball."), (False, "a ball .")])
def test_cleaning_up_is_the_checkpoints_choice(says: bool | None, text: str, tmp_path: Path) -> None:
    config = FAST | ({} if says is None else {"clean_up_tokenization_spaces": says})
    assert word_level(tmp_path, config).decode([A, BALL, DOT]) == text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("it 's a ball !", "it's a ball!"),
        ("do n't , you 're , i 'm , we 've ?", "don't, you're, i'm, we've?"),
        ("' ball '", "' ball '"),  # nothing but " ' " between words is closed up
        ("dog ' s", "dog's"),
    ],
)
def test_cleaning_up_like_transformers(words: str, text: str, tmp_path: Path) -> None:
    vocabulary = tuple(dict.fromkeys(words.split()))
    tokenizer = word_level(tmp_path, words=vocabulary)
    ids = [len(SPECIAL) + vocabulary.index(word) for word in words.split()]
    assert tokenizer.decode(ids) == text


# ---------------------------------------------------------------- byte-pair encoding with "<sos> $A"


@pytest.fixture
def pairs() -> Library:
    library: Any = Library(models.BPE(unk_token="<unk>"))
    library.pre_tokenizer = pre_tokenizers.ByteLevel()
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=list(SPECIAL), show_progress=False)
    library.train_from_iterator(["a red ball", "a blue ball", "the cat", "\n a ball .", "red cat"] * 3, trainer)
    library.post_processor = processors.TemplateProcessing(single="<sos> $A", special_tokens=[("<sos>", SOS)])
    return library  # type: ignore[no-any-return]


@pytest.mark.parametrize("answer", ["ball", "red ball", "a blue cat .", "zebra"])
def test_pairs_equal_the_library(pairs: Library, answer: str, tmp_path: Path) -> None:
    """ "<image>\\n ball" is "" and "\\n ball", each with its own <sos>; the second <sos> goes."""
    pairs.save(str(tmp_path / "tokenizer.json"))
    write_json(tmp_path / "tokenizer_config.json", FAST)
    piece = pairs.encode(f"\n {answer}").ids
    assert piece[0] == SOS
    tokenizer = load_tokenizer(tmp_path)
    assert encoded(tokenizer, f"<image>\n {answer}") == [SOS, IMAGE, *piece[1:]]
    assert tokenizer.decode(pairs.encode(f" {answer}").ids) == f" {answer}".replace(" .", ".").replace("z", "")


def test_pairs_of_a_checkpoint(pairs: Library, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", filler(pairs.get_vocab_size()))
    pairs.save(str(folder / "tokenizer.json"))
    context, answer = context_and_answer(tokenize(load(folder), "", "ball"))
    assert context == [SOS, IMAGE, *pairs.encode("\n", add_special_tokens=False).ids]
    assert answer == pairs.encode(" ball", add_special_tokens=False).ids


# ---------------------------------------------------------------- sentencepiece


LETTERS = ["a red ball", "a blue cat"]
N_PIECES = 3 + 256 + 10  # <unk> <s> </s>, the bytes, and ▁ a b c d e l r t u


def pieces(tokenizer_bytes: bytes, *names: str) -> list[int]:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    processor.load_from_serialized_proto(tokenizer_bytes)
    return [int(processor.piece_to_id(name)) for name in names]


@pytest.mark.parametrize(
    ("legacy", "text", "names"),
    [
        # The whole text gets a space in front, "▁", in both ways.
        (True, "ball", "▁ b a l l"),
        (False, "ball", "▁ b a l l"),
        (True, " ball", "▁ ▁ b a l l"),
        (False, " ball", "▁ ▁ b a l l"),
        (True, "\n ball", "▁ <0x0A> ▁ b a l l"),
        (False, "\n ball", "▁ <0x0A> ▁ b a l l"),
        # Behind a special token, only the legacy way adds another.
        (True, "a</s>red", "▁ a </s> ▁ r e d"),
        (False, "a</s>red", "▁ a </s> r e d"),
        (True, "a</s> red", "▁ a </s> ▁ ▁ r e d"),
        (False, "a</s> red", "▁ a </s> ▁ r e d"),
        # In front of a special token it stands alone in the new way, and goes.
        (True, "</s>red", "</s> ▁ r e d"),
        (False, "</s>red", "</s> r e d"),
        # A byte that is no letter of the model.
        (False, "z", "▁ <0x7A>"),
        (True, "", ""),
        (False, "", ""),
    ],
)
def test_pieces_by_hand(legacy: bool, text: str, names: str, tmp_path: Path) -> None:
    proto = letter_pieces(LETTERS)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": legacy}
    write_json(tmp_path / "tokenizer_config.json", config | {"tokenizer_class": "LlamaTokenizer"})
    assert load_tokenizer(tmp_path).encode(text) == pieces(proto, "<s>", *names.split())


@pytest.mark.parametrize("says", [{}, {"legacy": None}])
def test_legacy_is_the_way_of_a_checkpoint_that_says_nothing(says: dict[str, None], tmp_path: Path) -> None:
    """In transformers 4's LlamaTokenizer, absent and null are both the legacy way."""
    proto = letter_pieces(LETTERS)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
    write_json(tmp_path / "tokenizer_config.json", config | says)
    ids = pieces(proto, "<s>", "▁", "a", "</s>", "▁", *"red")
    assert load_tokenizer(tmp_path).encode("a</s>red") == ids


@pytest.mark.parametrize("config", [None, {}, {"tokenizer_class": "LlamaTokenizer"}], ids=json.dumps)
def test_a_sentencepiece_model_without_names(config: dict[str, str] | None, tmp_path: Path) -> None:
    """LlamaTokenizer's own names are then <unk>, <s> and </s>, and it puts <s> in front."""
    proto = letter_pieces(LETTERS)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    if config is not None:
        write_json(tmp_path / "tokenizer_config.json", config)
    tokenizer = load_tokenizer(tmp_path)
    assert encoded(tokenizer, "<image>\n a red</s>") == [
        1,
        IMAGE,
        *pieces(proto, "▁", "<0x0A>", *"▁a▁red", "</s>"),
    ]
    assert tokenizer.decode(tokenizer.encode("a red</s>")) == "a red"


@pytest.mark.parametrize(
    ("says", "head", "tail"),
    [
        ({}, ["<s>"], []),
        ({"add_bos_token": False}, [], []),
        ({"add_eos_token": True}, ["<s>"], ["</s>"]),
    ],
)
def test_what_a_sentencepiece_tokenizer_puts_around(
    says: dict[str, bool], head: list[str], tail: list[str], tmp_path: Path
) -> None:
    proto = letter_pieces(LETTERS)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": False}
    write_json(tmp_path / "tokenizer_config.json", config | says)
    assert load_tokenizer(tmp_path).encode("a") == pieces(proto, *head, "▁", "a", *tail)


@pytest.mark.parametrize("names", ["▁ a ▁ r e d </s>", "<s> ▁ a ▁ r e d", "a ▁ r e d", "a </s> ▁ r e d </s> </s>"])
def test_pieces_back_to_text(names: str, tmp_path: Path) -> None:
    proto = letter_pieces(LETTERS)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": False}
    write_json(tmp_path / "tokenizer_config.json", config)
    assert load_tokenizer(tmp_path).decode(pieces(proto, *names.split())) == "a red"


def test_ids_of_no_piece_stand_for_nothing(tmp_path: Path) -> None:
    """Weights often have more rows than the tokenizer has pieces; transformers leaves such ids out, too."""
    proto = letter_pieces(LETTERS)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
    write_json(tmp_path / "tokenizer_config.json", config)
    ids = [*pieces(proto, "▁", "a"), N_PIECES, *pieces(proto, "▁", "r"), N_PIECES + 7, *pieces(proto, "e", "d")]
    assert load_tokenizer(tmp_path).decode(ids) == "a red"


def test_a_pad_token_that_the_sentencepiece_model_lacks_is_one_more_id(tmp_path: Path) -> None:
    """transformers gives it the next id, and so it takes a row of the vocabulary and a share of the probability."""
    proto = letter_pieces(LETTERS)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "[PAD]"}
    write_json(tmp_path / "tokenizer_config.json", config | {"tokenizer_class": "LlamaTokenizer"})
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.knows("[PAD]")
    assert tokenizer.size == N_PIECES + 1


def test_pieces_of_a_checkpoint(tmp_path: Path) -> None:
    proto = letter_pieces(LETTERS)
    folder = write_sentencepiece_checkpoint(tmp_path / "model", proto, N_PIECES, {"legacy": False})
    model = load(folder)
    context, answer = context_and_answer(tokenize(model, "", "ball"))
    assert context == [1, IMAGE, *pieces(proto, "▁", "<0x0A>")]
    assert answer == pieces(proto, *"▁ball")
    assert score(model, "ball").n_tokens == 5


def test_the_terminator_of_v1_is_one_token(tmp_path: Path) -> None:
    proto = letter_pieces(LETTERS)
    folder = write_sentencepiece_checkpoint(tmp_path / "model", proto, N_PIECES, {"legacy": False})
    edit_json(folder / "config.json", max_position_embeddings=512)
    _, answer = context_and_answer(tokenize(load(folder, conv_template="v1"), "", "ball"))
    assert answer == pieces(proto, *"▁▁ball", "</s>")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<image>\n", [1, IMAGE, 1154, 13]),
        ("<image>\n ball", [1, IMAGE, 1154, 13, 301]),
    ],
)
def test_the_reference_sentencepiece_model(text: str, ids: list[int], shared: Path, tmp_path: Path) -> None:
    proto = (shared / "reference" / "assets" / "spm1200.model").read_bytes()
    folder = write_sentencepiece_checkpoint(tmp_path / "model", proto, 1200, {"legacy": False, "pad_token": "<unk>"})
    assert encoded(load_tokenizer(folder), text) == ids


def test_all_ids_that_the_original_made_with_it(shared: Path, tmp_path: Path) -> None:
    """LLaVA's own lines: longer prompts, and pictures in the middle of the text."""
    proto = (shared / "reference" / "assets" / "spm1200.model").read_bytes()
    folder = write_sentencepiece_checkpoint(tmp_path / "model", proto, 1200, {"legacy": False, "pad_token": "<unk>"})
    tokenizer = load_tokenizer(folder)
    lines = (shared / "reference" / "golden" / "llava-v1.5-tiny.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        if line["kind"] == "loglikelihood":
            assert encoded(tokenizer, line["context_prompt"]) == line["context_ids"]
            assert encoded(tokenizer, line["full_prompt"]) == line["input_ids"]
        else:
            assert encoded(tokenizer, line["prompt"]) == line["input_ids"]
            assert tokenizer.decode(line["output_ids"]) == line["text"]
    assert len(lines) == 440


# ---------------------------------------------------------------- <sos> ... <eos> around every text


WRAPS = {"tokenizer_class": "LlavaGPT2Tokenizer"}


def test_wrapping_by_hand(tmp_path: Path) -> None:
    """Pieces "" and "\\n red ball" are <sos> <eos> and <sos> red ball <eos>; the second <sos> goes."""
    tokenizer = word_level(tmp_path, NAMES | WRAPS)
    assert encoded(tokenizer, "<image>\n") == [SOS, EOS, IMAGE, EOS]
    assert encoded(tokenizer, "<image>\n red ball") == [SOS, EOS, IMAGE, RED, BALL, EOS]


@pytest.mark.parametrize(
    ("scoring", "answer", "whole", "scored"),
    [
        ("fair", "red ball", [SOS, EOS, IMAGE, RED, BALL, EOS], [RED, BALL, EOS]),
        ("reference", "red ball", [SOS, EOS, IMAGE, RED, BALL, EOS], [BALL, EOS]),
        ("fair", "ball", [SOS, EOS, IMAGE, BALL, EOS], [BALL, EOS]),
        ("reference", "ball", [SOS, EOS, IMAGE, BALL, EOS], [EOS]),
        ("fair", "a red cat", [SOS, EOS, IMAGE, A, RED, CAT, EOS], [A, RED, CAT, EOS]),
        ("reference", "a red cat", [SOS, EOS, IMAGE, A, RED, CAT, EOS], [RED, CAT, EOS]),
    ],
)
def test_what_is_scored_of_a_wrapped_answer(
    scoring: Scoring, answer: str, whole: list[int], scored: list[int], tmp_path: Path
) -> None:
    model = load(write_checkpoint(tmp_path / "model", WORDS, tokenizer_config=WRAPS), scoring=scoring)
    tokens = tokenize(model, "", answer)
    assert list(tokens.ids) == whole
    assert context_and_answer(tokens)[1] == scored
    assert score(model, answer).n_tokens == len(scored)


@pytest.mark.parametrize("scoring", list(Scoring))
@pytest.mark.parametrize(
    ("template", "whole", "scored"),
    [
        ("plain", [IMAGE, RED, BALL], [RED, BALL]),
        ("baby_plain", [IMAGE, RED, BALL, EOS], [RED, BALL, EOS]),
    ],
)
def test_what_is_scored_without_wrapping(
    scoring: Scoring, template: str, whole: list[int], scored: list[int], tmp_path: Path
) -> None:
    model = load(write_checkpoint(tmp_path / "model", WORDS), scoring=scoring, conv_template=template)
    tokens = tokenize(model, "", "red ball")
    assert list(tokens.ids) == whole
    assert context_and_answer(tokens)[1] == scored


def test_an_eos_that_the_file_itself_adds_is_scored_with_the_whole_answer(tmp_path: Path) -> None:
    """The same wrapping, but by tokenizer.json's own post-processor."""
    folder = write_checkpoint(tmp_path / "model", WORDS)
    library: Any = Library.from_file(str(folder / "tokenizer.json"))
    around = [("<sos>", SOS), ("<eos>", EOS)]
    library.post_processor = processors.TemplateProcessing(single="<sos> $A <eos>", special_tokens=around)
    library.save(str(folder / "tokenizer.json"))
    tokens = tokenize(load(folder), "", "red ball")
    assert list(tokens.ids) == [SOS, EOS, IMAGE, RED, BALL, EOS]
    assert context_and_answer(tokens)[1] == [RED, BALL, EOS]


def test_a_caption_is_not_begun_behind_an_eos(tmp_path: Path) -> None:
    """fair continues <sos> <eos> IMAGE, as it scores; reference continues what the original continued."""
    folder = write_checkpoint(tmp_path / "model", WORDS, tokenizer_config=WRAPS)
    pixels = load(folder).preprocess(picture(0))
    slow = SlowPath.of(load_file(folder / "model.safetensors"), "transformer", N_TOKENS)
    for scoring, context in (("fair", [SOS, EOS, IMAGE]), ("reference", [SOS, EOS, IMAGE, EOS])):
        model = load(folder, scoring=Scoring(scoring))
        (caption,) = written(model, features_of(model, 0), "", 5)
        assert list(caption.token_ids) == slow.greedy(pixels, context, 5, EOS), scoring


# ---------------------------------------------------------------- batching


def test_answers_of_one_length_share_a_batch_and_others_do_not(tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path / "model", WORDS))
    red, blue = tokenize(model, "", "red ball"), tokenize(model, "", "blue cat")
    assert red.batch_key == blue.batch_key
    assert red.ids[-2:] == (RED, BALL)
    assert blue.ids[-2:] == (BLUE, CAT)
    assert tokenize(model, "", "ball").batch_key != red.batch_key
    assert tokenize(model, "a <image>", "ball").batch_key != tokenize(model, "<image> a", "ball").batch_key


def test_texts_that_are_alike_to_the_tokenizer_have_equal_ids(tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path / "model", WORDS))
    assert tokenize(model, "", "zebra").ids == tokenize(model, "", "giraffe").ids == (IMAGE, UNK)


def test_tokenizer_files_are_read_and_nothing_is_guessed(tmp_path: Path) -> None:
    """A GPT-2 config makes transformers' AutoTokenizer rebuild a byte-level BPE: the words must survive."""
    folder = write_checkpoint(tmp_path / "model", WORDS)
    edit_json(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    assert list(tokenize(load(folder), "", "red ball").ids) == [IMAGE, RED, BALL]
