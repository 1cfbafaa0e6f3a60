"""Models of transformers with a chat template: six architectures against transformers itself, one request at a time.

The other path is written out here: the conversation as plain text, the processor's own class where it can be made
without torchvision (else the picture's tokens put in by hand), and a plain call of the network's own class.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from babycli.domain import PICTURE, CannotAnswer, Context, ImageRef, Loglikelihood, Text, Turn
from babycli.models.base import Model, Pictures
from babycli.models.parts.hf_papers import PAPERS_OF
from tests.conftest import Babycli
from tests.hf_checkpoints import KINDS, LIBRARY, Kind, make_tokenizer, write_hf
from tests.models.conftest import Evaluate
from tests.models.loading import asked, edit_json, load, loglikelihood, picture, read, save, tokenize, written
from tests.models.test_bad_checkpoints import assert_explained, remove, truncate, write

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPT = "What is in the image?"
ASKED = (
    (PROMPT, "ball"),
    ("", "It sees a blue car."),
    ("Look: <image> a what?", "red cat"),
    ("<image> It is", "red"),
    ("Is <image> a ball, and <image>?", "It is"),
)
SIZES = ((40, 30), (60, 30), (30, 60), (28, 28), (120, 40), (57, 56))


def tinted(seed: int, size: tuple[int, int]) -> Image.Image:
    """Noise with a colour of its own: after resizing, noise alone looks all the same."""
    colour = (seed * 37 % 256, seed * 101 % 256, seed * 173 % 256)
    return Image.blend(picture(seed, *size), Image.new("RGB", size, colour), 0.6)


PICTURES = [tinted(seed, size) for seed, size in enumerate(SIZES)]


@dataclass(frozen=True, slots=True)
class Pair:
    """A checkpoint, and the two ways to it."""

    kind: Kind
    folder: Path
    ours: Model
    slow: Slow


class Slow:
    """transformers called directly, a picture and a prompt at a time."""

    def __init__(self, name: str, folder: Path) -> None:
        self.kind, self.name = KINDS[name], name
        config = json.loads((folder / "config.json").read_text())
        read: Any = getattr(LIBRARY, config["architectures"][0]).from_pretrained
        self.network, report = read(folder, dtype=torch.float32, output_loading_info=True)
        assert not report["missing_keys"]
        self.network.eval()
        self.tokenizer: Any = LIBRARY.AutoTokenizer.from_pretrained(folder)
        _, _, self.images, keys = self.kind.make()
        by_hand = {"qwen2_vl": self._qwen2_vl, "internvl": self._internvl}
        if name in by_hand:
            self._inputs = by_hand[name]
        else:
            # SmolVLM's is Idefics3's, with videos.
            made = "Idefics3Processor" if name == "smolvlm" else self.kind.processor
            processor = getattr(LIBRARY, made)(self.images, self.tokenizer, **keys)
            bos = self.kind.adds_bos
            self._inputs = lambda text, images: processor(
                text=[text], images=[images], return_tensors="pt", add_special_tokens=bos
            )

    def conversation(self, prompt: str) -> str:
        parts = prompt.split("<image>") if "<image>" in prompt else ["", prompt]
        return self.kind.before + self.kind.picture.join(parts) + self.kind.after

    def _qwen2_vl(self, text: str, images: list[Image.Image]) -> dict[str, Tensor]:
        seen = self.images(images, return_tensors="pt")
        for grid in seen["image_grid_thw"]:
            text = text.replace("<|image_pad|>", "<seen>" * (int(grid.prod()) // 4), 1)
        return self._with_ids(text.replace("<seen>", "<|image_pad|>"), seen, "<|image_pad|>")

    def _internvl(self, text: str, images: list[Image.Image]) -> dict[str, Tensor]:
        seen = self.images(images, return_tensors="pt")
        for n in seen.pop("num_patches"):
            text = text.replace("<IMG_CONTEXT>", "<img>" + "<seen>" * (4 * int(n)) + "</img>", 1)
        return self._with_ids(text.replace("<seen>", "<IMG_CONTEXT>"), seen, None)

    def _with_ids(self, text: str, seen: Any, marked: str | None) -> dict[str, Tensor]:
        ids = torch.tensor([self.tokenizer(text, add_special_tokens=False)["input_ids"]])
        marks = {"mm_token_type_ids": (ids == self.tokenizer.convert_tokens_to_ids(marked)).int()} if marked else {}
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **marks, **dict(seen)}

    def inputs(self, image: Image.Image, prompt: str) -> dict[str, Tensor]:
        return self.inputs_of(self.conversation(prompt), [image] * max(1, prompt.count("<image>")))

    def inputs_of(self, text: str, images: list[Image.Image]) -> dict[str, Tensor]:
        return dict(self._inputs(text, images))

    def logprobs(self, image: Image.Image, prompt: str, answer: str) -> list[float]:
        return self.logprobs_of(self.conversation(prompt), [image] * max(1, prompt.count("<image>")), answer)

    def logprobs_of(self, text: str, images: list[Image.Image], answer: str) -> list[float]:
        """Of an answer behind a conversation that is written out, with a picture for each of its places."""
        inputs = self.inputs_of(text + self.kind.gap + answer, images)
        n = len(self.tokenizer(self.kind.gap + answer, add_special_tokens=False)["input_ids"])
        ids = inputs["input_ids"][0]
        assert self.tokenizer.decode(ids[-n:]) == self.kind.gap + answer
        with torch.inference_mode():
            logprobs = self.network(**inputs).logits[0].float().log_softmax(-1)
        return [float(logprobs[i - 1, ids[i]]) for i in range(len(ids) - n, len(ids))]

    def caption(self, image: Image.Image, prompt: str, n: int, stop: int | None = None) -> list[int]:
        return self.written(self.inputs(image, prompt), n, stop)

    def written(self, inputs: dict[str, Tensor], n: int, stop: int | None = None) -> list[int]:
        stops = {} if stop is None else {"eos_token_id": stop}
        with torch.inference_mode():
            out = self.network.generate(**inputs, max_new_tokens=n, do_sample=False, **stops)
        ids: list[int] = out[0, inputs["input_ids"].shape[1] :].tolist()
        return ids


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """A pair of each architecture, made on first use. Do not write into its folder."""
    folder, pairs = tmp_path_factory.mktemp("hf"), dict[str, Pair]()

    def pair(name: str) -> Pair:
        if name not in pairs:
            place = write_hf(folder / name, name)
            pairs[name] = Pair(KINDS[name], place, load(place), Slow(name, place))
        return pairs[name]

    return pair


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, made: Callable[[str], Pair]) -> Pair:
    return made(request.param)


# Two ways to a picture's tokens, without and with a space before an answer.
SOME_KINDS = [
    kind if kind in ("qwen2_vl", "idefics3") else pytest.param(kind, marks=pytest.mark.long) for kind in KINDS
]


def all_of_qwen(cases: Sequence[tuple[Any, ...]], of_each: tuple[Any, ...]) -> list[Any]:
    """Parameters of ``pair`` and more: all cases with Qwen2-VL, one with each other kind; the others are long."""
    return [
        pytest.param(kind, *case, marks=[] if kind == "qwen2_vl" or case == of_each else pytest.mark.long)
        for kind in KINDS
        for case in cases
    ]


@pytest.fixture
def copy(made: Callable[[str], Pair], tmp_path: Path) -> Callable[[str], Path]:
    """A checkpoint of the test's own, to be spoiled."""
    return lambda name: Path(shutil.copytree(made(name).folder, tmp_path / name))


