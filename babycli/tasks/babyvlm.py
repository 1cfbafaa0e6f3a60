"""The common parts of BabyVLM's tasks: their source, the prompts for each model family, and their groups.

Owns the wording of choices and captions, family by family, as the paper's authors evaluated them. Never renders a
template. A family that is not listed gets ``DEFAULT``, and the user is told.

Source: lmms_eval_specific_kwargs in lmms_eval/tasks/{labeled_s,vtwt,baby_winoground,saycam_caption}/*.yaml of
babylmms-eval @ 82118a8; those of ``hf`` are the same questions without LLaVA's own template around them.
"""

from __future__ import annotations

from collections.abc import Mapping

from babycli.domain import Row
from babycli.tasks.base import DEFAULT, Benchmark
from babycli.tasks.phrases import differing_word, joined
from babycli.tasks.sessions import session_of

BABYVLM = Benchmark("babyvlm", "BabyVLM", "Wang et al. 2025, arXiv 2504.09426")

_OBJECT = "What's the object in the image?"
_SENTENCE = "Say a short sentence to a child about this image, as if you are directly speaking to the child."

CHOICE: Mapping[str, str] = {
    DEFAULT: "",
    "babyllava": "",
    "clip": "",
    "cvcl": "",
    "dual": "",
    "control": "",
    "llava": "USER: What's the object in the image? <image> ASSISTANT:",
    "llava_next": _OBJECT,
    "hf": _OBJECT,
}

CAPTION: Mapping[str, str] = {
    DEFAULT: "",
    "babyllava": "",
    "control": "",
    "llava": "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions. USER: <image>\nSay a short sentence to a child about this "
    "image, as if you are directly speaking to the child. ASSISTANT: ",
    "llava_next": _SENTENCE,
    "hf": _SENTENCE,
}

CHOICE_SCORED = (
    "The score of a candidate is the mean log-likelihood per token of its text given the image or, of a dual encoder, "
    "their similarity; the highest score is the answer."
)
SHARED_CREDIT = "k candidates that share the best score get 1/k each"
SHARED_CREDIT_NOTE = "equal scores share the credit (under reference and in lmms-eval the first wins)"


def phrase_groups(frame: Row) -> dict[str, str]:
    """Gives the groups of an item whose row has a frame and two phrases; "" where a row of a log lacks them."""
    phrases = frame.get("positive_phrase", ""), frame.get("negative_phrase", "")
    are_known = all(phrases)
    return {
        "session": session_of(frame.get("image", "")),
        "word": differing_word(*phrases) if are_known else "",
        "phrases": joined(*phrases) if are_known else "",
    }
