"""The chat of a transformers checkpoint: its chat template, its tokenizer and its processor.

Owns turning a prompt into a text, into ids, and into the tensors that the network takes. Never builds a network, never
pads, never runs code out of a checkpoint, and never reads a video, so it does not need torchvision.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from PIL.Image import Image
from torch import Tensor
from transformers import PROCESSOR_MAPPING, AutoConfig, AutoFeatureExtractor, ProcessorMixin

# Not from transformers itself: version 5.17 hides the class there if torchvision is not installed.
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.utils.import_utils import DummyObject

from babycli.domain import PICTURE, Context, ImageRef, Turn, ask
from babycli.errors import ModelError, UsageError
from babycli.files import in_home
from babycli.models.parts import chat_rendering, checkpoint
from babycli.models.parts.chat_rendering import TEMPLATE_MEND, BoundlessTemplateError
from babycli.models.parts.chat_templates import file_of_template, own_template, template_in
from babycli.models.parts.checkpoint import read_json_object
from babycli.models.parts.picture_bounds import check_bounds
from babycli.models.parts.transformers_calls import reading
from babycli.models.parts.transformers_tokenizer import check_files, read_tokenizer
from babycli.wording import one_line

# Files that a model's answers depend on, beside its weights.
_SETTINGS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    "vocab.json",
    "chat_template.json",
    "chat_template.jinja",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "tekken.json",
)
# The names that image processors have for cutting a picture into tiles.
_TILING = ("do_image_splitting", "crop_to_patches")
# Words by which it is found where a template puts pictures; and the answers, see Chat._grown.
_SPOKEN = ("alphaword", "betaword", "gammaword")
_Grown = tuple[bool, ...]
_IN_PLACE: _Grown = (False, True, True, False)
_IN_FRONT: _Grown = (True, False, False, False)
_BEHIND: _Grown = (False, False, False, True)
_IN_SECOND_TURN: _Grown = (False, False, True, False)
_TORCHVISION_MEND = (
    "pip install torchvision, the build that fits this torch: https://pytorch.org/get-started/locally ; or "
    "babycli[torchvision]"
)
_LOCAL = {"trust_remote_code": False, "local_files_only": True}
# Some functions of these classes have no types.
_IMAGES: Any = AutoImageProcessor
_SOUNDS: Any = AutoFeatureExtractor


# What a template may use that is not of the conversation: the clock, and two ways to draw.
_CHANGING = re.compile(r"\bstrftime_now\b|\brandom\b|\blipsum\b")


class Chat:
    """The chat of a checkpoint, which turns a conversation of words and pictures into the network's input."""

    only_template = ""  # of a kind of models whose checkpoints have none

    def __init__(self, folder: Path, processor: Any, template: str, origin: Path, cuts_pictures: bool) -> None:
        self.folder = folder
        self.origin = origin  # the file that holds the template
        self.tokenizer: Any = processor.tokenizer
        self._processor = processor
        self._template = template
        self._tokens = dict(self.tokenizer.special_tokens_map)
        tiling = [name for name in _TILING if hasattr(processor.image_processor, name)]
        if not (tiling or cuts_pictures):
            raise UsageError(
                f"tiles=false: {folder} has no setting for tiles; expected is {' or '.join(_TILING)}",
                "leave tiles=false out",
            )
        self.cuts_pictures = bool(tiling) and cuts_pictures
        self._uncut = {} if cuts_pictures else dict.fromkeys(tiling, False)

    def render(self, context: Context) -> str:
        """Renders the conversation up to the answer; a picture is still one token.

        picture, "What is it?"             parts go into the message as they are
        "", picture, " a what?"            empty parts are left out, unless there is no other
        """
        return self._rendered([_message(turn) for turn in context.turns])

    def _rendered(self, messages: list[dict[str, Any]]) -> str:
        return chat_rendering.render(self.origin, self._template, messages, self._tokens)

    def check(self) -> None:
        """Checks that template and tokenizer can be used here. Raises ModelError."""
        rendered = self.render(ask("?", PICTURE))
        if rendered == self.render(ask("?")):
            raise ModelError(
                f"{self.origin}: the chat template leaves out the picture: expected is one for messages whose content "
                f"is a list of images and texts, but it gives {rendered[:80]!r}",
                TEMPLATE_MEND,
            )
        eos = self.tokenizer.eos_token_id
        if eos is not None and self.ids(rendered)[-1:] == [eos] != self.ids(rendered, bare=True)[-1:]:
            raise ModelError(
                f"{self.folder}: its tokenizer ends every text with {self.tokenizer.eos_token!r}: no answer can follow",
                "set add_eos_token to false in its tokenizer_config.json",
            )

    def ids(self, text: str, bare: bool = False) -> list[int]:
        """Makes the ids of a rendered text, in which a picture is one token; ``bare`` adds no special tokens."""
        options = {"add_special_tokens": False} if bare else self._options(text)
        with reading(f"{self.folder}: its tokenizer fails"):
            return list(self.tokenizer(text, **options)["input_ids"])

    def why_unreadable(self, context: Context, ids: Sequence[int]) -> str:
        """Tells why a rendered context does not show its pictures, each in one place; "" if it does.

        A token that stands for a picture is among its words, or the template has left a picture out.
        """
        n_places, counts = len(context.places), Counter(ids)
        found = [token for token, n in self._marks.items() if counts[token] > n * n_places]
        if found:
            names = ", ".join(self.tokenizer.convert_ids_to_tokens(found))
            return f"its words hold {names}, which stands for a picture"
        n_shown = max((counts[token] // n for token, n in self._marks.items()), default=n_places)
        return f"its chat template shows {n_shown} of {n_places} pictures" if n_shown < n_places else ""

    def notes(self) -> tuple[str, ...]:
        """Tells a reader where the template puts pictures if not where they are said, and whether it changes."""
        one, two, three = _SPOKEN
        in_one_turn = (Turn("user", (one, PICTURE, two, PICTURE, three)),)
        in_two_turns = (Turn("user", (one,)), Turn("model", (two,)), Turn("user", (PICTURE, three)))
        notes = []
        for what, turns in (("two pictures", in_one_turn), ("two turns", in_two_turns)):
            try:
                where = self._grown(Context(turns))
            except BoundlessTemplateError:
                raise
            except ModelError as error:  # what it can write is still asked
                notes.append(f"its chat template cannot write {what}: {error.message}")
                continue
            if turns == in_one_turn and where != _IN_PLACE:
                place = {_IN_FRONT: "in front of its words", _BEHIND: "behind its words"}.get(where, "elsewhere")
                notes.append(f"its chat template puts all pictures of a turn {place}, not where they are said")
            if turns == in_two_turns and where not in (_IN_SECOND_TURN, _BEHIND):
                notes.append("its chat template puts the pictures of a later turn elsewhere")
        if changing := _CHANGING.search(self._template):
            notes.append(f"its chat template uses {changing[0]}: the same question may read otherwise another time")
        return tuple(notes)

    def _grown(self, context: Context) -> _Grown:
        """Tells where a context with pictures is longer than without: before, between and behind the words of _SPOKEN.

        one <image> two <image> three      in place:   (False, True, True, False)
        <image><image> one two three       in front:   (True, False, False, False)
        """
        words = [tuple(part for part in turn.parts if isinstance(part, str)) for turn in context.turns]
        bare = Context(tuple(Turn(turn.role, parts) for turn, parts in zip(context.turns, words, strict=True)))
        pieces = [re.split("|".join(_SPOKEN), self.render(each)) for each in (context, bare)]
        return tuple(len(a) > len(b) for a, b in zip(*pieces, strict=False))

    @functools.cached_property
    def _marks(self) -> Counter[int]:
        """The added tokens that the template writes for a picture, and how many of each."""
        with_picture, without = (Counter(self.ids(self.render(ask("?", *images)))) for images in ((PICTURE,), ()))
        added = set(self.tokenizer.get_added_vocab().values())
        return Counter({token: n for token, n in (with_picture - without).items() if token in added})

    def inputs(self, text: str, images: Sequence[Image], n_answer: int = 0) -> dict[str, Tensor]:
        """Makes the network's input for a rendered text; a picture takes as many tokens as the processor says.

        It is made for this text alone, so that nothing is padded. ``images`` has a picture for each place. The last
        ``n_answer`` ids are an answer, which most models read as all else.
        """
        shown = {"images": [list(images)], **self._uncut} if images else {}
        try:
            with reading(f"{self.folder}: its processor fails"):
                output = self._processor(text=[text], **shown, return_tensors="pt", **self._options(text))
        except MemoryError as error:  # the input of a single text
            raise ModelError(f"{self.folder}: its processor takes more memory than there is") from error
        inputs = dict(output)
        lists = [name for name, value in inputs.items() if not isinstance(value, Tensor)]
        if lists:
            raise ModelError(f"{self.folder}: its processor gives lists where tensors are expected: {', '.join(lists)}")
        return inputs

    def _options(self, text: str) -> dict[str, bool]:
        """Decides whether the tokenizer may add its BOS: not if the template has written it, as in transformers.

        Source: ProcessorMixin.apply_chat_template(tokenize=True) of transformers 5.17 and 5.23.
        """
        bos = self.tokenizer.bos_token
        return {"add_special_tokens": False} if bos is not None and text.startswith(bos) else {}


def _message(turn: Turn) -> dict[str, Any]:
    content: list[dict[str, str]] = []
    for part in turn.parts:
        if isinstance(part, ImageRef):
            content.append({"type": "image"})
        elif part:
            content.append({"type": "text", "text": part})
    if not content:  # the model has said nothing; some templates look at the first part
        content = [{"type": "text", "text": ""}]
    return {"role": {"user": "user", "model": "assistant"}[turn.role], "content": content}


def read_config(folder: Path) -> Any:
    """Reads config.json with transformers. Raises ModelError for a model that cannot score an answer here."""
    checkpoint.read_config(folder)  # for its checks
    with reading(f"{folder / 'config.json'}: transformers cannot read it"):
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
        writes_apart = config.is_encoder_decoder or config.get_text_config(decoder=True).is_encoder_decoder
    if writes_apart:
        raise ModelError(
            f"{folder / 'config.json'}: {config.model_type} is an encoder-decoder; expected is a model that writes its "
            "answer behind the prompt"
        )
    return config


def read_chat(
    folder: Path, config: Any, template: str | None, cuts_pictures: bool = True, kind: type[Chat] = Chat
) -> Chat:
    """Reads the chat of a checkpoint folder, with the user's template file if one is named.

    Without ``cuts_pictures``, no picture is cut into tiles, whatever the checkpoint says. Raises ModelError, and
    UsageError where it has no such setting.
    """
    chat_rendering.start()  # it is ready when the rest is read
    check_files(setting_files(folder))
    for file in setting_files(folder):
        if file.suffix == ".json":
            settings = read_json_object(file)  # names a file that is no JSON, as transformers does not always do
            if file.name.endswith("processor_config.json"):
                check_bounds(file, settings)
    with reading(f"{folder}: transformers cannot read its processor"):
        processor = _read_processor(folder, config)
    if template is None:
        own = kind.only_template or own_template(folder, processor)
        chat = kind(folder, processor, own, file_of_template(folder, own), cuts_pictures)
    else:
        chat = kind(folder, processor, template_in(template), in_home(template), cuts_pictures)
    chat.check()
    return chat


def setting_files(folder: Path) -> list[Path]:
    """Lists the files of a folder, beside its weights, that a model's answers depend on."""
    named = [folder / name for name in _SETTINGS]
    return [file for file in named if file.is_file()] + sorted(folder.glob("additional_chat_templates/*.jinja"))


def _read_processor(folder: Path, config: Any) -> Any:
    """Builds the checkpoint's processor from its parts.

    AutoProcessor would also make the part that reads videos, which needs torchvision. Pictures are always resized by
    PIL, so that a score does not depend on whether torchvision is installed.
    """
    kind = _processor_kind(folder, config)
    settings, _ = kind.get_processor_dict(folder, **_LOCAL)
    parts: list[Any] = []
    for name in kind.get_attributes():
        match name:
            case "tokenizer":
                parts.append(read_tokenizer(folder))
            case "image_processor":
                _check_image_processor(folder)
                parts.append(_read_image_processor(folder))
            case "feature_extractor":
                parts.append(_SOUNDS.from_pretrained(folder, **_LOCAL))
            case "video_processor":
                parts.append(None)
            case _:
                raise ModelError(f"{folder}: its processor, a {kind.__name__}, needs a {name}, which is not read here")
    with _no_words_for_numbers(kind):
        return kind.from_args_and_dict(parts, settings)


@contextmanager
def _no_words_for_numbers(kind: Any) -> Iterator[None]:
    """Lets SmolVLM's processor be made without the package num2words, which it only needs for videos."""
    module = sys.modules[kind.__bases__[0].__module__]
    if getattr(module, "num2words", str) is not None:
        yield
        return
    vars(module)["num2words"] = str
    try:
        yield
    finally:
        vars(module)["num2words"] = None


def _check_image_processor(folder: Path) -> None:
    """Checks that a file describes the image processor. Raises ModelError; transformers' own error is about the hub."""
    whole = read_json_object(folder / "processor_config.json", missing_ok=True)
    if not (folder / "preprocessor_config.json").is_file() and "image_processor" not in whole:
        raise ModelError(
            f"{folder} says nothing of how pictures are prepared: expected is a preprocessor_config.json, or "
            "image_processor in processor_config.json"
        )


def _read_image_processor(folder: Path) -> Any:
    """Reads the image processor that resizes with Pillow, or that with torchvision where there is no other."""
    try:
        return _IMAGES.from_pretrained(folder, backend="pil", **_LOCAL)
    except ValueError as error:
        if "Missing optional dependencies: torchvision" not in str(error):
            raise
        raise ModelError(
            f"{folder}: transformers prepares its pictures with torchvision alone, which is not installed",
            _TORCHVISION_MEND,
        ) from error


def _processor_kind(folder: Path, config: Any) -> Any:
    """Finds the class of the processor by the checkpoint's files, else by its model_type; it needs no videos."""
    files = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
    named = [read_json_object(folder / file, missing_ok=True).get("processor_class") for file in files]
    name = next(filter(None, named), None)
    kind: Any = getattr(transformers, str(name), None) or PROCESSOR_MAPPING.get(type(config), None)
    if isinstance(kind, DummyObject):  # stands for a class whose packages are not installed, and raises if it is used
        try:
            kind()
        except ImportError as error:
            raise _lacking(folder, kind.__name__, error) from error
    if not _is_processor(kind):
        raise ModelError(
            f"{folder}: transformers has no processor for images and texts together "
            f"(processor_class {name!r}, model_type {config.model_type!r})"
        )
    missing = {"tokenizer", "image_processor"} - set(kind.get_attributes())
    if missing:
        raise ModelError(f"{folder}: its processor, a {kind.__name__}, has no {' and no '.join(sorted(missing))}")

    return without_videos(kind)


def without_videos(kind: Any) -> Any:
    """Gives the class of a processor that can be made without its part that reads videos."""

    def check_argument_for_proper_class(self: Any, argument_name: str, argument: Any) -> Any:
        if argument_name == "video_processor" and argument is None:
            return None
        return kind.check_argument_for_proper_class(self, argument_name, argument)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check_argument_for_proper_class})


def _lacking(folder: Path, name: str, error: ImportError) -> ModelError:
    """Makes the error for a processor that needs packages which are not installed, in transformers' own words."""
    sentence = one_line(error).partition(". ")[0]
    wants_torchvision = "torchvision" in sentence.lower()
    return ModelError(
        f"{folder}: transformers has its processor, a {name}, but cannot make it here: {sentence}",
        _TORCHVISION_MEND if wants_torchvision else "install that library",
    )


def _is_processor(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, ProcessorMixin)