def ask(model: Model, images: list[Image.Image], prompt: str, text: str) -> list[Loglikelihood]:
    features = model.encode([model.preprocess(image) for image in images])
    return loglikelihood(model, features, [tokenize(model, prompt, text)] * len(images), prompt)


def write_captions(model: Model, images: list[Image.Image], prompt: str, n: int) -> list[list[int]]:
    features = model.encode([model.preprocess(image) for image in images])
    return [list(caption.token_ids) for caption in written(model, features, prompt, n)]


# ---------------------------------------------------------------- against transformers itself


@pytest.mark.parametrize(("pair", "prompt", "text"), all_of_qwen(ASKED, of_each=ASKED[-1]), indirect=["pair"])
def test_losses_are_those_of_transformers(prompt: str, text: str, pair: Pair) -> None:
    scores = ask(pair.ours, PICTURES, prompt, text)
    for image, score in zip(PICTURES, scores, strict=True):
        assert score.token_logprobs == pytest.approx(pair.slow.logprobs(image, prompt, text), abs=1e-5)
    losses = [score.mean_loss for score in scores]
    assert max(losses) - min(losses) > 1e-3  # the picture counts


@pytest.mark.parametrize("pair", SOME_KINDS, indirect=True)
def test_the_greedy_answer_is_recognised(pair: Pair) -> None:
    """What the network would write is greedy, where its text is read as that token again; "ball" is not."""
    images = [tinted(seed, (28, 28)) for seed in range(40)]
    found = 0
    for image, ids in zip(images, write_captions(pair.ours, images, "?", 1), strict=True):
        text = pair.slow.tokenizer.decode(ids)
        written = text.startswith(pair.kind.gap) and text.strip()
        if written and pair.slow.tokenizer(text, add_special_tokens=False)["input_ids"] == ids:
            found += 1
            assert ask(pair.ours, [image], "?", text.removeprefix(pair.kind.gap))[0].is_greedy
    assert found or pair.kind.gap  # few tokens begin with a space
    assert not any(score.is_greedy for score in ask(pair.ours, PICTURES, PROMPT, "ball"))


