"""Conversation templates: how a question and an answer become the one text that a model reads.

Owns the wording around a message. Never tokenises. The templates are those that BabyLLaVA checkpoints were
trained with (llava/conversation.py of BabyLLaVA @ b98f28f and BabyLLaVA-V2 @ 5634e58).
"""

from __future__ import annotations

from dataclasses import dataclass

IMAGE_TOKEN = "<image>"


@dataclass(frozen=True, slots=True)
class Template:
    """Joins ``[system][question][separator][answer][terminator]``, with role names in front where it has them."""

    system: str = ""
    user: str = ""
    assistant: str = ""
    separator: str = ""
    terminator: str = ""

    def render(self, question: str, answer: str | None = None) -> str:
        """The prompt alone when ``answer`` is None, else prompt, answer and terminator."""
        if not self.user:
            text = self.system + question + self.separator
            return text if answer is None else text + answer + self.terminator
        text = f"{self.system}{self.separator}{self.user}: {question}{self.separator}{self.assistant}:"
        return text if answer is None else f"{text} {answer}{self.terminator}"


_VICUNA = Template(
    system="A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    user="USER",
    assistant="ASSISTANT",
    separator=" ",
    terminator="</s>",
)

TEMPLATES = {
    "plain": Template(),
    "baby_plain": Template(separator=" ", terminator="<eos>"),
    "baby_v1": Template(user="USER", assistant="ASSISTANT", separator=" ", terminator="<eos>"),
    "v1": _VICUNA,
    "vicuna_v1": _VICUNA,
}


def with_image(question: str) -> str:
    """The question, with the image in front of it unless it says itself where the image goes."""
    return question if IMAGE_TOKEN in question else f"{IMAGE_TOKEN}\n{question}"


def filled(prompt: str, text: str) -> str:
    """What a dual encoder reads: the text in the place of ``{}``, else behind the prompt; alone without a prompt.

    "a photo of a {}", "ball"  ->  "a photo of a ball"
    """
    if "{}" in prompt:
        return prompt.replace("{}", text)
    return f"{prompt} {text}" if prompt else text
