"""What each model family is asked by each kind of task, before its own template is put around it.

Owns the wording, family by family, as the paper's authors evaluated them. Never renders a template. A family that
is not listed gets ``DEFAULT``, and is told so.

Source: lmms_eval_specific_kwargs in lmms_eval/tasks/{labeled_s,vtwt,baby_winoground,saycam_caption}/*.yaml of
babylmms-eval @ 82118a8; those of ``hf`` are the same questions without LLaVA's own template around them.
"""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT = "default"

CHOICE: Mapping[str, str] = {
    DEFAULT: "",
    "babyllava": "",
    "clip": "",
    "cvcl": "",
    "control": "",
    "llava": "USER: What's the object in the image? <image> ASSISTANT:",
    "hf": "What's the object in the image?",
}

CAPTION: Mapping[str, str] = {
    DEFAULT: "",
    "babyllava": "",
    "control": "",
    "llava": "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions. USER: <image>\nSay a short sentence to a child about this "
    "image, as if you are directly speaking to the child. ASSISTANT: ",
    "hf": "Say a short sentence to a child about this image, as if you are directly speaking to the child.",
}