@pytest.mark.parametrize(
    ("pair", "prompt"), all_of_qwen([(PROMPT,), ("Look: <image> a what?",)], of_each=(PROMPT,)), indirect=["pair"]
)
def test_captions_are_those_of_transformers(prompt: str, pair: Pair) -> None:
    captions = write_captions(pair.ours, PICTURES, prompt, 8)
    assert captions == [pair.slow.caption(image, prompt, 8) for image in PICTURES]
    assert len({tuple(caption) for caption in captions}) > 1


def test_the_prompt_is_rendered_by_the_template(pair: Pair) -> None:
    for prompt, _ in ASKED:
        assert pair.ours.render(asked(prompt)) == pair.slow.conversation(prompt)


def test_pictures_of_different_sizes_take_different_numbers_of_tokens(made: Callable[[str], Pair]) -> None:
    """Else the tests of mixed batches would mix nothing."""
    for name in ("qwen2_vl", "idefics3", "internvl"):
        assert len({made(name).slow.inputs(image, PROMPT)["input_ids"].shape[1] for image in PICTURES}) > 1


# ---------------------------------------------------------------- batches


@pytest.mark.long
def test_the_batch_does_not_matter(pair: Pair) -> None:
    images = [tinted(seed, SIZES[seed % 3]) for seed in range(64)]
    alone = [ask(pair.ours, [image], PROMPT, "red cat")[0] for image in images]
    assert len({score.token_logprobs for score in alone}) == 64
    for size in (7, 64):
        for start in range(0, 64, size):
            together = ask(pair.ours, images[start : start + size], PROMPT, "red cat")
            for one, other in zip(together, alone[start : start + size], strict=True):
                assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=1e-5)


def test_words_with_the_sign_of_a_picture_cannot_be_asked(pair: Pair) -> None:
    """The processor would take them for a picture that is not there."""
    marks = [m for m in re.findall(r"<[^>]+>", pair.kind.picture) if m in pair.slow.tokenizer.get_added_vocab()]
    assert marks
    for mark in marks:
        said = Context((*asked("What?").turns, Turn("model", (f"a {mark}",)), Turn("user", ("Where?",))))
        for answer in (pair.ours.read(said, 4), pair.ours.tokenize(said, "ball")):
            assert isinstance(answer, CannotAnswer)
            assert mark in answer.why
        assert isinstance(pair.ours.tokenize(asked("What?"), f"a {mark}"), CannotAnswer)
    assert not isinstance(pair.ours.read(asked("What?"), 4), CannotAnswer)


@pytest.mark.parametrize("pair", SOME_KINDS, indirect=True)
def test_device_map_auto_gives_the_same_scores(pair: Pair) -> None:
    spread = load(pair.folder, device_map="auto")
    for model in (pair.ours, spread):
        assert model.info.device == "cpu"
    tokens = [tokenize(spread, PROMPT, "ball")]
    found = [loglikelihood(m, m.encode([m.preprocess(PICTURES[0])]), tokens) for m in (pair.ours, spread)]
    assert found[0] == found[1]


def test_answers_of_one_length_share_a_batch(pair: Pair) -> None:
    """Different texts, as in a batch of different requests."""
    groups: dict[object, list[str]] = {}
    for text in ("ball", "red", "car", "cat", "sees", "blue", "image"):
        groups.setdefault(tokenize(pair.ours, PROMPT, text).batch_key, []).append(text)
    texts = max(groups.values(), key=len)
    assert len(texts) > 2
    features = pair.ours.encode([pair.ours.preprocess(image) for image in PICTURES[: len(texts)]])
    tokens = [tokenize(pair.ours, PROMPT, text) for text in texts[: len(features)]]
    together = loglikelihood(pair.ours, features, tokens)
    for image, text, score in zip(PICTURES, texts, together, strict=False):
        assert score.token_logprobs == pytest.approx(pair.slow.logprobs(image, PROMPT, text), abs=1e-5)


@pytest.mark.parametrize("pair", SOME_KINDS, indirect=True)
def test_captions_that_stop_at_different_steps(pair: Pair, tmp_path: Path) -> None:
    images = [tinted(seed, (40, 30)) for seed in range(7)]
    stop = pair.slow.caption(images[0], PROMPT, 8)[2]
    folder = Path(shutil.copytree(pair.folder, tmp_path / "stops"))
    edit_json(folder / "generation_config.json", eos_token_id=stop)
    captions = write_captions(load(folder), images, PROMPT, 8)
    assert captions == [pair.slow.caption(image, PROMPT, 8, stop) for image in images]
    assert len(captions[0]) <= 3
    assert captions[0][-1] == stop


# ---------------------------------------------------------------- several pictures, several turns


def talk_written_out(kind: Kind, turns: Sequence[str]) -> str:
    """A conversation whose turns are said by user and model by turns, up to the model's next one.

    A Kind has it of one turn: ``before``, what is said, ``after``, which ends the turn and begins the answer.
    """
    end, head = kind.after.split("\n", 1)
    bos = "<s>" if kind.before.startswith("<s>") else ""
    heads = (kind.before.removeprefix(bos), head)
    said = [words.replace("<image>", kind.picture) for words in turns]
    return bos + "".join(f"{heads[i % 2]}{words}{end}\n" for i, words in enumerate(said)) + head


# What is said, and which of PICTURES are shown in the places.
TALKS = {
    "two pictures": (["<image> or <image>?"], (0, 1)),
    "the other order": (["<image> or <image>?"], (1, 0)),
    "one in two places": (["A <image> or a <image>?"], (2, 2)),
    "two turns": (["What is in <image>?", "It is a ball.", "And in <image>?"], (0, 3)),
    "two turns with one picture": (["<image>What is it?", "red", "a ball?"], (1,)),
    "two turns with three": (["Is <image> a <image>?", "It is", "<image>"], (4, 5, 0)),
}


def context_of(turns: Sequence[str]) -> Context:
    """The same as a context: words and PICTURE in their order."""
    said = [asked_with(words) for words in turns]
    return Context(tuple(Turn("model" if i % 2 else "user", parts) for i, parts in enumerate(said)))


def asked_with(words: str) -> tuple[str | ImageRef, ...]:
    pieces = words.split("<image>")
    return tuple(part for piece in pieces for part in (piece, PICTURE))[:-1]


def places_of(model: Model, images: Sequence[Image.Image]) -> Pictures:
    return tuple(model.encode([model.preprocess(image) for image in images]))


@pytest.mark.parametrize(
    ("pair", "talk"), all_of_qwen([(talk,) for talk in TALKS], of_each=("two turns with three",)), indirect=["pair"]
)
def test_conversations_are_read_as_transformers_reads_them(talk: str, pair: Pair) -> None:
    """Losses of several answers, and what is written, whatever else is in the batch."""
    turns, shown = TALKS[talk]
    context, text = context_of(turns), talk_written_out(pair.kind, turns)
    assert pair.ours.render(context) == text
    rows = [[PICTURES[(i + k) % len(PICTURES)] for i in shown] for k in range(3)]
    seen = [places_of(pair.ours, row) for row in rows]
    for answer in ("ball", "It sees a blue car."):
        tokens = tokenize(pair.ours, context, answer)
        together = pair.ours.loglikelihood(seen, [tokens] * 3)
        for row, pictures, score in zip(rows, seen, together, strict=True):
            assert isinstance(score, Loglikelihood)
            expected = pytest.approx(pair.slow.logprobs_of(text, row, answer), abs=1e-5)
            assert score.token_logprobs == expected
            (alone,) = pair.ours.loglikelihood([pictures], [tokens])
            assert isinstance(alone, Loglikelihood)
            assert alone.token_logprobs == expected
    asked = read(pair.ours, context, 6)
    for row, caption in zip(rows, pair.ours.generate(seen, [asked] * 3, 6), strict=True):
        assert isinstance(caption, Text)
        assert list(caption.token_ids) == pair.slow.written(pair.slow.inputs_of(text, row), 6)


def test_the_order_of_pictures_counts(pair: Pair) -> None:
    tokens = tokenize(pair.ours, context_of(["<image> or <image>?"]), "ball")
    one, other = (places_of(pair.ours, [PICTURES[a], PICTURES[b]]) for a, b in ((0, 3), (3, 0)))
    scores = pair.ours.loglikelihood([one, other], [tokens] * 2)
    losses = [score.mean_loss for score in scores if isinstance(score, Loglikelihood)]
    assert abs(losses[0] - losses[1]) > 1e-4


def test_words_alone_are_read_too(pair: Pair) -> None:
    """A task may say something before it shows a picture."""
    turns = ["It is a ball.", "red", "What?"]
    tokens = tokenize(pair.ours, context_of(turns), "ball")
    (score,) = pair.ours.loglikelihood([()], [tokens])
    assert isinstance(score, Loglikelihood)
    text = talk_written_out(pair.kind, turns) + pair.kind.gap + "ball"
    ids = pair.slow.tokenizer(text, return_tensors="pt", add_special_tokens=pair.kind.adds_bos)["input_ids"]
    with torch.inference_mode():
        logprobs = pair.slow.network(input_ids=ids).logits[0].float().log_softmax(-1)
    n, length = score.n_tokens, ids.shape[1]
    expected = [float(logprobs[i - 1, ids[0, i]]) for i in range(length - n, length)]
    assert score.token_logprobs == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("pair", SOME_KINDS, indirect=True)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.05), ("bfloat16", 0.5)])
def test_half_precision_is_near(dtype: str, tolerance: float, pair: Pair) -> None:
    half = load(pair.folder, dtype=dtype)
    assert half.info.dtype == dtype
    exact = ask(pair.ours, PICTURES, PROMPT, "red cat")
    for wanted, got in zip(exact, ask(half, PICTURES, PROMPT, "red cat"), strict=True):
        assert got.mean_loss == pytest.approx(wanted.mean_loss, abs=tolerance)
        assert got.mean_loss != wanted.mean_loss
    assert len(write_captions(half, PICTURES, PROMPT, 3)) == len(PICTURES)


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize("name", SOME_KINDS)
def test_an_evaluation(
    name: str, made: Callable[[str], Pair], evaluate: Evaluate, babycli: Babycli, tmp_path: Path
) -> None:
    tasks = ("labeled_s", "vtwt", "saycam_caption")
    ran = evaluate("--model", made(name).folder, "--tasks", ",".join(tasks))
    assert ran.code == 0, ran.err
    assert "Loading weights" not in ran.err
    (run,) = (tmp_path / "logs").glob("*/*/run.json")
    logged = json.loads(run.read_text())
    assert (logged["model"]["family"], logged["model"]["model_type"]) == ("hf", name)
    cited = babycli("cite", tmp_path / "logs")
    assert "knows no paper" not in cited.out + cited.err
    assert all(paper.to_bibtex() in cited.out for paper in PAPERS_OF[name])
    for task in tasks:
        asked = logged["tasks"][task]
        assert asked["rendered_prompt"] == made(name).slow.conversation(asked["prompt"])
    (file,) = run.parent.glob("*_samples_labeled_s.jsonl")
    losses = [json.loads(line)["acc"]["loss"] for line in file.read_text().splitlines()]
    assert len(set(losses)) == len(losses) == 4


def test_show_needs_no_weights(pair: Pair, babycli: Babycli, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pair.folder, tmp_path / "shown"))
    (folder / "model.safetensors").unlink()
    ran = babycli("models", "show", folder, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    own = {id(parameter): parameter.numel() for parameter in pair.slow.network.parameters()}
    assert found["n_parameters"] == pair.ours.info.n_parameters == sum(own.values())
    assert found["family"] == "hf"
    assert {part["name"] for part in found["parts"]} >= {"vision tower", "language model"}
    given = [prompt for prompt in found["prompts"].values() if prompt["origin"] != "task"]
    assert given
    assert all(prompt["rendered"] == pair.slow.conversation(prompt["prompt"]) for prompt in given)
    assert f"{found['n_parameters']:,}" in babycli("models", "show", folder).out


def test_a_template_of_ones_own(copy: Callable[[str], Path], evaluate: Evaluate, tmp_path: Path) -> None:
    folder = copy("qwen2_vl")
    (folder / "chat_template.jinja").unlink()
    given = tmp_path / "mine.jinja"
    given.write_text(KINDS["qwen2_vl"].template.replace("assistant", "baby"))
    model = load(folder, chat_template=given)
    assert model.render(asked("?")).endswith("<|im_start|>baby\n")
    given.write_text(KINDS["qwen2_vl"].template)
    assert load(folder, chat_template=given).info.fingerprint != model.info.fingerprint
    wrapped = tmp_path / "mine.json"
    wrapped.write_text(json.dumps({"chat_template": KINDS["qwen2_vl"].template}))
    rendered = [load(folder, chat_template=template).render(asked("?")) for template in (wrapped, given)]
    assert rendered[0] == rendered[1]
    assert_explained(evaluate("--model", folder, "--model-args", "chat_template=/nowhere"), 2, "/nowhere")


# ---------------------------------------------------------------- what cannot be right


def vision_only(folder: Path) -> None:
    shutil.rmtree(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    LIBRARY.ViTForImageClassification(LIBRARY.ViTConfig(image_size=28, patch_size=7, **sizes)).save_pretrained(folder)


def text_only(folder: Path) -> None:
    shutil.rmtree(folder)
    config = LIBRARY.GPT2Config(n_embd=32, n_layer=1, n_head=4, vocab_size=300, n_positions=64)
    LIBRARY.GPT2LMHeadModel(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)


def encoder_decoder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    LIBRARY.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        LIBRARY.ViTConfig(), LIBRARY.GPT2Config()
    ).save_pretrained(folder)


def changed(file: str, **changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / file, **changes)


def weights_changed(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save(weights, folder / "model.safetensors")

    return spoil


def other_tokenizer(folder: Path) -> None:
    """More tokens than the network embeds."""
    tokenizer = LIBRARY.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["w1", "w2", "w3", "w4", "object"])
    tokenizer.save_pretrained(folder)


def without_start_token(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["start_image_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def in_shards_without_one(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    places = {name: f"model-{1 + i % 2:05d}-of-00002.safetensors" for i, name in enumerate(weights)}
    save({n: w for n, w in weights.items() if places[n].startswith("model-00001")}, folder / min(places.values()))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


NORM = "model.norm.weight"
TEXT_ONLY_TEMPLATE = "{% for m in messages %}{{ m['role'] }}{% endfor %}"
WRONG: dict[str, tuple[str, Callable[[Path], object], list[str]]] = {
    "vision only": ("qwen2_vl", vision_only, ["'vit'"]),
    "text only": ("qwen2_vl", text_only, ["'gpt2'"]),
    "encoder-decoder": ("qwen2_vl", encoder_decoder, ["encoder-decoder"]),
    "unknown kind": ("qwen2_vl", changed("config.json", model_type="owl3"), ["'owl3'"]),
    "kind is a list": ("qwen2_vl", changed("config.json", model_type=["owl3"]), ["owl3"]),
    "no weights": ("qwen2_vl", remove("model.safetensors"), ["no weights"]),
    "weight missing": ("qwen2_vl", weights_changed(lambda w: w.pop(NORM)), ["1 missing", "norm.weight"]),
    "weight of a wrong shape": (
        "qwen2_vl",
        weights_changed(lambda w: w.update({NORM: torch.zeros(7)})),
        ["wrong shape", "(7,)", "(32,)"],
    ),
    "weights cut off": ("qwen2_vl", truncate("model.safetensors", 0.9), ["model.safetensors"]),
    "weights cut off in the header": ("idefics3", truncate("model.safetensors", 0.001), ["model.safetensors"]),
    "weights are text": ("qwen2_vl", write("model.safetensors", "version https://git-lfs"), ["model.safetensors"]),
    "a shard missing": ("qwen2_vl", in_shards_without_one, ["model-00002-of-00002.safetensors"]),
    "no template": ("qwen2_vl", remove("chat_template.jinja"), ["no chat template", "chat_template.jinja"]),
    "template for texts": ("qwen2_vl", write("chat_template.jinja", TEXT_ONLY_TEMPLATE), ["leaves out the picture"]),
    "template is no Jinja": ("qwen2_vl", write("chat_template.jinja", "{% for %}"), ["chat template fails"]),
    "template raises": ("qwen2_vl", write("chat_template.jinja", "{{ raise_exception('no') }}"), ["fails", "no"]),
    "template writes two pictures": (
        "qwen2_vl",
        write("chat_template.jinja", KINDS["qwen2_vl"].template.replace("<|image_pad|>", "<|image_pad|>" * 2)),
        ["processor fails"],
    ),
    "tokenizer cut off": ("qwen2_vl", truncate("tokenizer.json", 0.5), ["tokenizer.json"]),
    "tokenizer is other JSON": ("idefics3", write("tokenizer.json", "{}"), ["tokenizer"]),
    "no tokenizer": ("qwen2_vl", remove("tokenizer.json"), ["tokenizer"]),
    "tokenizer config cut off": ("gemma3", truncate("tokenizer_config.json", 0.5), ["tokenizer_config.json"]),
    "tokenizer of another": ("qwen2_vl", other_tokenizer, ["its tokenizer gives ids"]),
    "no image processor": ("qwen2_vl", remove("preprocessor_config.json"), ["preprocessor_config.json"]),
    "image processor cut off": ("qwen2_vl", truncate("preprocessor_config.json", 0.5), ["preprocessor_config.json"]),
    "processor cut off": ("idefics3", truncate("processor_config.json", 0.5), ["processor_config.json"]),
    "no processor at all": ("idefics3", remove("processor_config.json"), ["image_processor"]),
    "processor of a text model": (
        "qwen2_vl",
        changed("processor_config.json", processor_class="GPT2Config"),
        ["GPT2Config"],
    ),
    "processor counts otherwise": (
        "idefics3",
        changed("processor_config.json", image_seq_len=5),
        ["network cannot take"],
    ),
    "llava without patch size": ("llava", changed("processor_config.json", patch_size=None), ["processor fails"]),
    "tokens for pictures unknown": ("internvl", without_start_token, ["its processor", "start_image_token"]),
    "config cut off": ("qwen2_vl", truncate("config.json", 0.5), ["config.json"]),
    "config of no model": ("qwen2_vl", changed("config.json", text_config=3), ["config.json"]),
    "generation config cut off": ("qwen2_vl", truncate("generation_config.json", 0.5), ["generation_config.json"]),
    "eos is a word": ("qwen2_vl", changed("generation_config.json", eos_token_id="<eos>"), ["generation_config.json"]),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_checkpoint_that_cannot_be_right(
    how: str, copy: Callable[[str], Path], evaluate: Evaluate, tmp_path: Path
) -> None:
    name, spoil, names = WRONG[how]
    folder = copy(name)
    spoil(folder)
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, folder, *names)


def with_positions(folder: Path, n: int) -> Path:
    """The same checkpoint, whose language model has so many positions."""
    config = json.loads((folder / "config.json").read_text())
    edit_json(folder / "config.json", text_config=config["text_config"] | {"max_position_embeddings": n})
    return folder


def logged(logs: Path, pattern: str) -> str:
    (path,) = logs.glob(f"*/*/{pattern}")
    return path.read_text()


def test_answers_beyond_the_models_positions(copy: Callable[[str], Path], evaluate: Evaluate, tmp_path: Path) -> None:
    """Each is a miss with its reason in the log; where all are, nothing was measured."""
    ran = evaluate("--model", with_positions(copy("llava"), 24), "--tasks", "labeled_s,saycam_caption")
    assert ran.code == 7, ran.err
    assert "Traceback" not in ran.err
    why = r"a sequence of \d+ positions does not fit the model's 24"
    assert re.search(rf"labeled_s: 1 of 1 trials could not be answered and count as misses: {why}", ran.err)
    assert re.search(rf"saycam_caption: 1 of 1 captions could not be answered and count as misses: {why}", ran.err)
    assert "not take a single one of the requests of labeled_s, saycam_caption" in ran.err
    results = json.loads(logged(tmp_path / "logs", "*_results.json"))
    assert results["unanswered"] == results["n_units"] == {"labeled_s": 1, "saycam_caption": 1}
    assert results["nonfinite"] == results["ties"] == {"labeled_s": 0, "saycam_caption": 0}
    lines = [json.loads(line) for line in logged(tmp_path / "logs", "scores.rank0.jsonl").splitlines()]
    assert len(lines) == 5
    assert all(re.fullmatch(why, line["cannot"]) for line in lines)
    samples = [json.loads(line) for line in logged(tmp_path / "logs", "*_samples_labeled_s.jsonl").splitlines()]
    assert [list(line["resps"][0][0]) for line in samples] == [["cannot"]] * 4
    assert all(re.fullmatch(why, line["resps"][0][0]["cannot"]) for line in samples)


def test_some_answers_beyond_the_models_positions(
    copy: Callable[[str], Path], made: Callable[[str], Pair], evaluate: Evaluate, babycli: Babycli, tmp_path: Path
) -> None:
    """Trials with a phrase that is too long are misses, the others count as they would alone."""
    words = ("--tasks", "vtwt", "--limit", 20, "--prompt", PROMPT)
    assert evaluate("--model", made("llava").folder, *words, "--output-path", tmp_path / "whole").code == 0
    whole = [json.loads(line) for line in logged(tmp_path / "whole", "*_samples_vtwt.jsonl").splitlines()]
    columns = ("positive_phrase", "negative_phrase")
    tokens = [[tokenize(made("llava").ours, PROMPT, line["doc"][c]) for c in columns] for line in whole]
    lengths = [max(len(t.ids) + 15 for t in row) for row in tokens]  # a picture is 16 tokens instead of one
    room = sorted(lengths)[9]
    too_long = [i for i, length in enumerate(lengths) if length > room]
    assert 0 < len(too_long) < 20

    ran = evaluate("--model", with_positions(copy("llava"), room), *words)
    assert ran.code == 0, ran.err
    assert f"vtwt: {len(too_long)} of 20 trials could not be answered and count as misses: a sequence of" in ran.err
    results = json.loads(logged(tmp_path / "logs", "*_results.json"))
    outcomes = json.loads(logged(tmp_path / "logs", "*_outcomes.json"))["tasks"]["vtwt"]
    assert results["unanswered"] == {"vtwt": len(too_long)}
    assert outcomes["unanswered"] == too_long
    expected = [0.0 if i in too_long else line["acc"] for i, line in enumerate(whole)]
    assert outcomes["values"]["acc"] == expected
    assert results["results"]["vtwt"]["acc,none"] == sum(expected) / 20
    table = " ".join(babycli("report", tmp_path / "logs", "--notes").out.split())
    assert f"{100 * sum(expected) / 20:.1f}?" in table
    assert "? too long for the model, or a picture too many; they count as misses:" in table
    assert f"vtwt {len(too_long)} " in table


def test_nan_weights_are_reported(copy: Callable[[str], Path], evaluate: Evaluate) -> None:
    folder = copy("qwen2_vl")
    weights_changed(lambda w: w[NORM].fill_(float("nan")))(folder)
    ran = evaluate("--model", folder, "--tasks", "labeled_s,saycam_caption")
    assert ran.code == 7
    assert "Traceback" not in ran.err
    assert "weights hold NaN" in ran.err
    assert "labeled_s in 1 of 1" in ran.err
    assert "saycam_caption in 1 of 1" in ran.err
